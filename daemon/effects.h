/* SPDX-License-Identifier: BSD-3-Clause */
/* What a command of a client changes for others, and how it is sent therefore. */
#ifndef NVMUXD_EFFECTS_H
#define NVMUXD_EFFECTS_H

#include <jansson.h>
#include "libcore/transport.h"

enum effects_way {
	EFFECTS_SEND,    /* as any other */
	EFFECTS_LOOK,    /* the same, and namespaces are looked at anew after it */
	EFFECTS_QUIESCE, /* while nothing else runs on the controller */
};

/* enum nvmux_effects of a command. */
uint32_t effects_of(const struct nvmux_ctrlr *ctrlr, bool io, uint8_t opc);
enum effects_way effects_way(const struct nvmux_ctrlr *ctrlr, bool io, uint8_t opc);
/* Others would notice: a client needs the admin right for it. */
bool effects_need_admin(const struct nvmux_ctrlr *ctrlr, bool io, uint8_t opc);
/* {admin: [{opc, lbcc, ncc, nic, ccc, cse}, …], io: …} of the commands that are supported. */
json_t *effects_json(const struct nvmux_ctrlr *ctrlr);

#endif
