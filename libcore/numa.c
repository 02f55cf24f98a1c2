// SPDX-License-Identifier: BSD-3-Clause
/* NUMA nodes of devices and processors, as sysfs has them, and memory on a node. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>
#ifdef NVMUX_HAVE_NUMA
#include <numaif.h>
#endif

#include "core.h"
#include "numa.h"

#define NODES_MAX 1024 /* as many as Linux can be built for */
#define WORD_BITS (8 * sizeof(unsigned long))

/* A number and nothing else, but for the end of the line. */
static int parse_node(const char *text)
{
	char *end;
	long node;

	if (*text < '0' || *text > '9')
		return -1;
	node = strtol(text, &end, 10);
	return (*end && *end != '\n') || node >= NODES_MAX ? -1 : (int)node;
}

int nvmux_numa_of_attribute(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[16];
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	return parse_node(text);
}

int nvmux_numa_of_core(const char *sysfs, int core)
{
	const struct dirent *entry;
	char path[PATH_MAX];
	int node = -1;
	DIR *dir;

	if (core < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/devices/system/cpu/cpu%d", sysfs, core);
	dir = opendir(path);
	if (!dir)
		return -1;
	/* a link node0, node1, … */
	while (node < 0 && (entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "node", 4))
			node = parse_node(entry->d_name + 4);
	}
	closedir(dir);
	return node;
}

#ifdef NVMUX_HAVE_NUMA
void nvmux_numa_prefer(void *addr, size_t size, int node)
{
	unsigned long nodes[NODES_MAX / WORD_BITS] = {0};

	if (node < 0 || node >= NODES_MAX)
		return;
	nodes[(unsigned)node / WORD_BITS] = 1ul << (unsigned)node % WORD_BITS;
	/* The kernel takes one bit less than it is told. */
	(void)mbind(addr, align_up(size, NVMUX_PAGE_SIZE), MPOL_PREFERRED, nodes, NODES_MAX + 1,
		    0);
}
#else
void nvmux_numa_prefer(void *addr, size_t size, int node)
{
}
#endif

int nvmux_mem_create_for(struct nvmux_ctrlr *ctrlr, size_t size, uint32_t flags,
			 struct nvmux_mem **ret)
{
	int err = nvmux_mem_create(ctrlr->nvmux, size, flags, ret);

	if (!err)
		nvmux_numa_prefer((*ret)->addr, (*ret)->size, nvmux_ctrlr_get_numa_id(ctrlr));
	return err;
}
