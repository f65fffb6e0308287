/* SPDX-License-Identifier: MIT */
/* PCI by configuration mechanism 1; firmware has given devices their addresses and PIC lines. */
#include <arch.h>
#include <pci.h>
#include <x86.h>

#define ADDRESS_PORT 0xcf8
#define DATA_PORT    0xcfc
#define ENABLE	     0x80000000u
#define NOTHING	     0xffffffffu
#define LINE_MASK    0xffu
#define BASE_MASK    0xfffffff0u
#define MESSAGE_BASE 0xfee00000u

static unsigned open_line;
static void (*open_handler)(void);
static void (*message_handler)(void);

uint32_t arch_pci_read(unsigned slot, unsigned offset)
{
	port_write32(ADDRESS_PORT, ENABLE | slot << 11 | offset);
	return port_read32(DATA_PORT);
}

void arch_pci_write(unsigned slot, unsigned offset, uint32_t value)
{
	port_write32(ADDRESS_PORT, ENABLE | slot << 11 | offset);
	port_write32(DATA_PORT, value);
}

const char *arch_pci_open(void)
{
	return arch_pci_read(0, PCI_ID) == NOTHING ? "no PCI host bridge" : 0;
}

uintptr_t arch_pci_map(unsigned slot, unsigned bar)
{
	const uint32_t low = arch_pci_read(slot, PCI_BASE_ADDRESS_0 + 4 * bar);

	if (low & PCI_BASE_ADDRESS_64BIT && arch_pci_read(slot, PCI_BASE_ADDRESS_0 + 4 * bar + 4))
		return 0; /* beyond what is mapped */
	return low & BASE_MASK;
}

uint8_t arch_device_read8(uintptr_t address)
{
	uint8_t value;

	__asm__ volatile("movb (%1), %0" : "=q"(value) : "r"(address) : "memory");
	return value;
}

void arch_device_write8(uintptr_t address, uint8_t value)
{
	__asm__ volatile("movb %0, (%1)" : : "q"(value), "r"(address) : "memory");
}

uint16_t arch_device_read16(uintptr_t address)
{
	uint16_t value;

	__asm__ volatile("movw (%1), %0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

void arch_device_write16(uintptr_t address, uint16_t value)
{
	__asm__ volatile("movw %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

uint32_t arch_device_read32(uintptr_t address)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

void arch_device_write32(uintptr_t address, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

const char *arch_pci_interrupt_open(unsigned slot, void (*handler)(void))
{
	open_line = arch_pci_read(slot, PCI_INTERRUPT_LINE) & LINE_MASK;
	if (open_line == 0 || open_line >= PIC_LINES)
		return "firmware has given the device no interrupt";
	open_handler = handler;
	pic_open(open_line);
	return 0;
}

bool pci_interrupt_taken(unsigned line)
{
	if (!open_handler || line != open_line)
		return false;
	open_handler();
	pic_end(line);
	return true;
}

const char *arch_pci_message_open(uint32_t *address, uint16_t *data, void (*handler)(void))
{
	if (arch_timer_problem())
		return arch_timer_problem();
	message_handler = handler;
	/* Fixed delivery to one CPU, on an edge: Intel SDM volume 3, 11.11. */
	*address = MESSAGE_BASE | (uint32_t)apic_id() << 12;
	*data = VECTOR_MESSAGE;
	return 0;
}

void pci_message_taken(void)
{
	if (message_handler)
		message_handler();
	apic_end_of_interrupt();
}

void arch_interrupts_take(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}
