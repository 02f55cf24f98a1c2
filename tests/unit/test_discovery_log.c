// SPDX-License-Identifier: BSD-3-Clause
/* Discovery log pages of services that are right, careless, or hostile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "discovery_page.h"
#include "libcore/discovery_log.h"

#define NQN "nqn.2014-08.org.nvmexpress:uuid:1"

static const char *parse(const struct nvmf_disc_log_entry *r, struct nvmux_discovery_entry *ret)
{
	return discovery_record_parse((const uint8_t *)r, ret);
}

static void test_a_record(void **state)
{
	struct nvmf_disc_log_entry r = page_record(2, "192.168.77.1", "4420", NQN);
	struct nvmux_discovery_entry e;

	r.portid = cpu_to_le16(0x1234);
	r.eflags = cpu_to_le16(0x8001);
	r.tsas.rdma.prtype = 4;
	assert_null(parse(&r, &e));
	assert_int_equal(e.trid.trtype, NVMUX_TRTYPE_RDMA);
	assert_int_equal(e.trid.adrfam, NVMUX_ADRFAM_IPV4);
	assert_string_equal(e.trid.traddr, "192.168.77.1");
	assert_string_equal(e.trid.trsvcid, "4420");
	assert_string_equal(e.trid.subnqn, NQN);
	assert_int_equal(e.subtype, NVMUX_DISCOVERY_NVME);
	assert_int_equal(e.trtype, 1);
	assert_int_equal(e.adrfam, 1);
	assert_int_equal(e.treq, 4);
	assert_int_equal(e.portid, 0x1234);
	assert_int_equal(e.cntlid, 0xffff);
	assert_int_equal(e.asqsz, 32);
	assert_int_equal(e.eflags, 0x8001);
	assert_int_equal(e.rdma_qptype, 1);
	assert_int_equal(e.rdma_prtype, 4);
	assert_int_equal(e.rdma_cms, 1);
	assert_int_equal(e.depth, 0);
	r = page_record(1, "fe80::1%eth0", "", NQN);
	assert_null(parse(&r, &e));
	assert_int_equal(e.trid.adrfam, NVMUX_ADRFAM_IPV6);
	assert_string_equal(e.trid.trsvcid, "");
}

/* What isn't used for anything may be anything. */
static void test_numbers_are_passed_on(void **state)
{
	static const uint16_t values[] = {0, 1, 31, 0xffef, 0xfff0, 0xfffd, 0xfffe, 0xffff};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct nvmf_disc_log_entry r = page_record(2, "10.0.0.1", "4420", NQN);
		struct nvmux_discovery_entry e;

		r.cntlid = r.asqsz = r.portid = r.eflags = cpu_to_le16(values[i]);
		r.treq = (uint8_t)values[i];
		assert_null(parse(&r, &e));
		assert_int_equal(e.cntlid, values[i]);
		assert_int_equal(e.asqsz, values[i]);
		assert_int_equal(e.portid, values[i]);
		assert_int_equal(e.eflags, values[i]);
	}
}

static void test_padding(void **state)
{
	struct nvmf_disc_log_entry r = page_record(2, "10.0.0.1", "4420", NQN);
	struct nvmux_discovery_entry e;

	page_text(r.traddr, sizeof(r.traddr), "10.0.0.1", ' ');
	page_text(r.trsvcid, sizeof(r.trsvcid), "4420", ' ');
	page_text(r.subnqn, sizeof(r.subnqn), NQN, ' ');
	assert_null(parse(&r, &e));
	assert_string_equal(e.trid.traddr, "10.0.0.1");
	assert_string_equal(e.trid.trsvcid, "4420");
	assert_string_equal(e.trid.subnqn, NQN);
	/* what is behind a NUL isn't text */
	memcpy(r.traddr, "10.0.0.2\0\x1b[2J", 14);
	assert_null(parse(&r, &e));
	assert_string_equal(e.trid.traddr, "10.0.0.2");
	/* a field without any terminator */
	r.trtype = NVMF_TRTYPE_TCP;
	memset(r.trsvcid, 's', sizeof(r.trsvcid));
	assert_null(parse(&r, &e));
	assert_int_equal(strlen(e.trid.trsvcid), 32);
}

static void left_out(const struct nvmf_disc_log_entry *r, const char *part)
{
	struct nvmux_discovery_entry e = {.portid = 4711}, before = e;
	const char *why = parse(r, &e);

	assert_non_null(why);
	if (!strstr(why, part))
		fail_msg("'%s' doesn't say '%s'", why, part);
	assert_memory_equal(&e, &before, sizeof(e));
}

static void test_text_that_is_refused(void **state)
{
	static const char *const bad[] = {"\x1b[2J", "10.0.0.1\n", "a b", "\x7f", "\xc3\xa4", "\t"};
	struct nvmf_disc_log_entry r;
	struct nvmux_discovery_entry e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		r = page_record(2, bad[i], "4420", NQN);
		left_out(&r, "TRADDR");
		r = page_record(2, "10.0.0.1", bad[i], NQN);
		left_out(&r, "TRSVCID");
		r = page_record(2, "10.0.0.1", "4420", bad[i]);
		left_out(&r, "SUBNQN");
	}
	r = page_record(2, "10.0.0.1", "4420", "");
	left_out(&r, "SUBNQN is empty");
	r = page_record(2, "10.0.0.1", "4420", NQN);
	memset(r.subnqn, 'n', sizeof(r.subnqn));
	left_out(&r, "SUBNQN");
	r.subnqn[224] = '\0';
	left_out(&r, "SUBNQN");
	r.subnqn[223] = '\0';
	assert_null(parse(&r, &e));
	assert_int_equal(strlen(e.trid.subnqn), 223);
	memset(r.traddr, 'a', sizeof(r.traddr));
	left_out(&r, "TRADDR");
}

static void test_types(void **state)
{
	struct nvmf_disc_log_entry r = page_record(2, "10.0.0.1", "4420", NQN);
	struct nvmux_discovery_entry e;

	for (unsigned subtype = 0; subtype < 256; subtype++) {
		r.subtype = (uint8_t)subtype;
		if (subtype < 1 || subtype > 3)
			left_out(&r, "subtype");
		else
			assert_null(parse(&r, &e));
	}
	r.subtype = 2;
	for (unsigned trtype = 0; trtype < 256; trtype++) {
		r.trtype = (uint8_t)trtype;
		assert_null(parse(&r, &e));
		assert_int_equal(e.trid.trtype,
				 trtype == 1 ? NVMUX_TRTYPE_RDMA : NVMUX_TRTYPE_COUNT);
		assert_int_equal(e.trtype, trtype);
	}
}

static void test_rdma_addresses(void **state)
{
	static const struct {
		uint8_t adrfam;
		const char *traddr, *trsvcid;
	} bad[] = {
		{1, "", "4420"},          {1, "localhost", "4420"},
		{1, "10.0.0", "4420"},    {1, "fe80::1", "4420"},
		{2, "10.0.0.1", "4420"},  {1, "10.0.0.1", "0"},
		{1, "10.0.0.1", "65536"}, {1, "10.0.0.1", "-1"},
		{1, "10.0.0.1", "44x"},   {1, "10.0.0.1", "000000000004420"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct nvmf_disc_log_entry r = page_record(2, bad[i].traddr, bad[i].trsvcid, NQN);

		r.adrfam = bad[i].adrfam;
		left_out(&r, "aren't an address");
	}
}

static void test_header(void **state)
{
	uint8_t buf[DISCOVERY_HEADER_SIZE];
	struct discovery_header h;
	char why[128];

	page_header(buf, 77, 4096, 0);
	assert_int_equal(discovery_header_parse(buf, sizeof(buf), &h, why, sizeof(why)), 0);
	assert_int_equal(h.genctr, 77);
	assert_int_equal(h.numrec, 4096);
	for (size_t n = 0; n < sizeof(buf); n++)
		assert_int_equal(discovery_header_parse(buf, n, &h, why, sizeof(why)), -EPROTO);
	assert_string_equal(why, "the header has 1023 bytes; it must have 1024");
	page_header(buf, 0, 4097, 0);
	assert_int_equal(discovery_header_parse(buf, sizeof(buf), &h, why, sizeof(why)), -EPROTO);
	assert_string_equal(why, "NUMREC is 4097; at most 4096 records are taken");
	page_header(buf, 0, UINT64_MAX, 0);
	assert_int_equal(discovery_header_parse(buf, sizeof(buf), &h, why, sizeof(why)), -EPROTO);
	page_header(buf, 0, 1ull << 32, 0);
	assert_int_equal(discovery_header_parse(buf, sizeof(buf), &h, why, sizeof(why)), -EPROTO);
	page_header(buf, 0, 1, 1);
	assert_int_equal(discovery_header_parse(buf, sizeof(buf), &h, why, sizeof(why)),
			 -EOPNOTSUPP);
	assert_string_equal(why, "RECFMT is 1; only format 0 is known");
	assert_int_equal(h.genctr, 77); /* set on success only */
}

/* A page in memory of its very size, so that a look beyond its end is seen. */
static uint8_t *page(uint32_t numrec, uint32_t records, size_t *ret_size)
{
	size_t size = DISCOVERY_HEADER_SIZE + (size_t)records * DISCOVERY_RECORD_SIZE;
	uint8_t *buf = malloc(size);

	page_header(buf, 5, numrec, 0);
	for (uint32_t i = 0; i < records; i++) {
		struct nvmf_disc_log_entry r = page_record(i % 3 == 2 ? 9 : 2, "10.0.0.1", "4420",
							   NQN);

		memcpy(buf + DISCOVERY_HEADER_SIZE + (size_t)i * DISCOVERY_RECORD_SIZE, &r,
		       sizeof(r));
	}
	*ret_size = size;
	return buf;
}

static void test_whole_pages(void **state)
{
	struct nvmux_discovery_log *log;
	uint32_t n_left_out;
	char why[128] = "";
	size_t size;
	uint8_t *buf = page(8, 8, &size);

	assert_int_equal(discovery_log_parse(buf, size, &log, &n_left_out, why, sizeof(why)), 0);
	assert_int_equal(log->genctr, 5);
	assert_int_equal(log->n, 6);
	assert_int_equal(n_left_out, 2);
	assert_string_equal(why, "record 2: its subtype is unknown");
	for (uint32_t i = 0; i < log->n; i++)
		assert_string_equal(log->entries[i].trid.subnqn, NQN);
	free(log);
	free(buf);
	buf = page(0, 0, &size);
	assert_int_equal(discovery_log_parse(buf, size, &log, &n_left_out, why, sizeof(why)), 0);
	assert_int_equal(log->n, 0);
	free(log);
	free(buf);
}

static void test_count_that_lies(void **state)
{
	static const uint32_t claims[] = {3, 4, 1000, 4096};
	struct nvmux_discovery_log *log = NULL;
	uint32_t n_left_out;
	char why[128];
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(claims); i++) {
		uint8_t *buf = page(claims[i], 2, &size);

		assert_int_equal(
			discovery_log_parse(buf, size, &log, &n_left_out, why, sizeof(why)),
			-EPROTO);
		assert_non_null(strstr(why, "but the log has 3072 bytes"));
		assert_null(log);
		free(buf);
	}
}

/* Any bytes of any length: an answer, and nothing outside of the buffer is touched. */
static void test_any_bytes(void **state)
{
	uint64_t random = 1;

	for (int round = 0; round < 3000; round++) {
		struct nvmux_discovery_log *log = NULL;
		uint32_t n_left_out = 0;
		char why[128];
		size_t size, n;
		uint8_t *buf = page(round % 6, 4, &size), *exact;
		int err;

		for (int i = 0; i < round % 40; i++) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			buf[(random >> 33) % size] = (uint8_t)(random >> 25);
		}
		n = round % 3 ? size : (random >> 33) % (size + 1);
		exact = malloc(n + !n);
		memcpy(exact, buf, n);
		err = discovery_log_parse(exact, n, &log, &n_left_out, why, sizeof(why));
		assert_int_equal(!err, log != NULL);
		for (uint32_t i = 0; log && i < log->n; i++) {
			for (const char *c = log->entries[i].trid.traddr; *c; c++)
				assert_true(*c > ' ' && *c <= '~');
		}
		free(log);
		free(exact);
		free(buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record),
		cmocka_unit_test(test_numbers_are_passed_on),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_text_that_is_refused),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_rdma_addresses),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_whole_pages),
		cmocka_unit_test(test_count_that_lies),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests_name("discovery_log", tests, NULL, NULL);
}
