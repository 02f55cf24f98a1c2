// SPDX-License-Identifier: BSD-3-Clause
/*
 * What holds a namespace's data: nothing, anonymous memory, or a file that is mapped shared.
 *
 * Metadata is in a mapping of its own. In a file it comes after the data, from the next page on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "emulator/internal.h"

__attribute__((format(printf, 4, 5))) static int fail(int err, char *why, size_t why_size,
						      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (why_size > 0)
		vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return err;
}

/*
 * Identifiers that are the same with each start: two 64-bit FNV-1a sums of the serial number and
 * the namespace, in the form of a UUID of version 8 (RFC 9562).
 */
static void make_id(uint8_t id[16], const char *serial, uint32_t nsid, uint8_t salt)
{
	uint64_t sum[2] = {0xcbf29ce484222325ull, 0x84222325cbf29ce4ull};
	uint8_t tail[5] = {(uint8_t)nsid, (uint8_t)(nsid >> 8), (uint8_t)(nsid >> 16),
			   (uint8_t)(nsid >> 24), salt};

	for (int i = 0; i < 2; i++) {
		for (const char *s = serial; *s; s++)
			sum[i] = (sum[i] ^ (uint8_t)*s) * 0x100000001b3ull;
		for (size_t j = 0; j < sizeof(tail); j++)
			sum[i] = (sum[i] ^ tail[j]) * 0x100000001b3ull;
	}
	memcpy(id, sum, 16);
	id[6] = (uint8_t)(0x80 | (id[6] & 0x0f));
	id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
}

void emu_subnqn(const struct emu_config *config, char ret[256])
{
	uint8_t u[16];

	if (config->subnqn[0]) {
		snprintf(ret, 256, "%s", config->subnqn);
		return;
	}
	make_id(u, config->serial, 0, 's');
	snprintf(ret, 256,
		 "nqn.2014-08.org.nvmexpress:uuid:%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
		 "%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
		 u[13], u[14], u[15]);
}

/* The order of the formats in Identify: without metadata first. */
const struct emu_lbaf emu_lbafs[EMU_LBAFS] = {
	{9, 0}, {12, 0}, {9, 8}, {12, 8}, {9, 16}, {12, 16}, {9, 64}, {12, 64},
};

static void set_format(struct emu_ns *ns, uint8_t lbaf, bool mset, uint8_t pi, bool pil)
{
	ns->lbaf = lbaf;
	ns->shift = emu_lbafs[lbaf].shift;
	ns->ms = emu_lbafs[lbaf].ms;
	ns->mset = mset && ns->ms;
	ns->pi = pi;
	ns->pil = pil;
	ns->n_blocks = ns->size >> ns->shift;
	ns->md_size = align_up(ns->n_blocks * ns->ms, EMU_PAGE_SIZE);
}

static uint64_t file_size(const struct emu_ns *ns)
{
	return ns->ms ? align_up(ns->size, EMU_PAGE_SIZE) + ns->md_size : ns->size;
}

static int map_one(uint8_t **ret, uint64_t size, int fd, uint64_t offset)
{
	int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *p;

	if (size > SIZE_MAX)
		return -ENOMEM;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset);
	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

static int map_memory(struct emu_ns *ns)
{
	int err = map_one(&ns->data, ns->size, ns->fd, 0);

	if (!err && ns->ms)
		err = map_one(&ns->md, ns->md_size, ns->fd, align_up(ns->size, EMU_PAGE_SIZE));
	return err;
}

/*
 * Make the file larger, with blocks on the disk for what is new: a write to a mapped page that
 * finds the disk full would end the process.
 */
static int extend_file(int fd, uint64_t from, uint64_t to)
{
	int err = posix_fallocate(fd, (off_t)from, (off_t)(to - from));

	/* It may have come halfway. */
	if (err && ftruncate(fd, (off_t)from) < 0)
		return -err;
	return -err;
}

/* How much of a file of @size bytes that is as it should be is data. */
static uint64_t data_size(uint64_t size, const struct emu_ns_config *config)
{
	uint64_t n = size / (config->block_size + config->ms);

	if (!config->ms)
		return size;
	/* The metadata begins and ends with a page. */
	while (n > 0 && align_up(n * config->block_size, EMU_PAGE_SIZE) +
					align_up(n * config->ms, EMU_PAGE_SIZE) >
				size)
		n--;
	return n * config->block_size;
}

static int open_file(struct emu_ns *ns, const struct emu_ns_config *config, char *why,
		     size_t why_size)
{
	const char *path = config->path;
	struct stat st;
	uint64_t size;
	int err;

	ns->fd = open(path, O_RDWR | O_CLOEXEC | (config->size ? O_CREAT : 0), 0600);
	if (ns->fd < 0)
		return fail(-errno, why, why_size, "%s: %s", path, strerror(errno));
	if (fstat(ns->fd, &st) < 0)
		return fail(-errno, why, why_size, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(-EINVAL, why, why_size, "%s: not an ordinary file", path);
	if (flock(ns->fd, LOCK_EX | LOCK_NB) < 0)
		return fail(-EBUSY, why, why_size, "%s: in use by another emulator", path);
	if (ns->size == 0)
		ns->size = data_size((uint64_t)st.st_size, config);
	if (ns->size == 0 || ns->size % config->block_size != 0)
		return fail(-EINVAL, why, why_size,
			    "%s: its size, %llu bytes, is not a multiple of the block size, %u",
			    path, (unsigned long long)ns->size, config->block_size);
	set_format(ns, ns->lbaf, ns->mset, ns->pi, ns->pil);
	size = file_size(ns);
	err = (uint64_t)st.st_size < size ? extend_file(ns->fd, (uint64_t)st.st_size, size) : 0;
	if (err)
		return fail(err, why, why_size, "%s: cannot be extended to %llu bytes: %s", path,
			    (unsigned long long)size, strerror(-err));
	ns->sparse = fstat(ns->fd, &st) == 0 && (uint64_t)st.st_blocks * 512 < size;
	err = map_memory(ns);
	if (err)
		return fail(err, why, why_size, "%s: cannot be mapped: %s", path, strerror(-err));
	return 0;
}

static uint8_t find_format(const struct emu_ns_config *nc)
{
	for (uint8_t i = 0; i < EMU_LBAFS; i++) {
		if (nc->block_size == 1u << emu_lbafs[i].shift && nc->ms == emu_lbafs[i].ms)
			return i;
	}
	return 0;
}

static int open_backing(struct emu_ns *ns, const struct emu_ns_config *nc, char *why,
			size_t why_size)
{
	int err = 0;

	if (nc->backing == EMU_BACKING_FILE)
		return open_file(ns, nc, why, why_size);
	set_format(ns, ns->lbaf, nc->mset, nc->pi, nc->pil);
	if (nc->backing == EMU_BACKING_MEMORY)
		err = map_memory(ns);
	if (err)
		fail(err, why, why_size, "mem: no address space for %llu bytes: %s",
		     (unsigned long long)ns->size, strerror(-err));
	return err;
}

int emu_ns_open(struct emu_ns *ns, uint32_t id, const struct emu_config *config, char *why,
		size_t why_size)
{
	const struct emu_ns_config *nc = &config->ns[id - 1];
	int err;

	*ns = (struct emu_ns){
		.id = id,
		.backing = (uint8_t)nc->backing,
		.fd = -1,
		.size = nc->size,
	};
	pthread_mutex_init(&ns->lock, NULL);
	set_format(ns, find_format(nc), nc->mset, nc->pi, nc->pil);
	make_id(ns->nguid, config->serial, id, 'g');
	make_id(ns->uuid, config->serial, id, 'u');
	err = open_backing(ns, nc, why, why_size);
	if (!err)
		err = emu_resv_create(ns);
	if (!err && nc->zoned)
		err = emu_zones_create(ns, nc);
	if (err) {
		emu_ns_close(ns);
		return err;
	}
	ns->special = (ns->ms ? EMU_NS_MD : 0) | (ns->zones ? EMU_NS_ZONED : 0);
	return 0;
}

void emu_ns_close(struct emu_ns *ns)
{
	if (ns->data)
		munmap(ns->data, ns->size);
	if (ns->md)
		munmap(ns->md, ns->md_size);
	if (ns->bad)
		munmap(ns->bad, ns->bad_size);
	if (ns->fd >= 0)
		close(ns->fd);
	emu_resv_destroy(ns);
	emu_zones_destroy(ns);
	pthread_mutex_destroy(&ns->lock);
	ns->data = ns->md = NULL;
	ns->bad = NULL;
	ns->fd = -1;
}

/* The metadata's place in the new format, all zeroes. */
static int map_new_md(const struct emu_ns *ns, const struct emu_ns *next, uint8_t **ret)
{
	uint64_t offset = align_up(ns->size, EMU_PAGE_SIZE);
	int err = 0;

	*ret = NULL;
	if (!ns->data)
		return 0;
	if (ns->fd >= 0 && ftruncate(ns->fd, (off_t)ns->size) < 0)
		return -errno;
	if (!next->ms)
		return 0;
	if (ns->fd >= 0)
		err = extend_file(ns->fd, ns->size, offset + next->md_size);
	return err ? err : map_one(ret, next->md_size, ns->fd, offset);
}

uint16_t emu_ns_format(struct emu_ns *ns, uint8_t lbaf, bool mset, uint8_t pi, bool pil)
{
	struct emu_ns next = *ns;
	uint8_t *md = NULL;

	if (!emu_lbaf_fits(lbaf, pi) ||
	    (ns->size & ((1u << emu_lbafs[lbaf].shift) - 1)) || (ns->zones && lbaf != ns->lbaf))
		return EMU_SPECIFIC(INVALID_FORMAT);
	set_format(&next, lbaf, mset, pi, pil);
	/* The old mapping goes first: a file's end moves. */
	if (ns->md)
		munmap(ns->md, ns->md_size);
	ns->md = NULL;
	if (map_new_md(ns, &next, &md))
		return EMU_GENERIC(INTERNAL);
	ns->md = md;
	set_format(ns, lbaf, mset, pi, pil);
	if (ns->bad)
		munmap(ns->bad, ns->bad_size);
	ns->bad = NULL;
	if (ns->zones)
		emu_zones_reset(ns);
	__atomic_store_n(&ns->special,
			 (uint8_t)((ns->special & (EMU_NS_ZONED | EMU_NS_RESERVED)) |
				   (ns->ms ? EMU_NS_MD : 0)),
			 __ATOMIC_RELEASE);
	return emu_ns_zero(ns, 0, ns->size);
}

uint16_t emu_ns_flush(const struct emu_ns *ns)
{
	/* Pages made dirty through the mapping are the file's dirty pages. */
	if (ns->fd >= 0 && fdatasync(ns->fd) < 0)
		return EMU_STATUS(2, NVME_SC_WRITE_FAULT);
	return EMU_SUCCESS;
}

uint16_t emu_ns_sync(const struct emu_ns *ns, uint64_t offset, uint64_t len)
{
	uint64_t start = offset & ~(uint64_t)(EMU_PAGE_SIZE - 1);

	if (ns->fd >= 0 && msync(ns->data + start, offset + len - start, MS_SYNC) < 0)
		return EMU_STATUS(2, NVME_SC_WRITE_FAULT);
	return EMU_SUCCESS;
}

/*
 * Give whole pages back to the system; they read as zeroes afterwards. A file that had all of its
 * blocks when it was opened keeps them, so that later writes find room.
 */
static bool release_pages(const struct emu_ns *ns, uint64_t offset, uint64_t len)
{
	int how = ns->sparse ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;

	if (ns->fd >= 0)
		return fallocate(ns->fd, how | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) == 0;
	return madvise(ns->data + offset, len, MADV_DONTNEED) == 0;
}

uint16_t emu_ns_zero(const struct emu_ns *ns, uint64_t offset, uint64_t len)
{
	uint64_t start = align_up(offset, EMU_PAGE_SIZE);
	uint64_t end = (offset + len) & ~(uint64_t)(EMU_PAGE_SIZE - 1);

	if (!ns->data)
		return EMU_SUCCESS;
	/* Below this, writing zeroes is cheaper than faulting pages in again. */
	if (end < start + 16 * EMU_PAGE_SIZE || !release_pages(ns, start, end - start)) {
		memset(ns->data + offset, 0, len);
		return EMU_SUCCESS;
	}
	memset(ns->data + offset, 0, start - offset);
	memset(ns->data + end, 0, offset + len - end);
	return EMU_SUCCESS;
}

static void zero_md(const struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	uint64_t offset = slba * ns->ms, len = n * ns->ms;
	uint64_t start = align_up(offset, EMU_PAGE_SIZE);
	uint64_t end = (offset + len) & ~(uint64_t)(EMU_PAGE_SIZE - 1);

	/* Anonymous memory: most of it has perhaps never been there. */
	if (ns->fd >= 0 || end < start + 16 * EMU_PAGE_SIZE ||
	    madvise(ns->md + start, end - start, MADV_DONTNEED) < 0) {
		memset(ns->md + offset, 0, len);
		return;
	}
	memset(ns->md + offset, 0, start - offset);
	memset(ns->md + end, 0, offset + len - end);
}

uint16_t emu_ns_deallocate(struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	if (n == 0)
		return EMU_SUCCESS;
	if (ns->md)
		zero_md(ns, slba, n);
	emu_ns_clear_bad(ns, slba, n);
	return emu_ns_zero(ns, slba << ns->shift, n << ns->shift);
}

uint16_t emu_ns_sync_md(const struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	uint64_t offset = slba * ns->ms, start = offset & ~(uint64_t)(EMU_PAGE_SIZE - 1);

	if (ns->fd >= 0 && ns->md &&
	    msync(ns->md + start, offset + n * ns->ms - start, MS_SYNC) < 0)
		return EMU_STATUS(2, NVME_SC_WRITE_FAULT);
	return EMU_SUCCESS;
}

/* ---- uncorrectable blocks ---- */

int emu_ns_mark_bad(struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	uint64_t size = align_up((ns->n_blocks + 63) / 64 * 8, EMU_PAGE_SIZE);
	uint64_t *bad;
	uint8_t *p = NULL;
	int err = 0;

	pthread_mutex_lock(&ns->lock);
	if (!ns->bad) {
		err = map_one(&p, size, -1, 0);
		if (!err) {
			ns->bad_size = size;
			__atomic_store_n(&ns->bad, (uint64_t *)(void *)p, __ATOMIC_RELEASE);
		}
	}
	pthread_mutex_unlock(&ns->lock);
	if (err)
		return err;
	bad = __atomic_load_n(&ns->bad, __ATOMIC_ACQUIRE);
	for (uint64_t lba = slba; lba < slba + n; lba++)
		__atomic_fetch_or(&bad[lba / 64], 1ull << lba % 64, __ATOMIC_RELAXED);
	__atomic_fetch_or(&ns->special, EMU_NS_BAD, __ATOMIC_RELEASE);
	return 0;
}

bool emu_ns_is_bad(const struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	const uint64_t *bad = __atomic_load_n(&ns->bad, __ATOMIC_ACQUIRE);

	for (uint64_t lba = slba; bad && lba < slba + n; lba++) {
		if (__atomic_load_n(&bad[lba / 64], __ATOMIC_RELAXED) >> lba % 64 & 1)
			return true;
	}
	return false;
}

void emu_ns_clear_bad(struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	uint64_t *bad = __atomic_load_n(&ns->bad, __ATOMIC_ACQUIRE);

	for (uint64_t lba = slba; bad && lba < slba + n;) {
		uint64_t take = MIN(64 - lba % 64, slba + n - lba);
		uint64_t mask = (take == 64 ? ~0ull : (1ull << take) - 1) << lba % 64;

		if (__atomic_load_n(&bad[lba / 64], __ATOMIC_RELAXED) & mask)
			__atomic_fetch_and(&bad[lba / 64], ~mask, __ATOMIC_RELAXED);
		lba += take;
	}
}
