// SPDX-License-Identifier: BSD-3-Clause
/*
 * nvmuxd with two reactors that are said to be on two NUMA nodes, and a controller on one of them,
 * or on a third: who serves it, and what the log says of that. The daemon runs in this thread; its
 * log lines are counted on their way, at link time.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon_fixture.h"
#include "fake_ctrlr.h"

#define WAIT_MS   20000
#define N_CLIENTS 4

/* ---- the log ---- */

static uint32_t n_warnings;
static char warnings[4096];

void __wrap_log_write(struct log *log, enum nvmux_log_level level, const char *module,
		      const char *fmt, ...);

void __wrap_log_write(struct log *log, enum nvmux_log_level level, const char *module,
		      const char *fmt, ...)
{
	size_t len = strlen(warnings);
	va_list ap;

	if (level != NVMUX_LOG_WARNING)
		return;
	n_warnings++;
	va_start(ap, fmt);
	vsnprintf(warnings + len, sizeof(warnings) - len, fmt, ap);
	va_end(ap);
}

/* ---- the daemon ---- */

struct td {
	struct nvmuxd *d;
	char dir[64];
	struct controller *c;
	struct op op;
	struct op_queue ops;
	struct hw_queue *queues[N_CLIENTS];
	bool op_done;
};

static struct nvmux_transport transport; /* the fake one, with a node */
static int node;

static int numa_node(const struct nvmux_ctrlr *ctrlr)
{
	return node;
}

static void turn(struct td *td)
{
	event_base_loop(td->d->base, EVLOOP_NONBLOCK);
	usleep(500);
}

/* Reactors on nodes 0 and 1, and a controller on @at. */
static struct td *begin(int at)
{
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_PCIE, .traddr = "fffe:01:00.0"};
	struct td *td = calloc(1, sizeof(*td));
	struct nvmux_ctrlr_opts opts;

	fake_reset();
	n_warnings = 0;
	warnings[0] = '\0';
	td->d = daemon_fixture_load(td->dir, "\n");
	/* two on the same core, which every machine has */
	td->d->config.n_cores = 2;
	td->d->config.cores[0] = td->d->config.cores[1] = (uint16_t)sched_getcpu();
	daemon_fixture_create(td->d);
	transport = fake_keeping_transport;
	transport.trtype = NVMUX_TRTYPE_PCIE;
	transport.numa_node = numa_node;
	node = at;
	td->d->nvmux->transports[NVMUX_TRTYPE_PCIE] = &transport;
	td->d->reactors[0].node = 0;
	td->d->reactors[1].node = 1;
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	assert_int_equal(controller_attach(td->d, "c", &trid, &opts, NULL, NULL), 0);
	td->c = TAILQ_FIRST(&td->d->controllers);
	UNTIL(td, td->c->state == CONTROLLER_READY && op_queue_idle(&td->c->ops));
	op_queue_init(&td->ops, &td->d->sched);
	return td;
}

static void end(struct td *td)
{
	daemon_stop(td->d, "the test is over");
	UNTIL(td, td->d->state == DAEMON_STOPPED);
	daemon_fixture_destroy(td->d, td->dir);
	free(td);
}

/* ---- clients ---- */

static void acquire(struct op *op)
{
	struct td *td = container_of(op, struct td, op);

	for (unsigned i = 0; i < N_CLIENTS; i++)
		hw_queue_acquire(td->c, op, &td->queues[i]);
}

static void release(struct op *op)
{
	struct td *td = container_of(op, struct td, op);

	for (unsigned i = 0; i < N_CLIENTS; i++)
		hw_queue_release(td->queues[i], op);
}

static void op_done(struct op *op)
{
	assert_int_equal(op->err, 0);
	container_of(op, struct td, op)->op_done = true;
}

static void run(struct td *td, void (*fn)(struct op *op))
{
	const struct op_step steps[] = {{"it", STEP_OK, fn}, {NULL, 0, NULL}};
	const struct op_kind kind = {"test", steps, op_done};

	td->op = (struct op){0};
	td->op_done = false;
	op_submit(&td->ops, &td->op, &kind, "c");
	UNTIL(td, td->op_done && op_queue_idle(&td->c->ops));
}

/* As many clients as there are, on this node. */
static void expect_all_on(struct td *td, int at)
{
	run(td, acquire);
	for (unsigned i = 0; i < N_CLIENTS; i++)
		assert_int_equal(td->queues[i]->reactor->node, at);
	run(td, release);
}

/* ---- the tests ---- */

/* Each with queue pairs of their own, as many as the controller grants; the others share. */
static void near_one_serves(void **state)
{
	for (uint32_t queues = 2; queues < 2 + N_CLIENTS + 1; queues++) {
		for (int at = 0; at < 2; at++) {
			struct td *td = begin(at);

			td->c->ctrlr->max_io_qpairs = queues;
			expect_all_on(td, at);
			assert_int_equal(n_warnings, 0);
			end(td);
		}
	}
}

/* The base queues: the near reactor gets its first. */
static void near_one_first(void **state)
{
	struct td *td = begin(1);

	assert_int_equal(TAILQ_FIRST(&td->c->hw_queues)->reactor->node, 1);
	end(td);
}

/* Once for each reactor, however many clients come. */
static void all_are_far(void **state)
{
	struct td *td = begin(2);

	assert_int_equal(n_warnings, 2);
	assert_non_null(strstr(warnings, "c is on NUMA node 2"));
	assert_non_null(strstr(warnings, "on node 0"));
	assert_non_null(strstr(warnings, "on node 1"));
	run(td, acquire);
	/* spread as if there were no nodes */
	assert_int_equal(td->d->reactors[0].n_qpairs, N_CLIENTS / 2);
	assert_int_equal(td->d->reactors[1].n_qpairs, N_CLIENTS / 2);
	run(td, release);
	assert_int_equal(n_warnings, 2);
	end(td);
}

/* The near reactor has no queue that could be shared: the far one serves, and that is said. */
static void only_far_one_left(void **state)
{
	struct td *td = begin(0);
	struct hw_queue *queue;

	td->c->ctrlr->max_io_qpairs = 2;
	TAILQ_FOREACH(queue, &td->c->hw_queues, link)
	{
		queue->closing = queue->reactor->node == 0;
	}
	assert_int_equal(n_warnings, 0);
	expect_all_on(td, 1);
	assert_int_equal(n_warnings, 1);
	assert_non_null(strstr(warnings, "on node 1"));
	end(td);
}

static void nobody_knows(void **state)
{
	struct td *td = begin(-1);

	run(td, acquire);
	assert_int_equal(td->d->reactors[0].n_qpairs, N_CLIENTS / 2);
	run(td, release);
	assert_int_equal(n_warnings, 0);
	end(td);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(near_one_serves),   cmocka_unit_test(near_one_first),
		cmocka_unit_test(all_are_far),       cmocka_unit_test(only_far_one_left),
		cmocka_unit_test(nobody_knows),
	};

	return cmocka_run_group_tests_name("numa_daemon", tests, NULL, NULL);
}
