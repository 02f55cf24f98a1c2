// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sanitize, and the Sanitize Status log. Base specification 2.0, sections 5.24 and 8.21.
 *
 * The data is gone when the command has completed; the operation then goes on for a while, so that
 * hosts see progress, and an event says its end. Meanwhile only the commands that the
 * specification lists are executed. It survives resets, as it must.
 */
#include <string.h>
#include "emulator/internal.h"

#define ACTION_MASK 7u
#define NO_DEALLOC  (1u << 9)
#define OWPASS(v)   ((v) >> 4 & 0xf)

/* Asynchronous events of an I/O command set, and of a sanitize operation. */
#define EVENT_IO_SPECIFIC        6
#define EVENT_SANITIZE_COMPLETED 1

enum {
	EXIT_FAILURE_MODE = 1,
	BLOCK_ERASE = 2,
	OVERWRITE = 3,
	CRYPTO_ERASE = 4,
};

static uint16_t erase_all(struct emu_ctrlr *ctrlr)
{
	uint16_t status = EMU_SUCCESS;

	/* No command of an I/O queue is under way any more, and none comes before the end. */
	emu_slow_set(ctrlr, EMU_SLOW_SANITIZE, true);
	emu_quiesce(ctrlr);
	for (uint32_t i = 0; i < EMU_NS_MAX && !status; i++) {
		if (ctrlr->ns[i].id)
			status = emu_ns_erase(&ctrlr->ns[i]);
	}
	return status;
}

static void overwrite(struct emu_ctrlr *ctrlr, uint32_t value)
{
	uint32_t pattern = htole32(value);

	for (uint32_t i = 0; i < EMU_NS_MAX; i++) {
		struct emu_ns *ns = &ctrlr->ns[i];

		if (!ns->id || !ns->data)
			continue;
		for (uint64_t at = 0; at + 4 <= ns->size; at += 4)
			memcpy(ns->data + at, &pattern, 4);
	}
}

uint16_t emu_sanitize(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	struct emu_sanitize *s = &ctrlr->sanitize;
	uint32_t cdw10 = emu_cdw(cmd->cdw10), action = cdw10 & ACTION_MASK;
	uint16_t status;

	if (action == EXIT_FAILURE_MODE)
		return EMU_SUCCESS; /* nothing has failed */
	if (action < BLOCK_ERASE || action > CRYPTO_ERASE)
		return EMU_GENERIC(INVALID_FIELD);
	if (ctrlr->firmware.next)
		return EMU_SPECIFIC(FW_NEEDS_RESET);
	emu_self_test_abort(ctrlr, NVME_ST_RESULT_ABORTED_SANITIZE);
	status = erase_all(ctrlr);
	/* What was overwritten and then is deallocated reads as zeroes. */
	if (!status && action == OVERWRITE && (cdw10 & NO_DEALLOC))
		overwrite(ctrlr, emu_cdw(cmd->cdw11));
	if (status) {
		s->status = NVME_SANITIZE_SSTAT_STATUS_COMPLETED_FAILED;
		emu_slow_set(ctrlr, EMU_SLOW_SANITIZE, false);
		return status;
	}
	s->began = emu_now_ns();
	s->cdw10 = cdw10;
	s->status = NVME_SANITIZE_SSTAT_STATUS_IN_PROGESS;
	s->passes = 0;
	s->wanted_passes = action == OVERWRITE ? (OWPASS(cdw10) ? OWPASS(cdw10) : 16) : 0;
	ctrlr->background |= EMU_BG_SANITIZE;
	return EMU_SUCCESS;
}

static uint64_t elapsed_ms(const struct emu_sanitize *s)
{
	return (emu_now_ns() - s->began) / EMU_NS_PER_MS;
}

void emu_sanitize_advance(struct emu_ctrlr *ctrlr)
{
	struct emu_sanitize *s = &ctrlr->sanitize;
	uint64_t ms = elapsed_ms(s);

	if (s->status != NVME_SANITIZE_SSTAT_STATUS_IN_PROGESS)
		return;
	s->passes = (uint8_t)(MIN(ms, EMU_SANITIZE_MS) * s->wanted_passes / EMU_SANITIZE_MS);
	if (ms < EMU_SANITIZE_MS)
		return;
	s->status = NVME_SANITIZE_SSTAT_STATUS_COMPLETE_SUCCESS;
	s->erased = true;
	ctrlr->background &= ~EMU_BG_SANITIZE;
	emu_slow_set(ctrlr, EMU_SLOW_SANITIZE, false);
	if (ctrlr->running)
		emu_event_raise(ctrlr, EVENT_IO_SPECIFIC, EVENT_SANITIZE_COMPLETED,
				NVME_LOG_LID_SANITIZE);
}

/* Figure "Sanitize Operations - Admin Commands Allowed". */
uint16_t emu_sanitize_refuses(const struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	if (sq->id != 0)
		return cmd->opc == nvme_cmd_flush ? EMU_SUCCESS
						  : EMU_STATUS(0, NVME_SC_SANITIZE_IN_PROGRESS);
	switch (cmd->opc) {
	case nvme_admin_ns_mgmt:
	case nvme_admin_ns_attach:
	case nvme_admin_fw_commit:
	case nvme_admin_fw_download:
	case nvme_admin_dev_self_test:
	case nvme_admin_directive_send:
	case nvme_admin_directive_recv:
	case nvme_admin_format_nvm:
	case nvme_admin_security_send:
	case nvme_admin_security_recv:
	case nvme_admin_sanitize_nvm: return EMU_STATUS(0, NVME_SC_SANITIZE_IN_PROGRESS);
	default: return EMU_SUCCESS;
	}
}

uint32_t emu_sanitize_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_sanitize_log_page *log = (struct nvme_sanitize_log_page *)(void *)buf;
	const struct emu_sanitize *s = &ctrlr->sanitize;
	uint32_t seconds = 1;
	uint64_t progress = 0xffff;

	emu_sanitize_advance(ctrlr);
	if (s->status == NVME_SANITIZE_SSTAT_STATUS_IN_PROGESS)
		progress = MIN(elapsed_ms(s) * 65536 / EMU_SANITIZE_MS, 0xfffeull);
	log->sprog = cpu_to_le16((uint16_t)progress);
	log->sstat =
		cpu_to_le16((uint16_t)(s->status | (s->passes & 0x1f) << 3 |
				       (s->erased ? NVME_SANITIZE_SSTAT_GLOBAL_DATA_ERASED : 0)));
	log->scdw10 = cpu_to_le32(s->cdw10);
	log->eto = log->etbe = log->etce = cpu_to_le32(seconds);
	log->etond = log->etbend = log->etcend = cpu_to_le32(seconds);
	return sizeof(*log);
}
