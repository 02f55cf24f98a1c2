// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queue pairs: their memory, and how the controller learns of them and forgets them.
 *
 * The happy path.
 *   create:      allocate ──► map the queues' memory for the device
 *   connect:     empty queues ──► Create I/O Completion Queue ──► Create I/O Submission Queue
 *   disconnect:  Delete I/O Submission Queue ──► deliver what has completed ──► Delete I/O
 *                Completion Queue
 *   destroy:     unmap ──► free
 * The admin queue is created and destroyed in the same way, and connected by the controller's
 * registers (pcie_adminq_regs()). Each arrow may wait for the device. A queue pair has one such
 * call under way at most.
 *
 * Failure modes.
 * - Create I/O Submission Queue fails: the completion queue is deleted, then the call ends with the
 *   first error.
 * - The controller is lost meanwhile: libcore ends the admin command with an error, and that error
 *   ends the call. Nothing is deleted on a controller that doesn't answer. A wait for a quirk's
 *   delay ends at once with -ECANCELED when the controller is closed.
 * - Delete fails: the call ends with -EIO and the queue counts as in use; libcore must disable
 *   the controller before it destroys the queue pair.
 * - The device can't unmap: the memory stays, since something may still be written to it.
 */
#include <nvme/types.h>
#include "libcore/numa.h"
#include "pcie_int.h"

#define PCIE_CQ_PC    (1u << 0) /* physically contiguous; IEN 0: I/O queues are polled */
#define PCIE_SQ_PC    (1u << 0)
#define PCIE_SQ_QPRIO 1 /* shift */

/* ---- create and destroy ---- */

static void pcie_qpair_free_struct(struct pcie_qpair *q)
{
	if (q->mem)
		nvmux_mem_release(q->mem);
	nvmux_qpair_fini(&q->base);
	free(q->list_used);
	free(q->sq_at);
	free(q->kept);
	free(q);
}

static int pcie_qpair_memory(struct pcie_qpair *q)
{
	size_t sq_bytes = align_up((uint64_t)q->entries * sizeof(*q->sq), NVMUX_PAGE_SIZE);
	size_t cq_bytes = align_up((uint64_t)q->entries * sizeof(*q->cq), NVMUX_PAGE_SIZE);
	size_t list_bytes = (size_t)q->base.depth * NVMUX_PAGE_SIZE;
	int err;

	err = nvmux_mem_create_for(q->base.ctrlr, sq_bytes + cq_bytes + list_bytes, 0, &q->mem);
	if (err)
		return err;
	q->sq = (void *)q->mem->addr;
	q->cq = (void *)(q->mem->addr + sq_bytes);
	q->lists = (void *)(q->mem->addr + sq_bytes + cq_bytes);
	q->sq_iova = q->mem->iova;
	q->cq_iova = q->mem->iova + sq_bytes;
	q->lists_iova = q->mem->iova + sq_bytes + cq_bytes;
	return 0;
}

static int pcie_qpair_alloc(struct nvmux_ctrlr *ctrlr, uint16_t qid, uint32_t entries,
			    struct pcie_qpair **ret)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(ctrlr);
	struct pcie_qpair *q;
	int err;

	if (posix_memalign((void **)&q, 64, align_up(sizeof(*q), 64)))
		return -ENOMEM;
	memset(q, 0, sizeof(*q));
	q->entries = entries;
	q->dev = pc->dev;
	q->kick = pc->dev->ops->kick;
	q->list_used = nvmux_calloc_lines(entries, sizeof(*q->list_used));
	q->kept = nvmux_calloc_lines(entries, sizeof(*q->kept));
	err = q->list_used && q->kept ? nvmux_qpair_init(&q->base, ctrlr, qid, entries - 1)
				      : -ENOMEM;
	if (err) {
		free(q->kept);
		free(q->list_used);
		free(q);
		return err;
	}
	/* for any identifier that may be read from the queue */
	q->sq_at = nvmux_calloc_lines(q->base.cid_mask + 1u, sizeof(*q->sq_at));
	err = q->sq_at ? pcie_bells_init(q) : -ENOMEM;
	if (!err)
		err = pcie_qpair_memory(q);
	if (err) {
		pcie_qpair_free_struct(q);
		return err;
	}
	pcie_qpair_rewind(q);
	*ret = q;
	return 0;
}

static void pcie_qpair_mapped(void *arg, int err, uint64_t value)
{
	struct pcie_qpair *q = arg;
	struct pcie_ctrlr *pc = pcie_ctrlr(q->base.ctrlr);
	struct nvmux_call call = q->call;

	(void)value;
	q->call = (struct nvmux_call){0};
	if (err) {
		pcie_qpair_free_struct(q);
		nvmux_call_end(&call, err, 0);
		return;
	}
	if (q->base.id == 0)
		pc->adminq = q;
	nvmux_call_end(&call, 0, (uintptr_t)&q->base);
}

void pcie_qpair_create(struct nvmux_ctrlr *ctrlr, uint16_t qid, uint32_t entries,
		       struct nvmux_poll_group *group, nvmux_done_fn done, void *arg)
{
	struct pcie_qpair *q;
	int err;

	if (entries < 2 || entries > 65536) {
		err = nvmux_error(ctrlr->nvmux, -EINVAL,
				  "queue %u: %u entries asked for, 2 to 65536 are possible", qid,
				  entries);
		done(arg, err, 0);
		return;
	}
	err = pcie_qpair_alloc(ctrlr, qid, entries, &q);
	if (err) {
		done(arg, err, 0);
		return;
	}
	q->call = (struct nvmux_call){done, arg};
	nvmux_mem_map_async(q->mem, ctrlr, pcie_qpair_mapped, q);
}

static void pcie_qpair_unmapped(void *arg, int err, uint64_t value)
{
	struct pcie_qpair *q = arg;
	struct pcie_ctrlr *pc = pcie_ctrlr(q->base.ctrlr);
	struct nvmux_call call = q->call;

	(void)value;
	if (err) {
		nvmux_log(pc->base.nvmux, NVMUX_LOG_ERROR, "pcie",
			  "queue %u: its memory stays mapped: error %d", q->base.id, err);
		nvmux_mem_release_later(q->mem);
		q->mem = NULL;
	}
	if (pc->adminq == q)
		pc->adminq = NULL;
	pcie_qpair_free_struct(q);
	nvmux_call_end(&call, err, 0);
}

void pcie_qpair_destroy(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct pcie_qpair *q = pcie_qpair(qpair);

	NVMUX_ASSERT(!q->call.done);
	q->call = (struct nvmux_call){done, arg};
	nvmux_mem_unmap_async(q->mem, qpair->ctrlr, pcie_qpair_unmapped, q);
}

/* ---- connect and disconnect ---- */

/* Commands in flight are kept; the rest is of no command. */
static void pcie_sq_clear(struct pcie_qpair *q)
{
	for (uint32_t i = 0; i < q->base.depth; i++) {
		if (q->base.slots[i].cb)
			q->kept[i] = *pcie_qpair_inflight(&q->base, (uint16_t)i);
	}
	memset(q->sq, 0, (size_t)q->entries * sizeof(*q->sq));
	for (uint32_t i = 0; i < q->entries; i++)
		q->sq[i].cid = cpu_to_le16(NVMUX_CID_NONE);
}

void pcie_qpair_rewind(struct pcie_qpair *q)
{
	pcie_sq_clear(q);
	memset(q->cq, 0, (size_t)q->entries * sizeof(*q->cq));
	q->sq_tail = q->sq_tail_rung = 0;
	q->cq_head = q->cq_head_rung = 0;
	q->phase = 1;
	q->broken = false;
	q->unknown_cids_max = q->base.unknown_cids + PCIE_UNKNOWN_CIDS_MAX;
}

static void pcie_qpair_end(struct pcie_qpair *q, int err)
{
	nvmux_call_end(&q->call, err, 0);
}

/* What a completion of a queue's admin command means: 0 or a negative errno value. */
static int pcie_queue_result(struct pcie_qpair *q, const char *what, const struct nvmux_cpl *cpl)
{
	uint16_t status = nvmux_cpl_status(cpl);

	if (!nvmux_cpl_is_error(cpl))
		return 0;
	return nvmux_error(q->base.ctrlr->nvmux, -EIO, "queue %u: %s failed: %s (%#x)", q->base.id,
			   what, nvmux_status_string(status), status & NVMUX_STATUS_CODE_MASK);
}

/* Send an admin command; @seg: the memory whose address it carries, or NULL. */
static void pcie_queue_admin(struct pcie_qpair *q, const struct nvmux_cmd *cmd,
			     const struct nvmux_seg *seg, nvmux_cmd_cb cb)
{
	struct nvmux_ctrlr *ctrlr = q->base.ctrlr;
	int err;

	if (seg)
		err = nvmux_ctrlr_admin_seg(ctrlr, cmd, seg, cb, q);
	else
		err = nvmux_ctrlr_admin(ctrlr, cmd, NULL, 0, cb, q);
	if (err)
		pcie_qpair_end(q, q->call_err ? q->call_err : err);
}

static void pcie_delete_queue(struct pcie_qpair *q, uint8_t opc, nvmux_cmd_cb cb)
{
	const struct nvmux_cmd cmd = {.opc = opc, .cdw10 = cpu_to_le32(q->base.id)};

	pcie_queue_admin(q, &cmd, NULL, cb);
}

/*
 * PRP1 of the create commands is the start of the contiguous queue, and PRP2 is reserved: a segment
 * of one page gives just that, whatever the queue's size.
 */
static void pcie_create_queue(struct pcie_qpair *q, uint8_t opc, uint32_t cdw11, uint64_t iova,
			      nvmux_cmd_cb cb)
{
	const struct nvmux_cmd cmd = {
		.opc = opc,
		.cdw10 = cpu_to_le32((q->entries - 1) << 16 | q->base.id),
		.cdw11 = cpu_to_le32(cdw11),
	};
	const struct nvmux_seg seg = {
		.mem = q->mem, .offset = iova - q->mem->iova, .len = NVMUX_PAGE_SIZE};

	pcie_queue_admin(q, &cmd, &seg, cb);
}

static void pcie_cq_undone(void *arg, const struct nvmux_cpl *cpl)
{
	struct pcie_qpair *q = arg;

	(void)cpl; /* the first error counts */
	pcie_qpair_end(q, q->call_err);
}

/* A quirk's delay after which the queue pair may be used; its call ends then. */
static void pcie_queue_unsettle(struct pcie_qpair *q, int err)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(q->base.ctrlr);

	nvmux_timer_cancel(pc->base.nvmux, &q->timer);
	TAILQ_REMOVE(&pc->settling, q, settle_link);
	pcie_qpair_end(q, err);
}

static void pcie_queue_settled(void *arg)
{
	struct pcie_qpair *q = arg;

	pcie_queue_unsettle(q, pcie_ctrlr(q->base.ctrlr)->reachable ? 0 : -ENXIO);
}

static void pcie_queue_settle(struct pcie_qpair *q)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(q->base.ctrlr);

	if (!pc->reachable) { /* nobody would end the wait */
		pcie_qpair_end(q, -ENXIO);
		return;
	}
	TAILQ_INSERT_TAIL(&pc->settling, q, settle_link);
	nvmux_timer_set(pc->base.nvmux, &q->timer, PCIE_DELAY_QUEUE_MS, pcie_queue_settled, q);
}

void pcie_qpairs_unsettle(struct pcie_ctrlr *pc)
{
	struct pcie_qpair *q;

	while ((q = TAILQ_FIRST(&pc->settling)))
		pcie_queue_unsettle(q, -ECANCELED);
}

static void pcie_sq_created(void *arg, const struct nvmux_cpl *cpl)
{
	struct pcie_qpair *q = arg;

	q->call_err = pcie_queue_result(q, "Create I/O Submission Queue", cpl);
	if (q->call_err)
		pcie_delete_queue(q, nvme_admin_delete_cq, pcie_cq_undone);
	else if (q->dev->quirks & PCIE_QUIRK_DELAY_AFTER_QUEUE)
		pcie_queue_settle(q);
	else
		pcie_qpair_end(q, 0);
}

static void pcie_cq_created(void *arg, const struct nvmux_cpl *cpl)
{
	struct pcie_qpair *q = arg;
	int err = pcie_queue_result(q, "Create I/O Completion Queue", cpl);

	if (err) {
		pcie_qpair_end(q, err);
		return;
	}
	pcie_create_queue(q, nvme_admin_create_sq,
			  (uint32_t)q->base.id << 16 |
				  (uint32_t)q->base.qprio << PCIE_SQ_QPRIO | PCIE_SQ_PC,
			  q->sq_iova, pcie_sq_created);
}

void pcie_qpair_connect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct pcie_qpair *q = pcie_qpair(qpair);

	NVMUX_ASSERT(!q->call.done);
	pcie_qpair_rewind(q);
	if (qpair->id == 0) {
		done(arg, 0, 0);
		return;
	}
	pcie_bells_attach(q);
	q->call = (struct nvmux_call){done, arg};
	q->call_err = 0;
	pcie_create_queue(q, nvme_admin_create_cq, PCIE_CQ_PC, q->cq_iova, pcie_cq_created);
}

static void pcie_cq_deleted(void *arg, const struct nvmux_cpl *cpl)
{
	struct pcie_qpair *q = arg;

	pcie_qpair_end(q, pcie_queue_result(q, "Delete I/O Completion Queue", cpl));
}

static void pcie_sq_deleted(void *arg, const struct nvmux_cpl *cpl)
{
	struct pcie_qpair *q = arg;
	int err = pcie_queue_result(q, "Delete I/O Submission Queue", cpl);

	if (err) {
		pcie_qpair_end(q, err);
		return;
	}
	/* Commands that the controller never saw, or aborted silently, stay in their slots. All do
	 * where another thread owns them. */
	if (!q->broken && nvmux_qpair_get_state(&q->base) != NVMUX_QPAIR_QUIET)
		pcie_qpair_reap(q, 0);
	pcie_delete_queue(q, nvme_admin_delete_cq, pcie_cq_deleted);
}

void pcie_qpair_disconnect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct pcie_qpair *q = pcie_qpair(qpair);

	NVMUX_ASSERT(qpair->id != 0 && !q->call.done);
	q->call = (struct nvmux_call){done, arg};
	q->call_err = 0;
	pcie_delete_queue(q, nvme_admin_delete_sq, pcie_sq_deleted);
}

void pcie_adminq_regs(struct nvmux_ctrlr *ctrlr, uint32_t *ret_aqa, uint64_t *ret_asq,
		      uint64_t *ret_acq)
{
	const struct pcie_qpair *q = pcie_ctrlr(ctrlr)->adminq;

	NVMUX_ASSERT(q);
	*ret_aqa = (q->entries - 1) << 16 | (q->entries - 1);
	*ret_asq = q->sq_iova;
	*ret_acq = q->cq_iova;
}
