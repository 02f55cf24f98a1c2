// SPDX-License-Identifier: BSD-3-Clause
/* status, version, shutdown, rpc: the daemon itself. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <nvmux/nvmux.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "cli/target.h"

static void print_duration(int64_t sec)
{
	if (sec >= 86400)
		printf("%lld d ", (long long)(sec / 86400));
	if (sec >= 3600)
		printf("%lld h ", (long long)(sec % 86400 / 3600));
	if (sec >= 60)
		printf("%lld min ", (long long)(sec % 3600 / 60));
	printf("%lld s\n", (long long)(sec % 60));
}

static void print_stats(const json_t *stats)
{
	const json_t *limit;
	const char *key;
	char size[32];
	bool first = true;

	fputs("running for  ", stdout);
	print_duration(cli_json_integer(stats, "uptime_sec"));
	printf("controllers  %lld\n", (long long)cli_json_integer(stats, "controllers"));
	printf("clients      %lld\n", (long long)cli_json_integer(stats, "clients"));
	printf("queue pairs  %lld of clients on %lld of controllers\n",
	       (long long)cli_json_integer(stats, "qpairs"),
	       (long long)cli_json_integer(stats, "hw_qpairs"));
	printf("regions      %lld, %s\n", (long long)cli_json_integer(stats, "regions"),
	       cli_format_size((uint64_t)cli_json_integer(stats, "bytes"), size, sizeof(size)));
	printf("descriptors  %lld\n", (long long)cli_json_integer(stats, "descriptors"));
	fputs("limits       ", stdout);
	json_object_foreach((json_t *)json_object_get(stats, "limits"), key, limit) {
		printf(first ? "%s " : ", %s ", key);
		first = false;
		if (!strcmp(key, "max_memory"))
			fputs(cli_format_size((uint64_t)json_integer_value(limit), size,
					      sizeof(size)),
			      stdout);
		else
			printf("%lld", (long long)json_integer_value(limit));
	}
	putchar('\n');
}

static void add_count(struct cli_line *line, const json_t *object, const char *key)
{
	char count[32];

	cli_line_add(line, "%s",
		     cli_format_count((double)cli_json_integer(object, key), count, sizeof(count)));
}

static void print_reactors(const json_t *reactors)
{
	static const struct cli_column columns[] = {
		{"REACTOR", CLI_COLUMN_RIGHT}, {"CORE", CLI_COLUMN_RIGHT},
		{"NODE", CLI_COLUMN_RIGHT},    {"MODE", 0},
		{"STATE", 0},
		{"CHANNELS", CLI_COLUMN_RIGHT}, {"QUEUES", CLI_COLUMN_RIGHT},
		{"COMMANDS", CLI_COLUMN_RIGHT}, {"SLEEPS", CLI_COLUMN_RIGHT},
		{"IDLE", CLI_COLUMN_RIGHT},    {0},
	};
	struct cli_table *table = cli_table_new(columns);
	const json_t *r;
	size_t i;

	json_array_foreach(reactors, i, r) {
		struct cli_line *line = cli_table_line(table, NULL);
		double loops = (double)cli_json_integer(r, "loops");
		double idle = (double)cli_json_integer(r, "idle_loops");

		add_count(line, r, "reactor");
		if (cli_json_integer(r, "core") >= 0)
			add_count(line, r, "core");
		else
			cli_line_add(line, "%s", "any");
		if (cli_json_integer(r, "node") >= 0)
			add_count(line, r, "node");
		else
			cli_line_add(line, "%s", "-");
		cli_line_add(line, "%s", cli_json_string(r, "mode"));
		cli_line_add(line, "%s",
			     json_is_true(json_object_get(r, "asleep")) ? "asleep" : "awake");
		add_count(line, r, "channels");
		add_count(line, r, "hwqs");
		add_count(line, r, "commands");
		add_count(line, r, "sleeps");
		cli_line_add(line, "%.0f %%", loops > 0 ? idle / loops * 100 : 0.0);
	}
	cli_table_print(table);
}

static void print_clients(const json_t *clients)
{
	static const struct cli_column columns[] = {
		{"CLIENT", CLI_COLUMN_RIGHT}, {"PID", CLI_COLUMN_RIGHT},
		{"UID", CLI_COLUMN_RIGHT},    {"COMMAND", 0},
		{"QPAIRS", CLI_COLUMN_RIGHT}, {"MEMORY", CLI_COLUMN_RIGHT},
		{"CONTROLLERS", CLI_COLUMN_TRUNC}, {0},
	};
	struct cli_table *table = cli_table_new(columns);
	const json_t *c, *name;
	size_t i, n;

	json_array_foreach(clients, i, c) {
		struct cli_line *line = cli_table_line(table, NULL);
		char names[512] = "", size[32];
		size_t len = 0;

		cli_line_add(line, "%lld", (long long)cli_json_integer(c, "client"));
		cli_line_add(line, "%lld", (long long)cli_json_integer(c, "pid"));
		cli_line_add(line, "%lld", (long long)cli_json_integer(c, "uid"));
		cli_line_add(line, "%s", cli_json_string(c, "command"));
		add_count(line, c, "qpairs");
		cli_line_add(line, "%s",
			     cli_format_size((uint64_t)cli_json_integer(c, "bytes"), size,
					     sizeof(size)));
		json_array_foreach(json_object_get(c, "controllers"), n, name) {
			if (len < sizeof(names))
				len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
							n ? " " : "", json_string_value(name));
		}
		cli_line_add(line, "%s", names);
	}
	cli_table_print(table);
}

static int run_status(struct cli *cli, const struct cli_args *args)
{
	static const char *const methods[][2] = {
		{"stats", "get_stats"}, {"reactors", "get_reactors"}, {"clients", "get_clients"},
	};
	CLI_JSON *all = json_object();

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		json_t *result;
		int code = cli_call(cli, methods[i][1], NULL, NULL, &result);

		if (code)
			return code;
		json_object_set_new(all, methods[i][0], result);
	}
	if (cli->json)
		return cli_print_json(cli, all);
	print_stats(json_object_get(all, "stats"));
	putchar('\n');
	print_reactors(json_object_get(all, "reactors"));
	if (json_array_size(json_object_get(all, "clients"))) {
		putchar('\n');
		print_clients(json_object_get(all, "clients"));
	}
	return CLI_OK;
}

static const char *const status_examples[] = {"nvmux status", NULL};

const struct cli_command cli_cmd_status = {
	.name = "status",
	.summary = "show what the daemon is doing",
	.usage = "",
	.description =
		"Totals and limits, the polling threads (reactors) and the clients. IDLE is the "
		"share of loops in which a reactor found nothing.\n\n"
		"-o json gives an object with the results of get_stats, get_reactors and "
		"get_clients.",
	.examples = status_examples,
	.run = run_status,
};

static int run_version(struct cli *cli, const struct cli_args *args)
{
	CLI_JSON *result = NULL, *all = NULL;
	int err;

	err = cli_call_quietly(cli, "get_version", NULL, &result);
	if (cli->json) {
		all = json_pack("{s:s, s:s, s:O}", "version", nvmux_version(), "transports",
				cli_transports(), "daemon", err ? json_null() : result);
		return cli_print_json(cli, all);
	}
	printf("nvmux  %s, transports: %s\n", nvmux_version(), cli_transports());
	if (err)
		printf("nvmuxd none at %s: %s\n", cli->socket, strerror(-err));
	else
		printf("nvmuxd %s, ring %s, pid %lld\n", cli_json_string(result, "version"),
		       cli_json_string(result, "ring_version"),
		       (long long)cli_json_integer(result, "pid"));
	return CLI_OK;
}

const struct cli_command cli_cmd_version = {
	.name = "version",
	.summary = "show the versions of nvmux and of the daemon",
	.usage = "",
	.description =
		"It isn't an error if no daemon can be asked.\n\n"
		"-o json gives {\"version\": ..., \"transports\": the same words, \"daemon\": the "
		"result of get_version, or null}.",
	.run = run_version,
};

#define SHUTDOWN_WAIT_MS 60000

static int run_shutdown(struct cli *cli, const struct cli_args *args)
{
	CLI_JSON *version = NULL, *result = NULL;
	int pidfd = -1, code, n = 1;

	/* A process can be waited for only if its number means the same here. */
	if (!cli_call_quietly(cli, "get_version", NULL, &version) &&
	    cli_json_integer(version, "pid") > 0)
		pidfd = (int)syscall(SYS_pidfd_open, (pid_t)cli_json_integer(version, "pid"), 0);
	code = cli_call(cli, "shutdown", NULL, NULL, &result);
	if (!code && pidfd >= 0 && !cli_args_get(args, "no-wait"))
		n = poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, SHUTDOWN_WAIT_MS);
	if (pidfd >= 0)
		close(pidfd);
	if (code)
		return code;
	if (n == 0) {
		cli_error(cli, "nvmuxd (pid %lld) is still there after %d s; its log says what it "
			       "waits for",
			  (long long)cli_json_integer(version, "pid"), SHUTDOWN_WAIT_MS / 1000);
		return CLI_FAILED;
	}
	if (cli->json)
		return cli_print_json(cli, result);
	puts(cli_args_get(args, "no-wait") ? "nvmuxd is ending" : "nvmuxd has ended");
	return CLI_OK;
}

static const struct cli_option shutdown_options[] = {
	{"no-wait", 0, NULL, "return at once instead of when the daemon has ended"},
	{0},
};

const struct cli_command cli_cmd_shutdown = {
	.name = "shutdown",
	.summary = "end the daemon",
	.usage = "[--no-wait]",
	.description = "The daemon takes no more commands, shuts its controllers down in an "
		       "orderly way and ends.\n\nNeeds the admin right.",
	.options = shutdown_options,
	.run = run_shutdown,
};

static int run_rpc(struct cli *cli, const struct cli_args *args)
{
	CLI_JSON *result = NULL;
	json_t *params = NULL;
	json_error_t error;
	int code;

	if (args->n_positional > 1) {
		params = json_loads(args->positional[1], JSON_REJECT_DUPLICATES, &error);
		if (!params)
			return cli_usage_error(cli, "parameters: %s at column %d", error.text,
					       error.column);
		if (!json_is_object(params)) {
			json_decref(params);
			return cli_usage_error(cli, "parameters: an object is needed, such as "
						    "'{\"name\": \"nvme0\"}'");
		}
	}
	code = cli_call(cli, args->positional[0], params, NULL, &result);
	return code ? code : cli_print_json(cli, result);
}

static const char *const rpc_examples[] = {
	"nvmux rpc rpc.discover",
	"nvmux rpc get_namespaces '{\"controller\": \"nvme0\"}'",
	NULL,
};

const struct cli_command cli_cmd_rpc = {
	.name = "rpc",
	.group = CLI_GROUP_RAW,
	.summary = "call any method of the daemon",
	.usage = "METHOD [JSON]",
	.description =
		"Calls METHOD with the parameters of the JSON object and prints the result as "
		"JSON. The method rpc.discover describes all methods. Descriptors that come with a "
		"result are closed, and everything that the call opened ends with the connection.",
	.examples = rpc_examples,
	.min_args = 1,
	.max_args = 2,
	.run = run_rpc,
};
