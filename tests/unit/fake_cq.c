// SPDX-License-Identifier: BSD-3-Clause
/* The fake RDMA network: completion channels and completion queues. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "fake_verbs_int.h"

static struct fake_cq *fake_cq(struct ibv_cq *cq)
{
	return container_of(cq, struct fake_cq, cq);
}

/* ---- channels ---- */

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
	struct fake_channel *ch = NULL;
	int err;

	fake_lock();
	err = fake_device_of(context)->removed ? EIO : fake_fault(FAKE_CREATE_CHANNEL);
	if (!err) {
		ch = calloc(1, sizeof(*ch));
		NVMUX_ASSERT(ch);
		ch->ch.context = context;
		ch->ch.fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
		NVMUX_ASSERT(ch->ch.fd >= 0);
		LIST_INSERT_HEAD(&fo.channels, ch, link);
	}
	fake_unlock();
	errno = err ? err : errno;
	return ch ? &ch->ch : NULL;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
	struct fake_channel *ch = container_of(channel, struct fake_channel, ch);
	int err = 0;

	fake_lock();
	if (ch->cqs) {
		fake_violation("completion channel destroyed with %u completion queues", ch->cqs);
		err = EBUSY;
	} else {
		LIST_REMOVE(ch, link);
		close(ch->ch.fd);
		free(ch);
	}
	fake_unlock();
	return err;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **ret, void **ret_context)
{
	struct fake_cq *cq;
	int flags = fcntl(channel->fd, F_GETFL);
	uint64_t one;

	fake_lock();
	LIST_FOREACH (cq, &fo.cqs, link) {
		if (cq->cq.channel == channel && cq->events)
			break;
	}
	if (cq) {
		cq->events--;
		cq->unacked++;
		NVMUX_ASSERT(read(channel->fd, &one, sizeof(one)) == sizeof(one));
		*ret = &cq->cq;
		*ret_context = cq->cq.cq_context;
	} else if (!(flags & O_NONBLOCK)) {
		fake_violation("ibv_get_cq_event() blocks for ever");
	}
	fake_unlock();
	errno = cq ? errno : EAGAIN;
	return cq ? 0 : -1;
}

void ibv_ack_cq_events(struct ibv_cq *c, unsigned int n)
{
	struct fake_cq *cq = fake_cq(c);

	fake_lock();
	if (n > cq->unacked)
		fake_violation("%u completion events acknowledged, there were %u", n, cq->unacked);
	cq->unacked -= MIN(n, cq->unacked);
	fake_unlock();
}

/* ---- queues ---- */

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int cqe, void *cq_context,
			     struct ibv_comp_channel *channel, int vector)
{
	struct fake_device *dev = fake_device_of(context);
	struct fake_cq *cq = NULL;
	int err;

	fake_lock();
	err = dev->removed ? EIO : fake_fault(FAKE_CREATE_CQ);
	if (cqe < 1 || cqe > dev->attr.max_cqe || vector < 0 || vector >= context->num_comp_vectors)
		err = EINVAL;
	if (channel && channel->context != context) {
		fake_violation("completion channel of another device");
		err = EINVAL;
	}
	if (!err) {
		cq = calloc(1, sizeof(*cq));
		NVMUX_ASSERT(cq);
		cq->cq = (struct ibv_cq){.context = context,
					 .channel = channel,
					 .cq_context = cq_context,
					 .cqe = cqe};
		cq->size = (uint32_t)cqe;
		cq->ring = calloc(cq->size, sizeof(*cq->ring));
		NVMUX_ASSERT(cq->ring);
		if (channel)
			container_of(channel, struct fake_channel, ch)->cqs++;
		fake_net.cqs_made++;
		LIST_INSERT_HEAD(&fo.cqs, cq, link);
	}
	fake_unlock();
	errno = err ? err : errno;
	return cq ? &cq->cq : NULL;
}

int ibv_resize_cq(struct ibv_cq *c, int cqe)
{
	struct fake_cq *cq = fake_cq(c);
	struct fake_device *dev = fake_device_of(c->context);
	struct fake_cqe *ring;
	int err;

	fake_lock();
	err = dev->removed ? EIO : fake_fault(FAKE_RESIZE_CQ);
	if (!err && fake_net.resize_unsupported)
		err = ENOSYS;
	if (!err && (cqe < 1 || cqe > dev->attr.max_cqe || (uint32_t)cqe < cq->n))
		err = EINVAL;
	if (!err) {
		ring = calloc((size_t)cqe, sizeof(*ring));
		NVMUX_ASSERT(ring);
		for (uint32_t i = 0; i < cq->n; i++)
			ring[i] = cq->ring[(cq->head + i) % cq->size];
		free(cq->ring);
		cq->ring = ring;
		cq->head = 0;
		cq->size = (uint32_t)cqe;
		cq->cq.cqe = cqe;
		if (cq->reserved > cq->size)
			fake_violation("completion queue of %u entries for %u work requests",
				       cq->size, cq->reserved);
	}
	fake_unlock();
	return err;
}

int ibv_destroy_cq(struct ibv_cq *c)
{
	struct fake_cq *cq = fake_cq(c);
	uint64_t one;
	int err = 0;

	fake_lock();
	if (cq->qps) {
		fake_violation("completion queue destroyed with %u queue pairs", cq->qps);
		err = EBUSY;
	} else {
		if (cq->unacked)
			fake_violation("completion queue destroyed with %u events that weren't "
				       "acknowledged: blocks for ever",
				       cq->unacked);
		while (cq->events--)
			NVMUX_ASSERT(read(c->channel->fd, &one, sizeof(one)) == sizeof(one));
		if (c->channel)
			container_of(c->channel, struct fake_channel, ch)->cqs--;
		LIST_REMOVE(cq, link);
		free(cq->ring);
		free(cq);
	}
	fake_unlock();
	return err;
}

static void notify(struct fake_cq *cq)
{
	const uint64_t one = 1;

	if (!cq->armed)
		return;
	if (cq->armed_for > 1) {
		cq->armed_for--;
		return;
	}
	cq->armed = false;
	if (!cq->cq.channel)
		return;
	cq->events++;
	NVMUX_ASSERT(write(cq->cq.channel->fd, &one, sizeof(one)) == sizeof(one));
}

static void overflow(struct fake_cq *cq)
{
	struct fake_qp *qp;

	fake_violation("completion queue of %u entries overflows", cq->size);
	cq->dead = true;
	LIST_FOREACH (qp, &fo.qps, link) {
		if (qp->qp.send_cq == &cq->cq || qp->qp.recv_cq == &cq->cq)
			fake_qp_error(qp, IBV_WC_FATAL_ERR);
	}
}

void fake_cq_push(struct fake_cq *cq, const struct fake_cqe *cqe)
{
	if (cq->dead || fake_device_of(cq->cq.context)->dead)
		return;
	if (cq->n == cq->size) {
		overflow(cq);
		return;
	}
	cq->ring[(cq->head + cq->n++) % cq->size] = *cqe;
	notify(cq);
}

static struct ibv_wc take(struct fake_cq *cq)
{
	struct fake_cqe cqe = cq->ring[cq->head];
	struct fake_qp *qp = cqe.qp;

	cq->head = (cq->head + 1) % cq->size;
	cq->n--;
	if (qp && cqe.sent)
		fake_qp_retire(qp, cqe.sent);
	else if (qp)
		qp->rq_used--;
	if (qp && cqe.answer && qp->conn && qp->conn->inflight)
		qp->conn->inflight--;
	return cqe.wc;
}

int fake_poll_cq(struct ibv_cq *c, int max, struct ibv_wc *wc)
{
	struct fake_cq *cq = fake_cq(c);
	int n = 0;

	fake_lock();
	cq->polls++;
	fake_net.polls++;
	fake_qp_late(cq);
	if (fake_net.poll_max && (uint32_t)max > fake_net.poll_max)
		max = (int)fake_net.poll_max;
	while (n < max && cq->n)
		wc[n++] = take(cq);
	fake_unlock();
	return n;
}

int fake_req_notify_cq(struct ibv_cq *c, int solicited)
{
	struct fake_cq *cq = fake_cq(c);
	int err;

	fake_lock();
	err = fake_fault(FAKE_REQ_NOTIFY);
	if (solicited)
		fake_violation(
			"only solicited completions are asked for, and nothing is solicited");
	if (!err) {
		cq->armed = true;
		cq->armed_for = fake_net.notify_before;
		/* Whoever sleeps now must be woken by them. */
		cq->polls += 16 + fake_net.late;
		fake_qp_late(cq);
	}
	fake_unlock();
	return err;
}
