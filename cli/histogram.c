// SPDX-License-Identifier: BSD-3-Clause
/* A log-linear histogram. */
#include <string.h>

#include "cli/histogram.h"

#define BAR_WIDTH 40

void histogram_init(struct histogram *h)
{
	memset(h, 0, sizeof(*h));
	h->min = UINT64_MAX;
}

uint64_t histogram_bucket_low(unsigned bucket)
{
	unsigned shift;

	if (bucket < 2 * HISTOGRAM_SUBS)
		return bucket;
	shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	return (uint64_t)(HISTOGRAM_SUBS + (bucket & (HISTOGRAM_SUBS - 1))) << shift;
}

uint64_t histogram_bucket_high(unsigned bucket)
{
	if (bucket + 1 >= HISTOGRAM_BUCKETS)
		return UINT64_MAX;
	return histogram_bucket_low(bucket + 1) - 1;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	into->count += from->count;
	into->sum += from->sum;
	if (from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *h, uint32_t per_million)
{
	unsigned __int128 product = (unsigned __int128)h->count * per_million;
	uint64_t rank = (uint64_t)((product + 999999) / 1000000);
	uint64_t seen = 0;
	unsigned i = 0;

	if (!h->count)
		return 0;
	if (!rank)
		rank = 1;
	for (; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= rank)
			break;
	}
	if (i == HISTOGRAM_BUCKETS || histogram_bucket_high(i) > h->max)
		return h->max;
	return histogram_bucket_high(i) < h->min ? h->min : histogram_bucket_high(i);
}

/* "850 ns", "12.3 us", "4.56 ms", "1.20 s" */
static const char *format_ns(double ns, char *buf, size_t size)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	unsigned unit = 0;

	while (ns >= 1000 && unit < 3) {
		ns /= 1000;
		unit++;
	}
	snprintf(buf, size, "%.*f %s", ns >= 100 || !unit ? 0 : ns >= 10 ? 1 : 2, ns, units[unit]);
	return buf;
}

static uint64_t sum_buckets(const struct histogram *h, unsigned first, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = first; i < first + n && i < HISTOGRAM_BUCKETS; i++)
		sum += h->buckets[i];
	return sum;
}

static void print_bar(const char *label, uint64_t n, uint64_t largest, uint64_t count, FILE *out)
{
	static const char full[BAR_WIDTH + 1] = "########################################";
	int bar = (int)((double)n * BAR_WIDTH / (double)largest + 0.5);

	fprintf(out, "  %11s |%-*.*s| %6.2f %%\n", label, BAR_WIDTH, bar, full,
		(double)n * 100 / (double)count);
}

void histogram_print(const struct histogram *h, double scale, unsigned rows, FILE *out)
{
	unsigned first = histogram_bucket(h->min);
	unsigned last = histogram_bucket(histogram_percentile(h, 999000));
	unsigned step = 1; /* buckets per row */
	uint64_t largest = 0, rest = h->count;
	char number[32], label[40];

	if (!h->count)
		return;
	while ((last - first) / step + 2 > rows)
		step++;
	for (unsigned i = first; i <= last; i += step) {
		uint64_t n = sum_buckets(h, i, step);

		largest = n > largest ? n : largest;
	}
	for (unsigned i = first; i <= last; i += step) {
		uint64_t n = sum_buckets(h, i, step);

		rest -= n;
		format_ns((double)histogram_bucket_low(i) * scale, number, sizeof(number));
		print_bar(number, n, largest, h->count, out);
		first = i + step; /* where the rest begins */
	}
	if (!rest)
		return;
	format_ns((double)histogram_bucket_low(first) * scale, number, sizeof(number));
	snprintf(label, sizeof(label), ">= %s", number);
	print_bar(label, rest, largest > rest ? largest : rest, h->count, out);
}

json_t *histogram_to_json(const struct histogram *h, double scale)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (h->buckets[i])
			json_array_append_new(
				list,
				json_pack("[f, f, I]", (double)histogram_bucket_low(i) * scale,
					  ((double)histogram_bucket_high(i) + 1) * scale,
					  (json_int_t)h->buckets[i]));
	}
	return list;
}
