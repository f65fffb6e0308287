/* SPDX-License-Identifier: MIT */
/* The clock is the stable counter, the timer counts it down (reference manual, 7.6). */
#include "loongarch.h"

/* Words of cpucfg: the crystal's frequency in Hz; the factor and the divisor. */
#define CRYSTAL 4
#define RATIO	5

/* Of the timer's register: on, once; the ticks without their two lowest bits. */
#define TIMER_ON     1
#define TICKS_LOWEST 4

/* By CPU: the clock in the handler; 0 where the interrupt has not come. */
static volatile uint64_t woken[MAX_CPUS];

uint64_t arch_clock(void)
{
	uint64_t clock;

	__asm__ volatile("dbar 0\n\trdtime.d %0, $zero" : "=r"(clock)::"memory");
	return clock;
}

uint64_t arch_clock_frequency(void)
{
	const uint32_t ratio = cpu_configuration(RATIO);
	const uint32_t divisor = ratio >> 16;

	return divisor == 0 ? 0 : (uint64_t)cpu_configuration(CRYSTAL) * (ratio & 0xffff) / divisor;
}

const char *arch_timer_problem(void)
{
	return arch_clock_frequency() == 0 ? "the CPU does not tell its clock's frequency" : NULL;
}

void timer_off(void)
{
	csr_write(CSR_TIMER, 0);
	csr_write(CSR_TIMER_CLEAR, 1);
	csr_change(CSR_CONFIGURATION, 0, INTERRUPT_TIMER);
}

void timer_interrupt(uint64_t now)
{
	csr_write(CSR_TIMER_CLEAR, 1);
	woken[arch_cpu_number()] = now;
}

uint64_t arch_timer_sleep(uint64_t deadline)
{
	volatile uint64_t *const here = &woken[arch_cpu_number()];
	const uint64_t now = arch_clock();
	const uint64_t ticks = deadline > now ? deadline - now : 0;
	const uint64_t patience = arch_clock_frequency() + ticks;

	*here = 0;
	csr_change(CSR_CONFIGURATION, INTERRUPT_TIMER, INTERRUPT_TIMER);
	/* Rounded up: never early. */
	csr_write(CSR_TIMER, ((ticks + TICKS_LOWEST) & ~(TICKS_LOWEST - 1ull)) | TIMER_ON);
	/* Asleep with interrupts masked, so that none is taken between the check and the sleep. */
	while (*here == 0 && arch_clock() - now < patience) {
		__asm__ volatile("idle 0" ::: "memory");
		csr_change(CSR_MODE, MODE_INTERRUPTS, MODE_INTERRUPTS);
		csr_change(CSR_MODE, 0, MODE_INTERRUPTS);
	}
	timer_off();
	return *here;
}
