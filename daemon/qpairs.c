// SPDX-License-Identifier: BSD-3-Clause
/*
 * Client queue pairs: a channel on a hardware queue.
 *
 * Happy path: a hardware queue is found → the channel is made, with the regions that its controller
 * can reach → its reactor serves it → its descriptors go to the client.
 *
 * Failure modes. A limit, no hardware queue, no memory: the client gets an error and nothing is
 * left. The client goes, or the controller fails, while it is being made: the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/daemon.h"

struct qpair_op {
	struct op op;
	struct session *s;
	struct rpc_request *req;
	uint32_t hold_id;
	uint32_t depth;
	struct client_qpair *q;
};

static struct qpair_op *qpair_op_of(struct op *op)
{
	return container_of(op, struct qpair_op, op);
}

/* ---- stopping and freeing ---- */

static void on_stopped(void *arg)
{
	struct client_qpair *q = arg;
	struct op *waiter;

	q->state = CHANNEL_STOPPED;
	for (unsigned i = 0; i < ARRAY_SIZE(q->stop_waiters); i++) {
		waiter = q->stop_waiters[i];
		q->stop_waiters[i] = NULL;
		if (waiter)
			op_release(waiter, 0);
	}
}

void qpair_stop(struct client_qpair *q)
{
	if (q->state != CHANNEL_STARTED)
		return;
	q->state = CHANNEL_STOPPING;
	channel_stop(q->channel, on_stopped, q);
}

void qpair_wait_stopped(struct client_qpair *q, struct op *op, unsigned slot)
{
	if (q->state != CHANNEL_STOPPING)
		return;
	NVMUX_ASSERT(!q->stop_waiters[slot]);
	q->stop_waiters[slot] = op;
	op_hold(op);
}

void qpair_destroy(struct client_qpair *q, struct op *op)
{
	struct session *s = q->hold->session;

	NVMUX_ASSERT(q->state == CHANNEL_NONE || q->state == CHANNEL_STOPPED);
	channel_destroy(q->channel);
	if (q->queue)
		hw_queue_release(q->queue, op);
	TAILQ_REMOVE(&s->qpairs, q, link);
	s->n_qpairs--;
	free(q);
}

bool qpair_shared(const struct client_qpair *q)
{
	return q->queue->base || q->queue->users > 1;
}

/* ---- making ---- */

static int check_limits(struct qpair_op *qop)
{
	const struct conf_limits *limits = &qop->s->limits;

	if (qop->s->n_qpairs >= limits->max_qpairs)
		session_reply_limit(qop->req, "max_qpairs", limits->max_qpairs,
				    "too many queue pairs");
	else if (qop->depth > limits->max_queue_depth)
		session_reply_limit(qop->req, "max_queue_depth", limits->max_queue_depth,
				    "the queue pair would be too deep");
	else
		return 0;
	qop->req = NULL;
	return -EDQUOT;
}

static void alloc_reserve(struct op *op)
{
	struct qpair_op *qop = qpair_op_of(op);
	struct session *s = qop->s;
	struct hold *hold = session_hold_by_id(s, qop->hold_id);

	if (!hold || hold->closing || hold->controller->lost) {
		op_fail(op, -ENOTCONN, "the controller has been closed or has failed");
		return;
	}
	if (check_limits(qop)) {
		op_fail(op, -EDQUOT, "limit");
		return;
	}
	qop->q = calloc(1, sizeof(*qop->q));
	if (!qop->q) {
		op_fail(op, -ENOMEM, "out of memory");
		return;
	}
	qop->q->hold = hold;
	qop->q->id = ++s->next_qpair_id;
	qop->q->depth = qop->depth;
	TAILQ_INSERT_TAIL(&s->qpairs, qop->q, link);
	s->n_qpairs++;
	hw_queue_acquire(hold->controller, op, &qop->q->queue);
}

static int make_channel(struct session *s, struct client_qpair *q)
{
	struct region_view *regions = session_region_views(s, q->hold);
	struct channel_opts opts = {
		.depth = q->depth,
		.n_regions = s->limits.max_regions,
		.view = controller_make_channel_view(q->hold->controller, s->admin),
		.regions = regions,
		.node = nvmux_ctrlr_get_numa_id(q->hold->controller->ctrlr),
	};
	int err = -ENOMEM;

	if (regions && opts.view)
		err = channel_create(&opts, &q->channel);
	if (err)
		free(opts.view);
	free(regions);
	return err;
}

static void alloc_start(struct op *op)
{
	struct qpair_op *qop = qpair_op_of(op);
	struct client_qpair *q = qop->q;
	struct controller *c = q->hold->controller;
	int err;

	if (qop->s->closing || c->lost || c->state == CONTROLLER_FAILED) {
		op_fail(op, -ENXIO, CONTROLLER_FAILED_TEXT, c->name);
		return;
	}
	err = make_channel(qop->s, q);
	if (err) {
		op_fail(op, err, "the ring can't be made: %s", strerror(-err));
		return;
	}
	q->state = CHANNEL_STARTED;
	/* It isn't waited for: what the client submits before the reactor has heard of the channel
	 * is found then, and messages arrive in their order. */
	channel_start(q->channel, q->queue->hwq, NULL, NULL);
}

static void alloc_undo(struct op *op)
{
	struct qpair_op *qop = qpair_op_of(op);

	if (qop->q)
		qpair_destroy(qop->q, op);
	qop->q = NULL;
}

static void reply_qpair(struct qpair_op *qop)
{
	const struct client_qpair *q = qop->q;
	int fds[2];

	fds[0] = fcntl(channel_ring_fd(q->channel), F_DUPFD_CLOEXEC, 0);
	fds[1] = fcntl(channel_client_fd(q->channel), F_DUPFD_CLOEXEC, 0);
	if (fds[0] < 0 || fds[1] < 0) {
		rpc_reply_errno(qop->req, -errno, "no descriptor left");
		for (unsigned i = 0; i < 2; i++) {
			if (fds[i] >= 0)
				close(fds[i]);
		}
		/* of no use to its client, which couldn't name it either */
		session_free_qpair(qop->s, q->id, NULL);
		return;
	}
	rpc_reply_fds(qop->req,
		      json_pack("{s:i,s:i,s:i,s:b}", "qpair", (int)q->id, "depth", (int)q->depth,
				"core", q->queue->reactor->core, "shared", qpair_shared(q)),
		      fds, 2);
	channel_close_client_fd(q->channel);
}

static void alloc_done(struct op *op)
{
	struct qpair_op *qop = qpair_op_of(op);

	if (!op->err)
		reply_qpair(qop);
	else if (qop->req)
		rpc_reply_errno(qop->req, op->err, "%s", op->why);
	free(qop);
}

static const struct op_step alloc_steps[] = {
	{"find a hardware queue", STEP_OK, alloc_reserve},
	{"start a channel", STEP_OK, alloc_start},
	{"give back what there is", STEP_UNDO, alloc_undo},
	{NULL, 0, NULL},
};

static const struct op_kind alloc_kind = {"allocate a queue pair for", alloc_steps, alloc_done};

void session_alloc_qpair(struct session *s, const struct hold *hold, uint32_t depth,
			 struct rpc_request *req)
{
	struct qpair_op *qop = calloc(1, sizeof(*qop));

	if (!qop) {
		rpc_reply_errno(req, -ENOMEM, "out of memory");
		return;
	}
	qop->s = s;
	qop->req = req;
	qop->hold_id = hold->id;
	qop->depth = depth;
	op_submit(&s->ops, &qop->op, &alloc_kind, s->command);
}
