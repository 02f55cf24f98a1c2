/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket that clients connect to, and its directory. */
#ifndef NVMUX_EMU_VFIO_USER_LISTEN_H
#define NVMUX_EMU_VFIO_USER_LISTEN_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

struct vus_listener {
	int dir_fd; /* locked while we are there */
	int fd;
	struct sockaddr_un addr;
	struct stat made; /* what bind() made, so that nothing else is removed */
};

/*
 * Listen on NAME in DIR, which is made if it isn't there. The socket is for its owner only, from
 * its first moment. -EADDRINUSE when somebody serves it; a socket that nobody serves is replaced.
 */
int vus_listener_open(struct vus_listener *l, const char *dir, const char *name, char *why,
		      size_t why_size);
/* One more in a directory that another listener of this process has locked. */
int vus_listener_open_locked(struct vus_listener *l, const char *dir, const char *name, char *why,
			     size_t why_size);
void vus_listener_close(struct vus_listener *l);

#endif
