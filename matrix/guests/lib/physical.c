/* SPDX-License-Identifier: MIT */
/* For architectures that see memory at its physical address. */
#include <arch.h>

uint64_t arch_physical_address(uintptr_t address)
{
	return address;
}
