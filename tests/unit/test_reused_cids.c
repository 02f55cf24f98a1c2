// SPDX-License-Identifier: BSD-3-Clause
/*
 * A controller that completes commands twice, and in another order than they were sent, while their
 * slots are in use again: each read has its data when its callback is called, which is once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include <nvmux/io.h>
#include "emulator/fault.h"
#include "emulator/loopback.h"
#include "libcore/core.h"

#define BLOCK  512u
#define BLOCKS 64u
#define DEPTH  8u
#define READS  2000u
#define POISON 0xee

struct reader {
	struct lab *lab;
	uint8_t *buf;
	uint32_t lba;
	uint32_t calls; /* more than those that were asked for: a command ended twice */
	uint32_t sent;
};

struct lab {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;
	struct nvmux_ns *ns;
	struct nvmux_mem *mem;
	struct reader readers[DEPTH];
	uint32_t sent, wrong;
};

static void fill(uint8_t *block, uint32_t lba)
{
	for (uint32_t i = 0; i < BLOCK; i++)
		block[i] = (uint8_t)(lba * 7 + i);
}

static bool is_right(const uint8_t *block, uint32_t lba)
{
	uint8_t want[BLOCK];

	fill(want, lba);
	return memcmp(block, want, BLOCK) == 0;
}

static void read_next(struct reader *r);

static void read_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct reader *r = arg;

	r->calls++;
	r->lab->wrong += nvmux_cpl_is_error(cpl) || !is_right(r->buf, r->lba);
	if (r->lab->sent < READS)
		read_next(r);
}

static void read_next(struct reader *r)
{
	r->lba = r->lab->sent++ * 13 % BLOCKS;
	r->sent++;
	memset(r->buf, POISON, BLOCK);
	assert_int_equal(nvmux_ns_cmd_read(r->lab->ns, r->lab->qpair, r->buf, r->lba, 1, 0,
					   read_done, r),
			 0);
}

static void note(void *arg, const struct nvmux_cpl *cpl)
{
	assert_false(nvmux_cpl_is_error(cpl));
	*(bool *)arg = true;
}

static void begin(struct lab *lab)
{
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "mem,size=1M,bs=512"};
	struct nvmux_io_qpair_opts opts;
	uint8_t *all;
	bool done = false;

	*lab = (struct lab){0};
	assert_int_equal(nvmux_create(NULL, &lab->nvmux), 0);
	assert_int_equal(emu_loopback_register(lab->nvmux), 0);
	assert_int_equal(nvmux_connect(lab->nvmux, &trid, NULL, &lab->ctrlr), 0);
	nvmux_io_qpair_opts_init(lab->ctrlr, &opts, sizeof(opts));
	opts.io_queue_depth = 2 * DEPTH; /* the completion queue has room for both */
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(lab->ctrlr, &opts, &lab->qpair), 0);
	assert_int_equal(nvmux_mem_alloc(lab->ctrlr, 2 << 20, 0, &lab->mem), 0);
	lab->ns = nvmux_ctrlr_get_ns(lab->ctrlr, 1);
	all = nvmux_mem_addr(lab->mem);
	for (uint32_t i = 0; i < BLOCKS; i++)
		fill(all + i * BLOCK, i);
	assert_int_equal(nvmux_ns_cmd_write(lab->ns, lab->qpair, all, 0, BLOCKS, 0, note, &done),
			 0);
	while (!done)
		nvmux_qpair_process_completions(lab->qpair, 0);
	for (uint32_t i = 0; i < DEPTH; i++)
		lab->readers[i] = (struct reader){.lab = lab, .buf = all + (i + BLOCKS) * BLOCK};
}

static void run(struct lab *lab, const char *const *faults, uint64_t unknown)
{
	uint32_t calls = 0;
	char why[128];

	begin(lab);
	for (; *faults; faults++)
		assert_int_equal(emu_fault_set(emu_loopback_model(lab->ctrlr), *faults, why,
					       sizeof(why)),
				 0);
	for (uint32_t i = 0; i < DEPTH; i++)
		read_next(&lab->readers[i]);
	while (nvmux_qpair_get_num_outstanding(lab->qpair))
		assert_true(nvmux_qpair_process_completions(lab->qpair, 0) >= 0);
	nvmux_qpair_process_completions(lab->qpair, 0);
	assert_int_equal(lab->wrong, 0);
	for (uint32_t i = 0; i < DEPTH; i++) {
		assert_int_equal(lab->readers[i].calls, lab->readers[i].sent);
		calls += lab->readers[i].calls;
	}
	assert_int_equal(calls, READS);
	assert_int_equal(lab->qpair->unknown_cids, unknown);
	nvmux_destroy(lab->nvmux);
}

static void test_duplicates(void **state)
{
	static const char *const faults[] = {"duplicate:qid=1:nth=20:times=7", NULL};
	struct lab lab;

	run(&lab, faults, 7);
}

static void test_another_order(void **state)
{
	static const char *const faults[] = {"reorder:qid=1:nth=10:times=1500:ms=20", NULL};
	struct lab lab;

	run(&lab, faults, 0);
}

static void test_both(void **state)
{
	static const char *const faults[] = {"reorder:qid=1:nth=10:times=500:ms=20",
					     "duplicate:qid=1:nth=300:times=7", NULL};
	struct lab lab;

	run(&lab, faults, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_another_order),
		cmocka_unit_test(test_both),
	};

	return cmocka_run_group_tests_name("reused_cids", tests, NULL, NULL);
}
