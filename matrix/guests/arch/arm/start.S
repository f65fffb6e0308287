/* SPDX-License-Identifier: MIT */
/*
 * arm: start of every vCPU, exception vectors. What firmware leaves in registers: Linux
 * Documentation/arch/arm/booting.rst.
 */
#include <layout.h>

#define MODE_SUPERVISOR 0x13
#define MODE_HYPERVISOR 0x1a
#define MASKED          0x1c0       /* asynchronous aborts, interrupts, fast interrupts */

    .arch   armv7-a
    .arch_extension virt
    .arch_extension sec
    .arm
    .syntax unified

    .section .start, "ax"
    .globl image_start
image_start:
    mov     r10, r2                 /* device tree */
    bl      cpu_setup
    ldr     r0, =bss_start
    ldr     r1, =image_end
    mov     r2, #0
    mov     r3, #0
clear:
    strd    r2, r3, [r0], #8
    cmp     r0, r1
    blo     clear
    mcr     p15, 0, r2, c13, c0, 4  /* TPIDRPRW: number 0 */
    ldr     sp, =cpu_stacks + CPU_STACK_SIZE
    mov     r0, r10
    b       guest_main

    .globl secondary_start
secondary_start:                    /* r0: the vCPU's number */
    mov     r10, r0
    bl      cpu_setup
    mcr     p15, 0, r10, c13, c0, 4
    ldr     r0, =cpu_stacks
    add     r1, r10, #1
    mov     r2, #CPU_STACK_SIZE
    mla     sp, r1, r2, r0
    mov     r0, r10
    b       secondary_main

/* Leave Hyp mode, turn the MMU on, set the vectors. Changes r0 to r3; needs no stack or memory. */
cpu_setup:
    mov     r3, lr
    mrs     r0, cpsr
    and     r0, r0, #0x1f
    cmp     r0, #MODE_HYPERVISOR
    bne     not_hypervisor
    mov     r0, #0
    mcr     p15, 4, r0, c1, c1, 0   /* HCR: no trap */
    mcr     p15, 4, r0, c1, c1, 3   /* HSTR: none of cp15 either */
    mcrr    p15, 4, r0, r0, c14     /* CNTVOFF */
    mov     r0, #3                  /* CNTHCTL: the physical counter and timer may be used */
    mcr     p15, 4, r0, c14, c1, 0
    mrc     p15, 0, r0, c0, c0, 0
    mcr     p15, 4, r0, c0, c0, 0   /* VPIDR = MIDR */
    mrc     p15, 0, r0, c0, c0, 5
    mcr     p15, 4, r0, c0, c0, 5   /* VMPIDR = MPIDR */
    mrc     p15, 0, r0, c0, c1, 1   /* ID_PFR1: GICv3's registers are there */
    lsrs    r0, r0, #28
    beq     1f
    mov     r0, #9                  /* ICC_HSRE: use them, let this mode's guests use them */
    mcr     p15, 4, r0, c12, c9, 5
    isb
1:  adr     r0, at_supervisor
    msr     elr_hyp, r0
    ldr     r0, =(MASKED | MODE_SUPERVISOR)
    msr     spsr_cxsf, r0
    eret
not_hypervisor:
    cpsid   aif, #MODE_SUPERVISOR
at_supervisor:
    ldr     r0, =vectors
    mcr     p15, 0, r0, c12, c0, 0  /* VBAR */
    ldr     r0, =TRANSLATION_ATTRIBUTES
    mcr     p15, 0, r0, c10, c2, 0  /* MAIR0 */
    /* TTBCR: long descriptors, all addresses from TTBR0, tables read through the caches */
    ldr     r0, =(1 << 31 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8)
    mcr     p15, 0, r0, c2, c0, 2
    ldr     r0, =translation_table
    mov     r1, #0
    mcrr    p15, 0, r0, r1, c2      /* TTBR0 */
    isb
    mcr     p15, 0, r1, c8, c7, 0   /* TLBIALL */
    mcr     p15, 0, r1, c7, c5, 0   /* ICIALLU */
    mcr     p15, 0, r1, c7, c5, 6   /* BPIALL */
    dsb
    isb
    mrc     p15, 0, r0, c1, c0, 0   /* SCTLR: without … */
    ldr     r1, =0x72182002         /* Thumb exceptions, AFE, TRE, WXN, UWXN, high vectors, A; EE */
    bic     r0, r0, r1
    ldr     r1, =0x1805             /* caches, branch prediction, MMU */
    orr     r0, r0, r1
    mcr     p15, 0, r0, c1, c0, 0
    isb
    bx      r3
    .ltorg

    .section .text.fault_probe, "ax"
    .globl fault_probe
    .type   fault_probe, %function
fault_probe:
    ldr     r0, [r0]
    bx      lr

/* Each kind of exception: to supervisor mode and its stack, save what C may change, call
 * exception_handler(&return address, kind), return. */
    .macro  exception kind, adjust
    .if     \adjust
    sub     lr, lr, #\adjust
    .endif
    srsdb   sp!, #MODE_SUPERVISOR
    cpsid   i, #MODE_SUPERVISOR
    push    {r0-r3, r12, lr}
    mov     r1, #\kind
    b       handle
    .endm

    .section .text.vectors, "ax"
    .balign 32
vectors:
    b       0f
    b       1f
    b       2f
    b       3f
    b       4f
    b       5f
    b       6f
    b       7f
/* The adjustment makes the return address that of the instruction, or after it for a call. */
0:  exception 0, 0
1:  exception 1, 4
2:  exception 2, 0
3:  exception 3, 4
4:  exception 4, 8
5:  exception 5, 0
6:  exception 6, 4
7:  exception 7, 4

handle:
    add     r0, sp, #6 * 4          /* where srs put the return address */
    and     r2, sp, #4              /* the procedure call standard wants a multiple of 8 */
    sub     sp, sp, r2
    push    {r2, r3}
    bl      exception_handler
    pop     {r2, r3}
    add     sp, sp, r2
    pop     {r0-r3, r12, lr}
    rfeia   sp!

/* What the compiler calls for 64-bit divisions (Run-time ABI for the Arm Architecture): quotient
 * in r0 and r1, remainder in r2 and r3. */
    .section .text.__aeabi_uldivmod, "ax"
    .globl __aeabi_uldivmod
    .type   __aeabi_uldivmod, %function
__aeabi_uldivmod:
    push    {r4, lr}
    sub     sp, sp, #16
    add     r12, sp, #8
    str     r12, [sp]
    bl      __udivmoddi4
    ldrd    r2, r3, [sp, #8]
    add     sp, sp, #16
    pop     {r4, pc}

    .section .data.translation_table, "aw"
    .balign 32
    .globl translation_table
translation_table:
    .quad   TRANSLATION_DEVICE
    .quad   TRANSLATION_MEMORY + 0x40000000
    .fill   TRANSLATION_ENTRIES - 2, 8, 0
