// SPDX-License-Identifier: BSD-3-Clause
/* The keys of the configuration and how their values are written. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "conf/conf.h"
#include "libcore/util.h"

static const char *const level_names[] = {
	[NVMUX_LOG_ERROR] = "error",
	[NVMUX_LOG_WARNING] = "warning",
	[NVMUX_LOG_INFO] = "info",
	[NVMUX_LOG_DEBUG] = "debug",
};

int conf_parse_level(const char *text, enum nvmux_log_level *ret)
{
	for (unsigned i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcasecmp(text, level_names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

int conf_parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	char *end;
	uint64_t value;
	unsigned shift = 0;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret = value << shift;
	return 0;
}

/* One item of a list of CPUs: "3" or "2-5". */
static int parse_range(const char **text, unsigned long *ret_first, unsigned long *ret_last)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	*ret_first = *ret_last = strtoul(*text, &end, 10);
	if (*end == '-') {
		if (!isdigit((unsigned char)end[1]))
			return -EINVAL;
		*ret_last = strtoul(end + 1, &end, 10);
	}
	*text = end;
	return *ret_last < *ret_first ? -EINVAL : *ret_last >= CONF_CPUS_MAX ? -ERANGE : 0;
}

int conf_parse_cores(const char *text, uint16_t *ret, uint32_t max)
{
	bool seen[CONF_CPUS_MAX] = {false};
	unsigned long first, last;
	uint32_t n = 0;
	int err;

	for (;;) {
		text += strspn(text, " \t");
		err = parse_range(&text, &first, &last);
		if (err)
			return err;
		for (; first <= last; first++) {
			if (seen[first])
				return -EEXIST;
			if (n == max)
				return -E2BIG;
			seen[first] = true;
			ret[n++] = (uint16_t)first;
		}
		text += strspn(text, " \t");
		if (!*text)
			return (int)n;
		if (*text++ != ',')
			return -EINVAL;
	}
}

bool conf_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= CONF_NAME_MAX)
		return false;
	for (; *name; name++) {
		if (!isalnum((unsigned char)*name) && !strchr("-_.", *name))
			return false;
	}
	return true;
}

/* ---- setters ---- */

static int set_text(const struct conf_key *key, void *where, const char *value, char *why,
		    size_t why_size)
{
	size_t len = strlen(value);

	if (len < key->min || len > key->max) {
		snprintf(why, why_size, "must have %llu to %llu bytes",
			 (unsigned long long)key->min, (unsigned long long)key->max);
		return -EINVAL;
	}
	memcpy(where, value, len + 1);
	return 0;
}

static int set_path(const struct conf_key *key, void *where, const char *value, char *why,
		    size_t why_size)
{
	if (value[0] != '/') {
		snprintf(why, why_size, "must be an absolute path");
		return -EINVAL;
	}
	return set_text(key, where, value, why, why_size);
}

static int set_u64(const struct conf_key *key, void *where, const char *value, char *why,
		   size_t why_size);

static int parse_bounded(const struct conf_key *key, const char *value, uint64_t *ret, char *why,
			 size_t why_size)
{
	uint64_t number;

	if (conf_parse_size(value, &number) || number < key->min || number > key->max) {
		snprintf(why, why_size, "must be a number from %llu to %llu%s",
			 (unsigned long long)key->min, (unsigned long long)key->max,
			 key->set == set_u64 ? ", perhaps with one of the suffixes K, M, G, T"
					     : "");
		return -EINVAL;
	}
	*ret = number;
	return 0;
}

static int set_u32(const struct conf_key *key, void *where, const char *value, char *why,
		   size_t why_size)
{
	uint64_t number;
	int err = parse_bounded(key, value, &number, why, why_size);

	if (!err)
		*(uint32_t *)where = (uint32_t)number;
	return err;
}

static int set_u64(const struct conf_key *key, void *where, const char *value, char *why,
		   size_t why_size)
{
	return parse_bounded(key, value, where, why, why_size);
}

/* The address space for I/O memory, in slots of the library. */
static int set_window(const struct conf_key *key, void *where, const char *value, char *why,
		      size_t why_size)
{
	uint64_t number;

	if (conf_parse_size(value, &number) || number < key->min || number > key->max ||
	    number % CONF_WINDOW_UNIT) {
		snprintf(why, why_size, "must be a multiple of 2M, at most 256G");
		return -EINVAL;
	}
	*(uint64_t *)where = number;
	return 0;
}

static int set_mode(const struct conf_key *key, void *where, const char *value, char *why,
		    size_t why_size)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);

	if (!isdigit((unsigned char)value[0]) || *end || mode > key->max) {
		snprintf(why, why_size, "must be an octal file mode such as 0660");
		return -EINVAL;
	}
	*(uint32_t *)where = (uint32_t)mode;
	return 0;
}

static int set_busy(const struct conf_key *key, void *where, const char *value, char *why,
		    size_t why_size)
{
	bool busy = strcasecmp(value, "busy") == 0;

	if (!busy && strcasecmp(value, "adaptive") != 0) {
		snprintf(why, why_size, "must be adaptive or busy");
		return -EINVAL;
	}
	*(bool *)where = busy;
	return 0;
}

static int set_cores(const struct conf_key *key, void *where, const char *value, char *why,
		     size_t why_size)
{
	struct nvmuxd_config *config = where;
	uint16_t cores[CONF_REACTORS_MAX];
	int n = value[0] ? conf_parse_cores(value, cores, CONF_REACTORS_MAX) : 0;

	if (n < 0) {
		snprintf(why, why_size, "%s",
			 n == -EEXIST   ? "names a CPU twice"
			 : n == -E2BIG  ? "names more than 64 CPUs"
			 : n == -ERANGE ? "names a CPU above 1023"
					: "must be a list of CPUs such as 0,2-5");
		return -EINVAL;
	}
	memcpy(config->cores, cores, (size_t)n * sizeof(cores[0]));
	config->n_cores = (uint32_t)n;
	return 0;
}

/* "info" or "info rpc:debug pcie:warning" */
static int set_levels(const struct conf_key *key, void *where, const char *value, char *why,
		      size_t why_size)
{
	struct nvmuxd_config *config = where;
	struct conf_module_level *module;
	char copy[256], *save = NULL, *colon;

	snprintf(copy, sizeof(copy), "%s", value);
	config->n_module_levels = 0;
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		colon = strchr(word, ':');
		if (!colon) {
			if (conf_parse_level(word, &config->log_level))
				goto bad;
			continue;
		}
		*colon = '\0';
		module = &config->module_levels[config->n_module_levels];
		if (config->n_module_levels == CONF_MODULES_MAX ||
		    strlen(word) >= sizeof(module->module) || colon == word ||
		    conf_parse_level(colon + 1, &module->level))
			goto bad;
		snprintf(module->module, sizeof(module->module), "%s", word);
		config->n_module_levels++;
	}
	return 0;
bad:
	snprintf(why, why_size,
		 "must be error, warning, info or debug, which may be followed by "
		 "MODULE:LEVEL words");
	return -EINVAL;
}

static int set_trid(const struct conf_key *key, void *where, const char *value, char *why,
		    size_t why_size)
{
	struct conf_controller *controller = where;
	int err = nvmux_trid_parse(&controller->trid, value, why, why_size);

	if (!err)
		controller->has_transport = true;
	return err;
}

static int set_trtype(const struct conf_key *key, void *where, const char *value, char *why,
		      size_t why_size)
{
	struct conf_controller *controller = where;

	if (nvmux_trtype_parse(&controller->trid.trtype, value)) {
		snprintf(why, why_size, "must be PCIE, VFIOUSER, RDMA or LOOPBACK");
		return -EINVAL;
	}
	controller->has_transport = true;
	return 0;
}

static int set_adrfam(const struct conf_key *key, void *where, const char *value, char *why,
		      size_t why_size)
{
	struct conf_controller *controller = where;

	if (value[0] && nvmux_adrfam_parse(&controller->trid.adrfam, value)) {
		snprintf(why, why_size, "must be IPv4 or IPv6");
		return -EINVAL;
	}
	return 0;
}

static int set_bool(const struct conf_key *key, void *where, const char *value, char *why,
		    size_t why_size)
{
	static const char *const words[][2] = {
		{"yes", "no"}, {"true", "false"}, {"on", "off"}, {"1", "0"}};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		for (unsigned no = 0; no < 2; no++) {
			if (strcasecmp(value, words[i][no]) != 0)
				continue;
			*(bool *)where = !no;
			return 0;
		}
	}
	snprintf(why, why_size, "must be yes or no");
	return -EINVAL;
}

/* A whole number, which may be negative. */
static int set_option(const struct conf_key *key, void *where, const char *value, char *why,
		      size_t why_size)
{
	const struct conf_option *option = conf_option_find(key->name);
	const char *digits = value + (value[0] == '-');
	size_t len = strlen(digits);
	int64_t number;

	number = len && len < 16 ? strtoll(value, NULL, 10) : option->max + 1;
	if (strspn(digits, "0123456789") != len || number < option->min || number > option->max) {
		snprintf(why, why_size, "must be a number from %lld to %lld",
			 (long long)option->min, (long long)option->max);
		return -EINVAL;
	}
	conf_controller_set_option(where, option, number);
	return 0;
}

static int set_hostnqn(const struct conf_key *key, void *where, const char *value, char *why,
		       size_t why_size)
{
	return conf_controller_set_hostnqn(where, value, why, why_size);
}

static int set_hostid(const struct conf_key *key, void *where, const char *value, char *why,
		      size_t why_size)
{
	return conf_controller_set_hostid(where, value, why, why_size);
}

/* Those of [host]: of every connection that doesn't say otherwise; empty: found elsewhere. */
static int set_default_hostnqn(const struct conf_key *key, void *where, const char *value,
			       char *why, size_t why_size)
{
	struct conf_controller probe;
	int err = value[0] ? conf_controller_set_hostnqn(&probe, value, why, why_size) : 0;

	if (!err)
		strcpy(where, value);
	return err;
}

static int set_default_hostid(const struct conf_key *key, void *where, const char *value, char *why,
			      size_t why_size)
{
	struct conf_controller probe;

	*(char *)where = '\0';
	if (!value[0])
		return 0;
	if (conf_controller_set_hostid(&probe, value, why, why_size))
		return -EINVAL;
	nvmux_uuid_format(probe.opts.hostid, where);
	return 0;
}

#define OFF(member)  offsetof(struct nvmuxd_config, member)
#define COFF(member) offsetof(struct conf_controller, member)
#define OPTION_KEY(name, min, max, fabrics, def, help) \
	{"controller", #name, set_option, 0, 0, 0, def, help},

const struct conf_key conf_keys[] = {
	{"daemon", "socket", set_path, OFF(socket), 2, CONF_SOCKET_MAX - 1, NVMUX_DEFAULT_SOCKET,
	 "path of the socket that clients connect to"},
	{"daemon", "socket_mode", set_mode, OFF(socket_mode), 0, 0777, "0660",
	 "file mode of the socket"},
	{"daemon", "socket_group", set_text, OFF(socket_group), 0, 63, "",
	 "owner group of the socket"},
	{"daemon", "log_level", set_levels, 0, 0, 0, "info",
	 "least severity that is logged, perhaps other ones for some modules"},
	{"daemon", "hotplug", set_bool, OFF(hotplug), 0, 0, "yes",
	 "whether devices that appear are looked at"},
	{"daemon", "memory_window", set_window, OFF(memory_window), CONF_WINDOW_UNIT,
	 CONF_WINDOW_MAX, "64G", "bytes of address space for the I/O memory of all clients"},
	{"host", "hostnqn", set_default_hostnqn, OFF(hostnqn), 0, 0, "", "NQN of this host"},
	{"host", "hostid", set_default_hostid, OFF(hostid), 0, 0, "",
	 "identifier of this host, a UUID"},
	{"reactor", "cores", set_cores, 0, 0, 0, "", "CPUs, each with a reactor pinned to it"},
	{"reactor", "mode", set_busy, OFF(busy), 0, 0, "adaptive", "whether reactors may sleep"},
	{"reactor", "idle_turns", set_u32, OFF(idle_turns), 1, UINT32_MAX, "1024",
	 "turns without work until a queue pair isn't polled in each any more"},
	{"limits", "max_clients", set_u32, OFF(limits.max_clients), 1, 4096, "64",
	 "connections at once"},
	{"limits", "max_memory", set_u64, OFF(limits.max_memory), 4096, 1ull << 40, "1G",
	 "bytes of I/O memory of one client"},
	{"limits", "max_regions", set_u32, OFF(limits.max_regions), 1, 4096, "64",
	 "I/O memory regions of one client"},
	{"limits", "max_qpairs", set_u32, OFF(limits.max_qpairs), 1, 1024, "16",
	 "queue pairs of one client"},
	{"limits", "max_queue_depth", set_u32, OFF(limits.max_queue_depth), 1, 4096, "1024",
	 "commands in flight of one queue pair"},
	{"limits", "admin_in_flight", set_u32, OFF(limits.admin_in_flight), 1, 64, "8",
	 "admin commands, and commands by RPC, that a client has in flight on one controller"},
	{"limits", "drain_timeout_ms", set_u32, OFF(limits.drain_timeout_ms), 0, 600000, "5000",
	 "milliseconds to wait for a leaving client's commands"},
	{"limits", "change_timeout_ms", set_u32, OFF(limits.change_timeout_ms), 1000, 86400000,
	 "600000", "milliseconds to wait for a command that keeps all others waiting"},
	{"controller", "trid", set_trid, 0, 0, 0, "", "transport id in one string"},
	{"controller", "trtype", set_trtype, 0, 0, 0, "", "transport type"},
	{"controller", "traddr", set_text, COFF(trid.traddr), 0, NVMUX_TRADDR_MAX - 1, "",
	 "transport address"},
	{"controller", "adrfam", set_adrfam, 0, 0, 0, "", "address family"},
	{"controller", "trsvcid", set_text, COFF(trid.trsvcid), 0, NVMUX_TRSVCID_MAX - 1, "",
	 "transport service id"},
	{"controller", "subnqn", set_text, COFF(trid.subnqn), 0, NVMUX_NQN_MAX - 1, "",
	 "NQN of the subsystem"},
	{"controller", "host_traddr", set_text, COFF(trid.host_traddr), 0, NVMUX_TRADDR_MAX - 1, "",
	 "address of this host to connect from"},
	{"controller", "host_iface", set_text, COFF(trid.host_iface), 0, 63, "",
	 "network interface of this host to connect from"},
	{"controller", "hostnqn", set_hostnqn, 0, 0, 0, "", "NQN of this host"},
	{"controller", "hostid", set_hostid, 0, 0, 0, "", "identifier of this host, a UUID"},
	CONF_OPTIONS(OPTION_KEY){"discovery", "attach", set_bool, COFF(attach), 0, 0, "no",
				 "whether subsystems that the service reports are attached"},
	{NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
};
