// SPDX-License-Identifier: BSD-3-Clause
/*
 * Events of the daemon that are about a controller of ours, but for those of its end (conn.c).
 *
 * Happy path: the controller's asynchronous event → the callback for it, as if the controller had
 * sent it here; namespaces that came, went or changed → they are looked at anew through the admin
 * ring, and whoever wants to know is told. A reset, or that the controller goes → the callback, as
 * for one of the library's own.
 *
 * Failure modes. Events were dropped, because we didn't read them: everything may have changed.
 * Members that are missing or out of range: the event is dropped.
 */
#include <string.h>
#include "transports/daemon/conn.h"

#define EVENT_TYPE_MAX 7

static bool get_number(const json_t *params, const char *name, uint64_t max, uint32_t *ret)
{
	const json_t *member = json_object_get(params, name);
	json_int_t value = json_integer_value(member);

	if (!json_is_integer(member) || value < 0 || (uint64_t)value > max)
		return false;
	*ret = (uint32_t)value;
	return true;
}

/* Base specification 2.0, section 5.2: dw0 of the event's completion. */
static void take_aer(struct daemon_ctrlr *dc, const json_t *params)
{
	struct nvmux_cpl cpl = {0};
	uint32_t type, information, lid;

	if (!get_number(params, "event_type", EVENT_TYPE_MAX, &type) ||
	    !get_number(params, "information", UINT8_MAX, &information) ||
	    !get_number(params, "log_page", UINT8_MAX, &lid))
		return;
	cpl.dw0 = cpu_to_le32(type | information << 8 | lid << 16);
	if (dc->base.attached && dc->base.aer_cb)
		dc->base.aer_cb(dc->base.aer_arg, &cpl);
}

static void take_namespace(struct daemon_ctrlr *dc, const json_t *params)
{
	uint32_t nsid;

	if (get_number(params, "nsid", NVME_NSID_ALL - 2, &nsid) && nsid)
		nvmux_ctrlr_ns_changed(&dc->base, nsid);
}

/* To a callback, which is there when its owner has it and wants to know. */
static void tell(struct daemon_ctrlr *dc, enum nvmux_ctrlr_event event)
{
	struct nvmux_ctrlr *ctrlr = &dc->base;

	if (ctrlr->attached && ctrlr->event_cb)
		ctrlr->event_cb(ctrlr->event_arg, ctrlr, event);
}

/* The daemon has to give it back, and closes it soon. */
static void take_removing(struct daemon_ctrlr *dc, const json_t *params)
{
	(void)params;
	tell(dc, NVMUX_CTRLR_REMOVING);
}

/* Whoever has reset it. */
static void take_reset(struct daemon_ctrlr *dc, const json_t *params)
{
	const char *reason = json_string_value(json_object_get(params, "reason"));
	struct nvmux_ctrlr *ctrlr = &dc->base;

	snprintf(ctrlr->reset_reason, sizeof(ctrlr->reset_reason), "%s", reason ?: "");
	tell(dc, NVMUX_CTRLR_RESET);
}

static const struct {
	const char *type;
	void (*take)(struct daemon_ctrlr *dc, const json_t *params);
} takers[] = {
	{"aer", take_aer},
	{"controller_reset", take_reset},
	{"controller_removing", take_removing},
	{"namespace_added", take_namespace},
	{"namespace_removed", take_namespace},
	{"namespace_resized", take_namespace},
	{"namespace_formatted", take_namespace},
};

void daemon_ctrlr_event(struct daemon_ctrlr *dc, const char *type, const json_t *params)
{
	for (size_t i = 0; i < ARRAY_SIZE(takers); i++) {
		if (strcmp(type, takers[i].type) == 0) {
			takers[i].take(dc, params);
			return;
		}
	}
}

void daemon_conn_events_lost(struct daemon_conn *conn)
{
	struct daemon_ctrlr *dc;

	/* a look begins now and ends later, from the event loop */
	TAILQ_FOREACH (dc, &conn->ctrlrs, link) {
		if (!dc->lost && dc->opened)
			nvmux_ctrlr_ns_changed(&dc->base, NVME_NSID_ALL);
	}
}
