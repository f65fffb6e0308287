/* SPDX-License-Identifier: MIT */
/*
 * Exception vectors, and the entry of the boot CPU and of the others.
 *
 * QEMU's malta enters an ELF file as the YAMON monitor does, with argc, argv and the environment
 * in a0 to a2. The other CPUs, once they are powered up, go the same way. (The coherence manager
 * could send them elsewhere, but QEMU's only the first 8.)
 */
#include "frame.h"

#define BOOT_STACK_SIZE 8192

#define CP0_STATUS $12
#define CP0_CAUSE $13
#define CP0_EPC $14
#define CP0_EBASE $15, 1
#define EBASE_NUMBER 0x3ff /* of this CPU */

#define STATUS_KX 0x80 /* 64-bit addresses in kernel mode; all else off: no interrupts, no FPU */

        .set    noreorder
        .set    noat

/* EBase points here; Status.BEV is off. */
        .section .text.vectors, "ax"
        .globl  vectors
vectors: /* TLB refill of a 32-bit address */
        b       exception_entry
         nop
        .org    0x080 /* TLB refill of a 64-bit address */
        b       exception_entry
         nop
        .org    0x100 /* cache error */
        b       exception_entry
         nop
        .org    0x180 /* everything else, interrupts included */
exception_entry:
        daddiu  $29, $29, -FRAME_SIZE
        sd      $1, FRAME_REGISTERS + 0($29)
        sd      $2, FRAME_REGISTERS + 8($29)
        sd      $3, FRAME_REGISTERS + 16($29)
        sd      $4, FRAME_REGISTERS + 24($29)
        sd      $5, FRAME_REGISTERS + 32($29)
        sd      $6, FRAME_REGISTERS + 40($29)
        sd      $7, FRAME_REGISTERS + 48($29)
        sd      $8, FRAME_REGISTERS + 56($29)
        sd      $9, FRAME_REGISTERS + 64($29)
        sd      $10, FRAME_REGISTERS + 72($29)
        sd      $11, FRAME_REGISTERS + 80($29)
        sd      $12, FRAME_REGISTERS + 88($29)
        sd      $13, FRAME_REGISTERS + 96($29)
        sd      $14, FRAME_REGISTERS + 104($29)
        sd      $15, FRAME_REGISTERS + 112($29)
        sd      $24, FRAME_REGISTERS + 120($29)
        sd      $25, FRAME_REGISTERS + 128($29)
        sd      $31, FRAME_REGISTERS + 136($29)
        dmfc0   $5, CP0_EPC
        sd      $5, FRAME_EPC($29)
        mfc0    $4, CP0_CAUSE
        jal     exception
         move   $5, $29
        ld      $5, FRAME_EPC($29)
        dmtc0   $5, CP0_EPC
        ehb
        ld      $1, FRAME_REGISTERS + 0($29)
        ld      $2, FRAME_REGISTERS + 8($29)
        ld      $3, FRAME_REGISTERS + 16($29)
        ld      $4, FRAME_REGISTERS + 24($29)
        ld      $5, FRAME_REGISTERS + 32($29)
        ld      $6, FRAME_REGISTERS + 40($29)
        ld      $7, FRAME_REGISTERS + 48($29)
        ld      $8, FRAME_REGISTERS + 56($29)
        ld      $9, FRAME_REGISTERS + 64($29)
        ld      $10, FRAME_REGISTERS + 72($29)
        ld      $11, FRAME_REGISTERS + 80($29)
        ld      $12, FRAME_REGISTERS + 88($29)
        ld      $13, FRAME_REGISTERS + 96($29)
        ld      $14, FRAME_REGISTERS + 104($29)
        ld      $15, FRAME_REGISTERS + 112($29)
        ld      $24, FRAME_REGISTERS + 120($29)
        ld      $25, FRAME_REGISTERS + 128($29)
        ld      $31, FRAME_REGISTERS + 136($29)
        daddiu  $29, $29, FRAME_SIZE
        eret

/* EBase may be written only while Status.BEV is on, as it is after reset. */
.macro set_up_cpu
        dla     $8, vectors
        mtc0    $8, CP0_EBASE
        ehb
        li      $8, STATUS_KX
        mtc0    $8, CP0_STATUS
        ehb
.endm

        .section .text.start, "ax"
        .globl  _start
_start:
        set_up_cpu
        mfc0    $4, CP0_EBASE
        andi    $4, $4, EBASE_NUMBER
        bnez    $4, secondary
         nop
        dla     $8, __bss_start
        dla     $9, __bss_end
2:      beq     $8, $9, 3f
         nop
        sd      $0, 0($8)
        b       2b
         daddiu $8, $8, 8
3:      dla     $29, boot_stack + BOOT_STACK_SIZE
        jal     guest_main
         move   $4, $5 /* argv; the environment follows it */
4:      b       4b
         nop

secondary: /* a0: number of this CPU */
        dla     $8, secondary_stacks
        dlsa    $8, $4, $8, 3
        ld      $29, 0($8)
        jal     secondary_main
         nop
5:      b       5b
         nop

        .bss
        .balign 16
boot_stack:
        .space  BOOT_STACK_SIZE
