/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a method looks like. Methods are declared once, as tables of these; validation of
 * parameters, rpc.discover (OpenRPC) and the documentation are derived from them.
 */
#ifndef NVMUX_RPC_SCHEMA_H
#define NVMUX_RPC_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

/* JSON-RPC 2.0, section 5.1 */
#define RPC_PARSE_ERROR      (-32700)
#define RPC_INVALID_REQUEST  (-32600)
#define RPC_METHOD_NOT_FOUND (-32601)
#define RPC_INVALID_PARAMS   (-32602)
#define RPC_INTERNAL_ERROR   (-32603)
/* nvmux's own range: -32000 … -32099 (the specification's range for servers) */
#define RPC_ERRNO         (-32000) /* failed with the errno value that data.errno names */
#define RPC_ACCESS_DENIED (-32001) /* the caller lacks the right that data.right names */
#define RPC_LIMIT         (-32002) /* over a limit; data.limit names it */
#define RPC_NVME_STATUS   (-32003) /* the controller reported data.nvme_status */
#define RPC_SHUTTING_DOWN (-32004) /* the daemon is about to end */

#define RPC_MESSAGE_MAX (1u << 20) /* bytes of one JSON value on the wire */
#define RPC_DEPTH_MAX   32         /* nesting of one JSON value */
#define RPC_BATCH_MAX   64         /* requests in one batch */
#define RPC_FDS_MAX     4          /* descriptors with one reply */

enum rpc_type {
	RPC_STRING,
	RPC_INTEGER,
	RPC_BOOLEAN,
	RPC_OBJECT,
	RPC_ARRAY,
};

struct rpc_param {
	const char *name; /* NULL ends a table */
	enum rpc_type type;
	bool required;
	int64_t min; /* of an integer's value, a string's bytes, an array's entries */
	int64_t max; /* inclusive; min = max = 0: the type's own range */
	const char *help;
};

enum rpc_right {
	RPC_RIGHT_NONE, /* everybody who can connect */
	RPC_RIGHT_USER, /* those with access to some controller; finer checks in the handler */
	RPC_RIGHT_ADMIN,
};

struct rpc_request;
typedef void (*rpc_handler)(struct rpc_request *req, const json_t *params);

struct rpc_method {
	const char *name; /* NULL ends a table */
	enum rpc_right right;
	const struct rpc_param *params; /* NULL: none */
	const char *help;               /* one paragraph for people */
	const char *result;             /* what comes back, for people */
	rpc_handler handler;
};

/*
 * Check @params (NULL counts as {}) against @table: every required one present, no unknown one,
 * types and ranges right. On failure @why names the parameter, its value and the rule, with a
 * suggestion for a misspelt name. Return 0 or RPC_INVALID_PARAMS.
 */
int rpc_params_check(const struct rpc_param *table, const json_t *params, char *why,
		     size_t why_size);

/* The OpenRPC document of a method table. New reference. */
json_t *rpc_openrpc(const struct rpc_method *methods, const char *version);

/* Getters for checked parameters; @def when absent. */
const char *rpc_get_string(const json_t *params, const char *name, const char *def);
int64_t rpc_get_integer(const json_t *params, const char *name, int64_t def);
bool rpc_get_boolean(const json_t *params, const char *name, bool def);

#endif
