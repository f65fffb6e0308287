/* SPDX-License-Identifier: MIT */
/*
 * Arm's interrupt controller, versions 2 and 3, for peripheral interrupts, private and shared
 * (IHI 0048, IHI 0069).
 */
#include <arch.h>
#include <arm-registers.h>
#include <fdt-machine.h>
#include <fdt.h>

#include "arm.h"

#define PRIORITY      0xa0a0a0a0u /* of four interrupts */
#define PRIORITY_MASK 0xf0u	  /* lets that through */

/* Distributor. */
#define DISTRIBUTOR_CONTROL 0x0000
#define CONTROL_V2	    0x1u /* enable */
#define CONTROL_V3 \
	0x13u /* enable both groups, affinity routing, as either security state sees it */
#define CONTROL_V3_PENDING (1u << 31)

/* The same offsets in the v2 distributor and in a v3 redistributor's second frame. */
#define GROUP	   0x080
#define SET_ENABLE 0x100
#define PRIORITIES 0x400

/* Of shared interrupts, in the distributor: where they go to, and what they are. */
#define TARGETS_V2 0x0800 /* a byte for each interrupt, a bit for each CPU */
#define ROUTES_V3  0x6000 /* 64 bits for each interrupt: a CPU's affinity */
#define KINDS	   0x0c00 /* two bits for each interrupt, of which the higher one is an edge */

/* Version 2: the CPU interface. */
#define CPU_CONTROL	  0x00
#define CPU_PRIORITY_MASK 0x04
#define CPU_ACKNOWLEDGE	  0x0c
#define CPU_END		  0x10
#define V2_INTERRUPT	  0x3ffu

/* Version 3: redistributors. */
#define FRAME_SIZE    0x10000u
#define TYPER	      0x0008
#define TYPER_VIRTUAL (1u << 1) /* two more frames (version 4) */
#define TYPER_LAST    (1u << 4)
#define WAKER	      0x0014
#define WAKER_SLEEP   (1u << 1)
#define WAKER_ASLEEP  (1u << 2)
#define V3_INTERRUPT  0xffffffu

static struct fdt_node node;
static unsigned version; /* 0: none */
static uintptr_t distributor, cpu_interface;

static bool open_region(unsigned index, uintptr_t *address)
{
	uint64_t start, size;

	if (!fdt_reg(&node, index, &start, &size) || !machine_map_device(start, size))
		return false;
	*address = (uintptr_t)start;
	return true;
}

const char *gic_open(void)
{
	node = (struct fdt_node){ 0 };
	if (fdt_next_compatible(&node, "arm,gic-v3")) {
		if (!open_region(0, &distributor))
			return "the GICv3 is beyond this CPU's addresses";
		mmio_write32(distributor + DISTRIBUTOR_CONTROL, CONTROL_V3);
		while (mmio_read32(distributor + DISTRIBUTOR_CONTROL) & CONTROL_V3_PENDING)
			cpu_relax();
		version = 3;
		return NULL;
	}
	node = (struct fdt_node){ 0 };
	if (!fdt_next_compatible(&node, "arm,cortex-a15-gic")) {
		node = (struct fdt_node){ 0 };
		if (!fdt_next_compatible(&node, "arm,gic-400"))
			return "no GICv2 or GICv3";
	}
	if (!open_region(0, &distributor) || !open_region(1, &cpu_interface))
		return "the GICv2 is beyond this CPU's addresses";
	mmio_write32(distributor + DISTRIBUTOR_CONTROL, CONTROL_V2);
	version = 2;
	return NULL;
}

/* This CPU's redistributor, in one of several contiguous regions; 0 where there is none. */
static uintptr_t find_redistributor(void)
{
	uint64_t here = cpu_affinity();
	uint32_t affinity = (uint32_t)(here >> 8 & 0xff000000u) | (uint32_t)(here & 0xffffffu);
	uintptr_t frame;
	uint32_t type;

	for (unsigned region = 1; open_region(region, &frame); region++) {
		do {
			if (mmio_read32(frame + TYPER + 4) == affinity)
				return frame;
			type = mmio_read32(frame + TYPER);
			frame += (type & TYPER_VIRTUAL ? 4 : 2) * FRAME_SIZE;
		} while (!(type & TYPER_LAST));
	}
	return 0;
}

uintptr_t gic_redistributor(void)
{
	return version == 3 ? find_redistributor() : 0;
}

static void enable_private(uintptr_t frame, const unsigned *interrupts, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		mmio_write32(frame + PRIORITIES + (interrupts[i] & ~3u), PRIORITY);
		mmio_write32(frame + SET_ENABLE, 1u << interrupts[i]);
	}
}

static const char *open_cpu_v3(const unsigned *interrupts, unsigned count)
{
	uintptr_t frame = find_redistributor();

	if (frame == 0)
		return "this vCPU has no GICv3 redistributor";
	if (!gic_registers_enable())
		return "the GICv3's system registers cannot be enabled";
	mmio_write32(frame + WAKER, mmio_read32(frame + WAKER) & ~WAKER_SLEEP);
	while (mmio_read32(frame + WAKER) & WAKER_ASLEEP)
		cpu_relax();
	mmio_write32(frame + FRAME_SIZE + GROUP, ~0u);
	enable_private(frame + FRAME_SIZE, interrupts, count);
	gic_registers_open(PRIORITY_MASK);
	return NULL;
}

const char *gic_open_cpu(const unsigned *interrupts, unsigned count)
{
	if (version == 3)
		return open_cpu_v3(interrupts, count);
	enable_private(distributor, interrupts, count);
	mmio_write32(cpu_interface + CPU_PRIORITY_MASK, PRIORITY_MASK);
	mmio_write32(cpu_interface + CPU_CONTROL, CONTROL_V2);
	return NULL;
}

void gic_open_shared(unsigned interrupt)
{
	const uintptr_t word = interrupt / 32 * 4, bytes = interrupt & ~3u;
	const uint32_t bit = 1u << interrupt % 32;
	const uint64_t here = cpu_affinity();

	if (version == 3) {
		const uintptr_t route = distributor + ROUTES_V3 + 8 * interrupt;

		mmio_write32(route, (uint32_t)here & 0xffffff);
		mmio_write32(route + 4, (uint32_t)(here >> 32) & 0xff);
		mmio_write32(distributor + GROUP + word,
			     mmio_read32(distributor + GROUP + word) | bit);
	} else {
		/* Of private interrupts the register reads as the CPU that reads it. */
		mmio_write32(distributor + TARGETS_V2 + bytes,
			     mmio_read32(distributor + TARGETS_V2));
	}
	mmio_write32(distributor + PRIORITIES + bytes, PRIORITY);
	mmio_write32(distributor + SET_ENABLE + word, bit);
}

void gic_set_edge(unsigned interrupt)
{
	const uintptr_t kinds = distributor + KINDS + interrupt / 16 * 4;

	mmio_write32(kinds, mmio_read32(kinds) | 2u << interrupt % 16 * 2);
}

unsigned gic_acknowledge(uint32_t *token)
{
	if (version == 3) {
		*token = gic_register_acknowledge();
		return *token & V3_INTERRUPT;
	}
	*token = mmio_read32(cpu_interface + CPU_ACKNOWLEDGE);
	return *token & V2_INTERRUPT;
}

void gic_end(uint32_t token)
{
	if (version == 3)
		gic_register_end(token);
	else
		mmio_write32(cpu_interface + CPU_END, token);
}
