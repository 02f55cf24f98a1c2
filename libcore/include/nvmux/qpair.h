/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O queue pairs. */
#ifndef NVMUX_QPAIR_H
#define NVMUX_QPAIR_H

#include <nvmux/ctrlr.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvmux_qpair;
struct nvmux_poll_group;

/**
 * struct nvmux_io_qpair_opts - options of an I/O queue pair; fill with nvmux_io_qpair_opts_init().
 * @size: sizeof(struct nvmux_io_qpair_opts) of the caller.
 * @io_queue_depth: commands that can be in flight, 1 to 65535; cut to what the controller allows;
 *	default: of the controller's options, less one (a full queue has one free entry).
 * @qprio: 0 urgent, 1 high, 2 medium, 3 low; anything but 0 is refused unless weighted round
 *	robin arbitration is in effect.
 * @poll_group: polled together with the others of this group, by the group's thread; NULL: alone.
 * @no_staging: without memory for what dataset management, copy and reservations carry (one region
 *	of 64 KiB, which counts against a client's limits in the daemon); they are -ENOMEM then.
 */
struct nvmux_io_qpair_opts {
	size_t size;
	uint32_t io_queue_depth;
	uint32_t qprio;
	struct nvmux_poll_group *poll_group;
	bool no_staging;
};

/** nvmux_io_qpair_opts_init() - defaults for this controller; @size is sizeof(*opts). */
NVMUX_API void nvmux_io_qpair_opts_init(const struct nvmux_ctrlr *ctrlr,
					struct nvmux_io_qpair_opts *opts, size_t size);

/**
 * nvmux_ctrlr_alloc_io_qpair() - make an I/O queue pair and wait until it is connected.
 * @opts: options, or NULL for the defaults.
 * @ret: the queue pair, owned by the caller; ends with nvmux_qpair_free().
 *
 * Control thread; afterwards the queue pair may be given to another thread.
 *
 * Return: 0, -EINVAL (an option), -ENOSPC (no queue left), -EDQUOT (the client's limit in the
 * daemon), -ENXIO (the controller failed), -ETIMEDOUT, …
 */
NVMUX_API int nvmux_ctrlr_alloc_io_qpair(struct nvmux_ctrlr *ctrlr,
					 const struct nvmux_io_qpair_opts *opts,
					 struct nvmux_qpair **ret);

typedef void (*nvmux_qpair_cb)(void *arg, struct nvmux_qpair *qpair, int err);

/** nvmux_ctrlr_alloc_io_qpair_async() - the same; @cb is called once, @qpair NULL on failure. */
NVMUX_API int nvmux_ctrlr_alloc_io_qpair_async(struct nvmux_ctrlr *ctrlr,
					       const struct nvmux_io_qpair_opts *opts,
					       nvmux_qpair_cb cb, void *arg);

/**
 * nvmux_qpair_free() - delete the queues and free the queue pair.
 *
 * Commands in flight complete with Command Aborted due to SQ Deletion, from within this call.
 * Control thread, with no other thread using it. Inside a completion callback of the same queue
 * pair it begins when nvmux_qpair_process_completions() is about to return, and inside any callback
 * it ends during nvmux_process(). NULL is allowed.
 */
NVMUX_API void nvmux_qpair_free(struct nvmux_qpair *qpair);

/** nvmux_qpair_free_async() - the same without waiting; @cb (may be NULL) when it is gone. */
NVMUX_API void nvmux_qpair_free_async(struct nvmux_qpair *qpair, nvmux_ctrlr_cb cb, void *arg);

/**
 * nvmux_qpair_process_completions() - make submissions visible and reap completions.
 * @max: completions to handle at most; 0: as many as there are (bounded by the queue's size).
 *
 * Submissions collect until this call, which rings the doorbell once for all of them. Callbacks
 * are called from here, in the queue pair's thread.
 *
 * While a fabrics connection is being restored this returns 0 and goes on with the queue pair's
 * part of that; it must go on being called. New commands are refused with -EAGAIN meanwhile, and
 * with -ENXIO once fast_io_fail_timeout_sec has passed.
 *
 * Return: the number of completions, or -ENXIO when the queue pair has failed. Then commands in
 * flight, if any are left, end when the controller has been let go of: with the next call after
 * that, or when the queue pair is freed or the controller reset or detached. -EDEADLK inside one of
 * its own callbacks.
 */
NVMUX_API int nvmux_qpair_process_completions(struct nvmux_qpair *qpair, uint32_t max);

/**
 * nvmux_qpair_get_fd() - a descriptor to wait on, or -EOPNOTSUPP where the queue is polled only.
 *
 * Through the daemon: nvmux_qpair_arm() first, which returns -EAGAIN when completions are already
 * there, or something is to be done that none tells of (a command waits to be repeated); then the
 * descriptor becomes readable with the next completion.
 */
NVMUX_API int nvmux_qpair_get_fd(const struct nvmux_qpair *qpair);
NVMUX_API int nvmux_qpair_arm(struct nvmux_qpair *qpair);

/** enum nvmux_qpair_failure - why a queue pair takes no commands. */
enum nvmux_qpair_failure {
	NVMUX_QPAIR_FAILURE_NONE,
	NVMUX_QPAIR_FAILURE_LOCAL,   /* disconnected by its owner, or by a reset under way */
	NVMUX_QPAIR_FAILURE_REMOTE,  /* the connection is lost */
	NVMUX_QPAIR_FAILURE_CTRLR,   /* the controller failed or is gone */
};
NVMUX_API enum nvmux_qpair_failure nvmux_qpair_get_failure_reason(const struct nvmux_qpair *qpair);

/**
 * nvmux_qpair_disconnect() - delete the queues and keep the queue pair.
 *
 * Commands in flight complete as with nvmux_qpair_free(). Control thread, with no other thread
 * using it. nvmux_qpair_reconnect() makes the queues anew.
 */
NVMUX_API int nvmux_qpair_disconnect(struct nvmux_qpair *qpair);
NVMUX_API int nvmux_qpair_reconnect(struct nvmux_qpair *qpair);

/** nvmux_qpair_get_id() - the queue identifier (through the daemon: the session's own number). */
NVMUX_API uint16_t nvmux_qpair_get_id(const struct nvmux_qpair *qpair);
/** nvmux_qpair_get_depth() - commands that can be in flight. */
NVMUX_API uint32_t nvmux_qpair_get_depth(const struct nvmux_qpair *qpair);
/** nvmux_qpair_get_num_outstanding() - commands in flight now. */
NVMUX_API uint32_t nvmux_qpair_get_num_outstanding(const struct nvmux_qpair *qpair);
/** nvmux_qpair_is_connected() - whether commands are accepted. */
NVMUX_API bool nvmux_qpair_is_connected(const struct nvmux_qpair *qpair);

#ifdef __cplusplus
}
#endif
#endif
