/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A transport without a device: it answers register accesses and admin commands as a small healthy
 * controller would, and can be told to fail or to stay silent at its N-th operation.
 */
#ifndef TEST_FAKE_CTRLR_H
#define TEST_FAKE_CTRLR_H

#include "libcore/transport.h"

enum fake_fault {
	FAKE_OK,
	FAKE_ERROR, /* the operation fails with -EIO, a command with Internal Error */
	FAKE_HANG,  /* it is never answered (until the controller is closed) */
};

#define FAKE_DEPTH    8
#define FAKE_HELD_MAX 64

struct fake_ctrlr {
	struct nvmux_ctrlr base;
	uint32_t ops; /* operations so far */
	bool open;
	uint32_t cc;
	struct nvmux_timer timer;
	nvmux_done_fn done; /* of the operation under way, answered from a timer */
	void *done_arg;
	int done_err;
	uint64_t done_value;
};

/* All of what a command was given. */
struct fake_payload {
	uint32_t n;
	uint32_t len;
	struct nvmux_seg segs[NVMUX_SEGS_MAX];
	struct nvmux_seg md;
};

struct fake_qpair {
	struct nvmux_qpair base;
	struct nvmux_timer timer;
	struct nvmux_cpl ready[FAKE_HELD_MAX];
	uint32_t n_ready;
	/* what I/O queues were given */
	struct nvmux_cmd cmds[4096];
	struct nvmux_seg segs[4096]; /* the first piece */
	struct fake_payload payloads[4096];
	uint32_t n_cmds;
	uint16_t io_status; /* of the command number io_fail_at */
	uint32_t io_fail_at;
	bool hold; /* complete nothing */
	uint32_t n_drop; /* I/O commands yet to come that are never answered */
	struct nvmux_cmd by_slot[256];
	uint32_t n_reposts;
	bool due;  /* the interrupt has come */
};

/* Behaviour of all fake controllers of a test. */
struct fake_config {
	enum fake_fault fault;
	uint32_t fault_at;   /* the operation that it hits */
	bool inline_answers; /* from within the call, else from a timer */
	uint32_t n_ns;
	uint8_t mdts;
	uint16_t noiob;
	uint16_t mqes; /* 0's based */
	uint32_t vs;
	uint64_t cap;        /* further bits of it */
	uint32_t csts;       /* further bits of it */
	uint32_t nssr;       /* NVM subsystem resets */
	uint32_t function_resets;
	uint32_t deletes;    /* I/O queue pairs disconnected */
	uint32_t enables;    /* writes of CC.EN = 1 */
	bool stuck;          /* CSTS.RDY stays 1 until one of these two */
	bool function_helpless; /* until the first of them */
	uint32_t admin[256]; /* commands seen, by opcode */
	uint32_t opened, closed; /* counts */
	uint32_t max_ops;        /* of any controller so far */
	struct fake_ctrlr *last;
	uint32_t aers;  /* event requests held */
	bool tolerated; /* the fault hit a command whose failure a driver lives with */
	/* hooks of a test, or NULL: an error of the opening; what Identify has answered may be
	 * changed; a log page is filled, and the status returned */
	int (*open_error)(struct nvmux_ctrlr *ctrlr);
	void (*identify)(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf);
	uint16_t (*log_page)(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, uint8_t *buf,
			     uint32_t len);
	/* any other admin command: sees and fills data and dw0, returns the status */
	uint16_t (*admin_hook)(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd,
			       uint8_t *buf, uint32_t len, uint32_t *dw0);
	/* further registers, read (true) or written; false: it isn't the hook's */
	bool (*reg)(struct nvmux_ctrlr *ctrlr, bool read, uint32_t offset, uint64_t *value);
	uint16_t aer_cid; /* of the event request that was held last */
	/* sees each command of any queue with its first piece of data, or NULL */
	void (*command)(bool admin, const struct nvmux_cmd *cmd, const uint8_t *data, uint32_t len);
};

extern struct fake_config fake;
void fake_reset(void);
/* Answer the event request that was held last. */
void fake_event(struct nvmux_ctrlr *ctrlr, uint32_t dw0);
/* Registered as LOOPBACK, so that addresses may repeat. */
extern const struct nvmux_transport fake_transport;
/* The same, but it keeps commands and can send them once more. */
extern const struct nvmux_transport fake_keeping_transport;
/* The same, and its function can be reset. */
extern const struct nvmux_transport fake_resettable_transport;

#endif
