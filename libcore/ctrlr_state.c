// SPDX-License-Identifier: BSD-3-Clause
/*
 * The driver of a controller's life cycle: one table, one loop.
 *
 * Happy path: ctrlr_go() enters a state, whose step ends with ctrlr_step_done(); the loop calls
 * the state's finish function, checks that the transition is declared, and enters the next one,
 * until a state without a step is reached; then whoever asked is told.
 *
 * Failure modes: a step that fails, a deadline that passes, a device that goes away: all go to
 * CLOSE, where the transport lets go of the device and ends what was under way; answers that come
 * in meanwhile are dropped. The first error is the result.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "recover.h"

#define TO(s) (1ull << CTRLR_##s)

static const struct ctrlr_state_desc states[CTRLR_STATE_COUNT] = {
	[CTRLR_NEW] = {.name = "new"},
	[CTRLR_OPEN] = {"opening", ctrlr_enter_open, ctrlr_finish_to_next, TO(CREATE_ADMINQ),
			DEADLINE_ADMIN},
	[CTRLR_CREATE_ADMINQ] = {"creating the admin queue", ctrlr_enter_create_adminq,
				 ctrlr_finish_create_adminq, TO(CONNECT_ADMINQ), DEADLINE_ADMIN},
	[CTRLR_CONNECT_ADMINQ] = {"connecting the admin queue", ctrlr_enter_connect_adminq,
				  ctrlr_finish_connect_adminq, TO(READ_VS), DEADLINE_ADMIN},
	[CTRLR_READ_VS] = {"reading VS", ctrlr_enter_read_vs, ctrlr_finish_read_vs, TO(READ_CAP),
			   DEADLINE_ADMIN},
	[CTRLR_READ_CAP] = {"reading CAP", ctrlr_enter_read_cap, ctrlr_finish_read_cap,
			    TO(READ_REGS) | TO(READ_CC), DEADLINE_ADMIN},
	[CTRLR_READ_REGS] = {"reading registers", ctrlr_enter_read_regs, ctrlr_finish_read_regs,
			     TO(READ_REGS) | TO(READ_CC), DEADLINE_ADMIN},
	[CTRLR_READ_CC] = {"reading CC", ctrlr_enter_read_cc, ctrlr_finish_read_cc,
			   TO(WAIT_ENABLED) | TO(WAIT_DISABLED) | TO(CREATE_POOL), DEADLINE_ADMIN},
	[CTRLR_WAIT_ENABLED] = {"waiting for RDY=1 before disabling", ctrlr_enter_wait_csts,
				ctrlr_finish_wait_enabled, TO(WAIT_ENABLED) | TO(DISABLE),
				DEADLINE_READY},
	[CTRLR_DISABLE] = {"disabling", ctrlr_enter_disable, ctrlr_finish_disable,
			   TO(WAIT_DISABLED), DEADLINE_ADMIN},
	[CTRLR_WAIT_DISABLED] = {"waiting for RDY=0", ctrlr_enter_wait_csts,
				 ctrlr_finish_wait_disabled,
				 TO(WAIT_DISABLED) | TO(DISABLED) | TO(SET_AQA) | TO(ENABLE) |
					 TO(QUIESCE),
				 DEADLINE_READY},
	[CTRLR_DISABLED] = {.name = "disabled"},
	[CTRLR_SET_AQA] = {"setting AQA", ctrlr_enter_set_aqa, ctrlr_finish_to_next, TO(SET_ASQ),
			   DEADLINE_ADMIN},
	[CTRLR_SET_ASQ] = {"setting ASQ", ctrlr_enter_set_asq, ctrlr_finish_to_next, TO(SET_ACQ),
			   DEADLINE_ADMIN},
	[CTRLR_SET_ACQ] = {"setting ACQ", ctrlr_enter_set_acq, ctrlr_finish_to_next, TO(ENABLE),
			   DEADLINE_ADMIN},
	[CTRLR_ENABLE] = {"enabling", ctrlr_enter_enable, ctrlr_finish_to_next, TO(WAIT_READY),
			  DEADLINE_ADMIN},
	[CTRLR_WAIT_READY] = {"waiting for RDY=1", ctrlr_enter_wait_csts, ctrlr_finish_wait_ready,
			      TO(WAIT_READY) | TO(CREATE_POOL), DEADLINE_READY},
	[CTRLR_CREATE_POOL] = {"making admin buffers", ctrlr_enter_create_pool,
			       ctrlr_finish_create_pool, TO(IDENTIFY), DEADLINE_ADMIN},
	[CTRLR_IDENTIFY] = {"identifying the controller", ctrlr_enter_identify,
			    ctrlr_finish_identify,
			    TO(NUM_QUEUES) | TO(LIMITS) | TO(ACTIVE_NS) | TO(AER), DEADLINE_ADMIN},
	[CTRLR_NUM_QUEUES] = {"setting the number of queues", ctrlr_enter_num_queues,
			      ctrlr_finish_num_queues,
			      TO(HMB) | TO(PREPARE) | TO(HOST_ID) | TO(LIMITS) | TO(ACTIVE_NS),
			      DEADLINE_ADMIN},
	[CTRLR_HMB] = {"giving it host memory", ctrlr_enter_hmb, ctrlr_finish_hmb,
		       TO(PREPARE) | TO(HOST_ID) | TO(LIMITS) | TO(ACTIVE_NS), DEADLINE_ADMIN},
	[CTRLR_PREPARE] = {"preparing the transport", ctrlr_enter_prepare, ctrlr_finish_prepare,
			   TO(HOST_ID) | TO(LIMITS) | TO(ACTIVE_NS), DEADLINE_ADMIN},
	[CTRLR_HOST_ID] = {"telling it the host's identifier", ctrlr_enter_host_id,
			   ctrlr_finish_host_id, TO(LIMITS) | TO(ACTIVE_NS), DEADLINE_ADMIN},
	[CTRLR_LIMITS] = {"reading limits of the NVM command set", ctrlr_enter_limits,
			  ctrlr_finish_limits, TO(ACTIVE_NS), DEADLINE_ADMIN},
	[CTRLR_ACTIVE_NS] = {"listing namespaces", ctrlr_enter_active_ns, ctrlr_finish_active_ns,
			     TO(IDENTIFY_NS) | TO(AER), DEADLINE_ADMIN},
	[CTRLR_IDENTIFY_NS] = {"identifying a namespace", ctrlr_enter_identify_ns,
			       ctrlr_finish_identify_ns,
			       TO(IDENTIFY_NS) | TO(NS_DESC) | TO(NS_NVM) | TO(AER),
			       DEADLINE_ADMIN},
	[CTRLR_NS_DESC] = {"reading namespace descriptors", ctrlr_enter_ns_desc,
			   ctrlr_finish_ns_desc,
			   TO(IDENTIFY_NS) | TO(NS_NVM) | TO(NS_ZNS) | TO(AER), DEADLINE_ADMIN},
	[CTRLR_NS_NVM] = {"reading a namespace's guard format", ctrlr_enter_ns_nvm,
			  ctrlr_finish_ns_nvm, TO(IDENTIFY_NS) | TO(NS_ZNS) | TO(AER),
			  DEADLINE_ADMIN},
	[CTRLR_NS_ZNS] = {"identifying a zoned namespace", ctrlr_enter_ns_zns, ctrlr_finish_ns_zns,
			  TO(IDENTIFY_NS) | TO(ZNS_CTRL) | TO(AER), DEADLINE_ADMIN},
	[CTRLR_ZNS_CTRL] = {"identifying the zoned command set", ctrlr_enter_zns_ctrl,
			    ctrlr_finish_zns_ctrl, TO(IDENTIFY_NS) | TO(AER), DEADLINE_ADMIN},
	[CTRLR_AER] = {"requesting events", ctrlr_enter_aer, ctrlr_finish_aer,
		       TO(OFFERS) | TO(ANA_LOG), DEADLINE_ADMIN},
	[CTRLR_OFFERS] = {"reading what it supports", ctrlr_enter_offers, ctrlr_finish_offers,
			  TO(OFFERS) | TO(ANA_LOG), DEADLINE_ADMIN},
	[CTRLR_ANA_LOG] = {"reading access states", ctrlr_enter_ana_log, ctrlr_finish_ana_log,
			   TO(READY) | TO(RECONNECT_QPAIRS), DEADLINE_ADMIN},
	[CTRLR_READY] = {.name = "ready"},
	[CTRLR_QUIESCE] = {"stopping queue pairs", ctrlr_enter_quiesce, ctrlr_finish_quiesce,
			   TO(RECONNECT_WAIT), DEADLINE_NONE},
	[CTRLR_RECONNECT_WAIT] = {"waiting to connect again", ctrlr_enter_reconnect_wait,
				  ctrlr_finish_reconnect_wait, TO(CONNECT_ADMINQ), DEADLINE_NONE},
	[CTRLR_RECONNECT_QPAIRS] = {"connecting I/O queue pairs again",
				    ctrlr_enter_reconnect_qpairs, ctrlr_finish_reconnect_qpairs,
				    TO(RECONNECT_QPAIRS) | TO(READY), DEADLINE_ADMIN},
	[CTRLR_HARD_RESET] = {"resetting harder", ctrlr_enter_hard_reset, ctrlr_finish_hard_reset,
			      TO(DISABLE) | TO(CONNECT_ADMINQ), DEADLINE_ADMIN},
	[CTRLR_FREE_QPAIRS] = {"freeing queue pairs", ctrlr_enter_free_qpairs,
			       ctrlr_finish_free_qpairs,
			       TO(FREE_QPAIRS) | TO(HMB_OFF) | TO(SHUTDOWN) | TO(FREE_POOL) |
				       TO(CLOSED),
			       DEADLINE_ADMIN},
	[CTRLR_HMB_OFF] = {"taking host memory back", ctrlr_enter_hmb_off, ctrlr_finish_hmb_off,
			   TO(SHUTDOWN) | TO(FREE_POOL), DEADLINE_ADMIN},
	[CTRLR_SHUTDOWN] = {"shutting down", ctrlr_enter_shutdown, ctrlr_finish_to_next,
			    TO(WAIT_SHUTDOWN), DEADLINE_ADMIN},
	[CTRLR_WAIT_SHUTDOWN] = {"waiting for the end of shutdown", ctrlr_enter_wait_csts,
				 ctrlr_finish_wait_shutdown, TO(WAIT_SHUTDOWN) | TO(FREE_POOL),
				 DEADLINE_SHUTDOWN},
	[CTRLR_FREE_POOL] = {"freeing admin buffers", ctrlr_enter_free_pool, ctrlr_finish_to_next,
			     TO(CLOSE), DEADLINE_ADMIN},
	[CTRLR_CLOSE] = {"closing", ctrlr_enter_close, ctrlr_finish_close, TO(DESTROY_ADMINQ),
			 DEADLINE_NONE},
	[CTRLR_DESTROY_ADMINQ] = {"destroying the admin queue", ctrlr_enter_destroy_adminq,
				  ctrlr_finish_destroy_adminq, TO(CLOSED), DEADLINE_NONE},
	[CTRLR_CLOSED] = {.name = "closed"},
};

const char *ctrlr_state_name(enum nvmux_ctrlr_state state)
{
	return states[state].name;
}

bool ctrlr_is_resting(const struct nvmux_ctrlr *ctrlr)
{
	return !states[ctrlr->state].enter && !ctrlr->stepping;
}

bool ctrlr_is_usable(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->state == CTRLR_READY || ctrlr->rescanning;
}

/* For the many steps of which only success matters: the one state that may follow. */
int ctrlr_finish_to_next(struct nvmux_ctrlr *ctrlr)
{
	return __builtin_ctzll(states[ctrlr->state].next);
}

static uint32_t deadline_ms(const struct nvmux_ctrlr *ctrlr, enum ctrlr_deadline deadline)
{
	switch (deadline) {
	case DEADLINE_NONE: return 0;
	case DEADLINE_ADMIN: return ctrlr->opts.admin_timeout_ms;
	case DEADLINE_READY:
		/* CAP.TO is in units of 500 ms; 0 would leave no time for a look */
		return MAX((uint32_t)NVME_CAP_TO(ctrlr->cap), 1u) * 500;
	case DEADLINE_SHUTDOWN:
		/* Base specification 2.0, section 3.6.1: RTD3E in microseconds, at least 10 s. */
		return MAX(le32_to_cpu(ctrlr->id.rtd3e) / 1000, 10000u);
	}
	return 0;
}

/* Whether only the interrupt was missing. May free the controller, then it is true. */
static bool was_answered(struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux *nvmux = ctrlr->nvmux;
	uint32_t steps = ctrlr->steps;
	uint16_t index = ctrlr->index;

	if (!ctrlr->adminq || nvmux_qpair_get_state(ctrlr->adminq) != NVMUX_QPAIR_CONNECTED)
		return false;
	nvmux_ctrlr_process_admin_completions(ctrlr);
	if (nvmux->ctrlrs[index] != ctrlr)
		return true;
	if (ctrlr->steps == steps)
		return false;
	if (!ctrlr_is_resting(ctrlr) && !ctrlr->step_timer.deadline_ms)
		ctrlr_restart_deadline(ctrlr);
	return true;
}

static void step_expired(void *arg)
{
	struct nvmux_ctrlr *ctrlr = arg;
	int err;

	if (was_answered(ctrlr))
		return;
	err = nvmux_error(ctrlr->nvmux, -ETIMEDOUT, "%s: no answer in time while %s",
			  ctrlr->trid.traddr, ctrlr_state_name(ctrlr->state));
	if (timeout_rescan(ctrlr, err))
		return;
	if (ctrlr->rescanning)
		nvmux_ctrlr_link_lost(ctrlr, err);
	else
		ctrlr_give_up(ctrlr, err);
}

static void set_deadline(struct nvmux_ctrlr *ctrlr, enum nvmux_ctrlr_state state)
{
	uint32_t ms = deadline_ms(ctrlr, states[state].deadline);

	if (ms)
		nvmux_timer_set(ctrlr->nvmux, &ctrlr->step_timer, ms, step_expired, ctrlr);
}

void ctrlr_restart_deadline(struct nvmux_ctrlr *ctrlr)
{
	set_deadline(ctrlr, (enum nvmux_ctrlr_state)ctrlr->state);
}

static void enter(struct nvmux_ctrlr *ctrlr, enum nvmux_ctrlr_state state)
{
	const struct ctrlr_state_desc *desc = &states[state];
	bool again = ctrlr->state == state;

	if (!again) {
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_DEBUG, "ctrlr", "%s: %s → %s", ctrlr->trid.traddr,
			  ctrlr_state_name(ctrlr->state), desc->name);
		nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->step_timer);
		nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->poll_timer);
		ctrlr->poll_ms = 0;
		set_deadline(ctrlr, state);
	}
	ctrlr->state = (uint8_t)state;
	ctrlr->steps++;
	if (desc->enter)
		desc->enter(ctrlr);
}

static void keep_result(struct nvmux_ctrlr *ctrlr, int err)
{
	ctrlr->result = err;
	snprintf(ctrlr->why, sizeof(ctrlr->why), "%.*s", (int)sizeof(ctrlr->why) - 1,
		 ctrlr->nvmux->error);
}

/* What follows the step that has ended. */
static enum nvmux_ctrlr_state finish(struct nvmux_ctrlr *ctrlr)
{
	const struct ctrlr_state_desc *desc = &states[ctrlr->state];
	int next = ctrlr->step_err;

	if (!next)
		next = desc->finish(ctrlr);
	if (next >= 0) {
		NVMUX_ASSERT(desc->next >> next & 1);
		return (enum nvmux_ctrlr_state)next;
	}
	if (recover_active(ctrlr)) {
		ctrlr->rescanning = false;
		recover_attempt_failed(ctrlr, next);
		return CTRLR_QUIESCE;
	}
	if (ctrlr_can_reset_harder(ctrlr, next)) {
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr", "%s: failed while %s: %s",
			  ctrlr->trid.traddr, ctrlr_state_name(ctrlr->state), strerror(-next));
		return CTRLR_HARD_RESET;
	}
	if (ctrlr->rescanning && !ctrlr->failed && !ctrlr->detaching) {
		/* It works all the same: whoever asked for the scan is told. */
		ctrlr->rescanning = false;
		ctrlr_drop_scan(ctrlr);
		keep_result(ctrlr, next);
		return CTRLR_READY;
	}
	ctrlr->rescanning = false;
	if (!ctrlr->result && !(ctrlr->detaching && next == -ECANCELED && ctrlr->recovery))
		keep_result(ctrlr, next);
	ctrlr->failed = true;
	return ctrlr->state < CTRLR_CLOSE ? CTRLR_CLOSE : CTRLR_CLOSED;
}

/* At rest. The callbacks may free the controller. */
static void tell(struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux *nvmux = ctrlr->nvmux;
	uint16_t index = ctrlr->index;
	nvmux_done_fn done = ctrlr->goal_cb;
	bool detaching = ctrlr->detaching;
	bool lost = ctrlr->state == CTRLR_CLOSED && ctrlr->attached && !detaching;

	ctrlr->goal_cb = NULL;
	if (ctrlr->state == CTRLR_READY) {
		ctrlr->resets_left = 0;
		timeout_start(ctrlr);
		recover_ready(ctrlr);
		timeout_rescan_ended(ctrlr);
	}
	if (ctrlr->result && ctrlr->why[0])
		nvmux_error(ctrlr->nvmux, ctrlr->result, "%s", ctrlr->why);
	if (done)
		done(ctrlr->goal_arg, ctrlr->result, 0);
	if (nvmux->ctrlrs[index] == ctrlr && ctrlr->state == CTRLR_READY && !ctrlr->detaching)
		ctrlr_ns_notice_ready(ctrlr);
	if (detaching)
		ctrlr_detach_step(ctrlr);
	else if (lost && nvmux->ctrlrs[index] == ctrlr && !ctrlr->detaching && ctrlr->remove_cb)
		ctrlr->remove_cb(ctrlr->remove_arg, ctrlr);
}

void ctrlr_run(struct nvmux_ctrlr *ctrlr)
{
	/* Not inside the processing of the admin queue, which a step may end. */
	if (ctrlr->stepping || (ctrlr->adminq && ctrlr->adminq->processing))
		return;
	ctrlr->stepping = true;
	while (ctrlr->step_ready) {
		ctrlr->step_ready = false;
		ctrlr->stepped = true;
		enter(ctrlr, finish(ctrlr));
	}
	ctrlr->stepping = false;
	if (ctrlr_is_resting(ctrlr) && ctrlr->stepped) {
		ctrlr->stepped = false;
		tell(ctrlr); /* may free the controller */
	}
}

static void step_ended(struct nvmux_ctrlr *ctrlr, int err, uint64_t value)
{
	/* Given up already, within the same turn of the loop: the first error stays. */
	if (!ctrlr->step_ready || !ctrlr->step_err) {
		ctrlr->step_err = err;
		ctrlr->step_value = value;
		ctrlr->step_ready = true;
	}
	ctrlr_run(ctrlr);
}

void ctrlr_end_rescan(struct nvmux_ctrlr *ctrlr, int err)
{
	ctrlr_admin_forget_steps(ctrlr);
	if (ctrlr->ana_step)
		ctrlr_admin_drop_ana(ctrlr);
	step_ended(ctrlr, err, 0);
}

void ctrlr_step_done(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;

	if (ctrlr->state < CTRLR_CLOSE && ctrlr->state != CTRLR_QUIESCE &&
	    ctrlr->state != CTRLR_RECONNECT_WAIT && ctrlr->state != CTRLR_HARD_RESET)
		step_ended(ctrlr, err, value);
}

void ctrlr_recover_step_done(struct nvmux_ctrlr *ctrlr, int err, uint64_t value)
{
	step_ended(ctrlr, err, value);
}

void ctrlr_close_step_done(void *arg, int err, uint64_t value)
{
	step_ended(arg, err, value);
}

void ctrlr_step_cpl_any(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_ctrlr *ctrlr = arg;

	if (ctrlr->state >= CTRLR_CLOSE)
		return;
	ctrlr->step_status = nvmux_cpl_status(cpl) & NVMUX_STATUS_CODE_MASK;
	ctrlr_step_done(ctrlr, 0, le32_to_cpu(cpl->dw0));
}

void ctrlr_step_cpl(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_ctrlr *ctrlr = arg;
	uint16_t status = nvmux_cpl_status(cpl);

	if (ctrlr->state < CTRLR_CLOSE && nvmux_cpl_is_error(cpl))
		ctrlr_step_done(ctrlr,
				nvmux_error(ctrlr->nvmux, -EIO, "%s: %s: status %03x (%s)",
					    ctrlr->trid.traddr, ctrlr_state_name(ctrlr->state),
					    status & NVMUX_STATUS_CODE_MASK,
					    nvmux_status_string(status)),
				0);
	else
		ctrlr_step_cpl_any(ctrlr, cpl);
}

void ctrlr_go(struct nvmux_ctrlr *ctrlr, enum nvmux_ctrlr_state first, nvmux_done_fn done,
	      void *arg)
{
	NVMUX_ASSERT(ctrlr_is_resting(ctrlr) && !ctrlr->goal_cb);
	ctrlr->goal_cb = done;
	ctrlr->goal_arg = arg;
	ctrlr->result = 0;
	ctrlr->why[0] = '\0';
	ctrlr->stepping =
		true; /* so that a step which ends at once is finished by ctrlr_run() below */
	enter(ctrlr, first);
	ctrlr->stepping = false;
	ctrlr_run(ctrlr);
}

void ctrlr_give_up(struct nvmux_ctrlr *ctrlr, int err)
{
	if (ctrlr->state >= CTRLR_CLOSE)
		return;
	nvmux_log(ctrlr->nvmux, err == -ECANCELED ? NVMUX_LOG_DEBUG : NVMUX_LOG_ERROR, "ctrlr",
		  "%s: given up while %s: %s",
		  ctrlr->trid.traddr, ctrlr_state_name(ctrlr->state), strerror(-err));
	step_ended(ctrlr, err, 0);
}
