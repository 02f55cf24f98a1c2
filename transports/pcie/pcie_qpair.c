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
#include "libcore/rw.h"
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

/* What a slot has for PRP entries that don't fit into its command. */
static inline struct prp_list pcie_list(const struct pcie_qpair *q, uint16_t index)
{
	return (struct prp_list){
		.entries = &q->lists[(size_t)index * PRP_LIST_ENTRIES],
		.iova = q->lists_iova + (uint64_t)index * NVMUX_PAGE_SIZE,
		.used = &q->list_used[index],
	};
}

/* Data of several pieces, of more than two pages, or (@opaque) as the device thinks. The command's
 * PSDT, or -EINVAL. */
__attribute__((noinline)) static int pcie_build_long(const struct pcie_qpair *q, uint16_t index,
						     bool opaque,
						     const struct nvmux_payload *payload,
						     __le64 dptr[2])
{
	const struct prp_list list = pcie_list(q, index);
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
	uint32_t tail = q->sq_tail;
	struct nvmux_cmd *sqe = &q->sq[tail];
	uint16_t old = le16_to_cpu(sqe->cid) & q->base.cid_mask;

	if (unlikely(q->sq_at[old] == tail) && q->base.slots[old].cb && old != index)
		q->kept[old] = *sqe;
	q->sq_at[index] = (uint16_t)tail;
	q->sq_tail = unlikely(tail + 1 == q->entries) ? 0 : tail + 1;
	return sqe;
}

int pcie_qpair_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	struct pcie_qpair *q = pcie_qpair(qpair);
	uint16_t cid = nvmux_qpair_next_cid(qpair); /* taken once nothing can fail */
	uint16_t index = cid & qpair->cid_mask;
	const nvmux_word *from = (const nvmux_word *)cmd;
	__le64 dptr[2] = {0};
	__le64 mptr = 0;
	nvmux_word *sqe;
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
	sqe = (nvmux_word *)pcie_sq_place(q, index);
	nvmux_qpair_take_cid(qpair, cb, arg);
	sqe[0] = nvmux_word0(cmd->opc, (uint8_t)((cmd->flags & PCIE_FUSE_MASK) | psdt), cid,
			     le32_to_cpu(cmd->nsid));
	sqe[1] = from[1]; /* command dwords 2 and 3 */
	sqe[2] = (NVMUX_FORCE uint64_t)mptr;
	sqe[3] = (NVMUX_FORCE uint64_t)dptr[0];
	sqe[4] = (NVMUX_FORCE uint64_t)dptr[1];
	sqe[5] = from[5]; /* command dwords 10 to 15 */
	sqe[6] = from[6];
	sqe[7] = from[7];
	return 0;
}

/* PRP2 of data that doesn't end in its first page. */
__attribute__((noinline)) static uint64_t pcie_prp2(const struct pcie_qpair *q, uint16_t index,
						    const struct nvmux_plain *plain)
{
	const struct prp_list list = pcie_list(q, index);
	uint32_t first = NVMUX_PAGE_SIZE - (uint32_t)(plain->addr % NVMUX_PAGE_SIZE);

	return prp_rest(&list, plain->addr + first, plain->len - first);
}

/* One with data in one piece. @word0: but for the identifier; @cdw2 and so on: two command dwords
 * each. */
static inline int pcie_put_plain(struct pcie_qpair *q, uint64_t word0, nvmux_word cdw2,
				 const struct nvmux_plain *data, nvmux_word cdw10, nvmux_word cdw12,
				 nvmux_word cdw14, nvmux_cmd_cb cb, void *arg)
{
	uint32_t cid = nvmux_qpair_take_slot(&q->base, cb, arg);
	uint16_t index = (uint16_t)(cid & q->base.cid_mask);
	nvmux_word *sqe = (nvmux_word *)pcie_sq_place(q, index);

	sqe[0] = word0 | nvmux_word0(0, 0, cid, 0);
	sqe[1] = cdw2;
	sqe[2] = 0; /* no metadata */
	sqe[3] = htole64(data->addr);
	sqe[4] = 0;
	sqe[5] = cdw10;
	sqe[6] = cdw12;
	sqe[7] = cdw14;
	if (unlikely(data->addr % NVMUX_PAGE_SIZE + data->len > NVMUX_PAGE_SIZE))
		sqe[4] = htole64(pcie_prp2(q, index, data));
	return 0;
}

int pcie_qpair_submit_plain(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
			    const struct nvmux_plain *data, nvmux_cmd_cb cb, void *arg)
{
	const nvmux_word *from = (const nvmux_word *)cmd;

	return pcie_put_plain(pcie_qpair(qpair), from[0] & nvmux_word0(0xff, 0, 0, UINT32_MAX),
			      from[1], data, from[5], from[6], from[7], cb, arg);
}

/* The usual kind is put into the queue here. NVM command set 1.0, sections 3.2.4 and 3.2.6. */
__attribute__((always_inline)) static inline int pcie_rw(bool write, struct nvmux_ns *ns,
							 struct nvmux_qpair *qpair, void *buf,
							 uint64_t lba, uint32_t lba_count,
							 uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_plain plain;
	uint64_t word0;

	if (unlikely(!nvmux_rw_is_plain(ns, qpair, buf, lba, lba_count, flags, cb, &plain)))
		return nvmux_rw(write, ns, qpair, buf, lba, lba_count, flags, cb, arg);
	word0 = write ? ns->write_word0 : ns->read_word0;
	return pcie_put_plain(pcie_qpair(qpair), word0, 0, &plain, htole64(lba),
			      htole64(flags | (lba_count - 1)), 0, cb, arg);
}

int pcie_qpair_read(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, uint64_t lba,
		    uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	return pcie_rw(false, ns, qpair, buf, lba, lba_count, flags, cb, arg);
}

int pcie_qpair_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf, uint64_t lba,
		     uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	return pcie_rw(true, ns, qpair, (void *)buf, lba, lba_count, flags, cb, arg);
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

__attribute__((cold, noinline)) static bool pcie_failed_one(struct pcie_qpair *q, uint32_t dw3,
							    const struct nvmux_cpl *cpl)
{
	return nvmux_qpair_complete_as(&q->base, dw3, (uint16_t)(dw3 >> 17), cpl);
}

/*
 * Deliver at most @max completions, none beyond the end of the queue. No callback moves the head:
 * queues are emptied only when their owner has stopped. True: the end was reached, and more may
 * follow.
 */
static bool pcie_reap_run(struct pcie_qpair *q, uint32_t max, uint32_t *n)
{
	enum nvmux_qpair_state state = nvmux_qpair_get_state(&q->base);
	const struct nvmux_cpl *begin = &q->cq[q->cq_head], *entry = begin, *end;
	uint32_t phase = q->phase;
	bool ok = true, wrapped;

	end = MIN(begin + max, q->cq + q->entries);
	while (entry != end && ok) {
		const uint32_t *dw = (const uint32_t *)entry;
		uint32_t dw3 = le32toh(__atomic_load_n(&dw[3], __ATOMIC_ACQUIRE));
		/* 0: new, and a success; bit 0: not new */
		uint32_t status = dw3 >> 16 ^ phase;
		struct nvmux_cpl cpl;

		if (unlikely(status) && status & 1)
			break;
		dma_rmb(); /* the rest of the entry is read after its phase bit */
		cpl = *entry++;
		cpl.cid = cpu_to_le16((uint16_t)dw3); /* read once */
		cpl.status = cpu_to_le16((uint16_t)(dw3 >> 16));
		if (likely(!status))
			ok = nvmux_qpair_complete_as(&q->base, dw3, 0, &cpl);
		else
			ok = pcie_failed_one(q, dw3, &cpl);
		ok = likely(ok) || q->base.unknown_cids < q->unknown_cids_max;
		if (unlikely(nvmux_qpair_get_state(&q->base) != state))
			break;
	}
	*n += (uint32_t)(entry - begin);
	/* Also in another state: the control thread may just have let the queue go on. */
	wrapped = entry == q->cq + q->entries;
	q->cq_head = wrapped ? 0 : (uint32_t)(entry - q->cq);
	q->phase ^= wrapped;
	if (unlikely(!ok)) {
		pcie_qpair_break(q);
		return false;
	}
	if (unlikely(nvmux_qpair_get_state(&q->base) != state))
		return false; /* the doorbell with the next poll, if there is one */
	if (entry != begin)
		pcie_ring_cq(q);
	return wrapped;
}

int pcie_qpair_reap(struct pcie_qpair *q, uint32_t max)
{
	uint32_t n = 0;

	if (!max || max > q->entries)
		max = q->entries;
	while (n < max && pcie_cpl_new(q) && pcie_reap_run(q, max - n, &n))
		;
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
