/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shared-memory queue pair between a client and nvmuxd: its layout, version 1.1.
 *
 * A ring is a memfd that the daemon makes, sealed against resizing, laid out as
 *
 *	0                     struct nvmux_ring_header (one page)
 *	header.cq_offset      completion entries, cq_entries × struct nvmux_ring_cpl
 *	header.sq_offset      submission entries, sq_entries × struct nvmux_ring_cmd
 *	header.list_offset    scatter lists: list_entries × struct nvmux_ring_seg
 *
 * The daemon writes the geometry once and keeps its own private copy; what a client does to the
 * header afterwards changes nothing but its own luck.
 *
 * Publishing. Each entry carries a phase bit, as NVMe's completions do: an entry is new when its
 * phase equals the phase of the reader's pass, which starts at 1 and flips each time the reader
 * wraps; a new ring is all zeroes. A writer fills the entry and then stores its first (submission)
 * or last (completion) 8 bytes, which hold the phase bit, with release semantics; the reader loads
 * these 8 bytes with acquire semantics and goes on with the value loaded. One cache line crosses
 * per direction and the indices are never read by the other side on the I/O path. Of a batch of
 * commands the first may be published last.
 *
 * Room. sq_entries = cq_entries = a power of two ≥ depth, of which the daemon makes at least 16. A
 * client has at most depth commands in flight; then neither ring can overflow: the submission entry
 * at the tail was last used by a command that has been copied, and each command in flight has its
 * place in the completion ring.
 *
 * Scatter lists (since 1.1). A command with NVMUX_RING_F_LIST names its data by segments in the
 * list area: any that lie next to each other, 1 to NVMUX_RING_LIST_PER_CMD and at most max_segs of
 * them. The area has NVMUX_RING_LIST_PER_CMD for each of depth commands, so that each can have
 * places of its own; admin rings have none. The daemon copies them when it takes the command,
 * before its completion. Where the header doesn't say NVMUX_RING_SGL, only the first segment may
 * start and only the last may end elsewhere than at a multiple of 4096 of its region. All but the
 * last have a length that is a multiple of 4. A command that moves no data has no list.
 *
 * Fused commands (since 1.1), FUSE in the flags: the second is the entry after the first. The
 * daemon takes the first and waits for the next entry; both reach the controller together, or
 * neither.
 *
 * Sleeping. A reader that wants to sleep sets its sleep flag, issues membarrier(GLOBAL_EXPEDITED),
 * looks at the ring once more, and then waits on its end of the socket pair. A writer publishes
 * and then reads the other side's flag; if set, it clears it and sends one byte with MSG_DONTWAIT
 * and MSG_NOSIGNAL. Both register with MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED beforehand, so that
 * the writer needs no fence of its own.
 */
#ifndef NVMUX_RING_H
#define NVMUX_RING_H

#include <stddef.h>
#include <nvmux/cmd.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NVMUX_RING_MAGIC         0x31676e7278756d6eull /* "nmuxrng1", little-endian */
#define NVMUX_RING_VERSION_MAJOR 1
#define NVMUX_RING_VERSION_MINOR 1

#define NVMUX_RING_CACHE_LINE   64
#define NVMUX_RING_HEADER_SIZE  4096
#define NVMUX_RING_DEPTH_MAX    4096 /* commands in flight of one ring */
#define NVMUX_RING_LIST_PER_CMD 32   /* segments of one command's scatter list */

/**
 * struct nvmux_ring_header - the first page of a ring.
 *
 * Lines written by different sides are apart. Host byte order: both sides are on one host.
 */
struct nvmux_ring_header {
	/* written once by the daemon */
	uint64_t magic;
	uint16_t version_major;
	uint16_t version_minor;
	uint32_t depth;
	uint32_t sq_entries;
	uint32_t cq_entries;
	uint32_t sq_offset;
	uint32_t cq_offset;
	uint32_t list_offset;
	uint32_t list_entries;
	uint64_t size;
	uint8_t rsvd48[16];

	/* written by the daemon, rarely: limits for which the client has to look again */
	uint32_t generation;   /* changes with each change of the limits or of a namespace */
	uint32_t max_transfer; /* bytes of one command; more is refused */
	uint32_t state;        /* enum nvmux_ring_state */
	uint32_t max_segs;     /* segments of one command; 0: lists aren't served */
	uint32_t features;     /* enum nvmux_ring_features */
	uint8_t rsvd84[44];

	/* written by the client */
	uint32_t client_sleeping; /* it wants a byte when a completion is published */
	uint8_t rsvd132[60];

	/* written by the daemon */
	uint32_t daemon_sleeping; /* it wants a byte when a command is published */
	uint8_t rsvd196[60];

	/* written by the client, for a restarted daemon and for people; never trusted */
	uint64_t client_sq_tail; /* commands published since the beginning */
	uint64_t client_cq_head; /* completions consumed since the beginning */
	uint8_t rsvd272[48];

	/* written by the daemon, once per batch */
	uint64_t daemon_sq_head; /* commands copied since the beginning */
	uint64_t daemon_cq_tail; /* completions published since the beginning */
	uint8_t rsvd336[48];
};

enum nvmux_ring_state {
	NVMUX_RING_READY = 1,
	NVMUX_RING_PAUSED = 2, /* the controller is being reset; commands wait */
	NVMUX_RING_DEAD = 3,   /* nothing will be served any more */
};

enum nvmux_ring_features {
	NVMUX_RING_SGL = 1 << 0, /* segments may start and end at any multiple of 4 */
};

/**
 * struct nvmux_ring_seg - one segment of a scatter list: a piece of a region.
 * @region_offset: region number in bits 63:48, byte offset in bits 47:0.
 * @length: bytes, at least 1.
 * @rsvd: 0.
 */
struct nvmux_ring_seg {
	uint64_t region_offset;
	uint32_t length;
	uint32_t rsvd;
};

/**
 * struct nvmux_ring_cmd - a submission entry, 64 bytes: struct nvmux_cmd with segments in the
 * places of MPTR and DPTR.
 */
struct nvmux_ring_cmd {
	__u8 opc;
	__u8 flags; /* FUSE in bits 1:0, enum nvmux_ring_cmd_flags */
	__le16 cid; /* the client's; comes back in the completion, otherwise meaningless */
	__le32 nsid;
	__le32 cdw2;
	__le32 cdw3;
	uint64_t data; /* region number << 48 | offset; with F_LIST: index of the first segment */
	uint64_t md;   /* region number << 48 | offset */
	uint32_t data_len; /* bytes; with F_LIST: number of segments */
	uint32_t md_len;   /* bytes */
	__le32 cdw10;
	__le32 cdw11;
	__le32 cdw12;
	__le32 cdw13;
	__le32 cdw14;
	__le32 cdw15;
};

enum nvmux_ring_cmd_flags {
	NVMUX_RING_F_LIST = 0x40,  /* the data is a scatter list in the ring's list area */
	NVMUX_RING_F_PHASE = 0x80, /* the phase bit */
};

/** struct nvmux_ring_cpl - a completion entry, 16 bytes: as struct nvmux_cpl. */
struct nvmux_ring_cpl {
	__le32 dw0;
	__le32 dw1;
	__le16 sqhd; /* 0 */
	__le16 sqid; /* 0 */
	__le16 cid;
	__le16 status; /* bit 0: the phase bit */
};

#define NVMUX_RING_OFFSET_BITS 48
#define NVMUX_RING_OFFSET_MASK ((1ull << NVMUX_RING_OFFSET_BITS) - 1)

static inline uint64_t nvmux_ring_addr(uint16_t region, uint64_t offset)
{
	return (uint64_t)region << NVMUX_RING_OFFSET_BITS | (offset & NVMUX_RING_OFFSET_MASK);
}

NVMUX_STATIC_ASSERT(sizeof(struct nvmux_ring_cmd) == 64, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_cmd, nsid) == 4, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_cmd, data) == 16, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_cmd, md) == 24, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_cmd, data_len) == 32, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_cmd, md_len) == 36, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_cmd, cdw10) == 40, "layout");
NVMUX_STATIC_ASSERT(sizeof(struct nvmux_ring_cpl) == 16, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_cpl, cid) == 12, "layout");
NVMUX_STATIC_ASSERT(sizeof(struct nvmux_ring_seg) == 16, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_header, depth) == 12, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_header, size) == 40, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_header, generation) == 64, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_header, max_segs) == 76, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_header, client_sleeping) == 128, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_header, daemon_sleeping) == 192, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_header, client_sq_tail) == 256, "layout");
NVMUX_STATIC_ASSERT(offsetof(struct nvmux_ring_header, daemon_sq_head) == 320, "layout");
NVMUX_STATIC_ASSERT(sizeof(struct nvmux_ring_header) == 384, "layout");

#ifdef __cplusplus
}
#endif
#endif
