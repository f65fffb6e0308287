/* SPDX-License-Identifier: MIT */
/*
 * The identity map, in the long descriptor format that aarch64 and arm share: 4 KiB granule, one
 * level 1 table of 1 GiB blocks (Arm ARM DDI 0487, D8.3; DDI 0406, B3.6). start.S turned it on with
 * devices in the first GiB and memory in the second; here it gets what the machine really has.
 */
#include <arch.h>
#include <arm-registers.h>
#include <fdt-machine.h>
#include <memory-map.h>

#include "arm.h"
#include "layout.h"

#define GIB		(1ull << 30)
#define BLOCK_2M	(2ull << 20)
#define LEVEL_2_ENTRIES 512
#define UNMAPPED_BLOCKS ((64ull << 20) / BLOCK_2M)

static uint64_t first_gib[LEVEL_2_ENTRIES] __attribute__((aligned(4096)));

/* Devices' registers, but nothing at the addresses of the flash. */
static void map_first_gib(void)
{
	for (unsigned i = UNMAPPED_BLOCKS; i < LEVEL_2_ENTRIES; i++)
		first_gib[i] = i * BLOCK_2M | TRANSLATION_DEVICE;
	/* Architecture: an entry that is in use must be invalid before it becomes another. */
	translation_table[0] = 0;
	translation_flush();
	translation_table[0] = (uintptr_t)first_gib | TRANSLATION_TABLE;
}

static bool map(uint64_t start, uint64_t size, uint64_t kind)
{
	uint64_t last = (start + size - 1) / GIB;

	if (size == 0 || last >= TRANSLATION_ENTRIES)
		return false;
	for (uint64_t i = start / GIB; i <= last; i++)
		if (translation_table[i] == 0)
			translation_table[i] = i * GIB | kind;
	translation_flush();
	return true;
}

void mmu_open(void)
{
	uint64_t start, size;

	map_first_gib();
	for (unsigned i = 0; machine_memory(i, &start, &size); i++) {
		if (start >= TRANSLATION_ENTRIES * GIB)
			continue;
		if (size > TRANSLATION_ENTRIES * GIB - start)
			size = TRANSLATION_ENTRIES * GIB - start;
		map(start, size, TRANSLATION_MEMORY);
	}
	memory_map_remove(TRANSLATION_ENTRIES * GIB, UINT64_MAX);
}

void arch_flush_tlb(void)
{
	translation_flush_local();
}

bool machine_map_device(uint64_t start, uint64_t size)
{
	return map(start, size, TRANSLATION_DEVICE);
}

bool arch_map_memory(uint64_t start, uint64_t size)
{
	return map(start, size, TRANSLATION_MEMORY);
}
