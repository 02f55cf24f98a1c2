// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the client makes of a message from the server.
 *
 * Happy path: an answer finds its call by the identifier, takes the descriptors that came with it,
 * and ends the call; a notification goes to its receiver. Answers may come in any order.
 *
 * Failure modes. An answer to a call that was given up is dropped with its descriptors. An error
 * without an identifier is the server's last word: the connection ends with it. Everything else
 * that isn't in order (identifiers that were never used, descriptors that are missing, a request)
 * is a broken server: -EPROTO.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libcore/util.h"
#include "rpc/client_internal.h"

static int protocol_error(struct rpc_client *client, const char *what)
{
	snprintf(client->why, sizeof(client->why), "broken answer: %s", what);
	return -EPROTO;
}

void rpc_call_end(struct rpc_client *client, struct rpc_call *call, struct rpc_response *response)
{
	call->cb(call->arg, response);
	free(call);
	for (unsigned i = 0; i < response->n_fds; i++) {
		if (response->fds[i] >= 0)
			close(response->fds[i]);
	}
}

static struct rpc_call *find_call(struct rpc_client *client, json_int_t id)
{
	struct rpc_call *call;

	TAILQ_FOREACH(call, &client->calls, link)
	{
		if (call->id == id)
			return call;
	}
	return NULL;
}

/* Move the descriptors that the answer says came with it. */
static int take_fds(struct rpc_client *client, const json_t *message, struct rpc_response *response)
{
	const json_t *fds = json_object_get(message, "fds");
	json_int_t n = json_integer_value(fds);

	if (fds && (!json_is_integer(fds) || n < 0 || n > RPC_FDS_MAX))
		return protocol_error(client, "fds isn't a number of descriptors");
	if ((unsigned)n > client->n_fds)
		return protocol_error(client, "fewer descriptors than it says");
	response->n_fds = (unsigned)n;
	memcpy(response->fds, client->fds, (size_t)n * sizeof(int));
	client->n_fds -= (unsigned)n;
	memmove(client->fds, client->fds + n, client->n_fds * sizeof(int));
	return 0;
}

static bool is_error_object(const json_t *error)
{
	return json_is_integer(json_object_get(error, "code")) &&
	       json_is_string(json_object_get(error, "message"));
}

/* An error that belongs to no call: nothing more comes after it. */
static int last_word(struct rpc_client *client, const json_t *error)
{
	snprintf(client->why, sizeof(client->why), "%s",
		 json_string_value(json_object_get(error, "message")));
	return rpc_error_to_errno(error);
}

static int deliver_answer(struct rpc_client *client, const json_t *message)
{
	struct rpc_response response = {.text = ""};
	const json_t *id = json_object_get(message, "id");
	struct rpc_call *call;
	int rc;

	response.result = json_object_get(message, "result");
	response.error = json_object_get(message, "error");
	if (!response.result == !response.error)
		return protocol_error(client, "neither or both of result and error");
	if (response.error && !is_error_object(response.error))
		return protocol_error(client, "an error without code and message");
	if (json_is_null(id) && response.error)
		return last_word(client, response.error);
	if (!json_is_integer(id) || json_integer_value(id) <= 0 ||
	    json_integer_value(id) >= client->next_id)
		return protocol_error(client, "an identifier that was never used");
	if (response.error) {
		response.err = rpc_error_to_errno(response.error);
		response.text = json_string_value(json_object_get(response.error, "message"));
	}
	rc = take_fds(client, message, &response);
	if (rc < 0)
		return rc;
	call = find_call(client, json_integer_value(id));
	if (!call) { /* given up */
		for (unsigned i = 0; i < response.n_fds; i++)
			close(response.fds[i]);
		return 0;
	}
	TAILQ_REMOVE(&client->calls, call, link);
	rpc_call_end(client, call, &response);
	return 0;
}

int rpc_client_deliver(struct rpc_client *client, const json_t *message)
{
	const json_t *method = json_object_get(message, "method");
	const char *version = json_string_value(json_object_get(message, "jsonrpc"));

	if (!json_is_object(message))
		return protocol_error(client, "not an object");
	if (!version || strcmp(version, "2.0") != 0)
		return protocol_error(client, "not JSON-RPC 2.0");
	if (!method)
		return deliver_answer(client, message);
	if (!json_is_string(method) || json_object_get(message, "id"))
		return protocol_error(client, "a request from the server");
	if (client->notification_cb)
		client->notification_cb(client->notification_arg, json_string_value(method),
					json_object_get(message, "params"));
	return 0;
}
