/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protection information by software: generate, check, insert, strip. NVM command set 1.0,
 * section 5.2; 16-bit guard (CRC16 T10-DIF).
 *
 * Pure functions of the caller's memory, which needn't be I/O memory; any thread. Nothing here is
 * done by itself: a program that wants end-to-end protection calls these around its I/O, and the
 * controller checks as well with the NVMUX_IO_PRCHK_ flags.
 */
#ifndef NVMUX_PI_H
#define NVMUX_PI_H

#include <sys/uio.h>
#include <nvmux/ns.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nvmux_pi_check {
	NVMUX_PI_GUARD = 1 << 0,
	NVMUX_PI_APPTAG = 1 << 1,
	NVMUX_PI_REFTAG = 1 << 2,
};

/**
 * struct nvmux_pi - how blocks are protected; fill with nvmux_pi_init() or by hand.
 * @block_size: bytes of data.
 * @md_size: bytes of metadata, at least 8; multiples of 4.
 * @type: 1, 2 or 3.
 * @first: the protection information is the first 8 bytes of the metadata, not the last.
 * @interleaved: metadata follows each block's data in the same buffer.
 * @check: enum nvmux_pi_check, what to generate and what to check.
 * @apptag, @apptag_mask: a bit of the tag counts where the mask has 1.
 * @reftag: of the first block; types 1 and 2 count upwards from it, type 3 doesn't.
 *
 * A block whose application tag is FFFFh (type 3: and its reference tag FFFFFFFFh) isn't checked.
 */
struct nvmux_pi {
	uint32_t block_size;
	uint32_t md_size;
	uint8_t type;
	bool first;
	bool interleaved;
	uint32_t check;
	uint16_t apptag;
	uint16_t apptag_mask;
	uint32_t reftag;
};

/** struct nvmux_pi_error - where a check failed first. */
struct nvmux_pi_error {
	uint64_t block; /* 0: the first one of the buffer */
	enum nvmux_pi_check field;
	uint64_t expected;
	uint64_t actual;
};

/**
 * nvmux_pi_init() - from a namespace's format, for blocks from @lba on.
 * Return: 0, -EOPNOTSUPP (no protection information, or a guard of more than 16 bits).
 */
NVMUX_API int nvmux_pi_init(const struct nvmux_ns *ns, uint64_t lba, uint32_t check,
			    uint16_t apptag_mask, uint16_t apptag, struct nvmux_pi *ret);

/**
 * nvmux_pi_generate() - fill in the protection information.
 * @iov: data, with the metadata where interleaved; pieces may end anywhere.
 * @md: separate metadata of @n_blocks blocks; NULL where interleaved.
 *
 * Return: 0, -EINVAL (@pi makes no sense, or the pieces are too short).
 */
NVMUX_API int nvmux_pi_generate(const struct nvmux_pi *pi, const struct iovec *iov, uint32_t iovcnt,
				void *md, uint32_t n_blocks);
/** nvmux_pi_verify() - check it. Return: 0, -EINVAL, -EILSEQ with @ret (may be NULL) filled in. */
NVMUX_API int nvmux_pi_verify(const struct nvmux_pi *pi, const struct iovec *iov, uint32_t iovcnt,
			      const void *md, uint32_t n_blocks, struct nvmux_pi_error *ret);
/** nvmux_pi_insert() - from plain data in @iov to interleaved blocks at @buf, generated. */
NVMUX_API int nvmux_pi_insert(const struct nvmux_pi *pi, const struct iovec *iov, uint32_t iovcnt,
			      void *buf, uint32_t n_blocks);
/** nvmux_pi_strip() - from interleaved blocks at @buf to plain data in @iov, checked; the data is
 * copied also where a check fails (-EILSEQ). */
NVMUX_API int nvmux_pi_strip(const struct nvmux_pi *pi, const void *buf, const struct iovec *iov,
			     uint32_t iovcnt, uint32_t n_blocks, struct nvmux_pi_error *ret);
/** nvmux_pi_error_string() - "block 3: guard is 1234h, expected 5678h" into @text. */
NVMUX_API const char *nvmux_pi_error_string(const struct nvmux_pi_error *error, char *text,
					    size_t size);

#ifdef __cplusplus
}
#endif
#endif
