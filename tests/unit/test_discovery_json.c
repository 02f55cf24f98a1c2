// SPDX-License-Identifier: BSD-3-Clause
/* Records of a discovery log page as JSON: what nvme-cli 2.3 (libnvme 1.3) prints for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/discovery_json.h"

static struct nvmux_discovery_entry rdma_entry(void)
{
	return (struct nvmux_discovery_entry){
		.trid = {.trtype = NVMUX_TRTYPE_RDMA,
			 .adrfam = NVMUX_ADRFAM_IPV4,
			 .traddr = "192.168.77.1",
			 .trsvcid = "4420",
			 .subnqn = "nqn.x"},
		.subtype = NVMUX_DISCOVERY_NVME,
		.trtype = 1,
		.adrfam = 1,
		.treq = 4,
		.portid = 7,
		.cntlid = 0xffff,
		.asqsz = 32,
		.rdma_qptype = 1,
		.rdma_prtype = 1,
		.rdma_cms = 1,
		.rdma_pkey = 3,
	};
}

static void assert_record(const struct nvmux_discovery_entry *entry, const char *expected)
{
	json_t *json = discovery_record_json(entry);
	char *text = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);

	assert_string_equal(text, expected);
	free(text);
	json_decref(json);
}

/* As `nvme discover -o json` against the kernel's target, and depth. */
static void test_rdma(void **state)
{
	struct nvmux_discovery_entry entry = rdma_entry();

	assert_record(&entry,
		      "{\"trtype\":\"rdma\",\"adrfam\":\"ipv4\",\"subtype\":\"nvme subsystem\","
		      "\"treq\":\"not specified, sq flow control disable supported\",\"portid\":7,"
		      "\"trsvcid\":\"4420\",\"subnqn\":\"nqn.x\",\"traddr\":\"192.168.77.1\","
		      "\"eflags\":\"none\",\"rdma_prtype\":\"not specified\","
		      "\"rdma_qptype\":\"connected\",\"rdma_cms\":\"rdma-cm\",\"rdma_pkey\":3,"
		      "\"depth\":0}");
}

static void test_others(void **state)
{
	struct nvmux_discovery_entry entry = rdma_entry();

	entry.trid.trtype = NVMUX_TRTYPE_COUNT;
	entry.trtype = 3;
	entry.adrfam = 2;
	entry.subtype = NVMUX_DISCOVERY_REFERRAL;
	entry.treq = 1;
	entry.eflags = 3;
	entry.depth = 2;
	assert_record(&entry,
		      "{\"trtype\":\"tcp\",\"adrfam\":\"ipv6\","
		      "\"subtype\":\"discovery subsystem referral\",\"treq\":\"required\","
		      "\"portid\":7,\"trsvcid\":\"4420\",\"subnqn\":\"nqn.x\","
		      "\"traddr\":\"192.168.77.1\",\"eflags\":\"explicit discovery connections, "
		      "duplicate discovery information\",\"depth\":2}");
}

static const char *text_of(const struct nvmux_discovery_entry *entry, const char *key)
{
	static char text[256];
	json_t *json = discovery_record_json(entry);

	snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(json, key)));
	json_decref(json);
	return text;
}

/* Whatever a target puts there; the texts are those of libnvme's nvmf_*_str(). */
static void test_all_values(void **state)
{
	struct nvmux_discovery_entry entry = rdma_entry();
	unsigned known = 0;

	for (unsigned value = 0; value < 256; value++) {
		entry = rdma_entry();
		entry.adrfam = entry.treq = entry.rdma_prtype = (uint8_t)value;
		entry.rdma_qptype = entry.rdma_cms = (uint8_t)value;
		entry.eflags = (uint16_t)(value << 8 | value);
		entry.subtype = (enum nvmux_discovery_subtype)value;
		known += strcmp(text_of(&entry, "adrfam"), "unrecognized") != 0;
		known += strcmp(text_of(&entry, "treq"), "unrecognized") != 0;
		known += strcmp(text_of(&entry, "subtype"), "unrecognized") != 0;
		known += strcmp(text_of(&entry, "eflags"), "unrecognized") != 0;
		known += strcmp(text_of(&entry, "rdma_prtype"), "unrecognized") != 0;
		known += strcmp(text_of(&entry, "rdma_qptype"), "unrecognized") != 0;
		known += strcmp(text_of(&entry, "rdma_cms"), "unrecognized") != 0;
		entry.trtype = (uint8_t)value;
		known += strcmp(text_of(&entry, "trtype"), "unrecognized") != 0;
	}
	/* 5 families, 4 requirements, 3 subtypes, no flags, 5 + 2 + 1 of RDMA, 4 types */
	assert_int_equal(known, 5 + 4 + 3 + 1 + 5 + 2 + 1 + 4);
	entry = rdma_entry();
	entry.trtype = 254;
	assert_string_equal(text_of(&entry, "trtype"), "loop");
	entry.rdma_prtype = 4;
	entry.trtype = 1;
	assert_string_equal(text_of(&entry, "rdma_prtype"), "roce-v2");
	entry.eflags = 7;
	assert_string_equal(text_of(&entry, "eflags"),
			    "explicit discovery connections, duplicate discovery information, no "
			    "cdc connectivity");
}

static void test_hostile_text(void **state)
{
	struct nvmux_discovery_entry entry = rdma_entry();

	strcpy(entry.trid.subnqn, "nqn.\xff\x01\"x");
	assert_string_equal(text_of(&entry, "subnqn"), "nqn.??\"x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rdma),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_all_values),
		cmocka_unit_test(test_hostile_text),
	};

	return cmocka_run_group_tests_name("discovery_json", tests, NULL, NULL);
}
