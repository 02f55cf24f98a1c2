// SPDX-License-Identifier: BSD-3-Clause
/*
 * Protection information by software. NVM command set 1.0, section 5.2: a guard (CRC16 T10-DIF) of
 * the block's data and, where the information is the last of the metadata, of the metadata before
 * it; an application tag; a reference tag. All of it big-endian.
 *
 * A block may lie in several pieces, and so may its metadata: a cursor goes through them.
 */
#include <errno.h>
#include <stdio.h>
#include <isa-l/crc.h>

#include "core.h"

#define PI_SIZE       8u
#define PI_CHECKS     (NVMUX_PI_GUARD | NVMUX_PI_APPTAG | NVMUX_PI_REFTAG)
#define ESCAPE_APPTAG 0xffffu
#define ESCAPE_REFTAG 0xffffffffu

/* Where we are in the pieces. */
struct cursor {
	const struct iovec *iov;
	uint32_t left; /* pieces, this one included */
	size_t at;     /* in this one */
};

/* What a block carries. */
struct tags {
	uint16_t guard;
	uint16_t apptag;
	uint32_t reftag;
};

/* The next piece's rest, at most @max bytes. The total has been checked: there is one. */
static uint8_t *next_run(struct cursor *c, size_t max, size_t *ret_len)
{
	uint8_t *run;

	while (c->at == c->iov->iov_len) {
		NVMUX_ASSERT(c->left > 1);
		c->iov++;
		c->left--;
		c->at = 0;
	}
	run = (uint8_t *)c->iov->iov_base + c->at;
	*ret_len = MIN(max, c->iov->iov_len - c->at);
	c->at += *ret_len;
	return run;
}

static uint16_t crc_run(struct cursor *c, uint16_t crc, size_t len)
{
	while (len) {
		size_t n;
		const uint8_t *run = next_run(c, len, &n);

		crc = crc16_t10dif(crc, run, n);
		len -= n;
	}
	return crc;
}

static void copy_out(struct cursor *c, uint8_t *to, size_t len)
{
	while (len) {
		size_t n;
		const uint8_t *run = next_run(c, len, &n);

		memcpy(to, run, n);
		to += n;
		len -= n;
	}
}

static void copy_in(struct cursor *c, const uint8_t *from, size_t len)
{
	while (len) {
		size_t n;
		uint8_t *run = next_run(c, len, &n);

		memcpy(run, from, n);
		from += n;
		len -= n;
	}
}

static void skip(struct cursor *c, size_t len)
{
	while (len) {
		size_t n;

		next_run(c, len, &n);
		len -= n;
	}
}

/* ---- one block ---- */

static void encode(const struct tags *tags, uint8_t to[PI_SIZE])
{
	uint16_t guard = htobe16(tags->guard), apptag = htobe16(tags->apptag);
	uint32_t reftag = htobe32(tags->reftag);

	memcpy(to, &guard, 2);
	memcpy(to + 2, &apptag, 2);
	memcpy(to + 4, &reftag, 4);
}

static void decode(const uint8_t from[PI_SIZE], struct tags *ret)
{
	uint16_t guard, apptag;
	uint32_t reftag;

	memcpy(&guard, from, 2);
	memcpy(&apptag, from + 2, 2);
	memcpy(&reftag, from + 4, 4);
	ret->guard = be16toh(guard);
	ret->apptag = be16toh(apptag);
	ret->reftag = be32toh(reftag);
}

/* What a block is to carry; its guard is in @guard. */
static struct tags tags_of(const struct nvmux_pi *pi, uint32_t block, uint16_t guard)
{
	uint32_t reftag = pi->reftag + (pi->type == 3 ? 0 : block);

	return (struct tags){
		.guard = pi->check & NVMUX_PI_GUARD ? guard : 0,
		.apptag = pi->check & NVMUX_PI_APPTAG ? pi->apptag & pi->apptag_mask : 0,
		.reftag = pi->check & NVMUX_PI_REFTAG ? reftag : 0,
	};
}

static int fail(struct nvmux_pi_error *ret, uint32_t block, enum nvmux_pi_check field,
		uint64_t expected, uint64_t actual)
{
	if (ret)
		*ret = (struct nvmux_pi_error){block, field, expected, actual};
	return -EILSEQ;
}

static int check_block(const struct nvmux_pi *pi, uint32_t block, uint16_t guard,
		       const uint8_t stored[PI_SIZE], struct nvmux_pi_error *ret)
{
	struct tags want = tags_of(pi, block, guard), is;

	decode(stored, &is);
	if (is.apptag == ESCAPE_APPTAG && (pi->type != 3 || is.reftag == ESCAPE_REFTAG))
		return 0;
	if (pi->check & NVMUX_PI_GUARD && is.guard != want.guard)
		return fail(ret, block, NVMUX_PI_GUARD, want.guard, is.guard);
	if (pi->check & NVMUX_PI_APPTAG && (is.apptag & pi->apptag_mask) != want.apptag)
		return fail(ret, block, NVMUX_PI_APPTAG, want.apptag,
			    is.apptag & pi->apptag_mask);
	if (pi->check & NVMUX_PI_REFTAG && is.reftag != want.reftag)
		return fail(ret, block, NVMUX_PI_REFTAG, want.reftag, is.reftag);
	return 0;
}

/* ---- all blocks ---- */

static bool makes_sense(const struct nvmux_pi *pi)
{
	return pi->block_size && pi->md_size >= PI_SIZE && pi->md_size % 4 == 0 && pi->type >= 1 &&
	       pi->type <= 3 && !(pi->check & ~(uint32_t)PI_CHECKS);
}

static bool is_long_enough(const struct iovec *iov, uint32_t iovcnt, uint64_t bytes)
{
	for (uint32_t i = 0; i < iovcnt && bytes; i++)
		bytes -= MIN(bytes, iov[i].iov_len);
	return !bytes;
}

static int check_args(const struct nvmux_pi *pi, const struct iovec *iov, uint32_t iovcnt,
		      bool interleaved, const void *md, uint32_t n_blocks)
{
	uint64_t block = pi->block_size + (interleaved ? (uint64_t)pi->md_size : 0);

	if (!makes_sense(pi) || (n_blocks && !iovcnt) || (!md && !interleaved) ||
	    !is_long_enough(iov, iovcnt, block * n_blocks))
		return -EINVAL;
	return 0;
}

/* Bytes of metadata before and behind the information. */
static uint32_t md_before(const struct nvmux_pi *pi)
{
	return pi->first ? 0 : pi->md_size - PI_SIZE;
}

static uint32_t md_behind(const struct nvmux_pi *pi)
{
	return pi->first ? pi->md_size - PI_SIZE : 0;
}

/* The guard of the next block; @c is behind its data, and @md_at at its information then. */
static uint16_t next_guard(const struct nvmux_pi *pi, struct cursor *c, struct cursor *md)
{
	uint16_t guard = crc_run(c, 0, pi->block_size);

	return crc_run(md, guard, md_before(pi));
}

int nvmux_pi_init(const struct nvmux_ns *ns, uint64_t lba, uint32_t check, uint16_t apptag_mask,
		  uint16_t apptag, struct nvmux_pi *ret)
{
	if (!ns->pi_type || ns->md_size < PI_SIZE)
		return -EOPNOTSUPP;
	*ret = (struct nvmux_pi){
		.block_size = 1u << ns->lba_shift,
		.md_size = ns->md_size,
		.type = ns->pi_type,
		.first = ns->pi_first,
		.interleaved = ns->md_interleaved,
		.check = check,
		.apptag = apptag,
		.apptag_mask = apptag_mask,
		.reftag = ns->pi_type == 3 ? 0 : (uint32_t)lba,
	};
	return 0;
}

int nvmux_pi_generate(const struct nvmux_pi *pi, const struct iovec *iov, uint32_t iovcnt, void *md,
		      uint32_t n_blocks)
{
	struct cursor data = {.iov = iov, .left = iovcnt};
	struct iovec md_iov = {md, (size_t)n_blocks * pi->md_size};
	struct cursor separate = {.iov = &md_iov, .left = 1};
	struct cursor *meta = pi->interleaved ? &data : &separate;
	int err = check_args(pi, iov, iovcnt, pi->interleaved, md, n_blocks);

	for (uint32_t i = 0; !err && i < n_blocks; i++) {
		struct tags tags = tags_of(pi, i, next_guard(pi, &data, meta));
		uint8_t bytes[PI_SIZE];

		encode(&tags, bytes);
		copy_in(meta, bytes, sizeof(bytes));
		skip(meta, md_behind(pi));
	}
	return err;
}

int nvmux_pi_verify(const struct nvmux_pi *pi, const struct iovec *iov, uint32_t iovcnt,
		    const void *md, uint32_t n_blocks, struct nvmux_pi_error *ret)
{
	struct cursor data = {.iov = iov, .left = iovcnt};
	struct iovec md_iov = {(void *)(uintptr_t)md, (size_t)n_blocks * pi->md_size};
	struct cursor separate = {.iov = &md_iov, .left = 1};
	struct cursor *meta = pi->interleaved ? &data : &separate;
	int err = check_args(pi, iov, iovcnt, pi->interleaved, md, n_blocks);

	for (uint32_t i = 0; !err && i < n_blocks; i++) {
		uint16_t guard = next_guard(pi, &data, meta);
		uint8_t stored[PI_SIZE];

		copy_out(meta, stored, sizeof(stored));
		skip(meta, md_behind(pi));
		err = check_block(pi, i, guard, stored, ret);
	}
	return err;
}

int nvmux_pi_insert(const struct nvmux_pi *pi, const struct iovec *iov, uint32_t iovcnt, void *buf,
		    uint32_t n_blocks)
{
	struct cursor from = {.iov = iov, .left = iovcnt};
	uint8_t *to = buf;

	if (!makes_sense(pi) || (n_blocks && !iovcnt) ||
	    !is_long_enough(iov, iovcnt, (uint64_t)n_blocks * pi->block_size))
		return -EINVAL;
	for (uint32_t i = 0; i < n_blocks; i++) {
		struct tags tags;

		copy_out(&from, to, pi->block_size);
		memset(to + pi->block_size, 0, pi->md_size);
		tags = tags_of(pi, i,
			       crc16_t10dif(0, to, (uint64_t)pi->block_size + md_before(pi)));
		encode(&tags, to + pi->block_size + md_before(pi));
		to += pi->block_size + pi->md_size;
	}
	return 0;
}

int nvmux_pi_strip(const struct nvmux_pi *pi, const void *buf, const struct iovec *iov,
		   uint32_t iovcnt, uint32_t n_blocks, struct nvmux_pi_error *ret)
{
	struct cursor to = {.iov = iov, .left = iovcnt};
	const uint8_t *from = buf;
	int err = 0;

	if (!makes_sense(pi) || (n_blocks && !iovcnt) ||
	    !is_long_enough(iov, iovcnt, (uint64_t)n_blocks * pi->block_size))
		return -EINVAL;
	for (uint32_t i = 0; i < n_blocks; i++) {
		const uint8_t *stored = from + pi->block_size + md_before(pi);
		uint16_t guard =
			crc16_t10dif(0, from, (uint64_t)pi->block_size + md_before(pi));

		/* The first error is told, and the data is copied all the same. */
		if (!err)
			err = check_block(pi, i, guard, stored, ret);
		copy_in(&to, from, pi->block_size);
		from += pi->block_size + pi->md_size;
	}
	return err;
}

const char *nvmux_pi_error_string(const struct nvmux_pi_error *error, char *text, size_t size)
{
	const char *field = "guard";
	int digits = 4;

	if (error->field == NVMUX_PI_APPTAG) {
		field = "application tag";
	} else if (error->field == NVMUX_PI_REFTAG) {
		field = "reference tag";
		digits = 8;
	}
	snprintf(text, size, "block %llu: %s is %0*llXh, expected %0*llXh",
		 (unsigned long long)error->block, field, digits,
		 (unsigned long long)error->actual, digits, (unsigned long long)error->expected);
	return text;
}
