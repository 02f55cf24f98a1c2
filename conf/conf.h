/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration of nvmuxd: what it can say, its defaults, and the loader of its INI files.
 *
 * One table (conf_keys) declares every key with its range, default and help; the loader, the
 * suggestions for misspelt keys and the test of the sample file are derived from it.
 */
#ifndef NVMUXD_CONF_H
#define NVMUXD_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <nvmux/nvmux.h>

#define CONF_DEFAULT_FILE    NVMUX_SYSCONFDIR "/nvmux/nvmuxd.conf"
#define CONF_SOCKET_MAX      108               /* sun_path, with the NUL */
#define CONF_NAME_MAX        NVMUX_TRSVCID_MAX /* a controller's name is its clients' trsvcid */
#define CONF_REACTORS_MAX    64
#define CONF_CONTROLLERS_MAX 64
#define CONF_MODULES_MAX     16
#define CONF_CPUS_MAX        1024

/* What one client may have at once. */
struct conf_limits {
	uint64_t max_memory; /* bytes of all its regions */
	uint32_t max_regions;
	uint32_t max_qpairs;
	uint32_t max_queue_depth;  /* commands in flight of one queue pair */
	uint32_t admin_in_flight;  /* admin commands and commands by RPC, per controller */
	uint32_t max_clients;      /* connections of all clients together */
	uint32_t drain_timeout_ms; /* wait for a client's commands before the controller is reset */
};

struct conf_controller {
	char name[CONF_NAME_MAX];
	struct nvmux_trid trid;
	uint32_t num_io_queues;  /* 0: the library's default */
	uint32_t io_queue_depth; /* 0: the library's default */
	bool has_transport;      /* trtype or trid was given */
};

struct conf_module_level {
	char module[16];
	enum nvmux_log_level level;
};

struct nvmuxd_config {
	char socket[CONF_SOCKET_MAX];
	uint32_t socket_mode;
	char socket_group[64]; /* empty: the daemon's own */
	enum nvmux_log_level log_level;
	struct conf_module_level module_levels[CONF_MODULES_MAX];
	uint32_t n_module_levels;

	uint32_t n_cores; /* 0: one reactor, not pinned */
	uint16_t cores[CONF_REACTORS_MAX];
	char cores_file[256]; /* where 'cores' was given last, for messages */
	int cores_line;
	bool busy;

	struct conf_limits limits;

	uint32_t n_controllers;
	struct conf_controller controllers[CONF_CONTROLLERS_MAX];
};

/* One key of a section; "controller" stands for every [controller NAME]. */
struct conf_key {
	const char *section; /* NULL ends the table */
	const char *name;
	int (*set)(const struct conf_key *key, void *where, const char *value, char *why,
		   size_t why_size);
	size_t offset; /* in struct nvmuxd_config, or struct conf_controller */
	uint64_t min;
	uint64_t max;
	const char *def; /* as it would be written, "" for none */
	const char *help;
};

extern const struct conf_key conf_keys[];

/* One problem, in words; @line is 0 when it isn't about a line. @text NULL: nothing is wrong with
 * this file. */
typedef void (*conf_report_fn)(void *arg, const char *file, int line, const char *text);

/* Fill in the defaults. */
void conf_init(struct nvmuxd_config *config);

/*
 * Read @file and then @file.d/ *.conf in the order of their names, on top of the defaults.
 * @config is written on success only. Everything that is wrong is reported, not only the first.
 * A missing file is success without @must_exist and -ENOENT with it. -EINVAL: reported problems.
 * -EIO, -EACCES, …: a file can't be read (reported too).
 */
int conf_load(struct nvmuxd_config *config, const char *file, bool must_exist,
	      conf_report_fn report, void *arg);

/* A level by its name; -EINVAL. */
int conf_parse_level(const char *text, enum nvmux_log_level *ret);
/* Numbers with an optional suffix K, M, G or T (powers of 1024). 0, -EINVAL or -ERANGE. */
int conf_parse_size(const char *text, uint64_t *ret);
/* "0,2-5": an ascending or mixed list of CPUs without repetition. Return the count or -errno. */
int conf_parse_cores(const char *text, uint16_t *ret, uint32_t max);
/* Whether @name can name a controller: letters, digits, '-', '_', '.', at most 32 bytes. */
bool conf_name_valid(const char *name);

#endif
