// SPDX-License-Identifier: BSD-3-Clause
/*
 * The NVM command set. A command runs to its end where it was fetched: there is nothing to wait
 * for. NVM command set specification 1.0, section 3.
 *
 * Reads and writes of an ordinary namespace take the short path; everything else is looked at more
 * closely. Of a fused pair, the second command is executed together with the first one, and its
 * status is kept until it is fetched. Pairs exclude each other; a plain write that another queue
 * executes at the same time isn't kept out.
 */
#include <string.h>
#include "emulator/internal.h"

#define CDW12_DTYPE    (0xfu << 20)
#define CDW12_FUA      (1u << 30)
#define DSM_DEALLOCATE (1u << 2)

static inline uint64_t cmd_n_blocks(const struct nvmux_cmd *cmd)
{
	return (emu_cdw(cmd->cdw12) & 0xffff) + 1;
}

/* Checks that all commands with a range of blocks share; the range in bytes. */
static inline uint16_t check_range(const struct emu_ns *ns, const struct nvmux_cmd *cmd,
				   uint64_t *ret_offset, uint64_t *ret_len)
{
	uint64_t slba = emu_slba(cmd), n = cmd_n_blocks(cmd);

	if (unlikely(!emu_in_range(ns, slba, n)))
		return EMU_GENERIC(LBA_RANGE);
	*ret_offset = slba << ns->shift;
	*ret_len = n << ns->shift;
	return EMU_SUCCESS;
}

/* The same for commands that move data, which MDTS limits. */
static inline uint16_t check_transfer(const struct emu_sq *sq, const struct emu_ns *ns,
				      const struct nvmux_cmd *cmd, uint64_t *ret_offset,
				      uint64_t *ret_len)
{
	uint16_t status = check_range(ns, cmd, ret_offset, ret_len);

	if (likely(!status) && unlikely(*ret_len > sq->ctrlr->max_transfer))
		return EMU_GENERIC(INVALID_FIELD);
	return status;
}

static inline uint16_t do_read(struct emu_sq *sq, const struct emu_ns *ns,
			       const struct nvmux_cmd *cmd)
{
	uint64_t offset, len;
	uint16_t status = check_transfer(sq, ns, cmd, &offset, &len);

	if (unlikely(status))
		return status;
	if (ns->data)
		status = emu_xfer(sq, cmd, EMU_XFER_TO_HOST, ns->data + offset, len);
	else
		status = emu_xfer(sq, cmd, EMU_XFER_CHECK_IN, NULL, len);
	if (likely(!status)) {
		emu_count(&sq->counters.reads, 1);
		emu_count(&sq->counters.read_bytes, len);
	}
	return status;
}

static inline bool must_sync(const struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	return (emu_cdw(cmd->cdw12) & CDW12_FUA) ||
	       !__atomic_load_n(&sq->ctrlr->features.volatile_wc, __ATOMIC_RELAXED);
}

static inline uint16_t do_write(struct emu_sq *sq, const struct emu_ns *ns,
				const struct nvmux_cmd *cmd)
{
	uint64_t offset, len;
	uint16_t status = check_transfer(sq, ns, cmd, &offset, &len);

	if (unlikely(status))
		return status;
	if (ns->data)
		status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, ns->data + offset, len);
	else
		status = emu_xfer(sq, cmd, EMU_XFER_CHECK_OUT, NULL, len);
	if (ns->fd >= 0 && !status && must_sync(sq, cmd))
		status = emu_ns_sync(ns, offset, len);
	if (likely(!status)) {
		emu_count(&sq->counters.writes, 1);
		emu_count(&sq->counters.written_bytes, len);
	}
	return status;
}

static uint16_t do_compare(struct emu_sq *sq, const struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint64_t offset, len;
	uint16_t status = check_transfer(sq, ns, cmd, &offset, &len);

	if (status)
		return status;
	if (ns->data)
		status = emu_xfer(sq, cmd, EMU_XFER_COMPARE, ns->data + offset, len);
	else
		status = emu_xfer(sq, cmd, EMU_XFER_CHECK_OUT, NULL, len);
	if (!status) {
		emu_count(&sq->counters.reads, 1);
		emu_count(&sq->counters.read_bytes, len);
	}
	return status;
}

static uint16_t do_write_zeroes(struct emu_sq *sq, const struct emu_ns *ns,
				const struct nvmux_cmd *cmd)
{
	uint64_t offset, len;
	uint16_t status = check_range(ns, cmd, &offset, &len);

	/* With or without the Deallocate bit, the blocks read as zeroes. */
	if (!status)
		status = emu_ns_zero(ns, offset, len);
	if (!status && ns->fd >= 0 && must_sync(sq, cmd))
		status = emu_ns_sync(ns, offset, len);
	if (!status)
		emu_count(&sq->counters.writes, 1);
	return status;
}

static uint16_t do_verify(struct emu_sq *sq, const struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint64_t offset, len;
	uint16_t status = check_range(ns, cmd, &offset, &len);

	if (!status)
		emu_count(&sq->counters.reads, 1);
	return status;
}

static uint16_t do_dsm(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint32_t n = (emu_cdw(cmd->cdw10) & 0xff) + 1;
	struct nvme_dsm_range ranges[NVME_DSM_MAX_RANGES];
	uint16_t status;

	status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, (uint8_t *)ranges, n * sizeof(ranges[0]));
	if (status)
		return status;
	for (uint32_t i = 0; i < n; i++) {
		if (!emu_in_range(ns, le64_to_cpu(ranges[i].slba), le32_to_cpu(ranges[i].nlb)) &&
		    ranges[i].nlb)
			return EMU_GENERIC(LBA_RANGE);
	}
	/* The attributes other than deallocate are hints. */
	if (!(emu_cdw(cmd->cdw11) & DSM_DEALLOCATE))
		return EMU_SUCCESS;
	for (uint32_t i = 0; i < n && !status; i++) {
		status = emu_ns_deallocate(ns, le64_to_cpu(ranges[i].slba),
					   le32_to_cpu(ranges[i].nlb));
	}
	return status;
}

static uint16_t do_flush(const struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	uint32_t nsid = emu_cdw(cmd->nsid);
	const struct emu_ns *ns = emu_ns_get(ctrlr, nsid);
	uint16_t status = EMU_SUCCESS;

	if (ns)
		return emu_ns_flush(ns);
	if (nsid != NVME_NSID_ALL)
		return EMU_GENERIC(INVALID_NS);
	for (uint32_t i = 0; i < ctrlr->n_ns && !status; i++)
		status = emu_ns_flush(&ctrlr->ns[i]);
	return status;
}

/* ---- what is offered ---- */

enum {
	OFFERED = 1 << 0,
	WRITES = 1 << 1, /* reservations and the effects log count it as a write */
	ZONED = 1 << 2,  /* of the Zoned Namespace command set only */
	PLACES = 1 << 3, /* with flexible data placement only */
};

struct command {
	uint8_t opc;
	uint8_t flags;
	uint16_t oncs; /* the bit that offers it */
};

static const struct command commands[] = {
	{nvme_cmd_flush, OFFERED | WRITES, 0},
	{nvme_cmd_write, OFFERED | WRITES, 0},
	{nvme_cmd_read, OFFERED, 0},
	{nvme_cmd_write_uncor, OFFERED | WRITES, NVME_CTRL_ONCS_WRITE_UNCORRECTABLE},
	{nvme_cmd_compare, OFFERED, NVME_CTRL_ONCS_COMPARE},
	{nvme_cmd_write_zeroes, OFFERED | WRITES, NVME_CTRL_ONCS_WRITE_ZEROES},
	{nvme_cmd_dsm, OFFERED | WRITES, NVME_CTRL_ONCS_DSM},
	{nvme_cmd_verify, OFFERED, NVME_CTRL_ONCS_VERIFY},
	{nvme_cmd_resv_register, OFFERED, NVME_CTRL_ONCS_RESERVATIONS},
	{nvme_cmd_resv_report, OFFERED, NVME_CTRL_ONCS_RESERVATIONS},
	{nvme_cmd_resv_acquire, OFFERED, NVME_CTRL_ONCS_RESERVATIONS},
	{nvme_cmd_resv_release, OFFERED, NVME_CTRL_ONCS_RESERVATIONS},
	{nvme_cmd_copy, OFFERED | WRITES, NVME_CTRL_ONCS_COPY},
	{nvme_cmd_io_mgmt_recv, OFFERED | PLACES, 0},
	{nvme_cmd_io_mgmt_send, OFFERED | WRITES | PLACES, 0},
	{nvme_zns_cmd_mgmt_send, OFFERED | WRITES | ZONED, 0},
	{nvme_zns_cmd_mgmt_recv, OFFERED | ZONED, 0},
	{nvme_zns_cmd_append, OFFERED | WRITES | ZONED, 0},
};

static bool is_there(const struct emu_ctrlr *ctrlr, const struct command *c, bool zoned)
{
	return !(c->oncs & ctrlr->config.oncs_off) && (zoned || !(c->flags & ZONED)) &&
	       (ctrlr->config.fdp || !(c->flags & PLACES));
}

static uint8_t offered(const struct emu_ctrlr *ctrlr, const struct emu_ns *ns, uint8_t opc)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].opc == opc)
			return is_there(ctrlr, &commands[i], ns && ns->zones) ? commands[i].flags
									      : 0;
	}
	return 0;
}

uint16_t emu_oncs(const struct emu_ctrlr *ctrlr)
{
	uint16_t oncs = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		oncs |= commands[i].oncs;
	return (uint16_t)(oncs & ~ctrlr->config.oncs_off);
}

static void fill_effects(const struct emu_ctrlr *ctrlr, uint32_t effects[256], bool zoned)
{
	const uint32_t ns_scope = 1u << 20;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];
		bool changes = (c->flags & WRITES) && c->opc != nvme_cmd_flush &&
			       c->opc != nvme_cmd_io_mgmt_send;

		if (!is_there(ctrlr, c, zoned))
			continue;
		effects[c->opc] = NVME_CMD_EFFECTS_CSUPP | ns_scope |
				  (changes ? NVME_CMD_EFFECTS_LBCC : 0);
	}
}

void emu_nvm_effects(const struct emu_ctrlr *ctrlr, uint32_t effects[256])
{
	fill_effects(ctrlr, effects, false);
}

void emu_zns_effects(const struct emu_ctrlr *ctrlr, uint32_t effects[256])
{
	fill_effects(ctrlr, effects, true);
}

/* ---- dispatch ---- */

/* Commands with a range of blocks: the simple way as long as the namespace allows it. */
static uint16_t execute_range(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	if (emu_ns_special(ns))
		return emu_blocks_execute(sq, ns, cmd);
	switch (cmd->opc) {
	case nvme_cmd_read: return do_read(sq, ns, cmd);
	case nvme_cmd_write: return do_write(sq, ns, cmd);
	case nvme_cmd_compare: return do_compare(sq, ns, cmd);
	case nvme_cmd_write_zeroes: return do_write_zeroes(sq, ns, cmd);
	case nvme_cmd_verify: return do_verify(sq, ns, cmd);
	default: return emu_blocks_execute(sq, ns, cmd);
	}
}

static bool is_resv(uint8_t opc)
{
	return opc == nvme_cmd_resv_register || opc == nvme_cmd_resv_report ||
	       opc == nvme_cmd_resv_acquire || opc == nvme_cmd_resv_release;
}

/* A single command, whatever it is. */
static uint16_t execute_one(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	struct emu_ctrlr *ctrlr = sq->ctrlr;
	struct emu_ns *ns = emu_ns_get(ctrlr, emu_cdw(cmd->nsid));
	uint8_t psdt = cmd->flags & EMU_CMD_PSDT, what = offered(ctrlr, ns, cmd->opc);

	if (!what)
		return EMU_GENERIC(INVALID_OPCODE);
	if (psdt == EMU_CMD_PSDT || (psdt && !ctrlr->config.sgl))
		return EMU_GENERIC(INVALID_FIELD);
	if (ns && (emu_ns_special(ns) & EMU_NS_RESERVED) && !is_resv(cmd->opc) &&
	    !emu_resv_allows(ctrlr, ns, what & WRITES))
		return EMU_GENERIC(RESERVATION_CONFLICT);
	if (cmd->opc == nvme_cmd_flush)
		return do_flush(ctrlr, cmd);
	if (!ns)
		return emu_ns_missing(ctrlr, emu_cdw(cmd->nsid));
	if (ns->zones &&
	    NVME_CC_CSS(__atomic_load_n(&ctrlr->cc, __ATOMIC_RELAXED)) != NVME_CC_CSS_CSI)
		return EMU_SPECIFIC(IOCS_NOT_ENABLED);
	switch (cmd->opc) {
	case nvme_cmd_dsm: return do_dsm(sq, ns, cmd);
	case nvme_cmd_copy: return emu_copy(sq, ns, cmd);
	case nvme_zns_cmd_mgmt_send:
	case nvme_zns_cmd_mgmt_recv: return emu_zones_execute(sq, ns, cmd);
	case nvme_cmd_io_mgmt_recv:
	case nvme_cmd_io_mgmt_send: return emu_io_mgmt(sq, ns, cmd);
	default: break;
	}
	return is_resv(cmd->opc) ? emu_resv_execute(sq, ns, cmd) : execute_range(sq, ns, cmd);
}

/* ---- fused ---- */

static uint16_t check_pair(const struct emu_sq *sq, const struct nvmux_cmd *first,
			   const struct nvmux_cmd *second)
{
	if (first->opc != nvme_cmd_compare || second->opc != nvme_cmd_write ||
	    (sq->ctrlr->config.oncs_off & NVME_CTRL_ONCS_COMPARE) || first->nsid != second->nsid ||
	    emu_slba(first) != emu_slba(second) || cmd_n_blocks(first) != cmd_n_blocks(second))
		return EMU_GENERIC(INVALID_FIELD);
	if (cmd_n_blocks(first) > EMU_ACWU + 1)
		return EMU_GENERIC(AWU_EXCEEDED);
	return EMU_SUCCESS;
}

static uint16_t execute_pair(struct emu_sq *sq, const struct nvmux_cmd *first,
			     const struct nvmux_cmd *second, uint16_t *ret_second)
{
	struct emu_ns *ns = emu_ns_get(sq->ctrlr, emu_cdw(first->nsid));
	uint16_t status = check_pair(sq, first, second);

	if (status) {
		*ret_second = status;
		return status;
	}
	if (ns)
		pthread_mutex_lock(&ns->lock);
	status = execute_one(sq, first);
	*ret_second = status ? EMU_GENERIC(FUSED_FAIL) : execute_one(sq, second);
	if (ns)
		pthread_mutex_unlock(&ns->lock);
	return status;
}

/* The first of a pair: the second must be the next entry, and there already. */
static uint16_t execute_fused(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	struct nvmux_cmd second;
	bool kept = sq->fused;

	sq->fused = false;
	switch (cmd->flags & EMU_CMD_FUSE) {
	case EMU_CMD_FUSE_FIRST: break;
	case EMU_CMD_FUSE_LAST: return kept ? sq->fused_status : EMU_GENERIC(FUSED_MISSING);
	default: return EMU_GENERIC(INVALID_FIELD);
	}
	if (sq->head == sq->seen_tail)
		return EMU_GENERIC(FUSED_MISSING);
	memcpy(&second, &sq->ring[sq->head], sizeof(second));
	__asm__ volatile("" : "+m"(second)); /* what is checked is this copy */
	if ((second.flags & EMU_CMD_FUSE) != EMU_CMD_FUSE_LAST)
		return EMU_GENERIC(FUSED_MISSING);
	sq->fused = true;
	return execute_pair(sq, cmd, &second, &sq->fused_status);
}

/* A write whose data goes to a place of its own. */
static uint16_t execute_placed(struct emu_sq *sq, const struct emu_ns *ns,
			       const struct nvmux_cmd *cmd)
{
	uint16_t status = emu_placement_check(sq->ctrlr, cmd);

	if (!status)
		status = execute_one(sq, cmd);
	if (!status)
		emu_placement_written(sq->ctrlr, ns, cmd);
	return status;
}

uint16_t emu_nvm_execute(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	const struct emu_ns *ns = emu_ns_get(sq->ctrlr, emu_cdw(cmd->nsid));

	if (unlikely(cmd->opc == nvme_cmd_write && ns && !(cmd->flags & EMU_CMD_FUSE) &&
		     (sq->ctrlr->config.fdp || emu_cdw(cmd->cdw12) & CDW12_DTYPE)))
		return execute_placed(sq, ns, cmd);
	if (likely(ns && !cmd->flags && !emu_ns_special(ns))) {
		if (cmd->opc == nvme_cmd_read)
			return do_read(sq, ns, cmd);
		if (cmd->opc == nvme_cmd_write)
			return do_write(sq, ns, cmd);
	}
	if (unlikely(cmd->flags & EMU_CMD_FUSE))
		return execute_fused(sq, cmd);
	return execute_one(sq, cmd);
}
