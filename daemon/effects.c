// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a command changes for others, by the controller's Commands Supported and Effects log or by
 * the specification (nvmux_ctrlr_get_effects()), and what the daemon does about it.
 *
 * An admin command that changes namespaces or the controller's capabilities, or that may not be
 * sent beside others, needs the admin right and is sent between quiesce points (reset.c). Firmware
 * commands aren't, whatever the log says: the resets of a quiesce point would activate an image
 * that the client wants to be activated at a time of its own choice. Over a fabric there is no
 * point where nothing is in flight: what can't do without one is refused there, and after others
 * namespaces are looked at anew.
 */
#include <nvmux/admin.h>
#include "daemon/effects.h"

#define EFFECTS_CSE \
	(7u << NVMUX_EFFECT_CSE_SHIFT) /* base specification 2.0, section 5.16.1.6: 0: none */
#define EFFECTS_NAMESPACES (NVMUX_EFFECT_NS_CAPABILITY | NVMUX_EFFECT_NS_INVENTORY)
#define EFFECTS_OTHERS     (EFFECTS_NAMESPACES | NVMUX_EFFECT_CTRLR | EFFECTS_CSE)

/* What the specification says of a command, whatever a log does: these are never sent otherwise. */
static bool is_namespace_command(uint8_t opc)
{
	return opc == nvme_admin_format_nvm || opc == nvme_admin_ns_mgmt ||
	       opc == nvme_admin_ns_attach;
}

static bool is_firmware_command(uint8_t opc)
{
	return opc == nvme_admin_fw_commit || opc == nvme_admin_fw_download;
}

/* These only read, whatever a log says. */
static bool is_harmless(uint8_t opc)
{
	return opc == nvme_admin_identify || opc == nvme_admin_get_log_page ||
	       opc == nvme_admin_get_features;
}

uint32_t effects_of(const struct nvmux_ctrlr *ctrlr, bool io, uint8_t opc)
{
	uint32_t effects = nvmux_ctrlr_get_effects(ctrlr, io, opc);

	if (!io && is_namespace_command(opc))
		effects |= NVMUX_EFFECT_NS_CAPABILITY;
	return effects;
}

enum effects_way effects_way(const struct nvmux_ctrlr *ctrlr, bool io, uint8_t opc)
{
	uint32_t effects = effects_of(ctrlr, io, opc);
	bool must = !io && is_namespace_command(opc);

	if ((!io && (is_harmless(opc) || is_firmware_command(opc))) || !(effects & EFFECTS_OTHERS))
		return EFFECTS_SEND;
	if (io)
		/* Commands of the specification change blocks only, and what vendors' commands may
		 * change is seen afterwards. */
		return opc >= 0x80 && effects & EFFECTS_NAMESPACES ? EFFECTS_LOOK : EFFECTS_SEND;
	if (nvmux_ctrlr_is_fabrics(ctrlr) && !must)
		return effects & EFFECTS_NAMESPACES ? EFFECTS_LOOK : EFFECTS_SEND;
	return EFFECTS_QUIESCE;
}

bool effects_need_admin(const struct nvmux_ctrlr *ctrlr, bool io, uint8_t opc)
{
	if (io ? opc < 0x80 : is_harmless(opc))
		return false;
	return effects_of(ctrlr, io, opc) & EFFECTS_OTHERS;
}

static json_t *table_json(const struct nvmux_ctrlr *ctrlr, bool io)
{
	json_t *list = json_array();

	for (unsigned opc = 0; opc < 256; opc++) {
		uint32_t e = nvmux_ctrlr_get_effects(ctrlr, io, (uint8_t)opc);

		if (!(e & NVMUX_EFFECT_SUPPORTED))
			continue;
		json_array_append_new(
			list, json_pack("{s:i,s:b,s:b,s:b,s:b,s:i}", "opc", (int)opc, "lbcc",
					(e & NVMUX_EFFECT_LBA_CONTENT) != 0, "ncc",
					(e & NVMUX_EFFECT_NS_CAPABILITY) != 0, "nic",
					(e & NVMUX_EFFECT_NS_INVENTORY) != 0, "ccc",
					(e & NVMUX_EFFECT_CTRLR) != 0, "cse",
					(int)((e & EFFECTS_CSE) >> NVMUX_EFFECT_CSE_SHIFT)));
	}
	return list;
}

json_t *effects_json(const struct nvmux_ctrlr *ctrlr)
{
	return json_pack("{s:o,s:o}", "admin", table_json(ctrlr, false), "io",
			 table_json(ctrlr, true));
}
