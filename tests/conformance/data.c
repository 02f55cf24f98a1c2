// SPDX-License-Identifier: BSD-3-Clause
/* Read, write, compare: contiguous, with separate metadata, larger than one command. */
#include "conform.h"

static void test_write(struct conform *c)
{
	uint32_t n = CONFORM_PAGE / c->block ? CONFORM_PAGE / c->block : 1;

	OK(c, conform_clean(c), "clean");
	conform_pattern(c, c->a, c->base, 2 * n, 1);
	if (c->md_separate) {
		OK(c, conform_write(c, c->a, c->base, 2 * n), "write");
	} else {
		OK(c, IO(c, nvmux_ns_cmd_write, c->a, c->base, n, 0), "write");
		OK(c,
		   IO(c, nvmux_ns_cmd_write, c->a + (size_t)n * c->block_buf, c->base + n, n,
		      NVMUX_IO_FORCE_UNIT_ACCESS | (uint32_t)NVMUX_IO_LIMITED_RETRY),
		   "write with FUA and LR");
	}
	OK(c, conform_holds(c, c->base, 2 * n, c->base, 1), "what was written is read");
	if (!c->zoned) {
		OK(c, conform_put(c, c->base + 1, 1, 2), "write over it");
		OK(c, conform_holds(c, c->base + 1, 1, c->base + 1, 2), "what was written last");
		OK(c, conform_holds(c, c->base, 1, c->base, 1), "its neighbour before");
	}
	EXPECT(c, IO(c, nvmux_ns_cmd_write, c->a, nvmux_ns_get_num_sectors(c->ns), 1, 0), -EINVAL,
	       "a write beyond the end");
	EXPECT(c, IO(c, nvmux_ns_cmd_write, c->a, c->base, 0, 0), -EINVAL, "a write of 0 blocks");
	EXPECT(c, IO(c, nvmux_ns_cmd_write, c->a + 1, c->base, 1, 0), -EINVAL,
	       "a buffer that isn't aligned");
}

static void test_read(struct conform *c)
{
	static uint8_t elsewhere[CONFORM_PAGE * 2] __attribute__((aligned(4096)));
	uint64_t end = nvmux_ns_get_num_sectors(c->ns);

	if (!c->md_separate) {
		OK(c, IO(c, nvmux_ns_cmd_read, c->b, c->base, 1, 0), "read");
		OK(c, IO(c, nvmux_ns_cmd_read, c->b, c->base, 1, NVMUX_IO_FORCE_UNIT_ACCESS),
		   "read with FUA");
		OK(c, IO(c, nvmux_ns_cmd_read, c->b + 4, c->base, 1, 0), "read to a multiple of 4");
	}
	OK(c, conform_read(c, c->b, end - 1, 1), "read of the last block");
	EXPECT(c, IO(c, nvmux_ns_cmd_read, c->b, end, 1, 0), -EINVAL, "a read beyond the end");
	EXPECT(c, IO(c, nvmux_ns_cmd_read, c->b, end - 1, 2, 0), -EINVAL, "a read across the end");
	EXPECT(c, IO(c, nvmux_ns_cmd_read, c->b, UINT64_MAX, 2, 0), -EINVAL, "a range that wraps");
	EXPECT(c, IO(c, nvmux_ns_cmd_read, c->b, c->base, 0, 0), -EINVAL, "a read of 0 blocks");
	EXPECT(c, IO(c, nvmux_ns_cmd_read, c->b + 2, c->base, 1, 0), -EINVAL,
	       "a buffer that isn't aligned");
	if (!c->md_separate)
		EXPECT(c, IO(c, nvmux_ns_cmd_read, elsewhere, c->base, 1, 0), -EFAULT,
		       "a buffer that isn't I/O memory");
}

static void test_large(struct conform *c)
{
	uint32_t n = (CONFORM_PART - CONFORM_PAGE) / c->block_buf;

	if (c->md_separate && n > CONFORM_MD / c->md_size)
		n = CONFORM_MD / c->md_size;
	if (n > c->area - 1)
		n = c->area - 1;
	OK(c, conform_clean(c), "clean");
	if (c->zoned) { /* sequential writes in flight at once would be in any order */
		uint32_t most = nvmux_ns_get_max_io_xfer_size(c->ns) / c->block_buf;

		n = n > most ? most : n;
	}
	OK(c, conform_put(c, c->base + !c->zoned, n, 3), "a large write");
	OK(c, conform_holds(c, c->base + !c->zoned, n, c->base + !c->zoned, 3), "read back");
	for (uint32_t i = 0; i < n; i += n / 7 + 1)
		OK(c, conform_holds(c, c->base + !c->zoned + i, 1, c->base + !c->zoned + i, 3),
		   "single blocks of it");
}

static void test_compare(struct conform *c)
{
	bool claimed = oncs(c) & NVME_CTRL_ONCS_COMPARE;
	uint32_t cdw[6] = {(uint32_t)c->base, (uint32_t)(c->base >> 32), 0};
	int got, raw = -1;

	if (c->md_separate)
		ABSENT(c, "separate metadata: see compare_with_md");
	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, 4, 4), "write");
	got = IO(c, nvmux_ns_cmd_compare, c->a, c->base, 4, 0);
	if (got == -EOPNOTSUPP)
		raw = conform_raw(c, nvme_cmd_compare, cdw, c->a, c->block_buf);
	if (!conform_offered(c, claimed, got, raw))
		return;
	CHECK(c, nvmux_ns_supports_compare(c->ns) == claimed, "nvmux_ns_supports_compare()");
	c->a[c->block_buf * 3 + 17] ^= 1;
	EXPECT(c, IO(c, nvmux_ns_cmd_compare, c->a, c->base, 4, 0), NVME_SC_COMPARE_FAILED | 0x200,
	       "one bit differs");
	OK(c, conform_holds(c, c->base, 4, c->base, 4), "the data is as it was");
	EXPECT(c, IO(c, nvmux_ns_cmd_compare, c->a, nvmux_ns_get_num_sectors(c->ns), 1, 0), -EINVAL,
	       "a range beyond the end");
}

static void fill_md(struct conform *c, uint8_t *md, uint32_t n, uint8_t seed)
{
	for (uint32_t i = 0; i < n * c->md_size; i++)
		md[i] = (uint8_t)(seed + i * 7);
}

static void test_with_md(struct conform *c)
{
	uint32_t n = 8;

	if (!c->md_separate)
		ABSENT(c, "the format has no separate metadata");
	OK(c, conform_clean(c), "clean");
	conform_pattern(c, c->a, c->base, n, 5);
	fill_md(c, c->md_a, n, 9);
	OK(c, IO(c, nvmux_ns_cmd_write_with_md, c->a, c->md_a, c->base, n, 0, 0, 0), "write");
	memset(c->md_b, 0, CONFORM_PAGE);
	OK(c, IO(c, nvmux_ns_cmd_read_with_md, c->b, c->md_b, c->base, n, 0, 0, 0), "read");
	CHECK(c, !memcmp(c->a, c->b, (size_t)n * c->block), "the data differs");
	CHECK(c, !memcmp(c->md_a, c->md_b, (size_t)n * c->md_size), "the metadata differs");
	OK(c, IO(c, nvmux_ns_cmd_read_with_md, c->b, c->md_b, c->base + 3, 1, 0, 0, 0),
	   "read of one");
	CHECK(c, !memcmp(c->md_a + (size_t)3 * c->md_size, c->md_b, c->md_size),
	      "the metadata of one block");
	EXPECT(c, IO(c, nvmux_ns_cmd_read_with_md, c->b, c->md_b + 1, c->base, 1, 0, 0, 0), -EINVAL,
	       "metadata that isn't aligned");
}

static void test_compare_with_md(struct conform *c)
{
	int got;

	if (!c->md_separate)
		ABSENT(c, "the format has no separate metadata");
	OK(c, conform_clean(c), "clean");
	conform_pattern(c, c->a, c->base, 4, 6);
	fill_md(c, c->md_a, 4, 3);
	OK(c, IO(c, nvmux_ns_cmd_write_with_md, c->a, c->md_a, c->base, 4, 0, 0, 0), "write");
	got = IO(c, nvmux_ns_cmd_compare_with_md, c->a, c->md_a, c->base, 4, 0, 0, 0);
	if (!conform_offered(c, oncs(c) & NVME_CTRL_ONCS_COMPARE, got, -1))
		return;
	/* Protection information isn't compared with a byte-wise rule by every controller. */
	if (c->pi == NVMUX_PI_NONE) {
		c->md_a[c->md_size * 2] ^= 1;
		EXPECT(c, IO(c, nvmux_ns_cmd_compare_with_md, c->a, c->md_a, c->base, 4, 0, 0, 0),
		       NVME_SC_COMPARE_FAILED | 0x200, "metadata differs");
		c->md_a[c->md_size * 2] ^= 1;
	}
	c->a[5] ^= 1;
	EXPECT(c, IO(c, nvmux_ns_cmd_compare_with_md, c->a, c->md_a, c->base, 4, 0, 0, 0),
	       NVME_SC_COMPARE_FAILED | 0x200, "data differs");
}

/* Many at once: each callback once, each block its own data. */
static void test_parallel(struct conform *c)
{
	struct conform_wait waits[16] = {0};
	uint32_t n = nvmux_qpair_get_depth(c->qpair), left;

	n = n > CONFORM_COUNT(waits) ? CONFORM_COUNT(waits) : n;
	if (c->md_separate)
		ABSENT(c, "separate metadata");
	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, n, 7), "write");
	memset(c->b, 0, (size_t)n * c->block_buf);
	for (uint32_t i = 0; i < n; i++)
		OK(c,
		   nvmux_ns_cmd_read(c->ns, c->qpair, c->b + (size_t)i * c->block_buf, c->base + i,
				     1, 0, conform_done, &waits[i]),
		   "submission");
	for (uint32_t tries = 0; tries < 10000; tries++) {
		left = 0;
		conform_poll(c, 0);
		for (uint32_t i = 0; i < n; i++)
			left += !waits[i].calls;
		if (!left)
			break;
	}
	for (uint32_t i = 0; i < n; i++)
		CHECK(c, waits[i].calls == 1 && !waits[i].status, "read %u: %u calls, status %xh",
		      i, waits[i].calls, waits[i].status);
	CHECK(c, !memcmp(c->a, c->b, (size_t)n * c->block_buf), "the data differs");
	CHECK(c, nvmux_qpair_get_num_outstanding(c->qpair) == 0, "commands are left");
}

const struct conform_test conform_tests_data[] = {
	{"write", test_write, true, false},
	{"read", test_read, false, false},
	{"read, write: split", test_large, true, false},
	{"read: many at once", test_parallel, true, false},
	{"compare", test_compare, true, false},
	{"read_with_md, write_with_md", test_with_md, true, false},
	{"compare_with_md", test_compare_with_md, true, false},
	{0},
};
