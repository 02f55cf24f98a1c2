// SPDX-License-Identifier: BSD-3-Clause
/* What the tests of NVMe over RDMA share. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "rdma_fixture.h"

/* A busy machine may stop the test for as long as it wanted to wait: so many turns come after that
 * too, for what has become due meanwhile. */
#define LATE_TURNS 5

static void on_log(void *arg, enum nvmux_log_level level, const char *module, const char *text)
{
	struct rt *rt = arg;
	size_t len = strlen(rt->log), more = strlen(text) + strlen(module) + 4;

	if (getenv("RT_LOG"))
		fprintf(stderr, "# %s: %s\n", module, text);
	if (level == NVMUX_LOG_DEBUG)
		return;
	if (len + more >= sizeof(rt->log))
		len = 0;
	snprintf(rt->log + len, sizeof(rt->log) - len, "%s: %s\n", module, text);
}

void rt_begin(struct rt *rt, const char *ns)
{
	struct nvmux_opts opts;

	memset(rt, 0, sizeof(*rt));
	fake_verbs_begin();
	rt->dev = fake_device_add("fake0", "10.0.0.9");
	rt->target = target_new(ns, TARGET_ADDR, TARGET_PORT);
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 1ull << 30;
	opts.hostnqn = "nqn.2024-01.test:host";
	opts.hostid = "11111111-2222-3333-4444-555555555555";
	opts.log = on_log;
	opts.log_arg = rt;
	assert_int_equal(nvmux_create(&opts, &rt->nvmux), 0);
	rt->trid = (struct nvmux_trid){
		.trtype = NVMUX_TRTYPE_RDMA,
		.adrfam = NVMUX_ADRFAM_IPV4,
		.traddr = TARGET_ADDR,
		.trsvcid = "4420",
		.subnqn = TARGET_NQN,
	};
	nvmux_ctrlr_opts_init(&rt->opts, sizeof(rt->opts));
	rt->opts.admin_timeout_ms = 1000;
	rt->opts.keep_alive_timeout_ms = 200;
	rt->opts.command_quiesce_time_ms = 100;
	rt->opts.reconnect_delay_sec = 1;
}

void rt_free_qpairs(struct rt *rt)
{
	for (uint32_t i = 0; i < rt->n_qpairs; i++)
		nvmux_qpair_free(rt->qpairs[i]);
	rt->n_qpairs = 0;
	if (rt->group)
		assert_int_equal(nvmux_poll_group_destroy(rt->group), 0);
	rt->group = NULL;
}

void rt_detach(struct rt *rt)
{
	rt->stop = true;
	rt_free_qpairs(rt);
	if (rt->mem)
		nvmux_mem_free(rt->mem);
	rt->mem = NULL;
	if (rt->ctrlr)
		nvmux_detach(rt->ctrlr);
	rt->ctrlr = NULL;
}

void rt_end(struct rt *rt)
{
	rt_detach(rt);
	nvmux_destroy(rt->nvmux);
	target_free(rt->target);
	fake_verbs_end();
}

static void on_event(void *arg, struct nvmux_ctrlr *ctrlr, enum nvmux_ctrlr_event event)
{
	struct rt *rt = arg;

	switch (event) {
	case NVMUX_CTRLR_CONNECTION_LOST: rt->events.lost++; break;
	case NVMUX_CTRLR_RECONNECT_FAILED: rt->events.reconnect_failed++; break;
	case NVMUX_CTRLR_FAST_IO_FAIL: rt->events.fast_io_fail++; break;
	case NVMUX_CTRLR_RECONNECTED: rt->events.reconnected++; break;
	case NVMUX_CTRLR_REPLAYED: rt->events.replayed++; break;
	case NVMUX_CTRLR_NS_CHANGED: rt->events.ns_changed++; break;
	case NVMUX_CTRLR_ANA_CHANGED: rt->events.ana_changed++; break;
	case NVMUX_CTRLR_REMOVING:
	case NVMUX_CTRLR_RESET: break;
	}
}

static void on_removed(void *arg, struct nvmux_ctrlr *ctrlr)
{
	struct rt *rt = arg;

	rt->events.removed++;
}

int rt_attach(struct rt *rt)
{
	int err = nvmux_connect(rt->nvmux, &rt->trid, &rt->opts, &rt->ctrlr);

	if (err) {
		rt->ctrlr = NULL;
		return err;
	}
	nvmux_ctrlr_set_event_cb(rt->ctrlr, on_event, rt);
	nvmux_ctrlr_set_remove_cb(rt->ctrlr, on_removed, rt);
	rt->ns = nvmux_ctrlr_get_ns(rt->ctrlr, 1);
	rt->block_size = rt->ns ? nvmux_ns_get_sector_size(rt->ns) : 0;
	return 0;
}

void rt_start(struct rt *rt, uint32_t n, uint32_t depth, bool group)
{
	struct nvmux_io_qpair_opts opts;
	int err = rt_attach(rt);

	if (err)
		fail_msg("attach: %s (%s)", strerror(-err), nvmux_error_text(rt->nvmux));
	if (group)
		assert_int_equal(nvmux_poll_group_create(rt->nvmux, &rt->group), 0);
	nvmux_io_qpair_opts_init(rt->ctrlr, &opts, sizeof(opts));
	opts.io_queue_depth = depth;
	opts.poll_group = rt->group;
	for (uint32_t i = 0; i < n; i++) {
		err = nvmux_ctrlr_alloc_io_qpair(rt->ctrlr, &opts, &rt->qpairs[i]);
		if (err)
			fail_msg("queue pair %u: %s", i, nvmux_error_text(rt->nvmux));
		rt->n_qpairs++;
	}
}

/* ---- turning ---- */

void rt_poll_qpairs(struct rt *rt)
{
	/* As a reactor of the daemon: it knows its own queue pairs, and reaps what the control
	 * thread is connecting. */
	if (rt->group && rt->group->other_thread) {
		nvmux_poll_group_reap(rt->group);
	} else if (rt->group) {
		nvmux_poll_group_process_completions(rt->group, 0);
		return;
	}
	for (uint32_t i = 0; i < rt->n_qpairs; i++)
		nvmux_qpair_process_completions(rt->qpairs[i], 0);
}

void rt_turn(struct rt *rt)
{
	struct pollfd p = {.fd = nvmux_get_fd(rt->nvmux), .events = POLLIN};

	/* While I/O goes on it doesn't sleep; one millisecond is enough for everything else. */
	if (poll(&p, 1, !rt->elsewhere && rt_in_flight(rt) ? 0 : 1) > 0)
		nvmux_process(rt->nvmux);
	if (rt->elsewhere)
		return;
	rt_poll_qpairs(rt);
	rt_jobs_submit(rt);
}

bool rt_until(struct rt *rt, bool (*done)(struct rt *rt), uint32_t ms)
{
	uint64_t end = fake_now_ms() + ms;
	uint32_t late = 0;

	while (!done || !done(rt)) {
		if (fake_now_ms() > end && late++ == LATE_TURNS)
			return false;
		rt_turn(rt);
	}
	return true;
}

void rt_run_ms(struct rt *rt, uint32_t ms)
{
	rt_until(rt, NULL, ms);
}

/* ---- jobs ---- */

void rt_fill(const struct rt_job *job, uint32_t generation, uint8_t *buf)
{
	uint64_t *words = (uint64_t *)(void *)buf;
	uint32_t per_block = job->rt->block_size / 8;

	for (uint32_t b = 0; b < job->blocks; b++) {
		for (uint32_t w = 0; w < per_block; w++)
			words[b * per_block + w] = ((job->lba + b) * 0x9e3779b97f4a7c15ull + w) ^
						   generation;
	}
}

static void verify(struct rt_job *job)
{
	size_t len = (size_t)job->blocks * job->rt->block_size;
	uint8_t *want = malloc(len);

	assert_non_null(want);
	rt_fill(job, job->generation, want);
	if (memcmp(want, job->buf, len) != 0)
		fail_msg("job at block %ju: read back what generation %u didn't write",
			 (uintmax_t)job->lba, job->generation);
	free(want);
	job->rt->reads_right++;
}

static void on_job(void *arg, const struct nvmux_cpl *cpl)
{
	struct rt_job *job = arg;
	struct rt *rt = job->rt;

	job->calls++;
	if (!job->busy)
		fail_msg("a command of the job at block %ju completes twice", (uintmax_t)job->lba);
	job->busy = false;
	job->completed++;
	rt->completed++;
	job->status = nvmux_cpl_status(cpl) & NVMUX_STATUS_CODE_MASK;
	if (job->status) {
		rt->errors++;
		rt->last_error = job->status;
		if (!job->reading)
			job->generation = 0; /* who knows what is there now */
		return;
	}
	job->reads += job->reading;
	job->writes += !job->reading;
	if (job->reading && job->generation)
		verify(job);
}

static uint32_t next_generation(struct rt_job *job)
{
	return job->completed + 1;
}

int rt_job_write(struct rt_job *job)
{
	uint32_t before = job->generation;
	int err;

	job->busy = true;
	job->reading = false;
	job->generation = next_generation(job);
	rt_fill(job, job->generation, job->buf);
	err = nvmux_ns_cmd_write(job->rt->ns, job->qpair, job->buf, job->lba, job->blocks, 0,
				 on_job, job);
	if (err) {
		job->busy = false;
		job->generation = before;
	}
	return err;
}

int rt_job_read(struct rt_job *job)
{
	size_t len = (size_t)job->blocks * job->rt->block_size;
	int err;

	job->busy = true;
	job->reading = true;
	memset(job->buf, 0xee, len);
	err = nvmux_ns_cmd_read(job->rt->ns, job->qpair, job->buf, job->lba, job->blocks, 0, on_job,
				job);
	if (err)
		job->busy = false;
	return err;
}

void rt_jobs(struct rt *rt, uint32_t n, uint32_t bytes)
{
	uint8_t *buf;

	assert_true(n <= RT_JOBS);
	assert_int_equal(nvmux_mem_alloc(rt->ctrlr, (size_t)n * bytes, 0, &rt->mem), 0);
	buf = nvmux_mem_addr(rt->mem);
	rt->n_jobs = n;
	for (uint32_t i = 0; i < n; i++) {
		rt->jobs[i] = (struct rt_job){
			.rt = rt,
			.qpair = rt->qpairs[i % rt->n_qpairs],
			.buf = buf + (size_t)i * bytes,
			.blocks = bytes / rt->block_size,
			.lba = (uint64_t)i * (bytes / rt->block_size),
		};
	}
}

void rt_jobs_submit(struct rt *rt)
{
	/* From another one each time: there may be fewer slots than jobs. */
	rt->first_job++;
	for (uint32_t i = 0; i < rt->n_jobs && !rt->stop; i++) {
		struct rt_job *job = &rt->jobs[(rt->first_job + i) % rt->n_jobs];

		if (job->busy)
			continue;
		if (job->reading || !job->generation)
			rt_job_write(job);
		else
			rt_job_read(job);
	}
}

uint32_t rt_in_flight(const struct rt *rt)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < rt->n_jobs; i++)
		n += rt->jobs[i].busy;
	return n;
}

bool rt_idle(struct rt *rt)
{
	return !rt_in_flight(rt);
}

void rt_jobs_end(struct rt *rt, uint32_t ms)
{
	rt->stop = true;
	if (!rt_until(rt, rt_idle, ms))
		fail_msg("%u commands never complete", rt_in_flight(rt));
}

/* ---- conditions ---- */

bool rt_all_read_back(struct rt *rt)
{
	for (uint32_t i = 0; i < rt->n_jobs; i++) {
		if (!rt->jobs[i].reads)
			return false;
	}
	return true;
}

bool rt_has_read_back(struct rt *rt)
{
	return rt->reads_right > 0;
}

/* What is in flight may be another thread's to know; the target knows too. */
bool rt_all_held(struct rt *rt)
{
	bool all;

	fake_lock();
	all = rt->target->n_held == rt->n_jobs;
	fake_unlock();
	return all;
}

enum nvmux_connection_state rt_state(const struct rt *rt)
{
	struct nvmux_connection_info info;

	nvmux_ctrlr_get_connection(rt->ctrlr, &info);
	return info.state;
}

bool rt_is_lost(struct rt *rt)
{
	return rt->events.lost > 0;
}

bool rt_is_up(struct rt *rt)
{
	return rt_state(rt) == NVMUX_CONNECTION_UP;
}

bool rt_is_reconnected(struct rt *rt)
{
	return rt->events.reconnected > 0;
}

bool rt_is_replayed(struct rt *rt)
{
	return rt->events.replayed > 0;
}

bool rt_is_removed(struct rt *rt)
{
	return rt->events.removed > 0;
}

bool rt_is_failing(struct rt *rt)
{
	return rt->events.fast_io_fail > 0;
}

/* ---- ways of losing it ---- */

static void by_disconnect(struct rt *rt)
{
	fake_conns_disconnect(true);
}

static void by_completion_error(struct rt *rt)
{
	fake_lock();
	fake_conns_die(true);
	fake_qps_fail(IBV_WC_RETRY_EXC_ERR);
	fake_unlock();
}

/* Nothing tells but that the keep-alive isn't answered. */
static void by_silence(struct rt *rt)
{
	fake_conns_die(true);
}

static void by_both(struct rt *rt)
{
	fake_lock();
	fake_conns_disconnect(true);
	fake_qps_fail(IBV_WC_RETRY_EXC_ERR);
	fake_unlock();
}

void rt_lose(struct rt *rt, enum rt_way way)
{
	static void (*const ways[])(struct rt * rt) = {
		[RT_BY_DISCONNECT] = by_disconnect,
		[RT_BY_COMPLETION_ERROR] = by_completion_error,
		[RT_BY_SILENCE] = by_silence,
		[RT_BY_BOTH] = by_both,
	};

	ways[way](rt);
}

void rt_expect_up(struct rt *rt, uint32_t lost)
{
	uint64_t end = fake_now_ms() + 20000;

	while (rt->events.replayed < lost || !rt_is_up(rt)) {
		if (fake_now_ms() > end)
			fail_msg("not up again: %s: %s", nvmux_ctrlr_get_state_string(rt->ctrlr),
				 rt->log);
		rt_turn(rt);
	}
	assert_int_equal(rt->events.lost, lost);
	assert_int_equal(rt->events.reconnected, lost);
	assert_int_equal(rt->events.replayed, lost);
	assert_int_equal(rt->events.removed, 0);
}
