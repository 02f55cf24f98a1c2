// SPDX-License-Identifier: BSD-3-Clause
/*
 * The short ways of a read or write against the general one, with the same calls, at random and at
 * the edges: results, queue entries and PRP lists are the same. One queue of each pair is sent to
 * by the transport's own read and write, or by submit_plain(), the other one by nvmux_rw_read() and
 * nvmux_rw_write(), or by submit(). Nothing is rung, so that no device moves anything; places are
 * filled with garbage before they are used.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <nvmux/fault.h>
#include "daemon/plain.h"
#include "daemon/ring_server.h"
#include "emulator/loopback.h"
#include "libcore/rw.h"
#include "libcore/sync.h"
#include "libcore/transport.h"
#include "outcome.h"
#include "tests/rng.h"
#include "transports/daemon/ring_client.h"
#include "transports/pcie/pcie_int.h"

#define ENTRIES   128   /* of a queue: one more than may be in flight */
#define CASES     20000 /* of each controller */
#define WINDOW    (512ull << 20)
#define SLOT      (1ull << NVMUX_SLOT_SHIFT)
#define N_REGIONS 6
#define SENT_MAX  ENTRIES

/* Formats of all kinds; the third has five blocks. */
#define NAMESPACES                                                                                \
	"null,size=64M,bs=512+null,size=64M,bs=4096+null,size=20K,bs=4096+null,size=1024P,bs=512" \
	"+mem,size=1M,bs=512,ms=8+mem,size=1M,bs=4096,ms=64,mset=1+mem,size=1M,bs=512,ms=8,pi=1"  \
	"+null,size=8M,bs=4096,zoned,zone=1M,queues=4,entries=32"

static const struct {
	const char *settings;
	uint32_t max_transfer; /* 0: what the settings say; else as a daemon's can be */
} kinds[] = {
	{"mdts=5", 0},         {"mdts=9,noiob=64", 0}, {"mdts=2,noiob=24", 0},
	{"mdts=0,noiob=1", 0}, {"mdts=16,sgl=1", 0},   {"mdts=7,noiob=4096", 100 << 10},
	{"mdts=7", 12345678},
};

static uint64_t rng = 0x9e3779b97f4a7c15ull;

static uint64_t rnd(void)
{
	return next_random(&rng);
}

static uint64_t below(uint64_t n)
{
	return rnd() % n;
}

static bool one_in(uint32_t n)
{
	return below(n) == 0;
}

/* ---- two queues that are sent the same ---- */

struct pair {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ctrlr *stranger;  /* whose namespaces aren't this one's */
	struct nvmux_qpair *qpairs[2]; /* the first is sent to by the short way */
	struct nvmux_mem *regions[N_REGIONS];
	bool has_ring; /* these are used: */
	struct ring_qpair rings[2];
	struct ring_server servers[2];
	uint32_t seen[2]; /* PCIe: the places up to here have been looked at */
	struct outcome outcomes[2];
	uint32_t n_short, n_general; /* commands that the first queue was sent each way */
};

/* The first queue's transport counts what goes the general way. */
static const struct nvmux_transport *counted;
static uint32_t n_submits;

static int counting_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
			   const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	int err = counted->submit(qpair, cmd, payload, cb, arg);

	n_submits += !err;
	return err;
}

static struct nvmux_transport counting;

static void count(const struct nvmux_transport *transport, struct nvmux_qpair *qpair)
{
	counted = transport;
	counting = *transport;
	counting.submit = counting_submit;
	qpair->transport = &counting;
}

static const struct nvmux_transport ring_transport = {
	.trtype = NVMUX_TRTYPE_DAEMON,
	.submit = ring_qpair_submit,
	.read = ring_qpair_read,
	.write = ring_qpair_write,
	.process = ring_qpair_process,
};

static struct nvmux_ctrlr *attach(struct nvmux *nvmux, size_t kind)
{
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK};
	struct nvmux_ctrlr *ctrlr;

	snprintf(trid.traddr, sizeof(trid.traddr), NAMESPACES ",%s", kinds[kind].settings);
	if (nvmux_connect(nvmux, &trid, NULL, &ctrlr))
		fail_msg("%s: %s", trid.traddr, nvmux_error_text(nvmux));
	if (kinds[kind].max_transfer) {
		ctrlr->max_transfer = MIN(kinds[kind].max_transfer, NVMUX_XFER_MAX);
		assert_int_equal(nvmux_ctrlr_rescan(ctrlr), 0);
	}
	assert_int_equal(nvmux_ctrlr_get_num_ns(ctrlr), 8);
	return ctrlr;
}

/* Of all sizes, one behind the other; the last is nobody's. */
static void make_regions(struct pair *p)
{
	static const size_t sizes[N_REGIONS] = {2 * SLOT + 3 * 4096, 4096, SLOT, 3 * SLOT,
						SLOT - 4096,         8192};
	static const uint16_t numbers[N_REGIONS] = {1, 2, 7, 300, 65533, 9};
	uint16_t index = p->ctrlr->index;
	struct nvmux_mem *mem;

	for (uint32_t i = 0; i < N_REGIONS; i++) {
		assert_int_equal(nvmux_mem_create(p->nvmux, sizes[i], 0, &p->regions[i]), 0);
		p->regions[i]->region = numbers[i];
		if (i < N_REGIONS - 1)
			assert_int_equal(nvmux_mem_map(p->regions[i], p->ctrlr), 0);
	}
	/* as the daemon's transport does it */
	TAILQ_FOREACH (mem, &p->nvmux->mems, link) {
		if (!p->has_ring || !mem->maps[index].mapped)
			continue;
		mem->maps[index].base = nvmux_ring_addr(mem->region, 0);
		nvmux_mem_set_mapped(mem, index, true);
	}
}

static void make_queue(struct pair *p, uint32_t i)
{
	struct nvmux_io_qpair_opts opts;

	nvmux_io_qpair_opts_init(p->ctrlr, &opts, sizeof(opts));
	opts.io_queue_depth = ENTRIES - 1;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(p->ctrlr, &opts, &p->qpairs[i]), 0);
}

static void make_ring(struct pair *p, uint32_t i)
{
	const struct ring_limits limits = {.max_transfer = 1 << 20, .max_segs = 1};
	struct ring_server *server = &p->servers[i];
	struct ring_qpair *rq = &p->rings[i];
	char why[128] = "";

	assert_int_equal(ring_server_create(ENTRIES - 1, &limits, -1, server), 0);
	if (ring_client_map(&rq->ring, dup(server->ring_fd), dup(server->client_fd), why,
			    sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(nvmux_qpair_init(&rq->base, p->ctrlr, 1, ENTRIES - 1), 0);
	rq->base.transport = &ring_transport;
	nvmux_qpair_set_state(&rq->base, NVMUX_QPAIR_CONNECTED);
	p->qpairs[i] = &rq->base;
}

static void pair_open(struct pair *p, size_t kind, bool has_ring)
{
	struct nvmux_opts opts;

	*p = (struct pair){.has_ring = has_ring};
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = WINDOW;
	assert_int_equal(nvmux_create(&opts, &p->nvmux), 0);
	assert_int_equal(emu_loopback_register(p->nvmux), 0);
	p->ctrlr = attach(p->nvmux, kind);
	p->stranger = attach(p->nvmux, kind);
	for (uint32_t i = 0; i < 2; i++) {
		if (has_ring)
			make_ring(p, i);
		else
			make_queue(p, i);
	}
	count(p->qpairs[0]->transport, p->qpairs[0]);
	make_regions(p);
}

static void pair_close(struct pair *p)
{
	for (uint32_t i = 0; i < 2; i++) {
		nvmux_qpair_abort_all(p->qpairs[i], NVME_SC_ABORT_REQ);
		p->qpairs[i]->transport = counted;
		if (p->has_ring) {
			ring_client_unmap(&p->rings[i].ring);
			ring_server_fini(&p->servers[i]);
			nvmux_qpair_fini(p->qpairs[i]);
		} else {
			nvmux_qpair_free(p->qpairs[i]);
		}
	}
	for (uint32_t i = 0; i < N_REGIONS; i++)
		nvmux_mem_free(p->regions[i]);
	assert_int_equal(nvmux_detach(p->ctrlr), 0);
	assert_int_equal(nvmux_detach(p->stranger), 0);
	nvmux_destroy(p->nvmux);
}

/* ---- what has been sent ---- */

struct sent {
	uint32_t n;
	struct nvmux_cmd cmds[SENT_MAX]; /* without identifiers */
	uint16_t slots[SENT_MAX];
};

/* A command without its identifier, which is that of a slot in use. */
static void take_one(const struct nvmux_qpair *qpair, const void *entry, struct sent *ret)
{
	struct nvmux_cmd *cmd = &ret->cmds[ret->n];
	uint16_t cid, slot;

	assert_true(ret->n < SENT_MAX);
	memcpy(cmd, entry, sizeof(*cmd));
	cid = le16_to_cpu(cmd->cid);
	slot = cid & qpair->cid_mask;
	assert_true(slot < qpair->depth);
	assert_non_null(qpair->slots[slot].cb);
	assert_int_equal(qpair->slots[slot].cid, cid);
	cmd->cid = 0;
	ret->slots[ret->n++] = slot;
}

/* Where a list is used, what is in it is compared; here, that it is the slot's. */
static void take_queue(struct pcie_qpair *q, uint32_t *seen, struct sent *ret)
{
	for (; *seen != q->sq_tail; *seen = (*seen + 1) % q->entries) {
		struct nvmux_cmd *cmd = &ret->cmds[ret->n];
		uint64_t list;

		take_one(&q->base, &q->sq[*seen], ret);
		assert_int_equal(q->sq_at[ret->slots[ret->n - 1]], *seen);
		list = q->lists_iova + (uint64_t)ret->slots[ret->n - 1] * NVMUX_PAGE_SIZE;
		assert_true(!cmd->dptr[1] || le64_to_cpu(cmd->dptr[1]) == list ||
			    le64_to_cpu(cmd->dptr[1]) - q->lists_iova >= ENTRIES * NVMUX_PAGE_SIZE);
		if (le64_to_cpu(cmd->dptr[1]) == list)
			cmd->dptr[1] = cpu_to_le64(1); /* no address, and the same for both */
	}
}

static void take_ring(const struct nvmux_qpair *qpair, struct ring_server *server, struct sent *ret)
{
	struct nvmux_ring_cmd cmd;

	while (ring_server_take(server, &cmd)) {
		cmd.flags &= (uint8_t)~NVMUX_RING_F_PHASE;
		take_one(qpair, &cmd, ret);
	}
}

static void take_sent(struct pair *p, uint32_t i, struct sent *ret)
{
	ret->n = 0;
	if (p->has_ring) {
		const struct ring_client *ring = &p->rings[i].ring;

		if (ring->told != ring->sq_next || ring->told_turns != ring->sq_turns)
			ring_client_ring(&p->rings[i].ring);
		take_ring(p->qpairs[i], &p->servers[i], ret);
	} else {
		take_queue(pcie_qpair(p->qpairs[i]), &p->seen[i], ret);
	}
}

static void compare_lists(const struct pair *p, const struct sent sent[2], uint32_t at)
{
	const struct pcie_qpair *a = pcie_qpair(p->qpairs[0]), *b = pcie_qpair(p->qpairs[1]);
	size_t i = sent[0].slots[at], j = sent[1].slots[at];

	assert_int_equal(a->list_used[i], b->list_used[j]);
	assert_memory_equal(&a->lists[i * PRP_LIST_ENTRIES], &b->lists[j * PRP_LIST_ENTRIES],
			    NVMUX_PAGE_SIZE);
}

/* Return: how many commands each was sent. */
static uint32_t compare_sent(struct pair *p)
{
	struct sent sent[2];

	take_sent(p, 0, &sent[0]);
	take_sent(p, 1, &sent[1]);
	assert_int_equal(sent[0].n, sent[1].n);
	for (uint32_t n = 0; n < sent[0].n; n++) {
		assert_memory_equal(&sent[0].cmds[n], &sent[1].cmds[n], sizeof(sent[0].cmds[n]));
		if (!p->has_ring)
			compare_lists(p, sent, n);
	}
	return sent[0].n;
}

/* Nothing is in flight: any place may hold anything, but for the phase bit of a ring. */
static void fill_places(struct pair *p, uint32_t i)
{
	if (p->has_ring) {
		const struct ring_client *ring = &p->rings[i].ring;

		for (uint32_t n = 0; n < ring->sq_entries; n++) {
			struct nvmux_ring_cmd *entry = ring->sq_end - 1 - n;
			uint64_t *words = (uint64_t *)entry;
			uint64_t is_new = ring->hides ? ~ring->sq_phase : ring->sq_phase;
			uint64_t old = entry < ring->sq_next ? is_new : ~is_new;

			for (uint32_t w = 0; w < 8; w++)
				words[w] = rnd();
			words[0] &= ~RING_SQ_PHASE;
			words[0] |= old & RING_SQ_PHASE;
		}
	} else {
		struct pcie_qpair *q = pcie_qpair(p->qpairs[i]);

		for (uint32_t w = 0; w < q->entries * 8; w++)
			((uint64_t *)q->sq)[w] = rnd();
	}
}

/* End all that is in flight; nobody has looked at it but us. */
static void start_over(struct pair *p)
{
	for (uint32_t i = 0; i < 2; i++) {
		nvmux_qpair_abort_all(p->qpairs[i], NVME_SC_ABORT_REQ);
		assert_int_equal(nvmux_qpair_n_free(p->qpairs[i]), p->qpairs[i]->depth);
	}
	compare_sent(p); /* callbacks send nothing: none */
	for (uint32_t i = 0; i < 2; i++)
		fill_places(p, i);
	assert_int_equal(p->outcomes[0].calls, p->outcomes[1].calls);
	assert_int_equal(p->outcomes[0].status, p->outcomes[1].status);
}

/* ---- calls ---- */

struct call {
	struct nvmux_ns *ns;
	const uint8_t *buf;
	uint64_t lba;
	uint32_t count;
	uint32_t flags;
	bool writes;
	bool no_callback;
	uint8_t state; /* of the queue pair */
	uint8_t slow;  /* added to what is set */
};

static uint64_t near(uint64_t edge)
{
	return edge + below(5) - 2;
}

static uint32_t random_count(const struct nvmux_ns *ns)
{
	uint32_t usual = MIN(ns->max_lbas, ns->boundary_lbas ? ns->boundary_lbas : UINT32_MAX);

	switch (below(20)) {
	case 0: return (uint32_t)below(4);
	case 1: return (uint32_t)near(ns->max_lbas);
	case 2: return (uint32_t)near(ns->boundary_lbas);
	case 3: return (uint32_t)near(65536);
	case 4: return (uint32_t)near(ns->n_lbas);
	case 5: return (uint32_t)rnd();
	case 6: return (uint32_t)below(ns->max_lbas) + 1;
	case 7:
	case 8:
	case 9: return 1;
	default: return (uint32_t)below(usual) + 1;
	}
}

static uint64_t random_lba(const struct nvmux_ns *ns, uint32_t count)
{
	switch (below(16)) {
	case 0: return near(0);
	case 1: return near(ns->n_lbas);
	case 2: return near(ns->n_lbas - count);
	case 3: return near(below(ns->n_lbas / MAX(ns->boundary_lbas, 1u) + 1) * ns->boundary_lbas);
	case 4: return near(below(16) << 32);
	case 5: return rnd();
	default: return below(ns->n_lbas);
	}
}

static const uint8_t *random_buf(const struct pair *p, uint64_t len)
{
	const struct nvmux_mem *mem = p->regions[below(N_REGIONS)];
	uint64_t room = mem->size > len ? mem->size - len : 0, offset;

	switch (below(30)) {
	case 0: offset = near(room); break;
	case 1: offset = near(mem->size); break;
	case 2: offset = rnd() % (mem->size + 1); break;
	case 3: offset = near(below(4) << NVMUX_SLOT_SHIFT); break;
	case 4: return p->nvmux->window + below(WINDOW);
	case 5: return (void *)((uintptr_t)p->nvmux->window + near(one_in(2) ? WINDOW : 0));
	case 6: return one_in(2) ? NULL : (const uint8_t *)&rng;
	case 7: offset = room; break; /* up to its end */
	case 8: offset = room + 4; break;
	case 9: offset = below(room / SLOT + 1) * SLOT; break;
	case 10: offset = (SLOT - 4096 + below(2) * 4) % (room + 4); break;
	case 11:
	case 12:
	case 13: offset = below(room / 4096 + 1) * 4096; break;
	default: offset = below(room / 4 + 1) * 4; break;
	}
	return (void *)((uintptr_t)mem->addr + offset);
}

static uint32_t random_flags(void)
{
	switch (below(8)) {
	case 0: return (uint32_t)rnd();
	case 1: return (uint32_t)rnd() & 0xffff0000;
	case 2: return 1u << below(32);
	default: return 0;
	}
}

static struct call random_call(const struct pair *p)
{
	struct nvmux_ctrlr *of = one_in(30) ? p->stranger : p->ctrlr;
	struct call c = {
		.ns = nvmux_ctrlr_get_ns(of, one_in(2) ? (uint32_t)below(8) + 1
						       : (uint32_t)below(4) + 1),
		.flags = random_flags(),
		.writes = one_in(2),
		.no_callback = one_in(50),
		.state = NVMUX_QPAIR_CONNECTED,
	};

	c.count = random_count(c.ns);
	c.lba = random_lba(c.ns, c.count);
	c.buf = random_buf(p, (uint64_t)c.count << c.ns->lba_shift);
	if (one_in(20))
		c.state = (uint8_t)below(NVMUX_QPAIR_RELEASE + 1);
	if (one_in(20))
		c.slow = (uint8_t)(1u << below(4));
	return c;
}

static int call_one(struct pair *p, uint32_t i, const struct call *c)
{
	struct nvmux_qpair *qpair = p->qpairs[i];
	nvmux_cmd_cb cb = c->no_callback ? NULL : done;
	uint8_t added = c->slow & (uint8_t)~qpair->slow;
	int err;

	nvmux_qpair_set_state(qpair, (enum nvmux_qpair_state)c->state);
	qpair->slow |= added;
	if (i == 0)
		err = c->writes ? qpair->transport->write(c->ns, qpair, c->buf, c->lba, c->count,
							  c->flags, cb, &p->outcomes[i])
				: qpair->transport->read(c->ns, qpair, (void *)c->buf, c->lba,
							 c->count, c->flags, cb, &p->outcomes[i]);
	else
		err = c->writes ? nvmux_rw_write(c->ns, qpair, c->buf, c->lba, c->count, c->flags,
						 cb, &p->outcomes[i])
				: nvmux_rw_read(c->ns, qpair, (void *)c->buf, c->lba, c->count,
						c->flags, cb, &p->outcomes[i]);
	qpair->slow &= (uint8_t)~added;
	nvmux_qpair_set_state(qpair, NVMUX_QPAIR_CONNECTED);
	return err;
}

static void call_both(struct pair *p, const struct call *c)
{
	uint32_t n, before = n_submits;
	int errs[2];

	for (uint32_t i = 0; i < 2; i++)
		errs[i] = call_one(p, i, c);
	if (errs[0] != errs[1])
		fail_msg("namespace %u, lba %llu, %u blocks at %p (window %p), flags %#x, state "
			 "%u, slow %#x: %d and %d",
			 c->ns->id, (unsigned long long)c->lba, c->count, (const void *)c->buf,
			 (void *)p->nvmux->window, c->flags, c->state, c->slow, errs[0], errs[1]);
	assert_int_equal(nvmux_qpair_n_free(p->qpairs[0]), nvmux_qpair_n_free(p->qpairs[1]));
	assert_int_equal(p->qpairs[0]->slow, p->qpairs[1]->slow);
	n = compare_sent(p);
	p->n_general += n_submits - before;
	p->n_short += n - (n_submits - before);
}

/* One of both is injected, so that the first leaves its short way. */
static void inject(struct pair *p, bool on)
{
	const struct nvmux_error_injection rule = {
		.opc = nvme_cmd_write, .count = UINT32_MAX, .do_not_submit = true, .status = 0x80};

	for (uint32_t i = 0; i < 2; i++) {
		if (on)
			assert_int_equal(
				nvmux_qpair_add_cmd_error_injection(p->ctrlr, p->qpairs[i], &rule),
				0);
		else
			nvmux_qpair_remove_cmd_error_injection(p->ctrlr, p->qpairs[i], rule.opc);
	}
}

static void check_calls(bool has_ring)
{
	for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		static struct pair p;

		pair_open(&p, kind, has_ring);
		start_over(&p);
		for (uint32_t n = 0; n < CASES; n++) {
			struct call c = random_call(&p);

			if (n % 200 == 0)
				inject(&p, n % 2000 == 0);
			call_both(&p, &c);
			if (nvmux_qpair_is_full(p.qpairs[0]) ? !one_in(4) : one_in(20))
				start_over(&p);
			if (p.qpairs[0]->slow & NVMUX_SLOW_SPLITS && !one_in(4))
				start_over(&p);
		}
		print_message("# %s: %u by the short way, %u by the general one\n",
			      kinds[kind].settings, p.n_short, p.n_general);
		/* none where boundaries would have to be divided by */
		assert_true(strstr(kinds[kind].settings, "noiob=24") ? !p.n_short
								     : p.n_short > CASES / 100);
		assert_true(p.n_general > CASES / 100);
		pair_close(&p);
	}
}

static void test_queue(void **state)
{
	check_calls(false);
}

static void test_ring(void **state)
{
	check_calls(true);
}

/* ---- batches: what has been submitted without a look at the completions ---- */

#define GROUP 4  /* commands that are shown together, */
#define NEAR  32 /* up to here; those behind are streamed, and shown when the batch ends */

/* About @n commands. The first queue is told at the end, the second after each, so that it streams
 * nothing. */
static void submit_batch(struct pair *p, uint32_t n, struct sent *ret)
{
	struct sent sent;

	ret->n = 0;
	for (uint32_t calls = 8 * n; calls && ret->n < n; calls--) {
		struct call c = random_call(p);

		assert_int_equal(call_one(p, 0, &c), call_one(p, 1, &c));
		take_sent(p, 1, &sent);
		assert_true(ret->n + sent.n <= SENT_MAX);
		memcpy(&ret->cmds[ret->n], sent.cmds, sent.n * sizeof(sent.cmds[0]));
		ret->n += sent.n;
	}
}

static void test_batches(void **state)
{
	static struct pair p;
	uint32_t n_streamed = 0, n_early = 0;

	pair_open(&p, 0, true);
	start_over(&p);
	for (uint32_t n = 0; n < 3000; n++) {
		struct sent expected, sent = {0};
		bool streams;
		uint32_t seen;

		submit_batch(&p, (uint32_t)below(ENTRIES), &expected);
		streams = p.rings[0].ring.streams;
		if (one_in(2)) {
			take_ring(p.qpairs[0], &p.servers[0], &sent);
			seen = sent.n;
			n_early += seen > 0;
			assert_true(seen <= expected.n && seen < NEAR + GROUP);
			assert_true(streams ? seen >= NEAR : expected.n - seen < GROUP);
		}
		n_streamed += streams;
		ring_client_ring(&p.rings[0].ring);
		take_ring(p.qpairs[0], &p.servers[0], &sent);
		assert_int_equal(sent.n, expected.n);
		assert_memory_equal(sent.cmds, expected.cmds, sent.n * sizeof(sent.cmds[0]));
		start_over(&p);
	}
	print_message("# %u of 3000 streamed, %u taken early\n", n_streamed, n_early);
	assert_in_range(n_streamed, 300, 2700);
	assert_in_range(n_early, 300, 2700);
	pair_close(&p);
}

#define SERVED 300000

struct taker {
	struct pair *p;
	uint32_t n_taken, n_wrong;
	pthread_t thread;
};

static uint64_t nth_lba(uint32_t n)
{
	return n * 7919ull % 16384;
}

static uint64_t nth_offset(uint32_t n)
{
	return n * 104729ull % 768 * 4096;
}

static void *take_main(void *arg)
{
	struct taker *t = arg;
	const struct nvmux_mem *mem = t->p->regions[3];
	struct ring_server *server = &t->p->servers[0];
	struct nvmux_ring_cmd cmd;

	while (t->n_taken < SERVED) {
		const struct nvmux_ring_cmd right = {
			.opc = nvme_cmd_read,
			.nsid = cpu_to_le32(2),
			.data = nvmux_ring_addr(mem->region, nth_offset(t->n_taken)),
			.data_len = 4096,
			.cdw10 = cpu_to_le32((uint32_t)nth_lba(t->n_taken)),
		};
		uint16_t cid;

		if (!ring_server_take(server, &cmd))
			continue;
		cid = le16_to_cpu(cmd.cid);
		cmd.cid = 0;
		cmd.flags &= (uint8_t)~NVMUX_RING_F_PHASE;
		t->n_wrong += memcmp(&cmd, &right, sizeof(cmd)) != 0;
		t->n_taken++;
		ring_server_complete(server, cid, 0, 0);
	}
	return NULL;
}

/* Batches of all lengths, taken by another thread as soon as it sees them. */
static void test_taken_by_another(void **state)
{
	static struct pair p;
	struct taker t = {.p = &p};
	struct nvmux_qpair *qpair;
	uint32_t n = 0, n_streamed = 0;

	pair_open(&p, 0, true);
	qpair = p.qpairs[0];
	assert_int_equal(pthread_create(&t.thread, NULL, take_main, &t), 0);
	while (p.outcomes[0].calls < SERVED) {
		uint32_t burst = (uint32_t)below(ENTRIES);

		for (; burst && n < SERVED && !nvmux_qpair_is_full(qpair); burst--, n++)
			assert_int_equal(ring_qpair_read(nvmux_ctrlr_get_ns(p.ctrlr, 2), qpair,
							 p.regions[3]->addr + nth_offset(n),
							 nth_lba(n), 1, 0, done, &p.outcomes[0]),
					 0);
		n_streamed += p.rings[0].ring.streams;
		assert_true(ring_qpair_process(qpair, 0) >= 0);
		if (one_in(8)) /* until there is room for a long one */
			while (nvmux_qpair_outstanding(qpair))
				assert_true(ring_qpair_process(qpair, 0) >= 0);
	}
	pthread_join(t.thread, NULL);
	print_message("# %u streamed\n", n_streamed);
	assert_int_equal(t.n_wrong, 0);
	assert_true(n_streamed > 100);
	pair_close(&p);
}

/* ---- a ring's command, by the two checks of the daemon and the two ways to the queue ---- */

static struct ctrlr_view *make_view(const struct nvmux_ctrlr *ctrlr)
{
	struct ctrlr_view *view = calloc(1, sizeof(*view) + ctrlr->n_ns * sizeof(view->ns[0]));

	assert_non_null(view);
	view->max_transfer = ctrlr->max_transfer;
	view->separate_md = true;
	view->sgl = ctrlr->sgl;
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		const struct nvmux_ns *ns = ctrlr->ns[i];

		view->ns[view->n_ns++] = (struct ns_view){
			.nsid = ns->id,
			.lba_shift = ns->lba_shift,
			.md_interleaved = ns->md_interleaved,
			.md_size = ns->md_size,
			.writable = i != 1,
			.n_lbas = ns->n_lbas,
			.pi = ns->pi_type,
			.zone_lbas = ns->zone_lbas,
		};
	}
	ctrlr_view_index(view);
	return view;
}

static struct nvmux_ring_cmd random_cmd(const struct pair *p)
{
	const struct nvmux_ns *ns = p->ctrlr->ns[one_in(2) ? below(8) : below(4)];
	const struct nvmux_mem *mem = p->regions[below(N_REGIONS)];
	uint32_t count = random_count(ns), len = count << ns->lba_shift;
	uint64_t lba = random_lba(ns, count), room = mem->size > len ? mem->size - len : 0;
	struct nvmux_ring_cmd cmd;

	for (uint32_t w = 0; w < 8; w++)
		((uint64_t *)&cmd)[w] = rnd();
	cmd.opc = one_in(20) ? (uint8_t)rnd() : one_in(2) ? nvme_cmd_read : nvme_cmd_write;
	cmd.flags = one_in(2) ? NVMUX_RING_F_PHASE : 0;
	cmd.nsid = cpu_to_le32(one_in(20) ? (uint32_t)below(80) : ns->id);
	cmd.data = nvmux_ring_addr(mem->region,
				   one_in(10) ? near(room)
					      : below(room / 4096 + 1) * 4096 + below(2) * 4);
	cmd.data_len = one_in(10) ? (uint32_t)near(len) : len;
	cmd.cdw10 = cpu_to_le32((uint32_t)lba);
	cmd.cdw11 = cpu_to_le32((uint32_t)(lba >> 32));
	cmd.cdw12 = cpu_to_le32(((uint32_t)rnd() & 0xffff0000) | (uint16_t)(count - 1));
	return cmd;
}

/* False: the short check leaves it to the other one. */
static bool send_both(struct pair *p, const struct ctrlr_view *view,
		      const struct region_view *regions, uint32_t n_regions)
{
	struct checked_cmd cmds[2] = {{.ring = random_cmd(p)}};
	struct nvmux_payload payload = {.data = &cmds[1].seg, .n_data = 1};
	const struct nvmux_transport *transport = p->qpairs[0]->transport;
	struct nvmux_plain plain;

	cmds[1] = cmds[0];
	if (!channel_check_plain(&cmds[0].ring,
				 ctrlr_view_likely(view, le32_to_cpu(cmds[0].ring.nsid)), regions,
				 n_regions, &plain))
		return false;
	assert_int_equal(channel_check(view, regions, n_regions, &cmds[1]), 0);
	payload.data_len = cmds[1].seg.len;
	assert_int_equal(cmds[1].md.len, 0);
	assert_int_equal(
		transport->submit_plain(p->qpairs[0], &cmds[0].cmd, &plain, done, &p->outcomes[0]),
		0);
	assert_int_equal(
		transport->submit(p->qpairs[1], &cmds[1].cmd, &payload, done, &p->outcomes[1]), 0);
	assert_int_equal(compare_sent(p), 1);
	return true;
}

static void test_submit_plain(void **state)
{
	for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		static struct region_view regions[65536];
		static struct pair p;
		struct ctrlr_view *view;
		uint32_t n_plain = 0;

		pair_open(&p, kind, false);
		start_over(&p);
		view = make_view(p.ctrlr);
		memset(regions, 0, sizeof(regions));
		for (uint32_t i = 0; i < N_REGIONS - 1; i++)
			regions[p.regions[i]->region] = (struct region_view){
				.mem = p.regions[i],
				.size = p.regions[i]->size,
				.base = p.regions[i]->maps[p.ctrlr->index].base,
			};
		for (uint32_t n = 0; n < CASES; n++) {
			n_plain += send_both(&p, view, regions, 65534);
			if (nvmux_qpair_is_full(p.qpairs[0]) || one_in(20))
				start_over(&p);
		}
		print_message("# %s: %u of the usual kind\n", kinds[kind].settings, n_plain);
		assert_true(n_plain > CASES / 20);
		free(view);
		pair_close(&p);
	}
}

/* More than a list describes, which no format allows: nothing is written beyond it. */
static void test_too_long(void **state)
{
	const struct nvmux_cmd cmd = {.opc = nvme_cmd_read, .nsid = cpu_to_le32(1)};
	static struct pair p;
	struct pcie_qpair *q;
	struct nvmux_plain plain;
	struct sent sent;

	pair_open(&p, 4, false);
	q = pcie_qpair(p.qpairs[0]);
	for (uint32_t pages = 510; pages < 520; pages++) {
		plain = (struct nvmux_plain){p.regions[3]->iova, pages * NVMUX_PAGE_SIZE};
		assert_int_equal(
			counted->submit_plain(&q->base, &cmd, &plain, done, &p.outcomes[0]), 0);
		take_sent(&p, 0, &sent);
		assert_int_equal(sent.n, 1);
		assert_int_equal(le64_to_cpu(sent.cmds[0].dptr[1]), pages <= 513); /* a list */
		assert_memory_equal(&q->lists[(sent.slots[0] + 1u) * PRP_LIST_ENTRIES],
				    (uint8_t[NVMUX_PAGE_SIZE]){0}, NVMUX_PAGE_SIZE);
		nvmux_qpair_abort_all(&q->base, NVME_SC_ABORT_REQ);
	}
	pair_close(&p);
}

/* ---- regions come and go while another thread submits ---- */

struct submitter {
	struct pair *p;
	uint32_t end; /* atomic */
	uint32_t n_sent, n_wrong;
	pthread_t thread;
};

/* To the ends of two regions that stay, around one that comes and goes. */
static void *submit_main(void *arg)
{
	struct submitter *s = arg;
	struct pair *p = s->p;
	struct nvmux_qpair *qpair = p->qpairs[0];
	struct nvmux_ns *ns = nvmux_ctrlr_get_ns(p->ctrlr, 2);

	for (uint32_t n = 0; !__atomic_load_n(&s->end, __ATOMIC_RELAXED); n++) {
		struct nvmux_mem *mem = p->regions[n & 1 ? 1 : 3];
		uint8_t *buf = mem->addr + mem->size - 4096;
		struct sent sent = {0};
		int err = qpair->transport->read(ns, qpair, buf, n % 1000, 1, 0, done,
						 &p->outcomes[0]);

		s->n_sent += !err;
		s->n_wrong += err != 0;
		take_sent(p, 0, &sent);
		if (!err && (sent.n != 1 ||
			     le64_to_cpu(sent.cmds[0].dptr[0]) != mem->iova + mem->size - 4096))
			s->n_wrong++;
		if (nvmux_qpair_is_full(qpair))
			nvmux_qpair_abort_all(qpair, NVME_SC_ABORT_REQ);
	}
	return NULL;
}

static void test_regions_come_and_go(void **state)
{
	static struct pair p;
	struct submitter s = {.p = &p};

	pair_open(&p, 0, false);
	assert_int_equal(pthread_create(&s.thread, NULL, submit_main, &s), 0);
	for (uint32_t n = 0; n < 500; n++) {
		struct nvmux_sync sync = {.nvmux = p.nvmux};
		struct nvmux_mem *mem;

		nvmux_mem_unmap_async(p.regions[2], p.ctrlr, nvmux_sync_done, &sync);
		assert_int_equal(nvmux_sync_wait(&sync), 0);
		/* the table is written beside, too */
		assert_int_equal(nvmux_mem_create(p.nvmux, (1 + n % 3) * SLOT, 0, &mem), 0);
		assert_int_equal(nvmux_mem_map(mem, p.ctrlr), 0);
		nvmux_mem_free(mem);
		assert_int_equal(nvmux_mem_map(p.regions[2], p.ctrlr), 0);
	}
	__atomic_store_n(&s.end, 1, __ATOMIC_RELAXED);
	pthread_join(s.thread, NULL);
	print_message("# %u sent\n", s.n_sent);
	assert_int_equal(s.n_wrong, 0);
	assert_true(s.n_sent > 0);
	pair_close(&p);
}

/* What a slot of the window holds for a controller follows the regions that are put there. */
static void test_slot_used_again(void **state)
{
	static struct pair p;
	struct nvmux_plain plain;
	struct nvmux_ns *ns;
	struct nvmux_mem *mem;
	uint8_t *place;

	pair_open(&p, 0, false);
	ns = nvmux_ctrlr_get_ns(p.ctrlr, 2);
	for (size_t size = 3 * SLOT; size >= 4096; size /= 2) {
		size = align_up(size, 4096);
		assert_int_equal(nvmux_mem_alloc(p.ctrlr, size, 0, &mem), 0);
		place = mem->addr;
		for (size_t at = 0; at + 4096 <= 3 * SLOT; at += SLOT / 8) {
			bool is = nvmux_rw_is_plain(ns, p.qpairs[0], place + at, 0, 1, 0, done,
						    &plain);

			assert_int_equal(is, at + 4096 <= size);
			if (is)
				assert_int_equal(plain.addr, mem->iova + at);
			/* nobody told the other one of it */
			assert_int_equal(p.stranger
						 ->reach[(mem->iova - NVMUX_IOVA_BASE + at) >>
							 NVMUX_SLOT_SHIFT]
						 .end,
					 0);
		}
		nvmux_mem_free(mem);
		assert_false(nvmux_rw_is_plain(ns, p.qpairs[0], place, 0, 1, 0, done, &plain));
	}
	pair_close(&p);
}

/* ---- a daemon that sleeps is woken for each batch, whichever way its commands went ---- */

static void wait_for_byte(struct pair *p, bool expected)
{
	char byte;

	assert_int_equal(recv(p->servers[0].wake_fd, &byte, 1, MSG_DONTWAIT), expected ? 1 : -1);
	assert_int_equal(p->servers[0].header->daemon_sleeping, !expected);
}

static void test_announced(void **state)
{
	static struct pair p;
	struct sent sent;

	pair_open(&p, 0, true);
	for (uint32_t n = 0; n < 2000; n++) {
		struct call c = random_call(&p);

		p.servers[0].header->daemon_sleeping = 1;
		call_one(&p, 0, &c);
		if (one_in(2))
			call_one(&p, 0, &c);
		wait_for_byte(&p, false);
		nvmux_qpair_process_completions(p.qpairs[0], 0);
		take_sent(&p, 0, &sent);
		wait_for_byte(&p, sent.n);
		nvmux_qpair_process_completions(p.qpairs[0], 0);
		nvmux_qpair_abort_all(p.qpairs[0], NVME_SC_ABORT_REQ);
	}
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_ring),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_taken_by_another),
		cmocka_unit_test(test_submit_plain),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_regions_come_and_go),
		cmocka_unit_test(test_slot_used_again),
		cmocka_unit_test(test_announced),
	};

	return cmocka_run_group_tests_name("rw_plain", tests, NULL, NULL);
}
