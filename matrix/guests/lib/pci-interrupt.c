/* SPDX-License-Identifier: MIT */
/* For architectures whose code here takes no interrupts of devices. */
#include <pci.h>

const char *arch_pci_interrupt_open(unsigned slot, void (*handler)(void))
{
	return "this guest takes no interrupts of devices on this architecture";
}

void arch_interrupts_take(void)
{
}
