// SPDX-License-Identifier: BSD-3-Clause
/* RPC methods of the zoned namespace command set. Specification 1.1, section 3.4. */
#include "daemon/cmd_table.h"

static const struct cmd_word send_actions[] = {
	{"close", 1}, {"finish", 2},  {"open", 3},
	{"reset", 4}, {"offline", 5}, {"set_zone_desc_ext", 0x10},
	{NULL, 0},
};

static const struct cmd_field append_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_64("zslba", 10),
	FIELD_OF(FIELD_COUNT, "lba_count", 12, 0, 16),
	{.kind = FIELD_END},
};
static const struct cmd_field send_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_64("slba", 10),
	FIELD_NAMED("action", 13, 0, 8, send_actions),
	FIELD_OF(FIELD_FLAG, "select_all", 13, 8, 1),
	{.kind = FIELD_END},
};
static const struct cmd_field report_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_64("slba", 10),
	FIELD_OF(FIELD_NUMD, "length", 12, 0, 32),
	FIELD_OF(FIELD_FLAG, "extended", 13, 0, 8),
	FIELD_OF(FIELD_VALUE, "options", 13, 8, 8),
	FIELD_OF(FIELD_FLAG, "partial", 13, 16, 1),
	{.kind = FIELD_END},
};

const struct cmd_rule zns_rules[] = {
	{.method = "zns_append",
	 .opc = nvme_zns_cmd_append,
	 .io = true,
	 .data = DATA_BLOCKS,
	 .pi = true,
	 .fields = {append_fields, cmd_fua_pi_fields}},
	{.method = "zns_mgmt_send",
	 .opc = nvme_zns_cmd_mgmt_send,
	 .io = true,
	 .data = DATA_LENGTH,
	 .fields = {send_fields}},
	{.method = "zns_report_zones",
	 .opc = nvme_zns_cmd_mgmt_recv,
	 .io = true,
	 .data = DATA_LENGTH,
	 .fields = {report_fields}},
	{.method = NULL},
};

static const struct rpc_param append_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	{"zslba", RPC_INTEGER, true, 0, INT64_MAX, "first logical block of the zone"},
	{"lba_count", RPC_INTEGER, true, 1, 65536, "number of logical blocks"},
	CMD_REGION(false),
	CMD_PIECES,
	CMD_MD,
	CMD_FUA,
	CMD_PI,
	CMD_END,
};
static const struct rpc_param send_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	{"slba", RPC_INTEGER, false, 0, INT64_MAX,
	 "first logical block of the zone; default 0, as with select_all"},
	{"action", RPC_STRING, true, 1, 32,
	 "close, finish, open, reset, offline or set_zone_desc_ext"},
	{"select_all", RPC_BOOLEAN, false, 0, 0,
	 "all zones that the action applies to; default false"},
	CMD_REGION(false),
	{"length", RPC_INTEGER, false, 4, UINT32_MAX - 3,
	 "bytes of data, with set_zone_desc_ext only: what Identify says (ZDES × 64)"},
	CMD_END,
};
static const struct rpc_param report_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	{"slba", RPC_INTEGER, false, 0, INT64_MAX, "from the zone of this block on; default 0"},
	CMD_REGION(true),
	CMD_LENGTH(true),
	{"options", RPC_INTEGER, false, 0, 255,
	 "zones in which state: 0 all, 1 empty, 2 implicitly open, 3 explicitly open, 4 closed, 5 "
	 "full, 6 read only, 7 offline; default 0"},
	{"partial", RPC_BOOLEAN, false, 0, 0,
	 "the number of zones in the report is of those in it; default false"},
	{"extended", RPC_BOOLEAN, false, 0, 0,
	 "with the zones' descriptor extensions; default false"},
	CMD_END,
};

const struct rpc_method zns_methods[] = {
	{"zns_append", RPC_RIGHT_USER, append_params,
	 "Write logical blocks at a zone's write pointer.",
	 "{dw0, dw1} of the completion: low and high half of the first block's number", cmd_method},
	{"zns_mgmt_send", RPC_RIGHT_USER, send_params,
	 "Zone Management Send: change the state of a zone or of all.", CMD_RESULT, cmd_method},
	{"zns_report_zones", RPC_RIGHT_USER, report_params,
	 "Zone Management Receive: report zones into a region.", CMD_RESULT, cmd_method},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
