/* SPDX-License-Identifier: BSD-3-Clause */
/* What read and write have in common: the range, the slots in flight, the file. */
#ifndef NVMUX_CLI_TRANSFER_H
#define NVMUX_CLI_TRANSFER_H

#include <nvmux/nvmux.h>

#include "cli/nsio.h"
#include "cli/progress.h"

#define TRANSFER_DEPTH 16
#define TRANSFER_DEPTH_MAX 1024
#define TRANSFER_CHUNK (128u << 10)

/* One piece of the range: a command in flight, or data that waits for its turn. */
struct transfer_slot {
	uint8_t *buf; /* chunk bytes of I/O memory */
	uint64_t lba;
	uint32_t blocks;
	bool busy; /* the library has it */
	uint16_t status;
};

struct transfer {
	struct cli *cli;
	struct cli_nsio io;
	struct cli_progress progress;
	const char *file; /* name, "-": standard input or output */
	int fd;           /* -1 until opened */
	uint64_t offset;  /* bytes from the start of the namespace */
	uint64_t length;  /* bytes; without length_given a limit */
	bool length_given;
	bool write;
	bool flushed;
	uint64_t done;    /* bytes moved */
	uint32_t depth;
	uint32_t chunk;   /* bytes, whole blocks */
	uint64_t head;    /* pieces begun */
	uint64_t tail;    /* pieces ended */
	uint8_t *scratch; /* one block of I/O memory */
	struct transfer_slot *slots; /* depth of them */
};

/* Rows for the options that both have. */
#define TRANSFER_OPTIONS                                                                           \
	{"namespace-id", 'n', "NSID", "the namespace, instead of CTRL/NSID"},                      \
	{"offset", 0, "BYTES", "where in the namespace to start (default 0); K, M, G, T allowed"}, \
	{"depth", 0, "COUNT", "commands in flight (default 16)"},                                  \
	{"chunk", 0, "BYTES", "bytes per command (default 128K, at most what the controller moves)"}

/* Read the options, attach, check the range against the namespace. Exit code. End with
 * transfer_close() in any case. */
int transfer_open(struct transfer *t, struct cli *cli, const struct cli_args *args, bool write);
/* Check that offset and length lie in the namespace; @length may be known later than at opening. */
int transfer_check_range(const struct transfer *t, uint64_t length);
/* Queue pair, memory and slots. */
int transfer_start(struct transfer *t);
void transfer_close(struct transfer *t);

/* Send a slot's command; waits while the queue is full. Exit code. */
int transfer_submit(struct transfer *t, struct transfer_slot *slot, bool write);
/* Wait until the library has given the slot back. CLI_OK, or the exit code after a message. */
int transfer_wait(struct transfer *t, struct transfer_slot *slot, const char *what);

/* Wait until the file can be read (POLLIN) or written (POLLOUT) without waiting long. */
int transfer_wait_file(struct transfer *t, short events);
/* Report a failure with the file. */
int transfer_file_error(struct transfer *t, const char *what);
/* Say what was moved, as text or JSON. */
int transfer_report(struct transfer *t);

#endif
