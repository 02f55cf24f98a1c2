// SPDX-License-Identifier: BSD-3-Clause
/*
 * Namespace Management, Namespace Attachment and Format NVM. Base specification 2.0, sections 5.20,
 * 5.21 and 5.14; NVM command set 1.0, sections 4.1.5 and 5.
 *
 * A namespace that goes, or changes its format, is first hidden from the I/O queues: attached is
 * cleared, and then nobody is in a command on it when emu_quiesce() returns.
 */
#include <string.h>
#include "emulator/internal.h"

#define SEL_CREATE      0u
#define SEL_DELETE      1u
#define SEL_ATTACH      0u
#define SEL_DETACH      1u
#define CNTIDS_MAX      2047u
#define FLBAS_MSET      (1u << 4)
#define DPS_TYPE        7u
#define DPS_FIRST       (1u << 3)
#define SES_NONE        0u
#define SES_CRYPTO      2u
#define EVENT_ATTRIBUTE (1u << 8) /* of the Asynchronous Event Configuration feature */

/* ---- what the host is told ---- */

static void changed(struct emu_ctrlr *ctrlr, uint32_t nsid)
{
	ctrlr->changed_ns[(nsid - 1) / 64] |= 1ull << (nsid - 1) % 64;
	if (ctrlr->features.async_event & EVENT_ATTRIBUTE)
		emu_event_raise(ctrlr, NVME_AER_NOTICE, NVME_AER_NOTICE_NS_CHANGED,
				NVME_LOG_LID_CHANGED_NS);
}

uint32_t emu_changed_ns_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_ns_list *list = (struct nvme_ns_list *)(void *)buf;
	uint32_t n = 0;

	for (uint32_t i = 0; i < EMU_NS_MAX; i++) {
		if (ctrlr->changed_ns[i / 64] & 1ull << i % 64)
			list->ns[n++] = cpu_to_le32(i + 1);
	}
	return sizeof(*list);
}

void emu_changed_ns_clear(struct emu_ctrlr *ctrlr)
{
	memset(ctrlr->changed_ns, 0, sizeof(ctrlr->changed_ns));
}

uint64_t emu_ns_capacity(const struct emu_ctrlr *ctrlr)
{
	uint64_t sum = ctrlr->ns_spare;

	for (uint32_t i = 0; i < ctrlr->n_ns; i++)
		sum += ctrlr->ns[i].id ? ctrlr->ns[i].size : 0;
	return sum;
}

uint64_t emu_ns_unallocated(const struct emu_ctrlr *ctrlr)
{
	return ctrlr->ns_spare;
}

/* ---- attached or not ---- */

static void hide(struct emu_ctrlr *ctrlr, struct emu_ns *ns)
{
	__atomic_store_n(&ns->attached, 0, __ATOMIC_SEQ_CST);
	emu_quiesce(ctrlr);
}

static void show(struct emu_ns *ns)
{
	__atomic_store_n(&ns->attached, 1, __ATOMIC_RELEASE);
}

/* ---- create and delete ---- */

/* Bits 3:0, and above them bits 6:5. */
static uint8_t format_index(const struct nvme_id_ns *data)
{
	return (uint8_t)((data->flbas & 0xf) | (data->flbas >> 5 & 3) << 4);
}

static uint16_t check_new(const struct nvme_id_ns *data, uint8_t csi)
{
	uint8_t index = format_index(data), pi = data->dps & DPS_TYPE;

	if (csi != NVME_CSI_NVM)
		return EMU_SPECIFIC(INVALID_IOCS);
	if (!emu_lbaf_fits(index, pi))
		return EMU_SPECIFIC(INVALID_FORMAT);
	if (!data->nsze || data->nmic || data->nvmsetid || data->endgid || data->anagrpid)
		return EMU_GENERIC(INVALID_FIELD);
	if (data->ncap != data->nsze)
		return EMU_SPECIFIC(THIN_PROV_NOT_SUPP);
	return EMU_SUCCESS;
}

static uint32_t free_nsid(const struct emu_ctrlr *ctrlr)
{
	for (uint32_t i = 0; i < emu_nn(ctrlr); i++) {
		if (!ctrlr->ns[i].id)
			return i + 1;
	}
	return 0;
}

static uint16_t create(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	struct emu_ctrlr *ctrlr = sq->ctrlr;
	struct nvme_id_ns data;
	const struct emu_lbaf *format;
	uint32_t nsid = free_nsid(ctrlr);
	uint64_t n_blocks;
	uint16_t status;

	status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, (uint8_t *)&data, sizeof(data));
	if (!status)
		status = check_new(&data, (uint8_t)(emu_cdw(cmd->cdw11) >> 24));
	if (status)
		return status;
	if (nsid == 0)
		return EMU_SPECIFIC(NS_ID_UNAVAILABLE);
	format = &emu_lbafs[format_index(&data)];
	n_blocks = le64_to_cpu(data.nsze);
	if (n_blocks > ctrlr->ns_spare >> format->shift)
		return EMU_SPECIFIC(NS_INSUFFICIENT_CAP);
	ctrlr->config.ns[nsid - 1] = (struct emu_ns_config){
		.backing = EMU_BACKING_MEMORY,
		.size = n_blocks << format->shift,
		.block_size = 1u << format->shift,
		.ms = format->ms,
		.mset = data.flbas & FLBAS_MSET,
		.pi = data.dps & DPS_TYPE,
		.pil = data.dps & DPS_FIRST,
	};
	if (emu_ns_open(&ctrlr->ns[nsid - 1], nsid, &ctrlr->config, NULL, 0)) {
		ctrlr->ns[nsid - 1].id = 0;
		return EMU_GENERIC(INTERNAL);
	}
	ctrlr->ns[nsid - 1].created = true;
	ctrlr->ns_spare -= ctrlr->ns[nsid - 1].size;
	ctrlr->n_ns = MAX(ctrlr->n_ns, nsid);
	*ret_dw0 = nsid;
	return EMU_SUCCESS;
}

static void delete_one(struct emu_ctrlr *ctrlr, struct emu_ns *ns)
{
	uint32_t nsid = ns->id;
	bool attached = ns->attached;

	if (ctrlr->self_test.nsid == nsid || ctrlr->self_test.nsid == NVME_NSID_ALL)
		emu_self_test_abort(ctrlr, NVME_ST_RESULT_NS_REMOVED);
	hide(ctrlr, ns);
	ctrlr->ns_spare += ns->size;
	ctrlr->streams[nsid - 1] = (struct emu_streams){0};
	emu_ns_close(ns);
	memset(ns, 0, sizeof(*ns));
	ns->fd = -1;
	if (attached)
		changed(ctrlr, nsid);
}

static uint16_t delete (struct emu_ctrlr *ctrlr, uint32_t nsid)
{
	struct emu_ns *ns = emu_ns_allocated(ctrlr, nsid);

	if (!ns && nsid != NVME_NSID_ALL)
		return EMU_GENERIC(INVALID_NS);
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		if (ctrlr->ns[i].id && (!ns || ns == &ctrlr->ns[i]))
			delete_one(ctrlr, &ctrlr->ns[i]);
	}
	return EMU_SUCCESS;
}

uint16_t emu_ns_management(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	switch (emu_cdw(cmd->cdw10) & 0xf) {
	case SEL_CREATE: return create(sq, cmd, ret_dw0);
	case SEL_DELETE: return delete (sq->ctrlr, emu_cdw(cmd->nsid));
	default: return EMU_GENERIC(INVALID_FIELD);
	}
}

/* ---- attach and detach ---- */

/* A list of controllers in ascending order; this subsystem has one. */
static uint16_t check_list(const struct nvme_ctrl_list *list)
{
	uint32_t n = le16_to_cpu(list->num);

	if (n == 0 || n > CNTIDS_MAX)
		return EMU_SPECIFIC(CTRL_LIST_INVALID);
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0 &&
		    le16_to_cpu(list->identifier[i]) <= le16_to_cpu(list->identifier[i - 1]))
			return EMU_SPECIFIC(CTRL_LIST_INVALID);
		if (le16_to_cpu(list->identifier[i]) != EMU_CNTLID)
			return EMU_SPECIFIC(CTRL_LIST_INVALID);
	}
	return EMU_SUCCESS;
}

uint16_t emu_ns_attachment(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	uint32_t select = emu_cdw(cmd->cdw10) & 0xf, nsid = emu_cdw(cmd->nsid);
	struct emu_ns *ns = emu_ns_allocated(sq->ctrlr, nsid);
	struct nvme_ctrl_list list;
	uint16_t status;

	if (select != SEL_ATTACH && select != SEL_DETACH)
		return EMU_GENERIC(INVALID_FIELD);
	status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, (uint8_t *)&list, sizeof(list));
	if (status)
		return status;
	if (!ns)
		return EMU_GENERIC(INVALID_NS);
	status = check_list(&list);
	if (status)
		return status;
	if (select == SEL_ATTACH && ns->attached)
		return EMU_SPECIFIC(NS_ALREADY_ATTACHED);
	if (select == SEL_DETACH && !ns->attached)
		return EMU_SPECIFIC(NS_NOT_ATTACHED);
	if (select == SEL_ATTACH)
		show(ns);
	else
		hide(sq->ctrlr, ns);
	changed(sq->ctrlr, nsid);
	return EMU_SUCCESS;
}

/* ---- format ---- */

uint16_t emu_ns_erase(struct emu_ns *ns)
{
	return emu_ns_format(ns, ns->lbaf, ns->mset, ns->pi, ns->pil);
}

static uint16_t check_format(uint32_t cdw10, uint32_t lbaf)
{
	uint32_t pi = cdw10 >> 5 & 7, ses = cdw10 >> 9 & 7;

	if (ses > SES_CRYPTO)
		return EMU_GENERIC(INVALID_FIELD);
	if (!emu_lbaf_fits(lbaf, pi))
		return EMU_SPECIFIC(INVALID_FORMAT);
	return EMU_SUCCESS;
}

static uint16_t format_one(struct emu_ctrlr *ctrlr, struct emu_ns *ns, uint32_t cdw10,
			   uint32_t lbaf)
{
	bool attached = ns->attached;
	uint16_t status;

	hide(ctrlr, ns);
	status = emu_ns_format(ns, (uint8_t)lbaf, cdw10 >> 4 & 1, cdw10 >> 5 & 7, cdw10 >> 8 & 1);
	if (attached)
		show(ns);
	return status;
}

uint16_t emu_format(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	struct emu_ctrlr *ctrlr = sq->ctrlr;
	uint32_t cdw10 = emu_cdw(cmd->cdw10), nsid = emu_cdw(cmd->nsid);
	uint32_t lbaf = (cdw10 & 0xf) | (cdw10 >> 12 & 3) << 4; /* LBAFL, LBAFU */
	struct emu_ns *ns = emu_ns_get(ctrlr, nsid);
	uint16_t status = check_format(cdw10, lbaf);

	if (!ns && nsid != NVME_NSID_ALL)
		return EMU_GENERIC(INVALID_NS);
	if (!status)
		emu_self_test_abort(ctrlr, NVME_ST_RESULT_ABORTED_FORMAT);
	for (uint32_t i = 0; i < ctrlr->n_ns && !status; i++) {
		if (ns ? ns == &ctrlr->ns[i] : ctrlr->ns[i].id && ctrlr->ns[i].attached)
			status = format_one(ctrlr, &ctrlr->ns[i], cdw10, lbaf);
	}
	return status;
}
