// SPDX-License-Identifier: BSD-3-Clause
/*
 * Losses that meet something else: a namespace that is replaced meanwhile, a controller without a
 * keep-alive timer, a look at namespaces or access states, a queue pair that is being made.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "rdma_fixture.h"

#define OUTCOME_UNKNOWN 0x708
#define CONNECT_BUSY    0x181 /* controller busy */

/* A write is in flight, and the connection goes. Return: writes that the target has seen after. */
static uint32_t lose_a_write(struct rt *rt)
{
	uint32_t mark;

	rt->target->hold = true;
	assert_int_equal(rt_job_write(&rt->jobs[0]), 0);
	rt_turn(rt);
	rt->target->hold = false;
	mark = rt->target->n_log;
	rt_lose(rt, RT_BY_DISCONNECT);
	assert_true(rt_until(rt, rt_is_replayed, 6000));
	assert_true(rt_until(rt, rt_idle, 5000));
	rt_run_ms(rt, 50); /* nothing more comes of it */
	assert_int_equal(rt->jobs[0].calls, 1);
	return target_count(rt->target, mark, nvme_cmd_write, -1);
}

static void another_identity(struct target *target, uint8_t cns, uint8_t *data)
{
	(void)target;
	if (cns == NVME_IDENTIFY_CNS_NS)
		memset(data + 120, 0xab, 8); /* EUI64 */
}

/* Also when a first attempt has seen the new namespace and failed after that. */
static void test_replaced_namespace(void **state)
{
	(void)state;
	for (uint32_t failures = 0; failures < 3; failures++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 1, 16, false);
		rt_jobs(&rt, 1, 4096);
		rt.stop = true;
		rt.target->identify = another_identity;
		rt.target->connect_status = CONNECT_BUSY;
		rt.target->connect_qid = 1;
		rt.target->connect_times = failures;
		assert_int_equal(lose_a_write(&rt), 0);
		assert_int_equal(rt.jobs[0].status, OUTCOME_UNKNOWN);
		assert_int_equal(rt.events.reconnect_failed, failures);
		rt_end(&rt);
	}
}

static void test_without_keep_alive_timer(void **state)
{
	struct rt rt;

	(void)state;
	rt_begin(&rt, RT_NS);
	rt.target->kas = 0;
	rt_start(&rt, 1, 16, false);
	rt_jobs(&rt, 1, 4096);
	rt.stop = true;
	assert_int_equal(lose_a_write(&rt), 0);
	assert_int_equal(rt.jobs[0].status, OUTCOME_UNKNOWN);
	rt_end(&rt);
}

static void begin_with_ana(struct rt *rt)
{
	rt_begin(rt, RT_NS);
	rt->target->ana = true;
	for (size_t i = 0; i < ARRAY_SIZE(rt->target->ana_state); i++)
		rt->target->ana_state[i] = NVMUX_ANA_OPTIMIZED;
}

static void drop_log_page(struct rt *rt, uint32_t nth)
{
	rt->target->fault_admin = true;
	rt->target->fault_opc = nvme_admin_get_log_page;
	rt->target->fault_nth = nth;
	rt->target->fault_times = 1;
	rt->target->fault = TARGET_DROP;
}

/* The log of access states isn't answered in the first attempt; the second one is as good as new.
 */
static void test_loss_while_access_states_are_read(void **state)
{
	struct rt rt;

	(void)state;
	begin_with_ana(&rt);
	rt_start(&rt, 1, 16, false);
	drop_log_page(&rt, 1);
	rt_lose(&rt, RT_BY_DISCONNECT);
	assert_true(rt_until(&rt, rt_is_replayed, 8000));
	assert_int_equal(rt.target->fault_hits, 1);
	assert_int_equal(rt.events.reconnect_failed, 1);
	rt_end(&rt);
}

static void scanned(void *arg, int err, uint64_t value)
{
	(void)value;
	*(int *)arg = err;
}

static bool has_dropped(struct rt *rt)
{
	bool dropped;

	fake_lock();
	dropped = rt->target->fault_hits == 1;
	fake_unlock();
	return dropped;
}

static bool is_scanned(struct rt *rt)
{
	return *(const int *)rt->user != 1;
}

/* Access states are being read because of a notice: a look at namespaces doesn't mind. */
static void test_rescan_meets_notice(void **state)
{
	struct rt rt;
	int result = 1;

	(void)state;
	begin_with_ana(&rt);
	rt.opts.keep_alive_timeout_ms = 5000;
	rt.opts.admin_timeout_ms = 5000;
	rt_start(&rt, 1, 16, false);
	rt_run_ms(&rt, 20);
	drop_log_page(&rt, 2); /* the first one clears the event */
	assert_int_equal(target_event(rt.target, UINT32_MAX, 2, 3, 0x0c), 1);
	assert_true(rt_until(&rt, has_dropped, 5000));
	rt.user = &result;
	nvmux_ctrlr_rescan_async(rt.ctrlr, scanned, &result);
	assert_true(rt_until(&rt, is_scanned, 4000)); /* before that command's time is over */
	assert_int_equal(result, 0);
	assert_int_equal(rt.events.removed, 0);
	assert_int_equal(rt_state(&rt), NVMUX_CONNECTION_UP);
	rt_end(&rt);
}

/* A target that falls silent during a look at namespaces: a loss as any other. */
static void test_rescan_without_answer(void **state)
{
	struct rt rt;
	int result = 1;

	(void)state;
	rt_begin(&rt, RT_NS);
	rt.opts.keep_alive_timeout_ms = 5000;
	rt_start(&rt, 1, 16, false);
	rt_run_ms(&rt, 20);
	fake_link(false);
	nvmux_ctrlr_rescan_async(rt.ctrlr, scanned, &result);
	assert_true(rt_until(&rt, rt_is_lost, 3000));
	assert_int_equal(rt.events.removed, 0);
	fake_link(true);
	assert_true(rt_until(&rt, rt_is_replayed, 8000));
	assert_int_not_equal(result, 1);
	rt_end(&rt);
}

/* ---- a queue pair that is being made ---- */

static struct rt *losing; /* for the receiver of log lines */

static void lose_when_connected(void *arg, enum nvmux_log_level level, const char *module,
				const char *text)
{
	(void)arg;
	(void)level;
	(void)module;
	if (strstr(text, "queue 2: ") && strstr(text, "answer to Connect → connected"))
		nvmux_ctrlr_link_lost(losing->ctrlr, -EIO);
}

struct made {
	bool ended;
	struct nvmux_qpair *qpair;
	int err;
};

static void made(void *arg, struct nvmux_qpair *qpair, int err)
{
	*(struct made *)arg = (struct made){.ended = true, .qpair = qpair, .err = err};
}

static bool rt_is_made(struct rt *rt)
{
	return ((const struct made *)rt->user)->ended;
}

static void test_loss_as_a_queue_pair_is_connected(void **state)
{
	struct made result = {0};
	struct rt rt;

	(void)state;
	rt_begin(&rt, RT_NS);
	rt_start(&rt, 1, 16, false);
	rt_jobs(&rt, 8, 4096);
	losing = &rt;
	rt.user = &result;
	rt.nvmux->opts.log = lose_when_connected;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair_async(rt.ctrlr, NULL, made, &result), 0);
	assert_true(rt_until(&rt, rt_is_made, 3000));
	rt.nvmux->opts.log = NULL;
	assert_null(result.qpair);
	assert_int_equal(result.err, -ENOTCONN);
	assert_true(rt_until(&rt, rt_is_replayed, 6000));
	rt_jobs_end(&rt, 1000);
	rt_end(&rt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replaced_namespace),
		cmocka_unit_test(test_without_keep_alive_timer),
		cmocka_unit_test(test_loss_while_access_states_are_read),
		cmocka_unit_test(test_rescan_meets_notice),
		cmocka_unit_test(test_rescan_without_answer),
		cmocka_unit_test(test_loss_as_a_queue_pair_is_connected),
	};

	return cmocka_run_group_tests_name("rdma_replaced", tests, NULL, NULL);
}
