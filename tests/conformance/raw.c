// SPDX-License-Identifier: BSD-3-Clause
/* Raw commands do what the helpers do. */
#include "conform.h"

static void test_io_raw(struct conform *c)
{
	uint32_t cdw[6] = {(uint32_t)c->base, (uint32_t)(c->base >> 32), 3};
	uint32_t over[6] = {0, 0, 0};
	uint64_t end = nvmux_ns_get_num_sectors(c->ns);
	int got;

	if (c->md_separate)
		ABSENT(c, "separate metadata: see io_raw_with_md");
	OK(c, conform_clean(c), "clean");
	conform_pattern(c, c->a, c->base, 4, 90);
	OK(c, conform_raw(c, nvme_cmd_write, cdw, c->a, 4 * c->block_buf), "a raw write");
	OK(c, conform_holds(c, c->base, 4, c->base, 90), "the helper reads what raw wrote");
	memset(c->b, 0, (size_t)4 * c->block_buf);
	OK(c, conform_raw(c, nvme_cmd_read, cdw, c->b, 4 * c->block_buf), "a raw read");
	CHECK(c, !memcmp(c->a, c->b, (size_t)4 * c->block_buf), "raw reads what the helper wrote");
	over[0] = (uint32_t)end;
	over[1] = (uint32_t)(end >> 32);
	got = conform_raw(c, nvme_cmd_read, over, c->b, c->block_buf);
	if (got == NVME_SC_INTERNAL)
		conform_disagrees(c, "Internal Error for a read beyond the end, not LBA Out of "
				     "Range");
	else
		EXPECT(c, got, NVME_SC_LBA_RANGE, "a raw read beyond the end");
	cdw[2] = 0;
	EXPECT(c, conform_raw(c, 0x70, cdw, NULL, 0), NVME_SC_INVALID_OPCODE,
	       "an opcode that isn't there");
}

static struct nvmux_cmd rw(const struct conform *c, uint8_t opc, uint32_t n)
{
	return (struct nvmux_cmd){.opc = opc,
				  .nsid = htole32(c->nsid),
				  .cdw10 = htole32((uint32_t)c->base),
				  .cdw11 = htole32((uint32_t)(c->base >> 32)),
				  .cdw12 = htole32(n - 1)};
}

static int raw_md(struct conform *c, uint8_t opc, void *buf, void *md, uint32_t n)
{
	struct nvmux_cmd cmd = rw(c, opc, n);

	return conform_io(c, nvmux_ctrlr_cmd_io_raw_with_md(
				     c->ctrlr, c->qpair, &cmd, buf, n * c->block_buf, md,
				     md ? n * c->md_size : 0, conform_done, conform_begin(c)));
}

static void test_io_raw_with_md(struct conform *c)
{
	void *md_a = c->md_separate ? c->md_a : NULL, *md_b = c->md_separate ? c->md_b : NULL;

	OK(c, conform_clean(c), "clean");
	conform_pattern(c, c->a, c->base, 4, 91);
	memset(c->md_a, 0x77, CONFORM_PAGE);
	memset(c->md_b, 0, CONFORM_PAGE);
	OK(c, raw_md(c, nvme_cmd_write, c->a, md_a, 4), "write");
	OK(c, raw_md(c, nvme_cmd_read, c->b, md_b, 4), "read");
	CHECK(c, !memcmp(c->a, c->b, (size_t)4 * c->block_buf), "the data differs");
	if (c->md_separate)
		CHECK(c, !memcmp(c->md_a, c->md_b, (size_t)4 * c->md_size), "the metadata differs");
	OK(c, conform_holds(c, c->base, 4, c->base, 91), "the helper reads the same");
}

static void test_iov_raw(struct conform *c)
{
	uint32_t n = 2 * CONFORM_PAGE / c->block_buf ? 2 * CONFORM_PAGE / c->block_buf : 1;
	struct nvmux_cmd cmd;
	size_t len;
	struct iovec iov[2];

	if (c->md_separate)
		ABSENT(c, "separate metadata");
	len = (size_t)n * c->block_buf;
	cmd = rw(c, nvme_cmd_read, n);
	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, n, 92), "write");
	memset(c->b, 0, CONFORM_PAGE * 8);
	iov[0] = (struct iovec){c->b, len > CONFORM_PAGE ? CONFORM_PAGE : len};
	iov[1] = (struct iovec){c->b + 4 * (size_t)CONFORM_PAGE, len - iov[0].iov_len};
	if (nvmux_ctrlr_get_max_sges(c->ctrlr) < 2) {
		int got = conform_io(
			c, nvmux_ctrlr_cmd_iov_raw_with_md(c->ctrlr, c->qpair, &cmd, iov, 2, NULL,
							   0, conform_done, conform_begin(c)));

		CHECK(c, got < 0, "two pieces where one command takes one");
		iov[0].iov_len = len;
		OK(c,
		   conform_io(c, nvmux_ctrlr_cmd_iov_raw_with_md(c->ctrlr, c->qpair, &cmd, iov, 1,
								 NULL, 0, conform_done,
								 conform_begin(c))),
		   "read in one piece");
		CHECK(c, !memcmp(c->a, c->b, len), "the data differs");
		return;
	}
	OK(c,
	   conform_io(c, nvmux_ctrlr_cmd_iov_raw_with_md(c->ctrlr, c->qpair, &cmd, iov,
							 iov[1].iov_len ? 2 : 1, NULL, 0,
							 conform_done, conform_begin(c))),
	   "read in two pieces");
	CHECK(c, !memcmp(c->a, iov[0].iov_base, iov[0].iov_len), "the first piece differs");
	CHECK(c, !memcmp(c->a + iov[0].iov_len, iov[1].iov_base, iov[1].iov_len),
	      "the second piece differs");
}

static void test_admin_raw(struct conform *c)
{
	uint32_t cdw[6] = {NVME_IDENTIFY_CNS_CTRL};
	static uint8_t raw[CONFORM_PAGE], helper[CONFORM_PAGE];
	int got;

	OK(c, conform_admin_raw(c, nvme_admin_identify, 0, cdw, raw, sizeof(raw)), "Identify");
	OK(c, ADMIN(c, nvmux_ctrlr_cmd_identify, NVME_IDENTIFY_CNS_CTRL, 0, 0, 0, 0, helper),
	   "the helper");
	CHECK(c, !memcmp(raw, helper, sizeof(raw)), "raw and helper differ");
	CHECK(c, !memcmp(raw, c->id, sizeof(c->id->vid) + sizeof(c->id->ssvid) + 60),
	      "and differ from what was read at attach");
	EXPECT(c, conform_admin_raw(c, nvme_admin_async_event, 0, cdw, NULL, 0), -EBUSY,
	       "an event request");
	EXPECT(c, conform_admin_raw(c, nvme_admin_create_sq, 0, cdw, NULL, 0), -EBUSY,
	       "queue creation");
	got = conform_admin_raw(c, 0x70, 0, cdw, NULL, 0);
	CHECK(c, got == NVME_SC_INVALID_OPCODE || (c->daemon && got >= 0x700),
	      "an opcode that isn't there: %d", got);
}

const struct conform_test conform_tests_raw[] = {
	{"io_raw", test_io_raw, true, false},
	{"io_raw_with_md", test_io_raw_with_md, true, false},
	{"iov_raw_with_md", test_iov_raw, true, false},
	{"admin_raw", test_admin_raw, false, true},
	{0},
};
