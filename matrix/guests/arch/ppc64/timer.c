/* SPDX-License-Identifier: MIT */
/* Time: the time base as clock, the decrementer for deadlines. */
#include <arch.h>
#include <fdt.h>

#include "pseries.h"

static uint64_t clock_frequency;

void timer_open(void)
{
	struct fdt_node node = { 0 };
	uint32_t frequency;

	if (fdt_next_of_type(&node, "cpu") && fdt_cell(&node, "timebase-frequency", 0, &frequency))
		clock_frequency = frequency;
}

uint64_t arch_clock(void)
{
	uint64_t clock;

	__asm__ volatile("mftb %0" : "=r"(clock) : : "memory");
	return clock;
}

uint64_t arch_clock_frequency(void)
{
	return clock_frequency;
}

const char *arch_timer_problem(void)
{
	return NULL;
}

/* Asleep, or the first time on each CPU awake: an interrupt that never comes ends that one sleep
 * only, and proves that it is safe to sleep. */
static void wait_for_timer(struct cpu *cpu, uint64_t limit)
{
	const volatile uint64_t *fired = &cpu->timer_clock;

	if (cpu->timer_proven) {
		while (*fired == 0)
			hypervisor_call(H_CEDE, (uint64_t[4]){ 0 }); /* turns interrupts on */
	} else {
		set_external_interrupts(true);
		while (*fired == 0 && arch_clock() < limit)
			cpu_relax();
		set_external_interrupts(false);
		cpu->timer_proven = *fired != 0;
	}
}

uint64_t arch_timer_sleep(uint64_t deadline)
{
	struct cpu *cpu = this_cpu();
	uint64_t ticks;

	do {
		uint64_t now = arch_clock();

		ticks = deadline > now ? deadline - now : 0;
		cpu->timer_clock = 0;
		__asm__ volatile("mtdec %0"
				 :
				 : "r"(ticks < DECREMENTER_MAX ? ticks : DECREMENTER_MAX)
				 : "memory");
		wait_for_timer(cpu, now + ticks + clock_frequency);
	} while (ticks > DECREMENTER_MAX && cpu->timer_clock != 0);
	return cpu->timer_clock;
}
