/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON values on a byte stream, for both halves of the RPC.
 *
 * A scanner finds where each value ends, without building anything, and enforces the limits of size
 * and depth while bytes arrive; only a complete value within the limits is given to the parser. No
 * I/O here: the caller reads into the input buffer and takes values out.
 */
#ifndef NVMUX_RPC_CODEC_H
#define NVMUX_RPC_CODEC_H

#include "rpc/schema.h"

#define RPC_READ_SIZE (64u << 10) /* bytes that are read at once, at most */

enum rpc_scan_state {
	RPC_SCAN_IDLE,   /* between values */
	RPC_SCAN_NEST,   /* inside objects and arrays, outside strings */
	RPC_SCAN_STRING, /* inside a string */
	RPC_SCAN_ESCAPE, /* inside a string, after a backslash */
	RPC_SCAN_SCALAR, /* inside a number, true, false or null that isn't part of anything */
};

struct rpc_scan {
	enum rpc_scan_state state;
	uint32_t depth;  /* open objects and arrays */
	uint64_t arrays; /* bit n: level n is an array, not an object */
	size_t len;      /* bytes of the current value so far */
};

enum rpc_scan_result {
	RPC_SCAN_MORE,  /* all of the input belongs to an incomplete value, or to none */
	RPC_SCAN_VALUE, /* a value ends here; its length is scan->len */
	RPC_SCAN_ERROR,
};

/*
 * Look at the next @size bytes. *ret_used: how many were consumed; on RPC_SCAN_VALUE the value's
 * last byte is the last one consumed. @why gets the reason of RPC_SCAN_ERROR. After a value, call
 * rpc_scan_reset().
 */
enum rpc_scan_result rpc_scan(struct rpc_scan *scan, const char *data, size_t size,
			      size_t *ret_used, char *why, size_t why_size);
void rpc_scan_reset(struct rpc_scan *scan);

/* An input buffer: bytes that were read, of which the first @pos have been scanned. */
struct rpc_inbuf {
	char *data;
	size_t cap;
	size_t len;
	size_t pos;
	struct rpc_scan scan;
};

/* Where to read to, and how much; -ENOMEM. */
int rpc_inbuf_room(struct rpc_inbuf *in, char **ret_data, size_t *ret_size);
/* So much has been read. */
void rpc_inbuf_added(struct rpc_inbuf *in, size_t size);
/*
 * The next value: 1 with a new reference in @ret, 0 when more bytes are needed, -EPROTO (broken
 * JSON), -EMSGSIZE (over a limit) or -ENOMEM, with the reason in @why; no value can be found after
 * an error. @eof: no more bytes will come.
 */
int rpc_inbuf_next(struct rpc_inbuf *in, bool eof, json_t **ret, char *why, size_t why_size);
/* Whether a value has begun and not ended. */
bool rpc_inbuf_partial(const struct rpc_inbuf *in);
void rpc_inbuf_fini(struct rpc_inbuf *in);

/* @text as a JSON string; what isn't UTF-8 in it becomes '?'. NULL only without memory. */
json_t *rpc_text(const char *text);
/* An error object; @data is stolen and may be NULL. NULL only without memory. */
json_t *rpc_error_object(int code, const char *message, json_t *data);
/* The text of a message, with a newline; *ret_len without the NUL. NULL without memory. */
char *rpc_encode(const json_t *message, size_t *ret_len);
/* {"errno": the name of @err (negative)} */
json_t *rpc_errno_data(int err);
/* The negative errno value of an error object: data.errno if it is known, else one that fits code.
 */
int rpc_error_to_errno(const json_t *error);

/*
 * The one of @n names that @name was probably meant to be, or NULL. Names are @stride bytes apart,
 * each a const char * at that place.
 */
const char *rpc_suggest(const char *name, const void *names, size_t stride, size_t n);

#endif
