// SPDX-License-Identifier: BSD-3-Clause
/*
 * What follows when commands stay unanswered: a ladder whose rungs disturb more and more, as a
 * table. Pure: fed with the tick, no I/O; timeout.c does what it says.
 *
 * The first two rungs concern one queue pair, and each has its own ladder; what follows concerns
 * the controller, which has one. A function reset comes before the reset of the subsystem, since
 * that one hits other controllers and other hosts.
 */
#include "faults.h"

static const struct rung {
	const char *name;
	uint8_t next;   /* when that didn't help within a time-out */
	uint8_t wanted; /* enum ladder_has; without it the rung is left out */
} rungs[LADDER_RUNGS] = {
	[LADDER_GROUND] = {"nothing", LADDER_ABORT, 0},
	[LADDER_ABORT] = {"abort", LADDER_QUEUE, 0},
	[LADDER_QUEUE] = {"delete the queue", LADDER_CTRLR, 0},
	[LADDER_CTRLR] = {"controller reset", LADDER_FUNCTION, 0},
	[LADDER_FUNCTION] = {"function reset", LADDER_SUBSYSTEM, LADDER_HAS_FUNCTION},
	[LADDER_SUBSYSTEM] = {"NVM subsystem reset", LADDER_FAIL, LADDER_HAS_NSSR},
	[LADDER_FAIL] = {"give up", LADDER_FAIL, 0},
};

/* What was repeated is overdue again after one time-out and a tick. */
#define CLEAR_TICKS (2 * TIMEOUT_TICKS + 1)

enum ladder_rung ladder_climb(struct ladder *ladder, uint32_t tick, unsigned has)
{
	uint8_t rung = rungs[ladder->rung].next;

	while (rungs[rung].wanted & ~has)
		rung = rungs[rung].next;
	*ladder = (struct ladder){.rung = rung, .at = tick};
	return (enum ladder_rung)rung;
}

enum ladder_rung ladder_look(struct ladder *ladder, uint32_t tick, bool overdue, unsigned has)
{
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
	return ladder_climb(ladder, tick, has);
}

const char *ladder_rung_name(enum ladder_rung rung)
{
	return rungs[rung].name;
}
