/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A histogram of durations in any unit, log-linear: each power of two is cut into 32 buckets, so
 * that a value read from it is at most 1/32 too large. Recording takes no division, no branch that
 * depends on how much was recorded, and no memory beyond the structure.
 */
#ifndef NVMUX_CLI_HISTOGRAM_H
#define NVMUX_CLI_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

#define HISTOGRAM_SUB_BITS 5
#define HISTOGRAM_SUBS     (1u << HISTOGRAM_SUB_BITS)
#define HISTOGRAM_BUCKETS  ((64 - HISTOGRAM_SUB_BITS + 1) * HISTOGRAM_SUBS)

struct histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t min; /* meaningless while count is 0 */
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *h);

/* The bucket that holds @value. Values below 32 have one each. */
static inline unsigned histogram_bucket(uint64_t value)
{
	unsigned shift;

	if (value < HISTOGRAM_SUBS)
		return (unsigned)value;
	shift = 63 - HISTOGRAM_SUB_BITS - (unsigned)__builtin_clzll(value);
	return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

/* The smallest and the largest value of a bucket. */
uint64_t histogram_bucket_low(unsigned bucket);
uint64_t histogram_bucket_high(unsigned bucket);

static inline void histogram_record(struct histogram *h, uint64_t value)
{
	h->count++;
	h->sum += value;
	h->min = value < h->min ? value : h->min;
	h->max = value > h->max ? value : h->max;
	h->buckets[histogram_bucket(value)]++;
}

/* Add what @from holds to @into. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/*
 * The value that @per_million of the recorded ones don't exceed: the upper edge of its bucket,
 * within min and max. 0 when nothing was recorded. 500000: the median.
 */
uint64_t histogram_percentile(const struct histogram *h, uint32_t per_million);

/* Bars, at most @rows (2 or more) lines; what lies beyond p99.9 shares the last one. @scale:
 * nanoseconds per unit. */
void histogram_print(const struct histogram *h, double scale, unsigned rows, FILE *out);

/* [[low, high, count], ...] of the buckets that aren't empty, edges in nanoseconds. New reference.
 */
json_t *histogram_to_json(const struct histogram *h, double scale);

#endif
