// SPDX-License-Identifier: BSD-3-Clause
/*
 * Is a controller's storage in use? Asked before its driver is taken away.
 *
 * Each disk and partition must have no holders (dm, md, …), be no part of a btrfs, no swap, not
 * mounted, and open in no process. Last, each disk is opened exclusively, which the kernel refuses
 * when anything has claimed it or a partition of it, also in another mount namespace; and as long
 * as that descriptor is open, nothing can claim it anew.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/bind_use.h"

#define BIND_PATH_MAX 1024

int bind_why(char why[BIND_WHY_MAX], int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, BIND_WHY_MAX, fmt, ap);
	va_end(ap);
	return err;
}

/* A device under its kernel name, with what its users call it. */
struct bind_disk {
	const struct bind_env *env;
	char name[NAME_MAX + 1];
	char node[NAME_MAX + 8]; /* "/dev/NAME" as it stands in proc's files */
	char number[32];         /* "259:0" */
	char *why;
};

/* Call @fn for each entry of @dir until it returns non-zero. A directory that isn't there is empty.
 */
static int each_entry(const char *dir, int (*fn)(void *arg, const char *dir, const char *name),
		      void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	int err = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (entry = readdir(d))) {
		if (entry->d_name[0] != '.')
			err = fn(arg, dir, entry->d_name);
	}
	closedir(d);
	return err;
}

/* ---- mounts and swap ---- */

/* One line of mountinfo: "36 35 98:0 / /mnt rw,noatime master:1 - ext4 /dev/root rw". */
static int check_mount_line(const struct bind_disk *disk, char *line)
{
	char *number, *point, *tail, *source, *save = NULL;

	tail = strstr(line, " - ");
	if (!tail)
		return 0;
	*tail = '\0';
	strtok_r(line, " ", &save);
	strtok_r(NULL, " ", &save);
	number = strtok_r(NULL, " ", &save);
	strtok_r(NULL, " ", &save);
	point = strtok_r(NULL, " ", &save);
	save = NULL;
	strtok_r(tail + 3, " ", &save);
	source = strtok_r(NULL, " \n", &save);
	if (!number || !point || !source)
		return 0;
	if (strcmp(number, disk->number) && strcmp(source, disk->node))
		return 0;
	return bind_why(disk->why, -EBUSY, "%s is mounted on %s", disk->node, point);
}

static int check_swap_line(const struct bind_disk *disk, char *line)
{
	char *save = NULL, *name = strtok_r(line, " \t\n", &save);

	if (!name || strcmp(name, disk->node))
		return 0;
	return bind_why(disk->why, -EBUSY, "%s is swap space", disk->node);
}

static int each_line(const struct bind_disk *disk, const char *file,
		     int (*fn)(const struct bind_disk *disk, char *line))
{
	char path[BIND_PATH_MAX];
	char *line = NULL;
	size_t size = 0;
	int err = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", disk->env->proc, file);
	f = fopen(path, "re");
	if (!f && errno == ENOENT)
		return 0; /* a kernel without swap has no list of it */
	if (!f)
		return bind_why(disk->why, -errno, "%s: %s", path, strerror(errno));
	while (!err && getline(&line, &size, f) >= 0)
		err = fn(disk, line);
	free(line);
	fclose(f);
	return err;
}

/* ---- holders ---- */

static int check_holder(void *arg, const char *dir, const char *name)
{
	const struct bind_disk *disk = arg;

	(void)dir;
	return bind_why(disk->why, -EBUSY, "%s is held by %s (device mapper, md or the like)",
			disk->node, name);
}

static int check_btrfs(void *arg, const char *dir, const char *name)
{
	const struct bind_disk *disk = arg;
	char path[BIND_PATH_MAX];

	snprintf(path, sizeof(path), "%.500s/%.100s/devices/%.255s", dir, name, disk->name);
	if (access(path, F_OK) < 0)
		return 0;
	return bind_why(disk->why, -EBUSY, "%s belongs to the mounted btrfs %s", disk->node, name);
}

/* ---- processes ---- */

static int check_fd(void *arg, const char *dir, const char *name)
{
	const struct bind_disk *disk = arg;
	char path[BIND_PATH_MAX], target[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "%.500s/%.20s", dir, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return 0; /* closed meanwhile, or not ours to see */
	target[n] = '\0';
	return !strcmp(target, disk->node);
}

static int check_process(void *arg, const char *dir, const char *name)
{
	const struct bind_disk *disk = arg;
	char path[BIND_PATH_MAX], command[32] = "";
	FILE *f;

	if (!isdigit((unsigned char)name[0]) || strlen(name) > 10)
		return 0;
	snprintf(path, sizeof(path), "%.500s/%.20s/fd", dir, name);
	if (each_entry(path, check_fd, arg) <= 0)
		return 0; /* no use of it, or the process has ended */
	snprintf(path, sizeof(path), "%.500s/%.20s/comm", dir, name);
	f = fopen(path, "re");
	if (f && fgets(command, sizeof(command), f))
		command[strcspn(command, "\n")] = '\0';
	if (f)
		fclose(f);
	return bind_why(disk->why, -EBUSY, "%s is opened by process %s (%s)", disk->node, name,
			command);
}

/* ---- one disk or partition ---- */

static int read_device_number(const char *dir, char *ret, size_t size)
{
	char path[BIND_PATH_MAX];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%.900s/dev", dir);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	ok = fgets(ret, (int)size, f);
	fclose(f);
	if (!ok)
		return -EIO;
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

/* @dir: of the disk or partition @name in sysfs. */
static int check_one(const struct bind_env *env, const char *dir, const char *name, char *why)
{
	struct bind_disk disk = {.env = env, .why = why};
	char path[BIND_PATH_MAX];
	int err;

	snprintf(disk.name, sizeof(disk.name), "%s", name);
	snprintf(disk.node, sizeof(disk.node), "/dev/%.255s", name);
	err = read_device_number(dir, disk.number, sizeof(disk.number));
	if (err)
		return bind_why(why, err, "%s: reading its device number: %s", name,
				strerror(-err));
	snprintf(path, sizeof(path), "%.900s/holders", dir);
	err = each_entry(path, check_holder, &disk);
	if (err)
		return err;
	err = each_line(&disk, "self/mountinfo", check_mount_line);
	if (err)
		return err;
	err = each_line(&disk, "swaps", check_swap_line);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%.900s/fs/btrfs", env->sysfs);
	err = each_entry(path, check_btrfs, &disk);
	if (err)
		return err;
	return each_entry(env->proc, check_process, &disk);
}

struct bind_walk {
	const struct bind_env *env;
	struct bind_claims *claims;
	char *why;
};

static int check_partition(void *arg, const char *dir, const char *name)
{
	const struct bind_walk *walk = arg;
	char path[BIND_PATH_MAX];

	snprintf(path, sizeof(path), "%.500s/%.255s/partition", dir, name);
	if (access(path, F_OK) < 0)
		return 0;
	snprintf(path, sizeof(path), "%.500s/%.255s", dir, name);
	return check_one(walk->env, path, name, walk->why);
}

/* Claim a disk through its device node; without a node nobody can have opened it. */
static int claim_disk(struct bind_walk *walk, const char *name)
{
	char path[BIND_PATH_MAX];
	int fd;

	if (walk->claims->n == BIND_DISKS_MAX)
		return bind_why(walk->why, -E2BIG, "more than %d namespaces", BIND_DISKS_MAX);
	snprintf(path, sizeof(path), "%.500s/%.255s", walk->env->dev, name);
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0) {
		walk->claims->fds[walk->claims->n++] = fd;
		return 0;
	}
	if (errno == ENOENT || errno == ENXIO || errno == ENOMEDIUM)
		return 0;
	return bind_why(walk->why, -errno, "/dev/%s can't be claimed: %s", name,
			errno == EBUSY ? "a file system, swap or another device uses it"
				       : strerror(errno));
}

/*
 * The disk of a path device: with the kernel's multipath, nvme0c1n2 is controller 1's path to
 * nvme0n2, which is what others use. Other names stay as they are.
 */
static void disk_of_path(const char *name, char *ret, size_t size)
{
	unsigned subsystem, controller, ns;
	int used = 0;

	if (sscanf(name, "nvme%uc%un%u%n", &subsystem, &controller, &ns, &used) == 3 && !name[used])
		snprintf(ret, size, "nvme%un%u", subsystem, ns);
	else
		snprintf(ret, size, "%.255s", name);
}

/* An entry below .../nvme/nvme0: a namespace's disk, or something else. */
static int check_disk(void *arg, const char *dir, const char *name)
{
	struct bind_walk *walk = arg;
	char path[BIND_PATH_MAX], disk[NAME_MAX + 1];
	int err;

	(void)dir;
	if (strncmp(name, "nvme", 4) || !isdigit((unsigned char)name[4]))
		return 0;
	disk_of_path(name, disk, sizeof(disk));
	snprintf(path, sizeof(path), "%.500s/block/%.255s", walk->env->sysfs, disk);
	if (access(path, F_OK) < 0)
		return 0;
	err = check_one(walk->env, path, disk, walk->why);
	if (!err)
		err = each_entry(path, check_partition, walk);
	return err ? err : claim_disk(walk, disk);
}

/* An entry below .../nvme: the controller nvme0. */
static int check_controller(void *arg, const char *dir, const char *name)
{
	char path[BIND_PATH_MAX];

	snprintf(path, sizeof(path), "%.700s/%.255s", dir, name);
	return each_entry(path, check_disk, arg);
}

int bind_claim(const struct bind_env *env, const char *device, struct bind_claims *claims,
	       char why[BIND_WHY_MAX])
{
	struct bind_walk walk = {.env = env, .claims = claims, .why = why};
	char path[BIND_PATH_MAX];
	int err;

	claims->n = 0;
	snprintf(path, sizeof(path), "%.900s/nvme", device);
	err = each_entry(path, check_controller, &walk);
	if (err && !why[0])
		bind_why(why, err, "%s: %s", path, strerror(-err));
	return err;
}

void bind_claims_end(struct bind_claims *claims)
{
	while (claims->n)
		close(claims->fds[--claims->n]);
}
