/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's end of one ring, as channels and admin rings use it; <nvmux/ring.h> has the
 * protocol.
 *
 * The client can write anything anywhere in the ring at any time. The geometry is kept here, the
 * header is written and, but for the client's sleep flag, never read; a command is copied out with
 * one load of each word; an entry whose phase was scribbled costs its client a command.
 */
#ifndef NVMUXD_RING_SERVER_H
#define NVMUXD_RING_SERVER_H

#include <string.h>
#include <nvmux/ring.h>
#include "libcore/util.h"

struct ring_server {
	const struct nvmux_ring_cmd *sq_next; /* the next command */
	const struct nvmux_ring_cmd *sq_end;
	uint64_t sq_phase;              /* of the next command, as its first 8 bytes have it */
	struct nvmux_ring_cpl *cq_next; /* where the next completion goes */
	struct nvmux_ring_cpl *cq_end;
	uint64_t cq_phase; /* of the next completion, as its last 8 bytes have it */
	uint64_t sq_turns; /* times that the end has been reached */
	uint64_t cq_turns;
	uint32_t entries; /* of both queues; a power of two */
	int wake_fd;      /* our end of the socket pair */
	struct nvmux_ring_header *header;
	const struct nvmux_ring_seg *list; /* the list area */
	uint32_t list_entries;

	/* control thread only */
	size_t size;
	int ring_fd;
	int client_fd; /* the client's end, until it has been sent; -1 then */
};

/* What the header tells the client about its limits. */
struct ring_limits {
	uint32_t max_transfer;
	uint32_t max_segs;
	bool sgl;
};

/* Make the memfd, its contents and the socket pair. @limits NULL: an admin ring, without an area
 * for scatter lists. @node: the NUMA node of its memory, or -1. */
int ring_server_create(uint32_t depth, const struct ring_limits *limits, int node,
		       struct ring_server *ret);
/* Show other limits; the generation is the caller's. */
void ring_server_show_limits(struct ring_server *ring, const struct ring_limits *limits);
void ring_server_fini(struct ring_server *ring);
void ring_server_close_client_fd(struct ring_server *ring);

/* Send the client a byte; never blocks. */
void ring_server_wake(struct ring_server *ring);
/* Swallow wake-up bytes, a bounded number. -EPIPE: the client closed its end. */
int ring_server_drain(struct ring_server *ring);

/* In the first 8 bytes of a submission entry, and the last 8 of a completion. */
#define RING_SQ_PHASE htole64((uint64_t)NVMUX_RING_F_PHASE << 8)
#define RING_CQ_PHASE htole64(1ull << 48)

/* Entries that are asked for before they are used; beyond the end of a queue, what is there is
 * asked for in vain. */
#define RING_SQ_AHEAD 8
#define RING_CQ_AHEAD 8

/* Whether a command is there. */
static inline bool ring_server_ready(const struct ring_server *ring, uint64_t *ret_first)
{
	/* acquire: the rest of the entry is read after its phase */
	uint64_t first = __atomic_load_n((const uint64_t *)ring->sq_next, __ATOMIC_ACQUIRE);

	*ret_first = first;
	return !((first ^ ring->sq_phase) & RING_SQ_PHASE);
}

/* The end of a queue has been reached. */
__attribute__((cold, noinline, unused)) static void ring_server_wrap_sq(struct ring_server *ring)
{
	ring->sq_next -= ring->entries;
	ring->sq_phase ^= RING_SQ_PHASE;
	ring->sq_turns++;
}

__attribute__((cold, noinline, unused)) static void ring_server_wrap_cq(struct ring_server *ring)
{
	ring->cq_next -= ring->entries;
	ring->cq_phase ^= RING_CQ_PHASE;
	ring->cq_turns++;
}

/* Commands copied since the beginning. */
static inline uint64_t ring_server_sq_head(const struct ring_server *ring)
{
	return (ring->sq_turns + 1) * ring->entries - (uint64_t)(ring->sq_end - ring->sq_next);
}

/* Completions published since the beginning. */
static inline uint64_t ring_server_cq_tail(const struct ring_server *ring)
{
	return (ring->cq_turns + 1) * ring->entries - (uint64_t)(ring->cq_end - ring->cq_next);
}

/* Copy the next command out, each byte once; false when there is none. */
static inline bool ring_server_take(struct ring_server *ring, struct nvmux_ring_cmd *ret)
{
	const uint64_t *entry = (const uint64_t *)ring->sq_next;
	uint64_t *copy = (uint64_t *)ret;

	if (!ring_server_ready(ring, &copy[0]))
		return false;
	__builtin_prefetch(ring->sq_next + RING_SQ_AHEAD);
	/* Atomic, so that the compiler can't read a word a second time. */
	copy[1] = __atomic_load_n(&entry[1], __ATOMIC_RELAXED);
	copy[2] = __atomic_load_n(&entry[2], __ATOMIC_RELAXED);
	copy[3] = __atomic_load_n(&entry[3], __ATOMIC_RELAXED);
	copy[4] = __atomic_load_n(&entry[4], __ATOMIC_RELAXED);
	copy[5] = __atomic_load_n(&entry[5], __ATOMIC_RELAXED);
	copy[6] = __atomic_load_n(&entry[6], __ATOMIC_RELAXED);
	copy[7] = __atomic_load_n(&entry[7], __ATOMIC_RELAXED);
	if (unlikely(++ring->sq_next == ring->sq_end))
		ring_server_wrap_sq(ring);
	return true;
}

/*
 * Copy the scatter list of a command out, each byte once. @cmd is a private copy. False: the list
 * isn't in its area, is empty or too long.
 */
static inline bool ring_server_take_list(const struct ring_server *ring,
					 const struct nvmux_ring_cmd *cmd,
					 struct nvmux_ring_seg list[NVMUX_RING_LIST_PER_CMD])
{
	const uint64_t *words;

	if (cmd->data_len == 0 || cmd->data_len > NVMUX_RING_LIST_PER_CMD ||
	    cmd->data > ring->list_entries || cmd->data_len > ring->list_entries - cmd->data)
		return false;
	words = (const uint64_t *)&ring->list[cmd->data];
	for (uint32_t i = 0; i < 2 * cmd->data_len; i++) {
		uint64_t word = __atomic_load_n(&words[i], __ATOMIC_RELAXED);

		memcpy((uint64_t *)list + i, &word, sizeof(word));
	}
	return true;
}

/* Publish a completion. @first: its first 8 bytes; @status without a phase tag. */
static inline void ring_server_complete(struct ring_server *ring, uint16_t cid, uint64_t first,
					uint16_t status)
{
	uint64_t *entry = (uint64_t *)ring->cq_next;
	uint64_t last = htole64((uint64_t)cid << 32 | (uint64_t)status << 49);

	prefetch_to_write(ring->cq_next + RING_CQ_AHEAD);
	__atomic_store_n(&entry[0], first, __ATOMIC_RELAXED);
	/* release: the whole entry is visible before its phase */
	__atomic_store_n(&entry[1], last | ring->cq_phase, __ATOMIC_RELEASE);
	if (unlikely(++ring->cq_next == ring->cq_end))
		ring_server_wrap_cq(ring);
}

/* Once per batch: the indices for people, and a byte if the client sleeps. */
static inline void ring_server_publish_indices(struct ring_server *ring)
{
	__atomic_store_n(&ring->header->daemon_sq_head, ring_server_sq_head(ring),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&ring->header->daemon_cq_tail, ring_server_cq_tail(ring),
			 __ATOMIC_RELAXED);
}

static inline void ring_server_notify(struct ring_server *ring)
{
	/* After the completions' stores: the sleeper's membarrier() makes this a real barrier. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (unlikely(__atomic_load_n(&ring->header->client_sleeping, __ATOMIC_RELAXED))) {
		__atomic_store_n(&ring->header->client_sleeping, 0, __ATOMIC_RELAXED);
		ring_server_wake(ring);
	}
}

#endif
