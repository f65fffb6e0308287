/* SPDX-License-Identifier: MIT */
/*
 * Memory that has to be migrated beside what a test is about, or there would be next to nothing to
 * send: pages that are not zero, some of which are written over and over. Nobody verifies them;
 * ram-integrity does that.
 */
#include "beat.h"

#define PAGE_SIZE 4096u
#define PER_MIB	  ((1u << 20) / PAGE_SIZE)
#define RATE	  (16 * PER_MIB) /* pages/s that are written again */

static uintptr_t start;
static uint32_t pages, next;
static uint64_t due, interval; /* ticks */

/* In user mode. */
static void fill(void *argument)
{
	struct random random;

	random_seed(&random, *(const uint64_t *)argument);
	for (uint32_t page = 0; page < pages; page++) {
		uint64_t *at = (uint64_t *)(start + (uintptr_t)page * PAGE_SIZE);

		for (unsigned i = 0; i < PAGE_SIZE / sizeof(*at); i++)
			at[i] = random_next(&random);
	}
}

bool ballast_open(uint64_t mib, uint64_t seed)
{
	uintptr_t from, to;

	pages = (uint32_t)(mib * PER_MIB);
	interval = nanoseconds_to_ticks(NSEC_PER_SEC) / RATE;
	for (unsigned i = 0; pages && arch_memory_free(i, &from, &to); i++) {
		from = (from + PAGE_SIZE - 1) & ~(uintptr_t)(PAGE_SIZE - 1);
		if (from < to && (to - from) / PAGE_SIZE >= pages) {
			start = from;
			arch_run_user(fill, &seed);
			return true;
		}
	}
	return pages == 0;
}

void ballast_stir(uint64_t now)
{
	/* Both, in case the clock has gone back. */
	if (!pages || (now < due && due - now <= interval))
		return;
	due = now + interval;
	++*(volatile uint32_t *)(start + (uintptr_t)next * PAGE_SIZE);
	/* A quarter of them is enough. */
	next = (next + 4) % pages;
}
