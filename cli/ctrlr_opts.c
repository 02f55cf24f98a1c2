// SPDX-License-Identifier: BSD-3-Clause
/* Options of a controller, from words on the command line. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "cli/ctrlr_opts.h"

#define LOSS_MAX_SEC (30 * 24 * 3600)
#define WAIT_MAX_SEC 3600

/* Options that are numbers: limits, and place in the structure (each has four bytes there). */
static const struct row {
	const char *option;
	const char *param;
	int64_t min, max;
	size_t offset;
	bool fabrics;
} rows[] = {
#define ROW(option, member, min, max, fabrics) \
	{option, #member, min, max, offsetof(struct nvmux_ctrlr_opts, member), fabrics}
	ROW("num-io-queues", num_io_queues, 1, 65535, false),
	ROW("io-queue-depth", io_queue_depth, 2, 65536, false),
	ROW("admin-queue-depth", admin_queue_depth, 16, 4096, false),
	ROW("io-timeout-ms", io_timeout_ms, 0, WAIT_MAX_SEC * 1000, false),
	ROW("removal-timeout-ms", removal_timeout_ms, 0, 600000, false),
	ROW("retry-count", retry_count, 0, 255, false),
	ROW("arbitration", arbitration, 0, 1, false),
	ROW("arbitration-burst", arbitration_burst, 0, 7, false),
	ROW("low-weight", low_weight, 1, 256, false),
	ROW("medium-weight", medium_weight, 1, 256, false),
	ROW("high-weight", high_weight, 1, 256, false),
	ROW("reconnect-delay-sec", reconnect_delay_sec, 1, WAIT_MAX_SEC, true),
	ROW("fast-io-fail-timeout-sec", fast_io_fail_timeout_sec, -1, LOSS_MAX_SEC, true),
	ROW("ctrlr-loss-timeout-sec", ctrlr_loss_timeout_sec, -1, LOSS_MAX_SEC, true),
	ROW("keep-alive-timeout-ms", keep_alive_timeout_ms, 0, WAIT_MAX_SEC * 1000, true),
	ROW("command-quiesce-time-ms", command_quiesce_time_ms, 0, WAIT_MAX_SEC * 1000, true),
	ROW("path-retry-timeout-ms", path_retry_timeout_ms, 0, WAIT_MAX_SEC * 1000, true),
	ROW("transport-ack-timeout", transport_ack_timeout, 0, 31, true),
#undef ROW
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static const char *given(const struct cli_args *args, const char *option)
{
	return cli_args_has(args, option) ? cli_args_get(args, option) : NULL;
}

/* nvme-cli's keep-alive time is in seconds. */
static int take_seconds(const struct cli_args *args, struct nvmux_ctrlr_opts *opts, char *why,
			size_t why_size)
{
	uint64_t sec = 0;

	if (!given(args, "keep-alive-tmo"))
		return 0;
	if (given(args, "keep-alive-timeout-ms"))
		return cli_refuse(
			why, why_size,
			"--keep-alive-tmo and --keep-alive-timeout-ms say the same thing: "
			"give one of them");
	if (cli_args_number(args, "keep-alive-tmo", 0, WAIT_MAX_SEC, &sec, why, why_size))
		return -EINVAL;
	opts->keep_alive_timeout_ms = (uint32_t)sec * 1000;
	return 0;
}

/* One time of recovery must not be longer than another. */
static int check_pair(const struct cli_args *args, const char *shorter, int64_t shorter_sec,
		      const char *longer, int64_t longer_sec, char *why, size_t why_size)
{
	if (shorter_sec <= longer_sec)
		return 0;
	return cli_refuse(why, why_size,
			  "--%s is %lld, longer than --%s, which is %lld: the times must be in the "
			  "order reconnect delay, fast I/O fail, controller loss",
			  cli_args_name(args, shorter), (long long)shorter_sec,
			  cli_args_name(args, longer), (long long)longer_sec);
}

static int check_order(const struct cli_args *args, const struct nvmux_ctrlr_opts *o, char *why,
		       size_t why_size)
{
	static const char delay_name[] = "reconnect-delay-sec";
	static const char fast_name[] = "fast-io-fail-timeout-sec";
	static const char loss_name[] = "ctrlr-loss-timeout-sec";
	int64_t delay = o->reconnect_delay_sec, fast = o->fast_io_fail_timeout_sec;
	int64_t loss = o->ctrlr_loss_timeout_sec;
	int err = 0;

	if (fast > 0)
		err = check_pair(args, delay_name, delay, fast_name, fast, why, why_size);
	if (!err && loss > 0)
		err = check_pair(args, delay_name, delay, loss_name, loss, why, why_size);
	if (!err && fast > 0 && loss >= 0)
		err = check_pair(args, fast_name, fast, loss_name, loss, why, why_size);
	return err;
}

static int take_host(const struct cli_args *args, struct nvmux_ctrlr_opts *opts, char *why,
		     size_t why_size)
{
	const char *nqn = given(args, "hostnqn"), *id = given(args, "hostid");
	const char *wrong = nqn ? nvmux_nqn_check(nqn) : NULL;

	if (wrong)
		return cli_refuse(why, why_size, "--hostnqn: \"%s\" isn't an NQN: %s", nqn, wrong);
	if (id && nvmux_hostid_parse(id, opts->hostid))
		return cli_refuse(why, why_size,
				  "--hostid: \"%s\" isn't a UUID such as "
				  "12345678-1234-1234-1234-123456789abc",
				  id);
	if (nqn)
		strcpy(opts->hostnqn, nqn);
	return 0;
}

int cli_ctrlr_opts_from_args(const struct cli_args *args, const struct nvmux_trid *trid,
			     struct nvmux_ctrlr_opts *opts, char *why, size_t why_size)
{
	struct nvmux_ctrlr_opts taken = *opts;
	int err;

	for (size_t i = 0; i < N_ROWS; i++) {
		const struct row *row = &rows[i];
		int64_t value = 0;
		uint32_t word;

		if (!given(args, row->option))
			continue;
		if (row->fabrics && trid->trtype != NVMUX_TRTYPE_RDMA)
			return cli_refuse_local(args, row->option, why, why_size);
		if (cli_args_integer(args, row->option, row->min, row->max, &value, why, why_size))
			return -EINVAL;
		word = (uint32_t)value;
		memcpy((uint8_t *)&taken + row->offset, &word, sizeof(word));
	}
	if (given(args, "keep-alive-tmo") && trid->trtype != NVMUX_TRTYPE_RDMA)
		return cli_refuse_local(args, "keep-alive-tmo", why, why_size);
	err = take_seconds(args, &taken, why, why_size);
	if (!err)
		err = check_order(args, &taken, why, why_size);
	if (!err)
		err = take_host(args, &taken, why, why_size);
	if (!err)
		*opts = taken;
	return err;
}

void cli_ctrlr_opts_to_json(const struct cli_args *args, const struct nvmux_ctrlr_opts *opts,
			    json_t *object)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		const struct row *row = &rows[i];
		int32_t value;

		if (!given(args, row->option))
			continue;
		memcpy(&value, (const uint8_t *)opts + row->offset, sizeof(value));
		json_object_set_new(object, row->param, json_integer(value));
	}
	if (given(args, "keep-alive-tmo"))
		json_object_set_new(object, "keep_alive_timeout_ms",
				    json_integer(opts->keep_alive_timeout_ms));
	if (given(args, "hostnqn"))
		json_object_set_new(object, "hostnqn", json_string(given(args, "hostnqn")));
	if (given(args, "hostid"))
		json_object_set_new(object, "hostid", json_string(given(args, "hostid")));
}
