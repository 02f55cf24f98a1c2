// SPDX-License-Identifier: BSD-3-Clause
/* What nvmux bench says at the end of a run. */
#include "cli/bench.h"

#define HISTOGRAM_ROWS 20

static const struct {
	const char *name, *key;
	uint32_t per_million;
} percentiles[] = {
	{"p50", "p50", 500000},
	{"p90", "p90", 900000},
	{"p99", "p99", 990000},
	{"p99.9", "p999", 999000},
};

static double average(const struct histogram *h)
{
	return h->count ? (double)h->sum / (double)h->count : 0;
}

static void print_latency(const char *name, double ns)
{
	printf("  %s %.*f us", name, ns < 10000 ? 2 : ns < 100000 ? 1 : 0, ns / 1000);
}

void bench_result_text(const struct bench_config *config, const struct bench_result *result)
{
	const struct histogram *h = &result->histogram;
	double unit = result->ns_per_tick;

	printf("depth %u: %.0f IOPS, %.1f MB/s\n", result->depth, result->iops,
	       result->iops * config->io_size / 1e6);
	if (!h->count)
		return;
	print_latency("latency: min", (double)h->min * unit);
	print_latency("avg", average(h) * unit);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
		print_latency(percentiles[i].name,
			      (double)histogram_percentile(h, percentiles[i].per_million) * unit);
	print_latency("max", (double)h->max * unit);
	putchar('\n');
	histogram_print(h, unit, HISTOGRAM_ROWS, stdout);
}

json_t *bench_result_json(const struct bench_config *config, const struct bench_result *result)
{
	const struct histogram *h = &result->histogram;
	double unit = result->ns_per_tick;
	json_t *latency;

	latency = json_pack("{s:f, s:f}", "min", h->count ? (double)h->min * unit : 0.0, "avg",
			    average(h) * unit);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
		json_object_set_new(
			latency, percentiles[i].key,
			json_real((double)histogram_percentile(h, percentiles[i].per_million) *
				  unit));
	json_object_set_new(latency, "max", json_real((double)h->max * unit));
	return json_pack("{s:I, s:I, s:I, s:f, s:f, s:f, s:o, s:o}", "depth",
			 (json_int_t)result->depth, "commands", (json_int_t)result->commands,
			 "empty_polls", (json_int_t)result->empty_polls, "seconds", result->seconds,
			 "iops", result->iops, "bytes_per_sec", result->iops * config->io_size,
			 "latency_ns", latency, "histogram_ns", histogram_to_json(h, unit));
}
