// SPDX-License-Identifier: BSD-3-Clause
/* The fake RDMA network: its lock and clock, faults, devices, protection domains, memory regions.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "fake_verbs_int.h"

struct fake_net fake_net;
struct fake_objs fo;

struct later {
	TAILQ_ENTRY(later) link;
	uint64_t due;
	void (*fn)(void *arg);
	void *arg;
};
TAILQ_HEAD(later_list, later);

static struct {
	pthread_mutex_t next; /* who gets the lock next: a thread that polls all the time would */
	pthread_mutex_t lock; /* leave nothing to others */
	pthread_cond_t wake;
	pthread_t thread;
	bool has_thread, stop;
	struct later_list laters;

	unsigned violations;
	char text[512];

	unsigned calls[FAKE_CALLS], fail_nth[FAKE_CALLS];
	int fail_err[FAKE_CALLS];
	unsigned any_nth;
	bool failed;
} fk;

static __thread unsigned lock_depth;

void fake_lock(void)
{
	if (lock_depth++)
		return;
	pthread_mutex_lock(&fk.next);
	pthread_mutex_lock(&fk.lock);
	pthread_mutex_unlock(&fk.next);
}

void fake_unlock(void)
{
	if (!--lock_depth)
		pthread_mutex_unlock(&fk.lock);
}

uint64_t fake_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void fake_violation(const char *fmt, ...)
{
	char text[sizeof(fk.text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fake_lock();
	if (!fk.violations++)
		snprintf(fk.text, sizeof(fk.text), "%s", text);
	fake_unlock();
	fprintf(stderr, "# violation: %s\n", text);
}

unsigned fake_violations(void)
{
	return fk.violations;
}

void fake_forgive(void)
{
	fk.violations = 0;
}

/* ---- what comes later ---- */

static void run_due(void)
{
	struct later *l;

	while ((l = TAILQ_FIRST(&fk.laters)) && l->due <= fake_now_ms()) {
		TAILQ_REMOVE(&fk.laters, l, link);
		l->fn(l->arg);
		free(l);
	}
}

static void *later_thread(void *arg)
{
	struct later *l;
	struct timespec ts;

	fake_lock();
	while (!fk.stop) {
		run_due();
		l = TAILQ_FIRST(&fk.laters);
		if (l) {
			ts.tv_sec = (time_t)(l->due / 1000);
			ts.tv_nsec = (long)(l->due % 1000) * 1000000;
			pthread_cond_timedwait(&fk.wake, &fk.lock, &ts);
		} else {
			pthread_cond_wait(&fk.wake, &fk.lock);
		}
	}
	fake_unlock();
	return NULL;
}

void fake_later(uint32_t ms, void (*fn)(void *arg), void *arg)
{
	struct later *l = calloc(1, sizeof(*l)), *at;

	NVMUX_ASSERT(l);
	*l = (struct later){.due = fake_now_ms() + ms, .fn = fn, .arg = arg};
	fake_lock();
	TAILQ_FOREACH (at, &fk.laters, link) {
		if (at->due > l->due)
			break;
	}
	if (at)
		TAILQ_INSERT_BEFORE(at, l, link);
	else
		TAILQ_INSERT_TAIL(&fk.laters, l, link);
	if (!fk.has_thread) {
		fk.has_thread = true;
		NVMUX_ASSERT(pthread_create(&fk.thread, NULL, later_thread, NULL) == 0);
	}
	pthread_cond_signal(&fk.wake);
	fake_unlock();
}

void fake_not_later(void (*fn)(void *arg), void *arg)
{
	struct later *l, *next;

	fake_lock();
	for (l = TAILQ_FIRST(&fk.laters); l; l = next) {
		next = TAILQ_NEXT(l, link);
		if (l->fn == fn && l->arg == arg) {
			TAILQ_REMOVE(&fk.laters, l, link);
			free(l);
		}
	}
	fake_unlock();
}

static void end_laters(void)
{
	struct later *l;

	fake_lock();
	fk.stop = true;
	pthread_cond_signal(&fk.wake);
	fake_unlock();
	if (fk.has_thread)
		pthread_join(fk.thread, NULL);
	while ((l = TAILQ_FIRST(&fk.laters))) {
		TAILQ_REMOVE(&fk.laters, l, link);
		free(l);
	}
}

void fake_verbs_begin(void)
{
	pthread_condattr_t ca;

	memset(&fk, 0, sizeof(fk));
	memset(&fo, 0, sizeof(fo));
	pthread_mutex_init(&fk.next, NULL);
	pthread_mutex_init(&fk.lock, NULL);
	lock_depth = 0; /* a test that failed may have left it held */
	pthread_condattr_init(&ca);
	pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	pthread_cond_init(&fk.wake, &ca);
	pthread_condattr_destroy(&ca);
	TAILQ_INIT(&fk.laters);
	fake_net = (struct fake_net){.notify_before = 1, .inline_max = 64, .late = 2};
	fo.next_qpn = 0x11;
	fake_cm_begin();
}

unsigned fake_objects(void)
{
	unsigned n = 0;
	struct fake_channel *ch;
	struct fake_qp *qp;
	struct fake_cq *cq;
	struct fake_pd *pd;
	struct fake_mr *mr;

	fake_lock();
	LIST_FOREACH (pd, &fo.pds, link)
		n++;
	LIST_FOREACH (mr, &fo.mrs, link)
		n++;
	LIST_FOREACH (ch, &fo.channels, link)
		n++;
	LIST_FOREACH (cq, &fo.cqs, link)
		n++;
	LIST_FOREACH (qp, &fo.qps, link)
		n++;
	n += fake_cm_left();
	fake_unlock();
	return n;
}

void fake_verbs_end(void)
{
	struct fake_device *dev;
	unsigned left;

	end_laters();
	left = fake_objects();
	while ((dev = LIST_FIRST(&fo.devices))) {
		LIST_REMOVE(dev, link);
		free(dev);
	}
	fake_cm_end();
	pthread_cond_destroy(&fk.wake);
	pthread_mutex_destroy(&fk.lock);
	pthread_mutex_destroy(&fk.next);
	if (fk.violations)
		fail_msg("%u violations of the RDMA interface, the first: %s", fk.violations,
			 fk.text);
	if (left)
		fail_msg("%u RDMA objects are left", left);
}

/* ---- faults ---- */

void fake_fail(enum fake_call call, unsigned nth, int err)
{
	fk.fail_nth[call] = nth;
	fk.fail_err[call] = err;
}

void fake_fail_any(unsigned nth)
{
	fk.any_nth = nth;
	fk.failed = false;
}

bool fake_failed(void)
{
	return fk.failed;
}

unsigned fake_calls(enum fake_call call)
{
	return fk.calls[call];
}

int fake_fault(enum fake_call call)
{
	static const int natural[FAKE_CALLS] = {
		[FAKE_CREATE_EVENT_CHANNEL] = EMFILE,
		[FAKE_BIND_ADDR] = EADDRNOTAVAIL,
		[FAKE_RESOLVE_ADDR] = ENETUNREACH,
		[FAKE_CONNECT] = EINVAL,
		[FAKE_QUERY_DEVICE] = EIO,
		[FAKE_RESIZE_CQ] = ENOSYS,
		[FAKE_CREATE_CHANNEL] = EMFILE,
	};
	int err = 0;

	fk.calls[call]++;
	if (fk.fail_nth[call] && --fk.fail_nth[call] == 0)
		err = fk.fail_err[call];
	if (fk.any_nth && --fk.any_nth == 0)
		err = natural[call] ? natural[call] : ENOMEM;
	if (err)
		fk.failed = true;
	return err;
}

/* ---- devices ---- */

struct fake_device *fake_device_add(const char *name, const char *addr)
{
	struct fake_device *dev = calloc(1, sizeof(*dev));

	NVMUX_ASSERT(dev);
	snprintf(dev->dev.name, sizeof(dev->dev.name), "%s", name);
	dev->dev.node_type = IBV_NODE_CA;
	dev->dev.transport_type = IBV_TRANSPORT_IB;
	snprintf(dev->addr, sizeof(dev->addr), "%s", addr);
	dev->ctx.device = &dev->dev;
	dev->ctx.cmd_fd = dev->ctx.async_fd = -1;
	dev->ctx.num_comp_vectors = 1;
	dev->ctx.ops.poll_cq = fake_poll_cq;
	dev->ctx.ops.req_notify_cq = fake_req_notify_cq;
	dev->ctx.ops.post_send = fake_post_send;
	dev->ctx.ops.post_recv = fake_post_recv;
	dev->attr = (struct ibv_device_attr){
		.max_mr_size = UINT64_MAX,
		.page_size_cap = 0xfffff000,
		.max_qp = 1024,
		.max_qp_wr = 16384,
		.max_sge = 32,
		.max_cq = 1024,
		.max_cqe = 32768,
		.max_mr = 65536,
		.max_pd = 1024,
		.max_qp_rd_atom = 128,
		.max_qp_init_rd_atom = 128,
		.max_res_rd_atom = 65536,
		.phys_port_cnt = 1,
	};
	fake_lock();
	LIST_INSERT_HEAD(&fo.devices, dev, link);
	fake_unlock();
	return dev;
}

struct ibv_device_attr *fake_device_attr(struct fake_device *dev)
{
	return &dev->attr;
}

struct fake_device *fake_device_of(struct ibv_context *ctx)
{
	return container_of(ctx, struct fake_device, ctx);
}

void fake_device_remove(struct fake_device *dev, bool flush)
{
	struct fake_qp *qp;

	fake_lock();
	dev->removed = true;
	dev->dead = !flush;
	fake_cm_removed(dev);
	LIST_FOREACH (qp, &fo.qps, link) {
		if (qp->qp.context == &dev->ctx)
			fake_qp_error(qp, IBV_WC_WR_FLUSH_ERR);
	}
	fake_unlock();
}

void fake_print_addr(const struct sockaddr *sa, char buf[64], uint16_t *port)
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	buf[0] = '\0';
	if (sa->sa_family == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, buf, 64);
		*port = ntohs(in->sin_port);
	} else if (sa->sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, buf, 64);
		*port = ntohs(in6->sin6_port);
	}
}

struct fake_device *fake_device_at(const char *addr)
{
	struct fake_device *dev;

	LIST_FOREACH (dev, &fo.devices, link) {
		if (!dev->removed && strcmp(dev->addr, addr) == 0)
			return dev;
	}
	return NULL;
}

struct fake_device *fake_device_for(const char *dst)
{
	struct fake_device *dev;

	LIST_FOREACH (dev, &fo.devices, link) {
		const char *end = strstr(dev->addr, "::");

		if (!end)
			end = strrchr(dev->addr, '.');
		if (!dev->removed && end &&
		    strncmp(dev->addr, dst, (size_t)(end - dev->addr) + 1) == 0)
			return dev;
	}
	return NULL;
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
	int err;

	fake_lock();
	err = fake_fault(FAKE_QUERY_DEVICE);
	if (!err && fake_device_of(context)->removed)
		err = EIO;
	if (!err)
		*attr = fake_device_of(context)->attr;
	fake_unlock();
	return err;
}

/* ---- protection domains and memory regions ---- */

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
	struct fake_pd *pd = NULL;
	int err;

	fake_lock();
	err = fake_device_of(context)->removed ? EIO : fake_fault(FAKE_ALLOC_PD);
	if (!err) {
		pd = calloc(1, sizeof(*pd));
		NVMUX_ASSERT(pd);
		pd->pd.context = context;
		LIST_INSERT_HEAD(&fo.pds, pd, link);
	}
	fake_unlock();
	errno = err ? err : errno;
	return pd ? &pd->pd : NULL;
}

int ibv_dealloc_pd(struct ibv_pd *p)
{
	struct fake_pd *pd = container_of(p, struct fake_pd, pd);
	int err = 0;

	fake_lock();
	if (pd->mrs || pd->qps) {
		fake_violation("protection domain freed with %u memory regions and %u queue pairs",
			       pd->mrs, pd->qps);
		err = EBUSY;
	} else {
		LIST_REMOVE(pd, link);
		free(pd);
	}
	fake_unlock();
	return err;
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *p, void *addr, size_t length, uint64_t iova,
				unsigned int access)
{
	struct fake_pd *pd = container_of(p, struct fake_pd, pd);
	struct fake_mr *mr = NULL;
	int err;

	fake_lock();
	err = fake_device_of(p->context)->removed ? EIO : fake_fault(FAKE_REG_MR);
	if ((access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)) &&
	    !(access & IBV_ACCESS_LOCAL_WRITE)) {
		fake_violation("remote write without local write");
		err = EINVAL;
	}
	if (length == 0)
		err = EINVAL;
	if (!err) {
		mr = calloc(1, sizeof(*mr));
		NVMUX_ASSERT(mr);
		fo.next_key++;
		mr->mr = (struct ibv_mr){
			.context = p->context,
			.pd = p,
			.addr = addr,
			.length = length,
			.lkey = 0x10000000 | fo.next_key << 8 | (fo.next_key * 37 & 0xff),
			.rkey = 0x20000000 | fo.next_key << 8 | (fo.next_key * 73 & 0xff),
		};
		mr->iova = iova;
		mr->access = access & ~(unsigned)IBV_ACCESS_OPTIONAL_RANGE;
		pd->mrs++;
		fake_net.mrs++;
		LIST_INSERT_HEAD(&fo.mrs, mr, link);
	}
	fake_unlock();
	errno = err ? err : errno;
	return mr ? &mr->mr : NULL;
}

#undef ibv_reg_mr
struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	return ibv_reg_mr_iova2(pd, addr, length, (uintptr_t)addr, (unsigned)access);
}

static bool names(const struct fake_wr_list *list, uint32_t lkey)
{
	const struct fake_wr *wr;

	TAILQ_FOREACH (wr, list, link) {
		for (int i = 0; i < wr->n_sge; i++) {
			if (wr->sge[i].lkey == lkey)
				return true;
		}
	}
	return false;
}

int ibv_dereg_mr(struct ibv_mr *m)
{
	struct fake_mr *mr = container_of(m, struct fake_mr, mr);
	struct fake_qp *qp;

	fake_lock();
	LIST_FOREACH (qp, &fo.qps, link) {
		if (qp->qp.state == IBV_QPS_ERR || qp->qp.pd != m->pd)
			continue;
		if (names(&qp->sends, m->lkey) || names(&qp->unacked, m->lkey) ||
		    names(&qp->recvs, m->lkey))
			fake_violation("memory region deregistered while posted work names it");
	}
	container_of(m->pd, struct fake_pd, pd)->mrs--;
	fake_net.mrs--;
	LIST_REMOVE(mr, link);
	free(mr);
	fake_unlock();
	return 0;
}

void *fake_mr_find(const struct ibv_pd *pd, uint64_t addr, uint32_t key, size_t len, bool remote,
		   unsigned access, const char **ret_why)
{
	const struct fake_mr *mr;

	LIST_FOREACH (mr, &fo.mrs, link) {
		if ((remote ? mr->mr.rkey : mr->mr.lkey) == key)
			break;
	}
	if (!mr)
		*ret_why = "no memory region has this key";
	else if (mr->mr.pd != pd)
		*ret_why = "the key is of another protection domain";
	else if (addr < mr->iova || len > mr->mr.length || addr - mr->iova > mr->mr.length - len)
		*ret_why = "out of the memory region's bounds";
	else if ((mr->access & access) != access)
		*ret_why = "the memory region doesn't allow this access";
	else
		return (uint8_t *)mr->mr.addr + (addr - mr->iova);
	return NULL;
}
