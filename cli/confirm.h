/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Destructive commands are asked about on a terminal, and need --force elsewhere.
 *
 * Who is asked must be able to read and to answer: standard input and standard error are terminals.
 */
#ifndef NVMUX_CLI_CONFIRM_H
#define NVMUX_CLI_CONFIRM_H

#include "cli/cli.h"

/* A row of the commands that ask. */
#define CLI_FORCE_OPTION                                                                       \
	{                                                                                      \
		"force", 0, NULL, "don't ask; needed where nobody can be asked, as in scripts" \
	}

/*
 * Before anything is sent: ask whether @what ("all data of the namespace is erased") may happen to
 * the command's target, unless --force is given. CLI_OK: go on. Else an exit code after a message:
 * CLI_USAGE where nobody can be asked, CLI_FAILED for anything but "y" or "yes", CLI_INTERRUPTED.
 */
int cli_confirm(struct cli *cli, const struct cli_args *args, const char *what);

#endif
