// SPDX-License-Identifier: BSD-3-Clause
/* RPC methods about controllers and namespaces. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/daemon.h"
#include "daemon/identify_json.h"

#define IDENTIFY_SIZE 4096
#define PROBE_MAX     256 /* controllers in one answer */
#define PROBE_POLL_MS 5

#define NAME_PARAM(help)                                                                           \
	{                                                                                          \
		"name", RPC_STRING, true, 1, CONF_NAME_MAX - 1, help                               \
	}
#define TRID_PARAMS(required)                                                                      \
	{"trtype", RPC_STRING, required, 1, 16,                                                    \
	 "transport type: PCIE, VFIOUSER, RDMA or LOOPBACK"},                                      \
		{"traddr", RPC_STRING, false, 0, NVMUX_TRADDR_MAX - 1,                             \
		 "transport address: PCI address, directory of a vfio-user socket, IP address"},   \
		{"adrfam", RPC_STRING, false, 0, 8, "address family: IPv4, IPv6 or IB"},           \
		{"trsvcid", RPC_STRING, false, 0, NVMUX_TRSVCID_MAX - 1,                           \
		 "transport service id (the port)"},                                               \
		{"subnqn", RPC_STRING, false, 0, NVMUX_NQN_MAX - 1, "NQN of the subsystem"}
#define END_PARAMS {NULL, 0, false, 0, 0, NULL}

static struct nvmuxd *daemon_of(struct rpc_request *req)
{
	return rpc_server_user(rpc_request_conn(req));
}

/* ---- transport ids ---- */

void json_put_trid(json_t *object, const struct nvmux_trid *trid)
{
	const char *adrfam = nvmux_adrfam_string(trid->adrfam);

	json_object_set_new(object, "trtype", json_string(nvmux_trtype_string(trid->trtype)));
	json_object_set_new(object, "traddr", json_string(trid->traddr));
	if (adrfam)
		json_object_set_new(object, "adrfam", json_string(adrfam));
	if (trid->trsvcid[0])
		json_object_set_new(object, "trsvcid", json_string(trid->trsvcid));
	if (trid->subnqn[0])
		json_object_set_new(object, "subnqn", json_string(trid->subnqn));
}

int trid_from_params(const json_t *params, struct rpc_request *req, struct nvmux_trid *ret)
{
	const char *trtype = rpc_get_string(params, "trtype", "PCIE");
	const char *adrfam = rpc_get_string(params, "adrfam", "");
	struct nvmux_trid trid = {0};

	if (nvmux_trtype_parse(&trid.trtype, trtype)) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"trtype is '%s'; it must be PCIE, VFIOUSER, RDMA or LOOPBACK",
				trtype);
		return -EINVAL;
	}
	if (adrfam[0] && nvmux_adrfam_parse(&trid.adrfam, adrfam)) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"adrfam is '%s'; it must be IPv4, IPv6 or IB", adrfam);
		return -EINVAL;
	}
	/* the schema has limited their lengths */
	snprintf(trid.traddr, sizeof(trid.traddr), "%s", rpc_get_string(params, "traddr", ""));
	snprintf(trid.trsvcid, sizeof(trid.trsvcid), "%s", rpc_get_string(params, "trsvcid", ""));
	snprintf(trid.subnqn, sizeof(trid.subnqn), "%s", rpc_get_string(params, "subnqn", ""));
	*ret = trid;
	return 0;
}

/* ---- probe ---- */

struct probe_job {
	struct nvmuxd *d;
	struct rpc_request *req;
	struct nvmux_probe_ctx *probe;
	struct event *timer;
	json_t *list;
};

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

static bool on_found(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr_opts *opts)
{
	struct probe_job *job = arg;
	const struct controller *c = controller_find_trid(job->d, trid);
	json_t *item = json_object();
	char driver[64] = "";

	(void)opts;
	if (!item || json_array_size(job->list) >= PROBE_MAX) {
		json_decref(item);
		return false;
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
	return false; /* only looking */
}

static void probe_end(struct probe_job *job, int err)
{
	if (err) {
		rpc_reply_errno(job->req, err, "%s", daemon_error_text(job->d, err));
		json_decref(job->list);
	} else {
		rpc_reply(job->req, job->list);
	}
	event_free(job->timer);
	free(job);
}

static void probe_poll(evutil_socket_t fd, short what, void *arg)
{
	struct probe_job *job = arg;
	const struct timeval tv = {.tv_usec = PROBE_POLL_MS * 1000};
	int err;

	(void)fd;
	(void)what;
	daemon_clear_error(job->d);
	err = nvmux_probe_poll_async(job->probe);
	if (err == -EAGAIN)
		evtimer_add(job->timer, &tv);
	else
		probe_end(job, err);
}

static void probe(struct rpc_request *req, const json_t *params)
{
	const struct timeval now = {0};
	struct nvmux_trid trid;
	struct probe_job *job;
	int err;

	if (trid_from_params(params, req, &trid))
		return;
	job = calloc(1, sizeof(*job));
	if (!job) {
		rpc_reply_errno(req, -ENOMEM, "out of memory");
		return;
	}
	job->d = daemon_of(req);
	job->req = req;
	job->list = json_array();
	job->timer = evtimer_new(job->d->base, probe_poll, job);
	daemon_clear_error(job->d);
	err = nvmux_probe_async(job->d->nvmux, &trid, on_found, NULL, NULL, job, &job->probe);
	if (err)
		probe_end(job, err);
	else
		evtimer_add(job->timer, &now);
}

/* ---- attach, detach, reset ---- */

/* The first nvmeN that nobody uses. */
static void default_name(struct nvmuxd *d, char *buf, size_t size)
{
	for (unsigned i = 0;; i++) {
		snprintf(buf, size, "nvme%u", i);
		if (!controller_find(d, buf))
			return;
	}
}

/* Whether this name and this transport id are free; else the request is answered. */
static bool may_attach(struct nvmuxd *d, struct rpc_request *req, const char *name,
		       const struct nvmux_trid *trid)
{
	const struct controller *c;

	if (d->state == DAEMON_STOPPING) {
		rpc_reply_error(req, RPC_SHUTTING_DOWN, NULL, "nvmuxd is shutting down");
		return false;
	}
	if (!conf_name_valid(name)) {
		rpc_reply_error(
			req, RPC_INVALID_PARAMS, NULL,
			"name is '%s'; it must have 1 to %u letters, digits, '-', '_' or '.'", name,
			CONF_NAME_MAX - 1);
		return false;
	}
	c = controller_find(d, name);
	if (c) {
		rpc_reply_errno(req, -EEXIST, "there is a controller '%s' already: %s %s (%s)",
				c->name, nvmux_trtype_string(c->trid.trtype), c->trid.traddr,
				controller_state_name(c->state));
		return false;
	}
	/* a loopback controller is made anew each time */
	c = trid->trtype == NVMUX_TRTYPE_LOOPBACK ? NULL : controller_find_trid(d, trid);
	if (c) {
		rpc_reply_errno(req, -EEXIST, "%s %s is attached already, as controller '%s' (%s)",
				nvmux_trtype_string(trid->trtype), trid->traddr, c->name,
				controller_state_name(c->state));
		return false;
	}
	return true;
}

static void attach_controller(struct rpc_request *req, const json_t *params)
{
	struct nvmuxd *d = daemon_of(req);
	struct nvmux_ctrlr_opts opts;
	char name[CONF_NAME_MAX];
	struct nvmux_trid trid;

	if (trid_from_params(params, req, &trid))
		return;
	if (trid.trtype == NVMUX_TRTYPE_DAEMON || !trid.traddr[0]) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				trid.traddr[0] ? "trtype DAEMON is for clients of nvmuxd" :
						 "traddr is missing: it names the controller");
		return;
	}
	if (rpc_get_string(params, "name", NULL))
		snprintf(name, sizeof(name), "%s", rpc_get_string(params, "name", ""));
	else
		default_name(d, name, sizeof(name));
	if (!may_attach(d, req, name, &trid))
		return;
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.num_io_queues =
		(uint32_t)rpc_get_integer(params, "num_io_queues", opts.num_io_queues);
	opts.io_queue_depth =
		(uint32_t)rpc_get_integer(params, "io_queue_depth", opts.io_queue_depth);
	if (controller_attach(d, name, &trid, &opts, req))
		rpc_reply_errno(req, -ENOMEM, "out of memory");
}

static void detach_controller(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "name", "");
	struct controller *c = controller_find(daemon_of(req), name);

	if (!c)
		rpc_reply_errno(req, -ENODEV, "there is no controller '%s'", name);
	else if (c->state == CONTROLLER_ATTACHING)
		rpc_reply_errno(req, -EBUSY, "controller '%s' is being attached", name);
	else
		controller_detach(c, req);
}

static void reset_controller(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "name", "");
	struct controller *c = controller_for_request(daemon_of(req), req, name);
	char reason[64];

	if (!c)
		return;
	snprintf(reason, sizeof(reason), "wanted by process %d",
		 rpc_conn_cred(rpc_request_conn(req))->pid);
	controller_reset(c, req, reason);
}

/* ---- what there is ---- */

static json_t *namespace_json(const struct controller *c, const struct nvmux_ns *ns)
{
	json_t *item = json_pack(
		"{s:s,s:I,s:I,s:I,s:I,s:i,s:I,s:i}", "controller", c->name, "nsid",
		(json_int_t)ns->id, "size", (json_int_t)nvmux_ns_get_size(ns), "blocks",
		(json_int_t)ns->n_lbas, "block_size", (json_int_t)nvmux_ns_get_sector_size(ns),
		"metadata_size", ns->md_size, "boundary_blocks", (json_int_t)ns->boundary_lbas,
		"csi", ns->csi);
	const uint8_t *nguid = nvmux_ns_get_nguid(ns), *uuid = nvmux_ns_get_uuid(ns);

	if (nguid)
		json_object_set_new(item, "nguid", identify_hex_json(nguid, 16));
	if (uuid)
		json_object_set_new(item, "uuid", identify_uuid_json(uuid));
	return item;
}

json_t *json_namespaces(const struct controller *c)
{
	json_t *list = json_array();

	for (uint32_t i = 0; c->ctrlr && i < c->ctrlr->n_ns; i++) {
		if (c->ctrlr->ns[i]->active)
			json_array_append_new(list, namespace_json(c, c->ctrlr->ns[i]));
	}
	return list;
}

static json_t *controller_json(const struct controller *c)
{
	json_t *item = json_pack("{s:s,s:s}", "name", c->name, "state",
				 controller_state_name(c->state));
	const struct nvmux_ctrlr *ctrlr = c->ctrlr;
	char vs[16];

	json_put_trid(item, &c->trid);
	if (!ctrlr)
		return item;
	snprintf(vs, sizeof(vs), "0x%" PRIx32, ctrlr->vs);
	json_object_set_new(item, "model", identify_text_json(ctrlr->id.mn, 40, true));
	json_object_set_new(item, "serial", identify_text_json(ctrlr->id.sn, 20, true));
	json_object_set_new(item, "firmware", identify_text_json(ctrlr->id.fr, 8, true));
	json_object_set_new(item, "subnqn", identify_text_json(ctrlr->id.subnqn, 256, true));
	json_object_set_new(item, "cntlid", json_integer(le16_to_cpu(ctrlr->id.cntlid)));
	json_object_set_new(item, "vs", json_string(vs));
	json_object_set_new(item, "max_transfer", json_integer(ctrlr->max_transfer));
	json_object_set_new(item, "resets", json_integer((json_int_t)c->resets));
	json_object_set_new(item, "io_queues",
			    json_pack("{s:I,s:I}", "granted", (json_int_t)ctrlr->max_io_qpairs,
				      "used", (json_int_t)c->n_hw_queues));
	json_object_set_new(item, "namespaces", json_namespaces(c));
	json_object_set_new(item, "qpairs", json_qpairs(c->d, c));
	return item;
}

static void get_controllers(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "name", NULL);
	struct nvmuxd *d = daemon_of(req);
	const struct controller *c;
	json_t *list;

	if (name && !controller_find(d, name)) {
		rpc_reply_errno(req, -ENODEV, "there is no controller '%s'", name);
		return;
	}
	list = json_array();
	TAILQ_FOREACH(c, &d->controllers, link) {
		if (!name || strcmp(name, c->name) == 0)
			json_array_append_new(list, controller_json(c));
	}
	rpc_reply(req, list);
}

static void get_namespaces(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "controller", NULL);
	struct nvmuxd *d = daemon_of(req);
	const struct controller *c;
	json_t *list, *more;

	if (name && !controller_find(d, name)) {
		rpc_reply_errno(req, -ENODEV, "there is no controller '%s'", name);
		return;
	}
	list = json_array();
	TAILQ_FOREACH(c, &d->controllers, link) {
		if (name && strcmp(name, c->name) != 0)
			continue;
		more = json_namespaces(c);
		json_array_extend(list, more);
		json_decref(more);
	}
	rpc_reply(req, list);
}

/* ---- identify ---- */

struct identify_job {
	_Alignas(8) uint8_t data[IDENTIFY_SIZE];
	struct rpc_request *req;
	uint8_t cns;
};

static void identified(void *arg, const struct nvmux_cpl *cpl)
{
	struct identify_job *job = arg;
	struct rpc_conn *conn = rpc_request_conn(job->req);
	struct session *s = conn ? rpc_conn_user(conn) : NULL; /* it may have ended */

	if (s)
		s->n_identify--;
	if (nvmux_cpl_is_error(cpl))
		reply_nvme_status(job->req, nvmux_cpl_status(cpl), "identify");
	else if (job->cns == NVME_IDENTIFY_CNS_CTRL)
		rpc_reply(job->req, identify_ctrl_json((const void *)job->data));
	else if (job->cns == NVME_IDENTIFY_CNS_NS)
		rpc_reply(job->req, identify_ns_json((const void *)job->data));
	else
		rpc_reply(job->req, json_pack("{s:o}", "data",
					      identify_hex_json(job->data, IDENTIFY_SIZE)));
	free(job);
}

static void identify(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "controller", "");
	struct controller *c = controller_for_request(daemon_of(req), req, name);
	struct session *s = c ? session_of(req) : NULL;
	struct nvmux_cmd cmd = {.opc = nvme_admin_identify};
	const struct hold *hold;
	struct identify_job *job;
	int err;

	if (!s)
		return;
	hold = session_hold(s, name);
	if (s->n_identify + (hold ? hold->in_flight : 0) >= s->limits.admin_in_flight) {
		session_reply_limit(req, "admin_in_flight", s->limits.admin_in_flight,
				    "too many commands in flight");
		return;
	}
	job = calloc(1, sizeof(*job));
	if (!job) {
		rpc_reply_errno(req, -ENOMEM, "out of memory");
		return;
	}
	job->req = req;
	job->cns = (uint8_t)rpc_get_integer(params, "cns", 0);
	cmd.cdw10 = cpu_to_le32(job->cns);
	cmd.nsid = cpu_to_le32((uint32_t)rpc_get_integer(params, "nsid", 0));
	s->n_identify++; /* its callback may come before it returns */
	daemon_clear_error(c->d);
	err = nvmux_ctrlr_admin(c->ctrlr, &cmd, job->data, sizeof(job->data), identified, job);
	if (!err)
		return;
	s->n_identify--;
	free(job);
	if (c->state == CONTROLLER_RESETTING)
		rpc_reply_errno(req, -EAGAIN, "controller '%s' is being reset", name);
	else
		rpc_reply_errno(req, err, "%s", daemon_error_text(c->d, err));
}

/* ---- opening ---- */

static void open_controller(struct rpc_request *req, const json_t *params)
{
	struct session *s = session_of(req);

	if (s)
		session_open_controller(s, rpc_get_string(params, "name", ""), req);
}

static void close_controller(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "name", "");
	struct session *s = session_of(req);
	const struct hold *hold = s ? session_hold(s, name) : NULL;

	if (hold)
		session_close_hold(s, hold, req);
	else if (s)
		rpc_reply_errno(req, -ENOTCONN, "controller '%s' isn't open in this session", name);
}

/* ---- the table ---- */

static const struct rpc_param probe_params[] = {TRID_PARAMS(false), END_PARAMS};
static const struct rpc_param attach_params[] = {
	{"name", RPC_STRING, false, 1, CONF_NAME_MAX - 1,
	 "name for it: letters, digits, '-', '_', '.'; default: the first free nvmeN"},
	TRID_PARAMS(true),
	{"num_io_queues", RPC_INTEGER, false, 1, 65535, "I/O queue pairs to ask for; default 64"},
	{"io_queue_depth", RPC_INTEGER, false, 2, 65536, "entries of an I/O queue; default 256"},
	END_PARAMS,
};
static const struct rpc_param name_params[] = {NAME_PARAM("the controller"), END_PARAMS};
static const struct rpc_param maybe_name_params[] = {
	{"name", RPC_STRING, false, 1, CONF_NAME_MAX - 1, "only this controller"}, END_PARAMS};
static const struct rpc_param maybe_controller_params[] = {
	{"controller", RPC_STRING, false, 1, CONF_NAME_MAX - 1, "only those of this controller"},
	END_PARAMS};
static const struct rpc_param identify_params[] = {
	{"controller", RPC_STRING, true, 1, CONF_NAME_MAX - 1, "the controller"},
	{"cns", RPC_INTEGER, true, 0, 255, "controller or namespace structure"},
	{"nsid", RPC_INTEGER, false, 0, UINT32_MAX, "namespace id; default 0"},
	END_PARAMS,
};

const struct rpc_method controller_methods[] = {
	{"probe", RPC_RIGHT_USER, probe_params,
	 "Show what a transport id names, or all local NVMe functions, without attaching anything.",
	 "an array of transport ids; name when it is attached, driver of a local function, "
	 "attachable",
	 probe},
	{"attach_controller", RPC_RIGHT_ADMIN, attach_params,
	 "Start a controller and make it available to clients.", "{name, namespaces: [nsid, …]}",
	 attach_controller},
	{"detach_controller", RPC_RIGHT_ADMIN, name_params,
	 "Shut a controller down and let go of it. EBUSY with data.holders while clients have it "
	 "open.",
	 "true", detach_controller},
	{"reset_controller", RPC_RIGHT_ADMIN, name_params,
	 "Disable and enable a controller. Commands in flight complete with Command Aborted due to "
	 "SQ Deletion; clients go on afterwards.",
	 "true", reset_controller},
	{"get_controllers", RPC_RIGHT_USER, maybe_name_params,
	 "Show controllers with their namespaces and the clients' queue pairs.",
	 "an array of {name, state, trtype, traddr, …, model, serial, firmware, subnqn, cntlid, "
	 "vs, "
	 "max_transfer, resets, io_queues: {granted, used}, namespaces, qpairs}",
	 get_controllers},
	{"get_namespaces", RPC_RIGHT_USER, maybe_controller_params, "Show active namespaces.",
	 "an array of {controller, nsid, size, blocks, block_size, metadata_size, boundary_blocks, "
	 "csi}, with nguid and uuid where there are",
	 get_namespaces},
	{"identify", RPC_RIGHT_USER, identify_params,
	 "Send Identify. CNS 1 (controller) and 0 (namespace) are decoded with the keys of "
	 "nvme-cli.",
	 "an object of fields; for other CNS values {data: 4096 bytes in hexadecimal digits}",
	 identify},
	{"open_controller", RPC_RIGHT_USER, name_params,
	 "Open a controller in this session, before queue pairs and commands on it. The session's "
	 "I/O memory is mapped for it.",
	 "{name, cap, vs, cc, csts, max_transfer, max_queue_entries, max_io_qpairs, admin_depth} "
	 "and "
	 "two descriptors: the admin ring and its wake-up socket",
	 open_controller},
	{"close_controller", RPC_RIGHT_USER, name_params,
	 "Close a controller in this session; its queue pairs there are freed, once their commands "
	 "have ended.",
	 "true", close_controller},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
