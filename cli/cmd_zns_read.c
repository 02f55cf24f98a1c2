// SPDX-License-Identifier: BSD-3-Clause
/* zns: what zoned namespaces say of themselves, and their zones. */
#include <string.h>
#include <nvme/types.h>

#include "cli/zns.h"
#include "cli/zns_report.h"
#include "decode/fields.h"
#include "decode/identify_json.h"

#define CHUNK_BYTES (64u << 10)
#define PARTIAL     (1u << 16)
#define DATA_MAX    (1u << 20)
#define LOG_SIZE    4096u

/* ---- identify ---- */

static int run_id_ctrl(struct cli *cli, const struct cli_args *args)
{
	struct nvme_zns_id_ctrl id;
	CLI_JSON *value = NULL;
	struct cli_device dev;
	int code;

	code = cli_device_open(cli, args, 0, &dev);
	if (!code)
		code = cli_identify(&dev, NVME_IDENTIFY_CNS_CSI_CTRL, NVME_CSI_ZNS, 0, &id);
	cli_device_close(&dev);
	if (code)
		return code;
	if (cli->binary)
		return cli_data_write(cli, NULL, &id, sizeof(id));
	if (cli->json) {
		value = json_pack("{s:i}", "zasl", (int)id.zasl);
		return cli_print_json(cli, value);
	}
	printf("zasl    : %u\n", id.zasl);
	return CLI_OK;
}

struct field {
	const char *name;
	uint32_t value;
};

static void print_ns(const struct field *fields, const struct nvme_zns_id_ns *zns,
		     const struct nvme_id_ns *ns)
{
	unsigned in_use = identify_format_index(ns->flbas);

	for (; fields->name; fields++)
		printf("%-8s: %#x\n", fields->name, fields->value);
	for (unsigned i = 0; i <= ns->nlbaf && i < 64; i++)
		printf("lbafe %2u: zsze:%#llx zdes:%u%s\n", i,
		       (unsigned long long)le64toh(zns->lbafe[i].zsze), zns->lbafe[i].zdes,
		       i == in_use ? " (in use)" : "");
}

static int print_ns_json(const struct cli *cli, const struct field *fields,
			 const struct nvme_zns_id_ns *zns, const struct nvme_id_ns *ns)
{
	CLI_JSON *root = json_object();
	json_t *formats = json_array();

	for (; fields->name; fields++)
		json_object_set_new(root, fields->name, json_integer(fields->value));
	for (unsigned i = 0; i <= ns->nlbaf && i < 64; i++)
		json_array_append_new(formats,
				      json_pack("{s:o, s:i}", "zsze",
						decode_uint_json(le64toh(zns->lbafe[i].zsze)),
						"zdes", (int)zns->lbafe[i].zdes));
	json_object_set_new(root, "lbafe", formats);
	return cli_print_json(cli, root);
}

static int show_ns(const struct cli *cli, bool vendor, const struct nvme_zns_id_ns *zns,
		   const struct nvme_id_ns *ns)
{
	const struct field fields[] = {
		{"zoc", le16toh(zns->zoc)},
		{"ozcs", le16toh(zns->ozcs)},
		{"mar", le32toh(zns->mar)},
		{"mor", le32toh(zns->mor)},
		{"rrl", le32toh(zns->rrl)},
		{"frl", le32toh(zns->frl)},
		{"rrl1", le32toh(zns->rrl1)},
		{"rrl2", le32toh(zns->rrl2)},
		{"rrl3", le32toh(zns->rrl3)},
		{"frl1", le32toh(zns->frl1)},
		{"frl2", le32toh(zns->frl2)},
		{"frl3", le32toh(zns->frl3)},
		{"numzrwa", le32toh(zns->numzrwa)},
		{"zrwafg", le16toh(zns->zrwafg)},
		{"zrwasz", le16toh(zns->zrwasz)},
		{"zrwacap", zns->zrwacap},
		{0},
	};

	if (cli->json)
		return print_ns_json(cli, fields, zns, ns);
	print_ns(fields, zns, ns);
	if (vendor) {
		puts("vs[]    :");
		cli_data_show(zns->vs, sizeof(zns->vs));
	}
	return CLI_OK;
}

static int run_id_ns(struct cli *cli, const struct cli_args *args)
{
	struct nvme_zns_id_ns zns;
	struct nvme_id_ns ns;
	struct cli_device dev;
	int code;

	code = cli_device_open(cli, args, CLI_DEVICE_NSID, &dev);
	if (!code)
		code = cli_identify(&dev, NVME_IDENTIFY_CNS_NS, 0, dev.nsid, &ns);
	if (!code)
		code = cli_identify(&dev, NVME_IDENTIFY_CNS_CSI_NS, NVME_CSI_ZNS, dev.nsid, &zns);
	cli_device_close(&dev);
	if (code)
		return code;
	if (cli->binary)
		return cli_data_write(cli, NULL, &zns, sizeof(zns));
	return show_ns(cli, cli_args_get(args, "vendor-specific"), &zns, &ns);
}

/* ---- zones ---- */

struct report {
	uint64_t slba, descs, state; /* descs: how many; 0: all */
	bool extended, partial, verbose;
	size_t ext; /* bytes of a zone's descriptor extension */
	json_t *list;
};

static struct nvmux_cmd receive_cmd(uint32_t nsid, uint64_t slba, size_t len, uint32_t cdw13)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_zns_cmd_mgmt_recv,
		.nsid = htole32(nsid),
		.cdw12 = htole32((uint32_t)(len / 4 - 1)),
		.cdw13 = htole32(cdw13),
	};

	cli_put_lba(&cmd, slba);
	return cmd;
}

/* One command: as many descriptors as the buffer has room for. */
static int receive(struct cli_device *dev, const struct report *r, uint64_t slba,
		   struct cli_data *data, bool partial)
{
	uint32_t cdw13 = (r->extended ? NVME_ZNS_ZRA_EXTENDED_REPORT_ZONES
				      : NVME_ZNS_ZRA_REPORT_ZONES) |
			 (uint32_t)r->state << 8 | (partial ? PARTIAL : 0);
	struct nvmux_cmd cmd = receive_cmd(dev->nsid, slba, data->len, cdw13);

	return cli_device_io(dev, "report zones", &cmd, data->bytes, data->len, NULL);
}

static void show_zones(const struct cli *cli, const struct report *r, const uint8_t *descs,
		       uint64_t n)
{
	if (cli->json)
		cli_zones_json(descs, n, r->ext, r->list);
	else
		cli_zones_print(descs, n, r->ext, r->verbose);
}

/* From @r->slba to the end of the namespace, or as many as are wanted. */
static int show_all(struct cli_device *dev, const struct report *r, struct cli_data *data,
		    uint64_t total)
{
	const struct nvme_zone_report *head = (const void *)data->bytes;
	size_t entry = sizeof(struct nvme_zns_desc) + r->ext;
	uint64_t zone = nvmux_zns_ns_get_zone_size_sectors(dev->ns);
	uint64_t end = nvmux_ns_get_num_sectors(dev->ns), slba = r->slba;
	int code = CLI_OK;

	while (!code && total && slba < end) {
		uint64_t room = (data->len - sizeof(*head)) / entry, n;
		const struct nvme_zns_desc *last;

		code = receive(dev, r, slba, data, true);
		if (code)
			break;
		n = le64toh(head->nr_zones);
		n = n < room ? n : room;
		n = n < total ? n : total;
		if (!n)
			break;
		show_zones(dev->cli, r, data->bytes + sizeof(*head), n);
		last = (const void *)(data->bytes + sizeof(*head) + (n - 1) * entry);
		total -= n;
		if (le64toh(last->zslba) < slba || le64toh(last->zslba) >= end)
			break; /* it would never end */
		slba = le64toh(last->zslba);
		slba = end - slba > zone ? slba + zone : end;
	}
	return code;
}

/* What the namespace says of its zones. */
static int look_at_zones(const struct cli_device *dev, struct report *r)
{
	if (!nvmux_zns_ns_get_zone_size_sectors(dev->ns)) {
		cli_error(dev->cli, "%s: the namespace isn't zoned", dev->label);
		return CLI_FAILED;
	}
	if (r->extended)
		r->ext = nvmux_zns_ns_get_data(dev->ns)
				 ->lbafe[nvmux_ns_get_format_index(dev->ns)]
				 .zdes *
			 64u;
	return CLI_OK;
}

static int report_zones(struct cli_device *dev, struct report *r)
{
	CLI_DATA data = {0};
	uint64_t total, n;
	int code;

	code = cli_data_alloc(dev->cli, CHUNK_BYTES, 0, &data);
	/* How many there are, of those that are asked for; the largest extension fits. */
	if (!code)
		code = receive(dev, r, r->slba, &data, false);
	if (code)
		return code;
	total = le64toh(((const struct nvme_zone_report *)(const void *)data.bytes)->nr_zones);
	if (total > nvmux_zns_ns_get_num_zones(dev->ns))
		total = nvmux_zns_ns_get_num_zones(dev->ns);
	n = r->descs && r->descs < total ? r->descs : total;
	if (r->partial)
		total = n;
	if (!dev->cli->json)
		cli_zones_print_head(total);
	r->list = json_array();
	code = show_all(dev, r, &data, n);
	if (!code && dev->cli->json)
		code = cli_zones_print_json(dev->cli, total, r->list);
	json_decref(r->list);
	return code;
}

/* The bytes of one command. */
static int report_binary(struct cli_device *dev, const struct report *r)
{
	uint64_t n = r->descs ? r->descs : nvmux_zns_ns_get_num_zones(dev->ns);
	size_t entry = sizeof(struct nvme_zns_desc) + r->ext, len;
	uint32_t most = nvmux_ns_get_max_io_xfer_size(dev->ns);
	CLI_DATA data = {0};
	int code;

	len = n < most / entry ? sizeof(struct nvme_zone_report) + n * entry : most;
	len = (len < most ? len : most) / 4 * 4;
	code = cli_data_alloc(dev->cli, len, 0, &data);
	if (!code)
		code = receive(dev, r, r->slba, &data, r->partial);
	return code ? code : cli_data_write(dev->cli, NULL, data.bytes, data.len);
}

static int run_report(struct cli *cli, const struct cli_args *args)
{
	struct report r = {
		.extended = cli_args_get(args, "extended"),
		.partial = cli_args_get(args, "partial"),
		.verbose = cli_args_get(args, "verbose"),
	};
	const struct cli_value values[] = {
		{"start-lba", &r.slba, 0, UINT64_MAX},
		{"descs", &r.descs, 1, UINT32_MAX},
		{"state", &r.state, 0, NVME_ZNS_ZRAS_REPORT_OFFLINE},
		{0},
	};
	struct cli_device dev;
	int code = cli_values(cli, args, values);

	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	if (!code)
		code = look_at_zones(&dev, &r);
	if (!code)
		code = cli->binary ? report_binary(&dev, &r) : report_zones(&dev, &r);
	cli_device_close(&dev);
	return code;
}

/* The answer of a receive action as it is. */
static int show_received(struct cli *cli, const struct cli_data *data, uint64_t zra)
{
	const struct nvme_zone_report *head = (const void *)data->bytes;
	uint64_t n = (data->len - sizeof(*head)) / sizeof(struct nvme_zns_desc);
	CLI_JSON *list = NULL;

	if (cli->binary)
		return cli_data_write(cli, NULL, data->bytes, data->len);
	if (zra != NVME_ZNS_ZRA_REPORT_ZONES) {
		CLI_JSON *value = NULL;

		if (!cli->json) {
			cli_data_show(data->bytes, data->len);
			return CLI_OK;
		}
		value = json_pack("{s:o}", "data", decode_hex_json(data->bytes, data->len));
		return cli_print_json(cli, value);
	}
	n = le64toh(head->nr_zones) < n ? le64toh(head->nr_zones) : n;
	if (!cli->json) {
		cli_zones_print_head(le64toh(head->nr_zones));
		cli_zones_print(data->bytes + sizeof(*head), n, 0, false);
		return CLI_OK;
	}
	list = json_array();
	cli_zones_json(data->bytes + sizeof(*head), n, 0, list);
	return cli_zones_print_json(cli, le64toh(head->nr_zones), list);
}

static int run_receive(struct cli *cli, const struct cli_args *args)
{
	uint64_t slba = 0, zra = 0, zrasf = 0, len = 4096;
	const struct cli_value values[] = {
		{"start-lba", &slba, 0, UINT64_MAX},
		{"zra", &zra, 0, UINT8_MAX},
		{"zrasf", &zrasf, 0, UINT8_MAX},
		{"data-len", &len, sizeof(struct nvme_zone_report), DATA_MAX},
		{0},
	};
	bool partial = cli_args_get(args, "partial");
	struct nvmux_cmd cmd;
	struct cli_device dev;
	CLI_DATA data = {0};
	int code = cli_values(cli, args, values);

	if (!code)
		code = cli_check_dwords(cli, "data-len", len);
	if (!code)
		code = cli_data_alloc(cli, len, 0, &data);
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	cmd = receive_cmd(dev.nsid, slba, len,
			  (uint32_t)zra | (uint32_t)zrasf << 8 | (partial ? PARTIAL : 0));
	if (!code)
		code = cli_device_io(&dev, "zone management receive", &cmd, data.bytes, data.len,
				     NULL);
	cli_device_close(&dev);
	return code ? code : show_received(cli, &data, zra);
}

/* ---- the log of changed zones ---- */

static int show_changed(const struct cli *cli, const struct nvme_zns_changed_zone_log *log)
{
	CLI_JSON *root = NULL;
	unsigned n = le16toh(log->nrzid);
	char key[16];

	if (!cli->json) {
		printf("nrzid:  %u\n", n);
		for (unsigned i = 0; i < n && i < NVME_ZNS_CHANGED_ZONES_MAX; i++)
			printf("zid %03u: %llu\n", i, (unsigned long long)le64toh(log->zid[i]));
		return CLI_OK;
	}
	root = json_pack("{s:i}", "nrzid", (int)n);
	for (unsigned i = 0; i < n && i < NVME_ZNS_CHANGED_ZONES_MAX; i++) {
		snprintf(key, sizeof(key), "zid %03u", i);
		json_object_set_new(root, key, decode_uint_json(le64toh(log->zid[i])));
	}
	return cli_print_json(cli, root);
}

static int run_changed(struct cli *cli, const struct cli_args *args)
{
	_Alignas(8) uint8_t log[LOG_SIZE] = {0};
	struct cli_device dev;
	int code;

	code = cli_device_open(cli, args, CLI_DEVICE_NSID, &dev);
	if (!code)
		code = cli_get_log(&dev, NVME_LOG_LID_ZNS_CHANGED_ZONES, dev.nsid,
				   !cli_args_get(args, "rae"), log, sizeof(log));
	cli_device_close(&dev);
	if (code)
		return code;
	if (cli->binary)
		return cli_data_write(cli, NULL, log, sizeof(log));
	return show_changed(cli, (const void *)log);
}

/* ---- tables ---- */

static const struct cli_option id_ctrl_options[] = {CLI_DEVICE_OPTIONS, {0}};

const struct cli_command cli_zns_id_ctrl = {
	.name = "zns id-ctrl",
	.summary = "show the controller's limits of zoned namespaces",
	.usage = CLI_VERB_USAGE,
	.description = "Identify, CNS 06h of command set 02h.",
	.options = id_ctrl_options,
	.max_args = 1,
	.binary = true,
	.run = run_id_ctrl,
};

static const struct cli_option id_ns_options[] = {
	CLI_NSID_OPTION,
	{"vendor-specific", 'v', NULL, "show the vendor's bytes too"},
	{"human-readable", 'H', NULL, "for likeness with nvme-cli; changes nothing"},
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_zns_id_ns = {
	.name = "zns id-ns",
	.summary = "show how a namespace is zoned",
	.usage = CLI_VERB_NS_USAGE,
	.description = "Identify, CNS 05h of command set 02h. The keys of -o json are nvme-cli's.",
	.options = id_ns_options,
	.max_args = 1,
	.binary = true,
	.run = run_id_ns,
};

static const struct cli_option report_options[] = {
	CLI_NSID_OPTION,
	{"start-lba", 's', "LBA", "from this block's zone on (default 0)"},
	{"descs", 'd', "COUNT", "how many zones (default: all)"},
	{"state", 'S', "NUM",
	 "only zones that are 1 empty, 2 implicitly open, 3 explicitly open, 4 closed, 5 full, 6 "
	 "read only, 7 offline (default 0: all)"},
	{"verbose", 'v', NULL, "say what the attributes mean"},
	{"extended", 'e', NULL, "with descriptor extensions"},
	{"partial", 'p', NULL, "the number of zones is that of those which are shown"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const report_examples[] = {
	"nvmux zns report-zones nvme0/2 --descs 4",
	"nvmux zns report-zones nvme0/2 -S 5 -o json",
	NULL,
};

const struct cli_command cli_zns_report_zones = {
	.name = "zns report-zones",
	.summary = "show zones: where they begin, write pointer, capacity, state",
	.usage = CLI_VERB_NS_USAGE " [-s LBA] [-d COUNT] [-S NUM] ...",
	.description = "Zone Management Receive, as often as needed. The keys of -o json are "
		       "nvme-cli's; -o binary has what one command returns.",
	.options = report_options,
	.examples = report_examples,
	.max_args = 1,
	.binary = true,
	.run = run_report,
};

static const struct cli_option receive_options[] = {
	CLI_NSID_OPTION,
	{"start-lba", 's', "LBA", "from this block's zone on (default 0)"},
	{"zra", 'z', "NUM", "receive action: 0 report zones, 1 extended (default 0)"},
	{"zrasf", 'S', "NUM", "action specific: of reports the states, as in report-zones"},
	{"partial", 'p', NULL, "the number of zones is that of those in the data"},
	{"data-len", 'l', "BYTES", "how much is read (default 4096)"},
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_zns_mgmt_recv = {
	.name = "zns zone-mgmt-recv",
	.summary = "send one Zone Management Receive",
	.usage = CLI_VERB_NS_USAGE " [-s LBA] [-z NUM] [-S NUM] [-l BYTES] ...",
	.description = "Shows a report, and of other actions the bytes.",
	.options = receive_options,
	.max_args = 1,
	.binary = true,
	.run = run_receive,
};

static const struct cli_option changed_options[] = {
	CLI_NSID_OPTION,
	{"rae", 'r', NULL, "retain the event; through the daemon it is always retained"},
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_zns_changed_zone_list = {
	.name = "zns changed-zone-list",
	.summary = "show the zones whose state the controller has changed",
	.usage = CLI_VERB_NS_USAGE,
	.description = "Reads the Changed Zone List log page (BFh).",
	.options = changed_options,
	.max_args = 1,
	.binary = true,
	.run = run_changed,
};
