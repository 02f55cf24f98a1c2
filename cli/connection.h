/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a controller's connection in words, from what get_controllers says of it. */
#ifndef NVMUX_CLI_CONNECTION_H
#define NVMUX_CLI_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

/* What the column STATE shows: the controller's state, or what its connection is doing if that
 * isn't up. */
const char *cli_connection_state(const json_t *ctrlr);
/* Whether there is more to say than "up": a controller over a fabric, or one that was lost. */
bool cli_connection_is_told(const json_t *ctrlr);

/* Each of these puts a text into @buf, empty when there is nothing to say, and returns it.
 * @connection is the member of that name. */

/* "lost 3.2 s ago, 2 attempts, next in 0.8 s"; "lost 2 times so far" */
const char *cli_connection_text(const json_t *connection, char *buf, size_t size);
/* "commands fail in 1.8 s, given up in 9 min 56 s"; "the rest is repeated in 7.5 s" */
const char *cli_connection_deadlines(const json_t *connection, char *buf, size_t size);

#endif
