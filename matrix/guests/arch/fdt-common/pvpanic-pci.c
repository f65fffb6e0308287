/* SPDX-License-Identifier: MIT */
/*
 * arch_panic through QEMU's pvpanic-pci behind a generic PCI host bridge, which firmware has left
 * unconfigured. Numbers: QEMU docs/specs/pvpanic.rst and pci-ids.rst; the PCI bus binding to Open
 * Firmware for "ranges".
 */
#include <arch.h>
#include <fdt-machine.h>
#include <fdt.h>

#define PVPANIC_ID	 0x00111b36u /* device 0x0011 of vendor 0x1b36 */
#define PVPANIC_PANICKED 1u

#define SLOTS		   32
#define CONFIGURATION_SIZE 4096u /* of one function */
#define COMMAND		   0x04
#define COMMAND_MEMORY	   0x2u
#define BASE_ADDRESS_0	   0x10

#define RANGE_CELLS	   7 /* flags, PCI address (2), CPU address (2), size (2) */
#define RANGE_SPACE(flags) ((flags) >> 24 & 3)
#define SPACE_MEMORY_32	   2

/* The window through which the CPU reaches 32-bit PCI memory addresses. */
struct window {
	uint64_t pci, cpu, size;
};

static bool find_window(const struct fdt_node *bridge, struct window *window)
{
	size_t length;
	const uint8_t *range = fdt_property(bridge, "ranges", &length);

	for (size_t at = 0; range != NULL && at + 4 * RANGE_CELLS <= length;
	     at += 4 * RANGE_CELLS) {
		if (RANGE_SPACE(fdt_number(range + at, 1)) == SPACE_MEMORY_32) {
			window->pci = fdt_number(range + at + 4, 2);
			window->cpu = fdt_number(range + at + 12, 2);
			window->size = fdt_number(range + at + 20, 2);
			return true;
		}
	}
	return false;
}

/* The device's configuration space on bus 0; 0 where it is not there. */
static uintptr_t find_device(uint64_t configuration)
{
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		uintptr_t function = (uintptr_t)configuration + slot * 8 * CONFIGURATION_SIZE;

		if (mmio_read32(function) == PVPANIC_ID)
			return function;
	}
	return 0;
}

const char *arch_panic(void)
{
	struct fdt_node bridge = { 0 };
	struct window window;
	uint64_t configuration, size;
	uintptr_t device;

	if (!fdt_next_compatible(&bridge, "pci-host-ecam-generic") ||
	    !fdt_reg(&bridge, 0, &configuration, &size) || !find_window(&bridge, &window))
		return "no generic PCI host bridge";
	/* Bus 0 is the first MiB of the configuration space. */
	if (!machine_map_device(configuration, SLOTS * 8 * CONFIGURATION_SIZE) ||
	    !machine_map_device(window.cpu, window.size))
		return "PCI is beyond this CPU's addresses (machine option highmem=off?)";
	device = find_device(configuration);
	if (device == 0)
		return "no pvpanic-pci device";
	/* No other device is configured, so the window's first address is free. */
	mmio_write32(device + BASE_ADDRESS_0, (uint32_t)window.pci);
	mmio_write32(device + COMMAND, COMMAND_MEMORY);
	if (!(mmio_read8((uintptr_t)window.cpu) & PVPANIC_PANICKED))
		return "this pvpanic does not take a panic";
	mmio_write8((uintptr_t)window.cpu, PVPANIC_PANICKED);
	/* QEMU may be told to let the guest run on. */
	arch_hang();
}
