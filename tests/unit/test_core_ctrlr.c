// SPDX-License-Identifier: BSD-3-Clause
/*
 * A controller's life cycle against a device that fails or falls silent at every step. Time passes
 * only where a test sleeps, or a blocking function waits (fake_clock.c).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_ctrlr.h"

struct result {
	unsigned calls;
	struct nvmux_ctrlr *ctrlr;
	int err;
};

static struct nvmux *context(void)
{
	struct nvmux_opts opts;
	struct nvmux *nvmux;

	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&opts, &nvmux), 0);
	assert_int_equal(nvmux_transport_register(nvmux, &fake_transport), 0);
	return nvmux;
}

static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "fake"};

static struct nvmux_ctrlr_opts options(void)
{
	struct nvmux_ctrlr_opts opts;

	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.admin_timeout_ms = 20;
	return opts;
}

static void connected(void *arg, const struct nvmux_trid *id, struct nvmux_ctrlr *ctrlr, int err)
{
	struct result *result = arg;

	result->calls++;
	result->ctrlr = ctrlr;
	result->err = err;
}

static int connect(struct nvmux *nvmux, struct nvmux_ctrlr **ret)
{
	struct nvmux_ctrlr_opts opts = options();

	return nvmux_connect(nvmux, &trid, &opts, ret);
}

static void count_cpl(void *arg, const struct nvmux_cpl *cpl)
{
	uint32_t *n = arg;

	n[0]++;
	n[1] = nvmux_cpl_status(cpl);
}

static void start_and_detach(bool inline_answers)
{
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;

	fake_reset();
	fake.inline_answers = inline_answers;
	nvmux = context();
	assert_int_equal(connect(nvmux, &ctrlr), 0);
	assert_string_equal(nvmux_ctrlr_get_state_string(ctrlr), "ready");
	assert_int_equal(nvmux_ctrlr_get_num_ns(ctrlr), 3);
	assert_int_equal(nvmux_ctrlr_get_first_active_ns(ctrlr), 1);
	assert_int_equal(nvmux_ctrlr_get_next_active_ns(ctrlr, 1), 3);
	assert_int_equal(nvmux_ctrlr_get_next_active_ns(ctrlr, 5), 0);
	assert_null(nvmux_ctrlr_get_ns(ctrlr, 2));
	assert_int_equal(nvmux_ns_get_sector_size(nvmux_ctrlr_get_ns(ctrlr, 3)), 512);
	assert_int_equal(nvmux_ctrlr_get_max_io_qpairs(ctrlr), 16);
	assert_int_equal(nvmux_ctrlr_get_max_xfer_size(ctrlr), 128 << 10);
	assert_int_equal(fake.aers, 1); /* AERL 0 */
	assert_int_equal(nvmux_detach(ctrlr), 0);
	assert_int_equal(fake.opened, 1);
	assert_int_equal(fake.closed, 1);
	nvmux_destroy(nvmux);
}

static void test_start_and_detach(void **state)
{
	start_and_detach(true);
	start_and_detach(false);
}

static uint32_t ops_of_start(bool inline_answers)
{
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	uint32_t n;

	fake_reset();
	fake.inline_answers = inline_answers;
	nvmux = context();
	assert_int_equal(connect(nvmux, &ctrlr), 0);
	n = fake.last->ops;
	nvmux_destroy(nvmux);
	assert_true(n > 15);
	return n;
}

/* Every operation of start fails, or isn't answered: an error, the device closed, nothing left. */
static void test_fault_at_every_step_of_start(void **state)
{
	for (int mode = 0; mode < 4; mode++) {
		bool inline_answers = mode & 1;
		enum fake_fault fault = mode & 2 ? FAKE_HANG : FAKE_ERROR;
		uint32_t n = ops_of_start(inline_answers);

		for (uint32_t at = 0; at < n; at++) {
			struct nvmux *nvmux;
			struct nvmux_ctrlr *ctrlr = NULL;
			uint64_t began = nvmux_now_ms();
			int err;

			fake_reset();
			fake.inline_answers = inline_answers;
			fake.fault = fault;
			fake.fault_at = at;
			nvmux = context();
			err = connect(nvmux, &ctrlr);
			/* one deadline, at most that of RDY; answers from timers take some time */
			assert_in_range(nvmux_now_ms() - began, 0, 600);
			if (fake.tolerated) {
				/* a namespace is left out, or has no descriptors */
				assert_int_equal(err, 0);
				assert_true(nvmux_ctrlr_get_num_ns(ctrlr) >= 2);
				nvmux_destroy(nvmux);
				continue;
			}
			if (fault == FAKE_HANG && at == 1)
				err = err ? err : -ETIMEDOUT; /* creation isn't answered later */
			assert_true(err < 0);
			if (fault == FAKE_HANG && at != 1)
				assert_int_equal(err, -ETIMEDOUT);
			if (at != 1) {
				assert_null(ctrlr);
				assert_string_not_equal(nvmux_error_text(nvmux), "");
			}
			if (!ctrlr)
				assert_int_equal(fake.opened, fake.closed);
			nvmux_destroy(nvmux);
			assert_int_equal(fake.opened, fake.closed);
		}
	}
}

/* The context ends while the start waits, at every operation: told once, nothing left. */
static void test_end_at_every_step_of_start(void **state)
{
	uint32_t n = ops_of_start(true);

	for (uint32_t at = 0; at < n; at++) {
		struct nvmux_ctrlr_opts opts = options();
		struct result result = {0};
		struct nvmux *nvmux;

		if (at == 1)
			continue; /* the creation of the queue, which always answers here */
		fake_reset();
		fake.fault = FAKE_HANG;
		fake.fault_at = at;
		opts.admin_timeout_ms = 60000;
		nvmux = context();
		assert_int_equal(nvmux_connect_async(nvmux, &trid, &opts, connected, &result), 0);
		for (int i = 0; i < 50; i++)
			nvmux_process(nvmux);
		assert_int_equal(result.calls, 0);
		nvmux_destroy(nvmux);
		assert_int_equal(result.calls, 1);
		assert_int_equal(result.err, -ECANCELED);
		assert_null(result.ctrlr);
		assert_int_equal(fake.opened, fake.closed);
	}
}

/* Detaching always ends, whatever the device does. */
static void test_fault_at_every_step_of_detach(void **state)
{
	uint32_t start = ops_of_start(true);

	for (int mode = 0; mode < 2; mode++) {
		for (uint32_t at = start; at < start + 8; at++) {
			struct nvmux *nvmux;
			struct nvmux_ctrlr *ctrlr;
			struct nvmux_qpair *qpair;
			uint32_t counts[2] = {0};
			uint64_t began;

			fake_reset();
			nvmux = context();
			assert_int_equal(connect(nvmux, &ctrlr), 0);
			assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
			assert_int_equal(nvmux_ns_cmd_flush(nvmux_ctrlr_get_ns(ctrlr, 1), qpair,
							    count_cpl, counts),
					 0);
			began = nvmux_now_ms();
			fake.fault = mode ? FAKE_HANG : FAKE_ERROR;
			fake.fault_at = at;
			nvmux_detach(ctrlr);
			/* a shutdown has 10 s by the specification */
			assert_in_range(nvmux_now_ms() - began, 0, 10500);
			assert_int_equal(counts[0], 1);
			assert_int_equal(counts[1], NVME_SC_ABORT_QUEUE);
			assert_int_equal(fake.opened, fake.closed);
			nvmux_destroy(nvmux);
		}
	}
}

static void test_reset_aborts_and_reconnects(void **state)
{
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;
	struct fake_qpair *q;
	uint32_t counts[2] = {0};

	fake_reset();
	nvmux = context();
	assert_int_equal(connect(nvmux, &ctrlr), 0);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
	q = container_of(qpair, struct fake_qpair, base);
	q->hold = true;
	assert_int_equal(nvmux_ns_cmd_flush(nvmux_ctrlr_get_ns(ctrlr, 1), qpair, count_cpl, counts),
			 0);
	assert_int_equal(nvmux_qpair_process_completions(qpair, 0), 0);
	q->n_ready = 0; /* lost with the reset */
	assert_int_equal(nvmux_ctrlr_reset(ctrlr), 0);
	assert_int_equal(counts[0], 1);
	assert_int_equal(counts[1], NVME_SC_ABORT_QUEUE);
	q->hold = false;
	assert_int_equal(nvmux_ns_cmd_flush(nvmux_ctrlr_get_ns(ctrlr, 1), qpair, count_cpl, counts),
			 0);
	assert_int_equal(nvmux_qpair_process_completions(qpair, 0), 1);
	assert_int_equal(counts[0], 2);
	assert_int_equal(counts[1], 0);
	nvmux_destroy(nvmux);
}

/* A reset that fails half-way leaves a failed controller which still detaches in order. */
static void test_fault_at_every_step_of_reset(void **state)
{
	uint32_t start = ops_of_start(true);

	for (uint32_t at = start + 1; at < start + 20; at++) {
		struct nvmux *nvmux;
		struct nvmux_ctrlr *ctrlr;
		struct nvmux_qpair *qpair;
		uint32_t counts[2] = {0};
		int err;

		fake_reset();
		nvmux = context();
		assert_int_equal(connect(nvmux, &ctrlr), 0);
		assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
		assert_int_equal(
			nvmux_ns_cmd_flush(nvmux_ctrlr_get_ns(ctrlr, 1), qpair, count_cpl, counts),
			0);
		fake.fault = FAKE_ERROR;
		fake.fault_at = at;
		if (fake.last->ops > at)
			goto next;
		err = nvmux_ctrlr_reset(ctrlr);
		assert_true(fake.tolerated ? err == 0 : err < 0);
		if (nvmux_ctrlr_is_failed(ctrlr)) {
			assert_int_equal(fake.closed, 1);
			assert_int_equal(nvmux_ctrlr_reset(ctrlr), -ENXIO);
			nvmux_qpair_process_completions(qpair, 0);
		}
		assert_int_equal(counts[0], 1);
	next:
		nvmux_destroy(nvmux);
		assert_int_equal(fake.opened, fake.closed);
	}
}

static void free_on_error(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_qpair **qpair = arg;

	assert_true(nvmux_cpl_is_error(cpl));
	nvmux_qpair_free(*qpair);
	nvmux_qpair_free(*qpair); /* a second time does nothing */
	*qpair = NULL;
}

/* Error callbacks free their queue pair, whoever ends the commands: reset, detach, free, loss. */
static void test_callbacks_of_aborted_commands_free(void **state)
{
	for (int how = 0; how < 4; how++) {
		struct nvmux *nvmux;
		struct nvmux_ctrlr *ctrlr;
		struct nvmux_qpair *qpairs[3];
		uint32_t counts[2] = {0};

		fake_reset();
		nvmux = context();
		assert_int_equal(connect(nvmux, &ctrlr), 0);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpairs[i]), 0);
			for (int n = 0; n < (i == 1 ? 2 : 1); n++)
				assert_int_equal(
					nvmux_ns_cmd_flush(nvmux_ctrlr_get_ns(ctrlr, 1), qpairs[i],
							   n ? count_cpl : free_on_error,
							   n ? (void *)counts : (void *)&qpairs[i]),
					0);
		}
		switch (how) {
		case 0: assert_int_equal(nvmux_ctrlr_reset(ctrlr), 0); break;
		case 1: assert_int_equal(nvmux_detach(ctrlr), 0); break;
		case 2: {
			struct nvmux_qpair *first = qpairs[0];

			nvmux_qpair_free(first);
			break;
		}
		case 3: {
			struct nvmux_qpair *copy[3] = {qpairs[0], qpairs[1], qpairs[2]};

			nvmux_ctrlr_fail(ctrlr);
			for (int i = 0; i < 3; i++)
				assert_int_equal(nvmux_qpair_process_completions(copy[i], 0),
						 -ENXIO);
			break;
		}
		}
		assert_null(qpairs[0]);
		nvmux_destroy(nvmux);
		assert_null(qpairs[2]);
		assert_int_equal(counts[0], 1);
		assert_int_equal(fake.opened, fake.closed);
	}
}

static void block_in_callback(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_ctrlr *ctrlr = arg;
	struct nvmux_mem *mem;

	assert_int_equal(nvmux_mem_alloc(ctrlr, 4096, 0, &mem), -EDEADLK);
	assert_int_equal(nvmux_detach(ctrlr), -EDEADLK);
	assert_int_equal(nvmux_ctrlr_reset(ctrlr), -EDEADLK);
}

static void test_blocking_calls_in_callbacks_are_refused(void **state)
{
	struct nvmux_cmd cmd = {.opc = nvme_admin_get_features};
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;

	fake_reset();
	nvmux = context();
	assert_int_equal(connect(nvmux, &ctrlr), 0);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
	assert_int_equal(nvmux_ctrlr_cmd_admin_raw(ctrlr, &cmd, NULL, 0, block_in_callback, ctrlr),
			 0);
	assert_int_equal(nvmux_ctrlr_process_admin_completions(ctrlr), 1);
	assert_false(nvmux->processing);
	nvmux_destroy(nvmux);
}

/* Identify fails and the queue breaks within one turn: the start still ends. */
static void test_two_failures_in_one_turn(void **state)
{
	struct nvmux_cmd cmd = {.opc = nvme_admin_get_features};
	uint32_t counts[2] = {0};
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;

	fake_reset();
	nvmux = context();
	assert_int_equal(connect(nvmux, &ctrlr), 0);
	assert_int_equal(nvmux_ctrlr_cmd_admin_raw(ctrlr, &cmd, NULL, 0, count_cpl, counts), 0);
	ctrlr->adminq->processing = true; /* as while its completions are delivered */
	nvmux_ctrlr_lost(ctrlr, -EIO);
	nvmux_ctrlr_lost(ctrlr, -ENXIO);
	ctrlr->adminq->processing = false;
	nvmux_ctrlr_lost(ctrlr, -ENXIO);
	assert_int_equal(fake.closed, 1);
	assert_int_equal(counts[0], 1);
	nvmux_destroy(nvmux);
}

static void removed(void *arg, struct nvmux_ctrlr *ctrlr)
{
	++*(int *)arg;
}

static void test_lost_controller_ends_its_commands(void **state)
{
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;
	uint32_t counts[2] = {0};
	int removals = 0;

	fake_reset();
	nvmux = context();
	assert_int_equal(connect(nvmux, &ctrlr), 0);
	nvmux_ctrlr_set_remove_cb(ctrlr, removed, &removals);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
	container_of(qpair, struct fake_qpair, base)->hold = true;
	assert_int_equal(nvmux_ns_cmd_flush(nvmux_ctrlr_get_ns(ctrlr, 1), qpair, count_cpl, counts),
			 0);
	assert_int_equal(nvmux_ctrlr_fail(ctrlr), 0);
	assert_int_equal(removals, 1);
	assert_true(nvmux_ctrlr_is_failed(ctrlr));
	assert_int_equal(counts[0], 0); /* its thread is told when it looks */
	assert_int_equal(nvmux_qpair_process_completions(qpair, 0), -ENXIO);
	assert_int_equal(counts[0], 1);
	assert_int_equal(counts[1], NVMUX_SC_CTRLR_GONE);
	assert_int_equal(nvmux_ns_cmd_flush(nvmux_ctrlr_get_ns(ctrlr, 1), qpair, count_cpl, counts),
			 -ENXIO);
	assert_int_equal(nvmux_detach(ctrlr), 0);
	assert_int_equal(removals, 1);
	nvmux_destroy(nvmux);
}

static void test_admin_commands_bounce_and_wait(void **state)
{
	enum { N = 100 };
	struct nvmux_cmd cmd = {.opc = nvme_admin_identify,
				.cdw10 = cpu_to_le32(NVME_IDENTIFY_CNS_CTRL)};
	struct nvme_id_ctrl *bufs = calloc(N, sizeof(*bufs));
	uint32_t counts[2] = {0};
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;

	fake_reset();
	fake.inline_answers = false;
	nvmux = context();
	assert_int_equal(connect(nvmux, &ctrlr), 0);
	for (int i = 0; i < N; i++) /* far more than slots */
		assert_int_equal(
			nvmux_ctrlr_cmd_admin_raw(ctrlr, &cmd, &bufs[i], 4096, count_cpl, counts),
			0);
	for (int i = 0; i < 10000 && counts[0] < N; i++) {
		nvmux_process(nvmux);
		usleep(100); /* for the timer of the fake interrupt */
		assert_false(nvmux_ctrlr_is_failed(ctrlr)); /* it has an admin queue */
		assert_true(nvmux_qpair_outstanding(ctrlr->adminq) <=
			    ctrlr->adminq->depth - NVMUX_ADMIN_RESERVED + 1);
	}
	assert_int_equal(counts[0], N);
	for (int i = 0; i < N; i++)
		assert_int_equal(bufs[i].sqes, 0x66);
	assert_int_equal(ctrlr->admin_pool_used, 0);
	cmd.opc = nvme_admin_create_sq;
	assert_int_equal(nvmux_ctrlr_cmd_admin_raw(ctrlr, &cmd, NULL, 0, count_cpl, counts),
			 -EBUSY);
	cmd.opc = nvme_admin_identify;
	assert_int_equal(nvmux_ctrlr_cmd_admin_raw(ctrlr, &cmd, bufs, 256 << 10, count_cpl, counts),
			 -EINVAL);
	free(bufs);
	nvmux_destroy(nvmux);
}

/* An admin command that isn't answered: the controller is given up, the caller is told. */
static void test_admin_deadline(void **state)
{
	struct nvmux_cmd cmd = {.opc = nvme_admin_get_features};
	uint32_t counts[2] = {0};
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;

	fake_reset();
	nvmux = context();
	assert_int_equal(connect(nvmux, &ctrlr), 0);
	fake.fault = FAKE_HANG;
	fake.fault_at = fake.last->ops;
	assert_int_equal(nvmux_ctrlr_cmd_admin_raw(ctrlr, &cmd, NULL, 0, count_cpl, counts), 0);
	for (; !counts[0]; usleep(500))
		nvmux_process(nvmux);
	assert_int_equal(counts[1], NVMUX_SC_CTRLR_GONE);
	assert_true(nvmux_ctrlr_is_failed(ctrlr));
	assert_non_null(strstr(nvmux_error_text(nvmux), "0ah wasn't answered"));
	nvmux_destroy(nvmux);
}

static void test_refusals_name_the_parameter(void **state)
{
	struct nvmux_ctrlr_opts opts = options();
	struct nvmux_io_qpair_opts qopts;
	struct nvmux_trid rdma = {.trtype = NVMUX_TRTYPE_RDMA};
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair, *all[16];

	fake_reset();
	nvmux = context();
	opts.num_io_queues = 0;
	assert_int_equal(nvmux_connect(nvmux, &trid, &opts, &ctrlr), -EINVAL);
	assert_string_equal(nvmux_error_text(nvmux), "num_io_queues is 0; it must be 1 to 65535");
	if (!nvmux->transports[NVMUX_TRTYPE_RDMA])
		assert_int_equal(nvmux_connect(nvmux, &rdma, NULL, &ctrlr), -EPROTONOSUPPORT);
	assert_int_equal(connect(nvmux, &ctrlr), 0);
	nvmux_io_qpair_opts_init(ctrlr, &qopts, sizeof(qopts));
	assert_int_equal(qopts.io_queue_depth, 127);
	qopts.qprio = 1;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, &qopts, &qpair), -EINVAL);
	for (int i = 0; i < 16; i++)
		assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &all[i]), 0);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), -ENOSPC);
	assert_int_equal(nvmux_qpair_get_id(all[15]), 16);
	nvmux_qpair_free(all[3]);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
	assert_int_equal(nvmux_qpair_get_id(qpair), 4);
	nvmux_destroy(nvmux);
}

static bool want_it(void *arg, const struct nvmux_trid *id, struct nvmux_ctrlr_opts *opts)
{
	++*(int *)arg;
	opts->num_io_queues = 2;
	return true;
}

static struct nvmux_ctrlr *probed;

static void probe_attached(void *arg, const struct nvmux_trid *id, struct nvmux_ctrlr *ctrlr,
			   int err)
{
	*(int *)arg += 10;
	assert_int_equal(err, 0);
	probed = ctrlr;
}

static void test_probe(void **state)
{
	struct nvmux *nvmux;
	int calls = 0;

	fake_reset();
	fake.inline_answers = false;
	nvmux = context();
	assert_int_equal(nvmux_probe(nvmux, &trid, want_it, probe_attached, NULL, &calls), 0);
	assert_int_equal(calls, 11);
	assert_int_equal(nvmux_ctrlr_get_max_io_qpairs(probed), 2);
	nvmux_destroy(nvmux);
}

static uint32_t oaes, asked_for;

static void offer_notices(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf)
{
	if ((uint8_t)le32_to_cpu(cmd->cdw10) == NVME_IDENTIFY_CNS_CTRL)
		((struct nvme_id_ctrl *)buf)->oaes = cpu_to_le32(oaes);
}

static uint16_t see_notices(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, uint8_t *buf,
			    uint32_t len, uint32_t *dw0)
{
	if (cmd->opc == nvme_admin_set_features &&
	    (uint8_t)le32_to_cpu(cmd->cdw10) == NVME_FEAT_FID_ASYNC_EVENT)
		asked_for = le32_to_cpu(cmd->cdw11);
	return 0;
}

/* Each that it offers and that has a meaning to us, and none that it doesn't offer. */
static void test_notices_that_are_offered(void **state)
{
	/* namespaces, firmware, access, latency, LBA status, endurance groups, zones, discovery */
	static const uint32_t known[] = {8, 9, 11, 12, 13, 14, 27, 31};
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;

	for (size_t i = 0; i <= ARRAY_SIZE(known); i++) {
		oaes = i < ARRAY_SIZE(known) ? 1u << known[i] : UINT32_MAX;
		asked_for = 0;
		fake_reset();
		fake.identify = offer_notices;
		fake.admin_hook = see_notices;
		nvmux = context();
		assert_int_equal(connect(nvmux, &ctrlr), 0);
		assert_int_equal(asked_for & ~0x1fu, i < ARRAY_SIZE(known) ? oaes : 0x88007b00);
		nvmux_destroy(nvmux);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_and_detach),
		cmocka_unit_test(test_fault_at_every_step_of_start),
		cmocka_unit_test(test_end_at_every_step_of_start),
		cmocka_unit_test(test_fault_at_every_step_of_detach),
		cmocka_unit_test(test_reset_aborts_and_reconnects),
		cmocka_unit_test(test_fault_at_every_step_of_reset),
		cmocka_unit_test(test_callbacks_of_aborted_commands_free),
		cmocka_unit_test(test_blocking_calls_in_callbacks_are_refused),
		cmocka_unit_test(test_two_failures_in_one_turn),
		cmocka_unit_test(test_lost_controller_ends_its_commands),
		cmocka_unit_test(test_admin_commands_bounce_and_wait),
		cmocka_unit_test(test_admin_deadline),
		cmocka_unit_test(test_refusals_name_the_parameter),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_notices_that_are_offered),
	};

	return cmocka_run_group_tests_name("core_ctrlr", tests, NULL, NULL);
}
