// SPDX-License-Identifier: BSD-3-Clause
/* Identify data as JSON, against what nvme-cli prints for the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "decode/fields.h"
#include "decode/identify_json.h"
#include "identify_golden.h"
#include "libcore/util.h"

/* Every byte differs from its neighbours; none has its highest bit set, because nvme-cli 2.3 prints
 * 32-bit fields above 7fffffffh as negative numbers. */
static void fill(void *data)
{
	uint8_t *bytes = data;

	for (unsigned i = 0; i < 4096; i++)
		bytes[i] = (uint8_t)(((i * 7 + 3) ^ (i >> 8)) & 0x7f);
}

static void put_text(char *field, size_t size, const char *text, int pad)
{
	memset(field, pad, size);
	memcpy(field, text, strlen(text));
}

static void fill_ctrl(struct nvme_id_ctrl *id)
{
	fill(id);
	put_text(id->sn, sizeof(id->sn), "S/N \"1\"\\", ' ');
	put_text(id->mn, sizeof(id->mn), "Model with blanks", ' ');
	put_text(id->fr, sizeof(id->fr), "1.0", ' ');
	put_text(id->subnqn, sizeof(id->subnqn), "nqn.2014-08.org.example:x", 0);
	id->npss = 2;
}

/* The same keys in the same order, and the same values. */
static void compare(json_t *ours, const char *golden)
{
	json_t *theirs = json_loads(golden, 0, NULL);
	char *a, *b;

	assert_non_null(ours);
	assert_non_null(theirs);
	a = json_dumps(ours, JSON_COMPACT | JSON_PRESERVE_ORDER);
	b = json_dumps(theirs, JSON_COMPACT | JSON_PRESERVE_ORDER);
	assert_string_equal(a, b);
	free(a);
	free(b);
	json_decref(ours);
	json_decref(theirs);
}

static void test_controller(void **state)
{
	struct nvme_id_ctrl *id = malloc(sizeof(*id));

	fill_ctrl(id);
	compare(identify_ctrl_json(id), golden_ctrl);
	free(id);
}

static void test_namespace(void **state)
{
	struct nvme_id_ns *id = malloc(sizeof(*id));

	fill(id);
	id->nsfeat |= 0x10; /* optimal performance fields are there */
	id->nlbaf = 5;
	compare(identify_ns_json(id), golden_ns);
	id->nsfeat &= (__u8)~0x10;
	id->nlbaf = 0;
	compare(identify_ns_json(id), golden_ns_plain);
	free(id);
}

static void test_unsigned(void **state)
{
	struct nvme_id_ctrl *id = calloc(1, sizeof(*id));
	json_t *json;

	id->oaes = cpu_to_le32(0xffffffffu);
	memset(id->tnvmcap, 0xff, sizeof(id->tnvmcap));
	json = identify_ctrl_json(id);
	assert_int_equal(json_integer_value(json_object_get(json, "oaes")), 0xffffffffll);
	assert_string_equal(json_string_value(json_object_get(json, "tnvmcap")),
			    "340282366920938463463374607431768211455");
	assert_null(json_object_get(json, "subnqn")); /* empty: left out, as nvme-cli does */
	json_decref(json);
	free(id);
}

/* Counts beyond the tables, and bytes that aren't text, come from the device too. */
static void test_hostile(void **state)
{
	struct nvme_id_ctrl *ctrl = malloc(sizeof(*ctrl));
	struct nvme_id_ns *ns = malloc(sizeof(*ns));
	json_t *json;

	memset(ctrl, 0xff, sizeof(*ctrl));
	json = identify_ctrl_json(ctrl);
	assert_int_equal(json_array_size(json_object_get(json, "psds")), 32);
	assert_string_equal(json_string_value(json_object_get(json, "sn")), "????????????????????");
	json_decref(json);
	memset(ns, 0xff, sizeof(*ns));
	json = identify_ns_json(ns);
	assert_int_equal(json_array_size(json_object_get(json, "lbafs")), 64);
	json_decref(json);
	free(ctrl);
	free(ns);
}

static void test_text(void **state)
{
	json_t *text = decode_text_json("ab \n  ", 6, true);

	assert_string_equal(json_string_value(text), "ab ?");
	json_decref(text);
	text = decode_text_json("    ", 4, true);
	assert_string_equal(json_string_value(text), "");
	json_decref(text);
	text = decode_text_json("ab\0cd", 5, false);
	assert_string_equal(json_string_value(text), "ab");
	json_decref(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_controller), cmocka_unit_test(test_namespace),
		cmocka_unit_test(test_unsigned),   cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests_name("identify_json", tests, NULL, NULL);
}
