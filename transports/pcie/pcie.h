/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVMe over PCIe: one queue code for every way of reaching a function.
 *
 * A device (struct pcie_dev) gives access to registers, doorbells, DMA and interrupts: by the
 * kernel's VFIO (vfio.c), by a vfio-user socket (vfio_user.c), or from the emulator's model in this
 * process (emulator/loopback.c). The queues (pcie_qpair.c) know nothing else of it.
 */
#ifndef NVMUX_PCIE_H
#define NVMUX_PCIE_H

#include "libcore/transport.h"

#define PCIE_DOORBELL_BASE 0x1000u
#define PCIE_IRQ_MAX       2048

struct pcie_dev;

struct pcie_dev_ops {
	/* Allocate for this transport id; embeds struct pcie_dev first. */
	int (*alloc)(struct nvmux *nvmux, const struct nvmux_trid *trid, struct pcie_dev **ret);
	void (*free)(struct pcie_dev *dev);
	/* Reach it: sets doorbells, doorbell_bytes and n_irqs. When an open device goes away, it
	 * calls nvmux_ctrlr_lost(). */
	void (*open)(struct pcie_dev *dev, nvmux_done_fn done, void *arg);
	/* Let go of it. Until done() dma_unmap() may be called, and ends when it has come true. */
	void (*close)(struct pcie_dev *dev, nvmux_done_fn done, void *arg);
	void (*reg_read)(struct pcie_dev *dev, uint32_t offset, uint32_t size, nvmux_done_fn done,
			 void *arg);
	void (*reg_write)(struct pcie_dev *dev, uint32_t offset, uint32_t size, uint64_t value,
			  nvmux_done_fn done, void *arg);
	void (*dma_map)(struct pcie_dev *dev, struct nvmux_mem *mem, nvmux_done_fn done, void *arg);
	void (*dma_unmap)(struct pcie_dev *dev, struct nvmux_mem *mem, nvmux_done_fn done,
			  void *arg);
	/* Connect MSI-X vectors 0 … n-1 to the eventfds; -1: leave a vector unconnected. */
	void (*set_irqs)(struct pcie_dev *dev, const int *eventfds, uint32_t n, nvmux_done_fn done,
			 void *arg);
	/* Reset the function; mappings and interrupts stay. -EOPNOTSUPP: it can't be. NULL: none
	 * can. */
	void (*reset)(struct pcie_dev *dev, nvmux_done_fn done, void *arg);
	/* Doorbells that can't be mapped: any thread; -EAGAIN: try at the next poll. NULL: mapped.
	 */
	int (*doorbell_write)(struct pcie_dev *dev, uint32_t offset, uint32_t value);
	/* A device that runs in the caller's thread: serve this queue now; called with each poll
	 * that finds commands in flight. NULL: it runs by itself. */
	void (*kick)(struct pcie_dev *dev, uint16_t qid);
	/* A signal handler found that the doorbells' or registers' mapping has lost its memory and
	 * put a page of ones there: tell the control thread. Async-signal-safe. NULL: can't happen.
	 */
	void (*bar_fault)(struct pcie_dev *dev);
};

/* What certain devices need (quirks.c). */
enum pcie_quirks {
	PCIE_QUIRK_DELAY_BEFORE_INIT = 1 << 0, /* leave it alone for 2 s after opening */
	PCIE_QUIRK_DELAY_BEFORE_RDY = 1 << 1,  /* CSTS isn't read for 2 s after CC.EN changed */
	PCIE_QUIRK_DELAY_AFTER_QUEUE = 1 << 2, /* a new queue isn't used for 100 ms */
};

struct pcie_dev {
	const struct pcie_dev_ops *ops;
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;    /* for nvmux_ctrlr_lost() */
	volatile uint32_t *doorbells; /* mapped at offset 1000h, or NULL */
	bool doorbells_in_memory;     /* of others, not a device's: a store is cheap */
	uint32_t doorbell_bytes;      /* from offset 1000h on, mapped or not */
	uint32_t n_irqs;              /* MSI-X vectors that it offers */
	uint64_t iova_min, iova_max;  /* what it can map, inclusive; both 0: anything */
	uint32_t quirks;              /* enum pcie_quirks */
	void *bar;                    /* what of BAR0 is mapped, for bar_fault() */
	size_t bar_bytes;
};

/* A transport of this family: the ways differ by their device operations only. */
struct pcie_transport {
	struct nvmux_transport base;
	const struct pcie_dev_ops *dev_ops;
};

int pcie_ctrlr_alloc(struct nvmux *nvmux, const struct nvmux_trid *trid, struct nvmux_ctrlr **ret);
void pcie_ctrlr_free(struct nvmux_ctrlr *ctrlr);
void pcie_ctrlr_open(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
void pcie_ctrlr_close(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
void pcie_ctrlr_identified(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
void pcie_reg_read(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size, nvmux_done_fn done,
		   void *arg);
void pcie_reg_write(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size, uint64_t value,
		    nvmux_done_fn done, void *arg);
void pcie_mem_map(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done, void *arg);
void pcie_mem_unmap(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
		    void *arg);
void pcie_function_reset(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
void pcie_qpair_create(struct nvmux_ctrlr *ctrlr, uint16_t qid, uint32_t entries,
		       struct nvmux_poll_group *group, nvmux_done_fn done, void *arg);
void pcie_qpair_destroy(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
void pcie_qpair_connect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
void pcie_qpair_disconnect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
void pcie_adminq_regs(struct nvmux_ctrlr *ctrlr, uint32_t *ret_aqa, uint64_t *ret_asq,
		      uint64_t *ret_acq);
int pcie_qpair_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg);
int pcie_qpair_submit_plain(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
			    const struct nvmux_plain *data, nvmux_cmd_cb cb, void *arg);
int pcie_qpair_read(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, uint64_t lba,
		    uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg);
int pcie_qpair_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf, uint64_t lba,
		     uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg);
const struct nvmux_cmd *pcie_qpair_inflight(const struct nvmux_qpair *qpair, uint16_t index);
int pcie_qpair_repost(struct nvmux_qpair *qpair, uint16_t index);
int pcie_qpair_process(struct nvmux_qpair *qpair, uint32_t max);

/* The entries of struct nvmux_transport that all of the family share. */
#define PCIE_TRANSPORT_OPS                                                                         \
	.ctrlr_alloc = pcie_ctrlr_alloc, .ctrlr_free = pcie_ctrlr_free,                            \
	.ctrlr_open = pcie_ctrlr_open, .ctrlr_close = pcie_ctrlr_close,                            \
	.ctrlr_identified = pcie_ctrlr_identified, .reg_read = pcie_reg_read,                      \
	.reg_write = pcie_reg_write, .mem_map = pcie_mem_map, .mem_unmap = pcie_mem_unmap,         \
	.qpair_create = pcie_qpair_create, .qpair_destroy = pcie_qpair_destroy,                    \
	.qpair_connect = pcie_qpair_connect, .qpair_disconnect = pcie_qpair_disconnect,            \
	.adminq_regs = pcie_adminq_regs, .submit = pcie_qpair_submit,                              \
	.submit_plain = pcie_qpair_submit_plain, .read = pcie_qpair_read,                          \
	.write = pcie_qpair_write, .process = pcie_qpair_process, .inflight = pcie_qpair_inflight, \
	.repost = pcie_qpair_repost, .function_reset = pcie_function_reset

extern const struct pcie_transport pcie_vfio_transport;
extern const struct pcie_transport pcie_vfio_user_transport;

#endif
