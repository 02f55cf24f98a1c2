// SPDX-License-Identifier: BSD-3-Clause
/*
 * Connections that are lost and restored, with verified I/O: each command completes once, what
 * isn't a read is repeated only when the old controller must have stopped, deadlines hold.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "rdma_fixture.h"

#define PATH_ERROR EMU_STATUS(3, 0x70)
#define QUIESCE_MS 1000 /* long enough for a busy machine to get into it */
#define HOLD_MS    1200 /* KATO as rt_begin() sets it, and the time to quiesce */

static void test_loss_when_idle(void **state)
{
	for (unsigned i = 0; i < RT_WAYS * 2; i++) {
		struct nvmux_connection_info info;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 3, 16, i & 1);
		rt_lose(&rt, i / 2);
		assert_true(rt_until(&rt, rt_is_lost, 5000));
		rt_expect_up(&rt, 1);
		assert_int_equal(target_live(rt.target), 1);
		nvmux_ctrlr_get_connection(rt.ctrlr, &info);
		assert_int_equal(info.lost, 1);
		assert_int_equal(info.attempts, 1);
		assert_true(info.reason[0]);
		rt_jobs(&rt, 24, 4096);
		assert_true(rt_until(&rt, rt_all_read_back, 5000));
		rt_jobs_end(&rt, 1000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

static void test_loss_under_load(void **state)
{
	for (unsigned i = 0; i < RT_WAYS * 2; i++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		fake_net.order = FAKE_RANDOM;
		rt_start(&rt, 4, 32, i & 1);
		rt_jobs(&rt, 128, 4096);
		rt_run_ms(&rt, 10);
		rt_jobs_submit(&rt);
		rt_lose(&rt, i / 2);
		rt_turn(&rt);
		assert_true(rt_until(&rt, rt_is_lost, 2000));
		rt_expect_up(&rt, 1);
		rt.reads_right = 0;
		assert_true(rt_until(&rt, rt_all_read_back, 5000));
		rt_jobs_end(&rt, 5000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

static void test_many_losses_in_a_row(void **state)
{
	for (int group = 0; group < 2; group++) {
		uint64_t end;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt.opts.keep_alive_timeout_ms = 100;
		rt.opts.command_quiesce_time_ms = 20;
		fake_net.order = FAKE_RANDOM;
		rt_start(&rt, 4, 16, group);
		rt_jobs(&rt, 64, 8192);
		end = fake_now_ms() + 60000;
		/* Ever further apart: a slow machine must get up again between two of them. */
		for (uint32_t n = 0; rt.events.lost < 8 && fake_now_ms() < end; n++) {
			rt_run_ms(&rt, (uint32_t)random() % (200 + 10 * n));
			rt_lose(&rt, random() % 4);
		}
		assert_true(rt_until(&rt, rt_is_up, 20000));
		rt_jobs_end(&rt, 20000);
		assert_int_equal(rt.errors, 0);
		assert_true(rt.events.lost >= 5);
		rt_end(&rt);
	}
}

/* The next controller has room for fewer capsules than commands are in flight, or for more. */
static void test_less_room_afterwards(void **state)
{
	for (int group = 0; group < 2; group++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 2, 32, group);
		rt_jobs(&rt, 64, 4096);
		rt.target->hold = true;
		rt_run_ms(&rt, 5);
		rt.target->hold = false;
		rt.target->crqsize = 3;
		rt_lose(&rt, RT_BY_DISCONNECT);
		rt_expect_up(&rt, 1);
		rt_run_ms(&rt, 20);
		rt.target->crqsize = 0;
		rt_lose(&rt, RT_BY_BOTH);
		assert_true(rt_until(&rt, rt_is_up, 5000));
		rt_expect_up(&rt, 2);
		assert_true(rt_until(&rt, rt_all_read_back, 5000));
		rt_jobs_end(&rt, 5000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

/* ---- the rule of replay ---- */

static bool half_are_done(struct rt *rt)
{
	return rt_in_flight(rt) == 32;
}

/* Commands that the old controller may still execute: reads are repeated at once, writes when it
 * must have stopped; until then it does what it pleases. */
static void replay_rule(bool group, bool fetched)
{
	uint32_t mark, n_reads = 0, n_writes = 0;
	uint64_t lost_at;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.opts.command_quiesce_time_ms = QUIESCE_MS;
	rt_start(&rt, 2, 32, group);
	rt_jobs(&rt, 64, 4096);
	assert_true(rt_until(&rt, rt_all_read_back, 5000));
	rt_jobs_end(&rt, 1000);
	fake_lock();
	rt.target->hold = rt.target->hold_fetch = rt.target->zombie = true;
	rt.target->hold_fetch = fetched;
	fake_unlock();
	for (int i = 0; i < 64; i++)
		assert_int_equal(i % 2 ? rt_job_write(&rt.jobs[i]) : rt_job_read(&rt.jobs[i]), 0);
	rt_turn(&rt);
	assert_int_equal(rt.target->n_held, 64);
	fake_lock();
	mark = rt.target->n_log;
	rt.target->hold = false;
	fake_unlock();
	lost_at = fake_now_ms();
	rt_lose(&rt, RT_BY_DISCONNECT);
	assert_true(rt_until(&rt, rt_is_reconnected, 2000));
	assert_true(rt_until(&rt, half_are_done, 900)); /* the reads */
	rt_run_ms(&rt, 20);
	assert_true(fake_now_ms() - lost_at < HOLD_MS);
	assert_int_equal(rt_state(&rt), NVMUX_CONNECTION_HOLDING);
	assert_int_equal(rt_in_flight(&rt), 32); /* and no others */
	target_release(rt.target, 0, true);      /* the old controller, late */
	assert_true(rt_until(&rt, rt_idle, 5000));
	assert_true(fake_now_ms() - lost_at >= HOLD_MS);
	for (uint32_t i = mark; i < rt.target->n_log; i++) {
		const struct target_entry *e = &rt.target->log[i % TARGET_LOG_MAX];

		if (!e->qid || e->cntlid == 1 || e->opc == nvme_admin_fabrics)
			continue;
		n_reads += e->opc == nvme_cmd_read;
		n_writes += e->opc == nvme_cmd_write;
		if (e->opc == nvme_cmd_write)
			assert_true(e->at_ms - lost_at >= HOLD_MS);
		else
			assert_true(e->at_ms - lost_at < HOLD_MS);
	}
	assert_int_equal(n_reads, 32);
	assert_int_equal(n_writes, 32);
	for (int i = 0; i < 64; i++)
		assert_int_equal(rt_job_read(&rt.jobs[i]), 0);
	assert_true(rt_until(&rt, rt_idle, 1000));
	assert_int_equal(rt.errors, 0);
	rt_expect_up(&rt, 1);
	rt_end(&rt);
}

static void test_replay_rule(void **state)
{
	for (int i = 0; i < 4; i++)
		replay_rule(i & 1, i & 2);
}

static bool second_is_done(struct rt *rt)
{
	return !rt->jobs[1].busy;
}

static void test_new_commands_pass_those_that_wait(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.opts.command_quiesce_time_ms = 1000;
	rt_start(&rt, 1, 32, false);
	rt_jobs(&rt, 8, 4096);
	rt.stop = true;
	rt.target->hold = true;
	assert_int_equal(rt_job_write(&rt.jobs[0]), 0);
	rt_turn(&rt);
	rt.target->hold = false;
	rt_lose(&rt, RT_BY_DISCONNECT);
	assert_true(rt_until(&rt, rt_is_reconnected, 1000));
	rt_turn(&rt);
	assert_int_equal(rt_state(&rt), NVMUX_CONNECTION_HOLDING);
	assert_int_equal(rt_job_write(&rt.jobs[1]), 0);
	assert_true(rt_until(&rt, second_is_done, 900));
	assert_true(rt.jobs[0].busy);
	assert_true(rt_until(&rt, rt_idle, 3000));
	assert_int_equal(rt.errors, 0);
	rt_end(&rt);
}

struct outcomes {
	uint32_t unknown, flushed;
};

static bool all_have_ended(struct rt *rt)
{
	const struct outcomes *o = rt->user;

	return rt_idle(rt) && o->unknown != UINT32_MAX && o->flushed != UINT32_MAX;
}

static void outcome(void *arg, const struct nvmux_cpl *cpl)
{
	uint32_t *ret = arg;

	assert_int_equal(*ret, UINT32_MAX);
	*ret = nvmux_cpl_status(cpl) & NVMUX_STATUS_CODE_MASK;
}

/* A vendor's command isn't repeated; a flush only behind the writes before it. */
static void test_what_isnt_repeated(void **state)
{
	const struct nvmux_cmd vendor = {.opc = 0x90, .nsid = cpu_to_le32(1)};
	struct outcomes o = {.unknown = UINT32_MAX, .flushed = UINT32_MAX};
	uint32_t mark, flush_at = 0, write_at = 0;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt_start(&rt, 1, 32, false);
	rt_jobs(&rt, 8, 4096);
	rt.stop = true;
	rt.target->hold = true;
	for (int i = 0; i < 8; i++)
		assert_int_equal(rt_job_write(&rt.jobs[i]), 0);
	assert_int_equal(nvmux_ns_cmd_flush(rt.ns, rt.qpairs[0], outcome, &o.flushed), 0);
	assert_int_equal(nvmux_ctrlr_cmd_io_raw(rt.ctrlr, rt.qpairs[0], &vendor, NULL, 0, outcome,
						&o.unknown),
			 0);
	rt_turn(&rt);
	rt.target->hold = false;
	mark = rt.target->n_log;
	rt_lose(&rt, RT_BY_DISCONNECT);
	rt_expect_up(&rt, 1);
	rt.user = &o;
	assert_true(rt_until(&rt, all_have_ended, 5000));
	rt_run_ms(&rt, 50); /* nothing more comes of them */
	assert_int_equal(o.unknown, NVMUX_SC_OUTCOME_UNKNOWN);
	assert_int_equal(o.flushed, 0);
	assert_int_equal(target_count(rt.target, mark, 0x90, -1), 0);
	assert_int_equal(target_count(rt.target, mark, nvme_cmd_flush, -1), 1);
	for (uint32_t i = mark; i < rt.target->n_log; i++) {
		const struct target_entry *e = &rt.target->log[i];

		if (e->qid && e->opc == nvme_cmd_flush)
			flush_at = i;
		if (e->qid && e->opc == nvme_cmd_write)
			write_at = i;
	}
	assert_true(flush_at > write_at);
	rt_end(&rt);
}

/* ---- deadlines ---- */

static void unreachable(unsigned times)
{
	fake_cm_fault(FAKE_CM_CONNECT, FAKE_CM_UNREACHABLE, 0, times);
}

static void test_attempts_and_fast_io_fail(void **state)
{
	for (int group = 0; group < 2; group++) {
		uint64_t lost_at;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt.opts.fast_io_fail_timeout_sec = 1;
		rt.opts.ctrlr_loss_timeout_sec = 20;
		rt_start(&rt, 2, 16, group);
		rt_jobs(&rt, 33, 4096);
		rt.n_jobs = 32; /* one to try with */
		rt_run_ms(&rt, 10);
		unreachable(3);
		lost_at = fake_now_ms();
		rt_jobs_submit(&rt);
		rt.stop = true;
		rt_lose(&rt, RT_BY_DISCONNECT);
		assert_true(rt_until(&rt, rt_is_lost, 5000));
		rt_turn(&rt);
		assert_int_equal(rt_job_read(&rt.jobs[32]), -EAGAIN);
		/* The attempt that succeeds comes after three seconds. */
		assert_true(rt_until(&rt, rt_is_failing, 2900));
		assert_in_range(fake_now_ms() - lost_at, 1000, 2900);
		assert_true(rt_until(&rt, rt_idle, 900));
		if (rt.errors)
			assert_int_equal(rt.last_error, PATH_ERROR);
		assert_int_equal(rt_state(&rt), NVMUX_CONNECTION_FAILING);
		assert_int_equal(rt_job_read(&rt.jobs[32]), -ENXIO);
		rt_expect_up(&rt, 1);
		assert_int_equal(rt.events.reconnect_failed, 3);
		rt.errors = 0;
		rt.stop = false;
		rt_run_ms(&rt, 20);
		rt_jobs_end(&rt, 5000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

static void test_controller_loss(void **state)
{
	for (int group = 0; group < 2; group++) {
		uint64_t lost_at;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt.opts.ctrlr_loss_timeout_sec = 1;
		rt_start(&rt, 2, 16, group);
		rt_jobs(&rt, 32, 4096);
		rt.target->hold = true;
		rt_run_ms(&rt, 10);
		rt.stop = true;
		unreachable(UINT32_MAX);
		lost_at = fake_now_ms();
		rt_lose(&rt, RT_BY_DISCONNECT);
		assert_true(rt_until(&rt, rt_is_removed, 10000));
		assert_true(fake_now_ms() - lost_at >= 1000);
		assert_true(rt_until(&rt, rt_idle, 5000));
		assert_int_equal(rt.errors, 32);
		assert_int_equal(rt.last_error, PATH_ERROR);
		assert_true(rt_job_read(&rt.jobs[0]) < 0);
		rt_detach(&rt);
		unreachable(0);
		rt.target->hold = false;
		rt.n_jobs = 0;
		rt.stop = false;
		assert_int_equal(rt_attach(&rt), 0);
		rt_end(&rt);
	}
}

static void test_loss_timeout_of_zero(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.opts.ctrlr_loss_timeout_sec = 0;
	rt_start(&rt, 1, 16, false);
	rt_lose(&rt, RT_BY_DISCONNECT);
	assert_true(rt_until(&rt, rt_is_removed, 5000));
	assert_int_equal(rt.target->n_ctrlrs, 1);
	rt_end(&rt);
}

/* The link is cut: nothing is heard, and retries are exceeded some time later. */
static void test_cut_link(void **state)
{
	for (int group = 0; group < 2; group++) {
		uint64_t cut_at;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 2, 16, group);
		rt_jobs(&rt, 32, 4096);
		rt_run_ms(&rt, 20);
		cut_at = fake_now_ms();
		fake_link(false);
		assert_true(rt_until(&rt, rt_is_lost, 5000));
		assert_true(fake_now_ms() - cut_at >= 100); /* half of KATO */
		rt_run_ms(&rt, 300);
		fake_link_expire(IBV_WC_RETRY_EXC_ERR);
		rt_run_ms(&rt, 100);
		fake_link(true);
		rt_expect_up(&rt, 1);
		rt_jobs_end(&rt, 2000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

/* A cut shorter than KATO isn't even noticed. */
static void test_short_cut(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.opts.keep_alive_timeout_ms = 1000;
	rt_start(&rt, 2, 16, true);
	rt_jobs(&rt, 32, 4096);
	rt_run_ms(&rt, 20);
	fake_link(false);
	rt_run_ms(&rt, 150);
	fake_link(true);
	rt_run_ms(&rt, 50);
	assert_int_equal(rt.events.lost, 0);
	rt_jobs_end(&rt, 1000);
	assert_int_equal(rt.errors, 0);
	rt_end(&rt);
}

/* ---- devices ---- */

static void test_device_removed_and_another(void **state)
{
	for (int i = 0; i < 4; i++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 2, 16, i & 1);
		rt_jobs(&rt, 32, 4096);
		rt_run_ms(&rt, 10);
		rt_jobs_submit(&rt);
		fake_device_remove(rt.dev, i & 2);
		assert_true(rt_until(&rt, rt_is_lost, 5000));
		fake_device_add("fake1", "10.0.0.10");
		rt_expect_up(&rt, 1);
		rt.reads_right = 0;
		rt_run_ms(&rt, 20);
		assert_true(rt_until(&rt, rt_has_read_back, 5000));
		rt_jobs_end(&rt, 2000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

/* The route to the target leads over another device while queue pairs are on the first. */
static void test_two_devices(void **state)
{
	struct nvmux_io_qpair_opts opts;
	struct nvmux_qpair *q;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt_start(&rt, 2, 16, false);
	rt_jobs(&rt, 32, 4096);
	rt_run_ms(&rt, 10);
	fake_device_add("fake1", "10.0.0.10");
	nvmux_io_qpair_opts_init(rt.ctrlr, &opts, sizeof(opts));
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, &opts, &q), -EXDEV);
	assert_non_null(strstr(nvmux_error_text(rt.nvmux), "fake0"));
	assert_non_null(strstr(nvmux_error_text(rt.nvmux), "fake1"));
	/* Those that are there go on; a new connection of all takes the new device. */
	assert_true(rt_until(&rt, rt_all_read_back, 5000));
	assert_int_equal(rt.events.lost, 0);
	rt_lose(&rt, RT_BY_DISCONNECT);
	rt_expect_up(&rt, 1);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, &opts, &q), 0);
	nvmux_qpair_free(q);
	rt_jobs_end(&rt, 2000);
	assert_int_equal(rt.errors, 0);
	rt_end(&rt);
}

/* Work completes late: nothing of it is touched before. */
static void test_slow_flush(void **state)
{
	for (int group = 0; group < 2; group++) {
		uint32_t before;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 2, 16, group);
		rt_jobs(&rt, 32, 4096);
		rt.target->hold = true;
		rt_run_ms(&rt, 10);
		rt.target->hold = false;
		fake_net.hold_flush = true;
		rt_lose(&rt, RT_BY_DISCONNECT);
		assert_true(rt_until(&rt, rt_is_lost, 5000));
		before = rt.target->n_ctrlrs;
		rt_run_ms(&rt, 100);
		assert_int_equal(rt.target->n_ctrlrs, before); /* it waits */
		fake_flush();
		fake_net.hold_flush = false;
		rt_expect_up(&rt, 1);
		rt_jobs_end(&rt, 2000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

static void test_flush_that_never_comes(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt_start(&rt, 2, 16, true);
	rt_jobs(&rt, 32, 4096);
	rt.target->hold = true;
	rt_run_ms(&rt, 10);
	rt.target->hold = false;
	fake_net.hold_flush = true;
	rt_lose(&rt, RT_BY_DISCONNECT);
	assert_true(rt_until(&rt, rt_is_reconnected, 20000));
	fake_net.hold_flush = false;
	rt_jobs_end(&rt, 2000);
	assert_int_equal(rt.errors, 0);
	rt_end(&rt);
}

/* A command that isn't answered costs one connection, not all that follow. */
static void test_unanswered_command(void **state)
{
	for (int group = 0; group < 2; group++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt.opts.io_timeout_ms = 200;
		rt_start(&rt, 1, 16, group);
		rt_jobs(&rt, 1, 4096);
		rt_run_ms(&rt, 20);
		fake_lock();
		rt.target->hold = true;
		fake_unlock();
		assert_true(rt_until(&rt, rt_is_lost, 2000));
		fake_lock();
		rt.target->hold = false;
		fake_unlock();
		rt_expect_up(&rt, 1);
		rt.reads_right = 0;
		rt_run_ms(&rt, 1000);
		assert_int_equal(rt.events.lost, 1);
		assert_true(rt.reads_right > 0);
		assert_int_equal(rt.qpairs[0]->ladder.rung, 0);
		rt_jobs_end(&rt, 2000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

static void test_reset_is_a_renewal(void **state)
{
	for (int group = 0; group < 2; group++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 2, 16, group);
		rt_jobs(&rt, 32, 4096);
		rt_run_ms(&rt, 10);
		rt_jobs_end(&rt, 1000);
		rt.stop = false;
		assert_int_equal(nvmux_ctrlr_reset(rt.ctrlr), 0);
		assert_int_equal(rt.target->n_ctrlrs, 2);
		rt_run_ms(&rt, 20);
		assert_true(rt_until(&rt, rt_all_read_back, 5000));
		rt_jobs_end(&rt, 3000);
		assert_int_equal(rt.errors, 0);
		assert_true(rt.reads_right >= 32);
		rt_end(&rt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loss_when_idle),
		cmocka_unit_test(test_loss_under_load),
		cmocka_unit_test(test_many_losses_in_a_row),
		cmocka_unit_test(test_less_room_afterwards),
		cmocka_unit_test(test_replay_rule),
		cmocka_unit_test(test_new_commands_pass_those_that_wait),
		cmocka_unit_test(test_what_isnt_repeated),
		cmocka_unit_test(test_attempts_and_fast_io_fail),
		cmocka_unit_test(test_controller_loss),
		cmocka_unit_test(test_loss_timeout_of_zero),
		cmocka_unit_test(test_cut_link),
		cmocka_unit_test(test_short_cut),
		cmocka_unit_test(test_device_removed_and_another),
		cmocka_unit_test(test_two_devices),
		cmocka_unit_test(test_slow_flush),
		cmocka_unit_test(test_flush_that_never_comes),
		cmocka_unit_test(test_unanswered_command),
		cmocka_unit_test(test_reset_is_a_renewal),
	};

	return cmocka_run_group_tests_name("rdma_recovery", tests, NULL, NULL);
}
