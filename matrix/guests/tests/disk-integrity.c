/* SPDX-License-Identifier: MIT */
/*
 * disk-integrity [depth=REQUESTS] [ram=MIB] [seed=NUMBER] [seconds=N] [flush=MS]: the proof that a
 * virtio disk and its queue survive while somebody moves this machine elsewhere. It works as
 * ram-integrity does, until the console receives a q, and prints the same lines for programs:
 *   INTEGRITY: START …   once, when every sector has been written
 *   INTEGRITY: BEAT n=…  with how many requests have been answered, and how many were in flight
 *                        during the largest gap of its clock: over the switchover, after a hop
 *   INTEGRITY: END …     once, after every sector has been read for the last time
 *
 * As many requests are in flight as are asked for. Most rewrite some sectors, at random: they are
 * read, verified against this guest's ledger, and only then written anew, of the next generation,
 * while no other request touches them. The others read the whole disk in turn.
 */
#include "beat.h"
#include "disk.h"

#define FEWEST_SECTORS 64u
#define LARGEST	       LARGEST_REQUEST
#define DEFAULT_DEPTH  8u
#define WALKERS	       4u		    /* one in so many requests reads the disk in turn */
#define SLICE	       (NSEC_PER_SEC / 200) /* it looks after the console so often */
#define PATIENCE       (20 * NSEC_PER_SEC)
#define TRIES	       4

static struct beat_options options = { .depth = DEFAULT_DEPTH, .seed = 1 };

static struct random choice;
static uint32_t cursor; /* the sector that is read in turn next */
static unsigned long long passes;
static uint64_t largest_gap, flush_interval; /* ticks */

static bool read_options(char **words)
{
	if (!beat_read_options(&options, words, "ram=", "REQUESTS", "requests", MOST_REQUESTS))
		return false;
	disk.depth = (unsigned)options.depth;
	disk_seed = options.seed;
	random_seed(&choice, options.seed);
	flush_interval = nanoseconds_to_ticks(options.flush * NSEC_PER_MSEC);
	return true;
}

/* The next sectors in turn; false where they are at work, or the last has been passed. */
static bool in_turn(struct slot *slot)
{
	const uint32_t left = disk.sectors - cursor;

	if (left == 0 || !disk_lock(slot, cursor, left < LARGEST ? left : LARGEST))
		return false;
	cursor += slot->count;
	return true;
}

static bool at_random(struct slot *slot)
{
	for (unsigned i = 0; i < TRIES; i++) {
		const uint32_t count = 1 + random_below(&choice, LARGEST);

		if (disk_lock(slot, random_below(&choice, disk.kept - count + 1), count))
			return true;
	}
	return false;
}

static void work(void)
{
	disk_take_answers();
	for (unsigned i = 0; i < disk.depth; i++) {
		struct slot *slot = &disk_slots[i];

		if (slot->deed != IDLE)
			continue;
		if (i % WALKERS == 0 && in_turn(slot))
			disk_submit(slot, WALKING);
		else if (at_random(slot))
			disk_submit(slot, VERIFYING);
	}
	if (cursor == disk.sectors) {
		cursor = 0;
		passes++;
	}
}

static bool wait_for_answers(void)
{
	return wait_until((disk_take_answers(), disk.in_flight == 0), PATIENCE);
}

/* Go once over all sectors; false where answers do not come. */
static bool go_over(enum deed deed)
{
	const uint64_t patience = nanoseconds_to_ticks(PATIENCE);
	uint64_t answered_at = arch_clock();
	unsigned long long answered = disk.requests;

	for (cursor = 0; cursor < disk.sectors;) {
		disk_take_answers();
		for (unsigned i = 0; i < disk.depth; i++)
			if (disk_slots[i].deed == IDLE && in_turn(&disk_slots[i]))
				disk_submit(&disk_slots[i], deed);
		if (answered != disk.requests)
			answered_at = arch_clock();
		else if (arch_clock() - answered_at > patience)
			return false;
		answered = disk.requests;
	}
	return wait_for_answers();
}

static void print_beat(void)
{
	char line[192];
	size_t length;

	disk_read_clock();
	disk.beats++;
	disk_find_lost(false);
	disk_findings_report();
	length = snprintf(
		line, sizeof(line),
		"INTEGRITY: BEAT n=%llu clock=%llu gap=%llu verified=%llu passes=%llu "
		"requests=%llu inflight=%u\n",
		disk.beats,
		(unsigned long long)ticks_to_nanoseconds(beat_since_start(disk.last_clock)),
		(unsigned long long)ticks_to_nanoseconds(disk.gap), disk.verified, passes,
		disk.requests, disk.in_flight_then);
	if (disk.gap > largest_gap)
		largest_gap = disk.gap;
	disk.gap = 0;
	beat_write(line, length, disk_read_clock);
}

static void run(void)
{
	const uint64_t slice = nanoseconds_to_ticks(SLICE);
	uint64_t look_at = disk.last_clock, flush_at = disk.last_clock + flush_interval;
	bool stop = false, asked;

	while (!stop) {
		work();
		ballast_stir(disk.last_clock);
		disk_findings_report();
		if (options.flush && disk.last_clock >= flush_at) {
			arch_flush_tlb();
			flush_at = disk.last_clock + flush_interval;
		}
		/* Both, in case it has gone back. */
		if (disk.last_clock < look_at && look_at - disk.last_clock <= slice)
			continue;
		look_at = disk.last_clock + slice;
		stop = beat_stop(disk.last_clock, options.seconds, &asked);
		if (beat_passed(disk.last_clock) || asked)
			print_beat();
	}
}

static bool open_disk(void)
{
	uint32_t capacity;

	if (!report(virtio_negotiate(&disk.device, 0), "it takes version 1") ||
	    !report(virtio_queue_open(&disk.device, 0, &disk.queue, VIRTIO_ENTRIES),
		    "it has a queue"))
		return false;
	virtio_start(&disk.device);
	capacity = virtio_configuration(&disk.device, 4) ? MOST_SECTORS
							 : virtio_configuration(&disk.device, 0);
	disk.sectors = capacity < MOST_SECTORS ? capacity : MOST_SECTORS;
	disk.kept = disk.sectors - disk.sectors / 4;
	if (disk.sectors < FEWEST_SECTORS)
		return report(false, "the disk has at least %u sectors", FEWEST_SECTORS);
	return true;
}

static void report_all(void)
{
	report(!disk_findings_of_sectors(REWRITTEN),
	       "rewritten sectors: every one is as written last");
	report(!disk_findings_of_sectors(KEPT), "kept sectors: none has changed");
	report(!disk_findings_of(UNASKED) && !disk_findings_of(REFUSED) &&
		       !disk_findings_of(SHORT) && !disk_findings_of(LOST),
	       "requests: each is answered once, and done");
	report(!disk_findings_of(NO_INTERRUPT), "interrupts: none is lost");
	report(!disk_findings_of(CLOCK_BACK), "clock: it never goes back");
}

static void prove(void)
{
	const uint32_t kept = disk.sectors - disk.kept;

	if (!report(ballast_open(options.memory, options.seed), "memory is filled"))
		return;
	disk.last_clock = arch_clock();
	if (!report(go_over(FILLING), "every sector is written once"))
		return;
	printf("INTEGRITY: START sectors=%u kept=%u depth=%u victim=%u\n", disk.sectors, kept,
	       disk.depth, disk.kept + kept / 2);
	disk.last_clock = arch_clock();
	disk.gap = 0;
	disk.verified = disk.requests = 0;
	beat_start(disk.last_clock);
	run();
	if (!wait_for_answers() || !go_over(WALKING))
		disk_find_lost(true);
	disk_findings_report();
	printf("INTEGRITY: END beats=%llu verified=%llu passes=%llu requests=%llu "
	       "largest_gap=%llu\n",
	       disk.beats, disk.verified, passes, disk.requests,
	       (unsigned long long)ticks_to_nanoseconds(largest_gap));
	report_all();
}

int test_disk_integrity(int argc, char **argv)
{
	const char *reason;

	if (!read_options(argv + 1))
		return report_summary();
	reason = virtio_open(&disk.device, VIRTIO_BLK, 0);
	if (reason)
		report_skip("%s", reason);
	else if (open_disk())
		prove();
	return report_summary();
}
