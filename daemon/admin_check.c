// SPDX-License-Identifier: BSD-3-Clause
/* Which admin commands are forwarded: tables of opcodes and features, and one check. */
#include <string.h>
#include "daemon/admin_check.h"

#define IDENTIFY_SIZE 4096
#define OPC_DATA_BITS 0x03 /* 00b: the command has no data */

/* Base specification 2.1, figure 386. */
#define FID_FDP            0x1d
#define FID_FDP_EVENTS     0x1e
#define FID_NS_ADMIN_LABEL 0x1f

#define LID_TELEMETRY_HOST 0x07
#define LID_PERSISTENT     0x0d
#define LOG_RAE            (1u << 15)

/* Who may send it. 0 so that what a table doesn't name is refused. */
enum who {
	NOBODY,
	ADMIN,
	USER,
};

/* How long its data is. */
enum length {
	LEN_NONE,
	LEN_4096,
	LEN_LOG,       /* NUMD of Get Log Page: 32 bits in two places */
	LEN_NUMD,      /* (CDW10 + 1) dwords: firmware */
	LEN_DIRECTIVE, /* the same, where the operation has data */
	LEN_CDW11,     /* bytes: security */
	LEN_CDW12,     /* (CDW12 + 1) dwords: Get LBA Status */
	LEN_FEATURE,   /* by the feature */
	LEN_BUFFER,    /* as long as the client says: what can't be derived */
};

struct admin_rule {
	uint8_t who;
	uint8_t length;
};

static const struct admin_rule rules[256] = {
	[nvme_admin_delete_sq] = {NOBODY, 0},
	[nvme_admin_create_sq] = {NOBODY, 0},
	[nvme_admin_get_log_page] = {USER, LEN_LOG},
	[nvme_admin_delete_cq] = {NOBODY, 0},
	[nvme_admin_create_cq] = {NOBODY, 0},
	[nvme_admin_identify] = {USER, LEN_4096},
	[nvme_admin_abort_cmd] = {NOBODY, 0},
	[nvme_admin_set_features] = {ADMIN, LEN_FEATURE},
	[nvme_admin_get_features] = {USER, LEN_FEATURE},
	[nvme_admin_async_event] = {NOBODY, 0},
	[nvme_admin_ns_mgmt] = {ADMIN, LEN_4096},
	[nvme_admin_fw_commit] = {ADMIN, LEN_NONE},
	[nvme_admin_fw_download] = {ADMIN, LEN_NUMD},
	[nvme_admin_dev_self_test] = {ADMIN, LEN_NONE},
	[nvme_admin_ns_attach] = {ADMIN, LEN_4096},
	[nvme_admin_keep_alive] = {NOBODY, 0},
	[nvme_admin_directive_send] = {ADMIN, LEN_DIRECTIVE},
	[nvme_admin_directive_recv] = {ADMIN, LEN_DIRECTIVE},
	[nvme_admin_virtual_mgmt] = {NOBODY, 0}, /* moves queues and interrupts between functions */
	[nvme_admin_dbbuf] = {NOBODY, 0},
	[nvme_admin_fabrics] = {NOBODY, 0},
	[nvme_admin_format_nvm] = {ADMIN, LEN_NONE},
	[nvme_admin_security_send] = {ADMIN, LEN_CDW11},
	[nvme_admin_security_recv] = {ADMIN, LEN_CDW11},
	[nvme_admin_sanitize_nvm] = {ADMIN, LEN_NONE},
	[nvme_admin_get_lba_status] = {ADMIN, LEN_CDW12},
	[0xc0 ... 0xff] = {ADMIN, LEN_BUFFER}, /* vendor */
};

struct feature_rule {
	uint8_t get;     /* enum who */
	uint8_t set;     /* enum who */
	uint16_t length; /* bytes of its data structure, 0: none */
};

static const struct feature_rule features[256] = {
	[NVME_FEAT_FID_ARBITRATION] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_POWER_MGMT] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_LBA_RANGE] = {USER, ADMIN, 4096},
	[NVME_FEAT_FID_TEMP_THRESH] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_ERR_RECOVERY] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_VOLATILE_WC] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_NUM_QUEUES] = {USER, NOBODY, 0},
	[NVME_FEAT_FID_IRQ_COALESCE] = {USER, NOBODY, 0},
	[NVME_FEAT_FID_IRQ_CONFIG] = {USER, NOBODY, 0},
	[NVME_FEAT_FID_WRITE_ATOMIC] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_ASYNC_EVENT] = {USER, NOBODY, 0},
	[NVME_FEAT_FID_AUTO_PST] = {USER, ADMIN, 256},
	[NVME_FEAT_FID_HOST_MEM_BUF] = {USER, NOBODY, 4096},
	[NVME_FEAT_FID_TIMESTAMP] = {USER, ADMIN, 8},
	[NVME_FEAT_FID_KATO] = {USER, NOBODY, 0},
	[NVME_FEAT_FID_HCTM] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_NOPSC] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_RRL] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_PLM_CONFIG] = {USER, ADMIN, 512},
	[NVME_FEAT_FID_PLM_WINDOW] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_LBA_STS_INTERVAL] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_HOST_BEHAVIOR] = {USER, NOBODY, 512},
	[NVME_FEAT_FID_SANITIZE] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_ENDURANCE_EVT_CFG] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_IOCS_PROFILE] = {USER, NOBODY, 512},
	[NVME_FEAT_FID_SPINUP_CONTROL] = {USER, ADMIN, 0},
	[FID_FDP] = {USER, ADMIN, 0},
	[FID_FDP_EVENTS] = {USER, ADMIN, 0},
	[FID_NS_ADMIN_LABEL] = {USER, ADMIN, 256},
	[NVME_FEAT_FID_ENH_CTRL_METADATA] = {USER, ADMIN, 4096},
	[NVME_FEAT_FID_CTRL_METADATA] = {USER, ADMIN, 4096},
	[NVME_FEAT_FID_NS_METADATA] = {USER, ADMIN, 4096},
	[NVME_FEAT_FID_SW_PROGRESS] = {USER, ADMIN, 0},
	[NVME_FEAT_FID_HOST_ID] = {USER, NOBODY, 16},
	[NVME_FEAT_FID_RESV_MASK] = {USER, NOBODY, 0},
	[NVME_FEAT_FID_RESV_PERSIST] = {USER, NOBODY, 0},
	[NVME_FEAT_FID_WRITE_PROTECT] = {USER, ADMIN, 0},
};

static uint16_t refuse(unsigned status)
{
	return (uint16_t)(status | NVMUX_STATUS_DNR);
}

static uint16_t may(unsigned who, bool admin)
{
	if (who == NOBODY)
		return refuse(NVMUX_SC_OPCODE_REFUSED);
	if (who == ADMIN && !admin)
		return refuse(NVMUX_SC_ACCESS_DENIED);
	return 0;
}

/* Bytes that Get or Set Features moves, and whether this client may. */
static uint16_t check_feature(const struct nvmux_ring_cmd *copy, bool admin, uint64_t *ret_length)
{
	uint32_t cdw10 = le32_to_cpu(copy->cdw10);
	uint8_t fid = (uint8_t)cdw10;
	const struct feature_rule *rule = &features[fid];
	bool set = copy->opc == nvme_admin_set_features;
	uint16_t status;

	if (rule->get == NOBODY) {
		/* reserved or vendor: neither effect nor length is known */
		*ret_length = copy->data_len;
		return may(ADMIN, admin);
	}
	status = may(set ? rule->set : rule->get, admin);
	if (status)
		return status;
	*ret_length = rule->length;
	if (fid == FID_FDP_EVENTS) /* a type each, or a descriptor of two bytes */
		*ret_length = (le32_to_cpu(copy->cdw11) >> 16 & 0xff) * (set ? 1u : 2u);
	if (fid == NVME_FEAT_FID_HOST_ID && !(le32_to_cpu(copy->cdw11) & 1))
		*ret_length = 8; /* EXHID clear: the short form */
	if (!set && (cdw10 >> 8 & 7) == 3)
		*ret_length = 0; /* SEL: supported capabilities come in the completion */
	return 0;
}

/* Bytes that Get Log Page moves. Only the daemon clears events: the others read with RAE. */
static uint16_t check_log(const struct nvmux_ring_cmd *copy, bool admin, struct nvmux_cmd *cmd,
			  uint64_t *ret_length)
{
	uint32_t cdw10 = le32_to_cpu(copy->cdw10);
	uint8_t lid = (uint8_t)cdw10;
	unsigned lsp = cdw10 >> 8 & 0x7f;
	uint64_t numd = (uint64_t)(le32_to_cpu(copy->cdw11) & 0xffff) << 16 | cdw10 >> 16;

	/* these make the controller take a new snapshot, which others may be reading */
	if ((lid == LID_TELEMETRY_HOST || lid == LID_PERSISTENT) && lsp && !admin)
		return refuse(NVMUX_SC_ACCESS_DENIED);
	/* each read takes one notification, of reservations that are the whole host's */
	if (lid == NVME_LOG_LID_RESERVATION && !admin)
		return refuse(NVMUX_SC_ACCESS_DENIED);
	cmd->cdw10 = cpu_to_le32(cdw10 | LOG_RAE);
	*ret_length = (numd + 1) * 4;
	return 0;
}

/*
 * Whether an operation of a directive has data. Base specification 2.0, section 8.7: enabling a
 * directive, and releasing or allocating streams have none; NUMD is 0 there, which is one dword
 * elsewhere.
 */
static bool directive_has_data(const struct nvmux_ring_cmd *copy)
{
	uint32_t cdw11 = le32_to_cpu(copy->cdw11);
	uint8_t doper = (uint8_t)cdw11, dtype = (uint8_t)(cdw11 >> 8);

	if (copy->opc == nvme_admin_directive_send)
		return !((dtype == NVME_DIRECTIVE_DTYPE_IDENTIFY && doper == 1) ||
			 (dtype == NVME_DIRECTIVE_DTYPE_STREAMS && (doper == 1 || doper == 2)));
	return !(dtype == NVME_DIRECTIVE_DTYPE_STREAMS && doper == 3);
}

static uint16_t derive_length(const struct nvmux_ring_cmd *copy, bool admin, struct nvmux_cmd *cmd,
			      uint64_t *ret_length)
{
	*ret_length = 0;
	switch (rules[copy->opc].length) {
	case LEN_4096:
		/* deleting a namespace has no data */
		if (copy->opc != nvme_admin_ns_mgmt || (le32_to_cpu(copy->cdw10) & 0xf) == 0)
			*ret_length = IDENTIFY_SIZE;
		return 0;
	case LEN_LOG: return check_log(copy, admin, cmd, ret_length);
	case LEN_FEATURE: return check_feature(copy, admin, ret_length);
	case LEN_NUMD: *ret_length = ((uint64_t)le32_to_cpu(copy->cdw10) + 1) * 4; return 0;
	case LEN_DIRECTIVE:
		if (directive_has_data(copy))
			*ret_length = ((uint64_t)le32_to_cpu(copy->cdw10) + 1) * 4;
		return 0;
	case LEN_CDW11: *ret_length = le32_to_cpu(copy->cdw11); return 0;
	case LEN_CDW12: *ret_length = ((uint64_t)le32_to_cpu(copy->cdw12) + 1) * 4; return 0;
	case LEN_BUFFER:
		if (copy->opc & OPC_DATA_BITS)
			*ret_length = copy->data_len;
		return 0;
	default: return 0;
	}
}

/* The buffer of @length bytes at the command's data pointer. */
static uint16_t check_region(const struct nvmux_ring_cmd *copy, const struct admin_view *view,
			     uint64_t length, struct nvmux_seg *ret)
{
	uint32_t number = (uint32_t)(copy->data >> NVMUX_RING_OFFSET_BITS);
	uint64_t offset = copy->data & NVMUX_RING_OFFSET_MASK;
	const struct region_view *region;

	if (length > view->max_transfer)
		return refuse(NVMUX_SC_LENGTH_LIMIT);
	if (copy->data_len < length)
		return refuse(NVMUX_SC_LENGTH_MISMATCH);
	if (number >= view->n_regions || !view->regions[number].mem)
		return refuse(NVMUX_SC_REGION_UNKNOWN);
	region = &view->regions[number];
	if (offset & 3)
		return refuse(NVMUX_SC_REGION_ALIGN);
	/* what the client says must lie inside the region too, not only what is moved */
	if (offset > region->size || copy->data_len > region->size - offset)
		return refuse(NVMUX_SC_REGION_RANGE);
	ret->mem = region->mem;
	ret->offset = offset;
	ret->len = (uint32_t)length;
	return 0;
}

static void copy_fields(struct nvmux_cmd *cmd, const struct nvmux_ring_cmd *copy)
{
	cmd->opc = copy->opc;
	cmd->nsid = copy->nsid;
	cmd->cdw2 = copy->cdw2;
	cmd->cdw3 = copy->cdw3;
	cmd->cdw10 = copy->cdw10;
	cmd->cdw11 = copy->cdw11;
	cmd->cdw12 = copy->cdw12;
	cmd->cdw13 = copy->cdw13;
	cmd->cdw14 = copy->cdw14;
	cmd->cdw15 = copy->cdw15;
}

/* Whether the controller alone knows how much it moves. */
static bool is_opaque(const struct nvmux_ring_cmd *copy)
{
	if (copy->opc == nvme_admin_set_features || copy->opc == nvme_admin_get_features)
		return features[(uint8_t)le32_to_cpu(copy->cdw10)].get == NOBODY;
	return rules[copy->opc].length == LEN_BUFFER;
}

bool admin_is_known(uint8_t opc)
{
	return rules[opc].who != NOBODY;
}

uint16_t admin_check(const struct nvmux_ring_cmd *copy, const struct admin_view *view,
		     struct checked_cmd *ret)
{
	struct checked_cmd checked;
	uint64_t length;
	uint16_t status;

	memset(&checked, 0, sizeof(checked));
	copy_fields(&checked.cmd, copy);
	status = may(rules[copy->opc].who, view->admin);
	if (status)
		return status;
	if (copy->flags & NVMUX_RING_F_LIST)
		return refuse(NVMUX_SC_LIST_INVALID);
	if ((copy->flags & 3) || copy->md_len)
		return refuse(NVME_SC_INVALID_FIELD);
	status = derive_length(copy, view->admin, &checked.cmd, &length);
	if (!status && length)
		status = check_region(copy, view, length, &checked.seg);
	if (!status && is_opaque(copy)) {
		checked.cmd.flags |= NVMUX_CMD_OPAQUE;
		/* Of PRPs the second page could be taken for a list of others. */
		if (length && !view->keys && nvmux_num_pages(&checked.seg, length) == 2)
			status = refuse(NVMUX_SC_LENGTH_LIMIT);
	}
	if (!status)
		*ret = checked;
	return status;
}
