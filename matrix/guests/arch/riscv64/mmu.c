/* SPDX-License-Identifier: MIT */
/* The identity map of largest pages: the lower half of Sv39, or Sv32 (Privileged specification, 4.4
 * and 4.3). */
#include <fdt-machine.h>
#include <memory-map.h>

#include "layout.h"
#include "riscv.h"

#define LARGE_PAGE (1ull << LARGE_PAGE_SHIFT)
#define ENTRIES	   (__riscv_xlen == 64 ? TABLE_ENTRIES / 2 : TABLE_ENTRIES)

static bool map(uint64_t start, uint64_t size, unsigned long kind)
{
	uint64_t last = (start + size - 1) >> LARGE_PAGE_SHIFT;

	if (size == 0 || last >= ENTRIES)
		return false;
	for (uint64_t i = start >> LARGE_PAGE_SHIFT; i <= last; i++)
		if (page_table[i] == 0)
			page_table[i] = (unsigned long)(i << PAGES_SHIFT) | kind;
	__asm__ volatile("sfence.vma" ::: "memory");
	return true;
}

/* The size of a tree is not known yet; QEMU aligns it to 2 MiB, which is also its limit. */
#define TREE_SIZE_LIMIT (2ull << 20)

void mmu_map_tree(uintptr_t device_tree)
{
	map(device_tree, TREE_SIZE_LIMIT, PAGE_MEMORY);
}

void mmu_open(void)
{
	uint64_t start, size;

	for (unsigned i = 0; machine_memory(i, &start, &size); i++) {
		if (start >= ENTRIES * LARGE_PAGE)
			continue;
		if (size > ENTRIES * LARGE_PAGE - start)
			size = ENTRIES * LARGE_PAGE - start;
		map(start, size, PAGE_MEMORY);
	}
	memory_map_remove(ENTRIES * LARGE_PAGE, UINT64_MAX);
}

void arch_flush_tlb(void)
{
	__asm__ volatile("sfence.vma" ::: "memory");
}

bool machine_map_device(uint64_t start, uint64_t size)
{
	return map(start, size, PAGE_DEVICE);
}
