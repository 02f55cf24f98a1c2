// SPDX-License-Identifier: BSD-3-Clause
/* nvmux: finds the command that is meant and runs it. */
#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <string.h>
#include <nvmux/nvmux.h>

#include "cli/cli.h"
#include "cli/target.h"
#include "libcore/util.h"
#include "rpc/client.h"

static const struct cli_command *const commands[] = {
	&cli_cmd_probe,     &cli_cmd_discover, &cli_cmd_discovery, &cli_cmd_bind,
	&cli_cmd_unbind,    &cli_cmd_attach,   &cli_cmd_detach,    &cli_cmd_reset,
	&cli_cmd_subsystem_reset,
	&cli_cmd_list,      &cli_cmd_status,   &cli_cmd_events,    &cli_cmd_identify,
	&cli_cmd_id_ctrl, &cli_cmd_id_ns, &cli_cmd_list_ns, &cli_cmd_list_ctrl,
	&cli_cmd_ns_descs, &cli_cmd_nvm_id_ctrl, &cli_cmd_nvm_id_ns, &cli_cmd_cmdset_ind_id_ns,
	&cli_cmd_smart_log, &cli_cmd_error_log, &cli_cmd_fw_log, &cli_cmd_effects_log,
	&cli_cmd_changed_ns_list_log, &cli_cmd_ana_log, &cli_cmd_self_test_log,
	&cli_cmd_sanitize_log, &cli_cmd_resv_notif_log, &cli_cmd_endurance_log,
	&cli_cmd_supported_log_pages, &cli_cmd_get_log, &cli_cmd_get_feature,
	&cli_cmd_set_feature, &cli_cmd_show_regs,
	&cli_cmd_read,      &cli_cmd_write,    &cli_cmd_flush,     &cli_cmd_bench,
	&cli_cmd_rpc,       &cli_cmd_shutdown, &cli_cmd_version,   &cli_cmd_help,
	&cli_cmd_write_zeroes, &cli_cmd_write_uncor, &cli_cmd_compare, &cli_cmd_copy, &cli_cmd_dsm,
	&cli_cmd_verify, &cli_cmd_resv_register, &cli_cmd_resv_acquire, &cli_cmd_resv_release,
	&cli_cmd_resv_report, &cli_cmd_io_mgmt_send, &cli_cmd_io_mgmt_recv, &cli_cmd_zns,
	&cli_cmd_create_ns, &cli_cmd_delete_ns, &cli_cmd_attach_ns, &cli_cmd_detach_ns,
	&cli_cmd_format, &cli_cmd_sanitize, &cli_cmd_fw_download, &cli_cmd_fw_commit,
	&cli_cmd_device_self_test, &cli_cmd_security_send, &cli_cmd_security_recv,
	&cli_cmd_dir_send, &cli_cmd_dir_receive, &cli_cmd_admin_passthru, &cli_cmd_io_passthru,
	NULL,
};

static const struct cli_option program_options[] = {
	{"version", 'V', NULL, "print the version"},
	{0},
};

static const struct cli_command program = {
	.name = "",
	.usage = "COMMAND ...",
	.options = program_options,
	.max_args = -1,
	.stop_at_first = true,
};

static void put_error(const struct cli *cli, const char *text, const char *advice)
{
	const char *name = cli->command ? cli->command->name : NULL;

	fprintf(stderr, "nvmux: %s%s%s%s\n", name ? name : "", name ? ": " : "", text, advice);
}

void cli_error(const struct cli *cli, const char *format, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	put_error(cli, text, "");
}

int cli_usage_error(const struct cli *cli, const char *format, ...)
{
	char text[2048], advice[64];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(advice, sizeof(advice), "%s nvmux %s%s--help",
		 text[0] && text[strlen(text) - 1] == '?' ? " See" : "; see",
		 cli->command ? cli->command->name : "", cli->command ? " " : "");
	put_error(cli, text, advice);
	return CLI_USAGE;
}

/* Options that every command has. */
static int take_common(struct cli *cli, const struct cli_args *args)
{
	const char *format = cli_args_get(args, "output-format");
	const char *socket = cli_args_get(args, "socket");

	if (socket && !*socket)
		return cli_usage_error(cli, "--socket: the name is empty");
	if (socket)
		cli->socket = socket;
	if (!format)
		return CLI_OK;
	cli->binary = !strcmp(format, "binary") && cli->command && cli->command->binary;
	if (strcmp(format, "json") && strcmp(format, "normal") && !cli->binary)
		return cli_usage_error(
			cli, "--output-format: \"%s\" is neither json nor normal%s", format,
			cli->command && cli->command->binary ? " nor binary" : "");
	cli->json = !strcmp(format, "json");
	return CLI_OK;
}

static int unknown_command(const struct cli *cli, const char *word,
			   const struct cli_command *const *among)
{
	const char *meant = cli_suggest_command(word, among);

	return cli_usage_error(cli, "unknown command \"%s\"%s%s%s", word,
			       meant ? "; did you mean " : "", meant ? meant : "",
			       meant ? "?" : "");
}

static int run_one_of(struct cli *cli, const struct cli_command *const *among, int argc,
		      char **argv);

/* "zns help", "zns help open-zone". */
static int help_of_one(struct cli *cli, int argc, char **argv)
{
	const struct cli_command *found = cli->command;

	if (argc > 1)
		return cli_usage_error(cli, "unexpected argument \"%s\"", argv[1]);
	if (argc)
		found = cli_find_command(cli->command->subcommands, argv[0]);
	if (!found)
		return unknown_command(cli, argv[0], cli->command->subcommands);
	cli_help_command(stdout, found);
	return CLI_OK;
}

/* Parse and run @cli->command; argv[0] is its name. */
static int run_command(struct cli *cli, int argc, char **argv)
{
	struct cli_args args;
	char why[512];
	int code;

	if (cli_args_parse(&args, cli->command, argc, argv, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	if (cli_args_get(&args, "help")) {
		cli_help_command(stdout, cli->command);
		return CLI_OK;
	}
	code = take_common(cli, &args);
	if (code || !cli->command->subcommands)
		return code ? code : cli->command->run(cli, &args);
	if (!strcmp(args.positional[0], "help"))
		return help_of_one(cli, args.n_positional - 1, args.positional + 1);
	return run_one_of(cli, cli->command->subcommands, args.n_positional, args.positional);
}

/* argv[0] names one of these. */
static int run_one_of(struct cli *cli, const struct cli_command *const *among, int argc,
		      char **argv)
{
	const struct cli_command *found = cli_find_command(among, argv[0]);

	if (!found)
		return unknown_command(cli, argv[0], among);
	cli->command = found;
	return run_command(cli, argc, argv);
}

static int run_program(struct cli *cli, int argc, char **argv)
{
	struct cli_args args;
	char why[512];
	int code;

	if (cli_args_parse(&args, &program, argc, argv, why, sizeof(why)))
		return cli_usage_error(cli, "%s", why);
	if (cli_args_get(&args, "help")) {
		cli_help_program(stdout, commands);
		return CLI_OK;
	}
	if (cli_args_get(&args, "version")) {
		printf("nvmux %s\ntransports: %s\n", nvmux_version(), cli_transports());
		return CLI_OK;
	}
	code = take_common(cli, &args);
	if (code)
		return code;
	if (!args.n_positional)
		return cli_usage_error(cli, "which command?");
	return run_one_of(cli, commands, args.n_positional, args.positional);
}

int main(int argc, char **argv)
{
	struct cli cli = {.socket = NVMUX_DEFAULT_SOCKET, .commands = commands};
	int code;

	keep_standard_fds();
	/* Only how characters are classified: numbers look the same everywhere. */
	setlocale(LC_CTYPE, "");
	code = run_program(&cli, argc, argv);
	rpc_client_destroy(cli.rpc);
	return code ? code : cli_flush(&cli);
}
