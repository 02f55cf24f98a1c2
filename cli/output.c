// SPDX-License-Identifier: BSD-3-Clause
/* Values as people and programs want to see them. */
#include <errno.h>
#include <string.h>

#include "cli/cli.h"

int cli_flush(const struct cli *cli)
{
	/* After a failure of an earlier call errno may be anything. */
	if (ferror(stdout))
		cli_error(cli, "standard output: not everything could be written");
	else if (fflush(stdout))
		cli_error(cli, "standard output: %s", strerror(errno));
	else
		return CLI_OK;
	return CLI_IO_ERROR;
}

int cli_print_json(const struct cli *cli, const json_t *value)
{
	errno = 0;
	if (json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9) | JSON_ENCODE_ANY) ||
	    putchar('\n') == EOF) {
		cli_error(cli, "standard output: %s", errno ? strerror(errno) : "can't be written");
		return CLI_IO_ERROR;
	}
	return cli_flush(cli);
}
