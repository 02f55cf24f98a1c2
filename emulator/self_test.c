// SPDX-License-Identifier: BSD-3-Clause
/*
 * Device Self-test and its log. Base specification 2.0, sections 5.9, 5.16.1.7 and 8.6.
 *
 * A test takes its time and finds nothing. A short one ends with a controller level reset, an
 * extended one goes on.
 */
#include <string.h>
#include "emulator/internal.h"

#define STC_SHORT     1u
#define STC_EXTENDED  2u
#define STC_ABORT     0xfu
#define RESULT_UNUSED 0xf
#define VDI_NSID      1u

static uint32_t duration_ms(const struct emu_self_test *t)
{
	return t->code == STC_EXTENDED ? EMU_SELF_TEST_EXTENDED_MS : EMU_SELF_TEST_SHORT_MS;
}

/* It has ended: the newest result is the first one of the log. */
static void end(struct emu_ctrlr *ctrlr, uint8_t result)
{
	struct emu_self_test *t = &ctrlr->self_test;

	memmove(&t->results[1], &t->results[0], sizeof(t->results) - sizeof(t->results[0]));
	t->results[0] = (struct nvme_st_result){
		.dsts = (uint8_t)(t->code << 4 | result),
		.vdi = t->nsid ? VDI_NSID : 0,
		.nsid = cpu_to_le32(t->nsid),
	};
	t->code = 0;
	ctrlr->background &= ~EMU_BG_SELF_TEST;
}

void emu_self_test_advance(struct emu_ctrlr *ctrlr)
{
	const struct emu_self_test *t = &ctrlr->self_test;

	if (t->code && emu_now_ns() - t->began >= duration_ms(t) * EMU_NS_PER_MS)
		end(ctrlr, NVME_ST_RESULT_NO_ERR);
}

void emu_self_test_abort(struct emu_ctrlr *ctrlr, uint8_t result)
{
	if (result == NVME_ST_RESULT_CLR && ctrlr->self_test.code == STC_EXTENDED)
		return;
	if (ctrlr->self_test.code)
		end(ctrlr, result);
}

uint16_t emu_self_test(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	struct emu_self_test *t = &ctrlr->self_test;
	uint32_t code = emu_cdw(cmd->cdw10) & 0xf, nsid = emu_cdw(cmd->nsid);

	emu_self_test_advance(ctrlr);
	if (code == STC_ABORT) {
		emu_self_test_abort(ctrlr, NVME_ST_RESULT_ABORTED);
		return EMU_SUCCESS;
	}
	if (code != STC_SHORT && code != STC_EXTENDED)
		return EMU_GENERIC(INVALID_FIELD);
	if (nsid != NVME_NSID_NONE && nsid != NVME_NSID_ALL && !emu_ns_get(ctrlr, nsid))
		return emu_ns_missing(ctrlr, nsid);
	if (t->code)
		return EMU_SPECIFIC(SELF_TEST_IN_PROGRESS);
	t->code = (uint8_t)code;
	t->nsid = nsid;
	t->began = emu_now_ns();
	ctrlr->background |= EMU_BG_SELF_TEST;
	return EMU_SUCCESS;
}

uint32_t emu_self_test_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_self_test_log *log = (struct nvme_self_test_log *)(void *)buf;
	const struct emu_self_test *t = &ctrlr->self_test;

	emu_self_test_advance(ctrlr);
	log->current_operation = t->code;
	if (t->code)
		log->completion = (uint8_t)MIN(
			(emu_now_ns() - t->began) * 100 / (duration_ms(t) * EMU_NS_PER_MS), 99ull);
	memcpy(log->result, t->results, sizeof(t->results));
	for (size_t i = 0; i < ARRAY_SIZE(t->results); i++) {
		if (t->results[i].dsts == 0)
			log->result[i].dsts = RESULT_UNUSED;
	}
	return sizeof(*log);
}
