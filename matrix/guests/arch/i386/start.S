/* SPDX-License-Identifier: MIT */
/* From multiboot's protected mode, or a started vCPU's, to C with paging on. */
#include "x86.h"

#define PAGES          1024       /* of 4 MiB */
#define UNMAPPED_PAGE  (0xf0000000 >> 22)

    .section .text.start, "ax"
    .globl start
start:
    cli
    cld
    movl $bss_start, %edi
    movl $bss_end, %ecx
    subl %edi, %ecx
    shrl $2, %ecx               /* both ends are aligned */
    xorl %eax, %eax
    rep stosl
    lgdt segments_pointer
    ljmp $SELECTOR_CODE32, $1f
1:
    /* All 4 GiB where they are, but for one page that arch_fault uses. */
    movl $page_directory, %edi
    movl $PAGE_LARGE_MAPPED, %eax
    movl $PAGES, %ecx
2:
    movl %eax, (%edi)
    addl $4, %edi
    addl $0x400000, %eax
    loop 2b
    movl $0, page_directory + 4 * UNMAPPED_PAGE
    movl $(stacks + 8192), %esp
    movl $guest_main, %esi
    movl %ebx, %edi             /* the multiboot information */
    jmp enter_paging

/* A started vCPU comes here from the trampoline. */
    .globl cpu_protected_mode
cpu_protected_mode:
    movl $SELECTOR_DATA, %eax
    movl %eax, %ds
    movl starting_stack, %esp
    movl $cpu_main, %esi
    movl starting_cpu, %edi

/* %esp: stack, %esi: function, %edi: its argument. */
enter_paging:
    movl $SELECTOR_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl $CR4_PAGE_SIZE, %eax
    movl %eax, %cr4
    movl $page_directory, %eax
    movl %eax, %cr3
    movl $CR0_RUNNING, %eax
    movl %eax, %cr0
    jmp 3f
3:
    xorl %ebp, %ebp
    subl $12, %esp              /* so that the stack is aligned as the ABI wants it */
    pushl %edi
    call *%esi
4:
    cli
    hlt
    jmp 4b

    .section .bss.pages, "aw", @nobits
    .balign 4096
page_directory:
    .skip 4 * PAGES
