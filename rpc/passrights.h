/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors (SCM_RIGHTS) that nobody wants. To read without a control buffer isn't enough: then
 * the reader drops what may be the last reference of a socket that lingers, and waits for it.
 */
#ifndef NVMUX_RPC_PASSRIGHTS_H
#define NVMUX_RPC_PASSRIGHTS_H

#include <sys/socket.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16; on some architectures another number: not used there */
#endif

/* Who sends descriptors to this Unix socket, or to one that it will accept, gets EPERM. Kernels
 * that don't know the option go on as before. */
static inline void socket_refuse_descriptors(int fd)
{
#if defined(__x86_64__) || defined(__aarch64__)
	int off = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
#else
	(void)fd;
#endif
}

#endif
