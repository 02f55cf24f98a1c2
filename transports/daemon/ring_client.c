// SPDX-License-Identifier: BSD-3-Clause
/*
 * The client's end of one ring; <nvmux/ring.h> has the protocol.
 *
 * Happy path: submit() fills entries, process() rings once for all of them and reaps completions;
 * a client that wants to sleep arms, waits on the socket, disarms and processes.
 * Failure modes: a header that makes no sense is refused at mapping, and nothing in it but the
 * state and the sleep flag is read afterwards; a daemon that ends or gives up sets the state to
 * dead, or closes the socket, which the connection's owner notices; identifiers in completions are
 * checked by nvmux_qpair_complete().
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libcore/membarrier.h"
#include "libcore/rw.h"
#include "transports/daemon/ring_client.h"

#define RING_SIZE_MAX (16u << 20) /* bytes; the largest geometry needs less */
#define SQ_PHASE      htole64((uint64_t)NVMUX_RING_F_PHASE << 8) /* in an entry's first 8 bytes */
#define SQ_AHEAD      8  /* entries; the daemon has read them long ago when a ring is busy */
#define SQ_GROUP      4  /* entries, of which the first is shown last */
#define SQ_NEAR       32 /* entries of a batch before those that are streamed */
#define CQ_PHASE      (1u << 16) /* in the upper half of a completion's last 8 bytes */

/* ---- mapping ---- */

static bool is_power_of_two(uint32_t v)
{
	return v && !(v & (v - 1));
}

/* Whether @n entries of @entry_size bytes at @offset lie behind the header and inside the file. */
static bool area_fits(uint32_t offset, uint32_t n, uint32_t entry_size, uint64_t size)
{
	return offset >= NVMUX_RING_HEADER_SIZE && offset % NVMUX_RING_CACHE_LINE == 0 &&
	       offset <= size && (uint64_t)n * entry_size <= size - offset;
}

/* The area for scatter lists, which needn't be there. */
static const char *check_lists(const struct nvmux_ring_header *h, uint64_t size, uint64_t sq_end,
			       uint64_t cq_end)
{
	uint64_t end = h->list_offset + (uint64_t)h->list_entries * sizeof(struct nvmux_ring_seg);

	if (!h->list_entries)
		return NULL;
	if (h->list_entries / NVMUX_RING_LIST_PER_CMD < h->depth)
		return "the ring hasn't a scatter list for each command";
	if (!area_fits(h->list_offset, h->list_entries, sizeof(struct nvmux_ring_seg), size))
		return "the ring's scatter lists don't lie inside its file";
	if ((h->list_offset < cq_end && h->cq_offset < end) ||
	    (h->list_offset < sq_end && h->sq_offset < end))
		return "the ring's scatter lists overlap its queues";
	return NULL;
}

/* The reason why a header, a private copy, can't be used; NULL: it can. */
static const char *check_header(const struct nvmux_ring_header *h, uint64_t size)
{
	uint64_t sq_end, cq_end;

	if (h->magic != NVMUX_RING_MAGIC)
		return "not a ring: no magic number";
	if (h->version_major != NVMUX_RING_VERSION_MAJOR)
		return "the daemon's ring layout has another major version";
	if (h->size != size)
		return "the ring's size isn't the size of its file";
	if (h->depth < 1 || h->depth > NVMUX_RING_DEPTH_MAX)
		return "the ring's depth is out of range";
	if (!is_power_of_two(h->sq_entries) || h->sq_entries < h->depth ||
	    h->sq_entries > NVMUX_RING_DEPTH_MAX || !is_power_of_two(h->cq_entries) ||
	    h->cq_entries < h->depth || h->cq_entries > NVMUX_RING_DEPTH_MAX)
		return "the ring's numbers of entries don't fit its depth";
	if (!area_fits(h->sq_offset, h->sq_entries, sizeof(struct nvmux_ring_cmd), size) ||
	    !area_fits(h->cq_offset, h->cq_entries, sizeof(struct nvmux_ring_cpl), size))
		return "the ring's entries don't lie inside its file";
	sq_end = h->sq_offset + (uint64_t)h->sq_entries * sizeof(struct nvmux_ring_cmd);
	cq_end = h->cq_offset + (uint64_t)h->cq_entries * sizeof(struct nvmux_ring_cpl);
	if (h->sq_offset < cq_end && h->cq_offset < sq_end)
		return "the ring's two queues overlap";
	return check_lists(h, size, sq_end, cq_end);
}

/* The file behind a ring: its size, and that it can't shrink under a mapping. */
static const char *check_file(int fd, uint64_t *ret_size)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return "the ring isn't a memfd sealed against shrinking";
	if (fstat(fd, &st) < 0)
		return "the ring's file has no size";
	if (st.st_size < NVMUX_RING_HEADER_SIZE || st.st_size > RING_SIZE_MAX)
		return "the size of the ring's file is out of range";
	*ret_size = (uint64_t)st.st_size;
	return NULL;
}

/* How much of a ring both queues take, in whole pages. */
static size_t populated(const struct nvmux_ring_header *h)
{
	uint64_t sq_end = h->sq_offset + (uint64_t)h->sq_entries * sizeof(struct nvmux_ring_cmd);
	uint64_t cq_end = h->cq_offset + (uint64_t)h->cq_entries * sizeof(struct nvmux_ring_cpl);

	return align_up(MAX(sq_end, cq_end), NVMUX_PAGE_SIZE);
}

int ring_client_map(struct ring_client *ring, int ring_fd, int wake_fd, char *why, size_t why_size)
{
	struct nvmux_ring_header header;
	struct nvmux_ring_cmd *sq;
	const char *reason;
	uint64_t size;
	void *map;

	reason = check_file(ring_fd, &size);
	if (reason) {
		snprintf(why, why_size, "%s", reason);
		return -EPROTO;
	}
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, 0);
	if (map == MAP_FAILED) {
		int err = errno;

		snprintf(why, why_size, "mapping the ring: %s", strerror(err));
		return -err;
	}
	memcpy(&header, map, sizeof(header));
	reason = check_header(&header, size);
	if (reason) {
		snprintf(why, why_size, "%s", reason);
		munmap(map, size);
		return -EPROTO;
	}
	/* The daemon has populated both queues. Linux before 5.14 maps them page by page. */
	madvise(map, populated(&header), MADV_POPULATE_WRITE);
	sq = (struct nvmux_ring_cmd *)((uint8_t *)map + header.sq_offset);
	*ring = (struct ring_client){
		.header = map,
		.sq_next = sq,
		.told = sq,
		.sq_stop = sq + 1,
		.sq_end = sq + header.sq_entries,
		.sq_phase = 0, /* as that of an entry which isn't new */
		.hides = true,
		.sq_entries = header.sq_entries,
		.cq_entries = header.cq_entries,
		.cq = (const struct nvmux_ring_cpl *)((uint8_t *)map + header.cq_offset),
		.cq_phase = CQ_PHASE,
		.depth = header.depth,
		.list = header.list_entries
				? (struct nvmux_ring_seg *)((uint8_t *)map + header.list_offset)
				: NULL,
		.size = size,
		.wake_fd = wake_fd,
	};
	close(ring_fd);
	return 0;
}

void ring_client_unmap(struct ring_client *ring)
{
	if (!ring->header)
		return;
	munmap(ring->header, ring->size);
	close(ring->wake_fd);
	ring->header = NULL;
	ring->wake_fd = -1;
}

/* ---- publishing and reaping ---- */

/*
 * What is submitted between two looks at the completions is a batch, and goes in groups. Of a group
 * the first command is shown last: it is written with the other phase, and gets its own when the
 * group is full or the batch ends. Otherwise a daemon that waits for it would take the lines of
 * those behind it away while they are being written. Short groups let it begin early.
 *
 * Writing an entry through the caches means to take its line from the daemon's core. Of a long
 * batch, those behind the first SQ_NEAR are streamed to memory instead, as one last group: a daemon
 * that has so many to do before asks for them in time.
 */

static inline bool sq_has_untold(const struct ring_client *ring)
{
	return ring->told != ring->sq_next || unlikely(ring->told_turns != ring->sq_turns);
}

/* Commands of the batch so far. */
static inline uint64_t sq_untold(const struct ring_client *ring)
{
	return (ring->sq_turns - ring->told_turns) * ring->sq_entries +
	       (uint64_t)(ring->sq_next - ring->told);
}

/* Beyond the end of the queue, what is asked for is scatter lists or nothing. */
static void sq_ask(const struct ring_client *ring)
{
	for (uint32_t i = 0; i < SQ_AHEAD; i++)
		prefetch_to_write(&ring->sq_next[i]);
}

/* The first command of a group has been written. */
static void sq_begin_group(struct ring_client *ring)
{
	ring->hides = false;
	ring->hidden = ring->sq_next - 1;
	ring->sq_phase ^= SQ_PHASE;
	ring->streams = sq_untold(ring) > SQ_NEAR;
	ring->sq_stop = ring->streams ? ring->sq_end
				      : MIN(ring->sq_next + SQ_GROUP - 1, ring->sq_end);
}

/* All of a group have been written; what comes next begins another. */
static void sq_show(struct ring_client *ring)
{
	nvmux_word *first = (nvmux_word *)ring->hidden;

	if (ring->streams) {
		streams_done();
		sq_ask(ring);
		ring->streams = false;
	}
	/* release: all of it, and those behind it, before it is seen */
	__atomic_store_n(first, *first ^ SQ_PHASE, __ATOMIC_RELEASE);
	ring->hides = true;
	ring->sq_phase ^= SQ_PHASE;
	ring->sq_stop = ring->sq_next + 1;
}

static void sq_wrap(struct ring_client *ring)
{
	ring->sq_next -= ring->sq_entries;
	ring->sq_phase ^= SQ_PHASE;
	ring->sq_turns++;
	ring->sq_stop = ring->streams ? ring->sq_end : ring->sq_next + 1;
	if (!ring->streams)
		sq_ask(ring);
}

/* Something else than the usual is to be done before the next one. */
__attribute__((cold, noinline)) static int sq_stopped(struct ring_client *ring)
{
	if (ring->hides)
		sq_begin_group(ring);
	if (ring->sq_next != ring->sq_stop)
		return 0;
	/* A group that is streamed goes on at the beginning of the queue. */
	if (!ring->streams)
		sq_show(ring);
	if (ring->sq_next == ring->sq_end)
		sq_wrap(ring);
	return 0;
}

/* The next entry, to be filled from its second word on. @streams is that of the ring; constant
 * where it matters. */
static inline nvmux_word *sq_take(struct ring_client *ring, bool streams)
{
	struct nvmux_ring_cmd *entry = ring->sq_next;

	if (!streams)
		prefetch_to_write(entry + SQ_AHEAD);
	return (nvmux_word *)entry;
}

static inline void sq_put(nvmux_word *at, uint64_t word, bool streams)
{
	if (streams)
		stream_word(at, word);
	else
		*at = word;
}

/* @first: its first word, with a phase bit of 0. 0. */
static inline int sq_publish(struct ring_client *ring, nvmux_word *entry, uint64_t first,
			     bool streams)
{
	if (streams) /* shown with the first of its group */
		stream_word(entry, first | ring->sq_phase);
	else
		__atomic_store_n(entry, first | ring->sq_phase, __ATOMIC_RELEASE);
	ring->sq_next = (struct nvmux_ring_cmd *)entry + 1;
	if (unlikely((struct nvmux_ring_cmd *)entry + 1 == ring->sq_stop))
		return sq_stopped(ring);
	return 0;
}

void ring_client_publish(struct ring_client *ring, const struct nvmux_ring_cmd *cmd)
{
	const nvmux_word *from = (const nvmux_word *)cmd;
	nvmux_word *entry = sq_take(ring, ring->streams);

	for (int i = 1; i < 8; i++)
		sq_put(&entry[i], from[i], ring->streams);
	sq_publish(ring, entry, from[0] & ~SQ_PHASE, ring->streams);
}

/* Commands published since the beginning. */
static inline uint64_t sq_tail(const struct ring_client *ring)
{
	return (ring->sq_turns + 1) * ring->sq_entries - (uint64_t)(ring->sq_end - ring->sq_next);
}

static inline const struct nvmux_ring_cpl *cq_next(const struct ring_client *ring)
{
	return &ring->cq[ring->cq_head & (ring->cq_entries - 1)];
}

/* The last 8 bytes of a completion. The acquire is for the others: they are read after its phase.
 */
static inline uint64_t cpl_last(const struct nvmux_ring_cpl *entry)
{
	return le64toh(__atomic_load_n((const uint64_t *)entry + 1, __ATOMIC_ACQUIRE));
}

/* Identifier in bits 15:0 and status in bits 31:17 of a completion that has come: bit 16 is 0. */
static inline uint32_t cpl_end(uint64_t last, uint32_t phase)
{
	return (uint32_t)(last >> 32) ^ phase;
}

/* A private copy of the completion there, of which each byte is read once. Return: cpl_end(). */
static inline uint32_t cpl_copy(const struct nvmux_ring_cpl *entry, uint32_t phase,
				struct nvmux_cpl *ret)
{
	nvmux_word *words = (nvmux_word *)ret;
	uint64_t last = cpl_last(entry);
	uint32_t end = cpl_end(last, phase);

	if (unlikely(end > UINT16_MAX) && end & CQ_PHASE)
		return end;
	/* Atomic, so that they go by two registers and not by a vector of them. */
	__atomic_store_n(&words[0], *(const nvmux_word *)entry, __ATOMIC_RELAXED);
	__atomic_store_n(&words[1], htole64(last), __ATOMIC_RELAXED);
	return end;
}

/* @n completions have been taken, none beyond the end of the queue. */
static inline void cq_taken(struct ring_client *ring, uint32_t n)
{
	ring->cq_head += n;
	ring->cq_phase = ring->cq_head & ring->cq_entries ? 0 : CQ_PHASE;
}

bool ring_client_ready(const struct ring_client *ring)
{
	return !(cpl_end(cpl_last(cq_next(ring)), ring->cq_phase) & CQ_PHASE);
}

bool ring_client_reap(struct ring_client *ring, struct nvmux_cpl *ret)
{
	if (cpl_copy(cq_next(ring), ring->cq_phase, ret) & CQ_PHASE)
		return false;
	cq_taken(ring, 1);
	return true;
}

bool ring_client_is_dead(const struct ring_client *ring)
{
	return __atomic_load_n(&ring->header->state, __ATOMIC_ACQUIRE) == NVMUX_RING_DEAD;
}

/* ---- sleeping and waking ---- */

void ring_client_ring(struct ring_client *ring)
{
	if (!ring->hides)
		sq_show(ring);
	ring->told = ring->sq_next;
	ring->told_turns = ring->sq_turns;
	/* The entries' stores come before this load: membarrier() of the sleeper turns the compiler
	 * barrier into a real one. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (unlikely(__atomic_load_n(&ring->header->daemon_sleeping, __ATOMIC_RELAXED))) {
		__atomic_store_n(&ring->header->daemon_sleeping, 0, __ATOMIC_RELAXED);
		/* When the socket is full the daemon has bytes enough to wake up by. */
		(void)!send(ring->wake_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	__atomic_store_n(&ring->header->client_sq_tail, sq_tail(ring), __ATOMIC_RELAXED);
}

/* Unless it has been told of all of them: a byte too many wakes it in vain. */
static inline void ring_published(struct ring_client *ring)
{
	if (sq_has_untold(ring))
		ring_client_ring(ring);
}

int ring_client_arm(struct ring_client *ring)
{
	ring_published(ring);
	__atomic_store_n(&ring->header->client_sleeping, 1, __ATOMIC_RELAXED);
	nvmux_membarrier();
	if (ring_client_ready(ring) || ring_client_is_dead(ring)) {
		__atomic_store_n(&ring->header->client_sleeping, 0, __ATOMIC_RELAXED);
		return -EAGAIN;
	}
	return 0;
}

void ring_client_disarm(struct ring_client *ring)
{
	char bytes[64];

	__atomic_store_n(&ring->header->client_sleeping, 0, __ATOMIC_RELAXED);
	while (recv(ring->wake_fd, bytes, sizeof(bytes), MSG_DONTWAIT) == sizeof(bytes))
		;
}

/* ---- the queue pair's I/O path ---- */

static uint64_t seg_address(const struct nvmux_seg *seg)
{
	return nvmux_ring_addr(seg->mem->region, seg->offset);
}

/* Whether the ring has a place for the pieces. Those of all commands in flight are apart, so that
 * the daemon may take them as late as it likes. */
static bool list_fits(const struct ring_client *ring, const struct nvmux_payload *payload)
{
	return ring->list && payload->n_data <= NVMUX_RING_LIST_PER_CMD;
}

__attribute__((noinline)) static void put_list(struct ring_client *ring,
					       const struct nvmux_payload *payload, uint32_t index,
					       struct nvmux_ring_cmd *entry)
{
	uint32_t first = index * NVMUX_RING_LIST_PER_CMD;

	for (uint32_t i = 0; i < payload->n_data; i++)
		ring->list[first + i] = (struct nvmux_ring_seg){
			.region_offset = seg_address(&payload->data[i]),
			.length = payload->data[i].len,
		};
	entry->flags |= NVMUX_RING_F_LIST;
	entry->data = first;
	entry->data_len = payload->n_data;
}

int ring_qpair_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	struct ring_qpair *rq = (struct ring_qpair *)qpair;
	struct nvmux_ring_cmd entry;

	if (unlikely(payload->n_data > 1 && !list_fits(&rq->ring, payload)))
		return -EINVAL;
	entry.opc = cmd->opc;
	entry.flags = cmd->flags & 0x3; /* FUSE; the rest is the ring's */
	entry.cid = cpu_to_le16(nvmux_qpair_take_cid(qpair, cb, arg));
	entry.nsid = cmd->nsid;
	entry.cdw2 = cmd->cdw2;
	entry.cdw3 = cmd->cdw3;
	entry.data = payload->n_data ? seg_address(&payload->data[0]) : 0;
	entry.md = payload->md.len ? seg_address(&payload->md) : 0;
	entry.data_len = payload->n_data ? payload->data_len : 0;
	entry.md_len = payload->md.len;
	entry.cdw10 = cmd->cdw10;
	entry.cdw11 = cmd->cdw11;
	entry.cdw12 = cmd->cdw12;
	entry.cdw13 = cmd->cdw13;
	entry.cdw14 = cmd->cdw14;
	entry.cdw15 = cmd->cdw15;
	if (unlikely(payload->n_data > 1))
		put_list(&rq->ring, payload, le16_to_cpu(entry.cid) & qpair->cid_mask, &entry);
	ring_client_publish(&rq->ring, &entry);
	return 0;
}

/* The first of two lengths, the second being 0, as eight bytes. */
static inline uint64_t lengths(uint32_t len)
{
	return NVMUX_LITTLE_ENDIAN ? len : (uint64_t)len << 32;
}

/* The usual kind is put into the ring here. NVM command set 1.0, sections 3.2.4 and 3.2.6. */
__attribute__((always_inline)) static inline int
ring_rw(bool write, bool streams, struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
	uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	struct ring_client *ring = &((struct ring_qpair *)qpair)->ring;
	struct nvmux_plain plain;
	nvmux_word *entry;
	uint32_t cid;

	if (unlikely(!nvmux_rw_is_plain(ns, qpair, buf, lba, lba_count, flags, cb, &plain)))
		return nvmux_rw(write, ns, qpair, buf, lba, lba_count, flags, cb, arg);
	entry = sq_take(ring, streams);
	sq_put(&entry[1], 0, streams);          /* command dwords 2 and 3 */
	sq_put(&entry[2], plain.addr, streams); /* data */
	sq_put(&entry[3], 0, streams);          /* no metadata */
	sq_put(&entry[4], lengths(plain.len), streams);
	sq_put(&entry[5], htole64(lba), streams); /* command dwords 10 to 15 */
	sq_put(&entry[6], htole64(flags | (lba_count - 1)), streams);
	sq_put(&entry[7], 0, streams);
	cid = nvmux_qpair_take_slot(qpair, cb, arg);
	return sq_publish(ring, entry,
			  (write ? ns->write_word0 : ns->read_word0) | nvmux_word0(0, 0, cid, 0),
			  streams);
}

/* Each on its own and jumped to: together they would need more registers than there are. */
#define RING_RW(name, write, streams)                                                             \
	__attribute__((noinline)) static int name(struct nvmux_ns *ns, struct nvmux_qpair *qpair, \
						  void *buf, uint64_t lba, uint32_t lba_count,    \
						  uint32_t flags, nvmux_cmd_cb cb, void *arg)     \
	{                                                                                         \
		return ring_rw(write, streams, ns, qpair, buf, lba, lba_count, flags, cb, arg);   \
	}
RING_RW(read_near, false, false)
RING_RW(read_streamed, false, true)
RING_RW(write_near, true, false)
RING_RW(write_streamed, true, true)

int ring_qpair_read(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, uint64_t lba,
		    uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	if (unlikely(((struct ring_qpair *)qpair)->ring.streams))
		return read_streamed(ns, qpair, buf, lba, lba_count, flags, cb, arg);
	return read_near(ns, qpair, buf, lba, lba_count, flags, cb, arg);
}

int ring_qpair_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf, uint64_t lba,
		     uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	if (unlikely(((struct ring_qpair *)qpair)->ring.streams))
		return write_streamed(ns, qpair, (void *)buf, lba, lba_count, flags, cb, arg);
	return write_near(ns, qpair, (void *)buf, lba, lba_count, flags, cb, arg);
}

__attribute__((cold, noinline)) static void
complete_failed(struct nvmux_qpair *qpair, uint32_t end, struct nvmux_cpl *cpl)
{
	nvmux_qpair_complete_as(qpair, end, (uint16_t)(end >> 17), cpl);
}

/* Deliver at most @max completions, none beyond the end of the queue. */
static inline uint32_t reap(struct ring_qpair *rq, uint32_t max)
{
	const struct nvmux_ring_cpl *begin = cq_next(&rq->ring), *entry = begin, *last;
	uint32_t phase = rq->ring.cq_phase, n;

	last = MIN(begin + max, rq->ring.cq + rq->ring.cq_entries);
	for (; entry != last; entry++) {
		struct nvmux_cpl cpl;
		uint32_t end = cpl_copy(entry, phase, &cpl);

		if (unlikely(end > UINT16_MAX) && end & CQ_PHASE)
			break;
		if (likely(end <= UINT16_MAX))
			nvmux_qpair_complete_as(&rq->base, end, 0, &cpl);
		else
			complete_failed(&rq->base, end, &cpl);
	}
	n = (uint32_t)(entry - begin);
	cq_taken(&rq->ring, n); /* not earlier: no callback asks for it */
	return n;
}

int ring_qpair_process(struct nvmux_qpair *qpair, uint32_t max)
{
	struct ring_qpair *rq = (struct ring_qpair *)qpair;
	/* Before the reaping: what was published before the ring's death is still delivered. */
	bool dead = ring_client_is_dead(&rq->ring);
	uint32_t n = 0;

	ring_published(&rq->ring);
	if (!ring_client_ready(&rq->ring)) {
		if (likely(!dead))
			return 0;
		/* all that there was to deliver has been */
		nvmux_qpair_abort_all(qpair, NVMUX_SC_CTRLR_GONE);
		return -ENXIO;
	}
	if (max == 0 || max > rq->ring.depth)
		max = rq->ring.depth;
	do {
		n += reap(rq, max - n);
	} while (unlikely(!(rq->ring.cq_head & (rq->ring.cq_entries - 1))) && n < max &&
		 ring_client_ready(&rq->ring));
	__atomic_store_n(&rq->ring.header->client_cq_head, rq->ring.cq_head, __ATOMIC_RELAXED);
	ring_published(&rq->ring); /* what the callbacks have submitted */
	return (int)n;
}
