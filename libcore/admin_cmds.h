/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of admin commands share. */
#ifndef NVMUX_ADMIN_CMDS_H
#define NVMUX_ADMIN_CMDS_H

#include <nvmux/admin.h>
#include "ctrlr_state.h"

/* -EOPNOTSUPP with a text unless Identify Controller's OACS has @bit. */
int admin_want_oacs(const struct nvmux_ctrlr *ctrlr, uint16_t bit, const char *what);
/* -EINVAL with a text unless @buf and @len are @len bytes, a multiple of 4, within the transfer
 * limit (0: allowed when @optional). */
int admin_check_data(const struct nvmux_ctrlr *ctrlr, const void *buf, uint32_t len, bool optional);
/* Send a command and wait; -EIO with a text: the controller refused. @ret_cpl may be NULL: else a
 * refusal is for the caller to judge. */
int admin_wait(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf, uint32_t len,
	       struct nvmux_cpl *ret_cpl);
/* Wait until a look at the namespaces that is under way has ended; -ENXIO: the controller has
 * gone meanwhile. */
int admin_wait_for_rescan(struct nvmux_ctrlr *ctrlr);
/* Wait until the namespaces have been looked at anew. */
int admin_rescan(struct nvmux_ctrlr *ctrlr);
/* Process the context for a millisecond; not within a callback. */
void admin_pause(struct nvmux *nvmux);
/* Bytes that one admin command can move between the controller and any memory. */
uint32_t admin_piece(const struct nvmux_ctrlr *ctrlr);
/* Download an image in pieces. */
int admin_download(struct nvmux_ctrlr *ctrlr, const uint8_t *image, size_t size);

#endif
