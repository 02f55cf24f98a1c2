/* SPDX-License-Identifier: BSD-3-Clause */
/* A queue pair of the recording device, and a namespace whose format a test changes in place. */
#ifndef TEST_IO_FIXTURE_H
#define TEST_IO_FIXTURE_H

#include <nvmux/zns.h>

#include "outcome.h"
#include "queue_fixture.h"

/* Everything that Identify Controller can offer is offered. */
static inline void begin_opts(struct fixture *f, uint32_t depth, bool no_staging)
{
	fake_reset();
	fixture_open(f, &fake_transport, NULL, depth, no_staging);
	f->ctrlr->id.oncs = cpu_to_le16(0xffff);
	f->ctrlr->id.fuses = cpu_to_le16(1);
	f->ns->n_lbas = 1ull << 40;
}

static inline void begin(struct fixture *f, uint32_t depth)
{
	begin_opts(f, depth, false);
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
