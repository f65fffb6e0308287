/* SPDX-License-Identifier: MIT */
/*
 * What each vCPU does in ram-integrity: verify and rewrite its pages of the working set in turn,
 * walk slowly over the others, and see that clock, counter and registers are as they must be. Each
 * has its own pages, so that only the counts below are shared.
 */
#include "integrity.h"

#define REGISTERS_EVERY 64 /* rounds of the loop */
#define LATEST_CATCH_UP 8  /* of a second that is not made up for when the vCPU could not run */
#define COUNTER_KEY	(word)0xa5a5a5a5a5a5a5a5ULL

struct worker workers[MAX_CPUS];
bool integrity_go, integrity_stop;

/* Each counter once more, in another page and in other bits. */
static word counter_copies[MAX_CPUS] __attribute__((aligned(PAGE_SIZE)));

static uint64_t catch_up;
static unsigned unit_shift;

word clock_units(uint64_t ticks)
{
	return (word)(ticks >> unit_shift);
}

uint64_t clock_ticks(word units)
{
	return (uint64_t)units << unit_shift;
}

static void pace_open(struct pace *pace, uint64_t frequency, unsigned cpus, unsigned long rate)
{
	pace->always = rate == 0;
	pace->parts = rate;
	if (rate == 0)
		return;
	pace->whole = frequency * cpus / rate;
	pace->part = frequency * cpus % rate;
}

static bool pace_due(struct pace *pace, uint64_t now)
{
	if (pace->never)
		return false;
	if (pace->always)
		return true;
	if (now < pace->due)
		return false;
	if (now - pace->due > catch_up)
		pace->due = now - catch_up;
	pace->due += pace->whole;
	pace->remainder += pace->part;
	if (pace->remainder >= pace->parts) {
		pace->remainder -= pace->parts;
		pace->due++;
	}
	return true;
}

void work_open(unsigned cpus, unsigned long rewrites, unsigned long walks)
{
	const uint64_t frequency = arch_clock_frequency();

	catch_up = frequency / LATEST_CATCH_UP;
	while (frequency >> unit_shift > (word)-1 / 1000)
		unit_shift++;
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		workers[cpu].cpu = cpu;
		pace_open(&workers[cpu].rewrite_pace, frequency, cpus, rewrites);
		pace_open(&workers[cpu].walk_pace, frequency, cpus, walks);
	}
}

void work_divide(unsigned cpus)
{
	struct cursor cursor = { 0 };

	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		struct worker *worker = &workers[cpu];

		worker->begin = worker->rewriting = worker->walking = cursor;
		worker->end = (unsigned long)((uint64_t)layout.pages * (cpu + 1) / cpus);
		worker->rewrite_pace.never = worker->walk_pace.never = true;
		while (cursor.page < worker->end) {
			if (cursor_next(&cursor) == WORKING)
				worker->rewrite_pace.never = false;
			else
				worker->walk_pace.never = false;
		}
	}
}

/*
 * Registers
 */

void worker_open(struct worker *me)
{
	struct random random;

	for (unsigned file = 0; file < REGISTER_FILES; file++) {
		random_seed(&random, layout.seed ^ (me->cpu * REGISTER_FILES + file + 1) << 20);
		for (unsigned i = 0; i < REGISTER_WORDS; i++)
			me->registers[file][i] = random_next(&random);
		me->missing[file] = arch_registers_open(file);
		if (me->missing[file] == NULL)
			arch_registers_load(file, me->registers[file]);
	}
}

static void check_registers(struct worker *me)
{
	for (unsigned file = 0; file < REGISTER_FILES; file++) {
		unsigned count;

		if (me->missing[file] != NULL)
			continue;
		count = arch_registers_store(file, me->stored);
		for (unsigned i = 0; i < count; i++) {
			if (me->stored[i] == me->registers[file][i])
				continue;
			finding_note(&(struct finding){ .kind = REGISTER_DIFFERS,
							.cpu = me->cpu,
							.file = file,
							.index = i,
							.found = me->stored[i],
							.expected = me->registers[file][i] });
			/* Once is enough. */
			arch_registers_load(file, me->registers[file]);
			break;
		}
	}
}

/*
 * Clock and counter
 */

void worker_start(struct worker *worker, uint64_t clock)
{
	worker->last_clock = clock;
	worker->reading = clock_units(clock);
	worker->rewrite_pace.due = worker->walk_pace.due = clock;
}

uint64_t worker_clock(struct worker *me)
{
	const uint64_t now = arch_clock();
	const uint64_t last = me->last_clock;

	if (now < last) {
		finding_note(&(struct finding){
			.kind = CLOCK_BACK, .cpu = me->cpu, .found = now, .expected = last });
	} else {
		const word gap = clock_units(now - last);

		/* vCPU 0 takes it and leaves 0; where it does so just now, the gap counts once or
		 * twice. */
		if (gap > __atomic_load_n(&me->gap, __ATOMIC_RELAXED))
			__atomic_store_n(&me->gap, gap, __ATOMIC_RELAXED);
	}
	me->last_clock = now;
	__atomic_store_n(&me->reading, clock_units(now), __ATOMIC_RELAXED);
	return now;
}

static void count_on(struct worker *me)
{
	const word copy = counter_copies[me->cpu] ^ COUNTER_KEY;

	if (me->counter != copy) {
		finding_note(&(struct finding){ .kind = COUNTER_DIFFERS,
						.cpu = me->cpu,
						.found = me->counter,
						.expected = copy });
		me->counter = copy;
	}
	counter_copies[me->cpu] = (copy + 1) ^ COUNTER_KEY;
	__atomic_store_n(&me->counter, copy + 1, __ATOMIC_RELAXED);
}

/*
 * Pages
 */

static void verify(struct worker *me, unsigned long page, enum page_kind kind, word epoch)
{
	struct finding finding = { .kind = PAGE_DIFFERS, .cpu = me->cpu };

	if (!page_verify(page, kind, epoch, &finding.mismatch))
		finding_note(&finding);
	__atomic_store_n(&me->verified, me->verified + 1, __ATOMIC_RELAXED);
}

/* To the next page that is of the working set, or is not; round and round. */
static unsigned long advance(struct worker *me, struct cursor *cursor, bool working,
			     enum page_kind *kind)
{
	do {
		if (cursor->page == me->end) {
			*cursor = me->begin;
			if (working) {
				me->epoch++;
				__atomic_store_n(&me->passes, me->passes + 1, __ATOMIC_RELAXED);
			}
		}
		*kind = cursor_next(cursor);
	} while ((*kind == WORKING) != working);
	return cursor->page - 1;
}

static void rewrite_page(struct worker *me)
{
	enum page_kind kind;
	const unsigned long page = advance(me, &me->rewriting, true, &kind);

	verify(me, page, WORKING, me->epoch);
	page_write(page, WORKING, me->epoch + 1);
}

static void walk_page(struct worker *me)
{
	enum page_kind kind;
	const unsigned long page = advance(me, &me->walking, false, &kind);

	verify(me, page, kind, 0);
}

void worker_fill(void *argument)
{
	struct worker *me = argument;
	struct cursor cursor = me->begin;

	counter_copies[me->cpu] = COUNTER_KEY;
	while (cursor.page < me->end) {
		const unsigned long page = cursor.page;

		page_write(page, cursor_next(&cursor), 0);
	}
}

void worker_work(void *argument)
{
	struct worker *me = argument;
	uint64_t now;

	do {
		now = worker_clock(me);
		count_on(me);
		if (pace_due(&me->walk_pace, now))
			walk_page(me);
		else if (pace_due(&me->rewrite_pace, now))
			rewrite_page(me);
		else
			cpu_relax();
		if (me->counter % REGISTERS_EVERY == 0)
			check_registers(me);
	} while (!__atomic_load_n(&integrity_stop, __ATOMIC_ACQUIRE) && now < me->until);
	check_registers(me);
}

void worker_verify(void *argument)
{
	struct worker *worker = argument;
	struct cursor cursor = worker->begin;

	while (cursor.page < worker->end) {
		const unsigned long page = cursor.page;
		const enum page_kind kind = cursor_next(&cursor);
		const word rewritten = kind == WORKING && page < worker->rewriting.page;

		verify(worker, page, kind, kind == WORKING ? worker->epoch + rewritten : 0);
	}
}
