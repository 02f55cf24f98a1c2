// SPDX-License-Identifier: BSD-3-Clause
/* From words on the command line to a transport id and a namespace. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cli/target.h"

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t why_size,
							const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, why_size, format, ap);
	va_end(ap);
	return -EINVAL;
}

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
		return refuse(why, why_size, "--%s: longer than %zu bytes", name, size - 1);
	memcpy(field, text, strlen(text) + 1);
	return 0;
}

static int take_transport(const char *text, struct nvmux_trid *trid, char *why, size_t why_size)
{
	if (strpbrk(text, ":="))
		return nvmux_trid_parse(trid, text, why, why_size);
	if (nvmux_trtype_parse(&trid->trtype, text))
		return refuse(why, why_size,
			      "--transport: unknown type \"%s\"; one of pcie, vfio-user, "
			      "loopback, daemon",
			      text);
	return 0;
}

int cli_trid_from_args(const struct cli_args *args, struct nvmux_trid *ret, char *why,
		       size_t why_size)
{
	const char *transport = cli_args_get(args, "transport");
	struct nvmux_trid trid = {0};

	if (transport && take_transport(transport, &trid, why, why_size))
		return -EINVAL;
	if (trid.trtype == NVMUX_TRTYPE_RDMA)
		return refuse(why, why_size,
			      "--transport: rdma is a fabrics transport; this build has none");
	if (take(args, "traddr", trid.traddr, sizeof(trid.traddr), why, why_size))
		return -EINVAL;
	*ret = trid;
	return 0;
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

int cli_parse_name(const char *text, char *name, size_t name_size, uint32_t *nsid, char *why,
		   size_t why_size)
{
	size_t len = strcspn(text, "/");
	uint64_t id;

	if (!len)
		return refuse(why, why_size, "the name of the controller is empty");
	if (len >= name_size)
		return refuse(why, why_size, "\"%s\": names of controllers have at most %zu bytes",
			      text, name_size - 1);
	if (text[len] == '/') {
		if (cli_parse_number(text + len + 1, &id) || !id || id >= UINT32_MAX)
			return refuse(why, why_size,
				      "\"%s\": after the / stands a namespace id, 1 or more", text);
		*nsid = (uint32_t)id;
	}
	memcpy(name, text, len);
	name[len] = 0;
	return 0;
}

int cli_target_from_args(const struct cli_args *args, const char *socket, struct cli_target *ret,
			 int *first_free, char *why, size_t why_size)
{
	struct cli_target target = {0};
	uint64_t nsid = 0;
	int used = 0, err;

	if (cli_has_trid(args)) {
		err = cli_trid_from_args(args, &target.trid, why, why_size);
		if (err)
			return err;
		if (target.trid.trtype == NVMUX_TRTYPE_DAEMON)
			strcpy(target.name, target.trid.trsvcid);
	} else {
		if (!args->n_positional)
			return refuse(why, why_size, "which one? Name a controller of the daemon "
						     "(CTRL or CTRL/NSID), or give -t and -a");
		err = cli_parse_name(args->positional[0], target.name, sizeof(target.name),
				     &target.nsid, why, why_size);
		if (err)
			return err;
		if (strlen(socket) >= sizeof(target.trid.traddr))
			return refuse(why, why_size, "--socket: longer than %zu bytes",
				      sizeof(target.trid.traddr) - 1);
		target.trid.trtype = NVMUX_TRTYPE_DAEMON;
		strcpy(target.trid.traddr, socket);
		strcpy(target.trid.trsvcid, target.name);
		used = 1;
	}
	err = cli_args_number(args, "namespace-id", 1, UINT32_MAX - 1, &nsid, why, why_size);
	if (err)
		return err;
	if (nsid && target.nsid && nsid != target.nsid)
		return refuse(why, why_size, "\"%s\" and --namespace-id %llu name two namespaces",
			      args->positional[0], (unsigned long long)nsid);
	if (nsid)
		target.nsid = (uint32_t)nsid;
	*ret = target;
	*first_free = used;
	return 0;
}
