/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue pair of the recording device, and a namespace whose format a test changes in place. */
#ifndef TEST_IO_FIXTURE_H
#define TEST_IO_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <nvmux/zns.h>

#include "fake_ctrlr.h"
#include "outcome.h"

#define FIXTURE_MEM (8u << 20)

struct fixture {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair;
	struct fake_qpair *q;
	struct nvmux_mem *mem;
	uint8_t *buf;
};

/* Everything that Identify Controller can offer is offered. */
static inline void begin_opts(struct fixture *f, uint32_t depth, bool no_staging)
{
	static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK};
	struct nvmux_io_qpair_opts opts;
	struct nvmux_opts nopts;

	fake_reset();
	nvmux_opts_init(&nopts, sizeof(nopts));
	nopts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&nopts, &f->nvmux), 0);
	assert_int_equal(nvmux_transport_register(f->nvmux, &fake_transport), 0);
	assert_int_equal(nvmux_connect(f->nvmux, &trid, NULL, &f->ctrlr), 0);
	f->ns = nvmux_ctrlr_get_ns(f->ctrlr, 1);
	nvmux_io_qpair_opts_init(f->ctrlr, &opts, sizeof(opts));
	opts.io_queue_depth = depth;
	opts.no_staging = no_staging;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f->ctrlr, &opts, &f->qpair), 0);
	f->q = container_of(f->qpair, struct fake_qpair, base);
	assert_int_equal(nvmux_mem_alloc(f->ctrlr, FIXTURE_MEM, 0, &f->mem), 0);
	f->buf = nvmux_mem_addr(f->mem);
	f->ctrlr->id.oncs = cpu_to_le16(0xffff);
	f->ctrlr->id.fuses = cpu_to_le16(1);
	f->ns->n_lbas = 1ull << 40;
}

static inline void begin(struct fixture *f, uint32_t depth)
{
	begin_opts(f, depth, false);
}

static inline void end(struct fixture *f)
{
	nvmux_qpair_free(f->qpair);
	nvmux_mem_free(f->mem);
	nvmux_destroy(f->nvmux);
}

/* Process until nothing is in flight; at most what any test needs. */
static inline void drain(struct fixture *f)
{
	for (int i = 0; i < 10000; i++) {
		nvmux_qpair_process_completions(f->qpair, 0);
		if (!nvmux_qpair_outstanding(f->qpair) && TAILQ_EMPTY(&f->qpair->splits_waiting))
			return;
	}
	fail_msg("commands don't end");
}

#endif
