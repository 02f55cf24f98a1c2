// SPDX-License-Identifier: BSD-3-Clause
/* What holds a namespace's data: nothing, anonymous memory, or a file that is mapped shared. */
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

static int map_memory(struct emu_ns *ns, int flags, int fd)
{
	void *p;

	if (ns->size > SIZE_MAX)
		return -ENOMEM;
	p = mmap(NULL, ns->size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	ns->data = p;
	return 0;
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

static int open_file(struct emu_ns *ns, const struct emu_ns_config *config, char *why,
		     size_t why_size)
{
	const char *path = config->path;
	struct stat st;
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
		ns->size = (uint64_t)st.st_size;
	if (ns->size == 0 || ns->size % config->block_size != 0)
		return fail(-EINVAL, why, why_size,
			    "%s: its size, %llu bytes, is not a multiple of the block size, %u",
			    path, (unsigned long long)ns->size, config->block_size);
	err = (uint64_t)st.st_size < ns->size ? extend_file(ns->fd, (uint64_t)st.st_size, ns->size)
					      : 0;
	if (err)
		return fail(err, why, why_size, "%s: cannot be extended to %llu bytes: %s", path,
			    (unsigned long long)ns->size, strerror(-err));
	ns->sparse = fstat(ns->fd, &st) == 0 && (uint64_t)st.st_blocks * 512 < ns->size;
	err = map_memory(ns, MAP_SHARED, ns->fd);
	if (err)
		return fail(err, why, why_size, "%s: cannot be mapped: %s", path, strerror(-err));
	return 0;
}

int emu_ns_open(struct emu_ns *ns, uint32_t id, const struct emu_config *config, char *why,
		size_t why_size)
{
	const struct emu_ns_config *nc = &config->ns[id - 1];
	int err = 0;

	*ns = (struct emu_ns){
		.id = id,
		.shift = nc->block_size == 4096 ? 12 : 9,
		.backing = (uint8_t)nc->backing,
		.fd = -1,
		.size = nc->size,
	};
	make_id(ns->nguid, config->serial, id, 'g');
	make_id(ns->uuid, config->serial, id, 'u');
	if (nc->backing == EMU_BACKING_FILE) {
		err = open_file(ns, nc, why, why_size);
	} else if (nc->backing == EMU_BACKING_MEMORY) {
		err = map_memory(ns, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
		if (err)
			fail(err, why, why_size, "mem: no address space for %llu bytes: %s",
			     (unsigned long long)ns->size, strerror(-err));
	}
	if (err) {
		emu_ns_close(ns);
		return err;
	}
	ns->n_blocks = ns->size >> ns->shift;
	return 0;
}

void emu_ns_close(struct emu_ns *ns)
{
	if (ns->data)
		munmap(ns->data, ns->size);
	if (ns->fd >= 0)
		close(ns->fd);
	ns->data = NULL;
	ns->fd = -1;
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
