// SPDX-License-Identifier: BSD-3-Clause
/*
 * Messages on the socket of a vfio-user client.
 *
 * A message is read to its end and never beyond it, so that the descriptors that come with a byte
 * belong to the message of that byte. The client may send anything, byte by byte, stop in the
 * middle, and never read its replies: nothing here waits for it.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "emulator/vfio_user_conn.h"

void vus_conn_init(struct vus_conn *conn, int fd)
{
	conn->fd = fd;
	conn->have = 0;
	conn->n_fds = 0;
	conn->out_size = 0;
	conn->out_sent = 0;
	conn->out_fd = -1;
}

void vus_conn_next(struct vus_conn *conn)
{
	for (uint32_t i = 0; i < conn->n_fds; i++) {
		if (conn->fds[i] >= 0)
			close(conn->fds[i]);
	}
	conn->n_fds = 0;
	conn->have = 0;
}

void vus_conn_close(struct vus_conn *conn)
{
	if (conn->fd < 0)
		return;
	vus_conn_next(conn);
	close(conn->fd);
	conn->fd = -1;
}

int vus_conn_take_fd(struct vus_conn *conn, uint32_t i)
{
	int fd = conn->fds[i];

	conn->fds[i] = -1;
	return fd;
}

/* ---- receiving ---- */

/* All of them are kept or closed, whatever else is wrong. */
static int keep_fds(struct vus_conn *conn, struct msghdr *msg, const char **why)
{
	int err = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (conn->n_fds < VUS_FDS_MAX) {
				conn->fds[conn->n_fds++] = fd;
			} else {
				close(fd);
				err = -EPROTO;
			}
		}
	}
	if (err || (msg->msg_flags & MSG_CTRUNC)) {
		*why = "too many descriptors with a message";
		err = -EPROTO;
	}
	return err;
}

/* Bytes still to be read of what is known of the message; 0: it is whole. */
static int bytes_wanted(const struct vus_conn *conn, uint32_t *ret, const char **why)
{
	uint32_t size = conn->in.header.size;

	if (conn->have < sizeof(conn->in.header)) {
		*ret = (uint32_t)sizeof(conn->in.header) - conn->have;
		return 0;
	}
	if (size < sizeof(conn->in.header) || size > VUS_MSG_MAX) {
		*why = "a message's size is out of range";
		return -EPROTO;
	}
	*ret = size - conn->have;
	return 0;
}

int vus_conn_receive(struct vus_conn *conn, const char **why)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(VUS_FDS_MAX * sizeof(int))];
	uint32_t wanted;
	ssize_t n;
	int err;

	for (;;) {
		err = bytes_wanted(conn, &wanted, why);
		if (err)
			return err;
		if (wanted == 0)
			return 1;
		struct iovec iov = {.iov_base = conn->in.bytes + conn->have, .iov_len = wanted};
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};

		n = recvmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -ECONNRESET;
		conn->have += (uint32_t)n;
		err = keep_fds(conn, &msg, why);
		if (err)
			return err;
	}
}

/* ---- sending ---- */

static void put_fd(struct msghdr *msg, uint8_t *control, size_t size, int fd)
{
	struct cmsghdr *c;

	memset(control, 0, size);
	msg->msg_control = control;
	msg->msg_controllen = size;
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
}

int vus_conn_flush(struct vus_conn *conn)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
	ssize_t n;

	while (conn->out_sent < conn->out_size) {
		struct iovec iov = {.iov_base = conn->out.bytes + conn->out_sent,
				    .iov_len = conn->out_size - conn->out_sent};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

		if (conn->out_fd >= 0)
			put_fd(&msg, control, sizeof(control), conn->out_fd);
		n = sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -ECONNRESET;
		conn->out_fd = -1;
		conn->out_sent += (uint32_t)n;
	}
	conn->out_size = 0;
	return 0;
}

int vus_conn_reply(struct vus_conn *conn, int err, uint32_t len, int fd)
{
	struct vus_header *h = &conn->out.header;

	*h = (struct vus_header){
		.id = conn->in.header.id,
		.command = conn->in.header.command,
		.flags = VUS_TYPE_REPLY | (err ? VUS_FLAG_ERROR : 0),
		.error = (uint32_t)err,
	};
	h->size = (uint32_t)sizeof(*h) + (err ? 0 : len);
	conn->out_size = h->size;
	conn->out_sent = 0;
	conn->out_fd = err ? -1 : fd;
	return vus_conn_flush(conn);
}
