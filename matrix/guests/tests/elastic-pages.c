/* SPDX-License-Identifier: MIT */
/* The ledger of elastic-integrity: what each page must hold, and whose it is. */
#include "elastic.h"

#define WORDS	  (ELASTIC_PAGE / sizeof(uint64_t))
#define MOST_SEEN 512u /* pages that are gone past at a time, whoever has them */

struct page elastic_pages[MOST_REGION_PAGES + MOST_BLOCK_PAGES];

static uintptr_t region_start, block_start;
static unsigned region_pages, block_pages, cursor;
static uint64_t seed;
static unsigned long long verified, passes, zeroed, kept, torn;

/* What looking at a page has shown. */
static struct look {
	unsigned page, differ, first;
	uint64_t found, expected;
	bool zero, foreign; /* foreign: some byte is neither zero nor as it was */
} look;

uintptr_t pages_address(unsigned page)
{
	return page < region_pages ? region_start + (uintptr_t)page * ELASTIC_PAGE
				   : block_start + (uintptr_t)(page - region_pages) * ELASTIC_PAGE;
}

static void start(struct random *random, unsigned page, uint32_t epoch)
{
	random_seed(random, (seed << 48) + ((uint64_t)epoch << 16) + page);
}

/* In user mode, as all that goes over pages. */
static void fill(unsigned page)
{
	uint64_t *at = (uint64_t *)pages_address(page);
	struct random random;

	start(&random, page, ++elastic_pages[page].epoch);
	at[0] = (uint64_t)elastic_pages[page].epoch << 32 | page;
	for (unsigned i = 1; i < WORDS; i++)
		at[i] = random_next(&random);
}

/* Whether each byte is zero, or as it was. */
static bool is_partly(uint64_t found, uint64_t expected)
{
	for (; found; found >>= 8, expected >>= 8)
		if ((found & 0xff) && (found & 0xff) != (expected & 0xff))
			return false;
	return true;
}

static void compare(unsigned page)
{
	const volatile uint64_t *at = (const uint64_t *)pages_address(page);
	struct random random;

	look = (struct look){ .page = page, .zero = true };
	start(&random, page, elastic_pages[page].epoch);
	for (unsigned i = 0; i < WORDS; i++) {
		const uint64_t expected =
			i ? random_next(&random) : (uint64_t)elastic_pages[page].epoch << 32 | page;
		const uint64_t found = at[i];

		look.zero &= !found;
		if (found == expected)
			continue;
		look.foreign |= !is_partly(found, expected);
		if (!look.differ++) {
			look.first = i;
			look.found = found;
			look.expected = expected;
		}
	}
}

static void look_at(void *argument)
{
	compare(*(const unsigned *)argument);
}

static void fill_one(void *argument)
{
	fill(*(const unsigned *)argument);
}

static void tell(enum wrong what, const char *as)
{
	elastic_note(what,
		     "page %u at 0x%llx (%s, epoch %u): the word at byte %u is 0x%llx instead of "
		     "0x%llx, %u of %u words differ%s",
		     look.page, (unsigned long long)pages_address(look.page), as,
		     elastic_pages[look.page].epoch, (unsigned)(look.first * sizeof(uint64_t)),
		     (unsigned long long)look.found, (unsigned long long)look.expected, look.differ,
		     (unsigned)WORDS, look.zero ? "; it is all zero" : "");
}

/* A page that the host has had is zero, or as it was: nothing else can have come there. Both, where
 * it was sent while it was discarded. */
static void look_at_returned(void)
{
	if (look.foreign)
		tell(RETURNED_DIFFERS, "returned");
	else if (look.zero)
		zeroed++;
	else if (look.differ)
		torn++;
	else
		kept++;
}

/* Whether there was anything to be looked at. */
static bool check(unsigned page)
{
	struct page *entry = &elastic_pages[page];

	if (entry->asked || entry->state == LENT)
		return false;
	arch_run_user(look_at, &page);
	if (entry->state == RETURNED)
		look_at_returned();
	else if (look.differ)
		tell(PAGE_DIFFERS, "held");
	verified++;
	return true;
}

void pages_work(unsigned count)
{
	for (unsigned seen = 0; count && seen < MOST_SEEN; seen++) {
		unsigned page = cursor++;

		if (cursor == region_pages + block_pages) {
			cursor = 0;
			passes++;
		}
		if (!check(page))
			continue;
		arch_run_user(fill_one, &page);
		elastic_pages[page].state = HELD;
		elastic_read_clock();
		count--;
	}
}

void pages_verify(void)
{
	for (unsigned page = 0; page < region_pages + block_pages; page++)
		check(page);
}

/* In user mode. */
static void fill_all(void *argument)
{
	for (unsigned page = 0; page < region_pages; page++)
		fill(page);
}

void pages_open(uintptr_t from, unsigned count, uint64_t with)
{
	region_start = from;
	region_pages = count;
	seed = with;
	arch_run_user(fill_all, NULL);
}

unsigned pages_append(uintptr_t from, unsigned count)
{
	block_start = from;
	block_pages = count;
	for (unsigned page = region_pages; page < region_pages + block_pages; page++)
		elastic_pages[page].state = LENT;
	return region_pages;
}

unsigned long long pages_verified(void)
{
	return verified;
}

unsigned long long pages_passes(void)
{
	return passes;
}

unsigned long long pages_zeroed(void)
{
	return zeroed;
}

unsigned long long pages_kept(void)
{
	return kept;
}

unsigned long long pages_torn(void)
{
	return torn;
}
