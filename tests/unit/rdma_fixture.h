/* SPDX-License-Identifier: BSD-3-Clause */
/* A context, a fake RDMA network with one device, a target, and I/O with verification. */
#ifndef TEST_RDMA_FIXTURE_H
#define TEST_RDMA_FIXTURE_H

#include "fabrics_target.h"
#include "libcore/core.h"

#define RT_QPAIRS 8
#define RT_JOBS   512
#define RT_NS     "mem,size=64M,bs=512,mdts=8,entries=129,queues=16"

struct rt_job {
	struct rt *rt;
	struct nvmux_qpair *qpair;
	uint8_t *buf;
	uint64_t lba;
	uint32_t blocks;
	uint32_t generation; /* of what it last wrote, 0: unknown */
	bool reading;        /* what is in flight, or was last */
	bool busy;
	uint32_t calls; /* of the command in flight */
	uint32_t completed, reads, writes;
	uint16_t status; /* of the last */
};

/* How many of what. */
struct rt_events {
	uint32_t lost, reconnect_failed, fast_io_fail, reconnected, replayed, ns_changed;
	uint32_t ana_changed, removed;
};

struct rt {
	struct nvmux *nvmux;
	struct fake_device *dev;
	struct target *target;
	struct nvmux_trid trid;
	struct nvmux_ctrlr_opts opts;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ns *ns;
	struct nvmux_poll_group *group;
	struct nvmux_qpair *qpairs[RT_QPAIRS];
	uint32_t n_qpairs;
	bool elsewhere; /* queue pairs are polled by another thread: rt_turn() leaves them alone */
	struct nvmux_mem *mem;
	struct rt_events events;
	struct rt_job jobs[RT_JOBS];
	uint32_t n_jobs;
	uint32_t first_job;
	uint32_t block_size;
	bool stop;          /* start nothing more */
	void *user;         /* the test's own, for conditions */
	uint32_t errors;    /* of jobs */
	uint32_t completed; /* commands of jobs */
	uint64_t reads_right;
	uint16_t last_error;
	char log[4096]; /* the last lines */
};

/* The fake, a device 10.0.0.9, a target with @ns at 10.0.0.1:4420, a context; nothing attached.
 * Options: short times. */
void rt_begin(struct rt *rt, const char *ns);
/* Everything goes, and nothing may be left. */
void rt_end(struct rt *rt);
int rt_attach(struct rt *rt);
/* Attach, and @n queue pairs of @depth, in a poll group if @group. */
void rt_start(struct rt *rt, uint32_t n, uint32_t depth, bool group);
void rt_free_qpairs(struct rt *rt);
void rt_detach(struct rt *rt);

/* One turn of everything: the context, queue pairs, jobs. */
void rt_turn(struct rt *rt);
/* Turns until @done (which may be NULL: never) or @ms have passed, and a few after that; whether it
 * was. */
bool rt_until(struct rt *rt, bool (*done)(struct rt *rt), uint32_t ms);
void rt_run_ms(struct rt *rt, uint32_t ms);
/* Poll all queue pairs once; for the thread that owns them. */
void rt_poll_qpairs(struct rt *rt);

/*
 * Jobs: each writes its own blocks and reads them back, over and over, and compares. @n of them, on
 * all queue pairs in turn, of @bytes each.
 */
void rt_jobs(struct rt *rt, uint32_t n, uint32_t bytes);
/* Start what is idle. */
void rt_jobs_submit(struct rt *rt);
/* No new ones; wait until those in flight have ended. */
void rt_jobs_end(struct rt *rt, uint32_t ms);
/* One command of one job now, whatever is due. */
int rt_job_write(struct rt_job *job);
int rt_job_read(struct rt_job *job);
uint32_t rt_in_flight(const struct rt *rt);
bool rt_idle(struct rt *rt);
void rt_fill(const struct rt_job *job, uint32_t generation, uint8_t *buf);

/* Conditions for rt_until(). */
bool rt_all_read_back(struct rt *rt);
bool rt_has_read_back(struct rt *rt); /* something; see reads_right */
bool rt_all_held(struct rt *rt); /* by the target: of each job */
bool rt_is_lost(struct rt *rt);
bool rt_is_up(struct rt *rt);
bool rt_is_reconnected(struct rt *rt);
bool rt_is_replayed(struct rt *rt);
bool rt_is_removed(struct rt *rt);
bool rt_is_failing(struct rt *rt);

enum nvmux_connection_state rt_state(const struct rt *rt);

/* Ways of losing all connections; the target forgets their controllers. */
enum rt_way {
	RT_BY_DISCONNECT,
	RT_BY_COMPLETION_ERROR,
	RT_BY_SILENCE, /* only that keep-alives aren't answered */
	RT_BY_BOTH,
	RT_WAYS,
};

void rt_lose(struct rt *rt, enum rt_way way);
/* Turn until it is up and all has been repeated, for the @lost-th time. */
void rt_expect_up(struct rt *rt, uint32_t lost);

#endif
