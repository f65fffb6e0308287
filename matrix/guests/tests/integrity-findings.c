/* SPDX-License-Identifier: MIT */
/* What ram-integrity found wrong: noted by any vCPU, printed by one. */
#include "integrity.h"

#define SHOWN 10

static struct {
	struct finding finding;
	bool complete;
} shown[SHOWN];
static unsigned noted, reported;
static unsigned long page_counts[PAGE_KINDS], register_counts[REGISTER_FILES];
static unsigned long other_counts[CPU_DEAD + 1];

void finding_note(const struct finding *finding)
{
	const unsigned index = __atomic_fetch_add(&noted, 1, __ATOMIC_RELAXED);

	if (finding->kind == PAGE_DIFFERS)
		__atomic_fetch_add(&page_counts[finding->mismatch.kind], 1, __ATOMIC_RELAXED);
	else if (finding->kind == REGISTER_DIFFERS)
		__atomic_fetch_add(&register_counts[finding->file], 1, __ATOMIC_RELAXED);
	else
		__atomic_fetch_add(&other_counts[finding->kind], 1, __ATOMIC_RELAXED);
	if (index >= SHOWN) {
		__atomic_store_n(&noted, SHOWN,
				 __ATOMIC_RELAXED); /* so that it never comes round */
		return;
	}
	shown[index].finding = *finding;
	__atomic_store_n(&shown[index].complete, true, __ATOMIC_RELEASE);
}

unsigned long findings_of_pages(enum page_kind kind)
{
	return __atomic_load_n(&page_counts[kind], __ATOMIC_RELAXED);
}

unsigned long findings_of_registers(enum register_file file)
{
	return __atomic_load_n(&register_counts[file], __ATOMIC_RELAXED);
}

unsigned long findings_of(enum finding_kind kind)
{
	return __atomic_load_n(&other_counts[kind], __ATOMIC_RELAXED);
}

static void report_page(const struct mismatch *mismatch)
{
	static const char *const kinds[PAGE_KINDS] = { "working set", "static", "zero" };
	const uint64_t address = arch_physical_address(page_address(mismatch->page));
	char nature[96] = "";

	switch (mismatch->nature) {
	case CHANGED:
		break;
	case ALL_ZERO:
		snprintf(nature, sizeof(nature), "; it is all zero");
		break;
	case STALE:
		snprintf(nature, sizeof(nature), "; it is sound, but of epoch %lu",
			 mismatch->found_epoch);
		break;
	case MISPLACED:
		snprintf(nature, sizeof(nature), "; it is page %lu of epoch %lu",
			 mismatch->found_page, mismatch->found_epoch);
		break;
	}
	report(false,
	       "page %lu at 0x%llx (%s, epoch %lu): the word at 0x%llx is 0x%lx instead of 0x%lx, "
	       "%u of %u words differ%s",
	       mismatch->page, (unsigned long long)address, kinds[mismatch->kind], mismatch->epoch,
	       (unsigned long long)address + mismatch->first * sizeof(word), mismatch->found,
	       mismatch->expected, mismatch->words, (unsigned)PAGE_WORDS, nature);
}

static void report_finding(const struct finding *finding)
{
	const unsigned long long found = finding->found, expected = finding->expected;

	switch (finding->kind) {
	case PAGE_DIFFERS:
		report_page(&finding->mismatch);
		break;
	case COUNTER_DIFFERS:
		report(false, "vCPU %u: counter at %llu instead of %llu", finding->cpu, found,
		       expected);
		break;
	case CLOCK_BACK:
		report(false, "vCPU %u: clock went back from %llu to %llu ticks", finding->cpu,
		       expected, found);
		break;
	case REGISTER_DIFFERS:
		report(false, "vCPU %u: %s register word %u is 0x%llx instead of 0x%llx",
		       finding->cpu, finding->file == VECTOR ? "vector" : "floating-point",
		       finding->index, found, expected);
		break;
	case CPU_DEAD:
		report(false, "vCPU %u: does not go on, its counter has been at %llu for %llu s",
		       finding->cpu, found, expected);
		break;
	}
}

void findings_report(void)
{
	while (reported < SHOWN && __atomic_load_n(&shown[reported].complete, __ATOMIC_ACQUIRE))
		report_finding(&shown[reported++].finding);
}
