// SPDX-License-Identifier: BSD-3-Clause
/*
 * A hardware queue pair with the reactor that polls it and the channels bound to it.
 *
 * Happy path: each turn lets every polled channel put commands into the queue, at most its weight,
 * and then processes completions, which also rings the doorbell. When the queue is full the next
 * turn begins with the channel that comes next. Of several that are polled each has its share of
 * the queue and no more in flight, or a deep one would fill it and leave the others a few places at
 * a time.
 * Life: running → taken (with the control thread), to be deleted; running → failed, when the
 * transport gives up → taken. One that is taken or has failed isn't touched, but for an abort,
 * which the control thread orders while the queue is taken and the device has let go of it. What is
 * done about a connection that is lost, and about resets, is in hwq_link.c.
 * Held: what is in flight ends, nothing more is taken from channels; it stays with its reactor.
 * From a failure until the abort, the device may still write to the memory of commands that have
 * been completed: that is what `dirty` is for.
 */
#include <errno.h>
#include <nvmux/io.h>
#include "daemon/data.h"

#define REQUESTS_PER_TURN 32u

/* ---- channels ---- */

/* Of those that are polled. The others, however many, find an eighth of the places free when they
 * have something to do, and their share when commands of the rest have completed. */
static void set_share(struct hwq *hwq)
{
	uint32_t depth = hwq->qpair->depth;

	if (hwq->n_channels > hwq->n_polled)
		depth -= depth / 8;
	/* two at least, or fused commands would find no room */
	hwq->share = hwq->n_channels > 1 ? MAX(depth / MAX(hwq->n_polled, 1u), 2u) : UINT32_MAX;
}

void hwq_bind(struct hwq *hwq, struct channel *channel)
{
	TAILQ_INSERT_TAIL(&hwq->channels, channel, link);
	hwq->n_channels++;
	set_share(hwq);
}

void hwq_unbind(struct hwq *hwq, struct channel *channel)
{
	TAILQ_REMOVE(&hwq->channels, channel, link);
	hwq->n_channels--;
	set_share(hwq);
}

/* ---- the ring of polled channels ---- */

void hwq_add_polled(struct hwq *hwq, struct channel *channel)
{
	struct channel *first = hwq->polled;

	if (!first) {
		channel->polled_next = channel;
		channel->polled_prev = channel;
		hwq->polled = channel;
	} else { /* the last to be served */
		channel->polled_next = first;
		channel->polled_prev = first->polled_prev;
		first->polled_prev->polled_next = channel;
		first->polled_prev = channel;
	}
	hwq->n_polled++;
	set_share(hwq);
	hwq->reactor->n_polled++;
}

void hwq_remove_polled(struct hwq *hwq, struct channel *channel)
{
	if (hwq->polled == channel)
		hwq->polled = channel->polled_next != channel ? channel->polled_next : NULL;
	channel->polled_prev->polled_next = channel->polled_next;
	channel->polled_next->polled_prev = channel->polled_prev;
	hwq->n_polled--;
	set_share(hwq);
	hwq->reactor->n_polled--;
}

/* ---- turns ---- */

static void request_answer(struct message *msg, const struct nvmux_cpl *cpl)
{
	msg->request.cpl = *cpl;
	reactor_reply(msg->hwq->reactor, msg);
}

void hwq_request_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct message *msg = arg;

	TAILQ_REMOVE(&msg->hwq->sent, msg, waiting);
	request_answer(msg, cpl);
}

static void request_fail(struct message *msg, uint16_t status)
{
	struct nvmux_cpl cpl = {.status = cpu_to_le16((uint16_t)(status << 1))};

	request_answer(msg, &cpl);
}

static int send_request(struct hwq *hwq, struct message *msg)
{
	TAILQ_REMOVE(&hwq->requests, msg, waiting);
	if (hwq->qpair->transport->submit(hwq->qpair, &msg->request.cmd, msg->request.payload,
					  hwq_request_done, msg)) {
		request_fail(msg, NVMUX_SC_INTERNAL | NVMUX_STATUS_DNR);
		return -EINVAL;
	}
	TAILQ_INSERT_TAIL(&hwq->sent, msg, waiting);
	return 0;
}

void hwq_ignored(void *arg, const struct nvmux_cpl *cpl)
{
	(void)arg;
	(void)cpl;
}

/*
 * A controller aborts it when the next command isn't its other half (base specification 2.0,
 * section 3.4.2): a flush, of which nothing can be refused; the second's place is free for it.
 */
void hwq_end_lone_first(struct hwq *hwq, const struct nvmux_cmd *first)
{
	const struct nvmux_cmd flush = {.opc = nvme_cmd_flush, .nsid = first->nsid};
	const struct nvmux_payload none = {0};

	(void)!hwq->qpair->transport->submit(hwq->qpair, &flush, &none, hwq_ignored, NULL);
}

/* Two fused commands go one right after the other, when both are here and there is room for them;
 * the second not without the first. */
static bool send_next(struct hwq *hwq)
{
	struct message *msg = TAILQ_FIRST(&hwq->requests), *second;
	struct nvmux_cmd first;
	int err;

	if (!msg)
		return false;
	if (unlikely(msg->request.cmd.flags & NVMUX_IO_FUSE_SECOND)) {
		/* its first was failed before this one came */
		TAILQ_REMOVE(&hwq->requests, msg, waiting);
		request_fail(msg, NVME_SC_FUSED_MISSING | NVMUX_STATUS_DNR);
		return true;
	}
	if (likely(!(msg->request.cmd.flags & NVMUX_IO_FUSE_FIRST))) {
		send_request(hwq, msg);
		return true;
	}
	second = TAILQ_NEXT(msg, waiting);
	if (!second || (nvmux_qpair_n_free(hwq->qpair) < 2 && hwq->qpair->depth >= 2))
		return false;
	if (hwq->qpair->depth < 2) { /* there is never room */
		TAILQ_REMOVE(&hwq->requests, msg, waiting);
		TAILQ_REMOVE(&hwq->requests, second, waiting);
		request_fail(msg, NVME_SC_INVALID_FIELD | NVMUX_STATUS_DNR);
		request_fail(second, NVME_SC_INVALID_FIELD | NVMUX_STATUS_DNR);
		return true;
	}
	first = msg->request.cmd;
	err = send_request(hwq, msg);
	if (!err) {
		if (send_request(hwq, second))
			hwq_end_lone_first(hwq, &first);
		return true;
	}
	TAILQ_REMOVE(&hwq->requests, second, waiting);
	request_fail(second, NVME_SC_FUSED_MISSING | NVMUX_STATUS_DNR);
	return true;
}

uint32_t hwq_send_requests(struct hwq *hwq)
{
	uint32_t n = 0;

	while (n < REQUESTS_PER_TURN && !nvmux_qpair_is_full(hwq->qpair) && send_next(hwq))
		n++;
	return n;
}

uint32_t hwq_fail_requests(struct hwq *hwq, const void *owner, uint16_t status)
{
	struct message *msg, *next;
	uint32_t n = 0;

	for (msg = TAILQ_FIRST(&hwq->requests); msg; msg = next) {
		next = TAILQ_NEXT(msg, waiting);
		if (owner && msg->request.owner != owner)
			continue;
		TAILQ_REMOVE(&hwq->requests, msg, waiting);
		request_fail(msg, status);
		n++;
	}
	return n;
}

static uint32_t poll_channels(struct reactor *r, struct hwq *hwq)
{
	struct channel *channel = hwq->polled;
	uint32_t work = 0, in_flight, max;

	for (uint32_t left = hwq->n_polled; left && !nvmux_qpair_is_full(hwq->qpair); left--) {
		in_flight = channel->depth - channel->n_free;
		if (likely(in_flight < hwq->share)) {
			max = MIN(channel->weight + channel->has_first, hwq->share - in_flight);
			work += channel_poll(r, channel, MIN(max, nvmux_qpair_n_free(hwq->qpair)));
			/* two fused commands need two places: nobody takes the last one meanwhile
			 */
			if (unlikely(channel->has_first) && nvmux_qpair_n_free(hwq->qpair) == 1 &&
			    channel_wants_pair(channel))
				break;
		}
		channel = channel->polled_next;
	}
	hwq->polled = channel; /* where the room ended; or all have been served */
	return work;
}

void hwq_deactivate(struct reactor *r, struct hwq *hwq)
{
	if (!hwq->active)
		return;
	hwq->active = false;
	TAILQ_REMOVE(&r->active, hwq, link);
}

void hwq_show_state(struct hwq *hwq, uint32_t state)
{
	struct channel *channel;

	TAILQ_FOREACH (channel, &hwq->channels, link)
		channel_show_state(channel, state);
}

void hwq_answer_hold(struct reactor *r, struct hwq *hwq, bool anyway)
{
	if (!hwq->holding ||
	    (!anyway && (nvmux_qpair_outstanding(hwq->qpair) || !TAILQ_EMPTY(&hwq->requests))))
		return;
	reactor_reply(r, hwq->holding);
	hwq->holding = NULL;
}

void hwq_fail(struct reactor *r, struct hwq *hwq)
{
	hwq->state = HWQ_FAILED;
	hwq->dirty = true;
	hwq_deactivate(r, hwq);
	hwq_show_state(hwq, NVMUX_RING_PAUSED);
	hwq_answer_hold(r, hwq, true);
	hwq->failed.kind = MSG_HWQ_FAILED;
	hwq->failed.hwq = hwq;
	/* It can't be on its way already: this is for good. */
	reactor_reply(r, &hwq->failed);
}

uint32_t hwq_turn(struct reactor *r, struct hwq *hwq)
{
	uint32_t work = 0;
	int n;

	if (unlikely(!TAILQ_EMPTY(&hwq->requests)))
		work += hwq_send_requests(hwq);
	/* two fused requests need two places: channels don't take the last one meanwhile */
	if (likely(TAILQ_EMPTY(&hwq->requests)) || nvmux_qpair_n_free(hwq->qpair) > 1)
		work += poll_channels(r, hwq);
	if (nvmux_qpair_outstanding(hwq->qpair)) {
		n = nvmux_qpair_process_completions(hwq->qpair, 0);
		if (unlikely(n < 0)) {
			/* That of a connection changes its state: the control thread knows. */
			if (!hwq_has_link(hwq))
				hwq_fail(r, hwq);
			return work + 1;
		}
		work += (uint32_t)n;
	} else if (!hwq->n_polled && TAILQ_EMPTY(&hwq->requests)) {
		hwq_deactivate(r, hwq);
	}
	return work;
}

uint32_t hwq_poll(struct reactor *r, struct hwq *hwq)
{
	if (likely(hwq->state == HWQ_RUNNING &&
		   nvmux_qpair_get_state(hwq->qpair) == NVMUX_QPAIR_CONNECTED))
		return hwq_turn(r, hwq);
	return hwq_link_turn(r, hwq);
}

/* ---- messages, in the reactor ---- */

/* One that is taken or has failed has nothing in flight that a reactor could wait for. */
static void hold(struct reactor *r, struct hwq *hwq, struct message *msg)
{
	NVMUX_ASSERT(!hwq->holding);
	hwq->held = true;
	hwq->holding = msg;
	if (hwq->state == HWQ_TAKEN || hwq->state == HWQ_FAILED) {
		hwq_answer_hold(r, hwq, true);
		return;
	}
	if (hwq->state == HWQ_RUNNING) {
		hwq->state = HWQ_PAUSED;
		hwq_show_state(hwq, NVMUX_RING_PAUSED);
	}
	reactor_activate(r, hwq);
}

/* The next turn sees whether it works. */
static void release(struct reactor *r, struct hwq *hwq)
{
	hwq->held = false;
	hwq_answer_hold(r, hwq, true);
	if (hwq->state != HWQ_TAKEN && hwq->state != HWQ_FAILED)
		reactor_activate(r, hwq);
}

void hwq_handle(struct reactor *r, struct message *msg)
{
	struct hwq *hwq = msg->hwq;

	switch (msg->kind) {
	case MSG_HWQ_REQUEST:
		TAILQ_INSERT_TAIL(&hwq->requests, msg, waiting);
		reactor_activate(r, hwq);
		return; /* answered by its completion */
	case MSG_HWQ_TAKE_BACK:
		hwq_show_state(hwq, NVMUX_RING_PAUSED);
		if (hwq_has_link(hwq)) {
			hwq->state = HWQ_QUIESCING;
			hwq->taking = msg;
			reactor_activate(r, hwq);
			return; /* answered when it is quiet */
		}
		hwq_deactivate(r, hwq);
		hwq->state = HWQ_TAKEN;
		break;
	case MSG_HWQ_HOLD: hold(r, hwq, msg); return; /* answered when nothing is in flight */
	case MSG_HWQ_STOP_HOLDING: hwq_answer_hold(r, hwq, true); break;
	case MSG_HWQ_RELEASE: release(r, hwq); break;
	case MSG_HWQ_GO: hwq_link_go(r, hwq, msg->changed); break;
	case MSG_HWQ_ABANDON: hwq_link_abandon(r, hwq, msg->owner); break;
	case MSG_HWQ_LOOK: reactor_activate(r, hwq); break;
	case MSG_HWQ_ABORT:
		nvmux_qpair_abort_all(hwq->qpair, msg->status);
		hwq_fail_requests(hwq, NULL, msg->status);
		hwq->dirty = false;
		break;
	case MSG_HWQ_DESTROY:
		NVMUX_ASSERT(TAILQ_EMPTY(&hwq->channels) && !hwq->active);
		hwq_fail_requests(hwq, NULL, NVMUX_SC_CTRLR_GONE | NVMUX_STATUS_DNR);
		break;
	default: NVMUX_ASSERT(false);
	}
	reactor_reply(r, msg);
}

/* ---- the control thread's side ---- */

int hwq_create(struct reactor *reactor, struct nvmux_qpair *qpair, struct hwq **ret)
{
	struct hwq *hwq = aligned_alloc(64, align_up(sizeof(*hwq), 64));

	if (!hwq)
		return -ENOMEM;
	*hwq = (struct hwq){.qpair = qpair, .reactor = reactor, .state = HWQ_RUNNING};
	TAILQ_INIT(&hwq->requests);
	TAILQ_INIT(&hwq->sent);
	TAILQ_INIT(&hwq->channels);
	qpair->handed_over = true;
	reactor->ctl_hwqs++;
	*ret = hwq;
	return 0;
}

static void send(struct hwq *hwq, struct message *msg)
{
	msg->hwq = hwq;
	reactor_send(hwq->reactor, msg);
}

void hwq_take_back(struct hwq *hwq, reactor_cb cb, void *arg)
{
	NVMUX_ASSERT(hwq->ctl_state == HWQ_GIVEN);
	hwq->ctl_state = HWQ_TAKING;
	send(hwq, message_new(MSG_HWQ_TAKE_BACK, cb, arg));
}

void hwq_hold(struct hwq *hwq, reactor_cb cb, void *arg)
{
	send(hwq, message_new(MSG_HWQ_HOLD, cb, arg));
}

void hwq_stop_holding(struct hwq *hwq)
{
	send(hwq, message_new(MSG_HWQ_STOP_HOLDING, NULL, NULL));
}

void hwq_release(struct hwq *hwq)
{
	send(hwq, message_new(MSG_HWQ_RELEASE, NULL, NULL));
}

void hwq_go(struct hwq *hwq, bool changed)
{
	struct message *msg = message_new(MSG_HWQ_GO, NULL, NULL);

	msg->changed = changed;
	send(hwq, msg);
}

void hwq_abort(struct hwq *hwq, uint16_t status, reactor_cb cb, void *arg)
{
	struct message *msg = message_new(MSG_HWQ_ABORT, cb, arg);

	NVMUX_ASSERT(hwq->ctl_state == HWQ_BACK);
	msg->status = status;
	send(hwq, msg);
}

void hwq_destroy(struct hwq *hwq)
{
	if (!hwq)
		return;
	NVMUX_ASSERT(hwq->ctl_state == HWQ_BACK && hwq->ctl_channels == 0);
	hwq->ctl_state = HWQ_DESTROYED;
	send(hwq, message_new(MSG_HWQ_DESTROY, NULL, NULL));
}

void hwq_look(struct hwq *hwq)
{
	/* Its owner isn't the reactor any more: do the owner's part of a loss, which is to say that
	 * it is quiet. */
	if (hwq->ctl_state == HWQ_BACK &&
	    nvmux_qpair_get_state(hwq->qpair) == NVMUX_QPAIR_QUIESCING)
		nvmux_qpair_process_completions(hwq->qpair, 0);
	if (hwq->ctl_state != HWQ_GIVEN && hwq->ctl_state != HWQ_TAKING)
		return;
	hwq->ctl_look_again = hwq->ctl_looking;
	if (hwq->ctl_looking)
		return;
	hwq->ctl_looking = true;
	hwq->look.kind = MSG_HWQ_LOOK;
	send(hwq, &hwq->look);
}

/* The reactor may have looked before the latest change. */
static void looked(struct hwq *hwq)
{
	bool again = hwq->ctl_look_again;

	hwq->ctl_looking = false;
	hwq->ctl_look_again = false;
	if (again)
		hwq_look(hwq);
}

void hwq_abandon(struct hwq *hwq, const void *owner)
{
	struct message *msg = message_new(MSG_HWQ_ABANDON, NULL, NULL);

	NVMUX_ASSERT(hwq->ctl_state != HWQ_DESTROYED && owner);
	msg->owner = owner;
	send(hwq, msg);
}

void hwq_submit(struct hwq *hwq, const void *owner, const struct nvmux_cmd *cmd,
		const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	struct message *msg = message_new(MSG_HWQ_REQUEST, NULL, arg);

	NVMUX_ASSERT(hwq->ctl_state != HWQ_DESTROYED);
	msg->request.cmd = *cmd;
	msg->request.payload = payload;
	msg->request.owner = owner;
	msg->request.cb = cb;
	send(hwq, msg);
}

void hwq_submit_fused(struct hwq *hwq, const void *owner, const struct hwq_fused *first,
		      const struct hwq_fused *second)
{
	hwq_submit(hwq, owner, first->cmd, first->payload, first->cb, first->arg);
	hwq_submit(hwq, owner, second->cmd, second->payload, second->cb, second->arg);
}

void hwq_replied(struct message *msg)
{
	struct hwq *hwq = msg->hwq;

	switch (msg->kind) {
	case MSG_HWQ_REQUEST: msg->request.cb(msg->arg, &msg->request.cpl); return;
	case MSG_HWQ_LOOK: looked(hwq); return;
	case MSG_HWQ_TAKE_BACK:
		hwq->ctl_state = HWQ_BACK;
		hwq->qpair->handed_over = false;
		break;
	case MSG_HWQ_DESTROY:
		hwq->reactor->ctl_hwqs--;
		free(hwq);
		return;
	default: break;
	}
	if (msg->cb)
		msg->cb(msg->arg);
}

struct nvmux_qpair *hwq_qpair(const struct hwq *hwq)
{
	return hwq->qpair;
}

struct reactor *hwq_reactor(const struct hwq *hwq)
{
	return hwq->reactor;
}

uint32_t hwq_num_channels(const struct hwq *hwq)
{
	return hwq->ctl_channels;
}
