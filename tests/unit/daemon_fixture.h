/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvmuxd in the thread of a test, which has a struct td with the daemon, d, and its directory, dir,
 * and a function turn(td) that lets it do what there is to do.
 */
#ifndef TEST_DAEMON_FIXTURE_H
#define TEST_DAEMON_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/daemon.h"

/* Turns until the condition holds, or too long: WAIT_MS. */
#define UNTIL(td, condition)                                                           \
	do {                                                                           \
		uint64_t end_ms = nvmux_now_ms() + WAIT_MS;                            \
                                                                                       \
		while (!(condition)) {                                                 \
			if (nvmux_now_ms() > end_ms)                                   \
				fail_msg("not within %d ms: %s", WAIT_MS, #condition); \
			turn(td);                                                      \
		}                                                                      \
	} while (0)

static inline void daemon_fixture_report(void *arg, const char *file, int line, const char *text)
{
	(void)arg;
	if (text)
		fail_msg("%s:%d: %s", file, line, text);
}

/* A daemon that has read its configuration, what is printed behind section "daemon", and is to be
 * created. */
__attribute__((format(printf, 2, 3))) static inline struct nvmuxd *
daemon_fixture_load(char ret_dir[64], const char *fmt, ...)
{
	struct nvmuxd *d = calloc(1, sizeof(*d));
	char path[128];
	FILE *file;
	va_list ap;

	strcpy(ret_dir, "/tmp/test_nvmuxd.XXXXXX");
	assert_non_null(mkdtemp(ret_dir));
	snprintf(path, sizeof(path), "%s/conf", ret_dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "[daemon]\nlog_level = %s\nsocket = %s/s\n",
		getenv("TD_LOG") ? "debug" : "error", ret_dir);
	va_start(ap, fmt);
	vfprintf(file, fmt, ap);
	va_end(ap);
	fclose(file);
	assert_int_equal(conf_load(&d->config, path, true, daemon_fixture_report, NULL), 0);
	unlink(path);
	return d;
}

static inline void daemon_fixture_create(struct nvmuxd *d)
{
	char why[512];

	log_init(&d->log);
	log_configure(&d->log, &d->config, false);
	if (daemon_create(d, why, sizeof(why)))
		fail_msg("%s", why);
}

/* It has stopped. */
static inline void daemon_fixture_destroy(struct nvmuxd *d, const char *dir)
{
	daemon_destroy(d);
	rmdir(dir);
	free(d);
}

#endif
