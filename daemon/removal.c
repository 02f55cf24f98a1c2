// SPDX-License-Identifier: BSD-3-Clause
/*
 * Controllers whose device goes: because it is wanted back (hot plug, another driver), or by
 * surprise.
 *
 * Happy path, in order: libnvmux says that the device is wanted back ──► event, nobody may open the
 * controller any more ──► each session's hold on it is closed: channels take no new command, what
 * is in flight completes, regions are unmapped, the client is told ──► the controller is shut down
 * and the device closed, as by a detach ──► event, and it is forgotten. Clients can't hold it up.
 *
 * Failure modes. A client's commands don't end within drain_timeout_ms: the controller is reset, as
 * for any client that leaves. All that isn't done within removal_timeout_ms: libnvmux closes the
 * device; then it is as if it had gone by surprise: commands in flight end with "controller gone",
 * and what has failed is forgotten when the last hold is closed.
 */
#include <string.h>
#include "daemon/daemon.h"

bool controller_is_removed(const struct controller *c)
{
	return c->removing || c->removed;
}

/* Sessions can't wait for us, and we don't wait for them. */
static void close_holds(struct controller *c)
{
	struct hold *hold;

	TAILQ_FOREACH (hold, &c->holds, ctrlr_link)
		session_close_hold(hold->session, hold, NULL);
}

void controller_remove(struct controller *c)
{
	if (c->removing || c->lost)
		return;
	c->removing = true;
	log_warning(&c->d->log, "ctrlr", "%s: its device is wanted back within %u ms", c->name,
		    c->ctrlr ? c->ctrlr->opts.removal_timeout_ms : 0);
	if (c->detaching || !c->ctrlr)
		return; /* it goes already */
	events_removing(c);
	close_holds(c);
	controller_check_removed(c);
}

void controller_check_removed(struct controller *c)
{
	bool resting = c->removed ? c->state == CONTROLLER_FAILED
				  : c->state != CONTROLLER_ATTACHING && !c->lost;

	if (!controller_is_removed(c) || !resting || !TAILQ_EMPTY(&c->holds) || c->detaching)
		return;
	controller_detach(c, NULL);
}

void controller_say_removed(struct controller *c)
{
	if (!controller_is_removed(c))
		return;
	log_info(&c->d->log, "ctrlr", "%s: removed", c->name);
	events_controller(c, "controller_removed");
}

/* ---- what sessions remember ---- */

void session_remember_gone(struct session *s, const struct controller *c)
{
	struct gone *gone;

	SLIST_FOREACH (gone, &s->gone, link) {
		if (strcmp(gone->name, c->name) == 0)
			return;
	}
	gone = calloc(1, sizeof(*gone));
	if (!gone)
		return; /* it will hear that it hasn't opened the controller */
	memcpy(gone->name, c->name, sizeof(gone->name));
	SLIST_INSERT_HEAD(&s->gone, gone, link);
}

bool session_is_gone(const struct session *s, const char *name)
{
	const struct gone *gone;

	SLIST_FOREACH (gone, &s->gone, link) {
		if (strcmp(gone->name, name) == 0)
			return true;
	}
	return false;
}

void session_forget_gone(struct session *s, const char *name)
{
	struct gone *gone, *next;

	for (gone = SLIST_FIRST(&s->gone); gone; gone = next) {
		next = SLIST_NEXT(gone, link);
		if (name && strcmp(gone->name, name) != 0)
			continue;
		SLIST_REMOVE(&s->gone, gone, gone, link);
		free(gone);
	}
}
