// SPDX-License-Identifier: BSD-3-Clause
/*
 * Staging memory of I/O queue pairs: where small structures go that commands carry and callers
 * give as plain memory.
 *
 * Happy path: a region of NVMUX_QPAIR_STAGED pages is made and mapped before the queue pair is
 * made; a command takes a page, is copied into it, and its completion gives the page back; the
 * region goes after the queue pair, when no command is with the device.
 *
 * Failure modes: no memory, or a limit in the daemon: the queue pair does without, and only the
 * commands that need it fail. The controller is closed while the region is mapped or unmapped:
 * the transport ends that, and the region goes when the device has been let go of (mem.c).
 */
#include <string.h>

#include "io_int.h"
#include "numa.h"

#define ALL_PAGES ((1u << NVMUX_QPAIR_STAGED) - 1)

/* Who waits for the command of a page; not in the region, which others can write to. */
struct page {
	struct nvmux_qpair *qpair;
	nvmux_cmd_cb cb;
	void *arg;
};

struct nvmux_staged {
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_mem *mem;
	nvmux_done_fn done;
	void *arg;
	struct page pages[NVMUX_QPAIR_STAGED];
};

static void make_failed(struct nvmux_staged *staged)
{
	nvmux_done_fn done = staged->done;
	void *arg = staged->arg;

	free(staged);
	done(arg, 0, 0);
}

static void mapped(void *arg, int err, uint64_t value)
{
	struct nvmux_staged *staged = arg;

	if (err) {
		nvmux_mem_release_later(staged->mem);
		make_failed(staged);
		return;
	}
	staged->done(staged->arg, 0, (uintptr_t)staged);
}

static void provided(void *arg, int err, uint64_t value)
{
	struct nvmux_staged *staged = arg;

	if (err) {
		make_failed(staged);
		return;
	}
	staged->mem = (struct nvmux_mem *)(uintptr_t)value;
	staged->done(staged->arg, 0, (uintptr_t)staged);
}

void staging_make(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct nvmux_staged *staged = calloc(1, sizeof(*staged));
	const size_t size = NVMUX_QPAIR_STAGED * NVMUX_PAGE_SIZE;

	if (!staged) {
		done(arg, 0, 0);
		return;
	}
	*staged = (struct nvmux_staged){.ctrlr = ctrlr, .done = done, .arg = arg};
	if (ctrlr->transport->mem_alloc)
		ctrlr->transport->mem_alloc(ctrlr, size, 0, provided, staged);
	else if (nvmux_mem_create_for(ctrlr, size, 0, &staged->mem))
		make_failed(staged);
	else
		nvmux_mem_map_async(staged->mem, ctrlr, mapped, staged);
}

static void freed(void *arg, int err, uint64_t value)
{
	struct nvmux_staged *staged = arg;
	nvmux_done_fn done = staged->done;
	void *done_arg = staged->arg;

	free(staged);
	done(done_arg, 0, 0);
}

void staging_free(struct nvmux_staged *staged, nvmux_done_fn done, void *arg)
{
	if (!staged) {
		done(arg, 0, 0);
		return;
	}
	staged->done = done;
	staged->arg = arg;
	nvmux_mem_free_async(staged->mem, freed, staged);
}

void staging_attach(struct nvmux_qpair *qpair, struct nvmux_staged *staged)
{
	if (!staged)
		return;
	for (unsigned i = 0; i < NVMUX_QPAIR_STAGED; i++)
		staged->pages[i].qpair = qpair;
	qpair->staged = staged;
	qpair->staging = staged->mem;
}

static void done(void *arg, const struct nvmux_cpl *cpl)
{
	struct page *page = arg;
	struct nvmux_qpair *qpair = page->qpair;

	qpair->staging_used &= ~(1u << (page - qpair->staged->pages));
	page->cb(page->arg, cpl);
}

bool staging_unwrap(nvmux_cmd_cb *cb, void **arg)
{
	const struct page *page = *arg;

	if (*cb != done)
		return false;
	*cb = page->cb;
	*arg = page->arg;
	return true;
}

int staging_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd, const void *data,
		   uint32_t len, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_mem *mem = qpair->staging;
	struct nvmux_seg seg = {.mem = mem, .len = len};
	struct nvmux_payload payload = {.data = &seg, .n_data = 1, .data_len = len};
	struct page *page;
	uint32_t i;
	int err;

	NVMUX_ASSERT(len <= NVMUX_PAGE_SIZE);
	if (!mem || !nvmux_mem_is_mapped(mem, qpair->ctrlr))
		return -ENOMEM;
	if (qpair->staging_used == ALL_PAGES)
		return -EAGAIN;
	i = (uint32_t)__builtin_ctz(~qpair->staging_used);
	seg.offset = (uint64_t)i * NVMUX_PAGE_SIZE;
	memcpy(mem->addr + seg.offset, data, len);
	page = &qpair->staged->pages[i];
	page->cb = cb;
	page->arg = arg;
	err = io_submit(qpair, cmd, &payload, done, page);
	if (!err)
		qpair->staging_used |= 1u << i;
	return err;
}
