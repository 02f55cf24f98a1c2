// SPDX-License-Identifier: BSD-3-Clause
/*
 * Making the server's socket.
 *
 * Two daemons that start at the same time must not both take a stale socket away from each other:
 * PATH.lock, which only its owner can open, is locked as long as the server lives. The socket gets
 * its owner and mode before it listens; until then everybody's connect is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "libcore/util.h"
#include "rpc/passrights.h"
#include "rpc/server_internal.h"

#define LISTEN_BACKLOG 64

__attribute__((format(printf, 4, 5))) static int fail(char *why, size_t why_size, int err,
						      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return err;
}

static void lock_path(const char *path, char *buf, size_t size)
{
	snprintf(buf, size, "%s.lock", path);
}

/* Lock PATH.lock. Its last owner may unlink it between our open and our lock: then once more. */
static int take_lock(const char *path, char *why, size_t why_size)
{
	struct stat held, there;
	char lock[PATH_MAX];
	int fd, err;

	lock_path(path, lock, sizeof(lock));
	for (;;) {
		fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return fail(why, why_size, -errno, "%s: %s", lock, strerror(errno));
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			err = errno;
			close(fd);
			if (err == EWOULDBLOCK)
				return fail(why, why_size, -EADDRINUSE,
					    "%s: another server runs (it holds %s)", path, lock);
			return fail(why, why_size, -err, "%s: %s", lock, strerror(err));
		}
		if (fstat(fd, &held) == 0 && stat(lock, &there) == 0 &&
		    held.st_dev == there.st_dev && held.st_ino == there.st_ino)
			return fd;
		close(fd);
	}
}

/* Somebody's socket is in the way: whether it is alive. 0: it was stale and is gone. */
static int remove_stale(const struct sockaddr_un *addr, char *why, size_t why_size)
{
	const char *path = addr->sun_path;
	struct stat st;
	int fd, err = 0;

	if (lstat(path, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : fail(why, why_size, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(why, why_size, -EEXIST, "%s exists and is not a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(why, why_size, -errno, "socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN)
		err = fail(why, why_size, -EADDRINUSE, "%s: somebody listens on it already", path);
	else if (errno != ECONNREFUSED)
		err = fail(why, why_size, -errno, "%s: %s", path, strerror(errno));
	else if (unlink(path) < 0 && errno != ENOENT)
		err = fail(why, why_size, -errno, "%s: can't remove the stale socket: %s", path,
			   strerror(errno));
	close(fd);
	return err;
}

static int find_group(const char *name, gid_t *ret, char *why, size_t why_size)
{
	struct group group, *found = NULL;
	char buf[8192];
	int err;

	err = getgrnam_r(name, &group, buf, sizeof(buf), &found);
	if (found) {
		*ret = found->gr_gid;
		return 0;
	}
	return fail(why, why_size, err ? -err : -ENOENT, "group '%s': %s", name,
		    err ? strerror(err) : "no such group");
}

/* Bound, with its final owner and mode; not yet listening. */
static int bind_socket(int fd, const struct sockaddr_un *addr, const struct rpc_server_opts *opts,
		       char *why, size_t why_size)
{
	const char *path = addr->sun_path;
	gid_t gid = (gid_t)-1;
	int rc;

	if (opts->group) {
		rc = find_group(opts->group, &gid, why, why_size);
		if (rc < 0)
			return rc;
	}
	rc = remove_stale(addr, why, why_size);
	if (rc < 0)
		return rc;
	/* the mode of the descriptor becomes that of the file, cut by the umask */
	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return fail(why, why_size, -errno, "%s: %s", path, strerror(errno));
	if (opts->group && lchown(path, (uid_t)-1, gid) < 0)
		rc = fail(why, why_size, -errno, "%s: can't give it to group '%s': %s", path,
			  opts->group, strerror(errno));
	else if (chmod(path, opts->mode) < 0)
		rc = fail(why, why_size, -errno, "%s: chmod: %s", path, strerror(errno));
	if (rc < 0)
		unlink(path);
	return rc;
}

static int open_path(const struct rpc_server_opts *opts, struct rpc_listener *listener, char *why,
		     size_t why_size)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int rc;

	if (!opts->path[0] || strlen(opts->path) >= sizeof(addr.sun_path))
		return fail(why, why_size, -ENAMETOOLONG,
			    "socket path '%s': must have 1 to %zu bytes", opts->path,
			    sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, opts->path);
	listener->path = strdup(opts->path);
	if (!listener->path)
		return fail(why, why_size, -ENOMEM, "out of memory");
	listener->lock_fd = take_lock(opts->path, why, why_size);
	if (listener->lock_fd < 0)
		return listener->lock_fd;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return fail(why, why_size, -errno, "socket: %s", strerror(errno));
	rc = bind_socket(listener->fd, &addr, opts, why, why_size);
	if (rc < 0)
		return rc;
	if (lstat(opts->path, &st) == 0) {
		listener->dev = st.st_dev;
		listener->ino = st.st_ino;
	}
	socket_refuse_descriptors(listener->fd); /* accepted sockets inherit it */
	if (listen(listener->fd, LISTEN_BACKLOG) < 0)
		return fail(why, why_size, -errno, "%s: listen: %s", opts->path, strerror(errno));
	return 0;
}

int rpc_listener_open(const struct rpc_server_opts *opts, struct rpc_listener *ret, char *why,
		      size_t why_size)
{
	struct rpc_listener listener = {.fd = -1, .lock_fd = -1};
	int flags, rc;

	if (opts->listen_fd >= 0) {
		flags = fcntl(opts->listen_fd, F_GETFL);
		if (flags < 0 || fcntl(opts->listen_fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		    fcntl(opts->listen_fd, F_SETFD, FD_CLOEXEC) < 0)
			return fail(why, why_size, -errno, "descriptor %d: %s", opts->listen_fd,
				    strerror(errno));
		socket_refuse_descriptors(opts->listen_fd);
		listener.fd = opts->listen_fd;
		*ret = listener;
		return 0;
	}
	rc = open_path(opts, &listener, why, why_size);
	if (rc < 0) {
		rpc_listener_close(&listener);
		return rc;
	}
	*ret = listener;
	return 0;
}

void rpc_listener_close(struct rpc_listener *listener)
{
	char lock[PATH_MAX];
	struct stat st;

	if (listener->fd >= 0)
		close(listener->fd);
	if (listener->ino && lstat(listener->path, &st) == 0 && st.st_dev == listener->dev &&
	    st.st_ino == listener->ino)
		unlink(listener->path);
	if (listener->lock_fd >= 0) {
		lock_path(listener->path, lock, sizeof(lock));
		unlink(lock);
		close(listener->lock_fd);
	}
	free(listener->path);
	*listener = (struct rpc_listener){.fd = -1, .lock_fd = -1};
}
