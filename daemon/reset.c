// SPDX-License-Identifier: BSD-3-Clause
/*
 * Resetting a controller under its clients, and commands that change namespaces.
 *
 * Happy path: queue pairs come back from the reactors, rings say PAUSED → the controller is
 * disabled, so that no DMA comes from it → each reactor completes what was in flight with Command
 * Aborted due to SQ Deletion → the controller starts → queue pairs are connected again → channels
 * get what namespaces look like now → reactors go on, rings say READY.
 *
 * A command that changes namespaces (format, management, attachment) is sent when the controller
 * has started and no I/O queue pair is connected yet: what was in flight has ended, and what comes
 * later is checked by the new geometry. Then it is disabled and started once more, which
 * identifies the namespaces again; the rest follows as above. By RPC it is answered after that.
 *
 * Fabrics controllers are reset in another way (renew.c), and refuse such commands.
 *
 * Failure modes. It doesn't start again, or a queue pair can't be connected: it is treated as lost
 * (controllers.c). It can't be disabled: nothing is ended here, as it may still write to memory;
 * libnvmux lets go of it, which is a loss. Such a command isn't answered: a client that asks for a
 * reset ends the wait, and so does a teardown that has waited for very long; disabling or closing
 * the controller completes the command, and nothing goes on before that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"
#include "libcore/transport.h"

#define NSSR_VALUE      0x4e564d65u       /* "NVMe"; base specification 2.0, section 3.1.3.7 */
#define CMD_PATIENCE_MS (10 * 60 * 1000u) /* formatting a large namespace takes minutes */

struct reset_op {
	struct op op;
	struct controller *c;
	struct rpc_request *req; /* NULL: not asked for by a client */
	struct user_cmd *cmd;    /* to be sent, or NULL; answered: NULL */
	struct nvmux_cpl cpl;    /* of @cmd, which is answered in the end, when it is by RPC */
	bool completed;
	uint64_t sent_ms;
	bool subsystem; /* NVM subsystem reset */
	bool sent;      /* namespaces may have changed */
	bool refused;
	bool skipped; /* not waiting for @cmd any more: disabling ends it */
	bool waiting; /* for its completion after that */
	char reason[128];
};

static struct controller *controller_of(struct op *op)
{
	return container_of(op, struct reset_op, op)->c;
}

static void reset_begin(struct op *op)
{
	struct reset_op *reset = container_of(op, struct reset_op, op);
	struct controller *c = reset->c;

	c->n_resets_queued--;
	if (c->lost || c->state != CONTROLLER_READY) {
		reset->refused = true;
		op_fail(op, -ENXIO, "it is %s", c->lost ? "lost" : controller_state_name(c->state));
		return;
	}
	c->state = CONTROLLER_RESETTING;
	log_info(&c->d->log, "ctrlr", "%s: reset: %s", c->name, reset->reason);
	hw_queues_take_back(c, op);
}

static void cmd_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct reset_op *reset = arg;

	/* the next request is to find the controller at work again */
	if (reset->cmd->req) {
		reset->cpl = *cpl;
		reset->completed = true;
	} else {
		user_cmd_cpl(reset->cmd, cpl);
		reset->cmd = NULL;
	}
	reset->c->sending = NULL;
	if (!reset->skipped || reset->waiting)
		op_release(&reset->op, 0);
}

static void reset_send_cmd(struct op *op)
{
	struct reset_op *reset = container_of(op, struct reset_op, op);
	const struct checked_cmd *checked;

	if (!reset->cmd)
		return;
	checked = &reset->cmd->checked;
	reset->c->sending = reset;
	reset->sent = true;
	reset->sent_ms = nvmux_now_ms();
	op_hold(op);
	if (nvmux_ctrlr_admin_seg(reset->c->ctrlr, &checked->cmd,
				  checked->seg.len ? &checked->seg : NULL, cmd_done, reset)) {
		user_cmd_complete(reset->cmd, 0, 0, NVMUX_SC_INTERNAL);
		reset->cmd = NULL;
		reset->sent = false;
		reset->c->sending = NULL;
		op_release(op, 0);
	}
}

/* Don't wait any longer for the command that is in flight. */
static void skip_cmd(struct controller *c)
{
	struct reset_op *reset = c->sending;

	if (!reset || reset->skipped)
		return;
	reset->skipped = true;
	op_release(&reset->op, 0);
}

bool controller_cmd_overdue(const struct controller *c)
{
	return c->sending &&
	       (c->d->hurry || nvmux_now_ms() - c->sending->sent_ms > CMD_PATIENCE_MS);
}

static void step_ended(void *arg, int err, uint64_t value)
{
	struct op *op = arg;

	(void)value;
	if (err)
		op_fail(op, err, "%s", daemon_error_text(controller_of(op)->d, err));
	op_release(op, 0);
}

static void disabled(void *arg, int err, uint64_t value)
{
	if (!err)
		controller_of(arg)->disabled = true;
	step_ended(arg, err, value);
}

static void reset_disable(struct op *op)
{
	op_hold(op);
	nvmux_ctrlr_disconnect_async(controller_of(op)->ctrlr, disabled, op);
}

/* Every controller of the subsystem loses its queues; what follows is as for this one alone. */
static void reset_subsystem(struct op *op)
{
	if (!container_of(op, struct reset_op, op)->subsystem)
		return;
	op_hold(op);
	transport_reg_write(controller_of(op)->ctrlr, NVME_REG_NSSR, 4, NSSR_VALUE, step_ended, op);
}

static void reset_abort(struct op *op)
{
	struct controller *c = controller_of(op);

	/* else it may still write to memory: handling its loss comes back to it */
	if (!container_of(op, struct reset_op, op)->refused && controller_is_quiet(c))
		hw_queues_abort(c, NVME_SC_ABORT_QUEUE, op);
}

static void reset_enable(struct op *op)
{
	struct controller *c = controller_of(op);

	op_hold(op);
	c->disabled = false;
	nvmux_ctrlr_reconnect_async(c->ctrlr, step_ended, op);
}

static void reset_disable_again(struct op *op)
{
	if (container_of(op, struct reset_op, op)->sent)
		reset_disable(op);
}

/* A command that wasn't waited for: completed by now, or when libnvmux has closed the device. */
static void reset_end_cmd(struct op *op)
{
	struct reset_op *reset = container_of(op, struct reset_op, op);

	if (reset->c->sending != reset)
		return;
	reset->waiting = true;
	op_hold(op);
}

static void reset_enable_again(struct op *op)
{
	if (container_of(op, struct reset_op, op)->sent)
		reset_enable(op);
}

static void reset_connect(struct op *op)
{
	hw_queues_connect(controller_of(op), op);
}

static void reset_views(struct op *op)
{
	controller_refresh_views(controller_of(op));
}

static void reset_resume(struct op *op)
{
	hw_queues_resume(controller_of(op), op);
}

static void reset_done(struct op *op)
{
	struct reset_op *reset = container_of(op, struct reset_op, op);
	struct controller *c = reset->c;

	if (op->err) {
		c->lost = c->lost || !reset->refused;
		log_write(&c->d->log, reset->refused ? NVMUX_LOG_INFO : NVMUX_LOG_ERROR, "ctrlr",
			  "%s: not reset: %s", c->name, op->why);
		if (reset->req)
			rpc_reply_errno(reset->req, op->err, "controller '%s' can't be reset: %s",
					c->name, op->why);
	} else {
		c->state = CONTROLLER_READY;
		c->resets++;
		log_info(&c->d->log, "ctrlr", "%s: ready again", c->name);
		events_controller(c, "controller_reset");
		if (reset->req)
			rpc_reply(reset->req, json_true());
		if (c->ns_changed)
			controller_namespaces_changed(c);
	}
	if (reset->completed)
		user_cmd_cpl(reset->cmd, &reset->cpl);
	else if (reset->cmd) /* wasn't sent */
		user_cmd_complete(reset->cmd, 0, 0, NVMUX_SC_CTRLR_GONE);
	free(reset);
	controller_check_lost(c);
	daemon_progress(c->d);
}

static const struct op_step reset_steps[] = {
	{"take queue pairs back", STEP_OK, reset_begin},
	{"reset the subsystem", STEP_OK, reset_subsystem},
	{"disable", STEP_OK, reset_disable},
	{"end commands in flight", STEP_ALWAYS, reset_abort},
	{"enable", STEP_OK, reset_enable},
	{"send the command", STEP_OK, reset_send_cmd},
	{"disable again", STEP_OK, reset_disable_again},
	{"wait for the end of the command", STEP_ALWAYS, reset_end_cmd},
	{"enable again", STEP_OK, reset_enable_again},
	{"connect queue pairs", STEP_OK, reset_connect},
	{"look at namespaces", STEP_OK, reset_views},
	{"let reactors go on", STEP_OK, reset_resume},
	{NULL, 0, NULL},
};

static const struct op_kind reset_kind = {"reset", reset_steps, reset_done};

static void submit(struct controller *c, struct rpc_request *req, struct user_cmd *cmd,
		   bool subsystem, const char *reason)
{
	struct reset_op *reset = calloc(1, sizeof(*reset));

	if (!reset) {
		if (req)
			rpc_reply_errno(req, -ENOMEM, "out of memory");
		if (cmd)
			user_cmd_complete(cmd, 0, 0, NVMUX_SC_INTERNAL);
		return;
	}
	reset->c = c;
	reset->req = req;
	reset->cmd = cmd;
	reset->subsystem = subsystem;
	snprintf(reset->reason, sizeof(reset->reason), "%s", reason);
	c->n_resets_queued++;
	op_submit(&c->ops, &reset->op, &reset_kind, c->name);
}

void controller_reset(struct controller *c, struct rpc_request *req, const char *reason)
{
	if (controller_is_fabrics(c)) {
		controller_renew(c, req, reason);
		return;
	}
	if (req || controller_cmd_overdue(c))
		skip_cmd(c);
	/* one that waits for its turn, or comes to it after a command, does for all who want to get
	 * rid of their commands */
	if (!req && (c->n_resets_queued || c->sending))
		return;
	submit(c, req, NULL, false, reason);
}

void controller_reset_subsystem(struct controller *c, struct rpc_request *req, const char *reason)
{
	if (controller_is_fabrics(c) || !NVME_CAP_NSSRC(c->ctrlr->cap)) {
		rpc_reply_errno(req, -EOPNOTSUPP,
				"controller '%s' has no NVM subsystem reset (CAP.NSSRS is 0)",
				c->name);
		return;
	}
	skip_cmd(c);
	submit(c, req, NULL, true, reason);
}

/* OACS, base specification 2.0, figure 275: a reset for nothing would disturb all clients. */
static bool supported(const struct controller *c, uint8_t opc)
{
	uint16_t oacs = le16_to_cpu(c->ctrlr->id.oacs);

	switch (opc) {
	case nvme_admin_format_nvm: return oacs & NVME_CTRL_OACS_FORMAT;
	case nvme_admin_ns_mgmt:
	case nvme_admin_ns_attach: return oacs & NVME_CTRL_OACS_NS_MGMT;
	default: return true; /* the effects log says so */
	}
}

void controller_namespaces_changed(struct controller *c)
{
	if (controller_is_fabrics(c)) {
		controller_rescan(c);
		return;
	}
	/* One that comes during a reset may be younger than what the reset has read. */
	c->ns_changed = c->state == CONTROLLER_RESETTING;
	if (c->state == CONTROLLER_READY)
		controller_reset(c, NULL, "its namespaces have changed");
}

void controller_change_namespaces(struct controller *c, struct user_cmd *cmd)
{
	/* Queue pairs survive its resets: there is no point where nothing is in flight. */
	if (controller_is_fabrics(c)) {
		user_cmd_complete(cmd, 0, 0, NVMUX_SC_OPCODE_REFUSED | NVMUX_STATUS_DNR);
		return;
	}
	if (!supported(c, cmd->checked.cmd.opc)) {
		user_cmd_complete(cmd, 0, 0, NVME_SC_INVALID_OPCODE | NVMUX_STATUS_DNR);
		return;
	}
	submit(c, NULL, cmd, false, "a command changes its namespaces");
}
