/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Poll groups: I/O queue pairs that one thread polls together.
 *
 * Queue pairs over RDMA that are in one group and on one device share a completion queue, so that
 * polling them costs the same however many they are. Others are polled one after the other.
 */
#ifndef NVMUX_POLL_GROUP_H
#define NVMUX_POLL_GROUP_H

#include <nvmux/qpair.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * nvmux_poll_group_create() - make one; ends with nvmux_poll_group_destroy().
 *
 * A queue pair joins by struct nvmux_io_qpair_opts and leaves when it is freed. The group and its
 * queue pairs belong to the context's thread: whoever polls in another thread has queue pairs
 * without a group there.
 */
NVMUX_API int nvmux_poll_group_create(struct nvmux *nvmux, struct nvmux_poll_group **ret);

/** nvmux_poll_group_destroy() - -EBUSY while it has queue pairs or calls one's callback. NULL is
 * allowed. */
NVMUX_API int nvmux_poll_group_destroy(struct nvmux_poll_group *group);

/**
 * nvmux_poll_group_process_completions() - as nvmux_qpair_process_completions(), for all of them.
 * @max: completions of each queue pair to handle at most; 0: as many as there are.
 *
 * Return: the number of completions; -ENXIO when a queue pair has failed (each says so itself).
 */
NVMUX_API int nvmux_poll_group_process_completions(struct nvmux_poll_group *group, uint32_t max);

/**
 * nvmux_poll_group_get_fd() - a descriptor that is readable when the group wants to be processed.
 *
 * An epoll descriptor that stays the library's. nvmux_poll_group_arm() first, which returns -EAGAIN
 * when completions are already there, or something is to be done that none tells of (a command
 * waits to be repeated), and -EOPNOTSUPP when a queue pair of the group can only be
 * polled.
 */
NVMUX_API int nvmux_poll_group_get_fd(const struct nvmux_poll_group *group);
NVMUX_API int nvmux_poll_group_arm(struct nvmux_poll_group *group);

/** struct nvmux_poll_group_stats - since the group was made. */
struct nvmux_poll_group_stats {
	uint64_t polls;
	uint64_t idle_polls; /* that found no completion */
	uint64_t completions;
	uint32_t qpairs; /* in it now */
};
/** nvmux_poll_group_get_stats() - the group's thread. */
NVMUX_API void nvmux_poll_group_get_stats(const struct nvmux_poll_group *group,
					  struct nvmux_poll_group_stats *ret);
/** nvmux_poll_group_wait() - arm, sleep until something completes, process.
 * @timeout_ms: -1: for ever. Return: as nvmux_poll_group_process_completions(). */
NVMUX_API int nvmux_poll_group_wait(struct nvmux_poll_group *group, int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
