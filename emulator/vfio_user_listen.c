// SPDX-License-Identifier: BSD-3-Clause
/*
 * The socket that clients connect to.
 *
 * The happy path: directory ──► lock on it ──► socket, bound under a umask that leaves it to its
 * owner ──► listen. The lock keeps two emulators from replacing each other's socket.
 *
 * Failure modes: the directory is locked, or something answers on the socket (-EADDRINUSE); what
 * is there is no socket (-EEXIST), which is left alone; a socket that refuses connections is what
 * a process left behind that was killed, and is replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>
#include "emulator/vfio_user_listen.h"

#define BACKLOG 16

__attribute__((format(printf, 4, 5))) static int fail(int err, char *why, size_t why_size,
						      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return err;
}

static int lock_dir(struct vus_listener *l, const char *dir, char *why, size_t why_size)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return fail(-errno, why, why_size, "%s: %s", dir, strerror(errno));
	l->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dir_fd < 0)
		return fail(-errno, why, why_size, "%s: %s", dir, strerror(errno));
	if (flock(l->dir_fd, LOCK_EX | LOCK_NB) < 0)
		return fail(-EADDRINUSE, why, why_size,
			    "%s: address in use: another emulator serves this directory", dir);
	return 0;
}

/* 0: nobody is there, and the name is free. */
static int clear_stale(const struct vus_listener *l, char *why, size_t why_size)
{
	const char *path = l->addr.sun_path;
	struct stat st;
	int fd, err;

	if (lstat(path, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : fail(-errno, why, why_size, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(-EEXIST, why, why_size, "%s: exists and is not a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(-errno, why, why_size, "socket: %s", strerror(errno));
	err = connect(fd, (const struct sockaddr *)&l->addr, sizeof(l->addr)) < 0 ? errno : 0;
	close(fd);
	if (err != ECONNREFUSED)
		return fail(-EADDRINUSE, why, why_size,
			    "%s: address in use: another process serves this socket", path);
	if (unlink(path) < 0)
		return fail(-errno, why, why_size, "%s: %s", path, strerror(errno));
	return 0;
}

static int bind_socket(struct vus_listener *l, char *why, size_t why_size)
{
	const char *path = l->addr.sun_path;
	mode_t old;
	int err;

	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return fail(-errno, why, why_size, "socket: %s", strerror(errno));
	old = umask(0177);
	err = bind(l->fd, (const struct sockaddr *)&l->addr, sizeof(l->addr)) < 0 ? -errno : 0;
	umask(old);
	if (err)
		return fail(err, why, why_size, "%s: %s", path, strerror(-err));
	if (lstat(path, &l->made) < 0 || listen(l->fd, BACKLOG) < 0)
		return fail(-errno, why, why_size, "%s: %s", path, strerror(errno));
	return 0;
}

static int open_at(struct vus_listener *l, const char *dir, const char *name, bool lock, char *why,
		   size_t why_size)
{
	int err, n;

	*l = (struct vus_listener){.dir_fd = -1, .fd = -1, .addr.sun_family = AF_UNIX};
	n = snprintf(l->addr.sun_path, sizeof(l->addr.sun_path), "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= sizeof(l->addr.sun_path))
		return fail(-ENAMETOOLONG, why, why_size,
			    "%s: too long: with /%s it must have less than %zu bytes", dir, name,
			    sizeof(l->addr.sun_path));
	err = lock ? lock_dir(l, dir, why, why_size) : 0;
	if (!err)
		err = clear_stale(l, why, why_size);
	if (!err)
		err = bind_socket(l, why, why_size);
	if (err)
		vus_listener_close(l);
	return err;
}

int vus_listener_open(struct vus_listener *l, const char *dir, const char *name, char *why,
		      size_t why_size)
{
	return open_at(l, dir, name, true, why, why_size);
}

int vus_listener_open_locked(struct vus_listener *l, const char *dir, const char *name, char *why,
			     size_t why_size)
{
	return open_at(l, dir, name, false, why, why_size);
}

void vus_listener_close(struct vus_listener *l)
{
	struct stat st;

	if (l->made.st_ino && lstat(l->addr.sun_path, &st) == 0 && st.st_ino == l->made.st_ino &&
	    st.st_dev == l->made.st_dev)
		unlink(l->addr.sun_path);
	if (l->fd >= 0)
		close(l->fd);
	if (l->dir_fd >= 0)
		close(l->dir_fd);
	l->fd = l->dir_fd = -1;
	l->made = (struct stat){0};
}
