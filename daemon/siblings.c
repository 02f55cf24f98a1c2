// SPDX-License-Identifier: BSD-3-Clause
/*
 * Controllers of one NVM subsystem: a command by one may change the namespaces of all.
 *
 * Happy path: before such a command the hardware queue pairs of the others are held too → the
 * command, as change.c says → each of the others looks at its namespaces, and then goes on.
 *
 * Failure modes. Another one of them is in a change already: that is waited for, before anything is
 * held. One is reset or lost meanwhile: it stays held until the change has ended. The change ends
 * with a reset: the others stay held until that has ended.
 */
#include <string.h>
#include "daemon/daemon.h"
#include "libcore/transport.h"

/* Over a fabric data is described with its length, and old formats do no harm to memory. */
bool controllers_are_siblings(const struct controller *a, const struct controller *b)
{
	return a != b && a->ctrlr && b->ctrlr && !controller_is_fabrics(a) &&
	       !controller_is_fabrics(b) && a->ctrlr->id.subnqn[0] &&
	       memcmp(a->ctrlr->id.subnqn, b->ctrlr->id.subnqn, sizeof(a->ctrlr->id.subnqn)) == 0;
}

bool siblings_are_busy(const struct controller *c)
{
	const struct controller *other;

	TAILQ_FOREACH (other, &c->d->controllers, link) {
		if (controllers_are_siblings(c, other) && (other->change || other->held_for))
			return true;
	}
	return false;
}

void siblings_hold(struct controller *c, struct op *op)
{
	struct controller *other;

	TAILQ_FOREACH (other, &c->d->controllers, link) {
		if (!controllers_are_siblings(c, other) || other->state != CONTROLLER_READY ||
		    other->lost || other->detaching)
			continue;
		other->held_for = c;
		other->changing = true;
		hw_queues_hold(other, op);
	}
}

void siblings_stop_holding(struct controller *c)
{
	struct controller *other;

	TAILQ_FOREACH (other, &c->d->controllers, link) {
		if (other->held_for == c)
			hw_queues_stop_holding(other);
	}
}

void siblings_look(struct controller *c)
{
	struct controller *other;

	TAILQ_FOREACH (other, &c->d->controllers, link) {
		if (controllers_are_siblings(c, other) && other->held_for != c)
			controller_namespaces_changed(other);
	}
}

static struct controller *held_for(struct controller *c)
{
	struct controller *other;

	TAILQ_FOREACH (other, &c->d->controllers, link) {
		if (other->held_for == c)
			return other;
	}
	return NULL;
}

/* Each stays held until it has looked, or its reset has. */
void siblings_go_on(struct controller *c)
{
	struct controller *other;

	while ((other = held_for(c))) {
		other->held_for = NULL;
		controller_namespaces_changed(other);
		if (!other->look_queued && other->state != CONTROLLER_RESETTING)
			controller_go_on(other);
	}
}
