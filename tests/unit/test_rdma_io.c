// SPDX-License-Identifier: BSD-3-Clause
/*
 * I/O over RDMA, with a target in this process: sizes and ways of moving data, full queues, orders
 * of completions, path related statuses; with poll groups and without.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "rdma_fixture.h"

static void run_jobs(struct rt *rt, uint32_t n, uint32_t bytes, uint32_t ms)
{
	rt_jobs(rt, n, bytes);
	if (!rt_until(rt, rt_all_read_back, 10000))
		fail_msg("only %u commands, %u in flight, %ju read back", rt->completed,
			 rt_in_flight(rt), (uintmax_t)rt->reads_right);
	rt_run_ms(rt, ms);
	rt_jobs_end(rt, 5000);
	assert_int_equal(rt->errors, 0);
	assert_true(rt->reads_right >= n);
}

/* Whether the writes of the log came in the capsule. */
static void check_in_capsule(const struct target *t, uint32_t from, uint32_t bytes, uint32_t limit)
{
	for (uint32_t i = from; i < t->n_log; i++) {
		const struct target_entry *e = &t->log[i % TARGET_LOG_MAX];

		if (e->qid && e->opc == nvme_cmd_write)
			assert_int_equal(e->in_capsule, bytes <= limit);
		else if (e->qid && e->opc == nvme_cmd_read)
			assert_false(e->in_capsule);
	}
}

static void test_sizes(void **state)
{
	static const uint32_t sizes[] = {512,   4096,   8192,   8704,   16384,
					 65536, 131072, 524288, 1 << 20};

	for (int group = 0; group < 2; group++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct rt rt;

			rt_begin(&rt, RT_NS);
			rt_start(&rt, 2, 16, group);
			run_jobs(&rt, 8, sizes[i], 20);
			check_in_capsule(rt.target, 0, sizes[i], 8192);
			rt_end(&rt);
		}
	}
}

static void test_4096_byte_blocks_and_two_namespaces(void **state)
{
	struct rt rt;

	rt_begin(&rt, "mem,size=16M,bs=4096,mdts=8,entries=129+mem,size=4M,bs=512");
	rt_start(&rt, 1, 16, false);
	run_jobs(&rt, 8, 32768, 20);
	rt_end(&rt);
}

/* What the target allows in a capsule is never exceeded, down to nothing. */
static void test_in_capsule_limits(void **state)
{
	static const uint32_t limits[] = {0, 512, 4096, 16384};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		for (uint32_t bytes = 512; bytes <= 16384; bytes *= 2) {
			struct rt rt;

			rt_begin(&rt, RT_NS);
			rt.target->in_capsule = limits[i];
			rt_start(&rt, 1, 8, false);
			run_jobs(&rt, 4, bytes, 5);
			check_in_capsule(rt.target, 0, bytes, MIN(limits[i], 8192u));
			rt_end(&rt);
		}
	}
}

static void test_capsule_offset_means_none(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.target->icdoff = 1;
	rt_start(&rt, 1, 8, false);
	run_jobs(&rt, 4, 4096, 5);
	check_in_capsule(rt.target, 0, 4096, 0);
	rt_end(&rt);
}

static void test_full_depth(void **state)
{
	for (int group = 0; group < 2; group++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 4, 64, group);
		rt.target->hold = true;
		rt_jobs(&rt, 256, 4096);
		assert_true(rt_until(&rt, rt_all_held, 5000)); /* really all at once */
		for (int i = 0; i < 40; i++) {
			target_release(rt.target, 100, true);
			rt_turn(&rt);
		}
		rt.target->hold = false;
		target_release(rt.target, 0, true);
		rt_jobs_end(&rt, 5000);
		assert_int_equal(rt.errors, 0);
		assert_true(rt.reads_right > 256);
		assert_int_equal(fake_net.max_inflight, 64);
		rt_end(&rt);
	}
}

static void test_deeper_than_the_target(void **state)
{
	static const uint16_t sizes[] = {1, 2, 7, 31};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt.target->crqsize = sizes[i];
		rt_start(&rt, 2, 64, i & 1);
		run_jobs(&rt, 128, 4096, 20);
		assert_true(fake_net.max_inflight <= 32); /* of the admin queue */
		rt_end(&rt);
	}
}

static void test_orders_of_completions(void **state)
{
	for (int order = FAKE_SEND_FIRST; order <= FAKE_RANDOM; order++) {
		for (uint32_t poll_max = 0; poll_max < 3; poll_max++) {
			struct rt rt;

			rt_begin(&rt, RT_NS);
			fake_net.order = (unsigned)order;
			fake_net.poll_max = poll_max;
			rt_start(&rt, 3, 32, poll_max & 1);
			run_jobs(&rt, 96, 4096, 20);
			rt_end(&rt);
		}
	}
}

static void count_done(void *arg, const struct nvmux_cpl *cpl)
{
	uint32_t *n = arg;

	assert_false(nvmux_cpl_is_error(cpl));
	(*n)++;
}

static void test_split(void **state)
{
	const uint32_t bytes = 8 << 20;
	struct nvmux_mem *mem;
	uint32_t done = 0;
	struct rt rt;
	uint8_t *buf;

	rt_begin(&rt, "mem,size=64M,bs=512,mdts=8,noiob=256,entries=64");
	rt_start(&rt, 1, 4, false);
	assert_int_equal(nvmux_mem_alloc(rt.ctrlr, 2 * bytes, 0, &mem), 0);
	buf = nvmux_mem_addr(mem);
	for (uint32_t i = 0; i < bytes; i++)
		buf[i] = (uint8_t)(i * 2654435761u >> 13);
	assert_int_equal(
		nvmux_ns_cmd_write(rt.ns, rt.qpairs[0], buf, 77, bytes / 512, 0, count_done, &done),
		0);
	for (int i = 0; i < 5000 && done < 1; i++)
		rt_turn(&rt);
	assert_int_equal(nvmux_ns_cmd_read(rt.ns, rt.qpairs[0], buf + bytes, 77, bytes / 512, 0,
					   count_done, &done),
			 0);
	for (int i = 0; i < 5000 && done < 2; i++)
		rt_turn(&rt);
	assert_int_equal(done, 2);
	assert_memory_equal(buf, buf + bytes, bytes);
	assert_memory_equal(buf, target_ns_data(rt.target, 1) + 77 * 512, bytes);
	nvmux_mem_free(mem);
	rt_end(&rt);
}

static void test_commands_without_data(void **state)
{
	const struct nvmux_cmd zeroes = {
		.opc = nvme_cmd_write_zeroes,
		.nsid = cpu_to_le32(1),
		.cdw10 = cpu_to_le32(8),
		.cdw12 = cpu_to_le32(7),
	};
	uint32_t done = 0;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt_start(&rt, 1, 8, false);
	memset(target_ns_data(rt.target, 1), 0x55, 65536);
	assert_int_equal(nvmux_ns_cmd_flush(rt.ns, rt.qpairs[0], count_done, &done), 0);
	assert_int_equal(
		nvmux_ctrlr_cmd_io_raw(rt.ctrlr, rt.qpairs[0], &zeroes, NULL, 0, count_done, &done),
		0);
	for (int i = 0; i < 100 && done < 2; i++)
		rt_turn(&rt);
	assert_int_equal(done, 2);
	assert_int_equal(target_ns_data(rt.target, 1)[8 * 512 - 1], 0x55);
	assert_int_equal(target_ns_data(rt.target, 1)[8 * 512], 0);
	assert_int_equal(target_ns_data(rt.target, 1)[16 * 512], 0x55);
	rt_end(&rt);
}

/* An idle queue pair posts nothing; a turn with many submissions rings once. */
static void test_posts_in_chains(void **state)
{
	unsigned recvs;
	uint64_t rings;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.opts.keep_alive_timeout_ms = 0;
	rt_start(&rt, 1, 64, false);
	rt_jobs(&rt, 64, 4096);
	rings = fake_net.doorbells;
	recvs = fake_calls(FAKE_POST_RECV);
	for (int i = 0; i < 10; i++)
		rt_poll_qpairs(&rt);
	assert_int_equal(fake_net.doorbells, rings);
	assert_int_equal(fake_calls(FAKE_POST_RECV), recvs);
	rt_jobs_submit(&rt);
	rt_poll_qpairs(&rt);
	assert_int_equal(fake_net.doorbells, rings + 1);
	assert_int_equal(fake_calls(FAKE_POST_RECV), recvs + 1);
	rt_jobs_end(&rt, 1000);
	rt_end(&rt);
}

/* ---- path related statuses ---- */

static void path_fault(struct rt *rt, uint16_t status, unsigned times)
{
	fake_lock();
	rt->target->fault = TARGET_STATUS;
	rt->target->fault_status = status;
	rt->target->fault_nth = 1;
	rt->target->fault_times = times;
	fake_unlock();
}

static void test_path_status_is_retried(void **state)
{
	static const uint16_t statuses[] = {EMU_STATUS(3, 0), EMU_STATUS(3, 2), EMU_STATUS(3, 3),
					    EMU_STATUS(3, 0x60), EMU_STATUS(3, 0x70)};

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 2, 16, i & 1);
		rt_jobs(&rt, 32, 8192);
		path_fault(&rt, statuses[i], 40);
		assert_true(rt_until(&rt, rt_all_read_back, 10000));
		rt_jobs_end(&rt, 2000);
		assert_int_equal(rt.target->fault_hits, 40);
		assert_int_equal(rt.errors, 0);
		assert_true(rt.reads_right >= 32);
		rt_end(&rt);
	}
}

static void test_path_status_is_passed_on_in_time(void **state)
{
	uint64_t began;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.opts.path_retry_timeout_ms = 1000;
	rt_start(&rt, 1, 16, false);
	rt_jobs(&rt, 4, 4096);
	path_fault(&rt, EMU_STATUS(3, 2), UINT32_MAX);
	began = fake_now_ms();
	rt_jobs_submit(&rt);
	rt_jobs_end(&rt, 10000);
	assert_true(fake_now_ms() - began >= 900);
	assert_int_equal(rt.errors, 4);
	assert_int_equal(rt.last_error, EMU_STATUS(3, 2));
	assert_in_range(rt.target->fault_hits, 8, 60); /* every 100 ms */
	rt_end(&rt);
}

static void test_path_status_with_dnr_is_passed_on(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt_start(&rt, 1, 16, false);
	rt_jobs(&rt, 1, 4096);
	path_fault(&rt, EMU_STATUS(3, 1) | NVMUX_STATUS_DNR, 1);
	rt_jobs_submit(&rt);
	rt_jobs_end(&rt, 1000);
	assert_int_equal(rt.errors, 1);
	assert_int_equal(rt.last_error, EMU_STATUS(3, 1));
	rt_end(&rt);
}

static void test_other_errors_are_passed_on(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt_start(&rt, 1, 16, false);
	rt_jobs(&rt, 1, 4096);
	path_fault(&rt, EMU_STATUS(2, 0x81), 1);
	rt_jobs_submit(&rt);
	rt_jobs_end(&rt, 1000);
	assert_int_equal(rt.last_error, EMU_STATUS(2, 0x81));
	rt_end(&rt);
}

static bool state_has_changed(struct rt *rt)
{
	return rt->events.ana_changed == 1;
}

static bool is_not_optimized(struct rt *rt)
{
	return nvmux_ns_get_ana_state(rt->ns) == NVMUX_ANA_NON_OPTIMIZED;
}

/* Access states: a group becomes inaccessible and comes back; I/O waits, nothing fails. */
static void test_access_states(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.target->ana = true;
	rt_start(&rt, 2, 16, true);
	assert_int_equal(nvmux_ns_get_ana_group_id(rt.ns), 2);
	assert_int_equal(nvmux_ns_get_ana_state(rt.ns), NVMUX_ANA_OPTIMIZED);
	rt_jobs(&rt, 16, 4096);
	rt_run_ms(&rt, 20);
	fake_lock();
	rt.target->ana_state[1] = NVME_ANA_STATE_INACCESSIBLE;
	fake_unlock();
	assert_int_equal(target_event(rt.target, UINT32_MAX, NVME_AER_NOTICE, NVME_AER_NOTICE_ANA,
				      NVME_LOG_LID_ANA),
			 1);
	assert_true(rt_until(&rt, state_has_changed, 5000));
	rt_run_ms(&rt, 150);
	assert_int_equal(nvmux_ns_get_ana_state(rt.ns), NVMUX_ANA_INACCESSIBLE);
	assert_int_equal(rt.events.ana_changed, 1);
	assert_int_equal(rt_in_flight(&rt), 16);
	fake_lock();
	rt.target->ana_state[1] = NVME_ANA_STATE_NONOPTIMIZED;
	fake_unlock();
	target_event(rt.target, UINT32_MAX, NVME_AER_NOTICE, NVME_AER_NOTICE_ANA, NVME_LOG_LID_ANA);
	assert_true(rt_until(&rt, is_not_optimized, 5000));
	rt_jobs_end(&rt, 5000);
	assert_int_equal(rt.errors, 0);
	rt_end(&rt);
}

/* ---- waiting instead of polling ---- */

static void wait_for_fd(int fd, int ms)
{
	fd_set set;
	struct timeval tv = {.tv_usec = ms * 1000};

	FD_ZERO(&set);
	FD_SET(fd, &set);
	assert_int_equal(select(fd + 1, &set, NULL, NULL, &tv), 1);
}

static void test_armed(void **state)
{
	for (int group = 0; group < 2; group++) {
		struct rt rt;
		int fd, err;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 1, 16, group);
		rt.target->hold = true;
		rt_jobs(&rt, 1, 4096);
		fd = group ? nvmux_poll_group_get_fd(rt.group) : nvmux_qpair_get_fd(rt.qpairs[0]);
		assert_true(fd >= 0);
		for (int i = 0; i < 20; i++) {
			rt_jobs_submit(&rt);
			rt_poll_qpairs(&rt);
			while ((err = group ? nvmux_poll_group_arm(rt.group)
					    : nvmux_qpair_arm(rt.qpairs[0])) == -EAGAIN)
				rt_poll_qpairs(&rt);
			assert_int_equal(err, 0);
			assert_int_equal(rt.target->n_held, 1);
			target_release(rt.target, 0, false);
			wait_for_fd(fd, 1000);
			rt_poll_qpairs(&rt);
			assert_int_equal(rt_in_flight(&rt), 0);
		}
		rt_end(&rt);
	}
}

static void identify_crdt(struct target *t, uint8_t cns, uint8_t *data)
{
	if (cns == NVME_IDENTIFY_CNS_CTRL)
		data[128] = 1; /* CRDT1: 100 ms */
}

static void repeated(void *arg, const struct nvmux_cpl *cpl)
{
	*(int *)arg = nvmux_cpl_status(cpl);
}

static bool is_repeated(struct rt *rt)
{
	return *(const int *)rt->user != -1;
}

/* What waits to be repeated for its status has nobody to wake a sleeper. */
static void test_armed_with_held(void **state)
{
	for (int group = 0; group < 2; group++) {
		int status = -1;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt.target->identify = identify_crdt;
		rt_start(&rt, 1, 16, group);
		assert_int_equal(nvmux_mem_alloc(rt.ctrlr, 4096, 0, &rt.mem), 0);
		rt.target->fault = TARGET_STATUS;
		rt.target->fault_opc = 0xff;
		rt.target->fault_nth = rt.target->fault_times = 1;
		rt.target->fault_status = NVME_SC_NS_NOT_READY | 1 << NVMUX_STATUS_CRD_SHIFT;
		assert_int_equal(nvmux_ns_cmd_read(rt.ns, rt.qpairs[0], nvmux_mem_addr(rt.mem), 0,
						   8, 0, repeated, &status),
				 0);
		for (int i = 0; i < 1000 && !(rt.qpairs[0]->slow & NVMUX_SLOW_HELD); i++)
			rt_turn(&rt);
		assert_int_equal(rt.qpairs[0]->slow, NVMUX_SLOW_HELD);
		assert_int_equal(group ? nvmux_poll_group_arm(rt.group)
				       : nvmux_qpair_arm(rt.qpairs[0]),
				 -EAGAIN);
		rt.user = &status;
		assert_true(rt_until(&rt, is_repeated, 5000));
		assert_int_equal(status, 0);
		rt_end(&rt);
	}
}

/* Queue pairs come and go while others of the group have commands in flight. */
static void test_queue_pairs_come_and_go(void **state)
{
	struct nvmux_io_qpair_opts opts;
	struct nvmux_qpair *q;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt_start(&rt, 2, 32, true);
	fake_net.order = FAKE_RANDOM;
	nvmux_io_qpair_opts_init(rt.ctrlr, &opts, sizeof(opts));
	opts.poll_group = rt.group;
	rt_jobs(&rt, 64, 4096);
	for (int i = 0; i < 30; i++) {
		rt_run_ms(&rt, 1);
		rt_jobs_submit(&rt);
		opts.io_queue_depth = 1 + (uint32_t)i * 4;
		assert_int_equal(nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, &opts, &q), 0);
		rt_turn(&rt);
		nvmux_qpair_free(q);
	}
	rt_jobs_end(&rt, 2000);
	assert_int_equal(rt.errors, 0);
	rt_end(&rt);
}

static void test_free_with_commands_in_flight(void **state)
{
	for (int group = 0; group < 2; group++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 2, 32, group);
		rt.target->hold = true;
		rt_jobs(&rt, 64, 4096);
		rt_run_ms(&rt, 5);
		rt.stop = true;
		nvmux_qpair_free(rt.qpairs[1]);
		rt.n_qpairs = 1;
		assert_int_equal(rt_in_flight(&rt), 32);
		assert_int_equal(rt.last_error, NVMUX_STATUS(0, 0x08));
		rt_end(&rt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_4096_byte_blocks_and_two_namespaces),
		cmocka_unit_test(test_in_capsule_limits),
		cmocka_unit_test(test_capsule_offset_means_none),
		cmocka_unit_test(test_full_depth),
		cmocka_unit_test(test_deeper_than_the_target),
		cmocka_unit_test(test_orders_of_completions),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_commands_without_data),
		cmocka_unit_test(test_posts_in_chains),
		cmocka_unit_test(test_path_status_is_retried),
		cmocka_unit_test(test_path_status_is_passed_on_in_time),
		cmocka_unit_test(test_path_status_with_dnr_is_passed_on),
		cmocka_unit_test(test_other_errors_are_passed_on),
		cmocka_unit_test(test_access_states),
		cmocka_unit_test(test_armed),
		cmocka_unit_test(test_armed_with_held),
		cmocka_unit_test(test_queue_pairs_come_and_go),
		cmocka_unit_test(test_free_with_commands_in_flight),
	};

	return cmocka_run_group_tests_name("rdma_io", tests, NULL, NULL);
}
