// SPDX-License-Identifier: BSD-3-Clause
/*
 * SENDs over RDMA: which are inline, which have a completion, when a command is done, and that
 * neither a send queue nor the completion queue is ever too full. The fake sees to it that what a
 * SEND sends stays as it is until it has been retired.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "rdma_fixture.h"
#include "transports/rdma/rdma_int.h"

#define LATE_FOR_EVER 1000000u

/* Only commands of jobs: no keep-alive. */
static void start(struct rt *rt, uint32_t n, uint32_t depth, bool group)
{
	rt->opts.keep_alive_timeout_ms = 0;
	rt_start(rt, n, depth, group);
}

static void read_all(struct rt *rt)
{
	for (uint32_t i = 0; i < rt->n_jobs; i++)
		assert_int_equal(rt_job_read(&rt->jobs[i]), 0);
}

static void poll_until_idle(struct rt *rt, uint32_t turns)
{
	for (uint32_t i = 0; i < turns && !rt_idle(rt); i++)
		rt_poll_qpairs(rt);
	assert_true(rt_idle(rt));
	assert_int_equal(rt->errors, 0);
}

/* Sent inline, one in 16 has a completion, and what is sent in one turn is posted at once. */
static void test_reads_are_inline(void **state)
{
	uint64_t sends, inlined, signaled, rings;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	start(&rt, 1, 64, false);
	rt_jobs(&rt, 64, 4096);
	sends = fake_net.sends;
	inlined = fake_net.inlined;
	signaled = fake_net.signaled;
	rings = fake_net.doorbells;
	for (int i = 0; i < 100; i++) {
		read_all(&rt);
		poll_until_idle(&rt, 10);
	}
	assert_int_equal(fake_net.sends - sends, 6400);
	assert_int_equal(fake_net.inlined - inlined, 6400);
	assert_in_range(fake_net.signaled - signaled, 400, 401);
	assert_int_equal(fake_net.doorbells - rings, 100);
	rt_end(&rt);
}

/* The response is enough, whenever the SEND's own completion comes. */
static void test_inline_needs_only_the_response(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	start(&rt, 1, 8, false);
	rt_jobs(&rt, 8, 4096);
	fake_net.order = FAKE_SEND_LATE;
	fake_net.late = LATE_FOR_EVER;
	read_all(&rt);
	poll_until_idle(&rt, 1);
	assert_true(fake_net.max_sends >= 8);
	rt_end(&rt);
}

/* Data in the capsule comes straight from the client's memory, which is the device's until the SEND
 * has completed, though the response is there. */
static void test_data_in_capsule_is_awaited(void **state)
{
	for (int group = 0; group < 2; group++) {
		uint64_t inlined, signaled;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		start(&rt, 1, 8, group);
		rt_jobs(&rt, 2, 4096);
		inlined = fake_net.inlined;
		signaled = fake_net.signaled;
		fake_net.order = FAKE_SEND_LATE;
		fake_net.late = 20;
		assert_int_equal(rt_job_write(&rt.jobs[1]), 0);
		for (int i = 0; i < 5; i++)
			rt_poll_qpairs(&rt);
		assert_memory_equal(target_ns_data(rt.target, 1) + 4096, rt.jobs[1].buf, 4096);
		assert_true(rt.jobs[1].busy);
		assert_int_equal(fake_net.sent_from, (uintptr_t)rt.jobs[1].buf);
		assert_int_equal(fake_net.inlined, inlined);
		assert_int_equal(fake_net.signaled, signaled + 1);
		poll_until_idle(&rt, 30);
		memset(rt.jobs[1].buf, 0, 4096); /* it is ours again */
		rt_end(&rt);
	}
}

static void test_device_without_inline_data(void **state)
{
	for (int order = FAKE_SEND_FIRST; order <= FAKE_RANDOM; order++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		fake_net.inline_max = order & 1 ? 0 : 63;
		fake_net.order = (unsigned)order;
		start(&rt, 2, 16, order & 1);
		assert_int_equal(fake_calls(FAKE_CREATE_QP), 2 * 3);
		rt_jobs(&rt, 32, order & 2 ? 4096 : 16384);
		assert_true(rt_until(&rt, rt_all_read_back, 10000));
		rt_jobs_end(&rt, 5000);
		assert_int_equal(rt.errors, 0);
		assert_int_equal(fake_net.inlined, 0);
		assert_int_equal(fake_net.signaled, fake_net.sends);
		rt_end(&rt);
	}
}

/* SENDs are retired late: what the send queue has no room for waits, and goes on. */
static void test_full_send_queue(void **state)
{
	static const struct {
		int max_qp_wr;
		uint32_t depth, room;
	} sizes[] = {{16384, 4, 20}, {16384, 1, 17}, {7, 4, 7}, {4, 4, 4}, {2, 4, 2}};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct nvmux_io_qpair_opts opts;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		start(&rt, 0, 0, i & 1);
		rdma_ctrlr(rt.ctrlr)->attr.max_qp_wr = sizes[i].max_qp_wr;
		nvmux_io_qpair_opts_init(rt.ctrlr, &opts, sizeof(opts));
		opts.io_queue_depth = sizes[i].depth;
		opts.poll_group = rt.group;
		assert_int_equal(nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, &opts, &rt.qpairs[0]), 0);
		rt.n_qpairs = 1;
		rt_jobs(&rt, MIN(sizes[i].depth, sizes[i].room), 16384);
		fake_net.order = FAKE_SEND_LATE;
		fake_net.late = 50;
		fake_net.max_sends = 0;
		for (int n = 0; n < 100; n++) {
			read_all(&rt);
			poll_until_idle(&rt, 1000);
		}
		assert_int_equal(fake_net.max_sends, sizes[i].room);
		rt_end(&rt);
	}
}

/* Who sleeps is woken by the SEND that makes room, and finds what waited for it posted. */
static void test_full_send_queue_and_sleep(void **state)
{
	for (int group = 0; group < 2; group++) {
		struct pollfd p = {.events = POLLIN};
		struct rt rt;

		rt_begin(&rt, RT_NS);
		start(&rt, 1, 4, group);
		rt_jobs(&rt, 4, 16384);
		fake_net.order = FAKE_SEND_LATE;
		fake_net.late = LATE_FOR_EVER;
		p.fd = group ? nvmux_poll_group_get_fd(rt.group) : nvmux_qpair_get_fd(rt.qpairs[0]);
		for (int n = 0; n < 40; n++) {
			read_all(&rt);
			rt_poll_qpairs(&rt);
			while (!rt_idle(&rt)) {
				int err = group ? nvmux_poll_group_arm(rt.group)
						: nvmux_qpair_arm(rt.qpairs[0]);

				if (!err)
					assert_int_equal(poll(&p, 1, 1000), 1);
				rt_poll_qpairs(&rt);
			}
		}
		assert_int_equal(fake_net.max_sends, 20);
		rt_end(&rt);
	}
}

/* Who has armed isn't woken by what was told before, but by the next completion, whether or not
 * what woke it last time has been reaped by way of the group. */
static void test_armed_until_something_comes(void **state)
{
	for (int group = 0; group < 2; group++) {
		struct pollfd p = {.events = POLLIN};
		struct rt rt;

		rt_begin(&rt, RT_NS);
		start(&rt, 1, 8, group);
		rt_jobs(&rt, 1, 4096);
		p.fd = group ? nvmux_poll_group_get_fd(rt.group) : nvmux_qpair_get_fd(rt.qpairs[0]);
		for (int n = 0; n < 12; n++) {
			rt.target->hold = true;
			read_all(&rt);
			rt_poll_qpairs(&rt);
			assert_int_equal(group ? nvmux_poll_group_arm(rt.group)
					       : nvmux_qpair_arm(rt.qpairs[0]),
					 0);
			if (n > 1) /* what connecting has left goes first */
				assert_int_equal(poll(&p, 1, 0), 0);
			rt.target->hold = false;
			target_release(rt.target, 0, false);
			assert_int_equal(poll(&p, 1, 1000), 1);
			if (group && n & 1)
				nvmux_poll_group_reap(rt.group);
			poll_until_idle(&rt, 2);
		}
		rt_end(&rt);
	}
}

/* Both kinds of SENDs, with all orders and delays of completions, while connections are lost. */
static void test_mixed(void **state)
{
	static const uint32_t late[] = {2, 7, 60};

	for (int order = FAKE_SEND_FIRST; order <= FAKE_RANDOM; order++) {
		for (size_t i = 0; i < ARRAY_SIZE(late); i++) {
			struct rt rt;

			rt_begin(&rt, RT_NS);
			rt.opts.command_quiesce_time_ms = 20;
			fake_net.order = (unsigned)order;
			fake_net.late = late[i];
			fake_net.poll_max = (uint32_t)i;
			rt_start(&rt, 3, 32, i & 1);
			rt_jobs(&rt, 48, 4096);
			for (uint32_t k = 0; k < 48; k += 2)
				rt.jobs[k].blocks = 1; /* others end later */
			rt_run_ms(&rt, 30);
			rt_lose(&rt, i & 1 ? RT_BY_DISCONNECT : RT_BY_COMPLETION_ERROR);
			rt_expect_up(&rt, 1);
			assert_true(rt_until(&rt, rt_all_read_back, 10000));
			rt_jobs_end(&rt, 5000);
			assert_int_equal(rt.errors, 0);
			rt_end(&rt);
		}
	}
}

/* How a queue pair breaks while SENDs that didn't ask for a completion aren't retired. */
struct breaking {
	enum rt_way way;
	bool group, hold_flush, quiet_flush;
	uint32_t before;   /* commands that ended before, whose SENDs aren't retired */
	uint32_t n;        /* commands in flight */
	uint32_t answered; /* of them: with a response that nobody has polled */
};

/* All jobs have written something, so that what they read is compared. */
static void write_all(struct rt *rt)
{
	for (uint32_t i = 0; i < rt->n_jobs; i++)
		assert_int_equal(rt_job_write(&rt->jobs[i]), 0);
	poll_until_idle(rt, 10);
}

static void break_and_repeat(const struct breaking *b)
{
	uint32_t before, log;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.opts.command_quiesce_time_ms = 20;
	start(&rt, 1, 32, b->group);
	rt_jobs(&rt, 32, 4096);
	write_all(&rt);
	rt.stop = true; /* it submits none by itself */
	fake_net.order = FAKE_SEND_LATE;
	fake_net.late = LATE_FOR_EVER;
	for (uint32_t i = 0; i < b->before; i++) {
		assert_int_equal(rt_job_read(&rt.jobs[31]), 0);
		poll_until_idle(&rt, 2);
	}
	before = rt.completed;
	log = rt.target->n_log;
	rt.target->hold = true;
	for (uint32_t i = 0; i < b->n; i++)
		assert_int_equal(rt_job_read(&rt.jobs[i]), 0);
	rt_poll_qpairs(&rt);
	rt.target->hold = false;
	if (b->answered)
		target_release(rt.target, b->answered, false);
	fake_net.hold_flush = b->hold_flush;
	fake_net.quiet_flush = b->quiet_flush;
	rt_lose(&rt, b->way);
	if (b->hold_flush) {
		assert_true(rt_until(&rt, rt_is_lost, 5000));
		assert_in_range(rt.completed - before, 0, b->answered);
		fake_flush();
		fake_net.hold_flush = false;
	}
	fake_net.order = FAKE_SEND_FIRST; /* of the next connection */
	rt_expect_up(&rt, 1);
	poll_until_idle(&rt, 10);
	assert_int_equal(rt.completed - before, b->n);
	assert_int_equal(target_count(rt.target, log, nvme_cmd_read, -1), b->n);
	/* and it is as good as new */
	for (int i = 0; i < 3; i++) {
		read_all(&rt);
		poll_until_idle(&rt, 1);
	}
	rt_end(&rt);
}

/* Each command ends once, with its data, by the response that had come or else repeated; the fake
 * sees to it that nothing is reused too early. */
static void test_lost_with_sends_not_retired(void **state)
{
	static const uint32_t before[] = {0, 5, 15, 16, 31}, n[] = {1, 15, 16, 17, 32};

	for (unsigned kind = 0; kind < 16; kind++) {
		bool told = kind & 5; /* what is held back can't tell */

		for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
			for (size_t k = 0; k < ARRAY_SIZE(n); k++) {
				const struct breaking b = {
					.way = told ? RT_BY_DISCONNECT : RT_BY_COMPLETION_ERROR,
					.group = kind & 2,
					.hold_flush = kind & 4,
					.quiet_flush = kind & 8,
					.before = before[i],
					.n = MIN(n[k], 48 - before[i]), /* entries there are */
					.answered = n[k] / 3,
				};

				break_and_repeat(&b);
			}
		}
	}
}

/* However many queue pairs share it, a turn of all of them polls the completion queue once. */
static void test_one_poll_a_turn(void **state)
{
	uint64_t polls;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	start(&rt, RT_QPAIRS, 16, true);
	rt_jobs(&rt, 2 * RT_QPAIRS, 4096);
	rt.target->hold = true;
	read_all(&rt);
	rt_poll_qpairs(&rt);
	assert_int_equal(rt_in_flight(&rt), 2 * RT_QPAIRS);
	polls = fake_net.polls;
	for (int i = 0; i < 100; i++)
		rt_poll_qpairs(&rt);
	assert_in_range(fake_net.polls - polls, 100, 101);
	rt.target->hold = false;
	target_release(rt.target, 0, false);
	poll_until_idle(&rt, 2);
	rt_end(&rt);
}

/* Queue pairs that come and go leave room for SENDs that may still fail; it doesn't add up. */
static void test_what_is_left_behind_is_forgotten(void **state)
{
	struct nvmux_io_qpair_opts opts;
	struct nvmux_qpair *q;
	uint32_t size;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	start(&rt, 1, 16, true);
	size = (uint32_t)rdma_cq_verbs(rdma_qpair(rt.qpairs[0])->cq)->cqe;
	nvmux_io_qpair_opts_init(rt.ctrlr, &opts, sizeof(opts));
	opts.poll_group = rt.group;
	opts.io_queue_depth = 16;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, &opts, &q), 0);
		nvmux_qpair_free(q);
		assert_true(nvmux_poll_group_arm(rt.group) <= 0);
		rt_poll_qpairs(&rt);
	}
	assert_int_equal(rdma_cq_verbs(rdma_qpair(rt.qpairs[0])->cq)->cqe, size);
	rt_end(&rt);
}

/* ---- the fake notices ---- */

static struct ibv_send_wr raw_send(struct rdma_qpair *q, struct ibv_sge *sge, uint32_t len,
				   unsigned flags)
{
	*sge = (struct ibv_sge){
		.addr = (uintptr_t)q->sqes,
		.length = len,
		.lkey = q->mr->lkey,
	};
	return (struct ibv_send_wr){
		.sg_list = sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = flags,
	};
}

static void expect_violations(unsigned n)
{
	assert_int_equal(fake_violations(), n);
	fake_forgive();
}

static void test_fake_sees_memory_reused_too_early(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	fake_net.inline_max = 0;
	start(&rt, 1, 8, false);
	rt_jobs(&rt, 1, 16384);
	fake_net.order = FAKE_SEND_LATE;
	fake_net.late = 10;
	read_all(&rt);
	rt_poll_qpairs(&rt); /* posted, and answered */
	for (uint32_t i = 0; i < 8; i++)
		rdma_qpair(rt.qpairs[0])->sqes[i].cdw2 ^= 1;
	expect_violations(0);
	poll_until_idle(&rt, 20);
	expect_violations(1);
	rt_end(&rt);
}

/* SENDs that have been transmitted keep their entries as long as nothing retires them. */
static void test_fake_sees_a_full_send_queue(void **state)
{
	struct rdma_qpair *q;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	start(&rt, 1, 8, false);
	rt_jobs(&rt, 8, 16384);
	q = rdma_qpair(rt.qpairs[0]);
	q->max_quiet = q->max_sends = UINT32_MAX; /* it neither asks nor counts */
	fake_net.max_sends = 0;
	for (int i = 0; i < 3 && !fake_violations(); i++) {
		read_all(&rt);
		rt_poll_qpairs(&rt);
	}
	assert_int_equal(fake_net.max_sends, 8 + RDMA_SIGNAL_INTERVAL);
	expect_violations(1);
	rt_end(&rt);
}

static void test_fake_sees_too_much_inline(void **state)
{
	struct ibv_send_wr wr, *bad;
	struct rdma_qpair *q;
	struct ibv_sge sge;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	start(&rt, 1, 8, false);
	q = rdma_qpair(rt.qpairs[0]);
	wr = raw_send(q, &sge, FABRICS_SQE_SIZE + 1, IBV_SEND_INLINE);
	assert_int_equal(ibv_post_send(q->qp, &wr, &bad), EINVAL);
	expect_violations(1);
	rt_end(&rt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_are_inline),
		cmocka_unit_test(test_inline_needs_only_the_response),
		cmocka_unit_test(test_data_in_capsule_is_awaited),
		cmocka_unit_test(test_device_without_inline_data),
		cmocka_unit_test(test_full_send_queue),
		cmocka_unit_test(test_full_send_queue_and_sleep),
		cmocka_unit_test(test_armed_until_something_comes),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_lost_with_sends_not_retired),
		cmocka_unit_test(test_one_poll_a_turn),
		cmocka_unit_test(test_what_is_left_behind_is_forgotten),
		cmocka_unit_test(test_fake_sees_memory_reused_too_early),
		cmocka_unit_test(test_fake_sees_a_full_send_queue),
		cmocka_unit_test(test_fake_sees_too_much_inline),
	};

	return cmocka_run_group_tests_name("rdma_sends", tests, NULL, NULL);
}
