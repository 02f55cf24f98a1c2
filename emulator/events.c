// SPDX-License-Identifier: BSD-3-Clause
/*
 * Asynchronous events and the Error Information log: what any queue's thread may add to.
 *
 * An event waits until there is an Asynchronous Event Request for it. After one of a type has been
 * reported, others of the type wait until the host has read its log page (with RAE cleared).
 * Base specification 2.0, section 5.2.
 */
#include <string.h>
#include "emulator/internal.h"

static void set_pending(struct emu_reports *r, bool pending)
{
	__atomic_store_n(&r->pending, pending, __ATOMIC_RELEASE);
}

void emu_event_raise(struct emu_ctrlr *ctrlr, uint8_t type, uint8_t info, uint8_t log)
{
	emu_event_raise_ns(ctrlr, type, info, log, 0);
}

void emu_event_raise_ns(struct emu_ctrlr *ctrlr, uint8_t type, uint8_t info, uint8_t log,
			uint32_t nsid)
{
	struct emu_reports *r = &ctrlr->reports;
	bool known = false;

	pthread_mutex_lock(&r->lock);
	for (uint32_t i = 0; i < r->n_events; i++)
		known |= r->events[i].type == type && r->events[i].info == info &&
			 r->events[i].nsid == nsid;
	if (!known && r->n_events < EMU_EVENTS_MAX)
		r->events[r->n_events++] = (struct emu_event){type, info, log, nsid};
	set_pending(r, true);
	pthread_mutex_unlock(&r->lock);
	/* The admin thread may sleep. It finds the event when it polls. */
	emu_admin_interrupt(ctrlr);
}

static bool deliver_one(struct emu_ctrlr *ctrlr, const struct emu_event *e)
{
	uint32_t dw0 = e->type | (uint32_t)e->info << 8 | (uint32_t)e->log << 16;

	ctrlr->sqs[0].result = (uint64_t)e->nsid << 32;
	if (!emu_admin_post(ctrlr, 0, ctrlr->aer_cids[ctrlr->n_aers - 1], EMU_SUCCESS, dw0)) {
		ctrlr->sqs[0].result = 0;
		return false;
	}
	ctrlr->n_aers--;
	ctrlr->events_masked |= (uint16_t)(1u << e->type);
	return true;
}

void emu_events_deliver(struct emu_ctrlr *ctrlr)
{
	struct emu_reports *r = &ctrlr->reports;
	bool posted = false, full = false;
	uint32_t kept = 0;

	pthread_mutex_lock(&r->lock);
	for (uint32_t i = 0; i < r->n_events; i++) {
		struct emu_event e = r->events[i];

		if (!full && ctrlr->n_aers > 0 && !(ctrlr->events_masked & 1u << e.type)) {
			full = !deliver_one(ctrlr, &e);
			if (!full) {
				posted = true;
				continue;
			}
		}
		r->events[kept++] = e;
	}
	r->n_events = kept;
	/* What is left waits for a request or for a log page to be read, or for room. */
	set_pending(r, full);
	pthread_mutex_unlock(&r->lock);
	if (posted)
		emu_admin_interrupt(ctrlr);
}

void emu_events_reset(struct emu_ctrlr *ctrlr)
{
	pthread_mutex_lock(&ctrlr->reports.lock);
	ctrlr->reports.n_events = 0;
	ctrlr->n_aers = 0;
	ctrlr->events_masked = 0;
	ctrlr->reports.notice_count = 0;
	set_pending(&ctrlr->reports, false);
	pthread_mutex_unlock(&ctrlr->reports.lock);
}

uint16_t emu_aer(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	if (ctrlr->n_aers == EMU_AER_MAX)
		return EMU_SPECIFIC(ASYNC_LIMIT);
	ctrlr->aer_cids[ctrlr->n_aers++] = le16_to_cpu(cmd->cid);
	set_pending(&ctrlr->reports, true);
	return EMU_NO_COMPLETION;
}

bool emu_aer_abort(struct emu_ctrlr *ctrlr, uint16_t cid)
{
	for (uint32_t i = 0; i < ctrlr->n_aers; i++) {
		if (ctrlr->aer_cids[i] != cid)
			continue;
		/* The Abort command needs an entry as well. */
		if (!emu_admin_post(ctrlr, 1, cid, EMU_GENERIC(ABORT_REQ), 0))
			return false;
		ctrlr->aer_cids[i] = ctrlr->aer_cids[--ctrlr->n_aers];
		return true;
	}
	return false;
}

void emu_error_add(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint16_t status)
{
	struct emu_reports *r = &sq->ctrlr->reports;
	struct nvme_error_log_page *e;

	pthread_mutex_lock(&r->lock);
	e = &r->errors[r->n_errors % EMU_ERROR_ENTRIES];
	r->n_errors++;
	memset(e, 0, sizeof(*e));
	e->error_count = cpu_to_le64(r->n_errors);
	e->status_field = cpu_to_le16((uint16_t)(status << 1));
	e->parm_error_location = cpu_to_le16(0xffff);
	/* Without a command, identifiers of all ones. */
	e->sqid = cpu_to_le16(cmd ? sq->id : 0xffff);
	e->cmdid = cmd ? cmd->cid : cpu_to_le16(0xffff);
	if (cmd) {
		e->nsid = cmd->nsid;
		if (sq->id != 0)
			e->lba = cpu_to_le64(emu_slba(cmd));
	}
	pthread_mutex_unlock(&r->lock);
}
