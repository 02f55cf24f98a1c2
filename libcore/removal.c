// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device that is wanted back: it is about to be unplugged, or another driver is to have it.
 *
 * Happy path: the transport hears of it ──► the owner is told (NVMUX_CTRLR_REMOVING) ──► it ends
 * its I/O and detaches the controller, which shuts it down and closes the device.
 *
 * Failure modes: the owner doesn't within removal_timeout_ms, or wasn't given any: the controller
 * is lost; that closes the device first, then ends commands with "controller gone" and calls the
 * owner's callback for the removal. While it is being attached: the same, without that callback.
 */
#include "core.h"

static void expired(void *arg)
{
	struct nvmux_ctrlr *ctrlr = arg;

	nvmux_ctrlr_lost(ctrlr, nvmux_error(ctrlr->nvmux, -ENODEV,
					    "%s: it is wanted back, and wasn't let go of within "
					    "%u ms",
					    ctrlr->trid.traddr, ctrlr->opts.removal_timeout_ms));
}

void nvmux_ctrlr_wanted_back(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux *nvmux = ctrlr->nvmux;

	if (ctrlr->wanted_back || ctrlr->failed)
		return;
	ctrlr->wanted_back = true;
	if (!ctrlr->attached || !ctrlr->opts.removal_timeout_ms) {
		nvmux_ctrlr_lost(ctrlr, nvmux_error(nvmux, -ENODEV, "%s: it is wanted back",
						    ctrlr->trid.traddr));
		return;
	}
	nvmux_log(nvmux, NVMUX_LOG_WARNING, "ctrlr", "%s: it is wanted back, within %u ms",
		  ctrlr->trid.traddr, ctrlr->opts.removal_timeout_ms);
	nvmux_timer_set(nvmux, &ctrlr->removal_timer, ctrlr->opts.removal_timeout_ms, expired,
			ctrlr);
	if (ctrlr->event_cb)
		ctrlr->event_cb(ctrlr->event_arg, ctrlr, NVMUX_CTRLR_REMOVING);
}
