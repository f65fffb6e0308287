/* SPDX-License-Identifier: MIT */
/*
 * The kernel's log, record by record (Linux, Documentation/ABI/testing/dev-kmsg). A record has a
 * sequence number, so that the orchestrator sees when the kernel's buffer went round before we
 * came.
 */
#include "init.h"

static int log_file = -1;

void log_open(void)
{
	log_file = (int)file_open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
}

void log_send(void)
{
	static char record[8192];
	long got;

	/* EPIPE: records were overwritten; the next read goes on behind them. */
	while (log_file >= 0 &&
	       ((got = file_read(log_file, record, sizeof(record))) > 0 || got == -EPIPE)) {
		struct line line = { .length = 0 };

		if (got <= 0)
			continue;
		line_text(&line, "kernel");
		port_send_data(&line, record, (size_t)got);
	}
}
