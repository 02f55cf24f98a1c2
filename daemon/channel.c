// SPDX-License-Identifier: BSD-3-Clause
/*
 * A channel, the daemon's end of a client's ring: the control thread's half.
 *
 * Happy path: create, start on a hardware queue, change what its commands are checked against by
 * messages, stop, destroy.
 * Failure modes: a client that dies leaves commands in flight, for which the stop waits; a hung
 * controller makes it wait until the abort; a channel destroyed while messages about it are under
 * way is freed with the last of them.
 */
#include <errno.h>
#include <string.h>
#include "daemon/data.h"

/*
 * A client that waits for what the reactor does, and a reactor that waits for what the client does
 * next, are as slow as one of them. So a turn takes less than half of what can be in flight: while
 * the reactor works on that, there is more in the ring.
 */
static uint32_t default_weight(uint32_t depth)
{
	return MIN(CHANNEL_WEIGHT_MAX, MAX(CHANNEL_WEIGHT_MIN, depth * 3 / 8));
}

int channel_create(const struct channel_opts *opts, struct channel **ret)
{
	struct ring_limits limits;
	struct channel *channel;
	int err = -ENOMEM;

	if (opts->depth < 1 || opts->depth > NVMUX_RING_DEPTH_MAX ||
	    opts->n_regions > CHANNEL_REGIONS_MAX)
		return -EINVAL;
	channel = aligned_alloc(64, align_up(sizeof(*channel), 64));
	if (!channel)
		return -ENOMEM;
	*channel = (struct channel){
		.depth = opts->depth,
		.n_free = opts->depth,
		.n_regions = opts->n_regions,
		.weight = opts->weight ? opts->weight : default_weight(opts->depth),
		.ring_state = NVMUX_RING_READY,
		.generation = 1,
	};
	channel->slots = nvmux_calloc_lines(opts->depth, sizeof(*channel->slots));
	channel->free_slots = nvmux_calloc_lines(opts->depth, sizeof(*channel->free_slots));
	channel->regions = nvmux_calloc_lines(opts->n_regions + 1, sizeof(*channel->regions));
	if (!channel->slots || !channel->free_slots || !channel->regions)
		goto fail;
	for (uint32_t i = 0; i < opts->depth; i++) {
		channel->slots[i].channel = channel;
		channel->free_slots[i] = &channel->slots[opts->depth - 1 - i];
	}
	if (opts->regions)
		memcpy(channel->regions, opts->regions,
		       opts->n_regions * sizeof(*channel->regions));
	channel_limits(opts->view, &limits);
	err = ring_server_create(opts->depth, &limits, opts->node, &channel->ring);
	if (err)
		goto fail;
	channel->view = opts->view;
	channel->ns = ctrlr_view_likely(opts->view, 0); /* none */
	*ret = channel;
	return 0;
fail:
	free(channel->regions);
	free(channel->free_slots);
	free(channel->slots);
	free(channel);
	return err;
}

static void channel_free(struct channel *channel)
{
	/* The client may outlive its channel. */
	channel_show_state(channel, NVMUX_RING_DEAD);
	ring_server_fini(&channel->ring);
	free((void *)channel->view);
	free(channel->regions);
	free(channel->free_slots);
	free(channel->slots);
	free(channel);
}

void channel_destroy(struct channel *channel)
{
	if (!channel)
		return;
	NVMUX_ASSERT(!channel->ctl_hwq && !channel->ctl_destroyed);
	channel->ctl_destroyed = true;
	if (channel->ctl_messages == 0)
		channel_free(channel);
}

int channel_ring_fd(const struct channel *channel)
{
	return channel->ring.ring_fd;
}

int channel_client_fd(const struct channel *channel)
{
	return channel->ring.client_fd;
}

void channel_close_client_fd(struct channel *channel)
{
	ring_server_close_client_fd(&channel->ring);
}

/* ---- messages ---- */

/*
 * Send a message to the channel's reactor; or, when the channel isn't with one and no message is on
 * its way to or from one, do at once what it says.
 */
static void send(struct channel *channel, struct message *msg)
{
	NVMUX_ASSERT(!channel->ctl_destroyed);
	msg->channel = channel;
	channel->ctl_messages++;
	if (channel->ctl_hwq || channel->ctl_messages > 1) {
		reactor_send(channel->ctl_reactor, msg);
		return;
	}
	channel_apply(channel, msg);
	channel_replied(msg);
	free(msg);
}

void channel_replied(struct message *msg)
{
	struct channel *channel = msg->channel;
	bool last;

	if (msg->kind == MSG_CHANNEL_STOP) {
		channel->ctl_hwq->ctl_channels--;
		channel->ctl_reactor->ctl_channels--;
		channel->ctl_hwq = NULL;
		channel->ctl_stopping = false;
	} else if (msg->kind == MSG_CHANNEL_SET_VIEW) {
		free(msg->view); /* the one before */
	}
	last = --channel->ctl_messages == 0 && channel->ctl_destroyed;
	/* The callback may destroy the channel: only @last is looked at afterwards. */
	if (msg->cb)
		msg->cb(msg->arg);
	if (last)
		channel_free(channel);
}

void channel_start(struct channel *channel, struct hwq *hwq, reactor_cb cb, void *arg)
{
	struct message *msg = message_new(MSG_CHANNEL_START, cb, arg);

	NVMUX_ASSERT(!channel->ctl_hwq && channel->ctl_messages == 0 &&
		     (hwq->ctl_state != HWQ_DESTROYED));
	channel->ctl_hwq = hwq;
	channel->ctl_reactor = hwq->reactor;
	hwq->ctl_channels++;
	hwq->reactor->ctl_channels++;
	msg->hwq = hwq;
	send(channel, msg);
}

void channel_stop(struct channel *channel, reactor_cb cb, void *arg)
{
	NVMUX_ASSERT(channel->ctl_hwq && !channel->ctl_stopping);
	channel->ctl_stopping = true;
	send(channel, message_new(MSG_CHANNEL_STOP, cb, arg));
}

void channel_abandon(struct channel *channel)
{
	/* where the stop has ended nothing is in flight */
	if (channel->ctl_stopping)
		send(channel, message_new(MSG_CHANNEL_ABANDON, NULL, NULL));
}

void channel_set_region(struct channel *channel, uint32_t number, const struct region_view *region,
			reactor_cb cb, void *arg)
{
	struct message *msg = message_new(MSG_CHANNEL_SET_REGION, cb, arg);

	NVMUX_ASSERT(number < channel->n_regions && region->mem);
	msg->region.number = number;
	msg->region.view = *region;
	send(channel, msg);
}

void channel_drop_region(struct channel *channel, uint32_t number, reactor_cb cb, void *arg)
{
	struct message *msg = message_new(MSG_CHANNEL_DROP_REGION, cb, arg);

	NVMUX_ASSERT(number < channel->n_regions);
	msg->region.number = number;
	send(channel, msg);
}

void channel_set_view(struct channel *channel, struct ctrlr_view *view, reactor_cb cb, void *arg)
{
	struct message *msg = message_new(MSG_CHANNEL_SET_VIEW, cb, arg);

	msg->view = view;
	send(channel, msg);
}

void channel_set_state(struct channel *channel, uint32_t state)
{
	struct message *msg = message_new(MSG_CHANNEL_SET_STATE, NULL, NULL);

	msg->state = state;
	send(channel, msg);
}

void channel_get_stats(const struct channel *channel, struct channel_stats *ret)
{
	*ret = (struct channel_stats){
		.commands = stat_get(&channel->stats.commands),
		.completions = stat_get(&channel->stats.completions),
		.refused = stat_get(&channel->stats.refused),
		.read_bytes = stat_get(&channel->stats.read_bytes),
		.write_bytes = stat_get(&channel->stats.write_bytes),
		.in_flight = stat_get(&channel->stats.in_flight),
		.parked = stat_get(&channel->stats.parked),
	};
}
