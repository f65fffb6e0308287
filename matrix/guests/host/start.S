/* SPDX-License-Identifier: MIT */
/* Where a program begins, system calls, and threads, for each architecture's calling convention. */
#include <asm/unistd.h>

/* CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM: linux/sched.h. */
#define THREAD_FLAGS 0x00050f00

        .text
        .globl  _start, system_call, thread_start

#if defined(__x86_64__)
_start:
        xorl    %ebp, %ebp
        movq    %rsp, %rdi
        andq    $-16, %rsp
        call    program_main
        hlt
system_call:
        movq    %rdi, %rax
        movq    %rsi, %rdi
        movq    %rdx, %rsi
        movq    %rcx, %rdx
        movq    %r8, %r10
        movq    %r9, %r8
        movq    8(%rsp), %r9
        syscall
        ret
thread_start:
        andq    $-16, %rdx
        subq    $16, %rdx
        movq    %rdi, (%rdx)
        movq    %rsi, 8(%rdx)
        movq    %rdx, %rsi
        movl    $THREAD_FLAGS, %edi
        xorl    %edx, %edx
        xorl    %r10d, %r10d
        xorl    %r8d, %r8d
        movl    $__NR_clone, %eax
        syscall
        testq   %rax, %rax
        jz      1f
        ret
1:      popq    %rax
        popq    %rdi
        xorl    %ebp, %ebp
        call    *%rax
        xorl    %edi, %edi
        movl    $__NR_exit, %eax
        syscall
        hlt
#elif defined(__aarch64__)
_start:
        mov     x29, #0
        mov     x0, sp
        bl      program_main
        brk     #1
system_call:
        mov     x8, x0
        mov     x0, x1
        mov     x1, x2
        mov     x2, x3
        mov     x3, x4
        mov     x4, x5
        mov     x5, x6
        svc     #0
        ret
thread_start:
        and     x2, x2, #-16
        stp     x0, x1, [x2, #-16]!
        mov     x1, x2
        mov     x0, #(THREAD_FLAGS & 0xffff)
        movk    x0, #(THREAD_FLAGS >> 16), lsl #16
        mov     x2, #0
        mov     x3, #0
        mov     x4, #0
        mov     x8, #__NR_clone
        svc     #0
        cbz     x0, 1f
        ret
1:      ldp     x1, x0, [sp], #16
        mov     x29, #0
        blr     x1
        mov     x0, #0
        mov     x8, #__NR_exit
        svc     #0
        brk     #1
#elif defined(__riscv)
_start:
        mv      a0, sp
        andi    sp, sp, -16
        call    program_main
        ebreak
system_call:
        mv      t0, a0
        mv      a0, a1
        mv      a1, a2
        mv      a2, a3
        mv      a3, a4
        mv      a4, a5
        mv      a5, a6
        mv      a7, t0
        ecall
        ret
thread_start:
        andi    a2, a2, -16
        addi    a2, a2, -16
        sd      a0, 0(a2)
        sd      a1, 8(a2)
        mv      a1, a2
        li      a0, THREAD_FLAGS
        li      a2, 0
        li      a3, 0
        li      a4, 0
        li      a7, __NR_clone
        ecall
        beqz    a0, 1f
        ret
1:      ld      t0, 0(sp)
        ld      a0, 8(sp)
        addi    sp, sp, 16
        jalr    t0
        li      a0, 0
        li      a7, __NR_exit
        ecall
        ebreak
#elif defined(__powerpc64__)
        .abiversion 2
_start:
        lis     %r2, .TOC.@ha
        addi    %r2, %r2, .TOC.@l
        mr      %r3, %r1
        clrrdi  %r1, %r1, 4
        li      %r0, 0
        stdu    %r0, -112(%r1)
        bl      program_main
        nop
        trap
system_call:
        mr      %r0, %r3
        mr      %r3, %r4
        mr      %r4, %r5
        mr      %r5, %r6
        mr      %r6, %r7
        mr      %r7, %r8
        mr      %r8, %r9
        sc
        bnslr
        neg     %r3, %r3
        blr
thread_start: /* the new thread has the registers of the old one */
        clrrdi  %r5, %r5, 4
        mr      %r12, %r3
        mr      %r11, %r4
        li      %r0, 0
        stdu    %r0, -112(%r5)
        std     %r12, 32(%r5)
        std     %r11, 40(%r5)
        lis     %r3, THREAD_FLAGS >> 16
        ori     %r3, %r3, THREAD_FLAGS & 0xffff
        mr      %r4, %r5
        li      %r5, 0
        li      %r6, 0
        li      %r7, 0
        li      %r0, __NR_clone
        sc
        bso     2f
        cmpdi   %r3, 0
        beq     1f
        blr
2:      neg     %r3, %r3
        blr
1:      ld      %r12, 32(%r1)
        ld      %r3, 40(%r1)
        mtctr   %r12
        bctrl
        li      %r3, 0
        li      %r0, __NR_exit
        sc
        trap
#else
#error "no such architecture"
#endif

        .section .note.GNU-stack, "", %progbits
