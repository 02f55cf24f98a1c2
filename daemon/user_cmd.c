// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands that the control thread sends for a client: from its admin ring, or by RPC.
 *
 * Happy path: a private copy is checked → the region of its data is marked as used → the command
 * goes to the admin queue, or, I/O, to a base hardware queue → the completion goes to the ring or
 * becomes the answer.
 *
 * Failure modes. The check fails: that is the completion. The controller is being reset: Command
 * Aborted due to SQ Deletion, which may be repeated. It has failed: Controller Gone, or, over a
 * fabric, Host Pathing Error. That is also what an admin command ends with while the connection is
 * lost; I/O waits as that of queue pairs does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/admin_check.h"
#include "daemon/daemon.h"

void reply_nvme_status(struct rpc_request *req, uint16_t status, const char *what)
{
	uint16_t code = status & NVMUX_STATUS_CODE_MASK;

	rpc_reply_error(req, RPC_NVME_STATUS,
			json_pack("{s:i,s:s,s:b,s:s}", "nvme_status", code, "nvme_status_text",
				  nvmux_status_string(status), "dnr",
				  (status & NVMUX_STATUS_DNR) != 0, "errno", "EIO"),
			"%s: %s (status %03xh)", what, nvmux_status_string(status), code);
}

static json_t *result_json(uint32_t dw0, uint32_t dw1)
{
	return json_pack("{s:I,s:I}", "dw0", (json_int_t)dw0, "dw1", (json_int_t)dw1);
}

static void answer(struct hold *hold, struct rpc_request *req, uint16_t cid, uint32_t dw0,
		   uint32_t dw1, uint16_t status)
{
	if (!req)
		admin_ring_complete(hold->ring, cid, dw0, dw1, status);
	else if (status & NVMUX_STATUS_CODE_MASK)
		reply_nvme_status(req, status, rpc_request_method(req));
	else
		rpc_reply(req, result_json(dw0, dw1));
}

void user_cmd_complete(struct user_cmd *cmd, uint32_t dw0, uint32_t dw1, uint16_t status)
{
	struct hold *hold = cmd->hold;
	struct op *waiter = hold->waiter;

	answer(hold, cmd->req, cmd->cid, dw0, dw1, status);
	if (cmd->region != REGION_NONE)
		region_put(hold->session, cmd->region);
	free(cmd);
	NVMUX_ASSERT(hold->in_flight > 0);
	hold->in_flight--;
	if (waiter && !hold->in_flight) {
		hold->waiter = NULL;
		op_release(waiter, 0);
	}
	/* there is room for another one; not from here, which may be within the ring's own loop */
	hold_serve_ring_later(hold);
}

void user_cmd_cpl(void *arg, const struct nvmux_cpl *cpl)
{
	user_cmd_complete(arg, le32_to_cpu(cpl->dw0), le32_to_cpu(cpl->dw1), nvmux_cpl_status(cpl));
}

/* Why nothing can be sent now, 0: it can. */
static uint16_t unavailable(const struct controller *c)
{
	if (c->lost || c->state == CONTROLLER_FAILED)
		return controller_is_fabrics(c) ? NVMUX_PATH_ERROR
						: NVMUX_SC_CTRLR_GONE | NVMUX_STATUS_DNR;
	return c->state == CONTROLLER_READY ? 0 : NVME_SC_ABORT_QUEUE;
}

static void send_cmd(struct user_cmd *cmd)
{
	struct controller *c = cmd->hold->controller;
	const struct nvmux_seg *seg = cmd->checked.seg.len ? &cmd->checked.seg : NULL;
	struct hw_queue *queue;

	if (!cmd->io && admin_changes_namespaces(&cmd->checked.cmd)) {
		controller_change_namespaces(c, cmd);
		return;
	}
	if (!cmd->io) {
		if (!controller_has_path(c))
			user_cmd_complete(cmd, 0, 0, NVMUX_PATH_ERROR);
		else if (nvmux_ctrlr_admin_seg(c->ctrlr, &cmd->checked.cmd, seg, user_cmd_cpl, cmd))
			user_cmd_complete(cmd, 0, 0, NVMUX_SC_INTERNAL);
		return;
	}
	TAILQ_FOREACH (queue, &c->hw_queues, link) {
		if (queue->base && !queue->taken) {
			hwq_submit(queue->hwq, cmd->hold, &cmd->checked.cmd, seg, user_cmd_cpl,
				   cmd);
			return;
		}
	}
	user_cmd_complete(cmd, 0, 0, NVME_SC_ABORT_QUEUE);
}

static uint16_t check(const struct hold *hold, const struct nvmux_ring_cmd *copy, bool io,
		      struct checked_cmd *ret)
{
	const struct session *s = hold->session;
	const struct controller *c = hold->controller;
	struct region_view *regions;
	uint16_t status = unavailable(c);

	if (status)
		return status;
	regions = session_region_views(s, hold);
	if (!regions)
		return NVMUX_SC_INTERNAL;
	if (io) {
		status = channel_check(copy, c->view, regions, s->limits.max_regions, ret);
	} else {
		struct admin_view view = {
			.admin = s->admin,
			.max_transfer = c->ctrlr->max_transfer,
			.regions = regions,
			.n_regions = s->limits.max_regions,
		};

		status = admin_check(copy, &view, ret);
	}
	free(regions);
	return status;
}

static void start(struct hold *hold, const struct nvmux_ring_cmd *copy, struct rpc_request *req,
		  bool io)
{
	uint16_t cid = le16_to_cpu(copy->cid);
	struct user_cmd *cmd;
	uint16_t status;

	if (req && hold->in_flight >= hold->session->limits.admin_in_flight) {
		session_reply_limit(req, "admin_in_flight", hold->session->limits.admin_in_flight,
				    "too many commands in flight");
		return;
	}
	cmd = calloc(1, sizeof(*cmd));
	if (!cmd) {
		answer(hold, req, cid, 0, 0, NVMUX_SC_INTERNAL);
		return;
	}
	status = check(hold, copy, io, &cmd->checked);
	if (status) {
		free(cmd);
		answer(hold, req, cid, 0, 0, status);
		return;
	}
	cmd->hold = hold;
	cmd->req = req;
	cmd->cid = cid;
	cmd->io = io;
	cmd->region = REGION_NONE;
	if (cmd->checked.seg.len) {
		cmd->region = (uint32_t)(copy->data >> NVMUX_RING_OFFSET_BITS);
		region_get(hold->session, cmd->region);
	}
	hold->in_flight++;
	send_cmd(cmd);
}

void user_cmd_admin(struct hold *hold, const struct nvmux_ring_cmd *copy, struct rpc_request *req)
{
	start(hold, copy, req, false);
}

void user_cmd_io(struct hold *hold, const struct nvmux_ring_cmd *copy, struct rpc_request *req)
{
	start(hold, copy, req, true);
}
