// SPDX-License-Identifier: BSD-3-Clause
/*
 * The owner's part of losing a connection: stop using it, and when it is there again repeat what
 * was in flight.
 *
 * Happy path: QUIESCING: the transport is asked to stop until it has (QUIET). REPLAY: each command
 * in a slot is classified; reads go out at once, the rest is marked and waits (HOLDING), new
 * commands pass it. RELEASE: what may be repeated goes out, what may not ends with "outcome
 * unknown". A flush that waits goes out when the commands that were repeated before it have
 * completed: their callbacks are wrapped to count them.
 *
 * Failure modes: the connection is lost again in any of these states (it begins anew; what is
 * marked is classified anew); the time for waiting is over (FAILING: all end with a path error); a
 * command that can't be sent again (it ends with a path error).
 *
 * The state word is written by both sides: the owner moves it on by compare-and-swap only, so that
 * a loss which the control thread writes meanwhile is never overwritten.
 */
#include <errno.h>

#include "faults.h"
#include "split.h"


enum replay_mark {
	MARK_NONE,
	MARK_HELD,
	MARK_FLUSH,
	MARK_NEVER,
	MARK_COUNTED, /* repeated, and a flush waits for it */
};

struct replay_cmd {
	uint8_t mark; /* enum replay_mark */
	struct nvmux_qpair *qpair;
	struct nvmux_slot slot; /* the original one of a counted command */
};

struct nvmux_replay {
	const struct replay_view *view;
	uint32_t n_marked;  /* not repeated yet */
	uint32_t n_counted; /* repeated, not completed */
	uint32_t n_flush;   /* flushes that wait for these */
	struct replay_cmd cmds[]; /* by identifier */
};

int replay_init(struct nvmux_qpair *qpair)
{
	struct nvmux_replay *replay =
		calloc(1, sizeof(*replay) + qpair->depth * sizeof(replay->cmds[0]));

	if (!replay)
		return -ENOMEM;
	for (uint32_t cid = 0; cid < qpair->depth; cid++)
		replay->cmds[cid].qpair = qpair;
	qpair->replay = replay;
	return 0;
}

void replay_fini(struct nvmux_qpair *qpair)
{
	free(qpair->replay);
	qpair->replay = NULL;
}

void replay_set_view(struct nvmux_qpair *qpair, const struct replay_view *view)
{
	qpair->replay->view = view;
}

/* Unless the control thread has written something else meanwhile. */
static void move_on(struct nvmux_qpair *qpair, enum nvmux_qpair_state from,
		    enum nvmux_qpair_state to)
{
	uint8_t expected = (uint8_t)from;

	/* release: the control thread sees what the owner did before */
	__atomic_compare_exchange_n(&qpair->state, &expected, (uint8_t)to, false, __ATOMIC_RELEASE,
				    __ATOMIC_RELAXED);
}

static void complete(struct nvmux_qpair *qpair, uint16_t cid, uint16_t status)
{
	struct nvmux_cpl cpl = {
		.cid = cpu_to_le16(cid),
		.sqid = cpu_to_le16(qpair->id),
		.status = cpu_to_le16((uint16_t)(status << 1)),
	};

	nvmux_qpair_complete(qpair, &cpl);
}

static void repost(struct nvmux_qpair *qpair, uint16_t cid)
{
	qpair->slots[cid].tick = nvmux_ctrlr_tick(qpair->ctrlr);
	qpair->slots[cid].flags = 0;
	if (qpair->transport->repost(qpair, cid))
		complete(qpair, cid, NVMUX_PATH_ERROR);
}

/* ---- marks ---- */

static void unmark(struct nvmux_replay *replay, struct nvmux_qpair *qpair, uint16_t cid)
{
	struct replay_cmd *cmd = &replay->cmds[cid];

	switch (cmd->mark) {
	case MARK_HELD:
	case MARK_FLUSH:
	case MARK_NEVER: replay->n_marked--; break;
	case MARK_COUNTED:
		replay->n_counted--;
		qpair->slots[cid] = cmd->slot;
		break;
	}
	cmd->mark = MARK_NONE;
}

/* All of them as they were before the loss. */
static void unmark_all(struct nvmux_qpair *qpair)
{
	struct nvmux_replay *replay = qpair->replay;

	for (uint32_t cid = 0; cid < qpair->depth; cid++) {
		if (replay->cmds[cid].mark != MARK_NONE)
			unmark(replay, qpair, (uint16_t)cid);
	}
	replay->n_flush = 0;
}

static void mark(struct nvmux_replay *replay, uint16_t cid, enum replay_mark mark)
{
	replay->cmds[cid].mark = (uint8_t)mark;
	replay->n_marked++;
}

static void send_flushes(struct nvmux_qpair *qpair)
{
	struct nvmux_replay *replay = qpair->replay;

	for (uint32_t cid = 0; cid < qpair->depth && replay->n_flush; cid++) {
		if (replay->cmds[cid].mark != MARK_FLUSH)
			continue;
		unmark(replay, qpair, (uint16_t)cid);
		replay->n_flush--;
		repost(qpair, (uint16_t)cid);
	}
}

/* The completion of a command that a flush may wait for. */
static void counted_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct replay_cmd *cmd = arg;
	struct nvmux_qpair *qpair = cmd->qpair;
	struct nvmux_replay *replay = qpair->replay;
	enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);
	struct nvmux_slot slot = cmd->slot;

	cmd->mark = MARK_NONE;
	replay->n_counted--;
	slot.cb(slot.arg, cpl);
	if (!replay->n_counted && replay->n_flush &&
	    (state == NVMUX_QPAIR_CONNECTED || state == NVMUX_QPAIR_RELEASE))
		send_flushes(qpair);
}

static void count(struct nvmux_qpair *qpair, uint16_t cid)
{
	struct replay_cmd *cmd = &qpair->replay->cmds[cid];

	cmd->mark = MARK_COUNTED;
	cmd->slot = qpair->slots[cid];
	qpair->slots[cid].cb = counted_done;
	qpair->slots[cid].arg = cmd;
	qpair->replay->n_counted++;
}

/* ---- the states ---- */

static const struct replay_ns *find_ns(const struct replay_view *view, uint32_t nsid)
{
	uint32_t low = 0, high = view->n_ns;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (view->ns[mid].nsid < nsid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < view->n_ns && view->ns[low].nsid == nsid ? &view->ns[low] : NULL;
}

static enum replay_class classify(const struct replay_view *view, const struct nvmux_cmd *cmd)
{
	const struct replay_ns every = {
		.nsid = NVME_NSID_ALL, .same = view->all_same, .nvm = true};
	uint32_t nsid = le32_to_cpu(cmd->nsid);

	return replay_class(cmd, nsid == NVME_NSID_ALL ? &every : find_ns(view, nsid), view->stops);
}

/* It has become another one, or is gone. */
static bool is_replaced(const void *arg, const struct nvmux_ns *ns)
{
	const struct replay_ns *found = find_ns(arg, ns->id);

	return !found || !found->same;
}

static void replay(struct nvmux_qpair *qpair)
{
	struct nvmux_replay *replay = qpair->replay;

	unmark_all(qpair);
	nvmux_split_abort_waiting(qpair, is_replaced, replay->view,
				  NVMUX_SC_OUTCOME_UNKNOWN | NVMUX_STATUS_DNR);
	for (uint32_t i = 0; i < qpair->depth; i++) {
		uint16_t cid = (uint16_t)i;

		if (!qpair->slots[cid].cb)
			continue;
		switch (classify(replay->view, qpair->transport->inflight(qpair, cid))) {
		case REPLAY_NOW: repost(qpair, cid); break;
		case REPLAY_HELD: mark(replay, cid, MARK_HELD); break;
		case REPLAY_FLUSH: mark(replay, cid, MARK_FLUSH); break;
		case REPLAY_NEVER: mark(replay, cid, MARK_NEVER); break;
		}
	}
	move_on(qpair, NVMUX_QPAIR_REPLAY,
		replay->n_marked ? NVMUX_QPAIR_HOLDING : NVMUX_QPAIR_CONNECTED);
}

static void release(struct nvmux_qpair *qpair)
{
	struct nvmux_replay *replay = qpair->replay;

	for (uint32_t i = 0; i < qpair->depth; i++)
		replay->n_flush += replay->cmds[i].mark == MARK_FLUSH;
	replay->n_counted++; /* one that can't be sent mustn't let the flushes go before the rest */
	for (uint32_t i = 0; i < qpair->depth; i++) {
		uint16_t cid = (uint16_t)i;

		switch (replay->cmds[cid].mark) {
		case MARK_HELD:
			unmark(replay, qpair, cid);
			if (replay->n_flush)
				count(qpair, cid);
			repost(qpair, cid);
			break;
		case MARK_NEVER:
			unmark(replay, qpair, cid);
			complete(qpair, cid, NVMUX_SC_OUTCOME_UNKNOWN | NVMUX_STATUS_DNR);
			break;
		default: break;
		}
	}
	if (!--replay->n_counted)
		send_flushes(qpair);
	move_on(qpair, NVMUX_QPAIR_RELEASE, NVMUX_QPAIR_CONNECTED);
}

static void fail(struct nvmux_qpair *qpair)
{
	unmark_all(qpair);
	nvmux_qpair_abort_all(qpair, NVMUX_PATH_ERROR);
}

int replay_process(struct nvmux_qpair *qpair, uint32_t max)
{
	enum nvmux_qpair_state state =
		(enum nvmux_qpair_state)__atomic_load_n(&qpair->state, __ATOMIC_ACQUIRE);

	switch (state) {
	case NVMUX_QPAIR_QUIESCING:
		retry_forget(qpair);
		qpair->slow &= (uint8_t)~NVMUX_SLOW_FUSED;
		/* Without quiesce() nothing goes on in the queue pair between two turns. */
		if (!qpair->transport->quiesce || qpair->transport->quiesce(qpair))
			move_on(qpair, NVMUX_QPAIR_QUIESCING, NVMUX_QPAIR_QUIET);
		return 0;
	case NVMUX_QPAIR_QUIET: return 0;
	case NVMUX_QPAIR_FAILING: fail(qpair); return 0;
	case NVMUX_QPAIR_REPLAY: replay(qpair); break;
	case NVMUX_QPAIR_RELEASE: release(qpair); break;
	case NVMUX_QPAIR_HOLDING: break;
	default: return nvmux_ctrlr_loss(qpair->ctrlr);
	}
	state = nvmux_qpair_get_state(qpair);
	return state == NVMUX_QPAIR_CONNECTED || state == NVMUX_QPAIR_HOLDING
		       ? nvmux_qpair_process_connected(qpair, max)
		       : 0;
}

int replay_refusal(const struct nvmux_qpair *qpair)
{
	switch (nvmux_qpair_get_state(qpair)) {
	case NVMUX_QPAIR_CONNECTED:
	case NVMUX_QPAIR_HOLDING:
	case NVMUX_QPAIR_RELEASE: return 0;
	case NVMUX_QPAIR_QUIESCING:
	case NVMUX_QPAIR_QUIET:
	case NVMUX_QPAIR_REPLAY: return -EAGAIN;
	default: return nvmux_ctrlr_loss(qpair->ctrlr);
	}
}

uint32_t nvmux_qpair_drop(struct nvmux_qpair *qpair,
			  bool (*match)(void *arg, nvmux_cmd_cb cb, void *cb_arg), void *arg,
			  uint16_t status)
{
	struct nvmux_replay *replay = qpair->replay;
	enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);
	/* REPLAY: nothing has been repeated before the owner processes it */
	bool quiet = state == NVMUX_QPAIR_QUIET || state == NVMUX_QPAIR_FAILING ||
		     state == NVMUX_QPAIR_REPLAY;
	uint32_t n = 0;

	if (!replay)
		return 0;
	for (uint32_t i = 0; i < qpair->depth; i++) {
		const struct replay_cmd *cmd = &replay->cmds[i];
		bool counted = cmd->mark == MARK_COUNTED;
		const struct nvmux_slot *slot = counted ? &cmd->slot : &qpair->slots[i];

		if (!qpair->slots[i].cb || !match(arg, slot->cb, slot->arg))
			continue;
		if (!quiet && (cmd->mark == MARK_NONE || counted))
			continue; /* with the controller */
		unmark(replay, qpair, (uint16_t)i);
		complete(qpair, (uint16_t)i, status);
		n++;
	}
	return n;
}
