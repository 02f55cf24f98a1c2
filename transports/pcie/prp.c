// SPDX-License-Identifier: BSD-3-Clause
/* PRP lists: commands of more than two pages, or of several segments; SGLs for the rest. */
#include "prp.h"

/* The entries as they are collected: the first goes to PRP1, the others into the list. */
struct prp_fill {
	const struct prp_list *list;
	uint64_t first;
	uint32_t n; /* in the list */
};

/* Entries for the pages that start in [@page, @end). False: the list is full. */
static bool prp_fill_pages(struct prp_fill *fill, uint64_t page, uint64_t end)
{
	uint64_t n;

	if (page >= end)
		return true;
	n = (end - page + NVMUX_PAGE_SIZE - 1) / NVMUX_PAGE_SIZE;
	if (n > PRP_LIST_ENTRIES - fill->n)
		return false;
	for (uint64_t i = 0; i < n; i++, page += NVMUX_PAGE_SIZE)
		fill->list->entries[fill->n++] = cpu_to_le64(page);
	return true;
}

static bool prp_fill_segs(struct prp_fill *fill, const struct nvmux_seg *segs, uint32_t n_segs)
{
	const uint64_t mask = NVMUX_PAGE_SIZE - 1;
	uint64_t end = 0;
	uint64_t total = 0;

	for (uint32_t i = 0; i < n_segs; i++) {
		uint64_t start = prp_seg_iova(&segs[i]);
		uint64_t page = start;

		total += segs[i].len;
		if (!segs[i].len || total > NVMUX_XFER_MAX)
			return false;
		if (i == 0) {
			if (start & PRP_ALIGN_MASK)
				return false;
			fill->first = start;
			page = (start | mask) + 1;
		} else if (start == end) {
			page = (start + mask) & ~mask; /* this page may have its entry already */
		} else if ((start | end) & mask) {
			return false;
		}
		end = start + segs[i].len;
		if (!prp_fill_pages(fill, page, end))
			return false;
	}
	return true;
}

uint64_t prp_rest(const struct prp_list *list, uint64_t page, uint32_t len)
{
	uint32_t n = (len + NVMUX_PAGE_SIZE - 1) / NVMUX_PAGE_SIZE;

	if (n == 1)
		return page;
	if (unlikely(n > PRP_LIST_ENTRIES))
		return 0;
	for (uint32_t i = 0; i < n; i++, page += NVMUX_PAGE_SIZE)
		list->entries[i] = cpu_to_le64(page);
	prp_list_trim(list, n);
	return list->iova;
}

int prp_build_list(const struct nvmux_seg *segs, uint32_t n_segs, const struct prp_list *list,
		   __le64 dptr[2])
{
	struct prp_fill fill = {.list = list};
	bool fits = prp_fill_segs(&fill, segs, n_segs);

	/* Also when it failed: what was written must be known to be used. */
	prp_list_trim(list, fill.n);
	if (!fits)
		return -EINVAL;
	dptr[0] = cpu_to_le64(fill.first);
	if (fill.n == 0)
		dptr[1] = (__le64)0;
	else if (fill.n == 1)
		dptr[1] = list->entries[0];
	else
		dptr[1] = cpu_to_le64(list->iova);
	return 0;
}

int prp_build_opaque(const struct nvmux_seg *segs, uint32_t n_segs, const struct prp_list *list,
		     __le64 dptr[2])
{
	int err = prp_build_list(segs, n_segs, list, dptr);

	if (err || !dptr[1])
		return err;
	if (dptr[1] != cpu_to_le64(list->iova))
		return -EINVAL;
	/* A device that moves less may take the list for a page of data: all of it is new then. */
	*list->used = PRP_LIST_ENTRIES;
	return 0;
}

/* ---- SGLs ---- */

enum sgl_type {
	SGL_DATA_BLOCK = 0,
	SGL_LAST_SEGMENT = 3,
};

static void sgl_describe(__le64 desc[2], enum sgl_type type, uint64_t iova, uint32_t len)
{
	desc[0] = cpu_to_le64(iova);
	desc[1] = cpu_to_le64((uint64_t)type << 60 | len);
}

int sgl_build(const struct nvmux_seg *segs, uint32_t n_segs, bool dword,
	      const struct prp_list *list, __le64 dptr[2])
{
	uint64_t total = 0;

	if (n_segs > NVMUX_SEGS_MAX)
		return -EINVAL;
	for (uint32_t i = 0; i < n_segs; i++) {
		total += segs[i].len;
		if (!segs[i].len || total > NVMUX_XFER_MAX ||
		    (dword && (prp_seg_iova(&segs[i]) | segs[i].len) & PRP_ALIGN_MASK))
			return -EINVAL;
	}
	if (n_segs == 1) {
		sgl_describe(dptr, SGL_DATA_BLOCK, prp_seg_iova(segs), segs->len);
		return 0;
	}
	for (uint32_t i = 0; i < n_segs; i++)
		sgl_describe(&list->entries[(size_t)2 * i], SGL_DATA_BLOCK, prp_seg_iova(&segs[i]),
			     segs[i].len);
	*list->used = (uint16_t)MAX(*list->used, 2 * n_segs);
	prp_list_trim(list, 2 * n_segs);
	sgl_describe(dptr, SGL_LAST_SEGMENT, list->iova, n_segs * 16);
	return 0;
}
