// SPDX-License-Identifier: BSD-3-Clause
/* Splitting of large I/O; see split.h. */
#include <errno.h>

#include "split.h"
#include "transport.h"

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
}

static void complete(struct nvmux_split *split)
{
	struct nvmux_cpl cpl = split->cpl;
	nvmux_cmd_cb cb = split->cb;
	void *arg = split->arg;

	split->next_free = split->qpair->splits_free;
	split->qpair->splits_free = split;
	cb(arg, &cpl);
}

/* The first error stays; nothing more is sent. */
static void fail(struct nvmux_split *split, const struct nvmux_cpl *cpl)
{
	if (!nvmux_cpl_is_error(&split->cpl))
		split->cpl = *cpl;
	split->left = 0;
	stop_waiting(split);
}

static void child_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_split *split = arg;

	split->in_flight--;
	if (unlikely(nvmux_cpl_is_error(cpl)))
		fail(split, cpl);
	if (!split->left && !split->in_flight)
		complete(split);
}

static int send_child(struct nvmux_split *split)
{
	struct nvmux_qpair *qpair = split->qpair;
	const struct nvmux_ns *ns = split->ns;
	uint32_t blocks = nvmux_ns_next_blocks(ns, split->lba, split->left);
	struct nvmux_seg seg = {
		.mem = split->mem,
		.offset = split->offset,
		.len = blocks << ns->lba_shift,
	};
	struct nvmux_payload payload = {.data = &seg, .n_data = 1, .data_len = seg.len};
	struct nvmux_cmd cmd;
	int err;

	if (unlikely(ns->lba_shift != split->lba_shift))
		return -ESTALE; /* formatted otherwise meanwhile */
	nvmux_rw_cmd(&cmd, split->opc, ns->id, split->lba, blocks, split->cdw12);
	err = qpair->transport->submit(qpair, &cmd, &payload, child_done, split);
	if (err)
		return err;
	split->in_flight++;
	split->lba += blocks;
	split->offset += seg.len;
	split->left -= blocks;
	return 0;
}

/* Send what slots allow; wait in the list for the rest. */
static int advance(struct nvmux_split *split)
{
	struct nvmux_qpair *qpair = split->qpair;
	int err = 0;

	while (!err && split->left && qpair->n_free)
		err = send_child(split);
	if (split->left && !err && !split->waiting) {
		TAILQ_INSERT_TAIL(&qpair->splits_waiting, split, link);
		split->waiting = true;
	} else if (!split->left) {
		stop_waiting(split);
	}
	return err;
}

int nvmux_split_start(struct nvmux_qpair *qpair, const struct nvmux_split *template)
{
	struct nvmux_split *split = qpair->splits_free;
	int err;

	if (!split || !qpair->n_free)
		return -EAGAIN;
	qpair->splits_free = split->next_free;
	*split = *template;
	split->qpair = qpair;
	err = advance(split);
	if (!err)
		return 0;
	if (split->in_flight) {
		/* Some are under way: the error is reported by the completion. */
		struct nvmux_cpl cpl = {.status = cpu_to_le16(NVME_SC_INTERNAL << 1)};

		fail(split, &cpl);
		return 0;
	}
	split->next_free = qpair->splits_free;
	qpair->splits_free = split;
	return err;
}

void nvmux_split_resume(struct nvmux_qpair *qpair)
{
	struct nvmux_split *split;

	while (qpair->n_free && (split = TAILQ_FIRST(&qpair->splits_waiting))) {
		struct nvmux_cpl cpl = {.status = cpu_to_le16(NVME_SC_INTERNAL << 1)};

		if (!advance(split))
			continue;
		fail(split, &cpl);
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
		if (match && !match(arg, split->ns))
			continue;
		fail(split, &cpl);
		if (!split->in_flight)
			complete(split);
	}
}
