// SPDX-License-Identifier: BSD-3-Clause
/* NVMe over Fabrics as bytes: vectors of the specification, and what hostile targets may send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "transports/rdma/fabrics.h"

#define SUBNQN  "nqn.2024-01.org.example:disk"
#define HOSTNQN "nqn.2014-08.org.nvmexpress:uuid:00112233-4455-6677-8899-aabbccddeeff"

static void connect_opts(struct nvmux_ctrlr_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	strcpy(opts->hostnqn, HOSTNQN);
	for (unsigned i = 0; i < sizeof(opts->hostid); i++)
		opts->hostid[i] = (uint8_t)(i * 0x11);
}

static void test_connect_admin(void **state)
{
	/* Opcode, fctype in byte 4; record format, qid, sqsize, attributes, KATO from byte 40. */
	static const uint8_t expected[64] = {
		[0] = 0x7f, [4] = 0x01, [44] = 31, [48] = 0x98, [49] = 0x3a,
	};
	struct fabrics_connect_data data;
	struct nvmux_ctrlr_opts opts;
	struct nvmux_cmd cmd;
	const uint8_t *bytes = (const uint8_t *)&data;

	connect_opts(&opts);
	memset(&data, 0xa5, sizeof(data));
	memset(&cmd, 0xa5, sizeof(cmd));
	fabrics_connect(&cmd, &data, 0, 31, 15000, FABRICS_CNTLID_DYNAMIC, SUBNQN, &opts);
	assert_memory_equal(&cmd, expected, sizeof(expected));
	assert_memory_equal(bytes, opts.hostid, 16);
	assert_int_equal(bytes[16], 0xff);
	assert_int_equal(bytes[17], 0xff);
	for (unsigned i = 18; i < 256; i++)
		assert_int_equal(bytes[i], 0);
	assert_string_equal((const char *)bytes + 256, SUBNQN);
	assert_string_equal((const char *)bytes + 512, HOSTNQN);
	for (unsigned i = 256 + sizeof(SUBNQN); i < 512; i++)
		assert_int_equal(bytes[i], 0);
	for (unsigned i = 768; i < 1024; i++)
		assert_int_equal(bytes[i], 0);
}

static void test_connect_io(void **state)
{
	static const uint8_t expected[64] = {
		[0] = 0x7f, [4] = 0x01, [42] = 0x34, [43] = 0x12, [44] = 0xff, [45] = 0x03,
	};
	struct fabrics_connect_data data;
	struct nvmux_ctrlr_opts opts;
	struct nvmux_cmd cmd;
	char longest[NVMUX_NQN_MAX];

	connect_opts(&opts);
	memset(longest, 'q', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	/* The keep-alive timer is the controller's, not the queue's. */
	fabrics_connect(&cmd, &data, 0x1234, 0x3ff, 15000, 0x0102, longest, &opts);
	assert_memory_equal(&cmd, expected, sizeof(expected));
	assert_int_equal(((uint8_t *)&data)[16], 0x02);
	assert_int_equal(((uint8_t *)&data)[17], 0x01);
	assert_string_equal(data.subnqn, longest);
}

static void test_properties(void **state)
{
	static const uint8_t get_cap[64] = {[0] = 0x7f, [4] = 0x04, [40] = 1};
	static const uint8_t get_csts[64] = {[0] = 0x7f, [4] = 0x04, [44] = 0x1c};
	static const uint8_t set_cc[64] = {
		[0] = 0x7f, [44] = 0x14, [48] = 0x01, [49] = 0x00, [50] = 0x46, [51] = 0x00,
	};
	static const uint8_t set_8[64] = {
		[0] = 0x7f, [40] = 1, [44] = 0x28, [48] = 8, [49] = 7, [50] = 6,
		[51] = 5,   [52] = 4, [53] = 3,    [54] = 2, [55] = 1,
	};
	struct nvmux_cpl cpl = {
		.dw0 = cpu_to_le32(0x89abcdef),
		.dw1 = cpu_to_le32(0x01234567),
	};
	struct nvmux_cmd cmd;

	fabrics_property_get(&cmd, 0, 8);
	assert_memory_equal(&cmd, get_cap, 64);
	fabrics_property_get(&cmd, 0x1c, 4);
	assert_memory_equal(&cmd, get_csts, 64);
	/* What is beyond a property of four bytes isn't sent. */
	fabrics_property_set(&cmd, 0x14, 4, 0xdead000000460001ull);
	assert_memory_equal(&cmd, set_cc, 64);
	fabrics_property_set(&cmd, 0x28, 8, 0x0102030405060708ull);
	assert_memory_equal(&cmd, set_8, 64);
	assert_int_equal(fabrics_property_value(&cpl, 8), 0x0123456789abcdefull);
	/* A target may leave anything in the second half. */
	assert_int_equal(fabrics_property_value(&cpl, 4), 0x89abcdef);
}

static void test_sgl(void **state)
{
	static const uint8_t keyed[16] = {
		0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
		0xef, 0xcd, 0xab, 0xfe, 0xca, 0xde, 0xc0, 0x40,
	};
	static const uint8_t capsule[16] = {
		0x00, 0x10, 0, 0, 0, 0, 0, 0, 0x00, 0x20, 0x00, 0x00, 0, 0, 0, 0x01,
	};
	static const uint8_t none[16] = {[15] = 0x40};
	struct nvmux_cmd cmd = {.flags = 0x83}; /* FUSE stays, PSDT is set */

	fabrics_sgl_keyed(&cmd, 0x1122334455667788ull, 0xabcdef, 0xc0decafe);
	assert_memory_equal(cmd.dptr, keyed, 16);
	assert_int_equal(cmd.flags, 0x43);
	cmd.flags = 0xc0;
	fabrics_sgl_in_capsule(&cmd, 0x1000, 0x2000);
	assert_memory_equal(cmd.dptr, capsule, 16);
	assert_int_equal(cmd.flags, 0x40);
	/* A command without data. */
	fabrics_sgl_keyed(&cmd, 0, 0, 0);
	assert_memory_equal(cmd.dptr, none, 16);
}

/* ---- Connect that fails ---- */

static int connect_error(uint16_t status, uint32_t dw0, char *why, size_t size, bool *permanent)
{
	struct nvmux_cpl cpl = {
		.dw0 = cpu_to_le32(dw0),
		.status = cpu_to_le16((uint16_t)(status << 1 | 1)), /* phase tag set by mistake */
	};
	struct fabrics_connect_data data;
	struct nvmux_ctrlr_opts opts;
	struct nvmux_cmd cmd;

	connect_opts(&opts);
	fabrics_connect(&cmd, &data, 3, 31, 0, 0x0007, SUBNQN, &opts);
	return fabrics_connect_error(&cpl, &data, why, size, permanent);
}

static void test_connect_errors(void **state)
{
	static const struct {
		uint16_t status;
		uint32_t dw0;
		int err;
		bool permanent;
		const char *says;
	} cases[] = {
		{0x4182, 0x10100, -ENOENT, true, SUBNQN},
		{0x4182, 0x10200, -EINVAL, true, HOSTNQN},
		{0x4182, 0x10000, -EINVAL, true, "host identifier"},
		{0x4182, 0x10010, -EINVAL, true, "controller 0x7"},
		{0x4182, 0x103ff, -EINVAL, true, "byte 1023 of the Connect data"},
		{0x4182, 40, -EINVAL, true, "format"},
		{0x4182, 42, -EINVAL, true, "queue identifier"},
		{0x0182, 44, -EINVAL, false, "SQSIZE"},
		{0x4182, 46, -EINVAL, true, "attributes"},
		{0x4182, 48, -EINVAL, true, "keep-alive"},
		{0x4182, 0xffff, -EINVAL, true, "byte 65535 of Connect "},
		{0x4182, 0xffffffff, -EINVAL, true, "byte 65535 of the Connect data"},
		{0x4184, 0x10200, -EACCES, true, HOSTNQN},
		{0x4184, 0, -EACCES, true, SUBNQN},
		{0x0181, 0, -EBUSY, false, "controller busy"},
		{0x4180, 0, -EINVAL, true, "format"},
		{0x0183, 0, -ESTALE, false, "discovery"},
		{0x4191, 0, -EACCES, true, "authentication"},
		{0x400c, 0, -EAGAIN, true, "such a queue already"},
		{0x7fff, 0, -EIO, true, "status 7ff"},
		{0x0006, 0, -EIO, false, "status 006"},
	};
	char why[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool permanent = !cases[i].permanent;

		assert_int_equal(
			connect_error(cases[i].status, cases[i].dw0, why, sizeof(why), &permanent),
			cases[i].err);
		assert_int_equal(permanent, cases[i].permanent);
		if (!strstr(why, cases[i].says))
			fail_msg("'%s' doesn't say '%s'", why, cases[i].says);
	}
}

static void test_connect_error_is_cut(void **state)
{
	char why[16 + 1];
	bool permanent;

	why[16] = '#';
	connect_error(0x4184, 0, why, 16, &permanent);
	assert_int_equal(strlen(why), 15);
	assert_int_equal(why[16], '#');
}

static void test_connect_result(void **state)
{
	uint16_t cntlid = 0x5555;
	char why[128];

	assert_int_equal(fabrics_connect_result(1u << 17 | 3, &cntlid, why, sizeof(why)), -EACCES);
	assert_int_equal(fabrics_connect_result(1u << 18 | 3, &cntlid, why, sizeof(why)), -EACCES);
	assert_int_equal(cntlid, 0x5555);
	assert_non_null(strstr(why, "authentication"));
	assert_int_equal(
		fabrics_connect_result(0xfff8fffeu & ~(3u << 17), &cntlid, why, sizeof(why)), 0);
	assert_int_equal(cntlid, 0xfffe);
}

/* ---- private data ---- */

static void test_rdma_request(void **state)
{
	static const uint8_t expected[32] = {
		0, 0, 0x02, 0x01, 0x00, 0x04, 0xff, 0x03, 0x07, 0x00,
	};
	struct fabrics_rdma_request req;

	memset(&req, 0xa5, sizeof(req));
	fabrics_rdma_request(&req, 0x0102, 0x400, 0x3ff, 7);
	assert_memory_equal(&req, expected, sizeof(expected));
}

static void test_rdma_accept(void **state)
{
	uint8_t data[256] = {0, 0, 0x20, 0x01};
	uint16_t crqsize = 0x5555;

	assert_int_equal(fabrics_rdma_accept(data, 32, &crqsize), 0);
	assert_int_equal(crqsize, 0x0120);
	/* The InfiniBand connection manager delivers its whole field. */
	crqsize = 0;
	assert_int_equal(fabrics_rdma_accept(data, 196, &crqsize), 0);
	assert_int_equal(crqsize, 0x0120);
	assert_int_equal(fabrics_rdma_accept(NULL, 0, &crqsize), 0);
	assert_int_equal(crqsize, 0);
	crqsize = 0x5555;
	assert_int_equal(fabrics_rdma_accept(data, 0, &crqsize), 0);
	assert_int_equal(crqsize, 0);
	crqsize = 0x5555;
	for (size_t len = 1; len < 4; len++)
		assert_int_equal(fabrics_rdma_accept(data, len, &crqsize), -EPROTO);
	data[1] = 1; /* record format 256 */
	assert_int_equal(fabrics_rdma_accept(data, 32, &crqsize), -EPROTO);
	assert_int_equal(crqsize, 0x5555);
}

static int reject(const void *data, size_t len, int reason, uint16_t qid, char *why, size_t size,
		  bool *stale)
{
	struct fabrics_rdma_request req;

	fabrics_rdma_request(&req, qid, 128, 127, qid ? 7 : 0xffff);
	return fabrics_rdma_reject(data, len, reason, qid, &req, why, size, stale);
}

static void test_rdma_reject_status(void **state)
{
	static const struct {
		int err;
		const char *says;
	} cases[] = {
		{-ECONNREFUSED, "without a reason"},
		{-EPROTO, "length"},
		{-EPROTO, "format"},
		{-EINVAL, "queue identifier 5"},
		{-EINVAL, "depth of 128 for the I/O queue"},
		{-EINVAL, "receive queue"},
		{-EBUSY, "resources"},
		{-EINVAL, "IRD"},
		{-EINVAL, "ORD"},
		{-EINVAL, "controller identifier 0x7"},
		{-EPROTO, "unknown status 10"},
	};
	uint8_t data[148] = {0};
	char why[256], other[256];
	bool stale;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		data[2] = (uint8_t)i;
		stale = true;
		assert_int_equal(reject(data, i % 2 ? 4 : 148, 28, 5, why, sizeof(why), &stale),
				 cases[i].err);
		assert_false(stale);
		if (!strstr(why, cases[i].says))
			fail_msg("'%s' doesn't say '%s'", why, cases[i].says);
		/* iWARP: the same, with an errno value in place of the reason. */
		assert_int_equal(reject(data, 4, -ECONNREFUSED, 5, other, sizeof(other), &stale),
				 cases[i].err);
		assert_string_equal(why, other);
	}
	data[2] = 4;
	reject(data, 4, 28, 0, why, sizeof(why), &stale);
	assert_non_null(strstr(why, "admin queue"));
	data[2] = 0xff;
	data[3] = 0xff;
	assert_int_equal(reject(data, 4, 28, 5, why, sizeof(why), &stale), -EPROTO);
	assert_non_null(strstr(why, "65535"));
}

static void test_rdma_reject_hostile(void **state)
{
	uint8_t data[148] = {[2] = 4};
	char why[256];
	bool stale;

	assert_int_equal(reject(NULL, 0, 28, 1, why, sizeof(why), &stale), -ECONNREFUSED);
	/* A length without data. */
	assert_int_equal(reject(NULL, 148, 28, 1, why, sizeof(why), &stale), -ECONNREFUSED);
	for (size_t len = 1; len < 4; len++) {
		assert_int_equal(reject(data, len, 28, 1, why, sizeof(why), &stale), -EPROTO);
		assert_non_null(strstr(why, "bytes of private data"));
	}
	data[0] = 1;
	assert_int_equal(reject(data, 148, 28, 1, why, sizeof(why), &stale), -EPROTO);
	assert_non_null(strstr(why, "format 1"));
}

static void test_rdma_reject_reason(void **state)
{
	static const uint8_t zeros[148]; /* what comes with the connection manager's own rejects */
	char why[256];
	bool stale = true;

	assert_int_equal(reject(zeros, 148, 8, 0, why, sizeof(why), &stale), -ECONNREFUSED);
	assert_non_null(strstr(why, "nobody listens"));
	assert_false(stale);
	assert_int_equal(reject(NULL, 0, -ECONNREFUSED, 0, why, sizeof(why), &stale),
			 -ECONNREFUSED);
	assert_non_null(strstr(why, "nobody listens"));
	assert_int_equal(reject(zeros, 148, 10, 0, why, sizeof(why), &stale), -ECONNRESET);
	assert_true(stale);
	assert_int_equal(reject(zeros, 148, 3, 0, why, sizeof(why), &stale), -EBUSY);
	assert_int_equal(reject(zeros, 148, 4, 0, why, sizeof(why), &stale), -ETIMEDOUT);
	assert_int_equal(reject(zeros, 148, 26, 0, why, sizeof(why), &stale), -ECONNREFUSED);
	assert_non_null(strstr(why, "reason 26"));
	assert_false(stale);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_admin),
		cmocka_unit_test(test_connect_io),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_sgl),
		cmocka_unit_test(test_connect_errors),
		cmocka_unit_test(test_connect_error_is_cut),
		cmocka_unit_test(test_connect_result),
		cmocka_unit_test(test_rdma_request),
		cmocka_unit_test(test_rdma_accept),
		cmocka_unit_test(test_rdma_reject_status),
		cmocka_unit_test(test_rdma_reject_hostile),
		cmocka_unit_test(test_rdma_reject_reason),
	};

	return cmocka_run_group_tests_name("fabrics", tests, NULL, NULL);
}
