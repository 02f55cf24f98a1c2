/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network of RDMA devices in this process: the functions of libibverbs and librdmacm that the
 * RDMA transport uses, replaced when a test is linked.
 *
 * It is as strict as hardware may be, and stricter: keys and bounds of each access, work requests
 * against what the queue pair was made for, room in completion queues, the order in which objects
 * go, events acknowledged. A SEND has its entry of the send queue, and what it sends must be there
 * unchanged, until a completion of it or of a later one has been polled. Each offence is a
 * violation with a text; fake_verbs_end() fails the test when there was one, or when anything is
 * left.
 *
 * Everything is under one lock and happens within the call that causes it, unless told otherwise,
 * so that tests are deterministic. What is delayed by milliseconds is done by a thread of its own.
 */
#ifndef TEST_FAKE_VERBS_H
#define TEST_FAKE_VERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

/* Before and after each test. */
void fake_verbs_begin(void);
void fake_verbs_end(void);
/* Around whatever touches the fake or a target while another thread runs; may be nested. */
void fake_lock(void);
void fake_unlock(void);
/* Record an offence of the driver against the interface. */
__attribute__((format(printf, 1, 2))) void fake_violation(const char *fmt, ...);
/* How many there were so far; and forget them, in tests of the fake itself. */
unsigned fake_violations(void);
void fake_forgive(void);
uint64_t fake_now_ms(void);
/* Call @fn in @ms milliseconds, under the lock, in the fake's own thread; again: once more. */
void fake_later(uint32_t ms, void (*fn)(void *arg), void *arg);
/* Forget calls of this kind with @arg. */
void fake_not_later(void (*fn)(void *arg), void *arg);

/* ---- devices ---- */

struct fake_device;

/* A device with one address; it reaches everybody whose address begins like it: up to the last dot
 * of IPv4, up to the double colon of IPv6. */
struct fake_device *fake_device_add(const char *name, const char *addr);
struct ibv_device_attr *fake_device_attr(struct fake_device *dev);
/* It is pulled out. @flush: posted work completes with errors; otherwise nothing comes any more. */
void fake_device_remove(struct fake_device *dev, bool flush);

/* ---- faults ---- */

enum fake_call {
	FAKE_CREATE_EVENT_CHANNEL,
	FAKE_CREATE_ID,
	FAKE_BIND_ADDR,
	FAKE_RESOLVE_ADDR,
	FAKE_RESOLVE_ROUTE,
	FAKE_CREATE_QP,
	FAKE_CONNECT,
	FAKE_QUERY_DEVICE,
	FAKE_ALLOC_PD,
	FAKE_REG_MR,
	FAKE_CREATE_CHANNEL,
	FAKE_CREATE_CQ,
	FAKE_RESIZE_CQ,
	FAKE_REQ_NOTIFY,
	FAKE_POST_SEND,
	FAKE_POST_RECV,
	FAKE_CALLS,
};

/* The @nth call of a kind from now on (1: the next) fails with @err. */
void fake_fail(enum fake_call call, unsigned nth, int err);
/* The @nth call of any kind fails, with an error that suits it; 0: none. */
void fake_fail_any(unsigned nth);
/* Whether that has happened. */
bool fake_failed(void);
/* Calls of a kind so far. */
unsigned fake_calls(enum fake_call call);

enum fake_cm_step {
	FAKE_CM_ADDR,
	FAKE_CM_ROUTE,
	FAKE_CM_CONNECT,
	FAKE_CM_STEPS,
};

enum fake_cm_kind {
	FAKE_CM_OK,
	FAKE_CM_ERROR,  /* ADDR_ERROR, ROUTE_ERROR, CONNECT_ERROR with the status */
	FAKE_CM_SILENT, /* no event ever */
	FAKE_CM_UNREACHABLE,
	FAKE_CM_REJECT, /* by the connection manager, with the status as its reason */
};

/* What the next @times steps of this kind lead to. */
void fake_cm_fault(enum fake_cm_step step, enum fake_cm_kind kind, int status, unsigned times);

/* Behaviour; set under the lock. */
struct fake_net {
	/* Completion of a SEND and of the RECV that answers it. */
	enum {
		FAKE_SEND_FIRST,
		FAKE_RECV_FIRST,
		FAKE_SEND_LATE, /* the SEND's comes only with a later poll */
		FAKE_RANDOM,    /* any of these */
	} order;
	bool exact_private_data; /* of the peer's length, not padded as InfiniBand does */
	bool resize_unsupported;
	bool hold_flush;        /* work of a queue pair in error completes at fake_flush() only */
	bool quiet_flush;       /* SENDs that didn't ask for a completion have none then either */
	uint32_t inline_max;    /* bytes inline that a queue pair may be made for; at first 64 */
	uint32_t late;          /* polls before a late completion comes, at least 2 */
	uint32_t poll_max;      /* entries that one poll returns at most; 0: as asked for */
	uint32_t notify_before; /* completions to add before an armed queue tells, at least 1 */
	/* seen */
	uint32_t ack_timeout; /* of the last connection that set one */
	uint8_t rnr_retry, retry;
	uint32_t max_inflight; /* capsules of one queue pair, ever */
	uint32_t cqs_made, qps_made, mrs;
	uint64_t doorbells; /* calls of post_send */
	uint64_t polls;     /* of poll_cq */
	uint64_t sends, signaled, inlined;
	uint64_t sent_from; /* address of the second segment of the last SEND that had one */
	uint32_t max_sends; /* entries of one send queue in use, ever */
};
extern struct fake_net fake_net;

/* ---- the wire ---- */

struct fake_qp;

/* A connection, as the peer sees it. Exists until fake_verbs_end(). */
struct fake_conn {
	uint32_t serial;
	uint16_t crqsize;  /* for the check of capsules in flight; 0: none */
	uint32_t inflight; /* capsules whose answer hasn't been polled */
	bool alive;        /* for the peer */
	void *peer;        /* the peer's own */
	struct fake_qp *qp;
	struct rdma_cm_id *id; /* NULL when the host has destroyed it */
	const struct fake_peer *listener;
};

struct fake_reply {
	enum {
		FAKE_ACCEPT,
		FAKE_REJECT,
		FAKE_SILENT,
	} answer;
	int reason; /* of a rejection; 28: the peer's own, see its private data */
	uint8_t data[256];
	size_t len;
};

/* Called under the lock. */
struct fake_peer_ops {
	void (*connect)(void *arg, struct fake_conn *conn, const void *data, size_t len,
			struct fake_reply *reply);
	void (*message)(void *arg, struct fake_conn *conn, const uint8_t *data, size_t len);
	/* The host has disconnected, or the peer could find out that the connection is lost. */
	void (*closed)(void *arg, struct fake_conn *conn);
};

struct fake_peer {
	char addr[64];
	uint16_t port;
	const struct fake_peer_ops *ops;
	void *arg;
	struct fake_peer *next;
	bool listening;
};

/* The peer's memory; it listens until fake_unlisten(). */
void fake_listen(struct fake_peer *peer, const char *addr, uint16_t port,
		 const struct fake_peer_ops *ops, void *arg);
void fake_unlisten(struct fake_peer *peer);

/* A message into the host's next receive buffer. Without one it waits for it; that is a violation
 * unless @lax. -ENOTCONN: nobody is there any more. */
int fake_conn_send(struct fake_conn *conn, const void *data, size_t len, bool lax);
/* The peer's access to memory of the host. -ENOTCONN; -EACCES: refused, and the connection ends. */
int fake_conn_read(struct fake_conn *conn, uint64_t addr, uint32_t rkey, void *buf, size_t len);
int fake_conn_write(struct fake_conn *conn, uint64_t addr, uint32_t rkey, const void *buf,
		    size_t len);
/* The peer disconnects. @quietly: it is just gone, and nothing tells the host. */
void fake_conn_disconnect(struct fake_conn *conn, bool quietly);

/* Cut the link: messages wait. Restore it: they go on. */
void fake_link(bool up);
/* Retries are exceeded: each queue pair with a SEND that waits gets @status for it and is in error;
 * messages of peers are lost. The peers aren't told. */
void fake_link_expire(enum ibv_wc_status status);
/* Cut connections without any event or completion error: those that exist now are dead, SENDs wait;
 * new ones work. @tell_peer: closed() is called. */
void fake_conns_die(bool tell_peer);
/* Like fake_conns_die(), and a DISCONNECTED event for each. */
void fake_conns_disconnect(bool tell_peer);
/* The first or next work completion of a connected queue pair fails with @status. */
void fake_qps_fail(enum ibv_wc_status status);
/* Complete what hold_flush held back. */
void fake_flush(void);
/* Objects that exist, the event channels and devices not counted. */
unsigned fake_objects(void);

#endif
