// SPDX-License-Identifier: BSD-3-Clause
/*
 * Requests of the server, from the JSON value to the reply.
 *
 * Happy path: a value is one request or a batch of them; each is checked (form, method, right,
 * parameters) and given to its handler; the reply is encoded when the handler calls one of the
 * rpc_reply functions and sent at once, or kept until its whole batch has been answered. Errors
 * that the server finds itself take the same way. The requests of a batch are served one by one, in
 * as many turns of the connection as it takes.
 *
 * Failure modes. The connection goes while a handler has the request: the request forgets it, and
 * the reply is discarded. An answer that is larger than what a client accepts, or than what its
 * batch has left of that, becomes an error. No
 * memory for an answer: the connection is closed, as the client would wait for ever.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libcore/util.h"
#include "rpc/server_internal.h"

#define ID_MAX      256   /* bytes of an identifier that is a string */
#define ERROR_REPLY 2048u /* bytes that an error reply needs at most: its text and identifier */
#define TEXT_MAX    512

/* A request that a handler has, or that is being checked. */
struct rpc_request {
	TAILQ_ENTRY(rpc_request) link;
	struct rpc_conn *conn; /* NULL: gone */
	struct rpc_batch *batch;
	unsigned index;                  /* in the batch */
	const struct rpc_method *method; /* NULL until it is known */
	json_t *message;
	json_t *id;
	bool notification;
};

/* One reply, encoded. */
struct rpc_reply_slot {
	char *text; /* NULL: none, it was a notification */
	size_t len; /* with the newline */
	json_t *id;
	unsigned n_fds;
	int fds[RPC_FDS_MAX];
};

struct rpc_batch {
	struct rpc_conn *conn; /* NULL: gone */
	json_t *list;          /* the requests, while they are being dispatched */
	unsigned next;         /* to be dispatched */
	unsigned n;
	unsigned n_left; /* not yet answered, and one while they are being dispatched */
	size_t room;     /* bytes for answers; there is always some for errors */
	struct rpc_reply_slot slots[];
};

static void close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

static void slot_fini(struct rpc_reply_slot *slot)
{
	close_all(slot->fds, slot->n_fds);
	json_decref(slot->id);
	free(slot->text);
	*slot = (struct rpc_reply_slot){0};
}

/* Encode {jsonrpc, id, @key: @value}; @value is stolen. False: no memory. */
static bool slot_encode(struct rpc_reply_slot *slot, const char *key, json_t *value)
{
	json_t *message;

	if (slot->n_fds > 0)
		message = json_pack("{s:s, s:O, s:o, s:i}", "jsonrpc", "2.0", "id", slot->id, key,
				    value, "fds", (int)slot->n_fds);
	else
		message = json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", slot->id, key,
				    value);
	if (message)
		slot->text = rpc_encode(message, &slot->len);
	json_decref(message);
	return slot->text;
}

/* The same with a result that has been encoded before. */
static bool slot_encode_text(struct rpc_reply_slot *slot, const char *result, size_t result_len)
{
	static const char key[] = ",\"result\":";
	json_t *message = json_pack("{s:s, s:O}", "jsonrpc", "2.0", "id", slot->id);
	size_t len, size;
	char *text, *end;

	text = message ? rpc_encode(message, &len) : NULL;
	json_decref(message);
	if (!text)
		return false;
	len -= 2; /* without the closing brace and the newline */
	size = len + strlen(key) + result_len + 2;
	end = realloc(text, size + 1);
	if (!end) {
		free(text);
		return false;
	}
	slot->text = end;
	slot->len = size;
	end = mempcpy(end + len, key, strlen(key));
	end = mempcpy(end, result, result_len);
	memcpy(end, "}\n", 3);
	return true;
}

/* Instead of an answer that is too large. */
static bool slot_too_large(struct rpc_reply_slot *slot)
{
	char text[128];

	snprintf(text, sizeof(text), "the answer has %zu bytes: more than fits into one message",
		 slot->len);
	close_all(slot->fds, slot->n_fds);
	slot->n_fds = 0;
	free(slot->text);
	slot->text = NULL;
	return slot_encode(slot, "error",
			   rpc_error_object(RPC_LIMIT, text,
					    json_pack("{s:s, s:s}", "limit", "message_bytes",
						      "errno", "EMSGSIZE")));
}

/* ---- batches ---- */

/* "[" reply "," reply "]": each reply is a chunk of its own, so that descriptors keep their place.
 */
static void batch_send(struct rpc_batch *batch, unsigned n_replies)
{
	char *open = strdup("[");

	if (!open) {
		rpc_conn_kill(batch->conn);
		rpc_conn_settle(batch->conn, n_replies);
		return;
	}
	rpc_conn_send(batch->conn, open, 1, NULL, 0, 0);
	for (unsigned i = 0; i < batch->n; i++) {
		struct rpc_reply_slot *slot = &batch->slots[i];

		if (!slot->text)
			continue;
		n_replies--;
		/* the newline's place, and that of the NUL */
		slot->text[slot->len - 1] = n_replies ? ',' : ']';
		if (n_replies == 0)
			slot->text[slot->len++] = '\n';
		rpc_conn_send(batch->conn, slot->text, slot->len, slot->fds, slot->n_fds, 1);
		slot->text = NULL;
		slot->n_fds = 0;
	}
}

/* One part of the batch has ended. */
static void batch_put(struct rpc_batch *batch)
{
	unsigned n_replies = 0;

	if (--batch->n_left > 0)
		return;
	for (unsigned i = 0; i < batch->n; i++)
		n_replies += batch->slots[i].text != NULL;
	if (batch->conn && n_replies < batch->n)
		rpc_conn_settle(batch->conn, batch->n - n_replies);
	if (batch->conn && n_replies > 0)
		batch_send(batch, n_replies);
	for (unsigned i = 0; i < batch->n; i++)
		slot_fini(&batch->slots[i]);
	free(batch);
}

/* Nothing more of the connection's batch is to be dispatched. */
static void batch_dispatched(struct rpc_conn *conn)
{
	struct rpc_batch *batch = conn->batch;

	conn->batch = NULL;
	json_decref(batch->list);
	batch->list = NULL;
	batch_put(batch);
}

/* ---- replies ---- */

static void request_free(struct rpc_request *req)
{
	if (req->conn)
		TAILQ_REMOVE(&req->conn->requests, req, link);
	json_decref(req->message);
	json_decref(req->id);
	free(req);
}

static bool wants_reply(const struct rpc_request *req)
{
	return req->conn && !req->notification;
}

/* End a request whose reply, if it wants one, has been encoded in @slot (@ok: there was memory);
 * what is in @slot is taken over. */
static void request_finish(struct rpc_request *req, struct rpc_reply_slot *slot, bool ok)
{
	struct rpc_conn *conn = req->conn;
	struct rpc_batch *batch = req->batch;

	if (ok && slot->text && slot->len > (batch ? batch->room : RPC_MESSAGE_MAX))
		ok = slot_too_large(slot);
	if (!ok)
		rpc_conn_kill(conn);
	if (conn)
		conn->turn_bytes += slot->len;
	if (batch && slot->text) {
		batch->room -= MIN(batch->room, slot->len);
		batch->slots[req->index] = *slot;
		*slot = (struct rpc_reply_slot){0};
	} else if (!batch && slot->text) {
		rpc_conn_send(conn, slot->text, slot->len, slot->fds, slot->n_fds, 1);
		slot->text = NULL;
		slot->n_fds = 0;
	} else if (!batch && conn) {
		rpc_conn_settle(conn, 1);
	}
	slot_fini(slot);
	request_free(req);
	if (batch)
		batch_put(batch);
}

/* End a request with @key: @value; @value is stolen, the descriptors are taken over. */
static void request_end(struct rpc_request *req, const char *key, json_t *value, const int *fds,
			unsigned n_fds)
{
	struct rpc_reply_slot slot = {.n_fds = n_fds};
	bool ok = true;

	NVMUX_ASSERT(n_fds <= RPC_FDS_MAX);
	for (unsigned i = 0; i < n_fds; i++)
		slot.fds[i] = fds[i];
	if (wants_reply(req)) {
		slot.id = json_incref(req->id);
		ok = slot_encode(&slot, key, value);
	} else {
		json_decref(value);
	}
	request_finish(req, &slot, ok);
}

/* End a request with a result that has been encoded before. */
static void request_end_text(struct rpc_request *req, const char *result, size_t len)
{
	struct rpc_reply_slot slot = {0};
	bool ok = true;

	if (wants_reply(req)) {
		slot.id = json_incref(req->id);
		ok = slot_encode_text(&slot, result, len);
	}
	request_finish(req, &slot, ok);
}

void rpc_reply_fds(struct rpc_request *req, json_t *result, const int *fds, unsigned n_fds)
{
	if (result) {
		request_end(req, "result", result, fds, n_fds);
		return;
	}
	close_all(fds, n_fds);
	rpc_reply_error(req, RPC_INTERNAL_ERROR, NULL, "no result: out of memory");
}

void rpc_reply(struct rpc_request *req, json_t *result)
{
	rpc_reply_fds(req, result, NULL, 0);
}

void rpc_reply_error(struct rpc_request *req, int code, json_t *data, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	request_end(req, "error", rpc_error_object(code, text, data), NULL, 0);
}

void rpc_reply_errno(struct rpc_request *req, int err, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	request_end(req, "error", rpc_error_object(RPC_ERRNO, text, rpc_errno_data(err)), NULL, 0);
}

struct rpc_conn *rpc_request_conn(const struct rpc_request *req)
{
	return req->conn;
}

const char *rpc_request_method(const struct rpc_request *req)
{
	return req->method ? req->method->name : "";
}

void rpc_requests_orphan(struct rpc_conn *conn)
{
	struct rpc_batch *batch = conn->batch;
	struct rpc_request *req;

	while ((req = TAILQ_FIRST(&conn->requests))) {
		TAILQ_REMOVE(&conn->requests, req, link);
		req->conn = NULL;
		if (req->batch)
			req->batch->conn = NULL;
	}
	if (batch) { /* the rest of it isn't served any more */
		batch->conn = NULL;
		batch->n_left -= batch->n - batch->next;
		batch_dispatched(conn);
	}
}

/* ---- checks ---- */

static bool valid_id(const json_t *id)
{
	return !id || json_is_null(id) || json_is_number(id) ||
	       (json_is_string(id) && json_string_length(id) <= ID_MAX);
}

/* Why @message isn't a request of JSON-RPC 2.0; NULL: it is one. */
static const char *invalid_request(const json_t *message)
{
	const char *version = json_string_value(json_object_get(message, "jsonrpc"));
	const json_t *params = json_object_get(message, "params");

	if (!json_is_object(message))
		return "a request is an object";
	if (!version || strcmp(version, "2.0") != 0)
		return "member 'jsonrpc' must be \"2.0\"";
	if (!valid_id(json_object_get(message, "id")))
		return "member 'id' must be a string of at most 256 bytes, a number, or null";
	if (!json_is_string(json_object_get(message, "method")))
		return "member 'method' must be a string";
	if (params && !json_is_object(params) && !json_is_array(params))
		return "member 'params' must be an object";
	return NULL;
}

static size_t count_methods(const struct rpc_method *methods)
{
	size_t n = 0;

	while (methods[n].name)
		n++;
	return n;
}

static const struct rpc_method *find_method(const struct rpc_method *methods, const char *name)
{
	for (; methods->name; methods++) {
		if (!strcmp(methods->name, name))
			return methods;
	}
	return NULL;
}

/* A method that isn't in the table. */
static void serve_unknown(struct rpc_request *req, const char *name)
{
	const struct rpc_server *server = req->conn->server;
	const struct rpc_method *methods = server->opts.methods;
	const char *meant;

	if (!strcmp(name, "rpc.discover")) {
		request_end_text(req, server->openrpc, server->openrpc_len);
		return;
	}
	meant = rpc_suggest(name, methods, sizeof(*methods), count_methods(methods));
	rpc_reply_error(req, RPC_METHOD_NOT_FOUND, NULL, "no method '%.64s'%s%s%s", name,
			meant ? ": did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
}

static bool allowed(const struct rpc_request *req)
{
	const struct rpc_server_opts *opts = &req->conn->server->opts;

	return req->method->right == RPC_RIGHT_NONE || !opts->may ||
	       opts->may(opts->user, req->conn, req->method->right);
}

static void serve_method(struct rpc_request *req, const json_t *params)
{
	const char *right = req->method->right == RPC_RIGHT_ADMIN ? "admin" : "user";
	char why[TEXT_MAX];

	if (!allowed(req)) {
		rpc_reply_error(req, RPC_ACCESS_DENIED,
				json_pack("{s:s, s:s}", "right", right, "errno", "EACCES"),
				"method '%s' needs the right '%s'", req->method->name, right);
		return;
	}
	if (json_is_array(params)) {
		if (json_array_size(params) > 0) {
			rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
					"parameters are passed by name, in an object: positional "
					"ones (an array) are not accepted");
			return;
		}
		params = NULL;
	}
	if (rpc_params_check(req->method->params, params, why, sizeof(why)) != 0) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL, "%s", why);
		return;
	}
	req->method->handler(req, params);
}

void rpc_request_again(struct rpc_request *req)
{
	const json_t *params = json_object_get(req->message, "params");

	req->method->handler(req, json_is_object(params) ? params : NULL);
}

static void serve(struct rpc_conn *conn, json_t *message, struct rpc_batch *batch, unsigned index)
{
	struct rpc_request *req = calloc(1, sizeof(*req));
	const char *name, *wrong;
	json_t *id;

	if (!req) {
		rpc_conn_kill(conn);
		if (batch)
			batch_put(batch);
		else
			rpc_conn_settle(conn, 1);
		return;
	}
	id = json_object_get(message, "id");
	wrong = invalid_request(message);
	req->conn = conn;
	req->batch = batch;
	req->index = index;
	req->message = json_incref(message);
	req->id = id && valid_id(id) ? json_incref(id) : json_null();
	req->notification = !wrong && !id;
	TAILQ_INSERT_TAIL(&conn->requests, req, link);
	if (wrong) {
		rpc_reply_error(req, RPC_INVALID_REQUEST, NULL, "invalid request: %s", wrong);
		return;
	}
	name = json_string_value(json_object_get(message, "method"));
	req->method = find_method(conn->server->opts.methods, name);
	if (req->method)
		serve_method(req, json_object_get(message, "params"));
	else
		serve_unknown(req, name);
}

/* Begin it; the requests are served by rpc_batch_next(). */
static void begin_batch(struct rpc_conn *conn, json_t *list)
{
	unsigned n = (unsigned)json_array_size(list);
	struct rpc_batch *batch = calloc(1, sizeof(*batch) + n * sizeof(batch->slots[0]));

	if (!batch) {
		rpc_conn_kill(conn);
		return;
	}
	batch->conn = conn;
	batch->n = n;
	batch->n_left = n + 1;
	batch->room = RPC_MESSAGE_MAX - n * ERROR_REPLY;
	batch->list = json_incref(list);
	NVMUX_ASSERT(!conn->batch);
	conn->batch = batch;
	conn->n_outstanding += n;
}

void rpc_batch_next(struct rpc_conn *conn)
{
	struct rpc_batch *batch = conn->batch;
	unsigned index = batch->next++;

	serve(conn, json_array_get(batch->list, index), batch, index);
	if (batch->next == batch->n)
		batch_dispatched(conn);
}

void rpc_dispatch(struct rpc_conn *conn, json_t *message)
{
	char text[64];

	if (!json_is_array(message)) {
		conn->n_outstanding++;
		serve(conn, message, NULL, 0);
	} else if (json_array_size(message) == 0) {
		rpc_send_error(conn, RPC_INVALID_REQUEST, "invalid request: an empty batch");
	} else if (json_array_size(message) > RPC_BATCH_MAX) {
		snprintf(text, sizeof(text), "invalid request: a batch of more than %d",
			 RPC_BATCH_MAX);
		rpc_send_error(conn, RPC_INVALID_REQUEST, text);
	} else {
		begin_batch(conn, message);
	}
	json_decref(message);
}

void rpc_send_error(struct rpc_conn *conn, int code, const char *text)
{
	struct rpc_reply_slot slot = {.id = json_null()};

	if (slot_encode(&slot, "error", rpc_error_object(code, text, NULL)))
		rpc_conn_send(conn, slot.text, slot.len, NULL, 0, 0);
	else
		rpc_conn_kill(conn);
}

static char *encode_notification(const char *method, json_t *params, size_t *ret_len)
{
	json_t *message = json_pack("{s:s, s:s, s:o*}", "jsonrpc", "2.0", "method", method,
				    "params", params);
	char *text = message ? rpc_encode(message, ret_len) : NULL;

	json_decref(message);
	return text;
}

void rpc_notify(struct rpc_conn *conn, const char *method, json_t *params)
{
	size_t len;
	char *text;

	if (conn->n_lost > 0) { /* in their order: that something was lost comes first */
		json_decref(params);
		rpc_conn_lost(conn, method);
		return;
	}
	text = encode_notification(method, params, &len);
	if (!text || !rpc_conn_notify(conn, text, len))
		rpc_conn_lost(conn, method);
}

void rpc_send_lost(struct rpc_conn *conn)
{
	uint64_t n_lost = conn->n_lost;
	size_t len;
	char *text;

	text = encode_notification(
		conn->lost_method,
		json_pack("{s:s, s:I}", "type", "events_lost", "count", (json_int_t)n_lost), &len);
	conn->n_lost = 0;
	if (!text || !rpc_conn_notify(conn, text, len))
		conn->n_lost = n_lost; /* no memory: later */
}
