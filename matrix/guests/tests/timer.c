/* SPDX-License-Identifier: MIT */
/*
 * timer: the clock never goes back, on one vCPU and across all of them, and programmed deadlines
 * are met, never early. The latencies are printed as cyclictest does, in nanoseconds.
 */
#include <arch.h>
#include <guest.h>

#define CLOCK_READS	100000
#define SHARED_READS	5000
#define SHARED_PATIENCE (20 * NSEC_PER_SEC)
#define DEADLINES	200
#define WARM_UP		5
#define SHORTEST_SLEEP	50000	/* ns */
#define SLEEP_SPREAD	1450000 /* ns */
#define BUCKETS		40

static void check_clock(void)
{
	uint64_t steps = 0, backwards = 0, previous = arch_clock();
	const uint64_t start = previous;

	for (unsigned i = 0; i < CLOCK_READS; i++) {
		const uint64_t now = arch_clock();

		backwards += now < previous;
		steps += now > previous;
		previous = now;
	}
	report_info("clock: %llu Hz, %llu ns per read", (unsigned long long)arch_clock_frequency(),
		    (unsigned long long)ticks_to_nanoseconds(previous - start) / CLOCK_READS);
	if (backwards)
		report_info("clock: went back %llu times", (unsigned long long)backwards);
	report(!backwards, "clock: never goes back");
	report(steps > 0, "clock: goes on");
}

static struct spinlock shared_lock;
static uint64_t shared_latest, shared_backwards;
static unsigned shared_present, shared_done, shared_expected;

/* Each vCPU reads the clock while it holds the lock: what the one before it read has passed. */
static void share_clock(unsigned cpu)
{
	__atomic_fetch_add(&shared_present, 1, __ATOMIC_ACQ_REL);
	wait_until(__atomic_load_n(&shared_present, __ATOMIC_ACQUIRE) >=
			   __atomic_load_n(&shared_expected, __ATOMIC_ACQUIRE),
		   SHARED_PATIENCE);
	for (unsigned i = 0; i < SHARED_READS; i++) {
		uint64_t now;

		spin_lock(&shared_lock);
		now = arch_clock();
		shared_backwards += now < shared_latest;
		shared_latest = now;
		spin_unlock(&shared_lock);
	}
	__atomic_fetch_add(&shared_done, 1, __ATOMIC_ACQ_REL);
}

static void check_clock_across_cpus(void)
{
	const unsigned count = arch_cpu_count() < MAX_CPUS ? arch_cpu_count() : MAX_CPUS;
	const char *reason;
	bool complete;

	__atomic_store_n(&shared_expected, count, __ATOMIC_RELEASE);
	for (unsigned cpu = 1; cpu < count; cpu++) {
		reason = arch_cpu_start(cpu, share_clock);
		if (reason) {
			report(false, "clock: vCPU %u starts: %s", cpu, reason);
			return;
		}
	}
	share_clock(0);
	complete = wait_until(__atomic_load_n(&shared_done, __ATOMIC_ACQUIRE) == count,
			      SHARED_PATIENCE);
	if (!complete || shared_backwards)
		report_info("clock: %u of %u vCPUs done, went back %llu times",
			    __atomic_load_n(&shared_done, __ATOMIC_ACQUIRE), count,
			    (unsigned long long)shared_backwards);
	report(complete && !shared_backwards, "clock: never goes back across %u vCPUs", count);
}

static uint64_t latencies[DEADLINES]; /* ns, sorted */

static void latency_insert(unsigned used, uint64_t latency)
{
	unsigned at = used;

	for (; at && latencies[at - 1] > latency; at--)
		latencies[at] = latencies[at - 1];
	latencies[at] = latency;
}

static void print_histogram(unsigned count)
{
	unsigned at = 0;

	for (unsigned bucket = 0; bucket < BUCKETS && at < count; bucket++) {
		const uint64_t limit = bucket + 1 < BUCKETS ? 1ULL << bucket : UINT64_MAX;
		const unsigned first = at;

		while (at < count && latencies[at] < limit)
			at++;
		if (at > first)
			report_info("histogram: %u below %llu ns", at - first,
				    (unsigned long long)limit);
	}
}

static void check_deadlines(void)
{
	struct random random;
	unsigned met = 0, early = 0, missed = 0;

	random_seed(&random, 1);
	for (unsigned i = 0; i < WARM_UP + DEADLINES && missed < 3; i++) {
		const uint64_t wait = SHORTEST_SLEEP + random_below(&random, SLEEP_SPREAD);
		const uint64_t deadline = arch_clock() + nanoseconds_to_ticks(wait);
		const uint64_t woken = arch_timer_sleep(deadline);

		if (!woken)
			missed++;
		else if (woken < deadline)
			early++;
		else if (i >= WARM_UP)
			latency_insert(met++, ticks_to_nanoseconds(woken - deadline));
	}
	report_info("deadlines: %u met, %u early, %u missed", met, early, missed);
	report(!missed, "deadlines: none is missed");
	report(!early, "deadlines: none is early");
	if (!met)
		return;
	report_info("latency: min %llu ns, median %llu ns, p99 %llu ns, max %llu ns, samples %u",
		    (unsigned long long)latencies[0], (unsigned long long)latencies[met / 2],
		    (unsigned long long)latencies[(met * 99 - 1) / 100],
		    (unsigned long long)latencies[met - 1], met);
	print_histogram(met);
}

/* A deadline that has passed is met at once. */
static void check_passed_deadline(void)
{
	const uint64_t now = arch_clock();
	const uint64_t woken = arch_timer_sleep(now - nanoseconds_to_ticks(1000000));

	if (woken)
		report_info("deadline in the past: met after %llu ns",
			    (unsigned long long)ticks_to_nanoseconds(woken - now));
	report(woken >= now, "deadlines: one in the past is met at once");
}

int test_timer(int argc, char **argv)
{
	const char *missing = arch_timer_problem();

	check_clock();
	check_clock_across_cpus();
	if (missing) {
		report_skip("deadlines: %s", missing);
		return report_summary();
	}
	check_deadlines();
	check_passed_deadline();
	return report_summary();
}
