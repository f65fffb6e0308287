/* SPDX-License-Identifier: MIT */
/* The entropy device of elastic-integrity: requests that it answers slowly. VIRTIO 1.2, 5.4. */
#include "elastic.h"

#define BYTES  64u
#define WORDS  (BYTES / sizeof(uint64_t))
#define LATEST 64u /* answers that are remembered */

static struct virtio_device device;
static struct virtio_queue queue;
static unsigned depth = 8, waiting;

static struct slot {
	uint64_t data[WORDS] __attribute__((aligned(BYTES)));
	bool busy, lost;
	unsigned long long number, since;
} slots[MOST_ENTROPY];

static unsigned long long made, latest[LATEST], remembered;

void entropy_depth(unsigned requests)
{
	depth = requests;
}

static const char *open(void)
{
	const char *reason = virtio_open(&device, VIRTIO_ENTROPY, 0);

	if (reason)
		return reason;
	if (!report(virtio_negotiate(&device, 0), "entropy: it takes version 1") ||
	    !report(virtio_queue_open(&device, 0, &queue, MOST_ENTROPY), "entropy: it has a queue"))
		return "it does not work";
	virtio_start(&device);
	return NULL;
}

/* What a buffer holds before the device writes to it. */
static void pattern(const struct slot *slot, uint64_t *words)
{
	struct random random;

	random_seed(&random, slot->number);
	for (unsigned i = 0; i < WORDS; i++)
		words[i] = random_next(&random);
}

static void submit(struct slot *slot)
{
	const unsigned number = (unsigned)(slot - slots);

	slot->number = ++made;
	slot->since = elastic_beat();
	slot->busy = true;
	slot->lost = false;
	pattern(slot, slot->data);
	virtio_describe(&queue, number, slot->data, BYTES, VIRTIO_WRITTEN);
	waiting++;
	elastic_submitted();
	virtio_submit(&queue, number);
}

/* The same eight bytes twice are one answer, given twice. */
static void look_for_repetition(const struct slot *slot)
{
	for (unsigned i = 0; i < LATEST; i++)
		if (remembered > i && latest[i] == slot->data[0])
			elastic_note(REPEATED, "entropy: request %llu has the bytes of another",
				     slot->number);
	latest[remembered++ % LATEST] = slot->data[0];
}

static void finish(struct slot *slot, uint32_t written)
{
	uint64_t before[WORDS];
	const uint8_t *bytes = (const uint8_t *)slot->data;

	pattern(slot, before);
	slot->busy = false;
	waiting--;
	elastic_answered();
	if (written < 1 || written > BYTES) {
		elastic_note(REFUSED, "entropy: request %llu is answered with %u bytes of %u",
			     slot->number, written, BYTES);
		return;
	}
	if (memcmp(bytes + written, (const uint8_t *)before + written, BYTES - written))
		elastic_note(UNASKED, "entropy: request %llu has more than the %u bytes it claims",
			     slot->number, written);
	if (written < sizeof(uint64_t))
		return;
	if (slot->data[0] == before[0])
		elastic_note(REFUSED, "entropy: request %llu is answered, and its buffer as before",
			     slot->number);
	look_for_repetition(slot);
}

static bool drain(void)
{
	unsigned descriptor;
	uint32_t written;

	while (virtio_take(&queue, &descriptor, &written)) {
		if (descriptor >= depth || !slots[descriptor].busy)
			elastic_note(UNASKED,
				     "entropy: an answer of descriptor %u, which is in no request",
				     descriptor);
		else
			finish(&slots[descriptor], written);
	}
	return !waiting;
}

static void step(void)
{
	drain();
	for (unsigned i = 0; i < depth; i++)
		if (!slots[i].busy)
			submit(&slots[i]);
}

static void find_lost(bool all)
{
	for (unsigned i = 0; i < depth; i++) {
		struct slot *slot = &slots[i];

		if (!slot->busy || slot->lost ||
		    (!all && elastic_beat() - slot->since < ELASTIC_PATIENCE))
			continue;
		slot->lost = true;
		elastic_note(LOST, "entropy: request %llu is not answered", slot->number);
	}
}

struct elastic_device elastic_entropy = {
	.name = "entropy", .open = open, .step = step, .drain = drain, .find_lost = find_lost
};
