/* SPDX-License-Identifier: MIT */
/*
 * RISC-V: start of every hart in S-mode with its id in a0, and the trap vector. What firmware
 * leaves in registers: RISC-V SBI specification, hart state management; the first hart gets the
 * device tree in a1, the others what they were started with, here their vCPU number.
 */
#include "layout.h"

/* A register's worth: from and to memory, and as data. */
#if __riscv_xlen == 64
#define LOAD	      ld
#define STORE	      sd
#define REGISTER_WORD .dword
#else
#define LOAD	      lw
#define STORE	      sw
#define REGISTER_WORD .word
#endif

#define FIRST_MEMORY 4 /* large pages, of Sv32: the firmware and the image */

    .section .start, "ax"
    .globl image_start
image_start:
    la      t0, image_start
    LOAD    t1, linked_at
    beq     t0, t1, in_place
    la      t2, bss_start
/* Without firmware, as under KVM, QEMU loads the image where the memory begins. */
move:
    LOAD    t3, (t0)
    STORE   t3, (t1)
    addi    t0, t0, REGISTER_SIZE
    addi    t1, t1, REGISTER_SIZE
    bltu    t0, t2, move
    fence.i
    LOAD    t1, linked_at
    jr      t1
    .balign 8
linked_at:
    REGISTER_WORD image_start
in_place:
    la      t0, booted
    li      t1, 1
    amoswap.w.aq t1, t1, (t0)
    bnez    t1, misdirected
    mv      s0, a0
    mv      s1, a1
    call    cpu_setup
    la      t0, bss_start
    la      t1, image_end
clear:
    STORE   zero, (t0)
    addi    t0, t0, REGISTER_SIZE
    bltu    t0, t1, clear
    la      t0, boot_hart
    STORE   s0, (t0)
    li      tp, 0
    la      sp, cpu_stacks
    li      t0, CPU_STACK_SIZE
    add     sp, sp, t0
    mv      a0, s1
    tail    guest_main

/* OpenSBI 1.1 tells a hart to start before it has stored where and with what, so that one which is
 * quick comes here like the first. All that it has is its id. */
misdirected:
    la      t0, hart_ids
    li      a1, 0
next_id:
    addi    a1, a1, 1
    addi    t0, t0, REGISTER_SIZE
    LOAD    t1, (t0)
    bne     t1, a0, next_id

    .globl secondary_start
    .balign 4
secondary_start:
    mv      s1, a1
    call    cpu_setup
    mv      tp, s1
    la      sp, cpu_stacks
    addi    t0, s1, 1
    li      t1, CPU_STACK_SIZE
    mul     t0, t0, t1
    add     sp, sp, t0
    mv      a0, s1
    tail    secondary_main

/* Turn the MMU on, set the trap vector. Changes t0 and t1; needs no stack or memory. */
cpu_setup:
    csrw    sie, zero
    csrci   sstatus, 2              /* SIE */
    la      t0, trap
    csrw    stvec, t0
    la      t0, page_table
    srli    t0, t0, 12
    li      t1, SATP_MODE
    or      t0, t0, t1
    csrw    satp, t0
    sfence.vma
    ret

    .section .text.fault_probe, "ax"
    .globl fault_probe
    .balign 4
fault_probe:
    .option push
    .option norvc
    lw      a0, (a0)
    .option pop
    ret

    .section .text.trap, "ax"
    .balign 4
trap:
    addi    sp, sp, -FRAME_SIZE
    STORE   ra, 0 * REGISTER_SIZE(sp)
    STORE   t0, 1 * REGISTER_SIZE(sp)
    STORE   t1, 2 * REGISTER_SIZE(sp)
    STORE   t2, 3 * REGISTER_SIZE(sp)
    STORE   a0, 4 * REGISTER_SIZE(sp)
    STORE   a1, 5 * REGISTER_SIZE(sp)
    STORE   a2, 6 * REGISTER_SIZE(sp)
    STORE   a3, 7 * REGISTER_SIZE(sp)
    STORE   a4, 8 * REGISTER_SIZE(sp)
    STORE   a5, 9 * REGISTER_SIZE(sp)
    STORE   a6, 10 * REGISTER_SIZE(sp)
    STORE   a7, 11 * REGISTER_SIZE(sp)
    STORE   t3, 12 * REGISTER_SIZE(sp)
    STORE   t4, 13 * REGISTER_SIZE(sp)
    STORE   t5, 14 * REGISTER_SIZE(sp)
    STORE   t6, 15 * REGISTER_SIZE(sp)
    csrr    a0, scause
    csrr    a1, sepc
    csrr    a2, stval
    call    trap_handler            /* returns where to go on */
    csrw    sepc, a0
    LOAD    ra, 0 * REGISTER_SIZE(sp)
    LOAD    t0, 1 * REGISTER_SIZE(sp)
    LOAD    t1, 2 * REGISTER_SIZE(sp)
    LOAD    t2, 3 * REGISTER_SIZE(sp)
    LOAD    a0, 4 * REGISTER_SIZE(sp)
    LOAD    a1, 5 * REGISTER_SIZE(sp)
    LOAD    a2, 6 * REGISTER_SIZE(sp)
    LOAD    a3, 7 * REGISTER_SIZE(sp)
    LOAD    a4, 8 * REGISTER_SIZE(sp)
    LOAD    a5, 9 * REGISTER_SIZE(sp)
    LOAD    a6, 10 * REGISTER_SIZE(sp)
    LOAD    a7, 11 * REGISTER_SIZE(sp)
    LOAD    t3, 12 * REGISTER_SIZE(sp)
    LOAD    t4, 13 * REGISTER_SIZE(sp)
    LOAD    t5, 14 * REGISTER_SIZE(sp)
    LOAD    t6, 15 * REGISTER_SIZE(sp)
    addi    sp, sp, FRAME_SIZE
    sret

/* Not in .bss, which the first hart clears. */
    .section .data.booted, "aw"
    .balign 4
booted:
    .word   0

/* Devices below 2 GiB, memory from there: the first of it until the device tree has been read. */
    .section .data.page_table, "aw"
    .balign 4096
    .globl page_table
page_table:
#if __riscv_xlen == 64
    .quad   PAGE_DEVICE
    .quad   PAGE_DEVICE | 1 << PAGES_SHIFT
    .quad   PAGE_MEMORY | 2 << PAGES_SHIFT
    .fill   TABLE_ENTRIES - 3, 8, 0
#else
    .set    page, 0
    .rept   TABLE_ENTRIES / 2
    .if page == UNMAPPED_ADDRESS >> LARGE_PAGE_SHIFT
    .long   0
    .else
    .long   PAGE_DEVICE | page << PAGES_SHIFT
    .endif
    .set    page, page + 1
    .endr
    .rept   FIRST_MEMORY
    .long   PAGE_MEMORY | page << PAGES_SHIFT
    .set    page, page + 1
    .endr
    .fill   TABLE_ENTRIES / 2 - FIRST_MEMORY, 4, 0
#endif
