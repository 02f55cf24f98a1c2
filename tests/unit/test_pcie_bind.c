// SPDX-License-Identifier: BSD-3-Clause
/*
 * bind and unbind on a copy of sysfs, proc and dev made of directories, files and links. Writes go
 * to a function that plays the kernel's part: it moves the driver links.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/bind.h"

#define BDF    "0000:01:00.0"
#define DEVICE "sys/bus/pci/devices/" BDF

/* The tree, and how its kernel behaves. */
struct tree {
	char root[64];
	char sys[128], proc[128], dev[128];
	struct bind_env env;
	char override[64];
	bool vfio_refuses; /* vfio-pci's probe fails */
	int fail_write;    /* the n-th write fails with EIO; 0: none */
	int writes;
};

static void path_of(const struct tree *t, char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", t->root, name);
}

static void make_dirs(const struct tree *t, const char *name)
{
	char path[512];

	path_of(t, path, sizeof(path), name);
	for (char *p = path + strlen(t->root) + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		mkdir(path, 0755);
		*p = c;
		if (!c)
			return;
	}
}

static void put_file(const struct tree *t, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	path_of(t, path, sizeof(path), name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void put_link(const struct tree *t, const char *name, const char *target)
{
	char path[512];

	path_of(t, path, sizeof(path), name);
	unlink(path);
	if (target)
		assert_int_equal(symlink(target, path), 0);
}

static void read_link(const struct tree *t, const char *name, char *ret, size_t size)
{
	char path[512];
	ssize_t n;

	path_of(t, path, sizeof(path), name);
	n = readlink(path, ret, size - 1);
	ret[n < 0 ? 0 : n] = '\0';
}

/* The kernel behind the attributes. */
static int kernel_write(void *arg, const char *path, const char *text)
{
	struct tree *t = arg;
	const char *attribute = strrchr(path, '/') + 1;
	char driver[128];

	if (++t->writes == t->fail_write)
		return -EIO;
	if (!strcmp(attribute, "driver_override")) {
		snprintf(t->override, sizeof(t->override), "%s", text);
		t->override[strcspn(t->override, "\n")] = '\0';
		return 0;
	}
	if (strcmp(text, BDF))
		return -ENODEV;
	read_link(t, DEVICE "/driver", driver, sizeof(driver));
	if (!strcmp(attribute, "unbind")) {
		if (!driver[0])
			return -ENOENT;
		put_link(t, DEVICE "/driver", NULL);
		return 0;
	}
	assert_string_equal(attribute, "drivers_probe");
	if (driver[0])
		return 0;
	if (!strcmp(t->override, "vfio-pci") && !t->vfio_refuses)
		put_link(t, DEVICE "/driver", "../../drivers/vfio-pci");
	else if (!t->override[0])
		put_link(t, DEVICE "/driver", "../../drivers/nvme");
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	strcpy(t->root, "/tmp/nvmux-bind-XXXXXX");
	assert_non_null(mkdtemp(t->root));
	snprintf(t->sys, sizeof(t->sys), "%s/sys", t->root);
	snprintf(t->proc, sizeof(t->proc), "%s/proc", t->root);
	snprintf(t->dev, sizeof(t->dev), "%s/dev", t->root);
	t->env = (struct bind_env){
		.sysfs = t->sys, .proc = t->proc, .dev = t->dev, .write = kernel_write, .arg = t};

	make_dirs(t, DEVICE "/nvme/nvme0/nvme0n1");
	put_file(t, DEVICE "/class", "0x010802\n");
	make_dirs(t, "sys/bus/pci/drivers/vfio-pci");
	make_dirs(t, "sys/bus/pci/drivers/nvme");
	put_link(t, DEVICE "/driver", "../../drivers/nvme");
	make_dirs(t, "sys/kernel/iommu_groups/7/devices/" BDF);
	put_link(t, DEVICE "/iommu_group", "../../../../kernel/iommu_groups/7");

	make_dirs(t, "sys/block/nvme0n1/holders");
	put_file(t, "sys/block/nvme0n1/dev", "259:0\n");
	make_dirs(t, "sys/block/nvme0n1/nvme0n1p2/holders");
	put_file(t, "sys/block/nvme0n1/nvme0n1p2/partition", "2\n");
	put_file(t, "sys/block/nvme0n1/nvme0n1p2/dev", "259:2\n");
	make_dirs(t, "sys/block/nvme0n1/queue");

	make_dirs(t, "proc/self");
	make_dirs(t, "proc/1/fd");
	put_file(t, "proc/1/comm", "init\n");
	put_file(t, "proc/self/mountinfo",
		 "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		 "23 22 0:21 / /proc rw shared:5 - proc proc rw\n");
	put_file(t, "proc/swaps",
		 "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2  partition 1 0 -2\n");
	make_dirs(t, "dev/vfio");
	put_file(t, "dev/nvme0n1", "");
	put_file(t, "dev/vfio/7", "");
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct tree *t = *state;

	nftw(t->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(t);
	return 0;
}

static void expect_refusal(struct tree *t, int err, const char *word)
{
	struct bind_report report;
	char driver[128];

	assert_int_equal(bind_to_vfio(&t->env, BDF, &report), err);
	if (!strstr(report.why, word))
		fail_msg("\"%s\" doesn't say \"%s\"", report.why, word);
	assert_false(report.changed);
	assert_int_equal(t->writes, 0);
	read_link(t, DEVICE "/driver", driver, sizeof(driver));
	assert_string_equal(driver, "../../drivers/nvme");
}

static void there_and_back(void **state)
{
	struct tree *t = *state;
	struct bind_report report;

	assert_int_equal(bind_to_vfio(&t->env, "01:00.0", &report), 0);
	assert_string_equal(report.bdf, BDF);
	assert_string_equal(report.before, "nvme");
	assert_string_equal(report.after, "vfio-pci");
	assert_int_equal(report.iommu_group, 7);
	assert_true(report.changed);
	assert_string_equal(t->override, "vfio-pci");

	/* a second time there is nothing to do */
	t->writes = 0;
	assert_int_equal(bind_to_vfio(&t->env, BDF, &report), 0);
	assert_false(report.changed);
	assert_int_equal(t->writes, 0);

	assert_int_equal(bind_to_kernel(&t->env, BDF, &report), 0);
	assert_string_equal(report.before, "vfio-pci");
	assert_string_equal(report.after, "nvme");
	assert_true(report.changed);
	assert_string_equal(t->override, "");
	t->writes = 0;
	assert_int_equal(bind_to_kernel(&t->env, BDF, &report), 0);
	assert_false(report.changed);
	assert_int_equal(t->writes, 0);
}

static void without_a_driver(void **state)
{
	struct tree *t = *state;
	struct bind_report report;

	put_link(t, DEVICE "/driver", NULL);
	assert_int_equal(bind_to_vfio(&t->env, BDF, &report), 0);
	assert_string_equal(report.before, "");
	assert_string_equal(report.after, "vfio-pci");
}

static void addresses(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"0000:01:00",
		"0000:01:00.8",
		"0000:01:20.0",
		"01:00.0 ",
		"../../x",
		"0000:01:00.0/",
		"0x00:01:00.0",
		"-1:00.0",
		"00000:01:00.0",
		"0000:001:00.0",
		"zz:00.0",
	};
	struct tree *t = *state;
	struct bind_report report;
	char bdf[PCI_ADDRESS_SIZE];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(pci_address_parse(bad[i], bdf), -EINVAL);
		assert_int_equal(bind_to_vfio(&t->env, bad[i], &report), -EINVAL);
	}
	assert_int_equal(pci_address_parse("ABCD:eF:1f.7", bdf), 0);
	assert_string_equal(bdf, "abcd:ef:1f.7");
	assert_int_equal(pci_address_parse("3:4.1", bdf), 0);
	assert_string_equal(bdf, "0000:03:04.1");
	assert_int_equal(bind_to_vfio(&t->env, "02:00.0", &report), -ENODEV);
}

static void not_nvme(void **state)
{
	struct tree *t = *state;

	put_file(t, DEVICE "/class", "0x020000\n");
	expect_refusal(t, -EMEDIUMTYPE, "020000");
	put_file(t, DEVICE "/class", "0x010803\n"); /* an administrative controller */
	expect_refusal(t, -EMEDIUMTYPE, "010803");
}

static void mounted(void **state)
{
	struct tree *t = *state;

	put_file(t, "proc/self/mountinfo", "30 22 259:0 / /mnt/data rw - ext4 /dev/root rw\n");
	expect_refusal(t, -EBUSY, "mounted on /mnt/data");
	put_file(t, "proc/self/mountinfo",
		 "30 22 259:2 /sub /srv rw,noatime shared:1 master:2 - xfs /dev/x rw\n");
	expect_refusal(t, -EBUSY, "nvme0n1p2 is mounted on /srv");
	/* anonymous number: only the name tells */
	put_file(t, "proc/self/mountinfo", "30 22 0:44 / /b rw - btrfs /dev/nvme0n1p2 rw\n");
	expect_refusal(t, -EBUSY, "nvme0n1p2 is mounted on /b");
	/* a longer name or number isn't ours */
	struct bind_report report;

	put_file(t, "proc/self/mountinfo",
		 "30 22 259:22 / /c rw - ext4 /dev/nvme0n10 rw\ngarbage\n - \n1 2 - x\n");
	assert_int_equal(bind_to_vfio(&t->env, BDF, &report), 0);
}

static void swap(void **state)
{
	struct tree *t = *state;

	put_file(t, "proc/swaps", "Filename\n/dev/nvme0n1p2\tpartition\t1\t0\t-2\n");
	expect_refusal(t, -EBUSY, "nvme0n1p2 is swap");
}

static void holders(void **state)
{
	struct tree *t = *state;

	make_dirs(t, "sys/block/nvme0n1/nvme0n1p2/holders/dm-3");
	expect_refusal(t, -EBUSY, "held by dm-3");
}

static void btrfs(void **state)
{
	struct tree *t = *state;

	make_dirs(t, "sys/fs/btrfs/0ff1ce/devices/nvme0n1");
	make_dirs(t, "sys/fs/btrfs/features");
	expect_refusal(t, -EBUSY, "btrfs 0ff1ce");
}

static void opened(void **state)
{
	struct tree *t = *state;

	make_dirs(t, "proc/4711/fd");
	put_file(t, "proc/4711/comm", "qemu\n");
	put_link(t, "proc/4711/fd/9", "/dev/nvme0n1");
	expect_refusal(t, -EBUSY, "process 4711 (qemu)");
}

/* With the kernel's multipath the disk has another name than the path of this controller. */
static void multipath(void **state)
{
	struct tree *t = *state;

	make_dirs(t, DEVICE "/nvme/nvme0/nvme3c0n5");
	make_dirs(t, "sys/block/nvme3n5");
	put_file(t, "sys/block/nvme3n5/dev", "259:9\n");
	put_file(t, "proc/self/mountinfo", "30 22 259:9 / /multi rw - ext4 /dev/nvme3n5 rw\n");
	expect_refusal(t, -EBUSY, "nvme3n5 is mounted on /multi");
}

static void groups(void **state)
{
	struct tree *t = *state;
	struct bind_report report;

	make_dirs(t, "sys/kernel/iommu_groups/7/devices/0000:00:1c.0");
	make_dirs(t, "sys/bus/pci/devices/0000:00:1c.0");
	put_file(t, "sys/bus/pci/devices/0000:00:1c.0/class", "0x020000\n");
	expect_refusal(t, -EBUSY, "0000:00:1c.0");
	put_link(t, DEVICE "/iommu_group", NULL);
	expect_refusal(t, -EOPNOTSUPP, "IOMMU");
	put_link(t, DEVICE "/iommu_group", "../../../../kernel/iommu_groups/7");
	/* a bridge is no device of its own */
	put_file(t, "sys/bus/pci/devices/0000:00:1c.0/class", "0x060400\n");
	assert_int_equal(bind_to_vfio(&t->env, BDF, &report), 0);
}

static void no_module(void **state)
{
	struct tree *t = *state;
	char path[512];

	path_of(t, path, sizeof(path), "sys/bus/pci/drivers/vfio-pci");
	rmdir(path);
	expect_refusal(t, -ENOENT, "vfio-pci");
}

/* Whatever step fails, the former driver is back. */
static void rollback(void **state)
{
	struct tree *t = *state;
	struct bind_report report;

	t->vfio_refuses = true;
	assert_int_equal(bind_to_vfio(&t->env, BDF, &report), -EIO);
	assert_string_equal(report.after, "nvme");
	assert_false(report.changed);
	assert_string_equal(t->override, "");
	t->vfio_refuses = false;
	for (int n = 1; n <= 3; n++) {
		t->writes = 0;
		t->fail_write = n;
		assert_int_equal(bind_to_vfio(&t->env, BDF, &report), -EIO);
		assert_non_null(strstr(report.why, "writing"));
		assert_string_equal(report.after, "nvme");
		assert_string_equal(t->override, "");
	}
}

/* The real writer: a plain file takes the text, a missing one is an error. */
static void real_writes(void **state)
{
	struct tree *t = *state;
	struct bind_report report;
	char path[512], text[64] = "";
	FILE *f;

	t->env.write = NULL;
	put_file(t, DEVICE "/driver_override", "");
	assert_int_equal(bind_to_vfio(&t->env, BDF, &report), -ENOENT); /* no driver/unbind */
	path_of(t, path, sizeof(path), DEVICE "/driver_override");
	f = fopen(path, "r");
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text,
			    "\n"); /* taken back; a real attribute has no old text behind it */
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(there_and_back), TEST(without_a_driver),
		TEST(addresses),      TEST(not_nvme),
		TEST(mounted),        TEST(swap),
		TEST(holders),        TEST(btrfs),
		TEST(opened),         TEST(multipath),
		TEST(groups),         TEST(no_module),
		TEST(rollback),       TEST(real_writes),
	};

	return cmocka_run_group_tests_name("pcie_bind", tests, NULL, NULL);
}
