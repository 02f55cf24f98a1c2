// SPDX-License-Identifier: BSD-3-Clause
/*
 * Both sides of rings in one process, over real descriptors: a reactor with a fake hardware queue,
 * and a client thread for each of two rings. A million commands; each completes exactly once, with
 * the result of the command that it was; both sides sleep and wake all the time.
 *
 * And the two ends of one ring, one command at a time, each aimed at the moment at which the other
 * side is about to sleep. On x86 some 100 of 20,000 are lost there without the barrier, and some 10
 * with a fence in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/reactor.h"
#include "transports/daemon/ring_client.h"
#include "tests/unit/fake_queue.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define COMMANDS 200000u
#define AIMED    10000u
#else
#define COMMANDS 500000u
#define AIMED    20000u
#endif
#define CLIENTS  2
#define REGION   3
#define WAIT_SEC 60

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct client {
	struct ring_qpair rq;
	struct nvmux_ctrlr ctrlr;
	struct nvmux_mem mem;
	uint32_t number;
	uint32_t commands;
	uint32_t sent, done, errors, sleeps;
	uint32_t pieces;
	uint8_t *seen; /* completions of each command */
	struct client_cmd {
		struct client *client;
		uint32_t index;
	} * cmds;
	uint64_t rng;
	pthread_t thread;
};

static const struct nvmux_transport ring_transport = {
	.trtype = NVMUX_TRTYPE_DAEMON,
	.submit = ring_qpair_submit,
	.read = ring_qpair_read,
	.write = ring_qpair_write,
	.process = ring_qpair_process,
};

static void client_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct client_cmd *cmd = arg;
	struct client *c = cmd->client;

	c->seen[cmd->index]++;
	c->done++;
	if (nvmux_cpl_is_error(cpl) || le32_to_cpu(cpl->dw0) != cmd->index + 1 ||
	    le32_to_cpu(cpl->dw1) != c->number)
		c->errors++;
}

static void client_submit(struct client *c)
{
	uint32_t n = next_random(&c->rng) % 4 ? 1 : (uint32_t)(next_random(&c->rng) % 8 + 1);
	struct nvmux_seg segs[8];
	struct nvmux_payload payload = {.data = segs, .n_data = n, .data_len = 4096};
	struct nvmux_cmd cmd = {
		.opc = c->sent & 1 ? nvme_cmd_read : nvme_cmd_write,
		.nsid = cpu_to_le32(1),
		.cdw10 = cpu_to_le32(c->sent),
		.cdw14 = cpu_to_le32(c->number),
	};
	struct client_cmd *mine = &c->cmds[c->sent];

	for (uint32_t i = 0; i < n; i++)
		segs[i] = (struct nvmux_seg){.mem = &c->mem,
					     .offset = next_random(&c->rng) % 16 * 4096,
					     .len = i + 1 < n ? 4 : 4096 - (n - 1) * 4};
	c->pieces += n;
	*mine = (struct client_cmd){.client = c, .index = c->sent};
	c->sent++;
	NVMUX_ASSERT(ring_qpair_submit(&c->rq.base, &cmd, &payload, client_done, mine) == 0);
}

static void client_sleep(struct client *c)
{
	struct pollfd pollfd = {.fd = c->rq.ring.wake_fd, .events = POLLIN};

	if (ring_client_arm(&c->rq.ring) == 0) {
		c->sleeps++;
		/* A lost wake-up shows as this time-out. */
		NVMUX_ASSERT(poll(&pollfd, 1, WAIT_SEC * 1000) == 1);
	}
	ring_client_disarm(&c->rq.ring);
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	uint32_t idle = 0;

	while (c->done < c->commands) {
		uint32_t burst = (uint32_t)(next_random(&c->rng) % 16);

		/* Now and then let everything run dry, so that the daemon parks and sleeps. */
		if (next_random(&c->rng) % 2048 == 0)
			burst = 0;
		for (; burst && !nvmux_qpair_is_full(&c->rq.base) && c->sent < c->commands; burst--)
			client_submit(c);
		if (nvmux_qpair_process_completions(&c->rq.base, 0) > 0) {
			idle = 0;
		} else if (nvmux_qpair_outstanding(&c->rq.base) && ++idle > 64) {
			idle = 0;
			client_sleep(c);
		}
		if (next_random(&c->rng) % 4096 == 0) {
			struct timespec nap = {.tv_nsec = (long)(next_random(&c->rng) % 300000)};

			nanosleep(&nap, NULL);
		}
	}
	return NULL;
}

static void set_flag(void *arg)
{
	*(bool *)arg = true;
}

static void wait_flag(struct reactor *r, const bool *flag)
{
	struct pollfd pollfd = {.fd = reactor_get_fd(r), .events = POLLIN};
	uint64_t deadline = now_ms() + WAIT_SEC * 1000;

	while (!*flag) {
		assert_true(now_ms() < deadline);
		if (poll(&pollfd, 1, 1000) == 1)
			reactor_process(r);
	}
}

static struct channel *make_channel(uint32_t depth, const struct nvmux_mem *mem)
{
	struct ctrlr_view *view = calloc(1, sizeof(*view) + sizeof(view->ns[0]));
	struct region_view regions[REGION + 1] = {[REGION] = {.mem = mem, .size = mem->size}};
	struct channel_opts opts = {.depth = depth,
				    .n_regions = REGION + 1,
				    .view = view,
				    .regions = regions,
				    .node = -1};
	struct channel *channel;

	assert_non_null(view);
	view->max_transfer = 128 << 10;
	view->max_segs = NVMUX_RING_LIST_PER_CMD;
	view->sgl = true;
	view->n_ns = 1;
	view->ns[0] = (struct ns_view){
		.nsid = 1, .lba_shift = 12, .writable = true, .n_lbas = UINT32_MAX};
	assert_int_equal(channel_create(&opts, &channel), 0);
	return channel;
}

static void client_open(struct client *c, struct channel *channel, uint32_t number,
			uint32_t commands)
{
	char why[128] = "";
	uint32_t depth;

	if (ring_client_map(&c->rq.ring, dup(channel_ring_fd(channel)),
			    dup(channel_client_fd(channel)), why, sizeof(why)))
		fail_msg("%s", why);
	channel_close_client_fd(channel);
	depth = c->rq.ring.depth;
	c->ctrlr.transport = &ring_transport;
	assert_int_equal(nvmux_qpair_init(&c->rq.base, &c->ctrlr, 1, depth), 0);
	nvmux_qpair_set_state(&c->rq.base, NVMUX_QPAIR_CONNECTED);
	c->number = number;
	c->commands = commands;
	c->rng = 0x2545f4914f6cdd1dull + number;
	c->seen = calloc(c->commands, 1);
	c->cmds = calloc(c->commands, sizeof(*c->cmds));
	assert_true(c->seen && c->cmds);
}

static void client_close(struct client *c)
{
	ring_client_unmap(&c->rq.ring);
	nvmux_qpair_fini(&c->rq.base);
	free(c->seen);
	free(c->cmds);
}

static void run(bool busy, const uint32_t *depths, uint32_t hw_depth, uint32_t n_commands)
{
	struct reactor_opts opts = {.core = -1, .busy = busy, .idle_turns = 50, .name = "test"};
	static struct client clients[CLIENTS];
	struct channel *channels[CLIENTS];
	struct fake_queue *q = fake_queue_new(hw_depth);
	struct channel_stats stats;
	struct reactor_stats rstats;
	struct reactor *r;
	struct hwq *hwq;
	bool flag;

	q->per_poll = FAKE_RANDOM;
	assert_int_equal(reactor_create(&opts, &r), 0);
	assert_int_equal(hwq_create(r, &q->base, &hwq), 0);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];

		*c = (struct client){.mem = {.size = 64 << 10, .region = REGION}};
		channels[i] = make_channel(depths[i], &c->mem);
		client_open(c, channels[i], i, n_commands);
		channel_start(channels[i], hwq, NULL, NULL);
		assert_int_equal(pthread_create(&c->thread, NULL, client_main, c), 0);
	}
	for (uint32_t i = 0; i < CLIENTS; i++)
		pthread_join(clients[i].thread, NULL);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];

		flag = false;
		channel_stop(channels[i], set_flag, &flag);
		wait_flag(r, &flag);
		channel_get_stats(channels[i], &stats);
		assert_int_equal(stats.commands, n_commands);
		assert_int_equal(stats.completions, n_commands);
		assert_int_equal(stats.refused, 0);
		assert_int_equal(stats.in_flight, 0);
		assert_int_equal(stats.read_bytes, n_commands / 2 * 4096ull);
		assert_int_equal(stats.write_bytes, n_commands / 2 * 4096ull);
		assert_int_equal(c->rq.ring.header->daemon_cq_tail, n_commands);
		assert_int_equal(c->errors, 0);
		assert_int_equal(c->rq.base.unknown_cids, 0);
		for (uint32_t n = 0; n < c->commands; n++)
			assert_int_equal(c->seen[n], 1);
		assert_false(ring_client_ready(&c->rq.ring));
		channel_destroy(channels[i]);
		assert_true(ring_client_is_dead(&c->rq.ring));
		assert_int_equal(nvmux_qpair_process_completions(&c->rq.base, 0), -ENXIO);
	}
	reactor_get_stats(r, &rstats);
	assert_int_equal(rstats.commands, CLIENTS * n_commands);
	assert_int_equal(rstats.completions, CLIENTS * n_commands);
	/*
	 * With an adaptive reactor it is about sleeping as well. A busy one on a processor of its
	 * own can be so quick that no client ever gets to sleep.
	 */
	if (!busy) {
		assert_true(rstats.sleeps > 10);
		assert_true(clients[0].sleeps + clients[1].sleeps > 10);
	}
	print_message("# sleeps: reactor %lu, clients %u and %u; loops %lu, idle %lu\n",
		      (unsigned long)rstats.sleeps, clients[0].sleeps, clients[1].sleeps,
		      (unsigned long)rstats.loops, (unsigned long)rstats.idle_loops);
	assert_int_equal(q->violations, 0);
	assert_int_equal(q->submitted, CLIENTS * n_commands);
	assert_int_equal(q->pieces, clients[0].pieces + clients[1].pieces);
	flag = false;
	hwq_take_back(hwq, set_flag, &flag);
	wait_flag(r, &flag);
	hwq_destroy(hwq);
	reactor_destroy(r);
	for (uint32_t i = 0; i < CLIENTS; i++)
		client_close(&clients[i]);
	fake_queue_free(q);
}

static void test_million(void **state)
{
	/* 5: not a power of two, so that the ring is larger than the depth. */
	run(false, (uint32_t[]){32, 5}, 16, COMMANDS);
}

static void test_full_rings(void **state)
{
	run(true, (uint32_t[]){4, 256}, 300, COMMANDS / 8);
}

/* ---- the moment before the sleep ---- */

/* How long one side waits at most: longer than the other takes to fall asleep, with the barrier,
 * and with next to none. */
#define AIM_LONG    32768u
#define AIM_SHORT   2048u
#define YIELD_LOOPS 65536u

struct aim {
	struct admin_ring *server;
	struct ring_client client;
	bool client_polls; /* and the daemon sleeps whenever it can; else the other way round */
	bool pinned;
	uint32_t sleeps;
};

static void pin(const struct aim *aim, unsigned core)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(core, &cpus);
	if (aim->pinned)
		pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
}

static void wait_awake(uint64_t *rng)
{
	uint32_t most = next_random(rng) % 2 ? AIM_LONG : AIM_SHORT;

	for (uint64_t n = next_random(rng) % most; n; n--)
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void sleep_on(struct aim *aim, int fd)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN};

	aim->sleeps++;
	/* A lost wake-up shows as this time-out. */
	NVMUX_ASSERT(poll(&pollfd, 1, WAIT_SEC * 1000) == 1);
}

/* Nothing is there, and this side polls. */
static void poll_on(uint32_t *polls)
{
	if (++*polls % YIELD_LOOPS == 0)
		sched_yield();
}

static void *aim_daemon(void *arg)
{
	uint64_t rng = 0x9e3779b97f4a7c15ull;
	struct nvmux_ring_cmd cmd;
	struct aim *aim = arg;
	uint32_t polls = 0;

	pin(aim, 0);
	for (uint32_t n = 0; n < AIMED;) {
		if (admin_ring_next(aim->server, &cmd)) {
			if (!aim->client_polls)
				wait_awake(&rng);
			admin_ring_complete(aim->server, le16_to_cpu(cmd.cid), n++, 0, 0);
		} else if (!aim->client_polls) {
			poll_on(&polls);
		} else if (admin_ring_arm(aim->server) == 0) {
			sleep_on(aim, admin_ring_wake_fd(aim->server));
		}
	}
	return NULL;
}

static void *aim_client(void *arg)
{
	uint64_t rng = 0x2545f4914f6cdd1dull;
	struct aim *aim = arg;
	struct nvmux_cpl cpl;
	uint32_t polls = 0;

	pin(aim, 1);
	for (uint32_t n = 0; n < AIMED; n++) {
		struct nvmux_ring_cmd cmd = {.cid = cpu_to_le16((uint16_t)n)};

		if (aim->client_polls)
			wait_awake(&rng);
		ring_client_publish(&aim->client, &cmd);
		ring_client_ring(&aim->client);
		while (!ring_client_reap(&aim->client, &cpl)) {
			if (aim->client_polls) {
				poll_on(&polls);
				continue;
			}
			ring_client_disarm(&aim->client);
			if (ring_client_arm(&aim->client) == 0)
				sleep_on(aim, aim->client.wake_fd);
		}
		NVMUX_ASSERT(le32_to_cpu(cpl.dw0) == n && le16_to_cpu(cpl.cid) == (uint16_t)n);
	}
	return NULL;
}

static void aim_at(bool client_polls)
{
	struct aim aim = {.client_polls = client_polls,
			  .pinned = sysconf(_SC_NPROCESSORS_ONLN) > 1};
	pthread_t threads[2];
	char why[128] = "";

	assert_int_equal(admin_ring_create(1, &aim.server), 0);
	if (ring_client_map(&aim.client, dup(admin_ring_fd(aim.server)),
			    dup(admin_ring_client_fd(aim.server)), why, sizeof(why)))
		fail_msg("%s", why);
	admin_ring_close_client_fd(aim.server);
	assert_int_equal(pthread_create(&threads[0], NULL, aim_daemon, &aim), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, aim_client, &aim), 0);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	print_message("# sleeps of %u: %s %u\n", AIMED, client_polls ? "daemon" : "client",
		      aim.sleeps);
	assert_true(aim.sleeps > AIMED / 100);
	ring_client_unmap(&aim.client);
	admin_ring_destroy(aim.server);
}

static void test_aimed_at_daemon(void **state)
{
	aim_at(true);
}

static void test_aimed_at_client(void **state)
{
	aim_at(false);
}

/* ---- mapping ---- */

struct header_case {
	const char *name;
	size_t offset, size;
	uint64_t value;
};

#define FIELD(f) offsetof(struct nvmux_ring_header, f), sizeof(((struct nvmux_ring_header *)0)->f)

static const struct header_case header_cases[] = {
	{"magic", FIELD(magic), 1},
	{"version", FIELD(version_major), 2},
	{"size", FIELD(size), 4096},
	{"larger size", FIELD(size), 1 << 20},
	{"no depth", FIELD(depth), 0},
	{"depth over the entries", FIELD(depth), 17},
	{"largest depth", FIELD(depth), UINT32_MAX},
	{"no entries", FIELD(sq_entries), 0},
	{"not a power of two", FIELD(sq_entries), 24},
	{"too many submission entries", FIELD(sq_entries), 4096},
	{"submission entries wrap", FIELD(sq_entries), 1u << 31},
	{"too few completion entries", FIELD(cq_entries), 8},
	{"too many completion entries", FIELD(cq_entries), 4096},
	{"in the header", FIELD(sq_offset), 0},
	{"unaligned", FIELD(sq_offset), 4097},
	{"over the end", FIELD(sq_offset), 8192 - 64},
	{"far over the end", FIELD(cq_offset), UINT32_MAX - 63},
	{"overlap", FIELD(cq_offset), 4096 + 64},
	{"lists in the header", FIELD(list_offset), 64},
	{"lists over the queues", FIELD(list_offset), 4096 + 64},
	{"lists over the end", FIELD(list_offset), 8192 + 64},
	{"too few lists", FIELD(list_entries), 16 * 32 - 1},
	{"too many lists", FIELD(list_entries), 1u << 20},
	{"lists wrap", FIELD(list_entries), UINT32_MAX},
};

static void test_map_refuses(void **state)
{
	static const struct nvmux_mem mem = {.size = 4096};

	for (size_t i = 0; i < ARRAY_SIZE(header_cases); i++) {
		const struct header_case *hc = &header_cases[i];
		struct channel *channel = make_channel(16, &mem);
		int fd = channel_ring_fd(channel);
		struct ring_client ring = {0};
		char why[128] = "";

		/* As it is it can be mapped, and with the field changed it can't. */
		assert_int_equal(ring_client_map(&ring, dup(fd), dup(fd), why, sizeof(why)), 0);
		ring_client_unmap(&ring);
		assert_int_equal(pwrite(fd, &hc->value, hc->size, (off_t)hc->offset), hc->size);
		if (ring_client_map(&ring, fd, fd, why, sizeof(why)) != -EPROTO || !why[0])
			fail_msg("%s: mapped, or no reason given", hc->name);
		channel_destroy(channel);
	}
}

static void test_map_refuses_files(void **state)
{
	struct ring_client ring = {0};
	char why[128] = "";
	int fd = memfd_create("test", MFD_ALLOW_SEALING);

	/* Not sealed: it could shrink under the mapping. */
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(ring_client_map(&ring, fd, -1, why, sizeof(why)), -EPROTO);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(ring_client_map(&ring, fd, -1, why, sizeof(why)), -EPROTO);
	close(fd);
	assert_int_equal(ring_client_map(&ring, STDIN_FILENO, -1, why, sizeof(why)), -EPROTO);
	ring_client_unmap(&ring); /* never mapped */
}

/* A ring as before there were scatter lists: it is mapped, and takes commands of one piece. */
static void test_no_lists(void **state)
{
	static const struct nvmux_mem mem = {.size = 64 << 10, .region = REGION};
	const struct nvmux_seg segs[2] = {{.mem = &mem, .len = 4096},
					  {.mem = &mem, .offset = 4096, .len = 4096}};
	struct nvmux_payload payload = {.data = segs, .n_data = 2, .data_len = 8192};
	const struct nvmux_cmd cmd = {.opc = nvme_cmd_read, .nsid = cpu_to_le32(1)};
	struct channel *channel = make_channel(4, &mem);
	const uint32_t none = 0;
	struct client c = {0};

	assert_int_equal(pwrite(channel_ring_fd(channel), &none, sizeof(none),
				offsetof(struct nvmux_ring_header, list_entries)),
			 sizeof(none));
	client_open(&c, channel, 0, 1);
	assert_null(c.rq.ring.list);
	assert_int_equal(ring_qpair_submit(&c.rq.base, &cmd, &payload, client_done, NULL), -EINVAL);
	assert_int_equal(nvmux_qpair_n_free(&c.rq.base), 4); /* nothing was taken */
	payload.n_data = 1;
	payload.data_len = 4096;
	assert_int_equal(ring_qpair_submit(&c.rq.base, &cmd, &payload, client_done, NULL), 0);
	assert_int_equal(nvmux_qpair_n_free(&c.rq.base), 3);
	client_close(&c);
	channel_destroy(channel);
}

/* The daemon's file can't be resized, sealed further, or replaced. */
static void test_ring_is_sealed(void **state)
{
	static const struct nvmux_mem mem = {.size = 4096};
	struct channel *channel = make_channel(NVMUX_RING_DEPTH_MAX, &mem);
	int fd = channel_ring_fd(channel);

	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(ftruncate(fd, 1 << 24), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	channel_destroy(channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map_refuses),     cmocka_unit_test(test_map_refuses_files),
		cmocka_unit_test(test_no_lists),        cmocka_unit_test(test_ring_is_sealed),
		cmocka_unit_test(test_million),         cmocka_unit_test(test_full_rings),
		cmocka_unit_test(test_aimed_at_daemon), cmocka_unit_test(test_aimed_at_client),
	};

	return cmocka_run_group_tests_name("ring_threads", tests, NULL, NULL);
}
