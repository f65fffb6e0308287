/* SPDX-License-Identifier: MIT */
/* What an interrupt saves on the stack, by offset, for start.S and interrupts.c. */
#ifndef FRAME_H
#define FRAME_H

#define FRAME_GPR  32 /* above the ABI's own header; r0, then r3 to r12 */
#define FRAME_LR   120
#define FRAME_CTR  128
#define FRAME_XER  136
#define FRAME_CR   144
#define FRAME_SRR0 152
#define FRAME_SRR1 160
#define FRAME_SIZE 176

#endif
