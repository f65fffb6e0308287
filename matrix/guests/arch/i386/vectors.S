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
    pushl $0
    .endif
    pushl $vector
    jmp save
    .set vector, vector + 1
    .endr

save:
    pushal
    cld
    movl %esp, %eax
    movl %esp, %ebx             /* restored by popal */
    andl $-16, %esp
    subl $12, %esp
    pushl %eax
    call interrupt_taken
    movl %ebx, %esp
    popal
    addl $8, %esp
    iretl
