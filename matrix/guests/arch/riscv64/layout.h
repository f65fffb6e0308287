/* SPDX-License-Identifier: MIT */
/* What C and assembly agree on: stacks and Sv39 page table entries. */
#ifndef LAYOUT_H
#define LAYOUT_H

/* STACK_SIZE of arch.h, which the assembler cannot read. */
#define CPU_STACK_SIZE 8192

/* Registers that a trap saves. */
#define FRAME_SIZE 128

/* satp's mode field for Sv39; entries of 1 GiB: global, accessed and dirty beforehand. */
#define SATP_SV39	  8
#define TABLE_ENTRIES	  512
#define PAGE_MEMORY	  0xef /* read, write, execute */
#define PAGE_DEVICE	  0xe7 /* read, write */
#define PAGE_NUMBER_SHIFT 10
#define GIB_SHIFT	  30
#define GIB_PAGES_SHIFT	  (GIB_SHIFT - 12 + PAGE_NUMBER_SHIFT)

#endif
