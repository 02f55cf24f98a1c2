// SPDX-License-Identifier: BSD-3-Clause
/* The emulator's flexible data placement, and streams that writes open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "emu_host.h"

#define GENERIC(sc)  NVMUX_STATUS(0, NVME_SC_##sc)
#define SPECIFIC(sc) NVMUX_STATUS(1, NVME_SC_##sc)
#define DATA         HOST_DATA_PAGE
#define UNIT         (16u << 20 >> 9) /* blocks of a reclaim unit */
#define STREAMS      (1u << 20)       /* DTYPE */
#define PLACEMENT    (2u << 20)
#define FDP          "mem,size=64M,bs=512,fdp=4"

static struct host *started(const char *description)
{
	struct host *host = host_new(description);

	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	return host;
}

static uint16_t mgmt(struct host *host, uint8_t opc, uint32_t cdw10, uint32_t len)
{
	struct nvmux_cmd cmd = {
		.opc = opc,
		.nsid = cpu_to_le32(1),
		.dptr = {cpu_to_le64(host_iova(DATA))},
		.cdw10 = cpu_to_le32(cdw10),
		.cdw11 = cpu_to_le32(len / 4 - 1),
	};

	return host_do(host, 1, &cmd, NULL);
}

static uint16_t admin(struct host *host, uint8_t opc, uint32_t nsid, uint32_t cdw10, uint32_t cdw11,
		      uint32_t cdw12)
{
	struct nvmux_cmd cmd = {
		.opc = opc,
		.nsid = cpu_to_le32(nsid),
		.dptr = {cpu_to_le64(host_iova(DATA))},
		.cdw10 = cpu_to_le32(cdw10),
		.cdw11 = cpu_to_le32(cdw11),
		.cdw12 = cpu_to_le32(cdw12),
	};

	return host_do(host, 0, &cmd, NULL);
}

/* 8 blocks. */
static uint16_t write_to(struct host *host, uint32_t dtype, uint16_t id)
{
	struct nvmux_cmd cmd = host_rw(nvme_cmd_write, 1, 0, 8, host_iova(DATA), 0);

	cmd.cdw12 = cpu_to_le32(le32_to_cpu(cmd.cdw12) | dtype);
	cmd.cdw13 = cpu_to_le32((uint32_t)id << 16);
	return host_do(host, 1, &cmd, NULL);
}

static uint64_t left(struct host *host, uint32_t handle)
{
	const uint8_t *d = host_page(host, DATA) + 16 + (size_t)handle * 32;
	uint16_t n, pid, ruh;
	uint64_t blocks;

	memset(host_page(host, DATA), 0xee, 4096);
	assert_int_equal(mgmt(host, nvme_cmd_io_mgmt_recv, 1, 16 + 4 * 32), 0);
	memcpy(&n, host_page(host, DATA) + 14, 2);
	memcpy(&pid, d, 2);
	memcpy(&ruh, d + 2, 2);
	memcpy(&blocks, d + 8, 8);
	assert_int_equal(le16toh(n), 4);
	assert_int_equal(le16toh(pid), handle);
	assert_int_equal(le16toh(ruh), handle);
	assert_int_equal(host_page(host, DATA)[16 + 4 * 32], 0xee);
	return le64toh(blocks);
}

static void test_handles(void **state)
{
	struct host *host = started(FDP);
	uint16_t ids[2] = {htole16(1), htole16(3)};

	assert_int_equal(left(host, 0), UNIT);
	assert_int_equal(write_to(host, 0, 0), 0);
	assert_int_equal(write_to(host, PLACEMENT, 1), 0);
	assert_int_equal(write_to(host, PLACEMENT, 1), 0);
	assert_int_equal(write_to(host, PLACEMENT, 77), 0); /* none: the default */
	assert_int_equal(left(host, 0), UNIT - 16);
	assert_int_equal(left(host, 1), UNIT - 16);
	assert_int_equal(left(host, 2), UNIT);
	memcpy(host_page(host, DATA), ids, sizeof(ids));
	assert_int_equal(mgmt(host, nvme_cmd_io_mgmt_send, 1u << 16 | 1, 4), 0);
	assert_int_equal(left(host, 0), UNIT - 16);
	assert_int_equal(left(host, 1), UNIT);
	for (uint32_t i = 0; i < UNIT / 8; i++)
		assert_int_equal(write_to(host, PLACEMENT, 2), 0);
	assert_int_equal(left(host, 2), UNIT); /* another one */
	/* nothing, and what there isn't */
	assert_int_equal(mgmt(host, nvme_cmd_io_mgmt_recv, 0, 4), 0);
	assert_int_equal(mgmt(host, nvme_cmd_io_mgmt_send, 0, 4), 0);
	assert_int_equal(mgmt(host, nvme_cmd_io_mgmt_recv, 0xff, 4), GENERIC(INVALID_FIELD));
	assert_int_equal(mgmt(host, nvme_cmd_io_mgmt_send, 2, 4), GENERIC(INVALID_FIELD));
	assert_int_equal(mgmt(host, nvme_cmd_io_mgmt_send, 4u << 16 | 1, 4),
			 GENERIC(INVALID_FIELD));
	ids[1] = htole16(4);
	memcpy(host_page(host, DATA), ids, sizeof(ids));
	assert_int_equal(mgmt(host, nvme_cmd_io_mgmt_send, 1u << 16 | 1, 4),
			 GENERIC(INVALID_FIELD));
	host_free(host);
}

static void test_offered(void **state)
{
	struct host *host = started(FDP);
	const struct nvme_id_ctrl *id = (const void *)host_page(host, DATA);
	const struct nvme_fdp_config_log *log = (const void *)id;
	const struct nvme_fdp_ruhu_log *usage = (const void *)id;
	const struct nvme_fdp_stats_log *stats = (const void *)id;

	assert_int_equal(admin(host, nvme_admin_identify, 0, NVME_IDENTIFY_CNS_CTRL, 0, 0), 0);
	assert_true(le32_to_cpu(id->ctratt) & NVME_CTRL_CTRATT_FDPS);
	assert_int_equal(le16_to_cpu(id->endgidmax), 1);
	assert_int_equal(admin(host, nvme_admin_get_features, 0, NVME_FEAT_FID_FDP, 1, 0), 0);
	assert_int_equal(admin(host, nvme_admin_get_features, 0, NVME_FEAT_FID_FDP, 2, 0),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, nvme_admin_set_features, 0, NVME_FEAT_FID_FDP, 1, 0),
			 GENERIC(CMD_SEQ_ERROR));
	assert_int_equal(
		admin(host, nvme_admin_get_log_page, 0, 255u << 16 | 0x20, 1u << 16, 0), 0);
	assert_int_equal(le16toh(log->configs[0].nruh), 4);
	assert_int_equal(le16toh(log->configs[0].maxpids), 3);
	assert_int_equal(le64toh(log->configs[0].runs), UNIT * 512ull);
	assert_int_equal(admin(host, nvme_admin_get_log_page, 0, 255u << 16 | 0x20, 0, 0),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(write_to(host, PLACEMENT, 2), 0);
	assert_int_equal(
		admin(host, nvme_admin_get_log_page, 0, 255u << 16 | 0x21, 1u << 16, 0), 0);
	assert_int_equal(usage->ruhus[1].ruha, 0);
	assert_int_equal(usage->ruhus[2].ruha, 1);
	assert_int_equal(
		admin(host, nvme_admin_get_log_page, 0, 15u << 16 | 0x22, 1u << 16, 0), 0);
	assert_int_equal(stats->hbmw[0] | stats->hbmw[1] << 8, 4096);
	for (uint8_t lid = 0x09; lid; lid = lid == 0x09 ? 0x23 : 0)
		assert_int_equal(
			admin(host, nvme_admin_get_log_page, 0, 15u << 16 | lid, 1u << 16, 0), 0);
	host_free(host);
}

static void test_not_offered(void **state)
{
	struct host *host = started("mem,size=1M");

	assert_int_equal(mgmt(host, nvme_cmd_io_mgmt_recv, 1, 64), GENERIC(INVALID_OPCODE));
	assert_int_equal(mgmt(host, nvme_cmd_io_mgmt_send, 1, 64), GENERIC(INVALID_OPCODE));
	assert_int_equal(write_to(host, PLACEMENT, 0), GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, nvme_admin_get_features, 0, NVME_FEAT_FID_FDP, 1, 0),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, nvme_admin_get_log_page, 0, 15u << 16 | 0x20, 1u << 16, 0),
			 SPECIFIC(INVALID_LOG_PAGE));
	host_free(host);
}

/* ---- streams ---- */

static uint32_t open_streams(struct host *host)
{
	uint16_t n;

	assert_int_equal(admin(host, nvme_admin_directive_recv, 1, 1023, 2 | 1u << 8, 0), 0);
	memcpy(&n, host_page(host, DATA), 2);
	return le16toh(n);
}

static void test_streams(void **state)
{
	struct host *host = started("mem,size=1M");
	uint16_t id;

	assert_int_equal(write_to(host, STREAMS, 5), GENERIC(INVALID_FIELD)); /* not enabled */
	assert_int_equal(admin(host, nvme_admin_directive_send, 1, 0, 1, 1u << 8 | 1), 0);
	assert_int_equal(write_to(host, STREAMS, 0), 0);
	assert_int_equal(open_streams(host), 0);
	assert_int_equal(write_to(host, STREAMS, 5), 0);
	assert_int_equal(write_to(host, STREAMS, 5), 0);
	assert_int_equal(write_to(host, STREAMS, 6), 0);
	assert_int_equal(open_streams(host), 2);
	/* release one */
	assert_int_equal(admin(host, nvme_admin_directive_send, 1, 0, 1 | 1u << 8 | 5u << 16, 0),
			 0);
	assert_int_equal(open_streams(host), 1);
	/* more than there can be: the oldest goes */
	for (uint16_t i = 100; i < 116; i++)
		assert_int_equal(write_to(host, STREAMS, i), 0);
	assert_int_equal(open_streams(host), 16);
	memcpy(&id, host_page(host, DATA) + 2, 2);
	assert_int_equal(le16toh(id), 100);
	host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handles),
		cmocka_unit_test(test_offered),
		cmocka_unit_test(test_not_offered),
		cmocka_unit_test(test_streams),
	};

	return cmocka_run_group_tests_name("emulator placement", tests, NULL, NULL);
}
