// SPDX-License-Identifier: BSD-3-Clause
/* The emulator as a device of this process, driven by the library: what a program would do. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <nvme/types.h>
#include <nvmux/nvmux.h>
#include "emulator/loopback.h"

#define SPEC "mem,size=16M,bs=512+mem,size=16M,bs=4096,mdts=5,queues=4,serial=LOOP1"

struct answer {
	unsigned n;
	uint16_t status;
	uint32_t dw0;
};

static void answered(void *arg, const struct nvmux_cpl *cpl)
{
	struct answer *a = arg;

	a->n++;
	a->status = nvmux_cpl_status(cpl) & NVMUX_STATUS_CODE_MASK;
	a->dw0 = le32toh((uint32_t)cpl->dw0);
}

static struct nvmux *new_context(void)
{
	struct nvmux *nvmux;

	assert_int_equal(nvmux_create(NULL, &nvmux), 0);
	assert_int_equal(emu_loopback_register(nvmux), 0);
	return nvmux;
}

static struct nvmux_ctrlr *attach(struct nvmux *nvmux, const char *description)
{
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK};
	struct nvmux_ctrlr *ctrlr;

	strncpy(trid.traddr, description, sizeof(trid.traddr) - 1);
	if (nvmux_connect(nvmux, &trid, NULL, &ctrlr))
		fail_msg("%s: %s", description, nvmux_error_text(nvmux));
	return ctrlr;
}

static uint16_t wait_for(struct nvmux_qpair *qpair, struct answer *a)
{
	for (int i = 0; i < 1000 && a->n == 0; i++)
		assert_true(nvmux_qpair_process_completions(qpair, 0) >= 0);
	assert_int_equal(a->n, 1);
	return a->status;
}

/* ---- one thread ---- */

static void test_attach(void **state)
{
	struct nvmux *nvmux = new_context();
	struct nvmux_ctrlr *ctrlr = attach(nvmux, SPEC);
	const struct nvme_id_ctrl *id = nvmux_ctrlr_get_data(ctrlr);

	assert_memory_equal(id->sn, "LOOP1 ", 6);
	assert_int_equal(nvmux_ctrlr_get_num_ns(ctrlr), 2);
	assert_int_equal(nvmux_ctrlr_get_max_io_qpairs(ctrlr), 4);
	assert_int_equal(nvmux_ctrlr_get_max_xfer_size(ctrlr), 128 << 10);
	assert_int_equal(nvmux_ns_get_sector_size(nvmux_ctrlr_get_ns(ctrlr, 1)), 512);
	assert_int_equal(nvmux_ns_get_sector_size(nvmux_ctrlr_get_ns(ctrlr, 2)), 4096);
	assert_non_null(nvmux_ns_get_uuid(nvmux_ctrlr_get_ns(ctrlr, 2)));
	assert_int_equal(nvmux_detach(ctrlr), 0);
	nvmux_destroy(nvmux);
}

static void test_bad_description(void **state)
{
	struct nvmux *nvmux = new_context();
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "mem,size=12Q"};
	struct nvmux_ctrlr *ctrlr;

	assert_int_equal(nvmux_connect(nvmux, &trid, NULL, &ctrlr), -EINVAL);
	assert_non_null(strstr(nvmux_error_text(nvmux), "size=12Q"));
	strcpy(trid.traddr, "mem,size=1M,vectors=3");
	assert_int_equal(nvmux_connect(nvmux, &trid, NULL, &ctrlr), -EINVAL);
	assert_non_null(strstr(nvmux_error_text(nvmux), "vectors= is for nvmux-emulator"));
	strcpy(trid.traddr, "file,path=/nonexistent/disk");
	assert_int_equal(nvmux_connect(nvmux, &trid, NULL, &ctrlr), -ENOENT);
	assert_non_null(strstr(nvmux_error_text(nvmux), "/nonexistent/disk"));
	assert_int_equal(emu_loopback_register(nvmux), -EEXIST);
	nvmux_destroy(nvmux);
}

/* Every length and alignment that lists make a difference for, and a split. */
static void check_io(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t *mem, uint32_t blocks,
		     uint32_t skew)
{
	uint32_t bytes = blocks * nvmux_ns_get_sector_size(ns);
	uint8_t *out = mem + skew, *in = mem + (2 << 20) + skew;
	struct answer a = {0};

	for (uint32_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(i * 3 + (i >> 9) + blocks + skew);
	memset(in, 0, bytes);
	assert_int_equal(nvmux_ns_cmd_write(ns, qpair, out, 5, blocks, 0, answered, &a), 0);
	assert_int_equal(wait_for(qpair, &a), 0);
	a = (struct answer){0};
	assert_int_equal(nvmux_ns_cmd_read(ns, qpair, in, 5, blocks, 0, answered, &a), 0);
	assert_int_equal(wait_for(qpair, &a), 0);
	assert_memory_equal(in, out, bytes);
}

static void test_io(void **state)
{
	static const uint32_t counts[] = {1, 2, 7, 8, 9, 16, 17, 64, 255, 256, 300};
	struct nvmux *nvmux = new_context();
	struct nvmux_ctrlr *ctrlr = attach(nvmux, SPEC);
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;

	assert_int_equal(nvmux_mem_alloc(ctrlr, 4 << 20, 0, &mem), 0);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		for (uint32_t skew = 0; skew < 8192; skew += 2036)
			check_io(nvmux_ctrlr_get_ns(ctrlr, 1), qpair, nvmux_mem_addr(mem),
				 counts[i], skew);
		check_io(nvmux_ctrlr_get_ns(ctrlr, 2), qpair, nvmux_mem_addr(mem), counts[i], 4);
	}
	nvmux_qpair_free(qpair);
	nvmux_mem_free(mem);
	assert_int_equal(nvmux_detach(ctrlr), 0);
	nvmux_destroy(nvmux);
}

static void test_memory_comes_and_goes(void **state)
{
	struct nvmux *nvmux = new_context();
	struct nvmux_ctrlr *ctrlr = attach(nvmux, SPEC);
	struct nvmux_ns *ns = nvmux_ctrlr_get_ns(ctrlr, 1);
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;

	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
	/* Each time at the same address, and each time of another size. */
	for (size_t size = 4096; size <= 1 << 20; size *= 2) {
		struct answer a = {0};

		assert_int_equal(nvmux_mem_alloc(ctrlr, size, 0, &mem), 0);
		assert_int_equal(nvmux_ns_cmd_write(ns, qpair,
						    (uint8_t *)nvmux_mem_addr(mem) + size - 4096, 0,
						    8, 0, answered, &a),
				 0);
		assert_int_equal(wait_for(qpair, &a), 0);
		nvmux_mem_free(mem);
	}
	nvmux_qpair_free(qpair);
	nvmux_destroy(nvmux);
}

static void test_data_outlives_reset(void **state)
{
	struct nvmux *nvmux = new_context();
	struct nvmux_ctrlr *ctrlr = attach(nvmux, SPEC);
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;

	assert_int_equal(nvmux_mem_alloc(ctrlr, 4 << 20, 0, &mem), 0);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
	for (int i = 0; i < 5; i++) {
		struct nvmux_ns *ns = nvmux_ctrlr_get_ns(ctrlr, 1);
		uint8_t *p = nvmux_mem_addr(mem);
		struct answer a = {0};

		memset(p, 0x40 + i, 512);
		assert_int_equal(nvmux_ns_cmd_write(ns, qpair, p, 9, 1, 0, answered, &a), 0);
		assert_int_equal(wait_for(qpair, &a), 0);
		assert_int_equal(nvmux_ctrlr_reset(ctrlr), 0);
		a = (struct answer){0};
		memset(p, 0, 512);
		assert_int_equal(nvmux_ns_cmd_read(ns, qpair, p, 9, 1, 0, answered, &a), 0);
		assert_int_equal(wait_for(qpair, &a), 0);
		assert_int_equal(p[511], 0x40 + i);
	}
	nvmux_qpair_free(qpair);
	nvmux_mem_free(mem);
	nvmux_destroy(nvmux);
}

static void test_events(void **state)
{
	struct nvmux *nvmux = new_context();
	struct nvmux_ctrlr *ctrlr = attach(nvmux, SPEC);
	struct nvmux_cmd cmd = {.opc = nvme_admin_set_features};
	struct answer set = {0}, event = {0};

	nvmux_ctrlr_register_aer_callback(ctrlr, answered, &event);
	cmd.cdw10 = htole32(NVME_FEAT_FID_ASYNC_EVENT);
	cmd.cdw11 = htole32(NVME_SMART_CRIT_TEMPERATURE);
	assert_int_equal(nvmux_ctrlr_cmd_admin_raw(ctrlr, &cmd, NULL, 0, answered, &set), 0);
	cmd.cdw10 = htole32(NVME_FEAT_FID_TEMP_THRESH);
	cmd.cdw11 = htole32(300);
	assert_int_equal(nvmux_ctrlr_cmd_admin_raw(ctrlr, &cmd, NULL, 0, answered, &set), 0);
	for (int i = 0; i < 1000 && (set.n < 2 || event.n == 0); i++)
		assert_true(nvmux_process(nvmux) >= 0);
	assert_int_equal(set.n, 2);
	assert_int_equal(event.n, 1);
	assert_int_equal(event.dw0, 1 | 1 << 8 | 2 << 16);
	nvmux_destroy(nvmux);
}

/* An event that comes before anybody has asked for them is told to the first who does. */
static void test_early_event(void **state)
{
	struct nvmux *nvmux = new_context();
	struct nvmux_ctrlr *ctrlr = attach(nvmux, SPEC);
	struct nvmux_cmd cmd = {.opc = nvme_admin_set_features};
	struct answer set = {0}, event = {0}, second = {0};

	cmd.cdw10 = htole32(NVME_FEAT_FID_TEMP_THRESH);
	cmd.cdw11 = htole32(300);
	assert_int_equal(nvmux_ctrlr_cmd_admin_raw(ctrlr, &cmd, NULL, 0, answered, &set), 0);
	for (int i = 0; i < 1000; i++)
		assert_true(nvmux_process(nvmux) >= 0);
	assert_int_equal(set.n, 1);
	nvmux_ctrlr_register_aer_callback(ctrlr, NULL, NULL);
	nvmux_ctrlr_register_aer_callback(ctrlr, answered, &event);
	assert_int_equal(event.n, 1);
	assert_int_equal(event.dw0, 1 | 1 << 8 | 2 << 16);
	nvmux_ctrlr_register_aer_callback(ctrlr, answered, &second);
	assert_int_equal(second.n, 0);
	nvmux_destroy(nvmux);
}

/* ---- a thread for each queue pair ---- */

#define THREADS 2

struct worker {
	pthread_t thread;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair;
	uint8_t *mem;
	uint64_t lba;
	int stop;
	unsigned rounds;
	bool failed;
};

static void round_trip(struct worker *w)
{
	struct answer a = {0};

	memset(w->mem, (int)(w->rounds + w->lba), 8192);
	if (nvmux_ns_cmd_write(w->ns, w->qpair, w->mem, w->lba, 16, 0, answered, &a))
		w->failed = true;
	while (!a.n && !w->failed)
		w->failed |= nvmux_qpair_process_completions(w->qpair, 0) < 0;
	a = (struct answer){.status = a.status};
	if (nvmux_ns_cmd_read(w->ns, w->qpair, w->mem + 8192, w->lba, 16, 0, answered, &a))
		w->failed = true;
	while (!a.n && !w->failed)
		w->failed |= nvmux_qpair_process_completions(w->qpair, 0) < 0;
	w->failed |= a.status || memcmp(w->mem, w->mem + 8192, 8192) != 0;
	w->rounds++;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	do
		round_trip(w);
	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE) && !w->failed);
	return NULL;
}

static void test_threads(void **state)
{
	struct nvmux *nvmux = new_context();
	struct nvmux_ctrlr *ctrlr = attach(nvmux, SPEC);
	struct worker w[THREADS] = {0};
	struct nvmux_mem *mem, *other;

	assert_int_equal(nvmux_mem_alloc(ctrlr, 1 << 20, 0, &mem), 0);
	for (int i = 0; i < THREADS; i++) {
		w[i].ns = nvmux_ctrlr_get_ns(ctrlr, 1);
		w[i].mem = (uint8_t *)nvmux_mem_addr(mem) + i * (64 << 10);
		w[i].lba = (uint64_t)i * 1000;
		assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &w[i].qpair), 0);
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	/* The control thread goes on with what it does: regions, queue pairs, admin commands. */
	for (int i = 0; i < 50; i++) {
		struct nvmux_cmd get = {.opc = nvme_admin_get_features, .cdw10 = htole32(6)};
		struct nvmux_qpair *qpair;
		struct answer a = {0};

		assert_int_equal(nvmux_mem_alloc(ctrlr, 1 << 20, 0, &other), 0);
		assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
		assert_int_equal(nvmux_ns_cmd_read(w[0].ns, qpair, nvmux_mem_addr(other), 5000, 1,
						   0, answered, &a),
				 0);
		assert_int_equal(wait_for(qpair, &a), 0);
		a.n = 0;
		assert_int_equal(nvmux_ctrlr_cmd_admin_raw(ctrlr, &get, NULL, 0, answered, &a), 0);
		while (!a.n)
			assert_true(nvmux_process(nvmux) >= 0);
		nvmux_qpair_free(qpair);
		nvmux_mem_free(other);
	}
	for (int i = 0; i < THREADS; i++) {
		__atomic_store_n(&w[i].stop, 1, __ATOMIC_RELEASE);
		pthread_join(w[i].thread, NULL);
		assert_false(w[i].failed);
		assert_true(w[i].rounds > 0);
		nvmux_qpair_free(w[i].qpair);
	}
	nvmux_mem_free(mem);
	assert_int_equal(nvmux_detach(ctrlr), 0);
	nvmux_destroy(nvmux);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_bad_description),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_memory_comes_and_goes),
		cmocka_unit_test(test_data_outlives_reset),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_early_event),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("emu_loopback", tests, NULL, NULL);
}
