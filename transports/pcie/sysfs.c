// SPDX-License-Identifier: BSD-3-Clause
/* What sysfs says of local functions: which ones are ours to take, and their IOMMU groups. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libcore/numa.h"
#include "pcie_int.h"

#define PCIE_SCAN_MAX 4096 /* functions looked at */
#define PCIE_PATH_MAX 512

static const struct pcie_paths pcie_default_paths = {.sysfs = "/sys", .dev = "/dev"};

const struct pcie_paths *pcie_paths(const struct nvmux *nvmux)
{
	const struct pcie_paths *paths = nvmux->transport_data[NVMUX_TRTYPE_PCIE];

	return paths ? paths : &pcie_default_paths;
}

/* The last component of the link @path/@name, or "" when there is none. */
static void read_link_name(const char *dir, const char *name, char *ret, size_t size)
{
	char path[PCIE_PATH_MAX + 64], target[PATH_MAX];
	const char *base;
	ssize_t n;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return;
	target[n] = '\0';
	base = strrchr(target, '/');
	base = base ? base + 1 : target;
	if (strlen(base) < size)
		strcpy(ret, base);
}

/* Read an attribute that is a number; -errno, -EINVAL. */
static int read_number(const char *dir, const char *name, unsigned long *ret)
{
	char path[PCIE_PATH_MAX + 64], text[64], *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return n < 0 ? -errno : -EINVAL;
	text[n] = '\0';
	errno = 0;
	*ret = strtoul(text, &end, 0);
	return errno || end == text ? -EINVAL : 0;
}

int pcie_sysfs_group(struct nvmux *nvmux, const char *bdf, unsigned *ret_group)
{
	char dir[PCIE_PATH_MAX], driver[64], group[32], *end;
	unsigned long number;
	struct stat st;

	snprintf(dir, sizeof(dir), "%s/bus/pci/devices/%s", pcie_paths(nvmux)->sysfs, bdf);
	if (stat(dir, &st) < 0)
		return nvmux_error(nvmux, -ENODEV, "%s: there is no such PCI function", bdf);
	read_link_name(dir, "driver", driver, sizeof(driver));
	if (strcmp(driver, "vfio-pci"))
		return nvmux_error(nvmux, -EBUSY, "%s: it is bound to %s, not to vfio-pci", bdf,
				   driver[0] ? driver : "no driver");
	read_link_name(dir, "iommu_group", group, sizeof(group));
	number = strtoul(group, &end, 10);
	if (!group[0] || *end || number > INT_MAX)
		return nvmux_error(
			nvmux, -EOPNOTSUPP,
			"%s: it has no IOMMU group; is the IOMMU enabled (intel_iommu=on "
			"for Intel, firmware set-up)?",
			bdf);
	*ret_group = (unsigned)number;
	return 0;
}

int pcie_sysfs_node(const struct nvmux_ctrlr *ctrlr)
{
	char path[PCIE_PATH_MAX], bdf[PCI_ADDRESS_SIZE];

	if (pci_address_parse(ctrlr->trid.traddr, bdf))
		return -1;
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/numa_node",
		 pcie_paths(ctrlr->nvmux)->sysfs, bdf);
	return nvmux_numa_of_attribute(path);
}

static bool is_ours(const struct nvmux *nvmux, const char *bdf)
{
	char dir[PCIE_PATH_MAX], driver[64];
	unsigned long class = 0;

	snprintf(dir, sizeof(dir), "%s/bus/pci/devices/%s", pcie_paths(nvmux)->sysfs, bdf);
	read_link_name(dir, "driver", driver, sizeof(driver));
	return !strcmp(driver, "vfio-pci") && !read_number(dir, "class", &class) &&
	       class == PCIE_CLASS_NVME;
}

static int scan(struct nvmux *nvmux, const struct nvmux_trid *trid, nvmux_found_fn found, void *arg)
{
	char dir[PCIE_PATH_MAX];
	struct dirent **entries;
	int n;

	snprintf(dir, sizeof(dir), "%s/bus/pci/devices", pcie_paths(nvmux)->sysfs);
	n = scandir(dir, &entries, NULL, alphasort);
	if (n < 0 && errno == ENOENT)
		return 0; /* a machine without PCI */
	if (n < 0)
		return nvmux_error(nvmux, -errno, "%s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		struct nvmux_trid one = *trid;
		char bdf[PCI_ADDRESS_SIZE];

		if (i < PCIE_SCAN_MAX && !pci_address_parse(entries[i]->d_name, bdf) &&
		    is_ours(nvmux, bdf)) {
			snprintf(one.traddr, sizeof(one.traddr), "%s", bdf);
			found(arg, &one);
		}
		free(entries[i]);
	}
	free(entries);
	return 0;
}

void pcie_sysfs_enumerate(struct nvmux *nvmux, const struct nvmux_trid *trid, nvmux_found_fn found,
			  nvmux_done_fn done, void *arg)
{
	struct nvmux_trid one = *trid;
	char bdf[PCI_ADDRESS_SIZE];

	if (!trid->traddr[0]) {
		done(arg, scan(nvmux, trid, found, arg), 0);
		return;
	}
	if (pci_address_parse(trid->traddr, bdf)) {
		done(arg,
		     nvmux_error(nvmux, -EINVAL,
				 "traddr \"%s\" isn't a PCI address such as 0000:01:00.0",
				 trid->traddr),
		     0);
		return;
	}
	snprintf(one.traddr, sizeof(one.traddr), "%s", bdf);
	found(arg, &one);
	done(arg, 0, 0);
}
