// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device in another process, by vfio-user: what is negotiated and asked for when it is opened.
 *
 * The happy path: VERSION ──► DEVICE_GET_INFO ──► region info of BAR0, whose doorbells are mapped
 * if the server lets them be ──► number of MSI-X vectors ──► identity and class code ──► memory
 * space and bus master on ──► an eventfd for when the server wants the device back, if it can say
 * so. The steps are a table; each sends a message and takes its reply.
 *
 * Failure modes.
 * - A reply makes no sense, or the server refuses a message: the connection fails, and open ends
 *   with that error, which names the step.
 * - The file behind BAR0 is too short, not a memory file, not page-aligned, or comes from a server
 *   of another user: doorbells go by message. A file that shrinks later raises SIGBUS: see
 *   nvmux_handle_sigbus().
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "vfio_user_int.h"

#define VU_MAX_MSG_FDS_DEFAULT  1 /* what a server takes that doesn't say */
#define VU_MAX_DMA_MAPS_DEFAULT 65535
#define VU_CAPS_MAX             16 /* capabilities of a region looked at */

/* ---- VERSION ---- */

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

/* ---- what the device is ---- */

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

static int vu_send_irq_type(struct vu_dev *vd, uint32_t index)
{
	const struct vfio_irq_info info = {.argsz = sizeof(info), .index = index};

	return vu_step_send(vd, VU_DEVICE_GET_IRQ_INFO, &info, sizeof(info), sizeof(info),
			    VU_PAYLOAD_MAX);
}

/* How many interrupts of a type can be told by eventfds. */
static int vu_take_irq_type(struct vu_dev *vd, const void *payload, uint32_t index, uint32_t *ret)
{
	struct vfio_irq_info info;

	memcpy(&info, payload, sizeof(info));
	if (info.index != index) {
		vu_conn_fail(vd->conn, -EPROTO, "interrupt info of type %u instead of %u",
			     info.index, index);
		return -EPROTO;
	}
	*ret = info.flags & VFIO_IRQ_INFO_EVENTFD ? info.count : 0;
	return 0;
}

static int vu_send_irq_info(struct vu_dev *vd)
{
	return vu_send_irq_type(vd, VFIO_PCI_MSIX_IRQ_INDEX);
}

static int vu_take_irq_info(struct vu_dev *vd, const void *payload, uint32_t len)
{
	uint32_t n = 0;
	int err = vu_take_irq_type(vd, payload, VFIO_PCI_MSIX_IRQ_INDEX, &n);

	if (!err)
		vd->base.n_irqs = MIN(n, (uint32_t)PCIE_IRQ_MAX);
	return err;
}

/* ---- configuration space ---- */

static int vu_send_config_read(struct vu_dev *vd, uint32_t offset, uint32_t count)
{
	const struct vu_region_access access = {
		.offset = offset, .region = VFIO_PCI_CONFIG_REGION_INDEX, .count = count};

	return vu_step_send(vd, VU_REGION_READ, &access, sizeof(access), sizeof(access) + count,
			    sizeof(access) + count);
}

bool vu_same_access(const void *payload, uint32_t region, uint64_t offset, uint32_t count)
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

void vu_put_command(const struct vu_dev *vd, uint8_t ret[VU_COMMAND_BYTES])
{
	const struct vu_region_access access = {.offset = PCI_COMMAND,
						.region = VFIO_PCI_CONFIG_REGION_INDEX,
						.count = sizeof(__le16)};
	const __le16 command = cpu_to_le16(vd->command);

	memcpy(ret, &access, sizeof(access));
	memcpy(ret + sizeof(access), &command, sizeof(command));
}

bool vu_same_command(const void *payload)
{
	return vu_same_access(payload, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, sizeof(__le16));
}

static int vu_send_write_command(struct vu_dev *vd)
{
	uint8_t msg[VU_COMMAND_BYTES];

	vu_put_command(vd, msg);
	return vu_step_send(vd, VU_REGION_WRITE, msg, sizeof(msg), sizeof(struct vu_region_access),
			    sizeof(struct vu_region_access));
}

static int vu_take_written(struct vu_dev *vd, const void *payload, uint32_t len)
{
	if (vu_same_command(payload))
		return 0;
	vu_conn_fail(vd->conn, -EPROTO,
		     "the reply to a write of the command register speaks of another place");
	return -EPROTO;
}

/* ---- the request for the device's return ---- */

static bool vu_wants_request_info(const struct vu_dev *vd)
{
	return vd->n_irq_types > VFIO_PCI_REQ_IRQ_INDEX;
}

static int vu_send_request_info(struct vu_dev *vd)
{
	return vu_send_irq_type(vd, VFIO_PCI_REQ_IRQ_INDEX);
}

static int vu_take_request_info(struct vu_dev *vd, const void *payload, uint32_t len)
{
	uint32_t n = 0;
	int err = vu_take_irq_type(vd, payload, VFIO_PCI_REQ_IRQ_INDEX, &n);

	if (!err)
		vd->can_request = n != 0;
	return err;
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

void vu_close_request(struct vu_dev *vd)
{
	nvmux_watch_del(vd->base.nvmux, &vd->request_watch);
	if (vd->request_fd >= 0)
		close(vd->request_fd);
	vd->request_fd = -1;
	vd->can_request = false;
}

/* ---- the table ---- */

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

void vu_open_start(struct vu_dev *vd)
{
	int err;

	while (vd->step < ARRAY_SIZE(vu_steps) && vu_steps[vd->step].wanted &&
	       !vu_steps[vd->step].wanted(vd))
		vd->step++;
	if (vd->step == ARRAY_SIZE(vu_steps)) {
		vd->state = VU_DEV_OPEN;
		nvmux_call_end(&vd->open, 0, 0);
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
	vu_open_start(vd);
}
