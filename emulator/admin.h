/* SPDX-License-Identifier: BSD-3-Clause */
/* State of the admin command set, a struct for each subject; a part of struct emu_ctrlr. */
#ifndef NVMUX_EMU_ADMIN_H
#define NVMUX_EMU_ADMIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <nvme/types.h>
#include "emulator/model.h"

struct emu_ctrlr;
struct emu_sq;
struct nvmux_cmd;

enum emu_priority { /* QPRIO of Create I/O Submission Queue */
		    EMU_PRIO_URGENT,
		    EMU_PRIO_HIGH,
		    EMU_PRIO_MEDIUM,
		    EMU_PRIO_LOW,
		    EMU_PRIOS,
};

/* Why commands take the slow way, see execute_slow() in queue.c. */
#define EMU_SLOW_FAULT    1u /* faults are set */
#define EMU_SLOW_SANITIZE 2u /* a sanitize operation is in progress */
#define EMU_SLOW_FATAL    4u /* CSTS.CFS by a fault: nothing is served */

/* What goes on without a command (a bit each). */
#define EMU_BG_SANITIZE  1u
#define EMU_BG_SELF_TEST 2u

uint64_t emu_now_ns(void);
#define EMU_NS_PER_MS 1000000ull

/* ---- host_mem.c: doorbell buffers and host memory buffer ---- */

/* @size bytes of the host's memory, which the device may read and write as it says; NULL: they
 * aren't there in one piece. */
void *emu_map(struct emu_ctrlr *ctrlr, uint64_t iova, uint64_t size, bool read, bool write);

#define EMU_HMB_DESCRIPTORS 16u /* HMMAXD */
#define EMU_HMB_MIN         (64u << 10)

struct emu_shadow {
	volatile uint32_t *doorbells; /* NULL: not configured */
	volatile uint32_t *events;
	uint64_t doorbells_iova;
	uint64_t events_iova;
};

struct emu_hmb {
	bool enabled;
	bool stamped; /* it was in use before: the stamps are in sums */
	uint32_t pages;
	uint64_t list;
	uint32_t n;
	struct {
		uint64_t iova;
		uint64_t size;
	} ranges[EMU_HMB_DESCRIPTORS];
	uint64_t stamp;
};

bool emu_shadow_offered(const struct emu_ctrlr *ctrlr);
uint32_t emu_shadow_load(const struct emu_ctrlr *ctrlr, uint32_t number,
			 const volatile uint32_t *doorbell);
uint16_t emu_doorbell_buffer_config(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd);
uint16_t emu_set_hmb(struct emu_sq *sq, const struct nvmux_cmd *cmd);
uint16_t emu_get_hmb(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0);
/* Look whether the host has left the buffer alone. */
void emu_hmb_check(struct emu_ctrlr *ctrlr);
void emu_host_memory_reset(struct emu_ctrlr *ctrlr);
/* A range goes; true: the controller needed it. */
bool emu_host_memory_changed(struct emu_ctrlr *ctrlr, uint64_t iova, uint64_t size);

/* ---- sanitize.c ---- */

#define EMU_SANITIZE_MS 300u

struct emu_sanitize {
	uint64_t began;
	uint32_t cdw10;
	uint8_t status; /* of SSTAT */
	uint8_t passes;
	uint8_t wanted_passes;
	bool erased; /* Global Data Erased */
};

uint16_t emu_sanitize(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd);
/* Whether a command must wait until the sanitize operation has ended. A status. */
uint16_t emu_sanitize_refuses(const struct emu_sq *sq, const struct nvmux_cmd *cmd);
void emu_sanitize_advance(struct emu_ctrlr *ctrlr);
uint32_t emu_sanitize_log(struct emu_ctrlr *ctrlr, uint8_t *buf);

/* ---- self_test.c ---- */

#define EMU_SELF_TEST_SHORT_MS    300u
#define EMU_SELF_TEST_EXTENDED_MS 1500u

struct emu_self_test {
	uint64_t began;
	uint8_t code; /* 0: none is in progress */
	uint32_t nsid;
	struct nvme_st_result results[NVME_LOG_ST_MAX_RESULTS];
};

uint16_t emu_self_test(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd);
void emu_self_test_advance(struct emu_ctrlr *ctrlr);
/* It ends because of something else (enum nvme_status_result). */
void emu_self_test_abort(struct emu_ctrlr *ctrlr, uint8_t result);
uint32_t emu_self_test_log(struct emu_ctrlr *ctrlr, uint8_t *buf);

/* ---- firmware.c ---- */

#define EMU_FW_SLOTS 3u /* the first one is read-only */
#define EMU_FW_MAX   (1u << 20)
#define EMU_FW_UNIT  4096u /* FWUG */

struct emu_firmware {
	char revision[EMU_FW_SLOTS][8]; /* all zeroes: empty */
	uint8_t active;                 /* slot, from 1 */
	uint8_t next;                   /* activated by the next reset; 0: none */
	uint8_t *image;                 /* what is being downloaded */
	uint8_t have[EMU_FW_MAX / EMU_FW_UNIT];
	uint32_t end;
};

void emu_firmware_init(struct emu_ctrlr *ctrlr);
void emu_firmware_destroy(struct emu_ctrlr *ctrlr);
/* A controller level reset; @subsystem: of the whole subsystem. */
void emu_firmware_reset(struct emu_ctrlr *ctrlr);
uint16_t emu_firmware_download(struct emu_sq *sq, const struct nvmux_cmd *cmd);
uint16_t emu_firmware_commit(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd);
uint32_t emu_firmware_log(struct emu_ctrlr *ctrlr, uint8_t *buf);

/* ---- boot.c ---- */

#define EMU_BOOT_SIZE (256u << 10) /* of each partition */

struct emu_boot {
	uint8_t *partitions[2]; /* NULL: never written, zeroes */
	uint8_t active;
	uint8_t read_status; /* BPINFO.BRS */
	uint32_t select;     /* BPRSEL */
	uint64_t buffer;     /* BPMBL */
};

void emu_boot_destroy(struct emu_ctrlr *ctrlr);
/* The register BPINFO. */
uint32_t emu_boot_info(const struct emu_ctrlr *ctrlr);
/* BPRSEL is written. */
void emu_boot_read(struct emu_ctrlr *ctrlr, uint32_t select);
/* Partition @id, 0 or 1, becomes this. A status. */
uint16_t emu_boot_replace(struct emu_ctrlr *ctrlr, uint32_t id, const uint8_t *image, uint32_t len);

/* ---- security.c, directive.c ---- */

#define EMU_STREAMS_MAX 16u

struct emu_streams {
	bool enabled; /* on a namespace */
	uint16_t n_open;
	uint16_t open[EMU_STREAMS_MAX];
	uint16_t allocated;
};

uint16_t emu_security_receive(struct emu_sq *sq, const struct nvmux_cmd *cmd);
uint16_t emu_security_send(struct emu_sq *sq, const struct nvmux_cmd *cmd);
uint16_t emu_directive_receive(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0);
uint16_t emu_directive_send(struct emu_sq *sq, const struct nvmux_cmd *cmd);
/* I/O threads: a write names a stream, which opens it. */
bool emu_streams_enabled(const struct emu_ctrlr *ctrlr, uint32_t nsid);
void emu_stream_use(struct emu_ctrlr *ctrlr, uint32_t nsid, uint16_t id);

/* ---- placement.c: flexible data placement, and what writes say of directives ---- */

struct emu_placement {
	pthread_mutex_t lock;
	bool enabled; /* atomic */
	bool named[EMU_FDP_MAX];
	uint32_t left[EMU_FDP_MAX]; /* bytes of the reclaim unit */
	uint64_t written;
};

void emu_placement_init(struct emu_ctrlr *ctrlr);
void emu_placement_destroy(struct emu_ctrlr *ctrlr);
bool emu_placement_enabled(const struct emu_ctrlr *ctrlr);
/* Whether a write may name this type of directive; a status. */
uint16_t emu_placement_check(const struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd);
struct emu_ns;
/* Of one that has succeeded. */
void emu_placement_written(struct emu_ctrlr *ctrlr, const struct emu_ns *ns,
			   const struct nvmux_cmd *cmd);
uint16_t emu_io_mgmt(struct emu_sq *sq, const struct emu_ns *ns, const struct nvmux_cmd *cmd);
uint16_t emu_set_placement(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd);
uint16_t emu_get_placement(const struct emu_ctrlr *ctrlr, uint32_t cdw11, uint32_t *ret);
/* Log pages. */
uint32_t emu_placement_configs(struct emu_ctrlr *ctrlr, uint8_t *buf);
uint32_t emu_placement_usage(struct emu_ctrlr *ctrlr, uint8_t *buf);
uint32_t emu_placement_stats(struct emu_ctrlr *ctrlr, uint8_t *buf);
uint32_t emu_placement_events(struct emu_ctrlr *ctrlr, uint8_t *buf);

/* ---- ns_mgmt.c ---- */

uint16_t emu_ns_management(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t *ret_dw0);
uint16_t emu_ns_attachment(struct emu_sq *sq, const struct nvmux_cmd *cmd);
uint16_t emu_format(struct emu_sq *sq, const struct nvmux_cmd *cmd);
/* Bytes that namespaces could have together, and those that none has. */
uint64_t emu_ns_capacity(const struct emu_ctrlr *ctrlr);
uint64_t emu_ns_unallocated(const struct emu_ctrlr *ctrlr);
uint32_t emu_changed_ns_log(struct emu_ctrlr *ctrlr, uint8_t *buf);
/* The host has read the log. */
void emu_changed_ns_clear(struct emu_ctrlr *ctrlr);

/* ---- arbitration ---- */

unsigned emu_arbitration_burst(const struct emu_ctrlr *ctrlr);
unsigned emu_arbitration_weight(const struct emu_ctrlr *ctrlr, uint8_t class);

#endif
