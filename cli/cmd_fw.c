// SPDX-License-Identifier: BSD-3-Clause
/*
 * fw-download, fw-commit. Base specification 2.0, sections 5.11 and 5.12.
 *
 * Happy path: the image in pieces of the controller's granularity, then, as a command of its own,
 * what becomes of it. Failures: an image that isn't whole dwords; a piece that is refused; a commit
 * that is done and needs a reset of some kind, which isn't an error and is said.
 */
#include <nvme/types.h>

#include "cli/progress.h"
#include "cli/verb.h"

#define IMAGE_MAX    (256u << 20)
#define FWUG_UNIT    4096u
#define FWUG_ANY     0xff
#define XFER_DEFAULT 4096u

/* ---- download ---- */

/* An image for --fw. */
static int read_image(struct cli *cli, const struct cli_args *args, struct cli_data *ret)
{
	const char *file = cli_args_get(args, "fw");
	int code = cli_data_read(cli, file, IMAGE_MAX, ret);

	if (code || (ret->len && ret->len % 4 == 0))
		return code;
	cli_error(cli, "%s: has %zu bytes; an image has a multiple of 4 and isn't empty", file,
		  ret->len);
	return CLI_IO_ERROR;
}

struct download {
	uint64_t xfer, offset; /* bytes, dwords */
	bool ignore_overlap;
};

/* Bytes of one piece: the granularity at least, and what the controller moves at most. */
static uint32_t piece_size(const struct cli_device *dev, const struct download *d)
{
	uint8_t fwug = nvmux_ctrlr_get_data(dev->ctrlr)->fwug;
	uint32_t size = (uint32_t)d->xfer;
	uint32_t most = nvmux_ctrlr_get_max_xfer_size(dev->ctrlr) & ~3u;

	if (!size)
		size = fwug && fwug != FWUG_ANY ? fwug * FWUG_UNIT : XFER_DEFAULT;
	return most && size > most ? most : size;
}

static int send_image(struct cli_device *dev, const struct download *d, struct cli_data *image)
{
	static const uint16_t overlap[] = {
		NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_OVERLAPPING_RANGE), 0};
	uint32_t step = piece_size(dev, d);
	struct cli_progress progress;
	int code = CLI_OK;

	dev->tolerated = d->ignore_overlap ? overlap : NULL;
	cli_progress_begin(&progress, image->len);
	for (size_t at = 0; !code && at < image->len; at += step) {
		size_t len = image->len - at < step ? image->len - at : step;
		struct nvmux_cmd cmd = {
			.opc = nvme_admin_fw_download,
			.cdw10 = htole32((uint32_t)(len / 4 - 1)),
			.cdw11 = htole32((uint32_t)(d->offset + at / 4)),
		};
		char what[64];

		snprintf(what, sizeof(what), "firmware download at byte %llu",
			 (unsigned long long)(d->offset * 4 + at));
		code = cli_device_admin(dev, what, &cmd, image->bytes + at, len, NULL);
		cli_progress_update(&progress, at + len);
	}
	cli_progress_end(&progress);
	dev->tolerated = NULL;
	return code;
}

static int take_xfer(struct cli *cli, const struct cli_args *args, struct download *d)
{
	const struct cli_value values[] = {{"xfer", &d->xfer, 4, 16u << 20}, {0}};
	int code = cli_values(cli, args, values);

	return code ? code : cli_check_dwords(cli, "xfer", d->xfer);
}

static int run_download(struct cli *cli, const struct cli_args *args)
{
	static const char *const needed[] = {"fw", NULL};
	struct download d = {.ignore_overlap = cli_args_get(args, "ignore-ovr")};
	const struct cli_value values[] = {{"offset", &d.offset, 0, UINT32_MAX}, {0}};
	CLI_DATA image = {0};
	struct cli_device dev;
	int code = cli_wanted(cli, args, needed);

	if (!code)
		code = cli_values(cli, args, values);
	if (!code)
		code = take_xfer(cli, args, &d);
	if (!code)
		code = read_image(cli, args, &image);
	if (code)
		return code;
	code = cli_device_open(cli, args, 0, &dev);
	if (!code)
		code = send_image(&dev, &d, &image);
	if (!code)
		code = cli_report(&dev,
				  json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)image.len,
					    "offset", (json_int_t)(d.offset * 4), "xfer",
					    (json_int_t)piece_size(&dev, &d)),
				  "downloaded %zu bytes; nvmux fw-commit puts them to use",
				  image.len);
	cli_device_close(&dev);
	return code;
}

/* ---- commit ---- */

/* Statuses of a commit that has been done. */
static const struct {
	uint16_t status;
	const char *text, *needs;
} needs_reset[] = {
	{NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_FW_NEEDS_CONV_RESET), "conventional",
	 "a conventional reset"},
	{NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_FW_NEEDS_SUBSYS_RESET), "subsystem",
	 "a subsystem reset"},
	{NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_FW_NEEDS_RESET), "controller",
	 "a controller reset"},
};

static int report_commit(struct cli_device *dev, uint64_t slot, uint64_t action)
{
	const char *text = "none", *needs = NULL;

	for (size_t i = 0; i < sizeof(needs_reset) / sizeof(needs_reset[0]); i++) {
		if ((dev->status & NVMUX_STATUS_CODE_MASK) == needs_reset[i].status) {
			text = needs_reset[i].text;
			needs = needs_reset[i].needs;
		}
	}
	return cli_report(dev,
			  json_pack("{s:i, s:i, s:s, s:i}", "slot", (int)slot, "action",
				    (int)action, "reset_needed", text, "mud", (int)(dev->dw0 & 3)),
			  "committed, slot %llu, action %llu%s%s", (unsigned long long)slot,
			  (unsigned long long)action, needs ? "; activation needs " : "",
			  needs ? needs : "");
}

static bool activates(uint64_t action)
{
	return action == 1 || action == 2 || action == 3 || action == 7;
}

struct commit {
	uint64_t slot, action, bpid;
	struct download download;
	struct cli_data image; /* empty: it has been downloaded before */
};

static int take_commit(struct cli *cli, const struct cli_args *args, struct commit *c)
{
	const struct cli_value values[] = {
		{"slot", &c->slot, 0, 7},
		{"action", &c->action, 0, 7},
		{"bpid", &c->bpid, 0, 1},
		{0},
	};
	int code = cli_values(cli, args, values);

	if (!code && (c->action == 4 || c->action == 5))
		code = cli_usage_error(cli, "--action: %llu is reserved; 0 to 3, 6 or 7 is wanted",
				       (unsigned long long)c->action);
	if (!code)
		code = take_xfer(cli, args, &c->download);
	if (!code && cli_args_get(args, "fw"))
		code = read_image(cli, args, &c->image);
	if (!code && activates(c->action))
		code = cli_confirm(cli, args, "other firmware will run");
	return code;
}

static int commit(struct cli_device *dev, struct commit *c)
{
	uint16_t tolerated[sizeof(needs_reset) / sizeof(needs_reset[0]) + 1] = {0};
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_fw_commit,
		.cdw10 = htole32((uint32_t)c->slot | (uint32_t)c->action << 3 |
				 (uint32_t)c->bpid << 31),
	};
	int code = c->image.len ? send_image(dev, &c->download, &c->image) : CLI_OK;

	if (code)
		return code;
	for (size_t i = 0; i < sizeof(needs_reset) / sizeof(needs_reset[0]); i++)
		tolerated[i] = needs_reset[i].status;
	dev->tolerated = tolerated;
	code = cli_device_admin(dev, "firmware commit", &cmd, NULL, 0, NULL);
	dev->tolerated = NULL;
	return code ? code : report_commit(dev, c->slot, c->action);
}

static int run_commit(struct cli *cli, const struct cli_args *args)
{
	struct commit c = {0};
	struct cli_device dev;
	int code = take_commit(cli, args, &c);

	if (!code) {
		code = cli_device_open(cli, args, 0, &dev);
		if (!code)
			code = commit(&dev, &c);
		cli_device_close(&dev);
	}
	cli_data_free(&c.image);
	return code;
}

/* ---- tables ---- */

static const struct cli_option download_options[] = {
	{"fw", 'f', "FILE", "the image; needed"},
	{"xfer", 'x', "BYTES", "of one command (default: the controller's granularity, or 4096)"},
	{"offset", 'o', "DWORDS", "where in the whole image the file begins (default 0)"},
	{"progress", 'p', NULL, "for likeness with nvme-cli: a terminal shows it anyway"},
	{"ignore-ovr", 'i', NULL, "go on when the controller says that pieces overlap"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const download_examples[] = {
	"nvmux fw-download nvme0 --fw image.bin",
	"nvmux fw-download nvme0 -f image.bin -x 65536",
	NULL,
};

const struct cli_command cli_cmd_fw_download = {
	.name = "fw-download",
	.group = CLI_GROUP_MANAGE,
	.summary = "send a firmware image to a controller",
	.usage = CLI_VERB_USAGE " -f FILE [-x BYTES] [-o DWORDS] ...",
	.description = "Sends Firmware Image Download, piece by piece. Nothing changes until nvmux "
		       "fw-commit. Needs the admin right through the daemon.",
	.options = download_options,
	.examples = download_examples,
	.max_args = 1,
	.run = run_download,
};

static const struct cli_option commit_options[] = {
	{"slot", 's', "NUM", "firmware slot, 1 to 7; 0: the controller chooses (default 0)"},
	{"action", 'a', "NUM",
	 "0 put the image into the slot, 1 and activate it at the next reset, 2 activate the "
	 "slot's at the next reset, 3 at once, 6 replace and 7 activate a boot partition (default "
	 "0)"},
	{"bpid", 'b', "NUM", "boot partition, 0 or 1 (default 0)"},
	{"fw", 'f', "FILE",
	 "download this image first; with --traddr the only way, as the controller forgets a "
	 "download when the next command starts it anew"},
	{"xfer", 'x', "BYTES", "of one command of that download"},
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const commit_examples[] = {
	"nvmux fw-commit nvme0 --slot 2 --action 0",
	"nvmux fw-commit nvme0 --slot 2 --action 1 --force && nvmux reset nvme0",
	"nvmux fw-commit --traddr 0000:01:00.0 --fw image.bin --slot 2 --action 1",
	NULL,
};

const struct cli_command cli_cmd_fw_commit = {
	.name = "fw-commit",
	.group = CLI_GROUP_MANAGE,
	.summary = "put a firmware image into a slot, or activate one",
	.usage = CLI_VERB_USAGE " [-s NUM] [-a NUM] [-b NUM] [-f FILE] [--force]",
	.description = "Sends Firmware Commit. Actions that activate are asked about first; where "
		       "nobody can be asked, --force is needed. It says which reset is needed, and "
		       "doesn't do it. Needs the admin right through the daemon.",
	.options = commit_options,
	.examples = commit_examples,
	.max_args = 1,
	.run = run_commit,
};
