// SPDX-License-Identifier: BSD-3-Clause
/* The admin command set: dispatch, and the commands that make and end queues. */
#include "emulator/internal.h"

#define CMD_FUSE_PSDT 0xc3 /* of struct nvmux_cmd.flags: neither is offered */
#define CDW11_PC      (1u << 0)
#define CDW11_IEN     (1u << 1)
#define IOSQES        6
#define IOCQES        4

/* Base specification 2.0, section 5.4. */
static uint16_t create_cq(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	uint32_t qid = emu_cdw(cmd->cdw10) & 0xffff, entries = (emu_cdw(cmd->cdw10) >> 16) + 1;
	uint32_t flags = emu_cdw(cmd->cdw11), vector = flags >> 16;
	uint64_t prp = le64_to_cpu(cmd->dptr[0]);

	if (qid == 0 || qid > emu_max_qid(ctrlr) || ctrlr->cqs[qid].ring)
		return EMU_SPECIFIC(QID_INVALID);
	if (entries < 2 || entries > ctrlr->config.queue_entries ||
	    NVME_CC_IOCQES(ctrlr->cc) != IOCQES)
		return EMU_SPECIFIC(QUEUE_SIZE);
	if (!(flags & CDW11_PC))
		return EMU_GENERIC(INVALID_FIELD);
	if ((flags & CDW11_IEN) && vector >= ctrlr->config.irq_vectors)
		return EMU_SPECIFIC(INVALID_VECTOR);
	if (prp & (EMU_PAGE_SIZE - 1))
		return EMU_GENERIC(PRP_INVALID_OFFSET);
	if (!emu_cq_start(ctrlr, (uint16_t)qid, prp, entries))
		return EMU_XFER_ERROR;
	ctrlr->cqs[qid].irq_enabled = flags & CDW11_IEN;
	ctrlr->cqs[qid].vector = (uint16_t)vector;
	return EMU_SUCCESS;
}

/* Section 5.5. */
static uint16_t create_sq(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	uint32_t qid = emu_cdw(cmd->cdw10) & 0xffff, entries = (emu_cdw(cmd->cdw10) >> 16) + 1;
	uint32_t flags = emu_cdw(cmd->cdw11), cqid = flags >> 16;
	uint64_t prp = le64_to_cpu(cmd->dptr[0]);
	uint16_t max = emu_max_qid(ctrlr);

	if (qid == 0 || qid > max || ctrlr->sqs[qid].live)
		return EMU_SPECIFIC(QID_INVALID);
	if (cqid == 0 || cqid > max)
		return EMU_SPECIFIC(QID_INVALID);
	if (!ctrlr->cqs[cqid].ring)
		return EMU_SPECIFIC(CQ_INVALID);
	if (entries < 2 || entries > ctrlr->config.queue_entries ||
	    NVME_CC_IOSQES(ctrlr->cc) != IOSQES)
		return EMU_SPECIFIC(QUEUE_SIZE);
	if (!(flags & CDW11_PC))
		return EMU_GENERIC(INVALID_FIELD);
	if (prp & (EMU_PAGE_SIZE - 1))
		return EMU_GENERIC(PRP_INVALID_OFFSET);
	if (!emu_sq_start(ctrlr, (uint16_t)qid, (uint16_t)cqid, prp, entries))
		return EMU_XFER_ERROR;
	ctrlr->sqs[qid].priority = flags >> 1 & 3; /* ignored unless arbitration is weighted */
	return EMU_SUCCESS;
}

static uint16_t delete_sq(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	uint32_t qid = emu_cdw(cmd->cdw10) & 0xffff;

	if (qid == 0 || qid > ctrlr->config.max_io_queues || !ctrlr->sqs[qid].live)
		return EMU_SPECIFIC(QID_INVALID);
	/* What was fetched has completed; what wasn't completes implicitly. */
	emu_sq_stop(ctrlr, (uint16_t)qid);
	return EMU_SUCCESS;
}

static uint16_t delete_cq(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	uint32_t qid = emu_cdw(cmd->cdw10) & 0xffff;

	if (qid == 0 || qid > ctrlr->config.max_io_queues || !ctrlr->cqs[qid].ring)
		return EMU_SPECIFIC(QID_INVALID);
	if (ctrlr->cqs[qid].n_sqs > 0)
		return EMU_SPECIFIC(INVALID_QUEUE);
	emu_cq_stop(ctrlr, (uint16_t)qid);
	return EMU_SUCCESS;
}

/*
 * Only event requests, and what a fault delays, are ever outstanding; everything else has ended
 * when Abort is fetched.
 */
static uint16_t abort_cmd(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	uint32_t sqid = emu_cdw(cmd->cdw10) & 0xffff, cid = emu_cdw(cmd->cdw10) >> 16;

	if (sqid > ctrlr->config.max_io_queues || !ctrlr->sqs[sqid].live)
		return EMU_GENERIC(INVALID_FIELD);
	if (emu_held_abort(ctrlr, (uint16_t)sqid, (uint16_t)cid))
		*ret_dw0 = 0;
	else
		*ret_dw0 = sqid == 0 && emu_aer_abort(ctrlr, (uint16_t)cid) ? 0 : 1;
	return EMU_SUCCESS;
}

uint16_t emu_admin_execute(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	struct emu_ctrlr *ctrlr = sq->ctrlr;
	uint32_t effects[256] = {0};

	emu_admin_effects(ctrlr, effects);
	if (!effects[cmd->opc])
		return EMU_GENERIC(INVALID_OPCODE);
	if (cmd->flags & CMD_FUSE_PSDT)
		return EMU_GENERIC(INVALID_FIELD);
	emu_hmb_check(ctrlr);
	switch (cmd->opc) {
	case nvme_admin_delete_sq: return delete_sq(ctrlr, cmd);
	case nvme_admin_create_sq: return create_sq(ctrlr, cmd);
	case nvme_admin_get_log_page: return emu_get_log_page(sq, cmd);
	case nvme_admin_delete_cq: return delete_cq(ctrlr, cmd);
	case nvme_admin_create_cq: return create_cq(ctrlr, cmd);
	case nvme_admin_identify: return emu_identify(sq, cmd);
	case nvme_admin_abort_cmd: return abort_cmd(ctrlr, cmd, ret_dw0);
	case nvme_admin_set_features: return emu_set_features(sq, cmd, ret_dw0);
	case nvme_admin_get_features: return emu_get_features(sq, cmd, ret_dw0);
	case nvme_admin_async_event: return emu_aer(ctrlr, cmd);
	case nvme_admin_ns_mgmt: return emu_ns_management(sq, cmd, ret_dw0);
	case nvme_admin_ns_attach: return emu_ns_attachment(sq, cmd);
	case nvme_admin_fw_commit: return emu_firmware_commit(ctrlr, cmd);
	case nvme_admin_fw_download: return emu_firmware_download(sq, cmd);
	case nvme_admin_dev_self_test: return emu_self_test(ctrlr, cmd);
	case nvme_admin_directive_send: return emu_directive_send(sq, cmd);
	case nvme_admin_directive_recv: return emu_directive_receive(sq, cmd, ret_dw0);
	case nvme_admin_dbbuf: return emu_doorbell_buffer_config(ctrlr, cmd);
	case nvme_admin_format_nvm: return emu_format(sq, cmd);
	case nvme_admin_security_send: return emu_security_send(sq, cmd);
	case nvme_admin_security_recv: return emu_security_receive(sq, cmd);
	case nvme_admin_sanitize_nvm: return emu_sanitize(ctrlr, cmd);
	default: return EMU_GENERIC(INVALID_OPCODE);
	}
}

void emu_admin_effects(const struct emu_ctrlr *ctrlr, uint32_t effects[256])
{
	static const uint8_t plain[] = {
		nvme_admin_delete_sq,     nvme_admin_create_sq,      nvme_admin_get_log_page,
		nvme_admin_delete_cq,     nvme_admin_create_cq,      nvme_admin_identify,
		nvme_admin_abort_cmd,     nvme_admin_set_features,   nvme_admin_get_features,
		nvme_admin_async_event,   nvme_admin_fw_download,    nvme_admin_dev_self_test,
		nvme_admin_directive_send, nvme_admin_directive_recv, nvme_admin_security_send,
		nvme_admin_security_recv,
	};
	const uint32_t ctrlr_scope = 1u << 21, ns_scope = 1u << 20, subsystem_scope = 1u << 25;
	const uint32_t alone_on_ns = 1u << 16;
	const uint32_t alone = 2u << 16;

	for (size_t i = 0; i < sizeof(plain); i++)
		effects[plain[i]] = NVME_CMD_EFFECTS_CSUPP | ctrlr_scope;
	if (emu_shadow_offered(ctrlr))
		effects[nvme_admin_dbbuf] = NVME_CMD_EFFECTS_CSUPP | ctrlr_scope;
	effects[nvme_admin_ns_mgmt] =
		NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_NIC | ns_scope | alone_on_ns;
	effects[nvme_admin_ns_attach] =
		NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_NIC | ns_scope | alone_on_ns;
	effects[nvme_admin_fw_commit] =
		NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_CCC | subsystem_scope;
	effects[nvme_admin_format_nvm] = NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_LBCC |
					 NVME_CMD_EFFECTS_NCC | ns_scope | alone_on_ns;
	effects[nvme_admin_sanitize_nvm] =
		NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_LBCC | subsystem_scope | alone;
}
