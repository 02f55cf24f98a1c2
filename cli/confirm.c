// SPDX-License-Identifier: BSD-3-Clause
/* A question before what can't be undone. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/confirm.h"

/* The target as it was named: nothing has been opened yet. */
static void name_target(const struct cli_args *args, char *buf, size_t size)
{
	bool by_address = cli_args_get(args, "traddr") || cli_args_get(args, "transport");
	const char *name = by_address ? cli_args_get(args, "traddr") : NULL;
	const char *nsid = NULL;

	if (by_address && !name)
		name = cli_args_get(args, "transport");
	if (!by_address)
		name = args->n_positional ? args->positional[0] : "?";
	if (cli_args_has(args, "namespace-id"))
		nsid = cli_args_get(args, "namespace-id");
	snprintf(buf, size, "%s%s%s", name, nsid ? ", namespace " : "", nsid ? nsid : "");
}

/* The answer's first line; false: there is none. */
static bool read_answer(char *buf, size_t size)
{
	size_t n = 0;
	char c = 0;

	while (c != '\n') {
		ssize_t got = read(STDIN_FILENO, &c, 1);

		if (got < 0 && errno == EINTR && !cli_interrupted())
			continue;
		if (got <= 0)
			return false;
		if (c != '\n' && n + 1 < size)
			buf[n++] = c;
	}
	buf[n] = 0;
	return true;
}

int cli_confirm(struct cli *cli, const struct cli_args *args, const char *what)
{
	char target[320], shown[320], answer[16];

	if (cli_args_get(args, "force"))
		return CLI_OK;
	name_target(args, target, sizeof(target));
	cli_printable(target, shown, sizeof(shown));
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return cli_usage_error(cli, "%s: %s; where nobody can be asked, --force is needed",
				       shown, what);
	cli_interrupt_catch();
	fprintf(stderr, "%s: %s. Go on? [y/N] ", shown, what);
	fflush(stderr);
	if (!read_answer(answer, sizeof(answer))) {
		fputc('\n', stderr);
		if (cli_interrupted())
			return CLI_INTERRUPTED;
		answer[0] = 0;
	}
	if (!strcasecmp(answer, "y") || !strcasecmp(answer, "yes"))
		return CLI_OK;
	cli_error(cli, "not confirmed; nothing was done");
	return CLI_FAILED;
}
