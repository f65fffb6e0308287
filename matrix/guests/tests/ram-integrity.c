/* SPDX-License-Identifier: MIT */
/*
 * ram-integrity [rate=MIB] [set=MIB] [region=MIB] [seed=NUMBER] [seconds=N] [flush=MS]: the proof
 * that memory, registers and clocks survive while somebody moves this machine elsewhere. It works
 * until the console receives a q, and says ten times a second how far it is, and at once when any
 * other byte comes.
 *
 * What it prints, beside the lines of every test, is read by programs:
 *   INTEGRITY: START …   once, when all memory has been filled
 *   INTEGRITY: BEAT n=…  by the guest's clock; numbered, so that none is lost or doubled unseen
 *   INTEGRITY: END …     once, after everything has been verified for the last time
 */
#include "beat.h"
#include "integrity.h"

#define PAGES_PER_MIB	((1u << 20) / PAGE_SIZE)
#define DEFAULT_REGION	64 /* MiB */
#define SMALLEST_REGION 1
#define WALK_RATE	16		     /* MiB/s */
#define SLICE		(NSEC_PER_SEC / 200) /* vCPU 0 looks after the console so often */
#define PATIENCE	(20 * NSEC_PER_SEC)
#define DEAD_AFTER	(30 * NSEC_PER_SEC)
#define TOUCHED_BYTE	(PAGE_SIZE / 2 + 5)

static struct {
	uint64_t rate, set, region, seed, seconds, flush;
	bool has_set;
} options;

static unsigned cpus;
static uint64_t flush_interval; /* ticks */

/* What vCPU 0 knows of the others, beyond the width of a word. */
static struct {
	word counter, verified, passes;
	uint64_t verified_total, passes_total, moved_at;
	bool dead;
} seen[MAX_CPUS];

static struct {
	unsigned long long number, clock, gap, verified, passes, largest_gap;
} beat;

/*
 * Arguments
 */

static bool read_options(char **option)
{
	static const struct option names[] = {
		{ "rate=", &options.rate, NULL },	{ "set=", &options.set, &options.has_set },
		{ "region=", &options.region, NULL },	{ "seed=", &options.seed, NULL },
		{ "seconds=", &options.seconds, NULL }, { "flush=", &options.flush, NULL },
	};

	options.region = DEFAULT_REGION;
	options.seed = 1;
	for (; *option; option++) {
		if (!read_option(*option, names, ARRAY_SIZE(names))) {
			report(false,
			       "argument '%s': expected rate=MIB (per second), set=MIB, region=MIB, "
			       "seed=NUMBER, seconds=N or flush=MS",
			       *option);
			return false;
		}
	}
	return true;
}

/* The largest range of free memory, or as much of it as is asked for. */
static bool choose_pages(void)
{
	uintptr_t start, end;
	uint64_t pages = 0, set;

	for (unsigned i = 0; arch_memory_free(i, &start, &end); i++) {
		start = (start + PAGE_SIZE - 1) & ~(uintptr_t)(PAGE_SIZE - 1);
		end &= ~(uintptr_t)(PAGE_SIZE - 1);
		if (start < end && (end - start) / PAGE_SIZE > pages) {
			pages = (end - start) / PAGE_SIZE;
			layout.start = start;
		}
	}
	if (pages < options.region * PAGES_PER_MIB)
		report_info("%llu MiB are free in one piece, %llu were asked for",
			    (unsigned long long)pages / PAGES_PER_MIB,
			    (unsigned long long)options.region);
	else
		pages = options.region * PAGES_PER_MIB;
	if (pages < SMALLEST_REGION * PAGES_PER_MIB)
		return report(false, "at least %u MiB of memory can be tested", SMALLEST_REGION);
	set = options.has_set ? options.set * PAGES_PER_MIB : pages / 2;
	/* There is always some of each kind. */
	if (set > pages - pages / 8)
		set = pages - pages / 8;
	if (set < cpus)
		set = cpus;
	layout.pages = (unsigned long)pages;
	layout.count[WORKING] = (unsigned long)set;
	layout.count[ZERO] = (unsigned long)(pages - set) / 4;
	layout.count[STATIC] = layout.pages - layout.count[WORKING] - layout.count[ZERO];
	layout.seed = options.seed;
	return true;
}

/*
 * Output: vCPU 0's alone from START to END
 */

struct line {
	char text[192];
	size_t length;
};

static void format_beat(void *argument)
{
	struct line *line = argument;

	line->length = snprintf(line->text, sizeof(line->text),
				"INTEGRITY: BEAT n=%llu clock=%llu gap=%llu verified=%llu "
				"passes=%llu\n",
				beat.number, beat.clock, beat.gap, beat.verified, beat.passes);
}

/* The first page of a kind in the second half, so that it is not at an edge. */
static unsigned long example_page(enum page_kind kind)
{
	struct cursor cursor = { 0 };
	unsigned long found = 0;

	while (cursor.page < layout.pages) {
		const unsigned long page = cursor.page;

		if (cursor_next(&cursor) != kind)
			continue;
		found = page;
		if (page >= layout.pages / 2)
			break;
	}
	return found;
}

/* Bytes for others to touch. */
static unsigned long long examples[PAGE_KINDS];

/* What takes a while over all pages. */
static void plan(void *argument)
{
	work_divide(cpus);
	for (unsigned kind = 0; kind < PAGE_KINDS; kind++)
		examples[kind] =
			arch_physical_address(page_address(example_page(kind))) + TOUCHED_BYTE;
}

static void print_start(void)
{
	printf("INTEGRITY: START vcpus=%u page=%u pages=%lu set=%lu static=%lu zero=%lu base=0x%llx "
	       "victim=0x%llx dirty=0x%llx\n",
	       cpus, PAGE_SIZE, layout.pages, layout.count[WORKING], layout.count[STATIC],
	       layout.count[ZERO], (unsigned long long)arch_physical_address(layout.start),
	       examples[STATIC], examples[WORKING]);
}

/*
 * Looking after the vCPUs
 */

static void look_at(unsigned cpu, uint64_t now)
{
	const struct worker *worker = &workers[cpu];
	const word counter = __atomic_load_n(&worker->counter, __ATOMIC_RELAXED);
	const word verified = __atomic_load_n(&worker->verified, __ATOMIC_RELAXED);
	const word passes = __atomic_load_n(&worker->passes, __ATOMIC_RELAXED);

	/* Backwards, modulo the width. */
	if ((word)(counter - seen[cpu].counter) > (word)-1 / 2)
		finding_note(&(struct finding){ .kind = COUNTER_DIFFERS,
						.cpu = cpu,
						.found = counter,
						.expected = seen[cpu].counter });
	if (counter != seen[cpu].counter)
		seen[cpu].moved_at = now;
	seen[cpu].verified_total += (word)(verified - seen[cpu].verified);
	seen[cpu].passes_total += (word)(passes - seen[cpu].passes);
	seen[cpu].counter = counter;
	seen[cpu].verified = verified;
	seen[cpu].passes = passes;
}

static void find_dead(unsigned cpu, uint64_t now)
{
	const uint64_t still = now - seen[cpu].moved_at;

	if (seen[cpu].dead || now < seen[cpu].moved_at || still < nanoseconds_to_ticks(DEAD_AFTER))
		return;
	seen[cpu].dead = true;
	finding_note(&(struct finding){ .kind = CPU_DEAD,
					.cpu = cpu,
					.found = seen[cpu].counter,
					.expected = ticks_to_nanoseconds(still) / NSEC_PER_SEC });
}

/* The largest since it was asked last, or the one that has not ended yet; in clock_units. */
static word take_gap(unsigned cpu, uint64_t now)
{
	struct worker *worker = &workers[cpu];
	const word gap = __atomic_exchange_n(&worker->gap, 0, __ATOMIC_RELAXED);
	const word reading = __atomic_load_n(&worker->reading, __ATOMIC_RELAXED);
	const word open = clock_units(now) - reading;

	/* Modulo the width: one that was read just after ours is no gap. */
	if (open > (word)-1 / 2 || __atomic_load_n(&worker->stopped, __ATOMIC_ACQUIRE))
		return gap;
	return open > gap ? open : gap;
}

static void take_stock(void *argument)
{
	const uint64_t now = *(const uint64_t *)argument;
	uint64_t passes = UINT64_MAX;
	word gap = 0;

	beat.verified = 0;
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		const word of_cpu = take_gap(cpu, now);

		look_at(cpu, now);
		find_dead(cpu, now);
		beat.verified += seen[cpu].verified_total;
		if (!workers[cpu].rewrite_pace.never && seen[cpu].passes_total < passes)
			passes = seen[cpu].passes_total;
		if (of_cpu > gap)
			gap = of_cpu;
	}
	beat.clock = ticks_to_nanoseconds(beat_since_start(now));
	beat.passes = passes;
	beat.gap = ticks_to_nanoseconds(clock_ticks(gap));
	if (beat.gap > beat.largest_gap)
		beat.largest_gap = beat.gap;
}

static void read_clock(void)
{
	worker_clock(&workers[0]);
}

static void print_beat(void)
{
	uint64_t now = worker_clock(&workers[0]);
	struct line line;

	arch_run_user(take_stock, &now);
	beat.number++;
	arch_run_user(format_beat, &line);
	beat_write(line.text, line.length, read_clock);
}

/* Work until then; translations are flushed as often as is asked for. */
static void work_until(struct worker *me, uint64_t until)
{
	if (!options.flush) {
		me->until = until;
		arch_run_user(worker_work, me);
		return;
	}
	do {
		const uint64_t flush_at = me->last_clock + flush_interval;

		me->until = until < flush_at ? until : flush_at;
		arch_run_user(worker_work, me);
		arch_flush_tlb();
	} while (me->until < until && !__atomic_load_n(&integrity_stop, __ATOMIC_ACQUIRE));
}

/* vCPU 0: work, with a look at the console in between, until it is told to stop. */
static void run(uint64_t now)
{
	const uint64_t slice = nanoseconds_to_ticks(SLICE);
	bool stop, asked;

	do {
		work_until(&workers[0], beat_due() < now + slice ? beat_due() : now + slice);
		findings_report();
		now = worker_clock(&workers[0]);
		stop = beat_stop(now, options.seconds, &asked);
		if (beat_passed(now) || asked)
			print_beat();
	} while (!stop);
}

/*
 * The other vCPUs
 */

static void work(unsigned cpu)
{
	struct worker *me = &workers[cpu];

	worker_open(me);
	arch_run_user(worker_fill, me);
	__atomic_store_n(&me->ready, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&integrity_go, __ATOMIC_ACQUIRE))
		cpu_relax();
	work_until(me, UINT64_MAX);
	__atomic_store_n(&me->stopped, true, __ATOMIC_RELEASE);
}

static bool start_all(void)
{
	for (unsigned cpu = 1; cpu < cpus; cpu++) {
		const char *reason = arch_cpu_start(cpu, work);

		if (reason)
			return report(false, "vCPU %u starts: %s", cpu, reason);
	}
	worker_open(&workers[0]);
	arch_run_user(worker_fill, &workers[0]);
	for (unsigned cpu = 1; cpu < cpus; cpu++) {
		if (!wait_until(__atomic_load_n(&workers[cpu].ready, __ATOMIC_ACQUIRE), PATIENCE))
			return report(false, "vCPU %u comes up and fills its memory", cpu);
	}
	return true;
}

static void stop_all(void)
{
	__atomic_store_n(&integrity_stop, true, __ATOMIC_RELEASE);
	workers[0].stopped = true;
	for (unsigned cpu = 1; cpu < cpus; cpu++) {
		if (!wait_until(__atomic_load_n(&workers[cpu].stopped, __ATOMIC_ACQUIRE), PATIENCE))
			finding_note(&(struct finding){ .kind = CPU_DEAD,
							.cpu = cpu,
							.found = workers[cpu].counter,
							.expected = PATIENCE / NSEC_PER_SEC });
	}
}

/*
 * The end
 */

static void verify_all(void)
{
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		/* Where one still runs, nobody knows what its pages should hold. */
		if (__atomic_load_n(&workers[cpu].stopped, __ATOMIC_ACQUIRE))
			arch_run_user(worker_verify, &workers[cpu]);
	}
}

static void report_registers(enum register_file file, const char *name)
{
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		if (workers[cpu].missing[file] != NULL) {
			report_skip("%s: %s", name, workers[cpu].missing[file]);
			return;
		}
	}
	report(!findings_of_registers(file), "%s: registers keep their values", name);
}

static void report_all(void)
{
	report(!findings_of_pages(WORKING), "working set: every page is as it was written last");
	report(!findings_of_pages(STATIC), "static pages: none has changed");
	report(!findings_of_pages(ZERO), "zero pages: all are still zero");
	report(!findings_of(COUNTER_DIFFERS) && !findings_of(CPU_DEAD),
	       "counters: every vCPU counts on");
	report(!findings_of(CLOCK_BACK), "clocks: none goes back");
	report_registers(FLOATING_POINT, "floating point");
	report_registers(VECTOR, "vector");
}

int test_ram_integrity(int argc, char **argv)
{
	uint64_t now;

	cpus = arch_cpu_count() < MAX_CPUS ? arch_cpu_count() : MAX_CPUS;
	if (!read_options(argv + 1) || !choose_pages())
		return report_summary();
	work_open(cpus, (unsigned long)options.rate * PAGES_PER_MIB, WALK_RATE * PAGES_PER_MIB);
	flush_interval = nanoseconds_to_ticks(options.flush * NSEC_PER_MSEC);
	arch_run_user(plan, NULL);
	if (!start_all())
		return report_summary();
	print_start();
	now = arch_clock();
	beat_start(now);
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		seen[cpu].moved_at = now;
		worker_start(&workers[cpu], now);
	}
	__atomic_store_n(&integrity_go, true, __ATOMIC_RELEASE);
	run(now);
	stop_all();
	verify_all();
	findings_report();
	now = arch_clock();
	take_stock(&now);
	printf("INTEGRITY: END beats=%llu verified=%llu passes=%llu largest_gap=%llu\n",
	       beat.number, beat.verified, beat.passes, beat.largest_gap);
	report_all();
	return report_summary();
}
