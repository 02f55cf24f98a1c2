// SPDX-License-Identifier: BSD-3-Clause
/* Methods that send one command: from parameters to the command. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "daemon/cmd_table.h"

#define CDW12_PRINFO (0xfu << 26) /* PRACT and PRCHK; NVM command set 1.0, section 3.2 */

const struct cmd_field cmd_nsid_fields[] = {
	FIELD_OF(FIELD_VALUE, "nsid", 1, 0, 32),
	{.kind = FIELD_END},
};

const struct cmd_field cmd_fua_pi_fields[] = {
	FIELD_OF(FIELD_FLAG, "fua", 12, 30, 1),
	FIELD_OF(FIELD_FLAG, "limited_retry", 12, 31, 1),
	FIELD_OF(FIELD_FLAG, "pract", 12, 29, 1),
	FIELD_OF(FIELD_FLAG, "prchk_guard", 12, 28, 1),
	FIELD_OF(FIELD_FLAG, "prchk_apptag", 12, 27, 1),
	FIELD_OF(FIELD_FLAG, "prchk_reftag", 12, 26, 1),
	FIELD_OF(FIELD_VALUE, "reftag", 14, 0, 32),
	FIELD_OF(FIELD_VALUE, "apptag", 15, 0, 16),
	FIELD_OF(FIELD_VALUE, "apptag_mask", 15, 16, 16),
	{.kind = FIELD_END},
};

/* ---- whom it is for ---- */

struct hold *cmd_hold(struct rpc_request *req, const json_t *params)
{
	struct session *s = session_of(req);
	struct hold *hold;

	if (!s)
		return NULL;
	hold = session_hold_for_request(s, req, rpc_get_string(params, "controller", ""));
	return hold && controller_defer(hold->controller, req) ? NULL : hold;
}

struct hold *cmd_io_hold(struct rpc_request *req, const json_t *params)
{
	struct hold *hold = cmd_hold(req, params);

	if (hold && nvmux_ctrlr_is_discovery(hold->controller->ctrlr)) {
		rpc_reply_errno(req, -EOPNOTSUPP,
				"controller '%s' is a discovery controller: it takes no I/O",
				hold->controller->name);
		return NULL;
	}
	return hold;
}

const struct ns_view *cmd_ns(struct rpc_request *req, const struct hold *hold, uint32_t nsid)
{
	const struct ctrlr_view *view = hold->controller->view;

	for (uint32_t i = 0; i < view->n_ns; i++) {
		if (view->ns[i].nsid == nsid)
			return &view->ns[i];
	}
	rpc_reply_errno(req, -ENOENT, "controller '%s' has no namespace %u", hold->controller->name,
			nsid);
	return NULL;
}

/* ---- fields ---- */

static __le32 *dword_of(struct nvmux_ring_cmd *cmd, unsigned dword)
{
	switch (dword) {
	case 1: return &cmd->nsid;
	case 2: return &cmd->cdw2;
	case 3: return &cmd->cdw3;
	case 10: return &cmd->cdw10;
	case 11: return &cmd->cdw11;
	case 12: return &cmd->cdw12;
	case 13: return &cmd->cdw13;
	case 14: return &cmd->cdw14;
	default: NVMUX_ASSERT(dword == 15); return &cmd->cdw15;
	}
}

static void set_bits(struct nvmux_ring_cmd *cmd, unsigned dword, uint32_t bits)
{
	__le32 *p = dword_of(cmd, dword);

	*p |= cpu_to_le32(bits);
}

static bool word_value(struct rpc_request *req, const struct cmd_field *field, const char *word,
		       uint64_t *ret)
{
	char list[256] = "";
	size_t used = 0;

	for (const struct cmd_word *w = field->words; w->word; w++) {
		if (strcmp(w->word, word) == 0) {
			*ret = w->value;
			return true;
		}
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
						 used ? ", " : "", w->word);
	}
	rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
			"parameter '%s' is '%.64s': must be one of %s", field->param, word, list);
	return false;
}

/* What the command has in place of the parameter. */
static bool field_value(struct rpc_request *req, const json_t *params,
			const struct cmd_field *field, uint64_t *ret)
{
	uint64_t value = (uint64_t)rpc_get_integer(params, field->param, field->def);

	switch (field->kind) {
	case FIELD_COUNT: *ret = value - 1; return true;
	case FIELD_FLAG: *ret = rpc_get_boolean(params, field->param, false); return true;
	case FIELD_PRESENT: *ret = json_object_get(params, field->param) != NULL; return true;
	case FIELD_WORD:
		if (json_object_get(params, field->param))
			return word_value(req, field, rpc_get_string(params, field->param, ""),
					  ret);
		*ret = field->def;
		return true;
	case FIELD_DWORDS:
	case FIELD_NUMD:
		if (value & 3) {
			rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
					"parameter '%s' is %" PRIu64 ": must be a multiple of 4",
					field->param, value);
			return false;
		}
		/* one that may be left out is 0 then */
		*ret = field->kind == FIELD_NUMD && value ? value / 4 - 1 : value / 4;
		return true;
	default: *ret = value; return true;
	}
}

bool cmd_dwords(struct rpc_request *req, const json_t *params, const struct cmd_rule *rule,
		struct nvmux_ring_cmd *cmd)
{
	cmd->opc = rule->opc;
	if (rule->fixed)
		set_bits(cmd, rule->fixed_dword, rule->fixed);
	for (unsigned i = 0; i < ARRAY_SIZE(rule->fields) && rule->fields[i]; i++) {
		for (const struct cmd_field *f = rule->fields[i]; f->kind != FIELD_END; f++) {
			uint64_t value, mask = f->bits < 32 ? (1ull << f->bits) - 1 : UINT32_MAX;

			if (!field_value(req, params, f, &value))
				return false;
			set_bits(cmd, f->dword, (uint32_t)((value >> f->drop & mask) << f->shift));
		}
	}
	if (rule->pi && le32_to_cpu(cmd->cdw12) & CDW12_PRINFO &&
	    !json_object_get(params, "reftag"))
		cmd->cdw14 = cmd->cdw10;
	return true;
}

/* ---- data ---- */

bool cmd_member(struct rpc_request *req, const json_t *object, const char *param, const char *name,
		bool required, uint64_t max, uint64_t *ret)
{
	const json_t *value = json_object_get(object, name);
	json_int_t number = json_integer_value(value);

	if (!value && !required)
		return true;
	if (!value)
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"an entry of parameter '%s' has no '%s'", param, name);
	else if (!json_is_integer(value) || number < 0 || (uint64_t)number > max)
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"'%s' of an entry of parameter '%s' must be an integer from 0 to "
				"%" PRIu64,
				name, param, max);
	else {
		*ret = (uint64_t)number;
		return true;
	}
	return false;
}

bool cmd_members_known(struct rpc_request *req, const json_t *object, const char *param,
		       const char *const *names)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object)) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"an entry of parameter '%s' isn't an object", param);
		return false;
	}
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		const char *const *name = names;

		while (*name && strcmp(*name, key) != 0)
			name++;
		if (*name)
			continue;
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"an entry of parameter '%s' has an unknown '%.64s'", param, key);
		return false;
	}
	return true;
}

/* The lengths must be what the command moves: the last piece may be longer in the check. */
static bool put_pieces(struct rpc_request *req, const json_t *pieces, struct user_request *request)
{
	static const char *const names[] = {"region", "offset", "length", NULL};
	const json_t *piece;
	size_t i;

	json_array_foreach(pieces, i, piece)
	{
		uint64_t region = 0, offset = 0, length = 0;

		if (!cmd_members_known(req, piece, "pieces", names) ||
		    !cmd_member(req, piece, "pieces", "region", true, 65535, &region) ||
		    !cmd_member(req, piece, "pieces", "offset", false, (uint64_t)CMD_OFFSET_MAX,
				&offset) ||
		    !cmd_member(req, piece, "pieces", "length", true, UINT32_MAX, &length))
			return false;
		request->list[i] = (struct nvmux_ring_seg){
			.region_offset = nvmux_ring_addr((uint16_t)region, offset),
			.length = (uint32_t)length,
		};
	}
	request->n_list = (uint32_t)json_array_size(pieces);
	request->copy.flags |= NVMUX_RING_F_LIST;
	request->copy.data_len = request->n_list;
	return true;
}

bool cmd_put_data(struct rpc_request *req, const json_t *params, uint64_t length,
		  struct user_request *request)
{
	const json_t *pieces = json_object_get(params, "pieces");
	const json_t *region = json_object_get(params, "region");

	if (pieces && region) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"parameters 'region' and 'pieces' say the same thing: give one");
		return false;
	}
	if (pieces)
		return put_pieces(req, pieces, request);
	if (!region && length) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"parameter 'region' is missing: it says where the data is");
		return false;
	}
	request->copy.data = nvmux_ring_addr((uint16_t)rpc_get_integer(params, "region", 0),
					     (uint64_t)rpc_get_integer(params, "offset", 0));
	/* more than fits goes on as it is, to be refused by the check */
	request->copy.data_len = (uint32_t)MIN(length, UINT32_MAX);
	return true;
}

uint64_t cmd_block_bytes(const struct ns_view *ns, const struct nvmux_ring_cmd *cmd, uint64_t count)
{
	uint64_t block = 1ull << ns->lba_shift;
	bool stripped = le32_to_cpu(cmd->cdw12) & 1u << 29 && ns->pi && ns->md_size == 8;

	if (ns->md_interleaved && !stripped)
		block += ns->md_size;
	return count * block;
}

static bool put_md(struct rpc_request *req, const json_t *params, const struct ns_view *ns,
		   uint64_t count, struct nvmux_ring_cmd *cmd)
{
	if (!json_object_get(params, "md_region"))
		return true;
	if (!ns->md_size || ns->md_interleaved) {
		rpc_reply_error(req, RPC_INVALID_PARAMS, NULL,
				"parameter 'md_region' is given, but namespace %u has no separate "
				"metadata",
				ns->nsid);
		return false;
	}
	cmd->md = nvmux_ring_addr((uint16_t)rpc_get_integer(params, "md_region", 0),
				  (uint64_t)rpc_get_integer(params, "md_offset", 0));
	cmd->md_len = (uint32_t)(count * ns->md_size);
	return true;
}

static bool put_blocks(struct rpc_request *req, const json_t *params, const struct hold *hold,
		       struct user_request *request)
{
	uint64_t count = (uint64_t)rpc_get_integer(params, "lba_count", 0);
	const struct ns_view *ns = cmd_ns(req, hold, (uint32_t)rpc_get_integer(params, "nsid", 0));

	return ns &&
	       cmd_put_data(req, params, cmd_block_bytes(ns, &request->copy, count), request) &&
	       put_md(req, params, ns, count, &request->copy);
}

static bool put_payload(struct rpc_request *req, const json_t *params, const struct cmd_rule *rule,
			const struct hold *hold, uint8_t *buf, struct user_request *request)
{
	uint64_t length = (uint64_t)rpc_get_integer(params, "length", 0);
	int staged;

	switch (rule->data) {
	case DATA_BLOCKS: return put_blocks(req, params, hold, request);
	case DATA_LENGTH: return cmd_put_data(req, params, length, request);
	case DATA_STAGED:
		memset(buf, 0, STAGE_MAX);
		staged = rule->stage(req, params, hold->controller, &request->copy, buf);
		if (staged < 0)
			return false;
		request->staged = buf;
		request->staged_len = (uint32_t)staged;
		return true;
	default: return true;
	}
}

/* ---- the handler ---- */

static const struct cmd_rule *find_rule(const char *method)
{
	const struct cmd_rule *const tables[] = {nvm_rules, zns_rules, resv_rules, admin_rules};

	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct cmd_rule *rule = tables[i]; rule->method; rule++) {
			if (strcmp(rule->method, method) == 0)
				return rule;
		}
	}
	return NULL;
}

void cmd_method(struct rpc_request *req, const json_t *params)
{
	const struct cmd_rule *rule = find_rule(rpc_request_method(req));
	struct user_request request = {.io = rule && rule->io};
	uint8_t buf[STAGE_MAX];
	struct hold *hold;

	NVMUX_ASSERT(rule);
	hold = rule->io ? cmd_io_hold(req, params) : cmd_hold(req, params);
	if (hold && cmd_dwords(req, params, rule, &request.copy) &&
	    put_payload(req, params, rule, hold, buf, &request))
		user_cmd_send(hold, &request, req);
}
