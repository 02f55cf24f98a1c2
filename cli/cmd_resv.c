// SPDX-License-Identifier: BSD-3-Clause
/* Reservations. Base specification 2.0, sections 7.2 to 7.5 and 8.19. */
#include <string.h>
#include <nvme/types.h>

#include "cli/verb.h"
#include "decode/fields.h"

#define IEKEY       (1u << 3)
#define UNREGISTER  1 /* registration action */
#define REPORT_EDS  1u
#define REPORT_SIZE 4096u
#define NUMD_MAX    (1u << 18) /* 1 MiB */

/* What the three changing commands have in common. */
struct resv {
	const char *what;
	const char *done;
	struct nvmux_cmd cmd;
	uint64_t keys[2]; /* little-endian; of a release only the first */
	size_t len;
};

static int send_resv(struct cli *cli, const struct cli_args *args, struct resv *r)
{
	struct cli_device dev;
	int code;

	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	r->cmd.nsid = htole32(dev.nsid);
	if (!code)
		code = cli_device_io(&dev, r->what, &r->cmd, r->keys, r->len, NULL);
	if (!code)
		code = cli_report(&dev, NULL, "%s", r->done);
	cli_device_close(&dev);
	return code;
}

static int run_register(struct cli *cli, const struct cli_args *args)
{
	static const char *const done[] = {"registered", "unregistered", "key replaced"};
	uint64_t crkey = 0, nrkey = 0, rrega = 0, cptpl = 0;
	const struct cli_value values[] = {
		{"crkey", &crkey, 0, UINT64_MAX},
		{"nrkey", &nrkey, 0, UINT64_MAX},
		{"rrega", &rrega, 0, 2},
		{"cptpl", &cptpl, 0, 3},
		{0},
	};
	struct resv r = {.what = "reservation register", .len = 16};
	int code = cli_values(cli, args, values);

	if (!code && cptpl == 1)
		code = cli_usage_error(cli, "--cptpl: 1 is reserved; 0 leaves it, 2 clears it and "
					    "3 sets it");
	if (!code && rrega != UNREGISTER && !nrkey)
		code = cli_usage_error(cli, "--nrkey: %s; a key that isn't 0 is wanted",
				       cli_args_get(args, "nrkey") ? "0" : "none is given");
	if (code)
		return code;
	r.done = done[rrega];
	r.keys[0] = htole64(crkey);
	r.keys[1] = htole64(nrkey);
	r.cmd.opc = nvme_cmd_resv_register;
	r.cmd.cdw10 = htole32((uint32_t)rrega | (cli_args_get(args, "iekey") ? IEKEY : 0) |
			      (uint32_t)cptpl << 30);
	return send_resv(cli, args, &r);
}

static const char *const type_wanted[] = {"rtype", NULL};

static int run_acquire(struct cli *cli, const struct cli_args *args)
{
	static const char *const done[] = {"reserved", "preempted", "preempted, commands aborted"};
	uint64_t crkey = 0, prkey = 0, rtype = 0, racqa = 0;
	const struct cli_value values[] = {
		{"crkey", &crkey, 0, UINT64_MAX},
		{"prkey", &prkey, 0, UINT64_MAX},
		{"rtype", &rtype, 1, 6},
		{"racqa", &racqa, 0, 2},
		{0},
	};
	struct resv r = {.what = "reservation acquire", .len = 16};
	int code = cli_values(cli, args, values);

	if (!code && !racqa)
		code = cli_wanted(cli, args, type_wanted);
	if (!code && racqa)
		code = cli_confirm(cli, args,
				   racqa == 1 ? "another host loses its registration"
					      : "another host loses its registration, and "
						"its commands are aborted");
	if (code)
		return code;
	r.done = done[racqa];
	r.keys[0] = htole64(crkey);
	r.keys[1] = htole64(prkey);
	r.cmd.opc = nvme_cmd_resv_acquire;
	r.cmd.cdw10 = htole32((uint32_t)racqa | (cli_args_get(args, "iekey") ? IEKEY : 0) |
			      (uint32_t)rtype << 8);
	return send_resv(cli, args, &r);
}

static int run_release(struct cli *cli, const struct cli_args *args)
{
	uint64_t crkey = 0, rtype = 0, rrela = 0;
	const struct cli_value values[] = {
		{"crkey", &crkey, 0, UINT64_MAX},
		{"rtype", &rtype, 1, 6},
		{"rrela", &rrela, 0, 1},
		{0},
	};
	struct resv r = {.what = "reservation release", .len = 8};
	int code = cli_values(cli, args, values);

	if (!code && !rrela)
		code = cli_wanted(cli, args, type_wanted);
	if (!code && rrela)
		code = cli_confirm(cli, args, "all hosts lose their registrations");
	if (code)
		return code;
	r.done = rrela ? "cleared" : "released";
	r.keys[0] = htole64(crkey);
	r.cmd.opc = nvme_cmd_resv_release;
	r.cmd.cdw10 = htole32((uint32_t)rrela | (cli_args_get(args, "iekey") ? IEKEY : 0) |
			      (uint32_t)rtype << 8);
	return send_resv(cli, args, &r);
}

/* ---- report ---- */

struct report {
	bool eds;
	unsigned n; /* registrants in the buffer; there may be more */
	const struct nvme_resv_status *status;
};

static unsigned regctl_of(const struct nvme_resv_status *status)
{
	return status->regctl[0] | (unsigned)status->regctl[1] << 8;
}

static void host_text(const uint8_t id[16], char text[33])
{
	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
}

/* Keys as nvme-cli has them. */
static int print_report_json(const struct cli *cli, const struct report *r)
{
	CLI_JSON *root = json_pack("{s:I, s:i, s:i, s:i}", "gen",
				   (json_int_t)le32toh(r->status->gen), "rtype",
				   (int)r->status->rtype, "regctl", (int)regctl_of(r->status),
				   "ptpls", (int)r->status->ptpls);
	json_t *list = json_array();

	for (unsigned i = 0; i < r->n; i++) {
		const struct nvme_registered_ctrl *c = &r->status->regctl_ds[i];
		const struct nvme_registered_ctrl_ext *e = &r->status->regctl_eds[i];
		char host[33];

		if (!r->eds) {
			json_array_append_new(
				list, json_pack("{s:i, s:i, s:o, s:o}", "cntlid",
						(int)le16toh(c->cntlid), "rcsts", (int)c->rcsts,
						"hostid", decode_uint_json(le64toh(c->hostid)),
						"rkey", decode_uint_json(le64toh(c->rkey))));
			continue;
		}
		host_text(e->hostid, host);
		json_array_append_new(
			list, json_pack("{s:i, s:i, s:o, s:s}", "cntlid", (int)le16toh(e->cntlid),
					"rcsts", (int)e->rcsts, "rkey",
					decode_uint_json(le64toh(e->rkey)), "hostid", host));
	}
	json_object_set_new(root, r->eds ? "regctlext" : "regctls", list);
	return cli_print_json(cli, root);
}

static void print_report(const struct report *r)
{
	printf("gen       : %u\nrtype     : %d\nregctl    : %u\nptpls     : %d\n",
	       le32toh(r->status->gen), r->status->rtype, regctl_of(r->status), r->status->ptpls);
	for (unsigned i = 0; i < r->n; i++) {
		const struct nvme_registered_ctrl *c = &r->status->regctl_ds[i];
		const struct nvme_registered_ctrl_ext *e = &r->status->regctl_eds[i];
		char host[33];

		if (!r->eds) {
			printf("regctl[%u] :\n  cntlid  : %x\n  rcsts   : %x\n  hostid  : %llx\n"
			       "  rkey    : %llx\n",
			       i, le16toh(c->cntlid), c->rcsts,
			       (unsigned long long)le64toh(c->hostid),
			       (unsigned long long)le64toh(c->rkey));
			continue;
		}
		host_text(e->hostid, host);
		printf("regctlext[%u] :\n  cntlid     : %x\n  rcsts      : %x\n  rkey       : "
		       "%llx\n"
		       "  hostid     : %s\n",
		       i, le16toh(e->cntlid), e->rcsts, (unsigned long long)le64toh(e->rkey), host);
	}
}

static int show_report(struct cli *cli, const struct cli_args *args, const struct cli_data *data,
		       bool eds)
{
	const struct nvme_resv_status *status = (const void *)data->bytes;
	size_t head = eds ? 64 : 24, entry = eds ? sizeof(struct nvme_registered_ctrl_ext)
						 : sizeof(struct nvme_registered_ctrl);
	struct report r = {.eds = eds, .status = status};

	if (cli->binary || cli_args_get(args, "raw-binary"))
		return cli_data_write(cli, NULL, data->bytes, data->len);
	if (data->len >= head)
		r.n = (unsigned)((data->len - head) / entry);
	if (r.n > regctl_of(status))
		r.n = regctl_of(status);
	if (cli->json)
		return print_report_json(cli, &r);
	print_report(&r);
	return CLI_OK;
}

static int run_report(struct cli *cli, const struct cli_args *args)
{
	uint64_t numd = REPORT_SIZE / 4; /* less than nothing is of no use: the head has 24 bytes */
	const struct cli_value values[] = {{"numd", &numd, 6, NUMD_MAX}, {0}};
	struct nvmux_cmd cmd = {.opc = nvme_cmd_resv_report};
	bool eds = cli_args_get(args, "eds");
	struct cli_device dev;
	CLI_DATA data = {0};
	int code = cli_values(cli, args, values);

	if (!code)
		code = cli_data_alloc(cli, numd * 4, 0, &data);
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	cmd.nsid = htole32(dev.nsid);
	cmd.cdw10 = htole32((uint32_t)numd - 1);
	cmd.cdw11 = htole32(eds ? REPORT_EDS : 0);
	if (!code)
		code = cli_device_io(&dev, "reservation report", &cmd, data.bytes, data.len, NULL);
	if (!code)
		code = show_report(cli, args, &data, eds);
	cli_device_close(&dev);
	return code;
}

/* ---- tables ---- */

#define RTYPE_HELP                                                                               \
	"1 write exclusive, 2 exclusive access, 3 and 4 the same for registrants only, 5 and 6 " \
	"for all registrants"

static const struct cli_option register_options[] = {
	CLI_NSID_OPTION,
	{"crkey", 'c', "KEY", "current reservation key (default 0)"},
	{"nrkey", 'k', "KEY", "new reservation key, not 0; needed unless --rrega is 1"},
	{"rrega", 'r', "NUM", "0 register, 1 unregister, 2 replace the key (default 0)"},
	{"cptpl", 'p', "NUM",
	 "whether it persists through power loss: 0 leave it, 2 no, 3 yes (default 0)"},
	{"iekey", 'i', NULL, "ignore the existing key"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const register_examples[] = {
	"nvmux resv-register nvme0/1 --nrkey 0x1234",
	"nvmux resv-register nvme0/1 --crkey 0x1234 --rrega 1",
	NULL,
};

const struct cli_command cli_cmd_resv_register = {
	.name = "resv-register",
	.group = CLI_GROUP_BLOCKS,
	.summary = "register, unregister or replace a reservation key",
	.usage = CLI_VERB_NS_USAGE " [--crkey KEY] [--nrkey KEY] [--rrega NUM] ...",
	.description =
		"Sends Reservation Register. Through the daemon it needs the reservations right: "
		"registrations are the daemon's host identifier's, and so all its clients'.",
	.options = register_options,
	.examples = register_examples,
	.max_args = 1,
	.run = run_register,
};

static const struct cli_option acquire_options[] = {
	CLI_NSID_OPTION,
	{"crkey", 'c', "KEY", "current reservation key (default 0)"},
	{"prkey", 'p', "KEY", "key of the host to preempt (default 0)"},
	{"rtype", 't', "NUM", RTYPE_HELP "; needed for --racqa 0"},
	{"racqa", 'a', "NUM", "0 acquire, 1 preempt, 2 preempt and abort (default 0)"},
	{"iekey", 'i', NULL, "ignore the existing key"},
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const acquire_examples[] = {
	"nvmux resv-acquire nvme0/1 --crkey 0x1234 --rtype 1",
	"nvmux resv-acquire nvme0/1 --crkey 0x1234 --prkey 0x99 --rtype 1 --racqa 1 --force",
	NULL,
};

const struct cli_command cli_cmd_resv_acquire = {
	.name = "resv-acquire",
	.group = CLI_GROUP_BLOCKS,
	.summary = "reserve a namespace, or preempt another host",
	.usage = CLI_VERB_NS_USAGE " [--crkey KEY] [--prkey KEY] [--rtype NUM] [--racqa NUM] ...",
	.description = "Sends Reservation Acquire. Preempting asks first; where nobody can be "
		       "asked, --force is needed.",
	.options = acquire_options,
	.examples = acquire_examples,
	.max_args = 1,
	.run = run_acquire,
};

static const struct cli_option release_options[] = {
	CLI_NSID_OPTION,
	{"crkey", 'c', "KEY", "current reservation key (default 0)"},
	{"rtype", 't', "NUM", RTYPE_HELP ": that which is held; needed for --rrela 0"},
	{"rrela", 'a', "NUM", "0 release, 1 clear (default 0)"},
	{"iekey", 'i', NULL, "ignore the existing key"},
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const release_examples[] = {
	"nvmux resv-release nvme0/1 --crkey 0x1234 --rtype 1",
	NULL,
};

const struct cli_command cli_cmd_resv_release = {
	.name = "resv-release",
	.group = CLI_GROUP_BLOCKS,
	.summary = "give a reservation back, or clear all registrations",
	.usage = CLI_VERB_NS_USAGE " [--crkey KEY] [--rtype NUM] [--rrela NUM] ...",
	.description = "Sends Reservation Release. Clearing asks first; where nobody can be asked, "
		       "--force is needed.",
	.options = release_options,
	.examples = release_examples,
	.max_args = 1,
	.run = run_release,
};

static const struct cli_option report_options[] = {
	CLI_NSID_OPTION,
	{"numd", 'd', "COUNT", "dwords to read (default 1024)"},
	{"eds", 'e', NULL, "the extended data structure, with host identifiers of 128 bits"},
	{"raw-binary", 'b', NULL, "the bytes as they are"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const report_examples[] = {
	"nvmux resv-report nvme0/1 --eds -o json",
	NULL,
};

const struct cli_command cli_cmd_resv_report = {
	.name = "resv-report",
	.group = CLI_GROUP_BLOCKS,
	.summary = "show reservation and registrants of a namespace",
	.usage = CLI_VERB_NS_USAGE " [--eds] [--numd COUNT] ...",
	.description = "Sends Reservation Report. The keys of -o json are nvme-cli's.",
	.options = report_options,
	.examples = report_examples,
	.max_args = 1,
	.binary = true,
	.run = run_report,
};
