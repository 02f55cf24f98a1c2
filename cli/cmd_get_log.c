// SPDX-License-Identifier: BSD-3-Clause
/* get-log: any log page, as bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/device.h"
#include "cli/fields.h"
#include "cli/get_log.h"
#include "cli/verb.h"
#include "decode/fields.h"

#define LEN_MAX (256u << 20)
#define AEN_LEN 4096 /* with --aen, when no length is given */

struct get_log {
	uint64_t lid;
	uint64_t len;
	struct nvmux_log_opts opts;
};

/* What doesn't depend on the controller. 0, or -EINVAL with @why. */
static int take(const struct cli_args *args, struct get_log *ret, char *why, size_t why_size)
{
	uint64_t aen = 0, lpo = 0, lsp = 0, lsi = 0, csi = 0, uuid = 0;

	*ret = (struct get_log){.lid = UINT64_MAX, .opts.size = sizeof(ret->opts)};
	if (cli_args_number(args, "log-id", 0, 255, &ret->lid, why, why_size) ||
	    cli_args_size(args, "log-len", 1, LEN_MAX, &ret->len, why, why_size) ||
	    cli_args_number(args, "aen", 0, UINT32_MAX, &aen, why, why_size) ||
	    cli_args_size(args, "lpo", 0, UINT64_MAX - LEN_MAX, &lpo, why, why_size) ||
	    cli_args_number(args, "lsp", 0, 127, &lsp, why, why_size) ||
	    cli_args_number(args, "lsi", 0, UINT16_MAX, &lsi, why, why_size) ||
	    cli_args_number(args, "csi", 0, 255, &csi, why, why_size) ||
	    cli_args_number(args, "uuid-index", 0, 127, &uuid, why, why_size))
		return -EINVAL;
	if (cli_args_get(args, "aen")) {
		ret->lid = aen >> 16 & 0xff;
		ret->len = AEN_LEN;
	}
	if (ret->lid == UINT64_MAX)
		return cli_refuse(why, why_size, "--log-id is missing: which page, 0 to 255?");
	if (!ret->len)
		return cli_refuse(why, why_size, "--log-len is missing: how many bytes?");
	if (ret->len % 4)
		return cli_refuse(why, why_size,
				  "--log-len: %llu isn't a multiple of 4, as lengths of log pages "
				  "are",
				  (unsigned long long)ret->len);
	if (lpo % 4 && !cli_args_get(args, "ot"))
		return cli_refuse(why, why_size, "--lpo: %llu isn't a multiple of 4",
				  (unsigned long long)lpo);
	ret->opts.offset = lpo;
	ret->opts.lsp = (uint8_t)lsp;
	ret->opts.lsi = (uint16_t)lsi;
	ret->opts.csi = (uint8_t)csi;
	ret->opts.uuid_index = (uint8_t)uuid;
	ret->opts.offset_is_index = cli_args_get(args, "ot");
	ret->opts.clear = !cli_args_get(args, "rae");
	return 0;
}

static int show(const struct cli_device *dev, const struct cli_args *args,
		const struct get_log *log, uint32_t nsid, const uint8_t *data)
{
	CLI_JSON *json = NULL;

	if (cli_wants_binary(dev->cli, args))
		return cli_print_binary(dev->cli, data, log->len);
	if (dev->cli->json) {
		json = json_pack("{s:s,s:I,s:I,s:I,s:o}", "device", dev->label, "log_id",
				 (json_int_t)log->lid, "namespace_id", (json_int_t)nsid, "length",
				 (json_int_t)log->len, "data", decode_hex_json(data, log->len));
		return cli_print_json(dev->cli, json);
	}
	printf("Device:%s log-id:%u namespace-id:%#x\n", dev->label, (unsigned)log->lid, nsid);
	cli_data_show(data, log->len);
	return CLI_OK;
}

static int run_get_log(struct cli *cli, const struct cli_args *args)
{
	struct cli_device dev;
	struct get_log log;
	uint8_t *data = NULL;
	uint32_t nsid;
	char why[256];
	int code;

	if (take(args, &log, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	code = cli_device_open(cli, args, 0, &dev);
	nsid = dev.nsid_given ? dev.nsid : UINT32_MAX;
	if (!code) {
		data = calloc(1, log.len);
		code = data ? cli_read_log(&dev, (uint8_t)log.lid, nsid, &log.opts, data, log.len)
			    : cli_device_error(&dev, "get log page", -ENOMEM);
	}
	if (!code)
		code = show(&dev, args, &log, nsid, data);
	cli_device_close(&dev);
	free(data);
	return code;
}

static const struct cli_option get_log_options[] = {
	{"namespace-id", 'n', "NSID", "of this namespace (default 0xffffffff)"},
	{"log-id", 'i', "LID", "which page, 0 to 255"},
	{"log-len", 'l', "BYTES", "how many bytes of it, a multiple of 4"},
	{"aen", 0, "DW0",
	 "the dword of an asynchronous event instead: 4096 bytes of the page that it names"},
	{"lpo", 'o', "BYTES", "from this offset on, a multiple of 4"},
	{"lsp", 's', "LSP", "log specific field, 0 to 127"},
	{"lsi", 'S', "LSI", "log specific identifier, 0 to 65535"},
	{"rae", 'r', NULL, "don't clear the page's event; through nvmuxd that is always so"},
	{"uuid-index", 'U', "INDEX", "UUID index, 0 to 127"},
	CLI_RAW_OPTION,
	{"csi", 'y', "CSI", "command set identifier"},
	{"ot", 'O', NULL, "--lpo is an index, not an offset"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const get_log_examples[] = {
	"nvmux get-log nvme0 -i 2 -l 512",
	"nvmux get-log nvme0 --log-id 0x0d --log-len 64K --lsp 1 -b > events.bin",
	"nvmux get-log nvme0 -i 5 -l 4096 --output-format json",
	NULL,
};

const struct cli_command cli_cmd_get_log = {
	.name = "get-log",
	.group = CLI_GROUP_READ,
	.summary = "any log page, as bytes",
	.usage = CLI_DEVICE_NS_USAGE " -i LID -l BYTES [-o OFFSET] [-s LSP] [-S LSI] [-b]",
	.description = "Longer pages are read in several commands. -o, -s and -S are nvme-cli's "
		       "here: spell --output-format and --socket out, or put them before the "
		       "command.",
	.options = get_log_options,
	.examples = get_log_examples,
	.max_args = 1,
	.binary = true,
	.run = run_get_log,
};
