/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records of a discovery log page as JSON: keys, types and texts of values are those of
 * `nvme discover -o json` (nvme-cli 2.3), so that scripts written for it can read them.
 */
#ifndef NVMUXD_DISCOVERY_JSON_H
#define NVMUXD_DISCOVERY_JSON_H

#include <jansson.h>
#include <nvmux/discovery.h>

/* The record comes from the target and may hold anything. New reference, NULL: no memory. */
json_t *discovery_record_json(const struct nvmux_discovery_entry *entry);

#endif
