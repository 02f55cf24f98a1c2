// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sessions: one for each RPC connection.
 *
 * Who connects as root or as the daemon's own user has every right; nobody else has any. The limits
 * of a session are those of the configuration at the time it began.
 *
 * When the connection goes, the client's commands are stopped at once, whatever operation is under
 * way, and then everything is torn down (teardown.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/daemon.h"

static bool is_admin(const struct rpc_cred *cred)
{
	return cred->uid == 0 || cred->uid == geteuid();
}

/* The program's name, for people only: it is whatever the program says. */
static void read_command(struct session *s)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(s->command, sizeof(s->command), "?");
	snprintf(path, sizeof(path), "/proc/%d/comm", s->cred.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, s->command, sizeof(s->command) - 1);
	close(fd);
	if (n <= 0)
		return;
	s->command[n] = '\0';
	for (char *p = s->command; *p; p++) {
		if (*p == '\n')
			*p = '\0';
		else if (*p < ' ' || *p > '~')
			*p = '?';
	}
}

static struct session *session_new(struct nvmuxd *d, struct rpc_conn *conn)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->limits = d->config.limits;
	s->d = d;
	s->regions = calloc(s->limits.max_regions, sizeof(*s->regions));
	s->drain_timer = evtimer_new(d->base, session_drain_expired, s);
	if (!s->regions || !s->drain_timer) {
		if (s->drain_timer)
			event_free(s->drain_timer);
		free(s->regions);
		free(s);
		return NULL;
	}
	s->conn = conn;
	s->id = ++d->next_client;
	s->cred = *rpc_conn_cred(conn);
	s->admin = is_admin(&s->cred);
	s->connected_ms = nvmux_now_ms();
	read_command(s);
	op_queue_init(&s->ops, &d->sched);
	TAILQ_INIT(&s->holds);
	TAILQ_INIT(&s->qpairs);
	TAILQ_INSERT_TAIL(&d->sessions, s, link);
	d->n_sessions++;
	return s;
}

void session_opened(void *user, struct rpc_conn *conn)
{
	struct nvmuxd *d = user;
	struct session *s;

	/* those whose client has gone, but whose commands haven't ended, count too */
	if (d->n_sessions >= 2 * d->config.limits.max_clients) {
		log_warning(&d->log, "session",
			    "%u clients are still being ended; one more refused", d->n_sessions);
		rpc_conn_close(conn);
		return;
	}
	s = session_new(d, conn);
	if (!s) {
		log_error(&d->log, "session", "no memory for a client");
		rpc_conn_close(conn);
		return;
	}
	rpc_conn_set_user(conn, s);
	log_debug(&d->log, "session", "client %u: process %d (%s), user %u", s->id, s->cred.pid,
		  s->command, s->cred.uid);
	events_client(s, "client_connected");
}

void session_closed(void *user, struct rpc_conn *conn)
{
	struct session *s = rpc_conn_user(conn);

	(void)user;
	if (!s)
		return;
	rpc_conn_set_user(conn, NULL);
	s->conn = NULL;
	log_debug(&s->d->log, "session", "client %u: gone", s->id);
	session_end(s);
}

bool session_may(void *user, struct rpc_conn *conn, enum rpc_right right)
{
	const struct session *s = rpc_conn_user(conn);

	(void)user;
	return right == RPC_RIGHT_NONE || (s && s->admin);
}

void session_free(struct session *s)
{
	struct nvmuxd *d = s->d;

	NVMUX_ASSERT(TAILQ_EMPTY(&s->holds) && TAILQ_EMPTY(&s->qpairs));
	NVMUX_ASSERT(!s->n_regions && op_queue_idle(&s->ops) && !s->conn);
	events_client(s, "client_disconnected");
	TAILQ_REMOVE(&d->sessions, s, link);
	d->n_sessions--;
	event_free(s->drain_timer);
	session_forget_gone(s, NULL);
	free(s->regions);
	free(s);
	daemon_progress(d);
}

struct session *session_of(struct rpc_request *req)
{
	struct rpc_conn *conn = rpc_request_conn(req);
	struct session *s = conn ? rpc_conn_user(conn) : NULL;

	if (s && s->d->state == DAEMON_STOPPING) {
		rpc_reply_error(req, RPC_SHUTTING_DOWN, NULL, "nvmuxd is shutting down");
		return NULL;
	}
	if (!s)
		rpc_reply_errno(req, -ECONNRESET, "the client has gone");
	return s;
}

struct hold *session_hold(struct session *s, const char *controller)
{
	struct hold *hold;

	TAILQ_FOREACH(hold, &s->holds, link)
	{
		if (strcmp(hold->controller->name, controller) == 0)
			return hold;
	}
	return NULL;
}

struct hold *session_hold_by_id(struct session *s, uint32_t id)
{
	struct hold *hold;

	TAILQ_FOREACH(hold, &s->holds, link)
	{
		if (hold->id == id)
			return hold;
	}
	return NULL;
}

struct hold *session_hold_for_request(struct session *s, struct rpc_request *req,
				      const char *controller)
{
	struct hold *hold = session_hold(s, controller);
	const struct controller *c;

	if (hold && hold->ready && !hold->closing)
		return hold;
	c = controller_find(s->d, controller);
	if (session_is_gone(s, controller) || (hold && controller_is_removed(hold->controller)))
		rpc_reply_errno(req, -ENODEV,
				"the device of controller '%s' has been removed; open_controller "
				"opens the one that has come in its place, if there is one",
				controller);
	else if (!c)
		rpc_reply_errno(req, -ENODEV, "there is no controller '%s'", controller);
	else if (c->state == CONTROLLER_FAILED)
		rpc_reply_errno(req, -ENXIO, CONTROLLER_FAILED_TEXT, controller);
	else
		rpc_reply_errno(req, -ENOTCONN,
				"controller '%s' isn't open in the session; call open_controller",
				controller);
	return NULL;
}

struct client_qpair *session_qpair(struct session *s, uint32_t id)
{
	struct client_qpair *q;

	TAILQ_FOREACH(q, &s->qpairs, link)
	{
		if (q->id == id)
			return q;
	}
	return NULL;
}

void session_reply_limit(struct rpc_request *req, const char *limit, uint64_t max, const char *what)
{
	rpc_reply_error(req, RPC_LIMIT,
			json_pack("{s:s,s:s,s:I}", "limit", limit, "errno", "EDQUOT", "max",
				  (json_int_t)max),
			"%s: the limit of this client is %llu (%s in the configuration)", what,
			(unsigned long long)max, limit);
}
