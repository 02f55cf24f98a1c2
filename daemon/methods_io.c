// SPDX-License-Identifier: BSD-3-Clause
/*
 * RPC methods that send commands: data lies in a region of the session, named by number and offset.
 * They are checked exactly as commands from a ring are.
 */
#include <errno.h>
#include <string.h>
#include "daemon/daemon.h"

#define END_PARAMS {NULL, 0, false, 0, 0, NULL}
#define FUA        (1u << 30) /* command dword 12; NVM command set 1.0, section 3.2 */

static struct hold *hold_of(struct rpc_request *req, const json_t *params)
{
	struct session *s = session_of(req);
	struct hold *hold;

	if (!s)
		return NULL;
	hold = session_hold_for_request(s, req, rpc_get_string(params, "controller", ""));
	if (hold && hold->controller->state == CONTROLLER_RESETTING) {
		rpc_reply_errno(req, -EAGAIN, "controller '%s' is being reset",
				hold->controller->name);
		return NULL;
	}
	return hold;
}

/* For I/O commands. */
static struct hold *io_hold_of(struct rpc_request *req, const json_t *params)
{
	struct hold *hold = hold_of(req, params);

	if (hold && nvmux_ctrlr_is_discovery(hold->controller->ctrlr)) {
		rpc_reply_errno(req, -EOPNOTSUPP,
				"controller '%s' is a discovery controller: it takes no I/O",
				hold->controller->name);
		return NULL;
	}
	return hold;
}

static uint32_t get_u32(const json_t *params, const char *name)
{
	return (uint32_t)rpc_get_integer(params, name, 0);
}

static void put_data(struct nvmux_ring_cmd *cmd, const json_t *params, uint64_t length)
{
	cmd->data = nvmux_ring_addr((uint16_t)rpc_get_integer(params, "region", 0),
				    (uint64_t)rpc_get_integer(params, "offset", 0));
	cmd->data_len = (uint32_t)length;
}

static const struct ns_view *view_of(const struct hold *hold, uint32_t nsid)
{
	const struct ctrlr_view *view = hold->controller->view;

	for (uint32_t i = 0; i < view->n_ns; i++) {
		if (view->ns[i].nsid == nsid)
			return &view->ns[i];
	}
	return NULL;
}

/* Read and write: the length follows from the number of blocks. */
static void transfer(struct rpc_request *req, const json_t *params, uint8_t opc)
{
	uint64_t lba = (uint64_t)rpc_get_integer(params, "lba", 0);
	uint32_t count = get_u32(params, "lba_count"), nsid = get_u32(params, "nsid");
	struct hold *hold = io_hold_of(req, params);
	const struct ns_view *ns;
	struct nvmux_ring_cmd cmd = {.opc = opc, .nsid = cpu_to_le32(nsid)};
	uint64_t block;

	if (!hold)
		return;
	ns = view_of(hold, nsid);
	if (!ns) {
		rpc_reply_errno(req, -ENOENT, "controller '%s' has no namespace %u",
				hold->controller->name, nsid);
		return;
	}
	block = (1ull << ns->lba_shift) + (ns->md_interleaved ? ns->md_size : 0);
	/* more than fits goes on as it is, to be refused by the check */
	put_data(&cmd, params, MIN(count * block, UINT32_MAX));
	cmd.cdw10 = cpu_to_le32((uint32_t)lba);
	cmd.cdw11 = cpu_to_le32((uint32_t)(lba >> 32));
	cmd.cdw12 = cpu_to_le32((count - 1) |
				(rpc_get_boolean(params, "fua", false) ? FUA : 0));
	user_cmd_io(hold, &cmd, req);
}

static void read_blocks(struct rpc_request *req, const json_t *params)
{
	transfer(req, params, nvme_cmd_read);
}

static void write_blocks(struct rpc_request *req, const json_t *params)
{
	transfer(req, params, nvme_cmd_write);
}

static void flush(struct rpc_request *req, const json_t *params)
{
	struct nvmux_ring_cmd cmd = {.opc = nvme_cmd_flush,
				     .nsid = cpu_to_le32(get_u32(params, "nsid"))};
	struct hold *hold = io_hold_of(req, params);

	if (hold)
		user_cmd_io(hold, &cmd, req);
}

static void raw_cmd(const json_t *params, struct nvmux_ring_cmd *ret)
{
	struct nvmux_ring_cmd cmd = {.opc = (uint8_t)rpc_get_integer(params, "opc", 0)};

	cmd.nsid = cpu_to_le32(get_u32(params, "nsid"));
	cmd.cdw2 = cpu_to_le32(get_u32(params, "cdw2"));
	cmd.cdw3 = cpu_to_le32(get_u32(params, "cdw3"));
	cmd.cdw10 = cpu_to_le32(get_u32(params, "cdw10"));
	cmd.cdw11 = cpu_to_le32(get_u32(params, "cdw11"));
	cmd.cdw12 = cpu_to_le32(get_u32(params, "cdw12"));
	cmd.cdw13 = cpu_to_le32(get_u32(params, "cdw13"));
	cmd.cdw14 = cpu_to_le32(get_u32(params, "cdw14"));
	cmd.cdw15 = cpu_to_le32(get_u32(params, "cdw15"));
	put_data(&cmd, params, get_u32(params, "length"));
	*ret = cmd;
}

static void admin_raw(struct rpc_request *req, const json_t *params)
{
	struct hold *hold = hold_of(req, params);
	struct nvmux_ring_cmd cmd;

	if (!hold)
		return;
	raw_cmd(params, &cmd);
	user_cmd_admin(hold, &cmd, req);
}

static void io_raw(struct rpc_request *req, const json_t *params)
{
	struct hold *hold = io_hold_of(req, params);
	struct nvmux_ring_cmd cmd;

	if (!hold)
		return;
	raw_cmd(params, &cmd);
	user_cmd_io(hold, &cmd, req);
}

/* ---- the table ---- */

#define CONTROLLER_PARAM                                                                           \
	{                                                                                          \
		"controller", RPC_STRING, true, 1, CONF_NAME_MAX - 1,                              \
			"a controller that is open in this session"                                \
	}
#define DWORD(name, help)                                                                          \
	{                                                                                          \
		name, RPC_INTEGER, false, 0, UINT32_MAX, help                                      \
	}

static const struct rpc_param transfer_params[] = {
	CONTROLLER_PARAM,
	{"nsid", RPC_INTEGER, true, 1, UINT32_MAX, "namespace id"},
	{"lba", RPC_INTEGER, true, 0, INT64_MAX, "first logical block"},
	{"lba_count", RPC_INTEGER, true, 1, 65536, "number of logical blocks"},
	{"region", RPC_INTEGER, true, 0, 65535, "number of the region with the data"},
	{"offset", RPC_INTEGER, true, 0, (1ll << NVMUX_RING_OFFSET_BITS) - 1,
	 "bytes from the region's start; a multiple of 4"},
	{"fua", RPC_BOOLEAN, false, 0, 0, "force unit access; default false"},
	END_PARAMS,
};
static const struct rpc_param flush_params[] = {
	CONTROLLER_PARAM,
	{"nsid", RPC_INTEGER, true, 1, UINT32_MAX, "namespace id"},
	END_PARAMS,
};
static const struct rpc_param raw_params[] = {
	CONTROLLER_PARAM,
	{"opc", RPC_INTEGER, true, 0, 255, "opcode"},
	DWORD("nsid", "namespace id; default 0"),
	DWORD("cdw2", "command dword 2; default 0, as the others"),
	DWORD("cdw3", "command dword 3"),
	DWORD("cdw10", "command dword 10"),
	DWORD("cdw11", "command dword 11"),
	DWORD("cdw12", "command dword 12"),
	DWORD("cdw13", "command dword 13"),
	DWORD("cdw14", "command dword 14"),
	DWORD("cdw15", "command dword 15"),
	{"region", RPC_INTEGER, false, 0, 65535, "number of the region with the data"},
	{"offset", RPC_INTEGER, false, 0, (1ll << NVMUX_RING_OFFSET_BITS) - 1,
	 "bytes from the region's start; a multiple of 4"},
	DWORD("length", "bytes of data; default 0: none"),
	END_PARAMS,
};

const struct rpc_method io_methods[] = {
	{"read", RPC_RIGHT_USER, transfer_params,
	 "Read logical blocks into a region. Not split: at most the controller's transfer limit.",
	 "{dw0, dw1} of the completion", read_blocks},
	{"write", RPC_RIGHT_USER, transfer_params,
	 "Write logical blocks from a region. Not split: at most the controller's transfer limit.",
	 "{dw0, dw1} of the completion", write_blocks},
	{"flush", RPC_RIGHT_USER, flush_params, "Make completed writes durable.",
	 "{dw0, dw1} of the completion", flush},
	{"admin_raw", RPC_RIGHT_USER, raw_params,
	 "Send an admin command: Identify, Get Log Page, Get Features; with the admin right also "
	 "harmless Set Features, Format NVM, firmware, namespace management, security, sanitize "
	 "and "
	 "vendor commands.",
	 "{dw0, dw1} of the completion", admin_raw},
	{"io_raw", RPC_RIGHT_USER, raw_params,
	 "Send an I/O command, checked as one from a queue pair.", "{dw0, dw1} of the completion",
	 io_raw},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
