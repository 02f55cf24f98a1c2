// SPDX-License-Identifier: BSD-3-Clause
/*
 * Commands and completions that a fault holds back. They belong to their submission queue: its
 * thread executes and posts them when they are due, and they end when the queue does.
 */
#include <string.h>
#include "emulator/internal.h"

struct emu_held {
	struct emu_held *next;
	uint64_t due;
	bool executed;
	struct nvmux_cmd cmd; /* not executed yet */
	uint16_t cid;         /* executed: the completion */
	uint16_t status;
	uint64_t result;
};

static struct emu_held *hold(struct emu_sq *sq, uint32_t ms)
{
	struct emu_held *h, **end = &sq->held;

	/* A host that obeys the rules has no more than that in flight. */
	if (sq->n_held >= sq->entries)
		return NULL;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->due = emu_now_ns() + ms * EMU_NS_PER_MS;
	while (*end)
		end = &(*end)->next;
	*end = h;
	sq->n_held++;
	return h;
}

bool emu_hold_command(struct emu_sq *sq, const struct nvmux_cmd *cmd, uint32_t ms)
{
	struct emu_held *h = hold(sq, ms);

	if (!h)
		return false;
	h->cmd = *cmd;
	return true;
}

bool emu_hold_completion(struct emu_sq *sq, uint16_t cid, uint16_t status, uint32_t dw0,
			 uint32_t ms)
{
	struct emu_held *h = hold(sq, ms);

	if (!h)
		return false;
	h->executed = true;
	h->cid = cid;
	h->status = status;
	h->result = dw0 | sq->result;
	sq->result = 0;
	return true;
}

static void drop(struct emu_sq *sq, struct emu_held **at)
{
	struct emu_held *h = *at;

	*at = h->next;
	sq->n_held--;
	free(h);
}

unsigned emu_held_serve(struct emu_sq *sq, bool after_next)
{
	struct emu_held **at = &sq->held;
	uint64_t now = emu_now_ns();
	unsigned n = 0;

	while (*at && emu_has_room(sq)) {
		struct emu_held h = **at;

		if (h.due > now && !(after_next && h.executed)) {
			at = &(*at)->next;
			continue;
		}
		drop(sq, at);
		if (h.executed) {
			sq->result = h.result;
			emu_post(sq, h.cid, h.status, 0);
		} else {
			emu_execute(sq, &h.cmd);
		}
		n++;
	}
	return n;
}

bool emu_held_take(struct emu_sq *sq, uint16_t cid)
{
	for (struct emu_held **at = &sq->held; *at; at = &(*at)->next) {
		if ((*at)->executed || le16_to_cpu((*at)->cmd.cid) != cid)
			continue;
		drop(sq, at);
		return true;
	}
	return false;
}

void emu_held_free(struct emu_sq *sq)
{
	while (sq->held)
		drop(sq, &sq->held);
}
