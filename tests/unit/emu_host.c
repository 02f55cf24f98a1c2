// SPDX-License-Identifier: BSD-3-Clause
/* A host for the emulator's model in plain memory. */
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "emu_host.h"

static bool host_dma(void *arg, uint64_t iova, struct emu_dma *ret)
{
	struct host *host = arg;
	uint64_t size = (uint64_t)HOST_MEM_PAGES * HOST_PAGE, ro = HOST_RO_PAGES * HOST_PAGE;

	if (!host->mapped)
		return false;
	if (iova - HOST_IOVA < size) {
		*ret = (struct emu_dma){HOST_IOVA, size, host->mem, true, true};
		return true;
	}
	if (iova - HOST_RO_IOVA < ro) {
		*ret = (struct emu_dma){HOST_RO_IOVA, ro, host->mem + size - ro, true, false};
		return true;
	}
	return false;
}

static void host_irq(void *arg, uint16_t vector)
{
	struct host *host = arg;

	assert_true(vector < EMU_QUEUES_MAX);
	__atomic_add_fetch(&host->irqs[vector], 1, __ATOMIC_RELAXED); /* of any thread */
}

struct host *host_new(const char *description)
{
	struct host *host = calloc(1, sizeof(*host));
	const struct emu_carrier carrier = {.dma = host_dma, .irq = host_irq, .arg = host};
	struct emu_config *config = malloc(sizeof(*config));
	char why[256] = "";
	int err;

	assert_non_null(host);
	assert_non_null(config);
	host->mem = aligned_alloc(HOST_PAGE, (size_t)HOST_MEM_PAGES * HOST_PAGE);
	assert_non_null(host->mem);
	memset(host->mem, 0, (size_t)HOST_MEM_PAGES * HOST_PAGE);
	host->mapped = true;
	emu_config_init(config);
	err = emu_config_parse(config, description, why, sizeof(why));
	if (!err)
		err = emu_ctrlr_create(config, &carrier, &host->ctrlr, why, sizeof(why));
	free(config);
	if (err)
		fail_msg("%s: %s", description, why);
	emu_set_doorbells(host->ctrlr, host->doorbells, sizeof(host->doorbells));
	for (uint32_t i = 0; i < HOST_QUEUES; i++) {
		struct host_queue *q = &host->queues[i];

		/* 16 pages per queue: room for many entries */
		q->sq_iova = host_iova(i * 32);
		q->cq_iova = host_iova(i * 32 + 16);
		q->sq = (struct nvmux_cmd *)(void *)host_page(host, i * 32);
		q->cq = (struct nvmux_cpl *)(void *)host_page(host, i * 32 + 16);
		q->phase = 1;
	}
	return host;
}

void host_free(struct host *host)
{
	emu_ctrlr_destroy(host->ctrlr);
	free(host->mem);
	free(host);
}

static void host_rewind(struct host *host, uint16_t qid, uint32_t sq_entries, uint32_t cq_entries)
{
	struct host_queue *q = &host->queues[qid];

	q->sq_entries = sq_entries ? sq_entries : q->sq_entries;
	q->cq_entries = cq_entries ? cq_entries : q->cq_entries;
	q->tail = q->head = 0;
	q->phase = 1;
	memset(q->cq, 0, 16 * HOST_PAGE);
}

static uint32_t enable_css(struct host *host, uint32_t css)
{
	struct host_queue *q = &host->queues[0];

	host_rewind(host, 0, HOST_ENTRIES, HOST_ENTRIES);
	emu_reg_write(host->ctrlr, NVME_REG_AQA, 4, (HOST_ENTRIES - 1) << 16 | (HOST_ENTRIES - 1));
	emu_reg_write(host->ctrlr, NVME_REG_ASQ, 8, q->sq_iova);
	emu_reg_write(host->ctrlr, NVME_REG_ACQ, 8, q->cq_iova);
	emu_reg_write(host->ctrlr, NVME_REG_CC, 4,
		      4u << NVME_CC_IOCQES_SHIFT | 6u << NVME_CC_IOSQES_SHIFT |
			      css << NVME_CC_CSS_SHIFT | 1);
	return (uint32_t)emu_reg_read(host->ctrlr, NVME_REG_CSTS, 4);
}

uint32_t host_enable(struct host *host)
{
	return enable_css(host, NVME_CC_CSS_NVM);
}

uint32_t host_enable_all(struct host *host)
{
	return enable_css(host, NVME_CC_CSS_CSI);
}

uint16_t host_put(struct host *host, uint16_t qid, const struct nvmux_cmd *cmd)
{
	struct host_queue *q = &host->queues[qid];
	uint16_t cid = q->next_cid++;

	q->sq[q->tail] = *cmd;
	q->sq[q->tail].cid = cpu_to_le16(cid);
	q->tail = (q->tail + 1) % q->sq_entries;
	return cid;
}

void host_ring(struct host *host, uint16_t qid)
{
	host->doorbells[2 * qid] = host->queues[qid].tail;
}

bool host_take(struct host *host, uint16_t qid, struct nvmux_cpl *ret)
{
	struct host_queue *q = &host->queues[qid];
	const struct nvmux_cpl *cpl = &q->cq[q->head];

	if ((le16_to_cpu(cpl->status) & 1) != q->phase)
		return false;
	*ret = *cpl;
	q->head = (q->head + 1) % q->cq_entries;
	q->phase ^= q->head == 0;
	host->doorbells[2 * qid + 1] = q->head;
	return true;
}

uint16_t host_do(struct host *host, uint16_t qid, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	uint16_t cid = host_put(host, qid, cmd);
	struct nvmux_cpl cpl = {0};

	host_ring(host, qid);
	assert_int_equal(emu_poll_queue(host->ctrlr, qid), 1);
	assert_true(host_take(host, qid, &cpl));
	assert_int_equal(le16_to_cpu(cpl.cid), cid);
	assert_int_equal(le16_to_cpu(cpl.sqid), qid);
	assert_int_equal(le16_to_cpu(cpl.sqhd), host->queues[qid].tail);
	if (ret_dw0)
		*ret_dw0 = le32_to_cpu(cpl.dw0);
	return nvmux_cpl_status(&cpl) & NVMUX_STATUS_CODE_MASK;
}

struct nvmux_cmd host_create_cq(struct host *host, uint16_t qid, uint32_t entries)
{
	host_rewind(host, qid, 0, entries);
	return (struct nvmux_cmd){
		.opc = nvme_admin_create_cq,
		.dptr = {cpu_to_le64(host->queues[qid].cq_iova)},
		.cdw10 = cpu_to_le32((entries - 1) << 16 | qid),
		.cdw11 = cpu_to_le32((uint32_t)qid << 16 | 3), /* IEN, PC */
	};
}

struct nvmux_cmd host_create_sq(struct host *host, uint16_t qid, uint32_t entries)
{
	host_rewind(host, qid, entries, 0);
	return (struct nvmux_cmd){
		.opc = nvme_admin_create_sq,
		.dptr = {cpu_to_le64(host->queues[qid].sq_iova)},
		.cdw10 = cpu_to_le32((entries - 1) << 16 | qid),
		.cdw11 = cpu_to_le32((uint32_t)qid << 16 | 1), /* PC */
	};
}

struct nvmux_cmd host_delete(uint8_t opc, uint16_t qid)
{
	return (struct nvmux_cmd){.opc = opc, .cdw10 = cpu_to_le32(qid)};
}

void host_create_queues(struct host *host, uint16_t qid)
{
	struct nvmux_cmd cq = host_create_cq(host, qid, HOST_ENTRIES);
	struct nvmux_cmd sq = host_create_sq(host, qid, HOST_ENTRIES);

	assert_int_equal(host_do(host, 0, &cq, NULL), 0);
	assert_int_equal(host_do(host, 0, &sq, NULL), 0);
}

struct nvmux_cmd host_rw(uint8_t opc, uint32_t nsid, uint64_t slba, uint32_t n, uint64_t prp1,
			 uint64_t prp2)
{
	return (struct nvmux_cmd){
		.opc = opc,
		.nsid = cpu_to_le32(nsid),
		.dptr = {cpu_to_le64(prp1), cpu_to_le64(prp2)},
		.cdw10 = cpu_to_le32((uint32_t)slba),
		.cdw11 = cpu_to_le32((uint32_t)(slba >> 32)),
		.cdw12 = cpu_to_le32(n - 1),
	};
}

struct nvmux_cmd host_identify(uint8_t cns, uint32_t nsid, uint32_t page)
{
	return (struct nvmux_cmd){
		.opc = nvme_admin_identify,
		.nsid = cpu_to_le32(nsid),
		.dptr = {cpu_to_le64(host_iova(page))},
		.cdw10 = cpu_to_le32(cns),
	};
}
