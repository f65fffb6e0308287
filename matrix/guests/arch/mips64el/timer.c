/* SPDX-License-Identifier: MIT */
/*
 * Time. Each CPU's Count starts with the CPU, so several of them need the counter that they share
 * in the interrupt controller (GIC). Either has 32 bits, which are extended here, a register to
 * compare with that raises an interrupt on equality, and a frequency to be measured with the 8254.
 */
#include <arch.h>

#include "malta.h"

#define GIC_COUNTER	       UNCACHED(GIC + 0x10)
#define GIC_LOCAL_SET_MASK     UNCACHED(GIC + 0x8010)
#define GIC_LOCAL_COMPARE_MAP  UNCACHED(GIC + 0x8044)
#define GIC_LOCAL_COMPARE      UNCACHED(GIC + 0x80a0)
#define GIC_LOCAL_MASK_COMPARE (1u << 1)
#define GIC_MAP_TO_PIN_0       (1u << 31)
#define GIC_PIN_0	       (1u << 10) /* in Cause.IP and Status.IM */

#define TIMER_HZ	     1193182u
#define TIMER_CHANNEL_0	     UNCACHED(PCI_IO + 0x40)
#define TIMER_CONTROL	     UNCACHED(PCI_IO + 0x43)
#define TIMER_RATE_GENERATOR 0x34 /* channel 0, low byte then high byte, mode 2, binary */
#define TIMER_LATCH	     0x00 /* channel 0 */
#define MEASURE_TICKS	     (TIMER_HZ / 100)
#define MEASURE_ATTEMPTS     20

/* Counter and 8254, read at the same time. */
struct moment {
	uint32_t counter;
	uint16_t timer; /* counts down */
};

static uint64_t clock_frequency;

/* QEMU does not migrate where the interrupt controller is (7.2 to 11.1): elsewhere it is nowhere,
 * and what is nowhere reads as 0. Its counter goes by the machine's clock, which is migrated. */
static uint32_t read_counter(void)
{
	uint32_t count;

	if (coherence == 0)
		return read_cp0(COUNT);
	count = read32(GIC_COUNTER);
	if (count != 0 || read64(coherence + GCR_GIC_BASE) == (GIC | GCR_BASE_ENABLE))
		return count;
	write64(coherence + GCR_GIC_BASE, GIC | GCR_BASE_ENABLE);
	return read32(GIC_COUNTER);
}

/* Ends a pending interrupt, too. */
static void write_compare(uint32_t value)
{
	if (coherence != 0)
		write32(GIC_LOCAL_COMPARE, value);
	else
		write_cp0(COMPARE, value);
}

/* The bit of Cause.IP and Status.IM by which it comes; IntCtl.IPTI says which is CP0's own. */
uint32_t timer_mask(void)
{
	return coherence != 0 ? GIC_PIN_0 : 256u << (read_cp0(INTERRUPT_CONTROL) >> 29);
}

void timer_enable(void)
{
	if (coherence == 0)
		return;
	write32(GIC_LOCAL_COMPARE_MAP, GIC_MAP_TO_PIN_0);
	write32(GIC_LOCAL_SET_MASK, GIC_LOCAL_MASK_COMPARE);
}

/* The best of several attempts: the host may take its CPU away between two reads. */
static struct moment read_moment(void)
{
	struct moment best = { 0 };
	uint32_t shortest = UINT32_MAX;

	for (unsigned i = 0; i < MEASURE_ATTEMPTS; i++) {
		struct moment moment = { .counter = read_counter() };
		uint32_t took;

		write8(TIMER_CONTROL, TIMER_LATCH);
		took = read_counter() - moment.counter;
		moment.timer = read8(TIMER_CHANNEL_0);
		moment.timer |= (uint16_t)(read8(TIMER_CHANNEL_0) << 8);
		if (took < shortest) {
			shortest = took;
			best = moment;
		}
	}
	return best;
}

void timer_measure(void)
{
	struct moment start, end;
	uint16_t passed;

	write8(TIMER_CONTROL, TIMER_RATE_GENERATOR);
	write8(TIMER_CHANNEL_0, 0); /* 65536 ticks, 55 ms */
	write8(TIMER_CHANNEL_0, 0);
	start = read_moment();
	do {
		end = read_moment();
		passed = (uint16_t)(start.timer - end.timer);
	} while (passed < MEASURE_TICKS);
	clock_frequency = (uint64_t)(end.counter - start.counter) * TIMER_HZ / passed;
}

uint64_t arch_clock(void)
{
	static uint64_t latest;
	uint64_t before = __atomic_load_n(&latest, __ATOMIC_ACQUIRE);
	uint32_t passed = read_counter() - (uint32_t)before;
	uint64_t now = before + passed;

	/* Kept up to date well before the counter comes round, and not more often, so that CPUs do
	 * not contend. Where another CPU has just done it, that is as good. */
	if (passed >> 24 != 0)
		__atomic_compare_exchange_n(&latest, &before, now, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED);
	return now;
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
 * only, and proves that it is safe to sleep. Since release 6 a pending interrupt ends WAIT with
 * interrupts off too, so that none can come just before it and be missed. */
static void wait_for_timer(struct cpu *cpu, uint64_t limit)
{
	const volatile uint64_t *fired = &cpu->timer_clock;
	uint32_t status = read_cp0(STATUS);

	write_cp0(STATUS, status | timer_mask());
	while (*fired == 0) {
		if (cpu->timer_proven)
			__asm__ volatile("wait" : : : "memory");
		else if (arch_clock() >= limit)
			break;
		write_cp0(STATUS, status | timer_mask() | STATUS_IE);
		write_cp0(STATUS, status | timer_mask());
	}
	write_cp0(STATUS, status);
	cpu->timer_proven = *fired != 0;
}

void timer_interrupt(void)
{
	this_cpu()->timer_clock = arch_clock();
	write_compare(read_counter() - 1); /* far away */
}

/* A value that the counter has passed already would come a whole turn late. Cause.TI would not do
 * to see whether CP0's interrupt came: QEMU raises both, but to write Compare may then lower the
 * interrupt alone, where the time comes while that instruction is under way. */
static void set_timer(uint32_t ticks)
{
	uint32_t compare;

	do {
		compare = read_counter() + ticks;
		write_compare(compare);
		ticks = 2 * ticks + 1;
	} while ((int32_t)(read_counter() - compare) >= 0 && !(read_cp0(CAUSE) & timer_mask()));
}

uint64_t arch_timer_sleep(uint64_t deadline)
{
	const uint64_t longest = UINT32_MAX / 4;
	struct cpu *cpu = this_cpu();
	unsigned early = 0;
	uint64_t ticks;

	do {
		uint64_t now = arch_clock();

		ticks = deadline > now ? deadline - now : 0;
		cpu->timer_clock = 0;
		set_timer((uint32_t)(ticks < longest ? ticks : longest));
		wait_for_timer(cpu, now + ticks + clock_frequency);
		/* QEMU may raise the interrupt of the deadline before once more: it rounds down to
		 * before the deadline, and is then due again. One that is early is not believed at
		 * first, a second one is. */
	} while (cpu->timer_clock != 0 &&
		 (ticks > longest || (cpu->timer_clock < deadline && early++ == 0)));
	return cpu->timer_clock;
}
