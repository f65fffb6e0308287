/* SPDX-License-Identifier: MIT */
/*
 * Entry, interrupt entries, and the start of further CPUs.
 *
 * QEMU starts an ELF file whose entry is 0x10000 as it does Linux: 64-bit addressing, DAT off,
 * interrupts off, and the command line copied to 0x10480, if the image has bytes there.
 */
#include "lowcore.h"

#define BOOT_STACK_SIZE 8192
#define FRAME 160 /* register save area that the ABI wants above every stack pointer */

        .section .text.start, "ax"
        .globl  _start
_start:
        j       start_boot_cpu

        .org    0x430
        .quad   arguments_end - command_line /* how much fits, for newer QEMUs */
        .org    0x480
        .globl  command_line
command_line:
        .space  896
arguments_end:

start_boot_cpu:
        larl    %r1, __bss_start
        larl    %r2, __bss_end
        lghi    %r3, 0
1:      clgr    %r1, %r2
        jnl     2f
        stg     %r3, 0(%r1)
        aghi    %r1, 8
        j       1b
2:      larl    %r15, boot_stack + BOOT_STACK_SIZE - FRAME
        lghi    %r2, 0
        brasl   %r14, guest_main
        j       .

/* Restart interruption of a CPU that is started: everything it needs is in its own lowcore. */
        .globl  start_secondary_cpu
start_secondary_cpu:
        lg      %r15, LC_STACK
        brasl   %r14, secondary_main
        j       .

        .globl  external_entry
external_entry:
        stckf   LC_EXTERNAL_CLOCK
        stmg    %r0, %r15, LC_EXTERNAL_REGISTERS
        aghi    %r15, -FRAME
        brasl   %r14, external_interrupt
        lmg     %r0, %r15, LC_EXTERNAL_REGISTERS
        lpswe   LC_EXTERNAL_OLD_PSW

        .globl  program_entry
program_entry:
        stmg    %r0, %r15, LC_PROGRAM_REGISTERS
        aghi    %r15, -FRAME
        brasl   %r14, program_interrupt
        lmg     %r0, %r15, LC_PROGRAM_REGISTERS
        lpswe   LC_PROGRAM_OLD_PSW

        .bss
        .balign 16
boot_stack:
        .space  BOOT_STACK_SIZE
