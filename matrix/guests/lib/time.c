/* SPDX-License-Identifier: MIT */
/* Ticks of the architecture's clock and nanoseconds. */
#include <arch.h>
#include <guest.h>

/* value * to / from, without the overflow of the plain product while to * from fits 64 bits. */
static uint64_t scale(uint64_t value, uint64_t to, uint64_t from)
{
	return value / from * to + value % from * to / from;
}

uint64_t ticks_to_nanoseconds(uint64_t ticks)
{
	return scale(ticks, NSEC_PER_SEC, arch_clock_frequency());
}

uint64_t nanoseconds_to_ticks(uint64_t nanoseconds)
{
	return scale(nanoseconds, arch_clock_frequency(), NSEC_PER_SEC);
}
