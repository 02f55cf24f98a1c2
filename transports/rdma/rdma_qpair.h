/* SPDX-License-Identifier: BSD-3-Clause */
/* The structure of a queue pair over RDMA; see rdma_int.h. */
#ifndef NVMUX_RDMA_QPAIR_H
#define NVMUX_RDMA_QPAIR_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "fabrics.h"

struct rdma_cq;

/* rdma_conn.c's part. */
struct rdma_conn {
	struct rdma_cm_id *id; /* NULL: none */
	uint8_t state;         /* rdma_conn.c's */
	uint8_t retries;       /* of a stale connection */
	uint8_t resolves;      /* attempts to resolve the address so far */
	struct nvmux_call call; /* the connect or disconnect under way */
	struct nvmux_timer timer;
	uint64_t deadline_ms; /* of a connect as a whole */
	uint64_t flushed_ms;  /* when it has flushed at the latest */
	struct fabrics_rdma_request request;
	int err;       /* what a connect that failed ends with, when nothing is left of it */
	char why[256]; /* its text */
};

/*
 * Identifier of a work request: the queue pair's wr_base, which names it in the table of its
 * completion queue together with a generation; how many SENDs before it have no completion of their
 * own and are retired by this one's; what it is; the slot of a SEND, the buffer of a RECV.
 */
#define RDMA_WR_INDEX        0xffffull
#define RDMA_WR_KIND_SHIFT   16
#define RDMA_WR_BEFORE_SHIFT 18
#define RDMA_WR_SLOT_SHIFT   22
#define RDMA_WR_GEN_SHIFT    32
#define RDMA_WR_BASE         (~0x3fffffull)

enum rdma_wr_kind {
	RDMA_WR_QUIET,   /* a SEND that completes only with an error */
	RDMA_WR_SEND,    /* a SEND with a completion, which nobody waits for */
	RDMA_WR_AWAITED, /* a SEND whose command hasn't ended before it has completed */
	RDMA_WR_RECV,
};

/* One SEND of so many at least has a completion of its own; RDMA_WR_BEFORE has four bits. */
#define RDMA_SIGNAL_INTERVAL 16u

static inline enum rdma_wr_kind rdma_wr_kind(uint64_t wr_id)
{
	return (enum rdma_wr_kind)(wr_id >> RDMA_WR_KIND_SHIFT & 3);
}

/* SENDs that the completion of one retires, itself included. */
static inline uint32_t rdma_wr_retires(uint64_t wr_id)
{
	return 1 + (uint32_t)(wr_id >> RDMA_WR_BEFORE_SHIFT & (RDMA_SIGNAL_INTERVAL - 1));
}

#define RDMA_CID_NONE 0xffffu /* end of a list of commands; no command's slot */

/* Which completions of a command's work requests are still to come. */
enum rdma_pend {
	RDMA_PEND_SEND = 1 << 0,
	RDMA_PEND_RECV = 1 << 1,
};

/* What is kept of a command, from submit() until it has completed. */
struct rdma_slot {
	struct ibv_send_wr wr;
	struct ibv_sge sge[2];       /* the submission queue entry; data in the capsule */
	const struct nvmux_mem *mem; /* its data, NULL: none */
	uint64_t offset;
	uint32_t len;
	uint16_t next;        /* in the list in which it waits */
	uint8_t pend;         /* enum rdma_pend */
	struct nvmux_cpl cpl; /* the response, while the SEND's completion is still to come */
	uint64_t first_ms;    /* when it first ended with a path related status, 0: it didn't */
	uint64_t due_ms;      /* when it is to be repeated after one */
} __attribute__((aligned(64)));

struct rdma_recv {
	struct ibv_recv_wr wr;
	struct ibv_sge sge;
};

/* Commands that wait, oldest first, linked by rdma_slot.next. */
struct rdma_fifo {
	uint16_t first;
	uint16_t last;
};

enum rdma_destroy {
	RDMA_DESTROY_NONE,
	RDMA_DESTROY_WANTED, /* by who quiesces it; rdma_qpair_serve() does it */
	RDMA_DESTROY_DONE,
};

/*
 * A queue pair: memory from create to destroy; an RDMA queue pair (cm_id->qp) and a place in a
 * completion queue from rdma_qpair_make() to rdma_qpair_unmake(), with each connection anew.
 * The fields before conn are those of rdma_queue.c and rdma_qpair.c.
 */
struct rdma_qpair {
	struct nvmux_qpair base;
	struct rdma_cq *cq;
	struct ibv_qp *qp; /* NULL: not made */
	uint64_t wr_base;
	uint32_t cq_polls; /* of .cq, when this queue pair was processed last */

	/* the I/O path */
	struct rdma_slot *slots;        /* n_slots of commands, one of Connect */
	struct nvmux_cmd *sqes;         /* as many */
	struct rdma_recv *recvs;        /* a ring of n_slots */
	struct nvmux_cpl *cqes;         /* as many, which the device writes to */
	struct ibv_send_wr *send_first; /* submitted, not posted: each with a RECV */
	struct ibv_send_wr **send_tail;
	struct ibv_recv_wr *recv_first;
	struct ibv_recv_wr **recv_tail;
	uint32_t n_slots;
	uint32_t recv_next;      /* in the ring */
	uint32_t n_chained;      /* SENDs in the chain, and RECVs in the other */
	uint32_t n_signaled;     /* of these SENDs */
	uint32_t n_wr;           /* posted, and sure to complete: all but QUIET ones */
	uint32_t n_posted;       /* commands posted or chained, which haven't completed */
	uint32_t limit;          /* of n_posted */
	uint32_t n_sends;        /* SENDs posted or chained, which haven't been retired */
	uint32_t max_sends;      /* of n_sends: what the send queue holds */
	uint32_t n_quiet;        /* SENDs without a completion since the last with one */
	uint32_t max_quiet;      /* of n_quiet */
	uint32_t in_capsule;     /* bytes of data that a capsule may hold */
	bool inlined;            /* commands are copied into the send queue */
	struct rdma_fifo queued; /* beyond the limits */
	struct rdma_fifo held;   /* until they are repeated after a path related status */
	bool broken;             /* atomic: of no use any more, see why; the poller's to set */
	bool quiescing;          /* atomic: in the error state, completions are awaited */
	bool silent;             /* atomic: what completes meanwhile isn't delivered */
	bool quiet;              /* quiesce() is through */
	uint8_t destroy;         /* atomic: enum rdma_destroy */
	uint64_t
		quiet_deadline; /* when completions of the error state aren't waited for any more */
	char why[160];

	/* memory */
	struct nvmux_poll_group *group; /* that it was made for */
	int epoll_fd; /* without one: readable with completions, through all connections; or -1 */
	void *memory; /* sqes, cqes and connect_data */
	size_t memory_size;
	struct ibv_mr *mr;
	struct ibv_mr *connect_mr; /* of connect_data, which the target reads */
	struct rdma_cm_id *id;     /* whose queue pair it is */
	uint32_t n_entries;        /* reserved in the completion queue */
	bool watched;              /* the control thread watches the completion queue */
	bool reported;             /* that it is broken */
	bool used;                 /* connected at least once: the depth stays */

	/* Connect: the call is the control thread's, the answer is the poller's to give */
	struct fabrics_connect_data *connect_data;
	struct nvmux_call connect;
	struct nvmux_cpl connect_cpl;
	bool answered; /* atomic: connect_cpl is there */

	uint16_t hsqsize;             /* as in the private data of the connect request */
	TAILQ_ENTRY(rdma_qpair) link; /* of the controller */
	struct rdma_conn conn;
};

static inline struct rdma_qpair *rdma_qpair(const struct nvmux_qpair *qpair)
{
	return container_of(qpair, struct rdma_qpair, base);
}

#endif
