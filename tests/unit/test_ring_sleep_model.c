// SPDX-License-Identifier: BSD-3-Clause
/*
 * The protocols of sleeping and waking (see <nvmux/ring.h>), explored exhaustively in a model with
 * store buffers (sleep_model.h): between clients, a reactor, the control thread and an adapter.
 *
 * A test with threads hardly ever hits the window, and a model in which stores are visible at once
 * hasn't got it. Each part of a protocol that has a name is left out in turn, each barrier is made
 * one of its own processor only, and what has an order is turned round: each time a wake-up must be
 * lost, or the model proves nothing.
 *
 * Each table follows a function of the daemon's or the client's, named above it; keep them
 * together.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/sleep_model.h"

enum variable {
	SQ_A,     /* commands in client A's ring */
	SQ_B,     /* in client B's */
	CQ,       /* completions in client A's */
	MESSAGES, /* in the reactor's queue */
	FLAG_A,   /* the daemon's sleep flag in client A's ring */
	FLAG_B,   /* in client B's */
	FLAG_C,   /* client A's own */
	ASLEEP,   /* the reactor's, for the control thread */
	DEVICE,   /* commands at the adapter */
	DONE,     /* its completions */
	ARMED,    /* the next one makes the group's descriptor readable */
};

enum socket {
	TO_DAEMON_A, /* the daemon's end of client A's socket pair */
	TO_DAEMON_B,
	TO_REACTOR, /* the control thread's eventfd */
	TO_CLIENT,  /* client A's end */
	TO_GROUP,   /* the group's descriptor */
};
#define BIT(s) (1u << (s))

enum reg {
	TAKEN_A,  /* commands of client A */
	TAKEN_B,  /* of client B */
	TOLD,     /* messages */
	A_PARKED, /* not polled: its client sends a byte */
	B_PARKED,
	PUBLISHED, /* of whatever one publishes */
	/* where there is an adapter and no client B */
	REAPED = TAKEN_B,
	SUBMITTED = B_PARKED,
};

/* The names of all instructions that are left out in turn. */
#define PARTS_MAX 12

struct expected {
	struct model model;
	const char *parts[PARTS_MAX];    /* each is left out, and then a wake-up is lost */
	const char *barriers[PARTS_MAX]; /* a fence isn't enough in their place */
	const char *orders[PARTS_MAX];   /* each changes places with the next that has a name */
};

/* ---- two clients and the control thread wake a reactor ---- */

/* ring_client_ring() */
#define RING(flag, socket, l) \
	ZERO(flag, l), STORE(flag, 0, NULL), SEND(socket, "ring: byte"), LABEL(l)
#define COMMAND(sq, flag, socket, l) PUBLISH(sq, PUBLISHED), RING(flag, socket, l)

static const struct model_instr two_commands[] = {
	COMMAND(SQ_A, FLAG_A, TO_DAEMON_A, 1),
	COMMAND(SQ_A, FLAG_A, TO_DAEMON_A, 2),
	END(),
};

static const struct model_instr first_command[] = {
	COMMAND(SQ_A, FLAG_A, TO_DAEMON_A, 1),
	END(),
};

static const struct model_instr one_command[] = {
	COMMAND(SQ_B, FLAG_B, TO_DAEMON_B, 1),
	END(),
};

/* reactor_send() */
static const struct model_instr one_message[] = {
	PUBLISH(MESSAGES, PUBLISHED),
	ZERO(ASLEEP, 1),
	SEND(TO_REACTOR, "message: eventfd"),
	LABEL(1),
	END(),
};

enum {
	TURN = 1,
	POLL_A,
	POLL_B,
	REAP,
	IDLE,
	FLAGS_B,
	BOTH_SET,
	LOOK_B,
	CLEAR_A,
	CLEAR_B,
	ALL,
	ARM,
	AWAKE,
	SOCKETS,
	NO_BYTE_A,
	NO_BYTE_B,
	LEAVE,
};

/* channels_park(), before its barrier and after it; each ends with label @l */
#define PARK_FLAG(parked, flag, what, l) IF(parked, 1, l), STORE(flag, 1, what), LABEL(l)
#define PARK_LOOK(parked, flag, sq, taken, what, is_new, l)                                       \
	IF(parked, 1, l), READY(sq, taken, is_new, what), SET(parked, 1), GOTO(l), LABEL(is_new), \
		STORE(flag, 0, NULL), LABEL(l)
#define UNPARK(parked, flag) STORE(flag, 0, NULL), SET(parked, 0)
/* channel_wake() */
#define WAKE(socket, parked, flag, l) \
	DRAIN_OR(socket, l), IF(parked, 0, l), UNPARK(parked, flag), LABEL(l)

/*
 * reactor_main(): take_messages(), channel_poll() of those that aren't parked, channels_park() with
 * one barrier for all of them; once all are parked reactor_sleep(). channel_wake() of those that
 * have sent a byte, after it has slept and now and then.
 */
static const struct model_instr reactor[] = {
	LABEL(TURN),
	TAKE(MESSAGES, TOLD, POLL_A),
	GOTO(TURN),
	LABEL(POLL_A),
	IF(A_PARKED, 1, POLL_B),
	TAKE(SQ_A, TAKEN_A, POLL_B),
	GOTO(TURN),
	LABEL(POLL_B),
	IF(B_PARKED, 1, IDLE),
	TAKE(SQ_B, TAKEN_B, IDLE),
	GOTO(TURN),

	LABEL(IDLE),
	PARK_FLAG(A_PARKED, FLAG_A, "park: flag A", FLAGS_B),
	PARK_FLAG(B_PARKED, FLAG_B, "park: flag B", BOTH_SET),
	BARRIER("park: barrier"),
	PARK_LOOK(A_PARKED, FLAG_A, SQ_A, TAKEN_A, "park: look at A", CLEAR_A, LOOK_B),
	PARK_LOOK(B_PARKED, FLAG_B, SQ_B, TAKEN_B, "park: look at B", CLEAR_B, ALL),

	IF(A_PARKED, 0, SOCKETS),
	IF(B_PARKED, 0, SOCKETS),
	STORE(ASLEEP, 1, "sleep: flag"),
	BARRIER("sleep: barrier"),
	READY(MESSAGES, TOLD, AWAKE, "sleep: look"),
	WAIT(BIT(TO_DAEMON_A) | BIT(TO_DAEMON_B) | BIT(TO_REACTOR)),
	LABEL(AWAKE),
	STORE(ASLEEP, 0, NULL),

	LABEL(SOCKETS),
	WAKE(TO_DAEMON_A, A_PARKED, FLAG_A, NO_BYTE_A),
	WAKE(TO_DAEMON_B, B_PARKED, FLAG_B, NO_BYTE_B),
	DRAIN(TO_REACTOR),
	GOTO(TURN),
	END(),
};

static const struct expected parking = {
	.model = {.programs = {two_commands, one_command, reactor},
		  .names = {"client A", "client B", "reactor"},
		  .n_processes = 3,
		  .goals = {{2, TAKEN_A, 2}, {2, TAKEN_B, 1}},
		  .n_goals = 2},
	.parts = {"ring: byte", "park: flag A", "park: flag B", "park: barrier", "park: look at A",
		  "park: look at B"},
	.barriers = {"park: barrier"},
	.orders = {"park: flag B", "park: barrier"},
};

static const struct expected messages = {
	.model = {.programs = {one_command, one_message, reactor},
		  .names = {"client B", "control", "reactor"},
		  .n_processes = 3,
		  .goals = {{2, TAKEN_B, 1}, {2, TOLD, 1}},
		  .n_goals = 2},
	.parts = {"message: eventfd", "sleep: flag", "sleep: barrier", "sleep: look"},
	.barriers = {"sleep: barrier"},
	.orders = {"sleep: flag", "sleep: barrier"},
};

/* ---- a client and a reactor, both of which sleep until the other has something ---- */

/*
 * Two commands at once, and another one when the first has completed. ring_qpair_process(), and
 * daemon_qpair_arm() where that finds nothing, which is ring_client_disarm() and ring_client_arm().
 * The daemon is told of a command once.
 */
static const struct model_instr client[] = {
	PUBLISH(SQ_A, PUBLISHED),
	LABEL(TURN),
	COMMAND(SQ_A, FLAG_A, TO_DAEMON_A, POLL_A),
	LABEL(REAP),
	TAKE(CQ, TAKEN_A, ARM),
	IF(TAKEN_A, 1, TURN),
	IF(TAKEN_A, 3, LEAVE),
	GOTO(REAP),
	LABEL(ARM),
	STORE(FLAG_C, 0, NULL),
	DRAIN(TO_CLIENT),
	STORE(FLAG_C, 1, "arm: flag"),
	BARRIER("arm: barrier"),
	READY(CQ, TAKEN_A, CLEAR_A, "arm: look"),
	WAIT(BIT(TO_CLIENT)),
	GOTO(REAP),
	LABEL(CLEAR_A),
	STORE(FLAG_C, 0, NULL),
	GOTO(REAP),
	LABEL(LEAVE),
	END(),
};

/* ring_server_complete(), ring_server_notify() */
#define COMPLETE(l)                                                      \
	PUBLISH(CQ, PUBLISHED), ZERO(FLAG_C, l), STORE(FLAG_C, 0, NULL), \
		SEND(TO_CLIENT, "complete: byte"), LABEL(l)

/* As the reactor above; so is admin_ring_arm(). */
static const struct model_instr server[] = {
	LABEL(TURN),
	TAKE(SQ_A, TAKEN_A, IDLE),
	COMPLETE(REAP),
	GOTO(TURN),
	LABEL(IDLE),
	STORE(FLAG_A, 1, "park: flag"),
	BARRIER("park: barrier"),
	READY(SQ_A, TAKEN_A, CLEAR_A, "park: look"),
	WAIT(BIT(TO_DAEMON_A)),
	DRAIN(TO_DAEMON_A),
	LABEL(CLEAR_A),
	STORE(FLAG_A, 0, NULL),
	GOTO(TURN),
	END(),
};

static const struct expected both_ways = {
	.model = {.programs = {client, server},
		  .names = {"client", "reactor"},
		  .n_processes = 2,
		  .goals = {{0, TAKEN_A, 3}, {1, TAKEN_A, 3}},
		  .n_goals = 2},
	.parts = {"ring: byte", "complete: byte", "arm: flag", "arm: barrier", "arm: look",
		  "park: flag", "park: barrier", "park: look"},
	.barriers = {"arm: barrier", "park: barrier"},
	.orders = {"arm: flag", "arm: barrier", "park: flag", "park: barrier"},
};

/* ---- a reactor dozes while commands are at an adapter ---- */

/* A completion is seen before an event is looked for; arming is seen before completions are. */
static const struct model_instr adapter[] = {
	LABEL(TURN),
	AWAIT(DEVICE, TAKEN_A),
	PUBLISH(DONE, PUBLISHED),
	FENCE(),
	ZERO(ARMED, TURN),
	STORE(ARMED, 0, NULL),
	SEND(TO_GROUP, "adapter: event"),
	GOTO(TURN),
	END(),
};

/*
 * doze(): the reactor's flag and the channels', one barrier for both, the rings, the completion
 * queues, the messages. publish() unparks a channel that has a completion; how the client hears
 * of that is in the model before this one.
 */
static const struct model_instr dozing[] = {
	LABEL(TURN),
	TAKE(MESSAGES, TOLD, POLL_A),
	GOTO(TURN),
	LABEL(POLL_A),
	IF(A_PARKED, 1, REAP),
	TAKE(SQ_A, TAKEN_A, REAP),
	PUBLISH(DEVICE, SUBMITTED),
	FENCE(), /* the doorbell */
	GOTO(TURN),
	LABEL(REAP),
	TAKE(DONE, REAPED, IDLE),
	IF(A_PARKED, 0, TURN),
	UNPARK(A_PARKED, FLAG_A),
	GOTO(TURN),

	LABEL(IDLE),
	STORE(ASLEEP, 1, "doze: asleep"),
	PARK_FLAG(A_PARKED, FLAG_A, "doze: flag", BOTH_SET),
	BARRIER("doze: barrier"),
	IF(A_PARKED, 1, ARM),
	READY(SQ_A, TAKEN_A, CLEAR_A, "doze: look at the ring"),
	SET(A_PARKED, 1),
	LABEL(ARM),
	STORE(ARMED, 1, "doze: arm"),
	FENCE(),
	READY(DONE, REAPED, AWAKE, "doze: look at completions"),
	READY(MESSAGES, TOLD, AWAKE, "doze: look at messages"),
	WAIT(BIT(TO_DAEMON_A) | BIT(TO_REACTOR) | BIT(TO_GROUP)),
	LABEL(AWAKE),
	STORE(ASLEEP, 0, NULL),
	WAKE(TO_DAEMON_A, A_PARKED, FLAG_A, NO_BYTE_A),
	DRAIN(TO_REACTOR),
	DRAIN(TO_GROUP),
	GOTO(TURN),
	LABEL(CLEAR_A),
	STORE(FLAG_A, 0, NULL),
	STORE(ASLEEP, 0, NULL),
	GOTO(TURN),
	END(),
};

static const struct expected doze = {
	.model = {.programs = {two_commands, adapter, dozing},
		  .names = {"client", "adapter", "reactor"},
		  .n_processes = 3,
		  .goals = {{2, REAPED, 2}},
		  .n_goals = 1},
	.parts = {"ring: byte", "adapter: event", "doze: flag", "doze: barrier",
		  "doze: look at the ring", "doze: arm", "doze: look at completions"},
	.barriers = {"doze: barrier"},
	.orders = {"doze: flag", "doze: barrier", "doze: arm"},
};

static const struct expected doze_messages = {
	.model = {.programs = {first_command, one_message, adapter, dozing},
		  .names = {"client", "control", "adapter", "reactor"},
		  .n_processes = 4,
		  .goals = {{3, REAPED, 1}, {3, TOLD, 1}},
		  .n_goals = 2},
	.parts = {"message: eventfd", "doze: asleep", "doze: barrier", "doze: look at messages"},
	.barriers = {"doze: barrier"},
	.orders = {"doze: barrier"},
};

/* ---- the tests ---- */

static void print_result(const char *what, const char *part, const struct model_result *result)
{
	print_message("# %s%s: %s after %u states\n", what, part,
		      result->lost ? "lost" : "nothing lost", result->states);
}

static void must_lose(const struct model *model, enum model_change change, const char *how,
		      const char *part)
{
	struct model_result result = model_explore(model, change, part);

	print_result(how, part, &result);
	if (!result.lost)
		fail_msg("%s%s: no wake-up is lost", how, part);
}

static void check(const struct expected *e)
{
	struct model_result result = model_explore(&e->model, CHANGE_NONE, NULL);

	print_result("", "as it is", &result);
	if (result.lost)
		model_print_loss(&e->model);
	assert_int_equal(result.lost, 0);
	assert_true(result.ends > 0 && result.states > 1000);
	for (size_t i = 0; i < PARTS_MAX && e->parts[i]; i++)
		must_lose(&e->model, CHANGE_DROP, "without ", e->parts[i]);
	for (size_t i = 0; i < PARTS_MAX && e->barriers[i]; i++)
		must_lose(&e->model, CHANGE_FENCE, "a fence only: ", e->barriers[i]);
	for (size_t i = 0; i < PARTS_MAX && e->orders[i]; i++)
		must_lose(&e->model, CHANGE_SWAP, "too late: ", e->orders[i]);
}

static void test_parking(void **state)
{
	check(&parking);
}

static void test_messages(void **state)
{
	check(&messages);
}

static void test_both_ways(void **state)
{
	check(&both_ways);
}

static void test_doze(void **state)
{
	check(&doze);
	check(&doze_messages);
}

/* A client that hasn't registered for membarrier() loses its own wake-ups and nobody else's. */
static void test_unregistered(void **state)
{
	struct model model = parking.model;
	struct model_result result;

	model.unregistered = BIT(0);
	result = model_explore(&model, CHANGE_NONE, NULL);
	assert_true(result.lost > 0);
	assert_int_equal(result.missed, BIT(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parking),      cmocka_unit_test(test_messages),
		cmocka_unit_test(test_both_ways),    cmocka_unit_test(test_doze),
		cmocka_unit_test(test_unregistered),
	};

	return cmocka_run_group_tests_name("ring_sleep_model", tests, NULL, NULL);
}
