/* SPDX-License-Identifier: MIT */
/* What must be inlined for ppc64: the pause of a waiting loop. */
#ifndef ARCH_INLINE_H
#define ARCH_INLINE_H

/* Lower this thread's priority, so that others of its core get on, and raise it again. */
static inline void cpu_relax(void)
{
	__asm__ volatile("or 1,1,1\n"
			 "or 2,2,2" ::
				 : "memory");
}

#endif
