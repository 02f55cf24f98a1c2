/* SPDX-License-Identifier: BSD-3-Clause */
/* The context: everything that the library holds for one caller. */
#ifndef NVMUX_CONTEXT_H
#define NVMUX_CONTEXT_H

#include <stddef.h>
#include <stdint.h>
#include <nvmux/cmd.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvmux;

enum nvmux_log_level {
	NVMUX_LOG_ERROR,
	NVMUX_LOG_WARNING,
	NVMUX_LOG_INFO,
	NVMUX_LOG_DEBUG,
};

/**
 * typedef nvmux_log_cb - receives the library's log lines.
 * @arg: log_arg of the options.
 * @level: severity.
 * @module: a static name such as "ctrlr" or "pcie".
 * @text: one line without a newline, valid during the call only.
 *
 * The library never writes to a terminal itself. Never called on the per-I/O path.
 */
typedef void (*nvmux_log_cb)(void *arg, enum nvmux_log_level level, const char *module,
			     const char *text);

/**
 * struct nvmux_opts - options of a context; fill with nvmux_opts_init(), then change.
 * @size: sizeof(struct nvmux_opts) of the caller, so that it can grow.
 * @log: receiver of log lines, or NULL.
 * @log_arg: passed to @log.
 * @hostnqn: NQN of this host for fabrics, or NULL: /etc/nvme/hostnqn; without that file one is made
 *	up for as long as the context lives.
 * @mem_window: bytes of address space reserved for I/O memory (not memory itself); a multiple of
 *	2 MiB; default 64 GiB. The sum of all regions can't exceed it.
 * @hostid: identifier of this host for fabrics, a UUID as text, or NULL: /etc/nvme/hostid; without
 *	that file the UUID in the host's NQN, if it has one, else one is made up.
 */
struct nvmux_opts {
	size_t size;
	nvmux_log_cb log;
	void *log_arg;
	const char *hostnqn;
	uint64_t mem_window;
	const char *hostid;
};

/** nvmux_opts_init() - the defaults; @size is sizeof(*opts). Thread: any. */
NVMUX_API void nvmux_opts_init(struct nvmux_opts *opts, size_t size);

/**
 * nvmux_create() - make a context.
 * @opts: options, or NULL for the defaults.
 * @ret: the context, owned by the caller; ends with nvmux_destroy().
 *
 * Return: 0, -EINVAL (an option out of range; @log is told which), -ENOMEM, or what epoll_create1()
 * failed with.
 */
NVMUX_API int nvmux_create(const struct nvmux_opts *opts, struct nvmux **ret);

/**
 * nvmux_destroy() - detach every controller in an orderly way, free all memory, end the context.
 *
 * Blocks while controllers shut down, each at most as long as its own shutdown deadline.
 * NULL is allowed.
 */
NVMUX_API void nvmux_destroy(struct nvmux *nvmux);

/**
 * nvmux_get_fd() - one descriptor that is readable when nvmux_process() has something to do.
 *
 * An epoll descriptor that stays the library's. Together with nvmux_get_timeout_ms() it lets a
 * caller's event loop serve admin completions, events and connections without polling.
 */
NVMUX_API int nvmux_get_fd(const struct nvmux *nvmux);

/**
 * nvmux_get_timeout_ms() - milliseconds until nvmux_process() must be called at the latest.
 *
 * Return: 0 when at once, -1 when nothing is due.
 */
NVMUX_API int nvmux_get_timeout_ms(const struct nvmux *nvmux);

/**
 * nvmux_process() - do what is due: admin completions, connection steps, timers, events.
 *
 * Never blocks. Callbacks of the admin queue and of asynchronous calls come from here.
 * Must not be called from within a callback (-EDEADLK).
 *
 * Return: the number of things done, or a negative errno value.
 */
NVMUX_API int nvmux_process(struct nvmux *nvmux);

/**
 * nvmux_error_text() - the last failure of this context in words.
 *
 * Names the parameter, its value and the rule it broke. Never NULL; empty when nothing failed.
 * Valid until the next call with this context.
 */
NVMUX_API const char *nvmux_error_text(const struct nvmux *nvmux);

#define NVMUX_UUID_TEXT 37 /* 36 characters and the NUL */

/**
 * nvmux_uuid_parse() - "8-4-4-4-12" hexadecimal digits in either case; the bytes in their order.
 *
 * Return: 0 or -EINVAL, with @ret as it was. Thread: any.
 */
NVMUX_API int nvmux_uuid_parse(const char *text, uint8_t ret[16]);
/** nvmux_uuid_format() - the inverse, in lower case. Thread: any. */
NVMUX_API void nvmux_uuid_format(const uint8_t uuid[16], char ret[NVMUX_UUID_TEXT]);
/** nvmux_hostid_parse() - the same for a host's identifier: one that isn't all zero. */
NVMUX_API int nvmux_hostid_parse(const char *text, uint8_t ret[16]);

/** nvmux_version() - the library's version, "MAJOR.MINOR.PATCH". Thread: any. */
NVMUX_API const char *nvmux_version(void);

#ifdef __cplusplus
}
#endif
#endif
