/* SPDX-License-Identifier: BSD-3-Clause */
/* A namespace opened for I/O: context, controller, namespace, one queue pair. */
#ifndef NVMUX_CLI_NSIO_H
#define NVMUX_CLI_NSIO_H

#include <nvmux/nvmux.h>

#include "cli/cli.h"
#include "cli/target.h"

struct cli_nsio {
	struct cli *cli;
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair; /* NULL until cli_nsio_open_qpair() */
	struct nvmux_mem *mem;     /* its memory, or NULL */
	uint32_t nsid;
	uint32_t block_size;
	uint64_t blocks;
	unsigned idle;   /* calls of cli_nsio_wait() since something happened */
	unsigned turns;  /* those that didn't sleep */
	bool connecting; /* until the library has told connect_err */
	int connect_err;
	char daemon[NVMUX_TRADDR_MAX]; /* socket of the daemon; "": driven in this process */
	char label[NVMUX_TRADDR_MAX + NVMUX_NQN_MAX + 64]; /* what messages call it: "nvme0/1" */
};

/*
 * Attach the controller of @target and find its namespace: the one named, or the only one.
 * CLI_OK, or an exit code after a message; CLI_INTERRUPTED without one. In either case end with
 * cli_nsio_close(). @io must stay where it is until then.
 */
int cli_nsio_open(struct cli *cli, const struct cli_target *target, struct cli_nsio *io);

/* Its two halves, for commands that don't need a namespace, or one with any format: attach the
 * controller; find an active namespace, 0: the only one. */
int cli_nsio_attach(struct cli *cli, const struct cli_target *target, struct cli_nsio *io);
int cli_nsio_find(struct cli_nsio *io, uint32_t nsid);

/* Attach and find, without a look at the format: for what moves no data. */
int cli_nsio_choose(struct cli *cli, const struct cli_target *target, struct cli_nsio *io);

/* A queue pair for at most *@depth commands, which is lowered to what is granted, and @size bytes
 * of I/O memory. */
int cli_nsio_open_qpair(struct cli_nsio *io, uint32_t *depth, size_t size);

/* Commands in flight end with an error; their callbacks are called from here. */
void cli_nsio_close(struct cli_nsio *io);

/* Reap completions; when there have been none for a while, sleep until there are some, a signal
 * arrives, or a moment has passed. 0, or -ENXIO when the queue pair is lost. */
int cli_nsio_wait(struct cli_nsio *io);

/* Report a library call that failed, with the library's words. Returns the exit code. */
int cli_nsio_error(const struct cli_nsio *io, const char *what, int err);

/* Why a command for @count blocks at @lba ended badly. Returns the exit code. */
int cli_nsio_status_error(const struct cli_nsio *io, const char *what, uint64_t lba, uint64_t count,
			  uint16_t status);

/* Send a flush and wait for it. Returns the exit code, after a message if it isn't CLI_OK. */
int cli_nsio_flush(struct cli_nsio *io);

#endif
