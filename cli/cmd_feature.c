// SPDX-License-Identifier: BSD-3-Clause
/*
 * get-feature, set-feature.
 *
 * Happy path: options → attach → (data from a file) → one command → the value in words.
 * Failures: options, or a file that ends too early, before anything is sent; features that the
 * library keeps to itself; a status.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <nvme/types.h>

#include "cli/device.h"
#include "cli/fields.h"
#include "cli/verb.h"
#include "decode/feature_text.h"
#include "decode/fields.h"
#include "libcore/util.h"

#define DATA_MAX      (128u << 10)
#define FID_TIMESTAMP 0x0e
#define FID_HOST_ID   0x81
#define SEL_SUPPORTED 3
#define SET_SAVE      (1u << 31)

struct feature {
	uint64_t fid; /* 0: not given */
	uint64_t sel;
	uint64_t value; /* set: of the feature; get: dword 11 */
	uint64_t cdw12;
	uint64_t uuid_index;
	uint64_t len; /* of the data */
	uint32_t nsid;
	bool save;
	uint8_t *data;
};

static int alloc_data(struct cli_device *dev, struct feature *f)
{
	free(f->data);
	f->data = f->len ? calloc(1, f->len) : NULL;
	return f->len && !f->data ? cli_device_error(dev, "feature", -ENOMEM) : CLI_OK;
}

/* ---- get-feature ---- */

static int take_get(const struct cli_args *args, struct feature *f, char *why, size_t why_size)
{
	*f = (struct feature){0};
	if (cli_args_number(args, "feature-id", 1, 255, &f->fid, why, why_size) ||
	    cli_args_number(args, "sel", 0, 3, &f->sel, why, why_size) ||
	    cli_args_size(args, "data-len", 0, DATA_MAX, &f->len, why, why_size) ||
	    cli_args_number(args, "cdw11", 0, UINT32_MAX, &f->value, why, why_size) ||
	    cli_args_number(args, "uuid-index", 0, 127, &f->uuid_index, why, why_size))
		return -EINVAL;
	if (f->len % 4)
		return cli_refuse(why, why_size, "--data-len: %llu isn't a multiple of 4",
				  (unsigned long long)f->len);
	return 0;
}

static int get_feature(struct cli_device *dev, struct feature *f, uint32_t *value)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_features,
		.nsid = cpu_to_le32(f->nsid),
		.cdw10 = cpu_to_le32((uint32_t)f->sel << 8 | (uint32_t)f->fid),
		.cdw11 = cpu_to_le32((uint32_t)f->value),
		.cdw14 = cpu_to_le32((uint32_t)f->uuid_index),
	};

	return cli_device_admin(dev, "get features", &cmd, f->data, f->len, value);
}

static json_t *feature_json(const struct feature *f, uint32_t value)
{
	json_t *json = json_pack("{s:I,s:s,s:s,s:I}", "feature", (json_int_t)f->fid, "name",
				 feature_name((uint8_t)f->fid), "select",
				 feature_select_name((unsigned)f->sel), "value", (json_int_t)value);

	if (f->len)
		json_object_set_new(json, "data", decode_hex_json(f->data, f->len));
	return json;
}

static int show_feature(struct cli_device *dev, const struct cli_args *args,
			const struct feature *f, uint32_t value)
{
	if (f->len && cli_wants_binary(dev->cli, args))
		return cli_print_binary(dev->cli, f->data, f->len);
	printf("get-feature:%#04x (%s), %s value:0x%08x\n", (unsigned)f->fid,
	       feature_name((uint8_t)f->fid), feature_select_name((unsigned)f->sel), value);
	if (f->sel == SEL_SUPPORTED)
		feature_describe_capabilities(stdout, value);
	else if (cli_args_get(args, "human-readable"))
		feature_describe(stdout, (uint8_t)f->fid, value, f->data, f->len);
	else if (f->len)
		cli_data_show(f->data, f->len);
	return CLI_OK;
}

/* One feature, printed or, in JSON, made the value at @ret. */
static int get_one(struct cli_device *dev, const struct cli_args *args, struct feature *f,
		   json_t **ret)
{
	uint32_t value = 0;
	int code;

	if (!f->len && f->sel != SEL_SUPPORTED)
		f->len = feature_data_len((uint8_t)f->fid, (uint32_t)f->value, false);
	/* A fabrics controller has extended host identifiers only. */
	if (f->fid == FID_HOST_ID && nvmux_ctrlr_get_trid(dev->ctrlr)->trtype == NVMUX_TRTYPE_RDMA)
		f->value |= 1, f->len = f->len ? 16 : 0;
	code = alloc_data(dev, f);
	if (!code)
		code = get_feature(dev, f, &value);
	if (code)
		return code;
	if (!dev->cli->json)
		return show_feature(dev, args, f, value);
	*ret = feature_json(f, value);
	return CLI_OK;
}

/* All that the specification names; those that end with a status aren't there. */
static int get_all(struct cli_device *dev, const struct cli_args *args, struct feature *f,
		   json_t **ret)
{
	uint64_t len = f->len;
	int code = CLI_OK;

	*ret = json_array();
	for (f->fid = 1; f->fid <= 255 && !code; f->fid++) {
		json_t *one = NULL;

		if (!strcmp(feature_name((uint8_t)f->fid), "Unknown"))
			continue;
		f->len = len;
		dev->quiet = true;
		code = get_one(dev, args, f, &one);
		dev->quiet = false;
		if (code == CLI_IO_ERROR && dev->status)
			code = CLI_OK;
		if (one)
			json_array_append_new(*ret, one);
	}
	return code;
}

static int run_get_feature(struct cli *cli, const struct cli_args *args)
{
	CLI_JSON *json = NULL;
	struct cli_device dev;
	struct feature f;
	char why[256];
	int code;

	if (take_get(args, &f, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	code = cli_device_open(cli, args, 0, &dev);
	f.nsid = dev.nsid;
	if (!code)
		code = f.fid ? get_one(&dev, args, &f, &json) : get_all(&dev, args, &f, &json);
	if (!code && cli->json)
		code = cli_print_json(cli, json);
	cli_device_close(&dev);
	free(f.data);
	return code;
}

static const struct cli_option get_options[] = {
	{"feature-id", 'f', "FID", "which feature, 1 to 255 (default: all that there are)"},
	{"namespace-id", 'n', "NSID", "of this namespace"},
	{"sel", 's', "0-3", "0 current, 1 default, 2 saved, 3 what it can (default 0)"},
	{"data-len", 'l', "BYTES", "of its data (default: as the specification says)"},
	{"cdw11", 'c', "DWORD", "command dword 11"},
	{"uuid-index", 'U', "INDEX", "UUID index, 0 to 127"},
	{"raw-binary", 'b', NULL, "its data as it came"},
	CLI_HUMAN_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const get_examples[] = {
	"nvmux get-feature nvme0 -f 7 -H",
	"nvmux get-feature nvme0 -f 6 -s 3",
	"nvmux get-feature nvme0/1 -f 5",
	NULL,
};

const struct cli_command cli_cmd_get_feature = {
	.name = "get-feature",
	.group = CLI_GROUP_READ,
	.summary = "the value of a feature",
	.usage = CLI_DEVICE_NS_USAGE " [-f FID] [-s SEL] [-c DWORD] [-H|-b]",
	.description = "Get Features. JSON has its number, name, value, and data in hexadecimal "
		       "digits; without -f it is an array.",
	.options = get_options,
	.examples = get_examples,
	.max_args = 1,
	.binary = true,
	.run = run_get_feature,
};

/* ---- set-feature ---- */

static int take_set(const struct cli_args *args, struct feature *f, char *why, size_t why_size)
{
	bool has_len = cli_args_get(args, "data-len");

	*f = (struct feature){.save = cli_args_get(args, "save")};
	if (cli_args_number(args, "feature-id", 1, 255, &f->fid, why, why_size))
		return -EINVAL;
	if (!f->fid)
		return cli_refuse(why, why_size, "--feature-id is missing: which one, 1 to 255?");
	/* The time in milliseconds is longer than a dword. */
	if (cli_args_number(args, "value", 0,
			    f->fid == FID_TIMESTAMP ? (1ull << 48) - 1 : UINT32_MAX, &f->value, why,
			    why_size) ||
	    cli_args_number(args, "cdw12", 0, UINT32_MAX, &f->cdw12, why, why_size) ||
	    cli_args_number(args, "uuid-index", 0, 127, &f->uuid_index, why, why_size) ||
	    cli_args_size(args, "data-len", 0, DATA_MAX, &f->len, why, why_size))
		return -EINVAL;
	if (f->len % 4)
		return cli_refuse(why, why_size, "--data-len: %llu isn't a multiple of 4",
				  (unsigned long long)f->len);
	if (!has_len)
		f->len = feature_data_len((uint8_t)f->fid, (uint32_t)f->value, true);
	if (!cli_args_get(args, "value") && !f->len)
		return cli_refuse(why, why_size, "--value is missing: the new value of %s",
				  feature_name((uint8_t)f->fid));
	return 0;
}

static int file_error(const struct cli *cli, const char *file, const char *what)
{
	cli_error(cli, "%s: %s: %s", file, what, strerror(errno));
	return CLI_IO_ERROR;
}

/* The whole of it, from a file or from standard input. */
static int read_data(const struct cli *cli, const char *file, struct feature *f)
{
	int fd = file && strcmp(file, "-") ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	const char *name = fd == STDIN_FILENO ? "standard input" : file;
	size_t done = 0;
	ssize_t n = 1;

	if (fd < 0)
		return file_error(cli, file, "open");
	while (done < f->len && n) {
		n = read(fd, f->data + done, f->len - done);
		if (n < 0 && (errno != EINTR || cli_interrupted()))
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	if (fd != STDIN_FILENO)
		close(fd);
	if (n < 0)
		return errno == EINTR ? CLI_INTERRUPTED : file_error(cli, name, "read");
	if (done < f->len) {
		cli_error(cli, "%s: ends after %zu bytes; the feature's data has %llu", name, done,
			  (unsigned long long)f->len);
		return CLI_IO_ERROR;
	}
	return CLI_OK;
}

static int fill_data(struct cli_device *dev, const struct cli_args *args, struct feature *f)
{
	int code = alloc_data(dev, f);

	if (code || !f->len)
		return code;
	if (f->fid != FID_TIMESTAMP || !cli_args_get(args, "value"))
		return read_data(dev->cli, cli_args_get(args, "data"), f);
	for (unsigned i = 0; i < 6 && i < f->len; i++)
		f->data[i] = (uint8_t)(f->value >> 8 * i);
	f->value = 0;
	return CLI_OK;
}

static int set_feature(struct cli_device *dev, const struct feature *f, uint32_t *dw0)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_set_features,
		.nsid = cpu_to_le32(f->nsid),
		.cdw10 = cpu_to_le32((f->save ? SET_SAVE : 0) | (uint32_t)f->fid),
		.cdw11 = cpu_to_le32((uint32_t)f->value),
		.cdw12 = cpu_to_le32((uint32_t)f->cdw12),
		.cdw14 = cpu_to_le32((uint32_t)f->uuid_index),
	};
	int err;

	if (f->uuid_index)
		return cli_device_admin(dev, "set features", &cmd, f->data, f->len, dw0);
	err = nvmux_ctrlr_cmd_set_feature(dev->ctrlr, (uint8_t)f->fid, f->save, f->nsid,
					  (uint32_t)f->value, (uint32_t)f->cdw12, f->data,
					  (uint32_t)f->len, cli_device_done, dev);
	return cli_device_wait_admin(dev, "set features", err, dw0);
}

static int run_set_feature(struct cli *cli, const struct cli_args *args)
{
	struct cli_device dev;
	struct feature f;
	uint32_t dw0 = 0;
	char why[256];
	int code;

	if (take_set(args, &f, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	code = cli_device_open(cli, args, 0, &dev);
	f.nsid = dev.nsid;
	if (!code)
		code = fill_data(&dev, args, &f);
	if (!code)
		code = set_feature(&dev, &f, &dw0);
	if (!code && cli->json) {
		CLI_JSON *json = json_pack("{s:I,s:s,s:I,s:b,s:I}", "feature", (json_int_t)f.fid,
					   "name", feature_name((uint8_t)f.fid), "value",
					   (json_int_t)f.value, "save", f.save, "result",
					   (json_int_t)dw0);

		code = cli_print_json(cli, json);
	} else if (!code) {
		printf("set-feature:%#04x (%s), value:0x%08x, cdw12:0x%08x, save:%u\n",
		       (unsigned)f.fid, feature_name((uint8_t)f.fid), (unsigned)f.value,
		       (unsigned)f.cdw12, f.save);
	}
	cli_device_close(&dev);
	free(f.data);
	return code;
}

static const struct cli_option set_options[] = {
	{"namespace-id", 'n', "NSID", "of this namespace (default: none; 0xffffffff: all)"},
	{"feature-id", 'f', "FID", "which feature, 1 to 255"},
	{"value", 'v', "VALUE", "its new value; of a timestamp, the time in milliseconds"},
	{"cdw12", 'c', "DWORD", "command dword 12"},
	{"uuid-index", 'U', "INDEX", "UUID index, 0 to 127"},
	{"data-len", 'l', "BYTES", "of its data (default: as the specification says)"},
	{"data", 'd', "FILE", "where its data is read from (default: standard input)"},
	{"save", 's', NULL, "keep it beyond resets and loss of power"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const set_examples[] = {
	"nvmux set-feature nvme0 -f 6 -v 1",
	"nvmux set-feature nvme0/1 -f 5 -v 0x10000",
	"nvmux set-feature nvme0 -f 0x0c -v 1 -d apst.bin",
	NULL,
};

const struct cli_command cli_cmd_set_feature = {
	.name = "set-feature",
	.group = CLI_GROUP_MANAGE,
	.summary = "change the value of a feature",
	.usage = CLI_DEVICE_NS_USAGE " -f FID -v VALUE [-c DWORD] [-d FILE] [-s]",
	.description =
		"Set Features. Those that the driver needs for itself are refused: number of "
		"queues, interrupts, events, keep-alive timer, host memory buffer, host "
		"identifier.\n\n"
		"Through nvmuxd it needs the admin right.",
	.options = set_options,
	.examples = set_examples,
	.max_args = 1,
	.run = run_set_feature,
};
