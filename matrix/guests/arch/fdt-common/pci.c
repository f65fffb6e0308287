/* SPDX-License-Identifier: MIT */
/*
 * Devices behind a generic PCI host bridge, which firmware has left unconfigured. Numbers: the PCI
 * bus binding to Open Firmware for "ranges".
 */
#include <arch.h>
#include <fdt-machine.h>
#include <fdt.h>
#include <pci.h>

#define CONFIGURATION_SIZE 4096u /* of one function */
#define RANGE_CELLS	   7	 /* flags, PCI address (2), CPU address (2), size (2) */
#define RANGE_SPACE(flags) ((flags) >> 24 & 3)
#define SPACE_MEMORY_32	   2

/* The window through which the CPU reaches 32-bit PCI memory addresses, and what of it is free. */
static struct {
	uint64_t pci, cpu, size, used;
} window;
static uintptr_t configuration;

static bool find_window(const struct fdt_node *bridge)
{
	size_t length;
	const uint8_t *range = fdt_property(bridge, "ranges", &length);

	for (size_t at = 0; range != NULL && at + 4 * RANGE_CELLS <= length;
	     at += 4 * RANGE_CELLS) {
		if (RANGE_SPACE(fdt_number(range + at, 1)) == SPACE_MEMORY_32) {
			window.pci = fdt_number(range + at + 4, 2);
			window.cpu = fdt_number(range + at + 12, 2);
			window.size = fdt_number(range + at + 20, 2);
			return true;
		}
	}
	return false;
}

const char *arch_pci_open(void)
{
	struct fdt_node bridge = { 0 };
	uint64_t start, size;

	if (!fdt_next_compatible(&bridge, "pci-host-ecam-generic") ||
	    !fdt_reg(&bridge, 0, &start, &size) || !find_window(&bridge))
		return "no generic PCI host bridge";
	/* Bus 0 is the first MiB of the configuration space. */
	if (!machine_map_device(start, PCI_SLOTS * 8 * CONFIGURATION_SIZE) ||
	    !machine_map_device(window.cpu, window.size))
		return "PCI is beyond this CPU's addresses (machine option highmem=off?)";
	configuration = (uintptr_t)start;
	return NULL;
}

static uintptr_t configuration_at(unsigned slot, unsigned offset)
{
	return configuration + slot * 8 * CONFIGURATION_SIZE + offset;
}

uint32_t arch_pci_read(unsigned slot, unsigned offset)
{
	return mmio_read32(configuration_at(slot, offset));
}

void arch_pci_write(unsigned slot, unsigned offset, uint32_t value)
{
	mmio_write32(configuration_at(slot, offset), value);
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

uint8_t arch_device_read8(uintptr_t address)
{
	return mmio_read8(address);
}

void arch_device_write8(uintptr_t address, uint8_t value)
{
	mmio_write8(address, value);
}

uint16_t arch_device_read16(uintptr_t address)
{
	return mmio_read16(address);
}

void arch_device_write16(uintptr_t address, uint16_t value)
{
	mmio_write16(address, value);
}

uint32_t arch_device_read32(uintptr_t address)
{
	return mmio_read32(address);
}

void arch_device_write32(uintptr_t address, uint32_t value)
{
	mmio_write32(address, value);
}
