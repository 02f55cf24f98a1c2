// SPDX-License-Identifier: BSD-3-Clause
/*
 * The check of a client's command: each rule by a case of its own, the edges of the arithmetic, and
 * random commands against a second implementation that is written in another way.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/plain.h"
#include "daemon/reactor.h"
#include "tests/rng.h"

#define N_REGIONS 5
#define DNR       NVMUX_STATUS_DNR
#define PRACT     (1u << 29)

static struct nvmux_mem mems[N_REGIONS];

/* 1: plain 4 KiB; 2: read-only 512; 3: interleaved metadata; 5: separate metadata; 6, 7: nothing
 * but protection information, interleaved and separate; 8: more than that; 9: huge, 4 KiB; 11:
 * zoned; 12: zoned and read-only
 */
static const struct ns_view namespaces[] = {
	{.nsid = 1, .lba_shift = 12, .writable = true, .n_lbas = 1000},
	{.nsid = 2, .lba_shift = 9, .writable = false, .n_lbas = 1u << 20},
	{.nsid = 3,
	 .lba_shift = 9,
	 .md_size = 8,
	 .md_interleaved = 1,
	 .writable = true,
	 .n_lbas = 1u << 20},
	{.nsid = 5, .lba_shift = 12, .md_size = 64, .writable = true, .n_lbas = 1u << 20},
	{.nsid = 6,
	 .lba_shift = 9,
	 .md_size = 8,
	 .md_interleaved = 1,
	 .pi = 1,
	 .writable = true,
	 .n_lbas = 1u << 20},
	{.nsid = 7, .lba_shift = 9, .md_size = 8, .pi = 3, .writable = true, .n_lbas = 1u << 20},
	{.nsid = 8, .lba_shift = 12, .md_size = 16, .pi = 1, .writable = true, .n_lbas = 1u << 20},
	{.nsid = 9, .lba_shift = 12, .writable = true, .n_lbas = UINT64_MAX},
	{.nsid = 11,
	 .lba_shift = 12,
	 .writable = true,
	 .zdes = 2,
	 .n_lbas = 4096,
	 .zone_lbas = 1024},
	{.nsid = 12, .lba_shift = 12, .n_lbas = 4096, .zone_lbas = 1024},
};

static const uint64_t bases[N_REGIONS] = {1ull << 32, 2ull << 32, 3ull << 32, 5ull << 40};
static const struct region_view regions[N_REGIONS] = {
	{.mem = &mems[0], .size = 1 << 20, .base = 1ull << 32},
	{.mem = NULL},
	{.mem = &mems[2], .size = 8192, .base = 3ull << 32},
	{.mem = &mems[3], .size = 1ull << 40, .base = 5ull << 40},
	{.mem = NULL, .base = 7ull << 32},
};

static struct ctrlr_view *make_view(bool admin, bool reservations)
{
	struct ctrlr_view *view = calloc(1, sizeof(*view) + sizeof(namespaces));

	assert_non_null(view);
	view->max_transfer = 128 << 10;
	view->admin = admin;
	view->reservations = reservations;
	view->separate_md = true;
	view->n_ns = ARRAY_SIZE(namespaces);
	memcpy(view->ns, namespaces, sizeof(namespaces));
	ctrlr_view_index(view);
	return view;
}

enum right {
	USER,
	ADMIN,
	RESERVATIONS,
};

struct check_case {
	const char *name;
	enum right right;
	uint8_t opc;
	uint8_t flags;
	uint32_t nsid;
	uint64_t lba; /* cdw10, cdw11 */
	uint32_t cdw12;
	uint32_t region;
	uint64_t offset;
	uint32_t len;
	uint32_t md_region;
	uint64_t md_offset;
	uint32_t md_len;
	uint16_t status;
	uint32_t seg_len;
	uint32_t md_seg_len;
};

#define RD  nvme_cmd_read
#define WR  nvme_cmd_write
#define CMP nvme_cmd_compare

static const struct check_case cases[] = {
	/* name, right, opc, flags, nsid, lba, cdw12, region, offset, len, md…, status, lengths */
	{"read", USER, RD, 0, 1, 0, 0, 0, 0, 4096, 0, 0, 0, 0, 4096, 0},
	{"read, phase bit set", USER, RD, 0x80, 1, 0, 0, 0, 0, 4096, 0, 0, 0, 0, 4096, 0},
	{"read, larger buffer", USER, RD, 0, 1, 0, 0, 0, 0, 65536, 0, 0, 0, 0, 4096, 0},
	{"read, last block", USER, RD, 0, 1, 999, 0, 0, 0, 4096, 0, 0, 0, 0, 4096, 0},
	{"read, as long as allowed", USER, RD, 0, 1, 0, 31, 0, 0, 131072, 0, 0, 0, 0, 131072, 0},
	{"read, end of region", USER, RD, 0, 1, 0, 0, 2, 4096, 4096, 0, 0, 0, 0, 4096, 0},
	{"read, offset beyond 32 bits", USER, RD, 0, 1, 0, 0, 3, (1ull << 40) - 4096, 4096, 0, 0, 0,
	 0, 4096, 0},
	{"write", USER, WR, 0, 1, 5, 1, 0, 8, 8192, 0, 0, 0, 0, 8192, 0},
	{"compare", USER, CMP, 0, 2, 5, 1, 0, 0, 1024, 0, 0, 0, 0, 1024, 0},
	{"flags in cdw12 aren't blocks", USER, RD, 0, 1, 0, 0xffff0000, 0, 0, 4096, 0, 0, 0, 0,
	 4096, 0},

	{"flush", USER, nvme_cmd_flush, 0, 1, ~0ull, ~0u, 7, 1, 99, 0, 0, 0, 0, 0, 0},
	{"flush, read-only", USER, nvme_cmd_flush, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	{"flush, all namespaces", USER, nvme_cmd_flush, 0, ~0u, 0, 0, 0, 0, 0, 0, 0, 0,
	 NVME_SC_INVALID_NS, 0, 0},
	{"write zeroes", USER, nvme_cmd_write_zeroes, 0, 9, 5, 0xffff, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	{"write zeroes, read-only", USER, nvme_cmd_write_zeroes, 0, 2, 5, 7, 0, 0, 0, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},
	{"write zeroes, out of range", USER, nvme_cmd_write_zeroes, 0, 1, 999, 1, 0, 0, 0, 0, 0, 0,
	 NVME_SC_LBA_RANGE, 0, 0},
	{"write uncorrectable", USER, nvme_cmd_write_uncor, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	{"write uncorrectable, read-only", USER, nvme_cmd_write_uncor, 0, 2, 0, 7, 0, 0, 0, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},
	{"verify", USER, nvme_cmd_verify, 0, 2, 0, 0xffff, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	{"verify, out of range", USER, nvme_cmd_verify, 0, 1, 0, 1000, 0, 0, 0, 0, 0, 0,
	 NVME_SC_LBA_RANGE, 0, 0},
	{"deallocate", USER, nvme_cmd_dsm, 0, 1, 255, 0, 0, 0, 4096, 0, 0, 0, 0, 4096, 0},
	{"deallocate, one range", USER, nvme_cmd_dsm, 0, 1, 0xffffff00, 0, 0, 0, 16, 0, 0, 0, 0, 16,
	 0},
	{"deallocate, short", USER, nvme_cmd_dsm, 0, 1, 1, 0, 0, 0, 31, 0, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"deallocate, read-only", USER, nvme_cmd_dsm, 0, 2, 0, 0, 0, 0, 16, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},

	{"interleaved metadata", USER, RD, 0, 3, 0, 7, 0, 0, 8 * 520, 0, 0, 0, 0, 8 * 520, 0},
	{"interleaved metadata, short", USER, RD, 0, 3, 0, 7, 0, 0, 8 * 520 - 1, 0, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"interleaved metadata counts for the limit", USER, RD, 0, 3, 0, 255, 0, 0, 256 * 520, 0, 0,
	 0, NVMUX_SC_LENGTH_LIMIT, 0, 0},
	{"separate metadata", USER, WR, 0, 5, 0, 1, 0, 0, 8192, 2, 8192 - 128, 128, 0, 8192, 128},
	{"separate metadata, none given", USER, WR, 0, 5, 0, 1, 0, 0, 8192, 2, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"separate metadata, short", USER, WR, 0, 5, 0, 1, 0, 0, 8192, 2, 0, 127,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"separate metadata, no such region", USER, WR, 0, 5, 0, 1, 0, 0, 8192, 1, 0, 128,
	 NVMUX_SC_REGION_UNKNOWN, 0, 0},
	{"separate metadata, over the end", USER, WR, 0, 5, 0, 1, 0, 0, 8192, 2, 8192 - 124, 128,
	 NVMUX_SC_REGION_RANGE, 0, 0},
	{"separate metadata, unaligned", USER, WR, 0, 5, 0, 1, 0, 0, 8192, 2, 2, 128,
	 NVMUX_SC_REGION_ALIGN, 0, 0},
	{"PRACT, interleaved, read", USER, RD, 0, 6, 0, 7 | PRACT, 0, 0, 4096, 0, 0, 0, 0, 4096, 0},
	{"PRACT, interleaved, write", USER, WR, 0, 6, 0, 7 | PRACT, 0, 0, 4096, 0, 0, 0, 0, 4096,
	 0},
	{"PRACT, interleaved, compare", USER, CMP, 0, 6, 0, 7 | PRACT, 0, 0, 4096, 0, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"no PRACT, interleaved", USER, RD, 0, 6, 0, 7, 0, 0, 4096, 0, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"PRACT without protection", USER, RD, 0, 3, 0, 7 | PRACT, 0, 0, 4096, 0, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"PRACT, separate", USER, WR, 0, 7, 0, 7 | PRACT, 0, 0, 4096, 9, 1, 2, 0, 4096, 0},
	{"no PRACT, separate", USER, WR, 0, 7, 0, 7, 0, 0, 4096, 2, 0, 64, 0, 4096, 64},
	{"no PRACT, separate, short", USER, WR, 0, 7, 0, 7, 0, 0, 4096, 2, 0, 63,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"PRACT, more metadata than that", USER, RD, 0, 8, 0, PRACT, 0, 0, 4096, 2, 0, 16, 0, 4096,
	 16},
	{"PRACT, more metadata, short", USER, RD, 0, 8, 0, PRACT, 0, 0, 4096, 2, 0, 8,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"metadata that the format hasn't", USER, WR, 0, 1, 0, 0, 0, 0, 4096, 77, 3, 5, 0, 4096, 0},

	{"namespace 0", USER, RD, 0, 0, 0, 0, 0, 0, 4096, 0, 0, 0, NVME_SC_INVALID_NS, 0, 0},
	{"namespace of nobody", USER, RD, 0, 4, 0, 0, 0, 0, 4096, 0, 0, 0, NVME_SC_INVALID_NS, 0,
	 0},
	{"namespace after the last", USER, RD, 0, 13, 0, 0, 0, 0, 4096, 0, 0, 0, NVME_SC_INVALID_NS,
	 0, 0},
	{"all namespaces", USER, RD, 0, ~0u, 0, 0, 0, 0, 4096, 0, 0, 0, NVME_SC_INVALID_NS, 0, 0},
	{"all namespaces, admin", ADMIN, 0x90, 0, ~0u, 0, 0, 0, 0, 0, 0, 0, 0, NVME_SC_INVALID_NS,
	 0, 0},
	{"namespace by search", USER, RD, 0, 9, UINT64_MAX - 1, 0, 0, 0, 4096, 0, 0, 0, 0, 4096, 0},
	{"write, read-only", USER, WR, 0, 2, 0, 0, 0, 0, 512, 0, 0, 0, NVMUX_SC_ACCESS_DENIED, 0,
	 0},

	{"block after the last", USER, RD, 0, 1, 1000, 0, 0, 0, 4096, 0, 0, 0, NVME_SC_LBA_RANGE, 0,
	 0},
	{"over the end", USER, RD, 0, 1, 999, 1, 0, 0, 8192, 0, 0, 0, NVME_SC_LBA_RANGE, 0, 0},
	{"sum overflows", USER, RD, 0, 9, UINT64_MAX - 1, 1, 0, 0, 8192, 0, 0, 0, NVME_SC_LBA_RANGE,
	 0, 0},
	{"sum overflows to a small block", USER, RD, 0, 9, UINT64_MAX - 3, 9, 0, 0, 65536, 0, 0, 0,
	 NVME_SC_LBA_RANGE, 0, 0},
	{"largest block", USER, RD, 0, 1, UINT64_MAX, 0xffff, 0, 0, 4096, 0, 0, 0,
	 NVME_SC_LBA_RANGE, 0, 0},

	{"over the transfer limit", USER, RD, 0, 1, 0, 32, 0, 0, 33 * 4096, 0, 0, 0,
	 NVMUX_SC_LENGTH_LIMIT, 0, 0},
	{"65536 blocks", USER, RD, 0, 9, 0, 0xffff, 3, 0, 1u << 28, 0, 0, 0, NVMUX_SC_LENGTH_LIMIT,
	 0, 0},
	{"buffer too short", USER, RD, 0, 1, 0, 0, 0, 0, 4095, 0, 0, 0, NVMUX_SC_LENGTH_MISMATCH, 0,
	 0},
	{"no buffer", USER, RD, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"region of nobody", USER, RD, 0, 1, 0, 0, 1, 0, 4096, 0, 0, 0, NVMUX_SC_REGION_UNKNOWN, 0,
	 0},
	{"forgotten region", USER, RD, 0, 1, 0, 0, 4, 0, 4096, 0, 0, 0, NVMUX_SC_REGION_UNKNOWN, 0,
	 0},
	{"region after the last", USER, RD, 0, 1, 0, 0, N_REGIONS, 0, 4096, 0, 0, 0,
	 NVMUX_SC_REGION_UNKNOWN, 0, 0},
	{"region 65535", USER, RD, 0, 1, 0, 0, 0xffff, 0, 4096, 0, 0, 0, NVMUX_SC_REGION_UNKNOWN, 0,
	 0},
	{"unaligned by 2", USER, RD, 0, 1, 0, 0, 0, 2, 4096, 0, 0, 0, NVMUX_SC_REGION_ALIGN, 0, 0},
	{"unaligned by 1", USER, RD, 0, 1, 0, 0, 0, 1, 4096, 0, 0, 0, NVMUX_SC_REGION_ALIGN, 0, 0},
	{"aligned by 4", USER, RD, 0, 1, 0, 0, 0, 4, 4096, 0, 0, 0, 0, 4096, 0},
	{"over the region's end by 4", USER, RD, 0, 1, 0, 0, 2, 4100, 4096, 0, 0, 0,
	 NVMUX_SC_REGION_RANGE, 0, 0},
	{"buffer over the end, command not", USER, RD, 0, 1, 0, 0, 2, 4096, 4100, 0, 0, 0,
	 NVMUX_SC_REGION_RANGE, 0, 0},
	{"at the region's end", USER, RD, 0, 1, 0, 0, 2, 8192, 4096, 0, 0, 0, NVMUX_SC_REGION_RANGE,
	 0, 0},
	{"largest offset", USER, RD, 0, 1, 0, 0, 2, NVMUX_RING_OFFSET_MASK & ~3ull, 4096, 0, 0, 0,
	 NVMUX_SC_REGION_RANGE, 0, 0},
	{"largest length", USER, RD, 0, 1, 0, 0, 0, 4, UINT32_MAX, 0, 0, 0, NVMUX_SC_REGION_RANGE,
	 0, 0},

	{"fused, first", USER, CMP, 1, 1, 0, 0, 0, 0, 4096, 0, 0, 0, NVME_SC_INVALID_FIELD, 0, 0},
	{"fused, second", ADMIN, WR, 2, 1, 0, 0, 0, 0, 4096, 0, 0, 0, NVME_SC_INVALID_FIELD, 0, 0},
	{"reserved flag", USER, RD, 4, 1, 0, 0, 0, 0, 4096, 0, 0, 0, NVME_SC_INVALID_FIELD, 0, 0},
	{"scatter list", USER, RD, 0x40, 1, 0, 0, 0, 0, 4096, 0, 0, 0, NVMUX_SC_LIST_INVALID, 0, 0},
	{"scatter list, fused", ADMIN, RD, 0xc1, 1, 0, 0, 0, 0, 4096, 0, 0, 0,
	 NVMUX_SC_LIST_INVALID, 0, 0},

	{"unknown opcode", USER, 0x03, 0, 1, 0, 0, 0, 0, 4096, 0, 0, 0, NVME_SC_INVALID_OPCODE, 0,
	 0},
	{"vendor opcode", USER, 0x81, 0, 1, 0, 0, 0, 0, 4096, 0, 0, 0, NVMUX_SC_ACCESS_DENIED, 0,
	 0},
	{"zone management, not zoned", ADMIN, 0x79, 0, 1, 0, 0, 0, 0, 4096, 0, 1, 0,
	 NVME_SC_INVALID_OPCODE, 0, 0},
	{"zone report, not zoned", ADMIN, 0x7a, 0, 1, 0, 0, 0, 0, 4096, 0, 0, 0,
	 NVME_SC_INVALID_OPCODE, 0, 0},
	{"zone append, not zoned", USER, 0x7d, 0, 1, 0, 0, 0, 0, 4096, 0, 0, 0,
	 NVME_SC_INVALID_OPCODE, 0, 0},
	{"zone append", USER, 0x7d, 0, 11, 1024, 3, 0, 0, 16384, 0, 0, 0, 0, 16384, 0},
	{"zone append, short", USER, 0x7d, 0, 11, 1024, 3, 0, 0, 16380, 0, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"zone append, no such zone", USER, 0x7d, 0, 11, 4096, 0, 0, 0, 4096, 0, 0, 0,
	 NVME_SC_LBA_RANGE, 0, 0},
	{"zone append, read-only", USER, 0x7d, 0, 12, 0, 0, 0, 0, 4096, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},
	{"zone reset", USER, 0x79, 0, 11, 1024, 0, 7, 3, 9, 0, 4, 0, 0, 0, 0},
	{"zone reset, read-only", USER, 0x79, 0, 12, 1024, 0, 0, 0, 0, 0, 4, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},
	{"zone reset, no such zone", USER, 0x79, 0, 11, 4096, 0, 0, 0, 0, 0, 4, 0,
	 NVME_SC_LBA_RANGE, 0, 0},
	{"zone reset, all", USER, 0x79, 0, 11, ~0ull, 0, 0, 0, 0, 0, 0x104, 0, 0, 0, 0},
	{"zone action unknown", ADMIN, 0x79, 0, 11, 0, 0, 0, 0, 4096, 0, 0x80, 0,
	 NVME_SC_INVALID_FIELD, 0, 0},
	{"zone descriptor", USER, 0x79, 0, 11, 1024, 0, 0, 0, 128, 0, 0x10, 0, 0, 128, 0},
	{"zone descriptor, short", USER, 0x79, 0, 11, 1024, 0, 0, 0, 64, 0, 0x10, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"zone report", USER, 0x7a, 0, 12, 0, 1023, 0, 0, 4096, 0, 0, 0, 0, 4096, 0},
	{"zone report, short", USER, 0x7a, 0, 12, 0, 1024, 0, 0, 4096, 0, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"zone report, longest", USER, 0x7a, 0, 12, 0, ~0u, 3, 0, ~0u, 0, 0, 0,
	 NVMUX_SC_LENGTH_LIMIT, 0, 0},
	{"zone report, beyond", USER, 0x7a, 0, 12, 4096, 0, 0, 0, 4096, 0, 0, 0, NVME_SC_LBA_RANGE,
	 0, 0},
	{"management receive, admin", ADMIN, 0x12, 0, 2, 15ull << 32 | 1, 0, 0, 0, 64, 0, 0, 0, 0,
	 64, 0},
	{"management receive, short", ADMIN, 0x12, 0, 2, 15ull << 32 | 1, 0, 0, 0, 63, 0, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"management send", ADMIN, 0x1d, 0, 1, 0x20001, 0, 0, 0, 6, 0, 0, 0, 0, 6, 0},
	{"management send, short", ADMIN, 0x1d, 0, 1, 0x20001, 0, 0, 0, 5, 0, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"management send, none", ADMIN, 0x1d, 0, 1, 0, 0, 9, 1, 5, 0, 0, 0, 0, 0, 0},
	{"management send, vendor", ADMIN, 0x1d, 0, 1, 0xff, 0, 0, 0, 20, 0, 0, 0, 0, 20, 0},
	{"management send, read-only", ADMIN, 0x1d, 0, 2, 1, 0, 0, 0, 2, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},
	{"management receive", USER, 0x12, 0, 1, 0, 0, 0, 0, 4096, 0, 0, 0, NVMUX_SC_ACCESS_DENIED,
	 0, 0},
	{"unknown opcode, admin", ADMIN, 0x83, 0, 1, 0, 0, 0, 0, 100, 0, 0, 0, 0, 100, 0},
	{"vendor opcode, admin", ADMIN, 0x82, 0, 1, ~0ull, ~0u, 0, 0, 4, 0, 0, 0, 0, 4, 0},
	{"vendor opcode, metadata", ADMIN, 0x82, 0, 1, 0, 0, 0, 0, 4, 2, 4, 12, 0, 4, 12},
	{"vendor opcode, no data", ADMIN, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	{"vendor opcode, data not announced", ADMIN, 0x80, 0, 1, 0, 0, 0, 0, 4, 0, 0, 0,
	 NVME_SC_INVALID_FIELD, 0, 0},
	{"vendor opcode, over the limit", ADMIN, 0x82, 0, 1, 0, 0, 3, 0, (128 << 10) + 1, 0, 0, 0,
	 NVMUX_SC_LENGTH_LIMIT, 0, 0},
	{"vendor opcode, read-only", ADMIN, 0x82, 0, 2, 0, 0, 0, 0, 4, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},
	{"unknown opcode, read-only", ADMIN, 0x03, 0, 2, 0, 0, 0, 0, 4, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},
	{"admin can't write read-only either", ADMIN, WR, 0, 2, 0, 0, 0, 0, 512, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},
	{"cancel", ADMIN, 0x18, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, NVMUX_SC_OPCODE_REFUSED, 0, 0},
	{"fabrics", ADMIN, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NVMUX_SC_OPCODE_REFUSED, 0, 0},

	{"copy", USER, nvme_cmd_copy, 0, 1, 999, 0, 0, 0, 32, 0, 0, 0, 0, 32, 0},
	{"copy to beyond the end", USER, nvme_cmd_copy, 0, 1, 1000, 0, 0, 0, 32, 0, 0, 0,
	 NVME_SC_LBA_RANGE, 0, 0},
	{"copy, admin", ADMIN, nvme_cmd_copy, 0, 1, 0, 127, 0, 0, 4096, 0, 0, 0, 0, 4096, 0},
	{"copy, format 1", ADMIN, nvme_cmd_copy, 0, 1, 0, 0x101, 0, 0, 80, 0, 0, 0, 0, 80, 0},
	{"copy, short", ADMIN, nvme_cmd_copy, 0, 1, 0, 0x101, 0, 0, 79, 0, 0, 0,
	 NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"copy, names other namespaces", ADMIN, nvme_cmd_copy, 0, 1, 0, 0x200, 0, 0, 4096, 0, 0, 0,
	 NVMUX_SC_OPCODE_REFUSED, 0, 0},
	{"copy, read-only", ADMIN, nvme_cmd_copy, 0, 2, 0, 0, 0, 0, 32, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},

	{"reservation, admin", ADMIN, nvme_cmd_resv_register, 0, 1, 0, 0, 0, 0, 16, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},
	{"reservation register", RESERVATIONS, nvme_cmd_resv_register, 0, 1, 0, 0, 0, 0, 16, 0, 0,
	 0, 0, 16, 0},
	{"reservation acquire", RESERVATIONS, nvme_cmd_resv_acquire, 0, 1, 0, 0, 0, 0, 64, 0, 0, 0,
	 0, 16, 0},
	{"reservation release", RESERVATIONS, nvme_cmd_resv_release, 0, 1, 0, 0, 0, 0, 8, 0, 0, 0,
	 0, 8, 0},
	{"reservation release, short", RESERVATIONS, nvme_cmd_resv_release, 0, 1, 0, 0, 0, 0, 7, 0,
	 0, 0, NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"reservation, read-only", RESERVATIONS, nvme_cmd_resv_release, 0, 2, 0, 0, 0, 0, 8, 0, 0,
	 0, NVMUX_SC_ACCESS_DENIED, 0, 0},
	{"reservation report", RESERVATIONS, nvme_cmd_resv_report, 0, 2, 15, 0, 0, 0, 64, 0, 0, 0,
	 0, 64, 0},
	{"reservation report, too long", RESERVATIONS, nvme_cmd_resv_report, 0, 2, 0xffffffff, 0, 3,
	 0, 64, 0, 0, 0, NVMUX_SC_LENGTH_LIMIT, 0, 0},
	{"reservation report, short", RESERVATIONS, nvme_cmd_resv_report, 0, 2, 16, 0, 0, 0, 64, 0,
	 0, 0, NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"vendor opcode, right to reservations", RESERVATIONS, 0x82, 0, 1, 0, 0, 0, 0, 4, 0, 0, 0,
	 NVMUX_SC_ACCESS_DENIED, 0, 0},
};

static struct nvmux_ring_cmd make_cmd(const struct check_case *c)
{
	return (struct nvmux_ring_cmd){
		.opc = c->opc,
		.flags = c->flags,
		.cid = cpu_to_le16(0x1234),
		.nsid = cpu_to_le32(c->nsid),
		.cdw2 = cpu_to_le32(0x22),
		.cdw3 = cpu_to_le32(0x33),
		.data = nvmux_ring_addr((uint16_t)c->region, c->offset),
		.md = nvmux_ring_addr((uint16_t)c->md_region, c->md_offset),
		.data_len = c->len,
		.md_len = c->md_len,
		.cdw10 = cpu_to_le32((uint32_t)c->lba),
		.cdw11 = cpu_to_le32((uint32_t)(c->lba >> 32)),
		.cdw12 = cpu_to_le32(c->cdw12),
		/* of Zone Management Send, which has no metadata */
		.cdw13 = cpu_to_le32(c->opc == 0x79 ? (uint32_t)c->md_offset : 0x1313),
		.cdw14 = cpu_to_le32(0x1414),
		.cdw15 = cpu_to_le32(0x1515),
	};
}

static uint32_t n_plain; /* so far, of both ways below */

/* The check, both ways: what the short one passes, the other one passes with the same result. */
static uint16_t check(const struct nvmux_ring_cmd *cmd, const struct ctrlr_view *view,
		      const struct region_view *of_client, uint32_t n_regions,
		      struct checked_cmd *ret)
{
	struct nvmux_plain data = {0};
	uint16_t status;
	bool plain;

	plain = !(cmd->flags & ~NVMUX_RING_F_PHASE) &&
		channel_check_plain(cmd, ctrlr_view_likely(view, le32_to_cpu(cmd->nsid)), of_client,
				    n_regions, &data);
	ret->ring = *cmd;
	status = channel_check(view, of_client, n_regions, ret);
	if (!plain)
		return status;
	n_plain++;
	assert_int_equal(status, 0);
	assert_int_equal(data.addr, bases[ret->seg.mem - mems] + ret->seg.offset);
	assert_int_equal(data.len, ret->seg.len);
	assert_int_equal(ret->md.len, 0);
	return status;
}

static void test_rules(void **state)
{
	struct ctrlr_view *views[] = {make_view(false, false), make_view(true, false),
				      make_view(false, true)};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct check_case *c = &cases[i];
		struct nvmux_ring_cmd cmd = make_cmd(c);
		struct checked_cmd checked;
		uint16_t status, wanted = c->status ? c->status | DNR : 0;

		memset(&checked, 0xee, sizeof(checked));
		status = check(&cmd, views[c->right], regions, N_REGIONS, &checked);
		if (status != wanted)
			fail_msg("%s: status %#x, not %#x", c->name, status, wanted);
		if (status)
			continue;
		if (checked.seg.len != c->seg_len || checked.md.len != c->md_seg_len)
			fail_msg("%s: lengths %u and %u", c->name, checked.seg.len, checked.md.len);
		if (c->seg_len) {
			assert_ptr_equal(checked.seg.mem, &mems[c->region]);
			assert_int_equal(checked.seg.offset, c->offset);
		}
		if (c->md_seg_len) {
			assert_ptr_equal(checked.md.mem, &mems[c->md_region]);
			assert_int_equal(checked.md.offset, c->md_offset);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(views); i++)
		free(views[i]);
}

/* What reaches the hardware queue: the command dwords, without the ring's flags. Identifier and
 * pointers are the transport's, which overwrites the ring's. */
static void test_forwarded_fields(void **state)
{
	struct ctrlr_view *view = make_view(false, false);
	struct nvmux_ring_cmd cmd = make_cmd(&cases[1]);
	struct checked_cmd checked;

	cmd.cdw10 = cpu_to_le32(7);
	cmd.cdw11 = 0;
	assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked), 0);
	assert_int_equal(checked.cmd.opc, nvme_cmd_read);
	assert_int_equal(checked.cmd.flags, 0);
	assert_int_equal(le32_to_cpu(checked.cmd.nsid), 1);
	assert_int_equal(le32_to_cpu(checked.cmd.cdw2), 0x22);
	assert_int_equal(le32_to_cpu(checked.cmd.cdw3), 0x33);
	assert_int_equal(le32_to_cpu(checked.cmd.cdw10), 7);
	assert_int_equal(le32_to_cpu(checked.cmd.cdw13), 0x1313);
	assert_int_equal(le32_to_cpu(checked.cmd.cdw14), 0x1414);
	assert_int_equal(le32_to_cpu(checked.cmd.cdw15), 0x1515);
	free(view);
}

static void test_no_namespaces(void **state)
{
	struct ctrlr_view view = {.max_transfer = 4096, .admin = true};
	struct checked_cmd checked;

	for (uint32_t nsid = 0; nsid < 3; nsid++) {
		struct nvmux_ring_cmd cmd = {.opc = nvme_cmd_flush, .nsid = cpu_to_le32(nsid)};

		assert_int_equal(check(&cmd, &view, NULL, 0, &checked), NVME_SC_INVALID_NS | DNR);
	}
}

/* What was behind the last one once isn't there, wherever its place is. */
static void test_namespaces_gone(void **state)
{
	struct ctrlr_view *view = make_view(false, false);
	struct nvmux_ring_cmd cmd = make_cmd(&cases[0]);
	struct checked_cmd checked;

	assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked), 0);
	view->n_ns = 0;
	assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked), NVME_SC_INVALID_NS | DNR);
	free(view);
}

/* ---- the second implementation: what a command may do, in wide integers and plain words ---- */

typedef unsigned __int128 wide;

static bool buffer_ok(uint64_t address, uint32_t len, wide need)
{
	wide number = address >> 48, offset = address & 0xffffffffffffull;

	return number < N_REGIONS && regions[number].mem && offset % 4 == 0 &&
	       offset + len <= regions[number].size && len >= need;
}

static bool is_one_of(uint8_t opc, const char *set, size_t n)
{
	return memchr(set, opc, n) != NULL;
}

#define ONE_OF(opc, set) is_one_of(opc, set, sizeof(set) - 1)

/* True: the command must be accepted; the lengths that it moves go to @need and @md_need. */
static bool oracle(const struct nvmux_ring_cmd *c, bool admin, bool resv, wide *need, wide *md_need)
{
	const struct ns_view *ns = NULL;
	wide lba = (wide)c->cdw10 + ((wide)c->cdw11 << 32), blocks = (wide)(c->cdw12 & 0xffff) + 1;
	bool derived;

	*need = *md_need = 0;
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
		if (namespaces[i].nsid == c->nsid)
			ns = &namespaces[i];
	if ((c->flags & 0x7f) || !ns || ONE_OF(c->opc, "\x18\x7f"))
		return false;
	derived = ONE_OF(c->opc, "\x00\x01\x02\x04\x05\x08\x09\x0c\x19\x79\x7a\x7d");
	if (ONE_OF(c->opc, "\x0d\x0e\x11\x15")) {
		if (!resv)
			return false;
	} else if (!derived && !admin) {
		return false;
	}
	if (!ns->writable && !ONE_OF(c->opc, "\x00\x02\x05\x0c\x0e\x12\x7a"))
		return false;
	if (ONE_OF(c->opc, "\x79\x7a\x7d") && !ns->zone_lbas)
		return false;
	if (ONE_OF(c->opc, "\x19\x7a") && lba >= ns->n_lbas)
		return false;
	if (ONE_OF(c->opc, "\x01\x02\x04\x05\x08\x0c\x7d") && lba + blocks > ns->n_lbas)
		return false;
	if (ONE_OF(c->opc, "\x01\x02\x05\x7d")) {
		bool gone = ns->pi && ns->md_size == 8 && c->opc != 5 && (c->cdw12 >> 29) % 2;
		uint32_t md_size = gone ? 0 : ns->md_size;

		*need = blocks * ((1u << ns->lba_shift) + (ns->md_interleaved ? md_size : 0));
		*md_need = ns->md_interleaved ? 0 : blocks * md_size;
	} else if (c->opc == 0x79) {
		if (c->cdw13 / 256 % 2 == 0 && lba >= ns->n_lbas)
			return false;
		if (!ONE_OF((uint8_t)c->cdw13, "\x01\x02\x03\x04\x05\x10\x11"))
			return false;
		*need = c->cdw13 % 256 == 0x10 ? ns->zdes * 64 : 0;
	} else if (c->opc == 0x7a) {
		*need = ((wide)c->cdw12 + 1) * 4;
	} else if (c->opc == 0x12) {
		*need = ((wide)c->cdw11 + 1) * 4;
	} else if (c->opc == 0x1d && c->cdw10 % 256 < 2) {
		*need = c->cdw10 % 256 ? (c->cdw10 / 65536 + 1) * 2 : 0;
	} else if (c->opc == 0x09) {
		*need = ((wide)(c->cdw10 % 256) + 1) * 16;
	} else if (c->opc == 0x19) {
		uint32_t format = c->cdw12 / 256 % 16;

		if (format > 1)
			return false;
		*need = ((wide)(c->cdw12 % 256) + 1) * (format ? 40 : 32);
	} else if (ONE_OF(c->opc, "\x0d\x11\x15")) {
		*need = c->opc == 0x15 ? 8 : 16;
	} else if (c->opc == 0x0e) {
		*need = ((wide)c->cdw10 + 1) * 4;
	} else if (!derived) {
		if (c->opc % 4 == 0 && c->data_len)
			return false;
		*need = c->data_len;
		*md_need = c->md_len;
		/* exactly two pages: a list, for a device that takes it for more */
		if (*need && (c->data % 4096 + *need + 4095) / 4096 == 2)
			return false;
	}
	if (*need > (128 << 10))
		return false;
	if (*need && !buffer_ok(c->data, c->data_len, *need))
		return false;
	return !*md_need || buffer_ok(c->md, c->md_len, *md_need);
}

static uint64_t rng = 88172645463325252ull;

static uint64_t rnd(void)
{
	return next_random(&rng);
}

/* Mostly near the edges, so that about half of the commands are accepted. */
static uint64_t near(uint64_t edge)
{
	switch (rnd() % 4) {
	case 0: return edge + rnd() % 5 - 2;
	case 1: return edge / 2;
	case 2: return rnd() % 16;
	default: return rnd() >> rnd() % 64;
	}
}

static struct nvmux_ring_cmd random_cmd(void)
{
	static const uint8_t opcs[] = {0,    1,    2,    4,    5,    8,    9,    0xc,  0xd, 0xe,
				       0x11, 0x12, 0x15, 0x19, 0x1d, 0x79, 0x7a, 0x7d, 0x82};
	const struct ns_view *ns = &namespaces[rnd() % ARRAY_SIZE(namespaces)];
	uint16_t number = (uint16_t)(rnd() % 8 ? 0 : rnd() % 6);
	uint64_t size = number < N_REGIONS ? regions[number].size : 0;
	uint64_t lba = near(ns->n_lbas);
	struct nvmux_ring_cmd c = {
		.opc = rnd() % 16 ? opcs[rnd() % sizeof(opcs)] : (uint8_t)rnd(),
		.flags = rnd() % 16 ? (uint8_t)(rnd() & 0x80) : (uint8_t)rnd(),
		.nsid = rnd() % 16 ? ns->nsid : (uint32_t)near(5),
		.data = nvmux_ring_addr(number, rnd() % 8 ? rnd() % 8192 * 4 : near(size)),
		.md = nvmux_ring_addr((uint16_t)(rnd() % 3), rnd() % 8 ? 0 : near(8192)),
		.data_len = rnd() % 4 ? (128 << 10) - (uint32_t)(rnd() % 3) : (uint32_t)near(4096),
		.md_len = rnd() % 4 ? (uint32_t)(rnd() % 8193) : (uint32_t)near(64),
		.cdw10 = (uint32_t)lba,
		.cdw11 = (uint32_t)(lba >> 32),
		.cdw12 = rnd() % 8 ? (uint32_t)(rnd() % 34) : (uint32_t)rnd(),
		.cdw13 = (uint32_t)(rnd() % 0x12 + rnd() % 2 * 0x100),
	};

	if (rnd() % 2)
		c.cdw12 |= PRACT;
	return c;
}

static void test_random(void **state)
{
	struct ctrlr_view *view = make_view(false, false);
	uint32_t accepted = 0, rounds = 400000;

	for (uint32_t i = 0; i < rounds; i++) {
		bool admin = rnd() & 1, resv = rnd() & 1;
		struct nvmux_ring_cmd cmd = random_cmd();
		struct checked_cmd checked;
		wide need, md_need;
		uint16_t status;
		bool wanted = oracle(&cmd, admin, resv, &need, &md_need);

		view->admin = admin;
		view->reservations = resv;
		status = check(&cmd, view, regions, N_REGIONS, &checked);
		if (!status != wanted)
			fail_msg("round %u: opcode %#x: status %#x, wanted %d", i, cmd.opc, status,
				 wanted);
		if (status) {
			assert_true(status & DNR);
			continue;
		}
		accepted++;
		assert_true(checked.seg.len == need && checked.md.len == md_need);
		if (need)
			assert_true(checked.seg.offset + checked.seg.len <=
				    regions[cmd.data >> 48].size);
	}
	free(view);
	/* Both outcomes are common, or this tests nothing. */
	assert_in_range(accepted, rounds / 5, rounds * 4 / 5);
	assert_in_range(n_plain, rounds / 400, rounds);
}

/* What moves as much as the device thinks isn't described by two pages; what others notice isn't
 * sent. */
static void test_opaque(void **state)
{
	struct ctrlr_view *view = make_view(true, true);
	struct nvmux_ring_cmd cmd = {.opc = 0x82, .nsid = cpu_to_le32(1)};
	struct checked_cmd checked;

	for (uint32_t pages = 1; pages <= 3; pages++) {
		cmd.data_len = pages * 4096;
		view->sgl = false;
		assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked),
				 pages == 2 ? NVMUX_SC_LENGTH_LIMIT | DNR : 0);
		view->sgl = true;
		assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked), 0);
		assert_int_equal(checked.cmd.flags, NVMUX_CMD_OPAQUE);
	}
	view->noticed[0] = 1u << 2;
	assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked),
			 NVMUX_SC_OPCODE_REFUSED | DNR);
	cmd.opc = 0xa2;
	assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked), 0);
	view->noticed[1] = 1u << 2;
	assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked),
			 NVMUX_SC_OPCODE_REFUSED | DNR);
	free(view);
}

/* ---- scatter lists ---- */

#define SEG(region, offset, len)                            \
	{                                                   \
		(uint64_t)(region) << 48 | (offset), len, 0 \
	}

struct list_case {
	const char *name;
	uint8_t flags;
	uint32_t blocks; /* of 4 KiB, written to namespace 1 */
	uint32_t max_segs;
	bool sgl;
	uint32_t n;
	struct nvmux_ring_seg list[4];
	uint16_t status;
	uint32_t n_segs;
	uint32_t last_len; /* of the last of them */
};

static const struct list_case list_cases[] = {
	{"one piece", 0x40, 1, 32, false, 1, {SEG(0, 8, 4096)}, 0, 1, 4096},
	{"phase bit", 0xc0, 1, 32, false, 1, {SEG(0, 8, 4096)}, 0, 1, 4096},
	{"two regions", 0x40, 2, 32, false, 2, {SEG(0, 4096, 4096), SEG(2, 0, 4096)}, 0, 2, 4096},
	{"overlapping",
	 0x40,
	 2,
	 32,
	 false,
	 2,
	 {SEG(0, 4096, 4096), SEG(0, 4096, 4096)},
	 0,
	 2,
	 4096},
	{"PRP, first and last within a page",
	 0x40,
	 1,
	 32,
	 false,
	 2,
	 {SEG(0, 4096 - 100, 100), SEG(2, 0, 3996)},
	 0,
	 2,
	 3996},
	{"PRP, starts within a page",
	 0x40,
	 2,
	 32,
	 false,
	 2,
	 {SEG(0, 0, 4096), SEG(0, 8196, 4096)},
	 NVMUX_SC_LIST_INVALID,
	 0,
	 0},
	{"PRP, ends within a page",
	 0x40,
	 1,
	 32,
	 false,
	 2,
	 {SEG(0, 0, 4092), SEG(0, 8192, 4)},
	 NVMUX_SC_LIST_INVALID,
	 0,
	 0},
	{"SGL, anywhere",
	 0x40,
	 1,
	 32,
	 true,
	 3,
	 {SEG(0, 4, 4), SEG(2, 12, 8), SEG(0, 40, 4084)},
	 0,
	 3,
	 4084},
	{"longer than the command",
	 0x40,
	 1,
	 32,
	 true,
	 3,
	 {SEG(0, 0, 4000), SEG(0, 8192, 4096), SEG(0, 0, 4)},
	 0,
	 2,
	 96},
	{"the rest is looked at",
	 0x40,
	 1,
	 32,
	 true,
	 3,
	 {SEG(0, 0, 4000), SEG(0, 8192, 4096), SEG(1, 0, 4)},
	 NVMUX_SC_REGION_UNKNOWN,
	 0,
	 0},
	{"too short",
	 0x40,
	 2,
	 32,
	 true,
	 2,
	 {SEG(0, 0, 4096), SEG(2, 0, 4092)},
	 NVMUX_SC_LENGTH_MISMATCH,
	 0,
	 0},
	{"none", 0x40, 1, 32, true, 0, {{0}}, NVMUX_SC_LENGTH_MISMATCH, 0, 0},
	{"more than the controller takes",
	 0x40,
	 2,
	 1,
	 true,
	 2,
	 {SEG(0, 0, 4096), SEG(0, 4096, 4096)},
	 NVMUX_SC_LIST_INVALID,
	 0,
	 0},
	{"one is always allowed", 0x40, 1, 0, true, 1, {SEG(0, 0, 4096)}, 0, 1, 4096},
	{"empty piece",
	 0x40,
	 1,
	 32,
	 true,
	 2,
	 {SEG(0, 0, 4096), SEG(0, 4096, 0)},
	 NVMUX_SC_LIST_INVALID,
	 0,
	 0},
	{"reserved field",
	 0x40,
	 1,
	 32,
	 true,
	 1,
	 {{.length = 4096, .rsvd = 1}},
	 NVMUX_SC_LIST_INVALID,
	 0,
	 0},
	{"unaligned piece",
	 0x40,
	 1,
	 32,
	 true,
	 2,
	 {SEG(0, 0, 4), SEG(0, 4098, 4092)},
	 NVMUX_SC_REGION_ALIGN,
	 0,
	 0},
	{"unaligned length",
	 0x40,
	 1,
	 32,
	 true,
	 2,
	 {SEG(0, 0, 6), SEG(0, 4096, 4092)},
	 NVMUX_SC_LIST_INVALID,
	 0,
	 0},
	{"beyond the region",
	 0x40,
	 2,
	 32,
	 false,
	 2,
	 {SEG(2, 4096, 4096), SEG(2, 8192, 4096)},
	 NVMUX_SC_REGION_RANGE,
	 0,
	 0},
	{"piece over the end",
	 0x40,
	 2,
	 32,
	 true,
	 2,
	 {SEG(2, 4096, 4100), SEG(0, 0, 4096)},
	 NVMUX_SC_REGION_RANGE,
	 0,
	 0},
	{"lengths overflow 32 bits",
	 0x40,
	 1,
	 32,
	 true,
	 3,
	 {SEG(0, 0, 0xfffffffc), SEG(0, 0, 8), SEG(0, 0, 4096)},
	 NVMUX_SC_REGION_RANGE,
	 0,
	 0},
	{"region of nobody",
	 0x40,
	 2,
	 32,
	 false,
	 2,
	 {SEG(0, 4096, 4096), SEG(7, 0, 4096)},
	 NVMUX_SC_REGION_UNKNOWN,
	 0,
	 0},
	{"fused", 0x41, 1, 32, true, 2, {SEG(0, 0, 2048), SEG(0, 8192, 2048)}, 0, 2, 2048},
	{"fused, no list", 0x02, 1, 32, true, 1, {SEG(0, 0, 4096)}, 0, 1, 4096},
	{"fused, both", 0x43, 1, 32, true, 1, {SEG(0, 0, 4096)}, NVME_SC_INVALID_FIELD, 0, 0},
	{"reserved flag", 0x44, 1, 32, true, 1, {SEG(0, 0, 4096)}, NVME_SC_INVALID_FIELD, 0, 0},
	{"over the transfer limit",
	 0x40,
	 33,
	 32,
	 true,
	 1,
	 {SEG(0, 0, 33 * 4096)},
	 NVMUX_SC_LENGTH_LIMIT,
	 0,
	 0},
};

static void check_list_case(struct ctrlr_view *view, const struct list_case *c)
{
	struct nvmux_ring_cmd cmd = {.opc = nvme_cmd_write,
				     .flags = c->flags,
				     .nsid = cpu_to_le32(1),
				     .data = ~0ull, /* not looked at */
				     .data_len = ~0u,
				     .cdw12 = cpu_to_le32(c->blocks - 1)};
	uint16_t status, wanted = c->status ? c->status | DNR : 0;
	struct checked_list list;
	struct checked_cmd checked;
	uint32_t sum = 0;

	view->max_segs = c->max_segs;
	view->sgl = c->sgl;
	status = channel_check_list(&cmd, c->list, c->n, view, regions, N_REGIONS, &checked, &list);
	if (status != wanted)
		fail_msg("%s: status %#x, not %#x", c->name, status, wanted);
	if (status)
		return;
	if (list.n != c->n_segs || list.segs[list.n - 1].len != c->last_len)
		fail_msg("%s: %u pieces, the last of %u", c->name, list.n,
			 list.segs[list.n - 1].len);
	for (uint32_t i = 0; i < list.n; i++) {
		assert_ptr_equal(list.segs[i].mem, &mems[c->list[i].region_offset >> 48]);
		assert_int_equal(list.segs[i].offset,
				 c->list[i].region_offset & NVMUX_RING_OFFSET_MASK);
		sum += list.segs[i].len;
	}
	assert_int_equal(sum, c->blocks * 4096);
	assert_int_equal(list.len, sum);
	assert_int_equal(checked.cmd.flags, c->flags & 3);
	assert_int_equal(checked.md.len, 0);
}

static void test_lists(void **state)
{
	struct ctrlr_view *view = make_view(false, false);

	for (size_t i = 0; i < ARRAY_SIZE(list_cases); i++)
		check_list_case(view, &list_cases[i]);
	free(view);
}

/* As many as there can be, and one more; commands without data; metadata beside a list; those whose
 * length the client says. */
static void test_list_limits(void **state)
{
	struct nvmux_ring_seg list[NVMUX_RING_LIST_PER_CMD + 1];
	struct nvmux_ring_cmd cmd = {.opc = nvme_cmd_write, .flags = 0x40, .nsid = cpu_to_le32(1)};
	struct ctrlr_view *view = make_view(true, false);
	struct checked_list ret;
	struct checked_cmd checked;

	view->max_segs = NVMUX_RING_LIST_PER_CMD;
	for (uint32_t i = 0; i < ARRAY_SIZE(list); i++)
		list[i] = (struct nvmux_ring_seg){.region_offset = 4096 * i, .length = 4096};
	cmd.cdw12 = cpu_to_le32(31);
	assert_int_equal(
		channel_check_list(&cmd, list, 32, view, regions, N_REGIONS, &checked, &ret), 0);
	assert_int_equal(ret.n, 32);
	assert_int_equal(
		channel_check_list(&cmd, list, 33, view, regions, N_REGIONS, &checked, &ret),
		NVMUX_SC_LIST_INVALID | DNR);
	cmd.opc = nvme_cmd_flush;
	assert_int_equal(
		channel_check_list(&cmd, list, 1, view, regions, N_REGIONS, &checked, &ret),
		NVMUX_SC_LIST_INVALID | DNR);
	assert_int_equal(
		channel_check_list(&cmd, list, 0, view, regions, N_REGIONS, &checked, &ret), 0);
	assert_int_equal(ret.n | ret.len, 0);
	cmd.opc = 0x82;
	assert_int_equal(
		channel_check_list(&cmd, list, 5, view, regions, N_REGIONS, &checked, &ret), 0);
	assert_int_equal(ret.len, 5 * 4096);
	list[4].length = ~0u;
	assert_int_equal(
		channel_check_list(&cmd, list, 5, view, regions, N_REGIONS, &checked, &ret),
		NVMUX_SC_LENGTH_LIMIT | DNR);
	list[4].length = 4096;
	cmd.opc = nvme_cmd_write;
	cmd.nsid = cpu_to_le32(5);
	cmd.cdw12 = cpu_to_le32(1);
	cmd.md = nvmux_ring_addr(2, 64);
	cmd.md_len = 128;
	assert_int_equal(
		channel_check_list(&cmd, list, 2, view, regions, N_REGIONS, &checked, &ret), 0);
	assert_ptr_equal(checked.md.mem, &mems[2]);
	assert_int_equal(checked.md.len, 128);
	cmd.md_len = 127;
	assert_int_equal(
		channel_check_list(&cmd, list, 2, view, regions, N_REGIONS, &checked, &ret),
		NVMUX_SC_LENGTH_MISMATCH | DNR);
	free(view);
}

static void test_fused(void **state)
{
	const struct nvmux_cmd cmp = {.opc = nvme_cmd_compare,
				      .nsid = cpu_to_le32(1),
				      .cdw10 = cpu_to_le32(7),
				      .cdw11 = cpu_to_le32(1),
				      .cdw12 = cpu_to_le32(3)};
	struct ctrlr_view view = {.fused = true};
	struct nvmux_cmd write = cmp;

	write.opc = nvme_cmd_write;
	write.cdw12 = cpu_to_le32(1u << 30 | 3); /* FUA */
	assert_int_equal(channel_check_fused(&cmp, &write, &view), 0);
	assert_int_equal(channel_check_fused(&write, &cmp, &view), NVME_SC_INVALID_FIELD | DNR);
	assert_int_equal(channel_check_fused(&cmp, &cmp, &view), NVME_SC_INVALID_FIELD | DNR);
	view.fused = false;
	assert_int_equal(channel_check_fused(&cmp, &write, &view), NVME_SC_INVALID_FIELD | DNR);
	view.fused = true;
	for (int i = 0; i < 4; i++) {
		struct nvmux_cmd other = write;

		*(__le32 *[]){&other.nsid, &other.cdw10, &other.cdw11, &other.cdw12}[i] ^= 1;
		assert_int_equal(channel_check_fused(&cmp, &other, &view),
				 NVME_SC_INVALID_FIELD | DNR);
	}
}

/* Where metadata can't have a buffer of its own: only what moves none passes. */
static void test_no_separate_md(void **state)
{
	struct ctrlr_view *view = make_view(true, false);
	struct nvmux_ring_cmd cmd = {.opc = nvme_cmd_read, .data_len = 8192, .md_len = 64};
	struct checked_cmd checked;

	for (uint32_t nsid = 1; nsid <= 7; nsid++) {
		bool separate = nsid == 5 || nsid == 7;

		if (nsid == 4)
			continue; /* there is none */
		cmd.nsid = cpu_to_le32(nsid);
		view->separate_md = true;
		assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked), 0);
		assert_int_equal(checked.md.len != 0, separate);
		view->separate_md = false;
		assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked),
				 separate ? NVME_SC_INVALID_FIELD | DNR : 0);
	}
	cmd.nsid = cpu_to_le32(7);
	cmd.cdw12 = cpu_to_le32(1u << 29); /* PRACT: the controller strips it */
	assert_int_equal(check(&cmd, view, regions, N_REGIONS, &checked), 0);
	free(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),         cmocka_unit_test(test_no_separate_md),
		cmocka_unit_test(test_lists),         cmocka_unit_test(test_list_limits),
		cmocka_unit_test(test_fused),         cmocka_unit_test(test_forwarded_fields),
		cmocka_unit_test(test_no_namespaces), cmocka_unit_test(test_namespaces_gone),
		cmocka_unit_test(test_random),        cmocka_unit_test(test_opaque),
	};

	return cmocka_run_group_tests_name("channel_check", tests, NULL, NULL);
}
