// SPDX-License-Identifier: BSD-3-Clause
/* The daemon's end of one ring: making it, and its socket pair. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "daemon/ring_server.h"
#include "libcore/numa.h"
#include "rpc/passrights.h"

#define DRAIN_BYTES 256 /* swallowed with one call */

/* @populated: bytes at its beginning that are used all the time. */
static int make_memfd(size_t size, size_t populated, int node, int *ret_fd, void **ret_map)
{
	int err, fd = memfd_create("nvmux-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *map;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		goto fail;
	/* Populated, when it is known from where: no page fault on the I/O path. Linux before 5.14
	 * wants the pages to be touched. The rest comes when it is used first. */
	nvmux_numa_prefer(map, size, node);
	if (madvise(map, populated, MADV_POPULATE_WRITE))
		memset(map, 0, populated);
	*ret_fd = fd;
	*ret_map = map;
	return 0;
fail:
	err = -errno;
	close(fd);
	return err;
}

static int make_sockets(int *ret_ours, int *ret_clients)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	/* Nobody sends us descriptors here. A kernel that can't refuse them drops them when the
	 * byte is read that they came with: there is no control buffer. */
	socket_refuse_descriptors(fds[0]);
	*ret_ours = fds[0];
	*ret_clients = fds[1];
	return 0;
}

void ring_server_show_limits(struct ring_server *ring, const struct ring_limits *limits)
{
	struct nvmux_ring_header *header = ring->header;
	uint32_t max_segs = MIN(MAX(limits->max_segs, 1u), (uint32_t)NVMUX_RING_LIST_PER_CMD);

	__atomic_store_n(&header->max_transfer, limits->max_transfer, __ATOMIC_RELAXED);
	__atomic_store_n(&header->max_segs, max_segs, __ATOMIC_RELAXED);
	__atomic_store_n(&header->features, limits->sgl ? NVMUX_RING_SGL : 0, __ATOMIC_RELAXED);
}

/* The client asks for lines some entries ahead: also a shallow ring shall have these. */
#define RING_ENTRIES_MIN 16

int ring_server_create(uint32_t depth, const struct ring_limits *limits, int node,
		       struct ring_server *ret)
{
	uint32_t entries = RING_ENTRIES_MIN,
		 list_entries = limits ? depth * NVMUX_RING_LIST_PER_CMD : 0;
	uint32_t sq_offset, cq_offset, list_offset;
	const struct nvmux_ring_cmd *sq;
	struct nvmux_ring_header *header;
	struct nvmux_ring_cpl *cq;
	int err, ring_fd = -1, ours = -1, clients = -1;
	size_t size;
	void *map = NULL;

	if (depth < 1 || depth > NVMUX_RING_DEPTH_MAX)
		return -EINVAL;
	while (entries < depth)
		entries *= 2;
	/* What follows the submission queue is the client's, too, who asks for lines ahead there.
	 */
	cq_offset = NVMUX_RING_HEADER_SIZE;
	sq_offset = cq_offset + entries * (uint32_t)sizeof(struct nvmux_ring_cpl);
	list_offset = sq_offset + entries * (uint32_t)sizeof(struct nvmux_ring_cmd);
	size = align_up(list_offset + list_entries * sizeof(struct nvmux_ring_seg), 4096);

	/* Scatter lists are much larger than both queues, and few clients use many of them. */
	err = make_memfd(size, align_up(list_offset, 4096), node, &ring_fd, &map);
	if (err)
		return err;
	err = make_sockets(&ours, &clients);
	if (err) {
		munmap(map, size);
		close(ring_fd);
		return err;
	}
	header = map;
	sq = (const struct nvmux_ring_cmd *)((uint8_t *)map + sq_offset);
	cq = (struct nvmux_ring_cpl *)((uint8_t *)map + cq_offset);
	*header = (struct nvmux_ring_header){
		.magic = NVMUX_RING_MAGIC,
		.version_major = NVMUX_RING_VERSION_MAJOR,
		.version_minor = NVMUX_RING_VERSION_MINOR,
		.depth = depth,
		.sq_entries = entries,
		.cq_entries = entries,
		.sq_offset = sq_offset,
		.cq_offset = cq_offset,
		.list_offset = list_offset,
		.list_entries = list_entries,
		.size = size,
		.generation = 1,
		.state = NVMUX_RING_READY,
	};
	*ret = (struct ring_server){
		.header = header,
		.sq_next = sq,
		.sq_end = sq + entries,
		.sq_phase = RING_SQ_PHASE,
		.cq_next = cq,
		.cq_end = cq + entries,
		.cq_phase = RING_CQ_PHASE,
		.entries = entries,
		.wake_fd = ours,
		.list = (const struct nvmux_ring_seg *)((uint8_t *)map + list_offset),
		.list_entries = list_entries,
		.size = size,
		.ring_fd = ring_fd,
		.client_fd = clients,
	};
	if (limits)
		ring_server_show_limits(ret, limits);
	return 0;
}

void ring_server_close_client_fd(struct ring_server *ring)
{
	if (ring->client_fd >= 0)
		close(ring->client_fd);
	ring->client_fd = -1;
}

void ring_server_fini(struct ring_server *ring)
{
	ring_server_close_client_fd(ring);
	munmap(ring->header, ring->size);
	close(ring->ring_fd);
	close(ring->wake_fd);
}

void ring_server_wake(struct ring_server *ring)
{
	/* A full socket has bytes enough to wake the client; a closed one has no client. */
	(void)!send(ring->wake_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int ring_server_drain(struct ring_server *ring)
{
	char bytes[DRAIN_BYTES];
	ssize_t n = recv(ring->wake_fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return 0;
	return -EPIPE;
}
