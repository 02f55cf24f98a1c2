// SPDX-License-Identifier: BSD-3-Clause
/* Readiness, watchdog and socket activation. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif
#include "daemon/systemd.h"

#ifdef HAVE_SYSTEMD

void systemd_notify(const char *state)
{
	sd_notify(0, state);
}

void systemd_notify_reloading(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
		   (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

int systemd_listen_fd(char *why, unsigned why_size)
{
	int n = sd_listen_fds(1);

	if (n <= 0)
		return -1;
	if (n > 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0) {
		snprintf(why, why_size,
			 "systemd passed %d sockets; one listening Unix stream socket is expected",
			 n);
		return -EINVAL;
	}
	return SD_LISTEN_FDS_START;
}

uint64_t systemd_watchdog_usec(void)
{
	uint64_t usec = 0;

	return sd_watchdog_enabled(0, &usec) > 0 ? usec : 0;
}

#else

void systemd_notify(const char *state)
{
	(void)state;
}

void systemd_notify_reloading(void)
{
}

int systemd_listen_fd(char *why, unsigned why_size)
{
	(void)why;
	(void)why_size;
	return -1;
}

uint64_t systemd_watchdog_usec(void)
{
	return 0;
}

#endif
