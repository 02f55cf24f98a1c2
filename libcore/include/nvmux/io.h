/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O commands.
 *
 * All of them: thread of the queue pair; never block, allocate or copy data. @buf must lie in a
 * region of I/O memory that the controller can reach (nvmux_mem_alloc()) and be a multiple of 4;
 * it stays the library's until the callback. What exceeds the controller's transfer limit or
 * crosses the namespace's optimal I/O boundary is split, and completes once, with the first error.
 *
 * They return 0 when the callback will be called exactly once, else nothing was sent:
 * -EINVAL (count of 0, unaligned buffer, range beyond the namespace), -EFAULT (@buf not in I/O
 * memory), -EAGAIN (queue full: process completions first), -ENXIO (queue pair or controller
 * failed).
 */
#ifndef NVMUX_IO_H
#define NVMUX_IO_H

#include <nvmux/ns.h>
#include <nvmux/qpair.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of read and write, as bits 31:16 of command dword 12. NVM command set 1.0, section 3.2. */
enum nvmux_io_flags {
	NVMUX_IO_FORCE_UNIT_ACCESS = 1 << 30,
	NVMUX_IO_LIMITED_RETRY = (int)(1u << 31),
};

/**
 * nvmux_ns_cmd_read() - read logical blocks. NVM command set 1.0, section 3.2.4.
 * @buf: receives @lba_count blocks.
 * @lba: first logical block.
 * @lba_count: number of blocks, at least 1.
 * @flags: enum nvmux_io_flags.
 */
NVMUX_API int nvmux_ns_cmd_read(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
				uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb,
				void *arg);

/** nvmux_ns_cmd_write() - write logical blocks. NVM command set 1.0, section 3.2.6. */
NVMUX_API int nvmux_ns_cmd_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
				 uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb,
				 void *arg);

/** nvmux_ns_cmd_flush() - make completed writes durable. Base specification 2.0, section 7.1. */
NVMUX_API int nvmux_ns_cmd_flush(struct nvmux_ns *ns, struct nvmux_qpair *qpair, nvmux_cmd_cb cb,
				 void *arg);

/**
 * nvmux_ctrlr_cmd_io_raw() - send any I/O command; never split.
 * @cmd: opcode, NSID and command dwords; copied during the call.
 * @buf: data in I/O memory, or NULL.
 * @len: bytes at @buf: what the command moves, at most the transfer limit.
 */
NVMUX_API int nvmux_ctrlr_cmd_io_raw(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
				     const struct nvmux_cmd *cmd, void *buf, uint32_t len,
				     nvmux_cmd_cb cb, void *arg);

#ifdef __cplusplus
}
#endif
#endif
