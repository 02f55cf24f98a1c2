// SPDX-License-Identifier: BSD-3-Clause
/*
 * Get Log Page of any length. Base specification 2.0, section 5.16.
 *
 * Happy path: as many commands as the transfer limit wants, one after the other, each at its
 * offset; only the last one clears the event, when that was asked for. Failure modes: a command
 * that is refused ends it with that status; a controller that is lost, likewise.
 */
#include <errno.h>

#include "admin_cmds.h"

#define LPA_EXTENDED (1u << 2) /* offsets, and more than 12 bits of length */
#define PLAIN_MAX    (4096u * 4)
#define LSP_MAX      0x7fu
#define RAE          (1u << 15)
#define OT           (1u << 23)

struct log_read {
	struct nvmux_ctrlr *ctrlr;
	uint8_t lid;
	uint32_t nsid;
	struct nvmux_log_opts opts;
	uint8_t *buf;
	uint32_t len;
	uint32_t done;
	uint32_t piece; /* under way */
	nvmux_cmd_cb cb;
	void *arg;
};

static void finish(struct log_read *r, const struct nvmux_cpl *cpl)
{
	nvmux_cmd_cb cb = r->cb;
	void *arg = r->arg;

	free(r);
	cb(arg, cpl);
}

static int send_next(struct log_read *r);

static void answered(void *arg, const struct nvmux_cpl *cpl)
{
	struct log_read *r = arg;
	struct nvmux_cpl lost = {0};
	int err;

	r->done += r->piece;
	if (nvmux_cpl_is_error(cpl) || r->done == r->len) {
		finish(r, cpl);
		return;
	}
	err = send_next(r);
	if (!err)
		return;
	lost.status = cpu_to_le16(
		(uint16_t)((err == -ENXIO ? NVMUX_SC_CTRLR_GONE : NVMUX_SC_INTERNAL) << 1));
	finish(r, &lost);
}

static int send_next(struct log_read *r)
{
	struct nvmux_ctrlr *ctrlr = r->ctrlr;
	uint32_t left = r->len - r->done, numd;
	uint64_t offset = r->opts.offset + (r->opts.offset_is_index ? 0 : r->done);
	struct nvmux_cmd cmd = {.opc = nvme_admin_get_log_page, .nsid = cpu_to_le32(r->nsid)};
	bool keep;

	r->piece = MIN(left, admin_piece(ctrlr));
	keep = (!r->opts.clear || r->piece < left) && ctrlr->vs >= CTRLR_VERSION(1, 3);
	numd = r->piece / 4 - 1;
	cmd.cdw10 = cpu_to_le32(numd << 16 | (keep ? RAE : 0) | (uint32_t)r->opts.lsp << 8 |
				r->lid);
	cmd.cdw11 = cpu_to_le32((uint32_t)r->opts.lsi << 16 | numd >> 16);
	cmd.cdw12 = cpu_to_le32((uint32_t)offset);
	cmd.cdw13 = cpu_to_le32((uint32_t)(offset >> 32));
	cmd.cdw14 = cpu_to_le32((uint32_t)r->opts.csi << 24 | (r->opts.offset_is_index ? OT : 0) |
				(r->opts.uuid_index & 0x7fu));
	return nvmux_ctrlr_admin(ctrlr, &cmd, r->buf + r->done, r->piece, answered, r);
}

static int check(const struct nvmux_ctrlr *ctrlr, const void *buf, uint32_t len,
		 const struct nvmux_log_opts *opts)
{
	bool several = len > admin_piece(ctrlr);

	if (!len || len % 4 || !buf)
		return nvmux_error(ctrlr->nvmux, -EINVAL,
				   "len is %u; a log page's is a multiple of 4 and not 0", len);
	if (opts->lsp > LSP_MAX)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "lsp is %u; it must be 0 to %u",
				   opts->lsp, LSP_MAX);
	if (opts->uuid_index > 0x7f)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "uuid_index is %u; it must be 0 to 127",
				   opts->uuid_index);
	if (!opts->offset_is_index &&
	    (opts->offset % 4 || opts->offset > UINT64_MAX - len))
		return nvmux_error(ctrlr->nvmux, -EINVAL,
				   "offset is %llu; it must be a multiple of 4",
				   (unsigned long long)opts->offset);
	if (opts->offset_is_index && several)
		return nvmux_error(ctrlr->nvmux, -EINVAL,
				   "len is %u; from an index on at most %u bytes are possible", len,
				   admin_piece(ctrlr));
	if (!(ctrlr->id.lpa & LPA_EXTENDED) && (opts->offset || several || len > PLAIN_MAX))
		return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
				   "%s: the controller reads log pages from their start and up to "
				   "%u bytes only (LPA bit 2)",
				   ctrlr->trid.traddr, MIN(PLAIN_MAX, admin_piece(ctrlr)));
	return 0;
}

int nvmux_ctrlr_cmd_get_log_page(struct nvmux_ctrlr *ctrlr, uint8_t lid, uint32_t nsid, void *buf,
				 uint32_t len, const struct nvmux_log_opts *opts, nvmux_cmd_cb cb,
				 void *arg)
{
	struct nvmux_log_opts taken = {0};
	struct log_read *r;
	int err;

	if (opts && (opts->size < sizeof(opts->size) || opts->size > 4096))
		return nvmux_error(ctrlr->nvmux, -EINVAL, "size of the log options is %zu",
				   opts->size);
	if (opts)
		memcpy(&taken, opts, MIN(opts->size, sizeof(taken)));
	err = check(ctrlr, buf, len, &taken);
	if (err)
		return err;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct log_read){
		.ctrlr = ctrlr,
		.lid = lid,
		.nsid = nsid,
		.opts = taken,
		.buf = buf,
		.len = len,
		.cb = cb,
		.arg = arg,
	};
	err = send_next(r);
	if (err)
		free(r);
	return err;
}
