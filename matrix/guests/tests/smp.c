/* SPDX-License-Identifier: MIT */
/*
 * smp [COUNT]: every vCPU comes up, counts together with the others under contention, and is
 * counted exactly once. COUNT is what -smp said.
 */
#include <arch.h>
#include <guest.h>

#define ATOMIC_ROUNDS 20000
#define LOCKED_ROUNDS 2000
#define PATIENCE      (20 * NSEC_PER_SEC)

static unsigned arrivals[MAX_CPUS]; /* how often each vCPU entered */
static unsigned wrong_numbers;	    /* vCPUs that disagree about who they are */
static unsigned arrived, finished;
static unsigned long together, atomically; /* counted by all: under the lock, and without */
static bool go;
static struct spinlock together_lock;

static void contend(void *argument)
{
	for (unsigned i = 0; i < ATOMIC_ROUNDS; i++)
		__atomic_fetch_add(&atomically, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < LOCKED_ROUNDS; i++) {
		spin_lock(&together_lock);
		together++; /* no atomic operation: the lock alone must keep the others out */
		spin_unlock(&together_lock);
	}
}

static void work(unsigned cpu)
{
	__atomic_fetch_add(&arrivals[cpu], 1, __ATOMIC_RELAXED);
	if (arch_cpu_number() != cpu)
		__atomic_fetch_add(&wrong_numbers, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
	while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
		cpu_relax();
	arch_run_user(contend, NULL);
	__atomic_fetch_add(&finished, 1, __ATOMIC_ACQ_REL);
}

static unsigned start_all(unsigned count)
{
	unsigned started = 1;

	for (unsigned cpu = 1; cpu < count; cpu++) {
		const char *reason = arch_cpu_start(cpu, work);

		if (reason)
			report(false, "vCPU %u starts: %s", cpu, reason);
		else
			started++;
	}
	return started;
}

static void check_arrivals(unsigned count)
{
	unsigned missing = 0, repeated = 0;

	for (unsigned cpu = 0; cpu < count; cpu++) {
		missing += arrivals[cpu] == 0;
		repeated += arrivals[cpu] > 1;
	}
	if (missing || repeated)
		report_info("%u vCPUs never came, %u came repeatedly", missing, repeated);
	report(!missing && !repeated, "each of %u vCPUs is counted once", count);
	report(!wrong_numbers, "each vCPU knows its number");
}

static void check_counter(const char *name, unsigned long counter, unsigned long expected)
{
	if (counter != expected)
		report_info("%s: %lu instead of %lu", name, counter, expected);
	report(counter == expected, "%s: all vCPUs count to %lu", name, expected);
}

int test_smp(int argc, char **argv)
{
	const unsigned count = arch_cpu_count();
	const unsigned usable = count < MAX_CPUS ? count : MAX_CPUS;
	const char *rest;
	uint64_t expected;
	unsigned started, done;

	if (argc > 1 && parse_number(argv[1], &expected, &rest))
		report(count == expected, "%u vCPUs are there, %u were given", count,
		       (unsigned)expected);
	else
		report_info("%u vCPUs are there", count);
	if (usable < count)
		report_info("only %u of %u vCPUs are used", usable, count);
	started = start_all(usable);
	/* This vCPU waits for the others before it takes part. */
	wait_until(__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) >= started - 1, PATIENCE);
	__atomic_store_n(&go, true, __ATOMIC_RELEASE);
	work(0);
	wait_until(__atomic_load_n(&finished, __ATOMIC_ACQUIRE) >= started, PATIENCE);
	done = __atomic_load_n(&finished, __ATOMIC_ACQUIRE);
	if (done < usable)
		report_info("%u vCPUs started, %u arrived, %u finished", started,
			    __atomic_load_n(&arrived, __ATOMIC_RELAXED), done);
	report(done == usable, "%u vCPUs come up and finish", usable);
	check_arrivals(usable);
	check_counter("atomics", __atomic_load_n(&atomically, __ATOMIC_RELAXED),
		      (unsigned long)usable * ATOMIC_ROUNDS);
	check_counter("lock", __atomic_load_n(&together, __ATOMIC_RELAXED),
		      (unsigned long)usable * LOCKED_ROUNDS);
	return report_summary();
}
