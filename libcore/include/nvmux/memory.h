/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O memory: regions that controllers can reach by DMA. */
#ifndef NVMUX_MEMORY_H
#define NVMUX_MEMORY_H

#include <nvmux/ctrlr.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvmux_mem;

enum nvmux_mem_flags {
	NVMUX_MEM_HUGE = 1 << 0, /* pages of 2 MiB; fails when the system has none free */
};

/**
 * nvmux_mem_alloc() - make a region of I/O memory that a controller can reach.
 * @ctrlr: the first controller it is mapped for. Through the daemon, the daemon makes the region,
 *	within the client's limits, and shares it.
 * @size: bytes; rounded up to whole pages. At least 1.
 * @flags: enum nvmux_mem_flags.
 * @ret: the region, owned by the caller; ends with nvmux_mem_free().
 *
 * The memory is zeroed, shared (a sealed memfd), and aligned to 2 MiB.
 *
 * Return: 0, -EINVAL, -ENOMEM (memory, address window or locked-memory limit), -EDQUOT (the
 * client's limit in the daemon), -ERANGE (outside what the controller's IOMMU can map), …
 */
NVMUX_API int nvmux_mem_alloc(struct nvmux_ctrlr *ctrlr, size_t size, uint32_t flags,
			      struct nvmux_mem **ret);

/**
 * nvmux_mem_map() - make an existing region reachable by another controller of the context.
 *
 * Return: 0 (also when it already is), -EXDEV when the two don't share memory: a region made by a
 * daemon for a controller of another daemon, or one made locally for a daemon's controller.
 */
NVMUX_API int nvmux_mem_map(struct nvmux_mem *mem, struct nvmux_ctrlr *ctrlr);

/**
 * nvmux_mem_free() - unmap a region from all controllers and free it.
 *
 * Every command that uses it must have completed; through the daemon, which checks, the call waits
 * for those in flight. NULL is allowed.
 */
NVMUX_API void nvmux_mem_free(struct nvmux_mem *mem);

/** nvmux_mem_addr() - where the region starts in this process. Thread: any. */
NVMUX_API void *nvmux_mem_addr(const struct nvmux_mem *mem);

/** nvmux_mem_size() - its size in bytes, whole pages. Thread: any. */
NVMUX_API size_t nvmux_mem_size(const struct nvmux_mem *mem);

/** nvmux_mem_fd() - its memfd, which stays the library's. Thread: any. */
NVMUX_API int nvmux_mem_fd(const struct nvmux_mem *mem);

#ifdef __cplusplus
}
#endif
#endif
