/* SPDX-License-Identifier: MIT */
/* What tests of PCI devices do on every architecture. */
#include <pci.h>

unsigned pci_find(uint32_t id)
{
	unsigned slot = 0;

	while (slot < PCI_SLOTS && arch_pci_read(slot, PCI_ID) != id)
		slot++;
	return slot;
}

void pci_enable(unsigned slot)
{
	uint32_t command = arch_pci_read(slot, PCI_COMMAND) & 0xffff & ~PCI_COMMAND_INTX_OFF;

	/* The status register is the other half, where ones clear what they find. */
	arch_pci_write(slot, PCI_COMMAND, command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}
