// SPDX-License-Identifier: BSD-3-Clause
/* The command line of nvmux: options by table, sizes, transport ids, names, suggestions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli/args.h"
#include "cli/target.h"

static const struct cli_option options[] = {
	{"namespace-id", 'n', "NSID", "namespace"},
	{"offset", 0, "BYTES", "offset"},
	{"depth", 'd', "LIST", "depths"},
	{"allow-write", 0, NULL, "a switch"},
	CLI_TRID_OPTIONS(0),
	{0},
};

static const struct cli_command command = {
	.name = "try",
	.usage = "[THIS [THAT]]",
	.options = options,
	.max_args = 2,
};

#define MAX_ARGS 16

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

	/* What needs fabrics is refused by the name it was given. */
	for (size_t i = 0; i < 5; i++) {
		static const char *const lines[] = {"try -s 4420", "try --nqn nqn.x", "try -w x",
						    "try --host-iface=eth0", "try -q nqn.y"};
		static const char *const names[] = {"-s", "--nqn", "-w", "--host-iface", "-q"};
		char text[128];

		snprintf(text, sizeof(text), "%s needs a fabrics transport; this build has none",
			 names[i]);
		assert_int_equal(parse(lines[i]), -EINVAL);
		assert_string_equal(why, text);
	}
	assert_int_equal(parse("try -t rdma -a 10.0.0.1"), 0);
	assert_int_equal(cli_trid_from_args(&args, &trid, why, sizeof(why)), -EINVAL);
	assert_string_equal(why, "--transport: rdma is a fabrics transport; this build has none");
	assert_string_equal(cli_transport_name(NVMUX_TRTYPE_VFIOUSER), "vfio-user");

	/* A whole transport id, of which an option replaces a part. */
	assert_int_equal(parse("try -t transport=vfiouser;traddr=/a -a /b"), 0);
	assert_int_equal(cli_trid_from_args(&args, &trid, why, sizeof(why)), 0);
	assert_int_equal(trid.trtype, NVMUX_TRTYPE_VFIOUSER);
	assert_string_equal(trid.traddr, "/b");
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
		cmocka_unit_test(test_transport_ids),
		cmocka_unit_test(test_wrong_transport_ids),
		cmocka_unit_test(test_transport_id_as_json),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_targets),
	};

	return cmocka_run_group_tests_name("cli_args", tests, NULL, NULL);
}
