/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The check of a read or write of the usual kind: without metadata, in one piece. Whatever it
 * passes, channel_check() would pass with the same result; whatever it doesn't, goes there, which
 * knows all rules and says what is wrong.
 */
#ifndef NVMUXD_PLAIN_H
#define NVMUXD_PLAIN_H

#include "daemon/reactor.h"

/* @cmd is a private copy, without flags. True: @ret is what it moves. */
static inline bool channel_check_plain(const struct nvmux_ring_cmd *cmd,
				       const struct ctrlr_view *view,
				       const struct region_view *regions, uint32_t n_regions,
				       struct nvmux_plain *ret)
{
	uint32_t nsid = le32_to_cpu(cmd->nsid);
	uint64_t lba = (uint64_t)le32_to_cpu(cmd->cdw11) << 32 | le32_to_cpu(cmd->cdw10);
	uint64_t blocks = (le32_to_cpu(cmd->cdw12) & 0xffff) + 1, len;
	uint64_t number = cmd->data >> NVMUX_RING_OFFSET_BITS;
	uint64_t offset = cmd->data & NVMUX_RING_OFFSET_MASK;
	const struct region_view *region;
	uint32_t place = view->likely_place[nsid % CTRLR_VIEW_PLACES];
	const struct ns_view *ns = &view->ns[place];

	if (unlikely(place >= view->n_ns || ns->nsid != nsid || ns->md_size))
		return false;
	if (unlikely(cmd->opc != nvme_cmd_read && (cmd->opc != nvme_cmd_write || !ns->writable)))
		return false;
	if (unlikely(lba >= ns->n_lbas || blocks > ns->n_lbas - lba))
		return false;
	len = blocks << ns->lba_shift;
	if (unlikely(len > view->max_transfer || len > cmd->data_len || offset & 3))
		return false;
	region = &regions[number];
	/* 48 and 32 bits: the sum doesn't overflow */
	if (unlikely(number >= n_regions || !region->mem || offset + cmd->data_len > region->size))
		return false;
	ret->addr = region->base + offset;
	ret->len = (uint32_t)len;
	return true;
}

#endif
