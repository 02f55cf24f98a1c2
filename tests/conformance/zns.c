// SPDX-License-Identifier: BSD-3-Clause
/* Zoned namespaces: every transition of a zone's state, seen by the report. */
#include "conform.h"

#define BOUNDARY      0x1b8
#define FULL          0x1b9
#define INVALID_WRITE 0x1bc
#define TRANSITION    0x1bf

static bool is_zoned(struct conform *c)
{
	if (c->zoned)
		return true;
	c->checks++;
	if (IO(c, nvmux_zns_report_zones, c->small, CONFORM_PAGE, 0, 0, true) != -EOPNOTSUPP)
		conform_fail(c, "report_zones isn't refused on a namespace that isn't zoned");
	else
		conform_absent(c, "not zoned");
	return false;
}

/* One zone's descriptor, from a report that begins with it. */
static int descriptor(struct conform *c, uint64_t zslba, struct nvme_zns_desc *ret)
{
	struct nvme_zone_report *report = (void *)c->small;
	int err;

	memset(c->small, 0xa5, CONFORM_PAGE);
	err = IO(c, nvmux_zns_report_zones, c->small, CONFORM_PAGE, zslba, 0, true);
	if (!err)
		memcpy(ret, report->entries, sizeof(*ret));
	return err;
}

static bool state_is(struct conform *c, enum nvme_zns_zs want, uint32_t written, const char *when)
{
	struct nvme_zns_desc d;
	uint8_t state;

	if (!conform_expect(c, descriptor(c, c->base, &d), 0, "report"))
		return false;
	c->checks++;
	state = d.zs >> 4;
	if (state != want || le64toh(d.zslba) != c->base) {
		conform_fail(c, "%s: state %xh at block %" PRIu64 ", expected %xh at %" PRIu64,
			     when, state, (uint64_t)le64toh(d.zslba), want, c->base);
		return false;
	}
	if (want != NVME_ZNS_ZS_FULL && le64toh(d.wp) != c->base + written) {
		conform_fail(c, "%s: write pointer %" PRIu64 ", expected %" PRIu64, when,
			     (uint64_t)le64toh(d.wp), c->base + written);
		return false;
	}
	return true;
}

/*
 * What must fail with a status of zones, @want. A controller over a block device of its own may
 * know no more than that the device failed.
 */
static bool refused(struct conform *c, int got, int want, const char *what)
{
	if (got != NVME_SC_INTERNAL)
		return conform_expect(c, got, want, what);
	c->checks++;
	conform_disagrees(c, "%s: Internal Error, not %s", what,
			  nvmux_status_string((uint16_t)want));
	return true;
}

#define REFUSED(c, got, want, what)               \
	do {                                      \
		if (!refused(c, got, want, what)) \
			return;                   \
	} while (0)

#define STATE(c, want, written, when)                  \
	do {                                           \
		if (!state_is(c, want, written, when)) \
			return;                        \
	} while (0)

static void test_report(struct conform *c)
{
	struct nvme_zone_report *report = (void *)c->small;
	uint64_t zones, n, most = (CONFORM_PAGE - 64) / 64;

	if (!is_zoned(c))
		return;
	zones = nvmux_zns_ns_get_num_zones(c->ns);
	OK(c, IO(c, nvmux_zns_report_zones, c->small, CONFORM_PAGE, 0, 0, true), "partial");
	n = le64toh(report->nr_zones);
	CHECK(c, n == (zones < most ? zones : most), "%" PRIu64 " zones in a partial report", n);
	for (uint64_t i = 0; i < n; i++)
		CHECK(c,
		      le64toh(report->entries[i].zslba) ==
			      i * nvmux_zns_ns_get_zone_size_sectors(c->ns),
		      "where zone %" PRIu64 " begins", i);
	OK(c, IO(c, nvmux_zns_report_zones, c->small, CONFORM_PAGE, 0, 0, false), "not partial");
	CHECK(c, le64toh(report->nr_zones) == zones, "%" PRIu64 " zones in all",
	      (uint64_t)le64toh(report->nr_zones));
	OK(c, IO(c, nvmux_zns_report_zones, c->small, 64, 0, 0, false), "the header alone");
	EXPECT(c, IO(c, nvmux_zns_report_zones, c->small, 6, 0, 0, true), -EINVAL, "6 bytes");
	n = nvmux_ns_get_num_sectors(c->ns);
	CHECK(c, IO(c, nvmux_zns_report_zones, c->small, CONFORM_PAGE, n, 0, true) != 0,
	      "a report from beyond the end");
}

/* Opened and closed with nothing written. */
static void closed_empty(struct conform *c)
{
	struct nvme_zns_desc d;

	OK(c, IO(c, nvmux_zns_open_zone, c->base, false), "open");
	STATE(c, NVME_ZNS_ZS_EXPL_OPEN, 0, "after open");
	OK(c, IO(c, nvmux_zns_close_zone, c->base, false), "close");
	OK(c, descriptor(c, c->base, &d), "report");
	if (d.zs >> 4 == NVME_ZNS_ZS_EMPTY)
		conform_disagrees(c, "a zone that is closed with nothing written is empty, not "
				     "closed");
	else
		STATE(c, NVME_ZNS_ZS_CLOSED, 0, "after close");
}

static void test_states(struct conform *c)
{
	if (!is_zoned(c))
		return;
	OK(c, conform_clean(c), "reset");
	STATE(c, NVME_ZNS_ZS_EMPTY, 0, "after a reset");
	closed_empty(c);
	if (c->result != CONFORM_PASSED)
		return;
	OK(c, conform_put(c, c->base, 2, 80), "write");
	STATE(c, NVME_ZNS_ZS_IMPL_OPEN, 2, "after a write");
	OK(c, IO(c, nvmux_zns_close_zone, c->base, false), "close");
	STATE(c, NVME_ZNS_ZS_CLOSED, 2, "closed with data");
	OK(c, IO(c, nvmux_zns_open_zone, c->base, false), "open again");
	STATE(c, NVME_ZNS_ZS_EXPL_OPEN, 2, "opened again");
	OK(c, IO(c, nvmux_zns_finish_zone, c->base, false), "finish");
	STATE(c, NVME_ZNS_ZS_FULL, 0, "after finish");
	REFUSED(c, conform_put(c, c->base + 2, 1, 80), FULL, "a write to a full zone");
	REFUSED(c, IO(c, nvmux_zns_open_zone, c->base, false), TRANSITION, "open of a full zone");
	REFUSED(c, IO(c, nvmux_zns_close_zone, c->base, false), TRANSITION, "close of a full zone");
	OK(c, conform_holds(c, c->base, 2, c->base, 80), "the data");
	OK(c, IO(c, nvmux_zns_reset_zone, c->base, false), "reset");
	STATE(c, NVME_ZNS_ZS_EMPTY, 0, "after the last reset");
	REFUSED(c, IO(c, nvmux_zns_close_zone, c->base, false), TRANSITION,
		"close of an empty zone");
	REFUSED(c, IO(c, nvmux_zns_open_zone, c->base + 1, false), NVME_SC_INVALID_FIELD,
		"open of what isn't the start of a zone");
}

static void test_write_pointer(struct conform *c)
{
	if (!is_zoned(c))
		return;
	OK(c, conform_clean(c), "reset");
	OK(c, conform_put(c, c->base, 2, 81), "write");
	REFUSED(c, conform_put(c, c->base, 1, 82), INVALID_WRITE, "a write before the pointer");
	STATE(c, NVME_ZNS_ZS_IMPL_OPEN, 2, "after a write before the pointer");
	REFUSED(c, conform_put(c, c->base + 3, 1, 82), INVALID_WRITE, "a write behind the pointer");
	STATE(c, NVME_ZNS_ZS_IMPL_OPEN, 2, "after a write behind the pointer");
	OK(c, conform_put(c, c->base + 2, 1, 81), "a write at the pointer");
	OK(c, conform_holds(c, c->base, 3, c->base, 81), "what was written");
	STATE(c, NVME_ZNS_ZS_IMPL_OPEN, 3, "in the end");
}

static void test_append(struct conform *c)
{
	uint32_t limit = nvmux_zns_ctrlr_get_max_zone_append_size(c->ctrlr);
	struct iovec iov = {c->a, 2 * (size_t)c->block_buf};
	struct nvmux_io_ext ext = {.size = sizeof(ext), .md = c->md_separate ? c->md_a : NULL};
	uint32_t too_many;

	if (!is_zoned(c))
		return;
	OK(c, conform_clean(c), "reset");
	for (uint32_t i = 0; i < 3; i++) {
		conform_pattern(c, c->a, c->base + 2 * i, 2, 83);
		if (i == 0 && !c->md_separate)
			OK(c, IO(c, nvmux_zns_zone_append, c->a, c->base, 2, 0), "append");
		else if (i == 1)
			OK(c, IO(c, nvmux_zns_zone_appendv_iov, &iov, 1, c->base, 2, &ext),
			   "appendv_iov");
		else
			OK(c,
			   IO(c, nvmux_zns_zone_append_with_md, c->a, ext.md, c->base, 2, 0, 0, 0),
			   "append_with_md");
		CHECK(c, (c->wait.dw0 | (uint64_t)c->wait.dw1 << 32) == c->base + 2 * i,
		      "append %u began at %" PRIu64, i, c->wait.dw0 | (uint64_t)c->wait.dw1 << 32);
	}
	OK(c, conform_holds(c, c->base, 6, c->base, 83), "what was appended, in order");
	STATE(c, NVME_ZNS_ZS_IMPL_OPEN, 6, "in the end");
	CHECK(c, IO(c, nvmux_zns_zone_append_with_md, c->a, ext.md, c->base + 1, 1, 0, 0, 0) != 0,
	      "an append to what isn't the start of a zone");
	too_many = limit / c->block + 1;
	if (limit && (uint64_t)too_many * c->block_buf <= CONFORM_PART && too_many < c->area)
		EXPECT(c,
		       IO(c, nvmux_zns_zone_append_with_md, c->a, ext.md, c->base, too_many, 0, 0,
			  0),
		       -E2BIG, "more than the append limit");
	OK(c, IO(c, nvmux_zns_finish_zone, c->base, false), "finish");
	REFUSED(c, IO(c, nvmux_zns_zone_append_with_md, c->a, ext.md, c->base, 1, 0, 0, 0), FULL,
		"an append to a full zone");
}

static void test_select_all(struct conform *c)
{
	if (!is_zoned(c))
		return;
	OK(c, conform_clean(c), "reset");
	OK(c, conform_put(c, c->base, 1, 84), "write");
	OK(c, IO(c, nvmux_zns_close_zone, 0, true), "close all");
	STATE(c, NVME_ZNS_ZS_CLOSED, 1, "after close all");
	OK(c, IO(c, nvmux_zns_open_zone, 0, true), "open all");
	STATE(c, NVME_ZNS_ZS_EXPL_OPEN, 1, "after open all");
	OK(c, IO(c, nvmux_zns_finish_zone, 0, true), "finish all");
	STATE(c, NVME_ZNS_ZS_FULL, 0, "after finish all");
	OK(c, IO(c, nvmux_zns_reset_zone, 0, true), "reset all");
	STATE(c, NVME_ZNS_ZS_EMPTY, 0, "after reset all");
}

static void test_boundary(struct conform *c)
{
	uint64_t capacity;
	struct nvme_zns_desc d;
	int got;

	if (!is_zoned(c))
		return;
	OK(c, conform_clean(c), "reset");
	OK(c, descriptor(c, c->base, &d), "report");
	capacity = le64toh(d.zcap);
	if (capacity > 1u << 20 || capacity * c->block > 256u << 20)
		ABSENT(c, "a zone is too large to be filled here");
	for (uint64_t at = 0; at < capacity - 1;) {
		uint32_t n = nvmux_ns_get_max_io_xfer_size(c->ns) / c->block_buf;

		n = (size_t)n * c->block_buf > CONFORM_PART ? CONFORM_PART / c->block_buf : n;
		n = capacity - 1 - at < n ? (uint32_t)(capacity - 1 - at) : n;
		OK(c, conform_write(c, c->a, c->base + at, n), "fill the zone");
		at += n;
	}
	got = conform_write(c, c->a, c->base + capacity - 1, 2);
	if (!got) {
		conform_disagrees(c, "a write across a zone's end succeeds, where the next zone is "
				     "empty");
		OK(c, conform_clean(c), "reset");
		return;
	}
	REFUSED(c, got, BOUNDARY, "a write across the zone's end");
	OK(c, conform_write(c, c->a, c->base + capacity - 1, 1), "the last block");
	STATE(c, NVME_ZNS_ZS_FULL, 0, "with its last block");
	OK(c, conform_clean(c), "reset");
}

static void test_offline(struct conform *c)
{
	if (!is_zoned(c))
		return;
	OK(c, conform_clean(c), "reset");
	/* From no state that a host can bring about by itself. */
	REFUSED(c, IO(c, nvmux_zns_offline_zone, c->base, false), TRANSITION,
		"offline of an empty zone");
}

static void test_desc_ext(struct conform *c)
{
	const struct nvme_zns_id_ns *id;
	uint32_t len;
	int got;

	if (!is_zoned(c))
		return;
	id = nvmux_zns_ns_get_data(c->ns);
	CHECK(c, id, "no Identify data of the command set");
	len = id->lbafe[nvmux_ns_get_format_index(c->ns)].zdes * 64u;
	OK(c, conform_clean(c), "reset");
	if (!len) {
		got = IO(c, nvmux_zns_set_zone_desc_ext, c->base, c->small, 64);
		CHECK(c, got != 0, "it is accepted although ZDES is 0");
		ABSENT(c, "ZDES is 0");
	}
	memset(c->small, 0x5a, len);
	OK(c, IO(c, nvmux_zns_set_zone_desc_ext, c->base, c->small, len), "set");
	STATE(c, NVME_ZNS_ZS_CLOSED, 0, "with a descriptor extension");
	OK(c, IO(c, nvmux_zns_ext_report_zones, c->small, CONFORM_PAGE, c->base, 0, true),
	   "extended report");
	for (uint32_t i = 0; i < len; i++)
		CHECK(c, c->small[128 + i] == 0x5a, "byte %u of the extension", i);
	OK(c, conform_clean(c), "reset");
}

/* 0's based; FFFFFFFFh: no limit. */
static uint32_t limit_of(__le32 value)
{
	uint32_t n = le32toh(value);

	return n == UINT32_MAX ? n : n + 1;
}

static void test_data(struct conform *c)
{
	const struct nvme_zns_id_ns *id = nvmux_zns_ns_get_data(c->ns);

	if (!c->zoned) {
		CHECK(c, !id, "Identify data of a namespace that isn't zoned");
		CHECK(c, !nvmux_zns_ns_get_zone_size_sectors(c->ns), "a zone size");
		ABSENT(c, "not zoned");
	}
	CHECK(c, id && nvmux_ns_get_csi(c->ns) == NVME_CSI_ZNS, "no Identify data");
	CHECK(c,
	      nvmux_zns_ns_get_zone_size_sectors(c->ns) ==
		      le64toh(id->lbafe[nvmux_ns_get_format_index(c->ns)].zsze),
	      "the zone size isn't that of Identify");
	CHECK(c,
	      nvmux_zns_ns_get_zone_size(c->ns) ==
		      nvmux_zns_ns_get_zone_size_sectors(c->ns) * c->block,
	      "the zone size in bytes");
	CHECK(c,
	      nvmux_zns_ns_get_num_zones(c->ns) ==
		      nvmux_ns_get_num_sectors(c->ns) / nvmux_zns_ns_get_zone_size_sectors(c->ns),
	      "the number of zones");
	CHECK(c, nvmux_zns_ns_get_max_open_zones(c->ns) == limit_of(id->mor), "open zones");
	CHECK(c, nvmux_zns_ns_get_max_active_zones(c->ns) == limit_of(id->mar), "active zones");
}

const struct conform_test conform_tests_zns[] = {
	{"zns identify", test_data, false, true},
	{"zns report_zones", test_report, false, true},
	{"zns open, close, finish, reset", test_states, true, false},
	{"zns write pointer", test_write_pointer, true, false},
	{"zns append", test_append, true, false},
	{"zns zone boundary", test_boundary, true, false},
	{"zns offline", test_offline, true, false},
	{"zns set_zone_desc_ext", test_desc_ext, true, false},
	{"zns select all", test_select_all, true, false},
	{0},
};
