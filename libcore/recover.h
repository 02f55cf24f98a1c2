/* SPDX-License-Identifier: BSD-3-Clause */
/* A fabrics controller's connection: keep-alive, loss, restoration. Control thread. */
#ifndef NVMUX_RECOVER_H
#define NVMUX_RECOVER_H

#include "ctrlr_state.h"
#include "reconnect.h"

struct replay_view;

/* Of a fabrics controller, when it is made and freed. */
int recover_init(struct nvmux_ctrlr *ctrlr);
void recover_fini(struct nvmux_ctrlr *ctrlr);

/* The admin queue is connected: keep-alive begins. It has been identified: is there one at all? */
void recover_connected(struct nvmux_ctrlr *ctrlr);
void recover_identified(struct nvmux_ctrlr *ctrlr);
/* No keep-alive any more; one that is under way may end as it likes. */
void recover_stop_keep_alive(struct nvmux_ctrlr *ctrlr);
/* The controller goes down in an orderly way, or for good: no timer of this any more. */
void recover_stop(struct nvmux_ctrlr *ctrlr);

/* Whether the connection is lost and attempts are made; then a step that fails goes to QUIESCE. */
bool recover_active(const struct nvmux_ctrlr *ctrlr);
/* Disabling the controller before it is connected anew. */
bool recover_renewing(const struct nvmux_ctrlr *ctrlr);
/* A step of an attempt failed. */
void recover_attempt_failed(struct nvmux_ctrlr *ctrlr, int err);
/* What queue pairs need to know for replay, on the heap; @stops: see struct replay_view. */
struct replay_view *recover_make_view(const struct nvmux_ctrlr *ctrlr, bool stops);
/* READY was reached (again). */
void recover_ready(struct nvmux_ctrlr *ctrlr);
/* Do the owner's part for queue pairs that the control thread owns itself: a blocking function of
 * the caller's waits for their controller. */
void recover_process_qpairs(struct nvmux_ctrlr *ctrlr);

#endif
