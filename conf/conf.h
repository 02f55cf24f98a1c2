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
#define CONF_DISCOVERIES_MAX 16
/* What a discovery service finds is called NAME-0, NAME-1, …: room for that. */
#define CONF_DISCOVERY_NAME_MAX (CONF_NAME_MAX - 5)
#define CONF_MODULES_MAX     16
#define CONF_CPUS_MAX        1024
/* Of memory_window: what the library takes. */
#define CONF_WINDOW_UNIT     (2ull << 20)
#define CONF_WINDOW_MAX      (256ull << 30)

#define CONF_IO_TIMEOUT_MS      30000 /* the daemon's default; a program's is none */
#define CONF_REMOVAL_TIMEOUT_MS 10000 /* the same */

/* What one client may have at once. */
struct conf_limits {
	uint64_t max_memory; /* bytes of all its regions */
	uint32_t max_regions;
	uint32_t max_qpairs;
	uint32_t max_queue_depth;  /* commands in flight of one queue pair */
	uint32_t admin_in_flight;  /* admin commands and commands by RPC, per controller */
	uint32_t max_clients;      /* connections of all clients together */
	uint32_t drain_timeout_ms; /* wait for a client's commands before the controller is reset */
	uint32_t change_timeout_ms; /* of a command that all others wait for, the same */
};

/*
 * The numbers among the options of a controller: keys of [controller NAME] and [discovery NAME],
 * and parameters of methods. X(name, least, greatest, for fabrics only, default, help); names are
 * those of struct nvmux_ctrlr_opts, where each has four bytes.
 */
#define CONF_TIMEOUT_MAX_SEC (30 * 24 * 3600)
#define CONF_OPTIONS(X)                                                                            \
	X(num_io_queues, 1, 65535, false, "64", "I/O queue pairs to ask for")                      \
	X(io_queue_depth, 2, 65536, false, "256", "entries of an I/O queue")                       \
	X(admin_queue_depth, 16, 4096, false, "32", "entries of the admin queue")                  \
	X(io_timeout_ms, 0, 3600000, false, "30000",                                               \
	  "milliseconds until something is done about an I/O command that isn't answered; 0: "     \
	  "nothing ever is")                                                                       \
	X(removal_timeout_ms, 0, 600000, false, "10000",                                           \
	  "milliseconds within which a device that is wanted back is let go of in order; then "    \
	  "it is taken away")                                                                      \
	X(retry_count, 0, 255, false, "4",                                                         \
	  "how often a command is repeated that ended with a status that may go away by itself")   \
	X(arbitration, 0, 1, false, "0",                                                           \
	  "0: round robin; 1: weighted round robin with urgent class, which the controller must "  \
	  "offer")                                                                                 \
	X(arbitration_burst, 0, 7, false, "7",                                                     \
	  "commands that the controller takes from a queue at once, 2^n; 7: no limit")             \
	X(low_weight, 1, 256, false, "1", "of queues of low priority, with arbitration 1")         \
	X(medium_weight, 1, 256, false, "1", "of queues of medium priority, with arbitration 1")   \
	X(high_weight, 1, 256, false, "1", "of queues of high priority, with arbitration 1")       \
	X(reconnect_delay_sec, 1, 3600, true, "2",                                                 \
	  "seconds between two attempts to connect again")                                         \
	X(fast_io_fail_timeout_sec, -1, CONF_TIMEOUT_MAX_SEC, true, "0",                           \
	  "seconds after the loss of the connection from which on commands end with a path "       \
	  "error while attempts go on; 0 or -1: they wait")                                        \
	X(ctrlr_loss_timeout_sec, -1, CONF_TIMEOUT_MAX_SEC, true, "600",                           \
	  "seconds after the loss of the connection after which the controller is given up; -1: "  \
	  "never; 0: at once")                                                                     \
	X(keep_alive_timeout_ms, 0, 3600000, true, "10000",                                        \
	  "KATO: the target ends a connection over which it has heard nothing for so many "        \
	  "milliseconds; 0: never")                                                                \
	X(command_quiesce_time_ms, 0, 3600000, true, "1000",                                       \
	  "how many milliseconds a target that doesn't say it (CQT) may go on with commands of a " \
	  "lost connection")                                                                       \
	X(path_retry_timeout_ms, 0, 3600000, true, "30000",                                        \
	  "for how many milliseconds a command that ends with a path related status is repeated")  \
	X(transport_ack_timeout, 0, 31, true, "0",                                                 \
	  "RDMA: local ACK time-out, 4.096 us * 2^n; 0: the connection manager's own")

struct conf_option {
	const char *name; /* NULL ends a table */
	int64_t min;
	int64_t max;
	size_t offset; /* in struct nvmux_ctrlr_opts */
	bool fabrics;
};

/* A controller, or a discovery service, and how to connect to it. */
struct conf_controller {
	char name[CONF_NAME_MAX];
	struct nvmux_trid trid;
	struct nvmux_ctrlr_opts opts;
	uint32_t given;          /* a bit for each of conf_options that was */
	const char *fabrics_key; /* one that was given and makes sense for fabrics only, or NULL */
	bool has_transport;      /* trtype or trid was given */
	bool attach;             /* of a discovery service: what it reports, too */
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
	uint32_t idle_turns; /* of a reactor, until a channel is no longer polled in each */

	uint64_t memory_window; /* bytes of address space for all clients' regions together */
	bool hotplug; /* attach controllers of these files when their devices appear */

	char hostnqn[NVMUX_NQN_MAX]; /* empty: the library's */
	char hostid[37];             /* a UUID; empty: the library's */

	struct conf_limits limits;

	uint32_t n_controllers;
	struct conf_controller controllers[CONF_CONTROLLERS_MAX];
	uint32_t n_discoveries;
	struct conf_controller discoveries[CONF_DISCOVERIES_MAX];
};

/* One key of a section; "controller" stands for every [controller NAME], "discovery" for every
 * [discovery NAME], which has the keys of "controller" too. */
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
extern const struct conf_option conf_options[];

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

/* ---- connections (connection.c): for the configuration, and for parameters of methods ---- */

void conf_controller_init(struct conf_controller *controller);
/* One of conf_options, whose range has been checked. */
void conf_controller_set_option(struct conf_controller *controller,
				const struct conf_option *option, int64_t value);
int64_t conf_controller_get_option(const struct conf_controller *controller,
				   const struct conf_option *option);
bool conf_option_given(const struct conf_controller *controller, const char *name);
const struct conf_option *conf_option_find(const char *name);
/* Texts among the options; 0 or -EINVAL, with the rule that @value broke in @why. */
int conf_controller_set_hostnqn(struct conf_controller *controller, const char *value, char *why,
				size_t why_size);
int conf_controller_set_hostid(struct conf_controller *controller, const char *value, char *why,
			       size_t why_size);
/* Whether it is of a transport for fabrics. */
bool conf_is_fabrics(const struct nvmux_trid *trid);

/*
 * What can be judged only when all is known: the address is complete, options that make sense for
 * fabrics only aren't given for others, the times of recovery are in order. Fills in what follows
 * from the rest (address family). 0 or -EINVAL with @why naming the key and the rule.
 * The second is for a discovery service, whose NQN is filled in; the third for what is only looked
 * at, and need not name a controller.
 */
int conf_controller_check(struct conf_controller *controller, char *why, size_t why_size);
int conf_discovery_check(struct conf_controller *discovery, char *why, size_t why_size);
int conf_probe_check(struct conf_controller *controller, char *why, size_t why_size);

#endif
