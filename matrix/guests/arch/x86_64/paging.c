/* SPDX-License-Identifier: MIT */
/* Identity mapping of the memory beyond the 4 GiB that start.S maps. */
#include <arch.h>
#include <x86.h>

#define GIB		(1ULL << 30)
#define LARGE_PAGE	(2ULL << 20)
#define MAPPED_AT_START 4
#define TABLE_ENTRIES	512

extern uint64_t page_directories[MAPPED_GIB][TABLE_ENTRIES];
extern uint64_t page_directory_pointers[TABLE_ENTRIES];

uint64_t paging_map(uint64_t end)
{
	uint64_t mapped = MAPPED_AT_START;

	for (; mapped < MAPPED_GIB && mapped * GIB < end; mapped++) {
		for (unsigned i = 0; i < TABLE_ENTRIES; i++)
			page_directories[mapped][i] =
				(mapped * GIB + i * LARGE_PAGE) | PAGE_LARGE_MAPPED;
		page_directory_pointers[mapped] = (uintptr_t)page_directories[mapped] | PAGE_TABLE;
	}
	/* Entries were absent before and absence is not cached: nothing is to be flushed. */
	return mapped * GIB;
}

bool arch_map_memory(uint64_t start, uint64_t size)
{
	return start + size <= paging_map(start + size);
}
