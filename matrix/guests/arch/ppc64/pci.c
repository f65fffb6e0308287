/* SPDX-License-Identifier: MIT */
/*
 * Devices behind a PCI host bridge of the platform: RTAS for their configuration (LoPAR, 7.3.6),
 * the hypervisor's cache-inhibited loads and stores (14.5.4) for their registers, which are out of
 * reach of a CPU whose MMU is off. Nobody has given them addresses, as Open Firmware is not there.
 */
#include <arch.h>
#include <fdt-machine.h>
#include <fdt.h>
#include <pci.h>

#include "pseries.h"

#define CONFIGURATION(slot, offset) ((slot) << 11 | (offset)) /* of bus 0 and function 0 */
#define WIDTH			    4u			      /* of an access to it */
#define NOBODY			    0xffffffffu

static uint64_t unit; /* the bridge, as RTAS calls it */

const char *arch_pci_open(void)
{
	struct fdt_node bridge = { 0 };
	uint64_t start, size;

	if (!fdt_next_compatible(&bridge, "IBM,Logical_PHB") ||
	    !fdt_reg(&bridge, 0, &unit, &size) || !machine_pci_window(&bridge, &start, &size))
		return "no PCI host bridge";
	return NULL;
}

uint32_t arch_pci_read(unsigned slot, unsigned offset)
{
	const uint32_t arguments[] = { CONFIGURATION(slot, offset), (uint32_t)(unit >> 32),
				       (uint32_t)unit, WIDTH };
	uint32_t value;

	if (rtas_ask("ibm,read-pci-config", 4, arguments, &value))
		return NOBODY;
	return value;
}

void arch_pci_write(unsigned slot, unsigned offset, uint32_t value)
{
	const uint32_t arguments[] = { CONFIGURATION(slot, offset), (uint32_t)(unit >> 32),
				       (uint32_t)unit, WIDTH, value };

	rtas_call("ibm,write-pci-config", 5, arguments);
}

/* The hypervisor reads and writes in big-endian order, and the registers are in the other one. */

static uint64_t load(uintptr_t address, unsigned size)
{
	uint64_t values[4] = { size, address };

	hypervisor_call(H_CI_LOAD, values);
	return values[0];
}

static void store(uintptr_t address, unsigned size, uint64_t value)
{
	hypervisor_call(H_CI_STORE, (uint64_t[4]){ size, address, value });
}

uint8_t arch_device_read8(uintptr_t address)
{
	return (uint8_t)load(address, 1);
}

void arch_device_write8(uintptr_t address, uint8_t value)
{
	store(address, 1, value);
}

uint16_t arch_device_read16(uintptr_t address)
{
	return __builtin_bswap16((uint16_t)load(address, 2));
}

void arch_device_write16(uintptr_t address, uint16_t value)
{
	store(address, 2, __builtin_bswap16(value));
}

uint32_t arch_device_read32(uintptr_t address)
{
	return __builtin_bswap32((uint32_t)load(address, 4));
}

void arch_device_write32(uintptr_t address, uint32_t value)
{
	store(address, 4, __builtin_bswap32(value));
}
