/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages on the socket of a vfio-user client: whole ones in, whole ones out, never blocking. */
#ifndef NVMUX_EMU_VFIO_USER_CONN_H
#define NVMUX_EMU_VFIO_USER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include "emulator/vfio_user.h"

struct vus_conn {
	int fd;
	uint32_t have; /* bytes of the message being received */
	uint32_t n_fds;
	int fds[VUS_FDS_MAX]; /* came with it; -1: taken */
	uint32_t out_size;    /* of the reply being sent; 0: none */
	uint32_t out_sent;
	int out_fd; /* goes with its first byte; not owned; -1: none */
	union {
		struct vus_header header;
		uint8_t bytes[VUS_MSG_MAX];
	} in, out;
};

void vus_conn_init(struct vus_conn *conn, int fd);
void vus_conn_close(struct vus_conn *conn);

/*
 * Receive. 1: a whole message is in @in; 0: not yet; -ECONNRESET: the client has gone; -EPROTO with
 * the reason in @why: what came is no message, and there is no way to find the next one.
 */
int vus_conn_receive(struct vus_conn *conn, const char **why);
/* The message has been dealt with: close the descriptors that weren't taken. */
void vus_conn_next(struct vus_conn *conn);
/* Take a descriptor of the message; the caller owns it. */
int vus_conn_take_fd(struct vus_conn *conn, uint32_t i);

/*
 * Reply to the message in @in: @len bytes are at out.bytes after the header, or, with @err (a
 * positive errno value), nothing. @fd goes along, and must stay open until it is sent; -1: none.
 * 0, or -ECONNRESET. What the socket doesn't take now is sent by vus_conn_flush().
 */
int vus_conn_reply(struct vus_conn *conn, int err, uint32_t len, int fd);
int vus_conn_flush(struct vus_conn *conn);
static inline bool vus_conn_sending(const struct vus_conn *conn)
{
	return conn->out_size != 0;
}

#endif
