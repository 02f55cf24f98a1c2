// SPDX-License-Identifier: BSD-3-Clause
/*
 * Controllers: the list of them, what their clients see, and their loss.
 *
 * ATTACHING → READY ⇄ RESETTING
 *               │         │
 *               ├────◄────┴─► FAILED (lost; nobody holds it any more soon after)
 *               └─► DETACHING ◄─┘ → freed
 *
 * A failed controller stays in the list, for people to see, until it is detached. libnvmux has let
 * go of the device by then. A fabrics controller stays READY while its connection is lost, until it
 * is given up: then it is lost as any other, and its commands end with a path error.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"
#include "daemon/effects.h"
#include "libcore/transport.h"

const char *controller_state_name(enum controller_state state)
{
	static const char *const names[] = {
		[CONTROLLER_ATTACHING] = "attaching", [CONTROLLER_READY] = "ready",
		[CONTROLLER_RESETTING] = "resetting", [CONTROLLER_FAILED] = "failed",
		[CONTROLLER_DETACHING] = "detaching",
	};

	return names[state];
}

struct controller *controller_find(struct nvmuxd *d, const char *name)
{
	struct controller *c;

	TAILQ_FOREACH (c, &d->controllers, link) {
		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

struct controller *controller_find_trid(struct nvmuxd *d, const struct nvmux_trid *trid)
{
	struct controller *c;

	TAILQ_FOREACH (c, &d->controllers, link) {
		if (nvmux_trid_compare(&c->trid, trid) == 0)
			return c;
	}
	return NULL;
}

struct controller *controller_find_target(struct nvmuxd *d, const struct nvmux_trid *trid)
{
	struct nvmux_trid a = *trid, b;
	struct controller *c;

	a.host_traddr[0] = a.host_iface[0] = '\0';
	TAILQ_FOREACH (c, &d->controllers, link) {
		b = c->trid;
		b.host_traddr[0] = b.host_iface[0] = '\0';
		if (nvmux_trid_compare(&a, &b) == 0)
			return c;
	}
	return NULL;
}

struct controller *controller_for_request(struct nvmuxd *d, struct rpc_request *req,
					  const char *name)
{
	struct controller *c = controller_find(d, name);

	if (!c) {
		rpc_reply_errno(req, -ENODEV, "there is no controller '%s'", name);
		return NULL;
	}
	if (controller_is_removed(c)) {
		rpc_reply_errno(req, -ENODEV, "controller '%s' is being removed", name);
		return NULL;
	}
	if (c->state == CONTROLLER_FAILED) {
		rpc_reply_errno(req, -ENXIO, CONTROLLER_FAILED_TEXT, name);
		return NULL;
	}
	if (c->detaching || c->state == CONTROLLER_ATTACHING) {
		rpc_reply_errno(req, -EBUSY, "controller '%s' is being %s%s%s", name,
				c->detaching ? "detached" : "attached",
				c->reason[0] ? "; the last attempt failed: " : "", c->reason);
		return NULL;
	}
	return c;
}

struct controller *controller_new(struct nvmuxd *d, const char *name, const struct nvmux_trid *trid)
{
	struct controller *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->d = d;
	c->trid = *trid;
	snprintf(c->name, sizeof(c->name), "%s", name);
	op_queue_init(&c->ops, &d->sched);
	TAILQ_INIT(&c->hw_queues);
	TAILQ_INIT(&c->holds);
	TAILQ_INIT(&c->deferred);
	TAILQ_INIT(&c->repeated);
	TAILQ_INSERT_TAIL(&d->controllers, c, link);
	d->n_controllers++;
	return c;
}

void controller_free(struct controller *c)
{
	NVMUX_ASSERT(TAILQ_EMPTY(&c->hw_queues) && TAILQ_EMPTY(&c->holds));
	NVMUX_ASSERT(op_queue_idle(&c->ops) && TAILQ_EMPTY(&c->repeated));
	controller_refuse_deferred(c); /* it was detached before they had their turn */
	TAILQ_REMOVE(&c->d->controllers, c, link);
	c->d->n_controllers--;
	if (c->retry)
		event_free(c->retry);
	nvmux_timer_cancel(c->d->nvmux, &c->revive_timer);
	siblings_go_on(c);
	ctl_staging_drop(c);
	free(c->view);
	free(c);
}

/* ---- what clients see ---- */

static void view_ns(struct ns_view *view, const struct nvmux_ns *ns)
{
	view->nsid = ns->id;
	view->lba_shift = ns->lba_shift;
	view->md_interleaved = ns->md_interleaved;
	view->md_size = ns->md_size;
	view->writable = true;
	view->n_lbas = ns->n_lbas;
	view->pi = ns->pi_type;
	view->zone_lbas = ns->zone_lbas;
	if (ns->zns)
		view->zdes =
			ns->zns->lbafe[nvmux_ns_get_format_index(ns) % ARRAY_SIZE(ns->zns->lbafe)]
				.zdes;
}

struct ctrlr_view *controller_make_view(const struct controller *c, bool admin)
{
	const struct nvmux_ctrlr *ctrlr = c->ctrlr;
	struct ctrlr_view *view;

	view = nvmux_calloc_lines(1, sizeof(*view) + ctrlr->n_ns * sizeof(view->ns[0]));
	if (!view)
		return NULL;
	view->max_transfer = ctrlr->max_transfer;
	view->max_segs = MIN(ctrlr->max_segs, (uint32_t)NVMUX_RING_LIST_PER_CMD);
	view->sgl = ctrlr->sgl;
	view->fused = le16_to_cpu(ctrlr->id.fuses) & NVME_CTRL_FUSES_COMPARE_AND_WRITE;
	view->separate_md = !nvmux_ctrlr_is_fabrics(ctrlr);
	view->admin = admin;
	view->reservations = admin;
	/* of one that is gone, or wasn't identified, libnvmux knows what it looked like once */
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		if (ctrlr->ns[i]->active)
			view_ns(&view->ns[view->n_ns++], ctrlr->ns[i]);
	}
	ctrlr_view_index(view);
	return view;
}

struct ctrlr_view *controller_make_channel_view(const struct controller *c, bool admin)
{
	struct ctrlr_view *view = controller_make_view(c, admin);

	if (view)
		effects_noticed(c->ctrlr, view->noticed);
	return view;
}

/* Both were zeroed, so that their padding is equal too. */
static bool view_equal(const struct ctrlr_view *a, const struct ctrlr_view *b)
{
	return a->max_transfer == b->max_transfer && a->max_segs == b->max_segs &&
	       a->sgl == b->sgl && a->fused == b->fused && a->n_ns == b->n_ns &&
	       memcmp(a->ns, b->ns, a->n_ns * sizeof(a->ns[0])) == 0;
}

static void view_is_set(void *arg)
{
	(void)arg;
}

/* Better no service than an old geometry. */
static void stop_serving(struct controller *c, struct client_qpair *q)
{
	log_error(&c->d->log, "ctrlr", "%s: no memory to go on serving a queue pair of client %u",
		  c->name, q->hold->session->id);
	channel_set_state(q->channel, NVMUX_RING_DEAD);
	qpair_stop(q);
}

/* @view NULL: there is no memory for it. */
static void set_channel_views(struct controller *c, const struct ctrlr_view *view)
{
	struct client_qpair *q;
	struct hold *hold;

	TAILQ_FOREACH (hold, &c->holds, ctrlr_link) {
		TAILQ_FOREACH (q, &hold->session->qpairs, link) {
			struct ctrlr_view *copy = NULL;

			if (q->hold != hold || q->state != CHANNEL_STARTED)
				continue;
			if (view)
				copy = controller_make_channel_view(c, hold->session->admin);
			if (copy)
				channel_set_view(q->channel, copy, view_is_set, NULL);
			else
				stop_serving(c, q);
		}
	}
}

void controller_refresh_views(struct controller *c)
{
	struct ctrlr_view *view = controller_make_view(c, true);

	if (!view) {
		set_channel_views(c, NULL);
		c->lost = true;
		controller_check_lost(c);
		return;
	}
	if (c->view && view_equal(view, c->view)) {
		free(view);
		return;
	}
	if (c->view)
		events_namespaces(c, c->view, view);
	free(c->view);
	c->view = view;
	c->view_generation++;
	set_channel_views(c, view);
	log_info(&c->d->log, "ctrlr", "%s: %u namespaces, limits or formats have changed", c->name,
		 view->n_ns);
}

/* Nothing will be served any more; what a client has given up must not be executed later. */
static void kill_channels(struct controller *c, struct op *op)
{
	struct client_qpair *q;
	struct hold *hold;

	TAILQ_FOREACH (hold, &c->holds, ctrlr_link) {
		TAILQ_FOREACH (q, &hold->session->qpairs, link) {
			if (q->hold != hold || !q->channel)
				continue;
			channel_set_state(q->channel, NVMUX_RING_DEAD);
			qpair_stop(q);
			qpair_wait_stopped(q, op, 1);
		}
	}
}

/* ---- loss ---- */

struct lost_op {
	struct op op;
	struct controller *c;
};

static void lost_begin(struct op *op)
{
	struct controller *c = container_of(op, struct lost_op, op)->c;

	c->state = CONTROLLER_FAILED;
	log_error(&c->d->log, "ctrlr", "%s: failed; commands in flight end with an error", c->name);
	events_controller(c, "controller_failed");
	hw_queues_take_back(c, op);
}

bool controller_is_quiet(const struct controller *c)
{
	return c->disabled || !c->ctrlr->device_open;
}

bool controller_is_fabrics(const struct controller *c)
{
	return c->ctrlr && nvmux_ctrlr_is_fabrics(c->ctrlr);
}

uint16_t controller_gone_status(const struct controller *c)
{
	return controller_is_fabrics(c) ? NVMUX_PATH_ERROR : NVMUX_SC_CTRLR_GONE;
}

static void lost_disconnected(void *arg, int err, uint64_t value)
{
	struct controller *c = container_of((struct op *)arg, struct lost_op, op)->c;

	(void)value;
	if (!err)
		c->disabled = true;
	op_release(arg, 0); /* one that can't be disabled is closed */
}

static void lost_disconnect(struct op *op)
{
	struct controller *c = container_of(op, struct lost_op, op)->c;

	if (controller_is_quiet(c))
		return;
	op_hold(op);
	nvmux_ctrlr_disconnect_async(c->ctrlr, lost_disconnected, op);
}

/* Without this nothing could be ended: the device may write to the memory of what is in flight. */
static void lost_close(struct op *op)
{
	struct controller *c = container_of(op, struct lost_op, op)->c;

	if (controller_is_quiet(c))
		return;
	c->close_waiter = op;
	op_hold(op);
	nvmux_ctrlr_lost(c->ctrlr, -ENXIO); /* ends with the callback for its removal */
}

static void lost_abort(struct op *op)
{
	struct controller *c = container_of(op, struct lost_op, op)->c;

	hw_queues_abort(c, controller_gone_status(c), op);
}

static void lost_kill(struct op *op)
{
	struct controller *c = container_of(op, struct lost_op, op)->c;

	kill_channels(c, op);
}

/* Have every session let go; they can't wait for us, and we don't wait for them. */
static void lost_done(struct op *op)
{
	struct lost_op *lost = container_of(op, struct lost_op, op);
	struct controller *c = lost->c;
	struct hold *hold;

	free(lost);
	controller_go_on(c); /* what has waited for a change or a reset is refused */
	TAILQ_FOREACH (hold, &c->holds, ctrlr_link)
		session_close_hold(hold->session, hold, NULL);
	controller_check_removed(c);
	daemon_progress(c->d);
}

static const struct op_step lost_steps[] = {
	{"take queue pairs back", STEP_ALWAYS, lost_begin},
	{"disable", STEP_ALWAYS, lost_disconnect},
	{"let go of the device", STEP_ALWAYS, lost_close},
	{"end commands in flight", STEP_ALWAYS, lost_abort},
	{"stop channels", STEP_ALWAYS, lost_kill},
	{NULL, 0, NULL},
};

static const struct op_kind lost_kind = {"handle the loss of", lost_steps, lost_done};

void controller_check_lost(struct controller *c)
{
	struct lost_op *lost;

	/* attaching and detaching see it fail by themselves */
	if (!c->lost || c->lost_handled || c->state == CONTROLLER_ATTACHING || c->detaching)
		return;
	lost = calloc(1, sizeof(*lost));
	if (!lost)
		return; /* as long as there is no memory clients see their commands wait */
	c->lost_handled = true;
	lost->c = c;
	op_submit(&c->ops, &lost->op, &lost_kind, c->name);
}

void controller_queue_failed(void *arg, struct hwq *hwq)
{
	struct nvmuxd *d = arg;
	struct controller *c;
	struct hw_queue *queue;

	TAILQ_FOREACH (c, &d->controllers, link) {
		TAILQ_FOREACH (queue, &c->hw_queues, link) {
			if (queue->hwq != hwq)
				continue;
			if (c->lost || controller_is_fabrics(c))
				return; /* its loss is dealt with, or about to be reported */
			/* when the controller is lost, its reset is refused */
			log_warning(&d->log, "ctrlr", "%s: a queue pair broke", c->name);
			controller_must_reset(c, "a queue pair broke");
			return;
		}
	}
}
