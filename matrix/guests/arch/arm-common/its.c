/* SPDX-License-Identifier: MIT */
/*
 * The GICv3's interrupt translation service: a device's write to it becomes an interrupt of this
 * vCPU (IHI 0069, chapters 5, 6 and 12). One event of one device at a time.
 */
#include <arch.h>
#include <arm-registers.h>
#include <fdt-machine.h>
#include <fdt.h>
#include <guest.h>

#include "arm.h"

#define CONTROL	    0x0000
#define ENABLE	    0x1u
#define TYPE	    0x0008
#define TYPE_PTA    (1u << 19) /* redistributors are named by their addresses */
#define QUEUE	    0x0080
#define QUEUE_WRITE 0x0088
#define QUEUE_READ  0x0090
#define TABLE	    0x0100 /* eight of them, of 64 bits each */
#define TABLES	    8
#define TRANSLATER  0x10040

#define VALID		   (1ull << 63)
#define CACHED_TABLE	   (7ull << 59 | 1ull << 10) /* write-back, inner shareable */
#define CACHED		   (7ull << 7 | 1ull << 10)  /* the same of a redistributor's tables */
#define TABLE_TYPE(table)  ((unsigned)((table) >> 56) & 7)
#define TABLE_FIXED	   (0x071full << 48) /* type and size of an entry */
#define TABLE_64K	   (2ull << 8)
#define TABLE_DEVICES	   1
#define TABLE_COLLECTIONS  4
#define RD_CONTROL	   0x0000 /* its bit 0 enables messages */
#define RD_TYPE		   0x0008
#define RD_PROPERTIES	   0x0070
#define RD_PENDING	   0x0078
#define PENDING_ZERO	   (1ull << 62)
#define MESSAGE_BITS	   14u
#define MESSAGE_PROPERTIES 0xa3u /* priority as in gic.c, enabled */

enum { SYNC = 0x05, MAP_DEVICE = 0x08, MAP_COLLECTION = 0x09, MAP_EVENT = 0x0a, INVALIDATE = 0x0c };
#define EVENT_BITS 5u /* of a device, in a register that holds them less one */

/* KVM wants all of them at multiples of 64 KiB, and zero. */
#define PAGE 65536
static struct {
	uint8_t devices[PAGE], collections[PAGE], pending[PAGE], properties[PAGE], events[PAGE];
	uint64_t queue[PAGE / 8];
} memory __attribute__((aligned(PAGE)));
static uintptr_t service, redistributor;
static unsigned queued; /* bytes */

/* KVM takes 64-bit registers in halves, too, and 32-bit CPUs have no other way. */
static void write64(uintptr_t address, uint64_t value)
{
	mmio_write32(address, (uint32_t)value);
	mmio_write32(address + 4, (uint32_t)(value >> 32));
}

static uint64_t read64(uintptr_t address)
{
	return mmio_read32(address) | (uint64_t)mmio_read32(address + 4) << 32;
}

static bool command(uint64_t first, uint64_t second, uint64_t third)
{
	uint64_t *const entry = memory.queue + queued / 8;

	entry[0] = first;
	entry[1] = second;
	entry[2] = third;
	entry[3] = 0;
	queued += 32;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	write64(service + QUEUE_WRITE, queued);
	return wait_until((read64(service + QUEUE_READ) & ~0x1full) == queued, NSEC_PER_SEC);
}

static void open_tables(void)
{
	for (unsigned i = 0; i < TABLES; i++) {
		const uintptr_t table = service + TABLE + 8 * i;
		const uint64_t is = read64(table);
		const uint8_t *pages = TABLE_TYPE(is) == TABLE_DEVICES	     ? memory.devices
				       : TABLE_TYPE(is) == TABLE_COLLECTIONS ? memory.collections
									     : NULL;

		if (pages)
			write64(table, VALID | CACHED_TABLE | (is & TABLE_FIXED) | TABLE_64K |
					       (uintptr_t)pages);
	}
}

static void open_redistributor(void)
{
	memset(memory.properties, MESSAGE_PROPERTIES, 32);
	write64(redistributor + RD_PROPERTIES,
		(uintptr_t)memory.properties | CACHED | (MESSAGE_BITS - 1));
	write64(redistributor + RD_PENDING, (uintptr_t)memory.pending | CACHED | PENDING_ZERO);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	mmio_write32(redistributor + RD_CONTROL, mmio_read32(redistributor + RD_CONTROL) | ENABLE);
}

const char *its_open(unsigned device, unsigned interrupt, uint32_t *address)
{
	struct fdt_node node = { 0 };
	uint64_t start, size, target;

	redistributor = gic_redistributor();
	if (!redistributor || !fdt_next_compatible(&node, "arm,gic-v3-its"))
		return "no ITS";
	if (!fdt_reg(&node, 0, &start, &size) || !machine_map_device(start, size))
		return "the ITS is beyond this CPU's addresses";
	service = (uintptr_t)start;
	*address = (uint32_t)(start + TRANSLATER);
	open_redistributor();
	open_tables();
	write64(service + QUEUE,
		VALID | CACHED_TABLE | (uintptr_t)memory.queue | (PAGE / 4096 - 1));
	write64(service + QUEUE_WRITE, 0);
	mmio_write32(service + CONTROL, ENABLE);
	target = read64(service + TYPE) & TYPE_PTA
			 ? redistributor
			 : (uint64_t)(mmio_read32(redistributor + RD_TYPE) >> 8 & 0xffff) << 16;
	/* Of the device, event 0 becomes the interrupt; collection 0 is this vCPU. */
	if (command(MAP_DEVICE | (uint64_t)device << 32, EVENT_BITS - 1,
		    VALID | (uintptr_t)memory.events) &&
	    command(MAP_COLLECTION, 0, VALID | target) &&
	    command(MAP_EVENT | (uint64_t)device << 32, (uint64_t)interrupt << 32, 0) &&
	    command(INVALIDATE | (uint64_t)device << 32, 0, 0) && command(SYNC, 0, target))
		return NULL;
	return "the ITS does not take commands";
}
