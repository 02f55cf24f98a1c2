// SPDX-License-Identifier: BSD-3-Clause
/* Memory regions, the checks of reads and writes, and splitting, against a recording device. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "outcome.h"
#include "queue_fixture.h"

static void begin(struct fixture *f, uint32_t depth)
{
	fixture_open(f, &fake_transport, NULL, depth, false);
}

/* The commands that were sent cover the range once, in order, each within limit and boundary. */
static void check_cover(const struct fixture *f, uint64_t lba, uint32_t count, uint64_t offset,
			uint32_t limit, uint32_t boundary)
{
	uint32_t left = count;

	for (uint32_t i = 0; i < f->q->n_cmds; i++) {
		const struct nvmux_cmd *cmd = &f->q->cmds[i];
		uint64_t at = le32_to_cpu(cmd->cdw10) | (uint64_t)le32_to_cpu(cmd->cdw11) << 32;
		uint32_t n = (le32_to_cpu(cmd->cdw12) & 0xffff) + 1;

		assert_int_equal(at, lba);
		assert_int_equal(f->q->segs[i].offset, offset);
		assert_int_equal(f->q->segs[i].len, n * 512);
		assert_true(n <= limit);
		if (boundary)
			assert_true(at / boundary == (at + n - 1) / boundary);
		lba += n;
		offset += n * 512;
		assert_true(n <= left);
		left -= n;
	}
	assert_int_equal(left, 0);
}

static void test_split_covers_exactly(void **state)
{
	static const uint32_t boundaries[] = {0, 8, 64, 256, 100};
	static const uint32_t counts[] = {1, 7, 8, 9, 255, 256, 257, 1000, 4096};
	static const uint64_t lbas[] = {0, 1, 5, 99, 100, 250, 511};

	for (size_t b = 0; b < ARRAY_SIZE(boundaries); b++) {
		struct fixture f;

		fake_reset();
		fake.noiob = (uint16_t)boundaries[b];
		begin(&f, 5); /* fewer slots than children */
		for (size_t c = 0; c < ARRAY_SIZE(counts) * ARRAY_SIZE(lbas); c++) {
			uint32_t count = counts[c % ARRAY_SIZE(counts)];
			uint64_t lba = lbas[c / ARRAY_SIZE(counts)];
			struct outcome o = {0};

			f.q->n_cmds = 0;
			assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf + 64, lba, count, 0,
							   done, &o),
					 0);
			for (int i = 0; i < 2000 && !o.calls; i++)
				nvmux_qpair_process_completions(f.qpair, 0);
			assert_int_equal(o.calls, 1);
			assert_int_equal(o.status, 0);
			assert_int_equal(nvmux_qpair_outstanding(f.qpair), 0);
			check_cover(&f, lba, count, 64, 256, boundaries[b]);
		}
		end(&f);
	}
}

static void test_split_reports_the_first_error_once(void **state)
{
	for (uint32_t at = 0; at < 8; at++) {
		struct fixture f;
		struct outcome o = {0};

		fake_reset();
		begin(&f, 3);
		f.q->io_fail_at = at;
		f.q->io_status = 0x280;
		assert_int_equal(nvmux_ns_cmd_write(f.ns, f.qpair, f.buf, 0, 2048, 0, done, &o), 0);
		for (int i = 0; i < 100; i++)
			nvmux_qpair_process_completions(f.qpair, 0);
		assert_int_equal(o.calls, 1);
		assert_int_equal(o.status, 0x280);
		assert_true(f.q->n_cmds <= at + 3); /* none is sent after the error is seen */
		assert_int_equal(nvmux_qpair_outstanding(f.qpair), 0);
		end(&f);
	}
}

static void test_split_parents_are_served_in_turn_and_aborted(void **state)
{
	struct outcome o[6] = {0};
	struct fixture f;

	fake_reset();
	begin(&f, 4);
	f.q->hold = true;
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 1024, 0, done, &o[0]), 0);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 1024, 0, done, &o[1]), -EAGAIN);
	f.q->hold = false;
	nvmux_qpair_process_completions(f.qpair, 1);
	f.q->hold = true;
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 1024, 0, done, &o[1]), 0);
	/* Three of its four parts wait for slots: nothing new is taken before them. */
	f.q->hold = false;
	f.q->n_ready = MIN(f.q->n_ready, 1u);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 8, 0, done, &o[2]), -EAGAIN);
	f.q->hold = true;
	assert_int_equal(o[0].calls + o[1].calls, 0);
	nvmux_qpair_free(f.qpair); /* with both under way, one of them waiting */
	assert_int_equal(o[0].calls, 1);
	assert_int_equal(o[1].calls, 1);
	assert_int_equal(o[1].status, NVME_SC_ABORT_QUEUE);
	nvmux_mem_free(f.mem);
	nvmux_destroy(f.nvmux);
}

static void test_bad_arguments_send_nothing(void **state)
{
	struct outcome o = {0};
	uint64_t end_lba = 1 << 20;
	uint8_t *outside = malloc(4096);
	struct fixture f;

	fake_reset();
	begin(&f, 8);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 0, 0, done, &o), -EINVAL);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 1, 0, NULL, &o), -EINVAL);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf + 2, 0, 1, 0, done, &o), -EINVAL);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, end_lba, 1, 0, done, &o), -EINVAL);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, end_lba - 1, 2, 0, done, &o),
			 -EINVAL);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, UINT64_MAX, 2, 0, done, &o),
			 -EINVAL);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 1, 4, done, &o), -EINVAL);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, outside, 0, 1, 0, done, &o), -EFAULT);
	assert_int_equal(
		nvmux_ns_cmd_read(f.ns, f.qpair, f.buf + (8 << 20) - 512, 0, 2, 0, done, &o),
		-EFAULT);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf + (8 << 20), 0, 1, 0, done, &o),
			 -EFAULT);
	assert_int_equal(f.q->n_cmds, 0);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, end_lba - 1, 1,
					   NVMUX_IO_FORCE_UNIT_ACCESS, done, &o),
			 0);
	assert_int_equal(le32_to_cpu(f.q->cmds[0].cdw12), 1u << 30);
	nvmux_qpair_process_completions(f.qpair, 0);
	assert_int_equal(o.calls, 1);
	free(outside);
	end(&f);
}

static void test_full_queue(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	fake_reset();
	begin(&f, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(nvmux_ns_cmd_flush(f.ns, f.qpair, done, &o), 0);
	assert_int_equal(nvmux_ns_cmd_flush(f.ns, f.qpair, done, &o), -EAGAIN);
	assert_int_equal(nvmux_qpair_process_completions(f.qpair, 3), 3);
	assert_int_equal(nvmux_qpair_get_num_outstanding(f.qpair), 1);
	assert_int_equal(nvmux_qpair_process_completions(f.qpair, 0), 1);
	assert_int_equal(o.calls, 4);
	end(&f);
}

static void free_it(void *arg, const struct nvmux_cpl *cpl)
{
	struct fixture *f = arg;

	nvmux_qpair_free(f->qpair);
}

static void test_free_inside_own_callback(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	fake_reset();
	begin(&f, 4);
	assert_int_equal(nvmux_ns_cmd_flush(f.ns, f.qpair, free_it, &f), 0);
	assert_int_equal(nvmux_ns_cmd_flush(f.ns, f.qpair, done, &o), 0);
	assert_int_equal(nvmux_qpair_process_completions(f.qpair, 1), 1);
	assert_int_equal(o.calls, 1); /* by then it has been aborted */
	assert_int_equal(o.status, NVME_SC_ABORT_QUEUE);
	assert_true(TAILQ_EMPTY(&f.ctrlr->qpairs));
	nvmux_mem_free(f.mem);
	nvmux_destroy(f.nvmux);
}

static void test_unknown_identifiers_are_counted(void **state)
{
	struct nvmux_cpl cpl = {.cid = cpu_to_le16(3)};
	struct fixture f;

	fake_reset();
	begin(&f, 4);
	assert_false(nvmux_qpair_complete(f.qpair, &cpl)); /* not in flight */
	cpl.cid = cpu_to_le16(65535);
	assert_false(nvmux_qpair_complete(f.qpair, &cpl)); /* beyond the queue */
	assert_int_equal(f.qpair->unknown_cids, 2);
	assert_int_equal(nvmux_qpair_outstanding(f.qpair), 0);
	end(&f);
}

static void test_regions(void **state)
{
	struct nvmux_mem *a, *b, *c, *big;
	struct fixture f;

	fake_reset();
	begin(&f, 4);
	assert_int_equal(nvmux_mem_alloc(f.ctrlr, 1, 0, &a), 0);
	assert_int_equal(nvmux_mem_size(a), 4096);
	assert_int_equal(nvmux_mem_alloc(f.ctrlr, (2 << 20) + 1, 0, &b), 0);
	assert_int_equal((uintptr_t)nvmux_mem_addr(b) % (2 << 20), 0);
	assert_true(b->iova - NVMUX_IOVA_BASE == (uint64_t)(b->addr - f.nvmux->window));
	assert_ptr_equal(nvmux_mem_find(f.nvmux, b->addr + (2 << 20)), b);
	assert_ptr_equal(nvmux_mem_find(f.nvmux, a->addr), a);
	assert_null(nvmux_mem_find(f.nvmux, f.nvmux->window - 1));
	assert_null(nvmux_mem_find(f.nvmux, f.nvmux->window + f.nvmux->window_size));
	memset(b->addr, 0x5a, b->size);
	assert_int_equal(nvmux_mem_alloc(f.ctrlr, 128 << 20, 0, &big), -EINVAL);
	assert_int_equal(nvmux_mem_alloc(f.ctrlr, 0, 0, &big), -EINVAL);
	assert_int_equal(nvmux_mem_alloc(f.ctrlr, 60 << 20, 0, &big), -ENOMEM);
	assert_non_null(strstr(nvmux_error_text(f.nvmux), "address window"));
	nvmux_mem_free(b);
	assert_int_equal(nvmux_mem_alloc(f.ctrlr, 2 << 20, 0, &c), 0);
	assert_int_equal(c->addr[0], 0); /* fresh pages */
	nvmux_mem_free(c);
	nvmux_mem_free(a);
	nvmux_mem_free(NULL);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_covers_exactly),
		cmocka_unit_test(test_split_reports_the_first_error_once),
		cmocka_unit_test(test_split_parents_are_served_in_turn_and_aborted),
		cmocka_unit_test(test_bad_arguments_send_nothing),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_free_inside_own_callback),
		cmocka_unit_test(test_unknown_identifiers_are_counted),
		cmocka_unit_test(test_regions),
	};

	return cmocka_run_group_tests_name("core_io", tests, NULL, NULL);
}
