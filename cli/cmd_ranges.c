// SPDX-License-Identifier: BSD-3-Clause
/* dsm and copy: commands with a list of ranges. NVM command set 1.0, sections 3.2.2 and 3.2.3. */
#include <nvme/types.h>

#include "cli/pi_opts.h"

#define DSM_ATTRIBUTES 7u
#define FUA            (1u << 30)
#define LIMITED_RETRY  (1u << 31)

/* ---- dataset management ---- */

/* Which of the lists are as long as the ranges are many. */
static int check_counts(struct cli *cli, unsigned wanted, const char *option, unsigned count)
{
	if (!count || count == wanted)
		return CLI_OK;
	return cli_usage_error(cli, "--%s has %u values, --slbs has %u", option, count, wanted);
}

static int take_dsm_ranges(struct cli *cli, const struct cli_args *args,
			   struct nvmux_dsm_range *ranges, unsigned *ret_n)
{
	uint64_t slbs[NVMUX_DSM_RANGES_MAX], blocks[NVMUX_DSM_RANGES_MAX];
	uint64_t attributes[NVMUX_DSM_RANGES_MAX] = {0};
	unsigned n, n_blocks, n_attributes;
	int code;

	code = cli_value_list(cli, args, "slbs", UINT64_MAX, slbs, NVMUX_DSM_RANGES_MAX, &n);
	if (!code)
		code = cli_value_list(cli, args, "blocks", UINT32_MAX, blocks, NVMUX_DSM_RANGES_MAX,
				      &n_blocks);
	if (!code)
		code = cli_value_list(cli, args, "ctx-attrs", UINT32_MAX, attributes,
				      NVMUX_DSM_RANGES_MAX, &n_attributes);
	if (!code && (!n || !n_blocks))
		code = cli_usage_error(cli, "--%s is needed: the ranges", n ? "blocks" : "slbs");
	if (!code)
		code = check_counts(cli, n, "blocks", n_blocks);
	if (!code)
		code = check_counts(cli, n, "ctx-attrs", n_attributes);
	if (code)
		return code;
	for (unsigned i = 0; i < n; i++) {
		ranges[i] = (struct nvmux_dsm_range){
			.attributes = htole32((uint32_t)attributes[i]),
			.lba_count = htole32((uint32_t)blocks[i]),
			.lba = htole64(slbs[i]),
		};
	}
	*ret_n = n;
	return CLI_OK;
}

static int send_dsm(struct cli_device *dev, const struct nvmux_cmd *cmd,
		    struct nvmux_dsm_range *ranges, unsigned n)
{
	int code = cli_device_io(dev, "dataset management", cmd, ranges, n * sizeof(ranges[0]),
				 NULL);

	if (code)
		return code;
	return cli_report(
		dev,
		json_pack("{s:i, s:i}", "ranges", (int)n, "attributes", (int)le32toh(cmd->cdw11)),
		"dataset management: %u range%s", n, n == 1 ? "" : "s");
}

static int run_dsm(struct cli *cli, const struct cli_args *args)
{
	struct nvmux_dsm_range ranges[NVMUX_DSM_RANGES_MAX];
	struct nvmux_cmd cmd = {.opc = nvme_cmd_dsm};
	uint64_t cdw11 = (cli_args_get(args, "ad") ? NVMUX_DSM_DEALLOCATE : 0u) |
			 (cli_args_get(args, "idw") ? NVMUX_DSM_INTEGRAL_WRITE : 0u) |
			 (cli_args_get(args, "idr") ? NVMUX_DSM_INTEGRAL_READ : 0u);
	const struct cli_value values[] = {{"cdw11", &cdw11, 0, UINT32_MAX}, {0}};
	struct cli_device dev;
	unsigned n = 0;
	int code = cli_values(cli, args, values);

	if (!code)
		code = take_dsm_ranges(cli, args, ranges, &n);
	if (!code && !(cdw11 & DSM_ATTRIBUTES))
		code = cli_usage_error(cli, "what about the ranges? --ad, --idw, --idr or --cdw11");
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	cmd.nsid = htole32(dev.nsid);
	cmd.cdw10 = htole32(n - 1);
	cmd.cdw11 = htole32((uint32_t)cdw11);
	if (!code)
		code = send_dsm(&dev, &cmd, ranges, n);
	cli_device_close(&dev);
	return code;
}

static const struct cli_option dsm_options[] = {
	CLI_NSID_OPTION,
	{"slbs", 's', "LIST", "first block of each range, such as 0,4096"},
	{"blocks", 'b', "LIST", "number of blocks of each range"},
	{"ctx-attrs", 'a', "LIST", "context attributes of each range (default 0)"},
	{"ad", 'd', NULL, "deallocate"},
	{"idw", 'w', NULL, "to be written as an integral unit"},
	{"idr", 'r', NULL, "to be read as an integral unit"},
	{"cdw11", 'c', "NUM", "all attributes at once, as in command dword 11"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const dsm_examples[] = {
	"nvmux dsm nvme0/1 --ad -s 0 -b 2048",
	"nvmux dsm nvme0/1 --ad -s 0,8192 -b 8,16",
	NULL,
};

const struct cli_command cli_cmd_dsm = {
	.name = "dsm",
	.group = CLI_GROUP_BLOCKS,
	.summary = "deallocate ranges of blocks, or say how they are used",
	.usage = CLI_VERB_NS_USAGE " -s LIST -b LIST [--ad] [--idw] [--idr] ...",
	.description = "Sends Dataset Management with up to 256 ranges. With --ad the data of the "
		       "ranges is given up.",
	.options = dsm_options,
	.examples = dsm_examples,
	.max_args = 1,
	.run = run_dsm,
};

/* ---- copy ---- */

struct copy {
	uint64_t sdlba, prinfow, prinfor, ref_tag, app_tag, app_tag_mask, dtype, dspec, format;
	unsigned n;
	bool ref_tag_given, ref_tags_given;
	struct nvmux_copy_range ranges[NVMUX_COPY_RANGES_MAX];
};

static int take_copy_values(struct cli *cli, const struct cli_args *args, struct copy *c)
{
	const struct cli_value values[] = {
		{"sdlba", &c->sdlba, 0, UINT64_MAX},
		{"prinfow", &c->prinfow, 0, 15},
		{"prinfor", &c->prinfor, 0, 15},
		{"ref-tag", &c->ref_tag, 0, UINT32_MAX},
		{"app-tag", &c->app_tag, 0, UINT16_MAX},
		{"app-tag-mask", &c->app_tag_mask, 0, UINT16_MAX},
		{"dir-type", &c->dtype, 0, 15},
		{"dir-spec", &c->dspec, 0, UINT16_MAX},
		{"format", &c->format, 0, 15},
		{0},
	};
	int code = cli_values(cli, args, values);

	if (!code && c->format)
		code = cli_usage_error(cli,
				       "--format: %llu isn't supported; 0, for guards of 16 bits "
				       "inside one namespace, is",
				       (unsigned long long)c->format);
	return code;
}

/* The lists of the sources, one value for each. */
static int take_copy_ranges(struct cli *cli, const struct cli_args *args, struct copy *c)
{
	struct {
		const char *name;
		uint64_t max;
		uint64_t list[NVMUX_COPY_RANGES_MAX];
		unsigned n;
	} lists[] = {
		{.name = "slbs", .max = UINT64_MAX},
		{.name = "blocks", .max = UINT16_MAX},
		{.name = "expected-ref-tags", .max = UINT32_MAX},
		{.name = "expected-app-tags", .max = UINT16_MAX},
		{.name = "expected-app-tag-masks", .max = UINT16_MAX},
	};
	int code = CLI_OK;

	for (size_t i = 0; !code && i < sizeof(lists) / sizeof(lists[0]); i++) {
		code = cli_value_list(cli, args, lists[i].name, lists[i].max, lists[i].list,
				      NVMUX_COPY_RANGES_MAX, &lists[i].n);
		if (!code && i < 2 && !lists[i].n)
			code = cli_usage_error(cli, "--%s is needed: the sources", lists[i].name);
		if (!code && i)
			code = check_counts(cli, lists[0].n, lists[i].name, lists[i].n);
	}
	for (unsigned i = 0; !code && i < lists[0].n; i++) {
		c->ranges[i] = (struct nvmux_copy_range){
			.lba = htole64(lists[0].list[i]),
			.lba_count = htole16((uint16_t)lists[1].list[i]),
			.reftag = htole32((uint32_t)lists[2].list[i]),
			.apptag = htole16((uint16_t)lists[3].list[i]),
			.apptag_mask = htole16((uint16_t)lists[4].list[i]),
		};
	}
	c->n = lists[0].n;
	c->ref_tag_given = cli_args_get(args, "ref-tag");
	c->ref_tags_given = lists[2].n;
	return code;
}

/* With types 1 and 2 of protection information a block's tag is that of its number. */
static void default_ref_tags(const struct cli_device *dev, struct copy *c)
{
	enum nvmux_pi_type type = nvmux_ns_get_pi_type(dev->ns);

	if (type != NVMUX_PI_TYPE1 && type != NVMUX_PI_TYPE2)
		return;
	if (!c->ref_tag_given)
		c->ref_tag = (uint32_t)c->sdlba;
	for (unsigned i = 0; !c->ref_tags_given && i < c->n; i++)
		c->ranges[i].reftag = htole32((uint32_t)le64toh(c->ranges[i].lba));
}

static int send_copy(struct cli_device *dev, const struct cli_args *args, struct copy *c)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_cmd_copy,
		.nsid = htole32(dev->nsid),
		.cdw12 = htole32((c->n - 1) | (uint32_t)c->prinfor << 12 |
				 (uint32_t)c->dtype << 20 | (uint32_t)c->prinfow << 26 |
				 (cli_args_get(args, "force-unit-access") ? FUA : 0) |
				 (cli_args_get(args, "limited-retry") ? LIMITED_RETRY : 0)),
		.cdw13 = htole32((uint32_t)c->dspec << 16),
		.cdw14 = htole32((uint32_t)c->ref_tag),
		.cdw15 = htole32((uint32_t)c->app_tag_mask << 16 | (uint32_t)c->app_tag),
	};
	uint64_t blocks = 0;
	int code;

	for (unsigned i = 0; i < c->n; i++)
		blocks += le16toh(c->ranges[i].lba_count) + 1u;
	cli_put_lba(&cmd, c->sdlba);
	code = cli_device_io(dev, "copy", &cmd, c->ranges, c->n * sizeof(c->ranges[0]), NULL);
	if (code)
		return code;
	return cli_report(dev,
			  json_pack("{s:I, s:I, s:i}", "sdlba", (json_int_t)c->sdlba, "blocks",
				    (json_int_t)blocks, "ranges", (int)c->n),
			  "copy: %llu blocks of %u range%s to block %llu",
			  (unsigned long long)blocks, c->n, c->n == 1 ? "" : "s",
			  (unsigned long long)c->sdlba);
}

static int run_copy(struct cli *cli, const struct cli_args *args)
{
	struct copy c = {0};
	struct cli_device dev;
	int code = take_copy_values(cli, args, &c);

	if (!code)
		code = take_copy_ranges(cli, args, &c);
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	if (!code) {
		default_ref_tags(&dev, &c);
		code = send_copy(&dev, args, &c);
	}
	cli_device_close(&dev);
	return code;
}

static const struct cli_option copy_options[] = {
	CLI_NSID_OPTION,
	{"sdlba", 'd', "LBA", "first block of the destination (default 0)"},
	{"slbs", 's', "LIST", "first block of each source"},
	{"blocks", 'b', "LIST", "number of blocks of each source less one, as in the command"},
	{"limited-retry", 'l', NULL, "the controller tries less hard"},
	{"force-unit-access", 'f', NULL, "the command ends when the data is on the media"},
	{"prinfow", 'p', "BITS", "protection information of the destination, 0 to 15"},
	{"prinfor", 'P', "BITS", "that of the sources"},
	{"ref-tag", 'r', "NUM",
	 "reference tag of the destination's first block (default with protection types 1 and 2: "
	 "the low 32 bits of its number)"},
	{"expected-ref-tags", 'R', "LIST", "those of the sources (default likewise)"},
	{"app-tag", 'a', "NUM", "application tag of the destination"},
	{"expected-app-tags", 'A', "LIST", "those of the sources"},
	{"app-tag-mask", 'm', "NUM", "mask of the destination's application tag"},
	{"expected-app-tag-masks", 'M', "LIST", "those of the sources"},
	{"dir-type", 'T', "NUM", "directive type"},
	{"dir-spec", 'S', "NUM", "directive specific"},
	{"format", 'F', "NUM", "of the list; 0 is supported"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const copy_examples[] = {
	"nvmux copy nvme0/1 --sdlba 1024 --slbs 0 --blocks 7",
	"nvmux copy nvme0/1 -d 1024 -s 0,512 -b 7,0",
	NULL,
};

const struct cli_command cli_cmd_copy = {
	.name = "copy",
	.group = CLI_GROUP_BLOCKS,
	.summary = "have the controller copy blocks inside a namespace",
	.usage = CLI_VERB_NS_USAGE " -d LBA -s LIST -b LIST ...",
	.description = "Sends Copy: the sources, one after the other, go to one range of blocks.",
	.options = copy_options,
	.examples = copy_examples,
	.max_args = 1,
	.run = run_copy,
};
