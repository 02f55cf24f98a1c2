// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads, writes and compares: from a namespace and an address to one command in the queue.
 *
 * The common case goes to the transport at once, where it has its own way for it (rw.h). Else it is
 * straight: look the region up, check the range, build the command, hand it to the transport. What
 * has metadata, comes in pieces or exceeds one command goes to io_run.c.
 */
#include "io_int.h"
#include "rw.h"
#include "split.h"

/* In one piece, with metadata or flags that need more than the usual, or while the queue pair isn't
 * as usual. */
static int run_one(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t opc, const void *buf,
		   uint64_t lba, uint32_t lba_count, const struct nvmux_io_ext *ext,
		   nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_io io = {
		.ns = ns,
		.data = {.kind = PAYLOAD_ONE, .addr = buf},
		.lba = lba,
		.left = lba_count,
		.opc = opc,
	};

	return io_run(qpair, &io, ext, cb, arg);
}

static int run_flags(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t opc, const void *buf,
		     uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	const struct nvmux_io_ext ext = {.size = sizeof(ext), .flags = flags};

	return run_one(ns, qpair, opc, buf, lba, lba_count, &ext, cb, arg);
}

static inline int rw(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t opc, const void *buf,
		     uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_seg seg;
	struct nvmux_payload payload;
	struct nvmux_cmd cmd;
	int err;

	if (unlikely(!nvmux_qpair_is_usual(qpair) || (flags & 0xffff) || ns->md_size))
		return run_flags(ns, qpair, opc, buf, lba, lba_count, flags, cb, arg);
	if (unlikely(!cb))
		return -EINVAL;
	if (unlikely(nvmux_qpair_is_full(qpair)))
		return -EAGAIN;
	if (unlikely(!lba_count || ns->ctrlr != qpair->ctrlr || lba >= ns->n_lbas ||
		     lba_count > ns->n_lbas - lba))
		return io_range_error(ns);
	err = payload_find_seg(ns->ctrlr, buf, (uint64_t)lba_count << ns->lba_shift, &seg);
	if (unlikely(err))
		return err;
	if (unlikely(nvmux_ns_next_blocks(ns, lba, lba_count) != lba_count))
		return run_flags(ns, qpair, opc, buf, lba, lba_count, flags, cb, arg);
	nvmux_rw_cmd(&cmd, opc, ns->id, lba, lba_count, flags);
	payload = (struct nvmux_payload){.data = &seg, .n_data = 1, .data_len = seg.len};
	return qpair->transport->submit(qpair, &cmd, &payload, cb, arg);
}

/* Not inlined below: there the transport's own is jumped to, with no frame. */
__attribute__((noinline)) int nvmux_rw_read(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					    void *buf, uint64_t lba, uint32_t lba_count,
					    uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	return rw(ns, qpair, nvme_cmd_read, buf, lba, lba_count, flags, cb, arg);
}

__attribute__((noinline)) int nvmux_rw_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					     const void *buf, uint64_t lba, uint32_t lba_count,
					     uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	return rw(ns, qpair, nvme_cmd_write, buf, lba, lba_count, flags, cb, arg);
}

int nvmux_ns_cmd_read(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, uint64_t lba,
		      uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	return qpair->transport->read(ns, qpair, buf, lba, lba_count, flags, cb, arg);
}

int nvmux_ns_cmd_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
		       uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	return qpair->transport->write(ns, qpair, buf, lba, lba_count, flags, cb, arg);
}

int nvmux_ns_cmd_compare(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
			 uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb,
			 void *arg)
{
	int err = io_check_oncs(ns->ctrlr, NVME_CTRL_ONCS_COMPARE);

	return err ? err
		   : run_flags(ns, qpair, nvme_cmd_compare, buf, lba, lba_count, flags, cb, arg);
}

/* ---- with separate metadata ---- */

static int run_md(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t opc, const void *buf,
		  const void *md, uint64_t lba, uint32_t lba_count, uint32_t flags,
		  uint16_t apptag_mask, uint16_t apptag, nvmux_cmd_cb cb, void *arg)
{
	const struct nvmux_io_ext ext = {
		.size = sizeof(ext),
		.flags = flags,
		.md = (void *)(uintptr_t)md,
		.apptag_mask = apptag_mask,
		.apptag = apptag,
	};

	return run_one(ns, qpair, opc, buf, lba, lba_count, &ext, cb, arg);
}

int nvmux_ns_cmd_read_with_md(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, void *md,
			      uint64_t lba, uint32_t lba_count, uint32_t flags,
			      uint16_t apptag_mask, uint16_t apptag, nvmux_cmd_cb cb, void *arg)
{
	return run_md(ns, qpair, nvme_cmd_read, buf, md, lba, lba_count, flags, apptag_mask, apptag,
		      cb, arg);
}

int nvmux_ns_cmd_write_with_md(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
			       const void *md, uint64_t lba, uint32_t lba_count, uint32_t flags,
			       uint16_t apptag_mask, uint16_t apptag, nvmux_cmd_cb cb, void *arg)
{
	return run_md(ns, qpair, nvme_cmd_write, buf, md, lba, lba_count, flags, apptag_mask,
		      apptag, cb, arg);
}

int nvmux_ns_cmd_compare_with_md(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
				 const void *md, uint64_t lba, uint32_t lba_count, uint32_t flags,
				 uint16_t apptag_mask, uint16_t apptag, nvmux_cmd_cb cb, void *arg)
{
	int err = io_check_oncs(ns->ctrlr, NVME_CTRL_ONCS_COMPARE);

	return err ? err
		   : run_md(ns, qpair, nvme_cmd_compare, buf, md, lba, lba_count, flags,
			    apptag_mask, apptag, cb, arg);
}

/* ---- in pieces ---- */

static int run_calls(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t opc, uint64_t lba,
		     uint32_t lba_count, const struct nvmux_io_ext *ext,
		     nvmux_reset_sgl_cb reset_sgl, nvmux_next_sge_cb next_sge, void *sgl_arg,
		     nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_io io = {
		.ns = ns,
		.data = {.kind = PAYLOAD_CALLS,
			 .reset = reset_sgl,
			 .next = next_sge,
			 .arg = sgl_arg},
		.lba = lba,
		.left = lba_count,
		.opc = opc,
	};

	return reset_sgl && next_sge ? io_run(qpair, &io, ext, cb, arg) : -EINVAL;
}

int nvmux_ns_cmd_readv(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t lba,
		       uint32_t lba_count, const struct nvmux_io_ext *ext,
		       nvmux_reset_sgl_cb reset_sgl, nvmux_next_sge_cb next_sge, void *sgl_arg,
		       nvmux_cmd_cb cb, void *arg)
{
	return run_calls(ns, qpair, nvme_cmd_read, lba, lba_count, ext, reset_sgl, next_sge,
			 sgl_arg, cb, arg);
}

int nvmux_ns_cmd_writev(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t lba,
			uint32_t lba_count, const struct nvmux_io_ext *ext,
			nvmux_reset_sgl_cb reset_sgl, nvmux_next_sge_cb next_sge, void *sgl_arg,
			nvmux_cmd_cb cb, void *arg)
{
	return run_calls(ns, qpair, nvme_cmd_write, lba, lba_count, ext, reset_sgl, next_sge,
			 sgl_arg, cb, arg);
}

int nvmux_ns_cmd_comparev(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t lba,
			  uint32_t lba_count, const struct nvmux_io_ext *ext,
			  nvmux_reset_sgl_cb reset_sgl, nvmux_next_sge_cb next_sge, void *sgl_arg,
			  nvmux_cmd_cb cb, void *arg)
{
	int err = io_check_oncs(ns->ctrlr, NVME_CTRL_ONCS_COMPARE);

	return err ? err
		   : run_calls(ns, qpair, nvme_cmd_compare, lba, lba_count, ext, reset_sgl,
			       next_sge, sgl_arg, cb, arg);
}

static int run_iov(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t opc,
		   const struct iovec *iov, uint32_t iovcnt, uint64_t lba, uint32_t lba_count,
		   const struct nvmux_io_ext *ext, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_io io = {
		.ns = ns,
		.data = {.kind = PAYLOAD_IOV, .iovcnt = iovcnt, .iov = iov},
		.lba = lba,
		.left = lba_count,
		.opc = opc,
	};

	return io_run(qpair, &io, ext, cb, arg);
}

int nvmux_ns_cmd_readv_iov(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const struct iovec *iov,
			   uint32_t iovcnt, uint64_t lba, uint32_t lba_count,
			   const struct nvmux_io_ext *ext, nvmux_cmd_cb cb, void *arg)
{
	return run_iov(ns, qpair, nvme_cmd_read, iov, iovcnt, lba, lba_count, ext, cb, arg);
}

int nvmux_ns_cmd_writev_iov(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const struct iovec *iov,
			    uint32_t iovcnt, uint64_t lba, uint32_t lba_count,
			    const struct nvmux_io_ext *ext, nvmux_cmd_cb cb, void *arg)
{
	return run_iov(ns, qpair, nvme_cmd_write, iov, iovcnt, lba, lba_count, ext, cb, arg);
}

int nvmux_ns_cmd_comparev_iov(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
			      const struct iovec *iov, uint32_t iovcnt, uint64_t lba,
			      uint32_t lba_count, const struct nvmux_io_ext *ext, nvmux_cmd_cb cb,
			      void *arg)
{
	int err = io_check_oncs(ns->ctrlr, NVME_CTRL_ONCS_COMPARE);

	return err ? err
		   : run_iov(ns, qpair, nvme_cmd_compare, iov, iovcnt, lba, lba_count, ext, cb,
			     arg);
}
