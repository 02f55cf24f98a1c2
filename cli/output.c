// SPDX-License-Identifier: BSD-3-Clause
/* Values as people and programs want to see them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

int cli_flush(const struct cli *cli)
{
	/* What an earlier call couldn't write is tried again, which tells the reason. */
	if (fflush(stdout))
		cli_error(cli, "standard output: %s", strerror(errno));
	else if (ferror(stdout))
		cli_error(cli, "standard output: not everything could be written");
	else
		return CLI_OK;
	return CLI_IO_ERROR;
}

#define DIGITS_ESCAPED "\"\\u0001digits:" /* DECODE_DIGITS_MARK as jansson writes it */

/* Numbers too large for jansson's integers, without mark and quotes. */
static void put_json(const char *text)
{
	const char *mark;

	while ((mark = strstr(text, DIGITS_ESCAPED))) {
		const char *digits = mark + strlen(DIGITS_ESCAPED);
		size_t len = strspn(digits, "0123456789");

		if (len == 0 || digits[len] != '"') { /* a text that begins like one */
			fwrite(text, 1, (size_t)(digits - text), stdout);
			text = digits;
			continue;
		}
		fwrite(text, 1, (size_t)(mark - text), stdout);
		fwrite(digits, 1, len, stdout);
		text = digits + len + 1;
	}
	puts(text);
}

int cli_print_json(const struct cli *cli, const json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9) | JSON_ENCODE_ANY);
	int err;

	if (!text) {
		cli_error(cli, "no memory for the output");
		return CLI_FAILED;
	}
	errno = 0;
	put_json(text);
	err = ferror(stdout) ? errno : 0;
	free(text);
	if (err) {
		/* Much at once isn't kept for a second try. */
		cli_error(cli, "standard output: %s", strerror(err));
		return CLI_IO_ERROR;
	}
	return cli_flush(cli);
}
