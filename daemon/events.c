// SPDX-License-Identifier: BSD-3-Clause
/*
 * Events for the clients that have subscribed: JSON-RPC notifications, method "event". For a client
 * that doesn't read them the RPC server drops them, and tells it later how many (events_lost).
 */
#include "daemon/daemon.h"

void events_emit(struct nvmuxd *d, const char *type, json_t *params)
{
	struct session *s;

	if (!params)
		return; /* no memory; events are hints */
	json_object_set_new(params, "type", json_string(type));
	TAILQ_FOREACH (s, &d->sessions, link) {
		if (s->subscribed && s->conn)
			rpc_notify(s->conn, "event", json_deep_copy(params));
	}
	json_decref(params);
}

void events_controller(struct controller *c, const char *type)
{
	events_emit(
		c->d, type,
		json_pack("{s:s,s:s}", "name", c->name, "state", controller_state_name(c->state)));
}

void events_client(struct session *s, const char *type)
{
	if (!s->admin)
		return; /* anybody could make as many events as he likes */
	events_emit(s->d, type,
		    json_pack("{s:i,s:i,s:i,s:s}", "client", (int)s->id, "pid", (int)s->cred.pid,
			      "uid", (int)s->cred.uid, "command", s->command));
}
