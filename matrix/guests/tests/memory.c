/* SPDX-License-Identifier: MIT */
/*
 * memory: every word of free RAM holds what was written to it: its own address, pseudo-random
 * words, and the complements of both. All of it is written before any is verified, so that two
 * addresses that reach the same cell show.
 */
#include <arch.h>
#include <guest.h>

typedef uintptr_t word;

#define WORD_BITS (sizeof(word) * 8)
/* A linear congruential generator as wide as a word (Knuth; Numerical Recipes). */
#define MULTIPLIER   (WORD_BITS == 64 ? (word)6364136223846793005ULL : (word)1664525)
#define INCREMENT    (WORD_BITS == 64 ? (word)1442695040888963407ULL : (word)1013904223)
#define SHOWN_ERRORS 4

struct pattern {
	const char *name;
	bool random;
	word inversion;
};

static const struct pattern patterns[] = {
	{ "address in address", false, 0 },
	{ "complement of the address", false, ~(word)0 },
	{ "pseudo-random", true, 0 },
	{ "complement of pseudo-random", true, ~(word)0 },
};

/* One range to be written or verified: what arch_run_user's function gets. */
struct walk {
	const struct pattern *pattern;
	word *start, *end;
	word state; /* of the generator */
	unsigned long long errors;
	struct {
		word *at, found, expected;
	} shown[SHOWN_ERRORS];
};

/* The low bits of such a generator are poor; the high ones are mixed in. */
static inline word random_word(word *state)
{
	*state = *state * MULTIPLIER + INCREMENT;
	return *state ^ *state >> WORD_BITS / 2;
}

/* Unrolled, here and below: under TCG a jump costs more than writing a word. */
static void write_range(void *argument)
{
	struct walk *walk = argument;
	word *const end = walk->end;
	const word inversion = walk->pattern->inversion;
	word state = walk->state;

	if (walk->pattern->random) {
#pragma GCC unroll 8
		for (word *at = walk->start; at != end; at++)
			*at = random_word(&state) ^ inversion;
	} else {
#pragma GCC unroll 8
		for (word *at = walk->start; at != end; at++)
			*at = (word)at ^ inversion;
	}
	walk->state = state;
}

static void note_error(struct walk *walk, word *at, word found, word expected)
{
	if (walk->errors < SHOWN_ERRORS) {
		walk->shown[walk->errors].at = at;
		walk->shown[walk->errors].found = found;
		walk->shown[walk->errors].expected = expected;
	}
	walk->errors++;
}

static void verify_range(void *argument)
{
	struct walk *walk = argument;
	word *const end = walk->end;
	const bool random = walk->pattern->random;
	const word inversion = walk->pattern->inversion;
	word state = walk->state;

#pragma GCC unroll 8
	for (word *at = walk->start; at != end; at++) {
		const word expected = (random ? random_word(&state) : (word)at) ^ inversion;
		const word found = *at;

		if (__builtin_expect(found != expected, 0))
			note_error(walk, at, found, expected);
	}
	walk->state = state;
}

/* The range with this index, in whole words; false past the last one. */
static bool range_words(unsigned index, word **start, word **end)
{
	uintptr_t first, last;

	if (!arch_memory_free(index, &first, &last))
		return false;
	*start = (word *)((first + sizeof(word) - 1) & ~(sizeof(word) - 1));
	*end = (word *)(last & ~(sizeof(word) - 1));
	if (*end < *start)
		*end = *start;
	return true;
}

static void show_errors(const struct walk *walk)
{
	for (unsigned i = 0; i < walk->errors && i < SHOWN_ERRORS; i++)
		report_info("at 0x%lx: 0x%lx instead of 0x%lx", (unsigned long)walk->shown[i].at,
			    (unsigned long)walk->shown[i].found,
			    (unsigned long)walk->shown[i].expected);
	if (walk->errors)
		report_info("%s: %llu wrong words", walk->pattern->name, walk->errors);
}

/* The bytes that were checked. */
static unsigned long long check_pattern(const struct pattern *pattern, word seed)
{
	struct walk walk = { .pattern = pattern, .state = seed };
	unsigned long long bytes = 0;

	for (unsigned i = 0; range_words(i, &walk.start, &walk.end); i++)
		arch_run_user(write_range, &walk);
	__asm__ volatile("" : : : "memory"); /* what is verified must come out of memory */
	walk.state = seed;
	for (unsigned i = 0; range_words(i, &walk.start, &walk.end); i++) {
		arch_run_user(verify_range, &walk);
		bytes += (unsigned long long)(walk.end - walk.start) * sizeof(word);
	}
	show_errors(&walk);
	report(!walk.errors && bytes, "%s", pattern->name);
	return bytes;
}

int test_memory(int argc, char **argv)
{
	struct random random;
	unsigned long long bytes = 0;
	uintptr_t start, end;

	for (unsigned i = 0; arch_memory_free(i, &start, &end); i++)
		report_info("range: 0x%lx to 0x%lx", (unsigned long)start, (unsigned long)end);
	random_seed(&random, arch_clock());
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		bytes = check_pattern(&patterns[i], (word)random_next(&random));
	report_info("checked: %llu of %llu MiB", bytes >> 20,
		    (unsigned long long)arch_memory_size() >> 20);
	return report_summary();
}
