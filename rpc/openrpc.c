// SPDX-License-Identifier: BSD-3-Clause
/* The OpenRPC 1.2 document of a method table. */
#include "libcore/util.h"
#include "rpc/schema.h"

static const struct {
	const char *name;
	int code;
	const char *message;
} errors[] = {
	{"ParseError", RPC_PARSE_ERROR, "not JSON; the connection is closed after this answer"},
	{"InvalidRequest", RPC_INVALID_REQUEST, "not a JSON-RPC 2.0 request"},
	{"MethodNotFound", RPC_METHOD_NOT_FOUND, "no such method"},
	{"InvalidParams", RPC_INVALID_PARAMS,
	 "a parameter is unknown, missing, or of the wrong type or range"},
	{"InternalError", RPC_INTERNAL_ERROR, "the daemon failed; its log says why"},
	{"Errno", RPC_ERRNO, "failed with the errno value that data.errno names"},
	{"AccessDenied", RPC_ACCESS_DENIED, "the caller lacks the right that data.right names"},
	{"Limit", RPC_LIMIT, "over the limit that data.limit names"},
	{"NvmeStatus", RPC_NVME_STATUS, "the controller reported data.nvme_status"},
	{"ShuttingDown", RPC_SHUTTING_DOWN, "the daemon is about to end"},
};

static const char *const type_names[] = {
	[RPC_STRING] = "string", [RPC_INTEGER] = "integer", [RPC_BOOLEAN] = "boolean",
	[RPC_OBJECT] = "object", [RPC_ARRAY] = "array",
};

static const char *const right_names[] = {
	[RPC_RIGHT_NONE] = "none",
	[RPC_RIGHT_USER] = "user",
	[RPC_RIGHT_ADMIN] = "admin",
};

/* The names that JSON Schema has for the limits of a type. */
static const struct {
	const char *min;
	const char *max;
} range_names[] = {
	[RPC_STRING] = {"minLength", "maxLength"},
	[RPC_INTEGER] = {"minimum", "maximum"},
	[RPC_BOOLEAN] = {NULL, NULL},
	[RPC_OBJECT] = {NULL, NULL},
	[RPC_ARRAY] = {"minItems", "maxItems"},
};

static json_t *schema_of(const struct rpc_param *param)
{
	json_t *schema = json_pack("{s:s}", "type", type_names[param->type]);

	if ((param->min == 0 && param->max == 0) || !range_names[param->type].min)
		return schema;
	json_object_set_new(schema, range_names[param->type].min, json_integer(param->min));
	json_object_set_new(schema, range_names[param->type].max, json_integer(param->max));
	return schema;
}

static json_t *params_of(const struct rpc_param *param)
{
	json_t *list = json_array();

	for (; param && param->name; param++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:o}", "name", param->name,
						      "description", param->help ? param->help : "",
						      "required", param->required, "schema",
						      schema_of(param)));
	return list;
}

static json_t *error_refs(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		json_array_append_new(
			list, json_pack("{s:s+}", "$ref", "#/components/errors/", errors[i].name));
	return list;
}

static json_t *error_components(void)
{
	json_t *object = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		json_object_set_new(object, errors[i].name,
				    json_pack("{s:i, s:s}", "code", errors[i].code, "message",
					      errors[i].message));
	return object;
}

static json_t *method_of(const struct rpc_method *method)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:s, s:{}}, s:o, s:s}", "name", method->name,
			 "description", method->help ? method->help : "", "paramStructure",
			 "by-name", "params", params_of(method->params), "result", "name", "result",
			 "description", method->result ? method->result : "", "schema", "errors",
			 error_refs(), "x-right", right_names[method->right]);
}

json_t *rpc_openrpc(const struct rpc_method *methods, const char *version)
{
	json_t *list = json_array();

	for (; methods->name; methods++)
		json_array_append_new(list, method_of(methods));
	return json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:{s:o}}", "openrpc", "1.2.6", "info",
			 "title", "nvmuxd", "version", version, "description",
			 "Parameters are passed by name. Descriptors travel beside an answer "
			 "(SCM_RIGHTS); its member fds says how many.",
			 "methods", list, "components", "errors", error_components());
}
