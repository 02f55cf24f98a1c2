// SPDX-License-Identifier: BSD-3-Clause
/*
 * A job of nvmux bench: one thread, one queue pair, a number of I/Os kept in flight.
 *
 * Happy path: all I/Os are sent; each turn reaps what has completed, reads the clock once for the
 * batch, records and sends each again, until the control thread says stop; then the rest is
 * drained. Or until a number of I/Os has been sent: then all of the run is measured. Failures: a
 * completion with an error, a miscompare, a lost queue pair: the job notes it and ends; the control
 * thread sees that and stops the others. A full queue (an I/O may have been split) makes I/Os wait
 * in a list of their own.
 *
 * What this loop costs is measured together with the driver, so it does little: no division, no
 * allocation, one clock per batch.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>

#include "cli/bench.h"

#define DRAIN_SEC         10
#define TURNS_PER_PROCESS 1024
#define IDLE_TURNS        16 /* then it sleeps, if it may */
#define SLEEP_MS          10

static void on_complete(void *arg, const struct nvmux_cpl *cpl)
{
	struct bench_io *io = arg;
	struct bench_job *job = io->job;

	job->in_flight--;
	if (__builtin_expect(nvmux_cpl_is_error(cpl), 0)) {
		if (!job->failure.status)
			job->failure = (struct bench_failure){
				.status = nvmux_cpl_status(cpl),
				.write = io->write,
				.lba = io->lba,
			};
		return;
	}
	job->finished[job->n_finished++] = io;
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static inline uint64_t next_random(struct bench_job *job)
{
	uint64_t x = job->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	job->random = x;
	return x * 0x2545f4914f6cdd1dull;
}

static inline uint64_t next_sequential(struct bench_job *job)
{
	uint64_t at = job->next++;

	if (job->next == job->count)
		job->next = 0;
	return job->first + at;
}

/* Choose where an I/O goes and what it is. */
static inline void choose(struct bench_job *job, struct bench_io *io)
{
	const struct bench_config *config = job->config;
	uint64_t r, at;

	if (config->random) {
		r = next_random(job);
		at = job->first + (uint64_t)((unsigned __int128)r * job->count >> 64);
		io->write = (uint32_t)r >= config->read_share && config->writes;
	} else {
		at = next_sequential(job);
		io->write = config->writes;
	}
	io->lba = at * job->io_blocks;
	if (__builtin_expect(config->verify, 0) && io->write)
		bench_fill(io->buf, io->lba, job->io_blocks, job->block_size);
}

static inline int send(struct bench_job *job, struct bench_io *io)
{
	int err;

	if (io->write)
		err = nvmux_ns_cmd_write(job->ns, job->qpair, io->buf, io->lba, job->io_blocks, 0,
					 on_complete, io);
	else
		err = nvmux_ns_cmd_read(job->ns, job->qpair, io->buf, io->lba, job->io_blocks, 0,
					on_complete, io);
	job->in_flight += !err;
	return err;
}

static int fail(struct bench_job *job, int err)
{
	job->failure.err = err;
	return err;
}

/* Send, or keep for later when the queue is full. */
static inline int send_or_stall(struct bench_job *job, struct bench_io *io)
{
	int err = send(job, io);

	if (__builtin_expect(!err, 1))
		return 0;
	if (err != -EAGAIN)
		return fail(job, err);
	job->stalled[job->n_stalled++] = io;
	return 0;
}

static int retry_stalled(struct bench_job *job)
{
	uint32_t n = job->n_stalled;

	while (n) {
		int err = send(job, job->stalled[n - 1]);

		/* Nothing in flight and still no room: there never will be. Unless it is the
		 * connection that is being restored. */
		if (err == -EAGAIN && !job->in_flight && nvmux_qpair_is_connected(job->qpair))
			return fail(job, -ENOSPC);
		if (err == -EAGAIN)
			return 0;
		if (err)
			return fail(job, err);
		job->n_stalled = --n;
	}
	return 0;
}

static bool is_as_written(struct bench_job *job, const struct bench_io *io)
{
	uint64_t bad;

	if (io->write || bench_check(io->buf, io->lba, job->io_blocks, job->block_size, &bad))
		return true;
	job->failure = (struct bench_failure){.miscompare = true, .lba = bad};
	return false;
}

/* What completed in this turn: record it, and send it again. */
static inline int turn_over(struct bench_job *job)
{
	uint64_t now = bench_ticks();

	for (uint32_t i = 0; i < job->n_finished; i++) {
		struct bench_io *io = job->finished[i];

		histogram_record(&job->histogram, now - io->start);
		if (__builtin_expect(job->config->verify, 0) && !is_as_written(job, io))
			return -EIO;
		if (!job->to_send)
			continue;
		job->to_send--;
		choose(job, io);
		io->start = now;
		if (send_or_stall(job, io))
			return -EIO;
	}
	job->n_finished = 0;
	__atomic_store_n(&job->completed, job->histogram.count, __ATOMIC_RELAXED);
	return 0;
}

/* The control thread has begun another phase. False: it is time to end. */
static bool change_phase(struct bench_job *job, int phase)
{
	if (phase == BENCH_STOP) {
		job->end = bench_ticks();
		return false;
	}
	histogram_init(&job->histogram);
	job->empty_polls = 0;
	job->begin = bench_ticks();
	return true;
}

/* All of a number of I/Os have been sent and have completed. */
static inline bool all_done(struct bench_job *job)
{
	if (__builtin_expect(job->to_send || job->in_flight || job->n_stalled, 1))
		return false;
	job->end = bench_ticks();
	return true;
}

/* Nothing has come for some turns: sleep until something does, or the phase may have changed. */
static void sleep_on(const struct bench_job *job)
{
	struct pollfd pfd = {.fd = nvmux_qpair_get_fd(job->qpair), .events = POLLIN};

	if (pfd.fd >= 0 && !nvmux_qpair_arm(job->qpair))
		poll(&pfd, 1, SLEEP_MS);
}

static void loop(struct bench_job *job)
{
	bool adaptive = job->config->adaptive;
	int phase = job->config->n_ios ? BENCH_MEASURE : BENCH_WARMUP;
	unsigned idle = 0;

	while (!job->failure.status) {
		int seen = __atomic_load_n(job->phase, __ATOMIC_RELAXED);
		int n;

		if (seen != phase && !change_phase(job, seen))
			return;
		phase = seen;
		n = nvmux_qpair_process_completions(job->qpair, 0);
		if (n < 0) {
			if (!job->failure.status)
				fail(job, n);
			return;
		}
		if (__builtin_expect(job->n_stalled != 0, 0) && retry_stalled(job))
			return;
		if (job->n_finished) {
			if (turn_over(job) || all_done(job))
				return;
		} else {
			job->empty_polls++;
		}
		if (!adaptive)
			continue;
		idle = n ? 0 : idle + 1;
		if (idle == IDLE_TURNS) {
			sleep_on(job);
			idle = 0;
		}
	}
}

static void prepare(struct bench_job *job)
{
	job->n_finished = 0;
	job->n_stalled = 0;
	job->in_flight = 0;
	job->to_send = job->config->n_ios ? job->config->n_ios : UINT64_MAX;
	job->empty_polls = 0;
	job->failure = (struct bench_failure){0};
	job->begin = job->end = 0;
	histogram_init(&job->histogram);
	__atomic_store_n(&job->completed, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&job->ended, 0, __ATOMIC_RELAXED);
}

static int send_all(struct bench_job *job)
{
	uint64_t now = bench_ticks();

	job->begin = now;
	for (uint32_t i = 0; i < job->depth && job->to_send; i++) {
		job->to_send--;
		choose(job, &job->ios[i]);
		job->ios[i].start = now;
		if (send_or_stall(job, &job->ios[i]))
			return -EIO;
	}
	return 0;
}

static time_t now_sec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* Wait until the library has nothing of ours any more. A lost queue pair has completed everything;
 * what a dead controller keeps ends when the queue pair is freed. */
static void drain(struct bench_job *job)
{
	time_t until = now_sec() + DRAIN_SEC;

	do {
		job->n_finished = 0;
	} while (job->in_flight && nvmux_qpair_process_completions(job->qpair, 0) >= 0 &&
		 now_sec() <= until);
	if (job->in_flight && !job->failure.status && !job->failure.err)
		fail(job, -ETIMEDOUT);
}

static void *job_main(void *arg)
{
	struct bench_job *job = arg;

	if (!send_all(job))
		loop(job);
	drain(job);
	__atomic_store_n(&job->ended, 1, __ATOMIC_RELEASE);
	return NULL;
}

int bench_job_start(struct bench_job *job, int core)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	int err;

	prepare(job);
	err = pthread_attr_init(&attr);
	if (err)
		return -err;
	if (core >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET((size_t)core, &cpus);
		err = pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	}
	if (!err)
		err = pthread_create(&job->thread, &attr, job_main, job);
	pthread_attr_destroy(&attr);
	job->started = !err;
	return -err;
}

void bench_job_join(struct bench_job *job)
{
	if (job->started)
		pthread_join(job->thread, NULL);
	job->started = false;
}

/* One I/O of a pass. */
static int pass_one(struct bench_job *job, struct bench_io *io, uint64_t at, bool write)
{
	io->write = write;
	io->lba = at * job->io_blocks;
	if (write)
		bench_fill(io->buf, io->lba, job->io_blocks, job->block_size);
	else
		memset(io->buf, 0, job->config->io_size);
	return send_or_stall(job, io);
}

static int pass_turn(struct bench_job *job, uint64_t count, uint64_t *at, bool write)
{
	int n = nvmux_qpair_process_completions(job->qpair, 0);

	if (n < 0)
		return fail(job, n);
	if (job->failure.status || (job->n_stalled && retry_stalled(job)))
		return -EIO;
	for (uint32_t i = 0; i < job->n_finished; i++) {
		struct bench_io *io = job->finished[i];

		if (!is_as_written(job, io))
			return -EIO;
		if (*at < count && pass_one(job, io, (*at)++, write))
			return -EIO;
	}
	job->n_finished = 0;
	return 0;
}

int bench_job_pass(struct bench_job *job, struct nvmux *nvmux, uint64_t count, bool write)
{
	unsigned turns = 0;
	uint64_t at = 0;
	int err = 0;

	prepare(job);
	while (!err && at < job->depth && at < count) {
		err = pass_one(job, &job->ios[at], at, write);
		at++;
	}
	while (!err && (at < count || job->in_flight || job->n_stalled)) {
		err = pass_turn(job, count, &at, write);
		/* The controller's timers and its connection can't wait for the end. */
		if (++turns % TURNS_PER_PROCESS == 0)
			nvmux_process(nvmux);
		if (!err && cli_interrupted())
			err = -EINTR;
	}
	drain(job);
	return err;
}
