// SPDX-License-Identifier: BSD-3-Clause
/*
 * One thread that serves one controller to one vfio-user client at a time.
 *
 * The happy path: a client connects; its messages and its doorbells are served in turns; it closes
 * the connection, the controller is reset, and the next one may come.
 *
 * Between the two kinds of work. Doorbells are polled only while the controller is enabled; sockets
 * are looked at after so many rounds of polling. A server that finds nothing to do for a while
 * sleeps in ppoll(), for 50 µs first and for 1 ms in the end (adaptive), or not at all (poll); with
 * doorbells as messages it sleeps until there is a message (event).
 *
 * Failure modes.
 * - A second client is told EBUSY, in reply to its first message, and is closed. So that a client
 *   which reconnects isn't told so because of itself, the end of the first is looked for before.
 * - The client breaks the protocol: it is closed, with a line on stderr.
 * - The client shrinks a file that it has given us to map, or that of the doorbells: the access
 *   raises SIGBUS, the handler puts anonymous memory there, and the client is closed. If it is our
 *   own file that shrank, or a disk that is full, the process ends, without leaving its socket
 *   behind: it can't keep what it has promised to keep.
 * - The client makes an eventfd of its block: see vfio_user_device.c; a timer signal every second
 *   ends the write, and the client is closed.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "emulator/control.h"
#include "emulator/vfio_user_device.h"
#include "emulator/vfio_user_listen.h"
#include "emulator/vfio_user_server.h"
#include "libcore/util.h"

#define REFUSED_MAX       4 /* clients that are being told that there is one already */
#define MESSAGES_PER_TURN 64
#define LOOK_AT           8192 /* rounds between two looks at the sockets … */
#define BUSY_ROUND        16   /* … and what each command that was done counts as */
#define IDLE_POLLS        2000 /* rounds without work before sleeping */
#define SLEEP_MIN_NS      50000
#define SLEEP_MAX_NS      1000000
#define TIMER_SLACK_NS    1000
#define FOREVER           (-1L)

struct server {
	enum vus_mode mode;
	struct vus_listener listener;
	struct control control;
	int signal_fd;
	bool stop;
	bool timer_runs;
	struct vus_device dev;
	struct vus_conn conn; /* fd -1: no client */
	int refused[REFUSED_MAX];
};

enum {
	POLL_SIGNAL,
	POLL_LISTENER,
	POLL_CLIENT,
	POLL_REFUSED,
	POLL_CONTROL = POLL_REFUSED + REFUSED_MAX,
	POLL_COUNT = POLL_CONTROL + CONTROL_POLLFDS,
};

/* ---- memory that goes away ---- */

/* What a SIGBUS handler can reach: nobody else uses it. */
static struct {
	const struct vus_device *dev;
	const char *control_path;
	const char *socket_path; /* NULL: none was made yet */
	volatile sig_atomic_t client_fault;
} guard;

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	static const char text[] =
		"nvmux-emulator: a namespace's file shrank or its disk is full: ending\n";
	const struct dma_entry *e;
	const struct vus_device *dev = guard.dev;
	int saved = errno;

	(void)context;
	if (dev && dev->doorbells && (uint8_t *)info->si_addr >= dev->doorbells &&
	    (uint8_t *)info->si_addr < dev->doorbells + dev->doorbell_bytes &&
	    mmap(dev->doorbells, dev->doorbell_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == dev->doorbells) {
		guard.client_fault = 1;
		errno = saved;
		return;
	}
	e = guard.dev ? dma_table_find_host(&guard.dev->dma, info->si_addr) : NULL;
	if (e && mmap(e->map, e->map_size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == e->map) {
		guard.client_fault = 1;
		errno = saved;
		return;
	}
	if (guard.socket_path)
		unlink(guard.socket_path);
	if (guard.control_path)
		unlink(guard.control_path);
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	signal(signo, SIG_DFL); /* again, and for good, when this returns */
}

static void on_alarm(int signo)
{
	(void)signo; /* it is enough to have interrupted a system call */
}

static int setup_signals(struct server *s)
{
	struct sigaction bus = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
	struct sigaction alarm_action = {.sa_handler = on_alarm};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || sigaction(SIGBUS, &bus, NULL) < 0 ||
	    sigaction(SIGALRM, &alarm_action, NULL) < 0)
		return -errno;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -errno : 0;
}

static void run_timer(struct server *s, bool run)
{
	struct itimerval t = {.it_interval.tv_sec = run, .it_value.tv_sec = run};

	if (run == s->timer_runs)
		return;
	setitimer(ITIMER_REAL, &t, NULL);
	s->timer_runs = run;
}

/* ---- clients ---- */

static bool has_client(const struct server *s)
{
	return s->conn.fd >= 0;
}

static void drop_client(struct server *s, const char *why)
{
	if (!has_client(s))
		return;
	if (why)
		fprintf(stderr, "nvmux-emulator: client dropped: %s\n", why);
	vus_device_end(&s->dev);
	vus_conn_close(&s->conn);
	run_timer(s, false);
	guard.client_fault = 0;
}

static void take_client(struct server *s, int fd)
{
	int err = vus_device_begin(&s->dev);

	if (err) {
		fprintf(stderr, "nvmux-emulator: client refused: %s\n", strerror(-err));
		close(fd);
		return;
	}
	vus_conn_init(&s->conn, fd);
	run_timer(s, true);
}

static bool client_is_gone(const struct server *s)
{
	struct pollfd p = {.fd = s->conn.fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* Wait for its first message, to answer it. When there are too many, one gives way. */
static void refuse(struct server *s, int fd)
{
	int *slot = &s->refused[0];

	for (int i = 0; i < REFUSED_MAX; i++) {
		if (s->refused[i] < 0)
			slot = &s->refused[i];
	}
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

static void answer_refused(int *fd)
{
	struct vus_header h;
	ssize_t n = recv(*fd, &h, sizeof(h), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(h)) {
		uint8_t rest[4096];

		/* What is left unread would turn the answer into a reset of the connection. */
		while (recv(*fd, rest, sizeof(rest), MSG_DONTWAIT) > 0)
			;
		h.size = sizeof(h);
		h.flags = VUS_TYPE_REPLY | VUS_FLAG_ERROR;
		h.error = EBUSY;
		if (send(*fd, &h, sizeof(h), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			n = 0; /* it has gone as well */
	}
	close(*fd);
	*fd = -1;
}

static void accept_clients(struct server *s)
{
	for (int i = 0; i < REFUSED_MAX; i++) {
		int fd = accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return;
		if (has_client(s) && client_is_gone(s))
			drop_client(s, NULL);
		if (has_client(s))
			refuse(s, fd);
		else
			take_client(s, fd);
	}
}

/* ---- messages ---- */

static int serve_messages(struct server *s, const char **why)
{
	int err = vus_conn_flush(&s->conn);

	for (int i = 0; i < MESSAGES_PER_TURN && !err && !vus_conn_sending(&s->conn); i++) {
		err = vus_conn_receive(&s->conn, why);
		if (err <= 0)
			return err;
		err = vus_device_message(&s->dev, &s->conn, why);
		vus_conn_next(&s->conn);
	}
	return err;
}

static void serve_client(struct server *s)
{
	const char *why = NULL;

	if (serve_messages(s, &why) < 0)
		drop_client(s, why);
}

static void read_signal(struct server *s)
{
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
		s->stop = true;
}

/* Look at all descriptors, and wait for them at most so long (ns; FOREVER). */
static void look(struct server *s, long wait_ns)
{
	const struct timespec ts = {.tv_sec = 0, .tv_nsec = MAX(wait_ns, 0)};
	struct pollfd p[POLL_COUNT];

	for (int i = 0; i < POLL_COUNT; i++)
		p[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	p[POLL_SIGNAL].fd = s->signal_fd;
	p[POLL_LISTENER].fd = s->listener.fd;
	p[POLL_CLIENT].fd = s->conn.fd;
	/* A client that doesn't read is not listened to. */
	if (has_client(s) && vus_conn_sending(&s->conn))
		p[POLL_CLIENT].events = POLLOUT;
	for (int i = 0; i < REFUSED_MAX; i++)
		p[POLL_REFUSED + i].fd = s->refused[i];
	control_fill(&s->control, &p[POLL_CONTROL]);
	if (ppoll(p, POLL_COUNT, wait_ns == FOREVER ? NULL : &ts, NULL) <= 0)
		return;
	if (p[POLL_SIGNAL].revents)
		read_signal(s);
	control_serve(&s->control, s->dev.model, &p[POLL_CONTROL]);
	if (p[POLL_CLIENT].revents)
		serve_client(s);
	if (p[POLL_LISTENER].revents)
		accept_clients(s);
	for (int i = 0; i < REFUSED_MAX; i++) {
		if (p[POLL_REFUSED + i].revents && s->refused[i] == p[POLL_REFUSED + i].fd)
			answer_refused(&s->refused[i]);
	}
}

/* ---- the loop ---- */

static void check_client(struct server *s)
{
	if (unlikely(guard.client_fault))
		drop_client(s, "it shrank a file that the device has mapped");
	else if (unlikely(s->dev.irq_blocked))
		drop_client(s, "it made an eventfd block");
}

/* Nothing was done for @idle rounds: what now? Returns how long to wait, in ns. */
static long idle_wait(struct server *s, unsigned idle, long *sleep_ns)
{
	if (!emu_is_running(s->dev.model) || s->mode == VUS_MODE_EVENT)
		return emu_has_background(s->dev.model) ? SLEEP_MAX_NS : FOREVER;
	if (s->mode == VUS_MODE_POLL || idle < IDLE_POLLS)
		return 0;
	*sleep_ns = MIN(MAX(*sleep_ns * 2, SLEEP_MIN_NS), SLEEP_MAX_NS);
	return *sleep_ns;
}

static void serve(struct server *s)
{
	unsigned idle = 0, rounds = 0;
	long sleep_ns = 0, wait;

	while (!s->stop) {
		unsigned done = emu_poll(s->dev.model);

		if (done) {
			idle = 0;
			sleep_ns = 0;
			wait = 0;
			rounds += BUSY_ROUND * done;
		} else {
			idle = MIN(idle + 1, (unsigned)IDLE_POLLS);
			wait = idle_wait(s, idle, &sleep_ns);
			cpu_relax();
		}
		check_client(s);
		if (wait == 0 && ++rounds < LOOK_AT)
			continue;
		rounds = 0;
		if (s->mode != VUS_MODE_EVENT) /* there they are messages */
			emu_check_doorbells(s->dev.model);
		look(s, wait);
	}
}

static int start(struct server *s, const struct vus_server_opts *opts, char *why, size_t why_size)
{
	int err;

	s->mode = opts->mode;
	s->listener.fd = s->listener.dir_fd = -1;
	s->signal_fd = -1;
	s->conn.fd = -1;
	control_init(&s->control);
	for (int i = 0; i < REFUSED_MAX; i++)
		s->refused[i] = -1;
	err = vus_device_init(&s->dev, &opts->config, opts->mode != VUS_MODE_EVENT, why, why_size);
	if (err)
		return err;
	guard.dev = &s->dev;
	err = setup_signals(s);
	if (err) {
		snprintf(why, why_size, "signals: %s", strerror(-err));
		return err;
	}
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
	err = vus_listener_open(&s->listener, opts->socket_dir, VUS_SOCKET_NAME, why, why_size);
	if (!err)
		err = control_open(&s->control, opts->socket_dir, why, why_size);
	return err;
}

int vus_server_run(const struct vus_server_opts *opts, char *why, size_t why_size)
{
	struct server *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	err = start(s, opts, why, why_size);
	if (!err) {
		guard.socket_path = s->listener.addr.sun_path;
		guard.control_path = s->control.listener.addr.sun_path;
		printf("ready\n");
		fflush(stdout);
		serve(s);
		drop_client(s, NULL);
	}
	for (int i = 0; i < REFUSED_MAX; i++) {
		if (s->refused[i] >= 0)
			close(s->refused[i]);
	}
	guard.socket_path = guard.control_path = NULL;
	control_close(&s->control);
	vus_listener_close(&s->listener);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	guard.dev = NULL;
	vus_device_fini(&s->dev);
	free(s);
	return err;
}
