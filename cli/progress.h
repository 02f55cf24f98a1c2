/* SPDX-License-Identifier: BSD-3-Clause */
/* A progress bar on standard error; nothing at all unless that is a terminal. */
#ifndef NVMUX_CLI_PROGRESS_H
#define NVMUX_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct cli_progress {
	bool on;
	bool percent;   /* of what there is to do, instead of bytes */
	uint64_t total; /* bytes, 0: not known */
	uint64_t start_ns;
	uint64_t shown_ns;
};

void cli_progress_begin(struct cli_progress *progress, uint64_t total);
/* The same in hundredths of what there is to do. */
void cli_progress_begin_percent(struct cli_progress *progress);
/* Whether an update would show now. */
bool cli_progress_due(const struct cli_progress *progress);
void cli_progress_update(struct cli_progress *progress, uint64_t done);
/* Remove the bar, so that the next line starts where it was. */
void cli_progress_end(struct cli_progress *progress);

#endif
