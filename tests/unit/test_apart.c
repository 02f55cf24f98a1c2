// SPDX-License-Identifier: BSD-3-Clause
/*
 * What different threads write for each command doesn't share cache lines: neither that of two
 * channels or queue pairs, nor with whatever the control thread allocates in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "daemon/data.h"

#define OBJECTS 24u
#define PARTS   (OBJECTS * 16)

struct part {
	uintptr_t first, last; /* lines */
	uint32_t owner;
};

struct parts {
	struct part list[PARTS];
	uint32_t n;
};

static void add(struct parts *parts, const void *p, size_t size, uint32_t owner)
{
	assert_true(parts->n < PARTS);
	parts->list[parts->n++] = (struct part){.first = (uintptr_t)p / NVMUX_LINE,
						.last = ((uintptr_t)p + size - 1) / NVMUX_LINE,
						.owner = owner};
}

static void check(const struct parts *parts)
{
	for (uint32_t i = 0; i < parts->n; i++) {
		for (uint32_t j = i + 1; j < parts->n; j++) {
			const struct part *a = &parts->list[i], *b = &parts->list[j];

			if (a->owner != b->owner)
				assert_false(a->first <= b->last && b->first <= a->last);
		}
	}
}

/* Of the control thread, which goes on writing it. */
static void *others(struct parts *parts)
{
	void *p = malloc(24);

	assert_non_null(p);
	add(parts, p, 24, UINT32_MAX);
	return p;
}

static void test_channels(void **state)
{
	static struct parts parts;
	struct channel *channels[OBJECTS];
	void *between[OBJECTS];

	(void)state;
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct channel_opts opts = {.depth = 1 + i, .n_regions = 1 + i % 3, .node = -1};

		opts.view = nvmux_calloc_lines(1, sizeof(*opts.view));
		assert_int_equal(channel_create(&opts, &channels[i]), 0);
		between[i] = others(&parts);
		add(&parts, channels[i], offsetof(struct channel, ctl_hwq), i);
		add(&parts, channels[i]->slots, opts.depth * sizeof(*channels[i]->slots), i);
		add(&parts, channels[i]->free_slots, opts.depth * sizeof(*channels[i]->free_slots),
		    i);
		add(&parts, channels[i]->regions, opts.n_regions * sizeof(*channels[i]->regions),
		    i);
		add(&parts, channels[i]->view, sizeof(*channels[i]->view), i);
	}
	check(&parts);
	for (uint32_t i = 0; i < OBJECTS; i++) {
		channel_destroy(channels[i]);
		free(between[i]);
	}
}

static void test_qpairs(void **state)
{
	static const struct nvmux_transport transport;
	static struct nvmux_ctrlr ctrlr = {.transport = &transport};
	static struct parts parts;
	struct nvmux_qpair *qpairs;
	void *between[OBJECTS];

	(void)state;
	qpairs = calloc(OBJECTS, sizeof(*qpairs));
	assert_non_null(qpairs);
	for (uint32_t i = 0; i < OBJECTS; i++) {
		assert_int_equal(nvmux_qpair_init(&qpairs[i], &ctrlr, 0, 1 + i), 0);
		between[i] = others(&parts);
		add(&parts, qpairs[i].slots, (qpairs[i].cid_mask + 1u) * sizeof(*qpairs[i].slots),
		    i);
		add(&parts, qpairs[i].free_slots, (1 + i) * sizeof(*qpairs[i].free_slots), i);
	}
	check(&parts);
	for (uint32_t i = 0; i < OBJECTS; i++) {
		nvmux_qpair_fini(&qpairs[i]);
		free(between[i]);
	}
	free(qpairs);
}

/* What the I/O path reads of a controller, and what changes with each admin command. */
static void test_ctrlr(void **state)
{
	(void)state;
	assert_true(offsetof(struct nvmux_ctrlr, state) -
			    (offsetof(struct nvmux_ctrlr, reach) + sizeof(void *)) >=
		    NVMUX_LINE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_channels),
		cmocka_unit_test(test_qpairs),
		cmocka_unit_test(test_ctrlr),
	};

	return cmocka_run_group_tests_name("lines of different threads", tests, NULL, NULL);
}
