// SPDX-License-Identifier: BSD-3-Clause
/* Set Features and Get Features. Base specification 2.0, sections 5.15 and 5.27. */
#include <string.h>
#include "emulator/internal.h"

#define WARNING_TEMPERATURE_K 343
#define ASYNC_EVENT_MASK      (0x1fu | NVME_CTRL_OAES_NA | NVME_CTRL_OAES_FA | NVME_CTRL_OAES_ZD)
#define RESV_MASK             (7u << 1) /* a bit for each type of notice */
#define HOST_BEHAVIOR_SIZE    512u
#define CDW10_SAVE            (1u << 31)
#define HOST_ID_EXTENDED      1u
#define EFFECT_CTRLR_SCOPE    (1u << 21)
#define EFFECT_NS_SCOPE       (1u << 20)

enum select {
	SELECT_CURRENT,
	SELECT_DEFAULT,
	SELECT_SAVED, /* nothing can be saved: as the default */
	SELECT_CAPABILITIES,
};

enum {
	CAN_CHANGE = 1 << 0,
	PER_NS = 1 << 1,
};

static const uint8_t known[256] = {
	[NVME_FEAT_FID_ARBITRATION] = CAN_CHANGE,
	[NVME_FEAT_FID_POWER_MGMT] = CAN_CHANGE,
	[NVME_FEAT_FID_TEMP_THRESH] = CAN_CHANGE,
	[NVME_FEAT_FID_ERR_RECOVERY] = CAN_CHANGE | PER_NS,
	[NVME_FEAT_FID_VOLATILE_WC] = CAN_CHANGE,
	[NVME_FEAT_FID_NUM_QUEUES] = CAN_CHANGE,
	[NVME_FEAT_FID_IRQ_COALESCE] = CAN_CHANGE,
	[NVME_FEAT_FID_IRQ_CONFIG] = CAN_CHANGE,
	[NVME_FEAT_FID_WRITE_ATOMIC] = CAN_CHANGE,
	[NVME_FEAT_FID_ASYNC_EVENT] = CAN_CHANGE,
	[NVME_FEAT_FID_HOST_ID] = CAN_CHANGE,
	[NVME_FEAT_FID_HOST_MEM_BUF] = CAN_CHANGE, /* if it is asked for */
	[NVME_FEAT_FID_HOST_BEHAVIOR] = CAN_CHANGE,
	[NVME_FEAT_FID_FDP] = CAN_CHANGE, /* where there is such */
	[NVME_FEAT_FID_RESV_MASK] = CAN_CHANGE | PER_NS, /* where there are reservations */
};

static uint8_t flags_of(const struct emu_ctrlr *ctrlr, uint32_t fid)
{
	if (fid == NVME_FEAT_FID_HOST_MEM_BUF && !ctrlr->config.hmb)
		return 0;
	if (fid == NVME_FEAT_FID_FDP && !ctrlr->config.fdp)
		return 0;
	if (fid == NVME_FEAT_FID_RESV_MASK && !emu_has_resv(ctrlr))
		return 0;
	return known[fid];
}

void emu_features_effects(const struct emu_ctrlr *ctrlr, uint32_t effects[256])
{
	for (uint32_t i = 0; i < 256; i++) {
		uint8_t flags = flags_of(ctrlr, i);

		if (flags)
			effects[i] = 1 | (flags & PER_NS ? EFFECT_NS_SCOPE : EFFECT_CTRLR_SCOPE);
	}
}

static struct emu_features default_features(void)
{
	return (struct emu_features){
		.temp_over = WARNING_TEMPERATURE_K,
		.volatile_wc = 1,
	};
}

void emu_features_reset(struct emu_ctrlr *ctrlr)
{
	ctrlr->features = default_features();
	ctrlr->acre = false;
	ctrlr->n_io_queues_granted = ctrlr->config.max_io_queues;
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		ctrlr->ns[i].tler = 0;
		if (ctrlr->ns[i].resv) /* no host: that of none is touched */
			emu_resv_mask_set(ctrlr, &ctrlr->ns[i], 0);
	}
}

static uint32_t queues_value(uint32_t n)
{
	return (n - 1) << 16 | (n - 1);
}

/* ---- set ---- */

static uint16_t set_temperature(struct emu_ctrlr *ctrlr, uint32_t v)
{
	uint32_t sensor = v >> 16 & 0xf, which = v >> 20 & 3;

	if (which > 1 || (sensor != 0 && sensor != 0xf))
		return EMU_GENERIC(INVALID_FIELD);
	if (which == 0)
		ctrlr->features.temp_over = v & 0xffff;
	else
		ctrlr->features.temp_under = v & 0xffff;
	emu_temperature_check(ctrlr);
	return EMU_SUCCESS;
}

static uint16_t set_error_recovery(struct emu_ctrlr *ctrlr, uint32_t nsid, uint32_t v)
{
	struct emu_ns *ns = emu_ns_get(ctrlr, nsid);

	if (!ns && nsid != NVME_NSID_ALL)
		return EMU_GENERIC(INVALID_NS);
	if (v & 1u << 16) /* deallocated or unwritten block errors: not offered */
		return EMU_GENERIC(INVALID_FIELD);
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		if (ctrlr->ns[i].id && (!ns || ns == &ctrlr->ns[i]))
			ctrlr->ns[i].tler = (uint16_t)v;
	}
	return EMU_SUCCESS;
}

static uint16_t set_resv_mask(struct emu_ctrlr *ctrlr, uint32_t nsid, uint32_t v)
{
	const struct emu_ns *ns = emu_ns_get(ctrlr, nsid);

	if (!ns && nsid != NVME_NSID_ALL)
		return EMU_GENERIC(INVALID_NS);
	if (v & ~RESV_MASK)
		return EMU_GENERIC(INVALID_FIELD);
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		if (ctrlr->ns[i].id && (ns ? ns == &ctrlr->ns[i] : ctrlr->ns[i].attached))
			emu_resv_mask_set(ctrlr, &ctrlr->ns[i], (uint8_t)v);
	}
	return EMU_SUCCESS;
}

static uint16_t set_num_queues(struct emu_ctrlr *ctrlr, uint32_t v, uint32_t *ret_dw0)
{
	uint32_t sqs = v & 0xffff, cqs = v >> 16, n;

	if (sqs == 0xffff || cqs == 0xffff)
		return EMU_GENERIC(INVALID_FIELD);
	if (ctrlr->n_io_queues > 0)
		return EMU_GENERIC(CMD_SEQ_ERROR);
	n = MAX(sqs, cqs) + 1;
	ctrlr->n_io_queues_granted = MIN(n, ctrlr->config.max_io_queues);
	*ret_dw0 = queues_value(ctrlr->n_io_queues_granted);
	return EMU_SUCCESS;
}

static uint16_t set_irq_config(struct emu_ctrlr *ctrlr, uint32_t v)
{
	uint32_t vector = v & 0xffff;
	uint8_t bit;

	if (vector >= ctrlr->config.irq_vectors)
		return EMU_GENERIC(INVALID_FIELD);
	bit = (uint8_t)(1u << vector % 8);
	if (v & 1u << 16)
		ctrlr->features.irq_config[vector / 8] |= bit;
	else
		ctrlr->features.irq_config[vector / 8] &= (uint8_t)~bit;
	return EMU_SUCCESS;
}

static uint16_t set_async_event(struct emu_ctrlr *ctrlr, uint32_t v)
{
	if (v & ~ASYNC_EVENT_MASK)
		return EMU_GENERIC(INVALID_FIELD);
	ctrlr->features.async_event = v;
	emu_health_check(ctrlr);
	return EMU_SUCCESS;
}

static uint16_t set_host_id(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	static const uint8_t none[16];
	struct emu_features *f = &sq->ctrlr->features;
	uint64_t len = emu_cdw(cmd->cdw11) & HOST_ID_EXTENDED ? 16 : 8;
	uint8_t id[16] = {0};
	uint16_t status;

	status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, id, len);
	if (status)
		return status;
	/* Once there is one, it stays until the controller is reset. */
	if (memcmp(f->host_id, none, 16) != 0 && memcmp(f->host_id, id, 16) != 0)
		return EMU_GENERIC(CMD_SEQ_ERROR);
	emu_host_id_set(f, id, len == 16);
	emu_resv_host_set(sq->ctrlr);
	return EMU_SUCCESS;
}

/* Host Behavior Support: Advanced Command Retry Enable is all there is to it. */
static uint16_t set_host_behavior(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	uint8_t buf[HOST_BEHAVIOR_SIZE];
	uint16_t status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, buf, sizeof(buf));

	if (status)
		return status;
	if (buf[0] > 1)
		return EMU_GENERIC(INVALID_FIELD);
	sq->ctrlr->acre = buf[0];
	return EMU_SUCCESS;
}

static uint16_t get_host_behavior(struct emu_sq *sq, const struct nvmux_cmd *cmd,
				  enum select select)
{
	uint8_t buf[HOST_BEHAVIOR_SIZE] = {select == SELECT_CURRENT && sq->ctrlr->acre};

	return emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf, sizeof(buf));
}

static uint16_t set_value(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	struct emu_ctrlr *ctrlr = sq->ctrlr;
	uint32_t v = emu_cdw(cmd->cdw11);

	switch (emu_cdw(cmd->cdw10) & 0xff) {
	case NVME_FEAT_FID_ARBITRATION: ctrlr->features.arbitration = v; return EMU_SUCCESS;
	case NVME_FEAT_FID_POWER_MGMT: /* power state 0 is the only one */
		return v & 0x1f ? EMU_GENERIC(INVALID_FIELD) : EMU_SUCCESS;
	case NVME_FEAT_FID_TEMP_THRESH: return set_temperature(ctrlr, v);
	case NVME_FEAT_FID_ERR_RECOVERY: return set_error_recovery(ctrlr, emu_cdw(cmd->nsid), v);
	case NVME_FEAT_FID_VOLATILE_WC:
		__atomic_store_n(&ctrlr->features.volatile_wc, v & 1, __ATOMIC_RELAXED);
		return EMU_SUCCESS;
	case NVME_FEAT_FID_NUM_QUEUES: return set_num_queues(ctrlr, v, ret_dw0);
	case NVME_FEAT_FID_IRQ_COALESCE:
		ctrlr->features.irq_coalescing = v & 0xffff;
		return EMU_SUCCESS;
	case NVME_FEAT_FID_IRQ_CONFIG: return set_irq_config(ctrlr, v);
	case NVME_FEAT_FID_WRITE_ATOMIC:
		ctrlr->features.write_atomicity = v & 1;
		return EMU_SUCCESS;
	case NVME_FEAT_FID_ASYNC_EVENT: return set_async_event(ctrlr, v);
	case NVME_FEAT_FID_HOST_ID: return set_host_id(sq, cmd);
	case NVME_FEAT_FID_HOST_MEM_BUF: return emu_set_hmb(sq, cmd);
	case NVME_FEAT_FID_HOST_BEHAVIOR: return set_host_behavior(sq, cmd);
	case NVME_FEAT_FID_FDP: return emu_set_placement(ctrlr, cmd);
	case NVME_FEAT_FID_RESV_MASK: return set_resv_mask(ctrlr, emu_cdw(cmd->nsid), v);
	default: return EMU_GENERIC(INVALID_FIELD);
	}
}

uint16_t emu_set_features(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	uint32_t cdw10 = emu_cdw(cmd->cdw10), nsid = emu_cdw(cmd->nsid);
	uint8_t flags = flags_of(sq->ctrlr, cdw10 & 0xff);

	if (!flags)
		return EMU_GENERIC(INVALID_FIELD);
	if (cdw10 & CDW10_SAVE)
		return EMU_SPECIFIC(FEATURE_NOT_SAVEABLE);
	if (!(flags & PER_NS) && nsid != NVME_NSID_NONE && nsid != NVME_NSID_ALL)
		return EMU_SPECIFIC(FEATURE_NOT_PER_NS);
	return set_value(sq, cmd, ret_dw0);
}

/* ---- get ---- */

static uint16_t get_temperature(const struct emu_features *f, uint32_t cdw11, uint32_t *ret)
{
	uint32_t which = cdw11 >> 20 & 3;

	if (which > 1 || (cdw11 >> 16 & 0xf) != 0)
		return EMU_GENERIC(INVALID_FIELD);
	*ret = which == 0 ? f->temp_over : f->temp_under;
	return EMU_SUCCESS;
}

static uint16_t get_irq_config(const struct emu_ctrlr *ctrlr, const struct emu_features *f,
			       uint32_t cdw11, uint32_t *ret)
{
	uint32_t vector = cdw11 & 0xffff;

	if (vector >= ctrlr->config.irq_vectors)
		return EMU_GENERIC(INVALID_FIELD);
	*ret = vector | (f->irq_config[vector / 8] >> vector % 8 & 1u) << 16;
	return EMU_SUCCESS;
}

static uint16_t get_error_recovery(const struct emu_ctrlr *ctrlr, enum select select, uint32_t nsid,
				   uint32_t *ret)
{
	const struct emu_ns *ns = emu_ns_get(ctrlr, nsid);

	if (!ns)
		return EMU_GENERIC(INVALID_NS);
	*ret = select == SELECT_CURRENT ? ns->tler : 0;
	return EMU_SUCCESS;
}

static uint16_t get_resv_mask(const struct emu_ctrlr *ctrlr, enum select select, uint32_t nsid,
			      uint32_t *ret)
{
	struct emu_ns *ns = emu_ns_get(ctrlr, nsid);

	if (!ns)
		return nsid == NVME_NSID_ALL ? EMU_GENERIC(INVALID_FIELD) : EMU_GENERIC(INVALID_NS);
	*ret = select == SELECT_CURRENT ? emu_resv_mask(ns) : 0;
	return EMU_SUCCESS;
}

static uint16_t get_host_id(struct emu_sq *sq, const struct nvmux_cmd *cmd,
			    const struct emu_features *f)
{
	uint64_t len = emu_cdw(cmd->cdw11) & HOST_ID_EXTENDED ? 16 : 8;
	uint8_t id[16];

	memcpy(id, f->host_id, sizeof(id));
	return emu_xfer(sq, cmd, EMU_XFER_TO_HOST, id, len);
}

static uint16_t get_value(struct emu_sq *sq, const struct nvmux_cmd *cmd, enum select select,
			  uint32_t *ret)
{
	const struct emu_ctrlr *ctrlr = sq->ctrlr;
	struct emu_features defaults = default_features();
	const struct emu_features *f = select == SELECT_CURRENT ? &ctrlr->features : &defaults;
	uint32_t cdw11 = emu_cdw(cmd->cdw11);

	switch (emu_cdw(cmd->cdw10) & 0xff) {
	case NVME_FEAT_FID_ARBITRATION: *ret = f->arbitration; return EMU_SUCCESS;
	case NVME_FEAT_FID_POWER_MGMT: *ret = 0; return EMU_SUCCESS;
	case NVME_FEAT_FID_TEMP_THRESH: return get_temperature(f, cdw11, ret);
	case NVME_FEAT_FID_ERR_RECOVERY:
		return get_error_recovery(ctrlr, select, emu_cdw(cmd->nsid), ret);
	case NVME_FEAT_FID_VOLATILE_WC: *ret = f->volatile_wc; return EMU_SUCCESS;
	case NVME_FEAT_FID_NUM_QUEUES:
		*ret = queues_value(select == SELECT_CURRENT ? ctrlr->n_io_queues_granted
							     : ctrlr->config.max_io_queues);
		return EMU_SUCCESS;
	case NVME_FEAT_FID_IRQ_COALESCE: *ret = f->irq_coalescing; return EMU_SUCCESS;
	case NVME_FEAT_FID_IRQ_CONFIG: return get_irq_config(ctrlr, f, cdw11, ret);
	case NVME_FEAT_FID_WRITE_ATOMIC: *ret = f->write_atomicity; return EMU_SUCCESS;
	case NVME_FEAT_FID_ASYNC_EVENT: *ret = f->async_event; return EMU_SUCCESS;
	case NVME_FEAT_FID_HOST_ID: *ret = 0; return get_host_id(sq, cmd, f);
	case NVME_FEAT_FID_HOST_MEM_BUF:
		*ret = 0;
		return select == SELECT_CURRENT ? emu_get_hmb(sq, cmd, ret) : EMU_SUCCESS;
	case NVME_FEAT_FID_HOST_BEHAVIOR: *ret = 0; return get_host_behavior(sq, cmd, select);
	case NVME_FEAT_FID_FDP: return emu_get_placement(ctrlr, cdw11, ret);
	case NVME_FEAT_FID_RESV_MASK:
		return get_resv_mask(ctrlr, select, emu_cdw(cmd->nsid), ret);
	default: return EMU_GENERIC(INVALID_FIELD);
	}
}

uint16_t emu_get_features(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	uint32_t cdw10 = emu_cdw(cmd->cdw10), select = cdw10 >> 8 & 7;
	uint8_t flags = flags_of(sq->ctrlr, cdw10 & 0xff);

	if (!flags || select > SELECT_CAPABILITIES)
		return EMU_GENERIC(INVALID_FIELD);
	if (select == SELECT_CAPABILITIES) {
		*ret_dw0 = (flags & PER_NS ? 1u << 1 : 0) | (flags & CAN_CHANGE ? 1u << 2 : 0);
		return EMU_SUCCESS;
	}
	return get_value(sq, cmd, (enum select)select, ret_dw0);
}

/* ---- Arbitration ---- */

unsigned emu_arbitration_burst(const struct emu_ctrlr *ctrlr)
{
	uint32_t ab = ctrlr->features.arbitration & 7;

	return ab == 7 ? EMU_POLL_BATCH : 1u << ab; /* 7: no limit */
}

unsigned emu_arbitration_weight(const struct emu_ctrlr *ctrlr, uint8_t class)
{
	uint32_t v = ctrlr->features.arbitration;

	switch (class) {
	case EMU_PRIO_HIGH: return (v >> 24 & 0xff) + 1;
	case EMU_PRIO_MEDIUM: return (v >> 16 & 0xff) + 1;
	default: return (v >> 8 & 0xff) + 1;
	}
}
