// SPDX-License-Identifier: BSD-3-Clause
/* Tables and trees on standard output, by libsmartcols. */
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libsmartcols.h>

#include "cli/cli.h"
#include "cli/table.h"

struct cli_line {
	struct libscols_line *line;
	size_t next_column;
	struct cli_line *next;
};

struct cli_table {
	struct libscols_table *table;
	struct cli_line *lines;
};

static void *must(void *p)
{
	if (!p) {
		fputs("nvmux: out of memory\n", stderr);
		exit(CLI_FAILED);
	}
	return p;
}

static int scols_flags(unsigned flags)
{
	return (flags & CLI_COLUMN_RIGHT ? SCOLS_FL_RIGHT : 0) |
	       (flags & CLI_COLUMN_TREE ? SCOLS_FL_TREE : 0) |
	       (flags & CLI_COLUMN_TRUNC ? SCOLS_FL_TRUNC : 0) |
	       (flags & CLI_COLUMN_WRAP ? SCOLS_FL_WRAP : 0);
}

struct cli_table *cli_table_new(const struct cli_column *columns)
{
	struct cli_table *table = must(calloc(1, sizeof(*table)));

	table->table = must(scols_new_table());
	if (strcmp(nl_langinfo(CODESET), "UTF-8"))
		scols_table_enable_ascii(table->table, 1);
	for (; columns->title; columns++)
		must(scols_table_new_column(table->table, columns->title, 0,
					    scols_flags(columns->flags)));
	return table;
}

struct cli_line *cli_table_line(struct cli_table *table, struct cli_line *parent)
{
	struct cli_line *line = must(calloc(1, sizeof(*line)));

	line->line = must(scols_table_new_line(table->table, parent ? parent->line : NULL));
	line->next = table->lines;
	table->lines = line;
	return line;
}

void cli_line_add(struct cli_line *line, const char *format, ...)
{
	char text[1024], clean[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	cli_printable(text, clean, sizeof(clean));
	if (scols_line_set_data(line->line, line->next_column++, clean))
		must(NULL);
}

void cli_table_print(struct cli_table *table)
{
	struct cli_line *line;

	scols_print_table(table->table);
	scols_unref_table(table->table);
	while ((line = table->lines)) {
		table->lines = line->next;
		free(line);
	}
	free(table);
}
