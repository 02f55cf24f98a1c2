// SPDX-License-Identifier: BSD-3-Clause
/* Controllers, their connections and namespaces as the methods show them. */
#include <inttypes.h>
#include <string.h>
#include "daemon/daemon.h"
#include "decode/fields.h"

/* Texts of targets may hold anything. */
static json_t *text_json(const char *text)
{
	return decode_text_json(text, strlen(text), false);
}

void json_put_trid(json_t *object, const struct nvmux_trid *trid)
{
	const char *adrfam = nvmux_adrfam_string(trid->adrfam);

	json_object_set_new(object, "trtype", json_string(nvmux_trtype_string(trid->trtype)));
	json_object_set_new(object, "traddr", json_string(trid->traddr));
	if (adrfam)
		json_object_set_new(object, "adrfam", json_string(adrfam));
	if (trid->trsvcid[0])
		json_object_set_new(object, "trsvcid", json_string(trid->trsvcid));
	if (trid->subnqn[0])
		json_object_set_new(object, "subnqn", text_json(trid->subnqn));
	if (trid->host_traddr[0])
		json_object_set_new(object, "host_traddr", json_string(trid->host_traddr));
	if (trid->host_iface[0])
		json_object_set_new(object, "host_iface", json_string(trid->host_iface));
}

/* Milliseconds; null for what never comes. */
static json_t *time_json(int64_t ms)
{
	return ms < 0 ? json_null() : json_integer(ms);
}

json_t *json_connection(const struct nvmux_connection_info *info)
{
	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:o,s:o,s:I,s:I,s:o}", "state",
			 nvmux_connection_state_string(info->state), "lost", (json_int_t)info->lost,
			 "attempts", (json_int_t)info->attempts, "lost_for_ms",
			 (json_int_t)info->lost_for_ms, "next_attempt_ms",
			 (json_int_t)info->next_attempt_ms, "fast_io_fail_ms",
			 time_json(info->fast_io_fail_ms), "ctrlr_loss_ms",
			 time_json(info->ctrlr_loss_ms), "hold_ms", (json_int_t)info->hold_ms,
			 "keep_alive_ms", (json_int_t)info->keep_alive_ms, "reason",
			 text_json(info->reason));
}

/* ---- namespaces ---- */

static json_t *namespace_json(const struct controller *c, const struct nvmux_ns *ns)
{
	json_t *item = json_pack("{s:s,s:I,s:I,s:I,s:I,s:i,s:I,s:i}", "controller", c->name, "nsid",
				 (json_int_t)ns->id, "size", (json_int_t)nvmux_ns_get_size(ns),
				 "blocks", (json_int_t)ns->n_lbas, "block_size",
				 (json_int_t)nvmux_ns_get_sector_size(ns), "metadata_size",
				 ns->md_size, "boundary_blocks", (json_int_t)ns->boundary_lbas,
				 "csi", ns->csi);
	const uint8_t *nguid = nvmux_ns_get_nguid(ns), *uuid = nvmux_ns_get_uuid(ns);

	if (nguid)
		json_object_set_new(item, "nguid", decode_hex_json(nguid, 16));
	if (uuid)
		json_object_set_new(item, "uuid", decode_uuid_json(uuid));
	if (nvmux_ana_supported(c->ctrlr)) {
		enum nvmux_ana_state state = nvmux_ns_get_ana_state(ns);

		json_object_set_new(item, "ana_group", json_integer(nvmux_ns_get_ana_group_id(ns)));
		json_object_set_new(item, "ana_state", json_string(nvmux_ana_state_string(state)));
	}
	return item;
}

json_t *json_namespaces(const struct controller *c)
{
	json_t *list = json_array();

	for (uint32_t i = 0; c->ctrlr && i < c->ctrlr->n_ns; i++) {
		if (c->ctrlr->ns[i]->active)
			json_array_append_new(list, namespace_json(c, c->ctrlr->ns[i]));
	}
	return list;
}

/* ---- controllers ---- */

static void put_connection(json_t *item, const struct controller *c)
{
	struct nvmux_connection_info info = {.fast_io_fail_ms = -1, .ctrlr_loss_ms = -1};
	uint64_t now = nvmux_now_ms();

	if (c->ctrlr) {
		nvmux_ctrlr_get_connection(c->ctrlr, &info);
	} else {
		info.attempts = c->attempts;
		info.next_attempt_ms = c->retry_at_ms > now ? c->retry_at_ms - now : 0;
		snprintf(info.reason, sizeof(info.reason), "%s", c->reason);
	}
	json_object_set_new(item, "connection", json_connection(&info));
}

static void put_identity(json_t *item, const struct nvmux_ctrlr *ctrlr)
{
	char vs[16];

	snprintf(vs, sizeof(vs), "0x%" PRIx32, ctrlr->vs);
	json_object_set_new(item, "model", decode_text_json(ctrlr->id.mn, 40, true));
	json_object_set_new(item, "serial", decode_text_json(ctrlr->id.sn, 20, true));
	json_object_set_new(item, "firmware", decode_text_json(ctrlr->id.fr, 8, true));
	json_object_set_new(item, "subnqn", decode_text_json(ctrlr->id.subnqn, 256, true));
	json_object_set_new(item, "hostnqn",
			    conf_is_fabrics(&ctrlr->trid) ? text_json(ctrlr->opts.hostnqn)
							  : json_null());
	if (conf_is_fabrics(&ctrlr->trid))
		json_object_set_new(item, "hostid", decode_uuid_json(ctrlr->opts.hostid));
	json_object_set_new(item, "cntlid", json_integer(le16_to_cpu(ctrlr->id.cntlid)));
	json_object_set_new(item, "vs", json_string(vs));
	json_object_set_new(item, "discovery", json_boolean(nvmux_ctrlr_is_discovery(ctrlr)));
	json_object_set_new(item, "ana", json_boolean(nvmux_ana_supported(ctrlr)));
}

/* The numbers among the options, in effect or, of one that isn't attached yet, wanted. */
static json_t *options_json(const struct controller *c)
{
	struct conf_controller conf = {.opts = c->ctrlr ? c->ctrlr->opts : c->opts};
	json_t *item = json_object();

	for (const struct conf_option *option = conf_options; option->name; option++) {
		if (!option->fabrics || conf_is_fabrics(&c->trid))
			json_object_set_new(
				item, option->name,
				json_integer(conf_controller_get_option(&conf, option)));
	}
	return item;
}

json_t *json_controller(const struct controller *c)
{
	json_t *item = json_pack("{s:s,s:s}", "name", c->name, "state",
				 controller_state_name(c->state));
	const struct nvmux_ctrlr *ctrlr = c->ctrlr;

	json_put_trid(item, &c->trid);
	put_connection(item, c);
	json_object_set_new(item, "options", options_json(c));
	if (!ctrlr)
		return item;
	put_identity(item, ctrlr);
	json_object_set_new(item, "numa_node", json_integer(nvmux_ctrlr_get_numa_id(ctrlr)));
	json_object_set_new(item, "max_transfer", json_integer(ctrlr->max_transfer));
	json_object_set_new(item, "max_segments", json_integer(MIN(
							  ctrlr->max_segs,
							  (uint32_t)NVMUX_RING_LIST_PER_CMD)));
	json_object_set_new(item, "resets", json_integer((json_int_t)c->resets));
	json_object_set_new(item, "io_queues",
			    json_pack("{s:I,s:I}", "granted", (json_int_t)ctrlr->max_io_qpairs,
				      "used", (json_int_t)c->n_hw_queues));
	json_object_set_new(item, "namespaces", json_namespaces(c));
	json_object_set_new(item, "qpairs", json_qpairs(c->d, c));
	return item;
}
