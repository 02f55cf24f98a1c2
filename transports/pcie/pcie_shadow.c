// SPDX-License-Identifier: BSD-3-Clause
/*
 * Doorbells that cost more than a store: those that go by message, and those of a controller that
 * is software behind a trap, which offers doorbell buffers (base specification 2.0, sections 5.8
 * and B.5).
 *
 * Happy path: at each start Doorbell Buffer Config gives the controller two pages, the shadow
 * doorbells and their event indices. From then on a doorbell of an I/O queue is a store to its
 * shadow; the register is written only if the value passes the index up to which the controller
 * has promised to look by itself. The admin queue keeps its registers.
 *
 * Failure modes: no memory, or the controller refuses: the registers are written each time, with a
 * line in the log. Queues whose doorbells lie beyond the page have no shadow. The index is another
 * side's word: at worst a register is written too often, or its own queue waits.
 *
 * Doorbells that are memory mapped from another process are as cheap as a shadow would be, and
 * cheaper than its barrier: they stay as they are.
 */
#include <nvme/types.h>
#include "libcore/numa.h"
#include "pcie_int.h"

#define SHADOW_EVENTS NVMUX_PAGE_SIZE /* where the indices begin */

/* ---- ringing ---- */

/* Whether going from @old to @value passes @event, modulo 2^16. */
static bool passes(uint32_t event, uint32_t value, uint32_t old)
{
	return (uint16_t)(value - event - 1) < (uint16_t)(value - old);
}

int pcie_ring_far(const struct pcie_qpair *q, const struct pcie_bell *bell, uint32_t value,
		  uint32_t old)
{
	uint32_t le_value = (NVMUX_FORCE uint32_t)cpu_to_le32(value), event;

	if (bell->shadow) {
		/* Entries, and what was read of them, come before their doorbell. */
		__atomic_store_n(bell->shadow, le_value, __ATOMIC_RELEASE);
		/* The controller stores the index, then looks at the doorbell: one of us sees the
		 * other's store. */
		dma_mb();
		event = __atomic_load_n(bell->event, __ATOMIC_RELAXED);
		if (!passes(le32_to_cpu((NVMUX_FORCE __le32)event), value, old))
			return 0;
	}
	if (!bell->mmio)
		return q->dev->ops->doorbell_write(q->dev, bell->offset, value);
	*bell->mmio = le_value;
	return 0;
}

/* ---- of a queue pair ---- */

int pcie_bells_init(struct pcie_qpair *q)
{
	struct nvmux_ctrlr *ctrlr = q->base.ctrlr;
	uint32_t stride = pcie_ctrlr(ctrlr)->db_stride;
	uint64_t sq = (uint64_t)2 * q->base.id * stride;
	uint64_t cq = sq + stride;

	if (cq + sizeof(uint32_t) > q->dev->doorbell_bytes)
		return nvmux_error(ctrlr->nvmux, -ENOSPC,
				   "queue %u: its doorbells at %#llx lie outside the %u bytes that "
				   "the device offers",
				   q->base.id, (unsigned long long)(PCIE_DOORBELL_BASE + sq),
				   q->dev->doorbell_bytes);
	q->sq_bell.offset = (uint32_t)(PCIE_DOORBELL_BASE + sq);
	q->cq_bell.offset = (uint32_t)(PCIE_DOORBELL_BASE + cq);
	if (q->dev->doorbells) {
		q->sq_bell.mmio = &q->dev->doorbells[sq / sizeof(uint32_t)];
		q->cq_bell.mmio = &q->dev->doorbells[cq / sizeof(uint32_t)];
	}
	q->sq_db = q->sq_bell.mmio;
	q->cq_db = q->cq_bell.mmio;
	return 0;
}

/* Its shadow and index start from 0, as the registers do. */
static volatile uint32_t *bell_attach(const struct pcie_ctrlr *pc, struct pcie_bell *bell)
{
	uint32_t at = bell->offset - PCIE_DOORBELL_BASE;

	bell->shadow = bell->event = NULL;
	if (!pc->shadowed || at > SHADOW_EVENTS - sizeof(uint32_t))
		return bell->mmio;
	bell->shadow = (uint32_t *)(void *)(pc->shadow->addr + at);
	bell->event = (uint32_t *)(void *)(pc->shadow->addr + SHADOW_EVENTS + at);
	__atomic_store_n(bell->shadow, 0, __ATOMIC_RELAXED);
	__atomic_store_n(bell->event, 0, __ATOMIC_RELAXED);
	return NULL;
}

void pcie_bells_attach(struct pcie_qpair *q)
{
	const struct pcie_ctrlr *pc = pcie_ctrlr(q->base.ctrlr);

	q->sq_db = bell_attach(pc, &q->sq_bell);
	q->cq_db = bell_attach(pc, &q->cq_bell);
}

/* ---- of a controller ---- */

static void go_without(struct pcie_ctrlr *pc, const char *why)
{
	if (pc->reachable)
		nvmux_log(pc->base.nvmux, NVMUX_LOG_WARNING, "pcie",
			  "%s: no doorbell buffers, each doorbell goes to its register: %s",
			  pc->base.trid.traddr, why);
	nvmux_call_end(&pc->prepare, 0, 0);
}

static void buffers_set(void *arg, const struct nvmux_cpl *cpl)
{
	struct pcie_ctrlr *pc = arg;

	if (nvmux_cpl_is_error(cpl)) {
		go_without(pc, nvmux_status_string(nvmux_cpl_status(cpl)));
		return;
	}
	pc->shadowed = true;
	nvmux_call_end(&pc->prepare, 0, 0);
}

/* PRP1 names the first page, PRP2 the second. */
static void buffers_mapped(void *arg, int err, uint64_t value)
{
	struct pcie_ctrlr *pc = arg;
	const struct nvmux_cmd cmd = {.opc = nvme_admin_dbbuf};
	const struct nvmux_seg seg = {.mem = pc->shadow, .len = 2 * NVMUX_PAGE_SIZE};

	(void)value;
	if (!err) {
		memset(pc->shadow->addr, 0, 2 * NVMUX_PAGE_SIZE);
		err = nvmux_ctrlr_admin_seg(&pc->base, &cmd, &seg, buffers_set, pc);
	}
	if (err)
		go_without(pc, strerror(-err));
}

static bool wants_buffers(const struct pcie_ctrlr *pc)
{
	return le16_to_cpu(pc->base.id.oacs) & NVME_CTRL_OACS_DBBUF_CFG &&
	       !(pc->dev->doorbells && pc->dev->doorbells_in_memory);
}

void pcie_ctrlr_identified(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(ctrlr);
	/* PRPs first; SGLs for what these can't express. Identify Controller, SGLS. */
	bool sgl = le32_to_cpu(ctrlr->id.sgls) & SGL_SUPPORT_MASK;
	int err = 0;

	if (ctrlr->sgl != sgl) /* not while others read it */
		ctrlr->sgl = sgl;
	pc->shadowed = false; /* a reset has ended their use */
	if (!wants_buffers(pc)) {
		done(arg, 0, 0);
		return;
	}
	pc->prepare = (struct nvmux_call){done, arg};
	if (!pc->shadow)
		err = nvmux_mem_create_for(ctrlr, 2 * NVMUX_PAGE_SIZE, 0, &pc->shadow);
	if (err)
		go_without(pc, strerror(-err));
	else if (nvmux_mem_is_mapped(pc->shadow, ctrlr))
		buffers_mapped(pc, 0, 0);
	else
		nvmux_mem_map_async(pc->shadow, ctrlr, buffers_mapped, pc);
}
