/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Controllers and queue pairs over RDMA, for the files of this folder.
 *
 *   fabrics.c     capsules and private data, without I/O
 *   rdma_ctrlr.c  device, protection domain, keys of regions, properties, loss
 *   rdma_addr.c   the addresses of a transport id
 *   rdma_conn.c   one connection by the connection manager, from an address to a queue pair
 *   rdma_queue.c  queue pairs: memory, making one on a device, Fabrics Connect
 *   rdma_qpair.c  their I/O path, quiesce and repeat
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

#include "libcore/transport.h"
#include "rdma_qpair.h"

TAILQ_HEAD(rdma_qpair_list, rdma_qpair);

struct rdma_ctrlr {
	struct nvmux_ctrlr base;
	struct rdma_event_channel *events; /* of the connection manager, in the context's loop */
	struct nvmux_watch events_watch;
	/* Written by any thread: a queue pair broke, is to be destroyed, or a Connect was answered.
	 * Watched as long as the controller exists: an owner may be quiescing after the close. */
	int event_fd;
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
	/* The id of a connection that has ended, when no other is on the device: librdmacm may
	 * close a device that no id uses, and the protection domain with it. */
	struct rdma_cm_id *holder;
	bool device_gone; /* removed: what is left of it is let go of as soon as nobody uses it */
	bool lost;        /* libcore knows that the connection is; until the next one */
	bool closing;
	bool *freed; /* who wants to know, around a call that may free the controller */
};

static inline struct rdma_ctrlr *rdma_ctrlr(struct nvmux_ctrlr *ctrlr)
{
	return container_of(ctrlr, struct rdma_ctrlr, base);
}

/* rdma_ctrlr.c: this device is what the controller is reached by: make its protection domain and
 * register the regions with it, unless that has been done. -EIO with a text; -EXDEV: a queue pair
 * is on another one. */
int rdma_ctrlr_use_device(struct rdma_ctrlr *rc, struct ibv_context *verbs);
/* Whether this is still one of its queue pairs. */
bool rdma_ctrlr_has(const struct rdma_ctrlr *rc, const struct rdma_qpair *q);
/* The admin queue is about to be connected: let go of the connections of an earlier controller.
 * All queue pairs are quiet. */
void rdma_ctrlr_begin(struct rdma_ctrlr *rc);
/* A connection that worked doesn't any more; the reason is the error text. May free @rc. */
void rdma_ctrlr_lost(struct rdma_ctrlr *rc, int err);
/* The device of this id is being removed. */
void rdma_ctrlr_device_removed(struct rdma_ctrlr *rc, const struct rdma_cm_id *id);
/* A connection's id isn't needed any more; its RDMA queue pair has gone. */
void rdma_ctrlr_put_id(struct rdma_ctrlr *rc, struct rdma_cm_id *id);
/* Any thread: let the control thread look at this controller's queue pairs. */
void rdma_ctrlr_poke(struct rdma_ctrlr *rc);

/* ---- completion queues (rdma_cq.c) ---- */

/*
 * Find the group's completion queue on this device with room for @entries more, grow one, or make
 * one; @group NULL: one for this queue pair alone, whose completion channel is put into @epoll_fd
 * unless that is -1. The room stays reserved until rdma_cq_put(), which is told how many
 * completions may still be in it that nobody waits for (@stale).
 */
int rdma_cq_get(struct rdma_ctrlr *rc, struct nvmux_poll_group *group, int epoll_fd,
		uint32_t entries, struct rdma_cq **ret);
void rdma_cq_put(struct rdma_cq *cq, uint32_t entries, uint32_t stale);
struct ibv_cq *rdma_cq_verbs(const struct rdma_cq *cq);
/* Its queue pairs by a number, which work requests carry with a generation: a completion for one
 * that has gone, or has been connected anew, names nobody. -ENOSPC. */
int rdma_cq_add(struct rdma_cq *cq, struct rdma_qpair *q, uint64_t *ret_wr_base);
/* Forget: by the thread that polls. Remove: by the control thread; afterwards the poller doesn't
 * touch the queue pair any more. Both may be called again. */
void rdma_cq_forget(struct rdma_cq *cq, const struct rdma_qpair *q);
void rdma_cq_remove(struct rdma_cq *cq, const struct rdma_qpair *q);
/* Whether another thread than the control thread polls it. */
bool rdma_cq_foreign(const struct rdma_cq *cq);
/* Reap; at most @max completions of commands (0: as many as it holds), which is what is returned.
 * Callbacks may end queue pairs: nothing of one is touched after the call unless it is protected.
 */
int rdma_cq_poll(struct rdma_cq *cq, uint32_t max);
/* The same for one turn of @q, which many may take: once for those of a completion queue. */
int rdma_cq_turn(struct rdma_cq *cq, struct rdma_qpair *q, uint32_t max);
/* A command of one of its queue pairs waits for a time, not for a completion: arming is refused
 * until none does. */
void rdma_cq_held(struct rdma_cq *cq);
/* The thread that polls: make the completion channel readable with the next completion. 0, -EAGAIN
 * when completions are there already. */
int rdma_cq_arm(struct rdma_cq *cq);
/* The control thread: the same, without looking. */
void rdma_cq_notify(struct rdma_cq *cq);
/* Until as many calls of unwatch, the control thread watches the channel in the context's loop and
 * reaps; where another thread polls, reaping of the group makes it readable again and again. */
int rdma_cq_watch(struct rdma_cq *cq);
void rdma_cq_unwatch(struct rdma_cq *cq);

void rdma_group_reap(struct nvmux_poll_group *group);
int rdma_group_arm(struct nvmux_poll_group *group);
void rdma_group_end(struct nvmux_poll_group *group);

/* ---- queue pairs (rdma_queue.c, rdma_qpair.c) ---- */

/* Structure and capsule memory for @entries - 1 commands in flight. The caller puts it into
 * rc->qpairs, and takes it out before rdma_qpair_free(). */
int rdma_qpair_new(struct rdma_ctrlr *rc, uint16_t qid, uint32_t entries,
		   struct nvmux_poll_group *group, struct rdma_qpair **ret);
/* Not made (any more). */
void rdma_qpair_free(struct rdma_qpair *q);
/* On the device of @id: completion queue, memory regions of the capsules, rdma_create_qp(). */
int rdma_qpair_make(struct rdma_qpair *q, struct rdma_cm_id *id);
/* Destroy the RDMA queue pair. Quiet, or nothing was ever posted, or the device is gone. */
void rdma_qpair_unmake(struct rdma_qpair *q);
/* The target accepted, with room for @crqsize (1's based, as in its private data; 0: it didn't say)
 * capsules: never have more in flight. */
void rdma_qpair_accepted(struct rdma_qpair *q, uint16_t hsqsize, uint16_t crqsize);
/*
 * Send Fabrics Connect; @data is copied, and described by a keyed descriptor: on an admin queue
 * targets (Linux among them) have no room for data in a capsule. @done in the control thread: value
 * is the completion's dw0 (the controller's id), err -EIO etc. with a text that names the parameter
 * that the target rejected (fabrics_connect_error()).
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
/* The control thread destroys the RDMA queue pair, if who quiesces it has asked for that. */
void rdma_qpair_serve(struct rdma_qpair *q);

/* A work completion of this queue pair, by the thread that polls its completion queue; returns
 * completions of commands. */
int rdma_qpair_wc(struct rdma_qpair *q, const struct ibv_wc *wc);
/* It is of no use any more; the first reason stays. The thread that polls, or nobody does. */
__attribute__((format(printf, 2, 3))) void rdma_qpair_break(struct rdma_qpair *q, const char *fmt,
							    ...);
/* For a new connection: nothing waits, nothing is posted. */
void rdma_qpair_reset(struct rdma_qpair *q);
/* Send the command of a slot, which is complete, as soon as there is room. */
void rdma_qpair_send(struct rdma_qpair *q, uint16_t cid);
/* Post what has collected. */
void rdma_qpair_post(struct rdma_qpair *q);

int rdma_qpair_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg);
int rdma_qpair_process(struct nvmux_qpair *qpair, uint32_t max);
/* By the owner: the control thread, or the thread that it has been handed over to. */
int rdma_qpair_quiesce(struct nvmux_qpair *qpair);
/* The same by the control thread, whoever owns it; nobody else quiesces it meanwhile. */
int rdma_qpair_flush(struct rdma_qpair *q);
const struct nvmux_cmd *rdma_qpair_inflight(const struct nvmux_qpair *qpair, uint16_t index);
int rdma_qpair_repost(struct nvmux_qpair *qpair, uint16_t index);
int rdma_qpair_get_fd(const struct nvmux_qpair *qpair);
int rdma_qpair_arm(struct nvmux_qpair *qpair);

/* ---- connections (rdma_conn.c) ---- */

/* The transport's qpair_connect and qpair_disconnect, for all queue pairs. */
void rdma_conn_connect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
void rdma_conn_disconnect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
/* Let go of a connection in whatever state: end what is under way with -ECANCELED, bring the RDMA
 * queue pair to the error state. It is destroyed by rdma_conn_destroy(). May destroy @q. */
void rdma_conn_end(struct rdma_qpair *q);
/* Destroy the RDMA queue pair and the connection manager's id; the queue pair is quiet, or nobody
 * uses it any more. */
void rdma_conn_destroy(struct rdma_qpair *q);
/* An event of the connection manager for this queue pair; copied and acknowledged before. May free
 * the controller, as may rdma_conn_look(). */
void rdma_conn_event(struct rdma_qpair *q, const struct rdma_cm_event *event);
/* The thread that reaps its completions wants it to be looked at. */
void rdma_conn_look(struct rdma_qpair *q);
/* rdma_addr.c: traddr, trsvcid, host_traddr and host_iface of the transport id as addresses; exact
 * errors. */
int rdma_conn_addresses(struct nvmux *nvmux, const struct nvmux_trid *trid,
			struct sockaddr_storage *dst, struct sockaddr_storage *src);

extern const struct nvmux_transport rdma_transport;

#endif
