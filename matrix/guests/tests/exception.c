/* SPDX-License-Identifier: MIT */
/* exception: faults are taken and survived, several times, and nothing else changes. */
#include <arch.h>
#include <guest.h>

#define FAULTS 20
#define WORDS  64

static uint32_t in_data[WORDS];

static uint32_t pattern(unsigned index, unsigned round)
{
	return (index + 1) * 2654435761U ^ round * 40503U;
}

/* Takes one fault with the stack and static data full of known values. */
static bool survive(unsigned round, const char **what)
{
	volatile uint32_t on_stack[WORDS];
	unsigned taken, damaged = 0;

	for (unsigned i = 0; i < WORDS; i++) {
		on_stack[i] = pattern(i, round);
		in_data[i] = ~pattern(i, round);
	}
	taken = arch_fault(what);
	for (unsigned i = 0; i < WORDS; i++)
		damaged += on_stack[i] != pattern(i, round) || in_data[i] != ~pattern(i, round);
	return taken == 1 && !damaged;
}

int test_exception(int argc, char **argv)
{
	const char *what = "", *first = "";
	unsigned survived = 0;
	bool repeating = false;

	for (unsigned round = 0; round < FAULTS; round++) {
		const bool good = survive(round, &what);

		survived += good;
		repeating |= round && !strcmp(what, first);
		if (!good || !repeating)
			report_info("fault %u: %s%s", round + 1, what,
				    good ? "" : ": not survived");
		if (!round)
			first = what;
	}
	report(survived == FAULTS, "%u of %u faults taken and survived, state intact", survived,
	       FAULTS);
	return report_summary();
}
