// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the context waits for: descriptors in one epoll set, and timers in the order of their
 * deadlines, the earliest of which is also a timerfd in that set: a caller that watches the one
 * descriptor misses nothing. There is no loop here but nvmux_wait(), for the blocking functions:
 * the caller's loop watches nvmux_get_fd() and nvmux_get_timeout_ms() and calls nvmux_process().
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <time.h>

#include "core.h"

#define EVENTS_PER_CALL 64 /* bound of one nvmux_process() */

uint64_t nvmux_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int nvmux_watch_add(struct nvmux *nvmux, struct nvmux_watch *watch, int fd, uint32_t epoll_events,
		    void (*fn)(void *arg, uint32_t epoll_events), void *arg)
{
	struct epoll_event event = {.events = epoll_events, .data.ptr = watch};

	if (epoll_ctl(nvmux->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	*watch = (struct nvmux_watch){.fd = fd, .fn = fn, .arg = arg};
	return 0;
}

int nvmux_watch_mod(struct nvmux *nvmux, struct nvmux_watch *watch, uint32_t epoll_events)
{
	struct epoll_event event = {.events = epoll_events, .data.ptr = watch};

	return epoll_ctl(nvmux->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) < 0 ? -errno : 0;
}

void nvmux_watch_del(struct nvmux *nvmux, struct nvmux_watch *watch)
{
	if (!watch->fn)
		return;
	epoll_ctl(nvmux->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fn = NULL;
}

/*
 * The timerfd expires no later than the earliest deadline. It isn't set back for one that is later
 * or gone, as most are: those of what ends in time. It expires in vain then, now and again.
 */
static void rearm(struct nvmux *nvmux)
{
	const struct nvmux_timer *first = TAILQ_FIRST(&nvmux->timers);
	uint64_t at = first ? first->deadline_ms : 0;
	struct itimerspec spec = {
		.it_value = {.tv_sec = (time_t)(at / 1000), .tv_nsec = (long)(at % 1000) * 1000000},
	};

	if (!first || (nvmux->timer_fd_at && nvmux->timer_fd_at <= at))
		return;
	nvmux->timer_fd_at = at;
	timerfd_settime(nvmux->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void timer_fd_due(void *arg, uint32_t epoll_events)
{
	struct nvmux *nvmux = arg;
	uint64_t expirations;

	/* The timers themselves run at the end of nvmux_process(). */
	if (read(nvmux->timer_fd, &expirations, sizeof(expirations)) < 0)
		return;
	nvmux->timer_fd_at = 0;
}

int nvmux_loop_init(struct nvmux *nvmux)
{
	TAILQ_INIT(&nvmux->timers);
	nvmux->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (nvmux->epoll_fd < 0)
		return -errno;
	nvmux->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (nvmux->timer_fd < 0)
		return -errno;
	return nvmux_watch_add(nvmux, &nvmux->timer_watch, nvmux->timer_fd, EPOLLIN, timer_fd_due,
			       nvmux);
}

void nvmux_loop_fini(struct nvmux *nvmux)
{
	NVMUX_ASSERT(TAILQ_EMPTY(&nvmux->timers));
	if (nvmux->timer_fd >= 0)
		close(nvmux->timer_fd);
	if (nvmux->epoll_fd >= 0)
		close(nvmux->epoll_fd);
}

void nvmux_timer_set(struct nvmux *nvmux, struct nvmux_timer *timer, uint32_t delay_ms,
		     void (*fn)(void *arg), void *arg)
{
	struct nvmux_timer *before;

	nvmux_timer_cancel(nvmux, timer);
	timer->deadline_ms = nvmux_now_ms() + delay_ms;
	timer->fn = fn;
	timer->arg = arg;
	TAILQ_FOREACH (before, &nvmux->timers, link) {
		if (before->deadline_ms > timer->deadline_ms)
			break;
	}
	if (before)
		TAILQ_INSERT_BEFORE(before, timer, link);
	else
		TAILQ_INSERT_TAIL(&nvmux->timers, timer, link);
	if (!nvmux->timers_later)
		rearm(nvmux);
}

void nvmux_timer_cancel(struct nvmux *nvmux, struct nvmux_timer *timer)
{
	if (!timer->deadline_ms)
		return;
	TAILQ_REMOVE(&nvmux->timers, timer, link);
	timer->deadline_ms = 0;
}

int nvmux_get_fd(const struct nvmux *nvmux)
{
	return nvmux->epoll_fd;
}

int nvmux_get_timeout_ms(const struct nvmux *nvmux)
{
	const struct nvmux_timer *first = TAILQ_FIRST(&nvmux->timers);
	uint64_t now;

	if (!first)
		return -1;
	now = nvmux_now_ms();
	if (first->deadline_ms <= now)
		return 0;
	return (int)MIN(first->deadline_ms - now, 3600000ull);
}

/* Timers that are due, a bounded number of them. */
static int run_timers(struct nvmux *nvmux)
{
	uint64_t now = nvmux_now_ms();
	int n = 0;

	while (n < EVENTS_PER_CALL) {
		struct nvmux_timer *first = TAILQ_FIRST(&nvmux->timers);

		if (!first || first->deadline_ms > now)
			break;
		nvmux_timer_cancel(nvmux, first);
		first->fn(first->arg);
		n++;
	}
	return n;
}

int nvmux_process(struct nvmux *nvmux)
{
	bool later = nvmux->timers_later;
	int n = 0, err = 0;

	if (nvmux->processing)
		return -EDEADLK;
	nvmux->processing = true;
	nvmux->timers_later = true;
	/* One event per epoll_wait(): a callback may end any other watch. */
	while (n < EVENTS_PER_CALL) {
		struct epoll_event event;
		int got = epoll_wait(nvmux->epoll_fd, &event, 1, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			err = -errno;
		if (got <= 0)
			break;
		struct nvmux_watch *watch = event.data.ptr;
		watch->fn(watch->arg, event.events);
		n++;
	}
	n += run_timers(nvmux);
	nvmux->processing = false;
	nvmux->timers_later = later;
	if (!later)
		rearm(nvmux);
	return err ? err : n;
}

void nvmux_settle(struct nvmux *nvmux)
{
	nvmux->timers_later = true;
	if (nvmux_get_timeout_ms(nvmux) == 0)
		nvmux_process(nvmux);
	rearm(nvmux);
}

int nvmux_wait(struct nvmux *nvmux, const bool *done)
{
	bool later = nvmux->timers_later;
	int n = 0;

	if (nvmux->processing && !*done)
		return nvmux_error(nvmux, -EDEADLK,
				   "a blocking function was called from within a callback");
	nvmux->timers_later = true;
	while (!*done && n >= 0) {
		struct pollfd pfd = {.fd = nvmux->epoll_fd, .events = POLLIN};

		if (poll(&pfd, 1, nvmux_get_timeout_ms(nvmux)) < 0 && errno != EINTR)
			n = -errno;
		else
			n = nvmux_process(nvmux);
	}
	nvmux->timers_later = later;
	if (!later)
		rearm(nvmux);
	return MIN(n, 0);
}
