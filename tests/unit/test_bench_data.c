// SPDX-License-Identifier: BSD-3-Clause
/* What nvmux bench --verify writes, and that it finds every wrong byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli/bench.h"

#define BLOCKS     4
#define BLOCK_SIZE 512

static uint8_t buf[BLOCKS * BLOCK_SIZE], other[BLOCKS * BLOCK_SIZE];

static void test_depends_on_place_only(void **state)
{
	uint64_t bad;

	bench_fill(buf, 1000, BLOCKS, BLOCK_SIZE);
	assert_true(bench_check(buf, 1000, BLOCKS, BLOCK_SIZE, &bad));
	/* The same block as part of another I/O. */
	bench_fill(other, 1002, 1, BLOCK_SIZE);
	assert_memory_equal(other, buf + 2 * BLOCK_SIZE, BLOCK_SIZE);
	/* The same bytes with another block size. */
	bench_fill(other, 500, 2, 2 * BLOCK_SIZE);
	assert_memory_equal(other, buf, sizeof(buf));
}

static void test_blocks_differ(void **state)
{
	uint64_t bad = 0;

	bench_fill(buf, 7, 1, BLOCK_SIZE);
	assert_false(bench_check(buf, 8, 1, BLOCK_SIZE, &bad));
	assert_int_equal(bad, 8);
	memset(buf, 0, sizeof(buf));
	assert_false(bench_check(buf, 0, 1, BLOCK_SIZE, &bad));
	assert_int_equal(bad, 0);
}

static void test_finds_every_bit(void **state)
{
	bench_fill(buf, 90, BLOCKS, BLOCK_SIZE);
	for (size_t i = 0; i < sizeof(buf); i++) {
		uint64_t bad = 0;

		buf[i] ^= (uint8_t)(1 << i % 8);
		assert_false(bench_check(buf, 90, BLOCKS, BLOCK_SIZE, &bad));
		assert_int_equal(bad, 90 + i / BLOCK_SIZE);
		buf[i] ^= (uint8_t)(1 << i % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_depends_on_place_only),
		cmocka_unit_test(test_blocks_differ),
		cmocka_unit_test(test_finds_every_bit),
	};

	return cmocka_run_group_tests_name("bench_data", tests, NULL, NULL);
}
