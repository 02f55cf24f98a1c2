// SPDX-License-Identifier: BSD-3-Clause
/* Parameters against their table. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "libcore/util.h"
#include "rpc/codec.h"
#include "rpc/schema.h"

#define VALUE_SHOWN 48 /* bytes of a wrong value that an error text repeats */

static const char *type_name(enum rpc_type type)
{
	switch (type) {
	case RPC_STRING: return "a string";
	case RPC_INTEGER: return "an integer";
	case RPC_BOOLEAN: return "true or false";
	case RPC_OBJECT: return "an object";
	case RPC_ARRAY: return "an array";
	}
	return "";
}

static bool type_fits(enum rpc_type type, const json_t *value)
{
	switch (type) {
	case RPC_STRING: return json_is_string(value);
	case RPC_INTEGER: return json_is_integer(value);
	case RPC_BOOLEAN: return json_is_boolean(value);
	case RPC_OBJECT: return json_is_object(value);
	case RPC_ARRAY: return json_is_array(value);
	}
	return false;
}

static bool is_limited(const struct rpc_param *param)
{
	return param->min != 0 || param->max != 0;
}

/* The value as JSON, cut to what an error text can show. */
static void show_value(const json_t *value, char *buf, size_t size)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);

	snprintf(buf, size, "%.*s%s", VALUE_SHOWN, text ? text : "?",
		 text && strlen(text) > VALUE_SHOWN ? "…" : "");
	free(text);
}

static size_t table_size(const struct rpc_param *table)
{
	size_t n = 0;

	while (table && table[n].name)
		n++;
	return n;
}

static const struct rpc_param *table_find(const struct rpc_param *table, const char *name)
{
	for (; table && table->name; table++) {
		if (!strcmp(table->name, name))
			return table;
	}
	return NULL;
}

static void list_names(const struct rpc_param *table, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (const struct rpc_param *param = table; param->name && used < size; param++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s",
					 param == table ? "" : ", ", param->name);
}

static int unknown_param(const struct rpc_param *table, const char *name, char *why,
			 size_t why_size)
{
	size_t n = table_size(table);
	const char *meant = rpc_suggest(name, table, sizeof(*table), n);
	char names[256];

	if (meant) {
		snprintf(why, why_size, "unknown parameter '%.64s': did you mean '%s'?", name,
			 meant);
	} else if (n == 0) {
		snprintf(why, why_size, "unknown parameter '%.64s': the method has no parameters",
			 name);
	} else {
		list_names(table, names, sizeof(names));
		snprintf(why, why_size, "unknown parameter '%.64s': the method knows %s", name,
			 names);
	}
	return RPC_INVALID_PARAMS;
}

static int check_range(const struct rpc_param *param, const json_t *value, char *why,
		       size_t why_size)
{
	const char *of = "";
	int64_t size;

	if (!is_limited(param))
		return 0;
	switch (param->type) {
	case RPC_INTEGER: size = json_integer_value(value); break;
	case RPC_STRING:
		size = (int64_t)json_string_length(value);
		of = " bytes long";
		break;
	case RPC_ARRAY:
		size = (int64_t)json_array_size(value);
		of = " entries long";
		break;
	default: return 0;
	}
	if (size >= param->min && size <= param->max)
		return 0;
	snprintf(why, why_size,
		 "parameter '%s' is %" PRId64 "%s: must be from %" PRId64 " to %" PRId64,
		 param->name, size, of, param->min, param->max);
	return RPC_INVALID_PARAMS;
}

static int check_value(const struct rpc_param *param, const json_t *value, char *why,
		       size_t why_size)
{
	char shown[VALUE_SHOWN + 8];

	if (type_fits(param->type, value))
		return check_range(param, value, why, why_size);
	show_value(value, shown, sizeof(shown));
	snprintf(why, why_size, "parameter '%s' is %s: must be %s", param->name, shown,
		 type_name(param->type));
	return RPC_INVALID_PARAMS;
}

int rpc_params_check(const struct rpc_param *table, const json_t *params, char *why,
		     size_t why_size)
{
	const struct rpc_param *param;
	const char *name;
	json_t *value;
	int rc;

	if (params && !json_is_object(params)) {
		snprintf(why, why_size, "parameters are passed by name, in an object");
		return RPC_INVALID_PARAMS;
	}
	/* jansson's iteration takes a pointer that isn't const, and changes nothing */
	json_object_foreach((json_t *)params, name, value)
	{
		param = table_find(table, name);
		rc = param ? check_value(param, value, why, why_size)
			   : unknown_param(table, name, why, why_size);
		if (rc)
			return rc;
	}
	for (param = table; param && param->name; param++) {
		if (param->required && !json_object_get(params, param->name)) {
			snprintf(why, why_size, "parameter '%s' is missing (%s: %s)", param->name,
				 type_name(param->type), param->help ? param->help : "");
			return RPC_INVALID_PARAMS;
		}
	}
	return 0;
}

const char *rpc_get_string(const json_t *params, const char *name, const char *def)
{
	const char *value = json_string_value(json_object_get(params, name));

	return value ? value : def;
}

int64_t rpc_get_integer(const json_t *params, const char *name, int64_t def)
{
	const json_t *value = json_object_get(params, name);

	return json_is_integer(value) ? json_integer_value(value) : def;
}

bool rpc_get_boolean(const json_t *params, const char *name, bool def)
{
	const json_t *value = json_object_get(params, name);

	return json_is_boolean(value) ? json_boolean_value(value) : def;
}
