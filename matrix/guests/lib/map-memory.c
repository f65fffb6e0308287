/* SPDX-License-Identifier: MIT */
/* For architectures that address the memory of their start, and no other. */
#include <arch.h>

bool arch_map_memory(uint64_t start, uint64_t size)
{
	return false;
}
