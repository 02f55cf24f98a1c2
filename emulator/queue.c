// SPDX-License-Identifier: BSD-3-Clause
/*
 * Queues: doorbells in, commands out of submission queues, completions into completion queues.
 *
 * A poll reads the tail doorbell once, and then for each entry: copy the command, execute it, post
 * its completion. The interrupt comes once at the end. Nothing is executed while the completion
 * queue has no room; the commands stay where they are.
 *
 * The other side may write anything at any time. Each doorbell, command and list entry is loaded
 * once into a local variable, and judged there. A tail beyond the queue, or further than it has
 * room, or a head beyond what was posted, is reported once (Invalid Doorbell Write Value) and
 * otherwise not there.
 *
 * Stopping a queue that another thread polls. The poller sets busy and then looks at live; the
 * admin thread clears live and then waits for busy to clear. Either the poller sees that the queue
 * is gone, or the admin thread sees the poller, if each one's store is ordered before its load.
 * The admin thread pays for both with membarrier(); where there is none, all of the four are
 * sequentially consistent, and the poller's store becomes a locked instruction.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "emulator/internal.h"

#define NO_VALUE UINT32_MAX /* never a valid doorbell value */

static long membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0);
}

int emu_queues_create(struct emu_ctrlr *ctrlr)
{
	size_t n = (size_t)ctrlr->config.max_io_queues + 1;

	ctrlr->no_membarrier = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0;
	ctrlr->sqs = aligned_alloc(64, n * sizeof(*ctrlr->sqs));
	ctrlr->cqs = calloc(n, sizeof(*ctrlr->cqs));
	ctrlr->live_qids = calloc(n, sizeof(*ctrlr->live_qids));
	if (!ctrlr->sqs || !ctrlr->cqs || !ctrlr->live_qids)
		return -ENOMEM;
	memset(ctrlr->sqs, 0, n * sizeof(*ctrlr->sqs));
	for (size_t i = 0; i < n; i++) {
		ctrlr->sqs[i].ctrlr = ctrlr;
		ctrlr->sqs[i].id = (uint16_t)i;
		ctrlr->cqs[i].id = (uint16_t)i;
	}
	return 0;
}

void emu_queues_destroy(struct emu_ctrlr *ctrlr)
{
	free(ctrlr->sqs);
	free(ctrlr->cqs);
	free(ctrlr->live_qids);
}

uint16_t emu_max_qid(const struct emu_ctrlr *ctrlr)
{
	uint32_t by_doorbells = ctrlr->n_doorbells / 2;

	return (uint16_t)MIN(ctrlr->n_io_queues_granted, by_doorbells ? by_doorbells - 1 : 0);
}

static inline volatile uint32_t *doorbell(const struct emu_ctrlr *ctrlr, uint32_t number)
{
	return &ctrlr->doorbells[number << ctrlr->doorbell_stride];
}

static inline uint32_t load_doorbell(const struct emu_ctrlr *ctrlr, uint32_t number)
{
	if (unlikely(__atomic_load_n(&ctrlr->shadow.doorbells, __ATOMIC_RELAXED)))
		return emu_shadow_load(ctrlr, number, doorbell(ctrlr, number));
	/* Acquire: what was written before the doorbell is read after it. */
	return le32toh(__atomic_load_n(doorbell(ctrlr, number), __ATOMIC_ACQUIRE));
}

/* ---- starting and stopping, in the admin thread ---- */

static inline bool sq_is_live(const struct emu_sq *sq)
{
	return __atomic_load_n(&sq->live, __ATOMIC_SEQ_CST);
}

/* Wait until no poll is under way that began before now. */
static void wait_idle(struct emu_ctrlr *ctrlr, uint16_t first, uint16_t last)
{
	if (!ctrlr->no_membarrier)
		membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	for (uint32_t qid = first; qid <= last; qid++) {
		while (__atomic_load_n(&ctrlr->sqs[qid].busy, __ATOMIC_SEQ_CST))
			sched_yield();
	}
}

void emu_quiesce(struct emu_ctrlr *ctrlr)
{
	/* The admin queue is polled by the thread that calls this. */
	wait_idle(ctrlr, 1, ctrlr->config.max_io_queues);
}

static void list_live(struct emu_ctrlr *ctrlr)
{
	ctrlr->n_live = 0;
	for (uint32_t qid = 0; qid <= ctrlr->config.max_io_queues; qid++) {
		if (sq_is_live(&ctrlr->sqs[qid]))
			ctrlr->live_qids[ctrlr->n_live++] = (uint16_t)qid;
	}
}

bool emu_cq_start(struct emu_ctrlr *ctrlr, uint16_t qid, uint64_t iova, uint32_t entries)
{
	struct emu_cq *cq = &ctrlr->cqs[qid];
	struct nvmux_cpl *ring;

	ring = emu_map(ctrlr, iova, (uint64_t)entries * sizeof(*ring), false, true);
	if (!ring)
		return false;
	*cq = (struct emu_cq){
		.id = qid,
		.iova = iova,
		.entries = entries,
		.phase = 1,
		.bad_head = NO_VALUE,
		.ring = ring,
	};
	*doorbell(ctrlr, 2u * qid + 1) = 0;
	ctrlr->n_io_queues += qid != 0;
	return true;
}

bool emu_sq_start(struct emu_ctrlr *ctrlr, uint16_t qid, uint16_t cqid, uint64_t iova,
		  uint32_t entries)
{
	struct emu_sq *sq = &ctrlr->sqs[qid];
	const struct nvmux_cmd *ring;

	ring = emu_map(ctrlr, iova, (uint64_t)entries * sizeof(*ring), true, false);
	if (!ring)
		return false;
	/* All but the handshake, which a poller may look at even now. */
	memset(sq, 0, offsetof(struct emu_sq, live));
	sq->ctrlr = ctrlr;
	sq->ring = ring;
	sq->cq = &ctrlr->cqs[cqid];
	sq->iova = iova;
	sq->entries = entries;
	sq->bad_tail = NO_VALUE;
	sq->id = qid;
	sq->dma_generation = __atomic_load_n(&ctrlr->dma_generation, __ATOMIC_RELAXED);
	*doorbell(ctrlr, 2u * qid) = 0;
	ctrlr->cqs[cqid].n_sqs++;
	ctrlr->n_io_queues += qid != 0;
	/* Whoever polls it sees all of the above. */
	__atomic_store_n(&sq->live, 1, __ATOMIC_RELEASE);
	list_live(ctrlr);
	return true;
}

static void retire(struct emu_ctrlr *ctrlr, struct emu_sq *sq)
{
	ctrlr->retired.reads += sq->counters.reads;
	ctrlr->retired.writes += sq->counters.writes;
	ctrlr->retired.read_bytes += sq->counters.read_bytes;
	ctrlr->retired.written_bytes += sq->counters.written_bytes;
	sq->counters = (struct emu_counters){0};
	emu_held_free(sq);
	sq->cq->n_sqs--;
	ctrlr->doorbells_seen[2 * sq->id] = NO_VALUE;
	ctrlr->n_io_queues -= sq->id != 0;
}

void emu_sq_stop(struct emu_ctrlr *ctrlr, uint16_t qid)
{
	struct emu_sq *sq = &ctrlr->sqs[qid];

	__atomic_store_n(&sq->live, 0, __ATOMIC_SEQ_CST);
	wait_idle(ctrlr, qid, qid);
	retire(ctrlr, sq);
	list_live(ctrlr);
}

void emu_cq_stop(struct emu_ctrlr *ctrlr, uint16_t qid)
{
	ctrlr->cqs[qid].ring = NULL;
	ctrlr->doorbells_seen[2 * qid + 1] = NO_VALUE;
	ctrlr->n_io_queues -= qid != 0;
}

void emu_queues_stop(struct emu_ctrlr *ctrlr)
{
	uint32_t max = ctrlr->config.max_io_queues;

	for (uint32_t qid = 0; qid <= max; qid++)
		__atomic_store_n(&ctrlr->sqs[qid].live, 0, __ATOMIC_SEQ_CST);
	wait_idle(ctrlr, 0, (uint16_t)max);
	for (uint32_t i = 0; i < ctrlr->n_live; i++)
		retire(ctrlr, &ctrlr->sqs[ctrlr->live_qids[i]]);
	for (uint32_t qid = 0; qid <= max; qid++) {
		if (ctrlr->cqs[qid].ring)
			emu_cq_stop(ctrlr, (uint16_t)qid);
	}
	ctrlr->n_live = 0;
}

bool emu_overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	if (b_size == 0) /* everything */
		return true;
	return a < b ? b - a < a_size : a - b < b_size;
}

void emu_dma_changed(struct emu_ctrlr *ctrlr, uint64_t iova, uint64_t size)
{
	bool lost = false;

	for (uint32_t i = 0; i < ctrlr->n_live; i++) {
		const struct emu_sq *sq = &ctrlr->sqs[ctrlr->live_qids[i]];

		lost |= emu_overlaps(sq->iova, (uint64_t)sq->entries * 64, iova, size);
	}
	for (uint32_t qid = 0; qid <= ctrlr->config.max_io_queues; qid++) {
		const struct emu_cq *cq = &ctrlr->cqs[qid];

		if (cq->ring)
			lost |= emu_overlaps(cq->iova, (uint64_t)cq->entries * 16, iova, size);
	}
	lost |= emu_host_memory_changed(ctrlr, iova, size);
	if (lost) {
		emu_queues_stop(ctrlr);
		emu_host_memory_reset(ctrlr);
		ctrlr->running = false;
		ctrlr->csts |= NVME_CSTS_CFS_MASK << NVME_CSTS_CFS_SHIFT;
	}
	__atomic_store_n(&ctrlr->dma_generation, ctrlr->dma_generation + 1, __ATOMIC_SEQ_CST);
	emu_quiesce(ctrlr);
}

/* ---- completions ---- */

__attribute__((cold)) static void report_doorbell(struct emu_sq *sq)
{
	emu_error_add(sq, NULL, EMU_STATUS(0, NVME_SC_INVALID_FIELD));
	emu_event_raise(sq->ctrlr, NVME_AER_ERROR, NVME_AER_ERROR_INVALID_DB_VAL,
			NVME_LOG_LID_ERROR);
}

static inline uint32_t ring_distance(uint32_t from, uint32_t to, uint32_t entries)
{
	return to >= from ? to - from : to + entries - from;
}

static inline void update_head(struct emu_sq *sq)
{
	struct emu_cq *cq = sq->cq;
	uint32_t head = load_doorbell(sq->ctrlr, 2u * cq->id + 1);

	if (head == cq->head)
		return;
	if (likely(head < cq->entries && ring_distance(cq->head, head, cq->entries) <=
						 ring_distance(cq->head, cq->tail, cq->entries))) {
		cq->head = head;
		cq->bad_head = NO_VALUE;
	} else if (head != cq->bad_head) {
		cq->bad_head = head;
		report_doorbell(sq);
	}
}

static inline uint32_t next_index(uint32_t index, uint32_t entries)
{
	return index + 1 == entries ? 0 : index + 1;
}

static inline bool has_room(struct emu_sq *sq)
{
	struct emu_cq *cq = sq->cq;

	if (likely(next_index(cq->tail, cq->entries) != cq->head))
		return true;
	update_head(sq);
	return next_index(cq->tail, cq->entries) != cq->head;
}

static inline void post(struct emu_sq *sq, uint16_t cid, uint16_t status, uint32_t dw0)
{
	struct emu_cq *cq = sq->cq;
	uint64_t *entry = (uint64_t *)(void *)&cq->ring[cq->tail];
	uint64_t hi = (uint64_t)sq->head | (uint64_t)sq->id << 16 | (uint64_t)cid << 32 |
		      (uint64_t)(uint16_t)(status << 1 | cq->phase) << 48;

	/* Release: data and the first half are there when the phase tag is. */
	__atomic_store_n(&entry[0], htole64(dw0 | sq->result), __ATOMIC_RELAXED);
	__atomic_store_n(&entry[1], htole64(hi), __ATOMIC_RELEASE);
	cq->tail = next_index(cq->tail, cq->entries);
	if (cq->tail == 0)
		cq->phase ^= 1;
	if (unlikely(sq->result))
		sq->result = 0;
}

bool emu_has_room(struct emu_sq *sq)
{
	return has_room(sq);
}

void emu_post(struct emu_sq *sq, uint16_t cid, uint16_t status, uint32_t dw0)
{
	post(sq, cid, status, dw0);
}

static inline void interrupt(struct emu_sq *sq)
{
	const struct emu_carrier *carrier = &sq->ctrlr->carrier;

	if (sq->cq->irq_enabled)
		carrier->irq(carrier->arg, sq->cq->vector);
}

bool emu_admin_post(struct emu_ctrlr *ctrlr, uint32_t reserve, uint16_t cid, uint16_t status,
		    uint32_t dw0)
{
	struct emu_sq *sq = &ctrlr->sqs[0];
	const struct emu_cq *cq = sq->cq;

	update_head(sq);
	if (cq->entries - 1 - ring_distance(cq->head, cq->tail, cq->entries) <= reserve)
		return false;
	post(sq, cid, status, dw0);
	return true;
}

void emu_admin_interrupt(struct emu_ctrlr *ctrlr)
{
	const struct emu_carrier *carrier = &ctrlr->carrier;

	/* The admin completion queue always has vector 0. Nothing else of it is looked at, because
	 * other threads come here too. */
	carrier->irq(carrier->arg, 0);
}

/* ---- commands ---- */

/* The submission tail, or what it was before when the doorbell makes no sense. */
static inline uint32_t update_tail(struct emu_sq *sq)
{
	uint32_t tail = load_doorbell(sq->ctrlr, 2u * sq->id);

	if (tail == sq->seen_tail)
		return tail;
	/* It moves forward from where it was, and not past the head. */
	if (likely(tail < sq->entries &&
		   ring_distance(sq->seen_tail, tail, sq->entries) <
			   sq->entries - ring_distance(sq->head, sq->seen_tail, sq->entries))) {
		sq->seen_tail = tail;
		sq->bad_tail = NO_VALUE;
	} else if (tail != sq->bad_tail) {
		sq->bad_tail = tail;
		report_doorbell(sq);
	}
	return sq->seen_tail;
}

/* The status for the completion, or EMU_NO_COMPLETION. */
static inline uint16_t run(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0)
{
	uint16_t status;

	if (likely(sq->id != 0))
		status = emu_nvm_execute(sq, cmd);
	else
		status = emu_admin_execute(sq, cmd, ret_dw0);
	if (unlikely(status && status != EMU_NO_COMPLETION)) {
		emu_error_add(sq, cmd, status);
		status |= NVMUX_STATUS_MORE;
	}
	return status;
}

void emu_execute(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	uint32_t dw0 = 0;
	uint16_t status = run(sq, cmd, &dw0);

	if (status != EMU_NO_COMPLETION)
		post(sq, le16_to_cpu(cmd->cid), status, dw0);
}

/* Post a completion as a fault has it. */
static void post_faulty(struct emu_sq *sq, const struct emu_fault *f, uint16_t cid, uint16_t status,
			uint32_t dw0)
{
	uint64_t result = sq->result;

	switch (f->what) {
	case EMU_FAULT_DROP: sq->result = 0; return;
	case EMU_FAULT_REORDER:
		if (emu_hold_completion(sq, cid, status, dw0, f->ms))
			return;
		break;
	case EMU_FAULT_BADCID: cid ^= 0x8000; break;
	case EMU_FAULT_MISSIRQ: sq->skip_irq = true; break;
	default: break;
	}
	post(sq, cid, status, dw0);
	if (f->what == EMU_FAULT_DUPLICATE && has_room(sq)) {
		sq->result = result;
		post(sq, cid, status, dw0);
	}
	if (sq->held)
		emu_held_serve(sq, true);
}

/* A command while there are faults, or while the controller refuses what isn't urgent. */
__attribute__((cold, noinline)) static void execute_slow(struct emu_sq *sq,
							 const struct nvmux_cmd *cmd)
{
	struct emu_ctrlr *ctrlr = sq->ctrlr;
	struct emu_fault f = {.what = EMU_FAULT_NONE};
	uint16_t status = EMU_SUCCESS;
	uint32_t dw0 = 0;

	if (emu_slow(ctrlr) & EMU_SLOW_FAULT)
		f = emu_fault_command(sq, cmd);
	if (emu_dead(ctrlr))
		return;
	if (f.what == EMU_FAULT_DELAY && emu_hold_command(sq, cmd, f.ms))
		return;
	sq->short_identify = f.what == EMU_FAULT_SHORTIDENTIFY;
	if (f.what == EMU_FAULT_STATUS)
		status = f.status;
	else if (emu_slow(ctrlr) & EMU_SLOW_SANITIZE)
		status = emu_sanitize_refuses(sq, cmd);
	if (status) {
		emu_error_add(sq, cmd, status);
		status |= NVMUX_STATUS_MORE;
	} else {
		status = run(sq, cmd, &dw0);
	}
	sq->short_identify = false;
	if (status != EMU_NO_COMPLETION)
		post_faulty(sq, &f, le16_to_cpu(cmd->cid), status, dw0);
}

static inline void execute(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	if (unlikely(emu_slow(sq->ctrlr) | sq->n_held))
		execute_slow(sq, cmd);
	else
		emu_execute(sq, cmd);
}

static unsigned serve(struct emu_sq *sq, unsigned max)
{
	struct nvmux_cmd cmd;
	unsigned n = 0;
	uint32_t tail;

	if (unlikely(emu_slow(sq->ctrlr)) && emu_dead(sq->ctrlr))
		return 0;
	tail = update_tail(sq);
	if (unlikely(sq->held))
		n = emu_held_serve(sq, false);
	if (likely(sq->head == tail)) {
		if (unlikely(n > 0))
			interrupt(sq);
		return n;
	}
	update_head(sq);
	while (sq->head != tail && n < max && has_room(sq)) {
		memcpy(&cmd, &sq->ring[sq->head], sizeof(cmd));
		/* From here on it is this copy: the compiler may not look at the ring again. */
		__asm__ volatile("" : "+m"(cmd));
		sq->head = next_index(sq->head, sq->entries);
		execute(sq, &cmd);
		n++;
	}
	if (n > 0 && likely(!sq->skip_irq))
		interrupt(sq);
	sq->skip_irq = false;
	return n;
}

void emu_sq_pause(struct emu_ctrlr *ctrlr, uint16_t qid)
{
	__atomic_store_n(&ctrlr->sqs[qid].live, 0, __ATOMIC_SEQ_CST);
	if (qid != 0) /* the admin queue is polled by the thread that calls this */
		wait_idle(ctrlr, qid, qid);
}

void emu_sq_resume(struct emu_ctrlr *ctrlr, uint16_t qid)
{
	__atomic_store_n(&ctrlr->sqs[qid].live, 1, __ATOMIC_RELEASE);
}

bool emu_held_abort(struct emu_ctrlr *ctrlr, uint16_t qid, uint16_t cid)
{
	struct emu_sq *sq = &ctrlr->sqs[qid];
	bool found;

	emu_sq_pause(ctrlr, qid);
	/* The Abort command itself needs an entry as well. */
	found = sq->held && has_room(sq) && emu_held_take(sq, cid);
	if (found) {
		post(sq, cid, EMU_GENERIC(ABORT_REQ), 0);
		interrupt(sq);
	}
	emu_sq_resume(ctrlr, qid);
	return found;
}

static unsigned poll_queue(struct emu_ctrlr *ctrlr, uint16_t qid, unsigned max)
{
	struct emu_sq *sq = &ctrlr->sqs[qid];
	uint32_t generation;
	unsigned n = 0;

	if (unlikely(ctrlr->no_membarrier))
		__atomic_store_n(&sq->busy, 1, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(&sq->busy, 1, __ATOMIC_RELAXED);
	__asm__ volatile("" ::: "memory"); /* the other side's membarrier() does the rest */
	if (likely(sq_is_live(sq))) {
		generation = __atomic_load_n(&ctrlr->dma_generation, __ATOMIC_SEQ_CST);
		if (unlikely(generation != sq->dma_generation)) {
			sq->dma_generation = generation;
			memset(sq->dma, 0, sizeof(sq->dma));
		}
		n = serve(sq, max);
	}
	__atomic_store_n(&sq->busy, 0, __ATOMIC_RELEASE);
	return n;
}

static unsigned poll_admin(struct emu_ctrlr *ctrlr, unsigned max)
{
	unsigned n = poll_queue(ctrlr, 0, max);

	if (unlikely(ctrlr->background))
		emu_background(ctrlr);
	if (unlikely(__atomic_load_n(&ctrlr->reports.pending, __ATOMIC_ACQUIRE)))
		emu_events_deliver(ctrlr);
	return n;
}

unsigned emu_poll_queue(struct emu_ctrlr *ctrlr, uint16_t qid)
{
	if (unlikely(qid > ctrlr->config.max_io_queues))
		return 0;
	if (qid == 0)
		return poll_admin(ctrlr, UINT32_MAX);
	return poll_queue(ctrlr, qid, UINT32_MAX);
}

/*
 * Weighted round robin with urgent priority class, base specification 2.0, section 3.4.4.2: urgent
 * queues before all others; of the others, in turns as many commands as the weight of their class
 * says, in bursts.
 */
static unsigned poll_class(struct emu_ctrlr *ctrlr, uint8_t class, unsigned credit)
{
	unsigned burst = emu_arbitration_burst(ctrlr), n = 0, before;

	do {
		before = n;
		for (uint32_t i = 0; i < ctrlr->n_live && n < credit; i++) {
			uint32_t at = (ctrlr->next_of_class[class] + i) % ctrlr->n_live;
			uint16_t qid = ctrlr->live_qids[at];

			if (qid != 0 && ctrlr->sqs[qid].priority == class)
				n += poll_queue(ctrlr, qid, MIN(burst, credit - n));
		}
	} while (n > before && n < credit);
	if (ctrlr->n_live)
		ctrlr->next_of_class[class] = (ctrlr->next_of_class[class] + 1) % ctrlr->n_live;
	return n;
}

static unsigned poll_weighted(struct emu_ctrlr *ctrlr)
{
	unsigned n = 0, before;

	do {
		before = n;
		for (uint8_t class = EMU_PRIO_HIGH; class <= EMU_PRIO_LOW; class++) {
			n += poll_class(ctrlr, EMU_PRIO_URGENT, EMU_POLL_BATCH);
			n += poll_class(ctrlr, class, emu_arbitration_weight(ctrlr, class));
		}
	} while (n > before && n < EMU_POLL_BATCH);
	return n;
}

unsigned emu_poll(struct emu_ctrlr *ctrlr)
{
	unsigned n;

	if (unlikely(!ctrlr->running))
		return 0;
	n = poll_admin(ctrlr, EMU_POLL_BATCH);
	if (unlikely(ctrlr->weighted))
		return n + poll_weighted(ctrlr);
	/* Commands of the admin queue change the list, those of the others don't. */
	for (uint32_t i = 1; i < ctrlr->n_live; i++)
		n += poll_queue(ctrlr, ctrlr->live_qids[i], EMU_POLL_BATCH);
	return n;
}

/* ---- doorbells of queues that don't exist ---- */

static bool has_queue(const struct emu_ctrlr *ctrlr, uint32_t number)
{
	uint32_t qid = number / 2;

	if (qid > ctrlr->config.max_io_queues)
		return false;
	return number & 1 ? ctrlr->cqs[qid].ring != NULL : sq_is_live(&ctrlr->sqs[qid]);
}

static void report_register(struct emu_ctrlr *ctrlr)
{
	emu_error_add(&ctrlr->sqs[0], NULL, EMU_STATUS(0, NVME_SC_INVALID_FIELD));
	emu_event_raise(ctrlr, NVME_AER_ERROR, NVME_AER_ERROR_INVALID_DB_REG, NVME_LOG_LID_ERROR);
}

void emu_doorbell_write(struct emu_ctrlr *ctrlr, uint32_t offset, uint32_t value)
{
	uint32_t stride = 4u << ctrlr->doorbell_stride, number = offset / stride;

	if (offset % stride != 0 || number >= ctrlr->n_doorbells)
		return;
	*doorbell(ctrlr, number) = htole32(value);
	if (ctrlr->running && !has_queue(ctrlr, number)) {
		ctrlr->doorbells_seen[number] = value;
		report_register(ctrlr);
	}
}

void emu_check_doorbells(struct emu_ctrlr *ctrlr)
{
	bool found = false;

	if (!ctrlr->running)
		return;
	for (uint32_t i = 0; i < ctrlr->n_doorbells; i++) {
		uint32_t value;

		/* Those of queues that exist aren't touched: other threads write to them. */
		if (has_queue(ctrlr, i))
			continue;
		value = load_doorbell(ctrlr, i);
		if (value == ctrlr->doorbells_seen[i])
			continue;
		/* What a deleted queue left behind is no mistake. */
		found |= ctrlr->doorbells_seen[i] != NO_VALUE;
		ctrlr->doorbells_seen[i] = value;
	}
	if (found)
		report_register(ctrlr);
}
