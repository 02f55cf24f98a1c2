/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the data of an I/O is: in one piece, in an array of pieces, or in pieces that the caller's
 * functions tell; and how the next command's share of it is described.
 */
#ifndef NVMUX_PAYLOAD_H
#define NVMUX_PAYLOAD_H

#include <errno.h>

#include "core.h"

enum payload_kind {
	PAYLOAD_NONE, /* the command moves no data */
	PAYLOAD_ONE,
	PAYLOAD_IOV,
	PAYLOAD_CALLS,
};

/* The place in a payload from which on nothing has been sent yet. */
struct payload_cursor {
	enum payload_kind kind;
	uint32_t iovcnt; /* at iov and behind it */
	union {
		const uint8_t *addr; /* ONE */
		struct {             /* IOV */
			const struct iovec *iov;
			size_t skip; /* bytes of the first one that are behind us */
		};
		struct { /* CALLS */
			nvmux_reset_sgl_cb reset;
			nvmux_next_sge_cb next;
			void *arg;
			uint32_t offset;
		};
	};
};

/* The share of one command. */
struct payload_pieces {
	uint32_t n;
	uint32_t len; /* the sum */
	struct nvmux_seg segs[NVMUX_SEGS_MAX];
};

/* The region that @len bytes at @buf lie in, if the controller can reach it. */
static inline int payload_find_seg(const struct nvmux_ctrlr *ctrlr, const void *buf, uint64_t len,
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

/*
 * Describe the next @len bytes, or, where their pieces can't all be described in one command, the
 * most that can be and is a multiple of @unit; and go behind them.
 * 0; -EINVAL: not even one unit can be described, the pieces are too short or unaligned; -EFAULT:
 * not in I/O memory. Then the cursor hasn't moved.
 */
int payload_take(const struct nvmux_ctrlr *ctrlr, struct payload_cursor *cursor, uint32_t len,
		 uint32_t unit, struct payload_pieces *ret);

#endif
