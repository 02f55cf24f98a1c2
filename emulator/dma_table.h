/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory that a vfio-user client lets the device reach. */
#ifndef NVMUX_EMU_DMA_TABLE_H
#define NVMUX_EMU_DMA_TABLE_H

#include "emulator/model.h"

struct dma_entry {
	uint64_t iova;
	uint64_t size;
	uint8_t *host; /* NULL: the client gave no descriptor, it can't be reached */
	void *map;     /* what munmap() takes: whole pages of the file */
	size_t map_size;
	bool readable;
	bool writable;
};

/* Sorted by address; ranges don't overlap. */
struct dma_table {
	struct dma_entry *entries;
	uint32_t n;
	uint32_t capacity;
};

/*
 * Map a range, which needs @fd if the device is to reach it (-1: none; it stays the caller's).
 * -EINVAL (no such range, or beyond the file), -EEXIST (overlaps), -ENOSPC (too many), or what
 * mmap() failed with.
 */
int dma_table_map(struct dma_table *table, uint64_t iova, uint64_t size, bool readable,
		  bool writable, int fd, uint64_t offset);
/* The entry that is exactly this range, or NULL. */
struct dma_entry *dma_table_find_exact(struct dma_table *table, uint64_t iova, uint64_t size);
/* Take an entry out of the table; the memory stays mapped in *ret until dma_entry_release(). */
void dma_table_remove(struct dma_table *table, struct dma_entry *entry, struct dma_entry *ret);
void dma_entry_release(struct dma_entry *entry);
/* The entry of an address, or NULL. */
const struct dma_entry *dma_table_find(const struct dma_table *table, uint64_t iova);
/* The entry whose memory in this process @addr lies in, or NULL. Async-signal-safe. */
const struct dma_entry *dma_table_find_host(const struct dma_table *table, const void *addr);
void dma_table_clear(struct dma_table *table);

#endif
