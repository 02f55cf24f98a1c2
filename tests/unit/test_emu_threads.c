// SPDX-License-Identifier: BSD-3-Clause
/*
 * The emulator's model with a thread for each I/O queue, while the admin thread disables and
 * enables the controller, deletes and makes queues, and takes away mappings. Made for
 * ThreadSanitizer; the assertions hold without it too.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "emu_host.h"

#define WORKERS 2
#define CYCLES  20

enum order {
	ORDER_RUN,  /* submit and poll */
	ORDER_POLL, /* poll only: the queue may be gone at any time */
	ORDER_WAIT,
	ORDER_END,
};

struct worker {
	struct host *host;
	pthread_t thread;
	uint16_t qid;
	int order;  /* enum order, written by the admin thread */
	int obeyed; /* the order that the worker works by */
	uint64_t done;
	bool failed;
};

static void submit_and_take(struct worker *w)
{
	struct host *host = w->host;
	struct nvmux_cmd cmd = host_rw(nvme_cmd_write, 1, w->qid * 64u, 8,
				       host_iova(HOST_DATA_PAGE + w->qid), 0);
	struct nvmux_cpl cpl;

	for (int i = 0; i < 4; i++)
		host_put(host, w->qid, &cmd);
	__atomic_store_n(&host->doorbells[2 * w->qid], host->queues[w->qid].tail, __ATOMIC_RELEASE);
	emu_poll_queue(host->ctrlr, w->qid);
	for (int i = 0; i < 4; i++) {
		if (!host_take(host, w->qid, &cpl) || nvmux_cpl_is_error(&cpl)) {
			w->failed = true;
			return;
		}
		w->done++;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		int order = __atomic_load_n(&w->order, __ATOMIC_ACQUIRE);

		__atomic_store_n(&w->obeyed, order, __ATOMIC_RELEASE);
		switch (order) {
		case ORDER_RUN: submit_and_take(w); break;
		case ORDER_POLL:
			for (int i = 0; i < 50; i++)
				emu_poll_queue(w->host->ctrlr, w->qid);
			sched_yield();
			break;
		case ORDER_WAIT: sched_yield(); break;
		default: return NULL;
		}
	}
}

static void order(struct worker *w, enum order what)
{
	__atomic_store_n(&w->order, what, __ATOMIC_RELEASE);
	while (__atomic_load_n(&w->obeyed, __ATOMIC_ACQUIRE) != (int)what)
		sched_yield();
}

static void order_all(struct worker w[WORKERS], enum order what)
{
	for (int i = 0; i < WORKERS; i++)
		order(&w[i], what);
}

static void make_queues(struct host *host)
{
	assert_int_equal(host_enable(host), 1);
	for (uint16_t i = 1; i <= WORKERS; i++)
		host_create_queues(host, i);
}

static void some_admin_work(struct host *host)
{
	struct nvmux_cmd log = {
		.opc = nvme_admin_get_log_page,
		.dptr = {cpu_to_le64(host_iova(HOST_DATA_PAGE + 100))},
		.cdw10 = cpu_to_le32(NVME_LOG_LID_SMART | 127 << 16),
	};
	struct nvmux_cmd wc = {.opc = nvme_admin_set_features, .cdw10 = cpu_to_le32(6)};

	assert_int_equal(host_do(host, 0, &log, NULL), 0);
	assert_int_equal(host_do(host, 0, &wc, NULL), 0);
	emu_dma_changed(host->ctrlr, host_iova(HOST_DATA_PAGE + 200), HOST_PAGE);
}

static void cycle(struct host *host, struct worker w[WORKERS], int n)
{
	order_all(w, ORDER_RUN);
	for (int i = 0; i < 5; i++)
		some_admin_work(host);
	order_all(w, ORDER_POLL);
	if (n % 2) {
		/* The whole controller, under the eyes of the pollers. */
		emu_reg_write(host->ctrlr, NVME_REG_CC, 4, 0);
		order_all(w, ORDER_WAIT);
		make_queues(host);
		return;
	}
	for (uint16_t i = 1; i <= WORKERS; i++) {
		struct nvmux_cmd sq = host_delete(nvme_admin_delete_sq, i);
		struct nvmux_cmd cq = host_delete(nvme_admin_delete_cq, i);

		assert_int_equal(host_do(host, 0, &sq, NULL), 0);
		assert_int_equal(host_do(host, 0, &cq, NULL), 0);
	}
	order_all(w, ORDER_WAIT);
	for (uint16_t i = 1; i <= WORKERS; i++)
		host_create_queues(host, i);
}

static void test_queue_per_thread(void **state)
{
	struct host *host = host_new("mem,size=1M");
	struct worker w[WORKERS] = {0};

	make_queues(host);
	for (int i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){.host = host, .qid = (uint16_t)(i + 1), .order = ORDER_WAIT};
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (int n = 0; n < CYCLES; n++)
		cycle(host, w, n);
	for (int i = 0; i < WORKERS; i++) {
		order(&w[i], ORDER_END);
		pthread_join(w[i].thread, NULL);
		assert_false(w[i].failed);
		assert_true(w[i].done > 0);
	}
	host_free(host);
}

/* Errors are the one thing that all threads write down in one place. */
static void *provoke(void *arg)
{
	struct worker *w = arg;
	struct nvmux_cmd bad = host_rw(nvme_cmd_read, 77, 0, 1, 0, 0);
	struct nvmux_cpl cpl;

	for (int i = 0; i < 200; i++) {
		host_put(w->host, w->qid, &bad);
		w->host->doorbells[2 * w->qid] = w->host->queues[w->qid].tail;
		emu_poll_queue(w->host->ctrlr, w->qid);
		if (!host_take(w->host, w->qid, &cpl) || !nvmux_cpl_is_error(&cpl))
			w->failed = true;
		w->host->doorbells[2 * w->qid] = 5000;
		emu_poll_queue(w->host->ctrlr, w->qid);
		w->host->doorbells[2 * w->qid] = w->host->queues[w->qid].tail;
		emu_poll_queue(w->host->ctrlr, w->qid);
	}
	return NULL;
}

static void test_errors_of_all_threads(void **state)
{
	struct host *host = host_new("mem,size=1M");
	struct nvmux_cmd aer = {.opc = nvme_admin_async_event};
	struct worker w[WORKERS] = {0};
	struct nvmux_cpl cpl;
	bool event = false;

	make_queues(host);
	host_put(host, 0, &aer);
	host_ring(host, 0);
	for (int i = 0; i < WORKERS; i++) {
		w[i] = (struct worker){.host = host, .qid = (uint16_t)(i + 1)};
		assert_int_equal(pthread_create(&w[i].thread, NULL, provoke, &w[i]), 0);
	}
	for (int i = 0; i < 1000; i++) {
		emu_poll_queue(host->ctrlr, 0);
		event |= host_take(host, 0, &cpl);
	}
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(w[i].thread, NULL);
		assert_false(w[i].failed);
	}
	emu_poll_queue(host->ctrlr, 0);
	event |= host_take(host, 0, &cpl);
	assert_true(event);
	host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_per_thread),
		cmocka_unit_test(test_errors_of_all_threads),
	};

	return cmocka_run_group_tests_name("emu_threads", tests, NULL, NULL);
}
