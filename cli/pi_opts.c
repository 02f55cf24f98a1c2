// SPDX-License-Identifier: BSD-3-Clause
/* Options of commands that name blocks. NVM command set 1.0, sections 3.2 and 5.2. */
#include "cli/pi_opts.h"

#define LIMITED_RETRY (1u << 31)
#define FUA           (1u << 30)
#define PRINFO_SHIFT  26

int cli_pi_from_args(struct cli *cli, const struct cli_args *args, struct cli_pi *ret)
{
	struct cli_pi pi = {
		.limited_retry = cli_args_get(args, "limited-retry"),
		.fua = cli_args_get(args, "force-unit-access"),
		.ref_tag_given = cli_args_get(args, "ref-tag"),
	};
	const struct cli_value values[] = {
		{"prinfo", &pi.prinfo, 0, 15},
		{"ref-tag", &pi.ref_tag, 0, UINT32_MAX},
		{"app-tag", &pi.app_tag, 0, UINT16_MAX},
		{"app-tag-mask", &pi.app_tag_mask, 0, UINT16_MAX},
		{0},
	};
	int code = cli_values(cli, args, values);

	if (code)
		return code;
	if (cli_args_has(args, "storage-tag") &&
	    (cli_args_get(args, "storage-tag") || cli_args_get(args, "storage-tag-check")))
		return cli_usage_error(cli, "--%s: namespaces with storage tags aren't supported",
				       cli_args_get(args, "storage-tag") ? "storage-tag"
									 : "storage-tag-check");
	*ret = pi;
	return CLI_OK;
}

void cli_pi_put(const struct cli_pi *pi, const struct nvmux_ns *ns, uint64_t first, uint64_t lba,
		struct nvmux_cmd *cmd)
{
	enum nvmux_pi_type type = nvmux_ns_get_pi_type(ns);
	uint32_t ref_tag = (uint32_t)pi->ref_tag;

	/* With types 1 and 2 it counts with the blocks. */
	if (type == NVMUX_PI_TYPE1 || type == NVMUX_PI_TYPE2)
		ref_tag = pi->ref_tag_given ? ref_tag + (uint32_t)(lba - first) : (uint32_t)lba;
	cmd->cdw12 |= htole32((uint32_t)pi->prinfo << PRINFO_SHIFT | (pi->fua ? FUA : 0) |
			      (pi->limited_retry ? LIMITED_RETRY : 0));
	cmd->cdw14 = htole32(ref_tag);
	cmd->cdw15 = htole32((uint32_t)pi->app_tag_mask << 16 | (uint32_t)pi->app_tag);
}
