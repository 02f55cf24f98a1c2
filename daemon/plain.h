/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The check of a read or write of the usual kind: without metadata, in one piece. Whatever it
 * passes, channel_check() would pass with the same result; whatever it doesn't, goes there, which
 * knows all rules and says what is wrong.
 */
#ifndef NVMUXD_PLAIN_H
#define NVMUXD_PLAIN_H

#include "daemon/reactor.h"

/* @cmd is a private copy, without flags, @ns what ctrlr_view_likely() finds for it. True: @ret is
 * what it moves. */
static inline bool channel_check_plain(const struct nvmux_ring_cmd *cmd, const struct ns_view *ns,
				       const struct region_view *regions, uint32_t n_regions,
				       struct nvmux_plain *ret)
{
	const nvmux_word *words = (const nvmux_word *)cmd;
	uint64_t lba = le64toh(words[5]);
	uint32_t more = le32_to_cpu(cmd->cdw12) & 0xffff, len; /* blocks after the first */
	uint64_t number = cmd->data >> NVMUX_RING_OFFSET_BITS;
	uint64_t offset = cmd->data & NVMUX_RING_OFFSET_MASK;
	const struct region_view *region;

	if (unlikely(cmd->opc != nvme_cmd_read && (cmd->opc != nvme_cmd_write || !ns->writable)))
		return false;
	/* plain_lbas is at most n_lbas */
	if (unlikely(more >= ns->plain_lbas || lba >= ns->n_lbas - more))
		return false;
	len = (more + 1) * ns->lba_bytes;
	if (unlikely(len > cmd->data_len || offset & 3 || number >= n_regions))
		return false;
	region = &regions[number];
	/* 48 and 32 bits: the sum doesn't overflow */
	if (unlikely(offset + cmd->data_len > region->size))
		return false;
	ret->addr = region->base + offset;
	ret->len = len;
	return true;
}

#endif
