// SPDX-License-Identifier: BSD-3-Clause
/* RPC methods that send one admin command. Base specification 2.0, section 5. */
#include <errno.h>
#include <string.h>
#include <nvmux/fault.h>
#include "daemon/admin_check.h"
#include "daemon/cmd_table.h"
#include "daemon/effects.h"

#define CNTIDS_MAX 2047 /* of a controller list; section 4.5.1 */

static const struct cmd_word sanitize_actions[] = {
	{"exit_failure", 1}, {"block_erase", 2}, {"overwrite", 3}, {"crypto_erase", 4}, {NULL, 0}};

/* ---- reading ---- */

static const struct cmd_field log_fields[] = {
	FIELD_DEF("nsid", 1, 0, 32, NVME_NSID_ALL),
	FIELD_OF(FIELD_VALUE, "lid", 10, 0, 8),
	FIELD_OF(FIELD_VALUE, "lsp", 10, 8, 7),
	FIELD_OF(FIELD_NUMD, "length", 10, 16, 16),
	{.kind = FIELD_NUMD, .param = "length", .dword = 11, .bits = 16, .drop = 16},
	FIELD_OF(FIELD_VALUE, "lsi", 11, 16, 16),
	FIELD_64("log_offset", 12),
	FIELD_OF(FIELD_VALUE, "uuid_index", 14, 0, 7),
	FIELD_OF(FIELD_FLAG, "offset_is_index", 14, 23, 1),
	FIELD_OF(FIELD_VALUE, "csi", 14, 24, 8),
	{.kind = FIELD_END},
};
static const struct cmd_field get_feature_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),       FIELD_OF(FIELD_VALUE, "fid", 10, 0, 8),
	FIELD_OF(FIELD_VALUE, "sel", 10, 8, 3),        FIELD_OF(FIELD_VALUE, "cdw11", 11, 0, 32),
	FIELD_OF(FIELD_VALUE, "uuid_index", 14, 0, 7), {.kind = FIELD_END},
};
static const struct cmd_field set_feature_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_OF(FIELD_VALUE, "fid", 10, 0, 8),
	FIELD_OF(FIELD_FLAG, "save", 10, 31, 1),
	FIELD_OF(FIELD_VALUE, "cdw11", 11, 0, 32),
	FIELD_OF(FIELD_VALUE, "cdw12", 12, 0, 32),
	FIELD_OF(FIELD_VALUE, "uuid_index", 14, 0, 7),
	{.kind = FIELD_END},
};

/* ---- namespaces ---- */

static const struct cmd_field format_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_OF(FIELD_VALUE, "lbaf", 10, 0, 4),
	{.kind = FIELD_VALUE, .param = "lbaf", .dword = 10, .shift = 12, .bits = 2, .drop = 4},
	FIELD_OF(FIELD_FLAG, "mset", 10, 4, 1),
	FIELD_OF(FIELD_VALUE, "pi", 10, 5, 3),
	FIELD_OF(FIELD_FLAG, "pil", 10, 8, 1),
	FIELD_OF(FIELD_VALUE, "ses", 10, 9, 3),
	{.kind = FIELD_END},
};
static const struct cmd_field csi_fields[] = {
	FIELD_OF(FIELD_VALUE, "csi", 11, 24, 8),
	{.kind = FIELD_END},
};

static uint64_t get(const json_t *params, const char *name, int64_t def)
{
	return (uint64_t)rpc_get_integer(params, name, def);
}

/* The host's fields of the Identify Namespace structure. NVM command set 1.0, section 4.1.6. */
static int stage_create(struct rpc_request *req, const json_t *params, const struct controller *c,
			struct nvmux_ring_cmd *cmd, uint8_t *buf)
{
	struct nvme_id_ns *ns = (struct nvme_id_ns *)buf;
	uint64_t blocks = get(params, "blocks", 0), lbaf = get(params, "lbaf", 0);

	(void)req;
	(void)c;
	(void)cmd;
	ns->nsze = cpu_to_le64(blocks);
	ns->ncap = cpu_to_le64(get(params, "capacity", (int64_t)blocks));
	ns->flbas = (uint8_t)((lbaf & 0xf) | (lbaf >> 4 & 3) << 5 |
			      (rpc_get_boolean(params, "mset", false) ? 1u << 4 : 0));
	ns->dps = (uint8_t)(get(params, "pi", 0) |
			    (rpc_get_boolean(params, "pil", false) ? 1u << 3 : 0));
	ns->nmic = rpc_get_boolean(params, "shared", false);
	ns->anagrpid = cpu_to_le32((uint32_t)get(params, "anagrpid", 0));
	ns->nvmsetid = cpu_to_le16((uint16_t)get(params, "nvmsetid", 0));
	ns->endgid = cpu_to_le16((uint16_t)get(params, "endgid", 0));
	return (int)STAGE_MAX;
}

/* A controller list; without one, the controller itself. */
static int stage_cntids(struct rpc_request *req, const json_t *params, const struct controller *c,
			struct nvmux_ring_cmd *cmd, uint8_t *buf)
{
	const json_t *ids = json_object_get(params, "cntids"), *id;
	__le16 *list = (__le16 *)buf;
	size_t i;

	(void)cmd;
	if (!ids) {
		list[0] = cpu_to_le16(1);
		list[1] = c->ctrlr->id.cntlid;
		return (int)STAGE_MAX;
	}
	list[0] = cpu_to_le16((uint16_t)json_array_size(ids));
	json_array_foreach(ids, i, id)
	{
		json_int_t value = json_integer_value(id);

		if (!json_is_integer(id) || value < 0 || value > 0xffef) {
			rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
					"an entry of parameter 'cntids' isn't a controller "
					"identifier, 0 to 65519");
			return -EINVAL;
		}
		list[1 + i] = cpu_to_le16((uint16_t)value);
	}
	return (int)STAGE_MAX;
}

/* ---- the rest ---- */

static const struct cmd_field sanitize_fields[] = {
	FIELD_NAMED("action", 10, 0, 3, sanitize_actions),
	FIELD_OF(FIELD_FLAG, "ause", 10, 3, 1),
	FIELD_OF(FIELD_VALUE, "owpass", 10, 4, 4),
	FIELD_OF(FIELD_FLAG, "oipbp", 10, 8, 1),
	FIELD_OF(FIELD_FLAG, "no_dealloc", 10, 9, 1),
	FIELD_OF(FIELD_VALUE, "pattern", 11, 0, 32),
	{.kind = FIELD_END},
};
static const struct cmd_field self_test_fields[] = {
	FIELD_DEF("nsid", 1, 0, 32, NVME_NSID_ALL),
	FIELD_OF(FIELD_VALUE, "stc", 10, 0, 4),
	{.kind = FIELD_END},
};
static const struct cmd_field download_fields[] = {
	FIELD_OF(FIELD_NUMD, "length", 10, 0, 32),
	FIELD_OF(FIELD_DWORDS, "image_offset", 11, 0, 32),
	{.kind = FIELD_END},
};
static const struct cmd_field commit_fields[] = {
	FIELD_OF(FIELD_VALUE, "slot", 10, 0, 3),
	FIELD_OF(FIELD_VALUE, "action", 10, 3, 3),
	FIELD_OF(FIELD_VALUE, "bpid", 10, 31, 1),
	{.kind = FIELD_END},
};
static const struct cmd_field security_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),    FIELD_OF(FIELD_VALUE, "nssf", 10, 0, 8),
	FIELD_OF(FIELD_VALUE, "spsp", 10, 8, 16),   FIELD_OF(FIELD_VALUE, "secp", 10, 24, 8),
	FIELD_OF(FIELD_VALUE, "length", 11, 0, 32), {.kind = FIELD_END},
};
static const struct cmd_field directive_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_OF(FIELD_NUMD, "length", 10, 0, 32),
	FIELD_OF(FIELD_VALUE, "doper", 11, 0, 8),
	FIELD_OF(FIELD_VALUE, "dtype", 11, 8, 8),
	FIELD_OF(FIELD_VALUE, "dspec", 11, 16, 16),
	FIELD_OF(FIELD_VALUE, "cdw12", 12, 0, 32),
	{.kind = FIELD_END},
};

static const struct cmd_rule directive_rule = {
	.method = "directive_send", .opc = nvme_admin_directive_send, .fields = {directive_fields}};

/* Most of these operations carry no data, but the command names at least one dword. */
static void directive_send(struct rpc_request *req, const json_t *params)
{
	static const uint8_t nothing[4];
	struct hold *hold = cmd_hold(req, params);
	struct user_request request = {.io = false};

	if (!hold || !cmd_dwords(req, params, &directive_rule, &request.copy))
		return;
	if (!json_object_get(params, "length")) {
		request.staged = nothing;
		request.staged_len = sizeof(nothing);
	} else if (!cmd_put_data(req, params, get(params, "length", 0), &request)) {
		return;
	}
	user_cmd_send(hold, &request, req);
}

static void get_effects(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "controller", "");
	struct controller *c = controller_for_request(rpc_server_user(rpc_request_conn(req)), req,
						      name);

	if (c)
		rpc_reply(req, effects_json(c->ctrlr));
}

/* ---- injected errors ---- */

/* The controller of a request about its admin queue; else the request is answered. */
static struct controller *injection_target(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "controller", "");
	uint8_t opc = (uint8_t)get(params, "opc", 0);

	if (!admin_is_known(opc)) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"opc is %u, which clients don't send: it is the daemon's own", opc);
		return NULL;
	}
	return controller_for_request(rpc_server_user(rpc_request_conn(req)), req, name);
}

static void add_error_injection(struct rpc_request *req, const json_t *params)
{
	struct controller *c = injection_target(req, params);
	struct nvmux_error_injection injection = {
		.opc = (uint8_t)get(params, "opc", 0),
		.do_not_submit = rpc_get_boolean(params, "do_not_submit", false),
		.delay_us = get(params, "delay_us", 0),
		.count = (uint32_t)get(params, "count", 1),
		.status = (uint16_t)(get(params, "nvme_status", 0) |
				     (rpc_get_boolean(params, "dnr", false) ? NVMUX_STATUS_DNR
									    : 0u)),
	};
	int err;

	if (!c)
		return;
	daemon_clear_error(c->d);
	err = nvmux_qpair_add_cmd_error_injection(c->ctrlr, NULL, &injection);
	if (err)
		rpc_reply_errno(req, err, "%s", daemon_error_text(c->d, err));
	else
		rpc_reply(req, json_true());
}

static void remove_error_injection(struct rpc_request *req, const json_t *params)
{
	struct controller *c = injection_target(req, params);

	if (!c)
		return;
	rpc_reply(req, json_boolean(nvmux_qpair_remove_cmd_error_injection(
			       c->ctrlr, NULL, (uint8_t)get(params, "opc", 0))));
}

/* ---- the tables ---- */

const struct cmd_rule admin_rules[] = {
	{.method = "get_log_page",
	 .opc = nvme_admin_get_log_page,
	 .data = DATA_LENGTH,
	 .fields = {log_fields}},
	{.method = "get_feature",
	 .opc = nvme_admin_get_features,
	 .data = DATA_LENGTH,
	 .fields = {get_feature_fields}},
	{.method = "set_feature",
	 .opc = nvme_admin_set_features,
	 .data = DATA_LENGTH,
	 .fields = {set_feature_fields}},
	{.method = "format", .opc = nvme_admin_format_nvm, .fields = {format_fields}},
	{.method = "create_ns",
	 .opc = nvme_admin_ns_mgmt,
	 .data = DATA_STAGED,
	 .fields = {csi_fields},
	 .stage = stage_create},
	{.method = "delete_ns",
	 .opc = nvme_admin_ns_mgmt,
	 .fixed = 1,
	 .fixed_dword = 10,
	 .fields = {cmd_nsid_fields}},
	{.method = "attach_ns",
	 .opc = nvme_admin_ns_attach,
	 .data = DATA_STAGED,
	 .fields = {cmd_nsid_fields},
	 .stage = stage_cntids},
	{.method = "detach_ns",
	 .opc = nvme_admin_ns_attach,
	 .data = DATA_STAGED,
	 .fixed = 1,
	 .fixed_dword = 10,
	 .fields = {cmd_nsid_fields},
	 .stage = stage_cntids},
	{.method = "sanitize", .opc = nvme_admin_sanitize_nvm, .fields = {sanitize_fields}},
	{.method = "self_test", .opc = nvme_admin_dev_self_test, .fields = {self_test_fields}},
	{.method = "fw_download",
	 .opc = nvme_admin_fw_download,
	 .data = DATA_LENGTH,
	 .fields = {download_fields}},
	{.method = "fw_commit", .opc = nvme_admin_fw_commit, .fields = {commit_fields}},
	{.method = "security_send",
	 .opc = nvme_admin_security_send,
	 .data = DATA_LENGTH,
	 .fields = {security_fields}},
	{.method = "security_receive",
	 .opc = nvme_admin_security_recv,
	 .data = DATA_LENGTH,
	 .fields = {security_fields}},
	{.method = "directive_receive",
	 .opc = nvme_admin_directive_recv,
	 .data = DATA_LENGTH,
	 .fields = {directive_fields}},
	{.method = NULL},
};

#define ANY_NSID(help)                                          \
	{                                                       \
		"nsid", RPC_INTEGER, false, 0, UINT32_MAX, help \
	}
#define U32(name, help)                                       \
	{                                                     \
		name, RPC_INTEGER, false, 0, UINT32_MAX, help \
	}
#define UUID_INDEX                                                                     \
	{                                                                              \
		"uuid_index", RPC_INTEGER, false, 0, 127, "index of a UUID; default 0" \
	}
#define FORMAT_PARAMS                                                                           \
	{"lbaf", RPC_INTEGER, false, 0, 63, "index of the LBA format; default 0"},              \
		{"mset", RPC_BOOLEAN, false,                                                    \
		 0,      0,           "metadata is interleaved with the data; default false"},  \
		{"pi", RPC_INTEGER, false,                                                      \
		 0,    3,           "type of protection information, 0: none; default 0"},      \
	{                                                                                       \
		"pil", RPC_BOOLEAN, false, 0, 0,                                                \
			"protection information is the first 8 bytes of the metadata; default " \
			"false"                                                                 \
	}

static const struct rpc_param log_params[] = {
	CMD_CONTROLLER,
	{"lid", RPC_INTEGER, true, 0, 255, "log page identifier"},
	ANY_NSID("namespace id; default 4294967295: of the controller"),
	CMD_REGION(true),
	CMD_LENGTH(true),
	{"log_offset", RPC_INTEGER, false, 0, INT64_MAX,
	 "bytes from the log page's start, a multiple of 4; default 0"},
	{"offset_is_index", RPC_BOOLEAN, false, 0, 0,
	 "log_offset counts entries (OT); default false"},
	{"lsp", RPC_INTEGER, false, 0, 127, "log specific parameter; default 0"},
	{"lsi", RPC_INTEGER, false, 0, 65535, "log specific identifier; default 0"},
	{"csi", RPC_INTEGER, false, 0, 255, "command set identifier; default 0"},
	UUID_INDEX,
	CMD_END,
};
static const struct rpc_param get_feature_params[] = {
	CMD_CONTROLLER,
	{"fid", RPC_INTEGER, true, 0, 255, "feature identifier"},
	{"sel", RPC_INTEGER, false, 0, 7,
	 "0 current, 1 default, 2 saved value, 3 capabilities; default 0"},
	ANY_NSID("namespace id; default 0"),
	U32("cdw11", "command dword 11; default 0"),
	UUID_INDEX,
	CMD_REGION(false),
	CMD_LENGTH(false),
	CMD_END,
};
static const struct rpc_param set_feature_params[] = {
	CMD_CONTROLLER,
	{"fid", RPC_INTEGER, true, 0, 255, "feature identifier"},
	U32("cdw11", "the value: command dword 11; default 0"),
	U32("cdw12", "command dword 12; default 0"),
	{"save", RPC_BOOLEAN, false, 0, 0, "keep it over resets and power cycles; default false"},
	ANY_NSID("namespace id; default 0"),
	UUID_INDEX,
	CMD_REGION(false),
	CMD_LENGTH(false),
	CMD_END,
};
static const struct rpc_param format_params[] = {
	CMD_CONTROLLER,
	{"nsid", RPC_INTEGER, true, 1, UINT32_MAX, "namespace id; 4294967295: all"},
	FORMAT_PARAMS,
	{"ses", RPC_INTEGER, false, 0, 7,
	 "secure erase: 0 none, 1 user data, 2 cryptographic; default 0"},
	CMD_END,
};
static const struct rpc_param create_params[] = {
	CMD_CONTROLLER,
	{"blocks", RPC_INTEGER, true, 1, INT64_MAX, "size in logical blocks (NSZE)"},
	{"capacity", RPC_INTEGER, false, 0, INT64_MAX,
	 "capacity in logical blocks (NCAP); default: its size"},
	FORMAT_PARAMS,
	{"shared", RPC_BOOLEAN, false, 0, 0,
	 "several controllers may have it attached (NMIC); default false"},
	U32("anagrpid", "ANA group; default 0: the controller chooses"),
	{"nvmsetid", RPC_INTEGER, false, 0, 65535, "NVM set; default 0"},
	{"endgid", RPC_INTEGER, false, 0, 65535, "endurance group; default 0"},
	{"csi", RPC_INTEGER, false, 0, 255, "command set identifier; default 0: NVM"},
	CMD_END,
};
static const struct rpc_param nsid_params[] = {
	CMD_CONTROLLER,
	{"nsid", RPC_INTEGER, true, 1, UINT32_MAX, "namespace id; 4294967295: all"},
	CMD_END,
};
static const struct rpc_param attach_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	{"cntids", RPC_ARRAY, false, 1, CNTIDS_MAX,
	 "controller identifiers; default: the controller's own"},
	CMD_END,
};
static const struct rpc_param sanitize_params[] = {
	CMD_CONTROLLER,
	{"action", RPC_STRING, true, 1, 32, "exit_failure, block_erase, overwrite or crypto_erase"},
	{"ause", RPC_BOOLEAN, false, 0, 0, "a failure may be left without another; default false"},
	{"owpass", RPC_INTEGER, false, 0, 15, "passes of overwrite, 0: 16; default 0"},
	{"oipbp", RPC_BOOLEAN, false, 0, 0,
	 "the pattern is inverted between passes; default false"},
	{"no_dealloc", RPC_BOOLEAN, false, 0, 0,
	 "don't deallocate blocks afterwards; default false"},
	U32("pattern", "of overwrite; default 0"),
	CMD_END,
};
static const struct rpc_param self_test_params[] = {
	CMD_CONTROLLER,
	{"stc", RPC_INTEGER, true, 0, 15,
	 "self-test code: 1 short, 2 extended, 14 vendor specific, 15 abort"},
	ANY_NSID("namespace id; 0: the controller only; default 4294967295: all"),
	CMD_END,
};
static const struct rpc_param download_params[] = {
	CMD_CONTROLLER,
	CMD_REGION(true),
	CMD_LENGTH(true),
	{"image_offset", RPC_INTEGER, true, 0, UINT32_MAX * 4ll,
	 "bytes from the image's start; a multiple of 4"},
	CMD_END,
};
static const struct rpc_param commit_params[] = {
	CMD_CONTROLLER,
	{"slot", RPC_INTEGER, true, 0, 7, "firmware slot; 0: the controller chooses"},
	{"action", RPC_INTEGER, true, 0, 7,
	 "commit action: 0 replace, 1 replace and activate at the next reset, 2 activate at the "
	 "next reset, 3 activate at once, 6 and 7 for boot partitions"},
	{"bpid", RPC_INTEGER, false, 0, 1, "boot partition; default 0"},
	CMD_END,
};
static const struct rpc_param security_params[] = {
	CMD_CONTROLLER,
	{"secp", RPC_INTEGER, true, 0, 255, "security protocol"},
	{"spsp", RPC_INTEGER, false, 0, 65535, "security protocol specific; default 0"},
	{"nssf", RPC_INTEGER, false, 0, 255, "NVMe security specific field; default 0"},
	ANY_NSID("namespace id; default 0"),
	CMD_REGION(true),
	CMD_LENGTH(true),
	CMD_END,
};
#define DIRECTIVE                                                                         \
	CMD_CONTROLLER, ANY_NSID("namespace id; default 0"),                              \
		{"doper", RPC_INTEGER, true, 0, 255, "directive operation"},              \
		{"dtype", RPC_INTEGER, true, 0, 255, "directive type"},                   \
		{"dspec", RPC_INTEGER, false, 0, 65535, "directive specific; default 0"}, \
		U32("cdw12", "command dword 12; default 0")

static const struct rpc_param directive_send_params[] = {
	DIRECTIVE,
	CMD_REGION(false),
	{"length", RPC_INTEGER, false, 4, UINT32_MAX - 3,
	 "bytes of data; a multiple of 4; default: none"},
	CMD_END,
};
static const struct rpc_param directive_receive_params[] = {
	DIRECTIVE,
	CMD_REGION(true),
	CMD_LENGTH(true),
	CMD_END,
};
static const struct rpc_param controller_params[] = {
	{"controller", RPC_STRING, true, 1, CONF_NAME_MAX - 1, "the controller"},
	CMD_END,
};

#define OPC                                                                   \
	{"controller", RPC_STRING, true, 1, CONF_NAME_MAX - 1, "the controller"}, \
	{                                                                     \
		"opc", RPC_INTEGER, true, 0, 255, "opcode of admin commands"  \
	}

static const struct rpc_param add_injection_params[] = {
	OPC,
	{"nvme_status", RPC_INTEGER, true, 0, 0x7ff,
	 "what they end with: status code type and status code"},
	{"dnr", RPC_BOOLEAN, false, 0, 0, "with Do Not Retry; default false"},
	{"count", RPC_INTEGER, false, 1, UINT32_MAX,
	 "how many commands; 4294967295: all; default 1"},
	{"do_not_submit", RPC_BOOLEAN, false, 0, 0,
	 "they don't reach the controller; default false: the status replaces theirs"},
	{"delay_us", RPC_INTEGER, false, 0, 3600000000,
	 "with do_not_submit: microseconds until they end; default 0"},
	CMD_END,
};
static const struct rpc_param remove_injection_params[] = {OPC, CMD_END};

#define QUIESCED                                                                           \
	" Where the effects log, or without one the specification, says so, nothing else " \
	"runs on the controller meanwhile. Namespaces are read again before the answer."

const struct rpc_method admin_methods[] = {
	{"get_log_page", RPC_RIGHT_USER, log_params,
	 "Read a log page into a region. Not split: at most the controller's transfer limit. "
	 "Events "
	 "are never cleared by it (RAE).",
	 CMD_RESULT, cmd_method},
	{"get_feature", RPC_RIGHT_USER, get_feature_params,
	 "Get Features; those with a data structure need region and length.",
	 "{dw0, dw1} of the completion: the value", cmd_method},
	{"set_feature", RPC_RIGHT_ADMIN, set_feature_params,
	 "Set Features; those that belong to the daemon are refused.", CMD_RESULT, cmd_method},
	{"format", RPC_RIGHT_ADMIN, format_params, "Format NVM." QUIESCED, CMD_RESULT, cmd_method},
	{"create_ns", RPC_RIGHT_ADMIN, create_params,
	 "Create a namespace, which is to be attached then." QUIESCED,
	 "{dw0, dw1} of the completion; dw0 is the namespace's id", cmd_method},
	{"delete_ns", RPC_RIGHT_ADMIN, nsid_params, "Delete a namespace." QUIESCED, CMD_RESULT,
	 cmd_method},
	{"attach_ns", RPC_RIGHT_ADMIN, attach_params,
	 "Attach a namespace to controllers of the subsystem." QUIESCED, CMD_RESULT, cmd_method},
	{"detach_ns", RPC_RIGHT_ADMIN, attach_params,
	 "Detach a namespace from controllers of the subsystem." QUIESCED, CMD_RESULT, cmd_method},
	{"sanitize", RPC_RIGHT_ADMIN, sanitize_params,
	 "Begin to sanitize the subsystem; how far it is says log page 129.", CMD_RESULT,
	 cmd_method},
	{"self_test", RPC_RIGHT_ADMIN, self_test_params,
	 "Begin or abort a device self-test; how far it is says log page 6.", CMD_RESULT,
	 cmd_method},
	{"fw_download", RPC_RIGHT_ADMIN, download_params,
	 "Download a piece of a firmware image from a region: at most the transfer limit, and as "
	 "the controller's granularity (fwug of identify) has it, but for the last one.",
	 CMD_RESULT, cmd_method},
	{"fw_commit", RPC_RIGHT_ADMIN, commit_params,
	 "Commit a firmware image. That a reset is needed is a status, too.", CMD_RESULT,
	 cmd_method},
	{"security_send", RPC_RIGHT_ADMIN, security_params, "Security Send.", CMD_RESULT,
	 cmd_method},
	{"security_receive", RPC_RIGHT_ADMIN, security_params, "Security Receive.", CMD_RESULT,
	 cmd_method},
	{"directive_send", RPC_RIGHT_ADMIN, directive_send_params, "Directive Send.", CMD_RESULT,
	 directive_send},
	{"directive_receive", RPC_RIGHT_ADMIN, directive_receive_params, "Directive Receive.",
	 CMD_RESULT, cmd_method},
	{"get_effects", RPC_RIGHT_USER, controller_params,
	 "Show which commands a controller supports and what they change, by its Commands "
	 "Supported "
	 "and Effects log or, without one, by the specification. Commands with ncc, nic, ccc or "
	 "cse need the admin right, and admin commands among them run while nothing else does.",
	 "{admin: [{opc, lbcc, ncc, nic, ccc, cse}, …], io: the same}", get_effects},
	{"add_error_injection", RPC_RIGHT_ADMIN, add_injection_params,
	 "Let admin commands of an opcode end with a status: those of all clients, and those that "
	 "the daemon and its library send for themselves, such as the ones of a start or reset. It "
	 "replaces one for "
	 "the same opcode, and stays until count commands have met it or the controller is "
	 "detached. For a queue pair the client's own library does it.",
	 "true", add_error_injection},
	{"remove_error_injection", RPC_RIGHT_ADMIN, remove_injection_params,
	 "End what add_error_injection has begun.",
	 "true; false if there is none for the opcode", remove_error_injection},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
