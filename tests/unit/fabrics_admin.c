// SPDX-License-Identifier: BSD-3-Clause
/* The NVMe over RDMA target: admin commands, its own and those that the model executes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "fabrics_target.h"

#define FEAT_AEC  0x0b
#define FEAT_KATO 0x0f
#define LOG_MAX   (1u << 20)

/* ---- Identify ---- */

static void fix_ctrlr(const struct target *t, const struct target_ctrlr *c, struct nvme_id_ctrl *id)
{
	id->cntlid = cpu_to_le16(c->cntlid);
	id->ioccsz = cpu_to_le32((FABRICS_SQE_SIZE + t->in_capsule) / 16);
	id->iorcsz = cpu_to_le32(1);
	id->icdoff = cpu_to_le16(t->icdoff);
	id->msdbd = t->msdbd;
	id->maxcmd = cpu_to_le16(t->maxcmd);
	id->kas = cpu_to_le16(t->kas);
	id->sgls = cpu_to_le32(1u << 0 | 1u << 2 | 1u << 20);
	id->cmic = NVME_CTRL_CMIC_MULTI_PORT | NVME_CTRL_CMIC_MULTI_CTRL;
	memset(id->subnqn, 0, sizeof(id->subnqn));
	snprintf(id->subnqn, sizeof(id->subnqn), "%s", t->subnqn);
	id->oaes = cpu_to_le32(NVME_CTRL_OAES_NA | 1u << 31);
	if (c->discovery) {
		id->cntrltype = 2;
		id->nn = 0;
	}
	if (!t->ana)
		return;
	id->cmic |= NVME_CTRL_CMIC_MULTI_ANA_REPORTING;
	id->oaes = cpu_to_le32(NVME_CTRL_OAES_NA | NVME_CTRL_OAES_ANA);
	id->anatt = 10;
	id->anacap = 0x1f;
	id->anagrpmax = cpu_to_le32(TARGET_ANA_MAX);
	id->nanagrpid = cpu_to_le32(TARGET_ANA_MAX);
}

static uint16_t identify(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
			 const struct target_data *data)
{
	uint8_t cns = (uint8_t)emu_cdw(cmd->cdw10);
	struct nvmux_cmd own = target_bounce_cmd(cmd, NVME_IDENTIFY_DATA_SIZE);
	struct nvme_id_ns *ns = (struct nvme_id_ns *)(void *)t->bounce;
	uint32_t nsid = emu_cdw(cmd->nsid);
	uint32_t dw0;
	uint16_t status;

	if (tc->ctrlr->discovery && cns != NVME_IDENTIFY_CNS_CTRL)
		return EMU_GENERIC(INVALID_FIELD);
	status = emu_admin_execute(&t->emu->sqs[0], &own, &dw0);
	if (status)
		return status;
	if (cns == NVME_IDENTIFY_CNS_CTRL) {
		fix_ctrlr(t, tc->ctrlr, (struct nvme_id_ctrl *)(void *)t->bounce);
	} else if (cns == NVME_IDENTIFY_CNS_NS && t->ana) {
		ns->nmic = 1;
		ns->anagrpid = cpu_to_le32(nsid % TARGET_ANA_MAX + 1);
	}
	if (t->identify)
		t->identify(t, cns, t->bounce);
	return target_to_host(t, tc, data, NVME_IDENTIFY_DATA_SIZE);
}

/* ---- logs ---- */

static void append(uint8_t *buf, uint32_t *len, const void *data, size_t size)
{
	memcpy(buf + *len, data, size);
	*len += (uint32_t)size;
}

static uint32_t ana_log(const struct target *t, uint8_t *buf, bool groups_only)
{
	const struct nvme_ana_log log = {
		.chgcnt = cpu_to_le64(1),
		.ngrps = cpu_to_le16(TARGET_ANA_MAX),
	};
	uint32_t len = 0;

	append(buf, &len, &log, sizeof(log));
	for (uint32_t g = 1; g <= TARGET_ANA_MAX; g++) {
		struct nvme_ana_group_desc d = {
			.grpid = cpu_to_le32(g),
			.state = t->ana_state[g - 1],
		};
		uint32_t at = len, n = 0;

		append(buf, &len, &d, sizeof(d));
		for (uint32_t i = 1; i <= t->emu->n_ns && !groups_only; i++) {
			const __le32 nsid = cpu_to_le32(i);

			if (i % TARGET_ANA_MAX + 1 != g)
				continue;
			append(buf, &len, &nsid, sizeof(nsid));
			n++;
		}
		d.nnsids = cpu_to_le32(n);
		memcpy(buf + at, &d, sizeof(d));
	}
	return len;
}

static uint32_t discovery_log(struct target *t, uint8_t *buf)
{
	struct nvmf_discovery_log *log = (struct nvmf_discovery_log *)(void *)buf;

	if (t->genctr_moves) {
		t->genctr_moves--;
		t->genctr++;
	}
	log->genctr = cpu_to_le64(t->genctr);
	log->numrec = cpu_to_le64(t->numrec_lie ? t->numrec_lie : t->n_records);
	log->recfmt = cpu_to_le16(t->recfmt);
	if (t->n_records)
		memcpy(log->entries, t->records, t->n_records * sizeof(*t->records));
	return (uint32_t)(sizeof(*log) + t->n_records * sizeof(*t->records));
}

/* Those of the target itself; beyond their end there are zeroes. */
static uint16_t own_log(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
			const struct target_data *data, uint32_t len)
{
	uint64_t offset = emu_cdw(cmd->cdw12) | (uint64_t)emu_cdw(cmd->cdw13) << 32;
	uint32_t lid = emu_cdw(cmd->cdw10) & 0xff, size;
	uint8_t *log = calloc(1, LOG_MAX);

	assert_non_null(log);
	if (lid == NVME_LOG_LID_ANA)
		size = ana_log(t, log, emu_cdw(cmd->cdw10) & 1u << 8);
	else
		size = discovery_log(t, log);
	if (offset % 4 != 0 || (offset > size && !t->numrec_lie)) {
		free(log);
		return EMU_GENERIC(INVALID_FIELD);
	}
	memset(t->bounce, 0, len);
	if (offset < LOG_MAX)
		memcpy(t->bounce, log + offset, MIN((uint64_t)len, LOG_MAX - offset));
	free(log);
	return target_to_host(t, tc, data, len);
}

static uint16_t get_log(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
			const struct target_data *data)
{
	uint32_t cdw10 = emu_cdw(cmd->cdw10), lid = cdw10 & 0xff, dw0;
	uint64_t numd = (cdw10 >> 16 | (uint64_t)(emu_cdw(cmd->cdw11) & 0xffff) << 16) + 1;
	uint32_t len = (uint32_t)MIN(numd * 4, (uint64_t)LOG_MAX);
	struct nvmux_cmd own = target_bounce_cmd(cmd, len);
	uint16_t status;

	if ((lid == NVME_LOG_LID_ANA && t->ana) ||
	    (lid == NVME_LOG_LID_DISCOVER && tc->ctrlr->discovery))
		return own_log(t, tc, cmd, data, len);
	if (tc->ctrlr->discovery)
		return EMU_GENERIC(INVALID_LOG_PAGE);
	status = emu_admin_execute(&t->emu->sqs[0], &own, &dw0);
	return status ? status : target_to_host(t, tc, data, len);
}

/* ---- features and the rest ---- */

static uint16_t set_features(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
			     uint32_t *dw0)
{
	struct target_ctrlr *c = tc->ctrlr;
	struct nvmux_cmd own = target_bounce_cmd(cmd, 0);

	switch (emu_cdw(cmd->cdw10) & 0xff) {
	case FEAT_AEC: c->aec = emu_cdw(cmd->cdw11); return EMU_SUCCESS;
	case FEAT_KATO:
		c->kato_ms = emu_cdw(cmd->cdw11);
		c->keep_alive_at = fake_now_ms();
		return EMU_SUCCESS;
	case NVME_FEAT_FID_HOST_ID: return EMU_GENERIC(CMD_SEQ_ERROR);
	default: break;
	}
	if (c->discovery)
		return EMU_GENERIC(INVALID_FIELD);
	return emu_admin_execute(&t->emu->sqs[0], &own, dw0);
}

static uint16_t get_features(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
			     uint32_t *dw0)
{
	struct nvmux_cmd own = target_bounce_cmd(cmd, 0);

	switch (emu_cdw(cmd->cdw10) & 0xff) {
	case FEAT_AEC: *dw0 = tc->ctrlr->aec; return EMU_SUCCESS;
	case FEAT_KATO: *dw0 = tc->ctrlr->kato_ms; return EMU_SUCCESS;
	default: return emu_admin_execute(&t->emu->sqs[0], &own, dw0);
	}
}

static uint16_t event_request(struct target_conn *tc, const struct nvmux_cmd *cmd)
{
	struct target_ctrlr *c = tc->ctrlr;

	if (c->n_aers == TARGET_AER_MAX)
		return EMU_SPECIFIC(ASYNC_LIMIT);
	c->aer_cids[c->n_aers++] = le16_to_cpu(cmd->cid);
	return EMU_NO_COMPLETION;
}

static uint16_t abort_cmd(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
			  uint32_t *dw0)
{
	struct target_ctrlr *c = tc->ctrlr;
	uint16_t sqid = (uint16_t)emu_cdw(cmd->cdw10), cid = (uint16_t)(emu_cdw(cmd->cdw10) >> 16);

	*dw0 = 1;
	for (uint32_t i = 0; i < c->n_aers && sqid == 0; i++) {
		if (c->aer_cids[i] != cid)
			continue;
		c->aer_cids[i] = c->aer_cids[--c->n_aers];
		target_answer(t, tc, cid, EMU_STATUS(0, NVME_SC_ABORT_REQ), 0, 0);
		*dw0 = 0;
	}
	return EMU_SUCCESS;
}

/* Queues are made by connections here. */
static bool is_refused(uint8_t opc)
{
	return opc == nvme_admin_create_sq || opc == nvme_admin_create_cq ||
	       opc == nvme_admin_delete_sq || opc == nvme_admin_delete_cq;
}

uint16_t target_admin(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
		      const struct target_data *data, uint32_t *ret_dw0)
{
	struct nvmux_cmd own = target_bounce_cmd(cmd, 0);
	uint32_t op = cmd->opc;

	if (is_refused(cmd->opc)) {
		fake_violation("opcode %02xh over fabrics", op);
		return EMU_GENERIC(INVALID_OPCODE);
	}
	switch (cmd->opc) {
	case nvme_admin_identify: return identify(t, tc, cmd, data);
	case nvme_admin_get_log_page: return get_log(t, tc, cmd, data);
	case nvme_admin_set_features: return set_features(t, tc, cmd, ret_dw0);
	case nvme_admin_get_features: return get_features(t, tc, cmd, ret_dw0);
	case nvme_admin_async_event: return event_request(tc, cmd);
	case nvme_admin_abort_cmd: return abort_cmd(t, tc, cmd, ret_dw0);
	case nvme_admin_keep_alive:
		if (!NVME_CC_EN(tc->ctrlr->cc))
			return EMU_GENERIC(CMD_SEQ_ERROR);
		tc->ctrlr->keep_alive_at = fake_now_ms();
		t->keep_alives++;
		return EMU_SUCCESS;
	default: return emu_admin_execute(&t->emu->sqs[0], &own, ret_dw0);
	}
}

unsigned target_event(struct target *t, uint32_t aec_bit, uint8_t type, uint8_t info, uint8_t log)
{
	unsigned n = 0;

	fake_lock();
	for (struct target_conn *tc = t->conns; tc; tc = tc->next) {
		struct target_ctrlr *c = tc->ctrlr;

		if (tc->qid || !c || !c->alive || !c->n_aers ||
		    (aec_bit != UINT32_MAX && !(c->aec & aec_bit)))
			continue;
		target_answer(t, tc, c->aer_cids[--c->n_aers], EMU_SUCCESS,
			      type | (uint32_t)info << 8 | (uint32_t)log << 16, 0);
		n++;
	}
	fake_unlock();
	return n;
}

void target_add_record(struct target *t, uint8_t subtype, const char *addr, uint16_t port,
		       const char *nqn)
{
	struct nvmf_disc_log_entry *e;

	fake_lock();
	t->records = realloc(t->records, (t->n_records + 1) * sizeof(*t->records));
	assert_non_null(t->records);
	e = &t->records[t->n_records++];
	memset(e, 0, sizeof(*e));
	e->trtype = NVMF_TRTYPE_RDMA;
	e->adrfam = strchr(addr, ':') ? NVMF_ADDR_FAMILY_IP6 : NVMF_ADDR_FAMILY_IP4;
	e->subtype = subtype;
	e->portid = cpu_to_le16(1);
	e->cntlid = cpu_to_le16(0xffff);
	e->asqsz = cpu_to_le16(32);
	/* Padded with spaces, as some targets do. */
	memset(e->trsvcid, ' ', sizeof(e->trsvcid));
	snprintf(e->trsvcid, sizeof(e->trsvcid), "%u", port);
	e->trsvcid[strlen(e->trsvcid)] = ' ';
	snprintf(e->subnqn, sizeof(e->subnqn), "%s", nqn);
	snprintf(e->traddr, sizeof(e->traddr), "%s", addr);
	e->tsas.rdma.qptype = 1;
	e->tsas.rdma.prtype = 1;
	e->tsas.rdma.cms = 1;
	t->genctr++;
	fake_unlock();
}
