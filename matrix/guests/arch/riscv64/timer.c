/* SPDX-License-Identifier: MIT */
/*
 * The clock is the "time" register; deadlines go through the SBI, whose firmware uses the CPU's own
 * supervisor timer (Sstc) where it has one.
 */
#include <fdt.h>

#include "riscv.h"
#include "sbi.h"

#define SIE_TIMER   (1ul << 5)
#define SSTATUS_SIE "2"
#define NEVER	    UINT64_MAX

static uint64_t frequency;
static const char *missing = "the timer has not been set up";
/* By CPU: the clock in the handler; 0 where the interrupt has not come. */
static volatile uint64_t woken[MAX_CPUS];

static void set_deadline(uint64_t deadline)
{
	sbi_call(SBI_TIME, SBI_TIME_SET_TIMER, (unsigned long)deadline,
		 __riscv_xlen == 32 ? (unsigned long)(deadline >> 32) : 0, 0);
}

void timer_open(void)
{
	struct fdt_node node;
	uint32_t hertz = 0;

	if (fdt_find(&node, "/cpus"))
		fdt_cell(&node, "timebase-frequency", 0, &hertz);
	frequency = hertz;
	if (frequency == 0)
		missing = "the device tree does not give the clock's frequency";
	else if (!sbi_has(SBI_TIME))
		missing = "the firmware has no SBI timer extension";
	else
		missing = NULL;
}

void timer_off(void)
{
	__asm__ volatile("csrc sie, %0" ::"r"(SIE_TIMER) : "memory");
	if (missing == NULL)
		set_deadline(NEVER);
}

void timer_interrupt(uint64_t now)
{
	/* Pending until the next deadline is set, so masked here. */
	__asm__ volatile("csrc sie, %0" ::"r"(SIE_TIMER) : "memory");
	woken[arch_cpu_number()] = now;
}

uint64_t arch_timer_sleep(uint64_t deadline)
{
	volatile uint64_t *const here = &woken[arch_cpu_number()];
	uint64_t now = arch_clock();
	uint64_t patience = frequency + (deadline > now ? deadline - now : 0);

	*here = 0;
	set_deadline(deadline);
	__asm__ volatile("csrs sie, %0" ::"r"(SIE_TIMER) : "memory");
	/* Asleep with interrupts masked, so that none is taken between the check and the sleep. */
	while (*here == 0 && arch_clock() - now < patience) {
		__asm__ volatile("wfi" ::: "memory");
		__asm__ volatile("csrsi sstatus, " SSTATUS_SIE ::: "memory");
		__asm__ volatile("csrci sstatus, " SSTATUS_SIE ::: "memory");
	}
	timer_off();
	return *here;
}

uint64_t arch_clock(void)
{
#if __riscv_xlen == 64
	uint64_t time;

	__asm__ volatile("fence rw, rw\n\trdtime %0" : "=r"(time)::"memory");
	return time;
#else
	uint32_t high, low, again;

	do
		__asm__ volatile("fence rw, rw\n\trdtimeh %0\n\trdtime %1\n\trdtimeh %2"
				 : "=&r"(high), "=&r"(low), "=r"(again)::"memory");
	while (high != again);
	return (uint64_t)high << 32 | low;
#endif
}

uint64_t arch_clock_frequency(void)
{
	return frequency;
}

const char *arch_timer_problem(void)
{
	return missing;
}
