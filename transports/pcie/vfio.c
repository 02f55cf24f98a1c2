// SPDX-License-Identifier: BSD-3-Clause
/*
 * A local function by the kernel's VFIO (type 1, version 2), one container per controller, so that
 * nothing that is mapped for one controller can be reached by another.
 *
 * The happy path of open: IOMMU group of the function ──► group viable ──► container ──► usable
 * IOVA ranges ──► device ──► class code ──► BAR0 mapped ──► memory space and bus master on ──►
 * request and error eventfds watched. Everything is an ioctl that returns soon, so each call ends
 * before it returns.
 *
 * Failure modes.
 * - Any step of open fails: what was opened is closed again in the reverse order, and the reason
 *   names the step and what would help.
 * - Mapping fails for want of locked memory or of mapping entries: explained, nothing is mapped.
 * - The kernel wants the device back (removal, unbind: the request eventfd): the owner is told, and
 *   has some time to let go of it (removal.c); the kernel waits for that. The request repeats
 *   until then and is told once.
 * - The device reports an error that can't be corrected (the error eventfd): the controller is
 *   lost.
 * - The device has gone: registers read as all ones, -ENODEV; or its BAR isn't there any more, then
 *   the program's SIGBUS handler puts ones there (nvmux_handle_sigbus()).
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <nvme/types.h>
#include "pcie_int.h"

#define VFIO_RANGES_MAX 64
#define VFIO_INFO_MAX   4096

struct vfio_range {
	uint64_t start, end; /* inclusive */
};

struct vfio_event {
	int fd; /* -1: none */
	struct nvmux_watch watch;
};

struct vfio_dev {
	struct pcie_dev base;
	char bdf[PCI_ADDRESS_SIZE];
	int container;
	int group;
	int device;
	uint64_t config_offset; /* of the configuration space in the device's descriptor */
	volatile uint32_t *regs;
	struct vfio_event request;
	struct vfio_event error;
	bool lost;
	uint32_t n_ranges;
	struct vfio_range ranges[VFIO_RANGES_MAX];
};

static struct vfio_dev *vfio_dev(struct pcie_dev *dev)
{
	return container_of(dev, struct vfio_dev, base);
}

/* ---- configuration space ---- */

static int vfio_config_read(struct vfio_dev *vd, uint32_t offset, void *buf, size_t size)
{
	ssize_t n = pread(vd->device, buf, size, (off_t)(vd->config_offset + offset));

	return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

static int vfio_config_write(struct vfio_dev *vd, uint32_t offset, const void *buf, size_t size)
{
	ssize_t n = pwrite(vd->device, buf, size, (off_t)(vd->config_offset + offset));

	return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

static int vfio_set_command(struct vfio_dev *vd, uint16_t set, uint16_t clear)
{
	__le16 command;
	int err = vfio_config_read(vd, PCI_COMMAND, &command, sizeof(command));

	if (err)
		return err;
	command = cpu_to_le16((uint16_t)((le16_to_cpu(command) | set) & ~clear));
	return vfio_config_write(vd, PCI_COMMAND, &command, sizeof(command));
}

/* ---- open: group and container ---- */

static int vfio_open_group(struct vfio_dev *vd)
{
	struct nvmux *nvmux = vd->base.nvmux;
	struct vfio_group_status status = {.argsz = sizeof(status)};
	char path[PATH_MAX];
	unsigned number;
	int err;

	err = pcie_sysfs_group(nvmux, vd->bdf, &number);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/vfio/%u", pcie_paths(nvmux)->dev, number);
	vd->group = open(path, O_RDWR | O_CLOEXEC);
	if (vd->group < 0) {
		err = -errno;
		return nvmux_error(nvmux, err, "%s: %s: %s", vd->bdf, path,
				   err == -EBUSY ? "another process has opened it"
						 : strerror(-err));
	}
	if (ioctl(vd->group, VFIO_GROUP_GET_STATUS, &status) < 0)
		return nvmux_error(nvmux, -errno, "%s: status of %s: %s", vd->bdf, path,
				   strerror(errno));
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return nvmux_error(
			nvmux, -EBUSY,
			"%s: IOMMU group %u isn't viable: other devices of the group are "
			"bound to drivers of the kernel",
			vd->bdf, number);
	return 0;
}

static int vfio_open_container(struct vfio_dev *vd)
{
	struct nvmux *nvmux = vd->base.nvmux;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/vfio/vfio", pcie_paths(nvmux)->dev);
	vd->container = open(path, O_RDWR | O_CLOEXEC);
	if (vd->container < 0)
		return nvmux_error(nvmux, -errno, "%s: %s: %s", vd->bdf, path, strerror(errno));
	if (ioctl(vd->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION)
		return nvmux_error(nvmux, -EPROTO,
				   "%s: the kernel's VFIO interface isn't version %d", vd->bdf,
				   VFIO_API_VERSION);
	if (ioctl(vd->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1)
		return nvmux_error(nvmux, -EOPNOTSUPP,
				   "%s: the kernel's VFIO has no type 1 IOMMU of version 2",
				   vd->bdf);
	if (ioctl(vd->group, VFIO_GROUP_SET_CONTAINER, &vd->container) < 0)
		return nvmux_error(nvmux, -errno, "%s: adding its group to a container: %s",
				   vd->bdf, strerror(errno));
	if (ioctl(vd->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		return nvmux_error(nvmux, -errno, "%s: setting the IOMMU's type: %s%s", vd->bdf,
				   strerror(errno),
				   errno == EPERM ? " (no interrupt remapping?)" : "");
	return 0;
}

/* Keep the usable ranges of the capability at @cap, which lies in @room bytes. */
static void vfio_take_ranges(struct vfio_dev *vd, const void *cap, size_t room)
{
	const struct vfio_iommu_type1_info_cap_iova_range *ranges = cap;
	size_t n;

	if (room < sizeof(*ranges))
		return;
	n = MIN(ranges->nr_iovas, (room - sizeof(*ranges)) / sizeof(ranges->iova_ranges[0]));
	for (size_t i = 0; i < n && vd->n_ranges < VFIO_RANGES_MAX; i++)
		vd->ranges[vd->n_ranges++] = (struct vfio_range){ranges->iova_ranges[i].start,
								 ranges->iova_ranges[i].end};
}

/* Which IOVAs the IOMMU can map. A kernel that doesn't say can map all. */
static int vfio_read_ranges(struct vfio_dev *vd)
{
	union {
		struct vfio_iommu_type1_info info;
		uint8_t bytes[VFIO_INFO_MAX];
	} buf = {.info.argsz = sizeof(buf)};
	uint32_t at, size;

	if (ioctl(vd->container, VFIO_IOMMU_GET_INFO, &buf) < 0)
		return nvmux_error(vd->base.nvmux, -errno, "%s: asking for the IOMMU's limits: %s",
				   vd->bdf, strerror(errno));
	if (buf.info.flags & VFIO_IOMMU_INFO_PGSIZES && !(buf.info.iova_pgsizes & NVMUX_PAGE_SIZE))
		return nvmux_error(vd->base.nvmux, -EOPNOTSUPP,
				   "%s: the IOMMU can't map pages of %u bytes", vd->bdf,
				   NVMUX_PAGE_SIZE);
	size = MIN(buf.info.argsz, (uint32_t)sizeof(buf));
	at = buf.info.flags & VFIO_IOMMU_INFO_CAPS ? buf.info.cap_offset : 0;
	/* Each step goes forward, so that the chain ends. */
	while (at >= sizeof(buf.info) && at + sizeof(struct vfio_info_cap_header) <= size) {
		const struct vfio_info_cap_header *header = (const void *)&buf.bytes[at];

		if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE && header->version == 1)
			vfio_take_ranges(vd, header, size - at);
		if (header->next <= at)
			break;
		at = header->next;
	}
	return 0;
}

static bool vfio_can_map(const struct vfio_dev *vd, uint64_t first, uint64_t last)
{
	for (uint32_t i = 0; i < vd->n_ranges; i++) {
		if (first >= vd->ranges[i].start && last <= vd->ranges[i].end)
			return true;
	}
	return vd->n_ranges == 0;
}

/* The window starts at NVMUX_IOVA_BASE: what can't map anything from there on is of no use. */
static int vfio_check_ranges(struct vfio_dev *vd)
{
	uint64_t max = 0;

	for (uint32_t i = 0; i < vd->n_ranges; i++)
		max = MAX(max, vd->ranges[i].end);
	if (vd->n_ranges && max < NVMUX_IOVA_BASE)
		return nvmux_error(
			vd->base.nvmux, -ERANGE,
			"%s: the IOMMU maps addresses up to %#llx only, regions start at "
			"%#llx",
			vd->bdf, (unsigned long long)max, (unsigned long long)NVMUX_IOVA_BASE);
	vd->base.iova_min = NVMUX_IOVA_BASE;
	vd->base.iova_max = vd->n_ranges ? max : UINT64_MAX;
	return 0;
}

/* ---- open: the device ---- */

static int vfio_region(struct vfio_dev *vd, uint32_t index, struct vfio_region_info *ret)
{
	*ret = (struct vfio_region_info){.argsz = sizeof(*ret), .index = index};
	if (ioctl(vd->device, VFIO_DEVICE_GET_REGION_INFO, ret) < 0)
		return nvmux_error(vd->base.nvmux, -errno, "%s: asking for region %u: %s", vd->bdf,
				   index, strerror(errno));
	return 0;
}

static int vfio_open_device(struct vfio_dev *vd)
{
	struct nvmux *nvmux = vd->base.nvmux;
	struct vfio_region_info config;
	__le32 class_revision, id;
	int err;

	vd->device = ioctl(vd->group, VFIO_GROUP_GET_DEVICE_FD, vd->bdf);
	if (vd->device < 0)
		return nvmux_error(nvmux, -errno, "%s: opening the device in its group: %s",
				   vd->bdf, strerror(errno));
	err = vfio_region(vd, VFIO_PCI_CONFIG_REGION_INDEX, &config);
	if (err)
		return err;
	vd->config_offset = config.offset;
	err = vfio_config_read(vd, PCI_CLASS_REVISION, &class_revision, sizeof(class_revision));
	if (!err)
		err = vfio_config_read(vd, PCI_VENDOR_ID, &id, sizeof(id));
	if (err)
		return nvmux_error(nvmux, err, "%s: reading its configuration space: %s", vd->bdf,
				   strerror(-err));
	vd->base.quirks = pcie_quirks_of((uint16_t)le32_to_cpu(id),
					 (uint16_t)(le32_to_cpu(id) >> 16));
	return pcie_check_class(nvmux, vd->bdf, le32_to_cpu(class_revision));
}

static int vfio_map_bar(struct vfio_dev *vd)
{
	struct nvmux *nvmux = vd->base.nvmux;
	struct vfio_region_info info;
	size_t bytes;
	void *bar;
	int err;

	err = vfio_region(vd, VFIO_PCI_BAR0_REGION_INDEX, &info);
	if (err)
		return err;
	if (info.size < PCIE_REG_BYTES + 2 * sizeof(uint32_t))
		return nvmux_error(
			nvmux, -ENODEV,
			"%s: BAR0 has %llu bytes; registers and doorbells need more than "
			"%u",
			vd->bdf, (unsigned long long)info.size, PCIE_REG_BYTES);
	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
		return nvmux_error(nvmux, -EOPNOTSUPP, "%s: BAR0 can't be mapped", vd->bdf);
	bytes = MIN(info.size, PCIE_REG_BYTES + PCIE_DOORBELL_BYTES_MAX);
	bar = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vd->device, (off_t)info.offset);
	if (bar == MAP_FAILED)
		return nvmux_error(nvmux, -errno, "%s: mapping BAR0: %s", vd->bdf, strerror(errno));
	pcie_bar_mapped(&vd->base, bar, bytes);
	vd->regs = bar;
	vd->base.doorbells = &vd->regs[PCIE_DOORBELL_BASE / sizeof(uint32_t)];
	vd->base.doorbell_bytes = (uint32_t)(bytes - PCIE_DOORBELL_BASE);
	return 0;
}

static int vfio_count_irqs(struct vfio_dev *vd)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX};

	if (ioctl(vd->device, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0)
		return nvmux_error(vd->base.nvmux, -errno, "%s: asking for its interrupts: %s",
				   vd->bdf, strerror(errno));
	vd->base.n_irqs = MIN(info.count, (uint32_t)PCIE_IRQ_MAX);
	return 0;
}

static int vfio_set_eventfds(struct vfio_dev *vd, uint32_t index, const int *fds, uint32_t n)
{
	union {
		struct vfio_irq_set set;
		uint8_t bytes[sizeof(struct vfio_irq_set) + PCIE_IRQ_MAX * sizeof(int32_t)];
	} buf;

	buf.set = (struct vfio_irq_set){
		.argsz = (uint32_t)(sizeof(buf.set) + n * sizeof(int32_t)),
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER |
			 (n ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
		.index = index,
		.count = n,
	};
	for (uint32_t i = 0; i < n; i++)
		memcpy(&buf.bytes[sizeof(buf.set) + i * sizeof(int32_t)], &fds[i], sizeof(int32_t));
	return ioctl(vd->device, VFIO_DEVICE_SET_IRQS, &buf) < 0 ? -errno : 0;
}

/* ---- the kernel's requests ---- */

static void vfio_lost(struct vfio_dev *vd, const char *why)
{
	nvmux_watch_del(vd->base.nvmux, &vd->request.watch);
	nvmux_watch_del(vd->base.nvmux, &vd->error.watch);
	if (vd->lost)
		return;
	vd->lost = true;
	nvmux_ctrlr_lost(vd->base.ctrlr,
			 nvmux_error(vd->base.nvmux, -ENODEV, "%s: %s", vd->bdf, why));
}

static void vfio_requested(void *arg, uint32_t epoll_events)
{
	struct vfio_dev *vd = arg;

	(void)epoll_events;
	nvmux_watch_del(vd->base.nvmux, &vd->request.watch);
	nvmux_ctrlr_wanted_back(vd->base.ctrlr);
}

static void vfio_errored(void *arg, uint32_t epoll_events)
{
	(void)epoll_events;
	vfio_lost(arg, "the device reported an uncorrectable error, or its BAR has gone");
}

/* A device without that event is fine: the eventfd then serves bar_fault() only. */
static int vfio_watch_event(struct vfio_dev *vd, struct vfio_event *event, uint32_t index,
			    void (*fn)(void *arg, uint32_t epoll_events))
{
	struct nvmux *nvmux = vd->base.nvmux;
	int err;

	event->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event->fd < 0)
		return -errno;
	err = nvmux_watch_add(nvmux, &event->watch, event->fd, EPOLLIN, fn, vd);
	if (err)
		return err;
	err = vfio_set_eventfds(vd, index, &event->fd, 1);
	if (err)
		nvmux_log(nvmux, NVMUX_LOG_DEBUG, "vfio",
			  "%s: no eventfd for interrupt index %u: %s", vd->bdf, index,
			  strerror(-err));
	return 0;
}

static void vfio_bar_fault(struct pcie_dev *dev)
{
	const uint64_t one = 1;
	ssize_t n = write(vfio_dev(dev)->error.fd, &one, sizeof(one));

	(void)n; /* in a signal handler; a full eventfd is readable as well */
}

/* ---- life ---- */

static void vfio_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void vfio_unwatch(struct vfio_dev *vd, struct vfio_event *event)
{
	nvmux_watch_del(vd->base.nvmux, &event->watch);
	vfio_close_fd(&event->fd);
}

/* Let go of whatever there is, half open or not, in an order that leaves no DMA behind. */
static void vfio_shut(struct vfio_dev *vd)
{
	struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof(unmap),
						   .flags = VFIO_DMA_UNMAP_FLAG_ALL};

	if (vd->device >= 0 && vd->config_offset) {
		vfio_set_command(vd, 0, PCI_COMMAND_MASTER);
		vfio_set_eventfds(vd, VFIO_PCI_MSIX_IRQ_INDEX, NULL, 0);
	}
	vfio_unwatch(vd, &vd->request);
	vfio_unwatch(vd, &vd->error);
	pcie_bar_detach(&vd->base);
	/* Kernels before 5.12 don't know the flag; closing the container unmaps everything too. */
	if (vd->container >= 0)
		ioctl(vd->container, VFIO_IOMMU_UNMAP_DMA, &unmap);
	vfio_close_fd(&vd->device);
	vfio_close_fd(&vd->group);
	vfio_close_fd(&vd->container);
	vd->n_ranges = 0;
	vd->config_offset = 0;
}

static int vfio_alloc(struct nvmux *nvmux, const struct nvmux_trid *trid, struct pcie_dev **ret)
{
	struct vfio_dev *vd = calloc(1, sizeof(*vd));

	if (!vd)
		return -ENOMEM;
	if (pci_address_parse(trid->traddr, vd->bdf)) {
		free(vd);
		return nvmux_error(nvmux, -EINVAL,
				   "traddr \"%s\" isn't a PCI address such as 0000:01:00.0",
				   trid->traddr);
	}
	vd->container = vd->group = vd->device = -1;
	vd->request.fd = vd->error.fd = -1;
	*ret = &vd->base;
	return 0;
}

static void vfio_free(struct pcie_dev *dev)
{
	struct vfio_dev *vd = vfio_dev(dev);

	vfio_shut(vd);
	pcie_bar_unmap(&vd->base);
	free(vd);
}

static int vfio_start(struct vfio_dev *vd)
{
	int err = vfio_set_command(vd, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);

	if (err)
		return nvmux_error(vd->base.nvmux, err, "%s: turning bus mastering on: %s", vd->bdf,
				   strerror(-err));
	err = vfio_watch_event(vd, &vd->request, VFIO_PCI_REQ_IRQ_INDEX, vfio_requested);
	if (!err)
		err = vfio_watch_event(vd, &vd->error, VFIO_PCI_ERR_IRQ_INDEX, vfio_errored);
	return err;
}

static int vfio_open_all(struct vfio_dev *vd)
{
	static int (*const steps[])(struct vfio_dev *) = {
		vfio_open_group,  vfio_open_container, vfio_read_ranges, vfio_check_ranges,
		vfio_open_device, vfio_map_bar,        vfio_count_irqs,  vfio_start,
	};

	vd->lost = false;
	pcie_bar_unmap(&vd->base);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int err = steps[i](vd);

		if (err) {
			vfio_shut(vd);
			return err;
		}
	}
	return 0;
}

static void vfio_open(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	done(arg, vfio_open_all(vfio_dev(dev)), 0);
}

static void vfio_close(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	vfio_shut(vfio_dev(dev));
	done(arg, 0, 0);
}

/* ---- registers ---- */

static bool vfio_reg_ok(uint32_t offset, uint32_t size)
{
	return (size == 4 || size == 8) && offset % 4 == 0 && offset + size <= PCIE_REG_BYTES;
}

/* All ones in a register that can't hold them: the link is down. */
static bool vfio_reg_gone(uint32_t offset, uint32_t size, uint64_t value)
{
	if (offset == NVME_REG_CAP && size == 8)
		return value == UINT64_MAX;
	return (offset == NVME_REG_CSTS || offset == NVME_REG_VS) && (uint32_t)value == UINT32_MAX;
}

/* Accesses of 4 bytes, low half first, which every function takes. */
static void vfio_reg_read(struct pcie_dev *dev, uint32_t offset, uint32_t size, nvmux_done_fn done,
			  void *arg)
{
	struct vfio_dev *vd = vfio_dev(dev);
	uint64_t value;

	NVMUX_ASSERT(vfio_reg_ok(offset, size));
	value = le32_to_cpu((NVMUX_FORCE __le32)vd->regs[offset / 4]);
	if (size == 8)
		value |= (uint64_t)le32_to_cpu((NVMUX_FORCE __le32)vd->regs[offset / 4 + 1]) << 32;
	if (vfio_reg_gone(offset, size, value))
		done(arg,
		     nvmux_error(dev->nvmux, -ENODEV,
				 "%s: register %#x reads as all ones, the device has gone", vd->bdf,
				 offset),
		     0);
	else
		done(arg, 0, value);
}

static void vfio_reg_write(struct pcie_dev *dev, uint32_t offset, uint32_t size, uint64_t value,
			   nvmux_done_fn done, void *arg)
{
	struct vfio_dev *vd = vfio_dev(dev);

	NVMUX_ASSERT(vfio_reg_ok(offset, size));
	dma_wmb(); /* what the register announces is there */
	vd->regs[offset / 4] = (NVMUX_FORCE uint32_t)cpu_to_le32((uint32_t)value);
	if (size == 8)
		vd->regs[offset / 4 + 1] =
			(NVMUX_FORCE uint32_t)cpu_to_le32((uint32_t)(value >> 32));
	done(arg, 0, 0);
}

/* ---- memory ---- */

static int vfio_explain_map(struct vfio_dev *vd, const struct nvmux_mem *mem, int err)
{
	const char *why = strerror(-err);

	if (err == -ENOMEM)
		why = "the limit of locked memory is reached (RLIMIT_MEMLOCK, ulimit -l), or "
		      "memory "
		      "is short";
	else if (err == -ENOSPC)
		why = "the limit of mappings is reached (dma_entry_limit of vfio_iommu_type1)";
	return nvmux_error(vd->base.nvmux, err, "%s: mapping a region of %zu bytes: %s", vd->bdf,
			   mem->size, why);
}

static int vfio_map(struct vfio_dev *vd, const struct nvmux_mem *mem)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)mem->addr,
		.iova = mem->iova,
		.size = mem->size,
	};

	if (!vfio_can_map(vd, mem->iova, mem->iova + mem->size - 1))
		return nvmux_error(vd->base.nvmux, -ERANGE,
				   "%s: a region of %zu bytes at IOVA %#llx lies in no range that "
				   "the IOMMU can map",
				   vd->bdf, mem->size, (unsigned long long)mem->iova);
	if (ioctl(vd->container, VFIO_IOMMU_MAP_DMA, &map) < 0)
		return vfio_explain_map(vd, mem, -errno);
	return 0;
}

static void vfio_dma_map(struct pcie_dev *dev, struct nvmux_mem *mem, nvmux_done_fn done, void *arg)
{
	done(arg, vfio_map(vfio_dev(dev), mem), 0);
}

static int vfio_unmap(struct vfio_dev *vd, const struct nvmux_mem *mem)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = mem->iova, .size = mem->size};

	if (ioctl(vd->container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
		return nvmux_error(vd->base.nvmux, -errno, "%s: unmapping a region: %s", vd->bdf,
				   strerror(errno));
	if (unmap.size != mem->size)
		return nvmux_error(vd->base.nvmux, -EIO,
				   "%s: unmapping a region of %zu bytes: the kernel unmapped %llu",
				   vd->bdf, mem->size, (unsigned long long)unmap.size);
	return 0;
}

static void vfio_dma_unmap(struct pcie_dev *dev, struct nvmux_mem *mem, nvmux_done_fn done,
			   void *arg)
{
	done(arg, vfio_unmap(vfio_dev(dev), mem), 0);
}

/* All vectors in one call: before dynamic MSI-X none can be added later. */
static void vfio_set_irqs(struct pcie_dev *dev, const int *eventfds, uint32_t n, nvmux_done_fn done,
			  void *arg)
{
	int err = -EINVAL;

	if (n <= dev->n_irqs)
		err = vfio_set_eventfds(vfio_dev(dev), VFIO_PCI_MSIX_IRQ_INDEX, eventfds, n);
	if (err)
		err = nvmux_error(dev->nvmux, err, "%s: enabling %u of %u MSI-X vectors: %s",
				  vfio_dev(dev)->bdf, n, dev->n_irqs, strerror(-err));
	done(arg, err, 0);
}

/*
 * By whatever the kernel has for this function: function level reset, or another that hits nobody
 * else. It keeps the configuration space, MSI-X included; bus mastering is made sure of.
 */
static int vfio_reset_function(struct vfio_dev *vd)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	int err;

	if (ioctl(vd->device, VFIO_DEVICE_GET_INFO, &info) < 0)
		return nvmux_error(vd->base.nvmux, -EIO, "%s: asking whether it can be reset: %s",
				   vd->bdf, strerror(errno));
	if (!(info.flags & VFIO_DEVICE_FLAGS_RESET))
		return nvmux_error(vd->base.nvmux, -EOPNOTSUPP,
				   "%s: the function has no reset of its own", vd->bdf);
	if (ioctl(vd->device, VFIO_DEVICE_RESET) < 0)
		return nvmux_error(vd->base.nvmux, -EIO, "%s: resetting the function: %s", vd->bdf,
				   strerror(errno));
	err = vfio_set_command(vd, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
	if (err)
		return nvmux_error(vd->base.nvmux, -EIO, "%s: turning bus mastering on: %s",
				   vd->bdf, strerror(-err));
	return 0;
}

static void vfio_reset(struct pcie_dev *dev, nvmux_done_fn done, void *arg)
{
	done(arg, vfio_reset_function(vfio_dev(dev)), 0);
}

static const struct pcie_dev_ops vfio_dev_ops = {
	.alloc = vfio_alloc,
	.free = vfio_free,
	.open = vfio_open,
	.close = vfio_close,
	.reg_read = vfio_reg_read,
	.reg_write = vfio_reg_write,
	.dma_map = vfio_dma_map,
	.dma_unmap = vfio_dma_unmap,
	.set_irqs = vfio_set_irqs,
	.reset = vfio_reset,
	.bar_fault = vfio_bar_fault,
};

const struct pcie_transport pcie_vfio_transport = {
	.base =
		{
			.trtype = NVMUX_TRTYPE_PCIE,
			.enumerate = pcie_sysfs_enumerate,
			.numa_node = pcie_sysfs_node,
			PCIE_TRANSPORT_OPS,
		},
	.dev_ops = &vfio_dev_ops,
};
