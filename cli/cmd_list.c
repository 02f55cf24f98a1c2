// SPDX-License-Identifier: BSD-3-Clause
/* list: controllers, their namespaces and queue pairs, and whose these are. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/connection.h"
#include "cli/table.h"
#include "cli/target.h"

static const struct cli_column columns[] = {
	{"NAME", CLI_COLUMN_TREE}, {"STATE", 0},
	{"SIZE", CLI_COLUMN_RIGHT}, {"DETAILS", CLI_COLUMN_TRUNC}, {0},
};

/* With -v nothing is cut. */
static const struct cli_column columns_verbose[] = {
	{"NAME", CLI_COLUMN_TREE}, {"STATE", 0},
	{"SIZE", CLI_COLUMN_RIGHT}, {"DETAILS", CLI_COLUMN_WRAP}, {0},
};

struct view {
	struct cli_table *table;
	const json_t *clients;
	bool verbose;
};

/* A line about a controller that is neither a namespace nor a queue pair; without details, none. */
static void add_fact(const struct view *v, struct cli_line *parent, const char *what,
		     const char *state, const char *details)
{
	struct cli_line *line;

	if (!*details)
		return;
	line = cli_table_line(v->table, parent);
	cli_line_add(line, "%s", what);
	cli_line_add(line, "%s", state);
	cli_line_add(line, "%s", "");
	cli_line_add(line, "%s", details);
}

/* The ANA state of a namespace; "" when there is none. */
static const char *ana_state(const json_t *ns)
{
	const char *state = cli_json_string(ns, "ana_state");

	return strcmp(state, "none") ? state : "";
}

static void add_identity(const struct view *v, struct cli_line *line, const json_t *ns)
{
	const char *uuid = cli_json_string(ns, "uuid"), *nguid = cli_json_string(ns, "nguid");
	char group[48];

	snprintf(group, sizeof(group), "ANA group %lld",
		 (long long)cli_json_integer(ns, "ana_group"));
	if (*ana_state(ns))
		add_fact(v, line, "access", ana_state(ns), group);
	add_fact(v, line, "uuid", "", uuid);
	if (!*uuid)
		add_fact(v, line, "nguid", "", nguid);
}

static void add_namespace(const struct view *v, struct cli_line *parent, const char *ctrlr,
			  const json_t *ns)
{
	struct cli_table *table = v->table;
	struct cli_line *line = cli_table_line(table, parent);
	int64_t metadata = cli_json_integer(ns, "metadata_size");
	int64_t csi = cli_json_integer(ns, "csi");
	const char *set = csi == 0 ? "" : csi == 2 ? ", zoned" : ", another command set";
	bool tell = !v->verbose && *ana_state(ns) && strcmp(ana_state(ns), "optimized");
	char size[32], md[48] = "";

	if (metadata)
		snprintf(md, sizeof(md), " + %lld B of metadata", (long long)metadata);
	cli_line_add(line, "%s/%lld", ctrlr, (long long)cli_json_integer(ns, "nsid"));
	cli_line_add(line, "%s", "namespace");
	cli_line_add(line, "%s",
		     cli_format_size((uint64_t)cli_json_integer(ns, "size"), size, sizeof(size)));
	cli_line_add(line, "%lld blocks of %lld B%s%s%s%s",
		     (long long)cli_json_integer(ns, "blocks"),
		     (long long)cli_json_integer(ns, "block_size"), md, set, tell ? ", " : "",
		     tell ? ana_state(ns) : "");
	if (v->verbose)
		add_identity(v, line, ns);
}

static const json_t *find_client(const json_t *clients, int64_t id)
{
	const json_t *client;
	size_t i;

	json_array_foreach(clients, i, client) {
		if (cli_json_integer(client, "client") == id)
			return client;
	}
	return NULL;
}

static void add_client(const struct view *v, struct cli_line *parent, int64_t id)
{
	const json_t *client = find_client(v->clients, id);
	struct cli_line *line = cli_table_line(v->table, parent);

	cli_line_add(line, "client %lld", (long long)id);
	cli_line_add(line, "%s", client ? "connected" : "");
	cli_line_add(line, "%s", "");
	if (client)
		cli_line_add(line, "%s, pid %lld, uid %lld", cli_json_string(client, "command"),
			     (long long)cli_json_integer(client, "pid"),
			     (long long)cli_json_integer(client, "uid"));
}

static void add_qpair(const struct view *v, struct cli_line *parent, const json_t *qpair)
{
	struct cli_line *line = cli_table_line(v->table, parent);
	int64_t core = cli_json_integer(qpair, "core");
	char count[32], where[32] = "not pinned";

	if (core >= 0)
		snprintf(where, sizeof(where), "core %lld", (long long)core);
	cli_line_add(line, "qpair %lld", (long long)cli_json_integer(qpair, "qpair"));
	cli_line_add(line, "%s", json_is_true(json_object_get(qpair, "shared")) ? "shared" : "own");
	cli_line_add(line, "%s", "");
	cli_line_add(line, "%s, depth %lld, %lld in flight, %s commands", where,
		     (long long)cli_json_integer(qpair, "depth"),
		     (long long)cli_json_integer(qpair, "in_flight"),
		     cli_format_count((double)cli_json_integer(qpair, "commands"), count,
				      sizeof(count)));
	add_client(v, line, cli_json_integer(qpair, "client"));
}

/* Who is connected to what, and how that is going. */
static void add_connection(const struct view *v, struct cli_line *parent, const json_t *ctrlr)
{
	const json_t *connection = json_object_get(ctrlr, "connection");
	const char *from = cli_json_string(ctrlr, "host_traddr");
	const char *iface = cli_json_string(ctrlr, "host_iface");
	char text[512];

	if (cli_connection_is_told(ctrlr)) {
		add_fact(v, parent, "connection", cli_json_string(connection, "state"),
			 cli_connection_text(connection, text, sizeof(text)));
		add_fact(v, parent, "deadlines", "",
			 cli_connection_deadlines(connection, text, sizeof(text)));
		add_fact(v, parent, "reason", "", cli_json_string(connection, "reason"));
	}
	add_fact(v, parent, "subsystem", "", cli_json_string(ctrlr, "subnqn"));
	if (strcmp(cli_json_string(ctrlr, "trtype"), "RDMA"))
		return;
	add_fact(v, parent, "host", "", cli_json_string(ctrlr, "hostnqn"));
	snprintf(text, sizeof(text), "%s%s%s", from, *from && *iface ? ", interface " : "", iface);
	add_fact(v, parent, "from", "", text);
}

/* What it is, with -v in a line of its own: together that would be too long. */
static void add_device(const struct view *v, struct cli_line *parent, const json_t *ctrlr)
{
	const json_t *queues = json_object_get(ctrlr, "io_queues");
	const json_t *node = json_object_get(ctrlr, "numa_node");
	char text[256] = "";

	if (!queues)
		return;
	snprintf(text, sizeof(text), "%s, firmware %s", cli_json_string(ctrlr, "model"),
		 cli_json_string(ctrlr, "firmware"));
	add_fact(v, parent, "model", "", text);
	add_fact(v, parent, "serial", "", cli_json_string(ctrlr, "serial"));
	snprintf(text, sizeof(text), "%lld of %lld used",
		 (long long)cli_json_integer(queues, "used"),
		 (long long)cli_json_integer(queues, "granted"));
	add_fact(v, parent, "I/O queues", "", text);
	if (!node || json_integer_value(node) < 0)
		return;
	snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(node));
	add_fact(v, parent, "NUMA node", "", text);
}

static void add_controller(const struct view *v, const json_t *ctrlr)
{
	struct cli_line *line = cli_table_line(v->table, NULL);
	const json_t *queues = json_object_get(ctrlr, "io_queues");
	const char *name = cli_json_string(ctrlr, "name");
	char identity[256] = "", where[320];
	const json_t *entry;
	size_t i;

	/* While it is being attached all this isn't known yet. */
	if (queues && !v->verbose)
		snprintf(identity, sizeof(identity), ", %s, serial %s, %lld of %lld queues used",
			 cli_json_string(ctrlr, "model"), cli_json_string(ctrlr, "serial"),
			 (long long)cli_json_integer(queues, "used"),
			 (long long)cli_json_integer(queues, "granted"));
	cli_line_add(line, "%s", name);
	cli_line_add(line, "%s", cli_connection_state(ctrlr));
	cli_line_add(line, "%s", "");
	cli_line_add(line, "%s %s%s", cli_transport_of(ctrlr),
		     cli_address_of(ctrlr, where, sizeof(where)), identity);
	if (v->verbose) {
		add_connection(v, line, ctrlr);
		add_device(v, line, ctrlr);
	}
	json_array_foreach(json_object_get(ctrlr, "namespaces"), i, entry)
		add_namespace(v, line, name, entry);
	json_array_foreach(json_object_get(ctrlr, "qpairs"), i, entry)
		add_qpair(v, line, entry);
}

static int by_name(const void *a, const void *b)
{
	/* nvme2 before nvme10 */
	return strverscmp(cli_json_string(*(json_t *const *)a, "name"),
			  cli_json_string(*(json_t *const *)b, "name"));
}

/* The entries of a list in the order of their names. New reference. */
static json_t *sorted(json_t *list)
{
	size_t n = json_array_size(list);
	json_t **entries = calloc(n + 1, sizeof(*entries));
	json_t *result;

	if (!entries)
		return json_incref(list);
	for (size_t i = 0; i < n; i++)
		entries[i] = json_array_get(list, i);
	qsort(entries, n, sizeof(*entries), by_name);
	result = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append(result, entries[i]);
	free(entries);
	return result;
}

static int run_list(struct cli *cli, const struct cli_args *args)
{
	CLI_JSON *list = NULL, *result = NULL, *clients = NULL;
	const char *name = args->n_positional ? args->positional[0] : NULL;
	struct view view = {.verbose = cli_args_get(args, "verbose")};
	const json_t *ctrlr;
	size_t i;
	int code;

	code = cli_call(cli, "get_controllers", name ? json_pack("{s:s}", "name", name) : NULL,
			name, &list);
	if (code)
		return code;
	result = sorted(list);
	if (cli->json)
		return cli_print_json(cli, result);
	if (!json_array_size(result)) {
		puts("no controllers");
		return CLI_OK;
	}
	/* Not everybody may see the clients; the tree is useful without. */
	cli_call_quietly(cli, "get_clients", NULL, &clients);
	view.clients = clients;
	view.table = cli_table_new(view.verbose ? columns_verbose : columns);
	json_array_foreach(result, i, ctrlr)
		add_controller(&view, ctrlr);
	cli_table_print(view.table);
	return CLI_OK;
}

static const struct cli_option list_options[] = {
	{"verbose", 'v', NULL,
	 "also the NQNs of subsystem and host, the identities of namespaces, and of a connection "
	 "over a fabric: its state, the attempts to restore it, why it was lost, what comes when, "
	 "and the ANA states of its namespaces"},
	{0},
};

static const char *const list_examples[] = {
	"nvmux list",
	"nvmux list -v nvme0",
	"nvmux -o json list nvme0",
	NULL,
};

const struct cli_command cli_cmd_list = {
	.name = "list",
	.summary = "show controllers, namespaces, queue pairs and clients",
	.usage = "[-v] [CTRL]",
	.description = "A tree of what the daemon has: below each controller its namespaces and "
		       "the queue pairs of clients. What the caller has no right to see is left "
		       "out. While a connection over a fabric is being restored, STATE says "
		       "reconnecting (commands wait), failing (commands end with a path error) or "
		       "holding (all but reads of what was in flight waits).\n\n"
		       "-o json gives the result of get_controllers, sorted by name too.",
	.options = list_options,
	.examples = list_examples,
	.max_args = 1,
	.run = run_list,
};
