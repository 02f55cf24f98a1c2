// SPDX-License-Identifier: BSD-3-Clause
/*
 * The pieces of a payload, see payload.h.
 *
 * Pieces that touch each other in memory count as one. Where the device takes PRPs, one command
 * has no gap inside a page: all pieces but the last end, and all but the first start, at a page
 * boundary (base specification 2.0, section 4.1.1). Regions start at page boundaries of the
 * device's address space, so that offsets in a region tell.
 */
#include "payload.h"

/* One pass over pieces, on a copy of the cursor. */
struct walk {
	struct payload_cursor at;
	uint8_t *addr; /* CALLS: the piece that the caller told last, */
	uint32_t len;  /* and what is left of it */
};

static void walk_start(struct walk *walk, const struct payload_cursor *cursor)
{
	walk->at = *cursor;
	walk->len = 0;
	if (cursor->kind == PAYLOAD_CALLS)
		cursor->reset(cursor->arg, cursor->offset);
}

/* The next piece, at most @max bytes of it. */
static int walk_peek(struct walk *walk, uint32_t max, const void **ret_addr, uint32_t *ret_len)
{
	struct payload_cursor *at = &walk->at;

	if (at->kind == PAYLOAD_CALLS) {
		void *addr = NULL;

		/* An empty piece is refused: there could be no end of them. */
		if (!walk->len) {
			if (at->next(at->arg, &addr, &walk->len) || !walk->len)
				return -EINVAL;
			walk->addr = addr;
		}
		*ret_addr = walk->addr;
		*ret_len = MIN(walk->len, max);
		return 0;
	}
	while (at->iovcnt && at->skip == at->iov->iov_len) {
		at->iov++;
		at->iovcnt--;
		at->skip = 0;
	}
	if (!at->iovcnt)
		return -EINVAL;
	*ret_addr = (const uint8_t *)at->iov->iov_base + at->skip;
	*ret_len = (uint32_t)MIN(at->iov->iov_len - at->skip, (size_t)max);
	return 0;
}

static void walk_skip(struct walk *walk, uint32_t len)
{
	if (walk->at.kind == PAYLOAD_CALLS) {
		walk->addr += len;
		walk->len -= len;
		walk->at.offset += len;
	} else {
		walk->at.skip += len;
	}
}

/* False: not in the same command. */
static bool join(const struct nvmux_ctrlr *ctrlr, struct payload_pieces *pieces,
		 const struct nvmux_seg *seg)
{
	struct nvmux_seg *last = pieces->n ? &pieces->segs[pieces->n - 1] : NULL;
	uint32_t max = MAX(1u, MIN(ctrlr->max_segs, (uint32_t)NVMUX_SEGS_MAX));

	if (last && last->mem == seg->mem && last->offset + last->len == seg->offset) {
		last->len += seg->len;
	} else {
		if (pieces->n == max)
			return false;
		if (last && !ctrlr->sgl &&
		    ((last->offset + last->len) | seg->offset) % NVMUX_PAGE_SIZE)
			return false;
		pieces->segs[pieces->n++] = *seg;
	}
	pieces->len += seg->len;
	return true;
}

/* As many pieces as fit. */
static int gather(const struct nvmux_ctrlr *ctrlr, struct walk *walk, uint32_t len,
		  struct payload_pieces *pieces)
{
	pieces->n = 0;
	pieces->len = 0;
	while (pieces->len < len) {
		struct nvmux_seg seg;
		const void *addr;
		uint32_t part;
		int err = walk_peek(walk, len - pieces->len, &addr, &part);

		if (!err && part & 3)
			err = -EINVAL;
		if (!err)
			err = payload_find_seg(ctrlr, addr, part, &seg);
		if (err)
			return err;
		if (!join(ctrlr, pieces, &seg))
			break;
		walk_skip(walk, part);
	}
	return 0;
}

/* Cut to @len bytes. */
static void trim(struct payload_pieces *pieces, uint32_t len)
{
	uint32_t over = pieces->len - len;

	while (over && pieces->segs[pieces->n - 1].len <= over)
		over -= pieces->segs[--pieces->n].len;
	if (over)
		pieces->segs[pieces->n - 1].len -= over;
	pieces->len = len;
}

/* Go @len bytes forward, over pieces that have been looked at. */
static void skip(struct payload_cursor *cursor, uint32_t len)
{
	if (cursor->kind == PAYLOAD_CALLS) {
		cursor->offset += len;
		return;
	}
	while (len) {
		uint32_t part = (uint32_t)MIN(cursor->iov->iov_len - cursor->skip, (size_t)len);

		cursor->skip += part;
		len -= part;
		if (cursor->skip == cursor->iov->iov_len) {
			cursor->iov++;
			cursor->iovcnt--;
			cursor->skip = 0;
		}
	}
}

int payload_take(const struct nvmux_ctrlr *ctrlr, struct payload_cursor *cursor, uint32_t len,
		 uint32_t unit, struct payload_pieces *ret)
{
	struct walk walk;
	int err;

	if (cursor->kind == PAYLOAD_ONE) {
		err = payload_find_seg(ctrlr, cursor->addr, len, &ret->segs[0]);
		if (err)
			return err;
		ret->n = 1;
		ret->len = len;
		cursor->addr += len;
		return 0;
	}
	walk_start(&walk, cursor);
	err = gather(ctrlr, &walk, len, ret);
	if (err)
		return err;
	if (ret->len == len) {
		*cursor = walk.at;
		return 0;
	}
	if (ret->len < unit)
		return -EINVAL;
	trim(ret, ret->len - ret->len % unit);
	skip(cursor, ret->len);
	return 0;
}
