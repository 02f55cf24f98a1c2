/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When to do what for a connection: attempts to restore it and their deadlines, keep-alive, and how
 * long what isn't a read has to wait. Pure: fed with the time, no I/O.
 */
#ifndef NVMUX_RECONNECT_H
#define NVMUX_RECONNECT_H

#include "core.h"

/* ---- attempts ---- */

enum reconnect_action {
	RECONNECT_NOTHING,
	RECONNECT_TRY,
	RECONNECT_FAIL_IO, /* once: commands aren't kept waiting any longer */
	RECONNECT_GIVE_UP,
};

struct reconnect {
	uint64_t delay_ms;
	int64_t fast_fail_ms; /* -1: never */
	int64_t loss_ms;      /* -1: never */
	bool lost;
	bool trying;
	bool failing;
	uint32_t attempts; /* since the loss */
	uint64_t lost_at;
	uint64_t next_at; /* of the next attempt */
};

/* Whether the three options are in order; the text of what isn't goes to the context. */
int reconnect_check_opts(struct nvmux *nvmux, const struct nvmux_ctrlr_opts *opts);
void reconnect_init(struct reconnect *r, const struct nvmux_ctrlr_opts *opts);
/* The connection is lost at @now: the first attempt is due at once. */
void reconnect_lost(struct reconnect *r, uint64_t now);
/* What is due; each but GIVE_UP is taken note of. Nothing is tried while an attempt goes on. */
enum reconnect_action reconnect_due(struct reconnect *r, uint64_t now);
void reconnect_attempt_failed(struct reconnect *r, uint64_t now);
void reconnect_restored(struct reconnect *r);
/* Time until reconnect_due() must be asked again; UINT64_MAX: not by time. */
uint64_t reconnect_wait_ms(const struct reconnect *r, uint64_t now);
/* Time left until then, -1: never or past. */
int64_t reconnect_fast_fail_left(const struct reconnect *r, uint64_t now);
int64_t reconnect_loss_left(const struct reconnect *r, uint64_t now);

/* ---- keep-alive. Base specification 2.0, section 3.9 ---- */

enum keep_alive_action {
	KEEP_ALIVE_NOTHING,
	KEEP_ALIVE_SEND,
	KEEP_ALIVE_EXPIRED, /* an earlier one has not been answered within KATO */
};

struct keep_alive {
	uint32_t kato_ms; /* 0: off */
	bool sent;        /* not answered yet */
	uint64_t sent_at;
	uint64_t next_at;
};

/* KATO as the controller takes it: a multiple of the granularity (KAS, in units of 100 ms). */
uint32_t keep_alive_round(uint32_t kato_ms, uint16_t kas);
/* Connected at @now. */
void keep_alive_start(struct keep_alive *ka, uint32_t kato_ms, uint64_t now);
void keep_alive_stop(struct keep_alive *ka);
enum keep_alive_action keep_alive_due(struct keep_alive *ka, uint64_t now);
void keep_alive_answered(struct keep_alive *ka);
uint64_t keep_alive_wait_ms(const struct keep_alive *ka, uint64_t now);

/*
 * How long after the last contact a controller may still execute commands: until its keep-alive
 * timer has expired (a whole interval later when it counts traffic, CTRATT.TBKAS), and as long as
 * it needs to stop them then. Base specification 2.1, section 9.6.
 */
uint64_t reconnect_hold_ms(uint32_t kato_ms, bool tbkas, uint32_t quiesce_ms);

/* ---- what may be repeated ---- */

enum replay_class {
	REPLAY_NOW,   /* changes nothing */
	REPLAY_HELD,  /* has the same effect again, once nothing older can come after it */
	REPLAY_FLUSH, /* after the held ones have been repeated */
	REPLAY_NEVER, /* ends with "outcome unknown" */
};

/* A namespace as replay sees it. */
struct replay_ns {
	uint32_t nsid;
	bool same; /* there, and the same as before the loss */
	bool nvm;  /* neither zoned nor key-value */
};

/*
 * By the allow-list: read, compare, verify; write, write zeroes, write uncorrectable, deallocate on
 * a namespace that isn't zoned; flush. @ns NULL: unknown. @stops: the old controller is known to
 * stop (it has a keep-alive timer); without that nothing but reads is repeated.
 */
enum replay_class replay_class(const struct nvmux_cmd *cmd, const struct replay_ns *ns, bool stops);

#endif
