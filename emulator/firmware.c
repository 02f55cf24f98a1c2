// SPDX-License-Identifier: BSD-3-Clause
/*
 * Firmware Image Download, Firmware Commit, and the Firmware Slot Information log. Base
 * specification 2.0, sections 5.11, 5.12 and 5.16.1.4.
 *
 * An image is what the host likes; its first eight bytes are its revision. Slot 1 is read-only and
 * has the revision of this program. A revision in another slot becomes active by a reset (commit
 * action 1 or 2), or at once (3). Images also go to boot partitions (6, 7: boot.c).
 */
#include <string.h>
#include "emulator/internal.h"

#define BPID_SHIFT    31
#define ACTIVE_NOW    3
#define BOOT_REPLACE  6
#define BOOT_ACTIVATE 7

void emu_firmware_init(struct emu_ctrlr *ctrlr)
{
	struct emu_firmware *fw = &ctrlr->firmware;

	memset(fw->revision[0], ' ', sizeof(fw->revision[0]));
	memcpy(fw->revision[0], NVMUX_VERSION, MIN(strlen(NVMUX_VERSION), sizeof(fw->revision[0])));
	fw->active = 1;
}

void emu_firmware_destroy(struct emu_ctrlr *ctrlr)
{
	free(ctrlr->firmware.image);
}

static void forget_image(struct emu_firmware *fw)
{
	free(fw->image);
	fw->image = NULL;
	fw->end = 0;
	memset(fw->have, 0, sizeof(fw->have));
}

void emu_firmware_reset(struct emu_ctrlr *ctrlr)
{
	struct emu_firmware *fw = &ctrlr->firmware;

	if (fw->next)
		fw->active = fw->next;
	fw->next = 0;
	forget_image(fw);
}

uint16_t emu_firmware_download(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	struct emu_firmware *fw = &sq->ctrlr->firmware;
	uint64_t len = ((uint64_t)emu_cdw(cmd->cdw10) + 1) * 4;
	uint64_t offset = (uint64_t)emu_cdw(cmd->cdw11) * 4;
	uint32_t first = (uint32_t)(offset / EMU_FW_UNIT), last;
	bool overlap = false;
	uint16_t status;

	/* Only the last piece may be shorter than the granularity: nothing follows it. */
	if (offset && ((len % EMU_FW_UNIT && offset + len < fw->end) ||
		       (fw->end % EMU_FW_UNIT && offset > fw->end)))
		return EMU_GENERIC(INVALID_FIELD);
	if (len > sq->ctrlr->max_transfer || offset % EMU_FW_UNIT || offset + len > EMU_FW_MAX)
		return EMU_GENERIC(INVALID_FIELD);
	if (!fw->image)
		fw->image = calloc(1, EMU_FW_MAX);
	if (!fw->image)
		return EMU_GENERIC(INTERNAL);
	last = (uint32_t)((offset + len + EMU_FW_UNIT - 1) / EMU_FW_UNIT);
	/* From its beginning, an image may come anew. */
	if (offset == 0)
		memset(fw->have, 0, sizeof(fw->have));
	for (uint32_t i = first; i < last; i++)
		overlap |= fw->have[i];
	if (overlap)
		return EMU_SPECIFIC(OVERLAPPING_RANGE);
	status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, fw->image + offset, len);
	if (status)
		return status;
	memset(fw->have + first, 1, last - first);
	fw->end = offset == 0 ? (uint32_t)len : MAX(fw->end, (uint32_t)(offset + len));
	return EMU_SUCCESS;
}

/* Whether anything was downloaded, without gaps. */
static bool is_whole(const struct emu_firmware *fw)
{
	for (uint32_t i = 0; i < (fw->end + EMU_FW_UNIT - 1) / EMU_FW_UNIT; i++) {
		if (!fw->have[i])
			return false;
	}
	return fw->image && fw->end;
}

/* A revision is text. */
static bool has_revision(const struct emu_firmware *fw)
{
	for (int i = 0; i < 8; i++) {
		if (fw->image[i] < 0x20 || fw->image[i] > 0x7e)
			return false;
	}
	return true;
}

/* Put what was downloaded into a slot, any free one if it is 0. */
static uint16_t store(struct emu_firmware *fw, uint32_t *slot)
{
	if (*slot == 1)
		return EMU_SPECIFIC(FIRMWARE_SLOT);
	if (*slot == 0)
		*slot = fw->active == 2 ? 3 : 2;
	if (!is_whole(fw) || !has_revision(fw))
		return EMU_SPECIFIC(FIRMWARE_IMAGE);
	memcpy(fw->revision[*slot - 1], fw->image, sizeof(fw->revision[0]));
	forget_image(fw);
	return EMU_SUCCESS;
}

/* Commit actions of boot partitions. */
static uint16_t commit_boot(struct emu_ctrlr *ctrlr, uint32_t action, uint32_t id)
{
	struct emu_firmware *fw = &ctrlr->firmware;
	uint16_t status;

	if (action == BOOT_ACTIVATE) {
		ctrlr->boot.active = (uint8_t)id;
		return EMU_SUCCESS;
	}
	if (!is_whole(fw))
		return EMU_SPECIFIC(FIRMWARE_IMAGE);
	status = emu_boot_replace(ctrlr, id, fw->image, fw->end);
	if (!status)
		forget_image(fw);
	return status;
}

uint16_t emu_firmware_commit(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	struct emu_firmware *fw = &ctrlr->firmware;
	uint32_t cdw10 = emu_cdw(cmd->cdw10), slot = cdw10 & 7, action = cdw10 >> 3 & 7;
	uint16_t status = EMU_SUCCESS;

	if (action == BOOT_REPLACE || action == BOOT_ACTIVATE)
		return commit_boot(ctrlr, action, cdw10 >> BPID_SHIFT);
	if (action > ACTIVE_NOW)
		return EMU_GENERIC(INVALID_FIELD);
	if (slot > EMU_FW_SLOTS)
		return EMU_SPECIFIC(FIRMWARE_SLOT);
	/* Activate at once: what was just downloaded, if anything was, else what is there. */
	if (action < 2 || (action == ACTIVE_NOW && fw->image))
		status = store(fw, &slot);
	if (status || action == 0)
		return status;
	if (slot == 0)
		slot = fw->active;
	if (!fw->revision[slot - 1][0])
		return EMU_SPECIFIC(FIRMWARE_IMAGE);
	if (action == ACTIVE_NOW) {
		fw->active = (uint8_t)slot;
		fw->next = 0;
		if (ctrlr->features.async_event & NVME_CTRL_OAES_FA)
			emu_event_raise(ctrlr, NVME_AER_NOTICE, NVME_AER_NOTICE_FW_ACT_STARTING,
					NVME_LOG_LID_FW_SLOT);
		return EMU_SUCCESS;
	}
	fw->next = (uint8_t)slot;
	return EMU_SUCCESS;
}

uint32_t emu_firmware_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_firmware_slot *log = (struct nvme_firmware_slot *)(void *)buf;
	const struct emu_firmware *fw = &ctrlr->firmware;

	log->afi = (uint8_t)(fw->active | fw->next << 4);
	for (uint32_t i = 0; i < EMU_FW_SLOTS; i++)
		memcpy(log->frs[i], fw->revision[i], sizeof(fw->revision[0]));
	return sizeof(*log);
}
