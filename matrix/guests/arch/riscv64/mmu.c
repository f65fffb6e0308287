/* SPDX-License-Identifier: MIT */
/* The identity map: Sv39 with entries of 1 GiB, its lower half (Privileged specification, 4.4). */
#include <fdt-machine.h>
#include <memory-map.h>

#include "layout.h"
#include "riscv.h"

#define GIB	   (1ull << GIB_SHIFT)
#define LOWER_HALF (TABLE_ENTRIES / 2)

static bool map(uint64_t start, uint64_t size, uint64_t kind)
{
	uint64_t last = (start + size - 1) >> GIB_SHIFT;

	if (size == 0 || last >= LOWER_HALF)
		return false;
	for (uint64_t i = start >> GIB_SHIFT; i <= last; i++)
		if (page_table[i] == 0)
			page_table[i] = i << GIB_PAGES_SHIFT | kind;
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
		if (start >= LOWER_HALF * GIB)
			continue;
		if (size > LOWER_HALF * GIB - start)
			size = LOWER_HALF * GIB - start;
		map(start, size, PAGE_MEMORY);
	}
	memory_map_remove(LOWER_HALF * GIB, UINT64_MAX);
}

void arch_flush_tlb(void)
{
	__asm__ volatile("sfence.vma" ::: "memory");
}

bool machine_map_device(uint64_t start, uint64_t size)
{
	return map(start, size, PAGE_DEVICE);
}
