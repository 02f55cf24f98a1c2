// SPDX-License-Identifier: BSD-3-Clause
/* dir-send, dir-receive. Base specification 2.0, sections 5.8, 5.9 and 8.7. */
#include <nvme/types.h>

#include "cli/verb.h"
#include "decode/fields.h"

#define DATA_MAX         (1u << 20)
#define DOPER_ENABLE     1u /* Identify, send */
#define STREAMS_PARAMS   1u
#define STREAMS_STATUS   2u
#define STREAMS_ALLOCATE 3u

struct directive {
	uint64_t dtype, dspec, doper, len;
	uint64_t tdtype, endir; /* enabling a directive */
	uint64_t nsr;           /* allocating streams */
};

static int take_fields(struct cli *cli, const struct cli_args *args, struct directive *d)
{
	const struct cli_value values[] = {
		{"dir-type", &d->dtype, 0, UINT8_MAX},
		{"dir-spec", &d->dspec, 0, UINT16_MAX},
		{"dir-oper", &d->doper, 1, UINT8_MAX},
		{"data-len", &d->len, 4, DATA_MAX},
		{0},
	};
	static const char *const needed[] = {"dir-oper", NULL};
	int code = cli_values(cli, args, values);

	if (!code)
		code = cli_wanted(cli, args, needed);
	return code ? code : cli_check_dwords(cli, "data-len", d->len);
}

static struct nvmux_cmd directive_cmd(uint8_t opc, uint32_t nsid, const struct directive *d,
				      uint32_t cdw12)
{
	return (struct nvmux_cmd){
		.opc = opc,
		.nsid = htole32(nsid),
		.cdw10 = htole32(d->len ? (uint32_t)d->len / 4 - 1 : 0),
		.cdw11 = htole32((uint32_t)d->dspec << 16 | (uint32_t)d->dtype << 8 |
				 (uint32_t)d->doper),
		.cdw12 = htole32(cdw12),
	};
}

/* ---- send ---- */

static int run_send(struct cli *cli, const struct cli_args *args)
{
	struct directive d = {.tdtype = NVME_DIRECTIVE_DTYPE_STREAMS};
	const struct cli_value values[] = {
		{"target-dir", &d.tdtype, 0, UINT8_MAX},
		{"endir", &d.endir, 0, 1},
		{0},
	};
	struct nvmux_cmd cmd;
	struct cli_device dev;
	CLI_DATA data = {0};
	uint32_t cdw12 = 0;
	int code = take_fields(cli, args, &d);

	if (!code)
		code = cli_values(cli, args, values);
	if (!code && d.len)
		code = cli_data_alloc(cli, d.len, 0, &data);
	if (!code && d.len)
		code = cli_data_fill(cli, cli_args_get(args, "input-file"), &data);
	if (code)
		return code;
	if (d.dtype == NVME_DIRECTIVE_DTYPE_IDENTIFY && d.doper == DOPER_ENABLE)
		cdw12 = (uint32_t)d.tdtype << 8 | (uint32_t)d.endir;
	code = cli_device_open(cli, args, CLI_DEVICE_NSID, &dev);
	cmd = directive_cmd(nvme_admin_directive_send, dev.nsid, &d, cdw12);
	if (!code)
		code = cli_device_admin(&dev, "directive send", &cmd, data.bytes, data.len, NULL);
	if (!code)
		code = cli_report(&dev,
				  json_pack("{s:i, s:i, s:i, s:I}", "dir_type", (int)d.dtype,
					    "dir_oper", (int)d.doper, "dir_spec", (int)d.dspec,
					    "result", (json_int_t)dev.dw0),
				  "directive type %llu, operation %llu: done, result %#x",
				  (unsigned long long)d.dtype, (unsigned long long)d.doper,
				  dev.dw0);
	cli_device_close(&dev);
	return code;
}

/* ---- receive ---- */

/* How long the answer is, where it wasn't said. */
static uint64_t default_len(const struct directive *d)
{
	if (d->dtype == NVME_DIRECTIVE_DTYPE_IDENTIFY)
		return sizeof(struct nvme_id_directives);
	if (d->dtype != NVME_DIRECTIVE_DTYPE_STREAMS || d->doper == STREAMS_ALLOCATE)
		return 0;
	return d->doper == STREAMS_STATUS ? 4096 : sizeof(struct nvme_streams_directive_params);
}

static json_t *decode_identify(const struct cli_data *data)
{
	const struct nvme_id_directives *id = (const void *)data->bytes;

	if (data->len < 64)
		return NULL;
	return json_pack("{s:b, s:b, s:b, s:b}", "identify_supported", id->supported[0] & 1,
			 "identify_enabled", id->enabled[0] & 1, "streams_supported",
			 id->supported[0] >> 1 & 1, "streams_enabled", id->enabled[0] >> 1 & 1);
}

static json_t *decode_params(const struct cli_data *data)
{
	const struct nvme_streams_directive_params *p = (const void *)data->bytes;

	if (data->len < sizeof(*p))
		return NULL;
	return json_pack("{s:i, s:i, s:i, s:i, s:I, s:i, s:i, s:i}", "msl", (int)le16toh(p->msl),
			 "nssa", (int)le16toh(p->nssa), "nsso", (int)le16toh(p->nsso), "nssc",
			 (int)p->nssc, "sws", (json_int_t)le32toh(p->sws), "sgs",
			 (int)le16toh(p->sgs), "nsa", (int)le16toh(p->nsa), "nso",
			 (int)le16toh(p->nso));
}

static json_t *decode_status(const struct cli_data *data)
{
	const struct nvme_streams_directive_status *s = (const void *)data->bytes;
	unsigned n = le16toh(s->osc);
	json_t *list = json_array();

	for (unsigned i = 0; i < n && (i + 2) * 2 <= data->len; i++)
		json_array_append_new(list, json_integer(le16toh(s->sid[i])));
	return json_pack("{s:i, s:o}", "osc", (int)n, "sids", list);
}

/* The answer's fields, or NULL where they aren't known. */
static json_t *decode(const struct directive *d, const struct cli_data *data)
{
	if (!data->len)
		return NULL;
	if (d->dtype == NVME_DIRECTIVE_DTYPE_IDENTIFY)
		return decode_identify(data);
	if (d->dtype != NVME_DIRECTIVE_DTYPE_STREAMS)
		return NULL;
	return d->doper == STREAMS_PARAMS   ? decode_params(data)
	       : d->doper == STREAMS_STATUS ? decode_status(data)
					    : NULL;
}

static void print_fields(json_t *fields)
{
	const char *key;
	json_t *value;

	json_object_foreach(fields, key, value)
	{
		printf("%-18s: ", key);
		json_dumpf(value, stdout, JSON_ENCODE_ANY);
		putchar('\n');
	}
}

static int show(struct cli_device *dev, const struct cli_args *args, const struct directive *d,
		const struct cli_data *data)
{
	bool raw = cli_args_get(args, "raw-binary");
	CLI_JSON *fields = NULL;
	json_t *more;

	if (raw)
		return cli_data_write(dev->cli, NULL, data->bytes, data->len);
	fields = decode(d, data);
	if (!dev->cli->json && fields)
		print_fields(fields);
	else if (!dev->cli->json && data->len)
		cli_data_show(data->bytes, data->len);
	more = json_pack("{s:I}", "result", (json_int_t)dev->dw0);
	if (fields)
		json_object_update(more, fields);
	else if (data->len)
		json_object_set_new(more, "data", decode_hex_json(data->bytes, data->len));
	return cli_report(dev, more, "directive type %llu, operation %llu: result %#x",
			  (unsigned long long)d->dtype, (unsigned long long)d->doper, dev->dw0);
}

static int run_receive(struct cli *cli, const struct cli_args *args)
{
	struct directive d = {0};
	const struct cli_value values[] = {{"req-resource", &d.nsr, 0, UINT16_MAX}, {0}};
	struct nvmux_cmd cmd;
	struct cli_device dev;
	CLI_DATA data = {0};
	int code = take_fields(cli, args, &d);

	if (!code)
		code = cli_values(cli, args, values);
	if (!d.len)
		d.len = default_len(&d);
	if (!code)
		code = cli_data_alloc(cli, d.len, 0, &data);
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NSID, &dev);
	cmd = directive_cmd(nvme_admin_directive_recv, dev.nsid, &d, (uint32_t)d.nsr);
	if (!code)
		code = cli_device_admin(&dev, "directive receive", &cmd, data.bytes, data.len,
					NULL);
	if (!code)
		code = show(&dev, args, &d, &data);
	cli_device_close(&dev);
	return code;
}

/* ---- tables ---- */

#define FIELD_OPTIONS                                                                              \
	CLI_NSID_OPTION, {"dir-type", 'D', "NUM", "directive: 0 identify, 1 streams (default 0)"}, \
		{"dir-spec", 'S', "NUM", "directive specific, such as a stream (default 0)"},      \
	{                                                                                          \
		"dir-oper", 'O', "NUM", "operation of the directive; needed"                       \
	}

static const struct cli_option send_options[] = {
	FIELD_OPTIONS,
	{"data-len", 'l', "BYTES", "data to send (default 0: none)"},
	{"target-dir", 'T', "NUM", "directive to enable or disable (default 1, streams)"},
	{"endir", 'e', "NUM", "1 enable, 0 disable (default 0)"},
	{"input-file", 'i', "FILE", "the data (default: standard input)"},
	{"human-readable", 'H', NULL, "for likeness with nvme-cli; changes nothing"},
	{"raw-binary", 'b', NULL, "likewise"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const send_examples[] = {
	"nvmux dir-send nvme0/1 -D 0 -O 1 -T 1 -e 1",
	"nvmux dir-send nvme0/1 -D 1 -O 1 -S 3",
	NULL,
};

const struct cli_command cli_cmd_dir_send = {
	.name = "dir-send",
	.group = CLI_GROUP_MANAGE,
	.summary = "set parameters of a directive",
	.usage = CLI_VERB_NS_USAGE " -O NUM [-D NUM] [-S NUM] [-T NUM] [-e NUM] ...",
	.description = "Sends Directive Send. Needs the admin right through the daemon.",
	.options = send_options,
	.examples = send_examples,
	.max_args = 1,
	.run = run_send,
};

static const struct cli_option receive_options[] = {
	FIELD_OPTIONS,
	{"data-len", 'l', "BYTES", "of the answer (default: what the operation returns)"},
	{"req-resource", 'r', "COUNT", "streams to allocate (default 0)"},
	{"raw-binary", 'b', NULL, "print the bytes as they are"},
	{"human-readable", 'H', NULL, "for likeness with nvme-cli; changes nothing"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const receive_examples[] = {
	"nvmux dir-receive nvme0/1 -D 0 -O 1",
	"nvmux dir-receive nvme0/1 -D 1 -O 3 -r 4",
	NULL,
};

const struct cli_command cli_cmd_dir_receive = {
	.name = "dir-receive",
	.group = CLI_GROUP_MANAGE,
	.summary = "read parameters of a directive",
	.usage = CLI_VERB_NS_USAGE " -O NUM [-D NUM] [-S NUM] [-r COUNT] [-l BYTES] ...",
	.description = "Sends Directive Receive. Needs the admin right through the daemon.",
	.options = receive_options,
	.examples = receive_examples,
	.max_args = 1,
	.run = run_receive,
};
