// SPDX-License-Identifier: BSD-3-Clause
/* Structures of the specification as JSON, by tables of their fields. Pure functions. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "decode/fields.h"
#include "libcore/util.h"

uint64_t decode_uint(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint64_t value = 0;

	while (size--)
		value = value << 8 | bytes[size];
	return value;
}

json_t *decode_uint_json(uint64_t value)
{
	if (value <= INT64_MAX)
		return json_integer((json_int_t)value);
	return json_sprintf(DECODE_DIGITS_MARK "%" PRIu64, value);
}

const char *decode_digits(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = strlen(DECODE_DIGITS_MARK);

	return text && !strncmp(text, DECODE_DIGITS_MARK, len) ? text + len : NULL;
}

/* A string's own text can't be given to it anew. */
static json_t *plain_string(const char *digits)
{
	char text[24];

	snprintf(text, sizeof(text), "%s", digits);
	return json_string(text);
}

json_t *decode_plain(json_t *value)
{
	const char *key;
	json_t *member;
	size_t i;

	json_object_foreach(value, key, member) {
		if (decode_digits(member))
			json_object_set_new(value, key, plain_string(decode_digits(member)));
		else
			decode_plain(member);
	}
	json_array_foreach(value, i, member) {
		if (decode_digits(member))
			json_array_set_new(value, i, plain_string(decode_digits(member)));
		else
			decode_plain(member);
	}
	return value;
}

json_t *decode_u128_json(const void *data)
{
	const uint8_t *bytes = data;
	unsigned __int128 value = (unsigned __int128)decode_uint(bytes + 8, 8) << 64 |
				  decode_uint(bytes, 8);
	char text[48], *p = text + sizeof(text) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + (unsigned)(value % 10));
		value /= 10;
	} while (value);
	return json_string(p);
}

json_t *decode_uuid_json(const void *uuid)
{
	const uint8_t *bytes = uuid;
	char text[37], *p = text;

	for (unsigned i = 0; i < 16; i++)
		p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			     bytes[i]);
	return json_string(text);
}

json_t *decode_hex_json(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	char *text = malloc(2 * size + 1);
	json_t *value;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	value = json_stringn(text, 2 * size);
	free(text);
	return value;
}

json_t *decode_text_json(const char *text, size_t size, bool trim)
{
	char copy[256];
	size_t len = strnlen(text, MIN(size, sizeof(copy)));

	for (size_t i = 0; i < len; i++)
		copy[i] = (char)(text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
	while (trim && len && copy[len - 1] == ' ')
		len--;
	return json_stringn(copy, len);
}

void decode_put(json_t *object, const struct decode_field *fields, const void *data, bool optional)
{
	for (const struct decode_field *f = fields; f->key; f++) {
		const uint8_t *at = (const uint8_t *)data + f->offset;
		json_t *value = NULL;

		switch (f->type) {
		case DECODE_OPTIONAL:
			if (!optional)
				continue;
			value = decode_uint_json(decode_uint(at, f->size));
			break;
		case DECODE_UINT: value = decode_uint_json(decode_uint(at, f->size)); break;
		case DECODE_U128: value = decode_u128_json(at); break;
		case DECODE_UUID: value = decode_uuid_json(at); break;
		case DECODE_HEX: value = decode_hex_json(at, f->size); break;
		case DECODE_NQN:
			if (!*at)
				continue;
			value = decode_text_json((const char *)at, f->size, false);
			break;
		case DECODE_TEXT:
			value = decode_text_json((const char *)at, f->size, false);
			break;
		}
		json_object_set_new(object, f->key, value);
	}
}
