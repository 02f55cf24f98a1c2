// SPDX-License-Identifier: BSD-3-Clause
/*
 * Attaching a controller.
 *
 * Happy path: libnvmux starts it → a base queue pair for each reactor → READY, event, answer.
 *
 * A discovery controller has no I/O queues: only its admin queue can be used.
 *
 * Failure modes. It can't be started: nothing to undo; one for fabrics that the configuration (or a
 * discovery service) names stays ATTACHING, and another attempt follows after reconnect_delay_sec,
 * whatever the target or the network said: both may change. Only what libnvmux refuses at once, an
 * option or a transport, is final.
 * No queue pair can be made: it is detached again. It is lost meanwhile: handled right after it has
 * become ready. The daemon ends, or it is to be detached: its start is given up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"

struct attach_op {
	struct op op;
	struct controller *c;
	struct rpc_request *req; /* NULL: at start, from the configuration */
	bool given_up;
	bool refused;                   /* at once: another attempt would be, too */
	struct rpc_request *detach_req; /* of who gave it up, or NULL */
};

static struct controller *controller_of(struct op *op)
{
	return container_of(op, struct attach_op, op)->c;
}

static void on_removed(void *arg, struct nvmux_ctrlr *ctrlr)
{
	struct controller *c = arg;
	struct op *waiter = c->close_waiter;

	c->lost = true;
	c->removed = ctrlr->wanted_back || ctrlr->gone;
	c->close_waiter = NULL;
	if (waiter)
		op_release(waiter, 0);
	controller_check_lost(c);
}

static void on_aer(void *arg, const struct nvmux_cpl *cpl)
{
	controller_aer(arg, cpl);
}

static void on_event(void *arg, struct nvmux_ctrlr *ctrlr, enum nvmux_ctrlr_event event)
{
	struct controller *c = arg;

	if (event == NVMUX_CTRLR_REMOVING) {
		controller_remove(c);
		return;
	}
	/* while it is being attached, or is going away, nobody has anything of it */
	if (!c->ctrlr || c->state == CONTROLLER_ATTACHING)
		return;
	/* a restored connection may show other namespaces too */
	if (event == NVMUX_CTRLR_NS_CHANGED || event == NVMUX_CTRLR_ANA_CHANGED ||
	    event == NVMUX_CTRLR_RECONNECTED)
		controller_refresh_views(c);
	events_ctrlr(c, event);
}

static void on_started(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr, int err)
{
	struct op *op = arg;
	struct controller *c = controller_of(op);

	(void)trid;
	if (err) {
		op_fail(op, err, "%s", daemon_error_text(c->d, err));
	} else {
		c->ctrlr = ctrlr;
		ctrlr->user = c;
		ctrlr->attention = hw_queues_attention;
		ctrlr->attention_arg = c;
		nvmux_ctrlr_set_remove_cb(ctrlr, on_removed, c);
		nvmux_ctrlr_set_event_cb(ctrlr, on_event, c);
	}
	op_release(op, 0);
}

static void attach_start(struct op *op)
{
	struct controller *c = controller_of(op);
	int err;

	if (c->d->state == DAEMON_STOPPING || c->attaching->given_up) {
		op_fail(op, -ECANCELED,
			c->attaching->given_up ? "it is detached" : "the daemon ends");
		return;
	}
	op_hold(op);
	daemon_clear_error(c->d);
	err = nvmux_connect_async(c->d->nvmux, &c->trid, &c->opts, on_started, op);
	if (err) {
		c->attaching->refused = err == -EPROTONOSUPPORT || err == -EINVAL;
		op_fail(op, err, "%s", daemon_error_text(c->d, err));
		op_release(op, 0);
	}
}

static void attach_make_queues(struct op *op)
{
	struct controller *c = controller_of(op);

	if (!nvmux_ctrlr_is_discovery(c->ctrlr))
		hw_queues_make_base(c, op);
}

/* Some reactors may go without; all may not. */
static int check_base_queues(struct controller *c, struct op *op)
{
	if (!TAILQ_EMPTY(&c->hw_queues)) {
		if (c->queues_err)
			log_warning(&c->d->log, "ctrlr",
				    "%s: only %u queue pairs could be made: %s", c->name,
				    c->n_hw_queues, c->queues_why);
		return 0;
	}
	if (c->queues_err)
		op_fail(op, c->queues_err, "no I/O queue pair can be made: %s", c->queues_why);
	else
		op_fail(op, -ENOSPC, "the controller grants no I/O queue pair");
	return op->err;
}

static void attach_check_queues(struct op *op)
{
	struct controller *c = controller_of(op);

	if (c->attaching->given_up) {
		op_fail(op, -ECANCELED, "it is detached");
		return;
	}
	if (!nvmux_ctrlr_is_discovery(c->ctrlr) && check_base_queues(c, op))
		return;
	c->view = controller_make_view(c, true);
	if (!c->view)
		op_fail(op, -ENOMEM, "out of memory");
}

/* A discovery controller takes no command that needs it. */
static void attach_make_staging(struct op *op)
{
	struct controller *c = controller_of(op);

	if (!nvmux_ctrlr_is_discovery(c->ctrlr))
		ctl_staging_make(c, op);
}

static void attach_undo_queues(struct op *op)
{
	hw_queues_take_back(controller_of(op), op);
}

static void attach_free_queues(struct op *op)
{
	hw_queues_free(controller_of(op), op);
}

static void undone(void *arg, int err)
{
	(void)err; /* the first failure is what counts */
	ctl_staging_drop(controller_of(arg));
	op_release(arg, 0);
}

static void attach_undo_start(struct op *op)
{
	struct controller *c = controller_of(op);
	struct nvmux_ctrlr *ctrlr = c->ctrlr;

	if (!ctrlr)
		return;
	c->ctrlr = NULL;
	op_hold(op);
	nvmux_detach_async(ctrlr, undone, op);
}

static json_t *attach_result(const struct controller *c)
{
	json_t *ids = json_array();

	for (uint32_t i = 0; i < c->view->n_ns; i++)
		json_array_append_new(ids, json_integer(c->view->ns[i].nsid));
	return json_pack("{s:s,s:o}", "name", c->name, "namespaces", ids);
}

static void try_later(struct controller *c)
{
	uint32_t sec = (uint32_t)c->opts.reconnect_delay_sec;
	const struct timeval tv = {.tv_sec = sec};

	if (c->attempts == 1)
		log_error(&c->d->log, "ctrlr", "%s: can't be attached: %s; trying every %u s",
			  c->name, c->reason, sec);
	else
		log_info(&c->d->log, "ctrlr", "%s: attempt %u to attach it failed: %s", c->name,
			 c->attempts, c->reason);
	c->retry_at_ms = nvmux_now_ms() + sec * 1000ull;
	evtimer_add(c->retry, &tv);
}

static void attach_failed(struct attach_op *attach)
{
	struct controller *c = attach->c;
	struct nvmuxd *d = c->d;
	int err = attach->op.err;

	c->attempts++;
	snprintf(c->reason, sizeof(c->reason), "%.*s", (int)sizeof(c->reason) - 1, attach->op.why);
	if (attach->req)
		rpc_reply_errno(attach->req, err, "controller '%s' can't be attached: %s", c->name,
				c->reason);
	else if (!attach->given_up)
		events_attach_failed(c);
	if (!attach->given_up && !attach->refused && c->retry && d->state != DAEMON_STOPPING) {
		try_later(c);
		return;
	}
	if (attach->given_up)
		log_info(&d->log, "ctrlr", "%s: detached before it was attached", c->name);
	else if (!attach->req && !c->found_by[0])
		log_error(&d->log, "ctrlr", "[controller %s]: can't be attached, given up: %s",
			  c->name, c->reason);
	else
		log_error(&d->log, "ctrlr", "%s: can't be attached: %s", c->name, c->reason);
	if (attach->detach_req)
		rpc_reply(attach->detach_req, json_true());
	controller_free(c);
	daemon_progress(d);
}

static void attach_succeeded(struct attach_op *attach)
{
	struct controller *c = attach->c;
	struct nvmuxd *d = c->d;

	c->state = CONTROLLER_READY;
	c->reason[0] = '\0';
	if (c->retry)
		event_free(c->retry);
	c->retry = NULL;
	log_info(&d->log, "ctrlr", "%s: attached, %u namespaces, %u of %u queue pairs in use",
		 c->name, c->view->n_ns, c->n_hw_queues, nvmux_ctrlr_get_max_io_qpairs(c->ctrlr));
	events_controller(c, "controller_attached");
	if (attach->req)
		rpc_reply(attach->req, attach_result(c));
	/* now, so that events of the start follow the one of the attachment */
	nvmux_ctrlr_register_aer_callback(c->ctrlr, on_aer, c);
	c->ctrlr->takes_notices = true;
	controller_check_lost(c);
	controller_check_removed(c);
	daemon_progress(d);
}

static void attach_done(struct op *op)
{
	struct attach_op *attach = container_of(op, struct attach_op, op);

	attach->c->attaching = NULL;
	if (op->err)
		attach_failed(attach);
	else
		attach_succeeded(attach);
	free(attach);
}

static const struct op_step attach_steps[] = {
	{"start the controller", STEP_OK, attach_start},
	{"make queue pairs", STEP_OK, attach_make_queues},
	{"look at them", STEP_OK, attach_check_queues},
	{"make memory for small structures", STEP_OK, attach_make_staging},
	{"take queue pairs back", STEP_UNDO, attach_undo_queues},
	{"free queue pairs", STEP_UNDO, attach_free_queues},
	{"detach", STEP_UNDO, attach_undo_start},
	{NULL, 0, NULL},
};

static const struct op_kind attach_kind = {"attach", attach_steps, attach_done};

static int attempt(struct controller *c, struct rpc_request *req)
{
	struct attach_op *attach = calloc(1, sizeof(*attach));

	if (!attach)
		return -ENOMEM;
	attach->req = req;
	attach->c = c;
	c->attaching = attach;
	c->retry_at_ms = 0;
	c->lost = false; /* of an earlier attempt */
	op_submit(&c->ops, &attach->op, &attach_kind, c->name);
	return 0;
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct controller *c = arg;

	(void)fd;
	(void)what;
	if (attempt(c, NULL)) {
		snprintf(c->reason, sizeof(c->reason), "out of memory");
		c->attempts++;
		events_attach_failed(c);
		try_later(c);
	}
}

int controller_attach(struct nvmuxd *d, const char *name, const struct nvmux_trid *trid,
		      const struct nvmux_ctrlr_opts *opts, const char *found_by,
		      struct rpc_request *req)
{
	struct controller *c = controller_new(d, name, trid);

	if (!c)
		return -ENOMEM;
	c->state = CONTROLLER_ATTACHING;
	c->opts = *opts;
	if (found_by)
		snprintf(c->found_by, sizeof(c->found_by), "%s", found_by);
	if (!req && conf_is_fabrics(trid)) {
		c->retry = evtimer_new(d->base, on_retry, c);
		if (!c->retry)
			goto fail;
	}
	if (attempt(c, req))
		goto fail;
	return 0;
fail:
	controller_free(c);
	return -ENOMEM;
}

/* ---- giving up ---- */

void controller_cancel_attach(struct controller *c, struct rpc_request *req)
{
	struct attach_op *attach = c->attaching;
	struct nvmuxd *d = c->d;

	NVMUX_ASSERT(c->state == CONTROLLER_ATTACHING);
	if (attach && attach->given_up) {
		if (req)
			rpc_reply_errno(req, -EBUSY, "controller '%s' is being detached", c->name);
		return;
	}
	if (attach) {
		attach->given_up = true;
		attach->detach_req = req;
		nvmux_connect_cancel(d->nvmux, &attach->op,
				     nvmux_error(d->nvmux, -ECANCELED, "it is detached"));
		return;
	}
	/* between two attempts */
	log_info(&d->log, "ctrlr", "%s: detached before it was attached", c->name);
	if (req)
		rpc_reply(req, json_true());
	controller_free(c);
	daemon_progress(d);
}

void controllers_cancel_retries(struct nvmuxd *d)
{
	struct controller *c, *next;

	for (c = TAILQ_FIRST(&d->controllers); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state == CONTROLLER_ATTACHING && !c->attaching)
			controller_cancel_attach(c, NULL);
	}
}
