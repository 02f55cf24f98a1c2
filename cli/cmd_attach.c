// SPDX-License-Identifier: BSD-3-Clause
/*
 * attach: have the daemon take one controller, or every subsystem that a discovery service reports.
 *
 * Happy path of --all: discover → the records that are NVMe subsystems over a transport that we
 * have → what is attached already, as the daemon says with each record, is passed over → one
 * attach_controller after the other. Failures: the discovery's ends the command; one of a record is
 * reported, and the others go on; records that the daemon left out are reported as a failure.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/ctrlr_opts.h"
#include "cli/discover.h"
#include "cli/target.h"

/* What attach_controller gets in any case: all options but the transport id. */
static int common_params(struct cli *cli, const struct cli_args *args,
			 const struct nvmux_trid *trid, json_t *params)
{
	struct nvmux_ctrlr_opts opts;
	char why[512];

	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	if (cli_ctrlr_opts_from_args(args, trid, &opts, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	cli_ctrlr_opts_to_json(args, &opts, params);
	return CLI_OK;
}

static void print_attached(const json_t *result)
{
	const json_t *namespaces = json_object_get(result, "namespaces"), *nsid;
	size_t i;

	printf("%s: attached, %s", cli_json_string(result, "name"),
	       json_array_size(namespaces) ? "namespaces" : "no namespace");
	json_array_foreach(namespaces, i, nsid)
		printf("%s%lld", i ? ", " : " ", (long long)json_integer_value(nsid));
	putchar('\n');
}

static int attach_one(struct cli *cli, const struct cli_args *args)
{
	const char *name = cli_args_get(args, "name");
	CLI_JSON *result = NULL;
	struct nvmux_trid trid;
	json_t *params;
	char why[512];
	int code;

	if (cli_trid_of_one(args, &trid, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	params = cli_trid_to_json(&trid);
	if (name)
		json_object_set_new(params, "name", json_string(name));
	code = common_params(cli, args, &trid, params);
	if (code) {
		json_decref(params);
		return code;
	}
	code = cli_call(cli, "attach_controller", params, NULL, &result);
	if (code)
		return code;
	if (cli->json)
		return cli_print_json(cli, result);
	print_attached(result);
	return CLI_OK;
}

/* Attach what a record describes; say how it went in @entry. */
static bool attach_record(struct cli *cli, const json_t *options, json_t *entry)
{
	json_t *params = json_deep_copy(options);
	CLI_JSON *result = NULL;
	char why[512];

	json_object_update(params, entry);
	if (cli_try(cli, "attach_controller", params, &result, why, sizeof(why))) {
		json_object_set_new(entry, "state", json_string("failed"));
		json_object_set_new(entry, "error", json_string(why));
		cli_error(cli, "%s: %s", cli_json_string(entry, "subnqn"), why);
		return false;
	}
	json_object_update(entry, result);
	json_object_set_new(entry, "state", json_string("attached"));
	if (!cli->json)
		print_attached(result);
	return true;
}

/* What --all is about. */
struct wanted {
	struct nvmux_trid service;
	char nqn[NVMUX_NQN_MAX]; /* only subsystems of this name; "": all */
};

static bool is_wanted(const json_t *record, const struct wanted *wanted)
{
	return discover_is_subsystem(record) &&
	       (!wanted->nqn[0] || !strcmp(cli_json_string(record, "subnqn"), wanted->nqn));
}

/* Where a record's subsystem is, seen from the same place of this host as the discovery service.
 * False: it isn't wanted, or can't be reached by any transport here. */
static bool trid_of_record(const json_t *record, const struct wanted *wanted,
			   struct nvmux_trid *ret)
{
	if (!is_wanted(record, wanted) || !cli_trid_from_json(record, ret) ||
	    ret->trtype != wanted->service.trtype)
		return false;
	nvmux_trid_take_source(ret, &wanted->service);
	return true;
}

/* Take the records one by one. Returns how many failed; @done gets an entry for each. */
static unsigned attach_records(struct cli *cli, const json_t *records, const struct wanted *wanted,
			       const json_t *options, json_t *done)
{
	unsigned total = 0, at = 0, failed = 0;
	struct nvmux_trid trid;
	const json_t *record;
	char where[320];
	size_t i;

	json_array_foreach(records, i, record)
		total += trid_of_record(record, wanted, &trid);
	json_array_foreach(records, i, record) {
		const char *name = cli_json_string(record, "name");
		json_t *entry;

		if (!trid_of_record(record, wanted, &trid))
			continue;
		entry = cli_trid_to_json(&trid);
		fprintf(stderr, "%u of %u: %s at %s%s%s\n", ++at, total, trid.subnqn,
			cli_address_of(entry, where, sizeof(where)),
			*name ? ": attached already, as " : "", name);
		if (*name) {
			json_object_set_new(entry, "name", json_string(name));
			json_object_set_new(entry, "state", json_string("attached already"));
		} else {
			failed += !attach_record(cli, options, entry);
		}
		json_array_append_new(done, entry);
	}
	return failed;
}

/* Why there was nothing to attach. */
static void print_nothing(const json_t *records, const struct wanted *wanted)
{
	const json_t *record;
	bool others = false;
	size_t i;

	json_array_foreach(records, i, record)
		others = others || is_wanted(record, wanted);
	printf("no subsystem %s%sis reported there%s\n", wanted->nqn, wanted->nqn[0] ? " " : "",
	       others ? " by a transport that this build has" : "");
}

static int attach_all(struct cli *cli, const struct cli_args *args)
{
	CLI_JSON *log = NULL, *options = json_object(), *done = json_array();
	struct wanted wanted;
	json_int_t left_out;
	unsigned failed;
	int code;

	if (cli_args_get(args, "name"))
		return cli_usage_error(cli, "--name is for one controller; --all takes the next "
					    "free names");
	code = discover_trid(cli, args, &wanted.service);
	if (code)
		return code;
	/* It chooses among the records; the discovery service goes by its usual name. */
	strcpy(wanted.nqn, wanted.service.subnqn);
	wanted.service.subnqn[0] = 0;
	code = common_params(cli, args, &wanted.service, options);
	if (!code)
		code = discover_call(cli, args, &wanted.service, &log);
	if (code)
		return code;
	failed = attach_records(cli, json_object_get(log, "records"), &wanted, options, done);
	left_out = cli_json_integer(log, "left_out");
	if (left_out)
		cli_error(cli,
			  "%lld more records didn't fit into the daemon's answer; what they "
			  "describe isn't attached",
			  (long long)left_out);
	if (cli->json)
		code = cli_print_json(cli, done);
	else if (!json_array_size(done))
		print_nothing(json_object_get(log, "records"), &wanted);
	return code ? code : failed || left_out ? CLI_FAILED : CLI_OK;
}

static int run_attach(struct cli *cli, const struct cli_args *args)
{
	if (!cli_has_trid(args))
		return cli_usage_error(cli, "which one? Give its transport id with -t and -a");
	return cli_args_get(args, "all") ? attach_all(cli, args) : attach_one(cli, args);
}

static const struct cli_option attach_options[] = {
	CLI_TRID_ROWS(CLI_TRANSPORT_HELP, CLI_TRADDR_HELP, 'n',
		      "NQN of the subsystem; with --all, attach only those that have it"),
	{"name", 'N', "NAME", "name for the controller (default nvme and the next free number)"},
	{"all", 0, NULL,
	 CLI_FABRICS("ask the discovery service at that address (-t rdma goes without saying), and "
		     "those that it refers to, and attach every subsystem that isn't attached")},
	CLI_CTRLR_OPTIONS,
	{0},
};

static const char *const attach_examples[] = {
	"nvmux attach -t pcie -a 0000:01:00.0",
	"nvmux attach -t vfio-user -a /run/emulator/nvme0 --name scratch",
#ifdef NVMUX_HAVE_RDMA
	"nvmux attach -t rdma -a 192.168.77.1 -s 4420 -n nqn.2024-01.org.example:disk",
	"nvmux attach --all -t rdma -a 192.168.77.1 -s 4420",
	"nvmux attach -t rdma -a fe80::1%eth2 -f eth2 -n nqn.2024-01.org.example:disk "
	"--ctrl-loss-tmo -1",
#endif
	NULL,
};

const struct cli_command cli_cmd_attach = {
	.name = "attach",
	.summary = "have the daemon take a controller",
	.usage = "-t TYPE -a ADDRESS [--name NAME] [--all] ...",
	.description =
		"The daemon attaches the controller and offers it to its clients under a name. A "
		"PCIe function must be bound to vfio-pci first: nvmux bind.\n\n"
		"Needs the admin right. Prints the name and the namespaces; with --all a line on "
		"standard error for each subsystem, and the exit code is 3 if one failed or the "
		"daemon left records out. -o json "
		"gives then an array with an entry for each: its transport id, state (attached, "
		"attached already, failed), name and namespaces, or error.",
	.options = attach_options,
	.examples = attach_examples,
	.run = run_attach,
};
