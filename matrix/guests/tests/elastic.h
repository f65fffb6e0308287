/* SPDX-License-Identifier: MIT */
/* elastic-integrity's parts: the ledger of pages, three devices, and what was found. */
#ifndef ELASTIC_H
#define ELASTIC_H

#include <arch.h>
#include <guest.h>
#include <virtio.h>

#define ELASTIC_PAGE	 4096u
#define ELASTIC_PATIENCE 200u /* beats: while it runs, a gap of its clock is none of a device's */

/*
 * Pages (elastic-pages.c): those of a region that the balloon may take, and behind them those of
 * virtio-mem's blocks.
 */

#define MOST_REGION_PAGES 8192u
#define MOST_BLOCK_PAGES  16384u

/* HELD: as they were written last. LENT: the host's. RETURNED: given back, and not looked at. */
enum page_state { HELD, LENT, RETURNED };

struct page {
	uint32_t epoch;
	uint8_t state;
	bool asked; /* a request about it is in flight: nobody touches it */
};
extern struct page elastic_pages[MOST_REGION_PAGES + MOST_BLOCK_PAGES];

/* Take so many pages from there on for the region, and fill them. */
void pages_open(uintptr_t start, unsigned count, uint64_t seed);
/* So many pages behind those, of blocks: all are lent. The number of the first. */
unsigned pages_append(uintptr_t start, unsigned count);
uintptr_t pages_address(unsigned page);
/* Go on in turn: look at so many pages, and write those that are as they must be anew. */
void pages_work(unsigned count);
/* Look at all. */
void pages_verify(void);
unsigned long long pages_verified(void), pages_passes(void);
/* How many came back all zero, with what they held, and with a part of that. */
unsigned long long pages_zeroed(void), pages_kept(void), pages_torn(void);

/*
 * What was found (elastic-integrity.c)
 */

enum wrong { PAGE_DIFFERS, RETURNED_DIFFERS, UNASKED, REFUSED, LOST, DISAGREES, REPEATED, WRONGS };

/* Count what is wrong; whether it is one of the first few, which are told at once. */
bool elastic_count(enum wrong what);
#define elastic_note(what, ...) ((void)(elastic_count(what) && report(false, __VA_ARGS__)))

/* Read the clock, and note how it went on: before a request is added to those in flight, or taken
 * from them. A request is so old, in beats, that was made in a beat. */
void elastic_read_clock(void);
void elastic_submitted(void);
void elastic_answered(void);
unsigned long long elastic_beat(void);
uint32_t elastic_random(uint32_t limit);

/*
 * Devices: open gives the reason why there is none, or NULL; where one is there and does not work,
 * that is a failure. Step takes answers and makes requests; drain only takes answers, and is true
 * when none is awaited. Find lost notes requests that have not been answered for long, or all.
 */

struct elastic_device {
	const char *name;
	const char *(*open)(void);
	void (*step)(void);
	bool (*drain)(void);
	void (*find_lost)(bool all);
	bool present;
};

extern struct elastic_device elastic_balloon, elastic_blocks, elastic_entropy;

unsigned balloon_pages(void);	      /* that the host has, as far as it was told */
unsigned balloon_most(void);	      /* that it can get */
uint64_t blocks_plugged(void);	      /* bytes */
uint64_t blocks_size(void);	      /* bytes of one; 0: no device */
unsigned blocks_count(void);	      /* that there are at most */
unsigned long long blocks_busy(void); /* requests that were put off */
void entropy_depth(unsigned requests);
#define MOST_ENTROPY 8u /* as its queue has entries */

#endif
