// SPDX-License-Identifier: BSD-3-Clause
/*
 * I/O commands: from a namespace and an address to one command in the queue.
 *
 * The common case is straight: look the region up, check the range, build the command, hand it to
 * the transport. What exceeds one command goes to split.c.
 */
#include <errno.h>

#include "replay.h"
#include "split.h"
#include "transport.h"

/* Whether the queue pair takes a command now. */
static inline int check_qpair(const struct nvmux_qpair *qpair, nvmux_cmd_cb cb)
{
	if (unlikely(nvmux_qpair_get_state(qpair) != NVMUX_QPAIR_CONNECTED)) {
		int err = replay_refusal(qpair);

		if (err)
			return err;
	}
	if (unlikely(!cb))
		return -EINVAL;
	/* Large I/O that waits for slots comes first. */
	return likely(qpair->n_free && TAILQ_EMPTY(&qpair->splits_waiting)) ? 0 : -EAGAIN;
}

/* The region that @len bytes at @buf lie in, if the controller can reach it. */
static inline int find_seg(const struct nvmux_ctrlr *ctrlr, const void *buf, uint64_t len,
			   struct nvmux_seg *seg)
{
	const struct nvmux_mem *mem = nvmux_mem_find(ctrlr->nvmux, buf);
	uint64_t offset;

	if (unlikely((uintptr_t)buf & 3))
		return -EINVAL;
	if (unlikely(!mem || !nvmux_mem_is_mapped(mem, ctrlr)))
		return -EFAULT;
	offset = (uint64_t)((const uint8_t *)buf - mem->addr);
	if (unlikely(offset > mem->size || len > mem->size - offset))
		return -EFAULT;
	seg->mem = mem;
	seg->offset = offset;
	seg->len = (uint32_t)len;
	return 0;
}

static int start_split(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t opc,
		       const struct nvmux_seg *seg, uint64_t lba, uint32_t lba_count,
		       uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_split split = {
		.ns = ns,
		.mem = seg->mem,
		.offset = seg->offset,
		.lba = lba,
		.left = lba_count,
		.cdw12 = flags,
		.opc = opc,
		.lba_shift = ns->lba_shift,
		.cb = cb,
		.arg = arg,
	};

	return nvmux_split_start(qpair, &split);
}

static inline int rw(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t opc, const void *buf,
		     uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_seg seg;
	struct nvmux_payload payload;
	struct nvmux_cmd cmd;
	int err = check_qpair(qpair, cb);

	if (unlikely(err))
		return err;
	if (unlikely(!lba_count || ns->ctrlr != qpair->ctrlr || lba >= ns->n_lbas ||
		     lba_count > ns->n_lbas - lba || (flags & 0xffff)))
		return -EINVAL;
	err = find_seg(ns->ctrlr, buf, (uint64_t)lba_count << ns->lba_shift, &seg);
	if (unlikely(err))
		return err;
	if (unlikely(nvmux_ns_next_blocks(ns, lba, lba_count) != lba_count))
		return start_split(ns, qpair, opc, &seg, lba, lba_count, flags, cb, arg);
	nvmux_rw_cmd(&cmd, opc, ns->id, lba, lba_count, flags);
	payload = (struct nvmux_payload){.data = &seg, .n_data = 1, .data_len = seg.len};
	return qpair->transport->submit(qpair, &cmd, &payload, cb, arg);
}

int nvmux_ns_cmd_read(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, uint64_t lba,
		      uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	return rw(ns, qpair, nvme_cmd_read, buf, lba, lba_count, flags, cb, arg);
}

int nvmux_ns_cmd_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
		       uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	return rw(ns, qpair, nvme_cmd_write, buf, lba, lba_count, flags, cb, arg);
}

int nvmux_ns_cmd_flush(struct nvmux_ns *ns, struct nvmux_qpair *qpair, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {.opc = nvme_cmd_flush, .nsid = cpu_to_le32(ns->id)};
	struct nvmux_payload payload = {0};
	int err = check_qpair(qpair, cb);

	if (!err && (!ns->n_lbas || ns->ctrlr != qpair->ctrlr))
		err = -EINVAL;
	return err ? err : qpair->transport->submit(qpair, &cmd, &payload, cb, arg);
}

int nvmux_ctrlr_cmd_io_raw(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
			   const struct nvmux_cmd *cmd, void *buf, uint32_t len, nvmux_cmd_cb cb,
			   void *arg)
{
	struct nvmux_payload payload = {0};
	struct nvmux_seg seg;
	int err = check_qpair(qpair, cb);

	if (err)
		return err;
	if (cmd->flags & 3)
		return -EOPNOTSUPP; /* fused */
	if (len > ctrlr->max_transfer || (len && !buf) || qpair->ctrlr != ctrlr)
		return -EINVAL;
	if (len) {
		err = find_seg(ctrlr, buf, len, &seg);
		if (err)
			return err;
		payload = (struct nvmux_payload){.data = &seg, .n_data = 1, .data_len = len};
	}
	return qpair->transport->submit(qpair, cmd, &payload, cb, arg);
}
