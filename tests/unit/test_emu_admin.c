// SPDX-License-Identifier: BSD-3-Clause
/*
 * The emulator's admin command set beyond what each driver needs: namespaces, format, sanitize,
 * firmware, security, directives, self-test, memory of the host, arbitration, subsystem reset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "emu_host.h"
#include "emulator/internal.h"

#define SPEC         "mem,size=1M+mem,size=4M,bs=4096,serial=TEST1"
#define GENERIC(sc)  NVMUX_STATUS(0, NVME_SC_##sc)
#define SPECIFIC(sc) NVMUX_STATUS(1, NVME_SC_##sc)
#define DATA         HOST_DATA_PAGE
#define NS_EVENT     (2u | 0u << 8 | 4u << 16) /* notice, attribute changed, its log page */

static struct host *started(const char *description)
{
	struct host *host = host_new(description);

	assert_int_equal(host_enable(host), 1);
	return host;
}

/* An admin command with one page of data. */
static uint16_t admin(struct host *host, uint8_t opc, uint32_t nsid, uint32_t cdw10, uint32_t cdw11,
		      uint32_t *ret_dw0)
{
	struct nvmux_cmd cmd = {
		.opc = opc,
		.nsid = cpu_to_le32(nsid),
		.dptr = {cpu_to_le64(host_iova(DATA)), cpu_to_le64(host_iova(DATA + 1))},
		.cdw10 = cpu_to_le32(cdw10),
		.cdw11 = cpu_to_le32(cdw11),
	};

	return host_do(host, 0, &cmd, ret_dw0);
}

static uint8_t *data(struct host *host)
{
	return host_page(host, DATA);
}

static void get_log(struct host *host, uint8_t lid, uint32_t len)
{
	assert_int_equal(
		admin(host, nvme_admin_get_log_page, 0, (len / 4 - 1) << 16 | lid, 0, NULL), 0);
}

static void identify(struct host *host, uint32_t cns, uint32_t nsid)
{
	assert_int_equal(admin(host, nvme_admin_identify, nsid, cns, 0, NULL), 0);
}

static void put_aer(struct host *host)
{
	struct nvmux_cmd aer = {.opc = nvme_admin_async_event};

	host_put(host, 0, &aer);
	host_ring(host, 0);
	emu_poll(host->ctrlr);
}

static void expect_event(struct host *host, uint32_t dw0)
{
	struct nvmux_cpl cpl;

	for (int i = 0; i < 1000; i++) {
		emu_poll(host->ctrlr);
		if (host_take(host, 0, &cpl)) {
			assert_int_equal(nvmux_cpl_status(&cpl), 0);
			assert_int_equal(le32_to_cpu(cpl.dw0), dw0);
			return;
		}
		usleep(1000);
	}
	fail_msg("no event");
}

static uint16_t write_block(struct host *host, uint32_t nsid, uint8_t value)
{
	struct nvmux_cmd cmd = host_rw(nvme_cmd_write, nsid, 0, 1, host_iova(DATA + 2), 0);

	memset(host_page(host, DATA + 2), value, HOST_PAGE);
	return host_do(host, 1, &cmd, NULL);
}

static uint16_t read_block(struct host *host, uint32_t nsid, uint8_t *ret_value)
{
	struct nvmux_cmd cmd = host_rw(nvme_cmd_read, nsid, 0, 1, host_iova(DATA + 3), 0);
	uint16_t status;

	memset(host_page(host, DATA + 3), 0xee, HOST_PAGE);
	status = host_do(host, 1, &cmd, NULL);
	*ret_value = host_page(host, DATA + 3)[17];
	return status;
}

/* ---- namespaces ---- */

static void describe_ns(struct host *host, uint64_t nsze, uint8_t flbas)
{
	struct nvme_id_ns *id = (struct nvme_id_ns *)(void *)data(host);

	memset(id, 0, sizeof(*id));
	id->nsze = id->ncap = cpu_to_le64(nsze);
	id->flbas = flbas;
}

static uint16_t create_ns(struct host *host, uint32_t *ret_nsid)
{
	return admin(host, nvme_admin_ns_mgmt, 0, 0, 0, ret_nsid);
}

static uint16_t attach(struct host *host, uint32_t nsid, bool detach, uint16_t n, uint16_t id)
{
	uint16_t *list = (uint16_t *)(void *)data(host);

	memset(list, 0, HOST_PAGE);
	list[0] = htole16(n);
	list[1] = htole16(id);
	return admin(host, nvme_admin_ns_attach, nsid, detach, 0, NULL);
}

static void test_namespace_life(void **state)
{
	struct host *host = started(SPEC);
	const __le32 *list = (const void *)data(host);
	uint32_t nsid = 0;
	uint8_t value;

	host_create_queues(host, 1);
	assert_int_equal(
		admin(host, nvme_admin_set_features, 0, NVME_FEAT_FID_ASYNC_EVENT, 1 << 8, NULL),
		0);
	put_aer(host);
	describe_ns(host, 2048, 0);
	assert_int_equal(create_ns(host, &nsid), 0);
	assert_int_equal(nsid, 3);
	/* allocated, not active */
	identify(host, NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, 0);
	assert_int_equal(le32_to_cpu(list[2]), 0);
	identify(host, NVME_IDENTIFY_CNS_ALLOCATED_NS_LIST, 0);
	assert_int_equal(le32_to_cpu(list[2]), 3);
	identify(host, NVME_IDENTIFY_CNS_ALLOCATED_NS, 3);
	assert_int_equal(le64_to_cpu(((struct nvme_id_ns *)(void *)data(host))->nsze), 2048);
	identify(host, NVME_IDENTIFY_CNS_NS, 3);
	assert_int_equal(le64_to_cpu(((struct nvme_id_ns *)(void *)data(host))->nsze), 0);
	assert_int_not_equal(write_block(host, 3, 1), 0);
	/* attached */
	assert_int_equal(attach(host, 3, true, 1, 1), SPECIFIC(NS_NOT_ATTACHED));
	assert_int_equal(attach(host, 3, false, 0, 1), SPECIFIC(CTRL_LIST_INVALID));
	assert_int_equal(attach(host, 3, false, 1, 7), SPECIFIC(CTRL_LIST_INVALID));
	assert_int_equal(attach(host, 9, false, 1, 1), GENERIC(INVALID_NS));
	assert_int_equal(attach(host, 3, false, 1, 1), 0);
	expect_event(host, NS_EVENT);
	assert_int_equal(attach(host, 3, false, 1, 1), SPECIFIC(NS_ALREADY_ATTACHED));
	get_log(host, NVME_LOG_LID_CHANGED_NS, 4096);
	assert_int_equal(le32_to_cpu(list[0]), 3);
	assert_int_equal(le32_to_cpu(list[1]), 0);
	get_log(host, NVME_LOG_LID_CHANGED_NS, 4096);
	assert_int_equal(le32_to_cpu(list[0]), 0);
	assert_int_equal(write_block(host, 3, 0x77), 0);
	assert_int_equal(read_block(host, 3, &value), 0);
	assert_int_equal(value, 0x77);
	/* detached: the data stays */
	put_aer(host);
	assert_int_equal(attach(host, 3, true, 1, 1), 0);
	expect_event(host, NS_EVENT);
	assert_int_not_equal(read_block(host, 3, &value), 0);
	assert_int_equal(attach(host, 3, false, 1, 1), 0);
	assert_int_equal(read_block(host, 3, &value), 0);
	assert_int_equal(value, 0x77);
	/* deleted */
	assert_int_equal(admin(host, nvme_admin_ns_mgmt, 3, 1, 0, NULL), 0);
	assert_int_equal(admin(host, nvme_admin_ns_mgmt, 3, 1, 0, NULL), GENERIC(INVALID_NS));
	assert_int_not_equal(read_block(host, 3, &value), 0);
	assert_int_equal(read_block(host, 1, &value), 0);
	host_free(host);
}

static void test_namespace_limits(void **state)
{
	struct host *host = started(SPEC);
	struct nvme_id_ctrl *id = (struct nvme_id_ctrl *)(void *)data(host);
	uint64_t spare;
	uint32_t nsid;

	identify(host, NVME_IDENTIFY_CNS_CTRL, 0);
	memcpy(&spare, id->unvmcap, 8);
	assert_true(spare >= 1u << 20);
	describe_ns(host, spare / 512 + 1, 0);
	assert_int_equal(create_ns(host, &nsid), SPECIFIC(NS_INSUFFICIENT_CAP));
	describe_ns(host, 0, 0);
	assert_int_equal(create_ns(host, &nsid), GENERIC(INVALID_FIELD));
	describe_ns(host, 16, 0xf);
	assert_int_equal(create_ns(host, &nsid), SPECIFIC(INVALID_FORMAT));
	describe_ns(host, 16, 3u << 5 | 3); /* index 51 */
	assert_int_equal(create_ns(host, &nsid), SPECIFIC(INVALID_FORMAT));
	describe_ns(host, 16, 0);
	((struct nvme_id_ns *)(void *)data(host))->ncap = cpu_to_le64(8);
	assert_int_equal(create_ns(host, &nsid), SPECIFIC(THIN_PROV_NOT_SUPP));
	describe_ns(host, 16, 0);
	assert_int_equal(admin(host, nvme_admin_ns_mgmt, 0, 0, 1u << 24, &nsid),
			 SPECIFIC(INVALID_IOCS));
	assert_int_equal(admin(host, nvme_admin_ns_mgmt, 0, 5, 0, &nsid), GENERIC(INVALID_FIELD));
	/* as many as there are identifiers */
	for (int i = 0; i < 16; i++) {
		describe_ns(host, 2048, 0);
		assert_int_equal(create_ns(host, &nsid), 0);
	}
	describe_ns(host, 2048, 0);
	assert_int_equal(create_ns(host, &nsid), SPECIFIC(NS_ID_UNAVAILABLE));
	identify(host, NVME_IDENTIFY_CNS_CTRL, 0);
	assert_true(memcmp(id->unvmcap, &(uint64_t){spare - 16 * 2048 * 512}, 8) == 0);
	/* all of them */
	assert_int_equal(admin(host, nvme_admin_ns_mgmt, NVME_NSID_ALL, 1, 0, NULL), 0);
	identify(host, NVME_IDENTIFY_CNS_ALLOCATED_NS_LIST, 0);
	assert_int_equal(data(host)[0], 0);
	host_free(host);
}

static void test_format(void **state)
{
	struct host *host = started(SPEC);
	const struct nvme_id_ns *id = (const void *)data(host);
	uint32_t other = 0;
	uint8_t value;

	host_create_queues(host, 1);
	assert_int_equal(write_block(host, 1, 0x99), 0);
	assert_int_equal(write_block(host, 2, 0x99), 0);
	identify(host, NVME_IDENTIFY_CNS_NS, 1);
	for (uint32_t i = 0; i <= id->nlbaf; i++) {
		if (id->lbaf[i].ds == 12 && !id->lbaf[i].ms)
			other = i;
	}
	assert_int_equal(admin(host, nvme_admin_format_nvm, 1, other | 1 << 9, 0, NULL), 0);
	identify(host, NVME_IDENTIFY_CNS_NS, 1);
	assert_int_equal(id->lbaf[id->flbas & 0xf].ds, 12);
	assert_int_equal(le64_to_cpu(id->nsze), 256);
	assert_int_equal(read_block(host, 1, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(read_block(host, 2, &value), 0);
	assert_int_equal(value, 0x99);
	assert_int_equal(admin(host, nvme_admin_format_nvm, NVME_NSID_ALL, other, 0, NULL), 0);
	assert_int_equal(read_block(host, 2, &value), 0);
	assert_int_equal(value, 0);
	/* what isn't right */
	assert_int_equal(admin(host, nvme_admin_format_nvm, 1, 0xf, 0, NULL),
			 SPECIFIC(INVALID_FORMAT));
	assert_int_equal(admin(host, nvme_admin_format_nvm, 1, other | 1 << 5, 0, NULL),
			 SPECIFIC(INVALID_FORMAT));
	assert_int_equal(admin(host, nvme_admin_format_nvm, 1, 7 << 9, 0, NULL),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, nvme_admin_format_nvm, 77, 0, 0, NULL), GENERIC(INVALID_NS));
	host_free(host);
}

/* ---- sanitize and self-test ---- */

static void test_sanitize(void **state)
{
	struct host *host = started(SPEC);
	const struct nvme_sanitize_log_page *log = (const void *)data(host);
	uint16_t last = 0;
	uint8_t value;
	int polls = 0;

	host_create_queues(host, 1);
	get_log(host, NVME_LOG_LID_SANITIZE, 512);
	assert_int_equal(le16_to_cpu(log->sstat) & 7, NVME_SANITIZE_SSTAT_STATUS_NEVER_SANITIZED);
	assert_int_equal(write_block(host, 1, 0x44), 0);
	assert_int_equal(admin(host, nvme_admin_sanitize_nvm, 0, 5, 0, NULL),
			 GENERIC(INVALID_FIELD));
	put_aer(host);
	assert_int_equal(admin(host, nvme_admin_sanitize_nvm, 0, 2, 0, NULL), 0);
	/* refused meanwhile, and not */
	assert_int_equal(read_block(host, 1, &value), GENERIC(SANITIZE_IN_PROGRESS));
	assert_int_equal(admin(host, nvme_admin_sanitize_nvm, 0, 2, 0, NULL),
			 GENERIC(SANITIZE_IN_PROGRESS));
	assert_int_equal(admin(host, nvme_admin_format_nvm, 1, 0, 0, NULL),
			 GENERIC(SANITIZE_IN_PROGRESS));
	identify(host, NVME_IDENTIFY_CNS_CTRL, 0);
	do {
		get_log(host, NVME_LOG_LID_SANITIZE, 512);
		assert_true(le16_to_cpu(log->sprog) >= last);
		last = le16_to_cpu(log->sprog);
		polls++;
		usleep(20000);
	} while ((le16_to_cpu(log->sstat) & 7) == NVME_SANITIZE_SSTAT_STATUS_IN_PROGESS &&
		 polls < 100);
	assert_true(polls > 3);
	assert_int_equal(le16_to_cpu(log->sstat), 0x101);
	assert_int_equal(le16_to_cpu(log->sprog), 0xffff);
	assert_int_equal(le32_to_cpu(log->scdw10), 2);
	expect_event(host, 6u | 1u << 8 | 0x81u << 16);
	assert_int_equal(read_block(host, 1, &value), 0);
	assert_int_equal(value, 0);
	/* an overwrite that leaves its pattern there */
	assert_int_equal(
		admin(host, nvme_admin_sanitize_nvm, 0, 3 | 2 << 4 | 1 << 9, 0x5a5a5a5a, NULL), 0);
	/* It goes on across a reset. */
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	assert_int_equal(read_block(host, 1, &value), GENERIC(SANITIZE_IN_PROGRESS));
	usleep(320000);
	get_log(host, NVME_LOG_LID_SANITIZE, 512);
	assert_int_equal(le16_to_cpu(log->sstat), 0x100 | 2 << 3 | 1);
	assert_int_equal(read_block(host, 1, &value), 0);
	assert_int_equal(value, 0x5a);
	host_free(host);
}

static void test_self_test(void **state)
{
	struct host *host = started(SPEC);
	const struct nvme_self_test_log *log = (const void *)data(host);

	get_log(host, NVME_LOG_LID_DEVICE_SELF_TEST, 564);
	assert_int_equal(log->current_operation, 0);
	assert_int_equal(log->result[0].dsts, 0xf);
	assert_int_equal(admin(host, nvme_admin_dev_self_test, 0, 7, 0, NULL),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, nvme_admin_dev_self_test, 77, 1, 0, NULL),
			 GENERIC(INVALID_NS));
	assert_int_equal(admin(host, nvme_admin_dev_self_test, 1, 1, 0, NULL), 0);
	assert_int_equal(admin(host, nvme_admin_dev_self_test, 1, 1, 0, NULL),
			 SPECIFIC(SELF_TEST_IN_PROGRESS));
	usleep(50000);
	get_log(host, NVME_LOG_LID_DEVICE_SELF_TEST, 564);
	assert_int_equal(log->current_operation, 1);
	assert_true(log->completion > 0 && log->completion < 100);
	usleep(300000);
	get_log(host, NVME_LOG_LID_DEVICE_SELF_TEST, 564);
	assert_int_equal(log->current_operation, 0);
	assert_int_equal(log->result[0].dsts, 0x10);
	assert_int_equal(le32_to_cpu(log->result[0].nsid), 1);
	/* aborted by a command, and by a reset */
	assert_int_equal(admin(host, nvme_admin_dev_self_test, NVME_NSID_ALL, 2, 0, NULL), 0);
	assert_int_equal(admin(host, nvme_admin_dev_self_test, 0, 0xf, 0, NULL), 0);
	assert_int_equal(admin(host, nvme_admin_dev_self_test, 0, 1, 0, NULL), 0);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(host_enable(host), 1);
	get_log(host, NVME_LOG_LID_DEVICE_SELF_TEST, 564);
	assert_int_equal(log->result[0].dsts, 0x12);
	assert_int_equal(log->result[1].dsts, 0x21);
	assert_int_equal(log->result[2].dsts, 0x10);
	host_free(host);
}

/* ---- firmware ---- */

static uint16_t download(struct host *host, const char *revision, uint32_t len, uint32_t offset)
{
	memset(data(host), 'x', 2 * HOST_PAGE);
	memcpy(data(host), revision, strlen(revision));
	return admin(host, nvme_admin_fw_download, 0, len / 4 - 1, offset / 4, NULL);
}

static void expect_firmware(struct host *host, const char *revision)
{
	identify(host, NVME_IDENTIFY_CNS_CTRL, 0);
	assert_memory_equal(((struct nvme_id_ctrl *)(void *)data(host))->fr, revision, 8);
}

static uint16_t commit(struct host *host, uint32_t slot, uint32_t action)
{
	return admin(host, nvme_admin_fw_commit, 0, slot | action << 3, 0, NULL);
}

static void test_firmware(void **state)
{
	struct host *host = started(SPEC);

	assert_int_equal(commit(host, 2, 1), SPECIFIC(FIRMWARE_IMAGE));
	/* granularity, room, overlap */
	assert_int_equal(download(host, "A       ", 4096, 512), GENERIC(INVALID_FIELD));
	assert_int_equal(download(host, "A       ", 4096, 1 << 20), GENERIC(INVALID_FIELD));
	assert_int_equal(download(host, "REV2.0  ", 8192, 0), 0);
	assert_int_equal(download(host, "xxxx", 4096, 4096), SPECIFIC(OVERLAPPING_RANGE));
	/* a gap */
	assert_int_equal(download(host, "xxxx", 4096, 12288), 0);
	assert_int_equal(commit(host, 2, 1), SPECIFIC(FIRMWARE_IMAGE));
	assert_int_equal(download(host, "xxxx", 4096, 8192), 0);
	assert_int_equal(commit(host, 1, 1), SPECIFIC(FIRMWARE_SLOT));
	assert_int_equal(commit(host, 4, 1), SPECIFIC(FIRMWARE_SLOT));
	assert_int_equal(commit(host, 2, 5), GENERIC(INVALID_FIELD));
	assert_int_equal(commit(host, 2, 1), 0);
	get_log(host, NVME_LOG_LID_FW_SLOT, 512);
	assert_int_equal(data(host)[0], 1 | 2 << 4);
	assert_memory_equal(data(host) + 16, "REV2.0  ", 8);
	expect_firmware(host, NVMUX_VERSION "   ");
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(host_enable(host), 1);
	expect_firmware(host, "REV2.0  ");
	/* a last piece that is shorter than the granularity, which nothing follows */
	assert_int_equal(download(host, "REV3.0  ", 4096, 0), 0);
	assert_int_equal(download(host, "xxxx", 512, 4096), 0);
	assert_int_equal(download(host, "xxxx", 4096, 8192), GENERIC(INVALID_FIELD));
	assert_int_equal(download(host, "xxxx", 512, 4096), SPECIFIC(OVERLAPPING_RANGE));
	/* another slot, at once, and back */
	assert_int_equal(commit(host, 3, 3), 0);
	expect_firmware(host, "REV3.0  ");
	assert_int_equal(commit(host, 1, 2), 0);
	emu_reg_write(host->ctrlr, NVME_REG_NSSR, 4, 0x4e564d65);
	assert_int_equal(host_enable(host), 1 | 1 << 4);
	expect_firmware(host, NVMUX_VERSION "   ");
	host_free(host);
}

/* BPRSEL, and how it ended. */
static uint32_t read_boot(struct host *host, uint32_t id, uint32_t offset, uint32_t len)
{
	emu_reg_write(host->ctrlr, NVME_REG_BPRSEL, 4,
		      id << 31 | offset / 4096 << 10 | len / 4096);
	return NVME_BPINFO_BRS((uint32_t)emu_reg_read(host->ctrlr, NVME_REG_BPINFO, 4));
}

static void test_boot_partitions(void **state)
{
	struct host *host = started(SPEC);
	uint32_t info;

	assert_int_equal(NVME_CAP_BPS(emu_reg_read(host->ctrlr, NVME_REG_CAP, 8)), 1);
	info = (uint32_t)emu_reg_read(host->ctrlr, NVME_REG_BPINFO, 4);
	assert_int_equal(info, EMU_BOOT_SIZE >> 17);
	/* nothing downloaded; a gap; too much */
	assert_int_equal(commit(host, 0, 6), SPECIFIC(FIRMWARE_IMAGE));
	assert_int_equal(download(host, "\x01 no text", 4096, 4096), 0);
	assert_int_equal(commit(host, 0, 6), SPECIFIC(FIRMWARE_IMAGE));
	assert_int_equal(download(host, "\x01 no text", 4096, 0), 0);
	assert_int_equal(admin(host, nvme_admin_fw_commit, 0, 6 << 3 | 1u << 31, 0, NULL), 0);
	assert_int_equal(commit(host, 2, 1), SPECIFIC(FIRMWARE_IMAGE)); /* the image is used up */
	/* also while it is disabled */
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	emu_reg_write(host->ctrlr, NVME_REG_BPMBL, 8, host_iova(DATA));
	memset(data(host), 0xff, 2 * HOST_PAGE);
	assert_int_equal(read_boot(host, 1, 0, 4096), NVME_BPINFO_BRS_READ_SUCCESS);
	assert_memory_equal(data(host), "\x01 no text", 9);
	assert_int_equal(data(host)[HOST_PAGE], 0xff);
	assert_int_equal(read_boot(host, 1, 8192, 4096), NVME_BPINFO_BRS_READ_SUCCESS);
	assert_int_equal(emu_reg_read(host->ctrlr, NVME_REG_BPRSEL, 4), 1u << 31 | 2 << 10 | 1);
	assert_int_equal(data(host)[0] | data(host)[4095], 0);
	memset(data(host), 0xff, HOST_PAGE);
	assert_int_equal(read_boot(host, 0, 0, 4096), NVME_BPINFO_BRS_READ_SUCCESS);
	assert_int_equal(data(host)[0] | data(host)[4095], 0);
	/* beyond the end, nothing, no such memory */
	assert_int_equal(read_boot(host, 1, EMU_BOOT_SIZE - 4096, 4096),
			 NVME_BPINFO_BRS_READ_SUCCESS);
	assert_int_equal(read_boot(host, 1, EMU_BOOT_SIZE - 4096, 8192),
			 NVME_BPINFO_BRS_READ_ERROR);
	assert_int_equal(read_boot(host, 1, 0, 0), NVME_BPINFO_BRS_READ_ERROR);
	emu_reg_write(host->ctrlr, NVME_REG_BPMBL, 8, 0x7ffffffff000);
	assert_int_equal(read_boot(host, 1, 0, 4096), NVME_BPINFO_BRS_READ_ERROR);
	assert_int_equal(host_enable(host), 1);
	assert_int_equal(admin(host, nvme_admin_fw_commit, 0, 7 << 3 | 1u << 31, 0, NULL), 0);
	info = (uint32_t)emu_reg_read(host->ctrlr, NVME_REG_BPINFO, 4);
	assert_int_equal(NVME_BPINFO_ABPID(info), 1);
	host_free(host);
}

/* ---- security and directives ---- */

static void test_security(void **state)
{
	static const uint8_t protocols[] = {0, 0, 0, 0, 0, 0, 0, 1, 0};
	struct host *host = started(SPEC);

	memset(data(host), 0xaa, HOST_PAGE);
	assert_int_equal(admin(host, nvme_admin_security_recv, 0, 0, 512, NULL), 0);
	assert_memory_equal(data(host), protocols, sizeof(protocols));
	assert_int_equal(data(host)[9], 0xaa);
	assert_int_equal(admin(host, nvme_admin_security_recv, 0, 1u << 8, 512, NULL), 0);
	assert_int_equal(admin(host, nvme_admin_security_recv, 0, 9u << 8, 512, NULL),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, nvme_admin_security_recv, 0, 0xefu << 24, 512, NULL),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, nvme_admin_security_send, 0, 0, 512, NULL),
			 GENERIC(INVALID_FIELD));
	host_free(host);
}

static uint16_t directive(struct host *host, uint8_t opc, uint32_t nsid, uint32_t cdw11,
			  uint32_t cdw12, uint32_t *ret_dw0)
{
	struct nvmux_cmd cmd = {
		.opc = opc,
		.nsid = cpu_to_le32(nsid),
		.dptr = {cpu_to_le64(host_iova(DATA))},
		.cdw10 = cpu_to_le32(1023),
		.cdw11 = cpu_to_le32(cdw11),
		.cdw12 = cpu_to_le32(cdw12),
	};

	memset(data(host), 0, HOST_PAGE);
	return host_do(host, 0, &cmd, ret_dw0);
}

static void test_directives(void **state)
{
	const uint8_t send = nvme_admin_directive_send, receive = nvme_admin_directive_recv;
	struct host *host = started(SPEC);
	const struct nvme_streams_directive_params *p = (const void *)data(host);
	uint32_t dw0 = 0;

	assert_int_equal(directive(host, receive, 1, 1, 0, NULL), 0);
	assert_int_equal(data(host)[0], 3);
	assert_int_equal(data(host)[32], 1);
	assert_int_equal(directive(host, receive, 1, 1 << 8 | 1, 0, NULL), GENERIC(INVALID_FIELD));
	assert_int_equal(directive(host, send, 1, 1, 1 << 8 | 1, NULL), 0);
	assert_int_equal(directive(host, receive, 1, 1, 0, NULL), 0);
	assert_int_equal(data(host)[32], 3);
	assert_int_equal(directive(host, receive, 1, 1 << 8 | 3, 4, &dw0), 0);
	assert_int_equal(dw0, 4);
	assert_int_equal(directive(host, receive, 1, 1 << 8 | 1, 0, NULL), 0);
	assert_int_equal(le16_to_cpu(p->msl), 16);
	assert_int_equal(le16_to_cpu(p->nssa), 12);
	assert_int_equal(le16_to_cpu(p->nsa), 4);
	assert_int_equal(directive(host, receive, 1, 1 << 8 | 2, 0, NULL), 0);
	assert_int_equal(data(host)[0], 0);
	assert_int_equal(directive(host, send, 1, 1 << 8 | 2, 0, NULL), 0);
	assert_int_equal(directive(host, receive, 2, 1, 0, NULL), 0);
	assert_int_equal(data(host)[32], 1);
	assert_int_equal(directive(host, receive, 9, 1, 0, NULL), GENERIC(INVALID_NS));
	assert_int_equal(directive(host, send, 1, 1, 7 << 8 | 1, NULL), GENERIC(INVALID_FIELD));
	host_free(host);
}

/* ---- memory of the host ---- */

static void test_doorbell_buffers(void **state)
{
	struct nvmux_cmd cmd = {.opc = nvme_admin_dbbuf},
			 flush = {.opc = nvme_cmd_flush, .nsid = 1};
	struct host *host = started(SPEC ",queues=4");
	uint32_t *shadow = (uint32_t *)(void *)host_page(host, DATA + 8);
	uint32_t *events = (uint32_t *)(void *)host_page(host, DATA + 9);
	struct nvmux_cpl cpl;

	host_create_queues(host, 1);
	cmd.dptr[0] = cpu_to_le64(HOST_NOWHERE);
	cmd.dptr[1] = cpu_to_le64(host_iova(DATA + 9));
	assert_int_equal(host_do(host, 0, &cmd, NULL), GENERIC(INVALID_FIELD));
	cmd.dptr[0] = cpu_to_le64(host_iova(DATA + 8));
	assert_int_equal(host_do(host, 0, &cmd, NULL), 0);
	/* The doorbell itself no longer counts. */
	host_put(host, 1, &flush);
	host_ring(host, 1);
	assert_int_equal(emu_poll(host->ctrlr), 0);
	shadow[2] = 1;
	assert_int_equal(emu_poll(host->ctrlr), 1);
	assert_int_equal(events[2], 1);
	assert_true(host_take(host, 1, &cpl));
	shadow[3] = 1;
	host_put(host, 1, &flush);
	shadow[2] = 2;
	assert_int_equal(emu_poll(host->ctrlr), 1);
	assert_int_equal(events[3], 1);
	/* The admin queue is as before, and a reset ends it. */
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	assert_int_equal(host_do(host, 1, &flush, NULL), 0);
	/* Memory that goes takes the controller with it. */
	assert_int_equal(host_do(host, 0, &cmd, NULL), 0);
	emu_dma_changed(host->ctrlr, host_iova(DATA + 9), HOST_PAGE);
	assert_int_equal(emu_reg_read(host->ctrlr, NVME_REG_CSTS, 4) & 2, 2);
	host_free(host);
}

static uint16_t set_hmb(struct host *host, uint32_t flags, uint32_t pages, uint32_t n)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_set_features,
		.cdw10 = cpu_to_le32(NVME_FEAT_FID_HOST_MEM_BUF),
		.cdw11 = cpu_to_le32(flags),
		.cdw12 = cpu_to_le32(pages),
		.cdw13 = cpu_to_le32((uint32_t)host_iova(DATA)),
		.cdw15 = cpu_to_le32(n),
	};

	return host_do(host, 0, &cmd, NULL);
}

static void test_host_memory_buffer(void **state)
{
	struct host *host = started(SPEC ",hmb=128K");
	const struct nvme_id_ctrl *id = (const void *)data(host);
	struct {
		__le64 address;
		__le64 pages;
	} *list = (void *)data(host);
	uint32_t dw0 = 0;

	identify(host, NVME_IDENTIFY_CNS_CTRL, 0);
	assert_int_equal(le32_to_cpu(id->hmpre), 32);
	assert_int_equal(le32_to_cpu(id->hmmin), 16);
	memset(list, 0, HOST_PAGE);
	list[0].address = cpu_to_le64(host_iova(DATA + 100));
	list[0].pages = cpu_to_le64(16);
	list[1].address = cpu_to_le64(host_iova(DATA + 200));
	list[1].pages = cpu_to_le64(16);
	assert_int_equal(set_hmb(host, 1, 31, 2), GENERIC(INVALID_FIELD)); /* not the sum */
	assert_int_equal(set_hmb(host, 1, 8, 1), GENERIC(INVALID_FIELD));  /* below HMMIN */
	assert_int_equal(set_hmb(host, 1, 32, 99), GENERIC(INVALID_FIELD));
	list[1].address = cpu_to_le64(host_iova(DATA + 115));
	assert_int_equal(set_hmb(host, 1, 32, 2), GENERIC(INVALID_FIELD)); /* overlap */
	list[1].address = cpu_to_le64(HOST_NOWHERE);
	assert_int_equal(set_hmb(host, 1, 32, 2), GENERIC(DATA_XFER_ERROR));
	list[1].address = cpu_to_le64(host_iova(DATA + 200));
	assert_int_equal(set_hmb(host, 1, 32, 2), 0);
	assert_int_equal(set_hmb(host, 1, 32, 2), GENERIC(CMD_SEQ_ERROR));
	assert_int_equal(
		admin(host, nvme_admin_get_features, 0, NVME_FEAT_FID_HOST_MEM_BUF, 0, &dw0), 0);
	assert_int_equal(dw0, 1);
	assert_int_equal(data(host)[0], 32);
	/* Somebody writes there. */
	put_aer(host);
	host_page(host, DATA + 200)[3] ^= 1;
	identify(host, NVME_IDENTIFY_CNS_CTRL, 0);
	expect_event(host, 0 | 3 << 8 | 1 << 16);
	host_free(host);
	/* not asked for */
	host = started(SPEC);
	assert_int_equal(set_hmb(host, 1, 32, 2), GENERIC(INVALID_FIELD));
	host_free(host);
}

/* ---- health, retry delay, arbitration, reset ---- */

static void test_health(void **state)
{
	struct host *host = started(SPEC);
	const struct nvme_smart_log *log = (const void *)data(host);
	char why[256] = "";

	assert_int_equal(
		admin(host, nvme_admin_set_features, 0, NVME_FEAT_FID_ASYNC_EVENT, 0x1f, NULL), 0);
	put_aer(host);
	assert_int_equal(emu_smart_set(host->ctrlr, "temperature=400", why, sizeof(why)), 0);
	expect_event(host, 1 | 1 << 8 | 2 << 16);
	get_log(host, NVME_LOG_LID_SMART, 512);
	assert_int_equal(log->critical_warning, 2);
	assert_int_equal(log->temperature[0] | log->temperature[1] << 8, 400);
	put_aer(host);
	assert_int_equal(
		emu_smart_set(host->ctrlr, "spare=3 used=120 temperature=300", why, sizeof(why)),
		0);
	expect_event(host, 1 | 2 << 8 | 2 << 16);
	get_log(host, NVME_LOG_LID_SMART, 512);
	assert_int_equal(log->critical_warning, 1);
	assert_int_equal(log->percent_used, 120);
	put_aer(host);
	assert_int_equal(emu_smart_set(host->ctrlr, "warning=8", why, sizeof(why)), 0);
	expect_event(host, 1 | 0 << 8 | 2 << 16);
	assert_int_equal(emu_smart_set(host->ctrlr, "warning=80", why, sizeof(why)), -EINVAL);
	assert_int_equal(emu_smart_set(host->ctrlr, "colour=1", why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "colour"));
	host_free(host);
}

static void test_host_behavior(void **state)
{
	struct host *host = started(SPEC);

	memset(data(host), 0, HOST_PAGE);
	data(host)[0] = 1;
	assert_int_equal(
		admin(host, nvme_admin_set_features, 0, NVME_FEAT_FID_HOST_BEHAVIOR, 0, NULL), 0);
	data(host)[0] = 2;
	assert_int_equal(
		admin(host, nvme_admin_set_features, 0, NVME_FEAT_FID_HOST_BEHAVIOR, 0, NULL),
		GENERIC(INVALID_FIELD));
	assert_int_equal(
		admin(host, nvme_admin_get_features, 0, NVME_FEAT_FID_HOST_BEHAVIOR, 0, NULL), 0);
	assert_int_equal(data(host)[0], 1);
	host_free(host);
}

static void create_sq(struct host *host, uint16_t qid, uint8_t priority)
{
	struct nvmux_cmd cmd = host_create_sq(host, qid, HOST_ENTRIES);

	cmd.cdw11 = cpu_to_le32(1u << 16 | (uint32_t)priority << 1 | 1);
	assert_int_equal(host_do(host, 0, &cmd, NULL), 0);
}

static void test_arbitration(void **state)
{
	struct nvmux_cmd flush = {.opc = nvme_cmd_flush, .nsid = 1};
	/* urgent; then twice as many of high as of medium, and of medium as of low */
	static const char order[] = "1111"
				    "22223343344"
				    "4";
	struct host *host = host_new(SPEC ",wrr=1,queues=8");
	struct nvmux_cmd cq;
	struct nvmux_cpl cpl;

	assert_int_equal(NVME_CAP_AMS(emu_reg_read(host->ctrlr, NVME_REG_CAP, 8)), 1);
	host_enable(host);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 4u << 20 | 6u << 16 | 1u << 11 | 1);
	assert_int_equal(emu_reg_read(host->ctrlr, NVME_REG_CSTS, 4), 1);
	host->queues[0].tail = host->queues[0].head = 0;
	host->queues[0].phase = 1;
	memset(host->queues[0].cq, 0, HOST_PAGE);
	/* weights 4, 2, 1 and a burst of 1 */
	assert_int_equal(admin(host, nvme_admin_set_features, 0, NVME_FEAT_FID_ARBITRATION,
			       3u << 24 | 1u << 16 | 0u << 8, NULL),
			 0);
	cq = host_create_cq(host, 1, HOST_ENTRIES);
	assert_int_equal(host_do(host, 0, &cq, NULL), 0);
	for (uint16_t qid = 1; qid <= 4; qid++) {
		create_sq(host, qid, (uint8_t)(qid - 1));
		for (int i = 0; i < 4; i++)
			host_put(host, qid, &flush);
		host_ring(host, qid);
	}
	while (emu_poll(host->ctrlr))
		;
	for (size_t i = 0; i < sizeof(order) - 1; i++) {
		assert_true(host_take(host, 1, &cpl));
		assert_int_equal(le16_to_cpu(cpl.sqid), order[i] - '0');
	}
	host_free(host);
	/* not offered */
	host = host_new(SPEC);
	host_enable(host);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 4u << 20 | 6u << 16 | 1u << 11 | 1);
	assert_int_equal(emu_reg_read(host->ctrlr, NVME_REG_CSTS, 4), 2);
	host_free(host);
}

static void test_subsystem_reset(void **state)
{
	struct host *host = started(SPEC);

	emu_reg_write(host->ctrlr, NVME_REG_NSSR, 4, 0x12345678);
	assert_int_equal(emu_reg_read(host->ctrlr, NVME_REG_CSTS, 4), 1);
	emu_reg_write(host->ctrlr, NVME_REG_NSSR, 4, 0x4e564d65);
	assert_int_equal(emu_reg_read(host->ctrlr, NVME_REG_CSTS, 4), 1 << 4);
	assert_int_equal(emu_reg_read(host->ctrlr, NVME_REG_CC, 4), 0);
	assert_false(emu_is_running(host->ctrlr));
	assert_int_equal(host_enable(host), 1 | 1 << 4);
	/* It stays until the host clears it. */
	emu_reg_write(host->ctrlr, NVME_REG_CSTS, 4, 1 << 4);
	assert_int_equal(emu_reg_read(host->ctrlr, NVME_REG_CSTS, 4), 1);
	host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespace_life),   cmocka_unit_test(test_namespace_limits),
		cmocka_unit_test(test_format),           cmocka_unit_test(test_sanitize),
		cmocka_unit_test(test_self_test),        cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_boot_partitions),
		cmocka_unit_test(test_security),         cmocka_unit_test(test_directives),
		cmocka_unit_test(test_doorbell_buffers), cmocka_unit_test(test_host_memory_buffer),
		cmocka_unit_test(test_health),           cmocka_unit_test(test_host_behavior),
		cmocka_unit_test(test_arbitration),      cmocka_unit_test(test_subsystem_reset),
	};

	return cmocka_run_group_tests_name("emu_admin", tests, NULL, NULL);
}
