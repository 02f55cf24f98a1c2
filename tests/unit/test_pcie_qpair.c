// SPDX-License-Identifier: BSD-3-Clause
/*
 * The queue code on a device of plain memory. The device's admin queue answers just enough for a
 * controller to start; its I/O queues do nothing by themselves: the tests write their completions.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "transports/pcie/pcie_int.h"

#define QUEUES  4
#define LOG_MAX 256
#define ENTRIES 8 /* of an I/O queue in most tests */

struct fake_queue {
	uint64_t sq, cq; /* IOVAs; 0: not there */
	uint32_t sq_entries, cq_entries;
	uint32_t head, tail, phase;
};

struct fake {
	struct nvmux *nvmux;
	struct pcie_dev *dev;
	uint32_t dstrd;
	bool by_message; /* doorbells can't be mapped */
	uint32_t n_irqs;
	uint32_t quirks;
	int irq;           /* eventfd of vector 0 */
	int db_err;        /* what doorbell_write() answers … */
	unsigned db_fails; /* … this often */
	uint32_t db_bytes;
	int map_err;
	unsigned n_maps, n_unmaps;
	uint32_t cc, aqa;
	uint64_t asq, acq;
	uint8_t fail_opc[2]; /* admin commands that fail; 0xff: none */
	uint16_t fail_status;
	uint8_t admin_log[LOG_MAX]; /* opcodes seen */
	unsigned n_admin;
	uint32_t doorbells[QUEUES * 2 * 16]; /* as the driver writes them */
	struct {
		uint32_t offset, value;
	} db_log[LOG_MAX];
	unsigned n_db;
	unsigned n_kicks;
	uint32_t sgls;
	bool offers_buffers; /* doorbell buffers, */
	bool in_memory;      /* of a controller whose doorbells are memory */
	uint32_t *shadows, *events;
	struct fake_queue queues[QUEUES];
};

static struct fake *fake_of(struct pcie_dev *dev)
{
	return dev->nvmux->transport_data[NVMUX_TRTYPE_LOOPBACK];
}

static void *host(const struct fake *f, uint64_t iova)
{
	return f->nvmux->window + (iova - NVMUX_IOVA_BASE);
}

/* ---- the device ---- */

static int fake_alloc(struct nvmux *nvmux, const struct nvmux_trid *trid, struct pcie_dev **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return 0;
}

static void fake_free(struct pcie_dev *dev)
{
	free(dev);
}

static void fake_open(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	struct fake *f = fake_of(dev);

	f->dev = dev;
	dev->doorbells = f->by_message ? NULL : f->doorbells;
	dev->doorbell_bytes = f->db_bytes;
	dev->n_irqs = f->n_irqs;
	dev->quirks = f->quirks;
	dev->doorbells_in_memory = f->in_memory;
	done(arg, 0, 0);
}

static void fake_close(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	done(arg, 0, 0);
}

static void fake_reg_read(struct pcie_dev *dev, uint32_t offset, uint32_t size, nvmux_done_fn done,
			  void *arg)
{
	const struct fake *f = fake_of(dev);
	uint64_t value = 0;

	switch (offset) {
	case NVME_REG_CAP: value = 1023 | 1ull << 24 | (uint64_t)f->dstrd << 32 | 1ull << 37; break;
	case NVME_REG_VS: value = 0x20000; break;
	case NVME_REG_CC: value = f->cc; break;
	case NVME_REG_CSTS:
		value = (f->cc & 1) | (NVME_CC_SHN(f->cc) ? NVME_CSTS_SHST_CMPLT << 2 : 0);
		break;
	default: fail_msg("register %#x", offset);
	}
	done(arg, 0, value);
}

static void fake_reg_write(struct pcie_dev *dev, uint32_t offset, uint32_t size, uint64_t value,
			   nvmux_done_fn done, void *arg)
{
	struct fake *f = fake_of(dev);

	switch (offset) {
	case NVME_REG_AQA: f->aqa = (uint32_t)value; break;
	case NVME_REG_ASQ: f->asq = value; break;
	case NVME_REG_ACQ: f->acq = value; break;
	case NVME_REG_CC:
		f->cc = (uint32_t)value;
		memset(f->queues, 0, sizeof(f->queues));
		if (f->cc & 1)
			f->queues[0] = (struct fake_queue){.sq = f->asq,
							   .cq = f->acq,
							   .sq_entries = (f->aqa & 0xfff) + 1,
							   .cq_entries = (f->aqa >> 16 & 0xfff) + 1,
							   .phase = 1};
		/* A controller that is disabled has doorbells of 0. */
		if (!(f->cc & 1))
			memset(f->doorbells, 0, sizeof(f->doorbells));
		break;
	default: fail_msg("register %#x", offset);
	}
	done(arg, 0, 0);
}

static void fake_dma_map(struct pcie_dev *dev, struct nvmux_mem *mem, nvmux_done_fn done, void *arg)
{
	struct fake *f = fake_of(dev);

	f->n_maps += !f->map_err;
	done(arg, f->map_err, 0);
}

static void fake_dma_unmap(struct pcie_dev *dev, struct nvmux_mem *mem, nvmux_done_fn done,
			   void *arg)
{
	fake_of(dev)->n_unmaps++;
	done(arg, 0, 0);
}

static void fake_set_irqs(struct pcie_dev *dev, const int *eventfds, uint32_t n, nvmux_done_fn done,
			  void *arg)
{
	assert_int_equal(n, 1);
	fake_of(dev)->irq = eventfds[0];
	done(arg, 0, 0);
}

static int fake_doorbell_write(struct pcie_dev *dev, uint32_t offset, uint32_t value)
{
	struct fake *f = fake_of(dev);

	if (f->db_fails) {
		f->db_fails--;
		return f->db_err;
	}
	f->doorbells[(offset - PCIE_DOORBELL_BASE) / 4] = value;
	assert_true(f->n_db < LOG_MAX);
	f->db_log[f->n_db].offset = offset;
	f->db_log[f->n_db++].value = value;
	return 0;
}

static uint32_t doorbell(const struct fake *f, unsigned index)
{
	return f->doorbells[index << f->dstrd];
}

/* Post a completion, whatever it is, as the controller would. */
static void post(struct fake *f, uint16_t qid, uint16_t cid, uint16_t status)
{
	struct fake_queue *q = &f->queues[qid];
	struct nvmux_cpl *cpl = (struct nvmux_cpl *)host(f, q->cq) + q->tail;

	cpl->cid = htole16(cid);
	cpl->sqid = htole16(qid);
	cpl->status = htole16((uint16_t)(status << 1 | q->phase));
	if (++q->tail == q->cq_entries) {
		q->tail = 0;
		q->phase ^= 1;
	}
}

static uint16_t admin_answer(struct fake *f, const struct nvmux_cmd *cmd, uint32_t *dw0)
{
	uint32_t cdw10 = le32toh(cmd->cdw10);
	struct fake_queue *q = &f->queues[(uint16_t)cdw10 % QUEUES];

	if (cmd->opc == f->fail_opc[0] || cmd->opc == f->fail_opc[1])
		return f->fail_status;
	switch (cmd->opc) {
	case nvme_admin_identify: {
		uint8_t *data = host(f, le64toh(cmd->dptr[0]));

		memset(data, 0, NVMUX_PAGE_SIZE);
		if ((cdw10 & 0xff) == NVME_IDENTIFY_CNS_CTRL) {
			struct nvme_id_ctrl *id = (void *)data;

			id->sqes = 0x66;
			id->cqes = 0x44;
			id->nn = htole32(1);
			id->sgls = htole32(f->sgls);
			id->oacs = htole16(f->offers_buffers ? NVME_CTRL_OACS_DBBUF_CFG : 0);
		}
		break;
	}
	case nvme_admin_set_features: *dw0 = (QUEUES - 2) << 16 | (QUEUES - 2); break;
	case nvme_admin_create_cq:
		assert_int_equal(le32toh(cmd->cdw11), 1);
		assert_int_equal(cmd->dptr[1], 0);
		*q = (struct fake_queue){
			.cq = le64toh(cmd->dptr[0]), .cq_entries = (cdw10 >> 16) + 1, .phase = 1};
		break;
	case nvme_admin_create_sq:
		assert_int_equal(le32toh(cmd->cdw11), (uint16_t)cdw10 << 16 | 1);
		assert_int_equal(cmd->dptr[1], 0);
		assert_true(q->cq);
		q->sq = le64toh(cmd->dptr[0]);
		q->sq_entries = (cdw10 >> 16) + 1;
		break;
	case nvme_admin_dbbuf:
		assert_int_equal(le64toh(cmd->dptr[0]) % 4096, 0);
		assert_int_equal(le64toh(cmd->dptr[1]) % 4096, 0);
		f->shadows = host(f, le64toh(cmd->dptr[0]));
		f->events = host(f, le64toh(cmd->dptr[1]));
		assert_ptr_not_equal(f->shadows, f->events);
		break;
	case nvme_admin_delete_sq: q->sq = 0; break;
	case nvme_admin_delete_cq: *q = (struct fake_queue){0}; break;
	default: break;
	}
	return 0;
}

static void serve_admin(struct fake *f)
{
	struct fake_queue *q = &f->queues[0];

	while (q->sq && q->head != doorbell(f, 0)) {
		struct nvmux_cmd cmd = ((struct nvmux_cmd *)host(f, q->sq))[q->head];
		struct nvmux_cpl *cpl = (struct nvmux_cpl *)host(f, q->cq) + q->tail;
		uint16_t status;
		uint32_t dw0 = 0;

		q->head = (q->head + 1) % q->sq_entries;
		if (cmd.opc == nvme_admin_async_event)
			continue;
		f->admin_log[f->n_admin++ % LOG_MAX] = cmd.opc;
		status = admin_answer(f, &cmd, &dw0);
		cpl->dw0 = htole32(dw0);
		post(f, 0, le16toh(cmd.cid), status);
	}
}

static void fake_kick(struct pcie_dev *dev, uint16_t qid)
{
	struct fake *f = fake_of(dev);

	if (qid == 0)
		serve_admin(f);
	else
		f->n_kicks++;
}

static const struct pcie_dev_ops fake_ops = {
	.alloc = fake_alloc,
	.free = fake_free,
	.open = fake_open,
	.close = fake_close,
	.reg_read = fake_reg_read,
	.reg_write = fake_reg_write,
	.dma_map = fake_dma_map,
	.dma_unmap = fake_dma_unmap,
	.set_irqs = fake_set_irqs,
	.doorbell_write = fake_doorbell_write,
	.kick = fake_kick,
};

static const struct pcie_transport fake_transport = {
	.base = {.trtype = NVMUX_TRTYPE_LOOPBACK, PCIE_TRANSPORT_OPS},
	.dev_ops = &fake_ops,
};

/* ---- fixture ---- */

struct fixture {
	struct fake fake;
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;
	unsigned calls[ENTRIES * 16]; /* of each command's callback */
	uint16_t statuses[ENTRIES * 16];
	uint16_t last_status;
	unsigned n_called;
	struct nvmux_qpair *free_in_callback;
	uint16_t next_cid;
};

struct call {
	struct fixture *fx;
	unsigned n;
};

static struct call call_args[ENTRIES * 16];

static void called(void *arg, const struct nvmux_cpl *cpl)
{
	struct call *call = arg;
	struct fixture *fx = call->fx;

	fx->calls[call->n]++;
	fx->n_called++;
	fx->last_status = fx->statuses[call->n] = nvmux_cpl_status(cpl);
	if (fx->free_in_callback) {
		nvmux_qpair_free(fx->free_in_callback);
		fx->free_in_callback = NULL;
	}
}

static void make_context(struct fixture *fx)
{
	assert_int_equal(nvmux_create(NULL, &fx->nvmux), 0);
	assert_int_equal(nvmux_transport_register(fx->nvmux, &fake_transport.base), 0);
	fx->nvmux->transport_data[NVMUX_TRTYPE_LOOPBACK] = &fx->fake;
	fx->fake.nvmux = fx->nvmux;
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	make_context(fx);
	fx->fake.fail_opc[0] = fx->fake.fail_opc[1] = 0xff;
	fx->fake.db_bytes = QUEUES * 2 * 4;
	fx->fake.irq = -1;
	for (unsigned i = 0; i < ARRAY_SIZE(call_args); i++)
		call_args[i] = (struct call){fx, i};
	*state = fx;
	return 0;
}

static void attach(struct fixture *fx)
{
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "fake"};

	if (nvmux_connect(fx->nvmux, &trid, NULL, &fx->ctrlr))
		fail_msg("%s", nvmux_error_text(fx->nvmux));
}

static int alloc_qpair(struct fixture *fx, uint32_t depth)
{
	struct nvmux_io_qpair_opts opts;

	nvmux_io_qpair_opts_init(fx->ctrlr, &opts, sizeof(opts));
	opts.no_staging = true; /* these tests count what is mapped */
	opts.io_queue_depth = depth;
	return nvmux_ctrlr_alloc_io_qpair(fx->ctrlr, &opts, &fx->qpair);
}

static void start(struct fixture *fx)
{
	attach(fx);
	assert_int_equal(alloc_qpair(fx, ENTRIES - 1), 0);
	assert_int_equal(nvmux_mem_alloc(fx->ctrlr, 4u << 20, 0, &fx->mem), 0);
	fx->fake.n_db = 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	nvmux_mem_free(fx->mem);
	if (fx->ctrlr)
		nvmux_detach(fx->ctrlr);
	nvmux_destroy(fx->nvmux);
	free(fx);
	return 0;
}

/* Submit command @n (4 KiB of the region) and say which identifier it got. */
static uint16_t submit(struct fixture *fx, unsigned n)
{
	const struct nvmux_cmd cmd = {.opc = 2, .nsid = htole32(1), .cdw10 = htole32(n)};
	const struct nvmux_seg seg = {.mem = fx->mem, .offset = n * 4096, .len = 4096};
	const struct nvmux_payload payload = {.data = &seg, .n_data = 1, .data_len = 4096};
	uint16_t cid = nvmux_qpair_next_cid(fx->qpair);

	assert_false(nvmux_qpair_is_full(fx->qpair));
	assert_int_equal(
		fx->qpair->transport->submit(fx->qpair, &cmd, &payload, called, &call_args[n]), 0);
	return cid;
}

static int process(struct fixture *fx, uint32_t max)
{
	return nvmux_qpair_process_completions(fx->qpair, max);
}

/* ---- the tests ---- */

static void sqe_is_complete(void **state)
{
	struct fixture *fx = *state;
	const struct nvmux_cmd cmd = {
		.opc = 1,
		.flags = 0xc1, /* PSDT of the caller doesn't count, FUSE does */
		.cid = htole16(0x7777),
		.nsid = htole32(5),
		.cdw2 = htole32(2),
		.cdw3 = htole32(3),
		.mptr = htole64(0x666),
		.dptr = {htole64(0x777), htole64(0x888)},
		.cdw10 = htole32(10),
		.cdw11 = htole32(11),
		.cdw12 = htole32(12),
		.cdw13 = htole32(13),
		.cdw14 = htole32(14),
		.cdw15 = htole32(15)};
	struct nvmux_seg seg = {.offset = 0x1004, .len = 8192};
	struct nvmux_payload payload = {.data = &seg, .n_data = 1, .data_len = 8192};
	const struct nvmux_payload nothing = {0};
	const struct nvmux_cmd *sqe;
	uint16_t cid;

	start(fx);
	seg.mem = fx->mem;
	payload.md = (struct nvmux_seg){.mem = fx->mem, .offset = 0x8000, .len = 64};
	cid = nvmux_qpair_next_cid(fx->qpair);
	assert_int_equal(pcie_qpair_submit(fx->qpair, &cmd, &payload, called, &call_args[0]), 0);
	sqe = host(&fx->fake, fx->fake.queues[1].sq);
	assert_int_equal(sqe->opc, 1);
	assert_int_equal(sqe->flags, 1);
	assert_int_equal(le16toh(sqe->cid), cid);
	assert_int_equal(le32toh(sqe->nsid), 5);
	assert_int_equal(le32toh(sqe->cdw2), 2);
	assert_int_equal(le32toh(sqe->cdw3), 3);
	assert_int_equal(le64toh(sqe->mptr), fx->mem->iova + 0x8000);
	assert_int_equal(le64toh(sqe->dptr[0]), fx->mem->iova + 0x1004);
	/* three pages: a list, which lies in the queue's own memory */
	const __le64 *list = host(&fx->fake, le64toh(sqe->dptr[1]));

	assert_int_equal(le64toh(list[0]), fx->mem->iova + 0x2000);
	assert_int_equal(le64toh(list[1]), fx->mem->iova + 0x3000);
	assert_int_equal(list[2], 0);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(le32toh((&sqe->cdw10)[i]), 10 + i);

	/* Without data the pointers of the caller are nobody's business. */
	assert_int_equal(pcie_qpair_submit(fx->qpair, &cmd, &nothing, called, &call_args[1]), 0);
	sqe++;
	assert_int_equal(sqe->mptr, 0);
	assert_int_equal(sqe->dptr[0], 0);
	assert_int_equal(sqe->dptr[1], 0);
}

static void refused_takes_nothing(void **state)
{
	struct fixture *fx = *state;
	const struct nvmux_cmd cmd = {.opc = 2};
	struct nvmux_seg segs[2] = {{.offset = 0, .len = 512}, {.offset = 8192, .len = 512}};
	struct nvmux_payload payload = {.data = segs, .n_data = 2, .data_len = 1024};
	struct pcie_qpair *q;

	start(fx);
	q = pcie_qpair(fx->qpair);
	segs[0].mem = segs[1].mem = fx->mem;
	assert_int_equal(pcie_qpair_submit(fx->qpair, &cmd, &payload, called, NULL), -EINVAL);
	segs[0].offset = 2;
	payload.n_data = 1;
	assert_int_equal(pcie_qpair_submit(fx->qpair, &cmd, &payload, called, NULL), -EINVAL);
	segs[0].offset = 0;
	payload.md = (struct nvmux_seg){.mem = fx->mem, .offset = 1, .len = 8};
	assert_int_equal(pcie_qpair_submit(fx->qpair, &cmd, &payload, called, NULL), -EINVAL);
	assert_int_equal(nvmux_qpair_n_free(fx->qpair), ENTRIES - 1);
	assert_int_equal(q->sq_tail, 0);
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(doorbell(&fx->fake, 2), 0);
}

/* One doorbell for all submissions of a poll, one for all its completions. */
static void doorbells_are_coalesced(void **state)
{
	struct fixture *fx = *state;
	uint16_t cids[5];

	fx->fake.by_message = true;
	start(fx);
	for (unsigned i = 0; i < 5; i++)
		cids[i] = submit(fx, i);
	assert_int_equal(fx->fake.n_db, 0);
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(fx->fake.n_db, 1);
	assert_int_equal(fx->fake.db_log[0].offset, 0x1000 + 2 * 4);
	assert_int_equal(fx->fake.db_log[0].value, 5);
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(fx->fake.n_db, 1);
	for (unsigned i = 0; i < 5; i++)
		post(&fx->fake, 1, cids[4 - i], 0);
	assert_int_equal(process(fx, 0), 5);
	assert_int_equal(fx->fake.n_db, 2);
	assert_int_equal(fx->fake.db_log[1].offset, 0x1000 + 3 * 4);
	assert_int_equal(fx->fake.db_log[1].value, 5);
	assert_int_equal(fx->n_called, 5);
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(fx->fake.n_db, 2);
}

/* A device in the caller's thread is served with each poll that finds commands in flight. */
static void kick_while_in_flight(void **state)
{
	struct fixture *fx = *state;
	uint16_t cid;

	start(fx);
	process(fx, 0);
	assert_int_equal(fx->fake.n_kicks, 0);
	cid = submit(fx, 0);
	process(fx, 0);
	process(fx, 0);
	assert_int_equal(fx->fake.n_kicks, 2);
	post(&fx->fake, 1, cid, 0);
	assert_int_equal(process(fx, 0), 1);
	process(fx, 0);
	assert_int_equal(fx->fake.n_kicks, 3);
}

/* Many times around both queues, in batches of all sizes. */
static void around_the_rings(void **state)
{
	struct fixture *fx = *state;
	unsigned total = 0;

	start(fx);
	for (unsigned round = 0; round < 200; round++) {
		unsigned n = 1 + round % (ENTRIES - 1);
		uint16_t cids[ENTRIES];

		for (unsigned i = 0; i < n; i++)
			cids[i] = submit(fx, i);
		total += n;
		assert_int_equal(process(fx, 0), 0);
		assert_int_equal(doorbell(&fx->fake, 2), total % ENTRIES);
		for (unsigned i = 0; i < n; i++)
			post(&fx->fake, 1, cids[i], (uint16_t)(round % 3));
		assert_int_equal(process(fx, 0), n);
		assert_int_equal(fx->last_status, round % 3);
		assert_int_equal(doorbell(&fx->fake, 3), total % ENTRIES);
		assert_int_equal(fx->n_called, total);
		assert_int_equal(nvmux_qpair_n_free(fx->qpair), ENTRIES - 1);
	}
}

/* A command that is to be tried again goes into the next place, under another identifier. */
static void sent_once_more(void **state)
{
	struct fixture *fx = *state;
	const struct nvmux_cmd *sq;
	struct nvmux_cmd again;
	uint16_t cid;

	start(fx);
	sq = host(&fx->fake, fx->fake.queues[1].sq);
	cid = submit(fx, 3);
	process(fx, 0);
	post(&fx->fake, 1, cid, NVME_SC_NS_NOT_READY);
	assert_int_equal(process(fx, 0), 1);
	assert_int_equal(fx->n_called, 0);
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(doorbell(&fx->fake, 2), 2);
	assert_memory_equal(pcie_qpair_inflight(fx->qpair, cid & fx->qpair->cid_mask), &sq[1],
			    sizeof(sq[1]));
	again = sq[1];
	again.cid = sq[0].cid;
	assert_memory_equal(&sq[0], &again, sizeof(again));
	/* what comes late of the first time isn't the answer to the second */
	post(&fx->fake, 1, cid, 0);
	assert_int_equal(process(fx, 0), 1);
	assert_int_equal(fx->n_called, 0);
	assert_int_equal(fx->qpair->unknown_cids, 1);
	post(&fx->fake, 1, le16toh(sq[1].cid), 0);
	assert_int_equal(process(fx, 0), 1);
	assert_int_equal(fx->calls[3], 1);
	assert_int_equal(fx->statuses[3], 0);
}

/* What PRPs can't express goes by SGL where the controller has them. */
static void sgl_where_needed(void **state)
{
	struct fixture *fx = *state;
	const struct nvmux_cmd cmd = {.opc = 1};
	struct nvmux_seg segs[2] = {{.offset = 512, .len = 512},
				    {.offset = 8192 + 512, .len = 512}};
	struct nvmux_payload payload = {.data = segs, .n_data = 2, .data_len = 1024};
	const struct nvmux_cmd *sqe;
	const __le64 *list;

	start(fx);
	segs[0].mem = segs[1].mem = fx->mem;
	assert_int_equal(pcie_qpair_submit(fx->qpair, &cmd, &payload, called, &call_args[0]),
			 -EINVAL);
	fx->ctrlr->id.sgls = htole32(2);
	fx->ctrlr->sgl = true;
	assert_int_equal(pcie_qpair_submit(fx->qpair, &cmd, &payload, called, &call_args[0]), 0);
	sqe = host(&fx->fake, fx->fake.queues[1].sq);
	assert_int_equal(sqe->flags, 0x40);
	assert_int_equal(le64toh(sqe->dptr[1]), 3ull << 60 | 32);
	list = host(&fx->fake, le64toh(sqe->dptr[0]));
	assert_int_equal(le64toh(list[0]), fx->mem->iova + 512);
	assert_int_equal(le64toh(list[1]), 512);
	assert_int_equal(le64toh(list[2]), fx->mem->iova + 8192 + 512);
	assert_int_equal(le64toh(list[3]), 512);
	assert_int_equal(list[4], 0);
	segs[0].len = 510; /* no dword */
	assert_int_equal(pcie_qpair_submit(fx->qpair, &cmd, &payload, called, &call_args[1]),
			 -EINVAL);
	payload.n_data = 1; /* PRPs where they fit */
	segs[0].len = 512;
	assert_int_equal(pcie_qpair_submit(fx->qpair, &cmd, &payload, called, &call_args[1]), 0);
	assert_int_equal(sqe[1].flags, 0);
}

static void max_is_obeyed(void **state)
{
	struct fixture *fx = *state;
	uint16_t cids[ENTRIES];

	start(fx);
	for (unsigned i = 0; i < ENTRIES - 1; i++)
		cids[i] = submit(fx, i);
	process(fx, 0);
	for (unsigned i = 0; i < ENTRIES - 1; i++)
		post(&fx->fake, 1, cids[i], 0);
	assert_int_equal(process(fx, 2), 2);
	assert_int_equal(doorbell(&fx->fake, 3), 2);
	assert_int_equal(process(fx, 1000), ENTRIES - 3);
	assert_int_equal(process(fx, 0), 0);
}

/* A slip is survived, a habit isn't: then the control thread gives the controller up. */
static void unknown_identifiers(void **state)
{
	struct fixture *fx = *state;
	uint16_t cid;

	start(fx);
	cid = submit(fx, 0);
	process(fx, 0);
	post(&fx->fake, 1, cid, 0);
	post(&fx->fake, 1, cid, 0);         /* again */
	post(&fx->fake, 1, ENTRIES - 1, 0); /* out of range by one */
	assert_int_equal(process(fx, 0), 3);
	assert_int_equal(fx->n_called, 1);
	assert_int_equal(fx->qpair->unknown_cids, 2);
	assert_false(nvmux_ctrlr_is_failed(fx->ctrlr));
	for (unsigned i = 0; i < PCIE_UNKNOWN_CIDS_MAX - 2; i++) {
		post(&fx->fake, 1, 0xffff, 0);
		assert_int_equal(process(fx, 0), i == PCIE_UNKNOWN_CIDS_MAX - 3 ? -ENXIO : 1);
	}
	assert_int_equal(process(fx, 0), -ENXIO);
	nvmux_process(fx->nvmux);
	assert_true(nvmux_ctrlr_is_failed(fx->ctrlr));
	assert_int_equal(fx->n_called, 1);
}

/* The second completion of a command whose slot is in use again, with others around it. */
static void duplicates_end_nothing(void **state)
{
	struct fixture *fx = *state;
	uint16_t cids[4], old[2];

	start(fx);
	for (unsigned i = 0; i < 4; i++)
		cids[i] = submit(fx, i);
	process(fx, 0);
	post(&fx->fake, 1, cids[2], 0);
	post(&fx->fake, 1, cids[1], 0);
	assert_int_equal(process(fx, 0), 2);
	memcpy(old, &cids[1], sizeof(old));
	cids[1] = submit(fx, 4); /* in the slots of those two */
	cids[2] = submit(fx, 5);
	assert_int_equal(cids[1] & fx->qpair->cid_mask, old[0] & fx->qpair->cid_mask);
	assert_int_equal(cids[2] & fx->qpair->cid_mask, old[1] & fx->qpair->cid_mask);
	process(fx, 0);
	for (unsigned i = 0; i < 2; i++)
		post(&fx->fake, 1, old[i], 0);
	assert_int_equal(process(fx, 0), 2);
	assert_int_equal(fx->n_called, 2);
	assert_int_equal(fx->qpair->unknown_cids, 2);
	for (unsigned i = 0; i < 4; i++)
		post(&fx->fake, 1, cids[i], 0);
	assert_int_equal(process(fx, 0), 4);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(fx->calls[i], 1);
}

/* Each bit that the depth leaves counts: an identifier is the same again after all of them. */
static void identifiers_come_again_late(void **state)
{
	struct fixture *fx = *state;
	uint16_t first = 0, cid;

	start(fx);
	for (uint32_t i = 0; i <= 65536 / (fx->qpair->cid_mask + 1u); i++) {
		cid = submit(fx, 0);
		first = i ? first : cid;
		assert_int_equal(cid & fx->qpair->cid_mask, first & fx->qpair->cid_mask);
		assert_int_equal(cid == first, i == 0 || i == 65536 / (fx->qpair->cid_mask + 1u));
		process(fx, 0);
		post(&fx->fake, 1, cid, 0);
		assert_int_equal(process(fx, 0), 1);
	}
}

static void all_phases_set(void **state)
{
	struct fixture *fx = *state;

	start(fx);
	submit(fx, 0);
	process(fx, 0);
	memset(host(&fx->fake, fx->fake.queues[1].cq), 0xff, ENTRIES * sizeof(struct nvmux_cpl));
	assert_int_equal(process(fx, 0), -ENXIO);
	assert_true(fx->qpair->unknown_cids <= ENTRIES);
	assert_int_equal(fx->n_called, 0);
	nvmux_process(fx->nvmux);
	assert_true(nvmux_ctrlr_is_failed(fx->ctrlr));
	/* the command ends when its owner polls the next time */
	assert_int_equal(process(fx, 0), -ENXIO);
	assert_int_equal(fx->n_called, 1);
	assert_int_equal(fx->last_status, NVMUX_SC_CTRLR_GONE);
}

/* Completions posted for ever, each valid when it is looked at, don't hold a poll for ever. */
static bool post_more;

static void post_another(void *arg, const struct nvmux_cpl *cpl)
{
	struct fixture *fx = ((struct call *)arg)->fx;
	const struct nvmux_cmd cmd = {.opc = 0};
	const struct nvmux_payload payload = {0};
	uint16_t cid = nvmux_qpair_next_cid(fx->qpair);

	fx->n_called++;
	if (!post_more)
		return;
	pcie_qpair_submit(fx->qpair, &cmd, &payload, post_another, arg);
	post(&fx->fake, 1, cid, 0);
}

static void a_poll_is_bounded(void **state)
{
	struct fixture *fx = *state;
	const struct nvmux_cmd cmd = {.opc = 0};
	const struct nvmux_payload payload = {0};
	uint16_t cid;

	start(fx);
	cid = nvmux_qpair_next_cid(fx->qpair);
	pcie_qpair_submit(fx->qpair, &cmd, &payload, post_another, &call_args[0]);
	process(fx, 0);
	post_more = true;
	post(&fx->fake, 1, cid, 0);
	assert_int_equal(process(fx, 0), ENTRIES);
	assert_int_equal(fx->n_called, ENTRIES);
	post_more = false;
	assert_int_equal(process(fx, 0), 1);
}

/* The control thread lets a queue pair go on (revive.c) while its owner takes completions. */
static void released_by_another_thread(void *arg, const struct nvmux_cpl *cpl)
{
	struct fixture *fx = ((struct call *)arg)->fx;

	called(arg, cpl);
	nvmux_qpair_set_state(fx->qpair, NVMUX_QPAIR_RELEASE);
}

static void released_within_a_poll(void **state)
{
	struct fixture *fx = *state;
	const struct nvmux_cmd cmd = {.opc = 0};
	const struct nvmux_payload payload = {0};
	uint16_t cids[5];

	start(fx);
	for (unsigned round = 0; round < ENTRIES; round++) {
		for (unsigned i = 0; i < 5; i++) {
			cids[i] = nvmux_qpair_next_cid(fx->qpair);
			pcie_qpair_submit(fx->qpair, &cmd, &payload,
					  i == 2 ? released_by_another_thread : called,
					  &call_args[i]);
		}
		process(fx, 0);
		for (unsigned i = 0; i < 5; i++)
			post(&fx->fake, 1, cids[i], 0);
		nvmux_qpair_set_state(fx->qpair, NVMUX_QPAIR_HOLDING);
		assert_int_equal(process(fx, 0), 3);
		assert_int_equal(process(fx, 0), 2);
		assert_int_equal(fx->qpair->unknown_cids, 0);
		assert_int_equal(fx->n_called, 5 * (round + 1));
		assert_int_equal(doorbell(&fx->fake, 3), 5 * (round + 1) % ENTRIES);
	}
}

static void freed_in_its_callback(void **state)
{
	struct fixture *fx = *state;
	uint16_t cids[5];

	start(fx);
	for (unsigned i = 0; i < 5; i++)
		cids[i] = submit(fx, i);
	process(fx, 0);
	for (unsigned i = 0; i < 3; i++)
		post(&fx->fake, 1, cids[i], 0);
	fx->free_in_callback = fx->qpair;
	assert_int_equal(process(fx, 0), 3);
	/* The two that had completed were delivered as such, the others aborted; each once. */
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(fx->calls[i], 1);
		assert_int_equal(fx->statuses[i], i < 3 ? 0 : NVME_SC_ABORT_QUEUE);
	}
	assert_int_equal(fx->fake.queues[1].cq, 0);
}

/* A doorbell that can't be written waits; that of the submissions waits for the other one. */
static void doorbell_that_waits(void **state)
{
	struct fixture *fx = *state;
	uint16_t cid;

	fx->fake.by_message = true;
	start(fx);
	cid = submit(fx, 0);
	fx->fake.db_err = -EAGAIN;
	fx->fake.db_fails = 2;
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(fx->fake.n_db, 0);
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(fx->fake.n_db, 1);
	assert_int_equal(doorbell(&fx->fake, 2), 1);

	post(&fx->fake, 1, cid, 0);
	fx->fake.db_fails = 2;
	assert_int_equal(process(fx, 0), 1);
	submit(fx, 1);
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(fx->fake.n_db, 1);
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(fx->fake.n_db, 3);
	assert_int_equal(fx->fake.db_log[1].offset, 0x1000 + 3 * 4);
	assert_int_equal(fx->fake.db_log[2].offset, 0x1000 + 2 * 4);
	assert_false(nvmux_ctrlr_is_failed(fx->ctrlr));
}

static void doorbell_that_fails(void **state)
{
	struct fixture *fx = *state;

	fx->fake.by_message = true;
	start(fx);
	submit(fx, 0);
	fx->fake.db_err = -EPIPE;
	fx->fake.db_fails = 1;
	assert_int_equal(process(fx, 0), -ENXIO);
	nvmux_process(fx->nvmux);
	assert_true(nvmux_ctrlr_is_failed(fx->ctrlr));
}

/* An admin doorbell that has to wait is written although nobody polls that queue. */
static void admin_doorbell_that_waits(void **state)
{
	struct fixture *fx = *state;

	fx->fake.by_message = true;
	fx->fake.n_irqs = 4;
	fx->fake.db_err = -EAGAIN;
	fx->fake.db_fails = 3;
	start(fx);
	assert_int_equal(fx->fake.db_fails, 0);
}

static void stride(void **state)
{
	struct fixture *fx = *state;

	fx->fake.dstrd = 4;
	fx->fake.db_bytes = sizeof(fx->fake.doorbells);
	start(fx);
	submit(fx, 0);
	process(fx, 0);
	assert_int_equal(fx->fake.doorbells[2 * 16], 1);
}

static unsigned seen(const struct fake *f, uint8_t opc)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n_admin; i++)
		n += f->admin_log[i] == opc;
	return n;
}

/* ---- doorbell buffers ---- */

/* Submit @n commands, and complete them. */
static void round_of(struct fixture *fx, unsigned n)
{
	uint16_t cids[ENTRIES];

	for (unsigned i = 0; i < n; i++)
		cids[i] = submit(fx, i);
	process(fx, 0);
	for (unsigned i = 0; i < n; i++)
		post(&fx->fake, 1, cids[i], 0);
	assert_int_equal(process(fx, 0), (int)n);
}

/* A register is written only when its value passes the index. */
static void registers_by_index(void **state)
{
	struct fixture *fx = *state;
	struct fake *f = &fx->fake;

	f->offers_buffers = f->by_message = true;
	start(fx);
	assert_int_equal(seen(f, nvme_admin_dbbuf), 1);
	assert_non_null(f->shadows);
	round_of(fx, 3); /* the index is 0: both go to the registers */
	assert_int_equal(f->n_db, 2);
	assert_int_equal(f->db_log[0].value, 3);
	assert_int_equal(f->db_log[1].value, 3);
	round_of(fx, 2); /* and so does nothing that is behind it */
	assert_int_equal(f->n_db, 2);
	assert_int_equal(f->shadows[2], 5);
	assert_int_equal(f->shadows[3], 5);
	f->events[2] = 5; /* it has seen all */
	f->events[3] = 6; /* it will look at the next by itself */
	round_of(fx, 1);
	assert_int_equal(f->n_db, 3);
	assert_int_equal(f->db_log[2].offset, 0x1000 + 2 * 4);
	assert_int_equal(f->db_log[2].value, 6);
	f->events[2] = 7; /* around the end of the queue */
	round_of(fx, 4);
	assert_int_equal(f->shadows[2], 2);
	assert_int_equal(f->shadows[3], 2);
	assert_int_equal(f->n_db, 5);
	assert_int_equal(f->shadows[0] | f->shadows[1], 0); /* not the admin queue's */
}

/* Mapped registers, and one that has to wait. */
static void registers_of_any_kind(void **state)
{
	struct fixture *fx = *state;
	struct fake *f = &fx->fake;

	f->offers_buffers = true;
	start(fx);
	round_of(fx, 2);
	assert_int_equal(doorbell(f, 2), 2);
	assert_int_equal(doorbell(f, 3), 2);
	round_of(fx, 2);
	assert_int_equal(doorbell(f, 2), 2);
	assert_int_equal(f->shadows[2], 4);
	assert_int_equal(f->n_db, 0);
}

static void waiting_register(void **state)
{
	struct fixture *fx = *state;
	struct fake *f = &fx->fake;

	f->offers_buffers = f->by_message = true;
	start(fx);
	f->db_err = -EAGAIN;
	f->db_fails = 1;
	submit(fx, 0);
	process(fx, 0);
	assert_int_equal(f->shadows[2], 1);
	submit(fx, 1);
	process(fx, 0);
	assert_int_equal(f->shadows[2], 2);
	assert_int_equal(f->n_db, 1);
	assert_int_equal(f->db_log[0].value, 2);
}

static void buffers_after_a_reset(void **state)
{
	struct fixture *fx = *state;
	struct fake *f = &fx->fake;

	f->offers_buffers = true;
	start(fx);
	round_of(fx, 5);
	f->events[2] = f->events[3] = 5;
	assert_int_equal(nvmux_ctrlr_reset(fx->ctrlr), 0);
	assert_int_equal(seen(f, nvme_admin_dbbuf), 2);
	assert_int_equal(f->shadows[2] | f->shadows[3] | f->events[2] | f->events[3], 0);
	round_of(fx, 1);
	assert_int_equal(doorbell(f, 2), 1);
	assert_int_equal(f->shadows[3], 1);
}

/* Refused, of no use, or beyond the page: each doorbell goes to its register. */
static void without_buffers(void **state)
{
	struct fixture *fx = *state;
	struct fake *f = &fx->fake;

	f->offers_buffers = true;
	f->fail_opc[0] = nvme_admin_dbbuf;
	f->fail_status = NVME_SC_INVALID_FIELD;
	start(fx);
	assert_int_equal(seen(f, nvme_admin_dbbuf), 1);
	assert_null(pcie_qpair(fx->qpair)->sq_bell.shadow);
	round_of(fx, 2);
	round_of(fx, 3);
	assert_int_equal(doorbell(f, 2), 5);
	assert_int_equal(doorbell(f, 3), 5);
}

static void buffers_of_no_use(void **state)
{
	struct fixture *fx = *state;
	struct fake *f = &fx->fake;

	f->offers_buffers = f->in_memory = true;
	start(fx);
	assert_int_equal(seen(f, nvme_admin_dbbuf), 0);
	round_of(fx, 2);
	round_of(fx, 3);
	assert_int_equal(doorbell(f, 2), 5);
}

/* ---- fused pairs, SGLs ---- */

static void put(struct fixture *fx, uint8_t flags)
{
	const struct nvmux_cmd cmd = {.opc = 1, .flags = flags};
	const struct nvmux_payload payload = {0};

	assert_int_equal(
		pcie_qpair_submit(fx->qpair, &cmd, &payload, called, &call_args[0]), 0);
}

/* The doorbell never lies between the two. */
static void fused_pairs_go_together(void **state)
{
	struct fixture *fx = *state;

	start(fx);
	put(fx, 0);
	put(fx, 1);
	fx->qpair->slow |= NVMUX_SLOW_FUSED; /* as io_submit() does */
	process(fx, 0);
	assert_int_equal(doorbell(&fx->fake, 2), 1);
	process(fx, 0);
	assert_int_equal(doorbell(&fx->fake, 2), 1);
	put(fx, 2);
	fx->qpair->slow = 0;
	process(fx, 0);
	assert_int_equal(doorbell(&fx->fake, 2), 3);
	/* The first ended with an injected error, and never came here. */
	put(fx, 0);
	fx->qpair->slow |= NVMUX_SLOW_FUSED;
	process(fx, 0);
	assert_int_equal(doorbell(&fx->fake, 2), 4);
	fx->qpair->slow = 0;
}

static void sgl_known_at_once(void **state)
{
	struct fixture *fx = *state;

	fx->fake.sgls = 1;
	attach(fx);
	assert_true(fx->ctrlr->sgl);
	assert_int_equal(fx->ctrlr->max_segs, NVMUX_SEGS_MAX);
}

static void no_such_doorbell(void **state)
{
	struct fixture *fx = *state;
	unsigned maps;

	fx->fake.db_bytes = 2 * 2 * 4 - 1; /* one byte short of queue 1's second doorbell */
	attach(fx);
	maps = fx->fake.n_maps - fx->fake.n_unmaps;
	assert_int_equal(alloc_qpair(fx, ENTRIES - 1), -ENOSPC);
	assert_non_null(strstr(nvmux_error_text(fx->nvmux), "doorbells"));
	assert_int_equal(fx->fake.n_maps - fx->fake.n_unmaps, maps);
}

static void creation_fails(void **state)
{
	struct fixture *fx = *state;
	struct fake *f = &fx->fake;
	unsigned maps;

	attach(fx);
	f->map_err = -ENOMEM;
	assert_int_equal(alloc_qpair(fx, ENTRIES - 1), -ENOMEM);
	f->map_err = 0;
	assert_int_equal(seen(f, nvme_admin_create_cq), 0);

	f->fail_status = 0x102;
	f->fail_opc[0] = nvme_admin_create_cq;
	maps = f->n_maps - f->n_unmaps;
	assert_int_equal(alloc_qpair(fx, ENTRIES - 1), -EIO);
	assert_non_null(strstr(nvmux_error_text(fx->nvmux), "Create I/O Completion Queue"));
	assert_int_equal(seen(f, nvme_admin_create_sq), 0);
	assert_int_equal(seen(f, nvme_admin_delete_cq), 0);
	assert_int_equal(f->n_maps - f->n_unmaps, maps);

	f->fail_opc[0] = nvme_admin_create_sq;
	assert_int_equal(alloc_qpair(fx, ENTRIES - 1), -EIO);
	assert_non_null(strstr(nvmux_error_text(fx->nvmux), "Create I/O Submission Queue"));
	assert_int_equal(seen(f, nvme_admin_delete_cq), 1);
	/* also when that fails */
	f->fail_opc[1] = nvme_admin_delete_cq;
	assert_int_equal(alloc_qpair(fx, ENTRIES - 1), -EIO);
	assert_non_null(strstr(nvmux_error_text(fx->nvmux), "Create I/O Submission Queue"));
	assert_int_equal(f->n_maps - f->n_unmaps, maps);

	f->fail_opc[0] = f->fail_opc[1] = 0xff;
	assert_int_equal(alloc_qpair(fx, ENTRIES - 1), 0);
}

/* Deletion: submission queue first, what had completed is delivered, then the completion queue. */
static void deletion(void **state)
{
	struct fixture *fx = *state;
	uint16_t cids[2];
	unsigned n;

	start(fx);
	cids[0] = submit(fx, 0);
	cids[1] = submit(fx, 1);
	process(fx, 0);
	post(&fx->fake, 1, cids[1], 0);
	n = fx->fake.n_admin;
	nvmux_qpair_free(fx->qpair);
	assert_int_equal(fx->fake.n_admin, n + 2);
	assert_int_equal(fx->fake.admin_log[n], nvme_admin_delete_sq);
	assert_int_equal(fx->fake.admin_log[n + 1], nvme_admin_delete_cq);
	assert_int_equal(fx->calls[0], 1);
	assert_int_equal(fx->calls[1], 1);
	assert_int_equal(fx->statuses[0], NVME_SC_ABORT_QUEUE);
	assert_int_equal(fx->statuses[1], 0);
}

static void reset_starts_afresh(void **state)
{
	struct fixture *fx = *state;
	struct pcie_qpair *q;
	uint16_t cid;

	start(fx);
	q = pcie_qpair(fx->qpair);
	for (unsigned i = 0; i < 3; i++) {
		cid = submit(fx, i);
		process(fx, 0);
		post(&fx->fake, 1, cid, 0);
		assert_int_equal(process(fx, 0), 1);
	}
	submit(fx, 3);
	process(fx, 0);
	submit(fx, 4); /* not even announced */
	assert_int_equal(nvmux_ctrlr_reset(fx->ctrlr), 0);
	assert_int_equal(fx->n_called, 5);
	assert_int_equal(nvmux_qpair_n_free(fx->qpair), ENTRIES - 1);
	assert_int_equal(q->sq_tail | q->sq_tail_rung | q->cq_head | q->cq_head_rung, 0);
	assert_int_equal(process(fx, 0), 0);
	assert_int_equal(fx->fake.queues[1].sq_entries, ENTRIES);
	cid = submit(fx, 5);
	process(fx, 0);
	assert_int_equal(doorbell(&fx->fake, 2), 1);
	post(&fx->fake, 1, cid, 0);
	assert_int_equal(process(fx, 0), 1);
}

static bool answered;

static void answer(void *arg, const struct nvmux_cpl *cpl)
{
	answered = true;
}

/* Have an admin command that the fake device keeps, then complete all that it keeps. */
static void answer_late(struct fixture *fx)
{
	const struct nvmux_cmd cmd = {.opc = nvme_admin_async_event};
	struct nvmux_qpair *adminq = fx->ctrlr->adminq;
	unsigned before = nvmux_qpair_outstanding(adminq);

	answered = false;
	assert_int_equal(nvmux_ctrlr_admin(fx->ctrlr, &cmd, NULL, 0, answer, NULL), 0);
	nvmux_process(fx->nvmux);
	assert_int_equal(nvmux_qpair_outstanding(adminq), before + 1);
	for (uint16_t i = 0; i < adminq->depth; i++) {
		if (adminq->slots[i].cb)
			post(&fx->fake, 0, adminq->slots[i].cid, NVME_SC_INTERNAL);
	}
}

/* With interrupts: the eventfd of vector 0 makes nvmux_process() reap the admin queue. */
static void admin_interrupt(void **state)
{
	struct fixture *fx = *state;
	const uint64_t one = 1;

	fx->fake.n_irqs = 1;
	start(fx);
	assert_true(fx->fake.irq >= 0);
	answer_late(fx);
	nvmux_process(fx->nvmux);
	assert_false(answered);
	assert_int_equal(write(fx->fake.irq, &one, sizeof(one)), sizeof(one));
	nvmux_process(fx->nvmux);
	assert_true(answered);
}

static void answer_and_next(void *arg, const struct nvmux_cpl *cpl)
{
	struct fixture *fx = arg;
	const uint64_t one = 1;

	if (fx->n_called++)
		return;
	/* the next one completes while this one is being dealt with, and interrupts again */
	post(&fx->fake, 0, fx->next_cid, NVME_SC_INTERNAL);
	assert_int_equal(write(fx->fake.irq, &one, sizeof(one)), sizeof(one));
}

/* Its counter is the device's to play with: never read, and each write is an event. */
static void interrupts_are_edges(void **state)
{
	const struct nvmux_cmd cmd = {.opc = nvme_admin_async_event};
	struct fixture *fx = *state;
	const uint64_t one = 1;
	uint16_t cids[2];
	uint64_t count;

	fx->fake.n_irqs = 1;
	start(fx);
	for (unsigned i = 0; i < 3; i++) {
		answer_late(fx);
		assert_int_equal(write(fx->fake.irq, &one, sizeof(one)), sizeof(one));
		nvmux_process(fx->nvmux);
		assert_true(answered);
	}
	for (unsigned i = 0; i < 2; i++) {
		const struct nvmux_qpair *adminq = fx->ctrlr->adminq;

		cids[i] = nvmux_qpair_next_cid(adminq);
		assert_int_equal(nvmux_ctrlr_admin(fx->ctrlr, &cmd, NULL, 0, answer_and_next, fx),
				 0);
	}
	nvmux_process(fx->nvmux);
	fx->next_cid = cids[1];
	post(&fx->fake, 0, cids[0], NVME_SC_INTERNAL);
	assert_int_equal(write(fx->fake.irq, &one, sizeof(one)), sizeof(one));
	nvmux_process(fx->nvmux);
	assert_int_equal(fx->n_called, 2);
	assert_int_equal(read(fx->fake.irq, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 5);
	/* nothing to be seen any more: an event that says so does no harm */
	assert_int_equal(write(fx->fake.irq, &one, sizeof(one)), sizeof(one));
	assert_int_equal(read(fx->fake.irq, &count, sizeof(count)), sizeof(count));
	nvmux_process(fx->nvmux);
	assert_false(nvmux_ctrlr_is_failed(fx->ctrlr));
}

/* A device that makes the eventfd a blocking one and fills it stops nobody. */
static void hostile_eventfd(void **state)
{
	struct fixture *fx = *state;
	const uint64_t most = UINT64_MAX - 1;

	fx->fake.n_irqs = 1;
	start(fx);
	fcntl(fx->fake.irq, F_SETFL, 0);
	assert_int_equal(write(fx->fake.irq, &most, sizeof(most)), sizeof(most));
	nvmux_process(fx->nvmux);
	for (unsigned i = 0; i < ENTRIES - 1; i++)
		post(&fx->fake, 1, 500, 0);
	alarm(20); /* ends a test that blocks */
	process(fx, 0);
	for (unsigned i = 0; i < ENTRIES - 1; i++)
		post(&fx->fake, 1, 500, 0);
	assert_int_equal(process(fx, 0), -ENXIO);
	assert_false(nvmux_ctrlr_is_failed(fx->ctrlr));
	nvmux_process(fx->nvmux);
	assert_true(nvmux_ctrlr_is_failed(fx->ctrlr));
	alarm(0);
}

/* Without: a timer does, also after a long time without anything. */
static void admin_polled(void **state)
{
	struct fixture *fx = *state;

	start(fx);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t end = nvmux_now_ms() + 1000;

		for (unsigned idle = 0; idle < 20; idle++) {
			usleep(1000);
			nvmux_process(fx->nvmux);
		}
		answer_late(fx);
		while (!answered && nvmux_now_ms() < end) {
			assert_in_range(nvmux_get_timeout_ms(fx->nvmux), 0, 10);
			usleep(1000);
			nvmux_process(fx->nvmux);
		}
		assert_true(answered);
	}
}

/* ---- quirks ---- */

static void queue_needs_time(void **state)
{
	struct fixture *fx = *state;
	uint64_t begin;

	fx->fake.quirks = PCIE_QUIRK_DELAY_AFTER_QUEUE;
	attach(fx);
	begin = nvmux_now_ms();
	assert_int_equal(alloc_qpair(fx, ENTRIES - 1), 0);
	assert_in_range(nvmux_now_ms() - begin, PCIE_DELAY_QUEUE_MS - 1,
			PCIE_DELAY_QUEUE_MS + 1000);
}

static void qpair_made(void *arg, struct nvmux_qpair *qpair, int err)
{
	struct fixture *fx = arg;

	assert_null(qpair);
	fx->n_called++;
	fx->last_status = (uint16_t)-err;
}

/* The controller goes while a new queue is left alone: it never becomes usable. */
static void lost_while_queue_needs_time(void **state)
{
	struct fixture *fx = *state;
	uint64_t begin = nvmux_now_ms();

	fx->fake.quirks = PCIE_QUIRK_DELAY_AFTER_QUEUE;
	attach(fx);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair_async(fx->ctrlr, NULL, qpair_made, fx), 0);
	while (!seen(&fx->fake, nvme_admin_create_sq) && nvmux_now_ms() < begin + 1000) {
		usleep(1000);
		nvmux_process(fx->nvmux);
	}
	nvmux_process(fx->nvmux);
	assert_int_equal(fx->n_called, 0);
	begin = nvmux_now_ms();
	nvmux_ctrlr_fail(fx->ctrlr);
	while (!fx->n_called && nvmux_now_ms() < begin + 1000) {
		nvmux_process(fx->nvmux);
		usleep(1000);
	}
	assert_in_range(nvmux_now_ms() - begin, 0, PCIE_DELAY_QUEUE_MS - 20);
	assert_int_equal(fx->n_called, 1);
	assert_int_equal(fx->last_status, ECANCELED);
}

static void attached(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr, int err)
{
	struct fixture *fx = arg;

	assert_null(ctrlr);
	fx->n_called++;
	fx->last_status = (uint16_t)-err;
}

/* The context ends while the controller is left alone for some seconds: nobody waits for that. */
static void end_within_a_delay(void **state)
{
	static const uint32_t quirks[] = {PCIE_QUIRK_DELAY_BEFORE_INIT,
					  PCIE_QUIRK_DELAY_BEFORE_RDY};
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "fake"};
	struct fixture *fx = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(quirks); i++) {
		uint64_t begin = nvmux_now_ms();

		fx->fake.quirks = quirks[i];
		assert_int_equal(nvmux_connect_async(fx->nvmux, &trid, NULL, attached, fx), 0);
		for (unsigned n = 0; n < 50; n++) {
			usleep(1000);
			nvmux_process(fx->nvmux);
		}
		assert_int_equal(fx->n_called, i);
		nvmux_destroy(fx->nvmux);
		fx->nvmux = NULL; /* teardown() comes also when one of these fails */
		assert_int_equal(fx->n_called, i + 1);
		assert_int_equal(fx->last_status, ECANCELED);
		assert_in_range(nvmux_now_ms() - begin, 0, 1000);
		make_context(fx);
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(sqe_is_complete),
		TEST(refused_takes_nothing),
		TEST(doorbells_are_coalesced),
		TEST(kick_while_in_flight),
		TEST(around_the_rings),
		TEST(max_is_obeyed),
		TEST(sent_once_more),
		TEST(sgl_where_needed),
		TEST(unknown_identifiers),
		TEST(duplicates_end_nothing),
		TEST(identifiers_come_again_late),
		TEST(all_phases_set),
		TEST(a_poll_is_bounded),
		TEST(released_within_a_poll),
		TEST(freed_in_its_callback),
		TEST(doorbell_that_waits),
		TEST(doorbell_that_fails),
		TEST(admin_doorbell_that_waits),
		TEST(stride),
		TEST(registers_by_index),
		TEST(registers_of_any_kind),
		TEST(waiting_register),
		TEST(buffers_after_a_reset),
		TEST(without_buffers),
		TEST(buffers_of_no_use),
		TEST(fused_pairs_go_together),
		TEST(sgl_known_at_once),
		TEST(no_such_doorbell),
		TEST(creation_fails),
		TEST(deletion),
		TEST(reset_starts_afresh),
		TEST(admin_interrupt),
		TEST(interrupts_are_edges),
		TEST(hostile_eventfd),
		TEST(admin_polled),
		TEST(queue_needs_time),
		TEST(lost_while_queue_needs_time),
		TEST(end_within_a_delay),
	};

	return cmocka_run_group_tests_name("pcie_qpair", tests, NULL, NULL);
}
