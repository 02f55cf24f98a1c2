/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters that several methods have: a transport id, and how to connect to what it names. */
#ifndef NVMUXD_PARAMS_H
#define NVMUXD_PARAMS_H

#include "conf/conf.h"
#include "rpc/server.h"

#define PARAM_END {NULL, 0, false, 0, 0, NULL}
#define PARAM_NAME(required, max, help) {"name", RPC_STRING, required, 1, max, help}

#define PARAMS_TRID(required)                                                                      \
	{"trtype", RPC_STRING, required, 1, 16,                                                    \
	 "transport type: PCIE, VFIOUSER, RDMA or LOOPBACK"},                                      \
		{"traddr", RPC_STRING, false, 0, NVMUX_TRADDR_MAX - 1,                             \
		 "transport address: PCI address, directory of a vfio-user socket, IP address"},   \
		{"adrfam", RPC_STRING, false, 0, 8,                                                \
		 "address family: IPv4 or IPv6; default: what traddr is"},                         \
		{"trsvcid", RPC_STRING, false, 0, NVMUX_TRSVCID_MAX - 1,                           \
		 "transport service id (the port); default for RDMA: 4420"},                       \
		{"subnqn", RPC_STRING, false, 0, NVMUX_NQN_MAX - 1, "NQN of the subsystem"},       \
		{"host_traddr", RPC_STRING, false, 0, NVMUX_TRADDR_MAX - 1,                        \
		 "RDMA: address of this host to connect from"},                                    \
	{                                                                                          \
		"host_iface", RPC_STRING, false, 0, 63,                                            \
			"RDMA: network interface of this host to connect from"                     \
	}

#define PARAMS_HOST                                                                                \
	{"hostnqn", RPC_STRING, false, 5, NVMUX_NQN_MAX - 1,                                       \
	 "RDMA: NQN of this host; default: that of the configuration, or of /etc/nvme/hostnqn"},   \
	{                                                                                          \
		"hostid", RPC_STRING, false, 32, 36,                                               \
			"RDMA: identifier of this host, a UUID; default: that of the "             \
			"configuration, or of /etc/nvme/hostid"                                    \
	}

/* Those of CONF_OPTIONS. */
#define PARAM_OPTION(name, min, max, fabrics, def, help) \
	{#name, RPC_INTEGER, false, min, max, help "; default " def},
#define PARAMS_OPTIONS CONF_OPTIONS(PARAM_OPTION)

/*
 * Of the parameters above those that a method has, as one structure; nothing that needs more than
 * one of them has been checked yet. On failure the request has been answered.
 */
int connection_from_params(const json_t *params, struct rpc_request *req,
			   struct conf_controller *ret);

#endif
