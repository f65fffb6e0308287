/* SPDX-License-Identifier: MIT */
/*
 * elastic-integrity [depth=REQUESTS] [region=MIB] [seed=NUMBER] [seconds=N] [flush=MS]: the proof
 * that memory which comes and goes, and the queues by which it does, survive while somebody moves
 * this machine elsewhere, and while its host asks for memory and gives it back: virtio-balloon and
 * virtio-mem, and virtio-rng beside them, of which any may be missing. It works as ram-integrity
 * does, until the console receives a q, and prints the same lines for programs; a BEAT says how
 * many pages the balloon has, and how many bytes of blocks are plugged.
 */
#include "beat.h"
#include "elastic.h"

#define DEFAULT_DEPTH  8u
#define DEFAULT_REGION 16u
#define PAGES_PER_MIB  ((1u << 20) / ELASTIC_PAGE)
#define PACE	       (NSEC_PER_SEC / 250)
#define PAGES_AT_ONCE  6u /* that are looked at, and written anew */
#define PATIENCE       (5 * NSEC_PER_SEC)
#define SHOWN	       10u

static struct beat_options options = { .depth = DEFAULT_DEPTH,
				       .memory = DEFAULT_REGION,
				       .seed = 1 };

static struct elastic_device *const devices[] = { &elastic_balloon, &elastic_blocks,
						  &elastic_entropy };

static struct random choice;
static uint64_t last_clock, gap, largest_gap;
static unsigned in_flight, in_flight_then;
static unsigned long long beats, requests, wrongs[WRONGS], shown;

bool elastic_count(enum wrong what)
{
	wrongs[what]++;
	return shown++ < SHOWN;
}

void elastic_read_clock(void)
{
	const uint64_t now = arch_clock();
	const uint64_t passed = now < last_clock ? 0 : now - last_clock;

	if (passed > gap) {
		gap = passed;
		in_flight_then = in_flight;
	}
	last_clock = now;
}

void elastic_submitted(void)
{
	elastic_read_clock();
	in_flight++;
}

void elastic_answered(void)
{
	elastic_read_clock();
	in_flight--;
	requests++;
}

unsigned long long elastic_beat(void)
{
	return beats;
}

uint32_t elastic_random(uint32_t limit)
{
	return random_below(&choice, limit);
}

static bool read_options(char **words)
{
	if (!beat_read_options(&options, words, "region=", "REQUESTS", "requests", MOST_ENTROPY))
		return false;
	if (options.memory < 1 || options.memory * PAGES_PER_MIB > MOST_REGION_PAGES)
		return report(false, "region=%llu: expected 1 to %u MiB",
			      (unsigned long long)options.memory,
			      MOST_REGION_PAGES / PAGES_PER_MIB);
	entropy_depth((unsigned)options.depth);
	random_seed(&choice, options.seed);
	return true;
}

static bool open_region(void)
{
	const unsigned pages = (unsigned)options.memory * PAGES_PER_MIB;
	uintptr_t from, to;

	for (unsigned i = 0; arch_memory_free(i, &from, &to); i++) {
		from = (from + ELASTIC_PAGE - 1) & ~(uintptr_t)(ELASTIC_PAGE - 1);
		if (from < to && (to - from) / ELASTIC_PAGE >= pages) {
			pages_open(from, pages, options.seed);
			return true;
		}
	}
	return report(false, "%u MiB of memory are free in one piece", (unsigned)options.memory);
}

/* Whether there is any device at all. */
static bool open_devices(void)
{
	bool any = false;

	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++) {
		const char *reason = devices[i]->open();

		devices[i]->present = !reason;
		any |= !reason;
		if (reason)
			report_info("%s: %s", devices[i]->name, reason);
	}
	if (!any)
		report_skip("it has none of virtio-balloon, virtio-mem and virtio-rng");
	return any;
}

static bool drain_all(void)
{
	bool over = true;

	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		over &= !devices[i]->present || devices[i]->drain();
	return over;
}

static void find_lost(bool all)
{
	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i]->present)
			devices[i]->find_lost(all);
}

static void print_beat(void)
{
	char line[256];
	size_t length;

	elastic_read_clock();
	beats++;
	find_lost(false);
	length = snprintf(line, sizeof(line),
			  "INTEGRITY: BEAT n=%llu clock=%llu gap=%llu verified=%llu passes=%llu "
			  "requests=%llu inflight=%u balloon=%u plugged=%llu busy=%llu\n",
			  beats,
			  (unsigned long long)ticks_to_nanoseconds(beat_since_start(last_clock)),
			  (unsigned long long)ticks_to_nanoseconds(gap), pages_verified(),
			  pages_passes(), requests, in_flight_then, balloon_pages(),
			  (unsigned long long)blocks_plugged(), blocks_busy());
	if (gap > largest_gap)
		largest_gap = gap;
	gap = 0;
	beat_write(line, length, elastic_read_clock);
}

static void work(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(devices); i++)
		if (devices[i]->present)
			devices[i]->step();
	if (options.flush)
		arch_flush_tlb(); /* just before pages are written */
	pages_work(PAGES_AT_ONCE);
}

static void run(void)
{
	const uint64_t pace = nanoseconds_to_ticks(PACE);
	const uint64_t flush_interval = nanoseconds_to_ticks(options.flush * NSEC_PER_MSEC);
	uint64_t due = last_clock, flush_at = last_clock + flush_interval;
	bool stop = false, asked;

	while (!stop) {
		elastic_read_clock();
		if (options.flush && last_clock >= flush_at) {
			arch_flush_tlb();
			flush_at = last_clock + flush_interval;
		}
		/* Both, in case it has gone back. */
		if (last_clock < due && due - last_clock <= pace)
			continue;
		due = last_clock + pace;
		work();
		stop = beat_stop(last_clock, options.seconds, &asked);
		if (beat_passed(last_clock) || asked)
			print_beat();
	}
	if (!wait_until(drain_all(), PATIENCE))
		find_lost(true);
	pages_verify();
}

static void report_all(void)
{
	report(!wrongs[PAGE_DIFFERS], "pages: each is as it was written last");
	report(!wrongs[RETURNED_DIFFERS], "pages that came back: zero, or as they were");
	report(!wrongs[UNASKED] && !wrongs[LOST] && !wrongs[REFUSED],
	       "requests: each is answered once, and done");
	report(!wrongs[DISAGREES], "devices: they say what the ledger says");
	report(!wrongs[REPEATED], "entropy: no answer is given twice");
	report_info("%llu pages came back zero, %llu as they were, %llu partly; %llu requests were "
		    "put off",
		    pages_zeroed(), pages_kept(), pages_torn(), blocks_busy());
}

int test_elastic_integrity(int argc, char **argv)
{
	if (!read_options(argv + 1) || !open_region() || !open_devices())
		return report_summary();
	printf("INTEGRITY: START pages=%u base=0x%llx lendable=%u block=%llu blocks=%u depth=%u\n",
	       (unsigned)options.memory * PAGES_PER_MIB,
	       (unsigned long long)arch_physical_address(pages_address(0)), balloon_most(),
	       (unsigned long long)blocks_size(), blocks_count(),
	       elastic_entropy.present ? (unsigned)options.depth : 0);
	last_clock = arch_clock();
	gap = 0;
	beat_start(last_clock);
	run();
	printf("INTEGRITY: END beats=%llu verified=%llu passes=%llu requests=%llu "
	       "largest_gap=%llu\n",
	       beats, pages_verified(), pages_passes(), requests,
	       (unsigned long long)ticks_to_nanoseconds(largest_gap));
	report_all();
	return report_summary();
}
