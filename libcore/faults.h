/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What libcore does when commands fail or aren't answered: errors injected by the caller
 * (inject.c), repetition for a status that passes by itself (retry.c), time-outs (timeout.c), what
 * follows from them (ladder.c), and stopping queue pairs or a controller and going on with what was
 * in flight (revive.c).
 */
#ifndef NVMUX_FAULTS_H
#define NVMUX_FAULTS_H

#include "replay.h"

/* ---- inject.c; the queue pair's thread ---- */

/* submit() of a queue pair with injections; -EAGAIN: too many of them are under way. */
int inject_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		  const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg);
/* Complete those that were never sent and whose time has come. How many. */
uint32_t inject_run(struct nvmux_qpair *qpair);
/* Complete all that were never sent with @status. */
void inject_abort(struct nvmux_qpair *qpair, uint16_t status);
/* Those that were never sent and haven't completed. */
uint32_t inject_pending(const struct nvmux_qpair *qpair);
void inject_fini(struct nvmux_qpair *qpair);
/* What a slot has for a command whose status is replaced: what its submitter gave. False: it isn't
 * such a command. */
bool inject_unwrap(nvmux_cmd_cb *cb, void **arg);
/* A command with this callback is about to end by the library's word: no status replaces that. */
void inject_keep_status(nvmux_cmd_cb cb, void *arg);

/* ---- retry.c; the queue pair's thread ---- */

int retry_init(struct nvmux_qpair *qpair);
void retry_fini(struct nvmux_qpair *qpair);
/* Repeat what is due. */
void retry_run(struct nvmux_qpair *qpair);
/* What is held stays in its slot and isn't repeated for its status any more. */
void retry_forget(struct nvmux_qpair *qpair);
/* Whether a command may be repeated after this status (status field without phase tag). */
bool retry_status_passes(uint16_t status);

/* ---- timeout.c ---- */

#define TIMEOUT_TICKS 4 /* of ctrlr->tick in one time-out */

enum { /* nvmux_slot.flags */
	SLOT_EXPIRED = 1 << 0,  /* the callback has been called */
	SLOT_OVERDUE = 1 << 1,  /* it wasn't answered in its time */
	SLOT_REPEATED = 1 << 2, /* and has been repeated after that */
	SLOT_LOOKED = 1 << 3,   /* timeout_scan() has seen it */
};

/* The queue pair's thread, with nothing left to be reaped: the tick has changed since the last
 * look. */
void timeout_scan(struct nvmux_qpair *qpair);
/* The control thread: begin and end to count; also when the time has changed. */
void timeout_start(struct nvmux_ctrlr *ctrlr);
void timeout_stop(struct nvmux_ctrlr *ctrlr);
/* The control thread: an admin command is overdue. True: somebody looks after it. May free the
 * controller then. */
bool timeout_admin(struct nvmux_ctrlr *ctrlr, uint16_t cid);
/* A step of a look at the namespaces isn't answered: the look ends with @err, and the controller is
 * reset. False: that isn't for us. May free the controller. */
bool timeout_rescan(struct nvmux_ctrlr *ctrlr, int err);
/* It is ready again: the reset begins, if there is to be one. */
void timeout_rescan_ended(struct nvmux_ctrlr *ctrlr);
/* A queue pair has a new connection: what was found out about it before doesn't count. */
void timeout_forget(struct nvmux_qpair *qpair);
/* @ms in ticks. */
uint32_t timeout_ticks(const struct nvmux_ctrlr *ctrlr, uint32_t ms);
/* Deadline of an admin command in ms. */
uint32_t timeout_admin_ms(const struct nvmux_ctrlr *ctrlr);
int timeout_init(struct nvmux_ctrlr *ctrlr);
void timeout_fini(struct nvmux_ctrlr *ctrlr);

/* ---- ladder.c; pure ---- */

enum ladder_rung {
	LADDER_GROUND, /* nothing is overdue */
	LADDER_ABORT,
	LADDER_QUEUE,     /* delete the queue pair's queues and make them anew */
	LADDER_CTRLR,     /* reset the controller */
	LADDER_FUNCTION,  /* reset the function, where the transport can */
	LADDER_SUBSYSTEM, /* NVM subsystem reset, where there is one */
	LADDER_FAIL,
	LADDER_RUNGS,
};

enum ladder_has {
	LADDER_HAS_FUNCTION = 1 << 0,
	LADDER_HAS_NSSR = 1 << 1,
};

/*
 * One look at tick @tick: what is to be done now, or LADDER_GROUND: nothing. Each rung has a
 * time-out to help; the ladder is climbed anew after two time-outs in which nothing was overdue.
 * @has: enum ladder_has, what there is.
 */
enum ladder_rung ladder_look(struct ladder *ladder, uint32_t tick, bool overdue, unsigned has);
/* The next rung at once. */
enum ladder_rung ladder_climb(struct ladder *ladder, uint32_t tick, unsigned has);
const char *ladder_rung_name(enum ladder_rung rung);

/* ---- revive.c; the control thread ---- */

enum revive_kind {
	REVIVE_QUEUES, /* of those queue pairs that have their flag `reviving` set */
	REVIVE_CTRLR,
	REVIVE_FUNCTION,
	REVIVE_SUBSYSTEM,
};

/*
 * Stop queue pairs by their owners, then delete and make anew their queues, or reset the
 * controller; then owners repeat what may be repeated and end the rest with "outcome unknown". For
 * transports with inflight() and repost() that aren't fabrics. What fails is followed by what is
 * harder. Owners have revive_patience_ms() to stop; one that comes later finds its queues made
 * anew then.
 * @done: 0 when all is over; -ETIMEDOUT: an owner didn't stop (REVIVE_QUEUES); the first error
 * otherwise: the controller is lost then. -EBUSY: one is under way, or the controller isn't ready.
 * @why: nobody has asked for it; a reset ends with NVMUX_CTRLR_RESET and this text. NULL: somebody
 * has, and knows.
 */
void revive_async(struct nvmux_ctrlr *ctrlr, enum revive_kind kind, const char *why,
		  nvmux_done_fn done, void *arg);
bool revive_possible(const struct nvmux_ctrlr *ctrlr);
/* An admin command isn't answered while one is under way: something harder instead, unless a reset
 * is about to begin. False: there is nothing harder. */
bool revive_escalate(struct nvmux_ctrlr *ctrlr);
/* Leave off at the next step and disconnect the controller then. False: not under way. */
bool revive_then_disconnect(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
bool revive_active(const struct nvmux_ctrlr *ctrlr);
/* The controller goes away. */
void revive_cancel(struct nvmux_ctrlr *ctrlr);

#endif
