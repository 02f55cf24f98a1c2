// SPDX-License-Identifier: BSD-3-Clause
/* The fake RDMA network: the connection manager, and connections as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "fake_verbs_int.h"

#define REQUEST_MAX 148 /* bytes of private data, as InfiniBand has it */
#define REPLY_SIZE  196
#define REJECT_SIZE 148

struct cm_event {
	struct rdma_cm_event ev;
	uint8_t data[256];
	TAILQ_ENTRY(cm_event) link;
};
TAILQ_HEAD(cm_event_list, cm_event);

struct cm_channel {
	struct rdma_event_channel ch;
	struct cm_event_list events;
	unsigned ids;
};

enum cm_state {
	CM_IDLE,
	CM_ADDR,
	CM_ROUTE,
	CM_CONNECTING,
	CM_CONNECTED,
	CM_DISCONNECTED,
};

struct cm_id {
	struct rdma_cm_id id;
	pthread_t thread; /* that made it */
	enum cm_state state;
	bool pending; /* a step is under way */
	unsigned unacked;
	struct fake_conn *conn;
	LIST_ENTRY(cm_id) link;
};

static struct {
	LIST_HEAD(, cm_id) ids;
	unsigned channels;
	struct fake_peer *peers;
	struct {
		enum fake_cm_kind kind;
		int status;
		unsigned times;
	} faults[FAKE_CM_STEPS];
	struct fake_conn **conns;
	uint32_t n_conns;
} cm;

static struct cm_id *cm_id(struct rdma_cm_id *id)
{
	return container_of(id, struct cm_id, id);
}

static struct cm_channel *channel_of(const struct cm_id *id)
{
	return container_of(id->id.channel, struct cm_channel, ch);
}

void fake_cm_begin(void)
{
	memset(&cm, 0, sizeof(cm));
}

unsigned fake_cm_left(void)
{
	unsigned n = cm.channels;
	struct cm_id *id;

	LIST_FOREACH (id, &cm.ids, link)
		n++;
	return n;
}

void fake_cm_end(void)
{
	for (uint32_t i = 0; i < cm.n_conns; i++)
		free(cm.conns[i]);
	free(cm.conns);
	cm.conns = NULL;
	cm.n_conns = 0;
}

void fake_cm_fault(enum fake_cm_step step, enum fake_cm_kind kind, int status, unsigned times)
{
	fake_lock();
	cm.faults[step].kind = kind;
	cm.faults[step].status = status;
	cm.faults[step].times = times;
	fake_unlock();
}

static enum fake_cm_kind fault_of(enum fake_cm_step step, int *status)
{
	if (!cm.faults[step].times)
		return FAKE_CM_OK;
	cm.faults[step].times--;
	*status = cm.faults[step].status;
	return cm.faults[step].kind;
}

/* ---- events ---- */

struct rdma_event_channel *rdma_create_event_channel(void)
{
	struct cm_channel *ch = NULL;
	int err;

	fake_lock();
	err = fake_fault(FAKE_CREATE_EVENT_CHANNEL);
	if (!err) {
		ch = calloc(1, sizeof(*ch));
		NVMUX_ASSERT(ch);
		ch->ch.fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
		NVMUX_ASSERT(ch->ch.fd >= 0);
		TAILQ_INIT(&ch->events);
		cm.channels++;
	}
	fake_unlock();
	errno = err ? err : errno;
	return ch ? &ch->ch : NULL;
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
	struct cm_channel *ch = container_of(channel, struct cm_channel, ch);

	fake_lock();
	if (ch->ids)
		fake_violation("event channel destroyed with %u connection ids", ch->ids);
	cm.channels--;
	close(ch->ch.fd);
	free(ch);
	fake_unlock();
}

static void put_event(struct cm_id *id, enum rdma_cm_event_type type, int status, const void *data,
		      size_t len, size_t padded)
{
	struct cm_event *e = calloc(1, sizeof(*e));
	const uint64_t one = 1;

	NVMUX_ASSERT(e && len <= sizeof(e->data));
	e->ev.id = &id->id;
	e->ev.event = type;
	e->ev.status = status;
	if (len)
		memcpy(e->data, data, len);
	if (!fake_net.exact_private_data)
		len = MAX(len, padded);
	e->ev.param.conn.private_data = len ? e->data : NULL;
	e->ev.param.conn.private_data_len = (uint8_t)MIN(len, 255u);
	TAILQ_INSERT_TAIL(&channel_of(id)->events, e, link);
	NVMUX_ASSERT(write(id->id.channel->fd, &one, sizeof(one)) == sizeof(one));
}

int rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **ret)
{
	struct cm_channel *ch = container_of(channel, struct cm_channel, ch);
	int flags = fcntl(channel->fd, F_GETFL);
	struct cm_event *e;
	struct cm_id *id;
	uint64_t one;

	fake_lock();
	e = TAILQ_FIRST(&ch->events);
	if (e) {
		TAILQ_REMOVE(&ch->events, e, link);
		NVMUX_ASSERT(read(channel->fd, &one, sizeof(one)) == sizeof(one));
		id = cm_id(e->ev.id);
		id->unacked++;
		/* The library brings the queue pair into operation with this event. */
		if (e->ev.event == RDMA_CM_EVENT_ESTABLISHED && id->id.qp &&
		    id->id.qp->state == IBV_QPS_INIT)
			id->id.qp->state = IBV_QPS_RTS;
		*ret = &e->ev;
	} else if (!(flags & O_NONBLOCK)) {
		fake_violation("rdma_get_cm_event() blocks for ever");
	}
	fake_unlock();
	errno = e ? errno : EAGAIN;
	return e ? 0 : -1;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
	struct cm_event *e = container_of(event, struct cm_event, ev);

	fake_lock();
	cm_id(e->ev.id)->unacked--;
	/* What it points to isn't to be used any more. */
	memset(e, 0xee, sizeof(*e));
	free(e);
	fake_unlock();
	return 0;
}

/* ---- ids ---- */

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **ret, void *context,
		   enum rdma_port_space ps)
{
	struct cm_id *id = NULL;
	int err;

	fake_lock();
	err = fake_fault(FAKE_CREATE_ID);
	if (!channel || ps != RDMA_PS_TCP) {
		fake_violation("id without an event channel, or of another port space");
		err = EINVAL;
	}
	if (!err) {
		id = calloc(1, sizeof(*id));
		NVMUX_ASSERT(id);
		id->thread = pthread_self();
		id->id.channel = channel;
		id->id.context = context;
		id->id.ps = ps;
		id->id.qp_type = IBV_QPT_RC;
		channel_of(id)->ids++;
		LIST_INSERT_HEAD(&cm.ids, id, link);
		*ret = &id->id;
	}
	fake_unlock();
	errno = err ? err : errno;
	return err ? -1 : 0;
}

static void peer_closes(struct fake_conn *conn)
{
	if (!conn || !conn->alive)
		return;
	conn->alive = false;
	if (conn->listener->ops->closed)
		conn->listener->ops->closed(conn->listener->arg, conn);
}

static void drop_events(struct cm_id *id)
{
	struct cm_channel *ch = channel_of(id);
	struct cm_event *e, *next;
	uint64_t one;

	for (e = TAILQ_FIRST(&ch->events); e; e = next) {
		next = TAILQ_NEXT(e, link);
		if (e->ev.id != &id->id)
			continue;
		TAILQ_REMOVE(&ch->events, e, link);
		NVMUX_ASSERT(read(ch->ch.fd, &one, sizeof(one)) == sizeof(one));
		free(e);
	}
}

int rdma_destroy_id(struct rdma_cm_id *i)
{
	struct cm_id *id = cm_id(i);

	fake_lock();
	if (id->unacked)
		fake_violation("id destroyed with %u events that weren't acknowledged: blocks for "
			       "ever",
			       id->unacked);
	if (id->id.qp)
		fake_violation("id destroyed with its queue pair");
	if (id->conn) {
		id->conn->id = NULL;
		if (!fo.link_down)
			peer_closes(id->conn);
	}
	drop_events(id);
	channel_of(id)->ids--;
	LIST_REMOVE(id, link);
	free(id);
	fake_unlock();
	return 0;
}

int rdma_set_option(struct rdma_cm_id *i, int level, int optname, void *optval, size_t optlen)
{
	int err = 0;

	fake_lock();
	if (level == RDMA_OPTION_ID && optname == RDMA_OPTION_ID_ACK_TIMEOUT && optlen == 1)
		fake_net.ack_timeout = *(uint8_t *)optval;
	else if (level != RDMA_OPTION_ID)
		err = ENOSYS;
	fake_unlock();
	errno = err ? err : errno;
	return err ? -1 : 0;
}

/* ---- addresses ---- */

static size_t sockaddr_size(const struct sockaddr *sa)
{
	return sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static int bind_id(struct cm_id *id, const struct sockaddr *addr)
{
	struct fake_device *dev;
	char text[64];
	uint16_t port;

	fake_print_addr(addr, text, &port);
	dev = fake_device_at(text);
	if (!dev)
		return EADDRNOTAVAIL;
	memcpy(&id->id.route.addr.src_storage, addr, sockaddr_size(addr));
	id->id.verbs = &dev->ctx;
	id->id.port_num = 1;
	return 0;
}

int rdma_bind_addr(struct rdma_cm_id *i, struct sockaddr *addr)
{
	int err;

	fake_lock();
	err = fake_fault(FAKE_BIND_ADDR);
	if (!err)
		err = bind_id(cm_id(i), addr);
	fake_unlock();
	errno = err ? err : errno;
	return err ? -1 : 0;
}

static int check_state(const struct cm_id *id, enum cm_state state, const char *what)
{
	if (id->state == state && !id->pending)
		return 0;
	if (id->id.verbs && fake_device_of(id->id.verbs)->removed)
		return ENODEV;
	fake_violation("%s in state %d", what, id->state);
	return EINVAL;
}

static void resolved(struct cm_id *id, const struct sockaddr *dst)
{
	struct fake_device *dev;
	char text[64];
	uint16_t port;
	int status = 0;
	enum fake_cm_kind kind = fault_of(FAKE_CM_ADDR, &status);

	id->pending = true;
	if (kind == FAKE_CM_SILENT)
		return;
	fake_print_addr(dst, text, &port);
	dev = id->id.verbs ? fake_device_of(id->id.verbs) : fake_device_for(text);
	if (kind != FAKE_CM_OK || !dev) {
		put_event(id, RDMA_CM_EVENT_ADDR_ERROR, kind ? status : -ENODEV, NULL, 0, 0);
		return;
	}
	memcpy(&id->id.route.addr.dst_storage, dst, sockaddr_size(dst));
	id->id.verbs = &dev->ctx;
	id->id.port_num = 1;
	id->state = CM_ADDR;
	id->pending = false;
	put_event(id, RDMA_CM_EVENT_ADDR_RESOLVED, 0, NULL, 0, 0);
}

int rdma_resolve_addr(struct rdma_cm_id *i, struct sockaddr *src, struct sockaddr *dst,
		      int timeout_ms)
{
	struct cm_id *id = cm_id(i);
	int err;

	fake_lock();
	err = fake_fault(FAKE_RESOLVE_ADDR);
	if (!err)
		err = check_state(id, CM_IDLE, "rdma_resolve_addr()");
	if (!err && timeout_ms <= 0)
		err = EINVAL;
	if (!err && src)
		err = bind_id(id, src);
	if (!err)
		resolved(id, dst);
	fake_unlock();
	errno = err ? err : errno;
	return err ? -1 : 0;
}

int rdma_resolve_route(struct rdma_cm_id *i, int timeout_ms)
{
	struct cm_id *id = cm_id(i);
	int err, status = 0;
	enum fake_cm_kind kind;

	fake_lock();
	err = fake_fault(FAKE_RESOLVE_ROUTE);
	if (!err)
		err = check_state(id, CM_ADDR, "rdma_resolve_route()");
	if (!err) {
		kind = fault_of(FAKE_CM_ROUTE, &status);
		id->pending = kind != FAKE_CM_OK;
		id->state = kind == FAKE_CM_OK ? CM_ROUTE : id->state;
		if (kind == FAKE_CM_OK)
			put_event(id, RDMA_CM_EVENT_ROUTE_RESOLVED, 0, NULL, 0, 0);
		else if (kind != FAKE_CM_SILENT)
			put_event(id, RDMA_CM_EVENT_ROUTE_ERROR, status, NULL, 0, 0);
	}
	fake_unlock();
	errno = err ? err : errno;
	return err ? -1 : 0;
}

/* ---- queue pairs ---- */

int rdma_create_qp(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	struct fake_qp *qp = NULL;
	int err = 0;

	fake_lock();
	if (!id->verbs || !pd || pd->context != id->verbs || id->qp) {
		fake_violation("queue pair on an id without a device, or of another one's domain");
		err = EINVAL;
	} else {
		qp = fake_qp_create(pd, attr);
		err = qp ? 0 : errno;
	}
	if (qp) {
		id->qp = &qp->qp;
		id->pd = pd;
		id->send_cq = attr->send_cq;
		id->recv_cq = attr->recv_cq;
	}
	fake_unlock();
	errno = err ? err : errno;
	return err ? -1 : 0;
}

void rdma_destroy_qp(struct rdma_cm_id *id)
{
	fake_lock();
	if (!pthread_equal(cm_id(id)->thread, pthread_self()))
		fake_violation("a queue pair is destroyed by another thread than its id's");
	if (id->qp)
		fake_qp_destroy(container_of(id->qp, struct fake_qp, qp));
	else
		fake_violation("no queue pair to destroy");
	id->qp = NULL;
	fake_unlock();
}

/* ---- connecting ---- */

void fake_listen(struct fake_peer *peer, const char *addr, uint16_t port,
		 const struct fake_peer_ops *ops, void *arg)
{
	fake_lock();
	*peer = (struct fake_peer){.port = port, .ops = ops, .arg = arg, .listening = true};
	snprintf(peer->addr, sizeof(peer->addr), "%s", addr);
	peer->next = cm.peers;
	cm.peers = peer;
	fake_unlock();
}

void fake_unlisten(struct fake_peer *peer)
{
	fake_lock();
	peer->listening = false;
	fake_unlock();
}

static const struct fake_peer *find_peer(const struct cm_id *id)
{
	const struct fake_peer *p;
	char text[64];
	uint16_t port = 0;

	fake_print_addr(&id->id.route.addr.dst_addr, text, &port);
	for (p = cm.peers; p; p = p->next) {
		if (p->listening && p->port == port && strcmp(p->addr, text) == 0)
			return p;
	}
	return NULL;
}

static struct fake_conn *new_conn(struct cm_id *id, const struct fake_peer *peer)
{
	struct fake_conn *conn = calloc(1, sizeof(*conn));

	NVMUX_ASSERT(conn);
	cm.conns = realloc(cm.conns, (cm.n_conns + 1) * sizeof(struct fake_conn *));
	NVMUX_ASSERT(cm.conns);
	cm.conns[cm.n_conns++] = conn;
	conn->serial = cm.n_conns;
	conn->alive = true;
	conn->listener = peer;
	conn->qp = container_of(id->id.qp, struct fake_qp, qp);
	conn->id = &id->id;
	conn->qp->conn = conn;
	id->conn = conn;
	return conn;
}

static void ask_peer(struct cm_id *id, const struct fake_peer *peer,
		     const struct rdma_conn_param *param)
{
	struct fake_reply reply = {.answer = FAKE_ACCEPT};
	struct fake_conn *conn = new_conn(id, peer);

	peer->ops->connect(peer->arg, conn, param->private_data, param->private_data_len, &reply);
	if (reply.answer == FAKE_SILENT)
		return;
	if (reply.answer == FAKE_REJECT) {
		conn->alive = false;
		put_event(id, RDMA_CM_EVENT_REJECTED, reply.reason, reply.data, reply.len,
			  REJECT_SIZE);
		return;
	}
	id->state = CM_CONNECTED;
	id->pending = false;
	put_event(id, RDMA_CM_EVENT_ESTABLISHED, 0, reply.data, reply.len, REPLY_SIZE);
}

static void do_connect(struct cm_id *id, const struct rdma_conn_param *param)
{
	const struct fake_peer *peer = find_peer(id);
	int status = 0;
	enum fake_cm_kind kind = fault_of(FAKE_CM_CONNECT, &status);

	id->state = CM_CONNECTING;
	id->pending = true;
	fake_net.rnr_retry = param->rnr_retry_count;
	fake_net.retry = param->retry_count;
	if (kind == FAKE_CM_SILENT)
		return;
	if (kind == FAKE_CM_ERROR)
		put_event(id, RDMA_CM_EVENT_CONNECT_ERROR, status, NULL, 0, 0);
	else if (kind == FAKE_CM_REJECT)
		put_event(id, RDMA_CM_EVENT_REJECTED, status, NULL, 0, REJECT_SIZE);
	else if (kind == FAKE_CM_UNREACHABLE || fo.link_down)
		put_event(id, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT, NULL, 0, 0);
	else if (!peer)
		put_event(id, RDMA_CM_EVENT_REJECTED, 8, NULL, 0, REJECT_SIZE);
	else
		ask_peer(id, peer, param);
}

int rdma_connect(struct rdma_cm_id *i, struct rdma_conn_param *param)
{
	struct cm_id *id = cm_id(i);
	int err;

	fake_lock();
	err = fake_device_of(i->verbs)->removed ? ENODEV : fake_fault(FAKE_CONNECT);
	if (!err)
		err = check_state(id, CM_ROUTE, "rdma_connect()");
	if (!err && (!i->qp || param->private_data_len > REQUEST_MAX || param->retry_count > 7 ||
		     param->rnr_retry_count > 7)) {
		fake_violation("rdma_connect() without a queue pair or with wrong parameters");
		err = EINVAL;
	}
	if (!err)
		do_connect(id, param);
	fake_unlock();
	errno = err ? err : errno;
	return err ? -1 : 0;
}

static void disconnected(struct cm_id *id)
{
	if (id->state != CM_CONNECTED)
		return;
	id->state = CM_DISCONNECTED;
	put_event(id, RDMA_CM_EVENT_DISCONNECTED, 0, NULL, 0, 0);
	put_event(id, RDMA_CM_EVENT_TIMEWAIT_EXIT, 0, NULL, 0, 0);
}

int rdma_disconnect(struct rdma_cm_id *i)
{
	struct cm_id *id = cm_id(i);
	int err = 0;

	fake_lock();
	if (i->qp && i->qp->state != IBV_QPS_ERR && !fake_device_of(i->verbs)->removed)
		fake_qp_error(container_of(i->qp, struct fake_qp, qp), IBV_WC_WR_FLUSH_ERR);
	if (id->state != CM_CONNECTED && id->state != CM_DISCONNECTED) {
		err = EINVAL;
	} else if (!fo.link_down) {
		peer_closes(id->conn);
		disconnected(id);
	}
	fake_unlock();
	errno = err ? err : errno;
	return err ? -1 : 0;
}

void fake_conn_disconnect(struct fake_conn *conn, bool quietly)
{
	fake_lock();
	conn->alive = false;
	if (!quietly && conn->id && !fo.link_down)
		disconnected(cm_id(conn->id));
	fake_unlock();
}

/* ---- the network ---- */

void fake_cm_removed(struct fake_device *dev)
{
	struct cm_id *id;

	LIST_FOREACH (id, &cm.ids, link) {
		if (id->id.verbs != &dev->ctx)
			continue;
		if (id->conn)
			id->conn->alive = false;
		id->state = CM_DISCONNECTED;
		put_event(id, RDMA_CM_EVENT_DEVICE_REMOVAL, 0, NULL, 0, 0);
	}
}

static void die(bool tell_peer, bool tell_host)
{
	fake_lock();
	for (uint32_t i = 0; i < cm.n_conns; i++) {
		struct fake_conn *conn = cm.conns[i];

		if (!conn->alive)
			continue;
		if (tell_peer)
			peer_closes(conn);
		conn->alive = false;
		if (tell_host && conn->id)
			disconnected(cm_id(conn->id));
	}
	fake_unlock();
}

void fake_conns_die(bool tell_peer)
{
	die(tell_peer, false);
}

void fake_conns_disconnect(bool tell_peer)
{
	die(tell_peer, true);
}
