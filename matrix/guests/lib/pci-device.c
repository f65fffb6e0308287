/* SPDX-License-Identifier: MIT */
/* What tests of PCI devices do on every architecture. */
#include <pci.h>

/* Message signalled interrupts, PCI Local Bus Specification 3.0, 6.8.1. */
#define CAPABILITY_MESSAGES 0x05
#define MESSAGES_ENABLE	    0x00010000u
#define MESSAGES_64BIT	    0x00800000u
#define MESSAGE_ADDRESS	    0x04

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

bool pci_send_messages(unsigned slot, uint32_t address, uint16_t data)
{
	unsigned at = arch_pci_read(slot, PCI_CAPABILITIES) & 0xfc;
	uint32_t head;

	while (at && ((head = arch_pci_read(slot, at)) & 0xff) != CAPABILITY_MESSAGES)
		at = head >> 8 & 0xfc;
	if (!at)
		return false;
	arch_pci_write(slot, at + MESSAGE_ADDRESS, address);
	if (head & MESSAGES_64BIT)
		arch_pci_write(slot, at + MESSAGE_ADDRESS + 4, 0);
	arch_pci_write(slot, at + (head & MESSAGES_64BIT ? 0xc : 0x8), data);
	arch_pci_write(slot, at, head | MESSAGES_ENABLE);
	return true;
}
