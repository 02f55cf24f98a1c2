/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life cycle of a controller as a table. ctrlr_state.c drives it, ctrlr_start.c has the steps
 * of start and reset, ctrlr_stop.c those of shutdown.
 *
 *   (after READ_CAP: READ_REGS*, where there are registers of memory and boot partitions)
 *   NEW → OPEN → CREATE_ADMINQ → CONNECT_ADMINQ → READ_VS → READ_CAP → READ_CC ─┐
 *                                     ▲                                        │ EN=1
 *                                     │ reconnect                              ▼
 *   DISABLED ◄─────────────────────── │ ─── WAIT_DISABLED ◄─ DISABLE ◄─ WAIT_ENABLED
 *      └──────────────────────────────┘         │                ▲ disconnect
 *                                               ▼                │
 *   SET_AQA → SET_ASQ → SET_ACQ → ENABLE → WAIT_READY → CREATE_POOL → IDENTIFY → NUM_QUEUES →
 *   PREPARE → HOST_ID → LIMITS → ACTIVE_NS →
 *   (IDENTIFY_NS → NS_DESC → NS_NVM → NS_ZNS → ZNS_CTRL)* → AER → OFFERS* → ANA_LOG → READY
 *
 *   (after NUM_QUEUES and before SHUTDOWN: HMB and HMB_OFF, if the controller asks for memory;
 *   PREPARE, HOST_ID and LIMITS where there is something to be prepared, told, asked)
 *   READY → FREE_QPAIRS → SHUTDOWN → WAIT_SHUTDOWN → FREE_POOL → CLOSE → DESTROY_ADMINQ → CLOSED
 *
 * A fabrics controller whose connection is lost, from any of the states above (recover.c):
 *
 *   QUIESCE → RECONNECT_WAIT → CONNECT_ADMINQ → … → ANA_LOG → RECONNECT_QPAIRS* → READY
 *      ▲                             └───────── failure ────────┘
 *      └─────────────────────────────────────────┘
 *
 * When a controller that was ready is reset, and disabling or starting it fails or takes too long,
 * something harder is tried before that, each kind once:
 *
 *   DISABLE … ANA_LOG → HARD_RESET → DISABLE → WAIT_DISABLED → DISABLED
 *                       │      ▲ └──► CONNECT_ADMINQ → … → READY
 *                       └──────┘
 *
 * Any other failure or deadline on the way goes to CLOSE: the device is let go of first, then
 * what waited is told. A controller that somebody else manages skips from READ_CC to CREATE_POOL,
 * and from FREE_QPAIRS to FREE_POOL.
 */
#ifndef NVMUX_CTRLR_STATE_H
#define NVMUX_CTRLR_STATE_H

#include "transport.h"

/* A version as VS has it. */
#define CTRLR_VERSION(major, minor) ((uint32_t)(major) << 16 | (uint32_t)(minor) << 8)

enum nvmux_ctrlr_state {
	CTRLR_NEW,
	CTRLR_OPEN,
	CTRLR_CREATE_ADMINQ,
	CTRLR_CONNECT_ADMINQ,
	CTRLR_READ_VS,
	CTRLR_READ_CAP,
	CTRLR_READ_REGS,
	CTRLR_READ_CC,
	CTRLR_WAIT_ENABLED,
	CTRLR_DISABLE,
	CTRLR_WAIT_DISABLED,
	CTRLR_DISABLED,
	CTRLR_SET_AQA,
	CTRLR_SET_ASQ,
	CTRLR_SET_ACQ,
	CTRLR_ENABLE,
	CTRLR_WAIT_READY,
	CTRLR_CREATE_POOL,
	CTRLR_IDENTIFY,
	CTRLR_NUM_QUEUES,
	CTRLR_HMB,
	CTRLR_PREPARE,
	CTRLR_HOST_ID,
	CTRLR_LIMITS,
	CTRLR_ACTIVE_NS,
	CTRLR_IDENTIFY_NS,
	CTRLR_NS_DESC,
	CTRLR_NS_NVM,
	CTRLR_NS_ZNS,
	CTRLR_ZNS_CTRL,
	CTRLR_AER,
	CTRLR_OFFERS,
	CTRLR_ANA_LOG,
	CTRLR_READY,
	CTRLR_QUIESCE,
	CTRLR_RECONNECT_WAIT,
	CTRLR_RECONNECT_QPAIRS,
	CTRLR_HARD_RESET,
	CTRLR_FREE_QPAIRS,
	CTRLR_HMB_OFF,
	CTRLR_SHUTDOWN,
	CTRLR_WAIT_SHUTDOWN,
	CTRLR_FREE_POOL,
	CTRLR_CLOSE, /* from here on answers to earlier steps are stale */
	CTRLR_DESTROY_ADMINQ,
	CTRLR_CLOSED,
	CTRLR_STATE_COUNT,
};

/* What bounds a state's time. */
enum ctrlr_deadline {
	DEADLINE_NONE,     /* a state to rest in, or a step that always ends */
	DEADLINE_ADMIN,    /* opts.admin_timeout_ms */
	DEADLINE_READY,    /* CAP.TO */
	DEADLINE_SHUTDOWN, /* max(RTD3E, 10 s) */
};

/*
 * enter: begin the step; it ends with ctrlr_step_done(), possibly at once. NULL: rest here.
 * finish: what came of it (ctrlr->step_value); returns the next state, or a negative errno value.
 * next: the states that finish may name, as bits.
 */
struct ctrlr_state_desc {
	const char *name;
	void (*enter)(struct nvmux_ctrlr *ctrlr);
	int (*finish)(struct nvmux_ctrlr *ctrlr);
	uint64_t next;
	enum ctrlr_deadline deadline;
};

/* An nvmux_done_fn: the step of the current state has ended. Stale answers are dropped. */
void ctrlr_step_done(void *arg, int err, uint64_t value);
/* The same for CLOSE and DESTROY_ADMINQ. */
void ctrlr_close_step_done(void *arg, int err, uint64_t value);
/* The same for QUIESCE and RECONNECT_WAIT, in which answers to earlier steps are stale, too, and
 * for READY, which ends when the connection is lost. */
void ctrlr_recover_step_done(struct nvmux_ctrlr *ctrlr, int err, uint64_t value);
/* The same as an nvmux_cmd_cb: an error status becomes -EIO with a text. */
void ctrlr_step_cpl(void *arg, const struct nvmux_cpl *cpl);
/* The same where an error status is an answer too: in ctrlr->step_status. */
void ctrlr_step_cpl_any(void *arg, const struct nvmux_cpl *cpl);

/*
 * Move a resting controller towards READY, DISABLED or CLOSED; @done is called once, when it rests
 * again: with 0, or with the error that made it go to CLOSED instead.
 */
void ctrlr_go(struct nvmux_ctrlr *ctrlr, enum nvmux_ctrlr_state first, nvmux_done_fn done,
	      void *arg);
/* Bits of nvmux_ctrlr.resets_left. */
enum ctrlr_reset_kind {
	CTRLR_RESET_FUNCTION = 1 << 0,
	CTRLR_RESET_SUBSYSTEM = 1 << 1,
};
/* What this controller has of them. */
uint8_t ctrlr_reset_kinds(const struct nvmux_ctrlr *ctrlr);
/* An admin command of a reset that is under way isn't answered: its step fails. False: none is. */
bool ctrlr_reset_expired(struct nvmux_ctrlr *ctrlr);
/* ctrlr_reset.c */
void ctrlr_enter_hard_reset(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_hard_reset(struct nvmux_ctrlr *ctrlr);
/* Whether a step of a reset that has failed with @err is followed by HARD_RESET. */
bool ctrlr_can_reset_harder(const struct nvmux_ctrlr *ctrlr, int err);

/* From any state to CLOSED, because of @err. */
void ctrlr_give_up(struct nvmux_ctrlr *ctrlr, int err);
/* End the look at the namespaces that is under way with @err, though a command of it isn't
 * answered. May free the controller. */
void ctrlr_end_rescan(struct nvmux_ctrlr *ctrlr, int err);
/* The current state's time begins anew. */
void ctrlr_restart_deadline(struct nvmux_ctrlr *ctrlr);
/* Go on with steps that have ended. May free the controller. */
void ctrlr_run(struct nvmux_ctrlr *ctrlr);
bool ctrlr_is_resting(const struct nvmux_ctrlr *ctrlr);
/* Ready, or looking at its namespaces anew while I/O goes on. */
bool ctrlr_is_usable(const struct nvmux_ctrlr *ctrlr);
const char *ctrlr_state_name(enum nvmux_ctrlr_state state);

/* ctrlr.c: what follows for a resting controller that is to be detached. */
void ctrlr_detach_step(struct nvmux_ctrlr *ctrlr);

/* ctrlr_start.c */
void ctrlr_enter_open(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_create_adminq(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_create_adminq(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_connect_adminq(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_connect_adminq(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_read_vs(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_read_vs(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_read_cap(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_read_cap(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_read_regs(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_read_regs(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_read_cc(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_read_cc(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_wait_csts(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_wait_enabled(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_disable(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_disable(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_wait_disabled(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_set_aqa(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_set_asq(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_set_acq(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_enable(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_wait_ready(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_create_pool(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_create_pool(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_identify(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_identify(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_num_queues(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_num_queues(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_aer(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_aer(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_ana_log(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_ana_log(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_to_next(struct nvmux_ctrlr *ctrlr);

/* ns.c: the scan of the namespaces */
void ctrlr_enter_active_ns(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_active_ns(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_identify_ns(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_identify_ns(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_ns_desc(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_ns_desc(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_ns_nvm(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_ns_nvm(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_ns_zns(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_ns_zns(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_zns_ctrl(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_zns_ctrl(struct nvmux_ctrlr *ctrlr);
/* A scan that was given up, with no command of it in flight. */
void ctrlr_drop_scan(struct nvmux_ctrlr *ctrlr);
void ctrlr_free_namespaces(struct nvmux_ctrlr *ctrlr);

/* ctrlr_prepare.c. or_next: the state of that name, or the one that follows where it has nothing to
 * do. */
int ctrlr_check_identify(struct nvmux_ctrlr *ctrlr);
int ctrlr_prepare_or_next(const struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_prepare(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_prepare(struct nvmux_ctrlr *ctrlr);
int ctrlr_host_id_or_next(const struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_host_id(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_host_id(struct nvmux_ctrlr *ctrlr);
int ctrlr_limits_or_next(const struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_limits(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_limits(struct nvmux_ctrlr *ctrlr);

/* hmb.c: after the number of queues, if the controller asks for memory; before the shutdown. */
int ctrlr_hmb_or_next(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_hmb(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_hmb(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_hmb_off(struct nvmux_ctrlr *ctrlr);
void ctrlr_free_hmb(struct nvmux_ctrlr *ctrlr);

/* offers.c: what the controller's logs say that it offers. next: the state that follows. */
int ctrlr_next_offer(struct nvmux_ctrlr *ctrlr);
/* They are asked for anew: it may be other firmware that runs now. */
void ctrlr_forget_offers(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_offers(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_offers(struct nvmux_ctrlr *ctrlr);

/* events.c: namespaces that have changed, by the list that was read; at rest and ready: look at
 * those that are waiting for it. The callbacks may not free the controller. */
void ctrlr_ns_notice(struct nvmux_ctrlr *ctrlr, const __le32 *list, uint32_t n);
void ctrlr_ns_notice_ready(struct nvmux_ctrlr *ctrlr);
void ctrlr_ns_notice_free(struct nvmux_ctrlr *ctrlr);

/* recover.c */
void ctrlr_enter_quiesce(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_quiesce(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_reconnect_wait(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_reconnect_wait(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_reconnect_qpairs(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_reconnect_qpairs(struct nvmux_ctrlr *ctrlr);

/* ctrlr_stop.c */
void ctrlr_enter_free_qpairs(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_free_qpairs(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_hmb_off(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_shutdown(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_wait_shutdown(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_free_pool(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_close(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_close(struct nvmux_ctrlr *ctrlr);
void ctrlr_enter_destroy_adminq(struct nvmux_ctrlr *ctrlr);
int ctrlr_finish_destroy_adminq(struct nvmux_ctrlr *ctrlr);

/* admin.c */
void ctrlr_admin_start_aers(struct nvmux_ctrlr *ctrlr);
/* Complete every admin command, sent or waiting, with @status. */
void ctrlr_admin_abort_all(struct nvmux_ctrlr *ctrlr, uint16_t status);
/* Those of a step, sent or waiting, end that no more. */
void ctrlr_admin_forget_steps(struct nvmux_ctrlr *ctrlr);
/* The connection is lost and quiet: complete all, those that may have changed something with
 * "outcome unknown", the others with a path error. */
void ctrlr_admin_lose_all(struct nvmux_ctrlr *ctrlr);
/* Read the log page of access states into ctrlr->ana_log (-EALREADY while that is being done), and
 * take what was read; begin anew if that may be out of date; forget one that won't be answered. */
int ctrlr_admin_read_ana(struct nvmux_ctrlr *ctrlr, nvmux_cmd_cb cb, void *arg);
void ctrlr_admin_take_ana(struct nvmux_ctrlr *ctrlr, uint16_t status);
void ctrlr_admin_refresh_ana(struct nvmux_ctrlr *ctrlr);
void ctrlr_admin_drop_ana(struct nvmux_ctrlr *ctrlr);
void ctrlr_admin_send_waiting(struct nvmux_ctrlr *ctrlr);
void ctrlr_admin_kick(void *arg);
/* The argument that the admin command in this slot was sent with; NULL: there is none. */
const void *ctrlr_admin_arg(const struct nvmux_ctrlr *ctrlr, uint32_t index);

#endif
