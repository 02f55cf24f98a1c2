// SPDX-License-Identifier: BSD-3-Clause
/*
 * Time that a busy machine can't take from a test: it passes when the program sleeps, or waits for
 * descriptors none of which is ready, by as much as was asked for. Linked in place of the calls
 * that tell the time and wait (tests/unit/meson.build); for programs with one thread.
 *
 * It begins far beyond the machine's own time, so that no timerfd of a deadline of this clock is
 * ever readable: a wait ends by its time-out.
 */
#include <poll.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define BEGIN_SEC 1000000000ull

static uint64_t now_us = BEGIN_SEC * 1000000;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_usleep(useconds_t us);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, ret);
	ret->tv_sec = (time_t)(now_us / 1000000);
	ret->tv_nsec = (long)(now_us % 1000000) * 1000;
	return 0;
}

/* Without a time-out only a descriptor can end it. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int ready = __real_poll(fds, n, timeout_ms < 0 ? -1 : 0);

	if (!ready)
		now_us += (uint64_t)timeout_ms * 1000;
	return ready;
}

int __wrap_usleep(useconds_t us)
{
	now_us += us;
	return 0;
}
