/* SPDX-License-Identifier: MIT */
/* The console: the 16550 of the board's ISA bridge. */
#include <arch.h>

#include "malta.h"

#define SERIAL			  UNCACHED(PCI_IO + 0x3f8)
#define SERIAL_DATA		  (SERIAL + 0)
#define SERIAL_LINE_STATUS	  (SERIAL + 5)
#define LINE_STATUS_DATA_READY	  0x01
#define LINE_STATUS_HOLDING_EMPTY 0x20

void arch_console_write(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		while (!(read8(SERIAL_LINE_STATUS) & LINE_STATUS_HOLDING_EMPTY))
			cpu_relax();
		write8(SERIAL_DATA, (uint8_t)text[i]);
	}
}

int arch_console_read(void)
{
	return read8(SERIAL_LINE_STATUS) & LINE_STATUS_DATA_READY ? read8(SERIAL_DATA) : -1;
}
