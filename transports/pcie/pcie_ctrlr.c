// SPDX-License-Identifier: BSD-3-Clause
/*
 * Controllers of the PCIe family: the device's opening and closing, registers, memory, and the
 * interrupt of the admin queue.
 *
 * The happy path of open: the device ──► CAP, for the doorbell stride ──► MSI-X vector 0 connected
 * to an eventfd, which the context watches; each event reaps the admin queue. A device without
 * interrupts has its admin queue polled by a timer, often while something happens there.
 *
 * A device in another process has that eventfd too, can make it a blocking one, and fill or drain
 * its counter. So it is never read or written here, only watched for edges: each write is one,
 * whatever the counter is, and one that comes while completions are being reaped is another event.
 * A counter that nobody reads lasts for 2^64 - 2 interrupts.
 *
 * Failure modes.
 * - Open fails at any step: the device is closed by close(), or at the latest by free().
 * - close() during open, or during a delayed register write: the device ends what it has under way
 *   with -ECANCELED, and so does this file.
 * - Memory is unmapped after close(): the device can't reach anything any more, so it succeeds.
 *   During close(), the device decides when.
 * - Other threads still poll I/O queues when the device is closed, because they learn of it later:
 *   what they write to, doorbells and the eventfd, stays until free(), connected to nothing.
 * - All ones in CAP: the device has gone, -ENODEV.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <nvme/types.h>
#include "pcie_int.h"

#define PCIE_POLL_BUSY_MS 1
#define PCIE_POLL_IDLE_MS 10

/* ---- life ---- */

int pcie_ctrlr_alloc(struct nvmux *nvmux, const struct nvmux_trid *trid, struct nvmux_ctrlr **ret)
{
	const struct pcie_transport *transport = container_of(nvmux->transports[trid->trtype],
							      const struct pcie_transport, base);
	struct pcie_ctrlr *pc = calloc(1, sizeof(*pc));
	int err;

	if (!pc)
		return -ENOMEM;
	err = transport->dev_ops->alloc(nvmux, trid, &pc->dev);
	if (err) {
		free(pc);
		return err;
	}
	pc->dev->ops = transport->dev_ops;
	pc->dev->nvmux = nvmux;
	pc->dev->ctrlr = &pc->base;
	pc->irq_fd = -1;
	pc->wake_fd = -1;
	TAILQ_INIT(&pc->settling);
	pc->enabled = PCIE_ENABLED_UNKNOWN;
	pc->base.max_segs = NVMUX_SEGS_MAX;
	*ret = &pc->base;
	return 0;
}

/* Stop what open has set going. Eventfds stay until free(): other threads may write to wake_fd. */
static void pcie_ctrlr_quiet(struct pcie_ctrlr *pc)
{
	struct nvmux *nvmux = pc->dev->nvmux;

	nvmux_timer_cancel(nvmux, &pc->poll_timer);
	nvmux_timer_cancel(nvmux, &pc->delay_timer);
	nvmux_watch_del(nvmux, &pc->irq_watch);
	nvmux_watch_del(nvmux, &pc->wake_watch);
	pc->reachable = false;
}

static void pcie_close_fds(struct pcie_ctrlr *pc)
{
	if (pc->irq_fd >= 0)
		close(pc->irq_fd);
	if (pc->wake_fd >= 0)
		close(pc->wake_fd);
	pc->irq_fd = pc->wake_fd = -1;
}

void pcie_ctrlr_free(struct nvmux_ctrlr *ctrlr)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(ctrlr);

	NVMUX_ASSERT(!pc->adminq && !pc->open.done);
	pcie_ctrlr_quiet(pc);
	pcie_close_fds(pc);
	if (pc->shadow) /* the device has been let go of, and queue pairs are no more */
		nvmux_mem_release(pc->shadow);
	pc->dev->ops->free(pc->dev);
	free(pc);
}

/* ---- the admin queue's events ---- */

/* A queue that was given up in its own thread: the controller follows. */
static void pcie_woken(void *arg, uint32_t epoll_events)
{
	struct pcie_ctrlr *pc = arg;
	uint32_t broken;
	uint64_t count;

	(void)epoll_events;
	if (read(pc->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		nvmux_log(pc->base.nvmux, NVMUX_LOG_WARNING, "pcie", "eventfd: error %d", errno);
	broken = __atomic_exchange_n(&pc->broken, 0, __ATOMIC_ACQUIRE);
	if (!broken)
		return;
	nvmux_ctrlr_lost(&pc->base,
			 nvmux_error(pc->base.nvmux, -EPROTO,
				     "%s: queue %u: the controller completes commands that "
				     "aren't in flight, or takes no doorbells",
				     pc->base.trid.traddr, broken - 1));
}

void pcie_qpair_break(struct pcie_qpair *q)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(q->base.ctrlr);
	const uint64_t one = 1;

	q->broken = true;
	__atomic_store_n(&pc->broken, q->base.id + 1u, __ATOMIC_RELEASE);
	/* A counter that is full is readable as well. */
	if (pc->wake_fd >= 0 && write(pc->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static void pcie_irq(void *arg, uint32_t epoll_events)
{
	struct pcie_ctrlr *pc = arg;

	(void)epoll_events;
	if (pc->adminq)
		nvmux_ctrlr_process_admin_completions(&pc->base); /* may end the controller */
}

static void pcie_poll_adminq(void *arg)
{
	struct pcie_ctrlr *pc = arg;
	const struct pcie_qpair *q = pc->adminq;
	uint64_t seen = q ? (uint64_t)q->sq_tail << 32 | q->cq_head : 0;
	uint32_t delay_ms = seen == pc->poll_seen ? PCIE_POLL_IDLE_MS : PCIE_POLL_BUSY_MS;

	pc->poll_seen = seen;
	if (pc->dev->n_irqs == 0)
		nvmux_timer_set(pc->base.nvmux, &pc->poll_timer, delay_ms, pcie_poll_adminq, pc);
	if (q)
		nvmux_ctrlr_process_admin_completions(&pc->base); /* may end the controller */
}

void pcie_adminq_retry(struct pcie_ctrlr *pc)
{
	nvmux_timer_set(pc->base.nvmux, &pc->poll_timer, PCIE_POLL_BUSY_MS, pcie_poll_adminq, pc);
}

/* ---- open ---- */

static void pcie_open_settled(void *arg)
{
	struct pcie_ctrlr *pc = arg;

	nvmux_call_end(&pc->open, 0, 0);
}

static void pcie_open_end(struct pcie_ctrlr *pc)
{
	if (pc->dev->quirks & PCIE_QUIRK_DELAY_BEFORE_INIT)
		nvmux_timer_set(pc->base.nvmux, &pc->delay_timer, PCIE_DELAY_INIT_MS,
				pcie_open_settled, pc);
	else
		nvmux_call_end(&pc->open, 0, 0);
}

static void pcie_irqs_set(void *arg, int err, uint64_t value)
{
	struct pcie_ctrlr *pc = arg;

	(void)value;
	if (err)
		nvmux_call_end(&pc->open, err, 0);
	else
		pcie_open_end(pc);
}

static int pcie_open_events(struct pcie_ctrlr *pc)
{
	struct nvmux *nvmux = pc->base.nvmux;
	int err;

	pcie_close_fds(pc); /* of an earlier open; no queue pair is left from then */
	pc->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pc->wake_fd < 0)
		return -errno;
	err = nvmux_watch_add(nvmux, &pc->wake_watch, pc->wake_fd, EPOLLIN, pcie_woken, pc);
	if (err || pc->dev->n_irqs == 0)
		return err;
	pc->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pc->irq_fd < 0)
		return -errno;
	return nvmux_watch_add(nvmux, &pc->irq_watch, pc->irq_fd, EPOLLIN | EPOLLET, pcie_irq, pc);
}

static void pcie_open_irq(struct pcie_ctrlr *pc)
{
	int err = pcie_open_events(pc);

	if (err) {
		nvmux_call_end(&pc->open, err, 0);
		return;
	}
	if (pc->dev->n_irqs == 0) {
		pcie_poll_adminq(pc);
		pcie_open_end(pc);
		return;
	}
	/* One vector is all that is used: I/O queues are polled. */
	pc->dev->ops->set_irqs(pc->dev, &pc->irq_fd, 1, pcie_irqs_set, pc);
}

static void pcie_cap_read(void *arg, int err, uint64_t cap)
{
	struct pcie_ctrlr *pc = arg;

	if (!err && cap == UINT64_MAX)
		err = nvmux_error(pc->base.nvmux, -ENODEV,
				  "%s: its registers read as all ones, the device has gone",
				  pc->base.trid.traddr);
	if (err) {
		nvmux_call_end(&pc->open, err, 0);
		return;
	}
	pc->db_stride = 4u << NVME_CAP_DSTRD(cap);
	pcie_open_irq(pc);
}

static void pcie_dev_opened(void *arg, int err, uint64_t value)
{
	struct pcie_ctrlr *pc = arg;

	(void)value;
	if (err) {
		pc->reachable = false;
		nvmux_call_end(&pc->open, err, 0);
		return;
	}
	pc->dev->ops->reg_read(pc->dev, NVME_REG_CAP, 8, pcie_cap_read, pc);
}

void pcie_ctrlr_open(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(ctrlr);

	NVMUX_ASSERT(!pc->reachable && !pc->open.done);
	pc->open = (struct nvmux_call){done, arg};
	pc->reachable = true;
	pc->dev->ops->open(pc->dev, pcie_dev_opened, pc);
}

static void pcie_dev_closed(void *arg, int err, uint64_t value)
{
	struct pcie_ctrlr *pc = arg;

	pc->closing = false;
	nvmux_call_end(&pc->close, err, value);
}

void pcie_ctrlr_close(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(ctrlr);

	if (!pc->reachable) {
		done(arg, 0, 0);
		return;
	}
	pcie_ctrlr_quiet(pc);
	pc->closing = true;
	pc->close = (struct nvmux_call){done, arg};
	/* What waits for a timer ends here; the rest is the device's, which ends it in its close().
	 */
	nvmux_call_end(&pc->open, -ECANCELED, 0);
	nvmux_call_end(&pc->delayed, -ECANCELED, 0);
	pcie_qpairs_unsettle(pc);
	pc->dev->ops->close(pc->dev, pcie_dev_closed, pc);
}

/* ---- registers ---- */

void pcie_reg_read(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size, nvmux_done_fn done,
		   void *arg)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(ctrlr);

	if (!pc->reachable) {
		done(arg, -ENXIO, 0);
		return;
	}
	pc->dev->ops->reg_read(pc->dev, offset, size, done, arg);
}

static void pcie_write_settled(void *arg)
{
	struct pcie_ctrlr *pc = arg;

	nvmux_call_end(&pc->delayed, 0, 0);
}

static void pcie_cc_written(void *arg, int err, uint64_t value)
{
	struct pcie_ctrlr *pc = arg;

	(void)value;
	if (err)
		nvmux_call_end(&pc->delayed, err, 0);
	else
		nvmux_timer_set(pc->base.nvmux, &pc->delay_timer, PCIE_DELAY_RDY_MS,
				pcie_write_settled, pc);
}

void pcie_reg_write(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size, uint64_t value,
		    nvmux_done_fn done, void *arg)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(ctrlr);

	if (!pc->reachable) {
		done(arg, -ENXIO, 0);
		return;
	}
	if (offset == NVME_REG_CC && pc->dev->quirks & PCIE_QUIRK_DELAY_BEFORE_RDY &&
	    NVME_CC_EN(value) != pc->enabled && !pc->delayed.done) {
		pc->enabled = NVME_CC_EN(value);
		pc->delayed = (struct nvmux_call){done, arg};
		pc->dev->ops->reg_write(pc->dev, offset, size, value, pcie_cc_written, pc);
		return;
	}
	pc->dev->ops->reg_write(pc->dev, offset, size, value, done, arg);
}

void pcie_function_reset(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct pcie_ctrlr *pc = pcie_ctrlr(ctrlr);

	if (!pc->reachable || !pc->dev->ops->reset) {
		done(arg, pc->reachable ? -EOPNOTSUPP : -ENXIO, 0);
		return;
	}
	pc->enabled = PCIE_ENABLED_UNKNOWN;
	pc->dev->ops->reset(pc->dev, done, arg);
}

/* ---- memory ---- */

void pcie_mem_map(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done, void *arg)
{
	struct pcie_dev *dev = pcie_ctrlr(ctrlr)->dev;

	if (!pcie_ctrlr(ctrlr)->reachable) {
		done(arg, -ENXIO, 0);
		return;
	}
	if ((dev->iova_min || dev->iova_max) &&
	    (mem->iova < dev->iova_min || mem->iova + mem->size - 1 > dev->iova_max)) {
		done(arg,
		     nvmux_error(ctrlr->nvmux, -ERANGE,
				 "%s: a region at IOVA %#llx, %zu bytes, lies outside what the "
				 "device can reach, %#llx to %#llx",
				 ctrlr->trid.traddr, (unsigned long long)mem->iova, mem->size,
				 (unsigned long long)dev->iova_min,
				 (unsigned long long)dev->iova_max),
		     0);
		return;
	}
	mem->maps[ctrlr->index].base = mem->iova;
	dev->ops->dma_map(dev, mem, done, arg);
}

void pcie_mem_unmap(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done, void *arg)
{
	const struct pcie_ctrlr *pc = pcie_ctrlr(ctrlr);

	if (!pc->reachable && !pc->closing)
		done(arg, 0, 0);
	else
		pc->dev->ops->dma_unmap(pc->dev, mem, done, arg);
}

/* ---- memory of a BAR that goes away ---- */

static void pcie_bar_lost(void *arg)
{
	struct pcie_dev *dev = arg;

	if (dev->ops->bar_fault)
		dev->ops->bar_fault(dev);
}

void pcie_bar_mapped(struct pcie_dev *dev, void *bar, size_t bytes)
{
	dev->bar = bar;
	dev->bar_bytes = bytes;
	nvmux_guard_add(dev->ctrlr, bar, bytes, pcie_bar_lost, dev);
}

void pcie_bar_detach(struct pcie_dev *dev)
{
	if (!dev->bar)
		return;
	/* In one step: there is no moment without memory, so that owners of queue pairs may go on
	 * ringing. ThreadSanitizer would take mmap() for a store there, and not the system call. */
	if (syscall(SYS_mmap, dev->bar, dev->bar_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == -1)
		nvmux_log(dev->nvmux, NVMUX_LOG_ERROR, "pcie",
			  "replacing a BAR's mapping: error %d", errno);
}

void pcie_bar_unmap(struct pcie_dev *dev)
{
	if (dev->bar) {
		nvmux_guard_del(dev->ctrlr);
		munmap(dev->bar, dev->bar_bytes);
	}
	dev->bar = NULL;
	dev->bar_bytes = 0;
	dev->doorbells = NULL;
}
