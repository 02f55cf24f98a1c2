/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O commands.
 *
 * All of them: thread of the queue pair; never block, allocate or copy data. Data and metadata must
 * lie in regions of I/O memory that the controller can reach (nvmux_mem_alloc()) at multiples of 4;
 * they stay the library's until the callback. What exceeds the controller's transfer limit, crosses
 * the namespace's optimal I/O boundary (NOIOB, or a vendor's stripe) or has more pieces than one
 * command can describe is split, and completes once, with the first error. What a controller does
 * atomically or as one (fused, append, copy, compare with a fused flag) is never split: -E2BIG.
 *
 * They return 0 when the callback will be called exactly once, else nothing was sent:
 * -ESTALE (the namespace is NVMUX_NS_STALE),
 * -EINVAL (count of 0, unaligned buffer, range beyond the namespace, pieces that can't be described
 * and not be split either), -EFAULT (not in I/O memory), -EAGAIN (queue full: process completions
 * first), -E2BIG (would have to be split and can't), -EOPNOTSUPP (the controller or the namespace
 * doesn't offer it), -ENXIO (queue pair or controller failed).
 *
 * Small structures that a command carries (ranges, reservation keys) are copied during the call
 * into memory of the queue pair, NVMUX_QPAIR_STAGED commands at a time (-EAGAIN beyond).
 */
#ifndef NVMUX_IO_H
#define NVMUX_IO_H

#include <sys/uio.h>
#include <nvmux/ns.h>
#include <nvmux/qpair.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NVMUX_QPAIR_STAGED 16

/*
 * Flags of commands that name blocks: bits 31:16 as in command dword 12 (NVM command set 1.0,
 * section 3.2), the lowest two are of the command itself.
 */
enum nvmux_io_flags {
	NVMUX_IO_FUSE_FIRST = 1 << 0,  /* this and the next command of the queue pair are one; */
	NVMUX_IO_FUSE_SECOND = 1 << 1, /* which must be this: nothing goes between the two */
	NVMUX_IO_STREAMS = 1 << 20,    /* DTYPE 1h; DSPEC in nvmux_io_ext.cdw13 */
	NVMUX_IO_STORAGE_TAG_CHECK = 1 << 24,
	NVMUX_IO_PRCHK_REFTAG = 1 << 26, /* the controller checks these fields of the protection */
	NVMUX_IO_PRCHK_APPTAG = 1 << 27, /* information */
	NVMUX_IO_PRCHK_GUARD = 1 << 28,
	NVMUX_IO_PRACT = 1 << 29, /* the controller inserts and strips protection information */
	NVMUX_IO_FORCE_UNIT_ACCESS = 1 << 30,
	NVMUX_IO_LIMITED_RETRY = (int)(1u << 31),
};

/**
 * typedef nvmux_reset_sgl_cb - go to @offset bytes from the start of a payload in pieces.
 * Both are called during submission, and again when a part of it is sent later; same thread.
 */
typedef void (*nvmux_reset_sgl_cb)(void *arg, uint32_t offset);
/** typedef nvmux_next_sge_cb - the piece at the place (not empty), and go behind it. Return: 0;
 * else the call is refused with -EINVAL, or, where parts of it have been sent, it ends with Invalid
 * Field. All of a payload is looked at before anything is sent: up to 4 GiB less a byte. */
typedef int (*nvmux_next_sge_cb)(void *arg, void **ret_address, uint32_t *ret_length);

/**
 * struct nvmux_io_ext - what reads, writes and compares can have beyond the usual.
 * @size: sizeof(struct nvmux_io_ext) of the caller.
 * @flags: enum nvmux_io_flags.
 * @md: separate metadata, one piece for all blocks; NULL: none. -EOPNOTSUPP over fabrics, where a
 *      capsule has no place for it (NVMe over Fabrics wants it interleaved).
 * @apptag_mask, @apptag: application tag (LBATM, LBAT, CDW15).
 * @cdw13: as in the command (dataset management hints, directive specific).
 * @reftag: initial reference tag with type 3; with types 1 and 2 it is the block's number.
 */
struct nvmux_io_ext {
	size_t size;
	uint32_t flags;
	void *md;
	uint16_t apptag_mask;
	uint16_t apptag;
	uint32_t cdw13;
	uint64_t reftag;
};

/* ---- reading, writing, comparing. NVM command set 1.0, sections 3.2.4, 3.2.6, 3.2.1 ---- */

/*
 * @buf, or the pieces, hold lba_count × nvmux_ns_get_extended_sector_size() bytes; without the
 * metadata where it is just protection information that NVMUX_IO_PRACT lets the controller insert
 * and strip (a metadata size of 8 bytes). @md holds lba_count × nvmux_ns_get_md_size() bytes.
 * @flags: enum nvmux_io_flags.
 */

NVMUX_API int nvmux_ns_cmd_read(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
				uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb,
				void *arg);
NVMUX_API int nvmux_ns_cmd_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
				 uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb,
				 void *arg);
/** nvmux_ns_cmd_compare() - ends with Compare Failure (285h) where the data differs. */
NVMUX_API int nvmux_ns_cmd_compare(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
				   uint64_t lba, uint32_t lba_count, uint32_t flags,
				   nvmux_cmd_cb cb, void *arg);

NVMUX_API int nvmux_ns_cmd_read_with_md(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
					void *md, uint64_t lba, uint32_t lba_count, uint32_t flags,
					uint16_t apptag_mask, uint16_t apptag, nvmux_cmd_cb cb,
					void *arg);
NVMUX_API int nvmux_ns_cmd_write_with_md(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					 const void *buf, const void *md, uint64_t lba,
					 uint32_t lba_count, uint32_t flags, uint16_t apptag_mask,
					 uint16_t apptag, nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_ns_cmd_compare_with_md(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					   const void *buf, const void *md, uint64_t lba,
					   uint32_t lba_count, uint32_t flags, uint16_t apptag_mask,
					   uint16_t apptag, nvmux_cmd_cb cb, void *arg);

/*
 * In pieces, by callbacks (@sgl_arg is passed to them) or as an array, which stays the caller's and
 * unchanged until the callback. A piece may have any multiple of 4 bytes. Where the device takes
 * PRPs only, pieces inside a command must end and start at multiples of 4 KiB, but for the first
 * start and the last end; it is split there if that is between blocks, else refused with -EINVAL.
 * @ext may be NULL.
 */
NVMUX_API int nvmux_ns_cmd_readv(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t lba,
				 uint32_t lba_count, const struct nvmux_io_ext *ext,
				 nvmux_reset_sgl_cb reset_sgl, nvmux_next_sge_cb next_sge,
				 void *sgl_arg, nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_ns_cmd_writev(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t lba,
				  uint32_t lba_count, const struct nvmux_io_ext *ext,
				  nvmux_reset_sgl_cb reset_sgl, nvmux_next_sge_cb next_sge,
				  void *sgl_arg, nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_ns_cmd_comparev(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t lba,
				    uint32_t lba_count, const struct nvmux_io_ext *ext,
				    nvmux_reset_sgl_cb reset_sgl, nvmux_next_sge_cb next_sge,
				    void *sgl_arg, nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_ns_cmd_readv_iov(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
				     const struct iovec *iov, uint32_t iovcnt, uint64_t lba,
				     uint32_t lba_count, const struct nvmux_io_ext *ext,
				     nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_ns_cmd_writev_iov(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
				      const struct iovec *iov, uint32_t iovcnt, uint64_t lba,
				      uint32_t lba_count, const struct nvmux_io_ext *ext,
				      nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_ns_cmd_comparev_iov(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					const struct iovec *iov, uint32_t iovcnt, uint64_t lba,
					uint32_t lba_count, const struct nvmux_io_ext *ext,
					nvmux_cmd_cb cb, void *arg);

/**
 * nvmux_ns_cmd_compare_and_write() - fused: write if the comparison succeeds. Base specification
 * 2.0, section 3.4.2 (fused operations).
 * @cmp, @buf: what is compared and what is written, lba_count blocks each.
 *
 * One callback: the comparison's completion if it failed, else the write's. -EOPNOTSUPP where
 * Identify Controller (FUSES) doesn't offer it.
 */
NVMUX_API int nvmux_ns_cmd_compare_and_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					     const void *cmp, const void *buf, uint64_t lba,
					     uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb,
					     void *arg);

/* ---- without data, or with a small structure ---- */

/** nvmux_ns_cmd_flush() - make completed writes durable. Base specification 2.0, section 7.1. */
NVMUX_API int nvmux_ns_cmd_flush(struct nvmux_ns *ns, struct nvmux_qpair *qpair, nvmux_cmd_cb cb,
				 void *arg);
/** nvmux_ns_cmd_write_zeroes() - section 3.2.8; @flags may have bit 25, deallocate (DEAC).
 *
 * This one, verify and write uncorrectable are split by their own limits (WZSL, VSL, WUSL of the
 * NVM command set's Identify Controller, CNS 06h), or by the transfer limit where there are none.
 */
#define NVMUX_IO_DEALLOCATE (1u << 25)
NVMUX_API int nvmux_ns_cmd_write_zeroes(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					uint64_t lba, uint32_t lba_count, uint32_t flags,
					nvmux_cmd_cb cb, void *arg);
/** nvmux_ns_cmd_verify() - read and check without moving data. Section 3.2.5. Sent also where ONCS
 * doesn't name it: there are controllers that have it all the same. */
NVMUX_API int nvmux_ns_cmd_verify(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t lba,
				  uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg);
/** nvmux_ns_cmd_write_uncorrectable() - reads fail until it is written. Section 3.2.7. */
NVMUX_API int nvmux_ns_cmd_write_uncorrectable(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					       uint64_t lba, uint32_t lba_count, nvmux_cmd_cb cb,
					       void *arg);

enum nvmux_dsm_type {
	NVMUX_DSM_INTEGRAL_READ = 1 << 0,
	NVMUX_DSM_INTEGRAL_WRITE = 1 << 1,
	NVMUX_DSM_DEALLOCATE = 1 << 2,
};
#define NVMUX_DSM_RANGES_MAX  256
#define NVMUX_COPY_RANGES_MAX 128

/** struct nvmux_dsm_range - as in the command's list; little-endian. Section 3.2.3. */
struct nvmux_dsm_range {
	__le32 attributes;
	__le32 lba_count;
	__le64 lba;
};
NVMUX_STATIC_ASSERT(sizeof(struct nvmux_dsm_range) == 16, "layout");

/**
 * nvmux_ns_cmd_dataset_management() - hints, and deallocation, for up to 256 ranges.
 * @type: enum nvmux_dsm_type, or'ed.
 * @ranges: copied during the call.
 *
 * Never split: more ranges, or more blocks in one or in all of them, than the controller takes
 * (DMRL, DMRSL, DMSL of Identify CNS 06h) are refused with -E2BIG.
 */
NVMUX_API int nvmux_ns_cmd_dataset_management(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					      uint32_t type, const struct nvmux_dsm_range *ranges,
					      uint32_t n_ranges, nvmux_cmd_cb cb, void *arg);

/** struct nvmux_copy_range - a source, copy descriptor format 0h; little-endian. Section 3.2.2. */
struct nvmux_copy_range {
	__u8 rsvd0[8];
	__le64 lba;
	__le16 lba_count; /* 0's based */
	__u8 rsvd18[6];
	__le32 reftag;
	__le16 apptag;
	__le16 apptag_mask;
};
NVMUX_STATIC_ASSERT(sizeof(struct nvmux_copy_range) == 32, "layout");

/** nvmux_ns_cmd_copy() - copy blocks inside the namespace to @dest_lba; ranges are copied.
 * @flags: what they say of protection information holds for source and destination.
 *
 * Never split: more ranges, or more blocks in one or in all of them, than the namespace takes
 * (MSRC, MSSRL, MCL) are refused with -E2BIG. */
NVMUX_API int nvmux_ns_cmd_copy(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
				const struct nvmux_copy_range *ranges, uint32_t n_ranges,
				uint64_t dest_lba, uint32_t flags, nvmux_cmd_cb cb, void *arg);

/* ---- reservations. Base specification 2.0, sections 7.2 to 7.5, 8.19 ---- */

/** struct nvmux_resv_keys - what the commands carry; in this host's byte order. */
struct nvmux_resv_keys {
	uint64_t current; /* CRKEY */
	uint64_t other;   /* register: NRKEY; acquire: PRKEY; release: unused */
};

enum nvmux_resv_register_action { NVMUX_RESV_REGISTER, NVMUX_RESV_UNREGISTER, NVMUX_RESV_REPLACE };
enum nvmux_resv_acquire_action { NVMUX_RESV_ACQUIRE, NVMUX_RESV_PREEMPT, NVMUX_RESV_PREEMPT_ABORT };
enum nvmux_resv_release_action { NVMUX_RESV_RELEASE, NVMUX_RESV_CLEAR };
enum nvmux_resv_type {
	NVMUX_RESV_WRITE_EXCLUSIVE = 1,
	NVMUX_RESV_EXCLUSIVE_ACCESS = 2,
	NVMUX_RESV_WRITE_EXCLUSIVE_REG_ONLY = 3,
	NVMUX_RESV_EXCLUSIVE_ACCESS_REG_ONLY = 4,
	NVMUX_RESV_WRITE_EXCLUSIVE_ALL_REGS = 5,
	NVMUX_RESV_EXCLUSIVE_ACCESS_ALL_REGS = 6,
};
enum nvmux_resv_cptpl { /* persist through power loss */
	NVMUX_RESV_CPTPL_NO_CHANGE = 0,
	NVMUX_RESV_CPTPL_CLEAR = 2,
	NVMUX_RESV_CPTPL_SET = 3,
};

NVMUX_API int nvmux_ns_cmd_reservation_register(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
						const struct nvmux_resv_keys *keys,
						bool ignore_key,
						enum nvmux_resv_register_action action,
						enum nvmux_resv_cptpl cptpl, nvmux_cmd_cb cb,
						void *arg);
NVMUX_API int nvmux_ns_cmd_reservation_acquire(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					       const struct nvmux_resv_keys *keys, bool ignore_key,
					       enum nvmux_resv_acquire_action action,
					       enum nvmux_resv_type type, nvmux_cmd_cb cb,
					       void *arg);
NVMUX_API int nvmux_ns_cmd_reservation_release(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					       const struct nvmux_resv_keys *keys, bool ignore_key,
					       enum nvmux_resv_release_action action,
					       enum nvmux_resv_type type, nvmux_cmd_cb cb,
					       void *arg);
/** nvmux_ns_cmd_reservation_report() - @buf: I/O memory of @len bytes, a multiple of 4.
 * @extended: the extended data structure (EDS), with 128-bit host identifiers. */
NVMUX_API int nvmux_ns_cmd_reservation_report(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					      void *buf, uint32_t len, bool extended,
					      nvmux_cmd_cb cb, void *arg);

/* ---- I/O management. Base specification 2.1, sections 7.3 and 7.4 ---- */

/** nvmux_ns_cmd_io_mgmt_recv() - @mo: management operation; @mos: operation specific. */
NVMUX_API int nvmux_ns_cmd_io_mgmt_recv(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
					uint32_t len, uint8_t mo, uint16_t mos, nvmux_cmd_cb cb,
					void *arg);
NVMUX_API int nvmux_ns_cmd_io_mgmt_send(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					const void *buf, uint32_t len, uint8_t mo, uint16_t mos,
					nvmux_cmd_cb cb, void *arg);

/* ---- raw ---- */

/**
 * nvmux_ctrlr_cmd_io_raw() - send any I/O command; never split.
 * @cmd: opcode, flags (FUSE), NSID and command dwords; copied during the call.
 * @buf: data in I/O memory, or NULL.
 * @len: bytes at @buf: what the command moves, at most the transfer limit.
 */
NVMUX_API int nvmux_ctrlr_cmd_io_raw(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
				     const struct nvmux_cmd *cmd, void *buf, uint32_t len,
				     nvmux_cmd_cb cb, void *arg);
/** nvmux_ctrlr_cmd_io_raw_with_md() - the same with @md_len bytes of separate metadata, which is
 * -EOPNOTSUPP over fabrics. */
NVMUX_API int nvmux_ctrlr_cmd_io_raw_with_md(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
					     const struct nvmux_cmd *cmd, void *buf, uint32_t len,
					     void *md, uint32_t md_len, nvmux_cmd_cb cb, void *arg);
/** nvmux_ctrlr_cmd_iov_raw_with_md() - the same in pieces; @md may be NULL. */
NVMUX_API int nvmux_ctrlr_cmd_iov_raw_with_md(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
					      const struct nvmux_cmd *cmd, const struct iovec *iov,
					      uint32_t iovcnt, void *md, uint32_t md_len,
					      nvmux_cmd_cb cb, void *arg);

#ifdef __cplusplus
}
#endif
#endif
