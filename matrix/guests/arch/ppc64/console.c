/* SPDX-License-Identifier: MIT */
/* The console: the hypervisor's virtual terminal. */
#include <arch.h>
#include <fdt.h>
#include <guest.h>

#include "pseries.h"

static uint64_t console; /* unit address of the virtual terminal */

void console_open(void)
{
	struct fdt_node node = { 0 };
	uint64_t size;

	if (fdt_next_compatible(&node, "hvterm1"))
		fdt_reg(&node, 0, &console, &size);
}

void arch_console_write(const char *text, size_t length)
{
	while (length > 0) {
		uint64_t call[4] = { console, length < 16 ? length : 16 };
		size_t now = call[1];
		int64_t status;

		do {
			uint64_t again[4] = { call[0], call[1] };

			memcpy(&again[2], text, now);
			again[2] = big_endian64(again[2]);
			again[3] = big_endian64(again[3]);
			status = hypervisor_call(H_PUT_TERM_CHAR, again);
		} while (status == H_BUSY);
		text += now;
		length -= now;
	}
}

int arch_console_read(void)
{
	static unsigned char input[16];
	static unsigned at, end;

	if (at == end) {
		uint64_t call[4] = { console };

		if (hypervisor_call(H_GET_TERM_CHAR, call) != H_SUCCESS || call[0] == 0 ||
		    call[0] > 16)
			return -1;
		at = 0;
		end = (unsigned)call[0];
		call[1] = big_endian64(call[1]);
		call[2] = big_endian64(call[2]);
		memcpy(input, &call[1], sizeof(input));
	}
	return input[at++];
}
