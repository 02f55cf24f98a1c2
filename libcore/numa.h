/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NUMA: which node something is on, and memory there.
 *
 * A node is a number from 0 on, or -1: unknown, or the machine has none. Placement is best effort:
 * without libnuma, where the kernel knows no nodes, where a container forbids it, or when the node
 * has no memory left, memory comes from wherever it would have come from.
 */
#ifndef NVMUX_NUMA_H
#define NVMUX_NUMA_H

#include <stddef.h>
#include <stdint.h>

struct nvmux_ctrlr;
struct nvmux_mem;

/* The node in a device's attribute numa_node of sysfs. */
int nvmux_numa_of_attribute(const char *path);
/* The node of a processor; @sysfs: where sysfs is mounted. */
int nvmux_numa_of_core(const char *sysfs, int core);
/* Take the pages of this mapping, which nobody has touched yet, from a node. Of shared memory it
 * goes for whoever touches them first, in whatever process; but for huge pages only in this one. */
void nvmux_numa_prefer(void *addr, size_t size, int node);

/* nvmux_mem_create(), on the node of the controller. */
int nvmux_mem_create_for(struct nvmux_ctrlr *ctrlr, size_t size, uint32_t flags,
			 struct nvmux_mem **ret);

#endif
