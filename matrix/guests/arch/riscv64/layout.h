/* SPDX-License-Identifier: MIT */
/* What C and assembly agree on: registers, stacks, and page table entries, Sv39 or Sv32. */
#ifndef LAYOUT_H
#define LAYOUT_H

/* STACK_SIZE of arch.h, which the assembler cannot read. */
#define CPU_STACK_SIZE 8192

/* The root table's entries are the largest pages. satp's mode is in its highest bits. Nothing is
 * mapped at this address unless memory is: on riscv32, there is none below 2 GiB, and no device. */
#if __riscv_xlen == 64
#define SATP_MODE	 (8 << 60) /* Sv39 */
#define TABLE_ENTRIES	 512
#define LARGE_PAGE_SHIFT 30
#define UNMAPPED_ADDRESS 0x3ffffff000
#else
#define SATP_MODE	 (1 << 31) /* Sv32 */
#define TABLE_ENTRIES	 1024
#define LARGE_PAGE_SHIFT 22
#define UNMAPPED_ADDRESS 0x0b000000
#endif
#define PAGE_NUMBER_SHIFT 10
#define PAGES_SHIFT	  (LARGE_PAGE_SHIFT - 12 + PAGE_NUMBER_SHIFT)

/* Entries: global, accessed and dirty beforehand. */
#define PAGE_MEMORY 0xef /* read, write, execute */
#define PAGE_DEVICE 0xe7 /* read, write */

/* Registers that a trap saves. */
#define REGISTER_SIZE (__riscv_xlen / 8)
#define FRAME_SIZE    (16 * REGISTER_SIZE)

#endif
