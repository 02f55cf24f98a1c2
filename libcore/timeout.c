// SPDX-License-Identifier: BSD-3-Clause
/*
 * Time-outs without a clock in the I/O path.
 *
 * Happy path: a timer of the control thread counts quarters of the time-out in ctrlr->tick; each
 * slot keeps the tick of its submission. The owner of a queue pair, when it finds that the tick has
 * changed and nothing is left to be reaped, looks at its slots, and says which command is overdue;
 * the control thread reads CSTS with its next tick, looks at all queue pairs, climbs the ladder.
 * Where the caller registered a callback the owner calls it instead. CSTS is read now and then even
 * when nothing is in flight: a controller may report a fatal status, or be gone.
 *
 * A command is overdue when its queue pair has been polled all the time: what passes while its
 * owner doesn't poll, isn't counted. A completion may be there that nobody takes, or the doorbell
 * hasn't been rung yet; that is no fault of the device, and nothing is done about it but to say so
 * once.
 *
 * Failure modes. Admin commands have deadlines of their own (admin.c); one that passes means a
 * reset at once, where this file is in charge, since abort and the deletion of queues are admin
 * commands as well. CSTS can't be read: the transport tells what that means.
 */
#include <errno.h>

#include <nvmux/admin.h>
#include <nvmux/fault.h>

#include "ctrlr_state.h"
#include "faults.h"
#include "recover.h"

#define MS_MAX       (24u * 3600 * 1000)
#define HEALTH_MS    1000 /* from one look at CSTS to the next, at most */
#define ABORTS_MAX   4    /* under way; and ACL + 1 */

struct nvmux_timeouts {
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_timer timer;
	struct nvmux_timer health;
	struct ladder ladder; /* from the reset of the controller on */
	uint32_t io_ms;
	uint32_t admin_ms;
	bool reading; /* CSTS */
	bool looking; /* at queue pairs, when it has been read */
	uint32_t n_aborts;
	uint8_t rescan_rung; /* what follows the scan that is ended for it; or LADDER_GROUND */
	nvmux_timeout_cb cb; /* atomic: read by owners of queue pairs */
	void *arg;
};

/* Where no callback is registered. A managed controller's time-outs are its manager's. */
static uint32_t own_io_ms(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED ? 0 : ctrlr->opts.io_timeout_ms;
}

int timeout_init(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_timeouts *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->ctrlr = ctrlr;
	t->io_ms = own_io_ms(ctrlr);
	ctrlr->timeouts = t;
	return 0;
}

void timeout_stop(struct nvmux_ctrlr *ctrlr)
{
	if (!ctrlr->timeouts)
		return;
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->timeouts->timer);
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->timeouts->health);
}

void timeout_fini(struct nvmux_ctrlr *ctrlr)
{
	timeout_stop(ctrlr);
	free(ctrlr->timeouts);
	ctrlr->timeouts = NULL;
}

uint32_t timeout_admin_ms(const struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux_timeouts *t = ctrlr->timeouts;

	return t && t->cb && t->admin_ms ? t->admin_ms : ctrlr->opts.admin_timeout_ms;
}

/* ---- the owner of a queue pair ---- */

static bool is_overdue(const struct nvmux_slot *slot, uint32_t tick)
{
	/* signed: one that is held for its status has a tick to come */
	return slot->cb && (int32_t)(tick - slot->tick) > TIMEOUT_TICKS;
}

void timeout_scan(struct nvmux_qpair *qpair)
{
	struct nvmux_ctrlr *ctrlr = qpair->ctrlr;
	const struct nvmux_timeouts *t = ctrlr->timeouts;
	nvmux_timeout_cb cb = __atomic_load_n(&t->cb, __ATOMIC_ACQUIRE);
	uint32_t tick = nvmux_ctrlr_tick(ctrlr), first = 0;
	uint32_t missed = tick - qpair->seen_tick - 1;

	__atomic_store_n(&qpair->seen_tick, tick, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < qpair->depth; i++) {
		struct nvmux_slot *slot = &qpair->slots[i];

		/* one that is new may have been submitted a moment ago */
		if (unlikely(missed) && (int32_t)(tick - slot->tick) > 0)
			slot->tick += MIN(missed + !(slot->flags & SLOT_LOOKED), tick - slot->tick);
		slot->flags |= SLOT_LOOKED;
		if (!is_overdue(slot, tick))
			continue;
		first = first ? first : nvmux_qpair_cid(qpair, (uint16_t)i) + 1u;
		slot->flags |= SLOT_OVERDUE;
		if (!cb || slot->flags & SLOT_EXPIRED)
			continue;
		slot->flags |= SLOT_EXPIRED;
		cb(t->arg, ctrlr, qpair, nvmux_qpair_cid(qpair, (uint16_t)i));
	}
	__atomic_store_n(&qpair->overdue, first, __ATOMIC_RELAXED);
}

/* ---- the control thread ---- */

void timeout_forget(struct nvmux_qpair *qpair)
{
	__atomic_store_n(&qpair->overdue, 0, __ATOMIC_RELAXED);
	qpair->ladder = (struct ladder){0};
}

/* It may have helped: there is a new time-out in which to show it. */
static void restart_ladder(struct ladder *ladder, uint32_t tick)
{
	ladder->at = tick;
	ladder->clear = true;
}

static void queues_revived(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;
	struct nvmux_qpair *qpair;

	(void)err;
	(void)value;
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (!revive_active(ctrlr)) /* also where it has been refused */
			qpair->reviving = false;
		if (qpair->ladder.rung == LADDER_QUEUE)
			restart_ladder(&qpair->ladder, ctrlr->tick);
	}
}

/* What follows for a queue pair after this one is the next reset of the controller. */
static void ctrlr_revived(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;
	struct nvmux_qpair *qpair;

	(void)value;
	if (err || !ctrlr->timeouts)
		return;
	restart_ladder(&ctrlr->timeouts->ladder, ctrlr->tick);
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		qpair->ladder.rung = LADDER_QUEUE;
		restart_ladder(&qpair->ladder, ctrlr->tick);
	}
}

static void give_up(struct nvmux_ctrlr *ctrlr)
{
	nvmux_ctrlr_lost(ctrlr, nvmux_error(ctrlr->nvmux, -ETIMEDOUT,
					    "%s: commands weren't answered within %u ms, and "
					    "nothing helped",
					    ctrlr->trid.traddr, ctrlr->opts.io_timeout_ms));
}

static void aborted(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_ctrlr *ctrlr = arg;

	(void)cpl; /* whether it helped is seen by the command itself */
	if (ctrlr->timeouts)
		ctrlr->timeouts->n_aborts--;
}

/* More than may be under way at once are left out: their queue pairs have the next rung. */
static void send_abort(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair, uint32_t overdue)
{
	if (ctrlr->timeouts->n_aborts >= MIN(ctrlr->id.acl + 1u, (uint32_t)ABORTS_MAX))
		return;
	if (!nvmux_ctrlr_cmd_abort(ctrlr, qpair, (uint16_t)(overdue - 1), aborted, ctrlr))
		ctrlr->timeouts->n_aborts++;
}

#define UNANSWERED "commands weren't answered"

static enum ladder_rung next_rung(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;
	uint8_t kinds = ctrlr_reset_kinds(ctrlr);
	unsigned has = (kinds & CTRLR_RESET_FUNCTION ? LADDER_HAS_FUNCTION : 0u) |
		       (kinds & CTRLR_RESET_SUBSYSTEM ? LADDER_HAS_NSSR : 0u);
	enum ladder_rung rung;

	t->ladder.rung = MAX(t->ladder.rung, (uint8_t)LADDER_QUEUE);
	rung = ladder_climb(&t->ladder, ctrlr->tick, has);
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr", "%s: %s", ctrlr->trid.traddr,
		  ladder_rung_name(rung));
	return rung;
}

/* The rungs that reset the controller; the others are REVIVE_QUEUES here. */
static const enum revive_kind reset_kinds[LADDER_RUNGS] = {
	[LADDER_CTRLR] = REVIVE_CTRLR,
	[LADDER_FUNCTION] = REVIVE_FUNCTION,
	[LADDER_SUBSYSTEM] = REVIVE_SUBSYSTEM,
};

/* The next rung that concerns the whole controller. */
static void climb(struct nvmux_ctrlr *ctrlr, const char *why)
{
	enum revive_kind kind = reset_kinds[next_rung(ctrlr)];

	if (kind == REVIVE_QUEUES)
		give_up(ctrlr);
	else
		revive_async(ctrlr, kind, why, ctrlr_revived, ctrlr);
}

/* What the owner has found, if it has looked since and goes on looking. */
static uint32_t overdue_of(const struct nvmux_qpair *qpair)
{
	uint32_t seen = __atomic_load_n(&qpair->seen_tick, __ATOMIC_RELAXED);

	if (nvmux_qpair_get_state(qpair) != NVMUX_QPAIR_CONNECTED || qpair->freeing ||
	    qpair->ctrlr->tick - seen > 2)
		return 0;
	return __atomic_load_n(&qpair->overdue, __ATOMIC_RELAXED);
}

/* Nobody has polled it for a time-out, although commands are in flight. Said once. */
static void look_for_neglect(struct nvmux_qpair *qpair)
{
	const struct nvmux_ctrlr *ctrlr = qpair->ctrlr;
	uint32_t seen = __atomic_load_n(&qpair->seen_tick, __ATOMIC_RELAXED);
	bool neglected = ctrlr->tick - seen > TIMEOUT_TICKS + 1 &&
			 nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_CONNECTED && !qpair->freeing &&
			 nvmux_qpair_outstanding(qpair);

	if (neglected && !qpair->neglected) {
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
			  "%s: queue %u has commands in flight and isn't polled",
			  ctrlr->trid.traddr, qpair->id);
		qpair->neglect_told = false;
	}
	qpair->neglected = neglected;
}

/* Callbacks may free any queue pair, and detach the controller: each is looked for anew. */
static void tell_neglect(struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux_timeouts *t = ctrlr->timeouts;
	const struct nvmux *nvmux = ctrlr->nvmux;
	uint16_t index = ctrlr->index;
	struct nvmux_qpair *qpair;

	do {
		TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
			if (qpair->neglected && !qpair->neglect_told && !qpair->freeing)
				break;
		}
		if (!qpair || !t->cb)
			return;
		qpair->neglect_told = true;
		t->cb(t->arg, ctrlr, qpair, NVMUX_CID_UNKNOWN);
	} while (nvmux->ctrlrs[index] == ctrlr && !ctrlr->detaching && !ctrlr->failed);
}

/* What is done about one queue pair. */
static void climb_queue(struct nvmux_qpair *qpair, enum ladder_rung rung, uint32_t overdue)
{
	struct nvmux_ctrlr *ctrlr = qpair->ctrlr;

	/* only with what was found now: nothing else is revived */
	qpair->reviving = rung == LADDER_QUEUE && revive_possible(ctrlr);
	if (rung == LADDER_GROUND)
		return;
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
		  "%s: queue %u: command %u wasn't answered within %u ms: %s", ctrlr->trid.traddr,
		  qpair->id, overdue - 1, ctrlr->timeouts->io_ms, ladder_rung_name(rung));
	if (rung == LADDER_ABORT)
		send_abort(ctrlr, qpair, overdue);
}

static void look(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;
	bool any = false, queues = false, all = false;
	struct nvmux_qpair *qpair;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		uint32_t overdue = t->cb ? 0 : overdue_of(qpair);
		enum ladder_rung rung = ladder_look(&qpair->ladder, ctrlr->tick, overdue, 0);

		look_for_neglect(qpair);
		climb_queue(qpair, rung, overdue);
		any |= overdue != 0;
		all |= rung > LADDER_QUEUE;
		queues |= rung == LADDER_QUEUE;
	}
	if (!any)
		ladder_look(&t->ladder, ctrlr->tick, false, 0);
	if ((all || queues) && !revive_possible(ctrlr))
		nvmux_ctrlr_link_lost(ctrlr, nvmux_error(ctrlr->nvmux, -ETIMEDOUT,
							 "%s: a command wasn't answered within "
							 "%u ms",
							 ctrlr->trid.traddr, t->io_ms));
	else if (all)
		climb(ctrlr, UNANSWERED);
	else if (queues)
		revive_async(ctrlr, REVIVE_QUEUES, UNANSWERED, queues_revived, ctrlr);
	else
		tell_neglect(ctrlr); /* may free the controller */
}

static bool is_idle(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->state == CTRLR_READY && ctrlr_is_resting(ctrlr) && !ctrlr->failed &&
	       !ctrlr->detaching && !revive_active(ctrlr);
}

static void csts_read(void *arg, int err, uint64_t csts)
{
	struct nvmux_timeouts *t = arg;
	struct nvmux_ctrlr *ctrlr = t->ctrlr;
	bool looking = t->looking;

	t->reading = t->looking = false;
	if (!is_idle(ctrlr))
		return;
	if (err == -ENODEV || (!err && (uint32_t)csts == UINT32_MAX)) {
		nvmux_ctrlr_lost(ctrlr, nvmux_error(ctrlr->nvmux, -ENODEV,
						    "%s: CSTS reads all ones: the device has gone",
						    ctrlr->trid.traddr));
	} else if (!err && NVME_CSTS_CFS(csts) && !t->cb) {
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
			  "%s: CSTS.CFS: the controller reports a fatal status",
			  ctrlr->trid.traddr);
		climb(ctrlr, "CSTS.CFS");
	} else if (looking) {
		look(ctrlr);
	}
}

/* CSTS, then perhaps queue pairs. May end the controller. */
static void examine(struct nvmux_ctrlr *ctrlr, bool looking)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;

	if (!is_idle(ctrlr))
		return;
	if (!revive_possible(ctrlr)) {
		if (looking)
			look(ctrlr);
		return;
	}
	t->looking |= looking;
	if (t->reading)
		return;
	t->reading = true;
	ctrlr->transport->reg_read(ctrlr, NVME_REG_CSTS, 4, csts_read, t);
}

static void health_due(void *arg)
{
	struct nvmux_timeouts *t = arg;
	struct nvmux_ctrlr *ctrlr = t->ctrlr;
	const struct nvmux *nvmux = ctrlr->nvmux;
	uint16_t index = ctrlr->index;

	nvmux_timer_set(ctrlr->nvmux, &t->health, HEALTH_MS, health_due, t);
	/* An interrupt may have been lost. May free the controller. */
	nvmux_ctrlr_process_admin_completions(ctrlr);
	if (nvmux->ctrlrs[index] == ctrlr)
		examine(ctrlr, false);
}

static void ticked(void *arg)
{
	struct nvmux_timeouts *t = arg;
	struct nvmux_ctrlr *ctrlr = t->ctrlr;

	__atomic_store_n(&ctrlr->tick, ctrlr->tick + 1, __ATOMIC_RELAXED);
	timeout_start(ctrlr);
	examine(ctrlr, true);
}

void timeout_start(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;

	if (t && t->io_ms)
		nvmux_timer_set(ctrlr->nvmux, &t->timer, MAX(t->io_ms / TIMEOUT_TICKS, 1u), ticked,
				t);
	if (t && revive_possible(ctrlr) && !t->health.deadline_ms)
		nvmux_timer_set(ctrlr->nvmux, &t->health, HEALTH_MS, health_due, t);
}

uint32_t timeout_ticks(const struct nvmux_ctrlr *ctrlr, uint32_t ms)
{
	uint32_t io_ms = ctrlr->timeouts ? ctrlr->timeouts->io_ms : 0;

	return io_ms ? (uint32_t)((uint64_t)ms * TIMEOUT_TICKS / io_ms) : 0;
}

bool timeout_rescan(struct nvmux_ctrlr *ctrlr, int err)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;

	if (!ctrlr->rescanning || !t || t->cb || !t->io_ms || !revive_possible(ctrlr) ||
	    ctrlr->failed || ctrlr->detaching)
		return false;
	t->rescan_rung = (uint8_t)next_rung(ctrlr);
	if (t->rescan_rung == LADDER_FAIL)
		give_up(ctrlr);
	else
		ctrlr_end_rescan(ctrlr, err);
	return true;
}

void timeout_rescan_ended(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;
	enum revive_kind kind = t ? reset_kinds[t->rescan_rung] : REVIVE_QUEUES;

	if (kind == REVIVE_QUEUES)
		return;
	t->rescan_rung = LADDER_GROUND;
	revive_async(ctrlr, kind, "an admin command wasn't answered", ctrlr_revived, ctrlr);
}

bool timeout_admin(struct nvmux_ctrlr *ctrlr, uint16_t cid)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;

	if (!t || ctrlr->failed || ctrlr->detaching)
		return false;
	if (ctrlr->rescanning)
		return timeout_rescan(ctrlr, nvmux_error(ctrlr->nvmux, -ETIMEDOUT,
							 "%s: an admin command wasn't answered",
							 ctrlr->trid.traddr));
	if (ctrlr->state != CTRLR_READY)
		return ctrlr_reset_expired(ctrlr);
	if (t->cb && t->admin_ms) {
		t->cb(t->arg, ctrlr, NULL, cid);
		return true;
	}
	if (!revive_possible(ctrlr))
		return false;
	if (revive_active(ctrlr))
		return revive_escalate(ctrlr);
	if (t->cb || !t->io_ms || !is_idle(ctrlr))
		return false;
	climb(ctrlr, "an admin command wasn't answered");
	return true;
}

int nvmux_ctrlr_register_timeout_callback(struct nvmux_ctrlr *ctrlr, uint32_t io_ms,
					  uint32_t admin_ms, nvmux_timeout_cb cb, void *arg)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;

	if (io_ms > MS_MAX || admin_ms > MS_MAX)
		return nvmux_error(ctrlr->nvmux, -EINVAL,
				   "io_ms is %u, admin_ms is %u; at most %u are possible", io_ms,
				   admin_ms, MS_MAX);
	timeout_stop(ctrlr);
	t->arg = arg;
	t->admin_ms = cb ? admin_ms : 0;
	t->io_ms = cb ? io_ms : own_io_ms(ctrlr);
	__atomic_store_n(&t->cb, cb, __ATOMIC_RELEASE);
	timeout_start(ctrlr);
	return 0;
}
