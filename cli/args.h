/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command line: declared once, as a table per command. Parsing, --help and the manual page are
 * derived from it.
 */
#ifndef NVMUX_CLI_ARGS_H
#define NVMUX_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CLI_OPTIONS_MAX 72

struct cli;
struct cli_args;

struct cli_option {
	const char *name; /* long name; NULL ends a table */
	char letter;      /* 0: none. Of rows with the same letter the first has it; the common
			   * options come last */
	const char *arg;  /* what its argument is called; NULL: a switch */
	const char *help; /* NULL: of fabrics transports, which this build lacks: refused by name;
			   * "": explained by nvmux attach, only mentioned here */
};

/* Where a command stands in the list of --help. */
enum cli_group {
	CLI_GROUP_DAEMON,
	CLI_GROUP_DATA,
	CLI_GROUP_READ,
	CLI_GROUP_BLOCKS,
	CLI_GROUP_MANAGE,
	CLI_GROUP_RAW,
	CLI_GROUP_OTHER,
};

struct cli_command {
	const char *name;
	enum cli_group group;
	const char *summary;       /* one line */
	const char *usage;         /* what follows the name */
	const char *description;   /* paragraphs, separated by empty lines */
	const struct cli_option *options; /* NULL: only the common ones */
	const char *const *examples;      /* NULL, or ended by NULL */
	int min_args, max_args;           /* positional arguments; max -1: any number */
	bool stop_at_first;               /* what follows the first positional isn't ours */
	bool binary;                      /* --output-format may also be binary */
	int (*run)(struct cli *cli, const struct cli_args *args); /* enum cli_exit */
	/* The first positional is one of these instead, ended by NULL. Their names begin with this
	 * command's. */
	const struct cli_command *const *subcommands;
};

/* The arguments of one command, as parsed. Points into argv. */
struct cli_args {
	const struct cli_command *command;
	const char *values[CLI_OPTIONS_MAX]; /* by place in the tables; NULL: not given */
	const char *names[CLI_OPTIONS_MAX];  /* as it was spelt on the command line, or NULL */
	char **positional;
	int n_positional;
};

/* Options that every command takes; they may stand before the command as well. */
extern const struct cli_option cli_common_options[];

/*
 * Parse what follows a command's name; argv[0] is the name itself. Permutes @argv. 0, or -EINVAL:
 * @why says what is wrong and, for a misspelt option, which one is meant.
 */
int cli_args_parse(struct cli_args *ret, const struct cli_command *command, int argc, char **argv,
		   char *why, size_t why_size);

/* The argument of an option that the command declares: NULL when not given, "" for a switch. */
const char *cli_args_get(const struct cli_args *args, const char *name);
/* Whether the command has such an option at all. */
bool cli_args_has(const struct cli_args *args, const char *name);
/* How messages call it: "--queue-size" if it was given by that other name. Never NULL. */
const char *cli_args_name(const struct cli_args *args, const char *name);
/* Whether an earlier row of the command has the option's letter. */
bool cli_letter_is_taken(const struct cli_command *command, const struct cli_option *option);
/* The other name of an option, nvme-cli's where that differs, or NULL. */
const char *cli_option_alias(const char *name);

/* Put the words for what is wrong into @why. Returns -EINVAL. */
int cli_refuse(char *why, size_t why_size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Values of options. Absent ones leave *@value alone. 0, or -EINVAL with @why naming option, value
 * and rule. Sizes are in bytes, with a suffix of K, M, G or T (powers of 1024; "KiB" and the like
 * are understood as well). @min and @max are inclusive.
 */
int cli_args_size(const struct cli_args *args, const char *name, uint64_t min, uint64_t max,
		  uint64_t *value, char *why, size_t why_size);
int cli_args_number(const struct cli_args *args, const char *name, uint64_t min, uint64_t max,
		    uint64_t *value, char *why, size_t why_size);
/* A number that may have a minus sign. */
int cli_args_integer(const struct cli_args *args, const char *name, int64_t min, int64_t max,
		     int64_t *value, char *why, size_t why_size);
/* A list such as "1,4,32": at most @max_entries into @list. */
int cli_args_list(const struct cli_args *args, const char *name, uint64_t min, uint64_t max,
		  uint32_t *list, unsigned max_entries, unsigned *count, char *why,
		  size_t why_size);

int cli_parse_size(const char *text, uint64_t *ret);
/* Decimal, or hexadecimal with 0x. */
int cli_parse_number(const char *text, uint64_t *ret);

/* The name of @names (ended by NULL) that @word was probably meant to be, or NULL. */
const char *cli_suggest(const char *word, const char *const *names);
/* The command of a table (ended by NULL) that @word names: the last word of its name. Or NULL. */
const struct cli_command *cli_find_command(const struct cli_command *const *commands,
					   const char *word);
/* The same of commands; those of nvme-cli that are called otherwise here are known as well. */
const char *cli_suggest_command(const char *word, const struct cli_command *const *commands);

/* What --help prints, of one command or of the program, and the page of the manual in scdoc's
 * language. */
void cli_help_command(FILE *out, const struct cli_command *command);
void cli_help_program(FILE *out, const struct cli_command *const *commands);
void cli_help_manual(FILE *out, const struct cli_command *const *commands);

#endif
