// SPDX-License-Identifier: BSD-3-Clause
/*
 * The protocol of sleeping and waking (see <nvmux/ring.h>), explored exhaustively in a model with
 * store buffers: each processor's stores become visible in order, but at any later time.
 *
 * A test with threads hardly ever hits the window, and a model in which stores are visible at once
 * hasn't got it. The model without the barrier must lose a wake-up, or it proves nothing; so must
 * the one with a fence on the sleeper's side only.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COMMANDS 3
#define BUFFER   12 /* stores that a processor holds back; the programs never have more */
#define STATES   (1u << 20)

enum barrier {
	BARRIER_NONE,
	BARRIER_OWN, /* a fence: the sleeper's own stores only */
	BARRIER_ALL, /* membarrier(): those of both */
};

enum variable {
	PUBLISHED, /* commands in the ring */
	SLEEPING,  /* the flag */
	VARIABLES,
};

enum writer_pc {
	W_PUBLISH,
	W_LOOK,
	W_CLEAR,
	W_SEND,
	W_END,
};

enum sleeper_pc {
	S_CONSUME,
	S_DRAIN,
	S_SET,
	S_BARRIER,
	S_LOOK_AGAIN,
	S_CLEAR,
	S_ASLEEP,
	S_END,
};

struct buffer {
	uint8_t n;
	uint8_t variable[BUFFER];
	uint8_t value[BUFFER];
};

/* All bytes, and zeroed: compared as memory. */
struct model {
	uint8_t memory[VARIABLES];
	uint8_t byte; /* in the socket */
	uint8_t writer, published;
	uint8_t sleeper, consumed;
	struct buffer buffers[2]; /* the writer's, the sleeper's */
};

struct search {
	enum barrier barrier;
	struct model *seen;
	uint8_t *used;
	uint32_t n_seen;
	uint32_t lost; /* states in which the sleeper sleeps for ever */
	uint32_t ends; /* states in which everything was consumed */
};

static void store(struct buffer *b, uint8_t variable, uint8_t value)
{
	assert_true(b->n < BUFFER);
	b->variable[b->n] = variable;
	b->value[b->n] = value;
	b->n++;
}

/* The oldest store becomes visible. */
static void drain_one(struct model *m, struct buffer *b)
{
	m->memory[b->variable[0]] = b->value[0];
	b->n--;
	memmove(&b->variable[0], &b->variable[1], b->n);
	memmove(&b->value[0], &b->value[1], b->n);
	b->variable[b->n] = 0;
	b->value[b->n] = 0;
}

static void drain_all(struct model *m, struct buffer *b)
{
	while (b->n)
		drain_one(m, b);
}

/* A processor sees its own stores at once. */
static uint8_t load(const struct model *m, const struct buffer *b, uint8_t variable)
{
	for (int i = b->n - 1; i >= 0; i--)
		if (b->variable[i] == variable)
			return b->value[i];
	return m->memory[variable];
}

static bool step_writer(struct model *m)
{
	struct buffer *b = &m->buffers[0];

	switch (m->writer) {
	case W_PUBLISH:
		store(b, PUBLISHED, ++m->published);
		m->writer = W_LOOK;
		return true;
	case W_LOOK:
		if (load(m, b, SLEEPING))
			m->writer = W_CLEAR;
		else
			m->writer = m->published == COMMANDS ? W_END : W_PUBLISH;
		return true;
	case W_CLEAR:
		store(b, SLEEPING, 0);
		m->writer = W_SEND;
		return true;
	case W_SEND:
		drain_all(m, b); /* sending takes locks */
		m->byte = 1;
		m->writer = m->published == COMMANDS ? W_END : W_PUBLISH;
		return true;
	default: return false;
	}
}

static bool step_sleeper(struct model *m, enum barrier barrier)
{
	struct buffer *b = &m->buffers[1];

	switch (m->sleeper) {
	case S_CONSUME:
		if (load(m, b, PUBLISHED) > m->consumed)
			m->consumed++;
		else
			m->sleeper = S_DRAIN;
		if (m->consumed == COMMANDS)
			m->sleeper = S_END;
		return true;
	case S_DRAIN:
		m->byte = 0;
		m->sleeper = S_SET;
		return true;
	case S_SET:
		store(b, SLEEPING, 1);
		m->sleeper = S_BARRIER;
		return true;
	case S_BARRIER:
		if (barrier != BARRIER_NONE)
			drain_all(m, b);
		if (barrier == BARRIER_ALL)
			drain_all(m, &m->buffers[0]);
		m->sleeper = S_LOOK_AGAIN;
		return true;
	case S_LOOK_AGAIN:
		m->sleeper = load(m, b, PUBLISHED) > m->consumed ? S_CLEAR : S_ASLEEP;
		return true;
	case S_CLEAR:
		store(b, SLEEPING, 0);
		m->sleeper = S_CONSUME;
		return true;
	case S_ASLEEP:
		if (!m->byte)
			return false;
		drain_all(m, b);
		m->sleeper = S_CONSUME;
		return true;
	default: return false;
	}
}

/* True: not seen before. */
static bool remember(struct search *s, const struct model *m)
{
	const uint8_t *bytes = (const uint8_t *)m;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < sizeof(*m); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	for (hash %= STATES; s->used[hash]; hash = (hash + 1) % STATES)
		if (!memcmp(&s->seen[hash], m, sizeof(*m)))
			return false;
	s->used[hash] = 1;
	s->seen[hash] = *m;
	assert_true(++s->n_seen < STATES / 2);
	return true;
}

static void explore(struct search *s, const struct model *m)
{
	struct model next;
	bool moved = false;

	if (!remember(s, m))
		return;
	for (int i = 0; i < 2; i++) {
		next = *m;
		if (next.buffers[i].n) {
			drain_one(&next, &next.buffers[i]);
			explore(s, &next);
			moved = true;
		}
	}
	next = *m;
	if (step_writer(&next)) {
		explore(s, &next);
		moved = true;
	}
	next = *m;
	if (step_sleeper(&next, s->barrier)) {
		explore(s, &next);
		moved = true;
	}
	if (moved)
		return;
	if (m->consumed == COMMANDS)
		s->ends++;
	else
		s->lost++;
}

static struct search search(enum barrier barrier)
{
	struct search s = {.barrier = barrier};
	struct model start;

	memset(&start, 0, sizeof(start));
	s.seen = calloc(STATES, sizeof(*s.seen));
	s.used = calloc(STATES, 1);
	assert_true(s.seen && s.used);
	explore(&s, &start);
	free(s.seen);
	free(s.used);
	print_message("# %u states, %u ends, %u lost\n", s.n_seen, s.ends, s.lost);
	return s;
}

static void test_membarrier_is_enough(void **state)
{
	struct search s = search(BARRIER_ALL);

	assert_int_equal(s.lost, 0);
	assert_true(s.ends > 0 && s.n_seen > 100);
}

static void test_nothing_less_is(void **state)
{
	assert_true(search(BARRIER_NONE).lost > 0);
	assert_true(search(BARRIER_OWN).lost > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_membarrier_is_enough),
		cmocka_unit_test(test_nothing_less_is),
	};

	return cmocka_run_group_tests_name("ring_sleep_model", tests, NULL, NULL);
}
