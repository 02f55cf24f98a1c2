/* SPDX-License-Identifier: BSD-3-Clause */
/* Controllers and queue pairs of the PCIe family, for the files of this folder. */
#ifndef NVMUX_PCIE_INT_H
#define NVMUX_PCIE_INT_H

#include "pcie.h"
#include "prp.h"

#define PCIE_UNKNOWN_CIDS_MAX 8 /* completions without a command; then the queue is given up */
#define PCIE_ENABLED_UNKNOWN  2
#define PCIE_DELAY_INIT_MS    2000
#define PCIE_DELAY_RDY_MS     2000
#define PCIE_DELAY_QUEUE_MS   100

/* Where one of a queue pair's two doorbells is, where it isn't just a store (pcie_shadow.c). */
struct pcie_bell {
	volatile uint32_t *mmio; /* NULL: by pcie_dev_ops.doorbell_write */
	uint32_t *shadow;        /* NULL: none */
	uint32_t *event;         /* its EventIdx */
	uint32_t offset;         /* in BAR0 */
};

struct pcie_qpair;
TAILQ_HEAD(pcie_qpair_list, pcie_qpair);

struct pcie_ctrlr {
	struct nvmux_ctrlr base;
	struct pcie_dev *dev;
	struct pcie_qpair *adminq;
	bool reachable;     /* the device is open */
	bool closing;       /* it isn't any more, and may reach memory until it has been closed */
	uint32_t db_stride; /* bytes from one doorbell to the next */
	uint32_t enabled;   /* CC.EN as last written with a quirk's delay */
	struct nvmux_call open;
	struct nvmux_call close;
	int irq_fd; /* vector 0, -1: none; the device has it too: never read or written here */
	struct nvmux_watch irq_watch;
	int wake_fd; /* pcie_qpair_break(), -1: not open; nobody else's */
	struct nvmux_watch wake_watch;
	struct nvmux_timer
		poll_timer;       /* in place of interrupts, or of a doorbell that had to wait */
	uint64_t poll_seen;       /* what the admin queue had done at the last poll */
	uint32_t broken;          /* queue identifier + 1 of the first broken one; any thread */
	struct nvmux_call delayed; /* a register write that ends after a quirk's delay */
	struct nvmux_timer delay_timer;
	struct nvmux_call prepare;       /* pcie_ctrlr_identified() */
	struct nvmux_mem *shadow;        /* doorbell buffers, a page for each; or NULL */
	bool shadowed;                   /* the controller uses them */
	struct pcie_qpair_list settling; /* queue pairs that wait for a quirk's delay */
};

struct pcie_qpair {
	struct nvmux_qpair base;

	/* the I/O path */
	struct nvmux_cmd *sq;
	struct nvmux_cpl *cq;
	volatile uint32_t *sq_db; /* NULL: by pcie_ring_far() */
	volatile uint32_t *cq_db;
	struct pcie_dev *dev;
	void (*kick)(struct pcie_dev *dev, uint16_t qid);
	uint32_t entries; /* of both queues; one more than can be in flight */
	uint32_t sq_tail;
	uint32_t sq_tail_rung;
	uint32_t cq_head;
	uint32_t cq_head_rung;
	uint16_t phase; /* of new completions */
	bool broken;
	uint64_t unknown_cids_max;
	__le64 *lists; /* a page per slot */
	uint64_t lists_iova;
	uint16_t *list_used;
	uint16_t *sq_at;        /* by slot: the place of its command in the submission queue */
	struct nvmux_cmd *kept; /* by slot: its entry, once that is overwritten */

	/* the rest */
	struct pcie_bell sq_bell;
	struct pcie_bell cq_bell;
	struct nvmux_mem *mem; /* submission queue, completion queue, lists */
	uint64_t sq_iova;
	uint64_t cq_iova;
	struct nvmux_call call; /* create, connect, disconnect or destroy */
	int call_err;
	struct nvmux_timer timer;
	TAILQ_ENTRY(pcie_qpair) settle_link; /* while the timer is set */
};

static inline struct pcie_ctrlr *pcie_ctrlr(struct nvmux_ctrlr *ctrlr)
{
	return container_of(ctrlr, struct pcie_ctrlr, base);
}

static inline struct pcie_qpair *pcie_qpair(struct nvmux_qpair *qpair)
{
	return container_of(qpair, struct pcie_qpair, base);
}

/*
 * pcie_shadow.c. Set one doorbell that isn't only a store to sq_db or cq_db; 0, or as
 * pcie_dev_ops.doorbell_write(). @old: the value before. init: where the doorbells are, of a new
 * queue pair; -ENOSPC: the device has no such doorbells. attach: before the controller learns of an
 * I/O queue pair.
 */
int pcie_ring_far(const struct pcie_qpair *q, const struct pcie_bell *bell, uint32_t value,
		  uint32_t old);
int pcie_bells_init(struct pcie_qpair *q);
void pcie_bells_attach(struct pcie_qpair *q);

/* Give a queue up, and let the control thread give up the controller. The queue's thread. */
void pcie_qpair_break(struct pcie_qpair *q);
/* Look after the admin queue soon, for a doorbell that couldn't be written. */
void pcie_adminq_retry(struct pcie_ctrlr *pc);
/* The device is about to be closed: queue pairs that wait for a quirk's delay need not. */
void pcie_qpairs_unsettle(struct pcie_ctrlr *pc);
/* Empty queues, as after a reset of the controller. */
void pcie_qpair_rewind(struct pcie_qpair *q);
/* Deliver at most @max completions (at most the queue's size). The number, or -ENXIO. */
int pcie_qpair_reap(struct pcie_qpair *q, uint32_t max);

#define PCIE_CLASS_NVME         0x010802u /* storage, non-volatile memory, NVMe I/O controller */
#define PCIE_REG_BYTES          0x1000u   /* of BAR0 before the doorbells */
#define PCIE_DOORBELL_BYTES_MAX (1u << 20)

/* -ENODEV unless bits 31:8 of @class_revision are the class code of an NVMe controller. */
static inline int pcie_check_class(struct nvmux *nvmux, const char *who, uint32_t class_revision)
{
	uint32_t class = class_revision >> 8;

	if (class == PCIE_CLASS_NVME)
		return 0;
	return nvmux_error(nvmux, -ENODEV, "%s: class code %06x: not an NVMe controller (%06x)",
			   who, class, PCIE_CLASS_NVME);
}

/* Where sysfs and /dev are; others in tests, by nvmux->transport_data[NVMUX_TRTYPE_PCIE]. */
struct pcie_paths {
	const char *sysfs;
	const char *dev;
};


const struct pcie_paths *pcie_paths(const struct nvmux *nvmux);
/* Call found() for each NVMe function that is bound to vfio-pci. */
void pcie_sysfs_enumerate(struct nvmux *nvmux, const struct nvmux_trid *trid, nvmux_found_fn found,
			  nvmux_done_fn done, void *arg);
/* The IOMMU group of a function that is bound to vfio-pci; -ENODEV, -EBUSY, -EOPNOTSUPP. */
int pcie_sysfs_group(struct nvmux *nvmux, const char *bdf, unsigned *ret_group);

/* The NUMA node of a function, or -1. */
int pcie_sysfs_node(const struct nvmux_ctrlr *ctrlr);

/* (Part of) BAR0 is mapped here: guard it against SIGBUS. */
void pcie_bar_mapped(struct pcie_dev *dev, void *bar, size_t bytes);
/*
 * Put anonymous memory in the place of a device's BAR, for when the device is let go of: other
 * threads may still write doorbells until they have been told. pcie_bar_unmap() when none can.
 */
void pcie_bar_detach(struct pcie_dev *dev);
void pcie_bar_unmap(struct pcie_dev *dev);

/* Quirks of a function (quirks.c). */
uint32_t pcie_quirks_of(uint16_t vendor, uint16_t device);

#endif
