/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the client half: the connection (client.c) and what it makes of messages
 * (client_answer.c). */
#ifndef NVMUX_RPC_CLIENT_INTERNAL_H
#define NVMUX_RPC_CLIENT_INTERNAL_H

#include <sys/queue.h>
#include "rpc/client.h"
#include "rpc/codec.h"

#define RPC_CLIENT_OUT_MAX (4u << 20) /* bytes of calls that wait to be written */
#define RPC_CLIENT_WHY_MAX 256

/* A call under way. */
struct rpc_call {
	TAILQ_ENTRY(rpc_call) link;
	json_int_t id;
	rpc_response_cb cb;
	void *arg;
};
TAILQ_HEAD(rpc_call_list, rpc_call);

struct rpc_client {
	int fd;
	int err; /* the connection is dead since this happened */
	char why[RPC_CLIENT_WHY_MAX];
	struct rpc_inbuf in;
	char *out; /* bytes out_off … out_len wait to be written */
	size_t out_len;
	size_t out_off;
	struct rpc_call_list calls;
	json_int_t next_id;
	int fds[2 * RPC_FDS_MAX]; /* received and not yet claimed by an answer, in their order */
	unsigned n_fds;
	rpc_notification_cb notification_cb;
	void *notification_arg;
	unsigned depth; /* functions of this client on the stack */
	bool destroyed; /* free it when the last of them returns */
};

/* End one call, which is no longer in the list. */
void rpc_call_end(struct rpc_client *client, struct rpc_call *call, struct rpc_response *response);
/* Deliver one message: -EPROTO or -ENOMEM with a reason in client->why, or the error that the
 * server ended the connection with. */
int rpc_client_deliver(struct rpc_client *client, const json_t *message);

#endif
