/* SPDX-License-Identifier: MIT */
/* Entry of every interrupt and exception: one stub for each vector, and what they share. */
#include "x86.h"

    .section .text.vectors, "ax"
    .balign VECTOR_STUB_BYTES
    .globl vector_stubs
vector_stubs:
    .set vector, 0
    .rept VECTORS
    .balign VECTOR_STUB_BYTES
    /* The exceptions that push an error code of their own: 8, 10 to 14, 17, 21, 29, 30. */
    .if vector >= 32 || !((0x60227d00 >> (vector & 31)) & 1)
    pushq $0
    .endif
    pushq $vector
    jmp save
    .set vector, vector + 1
    .endr

save:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi             /* 22 words below an aligned address: aligned */
    call interrupt_taken
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq
