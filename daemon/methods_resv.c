// SPDX-License-Identifier: BSD-3-Clause
/* RPC methods about reservations and I/O management. Base specification 2.0, sections 7.2 to 7.5;
 * 2.1, sections 7.3 and 7.4. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/cmd_table.h"

static const struct cmd_word register_actions[] = {
	{"register", 0}, {"unregister", 1}, {"replace", 2}, {NULL, 0}};
static const struct cmd_word acquire_actions[] = {
	{"acquire", 0}, {"preempt", 1}, {"preempt_abort", 2}, {NULL, 0}};
static const struct cmd_word release_actions[] = {{"release", 0}, {"clear", 1}, {NULL, 0}};
static const struct cmd_word types[] = {
	{"write_exclusive", 1},
	{"exclusive_access", 2},
	{"write_exclusive_reg_only", 3},
	{"exclusive_access_reg_only", 4},
	{"write_exclusive_all_regs", 5},
	{"exclusive_access_all_regs", 6},
	{NULL, 0},
};
static const struct cmd_word cptpl_words[] = {
	{"no_change", 0}, {"clear", 2}, {"set", 3}, {NULL, 0}};

static const struct cmd_field register_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_NAMED("action", 10, 0, 3, register_actions),
	FIELD_OF(FIELD_FLAG, "ignore_key", 10, 3, 1),
	FIELD_NAMED("cptpl", 10, 30, 2, cptpl_words),
	{.kind = FIELD_END},
};
static const struct cmd_field acquire_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_NAMED("action", 10, 0, 3, acquire_actions),
	FIELD_OF(FIELD_FLAG, "ignore_key", 10, 3, 1),
	FIELD_NAMED("rtype", 10, 8, 8, types),
	{.kind = FIELD_END},
};
static const struct cmd_field release_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_NAMED("action", 10, 0, 3, release_actions),
	FIELD_OF(FIELD_FLAG, "ignore_key", 10, 3, 1),
	FIELD_NAMED("rtype", 10, 8, 8, types),
	{.kind = FIELD_END},
};
static const struct cmd_field report_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_OF(FIELD_NUMD, "length", 10, 0, 32),
	FIELD_OF(FIELD_FLAG, "extended", 11, 0, 1),
	{.kind = FIELD_END},
};
static const struct cmd_field mgmt_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_OF(FIELD_VALUE, "mo", 10, 0, 8),
	FIELD_OF(FIELD_VALUE, "mos", 10, 16, 16),
	{.kind = FIELD_END},
};
static const struct cmd_field mgmt_length_fields[] = {
	FIELD_OF(FIELD_NUMD, "length", 11, 0, 32),
	{.kind = FIELD_END},
};

/* Keys have 64 bits, JSON's integers here 63: they are text. */
static bool put_key(struct rpc_request *req, const json_t *params, const char *name, uint8_t *at)
{
	const char *text = rpc_get_string(params, name, "0");
	unsigned long long key;
	__le64 le;
	char *end;

	errno = 0;
	key = strtoull(text, &end, 0);
	if (errno || end == text || *end || strchr(text, '-')) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"parameter '%s' is '%.32s': must be a number of 64 bits such as "
				"0x1234",
				name, text);
		return false;
	}
	le = cpu_to_le64((uint64_t)key);
	memcpy(at, &le, sizeof(le));
	return true;
}

static int stage_register(struct rpc_request *req, const json_t *params, const struct controller *c,
			  struct nvmux_ring_cmd *cmd, uint8_t *buf)
{
	(void)c;
	(void)cmd;
	return put_key(req, params, "current_key", buf) && put_key(req, params, "new_key", buf + 8)
		       ? 16
		       : -EINVAL;
}

static int stage_acquire(struct rpc_request *req, const json_t *params, const struct controller *c,
			 struct nvmux_ring_cmd *cmd, uint8_t *buf)
{
	(void)c;
	(void)cmd;
	return put_key(req, params, "current_key", buf) &&
			       put_key(req, params, "preempt_key", buf + 8)
		       ? 16
		       : -EINVAL;
}

static int stage_release(struct rpc_request *req, const json_t *params, const struct controller *c,
			 struct nvmux_ring_cmd *cmd, uint8_t *buf)
{
	(void)c;
	(void)cmd;
	return put_key(req, params, "current_key", buf) ? 8 : -EINVAL;
}

const struct cmd_rule resv_rules[] = {
	{.method = "reservation_register",
	 .opc = nvme_cmd_resv_register,
	 .io = true,
	 .data = DATA_STAGED,
	 .fields = {register_fields},
	 .stage = stage_register},
	{.method = "reservation_acquire",
	 .opc = nvme_cmd_resv_acquire,
	 .io = true,
	 .data = DATA_STAGED,
	 .fields = {acquire_fields},
	 .stage = stage_acquire},
	{.method = "reservation_release",
	 .opc = nvme_cmd_resv_release,
	 .io = true,
	 .data = DATA_STAGED,
	 .fields = {release_fields},
	 .stage = stage_release},
	{.method = "reservation_report",
	 .opc = nvme_cmd_resv_report,
	 .io = true,
	 .data = DATA_LENGTH,
	 .fields = {report_fields}},
	{.method = "io_mgmt_recv",
	 .opc = nvme_cmd_io_mgmt_recv,
	 .io = true,
	 .data = DATA_LENGTH,
	 .fields = {mgmt_fields, mgmt_length_fields}},
	{.method = "io_mgmt_send",
	 .opc = nvme_cmd_io_mgmt_send,
	 .io = true,
	 .data = DATA_LENGTH,
	 .fields = {mgmt_fields}},
	{.method = NULL},
};

#define KEY(name, help)                                                                     \
	{                                                                                   \
		name, RPC_STRING, false, 1, 20, help ", a number such as 0x1234; default 0" \
	}
#define IGNORE_KEY                                                         \
	{                                                                  \
		"ignore_key", RPC_BOOLEAN, false, 0, 0,                    \
			"current_key isn't checked (IEKEY); default false" \
	}
#define RTYPE                                                                           \
	{                                                                               \
		"rtype", RPC_STRING, true, 1, 32,                                       \
			"write_exclusive, exclusive_access, write_exclusive_reg_only, " \
			"exclusive_access_reg_only, write_exclusive_all_regs or "       \
			"exclusive_access_all_regs"                                     \
	}

static const struct rpc_param register_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	{"action", RPC_STRING, false, 1, 32, "register, unregister or replace; default register"},
	KEY("current_key", "the key in effect"),
	KEY("new_key", "the new one"),
	IGNORE_KEY,
	{"cptpl", RPC_STRING, false, 1, 32,
	 "persistence through loss of power: no_change, clear or set; default no_change"},
	CMD_END,
};
static const struct rpc_param acquire_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	{"action", RPC_STRING, false, 1, 32, "acquire, preempt or preempt_abort; default acquire"},
	RTYPE,
	KEY("current_key", "the key in effect"),
	KEY("preempt_key", "the key of who is preempted"),
	IGNORE_KEY,
	CMD_END,
};
static const struct rpc_param release_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	{"action", RPC_STRING, false, 1, 32, "release or clear; default release"},
	{"rtype", RPC_STRING, false, 1, 32,
	 "the type of the reservation, as for reservation_acquire; needed to release one"},
	KEY("current_key", "the key in effect"),
	IGNORE_KEY,
	CMD_END,
};
static const struct rpc_param report_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	CMD_REGION(true),
	CMD_LENGTH(true),
	{"extended", RPC_BOOLEAN, false, 0, 0,
	 "the extended data structure, with host identifiers of 128 bits (EDS); default false"},
	CMD_END,
};
static const struct rpc_param mgmt_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	{"mo", RPC_INTEGER, true, 0, 255, "management operation"},
	{"mos", RPC_INTEGER, false, 0, 65535, "management operation specific; default 0"},
	CMD_REGION(true),
	CMD_LENGTH(true),
	CMD_END,
};

#define FOR_HOST " Reservations act for the whole host."

const struct rpc_method resv_methods[] = {
	{"reservation_register", RPC_RIGHT_ADMIN, register_params,
	 "Register, unregister or replace this host's reservation key." FOR_HOST, CMD_RESULT,
	 cmd_method},
	{"reservation_acquire", RPC_RIGHT_ADMIN, acquire_params,
	 "Acquire a reservation, or preempt another host's." FOR_HOST, CMD_RESULT, cmd_method},
	{"reservation_release", RPC_RIGHT_ADMIN, release_params,
	 "Release a reservation, or clear all of them." FOR_HOST, CMD_RESULT, cmd_method},
	{"reservation_report", RPC_RIGHT_ADMIN, report_params,
	 "Report registrations and reservations into a region." FOR_HOST, CMD_RESULT, cmd_method},
	{"io_mgmt_recv", RPC_RIGHT_ADMIN, mgmt_params,
	 "I/O Management Receive: read reclaim unit handles, for one, into a region.", CMD_RESULT,
	 cmd_method},
	{"io_mgmt_send", RPC_RIGHT_ADMIN, mgmt_params,
	 "I/O Management Send: change reclaim unit handles, for one.", CMD_RESULT, cmd_method},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
