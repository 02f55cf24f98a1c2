/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O that exceeds one command: a parent that is never sent itself, and children that are sent as
 * slots become free. It completes once, with the first error; after an error no further child is
 * sent. Parents come from a pool of the queue pair. The two commands of a compare-and-write have
 * one, too: they are sent at once, and it completes with the comparison's error, else as the write.
 */
#ifndef NVMUX_SPLIT_H
#define NVMUX_SPLIT_H

#include "io_int.h"

struct nvmux_split {
	TAILQ_ENTRY(nvmux_split) link; /* in splits_waiting */
	struct nvmux_split *next_free;
	struct nvmux_qpair *qpair;
	struct nvmux_io io;   /* what is not yet sent */
	uint32_t in_flight;   /* children */
	bool waiting;         /* it is in splits_waiting */
	bool in_turn;         /* one child after the other: zones are written in their order */
	bool compare_failed;  /* of a fused pair */
	struct nvmux_cpl cpl; /* success, or the first error */
	nvmux_cmd_cb cb;
	void *arg;
};

/* Whether a child can be sent now. */
static inline bool nvmux_split_is_ready(const struct nvmux_split *split)
{
	return !nvmux_qpair_is_full(split->qpair) && !(split->in_turn && split->in_flight);
}

int nvmux_split_init(struct nvmux_qpair *qpair);
/* Begin: at least one child is sent. -EAGAIN: no slot or no parent is free. */
int nvmux_split_start(struct nvmux_qpair *qpair, const struct nvmux_io *io, nvmux_cmd_cb cb,
		      void *arg);
/* Send a compare and a write that have been made as a fused pair; the queue pair takes both. */
int nvmux_split_start_fused(struct nvmux_qpair *qpair, const struct io_cmd *compare,
			    const struct io_cmd *write, nvmux_cmd_cb cb, void *arg);
/* What a slot has for a part of a larger I/O: what that was submitted with. False: it isn't one. */
bool nvmux_split_unwrap(nvmux_cmd_cb *cb, void **arg);
/* Send further children while slots are free; parents in their order. */
void nvmux_split_resume(struct nvmux_qpair *qpair);
/* No further child is sent of those that wait (all, or whose namespace @match picks): parents
 * complete when those in flight have. */
void nvmux_split_abort_waiting(struct nvmux_qpair *qpair,
			       bool (*match)(const void *arg, const struct nvmux_ns *ns),
			       const void *arg, uint16_t status);

/* Blocks of the next command of @left blocks at @lba. */
static inline uint32_t nvmux_ns_next_blocks(const struct nvmux_ns *ns, uint64_t lba, uint32_t left)
{
	uint32_t n = MIN(left, ns->max_lbas);
	uint32_t boundary = ns->boundary_lbas, room;

	if (!boundary)
		return n;
	/* Powers of two, which is what devices have, need no division. */
	if (likely(!(boundary & (boundary - 1))))
		room = boundary - (uint32_t)(lba & (boundary - 1));
	else
		room = boundary - (uint32_t)(lba % boundary);
	return MIN(n, room);
}

/* The command of a read or write. NVM command set 1.0, sections 3.2.4 and 3.2.6. */
static inline void nvmux_rw_cmd(struct nvmux_cmd *cmd, uint8_t opc, uint32_t nsid, uint64_t lba,
				uint32_t blocks, uint32_t cdw12)
{
	*cmd = (struct nvmux_cmd){
		.opc = opc,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32((uint32_t)lba),
		.cdw11 = cpu_to_le32((uint32_t)(lba >> 32)),
		.cdw12 = cpu_to_le32(cdw12 | (blocks - 1)),
	};
}

#endif
