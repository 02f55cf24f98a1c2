// SPDX-License-Identifier: BSD-3-Clause
/* Commands on blocks that move no data of the host's: zeroes, hints, copies, fused. */
#include "conform.h"

#define READ_ERROR    0x281
#define COMPARE_ERROR 0x285

/* The raw form of a command that names blocks, for what the library refuses. */
static int raw_blocks(struct conform *c, uint8_t opc, uint32_t cdw12)
{
	uint32_t cdw[6] = {(uint32_t)c->base, (uint32_t)(c->base >> 32), cdw12};

	return conform_raw(c, opc, cdw, NULL, 0);
}

static void test_flush(struct conform *c)
{
	uint32_t cdw[6] = {0};

	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, 2, 40), "write");
	OK(c, IO(c, nvmux_ns_cmd_flush), "flush");
	OK(c, conform_raw(c, nvme_cmd_flush, cdw, NULL, 0), "flush sent raw");
	OK(c, conform_holds(c, c->base, 2, c->base, 40), "the data is as it was");
}

static void test_write_zeroes(struct conform *c)
{
	bool claimed = oncs(c) & NVME_CTRL_ONCS_WRITE_ZEROES;
	uint64_t at = c->base + (c->zoned ? 0 : 2);
	int got;

	OK(c, conform_clean(c), "clean");
	if (!c->zoned)
		OK(c, conform_put(c, c->base, 8, 41), "write");
	got = IO(c, nvmux_ns_cmd_write_zeroes, at, 4, 0);
	if (!conform_offered(c, claimed, got,
			     got == -EOPNOTSUPP ? raw_blocks(c, nvme_cmd_write_zeroes, 0) : -1))
		return;
	memset(c->b, 0xa5, (size_t)8 * c->block_buf);
	memset(c->a, 0, (size_t)4 * c->block_buf);
	OK(c, conform_read(c, c->b, at, 4), "read");
	for (uint32_t i = 0; i < 4; i++)
		CHECK(c, !memcmp(c->a, c->b + (size_t)i * c->block_buf, c->block),
		      "block %u isn't zero", i);
	if (!c->zoned) {
		OK(c, conform_holds(c, c->base, 2, c->base, 41), "the blocks before");
		OK(c, conform_holds(c, c->base + 6, 2, c->base + 6, 41), "the blocks behind");
		OK(c, IO(c, nvmux_ns_cmd_write_zeroes, at, 4, NVMUX_IO_DEALLOCATE), "with DEAC");
		/* More blocks than one command can name are split. */
		if (c->area > 70000)
			OK(c, IO(c, nvmux_ns_cmd_write_zeroes, c->base, 70000, 0), "70000 blocks");
	}
	EXPECT(c, IO(c, nvmux_ns_cmd_write_zeroes, nvmux_ns_get_num_sectors(c->ns), 1, 0), -EINVAL,
	       "beyond the end");
	EXPECT(c, IO(c, nvmux_ns_cmd_write_zeroes, at, 0, 0), -EINVAL, "0 blocks");
}

static void test_verify(struct conform *c)
{
	int got;

	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, 4, 42), "write");
	got = IO(c, nvmux_ns_cmd_verify, c->base, 4, 0);
	if (!conform_offered(c, oncs(c) & NVME_CTRL_ONCS_VERIFY, got,
			     got == -EOPNOTSUPP ? raw_blocks(c, nvme_cmd_verify, 0) : -1))
		return;
	EXPECT(c, IO(c, nvmux_ns_cmd_verify, nvmux_ns_get_num_sectors(c->ns), 1, 0), -EINVAL,
	       "beyond the end");
}

static void test_write_uncorrectable(struct conform *c)
{
	bool claimed = oncs(c) & NVME_CTRL_ONCS_WRITE_UNCORRECTABLE;
	uint64_t at = c->base + (c->zoned ? 8 : 3); /* zoned: at the write pointer */
	int got;

	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, 8, 43), "write");
	got = IO(c, nvmux_ns_cmd_write_uncorrectable, at, 2);
	if (!conform_offered(c, claimed, got,
			     got == -EOPNOTSUPP ? raw_blocks(c, nvme_cmd_write_uncor, 0) : -1))
		return;
	CHECK(c, nvmux_ns_supports_write_uncorrectable(c->ns) == claimed,
	      "nvmux_ns_supports_write_uncorrectable()");
	EXPECT(c, conform_read(c, c->b, at, 1), READ_ERROR, "a read of the first");
	EXPECT(c, conform_read(c, c->b, c->base, 10), READ_ERROR, "a read of more than those");
	OK(c, conform_holds(c, c->base, 3, c->base, 43), "the blocks before");
	if (oncs(c) & NVME_CTRL_ONCS_VERIFY)
		EXPECT(c, IO(c, nvmux_ns_cmd_verify, c->base, 10, 0), READ_ERROR, "verify");
	if (c->zoned)
		return;
	OK(c, conform_holds(c, c->base + 5, 3, c->base + 5, 43), "the blocks behind");
	OK(c, conform_put(c, c->base + 3, 2, 44), "a write over them");
	OK(c, conform_holds(c, c->base + 3, 2, c->base + 3, 44), "read once written");
}

static void test_dsm(struct conform *c)
{
	struct nvmux_dsm_range ranges[NVMUX_DSM_RANGES_MAX] = {0};
	uint32_t n = c->area / 4 < NVMUX_DSM_RANGES_MAX ? c->area / 4 : NVMUX_DSM_RANGES_MAX;
	uint32_t cdw[6] = {0, NVMUX_DSM_DEALLOCATE};
	int got, raw = -1;

	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, 8, 45), "write");
	ranges[0].lba = htole64(c->base + 2);
	ranges[0].lba_count = htole32(2);
	got = IO(c, nvmux_ns_cmd_dataset_management, NVMUX_DSM_DEALLOCATE, ranges, 1);
	if (got == -EOPNOTSUPP) {
		memcpy(c->small, ranges, sizeof(ranges[0]));
		raw = conform_raw(c, nvme_cmd_dsm, cdw, c->small, CONFORM_PAGE);
	}
	if (!conform_offered(c, oncs(c) & NVME_CTRL_ONCS_DSM, got, raw))
		return;
	OK(c, conform_holds(c, c->base + 4, 4, c->base + 4, 45), "the blocks behind");
	OK(c,
	   IO(c, nvmux_ns_cmd_dataset_management,
	      NVMUX_DSM_INTEGRAL_READ | NVMUX_DSM_INTEGRAL_WRITE, ranges, 1),
	   "hints");
	for (uint32_t i = 0; i < n; i++) {
		ranges[i].lba = htole64(c->base + 4 * i);
		ranges[i].lba_count = htole32(1);
	}
	got = nvmux_ns_cmd_dataset_management(c->ns, c->qpair, NVMUX_DSM_DEALLOCATE, ranges, n,
					      conform_done, conform_begin(c));
	memset(ranges, 0xff, sizeof(ranges)); /* it has copied them */
	OK(c, conform_io(c, got), "many ranges, whose array has changed since");
	EXPECT(c, IO(c, nvmux_ns_cmd_dataset_management, NVMUX_DSM_DEALLOCATE, ranges, 0), -EINVAL,
	       "no range");
	EXPECT(c,
	       IO(c, nvmux_ns_cmd_dataset_management, NVMUX_DSM_DEALLOCATE, ranges,
		  NVMUX_DSM_RANGES_MAX + 1),
	       -EINVAL, "257 ranges");
}

static void copy_range(struct nvmux_copy_range *range, uint64_t lba, uint16_t n)
{
	*range = (struct nvmux_copy_range){.lba = htole64(lba),
					   .lba_count = htole16((uint16_t)(n - 1))};
}

static void test_copy(struct conform *c)
{
	struct nvmux_copy_range ranges[2];
	uint32_t cdw[6] = {(uint32_t)c->other, (uint32_t)(c->other >> 32), 1};
	int got, raw = -1;

	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, 16, 46), "write");
	copy_range(&ranges[0], c->base + 8, 4);
	copy_range(&ranges[1], c->base + 1, 3);
	got = IO(c, nvmux_ns_cmd_copy, ranges, 2, c->other, 0);
	if (got == -EOPNOTSUPP) {
		memcpy(c->small, ranges, sizeof(ranges));
		raw = conform_raw(c, nvme_cmd_copy, cdw, c->small, CONFORM_PAGE);
	}
	if (!conform_offered(c, oncs(c) & NVME_CTRL_ONCS_COPY, got, raw))
		return;
	OK(c, conform_holds(c, c->other, 4, c->base + 8, 46), "the first source at its place");
	OK(c, conform_holds(c, c->other + 4, 3, c->base + 1, 46), "the second behind it");
	OK(c, conform_holds(c, c->base, 16, c->base, 46), "the sources as they were");
	if (c->zoned)
		return;
	copy_range(&ranges[0], nvmux_ns_get_num_sectors(c->ns), 1);
	got = IO(c, nvmux_ns_cmd_copy, ranges, 1, c->other, 0);
	CHECK(c, got == -EINVAL || got == NVME_SC_LBA_RANGE, "a source beyond the end: %d", got);
	copy_range(&ranges[0], c->base, 1);
	got = IO(c, nvmux_ns_cmd_copy, ranges, 1, nvmux_ns_get_num_sectors(c->ns), 0);
	CHECK(c, got == -EINVAL || got == NVME_SC_LBA_RANGE, "a target beyond the end: %d", got);
	EXPECT(c, IO(c, nvmux_ns_cmd_copy, ranges, 0, c->other, 0), -EINVAL, "no source");
}

/* Both commands sent raw, one after the other, for what the library refuses. */
static int raw_fused(struct conform *c)
{
	struct conform_wait first = {0};
	struct nvmux_cmd cmd = {.opc = nvme_cmd_compare,
				.flags = 1,
				.nsid = htole32(c->nsid),
				.cdw10 = htole32((uint32_t)c->base),
				.cdw11 = htole32((uint32_t)(c->base >> 32))};
	int err = nvmux_ctrlr_cmd_io_raw(c->ctrlr, c->qpair, &cmd, c->a, c->block_buf, conform_done,
					 &first);

	if (err)
		return err;
	cmd.opc = nvme_cmd_write;
	cmd.flags = 2;
	err = nvmux_ctrlr_cmd_io_raw(c->ctrlr, c->qpair, &cmd, c->b, c->block_buf, conform_done,
				     conform_begin(c));
	err = conform_io(c, err);
	for (uint32_t i = 0; i < 1000 && !first.calls; i++)
		conform_poll(c, 0);
	return err ? err : first.status;
}

static void test_fused(struct conform *c)
{
	bool claimed = le16toh(c->id->fuses) & NVME_CTRL_FUSES_COMPARE_AND_WRITE;
	uint32_t limit = nvmux_ns_get_max_io_xfer_size(c->ns) / c->block;
	int got, raw = -1;

	if (c->md_separate || c->zoned)
		ABSENT(c, "%s", c->zoned ? "zoned" : "separate metadata");
	OK(c, conform_put(c, c->base, 2, 47), "write");
	conform_pattern(c, c->b, c->base, 2, 48);
	got = IO(c, nvmux_ns_cmd_compare_and_write, c->a, c->b, c->base, 1, 0);
	if (got == -EOPNOTSUPP)
		raw = raw_fused(c);
	if (!conform_offered(c, claimed, got, raw))
		return;
	OK(c, conform_holds(c, c->base, 1, c->base, 48), "written where it was equal");
	OK(c, conform_holds(c, c->base + 1, 1, c->base + 1, 47), "its neighbour");
	conform_pattern(c, c->a, c->base, 1, 49);
	conform_pattern(c, c->b, c->base, 1, 50);
	EXPECT(c, IO(c, nvmux_ns_cmd_compare_and_write, c->a, c->b, c->base, 1, 0), COMPARE_ERROR,
	       "where it differs");
	OK(c, conform_holds(c, c->base, 1, c->base, 48), "nothing written where it differed");
	conform_pattern(c, c->a, c->base, 1, 48);
	conform_pattern(c, c->b, c->base, 1, 51);
	OK(c, raw_fused(c), "the two sent raw");
	OK(c, conform_holds(c, c->base, 1, c->base, 51), "written by the raw ones");
	if (limit < c->area && (size_t)(limit + 1) * c->block_buf <= CONFORM_PART)
		EXPECT(c, IO(c, nvmux_ns_cmd_compare_and_write, c->a, c->b, c->base, limit + 1, 0),
		       -E2BIG, "more than one command moves");
}

const struct conform_test conform_tests_blocks[] = {
	{"flush", test_flush, true, false},
	{"write_zeroes", test_write_zeroes, true, false},
	{"verify", test_verify, true, false},
	{"write_uncorrectable", test_write_uncorrectable, true, false},
	{"dataset_management", test_dsm, true, false},
	{"copy", test_copy, true, false},
	{"compare_and_write (fused)", test_fused, true, false},
	{0},
};
