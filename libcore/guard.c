// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory of devices that goes away while it is mapped: a device that is pulled out, or another
 * process that shrinks the file behind a BAR.
 *
 * Happy path: an access raises SIGBUS ──► the program's handler asks here ──► a page of ones, what
 * a bus without a device reads as, takes the place of the page in one step ──► the controller's
 * owner is told from the control thread ──► the handler returns, and the access is repeated.
 *
 * Any thread may be hit, at any time, while the control thread attaches and detaches others: of a
 * guard that isn't the one nothing but its range is read. The one that is it stays, because the
 * thread that was hit uses its memory.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <nvmux/sigbus.h>
#include "core.h"

void nvmux_guard_add(struct nvmux_ctrlr *ctrlr, void *addr, size_t bytes, void (*lost)(void *arg),
		     void *arg)
{
	struct nvmux_guard *guard = &ctrlr->nvmux->guards[ctrlr->index];

	NVMUX_ASSERT(!guard->start);
	__atomic_store_n(&guard->bytes, bytes, __ATOMIC_RELAXED);
	guard->lost = lost;
	guard->arg = arg;
	__atomic_store_n(&guard->start, (uintptr_t)addr, __ATOMIC_RELEASE);
}

void nvmux_guard_del(struct nvmux_ctrlr *ctrlr)
{
	__atomic_store_n(&ctrlr->nvmux->guards[ctrlr->index].start, 0, __ATOMIC_RELEASE);
}

/* Nobody sees anything but the old page or ones. */
static bool put_ones(uintptr_t page)
{
	void *ones = mmap(NULL, NVMUX_PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ones == MAP_FAILED)
		return false;
	memset(ones, 0xff, NVMUX_PAGE_SIZE);
	if (mremap(ones, NVMUX_PAGE_SIZE, NVMUX_PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (void *)page) != MAP_FAILED)
		return true;
	munmap(ones, NVMUX_PAGE_SIZE);
	return false;
}

bool nvmux_handle_sigbus(const struct nvmux *nvmux, const void *addr)
{
	int saved = errno;

	for (unsigned i = 0; i < NVMUX_CTRLRS_MAX; i++) {
		const struct nvmux_guard *guard = &nvmux->guards[i];
		uintptr_t start = __atomic_load_n(&guard->start, __ATOMIC_ACQUIRE);

		if (!start || (uintptr_t)addr - start >=
				      __atomic_load_n(&guard->bytes, __ATOMIC_RELAXED))
			continue;
		if (!put_ones((uintptr_t)addr & ~(uintptr_t)(NVMUX_PAGE_SIZE - 1)))
			return false;
		guard->lost(guard->arg);
		errno = saved;
		return true;
	}
	return false;
}
