// SPDX-License-Identifier: BSD-3-Clause
/* What a device says, as its reader wants it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fields.h"
#include "decode/bits.h"
#include "decode/fields.h"
#include "decode/identify_json.h"

#define KEY_WIDTH_MIN 9
#define KEY_WIDTH_MAX 44

/* Fields that people read as hexadecimal: bits, and ids that are written so everywhere. */
static const char *const hex_keys[] = {
	"vid",    "ssvid",      "cmic",      "cntlid",   "ver",      "rtd3r",      "rtd3e",
	"oaes",   "ctratt",     "rrls",      "oacs",     "frmw",     "lpa",        "avscc",
	"apsta",  "rpmbs",      "hctma",     "sanicap",  "sqes",     "cqes",       "oncs",
	"fuses",  "fna",        "vwc",       "ocfs",     "sgls",     "fcatt",      "nsze",
	"ncap",   "nuse",       "nsfeat",    "flbas",    "mc",       "dpc",        "dps",
	"nmic",   "rescap",     "fpi",       "rp",       "nstat",    "lbstm",      "pic",
	"cap",    "vs",         "cc",        "csts",     "intms",    "intmc",      "nssr",
	"crto",   "aqa",        "asq",       "acq",      "cmbsz",    "cmbloc",     "pmrcap",
	"bpinfo", "cdw10_info", "anacap",    "status_field", "parm_error_location", "cmdid",
	"critical_warning",     "nsid",      "ctrl_id",  "nvmsr",    "vwci",       "mec",
	NULL,
};

static bool is_one_of(const char *key, const char *const *keys)
{
	for (; *keys; keys++) {
		if (!strcmp(*keys, key))
			return true;
	}
	return false;
}

/* What stands behind a number. */
static const char *unit_of(const char *key)
{
	static const char *const percents[] = {"avail_spare", "spare_thresh",	"percent_used",
					       "avl_spare",   "avl_spare_threshold", NULL};

	return is_one_of(key, percents) ? "%" : "";
}

static bool take_number(const json_t *value, unsigned long long *ret)
{
	const char *digits = decode_digits(value);

	if (!digits && !json_is_integer(value))
		return false;
	*ret = digits ? strtoull(digits, NULL, 10) : (unsigned long long)json_integer_value(value);
	return true;
}

static void print_value(const char *key, const json_t *value)
{
	unsigned long long n;
	char text[512];

	if (take_number(value, &n)) {
		if (!strcmp(key, "ieee"))
			printf("%06llx", n);
		else if (is_one_of(key, hex_keys))
			printf("%#llx", n);
		else if (!strncmp(key, "temperature", 11))
			printf("%lld C (%llu K)", (long long)n - 273, n);
		else
			printf("%llu%s", n, unit_of(key));
	} else if (json_is_string(value)) {
		fputs(cli_printable(json_string_value(value), text, sizeof(text)), stdout);
	} else {
		json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
	}
}

/* LBA formats, power states: one line each. */
static void print_line(const char *key, size_t i, json_t *entry, bool in_use)
{
	bool formats = !strcmp(key, "lbafs");
	const char *member;
	json_t *value;

	printf("%-5s%3zu :", formats ? "lbaf" : !strcmp(key, "psds") ? "ps" : "elbaf", i);
	json_object_foreach(entry, member, value) {
		printf(" %s:", formats && !strcmp(member, "ds") ? "lbads" : member);
		print_value(member, value);
	}
	puts(in_use ? " (in use)" : "");
}

static void print_object(json_t *object, bool human, int indent);

/* "[   0]:0x1" */
static void print_id(size_t i, json_t *entry, int indent)
{
	json_t *id = json_object_iter_value(json_object_iter(entry));

	printf("%*s[%4zu]:%#llx\n", indent, "", i, (long long)json_integer_value(id));
}

static void print_array(const char *key, json_t *array, int64_t in_use, bool human, int indent)
{
	static const char *const line_keys[] = {"lbafs", "psds", "elbafs", NULL};
	static const char *const id_keys[] = {"nsid_list", "ctrl_list", "NSIDS", NULL};
	json_t *entry;
	size_t i;

	json_array_foreach(array, i, entry) {
		if (is_one_of(key, line_keys)) {
			print_line(key, i, entry, !strcmp(key, "lbafs") && (int64_t)i == in_use);
		} else if (is_one_of(key, id_keys)) {
			print_id(i, entry, indent);
		} else {
			printf("%*s%s[%zu]\n", indent, "", key, i);
			print_object(entry, human, indent + 2);
		}
	}
}

static int key_width(json_t *object)
{
	int width = KEY_WIDTH_MIN;
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value) {
		int len = (int)strlen(key);

		if (!json_is_array(value) && !json_is_object(value) && len > width)
			width = len;
	}
	return width < KEY_WIDTH_MAX ? width : KEY_WIDTH_MAX;
}

static void print_object(json_t *object, bool human, int indent)
{
	unsigned int in_use = identify_format_index((uint8_t)cli_json_integer(object, "flbas"));
	int width = key_width(object);
	unsigned long long n;
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value) {
		if (json_is_array(value)) {
			print_array(key, value, in_use, human, indent);
			continue;
		}
		if (json_is_object(value)) {
			printf("%*s%s:\n", indent, "", key);
			print_object(value, human, indent + 2);
			continue;
		}
		printf("%*s%-*s : ", indent, "", width, key);
		print_value(key, value);
		putchar('\n');
		if (human && take_number(value, &n))
			bits_describe(stdout, key, n);
	}
}

void cli_print_fields(json_t *object, bool human)
{
	json_t *entry;
	size_t i;

	if (json_is_object(object))
		print_object(object, human, 0);
	json_array_foreach(object, i, entry) {
		print_object(entry, human, 0);
	}
}

int cli_print_binary(const struct cli *cli, const void *data, size_t len)
{
	fwrite(data, 1, len, stdout);
	return cli_flush(cli);
}

bool cli_wants_binary(const struct cli *cli, const struct cli_args *args)
{
	return cli->binary ||
	       (cli_args_has(args, "raw-binary") && cli_args_get(args, "raw-binary"));
}

int cli_show(const struct cli *cli, const struct cli_args *args, json_t *json, const void *data,
	     size_t len)
{
	CLI_JSON *owned = json;

	if (data && cli_wants_binary(cli, args))
		return cli_print_binary(cli, data, len);
	if (!owned) {
		cli_error(cli, "%s", strerror(ENOMEM));
		return CLI_FAILED;
	}
	if (cli->json)
		return cli_print_json(cli, owned);
	cli_print_fields(owned, cli_args_has(args, "human-readable") &&
					cli_args_get(args, "human-readable"));
	return CLI_OK;
}
