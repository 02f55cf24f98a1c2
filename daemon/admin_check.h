/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which admin commands of a client are forwarded, and what they move.
 *
 * Everybody with access to the controller: Identify, Get Log Page, Get Features. With the admin
 * right more, but never what belongs to the daemon: queues, events, keep-alive, abort, doorbell and
 * host memory buffers, interrupts, Fabrics. As with I/O, the length of the data is derived from the
 * command, because a PRP carries none.
 */
#ifndef NVMUXD_ADMIN_CHECK_H
#define NVMUXD_ADMIN_CHECK_H

#include "daemon/reactor.h"

/* What a client's admin commands are checked against. */
struct admin_view {
	bool admin;            /* the client has the admin right */
	uint32_t max_transfer; /* bytes of one command */
	bool keys; /* data is described by keys with a length: over a fabric */
	const struct region_view *regions;
	uint32_t n_regions;
};

/*
 * Check a private copy. Return 0 with @ret filled, or the status (with DNR) to complete it with.
 * Pure: no I/O, no state.
 */
uint16_t admin_check(const struct nvmux_ring_cmd *copy, const struct admin_view *view,
		     struct checked_cmd *ret);
/* Whether clients with the admin right may send it at all. */
bool admin_is_known(uint8_t opc);

#endif
