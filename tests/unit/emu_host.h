/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host for the emulator's model in plain memory: what a driver would do, by hand, so that a test
 * can do each step wrong.
 */
#ifndef NVMUX_TESTS_EMU_HOST_H
#define NVMUX_TESTS_EMU_HOST_H

#include <nvme/types.h>
#include <nvmux/cmd.h>
#include "emulator/model.h"
#include "libcore/util.h"

#define HOST_PAGE      4096u
#define HOST_MEM_PAGES 2048u
#define HOST_IOVA      0x10000000ull /* of the memory */
#define HOST_RO_IOVA   0x80000000ull /* the last HOST_RO_PAGES again, which a device can't write */
#define HOST_RO_PAGES  16u
#define HOST_NOWHERE   0x40000000ull /* not mapped */
#define HOST_ENTRIES   32u
#define HOST_QUEUES    8u
#define HOST_DATA_PAGE 256u /* pages from here on are free for data */

struct host_queue {
	struct nvmux_cmd *sq;
	struct nvmux_cpl *cq;
	uint64_t sq_iova, cq_iova;
	uint32_t sq_entries, cq_entries;
	uint32_t tail, head;
	uint16_t phase;
	uint16_t next_cid;
};

struct host {
	struct emu_ctrlr *ctrlr;
	uint8_t *mem;
	bool mapped;
	uint32_t doorbells[2 * EMU_QUEUES_MAX];
	uint32_t irqs[EMU_QUEUES_MAX];
	struct host_queue queues[HOST_QUEUES];
};

struct host *host_new(const char *description);
void host_free(struct host *host);
static inline uint64_t host_iova(uint32_t page)
{
	return HOST_IOVA + (uint64_t)page * HOST_PAGE;
}
static inline uint8_t *host_page(struct host *host, uint32_t page)
{
	return host->mem + (size_t)page * HOST_PAGE;
}

/* Program the admin queue and enable the controller; the value of CSTS. */
uint32_t host_enable(struct host *host);
/* The same with all command sets that there are. */
uint32_t host_enable_all(struct host *host);
/* Put a command into a queue without telling the controller; returns its identifier. */
uint16_t host_put(struct host *host, uint16_t qid, const struct nvmux_cmd *cmd);
void host_ring(struct host *host, uint16_t qid);
/* Take the next completion, if there is one. */
bool host_take(struct host *host, uint16_t qid, struct nvmux_cpl *ret);
/* Submit, serve, take the completion, which must be there; its status without DNR and More. */
uint16_t host_do(struct host *host, uint16_t qid, const struct nvmux_cmd *cmd, uint32_t *ret_dw0);

struct nvmux_cmd host_create_cq(struct host *host, uint16_t qid, uint32_t entries);
struct nvmux_cmd host_create_sq(struct host *host, uint16_t qid, uint32_t entries);
struct nvmux_cmd host_delete(uint8_t opc, uint16_t qid);
/* Both queues, which must work. */
void host_create_queues(struct host *host, uint16_t qid);
/* Read or write with the two data pointers as given. */
struct nvmux_cmd host_rw(uint8_t opc, uint32_t nsid, uint64_t slba, uint32_t n, uint64_t prp1,
			 uint64_t prp2);
struct nvmux_cmd host_identify(uint8_t cns, uint32_t nsid, uint32_t page);

#endif
