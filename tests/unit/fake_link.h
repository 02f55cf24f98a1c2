/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fake hardware queue (fake_queue.h) with a connection that the test loses and restores as
 * libnvmux's control thread would: by writing the queue pair's state. Several may share their
 * completions: polling one delivers those of all.
 */
#ifndef TEST_FAKE_LINK_H
#define TEST_FAKE_LINK_H

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "libcore/replay.h"
#include "tests/unit/fake_queue.h"

#define FAKE_LINKS 4
#define FAKE_NEVER UINT32_MAX

/* Links that share completions. */
struct fake_shared {
	struct fake_link *links[FAKE_LINKS];
	uint32_t n_links;
	int event_fd; /* readable: reap */
	uint32_t reaped;
};

struct fake_link {
	struct fake_queue queue;
	struct nvmux_cmd cmds[FAKE_QUEUE_DEPTH_MAX];
	const struct nvmux_mem *mems[FAKE_QUEUE_DEPTH_MAX];
	struct fake_shared *shared; /* or NULL */
	struct replay_view *view;

	/* set by the test, at any time */
	uint32_t slow;  /* calls of quiesce() before it is through */
	uint32_t taken; /* nobody may submit, process or quiesce it */
	uint32_t reset; /* the controller has forgotten what it had */

	/* read by the test, at any time */
	uint32_t quiesced; /* times that it was through */
	uint32_t reposted;
	uint32_t repost_by_sender[FAKE_SENDERS];
};

static inline struct fake_link *fake_link(const struct nvmux_qpair *qpair)
{
	return (struct fake_link *)qpair;
}

static inline void fake_link_check(struct fake_link *link, bool right)
{
	if (!right || fake_get(&link->taken))
		fake_inc(&link->queue.violations);
}

static inline int fake_link_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
				   const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	struct fake_link *link = fake_link(qpair);
	enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);
	int err;

	/* the control thread may have written one of the latter two just now */
	fake_link_check(link, state == NVMUX_QPAIR_CONNECTED || state == NVMUX_QPAIR_HOLDING ||
				      state == NVMUX_QPAIR_RELEASE ||
				      state == NVMUX_QPAIR_QUIESCING);
	err = fake_queue_submit(qpair, cmd, payload, cb, arg);
	if (!err) {
		const struct fake_entry *entry = &link->queue.pending[link->queue.n_pending - 1];

		link->cmds[entry->cid & qpair->cid_mask] = *cmd;
		link->mems[entry->cid & qpair->cid_mask] = entry->mem;
	}
	return err;
}

static inline int fake_link_process(struct nvmux_qpair *qpair, uint32_t max)
{
	struct fake_link *link = fake_link(qpair);
	struct fake_shared *shared = link->shared;
	int n = 0;

	fake_link_check(link, true);
	if (!shared)
		return fake_queue_process(qpair, max);
	for (uint32_t i = 0; i < shared->n_links; i++)
		n += fake_queue_process(&shared->links[i]->queue.base, max);
	return n;
}

static inline int fake_link_quiesce(struct nvmux_qpair *qpair)
{
	struct fake_link *link = fake_link(qpair);
	enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);
	uint32_t slow = fake_get(&link->slow);

	/* in these the connection is the control thread's */
	fake_link_check(link, state != NVMUX_QPAIR_QUIET && state != NVMUX_QPAIR_FAILING);
	if (slow) {
		if (slow != FAKE_NEVER) /* whose end the test writes at any time */
			fake_set(&link->slow, slow - 1);
		return 0;
	}
	link->queue.n_pending = 0;
	fake_inc(&link->quiesced);
	return 1;
}

static inline const struct nvmux_cmd *fake_link_inflight(const struct nvmux_qpair *qpair,
							 uint16_t index)
{
	return &fake_link(qpair)->cmds[index];
}

static inline int fake_link_repost(struct nvmux_qpair *qpair, uint16_t index)
{
	struct fake_link *link = fake_link(qpair);
	const struct nvmux_cmd *cmd = &link->cmds[index];
	struct fake_entry *entry;

	if (fake_get(&link->reset)) {
		fake_set(&link->reset, 0);
		link->queue.n_pending = 0;
	}
	entry = &link->queue.pending[link->queue.n_pending++];
	entry->cid = nvmux_qpair_renew_cid(qpair, index);
	entry->dw0 = le32_to_cpu(cmd->cdw10) + 1;
	entry->dw1 = le32_to_cpu(cmd->cdw14);
	entry->mem = link->mems[index];
	fake_link_check(link, !entry->mem || entry->mem != fake_get(&link->queue.forbidden));
	fake_inc(&link->reposted);
	fake_inc(&link->repost_by_sender[entry->dw1 % FAKE_SENDERS]);
	return 0;
}

/* What is there of all of them, held or not. */
static inline void fake_link_reap(struct nvmux_poll_group *group)
{
	struct fake_shared *shared = group->transport_data[NVMUX_TRTYPE_LOOPBACK];
	uint64_t count;

	(void)!read(shared->event_fd, &count, sizeof(count));
	for (uint32_t i = 0; i < shared->n_links; i++)
		fake_queue_complete(&shared->links[i]->queue);
	fake_inc(&shared->reaped);
}

static const struct nvmux_transport fake_link_transport = {
	.trtype = NVMUX_TRTYPE_LOOPBACK,
	.flags = NVMUX_TRANSPORT_FABRICS,
	.submit = fake_link_submit,
	.read = nvmux_rw_read,
	.write = nvmux_rw_write,
	.process = fake_link_process,
	.quiesce = fake_link_quiesce,
	.inflight = fake_link_inflight,
	.repost = fake_link_repost,
	.group_reap = fake_link_reap,
};

/* Completions that are there already keep the poller awake. */
static inline int fake_link_arm(struct nvmux_poll_group *group)
{
	const struct fake_shared *shared = group->transport_data[NVMUX_TRTYPE_LOOPBACK];

	for (uint32_t i = 0; i < shared->n_links; i++) {
		struct fake_queue *q = &shared->links[i]->queue;

		if (q->n_pending && !fake_get(&q->hold))
			return -EAGAIN;
	}
	return 0;
}

/* The same, whose completions make the group's descriptor readable where it is armed. */
static const struct nvmux_transport fake_link_arming_transport = {
	.trtype = NVMUX_TRTYPE_LOOPBACK,
	.flags = NVMUX_TRANSPORT_FABRICS,
	.submit = fake_link_submit,
	.read = nvmux_rw_read,
	.write = nvmux_rw_write,
	.process = fake_link_process,
	.quiesce = fake_link_quiesce,
	.inflight = fake_link_inflight,
	.repost = fake_link_repost,
	.group_reap = fake_link_reap,
	.group_arm = fake_link_arm,
};

/* One namespace, which stays the same; a controller with a keep-alive timer. */
static inline struct fake_link *fake_link_new(uint32_t depth)
{
	struct fake_link *link = calloc(1, sizeof(*link));
	struct fake_queue *q = &link->queue;

	NVMUX_ASSERT(link && depth <= FAKE_QUEUE_DEPTH_MAX);
	q->ctrlr.transport = &fake_link_transport;
	q->rng = 0x9e3779b97f4a7c15ull;
	NVMUX_ASSERT(nvmux_qpair_init(&q->base, &q->ctrlr, 1, depth) == 0);
	link->view = calloc(1, sizeof(*link->view) + sizeof(link->view->ns[0]));
	NVMUX_ASSERT(link->view);
	link->view->stops = true;
	link->view->all_same = true;
	link->view->n_ns = 1;
	link->view->ns[0] = (struct replay_ns){.nsid = 1, .same = true, .nvm = true};
	replay_set_view(&q->base, link->view);
	nvmux_qpair_set_state(&q->base, NVMUX_QPAIR_CONNECTED);
	return link;
}

static inline void fake_link_free(struct fake_link *link)
{
	free(link->view);
	nvmux_qpair_fini(&link->queue.base);
	free(link);
}

/* As the control thread does. */
static inline void fake_link_set(struct fake_link *link, enum nvmux_qpair_state state)
{
	__atomic_store_n(&link->queue.base.state, (uint8_t)state, __ATOMIC_RELEASE);
}

static inline enum nvmux_qpair_state fake_link_get(const struct fake_link *link)
{
	return (enum nvmux_qpair_state)__atomic_load_n(&link->queue.base.state, __ATOMIC_ACQUIRE);
}

#endif
