// SPDX-License-Identifier: BSD-3-Clause
/*
 * format: Format NVM. Base specification 2.0, section 5.14.
 *
 * Happy path: the question → the namespace's formats → the command, and while it runs, on a
 * terminal, what the namespace says of its progress (FPI) → perhaps a reset.
 * Failures: no format of the block size that is asked for; the daemon's clients that use the
 * namespace; a status; a signal while it runs: it goes on in the controller.
 */
#include <string.h>
#include <nvme/types.h>

#include "cli/progress.h"
#include "cli/verb.h"
#include "decode/identify_json.h"

#define FPI_SUPPORTED 0x80
#define FPI_LEFT      0x7f /* percent */
#define LBAFS_MAX     64u
#define NSID_ALL      0xffffffffu
#define NOT_GIVEN     UINT64_MAX

struct format {
	uint64_t lbaf, block_size, ses, pi, pil, ms, timeout_ms;
};

/* Identify, sent while the format runs. */
struct watch {
	struct cli_progress progress;
	struct nvme_id_ns ns;
	bool asking;
	bool offered; /* it answered with an indicator, or hasn't been asked */
};

static void on_answer(void *arg, const struct nvmux_cpl *cpl)
{
	struct watch *w = arg;

	w->asking = false;
	w->offered = !nvmux_cpl_is_error(cpl) && w->ns.fpi & FPI_SUPPORTED;
	if (w->offered)
		cli_progress_update(&w->progress, 100u - (w->ns.fpi & FPI_LEFT));
}

static void look(struct cli_device *dev, void *arg)
{
	struct watch *w = arg;

	if (w->asking || !w->offered || !dev->ctrlr || !cli_progress_due(&w->progress))
		return;
	w->asking = !nvmux_ctrlr_cmd_identify(dev->ctrlr, NVME_IDENTIFY_CNS_NS, dev->nsid, 0, 0, 0,
					      &w->ns, on_answer, w);
}

static uint32_t lbaf_count(const struct nvme_id_ns *ns)
{
	uint32_t n = ns->nlbaf + 1u;

	return n < LBAFS_MAX ? n : LBAFS_MAX;
}

/* Which format: the one named, one of the block size without metadata, or the present one. */
static int choose_lbaf(struct cli_device *dev, const struct format *f, const struct nvme_id_ns *ns,
		       uint32_t *ret)
{
	*ret = identify_format_index(ns->flbas);
	if (f->lbaf != NOT_GIVEN) {
		*ret = (uint32_t)f->lbaf;
		return CLI_OK;
	}
	if (f->block_size == NOT_GIVEN)
		return CLI_OK;
	for (uint32_t i = 0; i < lbaf_count(ns); i++) {
		if (ns->lbaf[i].ds < 32 && 1ull << ns->lbaf[i].ds == f->block_size &&
		    !ns->lbaf[i].ms) {
			*ret = i;
			return CLI_OK;
		}
	}
	cli_error(dev->cli,
		  "%s: no format has blocks of %llu bytes and no metadata; nothing was done",
		  dev->label, (unsigned long long)f->block_size);
	return CLI_FAILED;
}

static int send_format(struct cli_device *dev, const struct format *f, uint32_t lbaf,
		       struct watch *watch)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_format_nvm,
		.nsid = htole32(dev->nsid),
		.cdw10 = htole32((lbaf & 15) | (uint32_t)f->ms << 4 | (uint32_t)f->pi << 5 |
				 (uint32_t)f->pil << 8 | (uint32_t)f->ses << 9 | (lbaf >> 4) << 12),
	};
	int code;

	*watch = (struct watch){.offered = dev->nsid != NSID_ALL};
	dev->timeout_ms = f->timeout_ms;
	cli_progress_begin_percent(&watch->progress);
	if (watch->progress.on) {
		dev->on_turn = look;
		dev->on_turn_arg = watch;
	}
	code = cli_device_admin(dev, "format", &cmd, NULL, 0, NULL);
	/* What has been asked writes to what is here: it ends before this does. */
	while (watch->asking && dev->ctrlr) {
		if (!cli_pause(dev, 1))
			cli_device_close(dev);
	}
	if (!code && !dev->ctrlr)
		code = CLI_INTERRUPTED;
	dev->on_turn = NULL;
	dev->timeout_ms = 0;
	cli_progress_end(&watch->progress);
	return code;
}

static int format(struct cli_device *dev, const struct cli_args *args, const struct format *f,
		  struct watch *watch)
{
	struct nvme_id_ns ns;
	uint32_t lbaf = 0;
	int err = 0, code;

	code = cli_identify(dev, NVME_IDENTIFY_CNS_NS, 0, dev->nsid, &ns);
	if (!code)
		code = choose_lbaf(dev, f, &ns, &lbaf);
	if (!code)
		code = send_format(dev, f, lbaf, watch);
	if (code)
		return code;
	if (cli_args_get(args, "reset"))
		err = nvmux_ctrlr_reset(dev->ctrlr);
	if (err)
		return cli_device_error(dev, "reset after the format", err);
	return cli_report(dev,
			  json_pack("{s:i, s:i, s:i, s:i, s:i}", "lbaf", (int)lbaf, "ses",
				    (int)f->ses, "pi", (int)f->pi, "pil", (int)f->pil, "ms",
				    (int)f->ms),
			  "formatted with LBA format %u", lbaf);
}

static int run_format(struct cli *cli, const struct cli_args *args)
{
	struct format f = {.lbaf = NOT_GIVEN, .block_size = NOT_GIVEN};
	const struct cli_value values[] = {
		{"lbaf", &f.lbaf, 0, LBAFS_MAX - 1},
		{"block-size", &f.block_size, 512, 1u << 31},
		{"ses", &f.ses, 0, 2},
		{"pi", &f.pi, 0, 3},
		{"pil", &f.pil, 0, 1},
		{"ms", &f.ms, 0, 1},
		{"timeout", &f.timeout_ms, 0, UINT32_MAX},
		{0},
	};
	struct watch watch; /* as long as the device */
	struct cli_device dev;
	int code = cli_values(cli, args, values);

	if (!code && f.lbaf != NOT_GIVEN && f.block_size != NOT_GIVEN)
		code = cli_usage_error(cli, "--lbaf and --block-size exclude each other");
	if (!code && f.block_size != NOT_GIVEN && f.block_size & (f.block_size - 1))
		code = cli_usage_error(cli, "--block-size: %llu isn't a power of 2",
				       (unsigned long long)f.block_size);
	if (!code)
		code = cli_confirm(cli, args, "formatting erases all data of the namespace");
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NSID, &dev);
	if (!code)
		code = format(&dev, args, &f, &watch);
	cli_device_close(&dev);
	return code;
}

static const struct cli_option format_options[] = {
	{"namespace-id", 'n', "NSID", CLI_DEVICE_NSID_HELP "; 0xffffffff: all of them"},
	CLI_TIMEOUT_OPTION,
	{"lbaf", 'l', "NUM", "index of the LBA format (default: the present one)"},
	{"block-size", 'b', "BYTES", "take the format with blocks of this size and no metadata"},
	{"ses", 's', "NUM", "secure erase: 0 none, 1 user data, 2 cryptographic (default 0)"},
	{"pi", 'i', "NUM", "protection information: 0 none, type 1, 2 or 3 (default 0)"},
	{"pil", 'p', "NUM", "where it is in the metadata: 0 last, 1 first 8 bytes (default 0)"},
	{"ms", 'm', "NUM", "metadata: 0 separate, 1 interleaved with the data (default 0)"},
	{"reset", 'r', NULL, "reset the controller afterwards"},
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const format_examples[] = {
	"nvmux format nvme0/1 --block-size 4096",
	"nvmux format nvme0/1 --lbaf 2 --pi 1 --force",
	"nvmux format nvme0 -n 0xffffffff --ses 1",
	NULL,
};

const struct cli_command cli_cmd_format = {
	.name = "format",
	.group = CLI_GROUP_MANAGE,
	.summary = "format a namespace anew, or erase it",
	.usage = CLI_VERB_NS_USAGE " [--lbaf NUM|--block-size BYTES] [--pi NUM] [--ses NUM] ...",
	.description = "Sends Format NVM and waits for its end: all data of the namespace is lost. "
		       "It asks "
		       "first; where nobody can be asked, --force is needed.\n\n"
		       "Through the daemon it needs the admin right. Clients' commands wait "
		       "meanwhile, and "
		       "then meet the new format.",
	.options = format_options,
	.examples = format_examples,
	.max_args = 1,
	.run = run_format,
};
