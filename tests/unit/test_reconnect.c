// SPDX-License-Identifier: BSD-3-Clause
/* When attempts are made and deadlines pass, keep-alive, and what may be repeated. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "libcore/reconnect.h"

#define T0 1000000u

static struct nvmux_ctrlr_opts opts_of(int32_t delay, int32_t fast, int32_t loss)
{
	struct nvmux_ctrlr_opts opts;

	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.reconnect_delay_sec = delay;
	opts.fast_io_fail_timeout_sec = fast;
	opts.ctrlr_loss_timeout_sec = loss;
	return opts;
}

static struct reconnect lost_at_t0(int32_t delay, int32_t fast, int32_t loss)
{
	struct nvmux_ctrlr_opts opts = opts_of(delay, fast, loss);
	struct reconnect r;

	reconnect_init(&r, &opts);
	assert_int_equal(reconnect_due(&r, T0), RECONNECT_NOTHING);
	assert_true(reconnect_wait_ms(&r, T0) == UINT64_MAX);
	reconnect_lost(&r, T0);
	return r;
}

static void test_options(void **state)
{
	static const struct {
		int32_t delay, fast, loss;
		const char *text; /* NULL: they are right */
	} cases[] = {
		{2, 0, 600, NULL},
		{2, -1, -1, NULL},
		{1, 5, 5, NULL},
		{5, 5, 5, NULL},
		{2, 0, 0, NULL},
		{3600, 0, -1, NULL},
		{0, 0, 600, "reconnect_delay_sec is 0; it must be 1 to 3600"},
		{3601, 0, -1, "reconnect_delay_sec is 3601; it must be 1 to 3600"},
		{1, -2, 600, "fast_io_fail_timeout_sec is -2;"},
		{1, 0, -2, "ctrlr_loss_timeout_sec is -2;"},
		{6, 5, 60, "reconnect_delay_sec is 6; it must not be more than "
			   "fast_io_fail_timeout_sec, 5"},
		{6, 0, 5, "reconnect_delay_sec is 6; it must not be more than "
			  "ctrlr_loss_timeout_sec, 5"},
		{1, 6, 5, "fast_io_fail_timeout_sec is 6; it must not be more than "
			  "ctrlr_loss_timeout_sec, 5"},
		{1, 6, 0, "fast_io_fail_timeout_sec is 6;"},
	};
	struct nvmux *nvmux;

	assert_int_equal(nvmux_create(NULL, &nvmux), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nvmux_ctrlr_opts opts =
			opts_of(cases[i].delay, cases[i].fast, cases[i].loss);
		int err = reconnect_check_opts(nvmux, &opts);

		assert_int_equal(err, cases[i].text ? -EINVAL : 0);
		if (cases[i].text)
			assert_non_null(strstr(nvmux_error_text(nvmux), cases[i].text));
	}
	nvmux_destroy(nvmux);
}

static void test_first_attempt_is_made_at_once(void **state)
{
	struct reconnect r = lost_at_t0(2, 0, 600);

	assert_int_equal(reconnect_wait_ms(&r, T0), 0);
	assert_int_equal(reconnect_due(&r, T0), RECONNECT_TRY);
	assert_int_equal(r.attempts, 1);
	/* nothing else while it goes on, but for the deadline */
	assert_int_equal(reconnect_due(&r, T0 + 100000), RECONNECT_NOTHING);
	assert_int_equal(reconnect_wait_ms(&r, T0 + 100000), 500000);
	assert_int_equal(reconnect_due(&r, T0 + 600000), RECONNECT_GIVE_UP);
}

static void test_later_attempts_follow_after_the_delay(void **state)
{
	struct reconnect r = lost_at_t0(2, 0, -1);
	uint64_t now = T0;

	for (uint32_t n = 1; n < 1000; n++) {
		assert_int_equal(reconnect_due(&r, now), RECONNECT_TRY);
		now += 300; /* it takes its time */
		reconnect_attempt_failed(&r, now);
		assert_int_equal(reconnect_due(&r, now + 1999), RECONNECT_NOTHING);
		assert_int_equal(reconnect_wait_ms(&r, now + 1999), 1);
		assert_int_equal(r.attempts, n);
		now += 2000;
	}
	assert_int_equal(reconnect_loss_left(&r, now), -1);
}

static void test_commands_are_failed_once(void **state)
{
	struct reconnect r = lost_at_t0(1, 5, 10);

	assert_int_equal(reconnect_fast_fail_left(&r, T0 + 1000), 4000);
	assert_int_equal(reconnect_due(&r, T0), RECONNECT_TRY);
	assert_int_equal(reconnect_wait_ms(&r, T0), 5000);
	assert_int_equal(reconnect_due(&r, T0 + 5000), RECONNECT_FAIL_IO);
	assert_int_equal(reconnect_due(&r, T0 + 5000), RECONNECT_NOTHING);
	assert_int_equal(reconnect_fast_fail_left(&r, T0 + 5000), -1);
	assert_int_equal(reconnect_wait_ms(&r, T0 + 5000), 5000);
	/* attempts go on */
	reconnect_attempt_failed(&r, T0 + 6000);
	assert_int_equal(reconnect_due(&r, T0 + 7000), RECONNECT_TRY);
	/* the next loss is a new one */
	reconnect_restored(&r);
	assert_int_equal(reconnect_due(&r, T0 + 20000), RECONNECT_NOTHING);
	reconnect_lost(&r, T0 + 20000);
	assert_int_equal(reconnect_due(&r, T0 + 20000), RECONNECT_TRY);
	assert_int_equal(reconnect_due(&r, T0 + 25000), RECONNECT_FAIL_IO);
	assert_int_equal(reconnect_due(&r, T0 + 30000), RECONNECT_GIVE_UP);
}

static void test_giving_up_goes_before_all_else(void **state)
{
	struct reconnect r = lost_at_t0(1, 5, 10);

	assert_int_equal(reconnect_loss_left(&r, T0 + 9999), 1);
	assert_int_equal(reconnect_due(&r, T0 + 10000), RECONNECT_GIVE_UP);
	assert_int_equal(reconnect_wait_ms(&r, T0 + 10000), 0);
}

/* ---- keep-alive ---- */

static void test_keep_alive_is_sent_at_half_time(void **state)
{
	struct keep_alive ka;
	uint64_t now = T0;

	keep_alive_start(&ka, 10000, now);
	assert_int_equal(keep_alive_wait_ms(&ka, now), 5000);
	assert_int_equal(keep_alive_due(&ka, now + 4999), KEEP_ALIVE_NOTHING);
	for (int i = 0; i < 100; i++) {
		now += 5000;
		assert_int_equal(keep_alive_due(&ka, now), KEEP_ALIVE_SEND);
		assert_int_equal(keep_alive_due(&ka, now), KEEP_ALIVE_NOTHING);
		keep_alive_answered(&ka);
	}
}

static void test_keep_alive_without_answer(void **state)
{
	struct keep_alive ka;

	keep_alive_start(&ka, 2000, T0);
	assert_int_equal(keep_alive_due(&ka, T0 + 1000), KEEP_ALIVE_SEND);
	assert_int_equal(keep_alive_wait_ms(&ka, T0 + 1000), 2000);
	/* not a second one while the first isn't answered */
	assert_int_equal(keep_alive_due(&ka, T0 + 2999), KEEP_ALIVE_NOTHING);
	assert_int_equal(keep_alive_due(&ka, T0 + 3000), KEEP_ALIVE_EXPIRED);
	/* a late answer is one */
	keep_alive_answered(&ka);
	assert_int_equal(keep_alive_due(&ka, T0 + 3000), KEEP_ALIVE_SEND);
}

static void test_keep_alive_off(void **state)
{
	struct keep_alive ka;

	keep_alive_start(&ka, 0, T0);
	assert_true(keep_alive_wait_ms(&ka, T0) == UINT64_MAX);
	assert_int_equal(keep_alive_due(&ka, UINT64_MAX), KEEP_ALIVE_NOTHING);
}

static void test_keep_alive_granularity(void **state)
{
	assert_int_equal(keep_alive_round(0, 10), 0);
	assert_int_equal(keep_alive_round(10000, 0), 10000);
	assert_int_equal(keep_alive_round(10000, 10), 10000);
	assert_int_equal(keep_alive_round(10001, 10), 11000);
	assert_int_equal(keep_alive_round(1, 100), 10000);
}

static void test_hold(void **state)
{
	assert_int_equal(reconnect_hold_ms(10000, false, 1000), 11000);
	assert_int_equal(reconnect_hold_ms(10000, true, 500), 20500);
	assert_int_equal(reconnect_hold_ms(0, true, 500), 500);
}

/* ---- what may be repeated ---- */

static enum replay_class class_of(uint8_t opc, const struct replay_ns *ns, bool stops)
{
	struct nvmux_cmd cmd = {.opc = opc};

	return replay_class(&cmd, ns, stops);
}

static void test_replay_rule(void **state)
{
	static const struct replay_ns plain = {.nsid = 1, .same = true, .nvm = true};
	static const struct replay_ns zoned = {.nsid = 1, .same = true, .nvm = false};
	static const struct replay_ns other = {.nsid = 1, .same = false, .nvm = true};
	static const uint8_t reads[] = {nvme_cmd_read, nvme_cmd_compare, nvme_cmd_verify};
	static const uint8_t writes[] = {nvme_cmd_write, nvme_cmd_write_zeroes,
					 nvme_cmd_write_uncor, nvme_cmd_dsm};

	for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
		assert_int_equal(class_of(reads[i], &plain, true), REPLAY_NOW);
		assert_int_equal(class_of(reads[i], &plain, false), REPLAY_NOW);
		assert_int_equal(class_of(reads[i], &zoned, true), REPLAY_NOW);
		assert_int_equal(class_of(reads[i], &other, true), REPLAY_NEVER);
		assert_int_equal(class_of(reads[i], NULL, true), REPLAY_NEVER);
	}
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		assert_int_equal(class_of(writes[i], &plain, true), REPLAY_HELD);
		assert_int_equal(class_of(writes[i], &plain, false), REPLAY_NEVER);
		assert_int_equal(class_of(writes[i], &zoned, true), REPLAY_NEVER);
		assert_int_equal(class_of(writes[i], &other, true), REPLAY_NEVER);
		assert_int_equal(class_of(writes[i], NULL, true), REPLAY_NEVER);
	}
	assert_int_equal(class_of(nvme_cmd_flush, &plain, true), REPLAY_FLUSH);
	assert_int_equal(class_of(nvme_cmd_flush, &zoned, true), REPLAY_FLUSH);
	assert_int_equal(class_of(nvme_cmd_flush, &other, true), REPLAY_NEVER);
	assert_int_equal(class_of(nvme_cmd_flush, &plain, false), REPLAY_NEVER);
}

static void test_all_other_commands_are_never_repeated(void **state)
{
	static const struct replay_ns plain = {.nsid = 1, .same = true, .nvm = true};
	uint32_t never = 0;

	for (unsigned opc = 0; opc < 256; opc++)
		never += class_of((uint8_t)opc, &plain, true) == REPLAY_NEVER;
	assert_int_equal(never, 256 - 8);
	for (uint8_t fuse = 1; fuse < 4; fuse++) {
		struct nvmux_cmd cmd = {.opc = nvme_cmd_read, .flags = fuse};

		assert_int_equal(replay_class(&cmd, &plain, true), REPLAY_NEVER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_first_attempt_is_made_at_once),
		cmocka_unit_test(test_later_attempts_follow_after_the_delay),
		cmocka_unit_test(test_commands_are_failed_once),
		cmocka_unit_test(test_giving_up_goes_before_all_else),
		cmocka_unit_test(test_keep_alive_is_sent_at_half_time),
		cmocka_unit_test(test_keep_alive_without_answer),
		cmocka_unit_test(test_keep_alive_off),
		cmocka_unit_test(test_keep_alive_granularity),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_replay_rule),
		cmocka_unit_test(test_all_other_commands_are_never_repeated),
	};

	return cmocka_run_group_tests_name("reconnect", tests, NULL, NULL);
}
