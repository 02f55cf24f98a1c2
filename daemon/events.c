// SPDX-License-Identifier: BSD-3-Clause
/*
 * Events for the clients that have subscribed: JSON-RPC notifications, method "event". For a client
 * that doesn't read them the RPC server drops them, and tells it later how many (events_lost).
 */
#include "daemon/daemon.h"
#include "decode/fields.h"

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

static json_t *controller_params(const struct controller *c)
{
	json_t *params = json_pack("{s:s,s:s}", "name", c->name, "state",
				   controller_state_name(c->state));

	if (params && controller_is_removed(c))
		json_object_set_new(params, "removed", json_true());
	return params;
}

void events_controller(struct controller *c, const char *type)
{
	events_emit(c->d, type, controller_params(c));
}

void events_removing(struct controller *c)
{
	json_t *params = controller_params(c);

	if (params)
		json_object_set_new(params, "timeout_ms",
				    json_integer(c->ctrlr->opts.removal_timeout_ms));
	events_emit(c->d, "controller_removing", params);
}

/* Texts of the library may quote what a target sent. */
static json_t *reason_json(const char *reason)
{
	return decode_text_json(reason, strlen(reason), false);
}

void events_reset(struct controller *c, const char *reason)
{
	json_t *params = controller_params(c);

	if (params)
		json_object_set_new(params, "reason", reason_json(reason));
	events_emit(c->d, "controller_reset", params);
}

void events_closed(const struct hold *hold)
{
	struct session *s = hold->session;
	json_t *params;

	if (!s->subscribed || !s->conn)
		return;
	params = controller_params(hold->controller);
	if (!params)
		return;
	json_object_set_new(params, "type", json_string("controller_closed"));
	rpc_notify(s->conn, "event", params);
}

void events_client(struct session *s, const char *type)
{
	if (!s->admin)
		return; /* anybody could make as many events as he likes */
	events_emit(s->d, type,
		    json_pack("{s:i,s:i,s:i,s:s}", "client", (int)s->id, "pid", (int)s->cred.pid,
			      "uid", (int)s->cred.uid, "command", s->command));
}

void events_attach_failed(struct controller *c)
{
	events_emit(c->d, "controller_attach_failed",
		    json_pack("{s:s,s:I,s:o}", "name", c->name, "attempt", (json_int_t)c->attempts,
			      "reason", reason_json(c->reason)));
}

void events_discovery(struct nvmuxd *d, const char *name, enum nvmux_ctrlr_event event,
		      const struct nvmux_connection_info *info)
{
	if (event == NVMUX_CTRLR_CONNECTION_LOST)
		events_emit(
			d, "discovery_connection_lost",
			json_pack("{s:s,s:o}", "name", name, "reason", reason_json(info->reason)));
	else if (event == NVMUX_CTRLR_RECONNECTED)
		events_emit(d, "discovery_reconnected",
			    json_pack("{s:s,s:I,s:o}", "name", name, "attempts",
				      (json_int_t)info->attempts, "reason",
				      reason_json(info->reason)));
}

/* ---- what libnvmux says of a controller ---- */

static const char *const ctrlr_event_types[] = {
	[NVMUX_CTRLR_CONNECTION_LOST] = "controller_connection_lost",
	[NVMUX_CTRLR_RECONNECT_FAILED] = "controller_reconnect_failed",
	[NVMUX_CTRLR_FAST_IO_FAIL] = "controller_fast_io_fail",
	[NVMUX_CTRLR_RECONNECTED] = "controller_reconnected",
	[NVMUX_CTRLR_REPLAYED] = "controller_replayed",
	[NVMUX_CTRLR_NS_CHANGED] = "controller_namespaces_changed",
	[NVMUX_CTRLR_ANA_CHANGED] = "controller_ana_changed",
	[NVMUX_CTRLR_REMOVING] = "controller_removing",
};

/* A line for each change of state; attempts are no change. */
static void log_ctrlr_event(struct controller *c, enum nvmux_ctrlr_event event,
			    const struct nvmux_connection_info *info)
{
	struct log *log = &c->d->log;

	switch (event) {
	case NVMUX_CTRLR_CONNECTION_LOST:
		log_warning(log, "ctrlr", "%s: the connection is lost: %s", c->name, info->reason);
		break;
	case NVMUX_CTRLR_RECONNECT_FAILED:
		log_info(log, "ctrlr", "%s: attempt %u to connect again failed: %s", c->name,
			 info->attempts, info->reason);
		break;
	case NVMUX_CTRLR_FAST_IO_FAIL:
		log_warning(log, "ctrlr",
			    "%s: commands end with a path error from now on: no connection for "
			    "%llu ms",
			    c->name, (unsigned long long)info->lost_for_ms);
		break;
	case NVMUX_CTRLR_RECONNECTED:
		log_warning(log, "ctrlr", "%s: connected again, attempt %u", c->name,
			    info->attempts);
		break;
	case NVMUX_CTRLR_REPLAYED:
		log_info(log, "ctrlr", "%s: all commands of the lost connection are dealt with",
			 c->name);
		break;
	case NVMUX_CTRLR_NS_CHANGED:
		log_info(log, "ctrlr", "%s: namespaces were looked at anew", c->name);
		break;
	case NVMUX_CTRLR_ANA_CHANGED:
		log_info(log, "ctrlr", "%s: namespace access states have changed", c->name);
		break;
	case NVMUX_CTRLR_REMOVING: break; /* removal.c */
	case NVMUX_CTRLR_RESET:
		log_warning(log, "ctrlr", "%s: libnvmux has reset it: %s", c->name, info->reason);
		break;
	}
}

void events_ctrlr(struct controller *c, enum nvmux_ctrlr_event event)
{
	struct nvmux_connection_info info;
	json_t *params = json_pack("{s:s}", "name", c->name);

	nvmux_ctrlr_get_connection(c->ctrlr, &info);
	log_ctrlr_event(c, event, &info);
	if (event == NVMUX_CTRLR_RESET) {
		json_decref(params);
		c->resets++;
		events_reset(c, info.reason);
		return;
	}
	if (!params)
		return;
	if (event == NVMUX_CTRLR_RECONNECT_FAILED)
		json_object_set_new(params, "attempt", json_integer(info.attempts));
	if (event == NVMUX_CTRLR_RECONNECTED)
		json_object_set_new(params, "attempts", json_integer(info.attempts));
	if (event == NVMUX_CTRLR_CONNECTION_LOST || event == NVMUX_CTRLR_RECONNECT_FAILED)
		json_object_set_new(params, "reason", reason_json(info.reason));
	events_emit(c->d, ctrlr_event_types[event], params);
}
