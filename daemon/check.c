// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a client may send: the check of one command.
 *
 * A PRP carries no length, so that a device moves what the command says, wherever that ends. Each
 * length is therefore derived from the command itself; where that isn't possible, the client needs
 * the admin right. Everything is computed in 64 bits from fields of at most 32, in terms that can't
 * overflow.
 */
#include "daemon/reactor.h"

enum op_kind {
	OP_UNKNOWN = 0, /* of no meaning to us: needs the admin right */
	OP_PRIVILEGED,  /* known, of a length we don't derive: needs the admin right */
	OP_NEVER,       /* acts on commands of others or on the connection: never forwarded */
	OP_NO_DATA,     /* no data, no blocks */
	OP_RANGE,       /* a range of blocks without data */
	OP_BLOCKS,      /* a range of blocks with data and metadata */
	OP_DSM,         /* a list of ranges of 16 bytes */
	OP_COPY,        /* needs the admin right; a list of ranges of 32 or 40 bytes */
	OP_RESERVATION, /* needs the right of its own; a fixed number of bytes */
	OP_RESV_REPORT, /* the same; the number of dwords is in the command */
};

struct op_rule {
	uint8_t kind;   /* enum op_kind */
	bool writes;    /* changes the namespace */
	uint8_t length; /* bytes, OP_RESERVATION only */
};

#define OP_IO_CANCEL   0x18 /* NVM Express base specification 2.1, section 7.1 */
#define OP_FABRICS     0x7f
#define OP_ZONE_SEND   0x79 /* zoned namespace command set 1.1, section 3.4 */
#define OP_ZONE_RECV   0x7a
#define OP_ZONE_APPEND 0x7d

#define DSM_RANGE_SIZE 16u
#define OPC_DIRECTION  0x03 /* data transfer: 0 none, 1 to the controller, 2 from it, 3 both */

static const struct op_rule op_rules[256] = {
	[nvme_cmd_flush] = {.kind = OP_NO_DATA},
	[nvme_cmd_write] = {.kind = OP_BLOCKS, .writes = true},
	[nvme_cmd_read] = {.kind = OP_BLOCKS},
	[nvme_cmd_write_uncor] = {.kind = OP_RANGE, .writes = true},
	[nvme_cmd_compare] = {.kind = OP_BLOCKS},
	[nvme_cmd_write_zeroes] = {.kind = OP_RANGE, .writes = true},
	[nvme_cmd_dsm] = {.kind = OP_DSM, .writes = true},
	[nvme_cmd_verify] = {.kind = OP_RANGE},
	[nvme_cmd_resv_register] = {.kind = OP_RESERVATION, .writes = true, .length = 16},
	[nvme_cmd_resv_report] = {.kind = OP_RESV_REPORT},
	[nvme_cmd_resv_acquire] = {.kind = OP_RESERVATION, .writes = true, .length = 16},
	[nvme_cmd_resv_release] = {.kind = OP_RESERVATION, .writes = true, .length = 8},
	[nvme_cmd_io_mgmt_recv] = {.kind = OP_PRIVILEGED, .writes = true},
	[OP_IO_CANCEL] = {.kind = OP_NEVER},
	[nvme_cmd_copy] = {.kind = OP_COPY, .writes = true},
	[nvme_cmd_io_mgmt_send] = {.kind = OP_PRIVILEGED, .writes = true},
	[OP_ZONE_SEND] = {.kind = OP_PRIVILEGED, .writes = true},
	[OP_ZONE_RECV] = {.kind = OP_PRIVILEGED, .writes = true},
	[OP_ZONE_APPEND] = {.kind = OP_PRIVILEGED, .writes = true},
	[OP_FABRICS] = {.kind = OP_NEVER},
	[0x80 ... 0xff] = {.kind = OP_PRIVILEGED, .writes = true}, /* vendor */
};

/* Namespaces mostly are numbered 1, 2, 3, …: then the first guess is right. */
static const struct ns_view *find_ns(const struct ctrlr_view *view, uint32_t nsid)
{
	uint32_t low = 0, high = view->n_ns;

	if (likely(nsid - 1 < high && view->ns[nsid - 1].nsid == nsid))
		return &view->ns[nsid - 1];
	if (nsid == 0 || nsid == NVME_NSID_ALL)
		return NULL;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (view->ns[middle].nsid == nsid)
			return &view->ns[middle];
		if (view->ns[middle].nsid < nsid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static uint16_t check_rights(uint8_t opc, const struct op_rule *rule, const struct ctrlr_view *view,
			     const struct ns_view *ns)
{
	/* What an unknown command does isn't known: it counts as a write. */
	bool writes = rule->writes || rule->kind == OP_UNKNOWN;

	if (likely(rule->kind >= OP_NO_DATA && rule->kind <= OP_DSM))
		return likely(!writes || ns->writable) ? 0 : NVMUX_SC_ACCESS_DENIED;
	if (rule->kind == OP_UNKNOWN && !view->admin)
		return NVME_SC_INVALID_OPCODE;
	if (rule->kind == OP_RESERVATION || rule->kind == OP_RESV_REPORT) {
		if (!view->reservations)
			return NVMUX_SC_ACCESS_DENIED;
	} else if (!view->admin) {
		return NVMUX_SC_ACCESS_DENIED;
	}
	return !writes || ns->writable ? 0 : NVMUX_SC_ACCESS_DENIED;
}

/* A range of blocks: where it ends, and what it is long. */
static uint16_t check_blocks(const struct nvmux_ring_cmd *cmd, const struct ns_view *ns, bool data,
			     uint64_t *ret_len, uint64_t *ret_md_len)
{
	uint64_t lba = (uint64_t)le32_to_cpu(cmd->cdw11) << 32 | le32_to_cpu(cmd->cdw10);
	uint64_t blocks = (le32_to_cpu(cmd->cdw12) & 0xffff) + 1;

	if (unlikely(lba >= ns->n_lbas || blocks > ns->n_lbas - lba))
		return NVME_SC_LBA_RANGE;
	if (!data)
		return 0;
	/* Whether protection information is inserted and stripped by the controller (PRACT) is not
	 * looked at: the larger length is always enough. */
	*ret_len = blocks << ns->lba_shift;
	if (unlikely(ns->md_size)) {
		if (ns->md_interleaved)
			*ret_len += blocks * ns->md_size;
		else
			*ret_md_len = blocks * ns->md_size;
	}
	return 0;
}

/* NVM command set 1.1, section 3.3.2: formats 2h and 3h name other namespaces in the payload. */
static uint16_t check_copy(const struct nvmux_ring_cmd *cmd, uint64_t *ret_len)
{
	uint32_t cdw12 = le32_to_cpu(cmd->cdw12);
	uint64_t ranges = (cdw12 & 0xff) + 1;

	switch (cdw12 >> 8 & 0xf) {
	case 0: *ret_len = ranges * 32; return 0;
	case 1: *ret_len = ranges * 40; return 0;
	default: return NVMUX_SC_OPCODE_REFUSED;
	}
}

/* How many bytes of data and of separate metadata the command moves. */
static uint16_t derive_length(const struct nvmux_ring_cmd *cmd, const struct op_rule *rule,
			      const struct ns_view *ns, uint64_t *ret_len, uint64_t *ret_md_len)
{
	*ret_len = 0;
	*ret_md_len = 0;
	switch (rule->kind) {
	case OP_BLOCKS: return check_blocks(cmd, ns, true, ret_len, ret_md_len);
	case OP_RANGE: return check_blocks(cmd, ns, false, ret_len, ret_md_len);
	case OP_NO_DATA: return 0;
	case OP_DSM: *ret_len = ((le32_to_cpu(cmd->cdw10) & 0xff) + 1) * DSM_RANGE_SIZE; return 0;
	case OP_COPY: return check_copy(cmd, ret_len);
	case OP_RESERVATION: *ret_len = rule->length; return 0;
	case OP_RESV_REPORT: *ret_len = ((uint64_t)le32_to_cpu(cmd->cdw10) + 1) * 4; return 0;
	default:
		/* With the admin right: as long as the client says. */
		if (!(cmd->opc & OPC_DIRECTION) && cmd->data_len)
			return NVME_SC_INVALID_FIELD;
		*ret_len = cmd->data_len;
		*ret_md_len = cmd->md_len;
		return 0;
	}
}

/*
 * A buffer of @buf_len bytes that the client names must lie in its region and hold @need bytes,
 * which are at least 1 and at most 32 bits.
 */
static uint16_t check_buffer(uint64_t address, uint32_t buf_len, uint64_t need,
			     const struct region_view *regions, uint32_t n_regions,
			     struct nvmux_seg *ret)
{
	uint32_t number = (uint32_t)(address >> NVMUX_RING_OFFSET_BITS);
	uint64_t offset = address & NVMUX_RING_OFFSET_MASK;
	const struct region_view *region;

	if (unlikely(number >= n_regions || !regions[number].mem))
		return NVMUX_SC_REGION_UNKNOWN;
	region = &regions[number];
	if (unlikely(offset & 3))
		return NVMUX_SC_REGION_ALIGN;
	if (unlikely(offset > region->size || buf_len > region->size - offset))
		return NVMUX_SC_REGION_RANGE;
	if (unlikely(buf_len < need))
		return NVMUX_SC_LENGTH_MISMATCH;
	ret->mem = region->mem;
	ret->offset = offset;
	ret->len = (uint32_t)need;
	return 0;
}

static void fill_cmd(const struct nvmux_ring_cmd *copy, struct nvmux_cmd *ret)
{
	*ret = (struct nvmux_cmd){
		.opc = copy->opc,
		.nsid = copy->nsid,
		.cdw2 = copy->cdw2,
		.cdw3 = copy->cdw3,
		.cdw10 = copy->cdw10,
		.cdw11 = copy->cdw11,
		.cdw12 = copy->cdw12,
		.cdw13 = copy->cdw13,
		.cdw14 = copy->cdw14,
		.cdw15 = copy->cdw15,
	};
}

static uint16_t check(const struct nvmux_ring_cmd *copy, const struct ctrlr_view *view,
		      const struct region_view *regions, uint32_t n_regions,
		      struct checked_cmd *ret)
{
	const struct op_rule *rule = &op_rules[copy->opc];
	const struct ns_view *ns;
	uint64_t len, md_len;
	uint16_t status;

	if (unlikely(copy->flags & ~NVMUX_RING_F_PHASE))
		return copy->flags & NVMUX_RING_F_LIST ? NVMUX_SC_LIST_INVALID
						       : NVME_SC_INVALID_FIELD;
	if (unlikely(rule->kind == OP_NEVER))
		return NVMUX_SC_OPCODE_REFUSED;
	ns = find_ns(view, le32_to_cpu(copy->nsid));
	if (unlikely(!ns))
		return NVME_SC_INVALID_NS;
	status = check_rights(copy->opc, rule, view, ns);
	if (unlikely(status))
		return status;
	status = derive_length(copy, rule, ns, &len, &md_len);
	if (unlikely(status))
		return status;
	if (unlikely(len > view->max_transfer))
		return NVMUX_SC_LENGTH_LIMIT;
	ret->seg.mem = NULL;
	ret->seg.len = 0;
	ret->md.mem = NULL;
	ret->md.len = 0;
	if (len) {
		status = check_buffer(copy->data, copy->data_len, len, regions, n_regions,
				      &ret->seg);
		if (unlikely(status))
			return status;
	}
	if (unlikely(md_len)) {
		status = check_buffer(copy->md, copy->md_len, md_len, regions, n_regions, &ret->md);
		if (status)
			return status;
	}
	fill_cmd(copy, &ret->cmd);
	return 0;
}

uint16_t channel_check(const struct nvmux_ring_cmd *copy, const struct ctrlr_view *view,
		       const struct region_view *regions, uint32_t n_regions,
		       struct checked_cmd *ret)
{
	uint16_t status = check(copy, view, regions, n_regions, ret);

	return likely(!status) ? 0 : status | NVMUX_STATUS_DNR;
}
