// SPDX-License-Identifier: BSD-3-Clause
/*
 * Firmware images and boot partitions. Base specification 2.0, sections 5.11, 5.12, 8.2.
 *
 * Reading a boot partition needs no queue: the controller is told by registers where to put how
 * much of it (BPMBL, BPRSEL), and says when it has (BPINFO).
 */
#include <errno.h>

#include "admin_cmds.h"
#include "sync.h"

#define SLOT_MAX        7u
#define ACTION_MAX      7u
#define CA_BOOT_REPLACE 6u
#define FWUG_UNIT       4096u
#define FWUG_ANY        0xffu
#define BPSZ_UNIT       (128u << 10)
#define BP_PAGE         4096u
#define BP_PIECE        (256u * BP_PAGE) /* BPRSZ has 10 bits */
#define BPROF_MAX       0xfffffu         /* BPROF has 20 bits, in pages */

/* ---- firmware ---- */

static struct nvmux_cmd download_cmd(uint32_t len, uint32_t offset)
{
	return (struct nvmux_cmd){
		.opc = nvme_admin_fw_download,
		.cdw10 = cpu_to_le32(len / 4 - 1),
		.cdw11 = cpu_to_le32(offset / 4),
	};
}

int nvmux_ctrlr_cmd_fw_download(struct nvmux_ctrlr *ctrlr, const void *buf, uint32_t len,
				uint32_t offset, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = download_cmd(len, offset);
	int err = admin_want_oacs(ctrlr, NVME_CTRL_OACS_FW, "firmware commands");

	if (!err)
		err = admin_check_data(ctrlr, buf, len, false);
	if (!err && offset % 4)
		err = nvmux_error(ctrlr->nvmux, -EINVAL, "offset is %u; it must be a multiple of 4",
				  offset);
	return err ? err
		   : nvmux_ctrlr_admin(ctrlr, &cmd, (void *)(uintptr_t)buf, len, cb, arg);
}

static int check_commit(const struct nvmux_ctrlr *ctrlr, uint8_t slot, uint8_t action)
{
	int err = admin_want_oacs(ctrlr, NVME_CTRL_OACS_FW, "firmware commands");

	if (!err && slot > SLOT_MAX)
		err = nvmux_error(ctrlr->nvmux, -EINVAL, "slot is %u; it must be 0 to %u", slot,
				  SLOT_MAX);
	if (!err && action > ACTION_MAX)
		err = nvmux_error(ctrlr->nvmux, -EINVAL, "action is %u; it must be 0 to %u", action,
				  ACTION_MAX);
	return err;
}

static struct nvmux_cmd commit_cmd(uint8_t slot, uint8_t action, bool bpid)
{
	return (struct nvmux_cmd){
		.opc = nvme_admin_fw_commit,
		.cdw10 = cpu_to_le32((bpid ? 1u << 31 : 0) | (uint32_t)action << 3 | slot),
	};
}

int nvmux_ctrlr_cmd_fw_commit(struct nvmux_ctrlr *ctrlr, uint8_t slot, uint8_t action, bool bpid,
			      nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = commit_cmd(slot, action, bpid);
	int err = check_commit(ctrlr, slot, action);

	return err ? err : nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, cb, arg);
}

/* Bytes of one piece: FWUG in units of 4 KiB; FFh: as one likes; 0: unknown, so the smallest. */
static uint32_t download_piece(const struct nvmux_ctrlr *ctrlr)
{
	uint32_t limit = admin_piece(ctrlr), unit = FWUG_UNIT;

	if (ctrlr->id.fwug == FWUG_ANY)
		return limit;
	if (ctrlr->id.fwug)
		unit *= ctrlr->id.fwug;
	else
		limit = MIN(limit, unit);
	return limit / unit * unit; /* 0: no piece is possible */
}

int admin_download(struct nvmux_ctrlr *ctrlr, const uint8_t *image, size_t size)
{
	uint32_t piece = download_piece(ctrlr);
	int err = nvmux_sync_check(ctrlr->nvmux);

	if (!err)
		err = admin_want_oacs(ctrlr, NVME_CTRL_OACS_FW, "firmware commands");
	if (err)
		return err;
	if (!image || !size || size % 4 || size > UINT32_MAX)
		return nvmux_error(ctrlr->nvmux, -EINVAL,
				   "size is %zu; an image's is a multiple of 4, not 0, below 4 GiB",
				   size);
	if (!piece)
		return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
				   "%s: FWUG is %u: its pieces exceed the transfer limit of %u",
				   ctrlr->trid.traddr, ctrlr->id.fwug, admin_piece(ctrlr));
	for (size_t at = 0; at < size && !err; at += piece) {
		uint32_t len = (uint32_t)MIN(size - at, (size_t)piece);
		struct nvmux_cmd cmd = download_cmd(len, (uint32_t)at);

		err = admin_wait(ctrlr, &cmd, (void *)(uintptr_t)(image + at), len, NULL);
	}
	return err;
}

/* The image was taken; a reset of some kind makes it run. Figure 182. */
static bool wants_reset(uint16_t status)
{
	return status == NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_FW_NEEDS_CONV_RESET & 0xff) ||
	       status ==
		       NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_FW_NEEDS_SUBSYS_RESET & 0xff) ||
	       status == NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_FW_NEEDS_RESET & 0xff);
}

static int commit(struct nvmux_ctrlr *ctrlr, uint8_t slot, uint8_t action, bool bpid,
		  uint16_t *ret_status)
{
	struct nvmux_cmd cmd = commit_cmd(slot, action, bpid);
	struct nvmux_cpl cpl;
	uint16_t status;
	int err = admin_wait(ctrlr, &cmd, NULL, 0, &cpl);

	if (err)
		return err;
	status = nvmux_cpl_status(&cpl) & NVMUX_STATUS_CODE_MASK;
	if (status && !wants_reset(status))
		return nvmux_error(ctrlr->nvmux, -EIO, "firmware commit: status %03x (%s)", status,
				   nvmux_status_string(status));
	if (ret_status)
		*ret_status = status;
	return 0;
}

int nvmux_ctrlr_update_firmware(struct nvmux_ctrlr *ctrlr, const void *image, size_t size,
				uint8_t slot, uint8_t action, uint16_t *ret_status)
{
	int err = check_commit(ctrlr, slot, action);

	if (!err)
		err = admin_download(ctrlr, image, size);
	return err ? err : commit(ctrlr, slot, action, false, ret_status);
}

/* ---- boot partitions ---- */

static int want_boot_partitions(const struct nvmux_ctrlr *ctrlr, uint8_t bpid)
{
	int err = nvmux_sync_check(ctrlr->nvmux);

	if (err)
		return err;
	if (!NVME_CAP_BPS(ctrlr->cap))
		return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
				   "%s: the controller has no boot partitions (CAP.BPS)",
				   ctrlr->trid.traddr);
	if (!ctrlr->transport->adminq_regs)
		return nvmux_error(ctrlr->nvmux, -EACCES,
				   "%s: boot partitions are read by registers, which only the "
				   "program that drives a local controller can write",
				   ctrlr->trid.traddr);
	if (bpid > 1)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "bpid is %u; it must be 0 or 1", bpid);
	return 0;
}

static uint64_t partition_size(const struct nvmux_ctrlr *ctrlr)
{
	return (uint64_t)NVME_BPINFO_BPSZ(ctrlr->bpinfo) * BPSZ_UNIT;
}

static int reg(struct nvmux_ctrlr *ctrlr, bool write, uint32_t offset, uint32_t size,
	       uint64_t *value)
{
	struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};
	int err;

	if (!ctrlr->device_open || !ctrlr_is_usable(ctrlr))
		return nvmux_error(ctrlr->nvmux, -ENXIO, "%s: the controller is %s",
				   ctrlr->trid.traddr, nvmux_ctrlr_get_state_string(ctrlr));
	if (write)
		transport_reg_write(ctrlr, offset, size, *value, nvmux_sync_done, &sync);
	else
		transport_reg_read(ctrlr, offset, size, nvmux_sync_done, &sync);
	err = nvmux_sync_wait(&sync);
	if (!err && !write)
		*value = sync.value;
	return err;
}

/* Until the controller has read what it was told to. */
static int wait_for_read(struct nvmux_ctrlr *ctrlr)
{
	uint64_t deadline = nvmux_now_ms() + ctrlr->opts.admin_timeout_ms, bpinfo;
	int err;

	for (;;) {
		err = reg(ctrlr, false, NVME_REG_BPINFO, 4, &bpinfo);
		if (err)
			return err;
		switch (NVME_BPINFO_BRS((uint32_t)bpinfo)) {
		case NVME_BPINFO_BRS_READ_SUCCESS: return 0;
		case NVME_BPINFO_BRS_READ_IN_PROGRESS: break;
		default:
			return nvmux_error(ctrlr->nvmux, -EIO,
					   "%s: reading the boot partition failed (BPINFO %#x)",
					   ctrlr->trid.traddr, (unsigned)bpinfo);
		}
		if (nvmux_now_ms() >= deadline)
			return nvmux_error(ctrlr->nvmux, -ETIMEDOUT,
					   "%s: reading the boot partition took over %u ms",
					   ctrlr->trid.traddr, ctrlr->opts.admin_timeout_ms);
		admin_pause(ctrlr->nvmux);
	}
}

static int read_piece(struct nvmux_ctrlr *ctrlr, const struct nvmux_mem *mem, uint8_t bpid,
		      uint32_t len, uint32_t offset)
{
	uint64_t select = (uint64_t)bpid << 31 | (uint64_t)(offset / BP_PAGE) << 10 | len / BP_PAGE;
	uint64_t iova = mem->iova;
	int err = reg(ctrlr, true, NVME_REG_BPMBL, 8, &iova);

	if (!err)
		err = reg(ctrlr, true, NVME_REG_BPRSEL, 4, &select);
	return err ? err : wait_for_read(ctrlr);
}

int nvmux_ctrlr_read_boot_partition(struct nvmux_ctrlr *ctrlr, uint8_t bpid, void *buf,
				    uint32_t len, uint32_t offset)
{
	struct nvmux_mem *mem = NULL;
	int err = want_boot_partitions(ctrlr, bpid);

	if (err)
		return err;
	if (!buf || !len || len % BP_PAGE || offset % BP_PAGE ||
	    (uint64_t)offset + len > partition_size(ctrlr) || offset / BP_PAGE > BPROF_MAX)
		return nvmux_error(ctrlr->nvmux, -EINVAL,
				   "len is %u, offset is %u; they must be multiples of %u within "
				   "the partition's %llu bytes",
				   len, offset, BP_PAGE,
				   (unsigned long long)partition_size(ctrlr));
	err = nvmux_mem_alloc(ctrlr, MIN(len, BP_PIECE), 0, &mem);
	for (uint32_t at = 0; !err && at < len; at += BP_PIECE) {
		uint32_t piece = MIN(len - at, BP_PIECE);

		err = read_piece(ctrlr, mem, bpid, piece, offset + at);
		if (!err)
			memcpy((uint8_t *)buf + at, mem->addr, piece);
	}
	/* A read that didn't end may still write to it: it goes with the controller then. */
	if (mem && err == -ETIMEDOUT)
		nvmux_mem_release_later(mem);
	else if (mem)
		nvmux_mem_free(mem);
	return err;
}

int nvmux_ctrlr_write_boot_partition(struct nvmux_ctrlr *ctrlr, uint8_t bpid, const void *image,
				     uint32_t size)
{
	int err = want_boot_partitions(ctrlr, bpid);

	if (!err && size > partition_size(ctrlr))
		err = nvmux_error(ctrlr->nvmux, -EINVAL,
				  "size is %u; the partition has %llu bytes", size,
				  (unsigned long long)partition_size(ctrlr));
	if (!err)
		err = admin_download(ctrlr, image, size);
	return err ? err : commit(ctrlr, 0, CA_BOOT_REPLACE, bpid, NULL);
}
