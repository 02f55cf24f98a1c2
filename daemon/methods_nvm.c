// SPDX-License-Identifier: BSD-3-Clause
/* RPC methods of the NVM command set. NVM command set specification 1.0, section 3.2. */
#include <errno.h>
#include <string.h>
#include <nvmux/io.h>
#include "daemon/cmd_table.h"

static const struct cmd_field range_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_64("lba", 10),
	FIELD_OF(FIELD_COUNT, "lba_count", 12, 0, 16),
	{.kind = FIELD_END},
};
static const struct cmd_field hint_fields[] = {
	FIELD_OF(FIELD_PRESENT, "stream", 12, 20, 1), /* DTYPE 1h */
	FIELD_OF(FIELD_VALUE, "stream", 13, 16, 16),
	FIELD_OF(FIELD_VALUE, "dsm", 13, 0, 8),
	{.kind = FIELD_END},
};
static const struct cmd_field deallocate_fields[] = {
	FIELD_OF(FIELD_FLAG, "deallocate", 12, 25, 1),
	{.kind = FIELD_END},
};
static const struct cmd_field dsm_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_OF(FIELD_FLAG, "integral_read", 11, 0, 1),
	FIELD_OF(FIELD_FLAG, "integral_write", 11, 1, 1),
	FIELD_OF(FIELD_FLAG, "deallocate", 11, 2, 1),
	{.kind = FIELD_END},
};
static const struct cmd_field copy_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	FIELD_64("dest_lba", 10),
	FIELD_OF(FIELD_VALUE, "prinfo_read", 12, 12, 4),
	{.kind = FIELD_END},
};

/* ---- lists of ranges ---- */

static int stage_dsm(struct rpc_request *req, const json_t *params, const struct controller *c,
		     struct nvmux_ring_cmd *cmd, uint8_t *buf)
{
	static const char *const names[] = {"lba", "lba_count", "attributes", NULL};
	const json_t *ranges = json_object_get(params, "ranges"), *entry;
	struct nvmux_dsm_range *range = (struct nvmux_dsm_range *)buf;
	size_t i;

	(void)c;
	json_array_foreach(ranges, i, entry)
	{
		uint64_t lba = 0, count = 0, attributes = 0;

		if (!cmd_members_known(req, entry, "ranges", names) ||
		    !cmd_member(req, entry, "ranges", "lba", true, INT64_MAX, &lba) ||
		    !cmd_member(req, entry, "ranges", "lba_count", true, UINT32_MAX, &count) ||
		    !cmd_member(req, entry, "ranges", "attributes", false, UINT32_MAX, &attributes))
			return -EINVAL;
		range[i].attributes = cpu_to_le32((uint32_t)attributes);
		range[i].lba_count = cpu_to_le32((uint32_t)count);
		range[i].lba = cpu_to_le64(lba);
	}
	cmd->cdw10 = cpu_to_le32((uint32_t)i - 1);
	return (int)(i * sizeof(*range));
}

static int stage_copy(struct rpc_request *req, const json_t *params, const struct controller *c,
		      struct nvmux_ring_cmd *cmd, uint8_t *buf)
{
	static const char *const names[] = {"lba",    "lba_count",   "reftag",
					    "apptag", "apptag_mask", NULL};
	const json_t *ranges = json_object_get(params, "ranges"), *entry;
	struct nvmux_copy_range *range = (struct nvmux_copy_range *)buf;
	size_t i;

	(void)c;
	json_array_foreach(ranges, i, entry)
	{
		uint64_t lba = 0, count = 0, reftag, apptag = 0, mask = 0;

		if (!cmd_members_known(req, entry, "ranges", names) ||
		    !cmd_member(req, entry, "ranges", "lba", true, INT64_MAX, &lba) ||
		    !cmd_member(req, entry, "ranges", "lba_count", true, 65536, &count))
			return -EINVAL;
		reftag = (uint32_t)lba;
		if (!cmd_member(req, entry, "ranges", "reftag", false, UINT32_MAX, &reftag) ||
		    !cmd_member(req, entry, "ranges", "apptag", false, 65535, &apptag) ||
		    !cmd_member(req, entry, "ranges", "apptag_mask", false, 65535, &mask))
			return -EINVAL;
		if (!count) {
			rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
					"'lba_count' of an entry of parameter 'ranges' is 0");
			return -EINVAL;
		}
		range[i].lba = cpu_to_le64(lba);
		range[i].lba_count = cpu_to_le16((uint16_t)(count - 1));
		range[i].reftag = cpu_to_le32((uint32_t)reftag);
		range[i].apptag = cpu_to_le16((uint16_t)apptag);
		range[i].apptag_mask = cpu_to_le16((uint16_t)mask);
	}
	cmd->cdw12 |= cpu_to_le32((uint32_t)i - 1); /* descriptor format 0h */
	return (int)(i * sizeof(*range));
}

/* ---- fused ---- */

static const struct cmd_rule compare_rule = {
	.method = "compare_and_write",
	.opc = nvme_cmd_compare,
	.io = true,
	.pi = true,
	.fields = {range_fields, cmd_fua_pi_fields},
};

static void compare_and_write(struct rpc_request *req, const json_t *params)
{
	struct hold *hold = cmd_io_hold(req, params);
	struct user_request request = {.io = true};
	struct nvmux_ring_cmd write;
	const struct ns_view *ns;
	uint64_t length;

	if (!hold || !cmd_dwords(req, params, &compare_rule, &request.copy))
		return;
	ns = cmd_ns(req, hold, (uint32_t)rpc_get_integer(params, "nsid", 0));
	if (!ns)
		return;
	if (!(le16_to_cpu(hold->controller->ctrlr->id.fuses) & NVME_CTRL_FUSES_COMPARE_AND_WRITE)) {
		rpc_reply_errno(req, -EOPNOTSUPP,
				"controller '%s' doesn't offer fused commands (Identify "
				"Controller, FUSES)",
				hold->controller->name);
		return;
	}
	length = cmd_block_bytes(ns, &request.copy,
				 (uint64_t)rpc_get_integer(params, "lba_count", 0));
	if (!cmd_put_data(req, params, length, &request))
		return;
	write = request.copy;
	write.opc = nvme_cmd_write;
	write.data = nvmux_ring_addr((uint16_t)rpc_get_integer(params, "write_region", 0),
				     (uint64_t)rpc_get_integer(params, "write_offset", 0));
	request.second = &write;
	user_cmd_send(hold, &request, req);
}

/* ---- the tables ---- */

const struct cmd_rule nvm_rules[] = {
	{.method = "read",
	 .opc = nvme_cmd_read,
	 .io = true,
	 .data = DATA_BLOCKS,
	 .pi = true,
	 .fields = {range_fields, cmd_fua_pi_fields, hint_fields}},
	{.method = "write",
	 .opc = nvme_cmd_write,
	 .io = true,
	 .data = DATA_BLOCKS,
	 .pi = true,
	 .fields = {range_fields, cmd_fua_pi_fields, hint_fields}},
	{.method = "compare",
	 .opc = nvme_cmd_compare,
	 .io = true,
	 .data = DATA_BLOCKS,
	 .pi = true,
	 .fields = {range_fields, cmd_fua_pi_fields}},
	{.method = "write_zeroes",
	 .opc = nvme_cmd_write_zeroes,
	 .io = true,
	 .pi = true,
	 .fields = {range_fields, cmd_fua_pi_fields, deallocate_fields}},
	{.method = "verify",
	 .opc = nvme_cmd_verify,
	 .io = true,
	 .pi = true,
	 .fields = {range_fields, cmd_fua_pi_fields}},
	{.method = "write_uncorrectable",
	 .opc = nvme_cmd_write_uncor,
	 .io = true,
	 .fields = {range_fields}},
	{.method = "flush", .opc = nvme_cmd_flush, .io = true, .fields = {cmd_nsid_fields}},
	{.method = "dataset_management",
	 .opc = nvme_cmd_dsm,
	 .io = true,
	 .data = DATA_STAGED,
	 .fields = {dsm_fields},
	 .stage = stage_dsm},
	{.method = "copy",
	 .opc = nvme_cmd_copy,
	 .io = true,
	 .data = DATA_STAGED,
	 .pi = true,
	 .fields = {copy_fields, cmd_fua_pi_fields},
	 .stage = stage_copy},
	{.method = NULL},
};

#define HINTS                                                                            \
	{"stream", RPC_INTEGER, false,                                                   \
	 1,        65535,       "stream identifier (directive type 1h); default: none"}, \
	{                                                                                \
		"dsm", RPC_INTEGER, false, 0, 255, "dataset management hints; default 0" \
	}

static const struct rpc_param transfer_params[] = {
	CMD_CONTROLLER, CMD_NSID, CMD_BLOCKS("lba"), CMD_REGION(false), CMD_PIECES, CMD_MD, CMD_FUA,
	CMD_PI,         HINTS,    CMD_END,
};
static const struct rpc_param compare_params[] = {
	CMD_CONTROLLER, CMD_NSID, CMD_BLOCKS("lba"), CMD_REGION(false), CMD_PIECES, CMD_MD,
	CMD_FUA,        CMD_PI,   CMD_END,
};
static const struct rpc_param zeroes_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	CMD_BLOCKS("lba"),
	{"deallocate", RPC_BOOLEAN, false, 0, 0, "the blocks may be deallocated; default false"},
	CMD_FUA,
	CMD_PI,
	CMD_END,
};
static const struct rpc_param verify_params[] = {
	CMD_CONTROLLER, CMD_NSID, CMD_BLOCKS("lba"), CMD_FUA, CMD_PI, CMD_END,
};
static const struct rpc_param uncorrectable_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	CMD_BLOCKS("lba"),
	CMD_END,
};
static const struct rpc_param flush_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	CMD_END,
};
static const struct rpc_param dsm_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	{"ranges", RPC_ARRAY, true, 1, NVMUX_DSM_RANGES_MAX,
	 "objects with lba, lba_count and (default 0) attributes"},
	{"deallocate", RPC_BOOLEAN, false, 0, 0, "deallocate them; default false"},
	{"integral_read", RPC_BOOLEAN, false, 0, 0, "they will be read as a whole; default false"},
	{"integral_write", RPC_BOOLEAN, false, 0, 0,
	 "they will be written as a whole; default false"},
	CMD_END,
};
static const struct rpc_param copy_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	{"ranges", RPC_ARRAY, true, 1, NVMUX_COPY_RANGES_MAX,
	 "what is copied, in this order: objects with lba, lba_count (1 to 65536), and reftag "
	 "(default: low 32 bits of lba), apptag and apptag_mask (default 0), which are checked "
	 "when it is read"},
	{"dest_lba", RPC_INTEGER, true, 0, INT64_MAX, "first logical block that is written"},
	{"prinfo_read", RPC_INTEGER, false, 0, 15,
	 "PRACT (8) and PRCHK (4 guard, 2 application tag, 1 reference tag) for reading; default "
	 "0. The following are for writing"},
	CMD_FUA,
	CMD_PI,
	CMD_END,
};
static const struct rpc_param fused_params[] = {
	CMD_CONTROLLER,
	CMD_NSID,
	CMD_BLOCKS("lba"),
	{"region", RPC_INTEGER, true, 0, 65535, "number of the region with what is compared"},
	{"offset", RPC_INTEGER, false, 0, CMD_OFFSET_MAX,
	 "bytes from the region's start; a multiple of 4; default 0"},
	{"write_region", RPC_INTEGER, true, 0, 65535, "number of the region with what is written"},
	{"write_offset", RPC_INTEGER, false, 0, CMD_OFFSET_MAX,
	 "bytes from that region's start; a multiple of 4; default 0"},
	CMD_FUA,
	CMD_PI,
	CMD_END,
};

const struct rpc_method nvm_methods[] = {
	{"read", RPC_RIGHT_USER, transfer_params,
	 "Read logical blocks into a region. Not split: at most the controller's transfer limit.",
	 CMD_RESULT, cmd_method},
	{"write", RPC_RIGHT_USER, transfer_params,
	 "Write logical blocks from a region. Not split: at most the controller's transfer limit.",
	 CMD_RESULT, cmd_method},
	{"compare", RPC_RIGHT_USER, compare_params,
	 "Compare logical blocks with a region; ends with Compare Failure where they differ.",
	 CMD_RESULT, cmd_method},
	{"compare_and_write", RPC_RIGHT_USER, fused_params,
	 "Compare logical blocks, and write them if they were equal: two fused commands. "
	 "EOPNOTSUPP where the controller doesn't offer it.",
	 "{dw0, dw1} of the write's completion", compare_and_write},
	{"write_zeroes", RPC_RIGHT_USER, zeroes_params, "Let logical blocks read as zeroes.",
	 CMD_RESULT, cmd_method},
	{"verify", RPC_RIGHT_USER, verify_params,
	 "Let the controller read logical blocks and check them, without moving data.", CMD_RESULT,
	 cmd_method},
	{"write_uncorrectable", RPC_RIGHT_USER, uncorrectable_params,
	 "Let reads of logical blocks fail until they are written.", CMD_RESULT, cmd_method},
	{"flush", RPC_RIGHT_USER, flush_params, "Make completed writes durable.", CMD_RESULT,
	 cmd_method},
	{"dataset_management", RPC_RIGHT_USER, dsm_params,
	 "Give hints about ranges of logical blocks, or deallocate them.", CMD_RESULT, cmd_method},
	{"copy", RPC_RIGHT_USER, copy_params,
	 "Copy ranges of logical blocks to another place in the namespace.", CMD_RESULT,
	 cmd_method},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
