// SPDX-License-Identifier: BSD-3-Clause
/*
 * sanitize, device-self-test: what the controller does by itself once it has been told to. How far
 * it is says a log. Base specification 2.0, sections 5.24, 5.9, 5.16.1.7, 5.16.1.19.
 *
 * Happy path: the question → the command → with --wait, the log again and again until the
 * operation has ended. Failures: a status; an operation that ended badly, which the exit code
 * tells; a signal: it goes on in the controller.
 */
#include <string.h>
#include <nvme/types.h>

#include "cli/progress.h"
#include "cli/verb.h"

#define POLL_MS   200
#define SPROG_ALL 65535u
#define NSID_ALL  0xffffffffu
#define STC_SHOW  0
#define STC_ABORT 0xf

/* ---- sanitize ---- */

/* A number, or nvme-cli's word for it. */
static int take_action(struct cli *cli, const struct cli_args *args, uint64_t *ret)
{
	static const struct {
		const char *name;
		uint64_t action;
	} names[] = {
		{"exit-failure", NVMUX_SANITIZE_EXIT_FAILURE},
		{"start-block-erase", NVMUX_SANITIZE_BLOCK_ERASE},
		{"start-overwrite", NVMUX_SANITIZE_OVERWRITE},
		{"start-crypto-erase", NVMUX_SANITIZE_CRYPTO_ERASE},
	};
	const char *text = cli_args_get(args, "sanact");

	for (size_t i = 0; text && i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i].name)) {
			*ret = names[i].action;
			return CLI_OK;
		}
	}
	if (text && !cli_parse_number(text, ret) && *ret >= 1 && *ret <= 4)
		return CLI_OK;
	return cli_usage_error(cli,
			       "--sanact: \"%s\"; 1 exit-failure, 2 start-block-erase, 3 "
			       "start-overwrite or 4 start-crypto-erase is wanted",
			       text ? text : "");
}

/* CLI_OK once it has ended well. */
static int wait_sanitized(struct cli_device *dev)
{
	struct nvme_sanitize_log_page log = {0};
	struct cli_progress progress;
	unsigned status = 0;
	int code;

	cli_progress_begin_percent(&progress);
	for (;;) {
		code = cli_get_log(dev, NVME_LOG_LID_SANITIZE, NSID_ALL, false, &log, sizeof(log));
		status = le16toh(log.sstat) & NVME_SANITIZE_SSTAT_STATUS_MASK;
		if (code || status != NVME_SANITIZE_SSTAT_STATUS_IN_PROGESS)
			break;
		cli_progress_update(&progress, le16toh(log.sprog) * 100ull / (SPROG_ALL + 1));
		if (!cli_pause(dev, POLL_MS)) {
			code = CLI_INTERRUPTED;
			break;
		}
	}
	cli_progress_end(&progress);
	if (code == CLI_INTERRUPTED)
		cli_error(dev->cli, "interrupted; the controller goes on sanitizing");
	if (code || status != NVME_SANITIZE_SSTAT_STATUS_COMPLETED_FAILED)
		return code;
	cli_error(dev->cli, "%s: the sanitize operation failed", dev->label);
	return CLI_FAILED;
}

/* False only if the log says that the last operation hasn't failed. */
static bool has_failed(struct cli_device *dev)
{
	struct nvme_sanitize_log_page log = {0};
	unsigned status;
	int code;

	dev->quiet = true;
	code = cli_get_log(dev, NVME_LOG_LID_SANITIZE, NSID_ALL, false, &log, sizeof(log));
	dev->quiet = false;
	status = le16toh(log.sstat) & NVME_SANITIZE_SSTAT_STATUS_MASK;
	return code || status == NVME_SANITIZE_SSTAT_STATUS_COMPLETED_FAILED;
}

static int send_sanitize(struct cli_device *dev, const struct nvmux_sanitize *s, bool wait)
{
	static const char *const names[] = {"", "failure mode left", "block erase", "overwrite",
					    "cryptographic erase"};
	bool starts = s->action != NVMUX_SANITIZE_EXIT_FAILURE;
	bool nothing = !starts && !has_failed(dev);
	int err, code;

	dev->done = false;
	err = nvmux_ctrlr_cmd_sanitize(dev->ctrlr, s, cli_device_done, dev);
	code = cli_device_wait_admin(dev, "sanitize", err, NULL);
	if (!code && wait && starts)
		code = wait_sanitized(dev);
	if (code)
		return code;
	return cli_report(
		dev, json_pack("{s:i, s:b}", "sanact", (int)s->action, "done", wait || !starts),
		"%s%s", nothing ? "there was no failure mode to leave" : names[s->action],
		!starts ? ""
		: wait  ? " done"
			: " begun; the sanitize log says how far it is");
}

static int run_sanitize(struct cli *cli, const struct cli_args *args)
{
	uint64_t action = 0, owpass = 0, pattern = 0;
	const struct cli_value values[] = {
		{"owpass", &owpass, 0, 15},
		{"ovrpat", &pattern, 0, UINT32_MAX},
		{0},
	};
	struct nvmux_sanitize s;
	struct cli_device dev;
	int code = take_action(cli, args, &action);

	if (!code)
		code = cli_values(cli, args, values);
	if (!code && action != NVMUX_SANITIZE_EXIT_FAILURE)
		code = cli_confirm(cli, args,
				   "sanitizing erases all data of all namespaces of the subsystem, "
				   "and can't be stopped");
	if (code)
		return code;
	s = (struct nvmux_sanitize){
		.action = (enum nvmux_sanitize_action)action,
		.ause = cli_args_get(args, "ause"),
		.owpass = (uint8_t)owpass,
		.oipbp = cli_args_get(args, "oipbp"),
		.no_dealloc = cli_args_get(args, "no-dealloc"),
		.pattern = (uint32_t)pattern,
	};
	code = cli_device_open(cli, args, 0, &dev);
	if (!code)
		code = send_sanitize(&dev, &s, cli_args_get(args, "wait"));
	cli_device_close(&dev);
	return code;
}

static const struct cli_option sanitize_options[] = {
	{"sanact", 'a', "ACTION",
	 "1 exit-failure, 2 start-block-erase, 3 start-overwrite, 4 start-crypto-erase; needed"},
	{"no-dealloc", 'd', NULL, "don't deallocate afterwards"},
	{"oipbp", 'i', NULL, "invert the pattern between passes of an overwrite"},
	{"owpass", 'n', "COUNT", "passes of an overwrite, 1 to 15, 0: 16 (default 0)"},
	{"ovrpat", 'p', "NUM", "32 bits that an overwrite writes (default 0)"},
	{"ause", 'u', NULL, "allow leaving the failure mode without success"},
	{"wait", 'w', NULL, "wait for the end, with progress on a terminal"},
	CLI_FORCE_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const sanitize_examples[] = {
	"nvmux sanitize nvme0 -a start-block-erase --wait",
	"nvmux sanitize nvme0 -a 3 --ovrpat 0x5a5a5a5a --owpass 1 --force",
	NULL,
};

const struct cli_command cli_cmd_sanitize = {
	.name = "sanitize",
	.group = CLI_GROUP_MANAGE,
	.summary = "erase all of a subsystem",
	.usage = CLI_VERB_USAGE " -a ACTION [--wait] [--force] ...",
	.description = "Sends Sanitize, which begins the operation: the controller goes on by "
		       "itself, also "
		       "after a reset, and refuses most commands until the end. It asks first; "
		       "where nobody "
		       "can be asked, --force is needed. Needs the admin right through the daemon.",
	.options = sanitize_options,
	.examples = sanitize_examples,
	.max_args = 1,
	.run = run_sanitize,
};

/* ---- device self-test ---- */

static const char *result_text(unsigned result)
{
	static const char *const texts[] = {
		"completed without error",
		"aborted by a self-test command",
		"aborted by a controller level reset",
		"aborted: a namespace was removed",
		"aborted by a format",
		"ended with a fatal or unknown error",
		"completed: a segment failed, which one isn't known",
		"completed: segments failed",
		"aborted for an unknown reason",
		"aborted by a sanitize operation",
	};

	return result < sizeof(texts) / sizeof(texts[0]) ? texts[result] : "no result";
}

static int get_test_log(struct cli_device *dev, struct nvme_self_test_log *log)
{
	return cli_get_log(dev, NVME_LOG_LID_DEVICE_SELF_TEST, NSID_ALL, false, log, sizeof(*log));
}

static int show_test(struct cli_device *dev)
{
	struct nvme_self_test_log log = {0};
	int code = get_test_log(dev, &log);
	unsigned operation = log.current_operation & 0xf, done = log.completion & 0x7f;

	if (code)
		return code;
	return cli_report(dev,
			  json_pack("{s:i, s:i}", "Current Device Self-Test Operation",
				    (int)operation, "Current Device Self-Test Completion",
				    (int)done),
			  operation ? "a%s self-test is %u %% done" : "no self-test in progress",
			  operation == 1   ? " short"
			  : operation == 2 ? "n extended"
					   : " vendor's",
			  done);
}

/* CLI_OK once it has ended and found nothing. */
static int wait_tested(struct cli_device *dev)
{
	struct nvme_self_test_log log = {0};
	struct cli_progress progress;
	unsigned result;
	int code;

	cli_progress_begin_percent(&progress);
	while (!(code = get_test_log(dev, &log)) && log.current_operation & 0xf) {
		cli_progress_update(&progress, log.completion & 0x7f);
		if (!cli_pause(dev, POLL_MS)) {
			code = CLI_INTERRUPTED;
			break;
		}
	}
	cli_progress_end(&progress);
	if (code == CLI_INTERRUPTED)
		cli_error(dev->cli, "interrupted; the test goes on");
	if (code)
		return code;
	result = log.result[0].dsts & 0xf;
	if (result) {
		cli_error(dev->cli, "%s: the self-test %s", dev->label, result_text(result));
		return CLI_FAILED;
	}
	return cli_report(dev, json_pack("{s:i}", "result", (int)result), "the self-test %s",
			  result_text(result));
}

static int send_test(struct cli_device *dev, uint32_t nsid, uint8_t stc, bool wait)
{
	int err, code;

	if (stc == STC_SHOW)
		return show_test(dev);
	dev->done = false;
	err = nvmux_ctrlr_cmd_self_test(dev->ctrlr, nsid, stc, cli_device_done, dev);
	code = cli_device_wait_admin(dev, "device self-test", err, NULL);
	if (code)
		return code;
	if (stc == STC_ABORT)
		return cli_report(dev, NULL, "the self-test was aborted");
	if (wait)
		return wait_tested(dev);
	return cli_report(dev, NULL, "the self-test has begun; -s 0 says how far it is");
}

static int run_self_test(struct cli *cli, const struct cli_args *args)
{
	uint64_t stc = STC_SHOW;
	const struct cli_value values[] = {{"self-test-code", &stc, 0, 15}, {0}};
	struct cli_device dev;
	int code = cli_values(cli, args, values);

	if (!code && stc > 2 && stc < 14)
		code = cli_usage_error(cli, "--self-test-code: %llu; 0, 1, 2, 14 or 15 is wanted",
				       (unsigned long long)stc);
	if (code)
		return code;
	code = cli_device_open(cli, args, 0, &dev);
	if (!code)
		code = send_test(&dev, dev.nsid_given ? dev.nsid : NSID_ALL, (uint8_t)stc,
				 cli_args_get(args, "wait"));
	cli_device_close(&dev);
	return code;
}

static const struct cli_option self_test_options[] = {
	{"namespace-id", 'n', "NSID",
	 "namespace to test as well, 0: none (default: that of CTRL/NSID, or all)"},
	{"self-test-code", 's', "NUM",
	 "0 show the state, 1 short test, 2 extended test, 14 vendor's, 15 abort (default 0)"},
	{"wait", 'w', NULL, "wait for the end, with progress on a terminal"},
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const self_test_examples[] = {
	"nvmux device-self-test nvme0 -s 1 --wait",
	"nvmux device-self-test nvme0",
	NULL,
};

const struct cli_command cli_cmd_device_self_test = {
	.name = "device-self-test",
	.group = CLI_GROUP_MANAGE,
	.summary = "have the controller test itself",
	.usage = CLI_VERB_NS_USAGE " [-s NUM] [--wait]",
	.description = "Sends Device Self-test, which begins or aborts one. With --wait the exit "
		       "code is 3 unless it completed without error. Needs the admin right through "
		       "the daemon.",
	.options = self_test_options,
	.examples = self_test_examples,
	.max_args = 1,
	.run = run_self_test,
};
