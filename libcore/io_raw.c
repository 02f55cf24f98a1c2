// SPDX-License-Identifier: BSD-3-Clause
/*
 * I/O commands as the caller built them. Only what the library answers for is checked: memory, the
 * transfer limit, and that nothing goes between fused commands.
 */
#include "io_int.h"

#define FUSE_BITS 3u

static int raw_check(const struct nvmux_ctrlr *ctrlr, const struct nvmux_qpair *qpair,
		     const struct nvmux_cmd *cmd, nvmux_cmd_cb cb)
{
	return io_check(qpair, ctrlr, cmd->flags & FUSE_BITS, cb);
}

/* No command moves more metadata than data. */
static int take_md(const struct nvmux_ctrlr *ctrlr, const void *md, uint32_t md_len,
		   struct nvmux_payload *payload)
{
	if (!md && !md_len)
		return 0;
	if (!md || !md_len || md_len > ctrlr->max_transfer)
		return -EINVAL;
	if (nvmux_ctrlr_is_fabrics(ctrlr))
		return -EOPNOTSUPP; /* a capsule has no place for it */
	return payload_find_seg(ctrlr, md, md_len, &payload->md);
}

int nvmux_ctrlr_cmd_io_raw(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
			   const struct nvmux_cmd *cmd, void *buf, uint32_t len, nvmux_cmd_cb cb,
			   void *arg)
{
	return nvmux_ctrlr_cmd_io_raw_with_md(ctrlr, qpair, cmd, buf, len, NULL, 0, cb, arg);
}

int nvmux_ctrlr_cmd_io_raw_with_md(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
				   const struct nvmux_cmd *cmd, void *buf, uint32_t len, void *md,
				   uint32_t md_len, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_payload payload = {0};
	struct nvmux_seg seg;
	int err = raw_check(ctrlr, qpair, cmd, cb);

	if (err)
		return err;
	if (len > ctrlr->max_transfer || (len && !buf))
		return -EINVAL;
	if (len) {
		err = payload_find_seg(ctrlr, buf, len, &seg);
		payload.data = &seg;
		payload.n_data = 1;
		payload.data_len = len;
	}
	if (!err)
		err = take_md(ctrlr, md, md_len, &payload);
	return err ? err : io_submit(qpair, cmd, &payload, cb, arg);
}

int nvmux_ctrlr_cmd_iov_raw_with_md(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
				    const struct nvmux_cmd *cmd, const struct iovec *iov,
				    uint32_t iovcnt, void *md, uint32_t md_len, nvmux_cmd_cb cb,
				    void *arg)
{
	struct payload_cursor cursor = {.kind = PAYLOAD_IOV, .iovcnt = iovcnt, .iov = iov};
	struct nvmux_payload payload = {0};
	struct payload_pieces pieces;
	uint32_t len = 0;
	int err = raw_check(ctrlr, qpair, cmd, cb);

	if (err)
		return err;
	for (uint32_t i = 0; i < iovcnt; i++) {
		if (iov[i].iov_len > ctrlr->max_transfer - len)
			return -EINVAL;
		len += (uint32_t)iov[i].iov_len;
	}
	/* All of it, or not at all. */
	if (len) {
		err = payload_take(ctrlr, &cursor, len, len, &pieces);
		payload.data = pieces.segs;
		payload.n_data = pieces.n;
		payload.data_len = len;
	}
	if (!err)
		err = take_md(ctrlr, md, md_len, &payload);
	return err ? err : io_submit(qpair, cmd, &payload, cb, arg);
}
