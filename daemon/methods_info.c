// SPDX-License-Identifier: BSD-3-Clause
/* RPC methods about the daemon itself, and its clients. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "daemon/daemon.h"


static struct nvmuxd *daemon_of(struct rpc_request *req)
{
	return rpc_server_user(rpc_request_conn(req));
}

static void get_version(struct rpc_request *req, const json_t *params)
{
	char ring[16];

	(void)params;
	snprintf(ring, sizeof(ring), "%d.%d", NVMUX_RING_VERSION_MAJOR, NVMUX_RING_VERSION_MINOR);
	rpc_reply(req, json_pack("{s:s,s:s,s:i}", "version", nvmux_version(), "ring_version", ring,
				 "pid", (int)getpid()));
}

static json_t *client_json(const struct session *s)
{
	const struct hold *hold;
	json_t *names = json_array();

	TAILQ_FOREACH(hold, &s->holds, link)
		json_array_append_new(names, json_string(hold->controller->name));
	return json_pack("{s:i,s:i,s:I,s:I,s:s,s:I,s:i,s:I,s:i,s:o}", "client", (int)s->id, "pid",
			 (int)s->cred.pid, "uid", (json_int_t)s->cred.uid, "gid",
			 (json_int_t)s->cred.gid, "command", s->command, "connected_sec",
			 (json_int_t)((nvmux_now_ms() - s->connected_ms) / 1000), "regions",
			 (int)s->n_regions, "bytes", (json_int_t)s->bytes, "qpairs",
			 (int)s->n_qpairs, "controllers", names);
}

static void get_clients(struct rpc_request *req, const json_t *params)
{
	const struct session *s;
	json_t *list = json_array();

	(void)params;
	TAILQ_FOREACH(s, &daemon_of(req)->sessions, link)
		json_array_append_new(list, client_json(s));
	rpc_reply(req, list);
}

static json_t *reactor_json(const struct daemon_reactor *r, uint32_t index)
{
	struct reactor_stats st;

	reactor_get_stats(r->reactor, &st);
	return json_pack("{s:i,s:i,s:i,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b}",
			 "reactor", (int)index, "core", r->core, "node", r->node, "mode",
			 r->busy ? "busy" : "adaptive", "loops", (json_int_t)st.loops,
			 "idle_loops", (json_int_t)st.idle_loops, "sleeps", (json_int_t)st.sleeps,
			 "commands", (json_int_t)st.commands,
			 "completions", (json_int_t)st.completions,
			 "channels", (json_int_t)st.channels, "parked", (json_int_t)st.parked,
			 "hwqs", (json_int_t)st.hwqs, "asleep", st.asleep);
}

static void get_reactors(struct rpc_request *req, const json_t *params)
{
	const struct nvmuxd *d = daemon_of(req);
	json_t *list = json_array();

	(void)params;
	for (uint32_t i = 0; i < d->n_reactors; i++)
		json_array_append_new(list, reactor_json(&d->reactors[i], i));
	rpc_reply(req, list);
}

/* Descriptors that this process has open; -1: unknown. */
static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = -1; /* the directory's own */

	if (!dir)
		return -1;
	for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static json_t *limits_json(const struct conf_limits *l)
{
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "max_clients",
			 (json_int_t)l->max_clients, "max_memory", (json_int_t)l->max_memory,
			 "max_regions", (json_int_t)l->max_regions, "max_qpairs",
			 (json_int_t)l->max_qpairs, "max_queue_depth",
			 (json_int_t)l->max_queue_depth, "admin_in_flight",
			 (json_int_t)l->admin_in_flight, "drain_timeout_ms",
			 (json_int_t)l->drain_timeout_ms, "change_timeout_ms",
			 (json_int_t)l->change_timeout_ms);
}

static void get_stats(struct rpc_request *req, const json_t *params)
{
	const struct nvmuxd *d = daemon_of(req);
	const struct controller *c;
	const struct session *s;
	json_int_t regions = 0, bytes = 0, qpairs = 0, hw_qpairs = 0;

	(void)params;
	TAILQ_FOREACH(s, &d->sessions, link) {
		regions += s->n_regions;
		bytes += (json_int_t)s->bytes;
		qpairs += s->n_qpairs;
	}
	TAILQ_FOREACH(c, &d->controllers, link)
		hw_qpairs += c->n_hw_queues;
	rpc_reply(req, json_pack("{s:i,s:i,s:I,s:I,s:I,s:I,s:i,s:I,s:o}",
				 "clients", (int)d->n_sessions, "controllers",
				 (int)d->n_controllers, "regions", regions, "bytes", bytes,
				 "qpairs", qpairs, "hw_qpairs", hw_qpairs,
				 "descriptors", count_descriptors(), "uptime_sec",
				 (json_int_t)((nvmux_now_ms() - d->started_ms) / 1000),
				 "limits", limits_json(&d->config.limits)));
}

static void subscribe_events(struct rpc_request *req, const json_t *params)
{
	struct session *s = session_of(req);

	(void)params;
	if (!s)
		return;
	s->subscribed = true;
	rpc_reply(req, json_true());
}

static void shut_down(struct rpc_request *req, const json_t *params)
{
	struct nvmuxd *d = daemon_of(req);
	char reason[64];

	(void)params;
	snprintf(reason, sizeof(reason), "process %d wants it",
		 rpc_conn_cred(rpc_request_conn(req))->pid);
	rpc_reply(req, json_true());
	daemon_stop(d, reason);
}

const struct rpc_method info_methods[] = {
	{"get_version", RPC_RIGHT_NONE, NULL, "Show the version of nvmuxd and of its ring layout.",
	 "{version, ring_version, pid}", get_version},
	{"get_clients", RPC_RIGHT_USER, NULL, "Show who is connected.",
	 "an array of {client, pid, uid, gid, command, connected_sec, regions, bytes, qpairs, "
	 "controllers: [name, …]}",
	 get_clients},
	{"get_reactors", RPC_RIGHT_USER, NULL, "Show the polling threads.",
	 "an array of {reactor, core (-1: not pinned), node (of the core, by NUMA; -1: unknown), "
	 "mode, loops, idle_loops, sleeps, commands, completions, channels, parked, hwqs, asleep}",
	 get_reactors},
	{"get_stats", RPC_RIGHT_USER, NULL,
	 "Show totals. All but uptime_sec return to what they were when clients have gone.",
	 "{clients, controllers, regions, bytes, qpairs, hw_qpairs, descriptors, uptime_sec, "
	 "limits: {…}}",
	 get_stats},
	{"subscribe_events", RPC_RIGHT_USER, NULL,
	 "Get notifications (method event, params with type): controller_attached, "
	 "controller_detached, controller_failed {name, state, removed}; controller_reset {name, "
	 "state, reason}, whoever has reset it; "
	 "controller_removing {name, state, removed, timeout_ms} of one whose device is wanted "
	 "back, "
	 "controller_closed, to who had it open, and controller_removed {name, state, removed}; "
	 "device_added {traddr, driver, name} and device_removed {traddr} of local devices; "
	 "controller_attach_failed {name, attempt, reason} of one that the configuration or a "
	 "discovery service names; "
	 "controller_connection_lost {name, reason}, controller_reconnect_failed {name, attempt, "
	 "reason}, controller_fast_io_fail {name}, controller_reconnected {name, attempts} and "
	 "controller_replayed {name} of a connection over fabrics; controller_namespaces_changed "
	 "and controller_ana_changed {name}; aer {name, event_type, information, log_page, "
	 "event_type_text, information_text, log_page_text}, whose log page the daemon has read; "
	 "controller_health {name, critical_warning, warnings, …} after one about health; "
	 "reservation_notification {name, nsid, count (a string of digits beyond 2^63 - "
	 "1), notification, notification_text, available} "
	 "after one about reservations, as its log page loses what is read; "
	 "namespace_added, namespace_removed, namespace_resized and namespace_formatted {name, "
	 "nsid, "
	 "blocks, block_size, metadata_size}; "
	 "discovery_changed {name, genctr}, discovery_connection_lost {name, reason} and "
	 "discovery_reconnected {name, attempts, reason} of a discovery service; client_connected, "
	 "client_disconnected of clients with "
	 "rights {client, pid, uid, command}. Who doesn't read them loses some, and is told how "
	 "many: events_lost {count}.",
	 "true", subscribe_events},
	{"shutdown", RPC_RIGHT_ADMIN, NULL,
	 "End nvmuxd in an orderly way: clients are disconnected, controllers shut down.", "true",
	 shut_down},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
