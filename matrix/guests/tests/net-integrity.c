/* SPDX-License-Identifier: MIT */
/*
 * net-integrity [depth=FRAMES] [ram=MIB] [seed=NUMBER] [seconds=N] [flush=MS]: the proof that two
 * virtio network devices, which a hub of QEMU's connects, and their queues survive while somebody
 * moves this machine elsewhere. The first sends numbered frames to the second; what a frame holds
 * follows from its number. It works as ram-integrity does, until the console receives a q, and
 * prints the same lines for programs; a BEAT says how many frames have been received, and how many
 * were under way during the largest gap of its clock.
 *
 * A network may lose frames, but none may come twice, out of order, altered, or unsent. Nor may it
 * lose more at a time than were under way, as over a switchover: what QEMU has taken from one queue
 * and not put into the other is no part of a migration. VIRTIO 1.2, 5.1.
 */
#include "beat.h"

#include <virtio.h>

#define RECEIVE_QUEUE 0
#define SEND_QUEUE    1

#define MOST_FRAMES    16u
#define DEFAULT_DEPTH  8u
#define BUFFERS	       32u
#define FEWEST_WORDS   8u
#define MOST_WORDS     128u
#define TYPE_HIGH      0x88u /* of Ethernet frames, for local experiments */
#define TYPE_LOW       0xb5u
#define PACE	       (NSEC_PER_SEC / 250) /* so often as many are sent as may be under way */
#define PATIENCE       NSEC_PER_SEC
#define PATIENCE_BEATS 200u
#define SHOWN	       10u

/* virtio's header, Ethernet's, and words of which the first are the number and how many there are.
 */
struct frame {
	uint8_t virtio[12];
	uint8_t destination[6], source[6], type[2];
	uint8_t padding[6]; /* so that the words are aligned */
	uint64_t words[MOST_WORDS];
};
#define HEADERS (sizeof(struct frame) - sizeof(((struct frame *)NULL)->words))

enum wrong { ALTERED, OUT_OF_ORDER, LOST, NOT_SENT, WRONGS };

static struct beat_options options = { .depth = DEFAULT_DEPTH, .seed = 1 };

static struct virtio_device devices[2];
static struct virtio_queue sending, receiving;
static struct frame outgoing[MOST_FRAMES], expected;
static struct frame incoming[BUFFERS];

/* Frames are numbered from 1; taken: by QEMU from the queue; latest: the number of the last one
 * that was received. */
static uint64_t sent, taken, received, latest, lost, foreign;
static uint64_t last_clock, gap, largest_gap;
static unsigned long long beats, under_way, taken_beat, wrongs[WRONGS], shown;

/* Count what is wrong; the first few are told at once. */
static void note(enum wrong what, const char *format, uint64_t frame)
{
	wrongs[what]++;
	if (shown++ < SHOWN)
		report(false, format, (unsigned long long)frame);
}

static void read_clock(void)
{
	const uint64_t now = arch_clock();
	const uint64_t passed = now < last_clock ? 0 : now - last_clock;

	if (passed > gap) {
		gap = passed;
		under_way = sent - latest;
	}
	last_clock = now;
}

/*
 * Frames
 */

/* Make up the frame of a number; how many bytes it has. */
static uint32_t fill(struct frame *frame, uint64_t number)
{
	struct random random;
	uint32_t words;

	random_seed(&random, (options.seed << 40) + number);
	words = FEWEST_WORDS + random_below(&random, MOST_WORDS - FEWEST_WORDS + 1);
	memset(frame, 0, HEADERS);
	memset(frame->destination, 0xff, sizeof(frame->destination));
	frame->source[0] = 0x02; /* a local address */
	frame->type[0] = TYPE_HIGH;
	frame->type[1] = TYPE_LOW;
	frame->words[0] = number;
	frame->words[1] = words;
	for (uint32_t i = 2; i < words; i++)
		frame->words[i] = random_next(&random);
	return HEADERS + words * sizeof(frame->words[0]);
}

/* In user mode: what the frame of that number must be. */
static uint32_t expected_length;
static void expect(void *argument)
{
	expected_length = fill(&expected, *(const uint64_t *)argument);
}

/* So many behind the latest one have not come. */
static void lose(uint64_t frames)
{
	lost += frames;
	if (frames > options.depth)
		note(LOST, "frame %llu is lost, with more behind it than were under way",
		     latest + 1);
}

static void check(const struct frame *frame, uint32_t length)
{
	uint64_t number = frame->words[0];

	/* After a migration QEMU announces where the devices are now (RARP). */
	if (frame->type[0] != TYPE_HIGH || frame->type[1] != TYPE_LOW) {
		foreign++;
		return;
	}
	arch_run_user(expect, &number);
	if (length != expected_length ||
	    memcmp(frame->type, expected.type, expected_length - offsetof(struct frame, type))) {
		note(ALTERED, "frame %llu is not what was sent", number);
		return;
	}
	if (number <= latest || number > sent) {
		note(OUT_OF_ORDER,
		     number > sent ? "frame %llu comes, and was not sent"
				   : "frame %llu comes twice, or late",
		     number);
		return;
	}
	lose(number - latest - 1);
	latest = number;
	received++;
}

static void offer(unsigned buffer)
{
	virtio_describe(&receiving, buffer, &incoming[buffer], sizeof(incoming[buffer]),
			VIRTIO_WRITTEN);
	virtio_submit(&receiving, buffer);
}

static void receive(void)
{
	unsigned buffer;
	uint32_t length;

	while (virtio_take(&receiving, &buffer, &length)) {
		if (buffer >= BUFFERS) {
			note(ALTERED, "an answer of descriptor %llu, which is none", buffer);
			continue;
		}
		check(&incoming[buffer], length);
		offer(buffer);
		read_clock();
	}
}

static void take_sent(void)
{
	unsigned descriptor;
	uint32_t length;

	while (virtio_take(&sending, &descriptor, &length)) {
		if (descriptor != taken % options.depth)
			note(NOT_SENT, "frame %llu was not the next to be taken", taken + 1);
		taken++;
		taken_beat = beats;
	}
}

/* In user mode: the next frame goes into its buffer. */
static uint32_t next_length;
static void make(void *argument)
{
	next_length = fill(&outgoing[sent % options.depth], sent + 1);
}

static void send(void)
{
	if (taken == sent)
		taken_beat = beats;
	while (sent - taken < options.depth) {
		const unsigned descriptor = (unsigned)(sent % options.depth);

		arch_run_user(make, NULL);
		virtio_describe(&sending, descriptor, &outgoing[descriptor], next_length, 0);
		read_clock();
		sent++;
		virtio_submit(&sending, descriptor);
	}
}

/*
 * From start to end
 */

static void print_beat(void)
{
	char line[192];
	size_t length;

	read_clock();
	beats++;
	if (taken != sent && beats - taken_beat == PATIENCE_BEATS)
		note(NOT_SENT, "frame %llu is not taken from the queue", taken + 1);
	length = snprintf(
		line, sizeof(line),
		"INTEGRITY: BEAT n=%llu clock=%llu gap=%llu verified=%llu passes=0 "
		"requests=%llu inflight=%llu lost=%llu\n",
		beats, (unsigned long long)ticks_to_nanoseconds(beat_since_start(last_clock)),
		(unsigned long long)ticks_to_nanoseconds(gap), (unsigned long long)received,
		(unsigned long long)received, under_way, (unsigned long long)lost);
	if (gap > largest_gap)
		largest_gap = gap;
	gap = 0;
	beat_write(line, length, read_clock);
}

static void run(void)
{
	const uint64_t pace = nanoseconds_to_ticks(PACE);
	const uint64_t flush_interval = nanoseconds_to_ticks(options.flush * NSEC_PER_MSEC);
	uint64_t due = last_clock, flush_at = last_clock + flush_interval;
	bool stop = false, asked;

	while (!stop) {
		read_clock();
		ballast_stir(last_clock);
		if (options.flush && last_clock >= flush_at) {
			arch_flush_tlb();
			flush_at = last_clock + flush_interval;
		}
		/* Both, in case it has gone back. */
		if (last_clock < due && due - last_clock <= pace)
			continue;
		due = last_clock + pace;
		receive();
		take_sent();
		send();
		stop = beat_stop(last_clock, options.seconds, &asked);
		if (beat_passed(last_clock) || asked)
			print_beat();
	}
	wait_until((receive(), take_sent(), latest == sent && taken == sent), PATIENCE);
}

static void report_all(void)
{
	report(!wrongs[ALTERED], "frames: each is as it was sent");
	report(!wrongs[OUT_OF_ORDER], "frames: none comes twice, out of order, or unsent");
	report(!wrongs[LOST], "frames: no more are lost at a time than were under way");
	report(!wrongs[NOT_SENT], "queue: every frame is taken");
	report_info("%llu frames sent, %llu received, %llu lost, %llu of others",
		    (unsigned long long)sent, (unsigned long long)received,
		    (unsigned long long)lost, (unsigned long long)foreign);
}

static void prove(void)
{
	if (!report(ballast_open(options.memory, options.seed), "memory is filled"))
		return;
	for (unsigned buffer = 0; buffer < BUFFERS; buffer++)
		offer(buffer);
	printf("INTEGRITY: START depth=%u buffers=%u\n", (unsigned)options.depth, BUFFERS);
	last_clock = arch_clock();
	beat_start(last_clock);
	run();
	lose(sent - latest); /* which have no other after them that would tell */
	printf("INTEGRITY: END beats=%llu verified=%llu passes=0 requests=%llu lost=%llu "
	       "largest_gap=%llu\n",
	       beats, (unsigned long long)received, (unsigned long long)received,
	       (unsigned long long)lost, (unsigned long long)ticks_to_nanoseconds(largest_gap));
	report_all();
}

int test_net_integrity(int argc, char **argv)
{
	const char *reason;

	if (!beat_read_options(&options, argv + 1, "ram=", "FRAMES", "frames", MOST_FRAMES))
		return report_summary();
	reason = virtio_open(&devices[0], VIRTIO_NET, 0);
	if (!reason)
		reason = virtio_open(&devices[1], VIRTIO_NET, 1);
	if (reason)
		report_skip("%s", reason);
	else if (report(virtio_negotiate(&devices[0], 0) && virtio_negotiate(&devices[1], 0),
			"they take version 1") &&
		 report(virtio_queue_open(&devices[0], SEND_QUEUE, &sending, VIRTIO_ENTRIES) &&
				virtio_queue_open(&devices[1], RECEIVE_QUEUE, &receiving,
						  VIRTIO_ENTRIES),
			"they have queues")) {
		virtio_start(&devices[0]);
		virtio_start(&devices[1]);
		prove();
	}
	return report_summary();
}
