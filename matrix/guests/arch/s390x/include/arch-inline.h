/* SPDX-License-Identifier: MIT */
/* What must be inlined for s390x: the pause of a waiting loop. */
#ifndef ARCH_INLINE_H
#define ARCH_INLINE_H

/* Voluntary time slice end (diagnose 0x44): under a hypervisor the other CPU gets to run. */
static inline void cpu_relax(void)
{
	__asm__ volatile("diag 0,0,0x44" : : : "memory");
}

#endif
