/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the owner of a queue pair does when its connection is lost and restored. All functions but
 * replay_init() and replay_fini() are for the owner's thread.
 */
#ifndef NVMUX_REPLAY_H
#define NVMUX_REPLAY_H

#include "reconnect.h"
#include "transport.h"

/*
 * What a restored controller looks like to replay: made by the control thread before it sets a
 * queue pair to REPLAY, not changed while one is REPLAY or RELEASE.
 */
struct replay_view {
	struct replay_view *older; /* an owner may still look at it; or NULL */
	bool stops; /* the old controller has a keep-alive timer */
	bool all_same;
	uint32_t n_ns;
	struct replay_ns ns[]; /* in the order of their ids */
};

int replay_init(struct nvmux_qpair *qpair);
void replay_fini(struct nvmux_qpair *qpair);
/* Let @view be what counts from now on; the control thread, before REPLAY. */
void replay_set_view(struct nvmux_qpair *qpair, const struct replay_view *view);
/* The owner's part of a state that isn't CONNECTED; the number of completions or -ENXIO. */
int replay_process(struct nvmux_qpair *qpair, uint32_t max);
/* What a slot has for a command that flushes wait for: what it had before. False: it isn't one. */
bool replay_unwrap(nvmux_cmd_cb *cb, void **arg);
/* Whether a command may be submitted in such a state: 0 or a negative errno value. */
int replay_refusal(const struct nvmux_qpair *qpair);

/* qpair.c: a turn of a queue pair that works. */
int nvmux_qpair_process_connected(struct nvmux_qpair *qpair, uint32_t max);

#endif
