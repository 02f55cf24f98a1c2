// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which driver a local controller has, changed through sysfs.
 *
 * To vfio-pci: check (class, IOMMU group, use) ──► driver_override ──► unbind ──► drivers_probe ──►
 * look. If the look finds another driver, the override is taken back and the former driver probed.
 * To the kernel: check (class, group not opened) ──► no driver_override ──► unbind ──►
 * drivers_probe ──► look.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/bind_use.h"

#define CLASS_NVME    0x010802u
#define CLASS_BRIDGE  0x06u /* base class */
#define VFIO_DRIVER   "vfio-pci"
#define KERNEL_DRIVER "nvme"
#define BIND_PATH_MAX 1024

struct bind_op {
	struct bind_env env;
	struct bind_report *report;
	char device[BIND_PATH_MAX / 2]; /* directory of the function in sysfs */
};

/* ---- attributes ---- */

static int write_attribute(void *arg, const char *path, const char *text)
{
	ssize_t n;
	int err = 0, fd = open(path, O_WRONLY | O_CLOEXEC);

	(void)arg;
	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n != (ssize_t)strlen(text))
		err = n < 0 ? -errno : -EIO;
	close(fd);
	return err;
}

static int put(struct bind_op *op, const char *path, const char *text)
{
	int err = op->env.write(op->env.arg, path, text);

	if (err)
		bind_why(op->report->why, err, "writing %s: %s", path, strerror(-err));
	return err;
}

static int read_class(const char *device, unsigned *ret)
{
	char path[BIND_PATH_MAX];
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "%.700s/class", device);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	n = fscanf(f, "%x", ret);
	fclose(f);
	return n == 1 ? 0 : -EIO;
}

/* The last component of a link's target; "" when there is no link. */
static void link_name(const char *dir, const char *name, char *ret, size_t size)
{
	char path[BIND_PATH_MAX], target[PATH_MAX];
	const char *slash;
	ssize_t n;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "%.700s/%.200s", dir, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(ret, size, "%.*s", (int)size - 1, slash ? slash + 1 : target);
}

/* ---- checks ---- */

/* Fill @op and the report, and look at what kind of function it is. */
static int begin(struct bind_op *op, const struct bind_env *env, const char *bdf,
		 struct bind_report *report)
{
	char group[32], *end;
	unsigned class = 0;
	int err;

	*report = (struct bind_report){.iommu_group = -1};
	*op = (struct bind_op){.report = report};
	if (env)
		op->env = *env;
	op->env.sysfs = op->env.sysfs ? op->env.sysfs : "/sys";
	op->env.proc = op->env.proc ? op->env.proc : "/proc";
	op->env.dev = op->env.dev ? op->env.dev : "/dev";
	op->env.write = op->env.write ? op->env.write : write_attribute;
	if (pci_address_parse(bdf, report->bdf))
		return bind_why(report->why, -EINVAL,
				"\"%.64s\" isn't a PCI address such as 0000:01:00.0", bdf);
	snprintf(op->device, sizeof(op->device), "%.400s/bus/pci/devices/%s", op->env.sysfs,
		 report->bdf);
	err = read_class(op->device, &class);
	if (err == -ENOENT)
		return bind_why(report->why, -ENODEV, "there is no such PCI function");
	if (err)
		return bind_why(report->why, err, "reading its class: %s", strerror(-err));
	if (class != CLASS_NVME)
		return bind_why(report->why, -EMEDIUMTYPE,
				"its class is %06x: not an NVMe controller (%06x)", class,
				CLASS_NVME);
	link_name(op->device, "driver", report->before, sizeof(report->before));
	snprintf(report->after, sizeof(report->after), "%s", report->before);
	link_name(op->device, "iommu_group", group, sizeof(group));
	report->iommu_group = (int)strtol(group, &end, 10);
	if (!group[0] || *end)
		report->iommu_group = -1;
	return 0;
}

/* Everything in a group reaches the same memory: it goes to one owner, or not at all. */
static int check_group(struct bind_op *op)
{
	struct bind_report *report = op->report;
	char path[BIND_PATH_MAX];
	struct dirent *entry;
	DIR *d;

	if (report->iommu_group < 0)
		return bind_why(
			report->why, -EOPNOTSUPP,
			"it has no IOMMU group: enable the IOMMU (firmware set-up; intel_iommu=on "
			"on the kernel's command line for Intel)");
	snprintf(path, sizeof(path), "%s/iommu_group/devices", op->device);
	d = opendir(path);
	if (!d)
		return bind_why(report->why, -errno, "%s: %s", path, strerror(errno));
	while ((entry = readdir(d))) {
		char other[BIND_PATH_MAX];
		unsigned class = 0;

		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, report->bdf))
			continue;
		snprintf(other, sizeof(other), "%.400s/bus/pci/devices/%.64s", op->env.sysfs,
			 entry->d_name);
		if (!read_class(other, &class) && class >> 16 == CLASS_BRIDGE)
			continue;
		bind_why(report->why, -EBUSY,
			 "its IOMMU group %d also holds %.64s (class %06x): the group can't be "
			 "given "
			 "away alone",
			 report->iommu_group, entry->d_name, class);
		closedir(d);
		return -EBUSY;
	}
	closedir(d);
	return 0;
}

/* A VFIO group can be open once: if it can be opened, nobody has it. */
static int check_group_closed(struct bind_op *op)
{
	char path[BIND_PATH_MAX];
	int fd;

	if (op->report->iommu_group < 0)
		return 0;
	snprintf(path, sizeof(path), "%.500s/vfio/%d", op->env.dev, op->report->iommu_group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (errno == EBUSY)
		return bind_why(op->report->why, -EBUSY,
				"a program drives it (%s is open): detach it first", path);
	return 0;
}

/* ---- changes ---- */

static void look(struct bind_op *op)
{
	link_name(op->device, "driver", op->report->after, sizeof(op->report->after));
	op->report->changed = strcmp(op->report->before, op->report->after) != 0;
}

static int unbind(struct bind_op *op)
{
	char path[BIND_PATH_MAX];

	look(op);
	if (!op->report->after[0])
		return 0;
	snprintf(path, sizeof(path), "%s/driver/unbind", op->device);
	return put(op, path, op->report->bdf);
}

static int override(struct bind_op *op, const char *driver)
{
	char path[BIND_PATH_MAX], text[BIND_DRIVER_MAX + 1];

	snprintf(path, sizeof(path), "%s/driver_override", op->device);
	snprintf(text, sizeof(text), "%s\n", driver); /* an empty line: none */
	return put(op, path, text);
}

static int probe(struct bind_op *op)
{
	char path[BIND_PATH_MAX];

	snprintf(path, sizeof(path), "%.500s/bus/pci/drivers_probe", op->env.sysfs);
	return put(op, path, op->report->bdf);
}

/* Override, unbind, probe. Ends with a look, whatever happens. */
static int change(struct bind_op *op, const char *override_with, const char *wanted)
{
	int err = override(op, override_with);

	if (!err)
		err = unbind(op);
	if (!err)
		err = probe(op);
	look(op);
	if (!err && strcmp(op->report->after, wanted))
		err = bind_why(op->report->why, -EIO, "%s didn't take it: it now has %s", wanted,
			       op->report->after[0] ? op->report->after : "no driver");
	return err;
}

/* Undo what change() did, keeping its error. */
static void restore(struct bind_op *op)
{
	char why[BIND_WHY_MAX];

	snprintf(why, sizeof(why), "%s", op->report->why);
	if (!override(op, "") && strcmp(op->report->after, op->report->before) && !unbind(op))
		probe(op);
	look(op);
	snprintf(op->report->why, sizeof(op->report->why), "%s", why);
}

static int check_module(struct bind_op *op)
{
	char path[BIND_PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%.500s/bus/pci/drivers/" VFIO_DRIVER, op->env.sysfs);
	if (stat(path, &st) == 0)
		return 0;
	return bind_why(op->report->why, -ENOENT, "the driver " VFIO_DRIVER " isn't loaded");
}

int bind_to_vfio(const struct bind_env *env, const char *bdf, struct bind_report *report)
{
	struct bind_claims *claims;
	struct bind_op op;
	int err = begin(&op, env, bdf, report);

	if (err || !strcmp(report->before, VFIO_DRIVER))
		return err;
	err = check_group(&op);
	if (!err)
		err = check_module(&op);
	if (err)
		return err;
	claims = calloc(1, sizeof(*claims));
	if (!claims)
		return bind_why(report->why, -ENOMEM, "out of memory");
	err = bind_claim(&op.env, op.device, claims, report->why);
	if (!err) {
		err = change(&op, VFIO_DRIVER, VFIO_DRIVER);
		if (err)
			restore(&op);
	}
	bind_claims_end(claims);
	free(claims);
	return err;
}

int bind_to_kernel(const struct bind_env *env, const char *bdf, struct bind_report *report)
{
	struct bind_op op;
	int err = begin(&op, env, bdf, report);

	if (err || !strcmp(report->before, KERNEL_DRIVER))
		return err;
	err = check_group_closed(&op);
	if (err)
		return err;
	return change(&op, "", KERNEL_DRIVER);
}
