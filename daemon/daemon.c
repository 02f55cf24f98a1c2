// SPDX-License-Identifier: BSD-3-Clause
/*
 * The daemon: what it is made of, its loop, and its end.
 *
 * STARTING ── the socket listens ──▶ RUNNING; the controllers of the configuration go on attaching
 * any ── signal, or the shutdown method ──▶ STOPPING ── no client, no controller left ──▶ STOPPED
 *
 * Stopping: nobody is accepted any more, clients are disconnected and their sessions torn down in
 * the safe order, controllers are shut down (CC.SHN) and let go of, as are discovery services. The
 * start of a controller that is still attaching is given up, and so is what looks at transport ids.
 * A second signal doesn't wait for commands in flight: controllers are reset to end them; nor for
 * queue pairs of a controller that is attaching.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "daemon/daemon.h"
#include "daemon/systemd.h"
#include "emulator/loopback.h"
#include "libcore/numa.h"

#define MAX_OUT (4u << 20) /* bytes queued for a client that doesn't read */

/* ---- events ---- */

static void on_nvmux(evutil_socket_t fd, short what, void *arg)
{
	struct nvmuxd *d = arg;

	(void)fd;
	(void)what;
	nvmux_process(d->nvmux);
}

static void on_reactor(evutil_socket_t fd, short what, void *arg)
{
	struct daemon_reactor *r = arg;

	(void)fd;
	(void)what;
	reactor_process(r->reactor);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct nvmuxd *d = arg;

	(void)what;
	if (number == SIGHUP)
		daemon_reload(d);
	else
		daemon_stop(d, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	systemd_notify("WATCHDOG=1");
}

static void trace(void *arg, const struct op *op, const struct op_step *step)
{
	struct nvmuxd *d = arg;

	log_debug(&d->log, "ops", "%s %s: %s%s%s", op->kind->name, op->subject, step->name,
		  op->err ? ", after: " : "", op->err ? op->why : "");
}

/* ---- making ---- */

static int make_context(struct nvmuxd *d, char *why, size_t why_size)
{
	struct nvmux_opts opts;
	int err;

	nvmux_opts_init(&opts, sizeof(opts));
	opts.log = log_from_library;
	opts.log_arg = &d->log;
	opts.mem_window = d->config.memory_window;
	opts.hostnqn = d->config.hostnqn[0] ? d->config.hostnqn : NULL;
	opts.hostid = d->config.hostid[0] ? d->config.hostid : NULL;
	err = nvmux_create(&opts, &d->nvmux);
	if (!err)
		err = emu_loopback_register(d->nvmux);
	if (err) {
		snprintf(why, why_size, "can't set up libnvmux: %s", strerror(-err));
		return err;
	}
	d->nvmux_event = event_new(d->base, nvmux_get_fd(d->nvmux), EV_READ | EV_PERSIST, on_nvmux,
				   d);
	if (!d->nvmux_event || event_add(d->nvmux_event, NULL)) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	return 0;
}

static int make_reactor(struct nvmuxd *d, int core, char *why, size_t why_size)
{
	struct daemon_reactor *r = &d->reactors[d->n_reactors];
	char name[16];
	struct reactor_opts opts = {
		.core = core,
		.busy = d->config.busy,
		.idle_turns = d->config.idle_turns,
		.name = name,
		.hwq_failed = controller_queue_failed,
		.arg = d,
	};
	int err;

	snprintf(name, sizeof(name), "reactor%u", d->n_reactors);
	err = nvmux_poll_group_create(d->nvmux, &r->group);
	if (err) {
		snprintf(why, why_size, "can't make a poll group: %s", strerror(-err));
		return err;
	}
	r->group->other_thread = true;
	opts.group = r->group;
	err = reactor_create(&opts, &r->reactor);
	if (err) {
		nvmux_poll_group_destroy(r->group);
		if (err == -EINVAL)
			snprintf(why, why_size, "CPU %d of 'cores' in [reactor] can't be used",
				 core);
		else
			snprintf(why, why_size, "can't start a reactor: %s%s", strerror(-err),
				 err == -EPERM || err == -ENOSYS ? " (membarrier)" : "");
		return err;
	}
	r->core = core;
	r->node = nvmux_numa_of_core("/sys", core);
	r->busy = d->config.busy;
	r->event = event_new(d->base, reactor_get_fd(r->reactor), EV_READ | EV_PERSIST, on_reactor,
			     r);
	d->n_reactors++;
	if (!r->event || event_add(r->event, NULL)) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	return 0;
}

static int make_reactors(struct nvmuxd *d, char *why, size_t why_size)
{
	int err = 0;

	if (!d->config.n_cores)
		return make_reactor(d, -1, why, why_size);
	for (uint32_t i = 0; i < d->config.n_cores && !err; i++)
		err = make_reactor(d, d->config.cores[i], why, why_size);
	return err;
}

static int watch_signals(struct nvmuxd *d)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
		d->signals[i] = evsignal_new(d->base, numbers[i], on_signal, d);
		if (!d->signals[i] || event_add(d->signals[i], NULL))
			return -ENOMEM;
	}
	return 0;
}

/* Which process listens on a socket; 0: unknown. */
static pid_t listener_of(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return 0;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		cred.pid = 0;
	close(fd);
	return cred.pid;
}

static int make_server(struct nvmuxd *d, char *why, size_t why_size)
{
	struct rpc_server_opts opts = {
		.base = d->base,
		.version = nvmux_version(),
		.path = d->config.socket,
		.mode = d->config.socket_mode,
		.group = d->config.socket_group[0] ? d->config.socket_group : NULL,
		.listen_fd = systemd_listen_fd(why, (unsigned)why_size),
		.max_clients = d->config.limits.max_clients,
		.max_out = MAX_OUT,
		.opened = session_opened,
		.closed = session_closed,
		.may = session_may,
		.user = d,
	};
	char reason[256];
	pid_t pid;
	int err;

	if (opts.listen_fd < -1)
		return opts.listen_fd;
	d->methods = daemon_methods();
	opts.methods = d->methods;
	if (!d->methods) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	err = rpc_server_create(&opts, &d->server, reason, sizeof(reason));
	if (err == -EADDRINUSE) {
		pid = listener_of(d->config.socket);
		if (pid)
			snprintf(why, why_size,
				 "%s is already in use by process %d; end it, or choose another "
				 "socket with --socket",
				 d->config.socket, pid);
		else
			snprintf(why, why_size,
				 "%s is already in use; choose another socket with --socket",
				 d->config.socket);
	} else if (err) {
		snprintf(why, why_size, "%s", reason);
	}
	return err;
}

static void start_watchdog(struct nvmuxd *d)
{
	uint64_t usec = systemd_watchdog_usec() / 2;
	const struct timeval tv = {.tv_sec = (time_t)(usec / 1000000),
				   .tv_usec = (suseconds_t)(usec % 1000000)};

	if (!usec)
		return;
	d->watchdog = event_new(d->base, -1, EV_PERSIST, on_watchdog, d);
	if (d->watchdog)
		event_add(d->watchdog, &tv);
}

static void attach_configured(struct nvmuxd *d, const struct nvmuxd_config *config)
{
	const struct conf_controller *cc;

	/* at a reload some are there already */
	for (uint32_t i = 0; i < config->n_controllers; i++) {
		cc = &config->controllers[i];
		if (!controller_find(d, cc->name) &&
		    controller_attach(d, cc->name, &cc->trid, &cc->opts, NULL, NULL))
			log_error(&d->log, "daemon", "%s: no memory to attach it", cc->name);
	}
	for (uint32_t i = 0; i < config->n_discoveries; i++) {
		cc = &config->discoveries[i];
		if (!discovery_find(d, cc->name) && discovery_start(d, cc, NULL))
			log_error(&d->log, "daemon", "%s: no memory to connect to it", cc->name);
	}
}

int daemon_create(struct nvmuxd *d, char *why, size_t why_size)
{
	int err;

	TAILQ_INIT(&d->controllers);
	TAILQ_INIT(&d->discoveries);
	TAILQ_INIT(&d->sessions);
	d->started_ms = nvmux_now_ms();
	d->base = event_base_new();
	if (!d->base || op_sched_init(&d->sched, d->base) || watch_signals(d)) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	d->sched.trace = trace;
	d->sched.trace_arg = d;
	err = make_context(d, why, why_size);
	if (!err)
		err = make_reactors(d, why, why_size);
	if (!err)
		err = make_server(d, why, why_size);
	if (err)
		return err;
	start_watchdog(d);
	log_info(&d->log, "daemon", "nvmuxd %s listens on %s, %u reactors (%s)", nvmux_version(),
		 d->config.socket, d->n_reactors, d->config.busy ? "busy" : "adaptive");
	d->state = DAEMON_RUNNING;
	systemd_notify("READY=1");
	if (d->config.hotplug)
		hotplug_start(d);
	attach_configured(d, &d->config);
	return 0;
}

/* ---- running and stopping ---- */

/* The starts that libnvmux has under way end with an error. */
static void cancel_attaching(struct nvmuxd *d)
{
	struct nvmux_ctrlr *ctrlr;
	struct controller *c;

	for (unsigned i = 0; i < NVMUX_CTRLRS_MAX; i++) {
		ctrlr = d->nvmux->ctrlrs[i];
		if (ctrlr && !ctrlr->attached)
			nvmux_ctrlr_lost(ctrlr,
					 nvmux_error(d->nvmux, -ECANCELED, "the daemon ends"));
	}
	if (!d->hurry)
		return;
	TAILQ_FOREACH(c, &d->controllers, link)
	{
		if (c->state == CONTROLLER_ATTACHING && c->ctrlr)
			nvmux_ctrlr_lost(c->ctrlr, -ECANCELED);
	}
}

void daemon_progress(struct nvmuxd *d)
{
	struct controller *c;

	if (d->state != DAEMON_STOPPING || d->n_sessions)
		return;
	TAILQ_FOREACH(c, &d->controllers, link)
	{
		if (c->state != CONTROLLER_ATTACHING && !c->detaching)
			controller_detach(c, NULL);
	}
	if (d->n_controllers || d->n_discoveries || d->n_lookups)
		return;
	d->state = DAEMON_STOPPED;
	event_base_loopbreak(d->base);
}

void daemon_stop(struct nvmuxd *d, const char *reason)
{
	struct session *s, *next;

	if (d->state == DAEMON_STOPPING) {
		log_info(&d->log, "daemon", "asked to end again (%s): not waiting for commands",
			 reason);
		d->hurry = true;
		TAILQ_FOREACH(s, &d->sessions, link)
		session_arm_drain(s);
		cancel_attaching(d);
		return;
	}
	if (d->state == DAEMON_STOPPED)
		return;
	log_info(&d->log, "daemon", "ending (%s)", reason);
	d->state = DAEMON_STOPPING;
	systemd_notify("STOPPING=1");
	rpc_server_stop(d->server);
	for (s = TAILQ_FIRST(&d->sessions); s; s = next) {
		next = TAILQ_NEXT(s, link);
		if (s->conn)
			rpc_conn_close(s->conn);
	}
	hotplug_stop(d);
	discoveries_stop_all(d);
	controllers_cancel_retries(d);
	cancel_attaching(d);
	lookups_cancel(d);
	daemon_progress(d);
}

int daemon_run(struct nvmuxd *d)
{
	int rc = 0;

	while (d->state != DAEMON_STOPPED && rc == 0) {
		nvmux_settle(d->nvmux); /* may be what stops it */
		if (d->state != DAEMON_STOPPED)
			rc = event_base_loop(d->base, EVLOOP_ONCE);
	}
	if (rc < 0)
		return -EIO;
	log_info(&d->log, "daemon", "ended");
	return 0;
}

static void free_event(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

/* With its last word: nothing can ask it for its figures any more. */
static void end_reactor(struct nvmuxd *d, uint32_t i)
{
	struct reactor *r = d->reactors[i].reactor;
	struct reactor_stats st;

	reactor_end(r);
	reactor_get_stats(r, &st);
	log_debug(&d->log, "reactor", "reactor%u: %llu turns, %llu without work, %llu commands", i,
		  (unsigned long long)st.loops, (unsigned long long)st.idle_loops,
		  (unsigned long long)st.commands);
	reactor_destroy(r);
}

void daemon_destroy(struct nvmuxd *d)
{
	NVMUX_ASSERT(TAILQ_EMPTY(&d->sessions) && TAILQ_EMPTY(&d->controllers));
	if (d->server)
		rpc_server_destroy(d->server);
	for (uint32_t i = 0; i < d->n_reactors; i++) {
		free_event(&d->reactors[i].event);
		end_reactor(d, i);
		nvmux_poll_group_destroy(d->reactors[i].group);
	}
	hotplug_stop(d);
	free_event(&d->nvmux_event);
	nvmux_destroy(d->nvmux);
	for (unsigned i = 0; i < ARRAY_SIZE(d->signals); i++)
		free_event(&d->signals[i]);
	free_event(&d->watchdog);
	free_event(&d->lookup_timer);
	op_sched_fini(&d->sched);
	if (d->base)
		event_base_free(d->base);
	free(d->methods);
}

/* ---- reload ---- */

static void report_problem(void *arg, const char *file, int line, const char *text)
{
	struct nvmuxd *d = arg;

	if (!text)
		return;
	if (line)
		log_error(&d->log, "conf", "%s:%d: %s", file, line, text);
	else
		log_error(&d->log, "conf", "%s: %s", file, text);
}

static bool needs_restart(const struct nvmuxd_config *a, const struct nvmuxd_config *b)
{
	return strcmp(a->socket, b->socket) != 0 || a->socket_mode != b->socket_mode ||
	       strcmp(a->socket_group, b->socket_group) != 0 || a->n_cores != b->n_cores ||
	       memcmp(a->cores, b->cores, a->n_cores * sizeof(a->cores[0])) != 0 ||
	       a->busy != b->busy || a->limits.max_clients != b->limits.max_clients ||
	       strcmp(a->hostnqn, b->hostnqn) != 0 || strcmp(a->hostid, b->hostid) != 0;
}

/* Log levels, limits of clients that come later, and controllers that are new in the files. */
void daemon_reload(struct nvmuxd *d)
{
	struct nvmuxd_config *config = calloc(1, sizeof(*config));
	uint32_t max_clients = d->config.limits.max_clients;

	if (!config || d->state == DAEMON_STOPPING) {
		free(config);
		return;
	}
	systemd_notify_reloading();
	if (conf_load(config, d->config_file, d->config_must_exist, report_problem, d)) {
		log_error(&d->log, "conf", "not reloaded: the configuration stays as it was");
	} else {
		if (needs_restart(&d->config, config))
			log_warning(&d->log, "conf",
				    "changes of the socket, of [host], of [reactor] and of "
				    "max_clients take effect at the next start");
		log_configure(&d->log, config, d->verbose);
		d->config.limits = config->limits;
		d->config.limits.max_clients = max_clients;
		/* what hot plug attaches, too */
		d->config.n_controllers = config->n_controllers;
		memcpy(d->config.controllers, config->controllers, sizeof(config->controllers));
		attach_configured(d, config);
		log_info(&d->log, "conf", "reloaded");
	}
	free(config);
	systemd_notify("READY=1");
}
