// SPDX-License-Identifier: BSD-3-Clause
/*
 * Targets that lie: answers nobody waits for, capsules of the wrong size, private data, rejections,
 * Identify data and logs of any content. Nothing crashes, hangs, leaks or completes twice.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "rdma_fixture.h"
#include <nvmux/discovery.h>

/* ---- answers ---- */

struct lie {
	enum target_fault fault;
	uint16_t cid;
	size_t len;
};

static const struct lie lies[] = {
	{TARGET_UNKNOWN_CID, 0xffff, 0}, {TARGET_UNKNOWN_CID, 4000, 0}, {TARGET_UNKNOWN_CID, 17, 0},
	{TARGET_DUPLICATE, 0, 0},        {TARGET_SHORT, 0, 0},          {TARGET_SHORT, 0, 15},
	{TARGET_SHORT, 0, 17},           {TARGET_SHORT, 0, 4096},       {TARGET_DISCONNECT, 0, 0},
};

static void set_lie(struct rt *rt, const struct lie *lie, bool admin, unsigned times)
{
	fake_lock();
	rt->target->fault = lie->fault;
	rt->target->fault_admin = admin;
	rt->target->fault_cid = lie->cid;
	rt->target->fault_len = lie->len;
	rt->target->fault_nth = 1;
	rt->target->fault_times = times;
	fake_unlock();
}

/* On an I/O queue: it costs the connection, which is restored, and no command. */
static void test_lies_on_io_queues(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lies) * 2; i++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		fake_net.order = FAKE_RANDOM;
		rt_start(&rt, 2, 16, i & 1);
		rt_jobs(&rt, 24, 4096); /* fewer than slots: identifiers that aren't in use */
		rt_run_ms(&rt, 5);
		set_lie(&rt, &lies[i / 2], false, 1);
		assert_true(rt_until(&rt, rt_is_lost, 3000));
		assert_int_equal(rt.target->fault_hits, 1);
		assert_true(rt_until(&rt, rt_is_replayed, 5000));
		rt_run_ms(&rt, 10);
		rt_jobs_end(&rt, 3000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

static void test_lies_on_the_admin_queue(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 1, 16, false);
		set_lie(&rt, &lies[i], true, 1); /* the next keep-alive */
		assert_true(rt_until(&rt, rt_is_lost, 3000));
		assert_true(rt_until(&rt, rt_is_replayed, 5000));
		rt_end(&rt);
	}
}

/* In each of the first admin commands of an attach. */
static void test_lies_during_attach(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		for (unsigned nth = 1; nth <= 10; nth++) {
			struct rt rt;

			rt_begin(&rt, RT_NS);
			set_lie(&rt, &lies[i], true, 1);
			rt.target->fault_nth = nth;
			/* A lie that comes late only costs the connection. */
			if (rt_attach(&rt))
				assert_true(*nvmux_error_text(rt.nvmux));
			else
				rt_run_ms(&rt, 20);
			rt_end(&rt);
		}
	}
}

static void test_completion_errors(void **state)
{
	static const enum ibv_wc_status statuses[] = {
		IBV_WC_LOC_LEN_ERR,       IBV_WC_LOC_QP_OP_ERR, IBV_WC_LOC_PROT_ERR,
		IBV_WC_WR_FLUSH_ERR,      IBV_WC_BAD_RESP_ERR,  IBV_WC_REM_INV_REQ_ERR,
		IBV_WC_REM_ACCESS_ERR,    IBV_WC_REM_OP_ERR,    IBV_WC_RETRY_EXC_ERR,
		IBV_WC_RNR_RETRY_EXC_ERR, IBV_WC_FATAL_ERR,     IBV_WC_GENERAL_ERR,
	};

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt_start(&rt, 2, 16, i & 1);
		rt.target->hold = true;
		rt_jobs(&rt, 32, 4096);
		rt_run_ms(&rt, 2);
		rt.target->hold = false;
		fake_lock();
		fake_qps_fail(statuses[i]);
		fake_conns_die(true);
		fake_unlock();
		assert_true(rt_until(&rt, rt_is_replayed, 5000));
		rt_jobs_end(&rt, 3000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

/* An answer that never comes, on an otherwise healthy queue, is waited for; freeing ends it. */
static void test_no_answer(void **state)
{
	const struct lie drop = {.fault = TARGET_DROP};
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt_start(&rt, 1, 16, false);
	rt_jobs(&rt, 1, 4096);
	set_lie(&rt, &drop, false, 1);
	rt_run_ms(&rt, 300);
	assert_int_equal(rt_in_flight(&rt), 1);
	assert_int_equal(rt.events.lost, 0);
	rt_end(&rt);
	assert_int_equal(rt_in_flight(&rt), 0);
}

static void test_flood_of_events(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt_start(&rt, 1, 16, false);
	rt_jobs(&rt, 8, 4096);
	for (unsigned i = 0; i < 300; i++) {
		target_event(rt.target, UINT32_MAX, (uint8_t)(i & 7), (uint8_t)(i * 7), (uint8_t)i);
		rt_turn(&rt);
	}
	rt_run_ms(&rt, 100);
	rt_jobs_end(&rt, 3000);
	assert_int_equal(rt.errors, 0);
	assert_int_equal(rt.events.lost, 0);
	rt_end(&rt);
}

/* ---- connections ---- */

static void test_private_data_of_an_accept(void **state)
{
	srandom(1);
	for (int i = 0; i < 200; i++) {
		struct rt rt;

		rt_begin(&rt, "null,size=1M,entries=64");
		fake_net.exact_private_data = i & 1;
		rt.opts.admin_timeout_ms = 100;
		rt.target->bad_accept = true;
		rt.target->accept_len = (size_t)random() % (sizeof(rt.target->accept) + 1);
		for (size_t b = i & 2 ? 2 : 0; b < sizeof(rt.target->accept); b++)
			rt.target->accept[b] = (uint8_t)random();
		if (rt_attach(&rt))
			assert_true(*nvmux_error_text(rt.nvmux));
		rt_end(&rt);
	}
}

static void test_little_room_for_admin_commands(void **state)
{
	for (uint16_t n = 1; n < 12; n++) {
		struct rt rt;

		rt_begin(&rt, RT_NS);
		rt.opts.admin_timeout_ms = 300;
		rt.target->crqsize = n;
		rt.target->crqsize_admin = true;
		if (rt_attach(&rt)) {
			print_message("# crqsize %u: %s\n", n, nvmux_error_text(rt.nvmux));
			assert_true(*nvmux_error_text(rt.nvmux));
		}
		rt_end(&rt);
	}
}

static void test_rejections(void **state)
{
	for (int i = 0; i < 64; i++) {
		struct rt rt;

		rt_begin(&rt, "null,size=1M");
		fake_net.exact_private_data = i & 1;
		rt.target->reject_times = UINT32_MAX;
		rt.target->reject_status = (uint16_t)(i & 16 ? random() : i / 2);
		rt.target->reject_reason = i & 32 ? (int)(random() % 40) : 0;
		assert_true(rt_attach(&rt) < 0);
		assert_true(*nvmux_error_text(rt.nvmux));
		rt_end(&rt);
	}
}

static void test_stale_connection_is_tried_again(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.target->reject_times = 1;
	rt.target->reject_reason = 10;
	assert_int_equal(rt_attach(&rt), 0);
	rt_end(&rt);
}

static void test_statuses_of_connect(void **state)
{
	for (uint32_t i = 0; i < 96; i++) {
		struct rt rt;
		int err;

		rt_begin(&rt, "null,size=1M");
		rt.target->connect_times = 1;
		rt.target->connect_status = (uint16_t)(EMU_STATUS(i % 8, 0x80 + i / 8) |
						       (i & 1 ? NVMUX_STATUS_DNR : 0));
		rt.target->connect_dw0 = (uint32_t)random();
		err = rt_attach(&rt);
		assert_true(err < 0);
		assert_true(*nvmux_error_text(rt.nvmux));
		rt_end(&rt);
	}
}

/* It says success, and names a controller that can't be. */
static void test_connect_with_a_wrong_identifier(void **state)
{
	static const uint32_t ids[] = {0, 0xffff, 0xfffe, 0x10001, 0xffffffff};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct rt rt;

		rt_begin(&rt, "null,size=1M");
		rt.target->connect_times = 1;
		rt.target->connect_status = 0;
		rt.target->connect_dw0 = ids[i];
		assert_true(rt_attach(&rt) < 0);
		rt_end(&rt);
	}
}

/* ---- properties, Identify, logs ---- */

static void test_capabilities(void **state)
{
	srandom(2);
	for (int i = 0; i < 100; i++) {
		struct rt rt;

		rt_begin(&rt, "null,size=1M,entries=64");
		rt.opts.admin_timeout_ms = 200;
		rt.target->cap_and = (uint64_t)random() << 33 ^ (uint64_t)random() << 2;
		rt.target->cap_or = (uint64_t)random() << 33 ^ (uint64_t)random();
		rt.target->cap_or &= rt.target->cap_and;
		rt.target->cap_or |= i & 1 ? 63 : 0;
		if (rt_attach(&rt))
			assert_true(*nvmux_error_text(rt.nvmux));
		rt_end(&rt);
	}
}

static void scramble(struct target *t, uint8_t cns, uint8_t *data)
{
	/* A few bytes of it, or all. */
	uint32_t n = random() % 4 ? (uint32_t)random() % 40 : 4096;

	for (uint32_t i = 0; i < n; i++)
		data[random() % 4096] = (uint8_t)random();
}

static void scramble_limits(struct target *t, uint8_t cns, uint8_t *data)
{
	struct nvme_id_ctrl *id = (struct nvme_id_ctrl *)(void *)data;

	if (cns != NVME_IDENTIFY_CNS_CTRL)
		return;
	id->mdts = (uint8_t)random();
	id->ioccsz = cpu_to_le32(random() & 1 ? (uint32_t)random() : random() % 8);
	id->iorcsz = cpu_to_le32((uint32_t)random() % 3);
	id->icdoff = cpu_to_le16((uint16_t)(random() % 3));
	id->msdbd = (uint8_t)(random() % 3);
	id->maxcmd = cpu_to_le16((uint16_t)(random() % 5));
	id->kas = cpu_to_le16((uint16_t)(random() % 3));
	id->sgls = cpu_to_le32((uint32_t)random());
	t->in_capsule = UINT32_MAX / 2; /* what it said counts, not what it is */
}

static void test_identify_of_any_content(void **state)
{
	srandom(3);
	for (int i = 0; i < 300; i++) {
		struct nvmux_qpair *q;
		struct rt rt;

		rt_begin(&rt, "mem,size=1M,entries=64+mem,size=1M,bs=4096");
		rt.opts.admin_timeout_ms = 200;
		rt.target->ana = i & 2;
		rt.target->identify = i & 1 ? scramble : scramble_limits;
		if (rt_attach(&rt))
			assert_true(*nvmux_error_text(rt.nvmux));
		else if (!nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, NULL, &q))
			nvmux_qpair_free(q);
		rt_end(&rt);
	}
}

/* Another namespace than before, after a loss: writes to it aren't repeated. */
static void other_namespace(struct target *t, uint8_t cns, uint8_t *data)
{
	if (cns == NVME_IDENTIFY_CNS_NS)
		((struct nvme_id_ns *)(void *)data)->nguid[3] ^= 1;
	if (cns == NVME_IDENTIFY_CNS_NS_DESC_LIST)
		data[4 + 3] ^= 1;
}

static void test_another_namespace_after_a_loss(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt_start(&rt, 1, 16, false);
	rt_jobs(&rt, 8, 4096);
	rt.stop = true;
	rt.target->hold = true;
	for (int i = 0; i < 8; i++)
		assert_int_equal(rt_job_write(&rt.jobs[i]), 0);
	rt_turn(&rt);
	rt.target->hold = false;
	rt.target->identify = other_namespace;
	fake_conns_disconnect(true);
	assert_true(rt_until(&rt, rt_is_replayed, 3000));
	assert_true(rt_until(&rt, rt_idle, 1000));
	assert_int_equal(rt.errors, 8);
	assert_int_equal(rt.last_error, NVMUX_SC_OUTCOME_UNKNOWN);
	assert_int_equal(target_count(rt.target, 0, nvme_cmd_write, -1), 0);
	rt_end(&rt);
}

/* ---- discovery ---- */

static void begin_discovery(struct rt *rt, struct target **ret)
{
	rt_begin(rt, "null,size=1M");
	*ret = target_discovery_new("10.0.0.5", 8009);
	snprintf(rt->trid.traddr, sizeof(rt->trid.traddr), "10.0.0.5");
	snprintf(rt->trid.trsvcid, sizeof(rt->trid.trsvcid), "8009");
	rt->trid.subnqn[0] = '\0';
}

static void end_discovery(struct rt *rt, struct target *t)
{
	rt_detach(rt);
	target_free(t);
	rt_end(rt);
}

static void test_discover(void **state)
{
	struct nvmux_discovery_log *log;
	struct target *t;
	struct rt rt;

	begin_discovery(&rt, &t);
	for (int i = 0; i < 40; i++)
		target_add_record(t, NVME_NQN_NVME, "10.0.0.1", (uint16_t)(4420 + i), TARGET_NQN);
	/* Referrals to itself, and to nobody. */
	target_add_record(t, NVME_NQN_DISC, "10.0.0.5", 8009, t->subnqn);
	target_add_record(t, NVME_NQN_DISC, "10.0.0.66", 8009, t->subnqn);
	assert_int_equal(nvmux_discover(rt.nvmux, &rt.trid, &rt.opts, &log), 0);
	assert_true(log->n >= 40);
	assert_string_equal(log->entries[0].trid.traddr, "10.0.0.1");
	assert_string_equal(log->entries[0].trid.trsvcid, "4420");
	assert_string_equal(log->entries[0].trid.subnqn, TARGET_NQN);
	assert_int_equal(log->entries[39].subtype, NVMUX_DISCOVERY_NVME);
	free(log);
	assert_int_equal(target_live(t), 0);
	end_discovery(&rt, t);
}

static void test_discovery_logs_that_lie(void **state)
{
	static const uint64_t numrecs[] = {1,          100,        0xffff,
					   1ull << 32, UINT64_MAX, UINT64_MAX / 1024};

	for (size_t i = 0; i < ARRAY_SIZE(numrecs); i++) {
		struct nvmux_discovery_log *log;
		struct target *t;
		struct rt rt;

		begin_discovery(&rt, &t);
		target_add_record(t, NVME_NQN_NVME, "10.0.0.1", 4420, TARGET_NQN);
		target_add_record(t, NVME_NQN_NVME, "10.0.0.2", 4420, TARGET_NQN);
		t->numrec_lie = numrecs[i];
		if (!nvmux_discover(rt.nvmux, &rt.trid, &rt.opts, &log)) {
			assert_true(log->n <= 0xffff);
			free(log);
		} else {
			assert_true(*nvmux_error_text(rt.nvmux));
		}
		end_discovery(&rt, t);
	}
}

static void test_discovery_log_that_never_rests(void **state)
{
	struct nvmux_discovery_log *log;
	struct target *t;
	struct rt rt;

	begin_discovery(&rt, &t);
	for (int i = 0; i < 40; i++)
		target_add_record(t, NVME_NQN_NVME, "10.0.0.1", (uint16_t)(4420 + i), TARGET_NQN);
	t->genctr_moves = 3; /* then it does */
	assert_int_equal(nvmux_discover(rt.nvmux, &rt.trid, &rt.opts, &log), 0);
	assert_int_equal(log->n, 40);
	free(log);
	t->genctr_moves = UINT32_MAX;
	if (!nvmux_discover(rt.nvmux, &rt.trid, &rt.opts, &log))
		free(log);
	else
		assert_true(*nvmux_error_text(rt.nvmux));
	end_discovery(&rt, t);
}

static void test_records_of_any_content(void **state)
{
	srandom(4);
	for (int i = 0; i < 100; i++) {
		struct nvmux_discovery_log *log;
		uint8_t *bytes;
		struct target *t;
		struct rt rt;

		begin_discovery(&rt, &t);
		for (int r = 0; r < 8; r++)
			target_add_record(t, (uint8_t)(1 + random() % 3), "10.0.0.1", 4420,
					  TARGET_NQN);
		bytes = (uint8_t *)t->records;
		for (int b = 0; b < (i & 1 ? 20000 : 50); b++)
			bytes[random() % (8 * 1024)] = (uint8_t)random();
		rt.opts.admin_timeout_ms = 200;
		if (!nvmux_discover(rt.nvmux, &rt.trid, &rt.opts, &log))
			free(log);
		end_discovery(&rt, t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lies_on_io_queues),
		cmocka_unit_test(test_lies_on_the_admin_queue),
		cmocka_unit_test(test_lies_during_attach),
		cmocka_unit_test(test_completion_errors),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_flood_of_events),
		cmocka_unit_test(test_private_data_of_an_accept),
		cmocka_unit_test(test_little_room_for_admin_commands),
		cmocka_unit_test(test_rejections),
		cmocka_unit_test(test_stale_connection_is_tried_again),
		cmocka_unit_test(test_statuses_of_connect),
		cmocka_unit_test(test_connect_with_a_wrong_identifier),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_identify_of_any_content),
		cmocka_unit_test(test_another_namespace_after_a_loss),
		cmocka_unit_test(test_discover),
		cmocka_unit_test(test_discovery_logs_that_lie),
		cmocka_unit_test(test_discovery_log_that_never_rests),
		cmocka_unit_test(test_records_of_any_content),
	};

	return cmocka_run_group_tests_name("rdma_hostile", tests, NULL, NULL);
}
