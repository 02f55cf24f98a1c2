// SPDX-License-Identifier: BSD-3-Clause
/*
 * The server half of JSON-RPC: accepting connections.
 *
 * Happy path: a client connects, its credentials are noted, it becomes a struct rpc_conn.
 *
 * Failure modes. One connection too many is told so and closed; so that strangers can't lock those
 * out who have rights, they get only half of the connections. When descriptors or memory run out,
 * accepting pauses for a moment: the listening socket stays readable, and trying again at once
 * would spin. The client waits in the backlog meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "libcore/util.h"
#include "rpc/passrights.h"
#include "rpc/server_internal.h"

#define ACCEPTS_PER_TURN 16
#define ACCEPT_PAUSE_MS  100

/* Tell it the reason as far as the fresh socket takes it: a few hundred bytes always fit. */
static void refuse(int fd, uint32_t max_clients, bool stranger)
{
	char text[128];
	json_t *error, *message;
	size_t len;
	char *out;

	snprintf(text, sizeof(text),
		 "too many clients: the limit %sis %u (%smax_clients in the configuration)",
		 stranger ? "for users without rights " : "",
		 stranger ? max_clients / 2 : max_clients, stranger ? "half of " : "");
	error = rpc_error_object(
		RPC_LIMIT, text,
		json_pack("{s:s, s:s}", "limit", "max_clients", "errno", "EDQUOT"));
	message = json_pack("{s:s, s:n, s:o}", "jsonrpc", "2.0", "id", "error", error);
	out = message ? rpc_encode(message, &len) : NULL;
	if (out)
		send(fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	free(out);
	json_decref(message);
	close(fd);
}

static bool is_shortage(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

static void pause_accepting(struct rpc_server *server)
{
	const struct timeval pause = {.tv_usec = ACCEPT_PAUSE_MS * 1000};

	event_del(&server->accept_ev);
	event_add(&server->retry_ev, &pause);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct rpc_server *server = arg;

	event_add(&server->accept_ev, NULL);
}

/* Make it a connection, or refuse it. */
static int accepted(struct rpc_server *server, int fd)
{
	uint32_t max = server->opts.max_clients;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	bool stranger;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	stranger = rpc_is_stranger(cred.uid);
	if (server->n_conns >= max) {
		refuse(fd, max, false);
		return 0;
	}
	if (stranger && server->n_strangers >= max / 2) {
		refuse(fd, max, true);
		return 0;
	}
	/* a listening socket made by somebody else may not have had the option from the start */
	socket_refuse_descriptors(fd);
	return rpc_conn_create(server, fd, &(struct rpc_cred){cred.pid, cred.uid, cred.gid});
}

static void on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
	struct rpc_server *server = arg;

	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4((int)listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (is_shortage(errno))
				pause_accepting(server);
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			return;
		}
		if (accepted(server, fd) < 0) {
			close(fd);
			pause_accepting(server);
			return;
		}
	}
}

/* The document is the same for everybody: encoded once. */
static int encode_openrpc(struct rpc_server *server)
{
	const char *version = server->opts.version ? server->opts.version : "";
	json_t *document = rpc_openrpc(server->opts.methods, version);

	if (document)
		server->openrpc = rpc_encode(document, &server->openrpc_len);
	json_decref(document);
	if (!server->openrpc)
		return -ENOMEM;
	server->openrpc_len--; /* the newline */
	return 0;
}

int rpc_server_create(const struct rpc_server_opts *opts, struct rpc_server **ret, char *why,
		      size_t why_size)
{
	struct rpc_server *server = calloc(1, sizeof(*server));
	int rc;

	if (!server) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	server->opts = *opts;
	TAILQ_INIT(&server->conns);
	rc = rpc_listener_open(opts, &server->listener, why, why_size);
	if (rc < 0)
		goto free_server;
	event_assign(&server->accept_ev, opts->base, server->listener.fd, EV_READ | EV_PERSIST,
		     on_accept, server);
	event_assign(&server->retry_ev, opts->base, -1, 0, on_retry, server);
	if (encode_openrpc(server) < 0 || event_add(&server->accept_ev, NULL) < 0) {
		snprintf(why, why_size, "out of memory");
		rc = -ENOMEM;
		goto close_listener;
	}
	server->opts.version = server->opts.path = server->opts.group = NULL;
	*ret = server;
	return 0;

close_listener:
	free(server->openrpc);
	rpc_listener_close(&server->listener);
free_server:
	free(server);
	return rc;
}

void rpc_server_stop(struct rpc_server *server)
{
	if (server->listener.fd < 0)
		return;
	event_del(&server->accept_ev);
	event_del(&server->retry_ev);
	rpc_listener_close(&server->listener);
}

void rpc_server_destroy(struct rpc_server *server)
{
	struct rpc_conn *conn;

	if (!server)
		return;
	rpc_server_stop(server);
	while ((conn = TAILQ_FIRST(&server->conns)))
		rpc_conn_free(conn);
	free(server->openrpc);
	free(server);
}
