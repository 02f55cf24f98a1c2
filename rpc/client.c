// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client half of JSON-RPC: one connection, its calls and its bytes.
 *
 * Happy path: a call is encoded, written as far as the socket takes it, and remembered; when the
 * descriptor becomes readable, rpc_client_process() reads, takes complete values out of the input
 * buffer, and delivers them one by one. Descriptors come with the first byte of their answer, so
 * they are there when the answer is complete.
 *
 * Failure modes. The server closes or breaks the protocol: the connection is dead from then on,
 * every call under way ends with the error, later ones are refused with it. A server that floods us
 * costs a bounded amount of work per call of rpc_client_process(). A callback may destroy the
 * client: it is freed when the last of its functions has left the stack.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "libcore/util.h"
#include "rpc/client_internal.h"

#define READS_PER_PROCESS   16
#define CONNECT_TIMEOUT_SEC 2 /* only a daemon whose backlog is full makes us wait at all */

static int open_socket(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT_SEC};
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		err = errno == EAGAIN ? -ETIMEDOUT : -errno;
		close(fd);
		return err;
	}
	return fd;
}

int rpc_client_connect(const char *path, struct rpc_client **ret)
{
	struct rpc_client *client;
	int fd;

	fd = open_socket(path);
	if (fd < 0)
		return fd;
	client = calloc(1, sizeof(*client));
	if (!client) {
		close(fd);
		return -ENOMEM;
	}
	client->fd = fd;
	client->next_id = 1;
	TAILQ_INIT(&client->calls);
	*ret = client;
	return 0;
}

static void close_fds(struct rpc_client *client)
{
	for (unsigned i = 0; i < client->n_fds; i++)
		close(client->fds[i]);
	client->n_fds = 0;
}

/* End what is under way; a call that a callback adds meanwhile is refused, as err is set. */
static void end_calls(struct rpc_client *client, int err, const char *why)
{
	struct rpc_response response = {.err = err, .text = why};
	struct rpc_call *call;

	while ((call = TAILQ_FIRST(&client->calls))) {
		TAILQ_REMOVE(&client->calls, call, link);
		rpc_call_end(client, call, &response);
	}
}

static void enter(struct rpc_client *client)
{
	client->depth++;
}

/* Whether the client still exists. */
static bool leave(struct rpc_client *client)
{
	if (--client->depth > 0 || !client->destroyed)
		return !client->destroyed;
	close_fds(client);
	close(client->fd);
	rpc_inbuf_fini(&client->in);
	free(client->out);
	free(client);
	return false;
}

void rpc_client_destroy(struct rpc_client *client)
{
	if (!client || client->destroyed)
		return;
	enter(client);
	client->destroyed = true;
	if (!client->err)
		client->err = -ECANCELED;
	end_calls(client, -ECANCELED, "given up");
	leave(client);
}

int rpc_client_fd(const struct rpc_client *client)
{
	return client->fd;
}

bool rpc_client_wants_write(const struct rpc_client *client)
{
	return !client->err && client->out_off < client->out_len;
}

void rpc_client_on_notification(struct rpc_client *client, rpc_notification_cb cb, void *arg)
{
	client->notification_cb = cb;
	client->notification_arg = arg;
}

/* What @err, which the socket reported, means for the caller. */
static int conn_error(struct rpc_client *client, int err)
{
	snprintf(client->why, sizeof(client->why), "the connection was lost: %s", strerror(-err));
	return err == -EPIPE ? -ECONNRESET : err;
}

static int write_out(struct rpc_client *client)
{
	ssize_t n;

	while (client->out_off < client->out_len) {
		n = send(client->fd, client->out + client->out_off,
			 client->out_len - client->out_off, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return conn_error(client, -errno);
		client->out_off += (size_t)n;
	}
	free(client->out);
	client->out = NULL;
	client->out_len = client->out_off = 0;
	return 0;
}

/* Keep what came with @msg. A hostile server may send more than fits: the kernel drops the rest. */
static int keep_fds(struct rpc_client *client, struct msghdr *msg)
{
	bool ok = !(msg->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		const unsigned char *data = CMSG_DATA(c);
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, data + i * sizeof(int), sizeof(int));
			if (client->n_fds < ARRAY_SIZE(client->fds)) {
				client->fds[client->n_fds++] = fd;
			} else {
				close(fd);
				ok = false;
			}
		}
	}
	if (ok)
		return 0;
	snprintf(client->why, sizeof(client->why), "broken answer: too many descriptors");
	return -EPROTO;
}

/* Read once. 1: something came; 0: nothing now; -ECONNRESET at the end. */
static int read_in(struct rpc_client *client)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(RPC_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	char *data;
	ssize_t n;
	int rc;

	rc = rpc_inbuf_room(&client->in, &data, &iov.iov_len);
	if (rc < 0) {
		snprintf(client->why, sizeof(client->why), "%s", strerror(-rc));
		return rc;
	}
	iov.iov_base = data;
	do {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		n = recvmsg(client->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : conn_error(client, -errno);
	rc = keep_fds(client, &msg);
	if (rc < 0)
		return rc;
	if (n == 0) {
		snprintf(client->why, sizeof(client->why), "the daemon closed the connection");
		return -ECONNRESET;
	}
	rpc_inbuf_added(&client->in, (size_t)n);
	return 1;
}

/* Deliver every complete value in the buffer. */
static int take_messages(struct rpc_client *client)
{
	char why[RPC_CLIENT_WHY_MAX - 32];
	json_t *message;
	int rc;

	while (!client->err) { /* a callback may end the client */
		rc = rpc_inbuf_next(&client->in, false, &message, why, sizeof(why));
		if (rc < 0) {
			snprintf(client->why, sizeof(client->why), "broken answer: %s", why);
			return rc == -ENOMEM ? rc : -EPROTO;
		}
		if (rc == 0)
			break;
		rc = rpc_client_deliver(client, message);
		json_decref(message);
		if (rc < 0)
			return rc;
	}
	if (!client->err && client->n_fds > 0 && !rpc_inbuf_partial(&client->in)) {
		snprintf(client->why, sizeof(client->why),
			 "broken answer: descriptors that belong to no answer");
		return -EPROTO;
	}
	return 0;
}

static int read_and_deliver(struct rpc_client *client)
{
	int rc;

	for (int i = 0; i < READS_PER_PROCESS; i++) {
		rc = read_in(client);
		if (rc <= 0)
			return rc;
		rc = take_messages(client);
		if (rc < 0 || client->err)
			return rc;
	}
	return 0;
}

/* The connection is of no use any more. */
static void die(struct rpc_client *client, int err)
{
	if (client->err)
		return;
	client->err = err;
	close_fds(client);
	end_calls(client, err, client->why);
}

int rpc_client_process(struct rpc_client *client)
{
	int write_rc, rc;

	if (client->err)
		return client->err;
	enter(client);
	write_rc = write_out(client);
	/* also after a failed write: the server's last word may wait to be read */
	rc = read_and_deliver(client);
	if (rc == 0)
		rc = write_rc;
	if (rc < 0)
		die(client, rc);
	rc = client->err;
	return leave(client) ? rc : -ECANCELED;
}

/* Queue @len bytes, @text is stolen. */
static int append_out(struct rpc_client *client, char *text, size_t len)
{
	size_t waiting = client->out_len - client->out_off;
	char *out;

	if (waiting == 0) {
		free(client->out);
		client->out = text;
		client->out_off = 0;
		client->out_len = len;
		return 0;
	}
	out = waiting + len > RPC_CLIENT_OUT_MAX ? NULL
						 : realloc(client->out, client->out_len + len);
	if (!out) {
		free(text);
		return waiting + len > RPC_CLIENT_OUT_MAX ? -ENOBUFS : -ENOMEM;
	}
	memcpy(out + client->out_len, text, len);
	client->out = out;
	client->out_len += len;
	free(text);
	return 0;
}

/* @params is stolen. @id 0: a notification. */
static int queue_call(struct rpc_client *client, const char *method, json_t *params, json_int_t id)
{
	json_t *message = json_pack("{s:s, s:o*, s:s, s:o*}", "jsonrpc", "2.0", "id",
				    id ? json_integer(id) : NULL, "method", method, "params",
				    params);
	size_t len;
	char *text;

	if (!message)
		return -ENOMEM;
	text = rpc_encode(message, &len);
	json_decref(message);
	if (!text)
		return -ENOMEM;
	if (len > RPC_MESSAGE_MAX) {
		free(text);
		return -EMSGSIZE;
	}
	return append_out(client, text, len);
}

int rpc_client_notify(struct rpc_client *client, const char *method, json_t *params)
{
	if (!client->err)
		return queue_call(client, method, params, 0);
	json_decref(params);
	return client->err;
}

int rpc_client_call_async(struct rpc_client *client, const char *method, json_t *params,
			  rpc_response_cb cb, void *arg)
{
	struct rpc_call *call;
	int rc;

	if (client->err) {
		json_decref(params);
		return client->err;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		json_decref(params);
		return -ENOMEM;
	}
	rc = queue_call(client, method, params, client->next_id);
	if (rc < 0) {
		free(call);
		return rc;
	}
	call->id = client->next_id++;
	call->cb = cb;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&client->calls, call, link);
	/* If the connection has gone, rpc_client_process() finds out and ends the call. */
	write_out(client);
	return 0;
}

/* ---- the blocking call ---- */

struct waiter {
	bool done;
	int err;
	json_t *result;
	json_t *error;
	int *fds;
	unsigned n_fds;
	char *why;
	size_t why_size;
};

static void waiter_done(void *arg, struct rpc_response *response)
{
	struct waiter *waiter = arg;

	waiter->done = true;
	waiter->err = response->err;
	waiter->result = json_incref(response->result);
	waiter->error = json_incref(response->error);
	if (waiter->why)
		snprintf(waiter->why, waiter->why_size, "%s", response->text);
	for (unsigned i = 0; waiter->fds && i < response->n_fds; i++) {
		waiter->fds[waiter->n_fds++] = response->fds[i];
		response->fds[i] = -1;
	}
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Nobody waits for it any more; its answer is dropped when it comes. */
static void give_up(struct rpc_client *client, const struct waiter *waiter)
{
	struct rpc_call *call;

	TAILQ_FOREACH(call, &client->calls, link)
	{
		if (call->arg == waiter) {
			TAILQ_REMOVE(&client->calls, call, link);
			free(call);
			return;
		}
	}
}

static int wait_done(struct rpc_client *client, struct waiter *waiter, int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
	struct pollfd p = {.fd = client->fd};
	int64_t left;

	for (;;) {
		rpc_client_process(client);
		if (waiter->done)
			return waiter->err;
		left = deadline == INT64_MAX ? -1 : MAX(deadline - now_ms(), 0);
		if (left == 0)
			break;
		p.events = POLLIN | (rpc_client_wants_write(client) ? POLLOUT : 0);
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			break;
	}
	give_up(client, waiter);
	if (waiter->why)
		snprintf(waiter->why, waiter->why_size, "no answer within %d ms", timeout_ms);
	return -ETIMEDOUT;
}

int rpc_client_call(struct rpc_client *client, const char *method, json_t *params, int timeout_ms,
		    json_t **ret_result, json_t **ret_error, int *ret_fds, unsigned *ret_n_fds,
		    char *why, size_t why_size)
{
	struct waiter waiter = {.fds = ret_fds, .why = why_size ? why : NULL, .why_size = why_size};
	int rc;

	if (ret_error)
		*ret_error = NULL;
	rc = rpc_client_call_async(client, method, params, waiter_done, &waiter);
	if (rc < 0) {
		if (waiter.why)
			snprintf(why, why_size, "%s", client->why[0] ? client->why : strerror(-rc));
		return rc;
	}
	enter(client);
	rc = wait_done(client, &waiter, timeout_ms);
	leave(client);
	if (rc == 0 && ret_result)
		*ret_result = json_incref(waiter.result);
	if (rc == 0 && ret_n_fds)
		*ret_n_fds = waiter.n_fds;
	if (ret_error)
		*ret_error = json_incref(waiter.error);
	json_decref(waiter.result);
	json_decref(waiter.error);
	return rc;
}
