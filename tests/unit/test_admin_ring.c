// SPDX-License-Identifier: BSD-3-Clause
/* The daemon's end of an admin ring against a client's end: order, depth, sleep, hostile clients.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/reactor.h"
#include "tests/rng.h"
#include "transports/daemon/ring_client.h"

#define DEPTH 5 /* of 8 entries */

struct pair {
	struct admin_ring *ring;
	struct ring_client client;
};

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	char why[128] = "";

	assert_non_null(p);
	assert_int_equal(admin_ring_create(DEPTH, &p->ring), 0);
	if (ring_client_map(&p->client, dup(admin_ring_fd(p->ring)),
			    dup(admin_ring_client_fd(p->ring)), why, sizeof(why)))
		fail_msg("%s", why);
	admin_ring_close_client_fd(p->ring);
	assert_int_equal(p->client.depth, DEPTH);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	admin_ring_destroy(p->ring);
	ring_client_unmap(&p->client);
	free(p);
	return 0;
}

static void put(struct pair *p, uint16_t cid)
{
	struct nvmux_ring_cmd cmd;

	memset(&cmd, 0x5a, sizeof(cmd));
	cmd.opc = 0x06;
	cmd.flags = NVMUX_RING_F_PHASE; /* the ring's own; what is passed here doesn't matter */
	cmd.cid = cpu_to_le16(cid);
	ring_client_publish(&p->client, &cmd);
}

static void publish(struct pair *p, uint16_t cid)
{
	put(p, cid);
	ring_client_ring(&p->client);
}

static void test_order(void **state)
{
	struct pair *p = *state;
	struct nvmux_ring_cmd cmd;
	struct nvmux_cpl cpl;

	for (uint16_t i = 0; i < 1000; i++) {
		assert_false(admin_ring_next(p->ring, &cmd));
		publish(p, i);
		publish(p, i + 1000);
		assert_true(admin_ring_next(p->ring, &cmd));
		assert_int_equal(le16_to_cpu(cmd.cid), i);
		assert_int_equal(cmd.opc, 0x06);
		assert_int_equal(cmd.flags, 0);
		assert_int_equal(cmd.data, 0x5a5a5a5a5a5a5a5aull);
		assert_int_equal(cmd.cdw15, 0x5a5a5a5a);
		assert_true(admin_ring_next(p->ring, &cmd));
		/* completed in another order */
		admin_ring_complete(p->ring, i + 1000, 1, 2, 0);
		admin_ring_complete(p->ring, i, 0x12345678, 0x9abcdef0, 0x4281);
		assert_true(ring_client_reap(&p->client, &cpl));
		assert_int_equal(le16_to_cpu(cpl.cid), i + 1000);
		assert_int_equal(nvmux_cpl_status(&cpl), 0);
		assert_true(ring_client_reap(&p->client, &cpl));
		assert_int_equal(le16_to_cpu(cpl.cid), i);
		assert_int_equal(le32_to_cpu(cpl.dw0), 0x12345678);
		assert_int_equal(le32_to_cpu(cpl.dw1), 0x9abcdef0);
		assert_int_equal(nvmux_cpl_status(&cpl), 0x4281);
		assert_false(ring_client_reap(&p->client, &cpl));
	}
	assert_int_equal(p->client.header->daemon_sq_head, 2000);
	assert_int_equal(p->client.header->daemon_cq_tail, 2000);
}

static void test_depth(void **state)
{
	struct pair *p = *state;
	struct nvmux_ring_cmd cmd;
	struct nvmux_cpl cpl;

	for (uint16_t i = 0; i < 8; i++)
		publish(p, i);
	for (uint16_t i = 0; i < DEPTH; i++)
		assert_true(admin_ring_next(p->ring, &cmd));
	assert_false(admin_ring_next(p->ring, &cmd));
	for (uint16_t i = DEPTH; i < 8; i++) {
		assert_true(ring_client_reap(&p->client, &cpl));
		assert_int_equal(le16_to_cpu(cpl.cid), i);
		assert_int_equal(nvmux_cpl_status(&cpl),
				 NVMUX_SC_DEPTH_EXCEEDED | NVMUX_STATUS_DNR);
	}
	for (uint16_t i = 0; i < DEPTH; i++)
		admin_ring_complete(p->ring, i, 0, 0, 0);
	publish(p, 8);
	assert_true(admin_ring_next(p->ring, &cmd));
	admin_ring_complete(p->ring, 8, 0, 0, 0);
}

static bool readable(int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	return poll(&pollfd, 1, 0) == 1;
}

static void test_sleep(void **state)
{
	struct pair *p = *state;
	struct nvmux_ring_cmd cmd;
	int fd = admin_ring_wake_fd(p->ring);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(admin_ring_arm(p->ring), 0);
		assert_false(readable(fd));
		put(p, 1);
		assert_false(readable(fd));
		ring_client_ring(&p->client);
		assert_true(readable(fd));
		/* One byte for one sleep. */
		assert_int_equal(p->client.header->daemon_sleeping, 0);
		assert_int_equal(admin_ring_arm(p->ring), -EAGAIN);
		assert_false(readable(fd));
		assert_true(admin_ring_next(p->ring, &cmd));

		assert_int_equal(ring_client_arm(&p->client), 0);
		assert_false(readable(p->client.wake_fd));
		admin_ring_complete(p->ring, 1, 0, 0, 0);
		assert_true(readable(p->client.wake_fd));
		ring_client_disarm(&p->client);
		assert_false(readable(p->client.wake_fd));
		assert_int_equal(ring_client_arm(&p->client), -EAGAIN);
		assert_true(ring_client_ready(&p->client));
		ring_client_reap(&p->client, &(struct nvmux_cpl){0});
	}
}

/* Whatever is written into the ring, each call ends, and the number in flight stays bounded. */
static void test_scribbles(void **state)
{
	struct pair *p = *state;
	uint64_t rng = 88172645463325252ull, *words = (uint64_t *)p->client.header;
	struct nvmux_ring_cmd *sq = p->client.sq_end - p->client.sq_entries, cmd;
	uint32_t taken = 0, in_flight = 0;

	for (int round = 0; round < 20000; round++) {
		for (int i = 0; i < 50; i++) {
			uint64_t at = next_random(&rng) % (p->client.size / 8);

			words[at] = next_random(&rng);
			/* the words with the phase more often than others */
			memcpy(&sq[at % 8], &rng, 8);
		}
		while (in_flight < DEPTH && admin_ring_next(p->ring, &cmd)) {
			in_flight++;
			taken++;
		}
		assert_false(in_flight == DEPTH && admin_ring_next(p->ring, &cmd));
		for (; in_flight; in_flight--)
			admin_ring_complete(p->ring, (uint16_t)rng, 0, 0, 0);
		admin_ring_arm(p->ring);
	}
	assert_true(taken > 1000);
}

/* A socket that is full, and one that is closed. */
static void test_socket(void **state)
{
	static const char bytes[4096];
	struct pair *p = *state;
	struct nvmux_ring_cmd cmd;

	while (send(p->client.wake_fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(admin_ring_arm(p->ring), 0);
	publish(p, 1);
	ring_client_ring(&p->client); /* finds no room for its byte: there are enough */
	assert_true(readable(admin_ring_wake_fd(p->ring)));
	assert_true(admin_ring_next(p->ring, &cmd));
	p->client.header->client_sleeping = 1;
	for (int i = 0; i < 100000; i++) {
		admin_ring_complete(p->ring, 1, 0, 0, 0);
		publish(p, 1);
		assert_true(admin_ring_next(p->ring, &cmd));
		p->client.header->client_sleeping = 1;
	}
	close(p->client.wake_fd);
	p->client.wake_fd = -1;
	p->client.header->client_sleeping = 1;
	admin_ring_complete(p->ring, 1, 0, 0, 0);
	while (admin_ring_arm(p->ring) == 0)
		;
	assert_int_equal(admin_ring_arm(p->ring), -EPIPE);
}

/* Descriptors that a client sends along end here, at the latest when the byte is read. */
static void test_descriptors(void **state)
{
	struct pair *p = *state;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS}};
	char x = 0;
	struct iovec iov = {.iov_base = &x, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	int pipes[2];
	ssize_t sent;
	char byte;

	assert_int_equal(pipe(pipes), 0);
	memcpy(CMSG_DATA(&control.header), &pipes[1], sizeof(int));
	sent = sendmsg(p->client.wake_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	print_message("# a descriptor is %s\n", sent < 0 ? strerror(errno) : "taken and dropped");
	close(pipes[1]);
	assert_int_equal(admin_ring_arm(p->ring), 0);
	/* The last writer is gone. */
	assert_int_equal(read(pipes[0], &byte, 1), 0);
	close(pipes[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sleep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scribbles, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
	};

	return cmocka_run_group_tests_name("admin_ring", tests, NULL, NULL);
}
