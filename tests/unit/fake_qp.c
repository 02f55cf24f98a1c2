// SPDX-License-Identifier: BSD-3-Clause
/*
 * The fake RDMA network: queue pairs and the wire.
 *
 * A SEND is transmitted when it is posted, unless the link is cut; the peer answers from within
 * that, so that both completions are there when post_send() returns (or come later, see
 * fake_net.order).
 */
#include <errno.h>
#include "fake_verbs_int.h"

/* With an error only wr_id, status, qp_num and vendor_err of a completion mean something. */
#define NO_OPCODE ((enum ibv_wc_opcode)0x77)

static struct fake_qp *fake_qp(struct ibv_qp *qp)
{
	return container_of(qp, struct fake_qp, qp);
}

static struct fake_cq *send_cq(const struct fake_qp *qp)
{
	return container_of(qp->qp.send_cq, struct fake_cq, cq);
}

static struct fake_cq *recv_cq(const struct fake_qp *qp)
{
	return container_of(qp->qp.recv_cq, struct fake_cq, cq);
}

/* ---- life ---- */

static int check_attr(const struct ibv_pd *pd, const struct ibv_qp_init_attr *attr)
{
	const struct ibv_device_attr *dev = &fake_device_of(pd->context)->attr;

	if (attr->qp_type != IBV_QPT_RC || attr->srq) {
		fake_violation("not a reliable connected queue pair");
		return EINVAL;
	}
	if (!attr->send_cq || !attr->recv_cq || attr->send_cq->context != pd->context ||
	    attr->recv_cq->context != pd->context) {
		fake_violation("completion queues missing, or of another device");
		return EINVAL;
	}
	if (attr->cap.max_send_wr > (uint32_t)dev->max_qp_wr ||
	    attr->cap.max_recv_wr > (uint32_t)dev->max_qp_wr ||
	    attr->cap.max_send_sge > (uint32_t)dev->max_sge ||
	    attr->cap.max_recv_sge > (uint32_t)dev->max_sge ||
	    attr->cap.max_inline_data > fake_net.inline_max)
		return EINVAL;
	return 0;
}

static void reserve(struct fake_cq *cq, uint32_t n)
{
	cq->reserved += n;
	cq->qps++;
	if (cq->reserved > cq->size)
		fake_violation("completion queue of %u entries for %u work requests", cq->size,
			       cq->reserved);
}

struct fake_qp *fake_qp_create(struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	int err = fake_device_of(pd->context)->removed ? EIO : fake_fault(FAKE_CREATE_QP);
	struct fake_qp *qp;

	if (!err)
		err = check_attr(pd, attr);
	if (err) {
		errno = err;
		return NULL;
	}
	qp = calloc(1, sizeof(*qp));
	NVMUX_ASSERT(qp);
	qp->qp = (struct ibv_qp){
		.context = pd->context,
		.qp_context = attr->qp_context,
		.pd = pd,
		.send_cq = attr->send_cq,
		.recv_cq = attr->recv_cq,
		.qp_num = fo.next_qpn++,
		.state = IBV_QPS_INIT,
		.qp_type = attr->qp_type,
	};
	qp->cap = attr->cap;
	qp->sig_all = attr->sq_sig_all;
	TAILQ_INIT(&qp->sends);
	TAILQ_INIT(&qp->unacked);
	TAILQ_INIT(&qp->done);
	TAILQ_INIT(&qp->recvs);
	TAILQ_INIT(&qp->messages);
	reserve(send_cq(qp), qp->cap.max_send_wr);
	reserve(recv_cq(qp), qp->cap.max_recv_wr);
	container_of(pd, struct fake_pd, pd)->qps++;
	fake_net.qps_made++;
	LIST_INSERT_HEAD(&fo.qps, qp, link);
	return qp;
}

static void free_wr(struct fake_wr_list *list, struct fake_wr *wr)
{
	TAILQ_REMOVE(list, wr, link);
	free(wr->inlined);
	free(wr->posted);
	free(wr);
}

static void free_wrs(struct fake_wr_list *list)
{
	while (!TAILQ_EMPTY(list))
		free_wr(list, TAILQ_FIRST(list));
}

void fake_qp_drop_messages(struct fake_qp *qp)
{
	struct fake_message *m;

	while ((m = TAILQ_FIRST(&qp->messages))) {
		TAILQ_REMOVE(&qp->messages, m, link);
		free(m);
	}
}

/* Its completions stay where they are; nobody knows whose they were. */
static void disown(struct fake_cq *cq, const struct fake_qp *qp)
{
	for (uint32_t i = 0; i < cq->n; i++) {
		struct fake_cqe *cqe = &cq->ring[(cq->head + i) % cq->size];

		if (cqe->qp == qp)
			cqe->qp = NULL;
	}
}

void fake_qp_destroy(struct fake_qp *qp)
{
	if (qp->qp.state != IBV_QPS_ERR && (qp->sq_used || !TAILQ_EMPTY(&qp->sends)))
		fake_violation("queue pair destroyed with %u SENDs posted", qp->sq_used);
	disown(send_cq(qp), qp);
	disown(recv_cq(qp), qp);
	send_cq(qp)->reserved -= qp->cap.max_send_wr;
	recv_cq(qp)->reserved -= qp->cap.max_recv_wr;
	send_cq(qp)->qps--;
	recv_cq(qp)->qps--;
	container_of(qp->qp.pd, struct fake_pd, pd)->qps--;
	if (qp->conn)
		qp->conn->qp = NULL;
	free_wrs(&qp->sends);
	free_wrs(&qp->unacked);
	free_wrs(&qp->done);
	free_wrs(&qp->recvs);
	fake_qp_drop_messages(qp);
	LIST_REMOVE(qp, link);
	free(qp);
}

/* ---- completions ---- */

static void complete_send(struct fake_qp *qp, struct fake_wr_list *list, struct fake_wr *wr,
			  enum ibv_wc_status status)
{
	const struct fake_cqe cqe = {
		.wc = {.wr_id = wr->wr_id,
		       .status = status,
		       .opcode = status ? NO_OPCODE : IBV_WC_SEND,
		       .qp_num = qp->qp.qp_num},
		.qp = qp,
		.sent = wr,
	};

	TAILQ_REMOVE(list, wr, link);
	TAILQ_INSERT_TAIL(&qp->done, wr, link);
	if (wr->signaled || (status && !fake_net.quiet_flush))
		fake_cq_push(send_cq(qp), &cqe);
}

/* A device may have sent it once more until now. */
static void check_unchanged(struct fake_qp *qp, const struct fake_wr *wr)
{
	const uint8_t *posted = wr->posted;
	const char *why;

	for (int i = 0; posted && i < wr->n_sge; i++) {
		const struct ibv_sge *s = &wr->sge[i];
		const void *now = fake_mr_find(qp->qp.pd, s->addr, s->lkey, s->length, false, 0,
					       &why);

		if (!now)
			fake_violation("segment %d of a SEND that isn't retired: %s", i, why);
		else if (memcmp(now, posted, s->length) != 0)
			fake_violation("segment %d of a SEND was changed before it was retired", i);
		posted += s->length;
	}
}

void fake_qp_retire(struct fake_qp *qp, const struct fake_wr *last)
{
	const struct fake_wr *wr = NULL;

	while (wr != last && !TAILQ_EMPTY(&qp->done)) {
		wr = TAILQ_FIRST(&qp->done);
		check_unchanged(qp, wr);
		qp->sq_used--;
		if (wr == last)
			break;
		free_wr(&qp->done, TAILQ_FIRST(&qp->done));
	}
	NVMUX_ASSERT(wr == last);
	free_wr(&qp->done, TAILQ_FIRST(&qp->done));
}

static void complete_recv(struct fake_qp *qp, enum ibv_wc_status status, uint32_t len, bool answer)
{
	struct fake_wr *wr = TAILQ_FIRST(&qp->recvs);
	const struct fake_cqe cqe = {
		.wc = {.wr_id = wr->wr_id,
		       .status = status,
		       .opcode = status ? NO_OPCODE : IBV_WC_RECV,
		       .byte_len = len,
		       .qp_num = qp->qp.qp_num},
		.qp = qp,
		.answer = answer,
	};

	fake_cq_push(recv_cq(qp), &cqe);
	free_wr(&qp->recvs, wr);
}

static void flush(struct fake_qp *qp)
{
	enum ibv_wc_status status = qp->first ? qp->first : IBV_WC_WR_FLUSH_ERR;

	while (!TAILQ_EMPTY(&qp->unacked)) {
		complete_send(qp, &qp->unacked, TAILQ_FIRST(&qp->unacked), status);
		status = IBV_WC_WR_FLUSH_ERR;
	}
	while (!TAILQ_EMPTY(&qp->sends)) {
		complete_send(qp, &qp->sends, TAILQ_FIRST(&qp->sends), status);
		status = IBV_WC_WR_FLUSH_ERR;
	}
	while (!TAILQ_EMPTY(&qp->recvs))
		complete_recv(qp, IBV_WC_WR_FLUSH_ERR, 0, false);
	qp->first = IBV_WC_SUCCESS;
}

void fake_qp_error(struct fake_qp *qp, enum ibv_wc_status status)
{
	if (qp->qp.state != IBV_QPS_ERR)
		qp->first = status;
	qp->qp.state = IBV_QPS_ERR;
	fake_qp_drop_messages(qp);
	if (!fake_net.hold_flush)
		flush(qp);
}

void fake_flush(void)
{
	struct fake_qp *qp;

	fake_lock();
	LIST_FOREACH (qp, &fo.qps, link) {
		if (qp->qp.state == IBV_QPS_ERR)
			flush(qp);
	}
	fake_unlock();
}

void fake_qp_late(struct fake_cq *cq)
{
	struct fake_wr *wr;
	struct fake_qp *qp;

	LIST_FOREACH (qp, &fo.qps, link) {
		if (send_cq(qp) != cq || qp->qp.state == IBV_QPS_ERR)
			continue;
		while ((wr = TAILQ_FIRST(&qp->unacked)) && wr->due && wr->due <= cq->polls)
			complete_send(qp, &qp->unacked, wr, IBV_WC_SUCCESS);
	}
}

int ibv_modify_qp(struct ibv_qp *q, struct ibv_qp_attr *attr, int mask)
{
	struct fake_qp *qp = fake_qp(q);
	int err = 0;

	fake_lock();
	if (fake_device_of(q->context)->removed) {
		err = EIO;
	} else if (mask != IBV_QP_STATE || attr->qp_state != IBV_QPS_ERR) {
		fake_violation("queue pair state %d", attr->qp_state);
		err = EINVAL;
	} else if (qp->qp.state != IBV_QPS_ERR) {
		fake_qp_error(qp, IBV_WC_WR_FLUSH_ERR);
	}
	fake_unlock();
	return err;
}

int ibv_query_qp(struct ibv_qp *q, struct ibv_qp_attr *attr, int mask,
		 struct ibv_qp_init_attr *init)
{
	struct fake_qp *qp = fake_qp(q);

	fake_lock();
	memset(attr, 0, sizeof(*attr));
	attr->qp_state = attr->cur_qp_state = qp->qp.state;
	memset(init, 0, sizeof(*init));
	init->cap = qp->cap;
	fake_unlock();
	return 0;
}

/* ---- receiving ---- */

static int check_sges(struct fake_qp *qp, const struct ibv_sge *sge, int n, uint32_t max,
		      unsigned access, const char *what)
{
	const char *why;

	if (n < 0 || n > FAKE_SGE_MAX || (uint32_t)n > max) {
		fake_violation("%s of %d segments, at most %u", what, n, max);
		return EINVAL;
	}
	for (int i = 0; i < n; i++) {
		if (!fake_mr_find(qp->qp.pd, sge[i].addr, sge[i].lkey, sge[i].length, false, access,
				  &why)) {
			fake_violation("%s, local access of %u bytes: %s", what, sge[i].length,
				       why);
			return EINVAL;
		}
	}
	return 0;
}

/* The first message into the first buffer. */
static void receive(struct fake_qp *qp)
{
	struct fake_message *m = TAILQ_FIRST(&qp->messages);
	struct fake_wr *wr = TAILQ_FIRST(&qp->recvs);
	size_t left = m->len, room = 0;
	const uint8_t *from = m->data;
	const char *why;

	for (int i = 0; i < wr->n_sge; i++)
		room += wr->sge[i].length;
	if (room < left) {
		TAILQ_REMOVE(&qp->messages, m, link);
		free(m);
		complete_recv(qp, IBV_WC_LOC_LEN_ERR, 0, true);
		fake_qp_error(qp, IBV_WC_WR_FLUSH_ERR);
		return;
	}
	for (int i = 0; i < wr->n_sge && left; i++) {
		size_t n = MIN(left, (size_t)wr->sge[i].length);
		void *to = fake_mr_find(qp->qp.pd, wr->sge[i].addr, wr->sge[i].lkey, n, false,
					IBV_ACCESS_LOCAL_WRITE, &why);

		if (!to) {
			fake_violation("RECV, local access: %s", why);
			return;
		}
		memcpy(to, from, n);
		from += n;
		left -= n;
	}
	complete_recv(qp, IBV_WC_SUCCESS, (uint32_t)m->len, true);
	TAILQ_REMOVE(&qp->messages, m, link);
	free(m);
}

static bool can_receive(const struct fake_qp *qp)
{
	return qp->qp.state == IBV_QPS_RTS && !fo.link_down && !TAILQ_EMPTY(&qp->messages) &&
	       !TAILQ_EMPTY(&qp->recvs);
}

int fake_conn_send(struct fake_conn *conn, const void *data, size_t len, bool lax)
{
	struct fake_qp *qp = conn->qp;
	struct fake_message *m;

	if (!conn->alive || !qp || qp->qp.state != IBV_QPS_RTS)
		return -ENOTCONN;
	NVMUX_ASSERT(len <= FAKE_MESSAGE_MAX);
	if (TAILQ_EMPTY(&qp->recvs) && !lax)
		fake_violation("no RECV is posted for an answer");
	m = malloc(sizeof(*m) + len);
	NVMUX_ASSERT(m);
	m->len = len;
	memcpy(m->data, data, len);
	TAILQ_INSERT_TAIL(&qp->messages, m, link);
	while (can_receive(qp))
		receive(qp);
	return 0;
}

int fake_post_recv(struct ibv_qp *q, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	struct fake_qp *qp = fake_qp(q);
	struct fake_wr *own;
	int err;

	fake_lock();
	err = fake_fault(FAKE_POST_RECV);
	for (; wr && !err; wr = wr->next) {
		*bad = wr;
		if (qp->rq_used == qp->cap.max_recv_wr) {
			fake_violation("RECV beyond max_recv_wr %u", qp->cap.max_recv_wr);
			err = ENOMEM;
			break;
		}
		err = check_sges(qp, wr->sg_list, wr->num_sge, qp->cap.max_recv_sge,
				 IBV_ACCESS_LOCAL_WRITE, "RECV");
		if (err)
			break;
		own = calloc(1, sizeof(*own));
		NVMUX_ASSERT(own);
		own->wr_id = wr->wr_id;
		own->n_sge = wr->num_sge;
		memcpy(own->sge, wr->sg_list, (size_t)wr->num_sge * sizeof(own->sge[0]));
		TAILQ_INSERT_TAIL(&qp->recvs, own, link);
		qp->rq_used++;
	}
	if (err)
		*bad = wr;
	if (qp->qp.state == IBV_QPS_ERR && !fake_net.hold_flush)
		flush(qp);
	while (can_receive(qp))
		receive(qp);
	fake_unlock();
	return err;
}

/* ---- sending ---- */

static size_t gather(struct fake_qp *qp, const struct fake_wr *wr, uint8_t *buf)
{
	size_t len = 0;
	const char *why;

	if (wr->inlined) {
		memcpy(buf, wr->inlined, wr->inline_len);
		return wr->inline_len;
	}
	for (int i = 0; i < wr->n_sge; i++) {
		const struct ibv_sge *s = &wr->sge[i];
		const void *from = fake_mr_find(qp->qp.pd, s->addr, s->lkey, s->length, false, 0,
						&why);

		if (!from || len + s->length > FAKE_MESSAGE_MAX) {
			fake_violation("SEND, local access: %s", from ? "too much" : why);
			return 0;
		}
		memcpy(buf + len, from, s->length);
		len += s->length;
	}
	return len;
}

static int order_of_this(void)
{
	if (fake_net.order != FAKE_RANDOM)
		return (int)fake_net.order;
	return (int)(random() % 3);
}

static void acked(struct fake_qp *qp, const struct fake_wr *wr)
{
	struct fake_wr *at;

	/* The peer may have ended the connection meanwhile, and this with it. */
	TAILQ_FOREACH (at, &qp->unacked, link) {
		if (at == wr) {
			complete_send(qp, &qp->unacked, at, IBV_WC_SUCCESS);
			return;
		}
	}
}

static void transmit(struct fake_qp *qp, struct fake_wr *wr)
{
	uint8_t *buf = malloc(FAKE_MESSAGE_MAX);
	int order = order_of_this();
	struct fake_conn *conn = qp->conn;
	size_t len;

	NVMUX_ASSERT(buf);
	len = gather(qp, wr, buf);
	TAILQ_REMOVE(&qp->sends, wr, link);
	TAILQ_INSERT_TAIL(&qp->unacked, wr, link);
	/* Completions of one send queue come in its order. */
	if (wr != TAILQ_FIRST(&qp->unacked) || order == FAKE_SEND_LATE)
		wr->due = send_cq(qp)->polls + MAX(fake_net.late, 2u);
	else if (order == FAKE_SEND_FIRST)
		acked(qp, wr);
	conn->inflight++;
	fake_net.max_inflight = MAX(fake_net.max_inflight, conn->inflight);
	if (conn->crqsize && conn->inflight > conn->crqsize)
		fake_violation("%u capsules in flight, the peer has room for %u", conn->inflight,
			       conn->crqsize);
	conn->listener->ops->message(conn->listener->arg, conn, buf, len);
	free(buf);
	if (order == FAKE_RECV_FIRST && TAILQ_FIRST(&qp->unacked) == wr && !wr->due)
		acked(qp, wr);
}

void fake_qp_run(struct fake_qp *qp)
{
	if (qp->running)
		return;
	qp->running = true;
	while (can_receive(qp))
		receive(qp);
	while (qp->qp.state == IBV_QPS_RTS && !fo.link_down && qp->conn->alive &&
	       !TAILQ_EMPTY(&qp->sends))
		transmit(qp, TAILQ_FIRST(&qp->sends));
	qp->running = false;
}

static struct fake_wr *copy_send(struct fake_qp *qp, const struct ibv_send_wr *wr)
{
	struct fake_wr *own = calloc(1, sizeof(*own));

	NVMUX_ASSERT(own);
	own->wr_id = wr->wr_id;
	own->n_sge = wr->num_sge;
	own->signaled = qp->sig_all || (wr->send_flags & IBV_SEND_SIGNALED);
	memcpy(own->sge, wr->sg_list, (size_t)wr->num_sge * sizeof(own->sge[0]));
	fake_net.sends++;
	fake_net.signaled += own->signaled;
	if (wr->num_sge > 1)
		fake_net.sent_from = wr->sg_list[1].addr;
	if (!(wr->send_flags & IBV_SEND_INLINE)) {
		own->posted = malloc(FAKE_MESSAGE_MAX);
		NVMUX_ASSERT(own->posted);
		gather(qp, own, own->posted);
		return own;
	}
	fake_net.inlined++;
	own->inlined = malloc(qp->cap.max_inline_data);
	NVMUX_ASSERT(own->inlined);
	for (int i = 0; i < wr->num_sge; i++) {
		memcpy(own->inlined + own->inline_len, (void *)(uintptr_t)wr->sg_list[i].addr,
		       wr->sg_list[i].length);
		own->inline_len += wr->sg_list[i].length;
	}
	own->n_sge = 0;
	return own;
}

static int check_send(struct fake_qp *qp, const struct ibv_send_wr *wr)
{
	uint32_t len = 0;

	if (qp->qp.state != IBV_QPS_RTS && qp->qp.state != IBV_QPS_ERR) {
		fake_violation("SEND before the connection is established");
		return EINVAL;
	}
	if (wr->opcode != IBV_WR_SEND) {
		fake_violation("work request with opcode %d", wr->opcode);
		return EINVAL;
	}
	if (qp->sq_used == qp->cap.max_send_wr) {
		fake_violation("SEND beyond max_send_wr %u", qp->cap.max_send_wr);
		return ENOMEM;
	}
	if (!(wr->send_flags & IBV_SEND_INLINE))
		return check_sges(qp, wr->sg_list, wr->num_sge, qp->cap.max_send_sge, 0, "SEND");
	for (int i = 0; i < wr->num_sge; i++)
		len += wr->sg_list[i].length;
	if (len > qp->cap.max_inline_data || wr->num_sge > FAKE_SGE_MAX) {
		fake_violation("%u bytes inline, at most %u", len, qp->cap.max_inline_data);
		return EINVAL;
	}
	return 0;
}

int fake_post_send(struct ibv_qp *q, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	struct fake_qp *qp = fake_qp(q);
	struct fake_wr *own;
	int err;

	fake_lock();
	err = fake_fault(FAKE_POST_SEND);
	fake_net.doorbells++;
	for (; wr && !err; wr = wr->next) {
		*bad = wr;
		err = check_send(qp, wr);
		if (err)
			break;
		own = copy_send(qp, wr);
		TAILQ_INSERT_TAIL(&qp->sends, own, link);
		qp->sq_used++;
		fake_net.max_sends = MAX(fake_net.max_sends, qp->sq_used);
	}
	if (err)
		*bad = wr;
	if (qp->qp.state == IBV_QPS_ERR && !fake_net.hold_flush)
		flush(qp);
	fake_qp_run(qp);
	fake_unlock();
	return err;
}

/* ---- the peer's access to memory ---- */

static int access_memory(struct fake_conn *conn, uint64_t addr, uint32_t rkey, void *buf,
			 size_t len, unsigned access)
{
	struct fake_qp *qp = conn->qp;
	const char *why;
	void *host;

	if (!conn->alive || !qp || qp->qp.state != IBV_QPS_RTS)
		return -ENOTCONN;
	host = fake_mr_find(qp->qp.pd, addr, rkey, len, true, access, &why);
	if (!host) {
		fake_violation("remote access of %zu bytes: %s", len, why);
		fake_qp_error(qp, IBV_WC_WR_FLUSH_ERR);
		return -EACCES;
	}
	if (access == IBV_ACCESS_REMOTE_READ)
		memcpy(buf, host, len);
	else
		memcpy(host, buf, len);
	return 0;
}

int fake_conn_read(struct fake_conn *conn, uint64_t addr, uint32_t rkey, void *buf, size_t len)
{
	return access_memory(conn, addr, rkey, buf, len, IBV_ACCESS_REMOTE_READ);
}

int fake_conn_write(struct fake_conn *conn, uint64_t addr, uint32_t rkey, const void *buf,
		    size_t len)
{
	union {
		const void *in;
		void *out;
	} u = {.in = buf};

	return access_memory(conn, addr, rkey, u.out, len, IBV_ACCESS_REMOTE_WRITE);
}

/* ---- the link ---- */

void fake_link(bool up)
{
	struct fake_qp *qp;

	fake_lock();
	fo.link_down = !up;
	if (up) {
		LIST_FOREACH (qp, &fo.qps, link) {
			if (qp->conn)
				fake_qp_run(qp);
		}
	}
	fake_unlock();
}

void fake_link_expire(enum ibv_wc_status status)
{
	struct fake_qp *qp;

	fake_lock();
	LIST_FOREACH (qp, &fo.qps, link) {
		fake_qp_drop_messages(qp);
		if (qp->qp.state == IBV_QPS_RTS && !TAILQ_EMPTY(&qp->sends))
			fake_qp_error(qp, status);
	}
	fake_unlock();
}

void fake_qps_fail(enum ibv_wc_status status)
{
	struct fake_qp *qp;

	fake_lock();
	LIST_FOREACH (qp, &fo.qps, link) {
		if (qp->qp.state == IBV_QPS_RTS)
			fake_qp_error(qp, status);
	}
	fake_unlock();
}
