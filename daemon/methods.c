// SPDX-License-Identifier: BSD-3-Clause
/* The tables of all subjects in one. */
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"

static unsigned count(const struct rpc_method *table)
{
	unsigned n = 0;

	while (table[n].name)
		n++;
	return n;
}

struct rpc_method *daemon_methods(void)
{
	const struct rpc_method *const tables[] = {
		info_methods,
		controller_methods,
		discovery_methods,
		memory_methods,
		nvm_methods,
		zns_methods,
		resv_methods,
		io_methods,
		admin_methods,
	};
	struct rpc_method *all, *end;
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
		n += count(tables[i]);
	all = calloc(n + 1, sizeof(*all));
	if (!all)
		return NULL;
	end = all;
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		memcpy(end, tables[i], count(tables[i]) * sizeof(*end));
		end += count(tables[i]);
	}
	return all;
}
