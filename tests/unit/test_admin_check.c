// SPDX-License-Identifier: BSD-3-Clause
/* Which admin commands of clients are forwarded, and what they move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/admin_check.h"
#include "tests/rng.h"

#define DNR NVMUX_STATUS_DNR

/* The check only compares these addresses. */
static const struct nvmux_mem mem_a, mem_b;
static const struct region_view regions[] = {
	{.mem = &mem_a, .size = 8192},
	{.mem = NULL, .size = 0},
	{.mem = &mem_b, .size = 1 << 20},
};

static uint16_t check(bool admin, const struct nvmux_ring_cmd *copy, struct checked_cmd *ret)
{
	const struct admin_view view = {
		.admin = admin, .max_transfer = 131072, .regions = regions, .n_regions = 3};

	memset(ret, 0xa5, sizeof(*ret));
	return admin_check(copy, &view, ret);
}

static uint16_t status_of(bool admin, uint8_t opc, uint32_t cdw10, uint32_t data_len)
{
	struct nvmux_ring_cmd copy = {.opc = opc,
				      .cdw10 = cpu_to_le32(cdw10),
				      .data = nvmux_ring_addr(2, 0),
				      .data_len = data_len};
	struct checked_cmd checked;

	return check(admin, &copy, &checked);
}

static void test_identify(void **state)
{
	struct nvmux_ring_cmd copy = {.opc = nvme_admin_identify,
				      .cid = cpu_to_le16(77),
				      .nsid = cpu_to_le32(3),
				      .cdw10 = cpu_to_le32(0x11),
				      .cdw14 = cpu_to_le32(5),
				      .data = nvmux_ring_addr(0, 4096),
				      .data_len = 4096};
	struct checked_cmd checked;

	assert_int_equal(check(false, &copy, &checked), 0);
	assert_int_equal(checked.cmd.opc, nvme_admin_identify);
	assert_int_equal(checked.cmd.cid, 0); /* ours, not the client's */
	assert_int_equal(checked.cmd.flags, 0);
	assert_int_equal(checked.cmd.nsid, cpu_to_le32(3));
	assert_int_equal(checked.cmd.cdw10, cpu_to_le32(0x11));
	assert_int_equal(checked.cmd.cdw14, cpu_to_le32(5));
	assert_int_equal(checked.cmd.mptr, 0);
	assert_ptr_equal(checked.seg.mem, &mem_a);
	assert_int_equal(checked.seg.offset, 4096);
	assert_int_equal(checked.seg.len, 4096);
	/* a longer buffer is fine, what is moved stays the same */
	copy.data = nvmux_ring_addr(2, 0);
	copy.data_len = 65536;
	assert_int_equal(check(false, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 4096);
}

static void test_region(void **state)
{
	struct nvmux_ring_cmd copy = {.opc = nvme_admin_identify, .data_len = 4096};
	struct checked_cmd checked;

	copy.data_len = 4095;
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_LENGTH_MISMATCH | DNR);
	copy.data_len = 0;
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_LENGTH_MISMATCH | DNR);
	copy.data_len = 4096;
	copy.data = nvmux_ring_addr(1, 0);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_REGION_UNKNOWN | DNR);
	copy.data = nvmux_ring_addr(3, 0);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_REGION_UNKNOWN | DNR);
	copy.data = nvmux_ring_addr(65535, 0);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_REGION_UNKNOWN | DNR);
	copy.data = nvmux_ring_addr(0, 2);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_REGION_ALIGN | DNR);
	copy.data = nvmux_ring_addr(0, 4096);
	assert_int_equal(check(true, &copy, &checked), 0);
	copy.data = nvmux_ring_addr(0, 4100);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_REGION_RANGE | DNR);
	copy.data = nvmux_ring_addr(0, NVMUX_RING_OFFSET_MASK & ~3ull);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_REGION_RANGE | DNR);
	/* the buffer as the client describes it must lie inside as well */
	copy.data = nvmux_ring_addr(0, 0);
	copy.data_len = UINT32_MAX;
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_REGION_RANGE | DNR);
}

static void test_form(void **state)
{
	struct nvmux_ring_cmd copy = {.opc = nvme_admin_identify, .data_len = 4096};
	struct checked_cmd checked;

	copy.flags = NVMUX_RING_F_LIST;
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_LIST_INVALID | DNR);
	copy.flags = 1;
	assert_int_equal(check(true, &copy, &checked), NVME_SC_INVALID_FIELD | DNR);
	copy.flags = NVMUX_RING_F_PHASE; /* of the ring, nothing else */
	assert_int_equal(check(true, &copy, &checked), 0);
	copy.md_len = 8;
	assert_int_equal(check(true, &copy, &checked), NVME_SC_INVALID_FIELD | DNR);
}

static void test_log(void **state)
{
	struct nvmux_ring_cmd copy = {.opc = nvme_admin_get_log_page,
				      .cdw10 = cpu_to_le32(127u << 16 | 2),
				      .data = nvmux_ring_addr(2, 0),
				      .data_len = 512};
	struct checked_cmd checked;

	assert_int_equal(check(false, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 512);
	/* only the daemon clears events: RAE is set whatever the client says */
	assert_int_equal(checked.cmd.cdw10, cpu_to_le32(127u << 16 | 1u << 15 | 2));
	copy.data_len = 508;
	assert_int_equal(check(false, &copy, &checked), NVMUX_SC_LENGTH_MISMATCH | DNR);
	/* NUMD has an upper half: 4 × (10000h + 1) bytes are more than the transfer limit */
	copy.cdw10 = cpu_to_le32(2);
	copy.cdw11 = cpu_to_le32(1);
	copy.data_len = 1 << 20;
	assert_int_equal(check(false, &copy, &checked), NVMUX_SC_LENGTH_LIMIT | DNR);
	copy.cdw10 = cpu_to_le32(0xffff0002u);
	copy.cdw11 = cpu_to_le32(0xffff);
	assert_int_equal(check(false, &copy, &checked), NVMUX_SC_LENGTH_LIMIT | DNR);
	/* the upper half of command dword 11 is something else */
	copy.cdw10 = cpu_to_le32(127u << 16 | 2);
	copy.cdw11 = cpu_to_le32(0xffff0000u);
	assert_int_equal(check(false, &copy, &checked), 0);
	/* creating telemetry data or a persistent event context needs the admin right */
	assert_int_equal(status_of(false, nvme_admin_get_log_page, 127u << 16 | 1 << 8 | 7, 512),
			 NVMUX_SC_ACCESS_DENIED | DNR);
	assert_int_equal(status_of(false, nvme_admin_get_log_page, 127u << 16 | 2 << 8 | 13, 512),
			 NVMUX_SC_ACCESS_DENIED | DNR);
	assert_int_equal(status_of(false, nvme_admin_get_log_page, 127u << 16 | 7, 512), 0);
	assert_int_equal(status_of(true, nvme_admin_get_log_page, 127u << 16 | 1 << 8 | 7, 512), 0);
}

static void test_get_features(void **state)
{
	struct nvmux_ring_cmd copy = {.opc = nvme_admin_get_features,
				      .cdw10 = cpu_to_le32(NVME_FEAT_FID_HOST_ID),
				      .data = nvmux_ring_addr(2, 0),
				      .data_len = 16};
	struct checked_cmd checked;

	assert_int_equal(check(false, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 8);
	copy.cdw11 = cpu_to_le32(1); /* EXHID */
	assert_int_equal(check(false, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 16);
	copy.data_len = 12;
	assert_int_equal(check(false, &copy, &checked), NVMUX_SC_LENGTH_MISMATCH | DNR);
	/* without a data structure the buffer doesn't matter */
	copy.cdw10 = cpu_to_le32(NVME_FEAT_FID_VOLATILE_WC);
	copy.data = nvmux_ring_addr(1, 3);
	assert_int_equal(check(false, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 0);
	/* SEL 3: supported capabilities come in the completion */
	copy.cdw10 = cpu_to_le32(3 << 8 | NVME_FEAT_FID_LBA_RANGE);
	assert_int_equal(check(false, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 0);
	/* what isn't known has a length that isn't either */
	assert_int_equal(status_of(false, nvme_admin_get_features, 0xd0, 4096),
			 NVMUX_SC_ACCESS_DENIED | DNR);
	assert_int_equal(status_of(true, nvme_admin_get_features, 0xd0, 4096), 0);
}

static void test_set_features(void **state)
{
	static const uint8_t never[] = {
		NVME_FEAT_FID_NUM_QUEUES,    NVME_FEAT_FID_IRQ_COALESCE, NVME_FEAT_FID_IRQ_CONFIG,
		NVME_FEAT_FID_ASYNC_EVENT,   NVME_FEAT_FID_HOST_MEM_BUF, NVME_FEAT_FID_KATO,
		NVME_FEAT_FID_HOST_BEHAVIOR, NVME_FEAT_FID_HOST_ID,      NVME_FEAT_FID_RESV_MASK,
		NVME_FEAT_FID_RESV_PERSIST,  NVME_FEAT_FID_IOCS_PROFILE,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(never); i++) {
		assert_int_equal(status_of(true, nvme_admin_set_features, never[i], 4096),
				 NVMUX_SC_OPCODE_REFUSED | DNR);
		/* the bit that saves a value changes nothing about that */
		assert_int_equal(
			status_of(true, nvme_admin_set_features, 1u << 31 | never[i], 4096),
			NVMUX_SC_OPCODE_REFUSED | DNR);
	}
	assert_int_equal(status_of(true, nvme_admin_set_features, NVME_FEAT_FID_VOLATILE_WC, 0), 0);
	assert_int_equal(status_of(false, nvme_admin_set_features, NVME_FEAT_FID_VOLATILE_WC, 0),
			 NVMUX_SC_ACCESS_DENIED | DNR);
	assert_int_equal(status_of(true, nvme_admin_set_features, NVME_FEAT_FID_TIMESTAMP, 4),
			 NVMUX_SC_LENGTH_MISMATCH | DNR);
	assert_int_equal(status_of(true, nvme_admin_set_features, NVME_FEAT_FID_TIMESTAMP, 8), 0);
}

static void test_never(void **state)
{
	static const uint8_t never[] = {
		nvme_admin_delete_sq,
		nvme_admin_create_sq,
		nvme_admin_delete_cq,
		nvme_admin_create_cq,
		nvme_admin_abort_cmd,
		nvme_admin_async_event,
		nvme_admin_keep_alive,
		nvme_admin_virtual_mgmt,
		nvme_admin_nvme_mi_send,
		nvme_admin_lockdown,
		nvme_admin_dbbuf,
		nvme_admin_fabrics,
		0x7d,
		0x9f,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(never); i++) {
		assert_int_equal(status_of(true, never[i], 0, 4096), NVMUX_SC_OPCODE_REFUSED | DNR);
		assert_int_equal(status_of(false, never[i], 0, 4096),
				 NVMUX_SC_OPCODE_REFUSED | DNR);
	}
}

static void test_admin_only(void **state)
{
	static const uint8_t opcodes[] = {
		nvme_admin_format_nvm,
		nvme_admin_ns_mgmt,
		nvme_admin_ns_attach,
		nvme_admin_fw_commit,
		nvme_admin_fw_download,
		nvme_admin_sanitize_nvm,
		nvme_admin_dev_self_test,
		nvme_admin_directive_send,
		nvme_admin_get_lba_status,
		0xc0,
		0xff,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++) {
		assert_int_equal(status_of(false, opcodes[i], 0, 4096),
				 NVMUX_SC_ACCESS_DENIED | DNR);
		assert_int_equal(status_of(true, opcodes[i], 0, 4096), 0);
	}
}

static void test_lengths(void **state)
{
	struct nvmux_ring_cmd copy = {.opc = nvme_admin_fw_download,
				      .cdw10 = cpu_to_le32(1023),
				      .data = nvmux_ring_addr(2, 0),
				      .data_len = 4096};
	struct checked_cmd checked;

	assert_int_equal(check(true, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 4096);
	copy.cdw10 = cpu_to_le32(1024);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_LENGTH_MISMATCH | DNR);
	copy.cdw10 = cpu_to_le32(UINT32_MAX); /* (NUMD + 1) × 4 doesn't fit into 32 bits */
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_LENGTH_LIMIT | DNR);
	copy.opc = nvme_admin_security_recv;
	copy.cdw11 = cpu_to_le32(4096);
	assert_int_equal(check(true, &copy, &checked), 0);
	copy.cdw11 = cpu_to_le32(4097);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_LENGTH_MISMATCH | DNR);
	/* MNDW of Get LBA Status: (CDW12 + 1) dwords, NVM command set 1.0, section 4.2.1 */
	copy.opc = nvme_admin_get_lba_status;
	copy.cdw12 = cpu_to_le32(1023);
	assert_int_equal(check(true, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 4096);
	copy.cdw12 = cpu_to_le32(1024);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_LENGTH_MISMATCH | DNR);
	copy.cdw12 = cpu_to_le32(UINT32_MAX);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_LENGTH_LIMIT | DNR);
	copy.cdw12 = 0;
	/* deleting a namespace has no data, creating one has */
	copy.opc = nvme_admin_ns_mgmt;
	copy.data_len = 0;
	copy.cdw10 = cpu_to_le32(1);
	assert_int_equal(check(true, &copy, &checked), 0);
	copy.cdw10 = cpu_to_le32(0);
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_LENGTH_MISMATCH | DNR);
	/* vendor: the direction bits of the opcode say whether there is data at all */
	copy.opc = 0xc0;
	copy.data_len = 4096;
	assert_int_equal(check(true, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 0);
	copy.opc = 0xc2;
	assert_int_equal(check(true, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 4096);
	assert_int_equal(checked.cmd.flags, NVMUX_CMD_OPAQUE);
	/* the second of two pages could be taken for a list */
	copy.data_len = 8192;
	assert_int_equal(check(true, &copy, &checked), NVMUX_SC_LENGTH_LIMIT | DNR);
	copy.data_len = 12288;
	assert_int_equal(check(true, &copy, &checked), 0);
	/* flexible data placement: no data, and as much as NOET says; a label */
	copy.opc = nvme_admin_get_features;
	copy.cdw10 = cpu_to_le32(0x1d);
	assert_int_equal(check(true, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 0);
	copy.cdw10 = cpu_to_le32(0x1e);
	copy.cdw11 = cpu_to_le32(5 << 16 | 7);
	assert_int_equal(check(true, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 10);
	copy.opc = nvme_admin_set_features;
	assert_int_equal(check(true, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 5);
	copy.cdw10 = cpu_to_le32(0x1f);
	assert_int_equal(check(true, &copy, &checked), 0);
	assert_int_equal(checked.seg.len, 256);
	assert_int_equal(checked.cmd.flags, 0);
	/* reading reservation notifications takes them */
	copy.opc = nvme_admin_get_log_page;
	copy.cdw10 = cpu_to_le32(15 << 16 | NVME_LOG_LID_RESERVATION);
	copy.cdw11 = 0;
	assert_int_equal(check(false, &copy, &checked), NVMUX_SC_ACCESS_DENIED | DNR);
	assert_int_equal(check(true, &copy, &checked), 0);
}

/* Operations of directives without data have NUMD 0, which is one dword elsewhere. */
static void test_directives(void **state)
{
	static const struct {
		uint8_t opc, dtype, doper;
		bool data;
	} operations[] = {
		{nvme_admin_directive_send, 0, 1, false}, /* enable */
		{nvme_admin_directive_send, 1, 1, false}, /* release identifier */
		{nvme_admin_directive_send, 1, 2, false}, /* release resources */
		{nvme_admin_directive_send, 1, 3, true},  {nvme_admin_directive_send, 7, 1, true},
		{nvme_admin_directive_recv, 0, 1, true}, /* parameters */
		{nvme_admin_directive_recv, 1, 1, true},  {nvme_admin_directive_recv, 1, 2, true},
		{nvme_admin_directive_recv, 1, 3, false}, /* allocate resources */
	};
	struct checked_cmd checked;

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		struct nvmux_ring_cmd copy = {
			.opc = operations[i].opc,
			.cdw11 = cpu_to_le32((uint32_t)operations[i].dtype << 8 |
					     operations[i].doper),
		};

		assert_int_equal(check(true, &copy, &checked),
				 operations[i].data ? NVMUX_SC_LENGTH_MISMATCH | DNR : 0);
		if (!operations[i].data)
			assert_int_equal(checked.seg.len, 0);
		copy.data = nvmux_ring_addr(2, 0);
		copy.data_len = 4;
		assert_int_equal(check(true, &copy, &checked), 0);
		assert_int_equal(checked.seg.len, operations[i].data ? 4 : 0);
	}
}

/* Whatever the bits, what comes out lies inside the region and within the limit. */
static void test_random(void **state)
{
	struct nvmux_ring_cmd copy;
	struct checked_cmd checked;
	uint64_t seed = 88172645463325252ull;
	unsigned forwarded = 0;

	for (unsigned n = 0; n < 300000; n++) {
		for (unsigned i = 0; i < sizeof(copy) / 8; i++) {
			next_random(&seed);
			memcpy((char *)&copy + 8 * i, &seed, 8);
		}
		copy.flags &= 0x80;
		copy.md_len = 0;
		copy.data = nvmux_ring_addr((uint16_t)(copy.data & 3), copy.data >> 20 & 0x1fffff);
		copy.data_len &= 0x3ffff;
		if (check(n & 1, &copy, &checked))
			continue;
		forwarded++;
		if (!checked.seg.len)
			continue;
		assert_true(checked.seg.len <= 131072);
		assert_true(checked.seg.mem == &mem_a || checked.seg.mem == &mem_b);
		assert_true(checked.seg.offset + checked.seg.len <=
			    (checked.seg.mem == &mem_a ? 8192u : 1u << 20));
		assert_int_equal(checked.seg.offset % 4, 0);
	}
	assert_true(forwarded > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identify),     cmocka_unit_test(test_region),
		cmocka_unit_test(test_form),         cmocka_unit_test(test_log),
		cmocka_unit_test(test_get_features), cmocka_unit_test(test_set_features),
		cmocka_unit_test(test_never),        cmocka_unit_test(test_admin_only),
		cmocka_unit_test(test_lengths),      cmocka_unit_test(test_directives),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("admin_check", tests, NULL, NULL);
}
