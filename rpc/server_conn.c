// SPDX-License-Identifier: BSD-3-Clause
/*
 * One connection of the server: its bytes in both directions.
 *
 * Happy path: readable → read once → take complete values out and dispatch them → replies are
 * queued as chunks and written; what the socket doesn't take waits for it to become writable.
 *
 *	OPEN ── client half-closes ──▶ DRAINING ── all answered and sent ──▶ DEAD
 *	  └── rpc_conn_close(), broken JSON ──▶ CLOSING ── all sent, or linger ──▶ DEAD
 *
 * Failure modes. A client that asks faster than it is served, or doesn't read its answers, is no
 * longer read from (RPC_OUTSTANDING_MAX, RPC_CONN_OUT_HIGH); one that lets its queue grow beyond
 * max_out nevertheless is dropped. One that asks much has its turns (RPC_TURN_REQUESTS,
 * RPC_TURN_BYTES), a batch is interrupted too. Notifications are hints: more than RPC_NOTIFY_MAX
 *are dropped and counted, and the client is told when it has read the others. While it isn't read
 *from, no event tells of its death, so a tick looks. Descriptors that a client doesn't take stay in
 *flight and count against the daemon's own limits, so few are sent before the client has emptied
 *its socket. A connection is freed from the event loop only, never while a caller of the public
 *functions is on the stack.
 *
 * Descriptors of a client never get here: the socket refuses them (passrights.h), and on a kernel
 * that can't, read() has no control buffer and the kernel drops what came with the bytes.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/sockios.h>
#include "libcore/util.h"
#include "rpc/server_internal.h"

#define IOV_PER_SEND 16
#define TICK_MS      1000
#define FDS_TICK_MS  10
#define WHY_MAX      256

static size_t reply_bytes(const struct rpc_conn *conn)
{
	return conn->out_bytes - conn->notify_bytes;
}

/* Whether the next request may be served. */
static bool may_serve(const struct rpc_conn *conn)
{
	if (conn->state != RPC_CONN_OPEN)
		return false;
	return conn->batch ||
	       (conn->n_outstanding < RPC_OUTSTANDING_MAX && reply_bytes(conn) < RPC_CONN_OUT_HIGH);
}

/* Whether it is time to tell of lost notifications. */
static bool lost_due(const struct rpc_conn *conn)
{
	return conn->n_lost > 0 && conn->notify_bytes <= RPC_NOTIFY_MAX / 2 &&
	       conn->state < RPC_CONN_CLOSING;
}

static void set_event(struct event *ev, bool on)
{
	if (on && !event_pending(ev, EV_READ | EV_WRITE, NULL))
		event_add(ev, NULL);
	else if (!on)
		event_del(ev);
}

static void set_timer(struct event *ev, int ms)
{
	const struct timeval delay = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (!event_pending(ev, EV_TIMEOUT, NULL))
		event_add(ev, &delay);
}

/* After any change: what the connection waits for now. */
static void conn_update(struct rpc_conn *conn)
{
	bool empty = TAILQ_EMPTY(&conn->out);
	bool readable = may_serve(conn) && !conn->more_input && !conn->eof;
	bool writable = !empty && !conn->fds_wait;

	if (conn->state == RPC_CONN_DRAINING && empty && conn->n_outstanding == 0)
		conn->state = RPC_CONN_DEAD;
	if (conn->state == RPC_CONN_CLOSING && empty)
		conn->state = RPC_CONN_DEAD;
	if (conn->state == RPC_CONN_DEAD) {
		event_del(&conn->read_ev);
		event_del(&conn->write_ev);
		event_del(&conn->tick_ev);
		set_timer(&conn->later_ev, 0);
		return;
	}
	set_event(&conn->read_ev, readable);
	set_event(&conn->write_ev, writable);
	if ((conn->more_input && may_serve(conn)) || lost_due(conn))
		set_timer(&conn->later_ev, 0);
	if (conn->fds_wait)
		set_timer(&conn->tick_ev, FDS_TICK_MS);
	else if (!readable || conn->state == RPC_CONN_CLOSING)
		set_timer(&conn->tick_ev, TICK_MS);
	else
		event_del(&conn->tick_ev);
}

void rpc_conn_kill(struct rpc_conn *conn)
{
	conn->state = RPC_CONN_DEAD;
	if (!conn->dispatching)
		conn_update(conn);
}

/* ---- output ---- */

static void chunk_free(struct rpc_chunk *chunk)
{
	for (unsigned i = 0; i < chunk->n_fds; i++)
		close(chunk->fds[i]);
	free(chunk->data);
	free(chunk);
}

/* Whether @n more descriptors may be in flight to this client. */
static bool fds_allowed(struct rpc_conn *conn, unsigned n)
{
	int unread;

	if (conn->fds_sent + n <= RPC_CONN_FDS_MAX)
		return true;
	if (ioctl(conn->fd, SIOCOUTQ, &unread) < 0 || unread > 0)
		return false;
	conn->fds_sent = 0; /* it has read everything, descriptors included */
	return true;
}

/* Send the first chunk with its descriptors, and the chunks without any that follow it. */
static ssize_t send_chunks(struct rpc_conn *conn)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(RPC_FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec iov[IOV_PER_SEND];
	struct msghdr msg = {.msg_iov = iov};
	struct rpc_chunk *first = TAILQ_FIRST(&conn->out), *chunk = first;
	size_t size = first->n_fds * sizeof(int);

	do {
		iov[msg.msg_iovlen].iov_base = chunk->data + chunk->off;
		iov[msg.msg_iovlen++].iov_len = chunk->len - chunk->off;
		chunk = TAILQ_NEXT(chunk, link);
	} while (chunk && chunk->n_fds == 0 && msg.msg_iovlen < IOV_PER_SEND);
	if (size > 0) {
		struct cmsghdr *c = &control.align;

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(c), first->fds, size);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(size);
	}
	return sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* So many bytes are with the kernel; descriptors went with the first of them. */
static void chunks_sent(struct rpc_conn *conn, size_t n)
{
	struct rpc_chunk *chunk = TAILQ_FIRST(&conn->out);

	conn->out_bytes -= n;
	conn->fds_sent += chunk->n_fds;
	for (unsigned i = 0; i < chunk->n_fds; i++)
		close(chunk->fds[i]);
	chunk->n_fds = 0;
	while (n > 0) {
		size_t part = MIN(n, chunk->len - chunk->off);

		chunk->off += part;
		n -= part;
		if (chunk->notification)
			conn->notify_bytes -= part;
		if (chunk->off < chunk->len)
			return;
		conn->n_outstanding -= chunk->n_requests;
		TAILQ_REMOVE(&conn->out, chunk, link);
		chunk_free(chunk);
		chunk = TAILQ_FIRST(&conn->out);
	}
}

static void conn_flush(struct rpc_conn *conn)
{
	struct rpc_chunk *chunk;
	ssize_t n;

	conn->fds_wait = false;
	while (conn->state != RPC_CONN_DEAD && (chunk = TAILQ_FIRST(&conn->out))) {
		if (chunk->n_fds > 0 && !fds_allowed(conn, chunk->n_fds)) {
			conn->fds_wait = true;
			break;
		}
		n = send_chunks(conn);
		if (n >= 0) {
			chunks_sent(conn, (size_t)n);
		} else if (errno == ETOOMANYREFS) { /* in flight to other clients */
			conn->fds_wait = true;
			break;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			conn->state = RPC_CONN_DEAD;
		}
	}
	conn_update(conn);
}

void rpc_conn_send(struct rpc_conn *conn, char *data, size_t len, const int *fds, unsigned n_fds,
		   unsigned n_requests)
{
	struct rpc_chunk *chunk = calloc(1, sizeof(*chunk));

	if (!chunk || conn->state >= RPC_CONN_CLOSING) {
		for (unsigned i = 0; i < n_fds; i++)
			close(fds[i]);
		free(data);
		free(chunk);
		conn->n_outstanding -= n_requests;
		if (!chunk)
			rpc_conn_kill(conn);
		return;
	}
	NVMUX_ASSERT(n_fds <= RPC_FDS_MAX && len > 0);
	chunk->data = data;
	chunk->len = len;
	chunk->n_requests = n_requests;
	chunk->n_fds = n_fds;
	for (unsigned i = 0; i < n_fds; i++)
		chunk->fds[i] = fds[i];
	TAILQ_INSERT_TAIL(&conn->out, chunk, link);
	conn->out_bytes += len;
	if (reply_bytes(conn) > conn->server->opts.max_out)
		rpc_conn_kill(conn);
	else if (!conn->dispatching)
		conn_flush(conn);
}

bool rpc_conn_notify(struct rpc_conn *conn, char *data, size_t len)
{
	struct rpc_chunk *chunk;

	if (conn->state >= RPC_CONN_CLOSING) {
		free(data);
		return true;
	}
	chunk = conn->notify_bytes + len <= RPC_NOTIFY_MAX ? calloc(1, sizeof(*chunk)) : NULL;
	if (!chunk) {
		free(data);
		return false;
	}
	chunk->data = data;
	chunk->len = len;
	chunk->notification = true;
	TAILQ_INSERT_TAIL(&conn->out, chunk, link);
	conn->out_bytes += len;
	conn->notify_bytes += len;
	if (!conn->dispatching)
		conn_flush(conn);
	return true;
}

void rpc_conn_lost(struct rpc_conn *conn, const char *method)
{
	conn->n_lost++;
	conn->lost_method = method;
	if (!conn->dispatching)
		conn_update(conn);
}

void rpc_conn_settle(struct rpc_conn *conn, unsigned n_requests)
{
	conn->n_outstanding -= n_requests;
	if (!conn->dispatching)
		conn_update(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	conn_flush(arg);
}

/* ---- input ---- */

static void broken_input(struct rpc_conn *conn, const char *why)
{
	char text[WHY_MAX + 32];

	snprintf(text, sizeof(text), "not JSON: %s", why);
	rpc_send_error(conn, RPC_PARSE_ERROR, text);
	if (conn->state < RPC_CONN_CLOSING)
		conn->state = RPC_CONN_CLOSING;
}

/* A turn: serve what the input buffer holds, within the limits. */
static void take_values(struct rpc_conn *conn)
{
	char why[WHY_MAX];
	json_t *value;
	int rc = 1;

	conn->dispatching = true;
	conn->turn_bytes = 0;
	for (int i = 0; i < RPC_TURN_REQUESTS && conn->turn_bytes < RPC_TURN_BYTES && rc > 0 &&
			may_serve(conn);
	     i++) {
		if (conn->batch) {
			rpc_batch_next(conn);
			continue;
		}
		rc = rpc_inbuf_next(&conn->in, conn->eof, &value, why, sizeof(why));
		if (rc > 0)
			rpc_dispatch(conn, value);
		else if (rc == -ENOMEM)
			rpc_conn_kill(conn);
		else if (rc < 0)
			broken_input(conn, why);
	}
	conn->more_input = rc > 0;
	if (rc == 0 && conn->eof && conn->state == RPC_CONN_OPEN)
		conn->state = RPC_CONN_DRAINING;
	conn->dispatching = false;
	conn_flush(conn);
}

/* Both directions closed: nobody is there to read an answer. */
static bool peer_is_gone(const struct rpc_conn *conn)
{
	struct pollfd p = {.fd = conn->fd};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_conn *conn = arg;
	size_t size;
	char *data;
	ssize_t n;

	if (rpc_inbuf_room(&conn->in, &data, &size) < 0) {
		rpc_conn_kill(conn);
		return;
	}
	n = read((int)fd, data, size);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0 || (n == 0 && peer_is_gone(conn))) {
		rpc_conn_kill(conn);
		return;
	}
	rpc_inbuf_added(&conn->in, (size_t)n);
	conn->eof = n == 0;
	take_values(conn);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_conn *conn = arg;

	if (conn->state == RPC_CONN_DEAD) {
		rpc_conn_free(conn);
		return;
	}
	if (lost_due(conn))
		rpc_send_lost(conn);
	take_values(conn);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_conn *conn = arg;

	if (conn->state == RPC_CONN_CLOSING)
		conn->closing_ms += conn->fds_wait ? FDS_TICK_MS : TICK_MS;
	if (conn->closing_ms >= RPC_LINGER_MS || peer_is_gone(conn))
		rpc_conn_kill(conn);
	else
		conn_flush(conn);
}

/* ---- life ---- */

int rpc_conn_create(struct rpc_server *server, int fd, const struct rpc_cred *cred)
{
	struct event_base *base = server->opts.base;
	struct rpc_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return -ENOMEM;
	conn->server = server;
	conn->fd = fd;
	conn->cred = *cred;
	TAILQ_INIT(&conn->out);
	TAILQ_INIT(&conn->requests);
	event_assign(&conn->read_ev, base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	event_assign(&conn->write_ev, base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
	event_assign(&conn->later_ev, base, -1, 0, on_later, conn);
	event_assign(&conn->tick_ev, base, -1, 0, on_tick, conn);
	if (event_add(&conn->read_ev, NULL) < 0) {
		free(conn);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&server->conns, conn, link);
	server->n_conns++;
	server->n_strangers += rpc_is_stranger(cred->uid);
	if (server->opts.opened)
		server->opts.opened(server->opts.user, conn);
	return 0;
}

void rpc_conn_free(struct rpc_conn *conn)
{
	struct rpc_server *server = conn->server;
	struct rpc_chunk *chunk;

	NVMUX_ASSERT(!conn->dispatching);
	conn->state = RPC_CONN_DEAD;
	if (server->opts.closed)
		server->opts.closed(server->opts.user, conn);
	rpc_requests_orphan(conn);
	TAILQ_REMOVE(&server->conns, conn, link);
	server->n_conns--;
	server->n_strangers -= rpc_is_stranger(conn->cred.uid);
	event_del(&conn->read_ev);
	event_del(&conn->write_ev);
	event_del(&conn->later_ev);
	event_del(&conn->tick_ev);
	while ((chunk = TAILQ_FIRST(&conn->out))) {
		TAILQ_REMOVE(&conn->out, chunk, link);
		chunk_free(chunk);
	}
	rpc_inbuf_fini(&conn->in);
	close(conn->fd);
	free(conn);
}

const struct rpc_cred *rpc_conn_cred(const struct rpc_conn *conn)
{
	return &conn->cred;
}

void rpc_conn_set_user(struct rpc_conn *conn, void *user)
{
	conn->user = user;
}

void *rpc_conn_user(const struct rpc_conn *conn)
{
	return conn->user;
}

void *rpc_server_user(const struct rpc_conn *conn)
{
	return conn->server->opts.user;
}

void rpc_conn_close(struct rpc_conn *conn)
{
	if (conn->state >= RPC_CONN_CLOSING)
		return;
	conn->state = RPC_CONN_CLOSING;
	if (!conn->dispatching)
		conn_flush(conn);
}
