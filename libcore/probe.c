// SPDX-License-Identifier: BSD-3-Clause
/*
 * Probe: enumerate what a transport id names, ask for each, attach those wanted; all start-ups
 * advance together.
 *
 * Failure modes: the enumeration fails (the probe's result); a controller fails (reported to its
 * owner, the others go on).
 */
#include <errno.h>

#include "sync.h"
#include "transport.h"

struct nvmux_probe_ctx {
	struct nvmux *nvmux;
	nvmux_probe_cb probe_cb;
	nvmux_attach_cb attach_cb;
	nvmux_remove_cb remove_cb;
	void *arg;
	bool scan;        /* of the local bus */
	uint32_t pending; /* start-ups under way, and the enumeration */
	bool done;
	int err;
};

static void ended_one(struct nvmux_probe_ctx *probe)
{
	if (!--probe->pending)
		probe->done = true;
}

static void attached(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr, int err)
{
	struct nvmux_probe_ctx *probe = arg;

	if (ctrlr && probe->remove_cb)
		nvmux_ctrlr_set_remove_cb(ctrlr, probe->remove_cb, probe->arg);
	if (probe->attach_cb)
		probe->attach_cb(probe->arg, trid, ctrlr, err);
	ended_one(probe);
}

static bool attached_already(const struct nvmux *nvmux, const struct nvmux_trid *trid)
{
	for (unsigned i = 0; i < NVMUX_CTRLRS_MAX; i++) {
		if (nvmux->ctrlrs[i] && !nvmux_trid_compare(&nvmux->ctrlrs[i]->trid, trid))
			return true;
	}
	return false;
}

/* Devices that come and go: a scan of the local bus finds what is new. */
static bool passed_over(const struct nvmux_probe_ctx *probe, const struct nvmux_trid *trid)
{
	const struct nvmux *nvmux = probe->nvmux;

	if (!probe->scan)
		return false;
	return attached_already(nvmux, trid) ||
	       (nvmux->hotplug_filter && !nvmux->hotplug_filter(nvmux->hotplug_filter_arg, trid));
}

void nvmux_pcie_set_hotplug_filter(struct nvmux *nvmux, nvmux_hotplug_filter_cb filter, void *arg)
{
	nvmux->hotplug_filter = filter;
	nvmux->hotplug_filter_arg = arg;
}

static void found(void *arg, const struct nvmux_trid *trid)
{
	struct nvmux_probe_ctx *probe = arg;
	struct nvmux_ctrlr_opts opts;
	int err;

	if (passed_over(probe, trid))
		return;
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	if (probe->probe_cb && !probe->probe_cb(probe->arg, trid, &opts))
		return;
	probe->pending++;
	err = nvmux_connect_async(probe->nvmux, trid, &opts, attached, probe);
	if (err)
		attached(probe, trid, NULL, err);
}

static void enumerated(void *arg, int err, uint64_t value)
{
	struct nvmux_probe_ctx *probe = arg;

	probe->err = err;
	ended_one(probe);
}

int nvmux_probe_async(struct nvmux *nvmux, const struct nvmux_trid *trid, nvmux_probe_cb probe_cb,
		      nvmux_attach_cb attach_cb, nvmux_remove_cb remove_cb, void *arg,
		      struct nvmux_probe_ctx **ret)
{
	static const struct nvmux_trid all_local = {.trtype = NVMUX_TRTYPE_PCIE};
	const struct nvmux_transport *transport;
	struct nvmux_probe_ctx *probe;

	if (!trid)
		trid = &all_local;
	transport = trid->trtype < NVMUX_TRTYPE_COUNT ? nvmux->transports[trid->trtype] : NULL;
	if (!transport)
		return nvmux_error(nvmux, -EPROTONOSUPPORT, "this build has no transport %s",
				   nvmux_trtype_string(trid->trtype) ?: "of that type");
	probe = calloc(1, sizeof(*probe));
	if (!probe)
		return -ENOMEM;
	*probe = (struct nvmux_probe_ctx){
		.nvmux = nvmux,
		.probe_cb = probe_cb,
		.attach_cb = attach_cb,
		.remove_cb = remove_cb,
		.arg = arg,
		.scan = trid->trtype == NVMUX_TRTYPE_PCIE && !trid->traddr[0],
		.pending = 1,
	};
	*ret = probe;
	if (transport->enumerate) {
		transport->enumerate(nvmux, trid, found, enumerated, probe);
	} else {
		found(probe, trid);
		enumerated(probe, 0, 0);
	}
	return 0;
}

static int probe_end(struct nvmux_probe_ctx *probe)
{
	int err = probe->err;

	free(probe);
	return err == -EAGAIN ? -EBUSY : err; /* that would say that it goes on */
}

int nvmux_probe_poll_async(struct nvmux_probe_ctx *probe)
{
	if (!probe->done)
		nvmux_process(probe->nvmux);
	return probe->done ? probe_end(probe) : -EAGAIN;
}

int nvmux_probe(struct nvmux *nvmux, const struct nvmux_trid *trid, nvmux_probe_cb probe_cb,
		nvmux_attach_cb attach_cb, nvmux_remove_cb remove_cb, void *arg)
{
	struct nvmux_probe_ctx *probe;
	int err = nvmux_sync_check(nvmux);

	if (!err)
		err = nvmux_probe_async(nvmux, trid, probe_cb, attach_cb, remove_cb, arg, &probe);
	if (err)
		return err;
	err = nvmux_wait(nvmux, &probe->done);
	NVMUX_ASSERT(!err);
	return probe_end(probe);
}
