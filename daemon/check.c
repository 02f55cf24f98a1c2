// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a client may send: the check of one command.
 *
 * A PRP carries no length, so that a device moves what the command says, wherever that ends. Each
 * length is therefore derived from the command itself; where that isn't possible, the client needs
 * the admin right. Everything is computed in 64 bits from fields of at most 32, in terms that can't
 * overflow.
 *
 * Commands with flags (scatter lists, fused) have entry points of their own, so that the others pay
 * nothing for them. Reads and writes of the usual kind don't come here (plain.h).
 */
#include "daemon/reactor.h"

enum op_kind {
	OP_UNKNOWN = 0, /* of no meaning to us: needs the admin right */
	OP_PRIVILEGED,  /* known, of a length we don't derive: needs the admin right */
	OP_MGMT_RECV,   /* needs the admin right; the number of dwords is in the command */
	OP_MGMT_SEND,   /* needs the admin right; the length follows from the operation */
	OP_NEVER,       /* acts on commands of others or on the connection: never forwarded */
	OP_NO_DATA,     /* no data, no blocks */
	OP_RANGE,       /* a range of blocks without data */
	OP_BLOCKS,      /* a range of blocks with data and metadata */
	OP_DSM,         /* a list of ranges of 16 bytes */
	OP_COPY,        /* a list of ranges of 32 or 40 bytes */
	OP_ZONE_APPEND, /* as OP_BLOCKS, of zoned namespaces */
	OP_ZONE_SEND,   /* a zone, or all; perhaps with its descriptor extension */
	OP_ZONE_RECV,   /* the number of dwords is in the command */
	OP_RESERVATION, /* needs the right of its own; a fixed number of bytes */
	OP_RESV_REPORT, /* the same; the number of dwords is in the command */
};

struct op_rule {
	uint8_t kind;   /* enum op_kind */
	bool writes;    /* changes the namespace */
	uint8_t length; /* bytes, OP_RESERVATION only */
};

#define OPC_IO_CANCEL 0x18 /* NVM Express base specification 2.1, section 7.1 */
#define OPC_FABRICS   0x7f

#define DSM_RANGE_SIZE 16u
#define ZDES_UNIT      64u        /* bytes */
#define ZONE_ALL       (1u << 8)  /* Select All; ZNS command set 1.1, section 3.4.3 */
#define PRACT          (1u << 29) /* NVM command set 1.0, section 5.2.2 */
#define PI_SIZE        8u         /* of protection information with a 16-bit guard */
#define MO_RUH_UPDATE  1u         /* base specification 2.1, section 7.4 */
#define FLAGS_FUSE     0x03
#define FLAGS_RESERVED 0x3c
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
	[nvme_cmd_io_mgmt_recv] = {.kind = OP_MGMT_RECV},
	[OPC_IO_CANCEL] = {.kind = OP_NEVER},
	[nvme_cmd_copy] = {.kind = OP_COPY, .writes = true},
	[nvme_cmd_io_mgmt_send] = {.kind = OP_MGMT_SEND, .writes = true},
	[nvme_zns_cmd_mgmt_send] = {.kind = OP_ZONE_SEND, .writes = true},
	[nvme_zns_cmd_mgmt_recv] = {.kind = OP_ZONE_RECV},
	[nvme_zns_cmd_append] = {.kind = OP_ZONE_APPEND, .writes = true},
	[OPC_FABRICS] = {.kind = OP_NEVER},
	[0x80 ... 0xff] = {.kind = OP_PRIVILEGED, .writes = true}, /* vendor */
};

/* Of those that share a place the first one has it: with up to 64 in a row, all have their own. */
void ctrlr_view_index(struct ctrlr_view *view)
{
	for (uint32_t i = MIN(view->n_ns, (uint32_t)UINT16_MAX); i-- > 0;) {
		struct ns_view *ns = &view->ns[i];
		uint32_t lbas = view->max_transfer >> ns->lba_shift;

		view->likely_place[ns->nsid % CTRLR_VIEW_PLACES] = (uint16_t)i;
		ns->lba_bytes = 1u << ns->lba_shift;
		ns->plain_lbas = ns->md_size ? 0 : (uint32_t)MIN((uint64_t)lbas, ns->n_lbas);
	}
}

const struct ns_view *ctrlr_view_likely(const struct ctrlr_view *view, uint32_t nsid)
{
	static const struct ns_view none = {0};
	uint32_t place = view->likely_place[nsid % CTRLR_VIEW_PLACES];

	return place < view->n_ns && view->ns[place].nsid == nsid ? &view->ns[place] : &none;
}

static const struct ns_view *find_ns(const struct ctrlr_view *view, uint32_t nsid)
{
	uint32_t low = 0, high = view->n_ns;

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

	if (likely(rule->kind >= OP_NO_DATA && rule->kind <= OP_ZONE_RECV))
		return likely(!writes || ns->writable) ? 0 : NVMUX_SC_ACCESS_DENIED;
	if (rule->kind == OP_UNKNOWN && !view->admin)
		return NVME_SC_INVALID_OPCODE;
	if (rule->kind == OP_RESERVATION || rule->kind == OP_RESV_REPORT) {
		if (!view->reservations)
			return NVMUX_SC_ACCESS_DENIED;
	} else if (!view->admin) {
		return NVMUX_SC_ACCESS_DENIED;
	} else if (opc >= 0x80 && view->noticed[(opc - 0x80) / 32] >> opc % 32 & 1) {
		return NVMUX_SC_OPCODE_REFUSED;
	}
	return !writes || ns->writable ? 0 : NVMUX_SC_ACCESS_DENIED;
}

static uint64_t cmd_lba(const struct nvmux_ring_cmd *cmd)
{
	return (uint64_t)le32_to_cpu(cmd->cdw11) << 32 | le32_to_cpu(cmd->cdw10);
}

/*
 * Whether the controller inserts and strips the metadata, so that none is in memory (NVM command
 * set 1.0, section 5.2.2): it is nothing but the protection information. A comparison with PRACT
 * isn't so clearly defined: there the larger length is asked for.
 */
static bool strips_metadata(const struct nvmux_ring_cmd *cmd, const struct ns_view *ns)
{
	return ns->pi && ns->md_size == PI_SIZE && le32_to_cpu(cmd->cdw12) & PRACT &&
	       cmd->opc != nvme_cmd_compare;
}

/* A range of blocks: where it ends, and what it is long. */
static uint16_t check_blocks(const struct nvmux_ring_cmd *cmd, const struct ns_view *ns, bool data,
			     uint64_t *ret_len, uint64_t *ret_md_len)
{
	uint64_t lba = cmd_lba(cmd);
	uint64_t blocks = (le32_to_cpu(cmd->cdw12) & 0xffff) + 1;

	if (unlikely(lba >= ns->n_lbas || blocks > ns->n_lbas - lba))
		return NVME_SC_LBA_RANGE;
	if (!data)
		return 0;
	*ret_len = blocks << ns->lba_shift;
	if (unlikely(ns->md_size) && !strips_metadata(cmd, ns)) {
		if (ns->md_interleaved)
			*ret_len += blocks * ns->md_size;
		else
			*ret_md_len = blocks * ns->md_size;
	}
	return 0;
}

/* NVM command set 1.1, section 3.3.2: formats 2h and 3h name other namespaces in the payload. */
static uint16_t check_copy(const struct nvmux_ring_cmd *cmd, const struct ns_view *ns,
			   uint64_t *ret_len)
{
	uint32_t cdw12 = le32_to_cpu(cmd->cdw12);
	uint64_t ranges = (cdw12 & 0xff) + 1;

	if (cmd_lba(cmd) >= ns->n_lbas)
		return NVME_SC_LBA_RANGE;
	switch (cdw12 >> 8 & 0xf) {
	case 0: *ret_len = ranges * 32; return 0;
	case 1: *ret_len = ranges * 40; return 0;
	default: return NVMUX_SC_OPCODE_REFUSED;
	}
}

/* ZNS command set 1.1, section 3.4.3: only the descriptor extension is data. */
static uint16_t check_zone_send(const struct nvmux_ring_cmd *cmd, const struct ns_view *ns,
				uint64_t *ret_len)
{
	uint32_t cdw13 = le32_to_cpu(cmd->cdw13);

	if (!(cdw13 & ZONE_ALL) && cmd_lba(cmd) >= ns->n_lbas)
		return NVME_SC_LBA_RANGE;
	switch (cdw13 & 0xff) {
	case NVME_ZNS_ZSA_SET_DESC_EXT: *ret_len = ns->zdes * ZDES_UNIT; return 0;
	case NVME_ZNS_ZSA_CLOSE:
	case NVME_ZNS_ZSA_FINISH:
	case NVME_ZNS_ZSA_OPEN:
	case NVME_ZNS_ZSA_RESET:
	case NVME_ZNS_ZSA_OFFLINE:
	case NVME_ZNS_ZSA_ZRWA_FLUSH: return 0;
	default: return NVME_SC_INVALID_FIELD; /* it could have data, of whatever length */
	}
}

static uint16_t check_zone(const struct nvmux_ring_cmd *cmd, const struct op_rule *rule,
			   const struct ns_view *ns, uint64_t *ret_len, uint64_t *ret_md_len)
{
	if (!ns->zone_lbas)
		return NVME_SC_INVALID_OPCODE;
	if (rule->kind == OP_ZONE_APPEND)
		return check_blocks(cmd, ns, true, ret_len, ret_md_len);
	if (rule->kind == OP_ZONE_SEND)
		return check_zone_send(cmd, ns, ret_len);
	*ret_len = ((uint64_t)le32_to_cpu(cmd->cdw12) + 1) * 4;
	return cmd_lba(cmd) < ns->n_lbas ? 0 : NVME_SC_LBA_RANGE;
}

/* With the admin right: as long as the client says. */
static uint16_t check_opaque(const struct nvmux_ring_cmd *cmd, uint64_t data_len, uint64_t *ret_len,
			     uint64_t *ret_md_len)
{
	if (!(cmd->opc & OPC_DIRECTION) && data_len)
		return NVME_SC_INVALID_FIELD;
	*ret_len = data_len;
	*ret_md_len = cmd->md_len;
	return 0;
}

/* Base specification 2.1, section 7.4. */
static uint16_t check_mgmt_send(const struct nvmux_ring_cmd *cmd, uint64_t data_len,
				uint64_t *ret_len, uint64_t *ret_md_len)
{
	uint32_t cdw10 = le32_to_cpu(cmd->cdw10);

	switch (cdw10 & 0xff) {
	case 0: return 0;
	case MO_RUH_UPDATE: *ret_len = ((cdw10 >> 16) + 1) * 2; return 0; /* NPID */
	default: return check_opaque(cmd, data_len, ret_len, ret_md_len);
	}
}

/* How many bytes of data and of separate metadata the command moves; @data_len: that the client has
 * for it. */
static uint16_t derive_length(const struct nvmux_ring_cmd *cmd, uint64_t data_len,
			      const struct op_rule *rule, const struct ns_view *ns,
			      uint64_t *ret_len, uint64_t *ret_md_len)
{
	*ret_len = 0;
	*ret_md_len = 0;
	switch (rule->kind) {
	case OP_BLOCKS: return check_blocks(cmd, ns, true, ret_len, ret_md_len);
	case OP_RANGE: return check_blocks(cmd, ns, false, ret_len, ret_md_len);
	case OP_NO_DATA: return 0;
	case OP_DSM: *ret_len = ((le32_to_cpu(cmd->cdw10) & 0xff) + 1) * DSM_RANGE_SIZE; return 0;
	case OP_COPY: return check_copy(cmd, ns, ret_len);
	case OP_ZONE_APPEND:
	case OP_ZONE_SEND:
	case OP_ZONE_RECV: return check_zone(cmd, rule, ns, ret_len, ret_md_len);
	case OP_MGMT_RECV: *ret_len = ((uint64_t)le32_to_cpu(cmd->cdw11) + 1) * 4; return 0;
	case OP_MGMT_SEND: return check_mgmt_send(cmd, data_len, ret_len, ret_md_len);
	case OP_RESERVATION: *ret_len = rule->length; return 0;
	case OP_RESV_REPORT: *ret_len = ((uint64_t)le32_to_cpu(cmd->cdw10) + 1) * 4; return 0;
	default: return check_opaque(cmd, data_len, ret_len, ret_md_len);
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

/* All but the buffers: what the command is, and how much it moves. */
static uint16_t check_cmd(const struct nvmux_ring_cmd *copy, uint64_t data_len,
			  const struct ctrlr_view *view, uint64_t *ret_len, uint64_t *ret_md_len)
{
	const struct op_rule *rule = &op_rules[copy->opc];
	const struct ns_view *ns;
	uint16_t status;

	if (unlikely(rule->kind == OP_NEVER))
		return NVMUX_SC_OPCODE_REFUSED;
	ns = find_ns(view, le32_to_cpu(copy->nsid));
	if (unlikely(!ns))
		return NVME_SC_INVALID_NS;
	status = check_rights(copy->opc, rule, view, ns);
	if (unlikely(status))
		return status;
	status = derive_length(copy, data_len, rule, ns, ret_len, ret_md_len);
	if (unlikely(status))
		return status;
	return unlikely(*ret_len > view->max_transfer) ? NVMUX_SC_LENGTH_LIMIT : 0;
}

static uint16_t check_md(const struct nvmux_ring_cmd *copy, uint64_t md_len,
			 const struct ctrlr_view *view, const struct region_view *regions,
			 uint32_t n_regions, struct checked_cmd *ret)
{
	ret->md.mem = NULL;
	ret->md.len = 0;
	if (!md_len)
		return 0;
	if (!view->separate_md) /* a capsule has one data pointer */
		return NVME_SC_INVALID_FIELD;
	return check_buffer(copy->md, copy->md_len, md_len, regions, n_regions, &ret->md);
}

/* Whether the device alone knows how much it moves. */
static bool is_opaque(const struct nvmux_ring_cmd *copy)
{
	uint8_t kind = op_rules[copy->opc].kind;

	return kind == OP_PRIVILEGED || kind == OP_UNKNOWN ||
	       (kind == OP_MGMT_SEND && (uint8_t)le32_to_cpu(copy->cdw10) > MO_RUH_UPDATE);
}

/*
 * It must not find anything behind its data. An SGL has a length, PRP lists end with nothing; but
 * of exactly two pages the second could be taken for a list.
 */
static uint16_t check_pages(const struct nvmux_seg *segs, uint32_t n, const struct ctrlr_view *view,
			    struct nvmux_cmd *cmd)
{
	bool sgl = view->sgl, keys = !view->separate_md; /* over a fabric */
	uint64_t len = 0;

	cmd->flags |= NVMUX_CMD_OPAQUE;
	for (uint32_t i = 0; i < n; i++) {
		len += segs[i].len;
		sgl &= !(segs[i].len & 3);
	}
	return len && !sgl && !keys && nvmux_num_pages(segs, len) == 2 ? NVMUX_SC_LENGTH_LIMIT : 0;
}

/* @ret may hold what @copy points to, which is looked at no more once ret->cmd is made of it. */
static uint16_t check(const struct nvmux_ring_cmd *copy, const struct ctrlr_view *view,
		      const struct region_view *regions, uint32_t n_regions,
		      struct checked_cmd *ret)
{
	uint64_t len, md_len;
	uint16_t status;

	if (copy->flags & ~NVMUX_RING_F_PHASE)
		return copy->flags & NVMUX_RING_F_LIST ? NVMUX_SC_LIST_INVALID
						       : NVME_SC_INVALID_FIELD;
	status = check_cmd(copy, copy->data_len, view, &len, &md_len);
	if (status)
		return status;
	ret->seg.mem = NULL;
	ret->seg.len = 0;
	if (len) {
		status = check_buffer(copy->data, copy->data_len, len, regions, n_regions,
				      &ret->seg);
		if (status)
			return status;
	}
	status = check_md(copy, md_len, view, regions, n_regions, ret);
	if (status)
		return status;
	ret->cmd.flags = 0;
	return is_opaque(&ret->ring) ? check_pages(&ret->seg, 1, view, &ret->cmd) : 0;
}

uint16_t channel_check(const struct ctrlr_view *view, const struct region_view *regions,
		       uint32_t n_regions, struct checked_cmd *cmd)
{
	uint16_t status = check(&cmd->ring, view, regions, n_regions, cmd);

	return status ? status | NVMUX_STATUS_DNR : 0;
}

/* ---- commands with flags ---- */

/* What a list is, wherever its pieces lie; and how many bytes they have. */
static uint16_t check_shape(const struct nvmux_ring_seg *list, uint32_t n,
			    const struct ctrlr_view *view, uint64_t *ret_len)
{
	uint64_t len = 0;

	if (n > MIN(MAX(view->max_segs, 1u), (uint32_t)NVMUX_RING_LIST_PER_CMD))
		return NVMUX_SC_LIST_INVALID;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t offset = list[i].region_offset & NVMUX_RING_OFFSET_MASK;
		bool last = i + 1 == n;

		if (!list[i].length || list[i].rsvd || (!last && list[i].length & 3))
			return NVMUX_SC_LIST_INVALID;
		/* PRPs: only the first may start, and only the last may end, within a page */
		if (!view->sgl && ((i && offset % NVMUX_PAGE_SIZE) ||
				   (!last && (offset + list[i].length) % NVMUX_PAGE_SIZE)))
			return NVMUX_SC_LIST_INVALID;
		len += list[i].length;
	}
	*ret_len = len;
	return 0;
}

/* Each piece, also those behind what the command moves. */
static uint16_t check_pieces(const struct nvmux_ring_seg *list, uint32_t n, uint64_t need,
			     const struct region_view *regions, uint32_t n_regions,
			     struct checked_list *ret)
{
	uint64_t left = need;

	ret->n = 0;
	ret->len = (uint32_t)need;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t part = MIN(left, (uint64_t)list[i].length);
		struct nvmux_seg seg;
		uint16_t status = check_buffer(list[i].region_offset, list[i].length, part, regions,
					       n_regions, &seg);

		if (status)
			return status;
		if (part) {
			ret->regions[ret->n] = (uint16_t)(list[i].region_offset >>
							  NVMUX_RING_OFFSET_BITS);
			ret->segs[ret->n++] = seg;
		}
		left -= part;
	}
	return left ? NVMUX_SC_LENGTH_MISMATCH : 0;
}

static uint16_t check_list(const struct nvmux_ring_cmd *copy, const struct nvmux_ring_seg *list,
			   uint32_t n, const struct ctrlr_view *view,
			   const struct region_view *regions, uint32_t n_regions,
			   struct checked_cmd *ret, struct checked_list *ret_list)
{
	uint64_t have, len, md_len;
	uint16_t status;

	if (copy->flags & FLAGS_RESERVED || (copy->flags & FLAGS_FUSE) == FLAGS_FUSE)
		return NVME_SC_INVALID_FIELD;
	status = check_shape(list, n, view, &have);
	if (status)
		return status;
	status = check_cmd(copy, have, view, &len, &md_len);
	if (status)
		return status;
	if (n && !len) /* of a command without data */
		return NVMUX_SC_LIST_INVALID;
	status = check_pieces(list, n, len, regions, n_regions, ret_list);
	if (status)
		return status;
	status = check_md(copy, md_len, view, regions, n_regions, ret);
	if (status)
		return status;
	ret->ring = *copy;
	ret->cmd.flags = copy->flags & FLAGS_FUSE;
	return is_opaque(copy) ? check_pages(ret_list->segs, ret_list->n, view, &ret->cmd) : 0;
}

uint16_t channel_check_list(const struct nvmux_ring_cmd *copy, const struct nvmux_ring_seg *list,
			    uint32_t n, const struct ctrlr_view *view,
			    const struct region_view *regions, uint32_t n_regions,
			    struct checked_cmd *ret, struct checked_list *ret_list)
{
	uint16_t status = check_list(copy, list, n, view, regions, n_regions, ret, ret_list);

	return status ? status | NVMUX_STATUS_DNR : 0;
}

uint16_t channel_check_fused(const struct nvmux_cmd *first, const struct nvmux_cmd *second,
			     const struct ctrlr_view *view)
{
	bool same = first->nsid == second->nsid && first->cdw10 == second->cdw10 &&
		    first->cdw11 == second->cdw11 &&
		    (uint16_t)le32_to_cpu(first->cdw12) == (uint16_t)le32_to_cpu(second->cdw12);

	if (view->fused && same && first->opc == nvme_cmd_compare && second->opc == nvme_cmd_write)
		return 0;
	return NVME_SC_INVALID_FIELD | NVMUX_STATUS_DNR;
}
