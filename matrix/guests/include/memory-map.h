/* SPDX-License-Identifier: MIT */
/* The memory that tests may overwrite: what the machine has, less what is in use. */
#ifndef MEMORY_MAP_H
#define MEMORY_MAP_H

#include <stdbool.h>
#include <stdint.h>

/* Add or take away [start, end). What lies beyond the CPU's addresses is left out. */
void memory_map_add(uint64_t start, uint64_t end);
void memory_map_remove(uint64_t start, uint64_t end);

/* The index-th range, whole 4 KiB pages of it; false past the last one. */
bool memory_map_range(unsigned index, uintptr_t *start, uintptr_t *end);

#endif
