// SPDX-License-Identifier: BSD-3-Clause
/*
 * Regions of I/O memory.
 *
 * Happy path of one: a sealed memfd → mapped for every controller that the session holds → known to
 * its channels → its descriptor goes to the client … → forgotten by the channels, which wait for
 * the commands that use it, and by the commands of the control plane → unmapped → freed.
 *
 * Failure modes. It can't be mapped for one controller: unmapped from the others, and freed. It
 * can't be unmapped: the device could still write to it, so its memory is freed when that device
 * has been let go of. No descriptor is left for the client: the same as if it couldn't be made.
 * Commands on it don't end: freeing waits; when the client goes its controller is reset.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/daemon.h"
#include "libcore/numa.h"

struct region_op {
	struct op op;
	struct session *s;
	struct rpc_request *req;
	uint32_t number;
	uint64_t size;
	bool huge;
	int fd; /* for the client; -1: none */
};

static struct region_op *region_op_of(struct op *op)
{
	return container_of(op, struct region_op, op);
}

static struct region *region_of(struct op *op)
{
	struct region_op *rop = region_op_of(op);

	return &rop->s->regions[rop->number];
}

void region_get(struct session *s, uint32_t number)
{
	NVMUX_ASSERT(number < s->limits.max_regions && s->regions[number].ready);
	s->regions[number].users++;
}

void region_put(struct session *s, uint32_t number)
{
	struct region *region = &s->regions[number];
	struct op *waiter = region->waiter;

	NVMUX_ASSERT(number < s->limits.max_regions && region->users > 0);
	if (--region->users || !waiter)
		return;
	region->waiter = NULL;
	op_release(waiter, 0);
}

/* Give the memory back; no command can use it any more. */
static void region_release(struct session *s, struct region *region)
{
	bool still_mapped = false;

	NVMUX_ASSERT(!region->users && !region->waiter);
	for (unsigned i = 0; i < NVMUX_CTRLRS_MAX; i++)
		still_mapped = still_mapped || region->mem->maps[i].mapped;
	if (still_mapped)
		log_error(&s->d->log, "session",
			  "client %u: a region of %llu bytes can't be unmapped; its memory is kept "
			  "until the controller has been let go of",
			  s->id, (unsigned long long)region->size);
	nvmux_mem_release_later(region->mem);
	s->n_regions--;
	s->bytes -= region->size;
	memset(region, 0, sizeof(*region));
}

void session_release_regions(struct session *s)
{
	for (uint32_t i = 0; i < s->limits.max_regions; i++) {
		if (s->regions[i].mem)
			region_release(s, &s->regions[i]);
	}
}

static struct region_view view_of(const struct region *region, uint32_t index)
{
	return (struct region_view){
		.mem = region->mem, .size = region->size, .base = region->mem->maps[index].base};
}

struct region_view *session_region_views(const struct session *s, const struct hold *hold)
{
	uint32_t n = s->limits.max_regions, index = hold->controller->ctrlr->index;
	struct region_view *views = calloc(n, sizeof(*views));

	for (uint32_t i = 0; views && i < n; i++) {
		const struct region *region = &s->regions[i];

		if (!region->ready || region->closing || !region->mem->maps[index].mapped)
			continue;
		views[i] = view_of(region, index);
	}
	return views;
}

static void release_op(void *arg)
{
	op_release(arg, 0);
}

static void unmapped(void *arg, int err, uint64_t value)
{
	(void)err; /* region_release() looks at what is still mapped */
	(void)value;
	op_release(arg, 0);
}

static void unmap(struct region *region, const struct hold *hold, struct op *op)
{
	op_hold(op);
	nvmux_mem_unmap_async(region->mem, hold->controller->ctrlr, unmapped, op);
}

void session_unmap_regions(struct session *s, const struct hold *hold, struct op *op)
{
	for (uint32_t i = 0; i < s->limits.max_regions; i++) {
		if (s->regions[i].mem)
			unmap(&s->regions[i], hold, op);
	}
}

/* ---- allocating ---- */

static int free_number(const struct session *s, uint32_t *ret)
{
	for (uint32_t i = 0; i < s->limits.max_regions; i++) {
		if (s->regions[i].mem)
			continue;
		*ret = i;
		return 0;
	}
	return -EDQUOT;
}

/* Every controller that the session opens can use a region; it is put near the one that was opened
 * first. */
static int region_node(const struct session *s)
{
	const struct hold *hold;
	int node = -1;

	TAILQ_FOREACH(hold, &s->holds, link)
	{
		if (node < 0 && !hold->closing && !hold->controller->lost)
			node = nvmux_ctrlr_get_numa_id(hold->controller->ctrlr);
	}
	return node;
}

static void alloc_make(struct op *op)
{
	struct region_op *rop = region_op_of(op);
	struct session *s = rop->s;
	uint64_t page = rop->huge ? 1u << NVMUX_SLOT_SHIFT : NVMUX_PAGE_SIZE;
	struct nvmux_mem *mem;
	int err;

	if (free_number(s, &rop->number)) {
		session_reply_limit(rop->req, "max_regions", s->limits.max_regions,
				    "too many regions");
		rop->req = NULL;
		op_fail(op, -EDQUOT, "max_regions");
		return;
	}
	if (rop->size > s->limits.max_memory ||
	    align_up(rop->size, page) > s->limits.max_memory - s->bytes) {
		session_reply_limit(rop->req, "max_memory", s->limits.max_memory,
				    "too much I/O memory");
		rop->req = NULL;
		op_fail(op, -EDQUOT, "max_memory");
		return;
	}
	err = nvmux_mem_create(s->d->nvmux, rop->size, rop->huge ? NVMUX_MEM_HUGE : 0, &mem);
	if (err) {
		op_fail(op, err, "%s", daemon_error_text(s->d, err));
		return;
	}
	nvmux_numa_prefer(mem->addr, mem->size, region_node(s));
	s->regions[rop->number] = (struct region){.mem = mem, .size = mem->size};
	s->n_regions++;
	s->bytes += mem->size;
	rop->fd = fcntl(mem->fd, F_DUPFD_CLOEXEC, 0);
	if (rop->fd < 0)
		op_fail(op, -errno, "no descriptor left");
}

static void mapped(void *arg, int err, uint64_t value)
{
	struct op *op = arg;

	(void)value;
	if (err)
		op_fail(op, err, "the region can't be mapped: %s",
			daemon_error_text(region_op_of(op)->s->d, err));
	op_release(op, 0);
}

static void alloc_map(struct op *op)
{
	struct region_op *rop = region_op_of(op);
	struct hold *hold;

	TAILQ_FOREACH (hold, &rop->s->holds, link) {
		if (hold->closing || hold->controller->lost)
			continue;
		op_hold(op);
		nvmux_mem_map_async(region_of(op)->mem, hold->controller->ctrlr, mapped, op);
	}
}

/* Channels know it before the client does. */
static void alloc_tell_channels(struct op *op)
{
	struct region_op *rop = region_op_of(op);
	struct region *region = region_of(op);
	struct region_view view;
	struct client_qpair *q;
	uint32_t index;

	region->ready = true;
	TAILQ_FOREACH (q, &rop->s->qpairs, link) {
		index = q->hold->controller->ctrlr->index;
		if (q->state != CHANNEL_STARTED || !region->mem->maps[index].mapped)
			continue;
		view = view_of(region, index);
		op_hold(op);
		channel_set_region(q->channel, rop->number, &view, release_op, op);
	}
}

static void alloc_undo(struct op *op)
{
	struct region_op *rop = region_op_of(op);
	struct hold *hold;

	if (rop->number == REGION_NONE || !region_of(op)->mem)
		return;
	TAILQ_FOREACH (hold, &rop->s->holds, link)
		unmap(region_of(op), hold, op);
}

static void alloc_done(struct op *op)
{
	struct region_op *rop = region_op_of(op);
	struct region *region = rop->number == REGION_NONE ? NULL : region_of(op);

	if (!op->err) {
		rpc_reply_fds(rop->req,
			      json_pack("{s:i,s:I}", "region", (int)rop->number, "size",
					(json_int_t)region->size),
			      &rop->fd, 1);
	} else {
		if (rop->fd >= 0)
			close(rop->fd);
		if (region && region->mem)
			region_release(rop->s, region);
		if (rop->req)
			rpc_reply_errno(rop->req, op->err, "%s", op->why);
	}
	free(rop);
}

static const struct op_step alloc_steps[] = {
	{"make the region", STEP_OK, alloc_make},
	{"map it", STEP_OK, alloc_map},
	{"tell channels", STEP_OK, alloc_tell_channels},
	{"unmap it", STEP_UNDO, alloc_undo},
	{NULL, 0, NULL},
};

static const struct op_kind alloc_kind = {"allocate memory for", alloc_steps, alloc_done};

void session_alloc_memory(struct session *s, uint64_t size, bool huge, struct rpc_request *req)
{
	struct region_op *rop = calloc(1, sizeof(*rop));

	if (!rop) {
		rpc_reply_errno(req, -ENOMEM, "out of memory");
		return;
	}
	rop->s = s;
	rop->req = req;
	rop->size = size;
	rop->huge = huge;
	rop->number = REGION_NONE;
	rop->fd = -1;
	op_submit(&s->ops, &rop->op, &alloc_kind, s->command);
}

/* ---- freeing ---- */

static void free_begin(struct op *op)
{
	struct region_op *rop = region_op_of(op);
	struct session *s = rop->s;
	struct region *region;
	struct client_qpair *q;

	if (rop->number >= s->limits.max_regions || !region_of(op)->ready) {
		op_fail(op, -ENOENT, "the session has no region %u", rop->number);
		return;
	}
	region = region_of(op);
	region->closing = true;
	TAILQ_FOREACH (q, &s->qpairs, link) {
		/* one that has stopped has nothing in flight */
		if (q->state != CHANNEL_STARTED && q->state != CHANNEL_STOPPING)
			continue;
		op_hold(op);
		channel_drop_region(q->channel, rop->number, release_op, op);
	}
	if (region->users) {
		region->waiter = op;
		op_hold(op);
	}
}

static void free_unmap(struct op *op)
{
	struct hold *hold;

	TAILQ_FOREACH (hold, &region_op_of(op)->s->holds, link)
		unmap(region_of(op), hold, op);
}

static void free_done(struct op *op)
{
	struct region_op *rop = region_op_of(op);

	if (op->err) {
		rpc_reply_errno(rop->req, op->err, "%s", op->why);
	} else {
		region_release(rop->s, region_of(op));
		rpc_reply(rop->req, json_true());
	}
	free(rop);
}

static const struct op_step free_steps[] = {
	{"wait for its commands", STEP_OK, free_begin},
	{"unmap it", STEP_OK, free_unmap},
	{NULL, 0, NULL},
};

static const struct op_kind free_kind = {"free memory of", free_steps, free_done};

void session_free_memory(struct session *s, uint32_t number, struct rpc_request *req)
{
	struct region_op *rop = calloc(1, sizeof(*rop));

	if (!rop) {
		rpc_reply_errno(req, -ENOMEM, "out of memory");
		return;
	}
	rop->s = s;
	rop->req = req;
	rop->number = number;
	op_submit(&s->ops, &rop->op, &free_kind, s->command);
}
