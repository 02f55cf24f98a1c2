// SPDX-License-Identifier: BSD-3-Clause
/*
 * PRPs against a straightforward oracle, which walks the data byte range by byte range and asks
 * which page each piece lies in, and against what the specification says of the entries themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "transports/pcie/prp.h"

#define PAGE      4096u
#define BASE      0x140000000ull
#define LIST_IOVA 0x7ff000ull
#define SEGS_MAX  64

struct fixture {
	__le64 entries[PRP_LIST_ENTRIES];
	uint16_t used;
	struct prp_list list;
};

static void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->list = (struct prp_list){.entries = f->entries, .iova = LIST_IOVA, .used = &f->used};
}

/* What a controller makes of the pointers: the address of each piece, page by page. */
static uint32_t walk(const struct fixture *f, const __le64 dptr[2], uint32_t len,
		     uint64_t pieces[PRP_LIST_ENTRIES + 1])
{
	uint32_t first = PAGE - (uint32_t)(le64toh(dptr[0]) % PAGE);
	uint32_t n = 0, left;

	pieces[n++] = le64toh(dptr[0]);
	if (len <= first)
		return n;
	left = len - first;
	if (left <= PAGE) {
		pieces[n++] = le64toh(dptr[1]);
		return n;
	}
	assert_int_equal(le64toh(dptr[1]), LIST_IOVA);
	for (uint32_t i = 0; left; i++) {
		assert_true(i < PRP_LIST_ENTRIES);
		pieces[n++] = le64toh(f->entries[i]);
		left -= left < PAGE ? left : PAGE;
	}
	return n;
}

/* Every byte of [start, start + len) must be where the controller looks for it. */
static void check_one(struct fixture *f, uint64_t start, uint32_t len)
{
	struct nvmux_mem mem = {.iova = BASE};
	struct nvmux_seg seg = {.mem = &mem, .offset = start - BASE, .len = len};
	uint64_t pieces[PRP_LIST_ENTRIES + 1];
	uint16_t used_before = f->used;
	uint64_t at = start, end = start + len;
	__le64 dptr[2] = {(__le64)-1, (__le64)-1};
	uint32_t n;

	assert_int_equal(prp_build(&seg, 1, &f->list, dptr), 0);
	n = walk(f, dptr, len, pieces);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(pieces[i], at);
		if (i)
			assert_int_equal(pieces[i] % PAGE, 0);
		at = (at / PAGE + 1) * PAGE;
	}
	assert_true(at >= end && at - end < PAGE);
	if (n == 1)
		assert_int_equal(dptr[1], 0);
	/* Two pages need no list, and leave alone what is in it. */
	assert_int_equal(f->used, n > 2 ? n - 1 : used_before);
	for (uint32_t i = f->used; i < PRP_LIST_ENTRIES; i++)
		assert_int_equal(f->entries[i], 0);
}

static const uint32_t lengths[] = {
	4,     8,     512,    4092,   4096,    4100,    8188,        8192,    8196,
	12288, 65536, 131072, 131076, 1048576, 1048580, 2097152 - 4, 2097152,
};

static void every_offset(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (uint32_t offset = 0; offset < PAGE; offset += 4) {
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
			check_one(&f, BASE + offset, lengths[i]);
	}
}

/* Lengths that aren't multiples of anything, and all short ones. */
static void every_length(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (uint32_t len = 1; len <= 3 * PAGE + 8; len++) {
		check_one(&f, BASE, len);
		check_one(&f, BASE + 4, len);
		check_one(&f, BASE + PAGE - 4, len);
	}
	for (uint32_t len = 4; len <= NVMUX_XFER_MAX; len += PAGE - 4)
		check_one(&f, BASE + 0xffc, len);
}

static void refused(void **state)
{
	struct nvmux_mem mem = {.iova = BASE};
	struct fixture f;
	__le64 dptr[2];

	(void)state;
	fixture_init(&f);
	for (uint32_t offset = 0; offset < 8; offset++) {
		struct nvmux_seg seg = {.mem = &mem, .offset = offset, .len = 512};
		struct nvmux_seg big = {.mem = &mem, .offset = offset, .len = 4 * PAGE};
		int expected = offset % 4 ? -EINVAL : 0;

		assert_int_equal(prp_build(&seg, 1, &f.list, dptr), expected);
		assert_int_equal(prp_build(&big, 1, &f.list, dptr), expected);
	}
	struct nvmux_seg empty = {.mem = &mem};
	struct nvmux_seg huge = {.mem = &mem, .len = NVMUX_XFER_MAX + 1};
	struct nvmux_seg wrapping = {.mem = &mem, .len = UINT32_MAX};

	assert_int_equal(prp_build(&empty, 1, &f.list, dptr), -EINVAL);
	assert_int_equal(prp_build(&huge, 1, &f.list, dptr), -EINVAL);
	assert_int_equal(prp_build(&wrapping, 1, &f.list, dptr), -EINVAL);
}

/*
 * The oracle for several segments: the bytes in order, each page entered once; legal when data
 * leaves a page only at its end and enters one only at its start, or goes on where it stopped.
 */
static bool oracle(const struct nvmux_seg *segs, uint32_t n, uint64_t *entries, uint32_t *n_entries)
{
	uint64_t expected = 0;
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t base = segs[i].mem->iova + segs[i].offset;

		if (!segs[i].len)
			return false;
		/* in steps of 4 bytes, the granularity of everything here */
		for (uint64_t b = 0; b < segs[i].len; b += 4) {
			uint64_t at = base + b;

			if (count == 0) {
				if (at % 4)
					return false;
				entries[count++] = at;
			} else if (at == expected) {
				if (at % PAGE == 0)
					entries[count++] = at;
			} else {
				if (at % PAGE || expected % PAGE)
					return false;
				entries[count++] = at;
			}
			expected = at + 4;
			if (count > PRP_LIST_ENTRIES + 1)
				return false;
		}
	}
	*n_entries = count;
	return true;
}

static void check_segs(struct fixture *f, const struct nvmux_seg *segs, uint32_t n)
{
	uint64_t want[PRP_LIST_ENTRIES + 2];
	uint32_t n_want = 0, total = 0;
	__le64 dptr[2];
	bool legal = oracle(segs, n, want, &n_want);
	int err = prp_build(segs, n, &f->list, dptr);

	for (uint32_t i = 0; i < n; i++)
		total += segs[i].len;
	if (total > NVMUX_XFER_MAX)
		legal = false;
	assert_int_equal(err, legal ? 0 : -EINVAL);
	/* Used or refused: what isn't counted as used is clear. */
	for (uint32_t i = f->used; i < PRP_LIST_ENTRIES; i++)
		assert_int_equal(f->entries[i], 0);
	if (!legal)
		return;
	assert_int_equal(le64toh(dptr[0]), want[0]);
	if (n_want == 1)
		assert_int_equal(dptr[1], 0);
	else if (n_want == 2)
		assert_int_equal(le64toh(dptr[1]), want[1]);
	else
		assert_int_equal(le64toh(dptr[1]), LIST_IOVA);
	for (uint32_t i = 2; i < n_want && n_want > 2; i++)
		assert_int_equal(le64toh(f->entries[i - 1]), want[i]);
	if (n_want > 2)
		assert_int_equal(le64toh(f->entries[0]), want[1]);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void random_segments(void **state)
{
	struct nvmux_mem mems[3] = {{.iova = BASE}, {.iova = BASE << 1}, {.iova = BASE * 3}};
	struct nvmux_seg segs[SEGS_MAX];
	uint32_t seed = 20240229, legal = 0;
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (unsigned round = 0; round < 20000; round++) {
		uint32_t n = 1 + next_random(&seed) % 8;

		for (uint32_t i = 0; i < n; i++) {
			bool tidy = next_random(&seed) % 8;
			uint32_t pages = 1 + next_random(&seed) % 4;

			segs[i].mem = &mems[next_random(&seed) % 3];
			segs[i].offset = (uint64_t)(next_random(&seed) % 1000) * PAGE;
			segs[i].len = pages * PAGE;
			if (i == 0 || !tidy) {
				uint32_t cut = next_random(&seed) % 1024 * 4;

				segs[i].offset += cut;
				segs[i].len -= i == 0 && tidy ? cut : 0;
			}
			if (i == n - 1 && segs[i].len > 8)
				segs[i].len -= next_random(&seed) % 2 * 4;
			/* sometimes straight on from the one before */
			if (i && next_random(&seed) % 4 == 0) {
				segs[i].mem = segs[i - 1].mem;
				segs[i].offset = segs[i - 1].offset + segs[i - 1].len;
			}
		}
		check_segs(&f, segs, n);
		legal += f.used > 0;
	}
	assert_true(legal > 1000);
}

/* Pieces that continue each other inside a page are one to the device. */
static void contiguous_pieces(void **state)
{
	struct nvmux_mem mem = {.iova = BASE};
	struct nvmux_seg segs[SEGS_MAX];
	struct fixture f;

	(void)state;
	fixture_init(&f);
	for (uint32_t size = 4; size <= 3 * PAGE; size += 500) {
		for (uint32_t i = 0; i < SEGS_MAX; i++)
			segs[i] = (struct nvmux_seg){&mem, (uint64_t)i * size, size};
		check_segs(&f, segs, SEGS_MAX);
		check_segs(&f, segs, 2);
		check_segs(&f, segs, 1);
	}
}

/* A list of 512 entries, then ever shorter ones: only the tail is cleared, and all of it. */
static void tail_is_cleared(void **state)
{
	struct nvmux_mem mem = {.iova = BASE};
	struct fixture f;
	__le64 dptr[2];

	(void)state;
	fixture_init(&f);
	for (uint32_t pages = 513; pages > 2; pages--) {
		struct nvmux_seg seg = {.mem = &mem, .offset = 4, .len = (pages - 1) * PAGE};

		assert_int_equal(prp_build(&seg, 1, &f.list, dptr), 0);
		assert_int_equal(f.used, pages - 1);
		for (uint32_t i = 0; i < PRP_LIST_ENTRIES; i++)
			assert_int_equal(f.entries[i] != 0, i < pages - 1);
	}
}

/* Segments fill the list exactly, and one page more is refused. */
static void list_is_bounded(void **state)
{
	struct nvmux_mem mem = {.iova = BASE};
	struct nvmux_seg segs[PRP_LIST_ENTRIES + 2];
	struct fixture f;
	__le64 dptr[2];

	(void)state;
	fixture_init(&f);
	for (uint32_t i = 0; i < ARRAY_SIZE(segs); i++)
		segs[i] = (struct nvmux_seg){&mem, (uint64_t)i * 2 * PAGE, PAGE};
	segs[0].offset += PAGE - 4;
	segs[0].len = 4;
	/* 513 entries in all, but the bytes are within the limit: 4 + 512 pages are too many. */
	assert_int_equal(prp_build(segs, PRP_LIST_ENTRIES + 1, &f.list, dptr), -EINVAL);
	assert_int_equal(prp_build(segs, PRP_LIST_ENTRIES, &f.list, dptr), 0);
	assert_int_equal(f.used, PRP_LIST_ENTRIES - 1);
	segs[PRP_LIST_ENTRIES].len = PAGE - 4;
	assert_int_equal(prp_build(segs, PRP_LIST_ENTRIES + 1, &f.list, dptr), 0);
	assert_int_equal(f.used, PRP_LIST_ENTRIES);
	assert_int_equal(prp_build(segs, PRP_LIST_ENTRIES + 2, &f.list, dptr), -EINVAL);
}

/* What a device that moves more, or less, than there is comes upon. */
static void opaque(void **state)
{
	struct nvmux_mem mem = {.iova = BASE};
	struct nvmux_seg seg = {.mem = &mem};
	struct fixture f;
	__le64 dptr[2];

	(void)state;
	fixture_init(&f);
	for (seg.len = PAGE; seg.len <= 4 * PAGE; seg.len += PAGE) {
		int err = prp_build_opaque(&seg, 1, &f.list, dptr);

		assert_int_equal(err, seg.len == 2 * PAGE ? -EINVAL : 0);
		if (!err)
			assert_int_equal(dptr[1], seg.len == PAGE ? 0 : LIST_IOVA);
	}
	f.entries[PRP_LIST_ENTRIES - 1] = 77; /* the device has written to the list */
	assert_int_equal(prp_build(&seg, 1, &f.list, dptr), 0);
	assert_int_equal(f.entries[PRP_LIST_ENTRIES - 1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_offset),      cmocka_unit_test(every_length),
		cmocka_unit_test(refused),           cmocka_unit_test(random_segments),
		cmocka_unit_test(contiguous_pieces), cmocka_unit_test(tail_is_cleared),
		cmocka_unit_test(list_is_bounded),   cmocka_unit_test(opaque),
	};

	return cmocka_run_group_tests_name("pcie_prp", tests, NULL, NULL);
}
