/* SPDX-License-Identifier: MIT */
/* The parts of QEMU's Arm "virt" machine, as aarch64 and arm use them. */
#ifndef ARM_H
#define ARM_H

#include <arch.h>

/* start.S: the image and its .bss; where a vCPU begins, with its number as context; the level 1
 * translation table; a load whose fault is expected. */
extern const char image_start[], image_end[];
void secondary_start(void);
extern uint64_t translation_table[];
void fault_probe(uintptr_t address);

/* mmu.c: an identity map. The first 64 MiB, where the flash is, stay unmapped: NULL and what is
 * near it fault. */
#define UNMAPPED_ADDRESS 0x1000u
void mmu_open(void);

/* pl011.c */
void console_open(void);

/* gic.c: the interrupt controller, GICv2 or GICv3, as far as private interrupts need it. Both
 * open functions return NULL or the reason why interrupts do not work. */
const char *gic_open(void);
const char *gic_open_cpu(const unsigned *interrupts, unsigned count);
/* Have a shared interrupt, a level, go to this CPU. */
void gic_open_shared(unsigned interrupt);
/* Have a shared interrupt be an edge. */
void gic_set_edge(unsigned interrupt);
/* This CPU's redistributor; 0 where it has none, as with a GICv2. */
uintptr_t gic_redistributor(void);
#define GIC_SPURIOUS 1020u
#define GIC_MESSAGES 8192u
/* The interrupt's number, GIC_SPURIOUS up to GIC_MESSAGES where there is none. End takes *token
 * back. */
unsigned gic_acknowledge(uint32_t *token);
void gic_end(uint32_t token);

/* timer.c: interrupts are taken to here. */
void timer_open(void);
void timer_open_cpu(void);
void timer_off(void);
void interrupt_handler(void);

/* its.c: from now on a device that writes 0 to the address has this CPU take the interrupt,
 * GIC_MESSAGES or one of the 31 above. NULL, or the reason why not. */
const char *its_open(unsigned device, unsigned interrupt, uint32_t *address);

/* pci-interrupt.c, pci-message.c: the slot whose interrupt is open; whether an interrupt was a PCI
 * device's, which is then dealt with. */
unsigned pci_interrupt_slot(void);
bool pci_interrupt_taken(unsigned interrupt);
bool pci_message_taken(unsigned interrupt);

/* psci.c: power state. Start returns NULL or the reason. */
void psci_open(void);
const char *psci_cpu_start(uint64_t affinity, uintptr_t entry, unsigned long context);
void psci_power_off(void);

/* testdev.c: end QEMU with a code, where it has its testdev; returns where not. */
void testdev_exit(int code);

/* machine.c: the vCPUs' stacks; what start.S calls on every vCPU but the first. */
extern uint8_t cpu_stacks[MAX_CPUS][STACK_SIZE];
_Noreturn void secondary_main(unsigned cpu);

/* exception.c of each architecture: how many expected faults were taken. */
extern unsigned faults_taken;

#endif
