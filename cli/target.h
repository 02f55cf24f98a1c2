/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which controller and namespace a command is about: "CTRL/NSID" of the daemon, or a transport id
 * for a controller that the command drives itself.
 */
#ifndef NVMUX_CLI_TARGET_H
#define NVMUX_CLI_TARGET_H

#include <jansson.h>
#include <nvmux/nvmux.h>

#include "cli/args.h"

/* Rows for the options of a transport id, with nvme-cli's letters. -n is the NQN in commands that
 * add or find controllers, and the namespace id in those that use one: there --nqn is spelt out.
 * What is without a text belongs to fabrics and is refused. */
#define CLI_TRID_OPTIONS(nqn_letter)                                                               \
	{"transport", 't', "TYPE",                                                                 \
	 "pcie (what --traddr alone means), vfio-user or loopback; or a whole transport id such "  \
	 "as \"trtype:PCIE traddr:0000:01:00.0\""},                                                \
	{"traddr", 'a', "ADDRESS",                                                                 \
	 "transport address: a PCI address, the directory of a vfio-user socket, or the "          \
	 "description of a loopback device"},                                                      \
	{"trsvcid", 's', "SERVICE", NULL},                                                         \
	{"nqn", nqn_letter, "NQN", NULL},                                                          \
	{"host-traddr", 'w', "ADDRESS", NULL},                                                     \
	{"host-iface", 'f', "NAME", NULL},                                                         \
	{"hostnqn", 'q', "NQN", NULL}

#define CLI_CTRLR_NAME_MAX NVMUX_TRSVCID_MAX

struct cli_target {
	struct nvmux_trid trid;
	char name[CLI_CTRLR_NAME_MAX]; /* a controller of the daemon; "": driven in this process */
	uint32_t nsid;                 /* 0: not given */
};

/* A transport as people write it: "vfio-user". The other takes what the daemon calls it. */
const char *cli_transport_name(enum nvmux_trtype type);
const char *cli_transport_of(const json_t *object);

/* Whether the options name a controller by transport id. */
bool cli_has_trid(const struct cli_args *args);

/* The transport id that the options of CLI_TRID_OPTIONS say. 0 or -EINVAL with @why. */
int cli_trid_from_args(const struct cli_args *args, struct nvmux_trid *ret, char *why,
		       size_t why_size);

/* @trid as parameters of a method of the daemon; only what is set. New reference. */
json_t *cli_trid_to_json(const struct nvmux_trid *trid);

/* "nvme0" or "nvme0/1"; the latter sets @nsid. 0 or -EINVAL with @why. */
int cli_parse_name(const char *text, char *name, size_t name_size, uint32_t *nsid, char *why,
		   size_t why_size);

/*
 * The target of a command: by transport id, otherwise the first positional argument is a name and
 * @first_free (set on success) the place of what follows it. Option --namespace-id names the
 * namespace in either case. @socket is the daemon's.
 */
int cli_target_from_args(const struct cli_args *args, const char *socket, struct cli_target *ret,
			 int *first_free, char *why, size_t why_size);

#endif
