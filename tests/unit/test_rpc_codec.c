// SPDX-License-Identifier: BSD-3-Clause
/* The JSON scanner and input buffer: ends of values, limits, broken input, every fragmentation. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "libcore/util.h"
#include "rpc/codec.h"

/* Put bytes into the buffer as a reader would. */
static void feed(struct rpc_inbuf *in, const char *data, size_t len)
{
	size_t room;
	char *to;

	while (len > 0) {
		assert_int_equal(rpc_inbuf_room(in, &to, &room), 0);
		room = MIN(room, len);
		memcpy(to, data, room);
		rpc_inbuf_added(in, room);
		data += room;
		len -= room;
	}
}

/* The next value as text: "" none, "!…" an error. */
static char *take(struct rpc_inbuf *in, bool eof)
{
	char why[256], *text;
	json_t *value;
	int rc;

	rc = rpc_inbuf_next(in, eof, &value, why, sizeof(why));
	if (rc < 0) {
		assert_true(asprintf(&text, "!%s", why) > 0);
		return text;
	}
	if (rc == 0)
		return strdup("");
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	json_decref(value);
	return text;
}

static void expect(struct rpc_inbuf *in, bool eof, const char *want)
{
	char *got = take(in, eof);

	assert_string_equal(got, want);
	free(got);
}

/* All values of @data, read in pieces that end at @cut and then every @step bytes. */
static void check_values(const char *data, size_t len, const char *const *want, size_t cut,
			 size_t step)
{
	struct rpc_inbuf in = {0};
	size_t next = 0;

	for (size_t from = 0; from < len;) {
		size_t to = MIN(len, from < cut ? cut : from + step);
		char *got;

		feed(&in, data + from, to - from);
		while (*(got = take(&in, to == len))) {
			assert_non_null(want[next]);
			assert_string_equal(got, want[next++]);
			free(got);
		}
		free(got);
		from = to;
	}
	assert_null(want[next]);
	assert_false(rpc_inbuf_partial(&in));
	rpc_inbuf_fini(&in);
}

static const char many[] =
	"{\"a\":1}{\"b\":[1,2,{\"c\":\"}]\\\"{\"}]}\n \t[] \r\n{}\"x\\\\\" 12 -3.5 true"
	"[\"\\u00e4\\n\",null,\"\xc3\xa4\"]false";
static const char *const many_values[] = {"{\"a\":1}",
					  "{\"b\":[1,2,{\"c\":\"}]\\\"{\"}]}",
					  "[]",
					  "{}",
					  "\"x\\\\\"",
					  "12",
					  "-3.5",
					  "true",
					  "[\"\xc3\xa4\\n\",null,\"\xc3\xa4\"]",
					  "false",
					  NULL};

static void test_every_boundary(void **state)
{
	size_t len = sizeof(many) - 1;

	for (size_t cut = 0; cut < len; cut++) {
		check_values(many, len, many_values, cut, len);
		check_values(many, len, many_values, cut, 1);
		check_values(many, len, many_values, cut, 7);
	}
}

static void test_scalar_ends_with_input(void **state)
{
	struct rpc_inbuf in = {0};

	feed(&in, "42", 2);
	expect(&in, false, ""); /* might go on */
	assert_true(rpc_inbuf_partial(&in));
	expect(&in, true, "42");
	expect(&in, true, "");
	rpc_inbuf_fini(&in);
}

static void broken(const char *data, const char *want)
{
	struct rpc_inbuf in = {0};
	char why[256] = "";
	json_t *value;
	int rc;

	feed(&in, data, strlen(data));
	rc = rpc_inbuf_next(&in, true, &value, why, sizeof(why));
	if (rc != -EPROTO)
		fail_msg("%s: %d", data, rc);
	if (strncmp(why, want, strlen(want)) != 0)
		fail_msg("%s: says '%s', not '%s'", data, why, want);
	rpc_inbuf_fini(&in);
}

static void test_broken(void **state)
{
	broken("}", "byte 1: '}' closes nothing");
	broken("  ]", "byte 1: ']' closes nothing");
	broken("{\"a\":[1}", "byte 8: '}' where ']' must close");
	broken("[{]", "byte 3: ']' where '}' must close");
	broken(",", "byte 1: ',' begins no JSON value");
	broken("\xff", "byte 1: 0xff begins no JSON value");
	broken("\xef\xbb\xbf{}", "byte 1: 0xef begins no JSON value");
	broken("GET / HTTP/1.1\r\n", "byte 3: ");
	broken("12\x01", "byte 3: 0x01 is no JSON");
	broken("{\"a\nb\":1}", "byte 4: 0x0a in a string must be escaped");
	broken("\"\\", "byte 2: the input ended within a value");
	broken("{\"a\":1", "byte 6: the input ended within a value");
	broken("{\"a\" 1}", "byte 6: ");
	broken("{\"a\":1,}", "byte 8: ");
	broken("{\"a\":1,\"a\":2}", "byte 10: duplicate object key");
	broken("[\"\xc3(\"]", "byte 2: unable to decode byte 0xc3");
	broken("[\"\\ud800\"]", "byte ");
	broken("[\"\\u0000\"]", "byte ");
	broken("[\"\\x\"]", "byte ");
	broken("[01]", "byte ");
	broken("[99999999999999999999]", "byte 21: too big integer");
	broken("[1e999]", "byte ");
	broken("[nul]", "byte 4: ");
	broken("nope ", "byte 4: ");
	broken("[tru e]", "byte 4: ");
}

/* Everything that the input buffer says about @data when it comes in pieces of @step bytes. */
static char *transcript(const char *data, size_t len, size_t step)
{
	struct rpc_inbuf in = {0};
	char *all = strdup(""), *got, *longer;
	bool more = true;

	for (size_t from = 0; from < len && more; from += step) {
		feed(&in, data + from, MIN(step, len - from));
		while (more && *(got = take(&in, from + step >= len))) {
			more = got[0] != '!';
			assert_true(asprintf(&longer, "%s%s\n", all, got) > 0);
			free(got);
			free(all);
			all = longer;
		}
		if (more)
			free(got);
	}
	rpc_inbuf_fini(&in);
	return all;
}

/* Random bytes of the kind that scanners stumble over: the pieces make no difference. */
static void test_random(void **state)
{
	static const char letters[] = "{}[]{}[]\"\"\\,:: \n01-etrufalsn\xc3\xa4\x01";
	uint64_t seed = 12345;
	char data[40];

	for (int round = 0; round < 20000; round++) {
		char *whole, *pieces;

		for (size_t i = 0; i < sizeof(data); i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			data[i] = letters[(seed >> 33) % (sizeof(letters) - 1)];
		}
		whole = transcript(data, sizeof(data), sizeof(data));
		pieces = transcript(data, sizeof(data), 1 + (size_t)round % 7);
		assert_string_equal(whole, pieces);
		free(whole);
		free(pieces);
	}
}

/* A NUL is a byte like others, not an end. */
static void test_nul_byte(void **state)
{
	struct rpc_inbuf in = {0};

	feed(&in, "\0{}", 3);
	expect(&in, false, "!byte 1: 0x00 begins no JSON value");
	rpc_inbuf_fini(&in);
	feed(&in, "[\0]", 3);
	char *got = take(&in, false);
	assert_int_equal(got[0], '!');
	free(got);
	rpc_inbuf_fini(&in);
}

static void nested(struct rpc_inbuf *in, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		feed(in, i % 2 ? "{\"a\":" : "[", i % 2 ? 5 : 1);
	feed(in, "0", 1);
	for (unsigned i = depth; i-- > 0;)
		feed(in, i % 2 ? "}" : "]", 1);
}

static void test_depth(void **state)
{
	struct rpc_inbuf in = {0};
	char *got;

	nested(&in, RPC_DEPTH_MAX);
	got = take(&in, false);
	assert_int_equal(got[0], '[');
	free(got);
	nested(&in, RPC_DEPTH_MAX + 1);
	expect(&in, false, "!byte 97: nested deeper than 32 levels");
	rpc_inbuf_fini(&in);
}

/* A string value of exactly @len bytes on the wire. */
static void big(struct rpc_inbuf *in, size_t len)
{
	char *data = malloc(len);

	memset(data, 'x', len);
	data[0] = data[len - 1] = '"';
	for (size_t from = 0; from < len; from += 60000) {
		feed(in, data + from, MIN(len - from, (size_t)60000));
		if (from + 60000 < len)
			expect(in, false, "");
	}
	free(data);
}

static void test_size(void **state)
{
	struct rpc_inbuf in = {0};
	char why[256];
	json_t *value;

	big(&in, RPC_MESSAGE_MAX);
	assert_int_equal(rpc_inbuf_next(&in, false, &value, why, sizeof(why)), 1);
	assert_int_equal(json_string_length(value), RPC_MESSAGE_MAX - 2);
	json_decref(value);
	assert_int_equal(rpc_inbuf_next(&in, false, &value, why, sizeof(why)), 0);
	assert_int_equal(in.cap, 0); /* an idle connection keeps no megabyte */
	big(&in, RPC_MESSAGE_MAX + 1);
	assert_int_equal(rpc_inbuf_next(&in, false, &value, why, sizeof(why)), -EMSGSIZE);
	assert_string_equal(why, "a JSON value of more than 1048576 bytes");
	rpc_inbuf_fini(&in);
}

/* Bytes between values cost nothing, however many they are. */
static void test_much_space(void **state)
{
	struct rpc_inbuf in = {0};
	char space[4096];

	memset(space, ' ', sizeof(space));
	for (size_t i = 0; i < 3 * RPC_MESSAGE_MAX / sizeof(space); i++) {
		feed(&in, space, sizeof(space));
		expect(&in, false, "");
	}
	assert_true(in.cap <= 2 * sizeof(space));
	feed(&in, "[]", 2);
	expect(&in, false, "[]");
	rpc_inbuf_fini(&in);
}

/* Nobody takes values out: the buffer doesn't grow without limit. */
static void test_buffer_limit(void **state)
{
	struct rpc_inbuf in = {0};
	char *to;
	size_t room, total = 0;
	int rc;

	while ((rc = rpc_inbuf_room(&in, &to, &room)) == 0) {
		memset(to, '[', room);
		rpc_inbuf_added(&in, room);
		total += room;
		assert_true(total <= RPC_MESSAGE_MAX + RPC_READ_SIZE);
	}
	assert_int_equal(rc, -EMSGSIZE);
	rpc_inbuf_fini(&in);
}

static void test_errors(void **state)
{
	static const struct {
		int code;
		const char *name;
		int err;
	} cases[] = {
		{RPC_ERRNO, "EBUSY", -EBUSY},
		{RPC_ERRNO, "ENODEV", -ENODEV},
		{RPC_ERRNO, "EWHATEVER", -EIO},
		{RPC_ERRNO, NULL, -EIO},
		{RPC_LIMIT, NULL, -EDQUOT},
		{RPC_ACCESS_DENIED, NULL, -EACCES},
		{RPC_INVALID_PARAMS, NULL, -EINVAL},
		{RPC_METHOD_NOT_FOUND, NULL, -EOPNOTSUPP},
		{RPC_SHUTTING_DOWN, NULL, -ESHUTDOWN},
		{4711, NULL, -EIO},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *data = cases[i].name ? json_pack("{s:s}", "errno", cases[i].name) : NULL;
		json_t *error = rpc_error_object(cases[i].code, "text", data);

		assert_int_equal(rpc_error_to_errno(error), cases[i].err);
		json_decref(error);
	}
	for (int err = 1; err < 134; err++) {
		json_t *error = rpc_error_object(RPC_ERRNO, "text", rpc_errno_data(-err));

		if (strerrorname_np(err))
			assert_int_equal(rpc_error_to_errno(error), -err);
		json_decref(error);
	}
}

/* A text that was cut in the middle of a character still becomes a message. */
static void test_text(void **state)
{
	json_t *value = rpc_text("ab\xc3");

	assert_string_equal(json_string_value(value), "ab?");
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_boundary),
		cmocka_unit_test(test_scalar_ends_with_input),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_nul_byte),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_much_space),
		cmocka_unit_test(test_buffer_limit),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests_name("rpc_codec", tests, NULL, NULL);
}
