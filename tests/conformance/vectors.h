/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands as the specifications have them, byte by byte: what no controller but our own emulator
 * offers, so that the two can't agree on something wrong.
 *
 * Written from the figures of the specifications, not from the driver: nothing here uses its types,
 * constants or functions.
 */
#ifndef CONFORMANCE_VECTORS_H
#define CONFORMANCE_VECTORS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * @name: of the function that sends it. @spec: where its bytes come from.
 * @entry: the 64 bytes of the submission queue entry in hexadecimal, ".." for what depends on the
 *	queue and the memory: command identifier, metadata and data pointers.
 * @data: the beginning of what it carries, "" if it carries nothing to the controller.
 */
struct vector {
	const char *name;
	const char *spec;
	bool admin;
	const char *entry;
	const char *data;
};

/* Bytes 2-3 and 16-39 of every entry: CID, MPTR, DPTR. */
#define V_CID  ".. .. "
#define V_PTRS ".. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. .. "
#define V_RSVD "00 00 00 00 00 00 00 00 "
#define V_ZERO "00 00 00 00 "

extern const struct vector vectors[];
extern const unsigned vectors_count;

/* Whether @bytes are what a text of a vector says; @ret_at is the first byte that differs. */
bool vector_matches(const char *text, const uint8_t *bytes, uint32_t len, uint32_t *ret_at);

#endif
