// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control thread's part of losing and restoring a fabrics controller's connection.
 *
 * Happy path: the loss is noticed (the transport, a keep-alive or an admin command without an
 * answer) → QUIESCE: queue pairs stop, by their owners → RECONNECT_WAIT until an attempt is due →
 * the states of the start, from the admin queue's connection on → RECONNECT_QPAIRS connects I/O
 * queue pairs, with what was in flight still in their slots → READY; owners repeat what may be
 * repeated at once, and when the old controller must have stopped, the rest.
 *
 * Failure modes: an attempt fails (QUIESCE again, the next attempt after reconnect_delay_sec); the
 * connection is lost once more (it begins anew); fast_io_fail_timeout_sec passes (owners end their
 * commands with a path error, attempts go on); ctrlr_loss_timeout_sec passes (the controller is
 * lost); it is detached meanwhile (closed at once). An owner that doesn't process its queue pair
 * holds up the attempts, not the deadlines.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "recover.h"

#define QUIESCE_POLL_MS 2
#define REPLAY_POLL_MS  10

struct nvmux_recovery {
	struct nvmux_ctrlr *ctrlr;
	struct reconnect reconnect;
	struct keep_alive keep_alive;
	struct nvmux_timer deadline_timer;
	struct nvmux_timer keep_alive_timer;
	struct nvmux_timer hold_timer;
	bool active;    /* from the loss until READY */
	bool fresh;     /* the loss hasn't been followed by a quiet moment yet */
	bool deadlines; /* run: not before the first READY */
	bool replaying; /* queue pairs have something to repeat */
	uint64_t hold_until;
	uint32_t n_lost;
	uint32_t cqt_ms;
	bool tbkas;
	bool stops; /* the controller that was lost has a keep-alive timer */
	struct replay_view *view;
	char reason[256];
	nvmux_done_fn renew_done; /* who waits for nvmux_ctrlr_renew_async() */
	void *renew_arg;
};

static void deadline_passed(void *arg);
static void keep_alive_look(void *arg);

int recover_init(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->ctrlr = ctrlr;
	reconnect_init(&r->reconnect, &ctrlr->opts);
	ctrlr->recovery = r;
	return 0;
}

void recover_stop(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;
	nvmux_done_fn done;

	if (!r)
		return;
	nvmux_timer_cancel(ctrlr->nvmux, &r->deadline_timer);
	nvmux_timer_cancel(ctrlr->nvmux, &r->hold_timer);
	recover_stop_keep_alive(ctrlr);
	done = r->renew_done;
	r->renew_done = NULL;
	if (done)
		done(r->renew_arg, ctrlr->result ?: -ECANCELED, 0);
}

void recover_fini(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;

	if (!r)
		return;
	recover_stop(ctrlr);
	free(r->view);
	free(r);
	ctrlr->recovery = NULL;
}

bool recover_active(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->recovery && ctrlr->recovery->active && !ctrlr->failed && !ctrlr->detaching;
}

bool recover_renewing(const struct nvmux_ctrlr *ctrlr)
{
	return recover_active(ctrlr) && !ctrlr->recovery->reconnect.attempts;
}

static void tell(struct nvmux_ctrlr *ctrlr, enum nvmux_ctrlr_event event)
{
	if (ctrlr->event_cb)
		ctrlr->event_cb(ctrlr->event_arg, ctrlr, event);
}

static void attention(struct nvmux_qpair *qpair)
{
	struct nvmux_ctrlr *ctrlr = qpair->ctrlr;

	if (ctrlr->attention)
		ctrlr->attention(ctrlr->attention_arg, qpair);
}

/* ---- keep-alive ---- */

static void keep_alive_set_timer(struct nvmux_recovery *r)
{
	uint64_t wait = keep_alive_wait_ms(&r->keep_alive, nvmux_now_ms());

	if (wait == UINT64_MAX)
		nvmux_timer_cancel(r->ctrlr->nvmux, &r->keep_alive_timer);
	else
		nvmux_timer_set(r->ctrlr->nvmux, &r->keep_alive_timer, (uint32_t)wait,
				keep_alive_look, r);
}

void recover_stop_keep_alive(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;

	if (!r)
		return;
	keep_alive_stop(&r->keep_alive);
	keep_alive_set_timer(r);
}

static void keep_alive_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_recovery *r = arg;
	struct nvmux_ctrlr *ctrlr = r->ctrlr;
	uint16_t status = nvmux_cpl_status(cpl);

	if (!r->keep_alive.sent)
		return; /* of a connection that has gone */
	keep_alive_answered(&r->keep_alive);
	if (nvmux_cpl_is_error(cpl)) {
		nvmux_ctrlr_link_lost(
			ctrlr, nvmux_error(ctrlr->nvmux, -EIO, "%s: keep-alive: status %03x (%s)",
					   ctrlr->trid.traddr, status & NVMUX_STATUS_CODE_MASK,
					   nvmux_status_string(status)));
		return;
	}
	keep_alive_set_timer(r);
}

static void keep_alive_look(void *arg)
{
	struct nvmux_recovery *r = arg;
	struct nvmux_ctrlr *ctrlr = r->ctrlr;
	struct nvmux_cmd cmd = {.opc = nvme_admin_keep_alive};
	int err = 0;

	switch (keep_alive_due(&r->keep_alive, nvmux_now_ms())) {
	case KEEP_ALIVE_NOTHING: break;
	case KEEP_ALIVE_SEND:
		err = nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, keep_alive_done, r);
		break;
	case KEEP_ALIVE_EXPIRED:
		err = nvmux_error(ctrlr->nvmux, -ETIMEDOUT,
				  "%s: keep-alive wasn't answered within %u ms", ctrlr->trid.traddr,
				  r->keep_alive.kato_ms);
		break;
	}
	if (err)
		nvmux_ctrlr_link_lost(ctrlr, err);
	else
		keep_alive_set_timer(r);
}

void recover_connected(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;

	if (!r)
		return;
	keep_alive_start(&r->keep_alive, ctrlr->opts.keep_alive_timeout_ms, nvmux_now_ms());
	keep_alive_set_timer(r);
}

/* KAS, CTRATT and CQT of Identify Controller; base specification 2.1, figure 313. */
void recover_identified(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;
	const uint8_t *id = (const uint8_t *)&ctrlr->id;
	uint32_t cqt = id[386] | (uint32_t)id[387] << 8;

	if (!r)
		return;
	r->tbkas = le32_to_cpu(ctrlr->id.ctratt) & NVME_CTRL_CTRATT_TBKAS;
	r->cqt_ms = cqt ? cqt : ctrlr->opts.command_quiesce_time_ms;
	if (le16_to_cpu(ctrlr->id.kas) || !r->keep_alive.kato_ms)
		return;
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
		  "%s: the controller has no keep-alive timer (KAS is 0)", ctrlr->trid.traddr);
	recover_stop_keep_alive(ctrlr);
}

/* ---- deadlines ---- */

static void deadline_set_timer(struct nvmux_recovery *r)
{
	uint64_t wait = reconnect_wait_ms(&r->reconnect, nvmux_now_ms());

	if (wait == UINT64_MAX)
		nvmux_timer_cancel(r->ctrlr->nvmux, &r->deadline_timer);
	else
		nvmux_timer_set(r->ctrlr->nvmux, &r->deadline_timer,
				(uint32_t)MIN(wait, 3600u * 1000), deadline_passed, r);
}

/* Those whose connection is gone: nothing but the time for waiting is over. */
static void fail_qpairs(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_qpair *qpair;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (nvmux_qpair_get_state(qpair) != NVMUX_QPAIR_QUIET)
			continue;
		nvmux_qpair_set_state(qpair, NVMUX_QPAIR_FAILING);
		attention(qpair);
	}
}

static void give_up(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;

	nvmux_ctrlr_lost(ctrlr,
			 nvmux_error(ctrlr->nvmux, -ENOTCONN,
				     "%s: not restored within ctrlr_loss_timeout_sec, %d: %s",
				     ctrlr->trid.traddr, ctrlr->opts.ctrlr_loss_timeout_sec,
				     r->reason));
}

static void deadline_passed(void *arg)
{
	struct nvmux_recovery *r = arg;
	struct nvmux_ctrlr *ctrlr = r->ctrlr;

	if (!r->active)
		return;
	switch (reconnect_due(&r->reconnect, nvmux_now_ms())) {
	case RECONNECT_NOTHING: break;
	case RECONNECT_FAIL_IO:
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
			  "%s: commands end with a path error from now on", ctrlr->trid.traddr);
		tell(ctrlr, NVMUX_CTRLR_FAST_IO_FAIL);
		fail_qpairs(ctrlr);
		break;
	case RECONNECT_TRY:
		deadline_set_timer(r);
		ctrlr_recover_step_done(ctrlr, 0, 0);
		return; /* it may be gone */
	case RECONNECT_GIVE_UP: give_up(ctrlr); return;
	}
	deadline_set_timer(r);
}

/* ---- the states ---- */

static bool takes_part(const struct nvmux_qpair *qpair)
{
	enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);

	return state == NVMUX_QPAIR_CONNECTED || state >= NVMUX_QPAIR_QUIESCING;
}

static void end_connections(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_qpair *qpair;

	if (ctrlr->adminq) {
		nvmux_qpair_set_state(ctrlr->adminq, NVMUX_QPAIR_DISCONNECTED);
		ctrlr->transport->qpair_end(ctrlr->adminq);
	}
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (!takes_part(qpair) || !qpair->live)
			continue;
		/* release: an owner that is woken sees the loss before the connection's end */
		__atomic_store_n(&qpair->state, NVMUX_QPAIR_QUIESCING, __ATOMIC_RELEASE);
		ctrlr->transport->qpair_end(qpair);
		attention(qpair);
	}
}

/* What had been answered completes; nothing that its callbacks do may take the queue away. */
static bool quiesce_adminq(struct nvmux_ctrlr *ctrlr)
{
	bool quiet;

	if (!ctrlr->adminq)
		return true;
	ctrlr->adminq->processing = true;
	quiet = ctrlr->transport->quiesce(ctrlr->adminq);
	ctrlr->adminq->processing = false;
	return quiet;
}

static void quiesce_look(void *arg)
{
	struct nvmux_ctrlr *ctrlr = arg;
	struct nvmux_qpair *qpair;
	bool quiet = quiesce_adminq(ctrlr);

	if (ctrlr->step_ready) { /* a callback has ended it all */
		ctrlr_run(ctrlr);
		return;
	}
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		/* acquire: what the owner did before is done */
		uint8_t state = __atomic_load_n(&qpair->state, __ATOMIC_ACQUIRE);

		if (state == NVMUX_QPAIR_QUIET) {
			qpair->live = false;
		} else if (state == NVMUX_QPAIR_QUIESCING) {
			quiet = false;
			attention(qpair);
		}
	}
	if (quiet)
		ctrlr_recover_step_done(ctrlr, 0, 0);
	else
		nvmux_timer_set(ctrlr->nvmux, &ctrlr->poll_timer, QUIESCE_POLL_MS, quiesce_look,
				ctrlr);
}

void ctrlr_enter_quiesce(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;

	if (r->fresh)
		r->stops = r->keep_alive.kato_ms != 0;
	recover_stop_keep_alive(ctrlr);
	nvmux_timer_cancel(ctrlr->nvmux, &r->hold_timer);
	end_connections(ctrlr);
	quiesce_look(ctrlr);
}

/* From here on the controller that was has heard nothing of us. */
int ctrlr_finish_quiesce(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;
	uint32_t kato = keep_alive_round(ctrlr->opts.keep_alive_timeout_ms,
					 le16_to_cpu(ctrlr->id.kas));
	uint64_t now = nvmux_now_ms();

	ctrlr_admin_lose_all(ctrlr);
	ctrlr_admin_drop_ana(ctrlr);
	ctrlr_drop_scan(ctrlr);
	if (r->fresh)
		r->hold_until = now + reconnect_hold_ms(kato, r->tbkas, r->cqt_ms);
	r->fresh = false;
	if (r->reconnect.failing)
		fail_qpairs(ctrlr);
	if (r->reconnect.attempts)
		reconnect_attempt_failed(&r->reconnect, now);
	else
		r->reconnect.trying = false; /* the first one at once */
	return CTRLR_RECONNECT_WAIT;
}

void ctrlr_enter_reconnect_wait(struct nvmux_ctrlr *ctrlr)
{
	deadline_set_timer(ctrlr->recovery);
}

int ctrlr_finish_reconnect_wait(struct nvmux_ctrlr *ctrlr)
{
	ctrlr->nvmux->error[0] = '\0'; /* an older failure isn't this one's reason */
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_INFO, "ctrlr", "%s: attempt %u to connect again",
		  ctrlr->trid.traddr, ctrlr->recovery->reconnect.attempts);
	return CTRLR_CONNECT_ADMINQ;
}

/* The next queue pair without a connection. */
static struct nvmux_qpair *next_qpair(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_qpair *qpair;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);

		if (!qpair->live && !qpair->freeing &&
		    (state == NVMUX_QPAIR_QUIET || state == NVMUX_QPAIR_FAILING))
			return qpair;
	}
	return NULL;
}

static void qpair_connected(void *arg, int err, uint64_t value)
{
	struct nvmux_qpair *qpair = arg;

	qpair->live = !err;
	ctrlr_step_done(qpair->ctrlr, err, 0);
}

void ctrlr_enter_reconnect_qpairs(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_qpair *qpair = next_qpair(ctrlr);

	if (!qpair) {
		ctrlr_step_done(ctrlr, 0, 0);
		return;
	}
	ctrlr_restart_deadline(ctrlr); /* each has its own time */
	qpair->live = true; /* nobody frees it meanwhile */
	transport_qpair_connect(qpair, qpair_connected, qpair);
}

struct replay_view *recover_make_view(const struct nvmux_ctrlr *ctrlr, bool stops)
{
	struct replay_view *view =
		calloc(1, sizeof(*view) + ctrlr->n_ns * sizeof(view->ns[0]));

	if (!view)
		return NULL;
	view->stops = stops;
	view->all_same = true;
	view->n_ns = ctrlr->n_ns;
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		const struct nvmux_ns *ns = ctrlr->ns[i];

		view->ns[i] = (struct replay_ns){
			.nsid = ns->id,
			.same = ns->active && !ns->changed,
			.nvm = ns->csi == NVME_CSI_NVM,
		};
		view->all_same &= view->ns[i].same;
	}
	return view;
}

int ctrlr_finish_reconnect_qpairs(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;
	struct replay_view *view;
	struct nvmux_qpair *qpair;

	if (next_qpair(ctrlr))
		return CTRLR_RECONNECT_QPAIRS;
	view = recover_make_view(ctrlr, r->stops);
	if (!view)
		return -ENOMEM;
	free(r->view);
	r->view = view;
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);

		if (!qpair->live ||
		    (state != NVMUX_QPAIR_QUIET && state != NVMUX_QPAIR_FAILING))
			continue;
		replay_set_view(qpair, view);
		timeout_forget(qpair);
		/* release: the owner finds the new connection */
		__atomic_store_n(&qpair->state, NVMUX_QPAIR_REPLAY, __ATOMIC_RELEASE);
		attention(qpair);
	}
	return CTRLR_READY;
}

/* ---- after the connection is there again ---- */

/* Bring owners from HOLDING to RELEASE, and see when they are through. */
static void replay_look(void *arg)
{
	struct nvmux_recovery *r = arg;
	struct nvmux_ctrlr *ctrlr = r->ctrlr;
	uint64_t now = nvmux_now_ms();
	struct nvmux_qpair *qpair;
	bool busy = false, hold = false;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		switch (nvmux_qpair_get_state(qpair)) {
		case NVMUX_QPAIR_HOLDING:
			if (now < r->hold_until) {
				hold = true;
				break;
			}
			nvmux_qpair_set_state(qpair, NVMUX_QPAIR_RELEASE);
			attention(qpair);
			busy = true;
			break;
		case NVMUX_QPAIR_REPLAY:
		case NVMUX_QPAIR_RELEASE: busy = true; break;
		default: break;
		}
	}
	if (busy || hold) {
		uint64_t wait = busy ? REPLAY_POLL_MS : r->hold_until - now;

		nvmux_timer_set(ctrlr->nvmux, &r->hold_timer, (uint32_t)wait, replay_look, r);
		return;
	}
	r->replaying = false;
	tell(ctrlr, NVMUX_CTRLR_REPLAYED);
}

static void renew_end(struct nvmux_recovery *r, int err)
{
	nvmux_done_fn done = r->renew_done;

	r->renew_done = NULL;
	if (done)
		done(r->renew_arg, err, 0);
}

void recover_ready(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;

	if (!r || !r->active)
		return;
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_INFO, "ctrlr", "%s: connected again after %u attempts",
		  ctrlr->trid.traddr, r->reconnect.attempts);
	r->active = false;
	reconnect_restored(&r->reconnect);
	deadline_set_timer(r);
	r->replaying = true;
	nvmux_timer_set(ctrlr->nvmux, &r->hold_timer, 0, replay_look, r);
	tell(ctrlr, NVMUX_CTRLR_RECONNECTED);
	renew_end(r, 0);
}

/* ---- loss ---- */

static void keep_reason(struct nvmux_recovery *r, int err)
{
	const char *text = r->ctrlr->nvmux->error;

	snprintf(r->reason, sizeof(r->reason), "%.*s", (int)sizeof(r->reason) - 1,
		 *text ? text : strerror(-err));
}

/* From READY, or a step that isn't part of the start. */
static void begin(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_recovery *r = ctrlr->recovery;

	r->active = true;
	r->fresh = true;
	r->n_lost++;
	r->replaying = false;
	for (uint32_t i = 0; i < ctrlr->n_ns; i++)
		ctrlr->ns[i]->changed = false;
	reconnect_lost(&r->reconnect, nvmux_now_ms());
	r->reconnect.trying = true; /* not before queue pairs are quiet */
	deadline_set_timer(r);
	tell(ctrlr, NVMUX_CTRLR_CONNECTION_LOST);
}

void nvmux_ctrlr_link_lost(struct nvmux_ctrlr *ctrlr, int err)
{
	struct nvmux_recovery *r = ctrlr->recovery;

	if (ctrlr->state >= CTRLR_CLOSE || ctrlr->failed)
		return;
	if (!r || !ctrlr->attached || ctrlr->detaching || !ctrlr->opts.ctrlr_loss_timeout_sec) {
		nvmux_ctrlr_lost(ctrlr, err);
		return;
	}
	if (r->active) {
		/* Of an attempt under way; what was lost before is known. */
		ctrlr_step_done(ctrlr, err, 0);
		return;
	}
	keep_reason(r, err);
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr", "%s: connection lost: %s",
		  ctrlr->trid.traddr, r->reason);
	begin(ctrlr);
	ctrlr_recover_step_done(ctrlr, err, 0);
}

void recover_attempt_failed(struct nvmux_ctrlr *ctrlr, int err)
{
	struct nvmux_recovery *r = ctrlr->recovery;

	if (!r->reconnect.attempts)
		return; /* the loss itself, or disabling before a renewal */
	keep_reason(r, err);
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_INFO, "ctrlr", "%s: attempt %u failed while %s: %s",
		  ctrlr->trid.traddr, r->reconnect.attempts, ctrlr_state_name(ctrlr->state),
		  r->reason);
	tell(ctrlr, NVMUX_CTRLR_RECONNECT_FAILED);
	renew_end(r, err);
}

void nvmux_ctrlr_renew_async(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct nvmux_recovery *r = ctrlr->recovery;

	if (!r || ctrlr->state != CTRLR_READY || !ctrlr_is_resting(ctrlr) || r->renew_done) {
		done(arg,
		     nvmux_error(ctrlr->nvmux, ctrlr->failed ? -ENXIO : -EBUSY,
				 "%s can't be reset: it is %s", ctrlr->trid.traddr,
				 nvmux_ctrlr_get_state_string(ctrlr)),
		     0);
		return;
	}
	r->renew_done = done;
	r->renew_arg = arg;
	snprintf(r->reason, sizeof(r->reason), "reset");
	begin(ctrlr);
	ctrlr_go(ctrlr, CTRLR_DISABLE, NULL, NULL);
}

/* ---- what it says of itself ---- */

static enum nvmux_connection_state connection_state(const struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux_recovery *r = ctrlr->recovery;
	const struct nvmux_qpair *qpair;

	if (r && r->active && !ctrlr->failed)
		return r->reconnect.failing ? NVMUX_CONNECTION_FAILING
					    : NVMUX_CONNECTION_RECONNECTING;
	if (ctrlr->failed || !ctrlr_is_usable(ctrlr))
		return NVMUX_CONNECTION_NONE;
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (nvmux_qpair_get_state(qpair) >= NVMUX_QPAIR_REPLAY)
			return NVMUX_CONNECTION_HOLDING;
	}
	return NVMUX_CONNECTION_UP;
}

void nvmux_ctrlr_get_connection(const struct nvmux_ctrlr *ctrlr, struct nvmux_connection_info *ret)
{
	const struct nvmux_recovery *r = ctrlr->recovery;
	uint64_t now = nvmux_now_ms();

	*ret = (struct nvmux_connection_info){
		.state = connection_state(ctrlr),
		.fast_io_fail_ms = -1,
		.ctrlr_loss_ms = -1,
	};
	memcpy(ret->reason, ctrlr->reset_reason, sizeof(ctrlr->reset_reason));
	if (!r)
		return;
	ret->lost = r->n_lost;
	ret->attempts = r->reconnect.attempts;
	ret->keep_alive_ms = r->keep_alive.kato_ms;
	if (r->active) {
		ret->lost_for_ms = now - r->reconnect.lost_at;
		ret->fast_io_fail_ms = reconnect_fast_fail_left(&r->reconnect, now);
		ret->ctrlr_loss_ms = reconnect_loss_left(&r->reconnect, now);
		if (!r->reconnect.trying && r->reconnect.next_at > now)
			ret->next_attempt_ms = r->reconnect.next_at - now;
	}
	if ((r->active || ret->state == NVMUX_CONNECTION_HOLDING) && r->hold_until > now)
		ret->hold_ms = r->hold_until - now;
	memcpy(ret->reason, r->reason, sizeof(ret->reason));
}

const char *nvmux_connection_state_string(enum nvmux_connection_state state)
{
	switch (state) {
	case NVMUX_CONNECTION_NONE: return "none";
	case NVMUX_CONNECTION_UP: return "up";
	case NVMUX_CONNECTION_RECONNECTING: return "reconnecting";
	case NVMUX_CONNECTION_FAILING: return "failing";
	case NVMUX_CONNECTION_HOLDING: return "holding";
	}
	return "unknown";
}

/* ---- owners that are the control thread itself ---- */

static struct nvmux_qpair *nth_qpair(const struct nvmux_ctrlr *ctrlr, uint32_t n)
{
	struct nvmux_qpair *qpair;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (!n--)
			break;
	}
	return qpair;
}

void recover_process_qpairs(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_qpair *qpair;

	/* By number: callbacks may free any of them. */
	for (uint32_t i = 0; (qpair = nth_qpair(ctrlr, i)); i++) {
		if (nvmux_qpair_get_state(qpair) >= NVMUX_QPAIR_QUIESCING)
			nvmux_qpair_process_completions(qpair, 0);
	}
}
