// SPDX-License-Identifier: BSD-3-Clause
/*
 * Hardware queue pairs of a controller.
 *
 * Each reactor gets one of its own (base), for commands by RPC and for sharing. A client's queue
 * pair gets another one while the controller grants them, on the reactor that serves the fewest
 * clients; after that the least loaded is shared. Reactors on the controller's NUMA node come first
 * each time, and are the only ones that get clients as long as they can.
 *
 * Over a fabric those of one reactor share completions, by its poll group, and a lost connection is
 * restored beneath them: the reactor is told to look. So it is when the queues of others are
 * stopped, by a reset or by what libnvmux does about commands that aren't answered, and go on.
 *
 * Failure modes. The controller grants fewer queues than there are reactors: some reactors don't
 * serve it. It grants none, or none can be made: attaching fails. A queue can't be made later on:
 * the client shares.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"
#include "libcore/transport.h"

static void release_op(void *arg)
{
	op_release(arg, 0);
}

static struct hw_queue *hw_queue_new(struct controller *c, struct daemon_reactor *reactor,
				     struct nvmux_qpair *qpair, bool base, int *ret_err)
{
	struct hw_queue *queue = calloc(1, sizeof(*queue));

	*ret_err = -ENOMEM;
	if (!queue)
		return NULL;
	*ret_err = hwq_create(reactor->reactor, qpair, &queue->hwq);
	if (*ret_err) {
		free(queue);
		return NULL;
	}
	queue->controller = c;
	queue->reactor = reactor;
	queue->qpair = qpair;
	queue->base = base;
	queue->generation = c->view_generation;
	TAILQ_INSERT_TAIL(&c->hw_queues, queue, link);
	hwq_look(queue->hwq); /* it may have changed before there was anybody to tell */
	return queue;
}

/* libnvmux stops it, or lets it go on: then its channels get what there is now before that. */
static void follow(struct hw_queue *queue)
{
	struct controller *c = queue->controller;
	enum nvmux_qpair_state state = nvmux_qpair_get_state(queue->qpair);

	if (state == NVMUX_QPAIR_QUIESCING) {
		controller_stopped(c);
	} else if (state == NVMUX_QPAIR_REPLAY) {
		controller_refresh_views(c);
		hwq_go(queue->hwq, c->lost || queue->generation != c->view_generation);
		queue->generation = c->view_generation;
	}
}

void hw_queues_attention(void *arg, struct nvmux_qpair *qpair)
{
	struct controller *c = arg;
	struct hw_queue *queue;

	TAILQ_FOREACH(queue, &c->hw_queues, link)
	{
		if (queue->qpair != qpair)
			continue;
		if (!controller_is_fabrics(c))
			follow(queue);
		hwq_look(queue->hwq);
		return;
	}
}

/* Its queue pair is already gone, or goes with its controller. */
static void hw_queue_forget(struct hw_queue *queue)
{
	struct controller *c = queue->controller;

	hwq_destroy(queue->hwq);
	c->n_hw_queues--;
	TAILQ_REMOVE(&c->hw_queues, queue, link);
	free(queue);
}

/* ---- steps over all of a controller's queues ---- */

void hw_queues_take_back(struct controller *c, struct op *op)
{
	struct hw_queue *queue;

	TAILQ_FOREACH(queue, &c->hw_queues, link)
	{
		if (queue->taken)
			continue;
		queue->taken = true;
		if (queue->held)
			hwq_stop_holding(queue->hwq); /* nothing ends in it any more */
		op_hold(op);
		hwq_take_back(queue->hwq, release_op, op);
	}
}

void hw_queues_abort(struct controller *c, uint16_t status, struct op *op)
{
	struct hw_queue *queue;

	TAILQ_FOREACH(queue, &c->hw_queues, link)
	{
		op_hold(op);
		hwq_abort(queue->hwq, status, release_op, op);
	}
}

void hw_queues_hold(struct controller *c, struct op *op)
{
	struct hw_queue *queue;

	TAILQ_FOREACH(queue, &c->hw_queues, link)
	{
		if (queue->taken || queue->held)
			continue;
		queue->held = true;
		op_hold(op);
		hwq_hold(queue->hwq, release_op, op);
	}
}

void hw_queues_stop_holding(struct controller *c)
{
	struct hw_queue *queue;

	TAILQ_FOREACH(queue, &c->hw_queues, link)
	{
		if (queue->held)
			hwq_stop_holding(queue->hwq);
	}
}

void hw_queues_release(struct controller *c)
{
	struct hw_queue *queue;

	TAILQ_FOREACH(queue, &c->hw_queues, link)
	{
		if (!queue->held)
			continue;
		queue->held = false;
		hwq_release(queue->hwq);
	}
}

/* ---- NUMA ---- */

bool reactor_is_far(const struct daemon_reactor *reactor, int node)
{
	return node >= 0 && reactor->node >= 0 && reactor->node != node;
}

struct daemon_reactor *reactor_for(struct daemon_reactor *reactors, uint32_t n, int node)
{
	struct daemon_reactor *best = &reactors[0];

	for (uint32_t i = 1; i < n; i++) {
		bool far = reactor_is_far(&reactors[i], node);
		bool best_far = reactor_is_far(best, node);

		if (far != best_far ? best_far : reactors[i].n_qpairs < best->n_qpairs)
			best = &reactors[i];
	}
	return best;
}

static struct daemon_reactor *best_reactor(struct controller *c)
{
	return reactor_for(c->d->reactors, c->d->n_reactors, nvmux_ctrlr_get_numa_id(c->ctrlr));
}

/* Once for each reactor. A queue without clients doesn't count, unless theirs would be as far. */
static void warn_if_far(const struct hw_queue *queue)
{
	struct controller *c = queue->controller;
	struct nvmuxd *d = c->d;
	const struct daemon_reactor *reactor = queue->reactor;
	uint64_t bit = 1ull << (reactor - d->reactors);
	int node = nvmux_ctrlr_get_numa_id(c->ctrlr);

	NVMUX_STATIC_ASSERT(CONF_REACTORS_MAX <= 64, "a bit of far_told each");
	if (!reactor_is_far(reactor, node) || c->far_told & bit ||
	    (!queue->users && !reactor_is_far(best_reactor(c), node)))
		return;
	c->far_told |= bit;
	log_warning(&d->log, "ctrlr",
		    "%s is on NUMA node %d, and the reactor on core %d, which serves it, on node "
		    "%d: each command crosses between them; add a core of node %d to 'cores' in "
		    "[reactor]",
		    c->name, node, reactor->core, reactor->node, node);
}

/* ---- freeing ---- */

struct free_ctx {
	struct hw_queue *queue;
	struct op *op;
};

static void freed(void *arg, int err)
{
	struct free_ctx *ctx = arg;

	(void)err; /* a controller that can't delete a queue any more takes it along when reset */
	hw_queue_forget(ctx->queue);
	op_release(ctx->op, 0);
	free(ctx);
}

/* A queue that was taken back and has nothing in flight. */
static void hw_queue_delete(struct hw_queue *queue, struct op *op)
{
	struct free_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx) {
		/* libnvmux keeps the queue pair until the controller is detached */
		hw_queue_forget(queue);
		return;
	}
	ctx->queue = queue;
	ctx->op = op;
	op_hold(op);
	nvmux_qpair_free_async(queue->qpair, freed, ctx);
}

void hw_queues_free(struct controller *c, struct op *op)
{
	struct hw_queue *queue, *next;

	for (queue = TAILQ_FIRST(&c->hw_queues); queue; queue = next) {
		next = TAILQ_NEXT(queue, link);
		hw_queue_delete(queue, op);
	}
}

/* ---- making ---- */

struct make_ctx {
	struct op *op;
	struct controller *c;
	struct daemon_reactor *reactor;
	bool base;
	struct hw_queue **ret_queue; /* NULL: a base queue, failure of one is no failure of all */
};

/* Attaching reports the first one. */
static void note_base_failure(struct controller *c, int err)
{
	if (c->queues_err)
		return;
	c->queues_err = err;
	snprintf(c->queues_why, sizeof(c->queues_why), "%.*s", (int)sizeof(c->queues_why) - 1,
		 daemon_error_text(c->d, err));
}

static void made(void *arg, struct nvmux_qpair *qpair, int err)
{
	struct make_ctx *ctx = arg;
	struct controller *c = ctx->c;
	struct hw_queue *queue = NULL;

	if (qpair) {
		queue = hw_queue_new(c, ctx->reactor, qpair, ctx->base, &err);
		if (queue)
			warn_if_far(queue);
		else
			nvmux_qpair_free_async(qpair, NULL, NULL);
	}
	if (!queue) {
		c->n_hw_queues--;
		log_debug(&c->d->log, "ctrlr", "%s: no queue pair: %s", c->name, strerror(-err));
		if (ctx->base)
			note_base_failure(c, err);
	}
	if (ctx->ret_queue)
		*ctx->ret_queue = queue;
	op_release(ctx->op, 0);
	free(ctx);
}

/* Start to make one; *@ret_queue stays NULL if that fails. */
static void hw_queue_make(struct controller *c, struct daemon_reactor *reactor, bool base,
			  struct op *op, struct hw_queue **ret_queue)
{
	struct make_ctx *ctx = calloc(1, sizeof(*ctx));
	struct nvmux_io_qpair_opts opts;
	int err;

	if (!ctx) {
		if (base)
			note_base_failure(c, -ENOMEM);
		return;
	}
	nvmux_io_qpair_opts_init(c->ctrlr, &opts, sizeof(opts));
	opts.no_staging = true; /* clients have their own */
	if (c->ctrlr->transport->group_reap)
		opts.poll_group = reactor_poll_group(reactor->reactor);
	*ctx = (struct make_ctx){op, c, reactor, base, ret_queue};
	c->n_hw_queues++;
	op_hold(op);
	err = nvmux_ctrlr_alloc_io_qpair_async(c->ctrlr, &opts, made, ctx);
	if (err)
		made(ctx, NULL, err);
}

void hw_queues_make_base(struct controller *c, struct op *op)
{
	struct nvmuxd *d = c->d;
	uint32_t n = MIN(d->n_reactors, nvmux_ctrlr_get_max_io_qpairs(c->ctrlr));
	int node = nvmux_ctrlr_get_numa_id(c->ctrlr);

	c->queues_err = 0;
	daemon_clear_error(d);
	/* Those near it first: there may not be one for each. */
	for (int far = 0; far < 2; far++) {
		for (uint32_t i = 0; i < d->n_reactors && n; i++) {
			if (reactor_is_far(&d->reactors[i], node) != far)
				continue;
			hw_queue_make(c, &d->reactors[i], true, op, NULL);
			n--;
		}
	}
}

/* ---- for clients ---- */

/* Near it; with the fewest clients; among equals the one whose reactor has fewest. */
static bool is_better(const struct hw_queue *a, const struct hw_queue *b, int node)
{
	bool far = reactor_is_far(a->reactor, node);

	if (far != reactor_is_far(b->reactor, node))
		return !far;
	if (a->users != b->users)
		return a->users < b->users;
	return a->reactor->n_qpairs < b->reactor->n_qpairs;
}

static struct hw_queue *least_loaded_queue(struct controller *c)
{
	int node = nvmux_ctrlr_get_numa_id(c->ctrlr);
	struct hw_queue *queue, *best = NULL;

	TAILQ_FOREACH(queue, &c->hw_queues, link)
	{
		if (!queue->closing && (!best || is_better(queue, best, node)))
			best = queue;
	}
	return best;
}

struct acquire_op {
	struct op op;
	struct controller *c;
	struct op *parent;
	struct hw_queue *queue;
	struct hw_queue **ret_queue;
};

static void acquire_make(struct op *op)
{
	struct acquire_op *acquire = container_of(op, struct acquire_op, op);
	struct controller *c = acquire->c;

	if (c->state != CONTROLLER_READY || c->lost) {
		op_fail(op, -ENXIO, "controller '%s' is %s", c->name,
			c->lost ? "gone" : controller_state_name(c->state));
		return;
	}
	if (c->n_hw_queues < nvmux_ctrlr_get_max_io_qpairs(c->ctrlr))
		hw_queue_make(c, best_reactor(c), false, op, &acquire->queue);
}

static void acquire_share(struct op *op)
{
	struct acquire_op *acquire = container_of(op, struct acquire_op, op);

	if (!acquire->queue)
		acquire->queue = least_loaded_queue(acquire->c);
	if (!acquire->queue)
		op_fail(op, -ENXIO, "controller '%s' has no queue pair left", acquire->c->name);
}

static void acquire_done(struct op *op)
{
	struct acquire_op *acquire = container_of(op, struct acquire_op, op);

	if (op->err) {
		op_fail(acquire->parent, op->err, "%s", op->why);
	} else {
		acquire->queue->users++;
		acquire->queue->reactor->n_qpairs++;
		warn_if_far(acquire->queue);
		*acquire->ret_queue = acquire->queue;
	}
	op_release(acquire->parent, 0);
	free(acquire);
}

static const struct op_step acquire_steps[] = {
	{"make a hardware queue pair", STEP_OK, acquire_make},
	{"share one", STEP_OK, acquire_share},
	{NULL, 0, NULL},
};

static const struct op_kind acquire_kind = {"find a queue pair of", acquire_steps, acquire_done};

void hw_queue_acquire(struct controller *c, struct op *parent, struct hw_queue **ret_queue)
{
	struct acquire_op *acquire = calloc(1, sizeof(*acquire));

	if (!acquire) {
		op_fail(parent, -ENOMEM, "out of memory");
		return;
	}
	acquire->c = c;
	acquire->parent = parent;
	acquire->ret_queue = ret_queue;
	op_hold(parent);
	op_submit(&c->ops, &acquire->op, &acquire_kind, c->name);
}

struct release_op {
	struct op op;
	struct hw_queue *queue;
	struct op *parent;
};

static void release_take_back(struct op *op)
{
	struct hw_queue *queue = container_of(op, struct release_op, op)->queue;

	if (queue->taken)
		return;
	queue->taken = true;
	op_hold(op);
	hwq_take_back(queue->hwq, release_op, op);
}

static void release_delete(struct op *op)
{
	hw_queue_delete(container_of(op, struct release_op, op)->queue, op);
}

static void release_done(struct op *op)
{
	struct release_op *release = container_of(op, struct release_op, op);

	op_release(release->parent, 0);
	free(release);
}

static const struct op_step release_steps[] = {
	{"take it back", STEP_ALWAYS, release_take_back},
	{"delete it", STEP_ALWAYS, release_delete},
	{NULL, 0, NULL},
};

static const struct op_kind release_kind = {"delete a queue pair of", release_steps, release_done};

void hw_queue_release(struct hw_queue *queue, struct op *parent)
{
	struct controller *c = queue->controller;
	struct release_op *release;

	NVMUX_ASSERT(queue->users > 0);
	queue->users--;
	queue->reactor->n_qpairs--;
	if (queue->base || queue->users)
		return;
	release = calloc(1, sizeof(*release));
	if (!release)
		return; /* it stays, to be shared */
	queue->closing = true;
	release->queue = queue;
	release->parent = parent;
	op_hold(parent);
	op_submit(&c->ops, &release->op, &release_kind, c->name);
}
