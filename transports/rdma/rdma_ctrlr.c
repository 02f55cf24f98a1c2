// SPDX-License-Identifier: BSD-3-Clause
/*
 * Controllers over RDMA: the event channel, the device with its protection domain and the keys of
 * the regions, properties, and what libcore calls.
 *
 * The happy path. open: the addresses are looked at, and the connection manager's event channel and
 * an eventfd go into the context's loop. The device is known with the first connection, when a
 * route has been resolved: then there is a protection domain of this controller's own, and each
 * region that it may reach is registered in it, with keys of its own. Registers are properties,
 * read and written by Fabrics commands on the admin queue. close: all connections are ended and the
 * regions' keys are gone; what other threads may still look at goes with their queue pairs, and the
 * rest with the last of them.
 *
 * Failure modes.
 * - A connection is lost: libcore hears of it once (link_lost), and begins again with
 *   rdma_ctrlr_begin(), when all queue pairs are quiet. Only then the old ones are destroyed.
 * - The next connection finds another device: the domain and the keys are made anew. While a queue
 *   pair is still on the earlier one, it is refused.
 * - The device is removed: connections are lost; with rdma_ctrlr_begin() or the last queue pair
 *   everything of it goes, which is what the kernel waits for.
 * - A call from here into libcore may free the controller or a queue pair: events are handled one
 * at a time, and a loop over queue pairs begins anew after each change.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libcore/numa.h"
#include "libcore/rw.h"
#include "rdma_int.h"

#define RDMA_PRIVATE_MAX 256 /* the length is a byte */

/* ---- the device and its keys ---- */

static struct nvmux_mem_map *map_of(const struct rdma_ctrlr *rc, struct nvmux_mem *mem)
{
	return &mem->maps[rc->base.index];
}

static int region_register(struct rdma_ctrlr *rc, struct nvmux_mem *mem)
{
	/* iWARP needs the right to write from afar even for what is only read into. */
	const int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ |
			   IBV_ACCESS_REMOTE_WRITE;
	struct nvmux_mem_map *map = map_of(rc, mem);
	struct ibv_mr *mr = ibv_reg_mr(rc->pd, mem->addr, mem->size, access);

	if (!mr)
		return nvmux_error(rc->base.nvmux, -errno,
				   "%s: a region of %zu bytes can't be registered with %s: %s%s",
				   rc->base.trid.traddr, mem->size,
				   ibv_get_device_name(rc->verbs->device), strerror(errno),
				   errno == ENOMEM ? " (RLIMIT_MEMLOCK?)" : "");
	map->priv = mr;
	map->lkey = mr->lkey;
	map->rkey = mr->rkey;
	return 0;
}

static void region_deregister(struct rdma_ctrlr *rc, struct nvmux_mem *mem)
{
	struct nvmux_mem_map *map = map_of(rc, mem);
	int err;

	if (!map->priv)
		return;
	/* Fails for a device that has gone, which has no keys any more. */
	err = ibv_dereg_mr(map->priv);
	if (err)
		nvmux_log(rc->base.nvmux, NVMUX_LOG_WARNING, "rdma", "%s: ibv_dereg_mr: %s",
			  rc->base.trid.traddr, strerror(err));
	map->priv = NULL;
	map->lkey = map->rkey = 0;
}

static void regions_deregister(struct rdma_ctrlr *rc)
{
	struct nvmux_mem *mem;

	TAILQ_FOREACH (mem, &rc->base.nvmux->mems, link)
		region_deregister(rc, mem);
}

static int regions_register(struct rdma_ctrlr *rc)
{
	struct nvmux_mem *mem;
	int err = 0;

	TAILQ_FOREACH (mem, &rc->base.nvmux->mems, link) {
		const struct nvmux_mem_map *map = map_of(rc, mem);

		if (!err && map->mapped && !map->priv)
			err = region_register(rc, mem);
	}
	return err;
}

/* No queue pair is on it any more. */
static void device_release(struct rdma_ctrlr *rc)
{
	struct ibv_context **list;
	int err;

	if (rc->pd) {
		regions_deregister(rc);
		err = ibv_dealloc_pd(rc->pd);
		if (err)
			nvmux_log(rc->base.nvmux, NVMUX_LOG_WARNING, "rdma",
				  "%s: ibv_dealloc_pd: %s", rc->base.trid.traddr, strerror(err));
	}
	rc->pd = NULL;
	rc->verbs = NULL;
	if (rc->holder)
		rdma_destroy_id(rc->holder);
	rc->holder = NULL;
	if (!rc->device_gone)
		return;
	rc->device_gone = false;
	/* librdmacm closes a device that has gone when it looks at the list of them. */
	list = rdma_get_devices(NULL);
	if (list)
		rdma_free_devices(list);
}

static bool device_is_used(const struct rdma_ctrlr *rc)
{
	const struct rdma_qpair *q;

	TAILQ_FOREACH (q, &rc->qpairs, link) {
		if (q->conn.id && q->conn.id->verbs == rc->verbs)
			return true;
	}
	return false;
}

int rdma_ctrlr_use_device(struct rdma_ctrlr *rc, struct ibv_context *verbs)
{
	struct nvmux *nvmux = rc->base.nvmux;
	int err;

	if (rc->pd && rc->verbs != verbs && device_is_used(rc))
		return nvmux_error(
			nvmux, -EXDEV,
			"%s: the route leads over %s, but the controller has queue pairs "
			"on %s: all must be on the same device",
			rc->base.trid.traddr, ibv_get_device_name(verbs->device),
			ibv_get_device_name(rc->verbs->device));
	if (rc->pd && rc->verbs != verbs)
		device_release(rc);
	if (!rc->pd) {
		err = ibv_query_device(verbs, &rc->attr);
		if (err)
			return nvmux_error(nvmux, -EIO, "%s: %s can't be queried: %s",
					   rc->base.trid.traddr, ibv_get_device_name(verbs->device),
					   strerror(err));
		rc->pd = ibv_alloc_pd(verbs);
		if (!rc->pd)
			return nvmux_error(nvmux, -EIO,
					   "%s: %s has no protection domain for us: %s",
					   rc->base.trid.traddr, ibv_get_device_name(verbs->device),
					   strerror(errno));
		rc->verbs = verbs;
	}
	/* The id that found the device holds it now. */
	if (rc->holder)
		rdma_destroy_id(rc->holder);
	rc->holder = NULL;
	return regions_register(rc);
}

void rdma_ctrlr_put_id(struct rdma_ctrlr *rc, struct rdma_cm_id *id)
{
	if (rc->pd && id->verbs == rc->verbs && !rc->holder && !device_is_used(rc)) {
		id->context = NULL;
		rc->holder = id;
	} else {
		rdma_destroy_id(id);
	}
	if (rc->device_gone && !device_is_used(rc))
		device_release(rc);
}

void rdma_ctrlr_device_removed(struct rdma_ctrlr *rc, const struct rdma_cm_id *id)
{
	if (!rc->pd || id->verbs != rc->verbs)
		return;
	rc->device_gone = true;
	if (!device_is_used(rc))
		device_release(rc);
}

/* ---- events ---- */

bool rdma_ctrlr_has(const struct rdma_ctrlr *rc, const struct rdma_qpair *q)
{
	const struct rdma_qpair *other;

	TAILQ_FOREACH (other, &rc->qpairs, link) {
		if (other == q)
			return true;
	}
	return false;
}

void rdma_ctrlr_lost(struct rdma_ctrlr *rc, int err)
{
	if (rc->lost || rc->closing)
		return;
	rc->lost = true;
	nvmux_ctrlr_link_lost(&rc->base, err); /* may free it */
}

/* What is under way ends; each end may be that of other queue pairs as well. */
static void end_connections(struct rdma_ctrlr *rc, bool all)
{
	struct rdma_qpair *q, *next;

	for (q = TAILQ_FIRST(&rc->qpairs); q; q = next) {
		next = TAILQ_NEXT(q, link);
		if (all || q->conn.call.done)
			rdma_conn_end(q);
		if (next && !rdma_ctrlr_has(rc, next))
			next = TAILQ_FIRST(&rc->qpairs);
	}
}

void rdma_ctrlr_begin(struct rdma_ctrlr *rc)
{
	struct rdma_qpair *q;

	rc->lost = false;
	end_connections(rc, false); /* those that were being made or ended meanwhile */
	TAILQ_FOREACH (q, &rc->qpairs, link)
		rdma_conn_destroy(q);
}

/* One event a turn: it may be the last of this controller. */
static void ctrlr_cm_event(void *arg, uint32_t epoll_events)
{
	struct rdma_ctrlr *rc = arg;
	uint8_t private_data[RDMA_PRIVATE_MAX];
	struct rdma_cm_event *event, copy;
	struct rdma_qpair *q;

	if (rdma_get_cm_event(rc->events, &event))
		return; /* nothing, or nothing that concerns anybody */
	copy = *event;
	if (copy.param.conn.private_data) {
		memcpy(private_data, copy.param.conn.private_data,
		       copy.param.conn.private_data_len);
		copy.param.conn.private_data = private_data;
	}
	/* An id isn't destroyed before its events have been acknowledged. */
	rdma_ack_cm_event(event);
	nvmux_log(rc->base.nvmux, NVMUX_LOG_DEBUG, "rdma", "%s: %s, status %d",
		  rc->base.trid.traddr, rdma_event_str(copy.event), copy.status);
	q = copy.id->context;
	if (q && q->conn.id == copy.id)
		rdma_conn_event(q, &copy); /* may free everything */
	else if (copy.event == RDMA_CM_EVENT_DEVICE_REMOVAL)
		rdma_ctrlr_device_removed(rc, copy.id);
}

void rdma_ctrlr_poke(struct rdma_ctrlr *rc)
{
	const uint64_t one = 1;

	/* A counter that is full is readable as well. */
	if (write(rc->event_fd, &one, sizeof(one)) < 0)
		return;
}

static void ctrlr_poked(void *arg, uint32_t epoll_events)
{
	struct rdma_ctrlr *rc = arg;
	struct rdma_qpair *q, *next;
	bool freed = false;
	uint64_t count;

	if (read(rc->event_fd, &count, sizeof(count)) < 0)
		return;
	if (rc->closing) {
		TAILQ_FOREACH (q, &rc->qpairs, link)
			rdma_qpair_serve(q);
		return;
	}
	rc->freed = &freed;
	for (q = TAILQ_FIRST(&rc->qpairs); q; q = next) {
		next = TAILQ_NEXT(q, link);
		rdma_conn_look(q);
		if (freed)
			return;
		if (next && !rdma_ctrlr_has(rc, next))
			next = TAILQ_FIRST(&rc->qpairs);
	}
	rc->freed = NULL;
}

/* ---- life ---- */

static int rdma_ctrlr_alloc(struct nvmux *nvmux, const struct nvmux_trid *trid,
			    struct nvmux_ctrlr **ret)
{
	struct rdma_ctrlr *rc = calloc(1, sizeof(*rc));

	if (!rc)
		return -ENOMEM;
	rc->event_fd = -1;
	TAILQ_INIT(&rc->qpairs);
	*ret = &rc->base;
	return 0;
}

static void rdma_ctrlr_free(struct nvmux_ctrlr *ctrlr)
{
	struct rdma_ctrlr *rc = rdma_ctrlr(ctrlr);

	NVMUX_ASSERT(TAILQ_EMPTY(&rc->qpairs));
	nvmux_watch_del(ctrlr->nvmux, &rc->events_watch);
	nvmux_watch_del(ctrlr->nvmux, &rc->event_watch);
	device_release(rc);
	if (rc->events)
		rdma_destroy_event_channel(rc->events);
	if (rc->event_fd >= 0)
		close(rc->event_fd);
	if (rc->freed)
		*rc->freed = true;
	free(rc);
}

static int open_channel(struct rdma_ctrlr *rc)
{
	struct nvmux *nvmux = rc->base.nvmux;
	int flags;

	rc->events = rdma_create_event_channel();
	if (!rc->events && (errno == ENODEV || errno == ENOENT))
		return nvmux_error(nvmux, -ENODEV, "%s: no RDMA device on this machine",
				   rc->base.trid.traddr);
	if (!rc->events)
		return nvmux_error(nvmux, -errno, "%s: the RDMA connection manager: %s",
				   rc->base.trid.traddr, strerror(errno));
	flags = fcntl(rc->events->fd, F_GETFL);
	if (flags < 0 || fcntl(rc->events->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return nvmux_error(nvmux, -errno, "O_NONBLOCK: %s", strerror(errno));
	return 0;
}

static int ctrlr_open(struct rdma_ctrlr *rc)
{
	struct nvmux *nvmux = rc->base.nvmux;
	int err = rdma_conn_addresses(nvmux, &rc->base.trid, &rc->dst, &rc->src);

	if (!err && !rc->events)
		err = open_channel(rc);
	if (!err && rc->event_fd < 0) {
		rc->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (rc->event_fd < 0)
			err = nvmux_error(nvmux, -errno, "eventfd: %s", strerror(errno));
	}
	if (!err)
		err = nvmux_watch_add(nvmux, &rc->events_watch, rc->events->fd, EPOLLIN,
				      ctrlr_cm_event, rc);
	if (!err && !rc->event_watch.fn)
		err = nvmux_watch_add(nvmux, &rc->event_watch, rc->event_fd, EPOLLIN, ctrlr_poked,
				      rc);
	return err;
}

static void rdma_ctrlr_open(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct rdma_ctrlr *rc = rdma_ctrlr(ctrlr);

	rc->closing = false;
	rc->lost = false;
	done(arg, ctrlr_open(rc), 0);
}

static void rdma_ctrlr_close(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct rdma_ctrlr *rc = rdma_ctrlr(ctrlr);

	rc->closing = true;
	nvmux_watch_del(ctrlr->nvmux, &rc->events_watch);
	end_connections(rc, true);
	regions_deregister(rc);
	if (TAILQ_EMPTY(&rc->qpairs))
		device_release(rc);
	done(arg, 0, 0);
}

/* ---- properties ---- */

struct property_op {
	struct nvmux_ctrlr *ctrlr;
	bool get;
	uint32_t offset;
	uint32_t size;
	nvmux_done_fn done;
	void *arg;
};

static void property_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct property_op op = *(struct property_op *)arg;
	uint16_t status = nvmux_cpl_status(cpl);
	int err = 0;

	free(arg);
	if ((status & NVMUX_STATUS_CODE_MASK) == NVMUX_SC_CTRLR_GONE)
		err = -EIO; /* the error text says why it is given up */
	else if (nvmux_cpl_is_error(cpl))
		err = nvmux_error(op.ctrlr->nvmux, -EIO, "%s: Property %s at %#x: status %03x (%s)",
				  op.ctrlr->trid.traddr, op.get ? "Get" : "Set", op.offset,
				  status & NVMUX_STATUS_CODE_MASK, fabrics_status_string(status));
	op.done(op.arg, err, !err && op.get ? fabrics_property_value(cpl, op.size) : 0);
}

static void property(const struct property_op *wanted, const struct nvmux_cmd *cmd)
{
	struct property_op *op = malloc(sizeof(*op));
	int err = -ENOMEM;

	if (op) {
		*op = *wanted;
		err = nvmux_ctrlr_admin(op->ctrlr, cmd, NULL, 0, property_done, op);
	}
	if (!err)
		return;
	free(op);
	wanted->done(wanted->arg, err, 0);
}

static void rdma_reg_read(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size,
			  nvmux_done_fn done, void *arg)
{
	struct property_op op = {ctrlr, true, offset, size, done, arg};
	struct nvmux_cmd cmd;

	fabrics_property_get(&cmd, offset, size);
	property(&op, &cmd);
}

static void rdma_reg_write(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size,
			   uint64_t value, nvmux_done_fn done, void *arg)
{
	struct property_op op = {ctrlr, false, offset, size, done, arg};
	struct nvmux_cmd cmd;

	fabrics_property_set(&cmd, offset, size, value);
	property(&op, &cmd);
}

/* ---- memory ---- */

static void rdma_mem_map(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
			 void *arg)
{
	struct rdma_ctrlr *rc = rdma_ctrlr(ctrlr);
	int err = 0;

	/* Before a device is known, or while it isn't there: registered with the next one. */
	if (rc->closing)
		err = -ENXIO;
	else if (rc->pd && !rc->device_gone)
		err = region_register(rc, mem);
	done(arg, err, 0);
}

static void rdma_mem_unmap(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
			   void *arg)
{
	region_deregister(rdma_ctrlr(ctrlr), mem);
	done(arg, 0, 0);
}

/* ---- queue pairs ---- */

static void rdma_qpair_create(struct nvmux_ctrlr *ctrlr, uint16_t qid, uint32_t entries,
			      struct nvmux_poll_group *group, nvmux_done_fn done, void *arg)
{
	struct rdma_ctrlr *rc = rdma_ctrlr(ctrlr);
	struct rdma_qpair *q;
	int err = rdma_qpair_new(rc, qid, entries, group, &q);

	if (err) {
		done(arg, err, 0);
		return;
	}
	TAILQ_INSERT_TAIL(&rc->qpairs, q, link);
	if (!qid)
		rc->adminq = q;
	done(arg, 0, (uintptr_t)&q->base);
}

static void rdma_qpair_destroy(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	struct rdma_ctrlr *rc = rdma_ctrlr(qpair->ctrlr);
	struct rdma_qpair *q = rdma_qpair(qpair);

	NVMUX_ASSERT(!q->conn.call.done);
	rdma_conn_destroy(q);
	TAILQ_REMOVE(&rc->qpairs, q, link);
	if (rc->adminq == q)
		rc->adminq = NULL;
	rdma_qpair_free(q);
	if (TAILQ_EMPTY(&rc->qpairs))
		device_release(rc);
	done(arg, 0, 0);
}

static void rdma_qpair_end(struct nvmux_qpair *qpair)
{
	rdma_conn_end(rdma_qpair(qpair));
}

/* That of the adapter; one in software has none. */
static int rdma_numa_node(const struct nvmux_ctrlr *ctrlr)
{
	const struct rdma_ctrlr *rc = container_of(ctrlr, const struct rdma_ctrlr, base);
	char path[IBV_SYSFS_PATH_MAX + 32];

	if (!rc->verbs)
		return -1;
	snprintf(path, sizeof(path), "%s/device/numa_node", rc->verbs->device->ibdev_path);
	return nvmux_numa_of_attribute(path);
}

const struct nvmux_transport rdma_transport = {
	.trtype = NVMUX_TRTYPE_RDMA,
	.flags = NVMUX_TRANSPORT_FABRICS,
	.enumerate = nvmux_discovery_enumerate,
	.ctrlr_alloc = rdma_ctrlr_alloc,
	.ctrlr_free = rdma_ctrlr_free,
	.ctrlr_open = rdma_ctrlr_open,
	.ctrlr_close = rdma_ctrlr_close,
	.numa_node = rdma_numa_node,
	.reg_read = rdma_reg_read,
	.reg_write = rdma_reg_write,
	.mem_map = rdma_mem_map,
	.mem_unmap = rdma_mem_unmap,
	.qpair_create = rdma_qpair_create,
	.qpair_destroy = rdma_qpair_destroy,
	.qpair_connect = rdma_conn_connect,
	.qpair_disconnect = rdma_conn_disconnect,
	.qpair_end = rdma_qpair_end,
	.quiesce = rdma_qpair_quiesce,
	.inflight = rdma_qpair_inflight,
	.repost = rdma_qpair_repost,
	.group_reap = rdma_group_reap,
	.group_arm = rdma_group_arm,
	.group_end = rdma_group_end,
	.submit = rdma_qpair_submit,
	.read = nvmux_rw_read,
	.write = nvmux_rw_write,
	.process = rdma_qpair_process,
	.qpair_get_fd = rdma_qpair_get_fd,
	.qpair_arm = rdma_qpair_arm,
};
