// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queue pairs over RDMA that another thread polls, while the control thread loses and restores
 * their connection, makes and frees others of the same group, and goes. What depends on who does
 * what, and when, is done step by step in one thread.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "libcore/transport.h"
#include "rdma_fixture.h"

struct poller {
	struct rt *rt;
	pthread_t thread;
	bool stop; /* atomic */
	bool wind_down;
};

static void *poll_thread(void *arg)
{
	struct poller *p = arg;

	while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE)) {
		rt_poll_qpairs(p->rt);
		if (!__atomic_load_n(&p->wind_down, __ATOMIC_ACQUIRE))
			rt_jobs_submit(p->rt);
		sched_yield();
	}
	return NULL;
}

static void hand_over(struct rt *rt, bool over)
{
	for (uint32_t i = 0; i < rt->n_qpairs; i++)
		rt->qpairs[i]->handed_over = over;
}

static void start_poller(struct poller *p, struct rt *rt)
{
	*p = (struct poller){.rt = rt};
	rt->elsewhere = true;
	hand_over(rt, true);
	assert_int_equal(pthread_create(&p->thread, NULL, poll_thread, p), 0);
}

/* The thread ends when its commands have. */
static void end_poller(struct poller *p)
{
	struct rt *rt = p->rt;

	__atomic_store_n(&p->wind_down, true, __ATOMIC_RELEASE);
	rt_run_ms(rt, 100);
	__atomic_store_n(&p->stop, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(p->thread, NULL), 0);
	rt->elsewhere = false;
	hand_over(rt, false);
}

static void start(struct rt *rt, bool group)
{
	rt_begin(rt, RT_NS);
	rt->opts.keep_alive_timeout_ms = 400;
	rt->opts.command_quiesce_time_ms = 20;
	rt->opts.admin_timeout_ms = 5000;
	fake_net.order = FAKE_RANDOM;
	rt_start(rt, 2, 16, group);
	if (group)
		rt->group->other_thread = true;
	rt_jobs(rt, 24, 4096);
}

static void test_losses(void **state)
{
	for (int group = 0; group < 2; group++) {
		struct poller p;
		struct rt rt;

		start(&rt, group);
		start_poller(&p, &rt);
		for (uint32_t n = 1; n <= 8; n++) {
			uint64_t end = fake_now_ms() + 20000;

			rt_run_ms(&rt, (uint32_t)random() % 30);
			if (n & 1) {
				fake_conns_disconnect(true);
			} else {
				fake_lock();
				fake_conns_die(true);
				fake_qps_fail(IBV_WC_RETRY_EXC_ERR);
				fake_unlock();
			}
			while (rt.events.reconnected < n && fake_now_ms() < end)
				rt_turn(&rt);
			assert_int_equal(rt.events.reconnected, n);
		}
		assert_true(rt_until(&rt, rt_is_up, 10000));
		end_poller(&p);
		rt_jobs_end(&rt, 10000);
		assert_int_equal(rt.errors, 0);
		assert_true(rt.reads_right > 0);
		rt_end(&rt);
	}
}

/* Others of the group are made, connected and freed while it is polled. */
static void test_group_changes(void **state)
{
	struct nvmux_io_qpair_opts opts;
	struct nvmux_ctrlr *other;
	struct nvmux_qpair *q;
	struct poller p;
	struct rt rt;

	start(&rt, true);
	target_listen(rt.target, "10.0.0.2", TARGET_PORT);
	snprintf(rt.trid.traddr, sizeof(rt.trid.traddr), "10.0.0.2");
	assert_int_equal(nvmux_connect(rt.nvmux, &rt.trid, &rt.opts, &other), 0);
	nvmux_io_qpair_opts_init(other, &opts, sizeof(opts));
	opts.poll_group = rt.group;
	start_poller(&p, &rt);
	for (uint32_t i = 0; i < 10; i++) {
		opts.io_queue_depth = 8 + 8 * i;
		assert_int_equal(nvmux_ctrlr_alloc_io_qpair(other, &opts, &q), 0);
		rt_run_ms(&rt, 2);
		nvmux_qpair_free(q);
	}
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(other, &opts, &q), 0);
	nvmux_detach(other); /* and the queue pair with it */
	end_poller(&p);
	rt_jobs_end(&rt, 5000);
	assert_int_equal(rt.errors, 0);
	rt_end(&rt);
}

static void test_device_removal(void **state)
{
	for (int flush = 0; flush < 2; flush++) {
		struct poller p;
		struct rt rt;

		start(&rt, true);
		start_poller(&p, &rt);
		rt_run_ms(&rt, 20);
		fake_device_add("fake1", "10.0.0.10");
		fake_device_remove(rt.dev, flush);
		assert_true(rt_until(&rt, rt_is_replayed, 20000));
		end_poller(&p);
		rt_jobs_end(&rt, 10000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

static void test_deadline(void **state)
{
	struct poller p;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.opts.ctrlr_loss_timeout_sec = 1;
	rt_start(&rt, 2, 16, true);
	rt.group->other_thread = true;
	rt_jobs(&rt, 24, 4096);
	rt.target->hold = true;
	start_poller(&p, &rt);
	assert_true(rt_until(&rt, rt_all_held, 20000));
	__atomic_store_n(&p.wind_down, true, __ATOMIC_RELEASE);
	rt_run_ms(&rt, 5);
	fake_cm_fault(FAKE_CM_CONNECT, FAKE_CM_UNREACHABLE, 0, UINT32_MAX);
	fake_conns_disconnect(true);
	assert_true(rt_until(&rt, rt_is_removed, 10000));
	end_poller(&p);
	rt_jobs_end(&rt, 1000);
	assert_int_equal(rt.last_error, EMU_STATUS(3, 0x70));
	rt_end(&rt);
}

/* The thread that polls gives up, and the control thread destroys the queue pairs: the fake sees
 * who does. */
static void test_flush_that_never_comes(void **state)
{
	for (int group = 0; group < 2; group++) {
		struct poller p;
		struct rt rt;

		start(&rt, group);
		start_poller(&p, &rt);
		rt_run_ms(&rt, 20);
		fake_lock();
		rt.target->hold = true;
		fake_unlock();
		rt_run_ms(&rt, 20);
		fake_lock();
		rt.target->hold = false;
		fake_net.hold_flush = true;
		fake_conns_disconnect(true);
		fake_unlock();
		assert_true(rt_until(&rt, rt_is_reconnected, 20000));
		fake_lock();
		fake_net.hold_flush = false;
		fake_unlock();
		assert_true(rt_until(&rt, rt_is_replayed, 10000));
		end_poller(&p);
		rt_jobs_end(&rt, 10000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

/* ---- both threads' parts in one, step by step ---- */

/* One queue pair of a group that another thread polls, with commands that aren't answered. */
static void start_steps(struct rt *rt, bool handed_over)
{
	rt_start(rt, 1, 16, true);
	rt->group->other_thread = true;
	hand_over(rt, handed_over);
	rt_jobs(rt, 8, 4096);
	rt->target->hold = true;
	rt_jobs_submit(rt);
	rt->stop = true;
	rt_poll_qpairs(rt);
	rt->elsewhere = true;
}

static int quiesce(struct rt *rt)
{
	return rt->qpairs[0]->transport->quiesce(rt->qpairs[0]);
}

/* Than rt->user says. */
static bool fewer_objects(struct rt *rt)
{
	return fake_objects() < *(const unsigned *)rt->user;
}

/* Its owner quiesces it in whatever state, and no completion is going to come. */
static void test_owner_gives_up(void **state)
{
	struct rt rt;
	unsigned n;

	rt_begin(&rt, RT_NS);
	start_steps(&rt, true);
	fake_device_remove(rt.dev, false);
	n = fake_objects();
	for (int i = 0; i < 3; i++)
		assert_int_equal(quiesce(&rt), 0);
	assert_int_equal(fake_objects(), n);
	rt.user = &n;
	assert_true(rt_until(&rt, fewer_objects, 5000));
	assert_int_equal(quiesce(&rt), 1);
	rt.target->hold = false;
	fake_device_add("fake1", "10.0.0.10");
	rt.elsewhere = false;
	rt_expect_up(&rt, 1);
	rt_jobs_end(&rt, 5000);
	assert_int_equal(rt.errors, 0);
	hand_over(&rt, false);
	rt_end(&rt);
}

/* The controller has been closed meanwhile, or is when the owner has given up. */
static void test_owner_gives_up_at_close(void **state)
{
	for (int before = 0; before < 2; before++) {
		struct rt rt;
		unsigned n;

		rt_begin(&rt, RT_NS);
		rt.opts.ctrlr_loss_timeout_sec = 0;
		start_steps(&rt, true);
		fake_device_remove(rt.dev, false);
		if (before)
			assert_int_equal(quiesce(&rt), 0);
		nvmux_ctrlr_lost(rt.ctrlr, -EIO);
		if (!before)
			assert_true(rt_until(&rt, rt_is_removed, 2000));
		n = fake_objects();
		if (!before)
			assert_int_equal(quiesce(&rt), 0);
		assert_int_equal(fake_objects(), n);
		rt.user = &n;
		assert_true(rt_until(&rt, fewer_objects, 5000));
		assert_int_equal(quiesce(&rt), 1);
		rt.elsewhere = false;
		rt_turn(&rt); /* ends what was in flight */
		assert_int_equal(rt_in_flight(&rt), 0);
		hand_over(&rt, false);
		rt_end(&rt);
	}
}

/* The control thread has it: it waits for the thread that polls to see the completions. */
static void test_quiesced_by_the_control_thread(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	start_steps(&rt, false);
	rt.target->hold = false;
	fake_conns_disconnect(true);
	assert_true(rt_until(&rt, rt_is_lost, 1000));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(nvmux_qpair_process_completions(rt.qpairs[0], 0), 0);
		assert_int_equal(nvmux_qpair_get_state(rt.qpairs[0]), NVMUX_QPAIR_QUIESCING);
	}
	nvmux_poll_group_reap(rt.group);
	assert_int_equal(nvmux_qpair_process_completions(rt.qpairs[0], 0), 0);
	assert_int_equal(nvmux_qpair_get_state(rt.qpairs[0]), NVMUX_QPAIR_QUIET);
	hand_over(&rt, true);
	rt.elsewhere = false;
	rt_expect_up(&rt, 1);
	rt_jobs_end(&rt, 5000);
	assert_int_equal(rt.errors, 0);
	hand_over(&rt, false);
	rt_end(&rt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_group_changes),
		cmocka_unit_test(test_device_removal),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_flush_that_never_comes),
		cmocka_unit_test(test_owner_gives_up),
		cmocka_unit_test(test_owner_gives_up_at_close),
		cmocka_unit_test(test_quiesced_by_the_control_thread),
	};

	return cmocka_run_group_tests_name("rdma_threads", tests, NULL, NULL);
}
