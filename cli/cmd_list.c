// SPDX-License-Identifier: BSD-3-Clause
/* list: controllers, their namespaces and queue pairs, and whose these are. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "cli/target.h"

static const struct cli_column columns[] = {
	{"NAME", CLI_COLUMN_TREE}, {"STATE", 0},
	{"SIZE", CLI_COLUMN_RIGHT}, {"DETAILS", CLI_COLUMN_TRUNC}, {0},
};

static void add_namespace(struct cli_table *table, struct cli_line *parent, const char *ctrlr,
			  const json_t *ns)
{
	struct cli_line *line = cli_table_line(table, parent);
	int64_t metadata = cli_json_integer(ns, "metadata_size");
	int64_t csi = cli_json_integer(ns, "csi");
	const char *set = csi == 0 ? "" : csi == 2 ? ", zoned" : ", another command set";
	char size[32], md[48] = "";

	if (metadata)
		snprintf(md, sizeof(md), " + %lld B of metadata", (long long)metadata);
	cli_line_add(line, "%s/%lld", ctrlr, (long long)cli_json_integer(ns, "nsid"));
	cli_line_add(line, "%s", "namespace");
	cli_line_add(line, "%s",
		     cli_format_size((uint64_t)cli_json_integer(ns, "size"), size, sizeof(size)));
	cli_line_add(line, "%lld blocks of %lld B%s%s", (long long)cli_json_integer(ns, "blocks"),
		     (long long)cli_json_integer(ns, "block_size"), md, set);
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

static void add_client(struct cli_table *table, struct cli_line *parent, int64_t id,
		       const json_t *clients)
{
	const json_t *client = find_client(clients, id);
	struct cli_line *line = cli_table_line(table, parent);

	cli_line_add(line, "client %lld", (long long)id);
	cli_line_add(line, "%s", client ? "connected" : "");
	cli_line_add(line, "%s", "");
	if (client)
		cli_line_add(line, "%s, pid %lld, uid %lld", cli_json_string(client, "command"),
			     (long long)cli_json_integer(client, "pid"),
			     (long long)cli_json_integer(client, "uid"));
}

static void add_qpair(struct cli_table *table, struct cli_line *parent, const json_t *qpair,
		      const json_t *clients)
{
	struct cli_line *line = cli_table_line(table, parent);
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
	add_client(table, line, cli_json_integer(qpair, "client"), clients);
}

static void add_controller(struct cli_table *table, const json_t *ctrlr, const json_t *clients)
{
	struct cli_line *line = cli_table_line(table, NULL);
	const json_t *queues = json_object_get(ctrlr, "io_queues");
	const char *name = cli_json_string(ctrlr, "name");
	char identity[256] = "";
	const json_t *entry;
	size_t i;

	/* While it is being attached all this isn't known yet. */
	if (queues)
		snprintf(identity, sizeof(identity), ", %s, serial %s, %lld of %lld queues used",
			 cli_json_string(ctrlr, "model"), cli_json_string(ctrlr, "serial"),
			 (long long)cli_json_integer(queues, "used"),
			 (long long)cli_json_integer(queues, "granted"));
	cli_line_add(line, "%s", name);
	cli_line_add(line, "%s", cli_json_string(ctrlr, "state"));
	cli_line_add(line, "%s", "");
	cli_line_add(line, "%s %s%s", cli_transport_of(ctrlr),
		     cli_json_string(ctrlr, "traddr"), identity);
	json_array_foreach(json_object_get(ctrlr, "namespaces"), i, entry)
		add_namespace(table, line, name, entry);
	json_array_foreach(json_object_get(ctrlr, "qpairs"), i, entry)
		add_qpair(table, line, entry, clients);
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
	struct cli_table *table;
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
	table = cli_table_new(columns);
	json_array_foreach(result, i, ctrlr)
		add_controller(table, ctrlr, clients);
	cli_table_print(table);
	return CLI_OK;
}

static const char *const list_examples[] = {
	"nvmux list",
	"nvmux -o json list nvme0",
	NULL,
};

const struct cli_command cli_cmd_list = {
	.name = "list",
	.summary = "show controllers, namespaces, queue pairs and clients",
	.usage = "[CTRL]",
	.description = "A tree of what the daemon has: below each controller its namespaces and "
		       "the queue pairs of clients. What the caller has no right to see is left "
		       "out.\n\n"
		       "-o json gives the result of get_controllers, sorted by name too.",
	.examples = list_examples,
	.max_args = 1,
	.run = run_list,
};
