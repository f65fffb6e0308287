/* SPDX-License-Identifier: MIT */
/*
 * riscv64: start of every hart in S-mode with its id in a0, and the trap vector. What firmware
 * leaves in registers: RISC-V SBI specification, hart state management; the first hart gets the
 * device tree in a1, the others what they were started with, here their vCPU number.
 */
#include "layout.h"

    .section .start, "ax"
    .globl image_start
image_start:
    la      t0, image_start
    ld      t1, linked_at
    beq     t0, t1, in_place
    la      t2, bss_start
/* Without firmware, as under KVM, QEMU loads the image where the memory begins. */
move:
    ld      t3, (t0)
    sd      t3, (t1)
    addi    t0, t0, 8
    addi    t1, t1, 8
    bltu    t0, t2, move
    fence.i
    ld      t1, linked_at
    jr      t1
    .balign 8
linked_at:
    .dword  image_start
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
    sd      zero, (t0)
    addi    t0, t0, 8
    bltu    t0, t1, clear
    la      t0, boot_hart
    sd      s0, (t0)
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
    addi    t0, t0, 8
    ld      t1, (t0)
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
    li      t1, SATP_SV39 << 60
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
    sd      ra, 0(sp)
    sd      t0, 8(sp)
    sd      t1, 16(sp)
    sd      t2, 24(sp)
    sd      a0, 32(sp)
    sd      a1, 40(sp)
    sd      a2, 48(sp)
    sd      a3, 56(sp)
    sd      a4, 64(sp)
    sd      a5, 72(sp)
    sd      a6, 80(sp)
    sd      a7, 88(sp)
    sd      t3, 96(sp)
    sd      t4, 104(sp)
    sd      t5, 112(sp)
    sd      t6, 120(sp)
    csrr    a0, scause
    csrr    a1, sepc
    csrr    a2, stval
    call    trap_handler            /* returns where to go on */
    csrw    sepc, a0
    ld      ra, 0(sp)
    ld      t0, 8(sp)
    ld      t1, 16(sp)
    ld      t2, 24(sp)
    ld      a0, 32(sp)
    ld      a1, 40(sp)
    ld      a2, 48(sp)
    ld      a3, 56(sp)
    ld      a4, 64(sp)
    ld      a5, 72(sp)
    ld      a6, 80(sp)
    ld      a7, 88(sp)
    ld      t3, 96(sp)
    ld      t4, 104(sp)
    ld      t5, 112(sp)
    ld      t6, 120(sp)
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
    .quad   PAGE_DEVICE
    .quad   PAGE_DEVICE | 1 << GIB_PAGES_SHIFT
    .quad   PAGE_MEMORY | 2 << GIB_PAGES_SHIFT
    .fill   TABLE_ENTRIES - 3, 8, 0
