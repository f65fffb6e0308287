/* SPDX-License-Identifier: MIT */
/* Time: the TOD clock, its comparator for deadlines, and the CPU timer as their guard. */
#include <arch.h>

#include "cpu.h"

#define CLOCK_HZ 4096000000ull /* bit 51 of the TOD clock counts microseconds */

uint64_t arch_clock(void)
{
	uint64_t clock;

	__asm__ volatile("stckf %0" : "=Q"(clock) : : "cc", "memory");
	return clock;
}

uint64_t arch_clock_frequency(void)
{
	return CLOCK_HZ;
}

const char *arch_timer_problem(void)
{
	return NULL;
}

static void set_clock_comparator(uint64_t clock)
{
	__asm__ volatile("sckc %0" : : "Q"(clock) : "memory");
}

static void set_cpu_timer(uint64_t ticks)
{
	__asm__ volatile("spt %0" : : "Q"(ticks) : "memory");
}

uint64_t arch_timer_sleep(uint64_t deadline)
{
	struct lowcore *core = lowcore();
	uint64_t now = arch_clock();

	core->timer_fired = false;
	core->guard_fired = false;
	/* The CPU timer counts down at the same rate and ends the sleep where the comparator fails.
	 */
	set_cpu_timer((deadline > now ? deadline - now : 0) + CLOCK_HZ);
	set_clock_comparator(deadline);
	while (!core->timer_fired && !core->guard_fired)
		wait_for(CR0_CLOCK_COMPARATOR | CR0_CPU_TIMER);
	return core->timer_fired ? core->external_clock : 0;
}
