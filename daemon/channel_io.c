// SPDX-License-Identifier: BSD-3-Clause
/*
 * A channel, the daemon's end of a client's ring: the reactor's half.
 *
 * Happy path: poll() copies commands out, checks the copies and puts them into the hardware queue;
 * complete() puts completions into the ring; publish() shows once per turn what changed. A channel
 * without work for many turns is parked: it sets its sleep flag, and from then on its client sends
 * a byte with the next command.
 * Scatter lists and fused commands go a way of their own, for which the usual ones pay one test. A
 * scatter list is copied out before it is checked. The first of two fused commands is kept until
 * the next entry is there, and counts as a command meanwhile, so that both have room when that
 * comes. Failure modes: what the check refuses is completed here; a client that uses more commands
 * than its depth has the rest refused, and loses completions by its own doing; a client that closed
 * its socket while parked isn't heard any more; when the second of two fused commands can't be
 * sent, a flush goes in its place, so that the first ends. A stop or a forgotten region waits until
 * nothing of it is in flight, and after a failure of the queue until the device has been stopped.
 */
#include <string.h>
#include <sys/epoll.h>
#include "daemon/data.h"
#include "daemon/plain.h"
#include "libcore/membarrier.h"

#define FLAGS_FUSE  0x03
#define FUSE_FIRST  0x01
#define FUSE_SECOND 0x02

/* ---- commands and completions ---- */

static inline void add_to_batch(struct reactor *r, struct channel *channel)
{
	if (channel->in_batch)
		return;
	channel->in_batch = true;
	channel->batch_next = r->batch;
	r->batch = channel;
}

static void complete(void *arg, const struct nvmux_cpl *cpl)
{
	struct channel_slot *slot = arg;
	struct channel *channel = slot->channel;

	ring_server_complete(&channel->ring, slot->cid, *(const nvmux_word *)cpl,
			     nvmux_cpl_status(cpl));
	channel->bytes[slot->writes] += slot->bytes;
	channel->free_slots[channel->n_free++] = slot;
	add_to_batch(channel->hwq->reactor, channel);
}

__attribute__((noinline, cold)) static void
refuse(struct channel *channel, const struct nvmux_ring_cmd *cmd, uint16_t status)
{
	ring_server_complete(&channel->ring, le16_to_cpu(cmd->cid), 0, status);
	channel->refused++;
}

static inline uint16_t region_number(const struct nvmux_seg *seg, uint64_t address)
{
	return seg->len ? (uint16_t)(address >> NVMUX_RING_OFFSET_BITS) : CHANNEL_NO_REGION;
}

/* Send one that has been checked. There is room. */
static void submit(struct channel *channel, const struct checked_cmd *cmd)
{
	struct nvmux_qpair *qpair = channel->hwq->qpair;
	struct channel_slot *slot = channel->free_slots[--channel->n_free];
	struct nvmux_payload payload = {
		.data = &cmd->seg,
		.n_data = cmd->seg.len ? 1 : 0,
		.data_len = cmd->seg.len,
		.md = cmd->md,
	};

	slot->cid = le16_to_cpu(cmd->ring.cid);
	slot->region = region_number(&cmd->seg, cmd->ring.data);
	slot->md_region = region_number(&cmd->md, cmd->ring.md);
	slot->bytes = cmd->seg.len;
	slot->writes = cmd->ring.opc & 1; /* bit 0: to the controller, bit 1: from it */
	if (unlikely(qpair->transport->submit(qpair, &cmd->cmd, &payload, complete, slot))) {
		channel->n_free++;
		refuse(channel, &cmd->ring, NVMUX_SC_INTERNAL | NVMUX_STATUS_DNR);
	}
}

/* One that isn't a read or write of the usual kind, or is wrong. */
__attribute__((noinline)) static void serve_other(struct channel *channel, struct checked_cmd *cmd)
{
	uint16_t status = channel_check(channel->view, channel->regions, channel->n_regions, cmd);

	if (status)
		refuse(channel, &cmd->ring, status);
	else
		submit(channel, cmd);
}

/* Check one command, cmd->ring, and send it. The hardware queue has room. */
static inline void serve(struct channel *channel, struct checked_cmd *cmd)
{
	struct nvmux_qpair *qpair = channel->hwq->qpair;
	struct channel_slot *slot;
	struct nvmux_plain data;

	if (unlikely(channel->n_free == 0)) {
		refuse(channel, &cmd->ring, NVMUX_SC_DEPTH_EXCEEDED | NVMUX_STATUS_DNR);
		return;
	}
	if (unlikely(channel->ns->nsid != le32_to_cpu(cmd->ring.nsid)))
		channel->ns = ctrlr_view_likely(channel->view, le32_to_cpu(cmd->ring.nsid));
	if (unlikely(!qpair->transport->submit_plain ||
		     !channel_check_plain(&cmd->ring, channel->ns, channel->regions,
					  channel->n_regions, &data))) {
		serve_other(channel, cmd);
		return;
	}
	slot = channel->free_slots[--channel->n_free];
	slot->cid = le16_to_cpu(cmd->ring.cid);
	slot->region = (uint16_t)(cmd->ring.data >> NVMUX_RING_OFFSET_BITS);
	slot->md_region = CHANNEL_NO_REGION;
	slot->bytes = data.len;
	slot->writes = cmd->ring.opc & 1;
	if (unlikely(qpair->transport->submit_plain(qpair, &cmd->cmd, &data, complete, slot))) {
		channel->n_free++;
		refuse(channel, &cmd->ring, NVMUX_SC_INTERNAL | NVMUX_STATUS_DNR);
	}
}

/* ---- scatter lists and fused commands ---- */

struct checked_slow {
	struct checked_cmd cmd;
	struct checked_list list;
};

static uint16_t check_slow(const struct channel *channel, const struct nvmux_ring_cmd *cmd,
			   struct checked_slow *ret)
{
	struct nvmux_ring_seg list[NVMUX_RING_LIST_PER_CMD];
	uint32_t n = cmd->data_len;

	if (cmd->flags & NVMUX_RING_F_LIST) {
		if (!ring_server_take_list(&channel->ring, cmd, list))
			return NVMUX_SC_LIST_INVALID | NVMUX_STATUS_DNR;
	} else { /* as if it were a list of one piece */
		n = cmd->data_len ? 1 : 0;
		list[0] = (struct nvmux_ring_seg){.region_offset = cmd->data,
						  .length = cmd->data_len};
	}
	return channel_check_list(cmd, list, n, channel->view, channel->regions, channel->n_regions,
				  &ret->cmd, &ret->list);
}

/* Send one that has been checked. There is room. False: it has been refused. */
static bool submit_slow(struct channel *channel, const struct nvmux_ring_cmd *cmd,
			const struct checked_slow *checked)
{
	struct nvmux_qpair *qpair = channel->hwq->qpair;
	struct channel_slot *slot = channel->free_slots[--channel->n_free];
	struct nvmux_payload payload = {
		.data = checked->list.segs,
		.n_data = checked->list.n,
		.data_len = checked->list.len,
		.md = checked->cmd.md,
	};

	slot->cid = le16_to_cpu(cmd->cid);
	slot->region = checked->list.n ? CHANNEL_LIST : CHANNEL_NO_REGION;
	slot->md_region = region_number(&checked->cmd.md, cmd->md);
	slot->drops = channel->drops;
	slot->bytes = checked->list.len;
	slot->writes = cmd->opc & 1;
	if (!qpair->transport->submit(qpair, &checked->cmd.cmd, &payload, complete, slot))
		return true;
	channel->n_free++;
	refuse(channel, cmd, NVMUX_SC_INTERNAL | NVMUX_STATUS_DNR);
	return false;
}

static void serve_list(struct channel *channel, const struct nvmux_ring_cmd *cmd)
{
	struct checked_slow checked;
	uint16_t status = NVMUX_SC_DEPTH_EXCEEDED | NVMUX_STATUS_DNR;

	if (channel->n_free > 0)
		status = check_slow(channel, cmd, &checked);
	if (status)
		refuse(channel, cmd, status);
	else
		submit_slow(channel, cmd, &checked);
}

/* Both or neither. The one that isn't to blame is told that the other failed. */
static void serve_pair(struct channel *channel, const struct nvmux_ring_cmd *first,
		       const struct nvmux_ring_cmd *second)
{
	uint16_t statuses[2] = {NVMUX_SC_DEPTH_EXCEEDED | NVMUX_STATUS_DNR,
				NVMUX_SC_DEPTH_EXCEEDED | NVMUX_STATUS_DNR};
	struct checked_slow checked[2];

	if (channel->n_free >= 2) {
		statuses[0] = check_slow(channel, first, &checked[0]);
		statuses[1] = check_slow(channel, second, &checked[1]);
		if (!statuses[0] && !statuses[1])
			statuses[0] = statuses[1] = channel_check_fused(
				&checked[0].cmd.cmd, &checked[1].cmd.cmd, channel->view);
	}
	if (statuses[0] || statuses[1]) {
		uint16_t other = NVME_SC_FUSED_FAIL | NVMUX_STATUS_DNR;

		refuse(channel, first, statuses[0] ? statuses[0] : other);
		refuse(channel, second, statuses[1] ? statuses[1] : other);
		return;
	}
	NVMUX_ASSERT(nvmux_qpair_n_free(channel->hwq->qpair) >= 2);
	if (!submit_slow(channel, first, &checked[0]))
		refuse(channel, second, NVME_SC_FUSED_FAIL | NVMUX_STATUS_DNR);
	else if (!submit_slow(channel, second, &checked[1]))
		hwq_end_lone_first(channel->hwq, &checked[0].cmd.cmd);
}

/* A command with flags, or any after the first of two fused ones. */
__attribute__((noinline, cold)) static void serve_slow(struct channel *channel,
						       struct checked_cmd *checked)
{
	const uint16_t missing = NVME_SC_FUSED_MISSING | NVMUX_STATUS_DNR;
	const struct nvmux_ring_cmd *cmd = &checked->ring;
	uint8_t fuse = cmd->flags & FLAGS_FUSE;

	if (channel->has_first) {
		channel->has_first = 0;
		if (fuse == FUSE_SECOND) {
			serve_pair(channel, &channel->first, cmd);
			return;
		}
		refuse(channel, &channel->first, missing);
	}
	if (fuse == FUSE_SECOND) {
		refuse(channel, cmd, missing);
	} else if (fuse == FUSE_FIRST && channel->hwq->qpair->depth < 2) {
		refuse(channel, cmd, NVME_SC_INVALID_FIELD | NVMUX_STATUS_DNR); /* never room */
	} else if (fuse == FUSE_FIRST) {
		channel->first = *cmd;
		channel->has_first = 1;
	} else if (cmd->flags & ~NVMUX_RING_F_PHASE) {
		serve_list(channel, cmd);
	} else {
		serve(channel, checked);
	}
}

/* Nothing to take: after many such turns with nothing in flight it is a candidate for parking. */
static inline void idle(struct reactor *r, struct channel *channel)
{
	if (channel->n_free != channel->depth) {
		channel->idle_turns = 0;
		return;
	}
	if (++channel->idle_turns < r->idle_turns)
		return;
	channel->idle_turns = 0;
	if (!channel->watched && !channel->client_gone)
		return; /* nothing would wake it */
	channel->park_next = r->parking;
	r->parking = channel;
}

static inline uint32_t took(struct reactor *r, struct channel *channel, uint32_t n)
{
	if (n == 0) {
		idle(r, channel);
		return 0;
	}
	channel->idle_turns = 0;
	r->commands += n;
	add_to_batch(r, channel);
	return n;
}

uint32_t channel_poll(struct reactor *r, struct channel *channel, uint32_t max)
{
	/* One that waits for its second is sent together with it. */
	uint32_t n = channel->has_first, waiting = n;
	struct checked_cmd cmd;

	while (n < max && ring_server_take(&channel->ring, &cmd.ring)) {
		if (likely(!(cmd.ring.flags & ~NVMUX_RING_F_PHASE) && !channel->has_first))
			serve(channel, &cmd);
		else
			serve_slow(channel, &cmd);
		n++;
	}
	return took(r, channel, n - waiting);
}

uint32_t channel_refuse(struct reactor *r, struct channel *channel, uint16_t status)
{
	struct checked_cmd cmd;
	uint32_t n = 0;

	if (channel->has_first) {
		channel->has_first = 0;
		refuse(channel, &channel->first, status);
		n++;
	}
	while (n < channel->weight && ring_server_take(&channel->ring, &cmd.ring)) {
		/* what those with flags carry is looked at when there is a path again */
		uint16_t found = cmd.ring.flags & ~NVMUX_RING_F_PHASE
					 ? 0
					 : channel_check(channel->view, channel->regions,
							 channel->n_regions, &cmd);

		refuse(channel, &cmd.ring, found ? found : status);
		n++;
	}
	return took(r, channel, n);
}

bool channel_is_abandoned(const void *cb_arg)
{
	const struct channel_slot *slot = cb_arg;

	return slot->channel->abandoned;
}

static void unpark(struct reactor *r, struct channel *channel);

static void publish(struct reactor *r, struct channel *channel)
{
	struct channel_stats *stats = &channel->stats;
	struct ring_server *ring = &channel->ring;
	uint64_t cq_tail = ring_server_cq_tail(ring);

	ring_server_publish_indices(ring);
	if (cq_tail != channel->cq_notified) {
		r->completions += cq_tail - channel->cq_notified;
		channel->cq_notified = cq_tail;
		ring_server_notify(ring);
		/* Parked with commands in flight: more of them may follow soon. */
		if (unlikely(channel->where == CHANNEL_PARKED))
			unpark(r, channel);
	}
	stat_set(&stats->commands, ring_server_sq_head(ring));
	stat_set(&stats->completions, cq_tail);
	stat_set(&stats->refused, channel->refused);
	stat_set(&stats->read_bytes, channel->bytes[0]);
	stat_set(&stats->write_bytes, channel->bytes[1]);
	stat_set(&stats->in_flight, channel->depth - channel->n_free);
}

void channels_publish(struct reactor *r)
{
	struct channel *channel, *next;

	for (channel = r->batch; channel; channel = next) {
		next = channel->batch_next;
		channel->in_batch = false;
		publish(r, channel);
	}
	r->batch = NULL;
}

/* ---- parking ---- */

static void set_sleeping(struct channel *channel, uint32_t sleeping)
{
	__atomic_store_n(&channel->ring.header->daemon_sleeping, sleeping, __ATOMIC_RELAXED);
}

static void set_parked(struct reactor *r, struct channel *channel, bool parked)
{
	if (parked)
		r->n_parked++;
	else
		r->n_parked--;
	stat_set(&channel->stats.parked, parked);
}

bool channels_want_park(struct reactor *r, const struct hwq *hwq)
{
	struct channel *channel = hwq->polled;

	for (uint32_t left = hwq->n_polled; left; left--) {
		if (!channel->watched && !channel->client_gone)
			return false;
		channel->park_next = r->parking;
		r->parking = channel;
		channel = channel->polled_next;
	}
	return true;
}

/* A busy reactor goes on looking at its idle channels while they are few, but not at all of them in
 * each turn. */
static void let_rest(struct reactor *r)
{
	struct channel *channel;

	while ((channel = r->parking) && r->n_resting < REACTOR_RESTING) {
		r->parking = channel->park_next;
		hwq_remove_polled(channel->hwq, channel);
		channel->where = CHANNEL_RESTING;
		if (!r->resting)
			channel->polled_prev = r->resting = channel;
		channel->polled_next = r->resting; /* the last to be looked at */
		channel->polled_prev = r->resting->polled_prev;
		channel->polled_prev->polled_next = channel;
		r->resting->polled_prev = channel;
		r->n_resting++;
	}
}

static void end_rest(struct reactor *r, struct channel *channel)
{
	if (r->resting == channel)
		r->resting = channel->polled_next != channel ? channel->polled_next : NULL;
	channel->polled_prev->polled_next = channel->polled_next;
	channel->polled_next->polled_prev = channel->polled_prev;
	r->n_resting--;
}

static void poll_again(struct channel *channel)
{
	channel->where = CHANNEL_POLLED;
	channel->idle_turns = 0;
	hwq_add_polled(channel->hwq, channel);
	reactor_activate(channel->hwq->reactor, channel->hwq);
}

bool channels_ready(const struct hwq *hwq)
{
	const struct channel *channel = hwq->polled;
	uint64_t first;

	for (uint32_t left = hwq->n_polled; left; left--, channel = channel->polled_next) {
		if (ring_server_ready(&channel->ring, &first))
			return true;
	}
	return false;
}

void channels_look(struct reactor *r)
{
	struct channel *channel = r->resting;
	uint64_t first;

	r->resting = channel->polled_next;
	if (likely(!ring_server_ready(&channel->ring, &first)))
		return;
	end_rest(r, channel);
	poll_again(channel);
}

void channels_park(struct reactor *r)
{
	struct channel *channel, *next;
	uint64_t first;

	if (r->busy) {
		let_rest(r);
		if (!r->parking)
			return;
	}
	for (channel = r->parking; channel; channel = channel->park_next)
		set_sleeping(channel, 1);
	nvmux_membarrier(); /* one for all of them */
	for (channel = r->parking; channel; channel = next) {
		next = channel->park_next;
		if (ring_server_ready(&channel->ring, &first)) {
			set_sleeping(channel, 0);
			continue;
		}
		hwq_remove_polled(channel->hwq, channel);
		channel->where = CHANNEL_PARKED;
		set_parked(r, channel, true);
	}
	r->parking = NULL;
}

static void unpark(struct reactor *r, struct channel *channel)
{
	set_sleeping(channel, 0);
	set_parked(r, channel, false);
	poll_again(channel);
}

static void watch(struct reactor *r, struct channel *channel)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = channel};

	/* Without it the channel is never parked. */
	channel->watched = !channel->client_gone && epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD,
							      channel->ring.wake_fd, &event) == 0;
}

static void unwatch(struct reactor *r, struct channel *channel)
{
	struct epoll_event unused = {0};

	if (channel->watched)
		epoll_ctl(r->epoll_fd, EPOLL_CTL_DEL, channel->ring.wake_fd, &unused);
	channel->watched = false;
}

void channel_wake(struct reactor *r, struct channel *channel)
{
	if (ring_server_drain(&channel->ring)) {
		/* Closed: it would be readable for ever. */
		unwatch(r, channel);
		channel->client_gone = true;
	}
	if (channel->where == CHANNEL_PARKED)
		unpark(r, channel);
}

/* ---- messages ---- */

void channel_show_state(struct channel *channel, uint32_t state)
{
	if (channel->ring_state == state || channel->ring_state == NVMUX_RING_DEAD)
		return;
	channel->ring_state = state;
	/* release: a client that sees the ring dead sees all of its completions */
	__atomic_store_n(&channel->ring.header->state, state, __ATOMIC_RELEASE);
	ring_server_wake(&channel->ring);
}

static void set_view(struct channel *channel, struct message *msg)
{
	struct nvmux_ring_header *header = channel->ring.header;
	struct ctrlr_view *before = (struct ctrlr_view *)channel->view;
	struct ring_limits limits;

	channel->view = msg->view;
	channel->ns = ctrlr_view_likely(msg->view, 0); /* none */
	msg->view = before;
	channel_limits(channel->view, &limits);
	ring_server_show_limits(&channel->ring, &limits);
	__atomic_store_n(&header->generation, ++channel->generation, __ATOMIC_RELEASE);
}

void channel_apply(struct channel *channel, struct message *msg)
{
	switch (msg->kind) {
	case MSG_CHANNEL_SET_REGION: channel->regions[msg->region.number] = msg->region.view; break;
	case MSG_CHANNEL_DROP_REGION:
		channel->regions[msg->region.number] = (struct region_view){0};
		break;
	case MSG_CHANNEL_SET_VIEW: set_view(channel, msg); break;
	case MSG_CHANNEL_SET_STATE: channel_show_state(channel, msg->state); break;
	default: NVMUX_ASSERT(false);
	}
}

static void start(struct reactor *r, struct message *msg)
{
	struct channel *channel = msg->channel;
	struct hwq *hwq = msg->hwq;

	channel->hwq = hwq;
	hwq_bind(hwq, channel);
	watch(r, channel);
	channel->where = CHANNEL_POLLED;
	channel->idle_turns = 0;
	channel->abandoned = false;
	hwq_add_polled(hwq, channel);
	reactor_activate(r, hwq);
	channel_show_state(channel, hwq->state == HWQ_RUNNING || hwq->state == HWQ_REFUSING
					    ? NVMUX_RING_READY
					    : NVMUX_RING_PAUSED);
}

static void stop(struct reactor *r, struct channel *channel)
{
	if (channel->where == CHANNEL_POLLED)
		hwq_remove_polled(channel->hwq, channel);
	else if (channel->where == CHANNEL_RESTING)
		end_rest(r, channel);
	else if (channel->where == CHANNEL_PARKED)
		set_parked(r, channel, false);
	channel->where = CHANNEL_OFF;
	unwatch(r, channel);
}

static void abandon(struct reactor *r, struct channel *channel)
{
	if (!channel->hwq)
		return; /* it has stopped meanwhile */
	channel->abandoned = true;
	hwq_link_abandon(r, channel->hwq, NULL);
}

void channel_handle(struct reactor *r, struct message *msg)
{
	switch (msg->kind) {
	case MSG_CHANNEL_START: start(r, msg); break;
	case MSG_CHANNEL_ABANDON: abandon(r, msg->channel); break;
	case MSG_CHANNEL_STOP:
		stop(r, msg->channel);
		reactor_wait(r, msg);
		return;
	case MSG_CHANNEL_DROP_REGION:
		channel_apply(msg->channel, msg);
		msg->region.scanned = UINT64_MAX;
		msg->region.drops = ++msg->channel->drops;
		reactor_wait(r, msg);
		return;
	default: channel_apply(msg->channel, msg);
	}
	reactor_reply(r, msg);
}

/* Lists count as using all regions; but what was checked since this one was forgotten doesn't. */
static bool slot_uses(const struct channel_slot *slot, uint32_t number, uint32_t drops)
{
	if (slot->region == CHANNEL_LIST && (int32_t)(slot->drops - drops) < 0)
		return true;
	return slot->region == number || slot->md_region == number;
}

/* Whether a command in flight uses the region. Which slots are free is in the stack alone. */
static bool region_is_used(const struct channel *channel, uint32_t number, uint32_t drops)
{
	uint64_t is_free[NVMUX_RING_DEPTH_MAX / 64] = {0};

	for (uint32_t i = 0; i < channel->n_free; i++) {
		uint64_t index = (uint64_t)(channel->free_slots[i] - channel->slots);

		is_free[index / 64] |= 1ull << index % 64;
	}
	for (uint32_t i = 0; i < channel->depth; i++) {
		if (!(is_free[i / 64] >> i % 64 & 1) &&
		    slot_uses(&channel->slots[i], number, drops))
			return true;
	}
	return false;
}

static bool finish_stop(struct channel *channel)
{
	if (channel->n_free != channel->depth || channel->hwq->dirty)
		return false;
	hwq_unbind(channel->hwq, channel);
	channel->hwq = NULL;
	return true;
}

static bool finish_drop(struct channel *channel, struct message *msg)
{
	if (channel->hwq && channel->hwq->dirty)
		return false;
	if (msg->region.scanned == ring_server_cq_tail(&channel->ring))
		return false; /* nothing has completed since the last scan */
	msg->region.scanned = ring_server_cq_tail(&channel->ring);
	return !region_is_used(channel, msg->region.number, msg->region.drops);
}

bool channel_finish(struct message *msg)
{
	if (msg->kind == MSG_CHANNEL_STOP)
		return finish_stop(msg->channel);
	return finish_drop(msg->channel, msg);
}
