// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands that the control thread sends for a client: from its admin ring, or by RPC.
 *
 * Happy path: a private copy is checked → the regions of its data are marked as used, or data that
 * came with the request is put into memory of the daemon's own → the command goes to the admin
 * queue, or, I/O, to a base hardware queue → the completion goes to the ring or becomes the answer.
 * Two fused commands are checked and sent together, and make one answer: that of the first if it
 * failed, else that of the second. A command that others would notice is sent as change.c says;
 * while such a one is under way those by RPC wait.
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
#include "daemon/effects.h"
#include "libcore/faults.h"

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

static void put_regions(struct user_cmd *cmd)
{
	for (uint32_t i = 0; i < cmd->n_regions; i++)
		region_put(cmd->hold->session, cmd->regions[i]);
	if (cmd->staged >= 0)
		ctl_staging_give(cmd->hold->controller, cmd->staged);
}

static void drop(struct user_cmd *cmd)
{
	put_regions(cmd);
	free(cmd);
}

/* Neither it nor, of two fused ones, the other is in flight any more. */
static void finish(struct user_cmd *cmd, uint32_t dw0, uint32_t dw1, uint16_t status)
{
	struct hold *hold = cmd->hold;
	struct op *waiter = hold->waiter;

	answer(hold, cmd->req, cmd->cid, dw0, dw1, status);
	put_regions(cmd);
	if (cmd->admin)
		controller_admin_ended(hold->controller);
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

bool user_cmd_is_overdue(const struct controller *c, uint64_t sent_ms)
{
	return nvmux_now_ms() - sent_ms >= timeout_admin_ms(c->ctrlr);
}

/*
 * It was with the controller when that was disabled. What only reads is sent once more when the
 * controller works again, with its regions in use meanwhile; but not what may be the reason of the
 * reset: that would be followed by the next one.
 */
static bool is_repeated(const struct user_cmd *cmd, uint16_t status)
{
	const struct hold *hold = cmd->hold;

	return cmd->admin && (status & NVMUX_STATUS_CODE_MASK) == NVME_SC_ABORT_QUEUE &&
	       hold->controller->changing && !hold->closing && !hold->session->closing &&
	       !cmd->repeated && !user_cmd_is_overdue(hold->controller, cmd->sent_ms) &&
	       effects_only_reads(cmd->checked.cmd.opc);
}

void user_cmd_complete(struct user_cmd *cmd, uint32_t dw0, uint32_t dw1, uint16_t status)
{
	struct controller *c = cmd->hold->controller;

	NVMUX_ASSERT(!cmd->fused);
	if (!is_repeated(cmd, status)) {
		finish(cmd, dw0, dw1, status);
		return;
	}
	cmd->admin = false;
	cmd->repeated = true;
	controller_admin_ended(c);
	TAILQ_INSERT_TAIL(&c->repeated, cmd, link);
}

void user_cmd_cpl(void *arg, const struct nvmux_cpl *cpl)
{
	user_cmd_complete(arg, le32_to_cpu(cpl->dw0), le32_to_cpu(cpl->dw1), nvmux_cpl_status(cpl));
}

/* One of two has ended. The answer is made of both, with the request of the first. */
static void fused_cpl(void *arg, const struct nvmux_cpl *cpl)
{
	struct user_cmd *cmd = arg, *other = cmd->fused, *first, *second;

	cmd->cpl = *cpl;
	cmd->ended = true;
	if (!other->ended)
		return;
	first = cmd->req ? cmd : other;
	second = cmd->req ? other : cmd;
	cpl = nvmux_cpl_is_error(&first->cpl) ? &first->cpl : &second->cpl;
	first->cpl = *cpl;
	drop(second);
	finish(first, le32_to_cpu(first->cpl.dw0), le32_to_cpu(first->cpl.dw1),
	       nvmux_cpl_status(&first->cpl));
}

uint16_t user_cmd_unavailable(const struct controller *c)
{
	if (c->lost || c->state == CONTROLLER_FAILED)
		return controller_is_fabrics(c) ? NVMUX_PATH_ERROR
						: NVMUX_SC_CTRLR_GONE | NVMUX_STATUS_DNR;
	return c->state == CONTROLLER_READY ? 0 : NVME_SC_ABORT_QUEUE;
}

static void send_admin(struct user_cmd *cmd)
{
	struct controller *c = cmd->hold->controller;
	const struct nvmux_seg *seg = cmd->checked.seg.len ? &cmd->checked.seg : NULL;
	struct effects_plan plan;

	if (effects_plan(c->ctrlr, false, &cmd->checked.cmd, &plan)) {
		controller_change(c, cmd, &plan);
		return;
	}
	cmd->admin = true;
	cmd->sent_ms = nvmux_now_ms();
	c->n_admin++;
	if (!controller_has_path(c))
		user_cmd_complete(cmd, 0, 0, NVMUX_PATH_ERROR);
	else if (nvmux_ctrlr_admin_seg(c->ctrlr, &cmd->checked.cmd, seg, user_cmd_cpl, cmd))
		user_cmd_complete(cmd, 0, 0, NVMUX_SC_INTERNAL);
}

void user_cmds_repeat(struct controller *c)
{
	struct user_cmd_list list = TAILQ_HEAD_INITIALIZER(list);
	struct user_cmd *cmd;
	uint16_t status;

	TAILQ_CONCAT(&list, &c->repeated, link);
	while ((cmd = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, cmd, link);
		status = user_cmd_unavailable(c);
		if (status)
			user_cmd_complete(cmd, 0, 0, status);
		else
			send_admin(cmd);
	}
}

static struct hw_queue *base_queue(const struct controller *c)
{
	struct hw_queue *queue;

	TAILQ_FOREACH (queue, &c->hw_queues, link) {
		if (queue->base && !queue->taken)
			return queue;
	}
	return NULL;
}

/* The payload stays in the command until its completion. */
static void set_payload(struct user_cmd *cmd)
{
	const struct checked_list *list = &cmd->list;

	cmd->payload = (struct nvmux_payload){
		.data = list->n ? list->segs : &cmd->checked.seg,
		.n_data = list->n                ? list->n
			  : cmd->checked.seg.len ? 1
						 : 0,
		.data_len = list->n ? list->len : cmd->checked.seg.len,
		.md = cmd->checked.md,
	};
}

int user_cmd_submit_io(struct user_cmd *cmd, nvmux_cmd_cb cb, void *arg)
{
	struct hw_queue *queue = base_queue(cmd->hold->controller);

	if (!queue)
		return -ENXIO;
	set_payload(cmd);
	hwq_submit(queue->hwq, cmd->hold, &cmd->checked.cmd, &cmd->payload, cb, arg);
	return 0;
}

static void send_io(struct user_cmd *cmd)
{
	struct controller *c = cmd->hold->controller;
	struct effects_plan plan;

	if (effects_plan(c->ctrlr, true, &cmd->checked.cmd, &plan))
		controller_change(c, cmd, &plan);
	else if (user_cmd_submit_io(cmd, user_cmd_cpl, cmd))
		user_cmd_complete(cmd, 0, 0, NVME_SC_ABORT_QUEUE);
}

static void send_fused(struct user_cmd *first, struct user_cmd *second)
{
	struct hw_queue *queue = base_queue(first->hold->controller);

	if (!queue) {
		drop(second);
		user_cmd_complete(first, 0, 0, NVME_SC_ABORT_QUEUE);
		return;
	}
	first->fused = second;
	second->fused = first;
	set_payload(first);
	set_payload(second);
	hwq_submit_fused(
		queue->hwq, first->hold,
		&(struct hwq_fused){&first->checked.cmd, &first->payload, fused_cpl, first},
		&(struct hwq_fused){&second->checked.cmd, &second->payload, fused_cpl, second});
}

/* ---- checking ---- */

/* The session's regions, and behind them the daemon's own memory where the command's data is
 * there: no number that a client can name. */
static struct region_view *regions_of(const struct hold *hold, bool staged)
{
	uint32_t n = hold->session->limits.max_regions;
	struct region_view *regions = session_region_views(hold->session, hold), *more;
	const struct nvmux_mem *staging = hold->controller->staging;

	if (!regions || !staged)
		return regions;
	more = realloc(regions, (n + 1) * sizeof(*regions));
	if (!more) {
		free(regions);
		return NULL;
	}
	more[n] = (struct region_view){
		.mem = staging,
		.size = staging->size,
		.base = staging->maps[hold->controller->ctrlr->index].base,
	};
	return more;
}

static uint16_t check(const struct user_cmd *cmd, const struct nvmux_ring_cmd *copy,
		      const struct user_request *request, struct checked_cmd *ret,
		      struct checked_list *ret_list)
{
	const struct hold *hold = cmd->hold;
	const struct session *s = hold->session;
	const struct controller *c = hold->controller;
	bool staged = cmd->staged >= 0;
	uint32_t n_regions = s->limits.max_regions + staged;
	struct region_view *regions;
	uint16_t status = user_cmd_unavailable(c);
	struct nvmux_cmd cmd_of_copy = {.opc = copy->opc, .cdw10 = copy->cdw10};

	if (status)
		return status;
	if (!s->admin && effects_need_admin(c->ctrlr, cmd->io, &cmd_of_copy))
		return NVMUX_SC_ACCESS_DENIED | NVMUX_STATUS_DNR;
	regions = regions_of(hold, staged);
	if (!regions)
		return NVMUX_SC_INTERNAL;
	if (cmd->io && copy->flags & NVMUX_RING_F_LIST) {
		status = channel_check_list(copy, request->list, request->n_list, c->view, regions,
					    n_regions, ret, ret_list);
	} else if (cmd->io) {
		ret->ring = *copy;
		status = channel_check(c->view, regions, n_regions, ret);
	} else {
		struct admin_view view = {
			.admin = s->admin,
			.max_transfer = c->ctrlr->max_transfer,
			.keys = controller_is_fabrics(c),
			.regions = regions,
			.n_regions = n_regions,
		};

		status = admin_check(copy, &view, ret);
	}
	free(regions);
	return status;
}

static void use_region(struct user_cmd *cmd, uint16_t number)
{
	NVMUX_ASSERT(cmd->n_regions < USER_CMD_REGIONS);
	cmd->regions[cmd->n_regions++] = number;
	region_get(cmd->hold->session, number);
}

/* Those that the check has found: @copy may name others that nothing moves. */
static void use_regions(struct user_cmd *cmd, const struct nvmux_ring_cmd *copy)
{
	for (uint32_t i = 0; i < cmd->list.n; i++)
		use_region(cmd, cmd->list.regions[i]);
	if (cmd->checked.seg.len && cmd->staged < 0)
		use_region(cmd, (uint16_t)(copy->data >> NVMUX_RING_OFFSET_BITS));
	if (cmd->checked.md.len)
		use_region(cmd, (uint16_t)(copy->md >> NVMUX_RING_OFFSET_BITS));
}

/* Put the data into memory of the daemon's own, and let the copy name that. */
static uint16_t stage(struct user_cmd *cmd, const struct user_request *request,
		      struct nvmux_ring_cmd *copy)
{
	const struct session *s = cmd->hold->session;

	/* while it is starting or gone its memory may be, too: the check says what is the matter */
	if (!request->staged || user_cmd_unavailable(cmd->hold->controller))
		return 0;
	cmd->staged = ctl_staging_take(cmd->hold->controller, request->staged, request->staged_len);
	if (cmd->staged < 0)
		return NVMUX_SC_INTERNAL;
	copy->data = nvmux_ring_addr((uint16_t)s->limits.max_regions,
				     (uint64_t)cmd->staged * NVMUX_PAGE_SIZE);
	copy->data_len = request->staged_len;
	return 0;
}

/* A checked command that uses its regions, or *@ret_status. */
static struct user_cmd *prepare(struct hold *hold, const struct user_request *request,
				const struct nvmux_ring_cmd *from, uint16_t *ret_status)
{
	struct user_cmd *cmd = calloc(1, sizeof(*cmd));
	struct nvmux_ring_cmd copy = *from;

	if (!cmd) {
		*ret_status = NVMUX_SC_INTERNAL;
		return NULL;
	}
	cmd->hold = hold;
	cmd->cid = le16_to_cpu(copy.cid);
	cmd->io = request->io;
	cmd->staged = -1;
	*ret_status = stage(cmd, request, &copy);
	if (!*ret_status)
		*ret_status = check(cmd, &copy, request, &cmd->checked, &cmd->list);
	if (*ret_status) {
		drop(cmd);
		return NULL;
	}
	use_regions(cmd, &copy);
	return cmd;
}

/* The second of two fused commands, or NULL with *@ret_status. */
static struct user_cmd *prepare_second(struct user_cmd *first, const struct user_request *request,
				       uint16_t *ret_status)
{
	struct user_cmd *second = prepare(first->hold, request, request->second, ret_status);

	if (!second)
		return NULL;
	first->checked.cmd.flags |= NVMUX_IO_FUSE_FIRST;
	second->checked.cmd.flags |= NVMUX_IO_FUSE_SECOND;
	*ret_status = channel_check_fused(&first->checked.cmd, &second->checked.cmd,
					  first->hold->controller->view);
	if (!*ret_status)
		return second;
	drop(second);
	return NULL;
}

void user_cmd_send(struct hold *hold, const struct user_request *request, struct rpc_request *req)
{
	struct user_cmd *cmd, *second = NULL;
	uint16_t cid = le16_to_cpu(request->copy.cid), status;

	if (req && controller_defer(hold->controller, req))
		return;
	if (req && hold->in_flight >= hold->session->limits.admin_in_flight) {
		session_reply_limit(req, "admin_in_flight", hold->session->limits.admin_in_flight,
				    "too many commands in flight");
		return;
	}
	cmd = prepare(hold, request, &request->copy, &status);
	if (cmd && request->second) {
		second = prepare_second(cmd, request, &status);
		if (!second) {
			drop(cmd);
			cmd = NULL;
		}
	}
	if (!cmd) {
		answer(hold, req, cid, 0, 0, status);
		return;
	}
	cmd->req = req;
	hold->in_flight++;
	if (second)
		send_fused(cmd, second);
	else if (cmd->io)
		send_io(cmd);
	else
		send_admin(cmd);
}
