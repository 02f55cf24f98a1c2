// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands that change namespaces or the controller, and namespaces that have changed: without a
 * reset, over every transport.
 *
 * Happy path: where the command may not run beside others, hardware queue pairs are held (clients'
 * rings say PAUSED), and clients' admin commands wait → what is in flight ends → the command is
 * sent → namespaces are identified anew → channels get what they look like now, and subscribers are
 * told → everything goes on → the command is answered. Where only namespaces have changed there is
 * no command; where others need not stop, nothing is held.
 *
 * A controller that a command has changed itself (by the log, CCC) is identified anew, too, and
 * reset only if something differs that can't be changed in place. What changes namespaces is
 * one for all controllers of the NVM subsystem (siblings.c).
 *
 * Failure modes. What is in flight doesn't end: after limits.drain_timeout_ms (admin commands:
 * change_timeout_ms) the controller is reset, and the command isn't sent. The command isn't
 * answered: after limits.change_timeout_ms the controller is reset. That its client
 * dies makes no difference, as a format that is interrupted leaves a namespace of no use. A reset
 * is asked for, which lets go of the change (controller_skip_change()); what is held stays so until
 * that reset has ended, and a command that is in flight is answered when the reset has ended it.
 * The controller is lost or reset meanwhile: the command gets what any would get. Namespaces can't
 * be identified after the command: a reset, as nothing may be checked by an old geometry.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"
#include "daemon/effects.h"
#include "libcore/transport.h"

#define WAIT_MS 2 /* between two looks at others of the subsystem */

/* A command in flight, which may outlive its change. */
struct change_cmd {
	struct user_cmd *cmd;
	struct change_op *change; /* waits for it; NULL: not any more */
	struct nvmux_cpl cpl;
	uint64_t sent_ms;
	bool sent;
	bool completed;
};

struct change_op {
	struct op op;
	struct controller *c;
	struct change_cmd *cmd; /* NULL: only a look at namespaces */
	struct nvmux_timer timer; /* while it is in flight, or waits */
	struct nvme_id_ctrl *id;  /* being read: what the command has changed */
	bool reset;               /* what it says now can't be changed in place */
	struct effects_plan plan;
	bool draining; /* waits for hardware queue pairs */
	bool settling; /* waits for admin commands */
	bool skipped;
};

struct deferred {
	TAILQ_ENTRY(deferred) link;
	struct rpc_request *req;
};

static struct change_op *change_of(struct op *op)
{
	return container_of(op, struct change_op, op);
}

/* ---- requests that wait ---- */

bool controller_defer(struct controller *c, struct rpc_request *req)
{
	struct deferred *deferred;

	if (!c->changing)
		return false;
	deferred = malloc(sizeof(*deferred));
	if (!deferred) {
		rpc_reply_errno(req, -ENOMEM, "out of memory");
		return true;
	}
	deferred->req = req;
	TAILQ_INSERT_TAIL(&c->deferred, deferred, link);
	return true;
}

void controller_refuse_deferred(struct controller *c)
{
	struct deferred *deferred;

	while ((deferred = TAILQ_FIRST(&c->deferred))) {
		TAILQ_REMOVE(&c->deferred, deferred, link);
		rpc_reply_errno(deferred->req, -ENODEV, "controller '%s' has been detached",
				c->name);
		free(deferred);
	}
}

/* What they ask for may be another change: those behind it wait again, in their order. */
void controller_go_on(struct controller *c)
{
	struct deferred_list list = TAILQ_HEAD_INITIALIZER(list);
	struct deferred *deferred;

	if (c->held_for)
		return; /* when that has ended */
	hw_queues_release(c);
	if (!c->changing || controller_is_stopped(c))
		return;
	c->changing = false;
	siblings_go_on(c);
	user_cmds_repeat(c);
	holds_serve_rings_later(c);
	TAILQ_CONCAT(&list, &c->deferred, link);
	while ((deferred = TAILQ_FIRST(&list))) {
		struct rpc_request *req = deferred->req;

		TAILQ_REMOVE(&list, deferred, link);
		free(deferred);
		if (rpc_request_conn(req))
			rpc_request_again(req);
		else
			rpc_reply_errno(req, -ECONNRESET, "the client has gone");
	}
}

/* ---- the steps ---- */

static bool may_change(const struct controller *c)
{
	return !c->detaching && !c->lost && c->state == CONTROLLER_READY;
}

/* One of the same namespaces at a time; and none while it is held for another controller. */
static bool must_wait(const struct change_op *change)
{
	const struct controller *c = change->c;

	return may_change(c) && (c->held_for || (change->cmd && siblings_are_busy(c)));
}

static void begin(struct change_op *change)
{
	struct controller *c = change->c;

	if (!change->cmd)
		c->look_queued = false;
	if (!may_change(c)) {
		op_fail(&change->op, -ENXIO, "it is %s",
			c->detaching ? "being detached"
			: c->lost    ? "lost"
				     : controller_state_name(c->state));
		return;
	}
	c->change = change;
	c->changing = c->changing || change->plan.hold;
}

static void begin_later(void *arg)
{
	struct change_op *change = arg;

	if (must_wait(change)) {
		nvmux_timer_set(change->c->d->nvmux, &change->timer, WAIT_MS, begin_later, change);
		return;
	}
	begin(change);
	op_release(&change->op, 0);
}

static void change_begin(struct op *op)
{
	struct change_op *change = change_of(op);

	if (must_wait(change)) {
		op_hold(op);
		nvmux_timer_set(change->c->d->nvmux, &change->timer, WAIT_MS, begin_later, change);
	} else {
		begin(change);
	}
}

static void arm_drain(struct change_op *change);

/* All others wait for a few commands. Those of a lost connection have deadlines of their own. */
static void drain_too_long(void *arg)
{
	struct change_op *change = arg;
	struct controller *c = change->c;

	if (controller_has_path(c) &&
	    controller_reset(c, NULL, "commands that a change waits for aren't answered"))
		controller_skip_change(c);
	else
		arm_drain(change);
}

static void arm_drain(struct change_op *change)
{
	struct nvmuxd *d = change->c->d;

	nvmux_timer_set(d->nvmux, &change->timer,
			MAX(d->config.limits.drain_timeout_ms, DRAIN_MIN_MS), drain_too_long,
			change);
}

static void change_hold(struct op *op)
{
	struct change_op *change = change_of(op);

	if (!change->plan.hold)
		return;
	change->draining = true;
	arm_drain(change);
	hw_queues_hold(change->c, op);
	if (change->cmd)
		siblings_hold(change->c, op);
}

/* Even of a client that is still there: all the others wait for it. */
static void too_long(void *arg)
{
	struct change_op *change = arg;

	if (controller_reset(change->c, NULL, "a command that others wait for isn't answered"))
		controller_skip_change(change->c); /* for a reset that has waited longer, too */
	else
		nvmux_timer_set(change->c->d->nvmux, &change->timer, DRAIN_MIN_MS, too_long,
				change);
}

static void change_settle(struct op *op)
{
	struct change_op *change = change_of(op);

	change->draining = false;
	nvmux_timer_cancel(change->c->d->nvmux, &change->timer);
	if (!change->plan.hold || !change->c->n_admin)
		return;
	change->settling = true;
	op_hold(op);
	/* some of these take long, and all others wait */
	nvmux_timer_set(change->c->d->nvmux, &change->timer,
			change->c->d->config.limits.change_timeout_ms, too_long, change);
}

void controller_admin_ended(struct controller *c)
{
	struct change_op *change = c->change;

	NVMUX_ASSERT(c->n_admin > 0);
	c->n_admin--;
	if (!change || !change->settling || c->n_admin)
		return;
	change->settling = false;
	nvmux_timer_cancel(c->d->nvmux, &change->timer);
	op_release(&change->op, 0);
}

static void answered(void *arg, const struct nvmux_cpl *cpl)
{
	struct change_cmd *cmd = arg;

	if (!cmd->change) { /* a reset has ended it */
		user_cmd_cpl(cmd->cmd, cpl);
		free(cmd);
		return;
	}
	cmd->cpl = *cpl;
	cmd->completed = true;
	nvmux_timer_cancel(cmd->change->c->d->nvmux, &cmd->change->timer);
	op_release(&cmd->change->op, 0);
}

static int submit(struct controller *c, struct change_cmd *cmd)
{
	const struct checked_cmd *checked = &cmd->cmd->checked;

	if (cmd->cmd->io)
		return user_cmd_submit_io(cmd->cmd, answered, cmd);
	return nvmux_ctrlr_admin_seg(c->ctrlr, &checked->cmd,
				     checked->seg.len ? &checked->seg : NULL, answered, cmd);
}

static void change_send(struct op *op)
{
	struct change_op *change = change_of(op);
	struct change_cmd *cmd = change->cmd;
	struct controller *c = change->c;

	if (!cmd)
		return;
	if (!controller_has_path(c)) {
		op_fail(op, -ENOTCONN, "its connection is lost");
		return;
	}
	cmd->sent = true;
	cmd->sent_ms = nvmux_now_ms();
	op_hold(op);
	nvmux_timer_set(c->d->nvmux, &change->timer, c->d->config.limits.change_timeout_ms,
			too_long, change);
	if (!submit(c, cmd))
		return;
	cmd->sent = false;
	op_fail(op, -EIO, "the command can't be sent");
	op_release(op, 0);
}

static void identified(void *arg, const struct nvmux_cpl *cpl)
{
	struct change_op *change = arg;
	struct nvmux_ctrlr *ctrlr = change->c->ctrlr;
	const struct nvme_id_ctrl *id = change->id;

	if (nvmux_cpl_is_error(cpl)) {
		op_fail(&change->op, -EIO, "the controller can't be identified");
	} else if (id->mdts != ctrlr->id.mdts || id->sqes != ctrlr->id.sqes ||
		   id->cqes != ctrlr->id.cqes || id->sgls != ctrlr->id.sgls ||
		   id->maxcmd != ctrlr->id.maxcmd || id->cntlid != ctrlr->id.cntlid ||
		   memcmp(id->subnqn, ctrlr->id.subnqn, sizeof(id->subnqn)) != 0) {
		change->reset = change->plan.reset;
	} else {
		ctrlr->id = *id;
	}
	op_release(&change->op, 0);
}

/* Nothing is in flight, and no reactor looks at it now. */
static void change_identify(struct op *op)
{
	struct change_op *change = change_of(op);
	const struct change_cmd *cmd = change->cmd;
	const struct nvmux_cmd identify = {.opc = nvme_admin_identify,
					   .cdw10 = cpu_to_le32(NVME_IDENTIFY_CNS_CTRL)};
	int err = -ENOMEM;

	if (!change->plan.identify || !cmd || nvmux_cpl_is_error(&cmd->cpl))
		return;
	change->id = calloc(1, sizeof(*change->id));
	op_hold(op);
	if (change->id)
		err = nvmux_ctrlr_admin(change->c->ctrlr, &identify, change->id,
					sizeof(*change->id), identified, change);
	if (!err)
		return;
	op_fail(op, err, "the controller can't be identified");
	op_release(op, 0);
}

/* Whatever its status: a format that failed may have changed the format all the same. */
static void change_look(struct op *op)
{
	struct change_op *change = change_of(op);

	if (change->plan.look)
		controller_wait_link(change->c, op, nvmux_ctrlr_rescan_async);
}

static void change_views(struct op *op)
{
	struct change_op *change = change_of(op);

	if (change->plan.look)
		controller_refresh_views(change->c);
}

/* ---- the end ---- */

/* Commands would be checked by what was, and something else may be by now. */
static bool wants_reset(const struct change_op *change)
{
	const struct controller *c = change->c;

	return change->op.err && change->cmd && change->cmd->sent && change->plan.look &&
	       !change->skipped && !c->detaching && !c->lost && c->state == CONTROLLER_READY;
}

static void answer(struct change_op *change)
{
	struct change_cmd *cmd = change->cmd;
	struct controller *c = change->c;
	uint16_t status;

	if (!cmd)
		return;
	cmd->change = NULL;
	if (cmd->sent && !cmd->completed)
		return; /* its completion does */
	if (!cmd->sent) {
		status = c->detaching ? 0 : user_cmd_unavailable(c);
		if (!status)
			status = controller_has_path(c) ? NVME_SC_ABORT_QUEUE : NVMUX_PATH_ERROR;
		user_cmd_complete(cmd->cmd, 0, 0, status);
	} else if (change->reset && !change->op.err) {
		controller_reset_after(c, cmd->cmd, &cmd->cpl, "a command has changed it");
	} else {
		user_cmd_cpl(cmd->cmd, &cmd->cpl);
	}
	free(cmd);
}

static void change_done(struct op *op)
{
	struct change_op *change = change_of(op);
	struct controller *c = change->c;
	bool reset = wants_reset(change);

	nvmux_timer_cancel(c->d->nvmux, &change->timer);
	if (c->change == change)
		c->change = NULL;
	if (change->plan.look && change->cmd && change->cmd->sent)
		siblings_look(c);
	if (op->err)
		log_info(&c->d->log, "ctrlr", "%s: %s: %s", c->name,
			 change->cmd ? "a command wasn't sent, or what it changed not looked at"
				     : "namespaces not looked at",
			 op->why);
	if (reset && !controller_reset(c, NULL, "what a command has changed can't be looked at")) {
		log_error(&c->d->log, "ctrlr", "%s: no memory to reset it", c->name);
		c->lost = true;
	}
	answer(change);
	if (!reset && !change->skipped)
		controller_go_on(c);
	free(change->id);
	free(change);
	controller_check_lost(c);
	daemon_progress(c->d);
}

static const struct op_step change_steps[] = {
	{"may it be changed?", STEP_OK, change_begin},
	{"hold queue pairs", STEP_OK, change_hold},
	{"wait for admin commands", STEP_OK, change_settle},
	{"send the command", STEP_OK, change_send},
	{"identify the controller", STEP_OK, change_identify},
	{"identify namespaces", STEP_OK, change_look},
	{"tell channels", STEP_OK, change_views},
	{NULL, 0, NULL},
};

static const struct op_kind change_kind = {"change", change_steps, change_done};

bool controller_change_is_patient(const struct controller *c)
{
	const struct change_cmd *cmd = c->change ? c->change->cmd : NULL;

	return cmd && cmd->sent && !cmd->completed && !c->d->hurry &&
	       nvmux_now_ms() - cmd->sent_ms < c->d->config.limits.change_timeout_ms;
}

void controller_skip_change(struct controller *c)
{
	struct change_op *change = c->change;
	struct change_cmd *cmd;

	if (!change || change->skipped)
		return;
	cmd = change->cmd;
	if (!change->draining && !change->settling && !(cmd && cmd->sent && !cmd->completed))
		return; /* it looks at namespaces, for which there is a deadline */
	change->skipped = true;
	op_fail(&change->op, -ECANCELED, "it is reset");
	if (change->draining) {
		hw_queues_stop_holding(c);
		siblings_stop_holding(c);
	} else if (change->settling) {
		change->settling = false;
		op_release(&change->op, 0);
	} else {
		cmd->change = NULL;
		op_release(&change->op, 0);
	}
}

/* ---- beginning it ---- */

static struct change_op *change_new(struct controller *c, struct user_cmd *cmd)
{
	struct change_op *change = calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	change->c = c;
	if (!cmd)
		return change;
	change->cmd = calloc(1, sizeof(*change->cmd));
	if (!change->cmd) {
		free(change);
		return NULL;
	}
	change->cmd->cmd = cmd;
	change->cmd->change = change;
	return change;
}

/* OACS, base specification 2.0, figure 275: not to stop all clients for nothing. */
static bool supported(const struct controller *c, uint8_t opc)
{
	uint16_t oacs = le16_to_cpu(c->ctrlr->id.oacs);

	switch (opc) {
	case nvme_admin_format_nvm: return oacs & NVME_CTRL_OACS_FORMAT;
	case nvme_admin_ns_mgmt:
	case nvme_admin_ns_attach: return oacs & NVME_CTRL_OACS_NS_MGMT;
	default: return true; /* the effects log says so, or the controller refuses it */
	}
}

void controller_change(struct controller *c, struct user_cmd *cmd, const struct effects_plan *plan)
{
	struct change_op *change;

	if (!cmd->io && !supported(c, cmd->checked.cmd.opc)) {
		user_cmd_complete(cmd, 0, 0, NVME_SC_INVALID_OPCODE | NVMUX_STATUS_DNR);
		return;
	}
	change = change_new(c, cmd);
	if (!change) {
		user_cmd_complete(cmd, 0, 0, NVMUX_SC_INTERNAL);
		return;
	}
	change->plan = *plan;
	op_submit(&c->ops, &change->op, &change_kind, c->name);
}

/*
 * Over a fabric data is described by keys with a length, so that an old geometry does no harm to
 * memory: I/O goes on meanwhile.
 */
void controller_namespaces_changed(struct controller *c)
{
	struct change_op *change;

	/* One that comes during a reset may be younger than what the reset has read. */
	c->ns_changed = c->state == CONTROLLER_RESETTING;
	if (c->state != CONTROLLER_READY || c->look_queued)
		return;
	change = change_new(c, NULL);
	if (!change) {
		log_error(&c->d->log, "ctrlr", "%s: no memory to look at namespaces", c->name);
		return;
	}
	change->plan = (struct effects_plan){.hold = !controller_is_fabrics(c), .look = true};
	c->look_queued = true;
	op_submit(&c->ops, &change->op, &change_kind, c->name);
}
