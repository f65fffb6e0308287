/* SPDX-License-Identifier: MIT */
/*
 * How a test that goes on until it is told to stop talks to programs (tests/beat.c): it prints
 * INTEGRITY: START, then numbered BEATs by its own clock and whenever a byte comes that is not the
 * one that ends it, and INTEGRITY: END.
 */
#ifndef BEAT_H
#define BEAT_H

#include <arch.h>
#include <guest.h>

/* What most of these tests are told, with what holds where nothing is said. */
struct beat_options {
	uint64_t depth;	 /* how many may be under way at a time */
	uint64_t memory; /* MiB */
	uint64_t seed;
	uint64_t seconds; /* 0: until the byte comes */
	uint64_t flush;	  /* ms */
};
/* Set them by the words of the command line. The test calls its memory "ram=" or the like, and what
 * is under way "FRAMES" and "frames", of which there are 1 to most. A failure is reported. */
bool beat_read_options(struct beat_options *options, char **words, const char *memory,
		       const char *what, const char *noun, unsigned most);

/* START has been printed, at this clock. */
void beat_start(uint64_t now);
/* Ticks from then on. */
uint64_t beat_since_start(uint64_t clock);
/* The clock at which the next is due. */
uint64_t beat_due(void);
/* Whether it is time to stop: the byte came, or so many seconds (0: any) have passed. Else *asked
 * says whether there is to be a beat at once. */
bool beat_stop(uint64_t now, uint64_t seconds, bool *asked);
/* One is being printed at this clock; whether it was due. */
bool beat_passed(uint64_t now);
/* Print a line in pieces, with a call in between, so that the clock can be read: a slow console is
 * no gap. */
void beat_write(const char *line, size_t length, void (*between)(void));

/* Fill so many MiB of memory with what is not zero (tests/ballast.c): false where no piece of free
 * memory is as large. Then, as often as may be, write to a page of it where one is due. */
bool ballast_open(uint64_t mib, uint64_t seed);
void ballast_stir(uint64_t now);

#endif
