// SPDX-License-Identifier: BSD-3-Clause
/* The emulator's faults on demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "emulator/fault.h"
#include "emu_host.h"

#define SPEC        "mem,size=1M,serial=TEST1"
#define GENERIC(sc) NVMUX_STATUS(0, NVME_SC_##sc)
#define STATUS_MASK 0x7ff

static const struct nvmux_cmd flush = {.opc = nvme_cmd_flush, .nsid = 1};

static struct host *started(const char *description)
{
	struct host *host = host_new(description);

	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	return host;
}

static void set(struct host *host, const char *spec)
{
	char why[256] = "";

	if (emu_fault_set(host->ctrlr, spec, why, sizeof(why)))
		fail_msg("%s: %s", spec, why);
}

static uint16_t put(struct host *host, uint16_t qid, const struct nvmux_cmd *cmd)
{
	uint16_t cid = host_put(host, qid, cmd);

	host_ring(host, qid);
	emu_poll(host->ctrlr);
	return cid;
}

/* The next completion of a queue, within a second. */
static struct nvmux_cpl wait_for(struct host *host, uint16_t qid)
{
	struct nvmux_cpl cpl;

	for (int i = 0; i < 1000; i++) {
		emu_poll(host->ctrlr);
		if (host_take(host, qid, &cpl))
			return cpl;
		usleep(1000);
	}
	fail_msg("no completion");
	return cpl;
}

static bool nothing(struct host *host, uint16_t qid)
{
	struct nvmux_cpl cpl;

	emu_poll(host->ctrlr);
	return !host_take(host, qid, &cpl);
}

static void test_descriptions(void **state)
{
	static const char *const wrong[] = {
		"",           "nonsense",       "status",           "status=8000",
		"status=0",   "drop=1",         "drop:opc",         "drop:opc=100",
		"drop:qid=x", "drop:nth=0",     "drop:ms=99999999", "drop:color=1",
		"status=zz",  "delay:times=-1", "drop:opc=",
	};
	struct emu_fault f;
	char why[256];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		why[0] = '\0';
		assert_int_equal(emu_fault_parse(&f, wrong[i], why, sizeof(why)), -EINVAL);
		assert_true(why[0] != '\0');
	}
	assert_int_equal(emu_fault_parse(&f, "status=4002:opc=0a:qid=3:nth=2:times=7:ms=5", why,
					 sizeof(why)),
			 0);
	assert_int_equal(f.what, EMU_FAULT_STATUS);
	assert_int_equal(f.status, 0x4002);
	assert_int_equal(f.opc, 0x0a);
	assert_int_equal(f.qid, 3);
	assert_int_equal(f.nth, 2);
	assert_int_equal(f.times, 7);
	assert_int_equal(f.ms, 5);
	assert_int_equal(emu_fault_parse(&f, "drop", why, sizeof(why)), 0);
	assert_int_equal(f.times, 1);
	assert_int_equal(emu_fault_parse(&f, "allones", why, sizeof(why)), 0);
	assert_int_equal(f.times, 0);
}

static void test_list_and_clear(void **state)
{
	struct host *host = started(SPEC ",fault=drop:qid=1:opc=02;delay:nth=3:ms=7");
	char text[1024], why[256];

	emu_fault_list(host->ctrlr, text, sizeof(text));
	assert_non_null(strstr(text, "drop:opc=02:qid=1:nth=1:times=1\n"));
	assert_non_null(strstr(text, "delay:nth="));
	emu_fault_clear(host->ctrlr);
	assert_int_equal(emu_fault_list(host->ctrlr, text, sizeof(text)), 0);
	for (int i = 0; i < EMU_FAULTS_MAX; i++)
		set(host, "drop:qid=7");
	assert_int_equal(emu_fault_set(host->ctrlr, "drop:qid=7", why, sizeof(why)), -ENOSPC);
	/* It doesn't concern other queues. */
	assert_int_equal(host_do(host, 1, &flush, NULL), 0);
	host_free(host);
}

static void test_drop(void **state)
{
	struct host *host = started(SPEC);

	set(host, "drop:qid=1:nth=2:times=2");
	assert_int_equal(host_do(host, 1, &flush, NULL), 0);
	put(host, 1, &flush);
	put(host, 1, &flush);
	assert_true(nothing(host, 1));
	assert_int_equal(host_do(host, 1, &flush, NULL), 0);
	host_free(host);
}

static void test_delay_and_abort(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd abort_cmd = {.opc = nvme_admin_abort_cmd};
	struct nvmux_cpl cpl;
	uint32_t dw0 = 9;
	uint16_t cid;

	set(host, "delay:qid=1:ms=30");
	cid = put(host, 1, &flush);
	assert_true(nothing(host, 1));
	assert_true(emu_has_background(host->ctrlr));
	cpl = wait_for(host, 1);
	assert_int_equal(le16_to_cpu(cpl.cid), cid);
	assert_int_equal(nvmux_cpl_status(&cpl), 0);
	assert_false(emu_has_background(host->ctrlr));
	/* aborted before it is due */
	set(host, "delay:qid=1:ms=60000");
	cid = put(host, 1, &flush);
	abort_cmd.cdw10 = cpu_to_le32((uint32_t)cid << 16 | 1);
	assert_int_equal(host_do(host, 0, &abort_cmd, &dw0), 0);
	assert_int_equal(dw0, 0);
	assert_true(host_take(host, 1, &cpl));
	assert_int_equal(le16_to_cpu(cpl.cid), cid);
	assert_int_equal(nvmux_cpl_status(&cpl) & STATUS_MASK, GENERIC(ABORT_REQ));
	assert_int_equal(host_do(host, 0, &abort_cmd, &dw0), 0);
	assert_int_equal(dw0, 1);
	/* and one that ends with its queue */
	set(host, "delay:qid=1:ms=60000");
	put(host, 1, &flush);
	abort_cmd = host_delete(nvme_admin_delete_sq, 1);
	assert_int_equal(host_do(host, 0, &abort_cmd, NULL), 0);
	assert_false(emu_has_background(host->ctrlr));
	host_free(host);
}

static void test_duplicate_reorder_badcid(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cpl cpl;
	uint16_t first, second;

	set(host, "duplicate:qid=1");
	first = put(host, 1, &flush);
	for (int i = 0; i < 2; i++) {
		assert_true(host_take(host, 1, &cpl));
		assert_int_equal(le16_to_cpu(cpl.cid), first);
	}
	assert_true(nothing(host, 1));
	set(host, "reorder:qid=1");
	first = put(host, 1, &flush);
	assert_true(nothing(host, 1));
	second = put(host, 1, &flush);
	assert_true(host_take(host, 1, &cpl));
	assert_int_equal(le16_to_cpu(cpl.cid), second);
	assert_true(host_take(host, 1, &cpl));
	assert_int_equal(le16_to_cpu(cpl.cid), first);
	/* nothing comes after it */
	set(host, "reorder:qid=1:ms=10");
	first = put(host, 1, &flush);
	cpl = wait_for(host, 1);
	assert_int_equal(le16_to_cpu(cpl.cid), first);
	set(host, "badcid:qid=1");
	first = put(host, 1, &flush);
	assert_true(host_take(host, 1, &cpl));
	assert_int_equal(le16_to_cpu(cpl.cid), first ^ 0x8000);
	host_free(host);
}

static void test_status(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd write = host_rw(nvme_cmd_write, 1, 0, 1, host_iova(HOST_DATA_PAGE), 0);
	struct nvmux_cmd read = host_rw(nvme_cmd_read, 1, 0, 1, host_iova(HOST_DATA_PAGE + 1), 0);
	struct nvmux_cpl cpl;

	memset(host_page(host, HOST_DATA_PAGE), 0x55, HOST_PAGE);
	set(host, "status=5821:opc=01");
	put(host, 1, &write);
	assert_true(host_take(host, 1, &cpl));
	/* with its retry delay and Do Not Retry */
	assert_int_equal(nvmux_cpl_status(&cpl) & 0x5fff, 0x5821);
	/* It wasn't executed. */
	memset(host_page(host, HOST_DATA_PAGE + 1), 0xaa, HOST_PAGE);
	assert_int_equal(host_do(host, 1, &read, NULL), 0);
	assert_int_equal(host_page(host, HOST_DATA_PAGE + 1)[0], 0);
	assert_int_equal(host_do(host, 1, &write, NULL), 0);
	host_free(host);
}

static void test_missed_interrupt(void **state)
{
	struct host *host = started(SPEC);
	uint32_t before;

	before = host->irqs[1];
	set(host, "missirq:qid=1");
	assert_int_equal(host_do(host, 1, &flush, NULL), 0);
	assert_int_equal(host->irqs[1], before);
	assert_int_equal(host_do(host, 1, &flush, NULL), 0);
	assert_int_equal(host->irqs[1], before + 1);
	host_free(host);
}

static void test_short_identify(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd id = host_identify(1, 0, HOST_DATA_PAGE);

	memset(host_page(host, HOST_DATA_PAGE), 0xaa, HOST_PAGE);
	set(host, "shortidentify");
	assert_int_equal(host_do(host, 1, &flush, NULL), 0);
	assert_int_equal(host_do(host, 0, &id, NULL), 0);
	assert_memory_equal(host_page(host, HOST_DATA_PAGE) + 4, "TEST1", 5);
	for (uint32_t i = 256; i < HOST_PAGE; i++)
		assert_int_equal(host_page(host, HOST_DATA_PAGE)[i], 0xaa);
	assert_int_equal(host_do(host, 0, &id, NULL), 0);
	assert_int_equal(host_page(host, HOST_DATA_PAGE)[512], 0x66);
	host_free(host);
}

static uint32_t csts(struct host *host)
{
	return (uint32_t)emu_reg_read(host->ctrlr, NVME_REG_CSTS, 4);
}

static void test_fatal_status(void **state)
{
	struct host *host = started(SPEC);

	set(host, "cfs");
	assert_int_equal(csts(host), 3);
	put(host, 1, &flush);
	assert_true(nothing(host, 1));
	/* Disabling helps. */
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(csts(host), 0);
	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	/* by a command of an I/O queue */
	set(host, "cfs:qid=1:nth=2");
	assert_int_equal(host_do(host, 1, &flush, NULL), 0);
	assert_int_equal(csts(host), 1);
	put(host, 1, &flush);
	assert_true(nothing(host, 1));
	assert_int_equal(csts(host), 3);
	host_free(host);
	/* set before it is enabled */
	host = host_new(SPEC ",fault=cfs");
	assert_int_equal(host_enable(host), 3);
	host_free(host);
}

static void test_all_ones(void **state)
{
	struct host *host = started(SPEC);

	set(host, "allones");
	assert_int_equal(csts(host), UINT32_MAX);
	assert_true(emu_reg_read(host->ctrlr, NVME_REG_CAP, 8) == UINT64_MAX);
	put(host, 1, &flush);
	assert_true(nothing(host, 1));
	emu_fault_clear(host->ctrlr);
	assert_int_equal(csts(host), 1);
	wait_for(host, 1);
	set(host, "allones:ms=20");
	assert_int_equal(csts(host), UINT32_MAX);
	usleep(25000);
	assert_int_equal(csts(host), 1);
	/* as if it had been pulled out, until the connection ends */
	set(host, "truncate:qid=1");
	assert_int_equal(csts(host), 1);
	put(host, 1, &flush);
	assert_int_equal(csts(host), UINT32_MAX);
	emu_fault_clear(host->ctrlr);
	assert_int_equal(csts(host), UINT32_MAX);
	emu_fault_end_connection(host->ctrlr);
	assert_int_equal(csts(host), 1);
	host_free(host);
}

static void test_stuck_ready(void **state)
{
	struct host *host = started(SPEC);

	set(host, "stuckready");
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(csts(host), 1);
	emu_fault_clear(host->ctrlr);
	assert_int_equal(csts(host), 0);
	set(host, "stuckready:ms=20");
	assert_int_equal(host_enable(host), 0);
	usleep(25000);
	assert_int_equal(csts(host), 1);
	host_free(host);
}

static void test_bad_length(void **state)
{
	struct host *host = started(SPEC);

	assert_false(emu_fault_bad_length(host->ctrlr, 9));
	set(host, "badlen:opc=09:nth=2");
	assert_false(emu_fault_bad_length(host->ctrlr, 9));
	assert_false(emu_fault_bad_length(host->ctrlr, 10));
	/* Commands of queues have nothing to do with it. */
	assert_int_equal(host_do(host, 1, &flush, NULL), 0);
	assert_true(emu_fault_bad_length(host->ctrlr, 9));
	assert_false(emu_fault_bad_length(host->ctrlr, 9));
	host_free(host);
}

/* Each fault, and then the controller is reset and destroyed in the middle of it. */
static void test_end_in_the_middle(void **state)
{
	static const char *const specs[] = {
		"drop:times=0",      "delay:times=0:ms=60000",
		"duplicate:times=0", "reorder:times=0:ms=60000",
		"badcid:times=0",    "status=2:times=0",
		"missirq:times=0",   "cfs:nth=1",
		"allones:nth=1",     "truncate:nth=1",
		"stuckready",
	};
	struct host *host;

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		host = started(SPEC);
		set(host, specs[i]);
		for (int j = 0; j < 20; j++)
			put(host, 1, &flush);
		put(host, 0, &flush);
		emu_ctrlr_reset(host->ctrlr);
		emu_fault_clear(host->ctrlr);
		emu_fault_end_connection(host->ctrlr);
		assert_int_equal(host_enable(host), 1);
		host_create_queues(host, 1);
		assert_int_equal(host_do(host, 1, &flush, NULL), 0);
		set(host, specs[i]);
		for (int j = 0; j < 20; j++)
			put(host, 1, &flush);
		host_free(host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptions),
		cmocka_unit_test(test_list_and_clear),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_delay_and_abort),
		cmocka_unit_test(test_duplicate_reorder_badcid),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_missed_interrupt),
		cmocka_unit_test(test_short_identify),
		cmocka_unit_test(test_fatal_status),
		cmocka_unit_test(test_all_ones),
		cmocka_unit_test(test_stuck_ready),
		cmocka_unit_test(test_bad_length),
		cmocka_unit_test(test_end_in_the_middle),
	};

	return cmocka_run_group_tests_name("emu_fault", tests, NULL, NULL);
}
