// SPDX-License-Identifier: BSD-3-Clause
/*
 * Memory of the daemon's own, for small structures that commands by RPC carry: ranges, reservation
 * keys, lists of controllers. One region for each controller, mapped for it alone; a page for each
 * command, from its check until its completion.
 *
 * Happy path: made when the controller has been attached → pages are taken and given back → freed
 * when the device has been let go of.
 *
 * Failure modes. It can't be made or mapped: the controller works without, and such commands are
 * refused for want of memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"
#include "libcore/numa.h"

#define STAGING_PAGES 16u

static void staging_failed(struct controller *c, int err)
{
	log_warning(&c->d->log, "ctrlr",
		    "%s: no memory for commands with small structures (copy, reservations, …) by "
		    "RPC: %s",
		    c->name, daemon_error_text(c->d, err));
	ctl_staging_drop(c);
}

struct staging_map {
	struct controller *c;
	struct op *op;
};

static void staging_mapped(void *arg, int err, uint64_t value)
{
	struct staging_map *map = arg;

	(void)value;
	if (err)
		staging_failed(map->c, err);
	op_release(map->op, 0);
	free(map);
}

void ctl_staging_make(struct controller *c, struct op *op)
{
	struct staging_map *map = calloc(1, sizeof(*map));
	int err = map ? 0 : -ENOMEM;

	daemon_clear_error(c->d);
	if (!err)
		err = nvmux_mem_create_for(c->ctrlr, STAGING_PAGES * NVMUX_PAGE_SIZE, 0,
					   &c->staging);
	if (err) {
		free(map);
		staging_failed(c, err);
		return;
	}
	map->c = c;
	map->op = op;
	op_hold(op);
	nvmux_mem_map_async(c->staging, c->ctrlr, staging_mapped, map);
}

void ctl_staging_drop(struct controller *c)
{
	if (c->staging)
		nvmux_mem_release_later(c->staging);
	c->staging = NULL;
	c->staging_used = 0;
}

int ctl_staging_take(struct controller *c, const void *data, size_t len)
{
	uint8_t *page;

	NVMUX_ASSERT(len <= NVMUX_PAGE_SIZE);
	if (!c->staging)
		return -ENOMEM;
	for (uint32_t i = 0; i < STAGING_PAGES; i++) {
		if (c->staging_used >> i & 1)
			continue;
		c->staging_used |= 1u << i;
		page = c->staging->addr + (size_t)i * NVMUX_PAGE_SIZE;
		memset(page, 0, NVMUX_PAGE_SIZE);
		memcpy(page, data, len);
		return (int)i;
	}
	return -EAGAIN;
}

void ctl_staging_give(struct controller *c, int page)
{
	NVMUX_ASSERT(c->staging_used >> page & 1);
	c->staging_used &= ~(1u << page);
}
