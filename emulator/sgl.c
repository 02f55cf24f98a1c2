// SPDX-License-Identifier: BSD-3-Clause
/*
 * Data pointers: Scatter Gather Lists, base specification 2.0, section 4.1.2; and the metadata
 * pointer, section 4.1.
 *
 * The descriptor in the command is the first one. A segment descriptor names the next segment, as
 * the last descriptor of its own; the one of the last segment says so. Data blocks may begin and
 * end anywhere. A bit bucket takes what the host doesn't want of a read, and means nothing when the
 * host is the source. The list must describe exactly as many bytes as the command moves.
 *
 * Descriptors are in memory that the other side may change meanwhile: each is copied once. Empty
 * data blocks could make a list endless; the number of descriptors is limited.
 */
#include <string.h>
#include "emulator/internal.h"

#define MAX_DESCRIPTORS 131072u

enum {
	SGL_DATA_BLOCK = 0x0,
	SGL_BIT_BUCKET = 0x1,
	SGL_SEGMENT = 0x2,
	SGL_LAST_SEGMENT = 0x3,
};

struct sgl_desc {
	uint64_t addr;
	uint32_t len;
	uint8_t type;
	uint8_t subtype;
};

struct sgl_walk {
	struct emu_sq *sq;
	enum emu_xfer xfer;
	enum emu_cache cache;
	uint16_t bad_length; /* the status for a list that describes too much or too little */
	uint8_t *media;      /* NULL: only checked */
	uint64_t left;
	uint32_t n_descriptors;
};

static struct sgl_desc parse(const uint64_t raw[2])
{
	uint64_t hi = le64toh(raw[1]);

	return (struct sgl_desc){
		.addr = le64toh(raw[0]),
		.len = (uint32_t)hi,
		.type = (uint8_t)(hi >> 60),
		.subtype = (uint8_t)(hi >> 56 & 0xf),
	};
}

static bool host_is_target(enum emu_xfer xfer)
{
	return xfer == EMU_XFER_TO_HOST || xfer == EMU_XFER_CHECK_IN;
}

/* Bytes that are contiguous as the device sees them. */
static uint16_t move(struct sgl_walk *w, uint64_t iova, uint64_t len)
{
	bool write = host_is_target(w->xfer);

	while (len > 0) {
		uint64_t part;
		uint8_t *host = emu_translate(w->sq, w->cache, iova, len, write, &part);

		if (!host)
			return EMU_XFER_ERROR;
		if (w->xfer == EMU_XFER_TO_HOST)
			memcpy(host, w->media, part);
		else if (w->xfer == EMU_XFER_FROM_HOST)
			memcpy(w->media, host, part);
		else if (w->xfer == EMU_XFER_COMPARE && memcmp(w->media, host, part) != 0)
			return EMU_MEDIA(COMPARE_FAILED);
		if (w->media)
			w->media += part;
		iova += part;
		len -= part;
	}
	return EMU_SUCCESS;
}

/* A descriptor that isn't one of a segment. */
static uint16_t take(struct sgl_walk *w, const struct sgl_desc *d)
{
	if (d->subtype != 0 || d->type > SGL_LAST_SEGMENT)
		return EMU_GENERIC(SGL_INVALID_TYPE);
	if (d->type == SGL_SEGMENT || d->type == SGL_LAST_SEGMENT)
		return EMU_GENERIC(SGL_INVALID_COUNT); /* not at the end of its segment */
	if (d->type == SGL_BIT_BUCKET && !host_is_target(w->xfer))
		return EMU_SUCCESS;
	if (d->len > w->left)
		return w->bad_length;
	w->left -= d->len;
	if (d->type == SGL_DATA_BLOCK)
		return move(w, d->addr, d->len);
	if (w->media)
		w->media += d->len;
	return EMU_SUCCESS;
}

static uint16_t load(struct sgl_walk *w, uint64_t iova, struct sgl_desc *ret)
{
	uint64_t raw[2], part;
	const uint8_t *host;

	if (++w->n_descriptors > MAX_DESCRIPTORS)
		return EMU_GENERIC(SGL_INVALID_COUNT);
	host = emu_translate(w->sq, EMU_CACHE_LIST, iova, sizeof(raw), false, &part);
	if (!host || part < sizeof(raw))
		return EMU_XFER_ERROR;
	memcpy(raw, host, sizeof(raw));
	__asm__ volatile("" : "+m"(raw));
	*ret = parse(raw);
	return EMU_SUCCESS;
}

/* All of a segment; *@d, which named it, becomes its last descriptor when that names another. */
static uint16_t take_segment(struct sgl_walk *w, struct sgl_desc *d, bool *ret_more)
{
	uint32_t n = d->len / 16;
	bool last = d->type == SGL_LAST_SEGMENT;
	uint64_t iova = d->addr;
	struct sgl_desc e = {0};
	uint16_t status;

	*ret_more = false;
	if (d->subtype != 0)
		return EMU_GENERIC(SGL_INVALID_TYPE);
	if (n == 0 || d->len % 16 != 0 || (iova & 7))
		return EMU_GENERIC(SGL_INVALID_LAST);
	for (uint32_t i = 0; i < n; i++, iova += 16) {
		bool is_segment;

		status = load(w, iova, &e);
		if (status)
			return status;
		is_segment = e.type == SGL_SEGMENT || e.type == SGL_LAST_SEGMENT;
		if (i == n - 1 && !last) {
			*d = e;
			*ret_more = is_segment;
			return is_segment ? EMU_SUCCESS : EMU_GENERIC(SGL_INVALID_LAST);
		}
		if (i == n - 1 && is_segment)
			return EMU_GENERIC(SGL_INVALID_LAST);
		status = take(w, &e);
		if (status)
			return status;
	}
	return EMU_SUCCESS;
}

static uint16_t walk(struct sgl_walk *w, struct sgl_desc d)
{
	bool more = d.type == SGL_SEGMENT || d.type == SGL_LAST_SEGMENT;
	uint16_t status = more ? EMU_SUCCESS : take(w, &d);

	while (!status && more)
		status = take_segment(w, &d, &more);
	if (!status && w->left > 0)
		status = w->bad_length;
	return status;
}

uint16_t emu_sgl_xfer(struct emu_sq *sq, const struct nvmux_cmd *cmd, enum emu_xfer xfer,
		      uint8_t *media, uint64_t len)
{
	struct sgl_walk w = {
		.sq = sq,
		.xfer = xfer,
		.cache = EMU_CACHE_DATA,
		.bad_length = EMU_GENERIC(SGL_INVALID_DATA),
		.media = media,
		.left = len,
	};
	const uint64_t raw[2] = {(uint64_t)cmd->dptr[0], (uint64_t)cmd->dptr[1]};

	return walk(&w, parse(raw));
}

uint16_t emu_xfer_md(struct emu_sq *sq, const struct nvmux_cmd *cmd, enum emu_xfer xfer,
		     uint8_t *media, uint64_t len)
{
	uint64_t mptr = le64_to_cpu(cmd->mptr);
	struct sgl_walk w = {
		.sq = sq,
		.xfer = xfer,
		.cache = EMU_CACHE_MD,
		.bad_length = EMU_GENERIC(SGL_INVALID_METADATA),
		.media = media,
		.left = len,
	};
	struct sgl_desc d;
	uint16_t status;

	switch (cmd->flags & EMU_CMD_PSDT) {
	case 0: /* one buffer, aligned to a dword; with SGLs it begins anywhere */
		if (mptr & 3)
			return EMU_GENERIC(INVALID_FIELD);
		return move(&w, mptr, len);
	case EMU_PSDT_SGL: return move(&w, mptr, len);
	default: /* the address of a segment of one descriptor */
		if (mptr & 7)
			return EMU_GENERIC(INVALID_FIELD);
		status = load(&w, mptr, &d);
		return status ? status : walk(&w, d);
	}
}
