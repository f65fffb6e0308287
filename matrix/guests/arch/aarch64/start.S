/* SPDX-License-Identifier: MIT */
/*
 * aarch64: image header, start of every vCPU, exception vectors. The header and what firmware
 * leaves in registers: Linux Documentation/arch/arm64/booting.rst.
 */
#include <layout.h>

    .section .start, "ax"
    .globl image_start
image_start:
    b       boot
    .long   0
    .quad   0                       /* offset from the 2 MiB boundary that QEMU loads to */
    .quad   image_size              /* .bss included */
    .quad   0b1010                  /* little-endian, 4 KiB pages, anywhere in memory */
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

boot:
    mov     x19, x0                 /* device tree */
    bl      cpu_setup
    adrp    x0, bss_start
    add     x0, x0, :lo12:bss_start
    adrp    x1, image_end
    add     x1, x1, :lo12:image_end
clear:
    stp     xzr, xzr, [x0], #16
    cmp     x0, x1
    b.lo    clear
    msr     tpidr_el1, xzr
    adrp    x0, cpu_stacks + CPU_STACK_SIZE
    add     x0, x0, :lo12:cpu_stacks + CPU_STACK_SIZE
    mov     sp, x0
    mov     x0, x19
    b       guest_main

    .globl secondary_start
secondary_start:                    /* x0: the vCPU's number */
    mov     x19, x0
    bl      cpu_setup
    msr     tpidr_el1, x19
    adrp    x0, cpu_stacks
    add     x0, x0, :lo12:cpu_stacks
    add     x1, x19, #1
    mov     x2, #CPU_STACK_SIZE
    madd    x0, x1, x2, x0
    mov     sp, x0
    mov     x0, x19
    b       secondary_main

/* Go down to EL1, turn the MMU on, set the vectors. Changes x0 to x3; needs no stack or memory. */
cpu_setup:
    msr     daifset, #0xf
    mrs     x0, CurrentEL
    cmp     x0, #2 << 2
    b.ne    at_el1
    mov     x0, #1 << 31            /* EL1 is 64-bit; no trap */
    msr     hcr_el2, x0
    mov     x0, #0xc03              /* EL1 may use the physical counter and timer, with or */
    msr     cnthctl_el2, x0         /* without E2H */
    msr     cntvoff_el2, xzr
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0
    mrs     x0, id_aa64pfr0_el1
    ubfx    x0, x0, #24, #4         /* GICv3's registers are there */
    cbz     x0, 1f
    mov     x0, #9                  /* ICC_SRE_EL2: use them, let EL1 use them */
    msr     s3_4_c12_c9_5, x0
    isb
1:  adr     x0, at_el1
    msr     elr_el2, x0
    mov     x0, #0x3c5              /* EL1 on its own stack pointer, all masked */
    msr     spsr_el2, x0
    eret
at_el1:
    msr     spsel, #1
    adr     x0, vectors
    msr     vbar_el1, x0
    mov     x0, #TRANSLATION_ATTRIBUTES
    msr     mair_el1, x0
    mrs     x0, id_aa64mmfr0_el1    /* how many bits physical addresses have, as TCR wants it: */
    and     x0, x0, #0xf
    mov     x1, #5                  /* at most 48 */
    cmp     x0, x1
    csel    x0, x0, x1, lo
    lsl     x0, x0, #32
    /* 39 bits from TTBR0 alone, 4 KiB granule, tables read through the caches */
    ldr     x1, =(1 << 23 | 3 << 12 | 1 << 10 | 1 << 8 | 25)
    orr     x0, x0, x1
    msr     tcr_el1, x0
    adrp    x0, translation_table
    add     x0, x0, :lo12:translation_table
    msr     ttbr0_el1, x0
    dsb     sy
    tlbi    vmalle1
    ic      iallu
    dsb     sy
    isb
    ldr     x0, =0x30d01805         /* bits that are 1 in Armv8.0; caches, MMU */
    msr     sctlr_el1, x0
    isb
    ret
    .ltorg

    .section .text.fault_probe, "ax"
    .globl fault_probe
fault_probe:
    ldr     w0, [x0]
    ret

/* What exception_handler gets: struct frame in exception.c. */
    .equ    FRAME_SIZE, 23 * 8 + 8

    .section .text.vectors, "ax"
    .balign 2048
vectors:
    .set    vector, 0
    .rept   16
    .balign 128
    sub     sp, sp, #FRAME_SIZE
    stp     x0, x1, [sp]
    mov     x1, #vector
    b       save
    .set    vector, vector + 1
    .endr

save:
    stp     x2, x3, [sp, #2 * 8]
    stp     x4, x5, [sp, #4 * 8]
    stp     x6, x7, [sp, #6 * 8]
    stp     x8, x9, [sp, #8 * 8]
    stp     x10, x11, [sp, #10 * 8]
    stp     x12, x13, [sp, #12 * 8]
    stp     x14, x15, [sp, #14 * 8]
    stp     x16, x17, [sp, #16 * 8]
    stp     x18, x29, [sp, #18 * 8]
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    stp     x30, x2, [sp, #20 * 8]
    str     x3, [sp, #22 * 8]
    add     x0, sp, #21 * 8         /* where the return address is */
    bl      exception_handler
    ldp     x30, x2, [sp, #20 * 8]
    ldr     x3, [sp, #22 * 8]
    msr     elr_el1, x2
    msr     spsr_el1, x3
    ldp     x18, x29, [sp, #18 * 8]
    ldp     x16, x17, [sp, #16 * 8]
    ldp     x14, x15, [sp, #14 * 8]
    ldp     x12, x13, [sp, #12 * 8]
    ldp     x10, x11, [sp, #10 * 8]
    ldp     x8, x9, [sp, #8 * 8]
    ldp     x6, x7, [sp, #6 * 8]
    ldp     x4, x5, [sp, #4 * 8]
    ldp     x2, x3, [sp, #2 * 8]
    ldp     x0, x1, [sp]
    add     sp, sp, #FRAME_SIZE
    eret

    .section .data.translation_table, "aw"
    .balign 4096
    .globl translation_table
translation_table:
    .quad   TRANSLATION_DEVICE
    .quad   TRANSLATION_MEMORY + 0x40000000
    .fill   TRANSLATION_ENTRIES - 2, 8, 0
