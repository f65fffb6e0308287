/* SPDX-License-Identifier: MIT */
/*
 * INTA of a PCI device, which is a shared interrupt of the controller: the PCI bus binding to Open
 * Firmware has "interrupt-map", the binding of the Arm GIC the three cells of an interrupt.
 */
#include <arm-registers.h>
#include <fdt-machine.h>
#include <fdt.h>
#include <pci.h>

#include "arm.h"

#define SHARED_BASE 32u /* interrupt number of shared interrupt 0 */
#define PIN_A	    1u

/* An entry: the device's address (3), pin, controller, its own address (2), type, number, flags. */
enum { ADDRESS = 0, PIN = 3, NUMBER = 8, CELLS = 10 };

static unsigned open_slot, open_interrupt;
static void (*open_handler)(void);

static bool find_interrupt(unsigned slot, unsigned *interrupt)
{
	struct fdt_node bridge = { 0 };
	uint32_t mask, address, pin, number;

	if (!fdt_next_compatible(&bridge, "pci-host-ecam-generic") ||
	    !fdt_cell(&bridge, "interrupt-map-mask", 0, &mask))
		return false;
	for (unsigned i = 0; fdt_cell(&bridge, "interrupt-map", i + NUMBER, &number); i += CELLS) {
		fdt_cell(&bridge, "interrupt-map", i + ADDRESS, &address);
		fdt_cell(&bridge, "interrupt-map", i + PIN, &pin);
		if (address == (slot << 11 & mask) && pin == PIN_A) {
			*interrupt = SHARED_BASE + number;
			return true;
		}
	}
	return false;
}

const char *arch_pci_interrupt_open(unsigned slot, void (*handler)(void))
{
	if (arch_timer_problem())
		return arch_timer_problem(); /* the interrupt controller's, mostly */
	if (!find_interrupt(slot, &open_interrupt))
		return "the device tree does not say which interrupts PCI devices have";
	open_slot = slot;
	open_handler = handler;
	gic_open_shared(open_interrupt);
	return NULL;
}

unsigned pci_interrupt_slot(void)
{
	return open_slot;
}

bool pci_interrupt_taken(unsigned interrupt)
{
	if (!open_handler || interrupt != open_interrupt)
		return false;
	open_handler();
	return true;
}

void arch_interrupts_take(void)
{
	interrupts_enable();
	interrupts_disable();
}
