// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory of the host that the controller uses for itself: the buffers of Doorbell Buffer Config
 * (base specification 2.0, sections 5.8 and B.5) and the Host Memory Buffer (section 5.27.1.10).
 *
 * Shadow doorbells: where an I/O queue's doorbell is in the buffer, that is the value that counts;
 * the event index says up to where the controller has seen it. Store the index, then look again:
 * the host stores the doorbell, and then looks at the index.
 *
 * The Host Memory Buffer is scratch space: each range gets a stamp at its beginning and its end,
 * which admin commands look for. A host that writes there, or takes the memory away, is told by a
 * Persistent Internal Error or finds the controller failed.
 */
#include <string.h>
#include "emulator/internal.h"

#define BUFFER_SIZE    EMU_PAGE_SIZE
#define HMB_ENABLE     (1u << 0)
#define HMB_RETURN     (1u << 1)
#define HMB_DESCRIPTOR 16u

void *emu_map(struct emu_ctrlr *ctrlr, uint64_t iova, uint64_t size, bool read, bool write)
{
	struct emu_dma m;
	uint64_t off;

	if (!ctrlr->carrier.dma(ctrlr->carrier.arg, iova, &m))
		return NULL;
	off = iova - m.iova;
	if (off >= m.size || m.size - off < size || (read && !m.readable) ||
	    (write && !m.writable))
		return NULL;
	return m.host + off;
}

static uint8_t *map(struct emu_ctrlr *ctrlr, uint64_t iova, uint64_t size)
{
	return emu_map(ctrlr, iova, size, true, true);
}

/* ---- doorbells ---- */

/* Only where all doorbells fit into the page that a buffer is. */
bool emu_shadow_offered(const struct emu_ctrlr *ctrlr)
{
	uint32_t n = 2u * (ctrlr->config.max_io_queues + 1u);

	return (uint64_t)n * 4 << ctrlr->doorbell_stride <= BUFFER_SIZE;
}

uint32_t emu_shadow_load(const struct emu_ctrlr *ctrlr, uint32_t number,
			 const volatile uint32_t *doorbell)
{
	const volatile uint32_t *shadow = ctrlr->shadow.doorbells;
	uint32_t at = number << ctrlr->doorbell_stride, value;

	if (number < 2 || at >= BUFFER_SIZE / 4)
		return le32toh(__atomic_load_n(doorbell, __ATOMIC_ACQUIRE));
	value = __atomic_load_n(&shadow[at], __ATOMIC_ACQUIRE);
	__atomic_store_n(&ctrlr->shadow.events[at], value, __ATOMIC_SEQ_CST);
	/* Whoever stored before the index was there didn't ring. */
	return le32toh(__atomic_load_n(&shadow[at], __ATOMIC_SEQ_CST));
}

uint16_t emu_doorbell_buffer_config(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	uint64_t doorbells = le64_to_cpu(cmd->dptr[0]), events = le64_to_cpu(cmd->dptr[1]);
	uint8_t *d, *e;

	if ((doorbells | events) & (EMU_PAGE_SIZE - 1))
		return EMU_GENERIC(PRP_INVALID_OFFSET);
	d = map(ctrlr, doorbells, BUFFER_SIZE);
	e = map(ctrlr, events, BUFFER_SIZE);
	if (!d || !e || doorbells == events)
		return EMU_GENERIC(INVALID_FIELD);
	__atomic_store_n(&ctrlr->shadow.doorbells, NULL, __ATOMIC_SEQ_CST);
	emu_quiesce(ctrlr);
	ctrlr->shadow.events = (volatile uint32_t *)(void *)e;
	ctrlr->shadow.doorbells_iova = doorbells;
	ctrlr->shadow.events_iova = events;
	__atomic_store_n(&ctrlr->shadow.doorbells, (volatile uint32_t *)(void *)d,
			 __ATOMIC_SEQ_CST);
	return EMU_SUCCESS;
}

/* ---- Host Memory Buffer ---- */

/* The stamp at the beginning and at the end of range @i. */
static bool stamp(struct emu_ctrlr *ctrlr, uint32_t i, bool write)
{
	struct emu_hmb *hmb = &ctrlr->hmb;
	uint64_t size = hmb->ranges[i].size, iova = hmb->ranges[i].iova;
	uint64_t value = hmb->stamp ^ iova, found[2];
	uint8_t *first = map(ctrlr, iova, 8), *last = map(ctrlr, iova + size - 8, 8);

	if (!first || !last)
		return false;
	if (write) {
		memcpy(first, &value, 8);
		memcpy(last, &value, 8);
		return true;
	}
	memcpy(&found[0], first, 8);
	memcpy(&found[1], last, 8);
	return found[0] == value && found[1] == value;
}

static void hmb_error(struct emu_ctrlr *ctrlr)
{
	emu_error_add(&ctrlr->sqs[0], NULL, EMU_GENERIC(INTERNAL));
	emu_event_raise(ctrlr, NVME_AER_ERROR, NVME_AER_ERROR_PERSISTENT_INTERNAL_ERROR,
			NVME_LOG_LID_ERROR);
}

void emu_hmb_check(struct emu_ctrlr *ctrlr)
{
	struct emu_hmb *hmb = &ctrlr->hmb;
	bool good = true;

	if (!hmb->enabled)
		return;
	for (uint32_t i = 0; i < hmb->n; i++)
		good &= stamp(ctrlr, i, false);
	if (good)
		return;
	hmb->enabled = hmb->stamped = false;
	hmb_error(ctrlr);
}

/* The descriptor list, checked in full before it counts. */
static uint16_t read_ranges(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd,
			    struct emu_hmb *ret)
{
	uint32_t hsize = emu_cdw(cmd->cdw12), n = emu_cdw(cmd->cdw15);
	uint64_t list = emu_cdw(cmd->cdw13) | (uint64_t)emu_cdw(cmd->cdw14) << 32, pages = 0;
	const uint8_t *entries;

	if ((list & (HMB_DESCRIPTOR - 1)) || n == 0 || n > EMU_HMB_DESCRIPTORS ||
	    (uint64_t)hsize * EMU_PAGE_SIZE < MIN(EMU_HMB_MIN, ctrlr->config.hmb))
		return EMU_GENERIC(INVALID_FIELD);
	entries = map(ctrlr, list, (uint64_t)n * HMB_DESCRIPTOR);
	if (!entries)
		return EMU_XFER_ERROR;
	*ret = (struct emu_hmb){.list = list, .n = n, .pages = hsize};
	for (uint32_t i = 0; i < n; i++) {
		uint64_t address, size;

		memcpy(&address, entries + i * HMB_DESCRIPTOR, 8);
		memcpy(&size, entries + i * HMB_DESCRIPTOR + 8, 4);
		address = le64toh(address);
		size = (uint32_t)le64toh(size);
		if ((address & (EMU_PAGE_SIZE - 1)) || size == 0)
			return EMU_GENERIC(INVALID_FIELD);
		ret->ranges[i].iova = address;
		ret->ranges[i].size = size * EMU_PAGE_SIZE;
		pages += size;
		for (uint32_t j = 0; j < i; j++) {
			if (emu_overlaps(address, ret->ranges[i].size, ret->ranges[j].iova,
					 ret->ranges[j].size))
				return EMU_GENERIC(INVALID_FIELD);
		}
		if (!map(ctrlr, address, ret->ranges[i].size))
			return EMU_XFER_ERROR;
	}
	return pages == hsize ? EMU_SUCCESS : EMU_GENERIC(INVALID_FIELD);
}

uint16_t emu_set_hmb(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	struct emu_ctrlr *ctrlr = sq->ctrlr;
	struct emu_hmb *hmb = &ctrlr->hmb, hmb_new;
	uint32_t flags = emu_cdw(cmd->cdw11);
	uint16_t status;
	bool same;

	if (!(flags & HMB_ENABLE)) {
		emu_hmb_check(ctrlr);
		hmb->enabled = false;
		return EMU_SUCCESS;
	}
	if (hmb->enabled)
		return EMU_GENERIC(CMD_SEQ_ERROR);
	status = read_ranges(ctrlr, cmd, &hmb_new);
	if (status)
		return status;
	same = (flags & HMB_RETURN) && hmb->stamped && hmb->n == hmb_new.n &&
	       memcmp(hmb->ranges, hmb_new.ranges, sizeof(hmb->ranges)) == 0;
	if ((flags & HMB_RETURN) && !same)
		return EMU_GENERIC(INVALID_FIELD);
	hmb_new.enabled = hmb_new.stamped = true;
	hmb_new.stamp = same ? hmb->stamp : emu_now_ns() * 0x9e3779b97f4a7c15ull;
	*hmb = hmb_new;
	if (same) {
		emu_hmb_check(ctrlr);
		return EMU_SUCCESS;
	}
	for (uint32_t i = 0; i < hmb->n; i++)
		stamp(ctrlr, i, true);
	return EMU_SUCCESS;
}

uint16_t emu_get_hmb(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	const struct emu_hmb *hmb = &sq->ctrlr->hmb;
	_Alignas(8) uint8_t buf[EMU_PAGE_SIZE] = {0};
	uint32_t attrs[4] = {0};

	*ret_dw0 = hmb->enabled ? HMB_ENABLE : 0;
	if (hmb->enabled) {
		attrs[0] = htole32(hmb->pages);
		attrs[1] = htole32((uint32_t)hmb->list);
		attrs[2] = htole32((uint32_t)(hmb->list >> 32));
		attrs[3] = htole32(hmb->n);
	}
	memcpy(buf, attrs, sizeof(attrs));
	return emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf, sizeof(buf));
}

/* ---- both ---- */

void emu_host_memory_reset(struct emu_ctrlr *ctrlr)
{
	/* Ranges and stamps stay: the host may give the same memory back (MR). */
	ctrlr->hmb.enabled = false;
	__atomic_store_n(&ctrlr->shadow.doorbells, NULL, __ATOMIC_SEQ_CST);
}

bool emu_host_memory_changed(struct emu_ctrlr *ctrlr, uint64_t iova, uint64_t size)
{
	const struct emu_shadow *shadow = &ctrlr->shadow;
	const struct emu_hmb *hmb = &ctrlr->hmb;
	bool lost = false;

	if (shadow->doorbells)
		lost = emu_overlaps(shadow->doorbells_iova, BUFFER_SIZE, iova, size) ||
		       emu_overlaps(shadow->events_iova, BUFFER_SIZE, iova, size);
	for (uint32_t i = 0; hmb->enabled && i < hmb->n; i++)
		lost |= emu_overlaps(hmb->ranges[i].iova, hmb->ranges[i].size, iova, size);
	return lost;
}
