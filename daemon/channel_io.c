// SPDX-License-Identifier: BSD-3-Clause
/*
 * A channel, the daemon's end of a client's ring: the reactor's half.
 *
 * Happy path: poll() copies commands out, checks the copies and puts them into the hardware queue;
 * complete() puts completions into the ring; publish() shows once per turn what changed. A channel
 * without work for many turns is parked: it sets its sleep flag, and from then on its client sends
 * a byte with the next command.
 * Failure modes: what the check refuses is completed here; a client that uses more commands than
 * its depth has the rest refused, and loses completions by its own doing; a client that closed its
 * socket while parked isn't heard any more. A stop or a forgotten region waits until nothing of it
 * is in flight, and after a failure of the queue until the device has been stopped.
 */
#include <string.h>
#include <sys/epoll.h>
#include "daemon/data.h"
#include "libcore/membarrier.h"

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

	ring_server_complete(&channel->ring, slot->cid, le32_to_cpu(cpl->dw0),
			     le32_to_cpu(cpl->dw1), nvmux_cpl_status(cpl));
	channel->bytes[slot->writes] += slot->bytes;
	channel->free_slots[channel->n_free++] = slot->index;
	add_to_batch(channel->hwq->reactor, channel);
}

__attribute__((noinline, cold)) static void
refuse(struct channel *channel, const struct nvmux_ring_cmd *cmd, uint16_t status)
{
	ring_server_complete(&channel->ring, le16_to_cpu(cmd->cid), 0, 0, status);
	channel->refused++;
}

static inline uint16_t region_number(const struct nvmux_seg *seg, uint64_t address)
{
	return seg->len ? (uint16_t)(address >> NVMUX_RING_OFFSET_BITS) : CHANNEL_NO_REGION;
}

/* Check one command, a private copy, and send it. The hardware queue has room. */
static inline void serve(struct channel *channel, const struct nvmux_ring_cmd *cmd)
{
	struct nvmux_qpair *qpair = channel->hwq->qpair;
	struct nvmux_payload payload;
	struct checked_cmd checked;
	struct channel_slot *slot;
	uint16_t status;

	if (unlikely(channel->n_free == 0)) {
		refuse(channel, cmd, NVMUX_SC_DEPTH_EXCEEDED | NVMUX_STATUS_DNR);
		return;
	}
	status = channel_check(cmd, channel->view, channel->regions, channel->n_regions, &checked);
	if (unlikely(status)) {
		refuse(channel, cmd, status);
		return;
	}
	slot = &channel->slots[channel->free_slots[--channel->n_free]];
	slot->cid = le16_to_cpu(cmd->cid);
	slot->region = region_number(&checked.seg, cmd->data);
	slot->md_region = region_number(&checked.md, cmd->md);
	slot->bytes = checked.seg.len;
	slot->writes = cmd->opc & 1; /* data transfer: bit 0 to the controller, bit 1 from it */
	payload.data = &checked.seg;
	payload.n_data = checked.seg.len ? 1 : 0;
	payload.data_len = checked.seg.len;
	payload.md = checked.md;
	if (unlikely(qpair->transport->submit(qpair, &checked.cmd, &payload, complete, slot))) {
		channel->n_free++;
		refuse(channel, cmd, NVMUX_SC_INTERNAL | NVMUX_STATUS_DNR);
	}
}

/* A busy reactor goes on polling its channels while they are few. */
static inline bool has_few(const struct reactor *r)
{
	return r->busy && r->n_polled <= REACTOR_BUSY_POLLED;
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
	if (has_few(r))
		return;
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
	struct nvmux_ring_cmd cmd;
	uint32_t n = 0;

	while (n < max && ring_server_take(&channel->ring, &cmd)) {
		serve(channel, &cmd);
		n++;
	}
	return took(r, channel, n);
}

uint32_t channel_refuse(struct reactor *r, struct channel *channel, uint16_t status)
{
	struct nvmux_ring_cmd cmd;
	struct checked_cmd unused;
	uint32_t n = 0;

	while (n < channel->weight && ring_server_take(&channel->ring, &cmd)) {
		uint16_t found = channel_check(&cmd, channel->view, channel->regions,
					       channel->n_regions, &unused);

		refuse(channel, &cmd, found ? found : status);
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

	ring_server_publish_indices(ring);
	if (ring->cq_tail != channel->cq_notified) {
		r->completions += ring->cq_tail - channel->cq_notified;
		channel->cq_notified = ring->cq_tail;
		ring_server_notify(ring);
		/* Parked with commands in flight: more of them may follow soon. */
		if (unlikely(channel->where == CHANNEL_PARKED))
			unpark(r, channel);
	}
	stat_set(&stats->commands, ring->sq_head);
	stat_set(&stats->completions, ring->cq_tail);
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

void channels_park(struct reactor *r)
{
	struct channel *channel, *next;
	uint64_t first;

	for (channel = r->parking; channel; channel = channel->park_next)
		set_sleeping(channel, 1);
	nvmux_membarrier(); /* one for all of them */
	for (channel = r->parking; channel; channel = next) {
		next = channel->park_next;
		if (ring_server_ready(&channel->ring, &first) || has_few(r)) {
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
	channel->where = CHANNEL_POLLED;
	channel->idle_turns = 0;
	hwq_add_polled(channel->hwq, channel);
	reactor_activate(r, channel->hwq);
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

	channel->view = msg->view;
	msg->view = before;
	__atomic_store_n(&header->max_transfer, channel->view->max_transfer, __ATOMIC_RELAXED);
	__atomic_store_n(&header->generation, ++channel->generation, __ATOMIC_RELEASE);
}

void channel_apply(struct channel *channel, struct message *msg)
{
	switch (msg->kind) {
	case MSG_CHANNEL_SET_REGION: channel->regions[msg->region.number] = msg->region.view; break;
	case MSG_CHANNEL_DROP_REGION: channel->regions[msg->region.number].mem = NULL; break;
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
		reactor_wait(r, msg);
		return;
	default: channel_apply(msg->channel, msg);
	}
	reactor_reply(r, msg);
}

/* Whether a command in flight uses the region. Which slots are free is in the stack alone. */
static bool region_is_used(const struct channel *channel, uint32_t number)
{
	uint64_t is_free[NVMUX_RING_DEPTH_MAX / 64] = {0};

	for (uint32_t i = 0; i < channel->n_free; i++) {
		uint16_t index = channel->free_slots[i];

		is_free[index / 64] |= 1ull << index % 64;
	}
	for (uint32_t i = 0; i < channel->depth; i++) {
		const struct channel_slot *slot = &channel->slots[i];

		if (!(is_free[i / 64] >> i % 64 & 1) &&
		    (slot->region == number || slot->md_region == number))
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
	if (msg->region.scanned == channel->ring.cq_tail)
		return false; /* nothing has completed since the last scan */
	msg->region.scanned = channel->ring.cq_tail;
	return !region_is_used(channel, msg->region.number);
}

bool channel_finish(struct message *msg)
{
	if (msg->kind == MSG_CHANNEL_STOP)
		return finish_stop(msg->channel);
	return finish_drop(msg->channel, msg);
}
