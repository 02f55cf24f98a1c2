// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a command changes for others, by the controller's Commands Supported and Effects log or,
 * without one, by the specification (nvmux_ctrlr_get_effects()), and what the daemon does about it.
 *
 * CSE, submission and execution: while such an admin command is in flight nothing else is, on any
 * namespace of the controller: a queue pair isn't of one namespace. NCC and NIC, namespaces: they
 * are identified anew after it; where blocks may change (NCC) nothing may be checked by the old
 * geometry meanwhile. CCC, the controller: it is identified anew, and reset if something differs
 * that can't be changed in place, unless that would undo the command; neither after firmware
 * commands, as a reset would activate an image that the client wants to be activated at a time of
 * its own choice, nor after those whose change is one of namespaces. A Firmware Commit that
 * activates an image at once (CA, base specification 2.0, section 5.11) changes the controller,
 * whatever the log says.
 *
 * What a log says less than the specification of the commands below doesn't count.
 */
#include <string.h>
#include <nvmux/admin.h>
#include "daemon/effects.h"

#define OPC_IO_VENDOR     0x80
#define COMMIT_CA_SHIFT   3
#define COMMIT_CA_AT_ONCE 3
#define EFFECTS_CSE \
	(7u << NVMUX_EFFECT_CSE_SHIFT) /* base specification 2.0, section 5.16.1.6: 0: none */
#define EFFECTS_NAMESPACES (NVMUX_EFFECT_NS_CAPABILITY | NVMUX_EFFECT_NS_INVENTORY)
#define EFFECTS_OTHERS     (EFFECTS_NAMESPACES | NVMUX_EFFECT_CTRLR | EFFECTS_CSE)

/* These change namespaces, whatever a log says. Base specification 2.0, sections 5.14, 5.20, 5.21;
 * of Namespace Write Protection Config: 5.27.1.25. */
static uint32_t least_effects(const struct nvmux_cmd *cmd)
{
	switch (cmd->opc) {
	case nvme_admin_format_nvm: return NVMUX_EFFECT_NS_CAPABILITY;
	case nvme_admin_ns_mgmt:
	case nvme_admin_ns_attach: return NVMUX_EFFECT_NS_INVENTORY;
	case nvme_admin_set_features:
		return (le32_to_cpu(cmd->cdw10) & 0xff) == NVME_FEAT_FID_WRITE_PROTECT
			       ? NVMUX_EFFECT_NS_INVENTORY
			       : 0;
	default: return 0;
	}
}

static bool is_firmware_command(uint8_t opc)
{
	return opc == nvme_admin_fw_commit || opc == nvme_admin_fw_download;
}

/* Without a reset: what the controller says of itself may be something else afterwards. */
static bool is_activation(const struct nvmux_cmd *cmd)
{
	return cmd->opc == nvme_admin_fw_commit &&
	       (le32_to_cpu(cmd->cdw10) >> COMMIT_CA_SHIFT & 7) == COMMIT_CA_AT_ONCE;
}

/* A reset would undo what these do. */
static bool is_undone(uint8_t opc)
{
	return opc == nvme_admin_set_features || opc == nvme_admin_dev_self_test ||
	       opc == nvme_admin_directive_send || opc == nvme_admin_security_send;
}

bool effects_only_reads(uint8_t opc)
{
	return opc == nvme_admin_identify || opc == nvme_admin_get_log_page ||
	       opc == nvme_admin_get_features;
}

uint32_t effects_of(const struct nvmux_ctrlr *ctrlr, bool io, const struct nvmux_cmd *cmd)
{
	uint32_t effects = nvmux_ctrlr_get_effects(ctrlr, io, cmd->opc);

	if (!io && is_activation(cmd))
		effects |= NVMUX_EFFECT_CTRLR;
	return effects | (io ? 0 : least_effects(cmd));
}

bool effects_plan(const struct nvmux_ctrlr *ctrlr, bool io, const struct nvmux_cmd *cmd,
		  struct effects_plan *ret)
{
	uint32_t effects = effects_of(ctrlr, io, cmd);

	*ret = (struct effects_plan){0};
	/* I/O commands of the specification change blocks only. */
	if (io ? cmd->opc < OPC_IO_VENDOR : effects_only_reads(cmd->opc))
		return false;
	ret->hold = effects & (EFFECTS_CSE | NVMUX_EFFECT_NS_CAPABILITY);
	ret->look = effects & EFFECTS_NAMESPACES;
	ret->identify = effects & NVMUX_EFFECT_CTRLR &&
			(io || is_activation(cmd) ||
			 (!is_firmware_command(cmd->opc) && !least_effects(cmd)));
	ret->reset = ret->identify && (io || !is_undone(cmd->opc));
	ret->hold |= ret->identify;
	ret->look |= ret->identify;
	return ret->hold || ret->look;
}

void effects_noticed(const struct nvmux_ctrlr *ctrlr, uint32_t ret_bits[4])
{
	struct effects_plan unused;

	memset(ret_bits, 0, 4 * sizeof(ret_bits[0]));
	for (unsigned opc = OPC_IO_VENDOR; opc < 256; opc++) {
		const struct nvmux_cmd cmd = {.opc = (uint8_t)opc};

		if (effects_plan(ctrlr, true, &cmd, &unused))
			ret_bits[(opc - OPC_IO_VENDOR) / 32] |= 1u << opc % 32;
	}
}

bool effects_need_admin(const struct nvmux_ctrlr *ctrlr, bool io, const struct nvmux_cmd *cmd)
{
	if (io ? cmd->opc < OPC_IO_VENDOR : effects_only_reads(cmd->opc))
		return false;
	return effects_of(ctrlr, io, cmd) & EFFECTS_OTHERS;
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
