/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data plane, as the control thread sees it.
 *
 * A reactor is a thread, pinned to a core, that serves channels (the daemon's ends of the clients'
 * rings) and the hardware queue pairs they are bound to. Nothing else touches these while they are
 * with the reactor. The two threads talk by messages in single-producer single-consumer queues.
 *
 * Every function here is called by the control thread; every callback is called in the control
 * thread, from reactor_process(), exactly once. The exceptions: functions on a channel that has
 * not been started take effect, and call back, at once; reactor_destroy() delivers what is left.
 *
 * Messages are allocated here, never by the reactor. These functions can't fail: when no memory is
 * left for a message of some hundred bytes, the process ends.
 */
#ifndef NVMUXD_REACTOR_H
#define NVMUXD_REACTOR_H

#include <nvmux/ring.h>
#include "libcore/core.h"

struct reactor;
struct hwq;
struct channel;

typedef void (*reactor_cb)(void *arg);

struct reactor_opts {
	int core;            /* CPU to pin to, -1: not pinned */
	bool busy;           /* always polls; else it sleeps when nothing is to be done */
	uint32_t idle_turns; /* without work until a channel is parked; 0: the default, 1024 */
	const char *name;    /* of the thread; at most 15 bytes */
	/* Of its hardware queue pairs, where their transport has such; other_thread is set. Stays
	 * the caller's, until the reactor has been destroyed. May be NULL. */
	struct nvmux_poll_group *group;
	/*
	 * A hardware queue pair broke: everything in flight has been completed with an error, the
	 * channels bound to it are paused. The control plane takes it back, stops the controller
	 * (or deletes the queue), calls hwq_abort(), and destroys it. Until hwq_abort() the device
	 * counts as able to write to memory: channel_stop() and channel_drop_region() of its
	 * channels wait for it. May be NULL.
	 */
	void (*hwq_failed)(void *arg, struct hwq *hwq);
	void *arg;
};

/* -EINVAL: no such core; -ENOSYS or -EPERM: the kernel lacks or forbids membarrier(). */
int reactor_create(const struct reactor_opts *opts, struct reactor **ret);
/* Ends the thread, whose figures then stay what they are; no channel and no hardware queue may be
 * with it any more. */
void reactor_end(struct reactor *reactor);
/* Ends the thread if that hasn't been done. */
void reactor_destroy(struct reactor *reactor);
/* The poll group for a queue pair that this reactor is to serve, or NULL. From now on the reactor
 * looks after it. */
struct nvmux_poll_group *reactor_poll_group(struct reactor *reactor);
/* Readable when reactor_process() has callbacks to deliver. */
int reactor_get_fd(const struct reactor *reactor);
void reactor_process(struct reactor *reactor);

struct reactor_stats {
	uint64_t loops;       /* turns of the polling loop */
	uint64_t idle_loops;  /* of these without any work */
	uint64_t sleeps;      /* times it went to sleep */
	uint64_t commands;    /* accepted from channels */
	uint64_t completions; /* given to channels */
	uint32_t channels;
	uint32_t parked; /* channels that wake the reactor instead of being polled */
	uint32_t hwqs;
	bool asleep;
};
/* A snapshot, by relaxed loads; never blocks. */
void reactor_get_stats(const struct reactor *reactor, struct reactor_stats *ret);

/* ---- hardware queue pairs ---- */

/*
 * A queue pair whose transport can lose and restore its connection goes on by itself: the reactor
 * does the owner's part of that, rings say PAUSED meanwhile, or READY with every command refused
 * (Host Pathing Error) when the time for waiting is over. hwq_look() tells it that libnvmux has
 * changed the queue pair's state.
 *
 * Hand a connected queue pair over to a reactor. The struct hwq is made here and belongs to the
 * control plane as a handle; the queue pair in it is the reactor's until hwq_take_back().
 */
int hwq_create(struct reactor *reactor, struct nvmux_qpair *qpair, struct hwq **ret);
/* Stop submitting to it and polling it, at once; commands stay in flight in their slots. Of a
 * connection it is quiesced, which ends it. When @cb is called the control thread owns the queue
 * pair again. Channels bound to it wait. */
void hwq_take_back(struct hwq *hwq, reactor_cb cb, void *arg);
/* Take nothing more from its channels, whose rings say PAUSED; @cb when what had been taken has
 * ended, or was told not to wait for that, or the queue pair broke. It stays with its reactor. */
void hwq_hold(struct hwq *hwq, reactor_cb cb, void *arg);
/* Don't wait any longer for what is in flight: @cb of hwq_hold() is called soon. */
void hwq_stop_holding(struct hwq *hwq);
/* Go on with the channels of one that is held. */
void hwq_release(struct hwq *hwq);
/*
 * libnvmux has stopped its queue pair, whose transport has no connection, and lets it go on
 * (NVMUX_QPAIR_REPLAY), which it doesn't before this: what its channels are to check by has been
 * sent to them. @changed: that isn't what it was; commands of hwq_submit() that haven't been sent
 * end with Command Aborted due to SQ Deletion.
 */
void hwq_go(struct hwq *hwq, bool changed);
/* In the reactor's thread, of a queue pair that was taken back and whose controller has stopped or
 * deleted it: complete everything in flight with @status (to the channels' rings, or to the
 * callbacks of hwq_submit(), those that still wait to be sent included). */
void hwq_abort(struct hwq *hwq, uint16_t status, reactor_cb cb, void *arg);
/* Free the handle; taken back before (@cb has been called), without channels. The queue pair is not
 * touched. Commands of hwq_submit() that still wait to be sent complete with NVMUX_SC_CTRLR_GONE.
 */
void hwq_destroy(struct hwq *hwq);
/* Its queue pair's state has changed: let the reactor look at it soon. At any time before
 * hwq_destroy(), as often as one likes. */
void hwq_look(struct hwq *hwq);
struct nvmux_qpair *hwq_qpair(const struct hwq *hwq);
struct reactor *hwq_reactor(const struct hwq *hwq);
uint32_t hwq_num_channels(const struct hwq *hwq);

/*
 * One command of the control plane itself (RPC reads and writes, raw commands), checked by
 * channel_check() or by the caller. @owner: for hwq_abandon(). @payload: it, its pieces and their
 * regions stay as they are until the callback. @cb gets the completion in the control thread.
 */
void hwq_submit(struct hwq *hwq, const void *owner, const struct nvmux_cmd *cmd,
		const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg);
/* Two fused commands, their flags set: they are sent one right after the other, and each has its
 * own callback with what the control plane passes in place of its own argument. */
struct hwq_fused {
	const struct nvmux_cmd *cmd;
	const struct nvmux_payload *payload; /* as for hwq_submit() */
	nvmux_cmd_cb cb;
	void *arg;
};
void hwq_submit_fused(struct hwq *hwq, const void *owner, const struct hwq_fused *first,
		      const struct hwq_fused *second);
/*
 * Nobody cares any more for the commands that @owner has submitted until now: those that still wait
 * to be sent end at once; those that a lost connection holds up, as soon as they are not with the
 * controller, instead of being repeated. Both with Outcome Unknown.
 */
void hwq_abandon(struct hwq *hwq, const void *owner);

/* ---- what a channel's commands are checked against ---- */

#define CTRLR_VIEW_PLACES 64u

/* A namespace as a client sees it. */
struct ns_view {
	uint32_t nsid;
	uint32_t plain_lbas; /* these two by ctrlr_view_index(): of a read or write by the short */
	uint32_t lba_bytes;  /* way (plain.h), at most, 0: none; of a block's data */
	uint8_t lba_shift;
	uint8_t md_interleaved;
	uint16_t md_size;
	bool writable;
	uint8_t pi;   /* enum nvmux_pi_type */
	uint8_t zdes; /* zone descriptor extension, in units of 64 bytes; 0: none */
	uint64_t n_lbas;
	uint64_t zone_lbas; /* blocks of a zone; 0: not zoned */
};

/* A controller as a client sees it: immutable; replaced as a whole. Made by the control plane. */
struct ctrlr_view {
	uint32_t max_transfer; /* bytes of one command */
	uint32_t max_segs;     /* pieces of one command, at most NVMUX_RING_LIST_PER_CMD; 0: one */
	bool sgl;              /* they may start and end anywhere; else PRP rules */
	bool fused;            /* compare and write can be fused */
	bool separate_md;      /* metadata can have a buffer of its own */
	bool admin;            /* commands whose length can't be derived are allowed */
	bool reservations;     /* reservation commands are allowed: they act for the whole host */
	/* Vendor commands that others have to stop for or hear of, a bit for each opcode from 80h
	 * on: only the control plane sends them. */
	uint32_t noticed[4];
	/* By the lowest bits of an id: the place in @ns to look at first. ctrlr_view_index() */
	uint16_t likely_place[CTRLR_VIEW_PLACES];
	uint32_t n_ns;
	struct ns_view ns[]; /* in the order of their ids */
};

/* All of view->ns is there: find the places, and what follows from the rest. */
void ctrlr_view_index(struct ctrlr_view *view);
/* The namespace, or one without any blocks: where several share a place not all are found. */
const struct ns_view *ctrlr_view_likely(const struct ctrlr_view *view, uint32_t nsid);

/* A region of a client, by its number. */
struct region_view {
	const struct nvmux_mem *mem; /* NULL: no such region */
	uint64_t size;               /* bytes; 0: no such region */
	uint64_t base;               /* mem->maps[].base of the controller */
};

/* What the check of one command found. */
struct checked_cmd {
	union {
		struct nvmux_ring_cmd ring; /* as the client gave it, a private copy */
		struct nvmux_cmd cmd; /* checked: the same, ready but for identifier and pointers */
	};
	struct nvmux_seg seg; /* len 0: no data; else exactly what the command moves */
	struct nvmux_seg md;  /* separate metadata; len 0: none */
};

/* The pieces of one command. */
struct checked_list {
	struct nvmux_seg segs[NVMUX_RING_LIST_PER_CMD]; /* together exactly what it moves */
	uint16_t regions[NVMUX_RING_LIST_PER_CMD];      /* where each lies, by number */
	uint32_t n;
	uint32_t len; /* their sum */
};

/*
 * Check cmd->ring: opcode class and rights, namespace, range, geometry, then region, alignment,
 * range in the region, and that the buffer is at least what the command moves. Return 0 with the
 * rest of @cmd filled, or the status (with DNR) to complete it with. Pure: no I/O, no state. A
 * command with flags has a check of its own below; this one refuses it.
 */
uint16_t channel_check(const struct ctrlr_view *view, const struct region_view *regions,
		       uint32_t n_regions, struct checked_cmd *cmd);
/*
 * The same for a command whose data is in pieces: @list is a private copy of its scatter list, @n
 * entries; copy->data and copy->data_len aren't looked at. A command without data has no list.
 * ret->seg is not filled, ret->ring needn't be. The fuse bits are forwarded; whoever calls pairs
 * the commands.
 */
uint16_t channel_check_list(const struct nvmux_ring_cmd *copy, const struct nvmux_ring_seg *list,
			    uint32_t n, const struct ctrlr_view *view,
			    const struct region_view *regions, uint32_t n_regions,
			    struct checked_cmd *ret, struct checked_list *ret_list);
/*
 * Two commands that passed, fused: a comparison and a write of the same blocks. Base specification
 * 2.0, section 3.4.2.
 */
uint16_t channel_check_fused(const struct nvmux_cmd *first, const struct nvmux_cmd *second,
			     const struct ctrlr_view *view);

/* ---- channels ---- */

struct channel_opts {
	uint32_t depth;          /* commands in flight, 1 … NVMUX_RING_DEPTH_MAX */
	uint32_t n_regions;      /* size of its region table: the client's limit, at most 65534 */
	struct ctrlr_view *view; /* from malloc(); ownership passes on success */
	const struct region_view *regions; /* what it starts with, n_regions entries; copied */
	uint32_t weight;                   /* commands per turn; 0: 3/8 of depth, 2 to 32 */
	int node;                          /* the NUMA node of the ring's memory, or -1 */
};

/* Make the ring (memfd) and the socket pair; not yet served. */
int channel_create(const struct channel_opts *opts, struct channel **ret);
/* Descriptors for the client; borrowed. The client's end of the socket pair is closed here with
 * channel_close_client_fd() after it has been sent. */
int channel_ring_fd(const struct channel *channel);
int channel_client_fd(const struct channel *channel);
void channel_close_client_fd(struct channel *channel);

/* Let the reactor of @hwq serve it. A stopped channel can be started again, on any hardware queue
 * of the same controller. */
void channel_start(struct channel *channel, struct hwq *hwq, reactor_cb cb, void *arg);
/* Take no further command; @cb when nothing of it is in flight any more (may take for ever on a
 * hung controller: then the control plane resets it, and hwq_abort() ends the wait; or, over a
 * connection, channel_abandon()). */
void channel_stop(struct channel *channel, reactor_cb cb, void *arg);
/* For a channel that is being stopped: as hwq_abandon(), for its commands in flight. */
void channel_abandon(struct channel *channel);
/* Stopped (or never started): free it, when its last outstanding callback has been delivered. */
void channel_destroy(struct channel *channel);

/* Make a region known, or forget one: for forgetting, @cb is called when no command in flight uses
 * it and no later one can; before that the number isn't given to another one. */
void channel_set_region(struct channel *channel, uint32_t number, const struct region_view *region,
			reactor_cb cb, void *arg);
void channel_drop_region(struct channel *channel, uint32_t number, reactor_cb cb, void *arg);
/* Replace what commands are checked against; bumps the ring's generation. */
void channel_set_view(struct channel *channel, struct ctrlr_view *view, reactor_cb cb, void *arg);
/* Tell the client by the ring's header (enum nvmux_ring_state), and wake it. NVMUX_RING_DEAD is for
 * good. Taking a hardware queue back pauses its channels by itself. */
void channel_set_state(struct channel *channel, uint32_t state);

struct channel_stats {
	uint64_t commands;
	uint64_t completions;
	uint64_t refused; /* completed by the daemon: the check failed, or there is no path */
	uint64_t read_bytes;
	uint64_t write_bytes;
	uint32_t in_flight;
	bool parked;
};
void channel_get_stats(const struct channel *channel, struct channel_stats *ret);

/*
 * The daemon's end of an admin ring: the same layout, served by the control thread. next() copies
 * one command out, false when there is none, and refuses by itself what exceeds the depth;
 * complete() publishes and wakes the client. Arm before waiting on the descriptor, which also
 * swallows the wake-up bytes. -EAGAIN: commands are there; look again, but from the event loop, as
 * a client can publish without end. -EPIPE: the client closed its end, don't watch it any more.
 */
struct admin_ring;
int admin_ring_create(uint32_t depth, struct admin_ring **ret);
void admin_ring_destroy(struct admin_ring *ring);
int admin_ring_fd(const struct admin_ring *ring);        /* the memfd; borrowed */
int admin_ring_client_fd(const struct admin_ring *ring); /* as for channels */
void admin_ring_close_client_fd(struct admin_ring *ring);
int admin_ring_wake_fd(const struct admin_ring *ring); /* readable: commands may be there */
bool admin_ring_next(struct admin_ring *ring, struct nvmux_ring_cmd *ret);
void admin_ring_complete(struct admin_ring *ring, uint16_t cid, uint32_t dw0, uint32_t dw1,
			 uint16_t status);
int admin_ring_arm(struct admin_ring *ring);

#endif
