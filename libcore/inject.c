// SPDX-License-Identifier: BSD-3-Clause
/*
 * Errors that a caller injects into its own commands; see <nvmux/fault.h>.
 *
 * Happy path: a queue pair with injections leaves the short way of a submission. A command whose
 * opcode is looked for gets a record, which keeps its callback: it is either sent with a callback
 * that replaces the status, or kept in a list until its time has come.
 *
 * Failure modes: all records are in use (-EAGAIN, as with slots); the queue pair ends (what was
 * never sent ends like what is in flight). Statuses that were injected aren't retried, and they
 * don't hide how the library itself ends a command.
 */
#include <errno.h>
#include <string.h>

#include <nvmux/fault.h>
#include <nvmux/io.h>

#include "ctrlr_state.h"
#include "faults.h"

#define OPCODES_MAX 16 /* injections of one queue pair */
#define FUSE_MASK   ((uint32_t)NVMUX_IO_FUSE_FIRST | NVMUX_IO_FUSE_SECOND)

struct injected {
	TAILQ_ENTRY(injected) link;
	struct nvmux_injections *owner;
	nvmux_cmd_cb cb;
	void *arg;
	uint64_t due_ms;
	uint16_t status;
	bool keep_status; /* it ends without a word from the device */
};

TAILQ_HEAD(injected_list, injected);

struct nvmux_injections {
	struct nvmux_qpair *qpair;
	struct nvmux_error_injection rules[OPCODES_MAX];
	uint32_t n_rules;
	uint32_t n_pending;
	struct injected_list pending; /* never sent */
	struct injected_list unused;
	struct nvmux_timer timer; /* of the admin queue, which isn't polled */
	struct injected records[];
};

static struct nvmux_injections *injections_new(struct nvmux_qpair *qpair)
{
	struct nvmux_injections *in =
		calloc(1, sizeof(*in) + qpair->depth * sizeof(in->records[0]));

	if (!in)
		return NULL;
	in->qpair = qpair;
	TAILQ_INIT(&in->pending);
	TAILQ_INIT(&in->unused);
	for (uint32_t i = 0; i < qpair->depth; i++) {
		in->records[i].owner = in;
		TAILQ_INSERT_TAIL(&in->unused, &in->records[i], link);
	}
	return in;
}

void inject_fini(struct nvmux_qpair *qpair)
{
	struct nvmux_injections *in = qpair->injections;

	if (!in)
		return;
	nvmux_timer_cancel(qpair->ctrlr->nvmux, &in->timer);
	free(in);
	qpair->injections = NULL;
}

static struct nvmux_error_injection *find_rule(struct nvmux_injections *in, uint8_t opc)
{
	for (uint32_t i = 0; in && i < in->n_rules; i++) {
		if (in->rules[i].opc == opc)
			return &in->rules[i];
	}
	return NULL;
}

static void update_slow(struct nvmux_qpair *qpair)
{
	const struct nvmux_injections *in = qpair->injections;

	if (in && (in->n_rules || in->n_pending))
		qpair->slow |= NVMUX_SLOW_INJECT;
	else
		qpair->slow &= (uint8_t)~NVMUX_SLOW_INJECT;
}

int nvmux_qpair_add_cmd_error_injection(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
					const struct nvmux_error_injection *injection)
{
	struct nvmux_error_injection *rule;

	qpair = qpair ? qpair : ctrlr->adminq;
	if (!qpair || qpair->ctrlr != ctrlr)
		return -EINVAL;
	if (!qpair->injections)
		qpair->injections = injections_new(qpair);
	if (!qpair->injections)
		return -ENOMEM;
	rule = find_rule(qpair->injections, injection->opc);
	if (!rule) {
		if (qpair->injections->n_rules == OPCODES_MAX)
			return -ENOMEM;
		rule = &qpair->injections->rules[qpair->injections->n_rules++];
	}
	*rule = *injection;
	update_slow(qpair);
	return 0;
}

static void remove_rule(struct nvmux_injections *in, struct nvmux_error_injection *rule)
{
	*rule = in->rules[--in->n_rules];
}

bool nvmux_qpair_remove_cmd_error_injection(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
					    uint8_t opc)
{
	struct nvmux_error_injection *rule;

	qpair = qpair ? qpair : ctrlr->adminq;
	if (!qpair)
		return false;
	rule = find_rule(qpair->injections, opc);
	if (rule)
		remove_rule(qpair->injections, rule);
	update_slow(qpair);
	return rule;
}

/* ---- commands ---- */

static void set_status(struct nvmux_cpl *cpl, uint16_t status)
{
	cpl->status = cpu_to_le16((uint16_t)(status << 1));
}

static void replaced_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct injected *record = arg;
	nvmux_cmd_cb cb = record->cb;
	void *cb_arg = record->arg;
	struct nvmux_cpl copy = *cpl;

	if (!record->keep_status)
		set_status(&copy, record->status);
	TAILQ_INSERT_HEAD(&record->owner->unused, record, link);
	cb(cb_arg, &copy);
}

void inject_keep_status(nvmux_cmd_cb cb, void *arg)
{
	if (unlikely(cb == replaced_done))
		((struct injected *)arg)->keep_status = true;
}

bool inject_unwrap(nvmux_cmd_cb *cb, void **arg)
{
	const struct injected *record = *arg;

	if (*cb != replaced_done)
		return false;
	*cb = record->cb;
	*arg = record->arg;
	return true;
}

static void set_admin_timer(struct nvmux_injections *in)
{
	struct nvmux_ctrlr *ctrlr = in->qpair->ctrlr;
	const struct injected *record;
	uint64_t now = nvmux_now_ms(), due = UINT64_MAX;

	TAILQ_FOREACH (record, &in->pending, link)
		due = MIN(due, record->due_ms);
	if (in->qpair->id == 0 && due != UINT64_MAX)
		nvmux_timer_set(ctrlr->nvmux, &in->timer, due > now ? (uint32_t)(due - now) : 0,
				ctrlr_admin_kick, ctrlr);
}

static void keep(struct injected *record, const struct nvmux_error_injection *rule)
{
	struct nvmux_injections *in = record->owner;

	record->due_ms = nvmux_now_ms() + (rule->delay_us + 999) / 1000;
	TAILQ_INSERT_TAIL(&in->pending, record, link);
	in->n_pending++;
	set_admin_timer(in);
}

int inject_submit(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		  const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_injections *in = qpair->injections;
	struct nvmux_error_injection *rule = find_rule(in, cmd->opc);
	struct injected *record;

	if (!rule || !rule->count)
		return qpair->transport->submit(qpair, cmd, payload, cb, arg);
	record = TAILQ_FIRST(&in->unused);
	if (!record)
		return -EAGAIN;
	record->cb = cb;
	record->arg = arg;
	record->status = rule->status;
	record->keep_status = false;
	TAILQ_REMOVE(&in->unused, record, link);
	/* The other one of two fused commands would wait for it at the controller. */
	if (rule->do_not_submit && !(cmd->flags & FUSE_MASK)) {
		keep(record, rule);
	} else {
		int err = qpair->transport->submit(qpair, cmd, payload, replaced_done, record);

		if (err) {
			TAILQ_INSERT_HEAD(&in->unused, record, link);
			return err;
		}
	}
	if (rule->count != UINT32_MAX && !--rule->count) {
		remove_rule(in, rule);
		update_slow(qpair);
	}
	return 0;
}

/* @record is in @list: those that wait, or those that are being aborted. */
static void complete(struct injected_list *list, struct injected *record, uint16_t status)
{
	struct nvmux_injections *in = record->owner;
	struct nvmux_cpl cpl = {.sqid = cpu_to_le16(in->qpair->id)};
	nvmux_cmd_cb cb = record->cb;
	void *arg = record->arg;

	set_status(&cpl, status);
	TAILQ_REMOVE(list, record, link);
	TAILQ_INSERT_HEAD(&in->unused, record, link);
	in->n_pending--;
	update_slow(in->qpair);
	cb(arg, &cpl);
}

static struct injected *next_due(struct nvmux_injections *in, uint64_t now)
{
	struct injected *record;

	TAILQ_FOREACH (record, &in->pending, link) {
		if (record->due_ms <= now)
			return record;
	}
	return NULL;
}

uint32_t inject_run(struct nvmux_qpair *qpair)
{
	struct nvmux_injections *in = qpair->injections;
	struct injected *record;
	uint64_t now;
	uint32_t n = 0;

	if (!in || !in->n_pending)
		return 0;
	now = nvmux_now_ms();
	/* Those that callbacks add aren't for this turn. */
	for (uint32_t left = in->n_pending; left && (record = next_due(in, now)); left--, n++)
		complete(&in->pending, record, record->status);
	set_admin_timer(in);
	return n;
}

void inject_abort(struct nvmux_qpair *qpair, uint16_t status)
{
	struct nvmux_injections *in = qpair->injections;
	struct injected_list list = TAILQ_HEAD_INITIALIZER(list);

	if (!in)
		return;
	/* What callbacks add waits for the next turn: there may be no end of it. */
	TAILQ_CONCAT(&list, &in->pending, link);
	while (!TAILQ_EMPTY(&list))
		complete(&list, TAILQ_FIRST(&list), status);
}

uint32_t inject_pending(const struct nvmux_qpair *qpair)
{
	return qpair->injections ? qpair->injections->n_pending : 0;
}
