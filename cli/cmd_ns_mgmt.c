// SPDX-License-Identifier: BSD-3-Clause
/* create-ns, delete-ns, attach-ns, detach-ns. Base specification 2.0, sections 5.20 and 5.21. */
#include <string.h>
#include <nvme/types.h>

#include "cli/verb.h"
#include "decode/identify_json.h"

#define SEL_CREATE   0u
#define SEL_DELETE   1u
#define SEL_ATTACH   0u
#define SEL_DETACH   1u
#define CNTIDS_MAX   2047u
#define NSID_ALL     0xffffffffu
#define LBSTM_OFFSET 384 /* NVM command set 1.0, section 4.1.6 */
#define LBAFS_MAX    64u
#define FLBAS_NONE   0xff

/* ---- create ---- */

struct create {
	uint64_t nsze, ncap, flbas, dps, nmic, anagrpid, nvmsetid, block_size, csi, lbstm;
	uint64_t timeout_ms;
	const char *nsze_si, *ncap_si; /* in bytes, decimal units */
};

/* "1.5T", "64G": powers of 1000, as disks are sold. 0 bytes is none. */
static int parse_si(struct cli *cli, const char *option, const char *text, uint64_t *ret)
{
	static const char units[] = "KMGTPE";
	size_t len = strlen(text);
	const char *unit = len ? strchr(units, text[len - 1] & ~0x20) : NULL;
	double factor = 1;
	char number[32];
	char *end;
	double v;

	for (const char *u = units; unit && u <= unit; u++)
		factor *= 1000;
	snprintf(number, sizeof(number), "%.*s", (int)(unit ? len - 1 : len), text);
	v = number[0] >= '0' && number[0] <= '9' ? strtod(number, &end) * factor : 0;
	if (v < 1 || v > 1e19 || *end)
		return cli_usage_error(cli, "--%s: \"%s\" isn't a size such as 64G or 1.5T", option,
				       text);
	*ret = (uint64_t)v;
	return CLI_OK;
}

static int take_create(struct cli *cli, const struct cli_args *args, struct create *c)
{
	const struct cli_value values[] = {
		{"nsze", &c->nsze, 1, UINT64_MAX},
		{"ncap", &c->ncap, 1, UINT64_MAX},
		{"flbas", &c->flbas, 0, 0x7f},
		{"dps", &c->dps, 0, 0xf},
		{"nmic", &c->nmic, 0, UINT8_MAX},
		{"anagrp-id", &c->anagrpid, 0, UINT32_MAX},
		{"nvmset-id", &c->nvmsetid, 0, UINT16_MAX},
		{"block-size", &c->block_size, 512, 1u << 31},
		{"timeout", &c->timeout_ms, 0, UINT32_MAX},
		{"csi", &c->csi, 0, UINT8_MAX},
		{"lbstm", &c->lbstm, 0, UINT64_MAX},
		{0},
	};
	int code = cli_values(cli, args, values);

	c->nsze_si = cli_args_get(args, "nsze-si");
	c->ncap_si = cli_args_get(args, "ncap-si");
	if (code)
		return code;
	if (!!c->nsze == !!c->nsze_si)
		return cli_usage_error(cli, "--nsze (blocks) or --nsze-si (bytes) is needed");
	if (c->ncap && c->ncap_si)
		return cli_usage_error(cli, "--ncap and --ncap-si exclude each other");
	if (c->flbas != FLBAS_NONE && c->block_size)
		return cli_usage_error(cli, "--flbas and --block-size exclude each other");
	return CLI_OK;
}

/* The format's index from the block size, and sizes in blocks from those in bytes. */
static int complete(struct cli_device *dev, struct create *c)
{
	struct nvme_id_ns id;
	uint32_t n, shift;
	uint64_t bytes = 0;
	int code = cli_identify(dev, NVME_IDENTIFY_CNS_NS, 0, NSID_ALL, &id);

	if (code)
		return code;
	n = id.nlbaf + 1u < LBAFS_MAX ? id.nlbaf + 1u : LBAFS_MAX;
	for (uint32_t i = 0; c->block_size && c->flbas == FLBAS_NONE && i < n; i++) {
		if (id.lbaf[i].ds < 32 && 1ull << id.lbaf[i].ds == c->block_size && !id.lbaf[i].ms)
			c->flbas = (i & 15) | (i >> 4) << 5;
	}
	if (c->block_size && c->flbas == FLBAS_NONE) {
		cli_error(dev->cli, "%s: no format has blocks of %llu bytes and no metadata",
			  dev->label, (unsigned long long)c->block_size);
		return CLI_FAILED;
	}
	if (c->flbas == FLBAS_NONE)
		c->flbas = 0;
	shift = id.lbaf[identify_format_index((uint8_t)c->flbas)].ds & 31;
	if (c->nsze_si)
		code = parse_si(dev->cli, "nsze-si", c->nsze_si, &bytes);
	if (!code && c->nsze_si)
		c->nsze = bytes >> shift;
	if (!code && c->ncap_si)
		code = parse_si(dev->cli, "ncap-si", c->ncap_si, &bytes);
	if (!code && c->ncap_si)
		c->ncap = bytes >> shift;
	return code;
}

static int create(struct cli_device *dev, struct create *c)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_ns_mgmt,
		.cdw10 = htole32(SEL_CREATE),
		.cdw11 = htole32((uint32_t)c->csi << 24),
	};
	struct nvme_id_ns data = {0};
	uint64_t lbstm = htole64(c->lbstm);
	int code = CLI_OK;

	if (c->nsze_si || c->ncap_si || c->block_size)
		code = complete(dev, c);
	if (!c->ncap)
		c->ncap = c->nsze;
	if (!code && c->ncap > c->nsze)
		code = cli_usage_error(dev->cli, "--ncap%s: %llu blocks; the size is only %llu",
				       c->ncap_si ? "-si" : "", (unsigned long long)c->ncap,
				       (unsigned long long)c->nsze);
	if (code)
		return code;
	data.nsze = htole64(c->nsze);
	data.ncap = htole64(c->ncap);
	data.flbas = c->flbas == FLBAS_NONE ? 0 : (uint8_t)c->flbas;
	data.dps = (uint8_t)c->dps;
	data.nmic = (uint8_t)c->nmic;
	data.anagrpid = htole32((uint32_t)c->anagrpid);
	data.nvmsetid = htole16((uint16_t)c->nvmsetid);
	memcpy((uint8_t *)&data + LBSTM_OFFSET, &lbstm, sizeof(lbstm));
	dev->timeout_ms = c->timeout_ms;
	code = cli_device_admin(dev, "namespace creation", &cmd, &data, sizeof(data), NULL);
	if (code)
		return code;
	dev->nsid = dev->dw0;
	return cli_report(dev, NULL, "created namespace %u; nvmux attach-ns makes it usable",
			  dev->dw0);
}

static int run_create(struct cli *cli, const struct cli_args *args)
{
	struct create c = {.flbas = FLBAS_NONE};
	struct cli_device dev;
	int code = take_create(cli, args, &c);

	if (code)
		return code;
	code = cli_device_open(cli, args, 0, &dev);
	if (!code)
		code = create(&dev, &c);
	cli_device_close(&dev);
	return code;
}

/* ---- delete ---- */

/* These change the namespace that is named, never one that is guessed. */
static int check_named(struct cli_device *dev, bool all)
{
	if (!dev->nsid_given)
		return cli_usage_error(dev->cli, "which namespace? CTRL/NSID or --namespace-id");
	if (!dev->nsid || (dev->nsid == NSID_ALL && !all))
		return cli_usage_error(dev->cli, "--namespace-id: %#x isn't a namespace",
				       dev->nsid);
	return CLI_OK;
}

static int delete (struct cli_device *dev)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_ns_mgmt,
		.nsid = htole32(dev->nsid),
		.cdw10 = htole32(SEL_DELETE),
	};
	int code = cli_device_admin(dev, "namespace deletion", &cmd, NULL, 0, NULL);

	if (code)
		return code;
	if (dev->nsid == NSID_ALL)
		return cli_report(dev, NULL, "deleted all namespaces");
	return cli_report(dev, NULL, "deleted namespace %u", dev->nsid);
}

static int run_delete(struct cli *cli, const struct cli_args *args)
{
	uint64_t timeout_ms = 0;
	const struct cli_value values[] = {{"timeout", &timeout_ms, 0, UINT32_MAX}, {0}};
	struct cli_device dev;
	int code = cli_values(cli, args, values);

	if (!code)
		code = cli_confirm(cli, args, "the namespace and all its data will be gone");
	if (code)
		return code;
	code = cli_device_open(cli, args, 0, &dev);
	dev.timeout_ms = timeout_ms;
	if (!code)
		code = check_named(&dev, true);
	if (!code)
		code = delete (&dev);
	cli_device_close(&dev);
	return code;
}

/* ---- attach, detach ---- */

/* The controllers named, in ascending order as the list must be; or the one that is asked. */
static int fill_list(struct cli_device *dev, const struct cli_args *args, __le16 list[2048])
{
	uint64_t ids[CNTIDS_MAX];
	unsigned n = 0;
	int code = cli_value_list(dev->cli, args, "controllers", UINT16_MAX, ids, CNTIDS_MAX, &n);

	if (code)
		return code;
	if (!n)
		ids[n++] = nvmux_ctrlr_get_id(dev->ctrlr);
	for (unsigned i = 0; i < n; i++) {
		unsigned at = i;

		for (; at && le16toh(list[at]) > ids[i]; at--)
			list[at + 1] = list[at];
		list[at + 1] = htole16((uint16_t)ids[i]);
	}
	list[0] = htole16((uint16_t)n);
	return CLI_OK;
}

static int change_attachment(struct cli_device *dev, const struct cli_args *args, uint32_t sel)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_ns_attach,
		.nsid = htole32(dev->nsid),
		.cdw10 = htole32(sel),
	};
	__le16 list[2048] = {0};
	json_t *ids;
	unsigned n;
	int code = fill_list(dev, args, list);

	if (!code)
		code = cli_device_admin(
			dev, sel == SEL_ATTACH ? "namespace attachment" : "namespace detachment",
			&cmd, list, sizeof(list), NULL);
	if (code)
		return code;
	n = le16toh(list[0]);
	ids = json_array();
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(ids, json_integer(le16toh(list[i + 1])));
	return cli_report(dev, json_pack("{s:o}", "controllers", ids),
			  "namespace %u %s %u controller%s", dev->nsid,
			  sel == SEL_ATTACH ? "attached to" : "detached from", n,
			  n == 1 ? "" : "s");
}

static int run_attachment(struct cli *cli, const struct cli_args *args, uint32_t sel)
{
	struct cli_device dev;
	int code = cli_device_open(cli, args, 0, &dev);

	if (!code)
		code = check_named(&dev, false);
	if (!code)
		code = change_attachment(&dev, args, sel);
	cli_device_close(&dev);
	return code;
}

static int run_attach(struct cli *cli, const struct cli_args *args)
{
	return run_attachment(cli, args, SEL_ATTACH);
}

static int run_detach(struct cli *cli, const struct cli_args *args)
{
	return run_attachment(cli, args, SEL_DETACH);
}

/* ---- tables ---- */

#define ADMIN_TEXT "Needs the admin right through the daemon."

static const struct cli_option create_options[] = {
	{"nsze", 's', "BLOCKS", "size (NSZE)"},
	{"ncap", 'c', "BLOCKS", "capacity (NCAP; default: the size)"},
	{"nsze-si", 'S', "BYTES", "size in bytes with decimal units, such as 64G"},
	{"ncap-si", 'C', "BYTES", "capacity likewise"},
	{"flbas", 'f', "NUM", "format (FLBAS; default 0)"},
	{"block-size", 'b', "BYTES",
	 "instead: the format with blocks of this size and no metadata"},
	{"dps", 'd', "NUM", "protection information (DPS; default 0)"},
	{"nmic", 'm', "NUM", "1: several controllers may use it (NMIC; default 0)"},
	{"anagrp-id", 'a', "NUM", "ANA group (default 0)"},
	{"nvmset-id", 'i', "NUM", "NVM set (default 0)"},
	{"csi", 'y', "NUM", "command set: 0 NVM, 2 zoned (default 0)"},
	{"lbstm", 'l', "NUM", "storage tag mask (default 0)"},
	CLI_TIMEOUT_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const create_examples[] = {
	"nvmux create-ns nvme0 --nsze 262144 --block-size 4096",
	"nvmux create-ns nvme0 --nsze-si 64G --flbas 0",
	NULL,
};

const struct cli_command cli_cmd_create_ns = {
	.name = "create-ns",
	.group = CLI_GROUP_MANAGE,
	.summary = "create a namespace",
	.usage = CLI_VERB_USAGE " -s BLOCKS [-c BLOCKS] [-f NUM|-b BYTES] ...",
	.description = "Sends Namespace Management, and says the new namespace's id. No controller "
		       "has it until nvmux attach-ns. " ADMIN_TEXT,
	.options = create_options,
	.examples = create_examples,
	.max_args = 1,
	.run = run_create,
};

static const struct cli_option delete_options[] = {
	{"namespace-id", 'n', "NSID", CLI_DEVICE_NSID_HELP "; 0xffffffff: all of them"},
	CLI_TIMEOUT_OPTION,
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const delete_examples[] = {"nvmux delete-ns nvme0 -n 3", NULL};

const struct cli_command cli_cmd_delete_ns = {
	.name = "delete-ns",
	.group = CLI_GROUP_MANAGE,
	.summary = "delete a namespace",
	.usage = CLI_VERB_USAGE " -n NSID [--force]",
	.description = "Sends Namespace Management. Asks first; where nobody can be asked, --force "
		       "is needed. " ADMIN_TEXT,
	.options = delete_options,
	.examples = delete_examples,
	.max_args = 1,
	.run = run_delete,
};

static const struct cli_option attach_options[] = {
	CLI_NSID_OPTION,
	{"controllers", 'c', "LIST", "controller ids, such as 1,2 (default: that of CTRL)"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const attach_examples[] = {"nvmux attach-ns nvme0 -n 3", NULL};
static const char *const detach_examples[] = {"nvmux detach-ns nvme0 -n 3 -c 1,2", NULL};

const struct cli_command cli_cmd_attach_ns = {
	.name = "attach-ns",
	.group = CLI_GROUP_MANAGE,
	.summary = "give a namespace to controllers of the subsystem",
	.usage = CLI_VERB_USAGE " -n NSID [-c LIST]",
	.description = "Sends Namespace Attachment. " ADMIN_TEXT,
	.options = attach_options,
	.examples = attach_examples,
	.max_args = 1,
	.run = run_attach,
};

const struct cli_command cli_cmd_detach_ns = {
	.name = "detach-ns",
	.group = CLI_GROUP_MANAGE,
	.summary = "take a namespace from controllers of the subsystem",
	.usage = CLI_VERB_USAGE " -n NSID [-c LIST]",
	.description = "Sends Namespace Attachment; the data stays. " ADMIN_TEXT,
	.options = attach_options,
	.examples = detach_examples,
	.max_args = 1,
	.run = run_detach,
};
