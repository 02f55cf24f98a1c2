/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands behind nvmux zns. */
#ifndef NVMUX_CLI_ZNS_H
#define NVMUX_CLI_ZNS_H

#include "cli/args.h"

extern const struct cli_command cli_zns_changed_zone_list, cli_zns_id_ctrl, cli_zns_id_ns,
	cli_zns_mgmt_recv, cli_zns_report_zones;

#endif
