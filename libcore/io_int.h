/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O commands inside libcore.
 *
 * Reads and writes of plain namespaces in one piece have their own short way in io.c. Everything
 * else that names blocks is a struct nvmux_io: it becomes one command if that can describe it,
 * else the parent of several (split.c).
 */
#ifndef NVMUX_IO_INT_H
#define NVMUX_IO_INT_H

#include "payload.h"
#include "transport.h"

/* What is left of an I/O: a command that names blocks, or several in their order. */
struct nvmux_io {
	struct nvmux_ns *ns;
	struct payload_cursor data;
	struct nvmux_seg md; /* mem NULL: none */
	uint64_t lba;
	uint32_t left;      /* blocks */
	uint32_t block_len; /* bytes of a block at data */
	uint32_t limit;     /* blocks of one command without data */
	uint32_t cdw12;     /* without the number of blocks */
	uint32_t cdw13;
	uint32_t cdw15;
	uint64_t reftag; /* with protection information of type 3 */
	uint8_t opc;
	uint8_t fuse;
	bool whole; /* never split */

	/* the format that it has been checked with */
	uint8_t lba_shift;
	bool md_interleaved;
	uint16_t md_size;
};

/* One command, ready for submit(). */
struct io_cmd {
	struct nvmux_cmd cmd;
	struct nvmux_payload payload;
	struct payload_pieces pieces;
};

/* Whether the queue pair takes a command of this controller now; @fuse: enum nvmux_io_flags. */
int io_check(const struct nvmux_qpair *qpair, const struct nvmux_ctrlr *ctrlr, uint32_t fuse,
	     nvmux_cmd_cb cb);
/* Whether Identify Controller offers an optional command: NVME_CTRL_ONCS_. */
int io_check_oncs(const struct nvmux_ctrlr *ctrlr, uint16_t bit);
/* Why blocks that aren't there are refused: -EINVAL, or -ESTALE: the namespace is formatted
 * otherwise, and nobody has taken that over (ns.c). */
int io_range_error(const struct nvmux_ns *ns);
/* Hand a command that has been checked to the transport. */
int io_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
	      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg);
/* A command with @len bytes at @buf, or none; all of it has been checked but the memory. */
int io_submit_buf(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd, const void *buf,
		  uint32_t len, nvmux_cmd_cb cb, void *arg);

/*
 * Check range and metadata and complete what the caller has filled in: ns, opc, data, lba, left,
 * whole, bits of cdw12. @ext is of full size.
 */
int io_prepare(struct nvmux_io *io, const struct nvmux_io_ext *ext);
/* Describe the next command of @io and go behind it. @io may be damaged by an error. */
int io_next(struct nvmux_io *io, struct io_cmd *ret);
/* Check, prepare and send, as one or as several. @ext may be NULL. */
int io_run(struct nvmux_qpair *qpair, struct nvmux_io *io, const struct nvmux_io_ext *ext,
	   nvmux_cmd_cb cb, void *arg);

/* Command dword 10 and 11: a block's number. */
static inline void io_set_lba(struct nvmux_cmd *cmd, uint64_t lba)
{
	cmd->cdw10 = cpu_to_le32((uint32_t)lba);
	cmd->cdw11 = cpu_to_le32((uint32_t)(lba >> 32));
}

/* ---- staging.c ---- */

/*
 * Memory of a queue pair for small structures that commands carry: NVMUX_QPAIR_STAGED pages in one
 * region, which is made and mapped when the queue pair is made, and gone with it. A queue pair
 * works without it (the client of a daemon may have used up its limits); then those commands are
 * refused with -ENOMEM.
 */
struct nvmux_staged;

/* Make it, if the controller's memory allows; value of @done: the struct nvmux_staged * or 0. */
void staging_make(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
/* Free it; no command that uses it is with the device. NULL is allowed. */
void staging_free(struct nvmux_staged *staged, nvmux_done_fn done, void *arg);
/* Give it to a queue pair that has been made. */
void staging_attach(struct nvmux_qpair *qpair, struct nvmux_staged *staged);
/* Send a command with a copy of @len bytes at @data, at most a page. -EAGAIN: all are in use. */
int staging_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd, const void *data,
		   uint32_t len, nvmux_cmd_cb cb, void *arg);
/* What a slot has for such a command: what its submitter gave. False: it isn't one. */
bool staging_unwrap(nvmux_cmd_cb *cb, void **arg);

#endif
