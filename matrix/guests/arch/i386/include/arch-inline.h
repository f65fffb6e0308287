/* SPDX-License-Identifier: MIT */
#include "../../x86/arch-inline.h"
