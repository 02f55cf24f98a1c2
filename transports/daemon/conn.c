// SPDX-License-Identifier: BSD-3-Clause
/*
 * The connection to a daemon: calls, their answers, and its loss.
 *
 * Happy path: the first controller that is opened through a socket path makes the connection, and
 * its descriptor is watched by the context; an operation sends one call and ends when the answer
 * has been judged; the last reference closes the connection, and with it the session.
 *
 * Failure modes. The daemon reports an error: its text becomes the context's error text. It doesn't
 * answer in time, or the controller is closed first: the operation ends, and an answer that still
 * comes is undone. It dies or breaks the protocol: every operation ends with the error, then
 * libcore is told for each controller. An idle client notices too, as the descriptor is always
 * watched. A later attach makes a new connection. The context ends: operations that belong to no
 * controller, such as an enumeration, end with -ECANCELED, and their connections with them.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include "transports/daemon/conn.h"
#include "libcore/membarrier.h"

TAILQ_HEAD(daemon_conn_list, daemon_conn);

/* ---- the connections of a context ---- */

static struct daemon_conn_list *conn_list(struct nvmux *nvmux)
{
	return nvmux->transport_data[NVMUX_TRTYPE_DAEMON];
}

static int list_add(struct daemon_conn *conn)
{
	struct daemon_conn_list *list = conn_list(conn->nvmux);

	if (!list) {
		list = malloc(sizeof(*list));
		if (!list)
			return -ENOMEM;
		TAILQ_INIT(list);
		conn->nvmux->transport_data[NVMUX_TRTYPE_DAEMON] = list;
	}
	TAILQ_INSERT_TAIL(list, conn, link);
	return 0;
}

static void list_remove(struct daemon_conn *conn)
{
	struct daemon_conn_list *list = conn_list(conn->nvmux);

	TAILQ_REMOVE(list, conn, link);
	if (TAILQ_EMPTY(list)) {
		conn->nvmux->transport_data[NVMUX_TRTYPE_DAEMON] = NULL;
		free(list);
	}
}

static bool has_ctrlr(const struct daemon_conn *conn, const char *name)
{
	const struct daemon_ctrlr *dc;

	TAILQ_FOREACH (dc, &conn->ctrlrs, link) {
		if (!strcmp(dc->base.trid.trsvcid, name))
			return true;
	}
	return false;
}

/* ---- loss and events ---- */

static void update_watch(struct daemon_conn *conn)
{
	bool wants_write = rpc_client_wants_write(conn->client);

	if (conn->err || wants_write == conn->watches_write)
		return;
	conn->watches_write = wants_write;
	nvmux_watch_mod(conn->nvmux, &conn->watch, EPOLLIN | (wants_write ? EPOLLOUT : 0u));
}

/* Calls under way have been ended by the RPC client; the caller holds a reference. */
static void conn_lost(struct daemon_conn *conn, int err)
{
	struct daemon_ctrlr *dc;

	if (conn->err)
		return;
	conn->err = err;
	nvmux_watch_del(conn->nvmux, &conn->watch);
	list_remove(conn);
	daemon_mem_conn_gone(conn);
	nvmux_log(conn->nvmux, NVMUX_LOG_ERROR, "daemon", "%s: the connection was lost: %s",
		  conn->path, strerror(-err));
again:
	TAILQ_FOREACH (dc, &conn->ctrlrs, link) {
		if (dc->lost)
			continue;
		dc->lost = true;
		nvmux_ctrlr_lost(&dc->base, nvmux_error(conn->nvmux, err,
							"%s: the connection to the daemon was lost",
							conn->path));
		goto again; /* the list may have changed */
	}
}

static void on_socket(void *arg, uint32_t epoll_events)
{
	struct daemon_conn *conn = daemon_conn_ref(arg);
	int rc = rpc_client_process(conn->client);

	if (rc < 0)
		conn_lost(conn, rc);
	else
		update_watch(conn);
	daemon_conn_put(conn);
}

/* It failed for good, or its device went and the daemon has closed it: tell its user now, not with
 * his next command. */
static void take_end(struct daemon_conn *conn, struct daemon_ctrlr *dc, bool removed)
{
	struct nvmux_ctrlr *ctrlr = &dc->base;

	dc->lost = true;
	nvmux_ctrlr_lost(ctrlr, removed ? nvmux_error(conn->nvmux, -ENODEV,
						      "%s: the device of controller %s has been "
						      "removed",
						      conn->path, ctrlr->trid.trsvcid)
					: nvmux_error(conn->nvmux, -ENXIO,
						      "%s: controller %s has failed", conn->path,
						      ctrlr->trid.trsvcid));
}

static bool is_end(const char *type)
{
	return strcmp(type, "controller_failed") == 0 || strcmp(type, "controller_closed") == 0;
}

static void on_notification(void *arg, const char *method, const json_t *params)
{
	struct daemon_conn *conn = arg;
	const char *type = json_string_value(json_object_get(params, "type"));
	const char *name = json_string_value(json_object_get(params, "name"));
	struct daemon_ctrlr *dc;

	if (strcmp(method, "event") != 0 || !type)
		return;
	if (strcmp(type, "events_lost") == 0)
		daemon_conn_events_lost(conn);
	if (!name)
		return;
	TAILQ_FOREACH (dc, &conn->ctrlrs, link) {
		if (dc->lost || !dc->opened || strcmp(dc->base.trid.trsvcid, name) != 0)
			continue;
		if (is_end(type))
			take_end(conn, dc, json_is_true(json_object_get(params, "removed")));
		else
			daemon_ctrlr_event(dc, type, params);
		return; /* a session opens a controller once */
	}
}

/* ---- making and ending one ---- */

static int conn_open(struct daemon_conn *conn)
{
	int rc;

	rc = nvmux_membarrier_register();
	if (rc < 0)
		return nvmux_error(conn->nvmux, rc,
				   "membarrier: the kernel can't do what shared rings need: %s",
				   strerror(-rc));
	rc = rpc_client_connect(conn->path, &conn->client);
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		return nvmux_error(conn->nvmux, rc, "%s: no daemon there (is nvmuxd running?)",
				   conn->path);
	if (rc < 0)
		return nvmux_error(conn->nvmux, rc, "%s: %s", conn->path, strerror(-rc));
	rpc_client_on_notification(conn->client, on_notification, conn);
	rc = nvmux_watch_add(conn->nvmux, &conn->watch, rpc_client_fd(conn->client), EPOLLIN,
			     on_socket, conn);
	if (rc < 0)
		rpc_client_destroy(conn->client);
	return rc;
}

static int conn_new(struct nvmux *nvmux, const char *path, struct daemon_conn **ret)
{
	struct daemon_conn *conn = calloc(1, sizeof(*conn));
	int rc;

	if (!conn)
		return -ENOMEM;
	conn->nvmux = nvmux;
	conn->refs = 1;
	snprintf(conn->path, sizeof(conn->path), "%s", path);
	TAILQ_INIT(&conn->ctrlrs);
	TAILQ_INIT(&conn->ops);
	rc = conn_open(conn);
	if (rc < 0)
		goto fail;
	rc = list_add(conn);
	if (rc < 0)
		goto close;
	/* It goes out with the operation that the connection is made for. */
	rpc_client_notify(conn->client, "subscribe_events", NULL);
	*ret = conn;
	return 0;

close:
	nvmux_watch_del(nvmux, &conn->watch);
	rpc_client_destroy(conn->client);
fail:
	free(conn);
	return rc;
}

int daemon_conn_get(struct nvmux *nvmux, const char *path, const char *ctrlr_name,
		    struct daemon_conn **ret)
{
	struct daemon_conn_list *list = conn_list(nvmux);
	struct daemon_conn *conn;

	if (!path[0])
		path = NVMUX_DEFAULT_SOCKET;
	if (list) {
		TAILQ_FOREACH (conn, list, link) {
			if (strcmp(conn->path, path) != 0 ||
			    (ctrlr_name && has_ctrlr(conn, ctrlr_name)))
				continue;
			*ret = daemon_conn_ref(conn);
			return 0;
		}
	}
	return conn_new(nvmux, path, ret);
}

void daemon_conn_put(struct daemon_conn *conn)
{
	struct daemon_op *op;

	if (--conn->refs > 0)
		return;
	NVMUX_ASSERT(TAILQ_EMPTY(&conn->ctrlrs));
	if (!conn->err) {
		nvmux_watch_del(conn->nvmux, &conn->watch);
		list_remove(conn);
		daemon_mem_conn_gone(conn);
		conn->err = -ECANCELED;
	}
	while ((op = TAILQ_FIRST(&conn->ops)))
		daemon_op_end(op, -ECANCELED, 0);
	rpc_client_destroy(conn->client);
	free(conn);
}

/* ---- operations ---- */

struct daemon_op *daemon_op_new(struct daemon_conn *conn, struct daemon_ctrlr *ctrlr,
				const char *method, nvmux_done_fn done, void *arg)
{
	struct daemon_op *op = calloc(1, sizeof(*op));

	if (!op) {
		done(arg, -ENOMEM, 0);
		return NULL;
	}
	op->conn = conn;
	op->ctrlr = ctrlr;
	op->method = method;
	op->done = done;
	op->arg = arg;
	return op;
}

void daemon_context_end(struct nvmux *nvmux)
{
	struct daemon_conn_list *list;

	/* Only operations still hold connections. The last one to go takes the list with it. */
	while ((list = conn_list(nvmux))) {
		struct daemon_conn *conn = daemon_conn_ref(TAILQ_FIRST(list));
		struct daemon_op *op;

		while ((op = TAILQ_FIRST(&conn->ops)))
			daemon_op_end(op, -ECANCELED, 0);
		NVMUX_ASSERT(conn->refs == 1);
		daemon_conn_put(conn);
	}
}

void daemon_op_end(struct daemon_op *op, int err, uint64_t value)
{
	struct daemon_conn *conn = op->conn;

	NVMUX_ASSERT(!op->ended);
	op->ended = true;
	TAILQ_REMOVE(&conn->ops, op, link);
	nvmux_timer_cancel(conn->nvmux, &op->timer);
	op->done(op->arg, err, value); /* may end the connection, and then @op with it */
}

static void on_answer(void *arg, struct rpc_response *response)
{
	struct daemon_op *op = arg;
	uint64_t value = 0;
	int err = response->err;

	if (op->ended) {
		if (!err && op->late)
			op->late(op, response);
	} else {
		if (err)
			nvmux_error(op->conn->nvmux, err, "%s: %s: %s", op->conn->path, op->method,
				    response->text);
		else if (op->answer)
			err = op->answer(op, response, &value);
		daemon_op_end(op, err, value);
	}
	free(op);
}

static void on_op_timeout(void *arg)
{
	struct daemon_op *op = arg;

	daemon_op_end(op,
		      nvmux_error(op->conn->nvmux, -ETIMEDOUT, "%s: %s: the daemon doesn't answer",
				  op->conn->path, op->method),
		      0);
}

void daemon_op_send(struct daemon_op *op, json_t *params, uint32_t timeout_ms)
{
	struct daemon_conn *conn = op->conn;
	int rc;

	TAILQ_INSERT_TAIL(&conn->ops, op, link);
	rc = rpc_client_call_async(conn->client, op->method, params, on_answer, op);
	if (rc < 0) {
		nvmux_error(conn->nvmux, rc, "%s: %s: %s", conn->path, op->method, strerror(-rc));
		daemon_op_end(op, rc, 0);
		free(op);
		return;
	}
	if (timeout_ms)
		nvmux_timer_set(conn->nvmux, &op->timer, timeout_ms, on_op_timeout, op);
	update_watch(conn);
}

static void ignore_answer(void *arg, struct rpc_response *response)
{
}

void daemon_tell(struct daemon_conn *conn, const char *method, json_t *params)
{
	if (rpc_client_call_async(conn->client, method, params, ignore_answer, NULL) == 0)
		update_watch(conn);
}

/* ---- answers ---- */

static int bad_member(struct daemon_op *op, const char *name)
{
	return nvmux_error(op->conn->nvmux, -EPROTO,
			   "%s: %s: '%s' of the answer is missing or out of range", op->conn->path,
			   op->method, name);
}

int daemon_get_uint(struct daemon_op *op, const json_t *result, const char *name, uint64_t min,
		    uint64_t max, uint64_t *ret)
{
	const json_t *member = json_object_get(result, name);
	json_int_t value = json_integer_value(member);

	if (!json_is_integer(member) || value < 0 || (uint64_t)value < min || (uint64_t)value > max)
		return bad_member(op, name);
	*ret = (uint64_t)value;
	return 0;
}

int daemon_get_reg(struct daemon_op *op, const json_t *result, const char *name, uint64_t max,
		   uint64_t *ret)
{
	const char *text = json_string_value(json_object_get(result, name));
	uint64_t value;
	int end = 0;

	if (!text || strlen(text) > 18 || strncmp(text, "0x", 2) != 0 ||
	    strspn(text + 2, "0123456789abcdefABCDEF") != strlen(text + 2) ||
	    sscanf(text, "0x%" SCNx64 "%n", &value, &end) != 1 || text[end] || value > max)
		return bad_member(op, name);
	*ret = value;
	return 0;
}

int daemon_check_fds(struct daemon_op *op, const struct rpc_response *response, unsigned n)
{
	if (response->n_fds == n)
		return 0;
	return nvmux_error(op->conn->nvmux, -EPROTO,
			   "%s: %s: the answer brought %u descriptors, not %u", op->conn->path,
			   op->method, response->n_fds, n);
}
