/* SPDX-License-Identifier: MIT */
/* When tests beat, and what they are told: by the command line, and by their console. */
#include "beat.h"

#define INTERVAL  (NSEC_PER_SEC / 10)
#define CHUNK	  16 /* bytes to the console between two readings of the clock */
#define STOP_BYTE 'q'

static uint64_t started_at, interval, next; /* ticks */

bool beat_read_options(struct beat_options *options, char **words, const char *memory,
		       const char *what, const char *noun, unsigned most)
{
	const struct option names[] = { { "depth=", &options->depth, NULL },
					{ memory, &options->memory, NULL },
					{ "seed=", &options->seed, NULL },
					{ "seconds=", &options->seconds, NULL },
					{ "flush=", &options->flush, NULL } };

	for (; *words; words++)
		if (!read_option(*words, names, ARRAY_SIZE(names)))
			return report(false,
				      "argument '%s': expected depth=%s, %sMIB, seed=NUMBER, "
				      "seconds=N or flush=MS",
				      *words, what, memory);
	if (options->depth < 1 || options->depth > most)
		return report(false, "depth=%llu: expected 1 to %u %s",
			      (unsigned long long)options->depth, most, noun);
	return true;
}

void beat_start(uint64_t now)
{
	interval = nanoseconds_to_ticks(INTERVAL);
	started_at = now;
	next = now + interval;
}

uint64_t beat_since_start(uint64_t clock)
{
	return clock < started_at ? 0 : clock - started_at;
}

uint64_t beat_due(void)
{
	return next;
}

bool beat_stop(uint64_t now, uint64_t seconds, bool *asked)
{
	int byte;

	*asked = false;
	if (seconds && beat_since_start(now) >= nanoseconds_to_ticks(seconds * NSEC_PER_SEC))
		return true;
	while ((byte = arch_console_read()) >= 0) {
		if (byte == STOP_BYTE)
			return true;
		*asked = true;
	}
	return false;
}

bool beat_passed(uint64_t now)
{
	if (now < next)
		return false;
	next += interval;
	/* After a long gap, and should the clock have gone back. */
	if (next <= now || next > now + interval)
		next = now + interval;
	return true;
}

void beat_write(const char *line, size_t length, void (*between)(void))
{
	while (length) {
		const size_t now = length < CHUNK ? length : CHUNK;

		arch_console_write(line, now);
		between();
		line += now;
		length -= now;
	}
}
