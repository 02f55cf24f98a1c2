// SPDX-License-Identifier: BSD-3-Clause
/*
 * A vfio-user connection, on the context's watch and timer; nothing here blocks.
 *
 * The happy path: connect ──► each request gets a place in a small table, whose number is in its
 * id, and is sent; its reply is matched by id, checked, and ends it. Requests that find the table
 * or the socket full wait in a queue.
 *
 * Failure modes. All of them end every request with the same error and the connection with it:
 * - the socket doesn't exist, refuses, or its backlog stays full;
 * - end of file, or an error of the socket;
 * - a reply to nothing, to another command, of a wrong size or type, a message that is too small or
 *   too large: -EPROTO. The server may say anything: all is checked on a private copy.
 * - no reply, or no room in the socket, for VU_REPLY_TIMEOUT_MS: -ETIMEDOUT.
 * Commands of the server are refused with ENOTSUP, and at most VU_SERVER_COMMANDS_MAX of them.
 * Descriptors are received only while a request is under way that takes one; otherwise the
 * kernel drops them without making them ours.
 *
 * Callbacks may close the connection: it then lives on, closed, until the last function of this
 * file has returned (refs).
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "vfio_user_conn.h"

#define VU_MESSAGES_PER_EVENT 64
#define VU_REFUSALS_MAX       16                               /* waiting to be sent */
#define VU_CONNECT_RETRY_MS   20                               /* while the backlog is full */
#define VU_ID_UNUSED          0xffff                           /* of messages without a reply */
#define VU_GENERATIONS        (0x10000 / VU_IN_FLIGHT_MAX - 1) /* so that no id is VU_ID_UNUSED */

struct vu_pending {
	TAILQ_ENTRY(vu_pending) link;
	struct vu_request request; /* payload and fds are below */
	uint64_t deadline_ms;
	int fds[VU_FDS_MAX];
	uint32_t size;
	union {
		struct vu_header header;
		uint8_t bytes[sizeof(struct vu_header)];
	} msg[]; /* header and payload */
};
TAILQ_HEAD(vu_pending_list, vu_pending);

enum vu_conn_state {
	VU_CONNECTING,
	VU_CONNECTED,
	VU_BROKEN,
	VU_CLOSED,
};

struct vu_conn {
	struct nvmux *nvmux;
	enum vu_conn_state state;
	uint32_t refs;
	int fd;
	struct sockaddr_un addr;
	vu_broken_fn broken;
	void *arg;

	struct nvmux_watch watch;
	bool watching;
	bool wants_out;
	struct nvmux_timer timer;
	uint64_t stalled_since_ms; /* requests wait and can't be sent; 0: they can */

	struct vu_pending_list waiting;
	struct vu_pending_list sent; /* in the order of sending, which is that of the deadlines */
	struct vu_pending *table[VU_IN_FLIGHT_MAX];
	uint16_t generation;
	uint32_t n_takes_fd; /* sent ones whose reply may bring a descriptor */

	struct vu_header refusals[VU_REFUSALS_MAX];
	uint32_t n_refusals;
	uint32_t n_server_commands;

	uint32_t rx_have;
	int rx_fd;
	union {
		struct vu_header header;
		uint8_t bytes[VU_MSG_MAX];
	} rx;
};

static void vu_conn_timer(void *arg);

static const char *vu_command_name(uint16_t command)
{
	static const char *const names[] = {
		[VU_VERSION] = "VERSION",
		[VU_DMA_MAP] = "DMA_MAP",
		[VU_DMA_UNMAP] = "DMA_UNMAP",
		[VU_DEVICE_GET_INFO] = "DEVICE_GET_INFO",
		[VU_DEVICE_GET_REGION_INFO] = "DEVICE_GET_REGION_INFO",
		[VU_DEVICE_GET_REGION_IO_FDS] = "DEVICE_GET_REGION_IO_FDS",
		[VU_DEVICE_GET_IRQ_INFO] = "DEVICE_GET_IRQ_INFO",
		[VU_DEVICE_SET_IRQS] = "DEVICE_SET_IRQS",
		[VU_REGION_READ] = "REGION_READ",
		[VU_REGION_WRITE] = "REGION_WRITE",
		[VU_DMA_READ] = "DMA_READ",
		[VU_DMA_WRITE] = "DMA_WRITE",
		[VU_DEVICE_RESET] = "DEVICE_RESET",
	};

	return command < ARRAY_SIZE(names) && names[command] ? names[command] : "unknown command";
}

/* ---- life ---- */

static void vu_conn_get(struct vu_conn *conn)
{
	conn->refs++;
}

static void vu_conn_put(struct vu_conn *conn)
{
	if (--conn->refs)
		return;
	NVMUX_ASSERT(conn->state == VU_CLOSED);
	close(conn->fd);
	free(conn);
}

static bool vu_conn_usable(const struct vu_conn *conn)
{
	return conn->state == VU_CONNECTING || conn->state == VU_CONNECTED;
}

bool vu_conn_alive(const struct vu_conn *conn)
{
	return conn && vu_conn_usable(conn);
}

bool vu_conn_trusts_fds(const struct vu_conn *conn)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || len != sizeof(cred))
		return false;
	return cred.uid == 0 || cred.uid == geteuid();
}

static void vu_drop_rx_fd(struct vu_conn *conn)
{
	if (conn->rx_fd >= 0)
		close(conn->rx_fd);
	conn->rx_fd = -1;
}

/* Remove a request from wherever it is. */
static void vu_pending_unlink(struct vu_conn *conn, struct vu_pending *pending)
{
	unsigned slot = pending->msg->header.id % VU_IN_FLIGHT_MAX;

	if (conn->table[slot] != pending) {
		TAILQ_REMOVE(&conn->waiting, pending, link);
		return;
	}
	conn->table[slot] = NULL;
	TAILQ_REMOVE(&conn->sent, pending, link);
	conn->n_takes_fd -= pending->request.takes_fd;
}

static void vu_pending_end(struct vu_conn *conn, struct vu_pending *pending, int err,
			   const void *payload, uint32_t len, int fd)
{
	struct vu_request request = pending->request;

	vu_pending_unlink(conn, pending);
	free(pending);
	if (request.fn)
		request.fn(request.arg, err, payload, len, fd);
	else if (fd >= 0)
		close(fd);
}

static void vu_end_all(struct vu_conn *conn, int err)
{
	struct vu_pending *pending;

	while ((pending = TAILQ_FIRST(&conn->sent)) || (pending = TAILQ_FIRST(&conn->waiting)))
		vu_pending_end(conn, pending, err, NULL, 0, -1);
}

static void vu_conn_quiet(struct vu_conn *conn)
{
	if (conn->watching)
		nvmux_watch_del(conn->nvmux, &conn->watch);
	conn->watching = false;
	nvmux_timer_cancel(conn->nvmux, &conn->timer);
	vu_drop_rx_fd(conn);
}

void vu_conn_close(struct vu_conn *conn)
{
	if (!conn || conn->state == VU_CLOSED)
		return;
	vu_conn_quiet(conn);
	conn->state = VU_CLOSED;
	/* Not closed yet: another thread may be about to write a doorbell. */
	shutdown(conn->fd, SHUT_RDWR);
	vu_end_all(conn, -ECANCELED);
}

void vu_conn_free(struct vu_conn *conn)
{
	vu_conn_close(conn);
	if (conn)
		vu_conn_put(conn);
}

void vu_conn_fail(struct vu_conn *conn, int err, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	if (!vu_conn_usable(conn))
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	vu_conn_quiet(conn);
	conn->state = VU_BROKEN;
	shutdown(conn->fd, SHUT_RDWR);
	nvmux_error(conn->nvmux, err, "%s: %s", conn->addr.sun_path, why);
	nvmux_log(conn->nvmux, NVMUX_LOG_WARNING, "vfio-user", "%s: %s", conn->addr.sun_path, why);
	vu_conn_get(conn);
	vu_end_all(conn, err);
	if (conn->state == VU_BROKEN) {
		nvmux_error(conn->nvmux, err, "%s: %s", conn->addr.sun_path, why);
		conn->broken(conn->arg, err);
	}
	vu_conn_put(conn);
}

void vu_conn_interrupt(const struct vu_conn *conn)
{
	shutdown(conn->fd, SHUT_RDWR);
}

/* ---- deadlines ---- */

static void vu_conn_rearm(struct vu_conn *conn)
{
	const struct vu_pending *oldest = TAILQ_FIRST(&conn->sent);
	uint64_t now = nvmux_now_ms();
	uint64_t deadline = 0;

	if (conn->state == VU_CONNECTING)
		deadline = now + VU_CONNECT_RETRY_MS;
	else if (oldest)
		deadline = oldest->deadline_ms;
	else if (conn->stalled_since_ms)
		deadline = conn->stalled_since_ms + VU_REPLY_TIMEOUT_MS;
	if (!deadline)
		nvmux_timer_cancel(conn->nvmux, &conn->timer);
	else
		nvmux_timer_set(conn->nvmux, &conn->timer,
				deadline > now ? (uint32_t)(deadline - now) : 0, vu_conn_timer,
				conn);
}

/* ---- sending ---- */

/*
 * One message by one call. A Unix stream socket takes a message of a few kilobytes as one buffer,
 * whole or not at all, also when another thread sends at the same time. -EAGAIN: nothing was taken.
 */
static int vu_send_raw(int fd, const void *msg, size_t size, const int *fds, uint32_t n_fds)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(VU_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = size};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (n_fds) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}
	do {
		n = sendmsg(fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN
										   : -errno;
	return (size_t)n == size ? 0 : -EPIPE;
}

static unsigned vu_free_slot(const struct vu_conn *conn)
{
	unsigned slot = 0;

	while (slot < VU_IN_FLIGHT_MAX && conn->table[slot])
		slot++;
	return slot;
}

/* Send what waits, in order. False: the connection has failed. */
static int vu_send_waiting(struct vu_conn *conn)
{
	struct vu_pending *pending;
	unsigned slot;
	int err = 0;

	while (!err && conn->n_refusals) {
		err = vu_send_raw(conn->fd, &conn->refusals[0], sizeof(conn->refusals[0]), NULL, 0);
		if (!err)
			memmove(&conn->refusals[0], &conn->refusals[1],
				--conn->n_refusals * sizeof(conn->refusals[0]));
	}
	while (!err && (pending = TAILQ_FIRST(&conn->waiting))) {
		slot = vu_free_slot(conn);
		if (slot == VU_IN_FLIGHT_MAX)
			return 0;
		conn->generation = (uint16_t)((conn->generation + 1) % VU_GENERATIONS);
		pending->msg->header.id = (uint16_t)(conn->generation * VU_IN_FLIGHT_MAX + slot);
		err = vu_send_raw(conn->fd, pending->msg, pending->size, pending->fds,
				  pending->request.n_fds);
		if (err)
			break;
		TAILQ_REMOVE(&conn->waiting, pending, link);
		TAILQ_INSERT_TAIL(&conn->sent, pending, link);
		conn->table[slot] = pending;
		conn->n_takes_fd += pending->request.takes_fd;
		pending->deadline_ms = nvmux_now_ms() + VU_REPLY_TIMEOUT_MS;
	}
	return err;
}

/* Send what can be sent, and wait for what the rest needs. May fail the connection. */
static void vu_conn_flush(struct vu_conn *conn)
{
	bool wants_out;
	int err;

	if (conn->state != VU_CONNECTED)
		return;
	err = vu_send_waiting(conn);
	wants_out = err == -EAGAIN;
	if (err && !wants_out) {
		vu_conn_fail(conn, -ECONNRESET, "sending to the server: %s", strerror(-err));
		return;
	}
	if (!wants_out)
		conn->stalled_since_ms = 0;
	else if (!conn->stalled_since_ms)
		conn->stalled_since_ms = nvmux_now_ms();
	if (wants_out != conn->wants_out) {
		conn->wants_out = wants_out;
		nvmux_watch_mod(conn->nvmux, &conn->watch, EPOLLIN | (wants_out ? EPOLLOUT : 0u));
	}
	vu_conn_rearm(conn);
}

int vu_conn_send(struct vu_conn *conn, const struct vu_request *request)
{
	struct vu_pending *pending;

	NVMUX_ASSERT(request->len <= VU_PAYLOAD_MAX && request->n_fds <= VU_FDS_MAX);
	if (!vu_conn_usable(conn))
		return -ENXIO;
	pending = calloc(1, sizeof(*pending) + sizeof(struct vu_header) + request->len);
	if (!pending)
		return -ENOMEM;
	pending->request = *request;
	pending->size = (uint32_t)sizeof(struct vu_header) + request->len;
	pending->msg->header = (struct vu_header){.id = VU_ID_UNUSED,
						  .command = request->command,
						  .size = pending->size,
						  .flags = VU_FLAG_COMMAND};
	if (request->len)
		memcpy(pending->msg + 1, request->payload, request->len);
	if (request->n_fds)
		memcpy(pending->fds, request->fds, request->n_fds * sizeof(int));
	TAILQ_INSERT_TAIL(&conn->waiting, pending, link);
	/* Not from here: the caller's callback must not be called before this returns. */
	nvmux_timer_set(conn->nvmux, &conn->timer, 0, vu_conn_timer, conn);
	return 0;
}

/* The first of a list that isn't to survive a cancellation and has an end to tell. */
static struct vu_pending *vu_cancellable(struct vu_pending_list *list)
{
	struct vu_pending *pending;

	TAILQ_FOREACH (pending, list, link) {
		if (!pending->request.survives_cancel && pending->request.fn)
			return pending;
	}
	return NULL;
}

void vu_conn_cancel(struct vu_conn *conn)
{
	struct vu_pending *pending;

	vu_conn_get(conn);
	while ((pending = vu_cancellable(&conn->waiting)))
		vu_pending_end(conn, pending, -ECANCELED, NULL, 0, -1);
	while ((pending = vu_cancellable(&conn->sent))) {
		struct vu_request request = pending->request;

		pending->request.fn = NULL; /* its reply will come and is thrown away */
		request.fn(request.arg, -ECANCELED, NULL, 0, -1);
	}
	vu_conn_put(conn);
}

int vu_conn_post_write(const struct vu_conn *conn, uint32_t region, uint64_t offset, uint32_t value)
{
	struct {
		struct vu_header header;
		struct vu_region_access access;
		uint32_t value;
	} msg = {
		.access = {.offset = offset, .region = region, .count = sizeof(value)},
		.value = value,
	};
	const size_t size = offsetof(typeof(msg), value) + sizeof(value); /* without padding */
	int err;

	msg.header = (struct vu_header){.id = VU_ID_UNUSED,
					.command = VU_REGION_WRITE,
					.size = (uint32_t)size,
					.flags = VU_FLAG_COMMAND | VU_FLAG_NO_REPLY};
	err = vu_send_raw(conn->fd, &msg, size, NULL, 0);
	if (!err || err == -EAGAIN)
		return err;
	/* After a message that was cut the stream makes no sense any more; the control thread sees
	 * the end of file and tells everybody. */
	vu_conn_interrupt(conn);
	return -ENXIO;
}

/* ---- receiving ---- */

/* Take the descriptors of @hdr: keep one, close the others. False: more than expected. */
static bool vu_take_fds(struct vu_conn *conn, struct msghdr *hdr)
{
	bool one = !(hdr->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr); cmsg; cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		size_t n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (conn->rx_fd < 0) {
				conn->rx_fd = fd;
			} else {
				close(fd);
				one = false;
			}
		}
	}
	return one;
}

/*
 * Read up to the end of the header or of the message, never beyond: so a descriptor is known to
 * belong to this message. 1: there is more; 0: wait; negative: the connection has failed.
 */
static int vu_receive_some(struct vu_conn *conn)
{
	uint32_t need = conn->rx_have < sizeof(conn->rx.header) ? sizeof(conn->rx.header)
								: conn->rx.header.size;
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = &conn->rx.bytes[conn->rx_have],
			    .iov_len = need - conn->rx_have};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (conn->n_takes_fd) {
		hdr.msg_control = &control;
		hdr.msg_controllen = sizeof(control);
	}
	n = recvmsg(conn->fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n < 0 && errno == EINTR)
		return 1;
	if (n < 0) {
		vu_conn_fail(conn, -ECONNRESET, "receiving from the server: %s", strerror(errno));
		return -ECONNRESET;
	}
	if (hdr.msg_control && !vu_take_fds(conn, &hdr)) {
		vu_conn_fail(conn, -EPROTO, "the server sent more than one descriptor");
		return -EPROTO;
	}
	if (n == 0) {
		vu_conn_fail(conn, -ECONNRESET, "the server closed the connection%s",
			     conn->rx_have ? " in the middle of a message" : "");
		return -ECONNRESET;
	}
	conn->rx_have += (uint32_t)n;
	return 1;
}

static void vu_refuse_command(struct vu_conn *conn, const struct vu_header *header)
{
	if (++conn->n_server_commands > VU_SERVER_COMMANDS_MAX) {
		vu_conn_fail(conn, -EPROTO, "the server sent more than %u commands",
			     VU_SERVER_COMMANDS_MAX);
		return;
	}
	if (header->flags & VU_FLAG_NO_REPLY)
		return;
	if (conn->n_refusals == VU_REFUSALS_MAX) {
		vu_conn_fail(conn, -EPROTO,
			     "the server sends commands and doesn't take the replies");
		return;
	}
	conn->refusals[conn->n_refusals++] = (struct vu_header){.id = header->id,
								.command = header->command,
								.size = sizeof(*header),
								.flags = VU_FLAG_REPLY |
									 VU_FLAG_ERROR,
								.error = ENOTSUP};
	vu_conn_flush(conn);
}

/* What the server said no to, in words; all such errors are one to the caller. */
static int vu_refused(struct vu_conn *conn, const struct vu_header *header)
{
	return nvmux_error(conn->nvmux, -EREMOTEIO, "%s: the server refused %s: %s (%u)",
			   conn->addr.sun_path, vu_command_name(header->command),
			   header->error && header->error < 4096 ? strerror((int)header->error)
								 : "no reason given",
			   header->error);
}

static void vu_take_reply(struct vu_conn *conn, const struct vu_header *header)
{
	struct vu_pending *pending = conn->table[header->id % VU_IN_FLIGHT_MAX];
	uint32_t len = header->size - (uint32_t)sizeof(*header);
	const struct vu_request *request;
	int fd;

	if (!pending || pending->msg->header.id != header->id) {
		vu_conn_fail(conn, -EPROTO, "a reply to %s with id %u, which nothing waits for",
			     vu_command_name(header->command), header->id);
		return;
	}
	request = &pending->request;
	if (header->command != request->command) {
		vu_conn_fail(conn, -EPROTO, "a reply of command %u to %s (id %u)", header->command,
			     vu_command_name(request->command), header->id);
		return;
	}
	if (header->flags & VU_FLAG_ERROR) {
		vu_pending_end(conn, pending, vu_refused(conn, header), NULL, 0, -1);
		return;
	}
	if (len < request->reply_min || len > request->reply_max) {
		vu_conn_fail(conn, -EPROTO, "the reply to %s has %u bytes, %u to %u are possible",
			     vu_command_name(request->command), header->size,
			     request->reply_min + (uint32_t)sizeof(*header),
			     request->reply_max + (uint32_t)sizeof(*header));
		return;
	}
	fd = -1;
	if (request->takes_fd) {
		fd = conn->rx_fd;
		conn->rx_fd = -1;
	}
	vu_pending_end(conn, pending, 0, &conn->rx.bytes[sizeof(*header)], len, fd);
}

static void vu_take_message(struct vu_conn *conn)
{
	const struct vu_header header = conn->rx.header;

	conn->rx_have = 0;
	switch (header.flags & VU_FLAG_TYPE_MASK) {
	case VU_FLAG_REPLY: vu_take_reply(conn, &header); break;
	case VU_FLAG_COMMAND: vu_refuse_command(conn, &header); break;
	default:
		vu_conn_fail(conn, -EPROTO,
			     "a message that is neither command nor reply (flags %#x)",
			     header.flags);
	}
	if (vu_conn_usable(conn))
		vu_drop_rx_fd(conn);
}

static void vu_receive(struct vu_conn *conn)
{
	unsigned messages = 0;

	while (messages < VU_MESSAGES_PER_EVENT && conn->state == VU_CONNECTED) {
		if (vu_receive_some(conn) <= 0)
			return;
		if (conn->rx_have < sizeof(conn->rx.header))
			continue;
		if (conn->rx.header.size < sizeof(conn->rx.header) ||
		    conn->rx.header.size > VU_MSG_MAX) {
			vu_conn_fail(conn, -EPROTO, "a message of %u bytes; %zu to %u are possible",
				     conn->rx.header.size, sizeof(conn->rx.header), VU_MSG_MAX);
			return;
		}
		if (conn->rx_have < conn->rx.header.size)
			continue;
		vu_take_message(conn);
		messages++;
	}
}

/* ---- events ---- */

static void vu_conn_events(void *arg, uint32_t epoll_events)
{
	struct vu_conn *conn = arg;

	vu_conn_get(conn);
	if (epoll_events & ~(uint32_t)EPOLLOUT)
		vu_receive(conn);
	vu_conn_flush(conn);
	vu_conn_put(conn);
}

/* 0: connected or trying on. */
static int vu_conn_try(struct vu_conn *conn)
{
	int err;

	if (connect(conn->fd, (const struct sockaddr *)&conn->addr, sizeof(conn->addr)) < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		return -errno;
	}
	err = nvmux_watch_add(conn->nvmux, &conn->watch, conn->fd, EPOLLIN, vu_conn_events, conn);
	if (err)
		return err;
	conn->watching = true;
	conn->state = VU_CONNECTED;
	return 0;
}

static void vu_conn_retry(struct vu_conn *conn)
{
	int err = vu_conn_try(conn);

	if (err)
		vu_conn_fail(conn, err, "connecting: %s", strerror(-err));
	else if (conn->state == VU_CONNECTING &&
		 nvmux_now_ms() - conn->stalled_since_ms >= VU_REPLY_TIMEOUT_MS)
		vu_conn_fail(conn, -ETIMEDOUT, "the server doesn't accept the connection");
	else if (conn->state == VU_CONNECTING)
		vu_conn_rearm(conn);
	else
		conn->stalled_since_ms = 0;
}

/* False: a deadline has passed and the connection has failed. */
static bool vu_conn_in_time(struct vu_conn *conn)
{
	const struct vu_pending *oldest = TAILQ_FIRST(&conn->sent);
	uint64_t now = nvmux_now_ms();

	if (oldest && now >= oldest->deadline_ms) {
		vu_conn_fail(conn, -ETIMEDOUT, "no reply to %s within %u ms",
			     vu_command_name(oldest->request.command), VU_REPLY_TIMEOUT_MS);
		return false;
	}
	if (conn->stalled_since_ms && now - conn->stalled_since_ms >= VU_REPLY_TIMEOUT_MS) {
		vu_conn_fail(conn, -ETIMEDOUT, "the server hasn't read its socket for %u ms",
			     VU_REPLY_TIMEOUT_MS);
		return false;
	}
	return true;
}

static void vu_conn_timer(void *arg)
{
	struct vu_conn *conn = arg;

	vu_conn_get(conn);
	if (conn->state == VU_CONNECTING)
		vu_conn_retry(conn);
	if (conn->state == VU_CONNECTED && vu_conn_in_time(conn))
		vu_conn_flush(conn);
	vu_conn_put(conn);
}

int vu_conn_open(struct nvmux *nvmux, const char *path, vu_broken_fn broken, void *arg,
		 struct vu_conn **ret)
{
	struct vu_conn *conn = calloc(1, sizeof(*conn));
	int err;

	if (!conn)
		return -ENOMEM;
	conn->nvmux = nvmux;
	conn->broken = broken;
	conn->arg = arg;
	conn->refs = 1;
	conn->rx_fd = -1;
	conn->stalled_since_ms = nvmux_now_ms();
	TAILQ_INIT(&conn->waiting);
	TAILQ_INIT(&conn->sent);
	conn->addr.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(conn->addr.sun_path)) {
		err = nvmux_error(nvmux, -ENAMETOOLONG,
				  "%s: the path of a socket has at most %zu bytes", path,
				  sizeof(conn->addr.sun_path) - 1);
		free(conn);
		return err;
	}
	strcpy(conn->addr.sun_path, path);
	conn->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (conn->fd < 0) {
		err = -errno;
		free(conn);
		return err;
	}
	err = vu_conn_try(conn);
	if (err) {
		nvmux_error(nvmux, err, "%s: connecting: %s", path, strerror(-err));
		close(conn->fd);
		free(conn);
		return err;
	}
	if (conn->state == VU_CONNECTED)
		conn->stalled_since_ms = 0;
	*ret = conn;
	return 0;
}
