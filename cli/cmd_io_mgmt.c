// SPDX-License-Identifier: BSD-3-Clause
/* io-mgmt-send, io-mgmt-recv. Base specification 2.1, sections 7.3 and 7.4. */
#include <nvme/types.h>

#include "cli/verb.h"
#include "decode/fields.h"

#define DATA_MAX (1u << 20)

struct io_mgmt {
	uint64_t mo, mos, len;
};

static int take_fields(struct cli *cli, const struct cli_args *args, struct io_mgmt *m)
{
	const struct cli_value values[] = {
		{"mo", &m->mo, 0, UINT8_MAX},
		{"mos", &m->mos, 0, UINT16_MAX},
		{"data-len", &m->len, 0, DATA_MAX},
		{0},
	};
	int code = cli_values(cli, args, values);

	return code ? code : cli_check_dwords(cli, "data-len", m->len);
}

static struct nvmux_cmd mgmt_cmd(uint8_t opc, uint32_t nsid, const struct io_mgmt *m)
{
	return (struct nvmux_cmd){
		.opc = opc,
		.nsid = htole32(nsid),
		.cdw10 = htole32((uint32_t)m->mos << 16 | (uint32_t)m->mo),
	};
}

static int run_send(struct cli *cli, const struct cli_args *args)
{
	struct io_mgmt m = {0};
	struct cli_device dev;
	CLI_DATA data = {0};
	struct nvmux_cmd cmd;
	int code = take_fields(cli, args, &m);

	if (!code && m.len)
		code = cli_data_alloc(cli, m.len, 0, &data);
	if (!code && m.len)
		code = cli_data_fill(cli, cli_args_get(args, "data"), &data);
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	cmd = mgmt_cmd(nvme_cmd_io_mgmt_send, dev.nsid, &m);
	if (!code)
		code = cli_device_io(&dev, "I/O management send", &cmd, data.bytes, data.len, NULL);
	if (!code)
		code = cli_report(&dev, json_pack("{s:i}", "mo", (int)m.mo),
				  "management operation %llu: done", (unsigned long long)m.mo);
	cli_device_close(&dev);
	return code;
}

static int show(struct cli_device *dev, const char *file, const struct cli_data *data)
{
	if (file)
		return cli_data_write(dev->cli, file, data->bytes, data->len);
	if (!dev->cli->json) {
		cli_data_show(data->bytes, data->len);
		return CLI_OK;
	}
	return cli_report(dev, json_pack("{s:o}", "data", decode_hex_json(data->bytes, data->len)),
			  "%zu bytes", data->len);
}

static int run_recv(struct cli *cli, const struct cli_args *args)
{
	struct io_mgmt m = {0};
	struct cli_device dev;
	CLI_DATA data = {0};
	struct nvmux_cmd cmd;
	int code = take_fields(cli, args, &m);

	if (!code && !m.len)
		code = cli_usage_error(cli, "--data-len is needed: how much may come back");
	if (!code)
		code = cli_data_alloc(cli, m.len, 0, &data);
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	cmd = mgmt_cmd(nvme_cmd_io_mgmt_recv, dev.nsid, &m);
	cmd.cdw11 = htole32((uint32_t)m.len / 4 - 1);
	if (!code)
		code = cli_device_io(&dev, "I/O management receive", &cmd, data.bytes, data.len,
				     NULL);
	if (!code)
		code = show(&dev, cli_args_get(args, "data"), &data);
	cli_device_close(&dev);
	return code;
}

#define FIELD_OPTIONS                                                            \
	CLI_NSID_OPTION, {"mo", 'm', "NUM", "management operation (default 0)"}, \
	{                                                                        \
		"mos", 's', "NUM", "specific to it (default 0)"                  \
	}

static const struct cli_option send_options[] = {
	FIELD_OPTIONS,
	{"data", 'd', "FILE", "the data (default: standard input)"},
	{"data-len", 'l', "BYTES", "how much (default 0: none)"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const send_examples[] = {
	"nvmux io-mgmt-send nvme0/1 -m 1 -s 0 -l 4 -d handles.bin",
	NULL,
};

const struct cli_command cli_cmd_io_mgmt_send = {
	.name = "io-mgmt-send",
	.group = CLI_GROUP_BLOCKS,
	.summary = "send one I/O Management Send",
	.usage = CLI_VERB_NS_USAGE " [-m NUM] [-s NUM] [-l BYTES] [-d FILE]",
	.description = "Needs the admin right through the daemon.",
	.options = send_options,
	.examples = send_examples,
	.max_args = 1,
	.run = run_send,
};

static const struct cli_option recv_options[] = {
	FIELD_OPTIONS,
	{"data", 'd', "FILE", "where the data goes (default: shown)"},
	{"data-len", 'l', "BYTES", "how much is read; needed"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const recv_examples[] = {
	"nvmux io-mgmt-recv nvme0/1 -m 1 -l 4096",
	NULL,
};

const struct cli_command cli_cmd_io_mgmt_recv = {
	.name = "io-mgmt-recv",
	.group = CLI_GROUP_BLOCKS,
	.summary = "send one I/O Management Receive",
	.usage = CLI_VERB_NS_USAGE " [-m NUM] [-s NUM] -l BYTES [-d FILE]",
	.description = "Needs the admin right through the daemon.",
	.options = recv_options,
	.examples = recv_examples,
	.max_args = 1,
	.run = run_recv,
};
