// SPDX-License-Identifier: BSD-3-Clause
/*
 * The floor of this machine for anything that two threads do together: how long a cache line takes
 * from one core to another and back.
 *
 *	pingpong [CORE CORE [LINES]]     (default 0 and 1; 1)
 *
 * prints the median, the smallest and the largest of several runs, in nanoseconds per round trip.
 * With 2 lines each side writes one of its own and waits for the other's, as client and reactor do.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS   9
#define RUN_NS 20e6
#define ROUNDS 1024u /* between two looks at the clock */
#define END    UINT32_MAX

#if defined(__x86_64__)
#define cpu_relax() __builtin_ia32_pause()
#else
#define cpu_relax() ((void)0)
#endif

struct line {
	uint32_t ball __attribute__((aligned(128))); /* odd: to the other side, or END */
};

/* What one side writes, and what it waits for: the same line, or two. */
struct side {
	struct line *out;
	const struct line *in;
};

static int pin(int core)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)core, &cpus);
	return pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

/* A thread that is on its core from the beginning: with a real-time policy it couldn't leave
 * another's later. */
static int start(pthread_t *ret, int core, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	cpu_set_t cpus;
	int err;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)core, &cpus);
	err = pthread_attr_init(&attr);
	if (err)
		return err;
	err = pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	if (!err)
		err = pthread_create(ret, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return err;
}

static void play(const struct side *side, uint32_t ball)
{
	__atomic_store_n(&side->out->ball, ball, __ATOMIC_RELEASE);
}

/* Wait for what comes after @ball, which was the last that this side has played. */
static uint32_t wait_for_answer(const struct side *side, uint32_t ball)
{
	uint32_t old = side->in == side->out || !ball ? ball : ball - 1, next;

	while ((next = __atomic_load_n(&side->in->ball, __ATOMIC_ACQUIRE)) == old)
		cpu_relax();
	return next;
}

static void *other_side(void *arg)
{
	const struct side *side = arg;
	uint32_t ball = 0;

	while ((ball = wait_for_answer(side, ball)) != END)
		play(side, ++ball);
	return NULL;
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double run(const struct side *side, uint32_t *ball)
{
	double start = now_ns(), taken;
	uint32_t rounds = 0;

	do {
		for (uint32_t i = 0; i < ROUNDS; i++) {
			play(side, ++*ball);
			*ball = wait_for_answer(side, *ball);
		}
		rounds += ROUNDS;
		taken = now_ns() - start;
	} while (taken < RUN_NS);
	return taken / rounds;
}

int main(int argc, char **argv)
{
	int core = argc > 2 ? atoi(argv[1]) : 0;
	int other = argc > 2 ? atoi(argv[2]) : 1;
	int n_lines = argc > 3 ? atoi(argv[3]) : 1;
	struct line lines[2] = {0};
	struct line *answers = &lines[n_lines == 2];
	struct side here = {&lines[0], answers}, there = {answers, &lines[0]};
	double results[RUNS];
	uint32_t ball = 0;
	pthread_t thread;

	if (argc == 2 || argc > 4 || n_lines < 1 || n_lines > 2) {
		fputs("usage: pingpong [CORE CORE [1|2]]\n", stderr);
		return 1;
	}
	if (core == other || pin(core)) {
		fprintf(stderr, "pingpong: cores %d and %d: two different ones are needed\n", core,
			other);
		return 1;
	}
	if (start(&thread, other, other_side, &there)) {
		fprintf(stderr, "pingpong: there is no core %d for this process\n", other);
		return 1;
	}
	for (int i = 0; i < RUNS; i++)
		results[i] = run(&here, &ball);
	play(&here, END);
	pthread_join(thread, NULL);
	qsort(results, RUNS, sizeof(results[0]), compare);
	printf("%.1f %.1f %.1f\n", results[RUNS / 2], results[0], results[RUNS - 1]);
	return 0;
}
