// SPDX-License-Identifier: BSD-3-Clause
/* From words on the command line to a transport id and a namespace. */
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "cli/ctrlr_opts.h"
#include "cli/target.h"

const char *cli_transport_name(enum nvmux_trtype type)
{
	switch (type) {
	case NVMUX_TRTYPE_PCIE:
		return "pcie";
	case NVMUX_TRTYPE_VFIOUSER:
		return "vfio-user";
	case NVMUX_TRTYPE_LOOPBACK:
		return "loopback";
	case NVMUX_TRTYPE_DAEMON:
		return "daemon";
	case NVMUX_TRTYPE_RDMA:
		return "rdma";
	default:
		return nvmux_trtype_string(type);
	}
}

const char *cli_transport_of(const json_t *object)
{
	const char *text = json_string_value(json_object_get(object, "trtype"));
	enum nvmux_trtype type;

	if (!text)
		return "";
	return nvmux_trtype_parse(&type, text) ? text : cli_transport_name(type);
}

bool cli_has_trid(const struct cli_args *args)
{
	return cli_args_get(args, "transport") || cli_args_get(args, "traddr");
}

static int take(const struct cli_args *args, const char *name, char *field, size_t size,
		char *why, size_t why_size)
{
	const char *text = cli_args_get(args, name);

	if (!text)
		return 0;
	if (strlen(text) >= size)
		return cli_refuse(why, why_size, "--%s: longer than %zu bytes", name, size - 1);
	memcpy(field, text, strlen(text) + 1);
	return 0;
}

static int take_transport(const char *text, struct nvmux_trid *trid, char *why, size_t why_size)
{
	if (strpbrk(text, ":="))
		return nvmux_trid_parse(trid, text, why, why_size);
	if (nvmux_trtype_parse(&trid->trtype, text))
		return cli_refuse(why, why_size,
				  "--transport: unknown type \"%s\"; one of pcie, rdma, vfio-user, "
				  "loopback, daemon",
				  text);
	return 0;
}

int cli_refuse_local(const struct cli_args *args, const char *option, char *why, size_t why_size)
{
	return cli_refuse(why, why_size, "--%s needs a fabrics transport: -t rdma",
			  cli_args_name(args, option));
}

bool cli_have_rdma(void)
{
#ifdef NVMUX_HAVE_RDMA
	return true;
#else
	return false;
#endif
}

const char *cli_transports(void)
{
	return cli_have_rdma() ? "PCIe, vfio-user, RDMA, daemon, loopback"
			       : "PCIe, vfio-user, daemon, loopback; not RDMA: built without "
				 "libibverbs and librdmacm";
}

/* What no other transport has any use for. */
static int check_local(const struct cli_args *args, const struct nvmux_trid *trid, char *why,
		       size_t why_size)
{
	static const char *const options[] = {"trsvcid",    "nqn",     "host-traddr",
					      "host-iface", "hostnqn", "hostid"};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (!cli_args_has(args, options[i]) || !cli_args_get(args, options[i]))
			continue;
		/* There it is the name of the controller. */
		if (trid->trtype == NVMUX_TRTYPE_DAEMON && !strcmp(options[i], "trsvcid"))
			continue;
		return cli_refuse_local(args, options[i], why, why_size);
	}
	return 0;
}

/* What can be known to be wrong without asking anybody. Fills in what has a default. */
static int complete_rdma(struct nvmux_trid *trid, char *why, size_t why_size)
{
	if (!cli_have_rdma())
		return cli_refuse(
			why, why_size,
			"--transport: this build has no transport RDMA: it was made without "
			"libibverbs and librdmacm");
	if (!trid->traddr[0])
		return cli_refuse(why, why_size,
				  "--traddr is missing: rdma needs the address of a target or of a "
				  "discovery service");
	if (!trid->trsvcid[0])
		strcpy(trid->trsvcid, CLI_RDMA_SERVICE);
	if (nvmux_trid_check(trid, why, why_size))
		return -EINVAL;
	if (strlen(trid->host_iface) >= IF_NAMESIZE || strpbrk(trid->host_iface, "/ "))
		return cli_refuse(why, why_size,
				  "--host-iface: \"%s\" isn't the name of a network "
				  "interface",
				  trid->host_iface);
	return 0;
}

/* The rules for names, before anybody is asked. */
static int check_nqn(const struct cli_args *args, const struct nvmux_trid *trid, char *why,
		     size_t why_size)
{
	const char *wrong = NULL;

	/* An empty one that was given isn't the same as none. */
	if (cli_args_get(args, "nqn") || trid->subnqn[0])
		wrong = nvmux_nqn_check(trid->subnqn);
	return wrong ? cli_refuse(why, why_size, "--%s: \"%s\" isn't an NQN: %s",
				  cli_args_name(args, "nqn"), trid->subnqn, wrong)
		     : 0;
}

static int take_trid(const struct cli_args *args, enum nvmux_trtype usual, struct nvmux_trid *ret,
		     char *why, size_t why_size)
{
	const char *transport = cli_args_get(args, "transport");
	struct nvmux_trid trid = {.trtype = usual};

	if (transport && take_transport(transport, &trid, why, why_size))
		return -EINVAL;
	if (take(args, "traddr", trid.traddr, sizeof(trid.traddr), why, why_size) ||
	    take(args, "trsvcid", trid.trsvcid, sizeof(trid.trsvcid), why, why_size) ||
	    take(args, "nqn", trid.subnqn, sizeof(trid.subnqn), why, why_size) ||
	    take(args, "host-traddr", trid.host_traddr, sizeof(trid.host_traddr), why, why_size) ||
	    take(args, "host-iface", trid.host_iface, sizeof(trid.host_iface), why, why_size))
		return -EINVAL;
	if (trid.trtype != NVMUX_TRTYPE_RDMA ? check_local(args, &trid, why, why_size)
					     : complete_rdma(&trid, why, why_size) ||
						       check_nqn(args, &trid, why, why_size))
		return -EINVAL;
	*ret = trid;
	return 0;
}

int cli_trid_from_args(const struct cli_args *args, struct nvmux_trid *ret, char *why,
		       size_t why_size)
{
	return take_trid(args, NVMUX_TRTYPE_PCIE, ret, why, why_size);
}

int cli_trid_of_service(const struct cli_args *args, struct nvmux_trid *ret, char *why,
			size_t why_size)
{
	return take_trid(args, NVMUX_TRTYPE_RDMA, ret, why, why_size);
}

int cli_trid_of_one(const struct cli_args *args, struct nvmux_trid *ret, char *why, size_t why_size)
{
	struct nvmux_trid trid;

	if (cli_trid_from_args(args, &trid, why, why_size))
		return -EINVAL;
	if (trid.trtype == NVMUX_TRTYPE_RDMA && !trid.subnqn[0])
		return cli_refuse(
			why, why_size,
			"--nqn is missing: which subsystem? nvmux discover -t rdma -a %s -s "
			"%s lists them",
			trid.traddr, trid.trsvcid);
	*ret = trid;
	return 0;
}

const char *cli_address_of(const json_t *object, char *buf, size_t size)
{
	const char *address = json_string_value(json_object_get(object, "traddr"));
	const char *service = json_string_value(json_object_get(object, "trsvcid"));
	const char *type = cli_transport_of(object);
	bool fabric = service && *service && strcmp(type, "daemon");

	snprintf(buf, size, "%s%s%s", address ? address : "", fabric ? " " : "",
		 fabric ? service : "");
	return buf;
}

static void set_if(json_t *object, const char *key, const char *text)
{
	if (text && text[0])
		json_object_set_new(object, key, json_string(text));
}

json_t *cli_trid_to_json(const struct nvmux_trid *trid)
{
	json_t *object = json_object();

	set_if(object, "trtype", nvmux_trtype_string(trid->trtype));
	set_if(object, "traddr", trid->traddr);
	set_if(object, "adrfam", nvmux_adrfam_string(trid->adrfam));
	set_if(object, "trsvcid", trid->trsvcid);
	set_if(object, "subnqn", trid->subnqn);
	set_if(object, "host_traddr", trid->host_traddr);
	set_if(object, "host_iface", trid->host_iface);
	return object;
}

static void get_field(const json_t *object, const char *key, char *field, size_t size)
{
	const char *text = json_string_value(json_object_get(object, key));

	snprintf(field, size, "%s", text ? text : "");
}

bool cli_trid_from_json(const json_t *object, struct nvmux_trid *ret)
{
	const char *type = json_string_value(json_object_get(object, "trtype"));
	const char *family = json_string_value(json_object_get(object, "adrfam"));
	struct nvmux_trid trid = {0};

	if (!type || nvmux_trtype_parse(&trid.trtype, type))
		return false;
	if (family && nvmux_adrfam_parse(&trid.adrfam, family))
		trid.adrfam = NVMUX_ADRFAM_NONE;
	get_field(object, "traddr", trid.traddr, sizeof(trid.traddr));
	get_field(object, "trsvcid", trid.trsvcid, sizeof(trid.trsvcid));
	get_field(object, "subnqn", trid.subnqn, sizeof(trid.subnqn));
	get_field(object, "host_traddr", trid.host_traddr, sizeof(trid.host_traddr));
	get_field(object, "host_iface", trid.host_iface, sizeof(trid.host_iface));
	*ret = trid;
	return true;
}

int cli_parse_name(const char *text, char *name, size_t name_size, uint32_t *nsid, char *why,
		   size_t why_size)
{
	size_t len = strcspn(text, "/");
	uint64_t id;

	if (!len)
		return cli_refuse(why, why_size, "the name of the controller is empty");
	if (len >= name_size)
		return cli_refuse(why, why_size,
				  "\"%s\": names of controllers have at most %zu bytes", text,
				  name_size - 1);
	if (text[len] == '/') {
		if (cli_parse_number(text + len + 1, &id) || !id || id >= UINT32_MAX)
			return cli_refuse(why, why_size,
					  "\"%s\": after the / stands a namespace id, 1 or more",
					  text);
		*nsid = (uint32_t)id;
	}
	memcpy(name, text, len);
	name[len] = 0;
	return 0;
}

/* A controller of the daemon, by its name. */
static int target_by_name(const struct cli_args *args, const char *socket, struct cli_target *ret,
			  char *why, size_t why_size)
{
	int err;

	if (!args->n_positional)
		return cli_refuse(why, why_size,
				  "which one? Name a controller of the daemon "
				  "(CTRL or CTRL/NSID), or give -t and -a");
	err = cli_parse_name(args->positional[0], ret->name, sizeof(ret->name), &ret->nsid, why,
			     why_size);
	if (err)
		return err;
	if (strlen(socket) >= sizeof(ret->trid.traddr))
		return cli_refuse(why, why_size, "--socket: longer than %zu bytes",
				  sizeof(ret->trid.traddr) - 1);
	ret->trid.trtype = NVMUX_TRTYPE_DAEMON;
	strcpy(ret->trid.traddr, socket);
	strcpy(ret->trid.trsvcid, ret->name);
	return 0;
}

/* Options that only make sense beside -t and -a. */
static int check_alone(const struct cli_args *args, char *why, size_t why_size)
{
	const struct cli_option *o = args->command->options;
	bool of_trid = false;

	/* In the tables the options of a transport id and of its controller are the last ones. */
	for (; o && o->name; o++) {
		of_trid = of_trid || !strcmp(o->name, "transport");
		if (of_trid && cli_args_get(args, o->name))
			return cli_refuse(
				why, why_size,
				"--%s is for a controller that this command drives itself: "
				"give -t and -a as well",
				cli_args_name(args, o->name));
	}
	return 0;
}

int cli_target_of_ctrlr(const struct cli_args *args, const char *socket, struct cli_target *ret,
			int *first_free, char *why, size_t why_size)
{
	struct cli_target target = {0};
	int used = 0, err;

	nvmux_ctrlr_opts_init(&target.opts, sizeof(target.opts));
	if (cli_has_trid(args)) {
		err = cli_trid_of_one(args, &target.trid, why, why_size);
		if (!err)
			err = cli_ctrlr_opts_from_args(args, &target.trid, &target.opts, why,
						       why_size);
		if (err)
			return err;
		if (target.trid.trtype == NVMUX_TRTYPE_DAEMON)
			strcpy(target.name, target.trid.trsvcid);
	} else {
		err = check_alone(args, why, why_size);
		if (!err)
			err = target_by_name(args, socket, &target, why, why_size);
		if (err)
			return err;
		used = 1;
	}
	*ret = target;
	*first_free = used;
	return 0;
}

int cli_target_from_args(const struct cli_args *args, const char *socket, struct cli_target *ret,
			 int *first_free, char *why, size_t why_size)
{
	struct cli_target target;
	uint64_t nsid = 0;
	int used = 0, err;

	err = cli_target_of_ctrlr(args, socket, &target, &used, why, why_size);
	if (err)
		return err;
	err = cli_args_number(args, "namespace-id", 1, UINT32_MAX - 1, &nsid, why, why_size);
	if (err)
		return err;
	if (nsid && target.nsid && nsid != target.nsid)
		return cli_refuse(why, why_size,
				  "\"%s\" and --namespace-id %llu name two namespaces",
				  args->positional[0], (unsigned long long)nsid);
	if (nsid)
		target.nsid = (uint32_t)nsid;
	*ret = target;
	*first_free = used;
	return 0;
}
