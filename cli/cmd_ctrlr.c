// SPDX-License-Identifier: BSD-3-Clause
/* probe, attach, detach, reset: which controllers there are, and which the daemon has. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "cli/target.h"

static const struct cli_option probe_options[] = {
	CLI_TRID_OPTIONS('n'),
	{0},
};

static const char *const probe_examples[] = {
	"nvmux probe",
	"nvmux probe -t pcie -o json",
	"nvmux probe -t vfio-user -a /run/emulator/nvme0",
	NULL,
};

/* The transport id of the options as parameters; empty when none was given. */
static int trid_params(struct cli *cli, const struct cli_args *args, json_t **ret)
{
	struct nvmux_trid trid;
	char why[512];

	if (!cli_has_trid(args)) {
		*ret = json_object();
		return CLI_OK;
	}
	if (cli_trid_from_args(args, &trid, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	*ret = cli_trid_to_json(&trid);
	return CLI_OK;
}

static void print_probe(const json_t *result)
{
	static const struct cli_column columns[] = {
		{"TRANSPORT", 0}, {"ADDRESS", 0}, {"SUBSYSTEM", CLI_COLUMN_TRUNC},
		{"DRIVER", 0},    {"STATE", 0},   {0},
	};
	struct cli_table *table;
	const json_t *entry;
	size_t i;

	if (!json_array_size(result)) {
		puts("nothing found");
		return;
	}
	table = cli_table_new(columns);
	json_array_foreach(result, i, entry) {
		struct cli_line *line = cli_table_line(table, NULL);
		const char *service = cli_json_string(entry, "trsvcid");
		const char *name = cli_json_string(entry, "name");

		cli_line_add(line, "%s", cli_transport_of(entry));
		cli_line_add(line, "%s%s%s", cli_json_string(entry, "traddr"), *service ? " " : "",
			     service);
		cli_line_add(line, "%s", cli_json_string(entry, "subnqn"));
		cli_line_add(line, "%s", cli_json_string(entry, "driver"));
		if (*name)
			cli_line_add(line, "attached as %s", name);
		else if (json_is_true(json_object_get(entry, "attachable")))
			cli_line_add(line, "can be attached");
		else
			cli_line_add(line, "needs nvmux bind");
	}
	cli_table_print(table);
}

static int run_probe(struct cli *cli, const struct cli_args *args)
{
	CLI_JSON *result = NULL;
	json_t *params = NULL;
	int code;

	code = trid_params(cli, args, &params);
	if (!code)
		code = cli_call(cli, "probe", params, NULL, &result);
	if (code)
		return code;
	if (cli->json)
		return cli_print_json(cli, result);
	print_probe(result);
	return CLI_OK;
}

const struct cli_command cli_cmd_probe = {
	.name = "probe",
	.summary = "show the controllers that the daemon can find",
	.usage = "[-t TYPE [-a ADDRESS] ...]",
	.description =
		"Enumerates what a transport id names; without options, the local NVMe functions "
		"and which driver each is bound to. Nothing is attached.",
	.options = probe_options,
	.examples = probe_examples,
	.run = run_probe,
};

static const struct cli_option attach_options[] = {
	CLI_TRID_OPTIONS('n'),
	{"hostid", 'I', "UUID", NULL},
	{"name", 'N', "NAME", "name for the controller (default nvme and the next free number)"},
	{"nr-io-queues", 'i', "COUNT", "I/O queue pairs to ask the controller for"},
	{"queue-size", 'Q', "COUNT", "entries of an I/O queue"},
	{0},
};

static const char *const attach_examples[] = {
	"nvmux attach -t pcie -a 0000:01:00.0",
	"nvmux attach -t vfio-user -a /run/emulator/nvme0 --name scratch",
	NULL,
};

static int attach_params(struct cli *cli, const struct cli_args *args, json_t **ret)
{
	const char *name = cli_args_get(args, "name");
	uint64_t queues = 0, entries = 0;
	char why[512];
	int code;

	if (!cli_has_trid(args))
		return cli_usage_error(cli, "which one? Give its transport id with -t and -a");
	if (cli_args_number(args, "nr-io-queues", 1, 65535, &queues, why, sizeof(why)) ||
	    cli_args_number(args, "queue-size", 2, 65536, &entries, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	code = trid_params(cli, args, ret);
	if (code)
		return code;
	if (name)
		json_object_set_new(*ret, "name", json_string(name));
	if (queues)
		json_object_set_new(*ret, "num_io_queues", json_integer((json_int_t)queues));
	if (entries)
		json_object_set_new(*ret, "io_queue_depth", json_integer((json_int_t)entries));
	return CLI_OK;
}

static int run_attach(struct cli *cli, const struct cli_args *args)
{
	CLI_JSON *result = NULL;
	const json_t *namespaces, *nsid;
	json_t *params = NULL;
	size_t i;
	int code;

	code = attach_params(cli, args, &params);
	if (!code)
		code = cli_call(cli, "attach_controller", params, NULL, &result);
	if (code)
		return code;
	if (cli->json)
		return cli_print_json(cli, result);
	namespaces = json_object_get(result, "namespaces");
	printf("%s: attached, %s", cli_json_string(result, "name"),
	       json_array_size(namespaces) ? "namespaces" : "no namespace");
	json_array_foreach(namespaces, i, nsid)
		printf("%s%lld", i ? ", " : " ", (long long)json_integer_value(nsid));
	putchar('\n');
	return CLI_OK;
}

const struct cli_command cli_cmd_attach = {
	.name = "attach",
	.summary = "have the daemon take a controller",
	.usage = "-t TYPE -a ADDRESS [--name NAME] ...",
	.description =
		"The daemon attaches the controller and offers it to its clients under a name. A "
		"PCIe function must be bound to vfio-pci first: nvmux bind.\n\n"
		"Needs the admin right. Prints the name and the namespaces.",
	.options = attach_options,
	.examples = attach_examples,
	.run = run_attach,
};

/* A method whose only parameter is a controller's name. */
static int call_by_name(struct cli *cli, const struct cli_args *args, const char *method,
			const char *done)
{
	CLI_JSON *result = NULL;
	const char *name = args->positional[0];
	int code;

	code = cli_call(cli, method, json_pack("{s:s}", "name", name), name, &result);
	if (code)
		return code;
	if (cli->json)
		return cli_print_json(cli, result);
	printf("%s: %s\n", name, done);
	return CLI_OK;
}

static int run_detach(struct cli *cli, const struct cli_args *args)
{
	return call_by_name(cli, args, "detach_controller", "detached");
}

static int run_reset(struct cli *cli, const struct cli_args *args)
{
	return call_by_name(cli, args, "reset_controller", "reset");
}

static const char *const detach_examples[] = {"nvmux detach nvme0", NULL};
static const char *const reset_examples[] = {"nvmux reset nvme0", NULL};

const struct cli_command cli_cmd_detach = {
	.name = "detach",
	.summary = "have the daemon give a controller back",
	.usage = "CTRL",
	.description =
		"The controller is shut down in an orderly way. While clients have queue pairs of "
		"it, the daemon refuses and says who they are.\n\n"
		"Needs the admin right.",
	.examples = detach_examples,
	.min_args = 1,
	.max_args = 1,
	.run = run_detach,
};

const struct cli_command cli_cmd_reset = {
	.name = "reset",
	.summary = "reset a controller of the daemon",
	.usage = "CTRL",
	.description = "Disables and enables the controller and connects its queue pairs again. "
		       "Clients keep theirs.\n\nNeeds the admin right.",
	.examples = reset_examples,
	.min_args = 1,
	.max_args = 1,
	.run = run_reset,
};
