/* SPDX-License-Identifier: MIT */
/* ram-integrity's parts: the pages under test, the vCPUs' work, and what they found. */
#ifndef INTEGRITY_H
#define INTEGRITY_H

#include <arch.h>
#include <guest.h>

/* The natural word: 32 bits where 64 would cost twice as much. */
typedef unsigned long word;
#define WORD_BITS  (8 * sizeof(word))
#define PAGE_SIZE  4096u
#define PAGE_WORDS (PAGE_SIZE / sizeof(word))
#define PAGE_BODY  2 /* the words before it are the page's number and its epoch */

/*
 * Pages (integrity-pages.c)
 */

enum page_kind { WORKING, STATIC, ZERO, PAGE_KINDS };

/* One contiguous piece of RAM, in which pages of the three kinds are evenly mixed. */
struct layout {
	uintptr_t start;
	unsigned long pages, count[PAGE_KINDS];
	uint64_t seed;
};
extern struct layout layout;

/* A walk over consecutive pages that tells of each which kind it is. Zeroed, it stands before page
 * 0; cursor_next steps over the page that `page` names. */
struct cursor {
	unsigned long page;
	unsigned long working, zero; /* remainders: when one is full, it is that kind's turn */
};
enum page_kind cursor_next(struct cursor *cursor);

uintptr_t page_address(unsigned long page);

/* How a page is wrong, as far as it tells itself. */
enum nature {
	CHANGED,   /* some words are others */
	ALL_ZERO,  /* its contents are lost */
	STALE,	   /* whole and sound, but of another epoch */
	MISPLACED, /* whole and sound, but another page */
};

struct mismatch {
	unsigned long page;
	enum page_kind kind;
	word epoch;
	enum nature nature;
	word found_page, found_epoch; /* of what is sound */
	unsigned words, first;	      /* how many differ, the first of them … */
	word found, expected;	      /* … and what it is */
};

/* Write a page of this epoch: 0 for one that is static. */
void page_write(unsigned long page, enum page_kind kind, word epoch);

/* Whether every word of the page is as page_write left it; where not, what is wrong. */
bool page_verify(unsigned long page, enum page_kind kind, word epoch, struct mismatch *mismatch);

/*
 * What was found (integrity-findings.c)
 */

enum finding_kind { PAGE_DIFFERS, COUNTER_DIFFERS, CLOCK_BACK, REGISTER_DIFFERS, CPU_DEAD };

struct finding {
	enum finding_kind kind;
	unsigned cpu;
	struct mismatch mismatch;
	enum register_file file;
	unsigned index;		  /* of the register's 64-bit word */
	uint64_t found, expected; /* of counter, clock (ns) or register */
};

/* By any vCPU, in user mode too: keep it for the one that prints, and count it. */
void finding_note(const struct finding *finding);

/* How many were noted, also those that are not shown. */
unsigned long findings_of_pages(enum page_kind kind);
unsigned long findings_of_registers(enum register_file file);
unsigned long findings_of(enum finding_kind kind);

/* By one vCPU: print, as failures, the first few that have not been printed yet. */
void findings_report(void);

/*
 * The vCPUs' work (integrity-work.c)
 */

/* What is done so and so often: one step each time, whole + part/parts ticks apart. */
struct pace {
	uint64_t due, whole, part, parts, remainder;
	bool always, never;
};

struct worker {
	unsigned cpu;
	struct cursor begin; /* of this vCPU's block of pages */
	unsigned long end;
	struct cursor rewriting, walking;
	struct pace rewrite_pace, walk_pace;
	word epoch;	/* of the working set's pages from rewriting.page on; before: one more */
	uint64_t until; /* when vCPU 0 looks after the console */
	uint64_t last_clock;
	const char *missing[REGISTER_FILES]; /* why it has no such registers */
	/* Read by vCPU 0 at any time, modulo their width; the latter two in clock_units. */
	word counter, verified, passes;
	word gap, reading;
	bool ready, stopped;
	uint64_t registers[REGISTER_FILES][REGISTER_WORDS] __attribute__((aligned(16)));
	uint64_t stored[REGISTER_WORDS] __attribute__((aligned(16)));
} __attribute__((aligned(64)));

extern struct worker workers[MAX_CPUS];
extern bool integrity_go, integrity_stop;

/* Ticks, less the bits that do not matter, so that a word holds minutes; and back. */
word clock_units(uint64_t ticks);
uint64_t clock_ticks(word units);

/* Once, before anything else: the clock's frequency, and pages/s over all vCPUs (0: no limit). */
void work_open(unsigned cpus, unsigned long rewrites, unsigned long walks);

/* Give each vCPU its block of pages. */
void work_divide(unsigned cpus);

/* On each vCPU, in kernel mode: registers. In user mode: write its pages (argument: the worker). */
void worker_open(struct worker *me);
void worker_fill(void *argument);

/* Before it works: from when on its clock is looked at. */
void worker_start(struct worker *worker, uint64_t clock);

/* In user mode: work until me->until or integrity_stop. */
void worker_work(void *argument);

/* Read the clock, and note how it went on. */
uint64_t worker_clock(struct worker *me);

/* In user mode, when all have stopped: everything once more; argument: the worker whose block. */
void worker_verify(void *argument);

#endif
