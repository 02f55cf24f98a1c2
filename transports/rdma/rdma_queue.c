// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queue pairs: their memory, making one on a device, Fabrics Connect. Control thread.
 *
 * The happy path. A queue pair has its memory, capsules and what is kept of commands, from new to
 * free. For each connection it is made on the device that leads there (a place in a completion
 * queue, memory regions, an RDMA queue pair), Connect is sent and answered, and after the
 * connection is lost it is unmade; commands in flight stay in their slots meanwhile.
 *
 * Connect has a slot of its own behind those of commands, all of which may be in use when a
 * connection is restored. Its completions are seen by whoever polls the completion queue: the
 * control thread, which watches the channel meanwhile, or the thread of the poll group. Either
 * stores the answer and wakes the control thread by the controller's event_fd; rdma_qpair_look()
 * takes it from there with nothing else on the stack.
 *
 * Failure modes. What fails while one is made is undone. A target that rejects Connect, a response
 * that isn't one, a connection that breaks meanwhile: the call ends with a text. A queue pair whose
 * completions have not all come when it is unmade leaves entries in the completion queue, which is
 * told; they name nobody.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libcore/numa.h"
#include "rdma_int.h"

#define IN_CAPSULE_MAX 8192u /* bytes; more is read by the target, which then needs no copy */

/* ---- memory ---- */

/* The admin queue's is made before there is a connection, and so an adapter whose node counts. */
static int alloc_capsules(struct rdma_qpair *q)
{
	size_t sqes = ((size_t)q->n_slots + 1) * sizeof(*q->sqes);
	size_t cqes = (size_t)q->n_slots * sizeof(*q->cqes);
	uint8_t *memory;

	q->memory_size = align_up(sqes + cqes + sizeof(*q->connect_data), NVMUX_PAGE_SIZE);
	memory = mmap(NULL, q->memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	/* A child's copy on write would part us from the pages that the device knows. */
	madvise(memory, q->memory_size, MADV_DONTFORK);
	nvmux_numa_prefer(memory, q->memory_size, nvmux_ctrlr_get_numa_id(q->base.ctrlr));
	q->memory = memory;
	q->sqes = (struct nvmux_cmd *)(void *)memory;
	q->connect_data = (struct fabrics_connect_data *)(void *)(memory + sqes);
	q->cqes = (struct nvmux_cpl *)(void *)(memory + sqes + sizeof(*q->connect_data));
	return 0;
}

static int alloc_slots(struct rdma_qpair *q)
{
	size_t n = (size_t)q->n_slots + 1;

	q->slots = nvmux_calloc_lines(n, sizeof(*q->slots));
	q->recvs = nvmux_calloc_lines(q->n_slots, sizeof(*q->recvs));
	return q->slots && q->recvs ? 0 : -ENOMEM;
}

int rdma_qpair_new(struct rdma_ctrlr *rc, uint16_t qid, uint32_t entries,
		   struct nvmux_poll_group *group, struct rdma_qpair **ret)
{
	struct rdma_qpair *q;
	int err;

	NVMUX_ASSERT(entries >= 2 && entries <= 65536);
	q = nvmux_calloc_lines(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->group = group;
	q->epoll_fd = -1;
	q->n_slots = entries - 1;
	q->hsqsize = (uint16_t)(entries - 1);
	err = nvmux_qpair_init(&q->base, &rc->base, qid, q->n_slots);
	if (err) {
		free(q);
		return err;
	}
	err = alloc_capsules(q);
	if (!err)
		err = alloc_slots(q);
	if (!err && qid && !group) {
		q->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		err = q->epoll_fd < 0 ? -errno : 0;
	}
	if (err) {
		rdma_qpair_free(q);
		return nvmux_error(rc->base.nvmux, err,
				   "%s: can't allocate a queue pair of %u commands: %s",
				   rc->base.trid.traddr, entries - 1, strerror(-err));
	}
	rdma_qpair_reset(q);
	*ret = q;
	return 0;
}

void rdma_qpair_free(struct rdma_qpair *q)
{
	NVMUX_ASSERT(!q->qp && !q->cq);
	if (q->epoll_fd >= 0)
		close(q->epoll_fd);
	if (q->memory)
		munmap(q->memory, q->memory_size);
	free(q->slots);
	free(q->recvs);
	nvmux_qpair_fini(&q->base);
	free(q);
}

/* ---- on a device ---- */

static int register_capsules(struct rdma_qpair *q, struct rdma_ctrlr *rc)
{
	q->mr = ibv_reg_mr(rc->pd, q->memory, q->memory_size, IBV_ACCESS_LOCAL_WRITE);
	if (q->mr)
		q->connect_mr = ibv_reg_mr(rc->pd, q->connect_data, sizeof(*q->connect_data),
					   IBV_ACCESS_REMOTE_READ);
	if (!q->connect_mr)
		return nvmux_error(rc->base.nvmux, -errno,
				   "%s: can't register %zu bytes of capsules with %s: %s%s",
				   rc->base.trid.traddr, q->memory_size, rc->verbs->device->name,
				   strerror(errno),
				   errno == ENOMEM ? " (is the limit of locked memory, ulimit -l, "
						     "too low?)"
						   : "");
	return 0;
}

static int try_qp(struct rdma_qpair *q, struct rdma_ctrlr *rc, uint32_t sends, uint32_t recvs,
		  uint32_t inline_data)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = rdma_cq_verbs(q->cq),
		.recv_cq = rdma_cq_verbs(q->cq),
		.cap =
			{
				.max_send_wr = sends,
				.max_recv_wr = recvs,
				.max_send_sge = 2,
				.max_recv_sge = 1,
				.max_inline_data = inline_data,
			},
		.qp_type = IBV_QPT_RC,
	};

	if (rdma_create_qp(q->id, rc->pd, &attr))
		return -errno;
	q->qp = q->id->qp;
	q->inlined = inline_data && attr.cap.max_inline_data >= inline_data;
	q->max_sends = sends;
	q->max_quiet = q->inlined ? MIN(RDMA_SIGNAL_INTERVAL, sends) - 1 : 0;
	return 0;
}

/* With commands inline, and room for @sends, some of which are retired late; a device that can't do
 * that may be able to do without: then there are never more than @n, one for each command. */
static int create_qp(struct rdma_qpair *q, struct rdma_ctrlr *rc, uint32_t n, uint32_t sends)
{
	int err = try_qp(q, rc, sends, n, FABRICS_SQE_SIZE);

	if (err)
		err = try_qp(q, rc, n, n, 0);
	if (err)
		return nvmux_error(rc->base.nvmux, err,
				   "%s: can't make a queue pair for %u commands on %s: %s",
				   rc->base.trid.traddr, n, rc->verbs->device->name,
				   strerror(-err));
	nvmux_log(rc->base.nvmux, NVMUX_LOG_DEBUG, "rdma",
		  "%s: queue %u: %u commands, %u SENDs, %s", rc->base.trid.traddr, q->base.id, n,
		  q->max_sends, q->inlined ? "inline" : "not inline");
	return 0;
}

/* What of the work requests is the same for all commands of this connection. */
static void prepare(struct rdma_qpair *q)
{
	for (uint32_t i = 0; i <= q->n_slots; i++) {
		struct rdma_slot *slot = &q->slots[i];

		slot->pend = 0;
		slot->sge[0] = (struct ibv_sge){
			.addr = (uintptr_t)&q->sqes[i],
			.length = FABRICS_SQE_SIZE,
			.lkey = q->mr->lkey,
		};
		slot->wr = (struct ibv_send_wr){
			.sg_list = slot->sge,
			.num_sge = 1,
			.opcode = IBV_WR_SEND,
		};
	}
	for (uint32_t i = 0; i < q->n_slots; i++) {
		struct rdma_recv *recv = &q->recvs[i];

		recv->sge = (struct ibv_sge){
			.addr = (uintptr_t)&q->cqes[i],
			.length = FABRICS_CQE_SIZE,
			.lkey = q->mr->lkey,
		};
		recv->wr = (struct ibv_recv_wr){
			.wr_id = q->wr_base | RDMA_WR_RECV << RDMA_WR_KIND_SHIFT | i,
			.sg_list = &recv->sge,
			.num_sge = 1,
		};
	}
}

int rdma_qpair_make(struct rdma_qpair *q, struct rdma_cm_id *id)
{
	struct rdma_ctrlr *rc = rdma_ctrlr(q->base.ctrlr);
	uint32_t max = (uint32_t)MAX(rc->attr.max_qp_wr, 1), n = MIN(q->n_slots, max);
	uint32_t sends = MIN(n + RDMA_SIGNAL_INTERVAL, max);
	int err;

	NVMUX_ASSERT(!q->cq && !q->qp && rc->verbs == id->verbs);
	rdma_qpair_reset(q);
	q->id = id;
	q->limit = n;
	q->in_capsule = q->base.id ? MIN(rc->base.in_capsule, IN_CAPSULE_MAX) : 0;
	/* For each SEND: with an error all of them complete. */
	err = rdma_cq_get(rc, q->group, q->epoll_fd, sends + n, &q->cq);
	if (err)
		return err;
	q->n_entries = sends + n;
	err = register_capsules(q, rc);
	if (!err)
		err = rdma_cq_add(q->cq, q, &q->wr_base);
	if (!err)
		err = create_qp(q, rc, n, sends);
	if (!err && !q->base.id)
		err = rdma_cq_watch(q->cq);
	if (err) {
		rdma_qpair_unmake(q);
		return err;
	}
	q->watched = !q->base.id;
	prepare(q);
	return 0;
}

static void dereg(struct ibv_mr **mr)
{
	if (*mr)
		ibv_dereg_mr(*mr);
	*mr = NULL;
}

static void unwatch(struct rdma_qpair *q)
{
	if (q->watched)
		rdma_cq_unwatch(q->cq);
	q->watched = false;
}

static void destroy_qp(struct rdma_qpair *q)
{
	rdma_destroy_qp(q->id);
	__atomic_store_n(&q->destroy, RDMA_DESTROY_DONE, __ATOMIC_RELEASE);
}

/* Completions that may still be in the completion queue, at most: what was certain to come, and
 * SENDs that complete with errors only. */
static uint32_t left_behind(const struct rdma_qpair *q)
{
	return MIN(__atomic_load_n(&q->n_wr, __ATOMIC_RELAXED) + q->n_sends, q->n_entries);
}

void rdma_qpair_unmake(struct rdma_qpair *q)
{
	NVMUX_ASSERT(!q->connect.done);
	if (q->qp && __atomic_load_n(&q->destroy, __ATOMIC_ACQUIRE) != RDMA_DESTROY_DONE)
		destroy_qp(q);
	q->qp = NULL;
	if (q->cq) {
		unwatch(q);
		rdma_cq_remove(q->cq, q);
		rdma_cq_put(q->cq, q->n_entries, left_behind(q));
		q->cq = NULL;
	}
	q->id = NULL;
	dereg(&q->connect_mr);
	dereg(&q->mr);
}

/* ---- Connect ---- */

void rdma_qpair_accepted(struct rdma_qpair *q, uint16_t hsqsize, uint16_t crqsize)
{
	q->limit = MIN(q->limit, MAX(hsqsize, 1));
	if (crqsize)
		q->limit = MIN(q->limit, crqsize);
	/* while none is in flight and nobody has been told a depth */
	if (!q->used && q->limit < q->base.depth)
		nvmux_qpair_free_slots(&q->base, q->limit);
}

/* Its call ends. Nothing is touched afterwards. */
static void connect_end(struct rdma_qpair *q, int err, uint64_t value)
{
	if (q->base.id)
		unwatch(q);
	nvmux_call_end(&q->connect, err, value);
}

void rdma_qpair_cancel_connect(struct rdma_qpair *q, int err)
{
	if (q->connect.done)
		connect_end(q, err, 0);
}

static void connect_answered(struct rdma_qpair *q)
{
	const struct nvmux_cpl *cpl = &q->connect_cpl;
	struct nvmux_ctrlr *ctrlr = q->base.ctrlr;
	bool permanent = false;
	char why[256] = "";
	int err;

	if (!nvmux_cpl_is_error(cpl)) {
		q->used = true;
		connect_end(q, 0, le32_to_cpu(cpl->dw0));
		return;
	}
	err = fabrics_connect_error(cpl, q->connect_data, why, sizeof(why), &permanent);
	nvmux_error(ctrlr->nvmux, err, "%s: %s", ctrlr->trid.traddr, why);
	connect_end(q, err, permanent);
}

static void connect_broken(struct rdma_qpair *q)
{
	struct nvmux_ctrlr *ctrlr = q->base.ctrlr;

	q->reported = true;
	connect_end(q,
		    nvmux_error(ctrlr->nvmux, -EIO, "%s: Connect failed: %s", ctrlr->trid.traddr,
				q->why),
		    0);
}

void rdma_qpair_send_connect(struct rdma_qpair *q, const struct nvmux_cmd *cmd,
			     const struct fabrics_connect_data *data, nvmux_done_fn done, void *arg)
{
	uint16_t index = (uint16_t)q->n_slots; /* behind the others */
	struct nvmux_cmd *sqe = &q->sqes[index];
	int err = 0;

	NVMUX_ASSERT(q->qp && !q->connect.done && !q->answered);
	if (!q->watched) {
		err = rdma_cq_watch(q->cq);
		q->watched = !err;
	}
	if (err) {
		done(arg, err, 0);
		return;
	}
	*q->connect_data = *data;
	*sqe = *cmd;
	sqe->cid = cpu_to_le16(nvmux_qpair_renew_cid(&q->base, index));
	fabrics_sgl_keyed(sqe, (uintptr_t)q->connect_data, sizeof(*data), q->connect_mr->rkey);
	q->connect = (struct nvmux_call){.done = done, .arg = arg};
	rdma_cq_notify(q->cq);
	rdma_qpair_send(q, index);
	rdma_qpair_post(q);
	if (__atomic_load_n(&q->broken, __ATOMIC_ACQUIRE))
		connect_broken(q);
}

void rdma_qpair_serve(struct rdma_qpair *q)
{
	if (__atomic_load_n(&q->destroy, __ATOMIC_ACQUIRE) == RDMA_DESTROY_WANTED)
		destroy_qp(q);
}

bool rdma_qpair_look(struct rdma_qpair *q, const char **why)
{
	bool broken = __atomic_load_n(&q->broken, __ATOMIC_ACQUIRE);

	rdma_qpair_serve(q);
	if (q->connect.done && __atomic_load_n(&q->answered, __ATOMIC_ACQUIRE)) {
		if (broken)
			rdma_ctrlr_poke(rdma_ctrlr(q->base.ctrlr)); /* looked at next time */
		connect_answered(q);
		return false;
	}
	if (q->connect.done && broken) {
		connect_broken(q);
		return false;
	}
	if (!broken || q->reported)
		return false;
	q->reported = true;
	*why = q->why;
	return true;
}
