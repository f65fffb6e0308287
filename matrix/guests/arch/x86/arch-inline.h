/* SPDX-License-Identifier: MIT */
/* What the common code has inline on x86. */

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}
