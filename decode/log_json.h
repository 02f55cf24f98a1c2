/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log pages as JSON: keys and types of values are nvme-cli 2.3's. The data comes from a device and
 * may hold anything; counts in it are believed only as far as it reaches. Where the page has less
 * than the structure, the caller gives a whole one, filled up with zeroes. @name is what nvme-cli
 * calls the device, a key or value there. Each returns a new reference, NULL: no memory.
 */
#ifndef NVMUX_DECODE_LOG_JSON_H
#define NVMUX_DECODE_LOG_JSON_H

#include <stdbool.h>
#include <jansson.h>
#include <nvme/types.h>

json_t *log_smart_json(const struct nvme_smart_log *log, bool human);
json_t *log_error_json(const struct nvme_error_log_page *entries, size_t n_entries);
json_t *log_fw_json(const struct nvme_firmware_slot *log, const char *name);
json_t *log_changed_ns_json(const struct nvme_ns_list *log, const char *name);
json_t *log_effects_json(const struct nvme_cmd_effects_log *log, uint8_t csi);
/* The page has @len bytes. */
json_t *log_ana_json(const void *log, size_t len, const char *name);
json_t *log_self_test_json(const struct nvme_self_test_log *log, unsigned n_results);
json_t *log_sanitize_json(const struct nvme_sanitize_log_page *log, const char *name);
json_t *log_resv_json(const struct nvme_resv_notification_log *log);
json_t *log_endurance_json(const struct nvme_endurance_group_log *log);
json_t *log_supported_json(const struct nvme_supported_log_pages *log);

/* A command's name as nvme-cli has it; "Unknown". */
const char *log_opcode_name(bool io, uint8_t opc);

#endif
