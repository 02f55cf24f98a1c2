/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads and writes of the usual kind: one piece of memory, no metadata, one command, a queue pair
 * with nothing out of the ordinary. A transport that sends them in its own way (read and write of
 * struct nvmux_transport) asks here whether one is, and gives every other to nvmux_rw_read() or
 * nvmux_rw_write(), which know all rules and say what is wrong.
 */
#ifndef NVMUX_RW_H
#define NVMUX_RW_H

#include "core.h"

/* As nvmux_ns_cmd_read() and nvmux_ns_cmd_write(), of any kind (io.c). With the same parameters,
 * so that they are jumped to. */
int nvmux_rw_read(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, uint64_t lba,
		  uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg);
int nvmux_rw_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf, uint64_t lba,
		   uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg);

/* One of the two; @write is a constant. */
static inline int nvmux_rw(bool write, struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
			   uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb,
			   void *arg)
{
	return write ? nvmux_rw_write(ns, qpair, buf, lba, lba_count, flags, cb, arg)
		     : nvmux_rw_read(ns, qpair, buf, lba, lba_count, flags, cb, arg);
}

/*
 * Whether this one is of the usual kind; false also for all that is wrong. Whatever it accepts,
 * nvmux_rw_read() would send as one command with the same fields.
 */
static inline bool nvmux_rw_is_plain(const struct nvmux_ns *ns, const struct nvmux_qpair *qpair,
				     const void *buf, uint64_t lba, uint32_t lba_count,
				     uint32_t flags, nvmux_cmd_cb cb, struct nvmux_plain *ret)
{
	uint32_t more = lba_count - 1; /* lba_count 0 is refused by it, too */
	uint64_t last = lba + more;    /* may have wrapped around: another highest bit than lba's */
	const struct nvmux_reach *reach;
	uint64_t slot;

	if (unlikely(!nvmux_qpair_is_usual(qpair) || nvmux_qpair_is_full(qpair) ||
		     ns->ctrlr != qpair->ctrlr || !cb))
		return false;
	if (unlikely(flags & 0xffff || more >= ns->plain_lbas || last >= ns->n_lbas ||
		     ((lba ^ last) & ns->boundary)))
		return false;
	slot = (uint64_t)((const uint8_t *)buf - qpair->window);
	slot = (slot >> 2 | slot << 62) >> (NVMUX_SLOT_SHIFT - 2); /* huge where bits 1:0 are set */
	if (unlikely(slot >= qpair->n_slots))
		return false;
	reach = &qpair->reach[slot];
	ret->len = lba_count * ns->lba_bytes;
	/* no overflow: the window ends before */
	if (unlikely((uintptr_t)buf + ret->len > reach->end))
		return false;
	ret->addr = (uintptr_t)buf + reach->delta;
	return true;
}

#endif
