// SPDX-License-Identifier: BSD-3-Clause
/*
 * The vfio-user client against a server that follows a script: mostly a correct one, which at a
 * chosen message does something wrong. Client and server share one thread and take turns.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include <nvmux/sigbus.h>
#include "libcore/ctrlr_state.h"
#include "transports/pcie/pcie_int.h"
#include "transports/pcie/vfio_user_conn.h"

#define STEPS \
	11 /* messages of open: eight steps, CAP in one, the interrupts in one, and one more */
#define PATIENCE_MS 2000

enum evil {
	GOOD,
	WRONG_ID,
	WRONG_COMMAND,
	WRONG_TYPE,
	EMPTY,     /* no payload */
	SHORT,     /* one byte of payload less */
	TINY,      /* a size below that of the header */
	HUGE_SIZE, /* a size beyond all limits */
	REFUSAL,   /* an error reply */
	END,       /* the connection is closed instead */
	HALF,      /* the connection is closed within the reply */
	TWICE,     /* the same reply two times */
	MANY_FDS,  /* descriptors with the reply, more than anybody wants */
	SILENCE,
	EVIL_COUNT,
};

struct message {
	struct vu_header header;
	uint8_t payload[512];
	uint32_t len;
	int fds[4];
	unsigned n_fds;
};

struct server {
	char dir[32];
	char path[64];
	int listener;
	int fd;
	enum evil evil;
	unsigned evil_at;
	unsigned n; /* messages seen */
	struct message last;

	/* what it answers */
	const char *version_json; /* NULL: a good one */
	uint16_t major, minor;
	uint32_t info_flags, n_regions, n_irq_types;
	int request_fd; /* the client's, for when the device is wanted back */
	struct {
		struct vfio_region_info info;
		uint8_t caps[256];
	} bar;
	uint32_t bar_len;
	int bar_fd;
	uint32_t class_revision;
	uint16_t command;
	uint64_t cap;
	uint32_t doorbell; /* last one that came as a message */
	unsigned n_doorbells;
	unsigned n_refusals; /* replies to its own commands */
	uint32_t refusal_error;
	uint16_t refusal_id;
	bool wrong_echo;
};

struct fixture {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct pcie_dev *dev;
	struct server server;
	unsigned n_fds;
};

struct result {
	unsigned n;
	int err;
	uint64_t value;
};

static void done(void *arg, int err, uint64_t value)
{
	struct result *result = arg;

	result->n++;
	result->err = err;
	result->value = value;
}

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- the server ---- */

static void server_send(struct server *s, const void *data, size_t len, const int *fds, unsigned n)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		struct cmsghdr *cmsg;

		hdr.msg_control = &control;
		hdr.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	}
	sendmsg(s->fd, &hdr, MSG_NOSIGNAL);
}

static void server_hang_up(struct server *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* Send the reply to the last message, the way the script wants it. */
static void server_reply(struct server *s, const void *payload, uint32_t len, int fd)
{
	enum evil evil = s->n - 1 == s->evil_at ? s->evil : GOOD;
	int fds[6] = {fd, 0, 0, 0, 0, 0};
	struct {
		struct vu_header header;
		uint8_t payload[1024];
	} reply = {.header = s->last.header};
	unsigned n_fds = fd >= 0;

	if (len)
		memcpy(reply.payload, payload, len);
	reply.header.flags = VU_FLAG_REPLY;
	switch (evil) {
	case WRONG_ID: reply.header.id ^= 0x40; break;
	case WRONG_COMMAND: reply.header.command++; break;
	case WRONG_TYPE: reply.header.flags = 7; break;
	case EMPTY: len = 0; break;
	case SHORT: len = len ? len - 1 : 0; break;
	case REFUSAL:
		reply.header.flags |= VU_FLAG_ERROR;
		reply.header.error = EINVAL;
		len = 0;
		break;
	case END: server_hang_up(s); return;
	case SILENCE: return;
	case MANY_FDS:
		fds[0] = s->listener;
		n_fds = 6;
		break;
	default: break;
	}
	reply.header.size = (uint32_t)sizeof(reply.header) + len;
	if (evil == TINY)
		reply.header.size = 15;
	if (evil == HUGE_SIZE)
		reply.header.size = UINT32_MAX;
	server_send(s, &reply, evil == HALF ? 9 : sizeof(reply.header) + len, fds, n_fds);
	if (evil == TWICE)
		server_send(s, &reply, sizeof(reply.header) + len, NULL, 0);
	if (evil == HALF)
		server_hang_up(s);
}

static void answer_version(struct server *s)
{
	union {
		struct vu_version version;
		char bytes[sizeof(struct vu_version) + 256];
	} reply;
	const char *text = s->version_json;
	uint32_t len;

	/* The client's offer is JSON with a NUL. */
	assert_true(s->last.len > 4 && s->last.payload[s->last.len - 1] == '\0');
	if (!text)
		text = "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576,"
		       "\"migration\":{\"pgsize\":4096}}}";
	reply.version.major = s->major;
	reply.version.minor = s->minor;
	len = (uint32_t)strlen(text) + 1;
	memcpy(reply.version.data, text, len);
	server_reply(s, &reply, (uint32_t)sizeof(reply.version) + len, -1);
}

static void answer_region_read(struct server *s)
{
	struct {
		struct vu_region_access access;
		uint64_t value;
	} reply = {0};

	memcpy(&reply.access, s->last.payload, sizeof(reply.access));
	if (reply.access.region == VFIO_PCI_CONFIG_REGION_INDEX) {
		switch (reply.access.offset) {
		case PCI_VENDOR_ID: reply.value = 0x00011b36; break;
		case PCI_CLASS_REVISION: reply.value = s->class_revision; break;
		case PCI_COMMAND: reply.value = s->command; break;
		default:
			fail_msg("configuration space at %#llx",
				 (unsigned long long)reply.access.offset);
		}
	} else if (reply.access.offset == NVME_REG_CAP) {
		reply.value = s->cap;
	} else {
		reply.value = 0x1122334455667788;
	}
	if (s->wrong_echo)
		reply.access.offset ^= 8;
	server_reply(s, &reply, (uint32_t)sizeof(reply.access) + reply.access.count, -1);
}

static void answer_region_write(struct server *s)
{
	struct vu_region_access access;
	uint32_t value = 0;

	memcpy(&access, s->last.payload, sizeof(access));
	assert_int_equal(s->last.len, sizeof(access) + access.count);
	memcpy(&value, s->last.payload + sizeof(access), access.count < 4 ? access.count : 4);
	if (access.region == VFIO_PCI_CONFIG_REGION_INDEX)
		s->command = (uint16_t)value;
	if (s->last.header.flags & VU_FLAG_NO_REPLY) {
		assert_int_equal(access.region, VFIO_PCI_BAR0_REGION_INDEX);
		assert_int_equal(access.count, 4);
		s->doorbell = value;
		s->n_doorbells++;
		s->n--; /* not a step of the script */
		return;
	}
	if (s->wrong_echo)
		access.count ^= 8;
	server_reply(s, &access, sizeof(access), -1);
}

/* That for the device's return, of which the server keeps a copy. */
static void take_request_fd(struct server *s)
{
	struct vfio_irq_set set;

	memcpy(&set, s->last.payload, sizeof(set));
	if (set.index == VFIO_PCI_REQ_IRQ_INDEX)
		s->request_fd = dup(s->last.fds[0]);
}

static void server_answer(struct server *s)
{
	const struct vu_device_info info = {.argsz = sizeof(info),
					    .flags = s->info_flags,
					    .num_regions = s->n_regions,
					    .num_irqs = s->n_irq_types};
	struct vfio_irq_info asked, irq = {.argsz = sizeof(irq),
					  .flags = VFIO_IRQ_INFO_EVENTFD,
					  .index = VFIO_PCI_MSIX_IRQ_INDEX,
					  .count = 5};

	if ((s->last.header.flags & VU_FLAG_TYPE_MASK) == VU_FLAG_REPLY) {
		s->n_refusals++;
		s->refusal_id = s->last.header.id;
		s->refusal_error = s->last.header.flags & VU_FLAG_ERROR ? s->last.header.error : 0;
		return;
	}
	s->n++;
	switch (s->last.header.command) {
	case VU_VERSION: answer_version(s); break;
	case VU_DEVICE_GET_INFO: server_reply(s, &info, sizeof(info), -1); break;
	case VU_DEVICE_GET_REGION_INFO: server_reply(s, &s->bar, s->bar_len, s->bar_fd); break;
	case VU_DEVICE_GET_IRQ_INFO:
		memcpy(&asked, s->last.payload, sizeof(asked));
		if (asked.index == VFIO_PCI_REQ_IRQ_INDEX)
			irq.index = asked.index;
		server_reply(s, &irq, sizeof(irq), -1);
		break;
	case VU_REGION_READ: answer_region_read(s); break;
	case VU_REGION_WRITE: answer_region_write(s); break;
	case VU_DEVICE_SET_IRQS:
		assert_int_equal(s->last.n_fds, 1);
		take_request_fd(s);
		server_reply(s, NULL, 0, -1);
		break;
	case VU_DMA_MAP: server_reply(s, NULL, 0, -1); break;
	case VU_DMA_UNMAP: {
		struct vu_dma_unmap unmap;

		memcpy(&unmap, s->last.payload, sizeof(unmap));
		unmap.addr ^= s->wrong_echo;
		server_reply(s, &unmap, sizeof(unmap), -1);
		break;
	}
	case VU_DEVICE_RESET: server_reply(s, NULL, 0, -1); break;
	default: fail_msg("command %u", s->last.header.command);
	}
}

static void drop_fds(struct server *s)
{
	for (unsigned i = 0; i < s->last.n_fds; i++)
		close(s->last.fds[i]);
	s->last.n_fds = 0;
}

/* Take one message, if there is one. Its descriptors are kept until the next. */
static bool server_take(struct server *s)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = &s->last.header, .iov_len = sizeof(s->last.header)};
	struct msghdr hdr = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;
	ssize_t n;

	if (s->fd < 0)
		s->fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (s->fd < 0)
		return false;
	drop_fds(s);
	n = recvmsg(s->fd, &hdr, MSG_CMSG_CLOEXEC);
	if (n == 0)
		server_hang_up(s); /* the client has; there may be another one */
	if (n != (ssize_t)sizeof(s->last.header))
		return false;
	cmsg = CMSG_FIRSTHDR(&hdr);
	if (cmsg) {
		s->last.n_fds = (unsigned)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(s->last.fds, CMSG_DATA(cmsg), s->last.n_fds * sizeof(int));
	}
	s->last.len = s->last.header.size - (uint32_t)sizeof(s->last.header);
	assert_true(s->last.header.size >= sizeof(s->last.header) &&
		    s->last.len <= sizeof(s->last.payload));
	if (s->last.len)
		assert_int_equal(recv(s->fd, s->last.payload, s->last.len, 0), s->last.len);
	return true;
}

static void server_start(struct server *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strcpy(s->dir, "/tmp/nvmux-vu-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/cntrl", s->dir);
	strcpy(addr.sun_path, s->path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s->listener, 4), 0);
	s->fd = -1;
	s->evil_at = UINT32_MAX;
	s->info_flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	s->n_regions = 9;
	s->n_irq_types = 4; /* no event for the device's removal */
	s->class_revision = 0x01080202;
	s->cap = 0x20ff0103ff;
	s->bar.info = (struct vfio_region_info){.argsz = sizeof(struct vfio_region_info),
						.flags = VFIO_REGION_INFO_FLAG_READ |
							 VFIO_REGION_INFO_FLAG_WRITE,
						.size = 0x4000};
	s->bar_len = sizeof(struct vfio_region_info);
	s->bar_fd = -1;
}

/* Let BAR0 be mapped: one area of a memfd of @file_size bytes. */
static void server_offer_map(struct server *s, uint64_t offset, uint64_t size, uint64_t area_at,
			     uint64_t area_size, off_t file_size)
{
	const struct vfio_region_info_cap_sparse_mmap cap = {
		.header = {.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1}, .nr_areas = 1};
	const struct vfio_region_sparse_mmap_area area = {area_at, area_size};

	s->bar.info.flags |= VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
	s->bar.info.offset = offset;
	s->bar.info.size = size;
	s->bar.info.cap_offset = sizeof(s->bar.info);
	memcpy(s->bar.caps, &cap, sizeof(cap));
	memcpy(s->bar.caps + sizeof(cap), &area, sizeof(area));
	s->bar_len = sizeof(s->bar.info) + sizeof(cap) + sizeof(area);
	s->bar_fd = memfd_create("bar0", MFD_CLOEXEC);
	assert_int_equal(ftruncate(s->bar_fd, file_size), 0);
}

/* ---- taking turns ---- */

static void wait_a_little(struct fixture *fx)
{
	struct pollfd pfds[] = {
		{.fd = fx->server.fd >= 0 ? fx->server.fd : fx->server.listener, .events = POLLIN},
		{.fd = nvmux_get_fd(fx->nvmux), .events = POLLIN},
	};
	int timeout = nvmux_get_timeout_ms(fx->nvmux);

	poll(pfds, 2, timeout < 0 || timeout > 10 ? 10 : timeout);
}

/* Both sides run until *@n is @want, or the server has answered @steps messages. */
static void run_until(struct fixture *fx, const unsigned *n, unsigned want, unsigned steps)
{
	uint64_t end = nvmux_now_ms() + (fx->server.evil == SILENCE ? 7000 : PATIENCE_MS);

	while (*n < want && fx->server.n < steps) {
		nvmux_process(fx->nvmux);
		if (*n >= want)
			return;
		if (server_take(&fx->server))
			server_answer(&fx->server);
		else
			wait_a_little(fx);
		if (nvmux_now_ms() > end)
			fail_msg("nothing happens after %u messages", fx->server.n);
	}
}

static void run(struct fixture *fx, struct result *result)
{
	run_until(fx, &result->n, 1, UINT32_MAX);
	assert_int_equal(result->n, 1);
}

static void make_ctrlr(struct fixture *fx)
{
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_VFIOUSER};

	strcpy(trid.traddr, fx->server.dir);
	assert_int_equal(pcie_vfio_user_transport.base.ctrlr_alloc(fx->nvmux, &trid, &fx->ctrlr),
			 0);
	fx->ctrlr->nvmux = fx->nvmux;
	fx->ctrlr->transport = &pcie_vfio_user_transport.base;
	fx->ctrlr->trid = trid;
	fx->ctrlr->state = CTRLR_CLOSED; /* a loss is noted, and nothing follows */
	fx->nvmux->ctrlrs[0] = fx->ctrlr;
	fx->dev = pcie_ctrlr(fx->ctrlr)->dev;
}

static void free_ctrlr(struct fixture *fx)
{
	fx->nvmux->ctrlrs[0] = NULL;
	pcie_ctrlr_free(fx->ctrlr);
	fx->ctrlr = NULL;
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	fx->n_fds = count_fds();
	assert_int_equal(nvmux_create(NULL, &fx->nvmux), 0);
	server_start(&fx->server);
	make_ctrlr(fx);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;
	struct server *s = &fx->server;

	if (fx->ctrlr)
		free_ctrlr(fx);
	nvmux_destroy(fx->nvmux);
	server_hang_up(s);
	drop_fds(s);
	close(s->listener);
	if (s->bar_fd >= 0)
		close(s->bar_fd);
	unlink(s->path);
	rmdir(s->dir);
	assert_int_equal(count_fds(), fx->n_fds);
	free(fx);
	return 0;
}

static void open_dev(struct fixture *fx)
{
	struct result result = {0};

	pcie_ctrlr_open(fx->ctrlr, done, &result);
	run(fx, &result);
	if (result.err)
		fail_msg("open: %s", nvmux_error_text(fx->nvmux));
}

static void close_dev(struct fixture *fx)
{
	struct result result = {0};

	pcie_ctrlr_close(fx->ctrlr, done, &result);
	run(fx, &result);
	assert_int_equal(result.err, 0);
}

static void expect_open(struct fixture *fx, int err, const char *word)
{
	struct result result = {0};

	pcie_ctrlr_open(fx->ctrlr, done, &result);
	run(fx, &result);
	if (result.err != err)
		fail_msg("open gives %d instead of %d: %s", result.err, err,
			 nvmux_error_text(fx->nvmux));
	if (err && !strstr(nvmux_error_text(fx->nvmux), word))
		fail_msg("\"%s\" doesn't say \"%s\"", nvmux_error_text(fx->nvmux), word);
}

/* ---- open and close ---- */

static void open_and_close(void **state)
{
	struct fixture *fx = *state;

	open_dev(fx);
	assert_int_equal(fx->server.command & 6, 6); /* memory space, bus master */
	assert_int_equal(fx->dev->n_irqs, 5);
	assert_null(fx->dev->doorbells);
	assert_int_equal(fx->dev->doorbell_bytes, 0x3000);
	close_dev(fx);
	assert_int_equal(fx->server.last.header.command, VU_DEVICE_RESET);
}

static void socket_path_itself(void **state)
{
	struct fixture *fx = *state;

	strcpy(fx->ctrlr->trid.traddr, fx->server.path);
	open_dev(fx);
}

static void no_server(void **state)
{
	struct fixture *fx = *state;

	strcpy(fx->ctrlr->trid.traddr, "/nonexistent/nvmux");
	expect_open(fx, -ENOENT, "/nonexistent/nvmux");
	strcpy(fx->ctrlr->trid.traddr, "/tmp");
	free_ctrlr(fx);
	make_ctrlr(fx);
	unlink(fx->server.path);
	expect_open(fx, -ENOENT, fx->server.path);
	free_ctrlr(fx);
	make_ctrlr(fx);
	fx->ctrlr->trid.traddr[0] = '\0';
	expect_open(fx, -EINVAL, "traddr");
}

static int expected_error(enum evil evil)
{
	switch (evil) {
	case END:
	case HALF: return -ECONNRESET;
	case REFUSAL: return -EREMOTEIO;
	case SILENCE: return -ETIMEDOUT;
	default: return -EPROTO;
	}
}

/* Something wrong at each message of open: it ends once, with an error that fits, and in words. */
static void evil_at_each_step(void **state)
{
	struct fixture *fx = *state;

	for (enum evil evil = WRONG_ID; evil < SILENCE; evil++) {
		for (unsigned step = 0; step < STEPS - 1; step++) {
			struct result result = {0};
			bool no_payload = step == STEPS - 2; /* SET_IRQS has an empty reply */

			/* more descriptors are dropped unseen where none is taken */
			if ((no_payload && (evil == EMPTY || evil == SHORT)) ||
			    (evil == MANY_FDS && step != 2))
				continue;
			fx->server.n = 0;
			fx->server.evil = evil;
			fx->server.evil_at = step;
			pcie_ctrlr_open(fx->ctrlr, done, &result);
			run(fx, &result);
			/* A second reply may find open ended already; then the loss is told. */
			if (evil == TWICE && !result.err) {
				unsigned failed = 0;

				while (!fx->ctrlr->failed && failed++ < 100) {
					nvmux_process(fx->nvmux);
					wait_a_little(fx);
				}
				assert_true(fx->ctrlr->failed);
			} else if (result.err != expected_error(evil)) {
				fail_msg("evil %d at step %u: %d, %s", evil, step, result.err,
					 nvmux_error_text(fx->nvmux));
			}
			assert_true(strlen(nvmux_error_text(fx->nvmux)) > 20);
			close_dev(fx);
			assert_int_equal(result.n, 1);
			server_hang_up(&fx->server);
			free_ctrlr(fx);
			make_ctrlr(fx);
		}
	}
}

/* Descriptors that nobody asked for don't stay with us. */
static void unwanted_fds(void **state)
{
	struct fixture *fx = *state;

	for (unsigned step = 0; step < STEPS - 1; step++) {
		if (step == 2)
			continue;
		fx->server.n = 0;
		fx->server.evil = MANY_FDS;
		fx->server.evil_at = step;
		open_dev(fx);
		close_dev(fx);
		server_hang_up(&fx->server);
		free_ctrlr(fx);
		make_ctrlr(fx);
	}
}

/* After any number of messages, with the next one under way or not. */
static void close_at_each_step(void **state)
{
	struct fixture *fx = *state;

	for (unsigned step = 0; step < STEPS - 1; step++) {
		for (unsigned processed = 0; processed < 2; processed++) {
			struct result opened = {0}, closed = {0};

			fx->server.n = 0;
			pcie_ctrlr_open(fx->ctrlr, done, &opened);
			run_until(fx, &opened.n, 1, step);
			if (processed)
				nvmux_process(fx->nvmux);
			assert_int_equal(opened.n, 0);
			pcie_ctrlr_close(fx->ctrlr, done, &closed);
			run(fx, &closed);
			assert_int_equal(opened.n, 1);
			assert_int_equal(opened.err, -ECANCELED);
			assert_int_equal(closed.err, 0);
			server_hang_up(&fx->server);
			free_ctrlr(fx);
			make_ctrlr(fx);
		}
	}
}

static void silence(void **state)
{
	struct fixture *fx = *state;
	uint64_t begin = nvmux_now_ms();

	fx->server.evil = SILENCE;
	fx->server.evil_at = 3;
	expect_open(fx, -ETIMEDOUT, "DEVICE_GET_IRQ_INFO");
	assert_in_range(nvmux_now_ms() - begin, VU_REPLY_TIMEOUT_MS, VU_REPLY_TIMEOUT_MS + 1500);
}

static void versions(void **state)
{
	static const struct {
		const char *json;
		int err;
	} cases[] = {
		{"{}", 0},
		{"{\"capabilities\":{}}", 0},
		{"{\"capabilities\":7}", 0},
		{"{\"capabilities\":{\"max_msg_fds\":1}}", 0},
		{"{\"capabilities\":{\"max_msg_fds\":0}}", -EPROTO},
		{"{\"capabilities\":{\"max_msg_fds\":\"8\"}}", -EPROTO},
		{"{\"capabilities\":{\"max_msg_fds\":-1}}", -EPROTO},
		{"{\"capabilities\":{\"max_dma_maps\":1.5}}", -EPROTO},
		{"{\"capabilities\":{\"max_data_xfer_size\":4}}", -EPROTO},
		{"[]", -EPROTO},
		{"{", -EPROTO},
		{"", -EPROTO},
		{"{} {}", -EPROTO},
		{"\xff\xfe", -EPROTO},
	};
	struct fixture *fx = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fx->server.version_json = cases[i].json;
		expect_open(fx, cases[i].err, "VERSION");
		close_dev(fx);
		server_hang_up(&fx->server);
		free_ctrlr(fx);
		make_ctrlr(fx);
	}
	fx->server.version_json = NULL;
	fx->server.major = 1;
	expect_open(fx, -EPROTO, "version 1.0");
	server_hang_up(&fx->server);
	free_ctrlr(fx);
	make_ctrlr(fx);
	fx->server.major = 0;
	fx->server.minor = 9;
	expect_open(fx, -EPROTO, "version 0.9");
}

static void other_devices(void **state)
{
	struct fixture *fx = *state;
	struct server *s = &fx->server;

	s->class_revision = 0x02000001;
	expect_open(fx, -ENODEV, "020000");
	server_hang_up(s);
	free_ctrlr(fx);
	make_ctrlr(fx);
	s->class_revision = 0x01080201;
	s->info_flags = 0;
	expect_open(fx, -EPROTO, "PCI");
	server_hang_up(s);
	free_ctrlr(fx);
	make_ctrlr(fx);
	s->info_flags = VFIO_DEVICE_FLAGS_PCI;
	s->n_regions = 7;
	expect_open(fx, -EPROTO, "7 regions");
	server_hang_up(s);
	free_ctrlr(fx);
	make_ctrlr(fx);
	s->n_regions = 9;
	s->cap = UINT64_MAX;
	expect_open(fx, -ENODEV, "all ones");
	server_hang_up(s);
	free_ctrlr(fx);
	make_ctrlr(fx);
	s->cap = 1;
	s->bar.info.size = 0x1004;
	expect_open(fx, -EPROTO, "BAR0");
}

/* ---- mapped doorbells ---- */

static void mapped_doorbells(void **state)
{
	struct fixture *fx = *state;
	uint32_t *page;

	/* as a known target does it: the file ends after the doorbells, long before the BAR */
	server_offer_map(&fx->server, 0, 0x10000, 0x1000, 0x1000, 0x2000);
	open_dev(fx);
	assert_non_null(fx->dev->doorbells);
	assert_int_equal(fx->dev->doorbell_bytes, 0x1000);
	page = mmap(NULL, 0x1000, PROT_READ, MAP_SHARED, fx->server.bar_fd, 0x1000);
	assert_ptr_not_equal(page, MAP_FAILED);
	fx->dev->doorbells[3] = 0x1234;
	assert_int_equal(page[3], 0x1234);
	/* After close a store goes nowhere, and hurts nobody: another thread may not know yet. */
	close_dev(fx);
	fx->dev->doorbells[3] = 0x5678;
	assert_int_equal(page[3], 0x1234);
	munmap(page, 0x1000);
}

/* What can't be mapped goes by message; nothing of it fails. */
static void unmappable_doorbells(void **state)
{
	static const struct {
		uint64_t offset, size, area_at, area_size;
		off_t file_size;
	} cases[] = {
		{0, 0x4000, 0x1000, 0x1000, 0x1000},                  /* file too short */
		{0, 0x4000, 0x1000, 0x1000, 0x1fff},                  /* by a byte */
		{0x10000, 0x4000, 0x1000, 0x1000, 0x8000},            /* beyond the file */
		{0x800, 0x4000, 0x1000, 0x1000, 0x8000},              /* not at a page's start */
		{0, 0x4000, 0x2000, 0x1000, 0x8000},                  /* another area */
		{0, 0x4000, 0, 0x1000, 0x8000},                       /* ends before */
		{0, 0x4000, 0, 0x1800, 0x8000},                       /* half a page */
		{0, 0x4000, 0x1000, 0, 0x8000},                       /* empty */
		{UINT64_MAX - 0xfff, 0x4000, 0x1000, 0x1000, 0x8000}, /* wraps around */
		{0, 0x4000, UINT64_MAX - 5, 0x2000, 0x8000},
	};
	struct fixture *fx = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		server_offer_map(&fx->server, cases[i].offset, cases[i].size, cases[i].area_at,
				 cases[i].area_size, cases[i].file_size);
		open_dev(fx);
		assert_null(fx->dev->doorbells);
		assert_int_equal(fx->dev->doorbell_bytes, 0x3000);
		close_dev(fx);
		server_hang_up(&fx->server);
		close(fx->server.bar_fd);
		fx->server.bar_fd = -1;
		free_ctrlr(fx);
		make_ctrlr(fx);
	}
	/* a descriptor of something else */
	server_offer_map(&fx->server, 0, 0x4000, 0x1000, 0x1000, 0x4000);
	close(fx->server.bar_fd);
	fx->server.bar_fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	open_dev(fx);
	assert_null(fx->dev->doorbells);
	close_dev(fx);
	server_hang_up(&fx->server);
	free_ctrlr(fx);
	make_ctrlr(fx);
	/* promised and not sent */
	close(fx->server.bar_fd);
	fx->server.bar_fd = -1;
	open_dev(fx);
	assert_null(fx->dev->doorbells);
}

static void whole_bar_is_bounded(void **state)
{
	struct fixture *fx = *state;

	server_offer_map(&fx->server, 0x2000, 1ull << 40, 0, UINT64_MAX, 0x9000);
	open_dev(fx);
	assert_int_equal(fx->dev->doorbell_bytes, 0x6000);
}

static void malformed_caps(void **state)
{
	struct fixture *fx = *state;
	struct server *s = &fx->server;
	struct vfio_region_info_cap_sparse_mmap cap;

	for (unsigned i = 0; i < 8; i++) {
		server_offer_map(s, 0, 0x4000, 0x1000, 0x1000, 0x4000);
		memcpy(&cap, s->bar.caps, sizeof(cap));
		switch (i) {
		case 0: s->bar.info.cap_offset = 4; break;              /* inside the info */
		case 1: s->bar.info.cap_offset = s->bar_len - 4; break; /* header cut */
		case 2: s->bar.info.cap_offset = UINT32_MAX; break;
		case 3: cap.nr_areas = 2; break; /* one area more than there is */
		case 4: cap.nr_areas = UINT32_MAX; break;
		case 5: cap.header.next = sizeof(s->bar.info); break; /* a loop */
		case 6: cap.header.next = 0xfffffff0; break;
		case 7: s->bar.info.index = 3; break;
		}
		memcpy(s->bar.caps, &cap, sizeof(cap));
		expect_open(fx, -EPROTO, "malformed");
		s->bar.info.index = 0;
		server_hang_up(s);
		close(s->bar_fd);
		s->bar_fd = -1;
		free_ctrlr(fx);
		make_ctrlr(fx);
	}
}

static struct nvmux *signal_nvmux;

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	if (!nvmux_handle_sigbus(signal_nvmux, info->si_addr))
		_exit(99);
}

/* The server takes the file's pages away: a doorbell then hits nothing, and the loss is told. */
static void file_shrinks(void **state)
{
	const struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
	struct fixture *fx = *state;
	struct sigaction before;

	server_offer_map(&fx->server, 0, 0x4000, 0x1000, 0x1000, 0x4000);
	open_dev(fx);
	assert_false(nvmux_handle_sigbus(fx->nvmux, fx));
	assert_int_equal(ftruncate(fx->server.bar_fd, 0), 0);
	signal_nvmux = fx->nvmux;
	sigaction(SIGBUS, &action, &before);
	fx->dev->doorbells[1] = 7;
	assert_int_equal(fx->dev->doorbells[1], 7);
	assert_int_equal(fx->dev->doorbells[2], UINT32_MAX);
	sigaction(SIGBUS, &before, NULL);
	nvmux_process(fx->nvmux);
	assert_true(fx->ctrlr->failed);
}

/* ---- wanted back ---- */

static void count_event(void *arg, struct nvmux_ctrlr *ctrlr, enum nvmux_ctrlr_event event)
{
	assert_int_equal(event, NVMUX_CTRLR_REMOVING);
	assert_true(ctrlr->wanted_back);
	++*(unsigned *)arg;
}

static void open_request(struct fixture *fx)
{
	const uint64_t one = 1;

	fx->server.n_irq_types = 5;
	open_dev(fx);
	assert_false(fx->ctrlr->wanted_back);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(write(fx->server.request_fd, &one, sizeof(one)), sizeof(one));
	close(fx->server.request_fd);
}

/* Nobody knows it yet, or its owner wants no time: it is lost at once. */
static void wanted_back_at_once(void **state)
{
	struct fixture *fx = *state;

	open_request(fx);
	nvmux_process(fx->nvmux);
	assert_true(fx->ctrlr->wanted_back && fx->ctrlr->failed && fx->ctrlr->gone);
}

/* Its owner is told once, and has some time. */
static void wanted_back_later(void **state)
{
	struct fixture *fx = *state;
	unsigned n_told = 0;

	fx->ctrlr->attached = true;
	fx->ctrlr->opts.removal_timeout_ms = 50;
	nvmux_ctrlr_set_event_cb(fx->ctrlr, count_event, &n_told);
	open_request(fx);
	nvmux_process(fx->nvmux);
	nvmux_process(fx->nvmux);
	assert_int_equal(n_told, 1);
	assert_false(fx->ctrlr->failed);
	usleep(60000);
	nvmux_process(fx->nvmux);
	assert_int_equal(n_told, 1);
	assert_true(fx->ctrlr->failed && fx->ctrlr->gone);
}

/* ---- an open device ---- */

static void registers(void **state)
{
	struct fixture *fx = *state;
	struct result result[4] = {0};

	open_dev(fx);
	pcie_reg_read(fx->ctrlr, 0x1c, 4, done, &result[0]);
	pcie_reg_read(fx->ctrlr, 0x28, 8, done, &result[1]);
	pcie_reg_write(fx->ctrlr, 0x14, 4, 0x460001, done, &result[2]);
	pcie_reg_write(fx->ctrlr, 0x28, 8, UINT64_MAX, done, &result[3]);
	assert_int_equal(result[0].n, 0); /* nothing blocks, nothing ends early */
	run(fx, &result[3]);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(result[i].err, 0);
	assert_int_equal(result[0].value, 0x55667788);
	assert_int_equal(result[1].value, 0x1122334455667788);
}

static void refused_call(void **state)
{
	struct fixture *fx = *state;
	struct result result[2] = {0};

	open_dev(fx);
	fx->server.evil = REFUSAL;
	fx->server.evil_at = fx->server.n;
	pcie_reg_read(fx->ctrlr, 0x1c, 4, done, &result[0]);
	run(fx, &result[0]);
	assert_int_equal(result[0].err, -EREMOTEIO);
	assert_non_null(strstr(nvmux_error_text(fx->nvmux), "REGION_READ"));
	/* The connection lives on. */
	pcie_reg_read(fx->ctrlr, 0x1c, 4, done, &result[1]);
	run(fx, &result[1]);
	assert_int_equal(result[1].err, 0);
	assert_false(fx->ctrlr->failed);
}

static void echo_of_another_place(void **state)
{
	struct fixture *fx = *state;
	struct result result[2] = {0};

	open_dev(fx);
	fx->server.wrong_echo = true;
	pcie_reg_write(fx->ctrlr, 0x14, 4, 1, done, &result[0]);
	pcie_reg_read(fx->ctrlr, 0x1c, 4, done, &result[1]);
	run(fx, &result[1]);
	assert_int_equal(result[0].err, -EPROTO);
	assert_int_equal(result[1].err, -EPROTO);
	assert_true(fx->ctrlr->failed);
	assert_non_null(strstr(nvmux_error_text(fx->nvmux), "another place"));
}

/* Loss with calls under way: each ends once, the owner is told, new calls are refused. */
static void loss(void **state)
{
	struct fixture *fx = *state;
	struct result result[5] = {0};
	struct nvmux_mem *mem;

	open_dev(fx);
	assert_int_equal(nvmux_mem_create(fx->nvmux, 4096, 0, &mem), 0);
	pcie_reg_read(fx->ctrlr, 0x1c, 4, done, &result[0]);
	pcie_mem_map(fx->ctrlr, mem, done, &result[1]);
	pcie_mem_unmap(fx->ctrlr, mem, done, &result[2]);
	nvmux_process(fx->nvmux);
	server_hang_up(&fx->server);
	run(fx, &result[2]);
	assert_int_equal(result[0].err, -ECONNRESET);
	assert_int_equal(result[1].err, -ECONNRESET);
	assert_int_equal(result[2].err, 0); /* nothing can reach it through us any more */
	assert_true(fx->ctrlr->failed);
	pcie_reg_read(fx->ctrlr, 0x1c, 4, done, &result[3]);
	assert_int_equal(result[3].err, -ENXIO);
	assert_int_equal(result[3].n, 1);
	assert_int_equal(fx->dev->ops->doorbell_write(fx->dev, 0x1000, 1), -ENXIO);
	close_dev(fx);
	assert_int_equal(fx->dev->ops->doorbell_write(fx->dev, 0x1000, 1), -ENXIO);
	nvmux_mem_release(mem);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(result[i].n, 1);
}

static void memory(void **state)
{
	struct fixture *fx = *state;
	struct result result = {0};
	struct vu_dma_map map;
	struct vu_dma_unmap unmap;
	struct stat ours, theirs;
	struct nvmux_mem *mem;

	open_dev(fx);
	assert_int_equal(nvmux_mem_create(fx->nvmux, 12288, 0, &mem), 0);
	pcie_mem_map(fx->ctrlr, mem, done, &result);
	run(fx, &result);
	assert_int_equal(result.err, 0);
	assert_int_equal(fx->server.last.header.command, VU_DMA_MAP);
	memcpy(&map, fx->server.last.payload, sizeof(map));
	assert_int_equal(map.argsz, 32);
	assert_int_equal(map.flags, 3);
	assert_int_equal(map.offset, 0);
	assert_int_equal(map.addr, mem->iova);
	assert_int_equal(map.size, 12288);
	assert_int_equal(fx->server.last.n_fds, 1);
	assert_int_equal(fstat(fx->server.last.fds[0], &theirs), 0);
	assert_int_equal(fstat(mem->fd, &ours), 0);
	assert_int_equal(ours.st_ino, theirs.st_ino);

	result = (struct result){0};
	pcie_mem_unmap(fx->ctrlr, mem, done, &result);
	run(fx, &result);
	assert_int_equal(result.err, 0);
	memcpy(&unmap, fx->server.last.payload, sizeof(unmap));
	assert_int_equal(unmap.addr, mem->iova);
	assert_int_equal(unmap.size, 12288);

	nvmux_mem_release(mem);
}

/* A server that keeps memory, or may, loses its controller, and then has none. */
static void unmap_denied(void **state)
{
	static const char *const words[] = {"another place", "refused DMA_UNMAP"};
	struct fixture *fx = *state;
	struct nvmux_mem *mem;

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		struct result result = {0};

		open_dev(fx);
		assert_int_equal(nvmux_mem_create(fx->nvmux, 4096, 0, &mem), 0);
		fx->server.wrong_echo = i == 0;
		fx->server.evil = i == 0 ? GOOD : REFUSAL;
		fx->server.evil_at = fx->server.n;
		pcie_mem_unmap(fx->ctrlr, mem, done, &result);
		for (unsigned n = 0; !fx->ctrlr->failed && n < 100; n++) {
			if (server_take(&fx->server))
				server_answer(&fx->server);
			nvmux_process(fx->nvmux);
		}
		assert_true(fx->ctrlr->failed);
		assert_non_null(strstr(nvmux_error_text(fx->nvmux), words[i]));
		assert_int_equal(result.n, 0);
		close_dev(fx);
		assert_int_equal(result.n, 1);
		assert_int_equal(result.err, 0);
		nvmux_mem_release(mem);
		fx->server.wrong_echo = false;
		server_hang_up(&fx->server);
		free_ctrlr(fx);
		make_ctrlr(fx);
	}
}

static void too_many_regions(void **state)
{
	struct fixture *fx = *state;
	struct result result[2] = {0};
	struct nvmux_mem *mem;

	fx->server.version_json = "{\"capabilities\":{\"max_dma_maps\":1}}";
	open_dev(fx);
	assert_int_equal(nvmux_mem_create(fx->nvmux, 4096, 0, &mem), 0);
	pcie_mem_map(fx->ctrlr, mem, done, &result[0]);
	run(fx, &result[0]);
	pcie_mem_map(fx->ctrlr, mem, done, &result[1]);
	run(fx, &result[1]);
	assert_int_equal(result[1].err, -ENOSPC);
	nvmux_mem_release(mem);
}

/* More calls than can be under way at once wait, and end in order. */
static void many_calls(void **state)
{
	struct fixture *fx = *state;
	struct result results[500] = {0};

	open_dev(fx);
	for (unsigned i = 0; i < ARRAY_SIZE(results); i++)
		pcie_reg_read(fx->ctrlr, 0x1c, 4, done, &results[i]);
	run(fx, &results[ARRAY_SIZE(results) - 1]);
	for (unsigned i = 0; i < ARRAY_SIZE(results); i++) {
		assert_int_equal(results[i].n, 1);
		assert_int_equal(results[i].err, 0);
	}
}

/* Close with calls in the table and in the queue: each ends, cancelled; an unmap with success. */
static void close_with_calls(void **state)
{
	struct fixture *fx = *state;
	struct result results[200] = {0}, unmapped = {0}, closed = {0};
	struct nvmux_mem *mem;

	open_dev(fx);
	assert_int_equal(nvmux_mem_create(fx->nvmux, 4096, 0, &mem), 0);
	pcie_mem_unmap(fx->ctrlr, mem, done, &unmapped);
	for (unsigned i = 0; i < ARRAY_SIZE(results); i++)
		pcie_reg_read(fx->ctrlr, 0x1c, 4, done, &results[i]);
	nvmux_process(fx->nvmux);
	pcie_ctrlr_close(fx->ctrlr, done, &closed);
	assert_int_equal(closed.n, 0); /* the reset is under way */
	for (unsigned i = 0; i < ARRAY_SIZE(results); i++) {
		assert_int_equal(results[i].n, 1);
		assert_int_equal(results[i].err, -ECANCELED);
	}
	assert_int_equal(unmapped.n, 0);
	run(fx, &closed);
	assert_int_equal(unmapped.n, 1);
	assert_int_equal(unmapped.err, 0);
	assert_int_equal(fx->server.last.header.command, VU_DEVICE_RESET);
	nvmux_mem_release(mem);
}

/* Memory is given up while the device is being closed: it has to wait for that. */
static void unmap_while_closing(void **state)
{
	static const enum evil ends[] = {GOOD, REFUSAL, END};
	struct fixture *fx = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		struct result mapped = {0}, unmapped = {0}, closed = {0};
		struct nvmux_mem *mem;

		open_dev(fx);
		assert_int_equal(nvmux_mem_create(fx->nvmux, 4096, 0, &mem), 0);
		pcie_mem_map(fx->ctrlr, mem, done, &mapped);
		run(fx, &mapped);
		fx->server.evil = ends[i];
		fx->server.evil_at = fx->server.n;
		pcie_ctrlr_close(fx->ctrlr, done, &closed);
		pcie_mem_unmap(fx->ctrlr, mem, done, &unmapped);
		nvmux_process(fx->nvmux);
		assert_int_equal(unmapped.n, 0); /* the device may still write to it */
		run(fx, &unmapped);
		assert_int_equal(unmapped.err, 0);
		assert_int_equal(closed.n, 1);
		assert_int_equal(closed.err, 0);
		/* and then at once */
		pcie_mem_unmap(fx->ctrlr, mem, done, &unmapped);
		assert_int_equal(unmapped.n, 2);
		assert_int_equal(unmapped.err, 0);
		nvmux_mem_release(mem);
		server_hang_up(&fx->server);
		free_ctrlr(fx);
		make_ctrlr(fx);
	}
}

/* Whatever the server makes of the reset, close ends. */
static void close_against_the_server(void **state)
{
	struct fixture *fx = *state;

	for (enum evil evil = GOOD; evil < SILENCE; evil++) {
		open_dev(fx);
		fx->server.evil = evil;
		fx->server.evil_at = fx->server.n;
		close_dev(fx);
		server_hang_up(&fx->server);
		free_ctrlr(fx);
		make_ctrlr(fx);
	}
}

static void server_commands(void **state)
{
	struct fixture *fx = *state;
	const struct {
		struct vu_header header;
		uint64_t addr, count;
	} read = {.header = {.id = 9, .command = VU_DMA_READ, .size = sizeof(read)},
		  .addr = 0x1000,
		  .count = 4096};
	struct result result = {0};

	open_dev(fx);
	server_send(&fx->server, &read, sizeof(read), NULL, 0);
	pcie_reg_read(fx->ctrlr, 0x1c, 4, done, &result);
	run(fx, &result);
	assert_int_equal(result.err, 0);
	run_until(fx, &fx->server.n_refusals, 1, UINT32_MAX);
	assert_int_equal(fx->server.refusal_error, ENOTSUP);
	assert_int_equal(fx->server.refusal_id, 9);
	assert_false(fx->ctrlr->failed);
	/* In the long run it wears us out. */
	for (unsigned i = 0; i < 2 * VU_SERVER_COMMANDS_MAX && !fx->ctrlr->failed; i++) {
		server_send(&fx->server, &read, sizeof(read), NULL, 0);
		nvmux_process(fx->nvmux);
		server_take(&fx->server);
	}
	assert_true(fx->ctrlr->failed);
}

/* Doorbells as messages: whole or not at all, and none is lost without being told. */
static void doorbell_messages(void **state)
{
	struct fixture *fx = *state;
	struct result result = {0};
	unsigned sent = 0;
	int err;

	open_dev(fx);
	while ((err = fx->dev->ops->doorbell_write(fx->dev, 0x1008, sent)) == 0)
		sent++;
	assert_int_equal(err, -EAGAIN);
	assert_true(sent > 10);
	/* A call waits as well, until the server reads. */
	pcie_reg_read(fx->ctrlr, 0x1c, 4, done, &result);
	nvmux_process(fx->nvmux);
	run(fx, &result);
	assert_int_equal(result.err, 0);
	assert_int_equal(fx->server.n_doorbells, sent);
	assert_int_equal(fx->server.doorbell, sent - 1);
	assert_int_equal(fx->dev->ops->doorbell_write(fx->dev, 0x1008, 1), 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(open_and_close),
		TEST(socket_path_itself),
		TEST(no_server),
		TEST(evil_at_each_step),
		TEST(unwanted_fds),
		TEST(close_at_each_step),
		TEST(silence),
		TEST(versions),
		TEST(other_devices),
		TEST(mapped_doorbells),
		TEST(unmappable_doorbells),
		TEST(whole_bar_is_bounded),
		TEST(malformed_caps),
		TEST(file_shrinks),
		TEST(wanted_back_at_once),
		TEST(wanted_back_later),
		TEST(registers),
		TEST(refused_call),
		TEST(echo_of_another_place),
		TEST(loss),
		TEST(memory),
		TEST(unmap_denied),
		TEST(too_many_regions),
		TEST(many_calls),
		TEST(close_with_calls),
		TEST(unmap_while_closing),
		TEST(close_against_the_server),
		TEST(server_commands),
		TEST(doorbell_messages),
	};

	return cmocka_run_group_tests_name("vfio_user", tests, NULL, NULL);
}
