/* SPDX-License-Identifier: MIT */
/* What must be inlined for mips64el: the pause of a waiting loop. */
#ifndef ARCH_INLINE_H
#define ARCH_INLINE_H

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

#endif
