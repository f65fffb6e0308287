/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk: a disk is written and read over its virtqueue, and interrupts, whoever is between it
 * and the guest. Virtual I/O Device (VIRTIO) 1.2, 2.7 (split virtqueues), 4.1 (PCI), 5.2 (block).
 */
#include <arch.h>
#include <guest.h>
#include <pci.h>

#define VIRTIO_BLK_ID 0x10421af4u

/* Capabilities of the vendor's kind: what they describe, and where that is. */
#define CAPABILITY_VENDOR 0x09
enum { COMMON = 1, NOTIFY = 2, ISR = 3, DEVICE = 4, STRUCTURES };

/* The common configuration. */
#define FEATURE_SELECT	      0x00
#define FEATURES	      0x04
#define DRIVER_FEATURE_SELECT 0x08
#define DRIVER_FEATURES	      0x0c
#define STATUS		      0x14
#define QUEUE_SELECT	      0x16
#define QUEUE_SIZE	      0x18
#define QUEUE_ENABLE	      0x1c
#define QUEUE_NOTIFY_OFFSET   0x1e
#define QUEUE_DESCRIPTORS     0x20
#define QUEUE_AVAILABLE	      0x28
#define QUEUE_USED	      0x30

#define STATUS_ACKNOWLEDGE 0x01
#define STATUS_DRIVER	   0x02
#define STATUS_DRIVER_OK   0x04
#define STATUS_FEATURES_OK 0x08

/* Of the upper half of the features: version 1, and addresses that an IOMMU translates. */
#define FEATURES_HIGH 0x3u

#define DESCRIPTOR_NEXT	 1
#define DESCRIPTOR_WRITE 2 /* by the device */
#define REQUEST_READ	 0
#define REQUEST_WRITE	 1
#define DONE		 0

#define SECTOR	 512
#define SECTORS	 8
#define FIRST	 16 /* sector */
#define ENTRIES	 4
#define PATIENCE (20 * NSEC_PER_SEC)

static struct {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
} descriptors[ENTRIES] __attribute__((aligned(4096)));

static volatile struct {
	uint16_t flags, index, ring[ENTRIES];
} available __attribute__((aligned(4096)));

static volatile struct {
	uint16_t flags, index;
	struct {
		uint32_t id, length;
	} ring[ENTRIES];
} used __attribute__((aligned(4096)));

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} request;
static volatile uint8_t result;
static uint64_t written[SECTORS * SECTOR / 8] __attribute__((aligned(4096)));
static uint64_t returned[SECTORS * SECTOR / 8] __attribute__((aligned(4096)));

static uintptr_t structures[STRUCTURES];
static uintptr_t doorbell;
static uint32_t notify_multiplier;
static volatile unsigned interrupts;
static bool takes_interrupts;

/* Where a structure is, whose capability names a base address register and an offset in it. */
static uintptr_t place(unsigned slot, unsigned capability)
{
	static uintptr_t bars[6];
	const unsigned bar = arch_pci_read(slot, capability + 4) & 0xff;

	if (bar >= ARRAY_SIZE(bars))
		return 0;
	if (!bars[bar])
		bars[bar] = arch_pci_map(slot, bar);
	return bars[bar] ? bars[bar] + arch_pci_read(slot, capability + 8) : 0;
}

static bool find_structures(unsigned slot)
{
	unsigned at = arch_pci_read(slot, PCI_CAPABILITIES) & 0xfc;

	while (at) {
		const uint32_t head = arch_pci_read(slot, at);
		const unsigned what = head >> 24;

		if ((head & 0xff) == CAPABILITY_VENDOR && what < STRUCTURES && !structures[what]) {
			structures[what] = place(slot, at);
			if (what == NOTIFY)
				notify_multiplier = arch_pci_read(slot, at + 16);
		}
		at = head >> 8 & 0xfc;
	}
	return structures[COMMON] && structures[NOTIFY] && structures[ISR] && structures[DEVICE];
}

static void set_status(uint8_t bits)
{
	const uintptr_t status = structures[COMMON] + STATUS;

	arch_device_write8(status, arch_device_read8(status) | bits);
}

static void set_address(unsigned offset, const volatile void *ring)
{
	const uint64_t address = arch_physical_address((uintptr_t)ring);

	arch_device_write32(structures[COMMON] + offset, (uint32_t)address);
	arch_device_write32(structures[COMMON] + offset + 4, (uint32_t)(address >> 32));
}

static bool negotiate(void)
{
	const uintptr_t common = structures[COMMON];
	uint32_t offered;

	arch_device_write8(common + STATUS, 0);
	if (!wait_until(arch_device_read8(common + STATUS) == 0, PATIENCE))
		return false;
	set_status(STATUS_ACKNOWLEDGE);
	set_status(STATUS_DRIVER);
	arch_device_write32(common + FEATURE_SELECT, 1);
	offered = arch_device_read32(common + FEATURES);
	arch_device_write32(common + DRIVER_FEATURE_SELECT, 0);
	arch_device_write32(common + DRIVER_FEATURES, 0);
	arch_device_write32(common + DRIVER_FEATURE_SELECT, 1);
	arch_device_write32(common + DRIVER_FEATURES, offered & FEATURES_HIGH);
	set_status(STATUS_FEATURES_OK);
	return arch_device_read8(common + STATUS) & STATUS_FEATURES_OK;
}

static bool open_queue(void)
{
	const uintptr_t common = structures[COMMON];

	arch_device_write16(common + QUEUE_SELECT, 0);
	if (arch_device_read16(common + QUEUE_SIZE) < ENTRIES)
		return false;
	arch_device_write16(common + QUEUE_SIZE, ENTRIES);
	set_address(QUEUE_DESCRIPTORS, descriptors);
	set_address(QUEUE_AVAILABLE, &available);
	set_address(QUEUE_USED, &used);
	doorbell = structures[NOTIFY] +
		   arch_device_read16(common + QUEUE_NOTIFY_OFFSET) * notify_multiplier;
	arch_device_write16(common + QUEUE_ENABLE, 1);
	set_status(STATUS_DRIVER_OK);
	return true;
}

static void describe(unsigned number, const volatile void *what, uint32_t length, uint16_t flags)
{
	descriptors[number].address = arch_physical_address((uintptr_t)what);
	descriptors[number].length = length;
	descriptors[number].flags = flags;
	descriptors[number].next = (uint16_t)(number + 1);
}

/* One request and its answer; false where none comes. */
static bool transfer(uint32_t type, const void *buffer)
{
	const uint16_t before = used.index;
	const unsigned interrupts_before = interrupts;

	request.type = type;
	request.sector = FIRST;
	result = 0xff;
	describe(0, &request, sizeof(request), DESCRIPTOR_NEXT);
	describe(1, buffer, SECTORS * SECTOR,
		 DESCRIPTOR_NEXT | (type == REQUEST_READ ? DESCRIPTOR_WRITE : 0));
	describe(2, &result, 1, DESCRIPTOR_WRITE);
	available.ring[available.index % ENTRIES] = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	available.index++;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	arch_device_write16(doorbell, 0);
	if (!wait_until((arch_interrupts_take(), used.index != before), PATIENCE))
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* The answer may be seen before its interrupt, which the next one's would be the same as.
	 */
	if (takes_interrupts)
		wait_until((arch_interrupts_take(), interrupts != interrupts_before), PATIENCE);
	return result == DONE;
}

static void handler(void)
{
	if (arch_device_read8(structures[ISR]) & 1)
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

static void check(unsigned slot)
{
	struct random random;
	const char *no_interrupts;
	bool done;

	report(negotiate(), "it takes version 1");
	no_interrupts = arch_pci_interrupt_open(slot, handler);
	takes_interrupts = !no_interrupts;
	if (!report(open_queue(), "it has a queue"))
		return;
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
	const char *reason = arch_pci_open();
	unsigned slot = reason ? PCI_NO_SLOT : pci_find(VIRTIO_BLK_ID);

	if (!reason && slot == PCI_NO_SLOT)
		reason = "no virtio-blk device of version 1";
	if (!reason && !find_structures(slot))
		reason = "the device lacks a structure, or has no addresses";
	if (reason) {
		report_skip("%s", reason);
		return report_summary();
	}
	pci_enable(slot);
	check(slot);
	return report_summary();
}
