// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device in another process, by vfio-user.
 *
 * The happy path of open: connect ──► the steps of vfio_user_open.c. Later, registers are read and
 * written by message, memory is mapped by passing its descriptor, and doorbells are stores into the
 * shared page, or messages without a reply. Close: DEVICE_RESET, so that nothing is written to
 * memory any more ──► the connection is closed.
 *
 * Failure modes.
 * - The connection fails (vfio_user_conn.c), or a reply makes no sense: during open, open ends with
 *   the error; later the controller is lost; during close, close is done.
 * - The server refuses a message: that call ends with -EREMOTEIO and its words.
 * - close() during any step: what is under way ends with -ECANCELED. Unmapping ends with success
 *   once the device has been reset or the connection is closed: only then is it true.
 * - The server refuses to unmap, or speaks of other memory: it loses the connection, and with it
 *   the controller; the call ends with success when that is closed.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "vfio_user_int.h"

#define VU_SOCKET_NAME "cntrl"

/* A call that waits for a reply. */
struct vu_op {
	TAILQ_ENTRY(vu_op) link; /* of unmaps that wait for the end of the connection */
	struct vu_dev *vd;
	nvmux_done_fn done;
	void *arg;
	struct nvmux_mem *mem;
	struct vu_region_access access;
};

static struct vu_dev *vu_dev(struct pcie_dev *dev)
{
	return container_of(dev, struct vu_dev, base);
}

static void vu_op_end(struct vu_op *op, int err, uint64_t value)
{
	struct vu_op ended = *op;

	free(op);
	ended.done(ended.arg, err, value);
}

/* ---- life ---- */

/*
 * Close whatever there is, at once; ends what is under way. The connection's memory and the
 * doorbells' stay until free(), for other threads that haven't heard of it yet.
 */
static void vu_shut(struct vu_dev *vd)
{
	struct nvmux_call call = vd->close;
	struct vu_op *op;

	vd->state = VU_DEV_CLOSED;
	vd->close = (struct nvmux_call){0};
	vu_conn_close(vd->conn);
	vu_close_request(vd);
	pcie_bar_detach(&vd->base);
	vd->n_maps = 0;
	nvmux_call_end(&vd->open, -ECANCELED, 0);
	while ((op = TAILQ_FIRST(&vd->unmaps))) {
		TAILQ_REMOVE(&vd->unmaps, op, link);
		vu_op_end(op, 0, 0);
	}
	nvmux_call_end(&call, 0, 0); /* may free the device */
}

static void vu_broken(void *arg, int err)
{
	struct vu_dev *vd = arg;

	switch (vd->state) {
	case VU_DEV_OPENING:
		vd->state = VU_DEV_LOST;
		nvmux_call_end(&vd->open, err, 0);
		break;
	case VU_DEV_OPEN:
		vd->state = VU_DEV_LOST;
		if (__atomic_load_n(&vd->bar_lost, __ATOMIC_RELAXED))
			err = nvmux_error(vd->base.nvmux, -ENODEV,
					  "%s: the file of its BAR has shrunk, the device has gone",
					  vd->path);
		nvmux_ctrlr_lost(vd->base.ctrlr, err);
		break;
	case VU_DEV_CLOSING: vu_shut(vd); break;
	default: break;
	}
}

/* The socket of a traddr that is a directory or the socket itself. */
static int vu_socket_path(struct nvmux *nvmux, const char *traddr, char *path, size_t size)
{
	struct stat st;

	if (!traddr[0])
		return nvmux_error(nvmux, -EINVAL,
				   "traddr is empty; it is the directory of a vfio-user socket");
	if (stat(traddr, &st) < 0)
		return nvmux_error(nvmux, -errno, "%s: %s", traddr, strerror(errno));
	if (S_ISDIR(st.st_mode))
		snprintf(path, size, "%s/%s", traddr, VU_SOCKET_NAME);
	else
		snprintf(path, size, "%s", traddr);
	return 0;
}

static int vu_alloc(struct nvmux *nvmux, const struct nvmux_trid *trid, struct pcie_dev **ret)
{
	struct vu_dev *vd = calloc(1, sizeof(*vd));

	(void)nvmux;
	if (!vd)
		return -ENOMEM;
	TAILQ_INIT(&vd->unmaps);
	vd->request_fd = -1;
	*ret = &vd->base;
	return 0;
}

static void vu_free(struct pcie_dev *dev)
{
	struct vu_dev *vd = vu_dev(dev);

	vu_shut(vd);
	vu_conn_free(vd->conn);
	pcie_bar_unmap(dev);
	free(vd);
}

static void vu_open(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	struct vu_dev *vd = vu_dev(dev);
	int err;

	NVMUX_ASSERT(vd->state == VU_DEV_CLOSED);
	vu_conn_free(vd->conn);
	vd->conn = NULL;
	pcie_bar_unmap(dev);
	err = vu_socket_path(dev->nvmux, dev->ctrlr->trid.traddr, vd->path, sizeof(vd->path));
	if (!err)
		err = vu_conn_open(dev->nvmux, vd->path, vu_broken, vd, &vd->conn);
	if (err) {
		done(arg, err, 0);
		return;
	}
	vd->state = VU_DEV_OPENING;
	vd->step = 0;
	vd->bar_lost = false;
	vd->open = (struct nvmux_call){done, arg};
	vu_open_start(vd);
}

static void vu_reset_reply(void *arg, int err, const void *payload, uint32_t len, int fd)
{
	struct vu_dev *vd = arg;

	/* After a refusal the closed connection stops the device. When the connection has failed,
	 * vu_broken() follows. */
	if (vu_conn_alive(vd->conn))
		vu_shut(vd);
}

static void vu_close(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	struct vu_dev *vd = vu_dev(dev);
	const struct vu_request reset = {
		.command = VU_DEVICE_RESET, .fn = vu_reset_reply, .arg = vd};
	bool orderly = vd->state == VU_DEV_OPEN && vd->can_reset;

	NVMUX_ASSERT(!vd->close.done);
	vd->close = (struct nvmux_call){done, arg};
	if (orderly) {
		vd->state = VU_DEV_CLOSING;
		vu_conn_cancel(vd->conn);
		if (!vu_conn_send(vd->conn, &reset))
			return;
	}
	vu_shut(vd);
}

static void vu_bar_fault(struct pcie_dev *dev)
{
	__atomic_store_n(&vu_dev(dev)->bar_lost, true, __ATOMIC_RELAXED);
	if (vu_dev(dev)->conn)
		vu_conn_interrupt(vu_dev(dev)->conn);
}

/* ---- calls that wait for a reply ---- */

/* Send @request for a new call; the reply's function gets the call as its argument. */
static void vu_op_start(struct vu_dev *vd, struct vu_request *request, struct vu_op call)
{
	struct vu_op *op = malloc(sizeof(*op));
	int err = -ENOMEM;

	if (op) {
		*op = call;
		op->vd = vd;
		request->arg = op;
		err = vd->state == VU_DEV_OPEN ? vu_conn_send(vd->conn, request) : -ENXIO;
		if (!err)
			return;
	}
	free(op);
	call.done(call.arg, err, 0);
}

/*
 * A reply that speaks of something else. The call ends first: what follows from the connection's
 * end may free its owner.
 */
static void vu_op_mixed_up(struct vu_op *op, const char *what)
{
	struct vu_conn *conn = op->vd->conn; /* lives at least until this event has been handled */

	nvmux_error(op->vd->base.nvmux, -EPROTO, "the reply to %s speaks of another place", what);
	vu_op_end(op, -EPROTO, 0);
	vu_conn_fail(conn, -EPROTO, "the reply to %s speaks of another place", what);
}

static void vu_reg_read_reply(void *arg, int err, const void *payload, uint32_t len, int fd)
{
	struct vu_op *op = arg;
	const uint8_t *data = (const uint8_t *)payload + sizeof(op->access);
	__le64 value = 0;

	if (!err &&
	    !vu_same_access(payload, op->access.region, op->access.offset, op->access.count)) {
		vu_op_mixed_up(op, "a register's read");
		return;
	}
	if (!err)
		memcpy(&value, data, op->access.count);
	vu_op_end(op, err, le64_to_cpu(value));
}

static void vu_reg_write_reply(void *arg, int err, const void *payload, uint32_t len, int fd)
{
	struct vu_op *op = arg;

	if (!err &&
	    !vu_same_access(payload, op->access.region, op->access.offset, op->access.count)) {
		vu_op_mixed_up(op, "a register's write");
		return;
	}
	vu_op_end(op, err, 0);
}

static void vu_reg_read(struct pcie_dev *dev, uint32_t offset, uint32_t size, nvmux_done_fn done,
			void *arg)
{
	const struct vu_op op = {
		.done = done,
		.arg = arg,
		.access = {.offset = offset, .region = VFIO_PCI_BAR0_REGION_INDEX, .count = size}};
	struct vu_request request = {.command = VU_REGION_READ,
				     .payload = &op.access,
				     .len = sizeof(op.access),
				     .reply_min = (uint32_t)sizeof(op.access) + size,
				     .reply_max = (uint32_t)sizeof(op.access) + size,
				     .fn = vu_reg_read_reply};

	NVMUX_ASSERT((size == 4 || size == 8) && offset + size <= PCIE_REG_BYTES);
	vu_op_start(vu_dev(dev), &request, op);
}

static void vu_reg_write(struct pcie_dev *dev, uint32_t offset, uint32_t size, uint64_t value,
			 nvmux_done_fn done, void *arg)
{
	const struct vu_op op = {
		.done = done,
		.arg = arg,
		.access = {.offset = offset, .region = VFIO_PCI_BAR0_REGION_INDEX, .count = size}};
	const __le64 wire = cpu_to_le64(value);
	uint8_t msg[sizeof(op.access) + sizeof(wire)];
	struct vu_request request = {.command = VU_REGION_WRITE,
				     .payload = msg,
				     .len = (uint32_t)sizeof(op.access) + size,
				     .reply_min = sizeof(op.access),
				     .reply_max = sizeof(op.access),
				     .fn = vu_reg_write_reply};

	NVMUX_ASSERT((size == 4 || size == 8) && offset + size <= PCIE_REG_BYTES);
	memcpy(msg, &op.access, sizeof(op.access));
	memcpy(msg + sizeof(op.access), &wire, sizeof(wire));
	vu_op_start(vu_dev(dev), &request, op);
}

/* ---- memory and interrupts ---- */

static void vu_simple_reply(void *arg, int err, const void *payload, uint32_t len, int fd)
{
	vu_op_end(arg, err, 0);
}

static void vu_map_reply(void *arg, int err, const void *payload, uint32_t len, int fd)
{
	struct vu_op *op = arg;

	if (!err)
		op->vd->n_maps++;
	vu_op_end(op, err, 0);
}

static void vu_dma_map(struct pcie_dev *dev, struct nvmux_mem *mem, nvmux_done_fn done, void *arg)
{
	struct vu_dev *vd = vu_dev(dev);
	const struct vu_dma_map map = {.argsz = sizeof(map),
				       .flags = VU_DMA_READABLE | VU_DMA_WRITEABLE,
				       .addr = mem->iova,
				       .size = mem->size};
	struct vu_request request = {.command = VU_DMA_MAP,
				     .payload = &map,
				     .len = sizeof(map),
				     .fds = &mem->fd,
				     .n_fds = 1,
				     .fn = vu_map_reply};

	if (vd->n_maps >= vd->max_maps) {
		done(arg,
		     nvmux_error(dev->nvmux, -ENOSPC, "%s: the server allows %u regions", vd->path,
				 vd->max_maps),
		     0);
		return;
	}
	vu_op_start(vd, &request, (struct vu_op){.done = done, .arg = arg, .mem = mem});
}

/* The server keeps a region of ours: only the end of the connection takes it away. */
static void vu_unmap_denied(struct vu_op *op, const char *why)
{
	struct vu_dev *vd = op->vd;

	TAILQ_INSERT_TAIL(&vd->unmaps, op, link);
	vu_conn_fail(vd->conn, -EPROTO, "%s", why); /* may end it, and then free the device */
}

static void vu_unmap_reply(void *arg, int err, const void *payload, uint32_t len, int fd)
{
	struct vu_op *op = arg;
	struct vu_dev *vd = op->vd;
	struct vu_dma_unmap unmap;
	char why[256];

	if (err == -EREMOTEIO) {
		/* Kept apart, because the text is about to be written anew. */
		snprintf(why, sizeof(why), "%s", nvmux_error_text(vd->base.nvmux));
		vu_unmap_denied(op, why);
		return;
	}
	if (!err && len == sizeof(unmap)) { /* some servers send none of it */
		memcpy(&unmap, payload, sizeof(unmap));
		if (unmap.addr != op->mem->iova || unmap.size != op->mem->size) {
			vu_unmap_denied(op, "the reply to DMA_UNMAP speaks of another place");
			return;
		}
	}
	if (!err && vd->n_maps)
		vd->n_maps--;
	/* Without a connection the server has no region of ours any more. */
	vu_op_end(op, 0, 0);
}

/* While the device is being closed: the call ends with that. */
static void vu_unmap_later(struct vu_dev *vd, const struct vu_op *call)
{
	struct vu_op *op = malloc(sizeof(*op));

	if (!op) {
		call->done(call->arg, -ENOMEM, 0);
		return;
	}
	*op = *call;
	op->vd = vd;
	TAILQ_INSERT_TAIL(&vd->unmaps, op, link);
}

static void vu_dma_unmap(struct pcie_dev *dev, struct nvmux_mem *mem, nvmux_done_fn done, void *arg)
{
	struct vu_dev *vd = vu_dev(dev);
	const struct vu_dma_unmap unmap = {
		.argsz = sizeof(unmap), .addr = mem->iova, .size = mem->size};
	struct vu_request request = {.command = VU_DMA_UNMAP,
				     .payload = &unmap,
				     .len = sizeof(unmap),
				     .reply_max = sizeof(unmap),
				     .survives_cancel = true,
				     .fn = vu_unmap_reply};
	const struct vu_op op = {.done = done, .arg = arg, .mem = mem};

	if (!vu_conn_alive(vd->conn))
		done(arg, 0, 0);
	else if (vd->state == VU_DEV_CLOSING)
		vu_unmap_later(vd, &op);
	else
		vu_op_start(vd, &request, op);
}

static void vu_set_irqs(struct pcie_dev *dev, const int *eventfds, uint32_t n, nvmux_done_fn done,
			void *arg)
{
	const struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER |
			 (n ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.count = n,
	};
	struct vu_dev *vd = vu_dev(dev);
	struct vu_request request = {.command = VU_DEVICE_SET_IRQS,
				     .payload = &set,
				     .len = sizeof(set),
				     .fds = eventfds,
				     .n_fds = n,
				     .fn = vu_simple_reply};
	uint32_t max = MIN(MIN(vd->max_fds, (uint32_t)VU_FDS_MAX), dev->n_irqs);
	bool gap = false;

	/* A vector that stays unconnected would need a message of its own; nobody leaves one out.
	 */
	for (uint32_t i = 0; i < n; i++)
		gap |= eventfds[i] < 0;
	if (n > max || gap) {
		done(arg,
		     nvmux_error(dev->nvmux, -EOPNOTSUPP,
				 "%s: %u vectors at once%s; the server takes %u", vd->path, n,
				 gap ? " with gaps" : "", max),
		     0);
		return;
	}
	vu_op_start(vd, &request, (struct vu_op){.done = done, .arg = arg});
}

/* The command register is as we want it again. */
static void vu_restored(void *arg, int err, const void *payload, uint32_t len, int fd)
{
	if (!err && !vu_same_command(payload))
		vu_op_mixed_up(arg, "REGION_WRITE");
	else
		vu_op_end(arg, err, 0);
}

/* A reset clears the command register. */
static void vu_function_reset(void *arg, int err, const void *payload, uint32_t len, int fd)
{
	struct vu_op *op = arg;
	uint8_t msg[VU_COMMAND_BYTES];
	const struct vu_request request = {.command = VU_REGION_WRITE,
					   .payload = msg,
					   .len = sizeof(msg),
					   .reply_min = sizeof(struct vu_region_access),
					   .reply_max = sizeof(struct vu_region_access),
					   .fn = vu_restored,
					   .arg = op};

	vu_put_command(op->vd, msg);
	if (!err)
		err = op->vd->state == VU_DEV_OPEN ? vu_conn_send(op->vd->conn, &request) : -ENXIO;
	if (err)
		vu_op_end(op, err, 0);
}

static void vu_reset(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	struct vu_dev *vd = vu_dev(dev);
	struct vu_request request = {.command = VU_DEVICE_RESET, .fn = vu_function_reset};

	if (vd->can_reset)
		vu_op_start(vd, &request, (struct vu_op){.done = done, .arg = arg});
	else
		done(arg,
		     nvmux_error(dev->nvmux, -EOPNOTSUPP, "%s: the server offers no DEVICE_RESET",
				 vd->path),
		     0);
}

static int vu_doorbell_write(struct pcie_dev *dev, uint32_t offset, uint32_t value)
{
	return vu_conn_post_write(vu_dev(dev)->conn, VFIO_PCI_BAR0_REGION_INDEX, offset, value);
}

static const struct pcie_dev_ops vu_dev_ops = {
	.alloc = vu_alloc,
	.free = vu_free,
	.open = vu_open,
	.close = vu_close,
	.reg_read = vu_reg_read,
	.reg_write = vu_reg_write,
	.dma_map = vu_dma_map,
	.dma_unmap = vu_dma_unmap,
	.set_irqs = vu_set_irqs,
	.reset = vu_reset,
	.doorbell_write = vu_doorbell_write,
	.bar_fault = vu_bar_fault,
};

const struct pcie_transport pcie_vfio_user_transport = {
	.base =
		{
			.trtype = NVMUX_TRTYPE_VFIOUSER,
			PCIE_TRANSPORT_OPS,
		},
	.dev_ops = &vu_dev_ops,
};
