// SPDX-License-Identifier: BSD-3-Clause
/* Protection information by software: published check values, damage to each field. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libcore/core.h"

#define BLOCKS 5u

/* CRC16 T10-DIF bit by bit: polynomial 8BB7h, no reflection, start 0. */
static uint16_t slow_crc(uint16_t crc, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc ^= (uint16_t)(data[i] << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x8bb7 : crc << 1);
	}
	return crc;
}

static struct nvmux_pi make_pi(uint8_t type, uint32_t block, uint32_t md, bool first)
{
	return (struct nvmux_pi){
		.block_size = block,
		.md_size = md,
		.type = type,
		.first = first,
		.check = NVMUX_PI_GUARD | NVMUX_PI_APPTAG | NVMUX_PI_REFTAG,
		.apptag = 0x1234,
		.apptag_mask = 0xffff,
		.reftag = 0xfffffffe,
	};
}

static uint16_t guard_of(const void *data, uint32_t len)
{
	struct nvmux_pi pi = make_pi(1, len, 8, false);
	struct iovec iov = {(void *)(uintptr_t)data, len};
	uint8_t md[8];

	assert_int_equal(nvmux_pi_generate(&pi, &iov, 1, md, 1), 0);
	return (uint16_t)(md[0] << 8 | md[1]);
}

/*
 * "123456789" is D0DBh in the catalogue of parametrised CRC algorithms (CRC-16/T10-DIF); the others
 * are those of SCSI SBC-3, section 4.22.4.4 (CRC generation and checking, CRC test cases).
 */
static void test_published_vectors(void **state)
{
	uint8_t block[32];

	assert_int_equal(guard_of("123456789", 9), 0xd0db);
	memset(block, 0, sizeof(block));
	assert_int_equal(guard_of(block, 32), 0x0000);
	memset(block, 0xff, sizeof(block));
	assert_int_equal(guard_of(block, 32), 0xa293);
	for (unsigned i = 0; i < 32; i++)
		block[i] = (uint8_t)i;
	assert_int_equal(guard_of(block, 32), 0x0224);
	memset(block, 0, sizeof(block));
	block[0] = block[1] = 0xff;
	assert_int_equal(guard_of(block, 32), 0x21b8);
	for (unsigned i = 0; i < 32; i++)
		block[i] = (uint8_t)(0xff - i);
	assert_int_equal(guard_of(block, 32), 0xa0b7);
}

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) + seed);
}

/* Pieces of changing lengths over @buf, empty ones among them. */
static uint32_t cut(uint8_t *buf, size_t len, size_t step, struct iovec *iov, uint32_t max)
{
	uint32_t n = 0;

	for (size_t at = 0; at < len;) {
		size_t take = n + 1 == max ? len - at : n % 3 == 2 ? 0 : step + n;

		if (take > len - at)
			take = len - at;
		iov[n++] = (struct iovec){buf + at, take};
		at += take;
	}
	return n;
}

static void check_layout(uint8_t type, uint32_t block, uint32_t md_size, bool first)
{
	struct nvmux_pi pi = make_pi(type, block, md_size, first);
	size_t ext = block + md_size, total = ext * BLOCKS;
	uint8_t *buf = malloc(total), *data = malloc((size_t)block * BLOCKS);
	uint8_t *md = malloc((size_t)md_size * BLOCKS);
	struct iovec iov[64];
	uint32_t at = first ? 0 : md_size - 8;

	assert_true(buf && data && md);
	fill(buf, total, type);
	for (unsigned i = 0; i < BLOCKS; i++) {
		memcpy(data + (size_t)i * block, buf + i * ext, block);
		memcpy(md + (size_t)i * md_size, buf + i * ext + block, md_size);
	}
	/* separate */
	uint32_t n = cut(data, (size_t)block * BLOCKS, 101, iov, 64);

	assert_int_equal(nvmux_pi_generate(&pi, iov, n, md, BLOCKS), 0);
	for (unsigned i = 0; i < BLOCKS; i++) {
		const uint8_t *m = md + (size_t)i * md_size, *p = m + at;
		uint16_t crc = slow_crc(0, data + (size_t)i * block, block);
		uint32_t ref = type == 3 ? 0xfffffffe : 0xfffffffe + i; /* wraps */

		crc = slow_crc(crc, m, at);
		assert_int_equal(p[0] << 8 | p[1], crc);
		assert_int_equal(p[2] << 8 | p[3], 0x1234);
		assert_int_equal((uint32_t)p[4] << 24 | p[5] << 16 | p[6] << 8 | p[7], ref);
		/* the rest of the metadata is the caller's */
		if (first)
			assert_memory_equal(m + 8, buf + i * ext + block + 8, md_size - 8);
		else
			assert_memory_equal(m, buf + i * ext + block, md_size - 8);
	}
	assert_int_equal(nvmux_pi_verify(&pi, iov, n, md, BLOCKS, NULL), 0);
	/* interleaved, in pieces that end within data, metadata and the information itself */
	pi.interleaved = true;
	for (size_t step = 1; step < 600; step += 57) {
		struct iovec pieces[256];

		n = cut(buf, total, step, pieces, 256);
		assert_int_equal(nvmux_pi_generate(&pi, pieces, n, NULL, BLOCKS), 0);
		assert_int_equal(nvmux_pi_verify(&pi, pieces, n, NULL, BLOCKS, NULL), 0);
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		assert_memory_equal(buf + i * ext, data + (size_t)i * block, block);
		assert_memory_equal(buf + i * ext + block, md + (size_t)i * md_size, md_size);
	}
	free(buf);
	free(data);
	free(md);
}

static void test_layouts(void **state)
{
	for (uint8_t type = 1; type <= 3; type++) {
		check_layout(type, 512, 8, false);
		check_layout(type, 512, 8, true);
		check_layout(type, 512, 16, false);
		check_layout(type, 520, 64, true);
		check_layout(type, 4096, 64, false);
		check_layout(type, 4096, 128, true);
	}
}

/* Each field of each block, damaged: found, and named. */
static void test_errors_name_block_and_field(void **state)
{
	struct nvmux_pi pi = make_pi(1, 512, 16, false);
	uint8_t buf[BLOCKS * 528];
	struct iovec iov = {buf, sizeof(buf)};
	struct nvmux_pi_error error;
	char text[80];

	pi.interleaved = true;
	fill(buf, sizeof(buf), 3);
	assert_int_equal(nvmux_pi_generate(&pi, &iov, 1, NULL, BLOCKS), 0);
	for (uint32_t block = 0; block < BLOCKS; block++) {
		uint8_t *p = buf + block * 528;

		p[511] ^= 1; /* data */
		assert_int_equal(nvmux_pi_verify(&pi, &iov, 1, NULL, BLOCKS, &error), -EILSEQ);
		assert_int_equal(error.block, block);
		assert_int_equal(error.field, NVMUX_PI_GUARD);
		p[511] ^= 1;
		p[512] ^= 1; /* metadata before the information */
		assert_int_equal(nvmux_pi_verify(&pi, &iov, 1, NULL, BLOCKS, &error), -EILSEQ);
		assert_int_equal(error.field, NVMUX_PI_GUARD);
		p[512] ^= 1;
		p[523] ^= 1;
		assert_int_equal(nvmux_pi_verify(&pi, &iov, 1, NULL, BLOCKS, &error), -EILSEQ);
		assert_int_equal(error.block, block);
		assert_int_equal(error.field, NVMUX_PI_APPTAG);
		assert_int_equal(error.expected, 0x1234);
		assert_int_equal(error.actual, 0x1235);
		pi.apptag_mask = 0xfffe;
		assert_int_equal(nvmux_pi_verify(&pi, &iov, 1, NULL, BLOCKS, &error), 0);
		pi.apptag_mask = 0xffff;
		p[523] ^= 1;
		p[524] ^= 0x80;
		assert_int_equal(nvmux_pi_verify(&pi, &iov, 1, NULL, BLOCKS, &error), -EILSEQ);
		assert_int_equal(error.block, block);
		assert_int_equal(error.field, NVMUX_PI_REFTAG);
		assert_int_equal(error.expected, (uint32_t)(0xfffffffe + block));
		pi.check = NVMUX_PI_GUARD;
		assert_int_equal(nvmux_pi_verify(&pi, &iov, 1, NULL, BLOCKS, NULL), 0);
		pi.check |= NVMUX_PI_APPTAG | NVMUX_PI_REFTAG;
		p[524] ^= 0x80;
		assert_int_equal(nvmux_pi_verify(&pi, &iov, 1, NULL, BLOCKS, NULL), 0);
	}
	error = (struct nvmux_pi_error){3, NVMUX_PI_GUARD, 0x5678, 0x1234};
	assert_string_equal(nvmux_pi_error_string(&error, text, sizeof(text)),
			    "block 3: guard is 1234h, expected 5678h");
	error = (struct nvmux_pi_error){0, NVMUX_PI_REFTAG, 7, 0xabcdef01};
	assert_string_equal(nvmux_pi_error_string(&error, text, sizeof(text)),
			    "block 0: reference tag is ABCDEF01h, expected 00000007h");
	error.field = NVMUX_PI_APPTAG;
	error.actual = 0xab;
	assert_string_equal(nvmux_pi_error_string(&error, text, sizeof(text)),
			    "block 0: application tag is 00ABh, expected 0007h");
}

static void test_escapes(void **state)
{
	for (uint8_t type = 1; type <= 3; type++) {
		struct nvmux_pi pi = make_pi(type, 512, 8, false);
		uint8_t data[512] = {1}, md[8] = {0xde, 0xad, 0xff, 0xff, 0, 0, 0, 9};
		struct iovec iov = {data, sizeof(data)};

		assert_int_equal(nvmux_pi_verify(&pi, &iov, 1, md, 1, NULL),
				 type == 3 ? -EILSEQ : 0);
		memset(md + 4, 0xff, 4);
		assert_int_equal(nvmux_pi_verify(&pi, &iov, 1, md, 1, NULL), 0);
		md[3] = 0xfe;
		assert_int_equal(nvmux_pi_verify(&pi, &iov, 1, md, 1, NULL), -EILSEQ);
	}
}

static void test_insert_and_strip(void **state)
{
	for (int first = 0; first < 2; first++) {
		struct nvmux_pi pi = make_pi(2, 512, 16, first);
		uint8_t data[BLOCKS * 512], back[BLOCKS * 512], buf[BLOCKS * 528];
		struct iovec iov[32];
		struct nvmux_pi_error error;
		uint32_t n;

		fill(data, sizeof(data), 9);
		n = cut(data, sizeof(data), 77, iov, 32);
		memset(buf, 0x5a, sizeof(buf));
		assert_int_equal(nvmux_pi_insert(&pi, iov, n, buf, BLOCKS), 0);
		for (unsigned i = 0; i < BLOCKS; i++)
			assert_memory_equal(buf + i * 528, data + i * 512, 512);
		/* what isn't protection information is zero */
		assert_memory_equal(buf + 512 + (first ? 8 : 0), ((uint8_t[8]){0}), 8);
		memset(back, 0, sizeof(back));
		n = cut(back, sizeof(back), 131, iov, 32);
		assert_int_equal(nvmux_pi_strip(&pi, buf, iov, n, BLOCKS, &error), 0);
		assert_memory_equal(back, data, sizeof(data));
		buf[2 * 528 + 5] ^= 0x10;
		buf[3 * 528 + 5] ^= 0x10;
		memset(back, 0, sizeof(back));
		assert_int_equal(nvmux_pi_strip(&pi, buf, iov, n, BLOCKS, &error), -EILSEQ);
		assert_int_equal(error.block, 2);
		assert_int_equal(error.field, NVMUX_PI_GUARD);
		data[2 * 512 + 5] ^= 0x10;
		data[3 * 512 + 5] ^= 0x10;
		assert_memory_equal(back, data, sizeof(data)); /* copied all the same */
	}
}

static void test_refusals(void **state)
{
	struct nvmux_pi pi = make_pi(1, 512, 8, false);
	uint8_t data[1024] = {0}, md[16] = {0}, buf[1040];
	struct iovec iov[2] = {{data, 512}, {data + 512, 511}};

	assert_int_equal(nvmux_pi_generate(&pi, iov, 2, md, 2), -EINVAL); /* too short */
	assert_int_equal(nvmux_pi_verify(&pi, iov, 2, md, 2, NULL), -EINVAL);
	assert_int_equal(nvmux_pi_insert(&pi, iov, 2, buf, 2), -EINVAL);
	assert_int_equal(nvmux_pi_strip(&pi, buf, iov, 2, 2, NULL), -EINVAL);
	assert_int_equal(nvmux_pi_generate(&pi, iov, 2, NULL, 1), -EINVAL); /* no metadata */
	assert_int_equal(nvmux_pi_generate(&pi, NULL, 0, md, 1), -EINVAL);
	assert_int_equal(nvmux_pi_generate(&pi, iov, 2, md, 0), 0);
	pi.md_size = 6;
	assert_int_equal(nvmux_pi_generate(&pi, iov, 2, md, 1), -EINVAL);
	pi.md_size = 8;
	pi.type = 4;
	assert_int_equal(nvmux_pi_generate(&pi, iov, 2, md, 1), -EINVAL);
	pi.type = 0;
	assert_int_equal(nvmux_pi_generate(&pi, iov, 2, md, 1), -EINVAL);
	pi.type = 1;
	pi.check = 8;
	assert_int_equal(nvmux_pi_generate(&pi, iov, 2, md, 1), -EINVAL);
}

static void test_init(void **state)
{
	struct nvmux_ns ns = {.lba_shift = 12, .md_size = 64, .pi_type = 2, .pi_first = true,
			      .md_interleaved = true};
	struct nvmux_pi pi;

	assert_int_equal(nvmux_pi_init(&ns, 0x123456789, NVMUX_PI_REFTAG, 0xff, 0x11, &pi), 0);
	assert_int_equal(pi.block_size, 4096);
	assert_int_equal(pi.md_size, 64);
	assert_int_equal(pi.type, 2);
	assert_true(pi.first && pi.interleaved);
	assert_int_equal(pi.reftag, 0x23456789);
	assert_int_equal(pi.apptag, 0x11);
	assert_int_equal(pi.apptag_mask, 0xff);
	ns.pi_type = 0;
	assert_int_equal(nvmux_pi_init(&ns, 0, 0, 0, 0, &pi), -EOPNOTSUPP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_vectors),
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_errors_name_block_and_field),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_insert_and_strip),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_init),
	};

	return cmocka_run_group_tests_name("pi", tests, NULL, NULL);
}
