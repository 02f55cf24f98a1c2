// SPDX-License-Identifier: BSD-3-Clause
/*
 * nvmuxd's control plane over RDMA, with targets in this process: parameters, what get_controllers
 * and events say of connections, attempts at start, discovery services. The daemon runs in this
 * thread, and a client of it too.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon_fixture.h"
#include "rdma_fixture.h"

#define NS        "mem,size=4M,bs=512,entries=65,queues=8"
#define DISC_PORT 8009
#define DISC_NQN  NVMUX_DISCOVERY_NQN
#define WAIT_MS   8000
#define HOSTNQN   "nqn.2024-01.test:daemon"

struct td {
	struct nvmuxd *d;
	char dir[64];
	int fd; /* of the client */
	int next_id;
	size_t len;
	char buf[1 << 20];
	json_t *answer;
	unsigned late_answers; /* to requests that weren't waited for */
	json_t *events;
};

/* ---- daemon and client in one thread ---- */

static void take_message(struct td *td, json_t *value)
{
	if (json_object_get(value, "method"))
		json_array_append(td->events, json_object_get(value, "params"));
	else if (json_integer_value(json_object_get(value, "id")) == td->next_id)
		td->answer = json_incref(value);
	else
		td->late_answers++;
	json_decref(value);
}

static void take_messages(struct td *td)
{
	ssize_t n = recv(td->fd, td->buf + td->len, sizeof(td->buf) - td->len, MSG_DONTWAIT);
	json_error_t error;
	json_t *value;

	if (n > 0)
		td->len += (size_t)n;
	while (td->len &&
	       (value = json_loadb(td->buf, td->len, JSON_DISABLE_EOF_CHECK, &error))) {
		take_message(td, value);
		td->len -= (size_t)error.position;
		memmove(td->buf, td->buf + error.position, td->len);
		if (td->len && td->buf[0] == '\n')
			memmove(td->buf, td->buf + 1, --td->len);
	}
}

static void turn(struct td *td)
{
	event_base_loop(td->d->base, EVLOOP_NONBLOCK);
	if (td->fd >= 0)
		take_messages(td);
	usleep(500);
}

static void run_ms(struct td *td, uint32_t ms)
{
	uint64_t end = nvmux_now_ms() + ms;

	while (nvmux_now_ms() < end)
		turn(td);
}

static void send_request(struct td *td, const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", ++td->next_id,
				    "method", method, "params", params ? params : json_object());
	char *text = json_dumps(request, 0);

	assert_non_null(text);
	assert_int_equal(send(td->fd, text, strlen(text), 0), (ssize_t)strlen(text));
	free(text);
	json_decref(request);
	json_decref(td->answer);
	td->answer = NULL;
}

/* The result of a call, borrowed until the next one. */
static json_t *call(struct td *td, const char *method, json_t *params)
{
	send_request(td, method, params);
	UNTIL(td, td->answer);
	if (!json_object_get(td->answer, "result"))
		fail_msg("%s: %s", method,
			 json_string_value(json_object_get(json_object_get(td->answer, "error"),
							   "message")));
	return json_object_get(td->answer, "result");
}

/* The message of the error that a call must end with. */
static const char *call_error(struct td *td, const char *method, json_t *params)
{
	send_request(td, method, params);
	UNTIL(td, td->answer);
	if (!json_object_get(td->answer, "error"))
		fail_msg("%s succeeded", method);
	return json_string_value(json_object_get(json_object_get(td->answer, "error"), "message"));
}

#define assert_says(text, word)                                                                    \
	do {                                                                                       \
		if (!strstr(text, word))                                                           \
			fail_msg("'%s' isn't in '%s'", word, text);                                \
	} while (0)

/* A value by a path such as "0.connection.state". */
static json_t *at(json_t *value, const char *path)
{
	char copy[128], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *key = strtok_r(copy, ".", &save); key; key = strtok_r(NULL, ".", &save))
		value = json_is_array(value) ? json_array_get(value, (size_t)atoi(key))
					     : json_object_get(value, key);
	return value;
}

static const char *text_at(json_t *value, const char *path)
{
	const char *text = json_string_value(at(value, path));

	return text ? text : "";
}

static json_int_t number_at(json_t *value, const char *path)
{
	assert_true(json_is_integer(at(value, path)));
	return json_integer_value(at(value, path));
}

static unsigned n_events(struct td *td, const char *type)
{
	unsigned n = 0;

	for (size_t i = 0; i < json_array_size(td->events); i++)
		n += strcmp(text_at(json_array_get(td->events, i), "type"), type) == 0;
	return n;
}

static json_t *event_of(struct td *td, const char *type)
{
	for (size_t i = 0; i < json_array_size(td->events); i++) {
		if (strcmp(text_at(json_array_get(td->events, i), "type"), type) == 0)
			return json_array_get(td->events, i);
	}
	fail_msg("no event %s", type);
	return NULL;
}

static const char *connection_state(struct td *td)
{
	return text_at(call(td, "get_controllers", NULL), "0.connection.state");
}

static const char *discovery_state(struct td *td)
{
	return text_at(call(td, "get_discovery", NULL), "0.state");
}

static size_t n_controllers(struct td *td)
{
	return json_array_size(call(td, "get_controllers", NULL));
}

/* ---- beginning and end ---- */

static void connect_client(struct td *td)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", td->d->config.socket);
	td->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(td->fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	call(td, "subscribe_events", NULL);
}

/* The network, and a daemon with this configuration. */
static struct td *begin(const char *conf)
{
	struct td *td = calloc(1, sizeof(*td));

	fake_verbs_begin();
	fake_device_add("fake0", "10.0.0.9");
	td->events = json_array();
	td->d = daemon_fixture_load(td->dir, "[host]\nhostnqn = " HOSTNQN "\n%s", conf);
	daemon_fixture_create(td->d);
	connect_client(td);
	return td;
}

static void leave(struct td *td)
{
	if (td->fd >= 0)
		close(td->fd);
	td->fd = -1;
}

/* In an orderly way, within two seconds, whatever is under way; nothing is left. */
static void end(struct td *td)
{
	uint64_t began = nvmux_now_ms();

	daemon_stop(td->d, "the test is over");
	UNTIL(td, td->d->state == DAEMON_STOPPED);
	assert_true(nvmux_now_ms() - began < 2000);
	leave(td);
	daemon_fixture_destroy(td->d, td->dir);
	assert_int_equal(fake_objects(), 0);
	json_decref(td->answer);
	json_decref(td->events);
	free(td);
}

static json_t *target_params(const char *nqn)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:i}", "trtype", "rdma", "traddr", TARGET_ADDR,
			 "subnqn", nqn, "name", "c", "keep_alive_timeout_ms", 400,
			 "command_quiesce_time_ms", 100, "reconnect_delay_sec", 1);
}

static json_t *service_params(bool attach)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:b,s:i}", "name", "disc", "trtype", "rdma", "traddr",
			 TARGET_ADDR, "trsvcid", "8009", "attach", attach, "reconnect_delay_sec",
			 1);
}

/* ---- controllers ---- */

static void test_attach(void **state)
{
	struct td *td = begin("");
	struct target *target = target_new(NS, TARGET_ADDR, TARGET_PORT);
	json_t *params = target_params(TARGET_NQN), *c;

	json_object_set_new(params, "host_traddr", json_string("10.0.0.9"));
	json_object_set_new(params, "hostid", json_string("11111111222233334444555555555555"));
	json_object_set_new(params, "transport_ack_timeout", json_integer(19));
	assert_int_equal(number_at(call(td, "attach_controller", params), "namespaces.0"), 1);
	assert_int_equal(fake_net.ack_timeout, 19);
	assert_int_equal(target->ctrlrs->kato_ms, 400);
	assert_int_equal(target->ctrlrs->hostid[15], 0x55);
	assert_string_equal(target->ctrlrs->hostnqn, HOSTNQN);
	c = json_array_get(call(td, "get_controllers", NULL), 0);
	assert_string_equal(text_at(c, "state"), "ready");
	assert_string_equal(text_at(c, "hostnqn"), HOSTNQN);
	assert_string_equal(text_at(c, "host_traddr"), "10.0.0.9");
	assert_string_equal(text_at(c, "adrfam"), "IPv4");
	assert_null(at(c, "host_iface"));
	assert_true(json_is_false(at(c, "discovery")));
	assert_true(json_is_false(at(c, "ana")));
	assert_null(at(c, "namespaces.0.ana_state"));
	assert_string_equal(text_at(c, "connection.state"), "up");
	assert_int_equal(number_at(c, "connection.lost"), 0);
	assert_int_equal(number_at(c, "connection.lost_for_ms"), 0);
	assert_int_equal(number_at(c, "connection.keep_alive_ms"), 400);
	assert_true(json_is_null(at(c, "connection.fast_io_fail_ms")));
	assert_string_equal(text_at(c, "connection.reason"), "");
	assert_int_equal(n_events(td, "controller_attached"), 1);
	/* the same place by the same way, and by another one */
	params = target_params(TARGET_NQN);
	json_object_set_new(params, "host_traddr", json_string("10.0.0.9"));
	json_object_set_new(params, "name", json_string("second"));
	assert_says(call_error(td, "attach_controller", params), "as controller 'c'");
	params = target_params(TARGET_NQN);
	json_object_set_new(params, "name", json_string("second"));
	call(td, "attach_controller", params);
	assert_int_equal(target_live(target), 2);
	end(td);
	assert_int_equal(target_live(target), 0);
	assert_int_equal(target->shutdowns, 2);
	target_free(target);
	fake_verbs_end();
}

static void test_attach_fails(void **state)
{
	struct td *td = begin("");
	struct target *target = target_new(NS, TARGET_ADDR, TARGET_PORT);
	json_t *params = target_params(TARGET_NQN);

	assert_says(call_error(td, "attach_controller", target_params("nqn.other")), "nqn.other");
	json_object_set_new(params, "trsvcid", json_string("4499"));
	assert_says(call_error(td, "attach_controller", params), "controller 'c'");
	assert_int_equal(n_controllers(td), 0);
	assert_int_equal(target_live(target), 0);
	assert_int_equal(fake_objects(), 0);
	end(td);
	target_free(target);
	fake_verbs_end();
}

/* Why there is no queue pair, and not that none is granted. */
static void test_no_queue_pair(void **state)
{
	struct td *td = begin("");
	struct target *target = target_new(NS, TARGET_ADDR, TARGET_PORT);

	target->connect_status = 0x184; /* Connect Invalid Host */
	target->connect_qid = 1;
	target->connect_times = 1;
	assert_says(call_error(td, "attach_controller", target_params(TARGET_NQN)),
		    "no I/O queue pair can be made: " TARGET_ADDR);
	call(td, "attach_controller", target_params(TARGET_NQN));
	end(td);
	target_free(target);
	fake_verbs_end();
}

static void test_ana(void **state)
{
	struct td *td = begin("");
	struct target *target = target_new(NS, TARGET_ADDR, TARGET_PORT);
	json_t *c;

	target->ana = true;
	call(td, "attach_controller", target_params(TARGET_NQN));
	c = json_array_get(call(td, "get_controllers", NULL), 0);
	assert_true(json_is_true(at(c, "ana")));
	assert_int_equal(number_at(c, "namespaces.0.ana_group"), 2);
	assert_string_equal(text_at(c, "namespaces.0.ana_state"), "optimized");
	fake_lock();
	target->ana_state[1] = NVME_ANA_STATE_INACCESSIBLE;
	fake_unlock();
	target_event(target, UINT32_MAX, 2, 3, 0x0c);
	UNTIL(td, n_events(td, "controller_ana_changed"));
	assert_string_equal(text_at(event_of(td, "controller_ana_changed"), "name"), "c");
	assert_string_equal(text_at(call(td, "get_namespaces", NULL), "0.ana_state"),
			    "inaccessible");
	end(td);
	target_free(target);
	fake_verbs_end();
}

static void test_loss(void **state)
{
	struct td *td = begin("");
	struct target *target = target_new(NS, TARGET_ADDR, TARGET_PORT);
	json_t *params = target_params(TARGET_NQN), *c;

	/* The second attempt and the failing come long after the first one's failure is seen. */
	json_object_set_new(params, "reconnect_delay_sec", json_integer(3));
	json_object_set_new(params, "fast_io_fail_timeout_sec", json_integer(3));
	json_object_set_new(params, "ctrlr_loss_timeout_sec", json_integer(60));
	call(td, "attach_controller", params);
	fake_unlisten(&target->peer);
	fake_conns_disconnect(true);
	UNTIL(td, n_events(td, "controller_connection_lost"));
	assert_true(text_at(event_of(td, "controller_connection_lost"), "reason")[0]);
	assert_string_equal(text_at(event_of(td, "controller_connection_lost"), "name"), "c");
	UNTIL(td, n_events(td, "controller_reconnect_failed"));
	assert_int_equal(number_at(event_of(td, "controller_reconnect_failed"), "attempt"), 1);
	c = json_array_get(call(td, "get_controllers", NULL), 0);
	assert_string_equal(text_at(c, "state"), "ready");
	assert_string_equal(text_at(c, "connection.state"), "reconnecting");
	assert_int_equal(number_at(c, "connection.lost"), 1);
	assert_int_equal(number_at(c, "connection.attempts"), 1);
	assert_true(number_at(c, "connection.next_attempt_ms") <= 3000);
	assert_in_range(number_at(c, "connection.fast_io_fail_ms"), 1, 3000);
	assert_in_range(number_at(c, "connection.ctrlr_loss_ms"), 50000, 60000);
	assert_true(text_at(c, "connection.reason")[0]);
	UNTIL(td, n_events(td, "controller_fast_io_fail"));
	c = json_array_get(call(td, "get_controllers", NULL), 0);
	assert_string_equal(text_at(c, "connection.state"), "failing");
	assert_true(json_is_null(at(c, "connection.fast_io_fail_ms")));
	target_listen(target, TARGET_ADDR, TARGET_PORT);
	UNTIL(td, n_events(td, "controller_reconnected"));
	assert_true(number_at(event_of(td, "controller_reconnected"), "attempts") >= 2);
	UNTIL(td, strcmp(connection_state(td), "up") == 0);
	assert_int_equal(n_events(td, "controller_failed"), 0);
	end(td);
	target_free(target);
	fake_verbs_end();
}

static void test_loss_for_good(void **state)
{
	struct td *td = begin("");
	struct target *target = target_new(NS, TARGET_ADDR, TARGET_PORT);
	json_t *params = target_params(TARGET_NQN);

	json_object_set_new(params, "ctrlr_loss_timeout_sec", json_integer(1));
	call(td, "attach_controller", params);
	fake_unlisten(&target->peer);
	fake_conns_disconnect(true);
	UNTIL(td, n_events(td, "controller_failed"));
	assert_string_equal(text_at(call(td, "get_controllers", NULL), "0.state"), "failed");
	call(td, "detach_controller", json_pack("{s:s}", "name", "c"));
	target_listen(target, TARGET_ADDR, TARGET_PORT);
	call(td, "attach_controller", target_params(TARGET_NQN));
	end(td);
	target_free(target);
	fake_verbs_end();
}

/* A discovery controller as an ordinary one: its admin queue is all that it has. */
static void test_attached_discovery_controller(void **state)
{
	struct td *td = begin("");
	struct target *target = target_discovery_new(TARGET_ADDR, TARGET_PORT);
	json_t *c;

	call(td, "attach_controller", target_params(DISC_NQN));
	c = json_array_get(call(td, "get_controllers", NULL), 0);
	assert_true(json_is_true(at(c, "discovery")));
	assert_int_equal(json_array_size(at(c, "namespaces")), 0);
	call(td, "identify", json_pack("{s:s,s:i}", "controller", "c", "cns", 1));
	call(td, "open_controller", json_pack("{s:s}", "name", "c"));
	assert_says(call_error(td, "alloc_io_qpair", json_pack("{s:s}", "controller", "c")),
		    "discovery controller");
	assert_says(call_error(td, "flush", json_pack("{s:s,s:i}", "controller", "c", "nsid", 1)),
		    "discovery controller");
	end(td);
	target_free(target);
	fake_verbs_end();
}

/* ---- attempts at start ---- */

#define CONFIGURED                                                                                 \
	"[controller c]\ntrtype = rdma\ntraddr = " TARGET_ADDR "\nsubnqn = " TARGET_NQN            \
	"\nreconnect_delay_sec = 1\n"

static void test_configured_is_retried(void **state)
{
	struct td *td = begin(CONFIGURED);
	struct target *target;
	json_t *c;

	UNTIL(td, number_at(call(td, "get_controllers", NULL), "0.connection.attempts") >= 1);
	c = json_array_get(call(td, "get_controllers", NULL), 0);
	assert_string_equal(text_at(c, "state"), "attaching");
	assert_string_equal(text_at(c, "connection.state"), "none");
	assert_true(text_at(c, "connection.reason")[0]);
	assert_in_range(number_at(c, "connection.next_attempt_ms"), 0, 1000);
	UNTIL(td, n_events(td, "controller_attach_failed"));
	assert_string_equal(text_at(event_of(td, "controller_attach_failed"), "name"), "c");
	assert_true(number_at(event_of(td, "controller_attach_failed"), "attempt") >= 1);
	assert_says(text_at(event_of(td, "controller_attach_failed"), "reason"), TARGET_ADDR);
	assert_says(call_error(td, "open_controller", json_pack("{s:s}", "name", "c")), "attached");
	assert_says(call_error(td, "identify", json_pack("{s:s,s:i}", "controller", "c", "cns", 1)),
		    "the last attempt failed");
	target = target_new(NS, TARGET_ADDR, TARGET_PORT);
	UNTIL(td, n_events(td, "controller_attached"));
	assert_string_equal(connection_state(td), "up");
	assert_string_equal(text_at(call(td, "get_controllers", NULL), "0.connection.reason"), "");
	end(td);
	target_free(target);
	fake_verbs_end();
}

/* An interface may come, and whatever was found out later than at once may change. */
static void test_refused_later_is_retried(void **state)
{
	struct td *td = begin("[controller a]\ntrtype = rdma\ntraddr = fe80::1%no-such-if\n"
			      "subnqn = nqn.x\nreconnect_delay_sec = 1\n"
			      "[controller b]\ntrtype = rdma\ntraddr = fe80::1\n"
			      "subnqn = nqn.x\nreconnect_delay_sec = 1\n");
	json_t *list;

	UNTIL(td, n_events(td, "controller_attach_failed") >= 4);
	list = call(td, "get_controllers", NULL);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(text_at(list, "0.state"), "attaching");
	assert_says(text_at(list, "0.connection.reason"), "there is no interface no-such-if");
	assert_string_equal(text_at(list, "1.state"), "attaching");
	end(td);
	fake_verbs_end();
}

static void test_retries_are_given_up(void **state)
{
	struct td *td = begin(CONFIGURED);
	struct target *target;

	/* between two attempts */
	UNTIL(td, number_at(call(td, "get_controllers", NULL), "0.connection.attempts") >= 1);
	call(td, "detach_controller", json_pack("{s:s}", "name", "c"));
	assert_int_equal(n_controllers(td), 0);
	/* and during one, which gets no answer */
	target = target_new(NS, TARGET_ADDR, TARGET_PORT);
	target->silent_cm = true;
	send_request(td, "attach_controller", target_params(TARGET_NQN));
	run_ms(td, 50);
	assert_null(td->answer);
	assert_string_equal(text_at(call(td, "get_controllers", NULL), "0.state"), "attaching");
	call(td, "detach_controller", json_pack("{s:s}", "name", "c"));
	assert_int_equal(n_controllers(td), 0);
	assert_int_equal(fake_objects(), 0);
	end(td);
	target_free(target);
	fake_verbs_end();
}

/* The daemon ends while a controller is connecting, and while it waits. */
static void test_end_while_attaching(void **state)
{
	struct target *target;
	struct td *td = begin("[controller c]\ntrtype = rdma\ntraddr = " TARGET_ADDR
			      "\nsubnqn = " TARGET_NQN "\nreconnect_delay_sec = 60\n");

	UNTIL(td, number_at(call(td, "get_controllers", NULL), "0.connection.attempts") >= 1);
	end(td);
	fake_verbs_end();

	td = begin("");
	target = target_new(NS, TARGET_ADDR, TARGET_PORT);
	target->silent_admin = true;
	send_request(td, "attach_controller", target_params(TARGET_NQN));
	run_ms(td, 50);
	assert_null(td->answer);
	end(td);
	target_free(target);
	fake_verbs_end();
}

/* ---- discovery ---- */

static struct target *service(void)
{
	struct target *disc = target_discovery_new(TARGET_ADDR, DISC_PORT);

	target_add_record(disc, NVMUX_DISCOVERY_NVME, TARGET_ADDR, TARGET_PORT, TARGET_NQN);
	return disc;
}

static json_t *place(void)
{
	return json_pack("{s:s,s:s,s:s}", "trtype", "rdma", "traddr", TARGET_ADDR, "trsvcid",
			 "8009");
}

static void test_discover(void **state)
{
	struct td *td = begin("");
	struct target *target = target_new(NS, TARGET_ADDR, TARGET_PORT), *disc = service();
	json_t *result;

	target_add_record(disc, NVMUX_DISCOVERY_NVME, TARGET_ADDR, 4477, "nqn.other");
	result = call(td, "discover", place());
	assert_int_equal(number_at(result, "genctr"), (json_int_t)disc->genctr);
	assert_int_equal(json_array_size(at(result, "records")), 2);
	assert_string_equal(text_at(result, "records.0.subnqn"), TARGET_NQN);
	assert_string_equal(text_at(result, "records.0.subtype"), "nvme subsystem");
	assert_null(at(result, "records.0.name"));
	assert_null(at(result, "left_out"));
	assert_int_equal(target_live(disc), 0);
	result = call(td, "probe", place());
	assert_int_equal(json_array_size(result), 2);
	assert_true(json_is_true(at(result, "0.attachable")));
	call(td, "attach_controller", target_params(TARGET_NQN));
	result = call(td, "probe", place());
	assert_string_equal(text_at(result, "0.name"), "c");
	assert_true(json_is_false(at(result, "0.attachable")));
	assert_true(json_is_true(at(result, "1.attachable")));
	assert_string_equal(text_at(call(td, "discover", place()), "records.0.name"), "c");
	/* a service that isn't there, and one that lies */
	fake_lock();
	disc->numrec_lie = 1u << 20;
	fake_unlock();
	assert_says(call_error(td, "discover", place()), TARGET_ADDR);
	fake_unlisten(&disc->peer);
	assert_says(call_error(td, "discover", place()), TARGET_ADDR);
	assert_says(call_error(td, "probe", place()), TARGET_ADDR);
	end(td);
	target_free(target);
	target_free(disc);
	fake_verbs_end();
}

/* More records than one answer holds. */
static void test_discover_many(void **state)
{
	struct td *td = begin("");
	struct target *disc = service();
	char nqn[64];
	json_t *result;

	for (unsigned i = 1; i < 600; i++) {
		snprintf(nqn, sizeof(nqn), "nqn.many%u", i);
		target_add_record(disc, NVMUX_DISCOVERY_NVME, TARGET_ADDR, TARGET_PORT, nqn);
	}
	result = call(td, "discover", place());
	assert_int_equal(json_array_size(at(result, "records")), 512);
	assert_int_equal(number_at(result, "left_out"), 88);
	end(td);
	target_free(disc);
	fake_verbs_end();
}

static void drop_log_pages(struct target *disc)
{
	disc->fault = TARGET_DROP;
	disc->fault_opc = nvme_admin_get_log_page;
	disc->fault_admin = true;
	disc->fault_nth = 1;
	disc->fault_times = 100;
}

/* The daemon ends, and the client too, while the service doesn't answer. */
static void test_end_while_discovering(void **state)
{
	struct td *td;
	struct target *disc;

	for (int step = 0; step < 5; step++) {
		td = begin("");
		disc = service();
		disc->silent_cm = step == 0;
		disc->silent_connect = step == 1;
		disc->connect_qid = 0;
		disc->silent_admin = step == 2;
		if (step >= 3)
			drop_log_pages(disc);
		send_request(td, "discover", place());
		run_ms(td, 50);
		assert_null(td->answer);
		if (step == 4)
			leave(td);
		end(td);
		target_free(disc);
		fake_verbs_end();
	}
}

static void test_persistent_discovery(void **state)
{
	struct td *td = begin("");
	struct target *disc = service();
	uint64_t began = nvmux_now_ms();
	json_t *d;

	call(td, "start_discovery", service_params(false));
	d = json_array_get(call(td, "get_discovery", NULL), 0);
	assert_string_equal(text_at(d, "name"), "disc");
	assert_string_equal(text_at(d, "state"), "up");
	assert_string_equal(text_at(d, "trsvcid"), "8009");
	assert_string_equal(text_at(d, "subnqn"), DISC_NQN);
	assert_int_equal(number_at(d, "genctr"), (json_int_t)disc->genctr);
	assert_string_equal(text_at(d, "records.0.subnqn"), TARGET_NQN);
	assert_int_equal(number_at(d, "n_records"), 1);
	assert_int_equal(number_at(d, "left_out"), 0);
	assert_int_equal(number_at(d, "connection.keep_alive_ms"), 10000);
	assert_int_equal(n_events(td, "discovery_changed"), 0);
	/* it changes */
	target_add_record(disc, NVMUX_DISCOVERY_NVME, TARGET_ADDR, 4477, "nqn.late");
	target_event(disc, 1u << 31, 2, 0xf0, 0x70);
	UNTIL(td, n_events(td, "discovery_changed"));
	assert_true(nvmux_now_ms() - began >= 1000);
	assert_int_equal(number_at(event_of(td, "discovery_changed"), "genctr"),
			 (json_int_t)disc->genctr);
	d = json_array_get(call(td, "get_discovery", NULL), 0);
	assert_string_equal(text_at(d, "records.1.subnqn"), "nqn.late");
	/* at the same time somebody else asks the same service */
	assert_int_equal(json_array_size(at(call(td, "discover", place()), "records")), 2);
	/* it is lost, changes meanwhile, and comes back */
	fake_lock();
	fake_unlisten(&disc->peer);
	fake_unlock();
	fake_conns_disconnect(true);
	UNTIL(td, strcmp(discovery_state(td), "reconnecting") == 0);
	UNTIL(td, n_events(td, "discovery_connection_lost") == 1);
	assert_string_equal(text_at(event_of(td, "discovery_connection_lost"), "name"), "disc");
	assert_true(text_at(event_of(td, "discovery_connection_lost"), "reason")[0]);
	target_add_record(disc, NVMUX_DISCOVERY_NVME, TARGET_ADDR, 4478, "nqn.later");
	target_listen(disc, TARGET_ADDR, DISC_PORT);
	UNTIL(td, n_events(td, "discovery_changed") == 2);
	d = json_array_get(call(td, "get_discovery", NULL), 0);
	assert_string_equal(text_at(d, "state"), "up");
	assert_string_equal(text_at(d, "records.2.subnqn"), "nqn.later");
	assert_int_equal(n_events(td, "discovery_reconnected"), 1);
	assert_true(number_at(event_of(td, "discovery_reconnected"), "attempts") >= 1);
	assert_int_equal(number_at(d, "connection.lost"), 1);
	assert_int_equal(n_controllers(td), 0);
	assert_says(call_error(td, "start_discovery", service_params(false)), "already");
	call(td, "stop_discovery", json_pack("{s:s}", "name", "disc"));
	assert_int_equal(json_array_size(call(td, "get_discovery", NULL)), 0);
	assert_says(call_error(td, "stop_discovery", json_pack("{s:s}", "name", "disc")),
		    "no discovery service 'disc'");
	assert_int_equal(target_live(disc), 0);
	end(td);
	target_free(disc);
	fake_verbs_end();
}

static void test_discovery_attaches(void **state)
{
	struct td *td = begin("");
	struct target *target = target_new(NS, TARGET_ADDR, TARGET_PORT), *disc = service();
	struct target *late = target_new(NS, "10.0.0.2", TARGET_PORT);
	json_t *list;

	target_add_record(disc, NVMUX_DISCOVERY_REFERRAL, "10.0.0.3", DISC_PORT, DISC_NQN);
	call(td, "start_discovery", service_params(true));
	UNTIL(td, n_events(td, "controller_attached") == 1);
	list = call(td, "get_controllers", NULL);
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(text_at(list, "0.name"), "disc-0");
	assert_string_equal(text_at(call(td, "get_discovery", NULL), "0.records.0.name"), "disc-0");
	/* a new one, which isn't there at once */
	strcpy(late->subnqn, "nqn.late");
	late->connect_status = 0x184; /* Connect Invalid Host */
	late->connect_times = 1000;
	target_add_record(disc, NVMUX_DISCOVERY_NVME, "10.0.0.2", TARGET_PORT, "nqn.late");
	target_event(disc, 1u << 31, 2, 0xf0, 0x70);
	UNTIL(td, n_controllers(td) == 2);
	UNTIL(td, number_at(call(td, "get_controllers", json_pack("{s:s}", "name", "disc-1")),
			    "0.connection.attempts") >= 1);
	fake_lock();
	late->connect_times = 0;
	fake_unlock();
	UNTIL(td, n_events(td, "controller_attached") == 2);
	/* one that was detached by hand stays so */
	call(td, "detach_controller", json_pack("{s:s}", "name", "disc-0"));
	target_add_record(disc, NVMUX_DISCOVERY_NVME, "10.0.0.2", TARGET_PORT, "nqn.late");
	target_event(disc, 1u << 31, 2, 0xf0, 0x70);
	UNTIL(td, n_events(td, "discovery_changed") == 2);
	run_ms(td, 50);
	assert_int_equal(n_controllers(td), 1);
	/* nothing is detached when it isn't reported any more, nor with the service */
	fake_lock();
	disc->n_records = 0;
	disc->genctr++;
	fake_unlock();
	target_event(disc, 1u << 31, 2, 0xf0, 0x70);
	UNTIL(td, n_events(td, "discovery_changed") == 3);
	call(td, "stop_discovery", json_pack("{s:s}", "name", "disc"));
	assert_int_equal(n_controllers(td), 1);
	end(td);
	target_free(target);
	target_free(late);
	target_free(disc);
	fake_verbs_end();
}

static unsigned n_attaching(struct td *td)
{
	json_t *list = call(td, "get_controllers", NULL);
	unsigned n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += strcmp(text_at(json_array_get(list, i), "state"), "attaching") == 0;
	return n;
}

/* More than may be taken, none of them there: attempts end with their records, and those that were
 * left out have their turn. */
static void test_discovery_of_many(void **state)
{
	struct td *td = begin("");
	struct target *target = target_new(NS, TARGET_ADDR, TARGET_PORT), *disc = service();
	char nqn[64];
	json_t *d;

	for (unsigned i = 1; i <= 599; i++) {
		snprintf(nqn, sizeof(nqn), "nqn.many%u", i);
		target_add_record(disc, NVMUX_DISCOVERY_NVME, "10.0.0.2", TARGET_PORT, nqn);
	}
	call(td, "start_discovery", service_params(true));
	UNTIL(td, n_events(td, "controller_attached") == 1);
	assert_int_equal(n_controllers(td), 64);
	assert_int_equal(n_attaching(td), 63);
	d = json_array_get(call(td, "get_discovery", NULL), 0);
	assert_int_equal(number_at(d, "n_records"), 600);
	assert_int_equal(number_at(d, "left_out"), 600 - 512);
	/* what can't be attached goes; that which is attached stays */
	fake_lock();
	disc->n_records = 5;
	disc->genctr++;
	fake_unlock();
	target_event(disc, 1u << 31, 2, 0xf0, 0x70);
	UNTIL(td, n_controllers(td) == 5);
	assert_int_equal(n_attaching(td), 4);
	assert_int_equal(n_events(td, "controller_detached"), 0);
	end(td);
	target_free(target);
	target_free(disc);
	fake_verbs_end();
}

/* Those that were missed are taken when there is room, although they aren't new then. */
static void test_discovery_of_missed(void **state)
{
	struct td *td = begin("");
	struct target *disc = target_discovery_new(TARGET_ADDR, DISC_PORT);
	char nqn[64];

	for (unsigned i = 0; i < 66; i++) {
		snprintf(nqn, sizeof(nqn), "nqn.many%u", i);
		target_add_record(disc, NVMUX_DISCOVERY_NVME, "10.0.0.2", TARGET_PORT, nqn);
	}
	call(td, "start_discovery", service_params(true));
	UNTIL(td, n_controllers(td) == 64);
	call(td, "detach_controller", json_pack("{s:s}", "name", "disc-7"));
	assert_int_equal(n_controllers(td), 63);
	fake_lock();
	disc->genctr++;
	fake_unlock();
	target_event(disc, 1u << 31, 2, 0xf0, 0x70);
	UNTIL(td, n_controllers(td) == 64);
	end(td);
	target_free(disc);
	fake_verbs_end();
}

/* The connection is lost while the first log is waited for. */
static void test_discovery_lost_at_start(void **state)
{
	struct td *td = begin("");
	struct target *disc = service();

	drop_log_pages(disc);
	send_request(td, "start_discovery", service_params(false));
	run_ms(td, 100);
	assert_null(td->answer);
	fake_unlisten(&disc->peer);
	fake_conns_disconnect(true);
	UNTIL(td, td->answer);
	assert_says(text_at(td->answer, "error.message"), "can't be reached: ");
	assert_null(strstr(text_at(td->answer, "error.message"), "370"));
	UNTIL(td, json_array_size(call(td, "get_discovery", NULL)) == 0);
	end(td);
	target_free(disc);
	fake_verbs_end();
}

#define CONFIGURED_SERVICE                                                                         \
	"[discovery disc]\ntrtype = rdma\ntraddr = " TARGET_ADDR "\ntrsvcid = 8009\n"              \
	"reconnect_delay_sec = 1\nattach = yes\n"

static void test_configured_discovery(void **state)
{
	struct td *td = begin(CONFIGURED_SERVICE);
	struct target *target = target_new(NS, TARGET_ADDR, TARGET_PORT), *disc;
	json_t *d;

	UNTIL(td, strcmp(discovery_state(td), "waiting") == 0);
	d = json_array_get(call(td, "get_discovery", NULL), 0);
	assert_true(json_is_null(at(d, "genctr")));
	assert_true(text_at(d, "connection.reason")[0]);
	disc = service();
	UNTIL(td, n_events(td, "controller_attached"));
	assert_string_equal(discovery_state(td), "up");
	end(td);
	target_free(target);
	target_free(disc);
	fake_verbs_end();
}

static void test_discovery_fails(void **state)
{
	struct td *td = begin("");
	struct target *disc;
	json_t *params = service_params(false);

	assert_says(call_error(td, "start_discovery", service_params(false)), "'disc'");
	assert_int_equal(json_array_size(call(td, "get_discovery", NULL)), 0);
	disc = service();
	disc->recfmt = 1;
	assert_says(call_error(td, "start_discovery", service_params(false)), TARGET_ADDR);
	UNTIL(td, json_array_size(call(td, "get_discovery", NULL)) == 0);
	assert_int_equal(target_live(disc), 0);
	/* lost for longer than it may be */
	fake_lock();
	disc->recfmt = 0;
	fake_unlock();
	json_object_set_new(params, "ctrlr_loss_timeout_sec", json_integer(1));
	call(td, "start_discovery", params);
	fake_unlisten(&disc->peer);
	fake_conns_disconnect(true);
	UNTIL(td, strcmp(discovery_state(td), "failed") == 0);
	assert_true(text_at(call(td, "get_discovery", NULL), "0.connection.reason")[0]);
	run_ms(td, 1500);
	assert_string_equal(discovery_state(td), "failed");
	call(td, "stop_discovery", json_pack("{s:s}", "name", "disc"));
	end(td);
	target_free(disc);
	fake_verbs_end();
}

/* Stopped, or the daemon ends, in each step; and one that asks to start it is told. */
static void test_discovery_ends_in_each_step(void **state)
{
	struct td *td;
	struct target *disc;

	for (int step = 0; step < 10; step++) {
		bool stop = step & 1;

		td = begin(step >= 8 ? CONFIGURED_SERVICE : "");
		disc = service();
		disc->silent_cm = step / 2 == 0;
		disc->silent_connect = step / 2 == 1;
		disc->connect_qid = 0;
		disc->silent_admin = step / 2 == 2;
		if (step / 2 == 3)
			drop_log_pages(disc);
		if (step / 2 == 4)
			fake_unlisten(&disc->peer);
		else
			send_request(td, "start_discovery", service_params(false));
		run_ms(td, 100);
		if (step / 2 != 4)
			assert_null(td->answer);
		if (stop) {
			call(td, "stop_discovery", json_pack("{s:s}", "name", "disc"));
			assert_int_equal(td->late_answers, step / 2 != 4);
			assert_int_equal(json_array_size(call(td, "get_discovery", NULL)), 0);
		}
		end(td);
		target_free(disc);
		fake_verbs_end();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_attach_fails),
		cmocka_unit_test(test_no_queue_pair),
		cmocka_unit_test(test_ana),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_loss_for_good),
		cmocka_unit_test(test_attached_discovery_controller),
		cmocka_unit_test(test_configured_is_retried),
		cmocka_unit_test(test_refused_later_is_retried),
		cmocka_unit_test(test_retries_are_given_up),
		cmocka_unit_test(test_end_while_attaching),
		cmocka_unit_test(test_discover),
		cmocka_unit_test(test_discover_many),
		cmocka_unit_test(test_end_while_discovering),
		cmocka_unit_test(test_persistent_discovery),
		cmocka_unit_test(test_discovery_attaches),
		cmocka_unit_test(test_discovery_of_many),
		cmocka_unit_test(test_discovery_of_missed),
		cmocka_unit_test(test_discovery_lost_at_start),
		cmocka_unit_test(test_configured_discovery),
		cmocka_unit_test(test_discovery_fails),
		cmocka_unit_test(test_discovery_ends_in_each_step),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("rdma_daemon", tests, NULL, NULL);
}
