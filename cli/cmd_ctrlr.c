// SPDX-License-Identifier: BSD-3-Clause
/* probe, detach, reset: which controllers there are, and which the daemon has. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ctrlr_opts.h"
#include "cli/table.h"
#include "cli/target.h"
#include "cli/verb.h"

static const struct cli_option probe_options[] = {
	CLI_TRID_OPTIONS('n'),
	{0},
};

static const char *const probe_examples[] = {
	"nvmux probe",
	"nvmux probe -t pcie -o json",
	"nvmux probe -t vfio-user -a /run/emulator/nvme0",
#ifdef NVMUX_HAVE_RDMA
	"nvmux probe -t rdma -a 192.168.77.1",
#endif
	NULL,
};

/* The transport id and the host of the options as parameters; empty when none was given. */
static int probe_params(struct cli *cli, const struct cli_args *args, json_t **ret)
{
	struct nvmux_ctrlr_opts opts;
	struct nvmux_trid trid = {0};
	char why[512];

	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	if (cli_trid_from_args(args, &trid, why, sizeof(why)) ||
	    cli_ctrlr_opts_from_args(args, &trid, &opts, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	*ret = cli_has_trid(args) ? cli_trid_to_json(&trid) : json_object();
	cli_ctrlr_opts_to_json(args, &opts, *ret);
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
	char where[320];
	size_t i;

	if (!json_array_size(result)) {
		puts("nothing found");
		return;
	}
	table = cli_table_new(columns);
	json_array_foreach(result, i, entry)
	{
		struct cli_line *line = cli_table_line(table, NULL);
		const char *name = cli_json_string(entry, "name");

		cli_line_add(line, "%s", cli_transport_of(entry));
		cli_line_add(line, "%s", cli_address_of(entry, where, sizeof(where)));
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

	code = probe_params(cli, args, &params);
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
		"and which driver each is bound to; with the address of an NVMe/RDMA discovery "
		"service, the subsystems that it reports. Nothing is attached.",
	.options = probe_options,
	.examples = probe_examples,
	.run = run_probe,
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

/* A controller of this process is attached, and reset with the library's own function. */
static int reset_here(struct cli *cli, const struct cli_args *args,
		      int (*reset)(struct nvmux_ctrlr *), const char *done)
{
	struct cli_device dev;
	int err, code;

	code = cli_device_open(cli, args, 0, &dev);
	if (!code) {
		err = reset(dev.ctrlr);
		code = err ? cli_device_error(&dev, cli->command->name, err)
			   : cli_report(&dev, NULL, "%s", done);
	}
	cli_device_close(&dev);
	return code;
}

/* One of the daemon: that is the daemon's to do. */
static int reset_by(struct cli *cli, const struct cli_args *args, const char *method,
		    int (*reset)(struct nvmux_ctrlr *), const char *done)
{
	if (cli_has_trid(args))
		return reset_here(cli, args, reset, done);
	if (!args->n_positional)
		return cli_usage_error(cli, "which controller? CTRL, or -t and -a");
	return call_by_name(cli, args, method, done);
}

static int run_reset(struct cli *cli, const struct cli_args *args)
{
	return reset_by(cli, args, "reset_controller", nvmux_ctrlr_reset, "reset");
}

static int run_subsystem_reset(struct cli *cli, const struct cli_args *args)
{
	int code = cli_confirm(cli, args,
			       "every controller of the subsystem loses its queues, other hosts' "
			       "too");

	return code ? code
		    : reset_by(cli, args, "reset_subsystem", nvmux_ctrlr_reset_subsystem,
			       "subsystem reset");
}

static const char *const detach_examples[] = {"nvmux detach nvme0", NULL};
static const char *const reset_examples[] = {"nvmux reset nvme0", NULL};
static const char *const subsystem_reset_examples[] = {"nvmux subsystem-reset nvme0", NULL};

static const struct cli_option reset_options[] = {CLI_DEVICE_OPTIONS, {0}};
static const struct cli_option subsystem_reset_options[] = {
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

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
	.summary = "reset a controller",
	.usage = CLI_DEVICE_USAGE,
	.description =
		"Disables and enables the controller and connects its queue pairs again. Clients "
		"keep theirs. Commands in flight end with Command Aborted due to SQ Deletion; over "
		"a fabric they are repeated, as after a loss of the connection.\n\n"
		"Needs the admin right.",
	.options = reset_options,
	.examples = reset_examples,
	.max_args = 1,
	.run = run_reset,
};

const struct cli_command cli_cmd_subsystem_reset = {
	.name = "subsystem-reset",
	.summary = "reset all controllers of a subsystem",
	.usage = CLI_DEVICE_USAGE " [--force]",
	.description =
		"NVM Subsystem Reset, where the controller offers it (CAP.NSSRS). Every controller "
		"of the subsystem loses its queues; for clients of this one it is as nvmux reset. "
		"It "
		"asks first; where nobody can be asked, --force is needed.\n\n"
		"Needs the admin right.",
	.options = subsystem_reset_options,
	.examples = subsystem_reset_examples,
	.max_args = 1,
	.run = run_subsystem_reset,
};
