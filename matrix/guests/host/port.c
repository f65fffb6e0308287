/* SPDX-License-Identifier: MIT */
/* The virtio-serial port to the orchestrator: see init.h and README.md. */
#include "init.h"

#define PORTS	      8
#define RETRY_MS      5
#define OPEN_ATTEMPTS 4000 /* 20 s */

int port = -1;

static char buffer[65536];
static size_t begin, end;

bool port_open(void)
{
	char path[] = "/dev/vport0p1";

	for (unsigned attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
		for (unsigned bus = 0; bus < PORTS; bus++) {
			path[10] = (char)('0' + bus);
			long file = file_open(path, O_RDWR | O_NONBLOCK);

			if (file >= 0) {
				port = (int)file;
				return true;
			}
		}
		sleep_ms(RETRY_MS);
	}
	return false;
}

bool port_fill(void)
{
	long got;

	if (begin == end)
		begin = end = 0;
	if (end == sizeof(buffer)) {
		memmove(buffer, buffer + begin, end - begin);
		end -= begin;
		begin = 0;
	}
	got = file_read(port, buffer + end, sizeof(buffer) - end);
	if (got > 0)
		end += (size_t)got;
	return got > 0;
}

char *port_line(void)
{
	for (size_t at = begin; at < end; at++)
		if (buffer[at] == '\n') {
			char *line = buffer + begin;

			buffer[at] = '\0';
			begin = at + 1;
			return line;
		}
	if (end - begin == sizeof(buffer))
		begin = end = 0; /* no line is so long: the peer talks something else */
	return NULL;
}

bool port_data(void *to, size_t size)
{
	char *at = to;

	while (size > 0) {
		size_t here = end - begin < size ? end - begin : size;

		memcpy(at, buffer + begin, here);
		begin += here;
		at += here;
		size -= here;
		if (size > 0 && !port_fill())
			sleep_ms(1);
	}
	return true;
}

/* The port does not wait: with nobody at its other end it takes nothing. */
static void put(const char *data, size_t size)
{
	while (size > 0) {
		long written = CALL3(__NR_write, port, data, size);

		if (written > 0) {
			data += written;
			size -= (size_t)written;
		} else {
			sleep_ms(1);
		}
	}
}

void port_send(struct line *line)
{
	port_send_data(line, NULL, 0);
}

void port_send_data(struct line *line, const void *data, size_t size)
{
	if (data) {
		line_text(line, " ");
		line_number(line, (int64_t)size);
	}
	if (line->length == sizeof(line->text) - 1)
		line->length--;
	line->text[line->length++] = '\n';
	put(line->text, line->length);
	put(data, size);
}
