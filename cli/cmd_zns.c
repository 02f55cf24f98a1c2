// SPDX-License-Identifier: BSD-3-Clause
/*
 * zns: what changes zones. Zoned namespace command set 1.1, sections 3.4.1 and 3.4.3.
 *
 * The actions are one command with a name each. What loses the data of all zones, and what can't
 * be undone, is asked about first.
 */
#include <string.h>
#include <nvme/types.h>

#include "cli/pi_opts.h"
#include "cli/zns.h"
#include "decode/fields.h"

#define SELECT_ALL (1u << 8)
#define ZRWAA      (1u << 9) /* action specific option */
#define PIREMAP    (1u << 25)
#define DESC_UNIT  64u
#define APPEND_MAX 65536u /* blocks */
#define PI_BYTES   8u

struct action {
	uint64_t zsa, slba;
	bool all, option;
	const char *what;
	const char *data_file; /* of a descriptor extension */
	uint64_t data_len;
	bool with_data;
};

static int confirm_action(struct cli *cli, const struct cli_args *args, const struct action *a)
{
	if (a->zsa == NVME_ZNS_ZSA_OFFLINE)
		return cli_confirm(cli, args,
				   "zones that are taken offline stay so, and their "
				   "data can't be read any more");
	if (a->zsa == NVME_ZNS_ZSA_RESET && a->all)
		return cli_confirm(cli, args, "all data of the namespace's zones is lost");
	return CLI_OK;
}

/* The extension of a zone's descriptor: as long as the format says, or as it was said. */
static int read_extension(struct cli_device *dev, const struct action *a, struct cli_data *data)
{
	const struct nvme_zns_id_ns *zns = nvmux_zns_ns_get_data(dev->ns);
	size_t len = a->data_len;
	int code;

	if (!len && zns)
		len = zns->lbafe[nvmux_ns_get_format_index(dev->ns)].zdes * DESC_UNIT;
	if (!len) {
		cli_error(dev->cli, "%s: zones have no descriptor extension", dev->label);
		return CLI_FAILED;
	}
	code = cli_data_alloc(dev->cli, len, 0, data);
	return code ? code : cli_data_fill(dev->cli, a->data_file, data);
}

static int send_action(struct cli_device *dev, const struct action *a)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_zns_cmd_mgmt_send,
		.nsid = htole32(dev->nsid),
		.cdw13 = htole32((uint32_t)a->zsa | (a->all ? SELECT_ALL : 0) |
				 (a->option ? ZRWAA : 0)),
	};
	CLI_DATA data = {0};
	int code = a->with_data ? read_extension(dev, a, &data) : CLI_OK;

	if (code)
		return code;
	cli_put_lba(&cmd, a->slba);
	if (data.len)
		cmd.cdw12 = htole32((uint32_t)(data.len / 4 - 1));
	code = cli_device_io(dev, a->what, &cmd, data.bytes, data.len, NULL);
	if (code)
		return code;
	if (a->all)
		return cli_report(dev, json_pack("{s:b}", "select_all", 1), "%s: all zones",
				  a->what);
	return cli_report(dev, json_pack("{s:o}", "slba", decode_uint_json(a->slba)),
			  "%s: zone at block %llu", a->what, (unsigned long long)a->slba);
}

static int run_action(struct cli *cli, const struct cli_args *args, struct action *a)
{
	const char *where = cli_args_has(args, "lba") ? "lba" : "start-lba";
	uint64_t timeout = 0;
	const struct cli_value values[] = {
		{where, &a->slba, 0, UINT64_MAX},
		{"timeout", &timeout, 0, UINT32_MAX},
		{0},
	};
	struct cli_device dev;
	int code = cli_values(cli, args, values);

	a->all = cli_args_has(args, "select-all") && cli_args_get(args, "select-all");
	if (!code && a->all && cli_args_get(args, where))
		code = cli_usage_error(cli, "--%s and --select-all exclude each other", where);
	if (!code && !a->all && !cli_args_get(args, where))
		code = cli_usage_error(cli, "which zone? --%s%s", where,
				       cli_args_has(args, "select-all") ? " or --select-all" : "");
	if (!code)
		code = confirm_action(cli, args, a);
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	dev.timeout_ms = timeout;
	if (!code)
		code = send_action(&dev, a);
	cli_device_close(&dev);
	return code;
}

static int run_open(struct cli *cli, const struct cli_args *args)
{
	struct action a = {.zsa = NVME_ZNS_ZSA_OPEN, .what = "open zone"};

	a.option = cli_args_get(args, "zrwaa");
	return run_action(cli, args, &a);
}

static int run_close(struct cli *cli, const struct cli_args *args)
{
	return run_action(cli, args,
			  &(struct action){.zsa = NVME_ZNS_ZSA_CLOSE, .what = "close zone"});
}

static int run_finish(struct cli *cli, const struct cli_args *args)
{
	return run_action(cli, args,
			  &(struct action){.zsa = NVME_ZNS_ZSA_FINISH, .what = "finish zone"});
}

static int run_reset(struct cli *cli, const struct cli_args *args)
{
	return run_action(cli, args,
			  &(struct action){.zsa = NVME_ZNS_ZSA_RESET, .what = "reset zone"});
}

static int run_offline(struct cli *cli, const struct cli_args *args)
{
	return run_action(cli, args,
			  &(struct action){.zsa = NVME_ZNS_ZSA_OFFLINE, .what = "offline zone"});
}

static int run_flush(struct cli *cli, const struct cli_args *args)
{
	return run_action(cli, args,
			  &(struct action){.zsa = NVME_ZNS_ZSA_ZRWA_FLUSH,
					   .what = "flush random write area"});
}

static int run_set_desc(struct cli *cli, const struct cli_args *args)
{
	struct action a = {
		.zsa = NVME_ZNS_ZSA_SET_DESC_EXT,
		.what = "set zone descriptor extension",
		.with_data = true,
	};

	a.option = cli_args_get(args, "zrwaa");
	a.data_file = cli_args_get(args, "data");
	return run_action(cli, args, &a);
}

/* Zoned Namespace command set 1.1, section 3.4.3. */
static bool is_action(uint64_t zsa)
{
	return (zsa >= NVME_ZNS_ZSA_CLOSE && zsa <= NVME_ZNS_ZSA_OFFLINE) ||
	       zsa == NVME_ZNS_ZSA_SET_DESC_EXT || zsa == NVME_ZNS_ZSA_ZRWA_FLUSH;
}

static int run_mgmt_send(struct cli *cli, const struct cli_args *args)
{
	static const char *const needed[] = {"zsa", NULL};
	struct action a = {.what = "zone management send"};
	const struct cli_value values[] = {
		{"zsa", &a.zsa, 0, UINT8_MAX},
		{"data-len", &a.data_len, 4, 1u << 20},
		{0},
	};
	int code = cli_wanted(cli, args, needed);

	if (!code)
		code = cli_values(cli, args, values);
	if (!code && !is_action(a.zsa))
		code = cli_usage_error(cli,
				       "--zsa: %llu; 1 close, 2 finish, 3 open, 4 reset, 5 "
				       "offline, 16 set zone descriptor extension or 17 flush "
				       "random write area is wanted",
				       (unsigned long long)a.zsa);
	if (!code)
		code = cli_check_dwords(cli, "data-len", a.data_len);
	if (code)
		return code;
	a.option = cli_args_get(args, "zsaso");
	a.data_file = cli_args_get(args, "data");
	a.with_data = a.data_len || a.data_file || a.zsa == NVME_ZNS_ZSA_SET_DESC_EXT;
	return run_action(cli, args, &a);
}

/* ---- append ---- */

struct append {
	uint64_t zslba, data_size, md_size;
	struct cli_pi pi;
};

/* Bytes of a block in memory; with PRACT and nothing but protection information there is none. */
static void block_sizes(const struct cli_device *dev, const struct append *a, uint64_t *ret_data,
			uint64_t *ret_md)
{
	uint32_t md = nvmux_ns_get_md_size(dev->ns);
	bool stripped = a->pi.prinfo & 8 && md == PI_BYTES && nvmux_ns_get_pi_type(dev->ns);
	bool interleaved = nvmux_ns_supports_extended_lba(dev->ns);

	*ret_data = nvmux_ns_get_sector_size(dev->ns) + (interleaved && !stripped ? md : 0);
	*ret_md = interleaved || stripped ? 0 : md;
}

static int read_append(struct cli_device *dev, const struct cli_args *args, const struct append *a,
		       struct cli_data *data, struct cli_data *md)
{
	uint32_t most = nvmux_ns_get_max_io_xfer_size(dev->ns);
	uint64_t size, md_size;
	int code;

	block_sizes(dev, a, &size, &md_size);
	if (a->data_size > most)
		return cli_usage_error(dev->cli, "--data-size: %llu; one command moves at most %u",
				       (unsigned long long)a->data_size, most);
	if (a->data_size) {
		code = cli_data_alloc(dev->cli, a->data_size, 0, data);
		if (!code)
			code = cli_data_fill(dev->cli, cli_args_get(args, "data"), data);
	} else {
		code = cli_data_read(dev->cli, cli_args_get(args, "data"), most, data);
	}
	if (code)
		return code;
	if (!data->len || data->len % size || data->len / size > APPEND_MAX) {
		cli_error(dev->cli, "%s: %zu bytes of data aren't whole blocks of %llu bytes",
			  dev->label, data->len, (unsigned long long)size);
		return CLI_FAILED;
	}
	if (!md_size)
		return CLI_OK;
	if (!cli_args_get(args, "metadata"))
		return cli_usage_error(dev->cli, "--metadata is needed: %llu bytes per block",
				       (unsigned long long)md_size);
	if (a->md_size && a->md_size != data->len / size * md_size)
		return cli_usage_error(dev->cli, "--metadata-size: is %llu; the blocks have %llu",
				       (unsigned long long)a->md_size,
				       (unsigned long long)(data->len / size * md_size));
	code = cli_data_alloc(dev->cli, data->len / size * md_size, 0, md);
	return code ? code : cli_data_fill(dev->cli, cli_args_get(args, "metadata"), md);
}

static int send_append(struct cli_device *dev, const struct cli_args *args, const struct append *a)
{
	struct nvmux_cmd cmd = {.opc = nvme_zns_cmd_append, .nsid = htole32(dev->nsid)};
	uint64_t size, md_size, lba;
	CLI_DATA data = {0};
	CLI_DATA md = {0};
	int code = read_append(dev, args, a, &data, &md);

	if (code)
		return code;
	block_sizes(dev, a, &size, &md_size);
	cli_put_lba(&cmd, a->zslba);
	cmd.cdw12 = htole32((uint32_t)(data.len / size - 1) |
			    (cli_args_get(args, "piremap") ? PIREMAP : 0));
	cli_pi_put(&a->pi, dev->ns, a->zslba, a->zslba, &cmd);
	code = cli_device_io_md(dev, "zone append", &cmd, data.bytes, data.len, md.bytes, md.len,
				NULL);
	if (code)
		return code;
	lba = (uint64_t)dev->dw1 << 32 | dev->dw0;
	return cli_report(dev,
			  json_pack("{s:o, s:I}", "lba", decode_uint_json(lba), "blocks",
				    (json_int_t)(data.len / size)),
			  "appended %zu blocks at block %llu", (size_t)(data.len / size),
			  (unsigned long long)lba);
}

static int run_append(struct cli *cli, const struct cli_args *args)
{
	static const char *const needed[] = {"zslba", NULL};
	struct append a = {0};
	const struct cli_value values[] = {
		{"zslba", &a.zslba, 0, UINT64_MAX},
		{0},
	};
	const struct cli_value sizes[] = {
		{"data-size", &a.data_size, 1, UINT32_MAX},
		{"metadata-size", &a.md_size, 1, UINT32_MAX},
		{0},
	};
	struct cli_device dev;
	int code = cli_wanted(cli, args, needed);

	if (!code)
		code = cli_values(cli, args, values);
	if (!code)
		code = cli_sizes(cli, args, sizes);
	if (!code)
		code = cli_pi_from_args(cli, args, &a.pi);
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	if (!code)
		code = send_append(&dev, args, &a);
	cli_device_close(&dev);
	return code;
}

/* ---- tables ---- */

#define ZONE_OPTIONS                                                               \
	CLI_NSID_OPTION, {"start-lba", 's', "LBA", "first block of the zone"},     \
		{"select-all", 'a', NULL, "all zones that the action applies to"}, \
		CLI_TIMEOUT_OPTION

static const struct cli_option open_options[] = {
	ZONE_OPTIONS,
	{"zrwaa", 'r', NULL, "with a random write area"},
	CLI_DEVICE_OPTIONS,
	{0},
};
static const struct cli_option action_options[] = {ZONE_OPTIONS, CLI_DEVICE_OPTIONS, {0}};
static const struct cli_option asking_options[] = {
	ZONE_OPTIONS,
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

#define ACTION_USAGE CLI_VERB_NS_USAGE " -s LBA|--select-all [-t MS]"

static const char *const zns_open_zone_examples[] = {
	"nvmux zns open-zone nvme0/2 -s 0x4000",
	NULL,
};

static const struct cli_command zns_open = {
	.name = "zns open-zone",
	.summary = "open zones",
	.usage = ACTION_USAGE,
	.description = "Zone Management Send, action 3h.",
	.options = open_options,
	.examples = zns_open_zone_examples,
	.max_args = 1,
	.run = run_open,
};

static const char *const zns_close_zone_examples[] = {
	"nvmux zns close-zone nvme0/2 -s 0x4000",
	NULL,
};

static const struct cli_command zns_close = {
	.name = "zns close-zone",
	.summary = "close zones",
	.usage = ACTION_USAGE,
	.description = "Zone Management Send, action 1h.",
	.options = action_options,
	.examples = zns_close_zone_examples,
	.max_args = 1,
	.run = run_close,
};

static const char *const zns_finish_zone_examples[] = {
	"nvmux zns finish-zone nvme0/2 -s 0x4000",
	NULL,
};

static const struct cli_command zns_finish = {
	.name = "zns finish-zone",
	.summary = "make zones full",
	.usage = ACTION_USAGE,
	.description = "Zone Management Send, action 2h.",
	.options = action_options,
	.examples = zns_finish_zone_examples,
	.max_args = 1,
	.run = run_finish,
};

static const char *const zns_reset_zone_examples[] = {
	"nvmux zns reset-zone nvme0/2 -s 0x4000",
	NULL,
};

static const struct cli_command zns_reset = {
	.name = "zns reset-zone",
	.summary = "make zones empty",
	.usage = ACTION_USAGE " [--force]",
	.description = "Zone Management Send, action 4h: the zones' data is lost. For all zones it "
		       "asks first; where nobody can be asked, --force is needed.",
	.options = asking_options,
	.examples = zns_reset_zone_examples,
	.max_args = 1,
	.run = run_reset,
};

static const char *const zns_offline_zone_examples[] = {
	"nvmux zns offline-zone nvme0/2 -s 0x4000",
	NULL,
};

static const struct cli_command zns_offline = {
	.name = "zns offline-zone",
	.summary = "take read only zones offline, for ever",
	.usage = ACTION_USAGE " [--force]",
	.description = "Zone Management Send, action 5h. Asks first; where nobody can be asked, "
		       "--force is needed.",
	.options = asking_options,
	.examples = zns_offline_zone_examples,
	.max_args = 1,
	.run = run_offline,
};

static const struct cli_option flush_options[] = {
	CLI_NSID_OPTION,
	{"lba", 'l', "LBA", "the last block to flush"},
	CLI_TIMEOUT_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const zns_zrwa_flush_zone_examples[] = {
	"nvmux zns zrwa-flush-zone nvme0/2 -l 0x4010",
	NULL,
};

static const struct cli_command zns_flush = {
	.name = "zns zrwa-flush-zone",
	.summary = "flush a zone's random write area up to a block",
	.usage = CLI_VERB_NS_USAGE " -l LBA [-t MS]",
	.description = "Zone Management Send, action 11h.",
	.options = flush_options,
	.examples = zns_zrwa_flush_zone_examples,
	.max_args = 1,
	.run = run_flush,
};

static const struct cli_option set_desc_options[] = {
	CLI_NSID_OPTION,
	{"start-lba", 's', "LBA", "first block of the zone"},
	{"zrwaa", 'r', NULL, "with a random write area"},
	{"data", 'd', "FILE", "the descriptor extension (default: standard input)"},
	CLI_TIMEOUT_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const zns_set_zone_desc_examples[] = {
	"nvmux zns set-zone-desc nvme0/2 -s 0x4000 -d text.bin",
	NULL,
};

static const struct cli_command zns_set_desc = {
	.name = "zns set-zone-desc",
	.summary = "give an empty zone a descriptor extension",
	.usage = CLI_VERB_NS_USAGE " -s LBA [-d FILE] [-t MS]",
	.description =
		"Zone Management Send, action 10h. As many bytes are read as the format says.",
	.options = set_desc_options,
	.examples = zns_set_zone_desc_examples,
	.max_args = 1,
	.run = run_set_desc,
};

static const struct cli_option mgmt_send_options[] = {
	ZONE_OPTIONS,
	{"zsa", 'z', "NUM",
	 "send action: 1 close, 2 finish, 3 open, 4 reset, 5 offline, 0x10 set descriptor "
	 "extension, 0x11 flush random write area"},
	{"zsaso", 'o', NULL, "the action's specific option"},
	{"data", 'd', "FILE", "data of the action (default: standard input)"},
	{"data-len", 'l', "BYTES", "how much (default: a descriptor extension, or none)"},
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const zns_zone_mgmt_send_examples[] = {
	"nvmux zns zone-mgmt-send nvme0/2 -s 0x4000 -z 3",
	NULL,
};

static const struct cli_command zns_mgmt_send = {
	.name = "zns zone-mgmt-send",
	.summary = "send one Zone Management Send",
	.usage = ACTION_USAGE " -z NUM [-d FILE] [-l BYTES] ...",
	.description = "Any send action. The same are asked about as by the commands of their own.",
	.options = mgmt_send_options,
	.examples = zns_zone_mgmt_send_examples,
	.max_args = 1,
	.run = run_mgmt_send,
};

static const struct cli_option append_options[] = {
	CLI_NSID_OPTION,
	{"zslba", 's', "LBA", "first block of the zone"},
	{"data-size", 'z', "BYTES", "how much (default: to the end of the input)"},
	{"metadata-size", 'y', "BYTES", "of the metadata: what the blocks have; only checked"},
	{"data", 'd', "FILE", "what is written (default: standard input)"},
	{"metadata", 'M', "FILE", "metadata, where it isn't part of the data"},
	CLI_PI_OPTIONS(0),
	{"piremap", 'P', NULL, "reference tags count from the place that was chosen"},
	{"latency", 't', NULL, "for likeness with nvme-cli; changes nothing"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const zns_zone_append_examples[] = {
	"nvmux zns zone-append nvme0/2 -s 0 -d block.bin",
	"nvmux zns zone-append nvme0/2 -s 0 -z 64K",
	NULL,
};

static const struct cli_command zns_append = {
	.name = "zns zone-append",
	.summary = "write at a zone's write pointer",
	.usage = CLI_VERB_NS_USAGE " -s LBA [-d FILE] [-z BYTES] ...",
	.description = "Sends one Zone Append, and says where the data has gone.",
	.options = append_options,
	.examples = zns_zone_append_examples,
	.max_args = 1,
	.run = run_append,
};

static const struct cli_command *const zns_commands[] = {
	&cli_zns_id_ctrl,
	&cli_zns_id_ns,
	&cli_zns_report_zones,
	&cli_zns_changed_zone_list,
	&zns_open,
	&zns_close,
	&zns_finish,
	&zns_reset,
	&zns_offline,
	&zns_set_desc,
	&zns_flush,
	&zns_append,
	&zns_mgmt_send,
	&cli_zns_mgmt_recv,
	NULL,
};

static const char *const zns_examples[] = {
	"nvmux zns report-zones nvme0/2",
	"nvmux zns zone-append nvme0/2 -s 0 -d block.bin",
	"nvmux zns finish-zone nvme0/2 -s 0x4000",
	"nvmux zns reset-zone nvme0/2 --select-all",
	NULL,
};

const struct cli_command cli_cmd_zns = {
	.name = "zns",
	.group = CLI_GROUP_BLOCKS,
	.summary = "commands of zoned namespaces",
	.usage = "COMMAND ...",
	.description = "'nvmux zns COMMAND --help' explains one of them.",
	.examples = zns_examples,
	.min_args = 1,
	.max_args = -1,
	.stop_at_first = true,
	.subcommands = zns_commands,
};
