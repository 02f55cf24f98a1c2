// SPDX-License-Identifier: BSD-3-Clause
/*
 * Protection information: what the library's software makes the controller must accept, what the
 * controller makes the software must accept, and what is wrong the controller must name.
 */
#include "conform.h"

#define BLOCKS       4u
#define APPTAG       0x1234
#define GUARD_ERROR  0x282
#define APPTAG_ERROR 0x283
#define REFTAG_ERROR 0x284

static uint32_t prchk(const struct conform *c)
{
	return NVMUX_IO_PRCHK_GUARD | NVMUX_IO_PRCHK_APPTAG |
	       (c->pi == NVMUX_PI_TYPE3 ? 0 : NVMUX_IO_PRCHK_REFTAG);
}

static bool has_pi(struct conform *c)
{
	if (c->pi == NVMUX_PI_NONE)
		conform_absent(c, "the format has no protection information");
	return c->pi != NVMUX_PI_NONE;
}

static bool make_pi(struct conform *c, uint64_t lba, struct nvmux_pi *ret)
{
	uint32_t check = NVMUX_PI_GUARD | NVMUX_PI_APPTAG |
			 (c->pi == NVMUX_PI_TYPE3 ? 0 : NVMUX_PI_REFTAG);

	return conform_expect(c, nvmux_pi_init(c->ns, lba, check, 0xffff, APPTAG, ret), 0,
			      "nvmux_pi_init()");
}

/* Where the protection information of a block in @buf, @md lies. */
static uint8_t *tuple(struct conform *c, uint8_t *buf, uint8_t *md, uint32_t block)
{
	uint8_t *at = c->md_separate ? md + (size_t)block * c->md_size
				     : buf + (size_t)block * c->block_buf + c->block;

	return c->pi_first ? at : at + c->md_size - 8;
}

static bool generate(struct conform *c, uint64_t lba)
{
	struct iovec iov = {c->a, (size_t)BLOCKS * c->block_buf};
	struct nvmux_pi pi;

	if (!make_pi(c, lba, &pi))
		return false;
	conform_pattern(c, c->a, lba, BLOCKS, 60);
	memset(c->md_a, 0x3c, (size_t)BLOCKS * c->md_size);
	return conform_expect(
		c, nvmux_pi_generate(&pi, &iov, 1, c->md_separate ? c->md_a : NULL, BLOCKS), 0,
		"nvmux_pi_generate()");
}

static int write_pi(struct conform *c, uint32_t flags, uint16_t apptag)
{
	return IO(c, nvmux_ns_cmd_write_with_md, c->a, c->md_separate ? c->md_a : NULL, c->base,
		  BLOCKS, flags, 0xffff, apptag);
}

static int read_pi(struct conform *c, uint32_t flags, uint16_t apptag)
{
	memset(c->b, 0, (size_t)BLOCKS * c->block_buf);
	return IO(c, nvmux_ns_cmd_read_with_md, c->b, c->md_separate ? c->md_b : NULL, c->base,
		  BLOCKS, flags, 0xffff, apptag);
}

static void test_software(struct conform *c)
{
	struct iovec iov = {c->b, (size_t)BLOCKS * c->block_buf};
	struct nvmux_pi pi;

	if (!has_pi(c) || !make_pi(c, c->base, &pi))
		return;
	OK(c, conform_clean(c), "clean");
	if (!generate(c, c->base))
		return;
	OK(c, write_pi(c, prchk(c), APPTAG), "the controller checks what the software made");
	OK(c, read_pi(c, prchk(c), APPTAG), "and again when it is read");
	OK(c, nvmux_pi_verify(&pi, &iov, 1, c->md_separate ? c->md_b : NULL, BLOCKS, NULL),
	   "the software checks what was read");
	for (uint32_t i = 0; i < BLOCKS; i++)
		CHECK(c,
		      !memcmp(c->a + (size_t)i * c->block_buf, c->b + (size_t)i * c->block_buf,
			      c->block),
		      "the data of block %u differs", i);
}

/* One field of block 2 is wrong: the controller refuses it and names the field, as software does.
 */
static void wrong_field(struct conform *c, uint32_t byte, int want, enum nvmux_pi_check field)
{
	struct iovec iov = {c->a, (size_t)BLOCKS * c->block_buf};
	struct nvmux_pi_error error = {0};
	struct nvmux_pi pi;

	OK(c, conform_clean(c), "clean");
	if (!generate(c, c->base) || !make_pi(c, c->base, &pi))
		return;
	tuple(c, c->a, c->md_a, 2)[byte] ^= 0x40;
	EXPECT(c, nvmux_pi_verify(&pi, &iov, 1, c->md_separate ? c->md_a : NULL, BLOCKS, &error),
	       -EILSEQ, "nvmux_pi_verify()");
	CHECK(c, error.block == 2 && error.field == field, "block %" PRIu64 ", field %u",
	      error.block, error.field);
	EXPECT(c, write_pi(c, prchk(c), APPTAG), want, "a write that is checked");
	if (c->zoned) /* the failed write hasn't moved the write pointer */
		OK(c, conform_clean(c), "clean");
	OK(c, write_pi(c, 0, APPTAG), "a write that isn't checked");
	EXPECT(c, read_pi(c, prchk(c), APPTAG), want, "a read that is checked");
	OK(c, read_pi(c, 0, 0), "a read that isn't checked");
	CHECK(c, !memcmp(tuple(c, c->a, c->md_a, 2), tuple(c, c->b, c->md_b, 2), 8),
	      "protection information that isn't checked is passed on");
}

static void test_guard(struct conform *c)
{
	if (has_pi(c))
		wrong_field(c, 0, GUARD_ERROR, NVMUX_PI_GUARD);
}

static void test_apptag(struct conform *c)
{
	if (!has_pi(c))
		return;
	wrong_field(c, 2, APPTAG_ERROR, NVMUX_PI_APPTAG);
	if (c->result != CONFORM_PASSED || !generate(c, c->base))
		return;
	OK(c, conform_clean(c), "clean");
	OK(c, write_pi(c, prchk(c), APPTAG), "write");
	EXPECT(c, read_pi(c, NVMUX_IO_PRCHK_APPTAG, APPTAG ^ 1), APPTAG_ERROR,
	       "a read that expects another tag");
}

static void test_reftag(struct conform *c)
{
	if (!has_pi(c))
		return;
	if (c->pi == NVMUX_PI_TYPE3)
		ABSENT(c, "type 3 has no reference tag to check");
	wrong_field(c, 7, REFTAG_ERROR, NVMUX_PI_REFTAG);
}

/* An application tag of FFFFh switches checks off. */
static void test_escape(struct conform *c)
{
	uint8_t *t;

	if (!has_pi(c))
		return;
	OK(c, conform_clean(c), "clean");
	if (!generate(c, c->base))
		return;
	t = tuple(c, c->a, c->md_a, 1);
	memset(t, 0xff, 8);
	t[0] = 0x11; /* the guard is wrong */
	OK(c, write_pi(c, 0, APPTAG), "write, not checked");
	OK(c, read_pi(c, prchk(c), APPTAG), "read, checked: that block is not");
}

static void test_pract(struct conform *c)
{
	uint32_t flags = NVMUX_IO_PRACT | prchk(c);
	struct iovec iov = {c->b, (size_t)BLOCKS * c->block_buf};
	uint32_t stride = c->md_size == 8 ? c->block : c->block_buf;
	struct nvmux_pi pi;

	if (!has_pi(c) || !make_pi(c, c->base, &pi))
		return;
	OK(c, conform_clean(c), "clean");
	conform_pattern(c, c->a, c->base, BLOCKS, 61);
	memset(c->md_a, 0, (size_t)BLOCKS * c->md_size);
	if (c->md_size == 8)
		OK(c,
		   IO(c, nvmux_ns_cmd_write_with_md, c->a, NULL, c->base, BLOCKS, flags, 0xffff,
		      APPTAG),
		   "write: the controller inserts it");
	else
		OK(c, write_pi(c, flags, APPTAG), "write: the controller inserts it");
	OK(c, read_pi(c, prchk(c), APPTAG), "read with it");
	OK(c, nvmux_pi_verify(&pi, &iov, 1, c->md_separate ? c->md_b : NULL, BLOCKS, NULL),
	   "the software accepts what the controller made");
	for (uint32_t i = 0; i < BLOCKS; i++)
		CHECK(c,
		      !memcmp(c->a + (size_t)i * stride, c->b + (size_t)i * c->block_buf, c->block),
		      "the data of block %u differs", i);
	memset(c->b, 0, (size_t)BLOCKS * c->block_buf);
	if (c->md_size == 8)
		OK(c,
		   IO(c, nvmux_ns_cmd_read_with_md, c->b, NULL, c->base, BLOCKS, flags, 0xffff,
		      APPTAG),
		   "read: the controller strips it");
	else
		OK(c, read_pi(c, flags, APPTAG), "read: the controller checks it");
	for (uint32_t i = 0; i < BLOCKS; i++)
		CHECK(c, !memcmp(c->a + (size_t)i * stride, c->b + (size_t)i * stride, c->block),
		      "the data of block %u differs once stripped", i);
}

static void test_insert_strip(struct conform *c)
{
	struct iovec plain = {c->a, (size_t)BLOCKS * c->block};
	struct iovec back = {c->a + CONFORM_PART / 2, (size_t)BLOCKS * c->block};
	struct nvmux_pi_error error;
	struct nvmux_pi pi;
	char text[128];

	if (!has_pi(c) || !make_pi(c, c->base, &pi))
		return;
	if (c->md_separate)
		ABSENT(c, "interleaved metadata only");
	OK(c, conform_clean(c), "clean");
	for (uint32_t i = 0; i < BLOCKS * c->block; i++)
		c->a[i] = (uint8_t)(i * 13 + i / 251);
	OK(c, nvmux_pi_insert(&pi, &plain, 1, c->b, BLOCKS), "nvmux_pi_insert()");
	OK(c,
	   IO(c, nvmux_ns_cmd_write_with_md, c->b, NULL, c->base, BLOCKS, prchk(c), 0xffff, APPTAG),
	   "the controller accepts it");
	OK(c, read_pi(c, prchk(c), APPTAG), "read");
	OK(c, nvmux_pi_strip(&pi, c->b, &back, 1, BLOCKS, &error), "nvmux_pi_strip()");
	CHECK(c, !memcmp(plain.iov_base, back.iov_base, plain.iov_len), "the data differs");
	c->b[(size_t)c->block_buf + 9] ^= 1;
	EXPECT(c, nvmux_pi_strip(&pi, c->b, &back, 1, BLOCKS, &error), -EILSEQ, "a wrong byte");
	CHECK(c, error.block == 1 && error.field == NVMUX_PI_GUARD, "where it is");
	CHECK(c, strstr(nvmux_pi_error_string(&error, text, sizeof(text)), "block 1"), "%s", text);
}

static void test_verify(struct conform *c)
{
	int got;

	if (!has_pi(c))
		return;
	OK(c, conform_clean(c), "clean");
	if (!generate(c, c->base))
		return;
	tuple(c, c->a, c->md_a, 3)[1] ^= 1;
	OK(c, write_pi(c, 0, APPTAG), "write, not checked");
	got = IO(c, nvmux_ns_cmd_verify, c->base, 3, NVMUX_IO_PRCHK_GUARD);
	if (!conform_offered(c, oncs(c) & NVME_CTRL_ONCS_VERIFY, got, -1))
		return;
	EXPECT(c, IO(c, nvmux_ns_cmd_verify, c->base, 4, NVMUX_IO_PRCHK_GUARD), GUARD_ERROR,
	       "a wrong guard");
}

const struct conform_test conform_tests_pi[] = {
	{"protection: software, PRCHK", test_software, true, false},
	{"protection: guard", test_guard, true, false},
	{"protection: application tag", test_apptag, true, false},
	{"protection: reference tag", test_reftag, true, false},
	{"protection: escape", test_escape, true, false},
	{"protection: PRACT", test_pract, true, false},
	{"protection: insert, strip", test_insert_strip, true, false},
	{"protection: verify", test_verify, true, false},
	{0},
};
