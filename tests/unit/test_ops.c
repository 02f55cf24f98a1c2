// SPDX-License-Identifier: BSD-3-Clause
/* Operations of several steps, and the table of RPC methods. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/daemon.h"

struct test_op {
	struct op op;
	struct fixture *f;
	char mark;
	bool fails;
	bool waits;
};

struct fixture {
	struct event_base *base;
	struct op_sched sched;
	struct op_queue queue;
	char log[128];
	struct op *waiting;
	int last_err;
};

static void put(struct op *op, char c)
{
	struct test_op *t = container_of(op, struct test_op, op);
	size_t len = strlen(t->f->log);

	assert_true(len + 3 < sizeof(t->f->log));
	t->f->log[len] = t->mark;
	t->f->log[len + 1] = c;
}

static void step_one(struct op *op)
{
	struct test_op *t = container_of(op, struct test_op, op);

	put(op, '1');
	/* answers that come at once, more than one of them */
	op_hold(op);
	op_hold(op);
	op_release(op, 0);
	op_release(op, t->fails ? -EIO : 0);
}

static void step_two(struct op *op)
{
	struct test_op *t = container_of(op, struct test_op, op);

	put(op, '2');
	if (!t->waits)
		return;
	op_hold(op);
	t->f->waiting = op;
}

static void step_always(struct op *op)
{
	put(op, 'a');
}

static void step_undo(struct op *op)
{
	put(op, 'u');
	op_fail(op, -ENOMEM, "a second failure");
}

static void done(struct op *op)
{
	struct test_op *t = container_of(op, struct test_op, op);

	put(op, '.');
	t->f->last_err = op->err;
	free(t);
}

static const struct op_step steps[] = {
	{"one", STEP_OK, step_one},
	{"two", STEP_OK, step_two},
	{"always", STEP_ALWAYS, step_always},
	{"undo", STEP_UNDO, step_undo},
	{NULL, 0, NULL},
};
static const struct op_kind kind = {"test", steps, done};

static struct op *start(struct fixture *f, char mark, bool fails, bool waits)
{
	struct test_op *t = calloc(1, sizeof(*t));

	t->f = f;
	t->mark = mark;
	t->fails = fails;
	t->waits = waits;
	op_submit(&f->queue, &t->op, &kind, "x");
	return &t->op;
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < 10; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->base = event_base_new();
	op_sched_init(&f->sched, f->base);
	op_queue_init(&f->queue, &f->sched);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	op_sched_fini(&f->sched);
	event_base_free(f->base);
	libevent_global_shutdown();
	free(f);
	return 0;
}

static void test_happy(void **state)
{
	struct fixture *f = *state;

	start(f, 'A', false, false);
	assert_string_equal(f->log, ""); /* never from within the caller */
	turn(f);
	assert_string_equal(f->log, "A1A2AaA.");
	assert_int_equal(f->last_err, 0);
	assert_true(op_queue_idle(&f->queue));
}

static void test_failure(void **state)
{
	struct fixture *f = *state;

	start(f, 'A', true, false);
	turn(f);
	assert_string_equal(f->log, "A1AaAuA.");
	assert_int_equal(f->last_err, -EIO); /* the first one counts */
}

static void test_queue(void **state)
{
	struct fixture *f = *state;

	start(f, 'A', false, true);
	start(f, 'B', true, false);
	start(f, 'C', false, false);
	turn(f);
	assert_string_equal(f->log, "A1A2");
	op_release(f->waiting, 0);
	assert_string_equal(f->log, "A1A2"); /* nor from within a callback */
	turn(f);
	assert_string_equal(f->log, "A1A2AaA.B1BaBuB.C1C2CaC.");
	assert_true(op_queue_idle(&f->queue));
}

static void test_late_failure(void **state)
{
	struct fixture *f = *state;

	start(f, 'A', false, true);
	turn(f);
	op_release(f->waiting, -ENODEV);
	turn(f);
	assert_string_equal(f->log, "A1A2AaAuA.");
	assert_int_equal(f->last_err, -ENODEV);
}

/* ---- methods ---- */

static void check_params(const struct rpc_param *params)
{
	for (const struct rpc_param *p = params; p && p->name; p++) {
		assert_non_null(p->help);
		assert_true(p->min <= p->max);
		for (const struct rpc_param *other = params; other < p; other++)
			assert_string_not_equal(p->name, other->name);
	}
}

static void test_methods(void **state)
{
	struct rpc_method *methods = daemon_methods();
	json_t *document;
	unsigned n = 0;

	for (const struct rpc_method *m = methods; m->name; m++, n++) {
		assert_non_null(m->help);
		assert_non_null(m->result);
		assert_non_null(m->handler);
		check_params(m->params);
		for (const struct rpc_method *other = methods; other < m; other++)
			assert_string_not_equal(m->name, other->name);
		/* nothing that touches a controller is for everybody */
		assert_true(m->right != RPC_RIGHT_NONE || strcmp(m->name, "get_version") == 0);
	}
	assert_true(n >= 25);
	document = rpc_openrpc(methods, "1.0");
	assert_true(json_array_size(json_object_get(document, "methods")) >= n);
	json_decref(document);
	free(methods);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_happy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_failure, setup, teardown),
		cmocka_unit_test(test_methods),
	};

	return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
