// SPDX-License-Identifier: BSD-3-Clause
/* The memory that a vfio-user client lets the device reach: a sorted table, searched by halves. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "emulator/dma_table.h"
#include "emulator/vfio_user.h"
#include "libcore/util.h"

#define PAGE 4096u

/* Index of the first entry that ends above @iova. */
static uint32_t lower_bound(const struct dma_table *table, uint64_t iova)
{
	uint32_t lo = 0, hi = table->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct dma_entry *e = &table->entries[mid];

		if (e->iova + (e->size - 1) < iova)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct dma_entry *dma_table_find(const struct dma_table *table, uint64_t iova)
{
	uint32_t i = lower_bound(table, iova);

	return i < table->n && table->entries[i].iova <= iova ? &table->entries[i] : NULL;
}

struct dma_entry *dma_table_find_exact(struct dma_table *table, uint64_t iova, uint64_t size)
{
	uint32_t i = lower_bound(table, iova);

	if (i < table->n && table->entries[i].iova == iova && table->entries[i].size == size)
		return &table->entries[i];
	return NULL;
}

const struct dma_entry *dma_table_find_host(const struct dma_table *table, const void *addr)
{
	for (uint32_t i = 0; i < table->n; i++) {
		const struct dma_entry *e = &table->entries[i];

		if (e->map && (uintptr_t)addr - (uintptr_t)e->map < e->map_size)
			return e;
	}
	return NULL;
}

static int make_room(struct dma_table *table)
{
	uint32_t capacity = MAX(16u, table->capacity * 2);
	struct dma_entry *entries;

	if (table->n == VUS_DMA_MAPS)
		return -ENOSPC;
	if (table->n < table->capacity)
		return 0;
	entries = realloc(table->entries, capacity * sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	table->entries = entries;
	table->capacity = capacity;
	return 0;
}

static int map_file(struct dma_entry *e, int fd, uint64_t offset)
{
	int prot = (e->readable ? PROT_READ : 0) | (e->writable ? PROT_WRITE : 0);
	uint64_t start, align;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* Memory that can't go away under us, if the client is honest: no pipe, no device. */
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < offset ||
	    (uint64_t)st.st_size - offset < e->size)
		return -EINVAL;
	/* Huge pages are mapped whole. */
	align = MAX((uint64_t)st.st_blksize, PAGE);
	if (align & (align - 1) || align > 1u << 30)
		align = PAGE;
	start = offset & ~(align - 1);
	e->map_size = align_up(offset + e->size - start, align);
	e->map = mmap(NULL, e->map_size, prot, MAP_SHARED, fd, (off_t)start);
	if (e->map == MAP_FAILED) {
		e->map = NULL;
		return -errno;
	}
	/* Not in a core dump, not in a child. */
	madvise(e->map, e->map_size, MADV_DONTDUMP);
	madvise(e->map, e->map_size, MADV_DONTFORK);
	e->host = (uint8_t *)e->map + (offset - start);
	return 0;
}

int dma_table_map(struct dma_table *table, uint64_t iova, uint64_t size, bool readable,
		  bool writable, int fd, uint64_t offset)
{
	struct dma_entry e = {
		.iova = iova, .size = size, .readable = readable, .writable = writable};
	uint32_t i;
	int err;

	if (size == 0 || (iova | size | offset) % PAGE != 0 || iova + (size - 1) < iova ||
	    offset + size < offset || offset + size > INT64_MAX)
		return -EINVAL;
	i = lower_bound(table, iova);
	if (i < table->n && table->entries[i].iova <= iova + (size - 1))
		return -EEXIST;
	err = make_room(table);
	if (!err && fd >= 0)
		err = map_file(&e, fd, offset);
	if (err)
		return err;
	memmove(&table->entries[i + 1], &table->entries[i],
		(table->n - i) * sizeof(table->entries[0]));
	table->entries[i] = e;
	table->n++;
	return 0;
}

void dma_table_remove(struct dma_table *table, struct dma_entry *entry, struct dma_entry *ret)
{
	uint32_t i = (uint32_t)(entry - table->entries);

	*ret = *entry;
	table->n--;
	memmove(&table->entries[i], &table->entries[i + 1],
		(table->n - i) * sizeof(table->entries[0]));
}

void dma_entry_release(struct dma_entry *entry)
{
	if (entry->map)
		munmap(entry->map, entry->map_size);
	entry->map = NULL;
}

void dma_table_clear(struct dma_table *table)
{
	for (uint32_t i = 0; i < table->n; i++)
		dma_entry_release(&table->entries[i]);
	free(table->entries);
	*table = (struct dma_table){0};
}
