/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data pointers of a command as physical region pages.
 *
 * Base specification 2.0, section 4.1.1: PRP1 may start anywhere in a page, all that follows starts
 * and, but for the last piece, ends at a page's boundary. IOVAs are contiguous inside a region, so
 * everything is arithmetic; pieces that continue each other are one.
 */
#ifndef NVMUX_PCIE_PRP_H
#define NVMUX_PCIE_PRP_H

#include <errno.h>
#include <string.h>
#include "libcore/core.h"

#define PRP_LIST_ENTRIES (NVMUX_PAGE_SIZE / sizeof(__le64))
#define PRP_ALIGN_MASK   3u /* offsets are multiples of a dword */

/*
 * The page of PRP entries that belongs to one command identifier. Entries from @used on are 0, an
 * IOVA that is never mapped: a device that reads further than it should finds nothing.
 */
struct prp_list {
	__le64 *entries;
	uint64_t iova;
	uint16_t *used;
};

static inline uint64_t prp_seg_iova(const struct nvmux_seg *seg)
{
	return seg->mem->iova + seg->offset;
}

/* Clear what an earlier, longer list left behind. */
static inline void prp_list_trim(const struct prp_list *list, uint32_t n)
{
	if (*list->used > n)
		memset(&list->entries[n], 0, (*list->used - n) * sizeof(__le64));
	*list->used = (uint16_t)n;
}

/*
 * PRP2 of a command whose data lies in one piece and goes on for @len bytes, at least 1, from @page
 * on, at most NVMUX_XFER_MAX. 0, where nothing is, for more: somebody has sent I/O while another
 * format was taken over, and mixed the two.
 */
uint64_t prp_rest(const struct prp_list *list, uint64_t page, uint32_t len);

/* As prp_build(), for all of them. */
int prp_build_list(const struct nvmux_seg *segs, uint32_t n_segs, const struct prp_list *list,
		   __le64 dptr[2]);

/*
 * As prp_build_list(), for a command of which nobody knows how much the device moves: it finds no
 * memory behind @segs. -EINVAL also for exactly two pages: a device that moves more would take the
 * second one for a list.
 */
int prp_build_opaque(const struct nvmux_seg *segs, uint32_t n_segs, const struct prp_list *list,
		     __le64 dptr[2]);

#define SGL_SUPPORT_MASK  3u   /* of SGLS */
#define SGL_SUPPORT_DWORD 2u   /* addresses and lengths are multiples of a dword */
#define PSDT_SGL          0x40 /* in the flags of a command: SGLs, metadata in one piece */

/*
 * Set @dptr to one SGL descriptor for @segs; @list has the others. @dword: as SGLS wants it. 0, or
 * -EINVAL: too many, empty, or not aligned. Base specification 2.0, section 4.1.2.
 */
int sgl_build(const struct nvmux_seg *segs, uint32_t n_segs, bool dword,
	      const struct prp_list *list, __le64 dptr[2]);

/* The same for one segment of at most two pages, the usual. False: it isn't that. */
static inline bool prp_build_short(const struct nvmux_seg *segs, uint32_t n_segs, __le64 dptr[2])
{
	uint64_t start = prp_seg_iova(&segs[0]);
	uint32_t offset = (uint32_t)start & (NVMUX_PAGE_SIZE - 1);
	uint32_t len = segs[0].len;

	if (unlikely(n_segs != 1 || len > 2 * NVMUX_PAGE_SIZE - offset || !len ||
		     start & PRP_ALIGN_MASK))
		return false;
	dptr[0] = cpu_to_le64(start);
	dptr[1] = len > NVMUX_PAGE_SIZE - offset ? cpu_to_le64(start - offset + NVMUX_PAGE_SIZE)
						 : (__le64)0;
	return true;
}

/*
 * Set @dptr for @segs (at least one). @list is used when the data spans more than two pages.
 * 0, or -EINVAL when PRPs can't express it: a start that isn't a multiple of 4, a gap inside a
 * page, an empty segment, more than NVMUX_XFER_MAX. @dptr is then undefined.
 */
static inline int prp_build(const struct nvmux_seg *segs, uint32_t n_segs,
			    const struct prp_list *list, __le64 dptr[2])
{
	return likely(prp_build_short(segs, n_segs, dptr))
		       ? 0
		       : prp_build_list(segs, n_segs, list, dptr);
}

#endif
