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
 * Failure modes. A queue can't be deleted or made: the controller is reset. That fails: its
 * function is reset, then its subsystem (ctrlr_reset.c); when nothing is left, or the time for all
 * of it is over (limit_ms()), it is lost. It is detached meanwhile: whoever waits is told, and the
 * queue pairs are freed from where they are.
 *
 * An owner that doesn't process its queue pair isn't waited for beyond revive_patience_ms(). A
 * deletion of its queues is left off then, as they may be in use; a reset goes on without it: the
 * controller doesn't know its queues afterwards, and it can't submit in the state QUIESCING. When
 * it comes and says QUIET its queues are made anew, and it goes on as the others did.
 */
#include <errno.h>

#include "faults.h"
#include "recover.h"

#define POLL_MS      2
#define LATE_POLL_MS 10

struct nvmux_revive {
	struct nvmux_ctrlr *ctrlr;
	enum revive_kind kind;
	const char *why; /* nobody has asked for it; or NULL */
	bool stopping;   /* owners are waited for; then what is to be done begins */
	bool queue_step; /* the transport deletes or makes the queues of a queue pair */
	bool escalated;  /* while it did: how that ends doesn't count */
	uint64_t until_ms; /* owners are waited for */
	struct nvmux_timer timer;
	struct nvmux_timer limit;
	nvmux_done_fn done;
	void *arg;
	nvmux_done_fn next; /* who wants the controller disconnected instead; or NULL */
	void *next_arg;
};

static void stop(struct nvmux_revive *op);
static void stopped(struct nvmux_revive *op);
static void connect_next(struct nvmux_revive *op);
static void late_look(void *arg);

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

static uint32_t revive_patience_ms(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->opts.io_timeout_ms ?: ctrlr->opts.admin_timeout_ms;
}

/* Of a reset with all that it may take: each kind has time to wait for CSTS.RDY twice, and for four
 * commands that are answered at the last moment. */
static uint32_t limit_ms(const struct nvmux_ctrlr *ctrlr)
{
	uint32_t ready_ms = MAX((uint32_t)NVME_CAP_TO(ctrlr->cap), 1u) * 500;
	uint32_t kinds = 1 + (uint32_t)__builtin_popcount(ctrlr_reset_kinds(ctrlr));

	return kinds * (2 * ready_ms + 4 * ctrlr->opts.admin_timeout_ms);
}

static const char *const kind_names[] = {
	[REVIVE_QUEUES] = "queues",
	[REVIVE_CTRLR] = "controller reset",
	[REVIVE_FUNCTION] = "function reset",
	[REVIVE_SUBSYSTEM] = "NVM subsystem reset",
};

static void tell(const struct nvmux_revive *op)
{
	struct nvmux_ctrlr *ctrlr = op->ctrlr;

	if (!op->why || op->kind == REVIVE_QUEUES)
		return;
	snprintf(ctrlr->reset_reason, sizeof(ctrlr->reset_reason), "%s: %s", op->why,
		 kind_names[op->kind]);
	if (ctrlr->event_cb)
		ctrlr->event_cb(ctrlr->event_arg, ctrlr, NVMUX_CTRLR_RESET);
}

static void finish(struct nvmux_revive *op, int err)
{
	nvmux_done_fn done = op->done;
	void *arg = op->arg, *next_arg = op->next_arg;
	nvmux_done_fn next = op->next;
	struct nvmux_ctrlr *ctrlr = op->ctrlr;
	struct nvmux_qpair *qpair;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link)
		qpair->reviving = false;
	nvmux_timer_cancel(ctrlr->nvmux, &op->timer);
	nvmux_timer_cancel(ctrlr->nvmux, &op->limit);
	ctrlr->revive = NULL;
	if (!err && !next)
		tell(op);
	free(op);
	nvmux_timer_set(ctrlr->nvmux, &ctrlr->revive_late, LATE_POLL_MS, late_look, ctrlr);
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
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->revive_late);
	while (ctrlr->replay_view) {
		struct replay_view *view = ctrlr->replay_view;

		ctrlr->replay_view = view->older;
		free(view);
	}
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
	return op->kind != REVIVE_QUEUES || qpair->reviving;
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
	if (busy && nvmux_now_ms() < op->until_ms)
		nvmux_timer_set(op->ctrlr->nvmux, &op->timer, POLL_MS, replay_look, op);
	else
		finish(op, 0);
}

/* Of earlier times: an owner that was left behind may be within its look at one. */
static void drop_old_views(struct nvmux_ctrlr *ctrlr)
{
	struct replay_view *view = ctrlr->replay_view->older;
	struct nvmux_qpair *qpair;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		enum nvmux_qpair_state state = get_state(qpair);

		if (state == NVMUX_QPAIR_QUIESCING || state >= NVMUX_QPAIR_REPLAY)
			return;
	}
	ctrlr->replay_view->older = NULL;
	while (view) {
		struct replay_view *older = view->older;

		free(view);
		view = older;
	}
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
	view->older = ctrlr->replay_view;
	ctrlr->replay_view = view;
	drop_old_views(ctrlr);
	op->until_ms = nvmux_now_ms() + revive_patience_ms(ctrlr);
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (!concerns(op, qpair) || !qpair->live || get_state(qpair) != NVMUX_QPAIR_QUIET)
			continue;
		/* what was found out about it before doesn't count any more */
		__atomic_store_n(&qpair->overdue, 0, __ATOMIC_RELAXED);
		replay_set_view(qpair, view);
		set_state(qpair, NVMUX_QPAIR_REPLAY);
	}
	replay_look(op);
}

/* What has been tried didn't help: what is harder, or it is lost. False: there is nothing. */
static bool harder(struct nvmux_revive *op)
{
	uint8_t kinds = ctrlr_reset_kinds(op->ctrlr);

	if (op->kind == REVIVE_QUEUES)
		op->kind = REVIVE_CTRLR;
	else if (op->kind == REVIVE_CTRLR && kinds & CTRLR_RESET_FUNCTION)
		op->kind = REVIVE_FUNCTION;
	else if (op->kind < REVIVE_SUBSYSTEM && kinds & CTRLR_RESET_SUBSYSTEM)
		op->kind = REVIVE_SUBSYSTEM;
	else
		return false;
	stop(op);
	return true;
}

/* A deletion or creation of queues has ended. False: there is nothing to do about it. */
static bool queue_step_ended(struct nvmux_qpair *qpair, int err)
{
	struct nvmux_revive *op = qpair->ctrlr->revive;

	qpair->ctrlr->n_qpair_ops--;
	qpair->revive_step = false;
	if (!op)
		return false;
	op->queue_step = false;
	if (op->escalated) {
		op->escalated = false;
		return false;
	}
	if (is_going(op)) {
		finish(op, err ? err : -ENXIO);
		return false;
	}
	if (err && !harder(op))
		fail(op, err);
	return !err;
}

static void connected(void *arg, int err, uint64_t value)
{
	struct nvmux_qpair *qpair = arg;

	(void)value;
	/* Where it failed the controller has no such queues, unless it couldn't be told. */
	if (err && qpair->ctrlr->state < CTRLR_CLOSE)
		qpair->live = false;
	if (queue_step_ended(qpair, err))
		connect_next(qpair->ctrlr->revive);
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
	qpair->revive_step = op->queue_step = true;
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

static void too_long(void *arg)
{
	struct nvmux_revive *op = arg;

	fail(op, nvmux_error(op->ctrlr->nvmux, -ETIMEDOUT,
			     "%s: its reset has taken more than %u ms", op->ctrlr->trid.traddr,
			     limit_ms(op->ctrlr)));
}

/* Which kinds may follow: those that are harder. */
static void reset(struct nvmux_revive *op)
{
	struct nvmux_ctrlr *ctrlr = op->ctrlr;
	uint8_t kinds = ctrlr_reset_kinds(ctrlr);

	if (!ctrlr_is_resting(ctrlr)) {
		fail(op, -EBUSY);
		return;
	}
	if (op->kind == REVIVE_SUBSYSTEM)
		kinds &= (uint8_t)~CTRLR_RESET_FUNCTION;
	ctrlr->disconnecting = true;
	ctrlr->resets_left = kinds;
	if (!op->limit.deadline_ms)
		nvmux_timer_set(ctrlr->nvmux, &op->limit, limit_ms(ctrlr), too_long, op);
	ctrlr_go(ctrlr, op->kind == REVIVE_CTRLR ? CTRLR_DISABLE : CTRLR_HARD_RESET, disabled,
		 ctrlr);
}

static void deleted(void *arg, int err, uint64_t value)
{
	struct nvmux_qpair *qpair = arg;

	(void)value;
	/* Whatever comes next: it isn't deleted twice. */
	if (!err)
		qpair->live = false;
	if (queue_step_ended(qpair, err))
		stopped(qpair->ctrlr->revive);
}

/* Delete the queues that the controller still knows, then make all anew. */
static void stopped(struct nvmux_revive *op)
{
	struct nvmux_ctrlr *ctrlr = op->ctrlr;
	struct nvmux_qpair *qpair;

	op->stopping = false;
	if (op->kind != REVIVE_QUEUES) {
		reset(op);
		return;
	}
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (qpair->reviving && qpair->live && !qpair->freeing &&
		    get_state(qpair) == NVMUX_QPAIR_QUIET)
			break;
	}
	if (!qpair) {
		connect_next(op);
		return;
	}
	qpair->revive_step = op->queue_step = true;
	ctrlr->n_qpair_ops++;
	ctrlr->transport->qpair_disconnect(qpair, deleted, qpair);
}

static void stop_look(void *arg)
{
	struct nvmux_revive *op = arg;
	struct nvmux_qpair *qpair;
	uint32_t n = 0;

	if (is_going(op)) {
		finish(op, -ENXIO);
		return;
	}
	TAILQ_FOREACH (qpair, &op->ctrlr->qpairs, link)
		n += concerns(op, qpair) && get_state(qpair) == NVMUX_QPAIR_QUIESCING;
	if (n && nvmux_now_ms() < op->until_ms) {
		nvmux_timer_set(op->ctrlr->nvmux, &op->timer, POLL_MS, stop_look, op);
		return;
	}
	if (n)
		nvmux_log(op->ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
			  "%s: %u queue pairs aren't polled: they aren't waited for",
			  op->ctrlr->trid.traddr, n);
	if (n && op->kind == REVIVE_QUEUES)
		finish(op, -ETIMEDOUT);
	else
		stopped(op);
}

static void stop(struct nvmux_revive *op)
{
	struct nvmux_qpair *qpair;

	op->stopping = true;
	op->until_ms = nvmux_now_ms() + revive_patience_ms(op->ctrlr);
	TAILQ_FOREACH (qpair, &op->ctrlr->qpairs, link) {
		enum nvmux_qpair_state state = get_state(qpair);

		if (concerns(op, qpair) && !qpair->freeing &&
		    (state == NVMUX_QPAIR_CONNECTED || state >= NVMUX_QPAIR_REPLAY))
			set_state(qpair, NVMUX_QPAIR_QUIESCING);
	}
	/* Not from within whoever has found out. */
	nvmux_timer_set(op->ctrlr->nvmux, &op->timer, 0, stop_look, op);
}

/* ---- owners that come late ---- */

static void late_done(void *arg, int err, uint64_t value)
{
	(void)arg; /* they are looked for again in any case */
	(void)err;
	(void)value;
}

/* Queue pairs that were left behind: made anew as soon as their owners have stopped. */
static void late_look(void *arg)
{
	struct nvmux_ctrlr *ctrlr = arg;
	struct nvmux_qpair *qpair;
	bool late = false, quiet = false;

	if (ctrlr->revive || ctrlr->state >= CTRLR_CLOSE || ctrlr->failed || ctrlr->detaching)
		return;
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		enum nvmux_qpair_state state = get_state(qpair);

		if (qpair->freeing || state < NVMUX_QPAIR_QUIESCING ||
		    state == NVMUX_QPAIR_FAILING)
			continue;
		late = true;
		if (state == NVMUX_QPAIR_HOLDING)
			set_state(qpair, NVMUX_QPAIR_RELEASE);
		qpair->reviving = state == NVMUX_QPAIR_QUIET;
		quiet |= qpair->reviving;
	}
	if (quiet && ctrlr->state == CTRLR_READY && ctrlr_is_resting(ctrlr)) {
		revive_async(ctrlr, REVIVE_QUEUES, "a queue pair wasn't polled", late_done, NULL);
		return;
	}
	if (late)
		nvmux_timer_set(ctrlr->nvmux, &ctrlr->revive_late, LATE_POLL_MS, late_look, ctrlr);
	ctrlr_ns_notice_ready(ctrlr); /* those that came meanwhile have waited */
}

bool revive_escalate(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_revive *op = ctrlr->revive;

	if (!op)
		return false;
	if (op->stopping && op->kind != REVIVE_QUEUES)
		return true; /* a reset is about to begin */
	op->escalated = op->queue_step;
	return harder(op);
}

void revive_async(struct nvmux_ctrlr *ctrlr, enum revive_kind kind, const char *why,
		  nvmux_done_fn done, void *arg)
{
	struct nvmux_revive *op;

	if (ctrlr->revive || !revive_possible(ctrlr) || ctrlr->state != CTRLR_READY ||
	    !ctrlr_is_resting(ctrlr) || ctrlr->failed || ctrlr->detaching) {
		done(arg,
		     nvmux_error(ctrlr->nvmux, ctrlr->failed ? -ENXIO : -EBUSY,
				 "%s can't be reset: it is %s", ctrlr->trid.traddr,
				 ctrlr->revive ? "being reset"
					       : nvmux_ctrlr_get_state_string(ctrlr)),
		     0);
		return;
	}
	op = calloc(1, sizeof(*op));
	if (!op) {
		done(arg, nvmux_error(ctrlr->nvmux, -ENOMEM, "out of memory"), 0);
		return;
	}
	*op = (struct nvmux_revive){
		.ctrlr = ctrlr, .kind = kind, .why = why, .done = done, .arg = arg};
	for (uint32_t i = 0; i < ctrlr->n_ns; i++)
		ctrlr->ns[i]->changed = false;
	ctrlr->revive = op;
	stop(op);
}
