/* SPDX-License-Identifier: MIT */
/* What the parts of RISC-V offer each other. */
#ifndef RISCV_H
#define RISCV_H

#include <arch.h>

/* start.S: the image and its .bss; where a vCPU begins, with its number as context; the root page
 * table; a load whose fault is expected. */
extern const char image_start[], image_end[];
void secondary_start(void);
extern unsigned long page_table[];
void fault_probe(uintptr_t address);

/* machine.c: the vCPUs' stacks, the id of the first hart and of all by vCPU, what start.S calls on
 * the other ones. */
extern uint8_t cpu_stacks[MAX_CPUS][STACK_SIZE];
extern unsigned long boot_hart, hart_ids[MAX_CPUS];
_Noreturn void secondary_main(unsigned cpu);

/* console.c */
void console_open(void);

/* mmu.c: an identity map. First the device tree alone, which may be anywhere in memory; then all
 * the memory that it describes. */
void mmu_map_tree(uintptr_t device_tree);
void mmu_open(void);

/* timer.c */
void timer_open(void);
void timer_off(void);
void timer_interrupt(uint64_t now);

#endif
