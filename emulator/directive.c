// SPDX-License-Identifier: BSD-3-Clause
/*
 * Directives: Identify and Streams. Base specification 2.0, sections 5.6, 5.7 and 8.7; NVM command
 * set 1.0, section 5.
 *
 * A stream does nothing with the data; it is opened by a write that names it (emu_stream_use()) and
 * released by the host, or for another one when all are open. Resources are of the controller: as
 * many streams as EMU_STREAMS_MAX for all namespaces together.
 */
#include <string.h>
#include "emulator/internal.h"

#define STREAM_WRITE   64u  /* blocks: SWS */
#define STREAM_GRAIN   256u /* SWS units: SGS */

enum { /* directive operations */
       IDENTIFY_PARAMETERS = 1,
       IDENTIFY_ENABLE = 1,
       STREAMS_PARAMETERS = 1,
       STREAMS_STATUS = 2,
       STREAMS_ALLOCATE = 3,
       STREAMS_RELEASE_ID = 1,
       STREAMS_RELEASE_ALL = 2,
};

struct request {
	struct emu_ctrlr *ctrlr;
	uint32_t nsid;
	uint32_t len; /* bytes */
	uint32_t doper;
	uint32_t dtype;
	uint32_t dspec;
	uint32_t cdw12;
};

static struct request parse(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	uint32_t cdw11 = emu_cdw(cmd->cdw11);

	return (struct request){
		.ctrlr = sq->ctrlr,
		.nsid = emu_cdw(cmd->nsid),
		.len = (uint32_t)MIN(((uint64_t)emu_cdw(cmd->cdw10) + 1) * 4, UINT32_MAX),
		.doper = cdw11 & 0xff,
		.dtype = cdw11 >> 8 & 0xff,
		.dspec = cdw11 >> 16,
		.cdw12 = emu_cdw(cmd->cdw12),
	};
}

static struct emu_streams *streams(const struct request *r)
{
	return emu_ns_get(r->ctrlr, r->nsid) ? &r->ctrlr->streams[r->nsid - 1] : NULL;
}

static uint16_t streams_free(const struct emu_ctrlr *ctrlr)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < EMU_NS_MAX; i++)
		used += ctrlr->streams[i].allocated;
	return (uint16_t)(EMU_STREAMS_MAX - MIN(used, EMU_STREAMS_MAX));
}

/* ---- receive ---- */

static uint32_t get_identify(const struct emu_streams *s, bool places, uint8_t *buf)
{
	struct nvme_id_directives *id = (struct nvme_id_directives *)(void *)buf;

	id->supported[0] = (uint8_t)(1u << EMU_DTYPE_IDENTIFY | 1u << EMU_DTYPE_STREAMS |
				     (places ? 1u << EMU_DTYPE_PLACE : 0));
	id->enabled[0] = (uint8_t)(1u << EMU_DTYPE_IDENTIFY |
				   (s && s->enabled ? 1u << EMU_DTYPE_STREAMS : 0) |
				   (places ? 1u << EMU_DTYPE_PLACE : 0));
	return sizeof(*id);
}

static uint32_t get_parameters(const struct request *r, const struct emu_streams *s, uint8_t *buf)
{
	struct nvme_streams_directive_params *p =
		(struct nvme_streams_directive_params *)(void *)buf;

	p->msl = cpu_to_le16(EMU_STREAMS_MAX);
	p->nssa = cpu_to_le16(streams_free(r->ctrlr));
	p->sws = cpu_to_le32(STREAM_WRITE);
	p->sgs = cpu_to_le16(STREAM_GRAIN);
	if (s) {
		p->nsa = cpu_to_le16(s->allocated);
		p->nso = cpu_to_le16(s->n_open);
	}
	return sizeof(*p);
}

static uint32_t get_status(const struct emu_streams *s, uint8_t *buf)
{
	uint16_t n = s->n_open;

	memcpy(buf, &(uint16_t){htole16(n)}, 2);
	for (uint32_t i = 0; i < n; i++)
		memcpy(buf + 2 + 2 * i, &(uint16_t){htole16(s->open[i])}, 2);
	return 2u + 2u * n;
}

static uint16_t allocate(const struct request *r, struct emu_streams *s, uint32_t *ret_dw0)
{
	uint32_t wanted = r->cdw12 & 0xffff;
	uint16_t n = (uint16_t)MIN(wanted, streams_free(r->ctrlr));

	if (s->allocated || wanted == 0)
		return EMU_GENERIC(INVALID_FIELD);
	s->allocated = n;
	*ret_dw0 = n;
	return EMU_SUCCESS;
}

static uint16_t receive(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	const struct request r = parse(sq, cmd);
	struct emu_streams *s = streams(&r);
	_Alignas(8) uint8_t buf[EMU_PAGE_SIZE] = {0};
	uint32_t size;

	if (!s && r.nsid != NVME_NSID_ALL)
		return EMU_GENERIC(INVALID_NS);
	if (r.len > sq->ctrlr->max_transfer)
		return EMU_GENERIC(INVALID_FIELD);
	if (r.dtype == EMU_DTYPE_IDENTIFY && r.doper == IDENTIFY_PARAMETERS)
		size = get_identify(s, emu_placement_enabled(sq->ctrlr), buf);
	else if (r.dtype != EMU_DTYPE_STREAMS || (s && !s->enabled))
		return EMU_GENERIC(INVALID_FIELD);
	else if (r.doper == STREAMS_PARAMETERS)
		size = get_parameters(&r, s, buf);
	else if (r.doper == STREAMS_STATUS && s)
		size = get_status(s, buf);
	else if (r.doper == STREAMS_ALLOCATE && s)
		return allocate(&r, s, ret_dw0);
	else
		return EMU_GENERIC(INVALID_FIELD);
	return emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf, MIN(size, r.len));
}

/* ---- send ---- */

static uint16_t enable(const struct request *r, struct emu_streams *s)
{
	uint32_t type = r->cdw12 >> 8 & 0xff;
	bool on = r->cdw12 & 1;

	if (type != EMU_DTYPE_STREAMS)
		return EMU_GENERIC(INVALID_FIELD);
	for (uint32_t i = 0; i < r->ctrlr->n_ns; i++) {
		struct emu_streams *each = &r->ctrlr->streams[i];

		if (s ? s != each : !emu_ns_get(r->ctrlr, i + 1))
			continue;
		if (!on)
			each->n_open = each->allocated = 0;
		__atomic_store_n(&each->enabled, on, __ATOMIC_RELAXED);
	}
	return EMU_SUCCESS;
}

static uint16_t release_id(struct emu_streams *s, uint32_t id)
{
	for (uint32_t i = 0; i < s->n_open; i++) {
		if (s->open[i] != id)
			continue;
		s->open[i] = s->open[--s->n_open];
		break;
	}
	return EMU_SUCCESS; /* one that isn't open is released already */
}

static uint16_t send(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	const struct request r = parse(sq, cmd);
	struct emu_streams *s = streams(&r);

	if (!s && r.nsid != NVME_NSID_ALL)
		return EMU_GENERIC(INVALID_NS);
	if (r.dtype == EMU_DTYPE_IDENTIFY && r.doper == IDENTIFY_ENABLE)
		return enable(&r, s);
	if (r.dtype != EMU_DTYPE_STREAMS || !s || !s->enabled)
		return EMU_GENERIC(INVALID_FIELD);
	if (r.doper == STREAMS_RELEASE_ID)
		return release_id(s, r.dspec);
	if (r.doper != STREAMS_RELEASE_ALL)
		return EMU_GENERIC(INVALID_FIELD);
	s->n_open = 0;
	s->allocated = 0;
	return EMU_SUCCESS;
}

/* ---- streams and writes ---- */

bool emu_streams_enabled(const struct emu_ctrlr *ctrlr, uint32_t nsid)
{
	return __atomic_load_n(&ctrlr->streams[nsid - 1].enabled, __ATOMIC_RELAXED);
}

void emu_stream_use(struct emu_ctrlr *ctrlr, uint32_t nsid, uint16_t id)
{
	struct emu_streams *s = &ctrlr->streams[nsid - 1];

	if (!id) /* no stream */
		return;
	pthread_mutex_lock(&ctrlr->streams_lock);
	for (uint32_t i = 0; i < s->n_open; i++) {
		if (s->open[i] == id)
			goto out;
	}
	if (s->n_open == EMU_STREAMS_MAX)
		memmove(s->open, s->open + 1, --s->n_open * sizeof(s->open[0]));
	s->open[s->n_open++] = id;
out:
	pthread_mutex_unlock(&ctrlr->streams_lock);
}

uint16_t emu_directive_receive(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	uint16_t status;

	pthread_mutex_lock(&sq->ctrlr->streams_lock);
	status = receive(sq, cmd, ret_dw0);
	pthread_mutex_unlock(&sq->ctrlr->streams_lock);
	return status;
}

uint16_t emu_directive_send(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	uint16_t status;

	pthread_mutex_lock(&sq->ctrlr->streams_lock);
	status = send(sq, cmd);
	pthread_mutex_unlock(&sq->ctrlr->streams_lock);
	return status;
}
