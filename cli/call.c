// SPDX-License-Identifier: BSD-3-Clause
/* Calls of the daemon's methods, and what to say when one fails. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "rpc/client.h"

static int connect_daemon(struct cli *cli)
{
	return cli->rpc ? 0 : rpc_client_connect(cli->socket, &cli->rpc);
}

static int report_no_daemon(const struct cli *cli, int err)
{
	if (err == -ENOENT || err == -ECONNREFUSED)
		cli_error(cli, "no daemon at %s: %s; start nvmuxd, or give its socket with -S",
			  cli->socket, strerror(-err));
	else if (err == -EACCES || err == -EPERM)
		cli_error(cli,
			  "%s: %s; only the socket's owner and group may connect: join the group, "
			  "or become root",
			  cli->socket, strerror(-err));
	else
		cli_error(cli, "%s: %s; is this nvmuxd's socket?", cli->socket, strerror(-err));
	return CLI_NO_DAEMON;
}

/* Call a method; what comes back with it beyond the result is dropped. */
static int call(struct cli *cli, const char *method, json_t *params, json_t **ret,
		json_t **ret_error, char *why, size_t why_size)
{
	int fds[RPC_FDS_MAX];
	unsigned n_fds = 0;
	int err;

	*ret_error = NULL;
	err = rpc_client_call(cli->rpc, method, params, -1, ret, ret_error, fds, &n_fds, why,
			      why_size);
	if (!err) {
		while (n_fds)
			close(fds[--n_fds]);
	}
	return err;
}

int cli_connect(struct cli *cli)
{
	int err = connect_daemon(cli);

	return err ? report_no_daemon(cli, err) : CLI_OK;
}

int cli_try(struct cli *cli, const char *method, json_t *params, json_t **ret, char *why,
	    size_t why_size)
{
	CLI_JSON *error = NULL;
	char text[512] = "";
	int err;

	err = connect_daemon(cli);
	if (err)
		json_decref(params);
	else
		err = call(cli, method, params, ret, &error, text, sizeof(text));
	if (err)
		cli_printable(*text ? text : strerror(-err), why, why_size);
	return err;
}

int cli_call_quietly(struct cli *cli, const char *method, json_t *params, json_t **ret)
{
	char why[512];

	return cli_try(cli, method, params, ret, why, sizeof(why));
}

bool cli_report_unknown(struct cli *cli, const char *name)
{
	CLI_JSON *list = NULL;
	const char *names[65] = {0};
	char known[1024] = "";
	const char *meant;
	json_t *entry;
	size_t i, len = 0;

	if (cli_call_quietly(cli, "get_controllers", NULL, &list))
		return false;
	json_array_foreach(list, i, entry) {
		const char *one = cli_json_string(entry, "name");

		if (!strcmp(one, name))
			return false;
		if (i < 64)
			names[i] = one;
		if (len < sizeof(known))
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
						len ? ", " : "", one);
	}
	if (!json_array_size(list)) {
		cli_error(cli, "no controller \"%s\": the daemon has none; nvmux attach adds one",
			  name);
		return true;
	}
	meant = cli_suggest(name, names);
	cli_error(cli, "no controller \"%s\"; %s%s%sknown: %s", name,
		  meant ? "did you mean " : "", meant ? meant : "", meant ? "? " : "", known);
	return true;
}

/* The method is often the command, which stands at the beginning of the line already. */
static const char *without_command(const struct cli *cli, const char *text)
{
	size_t len = strlen(cli->command->name);

	return !strncmp(text, cli->command->name, len) && !strncmp(text + len, ": ", 2)
		       ? text + len + 2
		       : text;
}

static int report_failure(struct cli *cli, int err, const json_t *error, const char *why)
{
	char text[512];

	if (!error) {
		cli_error(cli, "%s: %s; has nvmuxd ended? Its log says why", cli->socket,
			  *why ? why : strerror(-err));
		return CLI_NO_DAEMON;
	}
	cli_printable(without_command(cli, why), text, sizeof(text));
	switch (cli_json_integer(error, "code")) {
	case RPC_NVME_STATUS:
		cli_error(cli, "%s", text);
		return CLI_IO_ERROR;
	case RPC_ACCESS_DENIED:
		cli_error(cli, "%s; nvmuxd's configuration says who may do what", text);
		break;
	case RPC_LIMIT:
		cli_error(cli, "%s; nvmux status shows the limits", text);
		break;
	case RPC_METHOD_NOT_FOUND:
		cli_error(cli, "%s; nvmux rpc rpc.discover lists the daemon's methods", text);
		break;
	default:
		cli_error(cli, "%s", text);
		break;
	}
	return CLI_FAILED;
}

int cli_call(struct cli *cli, const char *method, json_t *params, const char *object, json_t **ret)
{
	CLI_JSON *error = NULL;
	char why[512] = "";
	int err;

	err = connect_daemon(cli);
	if (err) {
		json_decref(params);
		return report_no_daemon(cli, err);
	}
	err = call(cli, method, params, ret, &error, why, sizeof(why));
	if (!err)
		return CLI_OK;
	if (object && error && cli_report_unknown(cli, object))
		return CLI_FAILED;
	return report_failure(cli, err, error, why);
}

/* ---- a call that a signal ends ---- */

struct answer {
	bool done;
	int err;
	json_t *result, *error;
	char why[512];
};

static void answered(void *arg, struct rpc_response *response)
{
	struct answer *answer = arg;

	answer->done = true;
	answer->err = response->err;
	answer->result = json_incref(response->result);
	answer->error = json_incref(response->error);
	snprintf(answer->why, sizeof(answer->why), "%s", response->text);
}

/* Until the answer is there, the connection is dead, or a signal has come. */
static void wait_for(struct rpc_client *rpc, const struct answer *answer, const sigset_t *before)
{
	while (!answer->done && !cli_interrupted() && !rpc_client_process(rpc) && !answer->done) {
		struct pollfd fd = {.fd = rpc_client_fd(rpc), .events = POLLIN};

		if (rpc_client_wants_write(rpc))
			fd.events |= POLLOUT;
		cli_interrupt_wait(&fd, before);
	}
}

int cli_call_or_interrupt(struct cli *cli, const char *method, json_t *params, json_t **ret)
{
	struct answer answer = {0};
	CLI_JSON *error = NULL;
	sigset_t before;
	int err;

	err = connect_daemon(cli);
	if (err) {
		json_decref(params);
		return report_no_daemon(cli, err);
	}
	cli_interrupt_block(&before);
	err = rpc_client_call_async(cli->rpc, method, params, answered, &answer);
	if (!err)
		wait_for(cli->rpc, &answer, &before);
	cli_interrupt_unblock(&before);
	if (err)
		return report_failure(cli, err, NULL, strerror(-err));
	if (!answer.done) {
		/* This ends the call, before what it would write to is gone. */
		rpc_client_destroy(cli->rpc);
		cli->rpc = NULL;
		return CLI_INTERRUPTED;
	}
	error = answer.error;
	if (answer.err)
		return report_failure(cli, answer.err, error, answer.why);
	*ret = answer.result;
	return CLI_OK;
}
