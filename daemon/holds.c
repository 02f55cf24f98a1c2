// SPDX-License-Identifier: BSD-3-Clause
/*
 * Opening a controller in a session, and serving its admin ring.
 *
 * Happy path: the ring is made → the session's regions are mapped for the controller → the answer
 * is made, with the ring's descriptors, and goes to the client. From then on commands are taken
 * from the ring, few at a time, and checked and sent by user_cmd.c.
 *
 * Failure modes. The controller fails meanwhile, a region can't be mapped, or no descriptor is
 * left: what has been mapped is unmapped again. The client closes its end of the socket pair: the
 * ring isn't looked at any more. It publishes more than it may have in flight: the rest waits in
 * the ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/daemon.h"

/* What is done for one ring before others have their turn: refused commands cost time too. */
#define TURNS_PER_EVENT   4
#define COMMANDS_PER_TURN 16

struct open_op {
	struct op op;
	struct session *s;
	struct rpc_request *req;
	struct hold *hold;
	char name[CONF_NAME_MAX];
	json_t *result; /* the answer */
	int fds[2];     /* to go with it */
};

static struct open_op *open_op_of(struct op *op)
{
	return container_of(op, struct open_op, op);
}

/* ---- the admin ring ---- */

static void take_commands(struct hold *hold)
{
	struct user_request request = {.io = false};

	for (unsigned n = 0; n < COMMANDS_PER_TURN; n++) {
		if (hold->in_flight >= hold->session->limits.admin_in_flight ||
		    hold->controller->changing || !admin_ring_next(hold->ring, &request.copy))
			return;
		user_cmd_send(hold, &request, NULL);
	}
}

void hold_serve_ring(struct hold *hold)
{
	struct session *s = hold->session;
	int err;

	if (!hold->ready || hold->closing || s->closing || !hold->event)
		return;
	if (hold->controller->changing) { /* served again when that has ended */
		event_del(hold->event);
		return;
	}
	for (unsigned turn = 0; turn < TURNS_PER_EVENT; turn++) {
		take_commands(hold);
		if (hold->in_flight >= s->limits.admin_in_flight || hold->controller->changing) {
			event_del(hold->event); /* until one of them, or that, has ended */
			return;
		}
		err = admin_ring_arm(hold->ring);
		if (err == -EPIPE) {
			event_free(hold->event);
			hold->event = NULL;
			return;
		}
		event_add(hold->event, NULL);
		if (err != -EAGAIN)
			return;
	}
	event_del(hold->event); /* commands are there, no matter what it says */
	hold_serve_ring_later(hold);
}

void hold_serve_ring_later(struct hold *hold)
{
	const struct timeval now = {0};

	/* It is armed while it is watched: a command that comes makes the descriptor readable. */
	if (!hold->event || event_pending(hold->event, EV_READ, NULL))
		return;
	/* a timer, as libevent serves event_active() in the same pass, before all the others */
	if (!hold->closing && !hold->session->closing &&
	    !event_pending(hold->later, EV_TIMEOUT, NULL))
		event_add(hold->later, &now);
}

void holds_serve_rings_later(struct controller *c)
{
	struct hold *hold;

	TAILQ_FOREACH (hold, &c->holds, ctrlr_link)
		hold_serve_ring_later(hold);
}

static void on_ring(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hold_serve_ring(arg);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	hold_serve_ring(arg);
}

/* ---- holds ---- */

static struct hold *hold_new(struct session *s, struct controller *c)
{
	struct hold *hold = calloc(1, sizeof(*hold));

	if (!hold)
		return NULL;
	/* libnvmux keeps some slots of an admin queue for itself, on the client's side too */
	hold->depth = s->limits.admin_in_flight + NVMUX_ADMIN_RESERVED;
	if (admin_ring_create(hold->depth, &hold->ring)) {
		free(hold);
		return NULL;
	}
	hold->id = ++s->next_hold_id;
	hold->session = s;
	hold->controller = c;
	TAILQ_INSERT_TAIL(&s->holds, hold, link);
	TAILQ_INSERT_TAIL(&c->holds, hold, ctrlr_link);
	return hold;
}

void hold_free(struct hold *hold)
{
	struct controller *c = hold->controller;

	NVMUX_ASSERT(!hold->in_flight && !hold->waiter);
	if (controller_is_removed(c) && hold->ready) {
		session_remember_gone(hold->session, c);
		events_closed(hold);
	}
	if (hold->event)
		event_free(hold->event);
	if (hold->later)
		event_free(hold->later);
	admin_ring_destroy(hold->ring);
	TAILQ_REMOVE(&hold->session->holds, hold, link);
	TAILQ_REMOVE(&c->holds, hold, ctrlr_link);
	free(hold);
	controller_check_removed(c);
}

/* ---- opening ---- */

static void open_begin(struct op *op)
{
	struct open_op *open = open_op_of(op);
	struct controller *c = controller_find(open->s->d, open->name);

	if (!c)
		op_fail(op, -ENODEV, "there is no controller '%s'", open->name);
	else if (session_hold(open->s, open->name))
		op_fail(op, -EALREADY, "controller '%s' is open in the session already",
			open->name);
	else if (controller_is_removed(c))
		op_fail(op, -ENODEV, "controller '%s' is being removed", open->name);
	else if (c->lost || c->state == CONTROLLER_FAILED)
		op_fail(op, -ENXIO, CONTROLLER_FAILED_TEXT, open->name);
	else if (c->detaching || c->state == CONTROLLER_ATTACHING)
		op_fail(op, -EBUSY, "controller '%s' is being %s", open->name,
			c->detaching ? "detached" : "attached");
	else {
		open->hold = hold_new(open->s, c);
		if (!open->hold)
			op_fail(op, -ENOMEM, "the admin ring can't be made");
	}
}

static void mapped(void *arg, int err, uint64_t value)
{
	(void)value;
	if (err)
		op_fail(arg, err, "a region can't be mapped: %s", strerror(-err));
	op_release(arg, 0);
}

static void open_map(struct op *op)
{
	struct open_op *open = open_op_of(op);
	struct session *s = open->s;

	for (uint32_t i = 0; i < s->limits.max_regions; i++) {
		if (!s->regions[i].mem)
			continue;
		op_hold(op);
		nvmux_mem_map_async(s->regions[i].mem, open->hold->controller->ctrlr, mapped, op);
	}
}

static json_t *open_json(const struct open_op *open)
{
	const struct hold *hold = open->hold;
	const struct nvmux_ctrlr *ctrlr = hold->controller->ctrlr;
	char cap[20], vs[12], cc[12], csts[12];

	snprintf(cap, sizeof(cap), "0x%" PRIx64, ctrlr->cap);
	snprintf(vs, sizeof(vs), "0x%" PRIx32, ctrlr->vs);
	snprintf(cc, sizeof(cc), "0x%" PRIx32, ctrlr->cc);
	snprintf(csts, sizeof(csts), "0x%" PRIx32, ctrlr->csts);
	return json_pack(
		"{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:i,s:I,s:b}", "name", open->name, "cap", cap,
		"vs", vs, "cc", cc, "csts", csts, "max_transfer", (json_int_t)ctrlr->max_transfer,
		"max_queue_entries", (json_int_t)ctrlr->max_queue_entries, "max_io_qpairs",
		(json_int_t)hold->session->limits.max_qpairs, "admin_depth", (int)hold->depth,
		"max_segs", (json_int_t)MIN(MAX(ctrlr->max_segs, 1u), NVMUX_RING_LIST_PER_CMD + 0u),
		"sgl", ctrlr->sgl);
}

/* Everything that the answer needs, while the hold can still be undone. */
static void open_prepare(struct op *op)
{
	struct open_op *open = open_op_of(op);
	struct event_base *base = open->s->d->base;
	struct hold *hold = open->hold;

	hold->event = event_new(base, admin_ring_wake_fd(hold->ring), EV_READ | EV_PERSIST, on_ring,
				hold);
	hold->later = evtimer_new(base, on_later, hold);
	open->fds[0] = fcntl(admin_ring_fd(hold->ring), F_DUPFD_CLOEXEC, 0);
	open->fds[1] = fcntl(admin_ring_client_fd(hold->ring), F_DUPFD_CLOEXEC, 0);
	if (open->fds[0] < 0 || open->fds[1] < 0) {
		op_fail(op, -EMFILE, "no descriptor left");
		return;
	}
	open->result = hold->controller->lost ? NULL : open_json(open);
	if (!hold->event || !hold->later)
		op_fail(op, -ENOMEM, "out of memory");
	else if (hold->controller->lost)
		op_fail(op, -ENXIO, CONTROLLER_FAILED_TEXT, open->name);
	else if (!open->result)
		op_fail(op, -ENOMEM, "out of memory");
}

static void open_undo(struct op *op)
{
	struct open_op *open = open_op_of(op);

	if (open->hold)
		session_unmap_regions(open->s, open->hold, op);
}

static void open_done(struct op *op)
{
	struct open_op *open = open_op_of(op);
	struct hold *hold = open->hold;

	if (op->err) {
		for (unsigned i = 0; i < ARRAY_SIZE(open->fds); i++) {
			if (open->fds[i] >= 0)
				close(open->fds[i]);
		}
		json_decref(open->result);
		if (hold)
			hold_free(hold);
		rpc_reply_errno(open->req, op->err, "%s", op->why);
		daemon_progress(open->s->d);
	} else {
		rpc_reply_fds(open->req, open->result, open->fds, ARRAY_SIZE(open->fds));
		admin_ring_close_client_fd(hold->ring);
		hold->ready = true;
		session_forget_gone(hold->session, open->name);
		hold_serve_ring(hold);
	}
	free(open);
}

static const struct op_step open_steps[] = {
	{"make the admin ring", STEP_OK, open_begin},
	{"map regions", STEP_OK, open_map},
	{"prepare the answer", STEP_OK, open_prepare},
	{"unmap regions", STEP_UNDO, open_undo},
	{NULL, 0, NULL},
};

static const struct op_kind open_kind = {"open a controller for", open_steps, open_done};

void session_open_controller(struct session *s, const char *name, struct rpc_request *req)
{
	struct open_op *open = calloc(1, sizeof(*open));

	if (!open) {
		rpc_reply_errno(req, -ENOMEM, "out of memory");
		return;
	}
	open->s = s;
	open->req = req;
	open->fds[0] = open->fds[1] = -1;
	snprintf(open->name, sizeof(open->name), "%s", name);
	op_submit(&s->ops, &open->op, &open_kind, s->command);
}
