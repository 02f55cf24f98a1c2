// SPDX-License-Identifier: BSD-3-Clause
/* smart-log and its like: log pages with a decoder, with nvme-cli's names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/device.h"
#include "cli/fields.h"
#include "cli/get_log.h"
#include "decode/log_json.h"
#include "libcore/util.h"

#define ANA_SIZE_MAX (4u << 20) /* what a controller may make us read */
#define ERROR_ENTRY  sizeof(struct nvme_error_log_page)

/* What the command line asks of a page. */
struct log_request {
	uint32_t nsid;
	struct nvmux_log_opts opts;
	size_t len;
	unsigned count; /* of entries that are shown */
	bool human;
};

struct log_verb {
	uint8_t lid;
	size_t len;  /* of the structure; 0: take() says it */
	bool retain; /* RAE, whatever the command line says */
	int (*take)(const struct cli_device *dev, const struct cli_args *args,
		    struct log_request *request, char *why, size_t why_size);
	json_t *(*decode)(const void *data, const struct log_request *request, const char *name);
};

int cli_read_log(struct cli_device *dev, uint8_t lid, uint32_t nsid,
		 const struct nvmux_log_opts *opts, void *buf, size_t len)
{
	int err;

	dev->done = false;
	err = nvmux_ctrlr_cmd_get_log_page(dev->ctrlr, lid, nsid, buf, (uint32_t)len, opts,
					   cli_device_done, dev);
	return cli_device_wait_admin(dev, "get log page", err, NULL);
}

static int run_log(struct cli *cli, const struct cli_args *args, const struct log_verb *verb)
{
	struct log_request request = {.nsid = UINT32_MAX, .len = verb->len};
	struct cli_device dev;
	void *data = NULL;
	char why[256];
	int code;

	request.opts.size = sizeof(request.opts);
	request.opts.clear = !verb->retain;
	request.human = cli_args_has(args, "human-readable") &&
			cli_args_get(args, "human-readable");
	code = cli_device_open(cli, args, 0, &dev);
	if (!code && verb->take && verb->take(&dev, args, &request, why, sizeof(why)))
		code = cli_usage_error(cli, "%s", why);
	if (!code) {
		data = calloc(1, request.len);
		code = data ? cli_read_log(&dev, verb->lid, request.nsid, &request.opts, data,
					  request.len)
			    : cli_device_error(&dev, "get log page", -ENOMEM);
	}
	if (!code)
		code = cli_show(cli, args, verb->decode(data, &request, dev.label), data,
				request.len);
	cli_device_close(&dev);
	free(data);
	return code;
}

/* ---- smart-log ---- */

static int take_nsid(const struct cli_device *dev, const struct cli_args *args,
		     struct log_request *request, char *why, size_t why_size)
{
	if (dev->nsid_given)
		request->nsid = dev->nsid;
	return 0;
}

static json_t *decode_smart(const void *data, const struct log_request *request, const char *name)
{
	return log_smart_json(data, request->human);
}

static int run_smart_log(struct cli *cli, const struct cli_args *args)
{
	static const struct log_verb verb = {.lid = NVME_LOG_LID_SMART,
					     .len = sizeof(struct nvme_smart_log),
					     .take = take_nsid,
					     .decode = decode_smart};

	return run_log(cli, args, &verb);
}

static const struct cli_option smart_options[] = {
	{"namespace-id", 'n', "NSID", "of this namespace (default: of the whole controller)"},
	CLI_RAW_OPTION,
	CLI_HUMAN_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const char *const smart_examples[] = {
	"nvmux smart-log nvme0",
	"nvmux smart-log nvme0 -o json",
	"nvmux smart-log nvme0 -b > smart.bin",
	NULL,
};

const struct cli_command cli_cmd_smart_log = {
	.name = "smart-log",
	.group = CLI_GROUP_READ,
	.summary = "SMART / health information",
	.usage = CLI_DEVICE_NS_USAGE " [-H|-b]",
	.description = "Temperatures, spare, wear, counters. Keys in JSON are nvme-cli's.",
	.options = smart_options,
	.examples = smart_examples,
	.max_args = 1,
	.binary = true,
	.run = run_smart_log,
};

/* ---- error-log ---- */

static int take_error(const struct cli_device *dev, const struct cli_args *args,
		      struct log_request *request, char *why, size_t why_size)
{
	unsigned has = nvmux_ctrlr_get_data(dev->ctrlr)->elpe + 1u;
	uint64_t entries = 64;

	if (cli_args_number(args, "log-entries", 1, 65535, &entries, why, why_size))
		return -EINVAL;
	request->count = entries < has ? (unsigned)entries : has;
	request->len = request->count * ERROR_ENTRY;
	return 0;
}

static json_t *decode_error(const void *data, const struct log_request *request, const char *name)
{
	return log_error_json(data, request->count);
}

static int run_error_log(struct cli *cli, const struct cli_args *args)
{
	static const struct log_verb verb = {
		.lid = NVME_LOG_LID_ERROR, .take = take_error, .decode = decode_error};

	return run_log(cli, args, &verb);
}

static const struct cli_option error_options[] = {
	{"log-entries", 'e', "COUNT", "at most so many (default 64; no more than there can be)"},
	CLI_RAW_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_error_log = {
	.name = "error-log",
	.group = CLI_GROUP_READ,
	.summary = "error information",
	.usage = CLI_DEVICE_USAGE " [-e COUNT] [-b]",
	.description = "The last commands that failed, newest first. Keys in JSON are nvme-cli's.",
	.options = error_options,
	.max_args = 1,
	.binary = true,
	.run = run_error_log,
};

/* ---- fw-log, changed-ns-list-log, resv-notif-log, supported-log-pages ---- */

static const struct cli_option raw_options[] = {
	CLI_RAW_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

static const struct cli_option plain_options[] = {
	CLI_DEVICE_OPTIONS,
	{0},
};

static json_t *decode_fw(const void *data, const struct log_request *request, const char *name)
{
	return log_fw_json(data, name);
}

static int run_fw_log(struct cli *cli, const struct cli_args *args)
{
	static const struct log_verb verb = {.lid = NVME_LOG_LID_FW_SLOT,
					     .len = sizeof(struct nvme_firmware_slot),
					     .decode = decode_fw};

	return run_log(cli, args, &verb);
}

const struct cli_command cli_cmd_fw_log = {
	.name = "fw-log",
	.group = CLI_GROUP_READ,
	.summary = "firmware slots",
	.usage = CLI_DEVICE_USAGE " [-b]",
	.description = "Which revision each slot holds and which is active. Keys in JSON are "
		       "nvme-cli's.",
	.options = raw_options,
	.max_args = 1,
	.binary = true,
	.run = run_fw_log,
};

static json_t *decode_changed(const void *data, const struct log_request *request,
			      const char *name)
{
	return log_changed_ns_json(data, name);
}

static int run_changed(struct cli *cli, const struct cli_args *args)
{
	static const struct log_verb verb = {.lid = NVME_LOG_LID_CHANGED_NS,
					     .len = sizeof(struct nvme_ns_list),
					     .retain = true,
					     .decode = decode_changed};

	return run_log(cli, args, &verb);
}

const struct cli_command cli_cmd_changed_ns_list_log = {
	.name = "changed-ns-list-log",
	.group = CLI_GROUP_READ,
	.summary = "namespaces that have changed",
	.usage = CLI_DEVICE_USAGE " [-b]",
	.description = "Since the page was last read with its event cleared, which this command "
		       "doesn't do: whoever drives the controller does. Keys in JSON are "
		       "nvme-cli's.",
	.options = raw_options,
	.max_args = 1,
	.binary = true,
	.run = run_changed,
};

static json_t *decode_resv(const void *data, const struct log_request *request, const char *name)
{
	return log_resv_json(data);
}

static int run_resv(struct cli *cli, const struct cli_args *args)
{
	static const struct log_verb verb = {.lid = NVME_LOG_LID_RESERVATION,
					     .len = sizeof(struct nvme_resv_notification_log),
					     .decode = decode_resv};

	return run_log(cli, args, &verb);
}

const struct cli_command cli_cmd_resv_notif_log = {
	.name = "resv-notif-log",
	.group = CLI_GROUP_READ,
	.summary = "reservation notification",
	.usage = CLI_DEVICE_USAGE,
	.description = "The oldest notification that hasn't been read. Keys in JSON are "
		       "nvme-cli's.",
	.options = plain_options,
	.max_args = 1,
	.binary = true,
	.run = run_resv,
};

static json_t *decode_supported(const void *data, const struct log_request *request,
				const char *name)
{
	return log_supported_json(data);
}

static int run_supported(struct cli *cli, const struct cli_args *args)
{
	static const struct log_verb verb = {.lid = NVME_LOG_LID_SUPPORTED_LOG_PAGES,
					     .len = sizeof(struct nvme_supported_log_pages),
					     .decode = decode_supported};

	return run_log(cli, args, &verb);
}

const struct cli_command cli_cmd_supported_log_pages = {
	.name = "supported-log-pages",
	.group = CLI_GROUP_READ,
	.summary = "the log pages that a controller has",
	.usage = CLI_DEVICE_USAGE,
	.description = "Log page 0h, of controllers since revision 2.0.",
	.options = plain_options,
	.max_args = 1,
	.binary = true,
	.run = run_supported,
};

/* ---- ana-log ---- */

#define LSP_GROUPS 1 /* without their namespaces */
#define ANA_FIXED  (1u << 6)

static int take_ana(const struct cli_device *dev, const struct cli_args *args,
		    struct log_request *request, char *why, size_t why_size)
{
	const struct nvme_id_ctrl *id = nvmux_ctrlr_get_data(dev->ctrlr);
	uint64_t len = sizeof(struct nvme_ana_log);
	bool groups = cli_args_get(args, "groups");

	len += (uint64_t)le32_to_cpu(id->nanagrpid) * sizeof(struct nvme_ana_group_desc);
	if (!groups)
		len += (uint64_t)(id->mnan ? le32_to_cpu(id->mnan) : le32_to_cpu(id->nn)) * 4;
	request->len = (size_t)MIN(len, (uint64_t)ANA_SIZE_MAX);
	request->opts.lsp = groups ? LSP_GROUPS : 0;
	return 0;
}

static json_t *decode_ana(const void *data, const struct log_request *request, const char *name)
{
	return log_ana_json(data, request->len, name);
}

static int run_ana_log(struct cli *cli, const struct cli_args *args)
{
	static const struct log_verb verb = {
		.lid = NVME_LOG_LID_ANA, .retain = true, .take = take_ana, .decode = decode_ana};

	return run_log(cli, args, &verb);
}

static const struct cli_option ana_options[] = {
	{"groups", 'g', NULL, "the groups alone, without their namespaces"},
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_ana_log = {
	.name = "ana-log",
	.group = CLI_GROUP_READ,
	.summary = "asymmetric namespace access",
	.usage = CLI_DEVICE_USAGE " [-g]",
	.description = "The ANA groups, their states and namespaces. Keys in JSON are nvme-cli's.",
	.options = ana_options,
	.max_args = 1,
	.binary = true,
	.run = run_ana_log,
};

/* ---- self-test-log ---- */

static int take_self_test(const struct cli_device *dev, const struct cli_args *args,
			  struct log_request *request, char *why, size_t why_size)
{
	uint64_t entries = NVME_LOG_ST_MAX_RESULTS;

	if (cli_args_number(args, "dst-entries", 0, NVME_LOG_ST_MAX_RESULTS, &entries, why,
			    why_size))
		return -EINVAL;
	request->count = (unsigned)entries;
	return 0;
}

static json_t *decode_self_test(const void *data, const struct log_request *request,
				const char *name)
{
	return log_self_test_json(data, request->count);
}

static int run_self_test_log(struct cli *cli, const struct cli_args *args)
{
	static const struct log_verb verb = {.lid = NVME_LOG_LID_DEVICE_SELF_TEST,
					     .len = sizeof(struct nvme_self_test_log),
					     .take = take_self_test,
					     .decode = decode_self_test};

	return run_log(cli, args, &verb);
}

static const struct cli_option self_test_options[] = {
	{"dst-entries", 'e', "COUNT", "at most so many results (default 20)"},
	{"verbose", 'v', NULL, "taken for nvme-cli's sake"},
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_self_test_log = {
	.name = "self-test-log",
	.group = CLI_GROUP_READ,
	.summary = "results of device self-tests",
	.usage = CLI_DEVICE_USAGE " [-e COUNT]",
	.description = "The test under way, with its progress in percent, and the last 20 results. "
		       "Keys in JSON are nvme-cli's.",
	.options = self_test_options,
	.max_args = 1,
	.binary = true,
	.run = run_self_test_log,
};

/* ---- sanitize-log ---- */

static int take_rae(const struct cli_device *dev, const struct cli_args *args,
		    struct log_request *request, char *why, size_t why_size)
{
	request->opts.clear = !cli_args_get(args, "rae");
	return 0;
}

static json_t *decode_sanitize(const void *data, const struct log_request *request,
			       const char *name)
{
	return log_sanitize_json(data, name);
}

static int run_sanitize_log(struct cli *cli, const struct cli_args *args)
{
	static const struct log_verb verb = {.lid = NVME_LOG_LID_SANITIZE,
					     .len = sizeof(struct nvme_sanitize_log_page),
					     .take = take_rae,
					     .decode = decode_sanitize};

	return run_log(cli, args, &verb);
}

static const struct cli_option sanitize_options[] = {
	{"rae", 'r', NULL, "don't clear the page's event; through nvmuxd that is always so"},
	CLI_RAW_OPTION,
	CLI_HUMAN_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_sanitize_log = {
	.name = "sanitize-log",
	.group = CLI_GROUP_READ,
	.summary = "how far a sanitize operation is, or how it ended",
	.usage = CLI_DEVICE_USAGE " [-r] [-H|-b]",
	.description = "sprog is the progress in 65536ths. Keys in JSON are nvme-cli's.",
	.options = sanitize_options,
	.max_args = 1,
	.binary = true,
	.run = run_sanitize_log,
};

/* ---- endurance-log ---- */

static int take_group(const struct cli_device *dev, const struct cli_args *args,
		      struct log_request *request, char *why, size_t why_size)
{
	uint64_t group = 0;

	if (cli_args_number(args, "group-id", 0, UINT16_MAX, &group, why, why_size))
		return -EINVAL;
	request->opts.lsi = (uint16_t)group;
	request->nsid = 0;
	return 0;
}

static json_t *decode_endurance(const void *data, const struct log_request *request,
				const char *name)
{
	return log_endurance_json(data);
}

static int run_endurance_log(struct cli *cli, const struct cli_args *args)
{
	static const struct log_verb verb = {.lid = NVME_LOG_LID_ENDURANCE_GROUP,
					     .len = sizeof(struct nvme_endurance_group_log),
					     .take = take_group,
					     .decode = decode_endurance};

	return run_log(cli, args, &verb);
}

static const struct cli_option endurance_options[] = {
	{"group-id", 'g', "ID", "the endurance group"},
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_endurance_log = {
	.name = "endurance-log",
	.group = CLI_GROUP_READ,
	.summary = "endurance group information",
	.usage = CLI_DEVICE_USAGE " -g ID",
	.description = "Wear and counters of an endurance group. Keys in JSON are nvme-cli's.",
	.options = endurance_options,
	.max_args = 1,
	.binary = true,
	.run = run_endurance_log,
};

/* ---- effects-log ---- */

#define CAP_CSS_SHIFT 37
#define CSS_NVM       (1u << 0)
#define CSS_CSI       (1u << 6)

/* One page; in JSON it becomes an entry of @list. */
static int read_effects(struct cli_device *dev, const struct cli_args *args, uint8_t csi,
			json_t *list)
{
	struct nvmux_log_opts opts = {.size = sizeof(opts), .csi = csi};
	struct nvme_cmd_effects_log log = {0};
	int code;

	code = cli_read_log(dev, NVME_LOG_LID_CMD_EFFECTS, UINT32_MAX, &opts, &log, sizeof(log));
	if (code)
		return code;
	if (cli_wants_binary(dev->cli, args))
		return cli_print_binary(dev->cli, &log, sizeof(log));
	json_array_append_new(list, log_effects_json(&log, csi));
	return CLI_OK;
}

static int read_all_effects(struct cli_device *dev, const struct cli_args *args, json_t *list)
{
	unsigned css = (unsigned)(nvmux_ctrlr_get_regs_cap(dev->ctrlr) >> CAP_CSS_SHIFT & 0xff);
	uint64_t csi = 0;
	char why[256];
	int code = CLI_OK;

	if (cli_args_number(args, "csi", 0, 255, &csi, why, sizeof(why)))
		return cli_usage_error(dev->cli, "%s", why);
	if (cli_args_get(args, "csi"))
		return read_effects(dev, args, (uint8_t)csi, list);
	if (css & CSS_NVM || !(css & CSS_CSI))
		code = read_effects(dev, args, NVME_CSI_NVM, list);
	if (!code && css & CSS_CSI)
		code = read_effects(dev, args, NVME_CSI_ZNS, list);
	return code;
}

static int run_effects_log(struct cli *cli, const struct cli_args *args)
{
	CLI_JSON *list = json_array();
	struct cli_device dev;
	int code;

	code = cli_device_open(cli, args, 0, &dev);
	if (!code)
		code = read_all_effects(&dev, args, list);
	if (!code && !cli_wants_binary(cli, args))
		code = cli_show(cli, args, json_incref(list), NULL, 0);
	cli_device_close(&dev);
	return code;
}

static const struct cli_option effects_options[] = {
	{"csi", 'c', "CSI", "of this command set (default: NVM, and zoned if there can be any)"},
	CLI_RAW_OPTION,
	CLI_HUMAN_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_effects_log = {
	.name = "effects-log",
	.group = CLI_GROUP_READ,
	.summary = "commands supported and their effects",
	.usage = CLI_DEVICE_USAGE " [-c CSI] [-H|-b]",
	.description =
		"The effects of each command as the specification's dword: CSUPP, LBCC, NCC, NIC, "
		"CCC in bits 0 to 4, CSE in bits 18:16. Keys in JSON are nvme-cli's.",
	.options = effects_options,
	.max_args = 1,
	.binary = true,
	.run = run_effects_log,
};
