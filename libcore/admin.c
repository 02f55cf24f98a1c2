// SPDX-License-Identifier: BSD-3-Clause
/*
 * The admin queue: commands wait for a slot and for a bounce buffer, have deadlines, and are
 * completed exactly once; asynchronous events.
 *
 * Happy path: nvmux_ctrlr_admin() makes a request, copies data that isn't I/O memory into the pool,
 * and submits it; the completion copies data back, frees the buffer, calls the caller, and lets a
 * waiting request go. Some slots are reserved for events, abort, keep-alive and the deletion of
 * queues, so that a flood of other commands can't block what ends them.
 *
 * Failure modes: no slot or buffer (the request waits), a deadline that passes (the controller is
 * given up: it would otherwise hold memory for ever), a controller that is disabled or closed
 * (everything completes with an error).
 */
#include <errno.h>
#include <string.h>

#include <nvmux/fault.h>
#include "aer.h"
#include "faults.h"
#include "recover.h"

struct nvmux_admin_req {
	TAILQ_ENTRY(nvmux_admin_req) link;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_cmd cmd;
	struct nvmux_seg seg; /* len 0: no data */
	void *buf;            /* bounced: the caller's */
	uint32_t bounce_pages;
	uint32_t bounce_first;
	bool bounce;
	bool reserved; /* may use the reserved slots */
	bool sent;
	uint64_t deadline_ms; /* 0: none */
	nvmux_cmd_cb cb;
	void *arg;
};

struct nvmux_aer {
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_cpl event;
	uint8_t *log; /* of LOG_MAX bytes */
	bool log_read;
};

#define LOG_MAX    4096u
#define AER_NOTICE 2
#define ANA_RGO    (1u << 8) /* groups only, in the log specific parameter */
#define NOTICE_ANA 3         /* asymmetric namespace access change */
#define OPC_VENDOR 0xc0      /* from here on the vendor's own */

static bool takes_reserved_slot(uint8_t opc)
{
	return opc == nvme_admin_async_event || opc == nvme_admin_abort_cmd ||
	       opc == nvme_admin_keep_alive || opc == nvme_admin_delete_sq ||
	       opc == nvme_admin_delete_cq;
}

/* Commands whose duration nobody can bound from outside; events have none at all. */
static bool has_deadline(const struct nvmux_ctrlr *ctrlr, uint8_t opc)
{
	switch (opc) {
	case nvme_admin_async_event:
	case nvme_admin_keep_alive: /* KATO is its own */
	case nvme_admin_format_nvm:
	case nvme_admin_sanitize_nvm:
	case nvme_admin_fw_commit:
	case nvme_admin_fw_download:
	case nvme_admin_ns_mgmt:
	case nvme_admin_security_send:
	case nvme_admin_security_recv:
	case nvme_admin_virtual_mgmt:
	case nvme_admin_get_lba_status: /* may look at the medium */
	case nvme_admin_capacity_mgmt: return false;
	default:
		if (opc >= OPC_VENDOR)
			return false;
		/* A managed controller's deadlines are its manager's. */
		return !(ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED);
	}
}

/* ---- bounce buffers: runs of pages in the pool ---- */

static bool bounce_take(struct nvmux_admin_req *req)
{
	struct nvmux_ctrlr *ctrlr = req->ctrlr;
	uint64_t mask = (1ull << req->bounce_pages) - 1; /* at most 32 pages */

	for (uint32_t i = 0; i + req->bounce_pages <= NVMUX_ADMIN_POOL_PAGES; i++) {
		if (ctrlr->admin_pool_used & mask << i)
			continue;
		ctrlr->admin_pool_used |= mask << i;
		req->bounce_first = i;
		req->seg.mem = ctrlr->admin_pool;
		req->seg.offset = (uint64_t)i * NVMUX_PAGE_SIZE;
		return true;
	}
	return false;
}

static void bounce_give(struct nvmux_admin_req *req)
{
	uint64_t mask = (1ull << req->bounce_pages) - 1;

	req->ctrlr->admin_pool_used &= ~(mask << req->bounce_first);
}

static uint8_t *bounce_addr(const struct nvmux_admin_req *req)
{
	return req->seg.mem->addr + req->seg.offset;
}

/* ---- deadlines ---- */

static void req_done(void *arg, const struct nvmux_cpl *cpl);

/* Whose command is in a slot; NULL: nobody's, or one that isn't sent from here. */
static const struct nvmux_admin_req *req_in(const struct nvmux_slot *slot)
{
	nvmux_cmd_cb cb = slot->cb;
	void *arg = slot->arg;

	inject_unwrap(&cb, &arg);
	return cb == req_done ? arg : NULL;
}

static uint16_t find_cid(const struct nvmux_admin_req *req)
{
	const struct nvmux_qpair *q = req->ctrlr->adminq;

	for (uint32_t i = 0; i < q->depth; i++) {
		if (req_in(&q->slots[i]) == req)
			return nvmux_qpair_cid(q, (uint16_t)i);
	}
	return NVMUX_CID_UNKNOWN; /* an injection that was never sent */
}

static void admin_expired(void *arg)
{
	struct nvmux_ctrlr *ctrlr = arg;
	const struct nvmux *nvmux = ctrlr->nvmux;
	uint16_t index = ctrlr->index;
	struct nvmux_admin_req *req;
	uint64_t now = nvmux_now_ms(), next = 0;

	/* An interrupt may have been lost. May free the controller. */
	if (!TAILQ_EMPTY(&ctrlr->admin_sent))
		nvmux_ctrlr_process_admin_completions(ctrlr);
	if (nvmux->ctrlrs[index] != ctrlr)
		return;
	TAILQ_FOREACH (req, &ctrlr->admin_sent, link) {
		if (!req->deadline_ms)
			continue;
		if (req->deadline_ms <= now) {
			req->deadline_ms = 0;
			/* for the others, when somebody looks after this one */
			nvmux_timer_set(ctrlr->nvmux, &ctrlr->admin_timer, 1, admin_expired, ctrlr);
			if (timeout_admin(ctrlr, find_cid(req)))
				return;
			nvmux_ctrlr_link_lost(
				ctrlr, nvmux_error(ctrlr->nvmux, -ETIMEDOUT,
						   "%s: admin command %02xh wasn't answered "
						   "within %u ms",
						   ctrlr->trid.traddr, req->cmd.opc,
						   ctrlr->opts.admin_timeout_ms));
			return;
		}
		next = next ? MIN(next, req->deadline_ms) : req->deadline_ms;
	}
	if (next)
		nvmux_timer_set(ctrlr->nvmux, &ctrlr->admin_timer, (uint32_t)(next - now),
				admin_expired, ctrlr);
}

static void set_deadline(struct nvmux_admin_req *req)
{
	struct nvmux_ctrlr *ctrlr = req->ctrlr;

	if (!has_deadline(ctrlr, req->cmd.opc))
		return;
	req->deadline_ms = nvmux_now_ms() + timeout_admin_ms(ctrlr);
	if (!ctrlr->admin_timer.deadline_ms)
		nvmux_timer_set(ctrlr->nvmux, &ctrlr->admin_timer, timeout_admin_ms(ctrlr),
				admin_expired, ctrlr);
}

/* ---- sending and completing ---- */

static void req_complete(struct nvmux_admin_req *req, const struct nvmux_cpl *cpl)
{
	struct nvmux_ctrlr *ctrlr = req->ctrlr;
	nvmux_cmd_cb cb = req->cb;
	void *arg = req->arg;

	if (req->sent)
		TAILQ_REMOVE(&ctrlr->admin_sent, req, link);
	if (req->bounce && req->sent) {
		/* Bit 1 of an opcode: data to the host. Base specification 2.0, figure 88. */
		if ((req->cmd.opc & 2) && !nvmux_cpl_is_error(cpl) && req->buf)
			memcpy(req->buf, bounce_addr(req), req->seg.len);
		bounce_give(req);
	}
	free(req);
	cb(arg, cpl);
}

static void req_done(void *arg, const struct nvmux_cpl *cpl)
{
	req_complete(arg, cpl);
}

static void req_fail(struct nvmux_admin_req *req, uint16_t status)
{
	struct nvmux_cpl cpl = {.status = cpu_to_le16((uint16_t)(status << 1))};

	req_complete(req, &cpl);
}

/* -EAGAIN: no slot or no buffer for it now. */
static int req_send(struct nvmux_admin_req *req)
{
	struct nvmux_ctrlr *ctrlr = req->ctrlr;
	struct nvmux_qpair *q = ctrlr->adminq;
	struct nvmux_payload payload = {
		.data = &req->seg,
		.n_data = req->seg.len ? 1 : 0,
		.data_len = req->seg.len,
	};
	int err;

	if (nvmux_qpair_n_free(q) <= (req->reserved ? 0u : MIN(NVMUX_ADMIN_RESERVED, q->depth / 2)))
		return -EAGAIN;
	if (req->bounce) {
		if (!bounce_take(req))
			return -EAGAIN;
		if (req->cmd.opc & 1)
			memcpy(bounce_addr(req), req->buf, req->seg.len);
		else
			memset(bounce_addr(req), 0, req->seg.len);
	}
	if (unlikely(q->slow & NVMUX_SLOW_INJECT))
		err = inject_submit(q, &req->cmd, &payload, req_done, req);
	else
		err = ctrlr->transport->submit(q, &req->cmd, &payload, req_done, req);
	if (err) {
		if (req->bounce)
			bounce_give(req);
		return err;
	}
	req->sent = true;
	TAILQ_INSERT_TAIL(&ctrlr->admin_sent, req, link);
	set_deadline(req);
	/* An admin queue isn't polled: make the submission visible now. */
	ctrlr->admin_dirty = true;
	return 0;
}

/* Ring the doorbell unless we are inside the processing that does it anyway. */
static void flush(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->admin_dirty && !ctrlr->adminq->processing)
		nvmux_timer_set(ctrlr->nvmux, &ctrlr->admin_kick, 0, ctrlr_admin_kick, ctrlr);
}

void ctrlr_admin_kick(void *arg)
{
	struct nvmux_ctrlr *ctrlr = arg;

	if (ctrlr->adminq)
		nvmux_ctrlr_process_admin_completions(ctrlr);
}

void ctrlr_admin_send_waiting(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_admin_req *req, *next;

	for (req = TAILQ_FIRST(&ctrlr->admin_waiting); req; req = next) {
		int err;

		next = TAILQ_NEXT(req, link);
		TAILQ_REMOVE(&ctrlr->admin_waiting, req, link);
		err = req_send(req);
		if (err == -EAGAIN) {
			/* Back to its place; the reserved ones behind it may still go. */
			if (next)
				TAILQ_INSERT_BEFORE(next, req, link);
			else
				TAILQ_INSERT_TAIL(&ctrlr->admin_waiting, req, link);
		} else if (err) {
			req_fail(req, NVME_SC_INVALID_FIELD | NVMUX_STATUS_DNR);
			next = TAILQ_FIRST(&ctrlr->admin_waiting);
		}
	}
}

void ctrlr_admin_abort_all(struct nvmux_ctrlr *ctrlr, uint16_t status)
{
	struct nvmux_admin_list waiting = TAILQ_HEAD_INITIALIZER(waiting);

	/* What the callbacks send anew is refused: the queue isn't connected. */
	TAILQ_CONCAT(&waiting, &ctrlr->admin_waiting, link);
	if (ctrlr->adminq)
		nvmux_qpair_abort_all(ctrlr->adminq, status);
	while (!TAILQ_EMPTY(&waiting)) {
		struct nvmux_admin_req *req = TAILQ_FIRST(&waiting);

		TAILQ_REMOVE(&waiting, req, link);
		req_fail(req, status);
	}
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->admin_timer);
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->admin_kick);
}

static void ignored(void *arg, const struct nvmux_cpl *cpl)
{
	(void)arg;
	(void)cpl;
}

static void forget_steps(struct nvmux_admin_list *list)
{
	struct nvmux_admin_req *req;

	TAILQ_FOREACH (req, list, link) {
		if (req->cb != ctrlr_step_cpl && req->cb != ctrlr_step_cpl_any)
			continue;
		req->cb = ignored;
		req->buf = NULL; /* it is freed before the answer comes */
		req->deadline_ms = 0;
	}
}

void ctrlr_admin_forget_steps(struct nvmux_ctrlr *ctrlr)
{
	forget_steps(&ctrlr->admin_sent);
	forget_steps(&ctrlr->admin_waiting);
}

/* Commands that only read. */
static bool changes_nothing(uint8_t opc)
{
	return opc == nvme_admin_identify || opc == nvme_admin_get_log_page ||
	       opc == nvme_admin_get_features || opc == nvme_admin_keep_alive ||
	       opc == nvme_admin_async_event;
}

void ctrlr_admin_lose_all(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_qpair *q = ctrlr->adminq;

	for (uint32_t i = 0; q && i < q->depth; i++) {
		const struct nvmux_admin_req *req = req_in(&q->slots[i]);
		uint16_t status = NVMUX_PATH_ERROR;

		if (!q->slots[i].cb)
			continue;
		if (req && !changes_nothing(req->cmd.opc))
			status = NVMUX_SC_OUTCOME_UNKNOWN | NVMUX_STATUS_DNR;
		nvmux_qpair_end_cmd(q, (uint16_t)i, status);
	}
	ctrlr_admin_abort_all(ctrlr, NVMUX_PATH_ERROR); /* what wasn't sent */
}

const void *ctrlr_admin_arg(const struct nvmux_ctrlr *ctrlr, uint32_t index)
{
	const struct nvmux_admin_req *req = req_in(&ctrlr->adminq->slots[index]);

	return req ? req->arg : NULL;
}

static int req_new(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, nvmux_cmd_cb cb,
		   void *arg, struct nvmux_admin_req **ret)
{
	struct nvmux_admin_req *req;

	if (!ctrlr->adminq || nvmux_qpair_get_state(ctrlr->adminq) != NVMUX_QPAIR_CONNECTED)
		return nvmux_error(ctrlr->nvmux, -ENXIO,
				   "%s: the admin queue is not connected (%s)", ctrlr->trid.traddr,
				   ctrlr_state_name(ctrlr->state));
	req = calloc(1, sizeof(*req));
	if (!req)
		return -ENOMEM;
	req->ctrlr = ctrlr;
	req->cmd = *cmd;
	req->reserved = takes_reserved_slot(cmd->opc);
	req->cb = cb;
	req->arg = arg;
	*ret = req;
	return 0;
}

/* Send it, or let it wait behind the others. */
static int req_start(struct nvmux_admin_req *req)
{
	struct nvmux_ctrlr *ctrlr = req->ctrlr;
	int err = -EAGAIN;

	if (req->reserved || TAILQ_EMPTY(&ctrlr->admin_waiting))
		err = req_send(req);
	if (err == -EAGAIN) {
		TAILQ_INSERT_TAIL(&ctrlr->admin_waiting, req, link);
		err = 0;
	}
	if (err)
		free(req);
	else
		flush(ctrlr);
	return err;
}

int nvmux_ctrlr_admin_seg(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd,
			  const struct nvmux_seg *seg, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_admin_req *req = NULL;
	int err;

	if (seg && seg->len && !seg->mem->maps[ctrlr->index].mapped)
		return nvmux_error(ctrlr->nvmux, -EFAULT,
				   "%s: the data's region is not mapped for this controller",
				   ctrlr->trid.traddr);
	err = req_new(ctrlr, cmd, cb, arg, &req);
	if (err)
		return err;
	if (seg)
		req->seg = *seg;
	return req_start(req);
}

int nvmux_ctrlr_admin(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf,
		      uint32_t len, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_mem *mem = buf && len ? nvmux_mem_find(ctrlr->nvmux, buf) : NULL;
	struct nvmux_admin_req *req;
	int err;

	if (len && !buf)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "len is %u without a buffer", len);
	if (mem && mem->maps[ctrlr->index].mapped && ((uintptr_t)buf & 3) == 0) {
		struct nvmux_seg seg = {
			.mem = mem,
			.offset = (uint64_t)((uint8_t *)buf - mem->addr),
			.len = len,
		};

		if (seg.offset + len > mem->size)
			return nvmux_error(ctrlr->nvmux, -EFAULT,
					   "the buffer of %u bytes ends beyond its region", len);
		return nvmux_ctrlr_admin_seg(ctrlr, cmd, &seg, cb, arg);
	}
	if (len > NVMUX_ADMIN_BOUNCE_MAX)
		return nvmux_error(ctrlr->nvmux, -EINVAL,
				   "len is %u; outside I/O memory at most %u bytes are possible",
				   len, NVMUX_ADMIN_BOUNCE_MAX);
	err = req_new(ctrlr, cmd, cb, arg, &req);
	if (err)
		return err;
	if (len) {
		req->bounce = true;
		req->buf = buf;
		req->seg.len = len;
		req->bounce_pages = (uint32_t)(align_up(len, NVMUX_PAGE_SIZE) / NVMUX_PAGE_SIZE);
	}
	return req_start(req);
}

/* What the library keeps to itself: it would lose track of its queues and events. */
static bool is_reserved_opcode(uint8_t opc)
{
	switch (opc) {
	case nvme_admin_delete_sq:
	case nvme_admin_create_sq:
	case nvme_admin_delete_cq:
	case nvme_admin_create_cq:
	case nvme_admin_async_event:
	case nvme_admin_keep_alive:
	case nvme_admin_dbbuf:
	case nvme_admin_fabrics: return true;
	default: return false;
	}
}

int nvmux_ctrlr_cmd_admin_raw(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf,
			      uint32_t len, nvmux_cmd_cb cb, void *arg)
{
	if (is_reserved_opcode(cmd->opc))
		return nvmux_error(ctrlr->nvmux, -EBUSY, "admin command %02xh is the library's own",
				   cmd->opc);
	if (len > ctrlr->max_transfer)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "len is %u; the transfer limit is %u",
				   len, ctrlr->max_transfer);
	return nvmux_ctrlr_admin(ctrlr, cmd, buf, len, cb, arg);
}

int nvmux_ctrlr_process_admin_completions(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux *nvmux = ctrlr->nvmux;
	struct nvmux_qpair *q = ctrlr->adminq;
	bool nested = nvmux->processing;
	int n;

	if (!q || nvmux_qpair_get_state(q) != NVMUX_QPAIR_CONNECTED)
		return -ENXIO;
	if (q->processing)
		return 0;
	/* Callbacks may not block, whoever called us. */
	nvmux->processing = true;
	q->processing = true;
	ctrlr->admin_dirty = false;
	inject_run(q);
	n = ctrlr->transport->process(q, 0);
	if (n >= 0)
		ctrlr_admin_send_waiting(ctrlr);
	q->processing = false;
	nvmux->processing = nested;
	if (n < 0) {
		/* may free the controller, as may ctrlr_run() */
		nvmux_ctrlr_link_lost(ctrlr, n);
		return n;
	}
	flush(ctrlr);
	ctrlr_run(ctrlr);
	return n;
}

/* ---- access states of namespaces. Base specification 2.0, section 5.16.1.13 ---- */

int ctrlr_admin_read_ana(struct nvmux_ctrlr *ctrlr, nvmux_cmd_cb cb, void *arg)
{
	uint32_t size = (uint32_t)align_up(nvmux_ana_log_size(ctrlr), 4);
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_log_page,
		.nsid = cpu_to_le32(NVME_NSID_ALL),
		.cdw10 = cpu_to_le32((size / 4 - 1) << 16 | ANA_RGO | NVME_LOG_LID_ANA),
	};
	int err;

	if (ctrlr->ana_log)
		return -EALREADY;
	ctrlr->ana_log = calloc(1, size);
	if (!ctrlr->ana_log)
		return -ENOMEM;
	ctrlr->ana_log_size = size;
	ctrlr->ana_again = false;
	err = nvmux_ctrlr_admin(ctrlr, &cmd, ctrlr->ana_log, size, cb, arg);
	if (err)
		ctrlr_admin_drop_ana(ctrlr);
	return err;
}

void ctrlr_admin_drop_ana(struct nvmux_ctrlr *ctrlr)
{
	free(ctrlr->ana_log);
	ctrlr->ana_log = NULL;
	ctrlr->ana_step = false;
}

void ctrlr_admin_take_ana(struct nvmux_ctrlr *ctrlr, uint16_t status)
{
	int err = 0;

	if (!status)
		err = nvmux_ana_take_log(ctrlr, ctrlr->ana_log, ctrlr->ana_log_size);
	if (status || err)
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
			  "%s: no access states of namespaces: %s", ctrlr->trid.traddr,
			  status ? nvmux_status_string(status) : strerror(-err));
	ctrlr_admin_drop_ana(ctrlr);
}

static void ana_read(void *arg, const struct nvmux_cpl *cpl);

/* They have changed: look, once more if they do so while we look. */
void ctrlr_admin_refresh_ana(struct nvmux_ctrlr *ctrlr)
{
	if (nvmux_ana_supported(ctrlr) &&
	    ctrlr_admin_read_ana(ctrlr, ana_read, ctrlr) == -EALREADY)
		ctrlr->ana_again = true;
}

static void ana_read(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_ctrlr *ctrlr = arg;
	bool again = ctrlr->ana_again;

	if (!ctrlr->ana_log)
		return; /* of a connection that has gone */
	ctrlr_admin_take_ana(ctrlr, nvmux_cpl_status(cpl) & NVMUX_STATUS_CODE_MASK);
	if (again)
		ctrlr_admin_refresh_ana(ctrlr);
	else if (ctrlr->event_cb)
		ctrlr->event_cb(ctrlr->event_arg, ctrlr, NVMUX_CTRLR_ANA_CHANGED);
}

/* ---- asynchronous events ---- */

static void aer_send(struct nvmux_aer *aer);

const void *ctrlr_aer_log(const struct nvmux_ctrlr *ctrlr, const struct nvmux_cpl *event)
{
	for (uint32_t i = 0; ctrlr->aers && i < NVMUX_AER_MAX; i++) {
		if (event == &ctrlr->aers[i].event && ctrlr->aers[i].log_read)
			return ctrlr->aers[i].log;
	}
	return NULL;
}

/* What comes before anybody could ask for it, while the controller starts, is told later. */
static void aer_tell(struct nvmux_ctrlr *ctrlr, const struct nvmux_cpl *event)
{
	if (ctrlr->aer_cb)
		ctrlr->aer_cb(ctrlr->aer_arg, event);
	else if (!ctrlr->aer_asked && ctrlr->n_aers_kept < NVMUX_AERS_KEPT)
		ctrlr->aers_kept[ctrlr->n_aers_kept++] = *event;
}

static void aer_log_read(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_aer *aer = arg;
	struct nvmux_ctrlr *ctrlr = aer->ctrlr;
	uint32_t event = le32_to_cpu(aer->event.dw0);

	aer->log_read = !nvmux_cpl_is_error(cpl);
	if ((event & 7) == AER_NOTICE && (event >> 8 & 0xff) == NOTICE_ANA)
		ctrlr_admin_refresh_ana(ctrlr);
	if (event >> 16 == NVME_LOG_LID_CHANGED_NS && !nvmux_cpl_is_error(cpl))
		ctrlr_ns_notice(ctrlr, (const __le32 *)(const void *)aer->log, LOG_MAX / 4);
	aer_tell(ctrlr, &aer->event);
	aer_send(aer);
}

/* Bytes of a log page that reading clears its event with: what every controller has of it. */
static uint32_t event_log_size(uint8_t lid)
{
	switch (lid) {
	case NVME_LOG_LID_ERROR: return 64;
	case NVME_LOG_LID_SMART: return 512;
	case NVME_LOG_LID_DISCOVER: return 1024;
	default: return LOG_MAX;
	}
}

/* A list of zones is of the namespace that the event names. Zoned Namespace command set 1.1,
 * section 5.3. */
static __le32 event_nsid(const struct nvmux_cpl *event, uint8_t lid)
{
	return lid == NVME_LOG_LID_ZNS_CHANGED_ZONES ? event->dw1 : cpu_to_le32(NVME_NSID_ALL);
}

/* The event is cleared by reading its log page with RAE=0; then the request goes out again. */
static void aer_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_aer *aer = arg;
	struct nvmux_ctrlr *ctrlr = aer->ctrlr;
	uint8_t lid = (uint8_t)(le32_to_cpu(cpl->dw0) >> 16);
	uint32_t len = event_log_size(lid);
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_log_page,
		.nsid = event_nsid(cpl, lid),
		.cdw10 = cpu_to_le32((len / 4 - 1) << 16 | lid),
	};

	if (nvmux_cpl_is_error(cpl))
		return; /* aborted, or not supported: no further request */
	aer->event = *cpl;
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_INFO, "ctrlr",
		  "%s: event type %u, information %u, log %u", ctrlr->trid.traddr,
		  le32_to_cpu(cpl->dw0) & 7, le32_to_cpu(cpl->dw0) >> 8 & 0xff, lid);
	/* each read takes a notice away: it isn't ours, unless the owner takes it from here */
	if (lid == NVME_LOG_LID_RESERVATION && !ctrlr->takes_notices) {
		aer->log_read = false;
		aer_tell(ctrlr, &aer->event);
		aer_send(aer);
		return;
	}
	if (nvmux_ctrlr_admin(ctrlr, &cmd, aer->log, len, aer_log_read, aer))
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
			  "%s: log page %u can't be read; no further events of its type",
			  ctrlr->trid.traddr, lid);
}

static void aer_send(struct nvmux_aer *aer)
{
	struct nvmux_cmd cmd = {.opc = nvme_admin_async_event};

	if (nvmux_ctrlr_admin(aer->ctrlr, &cmd, NULL, 0, aer_done, aer))
		nvmux_log(aer->ctrlr->nvmux, NVMUX_LOG_DEBUG, "ctrlr",
			  "%s: no further event request", aer->ctrlr->trid.traddr);
}

void ctrlr_admin_start_aers(struct nvmux_ctrlr *ctrlr)
{
	uint32_t n = MIN((uint32_t)ctrlr->id.aerl + 1, NVMUX_AER_MAX);

	if (!ctrlr->aers)
		ctrlr->aers = calloc(NVMUX_AER_MAX, sizeof(*ctrlr->aers) + LOG_MAX);
	if (!ctrlr->aers)
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct nvmux_aer *aer = &ctrlr->aers[i];

		aer->ctrlr = ctrlr;
		aer->log = (uint8_t *)&ctrlr->aers[NVMUX_AER_MAX] + (size_t)i * LOG_MAX;
		aer_send(aer);
	}
}

void nvmux_ctrlr_register_aer_callback(struct nvmux_ctrlr *ctrlr, nvmux_aer_cb cb, void *arg)
{
	struct nvmux_cpl kept[NVMUX_AERS_KEPT];
	uint32_t n = cb ? ctrlr->n_aers_kept : 0;

	ctrlr->aer_cb = cb;
	ctrlr->aer_arg = arg;
	if (!cb)
		return;
	/* a copy: what is called may register another callback */
	memcpy(kept, ctrlr->aers_kept, sizeof(kept));
	ctrlr->aer_asked = true;
	ctrlr->n_aers_kept = 0;
	for (uint32_t i = 0; i < n; i++)
		cb(arg, &kept[i]);
}
