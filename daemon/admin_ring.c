// SPDX-License-Identifier: BSD-3-Clause
/*
 * The daemon's end of an admin ring: a ring that the control thread serves.
 *
 * Happy path: arm, wait on the descriptor, take commands, complete each of them later. A client
 * that publishes more than its depth has the rest refused, a bounded number in each call.
 */
#include <errno.h>
#include "daemon/reactor.h"
#include "daemon/ring_server.h"
#include "libcore/membarrier.h"

struct admin_ring {
	struct ring_server ring;
	uint32_t depth;
	uint32_t in_flight; /* taken and not completed yet */
};

int admin_ring_create(uint32_t depth, struct admin_ring **ret)
{
	struct admin_ring *ring;
	int err = nvmux_membarrier_register();

	if (err)
		return err;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	ring->depth = depth;
	err = ring_server_create(depth, NULL, -1, &ring->ring);
	if (err) {
		free(ring);
		return err;
	}
	*ret = ring;
	return 0;
}

void admin_ring_destroy(struct admin_ring *ring)
{
	if (!ring)
		return;
	__atomic_store_n(&ring->ring.header->state, NVMUX_RING_DEAD, __ATOMIC_RELEASE);
	ring_server_wake(&ring->ring);
	ring_server_fini(&ring->ring);
	free(ring);
}

int admin_ring_fd(const struct admin_ring *ring)
{
	return ring->ring.ring_fd;
}

int admin_ring_client_fd(const struct admin_ring *ring)
{
	return ring->ring.client_fd;
}

void admin_ring_close_client_fd(struct admin_ring *ring)
{
	ring_server_close_client_fd(&ring->ring);
}

int admin_ring_wake_fd(const struct admin_ring *ring)
{
	return ring->ring.wake_fd;
}

static void complete(struct admin_ring *ring, uint16_t cid, uint32_t dw0, uint32_t dw1,
		     uint16_t status)
{
	ring_server_complete(&ring->ring, cid, htole64((uint64_t)dw1 << 32 | dw0), status);
	ring_server_publish_indices(&ring->ring);
	ring_server_notify(&ring->ring);
}

bool admin_ring_next(struct admin_ring *ring, struct nvmux_ring_cmd *ret)
{
	struct nvmux_ring_cmd cmd;

	for (uint32_t n = 0; n < ring->ring.entries; n++) {
		if (!ring_server_take(&ring->ring, &cmd))
			return false;
		if (ring->in_flight < ring->depth) {
			ring->in_flight++;
			cmd.flags &= (__u8)~NVMUX_RING_F_PHASE;
			*ret = cmd;
			return true;
		}
		complete(ring, le16_to_cpu(cmd.cid), 0, 0,
			 NVMUX_SC_DEPTH_EXCEEDED | NVMUX_STATUS_DNR);
	}
	return false;
}

void admin_ring_complete(struct admin_ring *ring, uint16_t cid, uint32_t dw0, uint32_t dw1,
			 uint16_t status)
{
	NVMUX_ASSERT(ring->in_flight > 0);
	ring->in_flight--;
	complete(ring, cid, dw0, dw1, status);
}

int admin_ring_arm(struct admin_ring *ring)
{
	uint64_t first;

	if (ring_server_drain(&ring->ring))
		return -EPIPE;
	__atomic_store_n(&ring->ring.header->daemon_sleeping, 1, __ATOMIC_RELAXED);
	nvmux_membarrier();
	if (!ring_server_ready(&ring->ring, &first))
		return 0;
	__atomic_store_n(&ring->ring.header->daemon_sleeping, 0, __ATOMIC_RELAXED);
	return -EAGAIN;
}
