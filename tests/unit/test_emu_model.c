// SPDX-License-Identifier: BSD-3-Clause
/* The emulator's controller: life cycle, admin commands, queues, events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "emu_host.h"

#define SPEC         "mem,size=1M+mem,size=4M,bs=4096+null,size=8T,serial=TEST1,mdts=5,noiob=64"
#define CC_ON        (4u << NVME_CC_IOCQES_SHIFT | 6u << NVME_CC_IOSQES_SHIFT | 1)
#define GENERIC(sc)  NVMUX_STATUS(0, NVME_SC_##sc)
#define SPECIFIC(sc) NVMUX_STATUS(1, NVME_SC_##sc)

static uint32_t reg(struct host *host, uint32_t offset)
{
	return (uint32_t)emu_reg_read(host->ctrlr, offset, 4);
}

static struct host *started(const char *description)
{
	struct host *host = host_new(description);

	assert_int_equal(host_enable(host), 1);
	return host;
}

static uint16_t admin(struct host *host, struct nvmux_cmd cmd)
{
	return host_do(host, 0, &cmd, NULL);
}

/* ---- life cycle ---- */

static void test_registers(void **state)
{
	struct host *host = host_new(SPEC);
	uint64_t cap = emu_reg_read(host->ctrlr, NVME_REG_CAP, 8);

	assert_int_equal(NVME_CAP_MQES(cap), 1023);
	assert_int_equal(NVME_CAP_CQR(cap), 1);
	assert_int_equal(NVME_CAP_DSTRD(cap), 0);
	assert_int_equal(NVME_CAP_MPSMIN(cap), 0);
	assert_int_equal(NVME_CAP_MPSMAX(cap), 0);
	assert_int_equal(NVME_CAP_NSSRC(cap), 1);
	assert_int_equal(NVME_CAP_AMS(cap), 0);
	assert_true(NVME_CAP_TO(cap) > 0);
	assert_true(NVME_CAP_CSS(cap) & NVME_CAP_CSS_NVM);
	assert_int_equal(reg(host, NVME_REG_CAP), (uint32_t)cap);
	assert_int_equal(reg(host, NVME_REG_CAP + 4), cap >> 32);
	assert_int_equal(reg(host, NVME_REG_VS), 0x20000);
	assert_int_equal(reg(host, NVME_REG_CSTS), 0);
	/* read-only, reserved, misaligned, out of range */
	emu_reg_write(host->ctrlr, NVME_REG_CAP, 8, 0);
	assert_int_equal(emu_reg_read(host->ctrlr, NVME_REG_CAP, 8), cap);
	emu_reg_write(host->ctrlr, 0xffc, 4, 5);
	assert_int_equal(emu_reg_read(host->ctrlr, 0xffc, 4), 0);
	assert_int_equal(emu_reg_read(host->ctrlr, 2, 4), 0);
	assert_int_equal(emu_reg_read(host->ctrlr, 0xffc, 8), 0);
	assert_int_equal(emu_reg_read(host->ctrlr, 0x1000, 4), 0);
	assert_int_equal(emu_reg_read(host->ctrlr, UINT32_MAX - 3, 4), 0);
	/* halves of a 64-bit register, and bits that can't be set */
	emu_reg_write(host->ctrlr, NVME_REG_ASQ, 4, 0x12345fff);
	emu_reg_write(host->ctrlr, NVME_REG_ASQ + 4, 4, 0x9abc);
	assert_int_equal(emu_reg_read(host->ctrlr, NVME_REG_ASQ, 8), 0x9abc12345000);
	emu_reg_write(host->ctrlr, NVME_REG_INTMS, 4, 6);
	emu_reg_write(host->ctrlr, NVME_REG_INTMC, 4, 2);
	assert_int_equal(reg(host, NVME_REG_INTMS), 4);
	host_free(host);
}

static void test_enable_disable(void **state)
{
	struct host *host = host_new(SPEC);

	assert_false(emu_is_running(host->ctrlr));
	assert_int_equal(host_enable(host), 1);
	assert_true(emu_is_running(host->ctrlr));
	host_create_queues(host, 1);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(reg(host, NVME_REG_CSTS), 0);
	assert_int_equal(reg(host, NVME_REG_AQA), 31 << 16 | 31);
	/* Nothing is served any more, and the queues are free to be made again. */
	host->doorbells[0] = 1;
	host->doorbells[2] = 1;
	assert_int_equal(emu_poll_queue(host->ctrlr, 0), 0);
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 0);
	assert_int_equal(emu_poll(host->ctrlr), 0);
	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	emu_ctrlr_reset(host->ctrlr);
	assert_int_equal(reg(host, NVME_REG_AQA), 0);
	assert_int_equal(reg(host, NVME_REG_CC), 0);
	host_free(host);
}

static void enable_fails(struct host *host, uint32_t aqa, uint64_t asq, uint64_t acq, uint32_t cc)
{
	emu_reg_write(host->ctrlr, NVME_REG_AQA, 4, aqa);
	emu_reg_write(host->ctrlr, NVME_REG_ASQ, 8, asq);
	emu_reg_write(host->ctrlr, NVME_REG_ACQ, 8, acq);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, cc);
	assert_int_equal(reg(host, NVME_REG_CSTS), 2); /* fatal, not ready */
	assert_false(emu_is_running(host->ctrlr));
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(reg(host, NVME_REG_CSTS), 0);
}

static void test_enable_with_bad_queues(void **state)
{
	struct host *host = host_new(SPEC);
	uint64_t end = HOST_IOVA + (uint64_t)HOST_MEM_PAGES * HOST_PAGE;

	enable_fails(host, 0, host_iova(0), host_iova(1), CC_ON);
	enable_fails(host, 31, host_iova(0), host_iova(1), CC_ON);
	enable_fails(host, 31 << 16, host_iova(0), host_iova(1), CC_ON);
	enable_fails(host, 31 << 16 | 31, 0, host_iova(1), CC_ON);
	enable_fails(host, 31 << 16 | 31, host_iova(0), 0, CC_ON);
	enable_fails(host, 31 << 16 | 31, HOST_NOWHERE, host_iova(1), CC_ON);
	enable_fails(host, 31 << 16 | 31, host_iova(0), HOST_NOWHERE, CC_ON);
	/* a completion queue where the device may not write, and one that runs over the end */
	enable_fails(host, 31 << 16 | 31, host_iova(0), HOST_RO_IOVA, CC_ON);
	enable_fails(host, 4095 << 16 | 31, host_iova(0), end - HOST_PAGE, CC_ON);
	/* page size, arbitration, command set */
	enable_fails(host, 31 << 16 | 31, host_iova(0), host_iova(1), CC_ON | 1 << 7);
	enable_fails(host, 31 << 16 | 31, host_iova(0), host_iova(1), CC_ON | 1 << 11);
	enable_fails(host, 31 << 16 | 31, host_iova(0), host_iova(1), CC_ON | 7 << 4);
	assert_int_equal(host_enable(host), 1);
	host_free(host);
}

static void test_shutdown(void **state)
{
	struct host *host = started(SPEC);

	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, CC_ON | 1 << 14);
	assert_int_equal(NVME_CSTS_SHST(reg(host, NVME_REG_CSTS)), NVME_CSTS_SHST_CMPLT);
	assert_int_equal(NVME_CSTS_RDY(reg(host, NVME_REG_CSTS)), 1);
	assert_false(emu_is_running(host->ctrlr));
	assert_int_equal(emu_poll_queue(host->ctrlr, 0), 0);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(reg(host, NVME_REG_CSTS), 0);
	assert_int_equal(host_enable(host), 1);
	/* and without having been enabled */
	emu_ctrlr_reset(host->ctrlr);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 2 << 14);
	assert_int_equal(reg(host, NVME_REG_CSTS), NVME_CSTS_SHST_CMPLT << 2);
	host_free(host);
}

static void test_memory_of_queues_goes(void **state)
{
	struct host *host = started(SPEC);

	host_create_queues(host, 1);
	/* somewhere else: nothing happens */
	emu_dma_changed(host->ctrlr, host_iova(HOST_DATA_PAGE), 10 * HOST_PAGE);
	assert_int_equal(reg(host, NVME_REG_CSTS), 1);
	/* the last byte of a queue's */
	emu_dma_changed(host->ctrlr, host->queues[1].cq_iova + HOST_ENTRIES * 16 - 1, HOST_PAGE);
	assert_int_equal(reg(host, NVME_REG_CSTS), 3);
	assert_int_equal(emu_poll(host->ctrlr), 0);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(host_enable(host), 1);
	host->mapped = false;
	emu_dma_changed(host->ctrlr, 0, 0);
	assert_int_equal(reg(host, NVME_REG_CSTS), 3);
	host_free(host);
}

/* ---- identify ---- */

static void test_identify_ctrlr(void **state)
{
	struct host *host = started(SPEC);
	const struct nvme_id_ctrl *id = (const void *)host_page(host, HOST_DATA_PAGE);

	assert_int_equal(admin(host, host_identify(1, 0, HOST_DATA_PAGE)), 0);
	assert_memory_equal(id->sn, "TEST1               ", 20);
	assert_memory_equal(id->mn, "nvmux emulated controller               ", 40);
	assert_int_equal(id->mdts, 5);
	assert_int_equal(le32_to_cpu(id->ver), 0x20000);
	assert_int_equal(le32_to_cpu(id->nn), 19); /* with room for more */
	assert_int_equal(id->cntrltype, 1);
	assert_int_equal(id->sqes, 0x66);
	assert_int_equal(id->cqes, 0x44);
	assert_int_equal(id->aerl, 3);
	assert_int_equal(le32_to_cpu(id->sgls), 0);
	assert_int_equal(le16_to_cpu(id->fuses), 1);
	assert_int_equal(le16_to_cpu(id->acwu), 7);
	assert_int_equal(le16_to_cpu(id->oncs), 0x1bf);
	assert_int_equal(le16_to_cpu(id->ocfs), 1);
	/* security, format, firmware, namespaces, self-test, directives, doorbell buffers */
	assert_int_equal(le16_to_cpu(id->oacs), 0x13f);
	assert_int_equal(id->frmw, 1 | 3 << 1 | 1 << 4 | 1 << 5);
	assert_int_equal(le16_to_cpu(id->crdt1), 1);
	assert_int_equal(le32_to_cpu(id->sanicap) & 7, 7);
	assert_int_equal(le32_to_cpu(id->hmpre), 0);
	assert_int_equal(le16_to_cpu(id->kas), 0);
	assert_int_equal(id->vwc & 1, 1);
	assert_memory_equal(id->subnqn, "nqn.2014-08.org.nvmexpress:uuid:", 32);
	host_free(host);
}

static void test_identify_ns(void **state)
{
	struct host *host = started(SPEC);
	const struct nvme_id_ns *id = (const void *)host_page(host, HOST_DATA_PAGE);
	uint8_t nguid[16];

	assert_int_equal(admin(host, host_identify(0, 2, HOST_DATA_PAGE)), 0);
	assert_int_equal(le64_to_cpu(id->nsze), 1024);
	assert_int_equal(le64_to_cpu(id->ncap), 1024);
	assert_int_equal(id->flbas, 1);
	assert_int_equal(id->nlbaf, 7);
	assert_int_equal(id->lbaf[1].ds, 12);
	assert_int_equal(le16_to_cpu(id->lbaf[1].ms), 0);
	assert_int_equal(id->lbaf[7].ds, 12);
	assert_int_equal(le16_to_cpu(id->lbaf[7].ms), 64);
	assert_int_equal(id->rescap, 0xfe);
	assert_int_equal(le16_to_cpu(id->mssrl), 1024);
	assert_int_equal(le32_to_cpu(id->mcl), 4096);
	assert_int_equal(id->msrc, 127);
	assert_int_equal(le16_to_cpu(id->noiob), 64);
	assert_int_equal(id->dlfeat & 7, 1);
	memcpy(nguid, id->nguid, 16);
	assert_int_equal(admin(host, host_identify(0, 3, HOST_DATA_PAGE)), 0);
	assert_int_equal(le64_to_cpu(id->nsze), (8ull << 40) / 512);
	assert_int_equal(id->lbaf[0].ds, 9);
	assert_int_equal(id->dlfeat, 0);
	assert_memory_not_equal(id->nguid, nguid, 16);
	assert_int_equal(admin(host, host_identify(0, 0, HOST_DATA_PAGE)), GENERIC(INVALID_NS));
	/* an identifier that isn't in use, one that can't be, and what all have in common */
	assert_int_equal(admin(host, host_identify(0, 4, HOST_DATA_PAGE)), 0);
	assert_int_equal(le64_to_cpu(id->nsze), 0);
	assert_int_equal(admin(host, host_identify(0, 20, HOST_DATA_PAGE)), GENERIC(INVALID_NS));
	assert_int_equal(admin(host, host_identify(0, NVME_NSID_ALL, HOST_DATA_PAGE)), 0);
	assert_int_equal(id->lbaf[0].ds, 9);
	host_free(host);
}

static void test_identify_lists(void **state)
{
	struct host *host = started(SPEC);
	const __le32 *list = (const void *)host_page(host, HOST_DATA_PAGE);
	const uint8_t *d = host_page(host, HOST_DATA_PAGE);

	assert_int_equal(admin(host, host_identify(2, 0, HOST_DATA_PAGE)), 0);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(le32_to_cpu(list[i]), i < 3 ? i + 1 : 0);
	assert_int_equal(admin(host, host_identify(2, 2, HOST_DATA_PAGE)), 0);
	assert_int_equal(le32_to_cpu(list[0]), 3);
	assert_int_equal(le32_to_cpu(list[1]), 0);
	assert_int_equal(admin(host, host_identify(2, 0xfffffffe, HOST_DATA_PAGE)),
			 GENERIC(INVALID_NS));
	assert_int_equal(admin(host, host_identify(2, 0xfffffffd, HOST_DATA_PAGE)), 0);
	assert_int_equal(admin(host, host_identify(7, 1, HOST_DATA_PAGE)), 0);
	assert_int_equal(le32_to_cpu(list[0]), 2);
	/* descriptors: NGUID, UUID, CSI, end */
	assert_int_equal(admin(host, host_identify(3, 1, HOST_DATA_PAGE)), 0);
	assert_int_equal(d[0], NVME_NIDT_NGUID);
	assert_int_equal(d[1], 16);
	assert_int_equal(d[20], NVME_NIDT_UUID);
	assert_int_equal(d[40], NVME_NIDT_CSI);
	assert_int_equal(d[41], 1);
	assert_int_equal(d[44], NVME_CSI_NVM);
	assert_int_equal(d[45], 0);
	assert_int_equal(admin(host, host_identify(3, 4, HOST_DATA_PAGE)), GENERIC(INVALID_NS));
	host_free(host);
}

static void test_identify_other(void **state)
{
	static const uint8_t known[] = {5, 6, 8, 0x10, 0x11};
	struct host *host = started(SPEC);
	struct nvmux_cmd cmd;

	for (size_t i = 0; i < sizeof(known); i++)
		assert_int_equal(admin(host, host_identify(known[i], 1, HOST_DATA_PAGE)), 0);
	cmd = host_identify(0x1c, 0, HOST_DATA_PAGE);
	cmd.cdw10 = cpu_to_le32(0xffff001c);
	assert_int_equal(admin(host, cmd), 0);
	assert_int_equal(host_page(host, HOST_DATA_PAGE)[0], 5); /* NVM and zoned */
	cmd.cdw10 = cpu_to_le32(0x7777001c);
	assert_int_equal(admin(host, cmd), GENERIC(INVALID_FIELD));
	/* a command set that isn't there */
	cmd = host_identify(5, 1, HOST_DATA_PAGE);
	cmd.cdw11 = cpu_to_le32(2u << 24);
	assert_int_equal(admin(host, cmd), SPECIFIC(INVALID_IOCS));
	cmd.cdw11 = cpu_to_le32(1u << 24);
	cmd.cdw10 = cpu_to_le32(6);
	assert_int_equal(admin(host, cmd), GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, host_identify(0x04, 0, HOST_DATA_PAGE)),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, host_identify(0xff, 0, HOST_DATA_PAGE)),
			 GENERIC(INVALID_FIELD));
	/* where the data can't go */
	cmd = host_identify(1, 0, 0);
	cmd.dptr[0] = cpu_to_le64(HOST_NOWHERE);
	assert_int_equal(admin(host, cmd), GENERIC(DATA_XFER_ERROR));
	cmd.dptr[0] = cpu_to_le64(HOST_RO_IOVA);
	assert_int_equal(admin(host, cmd), GENERIC(DATA_XFER_ERROR));
	/* in two pages, from the middle of one */
	cmd.dptr[0] = cpu_to_le64(host_iova(HOST_DATA_PAGE) + 2048);
	cmd.dptr[1] = cpu_to_le64(host_iova(HOST_DATA_PAGE + 3));
	memset(host_page(host, HOST_DATA_PAGE), 0xaa, 4 * HOST_PAGE);
	assert_int_equal(admin(host, cmd), 0);
	assert_int_equal(host_page(host, HOST_DATA_PAGE)[2047], 0xaa);
	assert_memory_equal(host_page(host, HOST_DATA_PAGE) + 2048 + 4, "TEST1", 5);
	assert_int_equal(host_page(host, HOST_DATA_PAGE + 1)[0], 0xaa);
	assert_int_equal(host_page(host, HOST_DATA_PAGE + 3)[2047], 0);
	assert_int_equal(host_page(host, HOST_DATA_PAGE + 3)[2048], 0xaa);
	host_free(host);
}

/* ---- admin commands in general ---- */

static void test_invalid_commands(void **state)
{
	static const uint8_t opcodes[] = {0x03, 0x18, 0x1c, 0x1d, 0x24, 0x7f, 0x86, 0xff};
	struct host *host = started(SPEC);
	struct nvmux_cmd cmd;

	for (size_t i = 0; i < sizeof(opcodes); i++)
		assert_int_equal(admin(host, (struct nvmux_cmd){.opc = opcodes[i]}),
				 GENERIC(INVALID_OPCODE));
	cmd = host_identify(1, 0, HOST_DATA_PAGE);
	cmd.flags = 0x40; /* SGL */
	assert_int_equal(admin(host, cmd), GENERIC(INVALID_FIELD));
	cmd.flags = 0x01; /* fused */
	assert_int_equal(admin(host, cmd), GENERIC(INVALID_FIELD));
	host_free(host);
}

static struct nvmux_cmd feature(uint8_t opc, uint32_t cdw10, uint32_t cdw11, uint32_t nsid)
{
	return (struct nvmux_cmd){
		.opc = opc,
		.nsid = cpu_to_le32(nsid),
		.dptr = {cpu_to_le64(host_iova(HOST_DATA_PAGE))},
		.cdw10 = cpu_to_le32(cdw10),
		.cdw11 = cpu_to_le32(cdw11),
	};
}

static uint16_t set(struct host *host, uint32_t cdw10, uint32_t cdw11, uint32_t nsid)
{
	return admin(host, feature(nvme_admin_set_features, cdw10, cdw11, nsid));
}

static uint32_t get(struct host *host, uint32_t cdw10, uint32_t cdw11, uint32_t nsid)
{
	struct nvmux_cmd cmd = feature(nvme_admin_get_features, cdw10, cdw11, nsid);
	uint32_t dw0;

	assert_int_equal(host_do(host, 0, &cmd, &dw0), 0);
	return dw0;
}

static void test_features(void **state)
{
	struct host *host = started(SPEC);

	assert_int_equal(get(host, NVME_FEAT_FID_VOLATILE_WC, 0, 0), 1);
	assert_int_equal(set(host, NVME_FEAT_FID_VOLATILE_WC, 0, 0), 0);
	assert_int_equal(get(host, NVME_FEAT_FID_VOLATILE_WC, 0, 0), 0);
	assert_int_equal(get(host, NVME_FEAT_FID_VOLATILE_WC | 1 << 8, 0, 0), 1); /* default */
	assert_int_equal(get(host, NVME_FEAT_FID_VOLATILE_WC | 3 << 8, 0, 0), 4); /* changeable */
	assert_int_equal(get(host, NVME_FEAT_FID_ERR_RECOVERY | 3 << 8, 0, 1), 6);
	assert_int_equal(set(host, NVME_FEAT_FID_IRQ_COALESCE, 0x1234, 0), 0);
	assert_int_equal(get(host, NVME_FEAT_FID_IRQ_COALESCE, 0, 0), 0x1234);
	assert_int_equal(set(host, NVME_FEAT_FID_IRQ_CONFIG, 1 << 16 | 3, 0), 0);
	assert_int_equal(get(host, NVME_FEAT_FID_IRQ_CONFIG, 3, 0), 1 << 16 | 3);
	assert_int_equal(get(host, NVME_FEAT_FID_IRQ_CONFIG, 2, 0), 2);
	assert_int_equal(set(host, NVME_FEAT_FID_IRQ_CONFIG, 65, 0), GENERIC(INVALID_FIELD));
	assert_int_equal(set(host, NVME_FEAT_FID_ERR_RECOVERY, 7, 2), 0);
	assert_int_equal(get(host, NVME_FEAT_FID_ERR_RECOVERY, 0, 2), 7);
	assert_int_equal(get(host, NVME_FEAT_FID_ERR_RECOVERY, 0, 1), 0);
	assert_int_equal(set(host, NVME_FEAT_FID_ERR_RECOVERY, 7, 9), GENERIC(INVALID_NS));
	/* what can't be: unknown, saved, for one namespace, another power state */
	assert_int_equal(set(host, 0x7f, 0, 0), GENERIC(INVALID_FIELD));
	assert_int_equal(set(host, NVME_FEAT_FID_KATO, 1000, 0), GENERIC(INVALID_FIELD));
	assert_int_equal(set(host, NVME_FEAT_FID_VOLATILE_WC | 1u << 31, 1, 0),
			 SPECIFIC(FEATURE_NOT_SAVEABLE));
	assert_int_equal(set(host, NVME_FEAT_FID_VOLATILE_WC, 1, 1), SPECIFIC(FEATURE_NOT_PER_NS));
	assert_int_equal(set(host, NVME_FEAT_FID_POWER_MGMT, 1, 0), GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, feature(nvme_admin_get_features, 0x66, 0, 0)),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, feature(nvme_admin_get_features, 4 << 8 | 6, 0, 0)),
			 GENERIC(INVALID_FIELD));
	/* a reset of the controller brings the defaults back */
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(host_enable(host), 1);
	assert_int_equal(get(host, NVME_FEAT_FID_VOLATILE_WC, 0, 0), 1);
	assert_int_equal(get(host, NVME_FEAT_FID_ERR_RECOVERY, 0, 2), 0);
	host_free(host);
}

static void test_number_of_queues(void **state)
{
	struct host *host = started(SPEC ",queues=5");
	struct nvmux_cmd cmd = feature(nvme_admin_set_features, NVME_FEAT_FID_NUM_QUEUES,
				       1 << 16 | 1, 0);
	uint32_t dw0 = 0;

	assert_int_equal(get(host, NVME_FEAT_FID_NUM_QUEUES, 0, 0), 4 << 16 | 4);
	assert_int_equal(host_do(host, 0, &cmd, &dw0), 0);
	assert_int_equal(dw0, 1 << 16 | 1);
	cmd.cdw11 = cpu_to_le32(63 << 16 | 63);
	assert_int_equal(host_do(host, 0, &cmd, &dw0), 0);
	assert_int_equal(dw0, 4 << 16 | 4);
	assert_int_equal(set(host, NVME_FEAT_FID_NUM_QUEUES, 0xffff, 0), GENERIC(INVALID_FIELD));
	assert_int_equal(set(host, NVME_FEAT_FID_NUM_QUEUES, 0xffff0000, 0),
			 GENERIC(INVALID_FIELD));
	host_create_queues(host, 1);
	assert_int_equal(set(host, NVME_FEAT_FID_NUM_QUEUES, 0, 0), GENERIC(CMD_SEQ_ERROR));
	host_free(host);
}

static void test_host_id(void **state)
{
	struct host *host = started(SPEC);
	uint8_t *data = host_page(host, HOST_DATA_PAGE);

	memset(data, 0x5a, 16);
	assert_int_equal(set(host, NVME_FEAT_FID_HOST_ID, 1, 0), 0);
	assert_int_equal(set(host, NVME_FEAT_FID_HOST_ID, 1, 0), 0); /* the same again */
	data[3] = 1;
	assert_int_equal(set(host, NVME_FEAT_FID_HOST_ID, 1, 0), GENERIC(CMD_SEQ_ERROR));
	memset(data, 0, 32);
	get(host, NVME_FEAT_FID_HOST_ID, 1, 0);
	assert_int_equal(data[15], 0x5a);
	assert_int_equal(data[16], 0);
	host_free(host);
}

/* ---- logs ---- */

static struct nvmux_cmd get_log(uint8_t lid, uint32_t bytes, uint64_t offset, bool rae)
{
	return (struct nvmux_cmd){
		.opc = nvme_admin_get_log_page,
		.dptr = {cpu_to_le64(host_iova(HOST_DATA_PAGE)),
			 cpu_to_le64(host_iova(HOST_DATA_PAGE + 1))},
		.cdw10 = cpu_to_le32(lid | (bytes / 4 - 1) << 16 | (rae ? 1u << 15 : 0)),
		.cdw12 = cpu_to_le32((uint32_t)offset),
		.cdw13 = cpu_to_le32((uint32_t)(offset >> 32)),
	};
}

static void test_logs(void **state)
{
	struct host *host = started(SPEC);
	const struct nvme_cmd_effects_log *effects = (const void *)host_page(host, HOST_DATA_PAGE);
	const struct nvme_supported_log_pages *logs = (const void *)effects;
	const struct nvme_smart_log *smart = (const void *)effects;
	struct nvmux_cmd cmd;

	assert_int_equal(admin(host, get_log(NVME_LOG_LID_SUPPORTED_LOG_PAGES, 1024, 0, false)), 0);
	for (uint32_t lid = 0; lid < 256; lid++) {
		bool listed = le32_to_cpu(logs->lid_support[lid]) & 1;
		struct nvmux_cmd read = get_log((uint8_t)lid, 4, 0, true);

		read.dptr[0] = cpu_to_le64(host_iova(HOST_DATA_PAGE + 8));
		assert_int_equal(admin(host, read), listed ? 0 : SPECIFIC(INVALID_LOG_PAGE));
	}
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_CMD_EFFECTS, 4096, 0, false)), 0);
	assert_int_equal(le32_to_cpu(effects->acs[nvme_admin_identify]) & 1, 1);
	assert_int_equal(le32_to_cpu(effects->acs[nvme_admin_format_nvm]) & 7, 7);
	assert_int_equal(le32_to_cpu(effects->acs[nvme_admin_format_nvm]) >> 16 & 7, 1);
	assert_int_equal(le32_to_cpu(effects->acs[nvme_admin_sanitize_nvm]) >> 16 & 7, 2);
	assert_int_equal(le32_to_cpu(effects->acs[nvme_admin_keep_alive]), 0);
	assert_int_equal(le32_to_cpu(effects->iocs[nvme_cmd_write]) & 3, 3);
	assert_int_equal(le32_to_cpu(effects->iocs[nvme_cmd_copy]) & 3, 3);
	assert_int_equal(le32_to_cpu(effects->iocs[nvme_zns_cmd_append]), 0);
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_SMART, 512, 0, false)), 0);
	assert_int_equal(smart->temperature[0] | smart->temperature[1] << 8, 313);
	assert_int_equal(smart->critical_warning, 0);
	/* offset, and a length beyond the end, which leaves the rest alone */
	memset(host_page(host, HOST_DATA_PAGE), 0xaa, HOST_PAGE);
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_FW_SLOT, 4096, 8, false)), 0);
	assert_memory_equal(host_page(host, HOST_DATA_PAGE), NVMUX_VERSION, 5);
	assert_int_equal(host_page(host, HOST_DATA_PAGE)[503], 0);
	assert_int_equal(host_page(host, HOST_DATA_PAGE)[504], 0xaa);
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_FW_SLOT, 4, 512, false)), 0);
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_FW_SLOT, 4, 516, false)),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_FW_SLOT, 4, 2, false)),
			 GENERIC(INVALID_FIELD));
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_FW_SLOT, 4, UINT64_MAX - 3, false)),
			 GENERIC(INVALID_FIELD));
	cmd = get_log(NVME_LOG_LID_FW_SLOT, 4, 0, false);
	cmd.cdw11 = cpu_to_le32(0xffff); /* 16 GiB */
	assert_int_equal(admin(host, cmd), GENERIC(INVALID_FIELD));
	cmd = get_log(NVME_LOG_LID_SMART, 512, 0, false);
	cmd.nsid = cpu_to_le32(1);
	assert_int_equal(admin(host, cmd), GENERIC(INVALID_FIELD));
	cmd.nsid = cpu_to_le32(NVME_NSID_ALL);
	assert_int_equal(admin(host, cmd), 0);
	host_free(host);
}

static void test_error_log(void **state)
{
	struct host *host = started(SPEC);
	const struct nvme_error_log_page *e = (const void *)host_page(host, HOST_DATA_PAGE);
	struct nvmux_cmd bad;
	struct nvmux_cpl cpl;
	uint16_t cid;

	host_create_queues(host, 1);
	bad = host_rw(nvme_cmd_read, 1, 0x123456789ull, 1, host_iova(HOST_DATA_PAGE), 0);
	cid = host_put(host, 1, &bad);
	host_ring(host, 1);
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 1);
	assert_true(host_take(host, 1, &cpl));
	assert_int_equal(nvmux_cpl_status(&cpl),
			 GENERIC(LBA_RANGE) | NVMUX_STATUS_DNR | NVMUX_STATUS_MORE);
	assert_int_equal(admin(host, host_identify(0, 77, 0)), GENERIC(INVALID_NS));
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_ERROR, 4096, 0, false)), 0);
	assert_int_equal(le64_to_cpu(e[0].error_count), 2); /* the newest first */
	assert_int_equal(le16_to_cpu(e[0].sqid), 0);
	assert_int_equal(le32_to_cpu(e[0].nsid), 77);
	assert_int_equal(le64_to_cpu(e[1].error_count), 1);
	assert_int_equal(le16_to_cpu(e[1].sqid), 1);
	assert_int_equal(le16_to_cpu(e[1].cmdid), cid);
	assert_int_equal(le64_to_cpu(e[1].lba), 0x123456789ull);
	assert_int_equal(le16_to_cpu(e[1].status_field) >> 1 & NVMUX_STATUS_CODE_MASK,
			 GENERIC(LBA_RANGE));
	assert_int_equal(le64_to_cpu(e[2].error_count), 0);
	for (int i = 0; i < 100; i++)
		admin(host, host_identify(0, 77, 0));
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_ERROR, 4096, 0, false)), 0);
	assert_int_equal(le64_to_cpu(e[0].error_count), 102);
	assert_int_equal(le64_to_cpu(e[63].error_count), 39);
	host_free(host);
}

/* ---- queues ---- */

static void test_create_queue_errors(void **state)
{
	struct host *host = started(SPEC ",queues=4,entries=64");
	struct nvmux_cmd cq = host_create_cq(host, 1, HOST_ENTRIES);
	struct nvmux_cmd sq = host_create_sq(host, 1, HOST_ENTRIES);
	struct nvmux_cmd cmd;

	/* no completion queue yet */
	assert_int_equal(admin(host, sq), SPECIFIC(CQ_INVALID));
	/* identifier */
	cmd = cq;
	cmd.cdw10 = cpu_to_le32(15 << 16 | 0);
	assert_int_equal(admin(host, cmd), SPECIFIC(QID_INVALID));
	assert_int_equal(admin(host, host_create_cq(host, 5, 16)), SPECIFIC(QID_INVALID));
	/* size */
	assert_int_equal(admin(host, host_create_cq(host, 1, 1)), SPECIFIC(QUEUE_SIZE));
	assert_int_equal(admin(host, host_create_cq(host, 1, 65)), SPECIFIC(QUEUE_SIZE));
	/* not contiguous, vector, address */
	cmd = cq;
	cmd.cdw11 = cpu_to_le32(1 << 16 | 2);
	assert_int_equal(admin(host, cmd), GENERIC(INVALID_FIELD));
	cmd.cdw11 = cpu_to_le32(5 << 16 | 3);
	assert_int_equal(admin(host, cmd), SPECIFIC(INVALID_VECTOR));
	cmd = cq;
	cmd.dptr[0] = cpu_to_le64(host->queues[1].cq_iova + 16);
	assert_int_equal(admin(host, cmd), GENERIC(PRP_INVALID_OFFSET));
	cmd.dptr[0] = cpu_to_le64(HOST_NOWHERE);
	assert_int_equal(admin(host, cmd), GENERIC(DATA_XFER_ERROR));
	cmd.dptr[0] = cpu_to_le64(HOST_RO_IOVA);
	assert_int_equal(admin(host, cmd), GENERIC(DATA_XFER_ERROR));
	host_create_cq(host, 1, HOST_ENTRIES);
	assert_int_equal(admin(host, cq), 0);
	assert_int_equal(admin(host, cq), SPECIFIC(QID_INVALID)); /* in use */

	cmd = sq;
	cmd.cdw11 = cpu_to_le32(0 << 16 | 1); /* the admin completion queue */
	assert_int_equal(admin(host, cmd), SPECIFIC(QID_INVALID));
	cmd.cdw11 = cpu_to_le32(5 << 16 | 1);
	assert_int_equal(admin(host, cmd), SPECIFIC(QID_INVALID));
	cmd.cdw11 = cpu_to_le32(2 << 16 | 1);
	assert_int_equal(admin(host, cmd), SPECIFIC(CQ_INVALID));
	cmd = sq;
	cmd.cdw10 = cpu_to_le32(15 << 16 | 0);
	assert_int_equal(admin(host, cmd), SPECIFIC(QID_INVALID));
	cmd = host_create_sq(host, 5, 16);
	assert_int_equal(admin(host, cmd), SPECIFIC(QID_INVALID));
	assert_int_equal(admin(host, host_create_sq(host, 1, 1)), SPECIFIC(QUEUE_SIZE));
	assert_int_equal(admin(host, host_create_sq(host, 1, 65)), SPECIFIC(QUEUE_SIZE));
	cmd = sq;
	cmd.cdw11 = cpu_to_le32(1 << 16);
	assert_int_equal(admin(host, cmd), GENERIC(INVALID_FIELD));
	cmd = sq;
	cmd.dptr[0] = cpu_to_le64(host->queues[1].sq_iova + 64);
	assert_int_equal(admin(host, cmd), GENERIC(PRP_INVALID_OFFSET));
	cmd.dptr[0] = cpu_to_le64(HOST_NOWHERE);
	assert_int_equal(admin(host, cmd), GENERIC(DATA_XFER_ERROR));
	host_create_sq(host, 1, HOST_ENTRIES);
	assert_int_equal(admin(host, sq), 0);
	assert_int_equal(admin(host, sq), SPECIFIC(QID_INVALID));
	host_free(host);
}

static void test_create_queue_without_entry_sizes(void **state)
{
	struct host *host = started(SPEC);

	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 1);
	assert_int_equal(admin(host, host_create_cq(host, 1, 16)), SPECIFIC(QUEUE_SIZE));
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, CC_ON);
	assert_int_equal(admin(host, host_create_cq(host, 1, 16)), 0);
	host_free(host);
}

static void test_delete_queues(void **state)
{
	struct host *host = started(SPEC);

	assert_int_equal(admin(host, host_delete(nvme_admin_delete_sq, 1)), SPECIFIC(QID_INVALID));
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_cq, 1)), SPECIFIC(QID_INVALID));
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_sq, 0)), SPECIFIC(QID_INVALID));
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_cq, 0)), SPECIFIC(QID_INVALID));
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_sq, 0xffff)),
			 SPECIFIC(QID_INVALID));
	host_create_queues(host, 1);
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_cq, 1)),
			 SPECIFIC(INVALID_QUEUE));
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_sq, 1)), 0);
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 0);
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_cq, 1)), 0);
	host_create_queues(host, 1);
	host_free(host);
}

static void test_doorbell_out_of_range(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd read = host_rw(nvme_cmd_read, 1, 0, 1, host_iova(HOST_DATA_PAGE), 0);
	struct nvmux_cmd aer = {.opc = nvme_admin_async_event};
	struct nvmux_cpl cpl;
	uint16_t cid;

	host_create_queues(host, 1);
	cid = host_put(host, 0, &aer);
	host_ring(host, 0);
	assert_int_equal(emu_poll_queue(host->ctrlr, 0), 1);
	assert_false(host_take(host, 0, &cpl)); /* it waits */
	host->doorbells[2] = HOST_ENTRIES;
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 0);
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 0);
	assert_int_equal(emu_poll_queue(host->ctrlr, 0), 0);
	assert_true(host_take(host, 0, &cpl));
	assert_int_equal(le16_to_cpu(cpl.cid), cid);
	assert_int_equal(nvmux_cpl_status(&cpl), 0);
	/* error, Invalid Doorbell Write Value, Error Information log */
	assert_int_equal(le32_to_cpu(cpl.dw0), 0 | 1 << 8 | 1 << 16);
	/* It is one event, and no further one before the log has been read. */
	host_put(host, 0, &aer);
	host_ring(host, 0);
	host->doorbells[2] = 0xffffffff;
	assert_int_equal(emu_poll(host->ctrlr), 1);
	assert_int_equal(emu_poll(host->ctrlr), 0);
	assert_false(host_take(host, 0, &cpl));
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_ERROR, 64, 0, true)), 0);
	assert_int_equal(emu_poll(host->ctrlr), 0);
	assert_false(host_take(host, 0, &cpl));
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_ERROR, 64, 0, false)), 0);
	assert_true(host_take(host, 0, &cpl));
	assert_int_equal(le32_to_cpu(cpl.dw0), 0 | 1 << 8 | 1 << 16);
	/* The queue goes on with a value that makes sense. */
	host->queues[1].tail = 0;
	host->doorbells[2] = 0;
	assert_int_equal(host_do(host, 1, &read, NULL), 0);
	host_free(host);
}

static void test_doorbells_that_contradict(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd cq = host_create_cq(host, 1, 4), sq = host_create_sq(host, 1, 32);
	struct nvmux_cmd flush = {.opc = nvme_cmd_flush, .nsid = cpu_to_le32(1)};
	struct nvmux_cpl cpl;

	assert_int_equal(admin(host, cq), 0);
	assert_int_equal(admin(host, sq), 0);
	for (int i = 0; i < 10; i++)
		host_put(host, 1, &flush);
	host_ring(host, 1);
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 3); /* all that there is room for */
	/* a head beyond the queue */
	host->doorbells[3] = 4;
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 0);
	host->doorbells[3] = 0;
	/* a tail that goes back among commands that wait, one at the head, one beyond the queue */
	host->doorbells[2] = 5;
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 0);
	host->doorbells[2] = 3;
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 0);
	host->doorbells[2] = 32;
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 0);
	host_ring(host, 1);
	for (int i = 0; i < 10; i++) {
		emu_poll_queue(host->ctrlr, 1);
		assert_true(host_take(host, 1, &cpl));
		assert_int_equal(le16_to_cpu(cpl.cid), i);
	}
	assert_false(host_take(host, 1, &cpl));
	/* beyond the queue again, where the completions are around its end */
	for (int i = 0; i < 4; i++)
		host_put(host, 1, &flush);
	host_ring(host, 1);
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 3);
	host->doorbells[3] = 4;
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 0);
	/* a head that goes back, and one that takes what isn't there yet */
	host_create_queues(host, 2);
	for (int i = 0; i < 5; i++)
		assert_int_equal(host_do(host, 2, &flush, NULL), 0);
	host->doorbells[5] = 3;
	host_put(host, 2, &flush);
	host_ring(host, 2);
	assert_int_equal(emu_poll_queue(host->ctrlr, 2), 1);
	host->doorbells[5] = 9;
	host_put(host, 2, &flush);
	host_ring(host, 2);
	assert_int_equal(emu_poll_queue(host->ctrlr, 2), 1);
	/* three wrong tails, four wrong heads */
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_ERROR, 4096, 0, false)), 0);
	assert_int_equal(le64_to_cpu(*(__le64 *)(void *)host_page(host, HOST_DATA_PAGE)), 7);
	host_free(host);
}

static void test_doorbell_of_no_queue(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd aer = {.opc = nvme_admin_async_event};
	struct nvmux_cpl cpl;

	host_put(host, 0, &aer);
	host_ring(host, 0);
	emu_poll(host->ctrlr);
	emu_doorbell_write(host->ctrlr, 8 * 3, 1);
	emu_poll(host->ctrlr);
	assert_true(host_take(host, 0, &cpl));
	assert_int_equal(le32_to_cpu(cpl.dw0),
			 0 | 0 << 8 | 1 << 16); /* Invalid Doorbell Register */
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_ERROR, 64, 0, false)), 0);
	/* offsets that are none */
	emu_doorbell_write(host->ctrlr, 1, 1);
	emu_doorbell_write(host->ctrlr, 0xfffffffc, 1);
	/* in the shared page */
	host_put(host, 0, &aer);
	host_ring(host, 0);
	emu_poll(host->ctrlr);
	emu_check_doorbells(host->ctrlr);
	emu_poll(host->ctrlr);
	assert_false(host_take(host, 0, &cpl));
	host->doorbells[2 * 900] = 7;
	emu_check_doorbells(host->ctrlr);
	emu_poll(host->ctrlr);
	assert_true(host_take(host, 0, &cpl));
	/* what a deleted queue left there is no mistake */
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_ERROR, 64, 0, false)), 0);
	host_put(host, 0, &aer);
	host_ring(host, 0);
	emu_poll(host->ctrlr);
	host_create_queues(host, 1);
	aer.opc = nvme_cmd_flush;
	aer.nsid = cpu_to_le32(1);
	assert_int_equal(host_do(host, 1, &aer, NULL), 0);
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_sq, 1)), 0);
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_cq, 1)), 0);
	emu_check_doorbells(host->ctrlr);
	emu_poll(host->ctrlr);
	assert_false(host_take(host, 0, &cpl));
	host_free(host);
}

static void test_completion_queue_full(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd cq = host_create_cq(host, 1, 4), sq = host_create_sq(host, 1, 32);
	struct nvmux_cmd flush = {.opc = nvme_cmd_flush, .nsid = cpu_to_le32(1)};
	struct nvmux_cpl cpl;

	assert_int_equal(admin(host, cq), 0);
	assert_int_equal(admin(host, sq), 0);
	for (int i = 0; i < 10; i++)
		host_put(host, 1, &flush);
	host_ring(host, 1);
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 3);
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 0);
	assert_int_equal(host->irqs[1], 1); /* once for the three */
	for (int i = 0; i < 3; i++)
		assert_true(host_take(host, 1, &cpl));
	assert_false(host_take(host, 1, &cpl));
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 3);
	assert_true(host_take(host, 1, &cpl));
	assert_int_equal(emu_poll_queue(host->ctrlr, 1), 1);
	assert_int_equal(host->irqs[1], 3);
	host_free(host);
}

static void test_shared_completion_queue(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd sq2 = host_create_sq(host, 2, HOST_ENTRIES);
	struct nvmux_cmd flush = {.opc = nvme_cmd_flush, .nsid = cpu_to_le32(1)};
	struct nvmux_cpl cpl;

	host_create_queues(host, 1);
	sq2.cdw11 = cpu_to_le32(1 << 16 | 1);
	assert_int_equal(admin(host, sq2), 0);
	host_put(host, 1, &flush);
	host_put(host, 2, &flush);
	host_ring(host, 1);
	host_ring(host, 2);
	assert_int_equal(emu_poll(host->ctrlr), 2);
	assert_true(host_take(host, 1, &cpl));
	assert_int_equal(le16_to_cpu(cpl.sqid), 1);
	assert_true(host_take(host, 1, &cpl));
	assert_int_equal(le16_to_cpu(cpl.sqid), 2);
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_sq, 1)), 0);
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_cq, 1)),
			 SPECIFIC(INVALID_QUEUE));
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_sq, 2)), 0);
	assert_int_equal(admin(host, host_delete(nvme_admin_delete_cq, 1)), 0);
	host_free(host);
}

/* ---- events and Abort ---- */

static void test_event_requests(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd aer = {.opc = nvme_admin_async_event};
	struct nvmux_cpl cpl;

	for (int i = 0; i < 4; i++)
		host_put(host, 0, &aer);
	host_ring(host, 0);
	assert_int_equal(emu_poll_queue(host->ctrlr, 0), 4);
	assert_false(host_take(host, 0, &cpl));
	assert_int_equal(admin(host, aer), SPECIFIC(ASYNC_LIMIT));
	/* The temperature, when the host wants to hear of it. */
	assert_int_equal(set(host, NVME_FEAT_FID_TEMP_THRESH, 300, 0), 0);
	assert_false(host_take(host, 0, &cpl));
	assert_int_equal(set(host, NVME_FEAT_FID_ASYNC_EVENT, 1u << 30, 0), GENERIC(INVALID_FIELD));
	assert_int_equal(set(host, NVME_FEAT_FID_ASYNC_EVENT, NVME_SMART_CRIT_TEMPERATURE, 0), 0);
	assert_true(host_take(host, 0, &cpl));
	assert_int_equal(le32_to_cpu(cpl.dw0), 1 | 1 << 8 | 2 << 16);
	assert_int_equal(admin(host, get_log(NVME_LOG_LID_SMART, 512, 0, false)), 0);
	assert_int_equal(host_page(host, HOST_DATA_PAGE)[0], NVME_SMART_CRIT_TEMPERATURE);
	/* A reset forgets requests. */
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
	assert_int_equal(host_enable(host), 1);
	for (int i = 0; i < 4; i++)
		host_put(host, 0, &aer);
	host_ring(host, 0);
	assert_int_equal(emu_poll_queue(host->ctrlr, 0), 4);
	assert_false(host_take(host, 0, &cpl));
	host_free(host);
}

static void test_abort(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd aer = {.opc = nvme_admin_async_event};
	struct nvmux_cmd abort_cmd = {.opc = nvme_admin_abort_cmd};
	struct nvmux_cpl cpl;
	uint32_t dw0 = 0;
	uint16_t cid;

	cid = host_put(host, 0, &aer);
	host_ring(host, 0);
	emu_poll(host->ctrlr);
	abort_cmd.cdw10 = cpu_to_le32(0x4711u << 16);
	assert_int_equal(host_do(host, 0, &abort_cmd, &dw0), 0);
	assert_int_equal(dw0, 1); /* not aborted */
	abort_cmd.cdw10 = cpu_to_le32((uint32_t)cid << 16);
	host_put(host, 0, &abort_cmd);
	host_ring(host, 0);
	assert_int_equal(emu_poll(host->ctrlr), 1);
	assert_true(host_take(host, 0, &cpl));
	assert_int_equal(le16_to_cpu(cpl.cid), cid);
	assert_int_equal(nvmux_cpl_status(&cpl) & NVMUX_STATUS_CODE_MASK, GENERIC(ABORT_REQ));
	assert_true(host_take(host, 0, &cpl));
	assert_int_equal(le32_to_cpu(cpl.dw0), 0); /* aborted */
	abort_cmd.cdw10 = cpu_to_le32(3);
	assert_int_equal(host_do(host, 0, &abort_cmd, &dw0), GENERIC(INVALID_FIELD));
	host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_enable_disable),
		cmocka_unit_test(test_enable_with_bad_queues),
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_memory_of_queues_goes),
		cmocka_unit_test(test_identify_ctrlr),
		cmocka_unit_test(test_identify_ns),
		cmocka_unit_test(test_identify_lists),
		cmocka_unit_test(test_identify_other),
		cmocka_unit_test(test_invalid_commands),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_number_of_queues),
		cmocka_unit_test(test_host_id),
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_error_log),
		cmocka_unit_test(test_create_queue_errors),
		cmocka_unit_test(test_create_queue_without_entry_sizes),
		cmocka_unit_test(test_delete_queues),
		cmocka_unit_test(test_doorbell_out_of_range),
		cmocka_unit_test(test_doorbells_that_contradict),
		cmocka_unit_test(test_doorbell_of_no_queue),
		cmocka_unit_test(test_completion_queue_full),
		cmocka_unit_test(test_shared_completion_queue),
		cmocka_unit_test(test_event_requests),
		cmocka_unit_test(test_abort),
	};

	return cmocka_run_group_tests_name("emu_model", tests, NULL, NULL);
}
