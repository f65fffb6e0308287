/* SPDX-License-Identifier: MIT */
/* A short unordered list of ranges; taking one away may split another in two. */
#include <memory-map.h>

#define PAGE	   4096u
#define MAX_RANGES 32

static struct range {
	uint64_t start, end;
} ranges[MAX_RANGES];
static unsigned count;

void memory_map_add(uint64_t start, uint64_t end)
{
	/* The last page stays out, so that an end always fits into a pointer. */
	uint64_t limit = UINTPTR_MAX - (PAGE - 1);

	if (end > limit)
		end = limit;
	start = (start + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	end &= ~(uint64_t)(PAGE - 1);
	/* A full list loses memory to test, never memory in use. */
	if (start < end && count < MAX_RANGES)
		ranges[count++] = (struct range){ start, end };
}

void memory_map_remove(uint64_t start, uint64_t end)
{
	unsigned before = count;

	for (unsigned i = 0; i < before && start < end;) {
		struct range range = ranges[i];

		if (end <= range.start || range.end <= start) {
			i++;
			continue;
		}
		/* The parts on either side go to the end of the list, past those yet to be looked
		 * at. */
		ranges[i] = ranges[--before];
		ranges[before] = ranges[--count];
		if (range.start < start)
			memory_map_add(range.start, start);
		if (end < range.end)
			memory_map_add(end, range.end);
	}
}

bool memory_map_range(unsigned index, uintptr_t *start, uintptr_t *end)
{
	if (index >= count)
		return false;
	*start = (uintptr_t)ranges[index].start;
	*end = (uintptr_t)ranges[index].end;
	return true;
}
