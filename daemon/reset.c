// SPDX-License-Identifier: BSD-3-Clause
/*
 * Resetting a controller under its clients.
 *
 * Happy path: libnvmux stops the queue pairs, each by its reactor; rings say PAUSED → it disables
 * the controller and starts it again, which identifies namespaces, and makes the queues anew →
 * channels get what namespaces look like now (hw_queues.c) → reactors repeat what may be repeated,
 * and end the rest with Outcome Unknown; rings say READY. What clients send by the control plane
 * meanwhile waits. All of this also happens without a word from here, when libnvmux resets a
 * controller whose commands aren't answered: then only commands wait (controller_stopped()).
 *
 * Fabrics controllers are reset in another way (renew.c).
 *
 * Failure modes. libnvmux is at it already, or identifies namespaces: that is waited for. The reset
 * fails: libnvmux lets go of the device, and it is lost (controllers.c). A change (change.c) waits
 * for an answer: it is let go. There is no memory: one that can't go on without is lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"
#include "libcore/faults.h"

#define LOOK_MS 2
#define BUSY_MS 60000 /* it can't be reset: more than what identifying namespaces takes */

struct reset_op {
	struct op op;
	struct controller *c;
	struct rpc_request *req; /* NULL: not asked for by a client */
	struct user_cmd *cmd;    /* completed with @cpl, to be answered in the end; or NULL */
	struct nvmux_cpl cpl;
	bool subsystem; /* NVM subsystem reset */
	bool refused;
	struct nvmux_timer timer; /* until the next attempt */
	uint64_t until_ms;        /* of attempts */
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
	c->changing = true;
	reset->until_ms = nvmux_now_ms() + BUSY_MS;
	if (!revive_active(c->ctrlr))
		return;
	op_hold(op);
	c->revive_waiter = op;
	controller_stopped(c);
}

static void attempt(void *arg);

static void revived(void *arg, int err, uint64_t value)
{
	struct reset_op *reset = arg;
	struct controller *c = reset->c;
	bool later = err == -EBUSY || (err == -ENOMEM && !nvmux_ctrlr_is_failed(c->ctrlr));

	(void)value;
	if (later && !c->lost && nvmux_now_ms() < reset->until_ms) {
		nvmux_timer_set(c->d->nvmux, &reset->timer, LOOK_MS, attempt, reset);
		return;
	}
	reset->refused = err == -EBUSY;
	if (err)
		op_fail(&reset->op, err, "%s", daemon_error_text(c->d, err));
	op_release(&reset->op, 0);
}

static void attempt(void *arg)
{
	struct reset_op *reset = arg;
	struct controller *c = reset->c;

	daemon_clear_error(c->d);
	revive_async(c->ctrlr, reset->subsystem ? REVIVE_SUBSYSTEM : REVIVE_CTRLR, NULL, revived,
		     reset);
}

static void reset_revive(struct op *op)
{
	op_hold(op);
	attempt(container_of(op, struct reset_op, op));
}

static void reset_views(struct op *op)
{
	controller_refresh_views(controller_of(op));
}

void controller_must_reset(struct controller *c, const char *reason)
{
	if (controller_reset(c, NULL, reason))
		return;
	log_error(&c->d->log, "ctrlr", "%s: no memory to reset it", c->name);
	c->lost = true;
	controller_check_lost(c);
}

/* The others of its NVM subsystem have lost their queues with it. */
static void reset_others(const struct controller *c)
{
	struct controller *other;

	TAILQ_FOREACH (other, &c->d->controllers, link) {
		if (controllers_are_siblings(c, other) && other->state == CONTROLLER_READY)
			controller_must_reset(other, "its NVM subsystem has been reset");
	}
}

static void reset_done(struct op *op)
{
	struct reset_op *reset = container_of(op, struct reset_op, op);
	struct controller *c = reset->c;

	if (op->err) {
		if (!reset->refused)
			c->lost = true;
		else if (c->state == CONTROLLER_RESETTING)
			c->state = CONTROLLER_READY;
		log_write(&c->d->log, reset->refused ? NVMUX_LOG_INFO : NVMUX_LOG_ERROR, "ctrlr",
			  "%s: not reset: %s", c->name, op->why);
		if (reset->req)
			rpc_reply_errno(reset->req, op->err, "controller '%s' can't be reset: %s",
					c->name, op->why);
	} else {
		c->state = CONTROLLER_READY;
		c->resets++;
		log_info(&c->d->log, "ctrlr", "%s: ready again", c->name);
		events_reset(c, reset->reason);
		if (reset->req)
			rpc_reply(reset->req, json_true());
		if (c->ns_changed)
			controller_namespaces_changed(c);
		if (reset->subsystem)
			reset_others(c);
	}
	if (reset->cmd)
		user_cmd_cpl(reset->cmd, &reset->cpl);
	free(reset);
	controller_go_on(c);
	controller_check_lost(c);
	daemon_progress(c->d);
}

static const struct op_step reset_steps[] = {
	{"wait for libnvmux", STEP_OK, reset_begin},
	{"reset", STEP_OK, reset_revive},
	{"look at namespaces", STEP_OK, reset_views},
	{NULL, 0, NULL},
};

static const struct op_kind reset_kind = {"reset", reset_steps, reset_done};

/* ---- queue pairs that libnvmux has stopped ---- */

static void look(void *arg)
{
	struct controller *c = arg;
	struct op *waiter = c->revive_waiter;

	if (c->ctrlr && !c->lost && revive_active(c->ctrlr)) {
		nvmux_timer_set(c->d->nvmux, &c->revive_timer, LOOK_MS, look, c);
		return;
	}
	c->revive_waiter = NULL;
	if (waiter)
		op_release(waiter, 0);
	else if (c->state != CONTROLLER_RESETTING && !c->change)
		controller_go_on(c);
}

void controller_stopped(struct controller *c)
{
	c->changing = true;
	if (!controller_is_stopped(c))
		nvmux_timer_set(c->d->nvmux, &c->revive_timer, LOOK_MS, look, c);
}

/* ---- beginning it ---- */

static struct reset_op *submit(struct controller *c, struct rpc_request *req, bool subsystem,
			       const char *reason)
{
	struct reset_op *reset = calloc(1, sizeof(*reset));

	if (!reset) {
		if (req)
			rpc_reply_errno(req, -ENOMEM, "out of memory");
		return NULL;
	}
	reset->c = c;
	reset->req = req;
	reset->subsystem = subsystem;
	snprintf(reset->reason, sizeof(reset->reason), "%s", reason);
	c->n_resets_queued++;
	op_submit(&c->ops, &reset->op, &reset_kind, c->name);
	if (req || !controller_change_is_patient(c))
		controller_skip_change(c);
	return reset;
}

bool controller_reset(struct controller *c, struct rpc_request *req, const char *reason)
{
	if (controller_is_fabrics(c))
		return controller_renew(c, req, reason);
	/* one that waits for its turn does for all who want to get rid of their commands */
	return (!req && c->n_resets_queued) || submit(c, req, false, reason);
}

void controller_reset_after(struct controller *c, struct user_cmd *cmd, const struct nvmux_cpl *cpl,
			    const char *reason)
{
	struct reset_op *reset;

	/* over a fabric nobody notices but for a pause */
	if (controller_is_fabrics(c)) {
		user_cmd_cpl(cmd, cpl);
		controller_renew(c, NULL, reason);
		return;
	}
	reset = submit(c, NULL, false, reason);
	if (!reset) { /* what it has changed would be used as it was */
		user_cmd_cpl(cmd, cpl);
		c->lost = true;
		controller_check_lost(c);
		return;
	}
	reset->cmd = cmd;
	reset->cpl = *cpl;
}

void controller_reset_subsystem(struct controller *c, struct rpc_request *req, const char *reason)
{
	if (controller_is_fabrics(c) || !NVME_CAP_NSSRC(c->ctrlr->cap)) {
		rpc_reply_errno(req, -EOPNOTSUPP,
				"controller '%s' has no NVM subsystem reset (CAP.NSSRS is 0)",
				c->name);
		return;
	}
	submit(c, req, true, reason);
}
