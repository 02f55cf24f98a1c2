// SPDX-License-Identifier: BSD-3-Clause
/* See fake_ctrlr.h. */
#include <errno.h>
#include <string.h>

#include "fake_ctrlr.h"
#include "libcore/rw.h"

struct fake_config fake;

void fake_reset(void)
{
	fake = (struct fake_config){
		.inline_answers = true, .n_ns = 3, .mdts = 5, .mqes = 127, .vs = 0x20000};
}

static struct fake_ctrlr *to_fake(struct nvmux_ctrlr *ctrlr)
{
	return container_of(ctrlr, struct fake_ctrlr, base);
}

static enum fake_fault fault_now(struct fake_ctrlr *ctrlr)
{
	uint32_t n = ctrlr->ops++;

	fake.max_ops = MAX(fake.max_ops, ctrlr->ops);
	return fake.fault != FAKE_OK && n == fake.fault_at ? fake.fault : FAKE_OK;
}

static void answer_later(void *arg)
{
	struct fake_ctrlr *ctrlr = arg;
	nvmux_done_fn done = ctrlr->done;

	ctrlr->done = NULL;
	done(ctrlr->done_arg, ctrlr->done_err, ctrlr->done_value);
}

static void answer(struct nvmux_ctrlr *base, nvmux_done_fn done, void *arg, uint64_t value)
{
	struct fake_ctrlr *ctrlr = to_fake(base);
	enum fake_fault fault = fault_now(ctrlr);
	int err = fault == FAKE_ERROR ? nvmux_error(base->nvmux, -EIO, "fake failure") : 0;

	NVMUX_ASSERT(!ctrlr->done); /* one at a time, as the state machine has it */
	if (fault != FAKE_HANG && fake.inline_answers) {
		done(arg, err, value);
		return;
	}
	ctrlr->done = done;
	ctrlr->done_arg = arg;
	ctrlr->done_err = err;
	ctrlr->done_value = value;
	if (fault != FAKE_HANG)
		nvmux_timer_set(base->nvmux, &ctrlr->timer, 0, answer_later, ctrlr);
}

static int fake_alloc(struct nvmux *nvmux, const struct nvmux_trid *trid, struct nvmux_ctrlr **ret)
{
	struct fake_ctrlr *ctrlr = calloc(1, sizeof(*ctrlr));

	if (!ctrlr)
		return -ENOMEM;
	fake.last = ctrlr;
	*ret = &ctrlr->base;
	return 0;
}

static void fake_free(struct nvmux_ctrlr *ctrlr)
{
	NVMUX_ASSERT(!to_fake(ctrlr)->open);
	free(to_fake(ctrlr));
}

static void fake_open(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	int err = fake.open_error ? fake.open_error(ctrlr) : 0;

	to_fake(ctrlr)->open = true;
	fake.opened++;
	if (err) {
		done(arg, nvmux_error(ctrlr->nvmux, err, "fake failure to open"), 0);
		return;
	}
	answer(ctrlr, done, arg, 0);
}

/* Ends what is under way, as transports must. */
static void fake_close(struct nvmux_ctrlr *base, nvmux_done_fn done, void *arg)
{
	struct fake_ctrlr *ctrlr = to_fake(base);

	NVMUX_ASSERT(ctrlr->open);
	ctrlr->open = false;
	fake.closed++;
	nvmux_timer_cancel(base->nvmux, &ctrlr->timer);
	if (ctrlr->done) {
		ctrlr->done_err = -ECANCELED;
		answer_later(ctrlr);
	}
	done(arg, 0, 0);
}

static void fake_reg_read(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size,
			  nvmux_done_fn done, void *arg)
{
	uint64_t value = 0;

	if (fake.reg && fake.reg(ctrlr, true, offset, &value)) {
		answer(ctrlr, done, arg, value);
		return;
	}
	switch (offset) {
	case NVME_REG_CAP:
		value = fake.mqes | 1ull << 24 /* TO: 500 ms */ | 1ull << 37 /* NVM */ | fake.cap;
		break;
	case NVME_REG_VS: value = fake.vs; break;
	case NVME_REG_CC: value = to_fake(ctrlr)->cc; break;
	case NVME_REG_CSTS:
		value = (to_fake(ctrlr)->cc & 1) | fake.csts | fake.stuck;
		if (NVME_CC_SHN(to_fake(ctrlr)->cc))
			value |= NVME_CSTS_SHST_CMPLT << NVME_CSTS_SHST_SHIFT;
		break;
	}
	answer(ctrlr, done, arg, value);
}

static void fake_reg_write(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size,
			   uint64_t value, nvmux_done_fn done, void *arg)
{
	if (fake.reg)
		fake.reg(ctrlr, false, offset, &value);
	if (offset == NVME_REG_NSSR && value == 0x4e564d65) {
		fake.nssr++;
		to_fake(ctrlr)->cc = 0;
	}
	if (offset == NVME_REG_NSSR)
		fake.stuck = false;
	if (offset == NVME_REG_CC)
		fake.enables += (uint32_t)value & 1;
	if (offset == NVME_REG_CC)
		to_fake(ctrlr)->cc = (uint32_t)value;
	answer(ctrlr, done, arg, 0);
}

static void fake_mem_map(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
			 void *arg)
{
	answer(ctrlr, done, arg, 0);
}

static void fake_mem_unmap(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
			   void *arg)
{
	done(arg, 0, 0);
}

static void fake_qpair_create(struct nvmux_ctrlr *ctrlr, uint16_t qid, uint32_t entries,
			      struct nvmux_poll_group *group, nvmux_done_fn done, void *arg)
{
	struct fake_qpair *qpair;

	if (fault_now(to_fake(ctrlr)) == FAKE_ERROR) {
		done(arg, -ENOMEM, 0);
		return;
	}
	qpair = calloc(1, sizeof(*qpair));
	if (!qpair || nvmux_qpair_init(&qpair->base, ctrlr, qid, entries - 1)) {
		free(qpair);
		done(arg, -ENOMEM, 0);
		return;
	}
	qpair->io_fail_at = UINT32_MAX;
	done(arg, 0, (uintptr_t)qpair);
}

static void fake_qpair_destroy(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct fake_qpair *q = container_of(qpair, struct fake_qpair, base);

	nvmux_timer_cancel(qpair->ctrlr->nvmux, &q->timer);
	NVMUX_ASSERT(nvmux_qpair_outstanding(qpair) == 0);
	nvmux_qpair_fini(qpair);
	free(q);
	done(arg, 0, 0);
}

static void fake_qpair_connect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	if (qpair->id)
		container_of(qpair, struct fake_qpair, base)->n_ready = 0;
	answer(qpair->ctrlr, done, arg, 0);
}

static void fake_qpair_disconnect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	fake.deletes++;
	answer(qpair->ctrlr, done, arg, 0);
}

static void fake_adminq_regs(struct nvmux_ctrlr *ctrlr, uint32_t *aqa, uint64_t *asq, uint64_t *acq)
{
	*aqa = 0x1f001f;
	*asq = *acq = NVMUX_IOVA_BASE;
}

static void fill_identify(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf)
{
	struct nvme_id_ctrl *id = buf;
	struct nvme_id_ns *ns = buf;
	__le32 *list = buf;

	switch (le32_to_cpu(cmd->cdw10) & 0xff) {
	case NVME_IDENTIFY_CNS_CTRL:
		id->mdts = fake.mdts;
		id->sqes = 0x66;
		id->cqes = 0x44;
		id->nn = cpu_to_le32(fake.n_ns);
		break;
	case NVME_IDENTIFY_CNS_NS_ACTIVE_LIST:
		for (uint32_t i = 0; i < fake.n_ns; i++)
			list[i] = cpu_to_le32(2 * i + 1);
		break;
	case NVME_IDENTIFY_CNS_NS:
		ns->nsze = cpu_to_le64(1 << 20);
		ns->noiob = cpu_to_le16(fake.noiob);
		ns->lbaf[0].ds = 9;
		break;
	}
	if (fake.identify)
		fake.identify(ctrlr, cmd, buf);
}

static int fake_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		       const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	struct fake_qpair *q = container_of(qpair, struct fake_qpair, base);
	uint16_t cid = nvmux_qpair_take_cid(qpair, cb, arg), status = 0;
	uint32_t dw0 = 0;

	if (fake.command)
		fake.command(qpair->id == 0, cmd,
			     payload->n_data ? payload->data->mem->addr + payload->data->offset
					     : NULL,
			     payload->n_data ? payload->data->len : 0);
	if (qpair->id == 0) {
		enum fake_fault fault;

		fake.admin[cmd->opc]++;

		if (cmd->opc == nvme_admin_async_event) {
			fake.aers++;
			fake.aer_cid = cid;
			return 0;
		}
		fault = fault_now(to_fake(qpair->ctrlr));
		if (fault == FAKE_HANG)
			return 0;
		status = fault == FAKE_ERROR ? NVME_SC_INTERNAL : 0;
		if (status && cmd->opc == nvme_admin_identify) {
			uint8_t cns = (uint8_t)le32_to_cpu(cmd->cdw10);

			fake.tolerated = cns == NVME_IDENTIFY_CNS_NS ||
					 cns == NVME_IDENTIFY_CNS_NS_DESC_LIST ||
					 cns == NVME_IDENTIFY_CNS_CSI_CTRL;
		}
		if (cmd->opc == nvme_admin_identify && payload->n_data)
			fill_identify(qpair->ctrlr, cmd,
				      payload->data->mem->addr + payload->data->offset);
		if (cmd->opc == nvme_admin_get_log_page && fake.log_page && !status)
			status = fake.log_page(qpair->ctrlr, cmd,
					       payload->data->mem->addr + payload->data->offset,
					       payload->data_len);
		if (cmd->opc == nvme_admin_set_features)
			dw0 = 15u << 16 | 15;
		if (fake.admin_hook && !status && cmd->opc != nvme_admin_identify &&
		    cmd->opc != nvme_admin_get_log_page)
			status = fake.admin_hook(
				qpair->ctrlr, cmd,
				payload->n_data ? payload->data->mem->addr + payload->data->offset
						: NULL,
				payload->data_len, &dw0);
	} else {
		uint32_t n = q->n_cmds++;

		if (n < ARRAY_SIZE(q->cmds)) {
			q->cmds[n] = *cmd;
			if (payload->n_data)
				q->segs[n] = *payload->data;
			NVMUX_ASSERT(payload->n_data <= NVMUX_SEGS_MAX);
			q->payloads[n].n = payload->n_data;
			q->payloads[n].len = payload->data_len;
			for (uint32_t i = 0; i < payload->n_data; i++)
				q->payloads[n].segs[i] = payload->data[i];
			q->payloads[n].md = payload->md;
		}
		status = n == q->io_fail_at ? q->io_status : 0;
		NVMUX_ASSERT(qpair->depth <= ARRAY_SIZE(q->by_slot));
		q->by_slot[cid & qpair->cid_mask] = *cmd;
		if (q->n_drop) {
			q->n_drop--;
			return 0;
		}
	}
	NVMUX_ASSERT(q->n_ready < FAKE_HELD_MAX || q->hold);
	if (q->n_ready < FAKE_HELD_MAX)
		q->ready[q->n_ready++] = (struct nvmux_cpl){
			.cid = cpu_to_le16(cid),
			.dw0 = cpu_to_le32(dw0),
			.status = cpu_to_le16((uint16_t)(status << 1)),
		};
	return 0;
}

static const struct nvmux_cmd *fake_inflight(const struct nvmux_qpair *qpair, uint16_t index)
{
	return &container_of(qpair, struct fake_qpair, base)->by_slot[index];
}

static int fake_repost(struct nvmux_qpair *qpair, uint16_t index)
{
	struct fake_qpair *q = container_of(qpair, struct fake_qpair, base);
	uint16_t cid = nvmux_qpair_renew_cid(qpair, index);
	uint32_t n = q->n_cmds++;

	q->n_reposts++;
	if (n < ARRAY_SIZE(q->cmds))
		q->cmds[n] = q->by_slot[index];
	if (q->n_drop) {
		q->n_drop--;
		return 0;
	}
	q->ready[q->n_ready++] = (struct nvmux_cpl){
		.cid = cpu_to_le16(cid),
		.status = cpu_to_le16((uint16_t)(n == q->io_fail_at ? q->io_status << 1 : 0)),
	};
	return 0;
}

static void admin_interrupt(void *arg)
{
	struct fake_qpair *q = arg;

	q->due = true;
	nvmux_ctrlr_process_admin_completions(q->base.ctrlr);
}

static int fake_process(struct nvmux_qpair *qpair, uint32_t max)
{
	struct fake_qpair *q = container_of(qpair, struct fake_qpair, base);
	struct nvmux_cpl batch[FAKE_HELD_MAX];
	uint32_t n = q->hold ? 0 : q->n_ready;

	/* The admin queue answers with a later interrupt, like a device. */
	if (qpair->id == 0 && !fake.inline_answers && !q->due) {
		if (n)
			nvmux_timer_set(qpair->ctrlr->nvmux, &q->timer, 1, admin_interrupt, q);
		return 0;
	}
	q->due = false;
	if (max && n > max)
		n = max;
	memcpy(batch, q->ready, n * sizeof(batch[0]));
	memmove(q->ready, q->ready + n, (q->n_ready - n) * sizeof(batch[0]));
	q->n_ready -= n;
	for (uint32_t i = 0; i < n; i++)
		NVMUX_ASSERT(nvmux_qpair_complete(qpair, &batch[i]));
	return (int)n;
}

void fake_event(struct nvmux_ctrlr *ctrlr, uint32_t dw0)
{
	struct fake_qpair *q = container_of(ctrlr->adminq, struct fake_qpair, base);

	q->ready[q->n_ready++] = (struct nvmux_cpl){
		.cid = cpu_to_le16(fake.aer_cid),
		.dw0 = cpu_to_le32(dw0),
	};
	q->due = true;
	nvmux_ctrlr_process_admin_completions(ctrlr);
}

#define FAKE_OPS                                                                             \
	.trtype = NVMUX_TRTYPE_LOOPBACK, .ctrlr_alloc = fake_alloc, .ctrlr_free = fake_free, \
	.ctrlr_open = fake_open, .ctrlr_close = fake_close, .reg_read = fake_reg_read,       \
	.reg_write = fake_reg_write, .mem_map = fake_mem_map, .mem_unmap = fake_mem_unmap,   \
	.qpair_create = fake_qpair_create, .qpair_destroy = fake_qpair_destroy,              \
	.qpair_connect = fake_qpair_connect, .qpair_disconnect = fake_qpair_disconnect,      \
	.adminq_regs = fake_adminq_regs, .submit = fake_submit, .read = nvmux_rw_read,       \
	.write = nvmux_rw_write, .process = fake_process

const struct nvmux_transport fake_transport = {FAKE_OPS};

static void fake_function_reset(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	fake.function_resets++;
	fake.stuck = fake.stuck && fake.function_helpless;
	to_fake(ctrlr)->cc = 0;
	answer(ctrlr, done, arg, 0);
}

const struct nvmux_transport fake_resettable_transport = {
	FAKE_OPS,
	.inflight = fake_inflight,
	.repost = fake_repost,
	.function_reset = fake_function_reset,
};

const struct nvmux_transport fake_keeping_transport = {
	FAKE_OPS,
	.inflight = fake_inflight,
	.repost = fake_repost,
};
