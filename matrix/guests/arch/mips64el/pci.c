/* SPDX-License-Identifier: MIT */
/*
 * PCI through the GT-64120's two registers, and the ways to end: power management (82371AB), and
 * pvpanic-pci (QEMU docs/specs/pvpanic.rst).
 */
#include <arch.h>
#include <guest.h>
#include <pci.h>

#include "malta.h"

#define CONFIGURATION_ADDRESS UNCACHED(GT64120 + 0xcf8)
#define CONFIGURATION_DATA    UNCACHED(GT64120 + 0xcfc)
#define WINDOW_SIZE	      0x08000000u /* of PCI_MEMORY */

#define PVPANIC_ID	 0x00111b36u /* device 0x0011 of vendor 0x1b36 */
#define PVPANIC_PANICKED 1u

/* The south bridge is in slot 10; its function 3 is power management. */
#define POWER_MANAGEMENT    10, 3
#define POWER_BASE	    0x40
#define POWER_MISCELLANEOUS 0x80
#define POWER_IO_ENABLE	    1u
#define POWER_IO	    0x1000u /* where we put its registers */
#define POWER_CONTROL	    4
#define POWER_SLEEP_ENABLE  (1u << 13) /* with sleep type 0: soft off */

static void select_configuration(unsigned slot, unsigned function, unsigned offset)
{
	write32(CONFIGURATION_ADDRESS, 1u << 31 | slot << 11 | function << 8 | offset);
}

static uint32_t read_configuration(unsigned slot, unsigned function, unsigned offset)
{
	select_configuration(slot, function, offset);
	return read32(CONFIGURATION_DATA);
}

static void write_configuration(unsigned slot, unsigned function, unsigned offset, uint32_t value)
{
	select_configuration(slot, function, offset);
	write32(CONFIGURATION_DATA, value);
}

_Noreturn void arch_exit(int code)
{
	printf("EXIT: STATUS=%d\n", code << 1 | 1);
	write_configuration(POWER_MANAGEMENT, POWER_BASE, POWER_IO | 1);
	write_configuration(POWER_MANAGEMENT, POWER_MISCELLANEOUS, POWER_IO_ENABLE);
	write16(UNCACHED(PCI_IO + POWER_IO + POWER_CONTROL), POWER_SLEEP_ENABLE);
	arch_hang();
}

_Noreturn void arch_hang(void)
{
	write_cp0(STATUS, read_cp0(STATUS) & ~(STATUS_IE | STATUS_IM));
	for (;;)
		__asm__ volatile("wait");
}

const char *arch_panic(void)
{
	const unsigned slot = pci_find(PVPANIC_ID);
	uintptr_t events;

	if (slot == PCI_NO_SLOT)
		return "no pvpanic-pci device";
	events = arch_pci_map(slot, 0);
	pci_enable(slot);
	if (!events || !(read8(events) & PVPANIC_PANICKED))
		return "this pvpanic does not take a panic";
	write8(events, PVPANIC_PANICKED);
	/* QEMU may be told to let the guest run on. */
	arch_hang();
}

const char *arch_pci_open(void)
{
	return NULL;
}

uint32_t arch_pci_read(unsigned slot, unsigned offset)
{
	return read_configuration(slot, 0, offset);
}

void arch_pci_write(unsigned slot, unsigned offset, uint32_t value)
{
	write_configuration(slot, 0, offset, value);
}

/* Nobody has given addresses before: QEMU's start of the board does not. */
uintptr_t arch_pci_map(unsigned slot, unsigned bar)
{
	static uint32_t used;
	const unsigned offset = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint32_t mask, size, at;

	arch_pci_write(slot, offset, ~0u);
	mask = arch_pci_read(slot, offset);
	size = ~(mask & ~0xfu) + 1u;
	at = (used + size - 1) & ~(size - 1);
	if (size == 0 || size > WINDOW_SIZE || at > WINDOW_SIZE - size)
		return 0;
	used = at + size;
	arch_pci_write(slot, offset, PCI_MEMORY + at);
	if (mask & PCI_BASE_ADDRESS_64BIT)
		arch_pci_write(slot, offset + 4, 0);
	return UNCACHED(PCI_MEMORY + at);
}

uint8_t arch_device_read8(uintptr_t address)
{
	return read8(address);
}

void arch_device_write8(uintptr_t address, uint8_t value)
{
	write8(address, value);
}

uint16_t arch_device_read16(uintptr_t address)
{
	return read16(address);
}

void arch_device_write16(uintptr_t address, uint16_t value)
{
	write16(address, value);
}

uint32_t arch_device_read32(uintptr_t address)
{
	return read32(address);
}

void arch_device_write32(uintptr_t address, uint32_t value)
{
	write32(address, value);
}
