/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structures of the specification as JSON, by tables of their fields. The data comes from a device
 * and may hold anything; the layout is the table's, so that nothing is read beyond it.
 */
#ifndef NVMUX_DECODE_FIELDS_H
#define NVMUX_DECODE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

enum decode_type {
	DECODE_UINT, /* little-endian, 1 to 8 bytes */
	DECODE_U128, /* a decimal string */
	DECODE_TEXT, /* up to the first NUL */
	DECODE_NQN,  /* the same, left out when empty */
	DECODE_UUID, /* 8-4-4-4-12 */
	DECODE_HEX,
	DECODE_OPTIONAL, /* DECODE_UINT, only where the caller says so */
};

struct decode_field {
	const char *key; /* NULL ends a table */
	enum decode_type type;
	uint16_t offset;
	uint16_t size;
};

/* A row called @name, and one called as the member is. */
#define DECODE_AS(name, s, t, member)                                                              \
	{                                                                                          \
		name, t, offsetof(struct s, member), sizeof(((struct s *)0)->member)               \
	}
#define DECODE_FIELD(s, t, member) DECODE_AS(#member, s, t, member)
#define DECODE_END {NULL, 0, 0, 0}

/* Add the members that @fields names, from @data, to @object. */
void decode_put(json_t *object, const struct decode_field *fields, const void *data, bool optional);

/* Little-endian, 1 to 8 bytes. */
uint64_t decode_uint(const void *data, size_t size);
/*
 * A JSON integer. Beyond INT64_MAX, which jansson's integers don't reach, a string: a mark and the
 * digits. A printer of ours writes the digits as the number that they are; for others there is
 * decode_plain(). Texts of devices can't be taken for it, as they have no control characters here.
 */
json_t *decode_uint_json(uint64_t value);
#define DECODE_DIGITS_MARK "\001digits:"
/* The digits of such a string; NULL: it is something else. */
const char *decode_digits(const json_t *value);
/* The same object or array, in whose depth such strings have become digits alone. */
json_t *decode_plain(json_t *value);
/* 16 bytes, little-endian, as a decimal string. */
json_t *decode_u128_json(const void *data);
/* Bytes as hexadecimal digits. */
json_t *decode_hex_json(const void *data, size_t size);
/* 16 bytes in the form 8-4-4-4-12. */
json_t *decode_uuid_json(const void *uuid);
/* Text of a fixed size, padded with blanks or NULs, as JSON: what isn't printable ASCII becomes
 * '?'. @trim: without the blanks at its end. */
json_t *decode_text_json(const char *text, size_t size, bool trim);

#endif
