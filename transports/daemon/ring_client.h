/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's end of one ring: publish commands, reap completions, sleep and wake.
 *
 * No RPC and no control plane here: conn.c obtains the descriptors, this file maps and uses them.
 * A ring belongs to the thread of its queue pair.
 */
#ifndef NVMUX_RING_CLIENT_H
#define NVMUX_RING_CLIENT_H

#include <nvmux/ring.h>
#include "libcore/core.h"

struct ring_client {
	struct nvmux_ring_cmd *sq_next; /* where the next command goes */
	struct nvmux_ring_cmd *sq_stop; /* there the usual way ends: sq_stopped() */
	uint64_t sq_phase;   /* of the next command, as its first 8 bytes are to have it */
	uint32_t sq_entries; /* a power of two, as cq_entries */
	uint32_t cq_entries;
	uint64_t sq_turns; /* times that the end has been reached */
	const struct nvmux_ring_cpl *cq;
	uint64_t cq_head; /* completions consumed since the beginning */
	uint32_t cq_phase; /* of the next completion: 0 or CQ_PHASE */
	uint32_t depth;
	struct nvmux_ring_cmd *sq_end;
	bool hides;                    /* the next command is the first of a group */
	bool streams;                  /* the next command is streamed past the caches */
	struct nvmux_ring_cmd *hidden; /* the first of a group, until that is shown */
	struct nvmux_ring_cmd *told;   /* up to where the daemon has been told, */
	uint64_t told_turns;           /* and in which turn: there a batch begins */
	struct nvmux_ring_header *header;
	struct nvmux_ring_seg *list; /* of command n from n * NVMUX_RING_LIST_PER_CMD; NULL: none */
	size_t size;
	int wake_fd; /* our end of the socket pair */
};

/*
 * Map a ring. Takes over both descriptors, on success only. The geometry in the header is checked
 * against the file's size; -EPROTO with a reason in @why when it doesn't fit or the major version
 * is another one.
 */
int ring_client_map(struct ring_client *ring, int ring_fd, int wake_fd, char *why, size_t why_size);
void ring_client_unmap(struct ring_client *ring);

/* Show the daemon the commands that have been published, and wake it if it sleeps. Once per batch.
 */
void ring_client_ring(struct ring_client *ring);
/* Announce that we are going to wait on wake_fd, after ring_client_ring(). -EAGAIN: completions are
 * there already. */
int ring_client_arm(struct ring_client *ring);
/* Awake again: swallow the wake-up bytes. */
void ring_client_disarm(struct ring_client *ring);
/* Whether a completion is there. */
bool ring_client_ready(const struct ring_client *ring);

/* One command into the ring, shown by ring_client_ring() at the latest; the caller counts that no
 * more than depth are in flight. */
void ring_client_publish(struct ring_client *ring, const struct nvmux_ring_cmd *cmd);
/* The next completion; false when there is none. */
bool ring_client_reap(struct ring_client *ring, struct nvmux_cpl *ret);
/* Whether the daemon has declared the ring dead: nothing is published after that. */
bool ring_client_is_dead(const struct ring_client *ring);

/* The queue pair's I/O path, as in struct nvmux_transport. */
struct ring_qpair {
	struct nvmux_qpair base;
	struct ring_client ring;
};
int ring_qpair_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg);
int ring_qpair_read(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, uint64_t lba,
		    uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg);
int ring_qpair_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf, uint64_t lba,
		     uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg);
int ring_qpair_process(struct nvmux_qpair *qpair, uint32_t max);

#endif
