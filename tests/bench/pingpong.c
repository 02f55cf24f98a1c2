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
#define ROUNDS 200000u

#if defined(__x86_64__)
#define cpu_relax() __builtin_ia32_pause()
#else
#define cpu_relax() ((void)0)
#endif

struct table {
	uint32_t ball __attribute__((aligned(128))); /* odd: the other side's turn */
	uint32_t pad[31];
	int core;
};

static int pin(int core)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)core, &cpus);
	return pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

static void wait_for(const struct table *table, uint32_t value)
{
	while (__atomic_load_n(&table->ball, __ATOMIC_ACQUIRE) != value)
		cpu_relax();
}

static void *other_side(void *arg)
{
	struct table *table = arg;

	if (pin(table->core)) {
		fprintf(stderr, "pingpong: there is no core %d for this process\n", table->core);
		exit(1);
	}
	for (uint32_t i = 0; i < RUNS * ROUNDS; i++) {
		wait_for(table, 2 * i + 1);
		__atomic_store_n(&table->ball, 2 * i + 2, __ATOMIC_RELEASE);
	}
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

int main(int argc, char **argv)
{
	int core = argc == 3 ? atoi(argv[1]) : 0;
	struct table table = {.core = argc == 3 ? atoi(argv[2]) : 1};
	double results[RUNS];
	pthread_t thread;
	uint32_t i = 0;

	if (argc != 1 && argc != 3) {
		fputs("usage: pingpong [CORE CORE]\n", stderr);
		return 1;
	}
	if (core == table.core || pin(core)) {
		fprintf(stderr, "pingpong: cores %d and %d: two different ones are needed\n", core,
			table.core);
		return 1;
	}
	if (pthread_create(&thread, NULL, other_side, &table))
		return 1;
	for (int run = 0; run < RUNS; run++) {
		double start = now_ns();

		for (uint32_t end = i + ROUNDS; i < end; i++) {
			__atomic_store_n(&table.ball, 2 * i + 1, __ATOMIC_RELEASE);
			wait_for(&table, 2 * i + 2);
		}
		results[run] = (now_ns() - start) / ROUNDS;
	}
	pthread_join(thread, NULL);
	qsort(results, RUNS, sizeof(results[0]), compare);
	printf("%.1f %.1f %.1f\n", results[RUNS / 2], results[0], results[RUNS - 1]);
	return 0;
}
