// SPDX-License-Identifier: BSD-3-Clause
/*
 * Time-outs without a clock in the I/O path.
 *
 * Happy path: a timer of the control thread counts quarters of the time-out in ctrlr->tick; each
 * slot keeps the tick of its submission. The owner of a queue pair, when it finds that the tick has
 * changed, looks at its slots, and says which command is overdue; the control thread looks at that
 * with its next tick and climbs the ladder. Where the caller registered a callback the owner calls
 * it instead. With each tick CSTS is read, too: a controller may report a fatal status although
 * nothing is in flight, or be gone.
 *
 * Failure modes. A queue pair that its owner doesn't poll isn't looked at: its slots are the
 * owner's alone. Admin commands have deadlines of their own (admin.c); one that passes means a
 * reset at once, where this file is in charge, since abort and the deletion of queues are admin
 * commands as well.
 */
#include <errno.h>

#include <nvmux/fault.h>

#include "faults.h"
#include "recover.h"

#define SLOT_EXPIRED (1u << 0) /* nvmux_slot.flags: the callback has been called */
#define MS_MAX       (24u * 3600 * 1000)

struct nvmux_timeouts {
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_timer timer;
	struct ladder ladder;
	uint32_t io_ms;
	uint32_t admin_ms;
	bool reading; /* CSTS */
	bool abort_sent;
	nvmux_timeout_cb cb; /* atomic: read by owners of queue pairs */
	void *arg;
};

int timeout_init(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_timeouts *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->ctrlr = ctrlr;
	t->io_ms = ctrlr->opts.io_timeout_ms;
	/* A managed controller's time-outs are its manager's. */
	if (ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED)
		t->io_ms = 0;
	ctrlr->timeouts = t;
	return 0;
}

void timeout_stop(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->timeouts)
		nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->timeouts->timer);
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

	qpair->seen_tick = tick;
	for (uint32_t cid = 0; cid < qpair->depth; cid++) {
		struct nvmux_slot *slot = &qpair->slots[cid];

		if (!is_overdue(slot, tick))
			continue;
		first = first ? first : cid + 1;
		if (!cb || slot->flags & SLOT_EXPIRED)
			continue;
		slot->flags |= SLOT_EXPIRED;
		cb(t->arg, ctrlr, qpair, (uint16_t)cid);
	}
	__atomic_store_n(&qpair->overdue, first, __ATOMIC_RELAXED);
}

/* ---- the control thread ---- */

static void revived(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;

	(void)value;
	if (!err && ctrlr->timeouts) {
		ctrlr->timeouts->ladder.at = ctrlr->tick;
		ctrlr->timeouts->ladder.clear = true;
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
		ctrlr->timeouts->abort_sent = false;
}

/* Base specification 2.0, section 5.1: the queue's identifier and that of the command. */
static void send_abort(struct nvmux_ctrlr *ctrlr, const struct nvmux_qpair *qpair, uint32_t overdue)
{
	const struct nvmux_cmd cmd = {
		.opc = nvme_admin_abort_cmd,
		.cdw10 = cpu_to_le32((overdue - 1) << 16 | qpair->id),
	};

	if (ctrlr->timeouts->abort_sent)
		return; /* one at a time: ACL may be 0 */
	if (!nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, aborted, ctrlr))
		ctrlr->timeouts->abort_sent = true;
}

static void climb(struct nvmux_ctrlr *ctrlr, enum ladder_rung rung, struct nvmux_qpair *qpair,
		  uint32_t overdue)
{
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
		  "%s: queue %u: command %u wasn't answered within %u ms: %s", ctrlr->trid.traddr,
		  qpair->id, overdue - 1, ctrlr->timeouts->io_ms, ladder_rung_name(rung));
	if (rung == LADDER_ABORT)
		send_abort(ctrlr, qpair, overdue);
	else if (rung == LADDER_FAIL)
		give_up(ctrlr);
	else if (!revive_possible(ctrlr))
		nvmux_ctrlr_link_lost(ctrlr, nvmux_error(ctrlr->nvmux, -ETIMEDOUT,
							 "%s: queue %u: a command wasn't answered",
							 ctrlr->trid.traddr, qpair->id));
	else
		revive_async(ctrlr, rung == LADDER_QUEUE ? qpair : NULL, rung == LADDER_SUBSYSTEM,
			     revived, ctrlr);
}

static void look(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;
	struct nvmux_qpair *qpair;
	enum ladder_rung rung;
	uint32_t overdue = 0;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (nvmux_qpair_get_state(qpair) != NVMUX_QPAIR_CONNECTED || qpair->freeing)
			continue;
		overdue = __atomic_load_n(&qpair->overdue, __ATOMIC_RELAXED);
		if (overdue)
			break;
	}
	rung = ladder_look(&t->ladder, ctrlr->tick, overdue, NVME_CAP_NSSRC(ctrlr->cap));
	if (rung != LADDER_GROUND)
		climb(ctrlr, rung, qpair, overdue);
}

static void csts_read(void *arg, int err, uint64_t csts)
{
	struct nvmux_timeouts *t = arg;
	struct nvmux_ctrlr *ctrlr = t->ctrlr;

	t->reading = false;
	if (err || ctrlr->state != CTRLR_READY || revive_active(ctrlr))
		return;
	if ((uint32_t)csts == UINT32_MAX) {
		nvmux_ctrlr_lost(ctrlr, nvmux_error(ctrlr->nvmux, -ENODEV,
						    "%s: CSTS reads all ones: the device has gone",
						    ctrlr->trid.traddr));
	} else if (NVME_CSTS_CFS(csts) && t->ladder.rung < LADDER_CTRLR) {
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
			  "%s: CSTS.CFS: the controller reports a fatal status: reset",
			  ctrlr->trid.traddr);
		t->ladder = (struct ladder){.rung = LADDER_CTRLR, .at = ctrlr->tick};
		revive_async(ctrlr, NULL, false, revived, ctrlr);
	} else if (NVME_CSTS_CFS(csts)) {
		give_up(ctrlr);
	}
}

static void ticked(void *arg)
{
	struct nvmux_timeouts *t = arg;
	struct nvmux_ctrlr *ctrlr = t->ctrlr;
	bool ready = ctrlr->state == CTRLR_READY && ctrlr_is_resting(ctrlr) && !ctrlr->failed &&
		     !ctrlr->detaching && !revive_active(ctrlr);

	__atomic_store_n(&ctrlr->tick, ctrlr->tick + 1, __ATOMIC_RELAXED);
	timeout_start(ctrlr);
	if (!ready || t->cb)
		return;
	if (!t->reading && revive_possible(ctrlr)) {
		t->reading = true;
		ctrlr->transport->reg_read(ctrlr, NVME_REG_CSTS, 4, csts_read, t);
		if (ctrlr->state != CTRLR_READY || revive_active(ctrlr))
			return;
	}
	look(ctrlr);
}

void timeout_start(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;

	if (t && t->io_ms)
		nvmux_timer_set(ctrlr->nvmux, &t->timer, MAX(t->io_ms / TIMEOUT_TICKS, 1u), ticked,
				t);
}

uint32_t timeout_ticks(const struct nvmux_ctrlr *ctrlr, uint32_t ms)
{
	uint32_t io_ms = ctrlr->timeouts ? ctrlr->timeouts->io_ms : 0;

	return io_ms ? (uint32_t)((uint64_t)ms * TIMEOUT_TICKS / io_ms) : 0;
}

bool timeout_admin(struct nvmux_ctrlr *ctrlr, uint16_t cid)
{
	struct nvmux_timeouts *t = ctrlr->timeouts;

	if (!t || ctrlr->state != CTRLR_READY || ctrlr->failed || ctrlr->detaching)
		return false;
	if (t->cb && t->admin_ms) {
		t->cb(t->arg, ctrlr, NULL, cid);
		return true;
	}
	if (t->cb || !t->io_ms || !revive_possible(ctrlr))
		return false;
	if (revive_active(ctrlr))
		return revive_escalate(ctrlr);
	if (!ctrlr_is_resting(ctrlr) || t->ladder.rung >= LADDER_CTRLR)
		return false;
	t->ladder = (struct ladder){.rung = LADDER_CTRLR, .at = ctrlr->tick};
	revive_async(ctrlr, NULL, false, revived, ctrlr);
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
	t->io_ms = cb ? io_ms : ctrlr->opts.io_timeout_ms;
	if (!cb && ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED)
		t->io_ms = 0;
	__atomic_store_n(&t->cb, cb, __ATOMIC_RELEASE);
	timeout_start(ctrlr);
	return 0;
}
