// SPDX-License-Identifier: BSD-3-Clause
/* The NVMe over RDMA target: its life, and connections being made and lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "fabrics_target.h"

#define LIST_SIZE (2u * EMU_PAGE_SIZE)

#define REJECT_LENGTH   1
#define REJECT_RECFMT   2
#define REJECT_HSQSIZE  4
#define REJECT_HRQSIZE  5
#define REJECT_CONSUMER 28 /* the connection manager's reason: the peer's own */

/* ---- connections ---- */

static void reject(struct fake_reply *reply, uint16_t status, int reason)
{
	const uint16_t data[2] = {htole16(0), htole16(status)};

	reply->answer = FAKE_REJECT;
	reply->reason = reason ? reason : REJECT_CONSUMER;
	if (reply->reason != REJECT_CONSUMER)
		return;
	memcpy(reply->data, data, sizeof(data));
	reply->len = sizeof(data);
}

static uint16_t check_request(struct target *t, const void *data, size_t len,
			      struct fabrics_rdma_request *req)
{
	if (len < sizeof(*req))
		return REJECT_LENGTH;
	memcpy(req, data, sizeof(*req));
	if (le16_to_cpu(req->recfmt) != 0)
		return REJECT_RECFMT;
	t->last_hsqsize = le16_to_cpu(req->hsqsize);
	t->last_hrqsize = le16_to_cpu(req->hrqsize);
	if (t->last_hrqsize == 0)
		return REJECT_HRQSIZE;
	if (t->last_hsqsize == 0 ||
	    (!le16_to_cpu(req->qid) && t->admin_entries && t->last_hsqsize >= t->admin_entries))
		return REJECT_HSQSIZE;
	return 0;
}

static void accept_request(struct target *t, struct fake_conn *conn,
			   const struct fabrics_rdma_request *req, struct fake_reply *reply)
{
	struct target_conn *tc = calloc(1, sizeof(*tc));
	uint16_t entries = (uint16_t)(t->last_hsqsize + 1), crqsize = entries;
	uint16_t data[2];

	assert_non_null(tc);
	tc->next = t->conns;
	t->conns = tc;
	tc->conn = conn;
	tc->qid = le16_to_cpu(req->qid);
	tc->entries = entries;
	conn->peer = tc;
	t->connections++;
	if (t->crqsize && (tc->qid || t->crqsize_admin))
		crqsize = MIN(crqsize, t->crqsize);
	conn->crqsize = crqsize;
	data[0] = htole16(0);
	data[1] = htole16(crqsize);
	memcpy(reply->data, data, sizeof(data));
	reply->len = 32;
	if (t->bad_accept) {
		memcpy(reply->data, t->accept, sizeof(t->accept));
		reply->len = t->accept_len;
	}
}

static void on_connect(void *arg, struct fake_conn *conn, const void *data, size_t len,
		       struct fake_reply *reply)
{
	struct target *t = arg;
	struct fabrics_rdma_request req = {0};
	uint16_t status = check_request(t, data, len, &req);

	if (t->silent_cm) {
		reply->answer = FAKE_SILENT;
		return;
	}
	if (t->reject_times && target_hits(t->reject_qid, le16_to_cpu(req.qid))) {
		t->reject_times--;
		reject(reply, t->reject_status, t->reject_reason);
	} else if (status) {
		reject(reply, status, 0);
	} else {
		accept_request(t, conn, &req, reply);
	}
}

static void on_closed(void *arg, struct fake_conn *conn)
{
	struct target *t = arg;
	struct target_conn *tc = conn->peer;

	if (!tc)
		return;
	t->connections--;
	if (!t->zombie)
		target_drop_held(t, tc);
	if (tc->ctrlr && tc->ctrlr->admin == conn) {
		tc->ctrlr->alive = false;
		fake_not_later(target_kato_check, tc->ctrlr);
	}
}

static const struct fake_peer_ops target_ops = {on_connect, target_on_message, on_closed};

/* ---- life ---- */

static bool bounce_dma(void *arg, uint64_t iova, struct emu_dma *ret)
{
	struct target *t = arg;

	*ret = (struct emu_dma){TARGET_BOUNCE_IOVA, TARGET_BOUNCE_SIZE + LIST_SIZE, t->bounce, true,
				true};
	return iova - TARGET_BOUNCE_IOVA < ret->size;
}

static void no_irq(void *arg, uint16_t vector)
{
}

static void fill_list(struct target *t)
{
	uint64_t *list = (uint64_t *)(void *)(t->bounce + TARGET_BOUNCE_SIZE);

	/* From the second page of the buffer on; a command of ours never needs two lists. */
	for (uint32_t i = 0; i < TARGET_BOUNCE_SIZE / EMU_PAGE_SIZE - 1; i++)
		list[i] = htole64(TARGET_BOUNCE_IOVA + (uint64_t)(i + 1) * EMU_PAGE_SIZE);
}

struct target *target_new(const char *ns, const char *addr, uint16_t port)
{
	struct target *t = aligned_alloc(64, align_up(sizeof(*t), 64));
	struct emu_config *config = malloc(sizeof(*config));
	const struct emu_carrier carrier = {.dma = bounce_dma, .irq = no_irq, .arg = t};
	char why[256] = "";
	int err;

	assert_non_null(t);
	assert_non_null(config);
	memset(t, 0, sizeof(*t));
	TAILQ_INIT(&t->held);
	t->bounce = aligned_alloc(EMU_PAGE_SIZE, TARGET_BOUNCE_SIZE + LIST_SIZE);
	t->log = calloc(TARGET_LOG_MAX, sizeof(*t->log));
	assert_true(t->bounce && t->log);
	memset(t->bounce, 0, TARGET_BOUNCE_SIZE + LIST_SIZE);
	fill_list(t);
	emu_config_init(config);
	err = emu_config_parse(config, ns, why, sizeof(why));
	emu_config_default_serial(config, addr);
	if (!err)
		err = emu_ctrlr_create(config, &carrier, &t->emu, why, sizeof(why));
	free(config);
	if (err)
		fail_msg("%s: %s", ns, why);
	t->sq.ctrlr = t->emu;
	t->sq.id = 1;
	snprintf(t->subnqn, sizeof(t->subnqn), "%s", TARGET_NQN);
	t->in_capsule = 8192;
	t->msdbd = 1;
	t->kas = 1;
	t->cap_and = UINT64_MAX;
	t->reject_qid = t->connect_qid = -1;
	t->fault_opc = 0xff;
	for (int i = 0; i < TARGET_ANA_MAX; i++)
		t->ana_state[i] = NVME_ANA_STATE_OPTIMIZED;
	fake_listen(&t->peer, addr, port, &target_ops, t);
	return t;
}

struct target *target_discovery_new(const char *addr, uint16_t port)
{
	struct target *t = target_new("null,size=1M", addr, port);

	t->discovery = true;
	snprintf(t->subnqn, sizeof(t->subnqn), "nqn.2014-08.org.nvmexpress.discovery");
	return t;
}

void target_listen(struct target *t, const char *addr, uint16_t port)
{
	fake_listen(&t->peer2, addr, port, &target_ops, t);
}

void target_free(struct target *t)
{
	fake_lock();
	fake_unlisten(&t->peer);
	fake_unlisten(&t->peer2);
	for (struct target_ctrlr *c = t->ctrlrs, *next; c; c = next) {
		next = c->next;
		fake_not_later(target_kato_check, c);
		free(c);
	}
	for (struct target_conn *tc = t->conns, *next; tc; tc = next) {
		next = tc->next;
		if (tc->conn->alive)
			fake_conn_disconnect(tc->conn, true);
		tc->conn->peer = NULL;
		free(tc);
	}
	target_drop_held(t, NULL);
	fake_unlock();
	emu_ctrlr_destroy(t->emu);
	free(t->records);
	free(t->bounce);
	free(t->log);
	free(t);
}

unsigned target_live(struct target *t)
{
	unsigned n = 0;

	fake_lock();
	for (struct target_ctrlr *c = t->ctrlrs; c; c = c->next)
		n += c->alive;
	fake_unlock();
	return n;
}

void target_fail(struct target *t)
{
	fake_lock();
	for (struct target_ctrlr *c = t->ctrlrs; c; c = c->next)
		c->csts |= NVME_CSTS_CFS_MASK << NVME_CSTS_CFS_SHIFT;
	fake_unlock();
}

unsigned target_count(struct target *t, uint32_t from, uint8_t opc, int qid)
{
	unsigned n = 0;

	fake_lock();
	for (uint32_t i = from; i < t->n_log; i++) {
		const struct target_entry *e = &t->log[i % TARGET_LOG_MAX];

		n += e->opc == opc && (qid == -1 ? e->qid > 0 : e->qid == qid);
	}
	fake_unlock();
	return n;
}

uint8_t *target_ns_data(struct target *t, uint32_t nsid)
{
	return emu_ns_get(t->emu, nsid)->data;
}
