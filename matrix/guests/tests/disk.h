/* SPDX-License-Identifier: MIT */
/* disk-integrity's parts: the sectors under test, the requests, and what was found. */
#ifndef DISK_H
#define DISK_H

#include <arch.h>
#include <guest.h>
#include <virtio.h>

#define SECTOR_SIZE  512u
#define SECTOR_WORDS (SECTOR_SIZE / sizeof(uint64_t))

/*
 * Sectors (disk-sectors.c)
 */

enum sector_kind { REWRITTEN, KEPT, SECTOR_KINDS };

/* How a sector is wrong, as far as it tells itself. */
enum nature {
	CHANGED,   /* some words are others */
	ALL_ZERO,  /* its contents are lost */
	NOT_READ,  /* the buffer is as it was before it was read into */
	STALE,	   /* whole and sound, but of another generation */
	MISPLACED, /* whole and sound, but another sector */
};

struct mismatch {
	uint32_t sector, generation;
	enum sector_kind kind;
	enum nature nature;
	uint64_t found_sector, found_generation; /* of what is sound */
	unsigned words, first;			 /* how many differ, the first of them … */
	uint64_t found, expected;		 /* … and what it is */
};

extern uint64_t disk_seed;

/* Put into a buffer of one sector what this one of that generation holds. */
void sector_fill(uint64_t *at, uint32_t sector, uint32_t generation);
/* Put in what no sector holds, so that it shows whether anything was read. */
void sector_blank(uint64_t *at);
/* Whether it holds what sector_fill puts in; where not, what is wrong (all but the kind). */
bool sector_verify(const uint64_t *at, uint32_t sector, uint32_t generation,
		   struct mismatch *mismatch);

/*
 * What was found (disk-findings.c)
 */

enum finding_kind { SECTOR_DIFFERS, UNASKED, REFUSED, SHORT, LOST, NO_INTERRUPT, CLOCK_BACK };
#define FINDING_KINDS (CLOCK_BACK + 1)

struct finding {
	enum finding_kind kind;
	struct mismatch mismatch;
	unsigned long long request; /* its number */
	bool writes;
	uint32_t first, count;	  /* its sectors */
	uint64_t found, expected; /* of status, length, descriptor, seconds or clock */
};

/* In user mode too: keep it until it is printed, and count it. */
void disk_finding_note(const struct finding *finding);
unsigned long disk_findings_of_sectors(enum sector_kind kind);
unsigned long disk_findings_of(enum finding_kind kind);
/* Print, as failures, the first few that have not been printed yet. */
void disk_findings_report(void);

/*
 * Requests (disk-requests.c)
 */

#define MOST_SECTORS	8192u /* of a larger disk the others are left alone */
#define MOST_REQUESTS	16u
#define LARGEST_REQUEST 8u /* sectors */

enum deed { IDLE, FILLING, VERIFYING, REWRITING, WALKING };

extern struct slot {
	enum deed deed;
	unsigned long long number, since_beat;
	uint32_t first, count; /* its sectors */
	bool lost;
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} request;
	volatile uint8_t status;
	uint64_t data[LARGEST_REQUEST * SECTOR_WORDS] __attribute__((aligned(512)));
} disk_slots[MOST_REQUESTS];

extern struct disk {
	struct virtio_device device;
	struct virtio_queue queue;
	unsigned depth;			    /* how many slots are used */
	uint32_t sectors, kept;		    /* those from `kept` on are written once */
	uint64_t last_clock, gap;	    /* ticks; the largest gap since the last beat … */
	unsigned in_flight_then, in_flight; /* … and how many were in flight then, and are now */
	unsigned long long beats, verified, requests;
} disk;

/* Read the clock, and note how it went on: before a request is added to those in flight or taken
 * from them, so that their number is the same over each gap. */
void disk_read_clock(void);
/* These sectors are at work from now on, by this slot; false where some of them are already. */
bool disk_lock(struct slot *slot, uint32_t first, uint32_t count);
/* Make the request of a slot whose sectors are locked. */
void disk_submit(struct slot *slot, enum deed deed);
/* The answers that have come. */
void disk_take_answers(void);
/* Note the requests that have not been answered for long, by beats as the clock may have gone on
 * while nothing ran; or all. */
void disk_find_lost(bool all);

#endif
