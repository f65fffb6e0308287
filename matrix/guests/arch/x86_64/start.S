/* SPDX-License-Identifier: MIT */
/* From multiboot's 32-bit protected mode, or a started vCPU's, to C in long mode. */
#include "x86.h"

    .section .text.start, "ax"
    .code32
    .globl start
start:
    cli
    cld
    movl %ebx, %ebp             /* the multiboot information */
    movl $bss_start, %edi
    movl $bss_end, %ecx
    subl %edi, %ecx
    shrl $2, %ecx               /* both ends are aligned */
    xorl %eax, %eax
    rep stosl
    lgdt segments_pointer
    ljmp $SELECTOR_CODE32, $1f
1:
    /* The first 4 GiB: four page directories of 2 MiB pages; paging.c adds the rest. */
    movl $page_directories, %edi
    movl $PAGE_LARGE_MAPPED, %eax
    movl $(4 * 512), %ecx
2:
    movl %eax, (%edi)
    addl $8, %edi
    addl $0x200000, %eax
    loop 2b
    movl $(page_directories + PAGE_TABLE), %eax
    movl $page_directory_pointers, %edi
    movl $4, %ecx
3:
    movl %eax, (%edi)
    addl $8, %edi
    addl $0x1000, %eax
    loop 3b
    movl $(page_directory_pointers + PAGE_TABLE), page_map
    movl $(stacks + 8192), %esp
    movl $guest_main, %esi
    movl %ebp, %edi
    jmp enter_long_mode

/* A started vCPU comes here from the trampoline. */
    .globl cpu_protected_mode
cpu_protected_mode:
    movl $SELECTOR_DATA, %eax
    movl %eax, %ds
    movl starting_stack, %esp
    movl $cpu_main, %esi
    movl starting_cpu, %edi

/* %esp: stack, %esi: function, %edi: its argument. */
enter_long_mode:
    movl $SELECTOR_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $page_map, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LONG_MODE, %eax
    wrmsr
    movl $CR0_RUNNING, %eax
    movl %eax, %cr0
    ljmp $SELECTOR_CODE64, $4f
    .code64
4:
    movl %esp, %esp             /* the upper halves are undefined after the switch */
    movl %edi, %edi
    movl %esi, %esi
    xorl %ebp, %ebp
    call *%rsi
5:
    cli
    hlt
    jmp 5b

    .section .bss.pages, "aw", @nobits
    .balign 4096
    .globl page_directories, page_directory_pointers
page_map:
    .skip 4096
page_directory_pointers:
    .skip 4096
page_directories:
    .skip 4096 * MAPPED_GIB
