// SPDX-License-Identifier: BSD-3-Clause
/* RPC methods about controllers and namespaces. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/daemon.h"
#include "decode/fields.h"
#include "decode/identify_json.h"
#include "daemon/params.h"

#define IDENTIFY_SIZE 4096

static struct nvmuxd *daemon_of(struct rpc_request *req)
{
	return rpc_server_user(rpc_request_conn(req));
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

/* Nobody but the administrator ends one that has failed. */
static const char *advice_on(const struct controller *c)
{
	return c->state == CONTROLLER_FAILED ? "; detach it, then it can be attached again" : "";
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
		rpc_reply_errno(req, -EEXIST, "there is a controller '%s' already: %s %s (%s)%s",
				c->name, nvmux_trtype_string(c->trid.trtype), c->trid.traddr,
				controller_state_name(c->state), advice_on(c));
		return false;
	}
	/* a loopback controller is made anew each time */
	c = trid->trtype == NVMUX_TRTYPE_LOOPBACK ? NULL : controller_find_trid(d, trid);
	if (c) {
		rpc_reply_errno(req, -EEXIST,
				"%s %s is attached already, as controller '%s' (%s)%s",
				nvmux_trtype_string(trid->trtype), trid->traddr, c->name,
				controller_state_name(c->state), advice_on(c));
		return false;
	}
	return true;
}

static void attach_controller(struct rpc_request *req, const json_t *params)
{
	struct nvmuxd *d = daemon_of(req);
	struct conf_controller conf;
	char why[256];

	if (connection_from_params(params, req, &conf))
		return;
	if (conf_controller_check(&conf, why, sizeof(why))) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL, "%s", why);
		return;
	}
	if (rpc_get_string(params, "name", NULL))
		snprintf(conf.name, sizeof(conf.name), "%s", rpc_get_string(params, "name", ""));
	else
		default_name(d, conf.name, sizeof(conf.name));
	if (!may_attach(d, req, conf.name, &conf.trid))
		return;
	if (controller_attach(d, conf.name, &conf.trid, &conf.opts, NULL, req))
		rpc_reply_errno(req, -ENOMEM, "out of memory");
}

static void detach_controller(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "name", "");
	struct controller *c = controller_find(daemon_of(req), name);

	if (!c)
		rpc_reply_errno(req, -ENODEV, "there is no controller '%s'", name);
	else if (c->state == CONTROLLER_ATTACHING)
		controller_cancel_attach(c, req);
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

static void reset_subsystem(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "name", "");
	struct controller *c = controller_for_request(daemon_of(req), req, name);
	char reason[64];

	if (!c)
		return;
	snprintf(reason, sizeof(reason), "of its subsystem, wanted by process %d",
		 rpc_conn_cred(rpc_request_conn(req))->pid);
	controller_reset_subsystem(c, req, reason);
}

/* ---- what there is ---- */

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
			json_array_append_new(list, json_controller(c));
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
	struct controller *c;
	uint8_t cns;
	uint64_t sent_ms;
};

/* It was with the controller when that was disabled, for another reason: asked for once more. */
static bool is_repeated(const struct identify_job *job, const struct nvmux_cpl *cpl)
{
	return (nvmux_cpl_status(cpl) & NVMUX_STATUS_CODE_MASK) == NVME_SC_ABORT_QUEUE &&
	       job->c->ctrlr && !user_cmd_is_overdue(job->c, job->sent_ms) &&
	       controller_defer(job->c, job->req);
}

static void identified(void *arg, const struct nvmux_cpl *cpl)
{
	struct identify_job *job = arg;
	struct rpc_conn *conn = rpc_request_conn(job->req);
	struct session *s = conn ? rpc_conn_user(conn) : NULL; /* it may have ended */

	if (s)
		s->n_identify--;
	if (nvmux_cpl_is_error(cpl) && !is_repeated(job, cpl))
		reply_nvme_status(job->req, nvmux_cpl_status(cpl), "identify");
	else if (nvmux_cpl_is_error(cpl))
		log_debug(&job->c->d->log, "rpc", "identify: once more after a reset");
	else if (job->cns == NVME_IDENTIFY_CNS_CTRL)
		rpc_reply(job->req, decode_plain(identify_ctrl_json((const void *)job->data)));
	else if (job->cns == NVME_IDENTIFY_CNS_NS)
		rpc_reply(job->req, decode_plain(identify_ns_json((const void *)job->data)));
	else
		rpc_reply(job->req, json_pack("{s:o}", "data",
					      decode_hex_json(job->data, IDENTIFY_SIZE)));
	free(job);
}

static void identify(struct rpc_request *req, const json_t *params)
{
	const char *name = rpc_get_string(params, "controller", "");
	struct session *s = session_of(req);
	struct controller *c = s ? controller_for_request(s->d, req, name) : NULL;
	struct nvmux_cmd cmd = {.opc = nvme_admin_identify};
	const struct hold *hold;
	struct identify_job *job;
	int err;

	if (!c || controller_defer(c, req))
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
	job->c = c;
	job->sent_ms = nvmux_now_ms();
	job->cns = (uint8_t)rpc_get_integer(params, "cns", 0);
	cmd.cdw10 = cpu_to_le32(job->cns |
				(uint32_t)rpc_get_integer(params, "cntid", 0) << 16);
	cmd.cdw11 = cpu_to_le32((uint32_t)rpc_get_integer(params, "csi", 0) << 24 |
				(uint32_t)rpc_get_integer(params, "cns_specific", 0));
	cmd.nsid = cpu_to_le32((uint32_t)rpc_get_integer(params, "nsid", 0));
	s->n_identify++; /* its callback may come before it returns */
	daemon_clear_error(c->d);
	err = nvmux_ctrlr_admin(c->ctrlr, &cmd, job->data, sizeof(job->data), identified, job);
	if (!err)
		return;
	s->n_identify--;
	free(job);
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
		rpc_reply_errno(req, -ENOTCONN, "controller '%s' isn't open in the session", name);
}

/* ---- the table ---- */

static const struct rpc_param attach_params[] = {
	PARAM_NAME(false, CONF_NAME_MAX - 1,
		   "name for it: letters, digits, '-', '_', '.'; default: the first free nvmeN"),
	PARAMS_TRID(true),
	PARAMS_HOST,
	PARAMS_OPTIONS PARAM_END,
};
static const struct rpc_param name_params[] = {
	PARAM_NAME(true, CONF_NAME_MAX - 1, "the controller"), PARAM_END};
static const struct rpc_param maybe_name_params[] = {
	{"name", RPC_STRING, false, 1, CONF_NAME_MAX - 1, "only this controller"}, PARAM_END};
static const struct rpc_param maybe_controller_params[] = {
	{"controller", RPC_STRING, false, 1, CONF_NAME_MAX - 1, "only those of this controller"},
	PARAM_END};
static const struct rpc_param identify_params[] = {
	{"controller", RPC_STRING, true, 1, CONF_NAME_MAX - 1, "the controller"},
	{"cns", RPC_INTEGER, true, 0, 255, "controller or namespace structure"},
	{"nsid", RPC_INTEGER, false, 0, UINT32_MAX, "namespace id; default 0"},
	{"cntid", RPC_INTEGER, false, 0, 65535, "controller identifier; default 0"},
	{"csi", RPC_INTEGER, false, 0, 255, "command set identifier; default 0"},
	{"cns_specific", RPC_INTEGER, false, 0, 65535, "CNS specific identifier; default 0"},
	PARAM_END,
};

const struct rpc_method controller_methods[] = {
	{"attach_controller", RPC_RIGHT_ADMIN, attach_params,
	 "Start a controller and make it available to clients. Parameters that make sense for "
	 "fabrics (RDMA) only are refused for other transports. The three times of recovery must "
	 "be in the order reconnect_delay_sec, fast_io_fail_timeout_sec, ctrlr_loss_timeout_sec. A "
	 "discovery controller can be attached too, for its admin commands; it takes no I/O.",
	 "{name, namespaces: [nsid, …]}", attach_controller},
	{"detach_controller", RPC_RIGHT_ADMIN, name_params,
	 "Shut a controller down and let go of it. EBUSY with data.holders while clients have it "
	 "open. The start of one that is being attached, or tried again and again, is given up.",
	 "true", detach_controller},
	{"reset_controller", RPC_RIGHT_ADMIN, name_params,
	 "Disable and enable a controller. Commands in flight complete with Command Aborted due to "
	 "SQ Deletion; clients go on afterwards. One for fabrics is disabled and connected anew, "
	 "and commands in flight are repeated as after a loss of the connection.",
	 "true", reset_controller},
	{"reset_subsystem", RPC_RIGHT_ADMIN, name_params,
	 "NVM subsystem reset (NSSR): all controllers of the subsystem lose their queues. For the "
	 "clients of this one it is as reset_controller. EOPNOTSUPP where CAP.NSSRS is 0.",
	 "true", reset_subsystem},
	{"get_controllers", RPC_RIGHT_USER, maybe_name_params,
	 "Show controllers with their connections, namespaces and the clients' queue pairs. state "
	 "is attaching, ready (also while the connection is lost), resetting, failed or detaching. "
	 "connection.state is none, up, reconnecting (commands wait), failing (they end with a "
	 "path error) or holding (up again; what may not be repeated yet waits); times are in "
	 "milliseconds from now, null for never. While a controller is being attached, attempts, "
	 "next_attempt_ms and reason are about that. What hasn't been identified yet lacks what "
	 "follows from it.",
	 "an array of {name, state, trtype, traddr, …, connection: {state, lost, attempts, "
	 "lost_for_ms, next_attempt_ms, fast_io_fail_ms, ctrlr_loss_ms, hold_ms, keep_alive_ms, "
	 "reason}, options: {num_io_queues, …}, model, serial, firmware, subnqn, hostnqn (null but "
	 "for fabrics), hostid (for fabrics), cntlid, vs, discovery, ana, numa_node (-1: unknown), "
	 "max_transfer, max_segments, resets, io_queues: {granted, used}, namespaces, qpairs}",
	 get_controllers},
	{"get_namespaces", RPC_RIGHT_USER, maybe_controller_params, "Show active namespaces.",
	 "an array of {controller, nsid, size, blocks, block_size, metadata_size, boundary_blocks, "
	 "csi}, with nguid and uuid where there are, and ana_group and ana_state (optimized, "
	 "non-optimized, inaccessible, persistent-loss, change) where the controller reports them",
	 get_namespaces},
	{"identify", RPC_RIGHT_USER, identify_params,
	 "Send Identify. CNS 1 (controller) and 0 (namespace) are decoded with the keys of "
	 "nvme-cli. A number beyond 2^63 - 1, which many JSON libraries can't read, is a string of "
	 "decimal digits.",
	 "an object of fields; for other CNS values {data: 4096 bytes in hexadecimal digits}",
	 identify},
	{"open_controller", RPC_RIGHT_USER, name_params,
	 "Open a controller in the session, before queue pairs and commands on it. The session's "
	 "I/O memory is mapped for it.",
	 "{name, cap, vs, cc, csts, max_transfer, max_queue_entries, max_io_qpairs, admin_depth, "
	 "max_segs, sgl} and two descriptors: the admin ring and its wake-up socket",
	 open_controller},
	{"close_controller", RPC_RIGHT_USER, name_params,
	 "Close a controller in the session; its queue pairs there are freed, once their commands "
	 "have ended.",
	 "true", close_controller},
	{NULL, 0, NULL, NULL, NULL, NULL},
};
