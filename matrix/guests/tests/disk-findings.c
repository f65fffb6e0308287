/* SPDX-License-Identifier: MIT */
/* What disk-integrity found wrong. */
#include "disk.h"

#define SHOWN 10

static struct finding shown[SHOWN];
static unsigned noted, reported;
static unsigned long counts[FINDING_KINDS], sector_counts[SECTOR_KINDS];

void disk_finding_note(const struct finding *finding)
{
	counts[finding->kind]++;
	if (finding->kind == SECTOR_DIFFERS)
		sector_counts[finding->mismatch.kind]++;
	if (noted < SHOWN)
		shown[noted++] = *finding;
}

unsigned long disk_findings_of_sectors(enum sector_kind kind)
{
	return sector_counts[kind];
}

unsigned long disk_findings_of(enum finding_kind kind)
{
	return counts[kind];
}

static void report_sector(const struct mismatch *mismatch)
{
	static const char *const kinds[SECTOR_KINDS] = { "rewritten", "kept" };
	char nature[96] = "";

	switch (mismatch->nature) {
	case CHANGED:
		break;
	case ALL_ZERO:
		snprintf(nature, sizeof(nature), "; it is all zero");
		break;
	case NOT_READ:
		snprintf(nature, sizeof(nature), "; nothing was read into its buffer");
		break;
	case STALE:
		snprintf(nature, sizeof(nature), "; it is sound, but of generation %llu",
			 (unsigned long long)mismatch->found_generation);
		break;
	case MISPLACED:
		snprintf(nature, sizeof(nature), "; it is sector %llu of generation %llu",
			 (unsigned long long)mismatch->found_sector,
			 (unsigned long long)mismatch->found_generation);
		break;
	}
	report(false,
	       "sector %u (%s, generation %u): the word at byte %u is 0x%llx instead of 0x%llx, "
	       "%u of %u words differ%s",
	       mismatch->sector, kinds[mismatch->kind], mismatch->generation,
	       (unsigned)(mismatch->first * sizeof(uint64_t)), (unsigned long long)mismatch->found,
	       (unsigned long long)mismatch->expected, mismatch->words, (unsigned)SECTOR_WORDS,
	       nature);
}

static void report_request(const struct finding *finding)
{
	const unsigned long long found = finding->found, expected = finding->expected;
	char request[96];

	snprintf(request, sizeof(request), "request %llu (%s of sectors %u to %u)",
		 finding->request, finding->writes ? "write" : "read", finding->first,
		 finding->first + finding->count - 1);
	if (finding->kind == REFUSED)
		report(false, "%s: the disk answers with status %llu instead of %llu", request,
		       found, expected);
	else if (finding->kind == SHORT)
		report(false, "%s: the disk has written %llu bytes instead of %llu", request, found,
		       expected);
	else
		report(false, "%s: there is no answer, for %llu s so far", request, found);
}

static void report_finding(const struct finding *finding)
{
	switch (finding->kind) {
	case SECTOR_DIFFERS:
		report_sector(&finding->mismatch);
		break;
	case UNASKED:
		report(false, "an answer of descriptor %llu, where no request is in flight",
		       (unsigned long long)finding->found);
		break;
	case REFUSED:
	case SHORT:
	case LOST:
		report_request(finding);
		break;
	case NO_INTERRUPT:
		report(false, "requests are answered, but no interrupt came, for %llu s so far",
		       (unsigned long long)finding->found);
		break;
	case CLOCK_BACK:
		report(false, "the clock went back from %llu to %llu ticks",
		       (unsigned long long)finding->expected, (unsigned long long)finding->found);
		break;
	}
}

void disk_findings_report(void)
{
	while (reported < noted)
		report_finding(&shown[reported++]);
}
