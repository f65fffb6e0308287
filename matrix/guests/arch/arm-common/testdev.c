/* SPDX-License-Identifier: MIT */
/*
 * QEMU's testdev: a character backend that takes "CODEq" and ends QEMU with (CODE << 1) | 1. It
 * hangs behind the first port of a virtio console, so this is a driver for such a console's
 * transmit queue, for both versions of virtio's memory-mapped transport (virtio 1.2, 4.2 and 5.3).
 */
#include <arch.h>
#include <fdt.h>
#include <guest.h>

#include "arm.h"

#define MAGIC		     0x000
#define MAGIC_VALUE	     0x74726976u
#define VERSION		     0x004
#define VERSION_LEGACY	     1u
#define DEVICE		     0x008
#define DEVICE_CONSOLE	     3u
#define DRIVER_FEATURES	     0x020
#define DRIVER_FEATURES_WORD 0x024
#define FEATURE_VERSION_1    1u /* bit 32 */
#define GUEST_PAGE_SIZE	     0x028
#define QUEUE_CHOOSE	     0x030
#define QUEUE_SIZE_MAX	     0x034
#define QUEUE_SIZE	     0x038
#define QUEUE_ALIGN	     0x03c
#define QUEUE_PAGE	     0x040
#define QUEUE_READY	     0x044
#define QUEUE_NOTIFY	     0x050
#define STATUS		     0x070
#define STATUS_ACKNOWLEDGE   1u
#define STATUS_DRIVER	     2u
#define STATUS_DRIVER_OK     4u
#define STATUS_FEATURES_OK   8u
#define QUEUE_DESCRIPTORS    0x080 /* each address: low word, then high word */
#define QUEUE_AVAILABLE	     0x090
#define QUEUE_USED	     0x0a0

#define TRANSMIT_QUEUE 1u
#define ENTRIES	       2 /* a power of two; one would do */
#define PAGE	       4096u

/* In the layout of the legacy transport: the used ring begins a page. */
static struct {
	struct {
		uint64_t address;
		uint32_t length;
		uint16_t flags, next;
	} descriptors[ENTRIES];
	struct {
		uint16_t flags, index, ring[ENTRIES], event;
	} available;
	struct {
		uint16_t flags, index;
		struct {
			uint32_t id, length;
		} ring[ENTRIES];
		uint16_t event;
	} used __attribute__((aligned(PAGE)));
} queue __attribute__((aligned(PAGE)));

static uintptr_t find_console(void)
{
	struct fdt_node node = { 0 };
	uint64_t address, size;

	while (fdt_next_compatible(&node, "virtio,mmio")) {
		if (!fdt_reg(&node, 0, &address, &size))
			continue;
		if (mmio_read32((uintptr_t)address + MAGIC) == MAGIC_VALUE &&
		    mmio_read32((uintptr_t)address + DEVICE) == DEVICE_CONSOLE)
			return (uintptr_t)address;
	}
	return 0;
}

static void write_address(uintptr_t at, const void *address)
{
	mmio_write32(at, (uint32_t)(uintptr_t)address);
	mmio_write32(at + 4, (uint32_t)((uint64_t)(uintptr_t)address >> 32));
}

static bool open_queue(uintptr_t console, bool legacy)
{
	mmio_write32(console + QUEUE_CHOOSE, TRANSMIT_QUEUE);
	if (mmio_read32(console + QUEUE_SIZE_MAX) < ENTRIES)
		return false;
	mmio_write32(console + QUEUE_SIZE, ENTRIES);
	if (legacy) {
		mmio_write32(console + QUEUE_ALIGN, PAGE);
		mmio_write32(console + QUEUE_PAGE, (uint32_t)((uintptr_t)&queue / PAGE));
		return true;
	}
	write_address(console + QUEUE_DESCRIPTORS, queue.descriptors);
	write_address(console + QUEUE_AVAILABLE, &queue.available);
	write_address(console + QUEUE_USED, &queue.used);
	mmio_write32(console + QUEUE_READY, 1);
	return true;
}

static bool open_console(uintptr_t console)
{
	bool legacy = mmio_read32(console + VERSION) == VERSION_LEGACY;
	uint32_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;

	mmio_write32(console + STATUS, 0);
	mmio_write32(console + STATUS, status);
	/* No optional feature: without multiport, the one port is always connected. */
	mmio_write32(console + DRIVER_FEATURES_WORD, 0);
	mmio_write32(console + DRIVER_FEATURES, 0);
	if (legacy) {
		mmio_write32(console + GUEST_PAGE_SIZE, PAGE);
	} else {
		mmio_write32(console + DRIVER_FEATURES_WORD, 1);
		mmio_write32(console + DRIVER_FEATURES, FEATURE_VERSION_1);
		status |= STATUS_FEATURES_OK;
		mmio_write32(console + STATUS, status);
		if (!(mmio_read32(console + STATUS) & STATUS_FEATURES_OK))
			return false;
	}
	if (!open_queue(console, legacy))
		return false;
	mmio_write32(console + STATUS, status | STATUS_DRIVER_OK);
	return true;
}

void testdev_exit(int code)
{
	static char command[16];
	uintptr_t console = find_console();

	if (console == 0 || !open_console(console))
		return;
	snprintf(command, sizeof(command), "%dq", code);
	queue.descriptors[0].address = (uintptr_t)command;
	queue.descriptors[0].length = (uint32_t)strlen(command);
	queue.available.ring[0] = 0;
	__atomic_store_n(&queue.available.index, 1, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	mmio_write32(console + QUEUE_NOTIFY, TRANSMIT_QUEUE);
	/* QEMU is gone before it gives the buffer back, unless another backend took the text. */
	wait_until(__atomic_load_n(&queue.used.index, __ATOMIC_ACQUIRE) != 0, NSEC_PER_SEC);
}
