// SPDX-License-Identifier: BSD-3-Clause
/*
 * NUMA nodes: read from a small copy of sysfs, memory placed on one, reactors chosen by theirs. The
 * machine needn't have more than one: what is looked at is the policy of the memory.
 */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#ifdef NVMUX_HAVE_NUMA
#include <numaif.h>
#endif
#include "daemon/daemon.h"
#include "daemon/ring_server.h"
#include "libcore/numa.h"
#include "libcore/transport.h"

/* ---- sysfs ---- */

static char root[32];

static int make_root(void **state)
{
	strcpy(root, "/tmp/nvmux-numa-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int remove_root(void **state)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static void make_dir(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void attribute(void **state)
{
	static const struct {
		const char *text;
		int node;
	} cases[] = {
		{"0\n", 0},     {"1\n", 1},   {"12", 12},   {"1023\n", 1023},
		{"1024\n", -1}, {"", -1},     {"-1\n", -1}, {"1 0\n", -1},
		{"x\n", -1},    {" 1\n", -1}, {"+1\n", -1}, {"99999999999999\n", -1},
	};
	char path[64];

	snprintf(path, sizeof(path), "%s/numa_node", root);
	assert_int_equal(nvmux_numa_of_attribute(path), -1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		FILE *file = fopen(path, "w");

		assert_non_null(file);
		fputs(cases[i].text, file);
		fclose(file);
		if (nvmux_numa_of_attribute(path) != cases[i].node)
			fail_msg("'%s' is %d", cases[i].text, nvmux_numa_of_attribute(path));
	}
	assert_int_equal(nvmux_numa_of_attribute(root), -1); /* a directory */
}

static void core(void **state)
{
	static const char *const dirs[] = {
		"devices",
		"devices/system",
		"devices/system/cpu",
		"devices/system/cpu/cpu0",
		"devices/system/cpu/cpu0/cache",
		"devices/system/cpu/cpu0/node0",
		"devices/system/cpu/cpu5",
		"devices/system/cpu/cpu5/node",
		"devices/system/cpu/cpu5/nodes",
		"devices/system/cpu/cpu5/node1x",
		"devices/system/cpu/cpu5/node12",
		"devices/system/cpu/cpu6",
	};

	assert_int_equal(nvmux_numa_of_core(root, 0), -1);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		make_dir(dirs[i]);
	assert_int_equal(nvmux_numa_of_core(root, 0), 0);
	assert_int_equal(nvmux_numa_of_core(root, 5), 12);
	assert_int_equal(nvmux_numa_of_core(root, 6), -1);
	assert_int_equal(nvmux_numa_of_core(root, 7), -1);
	assert_int_equal(nvmux_numa_of_core(root, -1), -1);
}

/* ---- memory ---- */

#ifdef NVMUX_HAVE_NUMA
/* The policy at @addr, and the nodes below 64 that it names. */
static int policy_at(void *addr, unsigned long *ret_nodes)
{
	unsigned long nodes[16] = {0};
	int mode = -1;

	assert_int_equal(get_mempolicy(&mode, nodes, 1024, addr, MPOL_F_ADDR), 0);
	*ret_nodes = nodes[0];
	return mode;
}

/* A container may forbid it, and a kernel may know no nodes. */
static void skip_unless_allowed(void)
{
	unsigned long node = 1;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long err = mbind(page, 4096, MPOL_PREFERRED, &node, 64, 0) ||
		   get_mempolicy(NULL, NULL, 0, page, MPOL_F_ADDR);

	munmap(page, 4096);
	if (err)
		skip();
}

/* Somebody else who maps it. */
static void expect_policy(int fd, size_t size, int mode, unsigned long nodes)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	unsigned long found;

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(policy_at(map, &found), mode);
	assert_int_equal(found, nodes);
	assert_int_equal(policy_at((uint8_t *)map + size - 1, &found), mode);
	munmap(map, size);
}

static int node_of_controller;

static int numa_node(const struct nvmux_ctrlr *ctrlr)
{
	return node_of_controller;
}

/* For everybody who maps it: the policy is the memory's. */
static void region(void **state)
{
	static const struct nvmux_transport transport = {.numa_node = numa_node};
	struct nvmux_ctrlr *ctrlr = calloc(1, sizeof(*ctrlr));
	struct nvmux_mem *near, *none, *absent;

	skip_unless_allowed();
	assert_int_equal(nvmux_create(NULL, &ctrlr->nvmux), 0);
	ctrlr->transport = &transport;
	node_of_controller = 0;
	assert_int_equal(nvmux_mem_create_for(ctrlr, 3 << 20, 0, &near), 0);
	expect_policy(near->fd, near->size, MPOL_PREFERRED, 1);
	node_of_controller = -1;
	assert_int_equal(nvmux_mem_create_for(ctrlr, 8192, 0, &none), 0);
	expect_policy(none->fd, none->size, MPOL_DEFAULT, 0);
	/* a node that isn't there: as without */
	node_of_controller = 1023;
	assert_int_equal(nvmux_mem_create_for(ctrlr, 8192, 0, &absent), 0);
	memset(absent->addr, 1, absent->size);
	expect_policy(absent->fd, absent->size, MPOL_DEFAULT, 0);
	nvmux_mem_release(near);
	nvmux_mem_release(none);
	nvmux_mem_release(absent);
	nvmux_destroy(ctrlr->nvmux);
	free(ctrlr);
}

static void expect_populated(void *map, size_t size)
{
	unsigned char resident[64];

	assert_true(size <= sizeof(resident) * 4096);
	assert_int_equal(mincore(map, size, resident), 0);
	for (size_t i = 0; i < size / 4096; i++)
		assert_true(resident[i] & 1);
}

/* The policy is there before the pages are. */
static void ring(void **state)
{
	const struct ring_limits limits = {.max_transfer = 4096, .max_segs = 1};
	struct ring_server near, none;

	skip_unless_allowed();
	assert_int_equal(ring_server_create(8, &limits, 0, &near), 0);
	expect_policy(near.ring_fd, near.size, MPOL_PREFERRED, 1);
	expect_populated(near.header, near.header->list_offset);
	assert_int_equal(ring_server_create(8, &limits, -1, &none), 0);
	expect_policy(none.ring_fd, none.size, MPOL_DEFAULT, 0);
	expect_populated(none.header, none.header->list_offset);
	close(near.client_fd);
	close(none.client_fd);
	near.client_fd = none.client_fd = -1;
	ring_server_fini(&near);
	ring_server_fini(&none);
}
#endif

/* ---- reactors ---- */

#define FOR(node) ((int)(reactor_for(reactors, ARRAY_SIZE(reactors), (node)) - reactors))

static void choice(void **state)
{
	struct daemon_reactor reactors[] = {
		{.node = 0, .n_qpairs = 5}, {.node = 1, .n_qpairs = 9}, {.node = 0, .n_qpairs = 4},
		{.node = 1, .n_qpairs = 8}, {.node = 3, .n_qpairs = 7},
	};

	/* the one with the fewest clients of those there */
	assert_int_equal(FOR(0), 2);
	assert_int_equal(FOR(1), 3);
	assert_int_equal(FOR(3), 4);
	/* of all, when none is there, or nobody knows where that is */
	assert_int_equal(FOR(2), 2);
	assert_int_equal(FOR(-1), 2);
	reactors[3].n_qpairs = 9; /* the first of equals */
	assert_int_equal(FOR(1), 1);
	/* one that may be anywhere is as good as one that is there */
	reactors[4] = (struct daemon_reactor){.core = -1, .node = -1, .n_qpairs = 8};
	assert_int_equal(FOR(1), 4);
	assert_false(reactor_is_far(&reactors[4], 1));
	assert_true(reactor_is_far(&reactors[0], 1));
	assert_false(reactor_is_far(&reactors[0], -1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(attribute, make_root, remove_root),
		cmocka_unit_test_setup_teardown(core, make_root, remove_root),
#ifdef NVMUX_HAVE_NUMA
		cmocka_unit_test(region),
		cmocka_unit_test(ring),
#endif
		cmocka_unit_test(choice),
	};

	return cmocka_run_group_tests_name("numa", tests, NULL, NULL);
}
