// SPDX-License-Identifier: BSD-3-Clause
/* Get Log Page. Base specification 2.0, section 5.16. */
#include <errno.h>
#include <string.h>
#include "emulator/internal.h"

#define LOG_MAX         4096
#define SPARE_THRESHOLD 10
#define LSUPP           1u /* of the Supported Log Pages log page */

static uint32_t supported_logs(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	static const uint8_t lids[] = {
		NVME_LOG_LID_DEVICE_SELF_TEST,
		NVME_LOG_LID_SANITIZE,
		NVME_LOG_LID_SUPPORTED_LOG_PAGES,
		NVME_LOG_LID_ERROR,
		NVME_LOG_LID_SMART,
		NVME_LOG_LID_FW_SLOT,
		NVME_LOG_LID_CHANGED_NS,
		NVME_LOG_LID_CMD_EFFECTS,
		NVME_LOG_LID_FID_SUPPORTED_EFFECTS,
		NVME_LOG_LID_MI_CMD_SUPPORTED_EFFECTS,
	};
	static const uint8_t fdp_lids[] = {
		NVME_LOG_LID_ENDURANCE_GROUP, NVME_LOG_LID_FDP_CONFIGS,
		NVME_LOG_LID_FDP_RUH_USAGE,   NVME_LOG_LID_FDP_STATS,
		NVME_LOG_LID_FDP_EVENTS,
	};
	const uint8_t zone_lid = NVME_LOG_LID_ZNS_CHANGED_ZONES;
	const uint8_t resv_lid = NVME_LOG_LID_RESERVATION;
	uint32_t lsupp = htole32(LSUPP);

	for (size_t i = 0; i < sizeof(lids); i++)
		memcpy(buf + 4 * lids[i], &lsupp, sizeof(lsupp));
	for (size_t i = 0; i < sizeof(fdp_lids) && ctrlr->config.fdp; i++)
		memcpy(buf + 4 * fdp_lids[i], &lsupp, sizeof(lsupp));
	if (emu_has_zones(ctrlr))
		memcpy(buf + 4 * zone_lid, &lsupp, sizeof(lsupp));
	if (emu_has_resv(ctrlr))
		memcpy(buf + 4 * resv_lid, &lsupp, sizeof(lsupp));
	return sizeof(struct nvme_supported_log_pages);
}

/* Newest first. */
static uint32_t error_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct emu_reports *r = &ctrlr->reports;
	uint64_t n;

	pthread_mutex_lock(&r->lock);
	n = MIN(r->n_errors, EMU_ERROR_ENTRIES);
	for (uint64_t i = 0; i < n; i++)
		memcpy(buf + i * sizeof(r->errors[0]),
		       &r->errors[(r->n_errors - 1 - i) % EMU_ERROR_ENTRIES], sizeof(r->errors[0]));
	pthread_mutex_unlock(&r->lock);
	return sizeof(r->errors);
}

static bool temperature_crosses(const struct emu_ctrlr *ctrlr)
{
	return ctrlr->smart_temperature >= ctrlr->features.temp_over ||
	       ctrlr->smart_temperature <= ctrlr->features.temp_under;
}

static uint8_t critical_warning(const struct emu_ctrlr *ctrlr)
{
	uint8_t warning = ctrlr->smart_warning;

	if (temperature_crosses(ctrlr))
		warning |= NVME_SMART_CRIT_TEMPERATURE;
	if (ctrlr->smart_spare < SPARE_THRESHOLD)
		warning |= NVME_SMART_CRIT_SPARE;
	return warning;
}

/* What a change of the health makes of events: those that are new and that the host wants. */
static void health_changed(struct emu_ctrlr *ctrlr, uint8_t before)
{
	uint8_t warning = critical_warning(ctrlr) & (uint8_t)~before;

	warning &= (uint8_t)ctrlr->features.async_event;
	if (warning & NVME_SMART_CRIT_SPARE)
		emu_event_raise(ctrlr, NVME_AER_SMART, NVME_AER_SMART_SPARE_THRESHOLD,
				NVME_LOG_LID_SMART);
	if (warning & NVME_SMART_CRIT_TEMPERATURE)
		emu_event_raise(ctrlr, NVME_AER_SMART, NVME_AER_SMART_TEMPERATURE_THRESHOLD,
				NVME_LOG_LID_SMART);
	if (warning & (uint8_t)~(NVME_SMART_CRIT_SPARE | NVME_SMART_CRIT_TEMPERATURE))
		emu_event_raise(ctrlr, NVME_AER_SMART, NVME_AER_SMART_SUBSYSTEM_RELIABILITY,
				NVME_LOG_LID_SMART);
}

static int set_one(struct emu_ctrlr *ctrlr, char *word, char *why, size_t why_size)
{
	char *value = strchr(word, '='), *end = NULL;
	unsigned long v = 0;

	if (value) {
		*value++ = '\0';
		v = strtoul(value, &end, strcmp(word, "warning") == 0 ? 16 : 10);
	}
	if (value && *value && !*end) {
		if (strcmp(word, "temperature") == 0 && v <= UINT16_MAX) {
			ctrlr->smart_temperature = (uint32_t)v;
			return 0;
		} else if (strcmp(word, "warning") == 0 && v <= 0x3f) {
			ctrlr->smart_warning = (uint8_t)v;
			return 0;
		} else if (strcmp(word, "spare") == 0 && v <= 100) {
			ctrlr->smart_spare = (uint8_t)v;
			return 0;
		} else if (strcmp(word, "used") == 0 && v <= UINT8_MAX) {
			ctrlr->smart_used = (uint8_t)v;
			return 0;
		}
	}
	snprintf(why, why_size,
		 "%.40s: must be temperature=K, warning=XX (to 3f), spare=PERCENT or used=PERCENT",
		 word);
	return -EINVAL;
}

int emu_smart_set(struct emu_ctrlr *ctrlr, const char *text, char *why, size_t why_size)
{
	uint8_t before = critical_warning(ctrlr);
	char copy[256], *save = NULL;
	int err = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok_r(copy, " ", &save); w && !err; w = strtok_r(NULL, " ", &save))
		err = set_one(ctrlr, w, why, why_size);
	health_changed(ctrlr, before);
	return err;
}

void emu_temperature_check(struct emu_ctrlr *ctrlr)
{
	if (temperature_crosses(ctrlr) &&
	    (ctrlr->features.async_event & NVME_SMART_CRIT_TEMPERATURE))
		emu_event_raise(ctrlr, NVME_AER_SMART, NVME_AER_SMART_TEMPERATURE_THRESHOLD,
				NVME_LOG_LID_SMART);
}

void emu_health_check(struct emu_ctrlr *ctrlr)
{
	health_changed(ctrlr, 0);
}

static struct emu_counters total_counters(const struct emu_ctrlr *ctrlr)
{
	struct emu_counters sum = ctrlr->retired;

	for (uint32_t i = 0; i < ctrlr->n_live; i++) {
		const struct emu_counters *c = &ctrlr->sqs[ctrlr->live_qids[i]].counters;

		sum.reads += __atomic_load_n(&c->reads, __ATOMIC_RELAXED);
		sum.writes += __atomic_load_n(&c->writes, __ATOMIC_RELAXED);
		sum.read_bytes += __atomic_load_n(&c->read_bytes, __ATOMIC_RELAXED);
		sum.written_bytes += __atomic_load_n(&c->written_bytes, __ATOMIC_RELAXED);
	}
	return sum;
}

/* Thousands of 512 bytes, rounded up. */
static uint64_t data_units(uint64_t bytes)
{
	return (bytes + 512 * 1000 - 1) / (512 * 1000);
}

static uint32_t smart_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_smart_log *log = (struct nvme_smart_log *)(void *)buf;
	struct emu_counters sum = total_counters(ctrlr);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	log->critical_warning = critical_warning(ctrlr);
	log->temperature[0] = ctrlr->smart_temperature & 0xff;
	log->temperature[1] = (uint8_t)(ctrlr->smart_temperature >> 8);
	log->avail_spare = ctrlr->smart_spare;
	log->spare_thresh = SPARE_THRESHOLD;
	log->percent_used = ctrlr->smart_used;
	emu_put128(log->data_units_read, data_units(sum.read_bytes));
	emu_put128(log->data_units_written, data_units(sum.written_bytes));
	emu_put128(log->host_reads, sum.reads);
	emu_put128(log->host_writes, sum.writes);
	emu_put128(log->power_cycles, 1);
	emu_put128(log->power_on_hours, (uint64_t)(now.tv_sec - ctrlr->started.tv_sec) / 3600);
	pthread_mutex_lock(&ctrlr->reports.lock);
	emu_put128(log->num_err_log_entries, ctrlr->reports.n_errors);
	pthread_mutex_unlock(&ctrlr->reports.lock);
	return sizeof(*log);
}

/* Of the one endurance group, which has all namespaces. In billions of bytes, rounded up. */
static uint32_t endurance_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_endurance_group_log *log = (struct nvme_endurance_group_log *)(void *)buf;
	struct emu_counters sum = total_counters(ctrlr);
	const uint64_t unit = 1000 * 1000 * 1000;

	log->avl_spare = ctrlr->smart_spare;
	log->avl_spare_threshold = SPARE_THRESHOLD;
	log->percent_used = ctrlr->smart_used;
	emu_put128(log->data_units_read, (sum.read_bytes + unit - 1) / unit);
	emu_put128(log->data_units_written, (sum.written_bytes + unit - 1) / unit);
	emu_put128(log->media_units_written, (sum.written_bytes + unit - 1) / unit);
	emu_put128(log->host_read_cmds, sum.reads);
	emu_put128(log->host_write_cmds, sum.writes);
	return sizeof(*log);
}

static uint32_t effects_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	uint32_t acs[256] = {0}, iocs[256] = {0};
	struct nvme_cmd_effects_log *log = (struct nvme_cmd_effects_log *)(void *)buf;

	emu_admin_effects(ctrlr, acs);
	emu_nvm_effects(ctrlr, iocs);
	for (int i = 0; i < 256; i++) {
		log->acs[i] = cpu_to_le32(acs[i]);
		log->iocs[i] = cpu_to_le32(iocs[i]);
	}
	return sizeof(*log);
}

/* The I/O commands of the Zoned Namespace command set, over those of the NVM command set. */
static void zns_effects(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_cmd_effects_log *log = (struct nvme_cmd_effects_log *)(void *)buf;
	uint32_t iocs[256] = {0};

	emu_zns_effects(ctrlr, iocs);
	for (int i = 0; i < 256; i++)
		log->iocs[i] = cpu_to_le32(iocs[i]);
}

static uint32_t fid_effects_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	uint32_t effects[256] = {0};

	emu_features_effects(ctrlr, effects);
	for (int i = 0; i < 256; i++)
		effects[i] = htole32(effects[i]);
	memcpy(buf, effects, sizeof(effects));
	return sizeof(effects);
}

/* There is no management interface: none of its commands is supported. */
static uint32_t mi_effects_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	return LOG_MAX;
}

typedef uint32_t (*log_fn)(struct emu_ctrlr *ctrlr, uint8_t *buf);

static log_fn find_log(const struct emu_ctrlr *ctrlr, uint8_t lid)
{
	switch (lid) {
	case NVME_LOG_LID_SUPPORTED_LOG_PAGES: return supported_logs;
	case NVME_LOG_LID_ERROR: return error_log;
	case NVME_LOG_LID_SMART: return smart_log;
	case NVME_LOG_LID_FW_SLOT: return emu_firmware_log;
	case NVME_LOG_LID_CHANGED_NS: return emu_changed_ns_log;
	case NVME_LOG_LID_DEVICE_SELF_TEST: return emu_self_test_log;
	case NVME_LOG_LID_SANITIZE: return emu_sanitize_log;
	case NVME_LOG_LID_RESERVATION: return emu_has_resv(ctrlr) ? emu_resv_log : NULL;
	case NVME_LOG_LID_CMD_EFFECTS: return effects_log;
	case NVME_LOG_LID_FID_SUPPORTED_EFFECTS: return fid_effects_log;
	case NVME_LOG_LID_MI_CMD_SUPPORTED_EFFECTS: return mi_effects_log;
	default: return NULL;
	}
}

/* Log pages of an endurance group, which the log specific identifier names. */
static log_fn find_group_log(const struct emu_ctrlr *ctrlr, uint8_t lid)
{
	if (!ctrlr->config.fdp)
		return NULL;
	switch (lid) {
	case NVME_LOG_LID_ENDURANCE_GROUP: return endurance_log;
	case NVME_LOG_LID_FDP_CONFIGS: return emu_placement_configs;
	case NVME_LOG_LID_FDP_RUH_USAGE: return emu_placement_usage;
	case NVME_LOG_LID_FDP_STATS: return emu_placement_stats;
	case NVME_LOG_LID_FDP_EVENTS: return emu_placement_events;
	default: return NULL;
	}
}

/* Reading a log page allows its type of event to be reported again. */
static void unmask_event(struct emu_ctrlr *ctrlr, uint8_t lid)
{
	uint16_t bit = 0;

	if (lid == NVME_LOG_LID_ERROR)
		bit = 1u << NVME_AER_ERROR;
	else if (lid == NVME_LOG_LID_SMART)
		bit = 1u << NVME_AER_SMART;
	else if (lid == NVME_LOG_LID_CHANGED_NS || lid == NVME_LOG_LID_FW_SLOT ||
		 lid == NVME_LOG_LID_ZNS_CHANGED_ZONES)
		bit = 1u << NVME_AER_NOTICE;
	else if (lid == NVME_LOG_LID_SANITIZE || lid == NVME_LOG_LID_RESERVATION)
		bit = 1u << 6; /* events specific to I/O command sets, and of sanitize */
	if (!(ctrlr->events_masked & bit))
		return;
	ctrlr->events_masked &= (uint16_t)~bit;
	__atomic_store_n(&ctrlr->reports.pending, 1, __ATOMIC_RELEASE);
}

/* A log page of one zoned namespace. */
static uint16_t changed_zones(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint64_t offset,
			      uint64_t len, bool rae)
{
	_Alignas(8) uint8_t buf[LOG_MAX] = {0};
	struct emu_ns *ns = emu_ns_get(sq->ctrlr, emu_cdw(cmd->nsid));
	uint32_t size;

	if (!emu_has_zones(sq->ctrlr) || (ns && !ns->zones))
		return EMU_SPECIFIC(INVALID_LOG_PAGE);
	if (!ns)
		return EMU_GENERIC(INVALID_NS);
	size = emu_zones_changed(ns, buf, false);
	if (offset > size)
		return EMU_GENERIC(INVALID_FIELD);
	len = MIN(len, size - offset);
	if (len && emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf + offset, len))
		return EMU_XFER_ERROR;
	if (!rae) {
		emu_zones_changed(ns, buf, true);
		unmask_event(sq->ctrlr, NVME_LOG_LID_ZNS_CHANGED_ZONES);
	}
	return EMU_SUCCESS;
}

uint16_t emu_get_log_page(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	uint32_t cdw10 = emu_cdw(cmd->cdw10), cdw14 = emu_cdw(cmd->cdw14);
	uint64_t numd = (uint64_t)(emu_cdw(cmd->cdw11) & 0xffff) << 16 | cdw10 >> 16;
	uint64_t len = (numd + 1) * 4;
	uint64_t offset = emu_cdw(cmd->cdw12) | (uint64_t)emu_cdw(cmd->cdw13) << 32;
	uint8_t lid = (uint8_t)cdw10, csi = (uint8_t)(cdw14 >> 24);
	uint32_t nsid = emu_cdw(cmd->nsid);
	bool rae = cdw10 & 1u << 15, by_index = cdw14 & 1u << 23;
	_Alignas(8) uint8_t buf[LOG_MAX] = {0};
	log_fn fill = find_log(sq->ctrlr, lid);
	uint16_t status;
	uint32_t size;

	if (!fill) {
		fill = find_group_log(sq->ctrlr, lid);
		if (fill && emu_cdw(cmd->cdw11) >> 16 != 1)
			return EMU_GENERIC(INVALID_FIELD);
	}
	if (lid == NVME_LOG_LID_ZNS_CHANGED_ZONES && !by_index && !(offset & 3) &&
	    len <= sq->ctrlr->max_transfer)
		return changed_zones(sq, cmd, offset, len, rae);
	if (!fill)
		return EMU_SPECIFIC(INVALID_LOG_PAGE);
	/* No other log is per namespace, SMART neither. */
	if (nsid != NVME_NSID_NONE && nsid != NVME_NSID_ALL)
		return EMU_GENERIC(INVALID_FIELD);
	if (by_index || (offset & 3) || len > sq->ctrlr->max_transfer)
		return EMU_GENERIC(INVALID_FIELD);
	if (lid == NVME_LOG_LID_CMD_EFFECTS && csi != NVME_CSI_NVM &&
	    csi != NVME_CSI_ZNS)
		return EMU_GENERIC(INVALID_FIELD);
	size = fill(sq->ctrlr, buf);
	if (lid == NVME_LOG_LID_CMD_EFFECTS && csi == NVME_CSI_ZNS)
		zns_effects(sq->ctrlr, buf);
	if (offset > size)
		return EMU_GENERIC(INVALID_FIELD);
	/* What is asked for beyond the end of the log page is not written. */
	len = MIN(len, size - offset);
	status = len ? emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf + offset, len) : EMU_SUCCESS;
	if (!status && !rae && lid == NVME_LOG_LID_CHANGED_NS)
		emu_changed_ns_clear(sq->ctrlr);
	if (!status && lid == NVME_LOG_LID_RESERVATION)
		emu_resv_log_taken(sq->ctrlr);
	if (!status && !rae)
		unmask_event(sq->ctrlr, lid);
	return status;
}
