/* SPDX-License-Identifier: MIT */
/* The requests of disk-integrity, from the queue and back to it: VIRTIO 1.2, 5.2. */
#include "disk.h"

#define DESCRIPTORS	 3u   /* of a request */
#define PATIENCE_BEATS	 200u /* while it runs: a gap of its clock is none of the disk's */
#define BEATS_PER_SECOND 10u

#define REQUEST_READ  0
#define REQUEST_WRITE 1
#define DONE	      0
#define NO_ANSWER     0xffu

struct disk disk;
struct slot disk_slots[MOST_REQUESTS];

/* The ledger: which generation each sector is of, and whether a request is at work on it. */
static uint32_t generations[MOST_SECTORS];
static bool locked[MOST_SECTORS];

/* An answer has come whose interrupt has not, since that beat. */
static bool wants_interrupt;
static unsigned long long interrupt_since;

void disk_read_clock(void)
{
	const uint64_t now = arch_clock();

	if (now < disk.last_clock) {
		disk_finding_note(&(struct finding){
			.kind = CLOCK_BACK, .found = now, .expected = disk.last_clock });
	} else if (now - disk.last_clock > disk.gap) {
		disk.gap = now - disk.last_clock;
		disk.in_flight_then = disk.in_flight;
	}
	disk.last_clock = now;
}

bool disk_lock(struct slot *slot, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (locked[first + i])
			return false;
	for (uint32_t i = 0; i < count; i++)
		locked[first + i] = true;
	slot->first = first;
	slot->count = count;
	return true;
}

static void unlock(const struct slot *slot)
{
	for (uint32_t i = 0; i < slot->count; i++)
		locked[slot->first + i] = false;
}

/* In user mode: the next generation of its sectors goes into its buffer. */
static void fill(void *argument)
{
	struct slot *slot = argument;

	for (uint32_t i = 0; i < slot->count; i++)
		sector_fill(slot->data + i * SECTOR_WORDS, slot->first + i,
			    generations[slot->first + i] + 1);
}

/* In user mode. */
static void blank(void *argument)
{
	struct slot *slot = argument;

	for (uint32_t i = 0; i < slot->count; i++)
		sector_blank(slot->data + i * SECTOR_WORDS);
}

/* In user mode: what was read is what the ledger says. */
static void verify(void *argument)
{
	const struct slot *slot = argument;

	for (uint32_t i = 0; i < slot->count; i++) {
		const uint32_t sector = slot->first + i;
		struct finding finding = {
			.kind = SECTOR_DIFFERS,
			.mismatch = { .kind = sector < disk.kept ? REWRITTEN : KEPT },
		};

		if (!sector_verify(slot->data + i * SECTOR_WORDS, sector, generations[sector],
				   &finding.mismatch))
			disk_finding_note(&finding);
		disk.verified++;
	}
}

static bool writes(const struct slot *slot)
{
	return slot->deed == FILLING || slot->deed == REWRITING;
}

void disk_submit(struct slot *slot, enum deed deed)
{
	static unsigned long long number;
	const unsigned first = (unsigned)(slot - disk_slots) * DESCRIPTORS;
	struct virtio_queue *queue = &disk.queue;

	slot->deed = deed;
	arch_run_user(writes(slot) ? fill : blank, slot);
	slot->number = ++number;
	slot->since_beat = disk.beats;
	slot->lost = false;
	slot->request.type = little32(writes(slot) ? REQUEST_WRITE : REQUEST_READ);
	slot->request.sector = little64(slot->first);
	slot->status = NO_ANSWER;
	virtio_describe(queue, first, &slot->request, sizeof(slot->request), VIRTIO_NEXT);
	virtio_describe(queue, first + 1, slot->data, slot->count * SECTOR_SIZE,
			VIRTIO_NEXT | (writes(slot) ? 0 : VIRTIO_WRITTEN));
	virtio_describe(queue, first + 2, &slot->status, 1, VIRTIO_WRITTEN);
	disk_read_clock();
	disk.in_flight++;
	virtio_submit(queue, first);
}

static void note(const struct slot *slot, enum finding_kind kind, uint64_t found, uint64_t expected)
{
	disk_finding_note(&(struct finding){ .kind = kind,
					     .request = slot->number,
					     .writes = writes(slot),
					     .first = slot->first,
					     .count = slot->count,
					     .found = found,
					     .expected = expected });
}

/* A request has been answered: what it has read is verified, what it has written is so from now on;
 * what is to be rewritten is written next. */
static void finish(struct slot *slot, uint32_t written)
{
	const uint32_t expected = writes(slot) ? 1 : slot->count * SECTOR_SIZE + 1;
	const enum deed deed = slot->deed;

	disk.requests++;
	if (slot->status != DONE)
		note(slot, REFUSED, slot->status, DONE);
	else if (written != expected)
		note(slot, SHORT, written, expected);
	if (!writes(slot) && slot->status == DONE)
		arch_run_user(verify, slot);
	if (writes(slot) && slot->status == DONE)
		for (uint32_t i = 0; i < slot->count; i++)
			generations[slot->first + i]++;
	slot->deed = IDLE;
	if (deed == VERIFYING)
		disk_submit(slot, REWRITING);
	else
		unlock(slot);
}

void disk_take_answers(void)
{
	unsigned descriptor;
	uint32_t written;

	for (;;) {
		disk_read_clock();
		if (!virtio_take(&disk.queue, &descriptor, &written))
			break;
		if (!wants_interrupt)
			interrupt_since = disk.beats;
		wants_interrupt = true;
		if (descriptor % DESCRIPTORS || descriptor / DESCRIPTORS >= disk.depth ||
		    disk_slots[descriptor / DESCRIPTORS].deed == IDLE) {
			disk_finding_note(
				&(struct finding){ .kind = UNASKED, .found = descriptor });
			continue;
		}
		disk.in_flight--;
		finish(&disk_slots[descriptor / DESCRIPTORS], written);
	}
	if (wants_interrupt && virtio_interrupted(&disk.device))
		wants_interrupt = false;
}

void disk_find_lost(bool all)
{
	for (unsigned i = 0; i < disk.depth; i++) {
		struct slot *slot = &disk_slots[i];
		const unsigned long long beats = disk.beats - slot->since_beat;

		if (slot->deed == IDLE || slot->lost || (!all && beats < PATIENCE_BEATS))
			continue;
		slot->lost = true;
		note(slot, LOST, beats / BEATS_PER_SECOND, 0);
	}
	if (wants_interrupt && disk.beats - interrupt_since >= PATIENCE_BEATS) {
		disk_finding_note(&(struct finding){ .kind = NO_INTERRUPT,
						     .found = PATIENCE_BEATS / BEATS_PER_SECOND });
		wants_interrupt = false;
	}
}
