/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hardware queue pair without hardware, for tests of the data plane: it belongs to the thread
 * that polls it, completes what was submitted after a while and in any order, and can be held or
 * broken by the test's thread.
 *
 * A completion says what was executed: dw0 is the command's cdw10 + 1, dw1 its cdw14, which tests
 * use as the number of the sender.
 */
#ifndef TEST_FAKE_QUEUE_H
#define TEST_FAKE_QUEUE_H

#include <string.h>
#include "libcore/rw.h"
#include "libcore/transport.h"
#include "tests/rng.h"

#define FAKE_QUEUE_DEPTH_MAX 1024
#define FAKE_SENDERS         8

struct fake_entry {
	uint16_t cid;
	uint32_t dw0, dw1;
	const struct nvmux_mem *mem;
};

struct fake_queue {
	struct nvmux_qpair base;
	struct nvmux_ctrlr ctrlr;
	struct fake_entry pending[FAKE_QUEUE_DEPTH_MAX];
	uint32_t n_pending;
	uint64_t rng;

	/* set by the test, at any time */
	uint32_t hold;     /* complete nothing */
	uint32_t broken;   /* process() fails */
	uint32_t per_poll; /* completions at most, 0: as many as there are; bit 31: at random */
	uint32_t refuse;   /* submit() fails */
	const struct nvmux_mem *forbidden; /* no command may use it */
	uint32_t refuse_seconds; /* of fused ones; their first ends with a flush */

	/* read by the test, at any time */
	uint32_t submitted;
	uint32_t by_sender[FAKE_SENDERS];
	uint32_t pieces; /* of all commands */
	uint32_t pairs;  /* fused */
	uint32_t lone;   /* firsts that were ended by a flush */
	uint32_t violations;
	uint32_t most; /* submitted between two polls */

	uint32_t polled; /* submitted up to the last poll */
	struct nvmux_cmd before; /* the command before; for fused ones */
};

#define FAKE_RANDOM (1u << 31)

#define fake_get(p)    __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define fake_set(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define fake_inc(p)    __atomic_store_n((p), *(p) + 1, __ATOMIC_RELEASE)

static inline void fake_check_payload(struct fake_queue *q, const struct nvmux_payload *payload)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < payload->n_data; i++) {
		const struct nvmux_seg *seg = &payload->data[i];

		if (!seg->len || seg->offset > seg->mem->size ||
		    seg->len > seg->mem->size - seg->offset || seg->mem == fake_get(&q->forbidden))
			fake_inc(&q->violations);
		sum += seg->len;
		fake_inc(&q->pieces);
	}
	if (sum != payload->data_len)
		fake_inc(&q->violations);
}

/* Nothing goes between two fused commands, and neither goes alone. */
static inline void fake_check_fused(struct fake_queue *q, const struct nvmux_cmd *cmd)
{
	bool expected = q->before.flags == 1;

	if (expected && fake_get(&q->refuse_seconds) && cmd->opc == nvme_cmd_flush) {
		fake_inc(&q->lone);
		q->before = *cmd;
		return;
	}
	if (expected != (cmd->flags == 2) || (expected && cmd->cdw14 != q->before.cdw14))
		fake_inc(&q->violations);
	if (expected && cmd->flags == 2)
		fake_inc(&q->pairs);
	q->before = *cmd;
}

static inline int fake_queue_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
				    const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	struct fake_queue *q = (struct fake_queue *)qpair;
	struct fake_entry *entry = &q->pending[q->n_pending];

	NVMUX_ASSERT(!nvmux_qpair_is_full(qpair));
	if (fake_get(&q->refuse) || (cmd->flags == 2 && fake_get(&q->refuse_seconds)))
		return -22; /* -EINVAL */
	entry->cid = nvmux_qpair_take_cid(qpair, cb, arg);
	entry->dw0 = le32_to_cpu(cmd->cdw10) + 1;
	entry->dw1 = le32_to_cpu(cmd->cdw14);
	entry->mem = payload->n_data ? payload->data[0].mem : NULL;
	fake_check_payload(q, payload);
	fake_check_fused(q, cmd);
	q->n_pending++;
	fake_inc(&q->submitted);
	fake_inc(&q->by_sender[entry->dw1 % FAKE_SENDERS]);
	return 0;
}

/* Complete what per_poll allows, held or not. */
static inline int fake_queue_complete(struct fake_queue *q)
{
	uint32_t per_poll = fake_get(&q->per_poll), n = q->n_pending, done;

	if (fake_get(&q->broken))
		return -6; /* -ENXIO */
	if (per_poll & FAKE_RANDOM)
		n = next_random(&q->rng) % 4 ? 0 : (uint32_t)(next_random(&q->rng) % (n + 1));
	else if (per_poll)
		n = MIN(n, per_poll);
	for (done = 0; done < n; done++) {
		uint32_t i = (uint32_t)(next_random(&q->rng) % q->n_pending);
		struct nvmux_cpl cpl = {
			.dw0 = cpu_to_le32(q->pending[i].dw0),
			.dw1 = cpu_to_le32(q->pending[i].dw1),
			.cid = cpu_to_le16(q->pending[i].cid),
		};

		if (q->pending[i].mem && q->pending[i].mem == fake_get(&q->forbidden))
			fake_inc(&q->violations);
		q->pending[i] = q->pending[--q->n_pending];
		NVMUX_ASSERT(nvmux_qpair_complete(&q->base, &cpl));
	}
	return (int)done;
}

static inline int fake_queue_process(struct nvmux_qpair *qpair, uint32_t max)
{
	struct fake_queue *q = (struct fake_queue *)qpair;

	fake_set(&q->most, MAX(q->most, q->submitted - q->polled));
	q->polled = q->submitted;
	return fake_get(&q->hold) && !fake_get(&q->broken) ? 0 : fake_queue_complete(q);
}

static const struct nvmux_transport fake_queue_transport = {
	.trtype = NVMUX_TRTYPE_LOOPBACK,
	.submit = fake_queue_submit,
	.read = nvmux_rw_read,
	.write = nvmux_rw_write,
	.process = fake_queue_process,
};

static inline struct fake_queue *fake_queue_new(uint32_t depth)
{
	struct fake_queue *q = calloc(1, sizeof(*q));

	NVMUX_ASSERT(q && depth <= FAKE_QUEUE_DEPTH_MAX);
	q->ctrlr.transport = &fake_queue_transport;
	q->rng = 0x9e3779b97f4a7c15ull;
	NVMUX_ASSERT(nvmux_qpair_init(&q->base, &q->ctrlr, 1, depth) == 0);
	nvmux_qpair_set_state(&q->base, NVMUX_QPAIR_CONNECTED);
	return q;
}

static inline void fake_queue_free(struct fake_queue *q)
{
	nvmux_qpair_fini(&q->base);
	free(q);
}

#endif
