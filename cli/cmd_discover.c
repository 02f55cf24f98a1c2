// SPDX-License-Identifier: BSD-3-Clause
/*
 * discover: what a discovery service reports. discovery: services that the daemon stays connected
 * to.
 */
#include <string.h>

#include "cli/ctrlr_opts.h"
#include "cli/discover.h"
#include "cli/table.h"

int discover_trid(struct cli *cli, const struct cli_args *args, struct nvmux_trid *ret)
{
	char why[512];

	if (!cli_has_trid(args))
		return cli_usage_error(cli, "which discovery service? Give its address with -a");
	if (cli_trid_of_service(args, ret, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	if (ret->trtype != NVMUX_TRTYPE_RDMA)
		return cli_usage_error(cli, "--transport: %s has no discovery services: -t rdma",
				       cli_transport_name(ret->trtype));
	return CLI_OK;
}

bool discover_is_subsystem(const json_t *record)
{
	return !strcmp(cli_json_string(record, "subtype"), "nvme subsystem");
}

/* The transport id, the host and the connection that the options say; *@ret is a new reference. */
static int service_params(struct cli *cli, const struct cli_args *args,
			  const struct nvmux_trid *trid, json_t **ret)
{
	struct nvmux_ctrlr_opts opts;
	char why[512];

	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	if (cli_ctrlr_opts_from_args(args, trid, &opts, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	*ret = cli_trid_to_json(trid);
	cli_ctrlr_opts_to_json(args, &opts, *ret);
	return CLI_OK;
}

int discover_call(struct cli *cli, const struct cli_args *args, const struct nvmux_trid *trid,
		  json_t **ret)
{
	static const char *const keys[] = {"hostnqn", "hostid", "transport_ack_timeout"};
	CLI_JSON *params = NULL;
	json_t *asked;
	int code;

	code = service_params(cli, args, trid, &params);
	if (code)
		return code;
	/* attach --all has more options than this is about. */
	asked = cli_trid_to_json(trid);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (json_object_get(params, keys[i]))
			json_object_set(asked, keys[i], json_object_get(params, keys[i]));
	}
	return cli_call(cli, "discover", asked, NULL, ret);
}

static void print_member(const json_t *record, const char *key, int width)
{
	const json_t *value = json_object_get(record, key);
	char label[32], text[512];

	if (!value)
		return;
	snprintf(label, sizeof(label), "%s:", key);
	printf("%-*s ", width, label);
	if (json_is_integer(value))
		printf("%lld\n", (long long)json_integer_value(value));
	else
		puts(cli_printable(json_string_value(value) ? json_string_value(value) : "", text,
				   sizeof(text)));
}

/* As nvme discover prints it; then how many referrals led there, and what it is attached as. */
static void print_log(const json_t *log)
{
	static const char *const keys[] = {"trtype",  "adrfam", "subtype", "treq",  "portid",
					   "trsvcid", "subnqn", "traddr",  "eflags"};
	static const char *const rdma_keys[] = {"rdma_prtype", "rdma_qptype", "rdma_cms"};
	const json_t *records = json_object_get(log, "records"), *record;
	size_t i;

	printf("Discovery Log Number of Records %zu, Generation counter %lld\n",
	       json_array_size(records), (long long)cli_json_integer(log, "genctr"));
	json_array_foreach(records, i, record) {
		printf("=====Discovery Log Entry %zu======\n", i);
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			print_member(record, keys[k], 8);
		for (size_t k = 0; k < sizeof(rdma_keys) / sizeof(rdma_keys[0]); k++)
			print_member(record, rdma_keys[k], k == 2 ? 12 : 0);
		if (json_object_get(record, "rdma_pkey"))
			printf("rdma_pkey: 0x%04llx\n",
			       (long long)cli_json_integer(record, "rdma_pkey"));
		if (cli_json_integer(record, "depth"))
			print_member(record, "depth", 8);
		print_member(record, "name", 8);
	}
	if (cli_json_integer(log, "left_out"))
		printf("%lld more records didn't fit into the answer\n",
		       (long long)cli_json_integer(log, "left_out"));
}

static int run_discover(struct cli *cli, const struct cli_args *args)
{
	CLI_JSON *log = NULL;
	struct nvmux_trid trid;
	int code;

	code = discover_trid(cli, args, &trid);
	if (!code)
		code = discover_call(cli, args, &trid, &log);
	if (code)
		return code;
	if (cli->json)
		return cli_print_json(cli, log);
	print_log(log);
	return CLI_OK;
}

static const struct cli_option discover_options[] = {
	CLI_SERVICE_OPTIONS,
	{"transport-ack-timeout", 0, "N", CLI_FABRICS("as of nvmux attach")},
	{"keep-alive-tmo", 'k', "SEC",
	 CLI_FABRICS("taken as nvme discover takes it, and not used: the connection ends when the "
		     "log page has been read")},
	{0},
};

static const char *const discover_examples[] = {
	"nvmux discover -a 192.168.77.1",
	"nvmux discover -t rdma -a 192.168.77.1 -s 4420 -w 192.168.77.2 -o json",
	"nvmux discover -t rdma -a fe80::1%eth2 -q nqn.2024-01.org.example:this-host",
	NULL,
};

const struct cli_command cli_cmd_discover = {
	.name = "discover",
	.summary = "show the subsystems that a discovery service reports",
	.usage = "[-t rdma] -a ADDRESS [-s SERVICE] [-n NQN] [-w ADDRESS] [-f NAME] [-q NQN] "
		 "[-I UUID]",
	.description =
		"The daemon connects to the discovery service, reads its log page and those of the "
		"services that it refers to, and disconnects. Records come in the order in which "
		"they were found, laid out as by nvme discover; then depth, if any, the number of "
		"referrals that led there, and the name of a controller that is attached. Which "
		"records a service shows may depend on the host's NQN.\n\n"
		"Needs the admin right. -o json gives {genctr, records} with nvme-cli's keys.",
	.options = discover_options,
	.examples = discover_examples,
	.run = run_discover,
};

static int start(struct cli *cli, const struct cli_args *args, const char *name)
{
	CLI_JSON *result = NULL;
	json_t *params = NULL;
	struct nvmux_trid trid;
	int code;

	code = discover_trid(cli, args, &trid);
	if (!code)
		code = service_params(cli, args, &trid, &params);
	if (code)
		return code;
	json_object_set_new(params, "name", json_string(name));
	if (cli_args_get(args, "attach"))
		json_object_set_new(params, "attach", json_true());
	code = cli_call(cli, "start_discovery", params, NULL, &result);
	if (code)
		return code;
	if (cli->json)
		return cli_print_json(cli, result);
	printf("%s: started\n", name);
	return CLI_OK;
}

static int stop(struct cli *cli, const struct cli_args *args, const char *name)
{
	CLI_JSON *result = NULL;
	int code;

	code = cli_call(cli, "stop_discovery", json_pack("{s:s}", "name", name), NULL, &result);
	if (code)
		return code;
	if (cli->json)
		return cli_print_json(cli, result);
	printf("%s: stopped\n", name);
	return CLI_OK;
}

static int list(struct cli *cli, const struct cli_args *args, const char *name)
{
	static const struct cli_column columns[] = {
		{"NAME", 0},
		{"SERVICE", CLI_COLUMN_TRUNC},
		{"STATE", 0},
		{"RECORDS", CLI_COLUMN_RIGHT},
		{"GENERATION", CLI_COLUMN_RIGHT},
		{"ATTACH", 0},
		{"LAST FAILURE", CLI_COLUMN_TRUNC},
		{0},
	};
	CLI_JSON *result = NULL;
	struct cli_table *table;
	const json_t *entry;
	char where[320];
	size_t i;
	int code;

	code = cli_call(cli, "get_discovery", NULL, NULL, &result);
	if (code)
		return code;
	if (cli->json)
		return cli_print_json(cli, result);
	if (!json_array_size(result)) {
		puts("no discovery services");
		return CLI_OK;
	}
	table = cli_table_new(columns);
	json_array_foreach(result, i, entry) {
		struct cli_line *line = cli_table_line(table, NULL);
		const json_t *records = json_object_get(entry, "records");
		const json_t *n_records = json_object_get(entry, "n_records");

		cli_line_add(line, "%s", cli_json_string(entry, "name"));
		cli_line_add(line, "%s %s", cli_transport_of(entry),
			     cli_address_of(entry, where, sizeof(where)));
		cli_line_add(line, "%s", cli_json_string(entry, "state"));
		if (json_is_integer(json_object_get(entry, "genctr"))) {
			/* One answer may not hold the records of all services. */
			cli_line_add(line, "%lld",
				     json_is_integer(n_records)
					     ? (long long)json_integer_value(n_records)
					     : (long long)json_array_size(records));
			cli_line_add(line, "%lld", (long long)cli_json_integer(entry, "genctr"));
		} else {
			cli_line_add(line, "%s", "-"); /* not read yet */
			cli_line_add(line, "%s", "-");
		}
		cli_line_add(line, "%s",
			     json_is_true(json_object_get(entry, "attach")) ? "yes" : "no");
		cli_line_add(line, "%s",
			     cli_json_string(json_object_get(entry, "connection"), "reason"));
	}
	cli_table_print(table);
	return CLI_OK;
}

static const struct {
	const char *word;
	int args;
	bool takes_options;
	int (*run)(struct cli *cli, const struct cli_args *args, const char *name);
} verbs[] = {
	{"start", 2, true, start},
	{"stop", 2, false, stop},
	{"list", 1, false, list},
};

static bool any_option(const struct cli_args *args)
{
	for (const struct cli_option *o = args->command->options; o->name; o++) {
		if (cli_args_get(args, o->name))
			return true;
	}
	return false;
}

static int run_discovery(struct cli *cli, const struct cli_args *args)
{
	const char *word = args->positional[0];

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].word, word))
			continue;
		if (args->n_positional < verbs[i].args)
			return cli_usage_error(cli, "%s: which one? Name it", word);
		if (args->n_positional > verbs[i].args)
			return cli_usage_error(cli, "unexpected argument \"%s\"",
					       args->positional[verbs[i].args]);
		if (!verbs[i].takes_options && any_option(args))
			return cli_usage_error(cli, "%s takes no options of its own", word);
		return verbs[i].run(cli, args, args->positional[1]);
	}
	return cli_usage_error(cli, "\"%s\" isn't one of start, stop, list", word);
}

static const struct cli_option discovery_options[] = {
	CLI_SERVICE_OPTIONS,
	{"attach", 0, NULL,
	 CLI_FABRICS("attach the subsystems that it reports, now and later, as NAME-0, NAME-1, "
		     "...")},
	CLI_CTRLR_OPTIONS,
	{0},
};

static const char *const discovery_examples[] = {
	"nvmux discovery start site -t rdma -a 192.168.77.1 --attach",
	"nvmux discovery list",
	"nvmux discovery stop site",
	NULL,
};

const struct cli_command cli_cmd_discovery = {
	.name = "discovery",
	.summary = "have the daemon stay connected to discovery services",
	.usage = "start NAME [-t rdma] -a ADDRESS [-s SERVICE] [--attach] ... | stop NAME | list",
	.description =
		"start: the daemon connects to a discovery service, keeps the connection alive, "
		"and reads the log page again whenever the service says that it has changed: event "
		"discovery_changed of nvmux events. With --attach it attaches the subsystems that "
		"it finds; the options of connections are those of nvmux attach, and hold for the "
		"service and for what is attached.\n\n"
		"stop: disconnect from the service. Controllers that were attached stay.\n\n"
		"list: the services, the state of each connection, and how many records the last "
		"log page had. -o json gives the result of get_discovery, with the records.\n\n"
		"start and stop need the admin right. To have it at every start of the daemon, put "
		"a section [discovery NAME] into its configuration.",
	.options = discovery_options,
	.examples = discovery_examples,
	.min_args = 1,
	.max_args = 2,
	.run = run_discovery,
};
