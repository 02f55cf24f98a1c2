/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine with store buffers, explored exhaustively: for models of protocols between threads.
 *
 * Each process has a processor of its own, which holds its stores back in a buffer, first in, first
 * out; the oldest becomes visible to the others at any later time. A processor sees its own stores
 * at once. That is x86; loads that are delayed, as other processors have them, are not in the
 * model, and neither is a compiler. A program is a table of instructions, and so a test can leave
 * one out, or let two change places, and see that what the program is for goes wrong.
 */
#ifndef TEST_SLEEP_MODEL_H
#define TEST_SLEEP_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_PROCESSES 4
#define MODEL_VARIABLES 11
#define MODEL_REGISTERS 6
#define MODEL_SOCKETS   5
#define MODEL_BUFFER    10 /* stores held back; the programs never have more */
#define MODEL_LABELS    24

enum model_op {
	OP_LABEL,   /* .label is here */
	OP_GOTO,    /* .label */
	OP_SET,     /* register .a becomes .b */
	OP_IF,      /* register .a is .b: .label */
	OP_MAYBE,   /* .label or not: both are explored */
	OP_STORE,   /* variable .a becomes .b */
	OP_PUBLISH, /* register .b is counted up and stored in variable .a */
	OP_TAKE,    /* variable .a is larger than register .b: count that up; else .label */
	OP_READY,   /* variable .a is larger than register .b: .label */
	OP_ZERO,    /* variable .a is 0: .label */
	OP_AWAIT,   /* as OP_TAKE, but wait for it: a device */
	OP_FENCE,   /* own stores become visible */
	OP_BARRIER, /* membarrier(): those of all */
	OP_SEND,    /* a byte to socket .a: a system call, and so a fence */
	OP_DRAIN,   /* take the bytes out of socket .a; none there: .label, if there is one */
	OP_WAIT,    /* sleep until there is a byte in one of the sockets .a, a mask */
	OP_END,
};

struct model_instr {
	enum model_op op;
	uint8_t a, b, label;
	const char *name; /* of one that tests change */
};

#define LABEL(l)                             \
	{                                    \
		.op = OP_LABEL, .label = (l) \
	}
#define GOTO(l)                             \
	{                                   \
		.op = OP_GOTO, .label = (l) \
	}
#define SET(reg, value)                                \
	{                                              \
		.op = OP_SET, .a = (reg), .b = (value) \
	}
#define IF(reg, value, l)                                           \
	{                                                           \
		.op = OP_IF, .a = (reg), .b = (value), .label = (l) \
	}
#define MAYBE(l)                             \
	{                                    \
		.op = OP_MAYBE, .label = (l) \
	}
#define STORE(var, value, n)                                          \
	{                                                             \
		.op = OP_STORE, .a = (var), .b = (value), .name = (n) \
	}
#define PUBLISH(var, reg)                                \
	{                                                \
		.op = OP_PUBLISH, .a = (var), .b = (reg) \
	}
#define TAKE(var, reg, l)                                           \
	{                                                           \
		.op = OP_TAKE, .a = (var), .b = (reg), .label = (l) \
	}
#define READY(var, reg, l, n)                                                     \
	{                                                                         \
		.op = OP_READY, .a = (var), .b = (reg), .label = (l), .name = (n) \
	}
#define ZERO(var, l)                                    \
	{                                               \
		.op = OP_ZERO, .a = (var), .label = (l) \
	}
#define AWAIT(var, reg)                                \
	{                                              \
		.op = OP_AWAIT, .a = (var), .b = (reg) \
	}
#define FENCE()                \
	{                      \
		.op = OP_FENCE \
	}
#define BARRIER(n)                            \
	{                                     \
		.op = OP_BARRIER, .name = (n) \
	}
#define SEND(socket, n)                                   \
	{                                                 \
		.op = OP_SEND, .a = (socket), .name = (n) \
	}
#define DRAIN(socket)                         \
	{                                     \
		.op = OP_DRAIN, .a = (socket) \
	}
#define DRAIN_OR(socket, l)                                 \
	{                                                   \
		.op = OP_DRAIN, .a = (socket), .label = (l) \
	}
#define WAIT(mask)                         \
	{                                  \
		.op = OP_WAIT, .a = (mask) \
	}
#define END()                \
	{                    \
		.op = OP_END \
	}

/* Something that must have arrived when nothing moves any more. */
struct model_goal {
	uint8_t process, reg, value;
};

struct model {
	const char *name;
	const struct model_instr *programs[MODEL_PROCESSES]; /* each ends with OP_END */
	const char *names[MODEL_PROCESSES];
	uint32_t n_processes;
	struct model_goal goals[MODEL_PROCESSES];
	uint32_t n_goals;
	uint32_t unregistered; /* a mask: processes that barriers of others don't reach */
};

enum model_change {
	CHANGE_NONE,
	CHANGE_DROP,  /* as if the instruction weren't there */
	CHANGE_FENCE, /* a fence of its own processor instead of a barrier */
	CHANGE_SWAP,  /* the instruction and the next with a name change places */
};

struct model_result {
	uint32_t states;
	uint32_t ends;   /* nothing moves any more, and every goal has been reached */
	uint32_t lost;   /* nothing moves any more before that: a lost wake-up */
	uint32_t missed; /* a mask of goals that weren't reached in one of these */
};

/* Explore every order of everything; of a changed one, until a wake-up is lost. @instr: the name of
 * the instruction to change, the first of that name. */
struct model_result model_explore(const struct model *model, enum model_change change,
				  const char *instr);
/* Explore it unchanged, and print the shortest way to a lost wake-up. */
void model_print_loss(const struct model *model);

#endif
