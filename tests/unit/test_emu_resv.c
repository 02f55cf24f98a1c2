// SPDX-License-Identifier: BSD-3-Clause
/*
 * The emulator's reservations. One controller serves one host at a time; the next one comes after a
 * reset, with another identifier.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "emu_host.h"

#define GENERIC(sc) NVMUX_STATUS(0, NVME_SC_##sc)
#define CONFLICT    GENERIC(RESERVATION_CONFLICT)
#define DATA        HOST_DATA_PAGE
#define REPORT      (HOST_DATA_PAGE + 8)
#define IEKEY       8u
#define KEY_A       0xaaaa0001u
#define KEY_B       0xbbbb0002u

static void become(struct host *host, uint8_t id)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_set_features,
		.dptr = {cpu_to_le64(host_iova(DATA))},
		.cdw10 = cpu_to_le32(NVME_FEAT_FID_HOST_ID),
		.cdw11 = cpu_to_le32(1),
	};

	emu_ctrlr_reset(host->ctrlr);
	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	if (!id)
		return;
	memset(host_page(host, DATA), id, 16);
	assert_int_equal(host_do(host, 0, &cmd, NULL), 0);
}

static uint16_t resv(struct host *host, uint8_t opc, uint32_t cdw10, uint64_t crkey, uint64_t key)
{
	uint64_t *keys = (uint64_t *)(void *)host_page(host, DATA);
	struct nvmux_cmd cmd = {
		.opc = opc,
		.nsid = cpu_to_le32(1),
		.dptr = {cpu_to_le64(host_iova(DATA))},
		.cdw10 = cpu_to_le32(cdw10),
	};

	keys[0] = htole64(crkey);
	keys[1] = htole64(key);
	return host_do(host, 1, &cmd, NULL);
}

static uint16_t reg(struct host *host, uint32_t action, uint64_t crkey, uint64_t nrkey)
{
	return resv(host, nvme_cmd_resv_register, action, crkey, nrkey);
}

static uint16_t acquire(struct host *host, uint32_t action, uint32_t type, uint64_t crkey,
			uint64_t prkey)
{
	return resv(host, nvme_cmd_resv_acquire, type << 8 | action, crkey, prkey);
}

static uint16_t release(struct host *host, uint32_t action, uint32_t type, uint64_t crkey)
{
	return resv(host, nvme_cmd_resv_release, type << 8 | action, crkey, 0);
}

static uint16_t rw(struct host *host, uint8_t opc)
{
	struct nvmux_cmd cmd = host_rw(opc, 1, 0, 1, host_iova(DATA + 1), 0);

	return host_do(host, 1, &cmd, NULL);
}

static const uint8_t *report(struct host *host)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_cmd_resv_report,
		.nsid = cpu_to_le32(1),
		.dptr = {cpu_to_le64(host_iova(REPORT))},
		.cdw10 = cpu_to_le32(1023),
		.cdw11 = cpu_to_le32(1),
	};

	memset(host_page(host, REPORT), 0, HOST_PAGE);
	assert_int_equal(host_do(host, 1, &cmd, NULL), 0);
	return host_page(host, REPORT);
}

static void test_register(void **state)
{
	struct host *host = host_new("mem,size=1M");
	struct nvmux_cmd cmd = {.opc = nvme_cmd_resv_report,
				.nsid = cpu_to_le32(1),
				.dptr = {cpu_to_le64(host_iova(REPORT))},
				.cdw10 = cpu_to_le32(15)};
	const uint8_t *p;

	become(host, 0);
	assert_int_equal(reg(host, 0, 0, KEY_A), GENERIC(CMD_SEQ_ERROR));
	become(host, 1);
	assert_int_equal(reg(host, 0, 0, 0), GENERIC(INVALID_FIELD));
	assert_int_equal(reg(host, 3, 0, KEY_A), GENERIC(INVALID_FIELD));
	assert_int_equal(reg(host, 3u << 30, 0, KEY_A), GENERIC(INVALID_FIELD)); /* persistent */
	assert_int_equal(reg(host, 1, KEY_A, 0), CONFLICT);
	assert_int_equal(reg(host, 0, 0, KEY_A), 0);
	assert_int_equal(reg(host, 0, 0, KEY_A), 0);
	assert_int_equal(reg(host, 0, 0, KEY_B), CONFLICT);
	assert_int_equal(reg(host, 2, KEY_B, KEY_B), CONFLICT);
	assert_int_equal(reg(host, 2 | IEKEY, 0, KEY_B), 0);
	p = report(host);
	assert_int_equal(p[0], 3); /* generation */
	assert_int_equal(p[4], 0);
	assert_int_equal(p[5], 1);
	assert_int_equal(p[64], 1); /* controller */
	assert_int_equal(p[64 + 8], KEY_B & 0xff);
	assert_int_equal(p[64 + 16], 1); /* host */
	assert_int_equal(host_do(host, 1, &cmd, NULL), GENERIC(HOSTID_FORMAT));
	assert_int_equal(reg(host, 1, KEY_B, 0), 0);
	assert_int_equal(report(host)[5], 0);
	host_free(host);
}

/* What a registrant and a host that isn't one may do while the first host holds it. */
static void check_type(uint32_t type, bool reg_read, bool reg_write, bool other_read)
{
	struct host *host = host_new("mem,size=1M");

	become(host, 1);
	assert_int_equal(reg(host, 0, 0, KEY_A), 0);
	assert_int_equal(acquire(host, 0, type, KEY_A, 0), 0);
	assert_int_equal(acquire(host, 0, type, KEY_A, 0), 0);
	assert_int_equal(acquire(host, 0, type % 6 + 1, KEY_A, 0), CONFLICT);
	assert_int_equal(rw(host, nvme_cmd_read), 0);
	assert_int_equal(rw(host, nvme_cmd_write), 0);
	become(host, 2);
	assert_int_equal(report(host)[4], type);
	assert_int_equal(report(host)[64], 0xff); /* not here now */
	assert_int_equal(report(host)[66], 1);
	assert_int_equal(rw(host, nvme_cmd_read), other_read ? 0 : CONFLICT);
	assert_int_equal(rw(host, nvme_cmd_compare), other_read ? 0 : CONFLICT);
	assert_int_equal(rw(host, nvme_cmd_write), CONFLICT);
	assert_int_equal(rw(host, nvme_cmd_write_zeroes), CONFLICT);
	assert_int_equal(rw(host, nvme_cmd_write_uncor), CONFLICT);
	assert_int_equal(rw(host, nvme_cmd_dsm), CONFLICT);
	assert_int_equal(rw(host, nvme_cmd_copy), CONFLICT);
	assert_int_equal(rw(host, nvme_cmd_flush), CONFLICT);
	assert_int_equal(acquire(host, 0, type, KEY_B, 0), CONFLICT);
	assert_int_equal(release(host, 0, type, KEY_B), CONFLICT);
	assert_int_equal(reg(host, 0, 0, KEY_B), 0);
	assert_int_equal(rw(host, nvme_cmd_read), reg_read ? 0 : CONFLICT);
	assert_int_equal(rw(host, nvme_cmd_write), reg_write ? 0 : CONFLICT);
	assert_int_equal(release(host, 0, type == 6 ? 5 : 6, KEY_B),
			 type >= 5 ? GENERIC(INVALID_FIELD) : 0);
	assert_int_equal(report(host)[4], type);
	become(host, 1);
	assert_int_equal(release(host, 0, type, KEY_A), 0);
	assert_int_equal(report(host)[4], 0);
	become(host, 3);
	assert_int_equal(rw(host, nvme_cmd_write), 0);
	host_free(host);
}

static void test_types(void **state)
{
	check_type(1, true, false, true);
	check_type(2, false, false, false);
	check_type(3, true, true, true);
	check_type(4, true, true, false);
	check_type(5, true, true, true);
	check_type(6, true, true, false);
}

static void test_preempt(void **state)
{
	struct host *host = host_new("mem,size=1M");

	become(host, 1);
	assert_int_equal(reg(host, 0, 0, KEY_A), 0);
	assert_int_equal(acquire(host, 0, 1, KEY_A, 0), 0);
	become(host, 2);
	assert_int_equal(reg(host, 0, 0, KEY_B), 0);
	assert_int_equal(acquire(host, 1, 2, KEY_A, KEY_A), CONFLICT);
	assert_int_equal(acquire(host, 1, 2, KEY_B, 0x999), CONFLICT);
	assert_int_equal(acquire(host, 1, 2, KEY_B, 0), GENERIC(INVALID_FIELD));
	assert_int_equal(acquire(host, 1, 0, KEY_B, KEY_A), GENERIC(INVALID_FIELD));
	assert_int_equal(acquire(host, 1, 7, KEY_B, KEY_A), GENERIC(INVALID_FIELD));
	assert_int_equal(acquire(host, 1 | IEKEY, 2, KEY_B, KEY_A), GENERIC(INVALID_FIELD));
	assert_int_equal(acquire(host, 2, 2, KEY_B, KEY_A), 0);
	assert_int_equal(report(host)[4], 2);
	assert_int_equal(report(host)[5], 1);
	assert_int_equal(report(host)[0], 3);
	become(host, 1);
	assert_int_equal(rw(host, nvme_cmd_read), CONFLICT);
	assert_int_equal(reg(host, 0, 0, KEY_A), 0);
	/* the holder goes: so does its reservation */
	become(host, 2);
	assert_int_equal(reg(host, 1, KEY_B, 0), 0);
	assert_int_equal(report(host)[4], 0);
	become(host, 1);
	assert_int_equal(acquire(host, 0, 6, KEY_A, 0), 0);
	become(host, 2);
	assert_int_equal(reg(host, 0, 0, KEY_B), 0);
	assert_int_equal(acquire(host, 1, 1, KEY_B, 0), 0); /* of all registrants: all but this */
	assert_int_equal(report(host)[4], 1);
	assert_int_equal(report(host)[5], 1);
	assert_int_equal(release(host, 1, 0, KEY_A), CONFLICT);
	assert_int_equal(release(host, 2, 0, KEY_B), GENERIC(INVALID_FIELD));
	assert_int_equal(release(host, 1, 0, KEY_B), 0);
	assert_int_equal(report(host)[4], 0);
	assert_int_equal(report(host)[5], 0);
	host_free(host);
}

static const struct nvme_resv_notification_log *notice(struct host *host)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_log_page,
		.nsid = cpu_to_le32(NVME_NSID_ALL),
		.dptr = {cpu_to_le64(host_iova(REPORT))},
		.cdw10 = cpu_to_le32((64 / 4 - 1) << 16 | NVME_LOG_LID_RESERVATION),
	};

	memset(host_page(host, REPORT), 0xff, HOST_PAGE);
	assert_int_equal(host_do(host, 0, &cmd, NULL), 0);
	return (const void *)host_page(host, REPORT);
}

static void check_notice(struct host *host, uint64_t count, uint8_t type, uint8_t more)
{
	const struct nvme_resv_notification_log *log = notice(host);

	assert_int_equal(le64_to_cpu(log->lpc), count);
	assert_int_equal(log->rnlpt, type);
	assert_int_equal(log->nalp, more);
	assert_int_equal(le32_to_cpu(log->nsid), type ? 1 : 0);
}

static uint16_t mask(struct host *host, uint8_t opc, uint32_t nsid, uint32_t value, uint32_t *ret)
{
	struct nvmux_cmd cmd = {
		.opc = opc,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32(NVME_FEAT_FID_RESV_MASK),
		.cdw11 = cpu_to_le32(value),
	};

	return host_do(host, 0, &cmd, ret);
}

/* The event of a notice that waited for the host, with a request sent after it came back. */
static void check_event(struct host *host, bool expected)
{
	struct nvmux_cmd cmd = {.opc = nvme_admin_async_event};
	struct nvmux_cpl cpl;
	bool got = false;

	host_put(host, 0, &cmd);
	host_ring(host, 0);
	for (int i = 0; i < 4 && !got; i++) {
		emu_poll_queue(host->ctrlr, 0);
		got = host_take(host, 0, &cpl);
	}
	assert_int_equal(got, expected);
	if (got)
		assert_int_equal(le32_to_cpu(cpl.dw0), 6 | NVME_LOG_LID_RESERVATION << 16);
}

/* Two hosts: what each does to the other, the other reads when it is back. */
static void test_notices(void **state)
{
	struct host *host = host_new("mem,size=1M");
	uint32_t value = 9;

	become(host, 1);
	assert_int_equal(reg(host, 0, 0, KEY_A), 0);
	assert_int_equal(acquire(host, 0, 3, KEY_A, 0), 0);
	check_notice(host, 0, 0, 0);
	become(host, 2);
	assert_int_equal(reg(host, 0, 0, KEY_B), 0);
	become(host, 1);
	assert_int_equal(release(host, 0, 3, KEY_A), 0);
	check_notice(host, 0, 0, 0); /* of its own doing it isn't told */
	assert_int_equal(release(host, 1, 0, KEY_A), 0);
	become(host, 2);
	check_event(host, true);
	check_notice(host, 1, NVME_RESV_NOTIFY_RNLPT_RESERVATION_RELEASED, 1);
	check_notice(host, 2, NVME_RESV_NOTIFY_RNLPT_RESERVATION_PREEMPTED, 0);
	check_notice(host, 0, 0, 0);
	assert_int_equal(reg(host, 0, 0, KEY_B), 0);
	become(host, 1);
	check_event(host, false);
	assert_int_equal(reg(host, 0, 0, KEY_A), 0);
	assert_int_equal(acquire(host, 1, 1, KEY_A, KEY_B), 0);
	become(host, 2);
	check_notice(host, 1, NVME_RESV_NOTIFY_RNLPT_REGISTRATION_PREEMPTED, 0);
	/* masked: nothing */
	assert_int_equal(reg(host, 0, 0, KEY_B), 0);
	assert_int_equal(mask(host, nvme_admin_set_features, 2, 2, NULL), GENERIC(INVALID_NS));
	assert_int_equal(mask(host, nvme_admin_set_features, 1, 1, NULL), GENERIC(INVALID_FIELD));
	assert_int_equal(mask(host, nvme_admin_set_features, 1, 2, NULL), 0);
	assert_int_equal(mask(host, nvme_admin_get_features, 1, 0, &value), 0);
	assert_int_equal(value, 2);
	become(host, 1);
	assert_int_equal(mask(host, nvme_admin_get_features, 1, 0, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(acquire(host, 1, 1, KEY_A, KEY_B), 0);
	become(host, 2);
	check_event(host, false);
	check_notice(host, 0, 0, 0);
	host_free(host);
}

static void test_not_offered(void **state)
{
	struct host *host = host_new("mem,size=1M,oncs=20");
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_log_page,
		.dptr = {cpu_to_le64(host_iova(REPORT))},
		.cdw10 = cpu_to_le32(15u << 16 | NVME_LOG_LID_RESERVATION),
	};

	become(host, 1);
	assert_int_equal(host_do(host, 0, &cmd, NULL), NVMUX_STATUS(1, NVME_SC_INVALID_LOG_PAGE));
	assert_int_equal(mask(host, nvme_admin_set_features, 1, 0, NULL), GENERIC(INVALID_FIELD));
	host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_preempt),
		cmocka_unit_test(test_notices),
		cmocka_unit_test(test_not_offered),
	};

	return cmocka_run_group_tests_name("emu_resv", tests, NULL, NULL);
}
