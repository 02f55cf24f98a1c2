// SPDX-License-Identifier: BSD-3-Clause
/*
 * The NVM command set. A command runs to its end where it was fetched: there is nothing to wait
 * for. NVM command set specification 1.0, section 3.
 */
#include "emulator/internal.h"

#define CDW12_FUA      (1u << 30)
#define CMD_FUSE_PSDT  0xc3 /* of struct nvmux_cmd.flags: neither is offered */
#define DSM_DEALLOCATE (1u << 2)

static inline uint64_t cmd_n_blocks(const struct nvmux_cmd *cmd)
{
	return (emu_cdw(cmd->cdw12) & 0xffff) + 1;
}

static inline bool in_range(const struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	return slba < ns->n_blocks && n <= ns->n_blocks - slba;
}

static inline void count(uint64_t *counter, uint64_t by)
{
	/* This thread is the only writer; the admin thread reads. */
	__atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

/* Checks that all commands with a range of blocks share; the range in bytes. */
static inline uint16_t check_range(const struct emu_ns *ns, const struct nvmux_cmd *cmd,
				   uint64_t *ret_offset, uint64_t *ret_len)
{
	uint64_t slba = emu_slba(cmd), n = cmd_n_blocks(cmd);

	if (unlikely(!in_range(ns, slba, n)))
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
		count(&sq->counters.reads, 1);
		count(&sq->counters.read_bytes, len);
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
		count(&sq->counters.writes, 1);
		count(&sq->counters.written_bytes, len);
	}
	return status;
}

static uint16_t do_compare(struct emu_sq *sq, const struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint64_t offset, len;
	uint16_t status = check_range(ns, cmd, &offset, &len);

	if (status)
		return status;
	if (len > sq->ctrlr->max_transfer)
		return EMU_GENERIC(INVALID_FIELD);
	if (ns->data)
		status = emu_xfer(sq, cmd, EMU_XFER_COMPARE, ns->data + offset, len);
	else
		status = emu_xfer(sq, cmd, EMU_XFER_CHECK_OUT, NULL, len);
	if (!status) {
		count(&sq->counters.reads, 1);
		count(&sq->counters.read_bytes, len);
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
		count(&sq->counters.writes, 1);
	return status;
}

static uint16_t do_verify(struct emu_sq *sq, const struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint64_t offset, len;
	uint16_t status = check_range(ns, cmd, &offset, &len);

	if (!status)
		count(&sq->counters.reads, 1);
	return status;
}

static uint16_t do_dsm(struct emu_sq *sq, const struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint32_t n = (emu_cdw(cmd->cdw10) & 0xff) + 1;
	struct nvme_dsm_range ranges[NVME_DSM_MAX_RANGES];
	uint16_t status;

	status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, (uint8_t *)ranges, n * sizeof(ranges[0]));
	if (status)
		return status;
	for (uint32_t i = 0; i < n; i++) {
		if (!in_range(ns, le64_to_cpu(ranges[i].slba), le32_to_cpu(ranges[i].nlb)) &&
		    ranges[i].nlb)
			return EMU_GENERIC(LBA_RANGE);
	}
	/* The attributes other than deallocate are hints. */
	if (!(emu_cdw(cmd->cdw11) & DSM_DEALLOCATE))
		return EMU_SUCCESS;
	for (uint32_t i = 0; i < n && !status; i++) {
		uint64_t nlb = le32_to_cpu(ranges[i].nlb);

		if (nlb)
			status = emu_ns_zero(ns, le64_to_cpu(ranges[i].slba) << ns->shift,
					     nlb << ns->shift);
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

uint16_t emu_nvm_execute(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	const struct emu_ns *ns = emu_ns_get(sq->ctrlr, emu_cdw(cmd->nsid));

	switch (cmd->opc) {
	case nvme_cmd_read:
	case nvme_cmd_write:
	case nvme_cmd_compare:
	case nvme_cmd_write_zeroes:
	case nvme_cmd_dsm:
	case nvme_cmd_verify:
	case nvme_cmd_flush: break;
	default: return EMU_GENERIC(INVALID_OPCODE);
	}
	if (unlikely(cmd->flags & CMD_FUSE_PSDT))
		return EMU_GENERIC(INVALID_FIELD);
	if (unlikely(cmd->opc == nvme_cmd_flush))
		return do_flush(sq->ctrlr, cmd);
	if (unlikely(!ns))
		return EMU_GENERIC(INVALID_NS);
	switch (cmd->opc) {
	case nvme_cmd_read: return do_read(sq, ns, cmd);
	case nvme_cmd_write: return do_write(sq, ns, cmd);
	case nvme_cmd_compare: return do_compare(sq, ns, cmd);
	case nvme_cmd_write_zeroes: return do_write_zeroes(sq, ns, cmd);
	case nvme_cmd_dsm: return do_dsm(sq, ns, cmd);
	default: return do_verify(sq, ns, cmd);
	}
}

void emu_nvm_effects(uint32_t effects[256])
{
	const uint32_t ns_scope = 1u << 20;

	effects[nvme_cmd_flush] = NVME_CMD_EFFECTS_CSUPP | ns_scope;
	effects[nvme_cmd_read] = NVME_CMD_EFFECTS_CSUPP | ns_scope;
	effects[nvme_cmd_compare] = NVME_CMD_EFFECTS_CSUPP | ns_scope;
	effects[nvme_cmd_verify] = NVME_CMD_EFFECTS_CSUPP | ns_scope;
	effects[nvme_cmd_write] = NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_LBCC | ns_scope;
	effects[nvme_cmd_write_zeroes] = NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_LBCC | ns_scope;
	effects[nvme_cmd_dsm] = NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_LBCC | ns_scope;
}
