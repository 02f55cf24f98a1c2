/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of nvmux bench: jobs, which are threads with a queue pair each, and their report. */
#ifndef NVMUX_CLI_BENCH_H
#define NVMUX_CLI_BENCH_H

#include <pthread.h>
#include <time.h>
#include <nvmux/nvmux.h>

#include "cli/histogram.h"
#include "cli/nsio.h"

#define BENCH_JOBS_MAX   64
#define BENCH_DEPTHS_MAX 16
#define BENCH_DEPTH_MAX  4096

enum bench_phase {
	BENCH_WARMUP,
	BENCH_MEASURE,
	BENCH_STOP,
};

struct bench_config {
	const char *pattern;
	bool random;
	uint32_t read_share; /* of 2^32: a random number below it means a read */
	bool reads;          /* the pattern has reads */
	bool writes;
	uint32_t rwmix;   /* percent of reads */
	uint32_t io_size; /* bytes of one I/O */
	uint32_t depths[BENCH_DEPTHS_MAX];
	unsigned n_depths;
	uint32_t depth_max; /* the largest of them */
	uint32_t jobs;
	uint32_t cores[BENCH_JOBS_MAX];
	unsigned n_cores; /* 0: not pinned */
	uint64_t time_ms;
	uint64_t warmup_ms;
	uint64_t n_ios; /* of each job, instead of a time; 0: a time */
	uint64_t size; /* bytes of the namespace to use; 0: all of it */
	bool verify;
	bool adaptive; /* wait for completions asleep, where the queue pair can be waited for */
	bool live;
};

struct bench_job;

/* What is in flight, or about to be. */
struct bench_io {
	struct bench_job *job;
	uint8_t *buf;
	uint64_t start; /* ticks */
	uint64_t lba;
	bool write;
};

/* What a job must say when it ends before its time. */
struct bench_failure {
	int err;         /* of the library, or 0 */
	uint16_t status; /* of a completion, or 0 */
	bool miscompare;
	bool write;
	uint64_t lba; /* first block of the I/O; of a miscompare: the block */
};

struct bench_job {
	/* constant during a run */
	const struct bench_config *config;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair;
	const int *phase; /* enum bench_phase, written by the control thread */
	uint32_t depth;
	uint32_t io_blocks;
	uint32_t block_size;
	uint64_t first; /* this job's share of the range, in I/Os: sequential patterns */
	uint64_t count;
	struct bench_io *ios;       /* depth_max */
	struct bench_io **finished; /* depth_max: completed, not yet sent again */
	struct bench_io **stalled;  /* depth_max: the queue had no room for them */
	pthread_t thread;
	bool started;

	/* the thread's own */
	uint32_t n_finished;
	uint32_t n_stalled;
	uint32_t in_flight;
	uint64_t to_send; /* I/Os that are still to be begun: of a number of I/Os */
	uint64_t empty_polls; /* turns of the measured phase that found nothing completed */
	uint64_t random; /* state of the generator, never 0 */
	uint64_t next;   /* sequential: I/Os from the beginning of the share */
	uint64_t begin;  /* ticks between which was measured */
	uint64_t end;
	struct bench_failure failure;
	struct histogram histogram; /* ticks */

	/* written by the thread once per batch, read by the control thread */
	uint64_t completed __attribute__((aligned(64)));
	int ended;
};

/* A cheap clock of constant rate; its unit is measured with each run. */
static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t v;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
#endif
}

/* Start a job's thread, pinned to @core (-1: not). 0 or a negative errno value. */
int bench_job_start(struct bench_job *job, int core);
/* Wait for it, if it was started. */
void bench_job_join(struct bench_job *job);
/* Write (or read and check) the first @count I/Os of the namespace once, in the caller's thread,
 * which is the one that serves @nvmux. 0, -EINTR, or another error with job->failure saying why. */
int bench_job_pass(struct bench_job *job, struct nvmux *nvmux, uint64_t count, bool write);

/* Contents that depend on the block's number only: whoever writes a block writes the same. */
void bench_fill(uint8_t *buf, uint64_t lba, uint32_t blocks, uint32_t block_size);
/* Whether @buf is as bench_fill() makes it; if not *@bad is the first wrong block. */
bool bench_check(const uint8_t *buf, uint64_t lba, uint32_t blocks, uint32_t block_size,
		 uint64_t *bad);

/* The sum of the jobs of one run. */
struct bench_result {
	uint32_t depth;
	uint64_t commands;
	uint64_t empty_polls;
	double seconds;
	double iops;
	double ns_per_tick;
	struct histogram histogram;
};

void bench_result_text(const struct bench_config *config, const struct bench_result *result);
json_t *bench_result_json(const struct bench_config *config, const struct bench_result *result);

#endif
