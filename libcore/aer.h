/* SPDX-License-Identifier: BSD-3-Clause */
/* What belongs to an asynchronous event, for those that can't read it again. */
#ifndef NVMUX_AER_H
#define NVMUX_AER_H

#include "core.h"

/* Within the callback of nvmux_ctrlr_register_aer_callback(): the log page that was read to clear
 * @event, 4096 bytes; NULL: it isn't there any more. */
const void *ctrlr_aer_log(const struct nvmux_ctrlr *ctrlr, const struct nvmux_cpl *event);

#endif
