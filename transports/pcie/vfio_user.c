// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device in another process, by vfio-user.
 *
 * The happy path of open: connect ──► VERSION ──► DEVICE_GET_INFO ──► region info of BAR0, whose
 * doorbells are mapped if the server lets them be ──► number of MSI-X vectors ──► identity and
 * class code ──► memory space and bus master on ──► an eventfd for when the server wants the device
 * back, if it can say so. The steps are a table; each sends a message and
 * takes its reply. Later, registers are read and written by message, memory is mapped by passing
 * its descriptor, and doorbells are stores into the shared page, or messages without a reply.
 * Close: DEVICE_RESET, so that nothing is written to memory any more ──► the connection is closed.
 *
 * Failure modes.
 * - The connection fails (vfio_user_conn.c), or a reply makes no sense: during open, open ends with
 *   the error; later the controller is lost; during close, close is done.
 * - The server refuses a message: that call ends with -EREMOTEIO and its words.
 * - close() during any step: what is under way ends with -ECANCELED. Unmapping ends with success
 *   once the device has been reset or the connection is closed: only then is it true.
 * - The server refuses to unmap, or speaks of other memory: it loses the connection, and with it
 *   the controller; the call ends with success when that is closed.
 * - The file behind BAR0 is too short, not a memory file, not page-aligned, or comes from a server
 *   of another user: doorbells go by message. A file that shrinks later raises SIGBUS: see
 *   nvmux_handle_sigbus().
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "pcie_int.h"
#include "vfio_user_conn.h"

#define VU_SOCKET_NAME          "cntrl"
#define VU_MAX_MSG_FDS_DEFAULT  1 /* what a server takes that doesn't say */
#define VU_MAX_DMA_MAPS_DEFAULT 65535
#define VU_CAPS_MAX             16 /* capabilities of a region looked at */

enum vu_state {
	VU_DEV_CLOSED,
	VU_DEV_OPENING,
	VU_DEV_OPEN,
	VU_DEV_LOST,    /* the connection failed; everything ended, close() is awaited */
	VU_DEV_CLOSING, /* DEVICE_RESET is under way */
};

struct vu_op;
TAILQ_HEAD(vu_op_list, vu_op);

struct vu_dev {
	struct pcie_dev base;
	char path[PATH_MAX];
	enum vu_state state;
	struct vu_conn *conn;
	uint32_t step; /* of open */
	struct pcie_call open;
	struct pcie_call close;
	struct vu_op_list unmaps; /* end when the connection does */
	bool can_reset;
	uint32_t max_fds;
	uint32_t max_maps;
	uint32_t n_maps;
	uint64_t bar0_size;
	uint16_t command; /* PCI command register */
	uint32_t n_irq_types;
	bool can_request;  /* it can say that it wants the device back */
	int request_fd;    /* that is what this is for, -1: none */
	bool bar_lost;     /* atomic; the file behind the doorbells has shrunk */
	struct nvmux_watch request_watch;
};

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

/* ---- the steps of open: VERSION ---- */

static void vu_step_reply(void *arg, int err, const void *payload, uint32_t len, int fd);

static int vu_step_send(struct vu_dev *vd, uint16_t command, const void *payload, uint32_t len,
			uint32_t reply_min, uint32_t reply_max)
{
	const struct vu_request request = {
		.command = command,
		.payload = payload,
		.len = len,
		.reply_min = reply_min,
		.reply_max = reply_max,
		.takes_fd = command == VU_DEVICE_GET_REGION_INFO && vu_conn_trusts_fds(vd->conn),
		.fn = vu_step_reply,
		.arg = vd,
	};

	return vu_conn_send(vd->conn, &request);
}

static int vu_send_version(struct vu_dev *vd)
{
	union {
		struct vu_version version;
		char bytes[sizeof(struct vu_version) + 256];
	} buf = {.version = {.major = VU_MAJOR, .minor = VU_MINOR}};
	json_t *caps = json_pack("{s:{s:i,s:i}}", "capabilities", "max_msg_fds", VU_FDS_MAX,
				 "max_data_xfer_size", (int)VU_PAYLOAD_MAX / 2);
	char *text = caps ? json_dumps(caps, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) + 1 : 0;
	int err = -ENOMEM;

	if (text && len <= sizeof(buf) - sizeof(struct vu_version)) {
		memcpy(buf.version.data, text, len);
		err = vu_step_send(vd, VU_VERSION, &buf,
				   (uint32_t)(sizeof(struct vu_version) + len),
				   sizeof(struct vu_version), VU_PAYLOAD_MAX);
	}
	free(text);
	json_decref(caps);
	return err;
}

/* A capability that is a number; @value is left alone when it isn't there. */
static int vu_take_cap(struct vu_dev *vd, const json_t *caps, const char *name, uint32_t min,
		       uint32_t *value)
{
	const json_t *cap = json_object_get(caps, name);

	if (!cap)
		return 0;
	if (!json_is_integer(cap) || json_integer_value(cap) < min) {
		vu_conn_fail(vd->conn, -EPROTO,
			     "VERSION: the server's %s isn't an integer of at least %u", name, min);
		return -EPROTO;
	}
	*value = (uint32_t)MIN(json_integer_value(cap), (json_int_t)UINT32_MAX);
	return 0;
}

static int vu_take_caps(struct vu_dev *vd, const char *text, uint32_t len)
{
	const json_t *caps;
	uint32_t xfer = UINT32_MAX;
	json_error_t error;
	json_t *root;
	int err;

	if (len == 0)
		return 0;
	root = text[len - 1] == '\0' ? json_loadb(text, len - 1, 0, &error) : NULL;
	if (!json_is_object(root)) {
		json_decref(root);
		vu_conn_fail(vd->conn, -EPROTO,
			     "VERSION: the capabilities aren't a NUL-terminated JSON object");
		return -EPROTO;
	}
	caps = json_object_get(root, "capabilities");
	err = vu_take_cap(vd, caps, "max_msg_fds", 1, &vd->max_fds);
	if (!err)
		err = vu_take_cap(vd, caps, "max_dma_maps", 1, &vd->max_maps);
	if (!err)
		err = vu_take_cap(vd, caps, "max_data_xfer_size", sizeof(uint64_t), &xfer);
	json_decref(root);
	return err;
}

static int vu_take_version(struct vu_dev *vd, const void *payload, uint32_t len)
{
	const struct vu_version *version = payload;

	if (version->major != VU_MAJOR || version->minor > VU_MINOR) {
		vu_conn_fail(vd->conn, -EPROTO, "the server wants version %u.%u, we offered %u.%u",
			     version->major, version->minor, VU_MAJOR, VU_MINOR);
		return -EPROTO;
	}
	vd->max_fds = VU_MAX_MSG_FDS_DEFAULT;
	vd->max_maps = VU_MAX_DMA_MAPS_DEFAULT;
	return vu_take_caps(vd, version->data, len - (uint32_t)sizeof(*version));
}

/* ---- the steps of open: what the device is ---- */

static int vu_send_device_info(struct vu_dev *vd)
{
	const struct vu_device_info info = {.argsz = sizeof(info)};

	return vu_step_send(vd, VU_DEVICE_GET_INFO, &info, sizeof(info), sizeof(info),
			    VU_PAYLOAD_MAX);
}

static int vu_take_device_info(struct vu_dev *vd, const void *payload, uint32_t len)
{
	struct vu_device_info info;

	memcpy(&info, payload, sizeof(info));
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) ||
	    info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX ||
	    info.num_irqs <= VFIO_PCI_MSIX_IRQ_INDEX) {
		vu_conn_fail(vd->conn, -EPROTO,
			     "not a PCI device: flags %#x, %u regions, %u interrupt types",
			     info.flags, info.num_regions, info.num_irqs);
		return -EPROTO;
	}
	vd->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
	vd->n_irq_types = info.num_irqs;
	return 0;
}

static int vu_send_bar0_info(struct vu_dev *vd)
{
	const struct vfio_region_info info = {.argsz = VU_PAYLOAD_MAX,
					      .index = VFIO_PCI_BAR0_REGION_INDEX};

	return vu_step_send(vd, VU_DEVICE_GET_REGION_INFO, &info, sizeof(info), sizeof(info),
			    VU_PAYLOAD_MAX);
}

/* The area of the capability at @cap, @room bytes, that has the doorbells' start. -EPROTO. */
static int vu_take_sparse(const uint8_t *cap, uint32_t room,
			  struct vfio_region_sparse_mmap_area *ret)
{
	struct vfio_region_info_cap_sparse_mmap sparse;
	struct vfio_region_sparse_mmap_area area;

	if (room < sizeof(sparse))
		return -EPROTO;
	memcpy(&sparse, cap, sizeof(sparse));
	if (sparse.nr_areas > (room - sizeof(sparse)) / sizeof(area))
		return -EPROTO;
	*ret = (struct vfio_region_sparse_mmap_area){0}; /* nothing else may be mapped */
	for (uint32_t i = 0; i < sparse.nr_areas; i++) {
		memcpy(&area, cap + sizeof(sparse) + i * sizeof(area), sizeof(area));
		if (area.offset <= PCIE_DOORBELL_BASE &&
		    area.size > PCIE_DOORBELL_BASE - area.offset)
			*ret = area;
	}
	return 0;
}

/* Which part of BAR0 around its doorbells may be mapped; an empty one: none. */
static int vu_mappable_area(const struct vfio_region_info *info, const uint8_t *bytes, uint32_t len,
			    struct vfio_region_sparse_mmap_area *ret)
{
	struct vfio_info_cap_header header;
	uint32_t at = info->cap_offset;
	int err = 0;

	*ret = (struct vfio_region_sparse_mmap_area){.size = info->size};
	if (!(info->flags & VFIO_REGION_INFO_FLAG_MMAP)) {
		ret->size = 0;
		return 0;
	}
	if (!(info->flags & VFIO_REGION_INFO_FLAG_CAPS))
		return 0;
	for (unsigned n = 0; at && !err; n++) {
		if (n == VU_CAPS_MAX || at < sizeof(*info) || at > len || len - at < sizeof(header))
			return -EPROTO;
		memcpy(&header, bytes + at, sizeof(header));
		if (header.id == VFIO_REGION_INFO_CAP_SPARSE_MMAP && header.version == 1)
			err = vu_take_sparse(bytes + at, len - at, ret);
		at = header.next;
	}
	return err;
}

/*
 * Map the doorbells of @area from @fd. Anything that doesn't fit only means that they go by
 * message. Only memory files have seals; asking for them never waits, as fstat() of another kind
 * may.
 */
static const char *vu_map_doorbells(struct vu_dev *vd, const struct vfio_region_info *info,
				    const struct vfio_region_sparse_mmap_area *area, int fd)
{
	uint64_t start = info->offset + PCIE_DOORBELL_BASE;
	uint64_t end = MIN(area->offset + MIN(area->size, info->size), info->size);
	uint64_t bytes = end - PCIE_DOORBELL_BASE;
	struct stat st;
	void *map;

	if (fcntl(fd, F_GET_SEALS) < 0)
		return "its file isn't a memory file";
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "its file isn't an ordinary one";
	if (start < info->offset || start % NVMUX_PAGE_SIZE || start >= (uint64_t)st.st_size)
		return "its file has no page for them";
	bytes = MIN(bytes, (uint64_t)st.st_size - start);
	bytes = MIN(bytes, (uint64_t)PCIE_DOORBELL_BYTES_MAX) & ~(uint64_t)(NVMUX_PAGE_SIZE - 1);
	if (!bytes)
		return "less than a page can be mapped";
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	if (map == MAP_FAILED)
		return strerror(errno);
	pcie_bar_mapped(&vd->base, map, bytes);
	vd->base.doorbells = map;
	vd->base.doorbells_in_memory = true;
	vd->base.doorbell_bytes = (uint32_t)bytes;
	return NULL;
}

static int vu_take_bar0_info(struct vu_dev *vd, const void *payload, uint32_t len, int fd)
{
	struct vfio_region_sparse_mmap_area area;
	struct vfio_region_info info;
	const char *why = "the server doesn't let it be mapped";

	memcpy(&info, payload, sizeof(info));
	if (info.index != VFIO_PCI_BAR0_REGION_INDEX ||
	    vu_mappable_area(&info, payload, len, &area)) {
		vu_conn_fail(vd->conn, -EPROTO, "the region info of BAR0 is malformed");
		return -EPROTO;
	}
	if (info.size < PCIE_REG_BYTES + 2 * sizeof(uint32_t) || info.size > INT64_MAX) {
		vu_conn_fail(vd->conn, -EPROTO,
			     "BAR0 has %llu bytes; registers and doorbells need more than %u",
			     (unsigned long long)info.size, PCIE_REG_BYTES);
		return -EPROTO;
	}
	vd->bar0_size = info.size;
	vd->base.doorbell_bytes = (uint32_t)MIN(info.size - PCIE_DOORBELL_BASE,
						(uint64_t)PCIE_DOORBELL_BYTES_MAX);
	if (area.size > PCIE_DOORBELL_BASE - area.offset && fd >= 0)
		why = vu_map_doorbells(vd, &info, &area, fd);
	if (why)
		nvmux_log(vd->base.nvmux, NVMUX_LOG_INFO, "vfio-user",
			  "%s: doorbells go by message: %s", vd->path, why);
	return 0;
}

static int vu_send_irq_info(struct vu_dev *vd)
{
	const struct vfio_irq_info info = {.argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX};

	return vu_step_send(vd, VU_DEVICE_GET_IRQ_INFO, &info, sizeof(info), sizeof(info),
			    VU_PAYLOAD_MAX);
}

static int vu_take_irq_info(struct vu_dev *vd, const void *payload, uint32_t len)
{
	struct vfio_irq_info info;

	memcpy(&info, payload, sizeof(info));
	if (info.index != VFIO_PCI_MSIX_IRQ_INDEX) {
		vu_conn_fail(vd->conn, -EPROTO, "interrupt info of type %u instead of %u",
			     info.index, VFIO_PCI_MSIX_IRQ_INDEX);
		return -EPROTO;
	}
	vd->base.n_irqs = info.flags & VFIO_IRQ_INFO_EVENTFD
				  ? MIN(info.count, (uint32_t)PCIE_IRQ_MAX)
				  : 0;
	return 0;
}

/* ---- the steps of open: configuration space ---- */

static int vu_send_config_read(struct vu_dev *vd, uint32_t offset, uint32_t count)
{
	const struct vu_region_access access = {
		.offset = offset, .region = VFIO_PCI_CONFIG_REGION_INDEX, .count = count};

	return vu_step_send(vd, VU_REGION_READ, &access, sizeof(access), sizeof(access) + count,
			    sizeof(access) + count);
}

/* Whether a reply speaks of the access that was asked for. */
static bool vu_same_access(const void *payload, uint32_t region, uint64_t offset, uint32_t count)
{
	struct vu_region_access access;

	memcpy(&access, payload, sizeof(access));
	return access.region == region && access.offset == offset && access.count == count;
}

static int vu_take_config(struct vu_dev *vd, const void *payload, uint32_t offset, void *ret,
			  uint32_t count)
{
	if (!vu_same_access(payload, VFIO_PCI_CONFIG_REGION_INDEX, offset, count)) {
		vu_conn_fail(vd->conn, -EPROTO,
			     "the reply to a read of configuration space at %#x speaks of another "
			     "place",
			     offset);
		return -EPROTO;
	}
	memcpy(ret, (const uint8_t *)payload + sizeof(struct vu_region_access), count);
	return 0;
}

static int vu_send_read_id(struct vu_dev *vd)
{
	return vu_send_config_read(vd, PCI_VENDOR_ID, sizeof(__le32));
}

static int vu_take_id(struct vu_dev *vd, const void *payload, uint32_t len)
{
	__le32 id;
	int err = vu_take_config(vd, payload, PCI_VENDOR_ID, &id, sizeof(id));

	if (!err)
		vd->base.quirks = pcie_quirks_of((uint16_t)le32_to_cpu(id),
						 (uint16_t)(le32_to_cpu(id) >> 16));
	return err;
}

static int vu_send_read_class(struct vu_dev *vd)
{
	return vu_send_config_read(vd, PCI_CLASS_REVISION, sizeof(__le32));
}

static int vu_take_class(struct vu_dev *vd, const void *payload, uint32_t len)
{
	__le32 class_revision;
	int err = vu_take_config(vd, payload, PCI_CLASS_REVISION, &class_revision,
				 sizeof(class_revision));

	if (err)
		return err;
	if (le32_to_cpu(class_revision) >> 8 != PCIE_CLASS_NVME) {
		vu_conn_fail(vd->conn, -ENODEV, "class code %06x: not an NVMe controller (%06x)",
			     le32_to_cpu(class_revision) >> 8, PCIE_CLASS_NVME);
		return -ENODEV;
	}
	return 0;
}

static int vu_send_read_command(struct vu_dev *vd)
{
	return vu_send_config_read(vd, PCI_COMMAND, sizeof(__le16));
}

static int vu_take_command(struct vu_dev *vd, const void *payload, uint32_t len)
{
	__le16 command;
	int err = vu_take_config(vd, payload, PCI_COMMAND, &command, sizeof(command));

	if (!err)
		vd->command = le16_to_cpu(command) | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	return err;
}

static int vu_send_write_command(struct vu_dev *vd)
{
	uint8_t msg[sizeof(struct vu_region_access) + sizeof(__le16)];
	const struct vu_region_access access = {.offset = PCI_COMMAND,
						.region = VFIO_PCI_CONFIG_REGION_INDEX,
						.count = sizeof(__le16)};
	const __le16 command = cpu_to_le16(vd->command);

	memcpy(msg, &access, sizeof(access));
	memcpy(msg + sizeof(access), &command, sizeof(command));
	return vu_step_send(vd, VU_REGION_WRITE, msg, sizeof(msg), sizeof(access), sizeof(access));
}

static int vu_take_written(struct vu_dev *vd, const void *payload, uint32_t len)
{
	if (vu_same_access(payload, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, sizeof(__le16)))
		return 0;
	vu_conn_fail(vd->conn, -EPROTO,
		     "the reply to a write of the command register speaks of another place");
	return -EPROTO;
}

/* ---- the steps of open: the request for the device's return ---- */

static bool vu_wants_request_info(const struct vu_dev *vd)
{
	return vd->n_irq_types > VFIO_PCI_REQ_IRQ_INDEX;
}

static int vu_send_request_info(struct vu_dev *vd)
{
	const struct vfio_irq_info info = {.argsz = sizeof(info), .index = VFIO_PCI_REQ_IRQ_INDEX};

	return vu_step_send(vd, VU_DEVICE_GET_IRQ_INFO, &info, sizeof(info), sizeof(info),
			    VU_PAYLOAD_MAX);
}

static int vu_take_request_info(struct vu_dev *vd, const void *payload, uint32_t len)
{
	struct vfio_irq_info info;

	memcpy(&info, payload, sizeof(info));
	if (info.index != VFIO_PCI_REQ_IRQ_INDEX) {
		vu_conn_fail(vd->conn, -EPROTO, "interrupt info of type %u instead of %u",
			     info.index, VFIO_PCI_REQ_IRQ_INDEX);
		return -EPROTO;
	}
	vd->can_request = info.count && info.flags & VFIO_IRQ_INFO_EVENTFD;
	return 0;
}

static bool vu_wants_request(const struct vu_dev *vd)
{
	return vd->can_request;
}

/* The server has this eventfd too: it is watched for edges, and never read. */
static void vu_requested(void *arg, uint32_t epoll_events)
{
	struct vu_dev *vd = arg;

	(void)epoll_events;
	nvmux_watch_del(vd->base.nvmux, &vd->request_watch);
	nvmux_ctrlr_wanted_back(vd->base.ctrlr);
}

static int vu_send_request_fd(struct vu_dev *vd)
{
	const struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD,
		.index = VFIO_PCI_REQ_IRQ_INDEX,
		.count = 1,
	};
	struct vu_request request = {.command = VU_DEVICE_SET_IRQS,
				     .payload = &set,
				     .len = sizeof(set),
				     .fds = &vd->request_fd,
				     .n_fds = 1,
				     .fn = vu_step_reply,
				     .arg = vd};
	int err;

	vd->request_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vd->request_fd < 0)
		return -errno;
	err = nvmux_watch_add(vd->base.nvmux, &vd->request_watch, vd->request_fd,
			      EPOLLIN | EPOLLET, vu_requested, vd);
	return err ? err : vu_conn_send(vd->conn, &request);
}

static int vu_take_nothing(struct vu_dev *vd, const void *payload, uint32_t len)
{
	return 0;
}

static void vu_close_request(struct vu_dev *vd)
{
	nvmux_watch_del(vd->base.nvmux, &vd->request_watch);
	if (vd->request_fd >= 0)
		close(vd->request_fd);
	vd->request_fd = -1;
	vd->can_request = false;
}

/* ---- the steps of open: the table ---- */

static const struct vu_step {
	const char *name;
	int (*send)(struct vu_dev *vd);
	/* What the reply says; a failure has failed the connection already. */
	int (*take)(struct vu_dev *vd, const void *payload, uint32_t len);
	bool (*wanted)(const struct vu_dev *vd); /* NULL: always */
} vu_steps[] = {
	{"negotiating the version", vu_send_version, vu_take_version, NULL},
	{"asking for the device's info", vu_send_device_info, vu_take_device_info, NULL},
	{"asking for BAR0", vu_send_bar0_info, NULL, NULL}, /* takes a descriptor as well */
	{"asking for the interrupts", vu_send_irq_info, vu_take_irq_info, NULL},
	{"reading vendor and device", vu_send_read_id, vu_take_id, NULL},
	{"reading the class code", vu_send_read_class, vu_take_class, NULL},
	{"reading the command register", vu_send_read_command, vu_take_command, NULL},
	{"turning bus mastering on", vu_send_write_command, vu_take_written, NULL},
	{"asking for the removal event", vu_send_request_info, vu_take_request_info,
	 vu_wants_request_info},
	{"connecting the removal event", vu_send_request_fd, vu_take_nothing, vu_wants_request},
};

static void vu_step_start(struct vu_dev *vd)
{
	int err;

	while (vd->step < ARRAY_SIZE(vu_steps) && vu_steps[vd->step].wanted &&
	       !vu_steps[vd->step].wanted(vd))
		vd->step++;
	if (vd->step == ARRAY_SIZE(vu_steps)) {
		vd->state = VU_DEV_OPEN;
		pcie_call_end(&vd->open, 0, 0);
		return;
	}
	err = vu_steps[vd->step].send(vd);
	if (err)
		vu_conn_fail(vd->conn, err, "%s: %s", vu_steps[vd->step].name, strerror(-err));
}

static void vu_step_reply(void *arg, int err, const void *payload, uint32_t len, int fd)
{
	struct vu_dev *vd = arg;

	if (err == -EREMOTEIO) {
		char why[256];

		/* Kept apart, because the text is about to be written anew. */
		snprintf(why, sizeof(why), "%s", nvmux_error_text(vd->base.nvmux));
		vu_conn_fail(vd->conn, err, "%s: %s", vu_steps[vd->step].name, why);
		return;
	}
	if (err)
		return; /* the connection's end ends open as well */
	if (vu_steps[vd->step].take)
		err = vu_steps[vd->step].take(vd, payload, len);
	else
		err = vu_take_bar0_info(vd, payload, len, fd);
	if (fd >= 0)
		close(fd);
	if (err)
		return;
	vd->step++;
	vu_step_start(vd);
}

/* ---- life ---- */

/*
 * Close whatever there is, at once; ends what is under way. The connection's memory and the
 * doorbells' stay until free(), for other threads that haven't heard of it yet.
 */
static void vu_shut(struct vu_dev *vd)
{
	struct pcie_call call = vd->close;
	struct vu_op *op;

	vd->state = VU_DEV_CLOSED;
	vd->close = (struct pcie_call){0};
	vu_conn_close(vd->conn);
	vu_close_request(vd);
	pcie_bar_detach(&vd->base);
	vd->n_maps = 0;
	pcie_call_end(&vd->open, -ECANCELED, 0);
	while ((op = TAILQ_FIRST(&vd->unmaps))) {
		TAILQ_REMOVE(&vd->unmaps, op, link);
		vu_op_end(op, 0, 0);
	}
	pcie_call_end(&call, 0, 0); /* may free the device */
}

static void vu_broken(void *arg, int err)
{
	struct vu_dev *vd = arg;

	switch (vd->state) {
	case VU_DEV_OPENING:
		vd->state = VU_DEV_LOST;
		pcie_call_end(&vd->open, err, 0);
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
	vd->open = (struct pcie_call){done, arg};
	vu_step_start(vd);
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
	vd->close = (struct pcie_call){done, arg};
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
	if (!err && !vu_same_access(payload, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND,
				    sizeof(__le16)))
		vu_op_mixed_up(arg, "REGION_WRITE");
	else
		vu_op_end(arg, err, 0);
}

/* A reset clears the command register. */
static void vu_function_reset(void *arg, int err, const void *payload, uint32_t len, int fd)
{
	struct vu_op *op = arg;
	uint8_t msg[sizeof(struct vu_region_access) + sizeof(__le16)];
	const struct vu_region_access access = {.offset = PCI_COMMAND,
						.region = VFIO_PCI_CONFIG_REGION_INDEX,
						.count = sizeof(__le16)};
	const __le16 command = cpu_to_le16(op->vd->command);
	const struct vu_request request = {.command = VU_REGION_WRITE,
					   .payload = msg,
					   .len = sizeof(msg),
					   .reply_min = sizeof(access),
					   .reply_max = sizeof(access),
					   .fn = vu_restored,
					   .arg = op};

	memcpy(msg, &access, sizeof(access));
	memcpy(msg + sizeof(access), &command, sizeof(command));
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
