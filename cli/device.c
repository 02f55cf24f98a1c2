// SPDX-License-Identifier: BSD-3-Clause
/*
 * A controller opened for single commands.
 *
 * Happy path: attach → (namespace) → (queue pair) → a command, waited for → … → close.
 * Failures: what cli_nsio_open() has; a namespace that isn't active where one is needed; a call
 * that the library refuses; a status; the queue pair lost; a signal while a command is in flight:
 * the device is closed at once, so that nothing writes into a caller's buffer afterwards.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "cli/device.h"

#define NS_PER_MS    1000000u
#define SLEEP_MS_MAX 100 /* so that signals and timers get their turn in any case */

/* The namespace id of the options, which may be more than that of an active namespace. */
static int take_nsid(struct cli_device *dev, const struct cli_args *args,
		     const struct cli_target *target, char *why, size_t why_size)
{
	uint64_t nsid = 0;

	dev->nsid = target->nsid;
	dev->nsid_given = target->nsid;
	if (!cli_args_has(args, "namespace-id") || !cli_args_get(args, "namespace-id"))
		return 0;
	if (cli_args_number(args, "namespace-id", 0, UINT32_MAX, &nsid, why, why_size))
		return -EINVAL;
	if (target->nsid && nsid != target->nsid)
		return cli_refuse(why, why_size,
				  "\"%s\" and --namespace-id %llu name two namespaces",
				  args->positional[0], (unsigned long long)nsid);
	dev->nsid = (uint32_t)nsid;
	dev->nsid_given = true;
	return 0;
}

/* To the label, as cli_nsio_find() does with an active one. */
static void add_nsid(struct cli_device *dev)
{
	size_t len = strlen(dev->io.label);

	if (dev->nsid && dev->nsid != UINT32_MAX)
		snprintf(dev->io.label + len, sizeof(dev->io.label) - len, "/%u", dev->nsid);
}

static int open_namespace(struct cli_device *dev, unsigned flags)
{
	int code;

	if (!(flags & (CLI_DEVICE_NS | CLI_DEVICE_NSID)))
		return CLI_OK;
	dev->nsid_in_label = true;
	if (flags & CLI_DEVICE_NSID && dev->nsid_given) {
		add_nsid(dev);
		return CLI_OK;
	}
	if (dev->nsid_given && !dev->nsid)
		return cli_usage_error(dev->cli, "--namespace-id: 0 isn't a namespace");
	code = cli_nsio_find(&dev->io, dev->nsid);
	dev->nsid = dev->io.nsid;
	dev->ns = flags & CLI_DEVICE_NS ? dev->io.ns : NULL;
	return code;
}

int cli_device_target(struct cli *cli, const struct cli_args *args, struct cli_target *target,
		      uint32_t *ret_nsid, char *why, size_t why_size)
{
	struct cli_device dev = {0};

	if (cli_target_of_ctrlr(args, cli->socket, target, &dev.first_free, why, why_size) ||
	    take_nsid(&dev, args, target, why, why_size))
		return -EINVAL;
	*ret_nsid = dev.nsid;
	return 0;
}

int cli_device_open(struct cli *cli, const struct cli_args *args, unsigned flags,
		    struct cli_device *dev)
{
	struct cli_target target;
	uint32_t depth = 32;
	char why[512];
	int code;

	*dev = (struct cli_device){.cli = cli, .io.cli = cli, .label = dev->io.label};
	if (cli_target_of_ctrlr(args, cli->socket, &target, &dev->first_free, why, sizeof(why)) ||
	    take_nsid(dev, args, &target, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	if (args->command->max_args == 1 && args->n_positional > dev->first_free)
		return cli_usage_error(cli, "unexpected argument \"%s\"",
				       args->positional[dev->first_free]);
	cli_interrupt_catch();
	code = cli_nsio_attach(cli, &target, &dev->io);
	dev->nvmux = dev->io.nvmux;
	dev->ctrlr = dev->io.ctrlr;
	if (!code)
		code = open_namespace(dev, flags);
	if (!code && flags & CLI_DEVICE_IO) {
		code = cli_nsio_open_qpair(&dev->io, &depth, 0);
		dev->qpair = dev->io.qpair;
	}
	return code;
}

void cli_device_close(struct cli_device *dev)
{
	if (dev->io.cli)
		cli_nsio_close(&dev->io);
	dev->nvmux = NULL;
	dev->ctrlr = NULL;
	dev->ns = NULL;
	dev->qpair = NULL;
}

int cli_device_error(const struct cli_device *dev, const char *what, int err)
{
	return cli_nsio_error(&dev->io, what, err);
}

int cli_device_status_error(const struct cli_device *dev, const char *what, uint16_t status)
{
	unsigned code = status & NVMUX_STATUS_CODE_MASK;
	char of[32] = "";

	if (dev->quiet)
		return CLI_IO_ERROR;
	if (code == NVMUX_SC_CTRLR_GONE)
		return cli_nsio_error(&dev->io, what, -ENXIO);
	if (dev->nsid_given && !dev->nsid_in_label && dev->nsid != UINT32_MAX)
		snprintf(of, sizeof(of), ", namespace %u", dev->nsid);
	cli_error(dev->cli, "%s%s: %s failed: %s (%s, type %xh, code %02xh%s)", dev->label, of,
		  what, nvmux_status_string(status), nvmux_status_type_string(status), code >> 8,
		  code & 0xff, status & NVMUX_STATUS_DNR ? ", do not retry" : "");
	return code == NVMUX_SC_ACCESS_DENIED || code == NVMUX_SC_OPCODE_REFUSED ? CLI_FAILED
										  : CLI_IO_ERROR;
}

void cli_device_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct cli_device *dev = arg;

	dev->status = nvmux_cpl_is_error(cpl) ? nvmux_cpl_status(cpl) : 0;
	dev->dw0 = le32toh(cpl->dw0);
	dev->dw1 = le32toh(cpl->dw1);
	dev->done = true;
}

/* One turn of waiting for the admin queue. 0, or a negative errno value. */
static int turn(struct cli_device *dev)
{
	struct pollfd fd = {.fd = nvmux_get_fd(dev->nvmux), .events = POLLIN};
	int timeout = nvmux_get_timeout_ms(dev->nvmux);
	int n;

	if (timeout < 0 || timeout > SLEEP_MS_MAX)
		timeout = SLEEP_MS_MAX;
	poll(&fd, 1, timeout);
	n = nvmux_process(dev->nvmux);
	return n < 0 ? n : 0;
}

static bool is_tolerated(const struct cli_device *dev)
{
	for (const uint16_t *s = dev->tolerated; s && *s; s++) {
		if (*s == (dev->status & NVMUX_STATUS_CODE_MASK))
			return true;
	}
	return false;
}

/* Until it is done, a signal has come, or its time is over. 0, or a negative errno value. */
static int wait_turns(struct cli_device *dev, bool io)
{
	uint64_t start = cli_now_ns(), limit = dev->timeout_ms * NS_PER_MS;
	int err = 0;

	while (!err && !dev->done && !cli_interrupted()) {
		if (limit && cli_now_ns() - start >= limit)
			return -ETIMEDOUT;
		err = io ? cli_nsio_wait(&dev->io) : turn(dev);
		if (dev->on_turn)
			dev->on_turn(dev, dev->on_turn_arg);
	}
	return err;
}

/* Why there is no completion. */
static int report_undone(const struct cli_device *dev, const char *what, int err)
{
	if (!err)
		return CLI_INTERRUPTED;
	if (err != -ETIMEDOUT)
		return cli_device_error(dev, what, err);
	cli_error(dev->cli, "%s: %s: no answer within %llu ms; what became of it isn't known",
		  dev->label, what, (unsigned long long)dev->timeout_ms);
	return CLI_FAILED;
}

static int wait_done(struct cli_device *dev, const char *what, int err, bool io, uint32_t *dw0)
{
	if (!err)
		err = wait_turns(dev, io);
	if (!dev->done) {
		int code = report_undone(dev, what, err);

		/* What is in flight ends here: buffers and this callback's argument are free. */
		cli_device_close(dev);
		return code;
	}
	dev->done = false;
	if (dev->status && !is_tolerated(dev))
		return cli_device_status_error(dev, what, dev->status);
	if (dw0)
		*dw0 = dev->dw0;
	return CLI_OK;
}

int cli_device_wait_admin(struct cli_device *dev, const char *what, int err, uint32_t *dw0)
{
	return err ? cli_device_error(dev, what, err) : wait_done(dev, what, 0, false, dw0);
}

int cli_device_wait_io(struct cli_device *dev, const char *what, int err, uint32_t *dw0)
{
	return err ? cli_device_error(dev, what, err) : wait_done(dev, what, 0, true, dw0);
}

int cli_device_admin(struct cli_device *dev, const char *what, const struct nvmux_cmd *cmd,
		     void *buf, size_t len, uint32_t *dw0)
{
	int err = -EINVAL;

	dev->done = false;
	if (len <= UINT32_MAX)
		err = nvmux_ctrlr_cmd_admin_raw(dev->ctrlr, cmd, buf, (uint32_t)len,
						cli_device_done, dev);
	return cli_device_wait_admin(dev, what, err, dw0);
}

/* I/O memory for data and, behind it on a page of its own, metadata. */
struct bounce {
	struct nvmux_mem *mem;
	uint8_t *data, *md;
};

static int bounce_alloc(struct cli_device *dev, size_t len, size_t md_len, struct bounce *ret)
{
	size_t pages = (len + 4095) & ~(size_t)4095;
	int err;

	*ret = (struct bounce){0};
	if (!len && !md_len)
		return 0;
	if (len > UINT32_MAX || md_len > UINT32_MAX)
		return -EINVAL;
	err = nvmux_mem_alloc(dev->ctrlr, pages + md_len, 0, &ret->mem);
	if (err)
		return err;
	ret->data = len ? nvmux_mem_addr(ret->mem) : NULL;
	ret->md = md_len ? (uint8_t *)nvmux_mem_addr(ret->mem) + pages : NULL;
	return 0;
}

int cli_device_io_md(struct cli_device *dev, const char *what, const struct nvmux_cmd *cmd,
		     void *buf, size_t len, void *md, size_t md_len, uint32_t *dw0)
{
	bool out = cmd->opc & 1, in = cmd->opc & 2;
	struct bounce bounce;
	int err, code;

	err = bounce_alloc(dev, len, md_len, &bounce);
	if (err)
		return cli_device_error(dev, what, err);
	if (out && len)
		memcpy(bounce.data, buf, len);
	if (out && md_len)
		memcpy(bounce.md, md, md_len);
	dev->done = false;
	do {
		err = nvmux_ctrlr_cmd_io_raw_with_md(dev->ctrlr, dev->qpair, cmd, bounce.data,
						     (uint32_t)len, bounce.md, (uint32_t)md_len,
						     cli_device_done, dev);
	} while (err == -EAGAIN && !cli_interrupted() && !cli_nsio_wait(&dev->io));
	code = err == -EAGAIN && cli_interrupted() ? CLI_INTERRUPTED
						   : cli_device_wait_io(dev, what, err, dw0);
	if (!code && in && len)
		memcpy(buf, bounce.data, len);
	if (!code && in && md_len)
		memcpy(md, bounce.md, md_len);
	if (dev->ctrlr)
		nvmux_mem_free(bounce.mem);
	return code;
}

int cli_device_io(struct cli_device *dev, const char *what, const struct nvmux_cmd *cmd, void *buf,
		  size_t len, uint32_t *dw0)
{
	return cli_device_io_md(dev, what, cmd, buf, len, NULL, 0, dw0);
}
