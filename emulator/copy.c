// SPDX-License-Identifier: BSD-3-Clause
/*
 * Copy, with source range entries of format 0. NVM command set 1.0, section 3.2.2.
 *
 * One range after the other, in order; dword 0 of the completion says how many of them were copied
 * when the command fails. Ranges that overlap the destination are copied as they are by then.
 */
#include <string.h>
#include "emulator/internal.h"

#define RANGES_MAX (EMU_COPY_MSRC + 1u)

struct copy {
	struct emu_sq *sq;
	struct emu_ns *ns;
	struct emu_protect to;
	uint8_t from_info; /* PRINFOR */
	uint64_t slba;     /* destination */
	struct emu_view view;
};

static struct emu_protect make_protect(const struct emu_ns *ns, uint32_t info, uint32_t reftag,
				       uint16_t apptag, uint16_t appmask)
{
	return (struct emu_protect){
		.pract = ns->pi && (info >> 3 & 1),
		.prchk = ns->pi ? info & 7 : 0,
		.apptag = apptag,
		.appmask = appmask,
		.reftag = reftag,
	};
}

static uint16_t check_zones(struct copy *c, uint64_t slba, uint64_t n)
{
	uint16_t status;

	if (!c->ns->zones)
		return EMU_SUCCESS;
	status = emu_zones_check_read(c->ns, slba, n);
	return status ? status : emu_zones_check_write(c->ns, c->slba, n);
}

static uint16_t copy_range(struct copy *c, const struct nvme_copy_range *range)
{
	uint64_t slba = le64_to_cpu(range->slba), n = le16_to_cpu(range->nlb) + 1ull;
	struct emu_protect from = make_protect(c->ns, c->from_info, le32_to_cpu(range->eilbrt),
					       le16_to_cpu(range->elbat),
					       le16_to_cpu(range->elbatm));
	uint16_t status = emu_pi_valid(c->ns, &from, slba);

	if (!status && emu_ns_is_bad(c->ns, slba, n))
		status = EMU_MEDIA(READ_ERROR);
	if (!status && c->ns->data) {
		emu_blocks_load(c->ns, slba, n, &c->view);
		status = emu_pi_check(c->ns, &from, &c->view, n);
		if (!status && c->to.pract)
			emu_pi_generate(c->ns, &c->to, &c->view, n);
		else if (!status)
			status = emu_pi_check(c->ns, &c->to, &c->view, n);
	}
	if (!status)
		status = check_zones(c, slba, n);
	if (status)
		return status;
	emu_blocks_store(c->ns, c->slba, n, &c->view);
	if (c->ns->zones)
		emu_zones_written(c->ns, c->slba, n);
	c->slba += n;
	c->to.reftag += c->ns->pi == 3 ? 0 : (uint32_t)n;
	return EMU_SUCCESS;
}

static uint16_t check_ranges(const struct emu_ns *ns, const struct nvme_copy_range *ranges,
			     uint32_t n, uint64_t sdlba)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t nlb = le16_to_cpu(ranges[i].nlb) + 1ull;

		total += nlb;
		if (nlb > EMU_COPY_MSSRL || total > EMU_COPY_MCL)
			return EMU_SPECIFIC(CMD_SIZE_LIMIT_EXCEEDED);
		if (!emu_in_range(ns, le64_to_cpu(ranges[i].slba), nlb))
			return EMU_GENERIC(LBA_RANGE);
	}
	return emu_in_range(ns, sdlba, total) ? EMU_SUCCESS : EMU_GENERIC(LBA_RANGE);
}

static uint16_t copy_ranges(struct copy *c, const struct nvme_copy_range *ranges, uint32_t n)
{
	uint64_t block = 1ull << c->ns->shift, slba = c->slba;
	uint8_t *memory = malloc(EMU_COPY_MSSRL * (block + c->ns->ms));
	uint16_t status = EMU_SUCCESS;
	uint32_t i;

	if (!memory)
		return EMU_GENERIC(INTERNAL);
	c->view = (struct emu_view){memory, memory + EMU_COPY_MSSRL * block, (uint32_t)block,
				    c->ns->ms};
	for (i = 0; i < n; i++) {
		status = copy_range(c, &ranges[i]);
		if (status)
			break;
	}
	free(memory);
	if (status)
		c->sq->result = i;
	else if (c->ns->fd >= 0)
		status = emu_ns_sync(c->ns, slba << c->ns->shift, (c->slba - slba) * block);
	return status;
}

uint16_t emu_copy(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint32_t cdw12 = emu_cdw(cmd->cdw12), cdw15 = emu_cdw(cmd->cdw15);
	uint32_t n = (cdw12 & 0xff) + 1, write_info = cdw12 >> 26 & 0xf;
	struct nvme_copy_range ranges[RANGES_MAX];
	struct copy c = {
		.sq = sq,
		.ns = ns,
		.to = make_protect(ns, write_info, emu_cdw(cmd->cdw14), (uint16_t)cdw15,
				   (uint16_t)(cdw15 >> 16)),
		.from_info = cdw12 >> 12 & 0xf,
		.slba = emu_slba(cmd),
	};
	uint16_t status;

	if (cdw12 >> 8 & 0xf) /* another format of the entries */
		return EMU_GENERIC(INVALID_FIELD);
	if (n > RANGES_MAX)
		return EMU_SPECIFIC(CMD_SIZE_LIMIT_EXCEEDED);
	/* What is stripped must be inserted again, and the other way round. */
	if (ns->pi && ns->ms == EMU_PI_SIZE && ((c.from_info ^ write_info) & 8))
		return EMU_GENERIC(INVALID_FIELD);
	status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, (uint8_t *)ranges, n * sizeof(ranges[0]));
	if (!status)
		status = check_ranges(ns, ranges, n, c.slba);
	if (!status)
		status = emu_pi_valid(ns, &c.to, c.slba);
	if (status)
		return status;
	if (ns->zones)
		emu_zones_lock(ns);
	status = copy_ranges(&c, ranges, n);
	if (ns->zones)
		emu_zones_unlock(ns);
	if (!status && ns->fd >= 0)
		status = emu_ns_sync_md(ns, emu_slba(cmd), c.slba - emu_slba(cmd));
	return status;
}
