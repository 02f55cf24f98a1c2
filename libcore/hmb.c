// SPDX-License-Identifier: BSD-3-Clause
/*
 * The host memory buffer: memory of ours that a controller without enough of its own asks for.
 * Base specification 2.0, sections 5.27.1.10 and 8.9.
 *
 * Happy path: one region of the preferred size (HMPRE), in one piece for the controller, and behind
 * it the list of that one piece; Set Features enables it at each start, since a reset ends its use.
 * Before the shutdown it is taken back, and freed when the device has been let go of.
 *
 * Failure modes: not as much memory (the minimum, HMMIN, is tried), or a refusal: the controller
 * does without, more slowly, with a line in the log.
 */
#include <errno.h>

#include "ctrlr_state.h"
#include "numa.h"

#define HMB_UNIT      4096u
#define HMB_MAX_UNITS ((128u << 20) / HMB_UNIT)
#define EHM           1u

struct hmb_desc {
	__le64 addr;
	__le32 units; /* memory pages */
	__le32 reserved;
};

static bool is_wanted(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->transport->adminq_regs && !ctrlr->discovery && ctrlr->id.hmpre &&
	       !(ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED);
}

int ctrlr_hmb_or_next(struct nvmux_ctrlr *ctrlr)
{
	return is_wanted(ctrlr) ? CTRLR_HMB : ctrlr_prepare_or_next(ctrlr);
}

static void go_without(struct nvmux_ctrlr *ctrlr, const char *why)
{
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
		  "%s: it goes without the host memory buffer that it asks for: %s",
		  ctrlr->trid.traddr, why);
}

static void hmb_mapped(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;
	struct nvmux_mem *mem = ctrlr->hmb;
	uint32_t units = (uint32_t)(mem->size / HMB_UNIT - 1);
	struct hmb_desc *list = (struct hmb_desc *)(void *)(mem->addr + (size_t)units * HMB_UNIT);
	uint64_t list_iova = mem->iova + (uint64_t)units * HMB_UNIT;
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_set_features,
		.cdw10 = cpu_to_le32(NVME_FEAT_FID_HOST_MEM_BUF),
		.cdw11 = cpu_to_le32(EHM),
		.cdw12 = cpu_to_le32(units),
		.cdw13 = cpu_to_le32((uint32_t)list_iova),
		.cdw14 = cpu_to_le32((uint32_t)(list_iova >> 32)),
		.cdw15 = cpu_to_le32(1),
	};

	if (!err) {
		*list = (struct hmb_desc){cpu_to_le64(mem->iova), cpu_to_le32(units), 0};
		ctrlr->hmb_mapped = true;
		err = nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, ctrlr_step_cpl_any, ctrlr);
	}
	if (err) {
		go_without(ctrlr, strerror(-err));
		ctrlr_step_done(ctrlr, 0, 0);
	}
}

/* As much as it prefers, within our limit, or as little as it can do with. */
static int make(struct nvmux_ctrlr *ctrlr)
{
	uint32_t want = MIN(le32_to_cpu(ctrlr->id.hmpre), HMB_MAX_UNITS);
	uint32_t min = MAX(le32_to_cpu(ctrlr->id.hmmin), 1u);
	int err = -E2BIG;

	if (want >= min)
		err = nvmux_mem_create_for(ctrlr, ((size_t)want + 1) * HMB_UNIT, 0,
					   &ctrlr->hmb);
	if (err && min < want)
		err = nvmux_mem_create_for(ctrlr, ((size_t)min + 1) * HMB_UNIT, 0, &ctrlr->hmb);
	return err;
}

void ctrlr_enter_hmb(struct nvmux_ctrlr *ctrlr)
{
	int err = 0;

	ctrlr->step_status = 0;
	if (!ctrlr->hmb)
		err = make(ctrlr);
	if (err) {
		go_without(ctrlr, strerror(-err));
		ctrlr_step_done(ctrlr, 0, 0);
	} else if (ctrlr->hmb_mapped) {
		hmb_mapped(ctrlr, 0, 0);
	} else {
		nvmux_mem_map_async(ctrlr->hmb, ctrlr, hmb_mapped, ctrlr);
	}
}

int ctrlr_finish_hmb(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->step_status)
		go_without(ctrlr, nvmux_status_string(ctrlr->step_status));
	return ctrlr_prepare_or_next(ctrlr);
}

/* The controller answers when it uses none of it any more. */
void ctrlr_enter_hmb_off(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_set_features,
		.cdw10 = cpu_to_le32(NVME_FEAT_FID_HOST_MEM_BUF),
	};

	if (!ctrlr->hmb_mapped ||
	    nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, ctrlr_step_cpl_any, ctrlr))
		ctrlr_step_done(ctrlr, 0, 0);
}

/* The device has been let go of. */
void ctrlr_free_hmb(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->hmb)
		nvmux_mem_release(ctrlr->hmb);
	ctrlr->hmb = NULL;
	ctrlr->hmb_mapped = false;
}
