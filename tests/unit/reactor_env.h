/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of the data plane: a reactor with one hardware queue that the test holds, breaks and
 * takes back (fake_queue.h), and channels with their clients. Include cmocka.h before.
 */
#ifndef TEST_REACTOR_ENV_H
#define TEST_REACTOR_ENV_H

#include <poll.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>
#include "daemon/reactor.h"
#include "transports/daemon/ring_client.h"
#include "tests/unit/fake_queue.h"

#define REGIONS  4
#define WAIT_MS  20000
#define QUIET_MS 30 /* long enough for a wrong thing to happen, mostly */

static inline uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- a reactor with one hardware queue ---- */

struct env {
	struct reactor *reactor;
	struct fake_queue *q;
	struct hwq *hwq;
	struct hwq *failed; /* of the last hwq_failed() */
	uint32_t n_failed;
	bool taken;
};

static inline void on_failed(void *arg, struct hwq *hwq)
{
	struct env *env = arg;

	env->failed = hwq;
	env->n_failed++;
}

static inline void env_open_queue(struct env *env, bool busy, struct fake_queue *q,
				  struct nvmux_poll_group *group)
{
	struct reactor_opts opts = {.core = -1,
				    .busy = busy,
				    .idle_turns = 100,
				    .name = "test",
				    .group = group,
				    .hwq_failed = on_failed,
				    .arg = env};

	*env = (struct env){.q = q};
	assert_int_equal(reactor_create(&opts, &env->reactor), 0);
	assert_int_equal(hwq_create(env->reactor, &env->q->base, &env->hwq), 0);
}

static inline void env_open(struct env *env, bool busy, uint32_t hw_depth)
{
	env_open_queue(env, busy, fake_queue_new(hw_depth), NULL);
}

/* Serve the control thread's side when its descriptor says so, as an event loop would. */
static inline void serve(struct env *env, int timeout_ms)
{
	struct pollfd pollfd = {.fd = reactor_get_fd(env->reactor), .events = POLLIN};

	if (poll(&pollfd, 1, timeout_ms) == 1)
		reactor_process(env->reactor);
}

static inline void pump_for(struct env *env, uint64_t ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end)
		serve(env, 1);
}

static inline void pump_until(struct env *env, const uint32_t *count, uint32_t wanted)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (*count < wanted) {
		assert_true(now_ms() < end);
		serve(env, 100);
	}
	assert_int_equal(*count, wanted);
}

static inline void count_cb(void *arg)
{
	++*(uint32_t *)arg;
}

static inline void take_back(struct env *env)
{
	uint32_t done = 0;

	hwq_take_back(env->hwq, count_cb, &done);
	pump_until(env, &done, 1);
	env->taken = true;
}

static inline void env_close(struct env *env)
{
	if (!env->taken)
		take_back(env);
	hwq_destroy(env->hwq);
	reactor_destroy(env->reactor);
	assert_int_equal(env->q->violations, 0);
	fake_queue_free(env->q);
}

static inline struct reactor_stats stats_of(struct env *env)
{
	struct reactor_stats stats;

	reactor_get_stats(env->reactor, &stats);
	return stats;
}

/* ---- a channel with its client ---- */

struct peer {
	struct env *env;
	struct channel *channel;
	struct ring_client ring;
	struct nvmux_mem mem[REGIONS];
	uint32_t number;
	uint32_t sent, done;
	uint16_t last_status;
};

static inline struct ctrlr_view *make_view(uint32_t max_transfer)
{
	struct ctrlr_view *view = calloc(1, sizeof(*view) + sizeof(view->ns[0]));

	assert_non_null(view);
	view->max_transfer = max_transfer;
	view->max_segs = NVMUX_RING_LIST_PER_CMD;
	view->fused = true;
	view->n_ns = 1;
	view->ns[0] = (struct ns_view){
		.nsid = 1, .lba_shift = 12, .writable = true, .n_lbas = UINT32_MAX};
	return view;
}

/* A channel and its client's mapping, not started. */
static inline void peer_make(struct env *env, struct peer *p, uint32_t number, uint32_t depth)
{
	struct region_view regions[REGIONS];
	struct channel_opts opts = {
		.depth = depth, .n_regions = REGIONS, .regions = regions, .node = -1};
	char why[128] = "";

	*p = (struct peer){.env = env, .number = number};
	for (uint32_t i = 0; i < REGIONS; i++) {
		p->mem[i] = (struct nvmux_mem){.size = 64 << 10, .region = (uint16_t)i};
		regions[i] = (struct region_view){.mem = &p->mem[i], .size = p->mem[i].size};
	}
	opts.view = make_view(64 << 10);
	assert_int_equal(channel_create(&opts, &p->channel), 0);
	if (ring_client_map(&p->ring, dup(channel_ring_fd(p->channel)),
			    dup(channel_client_fd(p->channel)), why, sizeof(why)))
		fail_msg("%s", why);
	channel_close_client_fd(p->channel);
}

static inline void peer_open(struct env *env, struct peer *p, uint32_t number, uint32_t depth)
{
	uint32_t started = 0;

	peer_make(env, p, number, depth);
	channel_start(p->channel, env->hwq, count_cb, &started);
	pump_until(env, &started, 1);
}

static inline void peer_stop(struct peer *p)
{
	uint32_t stopped = 0;

	channel_stop(p->channel, count_cb, &stopped);
	pump_until(p->env, &stopped, 1);
}

static inline void peer_free(struct peer *p)
{
	channel_destroy(p->channel);
	ring_client_unmap(&p->ring);
}

static inline void peer_close(struct peer *p)
{
	peer_stop(p);
	peer_free(p);
}

/* Publish one command of 4 KiB without ringing. */
static inline void peer_publish_opc(struct peer *p, uint8_t opc, uint16_t region)
{
	struct nvmux_ring_cmd cmd = {
		.opc = opc,
		.cid = cpu_to_le16((uint16_t)p->sent),
		.nsid = cpu_to_le32(1),
		.data = nvmux_ring_addr(region, p->sent % 16 * 4096),
		.data_len = 4096,
		.cdw10 = cpu_to_le32(p->sent),
		.cdw14 = cpu_to_le32(p->number),
	};

	ring_client_publish(&p->ring, &cmd);
	p->sent++;
}

static inline void peer_publish(struct peer *p, uint16_t region)
{
	peer_publish_opc(p, nvme_cmd_read, region);
}

static inline void peer_send(struct peer *p, uint32_t n, uint16_t region)
{
	while (n--)
		peer_publish(p, region);
	ring_client_ring(&p->ring);
}

/* Reap what is there, and check that each completion is that of its command. */
static inline uint32_t peer_reap(struct peer *p)
{
	struct nvmux_cpl cpl;
	uint32_t n = 0;

	while (ring_client_reap(&p->ring, &cpl)) {
		p->last_status = nvmux_cpl_status(&cpl);
		if (!nvmux_cpl_is_error(&cpl)) {
			assert_int_equal((uint16_t)(le32_to_cpu(cpl.dw0) - 1),
					 le16_to_cpu(cpl.cid));
			assert_int_equal(le32_to_cpu(cpl.dw1), p->number);
		}
		n++;
	}
	p->done += n;
	return n;
}

static inline void peer_wait(struct peer *p, uint32_t done)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (p->done < done) {
		assert_true(now_ms() < end);
		peer_reap(p);
		serve(p->env, 0);
		sched_yield();
	}
	assert_int_equal(p->done, done);
}

/* Until the hardware queue has been given this many commands. */
static inline void wait_submitted_to(struct fake_queue *q, uint32_t wanted)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (fake_get(&q->submitted) < wanted) {
		assert_true(now_ms() < end);
		sched_yield();
	}
	assert_int_equal(fake_get(&q->submitted), wanted);
}

static inline void wait_submitted(struct env *env, uint32_t wanted)
{
	wait_submitted_to(env->q, wanted);
}

static inline uint32_t ring_state(const struct peer *p)
{
	return __atomic_load_n(&p->ring.header->state, __ATOMIC_ACQUIRE);
}

/* It sleeps, or is about to: the flag is set before the last look at what there is to do. */
static inline void wait_asleep(struct env *env)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (!stats_of(env).asleep) {
		assert_true(now_ms() < end);
		pump_for(env, 1);
	}
}

/* It sleeps with so many parked channels: their number is told after the flag. */
static inline void wait_parked(struct env *env, uint32_t wanted)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (!stats_of(env).asleep || stats_of(env).parked != wanted) {
		assert_true(now_ms() < end);
		pump_for(env, 1);
	}
}

#endif
