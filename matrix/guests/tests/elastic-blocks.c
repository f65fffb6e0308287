/* SPDX-License-Identifier: MIT */
/* The virtio-mem device of elastic-integrity: blocks of memory that come and go. VIRTIO 1.2, 5.15.
 */
#include "elastic.h"

/* Its configuration. */
#define BLOCK_SIZE 0
#define ADDRESS	   16
#define REGION	   24
#define USABLE	   32
#define PLUGGED	   40
#define REQUESTED  48

#define UNPLUGGED_INACCESSIBLE 0x2u /* a feature: nothing may be read that is not plugged */

enum { PLUG, UNPLUG, STATE = 3 };      /* requests */
enum { ACKNOWLEDGED, REFUSING, BUSY }; /* answers */
enum { IS_PLUGGED, IS_UNPLUGGED };     /* answers to STATE */
#define ANSWER_BYTES 10u
#define TRIES	     64u
#define MOST_REFUSED 100u /* in a row: the host may have changed its mind once */

#define MOST_BLOCKS 64u

static struct virtio_device device;
static struct virtio_queue queue;
static uint64_t size, address;
static unsigned count, plugged, per_block, first_page, refused;
static unsigned long long put_off;
static bool is_plugged[MOST_BLOCKS];

static struct {
	struct {
		uint16_t type, padding[3];
		uint64_t address;
		uint16_t blocks, more_padding[3];
	} message;
	volatile struct {
		uint16_t type, padding[3], state;
	} answer;
	bool busy, lost;
	unsigned type, block;
	unsigned long long since;
} request;

uint64_t blocks_plugged(void)
{
	return plugged * size;
}

uint64_t blocks_size(void)
{
	return size;
}

unsigned blocks_count(void)
{
	return count;
}

unsigned long long blocks_busy(void)
{
	return put_off;
}

static uint64_t configuration(unsigned offset)
{
	return virtio_configuration(&device, offset) |
	       (uint64_t)virtio_configuration(&device, offset + 4) << 32;
}

static const char *open(void)
{
	const char *reason = virtio_open(&device, VIRTIO_MEM, 0);
	uint64_t region;

	if (reason)
		return reason;
	if (!report(virtio_negotiate(&device, UNPLUGGED_INACCESSIBLE),
		    "blocks: it takes version 1") ||
	    !report(virtio_queue_open(&device, 0, &queue, VIRTIO_ENTRIES),
		    "blocks: it has a queue"))
		return "it does not work";
	virtio_start(&device);
	size = configuration(BLOCK_SIZE);
	address = configuration(ADDRESS);
	region = configuration(REGION);
	if (!arch_map_memory(address, region)) {
		size = 0;
		return "its memory cannot be addressed";
	}
	per_block = (unsigned)(size / ELASTIC_PAGE);
	count = MOST_BLOCK_PAGES / per_block;
	if (count > MOST_BLOCKS)
		count = MOST_BLOCKS;
	if (count * size > region)
		count = (unsigned)(region / size);
	first_page = pages_append((uintptr_t)address, count * per_block);
	return NULL;
}

static void mark(bool asked)
{
	for (unsigned i = 0; i < per_block; i++)
		elastic_pages[first_page + request.block * per_block + i].asked = asked;
}

static void moved(enum page_state state)
{
	for (unsigned i = 0; i < per_block; i++)
		elastic_pages[first_page + request.block * per_block + i].state = (uint8_t)state;
	is_plugged[request.block] = state != LENT;
	plugged += is_plugged[request.block] ? 1 : -1u;
}

static void ask(unsigned type, unsigned block)
{
	request.type = type;
	request.block = block;
	request.busy = true;
	request.lost = false;
	request.since = elastic_beat();
	request.message.type = little16(type);
	request.message.address = little64(address + block * size);
	request.message.blocks = little16(1);
	request.answer.type = 0xffff;
	if (type != STATE)
		mark(true);
	virtio_describe(&queue, 0, &request.message, sizeof(request.message), VIRTIO_NEXT);
	virtio_describe(&queue, 1, &request.answer, ANSWER_BYTES, VIRTIO_WRITTEN);
	elastic_submitted();
	virtio_submit(&queue, 0);
}

static void answered(unsigned answer, unsigned state)
{
	refused = answer == REFUSING ? refused + 1 : 0;
	if (answer == BUSY)
		put_off++;
	else if (answer > BUSY || refused == MOST_REFUSED)
		elastic_note(REFUSED, "blocks: request %u about block %u is answered by %u",
			     request.type, request.block, answer);
	if (request.type == STATE && answer == ACKNOWLEDGED &&
	    state != (is_plugged[request.block] ? IS_PLUGGED : IS_UNPLUGGED))
		elastic_note(DISAGREES, "blocks: it says %u of block %u, which is %s", state,
			     request.block, is_plugged[request.block] ? "plugged" : "not plugged");
	if (request.type == STATE)
		return;
	mark(false);
	if (answer == ACKNOWLEDGED)
		moved(request.type == PLUG ? RETURNED : LENT);
}

static bool drain(void)
{
	unsigned descriptor;
	uint32_t written;

	while (virtio_take(&queue, &descriptor, &written)) {
		if (descriptor || !request.busy || written != ANSWER_BYTES) {
			elastic_note(UNASKED,
				     "blocks: an answer of descriptor %u with %u bytes, %s",
				     descriptor, written,
				     request.busy ? "instead of 0 with 10" : "which nobody asked");
			continue;
		}
		request.busy = false;
		elastic_answered();
		answered(little16(request.answer.type), little16(request.answer.state));
	}
	return !request.busy;
}

/* A block that is plugged or not, of those that may be, at random. */
static bool choose(bool wanted, unsigned *block)
{
	uint64_t usable = configuration(USABLE) / size;

	for (unsigned i = 0; i < TRIES; i++) {
		*block = elastic_random(count);
		if (is_plugged[*block] == wanted && (wanted || *block < usable))
			return true;
	}
	return false;
}

static void step(void)
{
	uint64_t wanted;
	unsigned block;

	if (!drain())
		return;
	if (configuration(PLUGGED) != blocks_plugged())
		elastic_note(DISAGREES, "blocks: it says that 0x%llx bytes are plugged, not 0x%llx",
			     (unsigned long long)configuration(PLUGGED),
			     (unsigned long long)blocks_plugged());
	wanted = configuration(REQUESTED);
	if (wanted > count * size)
		wanted = count * size;
	if (wanted >= blocks_plugged() + size && choose(false, &block))
		ask(PLUG, block);
	else if (wanted < blocks_plugged() && choose(true, &block))
		ask(UNPLUG, block);
	else
		ask(STATE, elastic_random(count));
}

static void find_lost(bool all)
{
	if (!request.busy || request.lost ||
	    (!all && elastic_beat() - request.since < ELASTIC_PATIENCE))
		return;
	request.lost = true;
	elastic_note(LOST, "blocks: request %u about block %u is not answered", request.type,
		     request.block);
}

struct elastic_device elastic_blocks = {
	.name = "blocks", .open = open, .step = step, .drain = drain, .find_lost = find_lost
};
