/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables and trees on standard output, by libsmartcols. */
#ifndef NVMUX_CLI_TABLE_H
#define NVMUX_CLI_TABLE_H

#include <stdbool.h>

struct cli_table;
struct cli_line;

enum cli_column_flags {
	CLI_COLUMN_RIGHT = 1 << 0, /* numbers */
	CLI_COLUMN_TREE = 1 << 1,
	CLI_COLUMN_TRUNC = 1 << 2, /* may be cut where the terminal is narrow */
	CLI_COLUMN_WRAP = 1 << 3,  /* continued on further lines there */
};

struct cli_column {
	const char *title; /* NULL ends a list */
	unsigned flags;
};

/* Memory is all that can be missing: then the program ends, saying so. */
struct cli_table *cli_table_new(const struct cli_column *columns);
/* A line below @parent (NULL: a line of its own). */
struct cli_line *cli_table_line(struct cli_table *table, struct cli_line *parent);
/* The text of the next column; control characters in it become visible. */
void cli_line_add(struct cli_line *line, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Print it, and free it with its lines. */
void cli_table_print(struct cli_table *table);

#endif
