/* SPDX-License-Identifier: MIT */
/* What an exception saves on the stack, by offset, for start.S and exception.c. */
#ifndef FRAME_H
#define FRAME_H

#define FRAME_REGISTERS 0 /* those that a function may change: $1 to $15, $24, $25, $31 */
#define FRAME_EPC	144
#define FRAME_SIZE	160

#endif
