/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The objects of the data plane, for its own files. Each structure is in parts: what the reactor's
 * thread owns, what the control thread owns, and counters that the one stores and the other loads.
 */
#ifndef NVMUXD_DATA_H
#define NVMUXD_DATA_H

#include <pthread.h>
#include <sys/queue.h>
#include "daemon/msgq.h"
#include "daemon/reactor.h"
#include "daemon/ring_server.h"
#include "libcore/transport.h"

#define CHANNEL_WEIGHT_MIN  2u /* commands per turn by default */
#define CHANNEL_WEIGHT_MAX  32u
#define CHANNEL_REGIONS_MAX 65534u /* of numbers that stand for a region */
#define CHANNEL_NO_REGION   0xffffu
#define CHANNEL_LIST        0xfffeu /* a scatter list: any region that there was at its check */
#define REACTOR_IDLE_TURNS  1024u   /* without work until a channel is parked, by default */
#define REACTOR_LOOKS       8u      /* at the rings alone, between two turns without work */
#define REACTOR_RESTING     16u     /* idle channels that a busy reactor doesn't park */
#define REACTOR_DOZE_TURNS  16u     /* idle ones between two looks at the clock */
#define REACTOR_DOZE_NS     50000u  /* idle for so long, where completions can wake it: doze */
#define REACTOR_STATS_TURNS 64u     /* between two looks of others at the counters */
#define REACTOR_EPOLL_TURNS 128u    /* between two looks at sockets and the poll group */
#define REACTOR_EVENTS      64      /* handled with one look */
#define REACTOR_FLUSH_MS    1       /* sleeping while the control thread's queue is full */

enum message_kind {
	MSG_EXIT,
	MSG_HWQ_TAKE_BACK,
	MSG_HWQ_HOLD,
	MSG_HWQ_STOP_HOLDING,
	MSG_HWQ_RELEASE,
	MSG_HWQ_GO,
	MSG_HWQ_ABORT,
	MSG_HWQ_DESTROY,
	MSG_HWQ_REQUEST,
	MSG_HWQ_ABANDON,
	MSG_HWQ_LOOK,   /* embedded in its hardware queue */
	MSG_HWQ_FAILED, /* the same; to the control thread only */
	MSG_CHANNEL_START,
	MSG_CHANNEL_STOP,
	MSG_CHANNEL_ABANDON,
	MSG_CHANNEL_SET_REGION,
	MSG_CHANNEL_DROP_REGION,
	MSG_CHANNEL_SET_VIEW,
	MSG_CHANNEL_SET_STATE,
};

/*
 * One message. The control thread allocates it and sends it; the reactor does what it says and,
 * then or later, sends the same message back; the control thread calls its callback and frees it.
 */
struct message {
	struct msg link;
	TAILQ_ENTRY(message) waiting; /* reactor: what can't be done yet, or a request in flight */
	enum message_kind kind;
	struct hwq *hwq;
	struct channel *channel;
	reactor_cb cb;
	void *arg;
	union {
		struct {
			uint32_t number;
			struct region_view view;
			uint64_t scanned; /* completions of the channel at the last scan */
			uint32_t drops;   /* of the channel, this one included */
		} region;
		struct ctrlr_view *view;
		uint32_t state;
		uint16_t status;
		bool changed; /* namespaces or limits */
		const void *owner;
		struct {
			struct nvmux_cmd cmd;
			const struct nvmux_payload *payload;
			const void *owner;
			bool abandoned;
			nvmux_cmd_cb cb;
			struct nvmux_cpl cpl;
		} request;
	};
};
TAILQ_HEAD(message_list, message);

/* What a client's command in flight needs at its completion. */
struct channel_slot {
	struct channel *channel;
	uint32_t bytes;
	uint16_t cid;       /* the client's */
	uint16_t region;    /* of the data; CHANNEL_NO_REGION: none */
	uint16_t md_region; /* of the metadata */
	uint8_t writes;     /* direction of @bytes */
	uint8_t rsvd[5];
	uint32_t drops; /* with CHANNEL_LIST: of the channel, when it was checked */
	uint8_t rsvd28[4];
};
NVMUX_STATIC_ASSERT(sizeof(struct channel_slot) == 32, "two in a cache line");

enum channel_where {
	CHANNEL_OFF,     /* not with a reactor, or stopping */
	CHANNEL_POLLED,  /* in the ring of its hardware queue */
	CHANNEL_RESTING, /* a busy reactor looks at one of these in each turn */
	CHANNEL_PARKED,  /* waits for a byte from its client */
};

struct channel {
	/* the reactor's, in the order of their use for each command */
	struct ring_server ring;
	struct channel_slot *slots;
	struct channel_slot **free_slots; /* a stack of n_free */
	uint32_t n_free;
	uint32_t depth;
	uint32_t has_first; /* 1: @first waits for the entry after it */
	const struct ctrlr_view *view;
	const struct ns_view *ns; /* of it, that was used last; or none */
	struct region_view *regions;
	uint32_t n_regions;
	uint32_t weight;
	uint64_t bytes[2]; /* read, written */
	uint64_t refused;
	struct hwq *hwq;
	struct channel *polled_next, *polled_prev; /* polled channels of a hwq, or resting ones */
	struct channel *batch_next;
	struct channel *park_next;
	bool in_batch;    /* something to publish in this turn */
	bool watched;     /* its socket is in the reactor's epoll set */
	bool client_gone; /* the other end of the socket pair is closed */
	bool abandoned;   /* what a lost connection holds up isn't repeated */
	uint8_t where;    /* enum channel_where */
	uint32_t idle_turns;
	uint64_t cq_notified; /* cq_tail when the client was last looked after */
	uint32_t ring_state;  /* enum nvmux_ring_state, as in the header */
	uint32_t generation;
	uint32_t drops;              /* regions forgotten since the beginning */
	struct nvmux_ring_cmd first; /* of two fused commands; a private copy */
	TAILQ_ENTRY(channel) link;   /* hwq->channels */

	/* stored by the reactor, loaded by the control thread */
	_Alignas(64) struct channel_stats stats;

	/* the control thread's */
	_Alignas(64) struct hwq *ctl_hwq; /* NULL: not started, or stopped */
	struct reactor *ctl_reactor;      /* of the last start */
	uint32_t ctl_messages;            /* sent and not back yet */
	bool ctl_stopping;
	bool ctl_destroyed;
};
TAILQ_HEAD(channel_list, channel);

enum hwq_state {
	HWQ_RUNNING,
	HWQ_PAUSED,    /* held, or its connection is lost: nothing is submitted */
	HWQ_REFUSING,  /* the same, for so long that commands are refused */
	HWQ_QUIESCING, /* asked back: polled until the transport is through with it */
	HWQ_TAKEN,     /* with the control thread; never active from here on */
	HWQ_FAILED,
};

enum hwq_ctl_state {
	HWQ_GIVEN, /* to the reactor */
	HWQ_TAKING,
	HWQ_BACK,
	HWQ_DESTROYED,
};

struct hwq {
	/* the reactor's */
	struct nvmux_qpair *qpair;
	struct reactor *reactor;
	struct channel *polled; /* the channel to serve next; a ring */
	uint32_t n_polled;
	uint8_t state;      /* enum hwq_state */
	bool active;        /* in reactor->active */
	bool dirty;         /* failed: the device may still write to memory */
	bool held;          /* nothing more is taken from channels */
	bool go;            /* its queues were stopped: it may leave NVMUX_QPAIR_REPLAY, once */
	bool marked;        /* some commands may be abandoned */
	uint8_t dropped_in; /* enum nvmux_qpair_state: where these were looked for last */
	uint32_t n_channels;
	uint32_t share;               /* commands that each polled one may have in flight */
	struct message_list requests; /* to be sent */
	struct message_list sent;     /* requests in flight */
	struct message *taking;       /* to be answered */
	struct message *holding;      /* to be answered when nothing is in flight */
	struct channel_list channels; /* all that are bound to it */
	TAILQ_ENTRY(hwq) link;        /* reactor->active */
	struct message failed;

	/* the control thread's */
	_Alignas(64) uint32_t ctl_channels;
	uint8_t ctl_state;   /* enum hwq_ctl_state */
	bool ctl_looking;    /* @look is under way */
	bool ctl_look_again; /* when it is back */
	struct message look;
};
TAILQ_HEAD(hwq_list, hwq);

struct reactor {
	/* the reactor's */
	struct hwq_list active;
	struct message_list waiting; /* stops and drops that wait for completions */
	struct channel *batch;       /* channels with something to publish */
	struct channel *parking;     /* candidates of this turn */
	struct channel *resting;     /* the one to look at next; a ring */
	uint32_t n_resting;
	uint32_t n_polled;
	uint32_t n_parked;
	uint32_t epoll_countdown;
	uint32_t idle_turns; /* until a channel is parked */
	uint64_t loops, idle_loops, sleeps, commands, completions;
	bool busy;
	bool exit;
	bool replied;         /* in this turn */
	bool group_ready;     /* its descriptor was readable */
	uint32_t idle_streak; /* turns without work, one after the other */
	uint64_t idle_since_ns;
	struct nvmux_poll_group *group;
	int epoll_fd;
	int wake_fd;  /* eventfd: the control thread wakes the reactor */
	int reply_fd; /* eventfd: the reactor wakes the control thread */

	/* stored by the reactor, loaded by the control thread */
	_Alignas(64) struct reactor_stats stats;
	_Alignas(64) uint32_t asleep;

	struct msgq to_reactor;
	struct msgq to_control;

	/* stored by the control thread, loaded by the reactor */
	_Alignas(64) uint32_t group_used;

	/* the control thread's */
	_Alignas(64) pthread_t thread;
	void (*hwq_failed)(void *arg, struct hwq *hwq);
	void *hwq_failed_arg;
	uint32_t ctl_hwqs;
	uint32_t ctl_channels;
	bool ended; /* reactor_end() */
};

/* What a reactor writes for each command or in each turn is in lines that no other thread writes,
 * nor reads but when somebody asks; and what it reads there is written rarely. */
#define BEFORE(type, member, next)                                     \
	NVMUX_STATIC_ASSERT(offsetof(type, member) / NVMUX_LINE <      \
				    offsetof(type, next) / NVMUX_LINE, \
			    "not in one line")
BEFORE(struct channel, link, stats);
BEFORE(struct channel, stats, ctl_hwq);
BEFORE(struct hwq, failed, ctl_channels);
BEFORE(struct reactor, reply_fd, stats);
BEFORE(struct reactor, stats, asleep);
BEFORE(struct reactor, asleep, to_reactor);
BEFORE(struct reactor, to_reactor, to_control);
BEFORE(struct reactor, to_control.slots[MSGQ_ENTRIES - 1], group_used);
BEFORE(struct reactor, group_used, thread);
BEFORE(struct msgq, head, tail);
BEFORE(struct msgq, tail, overflow);
BEFORE(struct msgq, overflow_end, slots);
#undef BEFORE

/* A counter of the reactor's that the control thread reads. */
#define stat_set(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define stat_get(p)    __atomic_load_n((p), __ATOMIC_RELAXED)

/* ---- reactor.c ---- */

/* Control thread: allocate and send a message. */
struct message *message_new(enum message_kind kind, reactor_cb cb, void *arg);
void reactor_send(struct reactor *r, struct message *msg);
/* Reactor: send a message back, done. */
void reactor_reply(struct reactor *r, struct message *msg);
/* Reactor: look at a stop or drop again in later turns. */
void reactor_wait(struct reactor *r, struct message *msg);
/* Reactor: a hardware queue may have work. */
void reactor_activate(struct reactor *r, struct hwq *hwq);

/* ---- hwq.c ---- */

/* Reactor: one turn for a hardware queue. Return: commands and completions handled. */
uint32_t hwq_poll(struct reactor *r, struct hwq *hwq);
void hwq_handle(struct reactor *r, struct message *msg);
/* Control thread: a message has come back. */
void hwq_replied(struct message *msg);
/* Reactor: bind a channel to it, or end that. */
void hwq_bind(struct hwq *hwq, struct channel *channel);
void hwq_unbind(struct hwq *hwq, struct channel *channel);
/* Reactor: put a channel into the ring of those that are polled, or take it out. */
void hwq_add_polled(struct hwq *hwq, struct channel *channel);
void hwq_remove_polled(struct hwq *hwq, struct channel *channel);

/* Reactor, for hwq_link.c: */

/* A turn of one that works. */
uint32_t hwq_turn(struct reactor *r, struct hwq *hwq);
void hwq_deactivate(struct reactor *r, struct hwq *hwq);
void hwq_show_state(struct hwq *hwq, uint32_t state);
/* Held: answer that if nothing is in flight, or (@anyway) all the same. */
void hwq_answer_hold(struct reactor *r, struct hwq *hwq, bool anyway);
/* The transport gave up on it, and everything has been completed with an error. */
void hwq_fail(struct reactor *r, struct hwq *hwq);
/* The completion of a request. */
void hwq_request_done(void *arg, const struct nvmux_cpl *cpl);
/* The second of two fused commands couldn't be sent: what the first waits for instead of it. */
void hwq_end_lone_first(struct hwq *hwq, const struct nvmux_cmd *first);
/* With whose completion nothing is done. */
void hwq_ignored(void *arg, const struct nvmux_cpl *cpl);
/* Send those that wait, as many as there is room for. Return: how many. */
uint32_t hwq_send_requests(struct hwq *hwq);
/* End the requests that wait to be sent; @owner NULL: of all. Return: how many. */
uint32_t hwq_fail_requests(struct hwq *hwq, const void *owner, uint16_t status);

/* ---- hwq_link.c: the reactor's part of losing and restoring a connection ---- */

/* A turn of one that is being taken back, is held, or whose queue pair isn't just connected. */
uint32_t hwq_link_turn(struct reactor *r, struct hwq *hwq);
/* It has a connection, which ends when it is taken back. */
static inline bool hwq_has_link(const struct hwq *hwq)
{
	return hwq->qpair->transport->quiesce;
}
/* Its queues are there again, and what to check by is known. */
void hwq_link_go(struct reactor *r, struct hwq *hwq, bool changed);
/* Abandon requests, or (@owner NULL) look for commands of abandoned channels. */
void hwq_link_abandon(struct reactor *r, struct hwq *hwq, const void *owner);

/* ---- channel.c: the control thread's half ---- */

void channel_replied(struct message *msg);

/* ---- channel_io.c: the reactor's half ---- */

void channel_handle(struct reactor *r, struct message *msg);
/* A stop or drop that waits: true when it is done now. */
bool channel_finish(struct message *msg);
/* Take commands, at most @max. */
uint32_t channel_poll(struct reactor *r, struct channel *channel, uint32_t max);
/* Whether two fused commands are there and need two places in the hardware queue. */
static inline bool channel_wants_pair(const struct channel *channel)
{
	uint64_t first;

	return channel->has_first && ring_server_ready(&channel->ring, &first);
}
/* Take commands, at most its weight, and complete them with @status, unless the check has found
 * something worse. */
uint32_t channel_refuse(struct reactor *r, struct channel *channel, uint16_t status);
/* Whether a command, by the argument of its completion callback, is of an abandoned channel. */
bool channel_is_abandoned(const void *cb_arg);
/* Publish what the turn has done for the channels: counters, indices, wake-ups. */
void channels_publish(struct reactor *r);
/* Let the channels of a hardware queue be parked in this turn. False: one of them can't be. */
bool channels_want_park(struct reactor *r, const struct hwq *hwq);
/* Park the channels that have been idle for long; a busy reactor only where there are many. */
void channels_park(struct reactor *r);
/* Whether a polled channel of it has a command. */
bool channels_ready(const struct hwq *hwq);
/* Look at one of those that rest. */
void channels_look(struct reactor *r);
/* A parked channel's socket is readable. */
void channel_wake(struct reactor *r, struct channel *channel);
/* Write the ring's state, and wake the client. */
void channel_show_state(struct channel *channel, uint32_t state);
/* What the ring's header shows of a view. */
static inline void channel_limits(const struct ctrlr_view *view, struct ring_limits *ret)
{
	*ret = (struct ring_limits){
		.max_transfer = view->max_transfer, .max_segs = view->max_segs, .sgl = view->sgl};
}
/* Change regions, view or state; by the thread that the channel is with. */
void channel_apply(struct channel *channel, struct message *msg);

#endif
