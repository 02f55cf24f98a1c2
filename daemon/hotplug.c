// SPDX-License-Identifier: BSD-3-Clause
/*
 * Local devices that appear while the daemon runs.
 *
 * Happy path: the kernel says that vfio-pci has been bound to an NVMe function ──► event
 * device_added ──► if the configuration names a controller at its address: it is attached under
 * that name.
 *
 * Failure modes. Attaching fails because whoever gives us access to /dev/vfio comes later: tried
 * again a few times. A controller that had been at this place is still being removed: attached when
 * that has ended; one that had failed is detached first. Events were lost (the socket was
 * full): all places that the configuration names are looked at. There is no such socket: a line in
 * the log, and devices have to be attached by hand.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/daemon.h"
#include "daemon/uevent.h"

#define CLASS_NVME    0x010802u
#define DRIVER        "vfio-pci"
#define TRIES         10
#define RETRY_MS      300
#define EVENTS_AT_ONCE 64 /* then others have their turn */

struct hotplug {
	struct nvmuxd *d;
	int fd;
	struct event *event;
	struct event *timer;
	uint8_t tries[CONF_CONTROLLERS_MAX]; /* left for what the configuration names */
};

static void arm(struct hotplug *hp, uint32_t ms)
{
	const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	if (!evtimer_pending(hp->timer, NULL))
		evtimer_add(hp->timer, &tv);
}

static bool same_place(const struct nvmux_trid *trid, const char *slot)
{
	char address[PCI_ADDRESS_SIZE];

	return trid->trtype == NVMUX_TRTYPE_PCIE && !pci_address_parse(trid->traddr, address) &&
	       strcmp(address, slot) == 0;
}

/* The controller that is at this place, or NULL. */
static struct controller *controller_at(struct nvmuxd *d, const char *slot)
{
	struct controller *c;

	TAILQ_FOREACH (c, &d->controllers, link) {
		if (same_place(&c->trid, slot))
			return c;
	}
	return NULL;
}

/* What the configuration names at this place, or -1. */
static int configured_at(const struct nvmuxd *d, const char *slot)
{
	for (uint32_t i = 0; i < d->config.n_controllers; i++) {
		if (same_place(&d->config.controllers[i].trid, slot))
			return (int)i;
	}
	return -1;
}

static void try_attach(struct hotplug *hp, uint32_t i)
{
	const struct conf_controller *cc = &hp->d->config.controllers[i];
	struct controller *c = controller_find(hp->d, cc->name);

	if (c && c->state != CONTROLLER_ATTACHING)
		hp->tries[i] = 0; /* it has been attached, by us or by hand */
	if (c)
		return;
	hp->tries[i]--;
	log_info(&hp->d->log, "hotplug", "%s: attaching %s", cc->trid.traddr, cc->name);
	if (controller_attach(hp->d, cc->name, &cc->trid, &cc->opts, NULL, NULL))
		log_error(&hp->d->log, "hotplug", "%s: no memory to attach it", cc->name);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct hotplug *hp = arg;
	bool more = false;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < hp->d->config.n_controllers; i++) {
		if (hp->tries[i])
			try_attach(hp, i);
		more |= hp->tries[i] > 0;
	}
	if (more)
		arm(hp, RETRY_MS);
}

/* It had failed, and let go of its device. */
static bool has_failed(const struct controller *c)
{
	return c->state == CONTROLLER_FAILED && !c->ctrlr->device_open;
}

/* A device that vfio-pci has is at this place. */
static void appeared(struct hotplug *hp, const char *slot)
{
	struct nvmuxd *d = hp->d;
	struct controller *c = controller_at(d, slot);
	int i = configured_at(d, slot);
	json_t *params = json_pack("{s:s,s:s}", "traddr", slot, "driver", DRIVER);

	if (params && i >= 0)
		json_object_set_new(params, "name", json_string(d->config.controllers[i].name));
	log_info(&d->log, "hotplug", "%s: a controller has appeared%s", slot,
		 i >= 0 ? "" : ", which the configuration doesn't name");
	events_emit(d, "device_added", params);
	if (c && has_failed(c))
		c->removed = true; /* what had failed has gone: this is another start */
	if (c)
		c->came_back = controller_is_removed(c);
	if (c && c->removed)
		controller_check_removed(c);
	if (i < 0)
		return;
	hp->tries[i] = TRIES;
	if (!c)
		arm(hp, 0);
}

static void disappeared(struct hotplug *hp, const char *slot)
{
	int i = configured_at(hp->d, slot);

	if (i >= 0)
		hp->tries[i] = 0;
	events_emit(hp->d, "device_removed", json_pack("{s:s}", "traddr", slot));
}

static void take(struct hotplug *hp, const struct uevent *event)
{
	char slot[PCI_ADDRESS_SIZE];

	if (strcmp(event->subsystem, "pci") || event->class != CLASS_NVME ||
	    pci_address_parse(event->slot, slot))
		return;
	if (!strcmp(event->action, "bind") && !strcmp(event->driver, DRIVER))
		appeared(hp, slot);
	else if (!strcmp(event->action, "remove"))
		disappeared(hp, slot);
}

static bool has_driver(const char *slot)
{
	char path[128], target[256];
	const char *name;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", slot);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	name = strrchr(target, '/');
	return name && !strcmp(name + 1, DRIVER);
}

/* Events were lost: a device may also have been replaced. */
static void look_everywhere(struct hotplug *hp)
{
	const struct conf_controller *cc = hp->d->config.controllers;
	const struct controller *c;
	char slot[PCI_ADDRESS_SIZE];

	log_warning(&hp->d->log, "hotplug", "too many events at once: looking at all places");
	for (uint32_t i = 0; i < hp->d->config.n_controllers; i++) {
		if (cc[i].trid.trtype == NVMUX_TRTYPE_PCIE &&
		    !pci_address_parse(cc[i].trid.traddr, slot) && has_driver(slot) &&
		    (!(c = controller_at(hp->d, slot)) || controller_is_removed(c) ||
		     has_failed(c)))
			appeared(hp, slot);
	}
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct hotplug *hp = arg;
	struct uevent event;
	int err;

	(void)what;
	for (unsigned n = 0; n < EVENTS_AT_ONCE; n++) {
		err = uevent_receive((int)fd, &event);
		if (err == -EAGAIN)
			return;
		if (!err) {
			take(hp, &event);
		} else if (err == -ENOBUFS) {
			look_everywhere(hp);
		} else if (err != -EBADMSG) {
			log_error(&hp->d->log, "hotplug", "devices aren't looked for any more: %s",
				  strerror(-err));
			event_del(hp->event);
			return;
		}
	}
}

void hotplug_again(struct nvmuxd *d, const struct nvmux_trid *trid)
{
	char slot[PCI_ADDRESS_SIZE];
	int i;

	if (!d->hotplug || trid->trtype != NVMUX_TRTYPE_PCIE ||
	    pci_address_parse(trid->traddr, slot))
		return;
	i = configured_at(d, slot);
	if (i < 0)
		return;
	d->hotplug->tries[i] = TRIES;
	arm(d->hotplug, 0);
}

void hotplug_start(struct nvmuxd *d)
{
	struct hotplug *hp = calloc(1, sizeof(*hp));
	int err = -ENOMEM;

	if (!hp)
		goto fail;
	hp->d = d;
	err = uevent_open(&hp->fd);
	if (err)
		goto fail;
	d->hotplug = hp;
	hp->event = event_new(d->base, hp->fd, EV_READ | EV_PERSIST, on_event, hp);
	hp->timer = evtimer_new(d->base, on_timer, hp);
	if (hp->event && hp->timer && !event_add(hp->event, NULL))
		return;
	err = -ENOMEM;
	hotplug_stop(d);
	hp = NULL;
fail:
	free(hp);
	log_warning(&d->log, "hotplug", "devices that appear aren't noticed: %s", strerror(-err));
}

void hotplug_stop(struct nvmuxd *d)
{
	struct hotplug *hp = d->hotplug;

	d->hotplug = NULL;
	if (!hp)
		return;
	if (hp->event)
		event_free(hp->event);
	if (hp->timer)
		event_free(hp->timer);
	close(hp->fd);
	free(hp);
}
