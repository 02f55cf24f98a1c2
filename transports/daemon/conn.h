/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection to a daemon, and what the files of this transport share.
 *
 * Everything here belongs to the control thread of the context.
 */
#ifndef NVMUX_DAEMON_CONN_H
#define NVMUX_DAEMON_CONN_H

#include "rpc/client.h"
#include "transports/daemon/daemon_transport.h"

struct daemon_op;
struct daemon_ctrlr;
TAILQ_HEAD(daemon_op_list, daemon_op);
TAILQ_HEAD(daemon_ctrlr_list, daemon_ctrlr);

/*
 * One connection per context and socket path (and one more when a controller is attached a second
 * time: a session opens it once). Counted by its controllers and by operations without one.
 */
struct daemon_conn {
	TAILQ_ENTRY(daemon_conn) link; /* of the context, until it is lost */
	struct nvmux *nvmux;
	char path[NVMUX_TRADDR_MAX];
	struct rpc_client *client;
	struct nvmux_watch watch;
	bool watches_write;
	unsigned refs;
	int err; /* lost since */
	struct daemon_ctrlr_list ctrlrs;
	struct daemon_op_list ops; /* those that somebody waits for */
};

struct daemon_ctrlr {
	struct nvmux_ctrlr base;
	TAILQ_ENTRY(daemon_ctrlr) link; /* of the connection */
	struct daemon_conn *conn;       /* NULL: not opened, or closed */
	bool opened;                    /* the daemon knows that we use it */
	bool lost;
	bool freed;     /* by libcore; goes when users is 0 */
	unsigned users; /* functions on the stack that use it across callbacks */
	uint64_t cap;
	uint32_t vs;
	uint32_t cc;
	uint32_t csts;
	struct ring_client admin_ring; /* until the admin queue takes it over */
	struct nvmux_watch wake_watch;
	struct nvmux_timer wake_timer;
	nvmux_done_fn close_done;
	void *close_arg;
};

struct daemon_qpair {
	struct ring_qpair rq;
	uint32_t id;    /* in the session */
	bool allocated; /* the daemon still has it */
};

static inline struct daemon_ctrlr *daemon_ctrlr(struct nvmux_ctrlr *ctrlr)
{
	return (struct daemon_ctrlr *)ctrlr;
}

/*
 * Find or make the connection to the daemon at @path (empty: the system's) for a controller of this
 * name; NULL: any. A new reference.
 */
int daemon_conn_get(struct nvmux *nvmux, const char *path, const char *ctrlr_name,
		    struct daemon_conn **ret);
void daemon_conn_put(struct daemon_conn *conn);
/* The context ends, its controllers have gone: so do operations without one. */
void daemon_context_end(struct nvmux *nvmux);
static inline struct daemon_conn *daemon_conn_ref(struct daemon_conn *conn)
{
	conn->refs++;
	return conn;
}

/*
 * An operation: one call to the daemon on behalf of libcore.
 *
 * answer: judge the result and take what it brings (descriptors too); 0 or a negative errno value
 *	with an error text. NULL: any result will do.
 * late: the answer was a success, but nobody waits any more: undo it. @op has @conn only.
 */
struct daemon_op {
	TAILQ_ENTRY(daemon_op) link;
	struct daemon_conn *conn;
	struct daemon_ctrlr *ctrlr; /* NULL: of no controller */
	const char *method;
	int (*answer)(struct daemon_op *op, struct rpc_response *response, uint64_t *ret_value);
	void (*late)(struct daemon_op *op, struct rpc_response *response);
	nvmux_done_fn done;
	void *arg;
	struct nvmux_timer timer;
	bool ended; /* nobody waits */
	union {     /* what the answer is about */
		struct nvmux_mem *mem;
		struct daemon_qpair *qpair;
		struct {
			size_t size;
			uint32_t flags;
		} alloc;
		uint16_t qid;
	};
};

/* NULL: no memory; @done has been called with -ENOMEM then. */
struct daemon_op *daemon_op_new(struct daemon_conn *conn, struct daemon_ctrlr *ctrlr,
				const char *method, nvmux_done_fn done, void *arg);
/* Send it; @params is stolen. @timeout_ms 0: none. It may end within this call. */
void daemon_op_send(struct daemon_op *op, json_t *params, uint32_t timeout_ms);
/* End it now; its answer, if it still comes, is left to late(). */
void daemon_op_end(struct daemon_op *op, int err, uint64_t value);
/* Tell the daemon something and don't wait; @params is stolen. */
void daemon_tell(struct daemon_conn *conn, const char *method, json_t *params);

/* An integer member of an answer, within limits: 0 or -EPROTO with an error text. */
int daemon_get_uint(struct daemon_op *op, const json_t *result, const char *name, uint64_t min,
		    uint64_t max, uint64_t *ret);
/* The same for a register, "0x…". */
int daemon_get_reg(struct daemon_op *op, const json_t *result, const char *name, uint64_t max,
		   uint64_t *ret);
/* Whether it brought @n descriptors: 0 or -EPROTO with an error text. */
int daemon_check_fds(struct daemon_op *op, const struct rpc_response *response, unsigned n);

/* events.c: an event of an open controller; events of the connection were dropped */
void daemon_ctrlr_event(struct daemon_ctrlr *dc, const char *type, const json_t *params);
void daemon_conn_events_lost(struct daemon_conn *conn);

/* memory.c */
void daemon_mem_alloc(struct nvmux_ctrlr *ctrlr, size_t size, uint32_t flags, nvmux_done_fn done,
		      void *arg);
void daemon_mem_free(struct nvmux_mem *mem, nvmux_done_fn done, void *arg);
void daemon_mem_map(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
		    void *arg);
void daemon_mem_unmap(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
		      void *arg);
/* A controller was opened: all regions of its connection are mapped for it. */
void daemon_mem_ctrlr_opened(struct daemon_ctrlr *dc);
/* A controller closes: whoever waits for a region to be freed need not, its own buffers go. */
void daemon_mem_ctrlr_closes(struct daemon_ctrlr *dc);
/* The connection goes: its regions belong to nobody any more. */
void daemon_mem_conn_gone(struct daemon_conn *conn);

/* queue.c */
void daemon_qpair_create(struct nvmux_ctrlr *ctrlr, uint16_t qid, uint32_t entries,
			 struct nvmux_poll_group *group, nvmux_done_fn done, void *arg);
void daemon_qpair_destroy(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
void daemon_qpair_connect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
void daemon_qpair_disconnect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
int daemon_qpair_get_fd(const struct nvmux_qpair *qpair);
int daemon_qpair_arm(struct nvmux_qpair *qpair);
/* Stop waiting on the admin ring. */
void daemon_adminq_unwatch(struct daemon_ctrlr *dc);

/* transport.c: functions on the stack that use a controller across callbacks */
void daemon_ctrlr_hold(struct daemon_ctrlr *dc);
void daemon_ctrlr_release(struct daemon_ctrlr *dc);

#endif
