/* SPDX-License-Identifier: BSD-3-Clause */
/* Features in words. Base specification 2.0, section 5.27.1. */
#ifndef NVMUX_DECODE_FEATURE_TEXT_H
#define NVMUX_DECODE_FEATURE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* As nvme-cli has it; "Unknown". */
const char *feature_name(uint8_t fid);
/* "Current", "Default", "Saved", "Supported capabilities". */
const char *feature_select_name(unsigned sel);
/* Bytes of data that the feature has beside its value. @set: that Set Features sends. */
uint32_t feature_data_len(uint8_t fid, uint32_t cdw11, bool set);
/* The fields of a value, a line each; @data is what came with it, @len bytes of it. Nothing for a
 * feature without known fields. */
void feature_describe(FILE *out, uint8_t fid, uint32_t value, const uint8_t *data, size_t len);
/* What the completion says of a feature when its capabilities (sel 3) were asked for. */
void feature_describe_capabilities(FILE *out, uint32_t value);

#endif
