// SPDX-License-Identifier: BSD-3-Clause
/*
 * The search: breadth first, so that the way to what is found is a shortest one. States are kept
 * whole. Instructions that nobody else sees run together with the one before them.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/sleep_model.h"

#define INSTRS     64         /* of a program */
#define STATES_MAX (1u << 22) /* room for */
#define STATES_1ST (1u << 12)
#define NOBODY     UINT32_MAX

/* A store is variable << 4 | value. */
struct buffer {
	uint8_t n;
	uint8_t stores[MODEL_BUFFER];
};

/* All bytes, and zeroed: compared as memory. */
struct state {
	uint8_t memory[MODEL_VARIABLES];
	uint8_t bytes[MODEL_SOCKETS];
	uint8_t at[MODEL_PROCESSES];
	uint8_t regs[MODEL_PROCESSES][MODEL_REGISTERS];
	struct buffer buffers[MODEL_PROCESSES];
};

/* How a state was reached first. */
struct step {
	uint32_t from;
	uint8_t process;
	bool drained; /* a store became visible */
};

struct search {
	const struct model *model;
	struct model_instr programs[MODEL_PROCESSES][INSTRS];
	uint8_t labels[MODEL_PROCESSES][MODEL_LABELS];
	struct state *states;
	struct step *steps;
	uint32_t n, room;
	uint32_t *table; /* of indices + 1; twice the room */
	uint32_t first_lost;
	struct model_result result;
};

/* ---- programs ---- */

static void load_program(struct search *s, uint32_t p)
{
	uint32_t n = 0;

	do {
		assert_true(n < INSTRS);
		s->programs[p][n] = s->model->programs[p][n];
	} while (s->programs[p][n++].op != OP_END);
}

static void change_program(struct model_instr *program, enum model_change change, uint32_t i)
{
	struct model_instr moved = program[i];

	if (change == CHANGE_DROP) {
		program[i].op = OP_LABEL; /* does nothing */
		program[i].label = 0;
	} else if (change == CHANGE_FENCE) {
		assert_int_equal(moved.op, OP_BARRIER);
		program[i].op = OP_FENCE;
	} else if (change == CHANGE_SWAP) {
		uint32_t next = i + 1;

		while (!program[next].name)
			assert_true(program[next++].op != OP_END);
		program[i] = program[next];
		program[next] = moved;
	}
}

static void load_programs(struct search *s, enum model_change change, const char *name)
{
	uint32_t found = 0;

	for (uint32_t p = 0; p < s->model->n_processes; p++) {
		load_program(s, p);
		for (uint32_t i = 0; change && s->programs[p][i].op != OP_END; i++) {
			const char *mine = s->programs[p][i].name;

			if (found || !mine || strcmp(mine, name))
				continue;
			change_program(s->programs[p], change, i);
			found++;
		}
		for (uint32_t i = 0; i < INSTRS; i++) {
			if (s->programs[p][i].op == OP_LABEL)
				s->labels[p][s->programs[p][i].label] = (uint8_t)i;
		}
	}
	assert_int_equal(found, change != CHANGE_NONE);
}

/* ---- store buffers ---- */

static void store(struct state *st, uint32_t p, uint8_t variable, uint8_t value)
{
	struct buffer *b = &st->buffers[p];

	assert_true(b->n < MODEL_BUFFER && value < 16);
	b->stores[b->n++] = (uint8_t)(variable << 4 | value);
}

/* The oldest store becomes visible. */
static void drain_one(struct state *st, uint32_t p)
{
	struct buffer *b = &st->buffers[p];

	st->memory[b->stores[0] >> 4] = b->stores[0] & 15;
	b->n--;
	memmove(&b->stores[0], &b->stores[1], b->n);
	b->stores[b->n] = 0;
}

static void drain_all(struct state *st, uint32_t p)
{
	while (st->buffers[p].n)
		drain_one(st, p);
}

static uint8_t load(const struct state *st, uint32_t p, uint8_t variable)
{
	const struct buffer *b = &st->buffers[p];

	for (int i = b->n - 1; i >= 0; i--)
		if (b->stores[i] >> 4 == variable)
			return b->stores[i] & 15;
	return st->memory[variable];
}

static void barrier(const struct search *s, struct state *st, uint32_t p)
{
	for (uint32_t i = 0; i < s->model->n_processes; i++)
		if (i == p || !(s->model->unregistered >> i & 1))
			drain_all(st, i);
}

/* ---- steps ---- */

static void jump(const struct search *s, struct state *st, uint32_t p, uint8_t label)
{
	st->at[p] = s->labels[p][label];
}

/* What nobody else sees. */
static void run_local(const struct search *s, struct state *st, uint32_t p)
{
	for (;;) {
		const struct model_instr *i = &s->programs[p][st->at[p]];

		if (i->op == OP_GOTO || (i->op == OP_IF && st->regs[p][i->a] == i->b)) {
			jump(s, st, p, i->label);
			continue;
		}
		if (i->op == OP_SET)
			st->regs[p][i->a] = i->b;
		else if (i->op != OP_LABEL && i->op != OP_IF)
			return;
		st->at[p]++;
	}
}

static bool wait_for_byte(struct state *st, uint8_t mask)
{
	for (uint32_t i = 0; i < MODEL_SOCKETS; i++)
		if (mask >> i & 1 && st->bytes[i])
			return true;
	return false;
}

/* One instruction, @choice: the way to go of two. False: it can't go on. */
static bool step(const struct search *s, struct state *st, uint32_t p, bool choice)
{
	const struct model_instr *i = &s->programs[p][st->at[p]];
	uint8_t *reg = &st->regs[p][i->b % MODEL_REGISTERS];
	bool jumps = false;

	switch (i->op) {
	case OP_MAYBE: jumps = choice; break;
	case OP_STORE: store(st, p, i->a, i->b); break;
	case OP_PUBLISH: store(st, p, i->a, ++*reg); break;
	case OP_TAKE:
		jumps = load(st, p, i->a) <= *reg;
		*reg = (uint8_t)(*reg + !jumps);
		break;
	case OP_READY: jumps = load(st, p, i->a) > *reg; break;
	case OP_ZERO: jumps = load(st, p, i->a) == 0; break;
	case OP_AWAIT:
		if (load(st, p, i->a) <= *reg)
			return false;
		++*reg;
		break;
	case OP_FENCE: drain_all(st, p); break;
	case OP_BARRIER: barrier(s, st, p); break;
	case OP_SEND:
		drain_all(st, p);
		st->bytes[i->a] = 1;
		break;
	case OP_DRAIN:
		jumps = i->label && !st->bytes[i->a];
		st->bytes[i->a] = 0;
		break;
	case OP_WAIT:
		if (!wait_for_byte(st, i->a))
			return false;
		drain_all(st, p);
		break;
	default: return false; /* the end */
	}
	if (jumps)
		jump(s, st, p, i->label);
	else
		st->at[p]++;
	run_local(s, st, p);
	return true;
}

/* ---- the search ---- */

static void grow(struct search *s)
{
	s->room = s->room ? 2 * s->room : STATES_1ST;
	assert_true(s->room <= STATES_MAX);
	s->states = realloc(s->states, s->room * sizeof(*s->states));
	s->steps = realloc(s->steps, s->room * sizeof(*s->steps));
	free(s->table);
	s->table = calloc(2 * (size_t)s->room, sizeof(*s->table));
	assert_true(s->states && s->steps && s->table);
}

static uint32_t *find(const struct search *s, const struct state *st)
{
	const uint8_t *bytes = (const uint8_t *)st;
	uint32_t hash = 2166136261u, mask = 2 * s->room - 1;

	for (size_t i = 0; i < sizeof(*st); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	for (hash ^= hash >> 15;; hash++) {
		uint32_t *place = &s->table[hash & mask];

		if (!*place || !memcmp(&s->states[*place - 1], st, sizeof(*st)))
			return place;
	}
}

static void add(struct search *s, const struct state *st, struct step how)
{
	uint32_t *place;

	if (s->n == s->room) {
		grow(s);
		for (uint32_t i = 0; i < s->n; i++)
			*find(s, &s->states[i]) = i + 1;
	}
	place = find(s, st);
	if (*place)
		return;
	s->states[s->n] = *st;
	s->steps[s->n] = how;
	*place = ++s->n;
}

/* Nothing moves any more. */
static void judge(struct search *s, uint32_t index)
{
	const struct state *st = &s->states[index];
	uint32_t missed = 0;

	for (uint32_t i = 0; i < s->model->n_goals; i++) {
		const struct model_goal *goal = &s->model->goals[i];

		if (st->regs[goal->process][goal->reg] != goal->value)
			missed |= 1u << i;
	}
	if (!missed) {
		s->result.ends++;
		return;
	}
	if (!s->result.lost++)
		s->first_lost = index;
	s->result.missed |= missed;
}

static void expand(struct search *s, uint32_t index)
{
	bool moved = false;

	for (uint32_t p = 0; p < s->model->n_processes; p++) {
		struct step how = {.from = index, .process = (uint8_t)p, .drained = true};
		struct state next = s->states[index];

		if (next.buffers[p].n) {
			drain_one(&next, p);
			add(s, &next, how);
			moved = true;
		}
		how.drained = false;
		for (int choice = 0; choice < 2; choice++) {
			next = s->states[index];
			if (choice && s->programs[p][next.at[p]].op != OP_MAYBE)
				break;
			if (!step(s, &next, p, choice))
				break;
			add(s, &next, how);
			moved = true;
		}
	}
	if (!moved)
		judge(s, index);
}

static void search(struct search *s, const struct model *model, enum model_change change,
		   const char *name)
{
	struct state start;

	*s = (struct search){.model = model, .first_lost = NOBODY};
	load_programs(s, change, name);
	grow(s);
	memset(&start, 0, sizeof(start));
	for (uint32_t p = 0; p < model->n_processes; p++)
		run_local(s, &start, p);
	add(s, &start, (struct step){.from = NOBODY});
	for (uint32_t i = 0; i < s->n && !(change && s->result.lost); i++)
		expand(s, i);
	s->result.states = s->n;
}

static void search_end(struct search *s)
{
	free(s->states);
	free(s->steps);
	free(s->table);
}

struct model_result model_explore(const struct model *model, enum model_change change,
				  const char *instr)
{
	struct model_result result;
	struct search s;

	search(&s, model, change, instr);
	result = s.result;
	search_end(&s);
	return result;
}

static void print_way(const struct search *s, uint32_t index)
{
	static const char *const ops[] = {"label",   "goto", "set",   "if",   "maybe", "store",
					  "publish", "take", "ready", "zero", "await", "fence",
					  "barrier", "send", "drain", "wait", "end"};
	const struct step *how = &s->steps[index];
	const struct model_instr *i;

	if (how->from == NOBODY)
		return;
	print_way(s, how->from);
	i = &s->programs[how->process][s->states[how->from].at[how->process]];
	if (how->drained)
		print_message("# %s: its oldest store becomes visible\n",
			      s->model->names[how->process]);
	else
		print_message("# %s: %s %u %u %s\n", s->model->names[how->process], ops[i->op],
			      i->a, i->b, i->name ? i->name : "");
}

void model_print_loss(const struct model *model)
{
	struct search s;

	search(&s, model, CHANGE_NONE, NULL);
	if (s.first_lost != NOBODY)
		print_way(&s, s.first_lost);
	search_end(&s);
}
