// SPDX-License-Identifier: BSD-3-Clause
/*
 * Boot partitions: two, which are read by registers, also before the controller is enabled, and
 * written by Firmware Image Download and Firmware Commit. Base specification 2.0, sections 3.1.3.13
 * to 3.1.3.15, and 8.2.
 *
 * A read ends within the write to BPRSEL that begins it. One that goes beyond the partition, or
 * whose buffer isn't there in one piece, ends with an error in BPINFO.
 */
#include <string.h>
#include "emulator/internal.h"

#define SIZE_UNIT   (128u << 10)
#define PIECE       4096u
#define BPRSZ_MASK  0x3ffu
#define BPROF_SHIFT 10
#define BPROF_MASK  0xfffffu
#define BPID_SHIFT  31
#define BPRSEL_MASK (~(1u << 30)) /* bit 30 is reserved */

void emu_boot_destroy(struct emu_ctrlr *ctrlr)
{
	free(ctrlr->boot.partitions[0]);
	free(ctrlr->boot.partitions[1]);
}

uint32_t emu_boot_info(const struct emu_ctrlr *ctrlr)
{
	const struct emu_boot *boot = &ctrlr->boot;

	return EMU_BOOT_SIZE / SIZE_UNIT | (uint32_t)boot->read_status << NVME_BPINFO_BRS_SHIFT |
	       (uint32_t)boot->active << NVME_BPINFO_ABPID_SHIFT;
}

void emu_boot_read(struct emu_ctrlr *ctrlr, uint32_t select)
{
	struct emu_boot *boot = &ctrlr->boot;
	const uint8_t *partition = boot->partitions[select >> BPID_SHIFT];
	uint64_t len = (uint64_t)(select & BPRSZ_MASK) * PIECE;
	uint64_t offset = (uint64_t)(select >> BPROF_SHIFT & BPROF_MASK) * PIECE;
	uint8_t *host = NULL;

	boot->select = select & BPRSEL_MASK;
	boot->read_status = NVME_BPINFO_BRS_READ_ERROR;
	if (len && offset + len <= EMU_BOOT_SIZE)
		host = emu_map(ctrlr, boot->buffer, len, false, true);
	if (!host)
		return;
	if (partition)
		memcpy(host, partition + offset, len);
	else
		memset(host, 0, len);
	boot->read_status = NVME_BPINFO_BRS_READ_SUCCESS;
}

uint16_t emu_boot_replace(struct emu_ctrlr *ctrlr, uint32_t id, const uint8_t *image, uint32_t len)
{
	struct emu_boot *boot = &ctrlr->boot;

	if (len > EMU_BOOT_SIZE)
		return EMU_SPECIFIC(FIRMWARE_IMAGE);
	if (!boot->partitions[id])
		boot->partitions[id] = malloc(EMU_BOOT_SIZE);
	if (!boot->partitions[id])
		return EMU_GENERIC(INTERNAL);
	memcpy(boot->partitions[id], image, len);
	memset(boot->partitions[id] + len, 0, EMU_BOOT_SIZE - len);
	return EMU_SUCCESS;
}
