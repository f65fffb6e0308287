/* SPDX-License-Identifier: MIT */
/* For architectures whose code here takes no messages of PCI devices. */
#include <pci.h>

const char *arch_pci_message_open(uint32_t *address, uint16_t *data, void (*handler)(void))
{
	return "this guest takes no messages of PCI devices on this architecture";
}
