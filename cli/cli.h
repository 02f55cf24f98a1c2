/* SPDX-License-Identifier: BSD-3-Clause */
/* What the commands of nvmux share: where the daemon is, how to report, how to print. */
#ifndef NVMUX_CLI_H
#define NVMUX_CLI_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <jansson.h>

#include "cli/args.h"

/* Exit codes. Part of the interface: cli_exit_texts in help.c describes each. */
enum cli_exit {
	CLI_OK = 0,
	CLI_USAGE = 1,
	CLI_NO_DAEMON = 2,
	CLI_FAILED = 3,
	CLI_IO_ERROR = 4,
	CLI_MISCOMPARE = 5,
	CLI_INTERRUPTED = 130,
};

struct rpc_client;

struct cli {
	const char *socket;
	bool json;
	bool binary; /* asked for by --output-format; only where the command has it */
	const struct cli_command *const *commands; /* ended by NULL */
	const struct cli_command *command;
	struct rpc_client *rpc; /* made by the first call */
};

/* One line on standard error: "nvmux: COMMAND: " and the text. */
void cli_error(const struct cli *cli, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same for a wrong command line; says how to get help. Returns CLI_USAGE. */
int cli_usage_error(const struct cli *cli, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Whatever has been printed is handed to the system. CLI_OK, or CLI_IO_ERROR after a message. */
int cli_flush(const struct cli *cli);
/* Print what a command was asked for with -o json. Steals nothing. Returns CLI_OK or, when
 * standard output can't take it, CLI_IO_ERROR. */
int cli_print_json(const struct cli *cli, const json_t *value);

/*
 * Call a method of the daemon and wait for its answer; @params is stolen (NULL: none). On success
 * (CLI_OK) @ret is a new reference. Otherwise one line on standard error has said why; @object, if
 * not NULL, is the controller it was about: when the daemon doesn't know it, the line has the
 * names that it knows.
 */
int cli_call(struct cli *cli, const char *method, json_t *params, const char *object, json_t **ret);
/* The same, given up (CLI_INTERRUPTED, without a word) when a signal arrives that
 * cli_interrupt_catch() catches. cli->rpc is gone then. */
int cli_call_or_interrupt(struct cli *cli, const char *method, json_t *params, json_t **ret);
/* As cli_call(), without a word on failure: a negative errno value. */
int cli_call_quietly(struct cli *cli, const char *method, json_t *params, json_t **ret);
/* And with the words for the caller: @why is never empty then. */
int cli_try(struct cli *cli, const char *method, json_t *params, json_t **ret, char *why,
	    size_t why_size);
/* A connection to the daemon, which cli->rpc is from then on. CLI_OK, or CLI_NO_DAEMON after a
 * message. */
int cli_connect(struct cli *cli);
/* If the daemon can be asked and has no controller @name: say so, with those it has. */
bool cli_report_unknown(struct cli *cli, const char *name);

void cli_json_unref(json_t **value);
#define CLI_JSON __attribute__((cleanup(cli_json_unref))) json_t

/* Members of an object, with a default for what is absent or of another type. */
const char *cli_json_string(const json_t *object, const char *key); /* "" */
int64_t cli_json_integer(const json_t *object, const char *key);    /* 0 */

/* "1.50 TiB", "512 B": into @buf, which is returned. */
const char *cli_format_size(uint64_t bytes, char *buf, size_t size);
/* "12.3 M": a count with a decimal suffix. */
const char *cli_format_count(double count, char *buf, size_t size);
/* "0.4 s", "12 s", "9 min 56 s". */
const char *cli_format_duration(uint64_t ms, char *buf, size_t size);
/* A copy of others' text in which control characters are '?'; into @buf, which is returned. */
const char *cli_printable(const char *text, char *buf, size_t size);

/* CLOCK_MONOTONIC. */
static inline uint64_t cli_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* SIGINT and SIGTERM as a flag, for commands that have something to put in order. */
void cli_interrupt_catch(void);
bool cli_interrupted(void);
/* Wait for one descriptor without missing a signal: block them, look at what may be there already,
 * wait with them let through as they were before, unblock. */
void cli_interrupt_block(sigset_t *ret_before);
void cli_interrupt_wait(struct pollfd *fd, const sigset_t *before);
void cli_interrupt_unblock(const sigset_t *before);

extern const struct cli_command cli_cmd_attach, cli_cmd_bench, cli_cmd_bind, cli_cmd_detach,
	cli_cmd_discover, cli_cmd_discovery, cli_cmd_events, cli_cmd_flush, cli_cmd_help,
	cli_cmd_identify, cli_cmd_list, cli_cmd_probe, cli_cmd_read, cli_cmd_reset, cli_cmd_rpc,
	cli_cmd_shutdown, cli_cmd_status, cli_cmd_unbind, cli_cmd_version, cli_cmd_write;

/* Commands that show what controllers and namespaces say. */
extern const struct cli_command cli_cmd_ana_log, cli_cmd_changed_ns_list_log,
	cli_cmd_cmdset_ind_id_ns, cli_cmd_effects_log, cli_cmd_endurance_log, cli_cmd_error_log,
	cli_cmd_fw_log, cli_cmd_get_feature, cli_cmd_get_log, cli_cmd_id_ctrl, cli_cmd_id_ns,
	cli_cmd_list_ctrl, cli_cmd_list_ns, cli_cmd_ns_descs, cli_cmd_nvm_id_ctrl,
	cli_cmd_nvm_id_ns, cli_cmd_resv_notif_log, cli_cmd_sanitize_log, cli_cmd_self_test_log,
	cli_cmd_set_feature, cli_cmd_show_regs, cli_cmd_smart_log, cli_cmd_supported_log_pages;

/* Commands that act on namespaces and controllers. */
extern const struct cli_command cli_cmd_compare, cli_cmd_copy, cli_cmd_dsm, cli_cmd_resv_acquire,
	cli_cmd_resv_register, cli_cmd_resv_release, cli_cmd_resv_report, cli_cmd_verify,
	cli_cmd_write_uncor, cli_cmd_write_zeroes, cli_cmd_zns, cli_cmd_admin_passthru,
	cli_cmd_attach_ns, cli_cmd_create_ns, cli_cmd_delete_ns, cli_cmd_detach_ns,
	cli_cmd_device_self_test, cli_cmd_dir_receive, cli_cmd_dir_send, cli_cmd_format,
	cli_cmd_fw_commit, cli_cmd_fw_download, cli_cmd_io_mgmt_recv, cli_cmd_io_mgmt_send,
	cli_cmd_io_passthru, cli_cmd_sanitize, cli_cmd_security_recv, cli_cmd_security_send,
	cli_cmd_subsystem_reset;

#endif
