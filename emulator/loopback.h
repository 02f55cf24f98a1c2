/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model as a device inside the caller's process: trtype LOOPBACK, whose traddr is the
 * description of emu_config_parse(). A queue is served in the thread that rings its doorbell, so
 * that a queue pair and its device share one core.
 */
#ifndef NVMUX_EMU_LOOPBACK_H
#define NVMUX_EMU_LOOPBACK_H

struct nvmux;
struct nvmux_ctrlr;
struct emu_ctrlr;

/* Make the loopback transport known to a context. 0 or -EEXIST. */
int emu_loopback_register(struct nvmux *nvmux);
/* The model behind a controller of this transport, for faults; NULL before it has been opened. */
struct emu_ctrlr *emu_loopback_model(const struct nvmux_ctrlr *ctrlr);

#endif
