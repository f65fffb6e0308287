/* SPDX-License-Identifier: MIT */
/*
 * Firmware for QEMU's "virt" machine with harts of 32 bits: as much of the SBI (RISC-V SBI
 * specification 2.0) as the guests call, in M-mode. QEMU loads it where the memory begins, as
 * -bios, and the image at the next 4 MiB; every hart enters at the first instruction, with its id in
 * a0 and the device tree's address in a1. Addresses of devices are those of hw/riscv/virt.c.
 *
 * Debian 12's QEMU has no OpenSBI for riscv32. Where there is one, the guests run under it as well.
 */
#define IMAGE	      0x80400000
#define SOFTWARE      0x02000000 /* ACLINT: 4 bytes for each hart */
#define COMPARE	      0x02004000 /* ACLINT: 8 bytes for each hart */
#define TEST_DEVICE   0x00100000
#define TEST_POWEROFF 0x5555

#define MAX_HARTS 64

/* Bits of mip, mie and mideleg, by the interrupt's number. */
#define SUPERVISOR_SOFTWARE (1 << 1)
#define MACHINE_SOFTWARE    (1 << 3)
#define SUPERVISOR_TIMER    (1 << 5)
#define MACHINE_TIMER	    (1 << 7)
#define SUPERVISOR_EXTERNAL (1 << 9)

#define FROM_SUPERVISOR 9	/* mcause of its environment calls */
#define DELEGATED	0xb1ff	/* mcause: the exceptions that are the supervisor's own */
#define PREVIOUS_MODE	0x1800	/* mstatus */
#define TO_SUPERVISOR	0x0800
#define ALL_MEMORY	0x1f	/* pmpcfg0: one naturally aligned region; read, write, execute */
#define COUNTERS	0x7	/* mcounteren: cycle, time, instret */

#define EXTENSION_BASE	  0x10
#define EXTENSION_TIME	  0x54494d45
#define EXTENSION_IPI	  0x735049
#define EXTENSION_HART	  0x48534d
#define EXTENSION_RESET	  0x53525354
#define NOT_SUPPORTED	  -2
#define INVALID		  -3
#define ALREADY_AVAILABLE -6

/* What there is of each hart, from mscratch on. */
#define HART_ID	     0
#define HART_STARTED 4
#define HART_ENTRY   8
#define HART_OPAQUE  12
#define HART_SAVED   16 /* t0 to t2, and the supervisor's sp */
#define HART_SHIFT   5

    .option nopic
    .text
    .globl _start
_start:
    csrw    mie, zero
    la      t0, trap
    csrw    mtvec, t0
    li      t0, MAX_HARTS
    bgeu    a0, t0, forever
    la      sp, harts
    slli    t0, a0, HART_SHIFT
    add     sp, sp, t0
    csrw    mscratch, sp
    sw      a0, HART_ID(sp)
    li      t0, -1
    csrw    pmpaddr0, t0
    li      t0, ALL_MEMORY
    csrw    pmpcfg0, t0
    li      t0, DELEGATED
    csrw    medeleg, t0
    li      t0, SUPERVISOR_SOFTWARE | SUPERVISOR_TIMER | SUPERVISOR_EXTERNAL
    csrw    mideleg, t0
    li      t0, COUNTERS
    csrw    mcounteren, t0
    li      t0, MACHINE_SOFTWARE
    csrw    mie, t0
    bnez    a0, wait
    li      t0, IMAGE
    li      t1, 1
    sw      t1, HART_STARTED(sp)
    j       enter

/* Asleep until some other hart says where to start. */
wait:
    wfi
    call    take_software_interrupt
    fence
    lw      t0, HART_STARTED(sp)
    beqz    t0, wait
    lw      a0, HART_ID(sp)
    lw      a1, HART_OPAQUE(sp)
    lw      t0, HART_ENTRY(sp)

/* To the supervisor, at t0. */
enter:
    csrw    mepc, t0
    li      t0, PREVIOUS_MODE
    csrc    mstatus, t0
    li      t0, TO_SUPERVISOR
    csrs    mstatus, t0
    csrw    satp, zero
    mret

forever:
    wfi
    j       forever

/* Take back what was sent to this hart. Changes t0 and t1. */
take_software_interrupt:
    lw      t0, HART_ID(sp)
    slli    t0, t0, 2
    li      t1, SOFTWARE
    add     t0, t0, t1
    sw      zero, (t0)
    ret

    .balign 4
trap:
    csrrw   sp, mscratch, sp
    sw      t0, HART_SAVED(sp)
    sw      t1, HART_SAVED + 4(sp)
    sw      t2, HART_SAVED + 8(sp)
    csrr    t0, mscratch
    sw      t0, HART_SAVED + 12(sp)
    csrw    mscratch, sp
    csrr    t0, mcause
    bltz    t0, interrupt
    li      t1, FROM_SUPERVISOR
    bne     t0, t1, forever         /* a fault of this firmware */
    csrr    t0, mepc
    addi    t0, t0, 4
    csrw    mepc, t0
    li      t0, EXTENSION_TIME
    beq     a7, t0, set_timer
    li      t0, EXTENSION_IPI
    beq     a7, t0, send
    li      t0, EXTENSION_HART
    beq     a7, t0, start_hart
    li      t0, EXTENSION_RESET
    beq     a7, t0, reset
    li      t0, EXTENSION_BASE
    beq     a7, t0, probe
not_supported:
    li      a0, NOT_SUPPORTED
    li      a1, 0
back:
    lw      t0, HART_SAVED(sp)
    lw      t1, HART_SAVED + 4(sp)
    lw      t2, HART_SAVED + 8(sp)
    lw      sp, HART_SAVED + 12(sp)
    mret

interrupt:
    slli    t0, t0, 1
    srli    t0, t0, 1
    li      t1, 7
    beq     t0, t1, timer
    mv      t2, ra
    call    take_software_interrupt
    mv      ra, t2
    csrsi   mip, SUPERVISOR_SOFTWARE
    j       back
timer:
    li      t0, MACHINE_TIMER
    csrc    mie, t0
    li      t0, SUPERVISOR_TIMER
    csrs    mip, t0
    j       back

/* a0, a1: the deadline. Never one between the old and the new. */
set_timer:
    lw      t0, HART_ID(sp)
    slli    t0, t0, 3
    li      t1, COMPARE
    add     t0, t0, t1
    li      t1, -1
    sw      t1, 4(t0)
    sw      a0, (t0)
    sw      a1, 4(t0)
    li      t0, SUPERVISOR_TIMER
    csrc    mip, t0
    li      t0, MACHINE_TIMER
    csrs    mie, t0
    j       done

/* a0: which harts, as bits, from number a1 on. */
send:
    mv      t0, a1
    mv      t1, a0
next:
    beqz    t1, done
    andi    t2, t1, 1
    srli    t1, t1, 1
    beqz    t2, another
    li      t2, MAX_HARTS
    bgeu    t0, t2, invalid
    slli    t0, t0, 2
    li      t2, SOFTWARE
    add     t2, t2, t0
    srli    t0, t0, 2
    fence
    li      a0, 1
    sw      a0, (t2)
another:
    addi    t0, t0, 1
    j       next

/* a0: which hart, a1: where, a2: with what in a1. */
start_hart:
    bnez    a6, not_supported
    li      t0, MAX_HARTS
    bgeu    a0, t0, invalid
    la      t0, harts
    slli    t1, a0, HART_SHIFT
    add     t0, t0, t1
    lw      t1, HART_STARTED(t0)
    bnez    t1, available
    sw      a1, HART_ENTRY(t0)
    sw      a2, HART_OPAQUE(t0)
    fence
    li      t1, 1
    sw      t1, HART_STARTED(t0)
    li      t0, SOFTWARE
    slli    t1, a0, 2
    add     t0, t0, t1
    fence
    li      t1, 1
    sw      t1, (t0)
    j       done
available:
    li      a0, ALREADY_AVAILABLE
    li      a1, 0
    j       back

reset:
    li      t0, TEST_DEVICE
    li      t1, TEST_POWEROFF
    sw      t1, (t0)
    j       forever

/* a0: an extension; whether there is one. */
probe:
    li      t0, 3
    bne     a6, t0, not_supported
    li      a1, 1
    li      t0, EXTENSION_TIME
    beq     a0, t0, found
    li      t0, EXTENSION_IPI
    beq     a0, t0, found
    li      t0, EXTENSION_HART
    beq     a0, t0, found
    li      t0, EXTENSION_RESET
    beq     a0, t0, found
    li      a1, 0
found:
    li      a0, 0
    j       back
done:
    li      a0, 0
    li      a1, 0
    j       back
invalid:
    li      a0, INVALID
    li      a1, 0
    j       back

    .balign 16
harts:
    .fill   MAX_HARTS << HART_SHIFT, 1, 0
