// SPDX-License-Identifier: BSD-3-Clause
/*
 * Load for the system tests: verified random I/O through the public interface, on any transport.
 *
 * Happy path: attach the controller that the transport id names, make queue pairs, each with its
 * own part of the block range and its own pool of I/O memory; write and read extents of random
 * size, place in memory and number in flight until the time is over; print one line of JSON.
 *
 * Content. Every 512 bytes carry who wrote them (owner), where (their byte address), the
 * generation of that logical block, and words generated from these three. The generation last
 * written is remembered for each block, so that a read tells lost, stale, torn and foreign data
 * apart. A block whose generation isn't known (written by an earlier process, or by a write that
 * failed) must still be zero or whole and the owner's own.
 *
 * With --again a controller that is lost (its device was pulled out, say) is detached and waited
 * for, and the load goes on, with what it knows of the blocks' content.
 *
 * Failure modes: a miscompare, and a completion of what isn't in flight, is described and ends the
 * process with code 2. Errors of commands are counted and, without --errors, end it with code 3. A
 * completion that never comes keeps it from ending. SIGTERM ends the run early, in order.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <nvmux/nvmux.h>
#include <nvmux/sigbus.h>
#include "libcore/util.h"

#define SECTOR 512u
#define PAGE 4096u
#define QPAIRS_MAX 64
#define GENERATION_UNKNOWN 0u
#define IDLE_WAIT_MS 50
#define DAEMON_TIMEOUT_MS 60000

struct options {
	struct nvmux_trid trid;
	struct nvmux_ctrlr_opts ctrlr;
	uint32_t nsid;
	uint32_t qpairs;
	uint32_t depth;
	uint32_t min_bytes;
	uint32_t max_bytes;
	uint64_t start; /* logical block */
	uint64_t blocks;
	uint64_t pool_bytes; /* I/O memory of one queue pair */
	uint32_t seconds;
	uint32_t owner;
	uint64_t seed;
	bool threads;
	bool errors;
	bool poll;
	bool again;
};

struct io {
	struct worker *worker;
	uint8_t *buf;
	uint64_t lba; /* first block, relative to the worker's range */
	uint32_t count;
	uint32_t pool_page;
	uint32_t pool_pages;
	bool write;
	bool in_flight;
	struct io *next_free;
};

/* A queue pair with all that belongs to it; one thread at a time. */
struct worker {
	const struct options *opts;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;
	uint8_t *pool;
	uint8_t *pool_used; /* a byte per page */
	uint32_t pool_pages;
	uint64_t start;
	uint64_t blocks;
	uint32_t block_size;
	uint32_t *generation; /* per block; what it holds when no write is in flight */
	uint8_t *busy;	      /* per block: in flight */
	struct io *ios;
	struct io *free_ios;
	uint32_t in_flight;
	uint32_t flushes_in_flight;
	uint32_t depth;
	uint64_t random;
	double last_done; /* when the last completion came, or waiting for one began */
	pthread_t thread;
	int result; /* negative errno value of the queue pair itself */

	uint64_t reads;
	uint64_t writes;
	uint64_t flushes;
	uint64_t read_bytes;
	uint64_t write_bytes;
	uint64_t verified; /* blocks whose generation was known */
	uint64_t plausible; /* blocks checked for being whole and the owner's own */
	uint64_t errors;
	uint64_t other_errors; /* whose status isn't that of a lost controller */
	uint64_t miscompares;
	uint64_t duplicates; /* completions of what isn't in flight */
	uint32_t max_in_flight;
	double longest_wait; /* seconds between two completions while something was in flight */
	double first_error;  /* when it came, CLOCK_MONOTONIC */
	uint16_t first_status;
	char other_status[64]; /* the first of other_errors */
};

static volatile sig_atomic_t stop_wanted; /* the one thing that a signal handler can reach */

static void on_signal(int sig)
{
	(void)sig;
	stop_wanted = 1;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

static uint64_t rnd(struct worker *w)
{
	w->random += 0x9e3779b97f4a7c15ull;
	return mix(w->random);
}

/* ---- content ---- */

/* Buffers are multiples of 4 bytes only, hence the copies. */
static void fill_sector(uint8_t *to, uint32_t owner, uint64_t address, uint32_t generation)
{
	uint64_t words[SECTOR / 8];
	uint64_t x;

	words[0] = (uint64_t)owner << 32 | generation;
	words[1] = address;
	x = mix(words[0] ^ mix(address));
	for (unsigned i = 2; i < ARRAY_SIZE(words); i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		words[i] = x;
	}
	memcpy(to, words, SECTOR);
}

static void fill_block(const struct worker *w, uint8_t *to, uint64_t block, uint32_t generation)
{
	uint64_t address = (w->start + block) * w->block_size;

	for (uint32_t off = 0; off < w->block_size; off += SECTOR)
		fill_sector(to + off, w->opts->owner, address + off, generation);
}

static bool is_zero(const uint8_t *p, uint32_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static void describe(struct worker *w, const uint8_t *data, uint64_t block, const uint8_t *wanted)
{
	uint64_t got[2], want[2];
	uint32_t at = 0;

	w->miscompares++;
	if (w->miscompares > 4)
		return;
	while (at < w->block_size && data[at] == wanted[at])
		at++;
	memcpy(got, data + at / SECTOR * SECTOR, sizeof(got));
	memcpy(want, wanted + at / SECTOR * SECTOR, sizeof(want));
	fprintf(stderr,
		"miscompare: queue pair %u, block %" PRIu64 ", byte %u: read owner %" PRIu64
		" generation %" PRIu64 " address %#" PRIx64 "; owner %" PRIu64
		" generation %" PRIu64 " address %#" PRIx64 " was expected\n",
		nvmux_qpair_get_id(w->qpair), w->start + block, at, got[0] >> 32,
		got[0] & 0xffffffff, got[1], want[0] >> 32, want[0] & 0xffffffff, want[1]);
}

static void verify_block(struct worker *w, const uint8_t *data, uint64_t block)
{
	uint8_t wanted[PAGE];
	uint32_t generation = w->generation[block];
	uint64_t head;

	if (generation != GENERATION_UNKNOWN) {
		w->verified++;
	} else {
		w->plausible++;
		if (is_zero(data, w->block_size))
			return;
		memcpy(&head, data, sizeof(head));
		generation = (uint32_t)head;
	}
	fill_block(w, wanted, block, generation);
	if (memcmp(data, wanted, w->block_size) != 0)
		describe(w, data, block, wanted);
}

/* ---- one I/O ---- */

static uint8_t *pool_take(struct worker *w, struct io *io, uint32_t bytes)
{
	uint32_t in_page = (uint32_t)(rnd(w) % (PAGE / 4)) * 4;
	uint32_t pages = (in_page + bytes + PAGE - 1) / PAGE;
	uint32_t from, run = 0;

	if (pages > w->pool_pages)
		return NULL;
	from = (uint32_t)(rnd(w) % w->pool_pages);
	for (uint32_t i = 0; i < w->pool_pages + pages; i++) {
		uint32_t page = (from + i) % w->pool_pages;

		run = page == 0 ? 0 : run;
		run = w->pool_used[page] ? 0 : run + 1;
		if (run == pages) {
			io->pool_page = page + 1 - pages;
			io->pool_pages = pages;
			memset(w->pool_used + io->pool_page, 1, pages);
			return w->pool + (size_t)io->pool_page * PAGE + in_page;
		}
	}
	return NULL;
}

static void io_release(struct io *io)
{
	struct worker *w = io->worker;

	memset(w->pool_used + io->pool_page, 0, io->pool_pages);
	memset(w->busy + io->lba, 0, io->count);
	io->next_free = w->free_ios;
	w->free_ios = io;
}

static void count_error(struct worker *w, const struct nvmux_cpl *cpl)
{
	uint16_t status = nvmux_cpl_status(cpl) & NVMUX_STATUS_CODE_MASK;

	if (status != NVMUX_SC_CTRLR_GONE && w->other_errors++ == 0)
		snprintf(w->other_status, sizeof(w->other_status), "%s",
			 nvmux_status_string(status));
	if (w->errors++ == 0) {
		w->first_error = now();
		w->first_status = nvmux_cpl_status(cpl);
	}
}

static void io_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct io *io = arg;
	struct worker *w = io->worker;

	if (!io->in_flight) {
		w->duplicates++;
		fprintf(stderr, "%s of %u blocks at %" PRIu64 ": completed twice\n",
			io->write ? "write" : "read", io->count, w->start + io->lba);
		return;
	}
	io->in_flight = false;
	w->in_flight--;
	if (nvmux_cpl_is_error(cpl)) {
		count_error(w, cpl);
		if (w->errors <= 4 && !w->opts->errors)
			fprintf(stderr, "%s of %u blocks at %" PRIu64 ": %s\n",
				io->write ? "write" : "read", io->count, w->start + io->lba,
				nvmux_status_string(nvmux_cpl_status(cpl)));
		if (io->write)
			memset(w->generation + io->lba, 0, io->count * sizeof(*w->generation));
	} else if (!io->write) {
		for (uint32_t i = 0; i < io->count; i++)
			verify_block(w, io->buf + (size_t)i * w->block_size, io->lba + i);
	}
	io_release(io);
}

/* Sizes are spread evenly over their orders of magnitude: many small ones, some large ones. */
static uint32_t random_count(struct worker *w)
{
	uint32_t min = MAX(w->opts->min_bytes / w->block_size, 1u);
	uint32_t max = MAX(w->opts->max_bytes / w->block_size, min);
	uint32_t shifts = 31 - (uint32_t)__builtin_clz(max / min);
	uint64_t top = MIN((uint64_t)min << (1 + rnd(w) % (shifts + 1)), (uint64_t)max);

	return (uint32_t)(min + rnd(w) % (top - min + 1));
}

/* Choose an extent that overlaps nothing in flight. */
static bool extent_take(struct worker *w, struct io *io)
{
	for (int attempt = 0; attempt < 8; attempt++) {
		io->count = (uint32_t)MIN((uint64_t)random_count(w), w->blocks);
		io->lba = rnd(w) % (w->blocks - io->count + 1);
		if (is_zero(w->busy + io->lba, io->count))
			return true;
	}
	return false;
}

static int io_send(struct worker *w, struct io *io)
{
	uint64_t lba = w->start + io->lba;
	uint32_t flags = rnd(w) % 16 == 0 ? NVMUX_IO_FORCE_UNIT_ACCESS : 0;
	uint32_t generation;

	if (!io->write)
		return nvmux_ns_cmd_read(w->ns, w->qpair, io->buf, lba, io->count, flags, io_done,
					 io);
	/* Never GENERATION_UNKNOWN, and unlike those of earlier processes with the same owner. */
	generation = (uint32_t)rnd(w) | 1;
	for (uint32_t i = 0; i < io->count; i++)
		fill_block(w, io->buf + (size_t)i * w->block_size, io->lba + i, generation);
	return nvmux_ns_cmd_write(w->ns, w->qpair, io->buf, lba, io->count, flags, io_done, io);
}

/* Start one I/O. 1: started; 0: no room just now; negative: broken. */
static int submit_one(struct worker *w)
{
	struct io *io = w->free_ios;
	uint64_t bytes;
	int rc;

	if (!io || !extent_take(w, io))
		return 0;
	bytes = (uint64_t)io->count * w->block_size;
	io->buf = pool_take(w, io, (uint32_t)bytes);
	if (!io->buf)
		return 0;
	w->free_ios = io->next_free;
	memset(w->busy + io->lba, 1, io->count);
	io->write = rnd(w) % 2;
	rc = io_send(w, io);
	if (rc != 0) {
		io_release(io);
		return rc == -EAGAIN ? 0 : rc;
	}
	if (io->write) {
		uint64_t head;

		memcpy(&head, io->buf, sizeof(head));
		for (uint32_t i = 0; i < io->count; i++)
			w->generation[io->lba + i] = (uint32_t)head;
		w->writes++;
		w->write_bytes += bytes;
	} else {
		w->reads++;
		w->read_bytes += bytes;
	}
	io->in_flight = true;
	if (w->in_flight == 0)
		w->last_done = now();
	w->in_flight++;
	w->max_in_flight = MAX(w->max_in_flight, w->in_flight);
	return 1;
}

static void flush_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct worker *w = arg;

	if (w->flushes_in_flight == 0) {
		w->duplicates++;
		fprintf(stderr, "flush: completed twice\n");
		return;
	}
	w->flushes_in_flight--;
	w->in_flight--;
	if (nvmux_cpl_is_error(cpl))
		count_error(w, cpl);
}

/* Completions came: how long was it since those before? */
static void measure_wait(struct worker *w)
{
	double at = now();

	w->longest_wait = MAX(w->longest_wait, at - w->last_done);
	w->last_done = at;
}

/* ---- the loop ---- */

/* One turn: fill up, reap. Return whether anything happened, or a negative errno value. */
static int turn(struct worker *w, bool stopping)
{
	uint32_t wanted = 1 + (uint32_t)(rnd(w) % w->depth);
	int happened = 0;
	int rc;

	while (!stopping && w->in_flight < wanted) {
		if (rnd(w) % 512 == 0 &&
		    nvmux_ns_cmd_flush(w->ns, w->qpair, flush_done, w) == 0) {
			w->flushes++;
			w->flushes_in_flight++;
			if (w->in_flight == 0)
				w->last_done = now();
			w->in_flight++;
		}
		rc = submit_one(w);
		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
		happened = 1;
	}
	rc = nvmux_qpair_process_completions(w->qpair, 0);
	if (rc < 0)
		return rc;
	if (rc > 0)
		measure_wait(w);
	return happened || rc > 0;
}

/* Nothing happened: sleep until a completion comes, where the transport can. */
static void wait_for_completion(struct worker *workers, uint32_t n)
{
	struct pollfd fds[QPAIRS_MAX];
	nfds_t n_fds = 0;

	for (uint32_t i = 0; i < n; i++) {
		int fd = nvmux_qpair_get_fd(workers[i].qpair);

		if (workers[i].in_flight == 0)
			continue;
		if (fd < 0 || workers[i].opts->poll ||
		    nvmux_qpair_arm(workers[i].qpair) != 0) {
			sched_yield();
			return;
		}
		fds[n_fds].fd = fd;
		fds[n_fds++].events = POLLIN;
	}
	if (poll(fds, n_fds, IDLE_WAIT_MS) < 0 && errno != EINTR)
		perror("poll");
}

/* Serve @n workers until the end. @serve: this is the control thread, which serves the context. */
static void run_workers(struct worker *workers, uint32_t n, struct nvmux *serve, double end)
{
	bool stopping = false;
	uint32_t in_flight = n;

	while (!stopping || in_flight > 0) {
		int happened = 0;

		if (serve)
			nvmux_process(serve);
		stopping = stopping || stop_wanted || now() >= end;
		in_flight = 0;
		for (uint32_t i = 0; i < n; i++) {
			struct worker *w = &workers[i];
			int rc = w->result ? 0 : turn(w, stopping);

			if (rc < 0) {
				w->result = rc;
				stopping = true;
			}
			if (w->miscompares + w->duplicates > 0 ||
			    (w->errors > 0 && !w->opts->errors))
				stopping = true;
			happened |= rc > 0;
			in_flight += w->result ? 0 : w->in_flight;
		}
		if (!happened && in_flight > 0)
			wait_for_completion(workers, n);
	}
}

struct thread_arg {
	struct worker *worker;
	double end;
	uint32_t *running; /* threads that haven't ended */
};

static void *thread_main(void *arg)
{
	struct thread_arg *t = arg;

	run_workers(t->worker, 1, NULL, t->end);
	__atomic_fetch_sub(t->running, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* A thread for each worker, while this one serves the context. */
static void run_threads(struct nvmux *nvmux, struct worker *workers, uint32_t n, double end)
{
	struct pollfd fd = {.fd = nvmux_get_fd(nvmux), .events = POLLIN};
	struct thread_arg args[QPAIRS_MAX];
	uint32_t running = n;

	for (uint32_t i = 0; i < n; i++) {
		args[i] = (struct thread_arg){&workers[i], end, &running};
		NVMUX_ASSERT(pthread_create(&workers[i].thread, NULL, thread_main, &args[i]) == 0);
	}
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) > 0) {
		nvmux_process(nvmux);
		if (poll(&fd, 1, IDLE_WAIT_MS) < 0 && errno != EINTR)
			perror("poll");
	}
	for (uint32_t i = 0; i < n; i++)
		pthread_join(workers[i].thread, NULL);
}

/* ---- setting up ---- */

static void *must(void *p)
{
	NVMUX_ASSERT(p);
	return p;
}

/* Queue pair and memory. */
static int worker_open(struct worker *w, const struct options *opts, struct nvmux_ctrlr *ctrlr,
		       struct nvmux_ns *ns)
{
	struct nvmux_io_qpair_opts qopts;
	int rc;

	w->ns = ns;
	w->result = 0;
	nvmux_io_qpair_opts_init(ctrlr, &qopts, sizeof(qopts));
	qopts.io_queue_depth = opts->depth;
	rc = nvmux_ctrlr_alloc_io_qpair(ctrlr, &qopts, &w->qpair);
	if (rc < 0)
		return rc;
	w->depth = MIN(opts->depth, nvmux_qpair_get_depth(w->qpair));
	rc = nvmux_mem_alloc(ctrlr, opts->pool_bytes, 0, &w->mem);
	if (rc < 0)
		return rc;
	w->pool = nvmux_mem_addr(w->mem);
	w->pool_pages = (uint32_t)(nvmux_mem_size(w->mem) / PAGE);
	return 0;
}

/* Whatever is in flight ends here. */
static void worker_close(struct worker *w)
{
	nvmux_qpair_free(w->qpair);
	nvmux_mem_free(w->mem);
	w->qpair = NULL;
	w->mem = NULL;
}

static int worker_init(struct worker *w, const struct options *opts, struct nvmux_ctrlr *ctrlr,
		       struct nvmux_ns *ns, uint32_t index)
{
	int rc;

	w->opts = opts;
	w->block_size = nvmux_ns_get_sector_size(ns);
	w->blocks = opts->blocks / opts->qpairs;
	w->start = opts->start + index * w->blocks;
	w->random = mix(opts->seed + index * 7919);
	rc = worker_open(w, opts, ctrlr, ns);
	if (rc < 0)
		return rc;
	w->pool_used = must(calloc(w->pool_pages, 1));
	w->generation = must(calloc(w->blocks, sizeof(*w->generation)));
	w->busy = must(calloc(w->blocks, 1));
	w->ios = must(calloc(w->depth, sizeof(*w->ios)));
	for (uint32_t i = 0; i < w->depth; i++) {
		w->ios[i].worker = w;
		w->ios[i].next_free = w->free_ios;
		w->free_ios = &w->ios[i];
	}
	return 0;
}

static void worker_fini(struct worker *w)
{
	worker_close(w);
	free(w->pool_used);
	free(w->generation);
	free(w->busy);
	free(w->ios);
}

static int report(const struct worker *workers, uint32_t n, double seconds, uint32_t losses)
{
	struct worker sum = {0};

	for (uint32_t i = 0; i < n; i++) {
		const struct worker *w = &workers[i];

		sum.reads += w->reads;
		sum.writes += w->writes;
		sum.flushes += w->flushes;
		sum.read_bytes += w->read_bytes;
		sum.write_bytes += w->write_bytes;
		sum.verified += w->verified;
		sum.plausible += w->plausible;
		sum.errors += w->errors;
		sum.other_errors += w->other_errors;
		if (w->other_errors && !sum.other_status[0])
			memcpy(sum.other_status, w->other_status, sizeof(sum.other_status));
		sum.miscompares += w->miscompares;
		sum.duplicates += w->duplicates;
		sum.longest_wait = MAX(sum.longest_wait, w->longest_wait);
		if (w->errors > 0 && (!sum.first_status || w->first_error < sum.first_error)) {
			sum.first_error = w->first_error;
			sum.first_status = w->first_status;
		}
		sum.max_in_flight = MAX(sum.max_in_flight, w->max_in_flight);
		sum.result = sum.result ? sum.result : w->result;
	}
	printf("{\"reads\": %" PRIu64 ", \"writes\": %" PRIu64 ", \"flushes\": %" PRIu64
	       ", \"read_bytes\": %" PRIu64 ", \"write_bytes\": %" PRIu64
	       ", \"verified_blocks\": %" PRIu64 ", \"plausible_blocks\": %" PRIu64
	       ", \"errors\": %" PRIu64 ", \"miscompares\": %" PRIu64 ", \"duplicates\": %" PRIu64
	       ", \"max_in_flight\": %u, \"result\": %d, \"seconds\": %.3f"
	       ", \"longest_wait\": %.3f, \"first_error\": %.3f, \"first_status\": \"%s\""
	       ", \"losses\": %u, \"other_errors\": %" PRIu64 ", \"other_status\": \"%s\"}\n",
	       sum.reads, sum.writes, sum.flushes, sum.read_bytes, sum.write_bytes, sum.verified,
	       sum.plausible, sum.errors, sum.miscompares, sum.duplicates, sum.max_in_flight,
	       sum.result, seconds, sum.longest_wait, sum.first_error,
	       sum.first_status ? nvmux_status_string(sum.first_status) : "", losses,
	       sum.other_errors, sum.other_status);
	fflush(stdout);
	if (sum.miscompares + sum.duplicates > 0)
		return 2;
	return (sum.errors > 0 || sum.result < 0) && !workers[0].opts->errors ? 3 : 0;
}

static bool is_over(double end)
{
	return stop_wanted || now() >= end;
}

static void say_running(void)
{
	printf("running\n");
	fflush(stdout);
}

/* The controller was lost: go on with the one that takes its place. False: the time is over. */
static bool attach_again(struct nvmux *nvmux, struct nvmux_ctrlr **ctrlr, struct options *opts,
			 struct worker *workers, double end)
{
	const struct timespec pause = {.tv_nsec = 3000000};
	struct nvmux_ns *ns;
	int rc;

	for (uint32_t i = 0; i < opts->qpairs; i++)
		worker_close(&workers[i]);
	while (!is_over(end)) {
		if (*ctrlr)
			nvmux_detach(*ctrlr);
		*ctrlr = NULL;
		rc = nvmux_connect(nvmux, &opts->trid, &opts->ctrlr, ctrlr);
		ns = rc ? NULL : nvmux_ctrlr_get_ns(*ctrlr, opts->nsid);
		for (uint32_t i = 0; i < opts->qpairs && !rc; i++)
			rc = ns ? worker_open(&workers[i], opts, *ctrlr, ns) : -ENOENT;
		if (!rc)
			return true;
		for (uint32_t i = 0; i < opts->qpairs; i++)
			worker_close(&workers[i]);
		nanosleep(&pause, NULL);
	}
	return false;
}

/* Run until the time is over, a controller after the other with --again. Return: losses. */
static uint32_t run_until(struct nvmux *nvmux, struct nvmux_ctrlr **ctrlr, struct options *opts,
			  struct worker *workers, double end)
{
	uint32_t losses = 0;
	bool bad = false;

	while (!bad) {
		bool lost = false;

		if (opts->threads)
			run_threads(nvmux, workers, opts->qpairs, end);
		else
			run_workers(workers, opts->qpairs, nvmux, end);
		for (uint32_t i = 0; i < opts->qpairs; i++) {
			lost |= workers[i].result < 0;
			bad |= workers[i].miscompares + workers[i].duplicates > 0;
		}
		if (!opts->again || !lost)
			break;
		losses++;
		if (!attach_again(nvmux, ctrlr, opts, workers, end))
			break;
		say_running();
	}
	return losses;
}

/* Make the workers, run them, report, end them. Return an exit code or a negative errno value. */
static int run_load(struct nvmux *nvmux, struct nvmux_ctrlr **attached, struct options *opts)
{
	struct nvmux_ctrlr *ctrlr = *attached;
	struct nvmux_ns *ns = nvmux_ctrlr_get_ns(ctrlr, opts->nsid);
	struct worker *workers = must(calloc(opts->qpairs, sizeof(*workers)));
	uint32_t losses;
	double begin;
	int rc = 0;

	if (!ns) {
		fprintf(stderr, "no namespace %u\n", opts->nsid);
		rc = -ENOENT;
	} else if (opts->blocks == 0) {
		opts->blocks = nvmux_ns_get_num_sectors(ns) - opts->start;
	}
	for (uint32_t i = 0; i < opts->qpairs && rc == 0; i++)
		rc = worker_init(&workers[i], opts, ctrlr, ns, i);
	if (rc == 0) {
		say_running();
		begin = now();
		losses = run_until(nvmux, attached, opts, workers, begin + opts->seconds);
		rc = report(workers, opts->qpairs, now() - begin, losses);
	}
	for (uint32_t i = 0; i < opts->qpairs; i++)
		worker_fini(&workers[i]);
	free(workers);
	return rc;
}

static const struct option long_options[] = {
	{"nsid", required_argument, NULL, 'n'},	   {"qpairs", required_argument, NULL, 'q'},
	{"depth", required_argument, NULL, 'd'},   {"min", required_argument, NULL, 'm'},
	{"max", required_argument, NULL, 'M'},	   {"start", required_argument, NULL, 's'},
	{"blocks", required_argument, NULL, 'b'},  {"pool", required_argument, NULL, 'p'},
	{"seconds", required_argument, NULL, 't'}, {"owner", required_argument, NULL, 'o'},
	{"seed", required_argument, NULL, 'S'},	   {"ack-timeout", required_argument, NULL, 'A'},
	{"kato", required_argument, NULL, 'K'},	   {"threads", no_argument, NULL, 'T'},
	{"again", no_argument, NULL, 'a'},	   {"errors", no_argument, NULL, 'E'},
	{"poll", no_argument, NULL, 'P'},
	{"help", no_argument, NULL, 'h'},	   {NULL, 0, NULL, 0},
};

static const char usage_text[] =
	"usage: nvmux-load [OPTION…] TRANSPORT-ID\n"
	"Verified random reads and writes; prints \"running\", then one line of JSON.\n"
	"  --nsid N      namespace (1)            --qpairs N   queue pairs (1)\n"
	"  --depth N     in flight at most (32)   --seconds N  how long (5)\n"
	"  --min BYTES, --max BYTES               size of an I/O (512 to 1 MiB)\n"
	"  --start LBA, --blocks N                range to use (the whole namespace)\n"
	"  --pool BYTES  I/O memory of a queue pair (8 MiB)\n"
	"  --owner N     goes into each block     --seed N     of the random numbers\n"
	"  --ack-timeout N, --kato MS              of the connection to a fabrics controller\n"
	"  --threads     a thread for each queue pair\n"
	"  --poll        never wait on a descriptor\n"
	"  --errors      go on after commands that fail\n"
	"  --again       go on after the controller has been lost and is back, say \"running\"\n"
	"                again then; and --errors\n";

static int parse_options(struct options *o, int argc, char **argv)
{
	char why[256], *end;
	int c;

	*o = (struct options){.nsid = 1, .qpairs = 1, .depth = 32, .min_bytes = SECTOR,
			      .max_bytes = 1 << 20, .pool_bytes = 8 << 20, .seconds = 5,
			      .owner = 1, .seed = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid()};
	nvmux_ctrlr_opts_init(&o->ctrlr, sizeof(o->ctrlr));
	while ((c = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		uint64_t value = optarg ? strtoull(optarg, &end, 0) : 0;

		if (optarg && (end == optarg || *end))
			c = '?';
		switch (c) {
		case 'n': o->nsid = (uint32_t)value; break;
		case 'q': o->qpairs = (uint32_t)value; break;
		case 'd': o->depth = (uint32_t)value; break;
		case 'm': o->min_bytes = (uint32_t)value; break;
		case 'M': o->max_bytes = (uint32_t)value; break;
		case 's': o->start = value; break;
		case 'b': o->blocks = value; break;
		case 'p': o->pool_bytes = value; break;
		case 't': o->seconds = (uint32_t)value; break;
		case 'o': o->owner = (uint32_t)value; break;
		case 'S': o->seed = value; break;
		case 'A': o->ctrlr.transport_ack_timeout = (uint32_t)value; break;
		case 'K': o->ctrlr.keep_alive_timeout_ms = (uint32_t)value; break;
		case 'T': o->threads = true; break;
		case 'E': o->errors = true; break;
		case 'P': o->poll = true; break;
		case 'a': o->again = o->errors = true; break;
		default: fputs(usage_text, c == 'h' ? stdout : stderr); exit(c == 'h' ? 0 : 64);
		}
	}
	if (optind != argc - 1 || o->qpairs < 1 || o->qpairs > QPAIRS_MAX || o->depth < 1) {
		fputs(usage_text, stderr);
		return -EINVAL;
	}
	if (nvmux_trid_parse(&o->trid, argv[optind], why, sizeof(why)) < 0) {
		fprintf(stderr, "%s\n", why);
		return -EINVAL;
	}
	/* A daemon that many clients come to at once, on a slow machine, is late, not lost. */
	if (o->trid.trtype == NVMUX_TRTYPE_DAEMON)
		o->ctrlr.admin_timeout_ms = DAEMON_TIMEOUT_MS;
	return 0;
}

static void log_line(void *arg, enum nvmux_log_level level, const char *module, const char *text)
{
	(void)arg;
	if (level <= NVMUX_LOG_WARNING)
		fprintf(stderr, "%s: %s\n", module, text);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct nvmux_ctrlr *ctrlr = NULL;
	struct nvmux *nvmux = NULL;
	struct nvmux_opts nopts;
	struct options opts;
	int rc;

	if (parse_options(&opts, argc, argv) < 0)
		return 64;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	nvmux_opts_init(&nopts, sizeof(nopts));
	nopts.log = log_line;
	rc = nvmux_create(&nopts, &nvmux);
	if (rc < 0) {
		fprintf(stderr, "context: %s\n", strerror(-rc));
		return 1;
	}
	nvmux_sigbus_install(nvmux, NULL);
	rc = nvmux_connect(nvmux, &opts.trid, &opts.ctrlr, &ctrlr);
	if (rc == 0)
		rc = run_load(nvmux, &ctrlr, &opts);
	if (rc < 0)
		fprintf(stderr, "%s: %s\n", strerror(-rc), nvmux_error_text(nvmux));
	if (ctrlr)
		nvmux_detach(ctrlr);
	nvmux_sigbus_install(NULL, NULL);
	nvmux_destroy(nvmux);
	return rc < 0 ? 1 : rc;
}
