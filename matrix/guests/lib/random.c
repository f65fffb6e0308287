/* SPDX-License-Identifier: MIT */
/* Pseudo-random numbers: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift
 * generators, scrambled", 2016). */
#include <guest.h>

void random_seed(struct random *random, uint64_t seed)
{
	random->state = seed ? seed : 0x9e3779b97f4a7c15ULL; /* 0 would stay 0 */
}

uint64_t random_next(struct random *random)
{
	uint64_t state = random->state;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	random->state = state;
	return state * 0x2545f4914f6cdd1dULL;
}

uint32_t random_below(struct random *random, uint32_t limit)
{
	return (uint32_t)(((random_next(random) >> 32) * limit) >> 32);
}
