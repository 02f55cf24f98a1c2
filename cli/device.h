/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A controller opened for single commands: those of nvme-cli's verbs. Through the daemon or in this
 * process: it is the library either way, and rights and checks are the daemon's.
 */
#ifndef NVMUX_CLI_DEVICE_H
#define NVMUX_CLI_DEVICE_H

#include "cli/ctrlr_opts.h"
#include "cli/nsio.h"

/* Rows of a verb, after its own ones: a letter that one of those has is only that one's. */
#define CLI_DEVICE_OPTIONS                                                                         \
	{"transport", 't', "TYPE", CLI_TRANSPORT_HELP},                                            \
	{"traddr", 'a', "ADDRESS", CLI_TRADDR_HELP},                                               \
	{"trsvcid", 0, "SERVICE", CLI_FABRICS("")}, {"nqn", 0, "NQN", CLI_FABRICS("")},            \
	{"host-traddr", 0, "ADDRESS", CLI_FABRICS("")},                                            \
	{"host-iface", 0, "NAME", CLI_FABRICS("")},                                                \
	{"hostnqn", 0, "NQN", CLI_FABRICS("")}, {"hostid", 0, "UUID", CLI_FABRICS("")},            \
	CLI_CTRLR_OPTIONS_BRIEF
/* How usage lines begin. */
#define CLI_DEVICE_USAGE    "CTRL|-t TYPE -a ADDRESS"
#define CLI_DEVICE_NS_USAGE "CTRL[/NSID]|-t TYPE -a ADDRESS [-n NSID]"
#define CLI_DEVICE_NSID_HELP "the namespace, instead of CTRL/NSID"

enum cli_device_flags {
	CLI_DEVICE_NS = 1 << 0, /* an active namespace is needed: the one named, or the only one */
	CLI_DEVICE_NSID = 1 << 1, /* its id at least: any that is named, or that of the only one */
	CLI_DEVICE_IO = 1 << 2,   /* an I/O queue pair is needed */
};

struct cli_device {
	struct cli *cli;
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ns *ns;       /* NULL without CLI_DEVICE_NS */
	struct nvmux_qpair *qpair; /* NULL without CLI_DEVICE_IO */
	uint32_t nsid;             /* as named, FFFFFFFFh and inactive ones too; 0: wasn't */
	bool nsid_given;           /* by --namespace-id or CTRL/NSID */
	bool nsid_in_label;
	int first_free;            /* the first positional argument that isn't the target */
	const char *label;         /* what messages call it: "nvme0/1" */
	struct cli_nsio io;
	uint64_t timeout_ms;       /* how long a command is waited for; 0: for ever */
	const uint16_t *tolerated; /* statuses that are no failure, ended by 0; NULL: none */
	/* While a command is waited for, now and then; may be NULL. */
	void (*on_turn)(struct cli_device *dev, void *arg);
	void *on_turn_arg;
	bool quiet; /* no words about statuses: the caller has its own */
	bool done; /* the command that is waited for */
	uint16_t status;
	uint32_t dw0, dw1;
};

/* What the options and the first positional argument name, without opening it. 0 or -EINVAL with
 * @why. */
int cli_device_target(struct cli *cli, const struct cli_args *args, struct cli_target *target,
		      uint32_t *ret_nsid, char *why, size_t why_size);

/*
 * Attach the target of the options and of the first positional argument. SIGINT and SIGTERM are
 * caught from here on. CLI_OK, or an exit code after a message; CLI_INTERRUPTED without one. In
 * either case end with cli_device_close(). @dev must stay where it is until then.
 */
int cli_device_open(struct cli *cli, const struct cli_args *args, unsigned flags,
		    struct cli_device *dev);
void cli_device_close(struct cli_device *dev);

/*
 * Send one command and wait for it. @what names it in messages ("get log page"). @buf is any
 * memory; data goes the way that the opcode says. @dw0 may be NULL.
 * CLI_OK, or an exit code after a message: CLI_IO_ERROR for a status, CLI_FAILED where nvmuxd has
 * refused it; CLI_INTERRUPTED without one: then the device is closed already, the buffers are free.
 */
int cli_device_admin(struct cli_device *dev, const char *what, const struct nvmux_cmd *cmd,
		     void *buf, size_t len, uint32_t *dw0);
int cli_device_io(struct cli_device *dev, const char *what, const struct nvmux_cmd *cmd, void *buf,
		  size_t len, uint32_t *dw0);
/* The same with separate metadata. */
int cli_device_io_md(struct cli_device *dev, const char *what, const struct nvmux_cmd *cmd,
		     void *buf, size_t len, void *md, size_t md_len, uint32_t *dw0);

/*
 * For the library's own functions: give them cli_device_done() and the device as callback, then
 * what they returned to one of these, which wait and report as above:
 *	err = nvmux_ctrlr_cmd_self_test(dev->ctrlr, nsid, 1, cli_device_done, dev);
 *	code = cli_device_wait_admin(dev, "device self-test", err, NULL);
 */
void cli_device_done(void *arg, const struct nvmux_cpl *cpl);
int cli_device_wait_admin(struct cli_device *dev, const char *what, int err, uint32_t *dw0);
int cli_device_wait_io(struct cli_device *dev, const char *what, int err, uint32_t *dw0);

/* Why a call or a command ended badly, in words. The exit code. */
int cli_device_error(const struct cli_device *dev, const char *what, int err);
int cli_device_status_error(const struct cli_device *dev, const char *what, uint16_t status);

#endif
