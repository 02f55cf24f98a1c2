/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands and completions as they are on the wire.
 *
 * The types, opcodes and status values of the specification come from libnvme's header-only
 * <nvme/types.h>; what it lacks, the queue entries, is here.
 */
#ifndef NVMUX_CMD_H
#define NVMUX_CMD_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NVMUX_API __attribute__((visibility("default")))
#else
#define NVMUX_API
#endif

#ifdef __cplusplus
#define NVMUX_STATIC_ASSERT static_assert
#else
#define NVMUX_STATIC_ASSERT _Static_assert
#endif

/**
 * struct nvmux_cmd - a submission queue entry, 64 bytes.
 *
 * All fields are little-endian. NVM Express base specification 2.0, section 3.3.3.1.
 * A caller of the raw functions fills @opc, @nsid and the command dwords; the library fills @cid,
 * the PSDT bits of @flags and the data pointers.
 */
struct nvmux_cmd {
	__u8 opc;
	__u8 flags; /* FUSE in bits 1:0, PSDT in bits 7:6 */
	__le16 cid;
	__le32 nsid;
	__le32 cdw2;
	__le32 cdw3;
	__le64 mptr;
	__le64 dptr[2]; /* PRP1 and PRP2, or one SGL descriptor */
	__le32 cdw10;
	__le32 cdw11;
	__le32 cdw12;
	__le32 cdw13;
	__le32 cdw14;
	__le32 cdw15;
};
NVMUX_STATIC_ASSERT(sizeof(struct nvmux_cmd) == 64, "a submission queue entry has 64 bytes");

/**
 * struct nvmux_cpl - a completion queue entry, 16 bytes.
 *
 * All fields are little-endian. NVM Express base specification 2.0, section 3.3.3.2.
 */
struct nvmux_cpl {
	__le32 dw0;
	__le32 dw1;
	__le16 sqhd;
	__le16 sqid;
	__le16 cid;
	__le16 status; /* bit 0: phase tag; bits 15:1: status field */
};
NVMUX_STATIC_ASSERT(sizeof(struct nvmux_cpl) == 16, "a completion queue entry has 16 bytes");

/*
 * The status field without the phase tag, in the form of libnvme's NVME_SC_* and NVME_SCT_*:
 * status code in bits 7:0, status code type in bits 10:8, CRD 12:11, M 13, DNR 14.
 */
#define NVMUX_STATUS(sct, sc)  ((uint16_t)((sct) << 8 | (sc)))
#define NVMUX_STATUS_CODE_MASK 0x07ff /* status code type and status code */
#define NVMUX_STATUS_CRD_SHIFT 11
#define NVMUX_STATUS_MORE      0x2000
#define NVMUX_STATUS_DNR       0x4000

/*
 * Statuses that nvmux itself gives, in the vendor-specific status code type (7h). They are made by
 * the daemon or the library, never by a controller. nvmux_status_string() has a text for each.
 */
enum nvmux_status_own {
	NVMUX_SC_REGION_UNKNOWN = 0x700,  /* no region with this number */
	NVMUX_SC_REGION_RANGE = 0x701,    /* offset and length don't lie inside the region */
	NVMUX_SC_REGION_ALIGN = 0x702,    /* the offset isn't a multiple of 4 */
	NVMUX_SC_LENGTH_MISMATCH = 0x703, /* the buffer is shorter than the command moves */
	NVMUX_SC_LENGTH_LIMIT = 0x704,    /* more than the published transfer limit */
	NVMUX_SC_ACCESS_DENIED = 0x705,   /* the client has no right to this command */
	NVMUX_SC_LIST_INVALID = 0x706,   /* scatter list outside its area, too long, or malformed */
	NVMUX_SC_DEPTH_EXCEEDED = 0x707, /* more commands in flight than the queue's depth */
	NVMUX_SC_OUTCOME_UNKNOWN = 0x708, /* was in flight when the queue was lost, not repeated */
	NVMUX_SC_CTRLR_GONE = 0x709,      /* the controller failed or was removed */
	NVMUX_SC_OPCODE_REFUSED = 0x70a,  /* the daemon never forwards this command */
	NVMUX_SC_INTERNAL = 0x7ff, /* the daemon couldn't serve the command; its log says why */
};

/** nvmux_cpl_status() - status field of @cpl without the phase tag, comparable with NVME_SC_*. */
static inline uint16_t nvmux_cpl_status(const struct nvmux_cpl *cpl)
{
	const __u8 *bytes = (const __u8 *)&cpl->status; /* little-endian, on any host */

	return (uint16_t)((bytes[0] | bytes[1] << 8) >> 1);
}

/** nvmux_cpl_is_error() - whether @cpl reports anything but success. */
static inline bool nvmux_cpl_is_error(const struct nvmux_cpl *cpl)
{
	return (nvmux_cpl_status(cpl) & NVMUX_STATUS_CODE_MASK) != 0;
}

/**
 * nvmux_status_string() - a status in words.
 * @status: as from nvmux_cpl_status(); DNR, M and CRD are ignored.
 *
 * Return: a static string, never NULL. Thread: any.
 */
NVMUX_API const char *nvmux_status_string(uint16_t status);

/**
 * nvmux_status_type_string() - a status code type in words ("generic", "command specific", …).
 * @status: as from nvmux_cpl_status().
 *
 * Return: a static string, never NULL. Thread: any.
 */
NVMUX_API const char *nvmux_status_type_string(uint16_t status);

/**
 * typedef nvmux_cmd_cb - called exactly once for each accepted command; never NULL.
 * @arg: what the submitter passed.
 * @cpl: the completion, valid during the call only.
 *
 * Thread: the one that processes the queue pair's completions (or frees the queue pair: then the
 * status is Command Aborted due to SQ Deletion).
 */
typedef void (*nvmux_cmd_cb)(void *arg, const struct nvmux_cpl *cpl);

#ifdef __cplusplus
}
#endif
#endif
