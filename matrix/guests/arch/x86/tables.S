/* SPDX-License-Identifier: MIT */
/* Segments, stacks, the real-mode start of the other vCPUs, and the multiboot header. */
#include "x86.h"

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x3 /* modules on page boundaries, memory information wanted */

    .section .multiboot, "a"
    .balign 4
    .long MULTIBOOT_MAGIC
    .long MULTIBOOT_FLAGS
    .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

    .section .data.segments, "aw"
    .balign 8
segments:
    .quad 0
    .quad 0x00cf9b000000ffff /* 32-bit code, 4 GiB */
    .quad 0x00cf93000000ffff /* data, 4 GiB */
    .quad 0x00af9b000000ffff /* 64-bit code */
    .quad 0x00cff3000000ffff /* data for privilege level 3 */
    .quad 0x00affb000000ffff /* 64-bit code for it */
    .globl segment_task
segment_task:
    .quad 0, 0               /* user.c fills it in */
segments_end:
    .globl segments_pointer
segments_pointer:
    .word segments_end - segments - 1
    .long segments
    .long 0 /* the rest of a 64-bit base */

/* Copied to TRAMPOLINE, where a vCPU begins in real mode with cs = TRAMPOLINE >> 4, ip = 0. */
    .section .rodata.trampoline, "a"
    .globl trampoline_start, trampoline_end
trampoline_start:
    .code16
    cli
    lgdtl %cs:trampoline_segments - trampoline_start
    movl %cr0, %eax
    orl $CR0_PROTECTED, %eax
    movl %eax, %cr0
    ljmpl $SELECTOR_CODE32, $cpu_protected_mode
trampoline_segments:
    .word segments_end - segments - 1
    .long segments
trampoline_end:

/* guest.lds aligns them to their size. */
    .section .bss.stacks, "aw", @nobits
    .globl stacks
stacks:
    .skip 64 * 8192 /* MAX_CPUS * STACK_SIZE */
