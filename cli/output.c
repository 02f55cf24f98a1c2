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

/* What marks a string as digits; no text of ours or of a device's has control characters. */
#define NUMBER_MARK    "\001number:"
#define NUMBER_ESCAPED "\"\\u0001number:"

json_t *cli_json_number(const char *digits)
{
	return json_sprintf(NUMBER_MARK "%s", digits);
}

json_t *cli_json_u64(uint64_t value)
{
	char digits[24];

	if (value <= INT64_MAX)
		return json_integer((json_int_t)value);
	snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
	return cli_json_number(digits);
}

/* Marked strings without their quotes. */
static void put_json(const char *text)
{
	const char *mark;

	while ((mark = strstr(text, NUMBER_ESCAPED))) {
		const char *digits = mark + strlen(NUMBER_ESCAPED);
		size_t len = strspn(digits, "0123456789");

		fwrite(text, 1, (size_t)(mark - text), stdout);
		fwrite(digits, 1, len, stdout);
		text = digits + len + (digits[len] == '"');
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
