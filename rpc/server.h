/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server half of JSON-RPC 2.0 on a Unix stream socket: one JSON value after another, with or
 * without newlines; batches; notifications. Runs in the thread of its event base.
 *
 * Rights: the server refuses a method whose right the connection lacks (rpc_server_opts.may), so
 * that no handler can forget it.
 */
#ifndef NVMUX_RPC_SERVER_H
#define NVMUX_RPC_SERVER_H

#include <sys/types.h>
#include <event2/event.h>
#include "rpc/schema.h"

struct rpc_server;
struct rpc_conn;

struct rpc_server_opts {
	struct event_base *base;
	const struct rpc_method *methods;
	const char *version;
	const char *path;  /* of the socket; taken over if nobody listens on it, else -EADDRINUSE */
	mode_t mode;       /* of the socket, in effect from its first moment */
	const char *group; /* owner group of the socket, or NULL */
	int listen_fd;     /* a listening socket made by somebody else (systemd), else -1 */
	/* One more gets an error and is closed. Users other than root and this process's own get at
	 * most half of it, so that they can't lock those out. */
	uint32_t max_clients;
	/* Bytes of replies queued for a connection that doesn't read, before it is closed. */
	uint64_t max_out;
	/* All with user: a connection came or went; whether it has a right. */
	void (*opened)(void *user, struct rpc_conn *conn);
	void (*closed)(void *user, struct rpc_conn *conn);
	bool (*may)(void *user, struct rpc_conn *conn, enum rpc_right right);
	void *user;
};

int rpc_server_create(const struct rpc_server_opts *opts, struct rpc_server **ret, char *why,
		      size_t why_size);
/* Stop accepting; connections go on. */
void rpc_server_stop(struct rpc_server *server);
/* Close everything; unlinks the socket if the server made it. Not from within a handler. */
void rpc_server_destroy(struct rpc_server *server);

/* Who is at the other end, as of connect (SO_PEERCRED). */
struct rpc_cred {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
const struct rpc_cred *rpc_conn_cred(const struct rpc_conn *conn);
void rpc_conn_set_user(struct rpc_conn *conn, void *user);
void *rpc_conn_user(const struct rpc_conn *conn);
void *rpc_server_user(const struct rpc_conn *conn);
/* Close after what is queued has been sent (or a moment later, if the client doesn't read it);
 * later replies are discarded. closed() follows, from the event loop. */
void rpc_conn_close(struct rpc_conn *conn);

/*
 * A request lives until one of the rpc_reply functions is called, at once or later; exactly one of
 * them, also after the connection has gone (it is discarded then) and for notifications (the
 * answer is discarded). rpc_request_conn() is NULL when the connection has gone.
 */
struct rpc_conn *rpc_request_conn(const struct rpc_request *req);
const char *rpc_request_method(const struct rpc_request *req);
/* Give it to its handler once more, which had answered nothing yet. Parameters and rights have been
 * checked; the connection may have gone since. */
void rpc_request_again(struct rpc_request *req);
/* @result is stolen. */
void rpc_reply(struct rpc_request *req, json_t *result);
/* The same with descriptors, which travel with the reply and are closed here afterwards. The
 * server adds "fds": n_fds to the reply object beside "result". */
void rpc_reply_fds(struct rpc_request *req, json_t *result, const int *fds, unsigned n_fds);
/* @data (stolen, may be NULL) becomes error.data. */
__attribute__((format(printf, 4, 5))) void rpc_reply_error(struct rpc_request *req, int code,
							   json_t *data, const char *fmt, ...);
/* RPC_ERRNO with data.errno = the name of @err (negative errno value). */
__attribute__((format(printf, 3, 4))) void rpc_reply_errno(struct rpc_request *req, int err,
							   const char *fmt, ...);

/*
 * A notification to one connection; @params is stolen, @method stays valid. When the client doesn't
 * read, notifications are dropped; when it reads again it gets one of the same method with params
 * {"type": "events_lost", "count": how many}.
 */
void rpc_notify(struct rpc_conn *conn, const char *method, json_t *params);

#endif
