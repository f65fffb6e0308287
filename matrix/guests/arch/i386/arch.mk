# SPDX-License-Identifier: MIT
include arch/x86/x86.mk
ARCH_CFLAGS += -m32 -march=i686
IMAGE_OBJCOPY := --strip-all
