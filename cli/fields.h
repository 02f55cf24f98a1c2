/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device says, as its reader wants it: fields, JSON, a dump, or the bytes themselves. */
#ifndef NVMUX_CLI_FIELDS_H
#define NVMUX_CLI_FIELDS_H

#include <jansson.h>

#include "cli/cli.h"

#define CLI_RAW_OPTION {"raw-binary", 'b', NULL, "the bytes as they came, as -o binary"}
#define CLI_HUMAN_OPTION {"human-readable", 'H', NULL, "explain bits and units"}

/* "field : value" lines, in the object's order. @human: and what the bits of a field mean. */
void cli_print_fields(json_t *object, bool human);

/* The bytes on standard output. CLI_OK, or CLI_IO_ERROR after a message. */
int cli_print_binary(const struct cli *cli, const void *data, size_t len);

/* Whether the bytes were asked for: -o binary, or --raw-binary where the command has it. */
bool cli_wants_binary(const struct cli *cli, const struct cli_args *args);

/* @json (stolen; NULL: no memory) or the @len bytes at @data that it was made of, as asked for. */
int cli_show(const struct cli *cli, const struct cli_args *args, json_t *json, const void *data,
	     size_t len);

#endif
