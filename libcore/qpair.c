// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queue pairs: slots, life cycle, the public calls.
 *
 * Happy path: create (memory) → connect (the controller knows it) → I/O → disconnect (it forgets
 * it) → what is left in the slots is completed as aborted → destroy (memory).
 *
 * Failure modes: a connect that fails is undone. A disconnect that fails means a controller that
 * doesn't answer and could still write to memory: it is given up, and the queue pair goes when the
 * device has been let go of.
 */
#include <errno.h>
#include <string.h>

#include "faults.h"
#include "io_int.h"
#include "recover.h"
#include "replay.h"
#include "split.h"
#include "sync.h"

#define RETRY_MS 5

struct nvmux_qpair_free {
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;
	struct nvmux_staged *staged;
	uint16_t qid;
	struct nvmux_timer timer;
	nvmux_ctrlr_cb cb;
	void *arg;
};

static void free_start(void *arg);

static void free_sync_done(void *arg, int err)
{
	nvmux_sync_done(arg, err, 0);
}

int nvmux_qpair_init(struct nvmux_qpair *qpair, struct nvmux_ctrlr *ctrlr, uint16_t id,
		     uint32_t depth)
{
	uint32_t n_slots = 2; /* one more than depth at least: fabrics' Connect has that */

	NVMUX_ASSERT(depth >= 1 && depth <= 65535);
	while (n_slots <= depth)
		n_slots *= 2;
	qpair->transport = ctrlr->transport;
	qpair->ctrlr = ctrlr;
	if (ctrlr->reach) { /* without one, nothing is of the usual kind */
		qpair->window = ctrlr->nvmux->window;
		qpair->n_slots = ctrlr->nvmux->n_slots;
		qpair->reach = ctrlr->reach;
	}
	qpair->id = id;
	qpair->depth = depth;
	qpair->seen_tick = nvmux_ctrlr_tick(ctrlr);
	qpair->state = NVMUX_QPAIR_NEW;
	TAILQ_INIT(&qpair->splits_waiting);
	qpair->cid_mask = (uint16_t)(n_slots - 1);
	qpair->slots = nvmux_calloc_lines(n_slots, sizeof(*qpair->slots));
	qpair->free_slots = nvmux_calloc_lines(depth, sizeof(*qpair->free_slots));
	if (!qpair->slots || !qpair->free_slots || (id && nvmux_split_init(qpair)) ||
	    (id && qpair->transport->repost && (replay_init(qpair) || retry_init(qpair)))) {
		nvmux_qpair_fini(qpair);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n_slots; i++)
		qpair->slots[i].cid = nvmux_cid_of_none((uint16_t)i);
	nvmux_qpair_free_slots(qpair, depth);
	return 0;
}

void nvmux_qpair_free_slots(struct nvmux_qpair *qpair, uint32_t depth)
{
	NVMUX_ASSERT(depth <= qpair->cid_mask);
	qpair->depth = depth;
	qpair->free_end = qpair->free_slots + depth;
	for (uint32_t i = 0; i < depth; i++)
		qpair->free_slots[i] = &qpair->slots[depth - 1 - i];
}

void nvmux_qpair_fini(struct nvmux_qpair *qpair)
{
	free(qpair->slots);
	free(qpair->free_slots);
	free(qpair->splits);
	replay_fini(qpair);
	retry_fini(qpair);
	inject_fini(qpair);
	qpair->slots = NULL;
	qpair->free_slots = NULL;
	qpair->splits = NULL;
}

/* Its callbacks may also be called while another one of its group is processed, by the same thread
 * that frees it. */
static bool shares_callbacks(const struct nvmux_qpair *qpair)
{
	return qpair->group && !qpair->group->other_thread;
}

/* It was freed within a callback. */
__attribute__((cold, noinline)) static void free_now(struct nvmux_qpair *qpair)
{
	struct nvmux_qpair_free *op = qpair->free_wanted;
	struct nvmux_sync sync = {.nvmux = qpair->ctrlr->nvmux};

	if (shares_callbacks(qpair) && qpair->group->processing) {
		qpair->group->free_wanted = true;
		return;
	}
	qpair->free_wanted = NULL;
	if (op->cb || sync.nvmux->processing) {
		free_start(op);
		return;
	}
	op->cb = free_sync_done;
	op->arg = &sync;
	free_start(op);
	nvmux_sync_wait(&sync);
}

/*
 * Callbacks are off the stack: what they asked for can begin, and also end where we may wait.
 */
static inline void end_processing(struct nvmux_qpair *qpair)
{
	qpair->processing = false;
	if (unlikely(qpair->free_wanted))
		free_now(qpair);
}

void nvmux_qpair_group_processed(struct nvmux_poll_group *group)
{
	struct nvmux_qpair *qpair;

	group->processing = false;
	while (group->free_wanted) {
		group->free_wanted = false;
		TAILQ_FOREACH (qpair, &group->qpairs, group_link) {
			if (!qpair->free_wanted || qpair->processing)
				continue;
			group->free_wanted = true; /* look again: the list changes */
			end_processing(qpair);
			break;
		}
	}
}

void nvmux_qpair_end_cmd(struct nvmux_qpair *qpair, uint16_t index, uint16_t status)
{
	const struct nvmux_cpl cpl = {
		.sqid = cpu_to_le16(qpair->id),
		.cid = cpu_to_le16(nvmux_qpair_cid(qpair, index)),
		.status = cpu_to_le16((uint16_t)(status << 1)),
	};
	nvmux_cmd_cb cb = qpair->slots[index].cb;
	void *arg = qpair->slots[index].arg;

	replay_unwrap(&cb, &arg);
	inject_keep_status(cb, arg);
	nvmux_qpair_give_back(qpair, &qpair->slots[index], nvmux_qpair_cid(qpair, index), &cpl);
}

static void abort_slots(struct nvmux_qpair *qpair, uint16_t status)
{
	retry_forget(qpair);
	inject_abort(qpair, status);
	qpair->slow &= (uint8_t)~NVMUX_SLOW_FUSED;
	nvmux_split_abort_waiting(qpair, NULL, NULL, status);
	for (uint32_t i = 0; i < qpair->depth; i++) {
		if (qpair->slots[i].cb)
			nvmux_qpair_end_cmd(qpair, (uint16_t)i, status);
	}
}

void nvmux_qpair_abort_all(struct nvmux_qpair *qpair, uint16_t status)
{
	bool nested = qpair->processing;

	qpair->processing = true;
	abort_slots(qpair, status);
	if (!nested)
		end_processing(qpair);
}

void nvmux_qpairs_abort(struct nvmux_ctrlr *ctrlr, uint16_t status)
{
	struct nvmux_qpair *qpair;

	/* A callback may free any of them: none goes before all have been dealt with. */
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link)
		qpair->processing = true;
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link)
		abort_slots(qpair, status);
again:
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (!qpair->processing)
			continue;
		end_processing(qpair);
		goto again; /* the list may have changed */
	}
}

/* ---- making one ---- */

void nvmux_io_qpair_opts_init(const struct nvmux_ctrlr *ctrlr, struct nvmux_io_qpair_opts *opts,
			      size_t size)
{
	struct nvmux_io_qpair_opts defaults = {
		.size = size,
		.io_queue_depth = MIN(ctrlr->opts.io_queue_depth, ctrlr->max_queue_entries) - 1,
	};

	memset(opts, 0, size);
	memcpy(opts, &defaults, MIN(size, sizeof(defaults)));
}

static int take_opts(struct nvmux_ctrlr *ctrlr, const struct nvmux_io_qpair_opts *opts,
		     struct nvmux_io_qpair_opts *ret)
{
	nvmux_io_qpair_opts_init(ctrlr, ret, sizeof(*ret));
	if (opts) {
		if (opts->size < sizeof(opts->size) || opts->size > 4096)
			return nvmux_error(ctrlr->nvmux, -EINVAL,
					   "size of the queue pair options is %zu; fill them with "
					   "nvmux_io_qpair_opts_init()",
					   opts->size);
		memcpy(ret, opts, MIN(opts->size, sizeof(*ret)));
	}
	if (ret->io_queue_depth < 1 || ret->io_queue_depth > 65535)
		return nvmux_error(ctrlr->nvmux, -EINVAL,
				   "io_queue_depth is %u; it must be 1 to 65535",
				   ret->io_queue_depth);
	ret->io_queue_depth = MIN(ret->io_queue_depth, ctrlr->max_queue_entries - 1);
	if (ret->qprio > 3)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "qprio is %u; it must be 0 to 3",
				   ret->qprio);
	if (ret->qprio && (!ctrlr->opts.arbitration ||
			   ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED))
		return nvmux_error(ctrlr->nvmux, -EINVAL,
				   "qprio is %u; with round robin arbitration only 0 is possible",
				   ret->qprio);
	return 0;
}

static int take_qid(struct nvmux_ctrlr *ctrlr, uint16_t *ret)
{
	for (uint32_t qid = 1; qid <= ctrlr->max_io_qpairs && qid <= 65535; qid++) {
		if (ctrlr->qids_used[qid])
			continue;
		ctrlr->qids_used[qid] = 1;
		*ret = (uint16_t)qid;
		return 0;
	}
	return nvmux_error(ctrlr->nvmux, -ENOSPC,
			   "%s: all %u I/O queue pairs that the controller grants are in use",
			   ctrlr->trid.traddr, ctrlr->max_io_qpairs);
}

struct alloc_op {
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;
	struct nvmux_poll_group *group;
	struct nvmux_staged *staged;
	uint32_t entries;
	uint16_t qid;
	uint8_t qprio;
	int err;
	nvmux_qpair_cb cb;
	void *arg;
};

static void alloc_end(struct alloc_op *op)
{
	struct alloc_op copy = *op;

	copy.ctrlr->n_qpair_ops--;
	if (copy.err)
		copy.ctrlr->qids_used[copy.qid] = 0;
	free(op);
	copy.cb(copy.arg, copy.err ? NULL : copy.qpair, copy.err);
}

static void alloc_undone(void *arg, int err)
{
	alloc_end(arg);
}

static void alloc_connected(void *arg, int err, uint64_t value)
{
	struct alloc_op *op = arg;

	op->err = err;
	TAILQ_INSERT_TAIL(&op->ctrlr->qpairs, op->qpair, link);
	if (op->group)
		nvmux_poll_group_add(op->group, op->qpair);
	if (err)
		nvmux_qpair_free_async(op->qpair, alloc_undone, op);
	else
		alloc_end(op);
}

static void alloc_unstaged(void *arg, int err, uint64_t value)
{
	alloc_end(arg);
}

static void alloc_created(void *arg, int err, uint64_t value)
{
	struct alloc_op *op = arg;

	op->err = err;
	if (err) {
		staging_free(op->staged, alloc_unstaged, op);
		return;
	}
	op->qpair = (struct nvmux_qpair *)(uintptr_t)value;
	op->qpair->qprio = op->qprio;
	staging_attach(op->qpair, op->staged);
	nvmux_qpair_connect_async(op->qpair, alloc_connected, op);
}

/* Whether queue pairs can be made now. */
static int alloc_check(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->failed || !ctrlr_is_usable(ctrlr) || recover_active(ctrlr))
		return nvmux_error(ctrlr->nvmux, nvmux_ctrlr_loss(ctrlr),
				   "%s: the controller is %s", ctrlr->trid.traddr,
				   nvmux_ctrlr_get_state_string(ctrlr));
	return 0;
}

/* The staging memory is there, or there is none; the controller may have gone meanwhile. */
static void alloc_staged(void *arg, int err, uint64_t value)
{
	struct alloc_op *op = arg;

	op->staged = (struct nvmux_staged *)(uintptr_t)value;
	op->err = alloc_check(op->ctrlr);
	if (op->err)
		staging_free(op->staged, alloc_unstaged, op);
	else
		transport_qpair_create(op->ctrlr, op->qid, op->entries, op->group, alloc_created,
				       op);
}

int nvmux_ctrlr_alloc_io_qpair_async(struct nvmux_ctrlr *ctrlr,
				     const struct nvmux_io_qpair_opts *opts, nvmux_qpair_cb cb,
				     void *arg)
{
	struct nvmux_io_qpair_opts checked;
	struct alloc_op *op;
	uint16_t qid = 0;
	int err;

	err = alloc_check(ctrlr);
	if (!err)
		err = take_opts(ctrlr, opts, &checked);
	if (!err)
		err = take_qid(ctrlr, &qid);
	if (err)
		return err;
	op = calloc(1, sizeof(*op));
	if (!op) {
		ctrlr->qids_used[qid] = 0;
		return -ENOMEM;
	}
	*op = (struct alloc_op){
		.ctrlr = ctrlr,
		.group = checked.poll_group,
		.entries = checked.io_queue_depth + 1,
		.qid = qid,
		.qprio = (uint8_t)checked.qprio,
		.cb = cb,
		.arg = arg,
	};
	ctrlr->n_qpair_ops++;
	if (checked.no_staging)
		alloc_staged(op, 0, 0);
	else
		staging_make(ctrlr, alloc_staged, op);
	return 0;
}

static void alloc_sync_done(void *arg, struct nvmux_qpair *qpair, int err)
{
	nvmux_sync_done(arg, err, (uintptr_t)qpair);
}

int nvmux_ctrlr_alloc_io_qpair(struct nvmux_ctrlr *ctrlr, const struct nvmux_io_qpair_opts *opts,
			       struct nvmux_qpair **ret)
{
	struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};
	int err = nvmux_sync_check(ctrlr->nvmux);

	if (!err)
		err = nvmux_ctrlr_alloc_io_qpair_async(ctrlr, opts, alloc_sync_done, &sync);
	if (!err)
		err = nvmux_sync_wait(&sync);
	if (!err)
		*ret = (struct nvmux_qpair *)(uintptr_t)sync.value;
	return err;
}

struct connect_op {
	struct nvmux_qpair *qpair;
	nvmux_done_fn done;
	void *arg;
};

/* Connected to a controller that is being replaced: to be quiesced, by us who own it yet. */
static void connect_lost(const struct connect_op *op)
{
	struct nvmux_qpair *qpair = op->qpair;

	nvmux_qpair_set_state(qpair, NVMUX_QPAIR_QUIESCING);
	qpair->transport->qpair_end(qpair);
	op->done(op->arg,
		 nvmux_error(qpair->ctrlr->nvmux, -ENOTCONN,
			     "%s: the connection was lost meanwhile", qpair->ctrlr->trid.traddr),
		 0);
}

static void connect_done(void *arg, int err, uint64_t value)
{
	struct connect_op op = *(struct connect_op *)arg;
	const struct nvmux_ctrlr *ctrlr = op.qpair->ctrlr;
	bool closing = ctrlr->state >= CTRLR_CLOSE;

	free(arg);
	if (!err && closing)
		err = -ENXIO;
	if (!err && recover_active(ctrlr)) {
		connect_lost(&op);
		return;
	}
	/* Where it failed the controller has no such queues, unless it couldn't be told. */
	if (err && !closing)
		op.qpair->live = false;
	nvmux_qpair_set_state(op.qpair, err ? NVMUX_QPAIR_DISCONNECTED : NVMUX_QPAIR_CONNECTED);
	op.done(op.arg, err, value);
}

void nvmux_qpair_connect_async(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct connect_op *op = calloc(1, sizeof(*op));

	if (!op) {
		done(arg, -ENOMEM, 0);
		return;
	}
	*op = (struct connect_op){.qpair = qpair, .done = done, .arg = arg};
	nvmux_qpair_set_state(qpair, NVMUX_QPAIR_CONNECTING);
	qpair->live = true;
	transport_qpair_connect(qpair, connect_done, op);
}

/* ---- freeing one ---- */

static void free_ended(void *arg, int err, uint64_t value)
{
	struct nvmux_qpair_free op = *(struct nvmux_qpair_free *)arg;

	free(arg);
	op.ctrlr->n_qpair_ops--;
	op.ctrlr->qids_used[op.qid] = 0;
	if (op.cb)
		op.cb(op.arg, 0);
}

static void free_destroyed(void *arg, int err, uint64_t value)
{
	struct nvmux_qpair_free *op = arg;

	staging_free(op->staged, free_ended, op);
}

/* What commands end with whose controller was lost. */
static uint16_t loss_status(const struct nvmux_qpair *qpair)
{
	return nvmux_ctrlr_is_fabrics(qpair->ctrlr) ? NVMUX_PATH_ERROR : NVMUX_SC_CTRLR_GONE;
}

/* The controller has forgotten the queues, or reaches no memory any more. */
static void free_quiet(struct nvmux_qpair_free *op)
{
	struct nvmux_qpair *qpair = op->qpair;
	const struct nvmux_ctrlr *ctrlr = op->ctrlr;
	/* what fails only while it is detached is no loss to its owner */
	bool lost = nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_FAILED &&
		    (!ctrlr->detaching || nvmux_ctrlr_loss(ctrlr) == -ENODEV);
	uint16_t status = lost ? loss_status(qpair) : NVME_SC_ABORT_QUEUE;

	nvmux_qpair_set_state(qpair, NVMUX_QPAIR_DISCONNECTED);
	nvmux_qpair_abort_all(qpair, status);
	TAILQ_REMOVE(&op->ctrlr->qpairs, qpair, link);
	nvmux_poll_group_remove(qpair);
	op->staged = qpair->staged;
	transport_qpair_destroy(qpair, free_destroyed, op);
}

static void free_wait(struct nvmux_qpair_free *op)
{
	nvmux_timer_set(op->ctrlr->nvmux, &op->timer, RETRY_MS, free_start, op);
}

static void free_disconnect_done(void *arg, int err, uint64_t value)
{
	struct nvmux_qpair_free *op = arg;
	struct nvmux_ctrlr *ctrlr = op->ctrlr;
	struct nvmux_qpair *adminq = ctrlr->adminq;

	nvmux_qpair_set_state(op->qpair, NVMUX_QPAIR_DISCONNECTED);
	/* An attempt to connect anew has taken what was left of its connection. */
	if (!err || recover_active(ctrlr)) {
		op->qpair->live = false;
	} else if (adminq && nvmux_qpair_get_state(adminq) == NVMUX_QPAIR_CONNECTED &&
		   ctrlr->state < CTRLR_CLOSE) {
		/* It answers and doesn't delete: only letting go of it makes the memory safe. */
		nvmux_ctrlr_lost(ctrlr, err);
	}
	free_start(op);
}

/*
 * Its connection is lost or being restored. Whoever frees a queue pair owns it: the owner's part is
 * done here. Not while an attempt has connected it again.
 */
static void free_recovering(struct nvmux_qpair_free *op)
{
	struct nvmux_qpair *qpair = op->qpair;

	if (nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_QUIESCING) {
		nvmux_qpair_process_completions(qpair, 0);
		if (nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_QUIET)
			qpair->live = false;
	}
	if (qpair->live)
		free_wait(op);
	else
		free_quiet(op);
}

/*
 * It is being stopped, or was when its controller began to be detached: whoever frees it owns it.
 */
static void free_stopped(struct nvmux_qpair_free *op)
{
	struct nvmux_qpair *qpair = op->qpair;

	if (nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_QUIESCING)
		nvmux_qpair_process_completions(qpair, 0);
	if (!qpair->live) {
		free_quiet(op);
	} else if (revive_active(op->ctrlr) ||
		   (!ctrlr_is_usable(op->ctrlr) && op->ctrlr->state != CTRLR_FREE_QPAIRS)) {
		free_wait(op);
	} else {
		nvmux_qpair_set_state(qpair, NVMUX_QPAIR_DISCONNECTING);
		transport_qpair_disconnect(qpair, free_disconnect_done, op);
	}
}

/* Take the next step towards a queue pair that the controller knows nothing of. */
static void free_start(void *arg)
{
	struct nvmux_qpair_free *op = arg;
	struct nvmux_qpair *qpair = op->qpair;
	enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);
	enum nvmux_ctrlr_state at = op->ctrlr->state;

	if (state == NVMUX_QPAIR_CONNECTING || qpair->revive_step) {
		free_wait(op);
	} else if (!nvmux_ctrlr_is_fabrics(op->ctrlr) &&
		   (state == NVMUX_QPAIR_QUIESCING || state == NVMUX_QPAIR_QUIET)) {
		free_stopped(op);
	} else if (state == NVMUX_QPAIR_QUIESCING || state == NVMUX_QPAIR_QUIET ||
		   state == NVMUX_QPAIR_FAILING) {
		free_recovering(op);
	} else if (!qpair->live) {
		free_quiet(op);
	} else if ((state == NVMUX_QPAIR_CONNECTED || state >= NVMUX_QPAIR_REPLAY) &&
		   (ctrlr_is_usable(op->ctrlr) || at == CTRLR_FREE_QPAIRS)) {
		nvmux_qpair_set_state(qpair, NVMUX_QPAIR_DISCONNECTING);
		transport_qpair_disconnect(qpair, free_disconnect_done, op);
	} else {
		free_wait(op); /* until the controller has been disabled or closed */
	}
}

void nvmux_qpair_free_async(struct nvmux_qpair *qpair, nvmux_ctrlr_cb cb, void *arg)
{
	struct nvmux_ctrlr *ctrlr = qpair->ctrlr;
	struct nvmux_qpair_free *op;

	if (qpair->freeing) {
		if (cb)
			cb(arg, -EALREADY);
		return;
	}
	op = calloc(1, sizeof(*op));
	if (!op) {
		/* It stays with its controller and goes when that is detached. */
		if (cb)
			cb(arg, -ENOMEM);
		return;
	}
	*op = (struct nvmux_qpair_free){
		.ctrlr = ctrlr, .qpair = qpair, .qid = qpair->id, .cb = cb, .arg = arg};
	qpair->freeing = true;
	ctrlr->n_qpair_ops++;
	if (qpair->processing) {
		qpair->free_wanted = op;
	} else if (shares_callbacks(qpair) && qpair->group->processing) {
		qpair->free_wanted = op;
		qpair->group->free_wanted = true;
	} else {
		free_start(op);
	}
}

void nvmux_qpair_free(struct nvmux_qpair *qpair)
{
	struct nvmux_sync sync;

	if (!qpair)
		return;
	sync = (struct nvmux_sync){.nvmux = qpair->ctrlr->nvmux};
	if (qpair->processing || sync.nvmux->processing) {
		nvmux_qpair_free_async(qpair, NULL, NULL);
		return;
	}
	nvmux_qpair_free_async(qpair, free_sync_done, &sync);
	nvmux_sync_wait(&sync);
}

/* ---- disconnected and connected again by its owner ---- */

static int check_idle(const struct nvmux_qpair *qpair)
{
	const struct nvmux_ctrlr *ctrlr = qpair->ctrlr;

	if (qpair->processing || qpair->freeing)
		return nvmux_error(ctrlr->nvmux, -EDEADLK,
				   "queue pair %u is within its callbacks, or being freed",
				   qpair->id);
	if (ctrlr->failed || !ctrlr_is_usable(ctrlr) || recover_active(ctrlr) ||
	    revive_active(ctrlr))
		return nvmux_error(ctrlr->nvmux, nvmux_ctrlr_loss(ctrlr),
				   "%s: the controller is %s", ctrlr->trid.traddr,
				   nvmux_ctrlr_get_state_string(ctrlr));
	return nvmux_sync_check(ctrlr->nvmux);
}

int nvmux_qpair_disconnect(struct nvmux_qpair *qpair)
{
	struct nvmux_sync sync = {.nvmux = qpair->ctrlr->nvmux};
	int err = check_idle(qpair);

	if (err)
		return err;
	if (nvmux_qpair_get_state(qpair) != NVMUX_QPAIR_CONNECTED)
		return nvmux_error(sync.nvmux, -ENOTCONN, "queue pair %u isn't connected",
				   qpair->id);
	nvmux_qpair_set_state(qpair, NVMUX_QPAIR_DISCONNECTING);
	qpair->ctrlr->n_qpair_ops++;
	transport_qpair_disconnect(qpair, nvmux_sync_done, &sync);
	err = nvmux_sync_wait(&sync);
	qpair->ctrlr->n_qpair_ops--;
	if (nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_DISCONNECTING)
		nvmux_qpair_set_state(qpair, NVMUX_QPAIR_DISCONNECTED);
	if (err) {
		/* Not deleted: it may still write to memory. */
		if (qpair->live && !qpair->ctrlr->failed)
			nvmux_ctrlr_lost(qpair->ctrlr, err);
		return err;
	}
	qpair->live = false;
	qpair->parked = true;
	nvmux_qpair_abort_all(qpair, NVME_SC_ABORT_QUEUE);
	return 0;
}

int nvmux_qpair_reconnect(struct nvmux_qpair *qpair)
{
	struct nvmux_sync sync = {.nvmux = qpair->ctrlr->nvmux};
	int err = check_idle(qpair);

	if (err)
		return err;
	if (nvmux_qpair_get_state(qpair) != NVMUX_QPAIR_DISCONNECTED || qpair->live)
		return nvmux_error(sync.nvmux, -EISCONN, "queue pair %u isn't disconnected",
				   qpair->id);
	qpair->ctrlr->n_qpair_ops++;
	nvmux_qpair_connect_async(qpair, nvmux_sync_done, &sync);
	err = nvmux_sync_wait(&sync);
	qpair->ctrlr->n_qpair_ops--;
	if (!err)
		qpair->parked = false;
	return err;
}

enum nvmux_qpair_failure nvmux_qpair_get_failure_reason(const struct nvmux_qpair *qpair)
{
	switch (nvmux_qpair_get_state(qpair)) {
	case NVMUX_QPAIR_CONNECTED:
	case NVMUX_QPAIR_HOLDING:
	case NVMUX_QPAIR_RELEASE: return NVMUX_QPAIR_FAILURE_NONE;
	case NVMUX_QPAIR_FAILED: return NVMUX_QPAIR_FAILURE_CTRLR;
	case NVMUX_QPAIR_FAILING: return NVMUX_QPAIR_FAILURE_REMOTE;
	case NVMUX_QPAIR_QUIESCING:
	case NVMUX_QPAIR_QUIET:
	case NVMUX_QPAIR_REPLAY:
		return nvmux_ctrlr_is_fabrics(qpair->ctrlr) ? NVMUX_QPAIR_FAILURE_REMOTE
							    : NVMUX_QPAIR_FAILURE_LOCAL;
	default: return NVMUX_QPAIR_FAILURE_LOCAL;
	}
}

/* ---- using one ---- */

/* The control thread marked it as failed, or disconnected it for a reset. */
static int process_broken(struct nvmux_qpair *qpair)
{
	if (nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_FAILED)
		nvmux_qpair_abort_all(qpair, loss_status(qpair));
	return nvmux_ctrlr_loss(qpair->ctrlr);
}

/* What isn't as usual, before completions are taken. The number of callbacks. */
__attribute__((cold, noinline)) static uint32_t process_slow(struct nvmux_qpair *qpair)
{
	uint32_t injected = 0;

	if (qpair->slow & (NVMUX_SLOW_HELD | NVMUX_SLOW_INJECT)) {
		retry_run(qpair);
		injected = inject_run(qpair);
	}
	if (qpair->slow & NVMUX_SLOW_SPLITS)
		nvmux_split_resume(qpair);
	return injected;
}

static inline int process_connected(struct nvmux_qpair *qpair, uint32_t max)
{
	uint32_t injected = 0;
	int n;

	if (unlikely(qpair->slow))
		injected = process_slow(qpair);
	n = qpair->transport->process(qpair, max);
	if (unlikely(qpair->slow & NVMUX_SLOW_SPLITS))
		nvmux_split_resume(qpair);
	/* When nothing is left to be reaped: what waits there isn't overdue. */
	if (unlikely(qpair->seen_tick != nvmux_ctrlr_tick(qpair->ctrlr)) &&
	    (!max || n < (int)max))
		timeout_scan(qpair);
	return n < 0 ? n : n + (int)injected;
}

int nvmux_qpair_process_connected(struct nvmux_qpair *qpair, uint32_t max)
{
	return process_connected(qpair, max);
}

/* One that isn't connected, is processed already, or has something out of the ordinary. */
__attribute__((noinline)) static int process_other(struct nvmux_qpair *qpair, uint32_t max)
{
	struct nvmux_poll_group *group = qpair->group;
	bool outer = shares_callbacks(qpair) && !group->processing;
	int n;

	if (unlikely(qpair->processing))
		return -EDEADLK;
	qpair->processing = true;
	if (outer)
		group->processing = true;
	if (likely(nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_CONNECTED))
		n = process_connected(qpair, max);
	else if (nvmux_qpair_get_state(qpair) >= NVMUX_QPAIR_QUIESCING)
		n = replay_process(qpair, max);
	else
		n = process_broken(qpair);
	end_processing(qpair);
	if (outer)
		nvmux_qpair_group_processed(group);
	return n;
}

int nvmux_qpair_process_completions(struct nvmux_qpair *qpair, uint32_t max)
{
	int n;

	if (unlikely(!nvmux_qpair_is_usual(qpair) || qpair->processing || shares_callbacks(qpair)))
		return process_other(qpair, max);
	qpair->processing = true;
	n = process_connected(qpair, max);
	end_processing(qpair);
	return n;
}

bool nvmux_qpair_needs_turns(const struct nvmux_qpair *qpair)
{
	const struct nvmux_split *split = TAILQ_FIRST(&qpair->splits_waiting);

	return qpair->slow & NVMUX_SLOW_HELD || inject_pending(qpair) ||
	       (split && nvmux_split_is_ready(split));
}

uint16_t nvmux_qpair_get_id(const struct nvmux_qpair *qpair)
{
	return qpair->id;
}

uint32_t nvmux_qpair_get_depth(const struct nvmux_qpair *qpair)
{
	return qpair->depth;
}

uint32_t nvmux_qpair_get_num_outstanding(const struct nvmux_qpair *qpair)
{
	return nvmux_qpair_outstanding(qpair) + inject_pending(qpair);
}

bool nvmux_qpair_is_connected(const struct nvmux_qpair *qpair)
{
	return replay_refusal(qpair) == 0;
}
