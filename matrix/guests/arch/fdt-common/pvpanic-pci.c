/* SPDX-License-Identifier: MIT */
/* arch_panic through QEMU's pvpanic-pci (docs/specs/pvpanic.rst and pci-ids.rst there). */
#include <arch.h>
#include <pci.h>

#define PVPANIC_ID	 0x00111b36u /* device 0x0011 of vendor 0x1b36 */
#define PVPANIC_PANICKED 1u

const char *arch_panic(void)
{
	const char *reason = arch_pci_open();
	unsigned slot;
	uintptr_t events;

	if (reason)
		return reason;
	slot = pci_find(PVPANIC_ID);
	if (slot == PCI_NO_SLOT)
		return "no pvpanic-pci device";
	events = arch_pci_map(slot, 0);
	pci_enable(slot);
	if (!events || !(mmio_read8(events) & PVPANIC_PANICKED))
		return "this pvpanic does not take a panic";
	mmio_write8(events, PVPANIC_PANICKED);
	/* QEMU may be told to let the guest run on. */
	arch_hang();
}
