// SPDX-License-Identifier: BSD-3-Clause
/*
 * Namespace management, attachment and format. Base specification 2.0, sections 5.14, 5.20, 5.21.
 *
 * Each waits for the command, and then for the namespaces to be looked at anew: a controller tells
 * the others of the subsystem, not the one that asked.
 */
#include <errno.h>

#include "admin_cmds.h"
#include "sync.h"

#define SEL_CREATE    0u
#define SEL_DELETE    1u
#define SEL_ATTACH    0u
#define SEL_DETACH    1u
#define CNTIDS_MAX    2047u
#define LBAF_MAX      63u
#define PI_MAX        3u
#define SES_MAX       2u
#define FNA_CRYPTO    (1u << 2)
#define NS_DATA_BYTES 4096u

static int want_ns_mgmt(const struct nvmux_ctrlr *ctrlr)
{
	int err = nvmux_sync_check(ctrlr->nvmux);

	return err ? err
		   : admin_want_oacs(ctrlr, NVME_CTRL_OACS_NS_MGMT, "namespace management");
}

static int check_nsid(const struct nvmux_ctrlr *ctrlr, uint32_t nsid, bool all)
{
	if (nsid && (nsid < NVME_NSID_ALL - 1 || (all && nsid == NVME_NSID_ALL)))
		return 0;
	return nvmux_error(ctrlr->nvmux, -EINVAL, "nsid is %#x; it must be that of a namespace%s",
			   nsid, all ? ", or 0xffffffff for all" : "");
}

int nvmux_ctrlr_create_ns(struct nvmux_ctrlr *ctrlr, const struct nvme_id_ns *data, uint8_t csi,
			  uint32_t *ret_nsid)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_ns_mgmt,
		.cdw10 = cpu_to_le32(SEL_CREATE),
		.cdw11 = cpu_to_le32((uint32_t)csi << 24),
	};
	struct nvmux_cpl cpl;
	int err = want_ns_mgmt(ctrlr);

	if (err)
		return err;
	if (!data || !ret_nsid || !le64_to_cpu(data->nsze))
		return nvmux_error(ctrlr->nvmux, -EINVAL, "%s",
				   data && ret_nsid ? "nsze is 0; a namespace has blocks"
						    : "data and ret_nsid are wanted");
	if (le64_to_cpu(data->ncap) > le64_to_cpu(data->nsze))
		return nvmux_error(ctrlr->nvmux, -EINVAL, "ncap is more than nsze");
	err = admin_wait(ctrlr, &cmd, (void *)(uintptr_t)data, NS_DATA_BYTES, &cpl);
	if (err)
		return err;
	if (nvmux_cpl_is_error(&cpl))
		return nvmux_error(ctrlr->nvmux, -EIO,
				   "namespace creation: status %03x (%s)",
				   nvmux_cpl_status(&cpl) & NVMUX_STATUS_CODE_MASK,
				   nvmux_status_string(nvmux_cpl_status(&cpl)));
	*ret_nsid = le32_to_cpu(cpl.dw0);
	return 0;
}

int nvmux_ctrlr_delete_ns(struct nvmux_ctrlr *ctrlr, uint32_t nsid)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_ns_mgmt,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32(SEL_DELETE),
	};
	int err = want_ns_mgmt(ctrlr);

	if (!err)
		err = check_nsid(ctrlr, nsid, true);
	if (!err)
		err = admin_wait(ctrlr, &cmd, NULL, 0, NULL);
	return err ? err : admin_rescan(ctrlr);
}

static int compare_ids(const void *a, const void *b)
{
	return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* A controller list: their number, then the ids in ascending order. Figure 274. */
static int fill_ctrlr_list(const struct nvmux_ctrlr *ctrlr, const uint16_t *cntids,
			   uint32_t n_cntids, __le16 list[2048])
{
	uint16_t ids[CNTIDS_MAX];

	if (!n_cntids || n_cntids > CNTIDS_MAX || !cntids)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "n_cntids is %u; it must be 1 to %u",
				   n_cntids, CNTIDS_MAX);
	memcpy(ids, cntids, n_cntids * sizeof(ids[0]));
	qsort(ids, n_cntids, sizeof(ids[0]), compare_ids);
	list[0] = cpu_to_le16((uint16_t)n_cntids);
	for (uint32_t i = 0; i < n_cntids; i++) {
		if (i && ids[i] == ids[i - 1])
			return nvmux_error(ctrlr->nvmux, -EINVAL, "cntids has %u twice", ids[i]);
		list[i + 1] = cpu_to_le16(ids[i]);
	}
	return 0;
}

static int attachment(struct nvmux_ctrlr *ctrlr, uint32_t sel, uint32_t nsid,
		      const uint16_t *cntids, uint32_t n_cntids)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_ns_attach,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32(sel),
	};
	__le16 list[2048] = {0};
	int err = want_ns_mgmt(ctrlr);

	if (!err)
		err = check_nsid(ctrlr, nsid, false);
	if (!err)
		err = fill_ctrlr_list(ctrlr, cntids, n_cntids, list);
	if (!err)
		err = admin_wait(ctrlr, &cmd, list, sizeof(list), NULL);
	return err ? err : admin_rescan(ctrlr);
}

int nvmux_ctrlr_attach_ns(struct nvmux_ctrlr *ctrlr, uint32_t nsid, const uint16_t *cntids,
			  uint32_t n_cntids)
{
	return attachment(ctrlr, SEL_ATTACH, nsid, cntids, n_cntids);
}

int nvmux_ctrlr_detach_ns(struct nvmux_ctrlr *ctrlr, uint32_t nsid, const uint16_t *cntids,
			  uint32_t n_cntids)
{
	return attachment(ctrlr, SEL_DETACH, nsid, cntids, n_cntids);
}

/* ---- format ---- */

static int check_format(const struct nvmux_ctrlr *ctrlr, const struct nvmux_format *format)
{
	if (format->lbaf > LBAF_MAX)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "lbaf is %u; it must be 0 to %u",
				   format->lbaf, LBAF_MAX);
	if (format->pi > PI_MAX)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "pi is %u; it must be 0 to %u",
				   format->pi, PI_MAX);
	if (format->ses > SES_MAX)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "ses is %u; it must be 0 to %u",
				   format->ses, SES_MAX);
	if (format->ses == SES_MAX && !(ctrlr->id.fna & FNA_CRYPTO))
		return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
				   "%s: the controller doesn't offer cryptographic erase (FNA)",
				   ctrlr->trid.traddr);
	return 0;
}

int nvmux_ctrlr_format(struct nvmux_ctrlr *ctrlr, uint32_t nsid, const struct nvmux_format *format)
{
	struct nvmux_cmd cmd = {.opc = nvme_admin_format_nvm, .nsid = cpu_to_le32(nsid)};
	int err = nvmux_sync_check(ctrlr->nvmux);

	if (!err)
		err = admin_want_oacs(ctrlr, NVME_CTRL_OACS_FORMAT, "Format NVM");
	if (!err)
		err = check_nsid(ctrlr, nsid, true);
	if (!err)
		err = check_format(ctrlr, format);
	if (err)
		return err;
	cmd.cdw10 = cpu_to_le32((format->lbaf & 0xfu) | (uint32_t)format->md_interleaved << 4 |
				(uint32_t)format->pi << 5 | (uint32_t)format->pi_first << 8 |
				(uint32_t)format->ses << 9 | (uint32_t)(format->lbaf >> 4) << 12);
	err = admin_wait(ctrlr, &cmd, NULL, 0, NULL);
	return err ? err : admin_rescan(ctrlr);
}
