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

/*
 * Whether this one is of the usual kind; false also for all that is wrong. Whatever it accepts,
 * nvmux_rw_read() would send as one command with the same fields.
 */
static inline bool nvmux_rw_is_plain(const struct nvmux_ns *ns, const struct nvmux_qpair *qpair,
				     const void *buf, uint64_t lba, uint32_t lba_count,
				     uint32_t flags, nvmux_cmd_cb cb, struct nvmux_plain *ret)
{
	const struct nvmux_ctrlr *ctrlr = qpair->ctrlr;
	uint64_t offset = (uint64_t)((const uint8_t *)buf - ctrlr->window);
	uint64_t slot = offset >> NVMUX_SLOT_SHIFT;
	uint64_t in_slot = offset & ((1u << NVMUX_SLOT_SHIFT) - 1);
	uint64_t n_lbas = ns->n_lbas;
	const struct nvmux_reach *reach;

	if (unlikely(nvmux_qpair_get_state(qpair) != NVMUX_QPAIR_CONNECTED || qpair->slow ||
		     !qpair->n_free || ns->ctrlr != ctrlr || !cb))
		return false;
	/* lba_count 0 is none, too */
	if (unlikely(flags & 0xffff || lba_count - 1 >= ns->plain_lbas || lba >= n_lbas ||
		     lba_count > n_lbas - lba ||
		     (lba & ns->boundary_mask) + (lba_count - 1) > ns->boundary_mask))
		return false;
	if (unlikely(offset & 3 || slot >= ctrlr->n_slots))
		return false;
	reach = &ctrlr->reach[slot];
	ret->len = lba_count << ns->lba_shift;
	/* acquire: the base is that of what is reached */
	if (unlikely(in_slot + ret->len > __atomic_load_n(&reach->bytes, __ATOMIC_ACQUIRE)))
		return false;
	ret->addr = __atomic_load_n(&reach->base, __ATOMIC_RELAXED) + in_slot;
	return true;
}

#endif
