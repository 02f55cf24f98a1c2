/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The objects inside libnvmux, for libcore itself, the transports and the daemon.
 *
 * Ownership and threads are as in <nvmux/nvmux.h>: everything belongs to the control thread,
 * except that a connected I/O queue pair belongs to the thread that polls it.
 */
#ifndef NVMUX_CORE_H
#define NVMUX_CORE_H

#include <errno.h>
#include <stdarg.h>
#include <sys/queue.h>
#include <nvme/types.h>
#include <nvmux/nvmux.h>
#include "util.h"

struct nvmux_transport;

#define NVMUX_CTRLRS_MAX  128        /* controllers of one context */
#define NVMUX_REGIONS_MAX 32768      /* regions of one context, its internal ones included */
#define NVMUX_NS_MAX      1024       /* active namespaces of one controller */
#define NVMUX_PAGE_SIZE   4096u      /* memory page of the controllers (CC.MPS = 0) */
#define NVMUX_XFER_MAX    (2u << 20) /* bytes of one command: one page of PRP entries */
#define NVMUX_SLOT_SHIFT  21         /* regions start at multiples of 2 MiB of the window */
#define NVMUX_IOVA_BASE \
	0x100000000ull /* IOVA of the window's start: clear of the hole below 4 GiB */

/* Host Pathing Error: the connection has been lost for too long. */
#define NVMUX_PATH_ERROR NVMUX_STATUS(NVME_SCT_PATH, NVME_SC_HOST_PATH_ERROR)

/* How every asynchronous step of the control plane ends: once, with 0 or a negative errno value. */
typedef void (*nvmux_done_fn)(void *arg, int err, uint64_t value);

/* Who waits for a step that ends later; done is NULL when nobody does. */
struct nvmux_call {
	nvmux_done_fn done;
	void *arg;
};

static inline void nvmux_call_end(struct nvmux_call *call, int err, uint64_t value)
{
	struct nvmux_call ended = *call;

	*call = (struct nvmux_call){0};
	if (ended.done)
		ended.done(ended.arg, err, value);
}

/* ---- what the context's thread waits for (loop.c) ---- */

struct nvmux_watch {
	int fd;
	void (*fn)(void *arg, uint32_t epoll_events);
	void *arg;
};

struct nvmux_timer {
	TAILQ_ENTRY(nvmux_timer) link;
	uint64_t deadline_ms; /* CLOCK_MONOTONIC; 0: not set */
	void (*fn)(void *arg);
	void *arg;
};

/* A watch or timer is the caller's memory and must be ended before it is freed; both may be ended
 * or set anew from within any callback. nvmux_timer_set() on a set timer moves it. */
int nvmux_watch_add(struct nvmux *nvmux, struct nvmux_watch *watch, int fd, uint32_t epoll_events,
		    void (*fn)(void *arg, uint32_t epoll_events), void *arg);
int nvmux_watch_mod(struct nvmux *nvmux, struct nvmux_watch *watch, uint32_t epoll_events);
void nvmux_watch_del(struct nvmux *nvmux, struct nvmux_watch *watch);
void nvmux_timer_set(struct nvmux *nvmux, struct nvmux_timer *timer, uint32_t delay_ms,
		     void (*fn)(void *arg), void *arg);
void nvmux_timer_cancel(struct nvmux *nvmux, struct nvmux_timer *timer);
uint64_t nvmux_now_ms(void);
int nvmux_loop_init(struct nvmux *nvmux);
void nvmux_loop_fini(struct nvmux *nvmux);

/* Process the context until *done is set; for the blocking functions. -EDEADLK in a callback. */
int nvmux_wait(struct nvmux *nvmux, const bool *done);
/*
 * For a caller whose loop comes by here each time before it waits, from the first time on: what
 * his callbacks have made due at once is done here, and not by way of the descriptor.
 */
void nvmux_settle(struct nvmux *nvmux);

/* ---- the context (context.c) ---- */

/* A device's memory that may go away while it is mapped here (guard.c). */
struct nvmux_guard {
	uintptr_t start; /* atomic; 0: none */
	size_t bytes;
	void (*lost)(void *arg); /* async-signal-safe */
	void *arg;
};

TAILQ_HEAD(nvmux_timer_list, nvmux_timer);
TAILQ_HEAD(nvmux_mem_list, nvmux_mem);

struct nvmux {
	struct nvmux_opts opts;
	char hostnqn[NVMUX_NQN_MAX]; /* of this host (host.c); empty: not looked up yet */
	uint8_t hostid[16];
	int epoll_fd;
	bool processing;
	bool ending;                    /* nvmux_destroy() is under way: nothing new begins */
	struct nvmux_timer_list timers; /* in the order of their deadlines */
	struct nvmux_watch timer_watch;
	int timer_fd;         /* readable at the earliest deadline */
	uint64_t timer_fd_at; /* what it is set to; 0: not set */
	bool timers_later;    /* whoever is going to wait sets it before that */
	const struct nvmux_transport *transports[NVMUX_TRTYPE_COUNT];
	void *transport_data[NVMUX_TRTYPE_COUNT]; /* a transport's own, per context */
	struct nvmux_ctrlr *ctrlrs[NVMUX_CTRLRS_MAX];
	struct nvmux_guard guards[NVMUX_CTRLRS_MAX]; /* by the controllers' indices */
	nvmux_hotplug_filter_cb hotplug_filter;      /* NULL: all are looked at */
	void *hotplug_filter_arg;
	struct nvmux_mem_list mems;

	/* the address window: slot_mem[(addr - window) >> NVMUX_SLOT_SHIFT] is its region or NULL
	 */
	uint8_t *window;
	uint64_t window_size;
	struct nvmux_mem **slot_mem;
	uint32_t n_slots;

	char error[512];
};

/* Keep @fmt as the context's error text and return @err (negative). */
__attribute__((format(printf, 3, 4))) int nvmux_error(struct nvmux *nvmux, int err, const char *fmt,
						      ...);
__attribute__((format(printf, 4, 5))) void nvmux_log(struct nvmux *nvmux,
						     enum nvmux_log_level level, const char *module,
						     const char *fmt, ...);

/* ---- memory of a device (guard.c) ---- */

/* nvmux_handle_sigbus() looks after this mapping, and calls @lost(arg) when a page of it has lost
 * its memory. Ended before the mapping is; no thread may use it any more by then. */
void nvmux_guard_add(struct nvmux_ctrlr *ctrlr, void *addr, size_t bytes, void (*lost)(void *arg),
		     void *arg);
void nvmux_guard_del(struct nvmux_ctrlr *ctrlr);

/* ---- memory (mem.c) ---- */

/* What a transport keeps for a region that is mapped for one controller. */
struct nvmux_mem_map {
	bool mapped;
	uint32_t lkey;
	uint32_t rkey;
	void *priv;
	uint64_t base; /* what commands call its first byte, where transports have read and write */
};

/* What of a slot of the window a controller reaches: the I/O path's short way to a region. Written
 * by the control thread; read by I/O threads, which learn of a region only after that. */
struct nvmux_reach {
	uint64_t delta; /* what commands call a byte of it, less the byte's address here */
	uint64_t end;   /* of the region that lies in it, an address here; 0: it reaches nothing */
};

/*
 * A region. Its IOVA is the same for every controller: NVMUX_IOVA_BASE plus its place in the
 * window; whether a controller can reach it is maps[ctrlr->index].mapped.
 */
struct nvmux_mem {
	TAILQ_ENTRY(nvmux_mem) link;
	struct nvmux *nvmux;
	uint8_t *addr;
	size_t size; /* whole pages */
	uint64_t iova;
	int fd;
	uint32_t flags;
	bool orphan;          /* nobody's any more; freed when the last controller lets go of it */
	uint16_t region;      /* its number in the session of the daemon that made it */
	const void *provider; /* the connection to that daemon; NULL: made here */
	struct nvmux_mem_map maps[NVMUX_CTRLRS_MAX];
};

/* Make a region here (a sealed memfd), mapped for no controller yet. */
int nvmux_mem_create(struct nvmux *nvmux, size_t size, uint32_t flags, struct nvmux_mem **ret);
/* Take over @fd, of which @size bytes are mapped into the window; @fd is owned on success only. */
int nvmux_mem_import(struct nvmux *nvmux, int fd, size_t size, uint16_t region,
		     const void *provider, struct nvmux_mem **ret);
/* Free it; it must be mapped for no controller any more. */
void nvmux_mem_release(struct nvmux_mem *mem);
/* A controller reaches it, by maps[].base, or no longer. For who maps without the two below. */
void nvmux_mem_set_mapped(struct nvmux_mem *mem, uint16_t index, bool mapped);
/* Free it as soon as it is mapped for no controller any more: now, or when the last of those that
 * could still write to it has been let go of. */
void nvmux_mem_release_later(struct nvmux_mem *mem);
/* nvmux_mem_free() without waiting; @done when it is gone, or has become the context's because a
 * controller could still write to it. */
void nvmux_mem_free_async(struct nvmux_mem *mem, nvmux_done_fn done, void *arg);
/* The device of this controller has been let go of: it reaches no region any more. */
void nvmux_mem_forget_ctrlr(struct nvmux *nvmux, uint16_t index);
/* Through the transport. @done is called once, perhaps from within. */
void nvmux_mem_map_async(struct nvmux_mem *mem, struct nvmux_ctrlr *ctrlr, nvmux_done_fn done,
			 void *arg);
void nvmux_mem_unmap_async(struct nvmux_mem *mem, struct nvmux_ctrlr *ctrlr, nvmux_done_fn done,
			   void *arg);

/* Whether a controller reaches a region: read by I/O threads, written by the control thread. */
static inline bool nvmux_mem_is_mapped(const struct nvmux_mem *mem,
				       const struct nvmux_ctrlr *ctrlr);

/* The region that @addr lies in, or NULL. O(1), any thread that owns a queue pair. */
static inline struct nvmux_mem *nvmux_mem_find(const struct nvmux *nvmux, const void *addr)
{
	uint64_t off = (uint64_t)((const uint8_t *)addr - nvmux->window);

	if (unlikely(off >= nvmux->window_size))
		return NULL;
	return nvmux->slot_mem[off >> NVMUX_SLOT_SHIFT];
}

/* ---- payloads and queue pairs (qpair.c) ---- */

/* A piece of a region. */
struct nvmux_seg {
	const struct nvmux_mem *mem;
	uint64_t offset;
	uint32_t len;
};

/* Data in one piece, as commands name it: maps[].base of its region + offset, and bytes. */
struct nvmux_plain {
	uint64_t addr;
	uint32_t len;
};

/* Eight bytes of a queue entry, in wire order, whatever they are declared as. */
typedef uint64_t __attribute__((may_alias)) nvmux_word;

/* The first of them: opcode, flags, command identifier (the low half of @cid) and namespace. */
static inline uint64_t nvmux_word0(uint8_t opc, uint8_t flags, uint32_t cid, uint32_t nsid)
{
	return htole64((uint64_t)nsid << 32 | cid << 16 | (uint32_t)flags << 8 | opc);
}

#define NVMUX_SEGS_MAX 64 /* pieces of one command */

/* In the flags of a command on its way to a transport, where it is not sent: how much data it moves
 * can't be told from its fields. The device must not find anything beyond its payload. */
#define NVMUX_CMD_OPAQUE 0x04

/*
 * What a command moves. n_data is 0 for a command without data; at most ctrlr->max_segs. Read
 * during submit() only: the segments may be on the caller's stack.
 */
struct nvmux_payload {
	const struct nvmux_seg *data;
	uint32_t n_data;
	uint32_t data_len;   /* the sum of the segments */
	struct nvmux_seg md; /* separate metadata; len 0: none */
};

/* Pages that @len bytes from @seg on lie in; all pieces together, where PRPs describe them. */
static inline uint64_t nvmux_num_pages(const struct nvmux_seg *seg, uint64_t len)
{
	return (seg->offset % NVMUX_PAGE_SIZE + len + NVMUX_PAGE_SIZE - 1) / NVMUX_PAGE_SIZE;
}

struct nvmux_slot {
	nvmux_cmd_cb cb; /* NULL: free */
	void *arg;
	union {
		struct {
			uint16_t cid;    /* of the command, or nvmux_cid_of_none() */
			uint8_t retries; /* times that it has been repeated for its status */
			uint8_t flags;   /* timeout.c */
		};
		uint32_t cid_and_rest;
	};
	uint32_t pad;  /* a slot is found by a shift; the two words beside it are stored apart */
	uint32_t tick; /* qpair->seen_tick when it was submitted: time-outs without a clock */
	uint32_t pad2;
};

enum nvmux_qpair_state {
	NVMUX_QPAIR_NEW,
	NVMUX_QPAIR_CONNECTING,
	NVMUX_QPAIR_CONNECTED,
	NVMUX_QPAIR_DISCONNECTING,
	NVMUX_QPAIR_DISCONNECTED,
	NVMUX_QPAIR_FAILED, /* the transport gave up on it; nothing reaches the device any more */

	/*
	 * Recovery of a lost connection (recover.c, replay.c). Written by the control thread (C) or
	 * by the thread that owns the queue pair (O), which does its part when it processes it.
	 *
	 * CONNECTED, HOLDING, … ─C→ QUIESCING ─O→ QUIET ─C→ REPLAY ─O→ HOLDING ─C→ RELEASE ─O→
	 * CONNECTED, or REPLAY ─O→ CONNECTED when nothing has to wait; QUIET ─C→ FAILING ─C→ REPLAY
	 * when the time for waiting is over before the connection is back.
	 */
	NVMUX_QPAIR_QUIESCING, /* the connection is lost: the owner is to stop using it */
	NVMUX_QPAIR_QUIET,     /* it has; the connection is the control thread's */
	NVMUX_QPAIR_FAILING,   /* the same, and the owner ends all commands with a path error */
	NVMUX_QPAIR_REPLAY,    /* connected anew: the owner repeats what may be repeated now */
	NVMUX_QPAIR_HOLDING,   /* works; the rest waits until the old controller has stopped */
	NVMUX_QPAIR_RELEASE,   /* it has: the owner repeats or ends the rest */
};

/* Why the usual path of a submission isn't enough: bits of nvmux_qpair.slow. */
enum nvmux_qpair_slow {
	NVMUX_SLOW_SPLITS = 1 << 0, /* large I/O waits for slots */
	NVMUX_SLOW_INJECT = 1 << 1, /* errors are injected */
	NVMUX_SLOW_FUSED = 1 << 2,  /* the first of two fused commands waits for its second */
	NVMUX_SLOW_HELD = 1 << 3,   /* commands wait to be repeated for their status */
};

/* How far the ladder of ladder.c has been climbed, for a queue pair or for its controller. */
struct ladder {
	uint8_t rung; /* enum ladder_rung: the last that was climbed */
	uint32_t at;  /* tick of that, or since when nothing has been overdue */
	bool clear;   /* nothing has been since */
};

struct nvmux_split;
struct nvmux_injections; /* inject.c */
struct nvmux_retry;      /* retry.c */
struct nvmux_qpair_free; /* qpair.c */
struct nvmux_replay;     /* replay.c */
struct nvmux_staged;     /* staging.c */
TAILQ_HEAD(nvmux_split_list, nvmux_split);

/*
 * The part of a queue pair that is the same for all transports; theirs embeds it first.
 *
 * A command's identifier is the index of its slot and, in the bits above, how often that has been
 * used: a completion that comes late, or twice, names a command that isn't there any more, also
 * when its slot is in use again. The more slots, the fewer bits are left for that.
 */
struct nvmux_qpair {
	const struct nvmux_transport *transport;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_slot *slots;       /* depth of them are used, there are cid_mask + 1 */
	struct nvmux_slot **free_slots; /* a stack, up to free_end */
	struct nvmux_slot **free_end;   /* read by the control thread, too */
	const uint8_t *window;          /* these three are the context's and the controller's */
	uint64_t n_slots;
	const struct nvmux_reach *reach;
	uint32_t seen_tick; /* atomic: ctrlr->tick at the last look for time-outs; the owner's */
	uint32_t depth;     /* commands in flight at most */
	uint16_t cid_mask; /* of an identifier: the index */
	uint16_t id;       /* 0: admin */
	union {
		struct {
			uint8_t state; /* enum nvmux_qpair_state */
			uint8_t slow;  /* enum nvmux_qpair_slow; the owner's */
		};
		uint16_t state_and_slow;
	};
	uint8_t qprio;     /* with weighted round robin: 0 urgent to 3 low */
	bool processing;   /* callbacks may be on the stack */
	bool live;         /* the controller may know its queues and use its memory */
	bool freeing;
	bool parked; /* disconnected by its owner, who connects it again; the control thread's */
	bool handed_over; /* another thread than the control thread polls it: written by the
			   * control thread while it owns it */
	struct nvmux_qpair_free *free_wanted;   /* freed within a callback */
	struct nvmux_split_list splits_waiting; /* split I/O with children still to be sent */
	struct nvmux_split *splits;
	struct nvmux_split *splits_free;
	uint64_t unknown_cids;               /* completions for commands that weren't in flight */
	struct nvmux_poll_group *group;      /* that it is polled with, or NULL */
	struct nvmux_replay *replay;         /* what waits to be repeated, or NULL */
	struct nvmux_injections *injections; /* NULL: none */
	struct nvmux_retry *retry;           /* NULL: the transport can't repeat */
	uint32_t overdue;     /* atomic: identifier + 1 of a command that is, at the last look for
			       * time-outs; or 0 */
	struct ladder ladder; /* these five: the control thread's */
	bool neglected;       /* its owner doesn't poll it, and that has been logged */
	bool neglect_told;    /* and the callback for time-outs has been called */
	bool reviving;        /* its queues are to be made anew */
	bool revive_step;     /* the transport does that: nobody else may disconnect it */
	struct nvmux_mem *staging;   /* staging.c: what commands carry that callers gave; or NULL */
	uint32_t staging_used;       /* a bit per page */
	struct nvmux_staged *staged; /* who waits for each page; or NULL */
	TAILQ_ENTRY(nvmux_qpair) link;
	TAILQ_ENTRY(nvmux_qpair) group_link;
};

/* Queue pairs that one thread polls together (poll_group.c). */
TAILQ_HEAD(nvmux_group_qpairs, nvmux_qpair);
struct nvmux_poll_group {
	struct nvmux *nvmux;
	int epoll_fd;
	/* The thread that processes it isn't the control thread: that one reaps no completions of
	 * the group, also not those of a queue pair that is being connected. */
	bool other_thread;
	bool processing; /* callbacks of its queue pairs may be on the stack */
	bool free_wanted;
	struct nvmux_group_qpairs qpairs; /* the control thread's */
	struct nvmux_poll_group_stats stats;
	void *transport_data[NVMUX_TRTYPE_COUNT];
};

/* Reap completions of the transports' shared completion queues, in the group's thread; the
 * callbacks of its queue pairs are called. For what isn't polled otherwise: queue pairs that are
 * being connected. */
void nvmux_poll_group_reap(struct nvmux_poll_group *group);
/* Arm these completion queues; as nvmux_poll_group_arm(), in the group's thread. */
int nvmux_poll_group_arm_shared(struct nvmux_poll_group *group);
void nvmux_poll_group_add(struct nvmux_poll_group *group, struct nvmux_qpair *qpair);
void nvmux_poll_group_remove(struct nvmux_qpair *qpair);
/* qpair.c: callbacks are off the stack: what they asked for can begin. */
void nvmux_qpair_group_processed(struct nvmux_poll_group *group);

int nvmux_qpair_init(struct nvmux_qpair *qpair, struct nvmux_ctrlr *ctrlr, uint16_t id,
		     uint32_t depth);
void nvmux_qpair_fini(struct nvmux_qpair *qpair);
/* All slots are free, of which @depth are used from now on: at most what it was made with. */
void nvmux_qpair_free_slots(struct nvmux_qpair *qpair, uint32_t depth);
/* Complete everything in flight with @status, in no particular order; the owner's thread. */
void nvmux_qpair_abort_all(struct nvmux_qpair *qpair, uint16_t status);
/* The same for all I/O queue pairs of a controller that reaches no memory. */
void nvmux_qpairs_abort(struct nvmux_ctrlr *ctrlr, uint16_t status);
/* Something of it is to be done, now or after some time, that no completion tells of: whoever polls
 * it mustn't sleep. The owner's thread. */
bool nvmux_qpair_needs_turns(const struct nvmux_qpair *qpair);

/* The state is written by the control thread and read by the queue pair's: a word on its own. */
static inline void nvmux_qpair_set_state(struct nvmux_qpair *qpair, enum nvmux_qpair_state state)
{
	__atomic_store_n(&qpair->state, (uint8_t)state, __ATOMIC_RELAXED);
}
static inline enum nvmux_qpair_state nvmux_qpair_get_state(const struct nvmux_qpair *qpair)
{
	return (enum nvmux_qpair_state)__atomic_load_n(&qpair->state, __ATOMIC_RELAXED);
}

/* Connected, and nothing out of the ordinary. The owner's thread. */
static inline bool nvmux_qpair_is_usual(const struct nvmux_qpair *qpair)
{
	static const union {
		uint8_t state_slow[2];
		uint16_t both;
	} usual = {.state_slow = {NVMUX_QPAIR_CONNECTED, 0}};

	return __atomic_load_n(&qpair->state_and_slow, __ATOMIC_RELAXED) == usual.both;
}

/* Commands that can be sent now. */
static inline uint32_t nvmux_qpair_n_free(const struct nvmux_qpair *qpair)
{
	return (uint32_t)(__atomic_load_n(&qpair->free_end, __ATOMIC_RELAXED) - qpair->free_slots);
}
/* Whether none can. The owner's thread. */
static inline bool nvmux_qpair_is_full(const struct nvmux_qpair *qpair)
{
	return qpair->free_end == qpair->free_slots;
}
static inline uint32_t nvmux_qpair_outstanding(const struct nvmux_qpair *qpair)
{
	return qpair->depth - nvmux_qpair_n_free(qpair);
}
/* The control thread has a look at it, too; no order is needed. */
static inline void nvmux_qpair_set_free(struct nvmux_qpair *qpair, struct nvmux_slot **free_end)
{
	__atomic_store_n(&qpair->free_end, free_end, __ATOMIC_RELAXED);
}

/* Quarters of a time-out so far. */
static inline uint32_t nvmux_ctrlr_tick(const struct nvmux_ctrlr *ctrlr);

#define NVMUX_CID_NONE 0xffffu /* an identifier that no command ever has */

/* In a slot, in place of an identifier: no completion has it, since its index isn't the slot's. */
static inline uint16_t nvmux_cid_of_none(uint16_t cid)
{
	return (uint16_t)(cid - 1);
}

/* The identifier of the command after the one with this, in the same slot: the same index, and one
 * more above it. */
static inline uint16_t nvmux_qpair_cid_after(uint32_t cid_mask, uint32_t cid)
{
	return (uint16_t)(cid + cid_mask + 1u);
}

/* For transports: the identifier that the next command has, of which the low bits are its slot's
 * index; the caller has seen that one is free. */
static inline uint16_t nvmux_qpair_next_cid(const struct nvmux_qpair *qpair)
{
	const struct nvmux_slot *slot = qpair->free_end[-1];

	return (uint16_t)(slot->cid + 1); /* a free slot has nvmux_cid_of_none() of it */
}

/* For transports: take that slot. The identifier. */
static inline uint32_t nvmux_qpair_take_slot(struct nvmux_qpair *qpair, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_slot **top = qpair->free_end - 1, *slot = *top;
	uint32_t cid = (uint16_t)(slot->cid + 1); /* as nvmux_qpair_next_cid() */

	nvmux_qpair_set_free(qpair, top);
	slot->cb = cb;
	slot->arg = arg;
	slot->tick = qpair->seen_tick; /* the next look makes up for what that is behind */
	slot->cid_and_rest = NVMUX_LITTLE_ENDIAN ? cid : cid << 16;
	return cid;
}

static inline uint16_t nvmux_qpair_take_cid(struct nvmux_qpair *qpair, nvmux_cmd_cb cb, void *arg)
{
	return (uint16_t)nvmux_qpair_take_slot(qpair, cb, arg);
}

/* What the device knows the command of a slot that is taken by, or knew it last. */
static inline uint16_t nvmux_qpair_cid(const struct nvmux_qpair *qpair, uint16_t index)
{
	uint16_t cid = qpair->slots[index].cid;

	return (uint16_t)((cid & qpair->cid_mask) == index ? cid : cid + 1);
}

/* For transports: a command is about to be sent once more. Completions of its last time don't end
 * it. */
static inline uint16_t nvmux_qpair_renew_cid(struct nvmux_qpair *qpair, uint16_t index)
{
	uint16_t cid = nvmux_qpair_cid_after(qpair->cid_mask, nvmux_qpair_cid(qpair, index));

	qpair->slots[index].cid = cid;
	return cid;
}

/* retry.c: keep a command that ended with an error in its slot, to be repeated. */
bool nvmux_qpair_retry(struct nvmux_qpair *qpair, uint16_t index, uint16_t status);

/* No completion ends the command in a slot any more: the device hasn't got it. */
static inline void nvmux_qpair_withdraw_cid(struct nvmux_qpair *qpair, uint16_t index)
{
	qpair->slots[index].cid = nvmux_cid_of_none(nvmux_qpair_cid(qpair, index));
}

/* The slot of the command with this identifier is free, then its callback is called. */
static inline void nvmux_qpair_give_back(struct nvmux_qpair *qpair, struct nvmux_slot *slot,
					 uint32_t cid, const struct nvmux_cpl *cpl)
{
	uint16_t next = nvmux_qpair_cid_after(qpair->cid_mask, cid);
	nvmux_cmd_cb cb = slot->cb;
	struct nvmux_slot **free_end = qpair->free_end;

	slot->cb = NULL;
	slot->cid = nvmux_cid_of_none(next);
	*free_end = slot;
	nvmux_qpair_set_free(qpair, free_end + 1);
	cb(slot->arg, cpl);
}

/*
 * For transports: deliver a completion. The identifier comes from the other side and is checked.
 * @status, without its phase bit, and the low half of @cid are those of @cpl. False: no such
 * command is in flight (counted; the transport decides how bad that is).
 */
static inline bool nvmux_qpair_complete_as(struct nvmux_qpair *qpair, uint32_t cid, uint16_t status,
					   const struct nvmux_cpl *cpl)
{
	size_t index = cid & (size_t)qpair->cid_mask;
	struct nvmux_slot *slot = &qpair->slots[index];

	if (unlikely(slot->cid != (uint16_t)cid)) {
		qpair->unknown_cids++;
		return false;
	}
	if (unlikely(status)) {
		slot->cid = nvmux_cid_of_none((uint16_t)cid);
		if (nvmux_qpair_retry(qpair, (uint16_t)index, status))
			return true;
	}
	nvmux_qpair_give_back(qpair, slot, cid, cpl);
	return true;
}

static inline bool nvmux_qpair_complete(struct nvmux_qpair *qpair, const struct nvmux_cpl *cpl)
{
	return nvmux_qpair_complete_as(qpair, le16_to_cpu(cpl->cid), le16_to_cpu(cpl->status) >> 1,
				       cpl);
}

/* qpair.c: end the command in a slot without a word from the device. */
void nvmux_qpair_end_cmd(struct nvmux_qpair *qpair, uint16_t index, uint16_t status);

/* ---- controllers (ctrlr.c, ctrlr_start.c, admin.c) and namespaces (ns.c) ---- */

struct nvmux_admin_req; /* admin.c */
struct nvmux_ns_scan;   /* ns.c */
struct nvmux_aer;       /* admin.c */
struct nvmux_recovery;  /* recover.c */
struct nvmux_timeouts;  /* timeout.c */
struct nvmux_revive;    /* revive.c */
struct replay_view;     /* replay.h */
struct nvmux_offers;    /* offers.c */
struct nvmux_ns_notice; /* events.c */
TAILQ_HEAD(nvmux_admin_list, nvmux_admin_req);
TAILQ_HEAD(nvmux_qpair_list, nvmux_qpair);

#define NVMUX_AER_MAX          4  /* asynchronous event requests kept outstanding */
#define NVMUX_AERS_KEPT        16 /* events that nobody has asked about yet */
#define NVMUX_ADMIN_RESERVED   8  /* admin slots kept for AER, abort, keep-alive, queue deletion */
#define NVMUX_ADMIN_POOL_PAGES 64 /* of 4 KiB: bounce buffers of admin commands */
#define NVMUX_ADMIN_BOUNCE_MAX (128u << 10)

/*
 * What the NVM command set's Identify Controller (CNS 06h) says of commands without data; 0: there
 * is no limit. The first three are powers of two, in units of 4 KiB.
 */
struct nvmux_nvm_limits {
	uint8_t verify;              /* VSL */
	uint8_t write_zeroes;        /* WZSL */
	uint8_t write_uncorrectable; /* WUSL */
	uint8_t dsm_ranges;          /* DMRL */
	uint32_t dsm_range_lbas;     /* DMRSL */
	uint64_t dsm_lbas;           /* DMSL */
};

struct nvmux_ns {
	/* what a read or write of the usual kind needs (rw.h) */
	struct nvmux_ctrlr *ctrlr;
	uint64_t n_lbas;
	uint64_t read_word0; /* nvmux_word0() of its commands, but for the identifier */
	uint64_t write_word0;
	uint32_t id;
	uint32_t plain_lbas; /* of one command, without metadata; 0: none is of the usual kind */
	uint32_t lba_bytes;  /* of a logical block's data, a power of two */
	uint64_t boundary;   /* in these bits a command's first and last block are the same; the
			      * highest is always one of them */
	uint8_t lba_shift;

	uint8_t csi;
	uint16_t md_size;
	bool md_interleaved;
	uint8_t pi_type; /* enum nvmux_pi_type */
	bool pi_first;   /* in the first 8 bytes of the metadata */
	bool active;
	bool has_uuid;
	bool has_nguid;
	uint32_t max_lbas;        /* of one command, at least 1 */
	uint32_t boundary_lbas;   /* optimal I/O boundary, 0: none */
	uint32_t max_copy;        /* MCL: blocks that one copy command writes, 0: it isn't said */
	uint16_t max_copy_range;  /* MSSRL: blocks of one of its ranges */
	uint16_t max_copy_ranges; /* MSRC + 1 */
	uint8_t uuid[16];
	uint8_t nguid[16];
	uint64_t known_lbas; /* n_lbas at the last look that found it; 0: none has */
	bool changed; /* at the last look it was another one, or of another format, than before */
	bool stale;   /* atomic; it is formatted otherwise than all this says, see ns.c */
	enum nvmux_ana_state ana_state;
	uint32_t ana_group;
	uint64_t zone_lbas; /* 0: not zoned */
	uint64_t n_zones;
	struct nvme_zns_id_ns *zns;      /* NULL: not zoned */
	struct nvme_zns_id_ns *zns_kept; /* its memory, once it was */
	struct nvme_id_ns data;
};

struct nvmux_ctrlr {
	struct nvmux *nvmux;
	const struct nvmux_transport *transport;
	struct nvmux_trid trid;
	struct nvmux_ctrlr_opts opts;
	uint16_t index; /* in nvmux->ctrlrs and nvmux_mem.maps */

	/* the I/O path's, together */
	uint32_t tick;             /* atomic; counts quarters of io_timeout_ms */
	struct nvmux_reach *reach; /* by the slots of the window */
	/* what follows changes with each admin command: in another line, however this lies */
	uint8_t apart[NVMUX_LINE];

	/* life cycle */
	uint8_t state; /* enum nvmux_ctrlr_state */
	bool failed;
	bool stepping;   /* the driving loop is on the stack */
	bool step_ready; /* the step of the current state has ended */
	bool stepped;    /* it has moved since somebody was told */
	uint32_t steps;  /* so far */
	int step_err;
	uint64_t step_value;
	uint16_t step_status;
	int result;    /* first error on the way */
	char why[256]; /* its text, until whoever waits is told: others may fail meanwhile */
	struct nvmux_timer step_timer; /* deadline of the state */
	struct nvmux_timer poll_timer; /* next look at CSTS */
	uint32_t poll_ms;              /* delay of the last look, grows */
	bool disconnecting;            /* on the way to DISABLED, not to READY */
	bool device_open;              /* the transport holds the device */
	struct nvmux_ns_scan *scan;    /* while namespaces are being identified */
	nvmux_done_fn goal_cb;         /* who waits for start, reset or shutdown */
	void *goal_arg;

	/* registers */
	uint64_t cap;
	uint32_t vs;
	uint32_t cc;
	uint32_t csts;
	uint32_t cmbsz; /* these three: 0 where there is none */
	uint32_t pmrcap;
	uint32_t bpinfo;
	uint8_t regs_read; /* of those three */

	/* what it said */
	struct nvme_id_ctrl id;
	uint32_t max_transfer; /* bytes of one command */
	uint32_t max_segs;     /* pieces of one command; set by the transport, at least 1 */
	bool sgl;              /* pieces may start and end anywhere (by SGLS); else PRP rules */
	struct nvmux_timeouts *timeouts; /* timeout.c */
	int reconnect_result;            /* of nvmux_ctrlr_reconnect_start(); -EAGAIN */
	struct nvmux_revive *revive;     /* revive.c; NULL: not under way */
	struct nvmux_timer revive_late;  /* looks for owners that come back too late for one */
	uint8_t resets_left; /* enum ctrlr_reset_kind: what to try when a step of a reset fails */
	uint8_t resetting;   /* the one that is under way, or 0 */
	struct replay_view *replay_view; /* of the last time */
	struct nvme_id_ctrl_nvm *nvm_id; /* while it is being read */
	struct nvmux_nvm_limits nvm;
	struct nvme_zns_id_ctrl *zns_id; /* NULL: it has no zoned namespace */
	uint32_t max_append;             /* bytes of one zone append */
	struct nvmux_offers *offers;     /* log pages, features, effects; or NULL */
	uint32_t max_io_qpairs;
	uint32_t max_queue_entries; /* CAP.MQES + 1 */
	uint32_t n_ns;
	struct nvmux_ns **ns; /* in the order of their ids, those that went included */

	/* admin queue */
	struct nvmux_qpair *adminq;
	struct nvmux_admin_list admin_waiting; /* no slot or no bounce buffer yet */
	struct nvmux_admin_list admin_sent;    /* in the order of sending */
	struct nvmux_timer admin_timer;        /* earliest deadline */
	struct nvmux_timer admin_kick;         /* rings the doorbell for what was submitted */
	bool admin_dirty;
	struct nvmux_mem *admin_pool;
	uint64_t admin_pool_used; /* a bit per page */
	struct nvmux_mem *hmb;    /* host memory buffer, with its list; or NULL */
	bool hmb_mapped;
	struct nvmux_aer *aers;
	nvmux_aer_cb aer_cb;
	void *aer_arg;
	bool takes_notices; /* the owner has ctrlr_aer_log() of reservations' events */
	bool aer_asked;     /* there has been a callback: none are kept any more */
	uint32_t n_aers_kept;
	struct nvmux_cpl aers_kept[NVMUX_AERS_KEPT]; /* until there is one */
	struct nvmux_ns_notice *ns_notice; /* changed namespaces are looked at anew; or NULL */

	/* I/O queue pairs */
	struct nvmux_qpair_list qpairs;
	uint32_t n_qpair_ops; /* queue pairs being made or freed */
	uint8_t *qids_used;   /* a byte per queue identifier, 1 … max_io_qpairs */

	/* the connection of a fabrics controller (recover.c) */
	struct nvmux_recovery *recovery; /* NULL: it has none to lose */
	uint32_t in_capsule;             /* bytes of data that a command capsule may hold */
	bool discovery;
	bool rescanning;     /* its namespaces are looked at while it stays usable */
	bool scan_by_notice; /* and nobody has asked for that */
	uint8_t *ana_log;    /* while it is being read; one reader at a time */
	uint32_t ana_log_size;
	bool ana_again;        /* it has changed meanwhile */
	bool ana_step;         /* the state machine reads it */
	char reset_reason[96]; /* of the last reset for which nobody asked */
	nvmux_ctrlr_event_cb event_cb;
	void *event_arg;
	/* Tell the thread that owns an I/O queue pair that its state has changed, so that it
	 * processes it soon; NULL: it polls anyway. */
	void (*attention)(void *arg, struct nvmux_qpair *qpair);
	void *attention_arg;

	nvmux_remove_cb remove_cb;
	void *remove_arg;
	bool attached;    /* its owner knows it */
	bool wanted_back; /* the transport was asked to give the device back (removal.c) */
	bool gone;        /* atomic; lost for good because the device isn't there: -ENODEV */
	struct nvmux_timer removal_timer;
	bool detaching;
	nvmux_ctrlr_cb detach_cb;
	void *detach_arg;
	void *user; /* the daemon's own */
};

static inline uint32_t nvmux_ctrlr_tick(const struct nvmux_ctrlr *ctrlr)
{
	return __atomic_load_n(&ctrlr->tick, __ATOMIC_RELAXED);
}

static inline bool nvmux_mem_is_mapped(const struct nvmux_mem *mem, const struct nvmux_ctrlr *ctrlr)
{
	return __atomic_load_n(&mem->maps[ctrlr->index].mapped, __ATOMIC_RELAXED);
}

/* Like nvmux_ctrlr_cmd_admin_raw() without its refusals, for libcore, transports and the daemon. */
int nvmux_ctrlr_admin(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf,
		      uint32_t len, nvmux_cmd_cb cb, void *arg);
/* The same with data in a region that is mapped for the controller. */
int nvmux_ctrlr_admin_seg(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd,
			  const struct nvmux_seg *seg, nvmux_cmd_cb cb, void *arg);
/* End the start that nvmux_connect_async() began with this callback argument, if it is still under
 * way: its callback gets @err, perhaps from within. */
void nvmux_connect_cancel(struct nvmux *nvmux, const void *arg, int err);
/* Detach what is in this place of nvmux->ctrlrs, or end its start; blocks. */
void nvmux_ctrlr_end(struct nvmux *nvmux, unsigned index);
/* What whoever uses a controller gets after its loss. */
static inline int nvmux_ctrlr_loss(const struct nvmux_ctrlr *ctrlr)
{
	return __atomic_load_n(&ctrlr->gone, __ATOMIC_RELAXED) ? -ENODEV : -ENXIO;
}
/* The transport was asked to give the device back: its owner is told, and lets go of it within
 * removal_timeout_ms; after that, or if that is 0, it is lost. May free the controller. */
void nvmux_ctrlr_wanted_back(struct nvmux_ctrlr *ctrlr);
/* The transport lost the device: fail the controller, complete everything, tell its owner. */
void nvmux_ctrlr_lost(struct nvmux_ctrlr *ctrlr, int err);
/*
 * The connection of a fabrics controller is lost or of no use any more; the reason is the error
 * text. Attempts to connect again begin, as the options have it; otherwise as nvmux_ctrlr_lost().
 * Control thread; may free the controller.
 */
void nvmux_ctrlr_link_lost(struct nvmux_ctrlr *ctrlr, int err);
/*
 * Disable a fabrics controller, if it still answers, and connect anew, as after a loss. @done: 0
 * when it is ready again, or the first failure on the way there (others attempts follow).
 */
void nvmux_ctrlr_renew_async(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
/*
 * Look at the namespaces anew, without a reset. A fabrics controller's data is described by keys
 * that carry a length, so that I/O may go on: an old geometry does no harm to memory. Elsewhere the
 * caller sees to it that no I/O goes on where the format may have changed.
 */
void nvmux_ctrlr_rescan_async(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);

/*
 * Complete those commands of a queue pair that @match picks, by their callback and its argument,
 * and forget to repeat them; what is with the controller isn't touched. For the owner of a queue
 * pair, while nothing (QUIET, FAILING, REPLAY) or not everything (HOLDING) of it is. Return: how
 * many.
 */
uint32_t nvmux_qpair_drop(struct nvmux_qpair *qpair,
			  bool (*match)(void *arg, nvmux_cmd_cb cb, void *cb_arg), void *arg,
			  uint16_t status);

/* host.c: fill the host's NQN and identifier of @opts where they aren't given; -EINVAL: that which
 * is given, or what the host's files say, can't be. */
int nvmux_host_identity(struct nvmux *nvmux, struct nvmux_ctrlr_opts *opts);

/* ana.c. The log page fits: its groups become the states of the namespaces. */
int nvmux_ana_take_log(struct nvmux_ctrlr *ctrlr, const uint8_t *log, size_t size);
/* Whether the controller reports asymmetric namespace access (CMIC, section 5.17.2.1). */
bool nvmux_ana_supported(const struct nvmux_ctrlr *ctrlr);
/* Bytes of its log page without the list of namespaces (RGO=1), at most 64 KiB. */
uint32_t nvmux_ana_log_size(const struct nvmux_ctrlr *ctrlr);

/*
 * Reset in the steps that a daemon needs, whose queue pairs belong to other threads.
 * disconnect: disable the controller; no DMA comes from it afterwards. Then the owner of each
 * queue pair calls nvmux_qpair_abort_all(). reconnect: start it again. Then each queue pair is
 * connected again with nvmux_qpair_connect_async().
 */
void nvmux_ctrlr_disconnect_async(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
void nvmux_ctrlr_reconnect_async(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
void nvmux_qpair_connect_async(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);

#endif
