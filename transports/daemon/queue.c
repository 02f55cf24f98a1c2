// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queue pairs of a daemon's controllers, as seen from the control thread; their I/O path is in
 * ring_client.c.
 *
 * Happy path. The admin queue runs over the ring that came with open_controller; its socket is
 * watched, and the ring is armed whenever nothing is left to reap. An I/O queue pair is made by
 * alloc_io_qpair, and needs no connect. Disconnecting is free_io_qpair, which the daemon answers
 * when nothing is in flight: then what it completed is in the ring and is delivered. Connecting
 * after that is alloc_io_qpair once more, with a ring and a descriptor of its own.
 *
 * Failure modes. The daemon closes a ring's socket without the connection: the controller is lost.
 * It doesn't answer free_io_qpair in time: an error, after which libcore gives the controller up.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "transports/daemon/conn.h"

#define FREE_TIMEOUT_MS 30000
#define ARM_ROUNDS      4 /* of completions that arrive while we arm, before others' turn */

static struct daemon_qpair *daemon_qpair(struct nvmux_qpair *qpair)
{
	return (struct daemon_qpair *)qpair;
}

/* ---- the admin queue ---- */

/* Reap, then announce that we wait. The controller may be gone afterwards. */
static void adminq_serve(void *arg)
{
	struct daemon_ctrlr *dc = arg;
	bool exists = true;
	int rc = -EAGAIN;

	daemon_ctrlr_hold(dc);
	for (int i = 0; i < ARM_ROUNDS && rc == -EAGAIN; i++) {
		nvmux_ctrlr_process_admin_completions(&dc->base);
		if (!dc->wake_watch.fn) { /* closed by a callback */
			exists = false;
			break;
		}
		rc = ring_client_arm(&((struct ring_qpair *)dc->base.adminq)->ring);
	}
	if (exists && rc == -EAGAIN)
		nvmux_timer_set(dc->base.nvmux, &dc->wake_timer, 0, adminq_serve, dc);
	daemon_ctrlr_release(dc);
}

static void adminq_wake(void *arg, uint32_t epoll_events)
{
	struct daemon_ctrlr *dc = arg;
	struct ring_qpair *rq = (struct ring_qpair *)dc->base.adminq;

	ring_client_disarm(&rq->ring);
	daemon_ctrlr_hold(dc);
	adminq_serve(dc);
	if (epoll_events & (EPOLLHUP | EPOLLERR) && dc->wake_watch.fn)
		nvmux_ctrlr_lost(&dc->base, nvmux_error(dc->base.nvmux, -ECONNRESET,
							"%s: %s: the daemon closed the admin queue",
							dc->conn->path, dc->base.trid.trsvcid));
	daemon_ctrlr_release(dc);
}

void daemon_adminq_unwatch(struct daemon_ctrlr *dc)
{
	nvmux_watch_del(dc->base.nvmux, &dc->wake_watch);
	nvmux_timer_cancel(dc->base.nvmux, &dc->wake_timer);
}

static void adminq_create(struct daemon_ctrlr *dc, nvmux_done_fn done, void *arg)
{
	struct daemon_qpair *dq;
	int rc;

	if (!dc->admin_ring.header) {
		done(arg,
		     nvmux_error(dc->base.nvmux, -ENXIO, "%s has no admin ring",
				 dc->base.trid.trsvcid),
		     0);
		return;
	}
	dq = calloc(1, sizeof(*dq));
	rc = dq ? nvmux_qpair_init(&dq->rq.base, &dc->base, 0, dc->admin_ring.depth) : -ENOMEM;
	if (rc < 0) {
		free(dq);
		done(arg, rc, 0);
		return;
	}
	dq->rq.ring = dc->admin_ring;
	dc->admin_ring = (struct ring_client){.wake_fd = -1};
	done(arg, 0, (uintptr_t)dq);
}

/* ---- I/O queue pairs ---- */

static void tell_free(struct daemon_conn *conn, json_int_t id)
{
	daemon_tell(conn, "free_io_qpair", json_pack("{s:I}", "qpair", id));
}

/* The ring of an answer, which belongs to the caller then. The daemon is told if it isn't used. */
static int take_ring(struct daemon_op *op, struct rpc_response *response, uint32_t depth_min,
		     struct ring_client *ret, uint32_t *ret_id)
{
	struct nvmux *nvmux = op->conn->nvmux;
	uint64_t id;
	char why[128];
	int rc;

	rc = daemon_get_uint(op, response->result, "qpair", 0, UINT32_MAX, &id);
	if (rc < 0)
		return rc;
	rc = daemon_check_fds(op, response, 2);
	if (rc < 0)
		goto fail;
	rc = ring_client_map(ret, response->fds[0], response->fds[1], why, sizeof(why));
	if (rc < 0) {
		nvmux_error(nvmux, rc, "%s: queue pair %u: %s", op->conn->path, (unsigned)id, why);
		goto fail;
	}
	response->fds[0] = response->fds[1] = -1;
	if (op->ctrlr->base.max_segs > 1 && !ret->list)
		rc = nvmux_error(nvmux, -EPROTO,
				 "%s: queue pair %u: the ring has no room for scatter lists",
				 op->conn->path, (unsigned)id);
	else if (ret->depth < depth_min)
		rc = nvmux_error(nvmux, -EPROTO,
				 "%s: queue pair %u: its depth is %u, it was %u before",
				 op->conn->path, (unsigned)id, ret->depth, depth_min);
	if (rc < 0)
		goto unmap;
	*ret_id = (uint32_t)id;
	return 0;

unmap:
	ring_client_unmap(ret);
fail:
	tell_free(op->conn, (json_int_t)id);
	return rc;
}

static int create_answer(struct daemon_op *op, struct rpc_response *response, uint64_t *ret_value)
{
	struct daemon_qpair *dq;
	struct ring_client ring;
	uint32_t id;
	int rc = take_ring(op, response, 1, &ring, &id);

	if (rc < 0)
		return rc;
	dq = calloc(1, sizeof(*dq));
	rc = dq ? nvmux_qpair_init(&dq->rq.base, &op->ctrlr->base, op->qid, ring.depth) : -ENOMEM;
	if (rc < 0) {
		ring_client_unmap(&ring);
		free(dq);
		tell_free(op->conn, id);
		return rc;
	}
	dq->rq.ring = ring;
	dq->id = id;
	dq->allocated = true;
	*ret_value = (uintptr_t)dq;
	return 0;
}

static void create_late(struct daemon_op *op, struct rpc_response *response)
{
	tell_free(op->conn, json_integer_value(json_object_get(response->result, "qpair")));
}

/* NULL: @done has been called with the reason. */
static struct daemon_op *alloc_op(struct daemon_ctrlr *dc, nvmux_done_fn done, void *arg)
{
	struct daemon_op *op;

	if (!dc->conn) {
		done(arg, nvmux_error(dc->base.nvmux, -ENXIO, "the controller is closed"), 0);
		return NULL;
	}
	op = daemon_op_new(dc->conn, dc, "alloc_io_qpair", done, arg);
	if (op)
		op->late = create_late;
	return op;
}

static void send_alloc(struct daemon_op *op, uint32_t depth)
{
	const struct nvmux_ctrlr *ctrlr = &op->ctrlr->base;

	daemon_op_send(op,
		       json_pack("{s:s, s:I}", "controller", ctrlr->trid.trsvcid, "depth",
				 (json_int_t)depth),
		       ctrlr->opts.admin_timeout_ms);
}

void daemon_qpair_create(struct nvmux_ctrlr *ctrlr, uint16_t qid, uint32_t entries,
			 struct nvmux_poll_group *group, nvmux_done_fn done, void *arg)
{
	struct daemon_ctrlr *dc = daemon_ctrlr(ctrlr);
	struct daemon_op *op;

	if (qid == 0) {
		adminq_create(dc, done, arg);
		return;
	}
	op = alloc_op(dc, done, arg);
	if (!op)
		return;
	op->answer = create_answer;
	op->qid = qid;
	/* A full queue of a controller has one free entry; a ring hasn't. */
	send_alloc(op, MIN(MAX(entries, 2u) - 1, (uint32_t)NVMUX_RING_DEPTH_MAX));
}

/* ---- both ---- */

static void adminq_connect(struct daemon_ctrlr *dc, struct ring_client *ring, nvmux_done_fn done,
			   void *arg)
{
	int rc = 0;

	if (!dc->wake_watch.fn)
		rc = nvmux_watch_add(dc->base.nvmux, &dc->wake_watch, ring->wake_fd, EPOLLIN,
				     adminq_wake, dc);
	if (rc == 0 && ring_client_arm(ring) == -EAGAIN)
		nvmux_timer_set(dc->base.nvmux, &dc->wake_timer, 0, adminq_serve, dc);
	done(arg, rc, 0);
}

/* A ring anew, in place of that which was given back. */
static int connect_answer(struct daemon_op *op, struct rpc_response *response, uint64_t *ret_value)
{
	struct daemon_qpair *dq = op->qpair;
	struct ring_client ring;
	int rc = take_ring(op, response, dq->rq.base.depth, &ring, &dq->id);

	if (rc < 0)
		return rc;
	ring_client_unmap(&dq->rq.ring);
	dq->rq.ring = ring;
	dq->allocated = true;
	return 0;
}

void daemon_qpair_connect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct daemon_ctrlr *dc = daemon_ctrlr(qpair->ctrlr);
	struct daemon_qpair *dq = daemon_qpair(qpair);
	struct daemon_op *op;

	if (qpair->id == 0) {
		adminq_connect(dc, &dq->rq.ring, done, arg);
		return;
	}
	if (dq->allocated) { /* it has just been made */
		done(arg, 0, 0);
		return;
	}
	op = alloc_op(dc, done, arg);
	if (!op)
		return;
	op->answer = connect_answer;
	op->qpair = dq;
	send_alloc(op, qpair->depth);
}

/* What the daemon has completed is in the ring, unless it doesn't answer. */
static int free_answer(struct daemon_op *op, struct rpc_response *response, uint64_t *ret_value)
{
	op->qpair->allocated = false;
	ring_qpair_process(&op->qpair->rq.base, 0);
	return 0;
}

void daemon_qpair_disconnect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct daemon_ctrlr *dc = daemon_ctrlr(qpair->ctrlr);
	struct daemon_qpair *dq = daemon_qpair(qpair);
	struct daemon_op *op;

	if (!dc->conn || dc->conn->err || !dq->allocated) {
		ring_qpair_process(qpair, 0);
		done(arg, 0, 0);
		return;
	}
	/* commands that were submitted and not yet announced are the daemon's to serve as well */
	ring_client_ring(&dq->rq.ring);
	op = daemon_op_new(dc->conn, dc, "free_io_qpair", done, arg);
	if (!op)
		return;
	op->answer = free_answer;
	op->qpair = dq;
	daemon_op_send(op, json_pack("{s:I}", "qpair", (json_int_t)dq->id), FREE_TIMEOUT_MS);
}

void daemon_qpair_destroy(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct daemon_ctrlr *dc = daemon_ctrlr(qpair->ctrlr);
	struct daemon_qpair *dq = daemon_qpair(qpair);

	if (qpair->id == 0)
		daemon_adminq_unwatch(dc);
	else if (dc->conn && dq->allocated)
		tell_free(dc->conn, dq->id);
	ring_client_unmap(&dq->rq.ring);
	nvmux_qpair_fini(qpair);
	free(dq);
	done(arg, 0, 0);
}

int daemon_qpair_get_fd(const struct nvmux_qpair *qpair)
{
	return ((const struct ring_qpair *)qpair)->ring.wake_fd;
}

int daemon_qpair_arm(struct nvmux_qpair *qpair)
{
	struct ring_client *ring = &daemon_qpair(qpair)->rq.ring;

	/* bytes of earlier wake-ups go first; completions that they announced are found by arm() */
	ring_client_disarm(ring);
	return ring_client_arm(ring);
}
