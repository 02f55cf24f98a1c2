// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queues deleted and made anew, or the controller reset, beneath queue pairs that keep what was in
 * flight in their slots.
 *
 * Happy path: QUIESCING → owners stop (QUIET) → queues are deleted, or the controller is disabled
 * (after an NVM subsystem reset, if that is wanted) and started → queues are made → owners repeat
 * what may be repeated (REPLAY, HOLDING, RELEASE) → CONNECTED. The controller has stopped in
 * between, so that nothing has to wait for it as with fabrics.
 *
 * Failure modes. A queue can't be deleted: the controller is reset. It can't be reset, or a queue
 * can't be made: it is lost. It is detached meanwhile: whoever waits is told, and the queue pairs
 * are freed from where they are. An owner that doesn't process its queue pair holds it all up.
 */
#include <errno.h>

#include "faults.h"
#include "recover.h"

#define POLL_MS    2
#define NSSR_VALUE 0x4e564d65u /* "NVMe"; base specification 2.0, section 3.1.3.7 */

struct nvmux_revive {
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *only;
	bool nssr;
	bool stopping;  /* owners are waited for */
	bool deleting;  /* the transport deletes the queues of a queue pair */
	bool escalated; /* while it did: how that ends doesn't count */
	struct nvmux_timer timer;
	nvmux_done_fn done;
	void *arg;
	nvmux_done_fn next; /* who wants the controller disconnected instead; or NULL */
	void *next_arg;
};

static void stop(struct nvmux_revive *op);
static void connect_next(struct nvmux_revive *op);

bool revive_possible(const struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux_transport *transport = ctrlr->transport;

	return transport->repost && transport->inflight &&
	       !(transport->flags & (NVMUX_TRANSPORT_FABRICS | NVMUX_TRANSPORT_MANAGED));
}

bool revive_active(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->revive;
}

static void finish(struct nvmux_revive *op, int err)
{
	nvmux_done_fn done = op->done;
	void *arg = op->arg, *next_arg = op->next_arg;
	nvmux_done_fn next = op->next;
	struct nvmux_ctrlr *ctrlr = op->ctrlr;

	nvmux_timer_cancel(ctrlr->nvmux, &op->timer);
	ctrlr->revive = NULL;
	free(op);
	if (next) {
		done(arg, -ECANCELED, 0);
		nvmux_ctrlr_disconnect_async(ctrlr, next, next_arg);
	} else {
		done(arg, err, 0);
	}
}

bool revive_then_disconnect(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct nvmux_revive *op = ctrlr->revive;

	if (!op || op->next)
		return false;
	op->next = done;
	op->next_arg = arg;
	return true;
}

void revive_cancel(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->revive)
		finish(ctrlr->revive, -ECANCELED);
	free(ctrlr->replay_view);
	ctrlr->replay_view = NULL;
}

/* It can't go on: the controller is going, or must. */
static void fail(struct nvmux_revive *op, int err)
{
	struct nvmux_ctrlr *ctrlr = op->ctrlr;

	if (ctrlr->state < CTRLR_CLOSE && !ctrlr->detaching)
		nvmux_ctrlr_lost(ctrlr, err);
	if (ctrlr->revive == op)
		finish(op, err);
}

static bool is_going(const struct nvmux_revive *op)
{
	const struct nvmux_ctrlr *ctrlr = op->ctrlr;

	return op->next || ctrlr->failed || ctrlr->detaching || ctrlr->state != CTRLR_READY;
}

static bool concerns(const struct nvmux_revive *op, const struct nvmux_qpair *qpair)
{
	return !op->only || op->only == qpair;
}

static void set_state(struct nvmux_qpair *qpair, enum nvmux_qpair_state state)
{
	struct nvmux_ctrlr *ctrlr = qpair->ctrlr;

	/* release: the owner finds what was done before */
	__atomic_store_n(&qpair->state, (uint8_t)state, __ATOMIC_RELEASE);
	if (ctrlr->attention)
		ctrlr->attention(ctrlr->attention_arg, qpair);
}

static enum nvmux_qpair_state get_state(const struct nvmux_qpair *qpair)
{
	/* acquire: what the owner did before is done */
	return (enum nvmux_qpair_state)__atomic_load_n(&qpair->state, __ATOMIC_ACQUIRE);
}

/* ---- going on ---- */

/* Bring owners from HOLDING to RELEASE, and see when they are through. */
static void replay_look(void *arg)
{
	struct nvmux_revive *op = arg;
	struct nvmux_qpair *qpair;
	bool busy = false;

	if (is_going(op)) {
		finish(op, -ENXIO);
		return;
	}
	TAILQ_FOREACH (qpair, &op->ctrlr->qpairs, link) {
		enum nvmux_qpair_state state = get_state(qpair);

		if (!concerns(op, qpair) || state < NVMUX_QPAIR_REPLAY)
			continue;
		if (state == NVMUX_QPAIR_HOLDING)
			set_state(qpair, NVMUX_QPAIR_RELEASE);
		busy = true;
	}
	if (busy)
		nvmux_timer_set(op->ctrlr->nvmux, &op->timer, POLL_MS, replay_look, op);
	else
		finish(op, 0);
}

static void replay_all(struct nvmux_revive *op)
{
	struct nvmux_ctrlr *ctrlr = op->ctrlr;
	struct replay_view *view = recover_make_view(ctrlr, true);
	struct nvmux_qpair *qpair;

	if (!view) {
		fail(op, -ENOMEM);
		return;
	}
	free(ctrlr->replay_view);
	ctrlr->replay_view = view;
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (!concerns(op, qpair) || !qpair->live || get_state(qpair) != NVMUX_QPAIR_QUIET)
			continue;
		replay_set_view(qpair, view);
		set_state(qpair, NVMUX_QPAIR_REPLAY);
	}
	replay_look(op);
}

static void connected(void *arg, int err, uint64_t value)
{
	struct nvmux_qpair *qpair = arg;
	struct nvmux_revive *op = qpair->ctrlr->revive;

	(void)value;
	qpair->ctrlr->n_qpair_ops--;
	if (!op)
		return;
	if (err)
		fail(op, err);
	else if (is_going(op))
		finish(op, -ENXIO);
	else
		connect_next(op);
}

static void connect_next(struct nvmux_revive *op)
{
	struct nvmux_ctrlr *ctrlr = op->ctrlr;
	struct nvmux_qpair *qpair;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (concerns(op, qpair) && !qpair->live && !qpair->freeing &&
		    get_state(qpair) == NVMUX_QPAIR_QUIET)
			break;
	}
	if (!qpair) {
		replay_all(op);
		return;
	}
	qpair->live = true;
	ctrlr->n_qpair_ops++;
	transport_qpair_connect(qpair, connected, qpair);
}

/* ---- stopping ---- */

static void started(void *arg, int err, uint64_t value)
{
	struct nvmux_revive *op = ((struct nvmux_ctrlr *)arg)->revive;

	(void)value;
	if (!op)
		return;
	if (err)
		finish(op, err);
	else
		connect_next(op);
}

static void disabled(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;

	(void)value;
	if (!ctrlr->revive)
		return;
	if (err)
		finish(ctrlr->revive, err);
	else
		nvmux_ctrlr_reconnect_async(ctrlr, started, ctrlr);
}

static void disable(struct nvmux_revive *op)
{
	struct nvmux_ctrlr *ctrlr = op->ctrlr;

	if (!ctrlr_is_resting(ctrlr)) {
		fail(op, -EBUSY);
		return;
	}
	ctrlr->disconnecting = true;
	ctrlr_go(ctrlr, CTRLR_DISABLE, disabled, ctrlr);
}

static void subsystem_reset(void *arg, int err, uint64_t value)
{
	struct nvmux_revive *op = ((struct nvmux_ctrlr *)arg)->revive;

	(void)value;
	if (!op)
		return;
	if (err)
		fail(op, err);
	else if (is_going(op))
		finish(op, -ENXIO);
	else
		disable(op);
}

static void deleted(void *arg, int err, uint64_t value)
{
	struct nvmux_qpair *qpair = arg;
	struct nvmux_revive *op = qpair->ctrlr->revive;

	(void)value;
	qpair->ctrlr->n_qpair_ops--;
	if (!op)
		return;
	op->deleting = false;
	if (op->escalated)
		return;
	if (is_going(op)) {
		finish(op, err ? err : -ENXIO);
	} else if (err) {
		op->only = NULL;
		stop(op);
	} else {
		qpair->live = false;
		connect_next(op);
	}
}

static void stopped(struct nvmux_revive *op)
{
	struct nvmux_ctrlr *ctrlr = op->ctrlr;

	if (op->only) {
		op->deleting = true;
		ctrlr->n_qpair_ops++;
		ctrlr->transport->qpair_disconnect(op->only, deleted, op->only);
	} else if (op->nssr) {
		transport_reg_write(ctrlr, NVME_REG_NSSR, 4, NSSR_VALUE, subsystem_reset, ctrlr);
	} else {
		disable(op);
	}
}

static void stop_look(void *arg)
{
	struct nvmux_revive *op = arg;
	struct nvmux_qpair *qpair;
	bool quiet = true;

	if (is_going(op)) {
		finish(op, -ENXIO);
		return;
	}
	TAILQ_FOREACH (qpair, &op->ctrlr->qpairs, link)
		quiet &= !concerns(op, qpair) || get_state(qpair) != NVMUX_QPAIR_QUIESCING;
	if (!quiet) {
		nvmux_timer_set(op->ctrlr->nvmux, &op->timer, POLL_MS, stop_look, op);
		return;
	}
	op->stopping = false;
	stopped(op);
}

static void stop(struct nvmux_revive *op)
{
	struct nvmux_qpair *qpair;

	op->stopping = true;
	TAILQ_FOREACH (qpair, &op->ctrlr->qpairs, link) {
		enum nvmux_qpair_state state = get_state(qpair);

		if (concerns(op, qpair) && !qpair->freeing &&
		    (state == NVMUX_QPAIR_CONNECTED || state >= NVMUX_QPAIR_REPLAY))
			set_state(qpair, NVMUX_QPAIR_QUIESCING);
	}
	/* Not from within whoever has found out. */
	nvmux_timer_set(op->ctrlr->nvmux, &op->timer, 0, stop_look, op);
}

bool revive_escalate(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_revive *op = ctrlr->revive;

	if (!op || !op->only || !op->deleting)
		return false;
	op->escalated = true;
	op->only = NULL;
	stop(op);
	return true;
}

void revive_async(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *only, bool nssr,
		  nvmux_done_fn done, void *arg)
{
	struct nvmux_revive *op = NULL;

	if (!ctrlr->revive && revive_possible(ctrlr) && ctrlr->state == CTRLR_READY &&
	    ctrlr_is_resting(ctrlr) && !ctrlr->failed && !ctrlr->detaching)
		op = calloc(1, sizeof(*op));
	if (!op) {
		done(arg,
		     nvmux_error(ctrlr->nvmux, ctrlr->failed ? -ENXIO : -EBUSY,
				 "%s can't be reset: it is %s", ctrlr->trid.traddr,
				 ctrlr->revive ? "being reset" : nvmux_ctrlr_get_state_string(ctrlr)),
		     0);
		return;
	}
	*op = (struct nvmux_revive){
		.ctrlr = ctrlr, .only = only, .nssr = nssr, .done = done, .arg = arg};
	for (uint32_t i = 0; i < ctrlr->n_ns; i++)
		ctrlr->ns[i]->changed = false;
	ctrlr->revive = op;
	stop(op);
}
