// SPDX-License-Identifier: BSD-3-Clause
/*
 * Protection information with a 16-bit guard. NVM command set specification 1.0, section 5.2.
 *
 * Eight bytes of a block's metadata, big-endian: guard, application tag, reference tag. The guard
 * is the CRC16 of T10-DIF (polynomial 8BB7h, nothing reflected, initial value 0) over the block's
 * data and that part of its metadata that comes before the protection information.
 */
#include <string.h>
#include "emulator/internal.h"

#define APPTAG_ESCAPE 0xffffu
#define REFTAG_ESCAPE 0xffffffffu

struct tuple {
	uint16_t guard;
	uint16_t apptag;
	uint32_t reftag;
};

/* By half a byte at a time: the remainders of the sixteen values of the upper four bits. */
static const uint16_t remainders[16] = {
	0x0000, 0x8bb7, 0x9cd9, 0x176e, 0xb205, 0x39b2, 0x2edc, 0xa56b,
	0xefbd, 0x640a, 0x7364, 0xf8d3, 0x5db8, 0xd60f, 0xc161, 0x4ad6,
};

uint16_t emu_crc16(uint16_t crc, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc = (uint16_t)(crc << 4 ^ remainders[crc >> 12 ^ p[i] >> 4]);
		crc = (uint16_t)(crc << 4 ^ remainders[crc >> 12 ^ (p[i] & 0xf)]);
	}
	return crc;
}

static uint16_t guard_of(const struct emu_ns *ns, const uint8_t *data, const uint8_t *md)
{
	uint16_t crc = emu_crc16(0, data, (size_t)1 << ns->shift);

	return emu_crc16(crc, md, emu_pi_offset(ns));
}

static struct tuple load(const uint8_t *p)
{
	return (struct tuple){
		.guard = (uint16_t)(p[0] << 8 | p[1]),
		.apptag = (uint16_t)(p[2] << 8 | p[3]),
		.reftag = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7],
	};
}

static void store_reftag(uint8_t *p, uint32_t v)
{
	p[4] = (uint8_t)(v >> 24);
	p[5] = (uint8_t)(v >> 16);
	p[6] = (uint8_t)(v >> 8);
	p[7] = (uint8_t)v;
}

static void store(uint8_t *p, const struct tuple *t)
{
	p[0] = (uint8_t)(t->guard >> 8);
	p[1] = (uint8_t)t->guard;
	p[2] = (uint8_t)(t->apptag >> 8);
	p[3] = (uint8_t)t->apptag;
	store_reftag(p, t->reftag);
}

/* The tag of block @i: types 1 and 2 count. */
static uint32_t reftag_at(const struct emu_ns *ns, const struct emu_protect *p, uint64_t i)
{
	return ns->pi == 3 ? p->reftag : p->reftag + (uint32_t)i;
}

uint16_t emu_pi_valid(const struct emu_ns *ns, const struct emu_protect *p, uint64_t slba)
{
	if (!ns->pi || !(p->prchk & EMU_PRCHK_REF))
		return EMU_SUCCESS;
	if (ns->pi == 3 || (ns->pi == 1 && p->reftag != (uint32_t)slba))
		return EMU_SPECIFIC(INVALID_PI);
	return EMU_SUCCESS;
}

void emu_pi_generate(const struct emu_ns *ns, const struct emu_protect *p, const struct emu_view *v,
		     uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint8_t *md = v->md + i * v->md_stride;
		struct tuple t = {
			.guard = guard_of(ns, v->data + i * v->data_stride, md),
			.apptag = p->apptag,
			.reftag = reftag_at(ns, p, i),
		};

		store(md + emu_pi_offset(ns), &t);
	}
}

static bool escapes(const struct emu_ns *ns, const struct tuple *t)
{
	return t->apptag == APPTAG_ESCAPE && (ns->pi != 3 || t->reftag == REFTAG_ESCAPE);
}

uint16_t emu_pi_check(const struct emu_ns *ns, const struct emu_protect *p,
		      const struct emu_view *v, uint64_t n)
{
	for (uint64_t i = 0; p->prchk && i < n; i++) {
		const uint8_t *md = v->md + i * v->md_stride;
		struct tuple t = load(md + emu_pi_offset(ns));

		if (escapes(ns, &t))
			continue;
		if ((p->prchk & EMU_PRCHK_GUARD) &&
		    t.guard != guard_of(ns, v->data + i * v->data_stride, md))
			return EMU_MEDIA(GUARD_CHECK);
		if ((p->prchk & EMU_PRCHK_APP) && ((t.apptag ^ p->apptag) & p->appmask))
			return EMU_MEDIA(APPTAG_CHECK);
		if ((p->prchk & EMU_PRCHK_REF) && t.reftag != reftag_at(ns, p, i))
			return EMU_MEDIA(REFTAG_CHECK);
	}
	return EMU_SUCCESS;
}

void emu_pi_remap(const struct emu_ns *ns, const struct emu_view *v, uint64_t n, uint32_t add)
{
	for (uint64_t i = 0; i < n; i++) {
		uint8_t *p = v->md + i * v->md_stride + emu_pi_offset(ns);

		store_reftag(p, load(p).reftag + add);
	}
}
