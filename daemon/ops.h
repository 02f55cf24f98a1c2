/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations of several asynchronous steps: a table of steps, run in order.
 *
 * A step starts what it has to and takes a hold (op_hold()) for each answer that it waits for; the
 * answer's callback drops it (op_release()). The next step begins when all holds are gone, always
 * from the event loop, never from within a callback. After a failure only the steps marked
 * STEP_ALWAYS and STEP_UNDO run. Then done() is called, which frees the operation.
 *
 * A queue runs one operation at a time; the others wait in their order.
 */
#ifndef NVMUXD_OPS_H
#define NVMUXD_OPS_H

#include <stdbool.h>
#include <sys/queue.h>
#include <event2/event.h>

struct op;

enum op_step_when {
	STEP_OK, /* unless something failed before */
	STEP_ALWAYS,
	STEP_UNDO, /* only if something failed before */
};

struct op_step {
	const char *name; /* NULL ends a table */
	enum op_step_when when;
	void (*fn)(struct op *op);
};

struct op_kind {
	const char *name;
	const struct op_step *steps;
	void (*done)(struct op *op);
};

TAILQ_HEAD(op_list, op);

/* Runs the operations that can go on; one per event base. */
struct op_sched {
	struct event *event;
	struct op_list ready;
	/* Told of each step, for the debug log; may be NULL. */
	void (*trace)(void *arg, const struct op *op, const struct op_step *step);
	void *trace_arg;
};

struct op_queue {
	struct op_sched *sched;
	struct op_list waiting;
	struct op *current;
};

struct op {
	TAILQ_ENTRY(op) link;       /* in the queue */
	TAILQ_ENTRY(op) ready_link; /* in the scheduler */
	struct op_queue *queue;
	const struct op_kind *kind;
	const char *subject; /* name of what it works on, for the log */
	unsigned next;       /* step */
	unsigned holds;
	int err; /* the first failure */
	char why[320];
};

int op_sched_init(struct op_sched *sched, struct event_base *base);
void op_sched_fini(struct op_sched *sched);
void op_queue_init(struct op_queue *queue, struct op_sched *sched);
bool op_queue_idle(const struct op_queue *queue);

/* Append @op, whose memory is the caller's until done(). */
void op_submit(struct op_queue *queue, struct op *op, const struct op_kind *kind,
	       const char *subject);
void op_hold(struct op *op);
void op_release(struct op *op, int err);
/* Note a failure in words; the first one counts. */
__attribute__((format(printf, 3, 4))) void op_fail(struct op *op, int err, const char *fmt, ...);

#endif
