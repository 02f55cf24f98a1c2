// SPDX-License-Identifier: BSD-3-Clause
/*
 * Discovery services to which a connection is kept.
 *
 * Happy path: the discovery controller is connected → its log page is read → whoever asked for it
 * is told → (the service says that the log has changed → it is read anew → event; with attach, what
 * is new in it is attached) again and again → it is to be stopped → disconnected, forgotten.
 *
 * There is no list of steps: whatever happens sets a flag, and look(), called from the event loop
 * only, does what the flags say is next. What libnvmux has under way (connecting, reading,
 * disconnecting) ends with a callback in any case, and nothing is freed before that.
 *
 * Failure modes. The first attempt fails: one that was started by a client is forgotten, one of the
 * configuration is tried again every reconnect_delay_sec. The connection is lost: libnvmux restores
 * it, and the log is read anew, since a notice may have been missed. It can't be restored in the
 * time that was given: FAILED, for people to see, until it is stopped. The log can't be read: tried
 * again after reconnect_delay_sec. It is to be stopped: in any of these.
 *
 * A subsystem is new when the log didn't have it before, or it couldn't be taken then (too many, no
 * memory), and isn't attached already by whatever way out of this host. None is detached here; but
 * the attempts of one that never could be attached end when no service reports it any more.
 *
 * A service that is out of its mind costs little: its log is read once a second at most, and what
 * it makes us attach is limited, together with what all others do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"
#include "daemon/discovery_json.h"

#define ATTACHED_MAX  64   /* controllers of one service */
#define FOUND_MAX     96   /* of all services: the others are for people */
#define RECORDS_MAX   1024 /* that are kept, and looked at */
#define READ_PAUSE_MS 1000

struct discovery {
	TAILQ_ENTRY(discovery) link;
	struct nvmuxd *d;
	char name[CONF_NAME_MAX];
	struct nvmux_trid trid;
	struct nvmux_ctrlr_opts opts;        /* of the connection to the service */
	struct nvmux_ctrlr_opts attach_opts; /* of what it reports */
	bool attach;
	struct event *look;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_discovery_log *log; /* as last read, or NULL */
	uint32_t n_records;              /* that it had; @log has the first of them */
	bool missed[RECORDS_MAX];        /* of @log: to be attached, but couldn't be taken */
	struct rpc_request *start_req;   /* of who waits for the first log */
	struct rpc_request *stop_req;

	/* what libnvmux has under way */
	bool connecting;
	bool reading;
	bool detaching;

	/* what is known, and wanted */
	bool cancelled; /* the attempt to connect */
	bool changed;   /* the log is to be read */
	bool lost;      /* the controller is of no use any more */
	bool refused;   /* at once, for what it is: another attempt would be, too */
	bool failed;    /* for good */
	bool stopping;
	uint32_t attempts; /* that failed, until one didn't */
	uint64_t retry_at_ms;
	uint64_t read_at_ms; /* the log */
	char reason[256];
};

struct discovery *discovery_find(struct nvmuxd *d, const char *name)
{
	struct discovery *disc;

	TAILQ_FOREACH (disc, &d->discoveries, link) {
		if (strcmp(disc->name, name) == 0)
			return disc;
	}
	return NULL;
}

static void look_in(struct discovery *disc, uint64_t ms)
{
	const struct timeval tv = {.tv_sec = (time_t)(ms / 1000),
				   .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	disc->retry_at_ms = ms ? nvmux_now_ms() + ms : 0;
	evtimer_add(disc->look, &tv);
}

static uint64_t retry_delay_ms(const struct discovery *disc)
{
	return (uint64_t)disc->opts.reconnect_delay_sec * 1000;
}

static void look_soon(struct discovery *disc)
{
	look_in(disc, 0);
}

/* Something didn't work that will be tried again. Errors are told once, not each time. */
static void note_failure(struct discovery *disc, int err, const char *what)
{
	struct log *log = &disc->d->log;

	snprintf(disc->reason, sizeof(disc->reason), "%.*s", (int)sizeof(disc->reason) - 1,
		 daemon_error_text(disc->d, err));
	log_write(log, disc->attempts++ ? NVMUX_LOG_INFO : NVMUX_LOG_ERROR, "discovery",
		  "%s: %s: %s", disc->name, what, disc->reason);
}

/* Who started it learns that it couldn't be; nothing of it stays. */
static bool fail_start(struct discovery *disc, int err)
{
	if (!disc->start_req)
		return false;
	rpc_reply_errno(disc->start_req, err, "discovery service '%s' can't be reached: %s",
			disc->name, disc->reason);
	disc->start_req = NULL;
	disc->stopping = true;
	return true;
}

/* ---- attaching what is reported ---- */

/* As texts: they come from the same service. */
static bool same_entry(const struct nvmux_discovery_entry *a, const struct nvmux_discovery_entry *b)
{
	return a->subtype == b->subtype && a->trtype == b->trtype && a->adrfam == b->adrfam &&
	       strcmp(a->trid.subnqn, b->trid.subnqn) == 0 &&
	       strcmp(a->trid.traddr, b->trid.traddr) == 0 &&
	       strcmp(a->trid.trsvcid, b->trid.trsvcid) == 0;
}

/* Its place in the log, or -1. */
static int log_find(const struct nvmux_discovery_log *log,
		    const struct nvmux_discovery_entry *entry)
{
	for (uint32_t i = 0; log && i < log->n; i++) {
		if (same_entry(&log->entries[i], entry))
			return (int)i;
	}
	return -1;
}

static bool is_subsystem(const struct nvmux_discovery_entry *entry)
{
	return entry->subtype == NVMUX_DISCOVERY_NVME && entry->trid.trtype == NVMUX_TRTYPE_RDMA;
}

static bool log_names(const struct nvmux_discovery_log *log, const struct controller *c)
{
	struct nvmux_trid trid = c->trid, other;

	trid.host_traddr[0] = trid.host_iface[0] = '\0'; /* ours, not the record's */
	for (uint32_t i = 0; log && i < log->n; i++) {
		other = log->entries[i].trid;
		if (is_subsystem(&log->entries[i]) && nvmux_trid_compare(&other, &trid) == 0)
			return true;
	}
	return false;
}

/* How many controllers are there, or tried, because a service reported them. */
static unsigned n_found(const struct nvmuxd *d)
{
	const struct controller *c;
	unsigned n = 0;

	TAILQ_FOREACH (c, &d->controllers, link)
		n += c->found_by[0] != '\0';
	return n;
}

/* The first NAME-n that nobody uses. False: all are used. */
static bool free_name(const struct discovery *disc, char *buf, size_t size)
{
	for (unsigned i = 0; i < ATTACHED_MAX; i++) {
		snprintf(buf, size, "%s-%u", disc->name, i);
		if (!controller_find(disc->d, buf))
			return true;
	}
	return false;
}

/* False: it can't be taken now. */
static bool attach_entry(struct discovery *disc, const struct nvmux_discovery_entry *entry)
{
	char name[CONF_NAME_MAX + 16];
	struct nvmuxd *d = disc->d;
	struct nvmux_trid trid = entry->trid;

	nvmux_trid_take_source(&trid, &disc->trid);
	if (controller_find_target(d, &trid))
		return true;
	if (n_found(d) >= FOUND_MAX || !free_name(disc, name, sizeof(name)))
		return false;
	log_info(&d->log, "discovery", "%s: attaching %s at %s as %s", disc->name, trid.subnqn,
		 trid.traddr, name);
	return controller_attach(d, name, &trid, &disc->attach_opts, disc->name, NULL) == 0;
}

static void attach_new(struct discovery *disc, const struct nvmux_discovery_log *log)
{
	bool missed[RECORDS_MAX] = {false};
	uint32_t n_missed = 0;
	int old;

	for (uint32_t i = 0; i < log->n; i++) {
		if (!is_subsystem(&log->entries[i]))
			continue;
		old = log_find(disc->log, &log->entries[i]);
		if (old < 0 || disc->missed[old])
			missed[i] = !attach_entry(disc, &log->entries[i]);
		n_missed += missed[i];
	}
	memcpy(disc->missed, missed, sizeof(missed));
	if (n_missed)
		log_error(&disc->d->log, "discovery",
			  "%s: %u subsystems aren't attached: there may be %d controllers of one "
			  "service, %d of all, and as many as there is memory for",
			  disc->name, n_missed, ATTACHED_MAX, FOUND_MAX);
}

static bool is_reported(const struct controller *c)
{
	const struct discovery *disc;

	TAILQ_FOREACH (disc, &c->d->discoveries, link) {
		if (disc->attach && log_names(disc->log, c))
			return true;
	}
	return false;
}

/* Attempts go on as long as there is something to attach; of a service that was stopped nobody
 * knows. */
static void cancel_gone(struct nvmuxd *d)
{
	const struct discovery *disc;
	struct controller *c, *next;

	for (c = TAILQ_FIRST(&d->controllers); c; c = next) {
		next = TAILQ_NEXT(c, link);
		disc = c->found_by[0] ? discovery_find(d, c->found_by) : NULL;
		if (c->state != CONTROLLER_ATTACHING || !disc || !disc->log || is_reported(c))
			continue;
		log_info(&d->log, "discovery", "%s: %s isn't reported any more", disc->name,
			 c->name);
		controller_cancel_attach(c, NULL);
	}
}

/* ---- the log page ---- */

static bool same_log(const struct nvmux_discovery_log *a, const struct nvmux_discovery_log *b)
{
	if (a->genctr != b->genctr || a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		if (log_find(b, &a->entries[i]) < 0)
			return false;
	}
	return true;
}

static void take_log(struct discovery *disc, const struct nvmux_discovery_log *log)
{
	uint32_t n = MIN(log->n, (uint32_t)RECORDS_MAX);
	size_t size = sizeof(*log) + n * sizeof(log->entries[0]);
	struct nvmux_discovery_log *copy = malloc(size);
	struct nvmuxd *d = disc->d;
	bool attaching = disc->attach && !disc->stopping && d->state != DAEMON_STOPPING;

	if (!copy) {
		log_error(&d->log, "discovery", "%s: no memory for %u records", disc->name, n);
		return;
	}
	memcpy(copy, log, size);
	copy->n = n;
	if (n < log->n)
		log_warning(&d->log, "discovery", "%s: %u records are too many: %u are left out",
			    disc->name, log->n, log->n - n);
	log_info(&d->log, "discovery", "%s: %u records, generation %llu", disc->name, log->n,
		 (unsigned long long)log->genctr);
	if (disc->log && !same_log(disc->log, copy))
		events_emit(d, "discovery_changed",
			    json_pack("{s:s,s:I}", "name", disc->name, "genctr",
				      (json_int_t)log->genctr));
	if (attaching)
		attach_new(disc, copy);
	free(disc->log);
	disc->log = copy;
	disc->n_records = log->n;
	if (attaching)
		cancel_gone(d);
}

static bool is_up(const struct discovery *disc)
{
	struct nvmux_connection_info info;

	nvmux_ctrlr_get_connection(disc->ctrlr, &info);
	return info.state == NVMUX_CONNECTION_UP || info.state == NVMUX_CONNECTION_HOLDING;
}

static void on_log(void *arg, const struct nvmux_discovery_log *log, int err)
{
	struct discovery *disc = arg;

	disc->reading = false;
	if (disc->stopping || disc->lost) {
		look_soon(disc);
		return;
	}
	if (err) {
		disc->changed = true;
		if (!is_up(disc)) {
			/* it will be again, or be lost for good: both are told */
			look_soon(disc);
			return;
		}
		note_failure(disc, err, "the log page can't be read");
		look_in(disc, fail_start(disc, err) ? 0 : retry_delay_ms(disc));
		return;
	}
	take_log(disc, log);
	disc->attempts = 0;
	disc->reason[0] = '\0';
	if (disc->start_req)
		rpc_reply(disc->start_req, json_true());
	disc->start_req = NULL;
	look_soon(disc); /* it may have changed again */
}

static void read_log(struct discovery *disc)
{
	int err;

	disc->reading = true;
	disc->changed = false;
	disc->read_at_ms = nvmux_now_ms();
	daemon_clear_error(disc->d);
	err = nvmux_ctrlr_get_discovery_log_async(disc->ctrlr, on_log, disc);
	if (err)
		on_log(disc, NULL, err);
}

/* ---- the connection ---- */

static void on_aer(void *arg, const struct nvmux_cpl *cpl)
{
	struct discovery *disc = arg;
	uint32_t dw0 = le32_to_cpu(cpl->dw0);

	/* Notice (type 2), information F0h: Discovery Log Page Change. Base 2.0, figure 147. */
	if ((dw0 & 0xff07) != 0xf002)
		return;
	disc->changed = true;
	look_soon(disc);
}

static void on_event(void *arg, struct nvmux_ctrlr *ctrlr, enum nvmux_ctrlr_event event)
{
	struct discovery *disc = arg;
	struct nvmux_connection_info info;

	nvmux_ctrlr_get_connection(ctrlr, &info);
	events_discovery(disc->d, disc->name, event, &info);
	switch (event) {
	case NVMUX_CTRLR_CONNECTION_LOST:
		log_warning(&disc->d->log, "discovery", "%s: the connection is lost: %s",
			    disc->name, info.reason);
		look_soon(disc); /* somebody may wait for the log */
		break;
	case NVMUX_CTRLR_RECONNECT_FAILED:
		log_info(&disc->d->log, "discovery", "%s: attempt %u to connect again failed: %s",
			 disc->name, info.attempts, info.reason);
		break;
	case NVMUX_CTRLR_RECONNECTED:
		log_warning(&disc->d->log, "discovery", "%s: connected again, attempt %u",
			    disc->name, info.attempts);
		disc->changed = true;
		look_soon(disc);
		break;
	default: break;
	}
}

static void on_removed(void *arg, struct nvmux_ctrlr *ctrlr)
{
	struct discovery *disc = arg;
	struct nvmux_connection_info info;

	nvmux_ctrlr_get_connection(ctrlr, &info);
	snprintf(disc->reason, sizeof(disc->reason), "%s",
		 info.reason[0] ? info.reason : "the connection is lost");
	disc->lost = true;
	look_soon(disc);
}

static void on_connected(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr,
			 int err)
{
	struct discovery *disc = arg;

	(void)trid;
	disc->connecting = false;
	if (!err) {
		disc->ctrlr = ctrlr;
		ctrlr->user = disc;
		nvmux_ctrlr_set_remove_cb(ctrlr, on_removed, disc);
		nvmux_ctrlr_set_event_cb(ctrlr, on_event, disc);
		nvmux_ctrlr_register_aer_callback(ctrlr, on_aer, disc);
		disc->lost = false;
		disc->changed = true;
		disc->reason[0] = '\0';
		disc->attempts = 0;
		log_info(&disc->d->log, "discovery", "%s: connected to %s", disc->name,
			 disc->trid.traddr);
		look_soon(disc);
		return;
	}
	if (disc->stopping) {
		look_soon(disc);
		return;
	}
	note_failure(disc, err, "can't connect");
	if (fail_start(disc, err)) {
		look_soon(disc);
		return;
	}
	/* neither this build nor these options will be others the next time */
	disc->failed = disc->refused;
	if (disc->refused)
		log_error(&disc->d->log, "discovery", "[discovery %s]: given up: %s", disc->name,
			  disc->reason);
	look_in(disc, disc->failed ? 0 : retry_delay_ms(disc));
}

static void connect_service(struct discovery *disc)
{
	int err;

	disc->connecting = true;
	disc->cancelled = false;
	daemon_clear_error(disc->d);
	err = nvmux_connect_async(disc->d->nvmux, &disc->trid, &disc->opts, on_connected, disc);
	disc->refused = err == -EPROTONOSUPPORT || err == -EINVAL;
	if (err)
		on_connected(disc, &disc->trid, NULL, err);
}

static void on_detached(void *arg, int err)
{
	struct discovery *disc = arg;

	(void)err; /* it is gone in any case */
	disc->detaching = false;
	disc->ctrlr = NULL;
	look_soon(disc);
}

static void detach(struct discovery *disc)
{
	/* loss for good: the time that the options give is over */
	if (!disc->stopping) {
		disc->failed = true;
		log_error(&disc->d->log, "discovery", "%s: given up: %s", disc->name, disc->reason);
		fail_start(disc, -ENXIO);
	}
	disc->detaching = true;
	nvmux_detach_async(disc->ctrlr, on_detached, disc);
}

/* ---- what is next ---- */

static void discovery_free(struct discovery *disc)
{
	struct nvmuxd *d = disc->d;

	log_info(&d->log, "discovery", "%s: ended", disc->name);
	if (disc->stop_req)
		rpc_reply(disc->stop_req, json_true());
	TAILQ_REMOVE(&d->discoveries, disc, link);
	d->n_discoveries--;
	event_free(disc->look);
	free(disc->log);
	free(disc);
	daemon_progress(d);
}

static void look_without_ctrlr(struct discovery *disc)
{
	if (disc->reading)
		return; /* its callback comes, and looks again */
	if (disc->stopping)
		discovery_free(disc);
	else if (!disc->failed)
		connect_service(disc);
}

/* Not again and again for a service that tells of one change after the other. */
static void look_at_log(struct discovery *disc)
{
	uint64_t now = nvmux_now_ms(), due = disc->read_at_ms + READ_PAUSE_MS;

	if (!disc->changed || disc->reading || !is_up(disc))
		return;
	if (disc->read_at_ms && now < due)
		look_in(disc, due - now);
	else
		read_log(disc);
}

/* The first log is waited for, but the connection was lost before it could be read. */
static bool is_lost_at_start(struct discovery *disc)
{
	struct nvmux_connection_info info;

	if (!disc->start_req || disc->reading || is_up(disc))
		return false;
	nvmux_ctrlr_get_connection(disc->ctrlr, &info);
	snprintf(disc->reason, sizeof(disc->reason), "%s",
		 info.reason[0] ? info.reason : "the connection is lost");
	return fail_start(disc, -ENOTCONN);
}

static void look(evutil_socket_t fd, short what, void *arg)
{
	struct discovery *disc = arg;

	(void)fd;
	(void)what;
	disc->retry_at_ms = 0;
	if (disc->detaching)
		return;
	if (disc->connecting) {
		if (disc->stopping && !disc->cancelled) {
			disc->cancelled = true;
			nvmux_connect_cancel(
				disc->d->nvmux, disc,
				nvmux_error(disc->d->nvmux, -ECANCELED, "it is stopped"));
		}
		return;
	}
	if (!disc->ctrlr)
		look_without_ctrlr(disc);
	else if (disc->stopping || disc->lost || is_lost_at_start(disc))
		detach(disc);
	else
		look_at_log(disc);
}

/* ---- for others ---- */

int discovery_start(struct nvmuxd *d, const struct conf_controller *conf, struct rpc_request *req)
{
	struct discovery *disc = calloc(1, sizeof(*disc));

	if (!disc)
		return -ENOMEM;
	disc->look = evtimer_new(d->base, look, disc);
	if (!disc->look) {
		free(disc);
		return -ENOMEM;
	}
	disc->d = d;
	snprintf(disc->name, sizeof(disc->name), "%s", conf->name);
	disc->trid = conf->trid;
	disc->opts = disc->attach_opts = conf->opts;
	/* a connection that is there to stay */
	if (!conf_option_given(conf, "ctrlr_loss_timeout_sec"))
		disc->opts.ctrlr_loss_timeout_sec = -1;
	disc->attach = conf->attach;
	disc->start_req = req;
	TAILQ_INSERT_TAIL(&d->discoveries, disc, link);
	d->n_discoveries++;
	look_soon(disc);
	return 0;
}

void discovery_stop(struct discovery *disc, struct rpc_request *req)
{
	if (disc->stop_req) {
		if (req)
			rpc_reply_errno(req, -EBUSY, "discovery service '%s' is being stopped",
					disc->name);
		return;
	}
	disc->stopping = true;
	disc->stop_req = req;
	if (disc->start_req)
		rpc_reply_errno(disc->start_req, -ECANCELED,
				"discovery service '%s' was stopped meanwhile", disc->name);
	disc->start_req = NULL;
	look_soon(disc);
}

void discoveries_stop_all(struct nvmuxd *d)
{
	struct discovery *disc;

	TAILQ_FOREACH (disc, &d->discoveries, link)
		discovery_stop(disc, NULL);
}

/* ---- JSON ---- */

static const char *state_name(const struct discovery *disc,
			      const struct nvmux_connection_info *info)
{
	if (disc->stopping)
		return "stopping";
	if (disc->failed)
		return "failed";
	if (!disc->ctrlr)
		return disc->connecting ? "connecting" : "waiting";
	return nvmux_connection_state_string(info->state);
}

static json_t *records_json(const struct discovery *disc, uint32_t *room)
{
	json_t *list = json_array();
	const struct controller *c;
	json_t *item;

	for (uint32_t i = 0; disc->log && i < disc->log->n && *room; i++, --*room) {
		item = discovery_record_json(&disc->log->entries[i]);
		c = controller_find_target(disc->d, &disc->log->entries[i].trid);
		if (c)
			json_object_set_new(item, "name", json_string(c->name));
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *discovery_json(const struct discovery *disc, uint32_t *room)
{
	struct nvmux_connection_info info = {.fast_io_fail_ms = -1, .ctrlr_loss_ms = -1};
	json_t *item = json_pack("{s:s}", "name", disc->name), *records;
	uint64_t now = nvmux_now_ms();

	if (disc->ctrlr) {
		nvmux_ctrlr_get_connection(disc->ctrlr, &info);
	} else {
		info.attempts = disc->attempts;
		info.next_attempt_ms = disc->retry_at_ms > now ? disc->retry_at_ms - now : 0;
	}
	/* of a connection that is down its own reason is the later one */
	if (disc->reason[0] && (!disc->ctrlr || is_up(disc) || !info.reason[0]))
		snprintf(info.reason, sizeof(info.reason), "%s", disc->reason);
	json_put_trid(item, &disc->trid);
	json_object_set_new(item, "state", json_string(state_name(disc, &info)));
	json_object_set_new(item, "connection", json_connection(&info));
	json_object_set_new(item, "attach", json_boolean(disc->attach));
	json_object_set_new(item, "genctr",
			    disc->log ? json_integer((json_int_t)disc->log->genctr) : json_null());
	json_object_set_new(item, "n_records", json_integer(disc->n_records));
	records = records_json(disc, room);
	json_object_set_new(item, "left_out",
			    json_integer(disc->n_records - (json_int_t)json_array_size(records)));
	json_object_set_new(item, "records", records);
	return item;
}

void discoveries_to_json(const struct nvmuxd *d, json_t *list, uint32_t *room)
{
	const struct discovery *disc;

	TAILQ_FOREACH (disc, &d->discoveries, link)
		json_array_append_new(list, discovery_json(disc, room));
}
