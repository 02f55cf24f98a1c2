/* SPDX-License-Identifier: BSD-3-Clause */
/* What a command of a client changes for others, and how it is sent therefore. */
#ifndef NVMUXD_EFFECTS_H
#define NVMUXD_EFFECTS_H

#include <jansson.h>
#include "libcore/transport.h"

/* What is done about a command, besides sending it. */
struct effects_plan {
	bool hold;     /* nothing else runs on the controller meanwhile */
	bool look;     /* namespaces are looked at anew after it */
	bool identify; /* so is the controller */
	bool reset;    /* it may be, if that has changed what can't be changed in place */
};

/* Whether an admin command only reads, whatever a log says of it. */
bool effects_only_reads(uint8_t opc);
/* enum nvmux_effects of a command. */
uint32_t effects_of(const struct nvmux_ctrlr *ctrlr, bool io, const struct nvmux_cmd *cmd);
/* False: it is sent as any other. */
bool effects_plan(const struct nvmux_ctrlr *ctrlr, bool io, const struct nvmux_cmd *cmd,
		  struct effects_plan *ret);
/* The vendor's I/O commands that there is a plan for, a bit for each opcode from 80h on. */
void effects_noticed(const struct nvmux_ctrlr *ctrlr, uint32_t ret_bits[4]);
/* Others would notice: a client needs the admin right for it. */
bool effects_need_admin(const struct nvmux_ctrlr *ctrlr, bool io, const struct nvmux_cmd *cmd);
/* {admin: [{opc, lbcc, ncc, nic, ccc, cse}, …], io: …} of the commands that are supported. */
json_t *effects_json(const struct nvmux_ctrlr *ctrlr);

#endif
