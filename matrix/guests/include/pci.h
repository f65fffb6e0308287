/* SPDX-License-Identifier: MIT */
/*
 * PCI devices on bus 0, function 0 of each slot: what an architecture that has them
 * provides to the tests of devices, beside arch.h. lib/pci-interrupt.c is for one that takes none
 * of their interrupts.
 */
#ifndef PCI_H
#define PCI_H

#include <stdbool.h>
#include <stdint.h>

/* Registers of a function's configuration space, and bits of its command register. */
#define PCI_ID		       0x00
#define PCI_COMMAND	       0x04
#define PCI_BASE_ADDRESS_0     0x10
#define PCI_CAPABILITIES       0x34
#define PCI_INTERRUPT_LINE     0x3c
#define PCI_COMMAND_MEMORY     0x002u
#define PCI_COMMAND_MASTER     0x004u
#define PCI_COMMAND_INTX_OFF   0x400u
#define PCI_BASE_ADDRESS_64BIT 0x4u

#define PCI_SLOTS   32
#define PCI_NO_SLOT PCI_SLOTS

/* Find the host bridge: NULL, or the reason why there is no PCI. */
const char *arch_pci_open(void);
/* 32 bits of a configuration space, at a multiple of four. */
uint32_t arch_pci_read(unsigned slot, unsigned offset);
void arch_pci_write(unsigned slot, unsigned offset, uint32_t value);
/* Where the registers behind a base address register are, which gets an address where firmware has
 * given it none; 0 where there is no room. */
uintptr_t arch_pci_map(unsigned slot, unsigned bar);

/* Registers of devices, where compiled code must not choose the instruction. */
uint8_t arch_device_read8(uintptr_t address);
void arch_device_write8(uintptr_t address, uint8_t value);
uint16_t arch_device_read16(uintptr_t address);
void arch_device_write16(uintptr_t address, uint16_t value);
uint32_t arch_device_read32(uintptr_t address);
void arch_device_write32(uintptr_t address, uint32_t value);

/* From now on this vCPU calls handler on INTA of the slot, whenever arch_interrupts_take lets it;
 * the handler has the device withdraw it. One slot at a time. NULL, or the reason why not. */
const char *arch_pci_interrupt_open(unsigned slot, void (*handler)(void));
/* From now on this vCPU calls handler for each message (MSI) of those data to that address by the
 * slot whose interrupt was opened before. NULL, or the reason why not. lib/pci-message.c is for
 * architectures that take none here. */
const char *arch_pci_message_open(uint32_t *address, uint16_t *data, void (*handler)(void));
/* Take the interrupts that are pending. */
void arch_interrupts_take(void);

/* lib/pci-device.c: the first slot with that device (high half) of that vendor; PCI_NO_SLOT. */
unsigned pci_find(uint32_t id);
/* Let a device answer to its addresses, write to memory and interrupt. */
void pci_enable(unsigned slot);
/* From now on a device interrupts by that message; false where it cannot. */
bool pci_send_messages(unsigned slot, uint32_t address, uint16_t data);

#endif
