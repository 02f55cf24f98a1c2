/* SPDX-License-Identifier: BSD-3-Clause */
/* Serves one controller to one vfio-user client at a time. */
#ifndef NVMUX_EMU_VFIO_USER_SERVER_H
#define NVMUX_EMU_VFIO_USER_SERVER_H

#include "emulator/model.h"

#define VUS_SOCKET_NAME "cntrl"

enum vus_mode {
	VUS_MODE_ADAPTIVE, /* poll while there is work, then sleep for at most 1 ms at a time */
	VUS_MODE_POLL,     /* poll as long as the controller is enabled */
	VUS_MODE_EVENT,    /* doorbells are messages; nothing is polled */
};

struct vus_server_opts {
	const char *socket_dir;
	enum vus_mode mode;
	struct emu_config config;
};

/*
 * Serve until SIGTERM or SIGINT. Prints "ready" on stdout when clients can connect, and what goes
 * wrong with one on stderr. 0 after a signal; or a negative errno value, with the reason in @why.
 * A function of the whole process: it handles signals and sets the umask for a moment.
 */
int vus_server_run(const struct vus_server_opts *opts, char *why, size_t why_size);

#endif
