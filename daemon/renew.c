// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fabrics controllers: resetting them, waiting for libnvmux, and ending what a lost
 * connection holds up. Queue pairs and their rings stay: libnvmux and the reactors see to them.
 *
 * Happy path of a reset: libnvmux disables the controller and connects anew → channels get what
 * namespaces look like now → answer.
 *
 * Failure modes. The first attempt to connect again fails: that is the answer, and libnvmux goes on
 * with attempts; the controller isn't lost. It is being connected already: EBUSY. The connection is
 * lost while namespaces are looked at: they are identified when it is there again. The controller
 * is detached meanwhile: nobody waits for the answer of libnvmux any more, which may take long.
 *
 * A client's commands don't end in time because the connection is lost: they are abandoned, that
 * is, dropped as soon as they aren't with the controller. Where the connection is up but the
 * controller doesn't answer them, a reset brings that about.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"

/* An operation waits for an answer of libnvmux. */
struct link_wait {
	struct controller *c;
	struct op *op; /* NULL: not any more */
};

struct renew_op {
	struct op op;
	struct controller *c;
	struct rpc_request *req; /* NULL: not asked for by a client */
	char reason[128];
};

static struct controller *controller_of(struct op *op)
{
	return container_of(op, struct renew_op, op)->c;
}

/* ---- waiting ---- */

static void answered(void *arg, int err, uint64_t value)
{
	struct link_wait *wait = arg;
	struct op *op = wait->op;

	(void)value;
	if (op) {
		wait->c->link_wait = NULL;
		if (err)
			op_fail(op, err, "%s", daemon_error_text(wait->c->d, err));
		op_release(op, 0);
	}
	free(wait);
}

void controller_wait_link(struct controller *c, struct op *op,
			  void (*begin)(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg))
{
	struct link_wait *wait = calloc(1, sizeof(*wait));

	if (!wait) {
		op_fail(op, -ENOMEM, "out of memory");
		return;
	}
	wait->c = c;
	wait->op = op;
	c->link_wait = wait;
	op_hold(op);
	daemon_clear_error(c->d);
	begin(c->ctrlr, answered, wait);
}

void controller_stop_waiting(struct controller *c)
{
	struct link_wait *wait = c->link_wait;
	struct op *op;

	if (!wait)
		return;
	op = wait->op;
	c->link_wait = NULL;
	wait->op = NULL;
	op_fail(op, -ECANCELED, "nobody waits for it any more");
	op_release(op, 0);
}

/* ---- operations ---- */

static void begin(struct op *op)
{
	struct controller *c = controller_of(op);

	if (c->detaching)
		op_fail(op, -ENXIO, "it is being detached");
	else if (c->lost || c->state != CONTROLLER_READY)
		op_fail(op, -ENXIO, "it is %s", c->lost ? "lost" : controller_state_name(c->state));
}

static void renew_begin(struct op *op)
{
	struct renew_op *renew = container_of(op, struct renew_op, op);
	struct controller *c = renew->c;

	c->n_resets_queued--;
	begin(op);
	if (op->err)
		return;
	c->renewing = true;
	log_info(&c->d->log, "ctrlr", "%s: reset: %s", c->name, renew->reason);
}

static void renew_link(struct op *op)
{
	controller_wait_link(controller_of(op), op, nvmux_ctrlr_renew_async);
}

static void refresh_views(struct op *op)
{
	controller_refresh_views(controller_of(op));
}

static void renew_done(struct op *op)
{
	struct renew_op *renew = container_of(op, struct renew_op, op);
	struct controller *c = renew->c;

	c->renewing = false;
	controller_go_on(c);
	if (op->err) {
		log_warning(&c->d->log, "ctrlr", "%s: not reset: %s", c->name, op->why);
		if (renew->req)
			rpc_reply_errno(renew->req, op->err, "controller '%s' can't be reset: %s",
					c->name, op->why);
	} else {
		c->resets++;
		log_info(&c->d->log, "ctrlr", "%s: ready again", c->name);
		events_reset(c, renew->reason);
		if (renew->req)
			rpc_reply(renew->req, json_true());
	}
	free(renew);
	daemon_progress(c->d);
}

static const struct op_step renew_steps[] = {
	{"may it be reset?", STEP_OK, renew_begin},
	{"connect anew", STEP_OK, renew_link},
	{"look at namespaces", STEP_OK, refresh_views},
	{NULL, 0, NULL},
};

static const struct op_kind renew_kind = {"reset", renew_steps, renew_done};

bool controller_renew(struct controller *c, struct rpc_request *req, const char *reason)
{
	struct renew_op *renew;

	/* one that waits for its turn or is under way ends the commands of all */
	if (!req && (c->n_resets_queued || c->renewing))
		return true;
	renew = calloc(1, sizeof(*renew));
	if (!renew) {
		if (req)
			rpc_reply_errno(req, -ENOMEM, "out of memory");
		return false;
	}
	renew->c = c;
	renew->req = req;
	snprintf(renew->reason, sizeof(renew->reason), "%s", reason);
	c->n_resets_queued++;
	op_submit(&c->ops, &renew->op, &renew_kind, c->name);
	if (req || !controller_change_is_patient(c))
		controller_skip_change(c);
	return true;
}

bool controller_has_path(const struct controller *c)
{
	struct nvmux_connection_info info;

	if (!controller_is_fabrics(c))
		return true;
	nvmux_ctrlr_get_connection(c->ctrlr, &info);
	return info.state == NVMUX_CONNECTION_UP || info.state == NVMUX_CONNECTION_HOLDING;
}

/* ---- commands that are held up ---- */

/* True: something of it hadn't been abandoned before. */
static bool abandon(struct hold *hold)
{
	struct session *s = hold->session;
	struct client_qpair *q;
	struct hw_queue *queue;
	bool first = false;

	TAILQ_FOREACH (q, &s->qpairs, link) {
		if (q->hold != hold || q->state != CHANNEL_STOPPING || q->abandoned)
			continue;
		q->abandoned = true;
		first = true;
		channel_abandon(q->channel);
	}
	if (!hold->in_flight || hold->abandoned || !(hold->closing || s->closing))
		return first;
	hold->abandoned = true; /* it sends nothing more */
	TAILQ_FOREACH (queue, &hold->controller->hw_queues, link)
		hwq_abandon(queue->hwq, hold);
	return true;
}

void controller_abandon(struct hold *hold, const char *reason)
{
	struct controller *c = hold->controller;
	struct nvmux_connection_info info;
	bool first;

	if (c->lost)
		return; /* its loss ends them */
	first = abandon(hold);
	if (!controller_is_fabrics(c)) {
		controller_reset(c, NULL, reason);
		return;
	}
	nvmux_ctrlr_get_connection(c->ctrlr, &info);
	/* what a restored connection holds back has just been dropped */
	if (info.state == NVMUX_CONNECTION_UP || (info.state == NVMUX_CONNECTION_HOLDING && !first))
		controller_renew(c, NULL, reason);
}
