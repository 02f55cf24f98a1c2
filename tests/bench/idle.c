// SPDX-License-Identifier: BSD-3-Clause
/*
 * A client of nvmuxd for tests/bench/idle, which does an I/O after a while without any.
 *
 *	nvmux-bench-idle SOCKET CONTROLLER CORE ECHO_CORE SAMPLES MIN_US MAX_US
 *
 * opens the controller, makes a region and a queue pair; then it does nothing for a while, a random
 * one between MIN_US and MAX_US, and then one thing that it takes the time of, on CORE; this again
 * and again, the things taking turns:
 *
 * - sleep: a read of 4 KiB through the daemon, waited for by nvmux_qpair_arm() and poll();
 * - poll: the same, waited for by polling;
 * - echo_sleep: a byte to a process on ECHO_CORE that sleeps in recv() on a socket pair and sends
 *   one back, waited for by recv();
 * - echo_poll: the same, waited for by polling recv().
 *
 * The process is where the reactor is: the echo is what waking another process and being woken by
 * it costs at least.
 *
 * It warms up first, prints "warm", waits for a line of its standard input, takes the samples,
 * prints {"sleep": [nanoseconds, ...], ...} in a line, and stays until the end of its standard
 * input: so that others can count what the samples alone have done.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <nvmux/nvmux.h>

#define IO_SIZE     4096u
#define BLOCKS      4096u /* the range that is read */
#define WARM_UP     20    /* of each thing, not counted */
#define TIMEOUT_MS  10000
#define SAMPLES_MAX 1000000

struct client {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ns *ns;
	struct nvmux_mem *mem;
	struct nvmux_qpair *qpair;
	uint32_t lba_count; /* of IO_SIZE */
	uint32_t lba;
	int in_flight;
	int err;
	int echo_fd;
};

static void say(const char *what, const char *why)
{
	fprintf(stderr, "nvmux-bench-idle: %s: %s\n", what, why);
}

static int failed(const struct client *c, const char *what, int err)
{
	const char *why = c->nvmux ? nvmux_error_text(c->nvmux) : "";

	say(what, *why ? why : strerror(-err));
	return err;
}

static int client_open(struct client *c, const char *socket, const char *controller)
{
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_DAEMON};
	struct nvmux_opts opts;
	int rc;

	snprintf(trid.traddr, sizeof(trid.traddr), "%s", socket);
	snprintf(trid.trsvcid, sizeof(trid.trsvcid), "%s", controller);
	nvmux_opts_init(&opts, sizeof(opts));
	rc = nvmux_create(&opts, &c->nvmux);
	if (rc < 0)
		return failed(c, "context", rc);
	rc = nvmux_connect(c->nvmux, &trid, NULL, &c->ctrlr);
	if (rc < 0)
		return failed(c, "connect", rc);
	c->ns = nvmux_ctrlr_get_ns(c->ctrlr, 1);
	if (!c->ns || nvmux_ns_get_sector_size(c->ns) > IO_SIZE)
		return failed(c, "namespace 1", -ENODEV);
	c->lba_count = IO_SIZE / nvmux_ns_get_sector_size(c->ns);
	rc = nvmux_mem_alloc(c->ctrlr, IO_SIZE, 0, &c->mem);
	if (rc < 0)
		return failed(c, "region", rc);
	rc = nvmux_ctrlr_alloc_io_qpair(c->ctrlr, NULL, &c->qpair);
	return rc < 0 ? failed(c, "queue pair", rc) : 0;
}

static void client_close(struct client *c)
{
	if (c->nvmux)
		nvmux_destroy(c->nvmux); /* with all that it has */
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- one read ---- */

static void read_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct client *c = arg;

	c->in_flight--;
	if (nvmux_cpl_is_error(cpl))
		c->err = -EIO;
}

static int submit(struct client *c)
{
	uint64_t lba = (uint64_t)(c->lba++ % BLOCKS) * c->lba_count;
	int rc = nvmux_ns_cmd_read(c->ns, c->qpair, nvmux_mem_addr(c->mem), lba, c->lba_count, 0,
				   read_done, c);

	if (rc == 0)
		c->in_flight++;
	return rc;
}

static int process(struct client *c)
{
	int rc = nvmux_qpair_process_completions(c->qpair, 0);

	return rc < 0 ? rc : c->err;
}

/* Polling, until it has completed. */
static int read_polling(struct client *c)
{
	uint64_t end = now_ns() + TIMEOUT_MS * 1000000ull;
	int rc = submit(c);

	for (uint32_t n = 1; rc == 0 && c->in_flight; n++) {
		rc = process(c);
		if (n % 1024 == 0 && now_ns() > end)
			rc = -ETIMEDOUT;
	}
	return rc;
}

/* Asleep, until it has completed. */
static int read_sleeping(struct client *c)
{
	struct pollfd pfd = {.fd = nvmux_qpair_get_fd(c->qpair), .events = POLLIN};
	int rc = submit(c);

	while (rc == 0 && c->in_flight) {
		rc = nvmux_qpair_arm(c->qpair);
		if (rc == 0 && poll(&pfd, 1, TIMEOUT_MS) == 0)
			rc = -ETIMEDOUT; /* a lost wake-up */
		else if (rc == 0 && pfd.revents & (POLLHUP | POLLERR))
			rc = -EPIPE; /* nvmuxd has ended */
		if (rc == 0 || rc == -EAGAIN)
			rc = process(c);
	}
	return rc;
}

/* ---- the plain wake-up ---- */

static int pin(int core)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)core, &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus) < 0 ? -errno : 0;
}

static void echo_main(int fd, int core)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pin(core) < 0)
		_exit(1);
	while (recv(fd, &byte, 1, 0) == 1 && send(fd, &byte, 1, MSG_NOSIGNAL) == 1)
		;
	_exit(0);
}

static int echo_start(struct client *c, int core, pid_t *ret_pid)
{
	const struct timeval tv = {.tv_sec = TIMEOUT_MS / 1000};
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	*ret_pid = fork();
	if (*ret_pid == 0) {
		close(fds[0]);
		echo_main(fds[1], core);
	}
	close(fds[1]);
	c->echo_fd = fds[0];
	if (setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0)
		return -errno;
	return *ret_pid < 0 ? -EAGAIN : 0;
}

static int echo_sleeping(struct client *c)
{
	char byte = 0;

	if (send(c->echo_fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(c->echo_fd, &byte, 1, 0) != 1)
		return -EPIPE;
	return 0;
}

static int echo_polling(struct client *c)
{
	uint64_t end = now_ns() + TIMEOUT_MS * 1000000ull;
	char byte = 0;
	ssize_t n;

	if (send(c->echo_fd, &byte, 1, MSG_NOSIGNAL) != 1)
		return -EPIPE;
	for (uint32_t i = 1; (n = recv(c->echo_fd, &byte, 1, MSG_DONTWAIT)) != 1; i++) {
		if (n == 0 || errno != EAGAIN || (i % 1024 == 0 && now_ns() > end))
			return -EPIPE;
	}
	return 0;
}

/* ---- samples ---- */

static const struct kind {
	const char *name;
	int (*run)(struct client *c);
} kinds[] = {
	{"sleep", read_sleeping},
	{"echo_sleep", echo_sleeping},
	{"poll", read_polling},
	{"echo_poll", echo_polling},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct plan {
	long samples, min_us, max_us;
};

static void do_nothing(const struct plan *plan)
{
	long us = plan->min_us + random() % (plan->max_us - plan->min_us + 1);
	struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &time) == EINTR)
		;
}

/* @times: @samples of each kind, one kind after the other; NULL: they aren't wanted. */
static int measure(struct client *c, const struct plan *plan, long samples, uint64_t *times)
{
	for (long i = 0; i < samples; i++) {
		for (size_t k = 0; k < KINDS; k++) {
			uint64_t start;
			int rc;

			do_nothing(plan);
			start = now_ns();
			rc = kinds[k].run(c);
			if (rc < 0)
				return failed(c, kinds[k].name, rc);
			if (times)
				times[k * (size_t)samples + (size_t)i] = now_ns() - start;
		}
	}
	return 0;
}

static void print_times(const struct plan *plan, const uint64_t *times)
{
	for (size_t k = 0; k < KINDS; k++) {
		printf("%s\"%s\": [", k ? ", " : "{", kinds[k].name);
		for (long i = 0; i < plan->samples; i++)
			printf("%s%llu", i ? ", " : "",
			       (unsigned long long)times[k * (size_t)plan->samples + (size_t)i]);
		putchar(']');
	}
	puts("}");
	fflush(stdout);
}

static int warm_up(struct client *c, const struct plan *plan)
{
	int rc = measure(c, plan, WARM_UP, NULL);

	if (rc == 0) {
		puts("warm");
		fflush(stdout);
		getchar(); /* the end of a line; if that of the input, then as well */
	}
	return rc;
}

static int wake(struct client *c, int core, int echo_core, const struct plan *plan)
{
	uint64_t *times = calloc(KINDS * (size_t)plan->samples, sizeof(*times));
	pid_t pid = -1;
	int rc;

	if (!times)
		return failed(c, "wake", -ENOMEM);
	rc = echo_start(c, echo_core, &pid);
	if (rc == 0)
		rc = pin(core);
	if (rc < 0)
		say("wake", strerror(-rc));
	else
		rc = warm_up(c, plan);
	if (rc == 0)
		rc = measure(c, plan, plan->samples, times);
	if (rc == 0) {
		print_times(plan, times);
		while (getchar() != EOF)
			;
	}
	close(c->echo_fd);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	free(times);
	return rc;
}

/* ---- the command line ---- */

static const char usage[] =
	"usage: nvmux-bench-idle SOCKET CONTROLLER CORE ECHO_CORE SAMPLES MIN_US MAX_US\n";

static bool parse(const char *text, long min, long max, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(text, &end, 10);
	return !errno && end != text && !*end && *ret >= min && *ret <= max;
}

int main(int argc, char **argv)
{
	struct client c = {.echo_fd = -1};
	long core, echo_core;
	struct plan plan;
	int rc;

	if (argc != 8 || !parse(argv[3], 0, CPU_SETSIZE - 1, &core) ||
	    !parse(argv[4], 0, CPU_SETSIZE - 1, &echo_core) ||
	    !parse(argv[5], 1, SAMPLES_MAX, &plan.samples) ||
	    !parse(argv[6], 0, 60000000, &plan.min_us) ||
	    !parse(argv[7], plan.min_us, 60000000, &plan.max_us)) {
		fputs(usage, stderr);
		return 2;
	}
	rc = client_open(&c, argv[1], argv[2]);
	if (rc == 0)
		rc = wake(&c, (int)core, (int)echo_core, &plan);
	client_close(&c);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
