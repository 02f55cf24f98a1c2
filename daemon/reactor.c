// SPDX-License-Identifier: BSD-3-Clause
/*
 * A reactor: the thread, its turns, its sleep, and the messages to and from the control thread.
 *
 * Happy path: a turn takes messages, polls each active hardware queue (its channels first, then its
 * completions), publishes what that gave the channels, and looks at what waits. A hardware queue is
 * active while it has channels to poll or commands in flight; a channel without work is parked
 * after a while; when no hardware queue is active an adaptive reactor sleeps until a client, the
 * control thread or the poll group wakes it. Hardware queues of a poll group share completions:
 * polling one may deliver those of others, all of this reactor; what none of them asks for (answers
 * to the connection of another one) makes the group's descriptor readable.
 * Where completions can wake it, an adaptive reactor also sleeps with commands in flight or
 * channels that aren't parked yet, once nothing has come for REACTOR_DOZE_NS (it dozes).
 * Failure modes: a queue of messages that is full makes its sender keep the rest, and try again in
 * its next turn; a client that does nonsense costs at most its weight of commands in each turn, and
 * one that sends bytes without end one read in each look at the sockets.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "daemon/data.h"
#include "libcore/membarrier.h"

/* ---- messages: the reactor's side ---- */

void reactor_reply(struct reactor *r, struct message *msg)
{
	msgq_post(&r->to_control, &msg->link);
	r->replied = true;
}

void reactor_wait(struct reactor *r, struct message *msg)
{
	TAILQ_INSERT_TAIL(&r->waiting, msg, waiting);
}

static void handle_message(struct reactor *r, struct message *msg)
{
	switch (msg->kind) {
	case MSG_EXIT:
		r->exit = true;
		reactor_reply(r, msg);
		break;
	case MSG_HWQ_TAKE_BACK:
	case MSG_HWQ_HOLD:
	case MSG_HWQ_STOP_HOLDING:
	case MSG_HWQ_RELEASE:
	case MSG_HWQ_GO:
	case MSG_HWQ_ABORT:
	case MSG_HWQ_DESTROY:
	case MSG_HWQ_REQUEST:
	case MSG_HWQ_ABANDON:
	case MSG_HWQ_LOOK:
	case MSG_HWQ_FAILED: hwq_handle(r, msg); break;
	case MSG_CHANNEL_START:
	case MSG_CHANNEL_STOP:
	case MSG_CHANNEL_ABANDON:
	case MSG_CHANNEL_SET_REGION:
	case MSG_CHANNEL_DROP_REGION:
	case MSG_CHANNEL_SET_VIEW:
	case MSG_CHANNEL_SET_STATE: channel_handle(r, msg); break;
	}
}

static uint32_t take_messages(struct reactor *r)
{
	uint32_t n;

	for (n = 0; n < MSGQ_ENTRIES; n++) {
		struct msg *link = msgq_take(&r->to_reactor);

		if (!link)
			break;
		handle_message(r, container_of(link, struct message, link));
	}
	/* The control thread may keep more of them until there is room: tell it also when nothing
	 * is answered yet. */
	if (n)
		r->replied = true;
	return n;
}

static void finish_waiting(struct reactor *r)
{
	struct message *msg, *next;

	for (msg = TAILQ_FIRST(&r->waiting); msg; msg = next) {
		next = TAILQ_NEXT(msg, waiting);
		if (!channel_finish(msg))
			continue;
		TAILQ_REMOVE(&r->waiting, msg, waiting);
		reactor_reply(r, msg);
	}
}

static void store_stats(struct reactor *r)
{
	stat_set(&r->stats.loops, r->loops);
	stat_set(&r->stats.idle_loops, r->idle_loops);
	stat_set(&r->stats.sleeps, r->sleeps);
	stat_set(&r->stats.commands, r->commands);
	stat_set(&r->stats.completions, r->completions);
	stat_set(&r->stats.parked, r->n_parked);
}

static void tell_control(struct reactor *r)
{
	uint64_t one = 1;

	if (msgq_is_waiting(&r->to_control) && msgq_flush(&r->to_control))
		r->replied = true;
	if (!r->replied)
		return;
	r->replied = false;
	store_stats(r); /* whoever hears of what has ended finds it counted */
	(void)!write(r->reply_fd, &one, sizeof(one)); /* nobody else has this eventfd */
}

/* ---- sockets and sleep ---- */

static void look_at_sockets(struct reactor *r, int timeout_ms)
{
	struct epoll_event events[REACTOR_EVENTS];
	int n = epoll_wait(r->epoll_fd, events, REACTOR_EVENTS, timeout_ms);
	uint64_t count;

	r->epoll_countdown = REACTOR_EPOLL_TURNS;
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == &r->group)
			r->group_ready = true;
		else if (events[i].data.ptr)
			channel_wake(r, events[i].data.ptr);
		else
			(void)!read(r->wake_fd, &count, sizeof(count));
	}
}

/*
 * Nothing is active. Each parked channel has been looked at after its flag was set; what is left is
 * the control thread, which looks at our flag after it has posted a message.
 */
static void set_asleep(struct reactor *r, uint32_t asleep)
{
	__atomic_store_n(&r->asleep, asleep, __ATOMIC_RELAXED);
}

/* The flag is set, and the control thread has seen it or we shall see its message. */
static void sleep_now(struct reactor *r)
{
	int timeout_ms = msgq_is_waiting(&r->to_control) ? REACTOR_FLUSH_MS : -1;

	if (msgq_is_empty(&r->to_reactor)) {
		r->sleeps++;
		store_stats(r);
		look_at_sockets(r, timeout_ms);
	}
	set_asleep(r, 0);
}

static void reactor_sleep(struct reactor *r)
{
	store_stats(r); /* whoever finds it asleep finds what it did before counted */
	set_asleep(r, 1);
	nvmux_membarrier();
	sleep_now(r);
}

/* ---- turns ---- */

void reactor_activate(struct reactor *r, struct hwq *hwq)
{
	if (hwq->active || hwq->state >= HWQ_TAKEN)
		return;
	hwq->active = true;
	TAILQ_INSERT_TAIL(&r->active, hwq, link);
}

static uint32_t poll_hwqs(struct reactor *r)
{
	struct hwq *hwq, *next;
	uint32_t work = 0;

	for (hwq = TAILQ_FIRST(&r->active); hwq; hwq = next) {
		next = TAILQ_NEXT(hwq, link);
		work += hwq_poll(r, hwq);
	}
	return work;
}

/* There is nothing to wait for but commands: others than these need whole turns. */
static bool waits_for_rings(const struct reactor *r)
{
	const struct hwq *hwq;

	TAILQ_FOREACH (hwq, &r->active, link) {
		if (hwq->state != HWQ_RUNNING || nvmux_qpair_outstanding(hwq->qpair) ||
		    !TAILQ_EMPTY(&hwq->requests))
			return false;
	}
	return true;
}

static bool ring_is_ready(const struct reactor *r)
{
	const struct hwq *hwq;

	TAILQ_FOREACH (hwq, &r->active, link) {
		if (channels_ready(hwq))
			return true;
	}
	return false;
}

/* Between two turns without work: a command is seen sooner by looking at nothing but the rings. */
static void look_at_rings(const struct reactor *r)
{
	unsigned looks = waits_for_rings(r) ? REACTOR_LOOKS : 1;

	do {
		cpu_relax();
	} while (--looks && !ring_is_ready(r));
}

static uint32_t turn(struct reactor *r)
{
	uint32_t work = 0;

	if (unlikely(!msgq_is_empty(&r->to_reactor)))
		work = take_messages(r);
	if (unlikely(r->group_ready)) {
		r->group_ready = false;
		nvmux_poll_group_reap(r->group);
		work++;
	}
	if (r->resting)
		channels_look(r);
	work += poll_hwqs(r);
	/* In this order: what waits may free a channel, which has to be published before. */
	if (r->batch)
		channels_publish(r);
	if (unlikely(!TAILQ_EMPTY(&r->waiting)))
		finish_waiting(r);
	if (unlikely(r->parking))
		channels_park(r);
	tell_control(r);

	r->loops++;
	if (!work) {
		r->idle_loops++;
		look_at_rings(r);
	}
	if (unlikely(r->loops % REACTOR_STATS_TURNS == 0))
		store_stats(r);
	return work;
}

/* ---- dozing ---- */

/* Every hardware queue can tell by the group's descriptor when something completes. */
static bool can_doze(const struct reactor *r)
{
	const struct hwq *hwq;

	TAILQ_FOREACH (hwq, &r->active, link) {
		if (hwq->state != HWQ_RUNNING || !TAILQ_EMPTY(&hwq->requests) ||
		    nvmux_qpair_get_state(hwq->qpair) != NVMUX_QPAIR_CONNECTED ||
		    !hwq->qpair->transport->group_arm || nvmux_qpair_needs_turns(hwq->qpair))
			return false;
	}
	return !TAILQ_EMPTY(&r->active); /* else it sleeps anyway */
}

/*
 * Nothing has come for a while: to sleep costs less than what the wait has cost so far. Channels
 * are parked first, so that their clients wake us, and the completion queues armed; whatever is
 * there already keeps us awake.
 */
static void doze(struct reactor *r)
{
	const struct hwq *hwq;
	bool all = true;

	TAILQ_FOREACH (hwq, &r->active, link)
		all &= channels_want_park(r, hwq);
	set_asleep(r, 1);
	channels_park(r); /* its barrier is for both flags */
	if (all && !r->n_polled && !nvmux_poll_group_arm_shared(r->group))
		sleep_now(r);
	else
		set_asleep(r, 0);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* After a turn without work. */
static void idle(struct reactor *r)
{
	uint64_t now;

	if (r->busy || ++r->idle_streak % REACTOR_DOZE_TURNS || !can_doze(r))
		return;
	now = now_ns();
	if (r->idle_streak == REACTOR_DOZE_TURNS)
		r->idle_since_ns = now;
	if (now - r->idle_since_ns < REACTOR_DOZE_NS)
		return;
	doze(r);
	r->idle_streak = 0;
}

static void *reactor_main(void *arg)
{
	struct reactor *r = arg;

	while (!r->exit) {
		if (turn(r))
			r->idle_streak = 0;
		else
			idle(r);
		if (TAILQ_EMPTY(&r->active) && !r->busy && !r->exit)
			reactor_sleep(r);
		else if ((r->n_parked || __atomic_load_n(&r->group_used, __ATOMIC_RELAXED)) &&
			 --r->epoll_countdown == 0)
			look_at_sockets(r, 0);
	}
	/* What the control thread hasn't taken yet; it waits for us and takes all of it then. */
	return NULL;
}

/* ---- the control thread's side ---- */

struct message *message_new(enum message_kind kind, reactor_cb cb, void *arg)
{
	struct message *msg = calloc(1, sizeof(*msg));

	if (!msg) {
		fprintf(stderr, "nvmuxd: no memory left for a message to a reactor\n");
		abort();
	}
	msg->kind = kind;
	msg->cb = cb;
	msg->arg = arg;
	return msg;
}

static void wake_reactor(struct reactor *r)
{
	uint64_t one = 1;

	/* After the message's stores: the sleeper's membarrier() makes this a real barrier. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&r->asleep, __ATOMIC_RELAXED))
		(void)!write(r->wake_fd, &one, sizeof(one));
}

void reactor_send(struct reactor *r, struct message *msg)
{
	msgq_post(&r->to_reactor, &msg->link);
	wake_reactor(r);
}

static void deliver(struct reactor *r, struct message *msg)
{
	switch (msg->kind) {
	case MSG_EXIT: break;
	case MSG_HWQ_FAILED:
		/* Embedded in its hardware queue, which may have been destroyed meanwhile. */
		if (msg->hwq->ctl_state != HWQ_DESTROYED && r->hwq_failed)
			r->hwq_failed(r->hwq_failed_arg, msg->hwq);
		return;
	case MSG_HWQ_LOOK: hwq_replied(msg); return;
	case MSG_HWQ_TAKE_BACK:
	case MSG_HWQ_HOLD:
	case MSG_HWQ_STOP_HOLDING:
	case MSG_HWQ_RELEASE:
	case MSG_HWQ_GO:
	case MSG_HWQ_ABORT:
	case MSG_HWQ_DESTROY:
	case MSG_HWQ_REQUEST:
	case MSG_HWQ_ABANDON: hwq_replied(msg); break;
	case MSG_CHANNEL_START:
	case MSG_CHANNEL_STOP:
	case MSG_CHANNEL_ABANDON:
	case MSG_CHANNEL_SET_REGION:
	case MSG_CHANNEL_DROP_REGION:
	case MSG_CHANNEL_SET_VIEW:
	case MSG_CHANNEL_SET_STATE: channel_replied(msg); break;
	}
	free(msg);
}

void reactor_process(struct reactor *r)
{
	uint64_t count = 1;

	/* First the descriptor, then the queue: a reply that comes in between is seen. */
	(void)!read(r->reply_fd, &count, sizeof(count));
	for (uint32_t n = 0; n < 4 * MSGQ_ENTRIES; n++) {
		struct msg *link = msgq_take(&r->to_control);

		if (!link)
			break;
		deliver(r, container_of(link, struct message, link));
	}
	if (msgq_flush(&r->to_reactor))
		wake_reactor(r);
	count = 1;
	if (!msgq_is_empty(&r->to_control))
		(void)!write(r->reply_fd, &count, sizeof(count));
}

struct nvmux_poll_group *reactor_poll_group(struct reactor *r)
{
	if (r->group)
		__atomic_store_n(&r->group_used, 1, __ATOMIC_RELAXED);
	return r->group;
}

int reactor_get_fd(const struct reactor *r)
{
	return r->reply_fd;
}

void reactor_get_stats(const struct reactor *r, struct reactor_stats *ret)
{
	*ret = (struct reactor_stats){
		.loops = stat_get(&r->stats.loops),
		.idle_loops = stat_get(&r->stats.idle_loops),
		.sleeps = stat_get(&r->stats.sleeps),
		.commands = stat_get(&r->stats.commands),
		.completions = stat_get(&r->stats.completions),
		.parked = stat_get(&r->stats.parked),
		.channels = r->ctl_channels,
		.hwqs = r->ctl_hwqs,
		.asleep = stat_get(&r->asleep),
	};
}

/* ---- life ---- */

static int open_descriptors(struct reactor *r)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->reply_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->wake_fd < 0 || r->reply_fd < 0 || r->epoll_fd < 0)
		return -errno;
	if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, r->wake_fd, &event) < 0)
		return -errno;
	event.data.ptr = &r->group; /* no channel lies there */
	if (r->group &&
	    epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, nvmux_poll_group_get_fd(r->group), &event) < 0)
		return -errno;
	return 0;
}

static void reactor_free(struct reactor *r)
{
	if (r->wake_fd >= 0)
		close(r->wake_fd);
	if (r->reply_fd >= 0)
		close(r->reply_fd);
	if (r->epoll_fd >= 0)
		close(r->epoll_fd);
	free(r);
}

/* Start the thread: pinned from its first instruction, with the process's signals blocked. */
static int start_thread(struct reactor *r, const struct reactor_opts *opts)
{
	static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
	sigset_t all, before;
	pthread_attr_t attr;
	cpu_set_t cpus;
	int err;

	if (opts->core >= CPU_SETSIZE)
		return -EINVAL;
	err = pthread_attr_init(&attr);
	if (err)
		return -err;
	if (opts->core >= 0) {
		CPU_ZERO(&cpus);
		CPU_SET((unsigned)opts->core, &cpus);
		err = pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	}
	if (!err) {
		/* Faults are for the thread that has them: blocked, they would end the process
		 * without its handlers. */
		sigfillset(&all);
		for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
			sigdelset(&all, faults[i]);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		err = pthread_create(&r->thread, &attr, reactor_main, r);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	pthread_attr_destroy(&attr);
	if (!err && opts->name)
		pthread_setname_np(r->thread, opts->name);
	return -err;
}

int reactor_create(const struct reactor_opts *opts, struct reactor **ret)
{
	struct reactor *r;
	int err = nvmux_membarrier_register();

	if (err)
		return err;
	r = aligned_alloc(64, align_up(sizeof(*r), 64));
	if (!r)
		return -ENOMEM;
	*r = (struct reactor){
		.busy = opts->busy,
		.idle_turns = opts->idle_turns ? opts->idle_turns : REACTOR_IDLE_TURNS,
		.hwq_failed = opts->hwq_failed,
		.hwq_failed_arg = opts->arg,
		.group = opts->group,
		.epoll_countdown = REACTOR_EPOLL_TURNS,
		.epoll_fd = -1,
		.wake_fd = -1,
		.reply_fd = -1,
	};
	TAILQ_INIT(&r->active);
	TAILQ_INIT(&r->waiting);
	msgq_init(&r->to_reactor);
	msgq_init(&r->to_control);
	err = open_descriptors(r);
	if (!err)
		err = start_thread(r, opts);
	if (err) {
		reactor_free(r);
		return err;
	}
	*ret = r;
	return 0;
}

/* After the thread's end: its replies, those that hadn't fitted into the queue included. */
static void deliver_rest(struct reactor *r)
{
	struct msg *link;

	do {
		while ((link = msgq_take(&r->to_control)))
			deliver(r, container_of(link, struct message, link));
	} while (msgq_flush(&r->to_control));
}

void reactor_end(struct reactor *r)
{
	if (r->ended)
		return;
	reactor_send(r, message_new(MSG_EXIT, NULL, NULL));
	while (msgq_is_waiting(&r->to_reactor)) {
		reactor_process(r);
		sched_yield();
	}
	pthread_join(r->thread, NULL);
	deliver_rest(r);
	r->ended = true;
}

void reactor_destroy(struct reactor *r)
{
	if (!r)
		return;
	reactor_end(r);
	NVMUX_ASSERT(r->ctl_channels == 0 && r->ctl_hwqs == 0);
	reactor_free(r);
}
