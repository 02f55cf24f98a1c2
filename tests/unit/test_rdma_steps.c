// SPDX-License-Identifier: BSD-3-Clause
/*
 * A connection that is lost in each step of being made and of being restored; a controller that is
 * detached, and a context that goes, in each of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "rdma_fixture.h"

static void unreachable(unsigned times)
{
	fake_cm_fault(FAKE_CM_CONNECT, FAKE_CM_UNREACHABLE, 0, times);
}

/* With little to wait for. */
static void begin(struct rt *rt)
{
	rt_begin(rt, RT_NS);
	rt->opts.keep_alive_timeout_ms = 100;
	rt->opts.command_quiesce_time_ms = 20;
}

/* The connection is lost once more in each step of being restored. */
static void test_loss_in_each_step(void **state)
{
	for (int step = 0; step < 40; step++) {
		struct rt rt;

		begin(&rt);
		rt_start(&rt, 2, 16, step & 1);
		rt_jobs(&rt, 16, 4096);
		rt_run_ms(&rt, 3);
		rt_lose(&rt, RT_BY_DISCONNECT);
		for (int i = 0; i < step; i++)
			rt_turn(&rt);
		rt_lose(&rt, step % 4);
		for (int i = 0; i < 3000 && !rt_is_lost(&rt); i++)
			rt_turn(&rt);
		assert_true(rt_until(&rt, rt_is_replayed, 5000));
		assert_true(rt_until(&rt, rt_is_up, 5000));
		rt_jobs_end(&rt, 5000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

/* Attach, and the connection is lost in each step of it. */
static void attached(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr, int err)
{
	int *ret = arg;

	*ret = err ? err : 1;
}

static void test_loss_in_each_step_of_the_start(void **state)
{
	for (int step = 0; step < 80; step++) {
		int result = 0;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		assert_int_equal(
			nvmux_connect_async(rt.nvmux, &rt.trid, &rt.opts, attached, &result), 0);
		for (int i = 0; i < step / 2; i++)
			nvmux_process(rt.nvmux);
		rt_lose(&rt, step % 4);
		for (int i = 0; i < 3000 && !result; i++)
			rt_turn(&rt);
		assert_int_not_equal(result, 0);
		rt_end(&rt);
	}
}

/* Detach in each state of being restored. */
static void test_detach_in_each_step(void **state)
{
	for (int step = 0; step < 60; step++) {
		struct rt rt;

		begin(&rt);
		rt_start(&rt, 2, 16, step & 1);
		rt_jobs(&rt, 32, 4096);
		rt_run_ms(&rt, 2);
		rt_jobs_submit(&rt);
		if (step % 3 == 0)
			unreachable(2);
		rt_lose(&rt, step % 4);
		for (int i = 0; i < step * 3; i++)
			rt_turn(&rt);
		rt_detach(&rt);
		assert_int_equal(rt_in_flight(&rt), 0);
		rt_end(&rt);
	}
}

/* The context goes instead. */
static void test_context_goes_in_each_step(void **state)
{
	for (int step = 0; step < 24; step++) {
		struct rt rt;

		begin(&rt);
		rt_start(&rt, 2, 16, false);
		rt_lose(&rt, step % 2);
		for (int i = 0; i < step * 3; i++)
			rt_turn(&rt);
		rt.n_qpairs = 0;
		rt.ctrlr = NULL; /* nvmux_destroy() ends it */
		rt_end(&rt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loss_in_each_step),
		cmocka_unit_test(test_loss_in_each_step_of_the_start),
		cmocka_unit_test(test_detach_in_each_step),
		cmocka_unit_test(test_context_goes_in_each_step),
	};

	return cmocka_run_group_tests_name("rdma_steps", tests, NULL, NULL);
}
