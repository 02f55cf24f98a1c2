/* SPDX-License-Identifier: BSD-3-Clause */
/* A controller of the recording device with a namespace, a queue pair and a region. */
#ifndef TEST_QUEUE_FIXTURE_H
#define TEST_QUEUE_FIXTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_ctrlr.h"

#define FIXTURE_MEM (8u << 20)

struct fixture {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair; /* a test that frees it sets NULL */
	struct fake_qpair *q;
	struct nvmux_mem *mem;
	uint8_t *buf;
	bool removed;
};

static inline void fixture_removed(void *arg, struct nvmux_ctrlr *ctrlr)
{
	((struct fixture *)arg)->removed = true;
}

/* @copts may be NULL. */
static inline void fixture_open(struct fixture *f, const struct nvmux_transport *transport,
				const struct nvmux_ctrlr_opts *copts, uint32_t depth,
				bool no_staging)
{
	static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK};
	struct nvmux_io_qpair_opts opts;
	struct nvmux_opts nopts;

	*f = (struct fixture){0};
	nvmux_opts_init(&nopts, sizeof(nopts));
	nopts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&nopts, &f->nvmux), 0);
	assert_int_equal(nvmux_transport_register(f->nvmux, transport), 0);
	assert_int_equal(nvmux_connect(f->nvmux, &trid, copts, &f->ctrlr), 0);
	nvmux_ctrlr_set_remove_cb(f->ctrlr, fixture_removed, f);
	f->ns = nvmux_ctrlr_get_ns(f->ctrlr, 1);
	nvmux_io_qpair_opts_init(f->ctrlr, &opts, sizeof(opts));
	opts.io_queue_depth = depth;
	opts.no_staging = no_staging;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f->ctrlr, &opts, &f->qpair), 0);
	f->q = container_of(f->qpair, struct fake_qpair, base);
	assert_int_equal(nvmux_mem_alloc(f->ctrlr, FIXTURE_MEM, 0, &f->mem), 0);
	f->buf = nvmux_mem_addr(f->mem);
}

static inline void end(struct fixture *f)
{
	if (f->qpair)
		nvmux_qpair_free(f->qpair);
	nvmux_mem_free(f->mem);
	nvmux_destroy(f->nvmux);
}

#endif
