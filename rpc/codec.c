// SPDX-License-Identifier: BSD-3-Clause
/*
 * JSON values on a byte stream: the scanner and the input buffer.
 *
 * The scanner knows just enough JSON to find ends: strings with their escapes, and pairs of
 * brackets. What it lets through may still be wrong inside; the parser (jansson) then says so. What
 * it refuses could have no end that everybody agrees on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libcore/util.h"
#include "rpc/codec.h"

#define INBUF_MIN 4096u
#define INBUF_MAX (RPC_MESSAGE_MAX + RPC_READ_SIZE)

_Static_assert(RPC_DEPTH_MAX < 64, "rpc_scan.arrays has a bit per level");

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Bytes of numbers and of the words true, false, null; and of words that aren't JSON at all. */
static bool is_scalar(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-' || c == '+' || c == '.' || c == '_';
}

static bool is_structural(char c)
{
	return strchr("{}[],:\"", c) && c;
}

static enum rpc_scan_result scan_fail(const struct rpc_scan *scan, char c, const char *what,
				      char *why, size_t why_size)
{
	if (c > ' ' && c < 0x7f)
		snprintf(why, why_size, "byte %zu: '%c' %s", scan->len, c, what);
	else
		snprintf(why, why_size, "byte %zu: 0x%02x %s", scan->len, (unsigned char)c, what);
	return RPC_SCAN_ERROR;
}

static enum rpc_scan_result scan_open(struct rpc_scan *scan, bool array, char *why, size_t why_size)
{
	if (scan->depth == RPC_DEPTH_MAX) {
		snprintf(why, why_size, "byte %zu: nested deeper than %d levels", scan->len,
			 RPC_DEPTH_MAX);
		return RPC_SCAN_ERROR;
	}
	scan->arrays &= ~(1ull << scan->depth);
	scan->arrays |= (uint64_t)array << scan->depth;
	scan->depth++;
	scan->state = RPC_SCAN_NEST;
	return RPC_SCAN_MORE;
}

/* A byte outside strings that is part of objects or arrays, or begins a value. */
static enum rpc_scan_result scan_nest(struct rpc_scan *scan, char c, char *why, size_t why_size)
{
	bool array;

	switch (c) {
	case '{':
	case '[': return scan_open(scan, c == '[', why, why_size);
	case '"': scan->state = RPC_SCAN_STRING; return RPC_SCAN_MORE;
	case '}':
	case ']':
		if (scan->depth == 0)
			return scan_fail(scan, c, "closes nothing", why, why_size);
		array = scan->arrays >> (scan->depth - 1) & 1;
		if (array != (c == ']'))
			return scan_fail(scan, c,
					 array ? "where ']' must close" : "where '}' must close",
					 why, why_size);
		scan->depth--;
		return scan->depth ? RPC_SCAN_MORE : RPC_SCAN_VALUE;
	default:
		if (scan->depth == 0) {
			if (!is_scalar(c))
				return scan_fail(scan, c, "begins no JSON value", why, why_size);
			scan->state = RPC_SCAN_SCALAR;
		}
		return RPC_SCAN_MORE; /* the parser judges */
	}
}

static enum rpc_scan_result scan_string(struct rpc_scan *scan, char c, char *why, size_t why_size)
{
	if (scan->state == RPC_SCAN_ESCAPE) {
		scan->state = RPC_SCAN_STRING;
	} else if (c == '\\') {
		scan->state = RPC_SCAN_ESCAPE;
	} else if (c == '"') {
		scan->state = RPC_SCAN_NEST;
		return scan->depth ? RPC_SCAN_MORE : RPC_SCAN_VALUE;
	}
	if ((unsigned char)c < ' ')
		return scan_fail(scan, c, "in a string must be escaped", why, why_size);
	return RPC_SCAN_MORE;
}

enum rpc_scan_result rpc_scan(struct rpc_scan *scan, const char *data, size_t size,
			      size_t *ret_used, char *why, size_t why_size)
{
	enum rpc_scan_result result = RPC_SCAN_MORE;
	size_t i;

	for (i = 0; i < size && result == RPC_SCAN_MORE; i++) {
		char c = data[i];

		if (scan->state == RPC_SCAN_IDLE && is_space(c))
			continue;
		if (scan->state == RPC_SCAN_SCALAR && (is_space(c) || is_structural(c))) {
			result = RPC_SCAN_VALUE; /* this byte isn't part of it */
			break;
		}
		if (++scan->len > RPC_MESSAGE_MAX) {
			snprintf(why, why_size, "a JSON value of more than %u bytes",
				 RPC_MESSAGE_MAX);
			result = RPC_SCAN_ERROR;
		} else if (scan->state == RPC_SCAN_STRING || scan->state == RPC_SCAN_ESCAPE) {
			result = scan_string(scan, c, why, why_size);
		} else if (scan->state == RPC_SCAN_SCALAR) {
			if (!is_scalar(c))
				result = scan_fail(scan, c, "is no JSON", why, why_size);
		} else {
			result = scan_nest(scan, c, why, why_size);
		}
	}
	*ret_used = i;
	return result;
}

void rpc_scan_reset(struct rpc_scan *scan)
{
	*scan = (struct rpc_scan){.state = RPC_SCAN_IDLE};
}

/* Forget what has been taken out: keep only the value that has begun. */
static void inbuf_compact(struct rpc_inbuf *in)
{
	size_t start = in->pos - in->scan.len;

	if (start == 0)
		return;
	memmove(in->data, in->data + start, in->len - start);
	in->len -= start;
	in->pos -= start;
}

int rpc_inbuf_room(struct rpc_inbuf *in, char **ret_data, size_t *ret_size)
{
	size_t cap = in->cap;
	char *data;

	inbuf_compact(in);
	if (in->len == cap) {
		cap = cap ? MIN(cap * 2, (size_t)INBUF_MAX) : INBUF_MIN;
		if (cap == in->cap)
			return -EMSGSIZE; /* the caller reads on without taking values out */
		data = realloc(in->data, cap);
		if (!data)
			return -ENOMEM;
		in->data = data;
		in->cap = cap;
	}
	*ret_data = in->data + in->len;
	*ret_size = MIN(in->cap - in->len, (size_t)RPC_READ_SIZE);
	return 0;
}

void rpc_inbuf_added(struct rpc_inbuf *in, size_t size)
{
	NVMUX_ASSERT(size <= in->cap - in->len);
	in->len += size;
}

static int inbuf_decode(const char *data, size_t len, json_t **ret, char *why, size_t why_size)
{
	json_error_t error;
	json_t *value;

	value = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!value) {
		snprintf(why, why_size, "byte %d: %s", error.position, error.text);
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EPROTO;
	}
	*ret = value;
	return 1;
}

/* The last value, or a part of one, when no more bytes come. */
static enum rpc_scan_result inbuf_eof(struct rpc_inbuf *in, char *why, size_t why_size)
{
	switch (in->scan.state) {
	case RPC_SCAN_IDLE: return RPC_SCAN_MORE;
	case RPC_SCAN_SCALAR: return RPC_SCAN_VALUE;
	default:
		snprintf(why, why_size, "byte %zu: the input ended within a value", in->scan.len);
		return RPC_SCAN_ERROR;
	}
}

int rpc_inbuf_next(struct rpc_inbuf *in, bool eof, json_t **ret, char *why, size_t why_size)
{
	enum rpc_scan_result result = RPC_SCAN_MORE;
	size_t used, len;
	int rc;

	if (in->pos < in->len) {
		result = rpc_scan(&in->scan, in->data + in->pos, in->len - in->pos, &used, why,
				  why_size);
		in->pos += used;
	}
	if (result == RPC_SCAN_MORE && eof)
		result = inbuf_eof(in, why, why_size);
	if (result == RPC_SCAN_ERROR)
		return in->scan.len > RPC_MESSAGE_MAX ? -EMSGSIZE : -EPROTO;
	if (result == RPC_SCAN_MORE) {
		if (in->scan.len == 0 && in->cap > RPC_READ_SIZE)
			rpc_inbuf_fini(in); /* an idle connection keeps no large buffer */
		return 0;
	}
	len = in->scan.len;
	rc = inbuf_decode(in->data + in->pos - len, len, ret, why, why_size);
	rpc_scan_reset(&in->scan);
	return rc;
}

bool rpc_inbuf_partial(const struct rpc_inbuf *in)
{
	return in->pos < in->len || in->scan.len > 0;
}

void rpc_inbuf_fini(struct rpc_inbuf *in)
{
	free(in->data);
	*in = (struct rpc_inbuf){0};
}
