// SPDX-License-Identifier: BSD-3-Clause
/* Timing of attempts and of keep-alive, and the rule of replay; see reconnect.h. */
#include <errno.h>

#include "reconnect.h"

#define DELAY_MAX_SEC   3600
#define TIMEOUT_MAX_SEC (30 * 24 * 3600)

/* ---- attempts ---- */

int reconnect_check_opts(struct nvmux *nvmux, const struct nvmux_ctrlr_opts *opts)
{
	int32_t delay = opts->reconnect_delay_sec, fast = opts->fast_io_fail_timeout_sec;
	int32_t loss = opts->ctrlr_loss_timeout_sec;

	if (delay < 1 || delay > DELAY_MAX_SEC)
		return nvmux_error(nvmux, -EINVAL, "reconnect_delay_sec is %d; it must be 1 to %d",
				   delay, DELAY_MAX_SEC);
	if (fast < -1 || fast > TIMEOUT_MAX_SEC)
		return nvmux_error(
			nvmux, -EINVAL,
			"fast_io_fail_timeout_sec is %d; it must be 0 or -1 (off), or 1 to %d",
			fast, TIMEOUT_MAX_SEC);
	if (loss < -1 || loss > TIMEOUT_MAX_SEC)
		return nvmux_error(nvmux, -EINVAL,
				   "ctrlr_loss_timeout_sec is %d; it must be -1 (never), 0 (no "
				   "attempt), or 1 to %d",
				   loss, TIMEOUT_MAX_SEC);
	if (fast > 0 && delay > fast)
		return nvmux_error(nvmux, -EINVAL,
				   "reconnect_delay_sec is %d; it must not be more than "
				   "fast_io_fail_timeout_sec, %d",
				   delay, fast);
	if (loss > 0 && delay > loss)
		return nvmux_error(nvmux, -EINVAL,
				   "reconnect_delay_sec is %d; it must not be more than "
				   "ctrlr_loss_timeout_sec, %d",
				   delay, loss);
	if (fast > 0 && loss >= 0 && fast > loss)
		return nvmux_error(nvmux, -EINVAL,
				   "fast_io_fail_timeout_sec is %d; it must not be more than "
				   "ctrlr_loss_timeout_sec, %d",
				   fast, loss);
	return 0;
}

void reconnect_init(struct reconnect *r, const struct nvmux_ctrlr_opts *opts)
{
	*r = (struct reconnect){
		.delay_ms = (uint64_t)opts->reconnect_delay_sec * 1000,
		.fast_fail_ms = opts->fast_io_fail_timeout_sec > 0
					? (int64_t)opts->fast_io_fail_timeout_sec * 1000
					: -1,
		.loss_ms = opts->ctrlr_loss_timeout_sec >= 0
				   ? (int64_t)opts->ctrlr_loss_timeout_sec * 1000
				   : -1,
	};
}

void reconnect_lost(struct reconnect *r, uint64_t now)
{
	r->lost = true;
	r->trying = false;
	r->failing = false;
	r->attempts = 0;
	r->lost_at = now;
	r->next_at = now;
}

static bool is_past(const struct reconnect *r, int64_t timeout_ms, uint64_t now)
{
	return timeout_ms >= 0 && now >= r->lost_at + (uint64_t)timeout_ms;
}

enum reconnect_action reconnect_due(struct reconnect *r, uint64_t now)
{
	if (!r->lost)
		return RECONNECT_NOTHING;
	if (is_past(r, r->loss_ms, now))
		return RECONNECT_GIVE_UP;
	if (!r->failing && is_past(r, r->fast_fail_ms, now)) {
		r->failing = true;
		return RECONNECT_FAIL_IO;
	}
	if (r->trying || now < r->next_at)
		return RECONNECT_NOTHING;
	r->trying = true;
	r->attempts++;
	return RECONNECT_TRY;
}

void reconnect_attempt_failed(struct reconnect *r, uint64_t now)
{
	r->trying = false;
	r->next_at = now + r->delay_ms;
}

void reconnect_restored(struct reconnect *r)
{
	r->lost = false;
	r->trying = false;
	r->failing = false;
}

static int64_t left(const struct reconnect *r, int64_t timeout_ms, uint64_t now)
{
	if (!r->lost || timeout_ms < 0 || is_past(r, timeout_ms, now))
		return -1;
	return (int64_t)(r->lost_at + (uint64_t)timeout_ms - now);
}

int64_t reconnect_fast_fail_left(const struct reconnect *r, uint64_t now)
{
	return left(r, r->fast_fail_ms, now);
}

int64_t reconnect_loss_left(const struct reconnect *r, uint64_t now)
{
	return left(r, r->loss_ms, now);
}

uint64_t reconnect_wait_ms(const struct reconnect *r, uint64_t now)
{
	uint64_t wait = UINT64_MAX;
	int64_t fast = left(r, r->fast_fail_ms, now), loss = left(r, r->loss_ms, now);

	if (!r->lost)
		return wait;
	if (!r->trying)
		wait = r->next_at > now ? r->next_at - now : 0;
	if (!r->failing && r->fast_fail_ms >= 0)
		wait = MIN(wait, fast < 0 ? 0u : (uint64_t)fast);
	if (r->loss_ms >= 0)
		wait = MIN(wait, loss < 0 ? 0u : (uint64_t)loss);
	return wait;
}

/* ---- keep-alive ---- */

uint32_t keep_alive_round(uint32_t kato_ms, uint16_t kas)
{
	uint32_t unit = kas * 100u;

	return unit && kato_ms ? (kato_ms + unit - 1) / unit * unit : kato_ms;
}

void keep_alive_start(struct keep_alive *ka, uint32_t kato_ms, uint64_t now)
{
	*ka = (struct keep_alive){.kato_ms = kato_ms, .next_at = now + kato_ms / 2};
}

void keep_alive_stop(struct keep_alive *ka)
{
	*ka = (struct keep_alive){0};
}

enum keep_alive_action keep_alive_due(struct keep_alive *ka, uint64_t now)
{
	if (!ka->kato_ms)
		return KEEP_ALIVE_NOTHING;
	if (ka->sent)
		return now >= ka->sent_at + ka->kato_ms ? KEEP_ALIVE_EXPIRED : KEEP_ALIVE_NOTHING;
	if (now < ka->next_at)
		return KEEP_ALIVE_NOTHING;
	ka->sent = true;
	ka->sent_at = now;
	ka->next_at = now + ka->kato_ms / 2;
	return KEEP_ALIVE_SEND;
}

void keep_alive_answered(struct keep_alive *ka)
{
	ka->sent = false;
}

uint64_t keep_alive_wait_ms(const struct keep_alive *ka, uint64_t now)
{
	uint64_t at;

	if (!ka->kato_ms)
		return UINT64_MAX;
	at = ka->sent ? ka->sent_at + ka->kato_ms : ka->next_at;
	return at > now ? at - now : 0;
}

uint64_t reconnect_hold_ms(uint32_t kato_ms, bool tbkas, uint32_t quiesce_ms)
{
	return (uint64_t)kato_ms * (tbkas ? 2 : 1) + quiesce_ms;
}

/* ---- what may be repeated ---- */

static enum replay_class write_class(const struct replay_ns *ns, bool stops)
{
	return ns && ns->same && ns->nvm && stops ? REPLAY_HELD : REPLAY_NEVER;
}

enum replay_class replay_class(const struct nvmux_cmd *cmd, const struct replay_ns *ns, bool stops)
{
	bool same = ns && ns->same;

	if (cmd->flags & 3) /* fused: half of something */
		return REPLAY_NEVER;
	switch (cmd->opc) {
	case nvme_cmd_read:
	case nvme_cmd_compare:
	case nvme_cmd_verify: return same ? REPLAY_NOW : REPLAY_NEVER;
	case nvme_cmd_write:
	case nvme_cmd_write_zeroes:
	case nvme_cmd_write_uncor:
	case nvme_cmd_dsm: return write_class(ns, stops);
	case nvme_cmd_flush: return same && stops ? REPLAY_FLUSH : REPLAY_NEVER;
	default: return REPLAY_NEVER;
	}
}
