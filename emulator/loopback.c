// SPDX-License-Identifier: BSD-3-Clause
/*
 * The model as a device of this process.
 *
 * The happy path: alloc parses the description, open makes the model and its doorbells; registers
 * are function calls; kick() serves a queue in the thread that polls it. DMA is arithmetic in the
 * context's address window. A mapping counts from dma_map() to dma_unmap(), which keep a mark in
 * the region: other threads look at it, so it is set and cleared atomically, and the model makes
 * sure that none still uses a mapping when dma_unmap() returns.
 *
 * Failure modes: a description that isn't one, or whose file can't be used, fails alloc or open
 * with the reason as the context's error text. close() stops the model's queues; the data stays
 * until free().
 */
#include <errno.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <nvme/types.h>
#include "emulator/loopback.h"
#include "emulator/model.h"
#include "transports/pcie/pcie_int.h"

#define DOORBELL_STRIDE 4 /* 64 bytes: queues of different threads don't share lines */
#define DOORBELL_BYTES  (4u << DOORBELL_STRIDE)
#define CHECK_EVERY     256 /* admin kicks: looks for doorbells of queues that don't exist */

struct loop_dev {
	struct pcie_dev base;
	struct emu_config config;
	struct emu_ctrlr *model;
	uint32_t *doorbells;
	int *irqs; /* eventfds of n_irqs vectors, -1: none; read by all threads */
	unsigned admin_kicks;
};

static struct loop_dev *loop_dev(struct pcie_dev *dev)
{
	return container_of(dev, struct loop_dev, base);
}

/* ---- what the model asks for, in any thread ---- */

static bool loop_dma(void *arg, uint64_t iova, struct emu_dma *ret)
{
	const struct loop_dev *d = arg;
	const struct nvmux *nvmux = d->base.nvmux;
	uint64_t off = iova - NVMUX_IOVA_BASE;
	struct nvmux_mem *mem;

	if (off >= nvmux->window_size)
		return false;
	mem = nvmux_mem_find(nvmux, nvmux->window + off);
	if (!mem || __atomic_load_n(&mem->maps[d->base.ctrlr->index].priv, __ATOMIC_ACQUIRE) != d)
		return false;
	*ret = (struct emu_dma){
		.iova = mem->iova,
		.size = mem->size,
		.host = mem->addr,
		.readable = true,
		.writable = true,
	};
	return true;
}

static void loop_irq(void *arg, uint16_t vector)
{
	const struct loop_dev *d = arg;
	int fd = __atomic_load_n(&d->irqs[vector], __ATOMIC_ACQUIRE);
	uint64_t one = 1;

	/* A counter that is full has already woken whoever reads it. */
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- life ---- */

static int loop_alloc(struct nvmux *nvmux, const struct nvmux_trid *trid, struct pcie_dev **ret)
{
	struct loop_dev *d = calloc(1, sizeof(*d));
	char why[256];
	int err;

	if (!d)
		return -ENOMEM;
	emu_config_init(&d->config);
	err = emu_config_parse(&d->config, trid->traddr, why, sizeof(why));
	if (err) {
		free(d);
		return nvmux_error(nvmux, err, "traddr %s: %s", trid->traddr, why);
	}
	if (d->config.irq_vectors) {
		free(d);
		return nvmux_error(nvmux, -EINVAL,
				   "traddr %s: vectors= is for nvmux-emulator; here each queue has "
				   "an interrupt of its own",
				   trid->traddr);
	}
	emu_config_default_serial(&d->config, trid->traddr);
	d->config.doorbell_stride = DOORBELL_STRIDE;
	*ret = &d->base;
	return 0;
}

static void drop_irqs(struct loop_dev *d, uint32_t from, uint32_t to)
{
	int old;

	for (uint32_t i = from; i < to; i++) {
		old = __atomic_exchange_n(&d->irqs[i], -1, __ATOMIC_ACQ_REL);
		if (old < 0)
			continue;
		emu_quiesce(d->model); /* nobody is about to write to it any more */
		close(old);
	}
}

static void loop_free(struct pcie_dev *dev)
{
	struct loop_dev *d = loop_dev(dev);

	if (d->model) {
		emu_ctrlr_reset(d->model);
		drop_irqs(d, 0, d->base.n_irqs);
		emu_ctrlr_destroy(d->model);
	}
	free(d->irqs);
	free(d->doorbells);
	free(d);
}

static int make_model(struct loop_dev *d)
{
	const struct emu_carrier carrier = {.dma = loop_dma, .irq = loop_irq, .arg = d};
	uint32_t n_queues = d->config.max_io_queues + 1u;
	uint32_t bytes = n_queues * 2 * DOORBELL_BYTES;
	char why[384];
	int err;

	if (!d->doorbells) /* not left from an open that failed */
		d->doorbells = aligned_alloc(128, align_up(bytes, 128));
	if (!d->irqs)
		d->irqs = malloc(n_queues * sizeof(*d->irqs));
	if (!d->doorbells || !d->irqs)
		return -ENOMEM;
	memset(d->doorbells, 0, bytes);
	for (uint32_t i = 0; i < n_queues; i++)
		d->irqs[i] = -1;
	d->config.irq_vectors = (uint16_t)n_queues;
	err = emu_ctrlr_create(&d->config, &carrier, &d->model, why, sizeof(why));
	if (err)
		return nvmux_error(d->base.nvmux, err, "%s", why);
	emu_set_doorbells(d->model, d->doorbells, bytes);
	d->base.doorbells = d->doorbells;
	d->base.doorbells_in_memory = true;
	d->base.doorbell_bytes = bytes;
	d->base.n_irqs = n_queues;
	return 0;
}

static void loop_open(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	struct loop_dev *d = loop_dev(dev);

	done(arg, d->model ? 0 : make_model(d), 0);
}

static void loop_close(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	struct loop_dev *d = loop_dev(dev);

	if (d->model) {
		emu_ctrlr_reset(d->model);
		emu_dma_changed(d->model, 0, 0);
		drop_irqs(d, 0, d->base.n_irqs);
	}
	done(arg, 0, 0);
}

/* ---- registers, memory, interrupts: the control thread ---- */

static void loop_reg_read(struct pcie_dev *dev, uint32_t offset, uint32_t size, nvmux_done_fn done,
			  void *arg)
{
	done(arg, 0, emu_reg_read(loop_dev(dev)->model, offset, size));
}

static void loop_reg_write(struct pcie_dev *dev, uint32_t offset, uint32_t size, uint64_t value,
			   nvmux_done_fn done, void *arg)
{
	emu_reg_write(loop_dev(dev)->model, offset, size, value);
	done(arg, 0, 0);
}

static void loop_dma_map(struct pcie_dev *dev, struct nvmux_mem *mem, nvmux_done_fn done, void *arg)
{
	__atomic_store_n(&mem->maps[dev->ctrlr->index].priv, loop_dev(dev), __ATOMIC_RELEASE);
	done(arg, 0, 0);
}

static void loop_dma_unmap(struct pcie_dev *dev, struct nvmux_mem *mem, nvmux_done_fn done,
			   void *arg)
{
	__atomic_store_n(&mem->maps[dev->ctrlr->index].priv, NULL, __ATOMIC_RELEASE);
	emu_dma_changed(loop_dev(dev)->model, mem->iova, mem->size);
	done(arg, 0, 0);
}

static int set_irq(struct loop_dev *d, uint32_t vector, int eventfd)
{
	int fd = -1;

	if (eventfd >= 0) {
		fd = fcntl(eventfd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
	}
	drop_irqs(d, vector, vector + 1);
	__atomic_store_n(&d->irqs[vector], fd, __ATOMIC_RELEASE);
	return 0;
}

static void loop_set_irqs(struct pcie_dev *dev, const int *eventfds, uint32_t n, nvmux_done_fn done,
			  void *arg)
{
	struct loop_dev *d = loop_dev(dev);
	int err = n > dev->n_irqs ? -EINVAL : 0;

	for (uint32_t i = 0; i < n && !err; i++)
		err = set_irq(d, i, eventfds[i]);
	done(arg, err, 0);
}

static void loop_reset(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	emu_ctrlr_reset(loop_dev(dev)->model);
	done(arg, 0, 0);
}

struct emu_ctrlr *emu_loopback_model(const struct nvmux_ctrlr *ctrlr)
{
	const struct pcie_ctrlr *pc = container_of(ctrlr, const struct pcie_ctrlr, base);

	return container_of(pc->dev, struct loop_dev, base)->model;
}

/* ---- the queue's thread ---- */

static void loop_kick(struct pcie_dev *dev, uint16_t qid)
{
	struct loop_dev *d = loop_dev(dev);

	if (qid == 0 && ++d->admin_kicks % CHECK_EVERY == 0)
		emu_check_doorbells(d->model);
	emu_poll_queue(d->model, qid);
}

static const struct pcie_dev_ops loop_ops = {
	.alloc = loop_alloc,
	.free = loop_free,
	.open = loop_open,
	.close = loop_close,
	.reg_read = loop_reg_read,
	.reg_write = loop_reg_write,
	.dma_map = loop_dma_map,
	.dma_unmap = loop_dma_unmap,
	.set_irqs = loop_set_irqs,
	.reset = loop_reset,
	.kick = loop_kick,
};

static const struct pcie_transport loop_transport = {
	.base = {.trtype = NVMUX_TRTYPE_LOOPBACK, PCIE_TRANSPORT_OPS},
	.dev_ops = &loop_ops,
};

int emu_loopback_register(struct nvmux *nvmux)
{
	return nvmux_transport_register(nvmux, &loop_transport.base);
}
