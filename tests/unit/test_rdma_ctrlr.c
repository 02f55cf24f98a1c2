// SPDX-License-Identifier: BSD-3-Clause
/*
 * Controllers over RDMA, with a target in this process: attach, what they say of themselves,
 * detach; each way in which that fails, with its own error, and nothing left behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "rdma_fixture.h"
#include "transports/rdma/rdma_int.h"

/* ---- what works ---- */

static void test_attach_identify_detach(void **state)
{
	struct rt rt;
	const struct nvme_id_ctrl *id;

	rt_begin(&rt, "mem,size=16M,bs=512,mdts=8,entries=129+mem,size=8M,bs=4096");
	assert_int_equal(rt_attach(&rt), 0);
	id = nvmux_ctrlr_get_data(rt.ctrlr);
	assert_string_equal(id->subnqn, TARGET_NQN);
	assert_int_equal(le16_to_cpu(id->cntlid), 1);
	assert_int_equal(nvmux_ctrlr_get_num_ns(rt.ctrlr), 2);
	assert_int_equal(nvmux_ns_get_sector_size(nvmux_ctrlr_get_ns(rt.ctrlr, 1)), 512);
	assert_int_equal(nvmux_ns_get_sector_size(nvmux_ctrlr_get_ns(rt.ctrlr, 2)), 4096);
	assert_int_equal(nvmux_ctrlr_get_max_xfer_size(rt.ctrlr), 1 << 20);
	assert_false(nvmux_ctrlr_is_discovery(rt.ctrlr));
	assert_int_equal(rt_state(&rt), NVMUX_CONNECTION_UP);
	assert_string_equal(rt.target->ctrlrs->hostnqn, "nqn.2024-01.test:host");
	assert_int_equal(rt.target->ctrlrs->hostid[15], 0x55);
	assert_int_equal(rt.target->ctrlrs->kato_ms, 200);
	assert_int_equal(target_live(rt.target), 1);
	rt_detach(&rt);
	assert_int_equal(target_live(rt.target), 0);
	assert_int_equal(rt.target->shutdowns, 1);
	assert_int_equal(rt.target->connections, 0);
	rt_end(&rt);
}

static void test_ipv6_and_source_address(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	fake_device_add("fake6", "fd00:1::9");
	target_listen(rt.target, "fd00:1::1", 4421);
	rt.trid.adrfam = NVMUX_ADRFAM_IPV6;
	snprintf(rt.trid.traddr, sizeof(rt.trid.traddr), "fd00:1::1");
	snprintf(rt.trid.trsvcid, sizeof(rt.trid.trsvcid), "4421");
	snprintf(rt.trid.host_traddr, sizeof(rt.trid.host_traddr), "fd00:1::9");
	assert_int_equal(rt_attach(&rt), 0);
	rt_detach(&rt);
	snprintf(rt.trid.host_traddr, sizeof(rt.trid.host_traddr), "fd00:1::8");
	assert_true(rt_attach(&rt) < 0);
	assert_non_null(strstr(nvmux_error_text(rt.nvmux), "fd00:1::8"));
	assert_int_equal(fake_objects(), 0);
	rt_end(&rt);
}

static void test_options_reach_the_connection(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.opts.transport_ack_timeout = 19;
	rt.opts.admin_queue_depth = 20;
	rt_start(&rt, 1, 16, false);
	assert_int_equal(fake_net.ack_timeout, 19);
	assert_int_equal(fake_net.rnr_retry, 7);
	assert_int_equal(rt.target->last_hsqsize, 16);
	rt_end(&rt);
}

static void test_two_controllers_and_many_queue_pairs(void **state)
{
	struct nvmux_ctrlr *second;
	struct rt rt;

	for (int group = 0; group < 2; group++) {
		rt_begin(&rt, RT_NS);
		rt_start(&rt, RT_QPAIRS, 64, group);
		assert_int_equal(nvmux_connect(rt.nvmux, &rt.trid, &rt.opts, &second), -EEXIST);
		target_listen(rt.target, "10.0.0.2", TARGET_PORT);
		snprintf(rt.trid.traddr, sizeof(rt.trid.traddr), "10.0.0.2");
		assert_int_equal(nvmux_connect(rt.nvmux, &rt.trid, &rt.opts, &second), 0);
		assert_int_equal(target_live(rt.target), 2);
		assert_int_equal(rt.target->connections, 2 + RT_QPAIRS);
		/* One completion queue for a group, one for each queue pair otherwise. */
		assert_int_equal(fake_net.cqs_made, 2 + (group ? 1 : RT_QPAIRS));
		nvmux_detach(second);
		assert_int_equal(target_live(rt.target), 1);
		rt_end(&rt);
	}
}

static void test_poll_group_grows_or_makes_another_queue(void **state)
{
	struct rt rt;

	for (int fixed = 0; fixed < 2; fixed++) {
		rt_begin(&rt, "mem,size=16M,entries=1024,queues=16");
		fake_net.resize_unsupported = fixed;
		rt_start(&rt, RT_QPAIRS, 300, true);
		if (!fixed)
			assert_int_equal(fake_net.cqs_made, 2);
		else
			assert_true(fake_net.cqs_made > 2);
		rt_jobs(&rt, 16, 4096);
		rt_run_ms(&rt, 50);
		rt_jobs_end(&rt, 1000);
		assert_int_equal(rt.errors, 0);
		rt_end(&rt);
	}
}

static void test_crqsize_limits_depth(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.target->crqsize = 8; /* the fake checks that it is obeyed */
	rt_start(&rt, 1, 64, false);
	rt_jobs(&rt, 64, 4096);
	rt_run_ms(&rt, 50);
	assert_true(rt_until(&rt, rt_has_read_back, 5000));
	rt_jobs_end(&rt, 1000);
	assert_int_equal(rt.errors, 0);
	assert_true(fake_net.max_inflight <= 8);
	rt_end(&rt);
}

static void test_no_private_data_in_accept(void **state)
{
	struct rt rt;

	for (int exact = 0; exact < 2; exact++) {
		rt_begin(&rt, RT_NS);
		fake_net.exact_private_data = exact;
		rt.target->bad_accept = true; /* of length 0: padded with zeroes, or none */
		rt_start(&rt, 1, 16, false);
		rt_end(&rt);
	}
}

/* Each with a process of its own in the library: identifiers, keys and completions don't mix. */
static void test_idle_connection_stays(void **state)
{
	struct rt rt;
	uint32_t before;

	rt_begin(&rt, RT_NS);
	rt.target->enforce_kato = true;
	rt.opts.keep_alive_timeout_ms = 1000; /* a busy machine may be late by half of it */
	rt_start(&rt, 1, 16, false);
	rt_run_ms(&rt, 2500);
	assert_int_equal(rt.target->kato_expired, 0);
	assert_int_equal(rt.events.lost, 0);
	before = rt.target->keep_alives;
	assert_in_range(before, 3, 40);
	rt_end(&rt);
}

static void test_no_keep_alive_when_asked(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.opts.keep_alive_timeout_ms = 0;
	rt_start(&rt, 1, 16, false);
	assert_int_equal(rt.target->ctrlrs->kato_ms, 0);
	rt_run_ms(&rt, 300);
	assert_int_equal(rt.target->keep_alives, 0);
	rt_end(&rt);
}

/* The end of an orderly shutdown takes longer than KATO: nothing is lost by that. */
static void test_no_keep_alive_in_shutdown(void **state)
{
	struct rt rt;

	rt_begin(&rt, RT_NS);
	rt.target->shutdown_ms = 500;
	rt_start(&rt, 1, 16, false);
	rt_run_ms(&rt, 70);
	rt_free_qpairs(&rt);
	assert_int_equal(nvmux_detach(rt.ctrlr), 0);
	rt.ctrlr = NULL;
	assert_int_equal(rt.target->shutdowns, 1);
	rt_end(&rt);
}

/* ---- errors, each exact and different ---- */

struct failure {
	const char *name;
	int err;
	const char *text;
	void (*prepare)(struct rt *rt);
};

static void wrong_nqn(struct rt *rt)
{
	snprintf(rt->trid.subnqn, sizeof(rt->trid.subnqn), "nqn.2024-01.test:other");
}

static void host_not_allowed(struct rt *rt)
{
	rt->target->allowed_host = "nqn.2024-01.test:friend";
}

static void wrong_port(struct rt *rt)
{
	snprintf(rt->trid.trsvcid, sizeof(rt->trid.trsvcid), "4999");
}

static void no_route(struct rt *rt)
{
	fake_cm_fault(FAKE_CM_ADDR, FAKE_CM_ERROR, -ENETUNREACH, 1);
}

static void nobody_there(struct rt *rt)
{
	fake_cm_fault(FAKE_CM_CONNECT, FAKE_CM_UNREACHABLE, 0, 1);
}

static void no_device(struct rt *rt)
{
	snprintf(rt->trid.traddr, sizeof(rt->trid.traddr), "192.168.5.5");
}

static void no_cm(struct rt *rt)
{
	fake_fail(FAKE_CREATE_EVENT_CHANNEL, 1, ENODEV);
}

static void route_error(struct rt *rt)
{
	fake_cm_fault(FAKE_CM_ROUTE, FAKE_CM_ERROR, -EINVAL, 1);
}

static void route_silent(struct rt *rt)
{
	fake_cm_fault(FAKE_CM_ROUTE, FAKE_CM_SILENT, 0, 1);
}

static void cm_silent(struct rt *rt)
{
	rt->target->silent_cm = true;
}

static void connect_silent(struct rt *rt)
{
	rt->target->silent_connect = true;
}

static void admin_silent(struct rt *rt)
{
	rt->target->silent_admin = true;
}

static void never_ready(struct rt *rt)
{
	rt->target->csts_never = true;
	rt->target->cap_and = ~(0xffull << 24); /* CAP.TO: 500 ms */
	rt->target->cap_or = 1ull << 24;
}

static void too_deep(struct rt *rt)
{
	rt->target->admin_entries = 32;
	rt->opts.admin_queue_depth = 128;
}

static void rejected(struct rt *rt)
{
	rt->target->reject_times = 1;
	rt->target->reject_status = 6;
}

static void bad_data(struct rt *rt)
{
	rt->target->bad_accept = true;
	rt->target->accept[0] = 7; /* of another format */
	rt->target->accept_len = 32;
}

static void busy(struct rt *rt)
{
	rt->target->connect_times = 1;
	rt->target->connect_status = EMU_STATUS(1, 0x81);
}

static void bad_fmt(struct rt *rt)
{
	rt->target->connect_times = 1;
	rt->target->connect_status = EMU_STATUS(1, 0x80) | NVMUX_STATUS_DNR;
}

static void no_memory(struct rt *rt)
{
	fake_fail(FAKE_REG_MR, 1, ENOMEM);
}

static void bad_name(struct rt *rt)
{
	snprintf(rt->trid.traddr, sizeof(rt->trid.traddr), "10.0.0.999");
}

static void no_such_source(struct rt *rt)
{
	snprintf(rt->trid.host_traddr, sizeof(rt->trid.host_traddr), "10.0.0.77");
}

static const struct failure failures[] = {
	{"wrong NQN", -ENOENT, "nqn.2024-01.test:other", wrong_nqn},
	{"host not allowed", -EACCES, "nqn.2024-01.test:host", host_not_allowed},
	{"wrong port", -ECONNREFUSED, "4999", wrong_port},
	{"no route", -ENETUNREACH, "no route", no_route},
	{"nobody there", -EHOSTUNREACH, "nobody answers", nobody_there},
	{"no device there", -ENODEV, "no RDMA device", no_device},
	{"no connection manager", -ENODEV, "RDMA", no_cm},
	{"route error", -EINVAL, "resolve", route_error},
	{"route never answered", -ETIMEDOUT, "route", route_silent},
	{"request never answered", -ETIMEDOUT, "no answer", cm_silent},
	{"Connect never answered", -ETIMEDOUT, "Connect", connect_silent},
	{"property never answered", -ETIMEDOUT, "answer", admin_silent},
	{"never ready", -ETIMEDOUT, "RDY", never_ready},
	{"rejected", -1, "resources", rejected},
	{"private data", -EPROTO, "private data", bad_data},
	{"busy", -EBUSY, "busy", busy},
	{"format", -1, "", bad_fmt},
	{"no memory", -ENOMEM, "", no_memory},
	{"no address", -EINVAL, "10.0.0.999", bad_name},
	{"no such source", -1, "10.0.0.77", no_such_source},
};

static void test_failures(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		const struct failure *f = &failures[i];
		uint64_t began = fake_now_ms();
		struct rt rt;
		int err;

		rt_begin(&rt, RT_NS);
		f->prepare(&rt);
		err = rt_attach(&rt);
		print_message("# %s: %d %s\n", f->name, err, nvmux_error_text(rt.nvmux));
		if (f->err == -1 ? err >= 0 : err != f->err)
			fail_msg("%s: %d (%s)", f->name, err, nvmux_error_text(rt.nvmux));
		assert_non_null(strstr(nvmux_error_text(rt.nvmux), f->text));
		assert_true(fake_now_ms() - began < 8000);
		assert_int_equal(fake_objects(), 0);
		assert_int_equal(rt.target->connections, 0);
		rt_end(&rt);
	}
}

/* Deeper than the target takes: cut by itself or said, but never left hanging. */
static void test_admin_queue_too_deep(void **state)
{
	struct rt rt;
	int err;

	rt_begin(&rt, RT_NS);
	too_deep(&rt);
	err = rt_attach(&rt);
	print_message("# %d %s\n", err, nvmux_error_text(rt.nvmux));
	if (err)
		assert_non_null(strstr(nvmux_error_text(rt.nvmux), "128"));
	rt_end(&rt);
}

/* Every call into the RDMA libraries fails once. */
static void test_each_call_fails(void **state)
{
	for (unsigned nth = 1; nth < 500; nth++) {
		struct nvmux_io_qpair_opts opts;
		struct nvmux_qpair *q[2] = {NULL};
		bool failed;
		struct rt rt;
		int err;

		rt_begin(&rt, "null,size=16M,queues=4");
		fake_fail_any(nth);
		err = rt_attach(&rt);
		if (!err)
			nvmux_poll_group_create(rt.nvmux, &rt.group);
		for (int i = 0; i < 2 && !err; i++) {
			nvmux_io_qpair_opts_init(rt.ctrlr, &opts, sizeof(opts));
			opts.poll_group = i ? rt.group : NULL;
			opts.io_queue_depth = 8;
			err = nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, &opts, &q[i]);
		}
		failed = fake_failed();
		fake_fail_any(0);
		if (err && !*nvmux_error_text(rt.nvmux) && err != -ENOMEM && err != -ECANCELED)
			fail_msg("call %u: no text for %d", nth, err);
		nvmux_qpair_free(q[0]);
		nvmux_qpair_free(q[1]);
		rt_end(&rt);
		if (!failed)
			return;
	}
	fail_msg("it never ended");
}

static void test_io_queue_failures(void **state)
{
	struct nvmux_qpair *q;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	assert_int_equal(rt_attach(&rt), 0);
	rt.target->reject_qid = 1;
	rt.target->reject_times = 1;
	rt.target->reject_status = 5;
	assert_true(nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, NULL, &q) < 0);
	rt.target->connect_qid = 1;
	rt.target->connect_times = 1;
	rt.target->connect_status = EMU_STATUS(1, 0x82) | NVMUX_STATUS_DNR;
	rt.target->connect_dw0 = 44;
	assert_true(nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, NULL, &q) < 0);
	rt.target->silent_connect = true;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, NULL, &q), -ETIMEDOUT);
	rt.target->silent_connect = false;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, NULL, &q), 0);
	assert_int_equal(rt.target->connections, 2);
	nvmux_qpair_free(q);
	assert_int_equal(rt.target->connections, 1);
	assert_int_equal(rt_state(&rt), NVMUX_CONNECTION_UP);
	rt_end(&rt);
}

/* A target frees a queue some time after its connection. */
static void test_io_queue_is_still_there(void **state)
{
	struct nvmux_qpair *q;
	struct rt rt;

	rt_begin(&rt, RT_NS);
	assert_int_equal(rt_attach(&rt), 0);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(rt.ctrlr, NULL, &q), 0);
	rt.target->connect_qid = 1;
	rt.target->connect_status = NVME_SC_CMD_SEQ_ERROR | NVMUX_STATUS_DNR;
	for (unsigned times = 3; times <= 1000; times += 997) {
		assert_int_equal(nvmux_qpair_disconnect(q), 0);
		assert_int_equal(rt.target->connections, 1);
		rt.target->connect_times = times;
		if (times == 3) {
			assert_int_equal(nvmux_qpair_reconnect(q), 0);
			assert_int_equal(rt.target->connect_times, 0);
			continue;
		}
		assert_int_equal(nvmux_qpair_reconnect(q), -EBUSY);
		assert_non_null(strstr(nvmux_error_text(rt.nvmux), "has such a queue already"));
		assert_true(rt.target->connect_times < 1000 - 3);
	}
	rt.target->connect_times = 0;
	assert_int_equal(nvmux_qpair_reconnect(q), 0);
	assert_int_equal(rt.target->connections, 2);
	nvmux_qpair_free(q);
	rt_end(&rt);
}

static void attached(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr, int err)
{
	int *ret = arg;

	*ret = err ? err : 1;
}

/* The context goes while an attach is in each of its steps. */
static void test_context_goes_during_attach(void **state)
{
	for (int turns = 0; turns < 60; turns++) {
		int result = 0;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		assert_int_equal(
			nvmux_connect_async(rt.nvmux, &rt.trid, &rt.opts, attached, &result), 0);
		for (int i = 0; i < turns; i++)
			nvmux_process(rt.nvmux);
		rt_end(&rt);
	}
}

/* The device goes while an attach is in each of its steps. */
static void test_device_goes_during_attach(void **state)
{
	for (int turns = 0; turns < 120; turns++) {
		int result = 0;
		struct rt rt;

		rt_begin(&rt, RT_NS);
		assert_int_equal(
			nvmux_connect_async(rt.nvmux, &rt.trid, &rt.opts, attached, &result), 0);
		for (int i = 0; i < turns / 2; i++)
			nvmux_process(rt.nvmux);
		fake_device_remove(rt.dev, turns % 2);
		for (int i = 0; i < 3000 && !result; i++)
			rt_turn(&rt);
		assert_int_not_equal(result, 0);
		rt_end(&rt);
	}
}

/* That of the adapter, as long as there is one. */
static void test_numa_node(void **state)
{
	char dir[] = "/tmp/nvmux-rdma-XXXXXX", path[64];
	struct ibv_device *device;
	FILE *file;
	struct rt rt;

	assert_non_null(mkdtemp(dir));
	rt_begin(&rt, RT_NS);
	assert_int_equal(rt_attach(&rt), 0);
	device = rdma_ctrlr(rt.ctrlr)->verbs->device;
	assert_int_equal(nvmux_ctrlr_get_numa_id(rt.ctrlr), -1); /* as of one in software */
	snprintf(device->ibdev_path, sizeof(device->ibdev_path), "%s", dir);
	snprintf(path, sizeof(path), "%s/device", dir);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/device/numa_node", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("2\n", file);
	fclose(file);
	assert_int_equal(nvmux_ctrlr_get_numa_id(rt.ctrlr), 2);
	unlink(path);
	snprintf(path, sizeof(path), "%s/device", dir);
	rmdir(path);
	rmdir(dir);
	rt_end(&rt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numa_node),
		cmocka_unit_test(test_attach_identify_detach),
		cmocka_unit_test(test_ipv6_and_source_address),
		cmocka_unit_test(test_options_reach_the_connection),
		cmocka_unit_test(test_two_controllers_and_many_queue_pairs),
		cmocka_unit_test(test_poll_group_grows_or_makes_another_queue),
		cmocka_unit_test(test_crqsize_limits_depth),
		cmocka_unit_test(test_no_private_data_in_accept),
		cmocka_unit_test(test_idle_connection_stays),
		cmocka_unit_test(test_no_keep_alive_when_asked),
		cmocka_unit_test(test_no_keep_alive_in_shutdown),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_admin_queue_too_deep),
		cmocka_unit_test(test_each_call_fails),
		cmocka_unit_test(test_io_queue_failures),
		cmocka_unit_test(test_io_queue_is_still_there),
		cmocka_unit_test(test_context_goes_during_attach),
		cmocka_unit_test(test_device_goes_during_attach),
	};

	return cmocka_run_group_tests_name("rdma_ctrlr", tests, NULL, NULL);
}
