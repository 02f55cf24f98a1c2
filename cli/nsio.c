// SPDX-License-Identifier: BSD-3-Clause
/*
 * A namespace opened for I/O.
 *
 * Happy path: context → attach → namespace → queue pair and memory → I/O → close in reverse.
 * Failures: no daemon at the socket; the daemon doesn't know the controller (its names are listed);
 * another program drives the device; a signal while the controller takes its time; no such
 * namespace, or several and none chosen; formats with metadata, for which there is no memory here;
 * the queue pair lost under way, which cli_nsio_wait() tells.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <nvme/types.h>

#include "cli/nsio.h"
#include "emulator/loopback.h"
#include "rpc/client.h"

#define SPINS 2000        /* empty looks before the thread goes to sleep */
#define SLEEP_MS_MAX 100  /* so that signals and timers get their turn in any case */
#define POLLED_SLEEP_MS 1 /* for queues without a descriptor to wait on */

/* A failure may be the end of the daemon: then that is what is reported. */
static bool report_lost_daemon(const struct cli_nsio *io)
{
	struct rpc_client *client;

	if (!io->daemon[0])
		return false;
	if (!rpc_client_connect(io->daemon, &client)) {
		rpc_client_destroy(client);
		return false;
	}
	cli_error(io->cli, "%s: the connection to nvmuxd at %s is lost; its log says why",
		  io->label, io->daemon);
	return true;
}

int cli_nsio_error(const struct cli_nsio *io, const char *what, int err)
{
	const char *text = io->nvmux ? nvmux_error_text(io->nvmux) : "";

	if (report_lost_daemon(io))
		return CLI_NO_DAEMON;
	cli_error(io->cli, "%s: %s: %s", io->label, what, *text ? text : strerror(-err));
	return CLI_FAILED;
}

int cli_nsio_status_error(const struct cli_nsio *io, const char *what, uint64_t lba,
			  uint64_t count, uint16_t status)
{
	unsigned type = (status & NVMUX_STATUS_CODE_MASK) >> 8;

	if (report_lost_daemon(io))
		return CLI_NO_DAEMON;
	cli_error(io->cli, "%s: %s of blocks %llu to %llu failed: %s (%s, type %xh, code %02xh)",
		  io->label, what, (unsigned long long)lba, (unsigned long long)(lba + count - 1),
		  nvmux_status_string(status), nvmux_status_type_string(status), type,
		  status & 0xff);
	return CLI_IO_ERROR;
}

/* Is a device refused because another program drives it? Not: because of a kernel driver. */
static bool is_taken(const struct cli_target *target, int err, const char *text)
{
	enum nvmux_trtype type = target->trid.trtype;

	if (type != NVMUX_TRTYPE_PCIE && type != NVMUX_TRTYPE_VFIOUSER)
		return false;
	/* A vfio-user server's refusal has an errno value of its own, and says what it was. */
	return (err == -EBUSY || strstr(text, strerror(EBUSY))) && !strstr(text, "bound to");
}

static int report_attach(struct cli_nsio *io, const struct cli_target *target, int err)
{
	const char *text = nvmux_error_text(io->nvmux);
	const char *socket = io->cli->socket;
	CLI_JSON *version = NULL;
	int code;

	if (!target->name[0] && io->daemon[0])
		return cli_nsio_error(io, "attach", err);
	if (!target->name[0]) {
		text = *text ? text : strerror(-err);
		cli_error(io->cli, "%s: attach: %s%s", io->label, text,
			  is_taken(target, err, text)
				  ? "; another program has it: nvmux detach it first, or use it "
				    "through the daemon"
				  : "");
		return CLI_FAILED;
	}
	/* Is it the daemon or the controller? Asking by RPC tells, and reports a missing daemon. */
	io->cli->socket = io->daemon;
	code = cli_call(io->cli, "get_version", NULL, NULL, &version);
	if (!code && !cli_report_unknown(io->cli, target->name))
		cli_error(io->cli, "%s: %s", io->label, *text ? text : strerror(-err));
	io->cli->socket = socket;
	return code ? code : CLI_FAILED;
}

static void make_label(struct cli_nsio *io, const struct cli_target *target)
{
	const char *type = cli_transport_name(target->trid.trtype);

	if (target->name[0])
		snprintf(io->label, sizeof(io->label), "%s", target->name);
	else if (target->trid.trtype == NVMUX_TRTYPE_RDMA)
		snprintf(io->label, sizeof(io->label), "%s %s %s", type, target->trid.traddr,
			 target->trid.subnqn);
	else
		snprintf(io->label, sizeof(io->label), "%s %s", type, target->trid.traddr);
}

static void on_connected(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr,
			 int err)
{
	struct cli_nsio *io = arg;

	io->connecting = false;
	io->connect_err = err;
	io->ctrlr = ctrlr;
}

/* -EINTR: a signal has come first; what is under way ends with the context. */
static int connect_target(struct cli_nsio *io, const struct cli_target *target)
{
	struct pollfd fd = {.fd = nvmux_get_fd(io->nvmux), .events = POLLIN};
	int err;

	io->connecting = true;
	err = nvmux_connect_async(io->nvmux, &target->trid, &target->opts, on_connected, io);
	if (err) {
		io->connecting = false;
		return err;
	}
	while (io->connecting) {
		int timeout = nvmux_get_timeout_ms(io->nvmux);

		if (cli_interrupted())
			return -EINTR;
		if (timeout < 0 || timeout > SLEEP_MS_MAX)
			timeout = SLEEP_MS_MAX;
		poll(&fd, 1, timeout);
		nvmux_process(io->nvmux);
	}
	return io->connect_err;
}

static int attach(struct cli_nsio *io, const struct cli_target *target)
{
	struct nvmux_opts opts;
	int err;

	nvmux_opts_init(&opts, sizeof(opts));
	if (target->memory_window)
		opts.mem_window = target->memory_window;
	err = nvmux_create(&opts, &io->nvmux);
	if (err)
		return cli_nsio_error(io, "context", err);
	err = emu_loopback_register(io->nvmux);
	if (err)
		return cli_nsio_error(io, "loopback transport", err);
	err = connect_target(io, target);
	if (err == -EINTR && io->connecting)
		return CLI_INTERRUPTED;
	return err ? report_attach(io, target, err) : CLI_OK;
}

/* "1, 2, 5, ..." */
static void list_namespaces(struct nvmux_ctrlr *ctrlr, char *buf, size_t size)
{
	uint32_t nsid = nvmux_ctrlr_get_first_active_ns(ctrlr);
	size_t len = 0;

	buf[0] = 0;
	for (; nsid && len + 24 < size; nsid = nvmux_ctrlr_get_next_active_ns(ctrlr, nsid))
		len += (size_t)snprintf(buf + len, size - len, "%s%u", len ? ", " : "", nsid);
	if (nsid)
		snprintf(buf + len, size - len, ", ...");
}

int cli_nsio_find(struct cli_nsio *io, uint32_t nsid)
{
	char list[128];
	size_t len = strlen(io->label);

	list_namespaces(io->ctrlr, list, sizeof(list));
	if (!nvmux_ctrlr_get_num_ns(io->ctrlr)) {
		cli_error(io->cli, "%s: the controller has no active namespace", io->label);
		return CLI_FAILED;
	}
	if (!nsid && nvmux_ctrlr_get_num_ns(io->ctrlr) > 1)
		return cli_usage_error(io->cli, "%s: which namespace? Choose one with -n: %s",
				       io->label, list);
	io->nsid = nsid ? nsid : nvmux_ctrlr_get_first_active_ns(io->ctrlr);
	io->ns = nvmux_ctrlr_get_ns(io->ctrlr, io->nsid);
	if (!io->ns) {
		cli_error(io->cli, "%s: no namespace %u; it has %s", io->label, io->nsid, list);
		return CLI_FAILED;
	}
	snprintf(io->label + len, sizeof(io->label) - len, "/%u", io->nsid);
	return CLI_OK;
}

int cli_nsio_attach(struct cli *cli, const struct cli_target *target, struct cli_nsio *io)
{
	*io = (struct cli_nsio){.cli = cli};
	if (target->trid.trtype == NVMUX_TRTYPE_DAEMON)
		snprintf(io->daemon, sizeof(io->daemon), "%s",
			 target->trid.traddr[0] ? target->trid.traddr : NVMUX_DEFAULT_SOCKET);
	make_label(io, target);
	return attach(io, target);
}

int cli_nsio_choose(struct cli *cli, const struct cli_target *target, struct cli_nsio *io)
{
	int code = cli_nsio_attach(cli, target, io);

	return code ? code : cli_nsio_find(io, target->nsid);
}

int cli_nsio_open(struct cli *cli, const struct cli_target *target, struct cli_nsio *io)
{
	int code = cli_nsio_choose(cli, target, io);

	if (code)
		return code;
	io->block_size = nvmux_ns_get_sector_size(io->ns);
	io->blocks = nvmux_ns_get_num_sectors(io->ns);
	if (nvmux_ns_get_md_size(io->ns)) {
		cli_error(cli,
			  "%s: formatted with %u bytes of metadata per block, which this command "
			  "can't carry; use io-passthru -m, compare%s, or write-zeroes and verify, "
			  "which move none",
			  io->label, nvmux_ns_get_md_size(io->ns),
			  nvmux_ns_get_csi(io->ns) == NVME_CSI_ZNS ? ", zns zone-append" : "");
		return CLI_FAILED;
	}
	if (!io->block_size || io->block_size > 1u << 20 || !io->blocks ||
	    io->blocks > UINT64_MAX / io->block_size) {
		cli_error(cli, "%s: impossible geometry: %llu blocks of %u bytes", io->label,
			  (unsigned long long)io->blocks, io->block_size);
		return CLI_FAILED;
	}
	return CLI_OK;
}

int cli_nsio_open_qpair(struct cli_nsio *io, uint32_t *depth, size_t size)
{
	struct nvmux_io_qpair_opts opts;
	int err;

	nvmux_io_qpair_opts_init(io->ctrlr, &opts, sizeof(opts));
	opts.io_queue_depth = *depth;
	err = nvmux_ctrlr_alloc_io_qpair(io->ctrlr, &opts, &io->qpair);
	if (err)
		return cli_nsio_error(io, "queue pair", err);
	if (*depth > nvmux_qpair_get_depth(io->qpair))
		*depth = nvmux_qpair_get_depth(io->qpair);
	err = size ? nvmux_mem_alloc(io->ctrlr, size, 0, &io->mem) : 0;
	return err ? cli_nsio_error(io, "I/O memory", err) : CLI_OK;
}

void cli_nsio_close(struct cli_nsio *io)
{
	nvmux_qpair_free(io->qpair);
	nvmux_mem_free(io->mem);
	if (io->ctrlr)
		nvmux_detach(io->ctrlr);
	nvmux_destroy(io->nvmux); /* calls back for a connection under way */
	*io = (struct cli_nsio){.cli = io->cli};
}

static void sleep_until_something(struct cli_nsio *io)
{
	int timeout = nvmux_get_timeout_ms(io->nvmux);
	struct pollfd fds[2] = {
		{.fd = nvmux_get_fd(io->nvmux), .events = POLLIN},
		{.fd = nvmux_qpair_get_fd(io->qpair), .events = POLLIN},
	};
	int longest = fds[1].fd < 0 ? POLLED_SLEEP_MS : SLEEP_MS_MAX;

	if (fds[1].fd >= 0 && nvmux_qpair_arm(io->qpair))
		return;
	if (timeout < 0 || timeout > longest)
		timeout = longest;
	poll(fds, fds[1].fd < 0 ? 1 : 2, timeout);
}

int cli_nsio_wait(struct cli_nsio *io)
{
	int n = nvmux_qpair_process_completions(io->qpair, 0);

	if (n < 0)
		return n;
	io->idle = n ? 0 : io->idle + 1;
	if (io->idle >= SPINS)
		sleep_until_something(io);
	else if (++io->turns % SPINS)
		return 0;
	n = nvmux_process(io->nvmux);
	return n < 0 ? n : 0;
}

struct outcome {
	bool done;
	uint16_t status;
};

static void on_flushed(void *arg, const struct nvmux_cpl *cpl)
{
	struct outcome *outcome = arg;

	outcome->status = nvmux_cpl_is_error(cpl) ? nvmux_cpl_status(cpl) : 0;
	outcome->done = true;
}

int cli_nsio_flush(struct cli_nsio *io)
{
	struct outcome outcome = {0};
	int err;

	do {
		err = nvmux_ns_cmd_flush(io->ns, io->qpair, on_flushed, &outcome);
	} while (err == -EAGAIN && !nvmux_qpair_is_connected(io->qpair) && !cli_interrupted() &&
		 !cli_nsio_wait(io));
	while (!err && !outcome.done)
		err = cli_nsio_wait(io);
	if (!outcome.done) {
		/* The callback must not find its argument gone. */
		nvmux_qpair_free(io->qpair);
		io->qpair = NULL;
		return cli_nsio_error(io, "flush", err);
	}
	if (outcome.status) {
		cli_error(io->cli, "%s: flush failed: %s", io->label,
			  nvmux_status_string(outcome.status));
		return CLI_IO_ERROR;
	}
	return CLI_OK;
}
