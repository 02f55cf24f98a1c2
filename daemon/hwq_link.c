// SPDX-License-Identifier: BSD-3-Clause
/*
 * A hardware queue pair whose connection is lost and restored: the reactor's part.
 *
 * Happy path: the control thread writes the queue pair's state and lets the reactor look
 * (hwq_look()) → QUIESCING: rings say PAUSED, nothing is submitted, libnvmux stops using the
 * connection → QUIET: nothing to do, the reactor may sleep → REPLAY: libnvmux repeats what was in
 * flight → HOLDING or CONNECTED: rings say READY. Commands in flight keep their places all the
 * time, so that a stop or a forgotten region waits for them.
 *
 * Failure modes. The time for waiting is over (FAILING): libnvmux ends what was in flight, and
 * until the connection is there again each command is checked and then refused with a path error;
 * rings say READY, so that clients get their answers. The controller is lost for good: the queue
 * pair has failed, as any other. A client goes meanwhile and its commands aren't to be repeated:
 * they are dropped where nothing (QUIET, REPLAY) or not everything (HOLDING) is with the
 * controller. The control thread wants the queue pair back: it is quiesced first, as others may
 * share its completion queue. It is held: nothing is taken from its channels, and the same goes on
 * with what is in flight.
 *
 * A queue pair without a connection goes the same way when libnvmux stops it: for a reset of its
 * controller, or because commands weren't answered. What is in flight may be executed until it is
 * in REPLAY, and after a reset its channels have something else to check by: it stays there until
 * the control thread says go, behind the messages that bring this.
 */
#include <errno.h>
#include "daemon/data.h"

static void enter(struct hwq *hwq, enum hwq_state state)
{
	if (hwq->state == state)
		return;
	hwq->state = (uint8_t)state;
	hwq_show_state(hwq, state == HWQ_PAUSED ? NVMUX_RING_PAUSED : NVMUX_RING_READY);
}

/* ---- commands that nobody cares for ---- */

static bool is_abandoned(void *arg, nvmux_cmd_cb cb, void *cb_arg)
{
	const struct message *request = cb_arg;

	(void)arg;
	if (cb == hwq_ignored)
		return false;
	return cb == hwq_request_done ? request->request.abandoned : channel_is_abandoned(cb_arg);
}

/* Once in each state in which something can be dropped, and again when there is more. */
static void drop_abandoned(struct hwq *hwq, enum nvmux_qpair_state state)
{
	if (hwq->dropped_in == state)
		return;
	hwq->dropped_in = (uint8_t)state;
	/* Without a connection the device works on until it is disabled, after QUIET. REPLAY: the
	 * control thread was faster than we. */
	if ((state == NVMUX_QPAIR_QUIET && hwq_has_link(hwq)) || state == NVMUX_QPAIR_REPLAY ||
	    state == NVMUX_QPAIR_HOLDING)
		nvmux_qpair_drop(hwq->qpair, is_abandoned, NULL,
				 NVMUX_SC_OUTCOME_UNKNOWN | NVMUX_STATUS_DNR);
}

void hwq_link_abandon(struct reactor *r, struct hwq *hwq, const void *owner)
{
	struct message *msg;

	if (owner) {
		hwq_fail_requests(hwq, owner, NVMUX_SC_OUTCOME_UNKNOWN | NVMUX_STATUS_DNR);
		TAILQ_FOREACH (msg, &hwq->sent, waiting) {
			if (msg->request.owner == owner)
				msg->request.abandoned = true;
		}
	}
	hwq->marked = true;
	hwq->dropped_in = NVMUX_QPAIR_NEW;
	reactor_activate(r, hwq);
}

/* ---- turns ---- */

/*
 * Asked back. While the connection is the control thread's (QUIET, FAILING) nothing of it is in a
 * completion queue that this reactor polls; otherwise the transport sees to that.
 */
static uint32_t turn_taking(struct reactor *r, struct hwq *hwq, enum nvmux_qpair_state state)
{
	struct nvmux_qpair *qpair = hwq->qpair;

	switch (state) {
	case NVMUX_QPAIR_QUIET:
	case NVMUX_QPAIR_FAILING: break;
	case NVMUX_QPAIR_QUIESCING:
		nvmux_qpair_process_completions(qpair, 0); /* libnvmux waits for it too */
		return 1;
	default:
		if (!qpair->transport->quiesce(qpair))
			return 1;
	}
	hwq_deactivate(r, hwq);
	hwq->state = HWQ_TAKEN;
	reactor_reply(r, hwq->taking);
	hwq->taking = NULL;
	return 1;
}

static uint32_t refuse_channels(struct reactor *r, struct hwq *hwq)
{
	struct channel *channel = hwq->polled;
	uint32_t work = 0;

	for (uint32_t left = hwq->n_polled; left; left--) {
		work += channel_refuse(r, channel, NVMUX_PATH_ERROR);
		channel = channel->polled_next;
	}
	return work;
}

static uint32_t turn_failing(struct reactor *r, struct hwq *hwq)
{
	uint32_t work;

	if (hwq->state != HWQ_REFUSING || nvmux_qpair_outstanding(hwq->qpair))
		nvmux_qpair_process_completions(hwq->qpair, 0); /* ends what is in flight */
	enter(hwq, HWQ_REFUSING);
	work = hwq_fail_requests(hwq, NULL, NVMUX_PATH_ERROR);
	work += refuse_channels(r, hwq);
	hwq_answer_hold(r, hwq, false);
	if (!hwq->n_polled)
		hwq_deactivate(r, hwq);
	return work;
}

/* What was sent before it was held ends; the transport may give up on it. */
static uint32_t turn_held(struct reactor *r, struct hwq *hwq)
{
	uint32_t work = hwq_send_requests(hwq);
	int n = 0;

	enter(hwq, HWQ_PAUSED);
	if (nvmux_qpair_outstanding(hwq->qpair))
		n = nvmux_qpair_process_completions(hwq->qpair, 0);
	if (n < 0 && !hwq_has_link(hwq)) {
		hwq_fail(r, hwq);
		return work + 1;
	}
	if (!nvmux_qpair_outstanding(hwq->qpair) && TAILQ_EMPTY(&hwq->requests)) {
		hwq_answer_hold(r, hwq, false);
		hwq_deactivate(r, hwq);
	}
	return work + (n > 0 ? (uint32_t)n : 0);
}

static uint32_t turn_process(struct hwq *hwq)
{
	nvmux_qpair_process_completions(hwq->qpair, 0);
	return 1;
}

/* What a reset has changed is known when the control thread says go. */
static uint32_t turn_replay(struct reactor *r, struct hwq *hwq)
{
	enter(hwq, HWQ_PAUSED);
	if (!hwq->go && !hwq_has_link(hwq)) {
		hwq_deactivate(r, hwq);
		return 0;
	}
	hwq->go = false;
	return turn_process(hwq);
}

void hwq_link_go(struct reactor *r, struct hwq *hwq, bool changed)
{
	if (changed)
		hwq_fail_requests(hwq, NULL, NVME_SC_ABORT_QUEUE);
	/* stopped once more: another one follows */
	if (nvmux_qpair_get_state(hwq->qpair) != NVMUX_QPAIR_REPLAY)
		return;
	hwq->go = true;
	reactor_activate(r, hwq);
}

uint32_t hwq_link_turn(struct reactor *r, struct hwq *hwq)
{
	enum nvmux_qpair_state state = nvmux_qpair_get_state(hwq->qpair);

	if (hwq->state == HWQ_QUIESCING)
		return turn_taking(r, hwq, state);
	if (hwq->marked)
		drop_abandoned(hwq, state);
	switch (state) {
	case NVMUX_QPAIR_CONNECTED:
	case NVMUX_QPAIR_HOLDING:
		if (hwq->held)
			return turn_held(r, hwq);
		enter(hwq, HWQ_RUNNING);
		return hwq_turn(r, hwq);
	case NVMUX_QPAIR_RELEASE: return turn_process(hwq);
	case NVMUX_QPAIR_QUIESCING: enter(hwq, HWQ_PAUSED); return turn_process(hwq);
	case NVMUX_QPAIR_REPLAY: return turn_replay(r, hwq);
	case NVMUX_QPAIR_QUIET:
		enter(hwq, HWQ_PAUSED);
		hwq_deactivate(r, hwq);
		return 0;
	case NVMUX_QPAIR_FAILING: return turn_failing(r, hwq);
	default:
		nvmux_qpair_process_completions(hwq->qpair, 0); /* ends what is in flight */
		hwq_fail(r, hwq);
		return 1;
	}
}
