/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the model share. Carriers include model.h only. */
#ifndef NVMUX_EMU_INTERNAL_H
#define NVMUX_EMU_INTERNAL_H

#include <pthread.h>
#include <time.h>
#include <nvme/types.h>
#include <nvmux/cmd.h>
#include "libcore/util.h"
#include "emulator/admin.h"
#include "emulator/fault.h"
#include "emulator/model.h"

#define EMU_PAGE_SIZE     4096u
#define EMU_REG_SIZE      0x1000u
#define EMU_ERROR_ENTRIES 64 /* of the Error Information log */
#define EMU_AER_MAX       4  /* Asynchronous Event Requests outstanding */
#define EMU_EVENTS_MAX    16 /* events that wait for a request */
#define EMU_POLL_BATCH    64 /* commands of one queue in one emu_poll() */
#define EMU_TEMPERATURE_K 313
#define EMU_NS_SPARE      (4ull << 30) /* bytes for namespaces that are created */
#define EMU_CNTLID        1u           /* of the subsystem's only controller */
#define EMU_PI_SIZE       8u           /* protection information with a 16-bit guard */

/* Directive types; base specification 2.1, section 8.1.8. */
enum {
	EMU_DTYPE_IDENTIFY = 0,
	EMU_DTYPE_STREAMS = 1,
	EMU_DTYPE_PLACE = 2,
};

/* A status field without the phase tag, as in a completion's bits 15:1. */
#define EMU_STATUS(sct, sc) NVMUX_STATUS(sct, sc)
#define EMU_GENERIC(sc)     (EMU_STATUS(0, NVME_SC_##sc) | NVMUX_STATUS_DNR)
#define EMU_SPECIFIC(sc)    (EMU_STATUS(1, NVME_SC_##sc) | NVMUX_STATUS_DNR)
#define EMU_MEDIA(sc)       (EMU_STATUS(2, NVME_SC_##sc) | NVMUX_STATUS_DNR)
#define EMU_SUCCESS         0
#define EMU_XFER_ERROR      EMU_STATUS(0, NVME_SC_DATA_XFER_ERROR) /* may work another time */
#define EMU_NO_COMPLETION   0xffff /* the command stays outstanding */

/* ---- namespaces (ns.c) ---- */

/* Why commands can't take the short path of an ordinary namespace: struct emu_ns.special. */
enum {
	EMU_NS_MD = 1 << 0,       /* the format has metadata */
	EMU_NS_ZONED = 1 << 1,    /* see zoned.c */
	EMU_NS_RESERVED = 1 << 2, /* a reservation is held, see resv.c */
	EMU_NS_BAD = 1 << 3,      /* there are, or were, uncorrectable blocks */
};

struct emu_resv;
struct emu_zones;

struct emu_ns {
	uint32_t id;
	uint8_t shift; /* of the block size */
	uint8_t backing;
	uint8_t special; /* EMU_NS_*, atomic: I/O threads look at it first */
	uint8_t attached; /* to this controller, atomic */
	bool created;     /* by Namespace Management: memory of ours */
	bool sparse;     /* a file some of whose blocks have no place on the disk */
	int fd;          /* of a file, else -1 */
	uint8_t *data;   /* NULL: null */
	uint64_t size;   /* bytes */
	uint64_t n_blocks;
	uint8_t nguid[16];
	uint8_t uuid[16];
	uint16_t tler; /* Error Recovery feature */

	/* the format */
	uint8_t lbaf; /* index in emu_lbafs */
	uint16_t ms;
	bool mset;
	uint8_t pi;
	bool pil;
	/*
	 * Metadata of all blocks, one after the other; NULL: none, or null. Protection information
	 * is stored inverted, so that memory that was never written reads as FFh: not checked.
	 */
	uint8_t *md;
	uint64_t md_size;

	/* A bit for each block that Write Uncorrectable has marked; NULL: none ever. Atomic. */
	uint64_t *bad;
	uint64_t bad_size;
	pthread_mutex_t lock; /* to make the above, and one fused pair after the other */
	struct emu_resv *resv;
	struct emu_zones *zones; /* NULL: not zoned */
};

struct emu_lbaf {
	uint8_t shift;
	uint16_t ms;
};

#define EMU_LBAFS 8
extern const struct emu_lbaf emu_lbafs[EMU_LBAFS];

/* Whether there is such a format, with room for such protection information. */
static inline bool emu_lbaf_fits(uint32_t lbaf, uint32_t pi)
{
	return lbaf < EMU_LBAFS && pi <= 3 && (!pi || emu_lbafs[lbaf].ms >= EMU_PI_SIZE);
}

int emu_ns_open(struct emu_ns *ns, uint32_t id, const struct emu_config *config, char *why,
		size_t why_size);
void emu_ns_close(struct emu_ns *ns);
/*
 * Change the format of a namespace, which loses its data; @lbaf below EMU_LBAFS. A status, and
 * nothing has changed when it isn't success. Nobody may use the namespace meanwhile.
 */
uint16_t emu_ns_format(struct emu_ns *ns, uint8_t lbaf, bool mset, uint8_t pi, bool pil);
/* Make a range, or everything, durable. A status. */
uint16_t emu_ns_sync(const struct emu_ns *ns, uint64_t offset, uint64_t len);
uint16_t emu_ns_flush(const struct emu_ns *ns);
/* Make a range read as zeroes. A status. */
uint16_t emu_ns_zero(const struct emu_ns *ns, uint64_t offset, uint64_t len);
/* The same for blocks, with their metadata; they are no longer uncorrectable. */
uint16_t emu_ns_deallocate(struct emu_ns *ns, uint64_t slba, uint64_t n);
/* Metadata of these blocks durable. */
uint16_t emu_ns_sync_md(const struct emu_ns *ns, uint64_t slba, uint64_t n);

/* Uncorrectable blocks. -ENOMEM; whether there is one; none of these any more. */
int emu_ns_mark_bad(struct emu_ns *ns, uint64_t slba, uint64_t n);
bool emu_ns_is_bad(const struct emu_ns *ns, uint64_t slba, uint64_t n);
void emu_ns_clear_bad(struct emu_ns *ns, uint64_t slba, uint64_t n);

static inline uint8_t emu_ns_special(const struct emu_ns *ns)
{
	return __atomic_load_n(&ns->special, __ATOMIC_ACQUIRE);
}

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
	EMU_CACHE_MD,
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
	uint8_t priority;        /* enum emu_priority */
	bool skip_irq;           /* of faults: see fault.h */
	bool short_identify;
	uint32_t n_held;
	struct emu_held *held;
	uint32_t dma_generation; /* what the caches were filled in */
	struct emu_dma dma[EMU_CACHES];
	struct emu_counters counters;
	uint64_t result;     /* dwords 0 and 1 of the next completion */
	bool fused;          /* the first of a pair was executed, and the second with it: */
	uint16_t fused_status;

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
/* For what waits: see held.c. Execute and post without a look at faults. */
void emu_execute(struct emu_sq *sq, const struct nvmux_cmd *cmd);
bool emu_has_room(struct emu_sq *sq);
void emu_post(struct emu_sq *sq, uint16_t cid, uint16_t status, uint32_t dw0);
/* Admin thread: nobody serves the queue in between. */
void emu_sq_pause(struct emu_ctrlr *ctrlr, uint16_t qid);
void emu_sq_resume(struct emu_ctrlr *ctrlr, uint16_t qid);
/* Abort a command that a fault delays; false: it isn't there. */
bool emu_held_abort(struct emu_ctrlr *ctrlr, uint16_t qid, uint16_t cid);
/* @b_size 0: everything. */
bool emu_overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size);
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

#define EMU_CMD_FUSE       0x03 /* of struct nvmux_cmd.flags */
#define EMU_CMD_FUSE_FIRST 0x01
#define EMU_CMD_FUSE_LAST  0x02
#define EMU_CMD_PSDT       0xc0
#define EMU_PSDT_SGL       0x40 /* metadata is one buffer */
#define EMU_PSDT_SGL_MD    0x80 /* metadata has an SGL as well */

/* Move @len bytes, at least 1, between @media and what the data pointer of @cmd names. */
uint16_t emu_xfer(struct emu_sq *sq, const struct nvmux_cmd *cmd, enum emu_xfer xfer,
		  uint8_t *media, uint64_t len);
/* The same for the metadata pointer. */
uint16_t emu_xfer_md(struct emu_sq *sq, const struct nvmux_cmd *cmd, enum emu_xfer xfer,
		     uint8_t *media, uint64_t len);
/* By an SGL that begins with the descriptor in the data pointer (sgl.c). */
uint16_t emu_sgl_xfer(struct emu_sq *sq, const struct nvmux_cmd *cmd, enum emu_xfer xfer,
		      uint8_t *media, uint64_t len);
/* Host address of @len bytes at @iova, and in *@ret_len how many of them are contiguous here. */
uint8_t *emu_translate(struct emu_sq *sq, enum emu_cache cache, uint64_t iova, uint64_t len,
		       bool write, uint64_t *ret_len);

/* ---- features, events and logs ---- */

struct emu_features {
	uint32_t arbitration;
	uint32_t temp_over;
	uint32_t temp_under;
	uint32_t irq_coalescing;
	uint32_t write_atomicity;
	uint32_t async_event;
	uint8_t volatile_wc; /* read by I/O threads */
	_Alignas(8) uint8_t host_id[16]; /* read by I/O threads: emu_host_id_set() */
	uint8_t host_id_long;            /* it came as 16 bytes */
	uint8_t irq_config[EMU_QUEUES_MAX / 8]; /* coalescing disabled, a bit per vector */
};

struct emu_event {
	uint8_t type;
	uint8_t info;
	uint8_t log;
	uint32_t nsid; /* 0: of none */
};

#define EMU_RESV_NOTICES 64

struct emu_resv_notice {
	uint64_t host[2]; /* that it is for */
	uint32_t nsid;
	uint8_t type;  /* enum nvme_resv_notify_rnlpt */
	uint32_t lost; /* that came after it, when there was no room */
};

/* What any queue's thread may add to; under its lock, on error paths only. */
struct emu_reports {
	pthread_mutex_t lock;
	uint8_t pending; /* there may be an event; read without the lock */
	uint32_t n_events;
	struct emu_event events[EMU_EVENTS_MAX];
	uint64_t n_errors; /* ever */
	struct nvme_error_log_page errors[EMU_ERROR_ENTRIES];
	uint64_t notice_count; /* read and lost, since the controller was reset */
	uint32_t n_notices;
	struct emu_resv_notice notices[EMU_RESV_NOTICES]; /* of all hosts, oldest first */
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
	uint64_t ns_spare;              /* bytes for namespaces yet to be created */
	uint64_t changed_ns[EMU_NS_MAX / 64]; /* since the host last read the list */
	pthread_mutex_t streams_lock;
	struct emu_streams streams[EMU_NS_MAX];
	struct emu_placement placement;

	struct emu_faults *faults;
	uint32_t slow;       /* EMU_SLOW_*, atomic: read with each command */
	uint32_t background; /* EMU_BG_*: the admin thread's */
	struct emu_shadow shadow;
	struct emu_hmb hmb;
	struct emu_sanitize sanitize;
	struct emu_self_test self_test;
	struct emu_firmware firmware;
	struct emu_boot boot;
	uint32_t smart_temperature; /* kelvin */
	uint8_t smart_warning;      /* critical warning bits that were set by hand */
	uint8_t smart_spare;        /* per cent */
	uint8_t smart_used;
	bool acre;                  /* Host Behavior Support: Advanced Command Retry Enable */

	/* arbitration */
	bool weighted;
	uint32_t next_of_class[EMU_PRIOS];
};

static inline uint32_t emu_slow(const struct emu_ctrlr *ctrlr)
{
	return __atomic_load_n(&ctrlr->slow, __ATOMIC_RELAXED);
}

void emu_slow_set(struct emu_ctrlr *ctrlr, uint32_t bit, bool on);
/* CSTS.CFS as a fault sets it; any thread. */
void emu_set_fatal(struct emu_ctrlr *ctrlr);
/* Whether nothing is served at the moment. */
bool emu_dead(struct emu_ctrlr *ctrlr);
/* What goes on without a command. */
void emu_background(struct emu_ctrlr *ctrlr);

void emu_features_reset(struct emu_ctrlr *ctrlr);
uint16_t emu_set_features(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0);
uint16_t emu_get_features(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0);
/* The Feature Identifiers Supported and Effects log page. */
void emu_features_effects(const struct emu_ctrlr *ctrlr, uint32_t effects[256]);

/* Any queue's thread. */
void emu_event_raise(struct emu_ctrlr *ctrlr, uint8_t type, uint8_t info, uint8_t log);
/* The same about a namespace. */
void emu_event_raise_ns(struct emu_ctrlr *ctrlr, uint8_t type, uint8_t info, uint8_t log,
			uint32_t nsid);
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
void emu_health_check(struct emu_ctrlr *ctrlr); /* of warnings there are, those the host wants */

/* ---- commands ---- */

uint16_t emu_identify(struct emu_sq *sq, const struct nvmux_cmd *cmd);
uint16_t emu_admin_execute(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0);
uint16_t emu_nvm_execute(struct emu_sq *sq, const struct nvmux_cmd *cmd);
/* The Commands Supported and Effects log page. */
void emu_admin_effects(const struct emu_ctrlr *ctrlr, uint32_t effects[256]);
void emu_nvm_effects(const struct emu_ctrlr *ctrlr, uint32_t effects[256]);
/* The Zoned Namespace command set has those too, and these. */
void emu_zns_effects(const struct emu_ctrlr *ctrlr, uint32_t effects[256]);
/* The Optional NVM Command Support of I/O commands. */
uint16_t emu_oncs(const struct emu_ctrlr *ctrlr);
void emu_subnqn(const struct emu_config *config, char ret[256]);

/* NN of Identify Controller: the greatest identifier that a namespace can have. */
static inline uint32_t emu_nn(const struct emu_ctrlr *ctrlr)
{
	return MIN(ctrlr->config.n_ns + 16u, (uint32_t)EMU_NS_MAX);
}

/* A namespace that is attached; NULL: there is none of that identifier. */
static inline struct emu_ns *emu_ns_get(const struct emu_ctrlr *ctrlr, uint32_t nsid)
{
	if (unlikely(nsid - 1 >= ctrlr->n_ns))
		return NULL;
	if (unlikely(!__atomic_load_n(&ctrlr->ns[nsid - 1].attached, __ATOMIC_ACQUIRE)))
		return NULL;
	return &ctrlr->ns[nsid - 1];
}

/* One that exists, attached or not. */
static inline struct emu_ns *emu_ns_allocated(const struct emu_ctrlr *ctrlr, uint32_t nsid)
{
	if (nsid - 1 >= ctrlr->n_ns || !ctrlr->ns[nsid - 1].id)
		return NULL;
	return &ctrlr->ns[nsid - 1];
}

/* What a command gets that names a namespace which isn't attached. */
static inline uint16_t emu_ns_missing(const struct emu_ctrlr *ctrlr, uint32_t nsid)
{
	/* An identifier that is valid and isn't active is an invalid field. */
	return nsid == 0 || nsid > emu_nn(ctrlr) ? EMU_GENERIC(INVALID_NS)
						 : EMU_GENERIC(INVALID_FIELD);
}

/* All of its data reads as zeroes. A status. */
uint16_t emu_ns_erase(struct emu_ns *ns);

static inline uint32_t emu_cdw(__le32 v)
{
	return le32_to_cpu(v);
}

/* Starting LBA of a command that has one. */
static inline uint64_t emu_slba(const struct nvmux_cmd *cmd)
{
	return emu_cdw(cmd->cdw10) | (uint64_t)emu_cdw(cmd->cdw11) << 32;
}

static inline bool emu_in_range(const struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	return slba < ns->n_blocks && n <= ns->n_blocks - slba;
}

/* The queue's thread is the only writer of its counters; the admin thread reads them. */
static inline void emu_count(uint64_t *counter, uint64_t by)
{
	__atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

/* A field of 16 bytes, which is 0 yet. */
static inline void emu_put128(uint8_t dst[16], uint64_t v)
{
	__le64 le = cpu_to_le64(v);

	__builtin_memcpy(dst, &le, sizeof(le));
}

/* ---- namespaces that aren't ordinary (blocks.c) ---- */

/* Where blocks are for a moment on their way between the host and the media. */
struct emu_view {
	uint8_t *data;
	uint8_t *md;
	uint32_t data_stride;
	uint32_t md_stride;
};

/* What a command says of protection. */
struct emu_protect {
	bool pract;
	uint8_t prchk; /* EMU_PRCHK_* */
	uint16_t apptag;
	uint16_t appmask;
	uint32_t reftag;
};

enum {
	EMU_PRCHK_REF = 1 << 0,
	EMU_PRCHK_APP = 1 << 1,
	EMU_PRCHK_GUARD = 1 << 2,
};

uint16_t emu_blocks_execute(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd);
/* Move blocks between the media and a view, and no more. */
void emu_blocks_load(const struct emu_ns *ns, uint64_t slba, uint64_t n, const struct emu_view *v);
void emu_blocks_store(struct emu_ns *ns, uint64_t slba, uint64_t n, const struct emu_view *v);
uint16_t emu_copy(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd);

#define EMU_ACWU       7    /* blocks of a fused pair, less one */
#define EMU_COPY_MSSRL 1024 /* blocks of one range */
#define EMU_COPY_MCL   4096 /* blocks of one command */
#define EMU_COPY_MSRC  127  /* ranges, less one */

/* ---- protection information (pi.c) ---- */

uint16_t emu_crc16(uint16_t crc, const uint8_t *p, size_t len);
/* Whether what a command at @slba asks for makes sense for the namespace's type. A status. */
uint16_t emu_pi_valid(const struct emu_ns *ns, const struct emu_protect *p, uint64_t slba);
void emu_pi_generate(const struct emu_ns *ns, const struct emu_protect *p, const struct emu_view *v,
		     uint64_t n);
uint16_t emu_pi_check(const struct emu_ns *ns, const struct emu_protect *p,
		      const struct emu_view *v, uint64_t n);
/* Add to the reference tags, as Zone Append does. */
void emu_pi_remap(const struct emu_ns *ns, const struct emu_view *v, uint64_t n, uint32_t add);
static inline uint32_t emu_pi_offset(const struct emu_ns *ns)
{
	return ns->pil ? 0 : ns->ms - EMU_PI_SIZE;
}

/* ---- reservations (resv.c) ---- */

#define EMU_RESCAP 0xfe /* all six types; Ignore Existing Key as of version 1.3 */

int emu_resv_create(struct emu_ns *ns);
void emu_resv_destroy(struct emu_ns *ns);
/* Whether the host may read, or write, now. */
/* Are there any? */
static inline bool emu_has_resv(const struct emu_ctrlr *ctrlr)
{
	return !(ctrlr->config.oncs_off & NVME_CTRL_ONCS_RESERVATIONS);
}
void emu_host_id(struct emu_ctrlr *ctrlr, uint64_t id[2]);
/* A host has said who it is. */
void emu_resv_host_set(struct emu_ctrlr *ctrlr);
/* Reservation Notification Mask. */
void emu_resv_mask_set(struct emu_ctrlr *ctrlr, struct emu_ns *ns, uint8_t mask);
uint8_t emu_resv_mask(struct emu_ns *ns);
/* Notices (resv_notice.c): add one, raise the event of those that wait for the host that is there,
 * the oldest one of that host, which has then been taken. */
void emu_resv_notice_add(struct emu_ctrlr *ctrlr, const uint64_t host[2], uint8_t type,
			 uint32_t nsid);
void emu_resv_notice_host(struct emu_ctrlr *ctrlr);
uint32_t emu_resv_log(struct emu_ctrlr *ctrlr, uint8_t *buf);
void emu_resv_log_taken(struct emu_ctrlr *ctrlr);
bool emu_resv_allows(struct emu_ctrlr *ctrlr, struct emu_ns *ns, bool write);
uint16_t emu_resv_execute(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd);
void emu_host_id_set(struct emu_features *f, const uint8_t id[16], bool is_long);

/* ---- zones (zoned.c) ---- */

#define EMU_ZDES 1 /* zone descriptor extension, in 64 bytes */

int emu_zones_create(struct emu_ns *ns, const struct emu_ns_config *config);
void emu_zones_destroy(struct emu_ns *ns);
/* All zones as they were at first; after a format. */
void emu_zones_reset(struct emu_ns *ns);
void emu_zones_lock(struct emu_ns *ns);
void emu_zones_unlock(struct emu_ns *ns);
/* Whether a command may read there, or write; the latter opens the zone. Under the lock. */
uint16_t emu_zones_check_read(const struct emu_ns *ns, uint64_t slba, uint64_t n);
uint16_t emu_zones_check_write(struct emu_ns *ns, uint64_t slba, uint64_t n);
/* Where an append to the zone at @zslba goes. */
uint16_t emu_zones_append_at(const struct emu_ns *ns, uint64_t zslba, uint64_t *ret_slba);
/* What was checked has been written. */
void emu_zones_written(struct emu_ns *ns, uint64_t slba, uint64_t n);
/* Whether a namespace is zoned. */
bool emu_has_zones(const struct emu_ctrlr *ctrlr);
/* The Changed Zone List log page; @clear: the host has read it. */
uint32_t emu_zones_changed(struct emu_ns *ns, uint8_t *buf, bool clear);
uint16_t emu_zones_execute(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd);
void emu_zones_identify(const struct emu_ns *ns, struct nvme_zns_id_ns *id);

#endif
