/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A model of an NVMe 2.0 controller: registers, admin and NVM command sets, without any transport.
 *
 * Whoever carries it (the vfio-user server, the loopback device) hands it register accesses and
 * doorbells, translates its DMA, and delivers its interrupts. It has no threads. Registers and the
 * admin queue belong to one thread; an I/O queue pair may be served by another one, which then
 * touches this queue and the namespaces' data only.
 */
#ifndef NVMUX_EMU_MODEL_H
#define NVMUX_EMU_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EMU_NS_MAX     256
#define EMU_QUEUES_MAX 1024 /* the admin queue included */
#define EMU_FDP_MAX    64   /* reclaim unit handles */

enum emu_backing {
	EMU_BACKING_NULL,   /* reads leave the buffer alone, writes are dropped */
	EMU_BACKING_MEMORY, /* anonymous memory, zeroed */
	EMU_BACKING_FILE,   /* an ordinary file, mapped shared */
};

struct emu_ns_config {
	enum emu_backing backing;
	char path[256];      /* of a file */
	uint64_t size;       /* bytes; a file: 0 means its own size, more than it has extends it */
	uint32_t block_size; /* 512 or 4096 */
	uint16_t ms;         /* bytes of metadata of a block: 0, 8, 16 or 64 */
	bool mset;           /* metadata is interleaved with the data, not separate */
	uint8_t pi;          /* type of protection information; 0: none */
	bool pil;            /* it is the first 8 bytes of the metadata, not the last */
	bool zoned;
	uint64_t zone;      /* bytes of a zone, and how many of them can be written */
	uint64_t zcap;      /* 0: all */
	uint32_t maxopen;   /* zones open at a time; 0: no limit */
	uint32_t maxactive; /* open or closed */
};

#define EMU_FAULTS_TEXT_MAX 256

#define EMU_READY_TIMEOUT 10 /* CAP.TO by default, in 500 ms */

struct emu_config {
	char serial[21]; /* emu_config_default_serial() makes one */
	char model[41];
	char subnqn[224];        /* empty: made from the serial number */
	uint16_t max_io_queues;  /* granted at most; 1 … EMU_QUEUES_MAX - 1 */
	uint32_t queue_entries;  /* CAP.MQES + 1; 2 … 65536 */
	uint8_t mdts;            /* as in Identify: 4 KiB << mdts; 0: no limit */
	uint16_t noiob;          /* optimal I/O boundary in blocks; 0: none */
	uint16_t irq_vectors;    /* MSI-X vectors; 0: one for each queue */
	uint8_t doorbell_stride; /* CAP.DSTRD: a doorbell takes 4 bytes << this; 0 … 4 */
	bool sgl;                /* SGLs for I/O commands */
	bool wrr;                /* weighted round robin arbitration */
	uint8_t ready_timeout;   /* CAP.TO, in 500 ms */
	uint8_t zasl;            /* limit of Zone Append, as mdts; 0: mdts is the limit */
	uint16_t oncs_off;       /* optional commands left out: bits of ONCS */
	uint64_t hmb;            /* host memory asked for, bytes */
	uint32_t fdp;            /* reclaim unit handles of flexible data placement; 0: no such */
	char faults[EMU_FAULTS_TEXT_MAX]; /* at the start, separated by ';'; see fault.h */
	uint32_t n_ns;
	struct emu_ns_config ns[EMU_NS_MAX];
};

/* Defaults: one controller without namespaces and without a serial number. */
void emu_config_init(struct emu_config *config);
/* Unless there is a serial number: one that is always the same for the same @text, and most likely
 * not for another. */
void emu_config_default_serial(struct emu_config *config, const char *text);
/*
 * Parse a description such as "mem,size=64M,bs=4096", "null,size=1T", "file,path=/x,bs=512" and add
 * its namespaces to @config; several are separated by '+', and controller settings (mdts=, noiob=,
 * queues=, entries=, vectors=, serial=) may stand in any part. A backslash takes the next character
 * as it is. -EINVAL with the reason in @why; @config is unchanged then.
 */
int emu_config_parse(struct emu_config *config, const char *text, char *why, size_t why_size);

/* Addresses as the device sees them that are contiguous in this process. */
struct emu_dma {
	uint64_t iova;
	uint64_t size;
	uint8_t *host;
	bool readable; /* by the device */
	bool writable;
};

/* What the model needs of its carrier. Both are called from the threads that serve queues. */
struct emu_carrier {
	/* The whole mapping that @iova lies in; false: there is none. The model keeps the answer
	 * until emu_dma_changed(). */
	bool (*dma)(void *arg, uint64_t iova, struct emu_dma *ret);
	/* Raise an MSI-X vector, below irq_vectors of the configuration. */
	void (*irq)(void *arg, uint16_t vector);
	void *arg;
	/* Cut off the file of the doorbells, as fault.h says; NULL: there is none. */
	void (*truncate)(void *arg);
	/* Ask the host to give the device back; NULL: it can't be asked. */
	void (*request)(void *arg);
};

struct emu_ctrlr;

/* 0; or a negative errno value, with the reason in @why. */
int emu_ctrlr_create(const struct emu_config *config, const struct emu_carrier *carrier,
		     struct emu_ctrlr **ret, char *why, size_t why_size);
void emu_ctrlr_destroy(struct emu_ctrlr *ctrlr);

/* Registers below 1000h; size 4 or 8, aligned. A read that is out of range gives zero. */
uint64_t emu_reg_read(struct emu_ctrlr *ctrlr, uint32_t offset, uint32_t size);
void emu_reg_write(struct emu_ctrlr *ctrlr, uint32_t offset, uint32_t size, uint64_t value);

/*
 * Doorbells: number 2 × qid is the submission tail, 2 × qid + 1 the completion head. The carrier
 * gives the zeroed memory, which it may share with the other side; the model reads it with each
 * poll and validates what it finds. @bytes: its size; queues whose doorbells lie beyond can't be
 * made. Only while the controller is disabled.
 */
void emu_set_doorbells(struct emu_ctrlr *ctrlr, volatile void *doorbells, uint32_t bytes);

/* A doorbell that came as a message, @offset from the first one. That of a queue that doesn't exist
 * causes an asynchronous event; an offset that is none is ignored. */
void emu_doorbell_write(struct emu_ctrlr *ctrlr, uint32_t offset, uint32_t value);
/* Look for doorbells of queues that don't exist, written since the last look; for a carrier that
 * shares the doorbells, when it has nothing better to do. */
void emu_check_doorbells(struct emu_ctrlr *ctrlr);

/*
 * Serve one queue (0: admin) or all of them: look at doorbells, execute, complete, interrupt.
 * emu_poll_queue() takes all that was there when it looked, emu_poll() a bounded part of each
 * queue. emu_poll() is for a carrier that does everything in one thread. With emu_poll_queue()
 * each submission queue may have a thread of its own; submission queues that share a completion
 * queue must share the thread. Registers, admin queue, doorbell messages, resets and all else
 * belong to one thread (the admin thread), which may also disable the controller and delete queues
 * at any time: it waits until a poll that is under way has ended, and later ones find nothing.
 * Return: the number of commands executed.
 */
unsigned emu_poll_queue(struct emu_ctrlr *ctrlr, uint16_t qid);
unsigned emu_poll(struct emu_ctrlr *ctrlr);
/* Whether polling can find anything: the controller is enabled and not shut down. */
bool emu_is_running(const struct emu_ctrlr *ctrlr);

/*
 * A mapping is about to go (@size 0: all of them). When it returns, no thread uses what dma() said
 * before. Call it after dma() has begun to refuse the range and before the memory goes. A queue
 * that lies in the range makes the controller fail (CSTS.CFS), as a bus error would.
 */
void emu_dma_changed(struct emu_ctrlr *ctrlr, uint64_t iova, uint64_t size);

/* Whether emu_poll() must be called now and then even if no doorbell is rung. */
bool emu_has_background(const struct emu_ctrlr *ctrlr);

/*
 * The health that the SMART log says, in words: "temperature=K", "warning=XX" (hexadecimal, added
 * to what follows from the rest), "spare=PERCENT", "used=PERCENT", separated by blanks. Admin
 * thread; -EINVAL with the reason in @why.
 */
int emu_smart_set(struct emu_ctrlr *ctrlr, const char *text, char *why, size_t why_size);

/*
 * A zone that fails: "nsid=N index=N state=readonly|offline", its state from now on; it is in the
 * Changed Zone List, and there is an event. Admin thread; -EINVAL with the reason in @why.
 */
int emu_zone_set(struct emu_ctrlr *ctrlr, const char *text, char *why, size_t why_size);

/* Wait until every poll that is under way in another thread has ended. */
void emu_quiesce(struct emu_ctrlr *ctrlr);

/* Function level reset, also what closing the connection does. */
void emu_ctrlr_reset(struct emu_ctrlr *ctrlr);

#endif
