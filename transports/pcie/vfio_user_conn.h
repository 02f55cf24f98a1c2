/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's end of a vfio-user connection: messages and their replies, without their meaning.
 */
#ifndef NVMUX_VFIO_USER_CONN_H
#define NVMUX_VFIO_USER_CONN_H

#include "vfio_user_proto.h"

#define VU_MSG_MAX             8192 /* bytes of one message, either way */
#define VU_PAYLOAD_MAX         (VU_MSG_MAX - sizeof(struct vu_header))
#define VU_IN_FLIGHT_MAX       64 /* commands sent without a reply yet; a power of two */
#define VU_REPLY_TIMEOUT_MS    5000
#define VU_SERVER_COMMANDS_MAX 1024 /* refused ones, in a connection's life */

struct vu_conn;

/*
 * The end of a request, once. err: 0; -EREMOTEIO: the server refused it (nvmux_error() says how);
 * else what the connection failed with, or -ECANCELED. @fd: a descriptor that came with the reply,
 * which the callee owns; -1: none.
 */
typedef void (*vu_reply_fn)(void *arg, int err, const void *payload, uint32_t len, int fd);
/* The connection failed; all requests have ended. */
typedef void (*vu_broken_fn)(void *arg, int err);

struct vu_request {
	uint16_t command;
	const void *payload;
	uint32_t len;
	const int *fds; /* to send with it; must stay open until the end */
	uint32_t n_fds;
	uint32_t reply_min; /* bytes of payload in the reply */
	uint32_t reply_max;
	bool takes_fd; /* the reply may bring a descriptor */
	bool survives_cancel;
	vu_reply_fn fn;
	void *arg;
};

#define VU_FDS_MAX 16 /* descriptors of one message */

/* Start to connect to the socket @path. Requests may be sent at once: they wait. */
int vu_conn_open(struct nvmux *nvmux, const char *path, vu_broken_fn broken, void *arg,
		 struct vu_conn **ret);
/* End it: what is under way ends with -ECANCELED. broken() isn't called. NULL is allowed. */
void vu_conn_close(struct vu_conn *conn);
/* Free it; until then vu_conn_post_write() may be called, also when it is closed. */
void vu_conn_free(struct vu_conn *conn);
/* 0: fn is called later; or -ENOMEM, -ENXIO (the connection has failed). */
int vu_conn_send(struct vu_conn *conn, const struct vu_request *request);
/* End what is under way with -ECANCELED, but for requests that survive; replies are awaited. */
void vu_conn_cancel(struct vu_conn *conn);
/* Declare it broken: requests end with @err, then broken() is called. Once. */
__attribute__((format(printf, 3, 4))) void vu_conn_fail(struct vu_conn *conn, int err,
							const char *fmt, ...);
bool vu_conn_alive(const struct vu_conn *conn);
/*
 * Whether descriptors of the server are taken: only if it runs as root or as ourselves. A file can
 * make close() wait for ever, and can shrink under a mapping; whoever could do worse anyway is
 * spared the doubt.
 */
bool vu_conn_trusts_fds(const struct vu_conn *conn);

/* Write a doorbell without waiting for a reply; any thread. 0, -EAGAIN, -ENXIO. */
int vu_conn_post_write(const struct vu_conn *conn, uint32_t region, uint64_t offset,
		       uint32_t value);
/* Break it from a signal handler. */
void vu_conn_interrupt(const struct vu_conn *conn);

#endif
