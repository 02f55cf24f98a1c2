// SPDX-License-Identifier: BSD-3-Clause
/* The command line of nvmux: options by table, sizes, transport ids, names, suggestions; what it
 * shows of connections. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli/args.h"
#include "cli/connection.h"
#include "cli/ctrlr_opts.h"
#include "cli/target.h"

static const struct cli_option options[] = {
	{"namespace-id", 'n', "NSID", "namespace"},
	{"offset", 0, "BYTES", "offset"},
	{"depth", 'd', "LIST", "depths"},
	{"allow-write", 0, NULL, "a switch"},
	CLI_TRID_OPTIONS(0),
	CLI_CTRLR_OPTIONS_BRIEF,
	{0},
};

static const struct cli_command command = {
	.name = "try",
	.usage = "[THIS [THAT]]",
	.options = options,
	.max_args = 2,
};

#define MAX_ARGS 24

static struct cli_args args;
static char why[512];

/* Parse words that are separated by single spaces, as a shell would pass them. */
static int parse_by(const struct cli_command *c, const char *line)
{
	static char copy[1024], *argv[MAX_ARGS + 1];
	int argc = 0;

	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	for (char *p = strtok(copy, " "); p; p = strtok(NULL, " ")) {
		assert_true(argc < MAX_ARGS);
		argv[argc++] = p;
	}
	argv[argc] = NULL;
	why[0] = 0;
	return cli_args_parse(&args, c, argc, argv, why, sizeof(why));
}

static int parse(const char *line)
{
	return parse_by(&command, line);
}

static void test_forms_of_options(void **state)
{
	assert_int_equal(parse("try --offset 5 -n7 one --allow-write two -d 3"), 0);
	assert_string_equal(cli_args_get(&args, "offset"), "5");
	assert_string_equal(cli_args_get(&args, "namespace-id"), "7");
	assert_string_equal(cli_args_get(&args, "depth"), "3");
	assert_string_equal(cli_args_get(&args, "allow-write"), "");
	assert_null(cli_args_get(&args, "transport"));
	assert_int_equal(args.n_positional, 2);
	assert_string_equal(args.positional[0], "one");
	assert_string_equal(args.positional[1], "two");

	assert_int_equal(parse("try --offset=9 --offset=10 -- --offset"), 0);
	assert_string_equal(cli_args_get(&args, "offset"), "10");
	assert_int_equal(args.n_positional, 1);
	assert_string_equal(args.positional[0], "--offset");
}

static void test_common_options(void **state)
{
	assert_int_equal(parse("try -S /x -o json -"), 0);
	assert_string_equal(cli_args_get(&args, "socket"), "/x");
	assert_string_equal(cli_args_get(&args, "output-format"), "json");
	assert_string_equal(args.positional[0], "-");
	/* Help is given whatever else is wrong with the number of arguments. */
	assert_int_equal(parse("try 1 2 3 --help"), 0);
	assert_non_null(cli_args_get(&args, "help"));
}

static void test_stop_at_first(void **state)
{
	static const struct cli_command outer = {
		.name = "outer", .usage = "", .max_args = -1, .stop_at_first = true};

	assert_int_equal(parse_by(&outer, "outer -o json list -o normal --unknown"), 0);
	assert_string_equal(cli_args_get(&args, "output-format"), "json");
	assert_int_equal(args.n_positional, 4);
	assert_string_equal(args.positional[0], "list");
}

static void test_wrong_options(void **state)
{
	assert_int_equal(parse("try --ofset 5"), -EINVAL);
	assert_string_equal(why, "unknown option --ofset; did you mean --offset?");
	assert_int_equal(parse("try --ofset=5"), -EINVAL);
	assert_non_null(strstr(why, "did you mean --offset?"));
	assert_int_equal(parse("try --quite-different"), -EINVAL);
	assert_string_equal(why, "unknown option --quite-different");
	assert_int_equal(parse("try -Z"), -EINVAL);
	assert_string_equal(why, "unknown option -Z");
	assert_int_equal(parse("try --offset"), -EINVAL);
	assert_string_equal(why, "option --offset needs an argument: BYTES");
	assert_int_equal(parse("try -n"), -EINVAL);
	assert_string_equal(why, "option -n needs an argument");
	assert_int_equal(parse("try --allow-write=yes"), -EINVAL);
	assert_string_equal(why, "option --allow-write takes no argument");
	assert_int_equal(parse("try a b c"), -EINVAL);
	assert_non_null(strstr(why, "unexpected argument \"c\""));
}

static void test_too_few(void **state)
{
	static const struct cli_command two = {
		.name = "two", .usage = "A B", .min_args = 2, .max_args = 2};

	assert_int_equal(parse_by(&two, "two a"), -EINVAL);
	assert_string_equal(why, "too few arguments; usage: nvmux two A B");
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{"0", 0},           {"512", 512},          {"4K", 4096},
		{"4k", 4096},       {"4KiB", 4096},        {"4kb", 4096},
		{"1M", 1 << 20},    {"3G", 3ull << 30},    {"1T", 1ull << 40},
		{"2P", 2ull << 50}, {"15E", 15ull << 60},  {"100B", 100},
		{"0x1000", 4096},   {"18446744073709551615", UINT64_MAX},
	};
	static const char *const bad[] = {"",    "K",   "-1",   "+1",   " 1",  "1.5G", "4KK",
					  "4Ki", "0x",  "4 K",  "1GBs", "x",   "1e3",  "0xK"};
	static const char *const large[] = {"18446744073709551616", "16E", "17179869184G"};
	uint64_t v;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		v = 1234567;
		assert_int_equal(cli_parse_size(good[i].text, &v), 0);
		assert_int_equal(v, good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		v = 77;
		assert_int_equal(cli_parse_size(bad[i], &v), -EINVAL);
		assert_int_equal(v, 77);
	}
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		assert_int_equal(cli_parse_size(large[i], &v), -ERANGE);
}

static void test_ranges(void **state)
{
	uint64_t v = 5;

	assert_int_equal(parse("try --offset 8K -n 0x10"), 0);
	assert_int_equal(cli_args_size(&args, "offset", 0, 8192, &v, why, sizeof(why)), 0);
	assert_int_equal(v, 8192);
	assert_int_equal(cli_args_size(&args, "offset", 0, 8191, &v, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "--offset: 8K is out of range; allowed are 0 to 8191");
	assert_int_equal(cli_args_number(&args, "namespace-id", 1, 16, &v, why, sizeof(why)), 0);
	assert_int_equal(v, 16);
	assert_int_equal(cli_args_number(&args, "namespace-id", 17, 18, &v, why, sizeof(why)),
			 -EINVAL);
	/* An absent option changes nothing. */
	assert_int_equal(cli_args_size(&args, "traddr", 0, 1, &v, why, sizeof(why)), 0);
	assert_int_equal(v, 16);
	assert_int_equal(parse("try --offset lots"), 0);
	assert_int_equal(cli_args_size(&args, "offset", 0, 1, &v, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "\"lots\" isn't a size in bytes"));
}

static void test_lists(void **state)
{
	uint32_t list[4] = {0};
	unsigned n = 9;

	assert_int_equal(parse("try"), 0);
	assert_int_equal(cli_args_list(&args, "depth", 1, 128, list, 4, &n, why, sizeof(why)), 0);
	assert_int_equal(n, 9);
	assert_int_equal(parse("try -d 1,4,32,128"), 0);
	assert_int_equal(cli_args_list(&args, "depth", 1, 128, list, 4, &n, why, sizeof(why)), 0);
	assert_int_equal(n, 4);
	assert_int_equal(list[0], 1);
	assert_int_equal(list[3], 128);
	assert_int_equal(cli_args_list(&args, "depth", 1, 128, list, 3, &n, why, sizeof(why)),
			 -EINVAL);
	assert_string_equal(why, "--depth: more than 3 values");
	assert_int_equal(cli_args_list(&args, "depth", 1, 127, list, 4, &n, why, sizeof(why)),
			 -EINVAL);
	for (size_t i = 0; i < 4; i++) {
		static const char *const bad[] = {"try -d 1,,2", "try -d 1,", "try -d ,1",
						  "try -d 1;2"};

		assert_int_equal(parse(bad[i]), 0);
		assert_int_equal(
			cli_args_list(&args, "depth", 1, 9, list, 4, &n, why, sizeof(why)),
			-EINVAL);
	}
}

static void test_suggestions(void **state)
{
	static const char *const names[] = {"attach", "detach", "identify", "list", "read",
					    "reset",  "write",  NULL};

	assert_string_equal(cli_suggest("atach", names), "attach");
	assert_string_equal(cli_suggest("attahc", names), "attach");
	assert_string_equal(cli_suggest("lsit", names), "list");
	assert_string_equal(cli_suggest("ident", names), "identify");
	assert_string_equal(cli_suggest("raed", names), "read");
	assert_null(cli_suggest("x", names));
	assert_null(cli_suggest("format", names));
	assert_null(cli_suggest("", names));
	/* Longer than what is compared. */
	assert_null(cli_suggest("a-word-that-is-much-longer-than-any-name-here-could-be", names));
}

static void test_commands(void **state)
{
	static const struct cli_command attach = {.name = "attach"}, detach = {.name = "detach"},
					discover = {.name = "discover"};
	static const struct cli_command *const list[] = {&attach, &detach, &discover, NULL};

	assert_string_equal(cli_suggest_command("atach", list), "attach");
	assert_string_equal(cli_suggest_command("connect", list), "attach");
	assert_string_equal(cli_suggest_command("connect-all", list), "attach --all");
	assert_string_equal(cli_suggest_command("disconnect", list), "detach");
	assert_string_equal(cli_suggest_command("disconnect-all", list), "detach");
	assert_null(cli_suggest_command("format", list));
}

static void test_transport_ids(void **state)
{
	struct nvmux_trid trid;

	assert_int_equal(parse("try -t VFIOUSER -a /run/x"), 0);
	assert_true(cli_has_trid(&args));
	assert_int_equal(cli_trid_from_args(&args, &trid, why, sizeof(why)), 0);
	assert_int_equal(trid.trtype, NVMUX_TRTYPE_VFIOUSER);
	assert_string_equal(trid.traddr, "/run/x");

	/* An address alone is one of PCI. */
	assert_int_equal(parse("try -a 0000:01:00.0"), 0);
	assert_int_equal(cli_trid_from_args(&args, &trid, why, sizeof(why)), 0);
	assert_int_equal(trid.trtype, NVMUX_TRTYPE_PCIE);
	assert_string_equal(trid.traddr, "0000:01:00.0");

	assert_string_equal(cli_transport_name(NVMUX_TRTYPE_VFIOUSER), "vfio-user");

	/* A whole transport id, of which an option replaces a part. */
	assert_int_equal(parse("try -t transport=vfiouser;traddr=/a -a /b"), 0);
	assert_int_equal(cli_trid_from_args(&args, &trid, why, sizeof(why)), 0);
	assert_int_equal(trid.trtype, NVMUX_TRTYPE_VFIOUSER);
	assert_string_equal(trid.traddr, "/b");
}

/* Options for fabrics where there is none: refused by name. */
static void test_local_transports(void **state)
{
	static const struct {
		const char *line, *name;
	} cases[] = {
		{"try -a x -s 4420", "-s"},
		{"try -a x --nqn nqn.x", "--nqn"},
		{"try -a x --subnqn nqn.x", "--subnqn"},
		{"try -t pcie -w x", "-w"},
		{"try -t vfio-user --host-iface=eth0", "--host-iface"},
		{"try -t pcie -q nqn.y", "-q"},
		{"try -t pcie -I y", "-I"},
		{"try -t loopback --ctrl-loss-tmo 5", "--ctrl-loss-tmo"},
		{"try -t loopback --keep-alive-tmo 5", "--keep-alive-tmo"},
		{"try -t daemon --transport-ack-timeout 5", "--transport-ack-timeout"},
	};
	struct cli_target target;
	char text[128];
	int place;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!cli_have_rdma()) {
			snprintf(text, sizeof(text),
				 "%s needs a fabrics transport; this build has none",
				 cases[i].name);
			assert_int_equal(parse(cases[i].line), -EINVAL);
			assert_string_equal(why, text);
			continue;
		}
		assert_int_equal(parse(cases[i].line), 0);
		assert_int_equal(cli_target_from_args(&args, "/sock", &target, &place, why,
						      sizeof(why)),
				 -EINVAL);
		assert_non_null(strstr(why, " needs a fabrics transport: -t rdma"));
		/* By letter it is the long name that is said. */
		if (cases[i].name[1] == '-')
			assert_memory_equal(why, cases[i].name, strlen(cases[i].name));
	}
}

static int rdma_target(const char *line, struct cli_target *target)
{
	int place;

	assert_int_equal(parse(line), 0);
	return cli_target_from_args(&args, "/sock", target, &place, why, sizeof(why));
}

static void test_rdma(void **state)
{
	struct cli_target target;

	if (!cli_have_rdma()) {
		assert_int_equal(rdma_target("try -t rdma -a 10.0.0.1", &target), -EINVAL);
		assert_string_equal(why, "--transport: this build has no transport RDMA: it was "
					 "made without libibverbs and librdmacm");
		return;
	}
	assert_int_equal(rdma_target("try -t rdma -a 10.0.0.1 --nqn nqn.x -w 10.0.0.2 -f v1 "
				     "-q nqn.h -I 12345678-1234-5678-9abc-0123456789ab",
				     &target),
			 0);
	assert_int_equal(target.trid.trtype, NVMUX_TRTYPE_RDMA);
	assert_int_equal(target.trid.adrfam, NVMUX_ADRFAM_IPV4);
	assert_string_equal(target.trid.trsvcid, "4420");
	assert_string_equal(target.trid.subnqn, "nqn.x");
	assert_string_equal(target.trid.host_traddr, "10.0.0.2");
	assert_string_equal(target.trid.host_iface, "v1");
	assert_string_equal(target.opts.hostnqn, "nqn.h");
	assert_memory_equal(target.opts.hostid,
			    "\x12\x34\x56\x78\x12\x34\x56\x78\x9a\xbc\x01\x23\x45\x67\x89\xab", 16);
	assert_int_equal(rdma_target("try -t RDMA -a fe80::1%eth0 --subnqn nqn.x -s 4421", &target),
			 0);
	assert_int_equal(target.trid.adrfam, NVMUX_ADRFAM_IPV6);
	assert_string_equal(target.trid.trsvcid, "4421");
	assert_string_equal(target.trid.subnqn, "nqn.x");
	/* A discovery service needs no NQN; a controller does. */
	assert_int_equal(parse("try -t rdma -a 10.0.0.1"), 0);
	assert_int_equal(cli_trid_from_args(&args, &target.trid, why, sizeof(why)), 0);
	assert_int_equal(cli_trid_of_one(&args, &target.trid, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "--nqn is missing: which subsystem? nvmux discover -t rdma -a "
				 "10.0.0.1 -s 4420 lists them");
}

static void test_wrong_rdma(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
		{"try -t rdma --nqn nqn.x", "--traddr is missing"},
		{"try -t rdma -a host.example --nqn nqn.x", "host.example"},
		{"try -t rdma -a 10.0.0.256 --nqn nqn.x", "10.0.0.256"},
		{"try -t rdma -a 10.0.0.1 -s 0 --nqn nqn.x", "port"},
		{"try -t rdma -a 10.0.0.1 -s 65536 --nqn nqn.x", "65536"},
		{"try -t rdma -a 10.0.0.1 -s 0x10 --nqn nqn.x", "0x10"},
		{"try -t rdma -a 10.0.0.1 -w fe80::1 --nqn nqn.x", "fe80::1"},
		{"try -t rdma -a 10.0.0.1 -f a-name-that-is-too-long --nqn nqn.x", "--host-iface"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x -q host", "--hostnqn: \"host\" isn't an NQN"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x -I 1234", "--hostid: \"1234\" isn't a UUID"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x -I 00000000-0000-0000-0000-000000000000",
		 "isn't a UUID"},
		{"try -t rdma -a 10.0.0.1 --nqn disk",
		 "--nqn: \"disk\" isn't an NQN: an NQN begins with 'nqn.'"},
		{"try -t rdma -a 10.0.0.1 --subnqn=", "--subnqn: \"\" isn't an NQN"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.\x1b[2J", "printable"},
		{"try -t transport=rdma;traddr=10.0.0.1;nqn=disk", "--nqn: \"disk\" isn't an NQN"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x --nr-io-queues 0",
		 "--nr-io-queues: 0 is out of range; allowed are 1 to 65535"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x --ctrl-loss-tmo -2",
		 "--ctrl-loss-tmo: -2 is out of range; allowed are -1 to 2592000"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x --ctrl-loss-tmo never",
		 "--ctrl-loss-tmo: \"never\" isn't a number"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x --transport-ack-timeout 32", "0 to 31"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x --keep-alive-tmo 3601", "0 to 3600"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x --keep-alive-tmo 5 --keep-alive-timeout-ms 1",
		 "say the same thing"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x --reconnect-delay 5 --fast_io_fail_tmo 4",
		 "--reconnect-delay is 5, longer than --fast_io_fail_tmo, which is 4"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x --fast_io_fail_tmo 9 --ctrl-loss-tmo 8",
		 "--fast_io_fail_tmo is 9, longer than --ctrl-loss-tmo, which is 8"},
		{"try -t rdma -a 10.0.0.1 --nqn nqn.x --ctrl-loss-tmo 1",
		 "--reconnect-delay-sec is 2, longer than --ctrl-loss-tmo, which is 1"},
	};
	struct cli_target target;

	if (!cli_have_rdma())
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(rdma_target(cases[i].line, &target), -EINVAL);
		if (!strstr(why, cases[i].why))
			fail_msg("%s: \"%s\"", cases[i].line, why);
	}
}

/* Options of a controller, for this process and as parameters of a method: only what was given. */
static void test_controller_options(void **state)
{
	struct cli_target target;
	json_t *object, *expected;

	assert_int_equal(rdma_target("try -t loopback -a mem --nr-io-queues 3 --queue-size 65536",
				     &target),
			 0);
	assert_int_equal(target.opts.num_io_queues, 3);
	assert_int_equal(target.opts.io_queue_depth, 65536);
	assert_int_equal(target.opts.admin_queue_depth, 32);
	object = json_object();
	cli_ctrlr_opts_to_json(&args, &target.opts, object);
	expected = json_pack("{s:i, s:i}", "num_io_queues", 3, "io_queue_depth", 65536);
	assert_true(json_equal(object, expected));
	json_decref(object);
	json_decref(expected);
	if (!cli_have_rdma())
		return;
	assert_int_equal(rdma_target("try -t rdma -a ::1 --nqn nqn.x --keep-alive-tmo 7 "
				     "--ctrl-loss-tmo -1 --fast-io-fail-timeout-sec -1 -q nqn.h "
				     "--transport-ack-timeout=20",
				     &target),
			 0);
	assert_int_equal(target.opts.keep_alive_timeout_ms, 7000);
	assert_int_equal(target.opts.ctrlr_loss_timeout_sec, -1);
	assert_int_equal(target.opts.fast_io_fail_timeout_sec, -1);
	assert_int_equal(target.opts.transport_ack_timeout, 20);
	object = json_object();
	cli_ctrlr_opts_to_json(&args, &target.opts, object);
	expected = json_pack("{s:i, s:i, s:i, s:i, s:s}", "keep_alive_timeout_ms", 7000,
			     "ctrlr_loss_timeout_sec", -1, "fast_io_fail_timeout_sec", -1,
			     "transport_ack_timeout", 20, "hostnqn", "nqn.h");
	assert_true(json_equal(object, expected));
	json_decref(object);
	json_decref(expected);
}

/* What a discovery service reports is reached from where the service is, if that can be. */
static void test_sources(void **state)
{
	struct nvmux_trid trid, service;

	assert_int_equal(nvmux_trid_parse(&service,
					  "trtype:RDMA traddr:10.0.0.1 host_traddr:10.0.0.2 "
					  "host_iface:eth1",
					  NULL, 0),
			 0);
	assert_int_equal(nvmux_trid_parse(&trid, "trtype:RDMA traddr:10.0.0.9", NULL, 0), 0);
	nvmux_trid_take_source(&trid, &service);
	assert_string_equal(trid.host_traddr, "10.0.0.2");
	assert_string_equal(trid.host_iface, "eth1");
	assert_int_equal(nvmux_trid_parse(&trid, "trtype:RDMA traddr:fd00::9", NULL, 0), 0);
	nvmux_trid_take_source(&trid, &service);
	assert_string_equal(trid.host_traddr, "");
	assert_string_equal(trid.host_iface, "eth1");
}

static void test_services(void **state)
{
	struct nvmux_trid trid;

	if (!cli_have_rdma())
		skip();
	/* Discovery services are those of RDMA, and go by a name that needn't be said. */
	assert_int_equal(parse("try -a fd00::1"), 0);
	assert_int_equal(cli_trid_of_service(&args, &trid, why, sizeof(why)), 0);
	assert_int_equal(trid.trtype, NVMUX_TRTYPE_RDMA);
	assert_int_equal(trid.adrfam, NVMUX_ADRFAM_IPV6);
	assert_string_equal(trid.trsvcid, "4420");
	assert_string_equal(trid.subnqn, "");
	assert_int_equal(parse("try -t pcie -a 0000:01:00.0"), 0);
	assert_int_equal(cli_trid_of_service(&args, &trid, why, sizeof(why)), 0);
	assert_int_equal(trid.trtype, NVMUX_TRTYPE_PCIE);
}

static void test_integers(void **state)
{
	static const struct {
		const char *line;
		int64_t value;
	} good[] = {{"try --offset -1", -1}, {"try --offset 0", 0}, {"try --offset=-0x10", -16}};
	static const char *const bad[] = {"try --offset -", "try --offset --1", "try --offset -17",
					  "try --offset 18446744073709551615", "try --offset 1.5"};
	int64_t v = 5;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(parse(good[i].line), 0);
		assert_int_equal(
			cli_args_integer(&args, "offset", -16, 16, &v, why, sizeof(why)), 0);
		assert_int_equal(v, good[i].value);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		v = 5;
		assert_int_equal(parse(bad[i]), 0);
		assert_int_equal(
			cli_args_integer(&args, "offset", -16, 16, &v, why, sizeof(why)),
			-EINVAL);
		assert_int_equal(v, 5);
	}
}

/* What list shows of a connection's life. */
static void test_connections(void **state)
{
	static const struct {
		const char *json, *state, *text, *deadlines;
	} cases[] = {
		{"{\"state\": \"up\", \"lost\": 0, \"keep_alive_ms\": 10000}", "ready",
		 "keep-alive 10 s", ""},
		{"{\"state\": \"up\", \"lost\": 1, \"keep_alive_ms\": 0}", "ready",
		 "no keep-alive, lost 1 time so far", ""},
		{"{\"state\": \"reconnecting\", \"lost\": 1, \"attempts\": 2, "
		 "\"lost_for_ms\": 3210, \"next_attempt_ms\": 800, \"fast_io_fail_ms\": null, "
		 "\"ctrlr_loss_ms\": 596790}",
		 "reconnecting", "lost 3.2 s ago, 2 attempts, next in 0.8 s",
		 "commands wait, given up in 9 min 56 s"},
		{"{\"state\": \"reconnecting\", \"lost\": 4, \"attempts\": 1, "
		 "\"lost_for_ms\": 61000, \"next_attempt_ms\": 0, \"fast_io_fail_ms\": 1800, "
		 "\"ctrlr_loss_ms\": null}",
		 "reconnecting", "lost 1 min 1 s ago, 1 attempt, trying",
		 "commands fail in 1.8 s, never given up"},
		{"{\"state\": \"failing\", \"lost\": 1, \"attempts\": 9, \"lost_for_ms\": 7300000, "
		 "\"next_attempt_ms\": 2000, \"fast_io_fail_ms\": null, \"ctrlr_loss_ms\": 0}",
		 "failing", "lost 2 h 1 min ago, 9 attempts, next in 2 s",
		 "commands fail, given up in 0 s"},
		{"{\"state\": \"none\", \"lost\": 0, \"attempts\": 3, \"next_attempt_ms\": 1500}",
		 "ready", "3 attempts, next in 1.5 s", ""},
		{"{\"state\": \"none\", \"attempts\": 0, \"next_attempt_ms\": 0}", "ready", "", ""},
		{"{\"state\": \"holding\", \"lost\": 2, \"keep_alive_ms\": 10000, "
		 "\"hold_ms\": 7500}",
		 "holding", "keep-alive 10 s, lost 2 times so far",
		 "what isn't a read is repeated in 7.5 s"},
	};
	char text[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *connection = json_loads(cases[i].json, 0, NULL);
		json_t *ctrlr = json_pack("{s:s, s:o}", "state", "ready", "connection", connection);

		assert_non_null(ctrlr);
		assert_string_equal(cli_connection_state(ctrlr), cases[i].state);
		assert_string_equal(cli_connection_text(connection, text, sizeof(text)),
				    cases[i].text);
		assert_string_equal(cli_connection_deadlines(connection, text, sizeof(text)),
				    cases[i].deadlines);
		/* Too small a buffer cuts. */
		assert_true(strlen(cli_connection_text(connection, text, 8)) < 8);
		json_decref(ctrlr);
	}
}

static void test_transport_id_of_json(void **state)
{
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "trtype", "rdma", "adrfam",
				   "ipv4", "traddr", "10.0.0.1", "trsvcid", "4420", "subnqn",
				   "nqn.x", "portid", 1);
	struct nvmux_trid trid;
	char where[64];

	assert_true(cli_trid_from_json(object, &trid));
	assert_int_equal(trid.trtype, NVMUX_TRTYPE_RDMA);
	assert_int_equal(trid.adrfam, NVMUX_ADRFAM_IPV4);
	assert_string_equal(trid.subnqn, "nqn.x");
	assert_string_equal(cli_address_of(object, where, sizeof(where)), "10.0.0.1 4420");
	json_object_set_new(object, "trtype", json_string("tcp"));
	assert_false(cli_trid_from_json(object, &trid));
	json_object_del(object, "trtype");
	assert_false(cli_trid_from_json(object, &trid));
	json_decref(object);
}

static void test_wrong_transport_ids(void **state)
{
	struct nvmux_trid trid;
	char line[512];

	assert_int_equal(parse("try -t tcp -a 1.2.3.4"), 0);
	assert_int_equal(cli_trid_from_args(&args, &trid, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "unknown type \"tcp\""));

	memset(line, 'x', sizeof(line));
	memcpy(line, "try -a ", 7);
	line[7 + NVMUX_TRADDR_MAX] = 0;
	assert_int_equal(parse(line), 0);
	assert_int_equal(cli_trid_from_args(&args, &trid, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "--traddr: longer than 255 bytes");
	line[7 + NVMUX_TRADDR_MAX - 1] = 0;
	assert_int_equal(parse(line), 0);
	assert_int_equal(cli_trid_from_args(&args, &trid, why, sizeof(why)), 0);
}

static void test_transport_id_as_json(void **state)
{
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_RDMA, .adrfam = NVMUX_ADRFAM_IPV4};
	json_t *object, *expected;

	strcpy(trid.traddr, "10.0.0.1");
	strcpy(trid.subnqn, "nqn.x");
	object = cli_trid_to_json(&trid);
	expected = json_pack("{s:s, s:s, s:s, s:s}", "trtype", "RDMA", "adrfam", "IPv4", "traddr",
			     "10.0.0.1", "subnqn", "nqn.x");
	assert_true(json_equal(object, expected));
	json_decref(object);
	json_decref(expected);
}

static void test_names(void **state)
{
	char name[CLI_CTRLR_NAME_MAX];
	uint32_t nsid = 0;

	assert_int_equal(cli_parse_name("nvme0", name, sizeof(name), &nsid, why, sizeof(why)), 0);
	assert_string_equal(name, "nvme0");
	assert_int_equal(nsid, 0);
	assert_int_equal(cli_parse_name("nvme0/12", name, sizeof(name), &nsid, why, sizeof(why)),
			 0);
	assert_string_equal(name, "nvme0");
	assert_int_equal(nsid, 12);
	for (size_t i = 0; i < 6; i++) {
		static const char *const bad[] = {"",  "/1", "a/", "a/0", "a/4294967295", "a/1/2"};

		assert_int_equal(
			cli_parse_name(bad[i], name, sizeof(name), &nsid, why, sizeof(why)),
			-EINVAL);
	}
	assert_int_equal(cli_parse_name("a-name-of-more-than-thirty-two-bytes", name, sizeof(name),
					&nsid, why, sizeof(why)),
			 -EINVAL);
}

static void test_targets(void **state)
{
	struct cli_target target;
	int place;

	assert_int_equal(parse("try nvme0/3 file"), 0);
	assert_int_equal(cli_target_from_args(&args, "/sock", &target, &place, why, sizeof(why)),
			 0);
	assert_int_equal(target.trid.trtype, NVMUX_TRTYPE_DAEMON);
	assert_string_equal(target.trid.traddr, "/sock");
	assert_string_equal(target.trid.trsvcid, "nvme0");
	assert_string_equal(target.name, "nvme0");
	assert_int_equal(target.nsid, 3);
	assert_int_equal(place, 1);

	/* By transport id there is no name among the arguments. */
	assert_int_equal(parse("try -t loopback -a mem -n 2 file"), 0);
	assert_int_equal(cli_target_from_args(&args, "/sock", &target, &place, why, sizeof(why)),
			 0);
	assert_int_equal(target.trid.trtype, NVMUX_TRTYPE_LOOPBACK);
	assert_string_equal(target.name, "");
	assert_int_equal(target.nsid, 2);
	assert_int_equal(place, 0);

	assert_int_equal(parse("try nvme0/3 -n 3"), 0);
	assert_int_equal(cli_target_from_args(&args, "/sock", &target, &place, why, sizeof(why)),
			 0);
	assert_int_equal(parse("try nvme0/3 -n 4"), 0);
	assert_int_equal(cli_target_from_args(&args, "/sock", &target, &place, why, sizeof(why)),
			 -EINVAL);
	assert_non_null(strstr(why, "two namespaces"));
	assert_int_equal(parse("try"), 0);
	assert_int_equal(cli_target_from_args(&args, "/sock", &target, &place, why, sizeof(why)),
			 -EINVAL);
	/* What is for a controller of one's own says nothing about the daemon's. */
	assert_int_equal(parse("try nvme0 --queue-size 5"), 0);
	assert_int_equal(cli_target_from_args(&args, "/sock", &target, &place, why, sizeof(why)),
			 -EINVAL);
	assert_string_equal(why, "--queue-size is for a controller that this command drives "
				 "itself: give -t and -a as well");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms_of_options),
		cmocka_unit_test(test_common_options),
		cmocka_unit_test(test_stop_at_first),
		cmocka_unit_test(test_wrong_options),
		cmocka_unit_test(test_too_few),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_suggestions),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_transport_ids),
		cmocka_unit_test(test_local_transports),
		cmocka_unit_test(test_rdma),
		cmocka_unit_test(test_wrong_rdma),
		cmocka_unit_test(test_controller_options),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_transport_id_of_json),
		cmocka_unit_test(test_wrong_transport_ids),
		cmocka_unit_test(test_transport_id_as_json),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_targets),
	};

	return cmocka_run_group_tests_name("cli_args", tests, NULL, NULL);
}
