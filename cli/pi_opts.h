/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of commands that name blocks: retries, FUA, protection information. */
#ifndef NVMUX_CLI_PI_OPTS_H
#define NVMUX_CLI_PI_OPTS_H

#include "cli/verb.h"

/* Rows; the letter of --storage-tag isn't the same in all commands. */
#define CLI_PI_OPTIONS(storage_tag_letter)                                                         \
	{"limited-retry", 'l', NULL, "the controller tries less hard"},                            \
		{"force-unit-access", 'f', NULL,                                                   \
		 "the command ends when the data is on the media"},                                \
		{"prinfo", 'p', "BITS",                                                            \
		 "protection information, 0 to 15: 8 PRACT, 4 check the guard, 2 the application " \
		 "tag, 1 "                                                                         \
		 "the reference tag"},                                                             \
		{"ref-tag", 'r', "NUM",                                                            \
		 "reference tag of the first block (default: as the protection type wants it)"},   \
		{"app-tag-mask", 'm', "NUM", "bits of the application tag that are looked at"},    \
		{"app-tag", 'a', "NUM", "application tag"},                                        \
		{"storage-tag", storage_tag_letter, "NUM",                                         \
		 "refused: storage tags aren't supported"},                                        \
	{                                                                                          \
		"storage-tag-check", 'C', NULL, "refused likewise"                                 \
	}

struct cli_pi {
	uint64_t prinfo, ref_tag, app_tag, app_tag_mask;
	bool ref_tag_given;
	bool limited_retry, fua;
};

/* What was given. CLI_OK, or CLI_USAGE after a message. */
int cli_pi_from_args(struct cli *cli, const struct cli_args *args, struct cli_pi *ret);

/* Bits 31:16 of dword 12, and dwords 14 and 15, of a command that begins at @lba; @first is where
 * the first command of the range began. */
void cli_pi_put(const struct cli_pi *pi, const struct nvmux_ns *ns, uint64_t first, uint64_t lba,
		struct nvmux_cmd *cmd);

#endif
