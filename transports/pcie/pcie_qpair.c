// SPDX-License-Identifier: BSD-3-Clause
/*
 * The I/O path of a queue pair in host memory.
 *
 * The happy path. submit() takes a command identifier, writes the command once, straight into its
 * place in the submission queue, and returns; nothing reaches the device. That entry is also what a
 * command is repeated from; it is copied only before it is overwritten. process() first rings
 * the submission queue's doorbell for everything that has collected, then delivers completions
 * (phase bit, barrier, private copy, head, callback) and rings the completion queue's doorbell
 * once.
 *
 * Neither queue can overflow. At most entries - 1 commands are in flight, and a place in the
 * submission queue is used again only when that many younger commands were, of which one would
 * still be in flight if the device hadn't fetched it. Completions that were delivered have been
 * announced by the completion queue's doorbell before the commands that their callbacks submitted
 * are announced, so that the device always finds room for what it knows of.
 *
 * Failure modes.
 * - A doorbell that can't be written now (-EAGAIN, a socket that is full) is written with the next
 *   poll; the submission doorbell waits for the completion doorbell, for the reason above.
 * - A completion for a command that isn't in flight is dropped and counted. A few may be the
 *   controller's slip; after PCIE_UNKNOWN_CIDS_MAX the queue is given up with -ENXIO, because
 *   a device that mixes up commands can't be trusted with memory, and the control thread is told to
 *   give up the controller. A completion queue full of ones ends the same way, within one poll.
 * - Callbacks may free the queue pair, or lose or reset the controller: each completion is followed
 *   by a look at the state.
 */
#include "pcie_int.h"

#define PCIE_FUSE_MASK 3u /* of a command's flags */

static inline int pcie_ring(const struct pcie_qpair *q, volatile uint32_t *db,
			    const struct pcie_bell *bell, uint32_t value, uint32_t old)
{
	if (likely(db != NULL)) {
		*db = (NVMUX_FORCE uint32_t)cpu_to_le32(value);
		return 0;
	}
	return pcie_ring_far(q, bell, value, old);
}

/* Now isn't the time, or it never will be again. */
__attribute__((cold, noinline)) static void pcie_ring_failed(struct pcie_qpair *q, int err)
{
	if (err != -EAGAIN)
		pcie_qpair_break(q);
	else if (q->base.id == 0)
		pcie_adminq_retry(pcie_ctrlr(q->base.ctrlr)); /* nobody else polls it */
}

/* Announce the completions that were taken. False: not now, or never. */
static inline bool pcie_ring_cq(struct pcie_qpair *q)
{
	int err;

	if (q->cq_head == q->cq_head_rung)
		return true;
	err = pcie_ring(q, q->cq_db, &q->cq_bell, q->cq_head, q->cq_head_rung);
	if (unlikely(err)) {
		pcie_ring_failed(q, err);
		return false;
	}
	q->cq_head_rung = q->cq_head;
	return true;
}

/*
 * Up to where: both of two fused commands or none. The first is the last entry while its second is
 * awaited, since nothing goes between them. Base specification 2.0, section 3.4.2.
 */
__attribute__((cold, noinline)) static uint32_t pcie_fused_tail(const struct pcie_qpair *q)
{
	uint32_t last = q->sq_tail ? q->sq_tail - 1 : q->entries - 1;

	return (q->sq[last].flags & PCIE_FUSE_MASK) == NVMUX_IO_FUSE_FIRST ? last : q->sq_tail;
}

/* Announce the commands that were submitted. */
static inline void pcie_ring_sq(struct pcie_qpair *q)
{
	uint32_t tail = q->sq_tail;
	int err;

	if (tail == q->sq_tail_rung)
		return;
	if (unlikely(q->base.slow & NVMUX_SLOW_FUSED)) {
		tail = pcie_fused_tail(q);
		if (tail == q->sq_tail_rung)
			return;
	}
	dma_wmb(); /* the commands are there before the doorbell says so */
	err = pcie_ring(q, q->sq_db, &q->sq_bell, tail, q->sq_tail_rung);
	if (unlikely(err))
		pcie_ring_failed(q, err);
	else
		q->sq_tail_rung = tail;
}

/* Data that PRPs can't express. */
__attribute__((cold, noinline)) static int pcie_sgl(const struct nvmux_qpair *qpair,
						    const struct nvmux_payload *payload,
						    const struct prp_list *list, __le64 dptr[2])
{
	uint32_t sgls = le32_to_cpu(qpair->ctrlr->id.sgls) & SGL_SUPPORT_MASK;

	if (!qpair->ctrlr->sgl || !qpair->id)
		return -EINVAL;
	return sgl_build(payload->data, payload->n_data, sgls == SGL_SUPPORT_DWORD, list, dptr);
}

/* Data of several pieces, of more than two pages, or (@opaque) as the device thinks. The command's
 * PSDT, or -EINVAL. */
__attribute__((noinline)) static int pcie_build_long(const struct pcie_qpair *q, uint16_t index,
						     bool opaque,
						     const struct nvmux_payload *payload,
						     __le64 dptr[2])
{
	const struct prp_list list = {
		.entries = &q->lists[(size_t)index * PRP_LIST_ENTRIES],
		.iova = q->lists_iova + (uint64_t)index * NVMUX_PAGE_SIZE,
		.used = &q->list_used[index],
	};
	int err = -EINVAL;

	if (likely(!opaque))
		err = prp_build_list(payload->data, payload->n_data, &list, dptr);
	if (likely(!err))
		return 0;
	if (!pcie_sgl(&q->base, payload, &list, dptr))
		return PSDT_SGL;
	return opaque ? prp_build_opaque(payload->data, payload->n_data, &list, dptr) : -EINVAL;
}

/*
 * The next place in the submission queue, for the command of a slot. The entry that is there yet is
 * kept if its command is in flight: it has been overtaken by as many as the queue has entries.
 */
static inline struct nvmux_cmd *pcie_sq_place(struct pcie_qpair *q, uint16_t index)
{
	struct nvmux_cmd *sqe = &q->sq[q->sq_tail];
	uint16_t old = le16_to_cpu(sqe->cid) & q->base.cid_mask;

	if (unlikely(q->sq_at[old] == q->sq_tail) && q->base.slots[old].cb)
		q->kept[old] = *sqe;
	q->sq_at[index] = (uint16_t)q->sq_tail;
	q->sq_tail = q->sq_tail + 1 == q->entries ? 0 : q->sq_tail + 1;
	return sqe;
}

int pcie_qpair_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	struct pcie_qpair *q = pcie_qpair(qpair);
	uint16_t index = nvmux_qpair_next_slot(qpair); /* taken once nothing can fail */
	__le64 dptr[2] = {0};
	__le64 mptr = 0;
	int psdt = 0; /* 0: PRPs */

	if (payload->n_data && unlikely(cmd->flags & NVMUX_CMD_OPAQUE ||
					!prp_build_short(payload->data, payload->n_data, dptr))) {
		psdt = pcie_build_long(q, index, cmd->flags & NVMUX_CMD_OPAQUE, payload, dptr);
		if (psdt < 0)
			return psdt;
	}
	if (unlikely(payload->md.len)) {
		mptr = cpu_to_le64(prp_seg_iova(&payload->md));
		if (prp_seg_iova(&payload->md) & PRP_ALIGN_MASK)
			return -EINVAL;
	}
	*pcie_sq_place(q, index) = (struct nvmux_cmd){
		.opc = cmd->opc,
		.flags = (uint8_t)((cmd->flags & PCIE_FUSE_MASK) | psdt),
		.cid = cpu_to_le16(nvmux_qpair_take_slot(qpair, index, cb, arg)),
		.nsid = cmd->nsid,
		.cdw2 = cmd->cdw2,
		.cdw3 = cmd->cdw3,
		.mptr = mptr,
		.dptr = {dptr[0], dptr[1]},
		.cdw10 = cmd->cdw10,
		.cdw11 = cmd->cdw11,
		.cdw12 = cmd->cdw12,
		.cdw13 = cmd->cdw13,
		.cdw14 = cmd->cdw14,
		.cdw15 = cmd->cdw15,
	};
	return 0;
}

const struct nvmux_cmd *pcie_qpair_inflight(const struct nvmux_qpair *qpair, uint16_t index)
{
	const struct pcie_qpair *q = container_of(qpair, struct pcie_qpair, base);
	const struct nvmux_cmd *sqe = &q->sq[q->sq_at[index]];

	return le16_to_cpu(sqe->cid) == nvmux_qpair_cid(qpair, index) ? sqe : &q->kept[index];
}

int pcie_qpair_repost(struct nvmux_qpair *qpair, uint16_t index)
{
	struct pcie_qpair *q = pcie_qpair(qpair);
	struct nvmux_cmd cmd;

	NVMUX_ASSERT(index < qpair->depth && qpair->slots[index].cb);
	cmd = *pcie_qpair_inflight(qpair, index);
	cmd.cid = cpu_to_le16(nvmux_qpair_renew_cid(qpair, index));
	*pcie_sq_place(q, index) = cmd;
	return 0;
}

/* Whether there is a new completion at the head. */
static inline bool pcie_cpl_new(const struct pcie_qpair *q)
{
	const volatile struct nvmux_cpl *cpl = &q->cq[q->cq_head];

	return (le16_to_cpu(cpl->status) & 1) == q->phase;
}

/* The slot of the next completion is read soon. Its identifier is anything yet. */
static inline void pcie_prefetch_next(const struct pcie_qpair *q)
{
	const volatile struct nvmux_cpl *next = &q->cq[q->cq_head];

	__builtin_prefetch(&q->base.slots[le16_to_cpu(next->cid) & q->base.cid_mask], 1);
}

static inline void pcie_cq_advance(struct pcie_qpair *q)
{
	if (++q->cq_head == q->entries) {
		q->cq_head = 0;
		q->phase ^= 1;
	}
}

int pcie_qpair_reap(struct pcie_qpair *q, uint32_t max)
{
	uint32_t limit = max && max < q->entries ? max : q->entries;
	enum nvmux_qpair_state state = nvmux_qpair_get_state(&q->base);
	uint32_t n = 0;

	while (n < limit && pcie_cpl_new(q)) {
		struct nvmux_cpl cpl;

		dma_rmb(); /* the rest of the entry is read after its phase bit */
		cpl = q->cq[q->cq_head];
		pcie_cq_advance(q);
		pcie_prefetch_next(q);
		n++;
		if (unlikely(!nvmux_qpair_complete(&q->base, &cpl)) &&
		    q->base.unknown_cids >= q->unknown_cids_max) {
			pcie_qpair_break(q);
			break;
		}
		if (unlikely(nvmux_qpair_get_state(&q->base) != state))
			break;
	}
	/* Not after a callback that has reset the queue: it starts from 0 again. */
	if (n && nvmux_qpair_get_state(&q->base) == state)
		pcie_ring_cq(q);
	return q->broken ? -ENXIO : (int)n;
}

int pcie_qpair_process(struct nvmux_qpair *qpair, uint32_t max)
{
	struct pcie_qpair *q = pcie_qpair(qpair);

	if (unlikely(q->broken))
		return -ENXIO;
	if (likely(pcie_ring_cq(q)))
		pcie_ring_sq(q);
	if (q->kick && nvmux_qpair_outstanding(qpair))
		q->kick(q->dev, qpair->id);
	return pcie_qpair_reap(q, max);
}
