// SPDX-License-Identifier: BSD-3-Clause
/*
 * Completion queues.
 *
 * The happy path. The queue pairs of a poll group that are on one device share a completion queue:
 * polling costs the same however many there are. Each reserves entries for all that it can have
 * posted; when they don't suffice the queue is resized, or where the device can't do that or it
 * has reached its limit, another one is made. So none can overflow. A queue pair without a group
 * has one of its own. When the last of its queue pairs goes, so does a completion queue.
 *
 * A work completion names its queue pair by a place in a table and a generation. What names nobody
 * any more is dropped.
 *
 * Threads. The control thread makes, grows and frees completion queues and enters queue pairs into
 * the table, also while another thread polls (group->other_thread). That one announces by the
 * group's epoch (odd: inside) when it may hold on to what it has read from the table or the list of
 * completion queues; the control thread, having taken something out, waits until it has been seen
 * outside. The fence for that is the control thread's system call, nvmux_membarrier(): polling
 * costs two ordinary stores.
 *
 * Failure modes.
 * - A queue that can't be polled breaks all its queue pairs, which are then connected anew.
 * - A queue pair that goes before all its completions have come leaves entries behind. They stay
 *   reserved until the poller has seen the queue empty after that.
 * - A callback, called from polling, may end the last queue pair and with it the completion queue
 *   that is being polled: it is freed when polling ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "libcore/membarrier.h"
#include "rdma_int.h"

#define WC_BATCH       32   /* work completions taken at once */
#define TABLE_SIZE     1024 /* queue pairs of one completion queue in a group */
#define GROUP_CQS_MAX  32   /* completion queues of a group */
#define GROUP_CQ_START 1024 /* entries that one begins with, if the device has them */
#define SYNC_WAIT_NS   20000

struct rdma_group {
	struct nvmux_poll_group *group;
	uint32_t epoch;                     /* atomic, the poller's; odd while it is inside */
	uint32_t nest;                      /* the poller's */
	struct rdma_cq *cqs[GROUP_CQS_MAX]; /* atomic, the control thread's */
};

struct rdma_cq {
	/* the poller's */
	struct ibv_cq *cq;
	uint32_t wc_head; /* taken from the device, not yet looked at: wc_head … wc_n - 1 */
	uint32_t wc_n;
	uint32_t nest;  /* rdma_cq_poll() is on the stack */
	uint32_t polls; /* turns that have polled it, see rdma_cq_turn() */
	bool held;      /* perhaps, see rdma_cq_held() */
	bool drained;   /* since it was armed last: the channel's event has been taken */
	bool dead;      /* to be freed when nest is 0 again */
	uint32_t empty; /* atomic: times that it was seen empty */
	struct ibv_wc wcs[WC_BATCH];

	/* the control thread's */
	struct rdma_qpair **table; /* atomic entries */
	uint32_t n_table;
	uint32_t generation;
	struct nvmux *nvmux;
	struct ibv_context *verbs;
	struct ibv_comp_channel *channel;
	struct rdma_group *group; /* NULL: one queue pair's own */
	int epoll_fd;             /* in which the channel is, or -1 */
	uint32_t size;            /* atomic: entries */
	uint32_t max_size;        /* that the device allows */
	uint32_t reserved;
	uint32_t stale;    /* entries left behind */
	uint32_t stale_at; /* .empty at that time */
	struct nvmux_watch watch;
	uint32_t watchers; /* atomic */
};

/* ---- the poller inside and outside ---- */

static inline void group_enter(struct rdma_group *rg)
{
	if (!rg || rg->nest++)
		return;
	__atomic_store_n(&rg->epoch, rg->epoch + 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* the control thread's fence does the rest */
}

static inline void group_leave(struct rdma_group *rg)
{
	if (!rg || --rg->nest)
		return;
	__atomic_store_n(&rg->epoch, rg->epoch + 1, __ATOMIC_RELEASE);
}

/* Wait until the poller holds on to nothing that was taken out before. */
static void group_sync(const struct rdma_group *rg)
{
	const struct timespec wait = {.tv_nsec = SYNC_WAIT_NS};
	uint32_t epoch;

	if (!rg || !rg->group->other_thread)
		return;
	nvmux_membarrier();
	epoch = __atomic_load_n(&rg->epoch, __ATOMIC_ACQUIRE);
	while (epoch & 1 && __atomic_load_n(&rg->epoch, __ATOMIC_ACQUIRE) == epoch)
		nanosleep(&wait, NULL);
}

static struct rdma_group *group_of(const struct nvmux_poll_group *group)
{
	return __atomic_load_n(&group->transport_data[NVMUX_TRTYPE_RDMA], __ATOMIC_ACQUIRE);
}

static inline struct rdma_cq *group_cq(const struct rdma_group *rg, uint32_t i)
{
	return __atomic_load_n(&rg->cqs[i], __ATOMIC_ACQUIRE);
}

static int group_make(struct nvmux_poll_group *group, struct rdma_group **ret)
{
	struct rdma_group *rg = group_of(group);
	int err = 0;

	if (!rg && group->other_thread)
		err = nvmux_membarrier_register();
	if (err)
		return nvmux_error(group->nvmux, err, "the kernel has no membarrier: %s",
				   strerror(-err));
	if (!rg) {
		rg = nvmux_calloc_lines(1, sizeof(*rg));
		if (!rg)
			return -ENOMEM;
		rg->group = group;
		__atomic_store_n(&group->transport_data[NVMUX_TRTYPE_RDMA], rg, __ATOMIC_RELEASE);
	}
	*ret = rg;
	return 0;
}

/* ---- making and freeing ---- */

/* Half-made ones too. Nobody polls it. */
static void cq_destroy(struct rdma_cq *cq)
{
	if (cq->cq)
		ibv_destroy_cq(cq->cq);
	if (cq->channel)
		ibv_destroy_comp_channel(cq->channel);
	free(cq->table);
	free(cq);
}

static void cq_free(struct rdma_cq *cq)
{
	for (uint32_t i = 0; cq->group && i < GROUP_CQS_MAX; i++) {
		if (group_cq(cq->group, i) == cq)
			__atomic_store_n(&cq->group->cqs[i], NULL, __ATOMIC_RELEASE);
	}
	nvmux_watch_del(cq->nvmux, &cq->watch);
	if (cq->epoll_fd >= 0)
		epoll_ctl(cq->epoll_fd, EPOLL_CTL_DEL, cq->channel->fd, NULL);
	group_sync(cq->group);
	if (cq->nest && !rdma_cq_foreign(cq))
		cq->dead = true;
	else
		cq_destroy(cq);
}

static int make_channel(struct rdma_cq *cq)
{
	struct epoll_event event = {.events = EPOLLIN};
	int flags;

	cq->channel = ibv_create_comp_channel(cq->verbs);
	if (!cq->channel)
		return nvmux_error(cq->nvmux, -errno, "%s: ibv_create_comp_channel: %s",
				   cq->verbs->device->name, strerror(errno));
	flags = fcntl(cq->channel->fd, F_GETFL);
	if (flags < 0 || fcntl(cq->channel->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return nvmux_error(cq->nvmux, -errno, "O_NONBLOCK: %s", strerror(errno));
	if (cq->epoll_fd >= 0 &&
	    epoll_ctl(cq->epoll_fd, EPOLL_CTL_ADD, cq->channel->fd, &event) < 0)
		return nvmux_error(cq->nvmux, -errno, "epoll_ctl: %s", strerror(errno));
	return 0;
}

static int make_cq(struct rdma_cq *cq, uint32_t entries)
{
	int err = make_channel(cq);

	if (err)
		return err;
	cq->table = nvmux_calloc_lines(cq->n_table, sizeof(*cq->table));
	if (!cq->table)
		return -ENOMEM;
	cq->cq = ibv_create_cq(cq->verbs, (int)entries, cq, cq->channel, 0);
	if (!cq->cq)
		return nvmux_error(cq->nvmux, -errno,
				   "%s: can't make a completion queue of %u entries: %s",
				   cq->verbs->device->name, entries, strerror(errno));
	cq->size = entries;
	return 0;
}

static int cq_make(struct rdma_ctrlr *rc, struct rdma_group *rg, int epoll_fd, uint32_t entries,
		   struct rdma_cq **ret)
{
	uint32_t max_size = (uint32_t)MAX(rc->attr.max_cqe, 0);
	struct rdma_cq *cq;
	int err;

	if (entries > max_size)
		return nvmux_error(rc->base.nvmux, -ENOSPC,
				   "%s: completion queues of %s hold at most %u entries; %u are "
				   "needed: the queue is too deep",
				   rc->base.trid.traddr, rc->verbs->device->name, max_size,
				   entries);
	cq = nvmux_calloc_lines(1, sizeof(*cq));
	if (!cq)
		return -ENOMEM;
	cq->nvmux = rc->base.nvmux;
	cq->verbs = rc->verbs;
	cq->group = rg;
	cq->epoll_fd = epoll_fd;
	cq->n_table = rg ? TABLE_SIZE : 1;
	cq->max_size = max_size;
	err = make_cq(cq, rg ? MIN(MAX(entries, GROUP_CQ_START), max_size) : entries);
	if (err) {
		cq_destroy(cq);
		return err;
	}
	*ret = cq;
	return 0;
}

/* Entries left behind that may still be there. */
static uint32_t cq_stale(struct rdma_cq *cq)
{
	/* A poll that began before they were left behind may have seen it empty; not a second. */
	if (cq->stale && __atomic_load_n(&cq->empty, __ATOMIC_ACQUIRE) - cq->stale_at >= 2)
		cq->stale = 0;
	return cq->stale;
}

/* Whether there is room for @entries more, if need be after growing it. */
static bool cq_fits(struct rdma_cq *cq, uint32_t entries)
{
	uint32_t needed, size;

	needed = cq->reserved + cq_stale(cq) + entries;
	if (needed <= cq->size)
		return true;
	size = MIN(MAX(2 * cq->size, needed), cq->max_size);
	if (needed > size || ibv_resize_cq(cq->cq, (int)size))
		return false;
	__atomic_store_n(&cq->size, size, __ATOMIC_RELAXED);
	return true;
}

/* Whether a place in the table is free. */
static bool cq_has_place(const struct rdma_cq *cq)
{
	for (uint32_t i = 0; i < cq->n_table; i++) {
		if (!__atomic_load_n(&cq->table[i], __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

/* One of the group with room, or else a new one. */
static int group_get(struct rdma_ctrlr *rc, struct rdma_group *rg, uint32_t entries,
		     struct rdma_cq **ret)
{
	uint32_t place = GROUP_CQS_MAX;
	int err;

	for (uint32_t i = 0; i < GROUP_CQS_MAX; i++) {
		struct rdma_cq *cq = group_cq(rg, i);

		if (!cq) {
			place = MIN(place, i);
		} else if (cq->verbs == rc->verbs && cq_has_place(cq) && cq_fits(cq, entries)) {
			*ret = cq;
			return 0;
		}
	}
	if (place == GROUP_CQS_MAX)
		return nvmux_error(rc->base.nvmux, -ENOSPC,
				   "the poll group has %u completion queues; no more are possible",
				   GROUP_CQS_MAX);
	err = cq_make(rc, rg, rg->group->epoll_fd, entries, ret);
	if (!err)
		__atomic_store_n(&rg->cqs[place], *ret, __ATOMIC_RELEASE);
	return err;
}

int rdma_cq_get(struct rdma_ctrlr *rc, struct nvmux_poll_group *group, int epoll_fd,
		uint32_t entries, struct rdma_cq **ret)
{
	struct rdma_group *rg = NULL;
	int err = 0;

	if (group)
		err = group_make(group, &rg);
	if (!err)
		err = rg ? group_get(rc, rg, entries, ret)
			 : cq_make(rc, NULL, epoll_fd, entries, ret);
	if (!err)
		(*ret)->reserved += entries;
	return err;
}

void rdma_cq_put(struct rdma_cq *cq, uint32_t entries, uint32_t stale)
{
	NVMUX_ASSERT(cq->reserved >= entries && stale <= entries);
	cq->reserved -= entries;
	if (!cq->reserved) {
		cq_free(cq);
		return;
	}
	if (!stale)
		return;
	cq->stale = cq_stale(cq) + stale;
	cq->stale_at = __atomic_load_n(&cq->empty, __ATOMIC_ACQUIRE);
	rdma_cq_notify(cq); /* wakes the poller, if it sleeps */
}

struct ibv_cq *rdma_cq_verbs(const struct rdma_cq *cq)
{
	return cq->cq;
}

bool rdma_cq_foreign(const struct rdma_cq *cq)
{
	return cq->group && cq->group->group->other_thread;
}

/* ---- the table ---- */

int rdma_cq_add(struct rdma_cq *cq, struct rdma_qpair *q, uint64_t *ret_wr_base)
{
	for (uint32_t i = 0; i < cq->n_table; i++) {
		if (__atomic_load_n(&cq->table[i], __ATOMIC_RELAXED))
			continue;
		cq->generation++;
		*ret_wr_base = (uint64_t)cq->generation << RDMA_WR_GEN_SHIFT |
			       (uint64_t)i << RDMA_WR_SLOT_SHIFT;
		/* The poller compares this once it sees the queue pair. */
		q->wr_base = *ret_wr_base;
		__atomic_store_n(&cq->table[i], q, __ATOMIC_RELEASE);
		return 0;
	}
	return nvmux_error(cq->nvmux, -ENOSPC, "a completion queue serves at most %u queue pairs",
			   cq->n_table);
}

NVMUX_STATIC_ASSERT(TABLE_SIZE <= 1u << (RDMA_WR_GEN_SHIFT - RDMA_WR_SLOT_SHIFT),
		    "a place has its bits in the identifier of a work request");

static inline uint32_t place_of(uint64_t wr_id)
{
	return (uint32_t)wr_id >> RDMA_WR_SLOT_SHIFT;
}

void rdma_cq_forget(struct rdma_cq *cq, const struct rdma_qpair *q)
{
	uint32_t place = place_of(q->wr_base);

	if (place < cq->n_table && __atomic_load_n(&cq->table[place], __ATOMIC_RELAXED) == q)
		__atomic_store_n(&cq->table[place], NULL, __ATOMIC_RELEASE);
}

void rdma_cq_remove(struct rdma_cq *cq, const struct rdma_qpair *q)
{
	rdma_cq_forget(cq, q);
	group_sync(cq->group);
}

/* ---- polling ---- */

__attribute__((cold, noinline)) static void cq_broken(struct rdma_cq *cq, int err)
{
	for (uint32_t i = 0; i < cq->n_table; i++) {
		struct rdma_qpair *q = __atomic_load_n(&cq->table[i], __ATOMIC_ACQUIRE);

		if (q)
			rdma_qpair_break(q, "ibv_poll_cq: %s", strerror(err < 0 ? -err : err));
	}
}

/* Take more from the device; false: there is nothing. @ret_last: there was no more than that. */
static inline bool cq_refill(struct rdma_cq *cq, bool *ret_last)
{
	int n = ibv_poll_cq(cq->cq, WC_BATCH, cq->wcs);

	*ret_last = n < WC_BATCH;
	cq->wc_head = 0;
	cq->wc_n = n > 0 ? (uint32_t)n : 0;
	if (unlikely(n < 0))
		cq_broken(cq, n);
	if (n <= 0)
		__atomic_store_n(&cq->empty, cq->empty + 1, __ATOMIC_RELEASE);
	return n > 0;
}

static inline int cq_wc(struct rdma_cq *cq, const struct ibv_wc *wc)
{
	uint32_t place = place_of(wc->wr_id);
	struct rdma_qpair *q;

	if (unlikely(place >= cq->n_table))
		return 0;
	q = __atomic_load_n(&cq->table[place], __ATOMIC_ACQUIRE);
	if (unlikely(!q || q->wr_base != (wc->wr_id & RDMA_WR_BASE)))
		return 0; /* of one that has gone */
	return rdma_qpair_wc(q, wc);
}

static int cq_reap(struct rdma_cq *cq, uint32_t max)
{
	uint32_t left = __atomic_load_n(&cq->size, __ATOMIC_RELAXED);
	uint32_t limit = max ? max : left;
	bool last = false;
	uint32_t n = 0;

	while (n < limit && left--) {
		/* A batch that isn't full was the last: who has a maximum will be back. */
		if (cq->wc_head == cq->wc_n && ((last && max) || !cq_refill(cq, &last)))
			break;
		/* A callback in here may poll as well, or be the end of it all. */
		n += (uint32_t)cq_wc(cq, &cq->wcs[cq->wc_head++]);
		if (unlikely(cq->dead))
			break;
	}
	return (int)n;
}

int rdma_cq_poll(struct rdma_cq *cq, uint32_t max)
{
	struct rdma_group *rg = cq->group;
	int n;

	group_enter(rg);
	cq->nest++;
	n = cq_reap(cq, max);
	if (unlikely(!--cq->nest && cq->dead))
		cq_destroy(cq);
	group_leave(rg);
	return n;
}

/*
 * A poll takes all that is there, whosever it is: after one by another queue pair this one has had
 * its turn. So with any number of queue pairs that are processed in turn it is polled once a round.
 * Who takes a few at a time polls each time.
 */
int rdma_cq_turn(struct rdma_cq *cq, struct rdma_qpair *q, uint32_t max)
{
	if (q->cq_polls != cq->polls && !max) {
		q->cq_polls = cq->polls;
		return 0;
	}
	q->cq_polls = ++cq->polls;
	return rdma_cq_poll(cq, max);
}

/* ---- waiting ---- */

void rdma_cq_held(struct rdma_cq *cq)
{
	cq->held = true;
}

static bool any_held(struct rdma_cq *cq)
{
	for (uint32_t i = 0; i < cq->n_table; i++) {
		const struct rdma_qpair *q = __atomic_load_n(&cq->table[i], __ATOMIC_ACQUIRE);

		if (q && q->held.first != RDMA_CID_NONE)
			return true;
	}
	cq->held = false;
	return false;
}

/*
 * Take the channel's event, if there is one. A queue that is armed tells once, so there seldom is
 * another one (armed again in between); that keeps the channel readable, and is taken next time.
 */
static bool cq_drain(struct rdma_cq *cq)
{
	struct ibv_cq *told;
	void *context;

	if (ibv_get_cq_event(cq->channel, &told, &context))
		return false;
	ibv_ack_cq_events(cq->cq, 1);
	return true;
}

int rdma_cq_arm(struct rdma_cq *cq)
{
	bool last;

	if (cq->wc_head != cq->wc_n || (cq->held && any_held(cq)))
		return -EAGAIN;
	if (!cq->drained)
		cq_drain(cq);
	cq->drained = false;
	rdma_cq_notify(cq);
	/* What came before it was armed tells nobody. */
	return cq_refill(cq, &last) ? -EAGAIN : 0;
}

void rdma_cq_notify(struct rdma_cq *cq)
{
	/* A device that refuses has gone, which is noticed without completions. */
	(void)ibv_req_notify_cq(cq->cq, 0);
}

/* The one queue pair of a completion queue without a group. */
static void own_ready(struct rdma_cq *cq)
{
	struct rdma_qpair *q = cq->table[0];

	if (!q)
		return;
	if (q->connect.done)
		rdma_cq_poll(cq, 0);
	else if (q->base.id == 0 && nvmux_qpair_get_state(&q->base) == NVMUX_QPAIR_CONNECTED)
		nvmux_ctrlr_process_admin_completions(q->base.ctrlr); /* may end everything */
}

static void cq_ready(void *arg, uint32_t epoll_events)
{
	struct rdma_cq *cq = arg;

	if (cq->group) {
		nvmux_poll_group_reap(cq->group->group);
		return;
	}
	cq_drain(cq);
	rdma_cq_notify(cq); /* before looking: what comes later tells again */
	own_ready(cq);
}

int rdma_cq_watch(struct rdma_cq *cq)
{
	int err = 0;

	if (!cq->watchers && !rdma_cq_foreign(cq))
		err = nvmux_watch_add(cq->nvmux, &cq->watch, cq->channel->fd, EPOLLIN, cq_ready,
				      cq);
	if (err)
		return nvmux_error(cq->nvmux, err, "epoll_ctl: %s", strerror(-err));
	__atomic_store_n(&cq->watchers, cq->watchers + 1, __ATOMIC_RELAXED);
	return 0;
}

void rdma_cq_unwatch(struct rdma_cq *cq)
{
	NVMUX_ASSERT(cq->watchers);
	__atomic_store_n(&cq->watchers, cq->watchers - 1, __ATOMIC_RELAXED);
	if (!cq->watchers)
		nvmux_watch_del(cq->nvmux, &cq->watch);
}

/* ---- groups ---- */

void rdma_group_reap(struct nvmux_poll_group *group)
{
	struct rdma_group *rg = group_of(group);

	if (!rg)
		return;
	group_enter(rg);
	for (uint32_t i = 0; i < GROUP_CQS_MAX; i++) {
		struct rdma_cq *cq = group_cq(rg, i);

		if (!cq)
			continue;
		/* Before looking: what comes later tells again. */
		cq->drained = cq_drain(cq);
		if (cq->drained && __atomic_load_n(&cq->watchers, __ATOMIC_RELAXED)) {
			cq->drained = false;
			rdma_cq_notify(cq);
		}
		rdma_cq_poll(cq, 0);
	}
	group_leave(rg);
}

int rdma_group_arm(struct nvmux_poll_group *group)
{
	struct rdma_group *rg = group_of(group);
	int err = 0;

	if (!rg)
		return 0;
	group_enter(rg);
	for (uint32_t i = 0; i < GROUP_CQS_MAX && !err; i++) {
		struct rdma_cq *cq = group_cq(rg, i);

		if (cq)
			err = rdma_cq_arm(cq);
	}
	group_leave(rg);
	return err;
}

void rdma_group_end(struct nvmux_poll_group *group)
{
	struct rdma_group *rg = group_of(group);

	if (!rg)
		return;
	for (uint32_t i = 0; i < GROUP_CQS_MAX; i++)
		NVMUX_ASSERT(!group_cq(rg, i));
	group->transport_data[NVMUX_TRTYPE_RDMA] = NULL;
	free(rg);
}
