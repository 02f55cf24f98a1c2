// SPDX-License-Identifier: BSD-3-Clause
/* id-ctrl and its like: Identify data, with nvme-cli's names. */
#include <errno.h>
#include <string.h>

#include "cli/device.h"
#include "cli/fields.h"
#include "cli/verb.h"
#include "decode/identify_json.h"
#include "libcore/util.h"

#define VS_CTRL 3072 /* where the vendor's bytes begin */
#define VS_NS   384

struct id_request {
	uint8_t cns;
	uint8_t csi;
	uint8_t uuid_index;
	uint16_t cntid;
	uint32_t nsid;
};

static int identify(struct cli_device *dev, const struct id_request *r, void *buf)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_identify,
		.nsid = cpu_to_le32(r->nsid),
		.cdw10 = cpu_to_le32((uint32_t)r->cntid << 16 | r->cns),
		.cdw11 = cpu_to_le32((uint32_t)r->csi << 24),
		.cdw14 = cpu_to_le32(r->uuid_index),
	};

	return cli_device_admin(dev, "identify", &cmd, buf, IDENTIFY_BYTES, NULL);
}

/* What a verb takes from the command line, and what it makes of the data. */
struct id_verb {
	unsigned flags; /* enum cli_device_flags */
	int (*take)(const struct cli_device *dev, const struct cli_args *args,
		    struct id_request *request, char *why, size_t why_size);
	json_t *(*decode)(const void *data);
	size_t vendor; /* 0: no such option */
};

static int show(struct cli_device *dev, const struct cli_args *args, const struct id_verb *verb,
		const void *data)
{
	int code = cli_show(dev->cli, args, verb->decode(data), data, IDENTIFY_BYTES);

	if (code || dev->cli->json || cli_wants_binary(dev->cli, args) || !verb->vendor ||
	    !cli_args_get(args, "vendor-specific"))
		return code;
	puts("vs[]:");
	cli_data_show((const uint8_t *)data + verb->vendor, IDENTIFY_BYTES - verb->vendor);
	return CLI_OK;
}

static int run_verb(struct cli *cli, const struct cli_args *args, const struct id_verb *verb)
{
	_Alignas(8) uint8_t data[IDENTIFY_BYTES] = {0};
	struct id_request request = {0};
	struct cli_device dev;
	char why[256];
	int code;

	code = cli_device_open(cli, args, verb->flags, &dev);
	request.nsid = dev.nsid;
	if (!code && verb->take(&dev, args, &request, why, sizeof(why)))
		code = cli_usage_error(cli, "%s", why);
	if (!code)
		code = identify(&dev, &request, data);
	if (!code)
		code = show(&dev, args, verb, data);
	cli_device_close(&dev);
	return code;
}

/* ---- id-ctrl, nvm-id-ctrl ---- */

static int take_ctrl(const struct cli_device *dev, const struct cli_args *args,
		     struct id_request *request, char *why, size_t why_size)
{
	*request = (struct id_request){.cns = NVME_IDENTIFY_CNS_CTRL};
	return 0;
}

static json_t *decode_ctrl(const void *data)
{
	return identify_ctrl_json(data);
}

static int run_id_ctrl(struct cli *cli, const struct cli_args *args)
{
	static const struct id_verb verb = {
		.take = take_ctrl, .decode = decode_ctrl, .vendor = VS_CTRL};

	return run_verb(cli, args, &verb);
}

static const struct cli_option id_ctrl_options[] = {
	{"vendor-specific", 'v', NULL, "and the vendor's bytes"},
	CLI_RAW_OPTION,
	CLI_HUMAN_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const id_ctrl_examples[] = {
	"nvmux id-ctrl nvme0",
	"nvmux id-ctrl nvme0 -o json",
	"nvmux id-ctrl -t vfio-user -a /run/emulator/nvme0 -H",
	NULL,
};

const struct cli_command cli_cmd_id_ctrl = {
	.name = "id-ctrl",
	.group = CLI_GROUP_READ,
	.summary = "Identify Controller",
	.usage = CLI_DEVICE_USAGE " [-v] [-H|-b]",
	.description = "What a controller says of itself. Keys in JSON are nvme-cli's.",
	.options = id_ctrl_options,
	.examples = id_ctrl_examples,
	.max_args = 1,
	.binary = true,
	.run = run_id_ctrl,
};

static int take_nvm_ctrl(const struct cli_device *dev, const struct cli_args *args,
			 struct id_request *request, char *why, size_t why_size)
{
	*request = (struct id_request){.cns = NVME_IDENTIFY_CNS_CSI_CTRL, .csi = NVME_CSI_NVM};
	return 0;
}

static json_t *decode_nvm_ctrl(const void *data)
{
	return identify_nvm_ctrl_json(data);
}

static int run_nvm_id_ctrl(struct cli *cli, const struct cli_args *args)
{
	static const struct id_verb verb = {.take = take_nvm_ctrl, .decode = decode_nvm_ctrl};

	return run_verb(cli, args, &verb);
}

static const struct cli_option plain_options[] = {
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_nvm_id_ctrl = {
	.name = "nvm-id-ctrl",
	.group = CLI_GROUP_READ,
	.summary = "Identify Controller of the NVM command set",
	.usage = CLI_DEVICE_USAGE,
	.description = "The limits of Verify, Write Zeroes, Write Uncorrectable and Dataset "
		       "Management. Keys in JSON are nvme-cli's.",
	.options = plain_options,
	.max_args = 1,
	.binary = true,
	.run = run_nvm_id_ctrl,
};

/* ---- id-ns, cmdset-ind-id-ns, nvm-id-ns, ns-descs ---- */

static int take_ns(const struct cli_device *dev, const struct cli_args *args,
		   struct id_request *request, char *why, size_t why_size)
{
	request->cns = cli_args_get(args, "force") ? NVME_IDENTIFY_CNS_ALLOCATED_NS
						   : NVME_IDENTIFY_CNS_NS;
	return 0;
}

static json_t *decode_ns(const void *data)
{
	return identify_ns_json(data);
}

static int run_id_ns(struct cli *cli, const struct cli_args *args)
{
	static const struct id_verb verb = {.flags = CLI_DEVICE_NSID,
					    .take = take_ns,
					    .decode = decode_ns,
					    .vendor = VS_NS};

	return run_verb(cli, args, &verb);
}

static const struct cli_option id_ns_options[] = {
	{"namespace-id", 'n', "NSID", CLI_DEVICE_NSID_HELP},
	{"force", 0, NULL, "also a namespace that exists but isn't attached"},
	{"vendor-specific", 'v', NULL, "and the vendor's bytes"},
	CLI_RAW_OPTION,
	CLI_HUMAN_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const id_ns_examples[] = {
	"nvmux id-ns nvme0/1",
	"nvmux id-ns nvme0 -n 1 -o json",
	NULL,
};

const struct cli_command cli_cmd_id_ns = {
	.name = "id-ns",
	.group = CLI_GROUP_READ,
	.summary = "Identify Namespace",
	.usage = CLI_DEVICE_NS_USAGE " [--force] [-v] [-H|-b]",
	.description = "What a namespace says of itself; of one that isn't active, zeroes. Keys in "
		       "JSON are nvme-cli's.",
	.options = id_ns_options,
	.examples = id_ns_examples,
	.max_args = 1,
	.binary = true,
	.run = run_id_ns,
};

static int take_independent(const struct cli_device *dev, const struct cli_args *args,
			    struct id_request *request, char *why, size_t why_size)
{
	request->cns = NVME_IDENTIFY_CNS_CSI_INDEPENDENT_ID_NS;
	return 0;
}

static json_t *decode_independent(const void *data)
{
	return identify_independent_ns_json(data);
}

static int run_independent(struct cli *cli, const struct cli_args *args)
{
	static const struct id_verb verb = {
		.flags = CLI_DEVICE_NSID, .take = take_independent, .decode = decode_independent};

	return run_verb(cli, args, &verb);
}

static const struct cli_option ns_options[] = {
	{"namespace-id", 'n', "NSID", CLI_DEVICE_NSID_HELP},
	CLI_RAW_OPTION,
	CLI_HUMAN_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_cmdset_ind_id_ns = {
	.name = "cmdset-ind-id-ns",
	.group = CLI_GROUP_READ,
	.summary = "Identify Namespace of any command set",
	.usage = CLI_DEVICE_NS_USAGE " [-H|-b]",
	.description = "The I/O Command Set Independent Identify Namespace data. Keys in JSON are "
		       "nvme-cli's.",
	.options = ns_options,
	.max_args = 1,
	.binary = true,
	.run = run_independent,
};

static int take_descs(const struct cli_device *dev, const struct cli_args *args,
		      struct id_request *request, char *why, size_t why_size)
{
	request->cns = NVME_IDENTIFY_CNS_NS_DESC_LIST;
	return 0;
}

static json_t *decode_descs(const void *data)
{
	return identify_descs_json(data);
}

static int run_ns_descs(struct cli *cli, const struct cli_args *args)
{
	static const struct id_verb verb = {
		.flags = CLI_DEVICE_NSID, .take = take_descs, .decode = decode_descs};

	return run_verb(cli, args, &verb);
}

static const struct cli_option ns_descs_options[] = {
	{"namespace-id", 'n', "NSID", CLI_DEVICE_NSID_HELP},
	CLI_RAW_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_ns_descs = {
	.name = "ns-descs",
	.group = CLI_GROUP_READ,
	.summary = "the identifiers of a namespace",
	.usage = CLI_DEVICE_NS_USAGE " [-b]",
	.description = "The Namespace Identification Descriptors: EUI64, NGUID, UUID, command set. "
		       "Keys in JSON are nvme-cli's.",
	.options = ns_descs_options,
	.max_args = 1,
	.binary = true,
	.run = run_ns_descs,
};

/* Needs the number of formats, which the plain structure has. */
static int run_nvm_id_ns(struct cli *cli, const struct cli_args *args)
{
	_Alignas(8) uint8_t plain[IDENTIFY_BYTES] = {0}, data[IDENTIFY_BYTES] = {0};
	struct id_request request = {.cns = NVME_IDENTIFY_CNS_NS};
	struct cli_device dev;
	uint64_t uuid_index = 0;
	char why[256];
	int code;

	if (cli_args_number(args, "uuid-index", 0, 127, &uuid_index, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	code = cli_device_open(cli, args, CLI_DEVICE_NSID, &dev);
	request.nsid = dev.nsid;
	if (!code)
		code = identify(&dev, &request, plain);
	request.cns = NVME_IDENTIFY_CNS_CSI_NS;
	request.csi = NVME_CSI_NVM;
	request.uuid_index = (uint8_t)uuid_index;
	if (!code)
		code = identify(&dev, &request, data);
	if (!code)
		code = cli_show(cli, args,
				identify_nvm_ns_json((const void *)data, (const void *)plain), data,
				sizeof(data));
	cli_device_close(&dev);
	return code;
}

static const struct cli_option nvm_id_ns_options[] = {
	{"namespace-id", 'n', "NSID", CLI_DEVICE_NSID_HELP},
	{"uuid-index", 'U', "INDEX", "UUID index, 0 to 127 (default 0)"},
	{"verbose", 'v', NULL, "taken for nvme-cli's sake"},
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_nvm_id_ns = {
	.name = "nvm-id-ns",
	.group = CLI_GROUP_READ,
	.summary = "Identify Namespace of the NVM command set",
	.usage = CLI_DEVICE_NS_USAGE " [-U INDEX]",
	.description = "Storage tags and protection information of the extended LBA formats. Keys "
		       "in JSON are nvme-cli's.",
	.options = nvm_id_ns_options,
	.max_args = 1,
	.binary = true,
	.run = run_nvm_id_ns,
};

/* ---- list-ns, list-ctrl ---- */

static int take_list_ns(const struct cli_device *dev, const struct cli_args *args,
			struct id_request *request, char *why, size_t why_size)
{
	bool all = cli_args_get(args, "all");
	uint64_t csi = 0;

	if (cli_args_number(args, "csi", 0, 255, &csi, why, why_size))
		return -EINVAL;
	if (dev->nsid_given && (!dev->nsid || dev->nsid > 0xfffffffe))
		return cli_refuse(why, why_size,
				  "--namespace-id: the list can begin at 1 to 4294967294");
	request->nsid = dev->nsid ? dev->nsid - 1 : 0;
	request->csi = (uint8_t)csi;
	if (cli_args_get(args, "csi"))
		request->cns = all ? NVME_IDENTIFY_CNS_CSI_ALLOCATED_NS_LIST
				   : NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST;
	else
		request->cns = all ? NVME_IDENTIFY_CNS_ALLOCATED_NS_LIST
				   : NVME_IDENTIFY_CNS_NS_ACTIVE_LIST;
	return 0;
}

static int run_list_ns(struct cli *cli, const struct cli_args *args)
{
	static const struct id_verb verb = {.take = take_list_ns, .decode = identify_ns_list_json};

	return run_verb(cli, args, &verb);
}

static const struct cli_option list_ns_options[] = {
	{"namespace-id", 'n', "NSID", "begin at this one (default 1)"},
	{"csi", 'y', "CSI", "only those of this command set: 0 NVM, 2 zoned"},
	{"all", 'a', NULL, "all that exist, not only the active ones"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const list_ns_examples[] = {
	"nvmux list-ns nvme0",
	"nvmux list-ns nvme0 --all",
	"nvmux list-ns --traddr 0000:01:00.0",
	NULL,
};

const struct cli_command cli_cmd_list_ns = {
	.name = "list-ns",
	.group = CLI_GROUP_READ,
	.summary = "the namespaces of a controller",
	.usage = "CTRL|-t TYPE --traddr ADDRESS [-n NSID] [-a] [-y CSI]",
	.description = "At most 1024 namespace ids, in order. -a is nvme-cli's --all here: spell "
		       "--traddr out. Keys in JSON are nvme-cli's.",
	.options = list_ns_options,
	.examples = list_ns_examples,
	.max_args = 1,
	.run = run_list_ns,
};

static int take_list_ctrl(const struct cli_device *dev, const struct cli_args *args,
			  struct id_request *request, char *why, size_t why_size)
{
	uint64_t cntid = 0;

	if (cli_args_number(args, "cntid", 0, UINT16_MAX, &cntid, why, why_size))
		return -EINVAL;
	request->cntid = (uint16_t)cntid;
	request->cns = dev->nsid ? NVME_IDENTIFY_CNS_NS_CTRL_LIST : NVME_IDENTIFY_CNS_CTRL_LIST;
	return 0;
}

static int run_list_ctrl(struct cli *cli, const struct cli_args *args)
{
	static const struct id_verb verb = {.take = take_list_ctrl,
					    .decode = identify_ctrl_list_json};

	return run_verb(cli, args, &verb);
}

static const struct cli_option list_ctrl_options[] = {
	{"cntid", 'c', "CNTID", "begin at this controller (default 0)"},
	{"namespace-id", 'n', "NSID", "only controllers that this namespace is attached to"},
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_list_ctrl = {
	.name = "list-ctrl",
	.group = CLI_GROUP_READ,
	.summary = "the controllers of a subsystem",
	.usage = CLI_DEVICE_NS_USAGE " [-c CNTID]",
	.description = "Controller ids of the subsystem, or of those that a namespace is attached "
		       "to. Keys in JSON are nvme-cli's.",
	.options = list_ctrl_options,
	.max_args = 1,
	.binary = true,
	.run = run_list_ctrl,
};
