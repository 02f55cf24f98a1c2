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

/* The text of an option that only fabrics transports use: without any it is refused by name. */
#ifdef NVMUX_HAVE_RDMA
#define CLI_FABRICS(text) text
#define CLI_TRANSPORT_HELP                                                                         \
	"pcie (what --traddr alone means), rdma, vfio-user or loopback; or a whole transport id "  \
	"such as \"trtype:PCIE traddr:0000:01:00.0\""
#define CLI_TRADDR_HELP                                                                            \
	"transport address: a PCI address, an IP address, the directory of a vfio-user socket, "   \
	"or the description of a loopback device"
#else
#define CLI_FABRICS(text) NULL
#define CLI_TRANSPORT_HELP                                                                         \
	"pcie (what --traddr alone means), vfio-user or loopback; or a whole transport id such "   \
	"as \"trtype:PCIE traddr:0000:01:00.0\""
#define CLI_TRADDR_HELP                                                                            \
	"transport address: a PCI address, the directory of a vfio-user socket, or the "           \
	"description of a loopback device"
#endif

/* Rows for the options of a transport id, with nvme-cli's letters. -n is the NQN in commands that
 * add or find controllers, and the namespace id in those that use one: there --nqn is spelt out. */
#define CLI_TRID_OPTIONS(nqn_letter)                                                               \
	CLI_TRID_ROWS(CLI_TRANSPORT_HELP, CLI_TRADDR_HELP, nqn_letter, "NQN of the subsystem")

/* The same for commands that are about a discovery service. */
#define CLI_SERVICE_OPTIONS                                                                        \
	CLI_TRID_ROWS("rdma, which is the default: no other transport has discovery services",     \
		      "IP address of the discovery service", 'n',                                  \
		      "NQN of the discovery subsystem, rarely needed")

#define CLI_TRID_ROWS(transport_help, traddr_help, nqn_letter, nqn_help)                           \
	{"transport", 't', "TYPE", transport_help}, {"traddr", 'a', "ADDRESS", traddr_help},       \
	{"trsvcid", 's', "SERVICE", CLI_FABRICS("port of the target (default 4420)")},             \
	{"nqn", nqn_letter, "NQN", CLI_FABRICS(nqn_help)},                                         \
	{"host-traddr", 'w', "ADDRESS", CLI_FABRICS("connect from this address of the host")},     \
	{"host-iface", 'f', "NAME", CLI_FABRICS("connect from this network interface")},           \
	{"hostnqn", 'q', "NQN", CLI_FABRICS("NQN of this host (default: /etc/nvme/hostnqn)")},     \
	{"hostid", 'I', "UUID", CLI_FABRICS("identifier of this host (default: /etc/nvme/hostid)")}

#define CLI_RDMA_SERVICE "4420" /* assigned to NVMe over RDMA */

#define CLI_CTRLR_NAME_MAX NVMUX_TRSVCID_MAX

struct cli_target {
	struct nvmux_trid trid;
	struct nvmux_ctrlr_opts opts; /* of a controller that is driven in this process */
	char name[CLI_CTRLR_NAME_MAX]; /* a controller of the daemon; "": driven in this process */
	uint32_t nsid;                 /* 0: not given */
	uint64_t memory_window;        /* of the context, bytes; 0: the library's default */
};

/* A transport as people write it: "vfio-user". The other takes what the daemon calls it. */
const char *cli_transport_name(enum nvmux_trtype type);
const char *cli_transport_of(const json_t *object);

/* Whether the options name a controller by transport id. */
bool cli_has_trid(const struct cli_args *args);

/* Whether this build has NVMe over RDMA, and the transports of this build in words. */
bool cli_have_rdma(void);
const char *cli_transports(void);

/* The transport id that the options of CLI_TRID_OPTIONS say: complete, but perhaps without an NQN.
 * 0 or -EINVAL with @why. */
int cli_trid_from_args(const struct cli_args *args, struct nvmux_trid *ret, char *why,
		       size_t why_size);
/* The same, of a discovery service: -a alone is an address of RDMA. */
int cli_trid_of_service(const struct cli_args *args, struct nvmux_trid *ret, char *why,
			size_t why_size);
/* As the first, of one controller: over a fabric the NQN must be there. */
int cli_trid_of_one(const struct cli_args *args, struct nvmux_trid *ret, char *why,
		    size_t why_size);
/* Say that an option needs a fabrics transport. -EINVAL */
int cli_refuse_local(const struct cli_args *args, const char *option, char *why, size_t why_size);

/* @trid as parameters of a method of the daemon; only what is set. New reference. */
json_t *cli_trid_to_json(const struct nvmux_trid *trid);
/* The inverse; false: of a transport that isn't known here. */
bool cli_trid_from_json(const json_t *object, struct nvmux_trid *ret);

/* "10.0.0.1 4420", or the address alone, of an object with a transport id; into @buf. */
const char *cli_address_of(const json_t *object, char *buf, size_t size);

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
/* The same without a look at --namespace-id, for commands that take more than an active one. */
int cli_target_of_ctrlr(const struct cli_args *args, const char *socket, struct cli_target *ret,
			int *first_free, char *why, size_t why_size);

#endif
