/* SPDX-License-Identifier: BSD-3-Clause */
/* What the bits of a field mean. */
#ifndef NVMUX_DECODE_BITS_H
#define NVMUX_DECODE_BITS_H

#include <stdint.h>
#include <stdio.h>

/* A line for each known group of bits of the field that JSON calls @key; none for others. */
void bits_describe(FILE *out, const char *key, uint64_t value);

#endif
