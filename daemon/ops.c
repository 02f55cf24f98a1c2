// SPDX-License-Identifier: BSD-3-Clause
/*
 * Operations of several asynchronous steps.
 *
 * Happy path: op_submit() → the operation becomes its queue's current one and ready → the
 * scheduler's event runs steps until one holds → the last op_release() makes it ready again → …
 * → done() → the queue's next one.
 *
 * Failure: a step calls op_fail() or releases with an error; what is left of STEP_OK is skipped.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "daemon/ops.h"
#include "libcore/util.h"

static void make_ready(struct op *op)
{
	const struct timeval now = {0};
	struct op_sched *sched = op->queue->sched;

	TAILQ_INSERT_TAIL(&sched->ready, op, ready_link);
	/* not event_active(): libevent would run it in the same pass, before all the others */
	if (!event_pending(sched->event, EV_TIMEOUT, NULL))
		event_add(sched->event, &now);
}

static void finish(struct op *op)
{
	struct op_queue *queue = op->queue;

	NVMUX_ASSERT(queue->current == op);
	queue->current = TAILQ_FIRST(&queue->waiting);
	if (queue->current) {
		TAILQ_REMOVE(&queue->waiting, queue->current, link);
		make_ready(queue->current);
	}
	op->kind->done(op); /* may free the queue when nothing is left in it */
}

static bool wanted(const struct op *op, const struct op_step *step)
{
	return step->when == STEP_ALWAYS || (step->when == STEP_UNDO) == (op->err != 0);
}

static void run(struct op *op)
{
	const struct op_sched *sched = op->queue->sched;
	const struct op_step *step;

	for (;;) {
		step = &op->kind->steps[op->next];
		if (!step->name) {
			finish(op);
			return;
		}
		op->next++;
		if (!wanted(op, step))
			continue;
		if (sched->trace)
			sched->trace(sched->trace_arg, op, step);
		op->holds = 1; /* answers that come at once don't end the step under our feet */
		step->fn(op);
		if (--op->holds)
			return;
	}
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct op_sched *sched = arg;
	struct op_list ready = TAILQ_HEAD_INITIALIZER(ready);
	struct op *op;

	(void)fd;
	(void)what;
	/* what becomes ready meanwhile waits for the next turn of the event loop */
	TAILQ_CONCAT(&ready, &sched->ready, ready_link);
	while ((op = TAILQ_FIRST(&ready))) {
		TAILQ_REMOVE(&ready, op, ready_link);
		run(op);
	}
}

int op_sched_init(struct op_sched *sched, struct event_base *base)
{
	TAILQ_INIT(&sched->ready);
	sched->event = evtimer_new(base, on_ready, sched);
	return sched->event ? 0 : -ENOMEM;
}

void op_sched_fini(struct op_sched *sched)
{
	if (sched->event)
		event_free(sched->event);
	sched->event = NULL;
}

void op_queue_init(struct op_queue *queue, struct op_sched *sched)
{
	queue->sched = sched;
	queue->current = NULL;
	TAILQ_INIT(&queue->waiting);
}

bool op_queue_idle(const struct op_queue *queue)
{
	return !queue->current;
}

void op_submit(struct op_queue *queue, struct op *op, const struct op_kind *kind,
	       const char *subject)
{
	memset(op, 0, sizeof(*op));
	op->queue = queue;
	op->kind = kind;
	op->subject = subject;
	if (queue->current) {
		TAILQ_INSERT_TAIL(&queue->waiting, op, link);
		return;
	}
	queue->current = op;
	make_ready(op);
}

void op_hold(struct op *op)
{
	op->holds++;
}

void op_release(struct op *op, int err)
{
	NVMUX_ASSERT(op->holds > 0);
	if (err)
		op_fail(op, err, "%s", strerror(-err));
	if (--op->holds == 0)
		make_ready(op);
}

void op_fail(struct op *op, int err, const char *fmt, ...)
{
	va_list ap;

	if (op->err)
		return;
	op->err = err;
	va_start(ap, fmt);
	vsnprintf(op->why, sizeof(op->why), fmt, ap);
	va_end(ap);
}
