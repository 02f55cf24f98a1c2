/* SPDX-License-Identifier: BSD-3-Clause */
/* Small things that every room uses: conversions, barriers, assertions. Header-only. */
#ifndef NVMUX_UTIL_H
#define NVMUX_UTIL_H

#include <endian.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/types.h>

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#ifdef __CHECKER__
#define NVMUX_FORCE __attribute__((force))
#else
#define NVMUX_FORCE
#endif

/* Wire order. The casts are what sparse wants to see in one place only. */
static inline uint16_t le16_to_cpu(__le16 v)
{
	return le16toh((NVMUX_FORCE uint16_t)v);
}
static inline uint32_t le32_to_cpu(__le32 v)
{
	return le32toh((NVMUX_FORCE uint32_t)v);
}
static inline uint64_t le64_to_cpu(__le64 v)
{
	return le64toh((NVMUX_FORCE uint64_t)v);
}
static inline __le16 cpu_to_le16(uint16_t v)
{
	return (NVMUX_FORCE __le16)htole16(v);
}
static inline __le32 cpu_to_le32(uint32_t v)
{
	return (NVMUX_FORCE __le32)htole32(v);
}
static inline __le64 cpu_to_le64(uint64_t v)
{
	return (NVMUX_FORCE __le64)htole64(v);
}

static inline uint64_t align_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1); /* to: a power of two */
}

#define NVMUX_LINE 64u /* bytes of a cache line */

/* As calloc(), in cache lines of their own: what one thread writes there for each command makes no
 * other thread wait, whatever it has next to it. Ends with free(). */
static inline void *nvmux_calloc_lines(size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - NVMUX_LINE)
		return NULL;
	bytes = align_up(bytes ? bytes : 1, NVMUX_LINE);
	p = aligned_alloc(NVMUX_LINE, bytes);
	return p ? memset(p, 0, bytes) : NULL;
}

/*
 * A large table of which little is ever touched, 0 at first: pages of its own, as calloc() clears
 * what was in use before. NULL: there is no memory.
 */
static inline void *nvmux_table_new(size_t n, size_t size)
{
	void *p = mmap(NULL, n * size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	return p;
}

static inline void nvmux_table_free(void *table, size_t n, size_t size)
{
	if (table)
		munmap(table, n * size);
}

/*
 * Barriers against a device. Memory that a device reads or writes is ordinary cacheable memory, and
 * a doorbell is an uncached store.
 *
 * dma_wmb(): queue entries are visible to the device before the doorbell that announces them.
 * dma_mb(): what was written before is visible to the device before anything is read after.
 * dma_rmb(): what the device wrote before an entry's phase bit is read after the phase bit.
 */
#if defined(__x86_64__)
#define dma_wmb()   __asm__ volatile("" ::: "memory") /* stores aren't reordered with stores */
#define dma_rmb()   __asm__ volatile("" ::: "memory") /* loads aren't reordered with loads */
/* no fence of the compiler's: ThreadSanitizer refuses those, and knows nothing of devices */
#define dma_mb()    __asm__ volatile("mfence" ::: "memory")
#define cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define dma_wmb()   __asm__ volatile("dsb st" ::: "memory")
#define dma_rmb()   __asm__ volatile("dsb ld" ::: "memory")
#define dma_mb()    __asm__ volatile("dsb sy" ::: "memory")
#define cpu_relax() __asm__ volatile("yield" ::: "memory")
#else
#define dma_wmb()   __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define dma_rmb()   __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define dma_mb()    __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define cpu_relax() ((void)0)
#endif

#define NVMUX_LITTLE_ENDIAN (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/*
 * Ask for a cache line that is going to be written, before the store needs it. The compiler's own
 * builtin asks for it only to read unless it may assume newer processors; older ones take the
 * instruction as one without effect.
 */
static inline void prefetch_to_write(const void *addr)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" ::"m"(*(const char *)addr));
#else
	__builtin_prefetch(addr, 1);
#endif
}

/*
 * Streaming: a word that this core won't read again is stored past the caches, so that its line
 * needn't be fetched first; whole lines only, word by word. Such stores are seen in any order:
 * streams_done() comes before the store that says that they are there. Sanitizers know only plain
 * ones, which do as well.
 */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static inline void stream_word(uint64_t *at, uint64_t word)
{
	__asm__ volatile("movnti %1, %0" : "=m"(*at) : "r"(word));
}
static inline void streams_done(void)
{
	__asm__ volatile("sfence" ::: "memory");
}
#else
static inline void stream_word(uint64_t *at, uint64_t word)
{
	__atomic_store_n(at, word, __ATOMIC_RELAXED);
}
static inline void streams_done(void)
{
}
#endif

/*
 * First of all in main(): a standard descriptor that the caller closed is taken by /dev/null, or a
 * file or device that is opened next would get its number, and what is printed. It is opened in the
 * wrong direction, so that its use fails with EBADF, as that of a closed one.
 */
static inline void keep_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(EXIT_FAILURE);
	}
}

#define PCI_ADDRESS_SIZE 13 /* "0000:00:00.0" and the NUL */

/* "00:04.0" or "0000:00:04.0" in its full form. -EINVAL: it is neither. */
static inline int pci_address_parse(const char *text, char ret[PCI_ADDRESS_SIZE])
{
	unsigned domain = 0, bus, dev, fn;
	int used = 0;

	/* %x would take signs and 0x: only hexadecimal digits, ':' and '.' may be there. */
	if (text[strspn(text, "0123456789abcdefABCDEF:.")])
		return -EINVAL;
	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &fn, &used) != 4 || text[used]) {
		domain = 0;
		used = 0;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &dev, &fn, &used) != 3 || text[used])
			return -EINVAL;
	}
	if (dev > 0x1f || fn > 7)
		return -EINVAL;
	snprintf(ret, PCI_ADDRESS_SIZE, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff, dev, fn);
	return 0;
}

/*
 * Assertions, also in release builds. NVMUX_ASSERT: our own mistake, never another party's input.
 */
#define NVMUX_ASSERT(cond)                                              \
	do {                                                            \
		if (unlikely(!(cond)))                                  \
			nvmux_assert_failed(__FILE__, __LINE__, #cond); \
	} while (0)

__attribute__((noreturn, cold)) static inline void nvmux_assert_failed(const char *file, int line,
								       const char *cond)
{
	fprintf(stderr, "%s:%d: impossible: !(%s)\n", file, line, cond);
	abort();
}

#endif
