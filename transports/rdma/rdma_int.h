/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Controllers and queue pairs over RDMA, for the files of this folder.
 *
 *   fabrics.c     capsules and private data, without I/O
 *   rdma_ctrlr.c  device, protection domain, keys of regions, properties, loss
 *   rdma_conn.c   one connection by the connection manager, from an address to a queue pair
 *   rdma_qpair.c  queue pairs: capsules, the I/O path, quiesce and repeat
 *   rdma_cq.c     completion queues, one for all queue pairs of a poll group and device
 *
 * Threads. Everything is the control thread's, except that a connected I/O queue pair and its
 * completion queue belong to the thread that polls them. While a queue pair is being connected its
 * completions (of the Connect command) may be reaped by the thread that polls the completion queue
 * for others: that thread stores the answer and tells the control thread by the controller's
 * event_fd, and nothing else of the queue pair is touched by both.
 */
#ifndef NVMUX_RDMA_INT_H
#define NVMUX_RDMA_INT_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "fabrics.h"
#include "libcore/transport.h"

/* An asynchronous call that ends later; done is NULL when there is none. */
struct rdma_call {
	nvmux_done_fn done;
	void *arg;
};

static inline void rdma_call_end(struct rdma_call *call, int err, uint64_t value)
{
	struct rdma_call ended = *call;

	*call = (struct rdma_call){0};
	if (ended.done)
		ended.done(ended.arg, err, value);
}

struct rdma_qpair;
struct rdma_cq;
TAILQ_HEAD(rdma_qpair_list, rdma_qpair);

struct rdma_ctrlr {
	struct nvmux_ctrlr base;
	struct rdma_event_channel *events; /* of the connection manager, in the context's loop */
	struct nvmux_watch events_watch;
	int event_fd; /* written by any thread: a queue pair broke, or a Connect was answered */
	struct nvmux_watch event_watch;
	struct sockaddr_storage dst;
	struct sockaddr_storage src; /* ss_family 0: the system's choice */
	struct rdma_qpair *adminq;
	struct rdma_qpair_list qpairs; /* all that exist, the admin queue included */
	uint16_t cntlid;               /* as the admin queue's Connect answered */

	/* from the first connection on; a later one may find another device */
	struct ibv_context *verbs;
	struct ibv_pd *pd;
	struct ibv_device_attr attr;
	bool closing;
};

static inline struct rdma_ctrlr *rdma_ctrlr(struct nvmux_ctrlr *ctrlr)
{
	return container_of(ctrlr, struct rdma_ctrlr, base);
}

/* rdma_ctrlr.c: this device is what the controller is reached by: make its protection domain and
 * register the regions with it, unless that has been done. -EIO with a text. */
int rdma_ctrlr_use_device(struct rdma_ctrlr *rc, struct ibv_context *verbs);
/* Any thread: let the control thread look at this controller's queue pairs. */
void rdma_ctrlr_poke(struct rdma_ctrlr *rc);

/* ---- completion queues (rdma_cq.c) ---- */

/*
 * Find the group's completion queue on this device with room for @entries more, grow one, or make
 * one; @group NULL: one for this queue pair alone. The room stays reserved until rdma_cq_put().
 */
int rdma_cq_get(struct rdma_ctrlr *rc, struct nvmux_poll_group *group, uint32_t entries,
		struct rdma_cq **ret);
void rdma_cq_put(struct rdma_cq *cq, uint32_t entries);
struct ibv_cq *rdma_cq_verbs(const struct rdma_cq *cq);
/* Its queue pairs by a number, which work requests carry with a generation: a completion for one
 * that has gone, or has been connected anew, names nobody. -ENOSPC. */
int rdma_cq_add(struct rdma_cq *cq, struct rdma_qpair *q, uint64_t *ret_wr_base);
void rdma_cq_remove(struct rdma_cq *cq, struct rdma_qpair *q);
/* Reap at most @max (0: as many as it holds) work completions; returns commands completed. */
int rdma_cq_poll(struct rdma_cq *cq, uint32_t max);
/* Its completion channel; arm: 0, -EAGAIN when completions are there already. */
int rdma_cq_fd(const struct rdma_cq *cq);
int rdma_cq_arm(struct rdma_cq *cq);

void rdma_group_reap(struct nvmux_poll_group *group);
int rdma_group_arm(struct nvmux_poll_group *group);
void rdma_group_end(struct nvmux_poll_group *group);

/* ---- queue pairs (rdma_qpair.c) ---- */

/*
 * A queue pair: memory from create to destroy; an RDMA queue pair (cm_id->qp) and a place in a
 * completion queue from rdma_qpair_make() to rdma_qpair_unmake(), with each connection anew.
 * The fields before conn are rdma_qpair.c's.
 */
#include "rdma_qpair.h"

/* Structure and capsule memory for @entries - 1 commands in flight. */
int rdma_qpair_new(struct rdma_ctrlr *rc, uint16_t qid, uint32_t entries,
		   struct nvmux_poll_group *group, struct rdma_qpair **ret);
/* Not made (any more). */
void rdma_qpair_free(struct rdma_qpair *q);
/* On the device of @id: completion queue, memory regions of the capsules, rdma_create_qp(). */
int rdma_qpair_make(struct rdma_qpair *q, struct rdma_cm_id *id);
/* Destroy the RDMA queue pair. Quiet, or nothing was ever posted, or the device is gone. */
void rdma_qpair_unmake(struct rdma_qpair *q);
/* The target accepted, with room for @crqsize (0's based as in its private data, 0: didn't say)
 * capsules: never have more in flight. */
void rdma_qpair_accepted(struct rdma_qpair *q, uint16_t hsqsize, uint16_t crqsize);
/*
 * Send Fabrics Connect with @data in the capsule; @done in the control thread: value is the
 * completion's dw0 (the controller's id), err -EIO etc. with a text that names the parameter that
 * the target rejected (fabrics_connect_error()).
 */
void rdma_qpair_send_connect(struct rdma_qpair *q, const struct nvmux_cmd *cmd,
			     const struct fabrics_connect_data *data, nvmux_done_fn done,
			     void *arg);
/* The control thread ends a connect that waits for its answer: @done with @err. The queue pair is
 * to be quiesced after that. */
void rdma_qpair_cancel_connect(struct rdma_qpair *q, int err);
/* The control thread looks: an answer to Connect, or broken? True: broken (by a work completion
 * with an error, a hostile capsule); the text is in *@why. */
bool rdma_qpair_look(struct rdma_qpair *q, const char **why);

int rdma_qpair_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg);
int rdma_qpair_process(struct nvmux_qpair *qpair, uint32_t max);
int rdma_qpair_quiesce(struct nvmux_qpair *qpair);
const struct nvmux_cmd *rdma_qpair_inflight(const struct nvmux_qpair *qpair, uint16_t cid);
int rdma_qpair_repost(struct nvmux_qpair *qpair, uint16_t cid);
int rdma_qpair_get_fd(const struct nvmux_qpair *qpair);
int rdma_qpair_arm(struct nvmux_qpair *qpair);

/* ---- connections (rdma_conn.c) ---- */

/* The transport's qpair_connect and qpair_disconnect, for all queue pairs. */
void rdma_conn_connect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
void rdma_conn_disconnect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
/* Let go of a connection in whatever state: end what is under way with -ECANCELED, bring the RDMA
 * queue pair to the error state. It is destroyed by rdma_conn_destroy(). */
void rdma_conn_end(struct rdma_qpair *q);
/* Destroy the RDMA queue pair and the connection manager's id; the queue pair is quiet, or nobody
 * uses it any more. */
void rdma_conn_destroy(struct rdma_qpair *q);
/* An event of the connection manager for this queue pair; copied and acknowledged before. */
void rdma_conn_event(struct rdma_qpair *q, const struct rdma_cm_event *event);
/* traddr, trsvcid, host_traddr, host_iface of the transport id as addresses; exact errors. */
int rdma_conn_addresses(struct nvmux *nvmux, const struct nvmux_trid *trid,
			struct sockaddr_storage *dst, struct sockaddr_storage *src);

extern const struct nvmux_transport rdma_transport;

#endif
