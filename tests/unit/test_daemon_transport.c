// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client's side of a daemon that lies, stalls, or leaves: a small daemon in a thread, whose
 * answers each test bends at one place. Nothing it says may do more harm than an error.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <nvmux/nvmux.h>
#include "daemon/reactor.h"
#include "libcore/membarrier.h"
#include "libcore/transport.h"
#include "transports/daemon/ring_client.h"
#include "rpc/server.h"

#define RINGS_MAX 8

/* What is bent. */
struct script {
	const char *list;    /* result of get_controllers */
	const char *change;  /* "method member": this member of that method's result … */
	const char *value;   /* … has this value; "": is left out */
	const char *refuse;  /* this method fails with EBUSY */
	const char *silent;  /* this method is never answered */
	const char *hang_up; /* this method ends the connection */
	const char *only;    /* refuse, silent, hang_up: only for the controller of this name */
	int fds_delta;       /* descriptors more or fewer than there should be … */
	const char *fds_of;  /* … with the answer to this method */
	bool pipe_for_ring;  /* rings are no files */
	bool unsealed;       /* regions aren't sealed */
	bool short_file;     /* regions are smaller than they say */
	bool fail_later;     /* the controller fails some time after happen_later() */
	bool events_later;   /* of all kinds */
	bool hang_up_later;
	bool drop_ring_later;
	bool shut_ring_later; /* its socket only */
};

struct fake {
	struct script script;
	char dir[64];
	char path[96];
	struct event_base *base;
	struct rpc_server *server;
	struct rpc_conn *conn;
	struct event *tick;
	struct event *stop;
	int stop_pipe[2];
	unsigned ticks_left; /* atomic; until that happens, 0: not asked for */
	struct admin_ring *rings[RINGS_MAX]; /* the first one is the admin queue's */
	unsigned n_rings;
	struct rpc_request *silent[16];
	unsigned n_silent;
	int region_fd; /* of the region that was made last; -1: none */
	pthread_t thread;
};

/* ---- the daemon ---- */

static struct fake *fake_of(struct rpc_request *req)
{
	return rpc_server_user(rpc_request_conn(req));
}

/* True: the request isn't answered in the ordinary way. */
static bool misbehave(struct fake *f, struct rpc_request *req, const json_t *params)
{
	const struct script *s = &f->script;
	const char *method = rpc_request_method(req);

	if (s->only && strcmp(s->only, rpc_get_string(params, "name", "")) != 0)
		return false;
	if (s->refuse && !strcmp(s->refuse, method)) {
		rpc_reply_errno(req, -EBUSY, "not today");
		return true;
	}
	if (s->hang_up && !strcmp(s->hang_up, method)) {
		rpc_conn_close(rpc_request_conn(req));
		rpc_reply(req, json_true());
		return true;
	}
	if (s->silent && !strcmp(s->silent, method)) {
		f->silent[f->n_silent++] = req;
		return true;
	}
	return false;
}

static void answer(struct rpc_request *req, json_t *result, int *fds, int n_fds)
{
	struct fake *f = fake_of(req);
	const struct script *s = &f->script;
	const char *method = rpc_request_method(req);
	size_t len = strlen(method);

	if (s->change && !strncmp(s->change, method, len) && s->change[len] == ' ') {
		json_t *value = json_loads(s->value, JSON_DECODE_ANY, NULL);

		if (value)
			json_object_set_new(result, s->change + len + 1, value);
		else
			json_object_del(result, s->change + len + 1);
	}
	if (s->fds_of && !strcmp(s->fds_of, method)) {
		for (int i = 0; i < s->fds_delta; i++)
			fds[n_fds++] = dup(0);
		for (int i = 0; i > s->fds_delta; i--)
			close(fds[--n_fds]);
	}
	rpc_reply_fds(req, result, fds, (unsigned)n_fds);
}

static void make_ring(struct fake *f, int *fds)
{
	struct admin_ring *ring;

	assert_int_equal(admin_ring_create(32, &ring), 0);
	f->rings[f->n_rings++] = ring;
	fds[0] = f->script.pipe_for_ring ? dup(0) : dup(admin_ring_fd(ring));
	fds[1] = dup(admin_ring_client_fd(ring));
	admin_ring_close_client_fd(ring);
}

static void do_get_controllers(struct rpc_request *req, const json_t *params)
{
	struct fake *f = fake_of(req);

	if (!misbehave(f, req, params))
		rpc_reply(req, json_loads(f->script.list ? f->script.list : "[{\"name\":\"c0\"}]",
					  JSON_DECODE_ANY, NULL));
}

static void do_open_controller(struct rpc_request *req, const json_t *params)
{
	struct fake *f = fake_of(req);
	int fds[RPC_FDS_MAX];

	if (misbehave(f, req, params))
		return;
	make_ring(f, fds);
	answer(req,
	       json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i}", "name", "c0", "cap",
			 "0x200f0103ff", "vs", "0x10400", "cc", "0x460001", "csts", "0x1",
			 "max_transfer", 131072, "max_queue_entries", 256, "max_io_qpairs", 4),
	       fds, 2);
}

static void do_alloc_memory(struct rpc_request *req, const json_t *params)
{
	struct fake *f = fake_of(req);
	int64_t size = (rpc_get_integer(params, "size", 0) + 4095) & ~4095ll;
	int fds[RPC_FDS_MAX];

	if (misbehave(f, req, params))
		return;
	fds[0] = memfd_create("region", MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fds[0], f->script.short_file ? size - 4096 : size), 0);
	if (!f->script.unsealed)
		fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	if (f->region_fd >= 0)
		close(f->region_fd);
	f->region_fd = dup(fds[0]);
	answer(req, json_pack("{s:i, s:I}", "region", 3, "size", (json_int_t)size), fds, 1);
}

static void do_alloc_io_qpair(struct rpc_request *req, const json_t *params)
{
	struct fake *f = fake_of(req);
	int fds[RPC_FDS_MAX];

	if (misbehave(f, req, params))
		return;
	make_ring(f, fds);
	answer(req,
	       json_pack("{s:i, s:i, s:i, s:b}", "qpair", 1, "depth", 32, "core", -1, "shared", 0),
	       fds, 2);
}

static void do_other(struct rpc_request *req, const json_t *params)
{
	if (!misbehave(fake_of(req), req, params))
		rpc_reply(req, json_true());
}

static const struct rpc_param any_params[] = {
	{"name", RPC_STRING, false, 0, 0, ""},       {"controller", RPC_STRING, false, 0, 0, ""},
	{"depth", RPC_INTEGER, false, 0, 0, ""},     {"size", RPC_INTEGER, false, 0, 0, ""},
	{"hugepages", RPC_BOOLEAN, false, 0, 0, ""}, {"region", RPC_INTEGER, false, 0, 0, ""},
	{"qpair", RPC_INTEGER, false, 0, 0, ""},     {0},
};
static const struct rpc_method methods[] = {
	{"get_controllers", RPC_RIGHT_NONE, any_params, "", "", do_get_controllers},
	{"open_controller", RPC_RIGHT_NONE, any_params, "", "", do_open_controller},
	{"close_controller", RPC_RIGHT_NONE, any_params, "", "", do_other},
	{"reset_controller", RPC_RIGHT_NONE, any_params, "", "", do_other},
	{"reset_subsystem", RPC_RIGHT_NONE, any_params, "", "", do_other},
	{"alloc_memory", RPC_RIGHT_NONE, any_params, "", "", do_alloc_memory},
	{"free_memory", RPC_RIGHT_NONE, any_params, "", "", do_other},
	{"alloc_io_qpair", RPC_RIGHT_NONE, any_params, "", "", do_alloc_io_qpair},
	{"free_io_qpair", RPC_RIGHT_NONE, any_params, "", "", do_other},
	{"subscribe_events", RPC_RIGHT_NONE, NULL, "", "", do_other},
	{0},
};

/* As little as a controller must say of itself. */
static void identify(const struct fake *f, const struct nvmux_ring_cmd *cmd)
{
	struct nvme_id_ctrl id = {.sqes = 0x66, .cqes = 0x44, .nn = htole32(1)};
	off_t offset = (off_t)(cmd->data & NVMUX_RING_OFFSET_MASK);

	if (cmd->opc == nvme_admin_identify && le32toh(cmd->cdw10) == NVME_IDENTIFY_CNS_CTRL)
		assert_int_equal(pwrite(f->region_fd, &id, sizeof(id), offset), sizeof(id));
}

/* Good ones, of another controller, and with members that are wrong. */
static void notify_all(struct rpc_conn *conn)
{
	static const char *const events[] = {
		"{'type':'aer','name':'c0','event_type':8,'information':1,'log_page':2}",
		"{'type':'aer','name':'c0','event_type':1,'information':256,'log_page':2}",
		"{'type':'aer','name':'c0','event_type':1,'information':1,'log_page':-1}",
		"{'type':'aer','name':'c0','event_type':'1','information':1,'log_page':2}",
		"{'type':'aer','name':'c1','event_type':1,'information':1,'log_page':2}",
		"{'type':'aer','name':'c0'}",
		"{'type':'namespace_resized','name':'c0','nsid':0}",
		"{'type':'namespace_resized','name':'c0','nsid':4294967295}",
		"{'type':'namespace_resized','name':'c0'}",
		"{'type':'aer','name':'c0','event_type':6,'information':1,'log_page':129}",
		"{'type':'namespace_formatted','name':'c0','nsid':7}",
	};
	char text[200];

	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		snprintf(text, sizeof(text), "%s", events[i]);
		for (char *quote = text; (quote = strchr(quote, '\'')); quote++)
			*quote = '"';
		rpc_notify(conn, "event", json_loads(text, 0, NULL));
	}
}

/* Every other admin command succeeds and moves nothing; after a while, what was to happen later. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct fake *f = arg;
	unsigned left = __atomic_load_n(&f->ticks_left, __ATOMIC_RELAXED);
	struct nvmux_ring_cmd cmd;

	for (unsigned i = 0; i < f->n_rings; i++) {
		while (admin_ring_next(f->rings[i], &cmd)) {
			identify(f, &cmd);
			admin_ring_complete(f->rings[i], le16toh((uint16_t)cmd.cid), 0, 0, 0);
		}
		admin_ring_arm(f->rings[i]);
	}
	if (left)
		__atomic_store_n(&f->ticks_left, left - 1, __ATOMIC_RELAXED);
	if (left == 1 && f->conn) {
		if (f->script.fail_later)
			rpc_notify(
				f->conn, "event",
				json_pack("{s:s, s:s}", "type", "controller_failed", "name", "c0"));
		if (f->script.events_later)
			notify_all(f->conn);
		if (f->script.shut_ring_later)
			shutdown(admin_ring_wake_fd(f->rings[0]), SHUT_RDWR);
		if (f->script.hang_up_later)
			rpc_conn_close(f->conn);
		if (f->script.drop_ring_later) {
			admin_ring_destroy(f->rings[0]);
			f->n_rings = 0;
		}
	}
}

static void on_opened(void *user, struct rpc_conn *conn)
{
	((struct fake *)user)->conn = conn;
}

static void on_closed(void *user, struct rpc_conn *conn)
{
	((struct fake *)user)->conn = NULL;
}

static void *fake_thread(void *arg)
{
	struct fake *f = arg;

	event_base_dispatch(f->base);
	return NULL;
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct fake *f = arg;

	event_base_loopbreak(f->base);
}

static void fake_start(struct fake *f)
{
	const struct timeval ms = {.tv_usec = 1000};
	struct rpc_server_opts opts = {
		.methods = methods,
		.path = f->path,
		.mode = 0600,
		.listen_fd = -1,
		.max_clients = 4,
		.max_out = 1 << 20,
		.opened = on_opened,
		.closed = on_closed,
		.user = f,
	};
	char why[256];

	f->region_fd = -1;
	strcpy(f->dir, "/tmp/nvmux-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	f->base = opts.base = event_base_new();
	assert_int_equal(rpc_server_create(&opts, &f->server, why, sizeof(why)), 0);
	f->tick = event_new(f->base, -1, EV_PERSIST, on_tick, f);
	event_add(f->tick, &ms);
	/* The base isn't thread-safe: the thread is told through a pipe. */
	assert_int_equal(pipe(f->stop_pipe), 0);
	f->stop = event_new(f->base, f->stop_pipe[0], EV_READ, on_stop, f);
	event_add(f->stop, NULL);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_thread, f), 0);
}

static void fake_stop(struct fake *f)
{
	assert_int_equal(write(f->stop_pipe[1], "", 1), 1);
	pthread_join(f->thread, NULL);
	rpc_server_destroy(f->server);
	for (unsigned i = 0; i < f->n_silent; i++)
		rpc_reply(f->silent[i], json_true());
	for (unsigned i = 0; i < f->n_rings; i++)
		admin_ring_destroy(f->rings[i]);
	event_free(f->tick);
	event_free(f->stop);
	close(f->stop_pipe[0]);
	close(f->stop_pipe[1]);
	if (f->region_fd >= 0)
		close(f->region_fd);
	event_base_free(f->base);
	assert_int_equal(rmdir(f->dir), 0);
}

/* ---- the client ---- */

struct client {
	struct fake fake;
	struct nvmux *nvmux;
	struct nvmux_trid trid;
	struct nvmux_ctrlr *ctrlr;
	unsigned n_removed;
	unsigned fds_before;
};

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static struct client *begin(const struct script *script)
{
	struct client *c = calloc(1, sizeof(*c));

	c->fds_before = count_fds();
	c->fake.script = *script;
	assert_int_equal(nvmux_membarrier_register(), 0);
	fake_start(&c->fake);
	c->trid.trtype = NVMUX_TRTYPE_DAEMON;
	snprintf(c->trid.traddr, sizeof(c->trid.traddr), "%s", c->fake.path);
	strcpy(c->trid.trsvcid, "c0");
	assert_int_equal(nvmux_create(NULL, &c->nvmux), 0);
	return c;
}

/* Now that all is as the test wants it, what its script says may happen. */
static void happen_later(struct client *c)
{
	__atomic_store_n(&c->fake.ticks_left, 10, __ATOMIC_RELAXED);
}

static void on_remove(void *arg, struct nvmux_ctrlr *ctrlr)
{
	((struct client *)arg)->n_removed++;
}

static int attach(struct client *c)
{
	struct nvmux_ctrlr_opts opts;
	int rc;

	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	/* where it isn't to pass the daemon's thread has to have its turn in it */
	opts.admin_timeout_ms = c->fake.script.silent ? 1000 : 20000;
	rc = nvmux_connect(c->nvmux, &c->trid, &opts, &c->ctrlr);
	if (rc == 0)
		nvmux_ctrlr_set_remove_cb(c->ctrlr, on_remove, c);
	return rc;
}

static void end(struct client *c)
{
	nvmux_destroy(c->nvmux);
	fake_stop(&c->fake);
	assert_int_equal(count_fds(), c->fds_before);
	free(c);
}

static void wait_a_little(struct client *c)
{
	struct pollfd p = {.fd = nvmux_get_fd(c->nvmux), .events = POLLIN};

	poll(&p, 1, 10);
	nvmux_process(c->nvmux);
}

/* Process the context until the controller was removed, at most twenty seconds. */
static void wait_removed(struct client *c)
{
	for (int i = 0; i < 2000 && !c->n_removed; i++)
		wait_a_little(c);
	assert_int_equal(c->n_removed, 1);
	assert_true(nvmux_ctrlr_is_failed(c->ctrlr));
}

/* ---- tests ---- */

static void test_good(void **state)
{
	struct client *c = begin(&(struct script){0});
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;

	assert_int_equal(attach(c), 0);
	assert_int_equal(nvmux_ctrlr_get_regs_cap(c->ctrlr), 0x200f0103ff);
	assert_int_equal(nvmux_ctrlr_get_regs_csts(c->ctrlr), 1);
	assert_int_equal(nvmux_ctrlr_get_max_xfer_size(c->ctrlr), 131072);
	assert_int_equal(nvmux_ctrlr_get_max_io_qpairs(c->ctrlr), 4);
	assert_int_equal(nvmux_mem_alloc(c->ctrlr, 10000, 0, &mem), 0);
	assert_int_equal(nvmux_mem_size(mem), 12288);
	memset(nvmux_mem_addr(mem), 1, 12288);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(c->ctrlr, NULL, &qpair), 0);
	assert_int_equal(nvmux_qpair_get_depth(qpair), 32);
	assert_int_equal(nvmux_ctrlr_reset(c->ctrlr), 0);
	nvmux_qpair_free(qpair);
	nvmux_mem_free(mem);
	assert_int_equal(nvmux_detach(c->ctrlr), 0);
	end(c);
}

static void count_end(void *arg, const struct nvmux_cpl *cpl)
{
	(*(unsigned *)arg)++;
}

/* In a ring in place of another one commands are announced as in the first, also when it has as
 * many. */
static void test_connected_anew(void **state)
{
	const struct nvmux_cmd flush = {.opc = nvme_cmd_flush, .nsid = cpu_to_le32(1)};
	const struct nvmux_payload none = {0};
	struct client *c = begin(&(struct script){0});
	struct nvmux_qpair *qpair;
	unsigned ended = 0;

	assert_int_equal(attach(c), 0);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(c->ctrlr, NULL, &qpair), 0);
	for (unsigned n = 1; n < 5; n++) {
		const struct ring_client *ring = &((struct ring_qpair *)qpair)->ring;

		assert_int_equal(qpair->transport->submit(qpair, &flush, &none, count_end, &ended),
				 0);
		assert_int_equal(ring->header->client_sq_tail, 0);
		nvmux_qpair_process_completions(qpair, 0);
		assert_int_equal(ring->header->client_sq_tail, 1);
		assert_int_equal(nvmux_qpair_disconnect(qpair), 0);
		assert_int_equal(ended, n);
		assert_int_equal(nvmux_qpair_reconnect(qpair), 0);
	}
	nvmux_qpair_free(qpair);
	assert_int_equal(nvmux_detach(c->ctrlr), 0);
	end(c);
}

/* Attaching fails with this error, whose text has these words. */
static void attach_fails(const struct script *script, int err, const char *words)
{
	struct client *c = begin(script);
	int rc = attach(c);

	if (rc != err || !strstr(nvmux_error_text(c->nvmux), words))
		fail_msg("%s %s: %d '%s', not %d '%s'", script->change ? script->change : "",
			 script->value ? script->value : "", rc, nvmux_error_text(c->nvmux), err,
			 words);
	end(c);
}

static void test_bad_open(void **state)
{
	static const char *const changes[][2] = {
		{"cap", ""},
		{"cap", "7"},
		{"cap", "\"0x\""},
		{"cap", "\"12\""},
		{"cap", "\"0x1g\""},
		{"cap", "\"0x-1\""},
		{"cap", "\"0x11112222333344445\""},
		{"vs", "\"0x100000000\""},
		{"cc", "null"},
		{"csts", "\"\""},
		{"max_transfer", "0"},
		{"max_transfer", "-1"},
		{"max_transfer", "\"8\""},
		{"max_queue_entries", "1"},
		{"max_queue_entries", "65537"},
		{"max_io_qpairs", "-1"},
		{"max_io_qpairs", "4294967296"},
	};
	char change[64];

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		snprintf(change, sizeof(change), "open_controller %s", changes[i][0]);
		attach_fails(&(struct script){.change = change, .value = changes[i][1]}, -EPROTO,
			     changes[i][0]);
	}
	attach_fails(&(struct script){.fds_of = "open_controller", .fds_delta = -1}, -EPROTO,
		     "brought 1 descriptors, not 2");
	attach_fails(&(struct script){.fds_of = "open_controller", .fds_delta = -2}, -EPROTO,
		     "brought 0 descriptors, not 2");
	attach_fails(&(struct script){.fds_of = "open_controller", .fds_delta = 2}, -EPROTO,
		     "brought 4 descriptors, not 2");
	attach_fails(&(struct script){.pipe_for_ring = true}, -EPROTO, "admin ring of c0: ");
	attach_fails(&(struct script){.refuse = "open_controller"}, -EBUSY,
		     "open_controller: not today");
	attach_fails(&(struct script){.hang_up = "open_controller"}, -ECONNRESET, "");
	attach_fails(&(struct script){.silent = "open_controller"}, -ETIMEDOUT, "opening");
}

static void test_bad_memory(void **state)
{
	static const char *const changes[][2] = {
		{"region", ""},
		{"region", "65536"},
		{"region", "-1"},
		{"region", "\"3\""},
		{"size", "4096"},
		{"size", "0"},
		{"size", "9223372036854775807"},
	};
	char change[64];

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		snprintf(change, sizeof(change), "alloc_memory %s", changes[i][0]);
		attach_fails(&(struct script){.change = change, .value = changes[i][1]}, -EPROTO,
			     changes[i][0]);
	}
	attach_fails(&(struct script){.change = "alloc_memory size", .value = "1000001"}, -EPROTO,
		     "smaller than it should be");
	attach_fails(&(struct script){.short_file = true}, -EPROTO, "smaller than it should be");
	attach_fails(&(struct script){.unsealed = true}, -EPROTO, "sealed against shrinking");
	attach_fails(&(struct script){.fds_of = "alloc_memory", .fds_delta = -1}, -EPROTO,
		     "brought 0 descriptors");
	attach_fails(&(struct script){.fds_of = "alloc_memory", .fds_delta = 1}, -EPROTO,
		     "brought 2 descriptors");
	attach_fails(&(struct script){.silent = "alloc_memory"}, -ETIMEDOUT, "");
	attach_fails(&(struct script){.hang_up = "alloc_memory"}, -ECONNRESET, "");
}

static void queue_fails(const struct script *script, int err, const char *words)
{
	struct client *c = begin(script);
	struct nvmux_qpair *qpair;
	int rc;

	assert_int_equal(attach(c), 0);
	rc = nvmux_ctrlr_alloc_io_qpair(c->ctrlr, NULL, &qpair);
	if (rc != err || !strstr(nvmux_error_text(c->nvmux), words))
		fail_msg("%d '%s', not %d '%s'", rc, nvmux_error_text(c->nvmux), err, words);
	end(c);
}

static void test_bad_queue(void **state)
{
	queue_fails(&(struct script){.change = "alloc_io_qpair qpair", .value = ""}, -EPROTO,
		    "qpair");
	queue_fails(&(struct script){.change = "alloc_io_qpair qpair", .value = "-1"}, -EPROTO,
		    "qpair");
	queue_fails(&(struct script){.fds_of = "alloc_io_qpair", .fds_delta = -1}, -EPROTO,
		    "brought 1 descriptors");
	queue_fails(&(struct script){.fds_of = "alloc_io_qpair", .fds_delta = 1}, -EPROTO,
		    "brought 3 descriptors");
	queue_fails(&(struct script){.refuse = "alloc_io_qpair"}, -EBUSY, "not today");
	queue_fails(&(struct script){.silent = "alloc_io_qpair"}, -ETIMEDOUT, "doesn't answer");
	queue_fails(&(struct script){.hang_up = "alloc_io_qpair"}, -ECONNRESET, "");
}

/* Operations that end although the daemon does its best that they don't. */
static void test_hang_up_when_freeing(void **state)
{
	static const char *const at[] = {"free_io_qpair", "free_memory", "close_controller",
					 "reset_controller"};

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct client *c = begin(&(struct script){.hang_up = at[i]});
		struct nvmux_qpair *qpair;
		struct nvmux_mem *mem;

		assert_int_equal(attach(c), 0);
		assert_int_equal(nvmux_mem_alloc(c->ctrlr, 4096, 0, &mem), 0);
		assert_int_equal(nvmux_ctrlr_alloc_io_qpair(c->ctrlr, NULL, &qpair), 0);
		if (!strcmp(at[i], "reset_controller"))
			assert_int_equal(nvmux_ctrlr_reset(c->ctrlr), -ECONNRESET);
		nvmux_qpair_free(qpair);
		nvmux_mem_free(mem);
		nvmux_detach(c->ctrlr);
		end(c);
	}
}

static void test_refuses_to_free(void **state)
{
	struct client *c = begin(&(struct script){.refuse = "free_memory"});
	struct nvmux_mem *mem;

	assert_int_equal(attach(c), 0);
	assert_int_equal(nvmux_mem_alloc(c->ctrlr, 4096, 0, &mem), 0);
	nvmux_mem_free(mem);
	assert_int_equal(nvmux_detach(c->ctrlr), 0);
	end(c);
}

/* An idle client notices. */
static void test_lost_when_idle(void **state)
{
	static const struct script scripts[] = {
		{.hang_up_later = true},
		{.fail_later = true},
		{.drop_ring_later = true},
		{.shut_ring_later = true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct client *c = begin(&scripts[i]);
		struct nvmux_mem *mem;

		assert_int_equal(attach(c), 0);
		assert_int_equal(nvmux_mem_alloc(c->ctrlr, 4096, 0, &mem), 0);
		happen_later(c);
		wait_removed(c);
		memset(nvmux_mem_addr(mem), 1, 4096); /* the memory stays */
		nvmux_detach(c->ctrlr);
		/* a new connection doesn't know it, wherever its structure lies */
		assert_int_equal(attach(c), 0);
		assert_int_equal(nvmux_mem_map(mem, c->ctrlr), -EXDEV);
		nvmux_mem_free(mem);
		end(c);
	}
}

/* Two controllers on one connection: what one goes through doesn't touch the other. */
static void test_two_controllers(void **state)
{
	struct client *c = begin(&(struct script){.fail_later = true});
	struct nvmux_ctrlr *second;
	struct nvmux_mem *mem;

	strcpy(c->trid.trsvcid, "c1");
	assert_int_equal(attach(c), 0);
	second = c->ctrlr;
	strcpy(c->trid.trsvcid, "c0");
	assert_int_equal(attach(c), 0);
	assert_int_equal(nvmux_mem_alloc(second, 4096, 0, &mem), 0);
	assert_int_equal(nvmux_mem_map(mem, c->ctrlr), 0);
	happen_later(c);
	wait_removed(c);
	assert_false(nvmux_ctrlr_is_failed(second));
	assert_int_equal(nvmux_detach(c->ctrlr), 0);
	nvmux_mem_free(mem);
	assert_int_equal(nvmux_mem_alloc(second, 4096, 0, &mem), 0);
	assert_int_equal(nvmux_detach(second), 0);
	nvmux_mem_free(mem);
	end(c);
}

/* The daemon dies with two controllers of ours, whose buffers it made. */
static void test_two_lost(void **state)
{
	struct client *c = begin(&(struct script){.hang_up_later = true});
	struct nvmux_ctrlr *second;
	struct nvmux_mem *mem;

	strcpy(c->trid.trsvcid, "c1");
	assert_int_equal(attach(c), 0);
	second = c->ctrlr;
	strcpy(c->trid.trsvcid, "c0");
	assert_int_equal(attach(c), 0);
	assert_int_equal(nvmux_mem_alloc(second, 4096, 0, &mem), 0);
	happen_later(c);
	for (int i = 0; i < 2000 && c->n_removed < 2; i++)
		wait_a_little(c);
	assert_int_equal(c->n_removed, 2);
	assert_true(nvmux_ctrlr_is_failed(second));
	assert_true(nvmux_ctrlr_is_failed(c->ctrlr));
	nvmux_detach(second);
	nvmux_detach(c->ctrlr);
	nvmux_mem_free(mem);
	end(c);
}

struct outcome {
	unsigned n;
	int err;
};

static void on_done(void *arg, int err, uint64_t value)
{
	struct outcome *o = arg;

	o->n++;
	o->err = err;
}

struct told {
	unsigned n_aer;
	uint32_t dw0;
	unsigned n_ns;
	uint32_t nsid;
};

static void on_aer(void *arg, const struct nvmux_cpl *cpl)
{
	struct told *told = arg;

	told->n_aer++;
	told->dw0 = le32_to_cpu(cpl->dw0);
}

static void on_ns(void *arg, struct nvmux_ctrlr *ctrlr, uint32_t nsid)
{
	struct told *told = arg;

	told->n_ns++;
	told->nsid = nsid;
}

/* A controller's events reach its callbacks, and only those that can be right. */
static void test_events(void **state)
{
	struct client *c = begin(&(struct script){.events_later = true});
	struct told told = {0};

	assert_int_equal(attach(c), 0);
	nvmux_ctrlr_register_aer_callback(c->ctrlr, on_aer, &told);
	nvmux_ctrlr_register_ns_attr_changed_callback(c->ctrlr, on_ns, &told);
	happen_later(c);
	for (int i = 0; i < 2000 && !told.n_ns; i++)
		wait_a_little(c);
	assert_int_equal(told.n_aer, 1);
	assert_int_equal(told.dw0, 6 | 1 << 8 | 129 << 16);
	assert_int_equal(told.n_ns, 1);
	assert_int_equal(told.nsid, 7);
	assert_int_equal(nvmux_ctrlr_reset_subsystem(c->ctrlr), 0);
	nvmux_detach(c->ctrlr);
	end(c);
}

/* A reset that isn't answered ends after all, and the controller is as good as before. */
static void test_reset_not_answered(void **state)
{
	struct client *c = begin(&(struct script){.silent = "reset_controller"});
	struct nvmux_timer *timer, *deadline = NULL;
	struct outcome o = {0};
	struct nvmux_mem *mem;

	assert_int_equal(attach(c), 0);
	c->ctrlr->transport->managed_reset(c->ctrlr, false, on_done, &o);
	wait_a_little(c);
	assert_int_equal(o.n, 0);
	/* CAP.TO is 7.5 s, twice */
	TAILQ_FOREACH (timer, &c->nvmux->timers, link) {
		if (timer->deadline_ms > nvmux_now_ms() + 15000)
			deadline = timer;
	}
	assert_non_null(deadline);
	assert_true(deadline->deadline_ms < nvmux_now_ms() + 300000);
	nvmux_timer_set(c->nvmux, deadline, 0, deadline->fn, deadline->arg);
	for (int i = 0; i < 2000 && !o.n; i++)
		wait_a_little(c);
	assert_int_equal(o.n, 1);
	assert_int_equal(o.err, -ETIMEDOUT);
	assert_int_equal(nvmux_mem_alloc(c->ctrlr, 4096, 0, &mem), 0);
	nvmux_mem_free(mem);
	assert_int_equal(nvmux_detach(c->ctrlr), 0);
	assert_int_equal(o.n, 1);
	end(c);
}

/* One isn't answered and is given up; the connection goes on, and its late answers are nobody's. */
static void test_one_given_up(void **state)
{
	struct client *c = begin(&(struct script){.silent = "open_controller", .only = "c1"});
	struct nvmux_ctrlr *first;
	struct nvmux_mem *mem;

	assert_int_equal(attach(c), 0);
	first = c->ctrlr;
	strcpy(c->trid.trsvcid, "c1");
	assert_int_equal(attach(c), -ETIMEDOUT);
	assert_int_equal(nvmux_mem_alloc(first, 4096, 0, &mem), 0);
	nvmux_mem_free(mem);
	assert_int_equal(nvmux_detach(first), 0);
	end(c);
}

/* ---- enumeration ---- */

static void on_attached(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr,
			int err)
{
	++*(unsigned *)arg;
}

static bool on_probe(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr_opts *opts)
{
	++*(unsigned *)arg;
	return false;
}

static void enumerates(const struct script *script, int err, unsigned n)
{
	struct client *c = begin(script);
	unsigned found = 0;
	int rc;

	c->trid.trsvcid[0] = '\0';
	rc = nvmux_probe(c->nvmux, &c->trid, on_probe, on_attached, NULL, &found);
	if (rc != err || found != n)
		fail_msg("%s: %d, %u found", script->list ? script->list : "", rc, found);
	end(c);
}

static void test_enumerate(void **state)
{
	enumerates(&(struct script){0}, 0, 1);
	enumerates(&(struct script){.list = "[]"}, 0, 0);
	enumerates(&(struct script){.list = "[{\"name\":\"a\"},{\"name\":\"b\"}]"}, 0, 2);
	enumerates(&(struct script){.list = "{}"}, -EPROTO, 0);
	enumerates(&(struct script){.list = "[7]"}, -EPROTO, 0);
	enumerates(&(struct script){.list = "[{\"name\":\"\"}]"}, -EPROTO, 0);
	enumerates(&(struct script){.list = "[{\"name\":\"123456789012345678901234567890123\"}]"},
		   -EPROTO, 0);
	enumerates(&(struct script){.refuse = "get_controllers"}, -EBUSY, 0);
	enumerates(&(struct script){.hang_up = "get_controllers"}, -ECONNRESET, 0);
}

/* The context ends while a daemon is being asked: the probes end, the connections go. */
static void test_end_within_probe(void **state)
{
	struct client *c = begin(&(struct script){.silent = "get_controllers"});
	struct nvmux_probe_ctx *probes[2];
	unsigned found = 0;

	c->trid.trsvcid[0] = '\0';
	for (unsigned i = 0; i < ARRAY_SIZE(probes); i++) {
		assert_int_equal(nvmux_probe_async(c->nvmux, &c->trid, on_probe, on_attached, NULL,
						   &found, &probes[i]),
				 0);
		wait_a_little(c);
	}
	end(c);
	for (unsigned i = 0; i < ARRAY_SIZE(probes); i++)
		assert_int_equal(nvmux_probe_poll_async(probes[i]), -ECANCELED);
	assert_int_equal(found, 0);
}

static void test_no_daemon(void **state)
{
	struct nvmux_trid trid = {
		.trtype = NVMUX_TRTYPE_DAEMON, .traddr = "/nowhere/sock", .trsvcid = "c0"};
	struct nvmux_ctrlr *ctrlr;
	struct nvmux *nvmux;

	assert_int_equal(nvmux_create(NULL, &nvmux), 0);
	assert_int_equal(nvmux_connect(nvmux, &trid, NULL, &ctrlr), -ENOENT);
	assert_non_null(strstr(nvmux_error_text(nvmux), "no daemon there"));
	trid.trsvcid[0] = '\0';
	assert_int_equal(nvmux_connect(nvmux, &trid, NULL, &ctrlr), -EINVAL);
	assert_non_null(strstr(nvmux_error_text(nvmux), "trsvcid"));
	nvmux_destroy(nvmux);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_connected_anew),
		cmocka_unit_test(test_bad_open),
		cmocka_unit_test(test_bad_memory),
		cmocka_unit_test(test_bad_queue),
		cmocka_unit_test(test_hang_up_when_freeing),
		cmocka_unit_test(test_refuses_to_free),
		cmocka_unit_test(test_lost_when_idle),
		cmocka_unit_test(test_two_controllers),
		cmocka_unit_test(test_two_lost),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_reset_not_answered),
		cmocka_unit_test(test_one_given_up),
		cmocka_unit_test(test_enumerate),
		cmocka_unit_test(test_end_within_probe),
		cmocka_unit_test(test_no_daemon),
	};

	return cmocka_run_group_tests_name("daemon_transport", tests, NULL, NULL);
}
