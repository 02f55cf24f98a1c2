// SPDX-License-Identifier: BSD-3-Clause
/*
 * What read and write have in common.
 *
 * A range is cut into pieces of at most a chunk, whole blocks each. Piece number n lives in slot
 * n mod depth: pieces begin and end in order, though their commands complete in any.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/transfer.h"

static int parse_options(struct transfer *t, const struct cli_args *args, uint64_t *chunk)
{
	uint64_t depth = TRANSFER_DEPTH;
	char why[256];

	if (cli_args_size(args, "offset", 0, UINT64_MAX, &t->offset, why, sizeof(why)) ||
	    cli_args_size(args, "length", 0, UINT64_MAX, &t->length, why, sizeof(why)) ||
	    cli_args_number(args, "depth", 1, TRANSFER_DEPTH_MAX, &depth, why, sizeof(why)) ||
	    cli_args_size(args, "chunk", 512, 16u << 20, chunk, why, sizeof(why)))
		return cli_usage_error(t->cli, "%s", why);
	t->length_given = cli_args_get(args, "length");
	t->depth = (uint32_t)depth;
	return CLI_OK;
}

static int parse_operands(struct transfer *t, const struct cli_args *args,
			  struct cli_target *target)
{
	char why[512];
	int place;

	if (cli_target_from_args(args, t->cli->socket, target, &place, why, sizeof(why)))
		return cli_usage_error(t->cli, "%s", why);
	t->file = "-";
	if (place < args->n_positional)
		t->file = args->positional[place++];
	if (place < args->n_positional)
		return cli_usage_error(t->cli, "unexpected argument \"%s\"",
				       args->positional[place]);
	return CLI_OK;
}

int transfer_check_range(const struct transfer *t, uint64_t length)
{
	uint64_t size = t->io.blocks * t->io.block_size;

	if (t->offset <= size && length <= size - t->offset)
		return CLI_OK;
	if (t->offset > size)
		cli_error(t->cli, "%s: offset %llu is beyond the end of the namespace, which has "
				  "%llu bytes; nothing was done",
			  t->io.label, (unsigned long long)t->offset, (unsigned long long)size);
	else
		cli_error(t->cli, "%s: %llu bytes at offset %llu reach beyond the end of the "
				  "namespace, which has %llu bytes; nothing was done",
			  t->io.label, (unsigned long long)length, (unsigned long long)t->offset,
			  (unsigned long long)size);
	return CLI_FAILED;
}

int transfer_open(struct transfer *t, struct cli *cli, const struct cli_args *args, bool write)
{
	uint64_t chunk = TRANSFER_CHUNK, max;
	struct cli_target target;
	int code;

	*t = (struct transfer){.cli = cli, .fd = -1, .write = write};
	code = parse_options(t, args, &chunk);
	if (!code)
		code = parse_operands(t, args, &target);
	if (code)
		return code;
	if (cli->json && !write && !strcmp(t->file, "-"))
		return cli_usage_error(cli, "-o json and the data can't both go to standard "
					    "output; name a file");
	cli_interrupt_catch();
	code = cli_nsio_open(cli, &target, &t->io);
	if (!code)
		code = transfer_check_range(t, t->length);
	if (code)
		return code;
	if (!t->length_given)
		t->length = t->io.blocks * t->io.block_size - t->offset;
	max = nvmux_ns_get_max_io_xfer_size(t->io.ns);
	if (max && chunk > max)
		chunk = max;
	chunk -= chunk % t->io.block_size;
	t->chunk = chunk ? (uint32_t)chunk : t->io.block_size;
	return CLI_OK;
}

int transfer_start(struct transfer *t)
{
	uint32_t granted;
	uint8_t *memory;
	int code;

	/* A piece may be split at a boundary of the namespace: leave room for both halves. */
	granted = t->depth * 2;
	code = cli_nsio_open_qpair(&t->io, &granted,
				   (size_t)t->depth * t->chunk + t->io.block_size);
	if (code)
		return code;
	if (t->depth > granted)
		t->depth = granted;
	t->slots = calloc(t->depth, sizeof(*t->slots));
	if (!t->slots)
		return cli_nsio_error(&t->io, "memory", -ENOMEM);
	memory = nvmux_mem_addr(t->io.mem);
	for (uint32_t i = 0; i < t->depth; i++)
		t->slots[i].buf = memory + (size_t)i * t->chunk;
	t->scratch = memory + (size_t)t->depth * t->chunk;
	cli_progress_begin(&t->progress, t->length_given ? t->length : 0);
	return CLI_OK;
}

void transfer_close(struct transfer *t)
{
	cli_progress_end(&t->progress);
	cli_nsio_close(&t->io); /* calls back for what is in flight, so before the slots go */
	free(t->slots);
	t->slots = NULL;
	if (t->fd > STDERR_FILENO)
		close(t->fd);
	t->fd = -1;
}

static void on_complete(void *arg, const struct nvmux_cpl *cpl)
{
	struct transfer_slot *slot = arg;

	slot->status = nvmux_cpl_is_error(cpl) ? nvmux_cpl_status(cpl) : 0;
	slot->busy = false;
}

/* One turn of waiting for the controller. */
static int turn(struct transfer *t)
{
	int err;

	if (cli_interrupted())
		return CLI_INTERRUPTED;
	err = cli_nsio_wait(&t->io);
	if (!err)
		return CLI_OK;
	cli_progress_end(&t->progress);
	return cli_nsio_error(&t->io, "queue pair", err);
}

int transfer_submit(struct transfer *t, struct transfer_slot *slot, bool write)
{
	int err, code;

	slot->busy = true;
	for (;;) {
		if (write)
			err = nvmux_ns_cmd_write(t->io.ns, t->io.qpair, slot->buf, slot->lba,
						 slot->blocks, 0, on_complete, slot);
		else
			err = nvmux_ns_cmd_read(t->io.ns, t->io.qpair, slot->buf, slot->lba,
						slot->blocks, 0, on_complete, slot);
		if (!err)
			return CLI_OK;
		/* There is no room until something completes, or the connection is restored. */
		if (err != -EAGAIN || (!nvmux_qpair_get_num_outstanding(t->io.qpair) &&
				       nvmux_qpair_is_connected(t->io.qpair)))
			break;
		code = turn(t);
		if (code) {
			slot->busy = false;
			return code;
		}
	}
	slot->busy = false;
	cli_progress_end(&t->progress);
	return cli_nsio_error(&t->io, write ? "write" : "read", err);
}

int transfer_wait(struct transfer *t, struct transfer_slot *slot, const char *what)
{
	while (slot->busy) {
		int code = turn(t);

		if (code)
			return code;
	}
	if (!slot->status)
		return CLI_OK;
	cli_progress_end(&t->progress);
	return cli_nsio_status_error(&t->io, what, slot->lba, slot->blocks, slot->status);
}

int transfer_wait_file(struct transfer *t, short events)
{
	struct pollfd fd = {.fd = t->fd, .events = events};

	while (!cli_interrupted()) {
		/* A file that takes its time must not stop the controller's timers. */
		int n = poll(&fd, 1, 100);

		if (n > 0)
			return CLI_OK;
		if (n < 0 && errno != EINTR)
			return transfer_file_error(t, "poll");
		nvmux_process(t->io.nvmux);
		if (nvmux_ctrlr_is_failed(t->io.ctrlr))
			return cli_nsio_error(&t->io, "controller", -ENXIO);
	}
	return CLI_INTERRUPTED;
}

int transfer_file_error(struct transfer *t, const char *what)
{
	const char *file = t->write ? "standard input" : "standard output";
	int err = errno;

	cli_progress_end(&t->progress);
	if (strcmp(t->file, "-"))
		file = t->file;
	cli_error(t->cli, "%s: %s: %s", file, what, strerror(err));
	return CLI_IO_ERROR;
}

int transfer_report(struct transfer *t)
{
	const char *verb = t->write ? "written" : "read";
	CLI_JSON *value = NULL;

	cli_progress_end(&t->progress);
	if (!t->cli->json) {
		printf("%s: %llu bytes %s at offset %llu\n", t->io.label,
		       (unsigned long long)t->done, verb, (unsigned long long)t->offset);
		return CLI_OK;
	}
	value = json_pack("{s:s, s:I, s:I, s:I}", "target", t->io.label, "nsid",
			  (json_int_t)t->io.nsid, "offset", (json_int_t)t->offset, "bytes",
			  (json_int_t)t->done);
	if (t->write)
		json_object_set_new(value, "flushed", json_boolean(t->flushed));
	return cli_print_json(t->cli, value);
}
