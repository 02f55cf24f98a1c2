// SPDX-License-Identifier: BSD-3-Clause
/* security-send, security-recv. Base specification 2.0, sections 5.25 and 5.26. */
#include <nvme/types.h>

#include "cli/verb.h"
#include "decode/fields.h"

#define DATA_MAX (1u << 20)

struct security {
	uint64_t secp, spsp, nssf, len;
};

static int take_fields(struct cli *cli, const struct cli_args *args, struct security *s)
{
	const struct cli_value values[] = {
		{"secp", &s->secp, 0, UINT8_MAX},
		{"spsp", &s->spsp, 0, UINT16_MAX},
		{"nssf", &s->nssf, 0, UINT8_MAX},
		{0},
	};

	return cli_values(cli, args, values);
}

static struct nvmux_cmd security_cmd(uint8_t opc, uint32_t nsid, const struct security *s)
{
	return (struct nvmux_cmd){
		.opc = opc,
		.nsid = htole32(nsid),
		.cdw10 = htole32((uint32_t)s->secp << 24 | (uint32_t)s->spsp << 8 |
				 (uint32_t)s->nssf),
		.cdw11 = htole32((uint32_t)s->len),
	};
}

static int run_send(struct cli *cli, const struct cli_args *args)
{
	static const char *const needed[] = {"file", NULL};
	struct security s = {0};
	const struct cli_value values[] = {{"tl", &s.len, 0, DATA_MAX}, {0}};
	struct cli_device dev;
	CLI_DATA data = {0};
	struct nvmux_cmd cmd;
	int code = cli_wanted(cli, args, needed);

	if (!code)
		code = take_fields(cli, args, &s);
	if (!code)
		code = cli_values(cli, args, values);
	if (!code)
		code = cli_data_read(cli, cli_args_get(args, "file"), DATA_MAX, &data);
	if (code)
		return code;
	if (!cli_args_get(args, "tl"))
		s.len = data.len;
	if (s.len > data.len) {
		cli_error(cli, "--tl: %llu; the file has %zu bytes; nothing was sent",
			  (unsigned long long)s.len, data.len);
		return CLI_IO_ERROR;
	}
	code = cli_check_dwords(cli, cli_args_get(args, "tl") ? "tl" : "file", s.len);
	if (code)
		return code;
	code = cli_device_open(cli, args, 0, &dev);
	cmd = security_cmd(nvme_admin_security_send, dev.nsid, &s);
	if (!code)
		code = cli_device_admin(&dev, "security send", &cmd, data.bytes, s.len, NULL);
	if (!code)
		code = cli_report(&dev, json_pack("{s:I}", "bytes", (json_int_t)s.len),
				  "sent %llu bytes", (unsigned long long)s.len);
	cli_device_close(&dev);
	return code;
}

static int show_received(struct cli_device *dev, bool raw, const struct cli_data *data)
{
	if (raw)
		return cli_data_write(dev->cli, NULL, data->bytes, data->len);
	if (!dev->cli->json)
		cli_data_show(data->bytes, data->len);
	return cli_report(dev, json_pack("{s:o}", "data", decode_hex_json(data->bytes, data->len)),
			  "received %zu bytes", data->len);
}

static int run_recv(struct cli *cli, const struct cli_args *args)
{
	struct security s = {0};
	uint64_t size = 0;
	const struct cli_value values[] = {
		{"size", &size, 0, DATA_MAX},
		{"al", &s.len, 0, DATA_MAX},
		{0},
	};
	struct cli_device dev;
	CLI_DATA data = {0};
	struct nvmux_cmd cmd;
	int code = take_fields(cli, args, &s);

	if (!code)
		code = cli_values(cli, args, values);
	if (!code && !size && !s.len)
		code = cli_usage_error(cli, "--size is needed: how much may come back");
	if (!cli_args_get(args, "al"))
		s.len = size;
	size = size ? size : s.len;
	if (!code && s.len > size)
		code = cli_usage_error(cli, "--al: %llu is more than --size, %llu",
				       (unsigned long long)s.len, (unsigned long long)size);
	if (!code)
		code = cli_check_dwords(cli, cli_args_get(args, "al") ? "al" : "size", s.len);
	if (!code)
		code = cli_data_alloc(cli, s.len, 0, &data);
	if (code)
		return code;
	code = cli_device_open(cli, args, 0, &dev);
	cmd = security_cmd(nvme_admin_security_recv, dev.nsid, &s);
	if (!code)
		code = cli_device_admin(&dev, "security receive", &cmd, data.bytes, data.len, NULL);
	if (!code)
		code = show_received(&dev, cli_args_get(args, "raw-binary"), &data);
	cli_device_close(&dev);
	return code;
}

/* ---- tables ---- */

#define FIELD_OPTIONS                                                                           \
	{"secp", 'p', "NUM", "security protocol (default 0)"},                                  \
		{"spsp", 's', "NUM", "protocol specific (default 0)"},                          \
		{"nssf", 'N', "NUM", "NVMe security specific field (default 0)"},               \
	{                                                                                       \
		"namespace-id", 'n', "NSID", "the namespace (default: that of CTRL/NSID, or 0)" \
	}

static const struct cli_option send_options[] = {
	{"file", 'f', "FILE", "what is sent, - for standard input; needed"},
	{"tl", 't', "BYTES", "transfer length (default: all of the file)"},
	FIELD_OPTIONS,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const send_examples[] = {
	"nvmux security-send nvme0 -p 0xea -s 1 -f message.bin",
	NULL,
};

const struct cli_command cli_cmd_security_send = {
	.name = "security-send",
	.group = CLI_GROUP_MANAGE,
	.summary = "send data of a security protocol",
	.usage = CLI_VERB_NS_USAGE " -f FILE [-p NUM] [-s NUM] [-N NUM] [-t BYTES]",
	.description = "Sends Security Send. Needs the admin right through the daemon.",
	.options = send_options,
	.examples = send_examples,
	.max_args = 1,
	.run = run_send,
};

static const struct cli_option recv_options[] = {
	{"size", 'x', "BYTES", "of the buffer; needed"},
	{"al", 't', "BYTES", "allocation length (default: the buffer's)"},
	{"raw-binary", 'b', NULL, "print the bytes as they are"},
	FIELD_OPTIONS,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const recv_examples[] = {
	"nvmux security-recv nvme0 -p 0 -x 512",
	NULL,
};

const struct cli_command cli_cmd_security_recv = {
	.name = "security-recv",
	.group = CLI_GROUP_MANAGE,
	.summary = "read the results of earlier security sends",
	.usage = CLI_VERB_NS_USAGE " -x BYTES [-p NUM] [-s NUM] [-N NUM] [-t BYTES] [-b]",
	.description = "Sends Security Receive. Needs the admin right through the daemon.",
	.options = recv_options,
	.examples = recv_examples,
	.max_args = 1,
	.run = run_recv,
};
