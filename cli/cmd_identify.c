// SPDX-License-Identifier: BSD-3-Clause
/* identify: what a controller or a namespace says of itself. */
#include <ctype.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/target.h"

/* Fields that people read as hexadecimal: bits, and ids that are written so everywhere. */
static const char *const hex_keys[] = {
	"vid",  "ssvid", "cmic", "cntlid", "ver",   "rtd3r", "rtd3e", "oaes",    "ctratt", "rrls",
	"oacs", "frmw",  "lpa",  "avscc",  "apsta", "rpmbs", "hctma", "sanicap", "sqes",   "cqes",
	"oncs", "fuses", "fna",  "vwc",    "ocfs",  "sgls",  "fcatt", "nsze",    "ncap",   "nuse",
	"nsfeat", "flbas", "mc", "dpc",    "dps",   "nmic",  "rescap", "fpi",    "rp",     NULL,
};

static bool is_hex_key(const char *key)
{
	for (const char *const *k = hex_keys; *k; k++) {
		if (!strcmp(*k, key))
			return true;
	}
	return false;
}

static void print_value(const char *key, const json_t *value)
{
	char text[512];

	if (json_is_string(value))
		fputs(cli_printable(json_string_value(value), text, sizeof(text)), stdout);
	else if (json_is_integer(value) && !strcmp(key, "ieee"))
		printf("%06llx", (long long)json_integer_value(value));
	else if (json_is_integer(value) && is_hex_key(key))
		printf("%#llx", (long long)json_integer_value(value));
	else if (json_is_integer(value))
		printf("%lld", (long long)json_integer_value(value));
	else
		json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* An array of objects: LBA formats, power states. One line each. */
static void print_array(const char *key, json_t *array, int64_t in_use)
{
	bool formats = !strcmp(key, "lbafs");
	json_t *entry, *value;
	const char *member;
	size_t i;

	json_array_foreach(array, i, entry) {
		printf("%-5s%3zu :", formats ? "lbaf" : !strcmp(key, "psds") ? "ps" : key, i);
		if (!json_is_object(entry)) {
			putchar(' ');
			print_value(key, entry);
		}
		json_object_foreach(entry, member, value) {
			printf(" %s:", formats && !strcmp(member, "ds") ? "lbads" : member);
			print_value(member, value);
		}
		puts(formats && (int64_t)i == in_use ? " (in use)" : "");
	}
}

static void print_fields(json_t *fields)
{
	int64_t flbas = cli_json_integer(fields, "flbas");
	const char *key;
	json_t *value;

	json_object_foreach(fields, key, value) {
		if (json_is_array(value)) {
			print_array(key, value, (flbas & 15) | (flbas & 0x60) >> 1);
			continue;
		}
		printf("%-9s : ", key);
		print_value(key, value);
		putchar('\n');
	}
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* 16 bytes per line; equal lines are shown once, as hexdump does. */
static void print_dump(const char *hex)
{
	size_t len = strlen(hex) / 2 * 2;
	bool folded = false;

	for (size_t at = 0; at < len; at += 32) {
		size_t n = len - at < 32 ? len - at : 32;

		if (at && n == 32 && at + 32 < len && !memcmp(hex + at, hex + at - 32, 32)) {
			if (!folded)
				puts("*");
			folded = true;
			continue;
		}
		folded = false;
		printf("%04zx ", at / 2);
		for (size_t i = 0; i < 32; i += 2)
			printf(i < n ? " %.2s" : "   ", hex + at + i);
		fputs("  |", stdout);
		for (size_t i = 0; i + 1 < n; i += 2) {
			int c = hex_digit(hex[at + i]) << 4 | hex_digit(hex[at + i + 1]);

			putchar(c >= 0x20 && c < 0x7f ? c : '.');
		}
		puts("|");
	}
}

static int identify_params(struct cli *cli, const struct cli_args *args, char *name, size_t size,
			   json_t **ret)
{
	uint64_t nsid = 0, cns;
	uint32_t named = 0;
	char why[256];

	if (cli_parse_name(args->positional[0], name, size, &named, why, sizeof(why)) ||
	    cli_args_number(args, "namespace-id", 1, UINT32_MAX, &nsid, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	if (nsid && named && nsid != named)
		return cli_usage_error(cli, "\"%s\" and --namespace-id %llu name two namespaces",
				       args->positional[0], (unsigned long long)nsid);
	if (!nsid)
		nsid = named;
	cns = nsid ? 0 : 1;
	if (cli_args_number(args, "cns", 0, 255, &cns, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	*ret = json_pack("{s:s, s:I}", "controller", name, "cns", (json_int_t)cns);
	if (nsid)
		json_object_set_new(*ret, "nsid", json_integer((json_int_t)nsid));
	return CLI_OK;
}

static int run_identify(struct cli *cli, const struct cli_args *args)
{
	char name[CLI_CTRLR_NAME_MAX];
	CLI_JSON *result = NULL;
	json_t *params = NULL;
	int code;

	code = identify_params(cli, args, name, sizeof(name), &params);
	if (!code)
		code = cli_call(cli, "identify", params, name, &result);
	if (code)
		return code;
	if (cli->json)
		return cli_print_json(cli, result);
	if (json_object_size(result) == 1 && json_object_get(result, "data"))
		print_dump(cli_json_string(result, "data"));
	else
		print_fields(result);
	return CLI_OK;
}

static const struct cli_option identify_options[] = {
	{"namespace-id", 'n', "NSID", "the namespace, instead of CTRL/NSID"},
	{"cns", 'c', "CNS",
	 "which structure (default: 0 with a namespace, else 1); what isn't 0 or 1 is shown as "
	 "bytes"},
	{0},
};

static const char *const identify_examples[] = {
	"nvmux identify nvme0",
	"nvmux identify nvme0/1 -o json",
	"nvmux identify nvme0 -n 1",
	"nvmux identify nvme0 --cns 2",
	NULL,
};

const struct cli_command cli_cmd_identify = {
	.name = "identify",
	.summary = "show what a controller or namespace says of itself",
	.usage = "CTRL[/NSID] [-n NSID] [--cns CNS]",
	.description = "Sends Identify through the daemon. The fields are named as by nvme-cli's "
		       "id-ctrl and id-ns, in JSON as well.",
	.options = identify_options,
	.examples = identify_examples,
	.min_args = 1,
	.max_args = 1,
	.run = run_identify,
};
