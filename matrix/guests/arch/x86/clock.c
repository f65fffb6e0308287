/* SPDX-License-Identifier: MIT */
/*
 * Time: the time stamp counter as clock, the local APIC's timer for deadlines. Neither's frequency
 * can be read from QEMU's CPU models, so both are measured, when first needed, against the ACPI
 * power management timer, or the PIT where there is none.
 */
#include <arch.h>
#include <guest.h>
#include <x86.h>

#define PM_TIMER_FREQUENCY 3579545
#define PM_TIMER_MASK	   0xffffff
#define PIT_FREQUENCY	   1193182
#define PIT_MASK	   0xffff
#define PIT_BACKUP	   0x40 /* channel 0: interrupts */
#define PIT_REFERENCE	   0x42 /* channel 2: its gate is in port 0x61 */
#define PIT_COMMAND	   0x43
#define PIT_ONE_SHOT	   0x30 /* channel 0, mode 0, both bytes */
#define PIT_FREE_RUNNING   0xb4 /* channel 2, mode 2, both bytes */
#define PIT_LATCH	   0x80
#define PIT_LONGEST	   0xffff
#define GATE_PORT	   0x61
#define GATE_OPEN	   0x01
#define GATE_SPEAKER	   0x02

/* 40 ms fit the PIT's 55 ms, and make an error of 1 µs at either end 50 ppm. */
#define MEASURED_MICROSECONDS 40000
#define READINGS	      16
/* A deadline's distance is made longer by 1/MARGIN, which is more than the measurement's error:
 * an interrupt before the deadline is then the timer's fault. */
#define MARGIN 2048
/* Longer sleeps are made in steps: the timer's register has 32 bits and its rate is 1 GHz. */
#define LONGEST_STEP (2 * NSEC_PER_SEC)

static uint16_t pm_timer_port;
static bool has_sse2;

static uint64_t frequency, timer_frequency; /* Hz; 0 until measured */
static struct spinlock measure_lock;

static volatile uint64_t interrupted_at; /* 0 until the timer's interrupt */

static inline void processor_id(uint32_t leaf, uint32_t *features_edx)
{
	uint32_t a = leaf, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	*features_edx = d;
}

/* No later than the instructions after it, no earlier than the loads before it. */
uint64_t arch_clock(void)
{
	uint32_t low, high;

	if (has_sse2)
		__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	else
		__asm__ volatile("lock addl $0, stacks; rdtsc"
				 : "=a"(low), "=d"(high)
				 :
				 : "memory", "cc");
	return (uint64_t)high << 32 | low;
}

/* The reference counts up; reference_since wraps as the device does. */
static uint32_t reference(void)
{
	uint32_t count;

	if (pm_timer_port)
		return port_read32(pm_timer_port);
	port_write8(PIT_COMMAND, PIT_LATCH);
	count = port_read8(PIT_REFERENCE);
	count |= (uint32_t)port_read8(PIT_REFERENCE) << 8;
	return PIT_LONGEST - count;
}

static uint32_t reference_since(uint32_t start)
{
	return (reference() - start) & (pm_timer_port ? PM_TIMER_MASK : PIT_MASK);
}

static uint32_t reference_frequency(void)
{
	return pm_timer_port ? PM_TIMER_FREQUENCY : PIT_FREQUENCY;
}

/* Up to 50 ms. */
void clock_delay(unsigned microseconds)
{
	const uint32_t start = reference();
	const uint32_t count =
		(uint32_t)((uint64_t)microseconds * reference_frequency() / 1000000) + 1;

	while (reference_since(start) < count)
		cpu_relax();
}

void clock_init(uint16_t pm_timer)
{
	uint32_t features;

	processor_id(1, &features);
	has_sse2 = features >> 26 & 1;
	pm_timer_port = pm_timer;
	pic_init();
	if (!pm_timer) {
		port_write8(GATE_PORT,
			    (uint8_t)((port_read8(GATE_PORT) & ~GATE_SPEAKER) | GATE_OPEN));
		port_write8(PIT_COMMAND, PIT_FREE_RUNNING);
		port_write8(PIT_REFERENCE, 0); /* 65536 */
		port_write8(PIT_REFERENCE, 0);
	}
}

/* The three clocks one after the other; at both ends of a measurement alike. */
struct moment {
	uint64_t clock;
	uint32_t reference, timer;
};

/* Of several readings the one that took the least time: the host interrupts some of them. */
static struct moment read_moment(void)
{
	struct moment best = { 0 };
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < READINGS; i++) {
		const uint64_t before = arch_clock();
		const uint32_t reference_now = reference();
		const uint32_t timer_now = arch_timer_problem() ? 0 : apic_timer_count();
		const uint64_t after = arch_clock();

		if (after - before >= least)
			continue;
		least = after - before;
		best = (struct moment){ before, reference_now, timer_now };
	}
	return best;
}

static void measure(void)
{
	struct moment start, end;
	uint64_t elapsed;

	if (!arch_timer_problem())
		apic_timer_start(UINT32_MAX); /* it counts down, masked */
	start = read_moment();
	clock_delay(MEASURED_MICROSECONDS);
	end = read_moment();
	elapsed = (end.reference - start.reference) & (pm_timer_port ? PM_TIMER_MASK : PIT_MASK);
	timer_frequency = (uint64_t)(start.timer - end.timer) * reference_frequency() / elapsed;
	if (!arch_timer_problem())
		apic_timer_start(0);
	frequency = (end.clock - start.clock) * reference_frequency() / elapsed;
}

uint64_t arch_clock_frequency(void)
{
	spin_lock(&measure_lock);
	if (!frequency)
		measure();
	spin_unlock(&measure_lock);
	return frequency;
}

static void backup_start(void)
{
	port_write8(PIT_COMMAND, PIT_ONE_SHOT);
	port_write8(PIT_BACKUP, PIT_LONGEST & 0xff);
	port_write8(PIT_BACKUP, PIT_LONGEST >> 8);
}

void clock_timer_interrupt(void)
{
	interrupted_at = arch_clock();
	apic_end_of_interrupt();
}

/* Every 55 ms of a sleep, so that a sleeper whose interrupt is lost wakes up and sees it. */
void clock_backup_interrupt(void)
{
	pic_end(0);
	backup_start();
}

/* Asleep until the interrupt; 0 where none came within a second after the deadline. */
static uint64_t sleep_step(uint64_t deadline)
{
	const uint64_t now = arch_clock();
	const uint64_t distance = deadline > now ? deadline - now : 0;
	const uint64_t count = distance / frequency * timer_frequency +
			       distance % frequency * timer_frequency / frequency;

	interrupted_at = 0;
	apic_timer_set_masked(false);
	backup_start();
	apic_timer_start((uint32_t)(count + count / MARGIN + 1));
	while (!interrupted_at && arch_clock() < now + distance + frequency) {
		/* Interrupts are taken after the instruction that follows sti: none is lost. */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	}
	apic_timer_set_masked(true);
	apic_timer_start(0);
	return interrupted_at;
}

uint64_t arch_timer_sleep(uint64_t deadline)
{
	const uint64_t longest = nanoseconds_to_ticks(LONGEST_STEP);

	for (;;) {
		const uint64_t now = arch_clock();

		if (deadline < now || deadline - now <= longest)
			return sleep_step(deadline);
		if (!sleep_step(now + longest))
			return 0;
	}
}
