/* SPDX-License-Identifier: MIT */
/* Into user mode, and where it ends. */
#include "x86.h"

/* void user_enter(void (*function)(void *), void *argument, void *stack, struct task *task) */
    .section .text.user_enter, "ax"
    .globl user_enter, user_return, user_end
user_enter:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, 4(%rcx)          /* task->stack: interrupts from user mode continue below */
    movq %rdi, %rax
    movq %rsi, %rdi
    pushq $SELECTOR_USER_DATA
    pushq %rdx
    pushq $2                    /* interrupts stay off */
    pushq $SELECTOR_USER_CODE64
    pushq %rax
    iretq

/* The function returns here, still in user mode. KVM may have to emulate what comes next, and its
 * emulator knows no INT in long mode: an undefined instruction asks to leave. */
user_end:
    ud2

/* interrupt_taken comes back here, with the stack that was current in user_enter. */
user_return:
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
