/* SPDX-License-Identifier: MIT */
/*
 * Addresses for devices behind a PCI host bridge, which firmware has left without. Numbers: the PCI
 * bus binding to Open Firmware for "ranges".
 */
#include <arch.h>
#include <fdt-machine.h>
#include <fdt.h>
#include <pci.h>

#define RANGE_CELLS	   7 /* flags, PCI address (2), CPU address (2), size (2) */
#define RANGE_SPACE(flags) ((flags) >> 24 & 3)
#define SPACE_MEMORY_32	   2

/* The window through which the CPU reaches 32-bit PCI memory addresses, and what of it is free. */
static struct {
	uint64_t pci, cpu, size, used;
} window;

bool machine_pci_window(const struct fdt_node *bridge, uint64_t *start, uint64_t *total)
{
	size_t length;
	const uint8_t *range = fdt_property(bridge, "ranges", &length);

	for (size_t at = 0; range != NULL && at + 4 * RANGE_CELLS <= length;
	     at += 4 * RANGE_CELLS) {
		if (RANGE_SPACE(fdt_number(range + at, 1)) == SPACE_MEMORY_32) {
			window.pci = fdt_number(range + at + 4, 2);
			window.cpu = fdt_number(range + at + 12, 2);
			window.size = fdt_number(range + at + 20, 2);
			*start = window.cpu;
			*total = window.size;
			return true;
		}
	}
	return false;
}

uintptr_t arch_pci_map(unsigned slot, unsigned bar)
{
	const unsigned offset = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint64_t size, at;
	uint32_t mask;

	arch_pci_write(slot, offset, ~0u);
	mask = arch_pci_read(slot, offset);
	size = ~(mask & ~0xfu) + 1u;
	at = (window.used + size - 1) & ~(size - 1);
	if (size == 0 || at + size > window.size)
		return 0;
	window.used = at + size;
	arch_pci_write(slot, offset, (uint32_t)(window.pci + at));
	if (mask & PCI_BASE_ADDRESS_64BIT)
		arch_pci_write(slot, offset + 4, 0);
	return (uintptr_t)(window.cpu + at);
}
