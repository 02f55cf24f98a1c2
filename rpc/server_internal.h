/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the server half: listening (server.c, server_socket.c), connections (server_conn.c),
 * requests and their replies (server_request.c). */
#ifndef NVMUX_RPC_SERVER_INTERNAL_H
#define NVMUX_RPC_SERVER_INTERNAL_H

#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>
#include <event2/event_struct.h>
#include "rpc/codec.h"
#include "rpc/server.h"

#define RPC_OUTSTANDING_MAX 64          /* requests of a connection; then nothing more is read */
#define RPC_CONN_OUT_HIGH   (64u << 10) /* bytes queued; then nothing more is read */
#define RPC_CONN_FDS_MAX    16          /* descriptors sent and not yet taken by the client */
#define RPC_NOTIFY_MAX      (64u << 10) /* bytes of notifications queued; more are dropped */
#define RPC_TURN_REQUESTS   16          /* of one connection, before the others get their turn */
#define RPC_TURN_BYTES      (64u << 10) /* of replies: the same */
#define RPC_LINGER_MS       2000        /* for a client to read the end before it is closed */

/* ---- the socket (server_socket.c) ---- */

struct rpc_listener {
	int fd;
	int lock_fd; /* of PATH.lock; -1: the socket was made by somebody else */
	char *path;
	dev_t dev; /* of the socket, so that only our own is unlinked */
	ino_t ino;
};

int rpc_listener_open(const struct rpc_server_opts *opts, struct rpc_listener *ret, char *why,
		      size_t why_size);
/* Nobody can connect any more; NULL-safe members, may be called twice. */
void rpc_listener_close(struct rpc_listener *listener);

/* ---- connections (server_conn.c) ---- */

/* Bytes to be sent, and descriptors that go with the first of them. */
struct rpc_chunk {
	TAILQ_ENTRY(rpc_chunk) link;
	char *data;
	size_t len;
	size_t off;
	bool notification;
	unsigned n_requests; /* that are answered when it has been sent */
	unsigned n_fds;
	int fds[RPC_FDS_MAX]; /* owned */
};
TAILQ_HEAD(rpc_chunk_list, rpc_chunk);
TAILQ_HEAD(rpc_request_list, rpc_request);
TAILQ_HEAD(rpc_conn_list, rpc_conn);

enum rpc_conn_state {
	RPC_CONN_OPEN,
	RPC_CONN_DRAINING, /* the client sends no more: finish what it asked for */
	RPC_CONN_CLOSING,  /* send what is queued, then close; later replies are discarded */
	RPC_CONN_DEAD,     /* close from the event loop */
};

struct rpc_conn {
	TAILQ_ENTRY(rpc_conn) link;
	struct rpc_server *server;
	int fd;
	enum rpc_conn_state state;
	struct rpc_cred cred;
	void *user;
	struct event read_ev;
	struct event write_ev;
	struct event later_ev; /* with the next turn of the loop: go on with input, or be freed */
	struct event tick_ev;  /* looks at what no event tells */
	struct rpc_inbuf in;
	bool eof;
	bool more_input;  /* the input buffer may hold a complete value, or a batch isn't done */
	bool dispatching; /* values are being taken out: output waits until the end */
	struct rpc_batch *batch; /* being dispatched, over several turns if need be; or NULL */
	size_t turn_bytes;       /* of replies in this turn */
	struct rpc_chunk_list out;
	size_t out_bytes;
	size_t notify_bytes;     /* of these, notifications */
	uint64_t n_lost;         /* notifications that were dropped and not yet told of */
	const char *lost_method; /* their method */
	bool fds_wait;           /* output waits until the client has taken descriptors */
	unsigned fds_sent;
	unsigned closing_ms;    /* in the state CLOSING */
	unsigned n_outstanding; /* requests whose answer hasn't been handed to the kernel */
	struct rpc_request_list requests; /* those that a handler still has */
};

int rpc_conn_create(struct rpc_server *server, int fd, const struct rpc_cred *cred);
/* At once; closed() is called, requests under way lose their connection. */
void rpc_conn_free(struct rpc_conn *conn);
/* Queue a chunk; @data (malloc) and @fds are taken over. */
void rpc_conn_send(struct rpc_conn *conn, char *data, size_t len, const int *fds, unsigned n_fds,
		   unsigned n_requests);
/* Queue a notification; @data (malloc) is taken over. False: no room, or no memory. */
bool rpc_conn_notify(struct rpc_conn *conn, char *data, size_t len);
/* A notification was dropped: tell when there is room again. @method stays valid. */
void rpc_conn_lost(struct rpc_conn *conn, const char *method);
/* Requests that will get no answer have ended. */
void rpc_conn_settle(struct rpc_conn *conn, unsigned n_requests);
/* The connection can't go on: no memory for an answer. */
void rpc_conn_kill(struct rpc_conn *conn);

/* ---- requests (server_request.c) ---- */

/* Serve a value that came in; @message is stolen. */
void rpc_dispatch(struct rpc_conn *conn, json_t *message);
/* Serve the next request of conn->batch. */
void rpc_batch_next(struct rpc_conn *conn);
/* Tell the client how many notifications were dropped. */
void rpc_send_lost(struct rpc_conn *conn);
/* An error that belongs to no request (id null). */
void rpc_send_error(struct rpc_conn *conn, int code, const char *text);
/* The connection goes: @conn->requests must forget it. */
void rpc_requests_orphan(struct rpc_conn *conn);

/* ---- the server (server.c) ---- */

/* Neither root nor this process's own user. */
static inline bool rpc_is_stranger(uid_t uid)
{
	return uid != 0 && uid != geteuid();
}

struct rpc_server {
	struct rpc_server_opts opts; /* strings: none */
	char *openrpc;               /* the document, encoded */
	size_t openrpc_len;
	struct rpc_listener listener;
	struct event accept_ev;
	struct event retry_ev; /* accepts again after the descriptors ran out */
	struct rpc_conn_list conns;
	uint32_t n_conns;
	uint32_t n_strangers; /* of these: neither root nor this process's user */
};

#endif
