// SPDX-License-Identifier: BSD-3-Clause
/*
 * Requests that are nowhere near their completion when what they belong to ends: held to be
 * repeated, in staging memory, waiting for slots or for a reset, never sent. However it ends, each
 * has one callback, with the status that the header promises.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <nvmux/admin.h>
#include <nvmux/fault.h>
#include <nvmux/io.h>
#include "fake_ctrlr.h"
#include "outcome.h"
#include "libcore/faults.h"

#define DEPTH 8

struct fixture {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair;
	struct fake_qpair *q;
	struct nvmux_mem *mem;
	uint8_t *buf;
	struct outcome o[4 * DEPTH];
	uint32_t n;    /* of requests that were taken */
	int reset_err; /* 1: it goes on; 0: none, or it succeeded */
	bool detached;
};

static struct outcome *next(struct fixture *f)
{
	assert_true(f->n < ARRAY_SIZE(f->o));
	return &f->o[f->n++];
}

static void identify(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf)
{
	struct nvme_id_ctrl *id = buf;

	if ((le32_to_cpu(cmd->cdw10) & 0xff) != NVME_IDENTIFY_CNS_CTRL)
		return;
	id->crdt2 = cpu_to_le16(10); /* 1 s */
	id->oncs = cpu_to_le16(NVME_CTRL_ONCS_COMPARE | NVME_CTRL_ONCS_DSM);
	id->fuses = cpu_to_le16(NVME_CTRL_FUSES_COMPARE_AND_WRITE);
}

static void begin(struct fixture *f)
{
	static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK};
	struct nvmux_io_qpair_opts opts;
	struct nvmux_opts nopts;

	*f = (struct fixture){0};
	fake_reset();
	fake.identify = identify;
	nvmux_opts_init(&nopts, sizeof(nopts));
	nopts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&nopts, &f->nvmux), 0);
	assert_int_equal(nvmux_transport_register(f->nvmux, &fake_keeping_transport), 0);
	assert_int_equal(nvmux_connect(f->nvmux, &trid, NULL, &f->ctrlr), 0);
	f->ns = nvmux_ctrlr_get_ns(f->ctrlr, 1);
	nvmux_io_qpair_opts_init(f->ctrlr, &opts, sizeof(opts));
	opts.io_queue_depth = DEPTH;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f->ctrlr, &opts, &f->qpair), 0);
	f->q = container_of(f->qpair, struct fake_qpair, base);
	assert_int_equal(nvmux_mem_alloc(f->ctrlr, 8 << 20, 0, &f->mem), 0);
	f->buf = nvmux_mem_addr(f->mem);
}

/* ---- where requests are ---- */

static void read_some(struct fixture *f, uint32_t n)
{
	while (n--)
		assert_int_equal(nvmux_ns_cmd_read(f->ns, f->qpair, f->buf, 0, 1, 0, done, next(f)),
				 0);
}

static void held_to_be_repeated(struct fixture *f)
{
	f->q->io_fail_at = f->q->n_cmds;
	f->q->io_status = NVME_SC_CMD_INTERRUPTED | 2 << NVMUX_STATUS_CRD_SHIFT;
	read_some(f, 1);
	nvmux_qpair_process_completions(f->qpair, 0);
	assert_int_equal(f->qpair->slow, NVMUX_SLOW_HELD);
}

static void staged(struct fixture *f)
{
	const struct nvmux_dsm_range range = {.lba_count = cpu_to_le32(1)};

	f->q->hold = true;
	for (int i = 0; i < NVMUX_QPAIR_STAGED && i < DEPTH; i++)
		assert_int_equal(nvmux_ns_cmd_dataset_management(f->ns, f->qpair,
								 NVMUX_DSM_DEALLOCATE, &range, 1,
								 done, next(f)),
				 0);
	assert_int_not_equal(f->qpair->staging_used, 0);
}

/* Of 16 parts there is room for some. */
static void waiting_for_slots(struct fixture *f)
{
	f->q->hold = true;
	for (int i = 0; i < 2; i++) {
		int err = nvmux_ns_cmd_write(f->ns, f->qpair, f->buf, 0,
					     16 * (f->ctrlr->max_transfer / 512), 0, done, next(f));

		assert_int_equal(err, i ? -EAGAIN : 0);
	}
	f->n--;
	assert_false(TAILQ_EMPTY(&f->qpair->splits_waiting));
}

static void never_sent(struct fixture *f)
{
	struct nvmux_error_injection in = {
		.opc = nvme_cmd_read, .do_not_submit = true, .delay_us = 1000000000, .count = 100};

	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f->ctrlr, f->qpair, &in), 0);
	read_some(f, 3);
	assert_int_equal(f->q->n_cmds, 0);
}

static void half_of_a_pair(struct fixture *f)
{
	f->q->hold = true;
	assert_int_equal(nvmux_ns_cmd_compare(f->ns, f->qpair, f->buf, 0, 1, NVMUX_IO_FUSE_FIRST,
					      done, next(f)),
			 0);
	/* its other half is refused, and may still come */
	assert_int_equal(nvmux_ns_cmd_write(f->ns, f->qpair, f->buf, UINT64_MAX, 1,
					    NVMUX_IO_FUSE_SECOND, done, &f->o[f->n]),
			 -EINVAL);
	assert_int_equal(f->qpair->slow, NVMUX_SLOW_FUSED);
}

static void reset_ended(void *arg, int err, uint64_t value)
{
	*(int *)arg = err;
}

static void begin_reset(struct fixture *f)
{
	held_to_be_repeated(f);
	f->q->n_drop = 2;
	read_some(f, 2);
	f->reset_err = 1;
	revive_async(f->ctrlr, REVIVE_CTRLR, NULL, reset_ended, &f->reset_err);
	assert_int_equal(nvmux_qpair_get_state(f->qpair), NVMUX_QPAIR_QUIESCING);
}

/* Its owner hasn't noticed that there is a reset. */
static void stopping(struct fixture *f)
{
	begin_reset(f);
}

static void stopped(struct fixture *f)
{
	begin_reset(f);
	nvmux_qpair_process_completions(f->qpair, 0);
	assert_int_equal(nvmux_qpair_get_state(f->qpair), NVMUX_QPAIR_QUIET);
}

/* The reset is over but for the owner, who has to repeat its commands. */
static void to_be_replayed(struct fixture *f)
{
	stopped(f);
	for (; nvmux_qpair_get_state(f->qpair) != NVMUX_QPAIR_REPLAY; usleep(500))
		nvmux_process(f->nvmux);
}

/* The write is repeated when all others have got so far. */
static void held_by_the_replay(struct fixture *f)
{
	f->q->n_drop = 1;
	assert_int_equal(nvmux_ns_cmd_write(f->ns, f->qpair, f->buf, 0, 1, 0, done, next(f)), 0);
	to_be_replayed(f);
	f->q->hold = true; /* the reads, which go at once */
	nvmux_qpair_process_completions(f->qpair, 0);
	assert_int_equal(nvmux_qpair_get_state(f->qpair), NVMUX_QPAIR_HOLDING);
}

static const struct {
	const char *name;
	void (*put)(struct fixture *f);
} places[] = {
	{"held to be repeated", held_to_be_repeated},
	{"staged", staged},
	{"waiting for slots", waiting_for_slots},
	{"never sent", never_sent},
	{"half of a pair", half_of_a_pair},
	{"stopping", stopping},
	{"stopped", stopped},
	{"to be replayed", to_be_replayed},
	{"held by the replay", held_by_the_replay},
};

/* ---- how it ends ---- */

static void by_freeing(struct fixture *f)
{
	nvmux_qpair_free(f->qpair);
}

static void by_detaching(struct fixture *f)
{
	assert_int_equal(nvmux_detach(f->ctrlr), 0);
	f->detached = true;
}

/* It is asked for twice, and by the queue pair's owner besides. */
static void by_all_at_once(struct fixture *f)
{
	nvmux_qpair_free_async(f->qpair, NULL, NULL);
	by_detaching(f);
}

static void by_the_context(struct fixture *f)
{
	nvmux_mem_free(f->mem);
	f->mem = NULL;
	nvmux_destroy(f->nvmux);
	f->nvmux = NULL;
}

static void by_loss(struct fixture *f)
{
	nvmux_ctrlr_fail(f->ctrlr);
	nvmux_qpair_process_completions(f->qpair, 0);
	nvmux_qpair_process_completions(f->qpair, 0);
}

static void by_loss_unseen(struct fixture *f)
{
	nvmux_ctrlr_fail(f->ctrlr);
	by_freeing(f);
}

static const struct {
	const char *name;
	void (*end)(struct fixture *f);
	uint16_t status;
} ends[] = {
	{"freeing", by_freeing, NVME_SC_ABORT_QUEUE},
	{"detaching", by_detaching, NVME_SC_ABORT_QUEUE},
	{"all at once", by_all_at_once, NVME_SC_ABORT_QUEUE},
	{"the context", by_the_context, NVME_SC_ABORT_QUEUE},
	{"loss", by_loss, NVMUX_SC_CTRLR_GONE},
	{"loss unseen", by_loss_unseen, NVMUX_SC_CTRLR_GONE},
};

static void check(const struct fixture *f, const char *place, const char *end, uint16_t status)
{
	for (uint32_t i = 0; i < f->n; i++) {
		if (f->o[i].calls != 1 || f->o[i].status != status)
			fail_msg("%s, ended by %s: request %u: %u callbacks, status %x", place, end,
				 i, f->o[i].calls, f->o[i].status);
	}
}

static void each_place_by_each_end(void **state)
{
	for (size_t place = 0; place < ARRAY_SIZE(places); place++) {
		for (size_t end = 0; end < ARRAY_SIZE(ends); end++) {
			struct fixture f;

			begin(&f);
			places[place].put(&f);
			for (uint32_t i = 0; i < f.n; i++)
				assert_int_equal(f.o[i].calls, 0);
			ends[end].end(&f);
			check(&f, places[place].name, ends[end].name, ends[end].status);
			if (f.mem)
				nvmux_mem_free(f.mem);
			if (f.nvmux)
				nvmux_destroy(f.nvmux);
			check(&f, places[place].name, ends[end].name, ends[end].status);
			assert_int_not_equal(f.reset_err, 1); /* who asked for it has been told */
			assert_int_equal(fake.opened, fake.closed);
		}
	}
}

/* The same for its owner's own disconnection, which doesn't concern one that is being reset. */
static void each_place_disconnected(void **state)
{
	for (size_t place = 0; places[place].put != stopping; place++) {
		struct fixture f;

		begin(&f);
		places[place].put(&f);
		assert_int_equal(nvmux_qpair_disconnect(f.qpair), 0);
		check(&f, places[place].name, "disconnecting", NVME_SC_ABORT_QUEUE);
		assert_int_equal(f.qpair->slow & ~NVMUX_SLOW_INJECT, 0);
		assert_int_equal(f.qpair->staging_used, 0);
		assert_int_equal(nvmux_qpair_get_num_outstanding(f.qpair), 0);
		/* and nothing of it hinders what comes next */
		nvmux_qpair_remove_cmd_error_injection(f.ctrlr, f.qpair, nvme_cmd_read);
		f.q->hold = false;
		assert_int_equal(nvmux_qpair_reconnect(f.qpair), 0);
		f.q->io_fail_at = UINT32_MAX;
		read_some(&f, DEPTH);
		nvmux_qpair_process_completions(f.qpair, 0);
		for (uint32_t i = f.n - DEPTH; i < f.n; i++) {
			assert_int_equal(f.o[i].calls, 1);
			assert_int_equal(f.o[i].status, 0);
		}
		/* what is held from now on is repeated, and nothing of before */
		f.q->n_reposts = 0;
		held_to_be_repeated(&f);
		usleep(2000000);
		nvmux_qpair_process_completions(f.qpair, 0);
		assert_int_equal(f.q->n_reposts, 1);
		assert_int_equal(f.o[f.n - 1].calls, 1);
		assert_int_equal(f.o[f.n - 1].status, 0);
		nvmux_mem_free(f.mem);
		nvmux_destroy(f.nvmux);
	}
}

/* ---- admin commands ---- */

/* One isn't answered, the others of more than there are slots wait. */
static void admin_commands(void **state)
{
	const struct nvmux_cmd cmd = {.opc = nvme_admin_identify,
				      .cdw10 = cpu_to_le32(NVME_IDENTIFY_CNS_CTRL)};

	for (size_t end = 1; end < ARRAY_SIZE(ends) - 1; end++) {
		static struct outcome o[64];
		static uint8_t bufs[ARRAY_SIZE(o)][4096];
		struct fixture f;

		begin(&f);
		memset(o, 0, sizeof(o));
		container_of(f.ctrlr->adminq, struct fake_qpair, base)->hold = true;
		for (size_t i = 0; i < ARRAY_SIZE(o); i++)
			assert_int_equal(nvmux_ctrlr_cmd_admin_raw(f.ctrlr, &cmd, bufs[i], 4096,
								   done, &o[i]),
					 0);
		assert_false(TAILQ_EMPTY(&f.ctrlr->admin_waiting));
		if (ends[end].status == NVMUX_SC_CTRLR_GONE)
			ends[end].end(&f);
		if (f.mem)
			nvmux_mem_free(f.mem);
		if (ends[end].status != NVMUX_SC_CTRLR_GONE) {
			f.mem = NULL;
			ends[end].end(&f);
		}
		if (f.nvmux)
			nvmux_destroy(f.nvmux);
		for (size_t i = 0; i < ARRAY_SIZE(o); i++) {
			if (o[i].calls != 1)
				fail_msg("%s: command %zu: %u callbacks", ends[end].name, i,
					 o[i].calls);
			assert_int_not_equal(o[i].status, 0);
		}
		assert_int_equal(fake.opened, fake.closed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_place_by_each_end),
		cmocka_unit_test(each_place_disconnected),
		cmocka_unit_test(admin_commands),
	};

	return cmocka_run_group_tests_name("ended", tests, NULL, NULL);
}
