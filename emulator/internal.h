/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the model share. Carriers include model.h only. */
#ifndef NVMUX_EMU_INTERNAL_H
#define NVMUX_EMU_INTERNAL_H

#include <pthread.h>
#include <time.h>
#include <nvme/types.h>
#include <nvmux/cmd.h>
#include "libcore/util.h"
#include "emulator/model.h"

#define EMU_PAGE_SIZE     4096u
#define EMU_REG_SIZE      0x1000u
#define EMU_ERROR_ENTRIES 64 /* of the Error Information log */
#define EMU_AER_MAX       4  /* Asynchronous Event Requests outstanding */
#define EMU_EVENTS_MAX    16 /* events that wait for a request */
#define EMU_POLL_BATCH    64 /* commands of one queue in one emu_poll() */
#define EMU_READY_TIMEOUT 10 /* CAP.TO, in 500 ms */

/* A status field without the phase tag, as in a completion's bits 15:1. */
#define EMU_STATUS(sct, sc) NVMUX_STATUS(sct, sc)
#define EMU_GENERIC(sc)     (EMU_STATUS(0, NVME_SC_##sc) | NVMUX_STATUS_DNR)
#define EMU_SPECIFIC(sc)    (EMU_STATUS(1, NVME_SC_##sc) | NVMUX_STATUS_DNR)
#define EMU_MEDIA(sc)       (EMU_STATUS(2, NVME_SC_##sc) | NVMUX_STATUS_DNR)
#define EMU_SUCCESS         0
#define EMU_XFER_ERROR      EMU_STATUS(0, NVME_SC_DATA_XFER_ERROR) /* may work another time */
#define EMU_NO_COMPLETION   0xffff /* the command stays outstanding */

/* ---- namespaces (ns.c) ---- */

struct emu_ns {
	uint32_t id;
	uint8_t shift; /* of the block size */
	uint8_t backing;
	bool sparse;   /* a file some of whose blocks have no place on the disk */
	int fd;        /* of a file, else -1 */
	uint8_t *data; /* NULL: null */
	uint64_t size; /* bytes */
	uint64_t n_blocks;
	uint8_t nguid[16];
	uint8_t uuid[16];
	uint16_t tler; /* Error Recovery feature */
};

int emu_ns_open(struct emu_ns *ns, uint32_t id, const struct emu_config *config, char *why,
		size_t why_size);
void emu_ns_close(struct emu_ns *ns);
/* Make a range, or everything, durable. A status. */
uint16_t emu_ns_sync(const struct emu_ns *ns, uint64_t offset, uint64_t len);
uint16_t emu_ns_flush(const struct emu_ns *ns);
/* Make a range read as zeroes. A status. */
uint16_t emu_ns_zero(const struct emu_ns *ns, uint64_t offset, uint64_t len);

/* ---- queues (queue.c) ---- */

struct emu_cq {
	struct nvmux_cpl *ring; /* NULL: no such queue */
	uint64_t iova;
	uint32_t entries;
	uint32_t head;
	uint32_t tail;
	uint32_t bad_head; /* last invalid doorbell value reported, so that it is so once */
	uint16_t phase;
	uint16_t id;
	uint16_t vector;
	uint16_t n_sqs;
	bool irq_enabled;
};

/* Counters of one queue: written by its thread, read by the admin thread. */
struct emu_counters {
	uint64_t reads;
	uint64_t writes;
	uint64_t read_bytes;
	uint64_t written_bytes;
};

enum emu_cache {
	EMU_CACHE_DATA,
	EMU_CACHE_LIST,
	EMU_CACHES,
};

struct emu_sq {
	struct emu_ctrlr *ctrlr;
	const struct nvmux_cmd *ring;
	struct emu_cq *cq;
	uint64_t iova;
	uint32_t entries;
	uint32_t head;
	uint32_t seen_tail; /* last valid doorbell value */
	uint32_t bad_tail;
	uint16_t id;
	uint32_t dma_generation; /* what the caches were filled in */
	struct emu_dma dma[EMU_CACHES];
	struct emu_counters counters;

	/* The handshake of emu_poll_queue() with the admin thread, see queue.c. */
	_Alignas(64) uint8_t live;
	uint8_t busy;
};

int emu_queues_create(struct emu_ctrlr *ctrlr);
void emu_queues_destroy(struct emu_ctrlr *ctrlr);
bool emu_cq_start(struct emu_ctrlr *ctrlr, uint16_t qid, uint64_t iova, uint32_t entries);
bool emu_sq_start(struct emu_ctrlr *ctrlr, uint16_t qid, uint16_t cqid, uint64_t iova,
		  uint32_t entries);
void emu_sq_stop(struct emu_ctrlr *ctrlr, uint16_t qid);
void emu_cq_stop(struct emu_ctrlr *ctrlr, uint16_t qid);
void emu_queues_stop(struct emu_ctrlr *ctrlr);
/* Post on the admin completion queue out of turn; false: it would leave less than @reserve free. */
bool emu_admin_post(struct emu_ctrlr *ctrlr, uint32_t reserve, uint16_t cid, uint16_t status,
		    uint32_t dw0);
void emu_admin_interrupt(struct emu_ctrlr *ctrlr);
/* Highest queue identifier that can be created. */
uint16_t emu_max_qid(const struct emu_ctrlr *ctrlr);

/* ---- data pointers (prp.c) ---- */

enum emu_xfer {
	EMU_XFER_TO_HOST,   /* from @media to the command's buffer */
	EMU_XFER_FROM_HOST, /* from the command's buffer to @media */
	EMU_XFER_COMPARE,   /* compare both */
	EMU_XFER_CHECK_IN,  /* check that the buffer can be written, @media is not used */
	EMU_XFER_CHECK_OUT, /* check that it can be read */
};

/* Move @len bytes, at least 1, between @media and what PRP1 and PRP2 of @cmd name. */
uint16_t emu_xfer(struct emu_sq *sq, const struct nvmux_cmd *cmd, enum emu_xfer xfer,
		  uint8_t *media, uint64_t len);

/* ---- features, events and logs ---- */

struct emu_features {
	uint32_t arbitration;
	uint32_t temp_over;
	uint32_t temp_under;
	uint32_t irq_coalescing;
	uint32_t write_atomicity;
	uint32_t async_event;
	uint8_t volatile_wc; /* read by I/O threads */
	uint8_t host_id[16];
	uint8_t irq_config[EMU_QUEUES_MAX / 8]; /* coalescing disabled, a bit per vector */
};

struct emu_event {
	uint8_t type;
	uint8_t info;
	uint8_t log;
};

/* What any queue's thread may add to; under its lock, on error paths only. */
struct emu_reports {
	pthread_mutex_t lock;
	uint8_t pending; /* there may be an event; read without the lock */
	uint32_t n_events;
	struct emu_event events[EMU_EVENTS_MAX];
	uint64_t n_errors; /* ever */
	struct nvme_error_log_page errors[EMU_ERROR_ENTRIES];
};

struct emu_ctrlr {
	struct emu_carrier carrier;
	struct emu_config config;
	uint64_t max_transfer; /* bytes of one command */
	bool no_membarrier;    /* polls pay for the handshake themselves */

	/* registers */
	uint64_t cap;
	uint32_t cc;
	uint32_t csts;
	uint32_t aqa;
	uint64_t asq;
	uint64_t acq;
	uint32_t intm;
	bool running;

	/* doorbells: number << stride is the index */
	volatile uint32_t *doorbells;
	uint8_t doorbell_stride;
	uint32_t n_doorbells;
	uint32_t doorbells_seen[2 * EMU_QUEUES_MAX]; /* of queues that don't exist */

	/* queues; a slot for each identifier from 0 to max_io_queues */
	struct emu_sq *sqs;
	struct emu_cq *cqs;
	uint16_t *live_qids; /* submission queues that exist, the admin queue first */
	uint32_t n_live;
	uint32_t n_io_queues_granted;
	uint32_t n_io_queues; /* submission and completion queues that exist */
	uint32_t dma_generation;
	struct emu_counters retired; /* of deleted queues */

	/* admin */
	struct emu_features features;
	uint16_t aer_cids[EMU_AER_MAX];
	uint32_t n_aers;
	uint16_t events_masked; /* a bit per type: reported, log not read yet */
	struct timespec started;
	struct emu_reports reports;

	uint32_t n_ns;
	struct emu_ns *ns;
};

void emu_features_reset(struct emu_ctrlr *ctrlr);
uint16_t emu_set_features(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0);
uint16_t emu_get_features(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0);
/* The Feature Identifiers Supported and Effects log page. */
void emu_features_effects(uint32_t effects[256]);

/* Any queue's thread. */
void emu_event_raise(struct emu_ctrlr *ctrlr, uint8_t type, uint8_t info, uint8_t log);
/* Admin thread: hand waiting events to outstanding requests. */
void emu_events_deliver(struct emu_ctrlr *ctrlr);
void emu_events_reset(struct emu_ctrlr *ctrlr);
uint16_t emu_aer(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd);
bool emu_aer_abort(struct emu_ctrlr *ctrlr, uint16_t cid);
/* Add an entry to the Error Information log; NULL @cmd: not about a command. Any thread. */
void emu_error_add(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint16_t status);
uint16_t emu_get_log_page(struct emu_sq *sq, const struct nvmux_cmd *cmd);
/* Whether the temperature crosses a threshold now; raises the event. */
void emu_temperature_check(struct emu_ctrlr *ctrlr);

/* ---- commands ---- */

uint16_t emu_identify(struct emu_sq *sq, const struct nvmux_cmd *cmd);
uint16_t emu_admin_execute(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0);
uint16_t emu_nvm_execute(struct emu_sq *sq, const struct nvmux_cmd *cmd);
/* The Commands Supported and Effects log page. */
void emu_admin_effects(uint32_t effects[256]);
void emu_nvm_effects(uint32_t effects[256]);
void emu_subnqn(const struct emu_config *config, char ret[256]);

static inline struct emu_ns *emu_ns_get(const struct emu_ctrlr *ctrlr, uint32_t nsid)
{
	return nsid - 1 < ctrlr->n_ns ? &ctrlr->ns[nsid - 1] : NULL;
}

static inline uint32_t emu_cdw(__le32 v)
{
	return le32_to_cpu(v);
}

/* Starting LBA of a command that has one. */
static inline uint64_t emu_slba(const struct nvmux_cmd *cmd)
{
	return emu_cdw(cmd->cdw10) | (uint64_t)emu_cdw(cmd->cdw11) << 32;
}

#endif
