// SPDX-License-Identifier: BSD-3-Clause
/*
 * The data plane against a hardware queue that the test holds, breaks and takes back: stops and
 * forgotten regions with commands in flight, resets, fairness, sleep, hostile clients.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/unit/reactor_env.h"

/* ---- stops ---- */

static void test_stop_waits_for_completions(void **state)
{
	uint32_t stopped = 0;
	struct env env;
	struct peer p;

	env_open(&env, false, 32);
	peer_open(&env, &p, 1, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&p, 8, 0);
	wait_submitted(&env, 8);
	channel_stop(p.channel, count_cb, &stopped);
	pump_for(&env, QUIET_MS);
	assert_int_equal(stopped, 0);
	/* Commands after the stop stay where they are. */
	peer_send(&p, 4, 0);
	pump_for(&env, QUIET_MS);
	assert_int_equal(fake_get(&env.q->submitted), 8);
	assert_int_equal(hwq_num_channels(env.hwq), 1);
	fake_set(&env.q->hold, 0);
	pump_until(&env, &stopped, 1);
	assert_int_equal(hwq_num_channels(env.hwq), 0);
	assert_int_equal(peer_reap(&p), 8);
	assert_int_equal(p.last_status, 0);
	/* Started again it takes them. */
	channel_start(p.channel, env.hwq, NULL, NULL);
	peer_wait(&p, 12);
	peer_close(&p);
	env_close(&env);
}

/* The client is gone, the controller hangs: only the abort ends the wait. */
static void test_stop_ends_by_abort(void **state)
{
	uint32_t stopped = 0, aborted = 0;
	struct env env;
	struct peer p, other;

	env_open(&env, false, 32);
	peer_open(&env, &p, 1, 16);
	peer_open(&env, &other, 2, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&p, 8, 0);
	peer_send(&other, 8, 0);
	wait_submitted(&env, 16);
	close(p.ring.wake_fd);
	p.ring.wake_fd = -1;
	channel_stop(p.channel, count_cb, &stopped);
	take_back(&env);
	pump_for(&env, QUIET_MS);
	assert_int_equal(stopped, 0);
	hwq_abort(env.hwq, NVME_SC_ABORT_QUEUE, count_cb, &aborted);
	pump_until(&env, &aborted, 1);
	pump_until(&env, &stopped, 1);
	assert_int_equal(peer_reap(&other), 8);
	assert_int_equal(other.last_status, NVME_SC_ABORT_QUEUE);
	peer_free(&p);
	/* A stop while it is taken, with nothing in flight, waits for nothing. */
	peer_close(&other);
	env_close(&env);
}

/* Start and stop before the reactor has looked, and destruction with messages under way. */
static void test_stop_at_once(void **state)
{
	struct region_view region;
	struct env env;
	struct peer p;

	env_open(&env, false, 8);
	for (int i = 0; i < 200; i++) {
		uint32_t calls = 0;

		peer_make(&env, &p, 1, 4);
		region = (struct region_view){.mem = &p.mem[1], .size = p.mem[1].size};
		/* Not started: at once. */
		channel_drop_region(p.channel, 1, count_cb, &calls);
		assert_int_equal(calls, 1);
		channel_start(p.channel, env.hwq, count_cb, &calls);
		channel_set_region(p.channel, 1, &region, count_cb, &calls);
		channel_set_view(p.channel, make_view(4096), count_cb, &calls);
		channel_stop(p.channel, count_cb, &calls);
		channel_set_state(p.channel, NVMUX_RING_DEAD);
		channel_drop_region(p.channel, 0, count_cb, &calls);
		while (hwq_num_channels(env.hwq))
			pump_for(&env, 1);
		channel_destroy(p.channel);
		ring_client_unmap(&p.ring);
		pump_until(&env, &calls, 6);
	}
	env_close(&env);
}

/* ---- regions and views ---- */

static void test_drop_region(void **state)
{
	uint32_t unused = 0, dropped = 0;
	struct region_view again;
	struct env env;
	struct peer p;

	env_open(&env, false, 32);
	peer_open(&env, &p, 1, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&p, 4, 1);
	peer_send(&p, 4, 2);
	wait_submitted(&env, 8);
	channel_drop_region(p.channel, 3, count_cb, &unused);
	pump_until(&env, &unused, 1);
	channel_drop_region(p.channel, 1, count_cb, &dropped);
	pump_for(&env, QUIET_MS);
	assert_int_equal(dropped, 0);
	/* No later command can use it, although the drop hasn't ended; the refusal is a completion,
	 * after which it is looked at again. */
	peer_send(&p, 1, 1);
	peer_wait(&p, 1);
	assert_int_equal(p.last_status, NVMUX_SC_REGION_UNKNOWN | NVMUX_STATUS_DNR);
	pump_for(&env, QUIET_MS);
	assert_int_equal(dropped, 0);
	fake_set(&env.q->hold, 0);
	pump_until(&env, &dropped, 1);
	fake_set(&env.q->forbidden, &p.mem[1]);
	peer_wait(&p, 9);
	peer_send(&p, 2, 1);
	peer_wait(&p, 11);
	assert_int_equal(p.last_status, NVMUX_SC_REGION_UNKNOWN | NVMUX_STATUS_DNR);
	/* The number can be used again. */
	again = (struct region_view){.mem = &p.mem[2], .size = p.mem[2].size};
	channel_set_region(p.channel, 1, &again, count_cb, &dropped);
	pump_until(&env, &dropped, 2);
	peer_send(&p, 2, 1);
	peer_wait(&p, 13);
	assert_int_equal(p.last_status, 0);
	peer_close(&p);
	env_close(&env);
}

/* Over and over, with a client that uses the region all the time. */
static void test_drop_region_under_load(void **state)
{
	struct env env;
	struct peer p;

	env_open(&env, false, 32);
	env.q->per_poll = FAKE_RANDOM;
	peer_open(&env, &p, 1, 16);
	for (int i = 0; i < 300; i++) {
		uint64_t end = now_ms() + WAIT_MS;
		uint32_t dropped = 0;
		struct region_view region = {.mem = &p.mem[1], .size = p.mem[1].size};

		channel_drop_region(p.channel, 1, count_cb, &dropped);
		while (!dropped) {
			assert_true(now_ms() < end);
			while (p.sent - p.done < 16)
				peer_publish(&p, p.sent & 1);
			ring_client_ring(&p.ring);
			peer_reap(&p);
			serve(&env, 0);
		}
		fake_set(&env.q->forbidden, &p.mem[1]);
		for (int n = 0; n < 20; n++) {
			while (p.sent - p.done < 16)
				peer_publish(&p, p.sent & 1);
			ring_client_ring(&p.ring);
			peer_reap(&p);
		}
		fake_set(&env.q->forbidden, (const struct nvmux_mem *)NULL);
		channel_set_region(p.channel, 1, &region, NULL, NULL);
	}
	peer_wait(&p, p.sent);
	peer_close(&p);
	env_close(&env);
}

static void test_views(void **state)
{
	struct channel_stats stats;
	uint32_t generation, calls = 0;
	struct env env;
	struct peer p;

	env_open(&env, false, 32);
	peer_open(&env, &p, 1, 16);
	generation = p.ring.header->generation;
	assert_int_equal(p.ring.header->max_transfer, 64 << 10);
	for (uint32_t i = 1; i <= 50; i++) {
		peer_send(&p, 8, 0);
		channel_set_view(p.channel, make_view(4096), count_cb, &calls);
		pump_until(&env, &calls, i);
		peer_wait(&p, p.sent);
	}
	assert_int_equal(p.ring.header->max_transfer, 4096);
	assert_int_equal(p.ring.header->generation, generation + 50);
	assert_int_equal(p.last_status, 0);
	channel_set_view(p.channel, make_view(4095), count_cb, &calls);
	pump_until(&env, &calls, 51);
	peer_send(&p, 1, 0);
	peer_wait(&p, p.sent);
	assert_int_equal(p.last_status, NVMUX_SC_LENGTH_LIMIT | NVMUX_STATUS_DNR);
	peer_stop(&p);
	channel_get_stats(p.channel, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.commands, 401);
	assert_int_equal(stats.completions, 401);
	assert_int_equal(stats.read_bytes, 400 * 4096);
	peer_free(&p);
	env_close(&env);
}

static void test_depth(void **state)
{
	struct channel_stats stats;
	struct env env;
	struct peer p;
	uint64_t end;

	env_open(&env, false, 32);
	peer_open(&env, &p, 1, 4);
	fake_set(&env.q->hold, 1);
	peer_send(&p, 4, 0);
	wait_submitted(&env, 4);
	peer_send(&p, 3, 0);
	peer_wait(&p, 3);
	assert_int_equal(p.last_status, NVMUX_SC_DEPTH_EXCEEDED | NVMUX_STATUS_DNR);
	end = now_ms() + WAIT_MS;
	do { /* they are written when the reactor is through with its turn */
		assert_true(now_ms() < end);
		pump_for(&env, 1);
		channel_get_stats(p.channel, &stats);
	} while (stats.in_flight != 4);
	fake_set(&env.q->hold, 0);
	peer_wait(&p, 7);
	/* A transport that can't express a command. */
	fake_set(&env.q->refuse, 1);
	peer_send(&p, 4, 0);
	peer_wait(&p, 11);
	assert_int_equal(p.last_status, NVMUX_SC_INTERNAL | NVMUX_STATUS_DNR);
	fake_set(&env.q->refuse, 0);
	peer_send(&p, 4, 0);
	peer_wait(&p, 15);
	assert_int_equal(p.last_status, 0);
	peer_close(&p);
	env_close(&env);
}

/* ---- resets and failures ---- */

static void test_taken(void **state)
{
	uint32_t calls = 0, started = 0;
	struct env env, two;
	struct peer a, b;

	env_open(&env, false, 8);
	peer_open(&env, &a, 1, 16);
	peer_open(&env, &b, 2, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&a, 4, 0);
	wait_submitted(&env, 4);
	peer_send(&b, 8, 0); /* of which 4 find no room */
	wait_submitted(&env, 8);
	take_back(&env);
	assert_int_equal(ring_state(&a), NVMUX_RING_PAUSED);
	assert_int_equal(ring_state(&b), NVMUX_RING_PAUSED);
	peer_send(&a, 4, 0);
	pump_for(&env, QUIET_MS);
	assert_int_equal(fake_get(&env.q->submitted), 8);
	assert_int_equal(peer_reap(&a) + peer_reap(&b), 0);
	/* A channel may come while the queue is away. */
	hwq_abort(env.hwq, NVME_SC_ABORT_QUEUE, count_cb, &calls);
	pump_until(&env, &calls, 1);
	assert_int_equal(peer_reap(&a), 4);
	assert_int_equal(a.last_status, NVME_SC_ABORT_QUEUE);
	assert_int_equal(peer_reap(&b), 4);
	assert_int_equal(b.last_status, NVME_SC_ABORT_QUEUE);
	/* What waited in a ring goes on with another queue. */
	env_open(&two, false, 8);
	peer_stop(&a);
	channel_start(a.channel, two.hwq, count_cb, &started);
	a.env = &two;
	pump_until(&two, &started, 1);
	peer_wait(&a, 8);
	assert_int_equal(a.last_status, 0);
	assert_int_equal(ring_state(&a), NVMUX_RING_READY);
	peer_close(&a);
	peer_close(&b);
	env_close(&two);
	env_close(&env);
}

static void test_start_on_taken_queue(void **state)
{
	struct env env;
	struct peer p;

	env_open(&env, false, 8);
	take_back(&env);
	peer_open(&env, &p, 1, 4);
	assert_int_equal(ring_state(&p), NVMUX_RING_PAUSED);
	peer_send(&p, 4, 0);
	pump_for(&env, QUIET_MS);
	assert_int_equal(fake_get(&env.q->submitted), 0);
	assert_int_equal(peer_reap(&p), 0);
	peer_close(&p);
	env_close(&env);
}

/* Until the device has been stopped it may write: nothing is given back before. */
static void test_failure(void **state)
{
	uint32_t calls = 0, dropped = 0, stopped = 0;
	struct env env;
	struct peer a, b;

	env_open(&env, false, 32);
	peer_open(&env, &a, 1, 16);
	peer_open(&env, &b, 2, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&a, 4, 1);
	wait_submitted(&env, 4);
	fake_set(&env.q->broken, 1);
	pump_until(&env, &env.n_failed, 1);
	assert_ptr_equal(env.failed, env.hwq);
	assert_int_equal(ring_state(&a), NVMUX_RING_PAUSED);
	assert_int_equal(ring_state(&b), NVMUX_RING_PAUSED);
	channel_drop_region(a.channel, 2, count_cb, &dropped);
	channel_stop(b.channel, count_cb, &stopped);
	peer_send(&a, 4, 0);
	pump_for(&env, QUIET_MS);
	take_back(&env);
	pump_for(&env, QUIET_MS);
	assert_int_equal(dropped, 0);
	assert_int_equal(stopped, 0);
	assert_int_equal(fake_get(&env.q->submitted), 4);
	hwq_abort(env.hwq, NVMUX_SC_CTRLR_GONE, count_cb, &calls);
	pump_until(&env, &calls, 1);
	pump_until(&env, &dropped, 1);
	pump_until(&env, &stopped, 1);
	assert_int_equal(peer_reap(&a), 4);
	assert_int_equal(a.last_status, NVMUX_SC_CTRLR_GONE);
	peer_free(&b);
	peer_close(&a);
	env_close(&env);
}

static void test_dead_is_for_good(void **state)
{
	struct env env;
	struct peer p;

	env_open(&env, false, 8);
	peer_open(&env, &p, 1, 4);
	assert_int_equal(ring_client_arm(&p.ring), 0);
	channel_set_state(p.channel, NVMUX_RING_DEAD);
	assert_int_equal(poll(&(struct pollfd){.fd = p.ring.wake_fd, .events = POLLIN}, 1, WAIT_MS),
			 1);
	ring_client_disarm(&p.ring);
	assert_int_equal(ring_client_arm(&p.ring), -EAGAIN);
	take_back(&env);
	assert_true(ring_client_is_dead(&p.ring));
	peer_close(&p);
	env_close(&env);
}

/* A stopped channel goes on with another queue of another reactor. */
static void test_move(void **state)
{
	struct env one, two;
	struct peer p;

	env_open(&one, false, 8);
	env_open(&two, false, 8);
	peer_open(&one, &p, 1, 4);
	for (int i = 0; i < 20; i++) {
		struct env *to = i & 1 ? &one : &two;
		uint32_t started = 0;

		peer_send(&p, 3, 0);
		if (i & 2)
			peer_wait(&p, p.sent);
		peer_stop(&p);
		channel_start(p.channel, to->hwq, count_cb, &started);
		p.env = to;
		pump_until(to, &started, 1);
		peer_wait(&p, p.sent);
	}
	assert_true(one.q->submitted && two.q->submitted);
	peer_close(&p);
	env_close(&one);
	env_close(&two);
}

/* ---- fairness ---- */

/* Two greedy clients on a queue that has room for few, among idle ones. */
static void test_fair(void **state)
{
	struct peer greedy[2], idle[6];
	uint32_t first, second;
	uint64_t end;
	struct env env;

	env_open(&env, true, 4);
	env.q->per_poll = 1;
	for (uint32_t i = 0; i < 6; i++) {
		if (i == 3)
			peer_open(&env, &greedy[0], 1, 64);
		peer_open(&env, &idle[i], 3, 64);
	}
	peer_open(&env, &greedy[1], 2, 64);
	end = now_ms() + WAIT_MS;
	while (fake_get(&env.q->submitted) < 20000 && now_ms() < end) {
		for (int i = 0; i < 2; i++) {
			while (greedy[i].sent - greedy[i].done < 64)
				peer_publish(&greedy[i], 0);
			ring_client_ring(&greedy[i].ring);
			peer_reap(&greedy[i]);
		}
	}
	first = fake_get(&env.q->by_sender[1]);
	second = fake_get(&env.q->by_sender[2]);
	assert_true(first + second >= 20000);
	assert_in_range(first * 100ull / (first + second), 40, 60);
	for (int i = 0; i < 2; i++) {
		peer_wait(&greedy[i], greedy[i].sent);
		peer_close(&greedy[i]);
	}
	for (int i = 0; i < 6; i++)
		peer_close(&idle[i]);
	env_close(&env);
}

/* ---- sleep ---- */

/*
 * Of several channels that are polled none has more than its share of the queue in flight; idle
 * ones leave theirs to the others, but for a few places; a single one has all.
 */
/* What a turn takes when everything is there, which one that sleeps finds when it is woken: less
 * than half, so that neither side waits for all that the other one does. */
static void test_turns(void **state)
{
	static const uint32_t depths[][2] = {{1, 1},   {2, 2},   {4, 2},   {8, 3},
					     {32, 12}, {64, 24}, {96, 32}, {256, 32}};

	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		struct env env;
		struct peer p;

		env_open(&env, false, 256);
		peer_open(&env, &p, 1, depths[i][0]);
		wait_asleep(&env);
		peer_send(&p, depths[i][0], 0);
		peer_wait(&p, p.sent);
		assert_int_equal(fake_get(&env.q->most), depths[i][1]);
		peer_close(&p);
		env_close(&env);
	}
}

static void test_share(void **state)
{
	struct peer deep, other;
	struct env env;

	env_open(&env, false, 16);
	peer_open(&env, &deep, 1, 64);
	peer_open(&env, &other, 2, 64);
	fake_set(&env.q->hold, 1);
	peer_send(&other, 1, 0); /* in flight, and so polled */
	wait_submitted(&env, 1);
	peer_send(&deep, 64, 0);
	wait_submitted(&env, 1 + 8);
	pump_for(&env, QUIET_MS);
	assert_int_equal(fake_get(&env.q->submitted), 1 + 8);
	peer_send(&other, 63, 0);
	wait_submitted(&env, 16);
	pump_for(&env, QUIET_MS);
	assert_int_equal(fake_get(&env.q->by_sender[1]), 8);
	assert_int_equal(fake_get(&env.q->by_sender[2]), 8);
	fake_set(&env.q->hold, 0);
	peer_wait(&deep, 64);
	peer_wait(&other, 64);

	wait_asleep(&env);
	fake_set(&env.q->hold, 1);
	peer_send(&deep, 64, 0);
	wait_submitted(&env, 128 + 14);
	pump_for(&env, QUIET_MS);
	assert_int_equal(fake_get(&env.q->submitted), 128 + 14);
	peer_send(&other, 64, 0);
	wait_submitted(&env, 128 + 16);
	pump_for(&env, QUIET_MS);
	assert_int_equal(fake_get(&env.q->by_sender[2]), 64 + 2);
	fake_set(&env.q->hold, 0);
	peer_wait(&deep, 128);
	peer_wait(&other, 128);

	peer_close(&other);
	fake_set(&env.q->hold, 1);
	peer_send(&deep, 64, 0);
	wait_submitted(&env, 256 + 16);
	fake_set(&env.q->hold, 0);
	peer_wait(&deep, 192);
	peer_close(&deep);
	env_close(&env);
}

static void test_sleep_and_wake(void **state)
{
	struct channel_stats stats;
	struct peer peers[3];
	struct env env;

	env_open(&env, false, 32);
	for (uint32_t i = 0; i < 3; i++)
		peer_open(&env, &peers[i], i, 8);
	for (uint32_t round = 0; round < 100; round++) {
		struct peer *p = &peers[round % 3];

		wait_asleep(&env);
		assert_int_equal(stats_of(&env).parked, 3);
		channel_get_stats(p->channel, &stats);
		assert_true(stats.parked);
		assert_true(__atomic_load_n(&p->ring.header->daemon_sleeping, __ATOMIC_RELAXED));
		peer_send(p, 2, 0);
		peer_wait(p, p->sent);
		assert_int_equal(p->last_status, 0);
	}
	assert_in_range(stats_of(&env).sleeps, 100, UINT32_MAX);
	wait_asleep(&env);
	/* Asleep is asleep. */
	for (int i = 0; i < 3; i++) {
		uint64_t loops = stats_of(&env).loops;

		pump_for(&env, QUIET_MS);
		assert_true(stats_of(&env).loops == loops);
	}
	for (uint32_t i = 0; i < 3; i++)
		peer_close(&peers[i]);
	env_close(&env);
}

/* A socket closed by a client that sleeps for ever doesn't keep the reactor awake. */
static void test_closed_socket(void **state)
{
	uint64_t end = now_ms() + WAIT_MS;
	struct peer gone, other;
	struct env env;
	uint64_t loops;

	env_open(&env, false, 32);
	peer_open(&env, &gone, 1, 8);
	peer_open(&env, &other, 2, 8);
	wait_asleep(&env);
	loops = stats_of(&env).loops;
	close(gone.ring.wake_fd);
	gone.ring.wake_fd = -1;
	while (stats_of(&env).loops == loops) { /* it wakes once */
		assert_true(now_ms() < end);
		pump_for(&env, 1);
	}
	pump_for(&env, QUIET_MS);
	wait_asleep(&env);
	loops = stats_of(&env).loops;
	pump_for(&env, QUIET_MS);
	assert_true(stats_of(&env).loops == loops);
	peer_send(&other, 4, 0);
	peer_wait(&other, 4);
	/* It wants a byte that nobody can be sent. */
	gone.ring.header->client_sleeping = 1;
	peer_close(&gone);
	peer_close(&other);
	env_close(&env);
}

/* A busy reactor parks when it has many channels, and finds a woken one. */
static void test_busy_parks_many(void **state)
{
	static struct peer peers[40];
	uint64_t end = now_ms() + WAIT_MS;
	struct env env;

	env_open(&env, true, 32);
	for (uint32_t i = 0; i < 40; i++)
		peer_open(&env, &peers[i], i, 4);
	while (stats_of(&env).parked < 40 - 16) {
		assert_true(now_ms() < end);
		pump_for(&env, 1);
	}
	pump_for(&env, QUIET_MS);
	assert_int_equal(stats_of(&env).parked, 40 - 16);
	assert_int_equal(stats_of(&env).sleeps, 0);
	for (uint32_t i = 0; i < 40; i++) {
		peer_send(&peers[i], 4, 0);
		peer_wait(&peers[i], 4);
	}
	for (uint32_t i = 0; i < 40; i++)
		peer_close(&peers[i]);
	env_close(&env);
}

/* ---- hostile clients ---- */

struct scribbler {
	struct peer *peer;
	bool stop;
	bool flood;
	pthread_t thread;
};

/* A command that is right but for its phase, perhaps, over whatever is there. */
static void scribble_command(struct peer *p, uint64_t *rng)
{
	uint64_t *entry = (uint64_t *)(p->ring.sq_end - 1 - next_random(rng) % p->ring.sq_entries);
	struct nvmux_ring_cmd cmd = {
		.opc = nvme_cmd_read,
		.flags = (uint8_t)(next_random(rng) & NVMUX_RING_F_PHASE),
		.nsid = cpu_to_le32(1),
		.data = nvmux_ring_addr(2, 0),
		.data_len = 4096,
	};
	const uint64_t *words = (const uint64_t *)&cmd;

	for (int i = 7; i >= 0; i--)
		__atomic_store_n(&entry[i], words[i], __ATOMIC_RELAXED);
}

/* Random words all over the ring, its header and flags included, and bytes into the socket. */
static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	uint64_t *words = (uint64_t *)s->peer->ring.header;
	size_t n = s->peer->ring.size / 8;
	uint64_t rng = 0x1234567;
	char bytes[4096] = {0};

	while (!fake_get(&s->stop)) {
		for (int i = 0; i < 500; i++) {
			uint64_t value = next_random(&rng), at = next_random(&rng) % n;

			__atomic_store_n(&words[at], value, __ATOMIC_RELAXED);
			for (int k = 0; k < 4; k++)
				scribble_command(s->peer, &rng);
		}
		__atomic_store_n(&s->peer->ring.header->client_sleeping, 1, __ATOMIC_RELAXED);
		(void)!send(s->peer->ring.wake_fd, bytes, s->flood ? sizeof(bytes) : 1,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		sched_yield(); /* there may be one processor for all of us */
	}
	return NULL;
}

static void run_scribbler(bool flood, uint32_t hw_depth)
{
	struct scribbler s = {.flood = flood};
	struct channel_stats stats = {0};
	struct peer evil, good;
	struct env env;
	uint64_t end;

	env_open(&env, false, hw_depth);
	env.q->per_poll = FAKE_RANDOM;
	peer_open(&env, &evil, 1, 16);
	peer_open(&env, &good, 2, 16);
	s.peer = &evil;
	assert_int_equal(pthread_create(&s.thread, NULL, scribble, &s), 0);
	/* Until enough of the nonsense has been accepted and refused. */
	end = now_ms() + WAIT_MS;
	while (good.done < 1000 || stats.refused < 20 || stats.commands - stats.refused < 200) {
		assert_true(now_ms() < end);
		peer_send(&good, 1 + good.sent % 16, 0);
		peer_wait(&good, good.sent);
		assert_int_equal(good.last_status, 0);
		channel_get_stats(evil.channel, &stats);
	}
	fake_set(&s.stop, true);
	pthread_join(s.thread, NULL);
	/* Although its flags say anything, it can be stopped, and nothing of it is left. */
	peer_close(&evil);
	peer_close(&good);
	assert_int_equal(nvmux_qpair_outstanding(&env.q->base), 0);
	env_close(&env);
}

static void test_scribbler(void **state)
{
	run_scribbler(false, 32);
	run_scribbler(true, 4);
}

/* ---- messages ---- */

struct request {
	uint32_t *count;
	uint32_t calls;
	uint32_t dw0;
	uint16_t status;
};

static void request_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct request *r = arg;

	r->calls++;
	r->dw0 = le32_to_cpu(cpl->dw0);
	r->status = nvmux_cpl_status(cpl);
	++*r->count;
}

#define REQUESTS 3000

static struct request requests[REQUESTS];

static void submit_requests(struct env *env, uint32_t *count)
{
	static struct nvmux_mem mem = {.size = 4096};
	static const struct nvmux_seg seg = {.mem = &mem, .len = 4096};
	static const struct nvmux_payload payloads[] = {
		{0}, {.data = &seg, .n_data = 1, .data_len = 4096}};

	for (uint32_t i = 0; i < REQUESTS; i++) {
		struct nvmux_cmd cmd = {.opc = nvme_cmd_read, .cdw10 = cpu_to_le32(i)};

		requests[i] = (struct request){.count = count};
		hwq_submit(env->hwq, env, &cmd, &payloads[i & 1], request_done, &requests[i]);
	}
}

static void check_requests(uint16_t status)
{
	for (uint32_t i = 0; i < REQUESTS; i++) {
		assert_int_equal(requests[i].calls, 1);
		assert_int_equal(requests[i].status, status);
		if (!status)
			assert_int_equal(requests[i].dw0, i + 1);
	}
}

/* Far more messages than the queues hold, in both directions, none lost. */
static void test_message_overflow(void **state)
{
	uint32_t count = 0;
	struct env env;

	env_open(&env, false, 32);
	submit_requests(&env, &count);
	pump_until(&env, &count, REQUESTS);
	check_requests(0);

	/* Answers that the control thread doesn't fetch for a while. */
	count = 0;
	submit_requests(&env, &count);
	for (int i = 0; i < 50; i++)
		usleep(1000);
	pump_until(&env, &count, REQUESTS);
	check_requests(0);
	env_close(&env);
}

static void submit_pair(struct env *env, struct request *first, struct request *second)
{
	static const struct nvmux_payload none = {0};
	struct nvmux_cmd compare = {.opc = nvme_cmd_compare, .flags = NVMUX_IO_FUSE_FIRST};
	struct nvmux_cmd write = {.opc = nvme_cmd_write, .flags = NVMUX_IO_FUSE_SECOND};

	hwq_submit_fused(env->hwq, env, &(struct hwq_fused){&compare, &none, request_done, first},
			 &(struct hwq_fused){&write, &none, request_done, second});
}

/* Two that are fused, the second of which can't be sent, or neither. */
static void test_fused_requests(void **state)
{
	const uint16_t internal = NVMUX_SC_INTERNAL | NVMUX_STATUS_DNR;
	const uint16_t missing = NVME_SC_FUSED_MISSING | NVMUX_STATUS_DNR;
	uint32_t count = 0;
	struct request r[6] = {{0}};
	struct env env;

	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		r[i].count = &count;
	env_open(&env, false, 2);
	submit_pair(&env, &r[0], &r[1]);
	pump_until(&env, &count, 2);
	assert_int_equal(r[0].status | r[1].status, 0);
	assert_int_equal(fake_get(&env.q->pairs), 1);
	fake_set(&env.q->refuse_seconds, 1);
	submit_pair(&env, &r[2], &r[3]);
	pump_until(&env, &count, 4);
	assert_int_equal(r[2].status, 0);
	assert_int_equal(r[3].status, internal);
	assert_int_equal(fake_get(&env.q->lone), 1);
	fake_set(&env.q->refuse, 1);
	submit_pair(&env, &r[4], &r[5]);
	pump_until(&env, &count, 6);
	assert_int_equal(r[4].status, internal);
	assert_int_equal(r[5].status, missing);
	assert_int_equal(fake_get(&env.q->pairs), 1);
	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		assert_int_equal(r[i].calls, 1);
	env_close(&env);
}

/* Unanswered messages don't keep later ones from being heard. */
static void test_messages_behind_held_ones(void **state)
{
	uint32_t count = 0, calls = 0;
	struct env env;

	env_open(&env, false, 32);
	fake_set(&env.q->hold, 1);
	submit_requests(&env, &count);
	take_back(&env);
	assert_int_equal(count, 0);
	hwq_abort(env.hwq, NVME_SC_ABORT_QUEUE, count_cb, &calls);
	pump_until(&env, &calls, 1);
	pump_until(&env, &count, REQUESTS);
	check_requests(NVME_SC_ABORT_QUEUE);

	/* Those that are never sent end with the handle. */
	count = 0;
	submit_requests(&env, &count);
	hwq_destroy(env.hwq);
	pump_until(&env, &count, REQUESTS);
	check_requests(NVMUX_SC_CTRLR_GONE | NVMUX_STATUS_DNR);
	reactor_destroy(env.reactor);
	fake_queue_free(env.q);
}

/* A reactor that ends delivers what it still has. */
static void test_destroy_delivers(void **state)
{
	uint32_t count = 0;
	struct env env;

	env_open(&env, false, 32);
	take_back(&env);
	submit_requests(&env, &count);
	hwq_destroy(env.hwq);
	reactor_destroy(env.reactor);
	assert_int_equal(count, REQUESTS);
	check_requests(NVMUX_SC_CTRLR_GONE | NVMUX_STATUS_DNR);
	fake_queue_free(env.q);
}

static void test_bad_core(void **state)
{
	struct reactor_opts opts = {.core = CPU_SETSIZE, .name = "test"};
	struct reactor *r = NULL;

	assert_int_equal(reactor_create(&opts, &r), -EINVAL);
	opts.core = CPU_SETSIZE - 1;
	assert_int_equal(reactor_create(&opts, &r), -EINVAL);
	assert_null(r);
}

/* ---- scatter lists and fused commands ---- */

static void peer_command(struct peer *p, uint8_t opc, uint8_t flags, uint64_t data,
			 uint32_t data_len)
{
	struct nvmux_ring_cmd cmd = {
		.opc = opc,
		.flags = flags,
		.cid = cpu_to_le16((uint16_t)p->sent),
		.nsid = cpu_to_le32(1),
		.data = data,
		.data_len = data_len,
		.cdw10 = cpu_to_le32(p->sent),
		.cdw14 = cpu_to_le32(p->number),
	};

	ring_client_publish(&p->ring, &cmd);
	ring_client_ring(&p->ring);
	p->sent++;
}

/* Of one block at @lba, with the flags that make it one of two. */
static void peer_fused(struct peer *p, uint8_t opc, uint8_t flags, uint32_t lba)
{
	struct nvmux_ring_cmd cmd = {
		.opc = opc,
		.flags = flags,
		.cid = cpu_to_le16((uint16_t)lba), /* as peer_reap() expects */
		.nsid = cpu_to_le32(1),
		.data_len = 4096,
		.cdw10 = cpu_to_le32(lba),
		.cdw14 = cpu_to_le32(p->number),
	};

	ring_client_publish(&p->ring, &cmd);
	ring_client_ring(&p->ring);
	p->sent++;
}

static void put_seg(struct peer *p, uint32_t index, uint16_t region, uint64_t offset, uint32_t len)
{
	p->ring.list[index] = (struct nvmux_ring_seg){
		.region_offset = nvmux_ring_addr(region, offset), .length = len};
}

static void test_list_area(void **state)
{
	const struct {
		uint64_t index;
		uint32_t n;
	} wrong[] = {{0, 0},           {0, 33},         {256, 1},
		     {255, 2},         {1u << 31, 1},   {UINT64_MAX, 1},
		     {UINT64_MAX, 32}, {0, UINT32_MAX}, {1ull << 60, 16}};
	struct env env;
	struct peer p;

	env_open(&env, false, 16);
	peer_open(&env, &p, 1, 8);
	assert_int_equal(p.ring.header->list_entries, 256);
	assert_int_equal(p.ring.header->max_segs, NVMUX_RING_LIST_PER_CMD);
	assert_int_equal(p.ring.header->features, 0);
	for (uint32_t i = 0; i < 256; i++)
		put_seg(&p, i, 0, 0, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		peer_command(&p, nvme_cmd_read, 0x40, wrong[i].index, wrong[i].n);
		peer_wait(&p, p.sent);
		assert_int_equal(p.last_status, NVMUX_SC_LIST_INVALID | NVMUX_STATUS_DNR);
	}
	assert_int_equal(fake_get(&env.q->submitted), 0);
	/* The last entry, and all that one command can have. */
	peer_command(&p, nvme_cmd_read, 0x40, 255, 1);
	peer_command(&p, nvme_cmd_read, 0x40, 224, 32);
	peer_wait(&p, p.sent);
	assert_int_equal(p.last_status, 0);
	put_seg(&p, 0, 0, 0, 2048);
	put_seg(&p, 1, 1, 4096, 2048);
	peer_command(&p, nvme_cmd_read, 0x40, 0, 2);
	peer_wait(&p, p.sent);
	assert_int_equal(p.last_status, NVMUX_SC_LIST_INVALID | NVMUX_STATUS_DNR);
	assert_int_equal(fake_get(&env.q->submitted), 2);
	peer_close(&p);
	env_close(&env);
}

struct list_scribbler {
	struct peer *peer;
	uint32_t end;
};

static void *scribble_lists(void *arg)
{
	struct list_scribbler *s = arg;
	volatile struct nvmux_ring_seg *seg = s->peer->ring.list;
	uint64_t rng = 12345, value;

	for (uint32_t i = 1; !fake_get(&s->end); i++) {
		if (i % 4096 == 0)
			sched_yield();
		value = next_random(&rng);
		seg[value % 4].region_offset = nvmux_ring_addr((uint16_t)(value >> 8 & 7),
							       value >> 11 & 0x1fffc);
		seg[value % 4].length = (value >> 32 & 3) ? 4096 : (uint32_t)(value >> 34);
	}
	return NULL;
}

/* Lists that change while they are read: whatever the hardware queue gets is inside a region, and
 * of the length that the command moves (fake_queue.h counts violations). */
static void test_list_changes(void **state)
{
	struct list_scribbler s = {0};
	uint64_t begun = now_ms();
	pthread_t thread;
	struct env env;
	struct peer p;

	env_open(&env, true, 16);
	peer_open(&env, &p, 1, 8);
	s.peer = &p;
	assert_int_equal(pthread_create(&thread, NULL, scribble_lists, &s), 0);
	/* Anybody may get little of the processor: at least one list has to pass. */
	for (uint32_t i = 0; i < 5000 || !fake_get(&env.q->submitted); i++) {
		if (i >= 100 && now_ms() > begun + WAIT_MS / 4 && fake_get(&env.q->submitted))
			break;
		assert_true(now_ms() < begun + WAIT_MS);
		peer_command(&p, nvme_cmd_read, 0x40, i % 4, 4 - i % 4);
		peer_wait(&p, p.sent);
	}
	fake_set(&s.end, 1);
	pthread_join(thread, NULL);
	peer_close(&p);
	env_close(&env); /* no violations */
}

/* A list in flight holds up the forgetting of any region; but not one that was checked after it. */
static void test_drop_waits_for_lists(void **state)
{
	uint32_t dropped = 0;
	struct env env;
	struct peer p;

	env_open(&env, false, 16);
	peer_open(&env, &p, 1, 8);
	put_seg(&p, 0, 0, 0, 4096);
	fake_set(&env.q->hold, 1);
	peer_command(&p, nvme_cmd_read, 0x40, 0, 1);
	wait_submitted(&env, 1);
	channel_drop_region(p.channel, 2, count_cb, &dropped);
	pump_for(&env, QUIET_MS);
	assert_int_equal(dropped, 0);
	fake_set(&env.q->hold, 0);
	pump_until(&env, &dropped, 1);
	peer_wait(&p, 1);
	/* There are always lists in flight; nevertheless it ends. */
	fake_set(&env.q->per_poll, 1);
	for (int i = 0; i < 6; i++)
		peer_command(&p, nvme_cmd_read, 0x40, 0, 1);
	channel_drop_region(p.channel, 3, count_cb, &dropped);
	for (uint64_t end = now_ms() + WAIT_MS; dropped < 2 && now_ms() < end;) {
		peer_reap(&p);
		while (p.sent - p.done < 6)
			peer_command(&p, nvme_cmd_read, 0x40, 0, 1);
		serve(&env, 0);
	}
	assert_int_equal(dropped, 2);
	peer_wait(&p, p.sent);
	peer_close(&p);
	env_close(&env);
}

static void test_fused_pairs(void **state)
{
	struct env env;
	struct peer p, other;

	env_open(&env, false, 4);
	peer_open(&env, &p, 1, 8);
	peer_open(&env, &other, 2, 64);
	fake_set(&env.q->per_poll, 1);
	/* Places in the queue come one at a time, and the other wants them as well. */
	for (uint32_t i = 0; i < 300; i++) {
		while (other.sent - other.done < 64)
			peer_send(&other, 1, 0);
		peer_fused(&p, nvme_cmd_compare, 1, i);
		if (i % 3 == 0)
			sched_yield();
		peer_fused(&p, nvme_cmd_write, 2, i);
		while (p.done < p.sent) {
			peer_reap(&p);
			peer_reap(&other);
			serve(&env, 0);
		}
		assert_int_equal(p.last_status, 0);
	}
	assert_int_equal(fake_get(&env.q->pairs), 300);
	peer_wait(&other, other.sent);
	peer_close(&other);
	peer_close(&p);
	env_close(&env);
}

/* Halves of pairs, and wrong ones, reach nobody; the reactor sleeps while one waits. */
static void test_fused_halves(void **state)
{
	const uint16_t missing = NVME_SC_FUSED_MISSING | NVMUX_STATUS_DNR;
	const uint16_t invalid = NVME_SC_INVALID_FIELD | NVMUX_STATUS_DNR;
	struct env env;
	struct peer p;

	env_open(&env, false, 16);
	peer_open(&env, &p, 1, 8);
	peer_fused(&p, nvme_cmd_write, 2, 1);
	peer_wait(&p, 1);
	assert_int_equal(p.last_status, missing);
	/* A first alone waits, and isn't polled for. */
	peer_fused(&p, nvme_cmd_compare, 1, 1);
	wait_asleep(&env);
	assert_int_equal(peer_reap(&p), 0);
	/* Another first takes its place; then something else comes, which is served. */
	peer_fused(&p, nvme_cmd_compare, 1, 1);
	peer_wait(&p, 2);
	assert_int_equal(p.last_status, missing);
	assert_int_equal(fake_get(&env.q->submitted), 0);
	peer_fused(&p, nvme_cmd_read, 0, 5);
	peer_wait(&p, 4);
	assert_int_equal(p.last_status, 0);
	assert_int_equal(fake_get(&env.q->submitted), 1);
	/* The wrong way round; other blocks; both flags. */
	peer_fused(&p, nvme_cmd_write, 1, 1);
	peer_fused(&p, nvme_cmd_compare, 2, 1);
	peer_wait(&p, 6);
	assert_int_equal(p.last_status, invalid);
	peer_fused(&p, nvme_cmd_compare, 1, 1);
	peer_fused(&p, nvme_cmd_write, 2, 2);
	peer_wait(&p, 8);
	assert_int_equal(p.last_status, invalid);
	peer_fused(&p, nvme_cmd_write, 3, 2);
	peer_wait(&p, 9);
	assert_int_equal(p.last_status, invalid);
	/* One is refused: the other is too. */
	peer_fused(&p, nvme_cmd_compare, 1, UINT32_MAX);
	peer_fused(&p, nvme_cmd_write, 2, 2);
	peer_wait(&p, 11);
	assert_int_equal(p.last_status, NVME_SC_FUSED_FAIL | NVMUX_STATUS_DNR);
	peer_fused(&p, nvme_cmd_compare, 1, 2);
	peer_fused(&p, nvme_cmd_write, 2, UINT32_MAX);
	peer_wait(&p, 13);
	assert_int_equal(p.last_status, NVME_SC_LBA_RANGE | NVMUX_STATUS_DNR);
	assert_int_equal(fake_get(&env.q->submitted), 1);
	/* A stop isn't held up by a half, which goes on after the next start. */
	peer_fused(&p, nvme_cmd_compare, 1, 3);
	pump_for(&env, QUIET_MS);
	peer_stop(&p);
	channel_start(p.channel, env.hwq, NULL, NULL);
	peer_fused(&p, nvme_cmd_write, 2, 3);
	peer_wait(&p, 15);
	assert_int_equal(p.last_status, 0);
	assert_int_equal(fake_get(&env.q->pairs), 1);
	peer_close(&p);
	env_close(&env);
}

/* The second can't be sent: the controller doesn't wait for it with the first, whose client gets
 * both answers, and all go on. */
static void test_fused_second_not_sent(void **state)
{
	struct peer p, other;
	struct env env;

	env_open(&env, false, 2);
	peer_open(&env, &p, 1, 8);
	peer_open(&env, &other, 2, 8);
	fake_set(&env.q->refuse_seconds, 1);
	for (uint32_t i = 1; i <= 20; i++) {
		peer_fused(&p, nvme_cmd_compare, 1, i);
		peer_fused(&p, nvme_cmd_write, 2, i);
		peer_wait(&p, 2 * i);
		assert_int_equal(fake_get(&env.q->lone), i);
		peer_send(&other, 4, 0);
		peer_wait(&other, 4 * i);
		assert_int_equal(other.last_status, 0);
	}
	fake_set(&env.q->refuse_seconds, 0);
	peer_fused(&p, nvme_cmd_compare, 1, 50);
	peer_fused(&p, nvme_cmd_write, 2, 50);
	peer_wait(&p, 42);
	assert_int_equal(p.last_status, 0);
	assert_int_equal(fake_get(&env.q->pairs), 1);
	peer_close(&other);
	peer_close(&p);
	env_close(&env);
}

/* A client dies between the two: nobody waits for the second, and the first never goes. */
static void test_fused_client_dies(void **state)
{
	struct peer victim, other;
	uint32_t stopped = 0;
	struct env env;

	env_open(&env, false, 4);
	peer_open(&env, &victim, 1, 4);
	peer_open(&env, &other, 2, 4);
	peer_fused(&victim, nvme_cmd_compare, 1, 1);
	pump_for(&env, QUIET_MS);
	close(victim.ring.wake_fd);
	victim.ring.wake_fd = -1;
	for (uint32_t i = 0; i < 50; i++) {
		peer_send(&other, 4, 0);
		peer_wait(&other, 4 * (i + 1));
	}
	assert_int_equal(other.last_status, 0);
	channel_stop(victim.channel, count_cb, &stopped);
	pump_until(&env, &stopped, 1);
	peer_free(&victim);
	peer_send(&other, 4, 0);
	peer_wait(&other, 204);
	assert_int_equal(fake_get(&env.q->by_sender[1]), 0);
	assert_int_equal(fake_get(&env.q->pairs), 0);
	peer_close(&other);
	env_close(&env);
}

/* Where two have never room, they are refused. */
static void test_fused_no_room(void **state)
{
	struct env env;
	struct peer p;

	env_open(&env, false, 1);
	peer_open(&env, &p, 1, 8);
	peer_fused(&p, nvme_cmd_compare, 1, 1);
	peer_wait(&p, 1);
	assert_int_equal(p.last_status, NVME_SC_INVALID_FIELD | NVMUX_STATUS_DNR);
	peer_close(&p);
	env_close(&env);
	env_open(&env, false, 8);
	peer_open(&env, &p, 1, 1);
	peer_fused(&p, nvme_cmd_compare, 1, 1);
	peer_fused(&p, nvme_cmd_write, 2, 1);
	peer_wait(&p, 2);
	assert_int_equal(p.last_status, NVMUX_SC_DEPTH_EXCEEDED | NVMUX_STATUS_DNR);
	assert_int_equal(fake_get(&env.q->submitted), 0);
	peer_close(&p);
	env_close(&env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_area),
		cmocka_unit_test(test_list_changes),
		cmocka_unit_test(test_drop_waits_for_lists),
		cmocka_unit_test(test_fused_pairs),
		cmocka_unit_test(test_fused_halves),
		cmocka_unit_test(test_fused_second_not_sent),
		cmocka_unit_test(test_fused_client_dies),
		cmocka_unit_test(test_fused_no_room),
		cmocka_unit_test(test_fused_requests),
		cmocka_unit_test(test_bad_core),
		cmocka_unit_test(test_stop_waits_for_completions),
		cmocka_unit_test(test_stop_ends_by_abort),
		cmocka_unit_test(test_stop_at_once),
		cmocka_unit_test(test_drop_region),
		cmocka_unit_test(test_drop_region_under_load),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_start_on_taken_queue),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_dead_is_for_good),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_fair),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_sleep_and_wake),
		cmocka_unit_test(test_closed_socket),
		cmocka_unit_test(test_busy_parks_many),
		cmocka_unit_test(test_scribbler),
		cmocka_unit_test(test_message_overflow),
		cmocka_unit_test(test_messages_behind_held_ones),
		cmocka_unit_test(test_destroy_delivers),
	};

	return cmocka_run_group_tests_name("reactor", tests, NULL, NULL);
}
