/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving a local NVMe controller between the kernel's nvme driver and vfio-pci.
 *
 * Everything is asked of sysfs and proc, below roots that can be set, so that it can be tried on a
 * copy of these trees. Needs root for the real ones.
 */
#ifndef NVMUX_CLI_BIND_H
#define NVMUX_CLI_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include "libcore/util.h"

#define BIND_DRIVER_MAX 64
#define BIND_WHY_MAX    512

/* Where to look and how to write; a NULL pointer or member stands for the real thing. */
struct bind_env {
	const char *sysfs; /* "/sys" */
	const char *proc;  /* "/proc" */
	const char *dev;   /* "/dev" */
	/* Write @text into the attribute @path; 0 or a negative errno value. */
	int (*write)(void *arg, const char *path, const char *text);
	void *arg;
};

/* What was found and done. */
struct bind_report {
	char bdf[PCI_ADDRESS_SIZE];   /* the address in its full form */
	char before[BIND_DRIVER_MAX]; /* driver before; empty: none */
	char after[BIND_DRIVER_MAX];  /* driver now; empty: none */
	int iommu_group;              /* -1: none */
	bool changed;                 /* false: it was already there */
	char why[BIND_WHY_MAX];       /* the reason of a failure, one sentence for a person */
};


/*
 * Give the controller to vfio-pci. Nothing is changed when it fails: the former driver is
 * back then, unless report->after says otherwise.
 *
 * -EINVAL (no PCI address), -ENODEV (no such function), -EMEDIUMTYPE (not an NVMe controller),
 * -EBUSY (mounted, swap, held by dm, md, btrfs, …, or other devices in its IOMMU group),
 * -EOPNOTSUPP (no IOMMU group), -ENOENT (vfio-pci isn't loaded), -EACCES/-EPERM (not root), -EIO
 * (the driver didn't take it). @report is filled as far as it is known, also on failure.
 */
int bind_to_vfio(const struct bind_env *env, const char *bdf, struct bind_report *report);

/*
 * Give it back to the kernel's nvme driver. As above; -EBUSY when somebody has its VFIO group open.
 */
int bind_to_kernel(const struct bind_env *env, const char *bdf, struct bind_report *report);

#endif
