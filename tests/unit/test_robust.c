// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands that fail or aren't answered, on a device that can be told to do so: injected errors,
 * repetition for a status, the ladder of time-outs, reset with commands in flight, and queue pairs
 * and controllers that are disconnected and connected again. Time passes only where a test sleeps
 * (fake_clock.c).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <nvmux/admin.h>
#include <nvmux/fault.h>
#include <nvmux/io.h>
#include "outcome.h"
#include "queue_fixture.h"
#include "libcore/faults.h"

#define DEPTH      8
#define TIMEOUT_MS 40
#define ALL_RESETS (LADDER_HAS_FUNCTION | LADDER_HAS_NSSR)

static void begin_over(struct fixture *f, const struct nvmux_ctrlr_opts *copts,
		       const struct nvmux_transport *transport)
{
	fixture_open(f, transport, copts, DEPTH, false);
}

static void begin_opts(struct fixture *f, const struct nvmux_ctrlr_opts *copts)
{
	begin_over(f, copts, &fake_keeping_transport);
}

static void begin(struct fixture *f)
{
	fake_reset();
	begin_opts(f, NULL);
}

static void begin_timeouts(struct fixture *f)
{
	struct nvmux_ctrlr_opts opts;

	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.io_timeout_ms = TIMEOUT_MS;
	begin_opts(f, &opts);
}

static int read_one(struct fixture *f, struct outcome *o)
{
	return nvmux_ns_cmd_read(f->ns, f->qpair, f->buf, 0, 1, 0, done, o);
}

static int write_one(struct fixture *f, struct outcome *o)
{
	return nvmux_ns_cmd_write(f->ns, f->qpair, f->buf, 0, 1, 0, done, o);
}

/* Process both for some time. */
static void run_ms(struct fixture *f, uint32_t ms)
{
	uint64_t until = nvmux_now_ms() + ms;

	while (nvmux_now_ms() < until) {
		nvmux_process(f->nvmux);
		nvmux_qpair_process_completions(f->qpair, 0);
		usleep(500);
	}
}

/* Until the controller, or queues of it, are made anew; nobody polls the queue pair. */
static void until_revived(struct fixture *f)
{
	for (; !revive_active(f->ctrlr); usleep(500))
		nvmux_process(f->nvmux);
}

/* ---- injection ---- */

static void injected_instead_of_sent(void **state)
{
	struct nvmux_error_injection in = {.opc = nvme_cmd_read,
					   .do_not_submit = true,
					   .delay_us = 20000,
					   .count = 2,
					   .status = NVME_SC_READ_ERROR | NVMUX_STATUS_DNR};
	struct outcome o[4] = {0};
	struct fixture f;

	begin(&f);
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, f.qpair, &in), 0);
	assert_int_equal(read_one(&f, &o[0]), 0);
	assert_int_equal(write_one(&f, &o[1]), 0);
	assert_int_equal(read_one(&f, &o[2]), 0);
	assert_int_equal(read_one(&f, &o[3]), 0); /* beyond the count */
	assert_int_equal(nvmux_qpair_get_num_outstanding(f.qpair), 4);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o[0].calls + o[2].calls, 0);
	assert_int_equal(o[1].calls + o[3].calls, 2);
	usleep(25000);
	assert_int_equal(nvmux_qpair_process_completions(f.qpair, 0), 2);
	assert_int_equal(o[0].calls, 1);
	assert_int_equal(o[0].status, NVME_SC_READ_ERROR | NVMUX_STATUS_DNR);
	assert_int_equal(o[2].calls, 1);
	assert_int_equal(o[3].status, 0);
	assert_int_equal(f.q->n_cmds, 2);
	assert_int_equal(f.qpair->slow, 0);
	end(&f);
}

static void injected_after_execution(void **state)
{
	struct nvmux_error_injection in = {
		.opc = nvme_cmd_write, .count = UINT32_MAX, .status = NVME_SC_WRITE_FAULT};
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, f.qpair, &in), 0);
	for (uint32_t i = 1; i <= 20; i++) {
		assert_int_equal(write_one(&f, &o), 0);
		nvmux_qpair_process_completions(f.qpair, 0);
		assert_int_equal(o.calls, i);
		assert_int_equal(o.status, NVME_SC_WRITE_FAULT);
		assert_int_equal(f.q->n_cmds, i);
	}
	nvmux_qpair_remove_cmd_error_injection(f.ctrlr, f.qpair, nvme_cmd_write);
	assert_int_equal(f.qpair->slow, 0);
	assert_int_equal(write_one(&f, &o), 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o.status, 0);
	end(&f);
}

static void injected_and_freed(void **state)
{
	struct nvmux_error_injection in = {
		.opc = nvme_cmd_read, .do_not_submit = true, .delay_us = 1000000000, .count = 100};
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, f.qpair, &in), 0);
	for (int i = 0; i < DEPTH; i++)
		assert_int_equal(read_one(&f, &o), 0);
	assert_int_equal(read_one(&f, &o), -EAGAIN);
	nvmux_qpair_free(f.qpair);
	f.qpair = NULL;
	assert_int_equal(o.calls, DEPTH);
	assert_int_equal(o.status, NVME_SC_ABORT_QUEUE);
	end(&f);
}

/* What the library says of a command that never came back isn't replaced. */
static void injected_and_lost(void **state)
{
	struct nvmux_error_injection in = {.opc = nvme_cmd_write, .count = UINT32_MAX};
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, f.qpair, &in), 0);
	f.q->n_drop = 1;
	assert_int_equal(write_one(&f, &o), 0);
	assert_int_equal(nvmux_qpair_disconnect(f.qpair), 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, NVME_SC_ABORT_QUEUE);
	/* the next one has the record */
	assert_int_equal(nvmux_qpair_reconnect(f.qpair), 0);
	f.q->io_fail_at = f.q->n_cmds;
	f.q->io_status = NVME_SC_WRITE_FAULT;
	assert_int_equal(write_one(&f, &o), 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o.calls, 2);
	assert_int_equal(o.status, 0);
	end(&f);
}

static struct fixture *again;
static uint32_t n_again;

static void write_again(void *arg, const struct nvmux_cpl *cpl)
{
	struct outcome *o = arg;

	o->calls++;
	if (o->calls < 1000 &&
	    !nvmux_ns_cmd_write(again->ns, again->qpair, again->buf, 0, 1, 0, write_again, o))
		n_again++;
}

/* A callback that submits once more, into the same injection, while all are aborted. */
static void injected_without_end(void **state)
{
	struct nvmux_error_injection in = {.opc = nvme_cmd_write,
					   .do_not_submit = true,
					   .delay_us = 1000000000,
					   .count = UINT32_MAX};
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	again = &f;
	n_again = 0;
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, f.qpair, &in), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(nvmux_ns_cmd_write(f.ns, f.qpair, f.buf, 0, 1, 0, write_again, &o),
				 0);
	nvmux_qpair_abort_all(f.qpair, NVMUX_SC_CTRLR_GONE);
	assert_int_equal(o.calls, 3);
	assert_int_equal(n_again, 3);
	assert_int_equal(nvmux_qpair_get_num_outstanding(f.qpair), 3);
	nvmux_qpair_free(f.qpair);
	f.qpair = NULL;
	assert_int_equal(o.calls, 6);
	end(&f);
}

/* The write finds no room: the comparison isn't left alone with the controller. */
static void half_of_a_fused_pair(void **state)
{
	struct nvmux_error_injection in = {
		.opc = nvme_cmd_read, .do_not_submit = true, .count = UINT32_MAX};
	struct outcome o = {0}, fused = {0};
	struct fixture f;

	begin(&f);
	f.ctrlr->id.fuses = cpu_to_le16(NVME_CTRL_FUSES_COMPARE_AND_WRITE);
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, f.qpair, &in), 0);
	in = (struct nvmux_error_injection){
		.opc = nvme_cmd_write, .do_not_submit = true, .count = UINT32_MAX,
		.status = NVME_SC_WRITE_FAULT};
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, f.qpair, &in), 0);
	/* it is executed, and its status replaced */
	assert_int_equal(nvmux_ns_cmd_compare_and_write(f.ns, f.qpair, f.buf, f.buf, 0, 1, 0, done,
							&fused),
			 0);
	assert_int_equal(f.q->n_cmds, 2);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(fused.calls, 1);
	assert_int_equal(fused.status, NVME_SC_WRITE_FAULT);
	for (int i = 0; i < DEPTH; i++)
		assert_int_equal(read_one(&f, &o), 0);
	f.q->io_fail_at = 2;
	f.q->io_status = NVME_SC_ABORT_MISSING;
	assert_int_equal(nvmux_ns_cmd_compare_and_write(f.ns, f.qpair, f.buf, f.buf, 0, 1, 0, done,
							&fused),
			 0);
	assert_int_equal(f.q->n_cmds, 4);
	assert_int_equal(f.q->cmds[3].opc, nvme_cmd_flush);
	assert_int_equal(f.q->cmds[3].flags, 0);
	assert_int_equal(f.qpair->slow & NVMUX_SLOW_FUSED, 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(fused.calls, 2);
	assert_int_equal(fused.status, NVME_SC_ABORT_MISSING);
	end(&f);
}

/* Commands are found by what they were submitted with, whatever has been put around that. */
static void aborted_by_argument(void **state)
{
	struct nvmux_error_injection in = {.opc = nvme_cmd_write, .count = UINT32_MAX};
	const struct nvmux_dsm_range range = {.lba_count = cpu_to_le32(1)};
	const struct nvmux_cmd cmd = {.opc = nvme_admin_get_features};
	struct outcome large = {0}, small = {0}, ranges = {0}, admin = {0}, o = {0};
	struct fixture f;

	begin(&f);
	f.ctrlr->id.oncs = cpu_to_le16(NVME_CTRL_ONCS_DSM);
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, f.qpair, &in), 0);
	f.q->hold = true;
	assert_int_equal(nvmux_ns_cmd_write(f.ns, f.qpair, f.buf, 0,
					    2 * (f.ctrlr->max_transfer / 512), 0, done, &large),
			 0);
	assert_int_equal(write_one(&f, &small), 0);
	assert_int_equal(nvmux_ns_cmd_dataset_management(f.ns, f.qpair, NVMUX_DSM_DEALLOCATE,
							 &range, 1, done, &ranges),
			 0);
	fake.admin[nvme_admin_abort_cmd] = 0;
	assert_int_equal(nvmux_ctrlr_cmd_abort_ext(f.ctrlr, f.qpair, &large, done, &o), 0);
	assert_int_equal(nvmux_ctrlr_cmd_abort_ext(f.ctrlr, f.qpair, &small, done, &o), 0);
	assert_int_equal(nvmux_ctrlr_cmd_abort_ext(f.ctrlr, f.qpair, &ranges, done, &o), 0);
	run_ms(&f, 5);
	assert_int_equal(o.calls, 3);
	assert_int_equal(fake.admin[nvme_admin_abort_cmd], 4);
	f.q->hold = false;
	/* also on the admin queue */
	in.opc = nvme_admin_get_features;
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, NULL, &in), 0);
	fake.inline_answers = false;
	assert_int_equal(nvmux_ctrlr_cmd_admin_raw(f.ctrlr, &cmd, NULL, 0, done, &admin), 0);
	assert_int_equal(nvmux_ctrlr_cmd_abort_ext(f.ctrlr, NULL, &admin, done, &o), 0);
	run_ms(&f, 20);
	assert_int_equal(admin.calls, 1);
	assert_int_equal(o.calls, 4);
	end(&f);
}

static void injected_into_admin_queue(void **state)
{
	struct nvmux_error_injection in = {.opc = nvme_admin_get_features,
					   .do_not_submit = true,
					   .delay_us = 5000,
					   .count = 1,
					   .status = NVME_SC_INTERNAL};
	const struct nvmux_cmd cmd = {.opc = nvme_admin_get_features};
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	fake.admin[nvme_admin_get_features] = 0;
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, NULL, &in), 0);
	assert_int_equal(nvmux_ctrlr_cmd_admin_raw(f.ctrlr, &cmd, NULL, 0, done, &o), 0);
	run_ms(&f, 20);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, NVME_SC_INTERNAL);
	assert_int_equal(fake.admin[nvme_admin_get_features], 0);
	end(&f);
}

/* ---- retry ---- */

static void retried(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	f.q->io_fail_at = 0;
	f.q->io_status = NVME_SC_NS_NOT_READY;
	assert_int_equal(read_one(&f, &o), 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o.calls, 0);
	assert_int_equal(f.qpair->slow, NVMUX_SLOW_HELD);
	assert_int_equal(nvmux_qpair_get_num_outstanding(f.qpair), 1);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, 0);
	assert_int_equal(f.q->n_reposts, 1);
	assert_int_equal(f.qpair->slow, 0);
	end(&f);
}

static void identify_crdt(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf)
{
	if ((le32_to_cpu(cmd->cdw10) & 0xff) == NVME_IDENTIFY_CNS_CTRL)
		((struct nvme_id_ctrl *)buf)->crdt2 = cpu_to_le16(1); /* 100 ms */
}

static void retried_when_crd_says(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	fake_reset();
	fake.identify = identify_crdt;
	begin_opts(&f, NULL);
	f.q->io_fail_at = 0;
	f.q->io_status = NVME_SC_CMD_INTERRUPTED | 2 << NVMUX_STATUS_CRD_SHIFT;
	assert_int_equal(write_one(&f, &o), 0);
	run_ms(&f, 60);
	assert_int_equal(o.calls, 0);
	run_ms(&f, 60);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, 0);
	end(&f);
}

/* The controller wants it to be repeated in two hours. */
static void identify_long_crdt(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf)
{
	if ((le32_to_cpu(cmd->cdw10) & 0xff) == NVME_IDENTIFY_CNS_CTRL)
		((struct nvme_id_ctrl *)buf)->crdt2 = cpu_to_le16(65535);
}

static void not_retried_too_late(void **state)
{
	const uint16_t status = NVME_SC_CMD_INTERRUPTED | 2 << NVMUX_STATUS_CRD_SHIFT;
	struct outcome o = {0};
	struct fixture f;

	fake_reset();
	fake.identify = identify_long_crdt;
	begin_opts(&f, NULL);
	f.q->io_fail_at = 0;
	f.q->io_status = status;
	assert_int_equal(read_one(&f, &o), 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, status);
	assert_int_equal(f.q->n_reposts, 0);
	end(&f);
}

/* Who waits for completions mustn't while something is to be done without one. */
static void needs_turns(void **state)
{
	struct nvmux_error_injection in = {.opc = nvme_cmd_write,
					   .do_not_submit = true,
					   .delay_us = 1000,
					   .count = 1,
					   .status = NVME_SC_WRITE_FAULT};
	struct outcome o[2] = {0};
	struct fixture f;

	begin(&f);
	assert_false(nvmux_qpair_needs_turns(f.qpair));
	f.q->io_fail_at = 0;
	f.q->io_status = NVME_SC_NS_NOT_READY;
	assert_int_equal(read_one(&f, &o[0]), 0);
	assert_false(nvmux_qpair_needs_turns(f.qpair));
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_true(nvmux_qpair_needs_turns(f.qpair));
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o[0].calls, 1);
	assert_false(nvmux_qpair_needs_turns(f.qpair));
	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f.ctrlr, f.qpair, &in), 0);
	assert_false(nvmux_qpair_needs_turns(f.qpair));
	assert_int_equal(write_one(&f, &o[1]), 0);
	assert_true(nvmux_qpair_needs_turns(f.qpair));
	run_ms(&f, 5);
	assert_int_equal(o[1].calls, 1);
	assert_false(nvmux_qpair_needs_turns(f.qpair));
	end(&f);
}

static void not_retried(void **state)
{
	static const uint16_t statuses[] = {
		NVME_SC_NS_NOT_READY | NVMUX_STATUS_DNR, NVME_SC_INTERNAL, NVME_SC_READ_ERROR,
		NVME_SC_COMPARE_FAILED, NVME_SC_LBA_RANGE};
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	for (uint32_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		f.q->io_fail_at = i;
		f.q->io_status = statuses[i];
		assert_int_equal(read_one(&f, &o), 0);
		nvmux_qpair_process_completions(f.qpair, 0);
		assert_int_equal(o.calls, i + 1);
		assert_int_equal(o.status, statuses[i]);
	}
	assert_int_equal(f.q->n_reposts, 0);
	end(&f);
}

static void retried_so_often(void **state)
{
	struct nvmux_ctrlr_opts opts;
	struct outcome o = {0};
	struct fixture f;

	fake_reset();
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.retry_count = 3;
	begin_opts(&f, &opts);
	f.q->io_status = NVME_SC_TRAN_TPORT_ERROR;
	assert_int_equal(read_one(&f, &o), 0);
	f.q->ready[0].status = cpu_to_le16(NVME_SC_TRAN_TPORT_ERROR << 1);
	for (uint32_t i = 0; i < 10 && !o.calls; i++) {
		f.q->io_fail_at = f.q->n_cmds; /* each one */
		nvmux_qpair_process_completions(f.qpair, 0);
	}
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, NVME_SC_TRAN_TPORT_ERROR);
	assert_int_equal(f.q->n_reposts, 3);
	end(&f);
}

/* A controller that completes once more what is held has no such command. */
static void held_and_completed(void **state)
{
	struct nvmux_cpl cpl = {.status = cpu_to_le16(NVME_SC_NS_NOT_READY << 1)};
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	f.q->io_fail_at = 0;
	f.q->io_status = NVME_SC_NS_NOT_READY;
	assert_int_equal(read_one(&f, &o), 0);
	cpl.cid = f.q->ready[0].cid;
	nvmux_qpair_process_completions(f.qpair, 0);
	for (uint32_t i = 0; i < 4 * DEPTH; i++)
		assert_false(nvmux_qpair_complete(f.qpair, &cpl));
	cpl.status = 0;
	assert_false(nvmux_qpair_complete(f.qpair, &cpl));
	assert_int_equal(o.calls, 0);
	assert_int_equal(f.qpair->unknown_cids, 4 * DEPTH + 1);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, 0);
	end(&f);
}

static void held_and_freed(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	f.q->io_fail_at = 0;
	f.q->io_status = NVME_SC_NS_NOT_READY;
	assert_int_equal(read_one(&f, &o), 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	nvmux_qpair_free(f.qpair);
	f.qpair = NULL;
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, NVME_SC_ABORT_QUEUE);
	end(&f);
}

/* ---- reset with commands in flight ---- */

static void reset_repeats(void **state)
{
	struct outcome o[4] = {0};
	const struct nvmux_cmd vendor = {.opc = 0x90, .nsid = cpu_to_le32(1)};
	struct fixture f;

	begin(&f);
	f.q->hold = true;
	assert_int_equal(read_one(&f, &o[0]), 0);
	assert_int_equal(write_one(&f, &o[1]), 0);
	assert_int_equal(nvmux_ns_cmd_flush(f.ns, f.qpair, done, &o[2]), 0);
	assert_int_equal(nvmux_ctrlr_cmd_io_raw(f.ctrlr, f.qpair, &vendor, NULL, 0, done, &o[3]),
			 0);
	f.q->hold = false;
	f.q->n_ready = 0; /* the device loses them */
	assert_int_equal(nvmux_ctrlr_reset(f.ctrlr), 0);
	run_ms(&f, 10);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(o[i].calls, 1);
		assert_int_equal(o[i].status, 0);
	}
	assert_int_equal(o[3].calls, 1);
	assert_int_equal(o[3].status, NVMUX_SC_OUTCOME_UNKNOWN | NVMUX_STATUS_DNR);
	assert_int_equal(f.q->n_reposts, 3);
	assert_true(nvmux_qpair_is_connected(f.qpair));
	assert_int_equal(read_one(&f, &o[0]), 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o[0].calls, 2);
	end(&f);
}

static void subsystem_reset(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	assert_int_equal(nvmux_ctrlr_reset_subsystem(f.ctrlr), -EOPNOTSUPP);
	end(&f);
	fake_reset();
	fake.cap = 1ull << 36;
	begin_opts(&f, NULL);
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o), 0);
	assert_int_equal(nvmux_ctrlr_reset_subsystem(f.ctrlr), 0);
	assert_int_equal(fake.nssr, 1);
	run_ms(&f, 5);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, 0);
	end(&f);
}

static struct {
	uint32_t left; /* reads of CSTS until it is over */
	bool too_early;
} nssr;

/* A subsystem reset takes its time: registers read all ones first, then RDY is still 1. */
static bool slow_nssr(struct nvmux_ctrlr *ctrlr, bool read, uint32_t offset, uint64_t *value)
{
	const struct nvmux_qpair *qpair = TAILQ_FIRST(&ctrlr->qpairs);

	if (!read && offset == NVME_REG_NSSR)
		nssr.left = 6;
	if (!read || offset != NVME_REG_CSTS || !nssr.left)
		return false;
	nssr.too_early |= qpair && !qpair->live;
	*value = nssr.left-- > 3 ? UINT32_MAX : 1;
	return true;
}

static void subsystem_reset_is_waited_for(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	fake_reset();
	fake.cap = 1ull << 36;
	begin_opts(&f, NULL);
	fake.reg = slow_nssr;
	nssr.too_early = false;
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o), 0);
	assert_int_equal(nvmux_ctrlr_reset_subsystem(f.ctrlr), 0);
	assert_int_equal(fake.nssr, 1);
	assert_int_equal(nssr.left, 0);
	assert_false(nssr.too_early);
	run_ms(&f, 5);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, 0);
	end(&f);
}

/* ---- disconnected by the owner ---- */

static void qpair_disconnected(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o), 0);
	assert_int_equal(nvmux_qpair_get_failure_reason(f.qpair), NVMUX_QPAIR_FAILURE_NONE);
	assert_int_equal(nvmux_qpair_disconnect(f.qpair), 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, NVME_SC_ABORT_QUEUE);
	assert_int_equal(nvmux_qpair_get_failure_reason(f.qpair), NVMUX_QPAIR_FAILURE_LOCAL);
	assert_int_equal(read_one(&f, &o), -ENXIO);
	assert_int_equal(nvmux_qpair_disconnect(f.qpair), -ENOTCONN);
	assert_int_equal(nvmux_qpair_reconnect(f.qpair), 0);
	assert_int_equal(nvmux_qpair_reconnect(f.qpair), -EISCONN);
	assert_int_equal(read_one(&f, &o), 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o.calls, 2);
	assert_int_equal(nvmux_qpair_disconnect(f.qpair), 0);
	end(&f);
}

/* Its owner has it disconnected: that isn't undone by what is done to the controller. */
static void qpair_stays_disconnected(void **state)
{
	struct outcome o = {0};
	struct fixture f;
	int err;

	begin(&f);
	assert_int_equal(nvmux_qpair_disconnect(f.qpair), 0);
	assert_int_equal(nvmux_ctrlr_disconnect(f.ctrlr), 0);
	assert_int_equal(nvmux_ctrlr_reconnect_start(f.ctrlr), 0);
	while ((err = nvmux_ctrlr_reconnect_poll_async(f.ctrlr)) == -EAGAIN)
		usleep(100);
	assert_int_equal(err, 0);
	assert_false(nvmux_qpair_is_connected(f.qpair));
	assert_int_equal(nvmux_qpair_reconnect(f.qpair), 0);
	assert_int_equal(read_one(&f, &o), 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o.calls, 1);
	end(&f);
}

static void ctrlr_disconnected(void **state)
{
	struct outcome o = {0};
	struct fixture f;
	int err;

	begin(&f);
	f.q->n_drop = 1;
	assert_int_equal(write_one(&f, &o), 0);
	assert_int_equal(nvmux_ctrlr_disconnect(f.ctrlr), 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, NVME_SC_ABORT_QUEUE);
	assert_int_equal(write_one(&f, &o), -ENXIO);
	assert_int_equal(nvmux_ctrlr_reconnect_start(f.ctrlr), 0);
	while ((err = nvmux_ctrlr_reconnect_poll_async(f.ctrlr)) == -EAGAIN)
		usleep(100);
	assert_int_equal(err, 0);
	assert_int_equal(write_one(&f, &o), 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o.calls, 2);
	end(&f);
}

/* ---- time-outs ---- */

static void the_ladder(void **state)
{
	struct ladder l = {0};

	assert_int_equal(ladder_look(&l, 10, false, ALL_RESETS), LADDER_GROUND);
	assert_int_equal(ladder_look(&l, 11, true, ALL_RESETS), LADDER_ABORT);
	assert_int_equal(ladder_look(&l, 12, true, ALL_RESETS), LADDER_GROUND);
	assert_int_equal(ladder_look(&l, 15, true, ALL_RESETS), LADDER_QUEUE);
	/* it helped for a time-out, and no longer */
	assert_int_equal(ladder_look(&l, 16, false, ALL_RESETS), LADDER_GROUND);
	assert_int_equal(ladder_look(&l, 21, true, ALL_RESETS), LADDER_CTRLR);
	assert_int_equal(ladder_look(&l, 25, true, ALL_RESETS), LADDER_FUNCTION);
	assert_int_equal(ladder_look(&l, 29, true, ALL_RESETS), LADDER_SUBSYSTEM);
	assert_int_equal(ladder_look(&l, 33, true, ALL_RESETS), LADDER_FAIL);
	/* without these two, and after a long time without trouble */
	l = (struct ladder){.rung = LADDER_CTRLR, .at = 100};
	assert_int_equal(ladder_look(&l, 104, true, LADDER_HAS_NSSR), LADDER_SUBSYSTEM);
	l = (struct ladder){.rung = LADDER_CTRLR, .at = 100};
	assert_int_equal(ladder_look(&l, 104, true, 0), LADDER_FAIL);
	l = (struct ladder){.rung = LADDER_CTRLR, .at = 100};
	assert_int_equal(ladder_look(&l, 101, false, 0), LADDER_GROUND);
	assert_int_equal(ladder_look(&l, 110, false, 0), LADDER_GROUND);
	assert_int_equal(ladder_look(&l, 111, true, 0), LADDER_ABORT);
}

struct timeouts {
	uint32_t calls;
	struct nvmux_qpair *qpair;
	uint16_t cid;
};

static void timed_out(void *arg, struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair, uint16_t cid)
{
	struct timeouts *t = arg;

	t->calls++;
	t->qpair = qpair;
	t->cid = cid;
}

static void timeout_callback(void **state)
{
	struct timeouts t = {0};
	struct outcome o[2] = {0};
	struct fixture f;

	begin(&f);
	assert_int_equal(nvmux_ctrlr_register_timeout_callback(f.ctrlr, TIMEOUT_MS, 0, timed_out,
							       &t),
			 0);
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o[0]), 0);
	run_ms(&f, TIMEOUT_MS / 2);
	assert_int_equal(t.calls, 0);
	assert_int_equal(read_one(&f, &o[1]), 0);
	run_ms(&f, TIMEOUT_MS * 3);
	assert_int_equal(t.calls, 1); /* once, and the controller is left alone */
	assert_ptr_equal(t.qpair, f.qpair);
	assert_non_null(f.qpair->slots[t.cid & f.qpair->cid_mask].cb);
	assert_int_equal(f.qpair->slots[t.cid & f.qpair->cid_mask].cid, t.cid);
	assert_int_equal(o[0].calls, 0);
	assert_int_equal(o[1].calls, 1);
	assert_int_equal(fake.admin[nvme_admin_abort_cmd], 0);
	end(&f);
}

/* One that is repeated for its status has a time-out of its own. */
static void timeout_after_retry(void **state)
{
	struct timeouts t = {0};
	struct outcome o = {0};
	struct fixture f;

	begin(&f);
	assert_int_equal(nvmux_ctrlr_register_timeout_callback(f.ctrlr, TIMEOUT_MS, 0, timed_out,
							       &t),
			 0);
	f.q->n_drop = 2;
	assert_int_equal(read_one(&f, &o), 0);
	run_ms(&f, TIMEOUT_MS * 2);
	assert_int_equal(t.calls, 1);
	f.q->ready[f.q->n_ready++] = (struct nvmux_cpl){
		.cid = cpu_to_le16(t.cid), .status = cpu_to_le16(NVME_SC_NS_NOT_READY << 1)};
	run_ms(&f, TIMEOUT_MS * 3);
	assert_int_equal(f.q->n_reposts, 1);
	assert_int_equal(o.calls, 0);
	assert_int_equal(t.calls, 2);
	end(&f);
}

struct neglect {
	struct fixture *f;
	struct nvmux_qpair *second;
	bool detach;
	uint32_t calls;
	bool detached;
};

static void was_detached(void *arg, int err)
{
	*(bool *)arg = true;
}

static void end_neglected(void *arg, struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
			  uint16_t cid)
{
	struct neglect *n = arg;

	assert_int_equal(cid, NVMUX_CID_UNKNOWN);
	n->calls++;
	if (n->detach) {
		nvmux_detach_async(ctrlr, was_detached, &n->detached);
		return;
	}
	nvmux_qpair_free(n->f->qpair);
	nvmux_qpair_free(n->second);
	n->f->qpair = NULL;
}

/* The callback for queue pairs that nobody polls may free them all, or detach the controller. */
static void freed_when_neglected(void **state)
{
	for (int detach = 0; detach < 2; detach++) {
		struct fixture f;
		struct neglect n = {.f = &f, .detach = detach};
		struct outcome o[2] = {0};
		uint64_t until;

		begin(&f);
		assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f.ctrlr, NULL, &n.second), 0);
		assert_int_equal(nvmux_ctrlr_register_timeout_callback(f.ctrlr, TIMEOUT_MS, 0,
								       end_neglected, &n),
				 0);
		assert_int_equal(read_one(&f, &o[0]), 0);
		assert_int_equal(nvmux_ns_cmd_read(f.ns, n.second, f.buf, 0, 1, 0, done, &o[1]),
				 0);
		until = nvmux_now_ms() + TIMEOUT_MS * 4;
		for (; nvmux_now_ms() < until; usleep(500))
			nvmux_process(f.nvmux);
		assert_int_equal(n.calls, 1);
		assert_int_equal(n.detached, detach);
		assert_int_equal(o[0].calls, 1);
		assert_int_equal(o[1].calls, 1);
		f.qpair = NULL;
		end(&f);
	}
}

static void ladder_deletes_the_queue(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	fake_reset();
	begin_timeouts(&f);
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o), 0);
	run_ms(&f, TIMEOUT_MS * 4);
	assert_int_equal(fake.admin[nvme_admin_abort_cmd], 1);
	assert_int_equal(f.q->n_reposts, 1);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, 0);
	assert_false(nvmux_ctrlr_is_failed(f.ctrlr));
	end(&f);
}

/* One that is never answered is repeated once, and costs a reset, not the controller. */
static void ladder_ends_the_command(void **state)
{
	struct outcome o[2] = {0};
	struct fixture f;

	fake_reset();
	begin_timeouts(&f);
	f.q->n_drop = 2;
	assert_int_equal(read_one(&f, &o[0]), 0);
	run_ms(&f, TIMEOUT_MS * 12);
	assert_int_equal(o[0].calls, 1);
	assert_int_equal(o[0].status, NVME_SC_ABORT_REQ | NVMUX_STATUS_DNR);
	assert_int_equal(f.q->n_reposts, 1); /* after the queue */
	assert_int_equal(fake.enables, 2);
	assert_false(f.removed);
	f.q->n_drop = 2;
	assert_int_equal(nvmux_ns_cmd_write(f.ns, f.qpair, f.buf, 0, 1, 0, done, &o[1]), 0);
	run_ms(&f, TIMEOUT_MS * 12);
	assert_int_equal(o[1].calls, 1);
	assert_int_equal(o[1].status, NVMUX_SC_OUTCOME_UNKNOWN | NVMUX_STATUS_DNR);
	assert_false(f.removed);
	end(&f);
}

/* Nothing is answered, whatever is tried. */
static void ladder_gives_up(void **state)
{
	struct outcome o = {0};
	struct fixture f;
	uint32_t n = 0;

	fake_reset();
	begin_timeouts(&f);
	f.q->n_drop = 100;
	for (int i = 0; i < TIMEOUT_MS * 24 && !f.removed; i++) {
		if (n == o.calls && !read_one(&f, &o))
			n++;
		run_ms(&f, 1);
	}
	assert_true(f.removed);
	assert_int_equal(o.calls, n);
	assert_int_equal(o.status, NVMUX_SC_CTRLR_GONE);
	end(&f);
}

static void fatal_status(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	fake_reset();
	begin_timeouts(&f);
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o), 0);
	fake.csts = 2; /* CFS */
	nvmux_process(f.nvmux);
	until_revived(&f);
	fake.csts = 0;
	run_ms(&f, 20);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, 0);
	assert_false(f.removed);
	end(&f);
}

static void detached_while_stopping(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	fake_reset();
	begin_timeouts(&f);
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o), 0);
	fake.csts = 2;
	until_revived(&f);
	fake.csts = 0;
	f.qpair = NULL;
	assert_int_equal(nvmux_detach(f.ctrlr), 0);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, NVME_SC_ABORT_QUEUE);
	end(&f);
}

/* Every queue pair with an overdue command has its turn, and the others aren't disturbed. */
static void ladder_of_two(void **state)
{
	struct outcome o[2] = {0}, other = {0};
	struct nvmux_qpair *second;
	struct fake_qpair *q;
	struct fixture f;

	fake_reset();
	begin_timeouts(&f);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f.ctrlr, NULL, &second), 0);
	q = container_of(second, struct fake_qpair, base);
	f.q->n_drop = q->n_drop = 1;
	assert_int_equal(read_one(&f, &o[0]), 0);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, second, f.buf, 0, 1, 0, done, &o[1]), 0);
	for (int i = 0; i < TIMEOUT_MS * 4; i++) {
		nvmux_qpair_process_completions(second, 0);
		run_ms(&f, 1);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(o[i].calls, 1);
		assert_int_equal(o[i].status, 0);
	}
	assert_int_equal(f.q->n_reposts, 1);
	assert_int_equal(q->n_reposts, 1);
	assert_int_equal(fake.enables, 1); /* not reset */
	assert_int_equal(read_one(&f, &other), 0);
	run_ms(&f, 2);
	assert_int_equal(other.calls, 1);
	nvmux_qpair_free(second);
	end(&f);
}

/* What has passed before a command was submitted isn't its time; each look after that is. */
static void idle_before(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	for (uint32_t gap = 1; gap <= 3; gap++) {
		begin(&f);
		f.q->n_drop = 1;
		f.ctrlr->tick += 3; /* nobody has looked meanwhile */
		assert_int_equal(read_one(&f, &o), 0);
		nvmux_qpair_process_completions(f.qpair, 0);
		for (int i = 0; i < TIMEOUT_TICKS; i++) {
			f.ctrlr->tick += gap;
			nvmux_qpair_process_completions(f.qpair, 0);
			assert_int_equal(f.qpair->overdue, 0);
		}
		f.ctrlr->tick += gap;
		nvmux_qpair_process_completions(f.qpair, 0);
		assert_int_not_equal(f.qpair->overdue, 0);
		end(&f);
	}
}

/* What a client doesn't take isn't the device's fault. */
static void not_polled(void **state)
{
	struct outcome o[2] = {0};
	struct timeouts t = {0};
	struct fixture f;
	uint64_t until;

	fake_reset();
	begin_timeouts(&f);
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o[0]), 0); /* never answered */
	assert_int_equal(read_one(&f, &o[1]), 0); /* answered at once */
	for (until = nvmux_now_ms() + TIMEOUT_MS * 4; nvmux_now_ms() < until; usleep(500))
		nvmux_process(f.nvmux);
	assert_true(f.qpair->neglected);
	assert_int_equal(fake.admin[nvme_admin_abort_cmd], 0);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o[1].calls, 1);
	nvmux_process(f.nvmux);
	assert_int_equal(fake.admin[nvme_admin_abort_cmd], 0); /* its time begins to count */
	run_ms(&f, TIMEOUT_MS * 4);
	assert_int_equal(o[0].calls, 1);
	assert_int_equal(o[0].status, 0);
	assert_false(f.qpair->neglected);
	/* with a callback it is told, once */
	assert_int_equal(nvmux_ctrlr_register_timeout_callback(f.ctrlr, TIMEOUT_MS, 0, timed_out,
							       &t),
			 0);
	assert_int_equal(read_one(&f, &o[0]), 0);
	for (until = nvmux_now_ms() + TIMEOUT_MS * 4; nvmux_now_ms() < until; usleep(500))
		nvmux_process(f.nvmux);
	assert_int_equal(t.calls, 1);
	assert_ptr_equal(t.qpair, f.qpair);
	assert_int_equal(t.cid, NVMUX_CID_UNKNOWN);
	run_ms(&f, 5);
	assert_int_equal(o[0].calls, 2);
	assert_int_equal(t.calls, 1);
	end(&f);
}

static void reset_done(void *arg, int err, uint64_t value)
{
	*(int *)arg = err;
}

/* A reset goes on without an owner that doesn't poll; it finds its queues made anew. */
static void reset_without_owner(void **state)
{
	struct outcome o = {0};
	struct fixture f;
	int err = -EAGAIN;
	uint64_t began;

	fake_reset();
	begin_timeouts(&f);
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o), 0);
	began = nvmux_now_ms();
	revive_async(f.ctrlr, REVIVE_CTRLR, NULL, reset_done, &err);
	for (; err == -EAGAIN && nvmux_now_ms() < began + 2000; usleep(500))
		nvmux_process(f.nvmux);
	assert_int_equal(err, 0);
	assert_true(nvmux_now_ms() - began >= TIMEOUT_MS);
	assert_int_equal(nvmux_qpair_get_state(f.qpair), NVMUX_QPAIR_QUIESCING);
	assert_int_equal(o.calls, 0);
	run_ms(&f, 100);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, 0);
	assert_int_equal(f.q->n_reposts, 1);
	assert_true(nvmux_qpair_is_connected(f.qpair));
	end(&f);
}

static void hang_next(void)
{
	fake.fault = FAKE_HANG;
	fake.fault_at = fake.last->ops;
}

/* Until the ladder deletes the queue, which isn't answered. */
static void hang_deletion(struct fixture *f)
{
	for (; !revive_active(f->ctrlr); usleep(500)) {
		nvmux_qpair_process_completions(f->qpair, 0);
		nvmux_process(f->nvmux);
	}
	hang_next();
	for (; !f->qpair->revive_step; usleep(500)) {
		nvmux_qpair_process_completions(f->qpair, 0);
		nvmux_process(f->nvmux);
	}
	assert_int_equal(fake.deletes, 1);
	assert_non_null(fake.last->done);
}

/* Detached while a queue is deleted: it is deleted once. */
static void detached_while_deleting(void **state)
{
	bool detached = false;
	struct outcome o = {0};
	nvmux_done_fn answer;
	struct fixture f;

	fake_reset();
	begin_timeouts(&f);
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o), 0);
	hang_deletion(&f);
	f.qpair = NULL;
	nvmux_detach_async(f.ctrlr, was_detached, &detached);
	nvmux_process(f.nvmux);
	answer = fake.last->done;
	fake.last->done = NULL;
	answer(fake.last->done_arg, 0, 0);
	for (int i = 0; i < 2000 && !detached; i++) {
		nvmux_process(f.nvmux);
		usleep(500);
	}
	assert_true(detached);
	assert_int_equal(fake.deletes, 1);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, NVME_SC_ABORT_QUEUE);
	assert_false(f.removed);
	end(&f);
}

static void was_freed(void *arg, int err)
{
	*(bool *)arg = true;
}

/* The same, freed by its owner, when the deletion is never answered. */
static void freed_while_deleting(void **state)
{
	bool freed = false, detached = false;
	struct nvmux_ctrlr_opts opts;
	struct outcome o = {0};
	struct fixture f;

	fake_reset();
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.io_timeout_ms = TIMEOUT_MS;
	opts.admin_timeout_ms = 100;
	begin_opts(&f, &opts);
	f.q->n_drop = 1;
	assert_int_equal(read_one(&f, &o), 0);
	hang_deletion(&f);
	assert_true(revive_escalate(f.ctrlr));
	nvmux_qpair_free_async(f.qpair, was_freed, &freed);
	f.qpair = NULL;
	nvmux_detach_async(f.ctrlr, was_detached, &detached);
	for (int i = 0; i < 2000 && !detached; i++) {
		nvmux_process(f.nvmux);
		usleep(500);
	}
	assert_true(detached);
	assert_true(freed);
	assert_int_equal(o.calls, 1);
	end(&f);
}

/* ---- admin commands that aren't answered ---- */

static void begin_admin(struct fixture *f, uint32_t io_ms)
{
	struct nvmux_ctrlr_opts opts;

	fake_reset();
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.io_timeout_ms = io_ms;
	opts.admin_timeout_ms = 100;
	begin_opts(f, &opts);
}

/* The look at the namespaces ends with an error, then the controller is reset and goes on. */
static void rescan_unanswered(void **state)
{
	static const struct nvmux_cmd cmd = {.opc = nvme_admin_get_features, .cdw10 = 1};

	for (int other = 0; other < 2; other++) {
		struct outcome o = {0}, admin = {0};
		struct fixture f;
		int err = 1;

		begin_admin(&f, TIMEOUT_MS);
		if (other) { /* it isn't the command of the look that is late first */
			hang_next();
			assert_int_equal(nvmux_ctrlr_admin(f.ctrlr, &cmd, NULL, 0, done, &admin),
					 0);
			run_ms(&f, 50);
		}
		hang_next();
		nvmux_ctrlr_rescan_async(f.ctrlr, reset_done, &err);
		assert_true(f.ctrlr->rescanning);
		run_ms(&f, 300);
		assert_int_equal(err, -ETIMEDOUT);
		assert_int_equal(admin.calls, other);
		assert_false(f.removed);
		assert_false(nvmux_ctrlr_is_failed(f.ctrlr));
		assert_int_equal(fake.enables, 2);
		nvmux_ctrlr_rescan_async(f.ctrlr, reset_done, &err);
		run_ms(&f, 20);
		assert_int_equal(err, 0);
		assert_int_equal(read_one(&f, &o), 0);
		run_ms(&f, 2);
		assert_int_equal(o.calls, 1);
		assert_int_equal(o.status, 0);
		end(&f);
	}
}

/* One that is late while owners are waited for is dealt with by the reset that follows. */
static void unanswered_while_stopping(void **state)
{
	static const struct nvmux_cmd cmd = {.opc = nvme_admin_get_features, .cdw10 = 1};
	const enum revive_kind kinds[] = {REVIVE_CTRLR, REVIVE_QUEUES};

	for (uint32_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct outcome o = {0}, admin = {0};
		struct fixture f;
		uint64_t until;
		int err = 1;

		begin_admin(&f, 250);
		hang_next();
		assert_int_equal(nvmux_ctrlr_admin(f.ctrlr, &cmd, NULL, 0, done, &admin), 0);
		f.qpair->reviving = true;
		revive_async(f.ctrlr, kinds[i], NULL, reset_done, &err);
		until = nvmux_now_ms() + 2000;
		for (; err == 1 && nvmux_now_ms() < until; usleep(500))
			nvmux_process(f.nvmux); /* its owner doesn't poll */
		assert_int_equal(err, 0);
		assert_int_equal(admin.calls, 1);
		assert_int_equal(fake.enables, 2);
		assert_false(f.removed);
		until = nvmux_now_ms() + 2000;
		while (!nvmux_qpair_is_connected(f.qpair) && nvmux_now_ms() < until)
			run_ms(&f, 1);
		assert_int_equal(read_one(&f, &o), 0);
		run_ms(&f, 5);
		assert_int_equal(o.calls, 1);
		assert_int_equal(o.status, 0);
		end(&f);
	}
}

/* CSTS.RDY that stays 1: the function is reset, then the subsystem, then it is lost. */
static void stuck_ready(void **state)
{
	const uint32_t cases[][4] = {
		/* function helps, NSSR; function resets, NSSRs */
		{true, true, 1, 0}, {false, true, 1, 1}, {false, false, 1, 0}};

	for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool works = cases[i][0] || cases[i][1];
		struct outcome o = {0};
		struct fixture f;

		fake_reset();
		fake.cap = cases[i][1] ? 1ull << 36 : 0;
		begin_over(&f, NULL, &fake_resettable_transport);
		f.q->n_drop = 1;
		assert_int_equal(read_one(&f, &o), 0);
		fake.stuck = true;
		fake.function_helpless = !cases[i][0];
		assert_int_equal(nvmux_ctrlr_reset(f.ctrlr), works ? 0 : -ETIMEDOUT);
		assert_int_equal(fake.function_resets, cases[i][2]);
		assert_int_equal(fake.nssr, cases[i][3]);
		run_ms(&f, 5);
		assert_int_equal(o.calls, 1);
		assert_int_equal(o.status, works ? 0 : NVMUX_SC_CTRLR_GONE);
		assert_int_equal(f.removed, !works);
		end(&f);
	}
}

/* ---- arbitration ---- */

static void arbitration(void **state)
{
	static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK};
	struct nvmux_io_qpair_opts qopts;
	struct nvmux_ctrlr_opts opts;
	struct nvmux_qpair *qpair;
	struct nvmux_ctrlr *other;
	struct fixture f;

	begin(&f);
	nvmux_io_qpair_opts_init(f.ctrlr, &qopts, sizeof(qopts));
	qopts.qprio = 2;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f.ctrlr, &qopts, &qpair), -EINVAL);
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.arbitration = 1;
	opts.high_weight = 3;
	assert_int_equal(nvmux_connect(f.nvmux, &trid, &opts, &other), -EOPNOTSUPP);
	assert_non_null(strstr(nvmux_error_text(f.nvmux), "CAP.AMS"));
	end(&f);
	fake_reset();
	fake.cap = 1ull << 17;
	begin_opts(&f, &opts);
	assert_int_equal(NVME_CC_AMS(nvmux_ctrlr_get_regs_cc(f.ctrlr)), NVME_CC_AMS_WRRU);
	nvmux_io_qpair_opts_init(f.ctrlr, &qopts, sizeof(qopts));
	qopts.qprio = 4;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f.ctrlr, &qopts, &qpair), -EINVAL);
	qopts.qprio = 3;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f.ctrlr, &qopts, &qpair), 0);
	assert_int_equal(qpair->qprio, 3);
	nvmux_qpair_free(qpair);
	end(&f);
}

/* ---- words ---- */

static void words(void **state)
{
	const struct nvmux_cmd cmd = {.opc = nvme_cmd_read,
				      .cid = cpu_to_le16(3),
				      .nsid = cpu_to_le32(1),
				      .cdw10 = cpu_to_le32(16),
				      .cdw12 = cpu_to_le32(7)};
	const struct nvmux_cpl cpl = {
		.cid = cpu_to_le16(3),
		.sqid = cpu_to_le16(1),
		.status = cpu_to_le16((NVME_SC_LBA_RANGE | NVMUX_STATUS_DNR) << 1 | 1)};
	char text[128], small[8];

	assert_string_equal(nvmux_cmd_string(&cmd, false, text, sizeof(text)),
			    "READ (02) cid:3 nsid:1 slba:16 nlb:8");
	assert_string_equal(nvmux_cmd_string(&cmd, true, text, sizeof(text)),
			    "GET LOG PAGE (02) cid:3 nsid:1 cdw10:00000010 cdw11:00000000");
	assert_string_equal(nvmux_cpl_string(&cpl, text, sizeof(text)),
			    "LBA out of range (00/80) sqid:1 cid:3 dw0:00000000 sqhd:0000 p:1 "
			    "crd:0 m:0 dnr:1");
	assert_string_equal(nvmux_cmd_string(&cmd, false, small, sizeof(small)), "READ (0");
	assert_true(nvmux_transport_available(NVMUX_TRTYPE_PCIE));
	assert_false(nvmux_transport_available(NVMUX_TRTYPE_COUNT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(injected_instead_of_sent),
		cmocka_unit_test(injected_after_execution),
		cmocka_unit_test(injected_and_freed),
		cmocka_unit_test(injected_and_lost),
		cmocka_unit_test(injected_without_end),
		cmocka_unit_test(half_of_a_fused_pair),
		cmocka_unit_test(aborted_by_argument),
		cmocka_unit_test(injected_into_admin_queue),
		cmocka_unit_test(retried),
		cmocka_unit_test(retried_when_crd_says),
		cmocka_unit_test(not_retried),
		cmocka_unit_test(not_retried_too_late),
		cmocka_unit_test(needs_turns),
		cmocka_unit_test(retried_so_often),
		cmocka_unit_test(held_and_completed),
		cmocka_unit_test(held_and_freed),
		cmocka_unit_test(reset_repeats),
		cmocka_unit_test(subsystem_reset),
		cmocka_unit_test(subsystem_reset_is_waited_for),
		cmocka_unit_test(qpair_disconnected),
		cmocka_unit_test(qpair_stays_disconnected),
		cmocka_unit_test(ctrlr_disconnected),
		cmocka_unit_test(the_ladder),
		cmocka_unit_test(timeout_callback),
		cmocka_unit_test(timeout_after_retry),
		cmocka_unit_test(freed_when_neglected),
		cmocka_unit_test(ladder_deletes_the_queue),
		cmocka_unit_test(ladder_ends_the_command),
		cmocka_unit_test(ladder_gives_up),
		cmocka_unit_test(fatal_status),
		cmocka_unit_test(detached_while_stopping),
		cmocka_unit_test(ladder_of_two),
		cmocka_unit_test(idle_before),
		cmocka_unit_test(not_polled),
		cmocka_unit_test(reset_without_owner),
		cmocka_unit_test(detached_while_deleting),
		cmocka_unit_test(freed_while_deleting),
		cmocka_unit_test(rescan_unanswered),
		cmocka_unit_test(unanswered_while_stopping),
		cmocka_unit_test(stuck_ready),
		cmocka_unit_test(arbitration),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests_name("robust", tests, NULL, NULL);
}
