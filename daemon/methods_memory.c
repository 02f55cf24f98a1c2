// SPDX-License-Identifier: BSD-3-Clause
/* RPC methods about a session's I/O memory and queue pairs. */
#include <errno.h>
#include <string.h>
#include "daemon/daemon.h"

#define DEFAULT_DEPTH 128
#define END_PARAMS    {NULL, 0, false, 0, 0, NULL}

static void alloc_memory(struct rpc_request *req, const json_t *params)
{
	struct session *s = session_of(req);

	if (s)
		session_alloc_memory(s, (uint64_t)rpc_get_integer(params, "size", 0),
				     rpc_get_boolean(params, "hugepages", false), req);
}

static void free_memory(struct rpc_request *req, const json_t *params)
{
	struct session *s = session_of(req);

	if (s)
		session_free_memory(s, (uint32_t)rpc_get_integer(params, "region", 0), req);
}

static void alloc_io_qpair(struct rpc_request *req, const json_t *params)
{
	struct session *s = session_of(req);
	struct hold *hold;

	if (!s)
		return;
	hold = session_hold_for_request(s, req, rpc_get_string(params, "controller", ""));
	if (!hold)
		return;
	if (nvmux_ctrlr_is_discovery(hold->controller->ctrlr)) {
		rpc_reply_errno(req, -EOPNOTSUPP,
				"controller '%s' is a discovery controller: it has no I/O queues",
				hold->controller->name);
		return;
	}
	session_alloc_qpair(s, hold,
			    (uint32_t)rpc_get_integer(
				    params, "depth", MIN(DEFAULT_DEPTH, s->limits.max_queue_depth)),
			    req);
}

static void free_io_qpair(struct rpc_request *req, const json_t *params)
{
	struct session *s = session_of(req);

	if (s)
		session_free_qpair(s, (uint32_t)rpc_get_integer(params, "qpair", 0), req);
}

/* ---- get_qpairs ---- */

static json_t *qpair_json(const struct client_qpair *q)
{
	struct channel_stats stats;

	channel_get_stats(q->channel, &stats);
	return json_pack("{s:i,s:i,s:s,s:i,s:b,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:b}",
			 "qpair", (int)q->id, "client", (int)q->hold->session->id,
			 "controller", q->hold->controller->name,
			 "core", q->queue->reactor->core, "shared", qpair_shared(q),
			 "depth", (int)q->depth, "in_flight", (json_int_t)stats.in_flight,
			 "commands", (json_int_t)stats.commands,
			 "completions", (json_int_t)stats.completions,
			 "refused", (json_int_t)stats.refused,
			 "read_bytes", (json_int_t)stats.read_bytes,
			 "write_bytes", (json_int_t)stats.write_bytes, "parked", stats.parked);
}

json_t *json_qpairs(const struct nvmuxd *d, const struct controller *only)
{
	json_t *list = json_array();
	const struct client_qpair *q;
	const struct session *s;

	TAILQ_FOREACH(s, &d->sessions, link) {
		TAILQ_FOREACH(q, &s->qpairs, link) {
			if (q->channel && (!only || q->hold->controller == only))
				json_array_append_new(list, qpair_json(q));
		}
	}
	return list;
}

static void get_qpairs(struct rpc_request *req, const json_t *params)
{
	struct nvmuxd *d = rpc_server_user(rpc_request_conn(req));
	const char *name = rpc_get_string(params, "controller", NULL);
	const struct controller *c = name ? controller_find(d, name) : NULL;

	if (name && !c)
		rpc_reply_errno(req, -ENODEV, "there is no controller '%s'", name);
	else
		rpc_reply(req, json_qpairs(d, c));
}

/* ---- the table ---- */

static const struct rpc_param alloc_memory_params[] = {
	{"size", RPC_INTEGER, true, 1, 1ll << 40, "bytes; rounded up to whole pages"},
	{"hugepages", RPC_BOOLEAN, false, 0, 0, "pages of 2 MiB; default false"},
	END_PARAMS,
};
static const struct rpc_param free_memory_params[] = {
	{"region", RPC_INTEGER, true, 0, 65535, "number of the region"},
	END_PARAMS,
};
static const struct rpc_param alloc_qpair_params[] = {
	{"controller", RPC_STRING, true, 1, CONF_NAME_MAX - 1, "an open controller"},
	{"depth", RPC_INTEGER, false, 1, NVMUX_RING_DEPTH_MAX, "commands in flight; default 128"},
	END_PARAMS,
};
static const struct rpc_param free_qpair_params[] = {
	{"qpair", RPC_INTEGER, true, 1, UINT32_MAX, "number of the queue pair"},
	END_PARAMS,
};
static const struct rpc_param get_qpairs_params[] = {
	{"controller", RPC_STRING, false, 1, CONF_NAME_MAX - 1, "only those of this controller"},
	END_PARAMS,
};

const struct rpc_method memory_methods[] = {
	{"alloc_memory", RPC_RIGHT_USER, alloc_memory_params,
	 "Make a region of zeroed I/O memory, mapped for every controller that the session has "
	 "open "
	 "or opens later.",
	 "{region, size} and one descriptor: a sealed memfd", alloc_memory},
	{"free_memory", RPC_RIGHT_USER, free_memory_params,
	 "Free a region; answers when no command in flight uses it any more.", "true", free_memory},
	{"alloc_io_qpair", RPC_RIGHT_USER, alloc_qpair_params,
	 "Make a queue pair on an open controller.",
	 "{qpair, depth, core, shared} and two descriptors: the ring and its wake-up socket",
	 alloc_io_qpair},
	{"free_io_qpair", RPC_RIGHT_USER, free_qpair_params,
	 "Free a queue pair, once its commands have ended; a controller that doesn't end them is "
	 "reset.",
	 "true", free_io_qpair},
	{"get_qpairs", RPC_RIGHT_USER, get_qpairs_params, "Show the clients' queue pairs.",
	 "an array of {qpair, client, controller, core, shared, depth, in_flight, commands, "
	 "completions, refused, read_bytes, write_bytes, parked}",
	 get_qpairs},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
