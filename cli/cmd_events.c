// SPDX-License-Identifier: BSD-3-Clause
/*
 * events: what happens in the daemon, as it happens.
 *
 * Happy path: subscribe → a line for each notification, until a signal, or until there have been as
 * many as were asked for. Failures: the daemon ends, or never answers (a signal ends the wait);
 * nobody takes the output.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "rpc/client.h"

struct events {
	struct cli *cli;
	uint64_t left; /* events to print; UINT64_MAX: no limit */
	int code;
};

/* Whether a text can stand for itself: one word, which nothing else can be mistaken for. */
static bool is_word(const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c <= ' ' || *c > '~' || strchr("\"\\=", *c))
			return false;
	}
	return *text;
}

/* A value as JSON has it, in printable ASCII: others' texts can't look like something else. */
static void print_escaped(const json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);

	for (const char *c = text; c && *c; c++)
		putchar(*c == 0x7f ? '?' : *c);
	free(text);
}

/* Members but the type, as name=value; texts that aren't one word in quotation marks. */
static void print_members(const json_t *event)
{
	const json_t *value;
	const char *key;

	json_object_foreach((json_t *)event, key, value) {
		const char *text = json_string_value(value);

		if (!strcmp(key, "type"))
			continue;
		printf(" %s=", key);
		if (text && is_word(text))
			fputs(text, stdout);
		else
			print_escaped(value);
	}
	putchar('\n');
}

static void print_event(const struct cli *cli, const json_t *event)
{
	char type[64], when[32] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (cli->json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
		return;
	}
	if (localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s %s", when, cli_printable(cli_json_string(event, "type"), type, sizeof(type)));
	print_members(event);
}

static void on_notification(void *arg, const char *method, const json_t *params)
{
	struct events *e = arg;

	if (!e->left || e->code || strcmp(method, "event"))
		return;
	print_event(e->cli, params);
	if (e->left != UINT64_MAX)
		e->left--;
	e->code = cli_flush(e->cli);
}

static int watch(struct events *e)
{
	struct rpc_client *rpc = e->cli->rpc;

	while (e->left && !e->code) {
		struct pollfd fd = {.fd = rpc_client_fd(rpc), .events = POLLIN};
		sigset_t before;
		int err;

		cli_interrupt_block(&before);
		cli_interrupt_wait(&fd, &before);
		cli_interrupt_unblock(&before);
		if (cli_interrupted())
			return CLI_INTERRUPTED;
		err = rpc_client_process(rpc);
		if (err) {
			cli_error(e->cli, "%s: the connection to nvmuxd is lost: %s",
				  e->cli->socket, strerror(-err));
			return CLI_NO_DAEMON;
		}
	}
	return e->code;
}

static int run_events(struct cli *cli, const struct cli_args *args)
{
	struct events e = {.cli = cli, .left = UINT64_MAX};
	CLI_JSON *result = NULL;
	char why[256];
	int code;

	if (cli_args_number(args, "count", 1, UINT64_MAX - 1, &e.left, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	cli_interrupt_catch();
	code = cli_connect(cli);
	if (code)
		return code;
	rpc_client_on_notification(cli->rpc, on_notification, &e);
	code = cli_call_or_interrupt(cli, "subscribe_events", NULL, &result);
	return code ? code : watch(&e);
}

static const struct cli_option events_options[] = {
	{"count", 'n', "COUNT",
	 "end after so many events; with -o json each is one JSON value, on a line of its own"},
	{0},
};

static const char *const events_examples[] = {
	"nvmux events",
	"nvmux -o json events --count 1",
	NULL,
};

const struct cli_command cli_cmd_events = {
	.name = "events",
	.summary = "show what happens in the daemon, as it happens",
	.usage = "[--count COUNT]",
	.description =
		"A line for each event, until SIGINT: controllers that come, go, fail or are "
		"reset, devices that are wanted back or pulled out (controller_removing, "
		"controller_removed) or appear (device_added, device_removed), connections that "
		"are lost and restored (controller_connection_lost, "
		"controller_reconnect_failed, controller_fast_io_fail, controller_reconnected, "
		"controller_replayed), changes of namespaces and ANA states, changes that "
		"discovery services report, clients that come and go.\n\n"
		"Values that aren't one plain word are written as in JSON: \"no answer in time\". "
		"With -o json each line is a JSON value of its own.",
	.options = events_options,
	.examples = events_examples,
	.run = run_events,
};
