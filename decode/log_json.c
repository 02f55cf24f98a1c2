// SPDX-License-Identifier: BSD-3-Clause
/* Log pages as JSON. Base specification 2.0, section 5.16.1. Pure functions. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "decode/fields.h"
#include "decode/log_json.h"
#include "libcore/util.h"

#define S(key, t, member) DECODE_AS(key, nvme_smart_log, t, member)

static const struct decode_field smart_begin[] = {
	S("temperature", DECODE_UINT, temperature),
	S("avail_spare", DECODE_UINT, avail_spare),
	S("spare_thresh", DECODE_UINT, spare_thresh),
	S("percent_used", DECODE_UINT, percent_used),
	S("endurance_grp_critical_warning_summary", DECODE_UINT, endu_grp_crit_warn_sumry),
	S("data_units_read", DECODE_U128, data_units_read),
	S("data_units_written", DECODE_U128, data_units_written),
	S("host_read_commands", DECODE_U128, host_reads),
	S("host_write_commands", DECODE_U128, host_writes),
	S("controller_busy_time", DECODE_U128, ctrl_busy_time),
	S("power_cycles", DECODE_U128, power_cycles),
	S("power_on_hours", DECODE_U128, power_on_hours),
	S("unsafe_shutdowns", DECODE_U128, unsafe_shutdowns),
	S("media_errors", DECODE_U128, media_errors),
	S("num_err_log_entries", DECODE_U128, num_err_log_entries),
	S("warning_temp_time", DECODE_UINT, warning_temp_time),
	S("critical_comp_time", DECODE_UINT, critical_comp_time),
	DECODE_END,
};

static const struct decode_field smart_end[] = {
	S("thm_temp1_trans_count", DECODE_UINT, thm_temp1_trans_count),
	S("thm_temp2_trans_count", DECODE_UINT, thm_temp2_trans_count),
	S("thm_temp1_total_time", DECODE_UINT, thm_temp1_total_time),
	S("thm_temp2_total_time", DECODE_UINT, thm_temp2_total_time),
	DECODE_END,
};

static json_t *critical_warning_json(uint8_t warning)
{
	static const char *const bits[] = {"available_spare", "temp_threshold",
					   "reliability_degraded", "ro", "vmbu_failed", "pmr_ro"};
	json_t *object = json_pack("{s:i}", "value", warning);

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		json_object_set_new(object, bits[i], json_integer(warning >> i & 1));
	return object;
}

json_t *log_smart_json(const struct nvme_smart_log *log, bool human)
{
	json_t *object = json_object();
	char key[32];

	json_object_set_new(object, "critical_warning",
			    human ? critical_warning_json(log->critical_warning)
				  : json_integer(log->critical_warning));
	decode_put(object, smart_begin, log, false);
	for (unsigned i = 0; i < ARRAY_SIZE(log->temp_sensor); i++) {
		unsigned kelvin = le16_to_cpu(log->temp_sensor[i]);

		snprintf(key, sizeof(key), "temperature_sensor_%u", i + 1);
		if (kelvin)
			json_object_set_new(object, key, json_integer(kelvin));
	}
	decode_put(object, smart_end, log, false);
	return object;
}

#define E(member) DECODE_FIELD(nvme_error_log_page, DECODE_UINT, member)

json_t *log_error_json(const struct nvme_error_log_page *entries, size_t n_entries)
{
	static const struct decode_field begin[] = {
		E(error_count), E(sqid), E(cmdid), DECODE_END,
	};
	static const struct decode_field end[] = {
		E(parm_error_location), E(lba), E(nsid), E(vs), E(trtype), E(cs),
		E(trtype_spec_info), DECODE_END,
	};
	json_t *list = json_array();

	for (size_t i = 0; i < n_entries; i++) {
		unsigned status = le16_to_cpu(entries[i].status_field);
		json_t *entry = json_object();

		decode_put(entry, begin, &entries[i], false);
		json_object_set_new(entry, "status_field", json_integer(status >> 1));
		json_object_set_new(entry, "phase_tag", json_integer(status & 1));
		decode_put(entry, end, &entries[i], false);
		json_array_append_new(list, entry);
	}
	return json_pack("{s:o}", "errors", list);
}

json_t *log_fw_json(const struct nvme_firmware_slot *log, const char *name)
{
	json_t *slots = json_pack("{s:i}", "Active Firmware Slot (afi)", log->afi);
	char key[32], text[32], revision[9];

	for (unsigned i = 0; i < ARRAY_SIZE(log->frs); i++) {
		const char *frs = (const char *)log->frs[i];

		if (!frs[0])
			continue;
		for (unsigned c = 0; c < 8; c++)
			revision[c] = (char)(frs[c] >= '!' && frs[c] <= '~' ? frs[c] : '.');
		revision[8] = 0;
		snprintf(key, sizeof(key), "Firmware Rev Slot %u", i + 1);
		snprintf(text, sizeof(text), "%" PRIu64 " (%s)", decode_uint(frs, 8), revision);
		json_object_set_new(slots, key, json_string(text));
	}
	return json_pack("{s:o}", name, slots);
}

json_t *log_changed_ns_json(const struct nvme_ns_list *log, const char *name)
{
	json_t *list = json_object();
	char key[32], text[32];

	for (unsigned i = 0; i < ARRAY_SIZE(log->ns) && log->ns[i]; i++) {
		snprintf(key, sizeof(key), "[%4u]", i + 1);
		snprintf(text, sizeof(text), "%#x", le32_to_cpu(log->ns[i]));
		json_object_set_new(list, key, json_string(text));
	}
	return json_pack("{s:s,s:o}", "Changed Namespace List Log", name, name, list);
}

struct opcode {
	uint8_t opc;
	const char *name;
};

const char *log_opcode_name(bool io, uint8_t opc)
{
	static const struct opcode admin[] = {
		{0x00, "Delete I/O Submission Queue"}, {0x01, "Create I/O Submission Queue"},
		{0x02, "Get Log Page"}, {0x04, "Delete I/O Completion Queue"},
		{0x05, "Create I/O Completion Queue"}, {0x06, "Identify"}, {0x08, "Abort"},
		{0x09, "Set Features"}, {0x0a, "Get Features"},
		{0x0c, "Asynchronous Event Request"}, {0x0d, "Namespace Management"},
		{0x10, "Firmware Commit"}, {0x11, "Firmware Image Download"},
		{0x14, "Device Self-test"}, {0x15, "Namespace Attachment"}, {0x18, "Keep Alive"},
		{0x19, "Directive Send"}, {0x1a, "Directive Receive"},
		{0x1c, "Virtualization Management"}, {0x1d, "NVMe-MI Send"},
		{0x1e, "NVMe-MI Receive"}, {0x7c, "Doorbell Buffer Config"}, {0x80, "Format NVM"},
		{0x81, "Security Send"}, {0x82, "Security Receive"}, {0x84, "Sanitize"},
		{0x86, "Get LBA Status"},
	};
	static const struct opcode nvm[] = {
		{0x00, "Flush"}, {0x01, "Write"}, {0x02, "Read"}, {0x04, "Write Uncorrectable"},
		{0x05, "Compare"}, {0x08, "Write Zeroes"}, {0x09, "Dataset Management"},
		{0x0c, "Verify"}, {0x0d, "Reservation Register"}, {0x0e, "Reservation Report"},
		{0x11, "Reservation Acquire"}, {0x15, "Reservation Release"}, {0x19, "Copy"},
		{0x79, "Zone Management Send"}, {0x7a, "Zone Management Receive"},
		{0x7d, "Zone Append"},
	};
	const struct opcode *table = io ? nvm : admin;

	for (size_t i = 0; i < (io ? ARRAY_SIZE(nvm) : ARRAY_SIZE(admin)); i++) {
		if (table[i].opc == opc)
			return table[i].name;
	}
	return "Unknown";
}

static json_t *commands_json(const __le32 *effects, const char *prefix, bool io)
{
	json_t *object = json_object();
	char key[128];

	for (unsigned opc = 0; opc < 256; opc++) {
		uint32_t effect = le32_to_cpu(effects[opc]);

		if (!(effect & NVME_CMD_EFFECTS_CSUPP))
			continue;
		snprintf(key, sizeof(key), "%s_%u (%s)", prefix, opc,
			 log_opcode_name(io, (uint8_t)opc));
		json_object_set_new(object, key, json_integer(effect));
	}
	return object;
}

json_t *log_effects_json(const struct nvme_cmd_effects_log *log, uint8_t csi)
{
	return json_pack("{s:i,s:o,s:o}", "command_set_identifier", csi, "admin_cmd_set",
			 commands_json(log->acs, "ACS", false), "io_cmd_set",
			 commands_json(log->iocs, "IOCS", true));
}

static const char *ana_state(uint8_t state)
{
	switch (state & 0xf) {
	case NVME_ANA_STATE_OPTIMIZED: return "optimized";
	case NVME_ANA_STATE_NONOPTIMIZED: return "non-optimized";
	case NVME_ANA_STATE_INACCESSIBLE: return "inaccessible";
	case NVME_ANA_STATE_PERSISTENT_LOSS: return "persistent-loss";
	case NVME_ANA_STATE_CHANGE: return "change";
	default: return "invalid state";
	}
}

/* Offsets in the header and in a group's descriptor: neither need lie as its type wants it. */
#define ANA_HEAD   16
#define ANA_NGRPS  8
#define ANA_GROUP  32
#define ANA_NNSIDS 4
#define ANA_CHGCNT 8
#define ANA_STATE  16

/* One group at @at, of which *@left bytes are there; they are lessened by what it takes. */
static json_t *ana_group_json(const uint8_t *at, size_t *left)
{
	uint64_t claimed = decode_uint(at + ANA_NNSIDS, 4);
	size_t n = MIN(claimed, (*left - ANA_GROUP) / 4);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_int_t nsid = (json_int_t)decode_uint(at + ANA_GROUP + 4 * i, 4);

		json_array_append_new(list, json_pack("{s:I}", "nsid", nsid));
	}
	*left -= ANA_GROUP + 4 * n;
	return json_pack("{s:I,s:I,s:o,s:s,s:o}", "grpid", (json_int_t)decode_uint(at, 4), "nnsids",
			 (json_int_t)claimed, "chgcnt",
			 decode_uint_json(decode_uint(at + ANA_CHGCNT, 8)), "state",
			 ana_state(at[ANA_STATE]), "NSIDS", list);
}

json_t *log_ana_json(const void *log, size_t len, const char *name)
{
	json_t *groups = json_array();
	uint64_t changes = 0, n_groups = 0;
	const uint8_t *bytes = log;
	size_t left = 0;

	if (len >= ANA_HEAD) {
		changes = decode_uint(bytes, 8);
		n_groups = decode_uint(bytes + ANA_NGRPS, 2);
		left = len - ANA_HEAD;
	}
	for (unsigned i = 0; i < n_groups && left >= ANA_GROUP; i++)
		json_array_append_new(groups, ana_group_json(bytes + len - left, &left));
	return json_pack("{s:s,s:o,s:I,s:o}", "Asymmetric Namespace Access Log for NVMe device",
			 name, "chgcnt", decode_uint_json(changes), "ngrps", (json_int_t)n_groups,
			 "ANA DESC LIST ", groups);
}

static json_t *self_test_result_json(const struct nvme_st_result *r)
{
	json_t *object = json_pack("{s:i}", "Self test result", r->dsts & 0xf);

	if ((r->dsts & 0xf) == NVME_ST_RESULT_NOT_USED)
		return object;
	json_object_set_new(object, "Self test code", json_integer(r->dsts >> 4));
	json_object_set_new(object, "Segment number", json_integer(r->seg));
	json_object_set_new(object, "Valid Diagnostic Information", json_integer(r->vdi));
	json_object_set_new(object, "Power on hours", decode_uint_json(le64_to_cpu(r->poh)));
	if (r->vdi & NVME_ST_VALID_DIAG_INFO_NSID)
		json_object_set_new(object, "Namespace Identifier",
				    json_integer(le32_to_cpu(r->nsid)));
	if (r->vdi & NVME_ST_VALID_DIAG_INFO_FLBA)
		json_object_set_new(object, "Failing LBA", decode_uint_json(le64_to_cpu(r->flba)));
	if (r->vdi & NVME_ST_VALID_DIAG_INFO_SCT)
		json_object_set_new(object, "Status Code Type", json_integer(r->sct));
	if (r->vdi & NVME_ST_VALID_DIAG_INFO_SC)
		json_object_set_new(object, "Status Code", json_integer(r->sc));
	json_object_set_new(object, "Vendor Specific", json_integer(r->vs[1] << 8 | r->vs[0]));
	return object;
}

json_t *log_self_test_json(const struct nvme_self_test_log *log, unsigned n_results)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < MIN(n_results, ARRAY_SIZE(log->result)); i++)
		json_array_append_new(list, self_test_result_json(&log->result[i]));
	return json_pack("{s:i,s:i,s:o}", "Current Device Self-Test Operation",
			 log->current_operation, "Current Device Self-Test Completion",
			 log->completion, "List of Valid Reports", list);
}

static const char *sanitize_state(unsigned state)
{
	switch (state) {
	case 0: return "NVM Subsystem has never been sanitized.";
	case 1: return "Most Recent Sanitize Command Completed Successfully.";
	case 2: return "Sanitize in Progress.";
	case 3: return "Most Recent Sanitize Command Failed.";
	case 4:
		return "Most Recent Sanitize Command (No-Deallocate After Sanitize) Completed "
		       "Successfully.";
	default: return "Unknown";
	}
}

#define Z(key, member) DECODE_AS(key, nvme_sanitize_log_page, DECODE_UINT, member)

json_t *log_sanitize_json(const struct nvme_sanitize_log_page *log, const char *name)
{
	static const struct decode_field fields[] = {
		Z("cdw10_info", scdw10),
		Z("time_over_write", eto),
		Z("time_block_erase", etbe),
		Z("time_crypto_erase", etce),
		Z("time_over_write_no_dealloc", etond),
		Z("time_block_erase_no_dealloc", etbend),
		Z("time_crypto_erase_no_dealloc", etcend),
		DECODE_END,
	};
	unsigned sstat = le16_to_cpu(log->sstat);
	json_t *object;
	char text[128];

	snprintf(text, sizeof(text), "(%u) %s", sstat & 7, sanitize_state(sstat & 7));
	object = json_pack("{s:i,s:{s:i,s:i,s:s}}", "sprog", le16_to_cpu(log->sprog), "sstat",
			   "global_erased", (int)(sstat >> 8 & 1), "no_cmplted_passes",
			   (int)(sstat >> 3 & 0x1f), "status", text);
	decode_put(object, fields, log, false);
	return json_pack("{s:o}", name, object);
}

json_t *log_resv_json(const struct nvme_resv_notification_log *log)
{
	return json_pack("{s:o,s:i,s:i,s:I}", "count", decode_uint_json(le64_to_cpu(log->lpc)),
			 "rn_log_type", log->rnlpt, "num_logs", log->nalp, "nsid",
			 (json_int_t)le32_to_cpu(log->nsid));
}

#define G(t, member) DECODE_FIELD(nvme_endurance_group_log, t, member)

json_t *log_endurance_json(const struct nvme_endurance_group_log *log)
{
	static const struct decode_field fields[] = {
		G(DECODE_UINT, critical_warning),
		G(DECODE_UINT, avl_spare),
		G(DECODE_UINT, avl_spare_threshold),
		G(DECODE_UINT, percent_used),
		G(DECODE_U128, endurance_estimate),
		G(DECODE_U128, data_units_read),
		G(DECODE_U128, data_units_written),
		G(DECODE_U128, media_units_written),
		G(DECODE_U128, host_read_cmds),
		G(DECODE_U128, host_write_cmds),
		G(DECODE_U128, media_data_integrity_err),
		G(DECODE_U128, num_err_info_log_entries),
		DECODE_END,
	};
	json_t *object = json_object();

	decode_put(object, fields, log, false);
	return object;
}

json_t *log_supported_json(const struct nvme_supported_log_pages *log)
{
	json_t *object = json_object();
	char key[32];

	for (unsigned lid = 0; lid < ARRAY_SIZE(log->lid_support); lid++) {
		uint32_t support = le32_to_cpu(log->lid_support[lid]);

		snprintf(key, sizeof(key), "lid_0x%x ", lid);
		if (support & 1)
			json_object_set_new(object, key, json_integer(support));
	}
	return json_pack("{s:o}", "supported_logs", object);
}
