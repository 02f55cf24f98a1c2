// SPDX-License-Identifier: BSD-3-Clause
/*
 * Regions of I/O memory.
 *
 * Each is a memfd, mapped at a slot (2 MiB) of the context's address window. The place in the
 * window also fixes the IOVA, the same for every controller, so that translating an address is one
 * subtraction, and finding its region one table look-up. Slots are found first-fit; regions are
 * made rarely.
 *
 * Failure modes: out of memory or slots (-ENOMEM), out of huge pages (-ENOMEM), what the
 * transport's mapping fails with. A region is released only when no controller has it mapped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "numa.h"
#include "sync.h"
#include "transport.h"

#define SLOT_SIZE (1ull << NVMUX_SLOT_SHIFT)

static int find_slots(const struct nvmux *nvmux, uint32_t n, uint32_t *ret)
{
	uint32_t run = 0;

	for (uint32_t i = 0; i < nvmux->n_slots; i++) {
		run = nvmux->slot_mem[i] ? 0 : run + 1;
		if (run == n) {
			*ret = i + 1 - n;
			return 0;
		}
	}
	return -ENOMEM;
}

/* Map @fd into the window; owns it on success. */
static int place(struct nvmux *nvmux, int fd, size_t size, struct nvmux_mem **ret)
{
	uint32_t n = (uint32_t)(align_up(size, SLOT_SIZE) >> NVMUX_SLOT_SHIFT);
	struct nvmux_mem *mem;
	uint32_t slot;
	uint8_t *addr;

	if (find_slots(nvmux, n, &slot))
		return nvmux_error(
			nvmux, -ENOMEM,
			"no room for a region of %zu bytes in the address window of %llu", size,
			(unsigned long long)nvmux->window_size);
	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return -ENOMEM;
	addr = nvmux->window + ((uint64_t)slot << NVMUX_SLOT_SHIFT);
	if (mmap(addr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
		int err = -errno;

		free(mem);
		return nvmux_error(nvmux, err, "can't map a region of %zu bytes: %s", size,
				   strerror(-err));
	}
	mem->nvmux = nvmux;
	mem->addr = addr;
	mem->size = size;
	mem->iova = NVMUX_IOVA_BASE + ((uint64_t)slot << NVMUX_SLOT_SHIFT);
	mem->fd = fd;
	madvise(addr, size, MADV_DONTDUMP);
	madvise(addr, size, MADV_DONTFORK);
	for (uint32_t i = 0; i < n; i++)
		nvmux->slot_mem[slot + i] = mem;
	TAILQ_INSERT_TAIL(&nvmux->mems, mem, link);
	*ret = mem;
	return 0;
}

int nvmux_mem_create(struct nvmux *nvmux, size_t size, uint32_t flags, struct nvmux_mem **ret)
{
	bool huge = flags & NVMUX_MEM_HUGE;
	struct nvmux_mem *mem;
	int fd, err;

	if (!size || size > nvmux->window_size)
		return nvmux_error(nvmux, -EINVAL,
				   "size of a region is %zu; it must be 1 to %llu bytes", size,
				   (unsigned long long)nvmux->window_size);
	if (flags & ~(uint32_t)NVMUX_MEM_HUGE)
		return nvmux_error(nvmux, -EINVAL, "flags of a region are %#x; known: %#x", flags,
				   NVMUX_MEM_HUGE);
	size = align_up(size, huge ? SLOT_SIZE : NVMUX_PAGE_SIZE);
	fd = memfd_create("nvmux-region", MFD_CLOEXEC | MFD_ALLOW_SEALING |
						  (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0u));
	if (fd < 0)
		return nvmux_error(nvmux, -errno, "memfd_create: %s", strerror(errno));
	/* Sealed against resizing, so that nobody who shares it can take pages away. */
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		err = nvmux_error(nvmux, -errno, "can't make a region of %zu bytes: %s", size,
				  strerror(errno));
		goto fail;
	}
	err = place(nvmux, fd, size, &mem);
	if (err)
		goto fail;
	mem->flags = flags;
	*ret = mem;
	return 0;
fail:
	close(fd);
	return err;
}

int nvmux_mem_import(struct nvmux *nvmux, int fd, size_t size, uint16_t region,
		     const void *provider, struct nvmux_mem **ret)
{
	int err;

	if (!size || size % NVMUX_PAGE_SIZE || size > nvmux->window_size)
		return nvmux_error(nvmux, -EPROTO,
				   "region %u has %zu bytes; it must be whole pages, at most %llu",
				   region, size, (unsigned long long)nvmux->window_size);
	err = place(nvmux, fd, size, ret);
	if (err)
		return err;
	(*ret)->region = region;
	(*ret)->provider = provider;
	return 0;
}

void nvmux_mem_release(struct nvmux_mem *mem)
{
	struct nvmux *nvmux = mem->nvmux;
	uint32_t slot = (uint32_t)((mem->iova - NVMUX_IOVA_BASE) >> NVMUX_SLOT_SHIFT);
	uint32_t n = (uint32_t)(align_up(mem->size, SLOT_SIZE) >> NVMUX_SLOT_SHIFT);

	for (unsigned i = 0; i < NVMUX_CTRLRS_MAX; i++)
		NVMUX_ASSERT(!mem->maps[i].mapped);
	for (uint32_t i = 0; i < n; i++)
		nvmux->slot_mem[slot + i] = NULL;
	/* Back to reserved address space: nothing else may be mapped there. */
	mmap(mem->addr, mem->size, PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	close(mem->fd);
	TAILQ_REMOVE(&nvmux->mems, mem, link);
	free(mem);
}

void nvmux_mem_set_mapped(struct nvmux_mem *mem, uint16_t index, bool mapped)
{
	const struct nvmux_ctrlr *ctrlr = mem->nvmux->ctrlrs[index];
	uint64_t first = (mem->iova - NVMUX_IOVA_BASE) >> NVMUX_SLOT_SHIFT;

	__atomic_store_n(&mem->maps[index].mapped, mapped, __ATOMIC_RELAXED);
	if (!ctrlr)
		return;
	for (uint64_t done = 0; done < mem->size; done += SLOT_SIZE) {
		struct nvmux_reach *reach = &ctrlr->reach[first + (done >> NVMUX_SLOT_SHIFT)];

		reach->delta = mem->maps[index].base - (uintptr_t)mem->addr;
		reach->end = mapped ? (uintptr_t)mem->addr + mem->size : 0;
	}
}

void nvmux_mem_release_later(struct nvmux_mem *mem)
{
	for (unsigned i = 0; i < NVMUX_CTRLRS_MAX; i++)
		mem->orphan |= mem->maps[i].mapped;
	if (!mem->orphan)
		nvmux_mem_release(mem);
}

void nvmux_mem_forget_ctrlr(struct nvmux *nvmux, uint16_t index)
{
	struct nvmux_mem *mem, *next;

	for (mem = TAILQ_FIRST(&nvmux->mems); mem; mem = next) {
		next = TAILQ_NEXT(mem, link);
		nvmux_mem_set_mapped(mem, index, false);
		if (mem->orphan) {
			mem->orphan = false;
			nvmux_mem_release_later(mem);
		}
	}
}

/* What the wrappers of the two directions remember. */
struct map_op {
	struct nvmux_mem *mem;
	uint16_t index;
	bool mapped; /* what it is to become */
	nvmux_done_fn done;
	void *arg;
};

static void map_op_done(void *arg, int err, uint64_t value)
{
	struct map_op op = *(struct map_op *)arg;

	free(arg);
	if (!err)
		nvmux_mem_set_mapped(op.mem, op.index, op.mapped);
	op.done(op.arg, err, value);
}

/* Through the transport, unless it is so already. */
static void map_op_start(struct nvmux_mem *mem, struct nvmux_ctrlr *ctrlr, bool mapped,
			 nvmux_done_fn done, void *arg)
{
	struct map_op *op;

	if (mem->maps[ctrlr->index].mapped == mapped) {
		done(arg, 0, 0);
		return;
	}
	op = calloc(1, sizeof(*op));
	if (!op) {
		done(arg, -ENOMEM, 0);
		return;
	}
	*op = (struct map_op){
		.mem = mem, .index = ctrlr->index, .mapped = mapped, .done = done, .arg = arg};
	if (mapped)
		transport_mem_map(ctrlr, mem, map_op_done, op);
	else
		transport_mem_unmap(ctrlr, mem, map_op_done, op);
}

void nvmux_mem_map_async(struct nvmux_mem *mem, struct nvmux_ctrlr *ctrlr, nvmux_done_fn done,
			 void *arg)
{
	map_op_start(mem, ctrlr, true, done, arg);
}

void nvmux_mem_unmap_async(struct nvmux_mem *mem, struct nvmux_ctrlr *ctrlr, nvmux_done_fn done,
			   void *arg)
{
	map_op_start(mem, ctrlr, false, done, arg);
}

int nvmux_mem_alloc(struct nvmux_ctrlr *ctrlr, size_t size, uint32_t flags, struct nvmux_mem **ret)
{
	struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};
	struct nvmux_mem *mem;
	int err = nvmux_sync_check(ctrlr->nvmux);

	if (err)
		return err;
	if (ctrlr->failed)
		return nvmux_error(ctrlr->nvmux, nvmux_ctrlr_loss(ctrlr),
				   "the controller has failed");
	if (ctrlr->transport->mem_alloc) {
		ctrlr->transport->mem_alloc(ctrlr, size, flags, nvmux_sync_done, &sync);
		err = nvmux_sync_wait(&sync);
		if (!err)
			*ret = (struct nvmux_mem *)(uintptr_t)sync.value;
		return err;
	}
	err = nvmux_mem_create_for(ctrlr, size, flags, &mem);
	if (err)
		return err;
	err = nvmux_mem_map(mem, ctrlr);
	if (err) {
		nvmux_mem_release(mem);
		return err;
	}
	*ret = mem;
	return 0;
}

int nvmux_mem_map(struct nvmux_mem *mem, struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};
	int err = nvmux_sync_check(ctrlr->nvmux);

	if (err)
		return err;
	if (mem->nvmux != ctrlr->nvmux)
		return nvmux_error(ctrlr->nvmux, -EXDEV,
				   "region and controller belong to different contexts");
	nvmux_mem_map_async(mem, ctrlr, nvmux_sync_done, &sync);
	return nvmux_sync_wait(&sync);
}

/* Unmap from one controller after the other, then release. */
struct free_op {
	struct nvmux_mem *mem;
	bool waited; /* a blocking caller owns this structure */
	bool done;
	nvmux_done_fn cb; /* NULL: nobody is told */
	void *arg;
};

static void free_step(void *arg, int err, uint64_t value);

static void free_end(struct free_op *op)
{
	nvmux_done_fn cb = op->cb;
	void *arg = op->arg;

	op->done = true;
	if (!op->waited)
		free(op);
	if (cb)
		cb(arg, 0, 0);
}

static void provider_freed(void *arg, int err, uint64_t value)
{
	free_end(arg);
}

static void free_step(void *arg, int err, uint64_t value)
{
	struct free_op *op = arg;
	struct nvmux_mem *mem = op->mem;

	/* A region that a device may still write to is never freed: it stays with the context, and
	 * goes when the controller has been let go of. */
	if (err) {
		mem->orphan = true;
		free_end(op);
		return;
	}
	for (unsigned i = 0; i < NVMUX_CTRLRS_MAX; i++) {
		struct nvmux_ctrlr *ctrlr = mem->nvmux->ctrlrs[i];

		if (!mem->maps[i].mapped)
			continue;
		NVMUX_ASSERT(ctrlr);
		if (mem->provider && ctrlr->transport->mem_free)
			ctrlr->transport->mem_free(mem, provider_freed, op);
		else
			nvmux_mem_unmap_async(mem, ctrlr, free_step, op);
		return;
	}
	nvmux_mem_release(mem);
	free_end(op);
}

void nvmux_mem_free(struct nvmux_mem *mem)
{
	struct nvmux *nvmux;
	struct free_op *op;

	if (!mem)
		return;
	nvmux = mem->nvmux;
	op = calloc(1, sizeof(*op));
	if (!op)
		return; /* it goes with the context */
	op->mem = mem;
	op->waited = !nvmux->processing;
	free_step(op, 0, 0);
	if (nvmux->processing)
		return;
	nvmux_wait(nvmux, &op->done);
	free(op);
}

void nvmux_mem_free_async(struct nvmux_mem *mem, nvmux_done_fn done, void *arg)
{
	struct free_op *op = calloc(1, sizeof(*op));

	if (!op) {
		done(arg, 0, 0); /* it goes with the context */
		return;
	}
	*op = (struct free_op){.mem = mem, .cb = done, .arg = arg};
	free_step(op, 0, 0);
}

void *nvmux_mem_addr(const struct nvmux_mem *mem)
{
	return mem->addr;
}

size_t nvmux_mem_size(const struct nvmux_mem *mem)
{
	return mem->size;
}

int nvmux_mem_fd(const struct nvmux_mem *mem)
{
	return mem->fd;
}
