/* SPDX-License-Identifier: MIT */
/*
 * Entry of the boot CPU and of the others, and the interrupt vectors.
 *
 * CPUs start in big-endian mode, whether at reset or by RTAS start-cpu, with the MMU off. Both byte
 * orders are built from this file.
 */
#include "frame.h"

#define BOOT_STACK_SIZE 8192
#define BELOW_STACK 288 /* that a function may use below its stack pointer (ELFv2 ABI, 2.2.3) */

/* Go on at the label after the macro in the byte order that this was compiled for; r11 and r12 are
 * lost. The bytes are big-endian instructions, which a little-endian assembler cannot be made to
 * write. */
.macro enter_byte_order
#ifdef __LITTLE_ENDIAN__
        .byte   0x42, 0x9f, 0x00, 0x05 /* bcl    20, 31, .+4 */
        .byte   0x7d, 0x68, 0x02, 0xa6 /* mflr   r11 */
        .byte   0x39, 0x6b, 0x00, 0x1c /* addi   r11, r11, 28 */
        .byte   0x7d, 0x7a, 0x03, 0xa6 /* mtsrr0 r11 */
        .byte   0x7d, 0x80, 0x00, 0xa6 /* mfmsr  r12 */
        .byte   0x61, 0x8c, 0x00, 0x01 /* ori    r12, r12, LE */
        .byte   0x7d, 0x9b, 0x03, 0xa6 /* mtsrr1 r12 */
        .byte   0x4c, 0x00, 0x00, 0x24 /* rfid */
#endif
.endm

.macro load_address register, symbol
        lis     \register, \symbol@ha
        addi    \register, \register, \symbol@l
.endm

        .section .text.start, "ax"
        .globl  _start
_start: /* r3: device tree */
        enter_byte_order
        load_address %r2, .TOC.
        load_address %r4, __bss_start
        load_address %r5, __bss_end
        li      %r0, 0
1:      cmpld   %r4, %r5
        bge     2f
        std     %r0, 0(%r4)
        addi    %r4, %r4, 8
        b       1b
2:      load_address %r1, boot_stack + BOOT_STACK_SIZE - FRAME_GPR
        std     %r0, 0(%r1)
        mtsprg  0, %r0
        bl      guest_main
        nop
        b       .

        .globl  start_secondary_cpu
start_secondary_cpu: /* r3: number of this CPU */
        enter_byte_order
        load_address %r2, .TOC.
        mtsprg  0, %r3
        load_address %r4, secondary_stacks
        sldi    %r5, %r3, 3
        ldx     %r1, %r4, %r5
        li      %r0, 0
        stdu    %r0, -FRAME_GPR(%r1)
        bl      secondary_main
        nop
        b       .

/* Copied to each vector, with its number put in; 8 instructions at most fit the closest ones. */
        .globl  vector_template, vector_template_number, vector_template_end
vector_template:
        mtsprg  1, %r3
        mftb    %r3
        mtsprg  2, %r4
vector_template_number:
        li      %r4, 0
        ba      interrupt_entry
vector_template_end:

interrupt_entry: /* r3: clock, r4: vector; the real ones in SPRG1 and SPRG2 */
        stdu    %r1, -(FRAME_SIZE + BELOW_STACK)(%r1)
        std     %r0, FRAME_GPR(%r1)
        mfsprg  %r0, 1
        std     %r0, FRAME_GPR + 8(%r1)
        mfsprg  %r0, 2
        std     %r0, FRAME_GPR + 16(%r1)
        std     %r5, FRAME_GPR + 24(%r1)
        std     %r6, FRAME_GPR + 32(%r1)
        std     %r7, FRAME_GPR + 40(%r1)
        std     %r8, FRAME_GPR + 48(%r1)
        std     %r9, FRAME_GPR + 56(%r1)
        std     %r10, FRAME_GPR + 64(%r1)
        std     %r11, FRAME_GPR + 72(%r1)
        std     %r12, FRAME_GPR + 80(%r1)
        mflr    %r0
        std     %r0, FRAME_LR(%r1)
        mfctr   %r0
        std     %r0, FRAME_CTR(%r1)
        mfxer   %r0
        std     %r0, FRAME_XER(%r1)
        mfcr    %r0
        std     %r0, FRAME_CR(%r1)
        mfsrr0  %r0
        std     %r0, FRAME_SRR0(%r1)
        mfsrr1  %r0
        std     %r0, FRAME_SRR1(%r1)
        mr      %r5, %r1
        bl      interrupt
        nop
        ld      %r0, FRAME_SRR1(%r1)
        mtsrr1  %r0
        ld      %r0, FRAME_SRR0(%r1)
        mtsrr0  %r0
        ld      %r0, FRAME_CR(%r1)
        mtcr    %r0
        ld      %r0, FRAME_XER(%r1)
        mtxer   %r0
        ld      %r0, FRAME_CTR(%r1)
        mtctr   %r0
        ld      %r0, FRAME_LR(%r1)
        mtlr    %r0
        ld      %r0, FRAME_GPR(%r1)
        ld      %r3, FRAME_GPR + 8(%r1)
        ld      %r4, FRAME_GPR + 16(%r1)
        ld      %r5, FRAME_GPR + 24(%r1)
        ld      %r6, FRAME_GPR + 32(%r1)
        ld      %r7, FRAME_GPR + 40(%r1)
        ld      %r8, FRAME_GPR + 48(%r1)
        ld      %r9, FRAME_GPR + 56(%r1)
        ld      %r10, FRAME_GPR + 64(%r1)
        ld      %r11, FRAME_GPR + 72(%r1)
        ld      %r12, FRAME_GPR + 80(%r1)
        addi    %r1, %r1, FRAME_SIZE + BELOW_STACK
        rfid

        .bss
        .balign 16
boot_stack:
        .space  BOOT_STACK_SIZE
