/* SPDX-License-Identifier: BSD-3-Clause */
/* --show-command and --dry-run. */
#ifndef NVMUX_CLI_SHOW_CMD_H
#define NVMUX_CLI_SHOW_CMD_H

#include <stddef.h>
#include <nvmux/cmd.h>

/* The fields of a command as nvme-cli shows them, on standard error. */
void cli_show_command(const struct nvmux_cmd *cmd, size_t data_len, size_t md_len,
		      uint64_t timeout_ms);

#endif
