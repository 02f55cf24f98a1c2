// SPDX-License-Identifier: BSD-3-Clause
/*
 * The steps from an address to a controller that is ready, and from there to disabled and back.
 *
 * Happy path: the states of ctrlr_state.h in their order (base specification 2.0, section 3.5.1).
 * Failure modes: registers that read all ones (the device has gone, -ENODEV), a controller that
 * can't be driven (-EOPNOTSUPP with the reason), CSTS.CFS (-EIO), a command that fails (-EIO).
 */
#include <errno.h>
#include <string.h>

#include "numa.h"
#include "recover.h"

#define ALL_ONES_32    0xffffffffu
#define POLL_MS_MAX    10u
#define SMART_WARNINGS 0x1fu /* all critical warnings of SMART / Health */

static void reg_read(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size)
{
	transport_reg_read(ctrlr, offset, size, ctrlr_step_done, ctrlr);
}

static void reg_write(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size, uint64_t value)
{
	transport_reg_write(ctrlr, offset, size, value, ctrlr_step_done, ctrlr);
}

void ctrlr_enter_open(struct nvmux_ctrlr *ctrlr)
{
	transport_open(ctrlr, ctrlr_step_done, ctrlr);
}

void ctrlr_enter_create_adminq(struct nvmux_ctrlr *ctrlr)
{
	ctrlr->max_segs = MAX(ctrlr->max_segs, 1u); /* as the transport has set it */
	transport_qpair_create(ctrlr, 0, ctrlr->opts.admin_queue_depth, NULL, ctrlr_step_done,
			       ctrlr);
}

int ctrlr_finish_create_adminq(struct nvmux_ctrlr *ctrlr)
{
	ctrlr->adminq = (struct nvmux_qpair *)(uintptr_t)ctrlr->step_value;
	return CTRLR_CONNECT_ADMINQ;
}

void ctrlr_enter_connect_adminq(struct nvmux_ctrlr *ctrlr)
{
	transport_qpair_connect(ctrlr->adminq, ctrlr_step_done, ctrlr);
}

int ctrlr_finish_connect_adminq(struct nvmux_ctrlr *ctrlr)
{
	nvmux_qpair_set_state(ctrlr->adminq, NVMUX_QPAIR_CONNECTED);
	return CTRLR_READ_VS;
}

void ctrlr_enter_read_vs(struct nvmux_ctrlr *ctrlr)
{
	reg_read(ctrlr, NVME_REG_VS, 4);
}

static int gone(struct nvmux_ctrlr *ctrlr, const char *reg)
{
	return nvmux_error(ctrlr->nvmux, -ENODEV,
			   "%s: %s reads all ones: the device doesn't answer or has gone",
			   ctrlr->trid.traddr, reg);
}

int ctrlr_finish_read_vs(struct nvmux_ctrlr *ctrlr)
{
	ctrlr->vs = (uint32_t)ctrlr->step_value;
	if (ctrlr->vs == ALL_ONES_32)
		return gone(ctrlr, "VS");
	return CTRLR_READ_CAP;
}

void ctrlr_enter_read_cap(struct nvmux_ctrlr *ctrlr)
{
	reg_read(ctrlr, NVME_REG_CAP, 8);
}

/* Of the registers that only a memory-based controller has, and it not always, the next one to be
 * read; 0: none. CMBSZ is older than the bit that announces it. */
static uint32_t next_reg(struct nvmux_ctrlr *ctrlr)
{
	uint64_t cap = ctrlr->cap;
	bool cmb = ctrlr->vs < CTRLR_VERSION(1, 4) ? ctrlr->vs >= CTRLR_VERSION(1, 2)
						   : NVME_CAP_CMBS(cap);

	if (!ctrlr->transport->adminq_regs)
		return 0;
	for (; ctrlr->regs_read < 3; ctrlr->regs_read++) {
		if (ctrlr->regs_read == 0 && cmb)
			return NVME_REG_CMBSZ;
		if (ctrlr->regs_read == 1 && NVME_CAP_PMRS(cap))
			return NVME_REG_PMRCAP;
		if (ctrlr->regs_read == 2 && NVME_CAP_BPS(cap))
			return NVME_REG_BPINFO;
	}
	return 0;
}

int ctrlr_finish_read_cap(struct nvmux_ctrlr *ctrlr)
{
	uint64_t cap = ctrlr->step_value;

	if (cap == UINT64_MAX)
		return gone(ctrlr, "CAP");
	if (NVME_CAP_MPSMIN(cap) > 0)
		return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
				   "%s: CAP.MPSMIN is %u: memory pages of 4 KiB aren't supported",
				   ctrlr->trid.traddr, (unsigned)NVME_CAP_MPSMIN(cap));
	if (!(NVME_CAP_CSS(cap) & (NVME_CAP_CSS_NVM | NVME_CAP_CSS_CSI)) && !ctrlr->discovery)
		return nvmux_error(
			ctrlr->nvmux, -EOPNOTSUPP,
			"%s: CAP.CSS is %#x: no NVM command set (not an I/O controller?)",
			ctrlr->trid.traddr, (unsigned)NVME_CAP_CSS(cap));
	if (NVME_CAP_MQES(cap) < 1)
		return nvmux_error(ctrlr->nvmux, -EPROTO,
				   "%s: CAP.MQES is 0; the specification wants at least 1",
				   ctrlr->trid.traddr);
	if (ctrlr->opts.arbitration && !(ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED) &&
	    !(NVME_CAP_AMS(cap) & NVME_CAP_AMS_WRR))
		return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
				   "%s: arbitration is 1, but the controller has no weighted round "
				   "robin (CAP.AMS is %u)",
				   ctrlr->trid.traddr, (unsigned)NVME_CAP_AMS(cap));
	ctrlr->cap = cap;
	if (!(ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED))
		ctrlr->max_queue_entries = (uint32_t)NVME_CAP_MQES(cap) + 1;
	ctrlr->regs_read = 0;
	return next_reg(ctrlr) ? CTRLR_READ_REGS : CTRLR_READ_CC;
}

void ctrlr_enter_read_regs(struct nvmux_ctrlr *ctrlr)
{
	reg_read(ctrlr, next_reg(ctrlr), 4);
}

int ctrlr_finish_read_regs(struct nvmux_ctrlr *ctrlr)
{
	uint32_t value = (uint32_t)ctrlr->step_value;

	if (value == ALL_ONES_32)
		return gone(ctrlr, "a register");
	switch (next_reg(ctrlr)) {
	case NVME_REG_CMBSZ: ctrlr->cmbsz = value; break;
	case NVME_REG_PMRCAP: ctrlr->pmrcap = value; break;
	case NVME_REG_BPINFO: ctrlr->bpinfo = value; break;
	}
	ctrlr->regs_read++;
	return next_reg(ctrlr) ? CTRLR_READ_REGS : CTRLR_READ_CC;
}

void ctrlr_enter_read_cc(struct nvmux_ctrlr *ctrlr)
{
	reg_read(ctrlr, NVME_REG_CC, 4);
}

int ctrlr_finish_read_cc(struct nvmux_ctrlr *ctrlr)
{
	ctrlr->cc = (uint32_t)ctrlr->step_value;
	if (ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED)
		return CTRLR_CREATE_POOL;
	if (ctrlr->cc == ALL_ONES_32)
		return gone(ctrlr, "CC");
	return NVME_CC_EN(ctrlr->cc) ? CTRLR_WAIT_ENABLED : CTRLR_WAIT_DISABLED;
}

static void look_at_csts(void *arg)
{
	reg_read(arg, NVME_REG_CSTS, 4);
}

/* The first look is at once, the later ones after 1, 2, 4, 8, 10, 10, … ms. */
void ctrlr_enter_wait_csts(struct nvmux_ctrlr *ctrlr)
{
	uint32_t delay = ctrlr->poll_ms;

	ctrlr->poll_ms = MIN(delay ? delay * 2 : 1, POLL_MS_MAX);
	if (!delay)
		look_at_csts(ctrlr);
	else
		nvmux_timer_set(ctrlr->nvmux, &ctrlr->poll_timer, delay, look_at_csts, ctrlr);
}

/* Keep what was read; -ENODEV when the device has gone. */
static int take_csts(struct nvmux_ctrlr *ctrlr)
{
	ctrlr->csts = (uint32_t)ctrlr->step_value;
	return ctrlr->csts == ALL_ONES_32 ? gone(ctrlr, "CSTS") : 0;
}

int ctrlr_finish_wait_enabled(struct nvmux_ctrlr *ctrlr)
{
	int err = take_csts(ctrlr);

	if (err)
		return err;
	/* With a fatal status RDY may never come; disabling is what helps. */
	if (NVME_CSTS_RDY(ctrlr->csts) || NVME_CSTS_CFS(ctrlr->csts))
		return CTRLR_DISABLE;
	return CTRLR_WAIT_ENABLED;
}

void ctrlr_enter_disable(struct nvmux_ctrlr *ctrlr)
{
	ctrlr->cc &= ~(uint32_t)(NVME_CC_EN_MASK << NVME_CC_EN_SHIFT);
	reg_write(ctrlr, NVME_REG_CC, 4, ctrlr->cc);
}

int ctrlr_finish_disable(struct nvmux_ctrlr *ctrlr)
{
	return CTRLR_WAIT_DISABLED;
}

int ctrlr_finish_wait_disabled(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_qpair *qpair;
	int err = take_csts(ctrlr);

	if (err)
		return err;
	if (NVME_CSTS_RDY(ctrlr->csts))
		return CTRLR_WAIT_DISABLED;
	/* Before a renewal, in which queue pairs are dealt with by their owners. */
	if (recover_renewing(ctrlr))
		return CTRLR_QUIESCE;
	/* From now on the controller does no DMA; what its admin queue held is lost. */
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link)
		qpair->live = false;
	if (ctrlr->disconnecting) {
		nvmux_qpair_set_state(ctrlr->adminq, NVMUX_QPAIR_DISCONNECTED);
		ctrlr_admin_abort_all(ctrlr, NVME_SC_ABORT_QUEUE);
		return CTRLR_DISABLED;
	}
	return ctrlr->transport->adminq_regs ? CTRLR_SET_AQA : CTRLR_ENABLE;
}

static void adminq_regs(struct nvmux_ctrlr *ctrlr, uint32_t *aqa, uint64_t *asq, uint64_t *acq)
{
	ctrlr->transport->adminq_regs(ctrlr, aqa, asq, acq);
}

void ctrlr_enter_set_aqa(struct nvmux_ctrlr *ctrlr)
{
	uint32_t aqa;
	uint64_t asq, acq;

	adminq_regs(ctrlr, &aqa, &asq, &acq);
	reg_write(ctrlr, NVME_REG_AQA, 4, aqa);
}

void ctrlr_enter_set_asq(struct nvmux_ctrlr *ctrlr)
{
	uint32_t aqa;
	uint64_t asq, acq;

	adminq_regs(ctrlr, &aqa, &asq, &acq);
	reg_write(ctrlr, NVME_REG_ASQ, 8, asq);
}

void ctrlr_enter_set_acq(struct nvmux_ctrlr *ctrlr)
{
	uint32_t aqa;
	uint64_t asq, acq;

	adminq_regs(ctrlr, &aqa, &asq, &acq);
	reg_write(ctrlr, NVME_REG_ACQ, 8, acq);
}

void ctrlr_enter_enable(struct nvmux_ctrlr *ctrlr)
{
	uint32_t css = NVME_CAP_CSS(ctrlr->cap) & NVME_CAP_CSS_NVM ? NVME_CC_CSS_NVM
								   : NVME_CC_CSS_ADMIN;

	uint32_t ams = NVME_CC_AMS_RR;

	if (NVME_CAP_CSS(ctrlr->cap) & NVME_CAP_CSS_CSI && !ctrlr->discovery)
		css = NVME_CC_CSS_CSI;
	if (ctrlr->opts.arbitration)
		ams = NVME_CC_AMS_WRRU;
	/* All command sets, or the NVM command set (a discovery controller may have none), 4 KiB
	 * pages, arbitration; entries of 64 and 16 bytes. Section 3.1.3.5. */
	ctrlr->cc = 1u << NVME_CC_EN_SHIFT | css << NVME_CC_CSS_SHIFT |
		    ams << NVME_CC_AMS_SHIFT | 6u << NVME_CC_IOSQES_SHIFT |
		    4u << NVME_CC_IOCQES_SHIFT;
	reg_write(ctrlr, NVME_REG_CC, 4, ctrlr->cc);
}

int ctrlr_finish_wait_ready(struct nvmux_ctrlr *ctrlr)
{
	int err = take_csts(ctrlr);

	if (err)
		return err;
	if (NVME_CSTS_CFS(ctrlr->csts))
		return nvmux_error(ctrlr->nvmux, -EIO,
				   "%s: CSTS.CFS: the controller reports a fatal status",
				   ctrlr->trid.traddr);
	if (!NVME_CSTS_RDY(ctrlr->csts))
		return CTRLR_WAIT_READY;
	/* Keep-alives from now on: a controller that isn't enabled refuses them. */
	recover_connected(ctrlr);
	return CTRLR_CREATE_POOL;
}

static void pool_mapped(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;

	ctrlr_step_done(ctrlr, err, (uintptr_t)ctrlr->admin_pool);
}

/* Bounce buffers for admin data; they survive a reset. */
void ctrlr_enter_create_pool(struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux_transport *transport = ctrlr->transport;
	size_t size = NVMUX_ADMIN_POOL_PAGES * NVMUX_PAGE_SIZE;
	int err;

	if (ctrlr->admin_pool) {
		pool_mapped(ctrlr, 0, 0);
		return;
	}
	if (transport->mem_alloc) {
		transport->mem_alloc(ctrlr, size, 0, ctrlr_step_done, ctrlr);
		return;
	}
	err = nvmux_mem_create_for(ctrlr, size, 0, &ctrlr->admin_pool);
	if (err)
		ctrlr_step_done(ctrlr, err, 0);
	else
		nvmux_mem_map_async(ctrlr->admin_pool, ctrlr, pool_mapped, ctrlr);
}

int ctrlr_finish_create_pool(struct nvmux_ctrlr *ctrlr)
{
	ctrlr->admin_pool = (struct nvmux_mem *)(uintptr_t)ctrlr->step_value;
	return CTRLR_IDENTIFY;
}

/* Send a command of the start sequence; a refusal ends the step like an answer would. */
static void admin_step(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf,
		       uint32_t len)
{
	int err = nvmux_ctrlr_admin(ctrlr, cmd, buf, len, ctrlr_step_cpl, ctrlr);

	if (err)
		ctrlr_step_done(ctrlr, err, 0);
}

void ctrlr_enter_identify(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_identify,
		.cdw10 = cpu_to_le32(NVME_IDENTIFY_CNS_CTRL),
	};

	admin_step(ctrlr, &cmd, &ctrlr->id, sizeof(ctrlr->id));
}

#define CNTRLTYPE_DISCOVERY 2

/*
 * The limits of capsules: IOCCSZ and IORCSZ in units of 16 bytes, ICDOFF, MAXCMD. Base
 * specification 2.0, figure 275. One data descriptor is all that is sent, so any MSDBD will do.
 */
static int take_fabrics(struct nvmux_ctrlr *ctrlr)
{
	uint32_t ioccsz = le32_to_cpu(ctrlr->id.ioccsz), iorcsz = le32_to_cpu(ctrlr->id.iorcsz);
	uint16_t maxcmd = le16_to_cpu(ctrlr->id.maxcmd);

	if (ctrlr->discovery)
		return 0;
	if (ioccsz < 4 || iorcsz < 1)
		return nvmux_error(ctrlr->nvmux, -EPROTO,
				   "%s: IOCCSZ is %u, IORCSZ is %u; capsules of 64 and 16 bytes "
				   "want at least 4 and 1",
				   ctrlr->trid.traddr, ioccsz, iorcsz);
	/* Data at another place than behind the command would need room of their own. */
	ctrlr->in_capsule = le16_to_cpu(ctrlr->id.icdoff) ? 0 : (MIN(ioccsz, 4u + 65536) - 4) * 16;
	if (maxcmd)
		ctrlr->max_queue_entries = MIN(ctrlr->max_queue_entries, maxcmd + 1u);
	return 0;
}

int ctrlr_finish_identify(struct nvmux_ctrlr *ctrlr)
{
	bool managed = ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED;
	uint32_t limit = managed && ctrlr->max_transfer ? ctrlr->max_transfer : NVMUX_XFER_MAX;
	int err;

	if (nvmux_ctrlr_is_fabrics(ctrlr) && ctrlr->id.cntrltype == CNTRLTYPE_DISCOVERY)
		ctrlr->discovery = true;
	err = ctrlr_check_identify(ctrlr);
	if (err)
		return err;
	/* MDTS is a power of two in units of the minimum page; 20 is beyond any limit of ours. */
	if (ctrlr->id.mdts && ctrlr->id.mdts < 20)
		limit = MIN(limit, NVMUX_PAGE_SIZE << ctrlr->id.mdts);
	ctrlr->max_transfer = limit;
	if (nvmux_ctrlr_is_fabrics(ctrlr)) {
		err = take_fabrics(ctrlr);
		if (err)
			return err;
	}
	recover_identified(ctrlr);
	ctrlr_forget_offers(ctrlr);
	if (ctrlr->discovery)
		return CTRLR_AER;
	return managed ? ctrlr_limits_or_next(ctrlr) : CTRLR_NUM_QUEUES;
}

static void arbitration_set(void *arg, const struct nvmux_cpl *cpl)
{
	const struct nvmux_ctrlr *ctrlr = arg;

	if (nvmux_cpl_is_error(cpl))
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
			  "%s: its own weights of arbitration stay: %s", ctrlr->trid.traddr,
			  nvmux_status_string(nvmux_cpl_status(cpl)));
}

/* Weights are 0's based. Base specification 2.0, section 5.27.1.1. */
static void set_arbitration(struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux_ctrlr_opts *opts = &ctrlr->opts;
	const struct nvmux_cmd cmd = {
		.opc = nvme_admin_set_features,
		.cdw10 = cpu_to_le32(NVME_FEAT_FID_ARBITRATION),
		.cdw11 = cpu_to_le32((opts->high_weight - 1) << 24 |
				     (opts->medium_weight - 1) << 16 |
				     (opts->low_weight - 1) << 8 | opts->arbitration_burst),
	};

	nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, arbitration_set, ctrlr);
}

void ctrlr_enter_num_queues(struct nvmux_ctrlr *ctrlr)
{
	uint32_t n = ctrlr->opts.num_io_queues - 1; /* 0's based, in both halves */
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_set_features,
		.cdw10 = cpu_to_le32(NVME_FEAT_FID_NUM_QUEUES),
		.cdw11 = cpu_to_le32(n << 16 | n),
	};

	if (ctrlr->opts.arbitration)
		set_arbitration(ctrlr);
	admin_step(ctrlr, &cmd, NULL, 0);
}

int ctrlr_finish_num_queues(struct nvmux_ctrlr *ctrlr)
{
	uint32_t sqs = (uint32_t)(ctrlr->step_value & 0xffff) + 1;
	uint32_t cqs = (uint32_t)(ctrlr->step_value >> 16 & 0xffff) + 1;

	uint32_t limit = ctrlr->opts.num_io_queues;

	/* After a reset a controller may grant more; what was counted on stays the limit. */
	if (ctrlr->qids_used)
		limit = MIN(limit, ctrlr->max_io_qpairs);
	ctrlr->max_io_qpairs = MIN(MIN(sqs, cqs), limit);
	return ctrlr_hmb_or_next(ctrlr);
}

/* What there is to be told, where Identify Controller (OAES) offers it: the bits are the same. */
#define NOTICES                                                                                    \
	((uint32_t)NVME_CTRL_OAES_NA | NVME_CTRL_OAES_FA | NVME_CTRL_OAES_ANA |                    \
	 NVME_CTRL_OAES_PLEA | NVME_CTRL_OAES_LBAS | NVME_CTRL_OAES_EGE | NVME_CTRL_OAES_ZD |      \
	 (uint32_t)NVME_CTRL_OAES_DL)

/*
 * Ask for the notices that the controller has, whose reset default is its own choice, and for SMART
 * warnings. Section 5.27.1.8. Events of a controller that somebody else
 * manages go to its manager.
 */
void ctrlr_enter_aer(struct nvmux_ctrlr *ctrlr)
{
	uint32_t notices = le32_to_cpu(ctrlr->id.oaes) & NOTICES;
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_set_features,
		.cdw10 = cpu_to_le32(NVME_FEAT_FID_ASYNC_EVENT),
		.cdw11 = cpu_to_le32(notices | (ctrlr->discovery ? 0 : SMART_WARNINGS)),
	};
	int err;

	if (ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED || !notices || ctrlr->rescanning) {
		ctrlr_step_done(ctrlr, 0, 0);
		return;
	}
	/* A refusal leaves it at the controller's own choice. */
	err = nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, ctrlr_step_cpl_any, ctrlr);
	if (err)
		ctrlr_step_done(ctrlr, err, 0);
}

int ctrlr_finish_aer(struct nvmux_ctrlr *ctrlr)
{
	uint32_t n = ctrlr->max_io_qpairs;

	/* Answers come when there are events; nothing to wait for. */
	if (!(ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED) && !ctrlr->rescanning)
		ctrlr_admin_start_aers(ctrlr);

	ctrlr->opts.io_queue_depth = MIN(ctrlr->opts.io_queue_depth, ctrlr->max_queue_entries);
	ctrlr->opts.num_io_queues = MIN(ctrlr->opts.num_io_queues, n);
	if (!ctrlr->qids_used)
		ctrlr->qids_used = calloc((size_t)n + 1, 1);
	return ctrlr->qids_used ? ctrlr_next_offer(ctrlr) : -ENOMEM;
}

/* Access states of the namespaces; without them all are taken as reachable. */
void ctrlr_enter_ana_log(struct nvmux_ctrlr *ctrlr)
{
	int err;

	ctrlr->step_status = 0;
	if (ctrlr->discovery || !nvmux_ana_supported(ctrlr)) {
		ctrlr_step_done(ctrlr, 0, 0);
		return;
	}
	err = ctrlr_admin_read_ana(ctrlr, ctrlr_step_cpl_any, ctrlr);
	ctrlr->ana_step = !err;
	if (err == -EALREADY) { /* after a notice: once more when that is done */
		ctrlr->ana_again = true;
		err = 0;
	}
	if (!ctrlr->ana_step)
		ctrlr_step_done(ctrlr, err, 0);
}

int ctrlr_finish_ana_log(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->ana_step) {
		bool again = ctrlr->ana_again;

		ctrlr_admin_take_ana(ctrlr, ctrlr->step_status);
		if (again)
			ctrlr_admin_refresh_ana(ctrlr);
	}
	ctrlr->rescanning = false;
	return recover_active(ctrlr) ? CTRLR_RECONNECT_QPAIRS : CTRLR_READY;
}
