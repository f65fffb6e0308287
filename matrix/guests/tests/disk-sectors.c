/* SPDX-License-Identifier: MIT */
/*
 * The sectors of disk-integrity. One holds its number, its generation (how often it has been
 * written), words that follow from seed, number and generation, and a checksum.
 */
#include "disk.h"

#define MULTIPLIER 6364136223846793005u /* Knuth's, from MMIX */
#define INCREMENT  1442695040888963407u
#define BODY	   2
#define LAST_WORD  (SECTOR_WORDS - 1) /* the checksum */
#define BLANK	   0x5ab1a2c35ab1a2c3u

uint64_t disk_seed;

/* Where the generator starts for a sector. */
static uint64_t start_of(uint64_t sector, uint64_t generation)
{
	uint64_t state = disk_seed;

	state += sector * 0x9e3779b97f4a7c15u;
	state += generation * 0xbf58476d1ce4e5b9u;
	state ^= state >> 30;
	return state * 0x94d049bb133111ebu;
}

/* The low bits of such a generator are poor; the high ones are mixed in. */
static uint64_t next_word(uint64_t *state)
{
	*state = *state * MULTIPLIER + INCREMENT;
	return *state ^ *state >> 32;
}

/* What each word must be, one after the other. */
struct expectation {
	uint64_t sector, generation, state, sum;
	unsigned index;
};

static struct expectation expect(uint64_t sector, uint64_t generation)
{
	return (struct expectation){ .sector = sector,
				     .generation = generation,
				     .state = start_of(sector, generation) };
}

static uint64_t expected_word(struct expectation *of)
{
	const unsigned index = of->index++;
	const uint64_t value = index == 0	    ? of->sector
			       : index == 1	    ? of->generation
			       : index == LAST_WORD ? of->sum
						    : next_word(&of->state);

	/* Weights are powers of 5: every bit of every word counts, and its place does. */
	of->sum = of->sum * 5 + value;
	return value;
}

void sector_fill(uint64_t *at, uint32_t sector, uint32_t generation)
{
	struct expectation expectation = expect(sector, generation);

	for (unsigned i = 0; i < SECTOR_WORDS; i++)
		at[i] = expected_word(&expectation);
}

void sector_blank(uint64_t *at)
{
	for (unsigned i = 0; i < SECTOR_WORDS; i++)
		at[i] = BLANK;
}

static bool is_all(const uint64_t *at, uint64_t value)
{
	uint64_t different = 0;

	for (unsigned i = 0; i < SECTOR_WORDS; i++)
		different |= at[i] ^ value;
	return different == 0;
}

static unsigned count_differences(const uint64_t *at, uint64_t sector, uint64_t generation,
				  struct mismatch *mismatch)
{
	struct expectation expectation = expect(sector, generation);
	unsigned words = 0;

	for (unsigned i = 0; i < SECTOR_WORDS; i++) {
		const uint64_t expected = expected_word(&expectation);

		if (at[i] == expected)
			continue;
		if (words++ == 0 && mismatch) {
			mismatch->first = i;
			mismatch->found = at[i];
			mismatch->expected = expected;
		}
	}
	return words;
}

bool sector_verify(const uint64_t *at, uint32_t sector, uint32_t generation,
		   struct mismatch *mismatch)
{
	mismatch->words = count_differences(at, sector, generation, mismatch);
	if (mismatch->words == 0)
		return true;
	mismatch->sector = sector;
	mismatch->generation = generation;
	mismatch->found_sector = at[0];
	mismatch->found_generation = at[1];
	mismatch->nature = CHANGED;
	if (is_all(at, 0))
		mismatch->nature = ALL_ZERO;
	else if (is_all(at, BLANK))
		mismatch->nature = NOT_READ;
	else if (!count_differences(at, at[0], at[1], NULL))
		mismatch->nature = at[0] == sector ? STALE : MISPLACED;
	return false;
}
