// SPDX-License-Identifier: BSD-3-Clause
/* The histogram of nvmux bench: buckets, percentiles, merging, output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/histogram.h"

static int setup(void **state)
{
	*state = malloc(sizeof(struct histogram));
	histogram_init(*state);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* The buckets cover all values without gap or overlap. */
static void test_buckets_are_seamless(void **state)
{
	uint64_t expected = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t low = histogram_bucket_low(i), high = histogram_bucket_high(i);

		assert_int_equal(low, expected);
		assert_true(high >= low);
		assert_int_equal(histogram_bucket(low), i);
		assert_int_equal(histogram_bucket(high), i);
		assert_int_equal(histogram_bucket(low + (high - low) / 2), i);
		expected = high + 1;
	}
	assert_int_equal(expected, 0); /* the last bucket ends with the last value */
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void test_buckets_are_narrow(void **state)
{
	for (unsigned i = HISTOGRAM_SUBS; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t low = histogram_bucket_low(i), high = histogram_bucket_high(i);

		assert_true((high - low) <= low / HISTOGRAM_SUBS);
	}
}

static void test_empty(void **state)
{
	struct histogram *h = *state;
	json_t *list = histogram_to_json(h, 1.0);

	assert_int_equal(histogram_percentile(h, 500000), 0);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static void test_one_value(void **state)
{
	struct histogram *h = *state;

	histogram_record(h, 12345);
	assert_int_equal(h->min, 12345);
	assert_int_equal(h->max, 12345);
	assert_int_equal(histogram_percentile(h, 0), 12345);
	assert_int_equal(histogram_percentile(h, 500000), 12345);
	assert_int_equal(histogram_percentile(h, 1000000), 12345);
}

/* Against the values themselves: never too small, at most 1/32 too large. */
static void test_percentiles_of_known_values(void **state)
{
	static const uint32_t points[] = {1, 10000, 500000, 900000, 990000, 999000, 1000000};
	struct histogram *h = *state;
	const uint64_t n = 100000;

	for (uint64_t i = 1; i <= n; i++)
		histogram_record(h, i);
	assert_int_equal(h->count, n);
	assert_int_equal(h->sum, n * (n + 1) / 2);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		uint64_t exact = (n * points[i] + 999999) / 1000000;
		uint64_t got = histogram_percentile(h, points[i]);

		assert_true(got >= exact);
		assert_true(got <= exact + exact / HISTOGRAM_SUBS);
	}
}

/* One outlier among 1000 belongs to p99.9's far side, and is the maximum. */
static void test_outlier(void **state)
{
	struct histogram *h = *state;

	for (int i = 0; i < 999; i++)
		histogram_record(h, 20);
	histogram_record(h, 1u << 30);
	assert_int_equal(histogram_percentile(h, 500000), 20);
	assert_int_equal(histogram_percentile(h, 999000), 20);
	assert_int_equal(histogram_percentile(h, 999001), 1u << 30);
	assert_int_equal(h->max, 1u << 30);
}

static void test_merge(void **state)
{
	struct histogram *h = *state;
	struct histogram *other = malloc(sizeof(*other));

	assert_non_null(other);
	histogram_init(other);
	histogram_merge(h, other);
	assert_int_equal(h->count, 0);
	assert_true(h->min == UINT64_MAX);
	histogram_record(h, 100);
	histogram_record(other, 7);
	histogram_record(other, 5000);
	histogram_merge(h, other);
	assert_int_equal(h->count, 3);
	assert_int_equal(h->sum, 5107);
	assert_int_equal(h->min, 7);
	assert_int_equal(h->max, 5000);
	assert_int_equal(histogram_percentile(h, 300000), 7);
	free(other);
}

static void test_json_holds_every_value(void **state)
{
	struct histogram *h = *state;
	json_t *list, *entry;
	json_int_t sum = 0;
	double before = 0;
	size_t i;

	for (uint64_t v = 1; v < 1u << 20; v = v * 3 + 1)
		histogram_record(h, v);
	list = histogram_to_json(h, 2.0);
	json_array_foreach(list, i, entry) {
		double low = json_real_value(json_array_get(entry, 0));
		double high = json_real_value(json_array_get(entry, 1));

		assert_true(low >= before && high > low);
		before = high;
		sum += json_integer_value(json_array_get(entry, 2));
	}
	assert_int_equal(sum, h->count);
	assert_true(json_real_value(json_array_get(json_array_get(list, 0), 0)) == 2.0);
	json_decref(list);
}

/* The bars: no more rows than asked for, percentages that sum up to 100. */
static void test_print(void **state)
{
	struct histogram *h = *state;
	char *text = NULL, *line, *rest;
	size_t size = 0;
	unsigned rows = 0;
	double sum = 0;
	FILE *out;

	for (uint64_t v = 3; v < 100000000; v = v * 9 / 8 + 1)
		histogram_record(h, v);
	out = open_memstream(&text, &size);
	assert_non_null(out);
	histogram_print(h, 1.0, 12, out);
	fclose(out);
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		sum += strtod(strrchr(line, '|') + 1, NULL);
		rows++;
	}
	assert_true(rows >= 6 && rows <= 12);
	assert_true(sum > 99.9 && sum < 100.1);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets_are_seamless),
		cmocka_unit_test(test_buckets_are_narrow),
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_value, setup, teardown),
		cmocka_unit_test_setup_teardown(test_percentiles_of_known_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outlier, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json_holds_every_value, setup, teardown),
		cmocka_unit_test_setup_teardown(test_print, setup, teardown),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
