/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options of a controller, above all of a connection over a fabric: declared once, as a table, for
 * commands that drive the controller themselves and for those that have the daemon do it.
 */
#ifndef NVMUX_CLI_CTRLR_OPTS_H
#define NVMUX_CLI_CTRLR_OPTS_H

#include <jansson.h>
#include <nvmux/nvmux.h>

#include "cli/target.h"

/* Rows of attach and discovery, with nvme-cli's letters. */
#define CLI_CTRLR_OPTIONS                                                                          \
	{"num-io-queues", 'i', "COUNT", "I/O queue pairs to ask the controller for (default 64)"}, \
	{"io-queue-depth", 'Q', "COUNT", "entries of an I/O queue (default 256)"},                 \
	{"admin-queue-depth", 0, "COUNT", "entries of the admin queue (default 32)"},              \
	{"io-timeout-ms", 0, "MS",                                                                 \
	 "time until something is done about an I/O command that isn't answered; 0: never "        \
	 "(default: 30000 in the daemon, else 0)"},                                                \
	{"removal-timeout-ms", 0, "MS",                                                            \
	 "time within which a device that is wanted back (hot plug) is let go of in order; 0: "    \
	 "none (default: 10000 in the daemon, else 0)"},                                           \
	{"retry-count", 0, "COUNT",                                                                \
	 "how often a command is repeated that ended with a status that may go away by itself "    \
	 "(default 4)"},                                                                           \
	{"arbitration", 0, "N",                                                                    \
	 "0: round robin; 1: weighted round robin with urgent class, which the controller must "   \
	 "offer (default 0)"},                                                                     \
	{"arbitration-burst", 0, "N",                                                              \
	 "commands that the controller takes from a queue at once, 2^N; 7: no limit (default 7)"}, \
	{"low-weight", 0, "N", "of queues of low priority, 1 to 256 (default 1)"},                 \
	{"medium-weight", 0, "N", "of queues of medium priority (default 1)"},                     \
	{"high-weight", 0, "N", "of queues of high priority (default 1)"},                         \
	{"reconnect-delay-sec", 'c', "SEC",                                                        \
	 CLI_FABRICS("time between two attempts to connect again (default 2)")},                   \
	{"fast-io-fail-timeout-sec", 'F', "SEC",                                                   \
	 CLI_FABRICS("seconds after a loss of the connection from which on commands end with a "   \
		     "path error, while attempts go on; 0 or -1: they wait (default 0)")},         \
	{"ctrlr-loss-timeout-sec", 'l', "SEC",                                                     \
	 CLI_FABRICS("seconds after it when the controller is given up; -1: never; 0: at once, "   \
		     "without an attempt (default 600)")},                                         \
	{"keep-alive-timeout-ms", 0, "MS",                                                         \
	 CLI_FABRICS("the target gives the connection up when it hears nothing for so long; "      \
		     "0: never (default 10000)")},                                                 \
	{"keep-alive-tmo", 'k', "SEC", CLI_FABRICS("the same in seconds, as nvme-cli has it")},    \
	{"command-quiesce-time-ms", 0, "MS",                                                       \
	 CLI_FABRICS("how long a target that doesn't say so itself may go on with commands after " \
		     "its keep-alive timer has expired (default 1000)")},                          \
	{"path-retry-timeout-ms", 0, "MS",                                                         \
	 CLI_FABRICS("how long a command that ends with a path related status is repeated "        \
		     "(default 30000)")},                                                          \
	{"transport-ack-timeout", 0, "N",                                                          \
	 CLI_FABRICS("RDMA: local ACK time-out, 4.096 us * 2^N; raise it where links or machines " \
		     "are slow, to 20 or so (default: the connection manager's)")}

/* The same in commands with a target: nvmux attach explains them. */
#define CLI_CTRLR_OPTIONS_BRIEF                                                                    \
	{"num-io-queues", 0, "COUNT", ""}, {"io-queue-depth", 0, "COUNT", ""},                     \
	{"admin-queue-depth", 0, "COUNT", ""}, {"io-timeout-ms", 0, "MS", ""},                     \
	{"removal-timeout-ms", 0, "MS", ""},                                                       \
	{"retry-count", 0, "COUNT", ""}, {"arbitration", 0, "N", ""},                              \
	{"arbitration-burst", 0, "N", ""}, {"low-weight", 0, "N", ""},                             \
	{"medium-weight", 0, "N", ""}, {"high-weight", 0, "N", ""},                                \
	{"reconnect-delay-sec", 0, "SEC", CLI_FABRICS("")},                                        \
	{"fast-io-fail-timeout-sec", 0, "SEC", CLI_FABRICS("")},                                   \
	{"ctrlr-loss-timeout-sec", 0, "SEC", CLI_FABRICS("")},                                     \
	{"keep-alive-timeout-ms", 0, "MS", CLI_FABRICS("")},                                       \
	{"keep-alive-tmo", 0, "SEC", CLI_FABRICS("")},                                             \
	{"command-quiesce-time-ms", 0, "MS", CLI_FABRICS("")},                                     \
	{"path-retry-timeout-ms", 0, "MS", CLI_FABRICS("")},                                       \
	{"transport-ack-timeout", 0, "N", CLI_FABRICS("")}

/*
 * Check the options that were given, for a controller at @trid, and put them into @opts, whose
 * others keep their values. Those that the command doesn't declare are taken as not given. 0 or
 * -EINVAL with @why.
 */
int cli_ctrlr_opts_from_args(const struct cli_args *args, const struct nvmux_trid *trid,
			     struct nvmux_ctrlr_opts *opts, char *why, size_t why_size);

/* Put those that were given into @object, as parameters of a method; they have been checked. */
void cli_ctrlr_opts_to_json(const struct cli_args *args, const struct nvmux_ctrlr_opts *opts,
			    json_t *object);

#endif
