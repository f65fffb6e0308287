/* SPDX-License-Identifier: MIT */
/*
 * Start of each CPU, in direct address translation: memory and devices are at their physical
 * addresses. The number of this vCPU is in $tp; that of another one than the first comes with the
 * message that starts it, in mailbox 1.
 */
#include "layout.h"

    .section .start, "ax"
    .globl  image_start
image_start:
    la.local $t0, bss_start
    la.local $t1, image_end
clear:
    st.d    $zero, $t0, 0
    addi.d  $t0, $t0, 8
    bltu    $t0, $t1, clear
    move    $tp, $zero
    la.local $sp, cpu_stacks
    li.w    $t0, CPU_STACK_SIZE
    add.d   $sp, $sp, $t0
    la.local $t0, exception_entry
    csrwr   $t0, CSR_ENTRY
    b       guest_main

    .globl  secondary_start
secondary_start:
    li.w    $t0, MAILBOX_1
    iocsrrd.d $tp, $t0
    la.local $sp, cpu_stacks
    addi.d  $t0, $tp, 1
    li.w    $t1, CPU_STACK_SIZE
    mul.d   $t0, $t0, $t1
    add.d   $sp, $sp, $t0
    la.local $t0, exception_entry
    csrwr   $t0, CSR_ENTRY
    move    $a0, $tp
    b       secondary_main

/* Exceptions and interrupts alike: the low 12 bits of its address are zero. */
    .section .text.exception_entry, "ax"
    .balign 4096
exception_entry:
    addi.d  $sp, $sp, -FRAME_SIZE
    st.d    $ra, $sp, 0
    st.d    $t0, $sp, 8
    st.d    $t1, $sp, 16
    st.d    $t2, $sp, 24
    st.d    $t3, $sp, 32
    st.d    $t4, $sp, 40
    st.d    $t5, $sp, 48
    st.d    $t6, $sp, 56
    st.d    $t7, $sp, 64
    st.d    $t8, $sp, 72
    st.d    $a0, $sp, 80
    st.d    $a1, $sp, 88
    st.d    $a2, $sp, 96
    st.d    $a3, $sp, 104
    st.d    $a4, $sp, 112
    st.d    $a5, $sp, 120
    st.d    $a6, $sp, 128
    st.d    $a7, $sp, 136
    csrrd   $a0, CSR_STATUS
    csrrd   $a1, CSR_RETURN
    csrrd   $a2, CSR_BAD_ADDRESS
    bl      exception               /* returns where to go on */
    csrwr   $a0, CSR_RETURN
    ld.d    $ra, $sp, 0
    ld.d    $t0, $sp, 8
    ld.d    $t1, $sp, 16
    ld.d    $t2, $sp, 24
    ld.d    $t3, $sp, 32
    ld.d    $t4, $sp, 40
    ld.d    $t5, $sp, 48
    ld.d    $t6, $sp, 56
    ld.d    $t7, $sp, 64
    ld.d    $t8, $sp, 72
    ld.d    $a0, $sp, 80
    ld.d    $a1, $sp, 88
    ld.d    $a2, $sp, 96
    ld.d    $a3, $sp, 104
    ld.d    $a4, $sp, 112
    ld.d    $a5, $sp, 120
    ld.d    $a6, $sp, 128
    ld.d    $a7, $sp, 136
    addi.d  $sp, $sp, FRAME_SIZE
    ertn
