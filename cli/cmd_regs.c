// SPDX-License-Identifier: BSD-3-Clause
/* show-regs: the controller's registers as far as the library has them. */
#include "cli/device.h"
#include "cli/fields.h"
#include "decode/fields.h"

static int run_show_regs(struct cli *cli, const struct cli_args *args)
{
	struct cli_device dev;
	json_t *regs;
	int code;

	code = cli_device_open(cli, args, 0, &dev);
	if (!code) {
		regs = json_pack(
			"{s:o,s:I,s:I,s:I,s:I,s:I,s:I}", "cap",
			decode_uint_json(nvmux_ctrlr_get_regs_cap(dev.ctrlr)), "vs",
			(json_int_t)nvmux_ctrlr_get_regs_vs(dev.ctrlr), "cc",
			(json_int_t)nvmux_ctrlr_get_regs_cc(dev.ctrlr), "csts",
			(json_int_t)nvmux_ctrlr_get_regs_csts(dev.ctrlr), "cmbsz",
			(json_int_t)nvmux_ctrlr_get_regs_cmbsz(dev.ctrlr), "bpinfo",
			(json_int_t)nvmux_ctrlr_get_regs_bpinfo(dev.ctrlr), "pmrcap",
			(json_int_t)nvmux_ctrlr_get_regs_pmrcap(dev.ctrlr));
		code = cli_show(cli, args, regs, NULL, 0);
	}
	cli_device_close(&dev);
	return code;
}

static const struct cli_option show_regs_options[] = {
	CLI_HUMAN_OPTION,
	CLI_DEVICE_OPTIONS,
	{0},
};

const struct cli_command cli_cmd_show_regs = {
	.name = "show-regs",
	.group = CLI_GROUP_READ,
	.summary = "registers of a controller",
	.usage = CLI_DEVICE_USAGE " [-H]",
	.description =
		"CAP, VS, CC, CSTS, CMBSZ, BPINFO and PMRCAP, as read when the controller was "
		"started. Keys in JSON are nvme-cli's; the registers that hold addresses and "
		"interrupt masks aren't shown.",
	.options = show_regs_options,
	.max_args = 1,
	.run = run_show_regs,
};
