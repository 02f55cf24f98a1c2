// SPDX-License-Identifier: BSD-3-Clause
/*
 * read: a range of bytes of a namespace into a file or standard output.
 *
 * Happy path: commands for whole blocks are kept in flight; the pieces are written out in order,
 * without the bytes of the first and last block that weren't asked for.
 * Failures: range beyond the namespace (before the file is touched), a command that ends with an
 * error (what lies before it has been written out), a file that takes no more, SIGINT.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli/ctrlr_opts.h"
#include "cli/transfer.h"

/* Begin the next piece, if there is one and a free slot. */
static int begin_piece(struct transfer *t, uint64_t end_lba, uint64_t *next_lba)
{
	struct transfer_slot *slot = &t->slots[t->head % t->depth];
	uint64_t blocks = end_lba - *next_lba;
	int code;

	if (blocks > t->chunk / t->io.block_size)
		blocks = t->chunk / t->io.block_size;
	slot->lba = *next_lba;
	slot->blocks = (uint32_t)blocks;
	code = transfer_submit(t, slot, false);
	if (code)
		return code;
	*next_lba += blocks;
	t->head++;
	return CLI_OK;
}

static int write_out(struct transfer *t, const uint8_t *data, size_t len)
{
	while (len) {
		int code = transfer_wait_file(t, POLLOUT);
		ssize_t n;

		if (code)
			return code;
		n = write(t->fd, data, len);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return transfer_file_error(t, "write");
		if (n > 0) {
			data += n;
			len -= (size_t)n;
			t->done += (uint64_t)n;
		}
	}
	cli_progress_update(&t->progress, t->done);
	return CLI_OK;
}

/* The oldest piece: wait for it, write out what was asked for of it. */
static int end_piece(struct transfer *t)
{
	struct transfer_slot *slot = &t->slots[t->tail % t->depth];
	uint64_t first = slot->lba * t->io.block_size;
	uint64_t from, to;
	int code;

	code = transfer_wait(t, slot, "read");
	if (code)
		return code;
	from = t->offset > first ? t->offset - first : 0;
	to = (uint64_t)slot->blocks * t->io.block_size;
	if (to > t->offset + t->length - first)
		to = t->offset + t->length - first;
	t->tail++;
	return write_out(t, slot->buf + from, to - from);
}

static int read_range(struct transfer *t)
{
	uint64_t next = t->offset / t->io.block_size;
	uint64_t end = next;
	int code = CLI_OK;

	if (t->length)
		end = (t->offset + t->length - 1) / t->io.block_size + 1;
	while (!code && (next < end || t->tail < t->head)) {
		if (next < end && t->head - t->tail < t->depth)
			code = begin_piece(t, end, &next);
		else
			code = end_piece(t);
	}
	return code;
}

static int open_output(struct transfer *t)
{
	if (!strcmp(t->file, "-")) {
		t->fd = STDOUT_FILENO;
		return CLI_OK;
	}
	t->fd = open(t->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return t->fd < 0 ? transfer_file_error(t, "open") : CLI_OK;
}

static int run_transfer(struct transfer *t, struct cli *cli, const struct cli_args *args)
{
	int code;

	code = transfer_open(t, cli, args, false);
	if (code)
		return code;
	t->length_given = true; /* the end of the namespace is as good */
	code = transfer_start(t);
	if (!code)
		code = open_output(t);
	if (!code)
		code = read_range(t);
	if (!code && t->fd != STDOUT_FILENO)
		code = transfer_report(t);
	return code;
}

static int run_read(struct cli *cli, const struct cli_args *args)
{
	struct transfer t;
	int code;

	code = run_transfer(&t, cli, args);
	transfer_close(&t);
	if (code == CLI_INTERRUPTED)
		cli_error(cli, "interrupted after %llu bytes", (unsigned long long)t.done);
	return code;
}

static const struct cli_option read_options[] = {
	TRANSFER_OPTIONS,
	{"length", 0, "BYTES", "how much (default: to the end of the namespace)"},
	CLI_TRID_OPTIONS(0),
	CLI_CTRLR_OPTIONS_BRIEF,
	{0},
};

static const char *const read_examples[] = {
	"nvmux read nvme0/1 --length 512 | hexdump -C",
	"nvmux read nvme0/1 --offset 1G --length 64M part.img",
	"nvmux read -t vfio-user -a /run/emulator/nvme0 -n 1 whole.img",
	NULL,
};

const struct cli_command cli_cmd_read = {
	.name = "read",
	.group = CLI_GROUP_DATA,
	.summary = "copy bytes of a namespace to a file or standard output",
	.usage = "CTRL[/NSID]|-t TYPE -a ADDRESS [-n NSID] [--offset BYTES] [--length BYTES] "
		 "[FILE|-]",
	.description =
		"Reads through a queue pair of the daemon, or, with -t and -a, drives the "
		"controller in this process. Offset and length needn't be multiples of the block "
		"size. A range that reaches beyond the namespace is refused before anything is "
		"read.\n\n"
		"Without FILE, or with -, the data goes to standard output.",
	.options = read_options,
	.examples = read_examples,
	.max_args = 2,
	.run = run_read,
};
