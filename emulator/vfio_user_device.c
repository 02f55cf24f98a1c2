// SPDX-License-Identifier: BSD-3-Clause
/*
 * What vfio-user messages do to the emulated function.
 *
 * The happy path: VERSION, GET_INFO, the regions' and interrupts' information, DMA_MAP of the
 * client's memory, SET_IRQS with eventfds, then registers by REGION_READ and REGION_WRITE, and
 * doorbells in the shared page.
 *
 * Failure modes. A message that is well-formed and can't be done is answered with an errno value:
 * EINVAL (a field, a size, a range), EEXIST (memory overlaps), ENOENT (no such mapping), ENOSPC
 * (too many), ENOTSUP (a command that isn't offered), or what the system said. A client that begins
 * with anything but VERSION, or whose version isn't ours, or that replies to what nobody asked, is
 * dropped. Nothing of a message is believed before it is checked, and it is checked in a private
 * copy. The table of the eventfds is the client's, too: see irq().
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <jansson.h>
#include <linux/vfio.h>
#include "emulator/fault.h"
#include "emulator/vfio_user_device.h"
#include "libcore/util.h"

#define PAGE      4096u
#define N_REGIONS VFIO_PCI_NUM_REGIONS
#define N_IRQS    VFIO_PCI_NUM_IRQS
#define EVENTFD   "anon_inode:[eventfd]"

/* A message as its handler sees it. */
struct request {
	struct vus_device *dev;
	struct vus_conn *conn;
	const uint8_t *body;
	uint32_t len;
	uint8_t *reply; /* room for the rest of a message of the greatest size */
	uint32_t reply_len;
	int reply_fd;
};

/* ---- what the model asks for ---- */

static bool dma(void *arg, uint64_t iova, struct emu_dma *ret)
{
	const struct vus_device *dev = arg;
	const struct dma_entry *e = dma_table_find(&dev->dma, iova);

	if (!e || !e->host)
		return false;
	*ret = (struct emu_dma){
		.iova = e->iova,
		.size = e->size,
		.host = e->host,
		.readable = e->readable,
		.writable = e->writable,
	};
	return true;
}

/*
 * The client can fill the counter of an eventfd and, since it shares the open file, also make it
 * block. A timer signal ends such a write (see vfio_user_server.c), and the client is dropped.
 */
static void irq(void *arg, uint16_t vector)
{
	struct vus_device *dev = arg;
	uint64_t one = 1;

	if (vector >= dev->n_vectors || dev->irqs[vector] < 0 || dev->irq_blocked)
		return;
	if (write(dev->irqs[vector], &one, sizeof(one)) < 0 && errno == EINTR)
		dev->irq_blocked = true;
}

/* ---- life ---- */

/*
 * The file of the doorbells is cut off at their beginning, for the client as for us: so that we
 * aren't hit, other memory takes its place here.
 */
static void cut_doorbells(void *arg)
{
	struct vus_device *dev = arg;

	if (!dev->doorbells)
		return;
	if (mmap(dev->doorbells, dev->doorbell_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != dev->doorbells)
		return;
	if (ftruncate(dev->doorbell_fd, VUS_DOORBELL_OFFSET) < 0)
		return;
}

/* Ask the client to give the device back, as the kernel does of those behind vfio-pci. */
static void ask_back(void *arg)
{
	struct vus_device *dev = arg;
	uint64_t one = 1;

	if (dev->irqs[dev->n_vectors] < 0 || dev->irq_blocked)
		return;
	if (write(dev->irqs[dev->n_vectors], &one, sizeof(one)) < 0 && errno == EINTR)
		dev->irq_blocked = true;
}

int vus_device_init(struct vus_device *dev, const struct emu_config *config, bool map_doorbells,
		    char *why, size_t why_size)
{
	const struct emu_carrier carrier = {
		.dma = dma, .irq = irq, .arg = dev, .truncate = cut_doorbells, .request = ask_back};

	memset(dev, 0, sizeof(*dev));
	dev->doorbell_fd = -1;
	dev->map_doorbells = map_doorbells;
	dev->n_vectors = config->irq_vectors ? config->irq_vectors : config->max_io_queues + 1u;
	dev->doorbell_bytes = (uint32_t)align_up((config->max_io_queues + 1u) * 8, PAGE);
	dev->irqs = malloc((dev->n_vectors + 1) * sizeof(*dev->irqs));
	if (!dev->irqs) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	for (uint32_t i = 0; i <= dev->n_vectors; i++)
		dev->irqs[i] = -1;
	return emu_ctrlr_create(config, &carrier, &dev->model, why, why_size);
}

void vus_device_fini(struct vus_device *dev)
{
	emu_ctrlr_destroy(dev->model);
	free(dev->irqs);
}

static int make_doorbells(struct vus_device *dev)
{
	uint32_t size = VUS_DOORBELL_OFFSET + dev->doorbell_bytes;
	void *p;

	dev->doorbell_fd = memfd_create("nvmux-emulator-bar0", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (dev->doorbell_fd < 0)
		return -errno;
	/* It isn't sealed against shrinking, for a fault does that. See vfio_user_server.c for a
	 * client that does so. */
	if (ftruncate(dev->doorbell_fd, size) < 0 ||
	    fcntl(dev->doorbell_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	p = mmap(NULL, dev->doorbell_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, dev->doorbell_fd,
		 VUS_DOORBELL_OFFSET);
	if (p == MAP_FAILED)
		return -errno;
	dev->doorbells = p;
	return 0;
}

static void drop_doorbells(struct vus_device *dev)
{
	emu_set_doorbells(dev->model, NULL, 0);
	if (dev->doorbells)
		munmap(dev->doorbells, dev->doorbell_bytes);
	if (dev->doorbell_fd >= 0)
		close(dev->doorbell_fd);
	dev->doorbells = NULL;
	dev->doorbell_fd = -1;
}

int vus_device_begin(struct vus_device *dev)
{
	int err = make_doorbells(dev);

	if (err) {
		drop_doorbells(dev);
		return err;
	}
	dev->versioned = false;
	dev->irq_blocked = false;
	emu_set_doorbells(dev->model, dev->doorbells, dev->doorbell_bytes);
	pci_config_init(&dev->pci, VUS_BAR_SIZE, dev->n_vectors, VUS_MSIX_OFFSET,
			VUS_MSIX_PBA_OFFSET);
	memset(dev->msix, 0, sizeof(dev->msix));
	return 0;
}

static void set_irq(struct vus_device *dev, uint32_t vector, int fd)
{
	if (dev->irqs[vector] >= 0)
		close(dev->irqs[vector]);
	dev->irqs[vector] = fd;
}

void vus_device_end(struct vus_device *dev)
{
	emu_ctrlr_reset(dev->model);
	emu_dma_changed(dev->model, 0, 0);
	emu_fault_end_connection(dev->model);
	dma_table_clear(&dev->dma);
	for (uint32_t i = 0; i <= dev->n_vectors; i++)
		set_irq(dev, i, -1);
	drop_doorbells(dev);
}

static void reset(struct vus_device *dev)
{
	emu_ctrlr_reset(dev->model);
	pci_config_init(&dev->pci, VUS_BAR_SIZE, dev->n_vectors, VUS_MSIX_OFFSET,
			VUS_MSIX_PBA_OFFSET);
}

/* ---- VERSION ---- */

/* The capabilities are for information: what we send is small, and fits any client. */
static int check_capabilities(const uint8_t *text, uint32_t len)
{
	json_t *json;
	bool good;

	if (len == 0)
		return 0;
	if (text[len - 1] != '\0')
		return EINVAL;
	json = json_loads((const char *)text, 0, NULL);
	good = json_is_object(json) && (!json_object_get(json, "capabilities") ||
					json_is_object(json_object_get(json, "capabilities")));
	json_decref(json);
	return good ? 0 : EINVAL;
}

static int do_version(struct request *r)
{
	struct vus_version v;
	json_t *json;
	size_t n;
	int err;

	if (r->len < sizeof(v))
		return EINVAL;
	memcpy(&v, r->body, sizeof(v));
	if (v.major != VUS_MAJOR)
		return ENOTSUP;
	err = check_capabilities(r->body + sizeof(v), r->len - (uint32_t)sizeof(v));
	if (err)
		return err;
	v.minor = MIN(v.minor, VUS_MINOR);
	memcpy(r->reply, &v, sizeof(v));
	json = json_pack("{s:{s:i, s:i, s:i, s:i}}", "capabilities", "max_msg_fds",
			 (int)VUS_FDS_MAX, "max_data_xfer_size", (int)VUS_DATA_MAX, "max_dma_maps",
			 (int)VUS_DMA_MAPS, "pgsizes", (int)PAGE);
	if (!json)
		return ENOMEM;
	n = json_dumpb(json, (char *)r->reply + sizeof(v), 512, JSON_COMPACT);
	json_decref(json);
	NVMUX_ASSERT(n > 0 && n < 512);
	r->reply[sizeof(v) + n] = '\0';
	r->reply_len = (uint32_t)(sizeof(v) + n + 1);
	r->dev->versioned = true;
	return 0;
}

/* ---- memory ---- */

static int do_dma_map(struct request *r)
{
	struct vus_dma_map m;
	int fd = -1;

	if (r->len != sizeof(m))
		return EINVAL;
	memcpy(&m, r->body, sizeof(m));
	if (m.argsz < sizeof(m) || (m.flags & ~(VUS_DMA_READ | VUS_DMA_WRITE)) ||
	    r->conn->n_fds > 1)
		return EINVAL;
	if (r->conn->n_fds == 1)
		fd = r->conn->fds[0];
	return -dma_table_map(&r->dev->dma, m.addr, m.size, m.flags & VUS_DMA_READ,
			      m.flags & VUS_DMA_WRITE, fd, m.offset);
}

static int do_dma_unmap(struct request *r)
{
	struct dma_entry *e, gone;
	struct vus_dma_unmap m;

	if (r->len != sizeof(m))
		return EINVAL;
	memcpy(&m, r->body, sizeof(m));
	if (m.argsz < sizeof(m) || (m.flags & ~VUS_UNMAP_ALL))
		return EINVAL;
	if (m.flags & VUS_UNMAP_ALL) {
		if (m.addr || m.size)
			return EINVAL;
		emu_dma_changed(r->dev->model, 0, 0);
		dma_table_clear(&r->dev->dma);
	} else {
		e = dma_table_find_exact(&r->dev->dma, m.addr, m.size);
		if (!e)
			return ENOENT;
		dma_table_remove(&r->dev->dma, e, &gone);
		emu_dma_changed(r->dev->model, m.addr, m.size);
		dma_entry_release(&gone);
	}
	memcpy(r->reply, &m, sizeof(m));
	r->reply_len = sizeof(m);
	return 0;
}

/* ---- information ---- */

static int do_get_info(struct request *r)
{
	struct vus_device_info info;

	if (r->len != sizeof(info))
		return EINVAL;
	memcpy(&info, r->body, sizeof(info));
	if (info.argsz < sizeof(info) || info.flags || info.n_regions || info.n_irqs)
		return EINVAL;
	info = (struct vus_device_info){
		.argsz = sizeof(info),
		.flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI,
		.n_regions = N_REGIONS,
		.n_irqs = N_IRQS,
	};
	memcpy(r->reply, &info, sizeof(info));
	r->reply_len = sizeof(info);
	return 0;
}

struct sparse_info {
	struct vfio_region_info info;
	struct vfio_info_cap_header header;
	uint32_t n_areas;
	uint32_t rsvd;
	struct vfio_region_sparse_mmap_area area;
};
_Static_assert(sizeof(struct sparse_info) == 64, "layout");

static int reply_bar(struct request *r, uint32_t argsz)
{
	struct vus_device *dev = r->dev;
	struct sparse_info s = {
		.info =
			{
				.argsz = sizeof(s.info),
				.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
				.index = VFIO_PCI_BAR0_REGION_INDEX,
				.size = VUS_BAR_SIZE,
			},
		.header = {.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1},
		.n_areas = 1,
		.area = {.offset = VUS_DOORBELL_OFFSET, .size = dev->doorbell_bytes},
	};

	r->reply_len = sizeof(s.info);
	if (dev->map_doorbells) {
		s.info.argsz = sizeof(s);
		s.info.flags |= VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
		r->reply_fd = dev->doorbell_fd;
		/* What doesn't fit is left out; the client asks again with room for it. */
		if (argsz >= sizeof(s)) {
			s.info.cap_offset = offsetof(struct sparse_info, header);
			r->reply_len = sizeof(s);
		}
	}
	memcpy(r->reply, &s, r->reply_len);
	return 0;
}

static int do_get_region_info(struct request *r)
{
	struct vfio_region_info info;
	uint32_t argsz;

	if (r->len != sizeof(info))
		return EINVAL;
	memcpy(&info, r->body, sizeof(info));
	argsz = info.argsz;
	if (argsz < sizeof(info) || info.flags || info.cap_offset || info.size || info.offset ||
	    info.index >= N_REGIONS)
		return EINVAL;
	if (info.index == VFIO_PCI_BAR0_REGION_INDEX)
		return reply_bar(r, argsz);
	info.argsz = sizeof(info);
	if (info.index == VFIO_PCI_CONFIG_REGION_INDEX) {
		info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
		info.size = PCI_CONFIG_SIZE;
	}
	memcpy(r->reply, &info, sizeof(info));
	r->reply_len = sizeof(info);
	return 0;
}

static uint32_t irq_count(const struct vus_device *dev, uint32_t index)
{
	switch (index) {
	case VFIO_PCI_MSIX_IRQ_INDEX: return dev->n_vectors;
	case VFIO_PCI_REQ_IRQ_INDEX: return 1;
	default: return 0;
	}
}

/* Where the eventfds of an index are. */
static uint32_t irq_base(const struct vus_device *dev, uint32_t index)
{
	return index == VFIO_PCI_REQ_IRQ_INDEX ? dev->n_vectors : 0;
}

static int do_get_irq_info(struct request *r)
{
	struct vfio_irq_info info;

	if (r->len != sizeof(info))
		return EINVAL;
	memcpy(&info, r->body, sizeof(info));
	if (info.argsz < sizeof(info) || info.flags || info.count || info.index >= N_IRQS)
		return EINVAL;
	info.argsz = sizeof(info);
	info.count = irq_count(r->dev, info.index);
	info.flags = info.count ? VFIO_IRQ_INFO_EVENTFD : 0;
	memcpy(r->reply, &info, sizeof(info));
	r->reply_len = sizeof(info);
	return 0;
}

/* ---- interrupts ---- */

static bool is_eventfd(int fd)
{
	char path[32], target[sizeof(EVENTFD)] = "";
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	return n == sizeof(EVENTFD) - 1 && memcmp(target, EVENTFD, (size_t)n) == 0;
}

static int set_eventfds(struct request *r, const struct vfio_irq_set *set)
{
	struct vus_conn *conn = r->conn;

	/* None at all disconnects the vectors. */
	if (r->len != sizeof(*set) || (conn->n_fds != set->count && conn->n_fds != 0))
		return EINVAL;
	for (uint32_t i = 0; i < conn->n_fds; i++) {
		if (!is_eventfd(conn->fds[i]))
			return EINVAL;
	}
	for (uint32_t i = 0; i < set->count; i++)
		set_irq(r->dev, irq_base(r->dev, set->index) + set->start + i,
			conn->n_fds ? vus_conn_take_fd(conn, i) : -1);
	return 0;
}

static int trigger(struct request *r, const struct vfio_irq_set *set, bool by_flags)
{
	const uint8_t *flags = r->body + sizeof(*set);

	if (r->len - sizeof(*set) != (by_flags ? set->count : 0) || r->conn->n_fds)
		return EINVAL;
	for (uint32_t i = 0; i < set->count; i++) {
		if (by_flags && !flags[i])
			continue;
		if (set->index == VFIO_PCI_REQ_IRQ_INDEX)
			ask_back(r->dev);
		else
			irq(r->dev, (uint16_t)(set->start + i));
	}
	return 0;
}

static int do_set_irqs(struct request *r)
{
	struct vfio_irq_set set;
	uint32_t data, count;

	if (r->len < sizeof(set))
		return EINVAL;
	memcpy(&set, r->body, sizeof(set));
	if (set.argsz != r->len || set.index >= N_IRQS ||
	    (set.flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK)))
		return EINVAL;
	/* An edge-triggered interrupt is masked by whoever gets it. */
	if ((set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return EINVAL;
	data = set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	count = irq_count(r->dev, set.index);
	if (set.count == 0 && set.start == 0 && data == VFIO_IRQ_SET_DATA_NONE) {
		for (uint32_t i = 0; i < count; i++)
			set_irq(r->dev, irq_base(r->dev, set.index) + i, -1);
		return r->len == sizeof(set) ? 0 : EINVAL;
	}
	if (set.count == 0 || set.start >= count || set.count > count - set.start)
		return EINVAL;
	switch (data) {
	case VFIO_IRQ_SET_DATA_EVENTFD: return set_eventfds(r, &set);
	case VFIO_IRQ_SET_DATA_NONE: return trigger(r, &set, false);
	case VFIO_IRQ_SET_DATA_BOOL: return trigger(r, &set, true);
	default: return EINVAL;
	}
}

/* ---- regions ---- */

static bool in_doorbells(const struct vus_device *dev, uint64_t offset)
{
	return offset >= VUS_DOORBELL_OFFSET && offset < VUS_DOORBELL_OFFSET + dev->doorbell_bytes;
}

static bool in_msix(uint64_t offset)
{
	return offset >= VUS_MSIX_OFFSET && offset < VUS_MSIX_PBA_OFFSET;
}

/* Registers, doorbells and MSI-X table are dwords and quadwords, naturally aligned. */
static int read_bar(struct vus_device *dev, uint64_t offset, uint32_t count, uint8_t *data)
{
	uint64_t value = 0;

	if ((count != 4 && count != 8) || offset % count != 0)
		return EINVAL;
	if (emu_is_gone(dev->model))
		value = UINT64_MAX;
	else if (offset < VUS_DOORBELL_OFFSET)
		value = emu_reg_read(dev->model, (uint32_t)offset, count);
	else if (in_doorbells(dev, offset))
		memcpy(&value, dev->doorbells + (offset - VUS_DOORBELL_OFFSET), count);
	else if (in_msix(offset))
		memcpy(&value, dev->msix + (offset - VUS_MSIX_OFFSET), count);
	memcpy(data, &value, count);
	return 0;
}

static int write_bar(struct vus_device *dev, uint64_t offset, uint32_t count, const uint8_t *data)
{
	uint64_t value = 0;

	if ((count != 4 && count != 8) || offset % count != 0)
		return EINVAL;
	memcpy(&value, data, count);
	if (offset < VUS_DOORBELL_OFFSET) {
		emu_reg_write(dev->model, (uint32_t)offset, count, value);
	} else if (in_doorbells(dev, offset)) {
		if (count != 4)
			return EINVAL;
		emu_doorbell_write(dev->model, (uint32_t)offset - VUS_DOORBELL_OFFSET,
				   (uint32_t)value);
	} else if (in_msix(offset)) {
		memcpy(dev->msix + (offset - VUS_MSIX_OFFSET), &value, count);
	}
	return 0;
}

/* Check the access against its region. */
static int check_access(const struct vus_region_access *a)
{
	uint64_t size;

	if (a->region == VFIO_PCI_BAR0_REGION_INDEX)
		size = VUS_BAR_SIZE;
	else if (a->region == VFIO_PCI_CONFIG_REGION_INDEX)
		size = PCI_CONFIG_SIZE;
	else
		return EINVAL;
	if (a->count == 0 || a->count > VUS_DATA_MAX || a->offset >= size ||
	    a->count > size - a->offset)
		return EINVAL;
	return 0;
}

static int do_region_read(struct request *r)
{
	struct vus_region_access a;
	uint8_t *data = r->reply + sizeof(a);
	int err;

	if (r->len != sizeof(a))
		return EINVAL;
	memcpy(&a, r->body, sizeof(a));
	err = check_access(&a);
	if (err)
		return err;
	if (a.region == VFIO_PCI_CONFIG_REGION_INDEX && emu_is_gone(r->dev->model))
		memset(data, 0xff, a.count);
	else if (a.region == VFIO_PCI_CONFIG_REGION_INDEX)
		memcpy(data, r->dev->pci.bytes + a.offset, a.count);
	else
		err = read_bar(r->dev, a.offset, a.count, data);
	memcpy(r->reply, &a, sizeof(a));
	r->reply_len = (uint32_t)sizeof(a) + a.count;
	return err;
}

static int do_region_write(struct request *r)
{
	struct vus_region_access a;
	int err;

	if (r->len < sizeof(a))
		return EINVAL;
	memcpy(&a, r->body, sizeof(a));
	err = check_access(&a);
	if (err)
		return err;
	if (r->len - sizeof(a) != a.count)
		return EINVAL;
	if (a.region == VFIO_PCI_BAR0_REGION_INDEX)
		err = write_bar(r->dev, a.offset, a.count, r->body + sizeof(a));
	else if (pci_config_write(&r->dev->pci, (uint32_t)a.offset, r->body + sizeof(a), a.count))
		reset(r->dev);
	memcpy(r->reply, &a, sizeof(a));
	r->reply_len = sizeof(a);
	return err;
}

static int do_reset(struct request *r)
{
	if (r->len != 0)
		return EINVAL;
	reset(r->dev);
	return 0;
}

/* ---- dispatch ---- */

static int dispatch(struct request *r, uint16_t command)
{
	bool takes_fds = command == VUS_DMA_MAP || command == VUS_SET_IRQS;

	if (r->conn->n_fds && !takes_fds)
		return EINVAL;
	switch (command) {
	case VUS_VERSION: return r->dev->versioned ? EINVAL : do_version(r);
	case VUS_DMA_MAP: return do_dma_map(r);
	case VUS_DMA_UNMAP: return do_dma_unmap(r);
	case VUS_GET_INFO: return do_get_info(r);
	case VUS_GET_REGION_INFO: return do_get_region_info(r);
	case VUS_GET_IRQ_INFO: return do_get_irq_info(r);
	case VUS_SET_IRQS: return do_set_irqs(r);
	case VUS_REGION_READ: return do_region_read(r);
	case VUS_REGION_WRITE: return do_region_write(r);
	case VUS_DEVICE_RESET: return do_reset(r);
	default: return ENOTSUP;
	}
}

int vus_device_message(struct vus_device *dev, struct vus_conn *conn, const char **why)
{
	const struct vus_header h = conn->in.header;
	struct request r = {
		.dev = dev,
		.conn = conn,
		.body = conn->in.bytes + sizeof(h),
		.len = h.size - (uint32_t)sizeof(h),
		.reply = conn->out.bytes + sizeof(h),
		.reply_fd = -1,
	};
	bool first = !dev->versioned;
	int err, ret = 0;

	if ((h.flags & VUS_TYPE_MASK) != VUS_TYPE_COMMAND) {
		*why = "a reply to nothing";
		return -EPROTO;
	}
	if (first && h.command != VUS_VERSION)
		err = EINVAL;
	else if ((h.flags & ~VUS_FLAG_NO_REPLY) || h.error)
		err = EINVAL;
	else
		err = dispatch(&r, h.command);
	if (!err && emu_fault_bad_length(dev->model, h.command))
		r.reply_len = r.reply_len > 4 ? r.reply_len - 4 : r.reply_len + 4;
	if (!(h.flags & VUS_FLAG_NO_REPLY))
		ret = vus_conn_reply(conn, err, r.reply_len, r.reply_fd);
	if (first && err) {
		*why = "no version in common";
		return -EPROTO;
	}
	return ret;
}
