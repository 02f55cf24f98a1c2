// SPDX-License-Identifier: BSD-3-Clause
/*
 * Attaching a controller.
 *
 * Happy path: libnvmux starts it → a base queue pair for each reactor → READY, event, answer.
 *
 * Failure modes. It can't be started: nothing to undo. No queue pair can be made: it is detached
 * again. It is lost meanwhile: handled right after it has become ready. The daemon ends: its start
 * is given up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"

struct attach_op {
	struct op op;
	struct controller *c;
	struct rpc_request *req; /* NULL: at start, from the configuration */
};

static struct controller *controller_of(struct op *op)
{
	return container_of(op, struct attach_op, op)->c;
}

static void on_removed(void *arg, struct nvmux_ctrlr *ctrlr)
{
	struct controller *c = arg;
	struct op *waiter = c->close_waiter;

	(void)ctrlr;
	c->lost = true;
	c->close_waiter = NULL;
	if (waiter)
		op_release(waiter, 0);
	controller_check_lost(c);
}

static void on_aer(void *arg, const struct nvmux_cpl *cpl)
{
	struct controller *c = arg;
	uint32_t dw0 = le32_to_cpu(cpl->dw0);

	log_info(&c->d->log, "ctrlr", "%s: asynchronous event, type %u, information %#x, log %#x",
		 c->name, dw0 & 7, dw0 >> 8 & 0xff, dw0 >> 16 & 0xff);
	events_emit(c->d, "aer",
		    json_pack("{s:s,s:i,s:i,s:i}", "name", c->name, "event_type", dw0 & 7,
			      "information", dw0 >> 8 & 0xff, "log_page", dw0 >> 16 & 0xff));
	/* Type 2: notice; information 0: namespace attribute changed. */
	if ((dw0 & 0xff07) == 2)
		controller_namespaces_changed(c);
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
		nvmux_ctrlr_set_remove_cb(ctrlr, on_removed, c);
		nvmux_ctrlr_register_aer_callback(ctrlr, on_aer, c);
	}
	op_release(op, 0);
}

static void attach_start(struct op *op)
{
	struct controller *c = controller_of(op);
	int err;

	if (c->d->state == DAEMON_STOPPING) {
		op_fail(op, -ECANCELED, "the daemon ends");
		return;
	}
	op_hold(op);
	err = nvmux_connect_async(c->d->nvmux, &c->trid, &c->opts, on_started, op);
	if (err) {
		op_fail(op, err, "%s", daemon_error_text(c->d, err));
		op_release(op, 0);
	}
}

static void attach_make_queues(struct op *op)
{
	hw_queues_make_base(controller_of(op), op);
}

static void attach_check_queues(struct op *op)
{
	struct controller *c = controller_of(op);

	if (TAILQ_EMPTY(&c->hw_queues)) {
		op_fail(op, -ENOSPC, "the controller grants no I/O queue pair");
		return;
	}
	c->view = controller_make_view(c, true);
	if (!c->view)
		op_fail(op, -ENOMEM, "out of memory");
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

static void attach_done(struct op *op)
{
	struct attach_op *attach = container_of(op, struct attach_op, op);
	struct controller *c = attach->c;
	struct nvmuxd *d = c->d;

	if (op->err) {
		log_error(&d->log, "ctrlr", "%s: can't be attached: %s", c->name, op->why);
		if (attach->req)
			rpc_reply_errno(attach->req, op->err,
					"controller '%s' can't be attached: %s", c->name, op->why);
		controller_free(c);
		daemon_progress(d);
	} else {
		c->state = CONTROLLER_READY;
		log_info(&d->log, "ctrlr",
			 "%s: attached, %u namespaces, %u of %u queue pairs in use", c->name,
			 c->view->n_ns, c->n_hw_queues, nvmux_ctrlr_get_max_io_qpairs(c->ctrlr));
		events_controller(c, "controller_attached");
		if (attach->req)
			rpc_reply(attach->req, attach_result(c));
		controller_check_lost(c);
		daemon_progress(d);
	}
	free(attach);
}

static const struct op_step attach_steps[] = {
	{"start the controller", STEP_OK, attach_start},
	{"make queue pairs", STEP_OK, attach_make_queues},
	{"look at them", STEP_OK, attach_check_queues},
	{"take queue pairs back", STEP_UNDO, attach_undo_queues},
	{"free queue pairs", STEP_UNDO, attach_free_queues},
	{"detach", STEP_UNDO, attach_undo_start},
	{NULL, 0, NULL},
};

static const struct op_kind attach_kind = {"attach", attach_steps, attach_done};

int controller_attach(struct nvmuxd *d, const char *name, const struct nvmux_trid *trid,
		      const struct nvmux_ctrlr_opts *opts, struct rpc_request *req)
{
	struct attach_op *attach = calloc(1, sizeof(*attach));

	if (!attach)
		return -ENOMEM;
	attach->req = req;
	attach->c = controller_new(d, name, trid);
	if (!attach->c) {
		free(attach);
		return -ENOMEM;
	}
	attach->c->state = CONTROLLER_ATTACHING;
	attach->c->opts = *opts;
	op_submit(&attach->c->ops, &attach->op, &attach_kind, attach->c->name);
	return 0;
}
