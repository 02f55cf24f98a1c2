/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happens when: each fault of the emulator (emulator/fault.h) in each state of a controller's
 * life. The table of docs/faults.md; tests look whether it is true.
 */
#ifndef TEST_FAULT_MATRIX_H
#define TEST_FAULT_MATRIX_H

#include <errno.h>
#include <nvmux/nvmux.h>

enum matrix_state {
	AT_ENABLE,   /* the controller is being enabled for the first time */
	AT_IDENTIFY, /* and asked what it is */
	AT_QUEUES,   /* an I/O queue pair is being made */
	AT_IDLE,     /* nothing is in flight; a command follows */
	AT_LOAD,     /* commands are in flight all the time */
	AT_RESET,    /* the same, and the controller is being reset */
	AT_ABORT,    /* the same, and the ladder has sent an Abort command */
	AT_DETACH,   /* commands are in flight that don't end, and the controller is detached */
	MATRIX_STATES,
};

enum matrix_outcome {
	WORKS,   /* every command succeeds, and it goes on working */
	STATUS,  /* the command that was hit ends with the status; it goes on working */
	REFUSED, /* what was under way (attach, queue pair) fails with the error; an attached
		  * controller goes on working */
	LOST,    /* the controller fails, its owner is told once, commands end with CTRLR_GONE */
	ENDS,    /* detached, commands end with Command Aborted due to SQ Deletion */
	ENDS_GONE, /* the same, or CTRLR_GONE where it is seen in time that the device has gone */
};

struct matrix_cell {
	const char *faults; /* set before the step, separated by ';'; NULL: nothing to hit */
	enum matrix_outcome outcome;
	int value; /* status or negative errno value */
};

struct matrix_row {
	const char *fault;
	bool messages; /* of the messages of vfio-user: no other device has it */
	struct matrix_cell cells[MATRIX_STATES];
};

#define ABORTED 0x4007 /* Command Abort Requested; the emulator says Do Not Retry */
#define UNREAD  0x4281 /* Unrecovered Read Error, Do Not Retry */

static const char *const matrix_states[MATRIX_STATES] = {"enable", "identify", "queues", "idle",
							 "load",   "reset",    "abort",  "detach"};

/* clang-format off */
static const struct matrix_row matrix[] = {
	{"drop", false, {
		[AT_ENABLE] = {"drop:qid=0", REFUSED, -ETIMEDOUT},
		[AT_IDENTIFY] = {"drop:opc=06:nth=2", REFUSED, -ETIMEDOUT},
		[AT_QUEUES] = {"drop:opc=05", REFUSED, -EIO},
		[AT_IDLE] = {"drop:qid=1", WORKS, 0},
		[AT_LOAD] = {"drop:qid=1:nth=5:times=3", WORKS, 0},
		[AT_RESET] = {"drop:opc=06", WORKS, 0},
		[AT_ABORT] = {"drop:opc=08", WORKS, 0},
		[AT_DETACH] = {"drop:opc=00", ENDS, 0},
	}},
	{"delay", false, {
		[AT_ENABLE] = {"delay:qid=0:ms=20", WORKS, 0},
		[AT_IDENTIFY] = {"delay:opc=06:nth=2:ms=20", WORKS, 0},
		[AT_QUEUES] = {"delay:opc=05:ms=20", WORKS, 0},
		[AT_IDLE] = {"delay:qid=1:ms=20", WORKS, 0},
		[AT_LOAD] = {"delay:qid=1:nth=5:ms=5000", STATUS, ABORTED},
		[AT_RESET] = {"delay:opc=06:ms=20", WORKS, 0},
		[AT_ABORT] = {"delay:opc=08:ms=20", WORKS, 0},
		[AT_DETACH] = {"delay:opc=00:ms=20", ENDS, 0},
	}},
	{"duplicate", false, {
		[AT_ENABLE] = {"duplicate:qid=0", WORKS, 0},
		[AT_IDENTIFY] = {"duplicate:opc=06:nth=2", WORKS, 0},
		[AT_QUEUES] = {"duplicate:opc=05", WORKS, 0},
		[AT_IDLE] = {"duplicate:qid=1", WORKS, 0},
		[AT_LOAD] = {"duplicate:qid=1:nth=5:times=3", WORKS, 0},
		[AT_RESET] = {"duplicate:opc=06", WORKS, 0},
		[AT_ABORT] = {"duplicate:opc=08", WORKS, 0},
		[AT_DETACH] = {"duplicate:opc=00", ENDS, 0},
	}},
	{"reorder", false, {
		[AT_ENABLE] = {"reorder:qid=0:ms=20", WORKS, 0},
		[AT_IDENTIFY] = {"reorder:opc=06:nth=2:ms=20", WORKS, 0},
		[AT_QUEUES] = {"reorder:opc=05:ms=20", WORKS, 0},
		[AT_IDLE] = {"reorder:qid=1:ms=20", WORKS, 0},
		[AT_LOAD] = {"reorder:qid=1:nth=5:times=3:ms=20", WORKS, 0},
		[AT_RESET] = {"reorder:opc=06:ms=20", WORKS, 0},
		[AT_ABORT] = {"reorder:opc=08:ms=20", WORKS, 0},
		[AT_DETACH] = {"reorder:opc=00:ms=20", ENDS, 0},
	}},
	{"badcid", false, {
		[AT_ENABLE] = {"badcid:qid=0", REFUSED, -ETIMEDOUT},
		[AT_IDENTIFY] = {"badcid:opc=06:nth=2", REFUSED, -ETIMEDOUT},
		[AT_QUEUES] = {"badcid:opc=05", REFUSED, -EIO},
		[AT_IDLE] = {"badcid:qid=1", WORKS, 0},
		[AT_LOAD] = {"badcid:qid=1:nth=5:times=3", WORKS, 0},
		[AT_RESET] = {"badcid:opc=06", WORKS, 0},
		[AT_ABORT] = {"badcid:opc=08", WORKS, 0},
		[AT_DETACH] = {"badcid:opc=00", ENDS, 0},
	}},
	{"status", false, {
		[AT_ENABLE] = {"status=6:qid=0", REFUSED, -EIO},
		[AT_IDENTIFY] = {"status=6:opc=06:nth=2", WORKS, 0},
		[AT_QUEUES] = {"status=6:opc=05", REFUSED, -EIO},
		[AT_IDLE] = {"status=4281:qid=1", STATUS, UNREAD},
		[AT_LOAD] = {"status=22:qid=1:nth=5:times=3", WORKS, 0},
		[AT_RESET] = {"status=6:opc=06", WORKS, 0},
		[AT_ABORT] = {"status=6:opc=08", WORKS, 0},
		[AT_DETACH] = {"status=6:opc=00", ENDS, 0},
	}},
	{"cfs", false, {
		[AT_ENABLE] = {"cfs", REFUSED, -EIO},
		[AT_IDENTIFY] = {"cfs:opc=06:nth=2", REFUSED, -ETIMEDOUT},
		[AT_QUEUES] = {"cfs:opc=05", REFUSED, -EIO},
		[AT_IDLE] = {"cfs", WORKS, 0},
		[AT_LOAD] = {"cfs:qid=1:nth=5", WORKS, 0},
		[AT_RESET] = {"cfs:opc=06", WORKS, 0},
		[AT_ABORT] = {"cfs:opc=08", WORKS, 0},
		[AT_DETACH] = {"cfs:opc=00", ENDS, 0},
	}},
	{"allones", false, {
		[AT_ENABLE] = {"allones", REFUSED, -ENODEV},
		[AT_IDENTIFY] = {"allones:opc=06:nth=2", REFUSED, -ETIMEDOUT},
		[AT_QUEUES] = {"allones:opc=05", LOST, 0},
		[AT_IDLE] = {"allones", LOST, 0},
		[AT_LOAD] = {"allones:qid=1:nth=5", LOST, 0},
		[AT_RESET] = {"allones:opc=06", LOST, 0},
		[AT_ABORT] = {"allones:opc=08", LOST, 0},
		[AT_DETACH] = {"allones:opc=00", ENDS_GONE, 0},
	}},
	{"stuckready", false, {
		[AT_ENABLE] = {"stuckready", REFUSED, -ETIMEDOUT},
		[AT_IDENTIFY] = {NULL, WORKS, 0},
		[AT_QUEUES] = {"drop:opc=05;stuckready", LOST, 0},
		[AT_IDLE] = {"cfs;stuckready:times=1", WORKS, 0},
		[AT_LOAD] = {"cfs:qid=1:nth=5;stuckready", LOST, 0},
		[AT_RESET] = {"stuckready:times=1", WORKS, 0},
		[AT_ABORT] = {"stuckready", WORKS, 0},
		[AT_DETACH] = {"stuckready", ENDS, 0},
	}},
	{"shortidentify", false, {
		[AT_ENABLE] = {"shortidentify", REFUSED, -EPROTO},
		[AT_IDENTIFY] = {"shortidentify:nth=2", WORKS, 0},
		[AT_QUEUES] = {NULL, WORKS, 0},
		[AT_IDLE] = {NULL, WORKS, 0},
		[AT_LOAD] = {NULL, WORKS, 0},
		[AT_RESET] = {"shortidentify", WORKS, 0},
		[AT_ABORT] = {NULL, WORKS, 0},
		[AT_DETACH] = {NULL, ENDS, 0},
	}},
	{"truncate", false, {
		[AT_ENABLE] = {"truncate", REFUSED, -ENODEV},
		[AT_IDENTIFY] = {"truncate:opc=06:nth=2", REFUSED, -ETIMEDOUT},
		[AT_QUEUES] = {"truncate:opc=05", LOST, 0},
		[AT_IDLE] = {"truncate", LOST, 0},
		[AT_LOAD] = {"truncate:qid=1:nth=5", LOST, 0},
		[AT_RESET] = {"truncate:opc=06", LOST, 0},
		[AT_ABORT] = {"truncate:opc=08", LOST, 0},
		[AT_DETACH] = {"truncate:opc=00", ENDS_GONE, 0},
	}},
	{"badlen", true, {
		[AT_ENABLE] = {"badlen:opc=09", REFUSED, -EPROTO},
		[AT_IDENTIFY] = {NULL, WORKS, 0},
		[AT_QUEUES] = {"badlen:opc=02", LOST, 0},
		[AT_IDLE] = {"badlen:opc=09", LOST, 0},
		[AT_LOAD] = {"drop:qid=1:nth=5;badlen:opc=09", LOST, 0},
		[AT_RESET] = {"badlen:opc=09", LOST, 0},
		[AT_ABORT] = {"badlen:opc=09", LOST, 0},
		[AT_DETACH] = {"badlen:opc=0d", ENDS, 0},
	}},
	{"missirq", false, {
		[AT_ENABLE] = {"missirq:qid=0", WORKS, 0},
		[AT_IDENTIFY] = {"missirq:opc=06:nth=2", WORKS, 0},
		[AT_QUEUES] = {"missirq:opc=05", WORKS, 0},
		[AT_IDLE] = {"missirq:qid=1", WORKS, 0},
		[AT_LOAD] = {"missirq:qid=1:nth=5:times=3", WORKS, 0},
		[AT_RESET] = {"missirq:opc=06", WORKS, 0},
		[AT_ABORT] = {"missirq:opc=08", WORKS, 0},
		[AT_DETACH] = {"missirq:opc=00", ENDS, 0},
	}},
};
/* clang-format on */

#endif
