// SPDX-License-Identifier: BSD-3-Clause
/*
 * Detaching a controller that nobody holds.
 *
 * Happy path: queue pairs come back from the reactors → they are deleted → libnvmux shuts the
 * controller down (CC.SHN) and lets go of the device → it is forgotten, event, answer.
 *
 * Failure modes. Somebody holds it: EBUSY, with who. The shutdown doesn't end in time: it is
 * detached all the same, and the answer says so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"

struct detach_op {
	struct op op;
	struct controller *c;
	struct rpc_request *req;
};

static struct controller *controller_of(struct op *op)
{
	return container_of(op, struct detach_op, op)->c;
}

static void reply_busy(struct rpc_request *req, const struct controller *c)
{
	json_t *holders = json_array();
	struct hold *hold;
	char names[256] = "";
	size_t len = 0;

	TAILQ_FOREACH(hold, &c->holds, ctrlr_link)
	{
		const struct session *s = hold->session;

		json_array_append_new(holders,
				      json_pack("{s:i,s:i}", "client", s->id, "pid", s->cred.pid));
		if (len < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len,
						"%sclient %u (process %d, %s)", len ? ", " : "",
						s->id, s->cred.pid, s->command);
	}
	rpc_reply_error(req, RPC_ERRNO,
			json_pack("{s:s,s:o}", "errno", "EBUSY", "holders", holders),
			"controller '%s' is in use by %s", c->name, names);
}

static void detach_begin(struct op *op)
{
	struct controller *c = controller_of(op);

	NVMUX_ASSERT(TAILQ_EMPTY(&c->holds));
	c->state = CONTROLLER_DETACHING;
	hw_queues_take_back(c, op);
}

static void detach_free_queues(struct op *op)
{
	hw_queues_free(controller_of(op), op);
}

static void detached(void *arg, int err)
{
	op_release(arg, err);
}

static void detach_shut_down(struct op *op)
{
	struct controller *c = controller_of(op);
	struct nvmux_ctrlr *ctrlr = c->ctrlr;

	c->ctrlr = NULL;
	op_hold(op);
	nvmux_detach_async(ctrlr, detached, op);
}

static void detach_done(struct op *op)
{
	struct detach_op *detach = container_of(op, struct detach_op, op);
	struct controller *c = detach->c;
	struct nvmuxd *d = c->d;
	struct nvmux_trid trid;
	bool came_back;

	if (op->err) {
		log_warning(&d->log, "ctrlr", "%s: detached, but its shutdown failed: %s", c->name,
			    op->why);
		if (detach->req)
			rpc_reply_errno(detach->req, op->err,
					"controller '%s' is detached, but its shutdown failed: %s",
					c->name, op->why);
	} else {
		log_info(&d->log, "ctrlr", "%s: detached", c->name);
		if (detach->req)
			rpc_reply(detach->req, json_true());
	}
	controller_say_removed(c);
	events_controller(c, "controller_detached");
	free(detach);
	came_back = c->came_back && controller_is_removed(c);
	trid = c->trid;
	controller_free(c);
	if (came_back)
		hotplug_again(d, &trid);
	daemon_progress(d);
}

static const struct op_step detach_steps[] = {
	{"take queue pairs back", STEP_OK, detach_begin},
	{"free queue pairs", STEP_OK, detach_free_queues},
	{"shut down", STEP_OK, detach_shut_down},
	{NULL, 0, NULL},
};

static const struct op_kind detach_kind = {"detach", detach_steps, detach_done};

void controller_detach(struct controller *c, struct rpc_request *req)
{
	struct detach_op *detach;

	if (!TAILQ_EMPTY(&c->holds)) {
		if (req)
			reply_busy(req, c);
		return;
	}
	if (c->detaching) {
		if (req)
			rpc_reply_errno(req, -EBUSY, "controller '%s' is being detached", c->name);
		return;
	}
	detach = calloc(1, sizeof(*detach));
	if (!detach) {
		if (req)
			rpc_reply_errno(req, -ENOMEM, "out of memory");
		return;
	}
	c->detaching = true;
	detach->c = c;
	detach->req = req;
	op_submit(&c->ops, &detach->op, &detach_kind, c->name);
	controller_stop_waiting(c);
}
