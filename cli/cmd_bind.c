// SPDX-License-Identifier: BSD-3-Clause
/* bind, unbind: which driver a local controller has. Done here, as root, not by the daemon. */
#include <errno.h>
#include <string.h>

#include "cli/bind.h"
#include "cli/cli.h"

static const char *driver_name(const char *driver)
{
	return *driver ? driver : "no driver";
}

static int report_failure(const struct cli *cli, const char *address, int err,
			  const struct bind_report *report)
{
	const char *advice = "";

	if (err == -EACCES || err == -EPERM)
		advice = "; run it as root";
	else if (err == -ENOENT)
		advice = "; modprobe vfio-pci";
	cli_error(cli, "%s: %s%s", *report->bdf ? report->bdf : address,
		  *report->why ? report->why : strerror(-err), advice);
	return err == -EINVAL ? CLI_USAGE : CLI_FAILED;
}

static int print_report(const struct cli *cli, const struct bind_report *r)
{
	CLI_JSON *value = NULL;

	if (cli->json) {
		value = json_pack("{s:s, s:s, s:s, s:i, s:b}", "traddr", r->bdf, "before",
				  r->before, "driver", r->after, "iommu_group", r->iommu_group,
				  "changed", r->changed);
		return cli_print_json(cli, value);
	}
	if (r->changed)
		printf("%s: %s -> %s\n", r->bdf, driver_name(r->before), driver_name(r->after));
	else
		printf("%s: already with %s\n", r->bdf, driver_name(r->after));
	return CLI_OK;
}

static int change_driver(struct cli *cli, const struct cli_args *args,
			 int (*change)(const struct bind_env *, const char *, struct bind_report *))
{
	struct bind_report report = {.iommu_group = -1};
	const char *address = args->positional[0];
	int err = change(NULL, address, &report);

	return err ? report_failure(cli, address, err, &report) : print_report(cli, &report);
}

static int run_bind(struct cli *cli, const struct cli_args *args)
{
	return change_driver(cli, args, bind_to_vfio);
}

static int run_unbind(struct cli *cli, const struct cli_args *args)
{
	return change_driver(cli, args, bind_to_kernel);
}

static const char *const bind_examples[] = {"nvmux bind 0000:01:00.0", NULL};
static const char *const unbind_examples[] = {"nvmux unbind 01:00.0", NULL};

const struct cli_command cli_cmd_bind = {
	.name = "bind",
	.summary = "give a local controller to vfio-pci, so that nvmux can drive it",
	.usage = "ADDRESS",
	.description =
		"Takes the NVMe function at the PCI address from the kernel's driver. Refused "
		"while one of its namespaces or their partitions is mounted, is swap, is opened by "
		"a process, or is held by another device, and while its IOMMU group also has a "
		"device that isn't a bridge. If anything fails, the former driver "
		"gets it back.\n\n"
		"Needs root, an IOMMU and the module vfio-pci; doesn't need the daemon.",
	.examples = bind_examples,
	.min_args = 1,
	.max_args = 1,
	.run = run_bind,
};

const struct cli_command cli_cmd_unbind = {
	.name = "unbind",
	.summary = "give a local controller back to the kernel's nvme driver",
	.usage = "ADDRESS",
	.description = "The opposite of bind. Refused while somebody drives the function: nvmux "
		       "detach first.\n\nNeeds root; doesn't need the daemon.",
	.examples = unbind_examples,
	.min_args = 1,
	.max_args = 1,
	.run = run_unbind,
};
