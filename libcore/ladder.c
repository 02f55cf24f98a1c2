// SPDX-License-Identifier: BSD-3-Clause
/*
 * What follows when commands stay unanswered: a ladder whose rungs disturb more and more, as a
 * table. Pure: fed with the tick, no I/O; timeout.c does what it says.
 */
#include "faults.h"

struct rung {
	const char *name;
	uint8_t next;         /* when that didn't help within a time-out */
	uint8_t next_no_nssr; /* the same where there is no NVM subsystem reset */
};

static const struct rung rungs[LADDER_RUNGS] = {
	[LADDER_GROUND] = {"nothing", LADDER_ABORT, LADDER_ABORT},
	[LADDER_ABORT] = {"abort", LADDER_QUEUE, LADDER_QUEUE},
	[LADDER_QUEUE] = {"delete the queue", LADDER_CTRLR, LADDER_CTRLR},
	[LADDER_CTRLR] = {"controller reset", LADDER_SUBSYSTEM, LADDER_FAIL},
	[LADDER_SUBSYSTEM] = {"NVM subsystem reset", LADDER_FAIL, LADDER_FAIL},
	[LADDER_FAIL] = {"give up", LADDER_FAIL, LADDER_FAIL},
};

/* What was repeated is overdue again after one time-out and a tick. */
#define CLEAR_TICKS (2 * TIMEOUT_TICKS + 1)

enum ladder_rung ladder_look(struct ladder *ladder, uint32_t tick, bool overdue, bool has_nssr)
{
	const struct rung *rung = &rungs[ladder->rung];

	if (!overdue) {
		if (!ladder->clear)
			ladder->at = tick;
		ladder->clear = true;
		if (tick - ladder->at >= CLEAR_TICKS)
			ladder->rung = LADDER_GROUND;
		return LADDER_GROUND;
	}
	if (ladder->rung != LADDER_GROUND && !ladder->clear && tick - ladder->at < TIMEOUT_TICKS)
		return LADDER_GROUND;
	ladder->rung = has_nssr ? rung->next : rung->next_no_nssr;
	ladder->at = tick;
	ladder->clear = false;
	return (enum ladder_rung)ladder->rung;
}

const char *ladder_rung_name(enum ladder_rung rung)
{
	return rungs[rung].name;
}
