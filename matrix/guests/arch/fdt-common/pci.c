/* SPDX-License-Identifier: MIT */
/* Devices behind a generic PCI host bridge. */
#include <arch.h>
#include <fdt-machine.h>
#include <fdt.h>
#include <pci.h>

#define CONFIGURATION_SIZE 4096u /* of one function */

static uintptr_t configuration;

const char *arch_pci_open(void)
{
	struct fdt_node bridge = { 0 };
	uint64_t start, size, window, window_size;

	if (!fdt_next_compatible(&bridge, "pci-host-ecam-generic") ||
	    !fdt_reg(&bridge, 0, &start, &size) ||
	    !machine_pci_window(&bridge, &window, &window_size))
		return "no generic PCI host bridge";
	/* Bus 0 is the first MiB of the configuration space. */
	if (!machine_map_device(start, PCI_SLOTS * 8 * CONFIGURATION_SIZE) ||
	    !machine_map_device(window, window_size))
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
