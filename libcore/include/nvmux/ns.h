/* SPDX-License-Identifier: BSD-3-Clause */
/* Namespaces: what they are and how they are formatted. */
#ifndef NVMUX_NS_H
#define NVMUX_NS_H

#include <stdbool.h>
#include <nvmux/ctrlr.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvme_id_ns; /* <nvme/types.h> */

/*
 * All of these read what Identify said at attach (or after the last change of attributes).
 * A namespace handle is valid until its controller is detached. Thread: any, while no change of
 * attributes is being processed.
 */

/** nvmux_ns_get_data() - Identify Namespace data, NVM command set 1.0, section 4.1.5.1. */
NVMUX_API const struct nvme_id_ns *nvmux_ns_get_data(const struct nvmux_ns *ns);
NVMUX_API uint32_t nvmux_ns_get_id(const struct nvmux_ns *ns);
NVMUX_API struct nvmux_ctrlr *nvmux_ns_get_ctrlr(const struct nvmux_ns *ns);
/** nvmux_ns_get_sector_size() - bytes of data in a logical block. */
NVMUX_API uint32_t nvmux_ns_get_sector_size(const struct nvmux_ns *ns);
/** nvmux_ns_get_extended_sector_size() - with interleaved metadata where it is formatted so. */
NVMUX_API uint32_t nvmux_ns_get_extended_sector_size(const struct nvmux_ns *ns);
/** nvmux_ns_get_num_sectors() - NSZE, in logical blocks. */
NVMUX_API uint64_t nvmux_ns_get_num_sectors(const struct nvmux_ns *ns);
/** nvmux_ns_get_size() - bytes of data. */
NVMUX_API uint64_t nvmux_ns_get_size(const struct nvmux_ns *ns);
/** nvmux_ns_get_max_io_xfer_size() - bytes that one command can move; larger I/O is split. */
NVMUX_API uint32_t nvmux_ns_get_max_io_xfer_size(const struct nvmux_ns *ns);
/** nvmux_ns_get_md_size() - bytes of metadata per logical block. */
NVMUX_API uint32_t nvmux_ns_get_md_size(const struct nvmux_ns *ns);
/** nvmux_ns_get_optimal_io_boundary() - in logical blocks, 0 if there is none. */
NVMUX_API uint32_t nvmux_ns_get_optimal_io_boundary(const struct nvmux_ns *ns);
/** nvmux_ns_get_format_index() - index of the LBA format in use. */
NVMUX_API uint32_t nvmux_ns_get_format_index(const struct nvmux_ns *ns);
/** nvmux_ns_get_nguid() - 16 bytes, or NULL if it has none. */
NVMUX_API const uint8_t *nvmux_ns_get_nguid(const struct nvmux_ns *ns);
/** nvmux_ns_get_uuid() - 16 bytes, or NULL if it has none. */
NVMUX_API const uint8_t *nvmux_ns_get_uuid(const struct nvmux_ns *ns);
/** enum nvmux_pi_type - end-to-end protection that it is formatted with (DPS). */
enum nvmux_pi_type { NVMUX_PI_NONE, NVMUX_PI_TYPE1, NVMUX_PI_TYPE2, NVMUX_PI_TYPE3 };
/** nvmux_ns_get_pi_type() - NVM command set 1.0, section 5.2. */
NVMUX_API enum nvmux_pi_type nvmux_ns_get_pi_type(const struct nvmux_ns *ns);
/** nvmux_ns_supports_extended_lba() - metadata is interleaved with the data. */
NVMUX_API bool nvmux_ns_supports_extended_lba(const struct nvmux_ns *ns);
/** nvmux_ns_supports_compare(), nvmux_ns_supports_write_uncorrectable() - ONCS. */
NVMUX_API bool nvmux_ns_supports_compare(const struct nvmux_ns *ns);
NVMUX_API bool nvmux_ns_supports_write_uncorrectable(const struct nvmux_ns *ns);

/* What the namespace and its controller offer, as bits. */
enum nvmux_ns_flags {
	NVMUX_NS_DEALLOCATE_SUPPORTED = 1 << 0, /* dataset management */
	NVMUX_NS_FLUSH_SUPPORTED = 1 << 1,      /* there is a volatile write cache */
	NVMUX_NS_RESERVATION_SUPPORTED = 1 << 2,
	NVMUX_NS_WRITE_ZEROES_SUPPORTED = 1 << 3,
	NVMUX_NS_DPS_PI_SUPPORTED = 1 << 4,
	NVMUX_NS_EXTENDED_LBA_SUPPORTED = 1 << 5,
	NVMUX_NS_WRITE_UNCORRECTABLE_SUPPORTED = 1 << 6,
	NVMUX_NS_COMPARE_SUPPORTED = 1 << 7,
	NVMUX_NS_VERIFY_SUPPORTED = 1 << 8,
	NVMUX_NS_COPY_SUPPORTED = 1 << 9,
	NVMUX_NS_COMPARE_AND_WRITE_SUPPORTED = 1 << 10, /* fused */
	NVMUX_NS_ZONED = 1 << 11,
	/* It has been formatted otherwise, by somebody else, and I/O could be going on: what is
	 * told of it here is the old format, it has 0 blocks, and commands that name blocks are
	 * refused with -ESTALE, until nvmux_ctrlr_rescan(). */
	NVMUX_NS_STALE = 1 << 12,
};
NVMUX_API uint32_t nvmux_ns_get_flags(const struct nvmux_ns *ns);

/** enum nvmux_dealloc_value - what a deallocated block reads as (DLFEAT). */
enum nvmux_dealloc_value {
	NVMUX_DEALLOC_NOT_REPORTED = 0,
	NVMUX_DEALLOC_READ_00 = 1,
	NVMUX_DEALLOC_READ_FF = 2,
};
NVMUX_API enum nvmux_dealloc_value
nvmux_ns_get_dealloc_logical_block_read_value(const struct nvmux_ns *ns);

/** nvmux_ns_get_csi() - command set: 0 NVM, 1 key value, 2 zoned. */
NVMUX_API uint8_t nvmux_ns_get_csi(const struct nvmux_ns *ns);

/* Asymmetric namespace access states, as in the log page. Base specification 2.0, section 8.1. */
enum nvmux_ana_state {
	NVMUX_ANA_NONE = 0, /* the controller doesn't report any */
	NVMUX_ANA_OPTIMIZED = 1,
	NVMUX_ANA_NON_OPTIMIZED = 2,
	NVMUX_ANA_INACCESSIBLE = 3,
	NVMUX_ANA_PERSISTENT_LOSS = 4,
	NVMUX_ANA_CHANGE = 15,
};

/** nvmux_ns_get_ana_group_id() - ANAGRPID, 0: none. */
NVMUX_API uint32_t nvmux_ns_get_ana_group_id(const struct nvmux_ns *ns);
/** nvmux_ns_get_ana_state() - as last read from the log page. */
NVMUX_API enum nvmux_ana_state nvmux_ns_get_ana_state(const struct nvmux_ns *ns);
/** nvmux_ana_state_string() - "optimized", "non-optimized", "inaccessible", "persistent-loss",
 * "change", "none"; as the kernel's. */
NVMUX_API const char *nvmux_ana_state_string(enum nvmux_ana_state state);

#ifdef __cplusplus
}
#endif
#endif
