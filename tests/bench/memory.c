// SPDX-License-Identifier: BSD-3-Clause
/*
 * How fast one core copies memory, in the way a device with memory behind it does for reads:
 *
 *	nvmux-bench-memory CORE BYTES FROM TO SECONDS
 *
 * copies pieces of BYTES, from random places of FROM bytes, to one place after another of TO bytes,
 * with memcpy(), for so long, and prints bytes per second. Both are touched before. Memory is of
 * pages of 4 KiB, as that of a device is.
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include "tests/rng.h"

#define AT_ONCE 16u /* pieces between two looks at the clock */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint8_t *touched(size_t size)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	memset(p, 1, size);
	return p;
}

int main(int argc, char **argv)
{
	size_t bytes, from_bytes, to_bytes, to_at = 0;
	uint64_t random = 88172645463325252ull, copied = 0;
	double seconds, begin, end;
	uint8_t *from, *to;
	cpu_set_t cpus;

	if (argc != 6) {
		fprintf(stderr, "usage: nvmux-bench-memory CORE BYTES FROM TO SECONDS\n");
		return 64;
	}
	bytes = strtoull(argv[2], NULL, 0);
	from_bytes = strtoull(argv[3], NULL, 0);
	to_bytes = strtoull(argv[4], NULL, 0);
	seconds = strtod(argv[5], NULL);
	if (!bytes || from_bytes < bytes || to_bytes < bytes || !(seconds > 0)) {
		fprintf(stderr, "BYTES must fit into FROM and TO, and SECONDS be positive\n");
		return 64;
	}
	CPU_ZERO(&cpus);
	CPU_SET(strtoul(argv[1], NULL, 0), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0) {
		perror("sched_setaffinity");
		return 1;
	}
	from = touched(from_bytes);
	to = touched(to_bytes);
	begin = now();
	do {
		for (unsigned i = 0; i < AT_ONCE; i++) {
			memcpy(to + to_at,
			       from + next_random(&random) % (from_bytes / bytes) * bytes, bytes);
			to_at = to_bytes - to_at < 2 * bytes ? 0 : to_at + bytes;
		}
		copied += AT_ONCE * bytes;
		end = now();
	} while (end - begin < seconds);
	printf("%.0f\n", (double)copied / (end - begin));
	return 0;
}
