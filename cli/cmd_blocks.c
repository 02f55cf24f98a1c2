// SPDX-License-Identifier: BSD-3-Clause
/*
 * write-zeroes, write-uncor, verify: a range of blocks without data.
 *
 * Happy path: the range, which may be larger than one command's, is sent in pieces, one after the
 * other. Failures: a range beyond the namespace is found before anything is sent; a status ends it,
 * and the message says in which piece.
 */
#include <nvme/types.h>

#include "cli/pi_opts.h"
#include "cli/progress.h"

#define BLOCKS_MAX 65536u     /* of one command: a number of 16 bits, counted from 0 */
#define DEAC       (1u << 25) /* deallocate; write zeroes */
#define PAGE_SHIFT 12         /* of VSL, WZSL and WUSL, where CAP.MPSMIN is 0 */

struct range {
	const char *what;
	uint8_t opc;
	uint32_t flags; /* of dword 12 */
	uint64_t slba;
	uint64_t count; /* counted from 0, as in the command */
	struct cli_pi pi;
	bool with_pi;
};

/* Blocks of one command: what the controller says of it, if anything. NVM command set 1.0, section
 * 4.1.5.4. */
static int find_limit(struct cli_device *dev, const struct range *r, uint32_t *ret)
{
	static const uint16_t unknown[] = {NVME_SC_INVALID_FIELD, NVME_SC_INVALID_OPCODE, 0};
	struct nvme_id_ctrl_nvm id = {0};
	unsigned limit, shift;
	int code;

	*ret = BLOCKS_MAX;
	dev->tolerated = unknown;
	code = cli_identify(dev, NVME_IDENTIFY_CNS_CSI_CTRL, NVME_CSI_NVM, 0, &id);
	dev->tolerated = NULL;
	if (code || dev->status)
		return code;
	limit = r->opc == nvme_cmd_verify         ? id.vsl
		: r->opc == nvme_cmd_write_zeroes ? id.wzsl
						  : id.wusl;
	shift = limit + PAGE_SHIFT;
	if (limit && shift < 40) {
		uint64_t blocks = (1ull << shift) / nvmux_ns_get_sector_size(dev->ns);

		*ret = (uint32_t)(blocks < BLOCKS_MAX ? blocks ? blocks : 1 : BLOCKS_MAX);
	}
	return CLI_OK;
}

static int check_range(struct cli_device *dev, const struct range *r)
{
	uint64_t blocks = nvmux_ns_get_num_sectors(dev->ns);

	if (r->slba < blocks && r->count < blocks - r->slba)
		return CLI_OK;
	cli_error(dev->cli,
		  "%s: %llu blocks at %llu: beyond the end of the namespace, which has "
		  "%llu blocks; nothing was done",
		  dev->label, (unsigned long long)r->count + 1, (unsigned long long)r->slba,
		  (unsigned long long)blocks);
	return CLI_FAILED;
}

static int send_piece(struct cli_device *dev, const struct range *r, uint64_t lba, uint64_t n)
{
	struct nvmux_cmd cmd = {
		.opc = r->opc,
		.nsid = htole32(dev->nsid),
		.cdw12 = htole32((uint32_t)(n - 1) | r->flags),
	};
	char what[96];

	cli_put_lba(&cmd, lba);
	if (r->with_pi)
		cli_pi_put(&r->pi, dev->ns, r->slba, lba, &cmd);
	snprintf(what, sizeof(what), "%s of blocks %llu to %llu", r->what, (unsigned long long)lba,
		 (unsigned long long)(lba + n - 1));
	return cli_device_io(dev, what, &cmd, NULL, 0, NULL);
}

static int send_range(struct cli_device *dev, const struct range *r)
{
	uint64_t done = 0, total = r->count + 1;
	struct cli_progress progress;
	uint32_t limit = BLOCKS_MAX;
	int code = check_range(dev, r);

	if (!code && total > 1)
		code = find_limit(dev, r, &limit);
	if (code)
		return code;
	cli_progress_begin(&progress, total * nvmux_ns_get_sector_size(dev->ns));
	while (!code && done < total) {
		uint64_t n = total - done < limit ? total - done : limit;

		code = send_piece(dev, r, r->slba + done, n);
		done += n;
		if (!code)
			cli_progress_update(&progress, done * nvmux_ns_get_sector_size(dev->ns));
	}
	cli_progress_end(&progress);
	if (code)
		return code;
	return cli_report(
		dev,
		json_pack("{s:I, s:I}", "slba", (json_int_t)r->slba, "blocks", (json_int_t)total),
		"%s: blocks %llu to %llu", r->what, (unsigned long long)r->slba,
		(unsigned long long)(r->slba + r->count));
}

static int run_range(struct cli *cli, const struct cli_args *args, struct range *r)
{
	const struct cli_value values[] = {
		{"start-block", &r->slba, 0, UINT64_MAX},
		{"block-count", &r->count, 0, UINT64_MAX - 1},
		{0},
	};
	struct cli_device dev;
	int code = cli_values(cli, args, values);

	if (!code && r->with_pi)
		code = cli_pi_from_args(cli, args, &r->pi);
	if (!code && cli_args_has(args, "force"))
		code = cli_confirm(cli, args,
				   "reads of the blocks will fail until they are written");
	if (code)
		return code;
	code = cli_device_open(cli, args, CLI_DEVICE_NS | CLI_DEVICE_IO, &dev);
	if (!code)
		code = send_range(&dev, r);
	cli_device_close(&dev);
	return code;
}

static int run_write_zeroes(struct cli *cli, const struct cli_args *args)
{
	struct range r = {.what = "write zeroes", .opc = nvme_cmd_write_zeroes, .with_pi = true};

	r.flags = cli_args_get(args, "deac") ? DEAC : 0;
	return run_range(cli, args, &r);
}

static int run_verify(struct cli *cli, const struct cli_args *args)
{
	struct range r = {.what = "verify", .opc = nvme_cmd_verify, .with_pi = true};

	return run_range(cli, args, &r);
}

static int run_write_uncor(struct cli *cli, const struct cli_args *args)
{
	struct range r = {.what = "write uncorrectable", .opc = nvme_cmd_write_uncor};

	return run_range(cli, args, &r);
}

#define RANGE_OPTIONS                                                                           \
	CLI_NSID_OPTION, {"start-block", 's', "LBA", "first block (default 0)"},                \
	{                                                                                       \
		"block-count", 'c', "COUNT",                                                    \
			"number of blocks less one, as in the command (default 0: one block); " \
			"more than one "                                                        \
			"command can have is sent in pieces"                                    \
	}

#define RANGE_TEXT                                                                             \
	"The range may be of any length: what one command can't name is sent in several, one " \
	"after the other."

static const struct cli_option write_zeroes_options[] = {
	RANGE_OPTIONS,
	{"deac", 'd', NULL, "ask the controller to deallocate the blocks"},
	CLI_PI_OPTIONS('S'),
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const write_zeroes_examples[] = {
	"nvmux write-zeroes nvme0/1 -s 0 -c 7",
	"nvmux write-zeroes nvme0 -n 1 -s 4096 -c 1048575 --deac",
	NULL,
};

const struct cli_command cli_cmd_write_zeroes = {
	.name = "write-zeroes",
	.group = CLI_GROUP_BLOCKS,
	.summary = "set a range of blocks to zero",
	.usage = CLI_VERB_NS_USAGE " [-s LBA] [-c COUNT] [--deac] ...",
	.description = "Sends Write Zeroes. " RANGE_TEXT,
	.options = write_zeroes_options,
	.examples = write_zeroes_examples,
	.max_args = 1,
	.run = run_write_zeroes,
};

static const struct cli_option verify_options[] = {
	RANGE_OPTIONS,
	CLI_PI_OPTIONS('S'),
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const verify_examples[] = {
	"nvmux verify nvme0/1 -s 0 -c 1023",
	"nvmux verify nvme0/1 -c 255 -p 7",
	NULL,
};

const struct cli_command cli_cmd_verify = {
	.name = "verify",
	.group = CLI_GROUP_BLOCKS,
	.summary = "have the controller read and check a range of blocks",
	.usage = CLI_VERB_NS_USAGE " [-s LBA] [-c COUNT] [-p BITS] ...",
	.description = "Sends Verify: media and, with --prinfo, protection information are checked "
		       "without moving data. " RANGE_TEXT,
	.options = verify_options,
	.examples = verify_examples,
	.max_args = 1,
	.run = run_verify,
};

static const struct cli_option write_uncor_options[] = {
	RANGE_OPTIONS,
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const write_uncor_examples[] = {
	"nvmux write-uncor nvme0/1 -s 8 -c 0",
	"nvmux write-uncor nvme0/1 -s 8 -c 0 --force",
	NULL,
};

const struct cli_command cli_cmd_write_uncor = {
	.name = "write-uncor",
	.group = CLI_GROUP_BLOCKS,
	.summary = "make reads of a range of blocks fail",
	.usage = CLI_VERB_NS_USAGE " [-s LBA] [-c COUNT] [--force]",
	.description =
		"Sends Write Uncorrectable: the data is lost, and reads end with Unrecovered "
		"Read Error until the blocks are written. Asks first; where nobody can be "
		"asked, --force is needed. " RANGE_TEXT,
	.options = write_uncor_options,
	.examples = write_uncor_examples,
	.max_args = 1,
	.run = run_write_uncor,
};
