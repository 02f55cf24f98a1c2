// SPDX-License-Identifier: BSD-3-Clause
/* What devices say as JSON, against what nvme-cli prints for the same bytes; and hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "decode/bits.h"
#include "decode/feature_text.h"
#include "decode/fields.h"
#include "decode/identify_json.h"
#include "decode/log_json.h"
#include "decode_golden.h"
#include "libcore/util.h"
#include "tests/rng.h"

#define SIZE 4096

/* Every byte differs from its neighbours; none has its highest bit set, because nvme-cli 2.3 prints
 * 32-bit fields above 7fffffffh as negative numbers. */
static void fill(uint8_t *bytes)
{
	for (unsigned i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(((i * 7 + 3) ^ (i >> 8)) & 0x7f);
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

static void test_logs(void **state)
{
	uint8_t *page = malloc(SIZE);
	void *log = page;

	fill(page);
	compare(log_smart_json(log, false), golden_smart);
	compare(log_smart_json(log, true), golden_smart_human);
	compare(log_error_json(log, 3), golden_error);
	compare(log_fw_json(log, "nvme0"), golden_fw);
	compare(log_effects_json(log, 0), golden_effects);
	compare(log_self_test_json(log, 4), golden_self_test);
	compare(log_sanitize_json(log, "nvme0"), golden_sanitize);
	compare(log_resv_json(log), golden_resv);
	compare(log_endurance_json(log), golden_endurance);
	memset(page + 16, 0, SIZE - 16);
	compare(log_changed_ns_json(log, "nvme0"), golden_changed_ns);
	free(page);
}

/* Two groups: 1 with two namespaces, 2 with none. */
static size_t make_ana(uint8_t *page)
{
	struct nvme_ana_log *head = (void *)page;
	struct nvme_ana_group_desc *group = (void *)(page + 16);

	memset(page, 0, SIZE);
	head->chgcnt = cpu_to_le64(7);
	head->ngrps = cpu_to_le16(2);
	group->grpid = cpu_to_le32(1);
	group->nnsids = cpu_to_le32(2);
	group->chgcnt = cpu_to_le64(9);
	group->state = NVME_ANA_STATE_NONOPTIMIZED;
	group->nsids[0] = cpu_to_le32(1);
	group->nsids[1] = cpu_to_le32(5);
	group = (void *)(page + 16 + 32 + 8);
	group->grpid = cpu_to_le32(2);
	group->chgcnt = cpu_to_le64(3);
	group->state = NVME_ANA_STATE_CHANGE;
	return 16 + 32 + 8 + 32;
}

static void test_ana(void **state)
{
	uint8_t *page = malloc(SIZE), *exact;
	size_t len = make_ana(page);
	json_t *json;

	compare(log_ana_json(page, len, "nvme0"), golden_ana);
	/* Cut anywhere, and counts that promise more: nothing behind the end is looked at. */
	page[16 + 4] = page[16 + 7] = 0xff;
	page[8] = page[9] = 0xff;
	for (size_t cut = 0; cut <= len; cut++) {
		exact = malloc(cut + 1);
		memcpy(exact, page, cut);
		json = log_ana_json(exact, cut, "nvme0");
		assert_non_null(json);
		json_decref(json);
		free(exact);
	}
	free(page);
}

static void test_identify(void **state)
{
	uint8_t *data = malloc(SIZE), *plain = malloc(SIZE);

	fill(data);
	compare(identify_independent_ns_json((void *)data), golden_independent);
	compare(identify_nvm_ctrl_json((void *)data), golden_nvm_ctrl);
	fill(plain);
	((struct nvme_id_ns *)plain)->nlbaf = 2;
	compare(identify_nvm_ns_json((void *)data, (void *)plain), golden_nvm_ns);
	data[0] = 3;
	data[1] = 0;
	compare(identify_ctrl_list_json(data), golden_ctrl_list);
	fill(data);
	memset(data + 16, 0, SIZE - 16);
	compare(identify_ns_list_json(data), golden_ns_list);
	free(data);
	free(plain);
}

static uint8_t *put_desc(uint8_t *at, uint8_t type, uint8_t len, uint8_t first)
{
	at[0] = type;
	at[1] = len;
	for (unsigned i = 0; i < len; i++)
		at[4 + i] = (uint8_t)(first + i);
	return at + 4 + len;
}

static void test_descs(void **state)
{
	uint8_t *data = calloc(1, SIZE), *at = data;
	json_t *json;

	at = put_desc(at, NVME_NIDT_EUI64, 8, 1);
	at = put_desc(at, NVME_NIDT_NGUID, 16, 16);
	at = put_desc(at, NVME_NIDT_UUID, 16, 32);
	put_desc(at, NVME_NIDT_CSI, 1, 2);
	compare(identify_descs_json(data), golden_descs);
	/* Lengths that don't fit the type, and one that reaches beyond the end. */
	memset(data, 0, SIZE);
	put_desc(put_desc(data, NVME_NIDT_UUID, 15, 0), NVME_NIDT_CSI, 1, 0);
	json = identify_descs_json(data);
	assert_int_equal(json_array_size(json_object_get(json, "ns-descs")), 1);
	json_decref(json);
	for (at = data; at + 4 + 250 <= data + SIZE;)
		at = put_desc(at, 99, 250, 0);
	at[0] = NVME_NIDT_UUID;
	at[1] = 16;
	memset(data + SIZE - 1, 0xff, 1);
	json = identify_descs_json(data);
	assert_non_null(json);
	json_decref(json);
	free(data);
}

static void test_unsigned(void **state)
{
	struct nvme_error_log_page entry = {0};
	json_t *json, *first;

	entry.nsid = cpu_to_le32(UINT32_MAX);
	entry.lba = cpu_to_le64(UINT64_MAX);
	json = log_error_json(&entry, 1);
	first = json_array_get(json_object_get(json, "errors"), 0);
	assert_int_equal(json_integer_value(json_object_get(first, "nsid")), UINT32_MAX);
	assert_string_equal(decode_digits(json_object_get(first, "lba")), "18446744073709551615");
	assert_null(decode_digits(json_object_get(first, "nsid")));
	decode_plain(json);
	first = json_array_get(json_object_get(json, "errors"), 0);
	assert_string_equal(json_string_value(json_object_get(first, "lba")),
			    "18446744073709551615");
	assert_int_equal(json_integer_value(json_object_get(first, "nsid")), UINT32_MAX);
	json_decref(json);
	json = decode_plain(json_pack("[o, o]", decode_uint_json(1ull << 63),
				      decode_uint_json((1ull << 63) - 1)));
	assert_string_equal(json_string_value(json_array_get(json, 0)), "9223372036854775808");
	assert_int_equal(json_integer_value(json_array_get(json, 1)), INT64_MAX);
	json_decref(json);
	/* a device's own text isn't taken for it */
	json = decode_text_json(DECODE_DIGITS_MARK "5", 9, false);
	assert_null(decode_digits(json));
	json_decref(json);
}

/* Each decoder once, on memory that ends where the structure does, so that ASan sees a step
 * beyond it. */
static void decode_all(const uint8_t *bytes)
{
	json_t *made[18];
	size_t n = 0;
	void *data = malloc(SIZE), *plain = malloc(SIZE);
	size_t error_len = sizeof(struct nvme_error_log_page) * 5;
	void *errors = malloc(error_len);

	memcpy(data, bytes, SIZE);
	memcpy(plain, bytes, SIZE);
	memcpy(errors, bytes, error_len);
	made[n++] = identify_ctrl_json(data);
	made[n++] = identify_ns_json(data);
	made[n++] = identify_independent_ns_json(data);
	made[n++] = identify_nvm_ctrl_json(data);
	made[n++] = identify_nvm_ns_json(data, plain);
	made[n++] = identify_descs_json(data);
	made[n++] = identify_ns_list_json(data);
	made[n++] = identify_ctrl_list_json(data);
	made[n++] = log_smart_json(data, true);
	made[n++] = log_error_json(errors, 5);
	made[n++] = log_fw_json(data, "x");
	made[n++] = log_changed_ns_json(data, "x");
	made[n++] = log_effects_json(data, 0);
	made[n++] = log_ana_json(errors, error_len, "x");
	made[n++] = log_self_test_json(data, 255);
	made[n++] = log_sanitize_json(data, "x");
	made[n++] = log_resv_json(data);
	made[n++] = log_supported_json(data);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(made[i]);
		json_decref(made[i]);
	}
	free(data);
	free(plain);
	free(errors);
}

static void test_hostile(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ull;
	uint8_t bytes[SIZE];

	memset(bytes, 0xff, sizeof(bytes));
	decode_all(bytes);
	for (unsigned round = 0; round < 60; round++) {
		for (size_t i = 0; i < SIZE; i++)
			bytes[i] = (uint8_t)next_random(&seed);
		bytes[8] &= 7; /* now and then a count that is believed */
		decode_all(bytes);
	}
}

static char *describe(uint8_t fid, uint32_t value, const void *data, size_t len)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	feature_describe(out, fid, value, data, len);
	fclose(out);
	return text;
}

static void expect(uint8_t fid, uint32_t value, const void *data, size_t len, const char *want)
{
	char *text = describe(fid, value, data, len);

	if (!strstr(text, want))
		fail_msg("feature %02xh: \"%s\" isn't in \"%s\"", fid, want, text);
	free(text);
}

static void test_features(void **state)
{
	static const uint8_t host_id[8] = {1, 2};
	uint8_t bytes[SIZE];

	expect(0x07, 0x003f001f, NULL, 0, "Queues Allocated (NCQA): 64\n");
	expect(0x07, 0x003f001f, NULL, 0, "Queues Allocated (NSQA): 32\n");
	expect(0x01, 0x07, NULL, 0, "No limit");
	expect(0x01, 0x02, NULL, 0, "(AB): 4\n");
	expect(0x04, 343, NULL, 0, "70 C (343 K)");
	expect(0x06, 1, NULL, 0, "(WCE): Enabled");
	expect(0x0f, 10000, NULL, 0, "milliseconds: 10000");
	expect(0x81, 0, host_id, 8, "(HOSTID): 513\n");
	assert_string_equal(feature_name(0x02), "Power Management");
	assert_string_equal(feature_name(0xf0), "Unknown");
	assert_int_equal(feature_data_len(0x81, 1, false), 16);
	assert_int_equal(feature_data_len(0x0d, 0, true), 0);
	assert_int_equal(feature_data_len(0x0d, 0, false), 4096);
	memset(bytes, 0xff, sizeof(bytes));
	for (unsigned fid = 0; fid < 256; fid++) {
		for (size_t len = 0; len <= 4096; len = len * 2 + 1) {
			uint8_t *exact = malloc(len + 1);

			memcpy(exact, bytes, len);
			free(describe((uint8_t)fid, UINT32_MAX, exact, len));
			free(exact);
		}
	}
}

static void test_bits(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	bits_describe(out, "oacs", 0x8);
	bits_describe(out, "no such field", UINT64_MAX);
	fclose(out);
	assert_non_null(strstr(text, "[3:3] : 0x1\tnamespace management"));
	assert_non_null(strstr(text, "[1:1] : 0\tFormat NVM"));
	assert_null(strstr(text, "such"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logs),	 cmocka_unit_test(test_ana),
		cmocka_unit_test(test_identify), cmocka_unit_test(test_descs),
		cmocka_unit_test(test_unsigned), cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_features), cmocka_unit_test(test_bits),
	};

	return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
