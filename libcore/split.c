// SPDX-License-Identifier: BSD-3-Clause
/* Splitting of large I/O; see split.h. */
#include <errno.h>

#include "split.h"

#define SPLITS_MAX 64u /* parents of one queue pair */

int nvmux_split_init(struct nvmux_qpair *qpair)
{
	uint32_t n = MIN(qpair->depth, SPLITS_MAX);

	qpair->splits = calloc(n, sizeof(*qpair->splits));
	if (!qpair->splits)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		qpair->splits[i].next_free = qpair->splits_free;
		qpair->splits_free = &qpair->splits[i];
	}
	return 0;
}

static void stop_waiting(struct nvmux_split *split)
{
	if (!split->waiting)
		return;
	TAILQ_REMOVE(&split->qpair->splits_waiting, split, link);
	split->waiting = false;
	if (TAILQ_EMPTY(&split->qpair->splits_waiting))
		split->qpair->slow &= (uint8_t)~NVMUX_SLOW_SPLITS;
}

static void start_waiting(struct nvmux_split *split)
{
	TAILQ_INSERT_TAIL(&split->qpair->splits_waiting, split, link);
	split->waiting = true;
	split->qpair->slow |= NVMUX_SLOW_SPLITS;
}

static struct nvmux_split *take(struct nvmux_qpair *qpair, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_split *split = qpair->splits_free;

	if (!split)
		return NULL;
	qpair->splits_free = split->next_free;
	*split = (struct nvmux_split){.qpair = qpair, .cb = cb, .arg = arg};
	return split;
}

static void give_back(struct nvmux_split *split)
{
	split->next_free = split->qpair->splits_free;
	split->qpair->splits_free = split;
}

static void complete(struct nvmux_split *split)
{
	struct nvmux_cpl cpl = split->cpl;
	nvmux_cmd_cb cb = split->cb;
	void *arg = split->arg;

	give_back(split);
	cb(arg, &cpl);
}

/* The first error stays; nothing more is sent. */
static void fail(struct nvmux_split *split, const struct nvmux_cpl *cpl)
{
	if (!nvmux_cpl_is_error(&split->cpl))
		split->cpl = *cpl;
	split->io.left = 0;
	stop_waiting(split);
}

static void child_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_split *split = arg;

	split->in_flight--;
	if (unlikely(nvmux_cpl_is_error(cpl)))
		fail(split, cpl);
	if (!split->io.left && !split->in_flight)
		complete(split);
}

static int send_child(struct nvmux_split *split)
{
	struct nvmux_io rest = split->io;
	struct io_cmd child;
	int err = -ESTALE;

	if (likely(!__atomic_load_n(&rest.ns->stale, __ATOMIC_RELAXED)))
		err = io_next(&rest, &child);
	if (!err)
		err = io_submit(split->qpair, &child.cmd, &child.payload, child_done, split);
	if (err)
		return err;
	split->io = rest;
	split->in_flight++;
	return 0;
}

/* Send what slots allow; wait in the list for the rest. */
static int advance(struct nvmux_split *split)
{
	int err = 0;

	while (!err && split->io.left && nvmux_split_is_ready(split))
		err = send_child(split);
	if (err && !(err == -EAGAIN && split->in_flight))
		return err;
	if (!split->io.left)
		stop_waiting(split);
	else if (!split->waiting)
		start_waiting(split);
	return 0;
}

/*
 * An error of our own with a part under way is told by the completion. What the caller's functions
 * tell of the pieces can be wrong at a later look.
 */
static void fail_own(struct nvmux_split *split, int err)
{
	uint16_t status = err == -EINVAL ? NVME_SC_INVALID_FIELD : NVME_SC_INTERNAL;
	struct nvmux_cpl cpl = {.status = cpu_to_le16((uint16_t)(status << 1))};

	fail(split, &cpl);
}

int nvmux_split_start(struct nvmux_qpair *qpair, const struct nvmux_io *io, nvmux_cmd_cb cb,
		      void *arg)
{
	struct nvmux_split *split = take(qpair, cb, arg);
	int err;

	if (!split)
		return -EAGAIN;
	split->io = *io;
	split->in_turn = io->ns->zone_lbas && io->opc != nvme_cmd_read &&
			 io->opc != nvme_cmd_compare && io->opc != nvme_cmd_verify;
	err = advance(split);
	if (!err)
		return 0;
	if (split->in_flight) {
		fail_own(split, err);
		return 0;
	}
	give_back(split);
	return err;
}

/* The comparison's error counts, whichever of the two ends first. */
static void compare_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_split *split = arg;

	if (nvmux_cpl_is_error(cpl))
		split->cpl = *cpl;
	split->compare_failed = nvmux_cpl_is_error(cpl);
	if (!--split->in_flight)
		complete(split);
}

static void write_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_split *split = arg;

	if (!split->compare_failed)
		split->cpl = *cpl;
	if (!--split->in_flight)
		complete(split);
}

static void flush_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_split *split = arg;

	(void)cpl; /* it is the comparison's that counts */
	if (!--split->in_flight)
		complete(split);
}

/*
 * The write was refused. A controller waits with the comparison for the next command, and aborts it
 * when that isn't the other half: a flush, of which nothing can be refused; the slot for it has
 * been seen to be free.
 */
static void end_lone_compare(struct nvmux_split *split, const struct nvmux_cmd *compare)
{
	const struct nvmux_cmd flush = {.opc = nvme_cmd_flush, .nsid = compare->nsid};
	const struct nvmux_payload none = {0};
	struct nvmux_qpair *qpair = split->qpair;

	qpair->slow &= (uint8_t)~NVMUX_SLOW_FUSED;
	if (!qpair->transport->submit(qpair, &flush, &none, flush_done, split))
		split->in_flight++;
}

int nvmux_split_start_fused(struct nvmux_qpair *qpair, const struct io_cmd *compare,
			    const struct io_cmd *write, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_split *split = take(qpair, cb, arg);
	int err;

	if (!split)
		return -EAGAIN;
	err = io_submit(qpair, &compare->cmd, &compare->payload, compare_done, split);
	if (err) {
		give_back(split);
		return err;
	}
	split->in_flight = 1;
	if (io_submit(qpair, &write->cmd, &write->payload, write_done, split))
		end_lone_compare(split, &compare->cmd);
	else
		split->in_flight = 2;
	return 0;
}

bool nvmux_split_unwrap(nvmux_cmd_cb *cb, void **arg)
{
	const struct nvmux_split *split = *arg;

	if (*cb != child_done && *cb != compare_done && *cb != write_done && *cb != flush_done)
		return false;
	*cb = split->cb;
	*arg = split->arg;
	return true;
}

void nvmux_split_resume(struct nvmux_qpair *qpair)
{
	struct nvmux_split *split;

	while ((split = TAILQ_FIRST(&qpair->splits_waiting)) && nvmux_split_is_ready(split)) {
		int err = advance(split);

		if (!err && split->waiting)
			return;
		if (!err)
			continue;
		fail_own(split, err);
		if (!split->in_flight)
			complete(split);
	}
}

void nvmux_split_abort_waiting(struct nvmux_qpair *qpair,
			       bool (*match)(const void *arg, const struct nvmux_ns *ns),
			       const void *arg, uint16_t status)
{
	struct nvmux_cpl cpl = {.status = cpu_to_le16((uint16_t)(status << 1))};
	struct nvmux_split *split, *next;

	for (split = TAILQ_FIRST(&qpair->splits_waiting); split; split = next) {
		next = TAILQ_NEXT(split, link);
		if (match && !match(arg, split->io.ns))
			continue;
		fail(split, &cpl);
		if (!split->in_flight)
			complete(split);
	}
}
