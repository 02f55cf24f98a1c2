// SPDX-License-Identifier: BSD-3-Clause
/*
 * compare: blocks with a file.
 *
 * Happy path: the data, and the metadata where it is separate, is read; commands of as many blocks
 * as one may move compare it piece by piece. Failures: a file that is too short is found before
 * anything is sent; Compare Failure says in which piece the data differs.
 */
#include <nvme/types.h>

#include "cli/pi_opts.h"
#include "cli/progress.h"
#include "cli/show_cmd.h"

#define BLOCKS_MAX 65536u

struct compare {
	uint64_t slba, count; /* the latter counted from 0 */
	uint64_t data_size, md_size;
	uint64_t dtype, dspec, dsm;
	struct cli_pi pi;
	bool show, dry_run, latency;
};

static int take_options(struct cli *cli, const struct cli_args *args, struct compare *c)
{
	const struct cli_value values[] = {
		{"start-block", &c->slba, 0, UINT64_MAX},
		{"block-count", &c->count, 0, UINT32_MAX},
		{"dir-type", &c->dtype, 0, 15},
		{"dir-spec", &c->dspec, 0, UINT16_MAX},
		{"dsm", &c->dsm, 0, UINT8_MAX},
		{0},
	};
	const struct cli_value sizes[] = {
		{"data-size", &c->data_size, 1, UINT64_MAX},
		{"metadata-size", &c->md_size, 1, UINT64_MAX},
		{0},
	};
	int code = cli_values(cli, args, values);

	if (!code)
		code = cli_sizes(cli, args, sizes);
	c->dry_run = cli_args_get(args, "dry-run");
	c->show = c->dry_run || cli_args_get(args, "show-command");
	c->latency = cli_args_get(args, "latency");
	return code ? code : cli_pi_from_args(cli, args, &c->pi);
}

/* The sizes that were given must be those of the blocks. */
static int check_size(struct cli_device *dev, const char *option, uint64_t given, uint64_t needed)
{
	if (!given || given == needed)
		return CLI_OK;
	return cli_usage_error(dev->cli,
			       "--%s: is %llu; the blocks of --block-count have %llu bytes", option,
			       (unsigned long long)given, (unsigned long long)needed);
}

static int read_data(struct cli_device *dev, const struct cli_args *args, const struct compare *c,
		     struct cli_data *data, struct cli_data *md)
{
	uint64_t blocks = c->count + 1, size = nvmux_ns_get_extended_sector_size(dev->ns);
	uint64_t md_size = nvmux_ns_supports_extended_lba(dev->ns) ? 0
								   : nvmux_ns_get_md_size(dev->ns);
	const char *md_file = cli_args_get(args, "metadata");
	int code;

	if (md_file && !md_size)
		return cli_usage_error(dev->cli, "--metadata: %s has no separate metadata",
				       dev->label);
	if (!md_file && md_size)
		return cli_usage_error(
			dev->cli, "--metadata is needed: the blocks of %s have %llu bytes of it",
			dev->label, (unsigned long long)md_size);
	code = check_size(dev, "data-size", c->data_size, blocks * size);
	if (!code)
		code = check_size(dev, "metadata-size", c->md_size, blocks * md_size);
	if (!code)
		code = cli_data_alloc(dev->cli, blocks * size, 0, data);
	if (!code)
		code = cli_data_fill(dev->cli, cli_args_get(args, "data"), data);
	if (!code && md_size)
		code = cli_data_alloc(dev->cli, blocks * md_size, 0, md);
	if (!code && md_size)
		code = cli_data_fill(dev->cli, md_file, md);
	return code;
}

static int compare_piece(struct cli_device *dev, const struct compare *c, uint64_t first,
			 uint64_t n, const struct cli_data *data, const struct cli_data *md)
{
	size_t size = data->len / (c->count + 1), md_size = md->len / (c->count + 1);
	struct nvmux_cmd cmd = {
		.opc = nvme_cmd_compare,
		.nsid = htole32(dev->nsid),
		.cdw12 = htole32((uint32_t)(n - 1) | (uint32_t)c->dtype << 20),
		.cdw13 = htole32((uint32_t)c->dspec << 16 | (uint32_t)c->dsm),
	};
	uint64_t lba = c->slba + first;
	char what[96];

	cli_put_lba(&cmd, lba);
	cli_pi_put(&c->pi, dev->ns, c->slba, lba, &cmd);
	if (c->show)
		cli_show_command(&cmd, n * size, n * md_size, 0);
	if (c->dry_run)
		return CLI_OK;
	snprintf(what, sizeof(what), "compare of blocks %llu to %llu", (unsigned long long)lba,
		 (unsigned long long)(lba + n - 1));
	return cli_device_io_md(dev, what, &cmd, data->bytes + first * size, n * size,
				md_size ? md->bytes + first * md_size : NULL, n * md_size, NULL);
}

static int compare_all(struct cli_device *dev, const struct cli_args *args, struct compare *c)
{
	uint64_t limit = nvmux_ns_get_max_io_xfer_size(dev->ns) /
			 nvmux_ns_get_extended_sector_size(dev->ns);
	CLI_DATA data = {0};
	CLI_DATA md = {0};
	struct cli_progress progress;
	uint64_t start, us;
	int code = read_data(dev, args, c, &data, &md);

	if (code)
		return code;
	limit = limit < BLOCKS_MAX ? limit : BLOCKS_MAX;
	start = cli_now_ns();
	cli_progress_begin(&progress, data.len);
	for (uint64_t done = 0, n; !code && done <= c->count; done += n) {
		n = c->count + 1 - done < limit ? c->count + 1 - done : limit;
		code = compare_piece(dev, c, done, n, &data, &md);
		cli_progress_update(&progress, data.len / (c->count + 1) * (done + n));
	}
	cli_progress_end(&progress);
	if (code || c->dry_run)
		return code;
	us = (cli_now_ns() - start) / 1000;
	if (c->latency && !dev->cli->json)
		printf(" latency: compare: %llu us\n", (unsigned long long)us);
	return cli_report(dev,
			  json_pack("{s:I, s:I, s:I}", "slba", (json_int_t)c->slba, "blocks",
				    (json_int_t)(c->count + 1), "latency_us", (json_int_t)us),
			  "compare: blocks %llu to %llu are the same", (unsigned long long)c->slba,
			  (unsigned long long)(c->slba + c->count));
}

static int run_compare(struct cli *cli, const struct cli_args *args)
{
	struct compare c = {0};
	struct cli_device dev;
	int code = take_options(cli, args, &c);

	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	if (!code)
		code = compare_all(&dev, args, &c);
	cli_device_close(&dev);
	return code;
}

static const struct cli_option compare_options[] = {
	CLI_NSID_OPTION,
	{"start-block", 's', "LBA", "first block (default 0)"},
	{"block-count", 'c', "COUNT",
	 "number of blocks less one, as in the command (default 0: one block)"},
	{"data", 'd', "FILE", "what is compared (default: standard input)"},
	{"metadata", 'M', "FILE", "metadata, where it isn't part of the data"},
	{"data-size", 'z', "BYTES", "of the data: what the blocks have; only checked"},
	{"metadata-size", 'y', "BYTES", "of the metadata likewise"},
	CLI_PI_OPTIONS('g'),
	{"dir-type", 'T', "NUM", "directive type"},
	{"dir-spec", 'S', "NUM", "directive specific"},
	{"dsm", 'D', "NUM", "dataset management attributes"},
	{"show-command", 'v', NULL, "show the command before it is sent"},
	{"dry-run", 'w', NULL, "show the command instead of sending it"},
	{"latency", 't', NULL, "say how long it took"},
	{"force", 0, NULL, "for likeness with nvme-cli; changes nothing"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const compare_examples[] = {
	"nvmux compare nvme0/1 -s 0 -c 7 -d expected.bin",
	"nvmux compare nvme0/1 < block.bin",
	NULL,
};

const struct cli_command cli_cmd_compare = {
	.name = "compare",
	.group = CLI_GROUP_BLOCKS,
	.summary = "have the controller compare blocks with a file",
	.usage = CLI_VERB_NS_USAGE " [-s LBA] [-c COUNT] [-d FILE] ...",
	.description = "Sends Compare, several where one can't move all of it. The exit code is 4 "
		       "where the "
		       "data differs (Compare Failure).",
	.options = compare_options,
	.examples = compare_examples,
	.max_args = 1,
	.run = run_compare,
};
