// SPDX-License-Identifier: BSD-3-Clause
/* Parameters against their table, suggestions, and the OpenRPC document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "libcore/util.h"
#include "rpc/codec.h"
#include "rpc/schema.h"

static const struct rpc_param table[] = {
	{"name", RPC_STRING, true, 1, 8, "of the controller"},
	{"num_io_queues", RPC_INTEGER, false, 1, 65535, "how many"},
	{"offset", RPC_INTEGER, false, 0, 0, "any"},
	{"fua", RPC_BOOLEAN, false, 0, 0, "to the medium"},
	{"list", RPC_ARRAY, false, 1, 2, "some"},
	{"extra", RPC_OBJECT, false, 0, 0, "more"},
	{0},
};

/* @text: the parameters; @want: "" or how the reason begins. */
static void check(const struct rpc_param *params, const char *text, const char *want)
{
	json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
	char why[512] = "";
	int rc;

	rc = rpc_params_check(params, value, why, sizeof(why));
	json_decref(value);
	if (strncmp(why, want, strlen(want)) != 0 || !*why != !*want)
		fail_msg("%s: says '%s', not '%s'", text ? text : "nothing", why, want);
	assert_int_equal(rc, *want ? RPC_INVALID_PARAMS : 0);
}

static void test_good(void **state)
{
	check(table, "{\"name\":\"a\"}", "");
	check(table,
	      "{\"name\":\"12345678\",\"num_io_queues\":65535,\"offset\":-5,\"fua\":true,"
	      "\"list\":[1],\"extra\":{\"x\":1}}",
	      "");
	check(NULL, NULL, "");
	check(NULL, "{}", "");
}

static void test_missing(void **state)
{
	check(table, "{}", "parameter 'name' is missing (a string: of the controller)");
	check(table, NULL, "parameter 'name' is missing");
}

static void test_types(void **state)
{
	check(table, "{\"name\":7}", "parameter 'name' is 7: must be a string");
	check(table, "{\"name\":null}", "parameter 'name' is null: must be a string");
	check(table, "{\"name\":\"a\",\"num_io_queues\":\"4\"}",
	      "parameter 'num_io_queues' is \"4\": must be an integer");
	check(table, "{\"name\":\"a\",\"num_io_queues\":4.0}",
	      "parameter 'num_io_queues' is 4.0: must be an integer");
	check(table, "{\"name\":\"a\",\"fua\":1}", "parameter 'fua' is 1: must be true or false");
	check(table, "{\"name\":\"a\",\"extra\":[]}", "parameter 'extra' is []: must be an object");
	check(table, "{\"name\":\"a\",\"list\":{}}", "parameter 'list' is {}: must be an array");
	check(table, "[1]", "parameters are passed by name");
	check(table,
	      "{\"name\":[\"0123456789012345678901234567890123456789012345678901234567890\"]}",
	      "parameter 'name' is [\"0123456789012345678901234567890123456789012345…: must be");
}

static void test_ranges(void **state)
{
	check(table, "{\"name\":\"\"}", "parameter 'name' is 0 bytes long: must be from 1 to 8");
	check(table, "{\"name\":\"123456789\"}",
	      "parameter 'name' is 9 bytes long: must be from 1 to 8");
	check(table, "{\"name\":\"a\",\"num_io_queues\":0}",
	      "parameter 'num_io_queues' is 0: must be from 1 to 65535");
	check(table, "{\"name\":\"a\",\"num_io_queues\":65536}",
	      "parameter 'num_io_queues' is 65536: must be from 1 to 65535");
	check(table, "{\"name\":\"a\",\"list\":[]}",
	      "parameter 'list' is 0 entries long: must be from 1 to 2");
	check(table, "{\"name\":\"a\",\"list\":[1,2,3]}",
	      "parameter 'list' is 3 entries long: must be from 1 to 2");
}

static void test_unknown(void **state)
{
	check(table, "{\"nmae\":\"a\"}", "unknown parameter 'nmae': did you mean 'name'?");
	check(table, "{\"name\":\"a\",\"num_io_queue\":1}",
	      "unknown parameter 'num_io_queue': did you mean 'num_io_queues'?");
	check(table, "{\"name\":\"a\",\"zzzzzz\":1}",
	      "unknown parameter 'zzzzzz': the method knows name, num_io_queues, offset, fua, "
	      "list");
	check(NULL, "{\"a\":1}", "unknown parameter 'a': the method has no parameters");
}

/* A long name is neither shown in full nor compared. */
static void test_long_name(void **state)
{
	json_t *params = json_object();
	char name[5000], why[512];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	json_object_set_new(params, name, json_true());
	assert_int_equal(rpc_params_check(table, params, why, sizeof(why)), RPC_INVALID_PARAMS);
	assert_true(strlen(why) < 200);
	json_decref(params);
}

static void test_suggest(void **state)
{
	static const char *const names[] = {"trtype", "traddr", "trsvcid", "subnqn"};

	assert_string_equal(rpc_suggest("trytpe", names, sizeof(names[0]), 4), "trtype");
	assert_string_equal(rpc_suggest("tradr", names, sizeof(names[0]), 4), "traddr");
	assert_string_equal(rpc_suggest("subnqm", names, sizeof(names[0]), 4), "subnqn");
	assert_null(rpc_suggest("x", names, sizeof(names[0]), 4));
	assert_null(rpc_suggest("", names, sizeof(names[0]), 4));
	assert_null(rpc_suggest("something_else", names, sizeof(names[0]), 4));
	assert_null(rpc_suggest("trtype", names, sizeof(names[0]), 0));
}

static void test_getters(void **state)
{
	json_t *params = json_loads("{\"s\":\"x\",\"i\":5,\"b\":true}", 0, NULL);

	assert_string_equal(rpc_get_string(params, "s", "def"), "x");
	assert_string_equal(rpc_get_string(params, "none", "def"), "def");
	assert_string_equal(rpc_get_string(NULL, "s", "def"), "def");
	assert_int_equal(rpc_get_integer(params, "i", 9), 5);
	assert_int_equal(rpc_get_integer(params, "none", 9), 9);
	assert_int_equal(rpc_get_integer(NULL, "i", 9), 9);
	assert_true(rpc_get_boolean(params, "b", false));
	assert_true(rpc_get_boolean(params, "none", true));
	json_decref(params);
}

static void test_openrpc(void **state)
{
	static const struct rpc_method methods[] = {
		{"attach", RPC_RIGHT_ADMIN, table, "Attach it.", "its name", NULL},
		{"nothing", RPC_RIGHT_NONE, NULL, NULL, NULL, NULL},
		{0},
	};
	json_t *doc = rpc_openrpc(methods, "1.2.3"), *method, *param;
	const char *version;

	assert_non_null(doc);
	assert_int_equal(json_unpack(doc, "{s:{s:s}}", "info", "version", &version), 0);
	assert_string_equal(version, "1.2.3");
	assert_string_equal(json_string_value(json_object_get(doc, "openrpc")), "1.2.6");
	assert_int_equal(json_array_size(json_object_get(doc, "methods")), 2);
	method = json_array_get(json_object_get(doc, "methods"), 0);
	assert_string_equal(json_string_value(json_object_get(method, "x-right")), "admin");
	assert_string_equal(json_string_value(json_object_get(method, "paramStructure")),
			    "by-name");
	assert_int_equal(json_array_size(json_object_get(method, "params")), 6);
	param = json_array_get(json_object_get(method, "params"), 0);
	json_t *want = json_loads("{\"name\":\"name\",\"description\":\"of the controller\","
				  "\"required\":true,\"schema\":{\"type\":\"string\","
				  "\"minLength\":1,\"maxLength\":8}}",
				  0, NULL);
	assert_true(json_equal(param, want));
	json_decref(want);
	param = json_array_get(json_object_get(method, "params"), 2);
	want = json_loads("{\"name\":\"offset\",\"description\":\"any\",\"required\":false,"
			  "\"schema\":{\"type\":\"integer\"}}",
			  0, NULL);
	assert_true(json_equal(param, want));
	json_decref(want);
	assert_true(json_array_size(json_object_get(method, "errors")) >= 10);
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),    cmocka_unit_test(test_missing),
		cmocka_unit_test(test_types),   cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_unknown), cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_suggest), cmocka_unit_test(test_getters),
		cmocka_unit_test(test_openrpc),
	};

	return cmocka_run_group_tests_name("rpc_schema", tests, NULL, NULL);
}
