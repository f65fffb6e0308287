/* SPDX-License-Identifier: MIT */
/*
 * Messages (MSI) of a PCI device: through the ITS of a GICv3, or beside a GICv2 through GICv2m, to
 * which a device writes a shared interrupt's number (SBSA, appendix E).
 */
#include <arm-registers.h>
#include <fdt-machine.h>
#include <fdt.h>
#include <pci.h>

#include "arm.h"

#define V2M_TYPE 0x008
#define V2M_SET	 0x040

static unsigned open_message;
static void (*open_handler)(void);

static const char *v2m_open(uint32_t *address, unsigned *interrupt)
{
	struct fdt_node node = { 0 };
	uint64_t start, size;

	if (!fdt_next_compatible(&node, "arm,gic-v2m-frame"))
		return "no ITS or GICv2m";
	if (!fdt_reg(&node, 0, &start, &size) || !machine_map_device(start, size))
		return "the GICv2m is beyond this CPU's addresses";
	*interrupt = mmio_read32((uintptr_t)start + V2M_TYPE) >> 16 & 0x3ff;
	*address = (uint32_t)start + V2M_SET;
	gic_set_edge(*interrupt);
	gic_open_shared(*interrupt);
	return NULL;
}

const char *arch_pci_message_open(uint32_t *address, uint16_t *data, void (*handler)(void))
{
	const char *reason;

	if (arch_timer_problem())
		return arch_timer_problem();
	/* "msi-map" of QEMU's virt: the ITS knows a device by its place on the bus. */
	open_message = GIC_MESSAGES;
	*data = 0;
	reason = its_open(pci_interrupt_slot() << 3, open_message, address);
	if (reason && !gic_redistributor()) {
		reason = v2m_open(address, &open_message);
		*data = (uint16_t)open_message;
	}
	if (!reason)
		open_handler = handler;
	return reason;
}

bool pci_message_taken(unsigned interrupt)
{
	if (!open_handler || interrupt != open_message)
		return false;
	open_handler();
	return true;
}
