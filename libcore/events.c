// SPDX-License-Identifier: BSD-3-Clause
/*
 * Namespaces that come, go or change while the controller runs.
 *
 * Happy path: the event's log page, the Changed Namespace List (LID 4h), has been read; the
 * namespaces are looked at anew as soon as the controller rests, and whoever wants to know is told
 * of each in the list. I/O may be going on meanwhile: another format isn't taken over then (ns.c).
 *
 * Failure modes: further notices meanwhile (one more look afterwards), a list of more than 1024
 * (all are told), a controller that is reset or lost (its start looks at all of them, and those
 * that wait are told then). Nobody who wants to know: nothing is done here; a daemon, whose clients
 * have to be stopped first, looks for itself. A client of a daemon, which stops it, always looks.
 */
#include <errno.h>
#include <stdlib.h>

#include "ctrlr_state.h"
#include "faults.h"

struct nvmux_ns_notice {
	nvmux_ns_attr_cb cb;
	void *arg;
	bool waiting; /* to be looked at */
	bool looking;
	bool all; /* too many for a list */
	uint32_t n;
	uint32_t nsid[NVMUX_NS_MAX];
};

void nvmux_ctrlr_register_ns_attr_changed_callback(struct nvmux_ctrlr *ctrlr, nvmux_ns_attr_cb cb,
						   void *arg)
{
	if (!ctrlr->ns_notice && cb)
		ctrlr->ns_notice = calloc(1, sizeof(*ctrlr->ns_notice));
	if (!ctrlr->ns_notice) {
		if (cb)
			nvmux_error(ctrlr->nvmux, -ENOMEM,
				    "no memory for the notices of changed namespaces");
		return;
	}
	ctrlr->ns_notice->cb = cb;
	ctrlr->ns_notice->arg = arg;
}

void ctrlr_ns_notice_free(struct nvmux_ctrlr *ctrlr)
{
	free(ctrlr->ns_notice);
	ctrlr->ns_notice = NULL;
}

static void add(struct nvmux_ns_notice *notice, uint32_t nsid)
{
	for (uint32_t i = 0; i < notice->n; i++) {
		if (notice->nsid[i] == nsid)
			return;
	}
	if (notice->n == ARRAY_SIZE(notice->nsid))
		notice->all = true;
	else
		notice->nsid[notice->n++] = nsid;
}

static bool is_there(const struct nvmux *nvmux, const struct nvmux_ctrlr *ctrlr, uint16_t index)
{
	return nvmux->ctrlrs[index] == ctrlr && !ctrlr->detaching && ctrlr->ns_notice;
}

/* Of those in the list, or of all handles there are. Callbacks may detach the controller. */
static void tell_all(struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux *nvmux = ctrlr->nvmux;
	struct nvmux_ns_notice list = *ctrlr->ns_notice;
	uint16_t index = ctrlr->index;

	ctrlr->ns_notice->n = 0;
	ctrlr->ns_notice->all = false;
	if (list.all) {
		list.n = MIN(ctrlr->n_ns, (uint32_t)ARRAY_SIZE(list.nsid));
		for (uint32_t i = 0; i < list.n; i++)
			list.nsid[i] = ctrlr->ns[i]->id;
	}
	for (uint32_t i = 0; i < list.n && is_there(nvmux, ctrlr, index); i++) {
		if (ctrlr->ns_notice->cb)
			ctrlr->ns_notice->cb(ctrlr->ns_notice->arg, ctrlr, list.nsid[i]);
	}
	if (is_there(nvmux, ctrlr, index) && ctrlr->event_cb)
		ctrlr->event_cb(ctrlr->event_arg, ctrlr, NVMUX_CTRLR_NS_CHANGED);
}

static void looked(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;
	struct nvmux_ns_notice *notice = ctrlr->ns_notice;

	notice->looking = false;
	ctrlr->scan_by_notice = false;
	if (err) /* of a controller that works: its start, or the next notice, looks again */
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
			  "%s: changed namespaces couldn't be looked at: %s", ctrlr->trid.traddr,
			  strerror(-err));
	else if (!notice->waiting)
		tell_all(ctrlr);
}

void ctrlr_ns_notice_ready(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_notice *notice = ctrlr->ns_notice;

	if (!notice || !notice->waiting || notice->looking || ctrlr->state != CTRLR_READY ||
	    !ctrlr_is_resting(ctrlr) || revive_active(ctrlr))
		return;
	notice->waiting = false;
	notice->looking = true;
	ctrlr->scan_by_notice = true;
	nvmux_ctrlr_rescan_async(ctrlr, looked, ctrlr);
}

static bool is_managed(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED;
}

void nvmux_ctrlr_ns_changed(struct nvmux_ctrlr *ctrlr, uint32_t nsid)
{
	__le32 list = cpu_to_le32(nsid);

	if (!ctrlr->ns_notice)
		ctrlr->ns_notice = calloc(1, sizeof(*ctrlr->ns_notice));
	ctrlr_ns_notice(ctrlr, &list, 1);
}

void ctrlr_ns_notice(struct nvmux_ctrlr *ctrlr, const __le32 *list, uint32_t n)
{
	struct nvmux_ns_notice *notice = ctrlr->ns_notice;

	if (!notice || (!notice->cb && !is_managed(ctrlr)))
		return;
	for (uint32_t i = 0; i < n && le32_to_cpu(list[i]); i++) {
		if (le32_to_cpu(list[i]) == NVME_NSID_ALL)
			notice->all = true;
		else
			add(notice, le32_to_cpu(list[i]));
	}
	notice->waiting = true;
	ctrlr_ns_notice_ready(ctrlr);
}
