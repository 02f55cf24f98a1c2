// SPDX-License-Identifier: BSD-3-Clause
/*
 * The I/O path of a queue pair in host memory.
 *
 * The happy path. submit() takes a command identifier, writes the command once, straight into its
 * place in the submission queue, and returns; nothing reaches the device. process() first rings
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

static inline bool pcie_md_bad(const struct nvmux_payload *payload)
{
	return payload->md.len && prp_seg_iova(&payload->md) & PRP_ALIGN_MASK;
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

static inline void pcie_sq_put(struct pcie_qpair *q, const struct nvmux_cmd *cmd)
{
	q->sq[q->sq_tail] = *cmd;
	q->sq_tail = q->sq_tail + 1 == q->entries ? 0 : q->sq_tail + 1;
}

int pcie_qpair_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	struct pcie_qpair *q = pcie_qpair(qpair);
	uint16_t cid = qpair->free_cids[qpair->n_free - 1]; /* taken once nothing can fail */
	__le64 dptr[2] = {0};
	__le64 mptr = 0;
	uint8_t psdt = 0;

	if (payload->n_data) {
		const struct prp_list list = {
			.entries = &q->lists[(size_t)cid * PRP_LIST_ENTRIES],
			.iova = q->lists_iova + (uint64_t)cid * NVMUX_PAGE_SIZE,
			.used = &q->list_used[cid],
		};
		int err = prp_build(payload->data, payload->n_data, &list, dptr);

		if (unlikely(err)) {
			err = pcie_sgl(qpair, payload, &list, dptr);
			if (err)
				return err;
			psdt = PSDT_SGL;
		}
	}
	if (unlikely(pcie_md_bad(payload)))
		return -EINVAL;
	if (payload->md.len)
		mptr = cpu_to_le64(prp_seg_iova(&payload->md));

	nvmux_qpair_take_cid(qpair, cb, arg);
	q->sent[cid] = (struct nvmux_cmd){
		.opc = cmd->opc,
		.flags = (cmd->flags & 0x3) | psdt, /* FUSE; PSDT 0: PRPs */
		.cid = cpu_to_le16(cid),
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
	pcie_sq_put(q, &q->sent[cid]);
	return 0;
}

const struct nvmux_cmd *pcie_qpair_inflight(const struct nvmux_qpair *qpair, uint16_t cid)
{
	return &container_of(qpair, struct pcie_qpair, base)->sent[cid];
}

int pcie_qpair_repost(struct nvmux_qpair *qpair, uint16_t cid)
{
	struct pcie_qpair *q = pcie_qpair(qpair);

	NVMUX_ASSERT(cid < qpair->depth && qpair->slots[cid].cb);
	pcie_sq_put(q, &q->sent[cid]);
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
	uint16_t cid = le16_to_cpu(next->cid);

	if (cid < q->base.depth)
		__builtin_prefetch(&q->base.slots[cid], 1);
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
