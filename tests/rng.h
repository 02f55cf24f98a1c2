/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers that look random and are the same in each run. */
#ifndef TEST_RNG_H
#define TEST_RNG_H

#include <stdint.h>

/* @rng isn't 0, and holds the number that is returned: xorshift64. */
static inline uint64_t next_random(uint64_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng;
}

#endif
