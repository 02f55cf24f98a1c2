// SPDX-License-Identifier: BSD-3-Clause
/*
 * The owner's part of losing a connection: stop using it, and when it is there again repeat what
 * was in flight.
 *
 * Happy path: QUIESCING: the transport is asked to stop until it has (QUIET). REPLAY: each command
 * in a slot is classified; reads go out at once, the rest is marked and waits (HOLDING), new
 * commands pass it. RELEASE: what may be repeated goes out, what may not ends with "outcome
 * unknown". What has been repeated for a time-out once and wasn't answered again isn't any more: it
 * ends so, or, if it only reads, with Command Abort Requested. A flush that waits goes out when the
 * commands that were repeated before it have completed: their callbacks are wrapped to count them.
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
	MARK_UNANSWERED, /* it only reads, and mayn't be repeated once more */
	MARK_COUNTED, /* repeated, and a flush waits for it */
};

struct replay_cmd {
	uint8_t mark; /* enum replay_mark */
	struct nvmux_qpair *qpair;
	nvmux_cmd_cb cb; /* of a counted command */
	void *arg;
};

struct nvmux_replay {
	const struct replay_view *view;
	uint32_t n_marked;  /* not repeated yet */
	uint32_t n_counted; /* repeated, not completed */
	uint32_t n_flush;   /* flushes that wait for these */
	struct replay_cmd cmds[]; /* as the slots */
};

int replay_init(struct nvmux_qpair *qpair)
{
	struct nvmux_replay *replay =
		calloc(1, sizeof(*replay) + qpair->depth * sizeof(replay->cmds[0]));

	if (!replay)
		return -ENOMEM;
	for (uint32_t index = 0; index < qpair->depth; index++)
		replay->cmds[index].qpair = qpair;
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

static void repost(struct nvmux_qpair *qpair, uint16_t index)
{
	struct nvmux_slot *slot = &qpair->slots[index];

	slot->tick = nvmux_ctrlr_tick(qpair->ctrlr);
	slot->flags = slot->flags & (SLOT_OVERDUE | SLOT_REPEATED) ? SLOT_REPEATED : 0;
	if (qpair->transport->repost(qpair, index))
		nvmux_qpair_end_cmd(qpair, index, NVMUX_PATH_ERROR);
}

/* ---- marks ---- */

static void unmark(struct nvmux_replay *replay, struct nvmux_qpair *qpair, uint16_t index)
{
	struct replay_cmd *cmd = &replay->cmds[index];

	switch (cmd->mark) {
	case MARK_HELD:
	case MARK_FLUSH:
	case MARK_NEVER:
	case MARK_UNANSWERED: replay->n_marked--; break;
	case MARK_COUNTED:
		replay->n_counted--;
		qpair->slots[index].cb = cmd->cb;
		qpair->slots[index].arg = cmd->arg;
		break;
	}
	cmd->mark = MARK_NONE;
}

/* All of them as they were before the loss. */
static void unmark_all(struct nvmux_qpair *qpair)
{
	struct nvmux_replay *replay = qpair->replay;

	for (uint32_t index = 0; index < qpair->depth; index++) {
		if (replay->cmds[index].mark != MARK_NONE)
			unmark(replay, qpair, (uint16_t)index);
	}
	replay->n_flush = 0;
}

static void mark(struct nvmux_qpair *qpair, uint16_t index, enum replay_mark mark)
{
	struct nvmux_replay *replay = qpair->replay;

	nvmux_qpair_withdraw_cid(qpair, index);
	qpair->slots[index].tick = nvmux_ctrlr_tick(qpair->ctrlr);
	replay->cmds[index].mark = (uint8_t)mark;
	replay->n_marked++;
}

static void send_flushes(struct nvmux_qpair *qpair)
{
	struct nvmux_replay *replay = qpair->replay;

	for (uint32_t index = 0; index < qpair->depth && replay->n_flush; index++) {
		if (replay->cmds[index].mark != MARK_FLUSH)
			continue;
		unmark(replay, qpair, (uint16_t)index);
		replay->n_flush--;
		repost(qpair, (uint16_t)index);
	}
}

/* The completion of a command that a flush may wait for. */
static void counted_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct replay_cmd *cmd = arg;
	struct nvmux_qpair *qpair = cmd->qpair;
	struct nvmux_replay *replay = qpair->replay;
	enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);
	nvmux_cmd_cb cb = cmd->cb;

	cmd->mark = MARK_NONE;
	replay->n_counted--;
	cb(cmd->arg, cpl);
	if (!replay->n_counted && replay->n_flush &&
	    (state == NVMUX_QPAIR_CONNECTED || state == NVMUX_QPAIR_RELEASE))
		send_flushes(qpair);
}

bool replay_unwrap(nvmux_cmd_cb *cb, void **arg)
{
	const struct replay_cmd *cmd = *arg;

	if (*cb != counted_done)
		return false;
	*cb = cmd->cb;
	*arg = cmd->arg;
	return true;
}

static void count(struct nvmux_qpair *qpair, uint16_t index)
{
	struct replay_cmd *cmd = &qpair->replay->cmds[index];

	cmd->mark = MARK_COUNTED;
	cmd->cb = qpair->slots[index].cb;
	cmd->arg = qpair->slots[index].arg;
	qpair->slots[index].cb = counted_done;
	qpair->slots[index].arg = cmd;
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

/*
 * A lost completion is cured by one repetition. What isn't answered twice wouldn't be for ever, and
 * each time would cost all others of the controller a reset.
 */
static bool is_hopeless(const struct nvmux_slot *slot)
{
	return (slot->flags & (SLOT_OVERDUE | SLOT_REPEATED)) == (SLOT_OVERDUE | SLOT_REPEATED);
}

static void replay_one(struct nvmux_qpair *qpair, uint16_t index)
{
	enum replay_class class = classify(qpair->replay->view,
					   qpair->transport->inflight(qpair, index));

	if (is_hopeless(&qpair->slots[index])) {
		mark(qpair, index, class == REPLAY_NOW ? MARK_UNANSWERED : MARK_NEVER);
		return;
	}
	switch (class) {
	case REPLAY_NOW: repost(qpair, index); break;
	case REPLAY_HELD: mark(qpair, index, MARK_HELD); break;
	case REPLAY_FLUSH: mark(qpair, index, MARK_FLUSH); break;
	case REPLAY_NEVER: mark(qpair, index, MARK_NEVER); break;
	}
}

static void replay(struct nvmux_qpair *qpair)
{
	struct nvmux_replay *replay = qpair->replay;

	unmark_all(qpair);
	nvmux_split_abort_waiting(qpair, is_replaced, replay->view,
				  NVMUX_SC_OUTCOME_UNKNOWN | NVMUX_STATUS_DNR);
	for (uint32_t i = 0; i < qpair->depth; i++) {
		if (qpair->slots[i].cb)
			replay_one(qpair, (uint16_t)i);
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
		uint16_t index = (uint16_t)i;

		switch (replay->cmds[index].mark) {
		case MARK_HELD:
			unmark(replay, qpair, index);
			if (replay->n_flush)
				count(qpair, index);
			repost(qpair, index);
			break;
		case MARK_NEVER:
			unmark(replay, qpair, index);
			nvmux_qpair_end_cmd(qpair, index,
					    NVMUX_SC_OUTCOME_UNKNOWN | NVMUX_STATUS_DNR);
			break;
		case MARK_UNANSWERED:
			unmark(replay, qpair, index);
			nvmux_qpair_end_cmd(qpair, index, NVME_SC_ABORT_REQ | NVMUX_STATUS_DNR);
			break;
		default: break;
		}
	}
	if (!--replay->n_counted)
		send_flushes(qpair);
	/* what was found while they were held */
	__atomic_store_n(&qpair->overdue, 0, __ATOMIC_RELAXED);
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
		const struct nvmux_slot *slot = &qpair->slots[i];

		if (!slot->cb || !match(arg, counted ? cmd->cb : slot->cb,
					counted ? cmd->arg : slot->arg))
			continue;
		if (!quiet && (cmd->mark == MARK_NONE || counted))
			continue; /* with the controller */
		unmark(replay, qpair, (uint16_t)i);
		nvmux_qpair_end_cmd(qpair, (uint16_t)i, status);
		n++;
	}
	return n;
}
