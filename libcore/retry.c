// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands that end with a status that passes by itself are repeated.
 *
 * Happy path: the completion is kept from the caller, the command stays in its slot; when the time
 * that the controller asked for is over (CRD, base specification 2.0, section 3.3.3.2.1, and CRDT1
 * to CRDT3 of Identify Controller), the transport sends it once more under another identifier.
 *
 * Failure modes: it fails again (opts.retry_count times at most, then the status is passed on, as
 * it is when the controller asks for more than a minute); it
 * can't be sent (it ends with Transient Transport Error); the queue pair is disconnected meanwhile
 * (it is dealt with like what is in flight).
 */
#include <errno.h>

#include "faults.h"

#define CRDT_MS      100   /* unit of CRDT1 to CRDT3 */
#define DELAY_MS_MAX 60000 /* a controller that asks for more has its status passed on */

struct retry_held {
	uint16_t index;
	uint64_t due_ms;
};

struct nvmux_retry {
	uint32_t n;
	struct retry_held held[]; /* in no order */
};

int retry_init(struct nvmux_qpair *qpair)
{
	qpair->retry = calloc(1, sizeof(*qpair->retry) +
					 qpair->depth * sizeof(qpair->retry->held[0]));
	return qpair->retry ? 0 : -ENOMEM;
}

void retry_fini(struct nvmux_qpair *qpair)
{
	free(qpair->retry);
	qpair->retry = NULL;
}

bool retry_status_passes(uint16_t status)
{
	if (status & NVMUX_STATUS_DNR)
		return false;
	switch (status & NVMUX_STATUS_CODE_MASK) {
	case NVME_SC_CMD_INTERRUPTED:
	case NVME_SC_TRAN_TPORT_ERROR:
	case NVME_SC_NS_NOT_READY:
	case NVME_SC_FORMAT_IN_PROGRESS: return true;
	default: return false;
	}
}

static uint32_t delay_ms(const struct nvmux_ctrlr *ctrlr, uint16_t status)
{
	switch (status >> NVMUX_STATUS_CRD_SHIFT & 3) {
	case 1: return le16_to_cpu(ctrlr->id.crdt1) * CRDT_MS;
	case 2: return le16_to_cpu(ctrlr->id.crdt2) * CRDT_MS;
	case 3: return le16_to_cpu(ctrlr->id.crdt3) * CRDT_MS;
	default: return 0;
	}
}

bool nvmux_qpair_retry(struct nvmux_qpair *qpair, uint16_t index, uint16_t status)
{
	struct nvmux_slot *slot = &qpair->slots[index];
	struct nvmux_retry *retry = qpair->retry;
	enum nvmux_qpair_state state = nvmux_qpair_get_state(qpair);
	uint32_t delay = delay_ms(qpair->ctrlr, status);

	if (!retry || !retry_status_passes(status) || delay > DELAY_MS_MAX ||
	    (state != NVMUX_QPAIR_CONNECTED && state != NVMUX_QPAIR_HOLDING) ||
	    slot->retries >= qpair->ctrlr->opts.retry_count || qpair->freeing)
		return false;
	/* One of two fused commands doesn't go alone. */
	if (qpair->transport->inflight(qpair, index)->flags & 3)
		return false;
	slot->retries++;
	slot->tick = nvmux_ctrlr_tick(qpair->ctrlr) + timeout_ticks(qpair->ctrlr, delay);
	retry->held[retry->n++] =
		(struct retry_held){.index = index, .due_ms = nvmux_now_ms() + delay};
	qpair->slow |= NVMUX_SLOW_HELD;
	return true;
}

static void repeat(struct nvmux_qpair *qpair, uint16_t index)
{
	qpair->slots[index].tick = nvmux_ctrlr_tick(qpair->ctrlr);
	qpair->slots[index].flags = 0;
	if (qpair->transport->repost(qpair, index))
		nvmux_qpair_end_cmd(qpair, index, NVME_SC_TRAN_TPORT_ERROR | NVMUX_STATUS_DNR);
}

void retry_run(struct nvmux_qpair *qpair)
{
	struct nvmux_retry *retry = qpair->retry;
	uint64_t now;

	/* Nothing goes between two fused commands. */
	if (!retry || qpair->slow & NVMUX_SLOW_FUSED)
		return;
	now = nvmux_now_ms();
	for (uint32_t i = retry->n; i-- > 0;) {
		uint16_t index = retry->held[i].index;

		if (i >= retry->n || retry->held[i].due_ms > now)
			continue;
		retry->held[i] = retry->held[--retry->n];
		repeat(qpair, index);
	}
	if (!retry->n)
		qpair->slow &= (uint8_t)~NVMUX_SLOW_HELD;
}

void retry_forget(struct nvmux_qpair *qpair)
{
	if (qpair->retry)
		qpair->retry->n = 0;
	qpair->slow &= (uint8_t)~NVMUX_SLOW_HELD;
}
