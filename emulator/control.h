/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket `control` beside that of the vfio-user clients: faults and health at run time.
 *
 * Lines of text in both directions. A request is a fault's SPEC (see fault.h), `clear`, `list`, or
 * `smart ` and what emu_smart_set() takes, or `zone ` and what emu_zone_set() does. The answer ends
 * with a line `ok`, or is `error: ` and why; `list` is answered with a line for each fault that is
 * set before that.
 */
#ifndef NVMUX_EMU_CONTROL_H
#define NVMUX_EMU_CONTROL_H

#include <poll.h>
#include "emulator/model.h"
#include "emulator/vfio_user_listen.h"

#define CONTROL_SOCKET_NAME "control"
#define CONTROL_CLIENTS     4
#define CONTROL_LINE_MAX    256
#define CONTROL_POLLFDS     (1 + CONTROL_CLIENTS)

struct control {
	struct vus_listener listener;
	struct control_client {
		int fd; /* -1: free */
		uint32_t have;
		char line[CONTROL_LINE_MAX];
	} clients[CONTROL_CLIENTS];
};

void control_init(struct control *c);
/* The directory is the one that the caller has locked. As vus_listener_open(). */
int control_open(struct control *c, const char *dir, char *why, size_t why_size);
void control_close(struct control *c);
/* What to wait for, and what to do about it. */
void control_fill(const struct control *c, struct pollfd fds[CONTROL_POLLFDS]);
void control_serve(struct control *c, struct emu_ctrlr *model,
		   const struct pollfd fds[CONTROL_POLLFDS]);

#endif
