// SPDX-License-Identifier: BSD-3-Clause
/* Transport ids as text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <nvmux/trid.h>

static void test_spdk_form(void **state)
{
	struct nvmux_trid t;

	assert_int_equal(nvmux_trid_parse(&t,
					  "trtype:RDMA adrfam:IPv4 traddr:192.168.77.1 "
					  "trsvcid:4420 subnqn:nqn.2014-08.org:x",
					  NULL, 0),
			 0);
	assert_int_equal(t.trtype, NVMUX_TRTYPE_RDMA);
	assert_int_equal(t.adrfam, NVMUX_ADRFAM_IPV4);
	assert_string_equal(t.traddr, "192.168.77.1");
	assert_string_equal(t.trsvcid, "4420");
	assert_string_equal(t.subnqn, "nqn.2014-08.org:x");
	assert_int_equal(nvmux_trid_parse(&t, "TRTYPE=pcie traddr=0000:04:00.0", NULL, 0), 0);
	assert_string_equal(t.traddr, "0000:04:00.0");
}

static void test_nvme_cli_form(void **state)
{
	struct nvmux_trid t;

	assert_int_equal(nvmux_trid_parse(&t,
					  "transport=rdma;traddr=fe80::1;trsvcid=4420;nqn=nqn.x",
					  NULL, 0),
			 0);
	assert_string_equal(t.traddr, "fe80::1");
	assert_string_equal(t.subnqn, "nqn.x");
	assert_int_equal(nvmux_trid_parse(&t, "transport=vfio-user;traddr=/tmp/a b", NULL, 0), 0);
	assert_int_equal(t.trtype, NVMUX_TRTYPE_VFIOUSER);
	assert_string_equal(t.traddr, "/tmp/a b");
}

static void check_error(const char *text, const char *part)
{
	struct nvmux_trid t = {.trsvcid = "untouched"};
	char why[200] = "";

	assert_int_equal(nvmux_trid_parse(&t, text, why, sizeof(why)), -EINVAL);
	if (!strstr(why, part))
		fail_msg("'%s': '%s' doesn't say '%s'", text, why, part);
	assert_string_equal(t.trsvcid, "untouched");
}

static void test_errors_name_key_and_rule(void **state)
{
	char lengthy[1200];

	check_error("trtype:TCPIP traddr:x", "trtype is 'TCPIP'");
	check_error("trtype:RDMA adrfam:IPX", "adrfam is 'IPX'");
	check_error("trtype:PCIE tradr:x", "unknown key 'tradr'");
	check_error("traddr:x", "names no transport");
	check_error("", "names no transport");
	check_error("trtype:PCIE nonsense", "'nonsense' isn't of the form");
	memset(lengthy, 'a', sizeof(lengthy) - 1);
	lengthy[sizeof(lengthy) - 1] = '\0';
	check_error(lengthy, "1199 bytes");
	memcpy(lengthy, "trtype:PCIE traddr:", 19);
	lengthy[19 + 256] = '\0';
	check_error(lengthy, "traddr has 256 bytes; at most 255");
}

static void test_round_trip(void **state)
{
	struct nvmux_trid a = {0}, b;
	char text[1024];

	a.trtype = NVMUX_TRTYPE_RDMA;
	a.adrfam = NVMUX_ADRFAM_IPV6;
	strcpy(a.traddr, "fe80::1");
	strcpy(a.trsvcid, "4420");
	strcpy(a.subnqn, "nqn.2014-08.org.nvmexpress:uuid:1");
	strcpy(a.host_iface, "eth0");
	assert_int_equal(nvmux_trid_format(&a, text, sizeof(text)), 0);
	assert_int_equal(nvmux_trid_parse(&b, text, NULL, 0), 0);
	assert_memory_equal(&a, &b, sizeof(a));
	for (size_t n = 0; n < strlen(text) + 1; n++)
		assert_int_equal(nvmux_trid_format(&a, text, n), -ENOSPC);
}

static int compare(const char *x, const char *y)
{
	struct nvmux_trid a, b;

	assert_int_equal(nvmux_trid_parse(&a, x, NULL, 0), 0);
	assert_int_equal(nvmux_trid_parse(&b, y, NULL, 0), 0);
	assert_int_equal(nvmux_trid_compare(&a, &b), -nvmux_trid_compare(&b, &a));
	return nvmux_trid_compare(&a, &b);
}

static void test_compare(void **state)
{
	assert_int_equal(compare("trtype:PCIE traddr:0000:04:00.0", "trtype:pcie traddr:04:00.0"),
			 0);
	assert_true(compare("trtype:PCIE traddr:0:4:0.0", "trtype:PCIE traddr:0:5:0.0") < 0);
	assert_int_not_equal(compare("trtype:PCIE traddr:0:4:0.0", "trtype:PCIE traddr:1:4:0.0"),
			     0);
	assert_int_not_equal(compare("trtype:DAEMON trsvcid:a", "trtype:DAEMON trsvcid:b"), 0);
	assert_int_not_equal(compare("trtype:PCIE", "trtype:DAEMON"), 0);
	assert_int_not_equal(compare("trtype:RDMA traddr:1.1.1.1 subnqn:a",
				     "trtype:RDMA traddr:1.1.1.1 subnqn:b"),
			     0);
}

static void test_rdma_rules(void **state)
{
	struct nvmux_trid t = {.trtype = NVMUX_TRTYPE_RDMA};
	char why[200];

	check_error("trtype:RDMA traddr:target1",
		    "traddr is 'target1': not an IPv4 or IPv6 address");
	check_error("trtype:RDMA traddr:10.0.0", "not an IPv4 or IPv6");
	check_error("trtype:RDMA traddr:fe80::1%", "not an IPv4 or IPv6");
	check_error("trtype:RDMA traddr:10.0.0.1%eth0", "not an IPv4 or IPv6");
	check_error("trtype:RDMA adrfam:IPv6 traddr:10.0.0.1",
		    "traddr is '10.0.0.1': not an IPv6 address, which adrfam says");
	check_error("trtype:RDMA traddr:fe80::1 host_traddr:10.0.0.1",
		    "host_traddr is '10.0.0.1': not an IPv6 address, which traddr is");
	check_error("trtype:RDMA traddr:10.0.0.1 host_traddr:eth0", "host_traddr is 'eth0'");
	check_error("trtype:RDMA traddr:10.0.0.1 trsvcid:nvme", "trsvcid is 'nvme'");
	check_error("trtype:RDMA traddr:10.0.0.1 trsvcid:0", "1 to 65535");
	check_error("trtype:RDMA traddr:10.0.0.1 trsvcid:65536", "1 to 65535");
	check_error("trtype:RDMA traddr:10.0.0.1 trsvcid:+44", "1 to 65535");
	/* without an address it is text only */
	assert_int_equal(nvmux_trid_parse(&t, "trtype:RDMA subnqn:nqn.x", NULL, 0), 0);
	assert_int_equal(nvmux_trid_check(&t, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "traddr is missing"));
	/* the family that the address is of */
	assert_int_equal(nvmux_trid_parse(&t, "trtype:RDMA traddr:10.0.0.1", NULL, 0), 0);
	assert_int_equal(t.adrfam, NVMUX_ADRFAM_IPV4);
	assert_int_equal(nvmux_trid_parse(&t, "trtype:RDMA traddr:fe80::1%eth0", NULL, 0), 0);
	assert_int_equal(t.adrfam, NVMUX_ADRFAM_IPV6);
	check_error("trtype:RDMA adrfam:IB traddr:10.0.0.1",
		    "adrfam is IB, which isn't supported; known: IPv4, IPv6");
	/* others have no rules */
	assert_int_equal(nvmux_trid_parse(&t, "trtype:DAEMON traddr:/run/x trsvcid:c0", NULL, 0),
			 0);
	assert_int_equal(nvmux_trid_check(&t, NULL, 0), 0);
}

static void test_compare_rdma(void **state)
{
	static const char *const ascending[] = {
		"trtype:RDMA traddr:fe80::1",
		"trtype:RDMA traddr:fe80::1%eth0",
		"trtype:RDMA traddr:fe80::2",
		"trtype:RDMA traddr:9.255.0.1",
		"trtype:RDMA traddr:10.0.0.1 trsvcid:999",
		"trtype:RDMA traddr:10.0.0.1 trsvcid:4420",
		"trtype:RDMA traddr:10.0.0.1 trsvcid:4420 host_iface:eth0",
		"trtype:RDMA traddr:10.0.0.1 trsvcid:4420 host_traddr:10.0.0.9 subnqn:a",
		"trtype:RDMA traddr:10.0.0.1 trsvcid:4420 subnqn:a",
		"trtype:RDMA traddr:10.0.0.1 trsvcid:4420 subnqn:b",
		"trtype:RDMA traddr:10.0.0.1 trsvcid:10000 subnqn:a",
		"trtype:RDMA traddr:10.0.0.2 trsvcid:1",
	};
	struct nvmux_trid a, b;

	assert_int_equal(compare("trtype:RDMA traddr:fe80::1", "trtype:RDMA traddr:FE80:0:0::0001"),
			 0);
	assert_int_equal(compare("trtype:RDMA traddr:10.0.0.1",
				 "trtype:rdma adrfam:ipv4 traddr:10.0.0.1 trsvcid:4420"),
			 0);
	assert_int_equal(
		compare("trtype:RDMA traddr:10.0.0.1 trsvcid:04420", "trtype:RDMA traddr:10.0.0.1"),
		0);
	assert_int_equal(compare("trtype:RDMA traddr:::1 host_traddr:::2",
				 "trtype:RDMA traddr:::1 host_traddr:0::2"),
			 0);
	for (size_t i = 0; i < sizeof(ascending) / sizeof(ascending[0]); i++) {
		for (size_t k = 0; k < sizeof(ascending) / sizeof(ascending[0]); k++) {
			int diff = compare(ascending[i], ascending[k]);

			assert_int_equal((diff > 0) - (diff < 0), (i > k) - (i < k));
		}
	}
	/* what isn't an address, put together otherwise than from text, still has an order */
	assert_int_equal(nvmux_trid_parse(&a, "trtype:RDMA traddr:10.0.0.1", NULL, 0), 0);
	b = a;
	strcpy(b.traddr, "target");
	assert_true(nvmux_trid_compare(&a, &b) < 0);
	assert_true(nvmux_trid_compare(&b, &a) > 0);
	assert_int_equal(nvmux_trid_compare(&b, &b), 0);
	b = a;
	b.adrfam = NVMUX_ADRFAM_NONE;
	assert_int_equal(nvmux_trid_compare(&a, &b), 0);
}

static void test_names(void **state)
{
	for (int i = 0; i < NVMUX_TRTYPE_COUNT; i++) {
		enum nvmux_trtype t;

		assert_int_equal(nvmux_trtype_parse(&t, nvmux_trtype_string((enum nvmux_trtype)i)),
				 0);
		assert_int_equal(t, i);
	}
	assert_null(nvmux_trtype_string(NVMUX_TRTYPE_COUNT));
	assert_null(nvmux_adrfam_string(NVMUX_ADRFAM_NONE));
	assert_string_equal(nvmux_status_string(0x4002), "invalid field in command");
	assert_string_equal(nvmux_status_string(0x6ff), "unknown status");
	assert_string_equal(nvmux_status_type_string(0x280), "media and data integrity");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spdk_form),
		cmocka_unit_test(test_nvme_cli_form),
		cmocka_unit_test(test_errors_name_key_and_rule),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_rdma_rules),
		cmocka_unit_test(test_compare_rdma),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("core_trid", tests, NULL, NULL);
}
