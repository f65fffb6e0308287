/* SPDX-License-Identifier: MIT */
/* The console: Arm's PL011 UART (its Technical Reference Manual, DDI 0183). */
#include <arch.h>
#include <fdt.h>

#include "arm.h"

#define DATA		   0x00
#define FLAGS		   0x18
#define FLAG_RECEIVE_EMPTY (1u << 4)
#define FLAG_TRANSMIT_FULL (1u << 5)
#define LINE_CONTROL	   0x2c
#define LINE_FIFO	   (1u << 4)
#define LINE_8_BITS	   (3u << 5)
#define CONTROL		   0x30
#define CONTROL_ENABLE	   0x301u /* the UART, its transmitter and its receiver */
#define INTERRUPT_MASK	   0x38

static uintptr_t uart;

void console_open(void)
{
	struct fdt_node node;
	uint64_t address, size;

	/* The one that firmware uses, else the first. */
	if (!fdt_find(&node, "/chosen") || !fdt_find(&node, fdt_text(&node, "stdout-path")) ||
	    !fdt_compatible(&node, "arm,pl011")) {
		node = (struct fdt_node){ 0 };
		if (!fdt_next_compatible(&node, "arm,pl011"))
			return;
	}
	if (!fdt_reg(&node, 0, &address, &size))
		return;
	uart = (uintptr_t)address;
	mmio_write32(uart + INTERRUPT_MASK, 0);
	mmio_write32(uart + LINE_CONTROL, LINE_8_BITS | LINE_FIFO);
	mmio_write32(uart + CONTROL, CONTROL_ENABLE);
}

void arch_console_write(const char *text, size_t length)
{
	for (size_t i = 0; uart != 0 && i < length; i++) {
		while (mmio_read32(uart + FLAGS) & FLAG_TRANSMIT_FULL)
			cpu_relax();
		mmio_write32(uart + DATA, (uint8_t)text[i]);
	}
}

int arch_console_read(void)
{
	if (uart == 0 || mmio_read32(uart + FLAGS) & FLAG_RECEIVE_EMPTY)
		return -1;
	return (uint8_t)mmio_read32(uart + DATA);
}
