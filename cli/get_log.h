/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a log page. */
#ifndef NVMUX_CLI_GET_LOG_H
#define NVMUX_CLI_GET_LOG_H

#include "cli/device.h"

/* The exit code, after a message if it isn't CLI_OK. */
int cli_read_log(struct cli_device *dev, uint8_t lid, uint32_t nsid,
		 const struct nvmux_log_opts *opts, void *buf, size_t len);

#endif
