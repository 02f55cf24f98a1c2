// SPDX-License-Identifier: BSD-3-Clause
/* The addresses of RDMA transport ids; interfaces are tested on the loopback one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <cmocka.h>

#include "transports/rdma/rdma_int.h"

static int setup(void **state)
{
	struct nvmux_opts opts;

	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 2 << 20;
	return nvmux_create(&opts, (struct nvmux **)state);
}

static int teardown(void **state)
{
	nvmux_destroy(*state);
	return 0;
}

/* "family:address:port" of the target, and of the source if there is one. */
static void check_good(struct nvmux *nvmux, const struct nvmux_trid *trid, const char *dst_text,
		       uint16_t port, const char *src_text)
{
	struct sockaddr_storage dst, src;
	char text[INET6_ADDRSTRLEN];

	assert_int_equal(rdma_conn_addresses(nvmux, trid, &dst, &src), 0);
	if (dst.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&dst;

		assert_non_null(inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)));
		assert_int_equal(ntohs(in->sin_port), port);
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&dst;

		assert_non_null(inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text)));
		assert_int_equal(ntohs(in6->sin6_port), port);
	}
	assert_string_equal(text, dst_text);
	if (!src_text) {
		assert_int_equal(src.ss_family, 0);
		return;
	}
	assert_int_equal(src.ss_family, dst.ss_family);
	if (src.ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)&src)->sin_addr, text,
			  sizeof(text));
	else
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&src)->sin6_addr, text,
			  sizeof(text));
	assert_string_equal(text, src_text);
}

static void test_good(void **state)
{
	struct nvmux_trid v4 = {.traddr = "10.0.0.1"};
	struct nvmux_trid v6 = {.adrfam = NVMUX_ADRFAM_IPV6,
				.traddr = "fd00::1",
				.trsvcid = "65535",
				.host_traddr = "fd00::2"};

	check_good(*state, &v4, "10.0.0.1", 4420, NULL);
	v4.adrfam = NVMUX_ADRFAM_IPV4;
	strcpy(v4.trsvcid, "1");
	strcpy(v4.host_traddr, "10.0.0.2");
	check_good(*state, &v4, "10.0.0.1", 1, "10.0.0.2");
	check_good(*state, &v6, "fd00::1", 65535, "fd00::2");
}

static void test_interface(void **state)
{
	struct nvmux_trid trid = {.traddr = "10.0.0.1", .host_iface = "lo"};
	struct nvmux_trid scoped = {.traddr = "fe80::1%lo"};
	struct sockaddr_storage dst, src;

	check_good(*state, &trid, "10.0.0.1", 4420, "127.0.0.1");
	strcpy(trid.host_traddr, "127.0.0.1");
	check_good(*state, &trid, "10.0.0.1", 4420, "127.0.0.1");
	assert_int_equal(rdma_conn_addresses(*state, &scoped, &dst, &src), 0);
	assert_int_equal(((struct sockaddr_in6 *)&dst)->sin6_scope_id, if_nametoindex("lo"));
}

static void test_bad(void **state)
{
	static const struct {
		struct nvmux_trid trid;
		int err;
		const char *says;
	} cases[] = {
		{{.traddr = ""}, -EINVAL, "traddr is empty"},
		{{.traddr = "localhost"}, -EINVAL, "traddr is 'localhost'"},
		{{.traddr = "10.0.0.256"}, -EINVAL, "IPv4 or IPv6"},
		{{.traddr = "fd00::1", .adrfam = NVMUX_ADRFAM_IPV4}, -EINVAL, "numeric IPv4"},
		{{.traddr = "10.0.0.1", .adrfam = NVMUX_ADRFAM_IPV6}, -EINVAL, "numeric IPv6"},
		{{.traddr = "10.0.0.1", .adrfam = NVMUX_ADRFAM_IB}, -EINVAL, "adrfam is IB"},
		{{.traddr = "10.0.0.1", .trsvcid = "0"}, -EINVAL, "trsvcid is '0'"},
		{{.traddr = "10.0.0.1", .trsvcid = "65536"}, -EINVAL, "trsvcid is '65536'"},
		{{.traddr = "10.0.0.1", .trsvcid = "99999999999999999999"}, -EINVAL, "trsvcid"},
		{{.traddr = "10.0.0.1", .trsvcid = " 4420"}, -EINVAL, "trsvcid is ' 4420'"},
		{{.traddr = "10.0.0.1", .trsvcid = "-4420"}, -EINVAL, "trsvcid"},
		{{.traddr = "10.0.0.1", .trsvcid = "4420x"}, -EINVAL, "trsvcid"},
		{{.traddr = "10.0.0.1", .trsvcid = "nvme"}, -EINVAL, "trsvcid"},
		{{.traddr = "10.0.0.1", .host_traddr = "fd00::2"}, -EINVAL, "host_traddr"},
		{{.traddr = "10.0.0.1", .host_traddr = "host"}, -EINVAL, "host_traddr is 'host'"},
		{{.traddr = "10.0.0.1", .host_iface = "no-such-if"},
		 -ENODEV,
		 "there is no interface no-such-if"},
		{{.traddr = "10.0.0.1", .host_iface = "lo", .host_traddr = "10.0.0.2"},
		 -EADDRNOTAVAIL,
		 "no address of the interface lo"},
		{{.traddr = "fe80::1%lo", .host_iface = "lo"}, -EADDRNOTAVAIL, "no link-local"},
		{{.traddr = "fe80::1"}, -EINVAL, "host_iface"},
		/* an interface may come */
		{{.traddr = "fe80::1", .host_iface = "no-such-if"}, -ENODEV, "no-such-if"},
		{{.traddr = "fe80::1%no-such-if"}, -ENODEV, "there is no interface no-such-if"},
		{{.traddr = "fe80::1%lo", .host_traddr = "fe80::2%no-such-if"},
		 -ENODEV,
		 "host_traddr is 'fe80::2%no-such-if'"},
		{{.traddr = "fe80::x%no-such-if"}, -EINVAL, "numeric"},
		{{.traddr = "10.0.0.1%no-such-if"}, -EINVAL, "numeric"},
	};
	struct nvmux *nvmux = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sockaddr_storage dst, src;

		assert_int_equal(rdma_conn_addresses(nvmux, &cases[i].trid, &dst, &src),
				 cases[i].err);
		if (!strstr(nvmux_error_text(nvmux), cases[i].says))
			fail_msg("'%s' doesn't say '%s'", nvmux_error_text(nvmux), cases[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interface, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
	};

	return cmocka_run_group_tests_name("rdma_addr", tests, NULL, NULL);
}
