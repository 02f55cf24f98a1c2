// SPDX-License-Identifier: BSD-3-Clause
/*
 * Each allocation of an operation fails in turn: the operation fails or does without, commands that
 * are in flight end once, nothing is left, and what was there before can be used or is known to
 * have failed. The allocator is replaced at link time (tests/unit/meson.build).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <nvmux/admin.h>
#include <nvmux/fault.h>
#include <nvmux/io.h>
#include "fake_ctrlr.h"
#include "outcome.h"
#include "libcore/ctrlr_state.h"

static uint32_t fail_in; /* so many allocations; 0: none */

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);

static bool fails(void)
{
	return fail_in && !--fail_in;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(old, n, size);
}

struct fixture {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;
	struct outcome o[3];
};

static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK};

static void create(struct fixture *f, const struct nvmux_transport *transport)
{
	struct nvmux_opts opts;

	*f = (struct fixture){0};
	fake_reset();
	fake.cap = 1ull << 36; /* NVM subsystem reset */
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&opts, &f->nvmux), 0);
	assert_int_equal(nvmux_transport_register(f->nvmux, transport), 0);
}

/* Two commands are in flight, one has been answered. */
static void begin(struct fixture *f, const struct nvmux_transport *transport)
{
	struct nvmux_ns *ns;
	struct fake_qpair *q;

	create(f, transport);
	assert_int_equal(nvmux_connect(f->nvmux, &trid, NULL, &f->ctrlr), 0);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f->ctrlr, NULL, &f->qpair), 0);
	assert_int_equal(nvmux_mem_alloc(f->ctrlr, 2 << 20, 0, &f->mem), 0);
	ns = nvmux_ctrlr_get_ns(f->ctrlr, 1);
	q = container_of(f->qpair, struct fake_qpair, base);
	q->n_drop = 2;
	for (int i = 0; i < 3; i++)
		assert_int_equal(nvmux_ns_cmd_read(ns, f->qpair, nvmux_mem_addr(f->mem), 0, 1, 0,
						   done, &f->o[i]),
				 0);
}

/* ---- operations ---- */

static int make_context(struct fixture *f)
{
	nvmux_destroy(f->nvmux);
	f->nvmux = NULL;
	return nvmux_create(NULL, &f->nvmux);
}

static int connect(struct fixture *f)
{
	return nvmux_connect(f->nvmux, &trid, NULL, &f->ctrlr);
}

static bool wanted(void *arg, const struct nvmux_trid *id, struct nvmux_ctrlr_opts *opts)
{
	return true;
}

static void attached(void *arg, const struct nvmux_trid *id, struct nvmux_ctrlr *ctrlr, int err)
{
	struct fixture *f = arg;

	assert_int_equal(!ctrlr, err != 0);
	f->ctrlr = ctrlr;
	f->o[0].calls++;
	f->o[0].status = (uint16_t)-err;
}

static int probe(struct fixture *f)
{
	int err = nvmux_probe(f->nvmux, &trid, wanted, attached, NULL, f);

	if (!err) {
		assert_int_equal(f->o[0].calls, 1);
		err = -f->o[0].status;
		f->o[0] = (struct outcome){0};
	}
	return err;
}

static int reset(struct fixture *f)
{
	return nvmux_ctrlr_reset(f->ctrlr);
}

static int reset_subsystem(struct fixture *f)
{
	return nvmux_ctrlr_reset_subsystem(f->ctrlr);
}

static int rescan(struct fixture *f)
{
	fake.n_ns++; /* one more is found */
	return nvmux_ctrlr_rescan(f->ctrlr);
}

static int one_more_qpair(struct fixture *f)
{
	struct nvmux_qpair *qpair;

	return nvmux_ctrlr_alloc_io_qpair(f->ctrlr, NULL, &qpair);
}

static int off_and_on(struct fixture *f)
{
	int err = nvmux_qpair_disconnect(f->qpair);

	return err ? err : nvmux_qpair_reconnect(f->qpair);
}

static int all_off_and_on(struct fixture *f)
{
	int err = nvmux_ctrlr_disconnect(f->ctrlr);

	if (!err)
		err = nvmux_ctrlr_reconnect_start(f->ctrlr);
	if (err)
		return err;
	while ((err = nvmux_ctrlr_reconnect_poll_async(f->ctrlr)) == -EAGAIN)
		usleep(100);
	return err;
}

static int memory(struct fixture *f)
{
	struct nvmux_mem *mem;
	int err = nvmux_mem_alloc(f->ctrlr, 4096, 0, &mem);

	if (!err)
		nvmux_mem_free(mem);
	return err;
}

static int admin_command(struct fixture *f)
{
	struct nvmux_cmd cmd = {.opc = nvme_admin_identify,
				.cdw10 = cpu_to_le32(NVME_IDENTIFY_CNS_CTRL)};
	static uint8_t buf[4096];
	struct outcome o = {0};
	int err = nvmux_ctrlr_cmd_admin_raw(f->ctrlr, &cmd, buf, sizeof(buf), done, &o);

	for (int i = 0; !err && i < 100 && !o.calls; i++)
		nvmux_process(f->nvmux);
	assert_int_equal(o.calls, !err);
	return err ? err : -o.status;
}

static int abort_all(struct fixture *f)
{
	struct outcome o = {0};
	int err = nvmux_ctrlr_cmd_abort_ext(f->ctrlr, f->qpair, &f->o[0], done, &o);

	for (int i = 0; !err && i < 100 && !o.calls; i++)
		nvmux_process(f->nvmux);
	assert_int_equal(o.calls, !err);
	return err ? err : -o.status;
}

static int injection(struct fixture *f)
{
	const struct nvmux_error_injection in = {.opc = nvme_cmd_write, .count = 1};

	return nvmux_qpair_add_cmd_error_injection(f->ctrlr, f->qpair, &in);
}

static int free_qpair(struct fixture *f)
{
	nvmux_qpair_free(f->qpair);
	if (TAILQ_EMPTY(&f->ctrlr->qpairs))
		return 0;
	return -ENOMEM; /* it goes with its controller */
}

static int detach(struct fixture *f)
{
	int err = nvmux_detach(f->ctrlr);

	f->ctrlr = NULL;
	assert_int_equal(fake.opened, fake.closed);
	return err;
}

static const struct {
	const char *name;
	int (*run)(struct fixture *f);
	bool alone; /* without a controller */
	const struct nvmux_transport *transport;
} operations[] = {
	{"a context", make_context, true, &fake_transport},
	{"connect", connect, true, &fake_transport},
	{"probe", probe, true, &fake_transport},
	{"reset", reset, false, &fake_keeping_transport},
	{"reset, commands are aborted", reset, false, &fake_transport},
	{"subsystem reset", reset_subsystem, false, &fake_keeping_transport},
	{"rescan", rescan, false, &fake_transport},
	{"queue pair", one_more_qpair, false, &fake_keeping_transport},
	{"queue pair off and on", off_and_on, false, &fake_keeping_transport},
	{"controller off and on", all_off_and_on, false, &fake_keeping_transport},
	{"memory", memory, false, &fake_transport},
	{"admin command", admin_command, false, &fake_transport},
	{"abort", abort_all, false, &fake_keeping_transport},
	{"injection", injection, false, &fake_transport},
	{"free a queue pair", free_qpair, false, &fake_transport},
	{"detach", detach, false, &fake_keeping_transport},
};

/* A queue pair can be used, if need be after its part in a reset. */
static int read_one(struct fixture *f)
{
	struct outcome o = {0};
	int err = -EAGAIN;

	for (int i = 0; i < 1000 && !o.calls; i++) {
		if (err == -EAGAIN)
			err = nvmux_ns_cmd_read(nvmux_ctrlr_get_ns(f->ctrlr, 1), f->qpair,
						nvmux_mem_addr(f->mem), 0, 1, 0, done, &o);
		nvmux_process(f->nvmux);
		nvmux_qpair_process_completions(f->qpair, 0);
		usleep(500);
	}
	assert_int_equal(o.calls, !err);
	return err ? err : -o.status;
}

/* What was there goes on, or has failed; then all of it ends. */
static void check(struct fixture *f, const char *name, uint32_t at, int err)
{
	bool ready = f->ctrlr && !f->ctrlr->failed && f->ctrlr->state == CTRLR_READY;

	if (ready && admin_command(f))
		fail_msg("%s, allocation %u: no admin command afterwards", name, at);
	if (ready && !err && f->qpair && !TAILQ_EMPTY(&f->ctrlr->qpairs) && read_one(f))
		fail_msg("%s, allocation %u: no read afterwards", name, at);
	if (f->mem)
		nvmux_mem_free(f->mem);
	if (f->nvmux)
		nvmux_destroy(f->nvmux);
	for (int i = 0; f->qpair && i < 3; i++) {
		if (f->o[i].calls != 1)
			fail_msg("%s, allocation %u: command %d: %u callbacks", name, at, i,
				 f->o[i].calls);
	}
	assert_int_equal(fake.opened, fake.closed);
}

static void each_allocation_fails(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		const char *name = operations[i].name;
		uint32_t n_errors = 0, at = 0;
		bool hit = true;

		while (hit) {
			struct fixture f;
			int err;

			if (operations[i].alone)
				create(&f, operations[i].transport);
			else
				begin(&f, operations[i].transport);
			fail_in = ++at;
			err = operations[i].run(&f);
			hit = !fail_in;
			fail_in = 0;
			if (err > 0 || (err && !hit))
				fail_msg("%s, allocation %u: %d", name, at, err);
			n_errors += err != 0;
			check(&f, name, at, err);
		}
		print_message("# %s: %u allocations, %u errors\n", name, at - 1, n_errors);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails),
	};

	return cmocka_run_group_tests_name("no_memory", tests, NULL, NULL);
}
