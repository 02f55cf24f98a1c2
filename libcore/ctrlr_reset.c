// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a reset does when disabling or starting the controller fails: a state between the failed
 * step and the next attempt.
 *
 * Happy path: the function is reset by the transport, or the subsystem by NSSR (base specification
 * 2.0, section 3.7.1), which is over when CSTS.RDY reads 0; afterwards the controller does no DMA,
 * what its admin queue held ends, and disabling or starting begins anew.
 *
 * Failure modes: this kind isn't there or fails, too, or isn't answered: the next kind; when none
 * is left the controller is given up like after any failed step. Answers to earlier steps are stale
 * here. A device that has gone, or a controller that is being detached, isn't reset any more.
 */
#include <errno.h>

#include "faults.h"
#include "ctrlr_state.h"

#define NSSR_VALUE   0x4e564d65u /* "NVMe"; base specification 2.0, section 3.1.3.7 */
#define NSSR_POLL_MS 5

uint8_t ctrlr_reset_kinds(const struct nvmux_ctrlr *ctrlr)
{
	uint8_t kinds = 0;

	if (!revive_possible(ctrlr))
		return 0;
	if (ctrlr->transport->function_reset)
		kinds |= CTRLR_RESET_FUNCTION;
	if (NVME_CAP_NSSRC(ctrlr->cap))
		kinds |= CTRLR_RESET_SUBSYSTEM;
	return kinds;
}

static bool is_under_way(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->resets_left && !ctrlr->failed && !ctrlr->detaching &&
	       (ctrlr->state < CTRLR_READY || ctrlr->state == CTRLR_HARD_RESET);
}

bool ctrlr_can_reset_harder(const struct nvmux_ctrlr *ctrlr, int err)
{
	return is_under_way(ctrlr) && ctrlr->device_open &&
	       (err == -ETIMEDOUT || err == -EIO || err == -EPROTO || err == -EOPNOTSUPP ||
		err == -EREMOTEIO);
}

bool ctrlr_reset_expired(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->state == CTRLR_HARD_RESET)
		return true; /* which has a deadline of its own */
	if (!is_under_way(ctrlr) || ctrlr_is_resting(ctrlr))
		return false;
	ctrlr_step_done(ctrlr,
			nvmux_error(ctrlr->nvmux, -ETIMEDOUT, "%s: no answer in time while %s",
				    ctrlr->trid.traddr, ctrlr_state_name(ctrlr->state)),
			0);
	return true;
}

static void ended(struct nvmux_ctrlr *ctrlr, uint8_t kind, int err)
{
	/* not an answer that comes when it isn't waited for any more */
	if (ctrlr->state == CTRLR_HARD_RESET && ctrlr->resetting == kind)
		ctrlr_recover_step_done(ctrlr, err, 0);
}

static void function_ended(void *arg, int err, uint64_t value)
{
	(void)value;
	ended(arg, CTRLR_RESET_FUNCTION, err);
}

static void read_csts(void *arg);

/*
 * The write may be under way still, it asks for no answer: a controller that has been reset says
 * RDY=0. While its link comes up again registers read all ones.
 */
static void csts_read(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;
	uint32_t csts = (uint32_t)value;

	if (ctrlr->state != CTRLR_HARD_RESET || ctrlr->resetting != CTRLR_RESET_SUBSYSTEM)
		return;
	/* -ENODEV: what a transport makes of all ones */
	if (err == -ENODEV || (!err && (csts == UINT32_MAX || NVME_CSTS_RDY(csts))))
		nvmux_timer_set(ctrlr->nvmux, &ctrlr->poll_timer, NSSR_POLL_MS, read_csts, ctrlr);
	else
		ended(ctrlr, CTRLR_RESET_SUBSYSTEM, err);
}

static void read_csts(void *arg)
{
	struct nvmux_ctrlr *ctrlr = arg;

	transport_reg_read(ctrlr, NVME_REG_CSTS, 4, csts_read, ctrlr);
}

static void subsystem_ended(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;

	(void)value;
	if (err)
		ended(ctrlr, CTRLR_RESET_SUBSYSTEM, err);
	else if (ctrlr->state == CTRLR_HARD_RESET && ctrlr->resetting == CTRLR_RESET_SUBSYSTEM)
		read_csts(ctrlr);
}

void ctrlr_enter_hard_reset(struct nvmux_ctrlr *ctrlr)
{
	bool function = ctrlr->resets_left & CTRLR_RESET_FUNCTION;

	/* What it holds is stale, and must not end a later step. */
	nvmux_qpair_set_state(ctrlr->adminq, NVMUX_QPAIR_DISCONNECTED);
	ctrlr->resetting = function ? CTRLR_RESET_FUNCTION : CTRLR_RESET_SUBSYSTEM;
	ctrlr->resets_left &= (uint8_t)~ctrlr->resetting;
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr", "%s: %s", ctrlr->trid.traddr,
		  ladder_rung_name(function ? LADDER_FUNCTION : LADDER_SUBSYSTEM));
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->poll_timer);
	ctrlr_restart_deadline(ctrlr); /* the second kind has one, too */
	if (function)
		ctrlr->transport->function_reset(ctrlr, function_ended, ctrlr);
	else
		transport_reg_write(ctrlr, NVME_REG_NSSR, 4, NSSR_VALUE, subsystem_ended, ctrlr);
}

int ctrlr_finish_hard_reset(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_qpair *qpair;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link)
		qpair->live = false;
	ctrlr_admin_abort_all(ctrlr, NVME_SC_ABORT_QUEUE);
	ctrlr_admin_drop_ana(ctrlr);
	ctrlr_drop_scan(ctrlr);
	ctrlr->resetting = 0;
	return ctrlr->disconnecting ? CTRLR_DISABLE : CTRLR_CONNECT_ADMINQ;
}
