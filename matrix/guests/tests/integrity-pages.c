/* SPDX-License-Identifier: MIT */
/*
 * The pages of ram-integrity. A page holds its number, its epoch (how often it has been rewritten),
 * words that follow from seed, number and epoch, and a checksum. In about one epoch of sixteen a
 * page of the working set is all zero instead: migration treats such pages apart, and must notice
 * when a page becomes one or ceases to be one.
 */
#include "integrity.h"

#if __SIZEOF_POINTER__ == 4
#define MULTIPLIER 1664525u /* Numerical Recipes' linear congruential generator */
#define INCREMENT  1013904223u
#else
#define MULTIPLIER 6364136223846793005u /* Knuth's, from MMIX */
#define INCREMENT  1442695040888963407u
#endif

#define LAST_WORD      (PAGE_WORDS - 1) /* the checksum */
#define BLANK_BITS     4
#define CHECKSUM_START 0x1234567u

struct layout layout;

enum page_kind cursor_next(struct cursor *cursor)
{
	cursor->page++;
	cursor->working += layout.count[WORKING];
	if (cursor->working >= layout.pages) {
		cursor->working -= layout.pages;
		return WORKING;
	}
	cursor->zero += layout.count[ZERO];
	if (cursor->zero >= layout.pages - layout.count[WORKING]) {
		cursor->zero -= layout.pages - layout.count[WORKING];
		return ZERO;
	}
	return STATIC;
}

uintptr_t page_address(unsigned long page)
{
	return layout.start + page * PAGE_SIZE;
}

/* Where the generator starts for a page. */
static word page_state(word page, word epoch)
{
	uint64_t state = layout.seed;

	state += page * 0x9e3779b97f4a7c15ULL;
	state += epoch * 0xbf58476d1ce4e5b9ULL;
	state ^= state >> 30;
	state *= 0x94d049bb133111ebULL;
	state ^= state >> 31;
	return (word)(state ^ state >> 32);
}

/* The low bits of such a generator are poor; the high ones are mixed in. */
static inline word next_word(word *state)
{
	*state = *state * MULTIPLIER + INCREMENT;
	return *state ^ *state >> WORD_BITS / 2;
}

/* Weights are powers of 5: every bit of every word counts, and its place does. */
static inline word checksum_add(word sum, word value)
{
	return sum * 5 + value;
}

static bool is_blank(enum page_kind kind, word page, word epoch)
{
	return kind == ZERO ||
	       (epoch != 0 && page_state(page, epoch) >> (WORD_BITS - BLANK_BITS) == 0);
}

/* Unrolled, here and below: under TCG a jump costs more than writing a word. */
static void write_zeros(word *at)
{
#pragma GCC unroll 4
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		at[i] = 0;
}

static bool is_zero(const word *at)
{
	word different = 0;

#pragma GCC unroll 4
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		different |= at[i];
	return different == 0;
}

void page_write(unsigned long page, enum page_kind kind, word epoch)
{
	word *at = (word *)page_address(page);
	word state = page_state(page, epoch);
	word sum = checksum_add(checksum_add(CHECKSUM_START, page), epoch);

	if (is_blank(kind, page, epoch)) {
		/* Reading leaves memory that has never been written unwritten. */
		if (kind == WORKING || !is_zero(at))
			write_zeros(at);
	} else {
		at[0] = page;
		at[1] = epoch;
#pragma GCC unroll 4
		for (unsigned i = PAGE_BODY; i < LAST_WORD; i++) {
			const word value = next_word(&state);

			at[i] = value;
			sum = checksum_add(sum, value);
		}
		at[LAST_WORD] = sum;
	}
	__asm__ volatile("" : : : "memory"); /* what is verified must come out of memory */
}

/* Whether a page holds this number and epoch, and all that follows from them. */
static bool is_sound(const word *at, word page, word epoch)
{
	word state = page_state(page, epoch);
	word different = (at[0] ^ page) | (at[1] ^ epoch);
	word sum = checksum_add(checksum_add(CHECKSUM_START, at[0]), at[1]);

#pragma GCC unroll 4
	for (unsigned i = PAGE_BODY; i < LAST_WORD; i++) {
		different |= at[i] ^ next_word(&state);
		sum = checksum_add(sum, at[i]);
	}
	return (different | (sum ^ at[LAST_WORD])) == 0;
}

/* What each word must be, one after the other. */
struct expectation {
	bool blank;
	word page, epoch, state, sum;
	unsigned index;
};

static word expected_word(struct expectation *expectation)
{
	const unsigned index = expectation->index++;
	word value;

	if (expectation->blank)
		return 0;
	if (index == LAST_WORD)
		return expectation->sum;
	value = index == 0   ? expectation->page
		: index == 1 ? expectation->epoch
			     : next_word(&expectation->state);
	expectation->sum = checksum_add(expectation->sum, value);
	return value;
}

static void find_nature(const word *at, struct mismatch *mismatch)
{
	mismatch->nature = CHANGED;
	mismatch->found_page = at[0];
	mismatch->found_epoch = at[1];
	if (is_zero(at))
		mismatch->nature = ALL_ZERO;
	else if (is_sound(at, at[0], at[1]))
		mismatch->nature = at[0] == mismatch->page ? STALE : MISPLACED;
}

static void describe(const word *at, bool blank, struct mismatch *mismatch)
{
	struct expectation expectation = {
		.blank = blank,
		.page = mismatch->page,
		.epoch = mismatch->epoch,
		.state = page_state(mismatch->page, mismatch->epoch),
		.sum = CHECKSUM_START,
	};

	mismatch->words = 0;
	for (unsigned i = 0; i < PAGE_WORDS; i++) {
		const word expected = expected_word(&expectation), found = at[i];

		if (found == expected)
			continue;
		if (mismatch->words++ == 0) {
			mismatch->first = i;
			mismatch->found = found;
			mismatch->expected = expected;
		}
	}
	find_nature(at, mismatch);
}

bool page_verify(unsigned long page, enum page_kind kind, word epoch, struct mismatch *mismatch)
{
	const word *at = (const word *)page_address(page);
	const bool blank = is_blank(kind, page, epoch);

	__asm__ volatile("" : : : "memory"); /* what is verified must come out of memory */
	if (blank ? is_zero(at) : is_sound(at, page, epoch))
		return true;
	mismatch->page = page;
	mismatch->kind = kind;
	mismatch->epoch = epoch;
	describe(at, blank, mismatch);
	return false;
}
