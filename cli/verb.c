// SPDX-License-Identifier: BSD-3-Clause
/* What the commands that act share. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <nvme/types.h>

#include "cli/get_log.h"
#include "cli/verb.h"

#define READ_STEP 65536u
#define SLICE_MS  100
#define REPEATS   50
#define REPEAT_MS 100

static int take(struct cli *cli, const struct cli_args *args, const struct cli_value *values,
		typeof(cli_args_number) *parse)
{
	char why[512];

	for (; values->name; values++) {
		if (parse(args, values->name, values->min, values->max, values->value, why,
			  sizeof(why)))
			return cli_usage_error(cli, "%s", why);
	}
	return CLI_OK;
}

int cli_values(struct cli *cli, const struct cli_args *args, const struct cli_value *values)
{
	return take(cli, args, values, cli_args_number);
}

int cli_sizes(struct cli *cli, const struct cli_args *args, const struct cli_value *values)
{
	return take(cli, args, values, cli_args_size);
}

int cli_wanted(struct cli *cli, const struct cli_args *args, const char *const *names)
{
	for (; *names; names++) {
		if (!cli_args_get(args, *names))
			return cli_usage_error(cli, "--%s is needed", *names);
	}
	return CLI_OK;
}

int cli_check_dwords(struct cli *cli, const char *option, uint64_t len)
{
	if (len % 4 == 0)
		return CLI_OK;
	return cli_usage_error(cli, "--%s: %llu isn't a multiple of 4", option,
			       (unsigned long long)len);
}

int cli_value_list(struct cli *cli, const struct cli_args *args, const char *name, uint64_t max,
		   uint64_t *list, unsigned max_entries, unsigned *count)
{
	const char *p = cli_args_get(args, name);

	*count = 0;
	while (p) {
		size_t len = strcspn(p, ",");
		char one[24];

		if (*count == max_entries)
			return cli_usage_error(cli, "--%s: more than %u values", name, max_entries);
		snprintf(one, sizeof(one), "%.*s", (int)(len < sizeof(one) ? len : sizeof(one)), p);
		if (cli_parse_number(one, &list[*count]))
			return cli_usage_error(cli,
					       "--%s: \"%s\" isn't a list of numbers such as "
					       "0,8,0x40",
					       name, one);
		if (list[*count] > max)
			return cli_usage_error(cli, "--%s: %s is out of range; at most %llu", name,
					       one, (unsigned long long)max);
		++*count;
		p = p[len] ? p + len + 1 : NULL;
	}
	return CLI_OK;
}

/* ---- data ---- */

void cli_data_free(struct cli_data *data)
{
	free(data->bytes);
	*data = (struct cli_data){0};
}

int cli_data_alloc(struct cli *cli, size_t len, uint8_t fill, struct cli_data *ret)
{
	uint8_t *bytes = malloc(len ? len : 1);

	if (!bytes) {
		cli_error(cli, "no memory for %zu bytes of data", len);
		return CLI_FAILED;
	}
	memset(bytes, fill, len);
	*ret = (struct cli_data){.bytes = bytes, .len = len};
	return CLI_OK;
}

static bool is_standard(const char *path)
{
	return !path || !strcmp(path, "-");
}

static int file_error(const struct cli *cli, const char *path, bool in, const char *what)
{
	const char *standard = in ? "standard input" : "standard output";

	cli_error(cli, "%s: %s: %s", is_standard(path) ? standard : path, what, strerror(errno));
	return CLI_IO_ERROR;
}

/* Until @size bytes are there or the input ends. -1 with errno. */
static ssize_t read_full(int fd, uint8_t *bytes, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, bytes + len, size - len);

		if (n < 0 && (errno != EINTR || cli_interrupted()))
			return -1;
		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
	}
	return (ssize_t)len;
}

static int open_input(const char *path)
{
	return is_standard(path) ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
}

static int read_failed(const struct cli *cli, const char *path)
{
	if (errno == EINTR)
		return CLI_INTERRUPTED;
	return file_error(cli, path, true, "read");
}

/* Grow until the end of the input or beyond @max. */
static int read_all(struct cli *cli, const char *path, int fd, size_t max, struct cli_data *ret)
{
	CLI_DATA data = {0};

	for (;;) {
		uint8_t *more = realloc(data.bytes, data.len + READ_STEP);
		ssize_t n;

		if (!more) {
			cli_error(cli, "no memory for the input");
			return CLI_FAILED;
		}
		data.bytes = more;
		n = read_full(fd, more + data.len, READ_STEP);
		if (n < 0)
			return read_failed(cli, path);
		data.len += (size_t)n;
		if (data.len > max) {
			cli_error(cli, "%s: more than %zu bytes",
				  is_standard(path) ? "standard input" : path, max);
			return CLI_IO_ERROR;
		}
		if ((size_t)n < READ_STEP)
			break;
	}
	*ret = data;
	data.bytes = NULL;
	return CLI_OK;
}

int cli_data_read(struct cli *cli, const char *path, size_t max, struct cli_data *ret)
{
	int fd = open_input(path), code;

	if (fd < 0)
		return file_error(cli, path, true, "open");
	code = read_all(cli, path, fd, max, ret);
	if (!is_standard(path))
		close(fd);
	return code;
}

int cli_data_fill(struct cli *cli, const char *path, struct cli_data *data)
{
	int fd = open_input(path);
	ssize_t n;

	if (fd < 0)
		return file_error(cli, path, true, "open");
	n = read_full(fd, data->bytes, data->len);
	if (!is_standard(path))
		close(fd);
	if (n < 0)
		return read_failed(cli, path);
	if ((size_t)n == data->len)
		return CLI_OK;
	cli_error(cli, "%s: has %zd bytes, the command moves %zu; nothing was sent",
		  is_standard(path) ? "standard input" : path, n, data->len);
	return CLI_IO_ERROR;
}

int cli_data_write(struct cli *cli, const char *path, const void *bytes, size_t len)
{
	FILE *out;

	if (is_standard(path)) {
		fwrite(bytes, 1, len, stdout);
		return cli_flush(cli);
	}
	out = fopen(path, "we");
	if (!out)
		return file_error(cli, path, false, "open");
	errno = 0;
	if (fwrite(bytes, 1, len, out) != len) {
		int code = file_error(cli, path, false, "write");

		fclose(out);
		return code;
	}
	return fclose(out) ? file_error(cli, path, false, "write") : CLI_OK;
}

void cli_data_show(const void *bytes, size_t len)
{
	const uint8_t *b = bytes;

	fputs("       0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f\n", stdout);
	for (size_t at = 0; at < len; at += 16) {
		size_t n = len - at < 16 ? len - at : 16;

		printf("%04zx:", at);
		for (size_t i = 0; i < 16; i++) {
			if (i < n)
				printf(" %02x", b[at + i]);
			else
				fputs("   ", stdout);
		}
		fputs(" \"", stdout);
		for (size_t i = 0; i < n; i++)
			putchar(b[at + i] >= 0x20 && b[at + i] < 0x7f ? b[at + i] : '.');
		puts("\"");
	}
}

/* ---- results ---- */

int cli_report(struct cli_device *dev, json_t *more, const char *format, ...)
{
	CLI_JSON *extra = more;
	CLI_JSON *value = NULL;
	va_list ap;

	if (!dev->cli->json) {
		printf("%s: ", dev->label);
		va_start(ap, format);
		vprintf(format, ap);
		va_end(ap);
		putchar('\n');
		return CLI_OK;
	}
	value = json_pack("{s:s}", "target", dev->label);
	if (dev->nsid)
		json_object_set_new(value, "nsid", json_integer(dev->nsid));
	if (extra)
		json_object_update(value, extra);
	return cli_print_json(dev->cli, value);
}

/* ---- commands ---- */

void cli_put_lba(struct nvmux_cmd *cmd, uint64_t lba)
{
	cmd->cdw10 = htole32((uint32_t)lba);
	cmd->cdw11 = htole32((uint32_t)(lba >> 32));
}

/*
 * What only reads is asked again when the controller was reset under way: the daemon does that
 * itself behind commands that change what others see.
 */
static bool is_to_repeat(struct cli_device *dev, int code, unsigned *tries)
{
	const uint16_t aborted = NVME_SC_ABORT_QUEUE;

	return code == CLI_IO_ERROR && dev->ctrlr && *tries < REPEATS &&
	       (dev->status & NVMUX_STATUS_CODE_MASK) == aborted && ++*tries &&
	       cli_pause(dev, REPEAT_MS);
}

int cli_identify(struct cli_device *dev, uint8_t cns, uint8_t csi, uint32_t nsid, void *buf)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_identify,
		.nsid = htole32(nsid),
		.cdw10 = htole32(cns),
		.cdw11 = htole32((uint32_t)csi << 24),
	};
	bool quiet = dev->quiet;
	unsigned tries = 0;
	int code;

	dev->quiet = true;
	do {
		code = cli_device_admin(dev, "identify", &cmd, buf, NVME_IDENTIFY_DATA_SIZE, NULL);
	} while (is_to_repeat(dev, code, &tries));
	dev->quiet = quiet;
	if (code == CLI_IO_ERROR)
		code = cli_device_status_error(dev, "identify", dev->status);
	return code;
}

int cli_get_log(struct cli_device *dev, uint8_t lid, uint32_t nsid, bool clear, void *buf,
		uint32_t len)
{
	struct nvmux_log_opts opts = {.size = sizeof(opts), .clear = clear};
	bool quiet = dev->quiet;
	unsigned tries = 0;
	int code;

	dev->quiet = true;
	do {
		code = cli_read_log(dev, lid, nsid, &opts, buf, len);
	} while (is_to_repeat(dev, code, &tries));
	dev->quiet = quiet;
	if (code == CLI_IO_ERROR)
		code = cli_device_status_error(dev, "get log page", dev->status);
	return code;
}

bool cli_pause(struct cli_device *dev, int ms)
{
	struct pollfd fd = {.fd = nvmux_get_fd(dev->nvmux), .events = POLLIN};
	uint64_t start = cli_now_ns();

	for (;;) {
		int64_t left = ms - (int64_t)((cli_now_ns() - start) / 1000000);

		if (left <= 0 || cli_interrupted())
			return !cli_interrupted();
		poll(&fd, 1, left < SLICE_MS ? (int)left : SLICE_MS);
		nvmux_process(dev->nvmux);
	}
}
