// SPDX-License-Identifier: BSD-3-Clause
/* Records of a discovery log page as JSON, by tables of the texts that nvme-cli shows. Pure. */
#include <string.h>
#include "daemon/discovery_json.h"
#include "decode/fields.h"
#include "libcore/util.h"

#define TRTYPE_RDMA 1
#define TRTYPE_LOOP 254

static const char *const trtypes[] = {[TRTYPE_RDMA] = "rdma", [2] = "fc", [3] = "tcp"};
static const char *const adrfams[] = {"pci", "ipv4", "ipv6", "infiniband", "fibre-channel"};
static const char *const subtypes[] = {
	[NVMUX_DISCOVERY_REFERRAL] = "discovery subsystem referral",
	[NVMUX_DISCOVERY_NVME] = "nvme subsystem",
	[NVMUX_DISCOVERY_CURRENT] = "current discovery subsystem",
};
static const char *const treqs[] = {
	"not specified",
	"required",
	"not required",
	NULL,
	"not specified, sq flow control disable supported",
};
static const char *const eflags[] = {
	"none",
	"duplicate discovery information",
	"explicit discovery connections",
	"explicit discovery connections, duplicate discovery information",
	"no cdc connectivity",
	"duplicate discovery information, no cdc connectivity",
	"explicit discovery connections, no cdc connectivity",
	"explicit discovery connections, duplicate discovery information, no cdc connectivity",
};
static const char *const prtypes[] = {
	[1] = "not specified", [2] = "infiniband", [3] = "roce", [4] = "roce-v2", [5] = "iwarp"};
static const char *const qptypes[] = {[1] = "connected", [2] = "datagram"};
static const char *const cms[] = {[1] = "rdma-cm"};

#define TEXT(table, value) json_string(text_of(table, ARRAY_SIZE(table), value))

static const char *text_of(const char *const *table, size_t n, unsigned value)
{
	return value < n && table[value] ? table[value] : "unrecognized";
}

static json_t *field_json(const char *text)
{
	return decode_text_json(text, strlen(text), false);
}

json_t *discovery_record_json(const struct nvmux_discovery_entry *entry)
{
	json_t *item = json_object();

	if (!item)
		return NULL;
	json_object_set_new(item, "trtype",
			    entry->trtype == TRTYPE_LOOP ? json_string("loop")
							 : TEXT(trtypes, entry->trtype));
	json_object_set_new(item, "adrfam", TEXT(adrfams, entry->adrfam));
	json_object_set_new(item, "subtype", TEXT(subtypes, entry->subtype));
	json_object_set_new(item, "treq", TEXT(treqs, entry->treq));
	json_object_set_new(item, "portid", json_integer(entry->portid));
	json_object_set_new(item, "trsvcid", field_json(entry->trid.trsvcid));
	json_object_set_new(item, "subnqn", field_json(entry->trid.subnqn));
	json_object_set_new(item, "traddr", field_json(entry->trid.traddr));
	json_object_set_new(item, "eflags", TEXT(eflags, entry->eflags));
	if (entry->trtype == TRTYPE_RDMA) {
		json_object_set_new(item, "rdma_prtype", TEXT(prtypes, entry->rdma_prtype));
		json_object_set_new(item, "rdma_qptype", TEXT(qptypes, entry->rdma_qptype));
		json_object_set_new(item, "rdma_cms", TEXT(cms, entry->rdma_cms));
		json_object_set_new(item, "rdma_pkey", json_integer(entry->rdma_pkey));
	}
	json_object_set_new(item, "depth", json_integer(entry->depth));
	return item;
}
