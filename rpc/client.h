/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client half of JSON-RPC on a Unix socket. Has no event loop: the caller watches the
 * descriptor, or uses the blocking call. Not thread-safe: one client, one thread.
 */
#ifndef NVMUX_RPC_CLIENT_H
#define NVMUX_RPC_CLIENT_H

#include "rpc/schema.h"

struct rpc_client;

struct rpc_response {
	int err;          /* 0; or a negative errno value when no answer came (-ECONNRESET, …) or
			   * when it was an error: that of error.data.errno, else one that
			   * fits code */
	json_t *result;   /* borrowed, NULL on error */
	json_t *error;    /* the error object, borrowed, or NULL */
	const char *text; /* error.message, or the reason why no answer came; "" on success */
	int fds[RPC_FDS_MAX]; /* set an entry to -1 to keep its descriptor; the rest is closed */
	unsigned n_fds;
};

/* Called exactly once per call; @response is valid during the call only. */
typedef void (*rpc_response_cb)(void *arg, struct rpc_response *response);
typedef void (*rpc_notification_cb)(void *arg, const char *method, const json_t *params);

/* Connect (a Unix socket connects at once or fails). -ENOENT or -ECONNREFUSED: no daemon there. */
int rpc_client_connect(const char *path, struct rpc_client **ret);
/* Ends calls under way with -ECANCELED. NULL is allowed. */
void rpc_client_destroy(struct rpc_client *client);

int rpc_client_fd(const struct rpc_client *client);
/* Whether it waits for the socket to become writable as well. */
bool rpc_client_wants_write(const struct rpc_client *client);
/* Read and write what is possible now, deliver answers. Never blocks. 0, or the error after which
 * the connection is dead: all calls under way have been ended with it. A callback may destroy the
 * client: -ECANCELED then. */
int rpc_client_process(struct rpc_client *client);
void rpc_client_on_notification(struct rpc_client *client, rpc_notification_cb cb, void *arg);

/* Send a call; @params is stolen (NULL: none). 0, or a negative errno value and no callback. */
int rpc_client_call_async(struct rpc_client *client, const char *method, json_t *params,
			  rpc_response_cb cb, void *arg);
/* A call that isn't answered; it goes out with the next one, or when the client is processed.
 * @params is stolen (NULL: none). 0, or a negative errno value. */
int rpc_client_notify(struct rpc_client *client, const char *method, json_t *params);

/*
 * Send a call and wait for it, at most @timeout_ms (-1: for ever). @ret_result: new reference.
 * @why: error text as of struct rpc_response. @ret_fds (RPC_FDS_MAX entries, may be NULL) gets the
 * descriptors, owned by the caller. Return 0 or the negative errno value; *ret_error (may be NULL)
 * is the error object, new reference, NULL when none came.
 */
int rpc_client_call(struct rpc_client *client, const char *method, json_t *params, int timeout_ms,
		    json_t **ret_result, json_t **ret_error, int *ret_fds, unsigned *ret_n_fds,
		    char *why, size_t why_size);

#endif
