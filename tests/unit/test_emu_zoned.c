// SPDX-License-Identifier: BSD-3-Clause
/* The emulator's zoned namespaces: write pointers, states, limits, reports, identify. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "emu_host.h"

#define GENERIC(sc)  NVMUX_STATUS(0, NVME_SC_##sc)
#define SPECIFIC(sc) NVMUX_STATUS(1, NVME_SC_##sc)
#define DATA         HOST_DATA_PAGE
#define DATA2        (HOST_DATA_PAGE + 64)
#define ZONE         256u /* blocks of 4 KiB: 1 MiB */
#define CAP          200u
#define SPEC         "mem,size=8M,bs=4096,zoned,zone=1M,zcap=800K,maxopen=2,maxactive=3,zasl=1"

static struct host *started(const char *description)
{
	struct host *host = host_new(description);

	assert_int_equal(host_enable_all(host), 1);
	host_create_queues(host, 1);
	return host;
}

static uint16_t rw(struct host *host, uint8_t opc, uint64_t slba, uint32_t n)
{
	struct nvmux_cmd cmd = host_rw(opc, 1, slba, n, host_iova(DATA), host_iova(DATA + 1));

	if (n > 2) {
		uint64_t *list = (uint64_t *)(void *)host_page(host, DATA2 + 1);

		for (uint32_t i = 0; i + 1 < n; i++)
			list[i] = cpu_to_le64(host_iova(DATA));
		cmd.dptr[1] = cpu_to_le64(host_iova(DATA2 + 1));
	}
	return host_do(host, 1, &cmd, NULL);
}

static uint16_t send(struct host *host, uint64_t slba, uint32_t action)
{
	struct nvmux_cmd cmd = host_rw(nvme_zns_cmd_mgmt_send, 1, slba, 1, host_iova(DATA), 0);

	cmd.cdw12 = 0;
	cmd.cdw13 = cpu_to_le32(action);
	return host_do(host, 1, &cmd, NULL);
}

static uint16_t receive(struct host *host, uint64_t slba, uint32_t dwords, uint32_t cdw13)
{
	struct nvmux_cmd cmd = host_rw(nvme_zns_cmd_mgmt_recv, 1, slba, 1, host_iova(DATA2), 0);

	cmd.cdw12 = cpu_to_le32(dwords - 1);
	cmd.cdw13 = cpu_to_le32(cdw13);
	return host_do(host, 1, &cmd, NULL);
}

static void check_zone(struct host *host, uint32_t zone, uint8_t state, uint64_t wp)
{
	const struct nvme_zone_report *r = (void *)host_page(host, DATA2);

	assert_int_equal(receive(host, zone * ZONE, 1024, 0), 0);
	assert_int_equal(r->entries[0].zt, 2);
	assert_int_equal(r->entries[0].zs >> 4, state);
	assert_int_equal(le64_to_cpu(r->entries[0].zslba), zone * ZONE);
	assert_int_equal(le64_to_cpu(r->entries[0].zcap), CAP);
	assert_true(le64_to_cpu(r->entries[0].wp) == wp);
}

static void test_write_pointer(void **state)
{
	struct host *host = started(SPEC);
	uint8_t *p = host_page(host, DATA);

	check_zone(host, 1, NVME_ZNS_ZS_EMPTY, ZONE);
	memset(p, 0x5a, HOST_PAGE);
	assert_int_equal(rw(host, nvme_cmd_write, ZONE + 1, 1), SPECIFIC(ZNS_INVALID_WRITE));
	assert_int_equal(rw(host, nvme_cmd_write, ZONE, 1), 0);
	assert_int_equal(rw(host, nvme_cmd_write, ZONE, 1), SPECIFIC(ZNS_INVALID_WRITE));
	check_zone(host, 1, NVME_ZNS_ZS_IMPL_OPEN, ZONE + 1);
	/* zeroes count as a write, also many at once: to the capacity and not beyond */
	assert_int_equal(rw(host, nvme_cmd_write_zeroes, ZONE + 1, CAP),
			 SPECIFIC(ZNS_BOUNDARY_ERROR));
	assert_int_equal(rw(host, nvme_cmd_write_zeroes, ZONE + 1, CAP - 2), 0);
	assert_int_equal(rw(host, nvme_cmd_write, ZONE + CAP - 1, 2), SPECIFIC(ZNS_BOUNDARY_ERROR));
	assert_int_equal(rw(host, nvme_cmd_write, ZONE + CAP - 1, 1), 0);
	check_zone(host, 1, NVME_ZNS_ZS_FULL, UINT64_MAX);
	assert_int_equal(rw(host, nvme_cmd_write, ZONE + CAP, 1), SPECIFIC(ZNS_FULL));
	memset(p, 0, HOST_PAGE);
	assert_int_equal(rw(host, nvme_cmd_read, ZONE, 1), 0);
	assert_int_equal(p[77], 0x5a);
	assert_int_equal(rw(host, nvme_cmd_read, 2 * ZONE - 1, 2), SPECIFIC(ZNS_BOUNDARY_ERROR));
	/* reset: written anew, and nothing of the old data is left */
	assert_int_equal(send(host, ZONE, NVME_ZNS_ZSA_RESET), 0);
	check_zone(host, 1, NVME_ZNS_ZS_EMPTY, ZONE);
	assert_int_equal(rw(host, nvme_cmd_read, ZONE, 1), 0);
	assert_int_equal(p[77], 0);
	host_free(host);
}

static void test_append(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd cmd = host_rw(nvme_zns_cmd_append, 1, 2 * ZONE, 2, host_iova(DATA),
				       host_iova(DATA + 1));
	uint32_t lba;

	assert_int_equal(host_do(host, 1, &cmd, &lba), 0);
	assert_int_equal(lba, 2 * ZONE);
	assert_int_equal(host_do(host, 1, &cmd, &lba), 0);
	assert_int_equal(lba, 2 * ZONE + 2);
	check_zone(host, 2, NVME_ZNS_ZS_IMPL_OPEN, 2 * ZONE + 4);
	assert_int_equal(rw(host, nvme_zns_cmd_append, 2 * ZONE + 4, 1), GENERIC(INVALID_FIELD));
	assert_int_equal(rw(host, nvme_zns_cmd_append, 2 * ZONE, 3), GENERIC(INVALID_FIELD));
	assert_int_equal(send(host, 2 * ZONE, NVME_ZNS_ZSA_FINISH), 0);
	assert_int_equal(rw(host, nvme_zns_cmd_append, 2 * ZONE, 1), SPECIFIC(ZNS_FULL));
	assert_int_equal(rw(host, nvme_zns_cmd_append, 8 * ZONE, 1), GENERIC(LBA_RANGE));
	host_free(host);
}

static void test_transitions(void **state)
{
	struct host *host = started(SPEC);

	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_CLOSE), SPECIFIC(ZNS_INVAL_TRANSITION));
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_OPEN), 0);
	check_zone(host, 0, NVME_ZNS_ZS_EXPL_OPEN, 0);
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_OPEN), 0);
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_CLOSE), 0);
	check_zone(host, 0, NVME_ZNS_ZS_CLOSED, 0);
	assert_int_equal(rw(host, nvme_cmd_write, 0, 1), 0);
	check_zone(host, 0, NVME_ZNS_ZS_IMPL_OPEN, 1);
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_FINISH), 0);
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_FINISH), 0);
	check_zone(host, 0, NVME_ZNS_ZS_FULL, UINT64_MAX);
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_OPEN), SPECIFIC(ZNS_INVAL_TRANSITION));
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_OFFLINE), SPECIFIC(ZNS_INVAL_TRANSITION));
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_SET_DESC_EXT), SPECIFIC(ZNS_INVAL_TRANSITION));
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_ZRWA_FLUSH), GENERIC(INVALID_FIELD));
	assert_int_equal(send(host, 0, 0x7f), GENERIC(INVALID_FIELD));
	assert_int_equal(send(host, 1, NVME_ZNS_ZSA_RESET), GENERIC(INVALID_FIELD));
	assert_int_equal(send(host, 8 * ZONE, NVME_ZNS_ZSA_RESET), GENERIC(LBA_RANGE));
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_SET_DESC_EXT | 1u << 8),
			 GENERIC(INVALID_FIELD));
	/* all of them at once; those that it makes no sense for stay */
	assert_int_equal(send(host, 3 * ZONE, NVME_ZNS_ZSA_OPEN), 0);
	assert_int_equal(send(host, 5, NVME_ZNS_ZSA_CLOSE | 1u << 8), 0);
	check_zone(host, 3, NVME_ZNS_ZS_CLOSED, 3 * ZONE);
	assert_int_equal(send(host, 5, NVME_ZNS_ZSA_OPEN | 1u << 8), 0);
	check_zone(host, 3, NVME_ZNS_ZS_EXPL_OPEN, 3 * ZONE);
	assert_int_equal(send(host, 5, NVME_ZNS_ZSA_FINISH | 1u << 8), 0);
	check_zone(host, 3, NVME_ZNS_ZS_FULL, UINT64_MAX);
	check_zone(host, 4, NVME_ZNS_ZS_EMPTY, 4 * ZONE);
	assert_int_equal(send(host, 5, NVME_ZNS_ZSA_OFFLINE | 1u << 8), 0);
	assert_int_equal(send(host, 5, NVME_ZNS_ZSA_RESET | 1u << 8), 0);
	check_zone(host, 0, NVME_ZNS_ZS_EMPTY, 0);
	check_zone(host, 3, NVME_ZNS_ZS_EMPTY, 3 * ZONE);
	host_free(host);
}

static void test_limits(void **state)
{
	struct host *host = started(SPEC);

	/* the third open zone closes one that is open implicitly */
	assert_int_equal(rw(host, nvme_cmd_write, 0, 1), 0);
	assert_int_equal(rw(host, nvme_cmd_write, ZONE, 1), 0);
	assert_int_equal(rw(host, nvme_cmd_write, 2 * ZONE, 1), 0);
	check_zone(host, 0, NVME_ZNS_ZS_CLOSED, 1);
	assert_int_equal(rw(host, nvme_cmd_write, 3 * ZONE, 1), SPECIFIC(ZNS_TOO_MANY_ACTIVE));
	assert_int_equal(send(host, 3 * ZONE, NVME_ZNS_ZSA_OPEN), SPECIFIC(ZNS_TOO_MANY_ACTIVE));
	assert_int_equal(send(host, 3 * ZONE, NVME_ZNS_ZSA_SET_DESC_EXT),
			 SPECIFIC(ZNS_TOO_MANY_ACTIVE));
	assert_int_equal(send(host, ZONE, NVME_ZNS_ZSA_OPEN), 0);
	assert_int_equal(send(host, 2 * ZONE, NVME_ZNS_ZSA_OPEN), 0);
	assert_int_equal(rw(host, nvme_cmd_write, 1, 1), SPECIFIC(ZNS_TOO_MANY_OPENS));
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_OPEN), SPECIFIC(ZNS_TOO_MANY_OPENS));
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_OPEN | 1u << 8), SPECIFIC(ZNS_TOO_MANY_OPENS));
	check_zone(host, 3, NVME_ZNS_ZS_EMPTY, 3 * ZONE);
	assert_int_equal(send(host, ZONE, NVME_ZNS_ZSA_RESET), 0);
	assert_int_equal(rw(host, nvme_cmd_write, 1, 1), 0);
	host_free(host);
}

static void test_report(void **state)
{
	struct host *host = started(SPEC);
	const struct nvme_zone_report *r = (void *)host_page(host, DATA2);
	uint8_t *ext = host_page(host, DATA);

	memset(ext, 0xab, 64);
	assert_int_equal(send(host, 6 * ZONE, NVME_ZNS_ZSA_SET_DESC_EXT), 0);
	assert_int_equal(send(host, 5 * ZONE, NVME_ZNS_ZSA_FINISH), 0);
	assert_int_equal(receive(host, 0, 1024, 0), 0);
	assert_int_equal(le64_to_cpu(r->nr_zones), 8);
	assert_int_equal(receive(host, 7 * ZONE + 9, 1024, 0), 0);
	assert_int_equal(le64_to_cpu(r->nr_zones), 1);
	/* all that match, or those that there was room for */
	assert_int_equal(receive(host, 0, 48, 0), 0);
	assert_int_equal(le64_to_cpu(r->nr_zones), 8);
	assert_int_equal(receive(host, 0, 48, 1u << 16), 0);
	assert_int_equal(le64_to_cpu(r->nr_zones), 2);
	assert_int_equal(receive(host, 0, 1024, NVME_ZNS_ZRAS_REPORT_FULL << 8), 0);
	assert_int_equal(le64_to_cpu(r->nr_zones), 1);
	assert_int_equal(le64_to_cpu(r->entries[0].zslba), 5 * ZONE);
	assert_int_equal(receive(host, 0, 1024, NVME_ZNS_ZRAS_REPORT_EMPTY << 8), 0);
	assert_int_equal(le64_to_cpu(r->nr_zones), 6);
	/* with the extension: 128 bytes for each zone */
	assert_int_equal(receive(host, 5 * ZONE, 1024, 1), 0);
	assert_int_equal(le64_to_cpu(r->nr_zones), 3);
	assert_int_equal(host_page(host, DATA2)[64 + 64], 0);
	assert_int_equal(r->entries[2].za, NVME_ZNS_ZA_ZDEV);
	assert_int_equal(r->entries[2].zs >> 4, NVME_ZNS_ZS_CLOSED);
	assert_memory_equal(host_page(host, DATA2) + 64 + 128 + 64, ext, 64);
	assert_int_equal(receive(host, 8 * ZONE, 1024, 0), GENERIC(LBA_RANGE));
	assert_int_equal(receive(host, 0, 1024, 2), GENERIC(INVALID_FIELD));
	assert_int_equal(receive(host, 0, 1024, 8 << 8), GENERIC(INVALID_FIELD));
	assert_int_equal(receive(host, 0, 15, 0), GENERIC(INVALID_FIELD));
	host_free(host);
}

static uint16_t identify(struct host *host, uint8_t cns, uint8_t csi, uint32_t nsid)
{
	struct nvmux_cmd cmd = host_identify(cns, nsid, DATA2);

	cmd.cdw11 = cpu_to_le32((uint32_t)csi << 24);
	return host_do(host, 0, &cmd, NULL);
}

static void test_identify(void **state)
{
	struct host *host = started(SPEC "+mem,size=8M");
	const struct nvme_zns_id_ns *id = (void *)host_page(host, DATA2);
	const uint8_t *p = host_page(host, DATA2);

	assert_int_equal(identify(host, NVME_IDENTIFY_CNS_CSI_NS, NVME_CSI_ZNS, 1), 0);
	assert_int_equal(le32_to_cpu(id->mar), 2);
	assert_int_equal(le32_to_cpu(id->mor), 1);
	assert_int_equal(le64_to_cpu(id->lbafe[1].zsze), ZONE);
	assert_int_equal(id->lbafe[1].zdes, 1);
	assert_int_equal(identify(host, NVME_IDENTIFY_CNS_CSI_NS, NVME_CSI_ZNS, 2),
			 SPECIFIC(INVALID_IOCS));
	assert_int_equal(identify(host, NVME_IDENTIFY_CNS_CSI_CTRL, NVME_CSI_ZNS, 0), 0);
	assert_int_equal(p[0], 1);
	assert_int_equal(identify(host, NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST, NVME_CSI_ZNS, 0), 0);
	assert_int_equal(p[0], 1);
	assert_int_equal(p[4], 0);
	assert_int_equal(identify(host, NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST, NVME_CSI_NVM, 0), 0);
	assert_int_equal(p[0], 2);
	assert_int_equal(identify(host, NVME_IDENTIFY_CNS_NS_DESC_LIST, 0, 1), 0);
	assert_int_equal(p[40], NVME_NIDT_CSI);
	assert_int_equal(p[44], NVME_CSI_ZNS);
	host_free(host);
}

/* Without all command sets enabled, a zoned namespace isn't one; nor is an ordinary one ever. */
static void test_other_command_sets(void **state)
{
	struct host *host = host_new(SPEC);

	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	assert_int_equal(rw(host, nvme_cmd_read, 0, 1), SPECIFIC(IOCS_NOT_ENABLED));
	host_free(host);
	host = started("mem,size=8M");
	assert_int_equal(send(host, 0, NVME_ZNS_ZSA_RESET), GENERIC(INVALID_OPCODE));
	assert_int_equal(receive(host, 0, 1024, 0), GENERIC(INVALID_OPCODE));
	assert_int_equal(rw(host, nvme_zns_cmd_append, 0, 1), GENERIC(INVALID_OPCODE));
	host_free(host);
}

/* Type 1 with Zone Append: the controller makes the reference tag that of the place. */
static void test_append_protected(void **state)
{
	struct host *host = started("mem,size=8M,bs=4096,ms=8,pi=1,zoned,zone=1M");
	struct nvmux_cmd cmd = host_rw(nvme_zns_cmd_append, 1, ZONE, 1, host_iova(DATA), 0);
	struct nvmux_cmd check = host_rw(nvme_cmd_verify, 1, ZONE, 2, 0, 0);

	cmd.cdw12 = cpu_to_le32(1u << 29); /* insert */
	cmd.cdw14 = cpu_to_le32(ZONE);
	assert_int_equal(host_do(host, 1, &cmd, NULL), SPECIFIC(INVALID_PI));
	cmd.cdw12 = cpu_to_le32(1u << 29 | 1u << 25);
	assert_int_equal(host_do(host, 1, &cmd, NULL), 0);
	assert_int_equal(host_do(host, 1, &cmd, NULL), 0);
	check.cdw12 = cpu_to_le32(5u << 26 | 1);
	check.cdw14 = cpu_to_le32(ZONE);
	assert_int_equal(host_do(host, 1, &check, NULL), 0);
	host_free(host);
}

/* ---- zones that fail ---- */

static uint16_t changed_list(struct host *host, uint32_t nsid, bool rae)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_log_page,
		.nsid = cpu_to_le32(nsid),
		.dptr = {cpu_to_le64(host_iova(DATA2))},
		.cdw10 = cpu_to_le32((4096u / 4 - 1) << 16 | (rae ? 1u << 15 : 0) |
				     NVME_LOG_LID_ZNS_CHANGED_ZONES),
	};

	return host_do(host, 0, &cmd, NULL);
}

static void fails(struct host *host, const char *text, const char *why)
{
	char got[256] = "";

	assert_int_equal(emu_zone_set(host->ctrlr, text, got, sizeof(got)), why ? -EINVAL : 0);
	if (why)
		assert_non_null(strstr(got, why));
}

static void test_changed(void **state)
{
	struct nvmux_cmd aer = {.opc = nvme_admin_async_event}, enable = {
		.opc = nvme_admin_set_features,
		.cdw10 = cpu_to_le32(NVME_FEAT_FID_ASYNC_EVENT),
		.cdw11 = cpu_to_le32(NVME_CTRL_OAES_ZD),
	};
	struct host *host = started(SPEC);
	const struct nvme_zns_changed_zone_log *log = (const void *)host_page(host, DATA2);
	struct nvmux_cpl cpl;

	assert_int_equal(changed_list(host, 1, true), 0);
	assert_int_equal(le16_to_cpu(log->nrzid), 0);
	assert_int_equal(changed_list(host, NVME_NSID_ALL, true), GENERIC(INVALID_NS));
	assert_int_equal(host_do(host, 0, &enable, NULL), 0);
	host_put(host, 0, &aer);
	host_ring(host, 0);
	emu_poll(host->ctrlr);
	assert_int_equal(rw(host, nvme_cmd_write, ZONE, 1), 0);
	fails(host, "nsid=1 index=1 state=readonly", NULL);
	fails(host, "nsid=1 index=3 state=offline", NULL);
	fails(host, "nsid=1 index=99 state=offline", "no zone 99");
	fails(host, "nsid=2 index=0 state=offline", "namespace 2");
	fails(host, "nsid=1 index=0 state=full", "readonly or offline");
	fails(host, "nsid=1", "must be");
	emu_poll(host->ctrlr);
	assert_true(host_take(host, 0, &cpl));
	assert_int_equal(le32_to_cpu(cpl.dw0), 2u | 0xefu << 8 | 0xbfu << 16);
	assert_int_equal(le32_to_cpu(cpl.dw1), 1);
	assert_int_equal(rw(host, nvme_cmd_read, ZONE, 1), 0);
	assert_int_equal(rw(host, nvme_cmd_write, ZONE + 1, 1), SPECIFIC(ZNS_READ_ONLY));
	assert_int_equal(rw(host, nvme_cmd_read, 3 * ZONE, 1), SPECIFIC(ZNS_OFFLINE));
	assert_int_equal(send(host, ZONE, NVME_ZNS_ZSA_RESET), SPECIFIC(ZNS_INVAL_TRANSITION));
	assert_int_equal(send(host, ZONE, NVME_ZNS_ZSA_OFFLINE), 0);
	for (int i = 0; i < 2; i++) { /* with RAE it stays */
		assert_int_equal(changed_list(host, 1, i == 0), 0);
		assert_int_equal(le16_to_cpu(log->nrzid), 2);
		assert_int_equal(le64_to_cpu(log->zid[0]), ZONE);
		assert_int_equal(le64_to_cpu(log->zid[1]), 3 * ZONE);
	}
	assert_int_equal(changed_list(host, 1, true), 0);
	assert_int_equal(le16_to_cpu(log->nrzid), 0);
	host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_pointer),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_identify),
		cmocka_unit_test(test_other_command_sets),
		cmocka_unit_test(test_append_protected),
		cmocka_unit_test(test_changed),
	};

	return cmocka_run_group_tests_name("emu_zoned", tests, NULL, NULL);
}
