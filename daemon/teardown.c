// SPDX-License-Identifier: BSD-3-Clause
/*
 * Ending a queue pair, a hold on a controller, or a whole session, in the safe order.
 *
 * Happy path: channels take no further command → all that is in flight completes → the channels
 * are freed and hardware queues given back (a dedicated one is deleted) → regions are unmapped →
 * their memory is freed.
 *
 * Failure modes. Something doesn't complete within the drain timeout, which each teardown has in
 * full: the controller is reset, which ends it, or, if its connection is lost, the commands aren't
 * repeated; nothing is unmapped before. A command that changes
 * namespaces is given much longer than that (reset.c). The client dies while other operations of
 * its session are under way: its channels are stopped at once, the rest follows when they have
 * ended.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"


static struct teardown_op *teardown_of(struct op *op)
{
	return container_of(op, struct teardown_op, op);
}

/* ---- the deadline ---- */

static bool holds_up(const struct session *s, const struct hold *hold)
{
	const struct client_qpair *q;

	if ((hold->closing || s->closing) && hold->in_flight)
		return true;
	TAILQ_FOREACH(q, &s->qpairs, link)
	{
		if (q->hold == hold && q->state == CHANNEL_STOPPING)
			return true;
	}
	return false;
}

void session_drain_expired(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;
	struct hold *hold;
	char reason[96];
	bool again = false;

	(void)fd;
	(void)what;
	TAILQ_FOREACH(hold, &s->holds, link)
	{
		if (!holds_up(s, hold))
			continue;
		again = true;
		/* a reset under way ends them; a command that holds everything up ends as well */
		if (hold->controller->state == CONTROLLER_RESETTING ||
		    controller_change_is_patient(hold->controller))
			continue;
		snprintf(reason, sizeof(reason), "commands of client %u (process %d) don't end",
			 s->id, s->cred.pid);
		controller_abandon(hold, reason);
	}
	if (again)
		session_arm_drain(s);
}

void session_arm_drain(struct session *s)
{
	uint32_t ms = MAX(s->d->hurry ? 0 : s->limits.drain_timeout_ms, DRAIN_MIN_MS);
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(s->drain_timer, &tv);
}

/* One teardown has ended. What else the session waits for when it closes has its time anew. */
static void disarm_drain(struct session *s)
{
	evtimer_del(s->drain_timer);
	if (s->closing)
		session_arm_drain(s);
}

/* ---- the operation ---- */

static bool about_hold(const struct teardown_op *t, const struct hold *hold)
{
	return !t->qpair_id && (!t->hold_id || t->hold_id == hold->id);
}

static bool about_qpair(const struct teardown_op *t, const struct client_qpair *q)
{
	return t->qpair_id ? t->qpair_id == q->id : about_hold(t, q->hold);
}

static bool target_exists(const struct teardown_op *t)
{
	if (t->qpair_id)
		return session_qpair(t->session, t->qpair_id);
	return !t->hold_id || session_hold_by_id(t->session, t->hold_id);
}

static void teardown_stop(struct op *op)
{
	struct teardown_op *t = teardown_of(op);
	struct session *s = t->session;
	struct client_qpair *q;
	struct hold *hold;

	if (!target_exists(t)) {
		op_fail(op, -ENOENT,
			t->qpair_id ? "the session has no queue pair %u"
				    : "the controller has been closed already",
			t->qpair_id);
		return;
	}
	TAILQ_FOREACH(hold, &s->holds, link)
	{
		if (!about_hold(t, hold))
			continue;
		hold->closing = true;
		if (hold->event)
			event_del(hold->event);
		if (!hold->in_flight)
			continue;
		hold->waiter = op;
		op_hold(op);
	}
	TAILQ_FOREACH(q, &s->qpairs, link)
	{
		if (!about_qpair(t, q))
			continue;
		qpair_stop(q);
		qpair_wait_stopped(q, op, 0);
	}
	session_arm_drain(s);
}

static void teardown_destroy(struct op *op)
{
	struct teardown_op *t = teardown_of(op);
	struct client_qpair *q, *next;

	for (q = TAILQ_FIRST(&t->session->qpairs); q; q = next) {
		next = TAILQ_NEXT(q, link);
		if (about_qpair(t, q))
			qpair_destroy(q, op);
	}
}

static void teardown_unmap(struct op *op)
{
	struct teardown_op *t = teardown_of(op);
	struct hold *hold;

	TAILQ_FOREACH(hold, &t->session->holds, link)
	{
		if (about_hold(t, hold))
			session_unmap_regions(t->session, hold, op);
	}
}

static void teardown_done(struct op *op)
{
	struct teardown_op *t = teardown_of(op);
	struct session *s = t->session;
	struct hold *hold, *next;

	for (hold = TAILQ_FIRST(&s->holds); hold && !op->err; hold = next) {
		next = TAILQ_NEXT(hold, link);
		if (about_hold(t, hold))
			hold_free(hold);
	}
	if (t == &s->end) {
		evtimer_del(s->drain_timer);
		session_release_regions(s);
		session_free(s); /* with this operation */
		return;
	}
	disarm_drain(s);
	if (t->req && op->err)
		rpc_reply_errno(t->req, op->err, "%s", op->why);
	else if (t->req)
		rpc_reply(t->req, json_true());
	daemon_progress(s->d);
	free(t);
}

static const struct op_step teardown_steps[] = {
	{"stop channels, wait for commands", STEP_OK, teardown_stop},
	{"free channels, give queues back", STEP_OK, teardown_destroy},
	{"unmap regions", STEP_OK, teardown_unmap},
	{NULL, 0, NULL},
};

static const struct op_kind teardown_kind = {"end", teardown_steps, teardown_done};

static void submit(struct session *s, uint32_t hold_id, uint32_t qpair_id, struct rpc_request *req)
{
	struct teardown_op *t = calloc(1, sizeof(*t));

	if (!t) {
		if (req)
			rpc_reply_errno(req, -ENOMEM, "out of memory");
		return; /* the end of the session will see to it */
	}
	t->session = s;
	t->req = req;
	t->hold_id = hold_id;
	t->qpair_id = qpair_id;
	op_submit(&s->ops, &t->op, &teardown_kind, s->command);
}

void session_close_hold(struct session *s, const struct hold *hold, struct rpc_request *req)
{
	/* the end of a session closes all of them; nothing may come after it */
	if (!s->closing)
		submit(s, hold->id, 0, req);
}

void session_free_qpair(struct session *s, uint32_t id, struct rpc_request *req)
{
	if (!s->closing)
		submit(s, 0, id, req);
}

void session_end(struct session *s)
{
	struct client_qpair *q;

	NVMUX_ASSERT(!s->closing);
	s->closing = true;
	/* whatever operation is under way may be waiting for these to end */
	TAILQ_FOREACH(q, &s->qpairs, link)
	qpair_stop(q);
	session_arm_drain(s);
	s->end.session = s;
	op_submit(&s->ops, &s->end.op, &teardown_kind, s->command);
}
