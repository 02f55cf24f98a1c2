// SPDX-License-Identifier: BSD-3-Clause
/*
 * Data pointers: Physical Region Pages, base specification 2.0, section 4.1.1. (SGLs: sgl.c.)
 *
 * PRP1 may begin anywhere in a page. What doesn't fit into that page is in the page of PRP2, or,
 * if it is more than one page, in those of the PRP list at PRP2. A list ends with its page; its
 * last entry is then the address of the next one. Every list yields at least one data page, but
 * for a first one of a single entry, so the walk ends after as many steps as there are pages.
 *
 * Lists are in memory that the other side may change meanwhile: each entry is loaded once. Pages
 * that are neighbours in this process are moved in one go.
 */
#include <string.h>
#include "emulator/internal.h"

#define PAGE_MASK (EMU_PAGE_SIZE - 1)

/* A stretch of the host's memory, to be moved when its end is known. */
struct run {
	uint8_t *host;
	uint64_t len;
	uint8_t *media;
};

__attribute__((noinline)) static bool refill(struct emu_sq *sq, struct emu_dma *m, uint64_t iova)
{
	const struct emu_carrier *carrier = &sq->ctrlr->carrier;

	if (carrier->dma(carrier->arg, iova, m) && iova - m->iova < m->size)
		return true;
	m->size = 0;
	return false;
}

/* Host address of @len bytes at @iova, which don't cross a page; NULL: not mapped like that. */
static inline uint8_t *translate(struct emu_sq *sq, enum emu_cache cache, uint64_t iova,
				 uint64_t len, bool write)
{
	struct emu_dma *m = &sq->dma[cache];
	uint64_t off = iova - m->iova;

	if (unlikely(off >= m->size)) {
		if (!refill(sq, m, iova))
			return NULL;
		off = iova - m->iova;
	}
	if (unlikely(m->size - off < len || !(write ? m->writable : m->readable)))
		return NULL;
	return m->host + off;
}

/* False: compared and different. */
static inline bool move(const struct run *run, enum emu_xfer xfer)
{
	switch (xfer) {
	case EMU_XFER_TO_HOST: memcpy(run->host, run->media, run->len); return true;
	case EMU_XFER_FROM_HOST: memcpy(run->media, run->host, run->len); return true;
	case EMU_XFER_COMPARE: return memcmp(run->media, run->host, run->len) == 0;
	default: return true;
	}
}

static inline uint16_t add_page(struct emu_sq *sq, struct run *run, uint64_t iova, uint64_t len,
				enum emu_xfer xfer)
{
	bool write = xfer == EMU_XFER_TO_HOST || xfer == EMU_XFER_CHECK_IN;
	uint8_t *host;

	if (unlikely(iova & PAGE_MASK))
		return EMU_GENERIC(PRP_INVALID_OFFSET);
	host = translate(sq, EMU_CACHE_DATA, iova, len, write);
	if (unlikely(!host))
		return EMU_XFER_ERROR;
	if (xfer == EMU_XFER_CHECK_IN || xfer == EMU_XFER_CHECK_OUT)
		return EMU_SUCCESS;
	if (host != run->host + run->len) {
		if (!move(run, xfer))
			return EMU_MEDIA(COMPARE_FAILED);
		run->media += run->len;
		run->host = host;
		run->len = 0;
	}
	run->len += len;
	return EMU_SUCCESS;
}

/* The entries of a page of a list from @iova on; NULL: not there. */
static inline const uint64_t *list_page(struct emu_sq *sq, uint64_t iova, uint32_t *ret_n)
{
	uint32_t n = (uint32_t)((EMU_PAGE_SIZE - (iova & PAGE_MASK)) / 8);

	*ret_n = n;
	return (const uint64_t *)(const void *)translate(sq, EMU_CACHE_LIST, iova, n * 8, false);
}

static inline uint64_t load_entry(const uint64_t *entry)
{
	return le64toh(__atomic_load_n(entry, __ATOMIC_RELAXED));
}

/* @left: more than a page. */
static inline uint16_t walk_list(struct emu_sq *sq, struct run *run, uint64_t list, uint64_t left,
				 enum emu_xfer xfer)
{
	const uint64_t *entries;
	uint32_t n, i = 0;
	uint64_t entry;
	uint16_t status;

	if (unlikely(list & 7))
		return EMU_GENERIC(PRP_INVALID_OFFSET);
	entries = list_page(sq, list, &n);
	if (unlikely(!entries))
		return EMU_XFER_ERROR;
	while (left > 0) {
		uint64_t len = MIN(left, EMU_PAGE_SIZE);

		entry = load_entry(&entries[i]);
		if (unlikely(i == n - 1 && left > EMU_PAGE_SIZE)) {
			if (entry & PAGE_MASK)
				return EMU_GENERIC(PRP_INVALID_OFFSET);
			entries = list_page(sq, entry, &n);
			if (!entries)
				return EMU_XFER_ERROR;
			i = 0;
			continue;
		}
		status = add_page(sq, run, entry, len, xfer);
		if (unlikely(status))
			return status;
		left -= len;
		i++;
	}
	return EMU_SUCCESS;
}

/* One copy for each kind of transfer. */
__attribute__((always_inline)) static inline uint16_t walk(struct emu_sq *sq,
							   const struct nvmux_cmd *cmd,
							   enum emu_xfer xfer, uint8_t *media,
							   uint64_t len)
{
	bool write = xfer == EMU_XFER_TO_HOST || xfer == EMU_XFER_CHECK_IN;
	uint64_t prp1 = le64_to_cpu(cmd->dptr[0]);
	uint64_t prp2 = le64_to_cpu(cmd->dptr[1]);
	uint64_t first = MIN(len, EMU_PAGE_SIZE - (prp1 & PAGE_MASK));
	struct run run = {.media = media, .len = first};
	uint16_t status = EMU_SUCCESS;

	if (unlikely(prp1 & 3))
		return EMU_GENERIC(PRP_INVALID_OFFSET);
	run.host = translate(sq, EMU_CACHE_DATA, prp1, first, write);
	if (unlikely(!run.host))
		return EMU_XFER_ERROR;
	len -= first;
	if (len > EMU_PAGE_SIZE)
		status = walk_list(sq, &run, prp2, len, xfer);
	else if (len > 0)
		status = add_page(sq, &run, prp2, len, xfer);
	if (likely(!status) && unlikely(!move(&run, xfer)))
		status = EMU_MEDIA(COMPARE_FAILED);
	return status;
}

uint8_t *emu_translate(struct emu_sq *sq, enum emu_cache cache, uint64_t iova, uint64_t len,
		       bool write, uint64_t *ret_len)
{
	uint8_t *host = translate(sq, cache, iova, 1, write);
	const struct emu_dma *m = &sq->dma[cache];

	*ret_len = host ? MIN(len, m->size - (iova - m->iova)) : 0;
	return host;
}

uint16_t emu_xfer(struct emu_sq *sq, const struct nvmux_cmd *cmd, enum emu_xfer xfer,
		  uint8_t *media, uint64_t len)
{
	if (unlikely(cmd->flags & EMU_CMD_PSDT))
		return emu_sgl_xfer(sq, cmd, xfer, media, len);
	switch (xfer) {
	case EMU_XFER_TO_HOST: return walk(sq, cmd, EMU_XFER_TO_HOST, media, len);
	case EMU_XFER_FROM_HOST: return walk(sq, cmd, EMU_XFER_FROM_HOST, media, len);
	case EMU_XFER_COMPARE: return walk(sq, cmd, EMU_XFER_COMPARE, media, len);
	case EMU_XFER_CHECK_IN: return walk(sq, cmd, EMU_XFER_CHECK_IN, NULL, len);
	case EMU_XFER_CHECK_OUT: return walk(sq, cmd, EMU_XFER_CHECK_OUT, NULL, len);
	}
	return EMU_GENERIC(INTERNAL);
}
