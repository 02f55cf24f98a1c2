/* SPDX-License-Identifier: BSD-3-Clause */
/* How a blocking function waits for an asynchronous one. */
#ifndef NVMUX_SYNC_H
#define NVMUX_SYNC_H

#include <errno.h>

#include "core.h"

struct nvmux_sync {
	struct nvmux *nvmux;
	bool done;
	int err;
	uint64_t value;
};

/* The nvmux_done_fn of the operation. */
static inline void nvmux_sync_done(void *arg, int err, uint64_t value)
{
	struct nvmux_sync *sync = arg;

	sync->err = err;
	sync->value = value;
	sync->done = true;
}

/*
 * The operation refers to @sync until it ends, so it must not be left: a wait that can't be made
 * (inside a callback) is our caller's mistake and was refused before the operation began, see
 * nvmux_sync_check().
 */
static inline int nvmux_sync_wait(struct nvmux_sync *sync)
{
	int err = nvmux_wait(sync->nvmux, &sync->done);

	NVMUX_ASSERT(!err);
	return sync->err;
}

/* Before beginning: may this thread of control block? */
static inline int nvmux_sync_check(struct nvmux *nvmux)
{
	if (nvmux->processing)
		return nvmux_error(nvmux, -EDEADLK,
				   "a blocking function was called from within a callback");
	return 0;
}

#endif
