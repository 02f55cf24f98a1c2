// SPDX-License-Identifier: BSD-3-Clause
/*
 * The controller's registers and life cycle. Base specification 2.0, section 3.
 *
 * Enabled (CC.EN 0 to 1): the admin queue is checked and started, and CSTS.RDY is set at once; if
 * it can't be started, CSTS.CFS is. Disabled (1 to 0): queues are stopped, features go back to
 * their defaults, CSTS is cleared; AQA, ASQ and ACQ stay. Shutdown (CC.SHN): queues are stopped,
 * the data is made durable, CSTS.SHST says complete; only disabling leads on from there.
 */
#include <errno.h>
#include <string.h>
#include "emulator/internal.h"

#define CAP_CQR     (1ull << NVME_CAP_CQR_SHIFT)
#define CC_WRITABLE 0x00fffff1u
#define AQA_MASK    0x0fff0fffu
#define CFS         (NVME_CSTS_CFS_MASK << NVME_CSTS_CFS_SHIFT)
#define RDY         (NVME_CSTS_RDY_MASK << NVME_CSTS_RDY_SHIFT)
#define NSSRO       (NVME_CSTS_NSSRO_MASK << NVME_CSTS_NSSRO_SHIFT)
#define NSSR_VALUE  0x4e564d65u /* "NVMe" */
#define SHST_DONE   (NVME_CSTS_SHST_CMPLT << NVME_CSTS_SHST_SHIFT)
#define NLB_MAX     65536u
#define DSTRD_MAX   4

static uint64_t make_cap(const struct emu_config *config)
{
	uint64_t css = NVME_CAP_CSS_NVM | NVME_CAP_CSS_CSI;

	return (uint64_t)(config->queue_entries - 1) << NVME_CAP_MQES_SHIFT | CAP_CQR |
	       (uint64_t)config->ready_timeout << NVME_CAP_TO_SHIFT |
	       (uint64_t)config->doorbell_stride << NVME_CAP_DSTRD_SHIFT |
	       css << NVME_CAP_CSS_SHIFT | (uint64_t)NVME_CAP_CRWMS << NVME_CAP_CRMS_SHIFT |
	       (config->wrr ? (uint64_t)NVME_CAP_AMS_WRR << NVME_CAP_AMS_SHIFT : 0) |
	       1ull << NVME_CAP_NSSRC_SHIFT | 1ull << NVME_CAP_BPS_SHIFT;
}

static int check_config(const struct emu_config *c, char *why, size_t why_size)
{
	const char *reason = NULL;

	if (c->max_io_queues < 1 || c->max_io_queues >= EMU_QUEUES_MAX)
		reason = "number of queues out of range";
	else if (c->queue_entries < 2 || c->queue_entries > 65536)
		reason = "number of queue entries out of range";
	else if (c->mdts > 16)
		reason = "mdts out of range";
	else if (c->irq_vectors > EMU_QUEUES_MAX)
		reason = "number of vectors out of range";
	else if (c->doorbell_stride > DSTRD_MAX)
		reason = "doorbell stride out of range";
	else if (c->n_ns > EMU_NS_MAX)
		reason = "too many namespaces";
	if (!reason)
		return 0;
	if (why_size > 0)
		snprintf(why, why_size, "%s", reason);
	return -EINVAL;
}

static int open_namespaces(struct emu_ctrlr *ctrlr, char *why, size_t why_size)
{
	int err;

	/* With places for those that are created later. */
	ctrlr->ns = calloc(EMU_NS_MAX, sizeof(*ctrlr->ns));
	if (!ctrlr->ns)
		return -ENOMEM;
	ctrlr->ns_spare = EMU_NS_SPARE;
	for (uint32_t i = 0; i < EMU_NS_MAX; i++)
		ctrlr->ns[i].fd = -1;
	for (uint32_t i = 0; i < ctrlr->config.n_ns; i++) {
		err = emu_ns_open(&ctrlr->ns[i], i + 1, &ctrlr->config, why, why_size);
		if (err)
			return err;
		ctrlr->ns[i].attached = 1;
		ctrlr->n_ns++;
	}
	return 0;
}

int emu_ctrlr_create(const struct emu_config *config, const struct emu_carrier *carrier,
		     struct emu_ctrlr **ret, char *why, size_t why_size)
{
	struct emu_ctrlr *ctrlr;
	int err;

	if (why_size > 0)
		snprintf(why, why_size, "out of memory");
	err = check_config(config, why, why_size);
	if (err)
		return err;
	ctrlr = calloc(1, sizeof(*ctrlr));
	if (!ctrlr)
		return -ENOMEM;
	ctrlr->carrier = *carrier;
	ctrlr->config = *config;
	if (!config->irq_vectors)
		ctrlr->config.irq_vectors = config->max_io_queues + 1;
	ctrlr->doorbell_stride = config->doorbell_stride;
	ctrlr->cap = make_cap(config);
	/* A command can name 65536 blocks; without a limit of ours, that is it. */
	ctrlr->max_transfer = config->mdts ? (uint64_t)EMU_PAGE_SIZE << config->mdts
					   : (uint64_t)NLB_MAX << 12;
	pthread_mutex_init(&ctrlr->reports.lock, NULL);
	clock_gettime(CLOCK_MONOTONIC, &ctrlr->started);
	ctrlr->smart_temperature = EMU_TEMPERATURE_K;
	ctrlr->smart_spare = 100;
	emu_firmware_init(ctrlr);
	emu_placement_init(ctrlr);
	err = emu_queues_create(ctrlr);
	if (!err)
		err = open_namespaces(ctrlr, why, why_size);
	if (!err)
		err = emu_faults_create(ctrlr, why, why_size);
	if (err) {
		emu_ctrlr_destroy(ctrlr);
		return err;
	}
	emu_features_reset(ctrlr);
	*ret = ctrlr;
	return 0;
}

void emu_ctrlr_destroy(struct emu_ctrlr *ctrlr)
{
	if (!ctrlr)
		return;
	if (ctrlr->sqs)
		emu_queues_stop(ctrlr); /* what faults hold back ends with its queue */
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		if (ctrlr->ns[i].id)
			emu_ns_close(&ctrlr->ns[i]);
	}
	free(ctrlr->ns);
	emu_queues_destroy(ctrlr);
	emu_faults_destroy(ctrlr);
	emu_firmware_destroy(ctrlr);
	emu_boot_destroy(ctrlr);
	emu_placement_destroy(ctrlr);
	pthread_mutex_destroy(&ctrlr->reports.lock);
	free(ctrlr);
}

/* ---- what every command looks at, and what goes on without one ---- */

uint64_t emu_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void emu_slow_set(struct emu_ctrlr *ctrlr, uint32_t bit, bool on)
{
	if (on)
		__atomic_fetch_or(&ctrlr->slow, bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&ctrlr->slow, ~bit, __ATOMIC_SEQ_CST);
}

void emu_set_fatal(struct emu_ctrlr *ctrlr)
{
	__atomic_fetch_or(&ctrlr->csts, CFS, __ATOMIC_SEQ_CST);
	emu_slow_set(ctrlr, EMU_SLOW_FATAL, true);
}

bool emu_dead(struct emu_ctrlr *ctrlr)
{
	return (emu_slow(ctrlr) & EMU_SLOW_FATAL) || emu_is_gone(ctrlr);
}

void emu_background(struct emu_ctrlr *ctrlr)
{
	if (ctrlr->background & EMU_BG_SANITIZE)
		emu_sanitize_advance(ctrlr);
	if (ctrlr->background & EMU_BG_SELF_TEST)
		emu_self_test_advance(ctrlr);
}

bool emu_has_background(const struct emu_ctrlr *ctrlr)
{
	bool held = false;

	for (uint32_t i = 0; i < ctrlr->n_live; i++)
		held |= ctrlr->sqs[ctrlr->live_qids[i]].n_held > 0;
	return held || ctrlr->background || emu_slow(ctrlr);
}

void emu_set_doorbells(struct emu_ctrlr *ctrlr, volatile void *doorbells, uint32_t bytes)
{
	uint32_t n = (bytes / 4) >> ctrlr->doorbell_stride;

	NVMUX_ASSERT(!ctrlr->running);
	memset(ctrlr->doorbells_seen, 0, sizeof(ctrlr->doorbells_seen));
	ctrlr->doorbells = doorbells;
	ctrlr->n_doorbells = MIN(n, 2u * EMU_QUEUES_MAX);
}

bool emu_is_running(const struct emu_ctrlr *ctrlr)
{
	return ctrlr->running;
}

/* ---- CC ---- */

static bool valid_arbitration(const struct emu_ctrlr *ctrlr)
{
	uint32_t ams = NVME_CC_AMS(ctrlr->cc);

	return ams == NVME_CC_AMS_RR || (ams == NVME_CC_AMS_WRRU && ctrlr->config.wrr);
}

static bool start_admin_queue(struct emu_ctrlr *ctrlr)
{
	uint32_t sq_entries = NVME_AQA_ASQS(ctrlr->aqa) + 1;
	uint32_t cq_entries = NVME_AQA_ACQS(ctrlr->aqa) + 1;
	uint32_t css = NVME_CC_CSS(ctrlr->cc);

	if (NVME_CC_MPS(ctrlr->cc) != 0 || !valid_arbitration(ctrlr) ||
	    (css != NVME_CC_CSS_NVM && css != NVME_CC_CSS_CSI))
		return false;
	if (sq_entries < 2 || cq_entries < 2 || !ctrlr->asq || !ctrlr->acq)
		return false;
	if (ctrlr->n_doorbells < 2)
		return false;
	if (!emu_cq_start(ctrlr, 0, ctrlr->acq, cq_entries))
		return false;
	/* The admin completion queue always interrupts, with vector 0. */
	ctrlr->cqs[0].irq_enabled = true;
	if (!emu_sq_start(ctrlr, 0, 0, ctrlr->asq, sq_entries)) {
		emu_cq_stop(ctrlr, 0);
		return false;
	}
	return true;
}

static void enable(struct emu_ctrlr *ctrlr)
{
	if (!start_admin_queue(ctrlr)) {
		ctrlr->csts = CFS | (ctrlr->csts & NSSRO);
		return;
	}
	ctrlr->weighted = NVME_CC_AMS(ctrlr->cc) == NVME_CC_AMS_WRRU;
	ctrlr->running = true;
	ctrlr->csts = RDY | (ctrlr->csts & NSSRO);
}

static void disable(struct emu_ctrlr *ctrlr)
{
	emu_queues_stop(ctrlr);
	emu_events_reset(ctrlr);
	emu_features_reset(ctrlr);
	emu_host_memory_reset(ctrlr);
	emu_self_test_abort(ctrlr, NVME_ST_RESULT_CLR);
	emu_firmware_reset(ctrlr);
	emu_slow_set(ctrlr, EMU_SLOW_FATAL, false);
	ctrlr->running = false;
	ctrlr->csts &= NSSRO;
}

static void shut_down(struct emu_ctrlr *ctrlr)
{
	emu_queues_stop(ctrlr);
	emu_events_reset(ctrlr);
	ctrlr->running = false;
	for (uint32_t i = 0; i < ctrlr->n_ns; i++)
		emu_ns_flush(&ctrlr->ns[i]);
	ctrlr->csts |= SHST_DONE;
}

static void write_cc(struct emu_ctrlr *ctrlr, uint32_t value)
{
	uint32_t old = ctrlr->cc;
	bool was_ready = ctrlr->csts & RDY;

	ctrlr->cc = value & CC_WRITABLE;
	if (NVME_CC_EN(old) && !NVME_CC_EN(value))
		disable(ctrlr);
	else if (!NVME_CC_EN(old) && NVME_CC_EN(value))
		enable(ctrlr);
	if (NVME_CC_EN(old) != NVME_CC_EN(value))
		emu_fault_enable(ctrlr, was_ready);
	if (NVME_CC_SHN(value) != NVME_CC_SHN_NONE && NVME_CC_SHN(old) != NVME_CC_SHN(value))
		shut_down(ctrlr);
}

/* ---- registers ---- */

/* NVM Subsystem Reset, base specification 2.0, section 3.7.1. */
static void subsystem_reset(struct emu_ctrlr *ctrlr)
{
	emu_ctrlr_reset(ctrlr);
	ctrlr->csts |= NSSRO;
}

static uint32_t read32(struct emu_ctrlr *ctrlr, uint32_t offset)
{
	switch (offset) {
	case NVME_REG_CAP: return (uint32_t)ctrlr->cap;
	case NVME_REG_CAP + 4: return (uint32_t)(ctrlr->cap >> 32);
	case NVME_REG_VS: return 0x00020000;
	case NVME_REG_INTMS:
	case NVME_REG_INTMC: return ctrlr->intm;
	case NVME_REG_CC: return ctrlr->cc;
	case NVME_REG_CSTS: return emu_fault_csts(ctrlr, ctrlr->csts);
	case NVME_REG_AQA: return ctrlr->aqa;
	case NVME_REG_ASQ: return (uint32_t)ctrlr->asq;
	case NVME_REG_ASQ + 4: return (uint32_t)(ctrlr->asq >> 32);
	case NVME_REG_ACQ: return (uint32_t)ctrlr->acq;
	case NVME_REG_ACQ + 4: return (uint32_t)(ctrlr->acq >> 32);
	case NVME_REG_BPINFO: return emu_boot_info(ctrlr);
	case NVME_REG_BPRSEL: return ctrlr->boot.select;
	case NVME_REG_BPMBL: return (uint32_t)ctrlr->boot.buffer;
	case NVME_REG_BPMBL + 4: return (uint32_t)(ctrlr->boot.buffer >> 32);
	case NVME_REG_CRTO: return ctrlr->config.ready_timeout; /* CRWMT */
	default: return 0;
	}
}

static void set_half(uint64_t *reg, bool high, uint32_t value)
{
	if (high)
		*reg = (*reg & UINT32_MAX) | (uint64_t)value << 32;
	else
		*reg = (*reg & ~(uint64_t)UINT32_MAX) | value;
}

static void write32(struct emu_ctrlr *ctrlr, uint32_t offset, uint32_t value)
{
	uint32_t page_mask = ~(EMU_PAGE_SIZE - 1);

	switch (offset) {
	/* Masks of pin-based interrupts; MSI-X, the only kind here, isn't subject to them. */
	case NVME_REG_INTMS: ctrlr->intm |= value; break;
	case NVME_REG_INTMC: ctrlr->intm &= ~value; break;
	case NVME_REG_CC: write_cc(ctrlr, value); break;
	case NVME_REG_CSTS: ctrlr->csts &= ~(value & NSSRO); break;
	case NVME_REG_NSSR:
		if (value == NSSR_VALUE)
			subsystem_reset(ctrlr);
		break;
	case NVME_REG_AQA: ctrlr->aqa = value & AQA_MASK; break;
	case NVME_REG_ASQ: set_half(&ctrlr->asq, false, value & page_mask); break;
	case NVME_REG_ASQ + 4: set_half(&ctrlr->asq, true, value); break;
	case NVME_REG_ACQ: set_half(&ctrlr->acq, false, value & page_mask); break;
	case NVME_REG_ACQ + 4: set_half(&ctrlr->acq, true, value); break;
	case NVME_REG_BPRSEL: emu_boot_read(ctrlr, value); break;
	case NVME_REG_BPMBL: set_half(&ctrlr->boot.buffer, false, value & page_mask); break;
	case NVME_REG_BPMBL + 4: set_half(&ctrlr->boot.buffer, true, value); break;
	default: break; /* read-only, reserved, or not offered */
	}
}

static bool valid_access(uint32_t offset, uint32_t size)
{
	return (size == 4 || size == 8) && offset % size == 0 && offset <= EMU_REG_SIZE - size;
}

uint64_t emu_reg_read(struct emu_ctrlr *ctrlr, uint32_t offset, uint32_t size)
{
	uint64_t value;

	if (!valid_access(offset, size))
		return 0;
	if (unlikely(emu_is_gone(ctrlr)))
		return size == 8 ? UINT64_MAX : UINT32_MAX;
	value = read32(ctrlr, offset);
	if (size == 8)
		value |= (uint64_t)read32(ctrlr, offset + 4) << 32;
	return value;
}

void emu_reg_write(struct emu_ctrlr *ctrlr, uint32_t offset, uint32_t size, uint64_t value)
{
	if (!valid_access(offset, size) || unlikely(emu_is_gone(ctrlr)))
		return;
	write32(ctrlr, offset, (uint32_t)value);
	if (size == 8)
		write32(ctrlr, offset + 4, (uint32_t)(value >> 32));
}

void emu_ctrlr_reset(struct emu_ctrlr *ctrlr)
{
	disable(ctrlr);
	emu_fault_reset(ctrlr);
	ctrlr->cc = 0;
	ctrlr->aqa = 0;
	ctrlr->asq = 0;
	ctrlr->acq = 0;
	ctrlr->intm = 0;
}
