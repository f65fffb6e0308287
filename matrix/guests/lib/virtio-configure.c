/* SPDX-License-Identifier: MIT */
/* What a driver tells of itself in a device's own configuration: VIRTIO 1.2, 4.1.4.6. */
#include <pci.h>
#include <virtio.h>

void virtio_configure(const struct virtio_device *device, unsigned offset, uint32_t value)
{
	arch_device_write32(device->own + offset, value);
}
