// SPDX-License-Identifier: BSD-3-Clause
/* --help and the manual page, both made from the commands' tables. */
#include <ctype.h>
#include <string.h>

#include "cli/cli.h"

#define WIDTH 80
#define HELP_COLUMN 28
#define NAME_COLUMN 24
#define BRIEF_TITLE "With --traddr, also these options of nvmux attach:"

static const struct {
	enum cli_exit code;
	const char *text;
} cli_exit_texts[] = {
	{CLI_OK, "done"},
	{CLI_USAGE, "the command line is wrong; nothing was done"},
	{CLI_NO_DAEMON, "no nvmuxd at the socket, no permission to connect, or connection lost"},
	{CLI_FAILED, "nvmuxd or the controller refused the command, or it failed"},
	{CLI_IO_ERROR, "a command ended with an NVMe error status, or a file couldn't be read or "
		       "written"},
	{CLI_MISCOMPARE, "data that was read isn't what had been written (bench --verify)"},
	{CLI_INTERRUPTED, "ended by SIGINT or SIGTERM"},
};

static const char about[] =
	"nvmux steers nvmuxd, the daemon that shares NVMe controllers between programs, moves data "
	"to and from namespaces, and measures them. Commands that move data go through the daemon "
	"(CTRL/NSID), or drive a controller themselves, in their own process "
	"(--transport and --traddr; -t and -a, where a command has no other use for these "
	"letters).";

/* Print @text, which goes on at column @at, wrapped so that all further lines start there too. */
static void print_wrapped(FILE *out, const char *text, int at)
{
	int column = at;

	while (*text) {
		int word = (int)strcspn(text, " \n");

		if (column > at && column + 1 + word > WIDTH) {
			fprintf(out, "\n%*s", at, "");
			column = at;
		} else if (column > at) {
			fputc(' ', out);
			column++;
		}
		column += fprintf(out, "%.*s", word, text);
		text += word;
		if (text[0] == '\n') {
			fprintf(out, "%s\n%*s", text[1] == '\n' ? "\n" : "", at, "");
			column = at;
		}
		text += strspn(text, " \n");
	}
	fputc('\n', out);
}

static void print_option(FILE *out, const struct cli_command *command, const struct cli_option *o)
{
	const char *alias = cli_option_alias(o->name);
	bool letter = o->letter && !(command && cli_letter_is_taken(command, o));
	int column;

	column = fprintf(out, letter ? "  -%c, " : "      ", o->letter);
	column += fprintf(out, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
	if (column + 2 > HELP_COLUMN) {
		fputc('\n', out);
		column = 0;
	}
	fprintf(out, "%*s", HELP_COLUMN - column, "");
	print_wrapped(out, o->help, HELP_COLUMN);
	if (alias)
		fprintf(out, "%*s(also --%s)\n", HELP_COLUMN, "", alias);
}

/* The options that are explained elsewhere, as "--io-queue-depth COUNT, ...". False: none. */
static bool list_brief(const struct cli_option *o, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (; o && o->name && len < size; o++) {
		if (o->help && !o->help[0])
			len += (size_t)snprintf(buf + len, size - len, "%s--%s %s", len ? ", " : "",
						o->name, o->arg ? o->arg : "");
	}
	return len;
}

/* The options that are known but refused, as "-s, --nqn, -w". False: there are none. */
static bool list_refused(const struct cli_option *o, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (; o && o->name && len < size; o++) {
		if (o->help)
			continue;
		if (o->letter)
			len += (size_t)snprintf(buf + len, size - len, "%s-%c", len ? ", " : "",
						o->letter);
		else
			len += (size_t)snprintf(buf + len, size - len, "%s--%s", len ? ", " : "",
						o->name);
	}
	return len;
}

/* One line each, under the titles of their groups. */
static void list_commands(FILE *out, const struct cli_command *const *commands, bool titles)
{
	static const char *const groups[] = {
		[CLI_GROUP_DAEMON] = "The daemon and its controllers",
		[CLI_GROUP_DATA] = "Data",
		[CLI_GROUP_READ] = "What controllers and namespaces say",
		[CLI_GROUP_BLOCKS] = "Commands on blocks, reservations, zones",
		[CLI_GROUP_MANAGE] = "Namespaces, firmware, erasure, tests",
		[CLI_GROUP_RAW] = "Any command",
		[CLI_GROUP_OTHER] = "Other",
	};

	for (size_t group = 0; group < sizeof(groups) / sizeof(groups[0]); group++) {
		if (titles)
			fprintf(out, "\n%s:\n", groups[group]);
		for (const struct cli_command *const *c = commands; *c; c++) {
			if ((*c)->group != group)
				continue;
			fprintf(out, "  %-*s", NAME_COLUMN - 2, (*c)->name);
			print_wrapped(out, (*c)->summary, NAME_COLUMN);
		}
	}
}

void cli_help_command(FILE *out, const struct cli_command *command)
{
	const struct cli_option *o;
	int column = fprintf(out, "Usage: nvmux %s ", command->name);
	char refused[512], brief[1024];

	print_wrapped(out, command->usage, column);
	fputc('\n', out);
	print_wrapped(out, command->description, 0);
	if (command->subcommands) {
		fputs("\nCommands:\n", out);
		list_commands(out, command->subcommands, false);
	}
	fputs("\nOptions:\n", out);
	for (o = command->options; o && o->name; o++) {
		if (o->help && o->help[0])
			print_option(out, command, o);
	}
	for (o = cli_common_options; o->name; o++)
		print_option(out, command, o);
	if (list_brief(command->options, brief, sizeof(brief))) {
		fputs("\n" BRIEF_TITLE "\n  ", out);
		print_wrapped(out, brief, 2);
	}
	if (list_refused(command->options, refused, sizeof(refused))) {
		fputs("\nRefused, for want of a fabrics transport in this build:\n  ", out);
		print_wrapped(out, refused, 2);
	}
	if (command->examples) {
		fputs("\nExamples:\n", out);
		for (const char *const *e = command->examples; *e; e++)
			fprintf(out, "  %s\n", *e);
	}
}

void cli_help_program(FILE *out, const struct cli_command *const *commands)
{
	fputs("Usage: nvmux [-S SOCKET] [-o json|normal] COMMAND ...\n\n", out);
	print_wrapped(out, about, 0);
	fputs("\nCommands:\n", out);
	list_commands(out, commands, true);
	fputs("\nOptions, before or after the command:\n", out);
	for (const struct cli_option *o = cli_common_options; o->name; o++)
		print_option(out, NULL, o);
	fputs("\nExit codes:\n", out);
	for (size_t i = 0; i < sizeof(cli_exit_texts) / sizeof(cli_exit_texts[0]); i++) {
		fprintf(out, "  %-4d", cli_exit_texts[i].code);
		print_wrapped(out, cli_exit_texts[i].text, 6);
	}
	fputs("\n'nvmux COMMAND --help' explains a command.\n", out);
}

/* Text for scdoc: what means something to it is escaped. */
static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("_*\\#~+-`|<>[]", *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void manual_options(FILE *out, const struct cli_command *command,
			   const struct cli_option *o)
{
	for (; o && o->name; o++) {
		const char *alias = cli_option_alias(o->name);

		if (!o->help || !o->help[0])
			continue;
		if (o->letter && !(command && cli_letter_is_taken(command, o)))
			fprintf(out, "*-%c*, ", o->letter);
		fprintf(out, "*--%s*", o->name);
		if (alias) {
			fputs(", *--", out);
			put_escaped(out, alias);
			fputs("*", out);
		}
		if (o->arg) {
			fputs(" _", out);
			put_escaped(out, o->arg);
			fputs("_", out);
		}
		fputs("\n\t", out);
		put_escaped(out, o->help);
		fputs("\n\n", out);
	}
}

static void manual_command(FILE *out, const struct cli_command *command)
{
	char refused[512], brief[1024];

	fputs("## ", out);
	for (const char *c = command->name; *c; c++)
		fputc(toupper((unsigned char)*c), out);
	fprintf(out, "\n\n*nvmux %s* ", command->name);
	put_escaped(out, command->usage);
	fputs("\n\n", out);
	put_escaped(out, command->description);
	fputs("\n\n", out);
	manual_options(out, command, command->options);
	if (list_brief(command->options, brief, sizeof(brief))) {
		fputs(BRIEF_TITLE " ", out);
		put_escaped(out, brief);
		fputs("\n\n", out);
	}
	if (list_refused(command->options, refused, sizeof(refused))) {
		fputs("Refused, for want of a fabrics transport in this build: ", out);
		put_escaped(out, refused);
		fputs("\n\n", out);
	}
	if (!command->examples)
		return;
	fputs("Examples:\n\n```\n", out);
	for (const char *const *e = command->examples; *e; e++)
		fprintf(out, "%s\n", *e);
	fputs("```\n\n", out);
}

void cli_help_manual(FILE *out, const struct cli_command *const *commands)
{
	fputs("nvmux(1) \"nvmux " NVMUX_VERSION "\"\n\n"
	      "# NAME\n\nnvmux - steer nvmuxd, and read, write and measure NVMe namespaces\n\n"
	      "# SYNOPSIS\n\n*nvmux* \\[-S SOCKET\\] \\[-o json|normal\\] COMMAND ...\n\n"
	      "# DESCRIPTION\n\n",
	      out);
	put_escaped(out, about);
	fputs("\n\n# OPTIONS\n\nThese may stand before or after the command.\n\n", out);
	manual_options(out, NULL, cli_common_options);
	fputs("# COMMANDS\n\n", out);
	for (; *commands; commands++) {
		manual_command(out, *commands);
		for (const struct cli_command *const *c = (*commands)->subcommands; c && *c; c++)
			manual_command(out, *c);
	}
	fputs("# EXIT STATUS\n\n", out);
	for (size_t i = 0; i < sizeof(cli_exit_texts) / sizeof(cli_exit_texts[0]); i++) {
		fprintf(out, "*%d*\n\t", cli_exit_texts[i].code);
		put_escaped(out, cli_exit_texts[i].text);
		fputs("\n\n", out);
	}
	fputs("# SEE ALSO\n\n*nvmuxd*(8), *nvme*(1)\n", out);
}

static int run_help(struct cli *cli, const struct cli_args *args)
{
	static const struct cli_command *const none[] = {NULL};
	const struct cli_command *const *among = cli->commands;
	const struct cli_command *found = NULL;
	const char *meant;

	if (cli_args_get(args, "man")) {
		cli_help_manual(stdout, cli->commands);
		return CLI_OK;
	}
	if (!args->n_positional) {
		cli_help_program(stdout, cli->commands);
		return CLI_OK;
	}
	for (int i = 0; i < args->n_positional; i++) {
		found = cli_find_command(among, args->positional[i]);
		if (!found) {
			meant = cli_suggest_command(args->positional[i], among);
			return cli_usage_error(cli, "unknown command \"%s\"%s%s%s",
					       args->positional[i], meant ? "; did you mean " : "",
					       meant ? meant : "", meant ? "?" : "");
		}
		among = found->subcommands ? found->subcommands : none;
	}
	cli_help_command(stdout, found);
	return CLI_OK;
}

static const struct cli_option help_options[] = {
	{"man", 0, NULL, "print the source of the manual page, for scdoc"},
	{0},
};

const struct cli_command cli_cmd_help = {
	.name = "help",
	.summary = "explain nvmux or one of its commands",
	.usage = "[COMMAND [COMMAND]]",
	.description = "Prints what --help prints.",
	.options = help_options,
	.max_args = 2,
	.run = run_help,
};
