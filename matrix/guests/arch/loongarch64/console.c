/* SPDX-License-Identifier: MIT */
/* The console: a 16550 UART. */
#include <fdt.h>

#include "loongarch.h"

#define DATA			   0
#define LINE_STATUS		   5
#define LINE_STATUS_RECEIVED	   0x01u
#define LINE_STATUS_TRANSMIT_EMPTY 0x20u

static uintptr_t uart;

void console_open(void)
{
	struct fdt_node node;
	uint64_t address, size;

	if (fdt_find(&node, "/chosen") && fdt_find(&node, fdt_text(&node, "stdout-path")) &&
	    fdt_compatible(&node, "ns16550a") && fdt_reg(&node, 0, &address, &size))
		uart = address;
}

void arch_console_write(const char *text, size_t length)
{
	for (size_t i = 0; uart != 0 && i < length; i++) {
		while (!(mmio_read8(uart + LINE_STATUS) & LINE_STATUS_TRANSMIT_EMPTY))
			cpu_relax();
		mmio_write8(uart + DATA, (uint8_t)text[i]);
	}
}

int arch_console_read(void)
{
	if (uart == 0 || !(mmio_read8(uart + LINE_STATUS) & LINE_STATUS_RECEIVED))
		return -1;
	return mmio_read8(uart + DATA);
}
