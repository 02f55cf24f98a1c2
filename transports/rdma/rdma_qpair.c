// SPDX-License-Identifier: BSD-3-Clause
/*
 * The I/O path of a queue pair over RDMA.
 *
 * The happy path. submit() takes a command identifier, writes the command once, into the capsule of
 * that identifier, and links its SEND and a RECV for a response to two chains; nothing reaches the
 * device. process() posts the chains, RECVs first, and polls the completion queue. Data is
 * described by the key of its region, for the target to read or write; small data for the
 * controller goes in the capsule, by a second segment straight from the region. Responses fill the
 * RECV buffers in the order of posting, whatever command they are for.
 *
 * When a command is done. Until a work request has completed, its buffers are the device's, which
 * may read them (again) for a retransmission, though the response has arrived: the acknowledgement
 * may be lost where the response isn't (ibv_post_send(3), notes: the buffers can be reused when the
 * completion has been retrieved). So a command is done when its SEND and the RECV of its response
 * have completed, in whatever order, if the SEND has segments in our memory: those with data in the
 * capsule, and all on a device that takes no inline data. A command without data in the capsule is
 * posted inline: ibv_post_send() copies its 64 bytes into the send queue, and afterwards the device
 * reads nothing of ours for it, not even to retransmit (same notes: with IBV_SEND_INLINE the buffer
 * can be reused when the call returns). What the target does with the client's memory by the key it
 * has done before it responds: its writes are ahead of the response on a reliable connection, its
 * reads have been answered. So such a command is done when the response has arrived, and its slot
 * may be used again, capsule and all. (That the response proves the SEND's arrival would not be
 * enough: it says nothing about what the device does with the memory of a work request that it
 * hasn't retired.)
 *
 * Such a SEND needs no completion of its own: one in RDMA_SIGNAL_INTERVAL asks for one
 * (IBV_SEND_SIGNALED, on a queue pair made with sq_sig_all = 0), which retires those before it too,
 * since the send queue of a reliable connection completes in order. Only then their entries of the
 * send queue are free: n_sends counts entries from chaining to that and never exceeds the send
 * queue, which has some more than there can be commands, so that this seldom makes one wait. Among
 * as many SENDs as it holds at least one asks: room always comes. With an error each SEND
 * completes, asked for or not; entries are reserved in the completion queue for all.
 *
 * Limits. What is posted never exceeds what the target accepted; there is one RECV for each
 * command, and room in the completion queue for everything. Commands beyond (after a reconnect to a
 * target that accepts less; when the send queue is full) wait in their order.
 *
 * Failure modes.
 * - A work completion with an error, a response that isn't 16 bytes, one for a command that isn't
 *   in flight or has had its response, a post that fails: the queue pair is broken. It posts
 *   nothing any more, and the control thread is told, which gives up the connection. A target that
 *   mixes up commands can't be trusted with any.
 * - A path related status (type 3h) says that another time may be better: an I/O command stays in
 *   its slot and is sent again after a while, until path_retry_timeout_ms has passed since the
 *   first.
 * - Quiesce: the RDMA queue pair is brought to its error state, in which all that is posted
 *   completes. A response that had arrived before that counts, even if it is polled now or if its
 *   SEND completes with an error: the target has done with the command, and so has the device. All
 *   others stay in their slots to be repeated. SENDs that didn't ask aren't waited for: whether
 *   their completions come isn't known, and they mean nothing to a command; room for them stays in
 *   the completion queue until it has been seen empty. If other completions don't come, the RDMA
 *   queue pair is destroyed (by the control thread, which is asked), which ends all access as well,
 *   and it is taken out of the completion queue's table before: no command can both complete and be
 *   repeated.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "rdma_int.h"

#define DATA_LEN_MAX  0xffffffu /* a keyed data block's length has 24 bits */
#define PATH_RETRY_MS 100
#define QUIESCE_MS    5000 /* for the completions of a queue pair in the error state */

#define STATUS_TYPE_MASK 0x700
#define STATUS_TYPE_PATH 0x300

/* ---- lists of commands that wait ---- */

static void fifo_push(struct rdma_qpair *q, struct rdma_fifo *fifo, uint16_t index)
{
	q->slots[index].next = RDMA_CID_NONE;
	if (fifo->first == RDMA_CID_NONE)
		fifo->first = index;
	else
		q->slots[fifo->last].next = index;
	fifo->last = index;
}

static uint16_t fifo_pop(const struct rdma_qpair *q, struct rdma_fifo *fifo)
{
	uint16_t index = fifo->first;

	fifo->first = q->slots[index].next;
	return index;
}

/* Drop what has been submitted and not posted; the commands stay in their slots. */
static void drop_waiting(struct rdma_qpair *q)
{
	q->send_first = NULL;
	q->send_tail = &q->send_first;
	q->recv_first = NULL;
	q->recv_tail = &q->recv_first;
	if (q->n_chained)
		q->n_sends -= q->n_chained;
	q->n_chained = 0;
	q->n_signaled = 0;
	q->queued.first = RDMA_CID_NONE;
	q->held.first = RDMA_CID_NONE;
}

void rdma_qpair_reset(struct rdma_qpair *q)
{
	drop_waiting(q);
	q->recv_next = 0;
	q->n_wr = 0;
	q->n_posted = 0;
	q->n_sends = 0;
	q->n_quiet = 0;
	q->broken = false;
	q->quiescing = false;
	q->silent = false;
	q->quiet = false;
	q->destroy = RDMA_DESTROY_NONE;
	q->reported = false;
	q->answered = false;
	q->wr_base = 0;
}

__attribute__((cold, noinline)) void rdma_qpair_break(struct rdma_qpair *q, const char *fmt, ...)
{
	va_list ap;

	if (q->broken)
		return;
	va_start(ap, fmt);
	vsnprintf(q->why, sizeof(q->why), fmt, ap);
	va_end(ap);
	__atomic_store_n(&q->broken, true, __ATOMIC_RELEASE);
	rdma_ctrlr_poke(rdma_ctrlr(q->base.ctrlr));
}

/* Work requests under way: counted by whoever posts and by whoever polls, which while the queue
 * pair is being connected may be two threads, one after the other. */
static inline void count_wr(struct rdma_qpair *q, uint32_t n)
{
	uint32_t now = __atomic_load_n(&q->n_wr, __ATOMIC_RELAXED) + n;

	__atomic_store_n(&q->n_wr, now, __ATOMIC_RELEASE);
}

/* ---- sending ---- */

/* With a completion, which retires those without one before it. */
static inline uint32_t signaled(struct rdma_qpair *q)
{
	uint32_t before = q->n_quiet;

	q->n_quiet = 0;
	q->n_signaled++;
	return before << RDMA_WR_BEFORE_SHIFT;
}

/* Which completions its command waits for, and whether there is one of the SEND. */
static inline void sign(struct rdma_qpair *q, struct rdma_slot *slot, uint16_t index)
{
	struct ibv_send_wr *wr = &slot->wr;

	slot->pend = RDMA_PEND_RECV;
	if (unlikely(!q->inlined || wr->num_sge > 1)) {
		slot->pend |= RDMA_PEND_SEND;
		wr->send_flags = IBV_SEND_SIGNALED;
		wr->wr_id = q->wr_base | signaled(q) | RDMA_WR_AWAITED << RDMA_WR_KIND_SHIFT |
			    index;
	} else if (likely(q->n_quiet < q->max_quiet)) {
		q->n_quiet++;
		wr->send_flags = IBV_SEND_INLINE;
		wr->wr_id = q->wr_base | RDMA_WR_QUIET << RDMA_WR_KIND_SHIFT | index;
	} else {
		wr->send_flags = IBV_SEND_INLINE | IBV_SEND_SIGNALED;
		wr->wr_id = q->wr_base | signaled(q) | RDMA_WR_SEND << RDMA_WR_KIND_SHIFT | index;
	}
}

static inline bool has_room(const struct rdma_qpair *q)
{
	return q->n_posted < q->limit && q->n_sends < q->max_sends;
}

static inline void chain(struct rdma_qpair *q, uint16_t index)
{
	struct rdma_slot *slot = &q->slots[index];
	struct rdma_recv *recv = &q->recvs[q->recv_next];

	q->recv_next = q->recv_next + 1 == q->n_slots ? 0 : q->recv_next + 1;
	sign(q, slot, index);
	slot->wr.next = NULL;
	*q->send_tail = &slot->wr;
	q->send_tail = &slot->wr.next;
	recv->wr.next = NULL;
	*q->recv_tail = &recv->wr;
	q->recv_tail = &recv->wr.next;
	q->n_chained++;
	q->n_sends++;
	q->n_posted++;
}

void rdma_qpair_send(struct rdma_qpair *q, uint16_t index)
{
	if (likely(has_room(q)))
		chain(q, index);
	else
		fifo_push(q, &q->queued, index);
}

/* What was not posted, from the one that failed on: completions that don't come. */
static uint32_t sends_from(struct rdma_qpair *q, const struct ibv_send_wr *wr)
{
	uint32_t n = 0;

	for (; wr; wr = wr->next) {
		n += wr->send_flags & IBV_SEND_SIGNALED ? 1 : 0;
		q->n_sends--;
	}
	return n;
}

static uint32_t recvs_from(const struct ibv_recv_wr *wr)
{
	uint32_t n = 0;

	for (; wr; wr = wr->next)
		n++;
	return n;
}

__attribute__((cold, noinline)) static void post_failed(struct rdma_qpair *q, const char *call,
							int err, uint32_t not_posted)
{
	count_wr(q, -not_posted);
	rdma_qpair_break(q, "%s: %s", call, strerror(err < 0 ? -err : err));
}

/* Both at once: what can't be posted is known by the list that is left. */
void rdma_qpair_post(struct rdma_qpair *q)
{
	struct ibv_recv_wr *recv = q->recv_first, *bad_recv = recv;
	struct ibv_send_wr *send = q->send_first, *bad_send = send;
	uint32_t n_signaled = q->n_signaled;
	int err;

	q->recv_first = NULL;
	q->recv_tail = &q->recv_first;
	q->send_first = NULL;
	q->send_tail = &q->send_first;
	count_wr(q, q->n_chained + n_signaled); /* before a completion can be seen */
	q->n_chained = 0;
	q->n_signaled = 0;
	err = ibv_post_recv(q->qp, recv, &bad_recv);
	if (unlikely(err)) {
		post_failed(q, "ibv_post_recv", err, sends_from(q, send) + recvs_from(bad_recv));
		return;
	}
	err = ibv_post_send(q->qp, send, &bad_send);
	if (unlikely(err))
		post_failed(q, "ibv_post_send", err, sends_from(q, bad_send));
}

/* Commands that waited for room. Posted at once: who has nothing to reap may go to sleep. */
__attribute__((cold, noinline)) static void send_queued(struct rdma_qpair *q)
{
	while (q->queued.first != RDMA_CID_NONE && has_room(q))
		chain(q, fifo_pop(q, &q->queued));
	if (q->send_first && !q->broken)
		rdma_qpair_post(q);
}

/* Say in the command where its data is, by the keys of today. */
static inline void describe(struct rdma_qpair *q, uint16_t index)
{
	struct rdma_slot *slot = &q->slots[index];
	struct nvmux_cmd *sqe = &q->sqes[index];
	const struct nvmux_mem_map *map;
	uint64_t addr;

	slot->wr.num_sge = 1;
	if (!slot->mem) {
		fabrics_sgl_keyed(sqe, 0, 0, 0);
		return;
	}
	map = &slot->mem->maps[q->base.ctrlr->index];
	addr = (uintptr_t)slot->mem->addr + slot->offset;
	/* Bits 1:0 of an opcode are the direction; 01b: host to controller. */
	if (slot->len > q->in_capsule || (sqe->opc & 3) != 1) {
		fabrics_sgl_keyed(sqe, addr, slot->len, map->rkey);
		return;
	}
	fabrics_sgl_in_capsule(sqe, 0, slot->len);
	slot->sge[1] = (struct ibv_sge){.addr = addr, .length = slot->len, .lkey = map->lkey};
	slot->wr.num_sge = 2;
}

/* One descriptor takes one piece of memory under one key. */
static bool in_one_piece(const struct nvmux_payload *payload)
{
	const struct nvmux_seg *seg = payload->data;

	for (uint32_t i = 1; i < payload->n_data; i++) {
		if (seg[i].mem != seg[0].mem || seg[i].offset != seg[i - 1].offset + seg[i - 1].len)
			return false;
	}
	return true;
}

int rdma_qpair_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	struct rdma_qpair *q = rdma_qpair(qpair);
	const struct nvmux_seg *seg = payload->data_len ? payload->data : NULL;
	struct rdma_slot *slot;
	uint16_t cid, index;

	if (unlikely(payload->md.len || payload->data_len > DATA_LEN_MAX))
		return -EINVAL;
	if (unlikely(payload->n_data > 1 && !in_one_piece(payload)))
		return -EINVAL;

	cid = nvmux_qpair_take_cid(qpair, cb, arg);
	index = cid & qpair->cid_mask;
	slot = &q->slots[index];
	slot->mem = seg ? seg->mem : NULL;
	slot->offset = seg ? seg->offset : 0;
	slot->len = payload->data_len;
	slot->first_ms = 0;
	q->sqes[index] = (struct nvmux_cmd){
		.opc = cmd->opc,
		.flags = cmd->flags & 0x3, /* FUSE; PSDT comes with the descriptor */
		.cid = cpu_to_le16(cid),
		.nsid = cmd->nsid,
		.cdw2 = cmd->cdw2,
		.cdw3 = cmd->cdw3,
		.cdw10 = cmd->cdw10,
		.cdw11 = cmd->cdw11,
		.cdw12 = cmd->cdw12,
		.cdw13 = cmd->cdw13,
		.cdw14 = cmd->cdw14,
		.cdw15 = cmd->cdw15,
	};
	describe(q, index);
	rdma_qpair_send(q, index);
	return 0;
}

const struct nvmux_cmd *rdma_qpair_inflight(const struct nvmux_qpair *qpair, uint16_t index)
{
	const struct rdma_qpair *q = rdma_qpair(qpair);

	return index < qpair->depth && qpair->slots[index].cb ? &q->sqes[index] : NULL;
}

int rdma_qpair_repost(struct nvmux_qpair *qpair, uint16_t index)
{
	struct rdma_qpair *q = rdma_qpair(qpair);
	struct rdma_slot *slot = &q->slots[index];

	NVMUX_ASSERT(index < qpair->depth && qpair->slots[index].cb && !slot->pend);
	if (slot->mem && !nvmux_mem_is_mapped(slot->mem, qpair->ctrlr))
		return -EFAULT;
	slot->first_ms = 0;
	q->sqes[index].cid = cpu_to_le16(nvmux_qpair_renew_cid(qpair, index));
	describe(q, index);
	rdma_qpair_send(q, index);
	return 0;
}

/* ---- path related statuses ---- */

static inline bool is_path_status(const struct nvmux_cpl *cpl)
{
	return (nvmux_cpl_status(cpl) & (STATUS_TYPE_MASK | NVMUX_STATUS_DNR)) == STATUS_TYPE_PATH;
}

/* Keep the command for another attempt. False: it has had its time. */
__attribute__((cold, noinline)) static bool hold(struct rdma_qpair *q, uint16_t index)
{
	struct rdma_slot *slot = &q->slots[index];
	uint64_t now;

	if (__atomic_load_n(&q->quiescing, __ATOMIC_RELAXED))
		return true; /* it is dealt with as those without a response */
	now = nvmux_now_ms();
	if (!slot->first_ms)
		slot->first_ms = now;
	if (now - slot->first_ms >= q->base.ctrlr->opts.path_retry_timeout_ms)
		return false;
	slot->due_ms = now + PATH_RETRY_MS;
	fifo_push(q, &q->held, index);
	q->n_posted--;
	rdma_cq_held(q->cq);
	return true;
}

__attribute__((cold, noinline)) static void resend_held(struct rdma_qpair *q)
{
	uint64_t now = nvmux_now_ms();

	while (q->held.first != RDMA_CID_NONE && q->slots[q->held.first].due_ms <= now) {
		uint16_t index = fifo_pop(q, &q->held);

		q->sqes[index].cid = cpu_to_le16(nvmux_qpair_renew_cid(&q->base, index));
		rdma_qpair_send(q, index);
	}
}

/* ---- completions ---- */

/* All of Connect: the control thread goes on from here. */
__attribute__((cold, noinline)) static int answered(struct rdma_qpair *q,
						    const struct nvmux_cpl *cpl)
{
	struct rdma_ctrlr *rc = rdma_ctrlr(q->base.ctrlr);

	q->n_posted--;
	q->connect_cpl = *cpl;
	__atomic_store_n(&q->answered, true, __ATOMIC_RELEASE);
	rdma_ctrlr_poke(rc);
	return 0;
}

/* A command is done. Its callback may end the queue pair. */
static inline int complete(struct rdma_qpair *q, uint16_t index, const struct nvmux_cpl *cpl)
{
	if (unlikely(index >= q->base.depth))
		return answered(q, cpl);
	if (unlikely(is_path_status(cpl)) && q->base.id && hold(q, index))
		return 0;
	q->n_posted--;
	if (unlikely(q->queued.first != RDMA_CID_NONE))
		send_queued(q);
	nvmux_qpair_complete(&q->base, cpl);
	return 1;
}

__attribute__((cold, noinline)) static int bad_capsule(struct rdma_qpair *q,
						       const struct ibv_wc *wc)
{
	if (wc->opcode != IBV_WC_RECV)
		rdma_qpair_break(q, "the target sent something that isn't a response capsule");
	else
		rdma_qpair_break(q, "a response capsule has %u bytes; it must have %u",
				 wc->byte_len, FABRICS_CQE_SIZE);
	return 0;
}

__attribute__((cold, noinline)) static int unknown_cid(struct rdma_qpair *q, uint16_t cid)
{
	q->base.unknown_cids++;
	rdma_qpair_break(q, "the target answered command %u, which isn't in flight", cid);
	return 0;
}

static inline int received(struct rdma_qpair *q, const struct ibv_wc *wc, uint32_t recv)
{
	struct rdma_slot *slot;
	struct nvmux_cpl cpl;
	uint16_t cid, index;

	if (unlikely(wc->byte_len != FABRICS_CQE_SIZE || wc->opcode != IBV_WC_RECV))
		return bad_capsule(q, wc);
	cpl = q->cqes[recv];
	cid = le16_to_cpu(cpl.cid);
	index = cid & q->base.cid_mask;
	if (unlikely(q->base.slots[index].cid != cid))
		return unknown_cid(q, cid);
	slot = &q->slots[index]; /* it is one of those that have been taken */
	if (unlikely(!(slot->pend & RDMA_PEND_RECV)))
		return unknown_cid(q, cid);
	slot->pend &= (uint8_t)~RDMA_PEND_RECV;
	if (unlikely(slot->pend)) {
		slot->cpl = cpl;
		return 0;
	}
	return complete(q, index, &cpl);
}

/* A SEND, of a command that waits for it or (and then the slot may be another's by now) of one that
 * doesn't. */
static inline int sent(struct rdma_qpair *q, enum rdma_wr_kind kind, uint16_t index)
{
	struct rdma_slot *slot = &q->slots[index];
	struct nvmux_cpl cpl;

	if (unlikely(q->queued.first != RDMA_CID_NONE))
		send_queued(q);
	if (kind != RDMA_WR_AWAITED)
		return 0;
	slot->pend &= (uint8_t)~RDMA_PEND_SEND;
	if (likely(slot->pend))
		return 0;
	cpl = slot->cpl;
	return complete(q, index, &cpl);
}

__attribute__((cold, noinline)) static int wc_failed(struct rdma_qpair *q, const struct ibv_wc *wc)
{
	bool quiescing = __atomic_load_n(&q->quiescing, __ATOMIC_RELAXED);
	enum rdma_wr_kind kind = rdma_wr_kind(wc->wr_id);
	bool recv = kind == RDMA_WR_RECV;

	/* RECVs may be flushed before the SEND that says why. */
	if (!quiescing && wc->status == IBV_WC_WR_FLUSH_ERR && (!recv || !q->n_wr))
		rdma_qpair_break(q, "the connection ended");
	else if (!quiescing && wc->status != IBV_WC_WR_FLUSH_ERR)
		rdma_qpair_break(q, "%s: %s (vendor error %#x)", recv ? "RECV" : "SEND",
				 ibv_wc_status_str(wc->status), wc->vendor_err);
	return recv ? 0 : sent(q, kind, (uint16_t)(wc->wr_id & RDMA_WR_INDEX));
}

int rdma_qpair_wc(struct rdma_qpair *q, const struct ibv_wc *wc)
{
	uint32_t index = (uint32_t)(wc->wr_id & RDMA_WR_INDEX);
	enum rdma_wr_kind kind = rdma_wr_kind(wc->wr_id);

	if (kind == RDMA_WR_SEND || kind == RDMA_WR_AWAITED)
		q->n_sends -= rdma_wr_retires(wc->wr_id);
	if (likely(kind != RDMA_WR_QUIET))
		count_wr(q, -1u);
	if (unlikely(__atomic_load_n(&q->silent, __ATOMIC_RELAXED)))
		return 0;
	if (unlikely(wc->status != IBV_WC_SUCCESS))
		return wc_failed(q, wc);
	return kind == RDMA_WR_RECV ? received(q, wc, index) : sent(q, kind, (uint16_t)index);
}

int rdma_qpair_process(struct nvmux_qpair *qpair, uint32_t max)
{
	struct rdma_qpair *q = rdma_qpair(qpair);
	int n;

	if (unlikely(q->broken))
		return 0;
	if (unlikely(q->held.first != RDMA_CID_NONE))
		resend_held(q);
	if (q->send_first)
		rdma_qpair_post(q);
	n = rdma_cq_turn(q->cq, q, max);
	/* An admin queue is processed again only when something completes. */
	if (!qpair->id && q->send_first && !q->broken)
		rdma_qpair_post(q);
	return n;
}

/* ---- quiesce ---- */

/* No completion is going to come, and to wait has taken too long: the RDMA queue pair has to be
 * destroyed. It is the connection manager's as well, whose thread is the control thread: that does
 * it, whichever thread this is. */
static void give_up(struct rdma_qpair *q, bool polled_here)
{
	if (polled_here)
		rdma_cq_forget(q->cq, q);
	else
		rdma_cq_remove(q->cq, q);
	__atomic_store_n(&q->destroy, RDMA_DESTROY_WANTED, __ATOMIC_RELEASE);
	rdma_ctrlr_poke(rdma_ctrlr(q->base.ctrlr));
}

static void begin_quiesce(struct rdma_qpair *q)
{
	struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};

	__atomic_store_n(&q->quiescing, true, __ATOMIC_RELAXED);
	drop_waiting(q);
	q->quiet_deadline = nvmux_now_ms() + QUIESCE_MS;
	if (ibv_modify_qp(q->qp, &attr, IBV_QP_STATE))
		q->quiet_deadline = 0; /* then nothing is going to complete either */
}

/* @polled_here: this thread polls its completion queue, or would. */
static int quiesce(struct rdma_qpair *q, bool polled_here)
{
	uint8_t destroy = __atomic_load_n(&q->destroy, __ATOMIC_ACQUIRE);

	if (!q->qp || destroy == RDMA_DESTROY_DONE)
		return 1;
	if (destroy == RDMA_DESTROY_WANTED)
		return 0;
	if (q->quiet && !__atomic_load_n(&q->n_wr, __ATOMIC_ACQUIRE))
		return 1;
	/* Else the thread that polls only counts. */
	__atomic_store_n(&q->silent, !polled_here, __ATOMIC_RELAXED);
	if (!q->quiescing)
		begin_quiesce(q);
	if (polled_here)
		rdma_cq_poll(q->cq, 0);
	else
		rdma_cq_notify(q->cq); /* wakes that thread */
	if (__atomic_load_n(&q->n_wr, __ATOMIC_ACQUIRE)) {
		if (nvmux_now_ms() >= q->quiet_deadline)
			give_up(q, polled_here);
		return 0;
	}
	if (!polled_here)
		rdma_cq_remove(q->cq, q); /* it may still be in the middle of the last one */
	q->quiet = true;
	return 1;
}

int rdma_qpair_quiesce(struct nvmux_qpair *qpair)
{
	struct rdma_qpair *q = rdma_qpair(qpair);

	return quiesce(q, !q->cq || !rdma_cq_foreign(q->cq) || qpair->handed_over);
}

int rdma_qpair_flush(struct rdma_qpair *q)
{
	return quiesce(q, !q->cq || !rdma_cq_foreign(q->cq));
}

/* ---- waiting, without a poll group ---- */

int rdma_qpair_get_fd(const struct nvmux_qpair *qpair)
{
	const struct rdma_qpair *q = rdma_qpair(qpair);

	return q->epoll_fd >= 0 ? q->epoll_fd : -EOPNOTSUPP;
}

int rdma_qpair_arm(struct nvmux_qpair *qpair)
{
	const struct rdma_qpair *q = rdma_qpair(qpair);
	enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);

	if (q->epoll_fd < 0)
		return -EOPNOTSUPP;
	/* Else there is its part in recovery to do, or the completion queue is the control
	 * thread's, which may be freeing it. */
	return state == NVMUX_QPAIR_CONNECTED || state == NVMUX_QPAIR_HOLDING ? rdma_cq_arm(q->cq)
									      : -EAGAIN;
}
