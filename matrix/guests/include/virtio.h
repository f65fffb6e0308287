/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices of version 1, with split virtqueues: Virtual I/O Device (VIRTIO) 1.2, 2.7
 * (queues). lib/virtio-queue.c has what lies in memory. The other functions are the transport's, by
 * which the device is reached: lib/virtio-pci.c, or one that an architecture has itself.
 */
#ifndef VIRTIO_H
#define VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_NET     1u
#define VIRTIO_BLK     2u
#define VIRTIO_ENTROPY 4u
#define VIRTIO_BALLOON 5u
#define VIRTIO_MEM     24u

#define VIRTIO_ENTRIES 64 /* the most of a queue */

/* Everything in memory that a device shares is little-endian. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define little16(value) __builtin_bswap16(value)
#define little32(value) __builtin_bswap32(value)
#define little64(value) __builtin_bswap64(value)
#else
#define little16(value) ((uint16_t)(value))
#define little32(value) ((uint32_t)(value))
#define little64(value) ((uint64_t)(value))
#endif

/* Flags of a descriptor; written: by the device. */
#define VIRTIO_NEXT    1u
#define VIRTIO_WRITTEN 2u

struct virtio_queue {
	struct {
		uint64_t address;
		uint32_t length;
		uint16_t flags, next;
	} descriptors[VIRTIO_ENTRIES] __attribute__((aligned(4096)));
	struct {
		uint16_t flags, index, ring[VIRTIO_ENTRIES];
	} available __attribute__((aligned(4096)));
	struct {
		uint16_t flags, index;
		struct {
			uint32_t id, length;
		} ring[VIRTIO_ENTRIES];
	} used __attribute__((aligned(4096)));
	unsigned entries;   /* a power of two */
	uint16_t taken;	    /* how many of what the device has used have been */
	uintptr_t doorbell; /* where the transport notifies the device */
	uint16_t number;
};

struct virtio_device {
	union {
		struct { /* PCI */
			unsigned slot;
			uintptr_t common, notify, interrupts, own;
			uint32_t notify_multiplier;
		};
		struct {		     /* channel I/O */
			uint64_t indicators; /* the device sets a bit for each queue */
			uint32_t subchannel;
			uint8_t status;
		};
	};
};

/* Find the device of that type before which there are `others`: NULL, or why there is none. */
const char *virtio_open(struct virtio_device *device, unsigned type, unsigned others);
/* Reset it and agree on version 1, on addresses that an IOMMU translates where it wants that, and
 * on those of its own features (0 to 31) that are wanted and offered; false where it does not. */
bool virtio_negotiate(struct virtio_device *device, uint32_t wanted);
/* Give it a queue of so many entries; false where it has none that is as large. */
bool virtio_queue_open(struct virtio_device *device, unsigned number, struct virtio_queue *queue,
		       unsigned entries);
/* The driver is ready: from now on it works. */
void virtio_start(struct virtio_device *device);
/* Tell the device that something has been made available in a queue. */
void virtio_notify(const struct virtio_queue *queue);
/* 32 bits of its own configuration. */
uint32_t virtio_configuration(const struct virtio_device *device, unsigned offset);
void virtio_configure(const struct virtio_device *device, unsigned offset, uint32_t value);
/* Whether it has interrupted for a queue since it was asked last, which withdraws the interrupt. */
bool virtio_interrupted(struct virtio_device *device);

/* Set up a descriptor: the next one of its chain is the one after it. */
void virtio_describe(struct virtio_queue *queue, unsigned descriptor, const volatile void *what,
		     uint32_t length, unsigned flags);
/* Make the chain that begins with this descriptor available, and tell the device. */
void virtio_submit(struct virtio_queue *queue, unsigned descriptor);
/* Take the next chain that the device has used, and how many bytes it has written; false where
 * there is none. */
bool virtio_take(struct virtio_queue *queue, unsigned *descriptor, uint32_t *written);

#endif
