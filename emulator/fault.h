/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Faults on demand.
 *
 * A fault is described in words: `<what>[:opc=XX][:qid=N][:nth=N][:times=N][:ms=N]`.
 *
 * Faults of single commands. They hit each command that the filters opc (hexadecimal) and qid (0:
 * admin) let through, from the nth such command on (default 1), and so many times (default 1; 0: as
 * long as the fault is set).
 *	drop		executed, and never completed
 *	delay		executed ms later (default 1000); Abort ends it before
 *	duplicate	completed twice
 *	reorder		completed after the next command of its queue, or ms later (default 100)
 *	badcid		completed under a command identifier that the host doesn't know
 *	status=HEX	not executed; completed with this status (hexadecimal, bits 15:1 of the
 *			completion's last word, so that 4000 is Do Not Retry)
 *	shortidentify	the first 256 bytes of an Identify data structure are all that is written
 *	missirq		completed without an interrupt
 *
 * Faults of the controller. At once, or, with a filter, when such a command is fetched.
 *	cfs		CSTS.CFS; nothing is served until the controller has been disabled
 *	allones		registers read as all ones, nothing is served; for ms, or until it is
 *			cleared
 *	truncate	as if the device had been pulled out: the file of the BAR is cut off,
 *			registers read as all ones; ends with the connection
 *	remove		the host is asked to give the device back
 *	stuckready	CSTS.RDY doesn't follow CC.EN for ms, or until it is cleared; with times=N
 *			N such changes of CC.EN: a function or subsystem reset frees it then
 *
 * Faults of the carrier.
 *	badlen		a vfio-user reply says a wrong length; opc: the message's command
 */
#ifndef NVMUX_EMU_FAULT_H
#define NVMUX_EMU_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emu_ctrlr;
struct emu_sq;
struct nvmux_cmd;

#define EMU_FAULTS_MAX     32
#define EMU_FAULT_SPEC_MAX 128

enum emu_fault_what {
	EMU_FAULT_NONE,
	EMU_FAULT_DROP,
	EMU_FAULT_DELAY,
	EMU_FAULT_DUPLICATE,
	EMU_FAULT_REORDER,
	EMU_FAULT_BADCID,
	EMU_FAULT_STATUS,
	EMU_FAULT_SHORTIDENTIFY,
	EMU_FAULT_MISSIRQ,
	EMU_FAULT_CFS,
	EMU_FAULT_ALLONES,
	EMU_FAULT_TRUNCATE,
	EMU_FAULT_REMOVE,
	EMU_FAULT_STUCKREADY,
	EMU_FAULT_BADLEN,
};

struct emu_fault {
	enum emu_fault_what what;
	uint16_t status;
	int32_t opc; /* -1: any */
	int32_t qid; /* -1: any */
	uint32_t nth;
	uint32_t times; /* 0: no limit */
	uint32_t ms;
};

/* One SPEC; -EINVAL with the reason in @why. */
int emu_fault_parse(struct emu_fault *ret, const char *spec, char *why, size_t why_size);

/* ---- of a model; the admin thread ---- */

/* Set one more. -EINVAL, or -ENOSPC: there are EMU_FAULTS_MAX. */
int emu_fault_set(struct emu_ctrlr *ctrlr, const char *spec, char *why, size_t why_size);
/* Forget all of them; what they have done to single commands stays done. */
void emu_fault_clear(struct emu_ctrlr *ctrlr);
/* A line for each, with what is left of it. Return: bytes, without the end. */
size_t emu_fault_list(struct emu_ctrlr *ctrlr, char *text, size_t size);

/* Whether the device is as if it weren't there. */
bool emu_is_gone(struct emu_ctrlr *ctrlr);
/* Whether the reply to this vfio-user command shall have a wrong length. */
bool emu_fault_bad_length(struct emu_ctrlr *ctrlr, uint16_t command);
/* The connection of a carrier ends: so does what lasted as long. */
void emu_fault_end_connection(struct emu_ctrlr *ctrlr);

/* ---- inside the model ---- */

struct emu_faults; /* fault.c */

int emu_faults_create(struct emu_ctrlr *ctrlr, char *why, size_t why_size);
void emu_faults_destroy(struct emu_ctrlr *ctrlr);
/* What happens to a command that was just fetched; any queue's thread. */
struct emu_fault emu_fault_command(struct emu_sq *sq, const struct nvmux_cmd *cmd);
/* CC.EN changes; ready: what CSTS.RDY was. */
void emu_fault_enable(struct emu_ctrlr *ctrlr, bool was_ready);
/* A function or subsystem reset: what was stuck isn't any more, until it happens again. */
void emu_fault_reset(struct emu_ctrlr *ctrlr);
/* Overwrites what a stuck ready bit hides. */
uint32_t emu_fault_csts(struct emu_ctrlr *ctrlr, uint32_t csts);

/* ---- commands and completions that wait (held.c) ---- */

/* Of one submission queue, oldest first; touched by its thread, or while it is stopped. */
struct emu_held;

/* False: there is no memory, or too many wait: the fault doesn't happen. */
bool emu_hold_command(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t ms);
bool emu_hold_completion(struct emu_sq *sq, uint16_t cid, uint16_t status, uint32_t dw0,
			 uint32_t ms);
/* Execute and post what is due; @after_next: a command has completed just now. */
unsigned emu_held_serve(struct emu_sq *sq, bool after_next);
/* Take a delayed command out; false: there is none such. */
bool emu_held_take(struct emu_sq *sq, uint16_t cid);
void emu_held_free(struct emu_sq *sq);

#endif
