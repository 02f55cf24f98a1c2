/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sleeper's side of "publish, then look whether the other side sleeps": it pays for both with a
 * system call, so that the busy side, perhaps in another process, needs no fence.
 *
 * Both processes register once; a process that doesn't loses its own wake-ups and nobody else's.
 */
#ifndef NVMUX_MEMBARRIER_H
#define NVMUX_MEMBARRIER_H

#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

/* Let the barriers of other processes reach this one. -ENOSYS or -EPERM: the kernel can't. */
static inline int nvmux_membarrier_register(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) < 0)
		return errno == EINVAL ? -ENOSYS : -errno;
	return 0;
}

/* A full barrier in this thread and in every running thread of the registered processes. */
static inline void nvmux_membarrier(void)
{
	long ret = syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);

	NVMUX_ASSERT(ret == 0); /* registration has succeeded before */
}

#endif
