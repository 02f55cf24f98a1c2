/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking a discovery service, through the daemon. */
#ifndef NVMUX_CLI_DISCOVER_H
#define NVMUX_CLI_DISCOVER_H

#include "cli/cli.h"
#include "cli/target.h"

/* The transport id of a discovery service. CLI_OK, or CLI_USAGE after a message. */
int discover_trid(struct cli *cli, const struct cli_args *args, struct nvmux_trid *ret);
/* The method discover, with the host that the options name. An exit code. */
int discover_call(struct cli *cli, const struct cli_args *args, const struct nvmux_trid *trid,
		  json_t **ret);
/* Whether a record describes a subsystem with namespaces, not a discovery service. */
bool discover_is_subsystem(const json_t *record);

#endif
