// SPDX-License-Identifier: BSD-3-Clause
/*
 * One connection: from an address to a queue pair that the controller knows, and back.
 *
 * The happy path, each step an event of the connection manager: the address is resolved to a device
 * ──► the route is resolved, the RDMA queue pair is made ──► the target accepts ──► Fabrics Connect
 * is sent on it ──► its answer. And the way back: the connection manager is told, the RDMA queue
 * pair flushes, both are destroyed.
 *
 *      NONE ──► ADDR ──► ROUTE ──► ACCEPT ──► COMMAND ──► UP
 *                ▲                    │           │        │
 *                └───── STALE ◄───────┘           └► FLUSH ◄┘ ──► NONE
 *                         ▲──────────────────────────────┘
 *
 * Failure modes.
 * - Until Connect is sent nothing has been posted: what fails is destroyed at once. Later the queue
 *   pair is flushed first, then the connect ends with the text of what had failed.
 * - The target still holds an earlier connection from here (stale), or its queue of this identifier
 *   (Command Sequence Error; it frees queues some time after their connections): it is tried again.
 * - No answer: the connection manager's own patience is that of minutes, ours admin_timeout_ms.
 * - A connection that works is lost: libcore decides what follows. The queue pair stays as it is
 *   until it is quiet, and is connected anew or destroyed.
 * - rdma_conn_end() in any state: the call under way ends with -ECANCELED; ENDED, nothing follows.
 * - The device is removed: as any failure, and rdma_ctrlr.c lets go of the device afterwards.
 */
#include <errno.h>
#include <string.h>

#include "rdma_int.h"

#define CONN_ROUTE_MS      2000
#define CONN_TICK_MS       1
#define CONN_FLUSH_MS      1000 /* then the RDMA queue pair is destroyed as it is */
#define CONN_STALE_MS      100
#define CONN_STALE_RETRIES 10
/* Soft-RoCE takes 7 transport retries for endless ones, as 7 RNR retries are everywhere: a queue
 * pair whose other end is gone without a word would hang. */
#define CONN_RETRIES     6
#define CONN_RNR_RETRIES 7
#define CONN_READS_MAX     128 /* RDMA reads of the target at the same time */

enum conn_state {
	CONN_NONE,    /* no id */
	CONN_ADDR,    /* rdma_resolve_addr() */
	CONN_ROUTE,   /* rdma_resolve_route() */
	CONN_ACCEPT,  /* rdma_connect() */
	CONN_COMMAND, /* Fabrics Connect */
	CONN_UP,
	CONN_STALE, /* waits to try again; no id */
	CONN_FLUSH, /* disconnected, work requests are still to come back */
	CONN_ENDED, /* to be destroyed */
	CONN_STATE_COUNT,
};

#define TO(s) (1u << CONN_##s)

static const struct {
	const char *name;
	uint16_t next;
} conn_states[CONN_STATE_COUNT] = {
	[CONN_NONE] = {"not connected", TO(ADDR) | TO(ENDED)},
	[CONN_ADDR] = {"resolving the address", TO(ROUTE) | TO(NONE) | TO(ENDED)},
	[CONN_ROUTE] = {"resolving the route", TO(ACCEPT) | TO(NONE) | TO(ENDED)},
	[CONN_ACCEPT] = {"waiting for the target to accept",
			 TO(COMMAND) | TO(STALE) | TO(NONE) | TO(ENDED)},
	[CONN_COMMAND] = {"waiting for the answer to Connect",
			  TO(UP) | TO(FLUSH) | TO(NONE) | TO(ENDED)},
	[CONN_UP] = {"connected", TO(FLUSH) | TO(NONE) | TO(ENDED)},
	[CONN_STALE] = {"waiting to try again", TO(ADDR) | TO(NONE) | TO(ENDED)},
	[CONN_FLUSH] = {"flushing", TO(STALE) | TO(NONE) | TO(ENDED)},
	[CONN_ENDED] = {"ended", TO(NONE) | TO(ENDED) | TO(FLUSH)},
};

static struct rdma_ctrlr *conn_rc(const struct rdma_qpair *q)
{
	return rdma_ctrlr(q->base.ctrlr);
}

static struct nvmux *conn_nvmux(const struct rdma_qpair *q)
{
	return q->base.ctrlr->nvmux;
}

static void conn_move(struct rdma_qpair *q, enum conn_state state)
{
	const struct nvmux_ctrlr *ctrlr = q->base.ctrlr;

	NVMUX_ASSERT(conn_states[q->conn.state].next >> state & 1);
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_DEBUG, "rdma", "%s: queue %u: %s → %s",
		  ctrlr->trid.traddr, q->base.id, conn_states[q->conn.state].name,
		  conn_states[state].name);
	q->conn.state = (uint8_t)state;
}

/* The context's error text: who, which queue, and why. */
__attribute__((format(printf, 3, 4))) static int conn_error(const struct rdma_qpair *q, int err,
							    const char *fmt, ...)
{
	const struct nvmux_trid *trid = &q->base.ctrlr->trid;
	char why[256], queue[32] = "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (q->base.id)
		snprintf(queue, sizeof(queue), "I/O queue %u: ", q->base.id);
	return nvmux_error(conn_nvmux(q), err,
			   strchr(trid->traddr, ':') ? "[%s]:%s: %s%s" : "%s:%s: %s%s",
			   trid->traddr, trid->trsvcid[0] ? trid->trsvcid : "4420", queue, why);
}

static const char *device_name(const struct rdma_cm_id *id)
{
	return id->verbs ? ibv_get_device_name(id->verbs->device) : "";
}

/* ---- the way back ---- */

static void conn_retry(void *arg);

static void conn_drop_id(struct rdma_qpair *q)
{
	struct rdma_cm_id *id = q->conn.id;

	rdma_qpair_unmake(q);
	q->conn.id = NULL;
	rdma_ctrlr_put_id(conn_rc(q), id);
}

static void conn_try_again(struct rdma_qpair *q)
{
	conn_drop_id(q);
	conn_move(q, CONN_STALE);
	nvmux_timer_set(conn_nvmux(q), &q->conn.timer, CONN_STALE_MS, conn_retry, q);
}

void rdma_conn_destroy(struct rdma_qpair *q)
{
	nvmux_timer_cancel(conn_nvmux(q), &q->conn.timer);
	if (q->conn.id) {
		/* The target learns it early; fails where it knows already. */
		rdma_disconnect(q->conn.id);
		conn_drop_id(q);
	}
	if (q->conn.state != CONN_NONE)
		conn_move(q, CONN_NONE);
}

/* Nothing has been posted: it ends here. */
static void conn_fail(struct rdma_qpair *q, int err)
{
	NVMUX_ASSERT(q->conn.state < CONN_COMMAND || q->conn.state == CONN_STALE);
	rdma_conn_destroy(q);
	nvmux_call_end(&q->conn.call, err, 0);
}

static void conn_flush_tick(void *arg)
{
	struct rdma_qpair *q = arg;
	struct rdma_ctrlr *rc = conn_rc(q);
	bool freed = false;
	int quiet;

	nvmux_timer_set(conn_nvmux(q), &q->conn.timer, CONN_TICK_MS, conn_flush_tick, q);
	rc->freed = &freed;
	quiet = rdma_qpair_flush(q); /* may call callbacks of others */
	if (freed)
		return;
	rc->freed = NULL;
	if (!rdma_ctrlr_has(rc, q) || q->conn.state != CONN_FLUSH)
		return;
	if (quiet != 1 && nvmux_now_ms() < q->conn.flushed_ms)
		return;
	if (q->conn.err == -EAGAIN && nvmux_now_ms() + 2 * CONN_STALE_MS < q->conn.deadline_ms) {
		conn_try_again(q);
		return;
	}
	if (q->conn.err == -EAGAIN)
		q->conn.err = -EBUSY; /* there it was given up */
	rdma_conn_destroy(q);
	if (q->conn.err)
		nvmux_error(conn_nvmux(q), q->conn.err, "%s", q->conn.why);
	nvmux_call_end(&q->conn.call, q->conn.err, 0);
}

/* @err 0: a disconnect; else what the connect under way ends with, with the error text of now. */
static void conn_flush(struct rdma_qpair *q, int err)
{
	struct nvmux *nvmux = conn_nvmux(q);

	q->conn.err = err;
	if (err)
		snprintf(q->conn.why, sizeof(q->conn.why), "%s", nvmux_error_text(nvmux));
	conn_move(q, CONN_FLUSH);
	rdma_disconnect(q->conn.id); /* fails where the target was first */
	q->conn.flushed_ms = nvmux_now_ms() + CONN_FLUSH_MS;
	nvmux_timer_set(nvmux, &q->conn.timer, 0, conn_flush_tick, q);
}

void rdma_conn_disconnect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct rdma_qpair *q = rdma_qpair(qpair);

	NVMUX_ASSERT(!q->conn.call.done);
	if (!q->conn.id) {
		done(arg, 0, 0);
		return;
	}
	q->conn.call = (struct nvmux_call){done, arg};
	conn_flush(q, 0);
}

void rdma_conn_end(struct rdma_qpair *q)
{
	enum conn_state state = q->conn.state;

	nvmux_timer_cancel(conn_nvmux(q), &q->conn.timer);
	conn_move(q, CONN_ENDED);
	if (q->conn.id)
		rdma_disconnect(q->conn.id);
	/* Both end the call, and may destroy the queue pair. */
	if (state == CONN_COMMAND)
		rdma_qpair_cancel_connect(q, -ECANCELED);
	else
		nvmux_call_end(&q->conn.call, -ECANCELED, 0);
}

/* For a connect as a whole: a little less than libcore's own deadline, which knows less to say. */
static uint32_t conn_patience_ms(const struct rdma_qpair *q)
{
	uint32_t ms = q->base.ctrlr->opts.admin_timeout_ms;

	return ms - ms / 10;
}

static void conn_set_deadline(struct rdma_qpair *q, void (*expired)(void *arg))
{
	uint64_t now = nvmux_now_ms();

	nvmux_timer_set(conn_nvmux(q), &q->conn.timer,
			q->conn.deadline_ms > now ? (uint32_t)(q->conn.deadline_ms - now) : 0,
			expired, q);
}

/* ---- Fabrics Connect ---- */

static void conn_commanded(void *arg, int err, uint64_t value)
{
	struct rdma_qpair *q = arg;
	uint16_t cntlid = 0;
	char why[256];

	if (q->conn.state != CONN_COMMAND) {
		nvmux_call_end(&q->conn.call, err, 0);
		return;
	}
	nvmux_timer_cancel(conn_nvmux(q), &q->conn.timer);
	if (!err) {
		err = fabrics_connect_result((uint32_t)value, &cntlid, why, sizeof(why));
		if (err)
			conn_error(q, err, "%s", why);
	}
	if (err) {
		conn_flush(q, err);
		return;
	}
	if (!q->base.id)
		conn_rc(q)->cntlid = cntlid;
	conn_move(q, CONN_UP);
	nvmux_call_end(&q->conn.call, 0, 0);
}

void rdma_conn_look(struct rdma_qpair *q)
{
	const char *why = "";

	/* False: perhaps it has answered, and everything has gone. */
	if (!rdma_qpair_look(q, &why))
		return;
	if (q->conn.state == CONN_COMMAND)
		rdma_qpair_cancel_connect(q, conn_error(q, -EIO, "%s", why));
	else if (q->conn.state == CONN_UP)
		rdma_ctrlr_lost(conn_rc(q), conn_error(q, -EIO, "connection lost: %s", why));
}

static void conn_command_expired(void *arg)
{
	struct rdma_qpair *q = arg;

	rdma_qpair_cancel_connect(q, conn_error(q, -ETIMEDOUT,
						"the target didn't answer Connect within %u ms",
						conn_patience_ms(q)));
}

static void conn_command(struct rdma_qpair *q)
{
	const struct nvmux_ctrlr *ctrlr = q->base.ctrlr;
	const char *subnqn = ctrlr->trid.subnqn[0] ? ctrlr->trid.subnqn : NVMUX_DISCOVERY_NQN;
	struct fabrics_connect_data data;
	struct nvmux_cmd cmd;

	fabrics_connect(&cmd, &data, q->base.id, q->hsqsize, ctrlr->opts.keep_alive_timeout_ms,
			q->base.id ? conn_rc(q)->cntlid : FABRICS_CNTLID_DYNAMIC, subnqn,
			&ctrlr->opts);
	conn_move(q, CONN_COMMAND);
	conn_set_deadline(q, conn_command_expired);
	rdma_qpair_send_connect(q, &cmd, &data, conn_commanded, q);
}

/* ---- from an address to a queue pair ---- */

static void conn_expired(void *arg)
{
	struct rdma_qpair *q = arg;

	conn_fail(q, conn_error(q, -ETIMEDOUT, "no answer within %u ms while %s",
				conn_patience_ms(q), conn_states[q->conn.state].name));
}

/* What the connection manager says of an address or a route; @err negative. */
static int conn_resolve_error(struct rdma_qpair *q, int err)
{
	const struct nvmux_trid *trid = &q->base.ctrlr->trid;

	switch (-err) {
	case ENODEV: return conn_error(q, -ENODEV, "no RDMA device reaches this address");
	case EADDRNOTAVAIL:
		return conn_error(q, err, "host_traddr '%s' is no address of this host",
				  trid->host_traddr);
	case ENETUNREACH: return conn_error(q, err, "no route to this address");
	case ETIMEDOUT:
	case EHOSTUNREACH:
		return conn_error(q, -EHOSTUNREACH, "no route: nobody answers at this address (%s)",
				  strerror(-err));
	default: return conn_error(q, err, "can't resolve the address: %s", strerror(-err));
	}
}

/*
 * The kernel looks for a neighbour when it hears that one has answered, and when the time is over:
 * an answer that comes at once, before it listens, is seen only then. So the time comes in pieces.
 */
static const uint16_t conn_resolve_ms[] = {200, 500, 1300};

static int conn_resolve(struct rdma_qpair *q)
{
	struct rdma_ctrlr *rc = conn_rc(q);
	struct sockaddr *src = rc->src.ss_family ? (struct sockaddr *)&rc->src : NULL;
	int ms = conn_resolve_ms[q->conn.resolves++];

	if (rdma_resolve_addr(q->conn.id, src, (struct sockaddr *)&rc->dst, ms))
		return conn_resolve_error(q, -errno);
	return 0;
}

static int conn_start(struct rdma_qpair *q)
{
	conn_move(q, CONN_ADDR);
	q->conn.resolves = 0;
	if (rdma_create_id(conn_rc(q)->events, &q->conn.id, q, RDMA_PS_TCP)) {
		int err = -errno;

		q->conn.id = NULL;
		if (err == -ENODEV || err == -ENOENT)
			return conn_error(q, -ENODEV, "no RDMA device on this machine");
		return conn_error(q, err, "rdma_create_id: %s", strerror(-err));
	}
	conn_set_deadline(q, conn_expired);
	return conn_resolve(q);
}

static int conn_set_ack_timeout(struct rdma_qpair *q)
{
	uint8_t timeout = (uint8_t)q->base.ctrlr->opts.transport_ack_timeout;

	if (!timeout || !rdma_set_option(q->conn.id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT,
					 &timeout, sizeof(timeout)))
		return 0;
	return conn_error(q, -errno, "transport_ack_timeout %u can't be set: %s", timeout,
			  strerror(errno));
}

/* The route is known, and so is the device: make the queue pair, and ask the target for its own. */
static int conn_request(struct rdma_qpair *q)
{
	struct rdma_ctrlr *rc = conn_rc(q);
	struct rdma_conn_param param = {
		.private_data = &q->conn.request,
		.private_data_len = sizeof(q->conn.request),
		.flow_control = 1,
		.retry_count = CONN_RETRIES,
		.rnr_retry_count = CONN_RNR_RETRIES,
	};
	int err = rdma_ctrlr_use_device(rc, q->conn.id->verbs);

	if (!err)
		err = rdma_qpair_make(q, q->conn.id);
	if (!err)
		err = conn_set_ack_timeout(q);
	if (err)
		return err;
	/* The target reads from here and writes to here; nothing is read from there. */
	param.responder_resources = (uint8_t)MIN(rc->attr.max_qp_rd_atom, CONN_READS_MAX);
	param.initiator_depth = (uint8_t)MIN(rc->attr.max_qp_init_rd_atom, 1);
	fabrics_rdma_request(&q->conn.request, q->base.id,
			     (uint16_t)MIN(q->hsqsize + 1u, UINT16_MAX), q->hsqsize,
			     q->base.id ? rc->cntlid : FABRICS_CNTLID_DYNAMIC);
	if (rdma_connect(q->conn.id, &param))
		return conn_error(q, -errno, "rdma_connect: %s", strerror(errno));
	return 0;
}

static int conn_established(struct rdma_qpair *q, const struct rdma_conn_param *param)
{
	uint16_t crqsize;

	if (fabrics_rdma_accept(param->private_data, param->private_data_len, &crqsize))
		return conn_error(q, -EPROTO,
				  "the target accepted with private data of %u bytes that aren't "
				  "those of NVMe over RDMA",
				  param->private_data_len);
	rdma_qpair_accepted(q, le16_to_cpu(q->conn.request.hsqsize), crqsize);
	return 0;
}

static void conn_retry(void *arg)
{
	struct rdma_qpair *q = arg;
	int err = conn_start(q);

	if (err)
		conn_fail(q, err);
}

static void conn_rejected(struct rdma_qpair *q, const struct rdma_cm_event *event)
{
	const struct rdma_conn_param *param = &event->param.conn;
	char why[256];
	bool stale;
	int err = fabrics_rdma_reject(param->private_data, param->private_data_len, event->status,
				      q->base.id, &q->conn.request, why, sizeof(why), &stale);

	if (!stale || q->conn.retries++ >= CONN_STALE_RETRIES) {
		conn_fail(q, conn_error(q, err, "%s", why));
		return;
	}
	conn_try_again(q);
}

void rdma_conn_connect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct rdma_qpair *q = rdma_qpair(qpair);
	struct nvmux_ctrlr *ctrlr = qpair->ctrlr;
	struct rdma_ctrlr *rc = conn_rc(q);
	int err = 0;

	NVMUX_ASSERT(!q->conn.call.done);
	if (rc->closing) {
		done(arg, -ECANCELED, 0);
		return;
	}
	if (q->base.id) {
		rdma_conn_destroy(q);
	} else {
		rdma_ctrlr_begin(rc);
		/* The interface may have another address by now. */
		err = rdma_conn_addresses(ctrlr->nvmux, &ctrlr->trid, &rc->dst, &rc->src);
	}
	if (err) {
		done(arg, err, 0);
		return;
	}
	q->conn.call = (struct nvmux_call){done, arg};
	q->conn.retries = 0;
	q->conn.err = 0;
	q->conn.deadline_ms = nvmux_now_ms() + conn_patience_ms(q);
	err = conn_start(q);
	if (err)
		conn_fail(q, err);
}

/* ---- events ---- */

static int conn_event_error(struct rdma_qpair *q, const struct rdma_cm_event *event)
{
	switch (event->event) {
	case RDMA_CM_EVENT_UNREACHABLE:
		return conn_error(q, -EHOSTUNREACH,
				  "no route: nobody answers the connection request (status %d)",
				  event->status);
	case RDMA_CM_EVENT_DISCONNECTED:
		return conn_error(q, -ECONNRESET, "the target disconnected while %s",
				  conn_states[q->conn.state].name);
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		return conn_error(q, -ENODEV, "RDMA device %s removed", device_name(event->id));
	default:
		return conn_error(q, -ECONNABORTED, "%s while %s (status %d)",
				  rdma_event_str(event->event), conn_states[q->conn.state].name,
				  event->status);
	}
}

static void conn_lost(struct rdma_qpair *q, const struct rdma_cm_event *event)
{
	int err;

	switch (event->event) {
	case RDMA_CM_EVENT_DISCONNECTED:
		err = conn_error(q, -ECONNRESET, "connection lost: the target disconnected");
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		err = conn_error(q, -ENODEV, "connection lost: RDMA device %s removed",
				 device_name(event->id));
		break;
	case RDMA_CM_EVENT_ADDR_CHANGE:
		err = conn_error(q, -ECONNABORTED,
				 "connection lost: the address has moved to "
				 "another device");
		break;
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
		err = conn_error(q, -ECONNRESET, "connection lost: it has ended");
		break;
	default: return;
	}
	/* Answers the target, and brings the queue pair to the error state. */
	rdma_disconnect(q->conn.id);
	rdma_ctrlr_lost(conn_rc(q), err);
}

static int conn_unresolved(struct rdma_qpair *q, int status)
{
	if (status == -ETIMEDOUT && q->conn.resolves < ARRAY_SIZE(conn_resolve_ms))
		return conn_resolve(q);
	return conn_resolve_error(q, status < 0 ? status : -EIO);
}

/* The one event that the state waits for. Return: > 0, it wasn't that one. */
static int conn_step(struct rdma_qpair *q, const struct rdma_cm_event *event)
{
	int err;

	switch (q->conn.state) {
	case CONN_ADDR:
		if (event->event == RDMA_CM_EVENT_ADDR_ERROR)
			return conn_unresolved(q, event->status);
		if (event->event != RDMA_CM_EVENT_ADDR_RESOLVED)
			return 1;
		conn_move(q, CONN_ROUTE);
		return rdma_resolve_route(q->conn.id, CONN_ROUTE_MS) ? conn_resolve_error(q, -errno)
								     : 0;
	case CONN_ROUTE:
		if (event->event == RDMA_CM_EVENT_ROUTE_ERROR)
			return conn_resolve_error(q, event->status < 0 ? event->status : -EIO);
		if (event->event != RDMA_CM_EVENT_ROUTE_RESOLVED)
			return 1;
		conn_move(q, CONN_ACCEPT);
		return conn_request(q);
	case CONN_ACCEPT:
		if (event->event != RDMA_CM_EVENT_ESTABLISHED)
			return 1;
		err = conn_established(q, &event->param.conn);
		if (!err)
			conn_command(q);
		return err;
	default: return 1;
	}
}

void rdma_conn_event(struct rdma_qpair *q, const struct rdma_cm_event *event)
{
	int err;

	if (event->event == RDMA_CM_EVENT_DEVICE_REMOVAL)
		rdma_ctrlr_device_removed(conn_rc(q), event->id);
	switch (q->conn.state) {
	case CONN_ADDR:
	case CONN_ROUTE:
	case CONN_ACCEPT:
		if (q->conn.state == CONN_ACCEPT && event->event == RDMA_CM_EVENT_REJECTED) {
			conn_rejected(q, event);
			return;
		}
		err = conn_step(q, event);
		if (err > 0)
			err = conn_event_error(q, event);
		if (err)
			conn_fail(q, err);
		return;
	case CONN_COMMAND: rdma_qpair_cancel_connect(q, conn_event_error(q, event)); return;
	case CONN_UP: conn_lost(q, event); return;
	default: return; /* on the way back already */
	}
}
