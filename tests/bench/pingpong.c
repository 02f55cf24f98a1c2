// SPDX-License-Identifier: BSD-3-Clause
/*
 * The floor of this machine for anything that two threads do together: how long a cache line takes
 * from one core to another and back.
 *
 *	pingpong [CORE CORE]     (default 0 and 1)
 *
 * prints the median, the smallest and the largest of several runs, in nanoseconds per round trip.
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

struct table {
	uint32_t ball __attribute__((aligned(128))); /* odd: the other side's turn, or END */
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

/* Wait until the ball isn't @old any more. */
static uint32_t wait_for_change(const struct table *table, uint32_t old)
{
	uint32_t ball;

	while ((ball = __atomic_load_n(&table->ball, __ATOMIC_ACQUIRE)) == old)
		cpu_relax();
	return ball;
}

static void *other_side(void *arg)
{
	struct table *table = arg;
	uint32_t ball = 0;

	while ((ball = wait_for_change(table, ball)) != END)
		__atomic_store_n(&table->ball, ++ball, __ATOMIC_RELEASE);
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

static double run(struct table *table)
{
	double start = now_ns(), taken;
	uint32_t rounds = 0;

	do {
		for (uint32_t i = 0; i < ROUNDS; i++) {
			uint32_t ball = table->ball + 1;

			__atomic_store_n(&table->ball, ball, __ATOMIC_RELEASE);
			wait_for_change(table, ball);
		}
		rounds += ROUNDS;
		taken = now_ns() - start;
	} while (taken < RUN_NS);
	return taken / rounds;
}

int main(int argc, char **argv)
{
	int core = argc == 3 ? atoi(argv[1]) : 0;
	int other = argc == 3 ? atoi(argv[2]) : 1;
	struct table table = {0};
	double results[RUNS];
	pthread_t thread;

	if (argc != 1 && argc != 3) {
		fputs("usage: pingpong [CORE CORE]\n", stderr);
		return 1;
	}
	if (core == other || pin(core)) {
		fprintf(stderr, "pingpong: cores %d and %d: two different ones are needed\n", core,
			other);
		return 1;
	}
	if (start(&thread, other, other_side, &table)) {
		fprintf(stderr, "pingpong: there is no core %d for this process\n", other);
		return 1;
	}
	for (int i = 0; i < RUNS; i++)
		results[i] = run(&table);
	__atomic_store_n(&table.ball, END, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	qsort(results, RUNS, sizeof(results[0]), compare);
	printf("%.1f %.1f %.1f\n", results[RUNS / 2], results[0], results[RUNS - 1]);
	return 0;
}
