// SPDX-License-Identifier: BSD-3-Clause
/*
 * The calls of libcore to a transport, each through a wrapper that asserts what the transport may
 * count on and logs what happens to a controller. Only submit() and process() are called directly:
 * theirs is the I/O path, and their callers check the same.
 */
#include <errno.h>

#include "transport.h"

static void trace(struct nvmux_ctrlr *ctrlr, const char *what)
{
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_DEBUG, "transport", "%s: %s", ctrlr->trid.traddr, what);
}

void transport_open(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	NVMUX_ASSERT(!ctrlr->device_open);
	ctrlr->device_open = true;
	trace(ctrlr, "open");
	ctrlr->transport->ctrlr_open(ctrlr, done, arg);
}

void transport_close(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	NVMUX_ASSERT(ctrlr->device_open);
	trace(ctrlr, "close");
	ctrlr->transport->ctrlr_close(ctrlr, done, arg);
}

void transport_identified(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	NVMUX_ASSERT(ctrlr->device_open && ctrlr->adminq);
	trace(ctrlr, "identified");
	ctrlr->transport->ctrlr_identified(ctrlr, done, arg);
}

void transport_reg_read(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size,
			nvmux_done_fn done, void *arg)
{
	NVMUX_ASSERT(ctrlr->device_open && (size == 4 || size == 8) && offset % size == 0);
	ctrlr->transport->reg_read(ctrlr, offset, size, done, arg);
}

void transport_reg_write(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size, uint64_t value,
			 nvmux_done_fn done, void *arg)
{
	NVMUX_ASSERT(ctrlr->device_open && (size == 4 || size == 8) && offset % size == 0);
	NVMUX_ASSERT(!(ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED));
	ctrlr->transport->reg_write(ctrlr, offset, size, value, done, arg);
}

void transport_qpair_create(struct nvmux_ctrlr *ctrlr, uint16_t qid, uint32_t entries,
			    struct nvmux_poll_group *group, nvmux_done_fn done, void *arg)
{
	NVMUX_ASSERT(ctrlr->device_open && entries >= 2 && entries <= 65536);
	trace(ctrlr, qid ? "create an I/O queue pair" : "create the admin queue");
	ctrlr->transport->qpair_create(ctrlr, qid, entries, group, done, arg);
}

void transport_qpair_connect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	/* Where a connection is restored, commands wait in their slots to be repeated. */
	NVMUX_ASSERT(qpair->ctrlr->device_open);
	NVMUX_ASSERT(!nvmux_qpair_outstanding(qpair) || qpair->transport->repost);
	qpair->transport->qpair_connect(qpair, done, arg);
}

void transport_qpair_disconnect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	NVMUX_ASSERT(qpair->id && qpair->live && qpair->ctrlr->device_open);
	NVMUX_ASSERT(nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_DISCONNECTING);
	qpair->transport->qpair_disconnect(qpair, done, arg);
}

void transport_qpair_destroy(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg)
{
	/* The controller knows nothing of its memory any more, and nobody waits for a command. */
	NVMUX_ASSERT(!qpair->live && !nvmux_qpair_outstanding(qpair) && !qpair->processing);
	trace(qpair->ctrlr, qpair->id ? "destroy an I/O queue pair" : "destroy the admin queue");
	qpair->transport->qpair_destroy(qpair, done, arg);
}

void transport_mem_map(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
		       void *arg)
{
	NVMUX_ASSERT(mem->nvmux == ctrlr->nvmux && !nvmux_mem_is_mapped(mem, ctrlr));
	ctrlr->transport->mem_map(ctrlr, mem, done, arg);
}

void transport_mem_unmap(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
			 void *arg)
{
	NVMUX_ASSERT(mem->nvmux == ctrlr->nvmux && nvmux_mem_is_mapped(mem, ctrlr));
	ctrlr->transport->mem_unmap(ctrlr, mem, done, arg);
}

int nvmux_qpair_get_fd(const struct nvmux_qpair *qpair)
{
	return qpair->transport->qpair_get_fd ? qpair->transport->qpair_get_fd(qpair) : -EOPNOTSUPP;
}

int nvmux_qpair_arm(struct nvmux_qpair *qpair)
{
	if (!qpair->transport->qpair_arm)
		return -EOPNOTSUPP;
	return nvmux_qpair_needs_turns(qpair) ? -EAGAIN : qpair->transport->qpair_arm(qpair);
}

bool nvmux_transport_available(enum nvmux_trtype trtype)
{
	for (unsigned i = 0; nvmux_builtin_transports[i]; i++) {
		if (nvmux_builtin_transports[i]->trtype == trtype)
			return true;
	}
	return false;
}
