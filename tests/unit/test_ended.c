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
#include "outcome.h"
#include "queue_fixture.h"
#include "libcore/faults.h"

#define DEPTH 8

struct ended {
	struct fixture at;
	struct outcome o[4 * DEPTH];
	uint32_t n;    /* of requests that were taken */
	int reset_err; /* 1: it goes on; 0: none, or it succeeded */
	bool detached;
};

static struct outcome *next(struct ended *f)
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

static void begin(struct ended *f)
{
	*f = (struct ended){0};
	fake_reset();
	fake.identify = identify;
	fixture_open(&f->at, &fake_keeping_transport, NULL, DEPTH, false);
}

/* ---- where requests are ---- */

static void read_some(struct ended *f, uint32_t n)
{
	while (n--)
		assert_int_equal(
			nvmux_ns_cmd_read(f->at.ns, f->at.qpair, f->at.buf, 0, 1, 0, done, next(f)),
			0);
}

static void held_to_be_repeated(struct ended *f)
{
	f->at.q->io_fail_at = f->at.q->n_cmds;
	f->at.q->io_status = NVME_SC_CMD_INTERRUPTED | 2 << NVMUX_STATUS_CRD_SHIFT;
	read_some(f, 1);
	nvmux_qpair_process_completions(f->at.qpair, 0);
	assert_int_equal(f->at.qpair->slow, NVMUX_SLOW_HELD);
}

static void staged(struct ended *f)
{
	const struct nvmux_dsm_range range = {.lba_count = cpu_to_le32(1)};

	f->at.q->hold = true;
	for (int i = 0; i < NVMUX_QPAIR_STAGED && i < DEPTH; i++)
		assert_int_equal(nvmux_ns_cmd_dataset_management(f->at.ns, f->at.qpair,
								 NVMUX_DSM_DEALLOCATE, &range, 1,
								 done, next(f)),
				 0);
	assert_int_not_equal(f->at.qpair->staging_used, 0);
}

/* Of 16 parts there is room for some. */
static void waiting_for_slots(struct ended *f)
{
	f->at.q->hold = true;
	for (int i = 0; i < 2; i++) {
		int err = nvmux_ns_cmd_write(f->at.ns, f->at.qpair, f->at.buf, 0,
					     16 * (f->at.ctrlr->max_transfer / 512), 0, done,
					     next(f));

		assert_int_equal(err, i ? -EAGAIN : 0);
	}
	f->n--;
	assert_false(TAILQ_EMPTY(&f->at.qpair->splits_waiting));
}

static void never_sent(struct ended *f)
{
	struct nvmux_error_injection in = {
		.opc = nvme_cmd_read, .do_not_submit = true, .delay_us = 1000000000, .count = 100};

	assert_int_equal(nvmux_qpair_add_cmd_error_injection(f->at.ctrlr, f->at.qpair, &in), 0);
	read_some(f, 3);
	assert_int_equal(f->at.q->n_cmds, 0);
}

static void half_of_a_pair(struct ended *f)
{
	f->at.q->hold = true;
	assert_int_equal(nvmux_ns_cmd_compare(f->at.ns, f->at.qpair, f->at.buf, 0, 1,
					      NVMUX_IO_FUSE_FIRST, done, next(f)),
			 0);
	/* its other half is refused, and may still come */
	assert_int_equal(nvmux_ns_cmd_write(f->at.ns, f->at.qpair, f->at.buf, UINT64_MAX, 1,
					    NVMUX_IO_FUSE_SECOND, done, &f->o[f->n]),
			 -EINVAL);
	assert_int_equal(f->at.qpair->slow, NVMUX_SLOW_FUSED);
}

static void reset_ended(void *arg, int err, uint64_t value)
{
	*(int *)arg = err;
}

static void begin_reset(struct ended *f)
{
	held_to_be_repeated(f);
	f->at.q->n_drop = 2;
	read_some(f, 2);
	f->reset_err = 1;
	revive_async(f->at.ctrlr, REVIVE_CTRLR, NULL, reset_ended, &f->reset_err);
	assert_int_equal(nvmux_qpair_get_state(f->at.qpair), NVMUX_QPAIR_QUIESCING);
}

/* Its owner hasn't noticed that there is a reset. */
static void stopping(struct ended *f)
{
	begin_reset(f);
}

static void stopped(struct ended *f)
{
	begin_reset(f);
	nvmux_qpair_process_completions(f->at.qpair, 0);
	assert_int_equal(nvmux_qpair_get_state(f->at.qpair), NVMUX_QPAIR_QUIET);
}

/* The reset is over but for the owner, who has to repeat its commands. */
static void to_be_replayed(struct ended *f)
{
	stopped(f);
	for (; nvmux_qpair_get_state(f->at.qpair) != NVMUX_QPAIR_REPLAY; usleep(500))
		nvmux_process(f->at.nvmux);
}

/* The write is repeated when all others have got so far. */
static void held_by_the_replay(struct ended *f)
{
	f->at.q->n_drop = 1;
	assert_int_equal(
		nvmux_ns_cmd_write(f->at.ns, f->at.qpair, f->at.buf, 0, 1, 0, done, next(f)), 0);
	to_be_replayed(f);
	f->at.q->hold = true; /* the reads, which go at once */
	nvmux_qpair_process_completions(f->at.qpair, 0);
	assert_int_equal(nvmux_qpair_get_state(f->at.qpair), NVMUX_QPAIR_HOLDING);
}

static const struct {
	const char *name;
	void (*put)(struct ended *f);
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

static void by_freeing(struct ended *f)
{
	nvmux_qpair_free(f->at.qpair);
}

static void by_detaching(struct ended *f)
{
	assert_int_equal(nvmux_detach(f->at.ctrlr), 0);
	f->detached = true;
}

/* It is asked for twice, and by the queue pair's owner besides. */
static void by_all_at_once(struct ended *f)
{
	nvmux_qpair_free_async(f->at.qpair, NULL, NULL);
	by_detaching(f);
}

static void by_the_context(struct ended *f)
{
	nvmux_mem_free(f->at.mem);
	f->at.mem = NULL;
	nvmux_destroy(f->at.nvmux);
	f->at.nvmux = NULL;
}

static void by_loss(struct ended *f)
{
	nvmux_ctrlr_fail(f->at.ctrlr);
	nvmux_qpair_process_completions(f->at.qpair, 0);
	nvmux_qpair_process_completions(f->at.qpair, 0);
}

static void by_loss_unseen(struct ended *f)
{
	nvmux_ctrlr_fail(f->at.ctrlr);
	by_freeing(f);
}

static const struct {
	const char *name;
	void (*end)(struct ended *f);
	uint16_t status;
} ends[] = {
	{"freeing", by_freeing, NVME_SC_ABORT_QUEUE},
	{"detaching", by_detaching, NVME_SC_ABORT_QUEUE},
	{"all at once", by_all_at_once, NVME_SC_ABORT_QUEUE},
	{"the context", by_the_context, NVME_SC_ABORT_QUEUE},
	{"loss", by_loss, NVMUX_SC_CTRLR_GONE},
	{"loss unseen", by_loss_unseen, NVMUX_SC_CTRLR_GONE},
};

static void check(const struct ended *f, const char *place, const char *end, uint16_t status)
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
			struct ended f;

			begin(&f);
			places[place].put(&f);
			for (uint32_t i = 0; i < f.n; i++)
				assert_int_equal(f.o[i].calls, 0);
			ends[end].end(&f);
			check(&f, places[place].name, ends[end].name, ends[end].status);
			if (f.at.mem)
				nvmux_mem_free(f.at.mem);
			if (f.at.nvmux)
				nvmux_destroy(f.at.nvmux);
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
		struct ended f;

		begin(&f);
		places[place].put(&f);
		assert_int_equal(nvmux_qpair_disconnect(f.at.qpair), 0);
		check(&f, places[place].name, "disconnecting", NVME_SC_ABORT_QUEUE);
		assert_int_equal(f.at.qpair->slow & ~NVMUX_SLOW_INJECT, 0);
		assert_int_equal(f.at.qpair->staging_used, 0);
		assert_int_equal(nvmux_qpair_get_num_outstanding(f.at.qpair), 0);
		/* and nothing of it hinders what comes next */
		nvmux_qpair_remove_cmd_error_injection(f.at.ctrlr, f.at.qpair, nvme_cmd_read);
		f.at.q->hold = false;
		assert_int_equal(nvmux_qpair_reconnect(f.at.qpair), 0);
		f.at.q->io_fail_at = UINT32_MAX;
		read_some(&f, DEPTH);
		nvmux_qpair_process_completions(f.at.qpair, 0);
		for (uint32_t i = f.n - DEPTH; i < f.n; i++) {
			assert_int_equal(f.o[i].calls, 1);
			assert_int_equal(f.o[i].status, 0);
		}
		/* what is held from now on is repeated, and nothing of before */
		f.at.q->n_reposts = 0;
		held_to_be_repeated(&f);
		usleep(2000000);
		nvmux_qpair_process_completions(f.at.qpair, 0);
		assert_int_equal(f.at.q->n_reposts, 1);
		assert_int_equal(f.o[f.n - 1].calls, 1);
		assert_int_equal(f.o[f.n - 1].status, 0);
		nvmux_mem_free(f.at.mem);
		nvmux_destroy(f.at.nvmux);
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
		struct ended f;

		begin(&f);
		memset(o, 0, sizeof(o));
		container_of(f.at.ctrlr->adminq, struct fake_qpair, base)->hold = true;
		for (size_t i = 0; i < ARRAY_SIZE(o); i++)
			assert_int_equal(nvmux_ctrlr_cmd_admin_raw(f.at.ctrlr, &cmd, bufs[i], 4096,
								   done, &o[i]),
					 0);
		assert_false(TAILQ_EMPTY(&f.at.ctrlr->admin_waiting));
		if (ends[end].status == NVMUX_SC_CTRLR_GONE)
			ends[end].end(&f);
		if (f.at.mem)
			nvmux_mem_free(f.at.mem);
		if (ends[end].status != NVMUX_SC_CTRLR_GONE) {
			f.at.mem = NULL;
			ends[end].end(&f);
		}
		if (f.at.nvmux)
			nvmux_destroy(f.at.nvmux);
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
