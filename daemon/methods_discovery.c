// SPDX-License-Identifier: BSD-3-Clause
/*
 * RPC methods that look for controllers: probe, and discovery services.
 *
 * A look at a discovery service is a job that libnvmux runs; it ends with a callback, also when the
 * client has gone, or the daemon ends: then whatever it is connected to, or connects to, is closed
 * until nothing is left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/daemon.h"
#include "daemon/discovery_json.h"
#include "daemon/params.h"

#define PROBE_MAX        256 /* controllers in one answer */
#define PROBE_POLL_MS    5
#define RECORDS_MAX      512 /* in one answer: it fits into one message */
#define LOOKUPS_MAX      16
#define CANCEL_PERIOD_MS 50

static struct nvmuxd *daemon_of(struct rpc_request *req)
{
	return rpc_server_user(rpc_request_conn(req));
}

/* ---- looks that are under way ---- */

struct lookup {
	struct nvmuxd *d;
	struct rpc_request *req;
	struct nvmux_probe_ctx *probe; /* with @timer, and @list for the answer */
	struct event *timer;
	json_t *list;
};

static struct lookup *lookup_new(struct nvmuxd *d, struct rpc_request *req)
{
	struct lookup *job;

	if (d->state == DAEMON_STOPPING) {
		rpc_reply_error(req, RPC_SHUTTING_DOWN, NULL, "nvmuxd is shutting down");
		return NULL;
	}
	if (d->n_lookups == LOOKUPS_MAX) {
		rpc_reply_errno(req, -EBUSY, "%u looks at transport ids are under way already",
				d->n_lookups);
		return NULL;
	}
	job = calloc(1, sizeof(*job));
	if (job)
		job->list = json_array();
	if (!job || !job->list) {
		free(job);
		rpc_reply_errno(req, -ENOMEM, "out of memory");
		return NULL;
	}
	job->d = d;
	job->req = req;
	d->n_lookups++;
	return job;
}

/* Answer with @result, which is stolen, or with the error. */
static void lookup_end(struct lookup *job, int err, json_t *result)
{
	struct nvmuxd *d = job->d;

	if (err)
		rpc_reply_errno(job->req, err, "%s", daemon_error_text(d, err));
	else
		rpc_reply(job->req, json_incref(result));
	json_decref(result);
	json_decref(job->list);
	if (job->timer)
		event_free(job->timer);
	free(job);
	d->n_lookups--;
	daemon_progress(d);
}

static void on_cancel(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	lookups_cancel(arg);
}

/* A controller that is nobody's is one that libnvmux looks at: it may connect to several. */
void lookups_cancel(struct nvmuxd *d)
{
	const struct timeval tv = {.tv_usec = CANCEL_PERIOD_MS * 1000};
	struct nvmux_ctrlr *ctrlr;

	for (unsigned i = 0; i < NVMUX_CTRLRS_MAX; i++) {
		ctrlr = d->nvmux->ctrlrs[i];
		if (ctrlr && !ctrlr->user && !ctrlr->detaching && !ctrlr->failed)
			nvmux_ctrlr_lost(ctrlr,
					 nvmux_error(d->nvmux, -ECANCELED, "the daemon ends"));
	}
	if (!d->n_lookups)
		return;
	if (!d->lookup_timer)
		d->lookup_timer = evtimer_new(d->base, on_cancel, d);
	if (d->lookup_timer)
		evtimer_add(d->lookup_timer, &tv);
}

/* ---- probe ---- */

/* Name of the driver that a local function is bound to, or "". */
static void pci_driver(const char *address, char *buf, size_t size)
{
	char path[NVMUX_TRADDR_MAX + 64], target[256];
	const char *base;
	ssize_t n;

	buf[0] = '\0';
	if (strchr(address, '/'))
		return;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	base = strrchr(target, '/');
	base = base ? base + 1 : target;
	if (strlen(base) < size)
		strcpy(buf, base);
}

static void add_found(struct lookup *job, const struct nvmux_trid *trid)
{
	const struct controller *c = controller_find_target(job->d, trid);
	json_t *item = json_object();
	char driver[64] = "";

	if (!item || json_array_size(job->list) >= PROBE_MAX) {
		json_decref(item);
		return;
	}
	json_put_trid(item, trid);
	if (trid->trtype == NVMUX_TRTYPE_PCIE)
		pci_driver(trid->traddr, driver, sizeof(driver));
	if (c)
		json_object_set_new(item, "name", json_string(c->name));
	if (driver[0])
		json_object_set_new(item, "driver", json_string(driver));
	json_object_set_new(item, "attachable",
			    json_boolean(!c && (trid->trtype != NVMUX_TRTYPE_PCIE ||
						strcmp(driver, "vfio-pci") == 0)));
	json_array_append_new(job->list, item);
}

static bool on_found(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr_opts *opts)
{
	(void)opts;
	add_found(arg, trid);
	return false; /* only looking */
}

static void probe_poll(evutil_socket_t fd, short what, void *arg)
{
	struct lookup *job = arg;
	const struct timeval tv = {.tv_usec = PROBE_POLL_MS * 1000};
	int err;

	(void)fd;
	(void)what;
	daemon_clear_error(job->d);
	err = nvmux_probe_poll_async(job->probe);
	if (err == -EAGAIN)
		evtimer_add(job->timer, &tv);
	else
		lookup_end(job, err, json_incref(job->list));
}

static void probe_local(struct lookup *job, const struct nvmux_trid *trid)
{
	const struct timeval now = {0};
	int err = -ENOMEM;

	daemon_clear_error(job->d);
	job->timer = evtimer_new(job->d->base, probe_poll, job);
	if (job->timer)
		err = nvmux_probe_async(job->d->nvmux, trid, on_found, NULL, NULL, job,
					&job->probe);
	if (err)
		lookup_end(job, err, NULL);
	else
		evtimer_add(job->timer, &now);
}

static void probe_discovered(void *arg, const struct nvmux_discovery_log *log, int err)
{
	struct lookup *job = arg;

	for (uint32_t i = 0; !err && i < log->n; i++) {
		if (log->entries[i].subtype == NVMUX_DISCOVERY_NVME &&
		    log->entries[i].trid.trtype == NVMUX_TRTYPE_RDMA)
			add_found(job, &log->entries[i].trid);
	}
	lookup_end(job, err, json_incref(job->list));
}

static bool is_discovery_nqn(const char *nqn)
{
	return !nqn[0] || strcmp(nqn, NVMUX_DISCOVERY_NQN) == 0;
}

/* Others than those with the admin right don't make the daemon connect to anything. */
static bool may_connect(struct rpc_request *req)
{
	const struct session *s = session_of(req);

	if (!s)
		return false;
	if (s->admin)
		return true;
	rpc_reply_error(req, RPC_ACCESS_DENIED,
			json_pack("{s:s,s:s}", "right", "admin", "errno", "EACCES"),
			"a probe by RDMA needs the admin right");
	return false;
}

static void discover_for(struct rpc_request *req, const struct conf_controller *conf,
			 nvmux_discovery_cb cb)
{
	struct lookup *job = lookup_new(daemon_of(req), req);
	int err;

	if (!job)
		return;
	daemon_clear_error(job->d);
	err = nvmux_discover_async(job->d->nvmux, &conf->trid, &conf->opts, cb, job);
	if (err)
		lookup_end(job, err, NULL);
}

static void probe(struct rpc_request *req, const json_t *params)
{
	struct conf_controller conf;
	struct lookup *job;
	char why[256];

	if (connection_from_params(params, req, &conf))
		return;
	if (conf_is_fabrics(&conf.trid) && is_discovery_nqn(conf.trid.subnqn)) {
		if (conf_discovery_check(&conf, why, sizeof(why)))
			rpc_reply_error(req, RPC_INVALID_PARAMS, NULL, "%s", why);
		else if (may_connect(req))
			discover_for(req, &conf, probe_discovered);
		return;
	}
	if (conf_probe_check(&conf, why, sizeof(why))) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL, "%s", why);
		return;
	}
	job = lookup_new(daemon_of(req), req);
	if (job)
		probe_local(job, &conf.trid);
}

/* ---- discover ---- */

static void discovered(void *arg, const struct nvmux_discovery_log *log, int err)
{
	struct lookup *job = arg;
	const struct controller *c;
	json_t *item, *result;
	uint32_t n;

	if (err) {
		lookup_end(job, err, NULL);
		return;
	}
	n = MIN(log->n, (uint32_t)RECORDS_MAX);
	for (uint32_t i = 0; i < n; i++) {
		item = discovery_record_json(&log->entries[i]);
		c = controller_find_target(job->d, &log->entries[i].trid);
		if (c)
			json_object_set_new(item, "name", json_string(c->name));
		json_array_append_new(job->list, item);
	}
	result = json_pack("{s:I,s:O}", "genctr", (json_int_t)log->genctr, "records", job->list);
	if (n < log->n)
		json_object_set_new(result, "left_out", json_integer(log->n - n));
	lookup_end(job, result ? 0 : -ENOMEM, result);
}

static void discover(struct rpc_request *req, const json_t *params)
{
	struct conf_controller conf;
	char why[256];

	if (connection_from_params(params, req, &conf))
		return;
	if (conf_discovery_check(&conf, why, sizeof(why)))
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL, "%s", why);
	else
		discover_for(req, &conf, discovered);
}

/* ---- connections that stay ---- */

static bool may_start(struct nvmuxd *d, struct rpc_request *req, const struct conf_controller *conf)
{
	if (d->state == DAEMON_STOPPING) {
		rpc_reply_error(req, RPC_SHUTTING_DOWN, NULL, "nvmuxd is shutting down");
		return false;
	}
	if (!conf_name_valid(conf->name)) {
		rpc_reply_error(
			req, RPC_INVALID_PARAMS, NULL,
			"name is '%s'; it must have 1 to %d letters, digits, '-', '_' or '.'",
			conf->name, CONF_DISCOVERY_NAME_MAX - 1);
		return false;
	}
	if (discovery_find(d, conf->name)) {
		rpc_reply_errno(req, -EEXIST, "there is a discovery service '%s' already",
				conf->name);
		return false;
	}
	if (d->n_discoveries >= CONF_DISCOVERIES_MAX) {
		rpc_reply_errno(req, -ENOSPC,
				"connections to %u discovery services are kept; more "
				"aren't possible",
				d->n_discoveries);
		return false;
	}
	return true;
}

static void start_discovery(struct rpc_request *req, const json_t *params)
{
	struct nvmuxd *d = daemon_of(req);
	struct conf_controller conf;
	char why[256];

	if (connection_from_params(params, req, &conf))
		return;
	snprintf(conf.name, sizeof(conf.name), "%s", rpc_get_string(params, "name", ""));
	conf.attach = rpc_get_boolean(params, "attach", false);
	if (conf_discovery_check(&conf, why, sizeof(why))) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL, "%s", why);
		return;
	}
	if (may_start(d, req, &conf) && discovery_start(d, &conf, req))
		rpc_reply_errno(req, -ENOMEM, "out of memory");
}

static void stop_discovery(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "name", "");
	struct discovery *disc = discovery_find(daemon_of(req), name);

	if (disc)
		discovery_stop(disc, req);
	else
		rpc_reply_errno(req, -ENODEV, "there is no discovery service '%s'", name);
}

static void get_discovery(struct rpc_request *req, const json_t *params)
{
	struct nvmuxd *d = daemon_of(req);
	uint32_t room = RECORDS_MAX;
	json_t *list = json_array();

	(void)params;
	discoveries_to_json(d, list, &room);
	rpc_reply(req, list);
}

/* ---- the table ---- */

static const struct rpc_param probe_params[] = {PARAMS_TRID(false), PARAMS_HOST, PARAM_END};
static const struct rpc_param discover_params[] = {
	PARAMS_TRID(true),
	PARAMS_HOST,
	{"transport_ack_timeout", RPC_INTEGER, false, 0, 31,
	 "RDMA: local ACK time-out, 4.096 us * 2^n; 0: the connection manager's own; default 0"},
	PARAM_END,
};
static const struct rpc_param start_params[] = {
	PARAM_NAME(true, CONF_DISCOVERY_NAME_MAX - 1,
		   "name for it: letters, digits, '-', '_', '.'"),
	PARAMS_TRID(true),
	PARAMS_HOST,
	{"attach", RPC_BOOLEAN, false, 0, 0,
	 "attach the NVM subsystems that it reports; default false"},
	PARAMS_OPTIONS PARAM_END,
};
static const struct rpc_param stop_params[] = {
	PARAM_NAME(true, CONF_NAME_MAX - 1, "the discovery service"), PARAM_END};

const struct rpc_method discovery_methods[] = {
	{"probe", RPC_RIGHT_USER, probe_params,
	 "Show what a transport id names, without attaching anything: all local NVMe functions "
	 "(PCIE without traddr), one controller, or (RDMA without subnqn, or with that of "
	 "discovery; "
	 "needs the admin right) the subsystems that a discovery service and those that it refers "
	 "to report.",
	 "an array of transport ids; name when it is attached, driver of a local function, "
	 "attachable",
	 probe},
	{"discover", RPC_RIGHT_ADMIN, discover_params,
	 "Connect to a discovery service, read its log page, follow its referrals, disconnect. "
	 "Keys "
	 "and texts of the records are those of nvme-cli; also depth, the number of referrals on "
	 "the way to a record, and name when it is attached.",
	 "{genctr, records: [{trtype, adrfam, subtype, treq, portid, trsvcid, subnqn, traddr, "
	 "eflags, rdma_prtype, rdma_qptype, rdma_cms, rdma_pkey, depth}]}, and left_out, the "
	 "number of further records, if one answer can't hold all",
	 discover},
	{"start_discovery", RPC_RIGHT_ADMIN, start_params,
	 "Connect to a discovery service and stay connected; answers when its log page has been "
	 "read. The log is read anew (event discovery_changed) when the service says that it has "
	 "changed, once a second at most, and after the connection was lost. With attach: NVM "
	 "subsystems that are new in the log and not attached already are attached with the "
	 "options given here, as NAME-0, NAME-1, …, and tried again every "
	 "reconnect_delay_sec while they can't be, until they "
	 "aren't reported any more; at most 64 for one service and 96 for all. None is "
	 "detached. Referrals are reported, not followed. The options hold for the service and "
	 "what is attached, but that ctrlr_loss_timeout_sec is -1 for the service by default.",
	 "true", start_discovery},
	{"stop_discovery", RPC_RIGHT_ADMIN, stop_params,
	 "Disconnect from a discovery service; controllers that were attached stay.", "true",
	 stop_discovery},
	{"get_discovery", RPC_RIGHT_USER, NULL,
	 "Show the discovery services to which a connection is kept. state is connecting, waiting "
	 "(for the next attempt), failed (until it is stopped), stopping, or that of the "
	 "connection, as in get_controllers.",
	 "an array of {name, trtype, traddr, …, state, connection, attach, genctr (null: not "
	 "read yet), n_records (of the log), records (as of discover), left_out (how many of them "
	 "one answer can't hold)}",
	 get_discovery},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
