/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices behind channel I/O: VIRTIO 1.2, 4.3. What travels as data of a channel command is
 * big-endian, features and the device's own configuration excepted. A device interrupts by a bit
 * for each queue in a word of memory, which is looked at; the interruption itself is not taken.
 */
#include <arch.h>
#include <guest.h>
#include <virtio.h>

#include "channel.h"

enum command {
	WRITE_FEATURES = 0x11,
	READ_FEATURES = 0x12,
	SET_QUEUE = 0x13,
	WRITE_CONFIGURATION = 0x21,
	READ_CONFIGURATION = 0x22,
	WRITE_STATUS = 0x31,
	READ_QUEUE = 0x32,
	RESET = 0x33,
	SET_INDICATORS = 0x43,
	READ_STATUS = 0x72,
	SET_REVISION = 0x83,
	SENSE_ID = 0xe4, /* of every device, as z/Architecture Common I/O-Device Commands has it */
};

#define CONTROL_UNIT 0x3832u /* of virtio devices */
#define REVISION     2u	     /* has READ_STATUS */

#define STATUS_ACKNOWLEDGE 0x01
#define STATUS_DRIVER	   0x02
#define STATUS_DRIVER_OK   0x04
#define STATUS_FEATURES_OK 0x08

#define FEATURES_HIGH 0x3u /* version 1, and addresses that an IOMMU translates */

#define CONFIGURATION_WORDS 16u /* that tests ask for */

/* Whether it is a virtio device of that type. */
static bool is_device(uint32_t subchannel, unsigned type)
{
	struct {
		uint8_t reserved;
		uint16_t control_unit;
		uint8_t model;
		uint8_t rest[4];
	} __attribute__((packed)) identity = { 0 };

	return channel_enable(subchannel) &&
	       channel_do(subchannel, SENSE_ID, &identity, sizeof(identity)) &&
	       identity.control_unit == CONTROL_UNIT && identity.model == type;
}

/* The device of that type before which there are `others`; false where there is none. */
static bool find(uint32_t *subchannel, unsigned type, unsigned others)
{
	enum channel_presence presence;

	for (*subchannel = CHANNEL_FIRST; (presence = channel_look(*subchannel)) != CHANNEL_NO_MORE;
	     ++*subchannel)
		if (presence == CHANNEL_DEVICE && is_device(*subchannel, type) && others-- == 0)
			return true;
	return false;
}

static bool do_command(const struct virtio_device *device, enum command command, void *data,
		       uint16_t length)
{
	return channel_do(device->subchannel, (uint8_t)command, data, length);
}

const char *virtio_open(struct virtio_device *device, unsigned type, unsigned others)
{
	struct {
		uint16_t revision, length;
	} wanted = { .revision = REVISION };

	if (!find(&device->subchannel, type, others) ||
	    !do_command(device, SET_REVISION, &wanted, sizeof(wanted)))
		return "no such virtio device of version 1";
	return NULL;
}

/* Add to its status; false where the device refuses. */
static bool set_status(struct virtio_device *device, uint8_t bits)
{
	device->status |= bits;
	return do_command(device, WRITE_STATUS, &device->status, sizeof(device->status));
}

/* Accept those features of this half that are wanted and offered. */
static bool accept(const struct virtio_device *device, uint8_t half, uint32_t wanted)
{
	struct {
		uint32_t features;
		uint8_t half;
	} __attribute__((packed)) block = { .half = half };

	if (!do_command(device, READ_FEATURES, &block, sizeof(block)))
		return false;
	block.features &= little32(wanted);
	return do_command(device, WRITE_FEATURES, &block, sizeof(block));
}

bool virtio_negotiate(struct virtio_device *device, uint32_t wanted)
{
	uint64_t indicators = (uintptr_t)&device->indicators;
	uint8_t status = 0;

	device->status = 0;
	return do_command(device, RESET, NULL, 0) && set_status(device, STATUS_ACKNOWLEDGE) &&
	       set_status(device, STATUS_DRIVER) && accept(device, 0, wanted) &&
	       accept(device, 1, FEATURES_HIGH) && set_status(device, STATUS_FEATURES_OK) &&
	       do_command(device, READ_STATUS, &status, sizeof(status)) &&
	       (status & STATUS_FEATURES_OK) &&
	       do_command(device, SET_INDICATORS, &indicators, sizeof(indicators));
}

bool virtio_queue_open(struct virtio_device *device, unsigned number, struct virtio_queue *queue,
		       unsigned entries)
{
	struct {
		uint16_t number, most;
	} size = { .number = (uint16_t)number };
	struct {
		uint64_t descriptors;
		uint32_t reserved;
		uint16_t number, entries;
		uint64_t available, used;
	} place = { .descriptors = (uintptr_t)queue->descriptors,
		    .number = (uint16_t)number,
		    .entries = (uint16_t)entries,
		    .available = (uintptr_t)&queue->available,
		    .used = (uintptr_t)&queue->used };

	if (!do_command(device, READ_QUEUE, &size, sizeof(size)) || size.most < entries)
		return false;
	queue->entries = entries;
	queue->number = (uint16_t)number;
	queue->doorbell = device->subchannel;
	return do_command(device, SET_QUEUE, &place, sizeof(place));
}

void virtio_start(struct virtio_device *device)
{
	set_status(device, STATUS_DRIVER_OK);
}

/* Hypercall 3 of diagnose 0x500. */
void virtio_notify(const struct virtio_queue *queue)
{
	register uint64_t call __asm__("1") = 3;
	register uint64_t subchannel __asm__("2") = queue->doorbell;
	register uint64_t number __asm__("3") = queue->number;
	register uint64_t cookie __asm__("4") = 0;

	__asm__ volatile("diag 2, 4, 0x500"
			 : "+d"(subchannel)
			 : "d"(call), "d"(number), "d"(cookie)
			 : "cc", "memory");
}

/* Its own configuration is read and written from its start on. */
static bool transfer_configuration(const struct virtio_device *device, enum command command,
				   uint32_t *words, unsigned offset)
{
	return do_command(device, command, words, (uint16_t)(offset + sizeof(words[0])));
}

uint32_t virtio_configuration(const struct virtio_device *device, unsigned offset)
{
	uint32_t words[CONFIGURATION_WORDS] = { 0 };

	transfer_configuration(device, READ_CONFIGURATION, words, offset);
	return little32(words[offset / sizeof(words[0])]);
}

void virtio_configure(const struct virtio_device *device, unsigned offset, uint32_t value)
{
	uint32_t words[CONFIGURATION_WORDS] = { 0 };

	transfer_configuration(device, READ_CONFIGURATION, words, offset);
	words[offset / sizeof(words[0])] = little32(value);
	transfer_configuration(device, WRITE_CONFIGURATION, words, offset);
}

bool virtio_interrupted(struct virtio_device *device)
{
	return __atomic_exchange_n(&device->indicators, 0, __ATOMIC_SEQ_CST) != 0;
}
