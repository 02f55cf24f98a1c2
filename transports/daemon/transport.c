// SPDX-License-Identifier: BSD-3-Clause
/*
 * A daemon's controllers as one more transport: enumerate, open, close, registers, reset.
 *
 * Happy path: enumerate asks get_controllers; open_controller brings a snapshot of the registers,
 * the limits, and the admin ring; libcore does the rest over that ring, as with any controller;
 * close_controller ends it, and the last one closes the connection.
 *
 * Failure modes. Every answer is checked before it is believed. A daemon that doesn't answer
 * close_controller isn't waited for: what it still has of us goes with the connection. One that
 * doesn't answer reset_controller in time: the reset fails, nothing else does.
 */
#include <errno.h>
#include <string.h>
#include "transports/daemon/conn.h"

#define ENUMERATE_TIMEOUT_MS 10000
#define CLOSE_TIMEOUT_MS     5000
#define RESET_MARGIN_MS      60000 /* of a reset, besides what CAP.TO allows */
#define CTRLRS_LISTED_MAX    4096
#define REG_CAP              0x00
#define REG_VS               0x08
#define REG_CC               0x14
#define REG_CSTS             0x1c

/* ---- enumeration ---- */

struct enumeration {
	struct daemon_conn *conn;
	struct nvmux_trid trid;
	nvmux_found_fn found;
	nvmux_done_fn done;
	void *arg;
};

static int enumerate_answer(struct daemon_op *op, struct rpc_response *response,
			    uint64_t *ret_value)
{
	struct enumeration *e = op->arg;
	struct nvmux_trid trid = e->trid;
	size_t n = json_array_size(response->result);

	if (!json_is_array(response->result) || n > CTRLRS_LISTED_MAX)
		return nvmux_error(e->conn->nvmux, -EPROTO, "%s: %s: the answer is no list",
				   e->conn->path, op->method);
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(response->result, i);
		const char *name = json_string_value(json_object_get(item, "name"));

		if (!name || !name[0] || strlen(name) >= sizeof(trid.trsvcid))
			return nvmux_error(e->conn->nvmux, -EPROTO,
					   "%s: %s: a controller without a usable name",
					   e->conn->path, op->method);
		snprintf(trid.trsvcid, sizeof(trid.trsvcid), "%s", name);
		e->found(e->arg, &trid);
	}
	return 0;
}

static void enumerate_done(void *arg, int err, uint64_t value)
{
	struct enumeration e = *(struct enumeration *)arg;

	free(arg);
	e.done(e.arg, err, value);
	daemon_conn_put(e.conn);
}

static void enumerate(struct nvmux *nvmux, const struct nvmux_trid *trid, nvmux_found_fn found,
		      nvmux_done_fn done, void *arg)
{
	struct enumeration *e = calloc(1, sizeof(*e));
	struct daemon_op *op;
	json_t *params;
	int rc;

	rc = e ? daemon_conn_get(nvmux, trid->traddr, NULL, &e->conn) : -ENOMEM;
	if (rc < 0) {
		free(e);
		done(arg, rc, 0);
		return;
	}
	e->trid = *trid;
	e->found = found;
	e->done = done;
	e->arg = arg;
	op = daemon_op_new(e->conn, NULL, "get_controllers", enumerate_done, e);
	if (!op)
		return;
	op->answer = enumerate_answer;
	params = json_object();
	if (trid->trsvcid[0])
		json_object_set_new(params, "name", json_string(trid->trsvcid));
	daemon_op_send(op, params, ENUMERATE_TIMEOUT_MS);
}

/* ---- controllers ---- */

static int ctrlr_alloc(struct nvmux *nvmux, const struct nvmux_trid *trid, struct nvmux_ctrlr **ret)
{
	struct daemon_ctrlr *dc = calloc(1, sizeof(*dc));

	if (!dc)
		return -ENOMEM;
	dc->admin_ring.wake_fd = -1;
	*ret = &dc->base;
	return 0;
}

void daemon_ctrlr_hold(struct daemon_ctrlr *dc)
{
	dc->users++;
}

void daemon_ctrlr_release(struct daemon_ctrlr *dc)
{
	if (--dc->users == 0 && dc->freed)
		free(dc);
}

static void ctrlr_free(struct nvmux_ctrlr *ctrlr)
{
	struct daemon_ctrlr *dc = daemon_ctrlr(ctrlr);

	dc->freed = true;
	if (dc->users == 0)
		free(dc);
}

static json_t *name_param(const struct daemon_ctrlr *dc)
{
	return json_pack("{s:s}", "name", dc->base.trid.trsvcid);
}

static int take_registers(struct daemon_op *op, const json_t *result)
{
	struct daemon_ctrlr *dc = op->ctrlr;
	uint64_t vs, cc, csts;
	int rc;

	rc = daemon_get_reg(op, result, "cap", UINT64_MAX, &dc->cap);
	if (rc == 0)
		rc = daemon_get_reg(op, result, "vs", UINT32_MAX, &vs);
	if (rc == 0)
		rc = daemon_get_reg(op, result, "cc", UINT32_MAX, &cc);
	if (rc == 0)
		rc = daemon_get_reg(op, result, "csts", UINT32_MAX, &csts);
	if (rc < 0)
		return rc;
	dc->vs = (uint32_t)vs;
	dc->cc = (uint32_t)cc;
	dc->csts = dc->base.csts = (uint32_t)csts; /* libcore reads it while waiting only */
	return 0;
}

/* Scatter lists; a daemon with rings of version 1.0 doesn't mention them. */
static int take_pieces(struct daemon_op *op, const json_t *result)
{
	struct nvmux_ctrlr *ctrlr = &op->ctrlr->base;
	uint64_t max_segs = 1;
	int rc = 0;

	if (json_object_get(result, "max_segs"))
		rc = daemon_get_uint(op, result, "max_segs", 1, UINT32_MAX, &max_segs);
	if (rc < 0)
		return rc;
	ctrlr->max_segs = (uint32_t)MIN(max_segs, (uint64_t)NVMUX_RING_LIST_PER_CMD);
	ctrlr->sgl = json_is_true(json_object_get(result, "sgl"));
	return 0;
}

static int take_limits(struct daemon_op *op, const json_t *result)
{
	struct nvmux_ctrlr *ctrlr = &op->ctrlr->base;
	uint64_t max_transfer, entries, qpairs;
	int rc;

	rc = daemon_get_uint(op, result, "max_transfer", 512, UINT32_MAX, &max_transfer);
	if (rc == 0)
		rc = daemon_get_uint(op, result, "max_queue_entries", 2, 65536, &entries);
	if (rc == 0)
		rc = daemon_get_uint(op, result, "max_io_qpairs", 0, UINT32_MAX, &qpairs);
	if (rc < 0)
		return rc;
	ctrlr->max_transfer = (uint32_t)MIN(max_transfer, (uint64_t)NVMUX_XFER_MAX);
	ctrlr->max_queue_entries = (uint32_t)entries;
	ctrlr->max_io_qpairs = (uint32_t)MIN(qpairs, (uint64_t)UINT16_MAX);
	return take_pieces(op, result);
}

static int open_answer(struct daemon_op *op, struct rpc_response *response, uint64_t *ret_value)
{
	struct daemon_ctrlr *dc = op->ctrlr;
	char why[128];
	int rc;

	dc->opened = true; /* whatever comes, it has to be closed */
	rc = take_registers(op, response->result);
	if (rc == 0)
		rc = take_limits(op, response->result);
	if (rc == 0)
		rc = daemon_check_fds(op, response, 2);
	if (rc < 0)
		return rc;
	rc = ring_client_map(&dc->admin_ring, response->fds[0], response->fds[1], why, sizeof(why));
	if (rc < 0)
		return nvmux_error(dc->base.nvmux, rc, "%s: admin ring of %s: %s", op->conn->path,
				   dc->base.trid.trsvcid, why);
	response->fds[0] = response->fds[1] = -1;
	if (dc->admin_ring.depth <= NVMUX_ADMIN_RESERVED)
		return nvmux_error(dc->base.nvmux, -EPROTO,
				   "%s: admin ring of %s: its depth is %u, at least %u is needed",
				   op->conn->path, dc->base.trid.trsvcid, dc->admin_ring.depth,
				   NVMUX_ADMIN_RESERVED + 1);
	daemon_mem_ctrlr_opened(dc);
	return 0;
}

/* The controller was closed before the answer came. */
static void open_late(struct daemon_op *op, struct rpc_response *response)
{
	json_t *name = json_object_get(response->result, "name");

	daemon_tell(op->conn, "close_controller", json_pack("{s:O}", "name", name));
}

static void ctrlr_open(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct daemon_ctrlr *dc = daemon_ctrlr(ctrlr);
	const char *name = ctrlr->trid.trsvcid;
	struct daemon_op *op;
	int rc;

	if (!name[0]) {
		done(arg,
		     nvmux_error(ctrlr->nvmux, -EINVAL,
				 "trsvcid is empty; it must be the name of a controller of the "
				 "daemon (nvmux list shows them)"),
		     0);
		return;
	}
	rc = daemon_conn_get(ctrlr->nvmux, ctrlr->trid.traddr, name, &dc->conn);
	if (rc < 0) {
		dc->conn = NULL;
		done(arg, rc, 0);
		return;
	}
	TAILQ_INSERT_TAIL(&dc->conn->ctrlrs, dc, link);
	op = daemon_op_new(dc->conn, dc, "open_controller", done, arg);
	if (!op)
		return;
	op->answer = open_answer;
	op->late = open_late;
	daemon_op_send(op, name_param(dc), 0); /* libcore has a deadline for this step */
}

/* Operations of this controller end; what they had begun in the daemon goes with its closing. */
static void cancel_ops(struct daemon_ctrlr *dc)
{
	struct daemon_op *op;

again:
	TAILQ_FOREACH (op, &dc->conn->ops, link) {
		if (op->ctrlr == dc) {
			daemon_op_end(op, -ECANCELED, 0);
			goto again; /* the list may have changed */
		}
	}
}

/* Always a success: the daemon's own errors can't keep us from letting go. */
static void close_done(void *arg, int err, uint64_t value)
{
	struct daemon_ctrlr *dc = arg;
	struct daemon_conn *conn = dc->conn;

	TAILQ_REMOVE(&conn->ctrlrs, dc, link);
	dc->conn = NULL;
	dc->opened = false;
	dc->close_done(dc->close_arg, 0, 0);
	daemon_conn_put(conn);
}

static void ctrlr_close(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct daemon_ctrlr *dc = daemon_ctrlr(ctrlr);
	struct daemon_op *op;

	daemon_adminq_unwatch(dc);
	ring_client_unmap(&dc->admin_ring);
	if (!dc->conn) {
		done(arg, 0, 0);
		return;
	}
	dc->close_done = done;
	dc->close_arg = arg;
	cancel_ops(dc);
	daemon_mem_ctrlr_closes(dc);
	if (!dc->opened || dc->conn->err) {
		close_done(dc, 0, 0);
		return;
	}
	op = daemon_op_new(dc->conn, NULL, "close_controller", close_done, dc);
	if (op)
		daemon_op_send(op, name_param(dc), CLOSE_TIMEOUT_MS);
}

/* ---- registers ---- */

static void reg_read(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size, nvmux_done_fn done,
		     void *arg)
{
	const struct daemon_ctrlr *dc = daemon_ctrlr(ctrlr);

	switch (offset) {
	case REG_CAP: done(arg, 0, dc->cap); return;
	case REG_VS: done(arg, 0, dc->vs); return;
	case REG_CC: done(arg, 0, dc->cc); return;
	case REG_CSTS: done(arg, 0, dc->csts); return;
	default:
		done(arg,
		     nvmux_error(ctrlr->nvmux, -EACCES,
				 "register %#x can't be read through the daemon", offset),
		     0);
	}
}

static void reg_write(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size, uint64_t value,
		      nvmux_done_fn done, void *arg)
{
	done(arg,
	     nvmux_error(ctrlr->nvmux, -EACCES, "registers can't be written through the daemon"),
	     0);
}

/* ---- reset ---- */

/*
 * What the controller may take to become not ready and ready again, CAP.TO each (in units of
 * 500 ms), and the daemon for the rest: queue pairs that are given back, admin commands.
 */
static uint32_t reset_timeout_ms(const struct daemon_ctrlr *dc)
{
	return 2 * MAX((uint32_t)NVME_CAP_TO(dc->cap), 1u) * 500 + RESET_MARGIN_MS;
}

static void managed_reset(struct nvmux_ctrlr *ctrlr, bool subsystem, nvmux_done_fn done, void *arg)
{
	struct daemon_ctrlr *dc = daemon_ctrlr(ctrlr);
	struct daemon_op *op;

	if (!dc->conn) {
		done(arg, nvmux_error(ctrlr->nvmux, -ENXIO, "the controller is closed"), 0);
		return;
	}
	op = daemon_op_new(dc->conn, dc, subsystem ? "reset_subsystem" : "reset_controller", done,
			   arg);
	if (op)
		daemon_op_send(op, name_param(dc), reset_timeout_ms(dc));
}

const struct nvmux_transport daemon_transport = {
	.trtype = NVMUX_TRTYPE_DAEMON,
	.flags = NVMUX_TRANSPORT_MANAGED,
	.context_end = daemon_context_end,
	.enumerate = enumerate,
	.ctrlr_alloc = ctrlr_alloc,
	.ctrlr_free = ctrlr_free,
	.ctrlr_open = ctrlr_open,
	.ctrlr_close = ctrlr_close,
	.reg_read = reg_read,
	.reg_write = reg_write,
	.mem_alloc = daemon_mem_alloc,
	.mem_free = daemon_mem_free,
	.mem_map = daemon_mem_map,
	.mem_unmap = daemon_mem_unmap,
	.qpair_create = daemon_qpair_create,
	.qpair_destroy = daemon_qpair_destroy,
	.qpair_connect = daemon_qpair_connect,
	.qpair_disconnect = daemon_qpair_disconnect,
	.submit = ring_qpair_submit,
	.read = ring_qpair_read,
	.write = ring_qpair_write,
	.process = ring_qpair_process,
	.qpair_get_fd = daemon_qpair_get_fd,
	.qpair_arm = daemon_qpair_arm,
	.managed_reset = managed_reset,
};
