// SPDX-License-Identifier: BSD-3-Clause
/* The emulator's metadata, protection information, fused, copy and uncorrectable blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "emu_host.h"

#define GENERIC(sc)  NVMUX_STATUS(0, NVME_SC_##sc)
#define SPECIFIC(sc) NVMUX_STATUS(1, NVME_SC_##sc)
#define MEDIA(sc)    NVMUX_STATUS(2, NVME_SC_##sc)
#define DATA         HOST_DATA_PAGE
#define DATA2        (HOST_DATA_PAGE + 8)
#define MD           (HOST_DATA_PAGE + 16)
#define MD2          (HOST_DATA_PAGE + 17)
#define PRACT        (1u << 29)
#define GUARD        (1u << 28)
#define APP          (1u << 27)
#define REF          (1u << 26)

static struct host *started(const char *description)
{
	struct host *host = host_new(description);

	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	return host;
}

enum {
	SLBA,
	N,
	PAGE,
	MD_PAGE,
	INFO, /* bits of command dword 12 */
	REFTAG,
	APPTAG, /* mask above */
	ARGS,
};

static uint16_t io(struct host *host, uint8_t opc, const uint64_t a[ARGS])
{
	struct nvmux_cmd cmd = host_rw(opc, 1, a[SLBA], (uint32_t)a[N],
				       host_iova((uint32_t)a[PAGE]),
				       host_iova((uint32_t)a[PAGE] + 1));

	cmd.mptr = cpu_to_le64(a[MD_PAGE] ? host_iova((uint32_t)a[MD_PAGE]) : 0);
	cmd.cdw12 = cpu_to_le32((uint32_t)(a[N] - 1 + a[INFO]));
	cmd.cdw14 = cpu_to_le32((uint32_t)a[REFTAG]);
	cmd.cdw15 = cpu_to_le32((uint32_t)a[APPTAG]);
	return host_do(host, 1, &cmd, NULL);
}

/* The rest, in the order above; what is left out is 0. */
#define IO(host, opc, ...) io(host, opc, (const uint64_t[ARGS]){__VA_ARGS__})

static void fill(uint8_t *p, size_t n, uint8_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + seed);
}

static void test_separate(void **state)
{
	struct host *host = started("mem,size=1M,ms=16");
	uint8_t *md = host_page(host, MD), *md2 = host_page(host, MD2);

	fill(host_page(host, DATA), 2048, 1);
	fill(md, 64, 2);
	assert_int_equal(IO(host, nvme_cmd_write, 5, 4, DATA, MD), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 6, 2, DATA2, MD2), 0);
	assert_memory_equal(host_page(host, DATA2), host_page(host, DATA) + 512, 1024);
	assert_memory_equal(md2, md + 16, 32);
	assert_int_equal(IO(host, nvme_cmd_compare, 5, 4, DATA, MD), 0);
	md[63] ^= 1;
	assert_int_equal(IO(host, nvme_cmd_compare, 5, 4, DATA, MD), MEDIA(COMPARE_FAILED));
	md[63] ^= 1;
	assert_int_equal(IO(host, nvme_cmd_write_zeroes, 6, 1), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 5, 3, DATA2, MD2), 0);
	assert_memory_equal(md2, md, 16);
	assert_int_equal(md2[16], 0);
	assert_int_equal(md2[31], 0);
	assert_memory_equal(md2 + 32, md + 32, 16);
	host_free(host);
}

static void test_interleaved(void **state)
{
	struct host *host = started("mem,size=1M,ms=64,mset=1,mdts=1");

	fill(host_page(host, DATA), 5 * 576, 3);
	assert_int_equal(IO(host, nvme_cmd_write, 9, 5, DATA), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 9, 5, DATA2), 0);
	assert_memory_equal(host_page(host, DATA2), host_page(host, DATA), 5 * 576);
	assert_int_equal(IO(host, nvme_cmd_read, 11, 1, DATA2), 0);
	assert_memory_equal(host_page(host, DATA2), host_page(host, DATA) + 2 * 576, 576);
	/* metadata counts: 15 × 576 is more than 8 KiB, 14 × 576 isn't */
	assert_int_equal(IO(host, nvme_cmd_read, 0, 14, DATA2), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 0, 15, DATA2), GENERIC(INVALID_FIELD));
	host_free(host);
}

static void check_insert(const char *spec, uint8_t type, uint32_t ms, uint32_t offset)
{
	struct host *host = started(spec);
	uint8_t *md = host_page(host, MD), *pi = md + offset;

	memset(host_page(host, DATA), 0, HOST_PAGE);
	memset(md, 0, 256);
	memcpy(host_page(host, DATA) + 503, "123456789", 9);
	/* CRC16 T10-DIF of "123456789" is D0DBh; leading zeroes don't count */
	assert_int_equal(IO(host, nvme_cmd_write, 7, 2, DATA, MD, PRACT, 7, 0x1234), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 7, 2, DATA2, MD), 0);
	if (offset == 0 || ms == 8) {
		assert_int_equal(pi[0], 0xd0);
		assert_int_equal(pi[1], 0xdb);
	}
	assert_int_equal(pi[2], 0x12);
	assert_int_equal(pi[3], 0x34);
	assert_int_equal(pi[7], 7);
	assert_int_equal(pi[ms + 7], type == 3 ? 7 : 8);
	/* read with checks, stripped where that is all that there is */
	memset(md, 0x77, 256);
	assert_int_equal(
		IO(host, nvme_cmd_read, 7, 2, DATA2, MD, PRACT | GUARD | APP, 7, 0xffff1234), 0);
	assert_int_equal(md[0] == 0x77, ms == 8);
	assert_int_equal(IO(host, nvme_cmd_verify, 7, 2, 0, 0, APP, 7, 0xff001200), 0);
	assert_int_equal(IO(host, nvme_cmd_verify, 7, 2, 0, 0, APP, 7, 0xffff1235),
			 MEDIA(APPTAG_CHECK));
	if (type == 2) {
		assert_int_equal(IO(host, nvme_cmd_verify, 8, 1, 0, 0, REF, 8), 0);
		assert_int_equal(IO(host, nvme_cmd_verify, 8, 1, 0, 0, REF, 7),
				 MEDIA(REFTAG_CHECK));
	} else {
		assert_int_equal(IO(host, nvme_cmd_verify, 8, 1, 0, 0, REF, 7),
				 SPECIFIC(INVALID_PI));
	}
	host_free(host);
}

static void test_insert(void **state)
{
	check_insert("mem,size=1M,ms=8,pi=1", 1, 8, 0);
	check_insert("mem,size=1M,ms=8,pi=2", 2, 8, 0);
	check_insert("mem,size=1M,ms=8,pi=3", 3, 8, 0);
	check_insert("mem,size=1M,ms=16,pi=1", 1, 16, 8);
	check_insert("mem,size=1M,ms=64,pi=2,pil=1", 2, 64, 0);
}

static void test_checks(void **state)
{
	struct host *host = started("mem,size=1M,ms=8,pi=1");
	uint8_t *md = host_page(host, MD);

	/* never written: not protected, nothing to check */
	assert_int_equal(IO(host, nvme_cmd_read, 3, 2, DATA2, MD, GUARD | APP | REF, 3, 0xffff5555),
			 0);
	for (int i = 0; i < 16; i++)
		assert_int_equal(md[i], 0xff);
	fill(host_page(host, DATA), 512, 4);
	assert_int_equal(IO(host, nvme_cmd_write, 3, 1, DATA, MD, PRACT, 3, 0x4321), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 3, 1, DATA2, MD), 0);
	/* what the host sends is checked before it is stored */
	md[0] ^= 1;
	assert_int_equal(IO(host, nvme_cmd_write, 3, 1, DATA, MD, GUARD, 3), MEDIA(GUARD_CHECK));
	assert_int_equal(IO(host, nvme_cmd_verify, 3, 1, 0, 0, GUARD | APP | REF, 3, 0xffff4321),
			 0);
	/* and stored as it is when it shall not be */
	assert_int_equal(IO(host, nvme_cmd_write, 3, 1, DATA, MD, APP, 3, 0xffff4321), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 3, 1, DATA2, MD2, GUARD, 3), MEDIA(GUARD_CHECK));
	md[0] ^= 1;
	md[6] ^= 1;
	assert_int_equal(IO(host, nvme_cmd_write, 3, 1, DATA, MD, REF, 3), MEDIA(REFTAG_CHECK));
	assert_int_equal(IO(host, nvme_cmd_write, 3, 1, DATA, MD, GUARD, 3), 0);
	assert_int_equal(IO(host, nvme_cmd_compare, 3, 1, DATA, MD2, GUARD | REF, 3),
			 MEDIA(REFTAG_CHECK));
	assert_int_equal(IO(host, nvme_cmd_compare, 3, 1, DATA, MD2, GUARD, 3), 0);
	assert_int_equal(IO(host, nvme_cmd_verify, 3, 1, 0, 0, PRACT, 3), SPECIFIC(INVALID_PI));
	/* zeroes: protected when asked for, else not checked */
	assert_int_equal(IO(host, nvme_cmd_write_zeroes, 20, 2, 0, 0, PRACT, 20, 0x11), 0);
	assert_int_equal(IO(host, nvme_cmd_verify, 20, 2, 0, 0, GUARD | APP | REF, 20, 0xffff0011),
			 0);
	assert_int_equal(IO(host, nvme_cmd_verify, 21, 1, 0, 0, APP, 21, 0xffff0012),
			 MEDIA(APPTAG_CHECK));
	assert_int_equal(IO(host, nvme_cmd_write_zeroes, 20, 2, 0, 0, PRACT | 1u << 25, 20), 0);
	assert_int_equal(IO(host, nvme_cmd_verify, 21, 1, 0, 0, APP, 21, 0xffff0012), 0);
	assert_int_equal(IO(host, nvme_cmd_write_zeroes, 20, 2, 0, 0, REF, 20),
			 SPECIFIC(INVALID_PI));
	host_free(host);
}

static void test_uncorrectable(void **state)
{
	struct host *host = started("mem,size=1M");

	assert_int_equal(IO(host, nvme_cmd_write_uncor, 100, 2), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 99, 1, DATA), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 99, 2, DATA), MEDIA(READ_ERROR));
	assert_int_equal(IO(host, nvme_cmd_compare, 101, 1, DATA), MEDIA(READ_ERROR));
	assert_int_equal(IO(host, nvme_cmd_verify, 98, 8), MEDIA(READ_ERROR));
	assert_int_equal(IO(host, nvme_cmd_write, 100, 1, DATA), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 100, 1, DATA), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 101, 1, DATA), MEDIA(READ_ERROR));
	assert_int_equal(IO(host, nvme_cmd_write_zeroes, 101, 1), 0);
	assert_int_equal(IO(host, nvme_cmd_verify, 98, 8), 0);
	assert_int_equal(IO(host, nvme_cmd_write_uncor, 2047, 2), GENERIC(LBA_RANGE));
	host_free(host);
}

static uint16_t copy(struct host *host, uint64_t sdlba, uint32_t n, uint32_t cdw12, uint32_t *dw0)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_cmd_copy,
		.nsid = cpu_to_le32(1),
		.dptr = {cpu_to_le64(host_iova(DATA2)), cpu_to_le64(host_iova(DATA2 + 1))},
		.cdw10 = cpu_to_le32((uint32_t)sdlba),
		.cdw12 = cpu_to_le32((n - 1) | cdw12),
		.cdw14 = cpu_to_le32((uint32_t)sdlba),
	};

	return host_do(host, 1, &cmd, dw0);
}

static void check_copy(const char *spec, bool pi)
{
	struct host *host = started(spec);
	struct nvme_copy_range *r = (void *)host_page(host, DATA2);
	uint32_t dw0 = 9, info = pi ? 0xcu << 12 | 0x8u << 26 : 0; /* check and insert */

	memset(r, 0, HOST_PAGE);
	fill(host_page(host, DATA), 2048, 9);
	assert_int_equal(IO(host, nvme_cmd_write, 10, 4, DATA, MD, pi ? PRACT : 0, 10), 0);
	r[0] = (struct nvme_copy_range){.slba = cpu_to_le64(12), .nlb = cpu_to_le16(1)};
	r[1] = (struct nvme_copy_range){.slba = cpu_to_le64(10), .nlb = cpu_to_le16(0)};
	assert_int_equal(copy(host, 50, 2, info, NULL), 0);
	assert_int_equal(
		IO(host, nvme_cmd_read, 50, 3, DATA + 2, MD, pi ? PRACT | GUARD | REF : 0, 50), 0);
	assert_memory_equal(host_page(host, DATA + 2), host_page(host, DATA) + 1024, 1024);
	assert_memory_equal(host_page(host, DATA + 2) + 1024, host_page(host, DATA), 512);
	assert_int_equal(copy(host, 50, 2, info | 1u << 8, NULL), GENERIC(INVALID_FIELD));
	assert_int_equal(copy(host, 50, 129, info, NULL), SPECIFIC(CMD_SIZE_LIMIT_EXCEEDED));
	assert_int_equal(copy(host, 2046, 2, info, NULL), GENERIC(LBA_RANGE));
	assert_int_equal(IO(host, nvme_cmd_write_uncor, 10, 1), 0);
	assert_int_equal(copy(host, 60, 2, info, &dw0), MEDIA(READ_ERROR));
	assert_int_equal(dw0, 1);
	r[1].slba = cpu_to_le64(2048);
	assert_int_equal(copy(host, 50, 2, info, NULL), GENERIC(LBA_RANGE));
	r[1].nlb = cpu_to_le16(1024);
	assert_int_equal(copy(host, 50, 2, info, NULL), SPECIFIC(CMD_SIZE_LIMIT_EXCEEDED));
	for (int i = 0; i < 5; i++)
		r[i] = (struct nvme_copy_range){.nlb = cpu_to_le16(1023)};
	assert_int_equal(copy(host, 50, 5, info, NULL), SPECIFIC(CMD_SIZE_LIMIT_EXCEEDED));
	if (pi)
		assert_int_equal(copy(host, 50, 1, 0x8u << 26, NULL), GENERIC(INVALID_FIELD));
	host_free(host);
}

static void test_copy(void **state)
{
	check_copy("mem,size=1M", false);
	check_copy("mem,size=1M,ms=8,pi=2", true);
}

static void pair(struct host *host, uint64_t slba, uint64_t slba2, uint32_t n, uint16_t want,
		 uint16_t want2)
{
	struct nvmux_cmd a = host_rw(nvme_cmd_compare, 1, slba, n, host_iova(DATA),
				     host_iova(DATA + 1));
	struct nvmux_cmd b = host_rw(nvme_cmd_write, 1, slba2, n, host_iova(DATA2),
				     host_iova(DATA2 + 1));
	struct nvmux_cpl cpl;

	a.flags = 1;
	b.flags = 2;
	host_put(host, 1, &a);
	host_put(host, 1, &b);
	host_ring(host, 1);
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 2);
	assert_true(host_take(host, 1, &cpl));
	assert_int_equal(nvmux_cpl_status(&cpl) & NVMUX_STATUS_CODE_MASK, want);
	assert_true(host_take(host, 1, &cpl));
	assert_int_equal(nvmux_cpl_status(&cpl) & NVMUX_STATUS_CODE_MASK, want2);
}

static void test_fused(void **state)
{
	struct host *host = started("mem,size=1M");
	struct nvmux_cmd cmd = host_rw(nvme_cmd_compare, 1, 0, 1, host_iova(DATA), 0);

	memset(host_page(host, DATA), 0, HOST_PAGE);
	memset(host_page(host, DATA2), 7, HOST_PAGE);
	pair(host, 4, 4, 8, 0, 0);
	assert_int_equal(IO(host, nvme_cmd_read, 11, 1, DATA + 2), 0);
	assert_int_equal(host_page(host, DATA + 2)[0], 7);
	memset(host_page(host, DATA2), 8, HOST_PAGE);
	pair(host, 4, 4, 1, MEDIA(COMPARE_FAILED), GENERIC(FUSED_FAIL));
	assert_int_equal(IO(host, nvme_cmd_read, 4, 1, DATA + 2), 0);
	assert_int_equal(host_page(host, DATA + 2)[0], 7);
	pair(host, 4, 5, 1, GENERIC(INVALID_FIELD), GENERIC(INVALID_FIELD));
	pair(host, 20, 20, 9, GENERIC(AWU_EXCEEDED), GENERIC(AWU_EXCEEDED));
	pair(host, 2048, 2048, 1, GENERIC(LBA_RANGE), GENERIC(FUSED_FAIL));
	/* one without the other */
	cmd.flags = 1;
	assert_int_equal(host_do(host, 1, &cmd, NULL), GENERIC(FUSED_MISSING));
	cmd.flags = 2;
	assert_int_equal(host_do(host, 1, &cmd, NULL), GENERIC(FUSED_MISSING));
	pair(host, 30, 30, 1, 0, 0);
	host_free(host);
}

static void test_left_out(void **state)
{
	struct host *host = started("mem,size=1M,oncs=1ff");
	static const uint8_t opcodes[] = {
		nvme_cmd_compare,     nvme_cmd_write_uncor, nvme_cmd_dsm, nvme_cmd_write_zeroes,
		nvme_cmd_resv_report, nvme_cmd_verify,      nvme_cmd_copy};

	for (size_t i = 0; i < sizeof(opcodes); i++)
		assert_int_equal(IO(host, opcodes[i], 0, 1, DATA), GENERIC(INVALID_OPCODE));
	assert_int_equal(IO(host, nvme_cmd_write, 0, 1, DATA), 0);
	host_free(host);
}

static void test_format(void **state)
{
	struct host *host = started("mem,size=1M");
	const struct nvme_id_ns *id = (void *)host_page(host, DATA2);
	struct nvmux_cmd identify = host_identify(NVME_IDENTIFY_CNS_NS, 1, DATA2);
	struct nvmux_cmd cmd = {.opc = nvme_admin_format_nvm, .nsid = cpu_to_le32(1)};

	fill(host_page(host, DATA), 512, 6);
	assert_int_equal(IO(host, nvme_cmd_write, 3, 1, DATA), 0);
	assert_int_equal(IO(host, nvme_cmd_write_uncor, 4, 1), 0);
	cmd.cdw10 = cpu_to_le32(2 | 1 << 4 | 1 << 5); /* 512 + 8, interleaved, type 1 */
	assert_int_equal(host_do(host, 0, &cmd, NULL), 0);
	assert_int_equal(host_do(host, 0, &identify, NULL), 0);
	assert_int_equal(id->flbas, 0x12);
	assert_int_equal(id->dps, 1);
	assert_int_equal(IO(host, nvme_cmd_read, 3, 2, DATA), 0);
	for (int i = 0; i < 1040; i++)
		assert_int_equal(host_page(host, DATA)[i], i % 520 < 512 ? 0 : 0xff);
	cmd.cdw10 = cpu_to_le32(0 | 1 << 5); /* protected, without metadata */
	assert_int_equal(host_do(host, 0, &cmd, NULL), SPECIFIC(INVALID_FORMAT));
	cmd.cdw10 = cpu_to_le32(1);
	assert_int_equal(host_do(host, 0, &cmd, NULL), 0);
	assert_int_equal(host_do(host, 0, &identify, NULL), 0);
	assert_int_equal(id->flbas, 1);
	assert_int_equal(le64_to_cpu(id->nsze), 256);
	assert_int_equal(IO(host, nvme_cmd_read, 255, 1, DATA), 0);
	host_free(host);
}

/* Metadata stays with its file; and a null namespace takes it and forgets it. */
static void test_backings(void **state)
{
	char path[] = "/tmp/test_emu_blocks.XXXXXX", spec[128];
	int fd = mkstemp(path);
	struct host *host;

	assert_true(fd >= 0);
	close(fd);
	snprintf(spec, sizeof(spec), "file,path=%s,size=1000K,ms=8,pi=1", path);
	host = started(spec);
	fill(host_page(host, DATA), 512, 5);
	assert_int_equal(IO(host, nvme_cmd_write, 1999, 1, DATA, 0, PRACT | 1u << 30, 1999, 5), 0);
	host_free(host);
	snprintf(spec, sizeof(spec), "file,path=%s,ms=8,pi=1", path); /* its own size */
	host = started(spec);
	assert_int_equal(
		IO(host, nvme_cmd_verify, 1999, 1, 0, 0, GUARD | APP | REF, 1999, 0xffff0005), 0);
	assert_int_equal(IO(host, nvme_cmd_verify, 1999, 1, 0, 0, APP, 1999, 0xffff0006),
			 MEDIA(APPTAG_CHECK));
	host_free(host);
	unlink(path);
	host = started("null,size=1M,ms=8,pi=1");
	assert_int_equal(IO(host, nvme_cmd_write, 3, 1, DATA, MD, PRACT, 3), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 3, 1, DATA, MD), 0);
	assert_int_equal(IO(host, nvme_cmd_read, 3, 1, DATA, 0, PRACT), 0);
	host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_separate),      cmocka_unit_test(test_interleaved),
		cmocka_unit_test(test_insert),        cmocka_unit_test(test_checks),
		cmocka_unit_test(test_uncorrectable), cmocka_unit_test(test_copy),
		cmocka_unit_test(test_fused),         cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_backings),
	};

	return cmocka_run_group_tests_name("emu_blocks", tests, NULL, NULL);
}
