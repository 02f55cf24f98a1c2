// SPDX-License-Identifier: BSD-3-Clause
/* identify: what a controller or a namespace says of itself. */
#include <ctype.h>
#include <string.h>

#include "cli/fields.h"
#include "cli/target.h"
#include "decode/identify_json.h"

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* 16 bytes per line; equal lines are shown once, as hexdump does. */
static void print_dump(const uint8_t *bytes, size_t len)
{
	bool folded = false;

	for (size_t at = 0; at < len; at += 16) {
		size_t n = len - at < 16 ? len - at : 16;

		if (at && n == 16 && at + 16 < len && !memcmp(bytes + at, bytes + at - 16, 16)) {
			if (!folded)
				puts("*");
			folded = true;
			continue;
		}
		folded = false;
		printf("%04zx ", at);
		for (size_t i = 0; i < 16; i++) {
			if (i < n)
				printf(" %02x", bytes[at + i]);
			else
				fputs("   ", stdout);
		}
		fputs("  |", stdout);
		for (size_t i = 0; i < n; i++) {
			int c = bytes[at + i];

			putchar(c >= 0x20 && c < 0x7f ? c : '.');
		}
		puts("|");
	}
}

/* Digits of the daemon as bytes. */
static void print_hex(const char *hex)
{
	uint8_t bytes[IDENTIFY_BYTES];
	size_t len = strlen(hex) / 2;

	if (len > sizeof(bytes))
		len = sizeof(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
	print_dump(bytes, len);
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
		print_hex(cli_json_string(result, "data"));
	else
		cli_print_fields(result, false);
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
	.group = CLI_GROUP_READ,
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
