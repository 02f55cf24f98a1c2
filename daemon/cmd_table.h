/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Methods that send one command: tables of how their parameters become command dwords, and what the
 * command's data is. Everything that is built so is checked as commands from a ring are; nothing
 * here has to be right for the safety of others.
 */
#ifndef NVMUXD_CMD_TABLE_H
#define NVMUXD_CMD_TABLE_H

#include "daemon/daemon.h"

enum field_kind {
	FIELD_END,
	FIELD_VALUE,   /* an integer */
	FIELD_COUNT,   /* an integer, 0's based in the command */
	FIELD_DWORDS,  /* bytes, dwords in the command */
	FIELD_NUMD,    /* bytes, dwords and 0's based in the command */
	FIELD_FLAG,    /* a boolean */
	FIELD_WORD,    /* one of @words */
	FIELD_PRESENT, /* 1 when it is given */
};

struct cmd_word {
	const char *word; /* NULL ends a table */
	uint32_t value;
};

/* Where a parameter goes: bits @shift … @shift + @bits - 1 of command dword @dword get the
 * parameter's bits from @drop on. A parameter of two dwords has two fields. */
struct cmd_field {
	uint8_t kind; /* enum field_kind */
	const char *param;
	uint8_t dword; /* 1: NSID; 2, 3, 10 … 15 */
	uint8_t shift;
	uint8_t bits;
	uint8_t drop;
	uint32_t def; /* when it isn't given */
	const struct cmd_word *words;
};

#define FIELD_64(name, dw)                                                                    \
	{.kind = FIELD_VALUE, .param = name, .dword = dw, .bits = 32},                        \
	{                                                                                     \
		.kind = FIELD_VALUE, .param = name, .dword = (dw) + 1, .bits = 32, .drop = 32 \
	}
#define FIELD_OF(k, name, dw, at, n)                                          \
	{                                                                     \
		.kind = k, .param = name, .dword = dw, .shift = at, .bits = n \
	}
#define FIELD_DEF(name, dw, at, n, value)                                                \
	{                                                                                \
		.kind = FIELD_VALUE, .param = name, .dword = dw, .shift = at, .bits = n, \
		.def = value                                                             \
	}
#define FIELD_NAMED(name, dw, at, n, table)                                             \
	{                                                                               \
		.kind = FIELD_WORD, .param = name, .dword = dw, .shift = at, .bits = n, \
		.words = table                                                          \
	}

enum cmd_data {
	DATA_NONE,
	DATA_BLOCKS, /* as many bytes as lba_count blocks have; perhaps separate metadata */
	DATA_LENGTH, /* "length" bytes; none where it isn't given */
	DATA_STAGED, /* made by the daemon from parameters */
};

#define STAGE_MAX 4096u /* bytes; a page of the staging memory */

struct cmd_rule {
	const char *method; /* NULL ends a table */
	uint8_t opc;
	bool io;
	uint8_t data;   /* enum cmd_data */
	bool pi;        /* it has the parameters of protection information */
	uint32_t fixed; /* or'ed into @fixed_dword */
	uint8_t fixed_dword;
	const struct cmd_field *fields[3];
	/* DATA_STAGED: fill @buf, which is zeroed, and return the length; the rest of the command
	 * may be completed. On failure the request has been answered, and it is negative. */
	int (*stage)(struct rpc_request *req, const json_t *params, const struct controller *c,
		     struct nvmux_ring_cmd *cmd, uint8_t *buf);
};

extern const struct cmd_rule nvm_rules[], zns_rules[], resv_rules[], admin_rules[];

/* The handler of all of them. */
void cmd_method(struct rpc_request *req, const json_t *params);

/* ---- for handlers of their own ---- */

/* The session's hold on params.controller; else the request is answered. The second for I/O. */
struct hold *cmd_hold(struct rpc_request *req, const json_t *params);
struct hold *cmd_io_hold(struct rpc_request *req, const json_t *params);
const struct ns_view *cmd_ns(struct rpc_request *req, const struct hold *hold, uint32_t nsid);
/* Build what @rule says but for the data. False: the request is answered. */
bool cmd_dwords(struct rpc_request *req, const json_t *params, const struct cmd_rule *rule,
		struct nvmux_ring_cmd *cmd);
/* Take region and offset, or pieces, of @length bytes. False: the request is answered. */
bool cmd_put_data(struct rpc_request *req, const json_t *params, uint64_t length,
		  struct user_request *request);
/* Bytes of data of @count blocks as the command moves them, and of separate metadata. */
uint64_t cmd_block_bytes(const struct ns_view *ns, const struct nvmux_ring_cmd *cmd,
			 uint64_t count);
/* A number in an object of parameter @param; *ret is kept when it is absent and not required.
 * False: the request is answered. */
bool cmd_member(struct rpc_request *req, const json_t *object, const char *param, const char *name,
		bool required, uint64_t max, uint64_t *ret);
/* Objects of parameter @param have no other members than these. False: answered. */
bool cmd_members_known(struct rpc_request *req, const json_t *object, const char *param,
		       const char *const *names);

/* ---- parameters ---- */

#define CMD_CONTROLLER                                                \
	{                                                             \
		"controller", RPC_STRING, true, 1, CONF_NAME_MAX - 1, \
			"a controller that is open in the session"    \
	}
#define CMD_NSID                                                         \
	{                                                                \
		"nsid", RPC_INTEGER, true, 1, UINT32_MAX, "namespace id" \
	}
#define CMD_OFFSET_MAX ((1ll << NVMUX_RING_OFFSET_BITS) - 1)
#define CMD_REGION(required)                                                               \
	{"region", RPC_INTEGER, required, 0, 65535, "number of the region with the data"}, \
	{                                                                                  \
		"offset", RPC_INTEGER, false, 0, CMD_OFFSET_MAX,                           \
			"bytes from the region's start; a multiple of 4; default 0"        \
	}
#define CMD_PIECES                                                                                 \
	{                                                                                          \
		"pieces", RPC_ARRAY, false, 1, NVMUX_RING_LIST_PER_CMD,                            \
			"the data in pieces, in place of region and offset: objects with region, " \
			"offset (default 0) and length"                                            \
	}
#define CMD_MD                                                                         \
	{"md_region", RPC_INTEGER, false,                                              \
	 0,           65535,       "number of the region with the separate metadata"}, \
	{                                                                              \
		"md_offset", RPC_INTEGER, false, 0, CMD_OFFSET_MAX,                    \
			"bytes from that region's start; a multiple of 4; default 0"   \
	}
#define CMD_LENGTH(required)                                        \
	{                                                           \
		"length", RPC_INTEGER, required, 4, UINT32_MAX - 3, \
			"bytes of data; a multiple of 4"            \
	}
#define CMD_BLOCKS(lba)                                                              \
	{lba, RPC_INTEGER, true, 0, INT64_MAX, "first logical block"},               \
	{                                                                            \
		"lba_count", RPC_INTEGER, true, 1, 65536, "number of logical blocks" \
	}
#define CMD_FUA                                                                \
	{"fua", RPC_BOOLEAN, false, 0, 0, "force unit access; default false"}, \
	{                                                                      \
		"limited_retry", RPC_BOOLEAN, false, 0, 0,                     \
			"the controller is to try less hard; default false"    \
	}
#define CMD_PI                                                                                \
	{"pract", RPC_BOOLEAN,                                                                \
	 false,   0,                                                                          \
	 0,       "the controller inserts and strips protection information; default false"}, \
		{"prchk_guard",                                                               \
		 RPC_BOOLEAN,                                                                 \
		 false,                                                                       \
		 0,                                                                           \
		 0,                                                                           \
		 "the controller checks the guard; default false"},                           \
		{"prchk_apptag",                                                              \
		 RPC_BOOLEAN,                                                                 \
		 false,                                                                       \
		 0,                                                                           \
		 0,                                                                           \
		 "the controller checks the application tag; default false"},                 \
		{"prchk_reftag",                                                              \
		 RPC_BOOLEAN,                                                                 \
		 false,                                                                       \
		 0,                                                                           \
		 0,                                                                           \
		 "the controller checks the reference tag; default false"},                   \
		{"apptag", RPC_INTEGER, false, 0, 65535, "application tag; default 0"},       \
		{"apptag_mask", RPC_INTEGER,                                                  \
		 false,         0,                                                            \
		 65535,         "bits of the application tag that count; default 0"},         \
	{                                                                                     \
		"reftag", RPC_INTEGER, false, 0, UINT32_MAX,                                  \
			"initial reference tag; default: low 32 bits of the first block's "   \
			"number where protection information is used"                         \
	}
#define CMD_END                            \
	{                                  \
		NULL, 0, false, 0, 0, NULL \
	}

#define CMD_RESULT "{dw0, dw1} of the completion"

/* Of CMD_NSID, where that is all of a rule. */
extern const struct cmd_field cmd_nsid_fields[];
/* Fields of CMD_FUA and CMD_PI. NVM command set 1.0, section 3.2. */
extern const struct cmd_field cmd_fua_pi_fields[];

#endif
