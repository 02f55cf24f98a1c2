// SPDX-License-Identifier: BSD-3-Clause
/*
 * I/O commands in general: the checks that all of them share, and commands that name blocks, from
 * what the caller gave to one command or the parent of several.
 *
 * Everything is checked before anything is sent: of an I/O that becomes several commands, all are
 * described once on a copy.
 */
#include <string.h>

#include "faults.h"
#include "io_int.h"
#include "replay.h"
#include "split.h"

#define FUSE_MASK ((uint32_t)NVMUX_IO_FUSE_FIRST | NVMUX_IO_FUSE_SECOND)
#define EXT_MAX   4096u

/* Nothing goes between two fused commands, and there must be room for both. */
static int check_fuse(const struct nvmux_qpair *qpair, uint32_t fuse)
{
	bool second = qpair->slow & NVMUX_SLOW_FUSED;

	if (!fuse && !second)
		return 0;
	if (fuse && !(le16_to_cpu(qpair->ctrlr->id.fuses) & NVME_CTRL_FUSES_COMPARE_AND_WRITE))
		return -EOPNOTSUPP;
	if (fuse == FUSE_MASK || second != (fuse == NVMUX_IO_FUSE_SECOND) || qpair->depth < 2)
		return -EINVAL;
	return !second && nvmux_qpair_n_free(qpair) < 2 ? -EAGAIN : 0;
}

int io_check(const struct nvmux_qpair *qpair, const struct nvmux_ctrlr *ctrlr, uint32_t fuse,
	     nvmux_cmd_cb cb)
{
	int err = 0;

	if (unlikely(nvmux_qpair_get_state(qpair) != NVMUX_QPAIR_CONNECTED))
		err = replay_refusal(qpair);
	if (err)
		return err;
	if (!cb || qpair->ctrlr != ctrlr)
		return -EINVAL;
	/* Large I/O that waits for slots comes first. */
	if (nvmux_qpair_is_full(qpair) || qpair->slow & NVMUX_SLOW_SPLITS)
		return -EAGAIN;
	return check_fuse(qpair, fuse);
}

int io_check_oncs(const struct nvmux_ctrlr *ctrlr, uint16_t bit)
{
	return le16_to_cpu(ctrlr->id.oncs) & bit ? 0 : -EOPNOTSUPP;
}

int io_range_error(const struct nvmux_ns *ns)
{
	return __atomic_load_n(&ns->stale, __ATOMIC_RELAXED) ? -ESTALE : -EINVAL;
}

int io_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
	      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	int err;

	if (unlikely(qpair->slow & NVMUX_SLOW_INJECT))
		err = inject_submit(qpair, cmd, payload, cb, arg);
	else
		err = qpair->transport->submit(qpair, cmd, payload, cb, arg);
	if (err)
		return err;
	if (unlikely(cmd->flags & FUSE_MASK)) {
		if (cmd->flags & NVMUX_IO_FUSE_FIRST)
			qpair->slow |= NVMUX_SLOW_FUSED;
		else
			qpair->slow &= (uint8_t)~NVMUX_SLOW_FUSED;
	}
	return 0;
}

int io_submit_buf(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd, const void *buf,
		  uint32_t len, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_payload payload = {0};
	struct nvmux_seg seg;

	if (len) {
		int err = payload_find_seg(qpair->ctrlr, buf, len, &seg);

		if (err)
			return err;
		payload = (struct nvmux_payload){.data = &seg, .n_data = 1, .data_len = len};
	}
	return io_submit(qpair, cmd, &payload, cb, arg);
}

static int take_ext(const struct nvmux_io_ext *ext, struct nvmux_io_ext *ret)
{
	*ret = (struct nvmux_io_ext){0};
	if (!ext)
		return 0;
	if (ext->size < sizeof(ext->size) || ext->size > EXT_MAX)
		return -EINVAL;
	memcpy(ret, ext, MIN(ext->size, sizeof(*ret)));
	return ret->flags & 0xffff & ~FUSE_MASK ? -EINVAL : 0;
}

/*
 * Where metadata goes. Protection information that is all of it is no business of the host's where
 * the controller inserts and strips it (NVM command set 1.0, section 5.2.1.1).
 */
static int prepare_md(struct nvmux_io *io, const void *md)
{
	const struct nvmux_ns *ns = io->ns;
	bool hidden = io->cdw12 & NVMUX_IO_PRACT && ns->pi_type && ns->md_size == 8;

	if (io->data.kind == PAYLOAD_NONE)
		return md ? -EINVAL : 0;
	if (md && (!ns->md_size || ns->md_interleaved))
		return -EINVAL;
	if (md && nvmux_ctrlr_is_fabrics(ns->ctrlr))
		return -EOPNOTSUPP; /* a capsule has no place for it */
	if (!ns->md_size || hidden)
		return 0;
	if (ns->md_interleaved) {
		io->block_len += ns->md_size;
		return 0;
	}
	if (!md)
		return -EINVAL;
	return payload_find_seg(ns->ctrlr, md, (uint64_t)io->left * ns->md_size, &io->md);
}

/* In one piece: all of it is in one region. Callbacks count bytes in 32 bits. */
static int check_data(const struct nvmux_io *io)
{
	uint64_t len = (uint64_t)io->left * io->block_len;
	struct nvmux_seg seg;

	if (io->data.kind == PAYLOAD_ONE)
		return payload_find_seg(io->ns->ctrlr, io->data.addr, len, &seg);
	if (io->data.kind == PAYLOAD_CALLS && len > UINT32_MAX)
		return -EINVAL;
	return 0;
}

int io_prepare(struct nvmux_io *io, const struct nvmux_io_ext *ext)
{
	const struct nvmux_ns *ns = io->ns;
	int err;

	if (!io->left || io->lba >= ns->n_lbas || io->left > ns->n_lbas - io->lba)
		return io_range_error(ns);
	io->lba_shift = ns->lba_shift;
	io->md_size = ns->md_size;
	io->md_interleaved = ns->md_interleaved;
	io->block_len = 1u << ns->lba_shift;
	io->fuse = ext->flags & FUSE_MASK;
	io->whole |= io->fuse != 0;
	io->cdw12 |= ext->flags & ~0xffffu;
	io->cdw13 = ext->cdw13;
	io->cdw15 = (uint32_t)ext->apptag_mask << 16 | ext->apptag;
	io->reftag = ext->reftag;
	err = prepare_md(io, ext->md);
	return err ? err : check_data(io);
}

static uint32_t next_limit(const struct nvmux_io *io)
{
	/* The optimal boundary is for what can be split and moves data. */
	if (io->data.kind == PAYLOAD_NONE)
		return MIN(io->left, io->limit);
	if (io->whole)
		return MIN(io->left, io->ns->max_lbas);
	return nvmux_ns_next_blocks(io->ns, io->lba, io->left);
}

/*
 * The initial reference tag is that of the first block (NVM command set 1.0, section 5.2.3): with
 * types 1 and 2 its number, so that it is the same whether the I/O is split or not.
 */
static void set_tags(const struct nvmux_io *io, struct nvmux_cmd *cmd)
{
	uint8_t type = io->ns->pi_type;

	cmd->cdw13 = cpu_to_le32(io->cdw13);
	cmd->cdw15 = cpu_to_le32(io->cdw15);
	if (type == NVMUX_PI_TYPE3) {
		cmd->cdw14 = cpu_to_le32((uint32_t)io->reftag);
		cmd->cdw2 = cpu_to_le32((uint32_t)(io->reftag >> 32));
	} else if (type) {
		cmd->cdw14 = cpu_to_le32((uint32_t)io->lba);
	}
}

int io_next(struct nvmux_io *io, struct io_cmd *ret)
{
	const struct nvmux_ns *ns = io->ns;
	uint32_t blocks = next_limit(io);

	if (unlikely(ns->lba_shift != io->lba_shift || ns->md_size != io->md_size ||
		     ns->md_interleaved != io->md_interleaved))
		return -ESTALE; /* formatted otherwise meanwhile */
	ret->payload = (struct nvmux_payload){0};
	if (io->data.kind != PAYLOAD_NONE) {
		uint32_t len = blocks * io->block_len;
		int err = payload_take(ns->ctrlr, &io->data, len, io->block_len, &ret->pieces);

		if (err)
			return err;
		if (ret->pieces.len != len)
			blocks = ret->pieces.len / io->block_len;
		ret->payload.data = ret->pieces.segs;
		ret->payload.n_data = ret->pieces.n;
		ret->payload.data_len = ret->pieces.len;
	}
	if (io->md.mem) {
		ret->payload.md = io->md;
		ret->payload.md.len = blocks * io->md_size;
		io->md.offset += ret->payload.md.len;
	}
	nvmux_rw_cmd(&ret->cmd, io->opc, ns->id, io->lba, blocks, io->cdw12);
	ret->cmd.flags = io->fuse;
	if (io->opc != nvme_cmd_write_uncor) /* which has none: NVM command set 1.0, 3.2.7 */
		set_tags(io, &ret->cmd);
	io->lba += blocks;
	io->left -= blocks;
	return 0;
}

/* Whether all of the rest can be described. */
static int check_rest(const struct nvmux_io *rest)
{
	struct nvmux_io io = *rest;
	struct io_cmd cmd;
	int err = 0;

	if (io.data.kind < PAYLOAD_IOV)
		return 0;
	while (!err && io.left)
		err = io_next(&io, &cmd);
	return err;
}

int io_run(struct nvmux_qpair *qpair, struct nvmux_io *io, const struct nvmux_io_ext *ext,
	   nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_io_ext own;
	struct nvmux_io rest;
	struct io_cmd first;
	int err = take_ext(ext, &own);

	if (!err)
		err = io_check(qpair, io->ns->ctrlr, own.flags & FUSE_MASK, cb);
	if (!err)
		err = io_prepare(io, &own);
	if (err)
		return err;
	rest = *io;
	err = io_next(&rest, &first);
	if (err)
		return err;
	if (!rest.left)
		return io_submit(qpair, &first.cmd, &first.payload, cb, arg);
	if (io->whole)
		return -E2BIG;
	err = check_rest(&rest);
	return err ? err : nvmux_split_start(qpair, io, cb, arg);
}
