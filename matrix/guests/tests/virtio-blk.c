/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk: a disk is written and read over its virtqueue, and interrupts, whoever is between it
 * and the guest. Virtual I/O Device (VIRTIO) 1.2, 5.2.
 */
#include <arch.h>
#include <guest.h>
#include <pci.h>
#include <virtio.h>

#define REQUEST_READ  0
#define REQUEST_WRITE 1
#define DONE	      0

#define SECTOR	 512
#define SECTORS	 8
#define FIRST	 16 /* sector */
#define ENTRIES	 4
#define PATIENCE (20 * NSEC_PER_SEC)

static struct virtio_device disk;
static struct virtio_queue queue;
static struct {
	uint32_t type, reserved;
	uint64_t sector;
} request;
static volatile uint8_t result;
static uint64_t written[SECTORS * SECTOR / 8] __attribute__((aligned(4096)));
static uint64_t returned[SECTORS * SECTOR / 8] __attribute__((aligned(4096)));

static volatile unsigned interrupts;
static bool takes_interrupts;

/* One request and its answer; false where none comes. */
static bool transfer(uint32_t type, const void *buffer)
{
	const unsigned interrupts_before = interrupts;
	unsigned descriptor;
	uint32_t length;

	request.type = little32(type);
	request.sector = little64(FIRST);
	result = 0xff;
	virtio_describe(&queue, 0, &request, sizeof(request), VIRTIO_NEXT);
	virtio_describe(&queue, 1, buffer, SECTORS * SECTOR,
			VIRTIO_NEXT | (type == REQUEST_READ ? VIRTIO_WRITTEN : 0));
	virtio_describe(&queue, 2, &result, 1, VIRTIO_WRITTEN);
	virtio_submit(&queue, 0);
	if (!wait_until((arch_interrupts_take(), virtio_take(&queue, &descriptor, &length)),
			PATIENCE))
		return false;
	/* The answer may be seen before its interrupt, which the next one's would be the same as.
	 */
	if (takes_interrupts)
		wait_until((arch_interrupts_take(), interrupts != interrupts_before), PATIENCE);
	return result == DONE;
}

static void handler(void)
{
	if (virtio_interrupted(&disk))
		interrupts++;
}

static void check_interrupts(const char *reason)
{
	if (reason)
		report_skip("interrupts: %s", reason);
	else
		report(interrupts == 3, "it interrupts once for each request");
	report_info("%u interrupts", interrupts);
}

static void check(void)
{
	struct random random;
	const char *no_interrupts;
	bool done;

	report(virtio_negotiate(&disk, 0), "it takes version 1");
	no_interrupts = arch_pci_interrupt_open(disk.slot, handler);
	takes_interrupts = !no_interrupts;
	if (!report(virtio_queue_open(&disk, 0, &queue, ENTRIES), "it has a queue"))
		return;
	virtio_start(&disk);
	random_seed(&random, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(written); i++)
		written[i] = random_next(&random);
	report(transfer(REQUEST_READ, returned), "it reads sectors");
	report(transfer(REQUEST_WRITE, written), "it writes sectors");
	done = transfer(REQUEST_READ, returned);
	report(done && !memcmp(written, returned, sizeof(written)),
	       "what it reads is what was written");
	check_interrupts(no_interrupts);
}

int test_virtio_blk(int argc, char **argv)
{
	const char *reason = virtio_open(&disk, VIRTIO_BLK, 0);

	if (reason)
		report_skip("%s", reason);
	else
		check();
	return report_summary();
}
