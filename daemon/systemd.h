/* SPDX-License-Identifier: BSD-3-Clause */
/* What systemd is told and gives. In a build without libsystemd all of it does nothing. */
#ifndef NVMUXD_SYSTEMD_H
#define NVMUXD_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

/* A state in sd_notify()'s form, such as "READY=1". */
void systemd_notify(const char *state);
void systemd_notify_reloading(void);
/* The listening socket that systemd made; -1: none; -EINVAL: not what was expected, see @why. */
int systemd_listen_fd(char *why, unsigned why_size);
/* Microseconds within which it wants to be told that we live, 0: never. */
uint64_t systemd_watchdog_usec(void);

#endif
