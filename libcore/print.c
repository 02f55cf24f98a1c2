// SPDX-License-Identifier: BSD-3-Clause
/* Commands and completions in one line each, for logs; see <nvmux/fault.h>. */
#include <stdio.h>

#include <nvmux/fault.h>

#include "core.h"

struct opcode_name {
	uint8_t opc;
	const char *name;
};

/* Base specification 2.0, figure 138. */
static const struct opcode_name admin_names[] = {
	{nvme_admin_delete_sq, "DELETE I/O SUBMISSION QUEUE"},
	{nvme_admin_create_sq, "CREATE I/O SUBMISSION QUEUE"},
	{nvme_admin_get_log_page, "GET LOG PAGE"},
	{nvme_admin_delete_cq, "DELETE I/O COMPLETION QUEUE"},
	{nvme_admin_create_cq, "CREATE I/O COMPLETION QUEUE"},
	{nvme_admin_identify, "IDENTIFY"},
	{nvme_admin_abort_cmd, "ABORT"},
	{nvme_admin_set_features, "SET FEATURES"},
	{nvme_admin_get_features, "GET FEATURES"},
	{nvme_admin_async_event, "ASYNCHRONOUS EVENT REQUEST"},
	{nvme_admin_ns_mgmt, "NAMESPACE MANAGEMENT"},
	{nvme_admin_fw_commit, "FIRMWARE COMMIT"},
	{nvme_admin_fw_download, "FIRMWARE IMAGE DOWNLOAD"},
	{nvme_admin_dev_self_test, "DEVICE SELF-TEST"},
	{nvme_admin_ns_attach, "NAMESPACE ATTACHMENT"},
	{nvme_admin_keep_alive, "KEEP ALIVE"},
	{nvme_admin_directive_send, "DIRECTIVE SEND"},
	{nvme_admin_directive_recv, "DIRECTIVE RECEIVE"},
	{nvme_admin_virtual_mgmt, "VIRTUALIZATION MANAGEMENT"},
	{nvme_admin_nvme_mi_send, "NVME-MI SEND"},
	{nvme_admin_nvme_mi_recv, "NVME-MI RECEIVE"},
	{nvme_admin_capacity_mgmt, "CAPACITY MANAGEMENT"},
	{nvme_admin_lockdown, "LOCKDOWN"},
	{nvme_admin_dbbuf, "DOORBELL BUFFER CONFIG"},
	{nvme_admin_fabrics, "FABRICS"},
	{nvme_admin_format_nvm, "FORMAT NVM"},
	{nvme_admin_security_send, "SECURITY SEND"},
	{nvme_admin_security_recv, "SECURITY RECEIVE"},
	{nvme_admin_sanitize_nvm, "SANITIZE"},
	{nvme_admin_get_lba_status, "GET LBA STATUS"},
};

/* NVM command set 1.0, figure 22; zoned namespaces 1.1, figure 16. */
static const struct opcode_name io_names[] = {
	{nvme_cmd_flush, "FLUSH"},
	{nvme_cmd_write, "WRITE"},
	{nvme_cmd_read, "READ"},
	{nvme_cmd_write_uncor, "WRITE UNCORRECTABLE"},
	{nvme_cmd_compare, "COMPARE"},
	{nvme_cmd_write_zeroes, "WRITE ZEROES"},
	{nvme_cmd_dsm, "DATASET MANAGEMENT"},
	{nvme_cmd_verify, "VERIFY"},
	{nvme_cmd_resv_register, "RESERVATION REGISTER"},
	{nvme_cmd_resv_report, "RESERVATION REPORT"},
	{nvme_cmd_resv_acquire, "RESERVATION ACQUIRE"},
	{nvme_cmd_io_mgmt_recv, "I/O MANAGEMENT RECEIVE"},
	{nvme_cmd_resv_release, "RESERVATION RELEASE"},
	{nvme_cmd_copy, "COPY"},
	{nvme_cmd_io_mgmt_send, "I/O MANAGEMENT SEND"},
	{nvme_zns_cmd_mgmt_send, "ZONE MANAGEMENT SEND"},
	{nvme_zns_cmd_mgmt_recv, "ZONE MANAGEMENT RECEIVE"},
	{nvme_zns_cmd_append, "ZONE APPEND"},
};

static const char *find_name(const struct opcode_name *names, size_t n, uint8_t opc)
{
	for (size_t i = 0; i < n; i++) {
		if (names[i].opc == opc)
			return names[i].name;
	}
	return opc >= 0xc0 ? "VENDOR SPECIFIC" : "RESERVED";
}

/* Commands whose dwords 10 to 12 are a range of blocks. */
static bool names_blocks(uint8_t opc)
{
	switch (opc) {
	case nvme_cmd_write:
	case nvme_cmd_read:
	case nvme_cmd_write_uncor:
	case nvme_cmd_compare:
	case nvme_cmd_write_zeroes:
	case nvme_cmd_verify:
	case nvme_zns_cmd_append: return true;
	default: return false;
	}
}

const char *nvmux_cmd_string(const struct nvmux_cmd *cmd, bool admin, char *text, size_t size)
{
	const char *name = admin ? find_name(admin_names, ARRAY_SIZE(admin_names), cmd->opc)
				 : find_name(io_names, ARRAY_SIZE(io_names), cmd->opc);
	uint32_t cdw10 = le32_to_cpu(cmd->cdw10), cdw11 = le32_to_cpu(cmd->cdw11);
	int n = snprintf(text, size, "%s (%02x) cid:%u nsid:%u", name, cmd->opc,
			 le16_to_cpu(cmd->cid), le32_to_cpu(cmd->nsid));

	if (n < 0 || (size_t)n >= size)
		return text;
	if (!admin && names_blocks(cmd->opc))
		snprintf(text + n, size - (size_t)n, " slba:%llu nlb:%u",
			 (unsigned long long)((uint64_t)cdw11 << 32 | cdw10),
			 (le32_to_cpu(cmd->cdw12) & 0xffff) + 1);
	else
		snprintf(text + n, size - (size_t)n, " cdw10:%08x cdw11:%08x", cdw10, cdw11);
	return text;
}

const char *nvmux_cpl_string(const struct nvmux_cpl *cpl, char *text, size_t size)
{
	unsigned int status = nvmux_cpl_status(cpl);

	snprintf(text, size,
		 "%s (%02x/%02x) sqid:%u cid:%u dw0:%08x sqhd:%04x p:%u crd:%u m:%u dnr:%u",
		 nvmux_status_string((uint16_t)status), status >> 8 & 7, status & 0xff,
		 le16_to_cpu(cpl->sqid), le16_to_cpu(cpl->cid), le32_to_cpu(cpl->dw0),
		 le16_to_cpu(cpl->sqhd), le16_to_cpu(cpl->status) & 1u,
		 status >> NVMUX_STATUS_CRD_SHIFT & 3, status & NVMUX_STATUS_MORE ? 1u : 0u,
		 status & NVMUX_STATUS_DNR ? 1u : 0u);
	return text;
}
