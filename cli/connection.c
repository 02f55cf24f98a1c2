// SPDX-License-Identifier: BSD-3-Clause
/* The life of a controller's connection in words. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/connection.h"

struct text {
	char *buf;
	size_t size, len;
};

/* Add to a list that is separated by commas. */
__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
	va_list ap;

	if (t->len && t->len < t->size)
		t->len += (size_t)snprintf(t->buf + t->len, t->size - t->len, ", ");
	if (t->len >= t->size)
		return;
	va_start(ap, format);
	t->len += (size_t)vsnprintf(t->buf + t->len, t->size - t->len, format, ap);
	va_end(ap);
}

static const char *state_of(const json_t *connection)
{
	return cli_json_string(connection, "state");
}

static bool is_up(const json_t *connection)
{
	const char *state = state_of(connection);

	return !*state || !strcmp(state, "up") || !strcmp(state, "none");
}

const char *cli_connection_state(const json_t *ctrlr)
{
	const json_t *connection = json_object_get(ctrlr, "connection");
	const char *state = cli_json_string(ctrlr, "state");

	/* Starting, failed or going away says more. */
	return is_up(connection) || strcmp(state, "ready") ? state : state_of(connection);
}

bool cli_connection_is_told(const json_t *ctrlr)
{
	const json_t *connection = json_object_get(ctrlr, "connection");

	return connection && (!strcmp(cli_json_string(ctrlr, "trtype"), "RDMA") ||
			      !is_up(connection) || cli_json_integer(connection, "lost"));
}

/* "1 attempt", "2 attempts" */
static const char *plural(int64_t count)
{
	return count == 1 ? "" : "s";
}

const char *cli_connection_text(const json_t *connection, char *buf, size_t size)
{
	int64_t lost = cli_json_integer(connection, "lost");
	int64_t attempts = cli_json_integer(connection, "attempts");
	int64_t next = cli_json_integer(connection, "next_attempt_ms");
	int64_t lost_for = cli_json_integer(connection, "lost_for_ms");
	int64_t keep_alive = cli_json_integer(connection, "keep_alive_ms");
	bool none = !strcmp(state_of(connection), "none");
	bool away = !is_up(connection) && strcmp(state_of(connection), "holding");
	struct text t = {.buf = buf, .size = size};
	char time[32];

	buf[0] = 0;
	if (none && !attempts)
		return buf;
	if (away)
		add(&t, "lost %s ago", cli_format_duration((uint64_t)lost_for, time, sizeof(time)));
	if (away || none) {
		add(&t, "%lld attempt%s", (long long)attempts, plural(attempts));
		if (next > 0)
			add(&t, "next in %s",
			    cli_format_duration((uint64_t)next, time, sizeof(time)));
		else
			add(&t, "trying");
		return buf;
	}
	if (keep_alive > 0)
		add(&t, "keep-alive %s",
		    cli_format_duration((uint64_t)keep_alive, time, sizeof(time)));
	else if (connection)
		add(&t, "no keep-alive");
	if (lost > 0)
		add(&t, "lost %lld time%s so far", (long long)lost, plural(lost));
	return buf;
}

/* Milliseconds of a member that may be null; -1: it is, or isn't there. */
static int64_t time_left(const json_t *connection, const char *key)
{
	const json_t *value = json_object_get(connection, key);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

const char *cli_connection_deadlines(const json_t *connection, char *buf, size_t size)
{
	int64_t fail = time_left(connection, "fast_io_fail_ms");
	int64_t loss = time_left(connection, "ctrlr_loss_ms");
	int64_t hold = time_left(connection, "hold_ms");
	const char *state = state_of(connection);
	struct text t = {.buf = buf, .size = size};
	char time[32];

	buf[0] = 0;
	if (is_up(connection))
		return buf;
	if (!strcmp(state, "holding")) {
		add(&t, "what isn't a read is repeated in %s",
		    cli_format_duration(hold > 0 ? (uint64_t)hold : 0, time, sizeof(time)));
		return buf;
	}
	if (!strcmp(state, "failing"))
		add(&t, "commands fail");
	else if (fail >= 0)
		add(&t, "commands fail in %s",
		    cli_format_duration((uint64_t)fail, time, sizeof(time)));
	else
		add(&t, "commands wait");
	if (loss >= 0)
		add(&t, "given up in %s", cli_format_duration((uint64_t)loss, time, sizeof(time)));
	else
		add(&t, "never given up");
	return buf;
}
