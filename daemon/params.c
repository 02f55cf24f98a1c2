// SPDX-License-Identifier: BSD-3-Clause
/* Parameters that several methods have. */
#include <errno.h>
#include <stdio.h>
#include "daemon/params.h"

static int trid_from_params(const json_t *params, struct rpc_request *req, struct nvmux_trid *trid)
{
	const char *trtype = rpc_get_string(params, "trtype", "PCIE");
	const char *adrfam = rpc_get_string(params, "adrfam", "");

	if (nvmux_trtype_parse(&trid->trtype, trtype)) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"trtype is '%s'; it must be PCIE, VFIOUSER, RDMA or LOOPBACK",
				trtype);
		return -EINVAL;
	}
	if (adrfam[0] && nvmux_adrfam_parse(&trid->adrfam, adrfam)) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"adrfam is '%s'; it must be IPv4 or IPv6", adrfam);
		return -EINVAL;
	}
	/* the schema has limited their lengths */
	snprintf(trid->traddr, sizeof(trid->traddr), "%s", rpc_get_string(params, "traddr", ""));
	snprintf(trid->trsvcid, sizeof(trid->trsvcid), "%s", rpc_get_string(params, "trsvcid", ""));
	snprintf(trid->subnqn, sizeof(trid->subnqn), "%s", rpc_get_string(params, "subnqn", ""));
	snprintf(trid->host_traddr, sizeof(trid->host_traddr), "%s",
		 rpc_get_string(params, "host_traddr", ""));
	snprintf(trid->host_iface, sizeof(trid->host_iface), "%s",
		 rpc_get_string(params, "host_iface", ""));
	return 0;
}

static int host_from_params(const json_t *params, struct rpc_request *req,
			    struct conf_controller *c)
{
	const char *hostnqn = rpc_get_string(params, "hostnqn", NULL);
	const char *hostid = rpc_get_string(params, "hostid", NULL);
	char why[256];

	if (hostnqn && conf_controller_set_hostnqn(c, hostnqn, why, sizeof(why))) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL, "hostnqn is '%s': %s", hostnqn, why);
		return -EINVAL;
	}
	if (hostid && conf_controller_set_hostid(c, hostid, why, sizeof(why))) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL, "hostid is '%s': %s", hostid, why);
		return -EINVAL;
	}
	return 0;
}

int connection_from_params(const json_t *params, struct rpc_request *req,
			   struct conf_controller *ret)
{
	const struct conf_option *option;

	conf_controller_init(ret);
	if (trid_from_params(params, req, &ret->trid) || host_from_params(params, req, ret))
		return -EINVAL;
	for (option = conf_options; option->name; option++) {
		if (json_object_get(params, option->name))
			conf_controller_set_option(ret, option,
						   rpc_get_integer(params, option->name, 0));
	}
	return 0;
}
