// SPDX-License-Identifier: BSD-3-Clause
/*
 * The RPC client against servers that follow a script: well-behaved ones, and those that send
 * whatever they like.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "libcore/util.h"
#include "rpc/client.h"

struct answer {
	unsigned n;
	int err;
	char text[256];
	json_t *result;
	unsigned n_fds;
	int keep; /* how many descriptors to keep */
	int fds[RPC_FDS_MAX];
	struct rpc_client *destroy; /* within the callback */
	struct rpc_client *again;   /* call within the callback */
	int again_rc;
};

struct fixture {
	char dir[64];
	char path[96];
	int listener;
	int fd; /* the server's end */
	struct rpc_client *client;
	unsigned fds_before;
	struct answer a;
	char method[64];
	unsigned n_notified;
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

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	f->fds_before = count_fds();
	strcpy(f->dir, "/tmp/nvmux-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	strcpy(addr.sun_path, f->path);
	f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(f->listener, 1), 0);
	assert_int_equal(rpc_client_connect(f->path, &f->client), 0);
	f->fd = accept(f->listener, NULL, NULL);
	assert_true(f->fd >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rpc_client_destroy(f->client);
	json_decref(f->a.result);
	if (f->fd >= 0)
		close(f->fd);
	close(f->listener);
	unlink(f->path);
	rmdir(f->dir);
	assert_int_equal(count_fds(), f->fds_before); /* none was kept */
	free(f);
	return 0;
}

static void on_answer(void *arg, struct rpc_response *response)
{
	struct answer *a = arg;

	a->n++;
	a->err = response->err;
	snprintf(a->text, sizeof(a->text), "%s", response->text);
	json_decref(a->result);
	a->result = json_incref(response->result);
	a->n_fds = response->n_fds;
	for (int i = 0; i < a->keep; i++) {
		a->fds[i] = response->fds[i];
		response->fds[i] = -1;
	}
	if (a->destroy)
		rpc_client_destroy(a->destroy);
	if (a->again)
		a->again_rc = rpc_client_call_async(a->again, "again", NULL, on_answer, a);
}

static void call(struct fixture *f)
{
	assert_int_equal(rpc_client_call_async(f->client, "m", NULL, on_answer, &f->a), 0);
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(send(f->fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Send @text with @n descriptors. */
static void say_fds(struct fixture *f, const char *text, unsigned n)
{
	char control[CMSG_SPACE(32 * sizeof(int))] = {0};
	struct iovec iov = {(char *)text, strlen(text)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fds[32];

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (unsigned i = 0; i < n; i++) {
		char mark = (char)('0' + i);

		fds[i] = memfd_create("test", 0);
		assert_int_equal(write(fds[i], &mark, 1), 1);
	}
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	assert_int_equal(sendmsg(f->fd, &msg, 0), strlen(text));
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

/* ---- well-behaved servers ---- */

static void test_result(void **state)
{
	struct fixture *f = *state;
	char buf[256] = "";

	assert_int_equal(
		rpc_client_call_async(f->client, "m", json_pack("{s:i}", "x", 5), on_answer, &f->a),
		0);
	assert_true(read(f->fd, buf, sizeof(buf) - 1) > 0);
	assert_string_equal(
		buf, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{\"x\":5}}\n");
	assert_int_equal(rpc_client_process(f->client), 0);
	assert_int_equal(f->a.n, 0);
	say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"res");
	assert_int_equal(rpc_client_process(f->client), 0);
	assert_int_equal(f->a.n, 0);
	say(f, "ult\":[7]}");
	assert_int_equal(rpc_client_process(f->client), 0);
	assert_int_equal(f->a.n, 1);
	assert_int_equal(f->a.err, 0);
	assert_string_equal(f->a.text, "");
	assert_int_equal(json_array_size(f->a.result), 1);
}

static void test_any_order(void **state)
{
	struct fixture *f = *state;
	struct answer second = {0};

	call(f);
	assert_int_equal(rpc_client_call_async(f->client, "n", NULL, on_answer, &second), 0);
	say(f, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"two\"}{\"jsonrpc\":\"2.0\",\"id\":1,"
	       "\"result\":\"one\"}");
	assert_int_equal(rpc_client_process(f->client), 0);
	assert_string_equal(json_string_value(f->a.result), "one");
	assert_string_equal(json_string_value(second.result), "two");
	json_decref(second.result);
}

static void test_error(void **state)
{
	struct fixture *f = *state;

	call(f);
	say(f,
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"it is in use\","
	    "\"data\":{\"errno\":\"EBUSY\"}}}");
	assert_int_equal(rpc_client_process(f->client), 0);
	assert_int_equal(f->a.err, -EBUSY);
	assert_string_equal(f->a.text, "it is in use");
	assert_null(f->a.result);
}

static void test_fds(void **state)
{
	struct fixture *f = *state;
	char c;

	call(f);
	call(f);
	f->a.keep = 2;
	say_fds(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"fds\":2}\n", 2);
	assert_int_equal(rpc_client_process(f->client), 0);
	assert_int_equal(f->a.n, 1);
	assert_int_equal(f->a.n_fds, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pread(f->a.fds[i], &c, 1, 0), 1);
		assert_int_equal(c, '0' + i);
		close(f->a.fds[i]);
	}
	f->a.keep = 0; /* what isn't kept is closed: see teardown */
	say_fds(f, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":1,\"fds\":3}\n", 3);
	assert_int_equal(rpc_client_process(f->client), 0);
	assert_int_equal(f->a.n_fds, 3);
}

static void on_notification(void *arg, const char *method, const json_t *params)
{
	struct fixture *f = arg;

	f->n_notified++;
	snprintf(f->method, sizeof(f->method), "%s", method);
}

static void test_notification(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"jsonrpc\":\"2.0\",\"method\":\"early\"}"); /* nobody listens */
	assert_int_equal(rpc_client_process(f->client), 0);
	rpc_client_on_notification(f->client, on_notification, f);
	say(f, "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"type\":\"x\"}}");
	assert_int_equal(rpc_client_process(f->client), 0);
	assert_int_equal(f->n_notified, 1);
	assert_string_equal(f->method, "event");
}

/* It has no id and waits for company; what follows is numbered as if it weren't there. */
static void test_notify(void **state)
{
	struct fixture *f = *state;
	char buf[256] = "";

	assert_int_equal(rpc_client_notify(f->client, "hello", json_pack("{s:i}", "a", 1)), 0);
	assert_int_equal(recv(f->fd, buf, sizeof(buf), MSG_DONTWAIT), -1);
	assert_true(rpc_client_wants_write(f->client));
	call(f);
	assert_true(recv(f->fd, buf, sizeof(buf) - 1, MSG_DONTWAIT) > 0);
	assert_string_equal(buf, "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{\"a\":1}}\n"
				 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}\n");
	say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":2}");
	assert_int_equal(rpc_client_process(f->client), 0);
	assert_int_equal(f->a.n, 1);
	close(f->fd);
	f->fd = -1;
	rpc_client_process(f->client);
	assert_int_equal(rpc_client_notify(f->client, "late", json_object()), -ECONNRESET);
}

/* More than the socket takes: the rest is written as it becomes possible. */
static void test_much_output(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(900001), buf[65536];
	size_t got = 0;

	memset(text, 'x', 900000);
	text[900000] = '\0';
	for (int i = 0; i < 3; i++)
		assert_int_equal(rpc_client_call_async(f->client, "m",
						       json_pack("{s:s}", "t", text), on_answer,
						       &f->a),
				 0);
	assert_true(rpc_client_wants_write(f->client));
	while (rpc_client_wants_write(f->client)) {
		ssize_t n = recv(f->fd, buf, sizeof(buf), MSG_DONTWAIT);

		got += n > 0 ? (size_t)n : 0;
		assert_int_equal(rpc_client_process(f->client), 0);
	}
	for (ssize_t n; (n = recv(f->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0;)
		got += (size_t)n;
	assert_true(got > 2700000);
	text[899999] = '\0';
	assert_int_equal(rpc_client_call_async(f->client, "m",
					       json_pack("{s:s,s:s}", "t", text, "u", text),
					       on_answer, &f->a),
			 -EMSGSIZE);
	free(text);
}

static void test_output_limit(void **state)
{
	struct fixture *f = *state;
	char *text = malloc(900001);
	int rc = 0, n = 0;

	memset(text, 'x', 900000);
	text[900000] = '\0';
	while (rc == 0 && n++ < 10)
		rc = rpc_client_call_async(f->client, "m", json_pack("{s:s}", "t", text), on_answer,
					   &f->a);
	assert_int_equal(rc, -ENOBUFS);
	free(text);
}

/* ---- the end ---- */

static void test_server_closes(void **state)
{
	struct fixture *f = *state;

	call(f);
	call(f);
	close(f->fd);
	f->fd = -1;
	assert_int_equal(rpc_client_process(f->client), -ECONNRESET);
	assert_int_equal(f->a.n, 2);
	assert_int_equal(f->a.err, -ECONNRESET);
	assert_int_equal(rpc_client_process(f->client), -ECONNRESET);
	assert_int_equal(rpc_client_call_async(f->client, "m", json_object(), on_answer, &f->a),
			 -ECONNRESET);
	assert_int_equal(f->a.n, 2);
}

/* What it had sent before is delivered. */
static void test_closes_after_answer(void **state)
{
	struct fixture *f = *state;

	call(f);
	say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}");
	close(f->fd);
	f->fd = -1;
	assert_int_equal(rpc_client_process(f->client), -ECONNRESET);
	assert_int_equal(f->a.n, 1);
	assert_int_equal(f->a.err, 0);
}

static void test_last_word(void **state)
{
	struct fixture *f = *state;

	say(f,
	    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32002,\"message\":\"too many\","
	    "\"data\":{\"errno\":\"EDQUOT\"}}}");
	close(f->fd);
	f->fd = -1;
	call(f); /* can't be written any more */
	assert_int_equal(rpc_client_process(f->client), -EDQUOT);
	assert_int_equal(f->a.err, -EDQUOT);
	assert_string_equal(f->a.text, "too many");
}

static void test_destroy_in_callback(void **state)
{
	struct fixture *f = *state;
	struct answer other = {0};

	call(f);
	assert_int_equal(rpc_client_call_async(f->client, "n", NULL, on_answer, &other), 0);
	f->a.destroy = f->client;
	say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}{\"jsonrpc\":\"2.0\",\"id\":2,"
	       "\"result\":1}");
	assert_int_equal(rpc_client_process(f->client), -ECANCELED);
	f->client = NULL;
	assert_int_equal(f->a.n, 1);
	assert_int_equal(other.n, 1);
	assert_int_equal(other.err, -ECANCELED);
}

static void test_call_in_callback(void **state)
{
	struct fixture *f = *state;

	call(f);
	f->a.again = f->client;
	say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}");
	assert_int_equal(rpc_client_process(f->client), 0);
	assert_int_equal(f->a.again_rc, 0);
	close(f->fd);
	f->fd = -1;
	assert_int_equal(rpc_client_process(f->client), -ECONNRESET);
	assert_int_equal(f->a.n, 2); /* and the call from within that one was refused */
	assert_int_equal(f->a.again_rc, -ECONNRESET);
	f->a.again = NULL;
}

static void test_nobody_there(void **state)
{
	struct rpc_client *client;
	struct fixture *f = *state;
	char path[128], longer[300];

	snprintf(path, sizeof(path), "%s/none", f->dir);
	assert_int_equal(rpc_client_connect(path, &client), -ENOENT);
	close(f->listener);
	f->listener = dup(0);
	assert_int_equal(rpc_client_connect(f->path, &client), -ECONNREFUSED);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(rpc_client_connect(longer, &client), -ENAMETOOLONG);
}

/* ---- hostile servers ---- */

static const char *const lies[] = {
	"}",
	"[]",
	"7 ",
	"nonsense ",
	"{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":1}",
	"{\"id\":1,\"result\":1}",
	"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":1}",
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}",
	"{\"jsonrpc\":\"2.0\",\"id\":-1,\"result\":1}",
	"{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":1}",
	"{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}",
	"{\"jsonrpc\":\"2.0\",\"result\":1}",
	"{\"jsonrpc\":\"2.0\",\"id\":1}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":{\"code\":1,\"message\":\"x\"}}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":7}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":\"x\",\"message\":\"x\"}}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1}}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"fds\":1}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"fds\":-1}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"fds\":99999999999}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"fds\":\"1\"}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"do_it\"}",
	"{\"jsonrpc\":\"2.0\",\"method\":7}",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"id\":1}",
	"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
};

static void test_lies(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct fixture *f;
		void *s;
		int rc;

		setup(&s);
		f = s;
		call(f);
		say(f, lies[i]);
		rc = rpc_client_process(f->client);
		if (rc != -EPROTO || f->a.n != 1 || f->a.err != -EPROTO || !f->a.text[0])
			fail_msg("%s: %d, %u answers, %d '%s'", lies[i], rc, f->a.n, f->a.err,
				 f->a.text);
		teardown(&s);
	}
}

static void test_unwanted_fds(void **state)
{
	static const struct {
		const char *text;
		unsigned n;
	} cases[] = {
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}", 1},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"fds\":1}", 2},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"fds\":4}", 5},
		{"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"fds\":4}", 30},
		{"   ", 2},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"event\"}", 3},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture *f;
		void *s;

		setup(&s);
		f = s;
		call(f);
		say_fds(f, cases[i].text, cases[i].n);
		assert_int_equal(rpc_client_process(f->client), -EPROTO);
		assert_int_equal(f->a.n, 1);
		teardown(&s); /* none of them stays open */
	}
}

/* Descriptor after descriptor with the bytes of one value. */
static void test_fds_flood(void **state)
{
	struct fixture *f = *state;
	int rc = 0;

	call(f);
	for (int i = 0; i < 20 && rc == 0; i++) {
		say_fds(f, i ? "1," : "[", 3);
		rc = rpc_client_process(f->client);
	}
	assert_int_equal(rc, -EPROTO);
	assert_int_equal(f->a.n, 1);
}

static void test_endless_value(void **state)
{
	struct fixture *f = *state;
	char junk[4096];
	int rc = 0;

	memset(junk, 'x', sizeof(junk));
	junk[0] = '"';
	junk[sizeof(junk) - 1] = '\0';
	say(f, junk);
	junk[0] = 'x';
	for (int i = 0; i < 600 && rc == 0; i++) {
		say(f, junk);
		rc = rpc_client_process(f->client);
	}
	assert_int_equal(rc, -EPROTO);
}

/* A server that sends faster than we read: one call does a bounded amount of work. */
static void test_flood(void **state)
{
	static const char text[] = "{\"jsonrpc\":\"2.0\",\"method\":\"event\"}";
	struct fixture *f = *state;
	char block[100 * (sizeof(text) - 1)]; /* larger pieces take less room of the socket */
	size_t sent = 0, n_sent, at_first;
	ssize_t n;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = text[i % (sizeof(text) - 1)];
	rpc_client_on_notification(f->client, on_notification, f);
	while ((n = send(f->fd, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	n_sent = sent / (sizeof(text) - 1);
	assert_int_equal(rpc_client_process(f->client), 0);
	at_first = f->n_notified;
	for (int i = 0; i < 1000 && f->n_notified < n_sent; i++)
		assert_int_equal(rpc_client_process(f->client), 0);
	assert_int_equal(f->n_notified, n_sent);
	assert_true(at_first < n_sent);
}

/* ---- the blocking call ---- */

static void test_blocking(void **state)
{
	struct fixture *f = *state;
	json_t *result = NULL, *error = NULL;
	int fds[RPC_FDS_MAX];
	unsigned n_fds = 0;
	char why[128];

	say_fds(f,
		"{\"jsonrpc\":\"2.0\",\"method\":\"event\"}{\"jsonrpc\":\"2.0\",\"id\":1,"
		"\"result\":{\"a\":1},\"fds\":1}",
		1);
	assert_int_equal(rpc_client_call(f->client, "m", NULL, 1000, &result, &error, fds, &n_fds,
					 why, sizeof(why)),
			 0);
	assert_int_equal(json_integer_value(json_object_get(result, "a")), 1);
	assert_null(error);
	assert_int_equal(n_fds, 1);
	close(fds[0]);
	json_decref(result);
	say(f, "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32601,\"message\":\"none\"}}");
	assert_int_equal(rpc_client_call(f->client, "m", NULL, 1000, &result, &error, NULL, NULL,
					 why, sizeof(why)),
			 -EOPNOTSUPP);
	assert_string_equal(why, "none");
	assert_int_equal(json_integer_value(json_object_get(error, "code")), -32601);
	json_decref(error);
}

/* It isn't waited for any more; its answer comes late, with descriptors, and disturbs nobody. */
static void test_blocking_timeout(void **state)
{
	struct fixture *f = *state;
	json_t *result = NULL;
	char why[128];

	assert_int_equal(rpc_client_call(f->client, "m", NULL, 20, &result, NULL, NULL, NULL, why,
					 sizeof(why)),
			 -ETIMEDOUT);
	assert_string_equal(why, "no answer within 20 ms");
	say_fds(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"fds\":2}", 2);
	say(f, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":2}");
	assert_int_equal(rpc_client_call(f->client, "m", NULL, 1000, &result, NULL, NULL, NULL, why,
					 sizeof(why)),
			 0);
	assert_int_equal(json_integer_value(result), 2);
	json_decref(result);
}

static void test_blocking_reset(void **state)
{
	struct fixture *f = *state;
	char why[128] = "";

	close(f->fd);
	f->fd = -1;
	assert_int_equal(
		rpc_client_call(f->client, "m", NULL, -1, NULL, NULL, NULL, NULL, why, sizeof(why)),
		-ECONNRESET);
	assert_true(why[0]);
	why[0] = '\0';
	assert_int_equal(
		rpc_client_call(f->client, "m", NULL, -1, NULL, NULL, NULL, NULL, why, sizeof(why)),
		-ECONNRESET);
	assert_true(why[0]);
}

/* Another call's callback destroys the client while one blocks. */
static void test_blocking_destroyed(void **state)
{
	struct fixture *f = *state;

	call(f);
	f->a.destroy = f->client;
	say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}");
	assert_int_equal(
		rpc_client_call(f->client, "m", NULL, 1000, NULL, NULL, NULL, NULL, NULL, 0),
		-ECANCELED);
	f->client = NULL;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_result),
		TEST(test_any_order),
		TEST(test_error),
		TEST(test_fds),
		TEST(test_notification),
		TEST(test_notify),
		TEST(test_much_output),
		TEST(test_output_limit),
		TEST(test_server_closes),
		TEST(test_closes_after_answer),
		TEST(test_last_word),
		TEST(test_destroy_in_callback),
		TEST(test_call_in_callback),
		TEST(test_nobody_there),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_unwanted_fds),
		TEST(test_fds_flood),
		TEST(test_endless_value),
		TEST(test_flood),
		TEST(test_blocking),
		TEST(test_blocking_timeout),
		TEST(test_blocking_reset),
		TEST(test_blocking_destroyed),
	};

	return cmocka_run_group_tests_name("rpc_client", tests, NULL, NULL);
}
