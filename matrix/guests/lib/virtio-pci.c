/* SPDX-License-Identifier: MIT */
/* Virtio devices behind PCI: VIRTIO 1.2, 4.1. */
#include <arch.h>
#include <guest.h>
#include <pci.h>
#include <virtio.h>

#define VENDOR	       0x1af4u
#define FIRST_ID       0x1040u /* of devices of version 1: that and the type */
#define BASE_REGISTERS 6

/* Capabilities of the vendor's kind: what they describe, and where that is. */
#define CAPABILITY_VENDOR 0x09
enum { COMMON = 1, NOTIFY = 2, INTERRUPTS = 3, OWN = 4, STRUCTURES };

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

#define PATIENCE (20 * NSEC_PER_SEC)

/* Where a structure is, whose capability names a base address register and an offset in it. */
static uintptr_t place(unsigned slot, unsigned capability, uintptr_t *bars)
{
	const unsigned bar = arch_pci_read(slot, capability + 4) & 0xff;

	if (bar >= BASE_REGISTERS)
		return 0;
	if (!bars[bar])
		bars[bar] = arch_pci_map(slot, bar);
	return bars[bar] ? bars[bar] + arch_pci_read(slot, capability + 8) : 0;
}

static bool find_structures(struct virtio_device *device)
{
	uintptr_t *const places[STRUCTURES] = { NULL, &device->common, &device->notify,
						&device->interrupts, &device->own };
	uintptr_t bars[BASE_REGISTERS] = { 0 };
	unsigned at = arch_pci_read(device->slot, PCI_CAPABILITIES) & 0xfc;

	while (at) {
		const uint32_t head = arch_pci_read(device->slot, at);
		const unsigned what = head >> 24;

		if ((head & 0xff) == CAPABILITY_VENDOR && what > 0 && what < STRUCTURES &&
		    !*places[what]) {
			*places[what] = place(device->slot, at, bars);
			if (what == NOTIFY)
				device->notify_multiplier = arch_pci_read(device->slot, at + 16);
		}
		at = head >> 8 & 0xfc;
	}
	return device->common && device->notify && device->interrupts && device->own;
}

/* The slot of the device of that id before which there are `others`. */
static unsigned find(uint32_t id, unsigned others)
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++)
		if (arch_pci_read(slot, PCI_ID) == id && others-- == 0)
			return slot;
	return PCI_NO_SLOT;
}

const char *virtio_open(struct virtio_device *device, unsigned type, unsigned others)
{
	const char *reason = arch_pci_open();

	if (reason)
		return reason;
	device->slot = find((FIRST_ID + type) << 16 | VENDOR, others);
	if (device->slot == PCI_NO_SLOT)
		return "no such virtio device of version 1";
	if (!find_structures(device))
		return "the device lacks a structure, or has no addresses";
	pci_enable(device->slot);
	return NULL;
}

static void set_status(const struct virtio_device *device, uint8_t bits)
{
	const uintptr_t status = device->common + STATUS;

	arch_device_write8(status, arch_device_read8(status) | bits);
}

static void set_address(const struct virtio_device *device, unsigned offset, const void *ring)
{
	const uint64_t address = arch_physical_address((uintptr_t)ring);

	arch_device_write32(device->common + offset, (uint32_t)address);
	arch_device_write32(device->common + offset + 4, (uint32_t)(address >> 32));
}

/* Accept those features of this half that are wanted and offered. */
static void accept(const struct virtio_device *device, unsigned half, uint32_t wanted)
{
	uint32_t offered;

	arch_device_write32(device->common + FEATURE_SELECT, half);
	offered = arch_device_read32(device->common + FEATURES);
	arch_device_write32(device->common + DRIVER_FEATURE_SELECT, half);
	arch_device_write32(device->common + DRIVER_FEATURES, offered & wanted);
}

bool virtio_negotiate(struct virtio_device *device, uint32_t wanted)
{
	const uintptr_t status = device->common + STATUS;

	arch_device_write8(status, 0);
	if (!wait_until(arch_device_read8(status) == 0, PATIENCE))
		return false;
	set_status(device, STATUS_ACKNOWLEDGE);
	set_status(device, STATUS_DRIVER);
	accept(device, 0, wanted);
	accept(device, 1, FEATURES_HIGH);
	set_status(device, STATUS_FEATURES_OK);
	return arch_device_read8(status) & STATUS_FEATURES_OK;
}

bool virtio_queue_open(struct virtio_device *device, unsigned number, struct virtio_queue *queue,
		       unsigned entries)
{
	const uintptr_t common = device->common;

	arch_device_write16(common + QUEUE_SELECT, (uint16_t)number);
	if (arch_device_read16(common + QUEUE_SIZE) < entries)
		return false;
	arch_device_write16(common + QUEUE_SIZE, (uint16_t)entries);
	queue->entries = entries;
	queue->number = (uint16_t)number;
	queue->doorbell = device->notify + arch_device_read16(common + QUEUE_NOTIFY_OFFSET) *
						   device->notify_multiplier;
	set_address(device, QUEUE_DESCRIPTORS, queue->descriptors);
	set_address(device, QUEUE_AVAILABLE, &queue->available);
	set_address(device, QUEUE_USED, &queue->used);
	arch_device_write16(common + QUEUE_ENABLE, 1);
	return true;
}

void virtio_start(struct virtio_device *device)
{
	set_status(device, STATUS_DRIVER_OK);
}

void virtio_notify(const struct virtio_queue *queue)
{
	arch_device_write16(queue->doorbell, queue->number);
}

uint32_t virtio_configuration(const struct virtio_device *device, unsigned offset)
{
	return arch_device_read32(device->own + offset);
}

void virtio_configure(const struct virtio_device *device, unsigned offset, uint32_t value)
{
	arch_device_write32(device->own + offset, value);
}

bool virtio_interrupted(struct virtio_device *device)
{
	return arch_device_read8(device->interrupts) & 1;
}
