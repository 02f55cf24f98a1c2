/* SPDX-License-Identifier: BSD-3-Clause */
/* Reports of zones, as text and as JSON with nvme-cli's keys. */
#ifndef NVMUX_CLI_ZNS_REPORT_H
#define NVMUX_CLI_ZNS_REPORT_H

#include "cli/verb.h"

/* Descriptors of @count zones, each with @ext bytes of its extension behind it: lines, or objects
 * appended to @list. */
void cli_zones_print(const uint8_t *descs, uint64_t count, size_t ext, bool verbose);
void cli_zones_json(const uint8_t *descs, uint64_t count, size_t ext, json_t *list);

/* The head of a report, with the number of zones. */
void cli_zones_print_head(uint64_t n_zones);
int cli_zones_print_json(const struct cli *cli, uint64_t n_zones, json_t *list);

#endif
