/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Identify data as JSON: the keys and types of values are those of `nvme id-ctrl -o json` and
 * `nvme id-ns -o json` (nvme-cli 2.3), so that scripts written for these can read it.
 */
#ifndef NVMUXD_IDENTIFY_JSON_H
#define NVMUXD_IDENTIFY_JSON_H

#include <stdbool.h>
#include <jansson.h>
#include <nvme/types.h>

/* The data comes from the device and may hold anything. New reference, NULL: no memory. */
json_t *identify_ctrl_json(const struct nvme_id_ctrl *id);
json_t *identify_ns_json(const struct nvme_id_ns *id);
/* Bytes as hexadecimal digits. */
json_t *identify_hex_json(const void *data, size_t size);
/* 16 bytes in the form 8-4-4-4-12. */
json_t *identify_uuid_json(const uint8_t *uuid);
/* Text of a fixed size, padded with blanks or NULs, as JSON: what isn't printable ASCII becomes
 * '?'. @trim: without the blanks at its end. */
json_t *identify_text_json(const char *text, size_t size, bool trim);

#endif
