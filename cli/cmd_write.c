// SPDX-License-Identifier: BSD-3-Clause
/*
 * write and flush: a file or standard input into a range of bytes of a namespace.
 *
 * Happy path: a piece is read from the input straight into I/O memory and written while further
 * ones are filled; a flush ends it. Where the range doesn't begin or end at a block's edge, the
 * block there is read first and its other bytes are written back as they were.
 * Failures: a range beyond the namespace and a file that is too short are found before anything is
 * written; a pipe that is longer than the namespace or shorter than --length, when it shows; a
 * command that ends with an error stops the rest; SIGINT.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "cli/ctrlr_opts.h"
#include "cli/transfer.h"

/* Open the input, and learn its length where it has one. */
static int open_input(struct transfer *t)
{
	struct stat st;
	off_t at;

	t->fd = STDIN_FILENO;
	if (strcmp(t->file, "-"))
		t->fd = open(t->file, O_RDONLY | O_CLOEXEC);
	if (t->fd < 0 || fstat(t->fd, &st))
		return transfer_file_error(t, "open");
	at = lseek(t->fd, 0, SEEK_CUR);
	if (!S_ISREG(st.st_mode) || at < 0)
		return CLI_OK;
	if (at > st.st_size)
		at = st.st_size;
	if (!t->length_given)
		t->length = (uint64_t)(st.st_size - at);
	if ((uint64_t)(st.st_size - at) < t->length) {
		cli_error(t->cli, "the input has %lld bytes, --length asks for %llu; nothing was "
				  "written",
			  (long long)(st.st_size - at), (unsigned long long)t->length);
		return CLI_IO_ERROR;
	}
	t->length_given = true;
	return transfer_check_range(t, t->length);
}

/* Read until @len bytes are there or the input ends; *@got says how many. */
static int read_in(struct transfer *t, uint8_t *data, size_t len, size_t *got)
{
	*got = 0;
	while (*got < len) {
		int code = transfer_wait_file(t, POLLIN);
		ssize_t n;

		if (code)
			return code;
		n = read(t->fd, data + *got, len - *got);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return transfer_file_error(t, "read");
		if (n == 0)
			break;
		if (n > 0)
			*got += (size_t)n;
	}
	return CLI_OK;
}

/* Read one block and wait for it. */
static int read_block(struct transfer *t, uint8_t *buf, uint64_t lba)
{
	struct transfer_slot slot = {.buf = buf, .lba = lba, .blocks = 1};
	int code;

	code = transfer_submit(t, &slot, false);
	if (!code)
		code = transfer_wait(t, &slot, "read");
	if (slot.busy) {
		/* The callback must not find the slot gone. */
		nvmux_qpair_free(t->io.qpair);
		t->io.qpair = NULL;
	}
	return code;
}

/* Fill the bytes of the last block behind the piece's @end with what the namespace has there. */
static int keep_rest(struct transfer *t, struct transfer_slot *slot, size_t end)
{
	size_t kept = end % t->io.block_size;
	int code;

	if (!kept)
		return CLI_OK;
	code = read_block(t, t->scratch, slot->lba + slot->blocks - 1);
	if (!code)
		memcpy(slot->buf + end, t->scratch + kept, t->io.block_size - kept);
	return code;
}

/* Fill the next piece from the input and send it. *@eof: the input has ended. */
static int write_piece(struct transfer *t, bool *eof)
{
	struct transfer_slot *slot = &t->slots[t->head % t->depth];
	uint64_t at = t->offset + t->done;
	size_t skip = at % t->io.block_size;
	size_t want = t->chunk - skip, got;
	int code;

	if (want > t->length - t->done)
		want = t->length - t->done;
	slot->lba = at / t->io.block_size;
	code = skip ? read_block(t, slot->buf, slot->lba) : CLI_OK;
	if (!code)
		code = read_in(t, slot->buf + skip, want, &got);
	if (code)
		return code;
	*eof = got < want;
	if (!got)
		return CLI_OK;
	slot->blocks = (uint32_t)((skip + got + t->io.block_size - 1) / t->io.block_size);
	code = keep_rest(t, slot, skip + got);
	if (!code)
		code = transfer_submit(t, slot, true);
	if (code)
		return code;
	t->head++;
	t->done += got;
	cli_progress_update(&t->progress, t->done);
	return CLI_OK;
}

/* All that was asked for has been written; is it all that there is? */
static int check_end(struct transfer *t, bool eof)
{
	uint8_t extra;
	size_t got = 0;
	int code = CLI_OK;

	if (t->length_given && t->done < t->length) {
		cli_error(t->cli, "the input ended after %llu of %llu bytes, which were written",
			  (unsigned long long)t->done, (unsigned long long)t->length);
		return CLI_IO_ERROR;
	}
	if (!t->length_given && !eof)
		code = read_in(t, &extra, 1, &got);
	if (!code && got) {
		cli_error(t->cli,
			  "%s: the input is longer than the space: %llu bytes up to the end of the "
			  "namespace were written, the rest wasn't",
			  t->io.label, (unsigned long long)t->done);
		code = CLI_IO_ERROR;
	}
	return code;
}

static int write_range(struct transfer *t)
{
	bool eof = false;
	int code = CLI_OK;

	while (!code && !eof && t->done < t->length) {
		if (t->head - t->tail < t->depth)
			code = write_piece(t, &eof);
		else
			code = transfer_wait(t, &t->slots[t->tail++ % t->depth], "write");
	}
	while (!code && t->tail < t->head)
		code = transfer_wait(t, &t->slots[t->tail++ % t->depth], "write");
	return code ? code : check_end(t, eof);
}

/* Whether there is still a controller to flush, and somebody who waits for it. */
static bool can_flush(const struct transfer *t, int code)
{
	return code != CLI_INTERRUPTED && code != CLI_NO_DAEMON && t->io.qpair &&
	       nvmux_qpair_is_connected(t->io.qpair) && !nvmux_ctrlr_is_failed(t->io.ctrlr);
}

static int run_transfer(struct transfer *t, struct cli *cli, const struct cli_args *args)
{
	int code, flush_code = CLI_OK;

	code = transfer_open(t, cli, args, true);
	if (!code)
		code = open_input(t);
	if (!code)
		code = transfer_start(t);
	if (code)
		return code;
	code = write_range(t);
	/* What was written before a failure is made durable as well. */
	if (!cli_args_get(args, "no-flush") && t->head && can_flush(t, code))
		flush_code = cli_nsio_flush(&t->io);
	t->flushed = !cli_args_get(args, "no-flush") && !flush_code;
	if (!code)
		code = flush_code;
	return code ? code : transfer_report(t);
}

static int run_write(struct cli *cli, const struct cli_args *args)
{
	struct transfer t;
	int code;

	code = run_transfer(&t, cli, args);
	transfer_close(&t);
	if (code == CLI_INTERRUPTED && !t.head)
		cli_error(cli, "interrupted; nothing was written");
	else if (code == CLI_INTERRUPTED)
		cli_error(cli, "interrupted; some of the first %llu bytes may not be written",
			  (unsigned long long)t.done);
	return code;
}

static const struct cli_option write_options[] = {
	TRANSFER_OPTIONS,
	{"length", 0, "BYTES", "how much (default: to the end of the input)"},
	{"no-flush", 0, NULL, "don't send a flush at the end"},
	CLI_TRID_OPTIONS(0),
	CLI_CTRLR_OPTIONS_BRIEF,
	{0},
};

static const char *const write_examples[] = {
	"nvmux write nvme0/1 disk.img",
	"echo hello | nvmux write nvme0/1 --offset 4K",
	"nvmux write -t pcie -a 0000:01:00.0 -n 1 --length 1M /dev/urandom",
	NULL,
};

const struct cli_command cli_cmd_write = {
	.name = "write",
	.group = CLI_GROUP_DATA,
	.summary = "copy a file or standard input into a namespace",
	.usage = "CTRL[/NSID]|-t TYPE -a ADDRESS [-n NSID] [--offset BYTES] [--length BYTES] "
		 "[FILE|-]",
	.description =
		"Writes through a queue pair of the daemon, or, with -t and -a, drives the "
		"controller in this process. Without FILE, or with -, the data comes from standard "
		"input.\n\n"
		"Offset and length needn't be multiples of the block size: the first and the last "
		"block are then read, changed and written back, which isn't atomic with regard to "
		"other writers of the same blocks.\n\n"
		"A file that doesn't fit is refused before anything is written. A pipe's length "
		"shows only at its end: what fits has been written then, and the exit code is 4; "
		"likewise when the input is shorter than --length.",
	.options = write_options,
	.examples = write_examples,
	.max_args = 2,
	.run = run_write,
};

static int flush_target(struct cli *cli, const struct cli_target *target, struct cli_nsio *io)
{
	uint32_t depth = 2;
	CLI_JSON *value = NULL;
	int code;

	code = cli_nsio_choose(cli, target, io); /* no data, so any format will do */
	if (!code)
		code = cli_nsio_open_qpair(io, &depth, 0);
	if (!code)
		code = cli_nsio_flush(io);
	if (code)
		return code;
	if (cli->json) {
		value = json_pack("{s:s, s:I}", "target", io->label, "nsid", (json_int_t)io->nsid);
		return cli_print_json(cli, value);
	}
	printf("%s: flushed\n", io->label);
	return CLI_OK;
}

static int run_flush(struct cli *cli, const struct cli_args *args)
{
	struct cli_target target;
	struct cli_nsio io;
	char why[512];
	int place, code;

	if (cli_target_from_args(args, cli->socket, &target, &place, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	code = flush_target(cli, &target, &io);
	cli_nsio_close(&io);
	return code;
}

static const struct cli_option flush_options[] = {
	{"namespace-id", 'n', "NSID", "the namespace, instead of CTRL/NSID"},
	CLI_TRID_OPTIONS(0),
	CLI_CTRLR_OPTIONS_BRIEF,
	{0},
};

static const char *const flush_examples[] = {"nvmux flush nvme0/1", NULL};

const struct cli_command cli_cmd_flush = {
	.name = "flush",
	.group = CLI_GROUP_DATA,
	.summary = "make the completed writes of a namespace durable",
	.usage = "CTRL[/NSID]|-t TYPE -a ADDRESS [-n NSID]",
	.description = "Sends a flush and waits for it.",
	.options = flush_options,
	.examples = flush_examples,
	.max_args = 1,
	.run = run_flush,
};
