// SPDX-License-Identifier: BSD-3-Clause
/* Which functions sysfs offers, on a small copy of it; addresses; quirks. */
#include <errno.h>
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

#include "transports/pcie/pcie_int.h"

struct fixture {
	char root[32];
	struct pcie_paths paths;
	struct nvmux *nvmux;
	char found[8][PCI_ADDRESS_SIZE];
	unsigned n_found;
	unsigned n_done;
	int err;
};

static void add_function(const struct fixture *fx, const char *bdf, const char *class,
			 const char *driver, const char *group)
{
	char path[256], target[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", fx->root, bdf);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/class", fx->root, bdf);
	f = fopen(path, "w");
	fprintf(f, "%s\n", class);
	fclose(f);
	if (driver) {
		snprintf(target, sizeof(target), "../../drivers/%s", driver);
		snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/driver", fx->root, bdf);
		assert_int_equal(symlink(target, path), 0);
	}
	if (group) {
		snprintf(target, sizeof(target), "../../../../kernel/iommu_groups/%s", group);
		snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/iommu_group", fx->root, bdf);
		assert_int_equal(symlink(target, path), 0);
	}
}

static int setup(void **state)
{
	static const char *const dirs[] = {"bus", "bus/pci", "bus/pci/devices"};
	struct fixture *fx = calloc(1, sizeof(*fx));
	char path[128];

	strcpy(fx->root, "/tmp/nvmux-sysfs-XXXXXX");
	assert_non_null(mkdtemp(fx->root));
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", fx->root, dirs[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	fx->paths = (struct pcie_paths){.sysfs = fx->root, .dev = fx->root};
	assert_int_equal(nvmux_create(NULL, &fx->nvmux), 0);
	fx->nvmux->transport_data[NVMUX_TRTYPE_PCIE] = &fx->paths;
	*state = fx;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	nvmux_destroy(fx->nvmux);
	nftw(fx->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(fx);
	return 0;
}

static void found(void *arg, const struct nvmux_trid *trid)
{
	struct fixture *fx = arg;

	assert_int_equal(trid->trtype, NVMUX_TRTYPE_PCIE);
	assert_true(fx->n_found < ARRAY_SIZE(fx->found));
	snprintf(fx->found[fx->n_found++], PCI_ADDRESS_SIZE, "%.12s", trid->traddr);
}

static void done(void *arg, int err, uint64_t value)
{
	struct fixture *fx = arg;

	fx->n_done++;
	fx->err = err;
}

static void enumerate(struct fixture *fx, const char *traddr)
{
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_PCIE};

	strcpy(trid.traddr, traddr);
	fx->n_found = fx->n_done = 0;
	pcie_vfio_transport.base.enumerate(fx->nvmux, &trid, found, done, fx);
	assert_int_equal(fx->n_done, 1);
}

static void only_ours(void **state)
{
	struct fixture *fx = *state;

	add_function(fx, "0000:03:00.0", "0x010802", "vfio-pci", "3");
	add_function(fx, "0000:02:00.0", "0x010802", "nvme", "2");
	add_function(fx, "0000:01:00.0", "0x020000", "vfio-pci", "1");
	add_function(fx, "0000:04:00.0", "0x010802", NULL, "4");
	add_function(fx, "0001:01:00.0", "0x010802", "vfio-pci", NULL);
	add_function(fx, "0000:00:1f.7", "0x010802", "vfio-pci", "5");
	add_function(fx, "0000:05:00.0", "rubbish", "vfio-pci", "5");
	add_function(fx, "not-an-address", "0x010802", "vfio-pci", "5");
	enumerate(fx, "");
	assert_int_equal(fx->err, 0);
	assert_int_equal(fx->n_found, 3);
	assert_string_equal(fx->found[0], "0000:00:1f.7");
	assert_string_equal(fx->found[1], "0000:03:00.0");
	assert_string_equal(fx->found[2], "0001:01:00.0");
}

/* An address is taken as it is, in its full form: attaching says what is wrong with it. */
static void by_address(void **state)
{
	struct fixture *fx = *state;

	enumerate(fx, "3:00.1");
	assert_int_equal(fx->err, 0);
	assert_int_equal(fx->n_found, 1);
	assert_string_equal(fx->found[0], "0000:03:00.1");
	enumerate(fx, "../../etc");
	assert_int_equal(fx->err, -EINVAL);
	assert_int_equal(fx->n_found, 0);
}

static void no_pci(void **state)
{
	struct fixture *fx = *state;

	fx->paths.sysfs = "/nonexistent";
	enumerate(fx, "");
	assert_int_equal(fx->err, 0);
	assert_int_equal(fx->n_found, 0);
}

static void refusals(void **state)
{
	static const struct {
		const char *bdf;
		int err;
		const char *word;
	} cases[] = {
		{"0000:01:00.0", -EBUSY, "nvme"},     {"0000:02:00.0", -EOPNOTSUPP, "IOMMU"},
		{"0000:03:00.0", -ENOENT, "vfio/33"}, {"0000:09:00.0", -ENODEV, "no such"},
		{"x", -EINVAL, "PCI address"},
	};
	struct fixture *fx = *state;
	struct nvmux_ctrlr *ctrlr;

	add_function(fx, "0000:01:00.0", "0x010802", "nvme", "1");
	add_function(fx, "0000:02:00.0", "0x010802", "vfio-pci", NULL);
	add_function(fx, "0000:03:00.0", "0x010802", "vfio-pci", "33");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_PCIE};

		strcpy(trid.traddr, cases[i].bdf);
		assert_int_equal(nvmux_connect(fx->nvmux, &trid, NULL, &ctrlr), cases[i].err);
		if (!strstr(nvmux_error_text(fx->nvmux), cases[i].word))
			fail_msg("\"%s\" doesn't say \"%s\"", nvmux_error_text(fx->nvmux),
				 cases[i].word);
	}
}

static void add_node(const struct fixture *fx, const char *bdf, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/numa_node", fx->root, bdf);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* By the address in whatever form; of other transports nothing is looked up. */
static void nodes(void **state)
{
	struct fixture *fx = *state;
	struct nvmux_ctrlr ctrlr = {.nvmux = fx->nvmux, .transport = &pcie_vfio_transport.base};

	add_function(fx, "0000:01:00.0", "0x010802", "vfio-pci", "1");
	add_function(fx, "0000:02:00.0", "0x010802", "vfio-pci", "2");
	add_function(fx, "0000:03:00.0", "0x010802", "vfio-pci", "3");
	add_node(fx, "0000:01:00.0", "3\n");
	add_node(fx, "0000:02:00.0", "-1\n");
	strcpy(ctrlr.trid.traddr, "1:00.0");
	assert_int_equal(nvmux_ctrlr_get_numa_id(&ctrlr), 3);
	strcpy(ctrlr.trid.traddr, "0000:02:00.0");
	assert_int_equal(nvmux_ctrlr_get_numa_id(&ctrlr), -1);
	strcpy(ctrlr.trid.traddr, "0000:03:00.0");
	assert_int_equal(nvmux_ctrlr_get_numa_id(&ctrlr), -1);
	strcpy(ctrlr.trid.traddr, "0000:09:00.0");
	assert_int_equal(nvmux_ctrlr_get_numa_id(&ctrlr), -1);
	ctrlr.transport = &pcie_vfio_user_transport.base;
	strcpy(ctrlr.trid.traddr, "0000:01:00.0");
	assert_int_equal(nvmux_ctrlr_get_numa_id(&ctrlr), -1);
}

static void quirks(void **state)
{
	assert_int_equal(pcie_quirks_of(0x8086, 0x0953), PCIE_QUIRK_DELAY_BEFORE_INIT);
	assert_int_equal(pcie_quirks_of(0x144d, 0xa822), PCIE_QUIRK_DELAY_BEFORE_RDY);
	assert_int_equal(pcie_quirks_of(0x80ee, 0x4e56), PCIE_QUIRK_DELAY_AFTER_QUEUE);
	assert_int_equal(pcie_quirks_of(0x144d, 0x0953), 0);
	assert_int_equal(pcie_quirks_of(0, 0), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(only_ours), TEST(by_address),         TEST(no_pci),
		TEST(refusals),  TEST(nodes), cmocka_unit_test(quirks),
	};

	return cmocka_run_group_tests_name("pcie_sysfs", tests, NULL, NULL);
}
