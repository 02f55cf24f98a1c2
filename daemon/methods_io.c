// SPDX-License-Identifier: BSD-3-Clause
/*
 * RPC methods that send any command: data lies in a region of the session, named by number and
 * offset. They are checked exactly as commands from a ring are.
 */
#include "daemon/cmd_table.h"

static const struct cmd_field raw_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),   FIELD_OF(FIELD_VALUE, "cdw2", 2, 0, 32),
	FIELD_OF(FIELD_VALUE, "cdw3", 3, 0, 32),   FIELD_OF(FIELD_VALUE, "cdw10", 10, 0, 32),
	FIELD_OF(FIELD_VALUE, "cdw11", 11, 0, 32), FIELD_OF(FIELD_VALUE, "cdw12", 12, 0, 32),
	FIELD_OF(FIELD_VALUE, "cdw13", 13, 0, 32), FIELD_OF(FIELD_VALUE, "cdw14", 14, 0, 32),
	FIELD_OF(FIELD_VALUE, "cdw15", 15, 0, 32), {.kind = FIELD_END},
};

static void raw(struct rpc_request *req, const json_t *params, struct hold *hold, bool io)
{
	const struct cmd_rule rule = {.opc = (uint8_t)rpc_get_integer(params, "opc", 0),
				      .fields = {raw_fields}};
	struct user_request request = {.io = io};
	uint64_t length = (uint64_t)rpc_get_integer(params, "length", 0);

	if (!hold || !cmd_dwords(req, params, &rule, &request.copy) ||
	    !cmd_put_data(req, params, length, &request))
		return;
	request.copy.md = nvmux_ring_addr((uint16_t)rpc_get_integer(params, "md_region", 0),
					  (uint64_t)rpc_get_integer(params, "md_offset", 0));
	request.copy.md_len = (uint32_t)rpc_get_integer(params, "md_length", 0);
	user_cmd_send(hold, &request, req);
}

static void admin_raw(struct rpc_request *req, const json_t *params)
{
	raw(req, params, cmd_hold(req, params), false);
}

static void io_raw(struct rpc_request *req, const json_t *params)
{
	raw(req, params, cmd_io_hold(req, params), true);
}

#define DWORD(name, help)                                     \
	{                                                     \
		name, RPC_INTEGER, false, 0, UINT32_MAX, help \
	}
#define RAW                                                                             \
	CMD_CONTROLLER, {"opc", RPC_INTEGER, true, 0, 255, "opcode"},                   \
		DWORD("nsid", "namespace id; default 0"),                               \
		DWORD("cdw2", "command dword 2; default 0, as the others"),             \
		DWORD("cdw3", "command dword 3"), DWORD("cdw10", "command dword 10"),   \
		DWORD("cdw11", "command dword 11"), DWORD("cdw12", "command dword 12"), \
		DWORD("cdw13", "command dword 13"), DWORD("cdw14", "command dword 14"), \
		DWORD("cdw15", "command dword 15"), CMD_REGION(false),                  \
		DWORD("length", "bytes of data; default 0: none")

static const struct rpc_param admin_raw_params[] = {RAW, CMD_END};
static const struct rpc_param io_raw_params[] = {
	RAW,     CMD_PIECES,
	CMD_MD,  DWORD("md_length", "bytes of separate metadata; default 0: none"),
	CMD_END,
};

const struct rpc_method io_methods[] = {
	{"admin_raw", RPC_RIGHT_USER, admin_raw_params,
	 "Send an admin command: Identify, Get Log Page, Get Features; with the admin right also "
	 "harmless Set Features, Format NVM, firmware, namespace management, security, sanitize "
	 "and vendor commands. What get_effects says of a command counts: one that others would "
	 "notice runs while nothing else does.",
	 CMD_RESULT, admin_raw},
	{"io_raw", RPC_RIGHT_USER, io_raw_params,
	 "Send an I/O command, checked as one from a queue pair; also vendor commands that others "
	 "would notice by get_effects, which queue pairs refuse: nothing else runs meanwhile.",
	 CMD_RESULT, io_raw},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
