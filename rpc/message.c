// SPDX-License-Identifier: BSD-3-Clause
/* Pieces of JSON-RPC messages that both halves make or read: texts, errors, errno names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "libcore/util.h"
#include "rpc/codec.h"

#define ERRNO_MAX 256 /* above the highest errno value of Linux */

json_t *rpc_text(const char *text)
{
	json_t *value = json_string(text);
	char *copy;

	if (value)
		return value;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	value = json_string(copy);
	free(copy);
	return value;
}

json_t *rpc_error_object(int code, const char *message, json_t *data)
{
	json_t *error = json_pack("{s:i, s:o}", "code", code, "message", rpc_text(message));

	if (!error || (data && json_object_set(error, "data", data) < 0)) {
		json_decref(error);
		error = NULL;
	}
	json_decref(data);
	return error;
}

char *rpc_encode(const json_t *message, size_t *ret_len)
{
	size_t len = json_dumpb(message, NULL, 0, JSON_COMPACT);
	char *text;

	if (len == 0)
		return NULL;
	text = malloc(len + 2);
	if (!text)
		return NULL;
	if (json_dumpb(message, text, len, JSON_COMPACT) != len) {
		free(text);
		return NULL;
	}
	text[len] = '\n';
	text[len + 1] = '\0';
	*ret_len = len + 1;
	return text;
}

json_t *rpc_errno_data(int err)
{
	const char *name = strerrorname_np(-err);

	return json_pack("{s:s}", "errno", name ? name : "EIO");
}

static int errno_by_name(const char *name)
{
	for (int err = 1; err < ERRNO_MAX; err++) {
		const char *known = strerrorname_np(err);

		if (known && !strcmp(known, name))
			return -err;
	}
	return 0;
}

static int errno_by_code(json_int_t code)
{
	switch (code) {
	case RPC_PARSE_ERROR:
	case RPC_INVALID_REQUEST:
	case RPC_INVALID_PARAMS: return -EINVAL;
	case RPC_METHOD_NOT_FOUND: return -EOPNOTSUPP;
	case RPC_ACCESS_DENIED: return -EACCES;
	case RPC_LIMIT: return -EDQUOT;
	case RPC_SHUTTING_DOWN: return -ESHUTDOWN;
	default: return -EIO;
	}
}

int rpc_error_to_errno(const json_t *error)
{
	const char *name =
		json_string_value(json_object_get(json_object_get(error, "data"), "errno"));
	int err = name ? errno_by_name(name) : 0;

	return err ? err : errno_by_code(json_integer_value(json_object_get(error, "code")));
}
