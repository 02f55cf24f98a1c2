// SPDX-License-Identifier: BSD-3-Clause
/*
 * admin-passthru, io-passthru: any command, from its fields.
 *
 * Which way the data goes is in the opcode's low two bits (base specification 2.0, section
 * 3.3.3.1); --read and --write must agree with them. What comes back goes to --input-file if that
 * is given and nothing is sent, else to standard output.
 */
#include <nvme/types.h>

#include "cli/confirm.h"
#include "cli/show_cmd.h"
#include "cli/verb.h"
#include "decode/fields.h"
#include "libcore/util.h"

#define DATA_MAX    (16u << 20)
#define OPC_SEND    1u
#define OPC_RECEIVE 2u
#define ZONES_ALL   (1u << 8)   /* of Zone Management Send */
#define FW_CA(n)    ((n) << 3u) /* commit action of Firmware Commit */

#define NS_MGMT_DELETE 1u

struct passthru {
	bool io;
	struct nvmux_cmd cmd;
	uint64_t opcode, flags, rsvd, prefill, nsid, data_len, md_len, timeout_ms;
	uint64_t cdw[16]; /* by their numbers */
	bool nsid_given;
	const char *data_file, *md_file;
};

static int take_values(struct cli *cli, const struct cli_args *args, struct passthru *p)
{
	const struct cli_value values[] = {
		{"opcode", &p->opcode, 0, UINT8_MAX},
		{"flags", &p->flags, 0, UINT8_MAX},
		{"rsvd", &p->rsvd, 0, UINT16_MAX},
		{"prefill", &p->prefill, 0, UINT8_MAX},
		{"namespace-id", &p->nsid, 0, UINT32_MAX},
		{"data-len", &p->data_len, 0, DATA_MAX},
		{"metadata-len", &p->md_len, 0, DATA_MAX},
		{"timeout", &p->timeout_ms, 0, UINT32_MAX},
		{"cdw2", &p->cdw[2], 0, UINT32_MAX},
		{"cdw3", &p->cdw[3], 0, UINT32_MAX},
		{"cdw10", &p->cdw[10], 0, UINT32_MAX},
		{"cdw11", &p->cdw[11], 0, UINT32_MAX},
		{"cdw12", &p->cdw[12], 0, UINT32_MAX},
		{"cdw13", &p->cdw[13], 0, UINT32_MAX},
		{"cdw14", &p->cdw[14], 0, UINT32_MAX},
		{"cdw15", &p->cdw[15], 0, UINT32_MAX},
		{0},
	};

	p->nsid_given = cli_args_get(args, "namespace-id");
	p->data_file = cli_args_get(args, "input-file");
	p->md_file = cli_args_get(args, "metadata");
	return cli_values(cli, args, values);
}

/* What the options say of each other. */
static int check_values(struct cli *cli, const struct cli_args *args, const struct passthru *p)
{
	bool sends = p->opcode & OPC_SEND, receives = p->opcode & OPC_RECEIVE;
	unsigned opc = (unsigned)p->opcode;
	int code;

	if (p->flags)
		return cli_usage_error(cli,
				       "--flags: %#llx; must be 0: a fused command can't be sent "
				       "alone, and the library says where the data is",
				       (unsigned long long)p->flags);
	if (p->rsvd)
		return cli_usage_error(cli,
				       "--rsvd: %#llx; must be 0: the library puts the "
				       "command's identifier there",
				       (unsigned long long)p->rsvd);
	if (cli_args_get(args, "write") && !sends)
		return cli_usage_error(cli, "--write: a command with opcode %02xh sends no data",
				       opc);
	if (cli_args_get(args, "read") && !receives)
		return cli_usage_error(cli, "--read: a command with opcode %02xh returns no data",
				       opc);
	if (p->data_len && !sends && !receives)
		return cli_usage_error(cli, "--data-len: %llu; opcode %02xh has no data",
				       (unsigned long long)p->data_len, opc);
	if (p->md_len && !p->io)
		return cli_usage_error(cli, "--metadata-len: %llu; admin commands have no metadata",
				       (unsigned long long)p->md_len);
	code = cli_check_dwords(cli, "data-len", p->data_len);
	return code ? code : cli_check_dwords(cli, "metadata-len", p->md_len);
}

static void fill_cmd(struct passthru *p)
{
	p->cmd = (struct nvmux_cmd){
		.opc = (uint8_t)p->opcode,
		.nsid = htole32((uint32_t)p->nsid),
		.cdw2 = htole32((uint32_t)p->cdw[2]),
		.cdw3 = htole32((uint32_t)p->cdw[3]),
		.cdw10 = htole32((uint32_t)p->cdw[10]),
		.cdw11 = htole32((uint32_t)p->cdw[11]),
		.cdw12 = htole32((uint32_t)p->cdw[12]),
		.cdw13 = htole32((uint32_t)p->cdw[13]),
		.cdw14 = htole32((uint32_t)p->cdw[14]),
		.cdw15 = htole32((uint32_t)p->cdw[15]),
	};
}

static int prepare_data(struct cli *cli, const struct passthru *p, struct cli_data *data,
			struct cli_data *md)
{
	bool sends = p->opcode & OPC_SEND;
	int code = CLI_OK;

	if (p->data_len)
		code = cli_data_alloc(cli, p->data_len, (uint8_t)p->prefill, data);
	if (!code && p->md_len)
		code = cli_data_alloc(cli, p->md_len, (uint8_t)p->prefill, md);
	if (!code && sends && p->data_len)
		code = cli_data_fill(cli, p->data_file, data);
	if (!code && sends && p->md_len && p->md_file)
		code = cli_data_fill(cli, p->md_file, md);
	return code;
}

/* Bytes that came back, to a file; or for people and programs on standard output. */
static int show_data(struct cli *cli, const struct cli_args *args, const struct passthru *p,
		     const struct cli_data *data, const struct cli_data *md)
{
	bool file = p->data_file && !(p->opcode & OPC_SEND);
	int code = CLI_OK;

	if (!(p->opcode & OPC_RECEIVE))
		return CLI_OK;
	if (p->md_file && md->len)
		code = cli_data_write(cli, p->md_file, md->bytes, md->len);
	if (code || !data->len)
		return code;
	if (file || cli_args_get(args, "raw-binary"))
		return cli_data_write(cli, file ? p->data_file : NULL, data->bytes, data->len);
	if (!cli->json)
		cli_data_show(data->bytes, data->len);
	return CLI_OK;
}

static int show_result(struct cli_device *dev, const struct cli_args *args,
		       const struct passthru *p, const struct cli_data *data, uint64_t us)
{
	bool receives = p->opcode & OPC_RECEIVE && data->len;
	json_t *more;

	if (cli_args_get(args, "raw-binary") && receives)
		return CLI_OK; /* nothing but the bytes */
	if (!dev->cli->json && cli_args_get(args, "latency"))
		printf(" latency: %llu us\n", (unsigned long long)us);
	more = json_pack("{s:I, s:I, s:I}", "result", (json_int_t)dev->dw0, "result_high",
			 (json_int_t)dev->dw1, "latency_us", (json_int_t)us);
	if (receives && !p->data_file)
		json_object_set_new(more, "data", decode_hex_json(data->bytes, data->len));
	return cli_report(dev, more, "%s command %02xh succeeded, result 0x%08x",
			  p->io ? "I/O" : "admin", p->cmd.opc, dev->dw0);
}

static int send_passthru(struct cli_device *dev, const struct cli_args *args, struct passthru *p)
{
	CLI_DATA data = {0};
	CLI_DATA md = {0};
	uint64_t start, us;
	int code = prepare_data(dev->cli, p, &data, &md);

	if (code)
		return code;
	dev->timeout_ms = p->timeout_ms;
	start = cli_now_ns();
	if (p->io)
		code = cli_device_io_md(dev, "I/O command", &p->cmd, data.bytes, data.len, md.bytes,
					md.len, NULL);
	else
		code = cli_device_admin(dev, "admin command", &p->cmd, data.bytes, data.len, NULL);
	us = (cli_now_ns() - start) / 1000;
	if (dev->ctrlr && /* else there was no answer */
	    nvmux_ctrlr_get_trid(dev->ctrlr)->trtype == NVMUX_TRTYPE_DAEMON &&
	    (dev->status & NVMUX_STATUS_CODE_MASK) == NVMUX_SC_LENGTH_MISMATCH)
		cli_error(dev->cli,
			  "--data-len %llu, --metadata-len %zu: not the bytes that the command's "
			  "fields say",
			  (unsigned long long)p->data_len, md.len);
	if (!code)
		code = show_result(dev, args, p, &data, us);
	return code ? code : show_data(dev->cli, args, p, &data, &md);
}

/* CTRL/NSID names the namespace as well. */
static void take_nsid(const struct cli_device *dev, struct passthru *p)
{
	if (!p->nsid_given)
		p->cmd.nsid = htole32(dev->nsid);
}

/* The same for a command that isn't sent, so that nothing is opened. */
static int name_nsid(struct cli *cli, const struct cli_args *args, struct passthru *p)
{
	struct cli_target target;
	char why[512];
	uint32_t nsid;

	if (cli_device_target(cli, args, &target, &nsid, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	if (!p->nsid_given)
		p->cmd.nsid = htole32(nsid);
	return CLI_OK;
}

struct question {
	bool io;
	uint8_t opc;
	uint8_t cdw; /* the command dword that says what it does */
	uint32_t mask, value;
	const char *what; /* NULL: it isn't asked about */
};

/* What the verbs for these commands ask about. */
static const struct question questions[] = {
	{false, nvme_admin_format_nvm, 0, 0, 0, "formatting erases all data of the namespace"},
	{false, nvme_admin_sanitize_nvm, 10, 7, NVME_SANITIZE_SANACT_EXIT_FAILURE, NULL},
	{false, nvme_admin_sanitize_nvm, 0, 0, 0, "sanitizing erases all data of the subsystem"},
	{false, nvme_admin_ns_mgmt, 10, 0xf, NS_MGMT_DELETE,
	 "the namespace and all its data will be gone"},
	{false, nvme_admin_fw_commit, 10, FW_CA(7), FW_CA(0), NULL}, /* into a slot */
	{false, nvme_admin_fw_commit, 10, FW_CA(7), FW_CA(6), NULL}, /* a boot partition */
	{false, nvme_admin_fw_commit, 0, 0, 0, "other firmware will run"},
	{true, nvme_cmd_write_uncor, 0, 0, 0,
	 "reads of the blocks will fail until they are written"},
	{true, nvme_cmd_resv_acquire, 10, 7, NVME_RESERVATION_RACQA_PREEMPT,
	 "another host loses its registration"},
	{true, nvme_cmd_resv_acquire, 10, 7, NVME_RESERVATION_RACQA_PREEMPT_AND_ABORT,
	 "another host loses its registration, and its commands are aborted"},
	{true, nvme_cmd_resv_release, 10, 7, NVME_RESERVATION_RRELA_CLEAR,
	 "all hosts lose their registrations"},
	{true, nvme_zns_cmd_mgmt_send, 13, 0xff, NVME_ZNS_ZSA_OFFLINE,
	 "zones are taken offline for good"},
	{true, nvme_zns_cmd_mgmt_send, 13, 0xff | ZONES_ALL, NVME_ZNS_ZSA_RESET | ZONES_ALL,
	 "all data of the namespace's zones is lost"},
};

static int confirm(struct cli *cli, const struct cli_args *args, const struct passthru *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		const struct question *q = &questions[i];

		if (q->io == p->io && q->opc == p->opcode && (p->cdw[q->cdw] & q->mask) == q->value)
			return q->what ? cli_confirm(cli, args, q->what) : CLI_OK;
	}
	return CLI_OK;
}

static int run_passthru(struct cli *cli, const struct cli_args *args, struct passthru *p)
{
	static const char *const needed[] = {"opcode", NULL};
	struct cli_device dev;
	int code = cli_wanted(cli, args, needed);

	if (!code)
		code = take_values(cli, args, p);
	if (!code)
		code = check_values(cli, args, p);
	if (code)
		return code;
	fill_cmd(p);
	if (cli_args_get(args, "dry-run")) {
		code = name_nsid(cli, args, p);
		if (code)
			return code;
		cli_show_command(&p->cmd, p->data_len, p->md_len, p->timeout_ms);
		return CLI_OK;
	}
	code = confirm(cli, args, p);
	if (code)
		return code;
	code = cli_device_open(cli, args, p->io ? CLI_DEVICE_IO : 0, &dev);
	if (!code) {
		take_nsid(&dev, p);
		if (cli_args_get(args, "show-command"))
			cli_show_command(&p->cmd, p->data_len, p->md_len, p->timeout_ms);
		code = send_passthru(&dev, args, p);
	}
	cli_device_close(&dev);
	return code;
}

static int run_admin(struct cli *cli, const struct cli_args *args)
{
	struct passthru p = {0};

	return run_passthru(cli, args, &p);
}

static int run_io(struct cli *cli, const struct cli_args *args)
{
	struct passthru p = {.io = true};

	return run_passthru(cli, args, &p);
}

static const struct cli_option passthru_options[] = {
	{"opcode", 'o', "NUM", "opcode; needed"},
	{"flags", 'f', "NUM", "command flags; only 0 is possible"},
	{"rsvd", 'R', "NUM", "reserved field; only 0 is possible"},
	{"namespace-id", 'n', "NSID", "the namespace (default: that of CTRL/NSID, or 0)"},
	{"data-len", 'l', "BYTES", "of the data (default 0)"},
	{"metadata-len", 'm', "BYTES", "of the metadata (default 0)"},
	{"timeout", 't', "MS", "give up when it isn't answered for so long (default: wait)"},
	{"cdw2", '2', "NUM", "command dword 2; the others likewise"},
	{"cdw3", '3', "NUM", "command dword 3"},
	{"cdw10", '4', "NUM", "command dword 10"},
	{"cdw11", '5', "NUM", "command dword 11"},
	{"cdw12", '6', "NUM", "command dword 12"},
	{"cdw13", '7', "NUM", "command dword 13"},
	{"cdw14", '8', "NUM", "command dword 14"},
	{"cdw15", '9', "NUM", "command dword 15"},
	{"input-file", 'i', "FILE",
	 "data to send (default: standard input), or where data that comes back goes"},
	{"metadata", 'M', "FILE", "metadata likewise (default: --prefill, and not shown)"},
	{"read", 'r', NULL, "data comes back: checked against the opcode, which says so"},
	{"write", 'w', NULL, "data is sent: likewise"},
	{"prefill", 'p', "BYTE", "what buffers are filled with before (default 0)"},
	{"raw-binary", 'b', NULL, "print the bytes that come back as they are"},
	{"show-command", 's', NULL, "show the command before it is sent"},
	{"dry-run", 'd', NULL, "show the command instead of sending it"},
	{"latency", 'T', NULL, "say how long it took"},
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

#define PASSTHRU_USAGE \
	"CTRL[/NSID]|--traddr ADDRESS -o NUM [-n NSID] [-4 NUM] ... [-l BYTES] [-i FILE] ..."
#define PASSTHRU_TEXT                                                                             \
	"Which way data goes follows from the opcode's low two bits. Before the command's name, " \
	"-o json stands for the output format: result is dword 0 of the completion, data is in "  \
	"hexadecimal digits."

static const char *const admin_examples[] = {
	"nvmux admin-passthru nvme0 -o 6 --cdw10 1 -l 4096 -r -b > id-ctrl.bin",
	"nvmux admin-passthru nvme0 -o 0x0a --cdw10 7",
	NULL,
};

const struct cli_command cli_cmd_admin_passthru = {
	.name = "admin-passthru",
	.group = CLI_GROUP_RAW,
	.summary = "send any admin command",
	.usage = PASSTHRU_USAGE,
	.description = PASSTHRU_TEXT
	"\n\nThrough the daemon, commands that others would notice need the admin right; "
	"those that would take its queues or connection away are refused."
	"\n\nAsks before Format NVM, Sanitize, the deletion of namespaces and the activation of "
	"firmware, as the commands for these do.",
	.options = passthru_options,
	.examples = admin_examples,
	.max_args = 1,
	.run = run_admin,
};

static const char *const io_examples[] = {
	"nvmux io-passthru nvme0/1 -o 2 --cdw10 8 -l 512 -r",
	"nvmux io-passthru nvme0/1 -o 1 --cdw10 8 -l 512 -w -i block.bin",
	NULL,
};

const struct cli_command cli_cmd_io_passthru = {
	.name = "io-passthru",
	.group = CLI_GROUP_RAW,
	.summary = "send any I/O command",
	.usage = PASSTHRU_USAGE,
	.description = PASSTHRU_TEXT
	"\n\nThe daemon checks the command as it checks its clients' commands: the data must "
	"be as long as the command says."
	"\n\nAsks before Write Uncorrectable, before reservations of other hosts are taken away "
	"or all are cleared, and before all zones are reset, or zones taken offline.",
	.options = passthru_options,
	.examples = io_examples,
	.max_args = 1,
	.run = run_io,
};
