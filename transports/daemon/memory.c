// SPDX-License-Identifier: BSD-3-Clause
/*
 * Regions that a daemon makes.
 *
 * Happy path: alloc_memory brings a sealed memfd, which is mapped into the context's window. The
 * daemon maps it for every controller that its session has open or opens later, so that a region
 * is usable with all controllers of its connection. free_memory answers when nothing in flight uses
 * the region.
 *
 * Failure modes. A descriptor that isn't a sealed memfd of the promised size could turn an access
 * into SIGBUS: refused. The connection goes: the region stays, as plain memory of this process,
 * until its owner frees it. Freeing here is always safe, as it only ends our own mapping.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "transports/daemon/conn.h"

#define ALLOC_TIMEOUT_MS 60000 /* pinning gigabytes takes its time */
#define FREE_TIMEOUT_MS  30000

/* The provider of a region whose connection has gone: no connection has this address. */
static const char no_provider;

static void map_for(struct daemon_ctrlr *dc, struct nvmux_mem *mem)
{
	mem->maps[dc->base.index].base = nvmux_ring_addr(mem->region, 0);
	nvmux_mem_set_mapped(mem, dc->base.index, true);
}

static void map_for_all(struct daemon_conn *conn, struct nvmux_mem *mem)
{
	struct daemon_ctrlr *dc;

	TAILQ_FOREACH (dc, &conn->ctrlrs, link) {
		if (dc->opened)
			map_for(dc, mem);
	}
}

static void unmap_for_all(struct nvmux_mem *mem)
{
	for (uint16_t i = 0; i < NVMUX_CTRLRS_MAX; i++) {
		if (mem->maps[i].mapped)
			nvmux_mem_set_mapped(mem, i, false);
	}
}

/* The reason why a descriptor can't be a region; NULL: it can. */
static const char *check_file(int fd, uint64_t size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return "it isn't a memfd sealed against shrinking";
	if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size < size)
		return "it is smaller than it should be";
	return NULL;
}

static int alloc_answer(struct daemon_op *op, struct rpc_response *response, uint64_t *ret_value)
{
	struct nvmux *nvmux = op->conn->nvmux;
	uint64_t region, size;
	struct nvmux_mem *mem;
	const char *wrong;
	int rc;

	rc = daemon_get_uint(op, response->result, "region", 0, UINT16_MAX, &region);
	if (rc == 0)
		rc = daemon_get_uint(op, response->result, "size", op->alloc.size,
				     nvmux->window_size, &size);
	if (rc == 0)
		rc = daemon_check_fds(op, response, 1);
	if (rc < 0)
		return rc;
	wrong = check_file(response->fds[0], size);
	if (wrong)
		return nvmux_error(nvmux, -EPROTO, "%s: region %u: %s", op->conn->path,
				   (unsigned)region, wrong);
	rc = nvmux_mem_import(nvmux, response->fds[0], size, (uint16_t)region, op->conn, &mem);
	if (rc < 0) {
		daemon_tell(op->conn, "free_memory", json_pack("{s:i}", "region", (int)region));
		return rc;
	}
	response->fds[0] = -1;
	mem->flags = op->alloc.flags;
	map_for_all(op->conn, mem);
	*ret_value = (uintptr_t)mem;
	return 0;
}

static void alloc_late(struct daemon_op *op, struct rpc_response *response)
{
	json_t *region = json_object_get(response->result, "region");

	daemon_tell(op->conn, "free_memory", json_pack("{s:O}", "region", region));
}

void daemon_mem_alloc(struct nvmux_ctrlr *ctrlr, size_t size, uint32_t flags, nvmux_done_fn done,
		      void *arg)
{
	struct daemon_ctrlr *dc = daemon_ctrlr(ctrlr);
	struct nvmux *nvmux = ctrlr->nvmux;
	struct daemon_op *op;
	json_t *params;

	if (!dc->conn || !size || size > nvmux->window_size || flags & ~(uint32_t)NVMUX_MEM_HUGE) {
		done(arg,
		     dc->conn ? nvmux_error(nvmux, -EINVAL,
					    "a region of %zu bytes, flags %#x: the size must "
					    "be 1 to %llu, known flags are %#x",
					    size, flags, (unsigned long long)nvmux->window_size,
					    NVMUX_MEM_HUGE)
			      : nvmux_error(nvmux, -ENXIO, "the controller is closed"),
		     0);
		return;
	}
	op = daemon_op_new(dc->conn, dc, "alloc_memory", done, arg);
	if (!op)
		return;
	op->answer = alloc_answer;
	op->late = alloc_late;
	op->alloc.size = size;
	op->alloc.flags = flags;
	params = json_pack("{s:I}", "size", (json_int_t)size);
	if (flags & NVMUX_MEM_HUGE)
		json_object_set_new(params, "hugepages", json_true());
	daemon_op_send(op, params, ALLOC_TIMEOUT_MS);
}

/* Whoever waits for the region is told only after it has gone. */
struct free_wait {
	struct nvmux_mem *mem;
	nvmux_done_fn done;
	void *arg;
};

static void release(struct nvmux_mem *mem)
{
	unmap_for_all(mem);
	nvmux_mem_release(mem);
}

/* The daemon freed it, refused, went away, or somebody stopped waiting: gone for us anyway. */
static void free_done(void *arg, int err, uint64_t value)
{
	struct free_wait wait = *(struct free_wait *)arg;

	free(arg);
	release(wait.mem);
	wait.done(wait.arg, 0, 0);
}

void daemon_mem_free(struct nvmux_mem *mem, nvmux_done_fn done, void *arg)
{
	struct daemon_conn *conn = (struct daemon_conn *)mem->provider;
	struct free_wait *wait = NULL;
	struct daemon_op *op;
	json_t *params;

	if (mem->provider != &no_provider)
		wait = malloc(sizeof(*wait));
	if (!wait) {
		release(mem);
		done(arg, 0, 0);
		return;
	}
	*wait = (struct free_wait){mem, done, arg};
	params = json_pack("{s:i}", "region", (int)mem->region);
	op = daemon_op_new(conn, NULL, "free_memory", free_done, wait);
	if (!op) {
		json_decref(params);
		return;
	}
	op->mem = mem;
	daemon_op_send(op, params, FREE_TIMEOUT_MS);
}

void daemon_mem_map(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done, void *arg)
{
	struct daemon_ctrlr *dc = daemon_ctrlr(ctrlr);
	int err = 0;

	if (!dc->conn || mem->provider != dc->conn)
		err = nvmux_error(ctrlr->nvmux, -EXDEV,
				  "%s: only regions that this daemon has made for the same "
				  "connection can be used with its controllers",
				  dc->conn ? dc->conn->path : ctrlr->trid.traddr);
	mem->maps[ctrlr->index].base = nvmux_ring_addr(mem->region, 0);
	done(arg, err, 0);
}

void daemon_mem_unmap(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
		      void *arg)
{
	done(arg, 0, 0); /* the daemon maps by session; nothing to undo for one controller */
}

void daemon_mem_ctrlr_opened(struct daemon_ctrlr *dc)
{
	struct nvmux_mem *mem;

	TAILQ_FOREACH (mem, &dc->base.nvmux->mems, link) {
		if (mem->provider == dc->conn)
			map_for(dc, mem);
	}
}

void daemon_mem_ctrlr_closes(struct daemon_ctrlr *dc)
{
	struct nvmux_mem *pool = dc->base.admin_pool;
	struct daemon_op *op;

again:
	TAILQ_FOREACH (op, &dc->conn->ops, link) {
		if (op->done == free_done && op->mem->maps[dc->base.index].mapped) {
			daemon_op_end(op, 0, 0);
			goto again; /* the list may have changed */
		}
	}
	/* libcore releases it without asking us, as the device can't reach it any more */
	if (pool && pool->provider) {
		if (pool->provider == dc->conn) /* otherwise the connection has gone */
			daemon_tell(dc->conn, "free_memory",
				    json_pack("{s:i}", "region", (int)pool->region));
		unmap_for_all(pool);
	}
}

void daemon_mem_conn_gone(struct daemon_conn *conn)
{
	struct nvmux_mem *mem;

	TAILQ_FOREACH (mem, &conn->nvmux->mems, link) {
		if (mem->provider == conn)
			mem->provider = &no_provider;
	}
}
