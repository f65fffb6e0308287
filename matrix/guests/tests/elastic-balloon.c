/* SPDX-License-Identifier: MIT */
/* The balloon of elastic-integrity: pages that the host asks for, and gives back. VIRTIO 1.2, 5.5.
 */
#include "elastic.h"

/* Its queues, and its configuration: how many pages the host wants, and has. */
#define INFLATE 0
#define DEFLATE 1
#define WANTED	0
#define ACTUAL	4

#define BATCHES 4u  /* requests in flight at most */
#define BATCH	16u /* pages of a request */
#define TRIES	64u

static struct virtio_device device;
static struct virtio_queue queues[2];
static unsigned region; /* pages of it */
static unsigned has, coming, going, said;

static struct batch {
	bool busy;
	unsigned queue, count;
	uint16_t pages[BATCH];
	uint32_t frames[BATCH]; /* numbers of pages of the machine, as the device wants them */
	unsigned long long since;
	bool lost;
} batches[BATCHES];

unsigned balloon_pages(void)
{
	return said;
}

unsigned balloon_most(void)
{
	return region / 2;
}

static const char *open(void)
{
	const char *reason = virtio_open(&device, VIRTIO_BALLOON, 0);

	if (reason)
		return reason;
	if (!report(virtio_negotiate(&device, 0), "balloon: it takes version 1") ||
	    !report(virtio_queue_open(&device, INFLATE, &queues[INFLATE], VIRTIO_ENTRIES) &&
			    virtio_queue_open(&device, DEFLATE, &queues[DEFLATE], VIRTIO_ENTRIES),
		    "balloon: it has queues"))
		return "it does not work";
	virtio_start(&device);
	while (region < MOST_REGION_PAGES && elastic_pages[region].epoch)
		region++;
	return NULL;
}

/* A page of the region in that state, at random; false where none is found. */
static bool choose(enum page_state state, unsigned *page)
{
	for (unsigned i = 0; i < TRIES; i++) {
		*page = elastic_random(region);
		if (elastic_pages[*page].state == state && !elastic_pages[*page].asked)
			return true;
	}
	return false;
}

static void finish(struct batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++) {
		struct page *page = &elastic_pages[batch->pages[i]];

		page->asked = false;
		page->state = batch->queue == INFLATE ? LENT : RETURNED;
	}
	if (batch->queue == INFLATE) {
		coming -= batch->count;
		has += batch->count;
	} else {
		going -= batch->count;
		has -= batch->count;
	}
	batch->busy = false;
	elastic_answered();
}

static bool drain(void)
{
	unsigned descriptor;
	uint32_t written;

	for (unsigned queue = INFLATE; queue <= DEFLATE; queue++) {
		while (virtio_take(&queues[queue], &descriptor, &written)) {
			if (descriptor >= BATCHES || !batches[descriptor].busy ||
			    batches[descriptor].queue != queue)
				elastic_note(UNASKED,
					     "balloon: an answer of descriptor %u in queue %u, "
					     "which is in no request",
					     descriptor, queue);
			else
				finish(&batches[descriptor]);
		}
	}
	return !coming && !going;
}

static void submit(struct batch *batch, unsigned queue, unsigned most)
{
	const unsigned number = (unsigned)(batch - batches);
	unsigned page;

	batch->count = 0;
	while (batch->count < BATCH && batch->count < most &&
	       choose(queue == INFLATE ? HELD : LENT, &page)) {
		elastic_pages[page].asked = true;
		batch->pages[batch->count] = (uint16_t)page;
		batch->frames[batch->count++] = little32(
			(uint32_t)(arch_physical_address(pages_address(page)) / ELASTIC_PAGE));
	}
	if (!batch->count)
		return;
	*(queue == INFLATE ? &coming : &going) += batch->count;
	batch->busy = true;
	batch->queue = queue;
	batch->since = elastic_beat();
	batch->lost = false;
	virtio_describe(&queues[queue], number, batch->frames,
			batch->count * sizeof(batch->frames[0]), 0);
	elastic_submitted();
	virtio_submit(&queues[queue], number);
}

/* What the device says of itself is what it was told. */
static void agree(void)
{
	const uint32_t actual = virtio_configuration(&device, ACTUAL);

	if (actual != said)
		elastic_note(DISAGREES, "balloon: it says that it has %u pages instead of %u",
			     actual, said);
	if (said == has)
		return;
	said = has;
	virtio_configure(&device, ACTUAL, said);
}

static void step(void)
{
	unsigned wanted, will_have;

	drain();
	agree();
	wanted = virtio_configuration(&device, WANTED);
	if (wanted > balloon_most())
		wanted = balloon_most();
	for (unsigned i = 0; i < BATCHES; i++) {
		will_have = has + coming - going;
		if (batches[i].busy || will_have == wanted)
			continue;
		if (will_have < wanted)
			submit(&batches[i], INFLATE, wanted - will_have);
		else
			submit(&batches[i], DEFLATE, will_have - wanted);
		return; /* one at a time: the host is to change its mind meanwhile */
	}
}

static void find_lost(bool all)
{
	for (unsigned i = 0; i < BATCHES; i++) {
		struct batch *batch = &batches[i];

		if (!batch->busy || batch->lost ||
		    (!all && elastic_beat() - batch->since < ELASTIC_PATIENCE))
			continue;
		batch->lost = true;
		elastic_note(LOST, "balloon: a request of queue %u about %u pages is not answered",
			     batch->queue, batch->count);
	}
}

struct elastic_device elastic_balloon = {
	.name = "balloon", .open = open, .step = step, .drain = drain, .find_lost = find_lost
};
