/* SPDX-License-Identifier: MIT */
/*
 * PCI through the GT-64120's two registers, and the ways to end: power management (82371AB), and
 * pvpanic-pci (QEMU docs/specs/pvpanic.rst).
 */
#include <arch.h>
#include <guest.h>

#include "malta.h"

#define CONFIGURATION_ADDRESS UNCACHED(GT64120 + 0xcf8)
#define CONFIGURATION_DATA    UNCACHED(GT64120 + 0xcfc)
#define PCI_SLOTS	      32
#define PCI_ID		      0x00
#define PCI_COMMAND	      0x04
#define PCI_COMMAND_MEMORY    0x2u
#define PCI_BASE_ADDRESS_0    0x10

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
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		if (read_configuration(slot, 0, PCI_ID) != PVPANIC_ID)
			continue;
		/* No other device is configured, so the window's first address is free. */
		write_configuration(slot, 0, PCI_BASE_ADDRESS_0, PCI_MEMORY);
		write_configuration(slot, 0, PCI_COMMAND, PCI_COMMAND_MEMORY);
		if (!(read8(UNCACHED(PCI_MEMORY)) & PVPANIC_PANICKED))
			return "this pvpanic does not take a panic";
		write8(UNCACHED(PCI_MEMORY), PVPANIC_PANICKED);
		/* QEMU may be told to let the guest run on. */
		arch_hang();
	}
	return "no pvpanic-pci device";
}
