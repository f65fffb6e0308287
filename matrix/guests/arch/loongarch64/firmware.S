/* SPDX-License-Identifier: MIT */
/*
 * The whole firmware, which QEMU's "virt" machine has at its reset vector, as -bios: it takes the
 * image from the fw_cfg device and enters it on the CPU with number 0; the others sleep until they
 * are told where to go, as Linux tells them: an address in mailbox 0, and an interrupt.
 *
 * Without firmware QEMU 7.2 starts an ELF file on every CPU at once, and gives it no command line.
 */
#include "layout.h"

#define KERNEL_SIZE 0x0800 /* keys 0x08 and 0x11, big-endian */
#define KERNEL_DATA 0x1100

    .text
    .globl  _start
_start:
    csrrd   $t0, CSR_CPU
    bnez    $t0, other
    li.w    $t1, FW_CFG
    li.w    $t2, KERNEL_SIZE
    st.h    $t2, $t1, FW_CFG_SELECTOR
    ld.w    $t3, $t1, 0
    li.w    $t2, KERNEL_DATA
    st.h    $t2, $t1, FW_CFG_SELECTOR
    li.w    $t0, IMAGE
    move    $t4, $t0
copy:
    ld.d    $t2, $t1, 0
    st.d    $t2, $t4, 0
    addi.d  $t4, $t4, 8
    addi.w  $t3, $t3, -8
    blt     $zero, $t3, copy
    ibar    0
    jr      $t0

other:
    li.w    $t0, -1
    li.w    $t1, IPI_ENABLE
    iocsrwr.w $t0, $t1
    li.w    $t0, INTERRUPT_OTHERS
    csrwr   $t0, CSR_CONFIGURATION
    li.w    $t1, MAILBOX_0
/* The mailbox first: an interrupt that came before it was enabled is none for QEMU 7.2. */
look:
    iocsrrd.d $t2, $t1
    bnez    $t2, start
    idle    0
    b       look

start:
    li.w    $t0, -1
    li.w    $t1, IPI_CLEAR
    iocsrwr.w $t0, $t1
    li.w    $t0, 0
    csrwr   $t0, CSR_CONFIGURATION
    jr      $t2
