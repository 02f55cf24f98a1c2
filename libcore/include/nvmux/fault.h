/* SPDX-License-Identifier: BSD-3-Clause */
/* Time-outs and injected errors. */
#ifndef NVMUX_FAULT_H
#define NVMUX_FAULT_H

#include <nvmux/ctrlr.h>
#include <nvmux/qpair.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * typedef nvmux_timeout_cb - a command has not been answered in time.
 * @qpair: its queue pair; NULL: the admin queue.
 * @cid: its identifier, for nvmux_ctrlr_cmd_abort(); NVMUX_CID_UNKNOWN: the queue pair has commands
 *	in flight and hasn't been polled for a time-out, so that nobody knows what of it is overdue.
 *
 * Called once for each such command, by the thread that polls the queue pair; for the admin queue
 * and for queue pairs that nobody polls, by the control thread. It may free queue pairs of that
 * thread, and in the control thread it may also detach the controller (nvmux_detach_async()).
 */
#define NVMUX_CID_UNKNOWN 0xffffu
typedef void (*nvmux_timeout_cb)(void *arg, struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
				 uint16_t cid);

/**
 * nvmux_ctrlr_register_timeout_callback() - be told, in place of the ladder of
 * nvmux_ctrlr_opts.io_timeout_ms: what is done about it is the caller's.
 * @io_ms: 0: never. @admin_ms: 0: not told, and nvmux_ctrlr_opts.admin_timeout_ms applies.
 * @cb NULL: as before.
 *
 * Only the time counts in which the queue pair is polled: what its owner doesn't take isn't late.
 * With a callback nothing is done about CSTS.CFS either; a device that has gone is lost as always.
 */
NVMUX_API int nvmux_ctrlr_register_timeout_callback(struct nvmux_ctrlr *ctrlr, uint32_t io_ms,
						    uint32_t admin_ms, nvmux_timeout_cb cb,
						    void *arg);

/**
 * struct nvmux_error_injection - what happens to commands of one opcode on one queue pair.
 * @opc: the opcode.
 * @do_not_submit: they never reach the controller, and complete with the status at the first
 *	nvmux_qpair_process_completions() after @delay_us; else they are executed, and the status
 *	replaces theirs, unless it is the library that ends them (a lost controller, a deleted
 *	queue). Fused commands are always executed.
 * @delay_us: with do_not_submit only.
 * @count: how many commands; UINT32_MAX: all.
 * @status: as NVMUX_STATUS(), DNR included if wanted.
 */
struct nvmux_error_injection {
	uint8_t opc;
	bool do_not_submit;
	uint64_t delay_us;
	uint32_t count;
	uint16_t status;
};

/**
 * nvmux_qpair_add_cmd_error_injection() - replaces one for the same opcode.
 * @qpair: NULL: the admin queue of @ctrlr.
 * The queue pair's thread. Return: 0, -ENOMEM.
 */
NVMUX_API int nvmux_qpair_add_cmd_error_injection(struct nvmux_ctrlr *ctrlr,
						  struct nvmux_qpair *qpair,
						  const struct nvmux_error_injection *injection);
/** nvmux_qpair_remove_cmd_error_injection() - return: whether there was one for the opcode. */
NVMUX_API bool nvmux_qpair_remove_cmd_error_injection(struct nvmux_ctrlr *ctrlr,
						      struct nvmux_qpair *qpair, uint8_t opc);

/** nvmux_cmd_string(), nvmux_cpl_string() - a command and a completion in one line, as the
 * specification names fields, for logs. @admin: of an admin queue. Return: @text. */
NVMUX_API const char *nvmux_cmd_string(const struct nvmux_cmd *cmd, bool admin, char *text,
				       size_t size);
NVMUX_API const char *nvmux_cpl_string(const struct nvmux_cpl *cpl, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
