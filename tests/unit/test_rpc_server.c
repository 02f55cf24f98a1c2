// SPDX-License-Identifier: BSD-3-Clause
/*
 * The RPC server on a real socket, with its event loop in this process: what it answers, and what
 * it does with clients that ask too much, read too little, or leave.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "libcore/util.h"
#include "rpc/passrights.h"
#include "rpc/server.h"

#define LATER_MAX 256
#define NOBODY    65534

struct fixture {
	char dir[64];
	char path[96];
	struct event_base *base;
	struct rpc_server *server;
	struct rpc_server_opts opts;
	unsigned n_opened;
	unsigned n_closed;
	bool admin;
	struct rpc_conn *last;
	struct rpc_request *later[LATER_MAX];
	unsigned n_later;
};

/* ---- methods ---- */

static struct fixture *fixture_of(struct rpc_request *req)
{
	return rpc_server_user(rpc_request_conn(req));
}

static void do_echo(struct rpc_request *req, const json_t *params)
{
	rpc_reply(req, params ? json_incref((json_t *)params) : json_object());
}

static void do_later(struct rpc_request *req, const json_t *params)
{
	struct fixture *f = fixture_of(req);

	assert_true(f->n_later < LATER_MAX);
	f->later[f->n_later++] = req;
}

static void do_fail(struct rpc_request *req, const json_t *params)
{
	rpc_reply_errno(req, -EBUSY, "held by '%s'", "somebody");
}

static void do_big(struct rpc_request *req, const json_t *params)
{
	size_t len = (size_t)rpc_get_integer(params, "bytes", 0);
	char *text = malloc(len + 1);

	memset(text, 'x', len);
	text[len] = '\0';
	rpc_reply(req, json_string(text));
	free(text);
}

/* Descriptors of files that contain their number. */
static void do_fds(struct rpc_request *req, const json_t *params)
{
	unsigned n = (unsigned)rpc_get_integer(params, "n", 0);
	int fds[RPC_FDS_MAX];

	for (unsigned i = 0; i < n; i++) {
		char c = (char)('0' + i);

		fds[i] = memfd_create("test", MFD_CLOEXEC);
		assert_int_equal(write(fds[i], &c, 1), 1);
	}
	rpc_reply_fds(req, json_pack("{s:i}", "n", (int)n), fds, n);
}

static void do_secret(struct rpc_request *req, const json_t *params)
{
	rpc_reply(req, json_true());
}

static void do_bye(struct rpc_request *req, const json_t *params)
{
	struct rpc_conn *conn = rpc_request_conn(req);

	rpc_reply(req, json_true());
	rpc_conn_close(conn);
}

static const struct rpc_param echo_params[] = {
	{"text", RPC_STRING, false, 0, 0, "anything"},
	{"number", RPC_INTEGER, false, 0, 10, "a digit"},
	{0},
};
static const struct rpc_param big_params[] = {{"bytes", RPC_INTEGER, true, 0, 0, ""}, {0}};
static const struct rpc_param fds_params[] = {{"n", RPC_INTEGER, true, 0, RPC_FDS_MAX, ""}, {0}};

static const struct rpc_method methods[] = {
	{"echo", RPC_RIGHT_NONE, echo_params, "", "", do_echo},
	{"later", RPC_RIGHT_NONE, NULL, "", "", do_later},
	{"fail", RPC_RIGHT_NONE, NULL, "", "", do_fail},
	{"big", RPC_RIGHT_NONE, big_params, "", "", do_big},
	{"fds", RPC_RIGHT_NONE, fds_params, "", "", do_fds},
	{"secret", RPC_RIGHT_ADMIN, NULL, "", "", do_secret},
	{"bye", RPC_RIGHT_NONE, NULL, "", "", do_bye},
	{0},
};

/* ---- the fixture ---- */

static void on_opened(void *user, struct rpc_conn *conn)
{
	struct fixture *f = user;

	f->n_opened++;
	f->last = conn;
}

static void on_closed(void *user, struct rpc_conn *conn)
{
	struct fixture *f = user;

	f->n_closed++;
	if (f->last == conn)
		f->last = NULL;
}

static bool on_may(void *user, struct rpc_conn *conn, enum rpc_right right)
{
	return ((struct fixture *)user)->admin;
}

static void start(struct fixture *f)
{
	char why[256] = "";

	if (rpc_server_create(&f->opts, &f->server, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/nvmux-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	f->base = event_base_new();
	f->opts = (struct rpc_server_opts){
		.base = f->base,
		.methods = methods,
		.version = "9.8.7",
		.path = f->path,
		.mode = 0660,
		.listen_fd = -1,
		.max_clients = 8,
		.max_out = 2 << 20,
		.opened = on_opened,
		.closed = on_closed,
		.may = on_may,
		.user = f,
	};
	start(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rpc_server_destroy(f->server);
	for (unsigned i = 0; i < f->n_later; i++)
		rpc_reply(f->later[i], json_true());
	event_base_free(f->base);
	assert_int_equal(f->n_opened, f->n_closed);
	assert_int_equal(rmdir(f->dir), 0); /* socket and lock have gone */
	free(f);
	return 0;
}

static void turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void turns(struct fixture *f, int n)
{
	while (n-- > 0)
		turn(f);
}

static void sleep_ms(long ms)
{
	const struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static int dial(struct fixture *f)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	turns(f, 2);
	return fd;
}

/* Connect as another user. */
static int dial_as(struct fixture *f, uid_t uid)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int rc, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, f->path);
	assert_int_equal(seteuid(uid), 0);
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(rc, 0);
	turns(f, 2);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* What comes next, up to a newline; NULL at the end of the connection, "" when nothing comes. */
static const char *hear(struct fixture *f, int fd)
{
	static char line[4 << 20];
	size_t len = 0;
	char *end = NULL;

	for (int idle = 0; idle < 50 && !end;) {
		ssize_t n = recv(fd, line + len, sizeof(line) - len - 1, MSG_PEEK);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return NULL;
		if (n < 0) {
			turn(f);
			idle++;
			continue;
		}
		end = memchr(line + len, '\n', (size_t)n);
		n = read(fd, line + len, end ? (size_t)(end + 1 - line) - len : (size_t)n);
		assert_true(n > 0);
		len += (size_t)n;
	}
	line[len] = '\0';
	if (len)
		line[len - 1] = '\0';
	return line;
}

static void expect(struct fixture *f, int fd, const char *want)
{
	const char *got = hear(f, fd);

	assert_non_null(got);
	assert_string_equal(got, want);
}

/* The next line is an error with this code and a message that begins so. */
static void expect_error(struct fixture *f, int fd, const char *id, int code, const char *message)
{
	const char *got = hear(f, fd);
	char want[256];

	assert_non_null(got);
	snprintf(want, sizeof(want),
		 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":%d,\"message\":\"%s", id, code,
		 message);
	if (strncmp(got, want, strlen(want)) != 0)
		fail_msg("got %s\nwant %s", got, want);
}

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* ---- requests ---- */

static void test_ids(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"number\":7}}");
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"number\":7}}");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"b\\u00e4\",\"method\":\"echo\"}");
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"b\xc3\xa4\",\"result\":{}}");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"echo\",\"params\":[]}");
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":-1.5,\"method\":\"echo\"}");
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":-1.5,\"result\":{}}");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":9223372036854775807,\"method\":\"fail\"}");
	expect(f, fd,
	       "{\"jsonrpc\":\"2.0\",\"id\":9223372036854775807,\"error\":{\"code\":-32000,"
	       "\"message\":\"held by 'somebody'\",\"data\":{\"errno\":\"EBUSY\"}}}");
	close(fd);
	turns(f, 3);
	assert_int_equal(f->n_closed, 1);
}

static void test_invalid(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "7 \"x\" null ");
	for (int i = 0; i < 3; i++)
		expect_error(f, fd, "null", -32600, "invalid request: a request is an object");
	say(fd, "{\"id\":1,\"method\":\"echo\"}");
	expect_error(f, fd, "1", -32600, "invalid request: member 'jsonrpc' must be");
	say(fd, "{\"jsonrpc\":\"1.0\",\"id\":\"x\",\"method\":\"echo\"}");
	expect_error(f, fd, "\"x\"", -32600, "invalid request: member 'jsonrpc' must be");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"echo\"}");
	expect_error(f, fd, "null", -32600, "invalid request: member 'id' must be");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"echo\"}");
	expect_error(f, fd, "null", -32600, "invalid request: member 'id' must be");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1}");
	expect_error(f, fd, "1", -32600, "invalid request: member 'method' must be");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":5}");
	expect_error(f, fd, "1", -32600, "invalid request: member 'params' must be");
	say(fd, "{\"jsonrpc\":\"2.0\",\"method\":5}"); /* without an id, but no notification */
	expect_error(f, fd, "null", -32600, "invalid request: member 'method' must be");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ehco\"}");
	expect_error(f, fd, "1", -32601, "no method 'ehco': did you mean 'echo'?");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"zzzzzzzz\"}");
	expect_error(f, fd, "1", -32601, "no method 'zzzzzzzz'\"");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":[1]}");
	expect_error(f, fd, "1", -32602, "parameters are passed by name");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"numer\":1}}");
	expect_error(f, fd, "1", -32602, "unknown parameter 'numer': did you mean 'number'?");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}"); /* and it goes on */
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	close(fd);
}

static void test_long_id(void **state)
{
	struct fixture *f = *state;
	char text[600];
	int fd = dial(f);

	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":\"%0300d\",\"method\":\"echo\"}",
		 0);
	say(fd, text);
	expect_error(f, fd, "null", -32600, "invalid request: member 'id' must be");
	close(fd);
}

static void test_rights(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"secret\"}");
	expect(f, fd,
	       "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32001,\"message\":"
	       "\"method 'secret' needs the right 'admin'\","
	       "\"data\":{\"right\":\"admin\",\"errno\":\"EACCES\"}}}");
	f->admin = true;
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"secret\"}");
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}");
	assert_int_equal(rpc_conn_cred(f->last)->pid, getpid());
	assert_int_equal(rpc_conn_cred(f->last)->uid, getuid());
	close(fd);
}

static void test_discover(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	const char *line;
	json_t *doc;

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.discover\"}");
	line = hear(f, fd);
	doc = json_loads(line, 0, NULL);
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(doc, "result"), "methods")),
		ARRAY_SIZE(methods) - 1);
	json_decref(doc);
	close(fd);
}

static void test_notifications(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}"
		"{\"jsonrpc\":\"2.0\",\"method\":\"nothing_like_that\"}"
		"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":{\"number\":99}}"
		"{\"jsonrpc\":\"2.0\",\"method\":\"later\"}"
		"{\"jsonrpc\":\"2.0\",\"method\":\"fds\",\"params\":{\"n\":2}}");
	expect(f, fd, "");
	assert_int_equal(f->n_later, 1);
	rpc_reply(f->later[0], json_true());
	f->n_later = 0;
	expect(f, fd, "");
	rpc_notify(f->last, "event", json_pack("{s:i}", "n", 1));
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"n\":1}}");
	rpc_notify(f->last, "event", NULL);
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"method\":\"event\"}");
	close(fd);
}

static void test_batches(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"},"
		"{\"jsonrpc\":\"2.0\",\"method\":\"echo\"},"
		"7,"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"},"
		"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"later\"}]");
	expect(f, fd, "");
	assert_int_equal(f->n_later, 2);
	rpc_reply(f->later[1], json_integer(33));
	expect(f, fd, "");
	rpc_reply(f->later[0], json_integer(11));
	f->n_later = 0;
	expect(f, fd,
	       "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":11},"
	       "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":"
	       "\"invalid request: a request is an object\"}},"
	       "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}},"
	       "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":33}]");
	say(fd, "[{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}]"); /* notifications only: no array */
	expect(f, fd, "");
	say(fd, "[]");
	expect_error(f, fd, "null", -32600, "invalid request: an empty batch");
	close(fd);
}

static void test_batch_limit(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	for (int n = RPC_BATCH_MAX; n <= RPC_BATCH_MAX + 1; n++) {
		say(fd, "[");
		for (int i = 0; i < n; i++)
			say(fd, i ? ",{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}"
				  : "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}");
		say(fd, "]");
		if (n == RPC_BATCH_MAX) {
			json_t *list = json_loads(hear(f, fd), 0, NULL);

			assert_int_equal(json_array_size(list), RPC_BATCH_MAX);
			json_decref(list);
		} else {
			expect_error(f, fd, "null", -32600,
				     "invalid request: a batch of more than 64");
		}
	}
	close(fd);
}

/* The client goes while a batch is half answered. */
static void test_batch_orphaned(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"},"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"fds\",\"params\":{\"n\":2}},"
		"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"later\"}]");
	turns(f, 3);
	assert_int_equal(f->n_later, 2);
	rpc_reply(f->later[0], json_true());
	close(fd);
	turns(f, 3);
	assert_int_equal(f->n_closed, 1);
	assert_null(rpc_request_conn(f->later[1]));
	rpc_reply(f->later[1], json_true());
	f->n_later = 0;
}

static void test_byte_by_byte(void **state)
{
	static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":"
				   "{\"text\":\"}\\\"\"}}";
	struct fixture *f = *state;
	int fd = dial(f);

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(write(fd, text + i, 1), 1);
		turn(f);
	}
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"text\":\"}\\\"\"}}");
	close(fd);
}

static void test_broken_json(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}{\"a\":]}{}{}");
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	expect(f, fd,
	       "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":"
	       "\"not JSON: byte 6: ']' where '}' must close\"}}");
	assert_null(hear(f, fd));
	assert_int_equal(f->n_closed, 1);
	close(fd);
	fd = dial(f);
	for (int i = 0; i < RPC_DEPTH_MAX + 1; i++)
		say(fd, "[");
	expect_error(f, fd, "null", -32700, "not JSON: byte 33: nested deeper than 32 levels");
	assert_null(hear(f, fd));
	close(fd);
	fd = dial(f);
	say(fd, "{\"jsonrpc\":\"2.0\",");
	shutdown(fd, SHUT_WR);
	expect_error(f, fd, "null", -32700, "not JSON: byte 17: the input ended within a value");
	assert_null(hear(f, fd));
	close(fd);
}

static void test_too_large(void **state)
{
	struct fixture *f = *state;
	char junk[4096];
	int fd = dial(f);

	memset(junk, 'x', sizeof(junk));
	say(fd, "{\"a\":\"");
	for (size_t sent = 0; sent < RPC_MESSAGE_MAX;) {
		ssize_t n = write(fd, junk, sizeof(junk));

		sent += n > 0 ? (size_t)n : 0;
		turn(f);
	}
	expect_error(f, fd, "null", -32700, "not JSON: a JSON value of more than 1048576 bytes");
	assert_null(hear(f, fd));
	close(fd);
	fd = dial(f); /* an answer that no client would take */
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"big\",\"params\":{\"bytes\":1048576}}");
	expect_error(f, fd, "5", -32002, "the answer has 1048613 bytes");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"echo\"}");
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":6,\"result\":{}}");
	close(fd);
}

/* ---- descriptors ---- */

/* Read once, keep the descriptors; the bytes read, or -1 when nothing is there. */
static ssize_t take_fds(int fd, char *buf, size_t size, int *fds, unsigned *n_fds)
{
	char control[CMSG_SPACE(64 * sizeof(int))];
	struct iovec iov = {buf, size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);

	*n_fds = 0;
	if (c) {
		*n_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *n_fds * sizeof(int));
	}
	return n;
}

static void check_fd(int fd, char want)
{
	char c;

	assert_int_equal(pread(fd, &c, 1, 0), 1);
	assert_int_equal(c, want);
	close(fd);
}

static void test_fds(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f), fds[64];
	unsigned before = count_fds(), n;
	char buf[256];
	ssize_t len;

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fds\",\"params\":{\"n\":3}}");
	turns(f, 3);
	len = take_fds(fd, buf, 1, fds, &n); /* all with the first byte */
	assert_int_equal(len, 1);
	assert_int_equal(n, 3);
	for (unsigned i = 0; i < n; i++)
		check_fd(fds[i], (char)('0' + i));
	expect(f, fd, "\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"n\":3},\"fds\":3}");
	assert_int_equal(count_fds(), before); /* the server closed its own */
	close(fd);
}

static void test_fds_in_batch(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f), fds[64];
	char text[1024] = "";
	unsigned n;

	say(fd, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fds\",\"params\":{\"n\":1}},"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"},"
		"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"fds\",\"params\":{\"n\":2}}]");
	turns(f, 3);
	for (unsigned got = 0; got < 3;) {
		size_t used = strlen(text);

		assert_true(take_fds(fd, text + used, sizeof(text) - used - 1, fds, &n) > 0);
		for (unsigned i = 0; i < n; i++)
			check_fd(fds[i], (char)('0' + i));
		got += n;
	}
	assert_int_equal(read(fd, text, 1), -1);
	assert_string_equal(text,
			    "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"n\":1},\"fds\":1},"
			    "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}},"
			    "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"n\":2},\"fds\":2}]\n");
	close(fd);
}

/* A client that takes no descriptors has few of them in flight, and gets the rest when it does. */
static void test_fds_in_flight(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f), fds[64];
	unsigned n, got = 0, at_first;
	char buf[4096];

	for (int i = 0; i < 20; i++)
		say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fds\",\"params\":{\"n\":4}}");
	turns(f, 20);
	while (take_fds(fd, buf, sizeof(buf), fds, &n) > 0) {
		got += n;
		while (n > 0)
			close(fds[--n]);
	}
	at_first = got;
	assert_int_equal(at_first, 16);
	for (int i = 0; i < 200 && got < 80; i++) {
		sleep_ms(5);
		turn(f);
		while (take_fds(fd, buf, sizeof(buf), fds, &n) > 0) {
			got += n;
			while (n > 0)
				close(fds[--n]);
		}
	}
	assert_int_equal(got, 80);
	close(fd);
}

/* Descriptors that a client sends are dropped by the kernel, not received. */
static void test_client_sends_fds(void **state)
{
	static char text[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}";
	struct fixture *f = *state;
	int fd = dial(f), pair[2], end;
	union {
		struct cmsghdr c;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {.c = {.cmsg_len = CMSG_LEN(sizeof(int)),
			   .cmsg_level = SOL_SOCKET,
			   .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {text, sizeof(text) - 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	socklen_t len = sizeof(int);
	unsigned before;
	int on;
	char c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	before = count_fds();
	end = pair[1];
	memcpy(CMSG_DATA(&control.c), &end, sizeof(int));
	if (getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, &len) == 0) {
		assert_int_equal(sendmsg(fd, &msg, 0), -1);
		assert_int_equal(errno, EPERM);
		say(fd, text);
	} else { /* a kernel before 6.16 */
		assert_int_equal(sendmsg(fd, &msg, 0), sizeof(text) - 1);
	}
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	assert_int_equal(count_fds(), before);
	close(pair[1]); /* ours was the only one left: the other end sees the end */
	assert_int_equal(recv(pair[0], &c, 1, MSG_DONTWAIT), 0);
	close(pair[0]);
	close(fd);
}

/* ---- limits ---- */

static void test_backpressure(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	for (int i = 0; i < 100; i++)
		say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"}");
	turns(f, 20);
	assert_int_equal(f->n_later, 64);
	for (int i = 0; i < 64; i++)
		rpc_reply(f->later[i], json_true());
	f->n_later = 0;
	turns(f, 20);
	assert_int_equal(f->n_later, 36);
	for (int i = 0; i < 36; i++)
		rpc_reply(f->later[i], json_true());
	f->n_later = 0;
	for (int i = 0; i < 100; i++)
		expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}");
	close(fd);
}

/* It reads nothing: neither its requests nor its answers pile up, and it is not dropped. */
static void test_slow_reader(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	for (int i = 0; i < 60; i++)
		say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\",\"params\":{\"bytes\":"
			"50000}}");
	turns(f, 50);
	assert_int_equal(f->n_closed, 0);
	for (int i = 0; i < 60; i++)
		assert_int_equal(strlen(hear(f, fd)),
				 50000 + strlen("{\"jsonrpc\":\"2.0\",\"id\":1,"
						"\"result\":\"\"}"));
	close(fd);
}

static void test_over_max_out(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	char *text = malloc(100001);

	memset(text, 'x', 100000);
	text[100000] = '\0';
	for (int i = 0; i < 40; i++)
		say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"}");
	turns(f, 20);
	assert_int_equal(f->n_later, 40);
	for (int i = 0; i < 40; i++) {
		rpc_reply(f->later[i], json_string(text));
		turns(f, 2);
	}
	f->n_later = 0;
	assert_null(f->last);
	assert_int_equal(f->n_closed, 1);
	free(text);
	close(fd);
}

/* Read what there is; returns how many notifications the server says it has dropped. */
static json_int_t hear_events(struct fixture *f, int fd, json_int_t *ret_next)
{
	json_int_t lost = 0;

	for (const char *line = hear(f, fd); line && line[0]; line = hear(f, fd)) {
		json_t *message = json_loads(line, 0, NULL);
		const json_t *params = json_object_get(message, "params");

		assert_string_equal(json_string_value(json_object_get(message, "method")), "event");
		if (json_object_get(params, "count")) {
			assert_string_equal(json_string_value(json_object_get(params, "type")),
					    "events_lost");
			lost += json_integer_value(json_object_get(params, "count"));
			*ret_next += json_integer_value(json_object_get(params, "count"));
		} else { /* in their order, with nothing missing that isn't told of */
			assert_int_equal(json_integer_value(json_object_get(params, "n")),
					 *ret_next);
			++*ret_next;
		}
		json_decref(message);
	}
	return lost;
}

/* Nobody reads the notifications: they are dropped, the connection isn't. */
static void test_notifications_lost(void **state)
{
	struct fixture *f = *state;
	const json_int_t n = 50000;
	json_int_t next = 0, lost;
	int fd = dial(f);

	for (json_int_t i = 0; i < n; i++) {
		rpc_notify(f->last, "event", json_pack("{s:I}", "n", i));
		if (i % 16 == 0)
			turn(f);
	}
	turns(f, 5);
	assert_int_equal(f->n_closed, 0);
	lost = hear_events(f, fd, &next);
	assert_true(lost > n / 2);
	assert_int_equal(next, n);
	rpc_notify(f->last, "event", json_pack("{s:I}", "n", n));
	assert_int_equal(hear_events(f, fd, &next), 0);
	assert_int_equal(next, n + 1);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}");
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	close(fd);
}

/* A batch doesn't keep others from their turn, and its answers stay in bounds. */
static void test_turns(void **state)
{
	struct fixture *f = *state;
	const int one_pass = EVLOOP_ONCE | EVLOOP_NONBLOCK; /* turn() is as many as it takes */
	int fd = dial(f), other = dial(f);
	char line[256];
	json_t *list;
	size_t i;

	say(fd, "[");
	for (i = 0; i < RPC_BATCH_MAX; i++) {
		const bool later = i == 0 || i == RPC_BATCH_MAX - 1;

		snprintf(line, sizeof(line),
			 "%s{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"%s\",\"params\":{%s}}",
			 i ? "," : "", i, later ? "later" : "big", later ? "" : "\"bytes\":60000");
		say(fd, line);
	}
	say(fd, "]");
	event_base_loop(f->base, one_pass); /* begins with it */
	say(other, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"}");
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":99,\"method\":\"echo\"}");
	for (i = 0; i < 3; i++)
		event_base_loop(f->base, one_pass);
	assert_int_equal(f->n_later, 2); /* while most of the batch is still to be served */
	rpc_reply(f->later[1], json_true());
	expect(f, other, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}");
	turns(f, 10);
	assert_int_equal(recv(fd, line, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	turns(f, 100);
	assert_int_equal(f->n_later, 3);
	rpc_reply(f->later[0], json_true());
	rpc_reply(f->later[2], json_true());
	f->n_later = 0;
	list = json_loads(hear(f, fd), 0, NULL);
	assert_int_equal(json_array_size(list), RPC_BATCH_MAX);
	for (i = 0; i < RPC_BATCH_MAX; i++) {
		const json_t *answer = json_array_get(list, i);

		assert_int_equal(json_integer_value(json_object_get(answer, "id")), i);
		/* fifteen of them and small ones fit into one message */
		assert_true((i < 16 || i == RPC_BATCH_MAX - 1) ==
			    (json_object_get(answer, "result") != NULL));
	}
	json_decref(list);
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}");
	close(fd);
	close(other);
}

/* The client goes while its batch waits for the next turn. */
static void test_batch_interrupted(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "[");
	for (int i = 0; i < RPC_BATCH_MAX; i++)
		say(fd, i ? ",{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"}"
			  : "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bye\"}");
	say(fd, "]");
	turns(f, 5);
	assert_int_equal(f->n_closed, 1);
	assert_true(f->n_later < RPC_BATCH_MAX - 1);
	close(fd);
}

static void test_max_clients(void **state)
{
	struct fixture *f = *state;
	int fds[8], extra;

	for (int i = 0; i < 8; i++)
		fds[i] = dial(f);
	extra = dial(f);
	expect(f, extra,
	       "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32002,\"message\":"
	       "\"too many clients: the limit is 8 (max_clients in the configuration)\","
	       "\"data\":{\"limit\":\"max_clients\",\"errno\":\"EDQUOT\"}}}");
	assert_null(hear(f, extra));
	close(extra);
	assert_int_equal(f->n_opened, 8);
	close(fds[0]);
	turns(f, 3);
	fds[0] = dial(f);
	say(fds[0], "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}");
	expect(f, fds[0], "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	for (int i = 0; i < 8; i++)
		close(fds[i]);
}

/* Users without rights get half of the connections only. */
static void test_reserve(void **state)
{
	struct fixture *f = *state;
	int fds[8], extra;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->dir, 0711), 0);
	assert_int_equal(chmod(f->path, 0666), 0);
	for (int i = 0; i < 4; i++)
		fds[i] = dial_as(f, NOBODY);
	extra = dial_as(f, NOBODY + 1);
	expect_error(f, extra, "null", -32002,
		     "too many clients: the limit for users without rights is 4 (half of "
		     "max_clients in the configuration)");
	assert_null(hear(f, extra));
	close(extra);
	for (int i = 4; i < 8; i++)
		fds[i] = dial(f);
	assert_int_equal(f->n_opened, 8);
	close(fds[0]);
	close(fds[7]);
	turns(f, 3);
	fds[0] = dial_as(f, NOBODY);
	assert_int_equal(f->n_opened, 9);
	for (int i = 0; i < 7; i++)
		close(fds[i]);
}

/* Out of descriptors: accepting pauses, without spinning, and goes on later. */
static void test_out_of_fds(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct rlimit limit, low;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), probe;

	strcpy(addr.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	probe = dup(0);
	close(probe);
	low.rlim_cur = (rlim_t)probe; /* the next descriptor would be this one */
	setrlimit(RLIMIT_NOFILE, &low);
	turns(f, 3);
	assert_int_equal(f->n_opened, 0);
	/* The listening socket is readable all the time, yet the loop has nothing to do. */
	assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ACTIVE), 0);
	sleep_ms(20);
	turn(f);
	assert_int_equal(f->n_opened, 0);
	setrlimit(RLIMIT_NOFILE, &limit);
	sleep_ms(120);
	turns(f, 3);
	assert_int_equal(f->n_opened, 1);
	close(fd);
}

/* ---- ends of connections ---- */

static void test_half_close(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"}"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}");
	shutdown(fd, SHUT_WR);
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
	assert_int_equal(f->n_closed, 0);
	rpc_reply(f->later[0], json_true());
	f->n_later = 0;
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}");
	assert_null(hear(f, fd));
	assert_int_equal(f->n_closed, 1);
	close(fd);
}

static void test_gone_with_requests(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f), fds[1] = {memfd_create("test", 0)};
	unsigned before;

	for (int i = 0; i < 3; i++)
		say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"}");
	turns(f, 3);
	close(fd);
	turns(f, 3);
	assert_int_equal(f->n_closed, 1);
	before = count_fds();
	assert_null(rpc_request_conn(f->later[0]));
	assert_string_equal(rpc_request_method(f->later[0]), "later");
	rpc_reply(f->later[0], json_true());
	rpc_reply_errno(f->later[1], -EIO, "too late");
	rpc_reply_fds(f->later[2], json_true(), fds, 1);
	assert_int_equal(count_fds(), before - 1);
	f->n_later = 0;
}

/* While it isn't read from, its death is noticed nevertheless. */
static void test_gone_while_paused(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	for (int i = 0; i < 70; i++)
		say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"}");
	turns(f, 10);
	assert_int_equal(f->n_later, 64);
	close(fd);
	for (int i = 0; i < 60 && !f->n_closed; i++) {
		sleep_ms(30);
		turn(f);
	}
	assert_int_equal(f->n_closed, 1);
}

static void test_close_by_server(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bye\"}"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}");
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}");
	assert_null(hear(f, fd));
	assert_int_equal(f->n_closed, 1);
	close(fd);
}

/* Closed by the server, but it never reads what is queued. */
static void test_linger(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	for (int i = 0; i < 20; i++)
		say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\",\"params\":{\"bytes\":"
			"50000}}");
	turns(f, 10);
	rpc_conn_close(f->last);
	turns(f, 3);
	assert_int_equal(f->n_closed, 0);
	for (int i = 0; i < 60 && !f->n_closed; i++) {
		sleep_ms(50);
		turn(f);
	}
	assert_int_equal(f->n_closed, 1);
	close(fd);
}

static void test_stop(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	rpc_server_stop(f->server);
	assert_int_equal(access(f->path, F_OK), -1);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}"); /* still served */
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	rpc_server_stop(f->server);
	close(fd);
}

/* ---- without memory ---- */

static unsigned allocs_left = UINT_MAX; /* of jansson, which takes no argument of ours */

static void *scarce_malloc(size_t size)
{
	if (allocs_left == 0)
		return NULL;
	allocs_left--;
	return malloc(size);
}

/* The N-th allocation and all that follow fail, for every N that matters: a client gets an answer
 * or the end of its connection, and the server lives on. */
static void test_no_memory(void **state)
{
	static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fail\"}"
				   "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fds\","
				   "\"params\":{\"n\":2}},7,{\"jsonrpc\":\"2.0\",\"id\":2,"
				   "\"method\":\"none\"}]";
	struct fixture *f = *state;
	unsigned n_closed, n_answered = 0, before = count_fds();

	json_set_alloc_funcs(scarce_malloc, free);
	for (unsigned n = 0; n < 400 && n_answered == 0; n++) {
		int fd = dial(f);

		n_closed = f->n_closed;
		allocs_left = n;
		say(fd, text);
		turns(f, 4);
		allocs_left = UINT_MAX;
		if (f->n_closed == n_closed) {
			expect_error(f, fd, "1", -32000, "held by");
			assert_int_equal(hear(f, fd)[0], '[');
			n_answered++;
		}
		close(fd);
		turns(f, 4);
	}
	assert_int_equal(n_answered, 1);
	assert_int_equal(count_fds(), before);
	json_set_alloc_funcs(malloc, free);
}

/* ---- the socket ---- */

static void test_socket_mode(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	rpc_server_destroy(f->server);
	f->opts.mode = 0600;
	start(f);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void refuse(struct fixture *f, int err, const char *want)
{
	struct rpc_server *server;
	char why[256];

	assert_int_equal(rpc_server_create(&f->opts, &server, why, sizeof(why)), err);
	if (!strstr(why, want))
		fail_msg("says '%s', not '%s'", why, want);
}

static void test_socket_in_use(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	refuse(f, -EADDRINUSE, "another server runs");
	rpc_server_destroy(f->server);
	f->server = NULL;
	/* somebody else's, alive */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(addr.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	refuse(f, -EADDRINUSE, "somebody listens on it already");
	assert_int_equal(access(f->path, F_OK), 0);
	/* and stale: taken over */
	close(fd);
	assert_int_equal(access(f->path, F_OK), 0);
	start(f);
	close(dial(f));
	rpc_server_destroy(f->server);
	f->server = NULL;
	/* not a socket at all */
	fd = open(f->path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	refuse(f, -EEXIST, "exists and is not a socket");
	assert_int_equal(unlink(f->path), 0);
	f->opts.group = "no-such-group-here";
	refuse(f, -ENOENT, "group 'no-such-group-here'");
}

/* Somebody put another socket there: it isn't ours to remove. */
static void test_socket_replaced(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	assert_int_equal(unlink(f->path), 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(addr.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	rpc_server_destroy(f->server);
	f->server = NULL;
	assert_int_equal(access(f->path, F_OK), 0);
	assert_int_equal(unlink(f->path), 0);
	close(fd);
}

static void test_given_socket(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	rpc_server_destroy(f->server);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(addr.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	f->opts.listen_fd = fd;
	start(f);
	fd = dial(f);
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}");
	expect(f, fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	close(fd);
	rpc_server_destroy(f->server);
	f->server = NULL;
	assert_int_equal(unlink(f->path), 0); /* it stayed, as it wasn't made here */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ids),
		TEST(test_invalid),
		TEST(test_long_id),
		TEST(test_rights),
		TEST(test_discover),
		TEST(test_notifications),
		TEST(test_batches),
		TEST(test_batch_limit),
		TEST(test_batch_orphaned),
		TEST(test_byte_by_byte),
		TEST(test_broken_json),
		TEST(test_too_large),
		TEST(test_fds),
		TEST(test_fds_in_batch),
		TEST(test_fds_in_flight),
		TEST(test_client_sends_fds),
		TEST(test_backpressure),
		TEST(test_slow_reader),
		TEST(test_over_max_out),
		TEST(test_notifications_lost),
		TEST(test_turns),
		TEST(test_batch_interrupted),
		TEST(test_max_clients),
		TEST(test_reserve),
		TEST(test_out_of_fds),
		TEST(test_half_close),
		TEST(test_gone_with_requests),
		TEST(test_gone_while_paused),
		TEST(test_close_by_server),
		TEST(test_linger),
		TEST(test_stop),
		TEST(test_no_memory),
		TEST(test_socket_mode),
		TEST(test_socket_in_use),
		TEST(test_socket_replaced),
		TEST(test_given_socket),
	};

	return cmocka_run_group_tests_name("rpc_server", tests, NULL, NULL);
}
