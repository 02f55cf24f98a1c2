// SPDX-License-Identifier: BSD-3-Clause
/* Probes of a bus with several devices, of which the caller wants some. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_ctrlr.h"

#define DEVICES 5

/* ---- the bus ---- */

static struct {
	uint32_t broken; /* a bit for each device that can't be opened */
	int err;         /* of the enumeration, after it has reported all */
} bus;

static void name(uint32_t i, char *traddr, size_t size)
{
	snprintf(traddr, size, "0000:%02x:00.0", i + 1);
}

static uint32_t number(const struct nvmux_trid *trid)
{
	unsigned n;

	assert_int_equal(sscanf(trid->traddr, "0000:%x:00.0", &n), 1);
	return n - 1;
}

static void enumerate(struct nvmux *nvmux, const struct nvmux_trid *trid, nvmux_found_fn found,
		      nvmux_done_fn done, void *arg)
{
	for (uint32_t i = 0; i < DEVICES; i++) {
		struct nvmux_trid one = {.trtype = NVMUX_TRTYPE_PCIE};

		name(i, one.traddr, sizeof(one.traddr));
		found(arg, &one);
	}
	done(arg, bus.err, 0);
}

static int open_error(struct nvmux_ctrlr *ctrlr)
{
	return bus.broken & 1u << number(&ctrlr->trid) ? -EACCES : 0;
}

/* ---- the caller ---- */

struct caller {
	uint32_t wanted;   /* a bit for each device */
	uint32_t filtered; /* likewise: not looked at */
	uint32_t asked, told, attached, removed;
	struct nvmux_ctrlr *ctrlrs[DEVICES];
	uint32_t asked_filter;
};

static bool want(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr_opts *opts)
{
	struct caller *c = arg;
	uint32_t bit = 1u << number(trid);

	assert_int_equal(c->asked & bit, 0);
	c->asked |= bit;
	opts->num_io_queues = number(trid) + 1;
	return c->wanted & bit;
}

static void attached(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr, int err)
{
	struct caller *c = arg;
	uint32_t bit = 1u << number(trid);

	assert_int_equal(c->told & bit, 0);
	c->told |= bit;
	assert_int_equal(err, bus.broken & bit ? -EACCES : 0);
	assert_int_equal(!ctrlr, err != 0);
	if (!ctrlr)
		return;
	c->attached |= bit;
	c->ctrlrs[number(trid)] = ctrlr;
	assert_string_equal(nvmux_ctrlr_get_trid(ctrlr)->traddr, trid->traddr);
	assert_int_equal(nvmux_ctrlr_get_max_io_qpairs(ctrlr), number(trid) + 1);
}

static void removed(void *arg, struct nvmux_ctrlr *ctrlr)
{
	((struct caller *)arg)->removed |= 1u << number(nvmux_ctrlr_get_trid(ctrlr));
}

static bool filter(void *arg, const struct nvmux_trid *trid)
{
	struct caller *c = arg;

	c->asked_filter |= 1u << number(trid);
	return !(c->filtered & 1u << number(trid));
}

static struct nvmux *context(bool inline_answers)
{
	static struct nvmux_transport transport;
	struct nvmux_opts opts;
	struct nvmux *nvmux;

	memset(&bus, 0, sizeof(bus));
	fake_reset();
	fake.inline_answers = inline_answers;
	fake.open_error = open_error;
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&opts, &nvmux), 0);
	transport = fake_transport;
	transport.trtype = NVMUX_TRTYPE_PCIE;
	transport.enumerate = enumerate;
	nvmux->transports[NVMUX_TRTYPE_PCIE] = &transport;
	return nvmux;
}

static int probe(struct nvmux *nvmux, struct caller *c)
{
	c->asked = c->told = c->attached = c->asked_filter = 0;
	return nvmux_probe(nvmux, NULL, want, attached, removed, c);
}

/* ---- tests ---- */

/* Every choice of devices, some of which don't work: only what was wanted is touched. */
static void some_are_refused(void **state)
{
	for (uint32_t wanted = 0; wanted < 1u << DEVICES; wanted++) {
		struct nvmux *nvmux = context(wanted & 1);
		struct caller c = {.wanted = wanted};

		bus.broken = 1u << 2;
		assert_int_equal(probe(nvmux, &c), 0);
		assert_int_equal(c.asked, (1u << DEVICES) - 1);
		assert_int_equal(c.told, wanted);
		assert_int_equal(c.attached, wanted & ~bus.broken);
		assert_int_equal(fake.opened, __builtin_popcount(wanted));
		nvmux_destroy(nvmux);
		assert_int_equal(c.removed, 0);
		assert_int_equal(fake.opened, fake.closed);
	}
}

/* Who is probed for without questions is attached, and its loss is told. */
static void all_without_questions(void **state)
{
	struct nvmux *nvmux = context(true);
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_PCIE};
	struct caller c = {0};

	bus.broken = (1u << DEVICES) - 1;
	assert_int_equal(nvmux_probe(nvmux, &trid, NULL, attached, removed, &c), 0);
	assert_int_equal(c.told, (1u << DEVICES) - 1);
	assert_int_equal(c.attached, 0);
	bus.broken = 0;
	c = (struct caller){.wanted = 1u << 3};
	assert_int_equal(probe(nvmux, &c), 0);
	nvmux_ctrlr_fail(c.ctrlrs[3]);
	assert_int_equal(c.removed, 1u << 3);
	nvmux_destroy(nvmux);
}

/* The enumeration fails in the end: what it had reported is attached all the same. */
static void enumeration_fails(void **state)
{
	for (int later = 0; later < 2; later++) {
		struct nvmux *nvmux = context(!later);
		struct caller c = {.wanted = 1u << 1 | 1u << 4};

		bus.err = -EIO;
		assert_int_equal(probe(nvmux, &c), -EIO);
		assert_int_equal(c.attached, c.wanted);
		nvmux_destroy(nvmux);
	}
}

/* A scan finds what is new: not what is attached, nor what the filter leaves out. */
static void scan_again(void **state)
{
	struct nvmux *nvmux = context(true);
	struct caller c = {.wanted = 1u << 0 | 1u << 1, .filtered = 1u << 2};

	nvmux_pcie_set_hotplug_filter(nvmux, filter, &c);
	assert_int_equal(probe(nvmux, &c), 0);
	assert_int_equal(c.asked_filter, 0x1f);
	assert_int_equal(c.asked, 0x1b);
	assert_int_equal(c.attached, 3);
	c.wanted = 0;
	assert_int_equal(probe(nvmux, &c), 0);
	assert_int_equal(c.asked_filter, 0x1c);
	assert_int_equal(c.asked, 0x18);
	/* one that has failed is there until it is detached */
	nvmux_ctrlr_fail(c.ctrlrs[1]);
	c.wanted = 1u << 1;
	assert_int_equal(probe(nvmux, &c), 0);
	assert_int_equal(c.attached, 0);
	assert_int_equal(nvmux_detach(c.ctrlrs[1]), 0);
	assert_int_equal(probe(nvmux, &c), 0);
	assert_int_equal(c.asked, 0x1a);
	assert_int_equal(c.attached, 1u << 1);
	nvmux_pcie_set_hotplug_filter(nvmux, NULL, NULL);
	assert_int_equal(probe(nvmux, &c), 0);
	assert_int_equal(c.asked, 0x1c);
	nvmux_destroy(nvmux);
	assert_int_equal(fake.opened, fake.closed);
}

/* Without waiting; it is asked at once, and told as it goes on. */
static void without_waiting(void **state)
{
	struct nvmux *nvmux = context(false);
	struct caller c = {.wanted = 0x15};
	struct nvmux_probe_ctx *ctx;
	int err;

	assert_int_equal(nvmux_probe_async(nvmux, NULL, want, attached, removed, &c, &ctx), 0);
	assert_int_equal(c.asked, 0x1f);
	assert_int_equal(c.told, 0);
	while ((err = nvmux_probe_poll_async(ctx)) == -EAGAIN)
		usleep(500);
	assert_int_equal(err, 0);
	assert_int_equal(c.attached, 0x15);
	nvmux_destroy(nvmux);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_are_refused),  cmocka_unit_test(all_without_questions),
		cmocka_unit_test(enumeration_fails), cmocka_unit_test(scan_again),
		cmocka_unit_test(without_waiting),
	};

	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
