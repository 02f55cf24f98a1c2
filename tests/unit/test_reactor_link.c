// SPDX-License-Identifier: BSD-3-Clause
/*
 * The data plane while connections are lost and restored: what clients see, what is repeated and
 * what isn't, taking a queue back in each state, clients that go meanwhile; and hardware queues
 * that share their completions.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "daemon/data.h"
#include "tests/unit/reactor_env.h"
#include "tests/unit/fake_link.h"

#define OUTCOME_UNKNOWN (NVMUX_SC_OUTCOME_UNKNOWN | NVMUX_STATUS_DNR)

/* ---- a reactor with a hardware queue that has a connection ---- */

static struct fake_link *link_of(struct env *env)
{
	return (struct fake_link *)env->q;
}

static void link_open(struct env *env, uint32_t hw_depth)
{
	env_open_queue(env, false, &fake_link_new(hw_depth)->queue, NULL);
}

static void link_close_taken(struct env *env)
{
	hwq_destroy(env->hwq);
	reactor_destroy(env->reactor);
	assert_int_equal(env->q->violations, 0);
	fake_link_free(link_of(env));
}

static void link_close(struct env *env)
{
	take_back(env);
	link_close_taken(env);
}

static void set_state(struct env *env, enum nvmux_qpair_state state)
{
	fake_link_set(link_of(env), state);
	hwq_look(env->hwq);
}

static void wait_state(struct env *env, enum nvmux_qpair_state state)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (fake_link_get(link_of(env)) != state) {
		assert_true(now_ms() < end);
		serve(env, 1);
	}
}

static void wait_ring(struct peer *p, uint32_t state)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (ring_state(p) != state) {
		assert_true(now_ms() < end);
		serve(p->env, 1);
	}
}

/* Until the reactor has been told and has nothing more to hear. */
static void wait_looked(struct env *env)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (env->hwq->ctl_looking) {
		assert_true(now_ms() < end);
		serve(env, 1);
	}
}

static void lose(struct env *env)
{
	set_state(env, NVMUX_QPAIR_QUIESCING);
	wait_state(env, NVMUX_QPAIR_QUIET);
	wait_looked(env);
}

static void restore(struct env *env)
{
	set_state(env, NVMUX_QPAIR_REPLAY);
	wait_state(env, NVMUX_QPAIR_CONNECTED);
}

/* ---- loss and restoration ---- */

/* What was in flight is repeated, what came meanwhile waits in the ring, nothing is lost or comes
 * twice; the reactor sleeps while there is nothing to do. */
static void test_pause_and_resume(void **state)
{
	struct env env;
	struct peer p;
	uint64_t loops;

	link_open(&env, 32);
	peer_open(&env, &p, 1, 16);
	for (uint32_t round = 0; round < 20; round++) {
		uint32_t before = fake_get(&env.q->submitted);

		fake_set(&env.q->hold, 1);
		peer_send(&p, 6, 0);
		wait_submitted(&env, before + 6);
		fake_set(&link_of(&env)->slow, round * 10);
		lose(&env);
		wait_ring(&p, NVMUX_RING_PAUSED);
		peer_send(&p, 6, 0);
		wait_asleep(&env);
		loops = stats_of(&env).loops;
		pump_for(&env, 3);
		/* one more, if it was told something the moment it went to sleep */
		assert_in_range(stats_of(&env).loops - loops, 0, 1);
		assert_int_equal(fake_get(&env.q->submitted), before + 6);
		assert_int_equal(peer_reap(&p), 0);
		fake_set(&env.q->hold, 0);
		restore(&env);
		peer_wait(&p, p.sent);
		assert_int_equal(p.last_status, 0);
		assert_int_equal(ring_state(&p), NVMUX_RING_READY);
		assert_int_equal(fake_get(&link_of(&env)->reposted), (round + 1) * 6);
	}
	pump_for(&env, QUIET_MS);
	assert_int_equal(peer_reap(&p), 0);
	peer_close(&p);
	link_close(&env);
}

/* A loss that the reactor is told of while it sleeps, with nothing in flight. */
static void test_idle_loss(void **state)
{
	struct env env;
	struct peer p;

	link_open(&env, 32);
	peer_open(&env, &p, 1, 16);
	wait_asleep(&env);
	lose(&env);
	wait_ring(&p, NVMUX_RING_PAUSED);
	wait_asleep(&env);
	/* A command that wakes the reactor now isn't served, and doesn't keep it awake. */
	peer_send(&p, 1, 0);
	pump_for(&env, QUIET_MS);
	wait_asleep(&env);
	assert_int_equal(fake_get(&env.q->submitted), 0);
	restore(&env);
	peer_wait(&p, 1);
	assert_int_equal(ring_state(&p), NVMUX_RING_READY);
	peer_close(&p);
	link_close(&env);
}

/* A channel that starts while the connection is lost waits as the others do. */
static void test_start_while_lost(void **state)
{
	struct env env;
	struct peer p;

	link_open(&env, 32);
	lose(&env);
	wait_asleep(&env);
	peer_open(&env, &p, 1, 16);
	wait_ring(&p, NVMUX_RING_PAUSED);
	peer_send(&p, 4, 0);
	pump_for(&env, QUIET_MS);
	assert_int_equal(fake_get(&env.q->submitted), 0);
	restore(&env);
	peer_wait(&p, 4);
	peer_close(&p);
	link_close(&env);
}

/* What isn't a read waits; new commands don't. */
static void test_holding(void **state)
{
	struct env env;
	struct peer p;

	link_open(&env, 32);
	peer_open(&env, &p, 1, 16);
	fake_set(&env.q->hold, 1);
	for (int i = 0; i < 3; i++)
		peer_publish_opc(&p, nvme_cmd_write, 0);
	peer_send(&p, 2, 0);
	wait_submitted(&env, 5);
	lose(&env);
	fake_set(&env.q->hold, 0);
	set_state(&env, NVMUX_QPAIR_REPLAY);
	wait_state(&env, NVMUX_QPAIR_HOLDING);
	peer_wait(&p, 2);
	wait_ring(&p, NVMUX_RING_READY);
	peer_send(&p, 4, 0);
	peer_wait(&p, 6);
	pump_for(&env, QUIET_MS);
	assert_int_equal(peer_reap(&p), 0);
	assert_int_equal(fake_get(&link_of(&env)->reposted), 2);
	set_state(&env, NVMUX_QPAIR_RELEASE);
	peer_wait(&p, 9);
	assert_int_equal(p.last_status, 0);
	wait_state(&env, NVMUX_QPAIR_CONNECTED);
	peer_close(&p);
	link_close(&env);
}

/* Nothing is in flight, the reactor sleeps: it does its part all the same. */
static void test_release_asleep(void **state)
{
	struct env env;
	struct peer p;

	link_open(&env, 32);
	peer_open(&env, &p, 1, 16);
	set_state(&env, NVMUX_QPAIR_HOLDING);
	wait_asleep(&env);
	set_state(&env, NVMUX_QPAIR_RELEASE);
	wait_state(&env, NVMUX_QPAIR_CONNECTED);
	wait_asleep(&env);
	peer_send(&p, 4, 0);
	peer_wait(&p, 4);
	peer_close(&p);
	link_close(&env);
}

/* Lost again and again, in whatever state it is, under load. */
static void test_lost_all_the_time(void **state)
{
	struct env env;
	struct peer p;
	uint64_t rng = 0x1234567;

	link_open(&env, 32);
	env.q->per_poll = FAKE_RANDOM;
	peer_open(&env, &p, 1, 16);
	for (uint32_t round = 0; round < 1000; round++) {
		while (p.sent - p.done < 16)
			peer_publish_opc(&p, p.sent & 1 ? nvme_cmd_write : nvme_cmd_read, 0);
		ring_client_ring(&p.ring);
		fake_set(&link_of(&env)->slow, (uint32_t)(next_random(&rng) % 20));
		lose(&env);
		peer_reap(&p);
		if (next_random(&rng) % 4 == 0)
			set_state(&env, NVMUX_QPAIR_FAILING);
		for (uint64_t n = next_random(&rng) % 50; n; n--)
			serve(&env, 0);
		set_state(&env, NVMUX_QPAIR_REPLAY);
		while (fake_link_get(link_of(&env)) == NVMUX_QPAIR_REPLAY)
			serve(&env, 1);
		if (next_random(&rng) % 2 && fake_link_get(link_of(&env)) == NVMUX_QPAIR_HOLDING)
			set_state(&env, NVMUX_QPAIR_RELEASE);
	}
	/* REPLAY was answered by HOLDING or CONNECTED, RELEASE is by CONNECTED. */
	if (fake_link_get(link_of(&env)) == NVMUX_QPAIR_HOLDING)
		set_state(&env, NVMUX_QPAIR_RELEASE);
	peer_wait(&p, p.sent);
	wait_ring(&p, NVMUX_RING_READY);
	peer_close(&p);
	link_close(&env);
}

/* ---- commands fail ---- */

struct answer {
	uint32_t calls;
	uint16_t status;
};

static void answered(void *arg, const struct nvmux_cpl *cpl)
{
	struct answer *a = arg;

	a->calls++;
	a->status = nvmux_cpl_status(cpl);
}

static void request(struct env *env, const void *owner, struct answer *a)
{
	static const struct nvmux_payload none = {0};
	struct nvmux_cmd cmd = {.opc = nvme_cmd_read, .nsid = cpu_to_le32(1)};

	*a = (struct answer){0};
	hwq_submit(env->hwq, owner, &cmd, &none, answered, a);
}

static void test_failing(void **state)
{
	struct answer before, waiting, after;
	struct env env;
	struct peer p;

	link_open(&env, 32);
	peer_open(&env, &p, 1, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&p, 4, 0);
	request(&env, &env, &before);
	wait_submitted(&env, 5);
	lose(&env);
	request(&env, &env, &waiting);
	peer_send(&p, 4, 0);
	pump_for(&env, QUIET_MS);
	assert_int_equal(waiting.calls, 0);
	assert_int_equal(peer_reap(&p), 0);

	set_state(&env, NVMUX_QPAIR_FAILING);
	peer_wait(&p, 8);
	assert_int_equal(p.last_status, NVMUX_PATH_ERROR);
	pump_until(&env, &before.calls, 1);
	pump_until(&env, &waiting.calls, 1);
	assert_int_equal(before.status, NVMUX_PATH_ERROR);
	assert_int_equal(waiting.status, NVMUX_PATH_ERROR);
	wait_ring(&p, NVMUX_RING_READY);
	/* Parked as usual, woken as usual. */
	wait_parked(&env, 1);
	peer_send(&p, 16, 0);
	peer_wait(&p, 24);
	assert_int_equal(p.last_status, NVMUX_PATH_ERROR);
	/* What is wrong in itself is told so. */
	peer_send(&p, 1, REGIONS);
	peer_wait(&p, 25);
	assert_int_equal(p.last_status, NVMUX_SC_REGION_UNKNOWN | NVMUX_STATUS_DNR);
	request(&env, &env, &after);
	pump_until(&env, &after.calls, 1);
	assert_int_equal(after.status, NVMUX_PATH_ERROR);
	assert_int_equal(fake_get(&env.q->submitted), 5);

	fake_set(&env.q->hold, 0);
	restore(&env);
	peer_send(&p, 4, 0);
	peer_wait(&p, 29);
	assert_int_equal(p.last_status, 0);
	assert_int_equal(fake_get(&link_of(&env)->reposted), 0);
	peer_close(&p);
	link_close(&env);
}

/* The controller is given up: what is in flight ends, the rest is as after any failure. */
static void test_lost_for_good(void **state)
{
	uint32_t aborted = 0;
	struct env env;
	struct peer p, late;

	link_open(&env, 32);
	peer_open(&env, &p, 1, 16);
	peer_open(&env, &late, 2, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&p, 4, 0);
	wait_submitted(&env, 4);
	lose(&env);
	set_state(&env, NVMUX_QPAIR_FAILED);
	peer_wait(&p, 4);
	assert_int_equal(p.last_status, NVMUX_PATH_ERROR);
	pump_until(&env, &env.n_failed, 1);
	wait_ring(&p, NVMUX_RING_PAUSED);
	take_back(&env);
	fake_set(&link_of(&env)->taken, 1);
	hwq_abort(env.hwq, NVMUX_PATH_ERROR, count_cb, &aborted);
	pump_until(&env, &aborted, 1);
	channel_set_state(p.channel, NVMUX_RING_DEAD);
	peer_close(&p);
	peer_close(&late);
	link_close_taken(&env);
}

/* ---- looks ---- */

/* However often it is told, one message is under way at most, and the last change is seen. */
static void test_looks_are_few(void **state)
{
	struct env env;
	struct peer p;

	link_open(&env, 32);
	peer_open(&env, &p, 1, 16);
	for (uint32_t round = 0; round < 300; round++) {
		for (uint32_t i = 0; i < 2000; i++)
			hwq_look(env.hwq);
		assert_false(msgq_is_waiting(&env.reactor->to_reactor));
		lose(&env);
		restore(&env);
		peer_send(&p, 1, 0);
		peer_wait(&p, round + 1);
	}
	peer_close(&p);
	/* One that is under way when the handle goes. */
	take_back(&env);
	hwq_look(env.hwq);
	link_close_taken(&env);
}

/* ---- taking back ---- */

static void test_take_back_quiesces(void **state)
{
	uint32_t taken = 0, aborted = 0;
	struct env env;
	struct peer p;

	link_open(&env, 32);
	peer_open(&env, &p, 1, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&p, 4, 0);
	wait_submitted(&env, 4);
	fake_set(&link_of(&env)->slow, FAKE_NEVER);
	hwq_take_back(env.hwq, count_cb, &taken);
	wait_ring(&p, NVMUX_RING_PAUSED);
	peer_send(&p, 4, 0);
	pump_for(&env, QUIET_MS);
	assert_int_equal(taken, 0);
	assert_int_equal(fake_get(&env.q->submitted), 4);
	hwq_look(env.hwq);
	fake_set(&link_of(&env)->slow, 3);
	pump_until(&env, &taken, 1);
	assert_int_equal(fake_get(&link_of(&env)->quiesced), 1);
	fake_set(&link_of(&env)->taken, 1);
	hwq_look(env.hwq);
	pump_for(&env, QUIET_MS);
	assert_int_equal(peer_reap(&p), 0);
	hwq_abort(env.hwq, NVMUX_PATH_ERROR, count_cb, &aborted);
	pump_until(&env, &aborted, 1);
	assert_int_equal(peer_reap(&p), 4);
	peer_close(&p);
	link_close_taken(&env);
}

/* In each state that it can be in. */
static void test_take_back_any_state(void **state)
{
	static const enum nvmux_qpair_state states[] = {
		NVMUX_QPAIR_CONNECTED, NVMUX_QPAIR_QUIESCING, NVMUX_QPAIR_QUIET,
		NVMUX_QPAIR_FAILING,   NVMUX_QPAIR_REPLAY,    NVMUX_QPAIR_HOLDING,
		NVMUX_QPAIR_RELEASE,   NVMUX_QPAIR_FAILED,
	};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		bool quiet = states[i] == NVMUX_QPAIR_QUIET || states[i] == NVMUX_QPAIR_FAILING;
		struct env env;

		for (uint32_t slow = 0; slow < 100; slow += 33) {
			link_open(&env, 32);
			if (quiet)
				lose(&env);
			fake_set(&link_of(&env)->slow, slow);
			fake_link_set(link_of(&env), states[i]);
			/* told of it or not */
			if (slow % 2)
				hwq_look(env.hwq);
			take_back(&env);
			assert_true(fake_get(&link_of(&env)->quiesced) == 1);
			if (states[i] == NVMUX_QPAIR_QUIESCING)
				assert_int_equal(fake_link_get(link_of(&env)), NVMUX_QPAIR_QUIET);
			link_close_taken(&env);
		}
	}
}

/* Lost while it is with the control thread, which does the owner's part. */
static void test_lost_while_taken(void **state)
{
	struct env env;

	link_open(&env, 32);
	take_back(&env);
	set_state(&env, NVMUX_QPAIR_QUIESCING);
	assert_int_equal(fake_link_get(link_of(&env)), NVMUX_QPAIR_QUIET);
	link_close_taken(&env);
}

/* ---- clients that go ---- */

static void test_abandon_while_quiet(void **state)
{
	uint32_t stopped = 0, late_stopped = 0;
	struct env env;
	struct peer gone, late, other;

	link_open(&env, 32);
	peer_open(&env, &gone, 1, 10);
	peer_open(&env, &late, 3, 10);
	peer_open(&env, &other, 2, 10);
	fake_set(&env.q->hold, 1);
	peer_send(&gone, 5, 0);
	peer_send(&late, 5, 0);
	peer_send(&other, 5, 0);
	wait_submitted(&env, 15);
	lose(&env);
	channel_stop(gone.channel, count_cb, &stopped);
	wait_asleep(&env);
	pump_for(&env, QUIET_MS);
	assert_int_equal(stopped, 0);
	channel_abandon(gone.channel);
	pump_until(&env, &stopped, 1);
	assert_int_equal(peer_reap(&gone), 5);
	assert_int_equal(gone.last_status, OUTCOME_UNKNOWN);
	/* Another one, within the same loss. */
	wait_asleep(&env);
	channel_stop(late.channel, count_cb, &late_stopped);
	channel_abandon(late.channel);
	pump_until(&env, &late_stopped, 1);
	peer_free(&late);
	/* Its memory may go: nothing of it is repeated. */
	fake_set(&env.q->forbidden, &gone.mem[0]);
	peer_free(&gone);
	fake_set(&env.q->hold, 0);
	restore(&env);
	peer_wait(&other, 5);
	assert_int_equal(other.last_status, 0);
	assert_int_equal(fake_get(&link_of(&env)->reposted), 5);
	peer_close(&other);
	link_close(&env);
}

/* The connection is up, and hangs: the next loss of it ends them. */
static void test_abandon_before_loss(void **state)
{
	uint32_t stopped = 0;
	struct env env;
	struct peer gone;

	link_open(&env, 32);
	peer_open(&env, &gone, 1, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&gone, 5, 0);
	wait_submitted(&env, 5);
	channel_stop(gone.channel, count_cb, &stopped);
	channel_abandon(gone.channel);
	channel_abandon(gone.channel);
	pump_for(&env, QUIET_MS);
	assert_int_equal(stopped, 0);
	lose(&env);
	pump_until(&env, &stopped, 1);
	assert_int_equal(peer_reap(&gone), 5);
	assert_int_equal(gone.last_status, OUTCOME_UNKNOWN);
	/* Started again, it is a channel as any other. */
	restore(&env);
	fake_set(&env.q->hold, 0);
	channel_start(gone.channel, env.hwq, NULL, NULL);
	peer_send(&gone, 4, 0);
	peer_wait(&gone, 9);
	fake_set(&env.q->hold, 1);
	peer_send(&gone, 2, 0);
	wait_submitted(&env, 11);
	lose(&env);
	wait_asleep(&env);
	fake_set(&env.q->hold, 0);
	restore(&env);
	peer_wait(&gone, 11);
	assert_int_equal(gone.last_status, 0);
	peer_close(&gone);
	link_close(&env);
}

/* Of a restored connection only what is held back is dropped. */
static void test_abandon_while_holding(void **state)
{
	uint32_t stopped = 0;
	struct env env;
	struct peer gone, other;

	link_open(&env, 32);
	peer_open(&env, &gone, 1, 16);
	peer_open(&env, &other, 2, 16);
	fake_set(&env.q->hold, 1);
	for (int i = 0; i < 3; i++) {
		peer_publish_opc(&gone, nvme_cmd_write, 0);
		peer_publish_opc(&other, nvme_cmd_write, 0);
	}
	peer_send(&gone, 2, 0);
	peer_send(&other, 0, 0);
	wait_submitted(&env, 8);
	lose(&env);
	set_state(&env, NVMUX_QPAIR_REPLAY);
	wait_state(&env, NVMUX_QPAIR_HOLDING);
	channel_stop(gone.channel, count_cb, &stopped);
	channel_abandon(gone.channel);
	peer_wait(&gone, 3);
	assert_int_equal(gone.last_status, OUTCOME_UNKNOWN);
	pump_for(&env, QUIET_MS);
	assert_int_equal(stopped, 0); /* its reads are with the controller */
	fake_set(&env.q->hold, 0);
	pump_until(&env, &stopped, 1);
	assert_int_equal(peer_reap(&gone), 2);
	assert_int_equal(gone.last_status, 0);
	peer_free(&gone);
	assert_int_equal(peer_reap(&other), 0);
	set_state(&env, NVMUX_QPAIR_RELEASE);
	peer_wait(&other, 3);
	assert_int_equal(other.last_status, 0);
	assert_int_equal(fake_get(&link_of(&env)->repost_by_sender[1]), 2);
	peer_close(&other);
	link_close(&env);
}

static void test_abandon_requests(void **state)
{
	struct answer sent[2], waiting[2];
	struct env env;
	int owners[2];

	link_open(&env, 32);
	fake_set(&env.q->hold, 1);
	for (int i = 0; i < 2; i++)
		request(&env, &owners[i], &sent[i]);
	wait_submitted(&env, 2);
	/* Not while they are with the controller. */
	hwq_abandon(env.hwq, &owners[0]);
	pump_for(&env, QUIET_MS);
	assert_int_equal(sent[0].calls, 0);
	lose(&env);
	pump_until(&env, &sent[0].calls, 1);
	assert_int_equal(sent[0].status, OUTCOME_UNKNOWN);
	for (int i = 0; i < 2; i++)
		request(&env, &owners[i], &waiting[i]);
	hwq_abandon(env.hwq, &owners[0]);
	pump_until(&env, &waiting[0].calls, 1);
	assert_int_equal(waiting[0].status, OUTCOME_UNKNOWN);
	pump_for(&env, QUIET_MS);
	assert_int_equal(sent[1].calls + waiting[1].calls, 0);
	fake_set(&env.q->hold, 0);
	restore(&env);
	pump_until(&env, &sent[1].calls, 1);
	pump_until(&env, &waiting[1].calls, 1);
	assert_int_equal(sent[1].status | waiting[1].status, 0);
	assert_int_equal(fake_get(&link_of(&env)->reposted), 1);
	link_close(&env);
}

/* ---- shared completions ---- */

struct group_env {
	struct env env;
	struct nvmux *nvmux;
	struct nvmux_poll_group *group;
	struct fake_shared shared;
	struct hwq *hwqs[2];
};

static void group_open(struct group_env *g)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct fake_link *links[2] = {fake_link_new(32), fake_link_new(32)};

	*g = (struct group_env){.shared = {.links = {links[0], links[1]}, .n_links = 2}};
	g->nvmux = calloc(1, sizeof(*g->nvmux));
	assert_non_null(g->nvmux);
	g->nvmux->transports[NVMUX_TRTYPE_LOOPBACK] = &fake_link_transport;
	assert_int_equal(nvmux_poll_group_create(g->nvmux, &g->group), 0);
	g->group->other_thread = true;
	g->group->transport_data[NVMUX_TRTYPE_LOOPBACK] = &g->shared;
	g->shared.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(epoll_ctl(nvmux_poll_group_get_fd(g->group), EPOLL_CTL_ADD,
				   g->shared.event_fd, &event),
			 0);
	env_open_queue(&g->env, false, &links[0]->queue, g->group);
	assert_ptr_equal(reactor_poll_group(g->env.reactor), g->group);
	g->hwqs[0] = g->env.hwq;
	assert_int_equal(hwq_create(g->env.reactor, &links[1]->queue.base, &g->hwqs[1]), 0);
	for (int i = 0; i < 2; i++)
		links[i]->shared = &g->shared;
}

static void group_close(struct group_env *g)
{
	for (int i = 0; i < 2; i++) {
		g->env.hwq = g->hwqs[i];
		take_back(&g->env);
		hwq_destroy(g->hwqs[i]);
	}
	reactor_destroy(g->env.reactor);
	assert_int_equal(nvmux_poll_group_destroy(g->group), 0);
	close(g->shared.event_fd);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(g->shared.links[i]->queue.violations, 0);
		fake_link_free(g->shared.links[i]);
	}
	free(g->nvmux);
}

static void group_peer(struct group_env *g, struct peer *p, uint32_t i)
{
	g->env.hwq = g->hwqs[i];
	peer_open(&g->env, p, i, 16);
}

/* Two clients on two queues: each queue's polling delivers the other's completions. */
static void test_shared_completions(void **state)
{
	struct group_env g;
	struct peer p[2];

	group_open(&g);
	for (uint32_t i = 0; i < 2; i++) {
		g.shared.links[i]->queue.per_poll = FAKE_RANDOM;
		group_peer(&g, &p[i], i);
	}
	for (uint32_t round = 0; round < 3000; round++) {
		peer_send(&p[0], 1 + round % 4, 0);
		if (round % 3)
			peer_send(&p[1], 1 + round % 2, 0);
		if (round % 100 == 0)
			wait_asleep(&g.env);
		for (int i = 0; i < 2; i++) {
			peer_wait(&p[i], p[i].sent);
			assert_int_equal(p[i].last_status, 0);
		}
	}
	for (int i = 0; i < 2; i++)
		peer_close(&p[i]);
	/* Everybody's completions have come: the queues rest. */
	wait_asleep(&g.env);
	group_close(&g);
}

/* One loses its connection, the other one goes on. */
static void test_shared_with_lost(void **state)
{
	struct group_env g;
	struct peer p[2];

	group_open(&g);
	for (uint32_t i = 0; i < 2; i++)
		group_peer(&g, &p[i], i);
	fake_set(&g.shared.links[0]->queue.hold, 1);
	peer_send(&p[0], 5, 0);
	wait_submitted(&(struct env){.q = &g.shared.links[0]->queue}, 5);
	fake_link_set(g.shared.links[0], NVMUX_QPAIR_QUIESCING);
	hwq_look(g.hwqs[0]);
	for (int i = 0; i < 1000; i++) {
		peer_send(&p[1], 4, 0);
		peer_wait(&p[1], p[1].sent);
	}
	wait_ring(&p[0], NVMUX_RING_PAUSED);
	assert_int_equal(peer_reap(&p[0]), 0);
	assert_int_equal(ring_state(&p[1]), NVMUX_RING_READY);
	assert_int_equal(fake_link_get(g.shared.links[0]), NVMUX_QPAIR_QUIET);
	fake_set(&g.shared.links[0]->queue.hold, 0);
	fake_link_set(g.shared.links[0], NVMUX_QPAIR_REPLAY);
	hwq_look(g.hwqs[0]);
	peer_wait(&p[0], 5);
	for (int i = 0; i < 2; i++)
		peer_close(&p[i]);
	group_close(&g);
}

static void ring_group(struct group_env *g)
{
	uint64_t one = 1;

	assert_int_equal(write(g->shared.event_fd, &one, sizeof(one)), sizeof(one));
}

static void wait_reaped(struct group_env *g, uint32_t wanted)
{
	uint64_t end = now_ms() + WAIT_MS;

	while (fake_get(&g->shared.reaped) < wanted) {
		assert_true(now_ms() < end);
		serve(&g->env, 1);
	}
	assert_int_equal(fake_get(&g->shared.reaped), wanted);
}

/* What makes the group's descriptor readable is reaped by a sleeping reactor, and by one that is
 * awake without looking at sockets otherwise; what that completes is published. */
static void test_group_reap(void **state)
{
	struct group_env g;
	struct peer p;

	group_open(&g);
	group_peer(&g, &p, 0);
	for (uint32_t i = 1; i <= 20; i++) {
		wait_asleep(&g.env);
		ring_group(&g);
		wait_reaped(&g, i);
	}
	wait_asleep(&g.env);
	assert_int_equal(fake_get(&g.shared.reaped), 20);
	fake_set(&g.shared.links[0]->queue.hold, 1);
	peer_send(&p, 8, 0);
	wait_submitted(&g.env, 8);
	pump_for(&g.env, QUIET_MS);
	assert_int_equal(peer_reap(&p), 0);
	assert_false(stats_of(&g.env).asleep);
	assert_int_equal(stats_of(&g.env).parked, 0);
	ring_group(&g);
	peer_wait(&p, 8);
	assert_int_equal(p.last_status, 0);
	fake_set(&g.shared.links[0]->queue.hold, 0);
	peer_close(&p);
	group_close(&g);
}

static void group_open_arming(struct group_env *g)
{
	group_open(g);
	g->nvmux->transports[NVMUX_TRTYPE_LOOPBACK] = &fake_link_arming_transport;
	for (int i = 0; i < 2; i++)
		g->shared.links[i]->queue.base.transport = &fake_link_arming_transport;
}

/* With commands at a target and nothing to do it sleeps; completions wake it, and so do clients. */
static void test_doze(void **state)
{
	struct group_env g;
	struct peer p[2];

	group_open_arming(&g);
	for (uint32_t i = 0; i < 2; i++)
		group_peer(&g, &p[i], i);
	for (uint32_t round = 0; round < 300; round++) {
		struct fake_link *link = g.shared.links[round % 2];
		uint32_t before = fake_get(&link->queue.submitted);

		fake_set(&link->queue.hold, 1);
		peer_send(&p[round % 2], 1 + round % 8, 0);
		/* Until it has woken it is still asleep from before. */
		wait_submitted_to(&link->queue, before + 1 + round % 8);
		wait_parked(&g.env, 2);
		/* the other client isn't held up */
		peer_send(&p[(round + 1) % 2], 3, 0);
		peer_wait(&p[(round + 1) % 2], p[(round + 1) % 2].sent);
		wait_asleep(&g.env);
		fake_set(&link->queue.hold, 0);
		ring_group(&g);
		peer_wait(&p[round % 2], p[round % 2].sent);
		assert_int_equal(p[round % 2].last_status, 0);
	}
	for (int i = 0; i < 2; i++)
		peer_close(&p[i]);
	group_close(&g);
}

/* A loss while it dozes is dealt with at once. */
static void test_doze_and_loss(void **state)
{
	struct group_env g;
	struct peer p;

	group_open_arming(&g);
	group_peer(&g, &p, 0);
	for (int round = 0; round < 50; round++) {
		struct fake_queue *q = &g.shared.links[0]->queue;
		uint32_t before = fake_get(&q->submitted);

		fake_set(&q->hold, 1);
		peer_send(&p, 5, 0);
		wait_submitted_to(q, before + 5);
		wait_asleep(&g.env);
		fake_link_set(g.shared.links[0], NVMUX_QPAIR_QUIESCING);
		hwq_look(g.hwqs[0]);
		wait_ring(&p, NVMUX_RING_PAUSED);
		wait_asleep(&g.env);
		assert_int_equal(fake_link_get(g.shared.links[0]), NVMUX_QPAIR_QUIET);
		fake_set(&q->hold, 0);
		fake_link_set(g.shared.links[0], NVMUX_QPAIR_REPLAY);
		hwq_look(g.hwqs[0]);
		peer_wait(&p, p.sent);
	}
	peer_close(&p);
	group_close(&g);
}

/* ---- queues that libnvmux stops and makes anew ---- */

/* Without a connection: what is in flight is the controller's until it has been disabled. */
static void stopped_open(struct env *env, struct nvmux_transport *transport)
{
	link_open(env, 32);
	*transport = *env->q->base.transport;
	transport->quiesce = NULL;
	env->q->base.transport = transport;
}

/* It has been: nothing is with it any more. */
static void disabled(struct env *env)
{
	wait_asleep(env);
	fake_set(&link_of(env)->reset, 1);
	set_state(env, NVMUX_QPAIR_REPLAY);
}

/* Nothing is repeated or taken before the control thread says go, nor dropped before the controller
 * has been disabled. */
static void test_stopped_queue(void **state)
{
	struct nvmux_transport transport;
	uint32_t stopped = 0;
	struct answer waiting;
	struct peer p, gone;
	struct env env;

	stopped_open(&env, &transport);
	peer_open(&env, &p, 1, 16);
	peer_open(&env, &gone, 2, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&p, 6, 0);
	peer_send(&gone, 4, 0);
	wait_submitted(&env, 10);
	lose(&env);
	wait_ring(&p, NVMUX_RING_PAUSED);
	peer_send(&p, 6, 0);
	channel_stop(gone.channel, count_cb, &stopped);
	channel_abandon(gone.channel);
	request(&env, &env, &waiting);
	pump_for(&env, QUIET_MS);
	assert_int_equal(stopped, 0);
	disabled(&env);
	pump_until(&env, &stopped, 1);
	assert_int_equal(peer_reap(&gone), 4);
	assert_int_equal(gone.last_status, OUTCOME_UNKNOWN);
	pump_for(&env, QUIET_MS);
	assert_int_equal(fake_link_get(link_of(&env)), NVMUX_QPAIR_REPLAY);
	assert_int_equal(fake_get(&env.q->submitted), 10);
	assert_int_equal(fake_get(&link_of(&env)->reposted), 0);
	fake_set(&env.q->hold, 0);
	hwq_go(env.hwq, true);
	wait_state(&env, NVMUX_QPAIR_CONNECTED);
	peer_wait(&p, 12);
	assert_int_equal(p.last_status, 0);
	assert_int_equal(fake_get(&link_of(&env)->reposted), 6);
	pump_until(&env, &waiting.calls, 1); /* checked by what has changed */
	assert_int_equal(waiting.status, NVME_SC_ABORT_QUEUE);
	peer_free(&gone);
	peer_close(&p);
	link_close(&env);
}

/* Stopped once more before it has gone on: the first word is of no use any more. */
static void test_stopped_again(void **state)
{
	struct nvmux_transport transport;
	struct env env;
	struct peer p;

	stopped_open(&env, &transport);
	peer_open(&env, &p, 1, 16);
	fake_set(&env.q->hold, 1);
	peer_send(&p, 6, 0);
	wait_submitted(&env, 6);
	lose(&env);
	disabled(&env);
	set_state(&env, NVMUX_QPAIR_QUIESCING);
	hwq_go(env.hwq, false);
	wait_state(&env, NVMUX_QPAIR_QUIET);
	pump_for(&env, QUIET_MS);
	disabled(&env);
	pump_for(&env, QUIET_MS);
	assert_int_equal(fake_link_get(link_of(&env)), NVMUX_QPAIR_REPLAY);
	fake_set(&env.q->hold, 0);
	hwq_go(env.hwq, false);
	peer_wait(&p, 6);
	assert_int_equal(fake_get(&link_of(&env)->reposted), 6);
	peer_close(&p);
	link_close(&env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause_and_resume),
		cmocka_unit_test(test_idle_loss),
		cmocka_unit_test(test_start_while_lost),
		cmocka_unit_test(test_holding),
		cmocka_unit_test(test_release_asleep),
		cmocka_unit_test(test_lost_all_the_time),
		cmocka_unit_test(test_failing),
		cmocka_unit_test(test_lost_for_good),
		cmocka_unit_test(test_looks_are_few),
		cmocka_unit_test(test_take_back_quiesces),
		cmocka_unit_test(test_take_back_any_state),
		cmocka_unit_test(test_lost_while_taken),
		cmocka_unit_test(test_abandon_while_quiet),
		cmocka_unit_test(test_abandon_before_loss),
		cmocka_unit_test(test_abandon_while_holding),
		cmocka_unit_test(test_abandon_requests),
		cmocka_unit_test(test_shared_completions),
		cmocka_unit_test(test_shared_with_lost),
		cmocka_unit_test(test_group_reap),
		cmocka_unit_test(test_doze),
		cmocka_unit_test(test_doze_and_loss),
		cmocka_unit_test(test_stopped_queue),
		cmocka_unit_test(test_stopped_again),
	};

	return cmocka_run_group_tests_name("reactor_link", tests, NULL, NULL);
}
