/* SPDX-License-Identifier: MIT */
/* What C and assembly agree on: stacks and long-format translation descriptors. */
#ifndef LAYOUT_H
#define LAYOUT_H

/* STACK_SIZE of arch.h, which the assembler cannot read. */
#define CPU_STACK_SIZE 8192

/* What MAIR says: index 0 is write-back memory, index 1 is a device (nGnRE). */
#define TRANSLATION_ATTRIBUTES 0x04ff

/* A table has 1 GiB blocks: 39 bits of addresses for aarch64, all 32 for arm. Memory is inner
 * shareable; nobody executes a device's registers, and EL0, where that can be told apart, nothing.
 * Numbers instead of shifts: the assembler's and C's rules for wide ones differ. */
#ifdef __aarch64__
#define TRANSLATION_ENTRIES 512
#define TRANSLATION_MEMORY  0x0040000000000701
#else
#define TRANSLATION_ENTRIES 4
#define TRANSLATION_MEMORY  0x0000000000000701
#endif
#define TRANSLATION_DEVICE 0x0060000000000405
#define TRANSLATION_TABLE  3

#endif
