/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Identify data as JSON: the keys and types of values are those of nvme-cli 2.3 (nvme id-ctrl -o
 * json and the like), so that scripts written for it can read it. The data comes from the device
 * and may hold anything. Each returns a new reference, NULL: no memory.
 */
#ifndef NVMUX_DECODE_IDENTIFY_JSON_H
#define NVMUX_DECODE_IDENTIFY_JSON_H

#include <stdbool.h>
#include <jansson.h>
#include <nvme/types.h>

#define IDENTIFY_BYTES 4096

/* Which LBA format FLBAS names: bits 3:0, and above them bits 6:5. */
static inline unsigned identify_format_index(uint8_t flbas)
{
	return (flbas & 15u) | (flbas & 0x60u) >> 1;
}

json_t *identify_ctrl_json(const struct nvme_id_ctrl *id);
json_t *identify_ns_json(const struct nvme_id_ns *id);
/* id-ns of any command set (CNS 08h). */
json_t *identify_independent_ns_json(const struct nvme_id_independent_id_ns *id);
/* nvm-id-ctrl, nvm-id-ns (CNS 06h and 05h, CSI 0); @plain is that of CNS 00h. */
json_t *identify_nvm_ctrl_json(const struct nvme_id_ctrl_nvm *id);
json_t *identify_nvm_ns_json(const struct nvme_nvm_id_ns *id, const struct nvme_id_ns *plain);
/* ns-descs (CNS 03h) of IDENTIFY_BYTES; what reaches beyond them is left out. */
json_t *identify_descs_json(const void *data);
/* list-ns and list-ctrl, of IDENTIFY_BYTES. */
json_t *identify_ns_list_json(const void *data);
json_t *identify_ctrl_list_json(const void *data);

#endif
